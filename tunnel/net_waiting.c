/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_waiting.h"

#include <sys/ioctl.h>

#include <linux/sockios.h>

int pa_net_waiting(int fd)
{
	int n;

	return ioctl(fd, SIOCINQ, &n) < 0 ? -1 : n;
}

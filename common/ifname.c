/* SPDX-License-Identifier: MPL-2.0 */
#include "common/ifname.h"

#include <string.h>

#define IFNAME_MAX 15

bool pa_ifname_valid(const char *s)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@+=";
	size_t len = strspn(s, good);

	return len > 0 && len <= IFNAME_MAX && s[len] == '\0' && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

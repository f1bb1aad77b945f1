/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_gso.h"

#include <netinet/udp.h>
#include <string.h>

bool pa_gso_works(int fd)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_UDP, UDP_SEGMENT, &value, &len) == 0;
}

void pa_gso_set(struct msghdr *m, uint16_t each, union pa_gso_control *control)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	m->msg_control = control;
	m->msg_controllen = CMSG_SPACE(sizeof(each));
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(each));
	memcpy(CMSG_DATA(c), &each, sizeof(each));
}

void pa_gro_use(int fd, bool on)
{
	int value = on ? 1 : 0;

	(void)setsockopt(fd, SOL_UDP, UDP_GRO, &value, sizeof(value));
}

size_t pa_gro_len(struct msghdr *m, size_t len)
{
	int each;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&each, CMSG_DATA(c), sizeof(each));
		if (each > 0 && (size_t)each < len)
			return (size_t)each;
	}
	return len;
}

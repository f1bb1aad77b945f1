/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_gso.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

bool pa_gso_works(int fd)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_UDP, UDP_SEGMENT, &value, &len) == 0;
}

static void put_control(struct msghdr *m, int level, int type, const void *value, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	m->msg_controllen += CMSG_SPACE(len);
}

void pa_gso_set(struct msghdr *m, uint16_t each, uint8_t tos, union pa_gso_control *control)
{
	bool v6 = ((const struct sockaddr *)m->msg_name)->sa_family == AF_INET6;
	int class = tos;

	if (each == 0 && tos == 0)
		return;
	memset(control, 0, sizeof(*control));
	m->msg_control = control;
	m->msg_controllen = 0;
	if (each > 0)
		put_control(m, SOL_UDP, UDP_SEGMENT, &each, sizeof(each));
	if (tos != 0)
		put_control(m, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &class, sizeof(class));
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

void pa_gro_use_class(int fd)
{
	int on = 1, family;
	socklen_t len = sizeof(family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
		return;
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on));
	else
		(void)setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
}

uint8_t pa_gro_class(struct msghdr *m)
{
	int class;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			return *CMSG_DATA(c);
		if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_TCLASS)
			continue;
		memcpy(&class, CMSG_DATA(c), sizeof(class));
		return (uint8_t) class;
	}
	return 0;
}

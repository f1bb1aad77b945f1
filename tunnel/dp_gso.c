/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_gso.h"

#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>

static bool same_address(const struct msghdr *a, const struct msghdr *b)
{
	return a->msg_namelen == b->msg_namelen &&
	       (a->msg_name == b->msg_name || memcmp(a->msg_name, b->msg_name, a->msg_namelen) == 0);
}

unsigned pa_gso_count(const struct mmsghdr *msgs, unsigned n)
{
	const struct msghdr *first = &msgs[0].msg_hdr;
	size_t each = first->msg_iov->iov_len, sum = each;
	unsigned i;

	if (n > PA_GSO_DATAGRAMS)
		n = PA_GSO_DATAGRAMS;
	for (i = 1; i < n; i++) {
		size_t len = msgs[i].msg_hdr.msg_iov->iov_len;

		sum += len;
		if (len > each || sum > PA_GSO_BYTES || !same_address(first, &msgs[i].msg_hdr))
			break;
		if (len < each)
			return i + 1;
	}
	return i;
}

void pa_gso_join(const struct mmsghdr *first, unsigned n, struct mmsghdr *ret, union pa_gso_control *control)
{
	uint16_t each = (uint16_t)first->msg_hdr.msg_iov->iov_len;
	struct msghdr *m = &ret->msg_hdr;
	struct cmsghdr *c;

	memset(ret, 0, sizeof(*ret));
	m->msg_name = first->msg_hdr.msg_name;
	m->msg_namelen = first->msg_hdr.msg_namelen;
	m->msg_iov = first->msg_hdr.msg_iov;
	m->msg_iovlen = n;
	if (n == 1)
		return;
	memset(control, 0, sizeof(*control));
	m->msg_control = control;
	m->msg_controllen = CMSG_SPACE(sizeof(each));
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(each));
	memcpy(CMSG_DATA(c), &each, sizeof(each));
}

void pa_gro_enable(int fd)
{
	int one = 1;

	(void)setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof(one));
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

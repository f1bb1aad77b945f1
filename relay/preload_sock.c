/* SPDX-License-Identifier: MPL-2.0 */
/* The program's sockets: which of them could go through the relay, and how one of ours takes the place of one. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

#include "relay/preload.h"

/* ---- addresses */

bool pa_pre_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct pa_endpoint *ret)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct pa_addr a;

	if (sa == NULL || len < (socklen_t)sizeof(sa_family_t))
		return false;
	if (sa->sa_family == AF_INET && len >= (socklen_t)sizeof(in)) {
		memcpy(&in, sa, sizeof(in));
		*ret = (struct pa_endpoint){pa_addr_from_ipv4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
		return true;
	}
	if (sa->sa_family != AF_INET6 || len < (socklen_t)sizeof(in6))
		return false;
	memcpy(&in6, sa, sizeof(in6));
	memcpy(a.b, &in6.sin6_addr, sizeof(a.b));
	/* Any address is IPv4's any address to us; others of IPv6 stay with the kernel. */
	if (pa_addr_is_none(&a))
		a = pa_addr_from_ipv4(0);
	if (!pa_addr_is_ipv4(&a))
		return false;
	*ret = (struct pa_endpoint){a, ntohs(in6.sin6_port)};
	return true;
}

bool pa_pre_is_public(const struct sockaddr *sa, socklen_t len, struct pa_endpoint *ret)
{
	struct pa_endpoint e;

	if (!pa_pre_from_sockaddr(sa, len, &e) || e.port == 0)
		return false;
	switch (pa_addr_classify(&e.addr)) {
	case PA_ADDR_GLOBAL:
	case PA_ADDR_DOCUMENTATION:
	case PA_ADDR_RESERVED:
		*ret = e;
		return true;
	default:
		return false;
	}
}

void pa_pre_to_sockaddr(const struct pa_endpoint *e, bool v6, struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(e->port), .sin_addr.s_addr = htonl(pa_addr_to_ipv4(&e->addr))};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};
	const void *from = v6 ? (const void *)&in6 : (const void *)&in;
	socklen_t size = v6 ? sizeof(in6) : sizeof(in);

	if (sa == NULL || len == NULL)
		return;
	memcpy(&in6.sin6_addr, e->addr.b, sizeof(e->addr.b));
	memcpy(sa, from, *len < size ? *len : size);
	*len = size;
}

/* ---- what the kernel has */

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return pa_pre_real()->getsockopt(fd, level, name, &v, &len) < 0 ? -1 : v;
}

/* Bound to nothing, any address, or ours. */
static bool read_name(int fd, struct pa_pre_plain *p)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct pa_endpoint e;
	struct pa_addr own;

	if (pa_pre_real()->getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    !pa_pre_from_sockaddr((struct sockaddr *)&ss, len, &e))
		return false;
	p->port = e.port;
	if (pa_addr_to_ipv4(&e.addr) == 0)
		return true;
	if (e.port == 0)
		e.port = 1; /* is_public wants one */
	pa_pre_to_sockaddr(&e, false, (struct sockaddr *)&ss, &len);
	p->at_public = pa_pre_is_public((struct sockaddr *)&ss, sizeof(struct sockaddr_in), &e) &&
		       pa_pre_address(&own) == 0 && pa_addr_eq(&own, &e.addr);
	return p->at_public;
}

static bool judge(int fd, struct pa_pre_plain *p)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int domain = option(fd, SOL_SOCKET, SO_DOMAIN), protocol, flags;

	if (domain != AF_INET && domain != AF_INET6)
		return false;
	p->v6 = domain == AF_INET6;
	p->type = option(fd, SOL_SOCKET, SO_TYPE);
	protocol = option(fd, SOL_SOCKET, SO_PROTOCOL);
	if (p->type == SOCK_STREAM ? protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP
				   : p->type != SOCK_DGRAM || protocol != IPPROTO_UDP || !pa_pre_takes_udp())
		return false;
	if (p->v6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0)
		return false;
	/* Connected already, or listening: by the kernel, to something that is not for us. */
	if (pa_pre_real()->getpeername(fd, (struct sockaddr *)&ss, &len) == 0 || option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1)
		return false;
	flags = pa_pre_real()->fcntl(fd, F_GETFL);
	p->nonblock = flags >= 0 && (flags & O_NONBLOCK) != 0;
	return read_name(fd, p);
}

bool pa_pre_plain(int fd, struct pa_pre_plain *ret)
{
	struct pa_pre_plain p = {0};
	int saved = errno;
	bool yes = judge(fd, &p);

	errno = saved;
	if (yes)
		*ret = p;
	return yes;
}

/* ---- one in the place of another */

static void copy_settings(int from, int to)
{
	static const int limits[] = {SO_RCVTIMEO, SO_SNDTIMEO};
	const struct pa_pre_real *real = pa_pre_real();
	int flags = real->fcntl(from, F_GETFL), has = real->fcntl(to, F_GETFL);
	struct linger linger;
	struct timeval tv;
	socklen_t size = sizeof(linger);

	if (real->getsockopt(from, SOL_SOCKET, SO_LINGER, &linger, &size) == 0 && linger.l_onoff != 0)
		(void)real->setsockopt(to, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	if (flags >= 0 && has >= 0)
		(void)real->fcntl(to, F_SETFL, (has & ~(O_NONBLOCK | O_ASYNC)) | (flags & (O_NONBLOCK | O_ASYNC)));
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		socklen_t len = sizeof(tv);

		if (real->getsockopt(from, SOL_SOCKET, limits[i], &tv, &len) == 0 && (tv.tv_sec != 0 || tv.tv_usec != 0))
			(void)real->setsockopt(to, SOL_SOCKET, limits[i], &tv, sizeof(tv));
	}
}

static int put_in_place(int fd, int ours)
{
	const struct pa_pre_real *real = pa_pre_real();
	int fdflags = real->fcntl(fd, F_GETFD), epfd = -1, rc;
	struct epoll_event event;
	bool watched;

	copy_settings(fd, ours);
	/* That it can be modified shows that the registration is this socket's, and not one of a number that was used before. */
	watched = pa_pre_watched(fd, &epfd, &event) && real->epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event) == 0;
	do
		rc = real->dup3(ours, fd, fdflags >= 0 && (fdflags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) < 0 ? errno : 0;
	while (rc == EINTR || rc == EBUSY);
	if (rc == 0 && watched) {
		/* The old one is still registered if it has another number somewhere. */
		(void)real->epoll_ctl(epfd, EPOLL_CTL_DEL, fd, &event);
		(void)real->epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
	}
	(void)real->close(ours);
	return rc;
}

int pa_pre_replace(int fd, int ours, const struct pa_pre_tag *tag)
{
	int saved = errno, rc;

	pa_pre_tag_set(ours, tag);
	pa_pre_hint_set(fd, tag->kind == PA_PRE_UDP ? PA_PRE_HINT_UDP : tag->kind == PA_PRE_TCP ? PA_PRE_HINT_TCP : PA_PRE_HINT_NONE);
	rc = put_in_place(fd, ours);
	errno = saved;
	return rc;
}

int pa_pre_give_back(int fd, const struct pa_pre_tag *tag, uint16_t port)
{
	const struct pa_pre_real *real = pa_pre_real();
	struct pa_endpoint any = {pa_addr_from_ipv4(0), port};
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int saved = errno, rc, plain;

	plain = socket(tag->v6 ? AF_INET6 : AF_INET, (tag->kind == PA_PRE_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (plain < 0)
		return errno;
	if (tag->v6)
		any.addr = (struct pa_addr){{0}};
	pa_pre_to_sockaddr(&any, tag->v6, (struct sockaddr *)&ss, &len);
	if (port != 0 && real->bind(plain, (struct sockaddr *)&ss, len) < 0) {
		rc = errno;
		(void)real->close(plain);
	} else {
		rc = put_in_place(fd, plain);
		pa_pre_hint_set(fd, PA_PRE_HINT_NONE);
	}
	errno = saved;
	return rc;
}

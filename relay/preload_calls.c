/* SPDX-License-Identifier: MPL-2.0 */
/* What stands in the place of libc's connect, bind, listen, accept, getsockname, getpeername and shutdown. */
#include <errno.h>

#include "relay/preload.h"

static int fail(int error)
{
	errno = error;
	return -1;
}

PA_PRE_EXPORT int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t len)
{
	const struct sockaddr *sa = to.__sockaddr__;
	struct pa_endpoint remote;
	struct pa_pre_plain p;
	struct pa_pre_tag t;
	int rc;

	if (!pa_pre_active())
		return pa_pre_real()->connect(fd, sa, len);
	if (pa_pre_tag(fd, &t))
		return t.kind == PA_PRE_UDP ? pa_pre_udp_connect(fd, &t, sa, len) : pa_pre_tcp_again(fd, &t, sa, len);
	if (!pa_pre_is_public(sa, len, &remote) || !pa_pre_plain(fd, &p))
		return pa_pre_real()->connect(fd, sa, len);
	if (p.type == SOCK_STREAM)
		return pa_pre_tcp_connect(fd, &p, &remote);
	rc = pa_pre_udp_open(fd, &p, p.port, true, &remote);
	return rc == 0 ? 0 : fail(rc);
}

/* May it be bound to that address, which is not on any interface here? */
static bool is_own(const struct pa_endpoint *e)
{
	struct pa_endpoint at = {e->addr, 1}, ret;
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	struct pa_addr own;

	pa_pre_to_sockaddr(&at, false, (struct sockaddr *)&in, &len);
	return pa_pre_is_public((struct sockaddr *)&in, len, &ret) && pa_pre_address(&own) == 0 && pa_addr_eq(&own, &e->addr);
}

/*
 * TCP is bound by the kernel, even to our address, and so the port is chosen, found taken, and inherited as always; connect or listen
 * takes it to the relay. UDP that wants to be reached has nothing else that would tell, and goes there now.
 */
PA_PRE_EXPORT int bind(int fd, __CONST_SOCKADDR_ARG at, socklen_t len)
{
	const struct pa_pre_real *real = pa_pre_real();
	const struct sockaddr *sa = at.__sockaddr__;
	struct pa_endpoint e;
	struct pa_pre_plain p;
	struct pa_pre_tag t;
	bool any;
	int rc, on = 1;

	if (!pa_pre_active())
		return real->bind(fd, sa, len);
	if (pa_pre_tag(fd, &t))
		return fail(EINVAL);
	if (!pa_pre_from_sockaddr(sa, len, &e) || !pa_pre_plain(fd, &p) || p.port != 0)
		return real->bind(fd, sa, len);
	any = pa_addr_to_ipv4(&e.addr) == 0;
	if (any ? p.type == SOCK_STREAM || e.port == 0 : !is_own(&e))
		return real->bind(fd, sa, len);
	if (p.type == SOCK_STREAM) {
		(void)real->setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
		return real->bind(fd, sa, len);
	}
	rc = pa_pre_udp_open(fd, &p, e.port, false, NULL);
	return rc == 0 ? 0 : fail(rc);
}

PA_PRE_EXPORT int listen(int fd, int backlog)
{
	struct pa_pre_plain p;
	struct pa_pre_tag t;

	if (!pa_pre_active())
		return pa_pre_real()->listen(fd, backlog);
	if (pa_pre_tag(fd, &t))
		return t.kind == PA_PRE_LISTEN ? 0 : fail(t.kind == PA_PRE_UDP ? EOPNOTSUPP : EINVAL);
	if (!pa_pre_plain(fd, &p) || p.type != SOCK_STREAM)
		return pa_pre_real()->listen(fd, backlog);
	return pa_pre_tcp_listen(fd, &p, backlog);
}

PA_PRE_EXPORT int accept4(int fd, __SOCKADDR_ARG from, socklen_t *restrict len, int flags)
{
	struct pa_pre_tag t;

	if (!pa_pre_active() || !pa_pre_tag(fd, &t))
		return pa_pre_real()->accept4(fd, from.__sockaddr__, len, flags);
	return pa_pre_tcp_accept(fd, &t, from.__sockaddr__, len, flags);
}

PA_PRE_EXPORT int accept(int fd, __SOCKADDR_ARG from, socklen_t *restrict len)
{
	return accept4(fd, from, len, 0);
}

/* A UDP socket whose port is asked for is one that somebody will be told to send to. */
static bool is_named(int fd, struct pa_pre_tag *t)
{
	struct pa_pre_plain p;

	return pa_pre_plain(fd, &p) && p.type == SOCK_DGRAM && p.port != 0 && pa_pre_udp_open(fd, &p, p.port, true, NULL) == 0 &&
	       pa_pre_tag(fd, t);
}

PA_PRE_EXPORT int getsockname(int fd, __SOCKADDR_ARG name, socklen_t *restrict len)
{
	struct pa_rlocal info;
	struct pa_pre_tag t;
	int rc;

	if (!pa_pre_active() || (!pa_pre_tag(fd, &t) && !is_named(fd, &t)))
		return pa_pre_real()->getsockname(fd, name.__sockaddr__, len);
	rc = pa_pre_info(fd, &info);
	if (rc != 0)
		return fail(ENOBUFS);
	pa_pre_to_sockaddr(&info.body.local, t.v6, name.__sockaddr__, len);
	return 0;
}

/* Linux tells the peer of a connection as long as it exists. */
static bool has_peer(int fd, const struct pa_pre_tag *t)
{
	struct pa_rlocal info;

	if (t->kind == PA_PRE_UDP)
		return !pa_addr_is_none(&t->peer.addr);
	if (t->kind != PA_PRE_TCP)
		return false;
	if (pa_pre_info(fd, &info) != 0)
		return t->told;
	return info.state == PA_RLOCAL_CONNECTED || (info.state == PA_RLOCAL_OVER && info.body.error == PA_RELAY_E_OK);
}

PA_PRE_EXPORT int getpeername(int fd, __SOCKADDR_ARG name, socklen_t *restrict len)
{
	struct pa_pre_tag t;

	if (!pa_pre_active() || !pa_pre_tag(fd, &t))
		return pa_pre_real()->getpeername(fd, name.__sockaddr__, len);
	if (!has_peer(fd, &t))
		return fail(ENOTCONN);
	pa_pre_to_sockaddr(&t.peer, t.v6, name.__sockaddr__, len);
	return 0;
}

PA_PRE_EXPORT int shutdown(int fd, int how)
{
	struct pa_pre_tag t;
	bool abrupt;
	int rc;

	if (!pa_pre_active() || !pa_pre_tag(fd, &t))
		return pa_pre_real()->shutdown(fd, how);
	/* TCP's other side never learns of it, a Unix socket's does. */
	if (how == SHUT_RD && t.kind == PA_PRE_TCP)
		return has_peer(fd, &t) ? 0 : fail(ENOTCONN);
	if (t.kind == PA_PRE_TCP && t.told && !has_peer(fd, &t))
		return fail(ENOTCONN);
	/* This end is a good one; closing it later is a reset all the same. Of both directions that looks the same from the other side. */
	abrupt = t.kind == PA_PRE_TCP && pa_pre_is_abrupt(fd);
	if (abrupt)
		pa_pre_set(fd, false, &(struct pa_endpoint){0});
	rc = pa_pre_real()->shutdown(fd, how);
	if (abrupt && how == SHUT_WR)
		pa_pre_set(fd, true, &(struct pa_endpoint){0});
	return rc;
}

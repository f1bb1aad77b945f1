/* SPDX-License-Identifier: MPL-2.0 */
/* TCP through the relay: calls and their results, as connect(2), SO_ERROR and the first read or write tell them; being called. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/time.h>

#include "relay/preload.h"

static int fail(int error)
{
	errno = error;
	return -1;
}

/* Notes with the socket what the program has been told now, if it is still the one that we began with. */
static void tell(int fd, const struct pa_pre_tag *t)
{
	struct pa_pre_tag now;

	if (pa_pre_tag(fd, &now) && now.kind == t->kind && pa_endpoint_eq(&now.peer, &t->peer))
		pa_pre_tag_set(fd, t);
}

/* ---- an end that is a reset */

bool pa_pre_is_abrupt(int fd)
{
	struct linger l = {0};
	socklen_t len = sizeof(l);
	int saved = errno;
	bool yes = pa_pre_real()->getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len) == 0 && l.l_onoff != 0 && l.l_linger == 0;

	errno = saved;
	return yes;
}

/* It may have been so before it was one of ours. */
static void pass_on_abrupt(int fd)
{
	if (pa_pre_is_abrupt(fd))
		pa_pre_set(fd, true, &(struct pa_endpoint){0});
}

/* ---- calls */

int pa_pre_tcp_connect(int fd, const struct pa_pre_plain *p, const struct pa_endpoint *remote)
{
	struct pa_pre_tag tag = {.kind = PA_PRE_TCP, .v6 = p->v6, .peer = *remote};
	struct timeval limit = {0};
	socklen_t len = sizeof(limit);
	int ours, wait, rc;

	rc = pa_pre_call(p->port, remote, p->nonblock, &ours, &wait);
	if (rc != 0)
		return fail(rc);
	/* connect(2) waits no longer than a send would, see socket(7). */
	(void)pa_pre_real()->getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &len);
	/* It takes its place before the result is there, so that other threads and a handler of signals see a socket that connects. */
	rc = pa_pre_replace(fd, ours, &tag);
	if (rc == 0) {
		pass_on_abrupt(fd);
		rc = p->nonblock ? EINPROGRESS : pa_pre_await(wait, &limit);
	}
	(void)pa_pre_real()->close(wait);
	if (rc == EINPROGRESS || rc == EINTR)
		return fail(rc);
	tag.told = true;
	tag.stood = rc == 0;
	tell(fd, &tag);
	return rc == 0 ? 0 : fail(rc);
}

/* Once more after a call that failed, which Linux allows. */
static int anew(int fd, const struct pa_pre_tag *t, const struct sockaddr *sa, socklen_t len)
{
	int flags = pa_pre_real()->fcntl(fd, F_GETFL);
	struct pa_pre_plain p = {.type = SOCK_STREAM, .v6 = t->v6, .nonblock = flags >= 0 && (flags & O_NONBLOCK) != 0};
	struct pa_endpoint remote;
	int rc;

	if (pa_pre_is_public(sa, len, &remote))
		return pa_pre_tcp_connect(fd, &p, &remote);
	rc = pa_pre_give_back(fd, t, 0);
	return rc != 0 ? fail(rc) : pa_pre_real()->connect(fd, sa, len);
}

/* The state once it is not CALLING any more, or at once for a socket that does not wait. 0 or an errno. */
static int settled(int fd, struct pa_rlocal *ret)
{
	int flags = pa_pre_real()->fcntl(fd, F_GETFL), rc = pa_pre_info(fd, ret);
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	struct timeval limit = {0};
	socklen_t len = sizeof(limit);
	int ms;

	if (rc != 0 || ret->state != PA_RLOCAL_CALLING)
		return rc;
	if (flags < 0 || (flags & O_NONBLOCK) != 0)
		return EALREADY;
	(void)pa_pre_real()->getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &len);
	ms = limit.tv_sec > INT_MAX / 1000 - 1 ? INT_MAX : (int)(limit.tv_sec * 1000 + limit.tv_usec / 1000);
	if (poll(&pfd, 1, ms > 0 ? ms : -1) < 0)
		return errno;
	return pa_pre_info(fd, ret);
}

int pa_pre_tcp_again(int fd, struct pa_pre_tag *t, const struct sockaddr *sa, socklen_t len)
{
	struct pa_rlocal info;
	bool told = t->told;
	int rc;

	if (t->kind == PA_PRE_LISTEN)
		return fail(EISCONN);
	if (sa != NULL && len >= (socklen_t)sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC) {
		rc = pa_pre_give_back(fd, t, 0);
		return rc != 0 ? fail(rc) : 0;
	}
	rc = settled(fd, &info);
	if (rc != 0)
		return fail(rc);
	t->told = true;
	switch (info.state) {
	case PA_RLOCAL_CALLING:
		return fail(EALREADY);
	case PA_RLOCAL_FAILED:
		if (told)
			return anew(fd, t, sa, len);
		tell(fd, t);
		return fail(pa_relay_errno(info.body.error));
	case PA_RLOCAL_UNKNOWN:
		return fail(told ? EISCONN : ECONNABORTED);
	default:
		/* The first one after the result tells that it is connected; only the next that it was so before. */
		t->stood = true;
		tell(fd, t);
		return told ? fail(EISCONN) : 0;
	}
}

/* ---- errors */

/* What of that the program has not been told yet, which it is now. */
static int take_error(int fd, struct pa_pre_tag *t, const struct pa_rlocal *info)
{
	int pending = 0, saved = errno;
	socklen_t len = sizeof(pending);

	if (info->state == PA_RLOCAL_FAILED && !t->told) {
		t->told = true;
	} else if (info->state == PA_RLOCAL_OVER && info->body.error != PA_RELAY_E_OK && !t->over_told) {
		t->stood = t->over_told = true;
	} else if ((info->state == PA_RLOCAL_CONNECTED || info->state == PA_RLOCAL_OVER) && !t->stood) {
		t->stood = true;
		tell(fd, t);
		return 0;
	} else {
		return 0;
	}
	tell(fd, t);
	/* The kernel's own notion of it is told, too. */
	(void)pa_pre_real()->getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &len);
	errno = saved;
	return pa_relay_errno(info->body.error);
}

int pa_pre_tcp_error(int fd, struct pa_pre_tag *t)
{
	struct pa_rlocal info;

	return t->kind == PA_PRE_TCP && pa_pre_info(fd, &info) == 0 ? take_error(fd, t, &info) : 0;
}

ssize_t pa_pre_tcp_explain(int fd, const struct pa_pre_tag *t, ssize_t n)
{
	struct pa_pre_tag now = *t;
	struct pa_rlocal info;
	int error = errno, pending;

	if (t->kind != PA_PRE_TCP || (n == 0 && t->stood) || pa_pre_info(fd, &info) != 0)
		return n;
	pending = take_error(fd, &now, &info);
	if (pending != 0)
		return fail(pending);
	errno = error;
	if (n < 0 && error == EPIPE)
		return n;
	if (info.state == PA_RLOCAL_FAILED)
		return fail(ENOTCONN);
	return info.state == PA_RLOCAL_OVER && t->over_told ? 0 : n;
}

/* ---- being called */

int pa_pre_tcp_listen(int fd, const struct pa_pre_plain *p, int backlog)
{
	struct pa_pre_tag tag = {.kind = PA_PRE_LISTEN, .v6 = p->v6};
	struct pa_endpoint local;
	int ours, rc = pa_pre_open(PA_PRE_LISTEN, p->port, backlog, &ours, &local);

	if (rc == 0)
		rc = pa_pre_replace(fd, ours, &tag);
	return rc == 0 ? 0 : fail(rc);
}

int pa_pre_tcp_accept(int fd, const struct pa_pre_tag *t, struct sockaddr *sa, socklen_t *len, int flags)
{
	const struct pa_pre_real *real = pa_pre_real();
	struct pa_pre_tag tag = {.kind = PA_PRE_TCP, .v6 = t->v6, .told = true, .stood = true};
	struct pa_rlocal call;
	int got, rc, has;

	if (t->kind != PA_PRE_LISTEN || (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0)
		return fail(EINVAL);
	rc = pa_pre_hear(fd, &call, &got);
	if (rc != 0)
		return fail(rc == ENETUNREACH ? EINVAL : rc); /* as of one that was shut down: nobody will come any more */
	if (got < 0 || call.type != PA_RELAY_INCOMING) {
		if (got >= 0)
			(void)real->close(got);
		return fail(ECONNABORTED);
	}
	tag.peer = call.body.remote;
	pa_pre_tag_set(got, &tag);
	pa_pre_hint_set(got, PA_PRE_HINT_TCP);
	has = real->fcntl(got, F_GETFL);
	(void)real->fcntl(got, F_SETFL, (flags & SOCK_NONBLOCK) != 0 ? has | O_NONBLOCK : has & ~O_NONBLOCK);
	if ((flags & SOCK_CLOEXEC) == 0)
		(void)real->fcntl(got, F_SETFD, 0);
	if (pa_pre_is_abrupt(fd)) { /* of its listener a connection has it, too */
		(void)real->setsockopt(got, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
		pass_on_abrupt(got);
	}
	pa_pre_to_sockaddr(&tag.peer, tag.v6, sa, len);
	return got;
}

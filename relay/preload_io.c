/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Reading and writing. A descriptor that is not ours costs one look into a table; TCP of ours is the kernel's business too, until
 * it ends, which a Unix socket tells in other words. UDP has an endpoint before each datagram.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "relay/preload.h"

/* TCP: *t is not set. */
static enum pa_pre_kind kind_of(int fd, struct pa_pre_tag *t)
{
	enum pa_pre_hint hint;

	if (!pa_pre_active())
		return 0;
	hint = pa_pre_hint(fd);
	if (hint == PA_PRE_HINT_PLAIN)
		return 0;
	if (hint == PA_PRE_HINT_TCP)
		return PA_PRE_TCP;
	if (!pa_pre_tag(fd, t)) {
		pa_pre_hint_set(fd, PA_PRE_HINT_NONE);
		pa_pre_hint_plain(fd);
		return 0;
	}
	pa_pre_hint_set(fd, t->kind == PA_PRE_UDP ? PA_PRE_HINT_UDP : t->kind == PA_PRE_TCP ? PA_PRE_HINT_TCP : PA_PRE_HINT_NONE);
	return t->kind;
}

/* ---- TCP */

/* After a read that brought nothing though it could have. */
static ssize_t after_read(int fd, ssize_t n, size_t wanted)
{
	struct pa_pre_tag t;

	if (n > 0 || wanted == 0 || (n < 0 && errno != ECONNRESET) || !pa_pre_tag(fd, &t))
		return n;
	return pa_pre_tcp_explain(fd, &t, n);
}

static ssize_t tcp_send(int fd, const struct msghdr *m, int flags)
{
	struct msghdr ours = {.msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen};
	struct pa_pre_tag t;
	ssize_t n;

	/* SIGPIPE comes when TCP would have it come; urgent bytes are bytes. */
	n = pa_pre_real()->sendmsg(fd, &ours, (flags & (MSG_DONTWAIT | MSG_MORE)) | MSG_NOSIGNAL);
	if (n >= 0 || (errno != EPIPE && errno != ECONNRESET))
		return n;
	if (pa_pre_tag(fd, &t)) {
		errno = EPIPE;
		n = pa_pre_tcp_explain(fd, &t, n);
	}
	if (n < 0 && errno == EPIPE && (flags & MSG_NOSIGNAL) == 0) {
		(void)raise(SIGPIPE);
		errno = EPIPE;
	}
	return n;
}

static ssize_t ours_send(int fd, enum pa_pre_kind kind, const struct pa_pre_tag *t, const struct msghdr *m, int flags)
{
	if (kind == PA_PRE_UDP)
		return pa_pre_udp_send(fd, t, m, flags);
	return tcp_send(fd, m, flags);
}

static ssize_t ours_recv(int fd, enum pa_pre_kind kind, const struct pa_pre_tag *t, struct msghdr *m, int flags)
{
	struct msghdr ours = {.msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen};
	size_t wanted = 0;
	ssize_t n;

	if (kind == PA_PRE_UDP)
		return pa_pre_udp_recv(fd, t, m, flags);
	if ((flags & (MSG_ERRQUEUE | MSG_OOB)) != 0) {
		errno = (flags & MSG_OOB) != 0 ? EINVAL : EAGAIN;
		return -1;
	}
	for (size_t i = 0; i < m->msg_iovlen; i++)
		wanted |= m->msg_iov[i].iov_len;
	n = after_read(fd, pa_pre_real()->recvmsg(fd, &ours, flags & ~MSG_CMSG_CLOEXEC), wanted);
	if (n >= 0) {
		m->msg_namelen = 0;
		m->msg_controllen = 0;
		m->msg_flags = 0;
	}
	return n;
}

/* ---- by libc's names: receiving */

PA_PRE_EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	struct pa_pre_tag t;
	enum pa_pre_kind kind = kind_of(fd, &t);
	struct iovec iov = {buf, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (kind == PA_PRE_UDP)
		return pa_pre_udp_recv(fd, &t, &m, 0);
	return kind == PA_PRE_TCP ? after_read(fd, pa_pre_real()->read(fd, buf, len), len) : pa_pre_real()->read(fd, buf, len);
}

PA_PRE_EXPORT ssize_t readv(int fd, const struct iovec *iov, int parts)
{
	struct pa_pre_tag t;
	enum pa_pre_kind kind = kind_of(fd, &t);
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = parts > 0 ? (size_t)parts : 0};
	size_t wanted = 0;

	if (kind == PA_PRE_UDP)
		return pa_pre_udp_recv(fd, &t, &m, 0);
	for (int i = 0; kind == PA_PRE_TCP && i < parts; i++)
		wanted |= iov[i].iov_len;
	return after_read(fd, pa_pre_real()->readv(fd, iov, parts), wanted);
}

PA_PRE_EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct pa_pre_tag t;
	enum pa_pre_kind kind = kind_of(fd, &t);
	ssize_t n;

	if (kind == PA_PRE_UDP || kind == PA_PRE_TCP)
		return ours_recv(fd, kind, &t, m, flags);
	n = pa_pre_real()->recvmsg(fd, m, flags);
	/* Descriptors that come from another process may be anything. */
	for (struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(m) : NULL; c != NULL; c = CMSG_NXTHDR(m, c)) {
		const unsigned char *at = CMSG_DATA(c);
		int got;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (; at + sizeof(got) <= (unsigned char *)c + c->cmsg_len; at += sizeof(got)) {
			memcpy(&got, at, sizeof(got));
			pa_pre_hint_set(got, PA_PRE_HINT_NONE);
		}
	}
	return n;
}

PA_PRE_EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags, __SOCKADDR_ARG from, socklen_t *restrict fromlen)
{
	struct pa_pre_tag t;
	enum pa_pre_kind kind = kind_of(fd, &t);
	struct iovec iov = {buf, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (kind != PA_PRE_UDP && kind != PA_PRE_TCP)
		return pa_pre_real()->recvfrom(fd, buf, len, flags, from.__sockaddr__, fromlen);
	if (from.__sockaddr__ != NULL && fromlen != NULL) {
		m.msg_name = from.__sockaddr__;
		m.msg_namelen = *fromlen;
	}
	n = ours_recv(fd, kind, &t, &m, flags);
	if (n >= 0 && m.msg_name != NULL)
		*fromlen = m.msg_namelen;
	return n;
}

PA_PRE_EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	return recvfrom(fd, buf, len, flags, (struct sockaddr *)NULL, NULL);
}

static bool is_over(const struct timespec *end)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

PA_PRE_EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	struct pa_pre_tag t;
	enum pa_pre_kind kind = kind_of(fd, &t);
	struct timespec end = {0};
	unsigned done = 0;

	if (kind != PA_PRE_UDP && kind != PA_PRE_TCP)
		return pa_pre_real()->recvmmsg(fd, v, n, flags, timeout);
	if (timeout != NULL) {
		(void)clock_gettime(CLOCK_MONOTONIC, &end);
		end.tv_sec += timeout->tv_sec + (end.tv_nsec + timeout->tv_nsec) / 1000000000;
		end.tv_nsec = (end.tv_nsec + timeout->tv_nsec) % 1000000000;
	}
	/* As Linux does it: the time is looked at after each datagram, and not while one is waited for. */
	while (done < n && (done == 0 || timeout == NULL || !is_over(&end))) {
		ssize_t len = ours_recv(fd, kind, &t, &v[done].msg_hdr, flags & ~MSG_WAITFORONE);

		if (len < 0)
			break;
		v[done++].msg_len = (unsigned)len;
		if ((flags & MSG_WAITFORONE) != 0)
			flags |= MSG_DONTWAIT;
	}
	return done > 0 || n == 0 ? (int)done : -1;
}

/* Programs that were built with _FORTIFY_SOURCE call these; libc's own end the program if the buffer is too small. */
ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len, size_t room, int flags, __SOCKADDR_ARG from,
		       socklen_t *restrict fromlen);

PA_PRE_EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	return len > room ? pa_pre_real()->read_chk(fd, buf, len, room) : read(fd, buf, len);
}

PA_PRE_EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
	return len > room ? pa_pre_real()->recv_chk(fd, buf, len, room, flags) : recv(fd, buf, len, flags);
}

PA_PRE_EXPORT ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len, size_t room, int flags, __SOCKADDR_ARG from,
				     socklen_t *restrict fromlen)
{
	return len > room ? pa_pre_real()->recvfrom_chk(fd, buf, len, room, flags, from.__sockaddr__, fromlen)
			  : recvfrom(fd, buf, len, flags, from, fromlen);
}

/* ---- and sending */

PA_PRE_EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct pa_pre_tag t;
	enum pa_pre_kind kind = kind_of(fd, &t);
	int rc;

	if (kind == PA_PRE_UDP || kind == PA_PRE_TCP)
		return ours_send(fd, kind, &t, m, flags);
	rc = pa_pre_active() && m->msg_name != NULL ? pa_pre_udp_sends_to(fd, m->msg_name, m->msg_namelen, &t) : -1;
	if (rc < 0)
		return pa_pre_real()->sendmsg(fd, m, flags);
	if (rc == 0)
		return pa_pre_udp_send(fd, &t, m, flags);
	errno = rc;
	return -1;
}

PA_PRE_EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags, __CONST_SOCKADDR_ARG to, socklen_t tolen)
{
	const struct sockaddr *sa = to.__sockaddr__;
	struct iovec iov = {(void *)buf, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = (void *)sa, .msg_namelen = sa != NULL ? tolen : 0};

	if (!pa_pre_active() || (sa == NULL && pa_pre_hint(fd) == PA_PRE_HINT_PLAIN))
		return pa_pre_real()->sendto(fd, buf, len, flags, sa, tolen);
	return sendmsg(fd, &m, flags);
}

PA_PRE_EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return sendto(fd, buf, len, flags, (const struct sockaddr *)NULL, 0);
}

PA_PRE_EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	struct pa_pre_tag t;
	unsigned done = 0;
	ssize_t len;

	if (!pa_pre_active() || (kind_of(fd, &t) == 0 && (n == 0 || v[0].msg_hdr.msg_name == NULL)))
		return pa_pre_real()->sendmmsg(fd, v, n, flags);
	while (done < n && (len = sendmsg(fd, &v[done].msg_hdr, flags)) >= 0)
		v[done++].msg_len = (unsigned)len;
	return done > 0 || n == 0 ? (int)done : -1;
}

PA_PRE_EXPORT ssize_t writev(int fd, const struct iovec *iov, int parts)
{
	struct pa_pre_tag t;
	enum pa_pre_kind kind = kind_of(fd, &t);
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = parts > 0 ? (size_t)parts : 0};
	ssize_t n = -1;

	if (kind == PA_PRE_UDP || kind == PA_PRE_TCP)
		n = ours_send(fd, kind, &t, &m, 0);
	/* The number belongs to a file now, and was TCP of ours before. */
	if ((kind != PA_PRE_UDP && kind != PA_PRE_TCP) || (n < 0 && errno == ENOTSOCK))
		n = pa_pre_real()->writev(fd, iov, parts);
	return n;
}

PA_PRE_EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	struct pa_pre_tag t;
	enum pa_pre_kind kind = kind_of(fd, &t);
	struct iovec iov = {(void *)buf, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = -1;

	if (kind == PA_PRE_UDP || kind == PA_PRE_TCP)
		n = ours_send(fd, kind, &t, &m, 0);
	if ((kind != PA_PRE_UDP && kind != PA_PRE_TCP) || (n < 0 && errno == ENOTSOCK))
		n = pa_pre_real()->write(fd, buf, len);
	return n;
}

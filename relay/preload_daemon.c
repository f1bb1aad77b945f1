/* SPDX-License-Identifier: MPL-2.0 */
/* What the interposer asks pubaddr-tunneld: each request on a connection of its own (common/relay_local.h). */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "relay/preload.h"

#define LIMIT_S 75 /* for an answer: above what the daemon takes for anything but a call */

/* ---- one message each way */

static int tell(int fd, const struct pa_rlocal *m)
{
	uint8_t buf[PA_RLOCAL_LEN_MAX];
	int len = pa_rlocal_encode(m, buf, sizeof(buf));
	ssize_t n;

	if (len < 0)
		return EINVAL;
	do
		n = pa_pre_real()->send(fd, buf, (size_t)len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == len ? 0 : ENETUNREACH;
}

int pa_pre_hear(int fd, struct pa_rlocal *ret, int *ret_fd)
{
	uint8_t buf[PA_RLOCAL_LEN_MAX];
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = pa_pre_real()->recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int got = -1;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? errno : ENETUNREACH;
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(got)))
		memcpy(&got, CMSG_DATA(c), sizeof(got));
	if (got < 0 && (m.msg_flags & MSG_CTRUNC) != 0)
		return EMFILE;
	if (n == 0 || pa_rlocal_decode(buf, (size_t)n, ret) < 0) {
		if (got >= 0)
			(void)pa_pre_real()->close(got);
		return ENETUNREACH;
	}
	*ret_fd = got;
	return 0;
}

/* Connects and asks; *ret is the connection. */
static int begin(const struct pa_rlocal *request, int *ret)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = LIMIT_S};
	int fd, rc;

	memcpy(sun.sun_path, pa_pre_path(), strnlen(pa_pre_path(), sizeof(sun.sun_path) - 1));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	(void)pa_pre_real()->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	do
		rc = pa_pre_real()->connect(fd, (struct sockaddr *)&sun, sizeof(sun));
	while (rc < 0 && errno == EINTR);
	rc = rc < 0 ? ENETUNREACH : tell(fd, request);
	if (rc != 0)
		(void)pa_pre_real()->close(fd);
	else
		*ret = fd;
	return rc;
}

/* One request, one answer of that type. *ret_fd may be NULL where no descriptor is wanted, and is -1 if none came. */
static int ask_and_hear(const struct pa_rlocal *request, uint8_t type, struct pa_rlocal *ret, int *ret_fd, int *ret_conn)
{
	int conn = -1, got = -1, rc = begin(request, &conn);
	struct pa_rlocal answer = {0};

	if (rc != 0)
		return rc;
	do
		rc = pa_pre_hear(conn, &answer, &got);
	while (rc == EINTR);
	if (rc == 0 && answer.type != type && !(type == PA_RLOCAL_CALLED && answer.type == PA_RELAY_RESULT))
		rc = ENETUNREACH;
	if (got >= 0 && (rc != 0 || ret_fd == NULL)) {
		(void)pa_pre_real()->close(got);
		got = -1;
	}
	if (rc == 0) {
		*ret = answer;
		if (ret_fd != NULL)
			*ret_fd = got;
	}
	if (rc == 0 && ret_conn != NULL)
		*ret_conn = conn;
	else
		(void)pa_pre_real()->close(conn);
	return rc == EAGAIN ? ENETUNREACH : rc;
}

/* The program's thread is not cancelled in the midst, with descriptors that nobody knows of. errno stays. */
static int ask(const struct pa_rlocal *request, uint8_t type, struct pa_rlocal *ret, int *ret_fd, int *ret_conn)
{
	int saved = errno, cancel, rc;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	rc = ask_and_hear(request, type, ret, ret_fd, ret_conn);
	(void)pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return rc;
}

/* ---- the requests */

int pa_pre_address(struct pa_addr *ret)
{
	struct pa_rlocal request = {.type = PA_RLOCAL_ADDRESS}, answer;
	int rc = ask(&request, PA_RLOCAL_ADDRESS_IS, &answer, NULL, NULL);

	if (rc == 0)
		rc = pa_relay_errno(answer.body.error);
	if (rc == 0 && !pa_addr_is_ipv4(&answer.body.local.addr))
		rc = ENETUNREACH;
	if (rc == 0)
		*ret = answer.body.local.addr;
	return rc;
}

int pa_pre_call(uint16_t port, const struct pa_endpoint *remote, bool nonblock, int *ret_fd, int *ret_wait)
{
	struct pa_rlocal request = {.type = PA_RELAY_OPEN, .nonblock = nonblock}, answer;
	int fd = -1, conn = -1, rc;

	request.body.kind = PA_RELAY_TCP;
	request.body.local.port = port;
	request.body.remote = *remote;
	rc = ask(&request, PA_RLOCAL_CALLED, &answer, &fd, &conn);
	if (rc != 0)
		return rc;
	if (answer.type == PA_RLOCAL_CALLED && fd >= 0) {
		*ret_fd = fd;
		*ret_wait = conn;
		return 0;
	}
	rc = answer.type == PA_RELAY_RESULT ? pa_relay_errno(answer.body.error) : ENETUNREACH;
	if (fd >= 0)
		(void)pa_pre_real()->close(fd);
	(void)pa_pre_real()->close(conn);
	return rc != 0 ? rc : ENETUNREACH;
}

int pa_pre_await(int wait, const struct timeval *limit)
{
	struct pa_rlocal answer;
	int fd = -1, rc;

	(void)pa_pre_real()->setsockopt(wait, SOL_SOCKET, SO_RCVTIMEO, limit, sizeof(*limit));
	rc = pa_pre_hear(wait, &answer, &fd);
	if (rc == EAGAIN)
		return EINPROGRESS;
	if (rc != 0)
		return rc;
	if (fd >= 0)
		(void)pa_pre_real()->close(fd);
	return answer.type == PA_RELAY_RESULT ? pa_relay_errno(answer.body.error) : ENETUNREACH;
}

int pa_pre_open(enum pa_pre_kind kind, uint16_t port, int backlog, int *ret_fd, struct pa_endpoint *ret_local)
{
	struct pa_rlocal request = {.type = PA_RELAY_OPEN}, answer;
	int fd = -1, rc;

	request.body.kind = kind == PA_PRE_UDP ? PA_RELAY_UDP : PA_RELAY_TCP_LISTEN;
	request.body.local.port = port;
	if (kind != PA_PRE_UDP)
		request.backlog = (uint16_t)(backlog < 1 ? 1 : backlog > 65535 ? 65535 : backlog);
	rc = ask(&request, PA_RELAY_RESULT, &answer, &fd, NULL);
	if (rc == 0)
		rc = pa_relay_errno(answer.body.error);
	if (rc == 0 && fd < 0)
		rc = ENETUNREACH;
	if (rc != 0) {
		if (fd >= 0)
			(void)pa_pre_real()->close(fd);
		return rc;
	}
	*ret_fd = fd;
	*ret_local = answer.body.local;
	return 0;
}

/* About one of ours; *request gets its id. */
static int ask_about(int fd, struct pa_rlocal *request, struct pa_rlocal *ret)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	int saved = errno, rc = pa_pre_real()->getsockname(fd, (struct sockaddr *)&name, &len);

	errno = saved;
	if (rc < 0 || !pa_rlocal_name_parse(&name, len, &request->id))
		return ENOTSOCK;
	return ask(request, PA_RLOCAL_INFO_IS, ret, NULL, NULL);
}

int pa_pre_info(int fd, struct pa_rlocal *ret)
{
	struct pa_rlocal request = {.type = PA_RLOCAL_INFO};

	return ask_about(fd, &request, ret);
}

void pa_pre_set(int fd, bool abrupt, const struct pa_endpoint *peer)
{
	struct pa_rlocal request = {.type = PA_RLOCAL_SET, .abrupt = abrupt, .body.remote = *peer}, now;

	(void)ask_about(fd, &request, &now); /* a daemon that has gone has ended it anyway */
}

int pa_pre_resolve(const char *name, int family, struct pa_addr addrs[PA_RELAY_ADDRS_MAX], unsigned *ret_n)
{
	struct pa_rlocal request = {.type = PA_RELAY_RESOLVE}, answer;
	size_t len = strlen(name);
	int rc;

	if (len == 0 || len > PA_RELAY_NAME_MAX)
		return ENOENT;
	memcpy(request.body.name, name, len);
	request.body.family = family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0;
	rc = ask(&request, PA_RELAY_RESOLVED, &answer, NULL, NULL);
	if (rc != 0)
		return rc;
	if (answer.body.error != PA_RELAY_E_OK || answer.body.n_addrs == 0)
		return answer.body.error == PA_RELAY_E_AGAIN ? EAGAIN : ENOENT;
	memcpy(addrs, answer.body.addrs, answer.body.n_addrs * sizeof(addrs[0]));
	*ret_n = answer.body.n_addrs;
	return 0;
}

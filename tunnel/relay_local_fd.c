/* SPDX-License-Identifier: MPL-2.0 */
/* Descriptors that stand for sessions in programs. */
#include <fcntl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/relay_local_int.h"

#define FILLER_LEN 4096u
#define BUFFER_BYTES (256 << 10) /* asked for; the kernel has its own idea of the most, and doubles it */

/*
 * A socket with the smallest of buffers, full: who waits until it can be written waits until we read. One message that is too large
 * for it, as far as it goes; then single octets, each of which the kernel counts with all its overhead, until none goes.
 */
static size_t fill(int fd, size_t most)
{
	static const uint8_t octets[FILLER_LEN];
	size_t want = most < FILLER_LEN ? most : FILLER_LEN, n = 0;
	int small = 1;
	ssize_t sent;

	if (most > 1)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (n < most && (sent = send(fd, octets, want, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
		n += (size_t)sent;
		want = 1;
	}
	return n;
}

int pa_rfd_pair(int type, const char *iface, uint64_t id, size_t filler, int ret[2], size_t *ret_filler)
{
	struct sockaddr_un name;
	socklen_t len = pa_rlocal_name(iface, id, &name);
	int size = BUFFER_BYTES, fds[2], rc;

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		return PA_EIO;
	if (bind(fds[1], (struct sockaddr *)&name, len) < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
		rc = errno == EADDRINUSE ? PA_EEXIST : PA_EIO;
		close(fds[0]);
		close(fds[1]);
		return rc;
	}
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (filler <= 1)
		pa_rfd_widen(fds[1]);
	*ret_filler = fill(fds[1], filler);
	memcpy(ret, fds, sizeof(fds));
	return 0;
}

void pa_rfd_widen(int program_fd)
{
	int size = BUFFER_BYTES;

	(void)setsockopt(program_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

ssize_t pa_rfd_send(int to, const void *head, size_t head_len, const void *body, size_t body_len, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov[2] = {{(void *)(uintptr_t)head, head_len}, {(void *)(uintptr_t)body, body_len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = body_len > 0 ? 2 : 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

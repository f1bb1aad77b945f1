/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/command.h"
#include "common/err.h"

/* Replies may be long (a page of leases); requests are not. */
#define REPLY_MAX (16u << 20)

static int fail(char err[PA_CLIENT_ERRLEN], const char *path, const char *what, int e)
{
	(void)snprintf(err, PA_CLIENT_ERRLEN, "%.150s: %s: %s", path, what,
		       e == EPROTOTYPE ? "it is no daemon's command socket" : strerror(e));
	if (e == ENOENT || e == ECONNREFUSED)
		return PA_ENOTFOUND;
	if (e == EACCES || e == EPERM)
		return PA_EDENIED;
	if (e == EAGAIN)
		return PA_EAGAIN;
	return PA_EIO;
}

/* Waits for events on fd until the deadline (boot ms). 0, or PA_EAGAIN, or PA_EIO. */
static int wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd p = {fd, events, 0};

	for (;;) {
		uint64_t now = pa_now_get().boot_ms;
		int rc;

		if (now >= deadline)
			return PA_EAGAIN;
		rc = poll(&p, 1, (int)(deadline - now));
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return PA_EIO;
	}
}

static int open_socket(const char *path, uint64_t deadline, char err[PA_CLIENT_ERRLEN])
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(path) >= sizeof(sun.sun_path))
		return fail(err, path, "cannot connect", ENAMETOOLONG);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(err, path, "cannot make a socket", errno);
	memcpy(sun.sun_path, path, strlen(path));
	/* A full backlog gives EAGAIN on a Unix socket and no event to wait for. */
	while ((rc = connect(fd, (struct sockaddr *)&sun, sizeof(sun))) < 0 && errno == EAGAIN &&
	       pa_now_get().boot_ms < deadline)
		(void)poll(NULL, 0, 20);
	if (rc < 0) {
		rc = fail(err, path, "cannot connect", errno);
		close(fd);
		return rc;
	}
	return fd;
}

static int send_all(int fd, const char *line, size_t len, uint64_t deadline)
{
	while (len > 0) {
		ssize_t n = send(fd, line, len, MSG_NOSIGNAL);

		if (n > 0) {
			line += n;
			len -= (size_t)n;
		} else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			int rc = wait_for(fd, POLLOUT, deadline);

			if (rc < 0)
				return rc;
		} else {
			return PA_EIO;
		}
	}
	return 0;
}

/* Reads until a whole line stands in lb. PA_ENOTFOUND if the connection ends before. */
static int receive_line(int fd, struct pa_linebuf *lb, uint64_t deadline, char **ret, size_t *ret_len)
{
	char buf[8192];

	while ((*ret = pa_linebuf_next(lb, ret_len)) == NULL) {
		int rc = wait_for(fd, POLLIN, deadline);
		ssize_t n;

		if (rc < 0)
			return rc;
		n = recv(fd, buf, sizeof(buf), 0);
		if (n == 0)
			return PA_ENOTFOUND;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return PA_EIO;
		if (n > 0 && (rc = pa_linebuf_feed(lb, buf, (size_t)n)) < 0)
			return rc;
	}
	return 0;
}

static const char *failure(int rc)
{
	switch (rc) {
	case PA_EAGAIN:
		return "no reply in time";
	case PA_ENOTFOUND:
		return "the connection was closed without a reply";
	case PA_ETRUNC:
		return "the reply is too long";
	case PA_EFORMAT:
		return "no usable reply: ";
	default:
		return rc == PA_ENOMEM ? "out of memory" : "the connection broke";
	}
}

static int converse(int fd, const char *line, size_t len, uint64_t deadline, json_t **ret, char err[PA_CLIENT_ERRLEN])
{
	struct pa_linebuf *lb = pa_linebuf_new(REPLY_MAX);
	char detail[PA_COMMAND_ERRLEN] = "";
	json_t *root = NULL, *arguments;
	const char *text;
	char *reply;
	size_t n;
	int rc = lb != NULL ? 0 : PA_ENOMEM, result;

	if (rc == 0)
		rc = send_all(fd, line, len, deadline);
	if (rc == 0 || rc == PA_EIO) /* a server that refuses us replies before it closes */
		rc = receive_line(fd, lb, deadline, &reply, &n);
	if (rc == 0)
		rc = pa_reply_parse(reply, n, &root, &result, &text, &arguments, detail);
	if (rc == 0) {
		(void)snprintf(err, PA_CLIENT_ERRLEN, "%s", text);
		*ret = json_incref(arguments);
		json_decref(root);
		rc = result;
	} else {
		(void)snprintf(err, PA_CLIENT_ERRLEN, "%s%s", failure(rc), rc == PA_EFORMAT ? detail : "");
		if (rc == PA_ENOTFOUND || rc == PA_ETRUNC) /* of the socket, PA_ENOTFOUND means something else */
			rc = PA_EIO;
	}
	pa_linebuf_free(lb);
	return rc;
}

int pa_client_call(const char *path, const char *command, json_t *arguments, int timeout_ms, json_t **ret,
		   char err[PA_CLIENT_ERRLEN])
{
	uint64_t deadline = pa_now_get().boot_ms + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);
	json_t *json = pa_command_new(command, arguments, NULL);
	size_t len = 0;
	char *line = json != NULL ? pa_json_line(json, &len) : NULL;
	int fd, rc;

	json_decref(json);
	if (line == NULL) {
		(void)snprintf(err, PA_CLIENT_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	fd = open_socket(path, deadline, err);
	if (fd < 0) {
		rc = fd;
	} else {
		rc = converse(fd, line, len, deadline, ret, err);
		close(fd);
	}
	free(line);
	return rc;
}

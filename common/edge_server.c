/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_server.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"

/*
 * Bytes of replies that may wait for a slow reader: above the first number nothing more is taken from it, above the second
 * (replies to what was under way by then) it is cut off. Everybody may connect to some sockets, so the first one is low.
 */
#define WRITE_QUEUE_HOLD (64u << 10)
#define WRITE_QUEUE_MAX (8u << 20)
#define GROUPS_MAX 1024
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* linux/asm-generic/socket.h, since 6.5 */
#endif
#define DENIED_LOG_MS 1000 /* one line a second: who is refused must not fill the log */

struct client {
	uv_pipe_t pipe; /* pipe.data is the client */
	struct pa_server *server; /* NULL once the server is closed */
	struct client *prev, *next;
	struct pa_linebuf *lines;
	struct ucred peer;
	uint64_t since_ms;
	char *peer_name; /* of a client that was adopted */
	unsigned refs; /* 1 for the open pipe, 1 for each request in flight */
	unsigned in_flight; /* requests that the handler has and has not answered */
	bool closing;
	bool reading; /* libuv reads for us */
	bool eof;     /* the peer sends no more, but may still read */
	bool pumping; /* lines are being handed to the handler, further up the stack */
	char buf[16384];
};

struct pa_server {
	uv_pipe_t pipe;
	struct pa_server_config cfg;
	char *path;
	dev_t device; /* with inode: so that only our own socket is unlinked */
	ino_t inode;
	pa_server_handler handler;
	void *ctx;
	struct client *clients;
	unsigned n_clients;
	uint64_t denied_ms; /* loop time of the last line about somebody refused; 0: none yet */
	unsigned denied_held; /* that were not logged since */
};

struct pa_request {
	struct client *client;
	struct pa_command cmd;
};

struct reply {
	uv_write_t write;
	char *line;
};

static void client_unref(struct client *c)
{
	PA_REQUIRE(c->refs > 0);
	if (--c->refs > 0)
		return;
	pa_linebuf_free(c->lines);
	free(c->peer_name);
	free(c);
}

static void on_client_closed(uv_handle_t *h)
{
	client_unref(h->data);
}

static void client_close(struct client *c)
{
	if (c->closing)
		return;
	c->closing = true;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else if (c->server != NULL)
		c->server->clients = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->server != NULL)
		c->server->n_clients--;
	c->server = NULL;
	uv_close((uv_handle_t *)&c->pipe, on_client_closed);
}

/* A peer that stopped sending is let go once it has all its replies. */
static void close_if_done(struct client *c)
{
	if (c->eof && c->in_flight == 0 && uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) == 0)
		client_close(c);
}

static void pump(struct client *c);

static void on_written(uv_write_t *req, int status)
{
	struct reply *r = req->data;
	struct client *c = req->handle->data;

	free(r->line);
	free(r);
	if (status < 0)
		client_close(c);
	else
		pump(c);
}

static void send_json(struct client *c, json_t *json)
{
	struct reply *r = malloc(sizeof(*r));
	size_t len = 0;
	uv_buf_t buf;

	if (r == NULL)
		goto fail;
	r->line = json != NULL ? pa_json_line(json, &len) : NULL;
	if (r->line == NULL)
		goto fail;
	r->write.data = r;
	buf = uv_buf_init(r->line, (unsigned)len);
	if (uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) > WRITE_QUEUE_MAX ||
	    uv_write(&r->write, (uv_stream_t *)&c->pipe, &buf, 1, on_written) < 0) {
		free(r->line);
		goto fail;
	}
	return;
fail:
	free(r);
	client_close(c);
}

const char *pa_request_name(const struct pa_request *req)
{
	return req->cmd.name;
}

json_t *pa_request_arguments(const struct pa_request *req)
{
	return req->cmd.arguments;
}

const char *pa_request_peer(const struct pa_request *req)
{
	return req->client->peer_name;
}

uid_t pa_request_uid(const struct pa_request *req)
{
	return req->client->peer.uid;
}

pid_t pa_request_pid(const struct pa_request *req)
{
	return req->client->peer.pid;
}

int pa_request_pidfd(const struct pa_request *req)
{
	socklen_t len = sizeof(int);
	uv_os_fd_t sock;
	int fd = -1;

	if (req->client->closing || uv_fileno((const uv_handle_t *)&req->client->pipe, &sock) < 0)
		return PA_ENOTFOUND;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd;
	return errno == ENOPROTOOPT ? PA_ENOTSUP : PA_ENOTFOUND;
}

uint64_t pa_request_since_ms(const struct pa_request *req)
{
	return req->client->since_ms;
}

bool pa_request_in_group(const struct pa_request *req, gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);
	uv_os_fd_t fd;

	if (req->client->peer_name != NULL)
		return false;
	if (req->client->peer.gid == gid)
		return true;
	if (uv_fileno((const uv_handle_t *)&req->client->pipe, &fd) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false; /* also somebody with more groups than fit: none of them counts */
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

void pa_request_reply(struct pa_request *req, enum pa_result result, const char *text, json_t *arguments)
{
	struct client *c = req->client;

	if (c->closing) {
		json_decref(arguments);
	} else {
		json_t *json = pa_reply_new(result, text, arguments, req->cmd.id);

		send_json(c, json);
		json_decref(json);
	}
	pa_command_clear(&req->cmd);
	free(req);
	c->in_flight--;
	pump(c);
	client_unref(c);
}

void pa_request_replyf(struct pa_request *req, enum pa_result result, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pa_request_reply(req, result, text, NULL);
}

static void reply_error(struct client *c, const char *text)
{
	json_t *json = pa_reply_new(PA_RESULT_ERROR, text, NULL, NULL);

	send_json(c, json);
	json_decref(json);
}

static void handle_line(struct client *c, const char *line, size_t len)
{
	char err[PA_COMMAND_ERRLEN];
	struct pa_request *req = calloc(1, sizeof(*req));

	if (req == NULL) {
		client_close(c);
		return;
	}
	if (pa_command_parse(line, len, &req->cmd, err) < 0) {
		free(req);
		reply_error(c, err);
		return;
	}
	req->client = c;
	c->refs++;
	c->in_flight++;
	c->server->handler(c->server->ctx, req);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct client *c = h->data;

	(void)size;
	*buf = uv_buf_init(c->buf, sizeof(c->buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;

	if (n == UV_EOF) {
		c->eof = true;
	} else if (n < 0) {
		client_close(c);
		return;
	} else if (pa_linebuf_feed(c->lines, buf->base, (size_t)n) < 0) {
		reply_error(c, "line too long");
		client_close(c);
		return;
	}
	pump(c);
}

/* Reads on, or stops it. */
static void set_reading(struct client *c, bool on)
{
	if (on == c->reading)
		return;
	c->reading = on;
	if (!on)
		(void)uv_read_stop((uv_stream_t *)&c->pipe);
	else if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0)
		client_close(c);
}

/* May another request of this client come under way? */
static bool has_room(const struct client *c)
{
	return c->in_flight < PA_SERVER_IN_FLIGHT_MAX &&
	       uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe) <= WRITE_QUEUE_HOLD;
}

/*
 * Hands the lines that have come to the handler, as many as may be under way; reads on only if there is room for more, so
 * that what one client can make us hold is bounded.
 */
static void pump(struct client *c)
{
	char *line;
	size_t len;

	if (c->pumping || c->closing)
		return; /* a handler that answers at once: the loop below goes on */
	c->pumping = true;
	c->refs++; /* a handler may close us */
	while (!c->closing && has_room(c) && (line = pa_linebuf_next(c->lines, &len)) != NULL)
		if (len > 0)
			handle_line(c, line, len);
	c->pumping = false;
	if (!c->closing)
		set_reading(c, !c->eof && has_room(c));
	if (!c->closing)
		close_if_done(c);
	client_unref(c);
}

static bool privileged(const struct ucred *peer)
{
	return peer->uid == 0 || peer->uid == geteuid();
}

static bool allowed(const struct pa_server *s, const struct ucred *peer)
{
	if (s->cfg.any_uid || privileged(peer))
		return true;
	if (s->cfg.gid != (gid_t)-1 && peer->gid == s->cfg.gid)
		return true;
	for (size_t i = 0; i < s->cfg.n_uids; i++)
		if (peer->uid == s->cfg.uids[i])
			return true;
	return false;
}

/* Turns a client away, and says so in the log, but not for each of many. */
static void refuse(struct pa_server *s, struct client *c, const char *event, const char *text)
{
	uint64_t now = uv_now(s->pipe.loop) + 1;

	if (s->denied_ms == 0 || now >= s->denied_ms + DENIED_LOG_MS) {
		pa_log(PA_LOG_WARN, event, "uid=%u pid=%d clients=%u socket=%s held-back=%u", (unsigned)c->peer.uid,
		       (int)c->peer.pid, s->n_clients, s->path, s->denied_held);
		s->denied_ms = now;
		s->denied_held = 0;
	} else {
		s->denied_held++;
	}
	reply_error(c, text);
	client_close(c);
}

static void client_start(struct pa_server *s, struct client *c)
{
	socklen_t len = sizeof(c->peer);
	uv_os_fd_t fd;

	c->since_ms = pa_now_get().boot_ms;
	c->server = s;
	c->next = s->clients;
	if (c->next != NULL)
		c->next->prev = c;
	s->clients = c;
	s->n_clients++;
	if (uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->peer, &len) < 0) {
		client_close(c);
	} else if (!allowed(s, &c->peer)) {
		refuse(s, c, "command.denied", "permission denied: this socket serves root and the configured users");
	} else if (s->n_clients > s->cfg.max_clients && !privileged(&c->peer)) {
		refuse(s, c, "command.busy", "too many connections to this socket; try again later");
	} else {
		set_reading(c, true);
	}
}

/* With a pipe that is not connected yet. NULL without memory. */
static struct client *client_new(uv_loop_t *loop)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->refs = 1;
	c->lines = pa_linebuf_new(PA_COMMAND_LINE_MAX);
	if (c->lines == NULL || uv_pipe_init(loop, &c->pipe, 0) < 0) {
		client_unref(c);
		return NULL;
	}
	c->pipe.data = c;
	return c;
}

void pa_server_adopt(struct pa_server *s, int fd, const char *peer)
{
	struct client *c = client_new(s->pipe.loop);

	if (c == NULL) {
		close(fd);
		return;
	}
	c->peer_name = strdup(peer);
	if (c->peer_name != NULL && uv_pipe_open(&c->pipe, fd) == 0) {
		client_start(s, c);
		return;
	}
	close(fd);
	c->closing = true;
	uv_close((uv_handle_t *)&c->pipe, on_client_closed);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct pa_server *s = stream->data;
	struct client *c = status == 0 ? client_new(stream->loop) : NULL;

	if (c == NULL)
		return;
	if (uv_accept(stream, (uv_stream_t *)&c->pipe) < 0) {
		c->closing = true;
		uv_close((uv_handle_t *)&c->pipe, on_client_closed);
		return;
	}
	client_start(s, c);
}

/* Removes a socket that nobody serves. PA_EEXIST if somebody answers, or if it is no socket. */
static int clear_stale(const char *path, char err[PA_SERVER_ERRLEN])
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, rc;

	if (path[0] == '\0' || strlen(path) >= sizeof(sun.sun_path)) {
		(void)snprintf(err, PA_SERVER_ERRLEN, "%.150s: socket name empty or longer than %zu bytes", path,
			       sizeof(sun.sun_path) - 1);
		return PA_EINVAL;
	}
	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		(void)snprintf(err, PA_SERVER_ERRLEN, "%.150s: exists and is not a socket; remove it", path);
		return PA_EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	memcpy(sun.sun_path, path, strlen(path));
	rc = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ? errno : 0;
	close(fd);
	if (rc != ECONNREFUSED) {
		(void)snprintf(err, PA_SERVER_ERRLEN, "%.150s: another process already serves this socket; stop it first",
			       path);
		return PA_EEXIST;
	}
	(void)unlink(path);
	return 0;
}

/*
 * Makes the socket and gives it its name, group and mode; returns it, or PA_EIO. libuv does not do it, for it would unlink
 * whatever has the name by the time when the pipe closes, be it a successor's socket.
 */
static int make_socket(const struct pa_server_config *cfg, char err[PA_SERVER_ERRLEN])
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const char *what = "cannot make a socket";
	mode_t old;
	int rc;

	if (fd < 0)
		goto fail;
	memcpy(sun.sun_path, cfg->path, strlen(cfg->path));
	old = umask(0177); /* nobody else may connect before the mode is set */
	rc = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	(void)umask(old);
	what = errno == ENOENT ? "create its folder first" : "cannot bind";
	if (rc < 0)
		goto fail;
	what = "cannot set its group and mode";
	if ((cfg->gid == (gid_t)-1 || chown(cfg->path, (uid_t)-1, cfg->gid) == 0) && chmod(cfg->path, cfg->mode) == 0)
		return fd;
	rc = errno;
	(void)unlink(cfg->path);
	errno = rc;
fail:
	(void)snprintf(err, PA_SERVER_ERRLEN, "%.150s: %s: %s%s", cfg->path, what, strerror(errno),
		       errno == EACCES ? "; start as root, or let this user write to its folder" : "");
	if (fd >= 0)
		close(fd);
	return PA_EIO;
}

static void on_server_closed(uv_handle_t *h)
{
	struct pa_server *s = h->data;

	free(s->path);
	free(s);
}

/* Removes the socket unless the name is somebody else's by now. */
static void remove_socket(const struct pa_server *s)
{
	struct stat st;

	if (lstat(s->path, &st) == 0 && st.st_ino == s->inode && st.st_dev == s->device)
		(void)unlink(s->path);
}

static struct pa_server *server_alloc(const struct pa_server_config *cfg)
{
	struct pa_server *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->path = strdup(cfg->path)) == NULL) {
		free(s);
		return NULL;
	}
	s->pipe.data = s;
	s->cfg = *cfg;
	s->cfg.path = s->path;
	return s;
}

/* Takes fd in every case. After a failure the pipe is closing, and s frees itself with it. */
static int listen_on(struct pa_server *s, uv_loop_t *loop, int fd)
{
	struct stat st;
	int rc;

	if (lstat(s->path, &st) == 0) {
		s->device = st.st_dev;
		s->inode = st.st_ino;
	}
	(void)uv_pipe_init(loop, &s->pipe, 0); /* cannot fail */
	rc = uv_pipe_open(&s->pipe, fd);
	if (rc < 0)
		close(fd);
	else
		rc = uv_listen((uv_stream_t *)&s->pipe, 64, on_connection);
	if (rc < 0) {
		remove_socket(s);
		uv_close((uv_handle_t *)&s->pipe, on_server_closed);
	}
	return rc;
}

int pa_server_new(uv_loop_t *loop, const struct pa_server_config *cfg, pa_server_handler handler, void *ctx,
		  struct pa_server **ret, char err[PA_SERVER_ERRLEN])
{
	int rc = clear_stale(cfg->path, err), fd;
	struct pa_server *s;

	if (rc < 0)
		return rc;
	s = server_alloc(cfg);
	if (s == NULL) {
		(void)snprintf(err, PA_SERVER_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	s->handler = handler;
	s->ctx = ctx;
	fd = make_socket(cfg, err);
	if (fd < 0) {
		on_server_closed((uv_handle_t *)&s->pipe);
		return fd;
	}
	rc = listen_on(s, loop, fd);
	if (rc < 0) {
		(void)snprintf(err, PA_SERVER_ERRLEN, "%.150s: cannot listen: %s", cfg->path, uv_strerror(rc));
		return PA_EIO;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	*ret = s;
	return 0;
}

void pa_server_close(struct pa_server *s)
{
	if (s == NULL)
		return;
	while (s->clients != NULL)
		client_close(s->clients);
	remove_socket(s);
	uv_close((uv_handle_t *)&s->pipe, on_server_closed);
}

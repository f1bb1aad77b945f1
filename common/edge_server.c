/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"

/* Bytes of replies that may wait for a slow reader before it is cut off. */
#define WRITE_QUEUE_MAX (8u << 20)

struct client {
	uv_pipe_t pipe; /* pipe.data is the client */
	struct pa_server *server; /* NULL once the server is closed */
	struct client *prev, *next;
	struct pa_linebuf *lines;
	struct ucred peer;
	unsigned refs; /* 1 for the open pipe, 1 for each request in flight */
	bool closing;
	char buf[16384];
};

struct pa_server {
	uv_pipe_t pipe;
	struct pa_server_config cfg;
	char *path;
	ino_t inode; /* so that only our own socket is unlinked */
	pa_server_handler handler;
	void *ctx;
	struct client *clients;
	unsigned n_clients;
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

static void on_written(uv_write_t *req, int status)
{
	struct reply *r = req->data;
	struct client *c = req->handle->data;

	free(r->line);
	free(r);
	if (status < 0)
		client_close(c);
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

uid_t pa_request_uid(const struct pa_request *req)
{
	return req->client->peer.uid;
}

pid_t pa_request_pid(const struct pa_request *req)
{
	return req->client->peer.pid;
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
	char *line;
	size_t len;

	if (n < 0) {
		client_close(c);
		return;
	}
	if (pa_linebuf_feed(c->lines, buf->base, (size_t)n) < 0) {
		reply_error(c, "line too long");
		client_close(c);
		return;
	}
	c->refs++; /* a handler may close us */
	while (!c->closing && (line = pa_linebuf_next(c->lines, &len)) != NULL)
		if (len > 0)
			handle_line(c, line, len);
	client_unref(c);
}

static bool allowed(const struct pa_server *s, const struct ucred *peer)
{
	if (s->cfg.any_uid || peer->uid == 0 || peer->uid == geteuid())
		return true;
	if (s->cfg.gid != (gid_t)-1 && peer->gid == s->cfg.gid)
		return true;
	for (size_t i = 0; i < s->cfg.n_uids; i++)
		if (peer->uid == s->cfg.uids[i])
			return true;
	return false;
}

static void client_start(struct pa_server *s, struct client *c)
{
	socklen_t len = sizeof(c->peer);
	uv_os_fd_t fd;

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
		pa_log(PA_LOG_WARN, "command.denied", "uid=%u pid=%d socket=%s", (unsigned)c->peer.uid,
		       (int)c->peer.pid, s->path);
		reply_error(c, "permission denied: this socket serves root and the configured users");
		client_close(c);
	} else if (s->n_clients > s->cfg.max_clients) {
		pa_log(PA_LOG_WARN, "command.busy", "clients=%u socket=%s", s->n_clients, s->path);
		client_close(c);
	} else if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0) {
		client_close(c);
	}
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct pa_server *s = stream->data;
	struct client *c;

	if (status < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return;
	c->refs = 1;
	c->lines = pa_linebuf_new(PA_COMMAND_LINE_MAX);
	if (c->lines == NULL || uv_pipe_init(stream->loop, &c->pipe, 0) < 0) {
		client_unref(c);
		return;
	}
	c->pipe.data = c;
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

	if (strlen(path) >= sizeof(sun.sun_path)) {
		(void)snprintf(err, PA_SERVER_ERRLEN, "%.150s: socket name longer than %zu bytes", path,
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
	rc = connect(fd, (struct sockaddr *)&sun, sizeof(sun));
	close(fd);
	if (rc == 0 || errno == EAGAIN) {
		(void)snprintf(err, PA_SERVER_ERRLEN, "%.150s: another process already serves this socket; stop it first",
			       path);
		return PA_EEXIST;
	}
	(void)unlink(path);
	return 0;
}

static void on_server_closed(uv_handle_t *h)
{
	struct pa_server *s = h->data;

	free(s->path);
	free(s);
}

static int listen_on(struct pa_server *s, char err[PA_SERVER_ERRLEN])
{
	mode_t old = umask(0177); /* nobody else may connect before the mode is set */
	int rc = uv_pipe_bind(&s->pipe, s->path);
	struct stat st;

	(void)umask(old);
	if (rc == 0 && s->cfg.gid != (gid_t)-1 && chown(s->path, (uid_t)-1, s->cfg.gid) < 0)
		rc = uv_translate_sys_error(errno);
	if (rc == 0 && chmod(s->path, s->cfg.mode) < 0)
		rc = uv_translate_sys_error(errno);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&s->pipe, 64, on_connection);
	if (rc < 0) {
		(void)snprintf(err, PA_SERVER_ERRLEN, "%.150s: cannot listen: %s", s->path, uv_strerror(rc));
		return PA_EIO;
	}
	if (lstat(s->path, &st) == 0)
		s->inode = st.st_ino;
	return 0;
}

int pa_server_new(uv_loop_t *loop, const struct pa_server_config *cfg, pa_server_handler handler, void *ctx,
		  struct pa_server **ret, char err[PA_SERVER_ERRLEN])
{
	int rc = clear_stale(cfg->path, err);
	struct pa_server *s;

	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s == NULL || (s->path = strdup(cfg->path)) == NULL || uv_pipe_init(loop, &s->pipe, 0) < 0) {
		if (s != NULL)
			free(s->path);
		free(s);
		(void)snprintf(err, PA_SERVER_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	s->pipe.data = s;
	s->cfg = *cfg;
	s->cfg.path = s->path;
	s->handler = handler;
	s->ctx = ctx;
	rc = listen_on(s, err);
	if (rc < 0) {
		uv_close((uv_handle_t *)&s->pipe, on_server_closed);
		return rc;
	}
	*ret = s;
	return 0;
}

void pa_server_close(struct pa_server *s)
{
	struct stat st;

	if (s == NULL)
		return;
	while (s->clients != NULL)
		client_close(s->clients);
	/* libuv unlinks by name when the pipe closes; another server may have replaced the name by then. */
	if (lstat(s->path, &st) == 0 && st.st_ino == s->inode)
		(void)unlink(s->path);
	uv_close((uv_handle_t *)&s->pipe, on_server_closed);
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_dialog.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/command.h"
#include "common/err.h"

#define READ_LEN 16384

struct pa_dialog {
	uv_loop_t *loop;
	const struct pa_dialog_ops *ops;
	void *ctx;
	uv_pipe_t *pipe; /* frees itself when closed, and has no data then; NULL: none */
	uv_connect_t connect;
	bool up, stopped;
	struct pa_linebuf *lines;
	char buf[READ_LEN];
};

static void on_closed(uv_handle_t *h)
{
	free(h);
}

void pa_dialog_end(struct pa_dialog *d, const char *reason)
{
	if (d->pipe == NULL)
		return;
	d->pipe->data = NULL;
	uv_close((uv_handle_t *)d->pipe, on_closed);
	d->pipe = NULL;
	d->up = false;
	pa_linebuf_free(d->lines);
	d->lines = NULL;
	if (!d->stopped)
		d->ops->down(d->ctx, reason);
}

/* ---------------------------------------------------------------- commands */

struct sending {
	uv_write_t write;
	char *line;
};

static void on_written(uv_write_t *w, int status)
{
	struct sending *s = w->data;
	struct pa_dialog *d = w->handle->data;

	free(s->line);
	free(s);
	if (status < 0 && d != NULL)
		pa_dialog_end(d, uv_strerror(status));
}

void pa_dialog_send(struct pa_dialog *d, const char *command, json_t *arguments, const char *id)
{
	json_t *tag = id != NULL ? json_string(id) : NULL;
	json_t *json = arguments != NULL && (id == NULL || tag != NULL) ? pa_command_new(command, arguments, tag) : NULL;
	struct sending *s = calloc(1, sizeof(*s));
	size_t len = 0;
	uv_buf_t buf;

	if (json != NULL && s != NULL)
		s->line = pa_json_line(json, &len);
	json_decref(json);
	json_decref(tag);
	if (s == NULL || s->line == NULL) {
		free(s);
		pa_dialog_end(d, "out of memory");
		return;
	}
	s->write.data = s;
	buf = uv_buf_init(s->line, (unsigned)len);
	if (uv_write(&s->write, (uv_stream_t *)d->pipe, &buf, 1, on_written) < 0) {
		free(s->line);
		free(s);
		pa_dialog_end(d, "cannot write");
	}
}

/* ---------------------------------------------------------------- replies */

static void handle_line(struct pa_dialog *d, const char *line, size_t len)
{
	char err[PA_COMMAND_ERRLEN];
	json_t *root, *arguments;
	const char *text;
	int result;

	if (pa_reply_parse(line, len, &root, &result, &text, &arguments, err) < 0) {
		pa_dialog_end(d, err);
		return;
	}
	d->ops->reply(d->ctx, json_string_value(json_object_get(root, "id")), result, text, arguments);
	json_decref(root);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct pa_dialog *d = h->data;

	(void)size;
	*buf = d != NULL ? uv_buf_init(d->buf, sizeof(d->buf)) : uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct pa_dialog *d = stream->data;
	char *line;
	size_t len;

	if (d == NULL || n == 0)
		return;
	if (n < 0 || pa_linebuf_feed(d->lines, buf->base, (size_t)n) < 0) {
		pa_dialog_end(d, n < 0 ? uv_strerror((int)n) : "an answer that is too long");
		return;
	}
	/* A reply may end this connection, and the owner may have begun another. */
	while (stream->data == d && (line = pa_linebuf_next(d->lines, &len)) != NULL)
		handle_line(d, line, len);
}

/* ---------------------------------------------------------------- the connection */

/* status: of libuv. */
static void connected(struct pa_dialog *d, int status)
{
	if (status == 0)
		d->lines = pa_linebuf_new(PA_COMMAND_LINE_MAX);
	if (status == 0 && d->lines == NULL)
		status = UV_ENOMEM;
	if (status == 0)
		status = uv_read_start((uv_stream_t *)d->pipe, on_alloc, on_read);
	if (status < 0) {
		pa_dialog_end(d, uv_strerror(status));
		return;
	}
	d->up = true;
	d->ops->up(d->ctx);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct pa_dialog *d = req->handle->data;

	if (d != NULL)
		connected(d, status);
}

static bool new_pipe(struct pa_dialog *d)
{
	d->pipe = calloc(1, sizeof(*d->pipe));
	if (d->pipe == NULL || uv_pipe_init(d->loop, d->pipe, 0) < 0) {
		free(d->pipe);
		d->pipe = NULL;
		d->ops->down(d->ctx, "out of memory");
		return false;
	}
	d->pipe->data = d;
	return true;
}

void pa_dialog_connect(struct pa_dialog *d, const char *path)
{
	if (new_pipe(d))
		uv_pipe_connect(&d->connect, d->pipe, path, on_connected);
}

void pa_dialog_take(struct pa_dialog *d, int fd)
{
	int rc;

	if (!new_pipe(d)) {
		close(fd);
		return;
	}
	rc = uv_pipe_open(d->pipe, fd);
	if (rc < 0)
		close(fd);
	connected(d, rc);
}

bool pa_dialog_is_busy(const struct pa_dialog *d)
{
	return d->pipe != NULL;
}

bool pa_dialog_is_up(const struct pa_dialog *d)
{
	return d->up;
}

/* ---------------------------------------------------------------- life */

int pa_dialog_new(uv_loop_t *loop, const struct pa_dialog_ops *ops, void *ctx, struct pa_dialog **ret)
{
	struct pa_dialog *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return PA_ENOMEM;
	d->loop = loop;
	d->ops = ops;
	d->ctx = ctx;
	*ret = d;
	return 0;
}

void pa_dialog_stop(struct pa_dialog *d)
{
	if (d == NULL || d->stopped)
		return;
	d->stopped = true;
	pa_dialog_end(d, "");
}

void pa_dialog_free(struct pa_dialog *d)
{
	free(d);
}

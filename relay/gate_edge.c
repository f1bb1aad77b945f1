/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/gate_edge.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/command.h"
#include "common/err.h"
#include "common/hex.h"
#include "common/log.h"

#define QUESTION_MAX 256 /* grants in one line, which may have 64 KiB */
#define ANSWER_MS 5000

struct pa_gate {
	uv_loop_t *loop;
	const char *socket;
	const struct pa_gate_ops *ops;
	void *ctx;
	uv_timer_t timer;
	bool stopped, up, lost_logged;
	uv_pipe_t *pipe; /* frees itself; NULL: none */
	uv_connect_t connect;
	bool connected;
	struct pa_linebuf *lines;
	char buf[16384];
	struct pa_gate_grant *grants, *next;	   /* next: where the next question goes on; NULL: at the beginning */
	uint64_t asked_ms, answered_ms, ask_at_ms; /* boot time; asked 0: no question is under way */
};

struct sending {
	uv_write_t write;
	char *line;
};

static void on_pipe_closed(uv_handle_t *h)
{
	free(h);
}

static void disconnect(struct pa_gate *g, const char *reason)
{
	if (g->pipe != NULL) {
		g->pipe->data = NULL;
		uv_close((uv_handle_t *)g->pipe, on_pipe_closed);
	}
	g->pipe = NULL;
	g->connected = false;
	pa_linebuf_free(g->lines);
	g->lines = NULL;
	g->asked_ms = 0;
	for (struct pa_gate_grant *e = g->grants; e != NULL; e = e->next)
		e->asked = false;
	if (!g->stopped && !g->lost_logged)
		pa_log(PA_LOG_WARN, "gateway.lost", "socket=%s reason=\"%s\"", g->socket, reason);
	g->lost_logged = true;
	g->up = false;
}

static void on_written(uv_write_t *w, int status)
{
	struct sending *s = w->data;
	struct pa_gate *g = w->handle->data;

	free(s->line);
	free(s);
	if (status < 0 && g != NULL)
		disconnect(g, uv_strerror(status));
}

/* ---------------------------------------------------------------- the question */

static json_t *grant_json(const struct pa_claims *c)
{
	char addr[PA_ADDR_STRLEN], print[2 * PA_FINGERPRINT_LEN + 1];

	pa_hex_encode(c->fingerprint, sizeof(c->fingerprint), print);
	return json_pack("{s:s, s:I, s:s}", "address", pa_addr_format(&c->addr, addr), "epoch", (json_int_t)c->epoch,
			 "client-key-fingerprint", print);
}

static void ask(struct pa_gate *g)
{
	json_t *list = json_array(), *arguments = json_pack("{s:o}", "grants", list), *json = NULL;
	struct sending *s = calloc(1, sizeof(*s));
	struct pa_gate_grant *e = g->next != NULL ? g->next : g->grants;
	size_t len = 0;
	uv_buf_t buf;

	for (unsigned n = 0; e != NULL && n < QUESTION_MAX; e = e->next, n++)
		e->asked = json_array_append_new(list, grant_json(&e->claims)) == 0;
	g->next = e;
	json = arguments != NULL ? pa_command_new("relay-check", arguments, NULL) : NULL;
	if (json != NULL && s != NULL)
		s->line = pa_json_line(json, &len);
	json_decref(json);
	if (s == NULL || s->line == NULL) {
		free(s);
		disconnect(g, "out of memory");
		return;
	}
	s->write.data = s;
	buf = uv_buf_init(s->line, (unsigned)len);
	g->asked_ms = pa_now_get().boot_ms;
	if (uv_write(&s->write, (uv_stream_t *)g->pipe, &buf, 1, on_written) < 0) {
		free(s->line);
		free(s);
		disconnect(g, "cannot write");
	}
}

/* ---------------------------------------------------------------- the answer */

static enum pa_relay_error error_of(const json_t *refused, const struct pa_claims *c)
{
	static const struct {
		const char *name;
		enum pa_relay_error error;
	} names[] = {{"expired", PA_RELAY_E_EXPIRED}, {"replaced", PA_RELAY_E_REPLACED}, {"again", PA_RELAY_E_AGAIN}};
	char addr[PA_ADDR_STRLEN];
	const char *why = json_string_value(json_object_get(refused, pa_addr_format(&c->addr, addr)));

	if (why == NULL)
		return PA_RELAY_E_OK;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(why, names[i].name) == 0)
			return names[i].error;
	return PA_RELAY_E_DENIED;
}

/* refused: {"ADDRESS": "why", ...}; what was asked about and does not stand there is admitted. */
static void take_answer(struct pa_gate *g, const json_t *arguments)
{
	const json_t *refused = json_object_get(arguments, "refused");
	struct pa_gate_grant *e = g->grants;

	g->asked_ms = 0;
	g->answered_ms = pa_now_get().boot_ms;
	if (!g->up)
		pa_log(PA_LOG_INFO, "gateway.found", "socket=%s", g->socket);
	g->up = true;
	g->lost_logged = false;
	while (e != NULL) {
		struct pa_gate_grant *next = e->next; /* an op may forget this one, and no other */
		enum pa_relay_error error;

		if (!e->asked) {
			e = next;
			continue;
		}
		e->asked = false;
		error = error_of(refused, &e->claims);
		if (!e->admitted) {
			e->admitted = error == PA_RELAY_E_OK;
			g->ops->admitted(g->ctx, e, error);
		} else if (error != PA_RELAY_E_OK && error != PA_RELAY_E_AGAIN) {
			g->ops->ended(g->ctx, e, error);
		}
		e = next;
	}
	/* Who came while the question was under way waits for the next one: now. */
	if (g->connected && g->asked_ms == 0 && g->grants != NULL && !g->grants->admitted)
		ask(g);
}

static void handle_line(struct pa_gate *g, const char *line, size_t len)
{
	char err[PA_COMMAND_ERRLEN];
	json_t *root, *arguments;
	const char *text;
	int result;

	if (pa_reply_parse(line, len, &root, &result, &text, &arguments, err) < 0) {
		disconnect(g, err);
		return;
	}
	if (result != PA_RESULT_SUCCESS || g->asked_ms == 0)
		disconnect(g, result != PA_RESULT_SUCCESS ? text : "an answer that nobody asked for");
	else
		take_answer(g, arguments);
	json_decref(root);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct pa_gate *g = h->data;

	(void)size;
	*buf = g != NULL ? uv_buf_init(g->buf, sizeof(g->buf)) : uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct pa_gate *g = stream->data;
	char *line;
	size_t len;

	if (g == NULL || n == 0)
		return;
	if (n < 0 || pa_linebuf_feed(g->lines, buf->base, (size_t)n) < 0) {
		disconnect(g, n < 0 ? uv_strerror((int)n) : "an answer that is too long");
		return;
	}
	while (g->lines != NULL && (line = pa_linebuf_next(g->lines, &len)) != NULL)
		handle_line(g, line, len);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct pa_gate *g = req->handle->data;

	if (g == NULL)
		return;
	if (status < 0 || (g->lines = pa_linebuf_new(PA_COMMAND_LINE_MAX)) == NULL ||
	    (status = uv_read_start((uv_stream_t *)g->pipe, on_alloc, on_read)) < 0) {
		disconnect(g, status < 0 ? uv_strerror(status) : "out of memory");
		return;
	}
	g->connected = true;
	ask(g);
}

static void connect_now(struct pa_gate *g)
{
	g->pipe = calloc(1, sizeof(*g->pipe));
	if (g->pipe == NULL || uv_pipe_init(g->loop, g->pipe, 0) < 0) {
		free(g->pipe);
		g->pipe = NULL;
		return;
	}
	g->pipe->data = g;
	uv_pipe_connect(&g->connect, g->pipe, g->socket, on_connected);
}

/* ---------------------------------------------------------------- time */

static void end_all(struct pa_gate *g)
{
	for (struct pa_gate_grant *e = g->grants, *next; e != NULL; e = next) {
		next = e->next;
		if (e->admitted)
			g->ops->ended(g->ctx, e, PA_RELAY_E_AGAIN);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct pa_gate *g = timer->data;
	uint64_t now = pa_now_get().boot_ms;

	if (now >= g->answered_ms + PA_GATE_DEAD_MS)
		end_all(g);
	if (g->asked_ms != 0 && now >= g->asked_ms + ANSWER_MS)
		disconnect(g, "no answer in time");
	if (g->pipe == NULL)
		connect_now(g);
	else if (g->connected && g->asked_ms == 0)
		ask(g);
}

int pa_gate_new(uv_loop_t *loop, const char *socket, const struct pa_gate_ops *ops, void *ctx, struct pa_gate **ret)
{
	struct pa_gate *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return PA_ENOMEM;
	g->loop = loop;
	g->socket = socket;
	g->ops = ops;
	g->ctx = ctx;
	g->timer.data = g;
	g->answered_ms = pa_now_get().boot_ms;
	if (uv_timer_init(loop, &g->timer) < 0 || uv_timer_start(&g->timer, on_tick, 0, PA_GATE_ASK_MS) < 0) {
		free(g);
		return PA_ENOMEM;
	}
	*ret = g;
	return 0;
}

void pa_gate_stop(struct pa_gate *g)
{
	if (g == NULL || g->stopped)
		return;
	g->stopped = true;
	disconnect(g, "");
	uv_close((uv_handle_t *)&g->timer, NULL);
}

void pa_gate_free(struct pa_gate *g)
{
	free(g);
}

bool pa_gate_up(const struct pa_gate *g)
{
	return g->up;
}

void pa_gate_ask(struct pa_gate *g, struct pa_gate_grant *grant)
{
	grant->asked = grant->admitted = false;
	grant->prev = NULL;
	grant->next = g->grants;
	if (g->grants != NULL)
		g->grants->prev = grant;
	g->grants = grant;
	g->next = NULL; /* with the new one first */
	if (g->connected && g->asked_ms == 0)
		ask(g);
}

void pa_gate_forget(struct pa_gate *g, struct pa_gate_grant *grant)
{
	if (grant->prev == NULL && grant->next == NULL && g->grants != grant)
		return;
	if (g->next == grant)
		g->next = grant->next;
	if (grant->prev != NULL)
		grant->prev->next = grant->next;
	else
		g->grants = grant->next;
	if (grant->next != NULL)
		grant->next->prev = grant->prev;
	grant->prev = grant->next = NULL;
}

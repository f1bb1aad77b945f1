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
		e->asked = -1;
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

/* Puts e into the question, as number n. */
static bool put_grant(json_t *list, struct pa_gate_grant *e, int n)
{
	if (json_array_append_new(list, grant_json(&e->claims)) < 0)
		return false;
	e->asked = n;
	return true;
}

/* Those that wait for their first answer, then the others in turn, from where the last question ended. */
static void put_grants(struct pa_gate *g, json_t *list)
{
	struct pa_gate_grant *e = g->grants;
	int n = 0;

	for (; e != NULL && n < QUESTION_MAX / 2; e = e->next)
		if (!e->admitted && put_grant(list, e, n))
			n++;
	for (e = g->next != NULL ? g->next : g->grants; e != NULL && n < QUESTION_MAX; e = e->next)
		if (e->asked < 0 && put_grant(list, e, n))
			n++;
	g->next = e;
}

static void ask(struct pa_gate *g)
{
	json_t *list = json_array(), *arguments = json_pack("{s:o}", "grants", list), *json = NULL;
	struct sending *s = calloc(1, sizeof(*s));
	size_t len = 0;
	uv_buf_t buf;

	put_grants(g, list);
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

static enum pa_relay_error error_of(const json_t *answers, int n)
{
	static const struct {
		const char *name;
		enum pa_relay_error error;
	} names[] = {{"", PA_RELAY_E_OK}, {"expired", PA_RELAY_E_EXPIRED}, {"replaced", PA_RELAY_E_REPLACED}};
	const char *why = json_string_value(json_array_get(answers, (size_t)n));

	for (size_t i = 0; why != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(why, names[i].name) == 0)
			return names[i].error;
	return PA_RELAY_E_AGAIN;
}

static void answered(struct pa_gate *g, struct pa_gate_grant *e, enum pa_relay_error error)
{
	if (error != PA_RELAY_E_AGAIN)
		e->checked_ms = g->answered_ms;
	if (!e->admitted) {
		e->admitted = error == PA_RELAY_E_OK;
		g->ops->admitted(g->ctx, e, error);
	} else if (error != PA_RELAY_E_OK && error != PA_RELAY_E_AGAIN) {
		g->ops->ended(g->ctx, e, error);
	}
}

/* The grant that was number n of the question; NULL: forgotten meanwhile. */
static struct pa_gate_grant *asked_as(struct pa_gate *g, int n)
{
	struct pa_gate_grant *e = g->grants;

	while (e != NULL && e->asked != n)
		e = e->next;
	return e;
}

static bool somebody_waits(const struct pa_gate *g)
{
	for (const struct pa_gate_grant *e = g->grants; e != NULL; e = e->next)
		if (!e->admitted)
			return true;
	return false;
}

/* answers: for each grant of the question "" or why it must not be served. An op may forget any grant. */
static void take_answer(struct pa_gate *g, const json_t *arguments)
{
	const json_t *answers = json_object_get(arguments, "answers");

	g->asked_ms = 0;
	g->answered_ms = pa_now_get().boot_ms;
	if (!g->up)
		pa_log(PA_LOG_INFO, "gateway.found", "socket=%s", g->socket);
	g->up = true;
	g->lost_logged = false;
	for (int n = 0; n < (int)json_array_size(answers); n++) {
		struct pa_gate_grant *e = asked_as(g, n);

		if (e == NULL)
			continue;
		e->asked = -1;
		answered(g, e, error_of(answers, n));
	}
	/* Who came while the question was under way waits for the next one: now. */
	if (g->connected && g->asked_ms == 0 && somebody_waits(g))
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

/* Nobody is served whom the gateway has not confirmed for so long. */
static void end_unconfirmed(struct pa_gate *g, uint64_t now)
{
	struct pa_gate_grant *e = g->grants;

	while (e != NULL) { /* ending one may end others: from the beginning again */
		if (e->admitted && now >= e->checked_ms + PA_GATE_DEAD_MS) {
			g->ops->ended(g->ctx, e, PA_RELAY_E_AGAIN);
			e = g->grants;
		} else {
			e = e->next;
		}
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct pa_gate *g = timer->data;
	uint64_t now = pa_now_get().boot_ms;

	end_unconfirmed(g, now);
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
	grant->asked = -1;
	grant->admitted = false;
	grant->checked_ms = pa_now_get().boot_ms;
	grant->prev = NULL;
	grant->next = g->grants;
	if (g->grants != NULL)
		g->grants->prev = grant;
	g->grants = grant;
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

void pa_gate_changed(struct pa_gate_grant *grant)
{
	grant->asked = -1;
}

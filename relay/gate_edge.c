/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/gate_edge.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/command.h"
#include "common/edge_dialog.h"
#include "common/err.h"
#include "common/hex.h"
#include "common/log.h"

#define QUESTION_MAX 256 /* grants in one line, which may have 64 KiB */
#define ROUND_MAX 10	 /* questions at the ordinary pace until all have been asked about; with more grants they come faster */
#define TICK_MS 100
#define ANSWER_MS 5000

struct pa_gate {
	uv_loop_t *loop;
	const char *socket;
	const struct pa_gate_ops *ops;
	void *ctx;
	uv_timer_t timer;
	struct pa_dialog *dialog;
	bool stopped, up, lost_logged;
	struct pa_gate_grant *grants, *next;		/* next: where the next question goes on; NULL: at the beginning */
	unsigned n_grants;
	struct pa_gate_grant *question[QUESTION_MAX];	/* that is under way; NULL: forgotten since */
	uint64_t asked_ms, answered_ms, next_ms;	/* boot time; asked 0: no question is under way */
};

static void on_down(void *ctx, const char *reason)
{
	struct pa_gate *g = ctx;

	g->asked_ms = 0;
	memset(g->question, 0, sizeof(g->question));
	g->next_ms = pa_now_get().boot_ms + PA_GATE_ASK_MS;
	for (struct pa_gate_grant *e = g->grants; e != NULL; e = e->next)
		e->asked = -1;
	if (!g->lost_logged)
		pa_log(PA_LOG_WARN, "gateway.lost", "socket=%s reason=\"%s\"", g->socket, reason);
	g->lost_logged = true;
	g->up = false;
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
static bool put_grant(struct pa_gate *g, json_t *list, struct pa_gate_grant *e, int n)
{
	if (json_array_append_new(list, grant_json(&e->claims)) < 0)
		return false;
	e->asked = n;
	g->question[n] = e;
	return true;
}

/* Those that wait for their first answer, then the others in turn, from where the last question ended. */
static void put_grants(struct pa_gate *g, json_t *list)
{
	struct pa_gate_grant *e = g->grants;
	int n = 0;

	for (; e != NULL && n < QUESTION_MAX / 2; e = e->next)
		if (!e->admitted && put_grant(g, list, e, n))
			n++;
	for (e = g->next != NULL ? g->next : g->grants; e != NULL && n < QUESTION_MAX; e = e->next)
		if (e->asked < 0 && put_grant(g, list, e, n))
			n++;
	g->next = e;
}

static void ask(struct pa_gate *g)
{
	json_t *list = json_array();
	uint64_t now = pa_now_get().boot_ms, wait = PA_GATE_ASK_MS;

	memset(g->question, 0, sizeof(g->question));
	put_grants(g, list);
	if (g->n_grants > QUESTION_MAX * ROUND_MAX)
		wait = wait * QUESTION_MAX * ROUND_MAX / g->n_grants;
	g->asked_ms = now;
	g->next_ms = now + wait;
	pa_dialog_send(g->dialog, "relay-check", json_pack("{s:o}", "grants", list), NULL);
}

static void ask_now(struct pa_gate *g)
{
	if (pa_dialog_is_up(g->dialog) && g->asked_ms == 0)
		ask(g);
}

static void on_up(void *ctx)
{
	ask(ctx);
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
	for (int n = 0; n < (int)json_array_size(answers) && n < QUESTION_MAX; n++) {
		struct pa_gate_grant *e = g->question[n];

		if (e == NULL || e->asked != n)
			continue;
		e->asked = -1;
		answered(g, e, error_of(answers, n));
	}
	/* Who came while the question was under way waits for the next one: now. */
	if (somebody_waits(g))
		ask_now(g);
}

static void on_reply(void *ctx, const char *id, int result, const char *text, const json_t *arguments)
{
	struct pa_gate *g = ctx;

	(void)id;
	if (result != PA_RESULT_SUCCESS || g->asked_ms == 0)
		pa_dialog_end(g->dialog, result != PA_RESULT_SUCCESS ? text : "an answer that nobody asked for");
	else
		take_answer(g, arguments);
}

static const struct pa_dialog_ops dialog_ops = {.up = on_up, .reply = on_reply, .down = on_down};

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
		pa_dialog_end(g->dialog, "no answer in time");
	if (now < g->next_ms)
		return;
	if (!pa_dialog_is_busy(g->dialog))
		pa_dialog_connect(g->dialog, g->socket);
	else
		ask_now(g);
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
	if (pa_dialog_new(loop, &dialog_ops, g, &g->dialog) < 0) {
		free(g);
		return PA_ENOMEM;
	}
	(void)uv_timer_init(loop, &g->timer); /* neither can fail */
	(void)uv_timer_start(&g->timer, on_tick, 0, TICK_MS);
	*ret = g;
	return 0;
}

void pa_gate_stop(struct pa_gate *g)
{
	if (g == NULL || g->stopped)
		return;
	g->stopped = true;
	pa_dialog_stop(g->dialog);
	uv_close((uv_handle_t *)&g->timer, NULL);
}

void pa_gate_free(struct pa_gate *g)
{
	if (g == NULL)
		return;
	pa_dialog_free(g->dialog);
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
	g->n_grants++;
	ask_now(g);
}

void pa_gate_forget(struct pa_gate *g, struct pa_gate_grant *grant)
{
	if (grant->prev == NULL && grant->next == NULL && g->grants != grant)
		return;
	g->n_grants--;
	pa_gate_changed(g, grant);
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

void pa_gate_changed(struct pa_gate *g, struct pa_gate_grant *grant)
{
	if (grant->asked >= 0)
		g->question[grant->asked] = NULL;
	grant->asked = -1;
}

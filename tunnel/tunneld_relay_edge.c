/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_relay_edge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/err.h"
#include "common/log.h"
#include "tunnel/status_json.h"
#include "tunnel/tunneld_relay_int.h"

#define TICK_MS 500
#define HANDLES 2

static uint64_t now_ms(void)
{
	return pa_now_get().boot_ms;
}

static void on_timer(uv_timer_t *timer);
static void on_soon(uv_timer_t *timer);

/* Those who wait are told from the loop, not from wherever we are. */
void pa_turelay_settle_soon(struct pa_turelay *r)
{
	if (r->closing)
		return;
	(void)uv_timer_start(&r->soon, on_soon, 0, 0);
	if (!uv_is_active((uv_handle_t *)&r->timer))
		(void)uv_timer_start(&r->timer, on_timer, TICK_MS, TICK_MS);
}

/* ---------------------------------------------------------------- the connection */

/* Where the server is, as configuration or grant say; false: nobody says. */
static bool server_of(const struct pa_turelay *r, struct pa_endpoint *ret)
{
	const struct pa_endpoint *e = !pa_addr_is_none(&r->cfg.conf->server.addr) ? &r->cfg.conf->server : &r->grant.relay;

	if (pa_addr_is_none(&e->addr))
		return false;
	*ret = *e;
	return true;
}

static void tell_tunnel(struct pa_turelay *r)
{
	if (r->tunnel != NULL)
		r->tunnel->state(r->tunnel_ctx, r->up);
}

static void on_up(void *ctx, bool resumed)
{
	char server[PA_ENDPOINT_STRLEN], addr[PA_ADDR_STRLEN], mapped[PA_ENDPOINT_STRLEN];
	struct pa_turelay *r = ctx;
	struct pa_endpoint as = pa_relay_client_mapped(r->client);

	r->up = r->ready = true;
	r->down_ms = 0;
	r->trouble[0] = r->former[0] = '\0';
	r->count.resumed += resumed;
	pa_log(PA_LOG_INFO, "relay.ready", "server=%s addr=%s mapped=%s resumed=%s", pa_endpoint_format(&r->server, server),
	       pa_addr_format(&r->grant.claims.addr, addr), pa_endpoint_format(&as, mapped), resumed ? "yes" : "no");
	tell_tunnel(r);
	pa_turelay_settle_soon(r);
}

static void on_down(void *ctx, const char *reason)
{
	struct pa_turelay *r = ctx;
	bool was_up = r->up;

	r->up = false;
	if (was_up) {
		r->down_ms = now_ms();
		r->count.lost++;
	}
	/* Attempts that fail one like the other are one line. */
	if (was_up || strncmp(r->trouble, reason, sizeof(r->trouble) - 1) != 0)
		pa_log(PA_LOG_WARN, was_up ? "relay.lost" : "relay.unreachable", "reason=\"%s\"", reason);
	(void)snprintf(r->trouble, sizeof(r->trouble), "%s", reason);
	if (was_up)
		tell_tunnel(r);
	pa_turelay_settle_soon(r);
}

static void on_over(void *ctx, enum pa_relay_error error, bool final)
{
	struct pa_turelay *r = ctx;

	pa_log(PA_LOG_WARN, "relay.over", "reason=%s final=%s", pa_relay_error_name(error), final ? "yes" : "no");
	if (final) {
		r->final = error;
		r->ready = false;
	}
	pa_turelay_reset_all(r, error);
	pa_turelay_settle_soon(r);
}

static uint64_t next_bind(void *ctx)
{
	struct pa_turelay *r = ctx;

	return r->cfg.next_bind(r->cfg.ctx);
}

static void connect_now(struct pa_turelay *r)
{
	struct pa_relay_client_config cfg = {.loop = r->cfg.loop,
					     .device = r->cfg.iface,
					     .mark = r->cfg.mark,
					     .tls = r->tls,
					     .name = r->cfg.conf->name,
					     .secret_key = r->secret_key,
					     .next_bind = next_bind,
					     .retry = &r->retry,
					     .up = on_up,
					     .down = on_down,
					     .over = on_over,
					     .ops = &pa_turelay_link_ops,
					     .ctx = r};
	char server[PA_ENDPOINT_STRLEN];

	cfg.server = r->server;
	if (pa_relay_client_new(&cfg, &r->grant, &r->client) < 0)
		return; /* the timer tries again */
	r->count.connects++;
	pa_log(PA_LOG_INFO, "relay.connect", "server=%s", pa_endpoint_format(&r->server, server));
}

/* All sessions with it, for that reason. */
static void disconnect(struct pa_turelay *r, enum pa_relay_error error)
{
	struct pa_relay_client *client = r->client;
	bool was_up = r->up;

	if (client == NULL)
		return;
	pa_turelay_reset_all(r, error);
	r->client = NULL;
	r->up = r->ready = false;
	r->down_ms = r->idle_ms = 0;
	if (r->trouble[0] != '\0') /* for who asks later */
		memcpy(r->former, r->trouble, sizeof(r->former));
	r->trouble[0] = '\0';
	pa_relay_client_close(client);
	if (was_up)
		tell_tunnel(r);
}

static void connect_if_wanted(struct pa_turelay *r)
{
	if (r->client == NULL && r->n_link > 0 && r->has_grant && r->final == PA_RELAY_E_OK && server_of(r, &r->server))
		connect_now(r);
}

/* ---------------------------------------------------------------- who waits */

/* Is what w needs there (OK), out of reach (an error), or neither (-1)? */
static int state_of(const struct pa_turelay *r, const struct pa_turelay_want *w)
{
	struct pa_endpoint server;

	if (!r->has_grant)
		return r->worth_waiting ? -1 : PA_RELAY_E_NET;
	if (w->need == PA_TURELAY_ADDRESS)
		return PA_RELAY_E_OK;
	if (!server_of(r, &server))
		return PA_RELAY_E_NOT_FOUND;
	if (r->final != PA_RELAY_E_OK)
		return (int)r->final;
	if (r->ready)
		return PA_RELAY_E_OK;
	/* The tunnel has nothing better to do than to wait. */
	return w->need == PA_TURELAY_LINK && pa_rretry_refused(&r->retry, now_ms()) ? PA_RELAY_E_NET : -1;
}

static void tell(struct pa_turelay *r, struct pa_turelay_want *w, enum pa_relay_error state)
{
	TAILQ_REMOVE(&r->waiting, w, waiting);
	w->told = true;
	w->ready(w->ctx, state);
}

/* ready may end its own want and others: begin again after each. */
static void settle(struct pa_turelay *r)
{
	uint64_t now = now_ms();
	struct pa_turelay_want *w;

	do {
		for (w = TAILQ_FIRST(&r->waiting); w != NULL; w = TAILQ_NEXT(w, waiting)) {
			int state = state_of(r, w);

			if (state < 0 && now >= w->until_ms)
				state = r->has_grant ? PA_RELAY_E_TIMEOUT : PA_RELAY_E_NET;
			if (state < 0)
				continue;
			tell(r, w, (enum pa_relay_error)state);
			break;
		}
	} while (w != NULL && !r->closing);
}

static void on_soon(uv_timer_t *timer)
{
	struct pa_turelay *r = timer->data;

	connect_if_wanted(r);
	settle(r);
}

/* Sessions that the server has forgotten do not come back, and a connection that nobody wants costs both ends something. */
static void watch(struct pa_turelay *r)
{
	uint64_t now = now_ms();

	if (r->client != NULL && r->down_ms != 0 && now >= r->down_ms + PA_RELAY_HOLD_S * 1000) {
		pa_log(PA_LOG_WARN, "relay.over", "reason=%s final=no", pa_relay_error_name(PA_RELAY_E_LOST));
		disconnect(r, PA_RELAY_E_LOST);
	}
	if (r->n_link > 0 || r->client == NULL)
		r->idle_ms = 0;
	else if (r->idle_ms == 0)
		r->idle_ms = now;
	else if (now >= r->idle_ms + PA_TURELAY_LINGER_S * 1000) {
		pa_log(PA_LOG_INFO, "relay.idle", "reason=\"nobody wants the connection any more\"");
		disconnect(r, PA_RELAY_E_SHUTDOWN);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct pa_turelay *r = timer->data;

	watch(r);
	connect_if_wanted(r);
	settle(r);
	pa_turelay_tell_held(r);
	if (r->n_wants == 0 && r->client == NULL && r->lines.held == 0)
		(void)uv_timer_stop(&r->timer);
}

bool pa_turelay_want(struct pa_turelay *r, struct pa_turelay_want *w)
{
	PA_REQUIRE(!w->held);
	w->held = true;
	w->until_ms = now_ms() + PA_TURELAY_WAIT_S * 1000;
	r->n_wants++;
	r->n_link += w->need != PA_TURELAY_ADDRESS;
	if (w->need != PA_TURELAY_FERRY && r->n_demand++ == 0)
		r->worth_waiting = r->cfg.demand != NULL && r->cfg.demand(r->cfg.ctx, true);
	w->told = TAILQ_EMPTY(&r->waiting) && state_of(r, w) == PA_RELAY_E_OK; /* nobody overtakes */
	if (!w->told)
		TAILQ_INSERT_TAIL(&r->waiting, w, waiting);
	if (!w->told || r->idle_ms != 0)
		pa_turelay_settle_soon(r);
	return w->told;
}

void pa_turelay_unwant(struct pa_turelay *r, struct pa_turelay_want *w)
{
	if (!w->held)
		return;
	w->held = false;
	if (!w->told)
		TAILQ_REMOVE(&r->waiting, w, waiting);
	r->n_wants--;
	r->n_link -= w->need != PA_TURELAY_ADDRESS;
	if (w->need != PA_TURELAY_FERRY && --r->n_demand == 0 && r->cfg.demand != NULL)
		(void)r->cfg.demand(r->cfg.ctx, false);
}

/* ---------------------------------------------------------------- what the daemon tells */

void pa_turelay_grant(struct pa_turelay *r, const struct pa_grant *g)
{
	struct pa_endpoint server;
	bool same = g != NULL && r->has_grant && pa_addr_eq(&g->claims.addr, &r->grant.claims.addr) &&
		    g->claims.epoch == r->grant.claims.epoch;

	if (g == NULL && !r->has_grant)
		return;
	if (!same)
		r->retry = (struct pa_rretry){0};
	if (!same)
		disconnect(r, g == NULL ? PA_RELAY_E_EXPIRED : PA_RELAY_E_REPLACED);
	r->final = PA_RELAY_E_OK;
	r->former[0] = '\0';
	r->has_grant = g != NULL;
	pa_grant_wipe(&r->grant);
	if (g != NULL)
		r->grant = *g;
	if (!server_of(r, &server) || !pa_endpoint_eq(&server, &r->server)) { /* how another one did says nothing */
		r->retry = (struct pa_rretry){0};
		disconnect(r, PA_RELAY_E_REPLACED);
	}
	if (r->client != NULL)
		pa_relay_client_grant(r->client, &r->grant);
	if (!TAILQ_EMPTY(&r->waiting))
		pa_turelay_settle_soon(r);
}

bool pa_turelay_known(const struct pa_turelay *r)
{
	struct pa_endpoint server;

	return server_of(r, &server);
}

struct pa_addr pa_turelay_addr(const struct pa_turelay *r)
{
	return r->has_grant ? r->grant.claims.addr : (struct pa_addr){{0}};
}

struct pa_rlink *pa_turelay_link(const struct pa_turelay *r)
{
	return r->client != NULL && r->ready ? pa_relay_client_link(r->client) : NULL;
}

bool pa_turelay_is_up(const struct pa_turelay *r)
{
	return r->up;
}

void pa_turelay_set_tunnel(struct pa_turelay *r, const struct pa_turelay_tunnel_ops *ops, void *ctx)
{
	r->tunnel = ops;
	r->tunnel_ctx = ctx;
}

static const char *state_name(const struct pa_turelay *r)
{
	if (r->up)
		return "up";
	if (r->final != PA_RELAY_E_OK)
		return "refused";
	if (r->client != NULL)
		return r->ready ? "lost" : "connecting";
	return r->n_link > 0 ? "waiting" : "off";
}

static json_t *counters_json(const struct pa_turelay_counters *c)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connects", (json_int_t)c->connects, "resumed",
			 (json_int_t)c->resumed, "lost", (json_int_t)c->lost, "calls", (json_int_t)c->calls, "connected",
			 (json_int_t)c->connected, "failed", (json_int_t)c->failed, "incoming", (json_int_t)c->incoming, "ended",
			 (json_int_t)c->ended, "reset", (json_int_t)c->reset, "names", (json_int_t)c->names,
			 "names-refused", (json_int_t)c->names_refused);
}

/* Why there is no connection; NULL: there is one, or nobody has wanted one that did not come. */
static const char *problem_of(const struct pa_turelay *r)
{
	if (r->trouble[0] != '\0')
		return r->trouble;
	if (r->final != PA_RELAY_E_OK)
		return pa_relay_error_name(r->final);
	return r->former[0] != '\0' ? r->former : NULL;
}

json_t *pa_turelay_status(const struct pa_turelay *r)
{
	json_t *obj = json_pack("{s:s}", "state", state_name(r));
	struct pa_endpoint server, mapped;

	if (server_of(r, &server))
		(void)json_object_set_new(obj, "server", pa_endpoint_json(&server));
	if (r->up) {
		mapped = pa_relay_client_mapped(r->client);
		(void)json_object_set_new(obj, "mapped", pa_endpoint_json(&mapped));
	}
	if (problem_of(r) != NULL)
		(void)json_object_set_new(obj, "problem", json_string(problem_of(r)));
	(void)json_object_set_new(obj, "wanted", json_integer(r->n_wants));
	(void)json_object_set_new(obj, "sessions",
				  json_integer(r->client != NULL ? pa_rlink_sessions(pa_relay_client_link(r->client)) : 0));
	(void)json_object_set_new(obj, "counters", counters_json(&r->count));
	(void)json_object_set_new(obj, "recent", pa_turelay_recent_json(r));
	return obj;
}

/* ---------------------------------------------------------------- life */

int pa_turelay_new(const struct pa_turelay_config *cfg, struct pa_turelay **ret, char err[PA_TURELAY_ERRLEN])
{
	struct pa_turelay *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL) {
		(void)snprintf(err, PA_TURELAY_ERRLEN, "%s", pa_strerror(PA_ENOMEM));
		return PA_ENOMEM;
	}
	rc = pa_stream_tls_client(cfg->conf->ca, &r->tls, err);
	if (rc < 0) {
		free(r);
		return rc;
	}
	TAILQ_INIT(&r->waiting);
	r->cfg = *cfg;
	memcpy(r->secret_key, cfg->secret_key, sizeof(r->secret_key));
	r->cfg.secret_key = r->secret_key;
	r->timer.data = r->soon.data = r;
	(void)uv_timer_init(cfg->loop, &r->timer);
	(void)uv_timer_init(cfg->loop, &r->soon);
	r->open = HANDLES;
	*ret = r;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct pa_turelay *r = h->data;

	if (--r->open > 0)
		return;
	pa_stream_tls_free(r->tls);
	pa_wipe(r, sizeof(*r));
	free(r);
}

void pa_turelay_close(struct pa_turelay *r)
{
	if (r == NULL || r->closing)
		return;
	disconnect(r, PA_RELAY_E_SHUTDOWN);
	r->closing = true;
	while (!TAILQ_EMPTY(&r->waiting))
		tell(r, TAILQ_FIRST(&r->waiting), PA_RELAY_E_SHUTDOWN);
	uv_close((uv_handle_t *)&r->timer, on_closed);
	uv_close((uv_handle_t *)&r->soon, on_closed);
}

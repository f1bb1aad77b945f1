/* SPDX-License-Identifier: MPL-2.0 */
/* A client of the relay server: what its link asks for, and its life over several connections. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "relay/client_edge.h"
#include "relay/resolve_edge.h"

/* Nothing came for so long: a client that has sessions pings each 1.5 s, another one each 25 s. Its path may be gone without a word. */
#define ASK_MS 5000
#define SILENT_MS 10000
#define SILENT_IDLE_MS 60000

/* ---------------------------------------------------------------- what the link brings */

static void on_open(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_rclient *c = ctx;
	struct pa_relay_body no = {.error = PA_RELAY_E_LIMIT};

	if (pa_rclient_may(c, PA_RELAY_LIMIT_OPEN)) {
		pa_peer_open(&c->owner, s, b);
		return;
	}
	pa_rlink_result(s, &no);
	pa_rlink_close(s, PA_RELAY_E_OK);
}

static void on_resolve(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_rclient *c = ctx;
	struct pa_relay_body no = {.error = PA_RELAY_E_AGAIN};

	if (pa_rclient_may(c, PA_RELAY_LIMIT_RESOLVE)) {
		pa_resolve_start(c->r->loop, c->names, &c->r->deny, s, b);
		return;
	}
	pa_rlink_resolved(s, &no);
	pa_rlink_close(s, PA_RELAY_E_OK);
}

static void on_data(void *ctx, struct pa_rsession *s, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	pa_peer_data(s, bytes, len);
}

static void on_datagram(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes,
			size_t len)
{
	(void)ctx;
	pa_peer_datagram(s, peer, bytes, len);
}

static void on_fin(void *ctx, struct pa_rsession *s)
{
	(void)ctx;
	pa_peer_fin(s);
}

static void let_go(struct pa_rsession *s)
{
	if (pa_resolve_is(s))
		pa_resolve_drop(s);
	else
		pa_peer_drop(s);
}

static void on_reset(void *ctx, struct pa_rsession *s, enum pa_relay_error error)
{
	(void)ctx;
	(void)error;
	let_go(s);
}

static void on_writable(void *ctx, struct pa_rsession *s)
{
	(void)ctx;
	pa_peer_writable(s);
}

static void on_tunnel(void *ctx, const uint8_t *bytes, size_t len)
{
	struct pa_rclient *c = ctx;

	if (c->tunnel == NULL)
		c->tunnel = pa_rtunnel_new(c);
	if (c->tunnel != NULL)
		pa_rtunnel_send(c->tunnel, bytes, len);
}

static void on_pong(void *ctx, uint64_t value)
{
	(void)ctx;
	(void)value;
}

static void on_bye(void *ctx, enum pa_relay_error error)
{
	struct pa_rclient *c = ctx;

	(void)error;
	c->ending = true; /* the connection's input is below us on the stack: the next tick does it */
}

static void on_output(void *ctx)
{
	struct pa_rclient *c = ctx;

	if (c->conn != NULL && c->conn->stream != NULL)
		pa_stream_output(c->conn->stream);
}

static const struct pa_rlink_ops ops = {.open = on_open,
					.resolve = on_resolve,
					.data = on_data,
					.datagram = on_datagram,
					.fin = on_fin,
					.reset = on_reset,
					.writable = on_writable,
					.tunnel = on_tunnel,
					.pong = on_pong,
					.bye = on_bye,
					.output = on_output};

bool pa_rclient_may(struct pa_rclient *c, enum pa_relay_limit what)
{
	bool may = pa_relay_limit_take(&c->limits, what, c->r->conf->opens_per_s, pa_now_get());

	c->r->count.throttled += !may;
	return may;
}

/* A client that makes thousands of calls shall not fill the disk with them; who looks for something asks for debug. */
static bool may_log(struct pa_rclient *c)
{
	struct pa_now now = pa_now_get();

	if (pa_log_enabled(PA_LOG_DEBUG) || (pa_relay_limit_take(&c->limits, PA_RELAY_LIMIT_LINE, 0, now) &&
					     pa_relay_limit_take(&c->r->limits, PA_RELAY_LIMIT_LINES, 0, now)))
		return true;
	c->limits.held++;
	c->r->count.unlogged++;
	return false;
}

static void on_event(void *ctx, const char *event, const struct pa_rsession *s, const struct pa_endpoint *local,
		     const struct pa_endpoint *remote, enum pa_relay_error error)
{
	struct pa_rclient *c = ctx;
	char from[PA_ENDPOINT_STRLEN], to[PA_ENDPOINT_STRLEN];
	bool refused = error == PA_RELAY_E_DENIED;

	c->r->count.calls += strcmp(event, "relay.call") == 0;
	c->r->count.incoming += strcmp(event, "relay.incoming") == 0;
	c->r->count.failed += strcmp(event, "relay.failed") == 0;
	c->r->count.denied += refused;
	c->r->count.unread += error == PA_RELAY_E_LIMIT && strcmp(event, "relay.ended") == 0;
	if (!pa_log_enabled(PA_LOG_INFO) || !may_log(c))
		return;
	pa_log(PA_LOG_INFO, event, "session=%" PRIu32 " local=%s peer=%s%s%s", pa_rsession_id(s),
	       pa_endpoint_format(local, from),
	       pa_addr_is_none(&remote->addr) ? "none" : pa_endpoint_format(remote, to),
	       error != PA_RELAY_E_OK ? " reason=" : "", error != PA_RELAY_E_OK ? pa_relay_error_name(error) : "");
}

/*
 * A port of P is in the way of whoever on this host listens at any address: the gateway and we ourselves, when started
 * again.
 */
static bool is_reserved(void *ctx, int type, uint16_t port)
{
	const struct pa_relayd_conf *conf = ((struct pa_rclient *)ctx)->r->conf;
	const struct pa_gatewayd_conf *g = &conf->gateway;

	if (port == 0)
		return false;
	for (size_t i = 0; type == SOCK_STREAM && i < conf->n_listen; i++)
		if (conf->listen[i].port == port)
			return true;
	for (size_t i = 0; type == SOCK_DGRAM && i < g->n_listen; i++)
		if (g->listen[i].port == port)
			return true;
	for (size_t i = 0; type == SOCK_DGRAM && i < g->n_probe_listen; i++)
		if (g->probe_listen[i].port == port)
			return true;
	return false;
}

/* ---------------------------------------------------------------- life */

/* Of a list the client itself sees to what it lets pass; a policy that is not known is closed. */
static bool may_listen(const struct pa_claims *claims)
{
	return claims->inbound == PA_IN_OPEN || claims->inbound == PA_IN_LIST;
}

struct pa_rclient *pa_rclient_new(struct pa_relayd *r, struct pa_conn *conn, const struct pa_claims *claims,
				  const uint8_t client_key[PA_KEY_LEN])
{
	struct pa_rlink_config cfg = {.server = true,
				      .window = PA_RELAY_WINDOW,
				      .window_max = PA_RELAY_WINDOW_MAX,
				      .grown_max = PA_RELAY_GROWN,
				      .sessions_max = r->conf->sessions_max,
				      .ring_limit = PA_RELAY_RING};
	struct pa_rclient *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->names = pa_resolve_share_new();
	if (c->names == NULL || pa_rlink_new(&cfg, &ops, c, &c->link) < 0) {
		pa_resolve_share_put(c->names);
		free(c);
		return NULL;
	}
	pa_rpool_init(&c->share.pool, PA_PEER_QUEUED_MAX, NULL, 0);
	c->r = r;
	c->conn = conn;
	c->from = conn->from;
	c->grant.claims = *claims;
	memcpy(c->client_key, client_key, sizeof(c->client_key));
	pa_random(c->id, sizeof(c->id));
	c->owner = (struct pa_peer_owner){.loop = r->loop,
					  .addr = claims->addr,
					  .deny = &r->deny,
					  .may_listen = may_listen(claims),
					  .event = on_event,
					  .share = &c->share,
					  .budget = &r->budget,
					  .reserved = is_reserved,
					  .ctx = c};
	c->next = r->clients;
	if (c->next != NULL)
		c->next->prev = c;
	r->clients = c;
	r->n_clients++;
	pa_gate_ask(r->gate, &c->grant);
	return c;
}

struct pa_rclient *pa_rclient_find(struct pa_relayd *r, const uint8_t id[PA_RELAY_ID_LEN])
{
	struct pa_rclient *c = r->clients;

	while (c != NULL && memcmp(c->id, id, PA_RELAY_ID_LEN) != 0)
		c = c->next;
	return c;
}

static void forbid(void *ctx, struct pa_rsession *s)
{
	(void)ctx;
	if (!pa_rsession_is_name(s))
		pa_peer_forbid(s);
}

void pa_rclient_renew(struct pa_rclient *c, const struct pa_claims *claims)
{
	c->grant.claims = *claims;
	c->owner.may_listen = may_listen(claims);
	pa_gate_changed(c->r->gate, &c->grant);
	if (!c->owner.may_listen)
		pa_rlink_each(c->link, forbid, NULL);
}

void pa_rclient_lost(struct pa_rclient *c)
{
	char addr[PA_ADDR_STRLEN];

	c->conn = NULL;
	c->lost_ms = pa_now_get().boot_ms;
	pa_rlink_lost(c->link);
	if (!pa_relayd_may_log(c->r, PA_RELAY_LIMIT_CLIENT))
		return;
	pa_log(PA_LOG_INFO, "relay.lost", "addr=%s sessions=%u hold-s=%d", pa_addr_format(&c->grant.claims.addr, addr),
	       pa_rlink_sessions(c->link), PA_RELAY_HOLD_S);
}

static void drop_session(void *ctx, struct pa_rsession *s)
{
	(void)ctx;
	let_go(s);
}

void pa_rclient_end(struct pa_rclient *c, enum pa_relay_error error)
{
	char addr[PA_ADDR_STRLEN];
	struct pa_conn *conn = c->conn;

	if (pa_relayd_may_log(c->r, PA_RELAY_LIMIT_CLIENT))
		pa_log(PA_LOG_INFO, "relay.end", "addr=%s epoch=%" PRIu64 " sessions=%u reason=%s",
		       pa_addr_format(&c->grant.claims.addr, addr), c->grant.claims.epoch, pa_rlink_sessions(c->link),
		       error == PA_RELAY_E_OK ? "client" : pa_relay_error_name(error));
	pa_gate_forget(c->r->gate, &c->grant);
	pa_rlink_each(c->link, drop_session, NULL);
	if (conn != NULL && error != PA_RELAY_E_OK)
		pa_rlink_bye(c->link, error);
	if (conn != NULL)
		pa_conn_close(conn);
	pa_rtunnel_close(c->tunnel);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->r->clients = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->r->n_clients--;
	pa_rlink_free(c->link);
	pa_resolve_share_put(c->names);
	pa_wipe(c->id, sizeof(c->id));
	free(c);
}

static void resume_listener(void *ctx, struct pa_rsession *s)
{
	(void)ctx;
	if (!pa_rsession_is_name(s))
		pa_peer_resume(s);
}

/* Is the connection dead? Its client may be waiting for that, with another one. */
static void watch(struct pa_rclient *c, uint64_t now_ms)
{
	bool busy = pa_rlink_sessions(c->link) > 0;

	if (now_ms >= c->conn->heard_ms + (busy ? SILENT_MS : SILENT_IDLE_MS)) {
		pa_conn_lose(c->conn);
	} else if (busy && !c->conn->pinged && now_ms >= c->conn->heard_ms + ASK_MS) {
		c->conn->pinged = true;
		pa_rlink_ping(c->link, now_ms);
	}
}

/* What the client is owed each tick while it is served. */
static void tend(struct pa_rclient *c, struct pa_now now)
{
	unsigned held = pa_relay_limit_held(&c->limits, now);
	char addr[PA_ADDR_STRLEN];

	if (held > 0)
		pa_log(PA_LOG_WARN, "relay.held-back", "addr=%s lines=%u",
		       pa_addr_format(&c->grant.claims.addr, addr), held);
	if (c->share.paused) {
		c->share.paused = false;
		pa_rlink_each(c->link, resume_listener, NULL);
	}
	if (c->conn != NULL && c->grant.admitted)
		watch(c, now.boot_ms);
	pa_rlink_tick(c->link);
}

void pa_rclient_tick(struct pa_rclient *c, struct pa_now now)
{
	if (c->ending)
		pa_rclient_end(c, PA_RELAY_E_OK);
	else if (now.unix_ms / 1000 >= c->grant.claims.expires)
		pa_rclient_end(c, PA_RELAY_E_EXPIRED);
	else if (c->conn == NULL && now.boot_ms >= c->lost_ms + PA_RELAY_HOLD_S * 1000)
		pa_rclient_end(c, PA_RELAY_E_LOST);
	else
		tend(c, now);
}

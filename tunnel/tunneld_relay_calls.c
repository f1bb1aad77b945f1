/* SPDX-License-Identifier: MPL-2.0 */
/* The sessions of the daemon's relay connection: each belongs to somebody, and each of its steps is told and counted. */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "tunnel/status_json.h"
#include "tunnel/tunneld_relay_int.h"

/* Lines about sessions. More than 10,000 in 30 s journald would drop (RateLimitBurst of journald.conf(5)), and not say which. */
#define LINES_PER_S 300u
#define LINES_BURST 3000u

/* ---------------------------------------------------------------- lines */

/* What counts is the log of who calls now and then. */
bool pa_turelay_may_log(struct pa_turelay *r)
{
	if (!pa_log_enabled(PA_LOG_INFO))
		return false;
	if (pa_log_enabled(PA_LOG_DEBUG) || pa_lines_take(&r->lines, LINES_PER_S, LINES_BURST, pa_now_get()))
		return true;
	pa_turelay_settle_soon(r); /* with it the timer runs, by which it is told */
	return false;
}

void pa_turelay_tell_held(struct pa_turelay *r)
{
	unsigned held = pa_lines_held(&r->lines, pa_now_get());

	if (held > 0)
		pa_log(PA_LOG_WARN, "relay.held-back", "lines=%u", held);
}

static const char *kind_name(unsigned kind)
{
	static const char *const names[] = {"unknown", "tcp", "listen", "udp"};

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : names[0];
}

/* ---------------------------------------------------------------- what status shows */

static struct pa_turelay_call *new_call(struct pa_turelay *r, const struct pa_rsession *s, const char *state)
{
	struct pa_turelay_call *c = &r->recent[r->n_recent++ % PA_TURELAY_RECENT];

	*c = (struct pa_turelay_call){.session = pa_rsession_id(s), .kind = PA_RELAY_TCP, .state = state, .via = "peer"};
	return c;
}

/* NULL: newer ones have taken its place. */
static struct pa_turelay_call *find_call(struct pa_turelay *r, const struct pa_rsession *s)
{
	for (unsigned i = 0; i < PA_TURELAY_RECENT; i++)
		if (r->recent[i].session == pa_rsession_id(s))
			return &r->recent[i];
	return NULL;
}

static json_t *call_json(const struct pa_turelay_call *c)
{
	json_t *obj = json_pack("{s:i, s:s, s:s, s:s}", "session", (int)c->session, "kind", kind_name(c->kind), "state", c->state, "via",
				c->via);

	if (c->local.port != 0)
		(void)json_object_set_new(obj, "local", pa_endpoint_json(&c->local));
	if (c->remote.port != 0)
		(void)json_object_set_new(obj, "peer", pa_endpoint_json(&c->remote));
	if (c->error != PA_RELAY_E_OK)
		(void)json_object_set_new(obj, "result", json_string(pa_relay_error_name(c->error)));
	if (strcmp(c->via, "peer") != 0)
		(void)json_object_set_new(obj, "uid", json_integer((json_int_t)c->uid));
	return obj;
}

json_t *pa_turelay_recent_json(const struct pa_turelay *r)
{
	json_t *list = json_array();

	for (unsigned i = 1; i <= PA_TURELAY_RECENT && i <= r->n_recent; i++)
		(void)json_array_append_new(list, call_json(&r->recent[(r->n_recent - i) % PA_TURELAY_RECENT]));
	return list;
}

/* ---------------------------------------------------------------- beginnings and ends */

struct pa_rsession *pa_turelay_open(struct pa_turelay *r, const struct pa_relay_body *b, struct pa_relay_user *u,
				    const struct pa_turelay_caller *caller)
{
	struct pa_rlink *link = pa_turelay_link(r);
	struct pa_rsession *s = link != NULL ? pa_rlink_open(link, b, u) : NULL;
	char peer[PA_ENDPOINT_STRLEN] = "none";
	struct pa_turelay_call *c;

	if (s == NULL)
		return NULL;
	r->count.calls++;
	c = new_call(r, s, "calling");
	c->kind = b->kind;
	c->via = caller->via;
	c->uid = caller->uid;
	c->remote = b->remote;
	c->local.port = b->local.port;
	if (!pa_turelay_may_log(r))
		return s;
	if (b->remote.port != 0)
		(void)pa_endpoint_format(&b->remote, peer);
	pa_log(PA_LOG_INFO, "relay.call", "session=%u kind=%s peer=%s port=%u via=%s uid=%u pid=%d", pa_rsession_id(s), kind_name(b->kind),
	       peer, (unsigned)b->local.port, caller->via, (unsigned)caller->uid, (int)caller->pid);
	return s;
}

struct pa_rsession *pa_turelay_resolve(struct pa_turelay *r, const struct pa_relay_body *b, struct pa_relay_user *u, uid_t uid)
{
	struct pa_rlink *link = pa_turelay_link(r);
	struct pa_rsession *s;

	if (!pa_rnames_may(&r->names, uid, pa_now_get())) {
		r->count.names_refused++;
		return NULL;
	}
	s = link != NULL ? pa_rlink_resolve(link, b, u) : NULL;
	if (s == NULL)
		return NULL;
	pa_rnames_begun(&r->names, uid, pa_rsession_id(s));
	r->count.names++;
	return s;
}

static void nobody_is_told(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_relay_body *b)
{
	(void)u;
	(void)s;
	(void)b;
}

static void nobody_has_lost(struct pa_relay_user *u, struct pa_rsession *s, enum pa_relay_error error)
{
	(void)u;
	(void)s;
	(void)error;
}

static const struct pa_relay_user_ops nobody_ops = {.result = nobody_is_told, .reset = nobody_has_lost};

static void told_end(struct pa_turelay *r, const struct pa_rsession *s, enum pa_relay_error error)
{
	struct pa_turelay_call *c = find_call(r, s);

	if (pa_rsession_is_name(s)) {
		pa_rnames_done(&r->names, pa_rsession_id(s));
		return;
	}
	if (c != NULL && strcmp(c->state, "failed") != 0) {
		c->state = "over";
		c->error = (uint8_t)error;
	}
	r->count.ended++;
	r->count.reset += error != PA_RELAY_E_OK;
	if (pa_turelay_may_log(r))
		pa_log(PA_LOG_INFO, "relay.end", "session=%u reason=%s", pa_rsession_id(s), pa_relay_error_name(error));
}

/* The server goes on with a name that it is told to drop, for its resolver cannot be stopped: so it stays one of its user's. */
void pa_turelay_end(struct pa_turelay *r, struct pa_rsession *s, enum pa_relay_error error)
{
	if (pa_rnames_is_under_way(&r->names, pa_rsession_id(s))) {
		r->nobody.ops = &nobody_ops;
		pa_rsession_set_user(s, &r->nobody);
		return;
	}
	told_end(r, s, error);
	pa_rlink_close(s, error);
}

/* ---------------------------------------------------------------- what the link brings */

static void on_result(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_relay_user *u = pa_rsession_user(s);
	struct pa_turelay *r = ctx;
	struct pa_turelay_call *c = find_call(r, s);
	char local[PA_ENDPOINT_STRLEN] = "none";

	if (pa_rsession_is_name(s)) {
		pa_rnames_done(&r->names, pa_rsession_id(s));
		if (u == &r->nobody)
			pa_rlink_close(s, PA_RELAY_E_OK);
		else
			u->ops->result(u, s, b);
		return;
	}
	if (b->local.port != 0)
		(void)pa_endpoint_format(&b->local, local);
	if (pa_turelay_may_log(r))
		pa_log(PA_LOG_INFO, "relay.result", "session=%u result=%s local=%s", pa_rsession_id(s), pa_relay_error_name(b->error),
		       local);
	if (b->error == PA_RELAY_E_OK)
		r->count.connected++;
	else
		r->count.failed++;
	if (c != NULL) {
		c->state = b->error != PA_RELAY_E_OK ? "failed" : c->kind == PA_RELAY_TCP ? "connected" : "listening";
		c->error = b->error;
		c->local = b->local;
	}
	u->ops->result(u, s, b);
}

static void on_incoming(void *ctx, struct pa_rsession *s, struct pa_rsession *listener, const struct pa_relay_body *b)
{
	struct pa_relay_user *u = listener != NULL ? pa_rsession_user(listener) : NULL;
	char local[PA_ENDPOINT_STRLEN], remote[PA_ENDPOINT_STRLEN];
	struct pa_turelay *r = ctx;
	struct pa_turelay_call *c;

	if (u == NULL || u->ops->incoming == NULL) { /* nobody listens any more */
		pa_rlink_close(s, PA_RELAY_E_REFUSED);
		return;
	}
	r->count.incoming++;
	c = new_call(r, s, "connected");
	c->local = b->local;
	c->remote = b->remote;
	if (pa_turelay_may_log(r))
		pa_log(PA_LOG_INFO, "relay.incoming", "session=%u listener=%u local=%s peer=%s", pa_rsession_id(s),
		       pa_rsession_id(listener), pa_endpoint_format(&b->local, local), pa_endpoint_format(&b->remote, remote));
	u->ops->incoming(u, s, b);
}

static void on_datagram(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes, size_t len)
{
	struct pa_relay_user *u = pa_rsession_user(s);

	(void)ctx;
	if (u->ops->datagram != NULL)
		u->ops->datagram(u, s, peer, bytes, len);
}

static void on_undelivered(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, enum pa_relay_error error)
{
	struct pa_relay_user *u = pa_rsession_user(s);

	(void)ctx;
	if (u->ops->undelivered != NULL)
		u->ops->undelivered(u, s, peer, error);
}

static void on_fin(void *ctx, struct pa_rsession *s)
{
	struct pa_relay_user *u = pa_rsession_user(s);

	(void)ctx;
	if (u->ops->fin != NULL)
		u->ops->fin(u, s);
}

static void on_reset(void *ctx, struct pa_rsession *s, enum pa_relay_error error)
{
	struct pa_relay_user *u = pa_rsession_user(s);

	told_end(ctx, s, error);
	u->ops->reset(u, s, error);
}

/* A server that sends bytes where there is no stream: whoever has the session lets go of it before it is gone. */
static void on_data(void *ctx, struct pa_rsession *s, const uint8_t *bytes, size_t len)
{
	struct pa_relay_user *u = pa_rsession_user(s);

	if (u->ops->data != NULL) {
		u->ops->data(u, s, bytes, len);
		return;
	}
	on_reset(ctx, s, PA_RELAY_E_PROTOCOL);
	pa_rlink_close(s, PA_RELAY_E_PROTOCOL);
}

static void on_writable(void *ctx, struct pa_rsession *s)
{
	struct pa_relay_user *u = pa_rsession_user(s);

	(void)ctx;
	if (u->ops->writable != NULL)
		u->ops->writable(u, s);
}

static void on_tunnel(void *ctx, const uint8_t *bytes, size_t len)
{
	struct pa_turelay *r = ctx;

	if (r->tunnel != NULL)
		r->tunnel->datagram(r->tunnel_ctx, bytes, len);
}

const struct pa_rlink_ops pa_turelay_link_ops = {.result = on_result,
						 .incoming = on_incoming,
						 .data = on_data,
						 .datagram = on_datagram,
						 .undelivered = on_undelivered,
						 .fin = on_fin,
						 .reset = on_reset,
						 .writable = on_writable,
						 .tunnel = on_tunnel};

struct reset_all {
	struct pa_turelay *r;
	enum pa_relay_error error;
};

static void reset_one(void *ctx, struct pa_rsession *s)
{
	struct reset_all *all = ctx;

	on_reset(all->r, s, all->error);
	pa_rlink_close(s, all->error);
}

void pa_turelay_reset_all(struct pa_turelay *r, enum pa_relay_error error)
{
	struct reset_all all = {r, error};

	if (r->client != NULL)
		pa_rlink_each(pa_relay_client_link(r->client), reset_one, &all);
	for (unsigned i = 0; i < PA_TURELAY_RECENT; i++) /* numbers begin anew with the next link */
		r->recent[i].session = 0;
}

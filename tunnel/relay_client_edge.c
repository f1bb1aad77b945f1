/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/relay_client_edge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/err.h"
#include "common/relay_auth.h"
#include "tunnel/net_udp.h"

#define RING_LIMIT (4u << 20)
#define GROWN_MAX (16u << 20) /* octets that sessions' windows grow by, all together */
#define PING_MS 1500	   /* while there are sessions, or something was sent that nothing came after, */
#define PING_IDLE_MS 25000 /* and while there are none: the NAT shall remember us */
#define SILENCE_MS 3000	   /* after a ping: the connection is dead, whatever TCP thinks */

struct pa_relay_client {
	struct pa_relay_client_config cfg;
	uint8_t secret_key[PA_KEY_LEN];
	struct pa_grant grant;
	struct pa_rlink *link;
	uv_timer_t timer;
	struct pa_stream *stream; /* NULL: none */
	bool asked, up, closing, halted, over_wanted;
	enum pa_relay_error over_error;
	const char *refusal; /* why the server has not taken the proof; NULL: it has not said */
	uint8_t id[PA_RELAY_ID_LEN]; /* zeros: nothing to resume */
	uint8_t nonce[PA_NONCE_LEN], g2c[PA_KEY_LEN];
	uint8_t out[PA_RELAY_HEADER_LEN + PA_RELAY_AUTH_LEN];
	size_t out_len, out_at;
	struct pa_endpoint mapped;
	/* boot time; 0: not */
	uint64_t started_ms, heard_ms, sent_ms, pinged_ms;
	uint64_t down_ms; /* since when there has been no connection */
	struct pa_rretry *retry, own_retry; /* the configuration's, or else our own */
};

static uint64_t now_ms(void)
{
	return pa_now_get().boot_ms;
}

/* ---------------------------------------------------------------- the link */

static void on_output(void *ctx)
{
	struct pa_relay_client *c = ctx;

	if (c->stream != NULL && c->up)
		pa_stream_output(c->stream);
}

static void on_pong(void *ctx, uint64_t value)
{
	(void)ctx;
	(void)value;
}

/* The stream's input is below us on the stack: it ends there. */
static void on_bye(void *ctx, enum pa_relay_error error)
{
	struct pa_relay_client *c = ctx;

	c->over_wanted = true;
	c->over_error = error;
}

/* The user's ops with their context, by way of ours for those that we need. */
#define FORWARD(name, params, args)                                                                                    \
	static void fwd_##name params                                                                                  \
	{                                                                                                              \
		struct pa_relay_client *c = ctx;                                                                       \
		c->cfg.ops->name args;                                                                                 \
	}
FORWARD(result, (void *ctx, struct pa_rsession *s, const struct pa_relay_body *b), (c->cfg.ctx, s, b))
FORWARD(incoming, (void *ctx, struct pa_rsession *s, struct pa_rsession *l, const struct pa_relay_body *b), (c->cfg.ctx, s, l, b))
FORWARD(data, (void *ctx, struct pa_rsession *s, const uint8_t *p, size_t len), (c->cfg.ctx, s, p, len))
FORWARD(datagram, (void *ctx, struct pa_rsession *s, const struct pa_endpoint *e, const uint8_t *p, size_t len),
	(c->cfg.ctx, s, e, p, len))
FORWARD(fin, (void *ctx, struct pa_rsession *s), (c->cfg.ctx, s))
FORWARD(reset, (void *ctx, struct pa_rsession *s, enum pa_relay_error e), (c->cfg.ctx, s, e))
FORWARD(writable, (void *ctx, struct pa_rsession *s), (c->cfg.ctx, s))
FORWARD(tunnel, (void *ctx, const uint8_t *p, size_t len), (c->cfg.ctx, p, len))

static void fwd_undelivered(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, enum pa_relay_error e)
{
	struct pa_relay_client *c = ctx;

	if (c->cfg.ops->undelivered != NULL)
		c->cfg.ops->undelivered(c->cfg.ctx, s, peer, e);
}

static const struct pa_rlink_ops link_ops = {.result = fwd_result,
					     .incoming = fwd_incoming,
					     .data = fwd_data,
					     .datagram = fwd_datagram,
					     .undelivered = fwd_undelivered,
					     .fin = fwd_fin,
					     .reset = fwd_reset,
					     .writable = fwd_writable,
					     .tunnel = fwd_tunnel,
					     .pong = on_pong,
					     .bye = on_bye,
					     .output = on_output};

/* An empty link that waits for a connection. */
static int new_link(struct pa_relay_client *c)
{
	struct pa_rlink_config cfg = {.window = PA_RELAY_WINDOW,
				      .window_max = PA_RELAY_WINDOW_MAX,
				      .grown_max = GROWN_MAX,
				      .sessions_max = PA_RELAY_SESSIONS_MAX,
				      .ring_limit = RING_LIMIT};
	struct pa_rlink *link;
	int rc = pa_rlink_new(&cfg, &link_ops, c, &link);

	if (rc < 0)
		return rc;
	pa_rlink_lost(link);
	pa_rlink_free(c->link);
	c->link = link;
	memset(c->id, 0, sizeof(c->id));
	return 0;
}

/* ---------------------------------------------------------------- losing it */

static void schedule_retry(struct pa_relay_client *c, bool refused)
{
	uint16_t chance;

	pa_random((uint8_t *)&chance, sizeof(chance));
	pa_rretry_lost(c->retry, now_ms(), refused, pa_rlink_sessions(c->link) > 0, chance);
}

/* The stream is gone already. refused: by its peer before it knew who we are; who has our proof and says nothing refuses, too. */
static void lost(struct pa_relay_client *c, const char *reason, bool refused)
{
	bool was_up = c->up;

	refused |= c->asked;

	c->stream = NULL;
	c->refusal = NULL;
	c->up = c->asked = false;
	c->out_len = c->out_at = 0;
	c->started_ms = c->pinged_ms = 0;
	if (was_up) {
		pa_rlink_lost(c->link);
		c->down_ms = now_ms();
	}
	c->cfg.down(c->cfg.ctx, reason);
	if (!c->halted)
		schedule_retry(c, refused && !was_up);
}

static void drop(struct pa_relay_client *c, const char *reason)
{
	struct pa_stream *stream = c->stream;

	c->stream = NULL;
	pa_stream_close(stream);
	lost(c, reason, false);
}

/* The sessions are over; final: and there is no use in trying again with this grant. */
static void end_sessions(struct pa_relay_client *c, enum pa_relay_error error, bool final)
{
	c->halted = final;
	c->cfg.over(c->cfg.ctx, error, final);
	(void)new_link(c); /* without memory the old one stays, whose sessions the user has let go */
}

static bool is_final(enum pa_relay_error error)
{
	return error == PA_RELAY_E_EXPIRED || error == PA_RELAY_E_REPLACED || error == PA_RELAY_E_DENIED;
}

/* ---------------------------------------------------------------- the proof */

static bool derive(struct pa_relay_client *c, const uint8_t *exporter, const uint8_t claims[PA_CLAIMS_LEN],
		   const uint8_t client_key[PA_KEY_LEN], uint64_t bind, struct pa_session_keys *ret)
{
	static const uint8_t no_cookie[PA_COOKIE_LEN];
	struct pa_session_input in = {.secret = c->grant.secret,
				      .own_secret = c->secret_key,
				      .peer_public = c->grant.gateway_key,
				      .client_key = client_key,
				      .gateway_key = c->grant.gateway_key,
				      .claims = claims,
				      .bind = bind,
				      .nonce = c->nonce,
				      .cookie = no_cookie,
				      .exporter = exporter};

	return pa_derive_session(&in, ret) == 0;
}

static void on_ready(void *ctx, const uint8_t *exporter)
{
	struct pa_relay_header h = {.type = PA_RELAY_AUTH, .length = PA_RELAY_AUTH_LEN};
	struct pa_relay_client *c = ctx;
	struct pa_relay_auth a = {.bind = c->cfg.next_bind(c->cfg.ctx), .received = pa_rlink_received(c->link)};
	struct pa_session_keys keys;
	uint8_t k0[PA_KEY_LEN];

	pa_random(c->nonce, sizeof(c->nonce));
	memcpy(a.nonce, c->nonce, sizeof(a.nonce));
	memcpy(a.id, c->id, sizeof(a.id));
	pa_keypair_public(c->secret_key, a.client_key);
	(void)pa_claims_encode(&c->grant.claims, a.claims);
	if (!derive(c, exporter, a.claims, a.client_key, a.bind, &keys))
		return; /* a gateway key that nobody has: the time runs out */
	memcpy(c->g2c, keys.g2c, sizeof(c->g2c));
	pa_relay_put_header(c->out, &h);
	pa_derive_k0(c->grant.secret, k0);
	(void)pa_relay_auth_encode(&a, k0, c->out + PA_RELAY_HEADER_LEN, PA_RELAY_AUTH_LEN);
	pa_relay_auth_seal(c->out + PA_RELAY_HEADER_LEN, keys.c2g);
	pa_wipe(&keys, sizeof(keys));
	pa_wipe(k0, sizeof(k0));
	c->out_len = sizeof(c->out);
	c->asked = true;
	pa_stream_output(c->stream);
}

static int take_ok(struct pa_relay_client *c, const uint8_t *body, size_t len)
{
	static const uint8_t no_id[PA_RELAY_ID_LEN];
	struct pa_relay_auth_ok ok;
	int rc = pa_relay_auth_ok_decode(body, len, c->nonce, c->g2c, &ok);

	if (rc < 0)
		return rc;
	if (ok.window != PA_RELAY_WINDOW)
		return PA_EVERSION;
	/* What the server does not know any more cannot go on; what was queued for a first connection can. */
	if (!ok.resumed && memcmp(c->id, no_id, sizeof(no_id)) != 0)
		end_sessions(c, PA_RELAY_E_LOST, false);
	rc = pa_rlink_resume(c->link, ok.received);
	if (rc < 0)
		return rc;
	memcpy(c->id, ok.id, sizeof(c->id));
	c->mapped = ok.mapped;
	c->up = true;
	pa_rretry_up(c->retry, now_ms());
	c->cfg.up(c->cfg.ctx, ok.resumed);
	pa_stream_output(c->stream);
	return 0;
}

/* AUTH_NO and BYE, for who has to mend it: mostly the operator, to whom the user tells this. */
static const char *refusal_of(int error)
{
	switch (error) {
	case PA_RELAY_E_EXPIRED:
		return "the server says that the grant has expired; does its clock agree with the broker's?";
	case PA_RELAY_E_REPLACED:
		return "the server says that the address has another lease, or another client, by now";
	case PA_RELAY_E_DENIED:
		return "the server may not serve this grant";
	case PA_RELAY_E_LIMIT:
		return "the server has as many clients as it may";
	case PA_RELAY_E_SHUTDOWN:
		return "the server was stopped";
	case PA_RELAY_E_AGAIN:
		return "the server cannot serve this grant now; does the gateway beside it run (gateway.lost in its log)?";
	default:
		return "the server has ended it";
	}
}

/* It hung up instead of an answer, or said nothing: who proves nothing gets none. */
static const char *no_answer(const struct pa_relay_client *c, const char *reason)
{
	static const uint8_t unpinned[PA_FINGERPRINT_LEN];

	if (c->refusal != NULL)
		return c->refusal;
	if (!c->asked || c->up)
		return reason;
	if (memcmp(c->grant.claims.fingerprint, unpinned, sizeof(unpinned)) == 0)
		return "the grant names no client key, and the server wants one: let the DHCP client send it (pubaddr dhclient-conf)";
	return "the server does not take the proof of the grant; its log tells why (relay.unproved, or a counter)";
}

static int64_t take_answer(struct pa_relay_client *c, const uint8_t *buf, size_t len)
{
	struct pa_relay_header h;
	int rc;

	if (len < PA_RELAY_HEADER_LEN)
		return 0;
	if (!c->asked || pa_relay_get_header(buf, &h) < 0 || (h.type != PA_RELAY_AUTH_OK && h.type != PA_RELAY_AUTH_NO))
		return PA_EFORMAT;
	if (len < PA_RELAY_HEADER_LEN + (size_t)h.length)
		return 0;
	if (h.type == PA_RELAY_AUTH_OK) {
		rc = take_ok(c, buf + PA_RELAY_HEADER_LEN, h.length);
		return rc < 0 ? rc : PA_RELAY_HEADER_LEN + (int64_t)h.length;
	}
	rc = pa_relay_auth_no_decode(buf + PA_RELAY_HEADER_LEN, h.length, c->nonce, c->g2c);
	if (rc > 0)
		c->refusal = refusal_of(rc);
	if (rc > 0 && is_final((enum pa_relay_error)rc)) {
		c->over_wanted = true;
		c->over_error = (enum pa_relay_error)rc;
	}
	return PA_EDENIED;
}

/* ---------------------------------------------------------------- the stream */

static int64_t on_input(void *ctx, const uint8_t *buf, size_t len)
{
	struct pa_relay_client *c = ctx;
	int64_t n, more = 0;

	c->heard_ms = now_ms();
	c->pinged_ms = 0;
	if (c->up)
		return pa_rlink_input(c->link, buf, len);
	n = take_answer(c, buf, len);
	if (n > 0 && c->up && (size_t)n < len)
		more = pa_rlink_input(c->link, buf + n, len - (size_t)n);
	return more < 0 ? more : n > 0 ? n + more : n;
}

static size_t on_peek(void *ctx, const uint8_t **ptr)
{
	struct pa_relay_client *c = ctx;

	if (c->out_at < c->out_len) {
		*ptr = c->out + c->out_at;
		return c->out_len - c->out_at;
	}
	return c->up ? pa_rlink_peek(c->link, ptr) : 0;
}

static void on_sent(void *ctx, size_t n)
{
	struct pa_relay_client *c = ctx;

	if (c->out_at < c->out_len)
		c->out_at += n;
	else
		pa_rlink_sent(c->link, n);
	c->sent_ms = now_ms();
}

static void finish_over(struct pa_relay_client *c)
{
	if (!c->over_wanted)
		return;
	c->over_wanted = false;
	end_sessions(c, c->over_error, is_final(c->over_error));
}

static void on_closed(void *ctx, const char *reason)
{
	struct pa_relay_client *c = ctx;
	bool refused = c->stream != NULL && pa_stream_is_refused(c->stream);

	reason = no_answer(c, reason);
	finish_over(c);
	lost(c, reason, refused);
}

static const struct pa_stream_ops stream_ops = {
	.ready = on_ready, .input = on_input, .peek = on_peek, .sent = on_sent, .closed = on_closed};

/* Returns what failed, or NULL. */
static const char *open_stream(struct pa_relay_client *c)
{
	struct pa_udp_config cfg = {.bind = {.port = 0}, .ipv6 = !pa_addr_is_ipv4(&c->cfg.server.addr), .device = c->cfg.device,
				    .mark = c->cfg.mark, .tcp = true};
	struct sockaddr_storage ss;
	socklen_t len = pa_sockaddr_to(&c->cfg.server, &ss);
	char err[PA_UDP_ERRLEN];
	int fd;

	if (pa_udp_open(&cfg, &fd, err) < 0)
		return "cannot open a socket";
	if ((connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) ||
	    pa_stream_connect(c->cfg.loop, c->cfg.tls, fd, c->cfg.name, &stream_ops, c, &c->stream) < 0) {
		close(fd);
		return "cannot connect";
	}
	return NULL;
}

static void start(struct pa_relay_client *c)
{
	const char *wrong = open_stream(c);

	if (wrong != NULL) {
		lost(c, wrong, false);
		return;
	}
	c->started_ms = now_ms();
}

/* ---------------------------------------------------------------- time */

static void watch(struct pa_relay_client *c, uint64_t now)
{
	uint64_t each = pa_rlink_sessions(c->link) > 0 || c->sent_ms > c->heard_ms ? PING_MS : PING_IDLE_MS;

	if (c->pinged_ms != 0 && now >= c->pinged_ms + SILENCE_MS) {
		drop(c, "the server is silent");
		return;
	}
	if (c->pinged_ms == 0 && now >= c->heard_ms + each) {
		c->pinged_ms = now;
		pa_rlink_ping(c->link, now);
	}
	pa_rlink_tick(c->link);
}

/* No server for so long as one keeps sessions: whoever waits for one is told. */
static void give_up(struct pa_relay_client *c)
{
	if (c->stream != NULL)
		drop(c, "no server in time");
	end_sessions(c, PA_RELAY_E_LOST, false);
}

static void on_tick(uv_timer_t *timer)
{
	struct pa_relay_client *c = timer->data;
	uint64_t now = now_ms();

	if (!c->up && now >= c->down_ms + PA_RELAY_HOLD_S * 1000) {
		c->down_ms = now;
		if (pa_rlink_sessions(c->link) > 0)
			give_up(c);
	}
	if (c->closing) /* by the over callback */
		return;
	if (c->over_wanted) { /* BYE */
		finish_over(c);
		drop(c, refusal_of((int)c->over_error));
	} else if (c->up) {
		watch(c, now);
	} else if (c->stream != NULL && now >= c->started_ms + PA_RRETRY_ATTEMPT_MS) {
		drop(c, no_answer(c, "no answer in time"));
	} else if (c->stream == NULL && !c->halted && pa_rretry_due(c->retry, now)) {
		start(c);
	}
}

/* ---------------------------------------------------------------- life */

int pa_relay_client_new(const struct pa_relay_client_config *cfg, const struct pa_grant *g, struct pa_relay_client **ret)
{
	struct pa_relay_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return PA_ENOMEM;
	c->cfg = *cfg;
	c->grant = *g;
	c->down_ms = now_ms();
	c->retry = cfg->retry != NULL ? cfg->retry : &c->own_retry;
	memcpy(c->secret_key, cfg->secret_key, sizeof(c->secret_key));
	c->timer.data = c;
	if (new_link(c) < 0 || uv_timer_init(cfg->loop, &c->timer) < 0) {
		pa_rlink_free(c->link);
		pa_wipe(c, sizeof(*c));
		free(c);
		return PA_ENOMEM;
	}
	(void)uv_timer_start(&c->timer, on_tick, 0, PA_RLINK_TICK_MS);
	*ret = c;
	return 0;
}

void pa_relay_client_grant(struct pa_relay_client *c, const struct pa_grant *g)
{
	c->grant = *g;
	if (c->halted) {
		c->halted = false;
		*c->retry = (struct pa_rretry){0};
	}
}

static void on_timer_closed(uv_handle_t *h)
{
	struct pa_relay_client *c = h->data;

	pa_rlink_free(c->link);
	pa_wipe(c, sizeof(*c));
	free(c);
}

void pa_relay_client_close(struct pa_relay_client *c)
{
	if (c == NULL || c->closing)
		return;
	c->closing = true;
	if (c->up)
		pa_rlink_bye(c->link, PA_RELAY_E_SHUTDOWN);
	pa_stream_close(c->stream);
	c->stream = NULL;
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

struct pa_rlink *pa_relay_client_link(const struct pa_relay_client *c)
{
	return c->link;
}

bool pa_relay_client_is_up(const struct pa_relay_client *c)
{
	return c->up;
}

struct pa_endpoint pa_relay_client_mapped(const struct pa_relay_client *c)
{
	return c->mapped;
}

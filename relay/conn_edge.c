/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A connection to the relay server. Until its client has proved the grant it is one of few, has a few seconds, and
 * nothing but its first message is looked at; that costs a MAC before anything else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "relay/client_edge.h"

#define PENDING_MAX 2
#define ASKED_MS 4000 /* until the gateway has answered about a client, who waits 5 s for our answer */

/* ---------------------------------------------------------------- the list of those that have no client */

static void unlist(struct pa_conn *c)
{
	if (c->prev == NULL && c->next == NULL && c->r->conns != c)
		return;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->r->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->prev = c->next = NULL;
	c->r->n_conns--;
}

static void free_conn(struct pa_conn *c)
{
	unlist(c);
	pa_wipe(c->g2c, sizeof(c->g2c));
	pa_wipe(c->exporter, sizeof(c->exporter));
	free(c);
}

void pa_conn_close(struct pa_conn *c)
{
	pa_stream_close(c->stream);
	free_conn(c);
}

void pa_conn_lose(struct pa_conn *c)
{
	struct pa_rclient *client = c->client;

	c->client = NULL;
	pa_rclient_lost(client);
	pa_conn_close(c);
}

/* ---------------------------------------------------------------- the first message */

struct proof {
	struct pa_relay_auth auth;
	struct pa_claims claims;
	uint8_t k0[PA_KEY_LEN];
	struct pa_session_keys keys;
};

static const struct pa_key *pool_key(const struct pa_relayd *r, const struct pa_claims *claims)
{
	const struct pa_gatewayd_conf *g = &r->conf->gateway;

	for (size_t i = 0; i < g->n_pools; i++)
		if (g->pools[i].id == claims->pool_id && pa_prefix_contains(&g->pools[i].prefix, &claims->addr))
			return pa_keyring_find(r->keys, PA_KEY_POOL, claims->key_id, claims->pool_id);
	return NULL;
}

static bool derive(const struct pa_conn *c, const uint8_t secret[PA_KEY_LEN], struct proof *p)
{
	static const uint8_t no_cookie[PA_COOKIE_LEN];
	struct pa_session_input in = {.secret = secret,
				      .own_secret = pa_keyring_first(c->r->keys, PA_KEY_GATEWAY)->key,
				      .peer_public = p->auth.client_key,
				      .client_key = p->auth.client_key,
				      .gateway_key = c->r->public_key,
				      .claims = p->auth.claims,
				      .bind = p->auth.bind,
				      .nonce = p->auth.nonce,
				      .cookie = no_cookie,
				      .exporter = c->exporter};

	return pa_derive_session(&in, &p->keys) == 0;
}

/* Is it the grant of this client, on this connection? *why is for the log; NULL: strangers get no line. */
static bool prove(struct pa_conn *c, const uint8_t *body, size_t len, struct proof *p, const char **why)
{
	uint8_t secret[PA_KEY_LEN], print[PA_FINGERPRINT_LEN];
	const struct pa_key *key;
	bool good;

	*why = NULL;
	if (pa_relay_auth_decode(body, len, &p->auth) < 0 || pa_claims_decode(p->auth.claims, &p->claims) < 0) {
		c->r->count.malformed++;
		return false;
	}
	key = pool_key(c->r, &p->claims);
	if (key == NULL) {
		c->r->count.unknown_pool++;
		return false;
	}
	pa_derive_secret(key->key, p->auth.claims, secret);
	pa_derive_k0(secret, p->k0);
	good = pa_relay_auth_verify(body, p->k0);
	if (good) {
		pa_fingerprint(p->auth.client_key, print);
		if (memcmp(print, p->claims.fingerprint, sizeof(print)) != 0) {
			*why = "the grant names no client key, or another one";
			c->r->count.unpinned++;
			good = false;
		}
	}
	if (good && (!derive(c, secret, p) || !pa_relay_auth_verify_seal(body, p->keys.c2g))) {
		*why = "the proof is not of this connection: somebody is between client and server, or the gateway's "
		       "key is another";
		good = false;
		c->r->count.bad_mac++;
	} else if (!good && *why == NULL) {
		c->r->count.bad_mac++;
	}
	pa_wipe(secret, sizeof(secret));
	return good;
}

static void put_answer(struct pa_conn *c, uint8_t type, int len)
{
	struct pa_relay_header h = {.type = type, .length = (uint16_t)len};

	pa_relay_put_header(c->out, &h);
	c->out_len = PA_RELAY_HEADER_LEN + (size_t)len;
	c->out_at = 0;
	pa_stream_output(c->stream);
}

/* Whoever has a grant can be refused as often as he likes, or come and go. */
bool pa_relayd_may_log(struct pa_relayd *r, enum pa_relay_limit what)
{
	bool may = pa_relay_limit_take(&r->limits, what, 0, pa_now_get());

	r->count.unlogged += !may;
	r->limits.held += !may;
	return may;
}

/* To one who has shown that he knows the grant: why not. */
static void refuse(struct pa_conn *c, const struct proof *p, enum pa_relay_error error)
{
	char from[PA_ENDPOINT_STRLEN];

	c->r->count.refused++;
	if (pa_relayd_may_log(c->r, PA_RELAY_LIMIT_REFUSAL))
		pa_log(PA_LOG_WARN, "relay.refused-client", "from=%s reason=%s", pa_endpoint_format(&c->from, from),
		       pa_relay_error_name(error));
	put_answer(c, PA_RELAY_AUTH_NO,
		   pa_relay_auth_no_encode(error, p->auth.nonce, p->keys.g2c, c->out + PA_RELAY_HEADER_LEN,
					   PA_RELAY_AUTH_NO_LEN));
	c->until_ms = pa_now_get().boot_ms + 1000; /* time to read it */
}

static void greet(struct pa_conn *c, bool resumed)
{
	struct pa_relay_auth_ok ok = {
		.resumed = resumed, .hold = PA_RELAY_HOLD_S, .window = PA_RELAY_WINDOW, .mapped = c->from};
	uint64_t now_s = pa_now_get().unix_ms / 1000, expires = c->client->grant.claims.expires;
	char addr[PA_ADDR_STRLEN], from[PA_ENDPOINT_STRLEN];

	ok.received = pa_rlink_received(c->client->link);
	ok.lifetime =
		expires > now_s ? (uint32_t)(expires - now_s < PA_LIFETIME_MAX ? expires - now_s : PA_LIFETIME_MAX) : 0;
	memcpy(ok.nonce, c->nonce, sizeof(ok.nonce));
	memcpy(ok.id, c->client->id, sizeof(ok.id));
	put_answer(c, PA_RELAY_AUTH_OK,
		   pa_relay_auth_ok_encode(&ok, c->g2c, c->out + PA_RELAY_HEADER_LEN, PA_RELAY_AUTH_OK_LEN));
	unlist(c);
	c->r->count.authenticated++;
	c->r->count.resumed += resumed;
	if (!pa_relayd_may_log(c->r, PA_RELAY_LIMIT_CLIENT))
		return;
	pa_log(PA_LOG_INFO, "relay.client", "addr=%s from=%s epoch=%llu resumed=%s sessions=%u",
	       pa_addr_format(&c->client->grant.claims.addr, addr), pa_endpoint_format(&c->from, from),
	       (unsigned long long)c->client->grant.claims.epoch, resumed ? "yes" : "no",
	       pa_rlink_sessions(c->client->link));
}

static bool same_client(const struct pa_rclient *old, const struct proof *p)
{
	return pa_addr_eq(&old->grant.claims.addr, &p->claims.addr) &&
	       pa_secret_eq(old->client_key, p->auth.client_key, PA_KEY_LEN) && old->grant.admitted;
}

/* A later lease of the same client, or a longer one. */
static bool is_renewal(const struct pa_claims *former, const struct pa_claims *now)
{
	return now->epoch > former->epoch || (now->epoch == former->epoch && now->expires > former->expires);
}

/*
 * Its sessions go on, on this connection: OK. The former one, if it is still there, is dead without knowing it.
 * NOT_FOUND: there is nothing to resume. AGAIN: it has resumed too often, for what is not acknowledged is sent anew
 * each time; its sessions wait.
 */
static enum pa_relay_error resume(struct pa_conn *c, const struct proof *p)
{
	struct pa_rclient *old = pa_rclient_find(c->r, p->auth.id);
	if (old == NULL || !same_client(old, p))
		return PA_RELAY_E_NOT_FOUND;
	if (!pa_rclient_may(old, PA_RELAY_LIMIT_RESUME))
		return PA_RELAY_E_AGAIN;
	if (old->conn != NULL)
		pa_conn_lose(old->conn);
	if (pa_rlink_resume(old->link, p->auth.received) < 0) {
		c->r->count.broken++;
		pa_rclient_end(old, PA_RELAY_E_PROTOCOL);
		return PA_RELAY_E_NOT_FOUND;
	}
	if (is_renewal(&old->grant.claims, &p->claims))
		pa_rclient_renew(old, &p->claims);
	old->conn = c;
	old->lost_ms = 0;
	old->from = c->from;
	c->client = old;
	greet(c, true);
	return PA_RELAY_E_OK;
}

/* Clients of an address whom the gateway has yet to admit. */
static unsigned pending_of(const struct pa_relayd *r, const struct pa_addr *addr)
{
	unsigned n = 0;

	for (const struct pa_rclient *o = r->clients; o != NULL; o = o->next)
		n += !o->grant.admitted && pa_addr_eq(&o->grant.claims.addr, addr);
	return n;
}

/* The grant is genuine and of this connection. */
static void take_client(struct pa_conn *c, const struct proof *p)
{
	static const uint8_t no_id[PA_RELAY_ID_LEN];
	enum pa_relay_error resumed = PA_RELAY_E_NOT_FOUND;

	memcpy(c->nonce, p->auth.nonce, sizeof(c->nonce));
	memcpy(c->g2c, p->keys.g2c, sizeof(c->g2c));
	if (memcmp(p->auth.id, no_id, sizeof(no_id)) != 0)
		resumed = resume(c, p);
	if (resumed == PA_RELAY_E_OK)
		return;
	if (resumed == PA_RELAY_E_AGAIN) {
		refuse(c, p, PA_RELAY_E_AGAIN);
	} else if (c->r->n_clients >= c->r->conf->clients_max || pending_of(c->r, &p->claims.addr) >= PENDING_MAX ||
		   (c->client = pa_rclient_new(c->r, c, &p->claims, p->auth.client_key)) == NULL) {
		refuse(c, p, PA_RELAY_E_LIMIT);
	} else {
		c->asked = true;
		c->until_ms = pa_now_get().boot_ms + ASKED_MS;
	}
}

static void take_auth(struct pa_conn *c, const uint8_t *body, size_t len)
{
	char from[PA_ENDPOINT_STRLEN];
	const char *why;
	struct proof p;
	bool good = prove(c, body, len, &p, &why);

	if (!good && why != NULL && pa_relayd_may_log(c->r, PA_RELAY_LIMIT_REFUSAL))
		pa_log(PA_LOG_WARN, "relay.unproved", "from=%s reason=\"%s\"", pa_endpoint_format(&c->from, from), why);
	if (!good) {
		c->until_ms = 0; /* the next tick closes it, without a word */
	} else if (p.claims.expires <= pa_now_get().unix_ms / 1000) {
		c->r->count.expired++;
		refuse(c, &p, PA_RELAY_E_EXPIRED);
	} else {
		take_client(c, &p);
	}
	pa_wipe(&p, sizeof(p));
}

void pa_conn_admitted(struct pa_conn *c, enum pa_relay_error error)
{
	struct pa_rclient *client = c->client;
	struct proof p;

	c->asked = false;
	if (error == PA_RELAY_E_OK) {
		greet(c, false);
		return;
	}
	c->client = NULL;
	client->conn = NULL;
	memcpy(p.auth.nonce, c->nonce, sizeof(c->nonce));
	memcpy(p.keys.g2c, c->g2c, sizeof(c->g2c));
	refuse(c, &p, error);
	pa_wipe(&p, sizeof(p));
}

/* ---------------------------------------------------------------- the stream */

static void on_ready(void *ctx, const uint8_t *exporter)
{
	struct pa_conn *c = ctx;

	memcpy(c->exporter, exporter, sizeof(c->exporter));
}

/* Nothing but AUTH, and nothing after it before it is answered. */
static int64_t input_of_stranger(struct pa_conn *c, const uint8_t *buf, size_t len)
{
	struct pa_relay_header h;

	if (c->asked || c->out_len > 0)
		return 0;
	if (len < PA_RELAY_HEADER_LEN)
		return 0;
	if (pa_relay_get_header(buf, &h) < 0 || h.type != PA_RELAY_AUTH || h.length != PA_RELAY_AUTH_LEN) {
		c->r->count.malformed++;
		return PA_EFORMAT;
	}
	if (len < PA_RELAY_HEADER_LEN + PA_RELAY_AUTH_LEN)
		return 0;
	take_auth(c, buf + PA_RELAY_HEADER_LEN, PA_RELAY_AUTH_LEN);
	return PA_RELAY_HEADER_LEN + PA_RELAY_AUTH_LEN;
}

static int64_t on_input(void *ctx, const uint8_t *buf, size_t len)
{
	struct pa_conn *c = ctx;
	int64_t n;

	c->heard_ms = pa_now_get().boot_ms;
	c->pinged = false;
	if (c->client == NULL || c->asked)
		return input_of_stranger(c, buf, len);
	n = pa_rlink_input(c->client->link, buf, len);
	if (n < 0) {
		c->broken = true;
		c->r->count.broken++;
	}
	return n;
}

static size_t on_peek(void *ctx, const uint8_t **ptr)
{
	struct pa_conn *c = ctx;

	if (c->out_at < c->out_len) {
		*ptr = c->out + c->out_at;
		return c->out_len - c->out_at;
	}
	return c->client != NULL && !c->asked ? pa_rlink_peek(c->client->link, ptr) : 0;
}

static void on_sent(void *ctx, size_t n)
{
	struct pa_conn *c = ctx;

	if (c->out_at < c->out_len)
		c->out_at += n;
	else
		pa_rlink_sent(c->client->link, n);
}

static void on_closed(void *ctx, const char *reason)
{
	struct pa_conn *c = ctx;
	struct pa_rclient *client = c->client;
	char from[PA_ENDPOINT_STRLEN];

	pa_log(PA_LOG_DEBUG, "relay.closed", "from=%s reason=\"%s\"", pa_endpoint_format(&c->from, from), reason);
	if (client != NULL && (c->broken || c->asked)) {
		client->conn = NULL;
		pa_rclient_end(client, c->broken ? PA_RELAY_E_PROTOCOL : PA_RELAY_E_OK);
	} else if (client != NULL) {
		pa_rclient_lost(client);
	}
	free_conn(c);
}

static const struct pa_stream_ops stream_ops = {
	.ready = on_ready, .input = on_input, .peek = on_peek, .sent = on_sent, .closed = on_closed};

/* IPv6 counts by /64: whoever has one address has all of it. */
static bool same_source(const struct pa_addr *a, const struct pa_addr *b)
{
	return memcmp(a->b, b->b, pa_addr_is_ipv4(a) ? sizeof(a->b) : 8) == 0;
}

/* Makes room by ending the oldest that has proved nothing: of the same source if that has its share, else of all. */
static bool make_room(struct pa_relayd *r, const struct pa_addr *from)
{
	struct pa_conn *oldest = NULL, *oldest_of = NULL;
	unsigned n_of = 0;

	for (struct pa_conn *c = r->conns; c != NULL; c = c->next) { /* the newest first */
		if (same_source(&c->from.addr, from)) {
			n_of++;
			oldest_of = c->asked ? oldest_of : c;
		}
		oldest = c->asked ? oldest : c;
	}
	if (n_of < PA_RELAY_STRANGERS_OF_ONE_MAX && r->n_conns < PA_RELAY_STRANGERS_MAX)
		return true;
	r->count.limited++;
	if (n_of >= PA_RELAY_STRANGERS_OF_ONE_MAX)
		oldest = oldest_of;
	if (oldest != NULL)
		pa_conn_close(oldest);
	return oldest != NULL;
}

/* What somebody's network has used up does not count for all. */
static bool may_begin(struct pa_relayd *r, const struct pa_addr *from)
{
	struct pa_now now = pa_now_get();
	bool may = pa_limit_source(&r->door, now.boot_ms, from) && pa_relay_limit_take(&r->limits, PA_RELAY_LIMIT_STRANGER, 0, now);

	r->count.flood += !may;
	return may;
}

void pa_conn_accept(struct pa_relayd *r, int fd, const struct pa_endpoint *from)
{
	struct pa_conn *c = NULL;

	r->count.connections++;
	if (!may_begin(r, &from->addr) || !make_room(r, &from->addr) || (c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return;
	}
	c->r = r;
	c->from = *from;
	c->until_ms = pa_now_get().boot_ms + PA_RELAY_AUTH_S * 1000;
	if (pa_stream_accept(r->loop, r->tls, fd, &stream_ops, c, &c->stream) < 0) {
		close(fd);
		free(c);
		return;
	}
	c->next = r->conns;
	if (c->next != NULL)
		c->next->prev = c;
	r->conns = c;
	r->n_conns++;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/msg.h"
#include "tunnel/client_int.h"
#include "tunnel/limit.h"

#define TRIES 3			 /* unanswered messages before a gateway is given up */
#define BACK_TRIES 2		 /* of a HELLO that is to show whether UDP is there again */
#define LAST_MISS_MS 2000	 /* how long the last keepalive retry is waited for */
#define LEAVE_MS 44000		 /* after so long without a word plain NAT is better than hoping: in all within 45 s */
#define HINT_INTERVAL_MS 5000	 /* an unauthenticated UNBOUND makes us ask at most so often */
#define RECONFIRM_BURST 2	 /* the second one objects to a relayed packet */

/* ---------------------------------------------------------------- small things */

static const struct pa_endpoint *handshake_gateway(const struct pa_client *cl)
{
	return pa_client_at(cl, cl->h.gateway);
}

void pa_client_event(struct pa_client *cl, const char *name, const struct pa_endpoint *gateway, unsigned detail)
{
	cl->ops->event(cl->ctx, name, gateway, detail);
}

static void send_buf(struct pa_client *cl, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	cl->count.sent++;
	cl->ops->send(cl->ctx, to, buf, len);
}

static void send_msg(struct pa_client *cl, const struct pa_endpoint *to, const struct pa_msg *m, const uint8_t *key)
{
	uint8_t buf[PA_CTL_MAX];
	int n = pa_msg_encode(m, key, buf, sizeof(buf));

	PA_REQUIRE(n > 0);
	send_buf(cl, to, buf, (size_t)n);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* RFC 6298 section 2, without the variance, which no timer here needs. Never 0, which means "none yet". */
static void take_rtt(struct pa_client *cl, uint64_t sample_us)
{
	uint32_t r = sample_us > UINT32_MAX ? UINT32_MAX : (uint32_t)sample_us;

	if (r == 0)
		r = 1;
	cl->rtt_us = cl->rtt_us == 0 ? r : (uint32_t)(((uint64_t)cl->rtt_us * 7 + r) / 8);
	if (cl->rtt_us == 0)
		cl->rtt_us = 1;
}

/* Forgets the keys; the description stays for the status while the interface is still up. */
static void drop_session(struct pa_client *cl)
{
	struct pa_client_binding b = cl->s.b;

	pa_wipe(&cl->s, sizeof(cl->s));
	cl->s.b = b;
}

static void send_bye(struct pa_client *cl, enum pa_reason reason)
{
	struct pa_msg m = {.type = PA_MSG_BYE, .reason = (uint8_t)reason};

	memcpy(m.session, cl->s.b.session, sizeof(m.session));
	send_msg(cl, &cl->s.b.gateway, &m, cl->s.c2g);
}

static void go_down(struct pa_client *cl, unsigned reason)
{
	drop_session(cl);
	if (!cl->up)
		return;
	cl->up = false;
	cl->ops->down(cl->ctx, false, reason);
}

/* The grant is over. */
static void finish(struct pa_client *cl, struct pa_now now, unsigned reason)
{
	pa_client_event(cl, "grant.end", NULL, reason);
	pa_client_ferry_want(cl, now, false);
	memset(&cl->ferry, 0, sizeof(cl->ferry));
	pa_wipe(&cl->s, sizeof(cl->s));
	pa_wipe(&cl->h, sizeof(cl->h));
	pa_wipe(cl->k0, sizeof(cl->k0));
	pa_grant_wipe(&cl->grant);
	cl->has_grant = false;
	cl->up = false;
	cl->expires_ms = 0;
	cl->rtt_us = 0;
	cl->due_ms = 0;
	cl->ops->down(cl->ctx, true, reason);
}

/* ---------------------------------------------------------------- handshake, sending */

static void fill_hello(const struct pa_client *cl, struct pa_msg *m)
{
	memcpy(m->claims, cl->claims, sizeof(m->claims));
	memcpy(m->client_key, cl->public_key, sizeof(m->client_key));
	memcpy(m->nonce, cl->h.nonce, sizeof(m->nonce));
	m->bind = cl->h.bind;
}

static void send_hello(struct pa_client *cl)
{
	struct pa_msg m = {.type = PA_MSG_HELLO};

	cl->ops->random(cl->ctx, cl->h.nonce, sizeof(cl->h.nonce));
	fill_hello(cl, &m);
	send_msg(cl, handshake_gateway(cl), &m, cl->k0);
}

/* Sends HELLO, or CONFIRM again, and sets the time of the next try. */
static void try_again(struct pa_client *cl, struct pa_now now)
{
	struct pa_client_handshake *h = &cl->h;
	unsigned shift = h->tries + cl->round;

	for (unsigned i = 0; i < h->n_answers; i++)
		send_buf(cl, handshake_gateway(cl), h->answers[i].confirm, PA_CONFIRM_LEN);
	if (h->n_answers == 0)
		send_hello(cl);
	h->tries++;
	h->attempt++;
	h->sent_ms = now.boot_ms;
	if (cl->quick > 0)
		h->next_ms = now.boot_ms + pa_client_quick_ms(cl);
	else
		h->next_ms = now.boot_ms +
			     (shift < 5 ? min_u64((uint64_t)PA_HELLO_RETRY_MS << shift, PA_HELLO_RETRY_MAX_MS) :
					  PA_HELLO_RETRY_MAX_MS);
}

/* A higher bind number each time: a CONFIRM of which only the ACCEPT was lost has used the last one up. */
void pa_client_start(struct pa_client *cl, struct pa_now now, unsigned gateway)
{
	struct pa_client_handshake *h = &cl->h;

	pa_wipe(h, sizeof(*h));
	h->active = true;
	h->gateway = gateway;
	h->bind = cl->ops->next_bind(cl->ctx);
	cl->count.handshakes++;
	pa_client_event(cl, "handshake.start", handshake_gateway(cl), cl->round);
	try_again(cl, now);
}

void pa_client_begin_quick(struct pa_client *cl, struct pa_now now, unsigned gateway, unsigned quick)
{
	cl->failed = 0;
	cl->round = 0;
	cl->quick = quick;
	pa_client_start(cl, now, gateway);
}

void pa_client_begin(struct pa_client *cl, struct pa_now now, unsigned gateway)
{
	pa_client_begin_quick(cl, now, gateway, 0);
}

/* Nobody has answered so far and there is traffic: the next one, while none of this counts towards plain NAT yet. */
static void quick_next(struct pa_client *cl, struct pa_now now)
{
	unsigned gateway = (cl->h.gateway + 1) % pa_client_ways(cl);

	cl->quick--;
	if (gateway != cl->h.gateway)
		pa_client_event(cl, "gateway.next", pa_client_at(cl, gateway), 0);
	pa_client_start(cl, now, gateway);
}

/* This gateway does not answer. Beside a binding that lives nothing is at stake, so stay; otherwise try the next. */
static void give_up(struct pa_client *cl, struct pa_now now)
{
	unsigned gateway = cl->h.gateway, ways = pa_client_ways(cl);

	if (!cl->h.refused)
		pa_client_event(cl, "handshake.timeout", handshake_gateway(cl), cl->h.attempt);
	if (cl->h.back) {
		pa_client_back_failed(cl, now);
		return;
	}
	if (pa_client_healthy(cl)) {
		cl->round++;
		cl->quick = 0;
		pa_client_start(cl, now, pa_client_beside(cl));
		return;
	}
	if (cl->quick > 0) {
		quick_next(cl, now);
		return;
	}
	cl->failed++;
	if (cl->failed >= ways || now.boot_ms - cl->last_alive_ms >= LEAVE_MS)
		go_down(cl, 0);
	if (cl->failed >= ways) {
		cl->failed = 0;
		cl->round++;
	}
	cl->ops->fresh_port(cl->ctx);
	gateway = (gateway + 1) % ways;
	pa_client_event(cl, "gateway.next", pa_client_at(cl, gateway), cl->failed);
	pa_client_start(cl, now, gateway);
}

/* ---------------------------------------------------------------- handshake, answers */

static int derive_keys(struct pa_client *cl, struct pa_client_answer *a)
{
	const struct pa_session_input in = {
		.secret = cl->grant.secret,
		.own_secret = cl->secret_key,
		.peer_public = cl->grant.gateway_key,
		.client_key = cl->public_key,
		.gateway_key = cl->grant.gateway_key,
		.claims = cl->claims,
		.bind = cl->h.bind,
		.nonce = cl->h.nonce,
		.cookie = a->cookie,
	};

	return pa_derive_session(&in, &a->keys);
}

/* Makes room for one more answer; NULL: this cookie has its answer already, or there were too many. */
static struct pa_client_answer *next_answer(struct pa_client_handshake *h, const uint8_t cookie[PA_COOKIE_LEN])
{
	for (unsigned i = 0; i < h->n_answers; i++)
		if (memcmp(h->answers[i].cookie, cookie, PA_COOKIE_LEN) == 0)
			return NULL;
	return h->n_answers < PA_CLIENT_ANSWERS ? &h->answers[h->n_answers] : NULL;
}

static void handle_challenge(struct pa_client *cl, struct pa_now now, const uint8_t *buf, size_t len,
			     const struct pa_msg *in)
{
	struct pa_client_handshake *h = &cl->h;
	struct pa_client_answer *a = next_answer(h, in->cookie);
	struct pa_msg m = {.type = PA_MSG_CONFIRM};
	int n;

	if (a == NULL || memcmp(in->nonce, h->nonce, sizeof(h->nonce)) != 0) {
		cl->count.unexpected++;
		return;
	}
	if (!pa_msg_verify(buf, len, cl->k0)) {
		cl->count.bad_mac++;
		return;
	}
	memcpy(a->cookie, in->cookie, sizeof(a->cookie));
	if (derive_keys(cl, a) < 0) { /* the grant names a useless gateway key; another grant may come */
		pa_client_event(cl, "handshake.refused", handshake_gateway(cl), 0);
		return;
	}
	fill_hello(cl, &m);
	memcpy(m.cookie, in->cookie, sizeof(m.cookie));
	n = pa_msg_encode(&m, cl->k0, a->confirm, sizeof(a->confirm));
	PA_REQUIRE(n == PA_CONFIRM_LEN && pa_msg_seal(a->confirm, sizeof(a->confirm), a->keys.c2g) == 0);
	h->n_answers++;
	if (h->n_answers > 1) { /* the timer goes on as the first one has set it */
		pa_client_event(cl, "handshake.contested", handshake_gateway(cl), h->n_answers);
		send_buf(cl, handshake_gateway(cl), a->confirm, sizeof(a->confirm));
		return;
	}
	take_rtt(cl, (now.boot_ms - h->sent_ms) * 1000);
	cl->quick = 0; /* this one lives */
	h->tries = 0;
	try_again(cl, now);
}

static uint16_t pick_keepalive(const struct pa_client *cl, const struct pa_msg *m)
{
	uint16_t s = m->keepalive;

	if (cl->grant.keepalive != 0 && cl->grant.keepalive < s)
		s = cl->grant.keepalive;
	if (s > PA_KEEPALIVE_MAX)
		s = PA_KEEPALIVE_MAX;
	return s < PA_KEEPALIVE_MIN ? PA_KEEPALIVE_MIN : s;
}

static uint16_t interval_of(const struct pa_client *cl)
{
	return cl->interval != 0 && cl->interval < cl->s.b.keepalive ? cl->interval : cl->s.b.keepalive;
}

static void schedule_keepalive(struct pa_client *cl, struct pa_now now)
{
	uint64_t interval = (uint64_t)interval_of(cl) * 1000;
	uint8_t r[2];

	cl->ops->random(cl->ctx, r, sizeof(r));
	interval -= interval / 10 * ((uint64_t)r[0] << 8 | r[1]) / 65535;
	if (interval < PA_KEEPALIVE_MIN * 1000)
		interval = PA_KEEPALIVE_MIN * 1000;
	cl->s.waiting = false;
	cl->s.urgent = false;
	cl->s.misses = 0;
	cl->s.next_ms = now.boot_ms + interval;
}

static void leave_old(struct pa_client *cl, const struct pa_endpoint *gateway)
{
	bool moved = !pa_endpoint_eq(&cl->s.b.gateway, gateway);

	if (moved)
		cl->count.moves++;
	/* At the same gateway the new binding of the same address has replaced the old one. */
	if (moved || !pa_addr_eq(&cl->s.b.claims.addr, &cl->grant.claims.addr))
		send_bye(cl, moved && pa_addr_eq(&cl->s.b.claims.addr, &cl->grant.claims.addr) ? PA_REASON_MOVED : PA_REASON_REPLACED);
}

/* Swaps the new session in, with the keys of the answer that the gateway accepted. */
static void adopt(struct pa_client *cl, struct pa_now now, const struct pa_msg *m, const struct pa_session_keys *keys)
{
	struct pa_client_session *s = &cl->s;
	struct pa_client_handshake *h = &cl->h;
	const struct pa_endpoint gateway = *handshake_gateway(cl);
	unsigned attempts = h->attempt;
	bool relayed = pa_client_by_ferry(cl, h->gateway);
	bool same = pa_endpoint_eq(&s->b.gateway, &gateway) && pa_addr_eq(&s->b.mapped.addr, &m->mapped.addr);

	if (s->valid)
		leave_old(cl, &gateway);
	pa_wipe(s, sizeof(*s));
	s->valid = true;
	s->b.claims = cl->floor = cl->grant.claims;
	memcpy(cl->floor_key, cl->grant.gateway_key, sizeof(cl->floor_key));
	s->b.gateway = gateway;
	s->b.mapped = m->mapped;
	s->b.relayed = relayed;
	s->b.mtu_max = cl->grant.mtu != 0 && cl->grant.mtu < m->mtu ? cl->grant.mtu : m->mtu;
	s->b.keepalive = pick_keepalive(cl, m);
	memcpy(s->b.session, m->session, sizeof(s->b.session));
	memcpy(s->c2g, keys->c2g, sizeof(s->c2g));
	memcpy(s->g2c, keys->g2c, sizeof(s->g2c));
	memcpy(s->token, m->token, sizeof(s->token));
	pa_wipe(h, sizeof(*h));
	cl->failed = 0;
	cl->round = 0;
	cl->last_alive_ms = now.boot_ms;
	/* The gateway knows the time better than we know how long the grant was on its way. */
	cl->expires_ms = min_u64(cl->expires_ms, now.boot_ms + (uint64_t)m->lifetime * 1000);
	s->expires_ms = cl->expires_ms;
	schedule_keepalive(cl, now);
	pa_client_path_begin(cl, now, same);
	cl->up = true;
	cl->count.accepts++;
	cl->ops->up(cl->ctx, &s->b);
	pa_client_event(cl, "handshake.accept", &gateway, attempts);
	pa_client_ferry_bound(cl, now);
}

/* The keys of the answer that this ACCEPT is for; NULL: it is not authentic. */
static const struct pa_session_keys *accepted_keys(const struct pa_client_handshake *h, const uint8_t *buf, size_t len)
{
	for (unsigned i = 0; i < h->n_answers; i++)
		if (pa_msg_verify(buf, len, h->answers[i].keys.g2c))
			return &h->answers[i].keys;
	return NULL;
}

static void handle_accept(struct pa_client *cl, struct pa_now now, const uint8_t *buf, size_t len,
			  const struct pa_msg *m)
{
	const struct pa_client_handshake *h = &cl->h;
	const struct pa_session_keys *keys;

	if (h->n_answers == 0 || memcmp(m->nonce, h->nonce, sizeof(h->nonce)) != 0 || m->bind != h->bind) {
		cl->count.unexpected++;
		return;
	}
	keys = accepted_keys(h, buf, len);
	if (keys == NULL) {
		cl->count.bad_mac++;
		return;
	}
	if (memcmp(m->claims_hash, cl->claims_hash, sizeof(cl->claims_hash)) != 0 || !m->routed ||
	    m->mtu < PA_MTU_MIN || m->lifetime == 0) {
		cl->count.unexpected++;
		pa_client_event(cl, "handshake.refused", handshake_gateway(cl), 0);
		give_up(cl, now);
		return;
	}
	adopt(cl, now, m, keys);
}

/* ---------------------------------------------------------------- session */

static uint64_t boot_us(struct pa_now now)
{
	return now.boot_ms * 1000 + now.boot_us;
}

void pa_client_keepalive(struct pa_client *cl, struct pa_now now)
{
	struct pa_client_session *s = &cl->s;
	struct pa_msg m = {.type = PA_MSG_KEEPALIVE, .seq = ++s->sent_seq, .echo = boot_us(now), .mtu = s->b.mtu};

	memcpy(m.session, s->b.session, sizeof(m.session));
	memcpy(m.token, s->token, sizeof(m.token));
	send_msg(cl, &s->b.gateway, &m, s->c2g);
	s->waiting = true;
	if (s->urgent)
		s->next_ms = now.boot_ms + pa_client_quick_ms(cl);
	else if (s->misses < PA_KEEPALIVE_RETRIES)
		s->next_ms = now.boot_ms + ((uint64_t)1000 << s->misses);
	else
		s->next_ms = now.boot_ms + LAST_MISS_MS;
}

/*
 * The gateway that was given up has answered, at our former port maybe. No handshake is needed then, nor with another one, but it
 * must learn where we are now. Once a CONFIRM is out the handshake goes on: it may have been accepted, and replaced the session.
 */
static void revive(struct pa_client *cl, struct pa_now now)
{
	if (cl->h.active && cl->h.n_answers == 0 && pa_claims_eq(&cl->s.b.claims, &cl->grant.claims))
		pa_wipe(&cl->h, sizeof(cl->h));
	cl->failed = 0;
	cl->quick = 0;
	pa_client_ask(cl, now);
}

static void handle_alive(struct pa_client *cl, struct pa_now now, const uint8_t *buf, size_t len,
			 const struct pa_msg *m)
{
	struct pa_client_session *s = &cl->s;
	bool was_lost = s->lost;

	if (memcmp(m->session, s->b.session, sizeof(s->b.session)) != 0 || m->seq <= s->acked_seq ||
	    m->seq > s->sent_seq) {
		cl->count.unexpected++;
		return;
	}
	if (!pa_msg_verify(buf, len, s->g2c)) {
		cl->count.bad_mac++;
		return;
	}
	s->acked_seq = m->seq;
	memcpy(s->token, m->token, sizeof(s->token));
	s->lost = false;
	cl->last_alive_ms = now.boot_ms;
	if (m->echo <= boot_us(now))
		take_rtt(cl, boot_us(now) - m->echo);
	if (!pa_endpoint_eq(&m->mapped, &s->b.mapped)) {
		s->b.mapped = m->mapped;
		pa_client_event(cl, "gateway.mapped", &s->b.gateway, 0);
		pa_pmtu_suspect(&cl->pmtu, now);
	}
	schedule_keepalive(cl, now);
	if (was_lost)
		revive(cl, now);
	pa_client_path_alive(cl, now, m);
}

/* Not authenticated, so all that it can get from us is one message to our own gateway, once in a while. */
static void handle_rechallenge(struct pa_client *cl, struct pa_now now, const struct pa_msg *in)
{
	struct pa_client_session *s = &cl->s;
	struct pa_msg m = {.type = PA_MSG_RECONFIRM, .echo = boot_us(now)};

	if (!pa_limit_one(&s->reconfirm_tat, now.boot_ms, PA_RECHALLENGE_MS, RECONFIRM_BURST)) {
		cl->count.limited++;
		return;
	}
	m.seq = ++s->sent_seq;
	memcpy(m.session, s->b.session, sizeof(m.session));
	memcpy(m.cookie, in->cookie, sizeof(m.cookie));
	cl->count.rechallenged++;
	pa_client_event(cl, "gateway.rechallenge", &s->b.gateway, 0);
	send_msg(cl, &s->b.gateway, &m, s->c2g);
}

/* "I do not know you", without a key: worth asking again, not worth believing. */
static void handle_hint(struct pa_client *cl, struct pa_now now)
{
	if (cl->h.active)
		return;
	if (cl->last_hint_ms != 0 && now.boot_ms - cl->last_hint_ms < HINT_INTERVAL_MS) {
		cl->count.limited++;
		return;
	}
	cl->last_hint_ms = now.boot_ms;
	pa_client_event(cl, "gateway.hint", &cl->s.b.gateway, 0);
	pa_client_begin(cl, now, pa_client_gateway(cl, &cl->s.b.gateway));
}

static void handle_unbound(struct pa_client *cl, struct pa_now now, const uint8_t *buf, size_t len,
			   const struct pa_msg *m)
{
	static const uint8_t no_mac[PA_MAC_LEN];
	struct pa_client_session *s = &cl->s;

	if (memcmp(m->session, s->b.session, sizeof(s->b.session)) != 0) {
		cl->count.unexpected++;
		return;
	}
	if (m->reason == PA_REASON_UNKNOWN && memcmp(buf + len - PA_MAC_LEN, no_mac, PA_MAC_LEN) == 0) {
		handle_hint(cl, now);
		return;
	}
	if (!pa_msg_verify(buf, len, s->g2c)) {
		cl->count.bad_mac++;
		return;
	}
	cl->last_alive_ms = now.boot_ms;
	if (m->reason == PA_REASON_DRAIN) {
		pa_client_drained(cl, now);
		return;
	}
	cl->last_reason = m->reason;
	pa_client_event(cl, "gateway.unbound", &s->b.gateway, m->reason);
	if (m->reason == PA_REASON_SHUTDOWN) {
		unsigned next = (pa_client_gateway(cl, &s->b.gateway) + 1) % pa_client_ways(cl);

		if (pa_client_ways(cl) > 1)
			drop_session(cl);
		else
			go_down(cl, m->reason); /* nobody else to hope for */
		pa_client_begin(cl, now, next);
	} else if (pa_client_replaced_by_own(cl, m)) {
		drop_session(cl); /* the other gateway's ACCEPT is on its way */
	} else if (pa_claims_eq(&s->b.claims, &cl->grant.claims)) {
		finish(cl, now, m->reason);
	} else { /* an older grant's binding ended while the newer grant's handshake runs */
		go_down(cl, m->reason);
	}
}

void pa_client_receive(struct pa_client *cl, struct pa_now now, const struct pa_endpoint *from, const uint8_t *buf,
		       size_t len)
{
	bool shaking = cl->h.active && pa_endpoint_eq(from, handshake_gateway(cl));
	bool bound = cl->s.valid && pa_endpoint_eq(from, &cl->s.b.gateway);
	struct pa_msg m;

	cl->count.received++;
	if (pa_msg_decode(buf, len, &m) < 0)
		cl->count.malformed++;
	else if (m.type == PA_MSG_CHALLENGE && shaking)
		handle_challenge(cl, now, buf, len, &m);
	else if (m.type == PA_MSG_ACCEPT && shaking)
		handle_accept(cl, now, buf, len, &m);
	else if (m.type == PA_MSG_ALIVE && bound)
		handle_alive(cl, now, buf, len, &m);
	else if (m.type == PA_MSG_PROBED && bound)
		pa_client_path_probed(cl, now, buf, len, &m);
	else if (m.type == PA_MSG_RECHALLENGE && bound)
		handle_rechallenge(cl, now, &m);
	else if (m.type == PA_MSG_UNBOUND && shaking && pa_client_refused(cl, now, buf, len, &m))
		return;
	else if (m.type == PA_MSG_UNBOUND && bound)
		handle_unbound(cl, now, buf, len, &m);
	else
		cl->count.unexpected++;
}

/* ---------------------------------------------------------------- grants and timers */

static int check_grant(const struct pa_client *cl, const struct pa_grant *g)
{
	static const uint8_t unpinned[PA_FINGERPRINT_LEN];
	uint8_t fingerprint[PA_FINGERPRINT_LEN];
	const struct pa_claims *c = &g->claims, *old = &cl->floor;

	if (g->lifetime == 0 || g->n_gateways == 0 || g->n_gateways > PA_GATEWAYS_MAX)
		return PA_EINVAL;
	if (pa_addr_eq(&c->addr, &old->addr) && memcmp(g->gateway_key, cl->floor_key, PA_KEY_LEN) == 0 &&
	    (c->epoch < old->epoch || (c->epoch == old->epoch && c->expires < old->expires)))
		return PA_EREPLAY;
	if (memcmp(c->fingerprint, unpinned, sizeof(unpinned)) == 0)
		return 0;
	pa_fingerprint(cl->public_key, fingerprint);
	return memcmp(c->fingerprint, fingerprint, sizeof(fingerprint)) == 0 ? 0 : PA_EDENIED;
}

/*
 * Nothing to do for a grant with these claims? A grant that no gateway has accepted may be a forgery with another secret
 * or other gateways, and must not stand in the way of the true one.
 */
static bool have_already(const struct pa_client *cl, const struct pa_grant *g, const uint8_t claims[PA_CLAIMS_LEN])
{
	const struct pa_grant *own = &cl->grant;

	if (!cl->has_grant || memcmp(claims, cl->claims, PA_CLAIMS_LEN) != 0)
		return false;
	if (pa_client_healthy(cl) && pa_claims_eq(&cl->s.b.claims, &g->claims))
		return true;
	return pa_secret_eq(g->secret, own->secret, PA_KEY_LEN) &&
	       memcmp(g->gateway_key, own->gateway_key, PA_KEY_LEN) == 0 && g->n_gateways == own->n_gateways &&
	       memcmp(g->gateways, own->gateways, sizeof(g->gateways)) == 0;
}

int pa_client_take(struct pa_client *cl, struct pa_now now, const struct pa_grant *g, bool *ret_new)
{
	uint8_t claims[PA_CLAIMS_LEN];
	int rc = check_grant(cl, g);

	if (rc < 0)
		return rc;
	if (pa_claims_encode(&g->claims, claims) < 0)
		return PA_EINVAL;
	*ret_new = !have_already(cl, g, claims);
	if (!*ret_new)
		return 0;
	cl->grant = *g;
	cl->has_grant = true;
	cl->expires_ms = now.boot_ms + (uint64_t)g->lifetime * 1000;
	memcpy(cl->claims, claims, sizeof(claims));
	pa_claims_hash(claims, cl->claims_hash);
	pa_derive_k0(g->secret, cl->k0);
	cl->last_reason = 0;
	pa_client_event(cl, "grant.new", &g->gateways[0], 0);
	return 0;
}

int pa_client_grant(struct pa_client *cl, struct pa_now now, const struct pa_grant *g)
{
	bool fresh;
	int rc = pa_client_take(cl, now, g, &fresh);

	if (rc == 0 && fresh) /* in the middle of a search that has no time to lose there is still none */
		pa_client_begin_quick(cl, now, cl->s.valid ? pa_client_gateway(cl, &cl->s.b.gateway) : 0,
				      cl->s.lost && cl->s.urgent ? cl->grant.n_gateways : 0);
	return rc;
}

void pa_client_end(struct pa_client *cl, struct pa_now now, enum pa_reason reason)
{
	if (!cl->has_grant)
		return;
	if (cl->s.valid)
		send_bye(cl, reason);
	finish(cl, now, reason);
}

/* When plain NAT must be back at the latest, though gateways of the list are still to be asked; UINT64_MAX: not now. */
static uint64_t leave_at(const struct pa_client *cl)
{
	return cl->up && !pa_client_healthy(cl) && cl->failed > 0 ? cl->last_alive_ms + LEAVE_MS : UINT64_MAX;
}

/* How often the present message is sent. */
static unsigned tries_of(const struct pa_client *cl)
{
	if (cl->quick > 0)
		return 1;
	return cl->h.back && cl->h.n_answers == 0 ? BACK_TRIES : TRIES;
}

uint64_t pa_client_tick(struct pa_client *cl, struct pa_now now)
{
	uint64_t next, ferry;

	if (!cl->has_grant)
		return UINT64_MAX;
	if (now.boot_ms >= cl->expires_ms) {
		pa_client_end(cl, now, PA_REASON_EXPIRED);
		return UINT64_MAX;
	}
	if (cl->s.valid && now.boot_ms >= cl->s.expires_ms)
		go_down(cl, PA_REASON_EXPIRED);
	if (pa_client_overslept(cl, now))
		pa_client_ask(cl, now);
	if (pa_client_healthy(cl) && now.boot_ms >= cl->s.next_ms)
		pa_client_keepalive_due(cl, now);
	if (cl->h.active && now.boot_ms >= cl->h.next_ms) {
		if (cl->h.tries < tries_of(cl))
			try_again(cl, now);
		else
			give_up(cl, now);
	}
	if (now.boot_ms >= leave_at(cl))
		go_down(cl, 0);
	ferry = pa_client_ferry_tick(cl, now);
	next = min_u64(min_u64(cl->expires_ms, leave_at(cl)), pa_client_path_tick(cl, now));
	next = min_u64(next, ferry);
	if (cl->s.valid)
		next = min_u64(next, cl->s.expires_ms);
	if (pa_client_healthy(cl))
		next = min_u64(next, cl->s.next_ms);
	if (cl->h.active)
		next = min_u64(next, cl->h.next_ms);
	cl->due_ms = next;
	return next;
}

/* ---------------------------------------------------------------- life and queries */

int pa_client_new(const uint8_t secret_key[PA_KEY_LEN], const struct pa_client_ops *ops, void *ctx,
		  struct pa_client **ret)
{
	struct pa_client *cl = calloc(1, sizeof(*cl));

	if (cl == NULL)
		return PA_ENOMEM;
	cl->ops = ops;
	cl->ctx = ctx;
	memcpy(cl->secret_key, secret_key, sizeof(cl->secret_key));
	pa_keypair_public(secret_key, cl->public_key);
	*ret = cl;
	return 0;
}

void pa_client_free(struct pa_client *cl)
{
	if (cl == NULL)
		return;
	pa_wipe(cl, sizeof(*cl));
	free(cl);
}

void pa_client_status_get(const struct pa_client *cl, struct pa_client_status *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->last_reason = cl->last_reason;
	if (!cl->has_grant)
		return;
	ret->state = cl->up ? PA_CLIENT_BOUND : PA_CLIENT_BINDING;
	if (cl->up) {
		ret->binding = cl->s.b;
		ret->interval = interval_of(cl);
	}
	ret->claims = cl->grant.claims;
	ret->expires_boot_ms = cl->expires_ms;
	ret->rtt_us = cl->rtt_us;
	ret->last_alive_ms = cl->last_alive_ms;
	ret->misses = cl->s.misses;
	ret->path = cl->pmtu.state;
	if (cl->h.active) {
		ret->attempt = cl->h.attempt;
		ret->trying = *handshake_gateway(cl);
	}
}

void pa_client_counters_get(const struct pa_client *cl, struct pa_client_counters *ret)
{
	*ret = cl->count;
}

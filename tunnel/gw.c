/* SPDX-License-Identifier: MPL-2.0 */
#include <string.h>

#include "common/cred.h"
#include "common/cursor.h"
#include "common/err.h"
#include "common/msg.h"
#include "tunnel/gw_int.h"

/* RECHALLENGE of one binding, data and control apart so that forged data cannot use up what a KEEPALIVE needs. */
#define BINDING_INTERVAL_MS 250
#define BINDING_BURST 4
/* ALIVE, for KEEPALIVEs of one binding: nobody who keeps the rules comes near it. */
#define ALIVE_INTERVAL_MS 100
#define ALIVE_BURST 50
#define QUIET_MS 10000	   /* after an objection no move is offered for so long */
#define TOKEN_REPEATS 4	   /* a client repeats a KEEPALIVE after 1, 2 and 4 s, then it leaves */
#define TOKEN_GRACE_MS 15000
#define REVIEW_MS 60000	   /* each entry is looked at so often, whatever the Unix clock does in between */
#define REPEATED 8	   /* numbers back from the latest that may be of a client which repeats itself */

enum cookie_purpose { COOKIE_HELLO = 1, COOKIE_REBIND = 2 };

/* One datagram and what it became. */
struct rx {
	struct pa_now now;
	unsigned local;
	const struct pa_endpoint *from;
	const uint8_t *buf;
	size_t len;
	struct pa_msg m;
};

/* What a HELLO's or CONFIRM's claims proved to be. Holds secrets: wipe. */
struct proof {
	struct pa_claims claims;
	uint8_t secret[PA_KEY_LEN], k0[PA_KEY_LEN];
	uint8_t pin[PA_FINGERPRINT_LEN]; /* of the client's key */
};

static uint64_t silence_ms(const struct pa_gw *gw)
{
	return (uint64_t)gw->keepalive * 2500;
}

/* True if rx comes from where the client of e is known to be. */
static bool is_at(const struct pa_gw_entry *e, const struct rx *rx)
{
	return e->local == rx->local && pa_endpoint_eq(&e->mapped, rx->from);
}

/* Counts why a message is refused, and says so to who asked for it to be received. Always false. */
static bool refuse(struct pa_gw *gw, uint64_t *counter, enum pa_gw_refusal why)
{
	(*counter)++;
	gw->refusal = why;
	return false;
}

static bool is_past(uint64_t unix_s, struct pa_now now)
{
	return unix_s <= now.unix_ms / 1000;
}

/* ---------------------------------------------------------------- sending */

/*
 * Answers are never longer than what they answer, so nobody can use us to send another more than he spends himself.
 * What was asked for by an authentic client may be longer; all lengths are chosen so that it is not.
 */
static void answer(struct pa_gw *gw, const struct rx *rx, const struct pa_msg *m, const uint8_t *key)
{
	uint8_t buf[PA_CTL_MAX];
	int n = pa_msg_encode(m, key, buf, sizeof(buf));

	PA_REQUIRE(n > 0);
	if ((size_t)n > rx->len) {
		gw->count.limited++;
		return;
	}
	gw->ops->send(gw->ctx, rx->local, rx->from, buf, (size_t)n);
}

/* The same, to a client that is bound. */
static void answer_bound(struct pa_gw *gw, const struct rx *rx, const struct pa_msg *m, const struct pa_gw_entry *e)
{
	uint8_t g2c[PA_KEY_LEN];

	pa_derive_g2c(e->k1, g2c);
	answer(gw, rx, m, g2c);
	pa_wipe(g2c, sizeof(g2c));
}

/* Of the CONFIRM rx. */
static void send_accept(struct pa_gw *gw, const struct rx *rx, const struct pa_gw_entry *e)
{
	struct pa_msg m = {.type = PA_MSG_ACCEPT, .routed = true};
	uint64_t left = e->expires - rx->now.unix_ms / 1000;

	memcpy(m.nonce, rx->m.nonce, sizeof(m.nonce));
	m.bind = e->bind;
	memcpy(m.session, e->session, sizeof(m.session));
	pa_claims_hash(rx->m.claims, m.claims_hash);
	m.mapped = e->mapped;
	m.lifetime = left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
	m.mtu = gw->mtu;
	m.keepalive = gw->keepalive;
	pa_gw_token(gw, e, 0, m.token);
	answer_bound(gw, rx, &m, e);
}

static void send_alive(struct pa_gw *gw, const struct rx *rx, const struct pa_gw_entry *e)
{
	struct pa_msg m = {.type = PA_MSG_ALIVE, .seq = rx->m.seq, .echo = rx->m.echo, .mapped = e->mapped,
			   .mtu = (uint16_t)e->mtu};

	memcpy(m.session, e->session, sizeof(m.session));
	pa_gw_token(gw, e, 0, m.token);
	answer_bound(gw, rx, &m, e);
}

/* ---------------------------------------------------------------- cookies */

static void rotate_cookies(struct pa_gw *gw, uint64_t boot_ms)
{
	uint64_t age = boot_ms - gw->cookie_rotated_ms;

	if (age < PA_COOKIE_ROTATE_MS)
		return;
	if (age < 2 * (uint64_t)PA_COOKIE_ROTATE_MS)
		memcpy(gw->cookie_key[1], gw->cookie_key[0], PA_KEY_LEN);
	else
		gw->ops->random(gw->ctx, gw->cookie_key[1], PA_KEY_LEN);
	gw->ops->random(gw->ctx, gw->cookie_key[0], PA_KEY_LEN);
	gw->cookie_rotated_ms = boot_ms;
}

static void put_mapped(struct pa_writer *w, unsigned local, const struct pa_endpoint *from)
{
	pa_put_bytes(w, from->addr.b, sizeof(from->addr.b));
	pa_put_u16(w, from->port);
	pa_put_u32(w, local);
}

/* which: 0 the current secret, 1 the previous one. session: of a binding that would move; NULL: of a handshake. */
static void make_cookie(const struct pa_gw *gw, const struct rx *rx, const uint8_t *session, unsigned which,
			uint8_t ret[PA_COOKIE_LEN])
{
	uint8_t text[160], hash[PA_KEY_LEN], mac[PA_MAC_LEN];
	struct pa_writer w;

	pa_writer_init(&w, text, sizeof(text));
	pa_put_u8(&w, session != NULL ? COOKIE_REBIND : COOKIE_HELLO);
	put_mapped(&w, rx->local, rx->from);
	if (session != NULL) {
		pa_put_bytes(&w, session, PA_SESSION_LEN);
	} else {
		pa_claims_hash(rx->m.claims, hash);
		pa_put_bytes(&w, hash, sizeof(hash));
		pa_put_bytes(&w, rx->m.client_key, sizeof(rx->m.client_key));
		pa_put_u64(&w, rx->m.bind);
		pa_put_bytes(&w, rx->m.nonce, sizeof(rx->m.nonce));
	}
	PA_REQUIRE(!w.failed);
	pa_mac(gw->cookie_key[which], text, w.len, mac);
	memcpy(ret, mac, PA_COOKIE_LEN);
}

static bool check_cookie(struct pa_gw *gw, const struct rx *rx, const uint8_t *session)
{
	uint8_t want[PA_COOKIE_LEN];

	for (unsigned which = 0; which < 2; which++) {
		make_cookie(gw, rx, session, which, want);
		if (pa_secret_eq(want, rx->m.cookie, sizeof(want)))
			return true;
	}
	return refuse(gw, &gw->count.bad_cookie, PA_GW_REFUSED_SILENTLY);
}

/* A limit of one binding whose state is *tat, in steps of its interval: 32 bits of them are decades. */
static bool limit_binding(uint32_t *tat, uint64_t now_ms, uint32_t interval_ms, uint32_t burst)
{
	uint64_t steps = *tat;
	bool ok = pa_limit_one(&steps, now_ms / interval_ms, 1, burst);

	*tat = (uint32_t)steps;
	return ok;
}

/* After an objection e stays where it is for a while. */
static bool rests(const struct pa_gw *gw, const struct pa_gw_entry *e, uint64_t now_ms)
{
	const struct pa_gw_contest *c = pa_gw_contest_of(gw, e);

	return c != NULL && now_ms < c->quiet_until_ms;
}

/*
 * Asks whether the client of e is at rx->from, if that may be asked now. Changes nothing but the limits. known: that is where it was
 * all the time; then only its own limit counts, for after a restart all clients of a prefix are asked at once.
 */
static void rechallenge(struct pa_gw *gw, const struct rx *rx, struct pa_gw_entry *e, uint32_t *tat, bool known)
{
	struct pa_msg m = {.type = PA_MSG_RECHALLENGE};
	uint64_t now = rx->now.boot_ms;

	if (rests(gw, e, now) || !limit_binding(tat, now, BINDING_INTERVAL_MS, BINDING_BURST) ||
	    (!known && !pa_gw_limit(gw, &gw->rechallenge_limit, now, rx->local, rx->from))) {
		gw->count.limited++;
		return;
	}
	make_cookie(gw, rx, e->session, 0, m.cookie);
	answer(gw, rx, &m, NULL);
}

/* ---------------------------------------------------------------- table */

void pa_gw_schedule(struct pa_gw *gw, struct pa_gw_entry *e, struct pa_now now)
{
	uint64_t due = now.boot_ms + REVIEW_MS, until = e->bound ? e->expires : pa_gw_floor_until(e), left;

	if (until <= (now.unix_ms + REVIEW_MS) / 1000) {
		left = until * 1000 > now.unix_ms ? until * 1000 - now.unix_ms : 0;
		due = now.boot_ms + left;
	}
	if (e->bound && e->moved) { /* whether it is silent does not matter any more, as in review */
		if (pa_gw_leave_due(gw, e) < due)
			due = pa_gw_leave_due(gw, e);
	} else if (e->bound && e->delivering && e->last_seen_ms + silence_ms(gw) < due) {
		due = e->last_seen_ms + silence_ms(gw);
	}
	if (!e->moved && pa_gw_contest_end(gw, e) < due)
		due = pa_gw_contest_end(gw, e);
	pa_gw_table_schedule(gw->table, e, due);
}

static void deliver(struct pa_gw *gw, const struct pa_gw_entry *e)
{
	struct pa_gw_binding b;

	pa_gw_view(gw, e, &b);
	gw->ops->deliver(gw->ctx, &b);
}

static void event(struct pa_gw *gw, const char *name, const struct pa_gw_entry *e, unsigned reason)
{
	struct pa_gw_binding b;

	pa_gw_view(gw, e, &b);
	gw->ops->event(gw->ctx, name, &b, reason);
}

/* The floor (claims.epoch, bind) and the pin stay until no grant seen for this address is valid any more. */
void pa_gw_end_binding(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e, enum pa_reason reason, bool tell)
{
	if (tell)
		pa_gw_send_unbound(gw, e, reason);
	gw->ops->stop(gw->ctx, &e->addr);
	e->delivering = e->moved = false;
	event(gw, "binding.end", e, reason);
	pa_gw_table_unindex(gw->table, e);
	e->bound = false;
	gw->n_bound--;
	pa_wipe(e->k1, sizeof(e->k1));
	pa_gw_contest_drop(gw, e);
	pa_gw_changed(gw, e);
	pa_gw_schedule(gw, e, now);
}

/* An authentic message came from where the client is known to be. */
static void seen(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e)
{
	pa_gw_set_seen(e, now.boot_ms);
	if (e->delivering)
		return;
	e->delivering = true;
	pa_gw_changed(gw, e);
	deliver(gw, e);
	event(gw, "binding.resumed", e, 0);
	pa_gw_schedule(gw, e, now);
}

/* ---------------------------------------------------------------- handshake */

static const struct pa_key *pool_key_of(const struct pa_gw *gw, const struct pa_claims *c)
{
	return pa_keyring_find(gw->keys, PA_KEY_POOL, c->key_id, c->pool_id);
}

bool pa_gw_serves(const struct pa_gw *gw, const struct pa_claims *c)
{
	for (size_t i = 0; i < gw->n_pools; i++)
		if (gw->pools[i].id == c->pool_id && pa_prefix_contains(&gw->pools[i].prefix, &c->addr))
			return pool_key_of(gw, c) != NULL;
	return false;
}

/* Checks what HELLO and CONFIRM have in common, the cheap things first. Counts what is wrong. */
static bool check_claims(struct pa_gw *gw, const struct rx *rx, struct proof *p)
{
	static const uint8_t unpinned[PA_FINGERPRINT_LEN];
	const struct pa_key *pool_key;

	if (pa_claims_decode(rx->m.claims, &p->claims) < 0 ||
	    p->claims.prefix_len != (pa_addr_is_ipv4(&p->claims.addr) ? 32 : 128))
		return refuse(gw, &gw->count.malformed, PA_GW_REFUSED_SILENTLY);
	if (is_past(p->claims.expires, rx->now))
		return refuse(gw, &gw->count.expired, PA_GW_REFUSED_EXPIRED);
	if (!pa_gw_serves(gw, &p->claims))
		return refuse(gw, &gw->count.unknown_pool, PA_GW_REFUSED_POOL);
	pool_key = pool_key_of(gw, &p->claims);
	pa_fingerprint(rx->m.client_key, p->pin);
	if (memcmp(p->claims.fingerprint, unpinned, sizeof(unpinned)) != 0 &&
	    memcmp(p->claims.fingerprint, p->pin, sizeof(p->pin)) != 0)
		return refuse(gw, &gw->count.bad_key, PA_GW_REFUSED_KEY);
	pa_derive_secret(pool_key->key, rx->m.claims, p->secret);
	pa_derive_k0(p->secret, p->k0);
	if (!pa_msg_verify(rx->buf, rx->len, p->k0))
		return refuse(gw, &gw->count.bad_mac, PA_GW_REFUSED_PROOF);
	gw->refusal = PA_GW_NOT_REFUSED;
	return pa_gw_admits(gw, &p->claims);
}

static void handle_hello(struct pa_gw *gw, const struct rx *rx)
{
	struct pa_msg m = {.type = PA_MSG_CHALLENGE};
	struct proof p;

	if (check_claims(gw, rx, &p)) {
		gw->count.hello++;
		memcpy(m.nonce, rx->m.nonce, sizeof(m.nonce));
		make_cookie(gw, rx, NULL, 0, m.cookie);
		answer(gw, rx, &m, p.k0);
	}
	pa_wipe(&p, sizeof(p));
}

static int derive_session(const struct pa_gw *gw, const struct rx *rx, const struct proof *p,
			  struct pa_session_keys *ret)
{
	const struct pa_session_input in = {
		.secret = p->secret,
		.own_secret = gw->secret_key,
		.peer_public = rx->m.client_key,
		.client_key = rx->m.client_key,
		.gateway_key = gw->public_key,
		.claims = rx->m.claims,
		.bind = rx->m.bind,
		.nonce = rx->m.nonce,
		.cookie = rx->m.cookie,
	};

	return pa_derive_session(&in, ret);
}

/* True if this CONFIRM made the session of e: whatever it is made of went into the key of its second MAC. */
static bool made(const struct rx *rx, const struct pa_gw_entry *e)
{
	uint8_t c2g[PA_KEY_LEN];
	bool same;

	pa_derive_c2g(e->k1, c2g);
	same = pa_msg_verify_seal(rx->buf, rx->len, c2g);
	pa_wipe(c2g, sizeof(c2g));
	return same;
}

/*
 * May this CONFIRM bind, seen from what is known of P? A CONFIRM that was accepted before and comes again, because ACCEPT
 * was lost, gets the ACCEPT again.
 */
static bool check_floor(struct pa_gw *gw, const struct rx *rx, const struct proof *p, const struct pa_gw_entry *e)
{
	const struct pa_claims *c = &p->claims;

	if (e->bound && c->epoch == e->epoch && rx->m.bind == e->bind && is_at(e, rx) && made(rx, e)) {
		gw->count.repeated_confirm++;
		send_accept(gw, rx, e);
		return false;
	}
	if (c->epoch < e->epoch || (c->epoch == e->epoch && rx->m.bind <= e->bind))
		return refuse(gw, &gw->count.replayed, PA_GW_REFUSED_SILENTLY);
	if (c->epoch == e->epoch && memcmp(e->pin, p->pin, sizeof(e->pin)) != 0)
		return refuse(gw, &gw->count.bad_key, PA_GW_REFUSED_KEY);
	return true;
}

/* Takes leave of the binding that a CONFIRM replaces. Returns whether it was the same client's. */
static bool leave_old(struct pa_gw *gw, const struct proof *p, struct pa_gw_entry *e)
{
	bool same = memcmp(e->pin, p->pin, sizeof(e->pin)) == 0;

	if (!same) {
		pa_gw_send_unbound(gw, e, PA_REASON_REPLACED);
		event(gw, "binding.replaced", e, PA_REASON_REPLACED);
	}
	pa_gw_table_unindex(gw->table, e);
	e->bound = false;
	gw->n_bound--;
	return same;
}

static void new_session(struct pa_gw *gw, struct pa_gw_entry *e)
{
	do
		gw->ops->random(gw->ctx, e->session, sizeof(e->session));
	while (pa_gw_table_find_session(gw->table, e->session) != NULL);
	e->token = 0;
	e->repeats = TOKEN_REPEATS; /* there is none before it */
}

static void bind_entry(struct pa_gw *gw, const struct rx *rx, const struct proof *p, const struct pa_session_keys *keys,
		       struct pa_gw_entry *e)
{
	bool same = e->bound ? leave_old(gw, p, e) : false;

	if (!same || !pa_addr_eq(&e->mapped.addr, &rx->from->addr))
		e->mtu = 0; /* maybe another path; the client will say */
	pa_gw_set_claims(e, &p->claims, pa_gw_floor_until(e));
	e->mapped = *rx->from;
	e->local = (uint8_t)rx->local;
	e->bind = rx->m.bind;
	e->bound_at_s = (uint32_t)(rx->now.boot_ms / 1000);
	pa_gw_set_seen(e, rx->now.boot_ms);
	e->delivering = true;
	e->moved = false;
	e->seq = 0;
	memcpy(e->pin, p->pin, sizeof(e->pin));
	memcpy(e->k1, keys->k1, sizeof(e->k1));
	pa_gw_contest_drop(gw, e);
	new_session(gw, e);
	e->bound = true;
	e->adopted = false;
	gw->n_bound++;
	pa_gw_table_index(gw->table, e);
	pa_gw_changed(gw, e);
	pa_gw_schedule(gw, e, rx->now);
	gw->count.confirm++;
	gw->count.accept++;
	deliver(gw, e);
	event(gw, same ? "binding.renewed" : "binding.new", e, 0);
	send_accept(gw, rx, e);
}

static void handle_confirm(struct pa_gw *gw, const struct rx *rx)
{
	struct pa_session_keys keys;
	struct pa_gw_entry *e;
	struct proof p;

	memset(&keys, 0, sizeof(keys));
	if (!check_claims(gw, rx, &p) || !check_cookie(gw, rx, NULL))
		goto out;
	e = pa_gw_table_find(gw->table, &p.claims.addr);
	if (e != NULL && !check_floor(gw, rx, &p, e))
		goto out;
	if (derive_session(gw, rx, &p, &keys) < 0) {
		(void)refuse(gw, &gw->count.bad_key, PA_GW_REFUSED_KEY);
		goto out;
	}
	if (!pa_msg_verify_seal(rx->buf, rx->len, keys.c2g)) {
		(void)refuse(gw, &gw->count.bad_mac, PA_GW_REFUSED_PROOF);
		goto out;
	}
	if (!pa_gw_may_bind(gw, e, p.pin)) {
		pa_gw_refuse_drained(gw, rx->local, rx->from, rx->m.bind, keys.g2c);
		goto out;
	}
	if (e == NULL && pa_gw_table_add(gw->table, &p.claims.addr, &e) < 0) {
		(void)refuse(gw, &gw->count.full, PA_GW_REFUSED_FULL);
		goto out;
	}
	bind_entry(gw, rx, &p, &keys, e);
out:
	pa_wipe(&keys, sizeof(keys));
	pa_wipe(&p, sizeof(p));
}

/* ---------------------------------------------------------------- session messages */

/* Is that of the client of e, whose grant has not expired? */
static struct pa_gw_entry *authentic(struct pa_gw *gw, struct pa_now now, const uint8_t *buf, size_t len, struct pa_gw_entry *e)
{
	uint8_t c2g[PA_KEY_LEN];
	bool genuine;

	pa_derive_c2g(e->k1, c2g);
	genuine = pa_msg_verify(buf, len, c2g);
	pa_wipe(c2g, sizeof(c2g));
	if (!genuine) {
		(void)refuse(gw, &gw->count.bad_mac, PA_GW_REFUSED_PROOF);
		return NULL;
	}
	gw->refusal = PA_GW_NOT_REFUSED;
	if (is_past(e->expires, now)) {
		(void)refuse(gw, &gw->count.expired, PA_GW_REFUSED_EXPIRED);
		pa_gw_end_binding(gw, now, e, PA_REASON_EXPIRED, true);
		return NULL;
	}
	return e;
}

struct pa_gw_entry *pa_gw_authentic(struct pa_gw *gw, struct pa_now now, const uint8_t *buf, size_t len,
				    const struct pa_msg *m)
{
	struct pa_gw_entry *e = pa_gw_table_find_session(gw->table, m->session);

	if (e == NULL)
		gw->count.unknown_session++;
	return e != NULL ? authentic(gw, now, buf, len, e) : NULL;
}

/* As pa_gw_authentic, but of a client that has said that it is bound elsewhere nothing more is taken. */
static struct pa_gw_entry *find_authentic(struct pa_gw *gw, const struct rx *rx)
{
	struct pa_gw_entry *e = pa_gw_authentic(gw, rx->now, rx->buf, rx->len, &rx->m);

	return e != NULL && !e->moved ? e : NULL;
}

/* A client whose binding is not known here (a restart, say) learns so early. It is a hint only: no key to sign it with. */
static void send_hint(struct pa_gw *gw, const struct rx *rx)
{
	struct pa_msg m = {.type = PA_MSG_UNBOUND, .reason = PA_REASON_UNKNOWN};

	if (!pa_gw_limit(gw, &gw->hint_limit, rx->now.boot_ms, rx->local, rx->from)) {
		gw->count.limited++;
		return;
	}
	memcpy(m.session, rx->m.session, sizeof(m.session));
	answer(gw, rx, &m, NULL);
}

/* True if rx comes from where the client was until a moment ago. */
static bool may_object(const struct pa_gw *gw, const struct pa_gw_entry *e, const struct rx *rx)
{
	const struct pa_gw_contest *c = pa_gw_contest_of(gw, e);

	return c != NULL && rx->now.boot_ms < c->until_ms && c->old_local == rx->local &&
	       pa_endpoint_eq(&c->old_mapped, rx->from);
}

static void ask_old(struct pa_gw *gw, const struct rx *rx, const struct pa_gw_entry *e, const struct pa_gw_contest *c)
{
	struct pa_msg m = {.type = PA_MSG_RECHALLENGE};
	struct rx ask = *rx;

	ask.from = &c->old_mapped;
	ask.local = c->old_local;
	make_cookie(gw, &ask, e->session, 0, m.cookie);
	answer(gw, &ask, &m, NULL);
}

/* Moves e to where rx came from, and asks at the old place whether that is right; only once, or two would play ping-pong. */
static void move(struct pa_gw *gw, const struct rx *rx, struct pa_gw_entry *e)
{
	uint64_t now = rx->now.boot_ms;
	bool back = may_object(gw, e, rx);
	struct pa_gw_contest *c = pa_gw_contest_make(gw, e);

	if (c == NULL)
		return; /* without memory nobody could object */
	if (back) {
		c->until_ms = 0;
		c->quiet_until_ms = now + QUIET_MS;
		gw->count.contested++;
	} else {
		c->old_mapped = e->mapped;
		c->old_local = e->local;
		c->until_ms = now + PA_RECHALLENGE_MS;
		gw->count.rebind++;
	}
	e->mapped = *rx->from;
	e->local = (uint8_t)rx->local;
	e->delivering = true;
	pa_gw_set_seen(e, now);
	deliver(gw, e);
	event(gw, back ? "binding.contested" : "binding.moved", e, 0);
	pa_gw_changed(gw, e);
	pa_gw_schedule(gw, e, rx->now);
	send_alive(gw, rx, e);
	if (!back)
		ask_old(gw, rx, e, c);
}

/* The very packet that was believed last comes from the former place too: that one was a listener's copy. True: moved back. */
static bool object(struct pa_gw *gw, const struct rx *rx, struct pa_gw_entry *e)
{
	if (rx->m.seq != e->seq || !may_object(gw, e, rx))
		return false;
	move(gw, rx, e);
	return true;
}

static void handle_keepalive(struct pa_gw *gw, const struct rx *rx)
{
	struct pa_gw_entry *e = pa_gw_table_find_session(gw->table, rx->m.session);
	bool current, former;

	if (e == NULL) {
		gw->count.unknown_session++;
		send_hint(gw, rx);
		return;
	}
	if (authentic(gw, rx->now, rx->buf, rx->len, e) == NULL || e->moved)
		return;
	/* Only what is authentic is charged, or a listener could use up what the holder needs. */
	if (!limit_binding(&e->tat_session, rx->now.boot_ms, ALIVE_INTERVAL_MS, ALIVE_BURST)) {
		(void)refuse(gw, &gw->count.limited, PA_GW_REFUSED_SILENTLY);
		return;
	}
	if (e->adopted && rx->m.seq > e->seq) {
		rechallenge(gw, rx, e, &e->tat_control, is_at(e, rx));
		return;
	}
	if (object(gw, rx, e))
		return;
	current = pa_gw_has_token(gw, e, 0, rx->m.token);
	/* The ALIVE with the current one may have been lost, so what is said again soon after it may have the one before. */
	former = e->repeats < TOKEN_REPEATS && rx->now.boot_ms < e->last_seen_ms + TOKEN_GRACE_MS &&
		 pa_gw_has_token(gw, e, 1, rx->m.token);
	/* A stale token: whoever sends this no longer receives what we send. */
	if (rx->m.seq <= e->seq || (!current && !former)) {
		/*
		 * A new number is no flood, nor is one of a moment ago, but somebody who repeats himself because we are slow, as all do
		 * after a restart.
		 */
		(void)refuse(gw, &gw->count.replayed, rx->m.seq + REPEATED <= e->seq ? PA_GW_REFUSED_SILENTLY : PA_GW_NOT_REFUSED);
		return;
	}
	if (!is_at(e, rx)) {
		rechallenge(gw, rx, e, &e->tat_control, is_at(e, rx));
		return;
	}
	e->seq = rx->m.seq;
	if (current) {
		e->token++;
		e->repeats = 0;
	} else {
		e->repeats++;
	}
	gw->count.keepalive++;
	seen(gw, rx->now, e);
	if (pa_gw_path_told(gw, rx->now, e, rx->m.mtu)) {
		deliver(gw, e);
		pa_gw_changed(gw, e);
		event(gw, "binding.mtu", e, 0);
	}
	send_alive(gw, rx, e);
}

static void handle_reconfirm(struct pa_gw *gw, const struct rx *rx)
{
	struct pa_gw_entry *e = find_authentic(gw, rx);

	if (e == NULL || object(gw, rx, e))
		return;
	if (rx->m.seq <= e->seq) {
		(void)refuse(gw, &gw->count.replayed, PA_GW_REFUSED_SILENTLY);
		return;
	}
	/*
	 * Without a good cookie it moves nothing, and shows not that the client receives what we send. But from where we know the client
	 * to be it uses up its number: if it answers there to a RECHALLENGE that somebody else got and passed on, a copy of that
	 * answer, with the cookie for somebody else's place, comes too late. Of an adopted binding an old copy may be news.
	 */
	if (!check_cookie(gw, rx, rx->m.session)) {
		if (!e->adopted && is_at(e, rx)) {
			e->seq = rx->m.seq;
			send_alive(gw, rx, e);
		}
		return;
	}
	/* The answer to a question of before the objection, or a listener's copy of it, for he may pass questions on late. */
	if (!is_at(e, rx) && rests(gw, e, rx->now.boot_ms)) {
		gw->count.limited++;
		return;
	}
	e->seq = rx->m.seq;
	e->adopted = false; /* the cookie is of this process's secret, so nobody else has answered */
	if (is_at(e, rx)) {
		seen(gw, rx->now, e);
		send_alive(gw, rx, e);
		return;
	}
	move(gw, rx, e);
}

/* Of an adopted binding too: a client says BYE only when the session is over, so even a replay tells the truth. */
static void handle_bye(struct pa_gw *gw, const struct rx *rx)
{
	struct pa_gw_entry *e = find_authentic(gw, rx);

	if (e != NULL && rx->m.reason == PA_REASON_MOVED)
		pa_gw_leave(gw, rx->now, e);
	else if (e != NULL)
		pa_gw_end_binding(gw, rx->now, e, PA_REASON_RELEASED, false);
}

enum pa_gw_refusal pa_gw_receive(struct pa_gw *gw, struct pa_now now, unsigned local, const struct pa_endpoint *from,
				 const uint8_t *buf, size_t len)
{
	struct rx rx = {.now = now, .local = local, .from = from, .buf = buf, .len = len};

	gw->refusal = PA_GW_REFUSED_SILENTLY; /* until a proof has been seen */
	if (pa_msg_decode(buf, len, &rx.m) < 0) {
		gw->count.malformed++;
		return gw->refusal;
	}
	if (local >= PA_GW_PROBE_LOCAL && rx.m.type != PA_MSG_PROBE) {
		gw->count.malformed++;
		return gw->refusal;
	}
	rotate_cookies(gw, now.boot_ms);
	if (gw->limits_handshakes && (rx.m.type == PA_MSG_HELLO || rx.m.type == PA_MSG_CONFIRM) &&
	    !pa_gw_limit(gw, &gw->handshake_limit, now.boot_ms * 1000, local, from)) {
		gw->count.limited++;
		return gw->refusal;
	}
	switch (rx.m.type) {
	case PA_MSG_HELLO:
		handle_hello(gw, &rx);
		break;
	case PA_MSG_CONFIRM:
		handle_confirm(gw, &rx);
		break;
	case PA_MSG_KEEPALIVE:
		handle_keepalive(gw, &rx);
		break;
	case PA_MSG_RECONFIRM:
		handle_reconfirm(gw, &rx);
		break;
	case PA_MSG_BYE:
		handle_bye(gw, &rx);
		break;
	case PA_MSG_PROBE:
		pa_gw_probe(gw, now, local, from, buf, &rx.m);
		break;
	default: /* only gateways send these */
		gw->count.malformed++;
		break;
	}
	return gw->refusal;
}

void pa_gw_foreign(struct pa_gw *gw, struct pa_now now, unsigned local, const struct pa_endpoint *from,
		   const struct pa_addr *inner, size_t len)
{
	struct rx rx = {.now = now, .local = local, .from = from, .len = len};
	struct pa_gw_entry *e = pa_gw_table_find(gw->table, inner);

	if (e == NULL || !e->bound || e->moved || is_at(e, &rx) || is_past(e->expires, now))
		return;
	rotate_cookies(gw, now.boot_ms);
	rechallenge(gw, &rx, e, &e->tat_data, false);
}

/* ---------------------------------------------------------------- timers */

static void review(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e)
{
	if (e->bound && is_past(e->expires, now))
		pa_gw_end_binding(gw, now, e, PA_REASON_EXPIRED, true);
	if (e->bound && e->moved) {
		pa_gw_leave_review(gw, now, e);
	} else if (e->bound && e->delivering && now.boot_ms >= e->last_seen_ms + silence_ms(gw)) {
		e->delivering = false;
		pa_gw_changed(gw, e);
		gw->count.timed_out++;
		gw->ops->stop(gw->ctx, &e->addr);
		event(gw, "binding.silent", e, 0);
	}
	if (!e->moved && now.boot_ms >= pa_gw_contest_end(gw, e))
		pa_gw_contest_drop(gw, e);
	if (!e->bound && is_past(pa_gw_floor_until(e), now)) {
		pa_gw_table_remove(gw->table, e); /* a record of it expires by itself */
	} else {
		pa_gw_schedule(gw, e, now);
	}
}

uint64_t pa_gw_tick(struct pa_gw *gw, struct pa_now now)
{
	uint64_t next = pa_gw_probe_tick(gw, now), drain = pa_gw_drain_tick(gw, now);
	struct pa_gw_entry *e;

	if (drain < next)
		next = drain;

	rotate_cookies(gw, now.boot_ms);
	while ((e = pa_gw_table_first(gw->table)) != NULL && e->due_ms <= now.boot_ms)
		review(gw, now, e);
	if (e != NULL && e->due_ms < next)
		next = e->due_ms;
	return next < gw->cookie_rotated_ms + PA_COOKIE_ROTATE_MS ? next : gw->cookie_rotated_ms + PA_COOKIE_ROTATE_MS;
}

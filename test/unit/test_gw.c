/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "test/sim/peer.h"
#include "tunnel/gw.h"
#include "tunnel/gw_refused.h"

/* A gateway whose output is kept, so that each test reads what one message caused. */
#define SENT_MAX 64

struct sent {
	unsigned local;
	struct pa_endpoint to;
	struct pa_msg m;
	uint8_t buf[PA_CTL_MAX];
	size_t len;
};

struct fx {
	struct pa_keyring *ring;
	struct pa_gw *gw;
	struct peer_rng rng;
	struct pa_now now;
	struct sent sent[SENT_MAX];
	size_t n_sent;
	unsigned n_deliver, n_stop;
	struct pa_gw_binding delivered;
	struct pa_addr stopped;
	char event[32];
	unsigned reason;
	enum pa_gw_refusal refusal; /* of the last message given */
};

static void on_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct fx *f = ctx;
	struct sent *s = &f->sent[f->n_sent++];

	cr_assert(f->n_sent < SENT_MAX);
	s->local = local;
	s->to = *to;
	memcpy(s->buf, buf, len);
	s->len = len;
	cr_assert_eq(pa_msg_decode(buf, len, &s->m), 0);
}

static void on_deliver(void *ctx, const struct pa_gw_binding *b)
{
	struct fx *f = ctx;

	f->n_deliver++;
	f->delivered = *b;
}

static void on_stop(void *ctx, const struct pa_addr *addr)
{
	struct fx *f = ctx;

	f->n_stop++;
	f->stopped = *addr;
}

static void on_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	struct fx *f = ctx;

	(void)b;
	(void)snprintf(f->event, sizeof(f->event), "%s", event);
	f->reason = reason;
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct fx *)ctx)->rng, dst, len);
}

static const struct pa_gw_ops ops = {.send = on_send, .deliver = on_deliver, .stop = on_stop, .event = on_event,
				     .random = on_random};
static const struct pa_gw_pool pool = {PEER_POOL_ID, {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};

static struct fx *fx_new(size_t max_bindings)
{
	struct fx *f = calloc(1, sizeof(*f));
	struct pa_gw_config cfg = {.pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25,
				   .max_bindings = max_bindings};

	f->ring = peer_keyring();
	f->rng.s = 1;
	f->now = (struct pa_now){.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};
	cfg.keys = f->ring;
	cr_assert_eq(pa_gw_new(&cfg, &ops, f, &f->gw), 0);
	return f;
}

static void fx_free(struct fx *f)
{
	pa_gw_free(f->gw);
	pa_keyring_free(f->ring);
	free(f);
}

static void advance(struct fx *f, uint64_t ms)
{
	f->now.boot_ms += ms;
	f->now.unix_ms += ms;
}

/* Gives the gateway one message; what it sends is in f->sent from 0 on. */
static void give(struct fx *f, unsigned local, const char *from, const uint8_t *buf, size_t len)
{
	struct pa_endpoint e = peer_at(from);

	f->n_sent = 0;
	f->refusal = pa_gw_receive(f->gw, f->now, local, &e, buf, len);
}

static struct pa_gw_counters counters(const struct fx *f)
{
	struct pa_gw_counters c;

	pa_gw_counters_get(f->gw, &c);
	return c;
}

#define HOME "192.0.2.1:40000"
#define AWAY "192.0.2.99:50000"

/* HELLO and CHALLENGE; the cookie is then in p. */
static void hello(struct fx *f, struct peer *p, const char *from)
{
	uint8_t buf[PA_CTL_MAX];

	give(f, 0, from, buf, peer_hello(p, buf));
	cr_assert_eq(f->n_sent, 1);
	cr_assert_eq(f->sent[0].m.type, PA_MSG_CHALLENGE);
	memcpy(p->cookie, f->sent[0].m.cookie, sizeof(p->cookie));
}

static void take_accept(struct fx *f, struct peer *p)
{
	const struct sent *s = &f->sent[f->n_sent - 1];

	cr_assert_eq(s->m.type, PA_MSG_ACCEPT);
	cr_assert(pa_msg_verify(s->buf, s->len, p->keys.g2c));
	memcpy(p->session, s->m.session, sizeof(p->session));
	memcpy(p->token, s->m.token, sizeof(p->token));
	p->seq = 0;
}

static void bind_at(struct fx *f, struct peer *p, const char *from)
{
	uint8_t buf[PA_CTL_MAX];

	hello(f, p, from);
	give(f, 0, from, buf, peer_confirm(p, buf));
	cr_assert(f->n_sent >= 1);
	take_accept(f, p);
}

static void make_peer(struct peer *p, unsigned n, uint8_t host, uint64_t epoch, uint64_t bind)
{
	struct pa_grant g;

	peer_grant(n, host, epoch, PEER_UNIX + 3600, true, &g);
	peer_init(p, &g, n, bind);
}

static const char *mapped(const struct fx *f, uint8_t host)
{
	static char text[PA_ENDPOINT_STRLEN];
	struct pa_addr a = pa_addr_from_ipv4(0xcb007100u | host);
	struct pa_gw_binding b;

	return pa_gw_find(f->gw, &a, &b) == 0 ? pa_endpoint_format(&b.mapped, text) : "none";
}

Test(gw, handshake)
{
	struct fx *f = fx_new(8);
	const struct pa_msg *m = &f->sent[0].m;
	uint8_t buf[PA_CTL_MAX], hash[PA_KEY_LEN];
	struct pa_gw_binding b;
	struct peer p;

	make_peer(&p, 0, 5, 1, 100);
	hello(f, &p, HOME);
	cr_assert_eq(f->refusal, PA_GW_NOT_REFUSED);
	cr_assert(pa_msg_verify(f->sent[0].buf, f->sent[0].len, p.k0));
	cr_assert_arr_eq(m->nonce, p.nonce, sizeof(p.nonce));
	cr_assert_eq(pa_gw_count(f->gw), 0, "HELLO must leave no state");
	give(f, 0, HOME, buf, peer_confirm(&p, buf));
	cr_assert_eq(f->n_sent, 1);
	take_accept(f, &p);
	pa_claims_hash(p.claims, hash);
	cr_assert_arr_eq(m->claims_hash, hash, sizeof(hash));
	cr_assert_arr_eq(m->nonce, p.nonce, sizeof(p.nonce));
	cr_assert_eq(m->bind, 100);
	cr_assert_eq(m->lifetime, 3600);
	cr_assert_eq(m->mtu, 1472);
	cr_assert_eq(m->keepalive, 25);
	cr_assert(m->routed);
	cr_assert(pa_endpoint_eq(&m->mapped, &(struct pa_endpoint){peer_at(HOME).addr, 40000}));
	cr_assert_eq(f->n_deliver, 1);
	cr_assert_str_eq(f->event, "binding.new");
	cr_assert_eq(pa_gw_find(f->gw, &p.grant.claims.addr, &b), 0);
	cr_assert(b.delivering);
	cr_assert_arr_eq(b.session, p.session, sizeof(p.session));
	cr_assert_eq(pa_gw_count(f->gw), 1);
	fx_free(f);
}

/* HELLOs of one prefix beyond its number a second are not looked at; another prefix has its own. */
Test(gw, handshakes_of_a_source_are_limited)
{
	struct fx *f = fx_new(10);
	struct pa_gw_config cfg = {.keys = f->ring, .pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25, .max_bindings = 10,
				   .handshakes = 20};
	uint8_t buf[PA_CTL_MAX];
	struct peer p;
	size_t n;

	pa_gw_free(f->gw);
	cr_assert_eq(pa_gw_new(&cfg, &ops, f, &f->gw), 0);
	make_peer(&p, 0, 5, 1, 100);
	n = peer_hello(&p, buf);
	for (unsigned i = 0; i < 30; i++) {
		give(f, 0, HOME, buf, n);
		cr_assert_eq(f->n_sent, i < 20, "HELLO %u", i);
	}
	cr_assert_eq(counters(f).limited, 10);
	give(f, 0, "198.51.100.77:4000", buf, n);
	cr_assert_eq(f->n_sent, 1);
	advance(f, 1000);
	give(f, 0, HOME, buf, n);
	cr_assert_eq(f->n_sent, 1, "a second later there is room again");
	fx_free(f);
}

/* Whom the relay server on this host sends for: a source each, by the port. From elsewhere a prefix is one, whatever the port. */
Test(gw, clients_by_the_relay_are_sources_of_their_own)
{
	static const char *const froms[] = {"198.51.100.10", "127.0.0.1", "198.51.100.11", "[2001:db8::10]"};
	const struct pa_gw_socket sockets[] = {{peer_at("198.51.100.10:6080"), 0}, {peer_at("[2001:db8::10]:6080"), 1}};
	struct fx *f = fx_new(10);
	struct pa_gw_config cfg = {.keys = f->ring, .pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25, .max_bindings = 10,
				   .handshakes = 20, .sockets = sockets, .n_sockets = 2};
	uint8_t buf[PA_CTL_MAX];
	struct peer p;
	size_t n;

	pa_gw_free(f->gw);
	cr_assert_eq(pa_gw_new(&cfg, &ops, f, &f->gw), 0);
	make_peer(&p, 0, 5, 1, 100);
	n = peer_hello(&p, buf);
	for (unsigned k = 0; k < 4; k++) {
		unsigned answered = 0;
		char from[PA_ENDPOINT_STRLEN];

		for (unsigned i = 0; i < 3 * 30; i++) {
			(void)snprintf(from, sizeof(from), "%s:%u", froms[k], 40000 + i / 30);
			give(f, k == 3, from, buf, n);
			answered += f->n_sent > 0;
		}
		cr_expect_eq(answered, k < 2 ? 60u : 20u, "%s: %u answers", froms[k], answered);
		advance(f, 5000);
	}
	fx_free(f);
}

/* A client that sends nothing but KEEPALIVEs, each in order, is answered some times a second. */
Test(gw, keepalives_of_a_binding_are_limited)
{
	struct fx *f = fx_new(10);
	uint8_t buf[PA_CTL_MAX];
	unsigned answered = 0;
	struct peer p;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	for (unsigned i = 0; i < 1000; i++) {
		give(f, 0, HOME, buf, peer_keepalive(&p, buf));
		if (f->n_sent == 0)
			continue;
		answered++;
		memcpy(p.token, f->sent[0].m.token, sizeof(p.token));
	}
	cr_assert(answered >= 40 && answered <= 60, "%u", answered);
	cr_assert_eq(counters(f).limited, 1000 - answered);
	cr_assert_eq(f->refusal, PA_GW_REFUSED_SILENTLY, "nobody who keeps the rules is so quick: a flood");
	advance(f, 25000);
	p.seq += 1;
	give(f, 0, HOME, buf, peer_keepalive(&p, buf));
	cr_assert_eq(f->n_sent, 1, "and later as ever");
	fx_free(f);
}

Test(gw, config_is_checked)
{
	struct fx *f = fx_new(1);
	struct pa_gw_config cfg = {.keys = f->ring, .pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25,
				   .max_bindings = 1}, bad = cfg;
	struct pa_gw *gw = NULL;

	bad.keys = NULL;
	cr_expect_eq(pa_gw_new(&bad, &ops, f, &gw), PA_EINVAL);
	bad = cfg;
	bad.n_pools = 0;
	cr_expect_eq(pa_gw_new(&bad, &ops, f, &gw), PA_EINVAL);
	bad = cfg;
	bad.mtu = 1279;
	cr_expect_eq(pa_gw_new(&bad, &ops, f, &gw), PA_EINVAL);
	bad = cfg;
	bad.keepalive = 14;
	cr_expect_eq(pa_gw_new(&bad, &ops, f, &gw), PA_EINVAL);
	cr_expect_eq(pa_gw_set_keys(f->gw, NULL), PA_EINVAL);
	cr_expect_null(gw);
	fx_free(f);
}

/* Sends a HELLO with changed claims (signed anew) and returns the counters; why is not NULL: and what was said of it. */
static struct pa_gw_counters changed_hello_why(void (*change)(struct pa_claims *c), bool resign, enum pa_gw_refusal *why)
{
	struct fx *f = fx_new(8);
	struct pa_gw_counters c;
	uint8_t buf[PA_CTL_MAX];
	struct pa_grant g;
	struct peer p;

	peer_grant(0, 5, 1, PEER_UNIX + 3600, true, &g);
	change(&g.claims);
	if (resign)
		peer_resign(&g);
	peer_init(&p, &g, 0, 1);
	give(f, 0, HOME, buf, peer_hello(&p, buf));
	cr_expect_eq(f->n_sent, 0, "a refusal must be silent");
	c = counters(f);
	cr_expect_eq(c.hello, 0);
	if (why != NULL)
		*why = f->refusal;
	fx_free(f);
	return c;
}

static struct pa_gw_counters changed_hello(void (*change)(struct pa_claims *c), bool resign)
{
	return changed_hello_why(change, resign, NULL);
}

static void expired(struct pa_claims *c)
{
	c->expires = PEER_UNIX;
}
static void other_pool(struct pa_claims *c)
{
	c->pool_id++;
}
static void other_key(struct pa_claims *c)
{
	c->key_id++;
}
static void outside(struct pa_claims *c)
{
	c->addr = pa_addr_from_ipv4(0xcb007205);
}
static void short_prefix(struct pa_claims *c)
{
	c->prefix_len = 31;
}
static void other_client(struct pa_claims *c)
{
	c->fingerprint[0] ^= 1;
}
static void other_epoch(struct pa_claims *c)
{
	c->epoch++;
}

Test(gw, refuses_claims)
{
	cr_expect_eq(changed_hello(expired, true).expired, 1);
	cr_expect_eq(changed_hello(other_pool, true).unknown_pool, 1);
	cr_expect_eq(changed_hello(other_key, true).unknown_pool, 1);
	cr_expect_eq(changed_hello(outside, true).unknown_pool, 1);
	cr_expect_eq(changed_hello(short_prefix, true).malformed, 1);
	cr_expect_eq(changed_hello(other_client, true).bad_key, 1);
	cr_expect_eq(changed_hello(other_epoch, false).bad_mac, 1, "claims that the broker did not sign");
}

Test(gw, refusals_have_a_remedy)
{
	static const struct {
		void (*change)(struct pa_claims *c);
		bool resign;
		enum pa_gw_refusal why;
	} cases[] = {{expired, true, PA_GW_REFUSED_EXPIRED},  {other_pool, true, PA_GW_REFUSED_POOL},
		     {outside, true, PA_GW_REFUSED_POOL},     {other_client, true, PA_GW_REFUSED_KEY},
		     {other_epoch, false, PA_GW_REFUSED_PROOF}, {short_prefix, true, PA_GW_REFUSED_SILENTLY}};
	enum pa_gw_refusal why;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)changed_hello_why(cases[i].change, cases[i].resign, &why);
		cr_expect_eq(why, cases[i].why, "case %zu", i);
	}
	for (int i = PA_GW_REFUSED_SILENTLY + 1; i < PA_GW_REFUSALS; i++)
		cr_expect_str_not_empty(pa_gw_refusal_text((enum pa_gw_refusal)i));
}

Test(gw, refuses_tampered_confirm)
{
	struct fx *f = fx_new(8);
	uint8_t good[PA_CTL_MAX], buf[PA_CTL_MAX];
	struct peer p;
	size_t n;

	make_peer(&p, 0, 5, 1, 100);
	hello(f, &p, HOME);
	n = peer_confirm(&p, good);
	for (size_t i = 0; i < n; i++) {
		memcpy(buf, good, n);
		buf[i] ^= 0x10;
		give(f, 0, HOME, buf, n);
		cr_assert_eq(f->n_sent, 0, "byte %zu changed and still answered", i);
		cr_assert_eq(pa_gw_count(f->gw), 0);
	}
	give(f, 0, AWAY, good, n);
	cr_expect_eq(f->n_sent, 0, "the cookie is for one mapped address");
	give(f, 1, HOME, good, n);
	cr_expect_eq(f->n_sent, 0, "and for one of our sockets");
	cr_expect(counters(f).bad_cookie >= 2);
	give(f, 0, HOME, good, n);
	cr_expect_eq(f->n_sent, 1);
	fx_free(f);
}

Test(gw, cookie_ages)
{
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX];
	struct peer p;

	make_peer(&p, 0, 5, 1, 100);
	hello(f, &p, HOME);
	advance(f, PA_COOKIE_ROTATE_MS); /* the previous secret is still good */
	give(f, 0, HOME, buf, peer_confirm(&p, buf));
	cr_assert_eq(f->n_sent, 1);

	p.bind++;
	hello(f, &p, HOME);
	advance(f, PA_COOKIE_ROTATE_MS);
	(void)pa_gw_tick(f->gw, f->now);
	advance(f, PA_COOKIE_ROTATE_MS);
	give(f, 0, HOME, buf, peer_confirm(&p, buf));
	cr_assert_eq(f->n_sent, 0);
	cr_assert_eq(counters(f).bad_cookie, 1);

	hello(f, &p, HOME);
	advance(f, 3 * PA_COOKIE_ROTATE_MS); /* no tick in between: both secrets are too old */
	give(f, 0, HOME, buf, peer_confirm(&p, buf));
	cr_assert_eq(f->n_sent, 0);
	fx_free(f);
}

Test(gw, identical_confirm_repeats_accept)
{
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX];
	struct sent first;
	struct peer p;
	size_t n;

	make_peer(&p, 0, 5, 1, 100);
	hello(f, &p, HOME);
	n = peer_confirm(&p, buf);
	give(f, 0, HOME, buf, n);
	first = f->sent[0];
	give(f, 0, HOME, buf, n);
	cr_assert_eq(f->n_sent, 1);
	cr_assert_eq(f->sent[0].len, first.len);
	cr_assert_arr_eq(f->sent[0].buf, first.buf, first.len);
	cr_assert_eq(f->n_deliver, 1, "nothing was bound anew");
	cr_assert_eq(counters(f).repeated_confirm, 1);
	cr_assert_eq(counters(f).confirm, 1);
	fx_free(f);
}

/* Tries to bind; returns whether it was accepted. */
static bool try_bind(struct fx *f, struct peer *p, const char *from)
{
	uint8_t buf[PA_CTL_MAX];

	hello(f, p, from);
	give(f, 0, from, buf, peer_confirm(p, buf));
	if (f->n_sent == 0)
		return false;
	take_accept(f, p);
	return true;
}

Test(gw, only_higher_epoch_or_bind)
{
	struct fx *f = fx_new(8);
	struct peer a, b;

	make_peer(&a, 0, 5, 10, 100);
	cr_assert(try_bind(f, &a, HOME));
	a.nonce[0]++;
	cr_expect_not(try_bind(f, &a, HOME), "the same bind again");
	a.bind = 99;
	cr_expect_not(try_bind(f, &a, HOME), "a lower bind");
	make_peer(&b, 1, 5, 9, 1000);
	cr_expect_not(try_bind(f, &b, AWAY), "a lower epoch");
	cr_expect_eq(counters(f).replayed, 3);
	cr_expect_str_eq(mapped(f, 5), HOME);
	a.bind = 101;
	cr_expect(try_bind(f, &a, AWAY), "a higher bind");
	cr_expect_str_eq(f->event, "binding.renewed");
	cr_expect_eq(f->n_sent, 1, "the same client is not told that it replaced itself");
	cr_expect_str_eq(mapped(f, 5), AWAY);
	make_peer(&b, 1, 5, 11, 1);
	cr_expect(try_bind(f, &b, "192.0.2.3:3"), "a higher epoch counts more than bind");
	cr_expect_eq(pa_gw_count(f->gw), 1);
	fx_free(f);
}

Test(gw, other_client_is_told_that_it_is_replaced)
{
	struct fx *f = fx_new(8);
	struct peer a, b;

	make_peer(&a, 0, 5, 10, 100);
	cr_assert(try_bind(f, &a, HOME));
	make_peer(&b, 1, 5, 11, 1);
	cr_assert(try_bind(f, &b, AWAY));
	cr_assert_eq(f->n_sent, 2);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_UNBOUND);
	cr_expect_eq(f->sent[0].m.reason, PA_REASON_REPLACED);
	cr_expect(pa_msg_verify(f->sent[0].buf, f->sent[0].len, a.keys.g2c));
	cr_expect_eq(f->sent[0].to.port, 40000);
	cr_expect_eq(f->sent[1].m.type, PA_MSG_ACCEPT);
	cr_expect_eq(f->n_deliver, 2);
	fx_free(f);
}

Test(gw, client_key_is_pinned)
{
	struct fx *f = fx_new(8);
	struct pa_grant g;
	struct peer a, b;

	peer_grant(0, 5, 10, PEER_UNIX + 3600, false, &g);
	peer_init(&a, &g, 0, 100);
	cr_assert(try_bind(f, &a, HOME));
	peer_init(&b, &g, 1, 200); /* the same grant, seen by a listener */
	cr_expect_not(try_bind(f, &b, AWAY));
	cr_expect_eq(counters(f).bad_key, 1);
	cr_expect_str_eq(mapped(f, 5), HOME);
	fx_free(f);
}

Test(gw, low_order_client_key)
{
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX];
	struct pa_grant g;
	struct peer p;

	peer_grant(0, 5, 10, PEER_UNIX + 3600, false, &g);
	peer_init(&p, &g, 0, 100);
	memset(p.client_key, 0, sizeof(p.client_key));
	hello(f, &p, HOME);
	give(f, 0, HOME, buf, peer_confirm(&p, buf));
	cr_expect_eq(f->n_sent, 0);
	cr_expect_eq(counters(f).bad_key, 1);
	cr_expect_eq(pa_gw_count(f->gw), 0);
	fx_free(f);
}

Test(gw, floor_outlives_the_binding)
{
	struct fx *f = fx_new(1);
	uint8_t buf[PA_CTL_MAX];
	struct peer a, other;

	make_peer(&a, 0, 5, 10, 100);
	cr_assert(try_bind(f, &a, HOME));
	give(f, 0, HOME, buf, peer_bye(&a, buf));
	cr_expect_eq(f->n_stop, 1);
	cr_expect_str_eq(f->event, "binding.end");
	cr_expect_eq(f->reason, PA_REASON_RELEASED);
	cr_expect_eq(pa_gw_count(f->gw), 0);
	cr_expect_str_eq(mapped(f, 5), "none");
	for (unsigned i = 0; i < 3; i++) {
		advance(f, 60000);
		(void)pa_gw_tick(f->gw, f->now);
	}
	cr_expect_not(try_bind(f, &a, HOME), "a CONFIRM from before the BYE");
	cr_expect_eq(counters(f).replayed, 1);
	make_peer(&other, 1, 6, 1, 1);
	cr_expect_not(try_bind(f, &other, AWAY), "the table is full with the floor");
	cr_expect_eq(counters(f).full, 1);
	advance(f, 3600 * 1000);
	(void)pa_gw_tick(f->gw, f->now);
	other.grant.claims.expires += 3600;
	peer_resign(&other.grant);
	peer_init(&other, &other.grant, 1, 1);
	cr_expect(try_bind(f, &other, AWAY), "no grant of the first address can be valid any more");
	fx_free(f);
}

/*
 * A holder has gone elsewhere, and says on and on from his old place, whose new owner gets his packets, that he is still there. He has all
 * keys, but he does not receive.
 */
Test(gw, who_receives_nothing_keeps_nothing)
{
	static const uint8_t no_cookie[PA_COOKIE_LEN] = {7};
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX];
	struct pa_gw_binding b;
	struct peer p;
	unsigned answered = 0;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	for (unsigned i = 0; i < 40; i++) {
		advance(f, 5000);
		if (i % 2 == 0)
			give(f, 0, HOME, buf, peer_keepalive(&p, buf)); /* with the token that ACCEPT had */
		else
			give(f, 0, HOME, buf, peer_reconfirm(&p, no_cookie, buf));
		answered += i % 2 == 0 ? (unsigned)f->n_sent : 0;
		(void)pa_gw_tick(f->gw, f->now);
	}
	cr_expect_eq(answered, 5u, "the first one, and four for an ALIVE that may have been lost");
	cr_assert_eq(pa_gw_find(f->gw, &p.grant.claims.addr, &b), 0);
	cr_expect(!b.delivering, "the packets stopped");
	fx_free(f);
}

Test(gw, keepalive_sequence_and_token)
{
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX], first_token[PA_TOKEN_LEN];
	struct peer p;
	size_t n;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	memcpy(first_token, p.token, sizeof(first_token));
	n = peer_keepalive(&p, buf);
	give(f, 0, HOME, buf, n);
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_ALIVE);
	cr_expect(pa_msg_verify(f->sent[0].buf, f->sent[0].len, p.keys.g2c));
	cr_expect_eq(f->sent[0].m.seq, 1);
	cr_expect_eq(f->sent[0].m.echo, 0x1122334455667788);
	cr_expect_neq(memcmp(f->sent[0].m.token, first_token, PA_TOKEN_LEN), 0, "a fresh token");
	give(f, 0, HOME, buf, n);
	cr_expect_eq(f->n_sent, 0, "a replay");
	/* ALIVE was lost, the client shows the old token again: it gets the same new one. */
	give(f, 0, HOME, buf, peer_keepalive(&p, buf));
	cr_assert_eq(f->n_sent, 1);
	memcpy(p.token, f->sent[0].m.token, PA_TOKEN_LEN);
	give(f, 0, HOME, buf, peer_keepalive(&p, buf));
	cr_assert_eq(f->n_sent, 1);
	/* Two tokens on, the first is stale. */
	memcpy(p.token, first_token, PA_TOKEN_LEN);
	give(f, 0, HOME, buf, peer_keepalive(&p, buf));
	cr_expect_eq(f->n_sent, 0);
	cr_expect_eq(counters(f).keepalive, 3);
	cr_expect_eq(counters(f).replayed, 2);
	memset(p.keys.c2g, 1, sizeof(p.keys.c2g));
	give(f, 0, HOME, buf, peer_keepalive(&p, buf));
	cr_expect_eq(f->n_sent, 0);
	cr_expect_eq(counters(f).bad_mac, 1);
	fx_free(f);
}

/* A client that had no answer in time repeats itself: what is left of that, once it has its answer, is no flood. What is older is. */
Test(gw, repetitions_are_no_flood)
{
	struct fx *f = fx_new(8);
	uint8_t old[PA_CTL_MAX], buf[PA_CTL_MAX];
	struct peer p;
	size_t n;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	n = peer_keepalive(&p, old);
	for (unsigned i = 2; i <= 9; i++) {
		give(f, 0, HOME, buf, peer_keepalive(&p, buf));
		if (f->n_sent > 0)
			memcpy(p.token, f->sent[0].m.token, PA_TOKEN_LEN);
		give(f, 0, HOME, old, n);
		cr_assert_eq(f->n_sent, 0);
		cr_assert_eq(f->refusal, i < 9 ? PA_GW_NOT_REFUSED : PA_GW_REFUSED_SILENTLY, "%u", i);
	}
	cr_assert_eq(counters(f).replayed, 8);
	old[20] ^= 1;
	give(f, 0, HOME, old, n);
	cr_assert_eq(f->refusal, PA_GW_REFUSED_PROOF, "nor is a forgery taken for one");
	fx_free(f);
}

Test(gw, rebinding)
{
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX], alive_cookie[PA_COOKIE_LEN];
	struct peer p;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	give(f, 0, AWAY, buf, peer_keepalive(&p, buf));
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_RECHALLENGE);
	cr_expect_eq(f->sent[0].to.port, 50000);
	cr_expect_str_eq(mapped(f, 5), HOME, "a KEEPALIVE alone moves nothing");
	memcpy(alive_cookie, f->sent[0].m.cookie, sizeof(alive_cookie));
	give(f, 0, "192.0.2.3:50000", buf, peer_reconfirm(&p, alive_cookie, buf));
	cr_expect_eq(f->n_sent, 0, "the cookie is for another mapped address");
	cr_expect_eq(counters(f).bad_cookie, 1);
	give(f, 0, AWAY, buf, peer_reconfirm(&p, alive_cookie, buf));
	cr_assert_eq(f->n_sent, 2);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_ALIVE);
	cr_expect_eq(f->sent[0].to.port, 50000);
	cr_expect_eq(f->sent[1].m.type, PA_MSG_RECHALLENGE);
	cr_expect_eq(f->sent[1].to.port, 40000, "the old place may object");
	cr_expect_str_eq(mapped(f, 5), AWAY);
	cr_expect_eq(f->delivered.mapped.port, 50000);
	cr_expect_eq(counters(f).rebind, 1);
	p.seq--;
	give(f, 0, AWAY, buf, peer_reconfirm(&p, alive_cookie, buf));
	cr_expect_eq(f->n_sent, 0, "a replay");
	cr_expect_eq(counters(f).replayed, 1);
	fx_free(f);
}

Test(gw, objection_moves_back)
{
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX];
	struct peer p;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	give(f, 0, AWAY, buf, peer_keepalive(&p, buf));
	give(f, 0, AWAY, buf, peer_reconfirm(&p, f->sent[0].m.cookie, buf));
	cr_assert_eq(f->n_sent, 2);
	advance(f, 999);
	give(f, 0, HOME, buf, peer_reconfirm(&p, f->sent[1].m.cookie, buf));
	cr_expect_eq(f->n_sent, 1, "ALIVE, and no third question");
	cr_expect_str_eq(mapped(f, 5), HOME);
	cr_expect_eq(counters(f).contested, 1);
	cr_expect_str_eq(f->event, "binding.contested");
	advance(f, 1000);
	give(f, 0, AWAY, buf, peer_keepalive(&p, buf));
	cr_expect_eq(f->n_sent, 0, "a contested binding rests a while");
	fx_free(f);
}

/*
 * A listener gets a RECHALLENGE for its own place by forged data, passes it on to the client as if it came from the gateway,
 * and copies the client's answer. It has also used up what the client may answer, so that nobody objects.
 */
Test(gw, copied_answer_draws_nothing)
{
	struct fx *f = fx_new(8);
	struct pa_endpoint away = peer_at(AWAY);
	uint8_t answer[PA_CTL_MAX], buf[PA_CTL_MAX];
	struct peer p;
	size_t n;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	f->n_sent = 0;
	pa_gw_foreign(f->gw, f->now, 0, &away, &p.grant.claims.addr, 100);
	cr_assert_eq(f->n_sent, 1);
	n = peer_reconfirm(&p, f->sent[0].m.cookie, answer);
	give(f, 0, HOME, answer, n);
	cr_expect_eq(f->n_sent, 1, "the client is where it was");
	give(f, 0, AWAY, answer, n);
	cr_expect_eq(f->n_sent, 0);
	cr_expect_eq(counters(f).replayed, 1);
	cr_expect_str_eq(mapped(f, 5), HOME, "the copy came second");
	pa_gw_foreign(f->gw, f->now, 0, &away, &p.grant.claims.addr, 100);
	n = peer_reconfirm(&p, f->sent[0].m.cookie, answer);
	give(f, 0, AWAY, answer, n);
	cr_expect_str_eq(mapped(f, 5), AWAY, "the copy came first");
	give(f, 0, HOME, answer, n);
	cr_expect_str_eq(mapped(f, 5), HOME, "and the original gave it away");
	cr_expect_eq(counters(f).contested, 1);
	give(f, 0, HOME, answer, n);
	cr_expect_eq(f->n_sent, 0, "once");
	give(f, 0, HOME, buf, peer_keepalive(&p, buf));
	cr_expect_eq(f->sent[0].m.type, PA_MSG_ALIVE);
	fx_free(f);
}

/* Questions that the listener kept are passed on when the first answer has been objected to. */
Test(gw, an_objection_holds_against_earlier_questions)
{
	struct fx *f = fx_new(8);
	uint8_t first[PA_COOKIE_LEN], buf[PA_CTL_MAX];
	struct peer p;
	size_t n;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	give(f, 0, AWAY, buf, peer_keepalive(&p, buf));
	memcpy(first, f->sent[0].m.cookie, sizeof(first));
	n = peer_reconfirm(&p, first, buf);
	give(f, 0, AWAY, buf, n);
	cr_assert_str_eq(mapped(f, 5), AWAY);
	give(f, 0, HOME, buf, n);
	cr_assert_str_eq(mapped(f, 5), HOME);
	for (unsigned i = 0; i < 9; i++) {
		advance(f, 1000);
		n = peer_reconfirm(&p, first, buf);
		give(f, 0, AWAY, buf, n);
		cr_expect_eq(f->n_sent, 0);
		cr_expect_str_eq(mapped(f, 5), HOME, "after %u s", i);
		give(f, 0, HOME, buf, n);
		cr_expect_eq(f->sent[0].m.type, PA_MSG_ALIVE, "the original uses its number up");
	}
	cr_expect_eq(counters(f).contested, 1);
	advance(f, 1001);
	n = peer_reconfirm(&p, first, buf);
	give(f, 0, AWAY, buf, n);
	cr_expect_str_eq(mapped(f, 5), AWAY, "it ends");
	fx_free(f);
}

/* A KEEPALIVE right behind the answer, copied as well, is newer than the original answer; then its own original objects. */
Test(gw, original_keepalive_objects)
{
	struct fx *f = fx_new(8);
	uint8_t answer[PA_CTL_MAX], alive[PA_CTL_MAX];
	struct pa_endpoint away = peer_at(AWAY);
	size_t n_answer, n_alive;
	struct peer p;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	f->n_sent = 0;
	pa_gw_foreign(f->gw, f->now, 0, &away, &p.grant.claims.addr, 100);
	n_answer = peer_reconfirm(&p, f->sent[0].m.cookie, answer);
	n_alive = peer_keepalive(&p, alive);
	give(f, 0, AWAY, answer, n_answer);
	give(f, 0, AWAY, alive, n_alive);
	cr_assert_eq(f->sent[0].m.type, PA_MSG_ALIVE);
	give(f, 0, HOME, answer, n_answer);
	cr_expect_str_eq(mapped(f, 5), AWAY, "an old number");
	give(f, 0, HOME, alive, n_alive);
	cr_expect_str_eq(mapped(f, 5), HOME);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_ALIVE);
	cr_expect_eq(counters(f).contested, 1);
	give(f, 0, HOME, alive, n_alive);
	cr_expect_eq(f->n_sent, 0, "once");
	fx_free(f);
}

Test(gw, data_from_elsewhere_is_asked_about)
{
	struct fx *f = fx_new(8);
	struct pa_endpoint away = peer_at(AWAY), home = peer_at(HOME);
	struct peer p;
	size_t n = 0;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	f->n_sent = 0;
	pa_gw_foreign(f->gw, f->now, 0, &away, &p.grant.claims.addr, PA_RECHALLENGE_LEN - 1);
	cr_expect_eq(f->n_sent, 0, "shorter than the answer");
	pa_gw_foreign(f->gw, f->now, 0, &home, &p.grant.claims.addr, 100);
	cr_expect_eq(f->n_sent, 0, "from where the client is");
	for (unsigned i = 0; i < 40; i++)
		pa_gw_foreign(f->gw, f->now, 0, &away, &p.grant.claims.addr, 100);
	n = f->n_sent;
	cr_expect(n >= 1 && n <= 4, "%zu questions at once", n);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_RECHALLENGE);
	cr_expect_str_eq(mapped(f, 5), HOME);
	/* The flood of data has not used up what a KEEPALIVE may ask for. */
	{
		uint8_t buf[PA_CTL_MAX];

		give(f, 0, AWAY, buf, peer_keepalive(&p, buf));
		cr_expect_eq(f->n_sent, 1);
	}
	advance(f, 1000);
	f->n_sent = 0;
	pa_gw_foreign(f->gw, f->now, 0, &away, &p.grant.claims.addr, 100);
	cr_expect_eq(f->n_sent, 1);
	fx_free(f);
}

Test(gw, unknown_session_gets_a_hint)
{
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX];
	struct peer p;
	unsigned hints = 0;

	make_peer(&p, 0, 5, 1, 100);
	memset(p.session, 9, sizeof(p.session));
	for (unsigned i = 0; i < 1000; i++) {
		give(f, 0, HOME, buf, peer_keepalive(&p, buf));
		hints += (unsigned)f->n_sent;
		if (f->n_sent == 0)
			continue;
		cr_assert_eq(f->sent[0].m.type, PA_MSG_UNBOUND);
		cr_assert_eq(f->sent[0].m.reason, PA_REASON_UNKNOWN);
		cr_assert_arr_eq(f->sent[0].m.session, p.session, sizeof(p.session));
	}
	cr_expect(hints >= 1 && hints <= 50, "%u hints at once", hints);
	give(f, 0, "192.0.3.1:1", buf, peer_keepalive(&p, buf));
	cr_expect_eq(f->n_sent, 1, "another prefix has its own budget");
	give(f, 0, HOME, buf, peer_bye(&p, buf));
	cr_expect_eq(f->n_sent, 0);
	fx_free(f);
}

Test(gw, silence_stops_delivery)
{
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX];
	struct pa_gw_binding b;
	uint64_t next;
	struct peer p;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	advance(f, 62499);
	next = pa_gw_tick(f->gw, f->now);
	cr_expect_eq(next, f->now.boot_ms + 1, "the tick says when to call again");
	cr_expect_eq(f->n_stop, 0);
	advance(f, 1);
	(void)pa_gw_tick(f->gw, f->now);
	cr_expect_eq(f->n_stop, 1);
	cr_expect_str_eq(f->event, "binding.silent");
	cr_expect_eq(counters(f).timed_out, 1);
	cr_expect_eq(pa_gw_count(f->gw), 1, "the binding itself stays");
	cr_expect_eq(pa_gw_find(f->gw, &p.grant.claims.addr, &b), 0);
	cr_expect_not(b.delivering);
	give(f, 0, HOME, buf, peer_keepalive(&p, buf));
	cr_expect_eq(f->n_sent, 1);
	cr_expect_eq(f->n_deliver, 2);
	cr_expect_str_eq(f->event, "binding.resumed");
	advance(f, 62500);
	(void)pa_gw_tick(f->gw, f->now);
	cr_expect_eq(f->n_stop, 2, "and so again");
	fx_free(f);
}

Test(gw, expiry)
{
	struct fx *f = fx_new(8);
	struct peer p;
	uint64_t end, next;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	end = f->now.boot_ms + 3600 * 1000;
	f->n_sent = 0;
	while (f->now.boot_ms < end - 1) {
		next = pa_gw_tick(f->gw, f->now);
		cr_assert(next > f->now.boot_ms);
		advance(f, (next < end - 1 ? next : end - 1) - f->now.boot_ms);
	}
	(void)pa_gw_tick(f->gw, f->now);
	cr_expect_eq(pa_gw_count(f->gw), 1);
	cr_expect_eq(f->n_sent, 0);
	advance(f, 1);
	(void)pa_gw_tick(f->gw, f->now);
	cr_expect_eq(pa_gw_count(f->gw), 0);
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_UNBOUND);
	cr_expect_eq(f->sent[0].m.reason, PA_REASON_EXPIRED);
	cr_expect(pa_msg_verify(f->sent[0].buf, f->sent[0].len, p.keys.g2c));
	cr_expect(pa_addr_eq(&f->stopped, &p.grant.claims.addr));
	fx_free(f);
}

Test(gw, expiry_counts_without_a_tick)
{
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX];
	struct peer p;

	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	advance(f, 3600 * 1000);
	give(f, 0, HOME, buf, peer_keepalive(&p, buf));
	cr_expect_eq(pa_gw_count(f->gw), 0);
	cr_expect_eq(f->n_stop, 1);
	fx_free(f);
}

Test(gw, end_and_shutdown)
{
	struct fx *f = fx_new(100);
	struct peer p[20];

	for (unsigned i = 0; i < 20; i++) {
		make_peer(&p[i], i, (uint8_t)(i + 1), 1, 100);
		bind_at(f, &p[i], HOME);
	}
	f->n_sent = 0;
	cr_expect_eq(pa_gw_end(f->gw, f->now, &p[3].grant.claims.addr, PA_REASON_RELEASED), 0);
	cr_expect_eq(pa_gw_end(f->gw, f->now, &p[3].grant.claims.addr, PA_REASON_RELEASED), PA_ENOTFOUND);
	cr_expect_eq(f->n_sent, 1);
	cr_expect(pa_msg_verify(f->sent[0].buf, f->sent[0].len, p[3].keys.g2c));
	f->n_sent = 0;
	f->n_stop = 0;
	pa_gw_shutdown(f->gw, f->now);
	cr_expect_eq(f->n_sent, 19);
	cr_expect_eq(f->n_stop, 19);
	cr_expect_eq(f->sent[0].m.reason, PA_REASON_SHUTDOWN);
	cr_expect_eq(pa_gw_count(f->gw), 0);
	fx_free(f);
}

static bool count_one(void *arg, const struct pa_gw_binding *b)
{
	cr_assert(b->delivering);
	return ++*(unsigned *)arg < 150;
}

/* More than the first size of the table, so that it grows; each binding must be found again, by both indexes. */
Test(gw, many_bindings)
{
	struct fx *f = fx_new(250);
	struct peer *p = calloc(250, sizeof(*p));
	uint8_t buf[PA_CTL_MAX];
	unsigned seen = 0;

	for (unsigned i = 0; i < 250; i++) {
		make_peer(&p[i], 0, (uint8_t)(i + 1), 1, 100);
		bind_at(f, &p[i], HOME);
	}
	cr_expect_eq(pa_gw_count(f->gw), 250);
	for (unsigned i = 0; i < 250; i++) {
		give(f, 0, HOME, buf, peer_keepalive(&p[i], buf));
		cr_assert_eq(f->n_sent, 1);
		cr_assert_eq(f->sent[0].m.type, PA_MSG_ALIVE);
	}
	pa_gw_each(f->gw, count_one, &seen);
	cr_expect_eq(seen, 150);
	for (unsigned i = 0; i < 250; i += 2)
		give(f, 0, HOME, buf, peer_bye(&p[i], buf));
	cr_expect_eq(pa_gw_count(f->gw), 125);
	for (unsigned i = 0; i < 250; i++)
		cr_assert_eq(strcmp(mapped(f, (uint8_t)(i + 1)), "none") != 0, i % 2 == 1);
	free(p);
	fx_free(f);
}

/* The answer to each message that anyone can send, and its length: never more than what was sent. */
Test(gw, no_amplification)
{
	static const uint8_t answers[][2] = {
		{PA_MSG_HELLO, PA_MSG_CHALLENGE},   {PA_MSG_CONFIRM, PA_MSG_ACCEPT},
		{PA_MSG_KEEPALIVE, PA_MSG_ALIVE},   {PA_MSG_KEEPALIVE, PA_MSG_RECHALLENGE},
		{PA_MSG_KEEPALIVE, PA_MSG_UNBOUND}, {PA_MSG_RECONFIRM, PA_MSG_ALIVE},
	};
	struct fx *f = fx_new(8);
	uint8_t buf[PA_CTL_MAX], any[PA_CTL_MAX];
	struct peer p;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		cr_expect(pa_msg_length(answers[i][1]) <= pa_msg_length(answers[i][0]), "%s is longer than %s",
			  pa_msg_name(answers[i][1]), pa_msg_name(answers[i][0]));
	make_peer(&p, 0, 5, 1, 100);
	bind_at(f, &p, HOME);
	/* Every type and length with a known session, but without its keys, from elsewhere: nothing at all comes back. */
	for (unsigned type = 0; type < 256; type++) {
		for (size_t len = 0; len <= PA_CTL_MAX; len++) {
			memset(any, 0, sizeof(any));
			any[0] = PA_GUE_CONTROL;
			any[4] = (uint8_t)type;
			memcpy(any + 8, p.session, sizeof(p.session));
			give(f, 0, AWAY, any, len);
			cr_assert_eq(f->n_sent, 0);
		}
	}
	/* What is authentic is answered to its source with no more than it brought. */
	for (unsigned round = 0; round < 4; round++) {
		size_t n = round == 0 ? peer_hello(&p, buf) : round == 1 ? peer_keepalive(&p, buf) : 0;

		if (round == 2)
			p.session[0] ^= 1; /* unknown */
		if (round >= 2)
			n = peer_keepalive(&p, buf);
		give(f, 0, round == 3 ? HOME : AWAY, buf, n);
		cr_assert(f->n_sent <= 1);
		for (size_t i = 0; i < f->n_sent; i++)
			cr_expect(f->sent[i].len <= n);
	}
	fx_free(f);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* PROBE at the gateway: who gets an answer, from where, of which length, when; and that it changes nothing else. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "test/sim/peer.h"
#include "tunnel/gw.h"
#include "tunnel/gw_state.h"

TestSuite(probe, .timeout = 20);

#define HOME "192.0.2.1:40000"
#define AWAY "192.0.2.99:50000"
#define SENT_MAX 512

struct sent {
	unsigned local;
	struct pa_endpoint to;
	struct pa_msg m;
	size_t len;
};

struct fx {
	struct pa_keyring *ring;
	struct pa_gw *gw;
	struct peer_rng rng;
	struct pa_now now;
	struct sent sent[SENT_MAX];
	size_t n_sent;
	unsigned n_changes; /* deliver, stop, events */
	struct peer p;
};

static void on_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct fx *f = ctx;
	struct sent *s = &f->sent[f->n_sent++];

	cr_assert(f->n_sent < SENT_MAX);
	s->local = local;
	s->to = *to;
	s->len = len;
	cr_assert_eq(pa_msg_decode(buf, len, &s->m), 0);
	if (s->m.type == PA_MSG_PROBED)
		cr_assert(pa_msg_verify(buf, len, f->p.keys.g2c));
}

static void on_deliver(void *ctx, const struct pa_gw_binding *b)
{
	(void)b;
	((struct fx *)ctx)->n_changes++;
}

static void on_stop(void *ctx, const struct pa_addr *addr)
{
	(void)addr;
	((struct fx *)ctx)->n_changes++;
}

static void on_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	(void)event;
	(void)b;
	(void)reason;
	((struct fx *)ctx)->n_changes++;
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct fx *)ctx)->rng, dst, len);
}

static const struct pa_gw_ops ops = {.send = on_send, .deliver = on_deliver, .stop = on_stop, .event = on_event,
				     .random = on_random};
static const struct pa_gw_pool pool = {PEER_POOL_ID, {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};

static void give(struct fx *f, unsigned local, const char *from, const uint8_t *buf, size_t len)
{
	struct pa_endpoint e = peer_at(from);

	f->n_sent = 0;
	pa_gw_receive(f->gw, f->now, local, &e, buf, len);
}

static void advance(struct fx *f, uint64_t ms)
{
	f->now.boot_ms += ms;
	f->now.unix_ms += ms;
}

/* The client at HOME begins a session. */
static void bind_client(struct fx *f, uint64_t bind)
{
	uint8_t buf[PA_CTL_MAX];
	struct pa_grant g;

	peer_grant(0, 5, 1, PEER_UNIX + 3600, true, &g);
	peer_init(&f->p, &g, 0, bind);
	give(f, 0, HOME, buf, peer_hello(&f->p, buf));
	memcpy(f->p.cookie, f->sent[0].m.cookie, sizeof(f->p.cookie));
	give(f, 0, HOME, buf, peer_confirm(&f->p, buf));
	cr_assert_eq(f->sent[0].m.type, PA_MSG_ACCEPT);
	memcpy(f->p.session, f->sent[0].m.session, sizeof(f->p.session));
	memcpy(f->p.token, f->sent[0].m.token, sizeof(f->p.token));
}

/* A gateway with one address and port for tunnels and n_probes of the other two, and a client bound at HOME. */
static struct fx *fx_new(size_t n_probes)
{
	struct pa_gw_socket sockets[] = {{peer_at("198.51.100.10:6080"), 0}, {peer_at("198.51.100.10:6081"), PA_GW_PROBE_LOCAL},
					 {peer_at("198.51.100.11:6080"), PA_GW_PROBE_LOCAL + 1}};
	struct pa_gw_config cfg = {.pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25, .max_bindings = 4,
				   .sockets = sockets, .n_sockets = 1 + n_probes};
	struct fx *f = calloc(1, sizeof(*f));

	f->ring = peer_keyring();
	f->rng.s = 1;
	f->now = (struct pa_now){.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};
	cfg.keys = f->ring;
	cr_assert_eq(pa_gw_new(&cfg, &ops, f, &f->gw), 0);
	bind_client(f, 1);
	f->n_changes = 0;
	return f;
}

static void fx_free(struct fx *f)
{
	pa_gw_free(f->gw);
	pa_keyring_free(f->ring);
	free(f);
}

static struct pa_gw_counters counters(const struct fx *f)
{
	struct pa_gw_counters c;

	pa_gw_counters_get(f->gw, &c);
	return c;
}

static const struct sent *probe(struct fx *f, unsigned local, const char *from, const struct pa_msg *m, uint16_t length)
{
	static uint8_t buf[PA_PROBE_MAX];

	give(f, local, from, buf, peer_probe(&f->p, m, length, buf));
	return f->n_sent == 1 ? &f->sent[0] : NULL;
}

Test(probe, tells_where_it_came_from_and_changes_nothing)
{
	static const struct pa_msg m = {.answer_length = PA_PROBE_MIN, .echo = 77};
	struct pa_endpoint away = peer_at(AWAY), other = peer_at("198.51.100.11:6080");
	struct fx *f = fx_new(2);
	struct pa_gw_binding b;
	const struct sent *s;

	s = probe(f, 0, AWAY, &m, 500);
	cr_assert_not_null(s);
	cr_assert(pa_endpoint_eq(&s->to, &away) && pa_endpoint_eq(&s->m.mapped, &away));
	cr_assert(s->local == 0 && s->len == PA_PROBE_MIN && s->m.echo == 77 && s->m.seq == 1 && s->m.from == PA_PROBE_SAME);
	cr_assert_eq(s->m.time_ms, f->now.unix_ms);
	cr_assert(s->m.other_port == 6081 && pa_endpoint_eq(&s->m.other, &other));
	cr_assert_eq(s->m.delay, 0);
	cr_assert_eq(f->n_changes, 0);
	cr_assert_eq(pa_gw_find(f->gw, &f->p.grant.claims.addr, &b), 0);
	cr_assert(b.mapped.port == 40000, "the binding stays where it is");
	cr_assert_eq(counters(f).probe, 1);
	fx_free(f);
}

Test(probe, is_answered_from_where_it_asks)
{
	struct fx *f = fx_new(2);
	struct pa_msg m = {.answer_length = 300, .from = PA_PROBE_PORT};
	const struct sent *s = probe(f, 0, HOME, &m, 300);

	cr_assert(s != NULL && s->local == PA_GW_PROBE_LOCAL && s->m.from == PA_PROBE_PORT && s->len == 300);
	m.from = PA_PROBE_ADDRESS;
	s = probe(f, 0, HOME, &m, 300);
	cr_assert(s != NULL && s->local == PA_GW_PROBE_LOCAL + 1 && s->m.from == PA_PROBE_ADDRESS);
	m.from = PA_PROBE_SAME;
	s = probe(f, PA_GW_PROBE_LOCAL + 1, HOME, &m, 300);
	cr_assert(s != NULL && s->local == PA_GW_PROBE_LOCAL + 1, "the sockets for probes take them too");
	fx_free(f);
}

Test(probe, says_when_there_is_no_other_socket)
{
	struct fx *f = fx_new(0);
	struct pa_msg m = {.answer_length = PA_PROBE_MIN, .from = PA_PROBE_ADDRESS};
	const struct sent *s = probe(f, 0, HOME, &m, PA_PROBE_MIN);

	cr_assert(s != NULL && s->local == 0 && s->m.from == PA_PROBE_SAME && s->m.other_port == 0);
	cr_assert(pa_addr_is_none(&s->m.other.addr));
	fx_free(f);
}

Test(probe, only_an_authentic_and_fresh_one_is_answered)
{
	static const struct pa_msg m = {.answer_length = PA_PROBE_MIN};
	struct fx *f = fx_new(2);
	uint8_t buf[200], copy[200];
	size_t n = peer_probe(&f->p, &m, 200, buf);

	memcpy(copy, buf, n);
	for (size_t i = 0; i < n; i++) {
		copy[i] ^= 1;
		give(f, 0, HOME, copy, n);
		cr_assert_eq(f->n_sent, 0, "byte %zu", i);
		copy[i] ^= 1;
	}
	give(f, 0, AWAY, buf, n);
	cr_assert_eq(f->n_sent, 1);
	give(f, 0, HOME, buf, n);
	cr_assert_eq(f->n_sent, 0, "a copy gets nothing");
	cr_assert_eq(counters(f).replayed, 1);
	memset(f->p.token, 0, sizeof(f->p.token));
	give(f, 0, HOME, buf, peer_probe(&f->p, &m, 200, buf));
	cr_assert_eq(f->n_sent, 0, "nor does who has not received the latest ALIVE but one");
	f->p.session[0] ^= 1;
	give(f, 0, HOME, buf, peer_probe(&f->p, &m, 200, buf));
	cr_assert_eq(f->n_sent, 0);
	cr_assert_eq(counters(f).unknown_session, 9);
	fx_free(f);
}

Test(probe, an_adopted_binding_answers_none_before_it_was_proved)
{
	static const struct pa_msg m = {.answer_length = PA_PROBE_MIN};
	struct fx *f = fx_new(0), *g = fx_new(0);
	struct pa_gw_record r;

	cr_assert(pa_gw_take_changed(f->gw, f->now, &r));
	cr_assert_eq(pa_gw_adopt(g->gw, g->now, &r), 0);
	g->p = f->p;
	cr_assert_null(probe(g, 0, AWAY, &m, 200));
	cr_assert_eq(counters(g).replayed, 1);
	cr_assert_not_null(probe(g, 0, HOME, &m, 200), "where it is known to be it may look for the path's MTU");
	fx_free(f);
	fx_free(g);
}

Test(probe, sockets_for_probes_take_nothing_else)
{
	struct fx *f = fx_new(2);
	uint8_t buf[PA_CTL_MAX];

	give(f, PA_GW_PROBE_LOCAL, HOME, buf, peer_keepalive(&f->p, buf));
	cr_assert_eq(f->n_sent, 0);
	cr_assert_eq(counters(f).malformed, 1);
	cr_assert_eq(counters(f).keepalive, 0);
	fx_free(f);
}

Test(probe, answers_are_limited)
{
	static const struct pa_msg m = {.answer_length = PA_PROBE_MIN};
	struct fx *f = fx_new(0);
	unsigned n = 0;

	for (unsigned i = 0; i < 1000; i++) {
		n += probe(f, 0, AWAY, &m, 200) != NULL;
		advance(f, 1);
	}
	cr_assert(n >= 32 && n <= 32 + 1000 / 50 + 1, "%u", n);
	cr_assert_eq(counters(f).limited, 1000 - n);
	for (unsigned i = 0; i < 1000; i++) {
		n += probe(f, 0, HOME, &m, 200) != NULL;
		advance(f, 1);
	}
	n = 2000 - n - (unsigned)counters(f).limited;
	cr_assert_eq(n, 0, "every one was answered or counted");
	cr_assert(counters(f).probe <= 32 + 64 + 1000 / 50 + 1000 / 5 + 2);
	fx_free(f);
}

/* Ticks until at_ms after start; returns how many messages were sent in between. */
static size_t wait_until(struct fx *f, uint64_t start, uint64_t at_ms)
{
	f->n_sent = 0;
	while (f->now.boot_ms < start + at_ms) {
		(void)pa_gw_tick(f->gw, f->now);
		advance(f, 250);
	}
	return f->n_sent;
}

Test(probe, a_second_answer_comes_later)
{
	static const struct pa_msg m = {.answer_length = PA_PROBE_MIN, .delay = 10, .echo = 5};
	struct fx *f = fx_new(2);
	uint64_t start = f->now.boot_ms;
	const struct sent *s = probe(f, 0, AWAY, &m, 2 * PA_PROBE_MIN);
	struct pa_endpoint away = peer_at(AWAY);

	cr_assert(s != NULL && s->m.delay == 10, "promised");
	s = probe(f, 0, AWAY, &m, 2 * PA_PROBE_MIN);
	cr_assert(s != NULL && s->m.delay == 10, "the same question again, because the promise was lost");
	cr_assert_eq(pa_gw_tick(f->gw, f->now), start + 10000);
	cr_assert_eq(wait_until(f, start, 9999), 0);
	cr_assert_eq(wait_until(f, start, 12000), 1, "one answer to both");
	s = &f->sent[0];
	cr_assert(pa_endpoint_eq(&s->to, &away) && s->m.echo == 5 && s->m.delay == 0 && s->local == 0);
	cr_assert_eq(wait_until(f, start, 60000), 0);
	fx_free(f);
}

Test(probe, both_answers_together_are_not_longer_than_the_question)
{
	static const struct pa_msg m = {.answer_length = PA_PROBE_MIN, .delay = 10};
	struct fx *f = fx_new(0);

	cr_assert_null(probe(f, 0, HOME, &m, 2 * PA_PROBE_MIN - 1));
	cr_assert_eq(counters(f).malformed, 1);
	fx_free(f);
}

Test(probe, a_client_has_so_many_answers_to_come_and_no_more)
{
	struct pa_msg m = {.answer_length = PA_PROBE_MIN, .delay = 20};
	struct fx *f = fx_new(0);
	uint64_t start = f->now.boot_ms;
	const struct sent *s;

	for (unsigned i = 0; i < 12; i++) {
		m.echo = i + 1;
		s = probe(f, 0, HOME, &m, 300);
		cr_assert_not_null(s);
		cr_assert_eq(s->m.delay, i < 10 ? 20 : 0, "%u", i);
	}
	cr_assert_eq(wait_until(f, start, 22000), 10);
	s = probe(f, 0, HOME, &m, 300);
	cr_assert(s != NULL && s->m.delay == 20, "the places are free again");
	fx_free(f);
}

/* Else one client could take the places of all others. */
Test(probe, a_session_that_is_over_has_no_place)
{
	struct pa_msg m = {.answer_length = PA_PROBE_MIN, .delay = 60};
	struct fx *f = fx_new(0);
	const struct sent *s;

	for (unsigned i = 0; i < 100; i++) {
		bind_client(f, i + 2);
		for (unsigned k = 0; k < 8; k++) {
			m.echo = k + 1;
			s = probe(f, 0, HOME, &m, 300);
			cr_assert_not_null(s, "session %u, probe %u", i, k);
			cr_assert_eq(s->m.delay, 60, "session %u, probe %u", i, k);
		}
	}
	fx_free(f);
}

Test(probe, no_second_answer_when_the_binding_has_ended)
{
	static const struct pa_msg m = {.answer_length = PA_PROBE_MIN, .delay = 10};
	struct fx *f = fx_new(0);
	uint64_t start = f->now.boot_ms;
	uint8_t buf[PA_CTL_MAX];

	cr_assert_not_null(probe(f, 0, HOME, &m, 300));
	give(f, 0, HOME, buf, peer_bye(&f->p, buf));
	cr_assert_eq(wait_until(f, start, 30000), 0);
	fx_free(f);
}

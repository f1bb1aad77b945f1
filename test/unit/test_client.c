/* SPDX-License-Identifier: MPL-2.0 */
#include "test/unit/client_fixture.h"

Test(client, handshake)
{
	struct fx *f = fx_new();
	struct pa_grant g;

	cr_expect_eq(status(f).state, PA_CLIENT_IDLE);
	cr_expect_eq(pa_client_tick(f->cl, f->now), UINT64_MAX);
	make_grant(&g, 1);
	g.mtu = 1450;
	g.keepalive = 20;
	take_grant(f, &g);
	cr_expect_eq(status(f).state, PA_CLIENT_BINDING);
	cr_expect_eq(status(f).attempt, 1);
	cr_expect_eq(f->sent[0].m.bind, 1001);
	cr_expect_eq(f->n_up, 0);
	run(f, 40);
	finish(f, &g, GATEWAY);
	cr_assert_eq(f->n_up, 1);
	cr_expect_eq(f->up.mtu, 1400, "the lower of both");
	cr_expect_eq(f->up.keepalive, 20);
	cr_expect(pa_claims_eq(&f->up.claims, &g.claims));
	cr_expect_eq(status(f).state, PA_CLIENT_BOUND);
	cr_expect_eq(status(f).attempt, 0);
	cr_expect_eq(status(f).rtt_us, 40000);
	cr_expect_eq(f->n_fresh, 0);
	fx_free(f);
}

Test(client, hello_is_repeated_and_the_next_gateway_tried)
{
	static const uint64_t at[] = {1000, 3000, 7000, 8000, 10000, 14000, 16000, 20000};
	struct fx *f = fx_new();
	struct pa_grant g;

	make_grant(&g, 2);
	take_grant(f, &g);
	run(f, 20000);
	cr_assert_eq(f->n_sent, 9);
	for (unsigned i = 1; i < 9; i++) {
		cr_expect_eq(f->sent[i].at - f->sent[0].at, at[i - 1], "HELLO %u at %lu", i,
			     (unsigned long)(f->sent[i].at - f->sent[0].at));
		cr_expect_neq(memcmp(f->sent[i].m.nonce, f->sent[i - 1].m.nonce, PA_NONCE_LEN), 0);
	}
	cr_expect_eq(f->sent[2].to.addr.b[15], 10);
	cr_expect_eq(f->sent[3].to.addr.b[15], 11, "three tries each");
	cr_expect_eq(f->sent[6].to.addr.b[15], 10, "and around");
	cr_expect_eq(f->sent[2].m.bind, 1001);
	cr_expect_eq(f->sent[3].m.bind, 1002);
	cr_expect_eq(f->n_fresh, 2);
	cr_expect_eq(f->n_down, 0, "it was never up");
	f->n_sent = 0;
	run(f, 600 * 1000);
	cr_expect_lt(f->n_sent, 45, "the pauses grow");
	cr_expect_gt(f->n_sent, 35, "but it goes on trying");
	fx_free(f);
}

Test(client, confirm_is_repeated_unchanged)
{
	struct fx *f = fx_new();
	struct sent first;
	struct pa_grant g;
	uint8_t buf[PA_CTL_MAX];

	make_grant(&g, 1);
	take_grant(f, &g);
	challenge(f, &g, GATEWAY);
	first = f->sent[0];
	run(f, 1000);
	cr_assert_eq(f->n_sent, 2);
	cr_expect_arr_eq(f->sent[1].buf, first.buf, first.len);
	give(f, GATEWAY, buf, peer_challenge(&f->p, buf));
	cr_expect_eq(f->n_sent, 0, "the same CHALLENGE again changes nothing");
	run(f, 6000);
	cr_assert_geq(f->n_sent, 2);
	cr_expect_eq(f->sent[1].m.type, PA_MSG_HELLO, "given up, from the beginning");
	cr_expect_gt(f->sent[1].m.bind, first.m.bind);
	fx_free(f);
}

Test(client, forged_challenge)
{
	struct fx *f = fx_new();
	uint8_t good[PA_CTL_MAX], buf[PA_CTL_MAX];
	struct pa_grant g;
	size_t n;

	make_grant(&g, 1);
	take_grant(f, &g);
	peer_init(&f->p, &g, 0, f->sent[0].m.bind);
	memcpy(f->p.nonce, f->sent[0].m.nonce, sizeof(f->p.nonce));
	n = peer_challenge(&f->p, good);
	for (size_t i = 0; i < n; i++) {
		memcpy(buf, good, n);
		buf[i] ^= 1;
		give(f, GATEWAY, buf, n);
		cr_assert_eq(f->n_sent, 0, "byte %zu changed", i);
	}
	give(f, SECOND, good, n);
	cr_expect_eq(f->n_sent, 0, "not from whom we asked");
	f->p.nonce[0] ^= 1;
	give(f, GATEWAY, buf, peer_challenge(&f->p, buf));
	cr_expect_eq(f->n_sent, 0, "another nonce");
	give(f, GATEWAY, good, n);
	cr_expect_eq(f->n_sent, 1);
	fx_free(f);
}

/* A CHALLENGE with another cookie, as one can forge who saw the grant. Returns what the client sent for it. */
static size_t another_challenge(struct fx *f, uint8_t cookie)
{
	struct peer forger = f->p;
	uint8_t buf[PA_CTL_MAX];

	memset(forger.cookie, cookie, sizeof(forger.cookie));
	give(f, GATEWAY, buf, peer_challenge(&forger, buf));
	return f->n_sent;
}

/* The peer that answers the HELLO sent last. */
static void hear_hello(struct fx *f, const struct pa_grant *g)
{
	const struct pa_msg *hello = &f->sent[f->n_sent - 1].m;

	peer_init(&f->p, g, 0, hello->bind);
	memcpy(f->p.nonce, hello->nonce, sizeof(f->p.nonce));
}

Test(client, genuine_challenge_wins_over_forged_ones)
{
	for (unsigned before = 0; before < 4; before++) {
		struct fx *f = fx_new();
		uint8_t buf[PA_CTL_MAX];
		struct pa_grant g;
		unsigned k;

		make_grant(&g, 1);
		take_grant(f, &g);
		hear_hello(f, &g);
		for (k = 0; k < before; k++)
			cr_assert_eq(another_challenge(f, (uint8_t)(0x80 + k)), 1, "a CONFIRM for each");
		memset(f->p.cookie, 0x33, sizeof(f->p.cookie));
		cr_assert_eq(peer_derive(&f->p), 0);
		give(f, GATEWAY, buf, peer_challenge(&f->p, buf));
		cr_assert_eq(f->n_sent, 1);
		cr_assert_eq(f->sent[0].m.type, PA_MSG_CONFIRM);
		cr_assert(pa_msg_verify_seal(f->sent[0].buf, f->sent[0].len, f->p.keys.c2g));
		for (; k < 3; k++)
			cr_assert_eq(another_challenge(f, (uint8_t)(0x80 + k)), 1);
		for (k = 3; k < 100; k++)
			cr_assert_eq(another_challenge(f, (uint8_t)(0x80 + k)), 0, "no more than four");
		f->n_sent = 0;
		run(f, 1000);
		cr_expect_eq(f->n_sent, 4, "each is repeated");
		give(f, GATEWAY, buf, peer_accept(&f->p, &accept_values, buf));
		cr_assert_eq(f->n_up, 1, "%u forged before", before);
		run(f, 25000);
		cr_assert_eq(f->sent[f->n_sent - 1].m.type, PA_MSG_KEEPALIVE);
		cr_expect(pa_msg_verify(f->sent[f->n_sent - 1].buf, f->sent[f->n_sent - 1].len, f->p.keys.c2g),
			  "with the keys of the genuine one");
		fx_free(f);
	}
}

/* With nothing but forgeries the client goes on: a new nonce, and room for the genuine one again. */
Test(client, forged_challenges_alone_are_left_behind)
{
	struct fx *f = fx_new();
	struct pa_grant g;

	make_grant(&g, 1);
	take_grant(f, &g);
	hear_hello(f, &g);
	for (unsigned k = 0; k < 10; k++)
		(void)another_challenge(f, (uint8_t)(0x80 + k));
	run(f, 7000);
	cr_assert_eq(f->sent[f->n_sent - 1].m.type, PA_MSG_HELLO);
	finish(f, &g, GATEWAY);
	cr_expect_eq(f->n_up, 1);
	fx_free(f);
}

Test(client, forged_accept)
{
	struct fx *f = fx_new();
	uint8_t good[PA_CTL_MAX], buf[PA_CTL_MAX];
	struct pa_grant g;
	size_t n;

	make_grant(&g, 1);
	take_grant(f, &g);
	challenge(f, &g, GATEWAY);
	n = peer_accept(&f->p, &accept_values, good);
	for (size_t i = 0; i < n; i++) {
		memcpy(buf, good, n);
		buf[i] ^= 1;
		give(f, GATEWAY, buf, n);
		cr_assert_eq(f->n_up, 0, "byte %zu changed", i);
	}
	give(f, SECOND, good, n);
	cr_expect_eq(f->n_up, 0);
	give(f, GATEWAY, good, n);
	cr_expect_eq(f->n_up, 1);
	give(f, GATEWAY, good, n);
	cr_expect_eq(f->n_up, 1, "once");
	fx_free(f);
}

/* An authentic ACCEPT that is of no use sends the client to the next gateway. */
Test(client, useless_accept)
{
	struct pa_msg bad[3] = {accept_values, accept_values, accept_values};
	uint8_t buf[PA_CTL_MAX];
	struct pa_grant g;

	bad[0].routed = false;
	bad[1].mtu = PA_MTU_MIN - 1;
	bad[2].lifetime = 0;
	for (unsigned i = 0; i < 3; i++) {
		struct fx *f = fx_new();

		make_grant(&g, 2);
		take_grant(f, &g);
		challenge(f, &g, GATEWAY);
		give(f, GATEWAY, buf, peer_accept(&f->p, &bad[i], buf));
		cr_expect_eq(f->n_up, 0);
		cr_assert_eq(f->n_sent, 1);
		cr_expect_eq(f->sent[0].m.type, PA_MSG_HELLO);
		cr_expect_eq(f->sent[0].to.addr.b[15], 11);
		fx_free(f);
	}
}

Test(client, keepalives)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 1);
	uint64_t last = f->now.boot_ms, shortest = UINT64_MAX, longest = 0;
	uint8_t buf[PA_CTL_MAX];

	for (unsigned i = 1; i <= 50; i++) {
		f->n_sent = 0;
		while (f->n_sent == 0)
			run(f, 100);
		cr_assert_eq(f->n_sent, 1);
		cr_assert_eq(f->sent[0].m.type, PA_MSG_KEEPALIVE);
		cr_assert(pa_msg_verify(f->sent[0].buf, f->sent[0].len, f->p.keys.c2g));
		cr_assert_eq(f->sent[0].m.seq, i);
		cr_assert_arr_eq(f->sent[0].m.token, f->p.token, PA_TOKEN_LEN);
		cr_assert(f->sent[0].at - last >= 22500 && f->sent[0].at - last <= 25100, "after %lu",
			  (unsigned long)(f->sent[0].at - last));
		shortest = f->sent[0].at - last < shortest ? f->sent[0].at - last : shortest;
		longest = f->sent[0].at - last > longest ? f->sent[0].at - last : longest;
		memset(f->p.token, (int)i, sizeof(f->p.token));
		if (i == 1) { /* what is not the answer to this one */
			give(f, GATEWAY, buf, peer_alive(&f->p, 0, 0, buf));
			give(f, GATEWAY, buf, peer_alive(&f->p, 2, 0, buf));
			give(f, SECOND, buf, peer_alive(&f->p, 1, 0, buf));
			cr_assert_eq(counters(f).unexpected, 3);
			f->n_sent = 1;
		}
		alive(f);
		cr_assert_eq(f->n_sent, 0);
		last = f->now.boot_ms;
	}
	cr_expect_gt(longest - shortest, 1500, "no jitter");
	cr_expect_eq(f->n_down, 0);
	cr_expect_eq(counters(f).misses, 0);
	cr_expect_eq(status(f).last_alive_ms, last);
	fx_free(f);
}

Test(client, dead_gateway_is_left)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 2);
	uint64_t last = f->now.boot_ms;

	run_until_sent(f, 8);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_KEEPALIVE);
	cr_expect_eq(f->sent[1].at - f->sent[0].at, 1000);
	cr_expect_eq(f->sent[2].at - f->sent[1].at, 2000);
	cr_expect_eq(f->sent[3].at - f->sent[2].at, 4000);
	cr_expect_eq(f->sent[3].m.type, PA_MSG_KEEPALIVE);
	cr_expect_eq(f->sent[4].m.type, PA_MSG_HELLO);
	cr_expect_eq(f->sent[4].to.addr.b[15], 10, "the same gateway from a fresh port");
	cr_expect_eq(f->sent[7].to.addr.b[15], 11, "then the next");
	cr_expect_eq(f->n_fresh, 2);
	cr_expect_eq(f->n_down, 0);
	cr_expect_eq(status(f).state, PA_CLIENT_BOUND);
	finish(f, &g, SECOND);
	cr_expect_eq(f->n_up, 2);
	cr_expect_eq(f->n_down, 0);
	cr_expect_leq(f->now.boot_ms - last, 45000);
	cr_expect_eq(counters(f).moves, 1);
	fx_free(f);
}

Test(client, late_alive_revives_the_binding)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 2);
	const struct pa_msg *m;
	uint8_t buf[PA_CTL_MAX];

	run_until_sent(f, 5);
	m = &f->sent[3].m;
	cr_assert_eq(m->type, PA_MSG_KEEPALIVE);
	cr_assert_eq(f->sent[4].m.type, PA_MSG_HELLO);
	give(f, GATEWAY, buf, peer_alive(&f->p, m->seq, m->echo, buf));
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_KEEPALIVE, "from where we are now");
	cr_expect_eq(f->sent[0].to.addr.b[15], 10);
	alive(f);
	run_until_sent(f, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_KEEPALIVE, "the binding lives: no handshake, nor another gateway");
	cr_expect_eq(f->n_fresh, 1);
	fx_free(f);
}

/* However long the list is: plain NAT is back within 45 s. */
Test(client, all_gateways_dead_in_time)
{
	for (unsigned gateways = 1; gateways <= PA_GATEWAYS_MAX; gateways++) {
		struct pa_grant g;
		struct fx *f = bound(&g, gateways);
		uint64_t last = f->now.boot_ms;

		while (f->n_down == 0) {
			f->n_sent = 0;
			run(f, 10);
		}
		cr_expect_lt(f->now.boot_ms - last, 45000, "%u gateways: down after %lu", gateways,
			     (unsigned long)(f->now.boot_ms - last));
		cr_expect_eq(f->n_ended, 0);
		fx_free(f);
	}
}

Test(client, all_gateways_dead_and_back)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 1);
	uint64_t last = f->now.boot_ms;

	f->n_sent = 0;
	while (f->n_down == 0)
		run(f, 10);
	cr_expect_leq(f->now.boot_ms - last, 45000, "down after %lu", (unsigned long)(f->now.boot_ms - last));
	cr_expect_eq(f->n_ended, 0);
	cr_expect_eq(status(f).state, PA_CLIENT_BINDING);
	f->n_sent = 0;
	run_until_sent(f, 8);
	cr_expect_eq(f->n_down, 1);
	finish(f, &g, GATEWAY);
	cr_expect_eq(f->n_up, 2);
	cr_expect_eq(status(f).state, PA_CLIENT_BOUND);
	fx_free(f);
}

Test(client, rechallenge)
{
	static const uint8_t cookie[PA_COOKIE_LEN] = {1, 2, 3};
	struct pa_grant g;
	struct fx *f = bound(&g, 1);
	uint8_t buf[PA_CTL_MAX];
	size_t n = peer_rechallenge(cookie, buf);
	unsigned answers = 0;

	give(f, SECOND, buf, n);
	cr_expect_eq(f->n_sent, 0, "not from our gateway");
	for (unsigned i = 0; i < 10; i++) {
		give(f, GATEWAY, buf, n);
		answers += (unsigned)f->n_sent;
		if (f->n_sent == 0)
			continue;
		cr_expect_eq(f->sent[0].m.type, PA_MSG_RECONFIRM);
		cr_expect_arr_eq(f->sent[0].m.cookie, cookie, sizeof(cookie));
		cr_expect_eq(f->sent[0].m.seq, answers);
		cr_expect(pa_msg_verify(f->sent[0].buf, f->sent[0].len, f->p.keys.c2g));
	}
	cr_expect_eq(answers, 2);
	run(f, 1000);
	give(f, GATEWAY, buf, n);
	cr_expect_eq(f->n_sent, 1);
	give(f, GATEWAY, buf, n);
	cr_expect_eq(f->n_sent, 0, "once a second");
	fx_free(f);
}

Test(client, hint_only_asks)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 1);
	uint8_t buf[PA_CTL_MAX];

	give(f, GATEWAY, buf, peer_unbound(&f->p, PA_REASON_RELEASED, false, buf));
	cr_expect_eq(f->n_sent, 0, "without a MAC only \"unknown\" is a hint");
	cr_expect_eq(counters(f).bad_mac, 1);
	give(f, SECOND, buf, peer_unbound(&f->p, PA_REASON_UNKNOWN, false, buf));
	cr_expect_eq(f->n_sent, 0);
	give(f, GATEWAY, buf, peer_unbound(&f->p, PA_REASON_UNKNOWN, false, buf));
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_HELLO);
	cr_expect_eq(status(f).state, PA_CLIENT_BOUND);
	cr_expect_eq(f->n_fresh, 0);
	finish(f, &g, GATEWAY);
	cr_expect_eq(f->n_up, 2);
	cr_expect_eq(f->n_down, 0);
	give(f, GATEWAY, buf, peer_unbound(&f->p, PA_REASON_UNKNOWN, false, buf));
	cr_expect_eq(f->n_sent, 0, "not again so soon");
	run(f, 5000);
	give(f, GATEWAY, buf, peer_unbound(&f->p, PA_REASON_UNKNOWN, false, buf));
	cr_expect_eq(f->n_sent, 1);
	fx_free(f);
}

Test(client, unbound_ends)
{
	static const unsigned reasons[] = {PA_REASON_EXPIRED, PA_REASON_RELEASED, PA_REASON_REPLACED};
	uint8_t buf[PA_CTL_MAX];
	struct pa_grant g;

	for (unsigned i = 0; i < 3; i++) {
		struct fx *f = bound(&g, 2);

		give(f, GATEWAY, buf, peer_unbound(&f->p, reasons[i], true, buf));
		cr_expect_eq(f->n_ended, 1);
		cr_expect_eq(f->down_reason, reasons[i]);
		cr_expect_eq(status(f).state, PA_CLIENT_IDLE);
		cr_expect_eq(status(f).last_reason, reasons[i]);
		cr_expect_eq(pa_client_tick(f->cl, f->now), UINT64_MAX);
		fx_free(f);
	}
}

Test(client, shutdown_moves_on)
{
	uint8_t buf[PA_CTL_MAX];
	struct pa_grant g;
	struct fx *f = bound(&g, 2);

	give(f, GATEWAY, buf, peer_unbound(&f->p, PA_REASON_SHUTDOWN, true, buf));
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_HELLO);
	cr_expect_eq(f->sent[0].to.addr.b[15], 11);
	cr_expect_eq(f->n_down, 0);
	finish(f, &g, SECOND);
	cr_expect_eq(f->n_up, 2);
	cr_expect_eq(f->n_sent, 0, "no BYE to a gateway that has ended it");
	fx_free(f);
}

Test(client, renewal_is_swapped_in)
{
	struct pa_grant g, later;
	struct fx *f = bound(&g, 1);
	struct pa_client_counters c;

	f->n_sent = 0;
	cr_expect_eq(pa_client_grant(f->cl, f->now, &g), 0);
	cr_expect_eq(f->n_sent, 0, "an identical grant changes nothing");
	peer_grant(0, 5, 1, PEER_UNIX + 7200, true, &later);
	take_grant(f, &later);
	cr_expect_eq(status(f).state, PA_CLIENT_BOUND);
	cr_expect_eq(f->n_fresh, 0);
	finish(f, &later, GATEWAY);
	cr_expect_eq(f->n_up, 2);
	cr_expect_eq(f->n_down, 0);
	cr_expect_eq(f->n_sent, 0, "no BYE: the gateway has replaced the binding itself");
	c = counters(f);
	cr_expect_eq(c.moves, 0);
	cr_expect_eq(f->up.claims.expires, PEER_UNIX + 7200);
	cr_expect_eq(pa_client_grant(f->cl, f->now, &g), PA_EREPLAY, "an earlier expiry");
	fx_free(f);
}

Test(client, silent_renewal_keeps_the_binding)
{
	struct pa_grant g, later;
	struct fx *f = bound(&g, 2);

	peer_grant(0, 5, 1, PEER_UNIX + 7200, true, &later);
	later.n_gateways = 2;
	later.gateways[1] = peer_at(SECOND);
	take_grant(f, &later);
	for (unsigned i = 0; i < 400; i++) {
		f->n_sent = 0;
		run(f, 100);
		for (size_t k = 0; k < f->n_sent; k++) {
			cr_assert_eq(f->sent[k].to.addr.b[15], 10, "beside a living binding it stays where it is");
			if (f->sent[k].m.type != PA_MSG_KEEPALIVE)
				continue;
			f->n_sent = k + 1;
			alive(f);
		}
	}
	cr_expect_eq(f->n_fresh, 0);
	cr_expect_eq(f->n_down, 0);
	fx_free(f);
}

Test(client, new_address_says_bye_to_the_old)
{
	struct pa_grant g, other;
	struct fx *f = bound(&g, 1);
	struct peer old = f->p;

	peer_grant(0, 6, 1, PEER_UNIX + 3600, true, &other);
	take_grant(f, &other);
	finish(f, &other, GATEWAY);
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_BYE);
	cr_expect(pa_msg_verify(f->sent[0].buf, f->sent[0].len, old.keys.c2g));
	cr_expect_eq(f->up.claims.addr.b[15], 6);
	fx_free(f);
}

Test(client, older_binding_may_end_while_the_new_grant_is_tried)
{
	struct pa_grant g, other;
	struct fx *f = bound(&g, 1);
	uint8_t buf[PA_CTL_MAX];
	struct peer old = f->p;

	peer_grant(0, 6, 1, PEER_UNIX + 3600, true, &other);
	take_grant(f, &other);
	give(f, GATEWAY, buf, peer_unbound(&old, PA_REASON_EXPIRED, true, buf));
	cr_expect_eq(f->n_down, 1);
	cr_expect_eq(f->n_ended, 0);
	cr_expect_eq(status(f).state, PA_CLIENT_BINDING);
	fx_free(f);
}

Test(client, refuses_grants)
{
	struct pa_grant g, bad;
	struct fx *f = bound(&g, 1);

	peer_grant(0, 5, 0, PEER_UNIX + 9000, true, &bad);
	cr_expect_eq(pa_client_grant(f->cl, f->now, &bad), PA_EREPLAY, "a lower epoch");
	peer_grant(1, 5, 2, PEER_UNIX + 9000, true, &bad);
	cr_expect_eq(pa_client_grant(f->cl, f->now, &bad), PA_EDENIED, "another client's");
	bad = g;
	bad.lifetime = 0;
	cr_expect_eq(pa_client_grant(f->cl, f->now, &bad), PA_EINVAL);
	bad = g;
	bad.n_gateways = 0;
	cr_expect_eq(pa_client_grant(f->cl, f->now, &bad), PA_EINVAL);
	pa_client_end(f->cl, f->now, PA_REASON_RELEASED);
	peer_grant(0, 5, 0, PEER_UNIX + 9000, true, &bad);
	cr_expect_eq(pa_client_grant(f->cl, f->now, &bad), PA_EREPLAY, "also after the end");
	cr_expect_eq(pa_client_grant(f->cl, f->now, &g), 0, "the same one may come again then");
	fx_free(f);
}

/* One forged DHCPACK must not bar the true grants that come after it. */
Test(client, forged_grant_bars_nothing)
{
	struct pa_grant g, forged;
	struct fx *f = bound(&g, 1);

	forged = g;
	forged.claims.epoch = UINT64_MAX;
	forged.claims.expires = UINT64_MAX;
	cr_expect_eq(pa_client_grant(f->cl, f->now, &forged), 0);
	cr_expect_eq(status(f).state, PA_CLIENT_BOUND, "the binding goes on");
	peer_grant(0, 5, 1, PEER_UNIX + 9000, true, &g);
	cr_expect_eq(pa_client_grant(f->cl, f->now, &g), 0, "the renewal");
	cr_expect_eq(status(f).claims.epoch, 1);
	pa_client_end(f->cl, f->now, PA_REASON_RELEASED);
	cr_expect_eq(pa_client_grant(f->cl, f->now, &forged), 0);
	cr_expect_eq(pa_client_grant(f->cl, f->now, &g), 0, "also without a binding");
	fx_free(f);
}

/* The same with true claims, which everybody on the LAN can read, and a wrong secret. */
Test(client, forged_secret_bars_nothing)
{
	struct pa_grant g, forged;
	struct fx *f = fx_new();
	uint64_t handshakes;

	peer_grant(0, 5, 1, PEER_UNIX + 3600, true, &g);
	forged = g;
	forged.secret[0] ^= 1;
	cr_expect_eq(pa_client_grant(f->cl, f->now, &forged), 0);
	handshakes = counters(f).handshakes;
	cr_expect_eq(pa_client_grant(f->cl, f->now, &g), 0);
	cr_expect_eq(counters(f).handshakes, handshakes + 1, "the true one is tried");
	cr_expect_eq(pa_client_grant(f->cl, f->now, &g), 0);
	cr_expect_eq(counters(f).handshakes, handshakes + 1, "once");
	fx_free(f);
	f = bound(&g, 1);
	forged = g;
	forged.secret[0] ^= 1;
	handshakes = counters(f).handshakes;
	cr_expect_eq(pa_client_grant(f->cl, f->now, &forged), 0);
	cr_expect_eq(counters(f).handshakes, handshakes, "a gateway has accepted ours");
	fx_free(f);
}

Test(client, end_says_bye)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 1);

	f->n_sent = 0;
	pa_client_end(f->cl, f->now, PA_REASON_RELEASED);
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_BYE);
	cr_expect_eq(f->sent[0].m.reason, PA_REASON_RELEASED);
	cr_expect(pa_msg_verify(f->sent[0].buf, f->sent[0].len, f->p.keys.c2g));
	cr_expect_eq(f->n_ended, 1);
	pa_client_end(f->cl, f->now, PA_REASON_RELEASED);
	cr_expect_eq(f->n_down, 1, "harmless while idle");
	fx_free(f);
}

Test(client, lifetime_ends)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 1);
	uint64_t end = f->now.boot_ms + 3600 * 1000;

	cr_expect_eq(status(f).expires_boot_ms, end);
	while (f->n_ended == 0 && f->now.boot_ms < end + 1000) {
		f->n_sent = 0;
		run(f, 10);
		if (f->n_sent > 0 && f->sent[f->n_sent - 1].m.type == PA_MSG_KEEPALIVE)
			alive(f);
	}
	cr_expect_eq(f->n_ended, 1);
	cr_expect_eq(f->n_down, 1);
	cr_expect_eq(f->down_reason, PA_REASON_EXPIRED);
	cr_expect_eq(f->now.boot_ms, end);
	fx_free(f);
}

Test(client, lifetime_ends_without_a_gateway)
{
	struct fx *f = fx_new();
	struct pa_grant g;

	make_grant(&g, 1);
	g.lifetime = 30;
	take_grant(f, &g);
	while (f->n_ended == 0 && f->now.boot_ms < 1100000) {
		f->n_sent = 0;
		(void)pa_client_tick(f->cl, f->now);
		f->now.boot_ms += 10;
	}
	cr_expect_eq(f->now.boot_ms, 1000000 + 30000 + 10);
	cr_expect_eq(f->n_ended, 1);
	fx_free(f);
}

Test(client, kick_tries_at_once)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 2);

	f->n_sent = 0;
	pa_client_kick(f->cl, f->now);
	cr_expect_eq(f->n_fresh, 1);
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_HELLO);
	cr_expect_eq(f->n_down, 0);
	finish(f, &g, GATEWAY);
	cr_expect_eq(f->n_up, 2);
	pa_client_end(f->cl, f->now, PA_REASON_RELEASED);
	pa_client_kick(f->cl, f->now);
	cr_expect_eq(f->n_fresh, 1, "nothing to try without a grant");
	fx_free(f);
}

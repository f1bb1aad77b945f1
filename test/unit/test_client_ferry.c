/* SPDX-License-Identifier: MPL-2.0 */
/* Where no UDP passes: the way by the relay, when it is asked for, used and left, alone and in a simulated network. */
#include "test/sim/world.h"
#include "test/unit/client_fixture.h"
#include "tunnel/client_state.h"

#define FERRY "127.0.0.1:7000"
#define SEEDS 100

TestSuite(client_ferry, .timeout = 120);

static void open_ferry(struct fx *f)
{
	struct pa_endpoint at = peer_at(FERRY);

	f->n_sent = 0;
	pa_client_ferry(f->cl, f->now, &at);
}

static bool to_ferry(const struct sent *s)
{
	struct pa_endpoint at = peer_at(FERRY);

	return pa_endpoint_eq(&s->to, &at);
}

/* No gateway has answered by UDP; bound by the relay. */
static struct fx *ferried(struct pa_grant *g, unsigned gateways)
{
	struct fx *f = fx_new();

	make_grant(g, gateways);
	take_grant(f, g);
	run(f, PA_CLIENT_FERRY_MS + 10);
	cr_assert(f->wants_ferry);
	open_ferry(f);
	cr_assert_eq(f->n_sent, 1);
	cr_assert(to_ferry(&f->sent[0]));
	finish(f, g, FERRY);
	cr_assert_eq(f->n_up, 1);
	return f;
}

/* Lets the clock run, with every KEEPALIVE by the relay answered; returns the HELLOs by UDP in *hellos. */
static void run_ferried(struct fx *f, uint64_t ms, unsigned *hellos)
{
	for (uint64_t end = f->now.boot_ms + ms; f->now.boot_ms < end;) {
		f->n_sent = 0;
		run(f, 100);
		for (size_t i = 0; i < f->n_sent; i++) {
			if (to_ferry(&f->sent[i]))
				cr_assert_eq(f->sent[i].m.type, PA_MSG_KEEPALIVE);
			else
				*hellos += f->sent[i].m.type == PA_MSG_HELLO;
		}
		for (size_t i = f->n_sent; i > 0; i--) {
			if (!to_ferry(&f->sent[i - 1]))
				continue;
			f->n_sent = i;
			alive_by(f, FERRY);
			break;
		}
	}
}

Test(client_ferry, is_asked_for_when_udp_is_silent)
{
	struct pa_grant g;
	struct fx *f = fx_new();

	make_grant(&g, 2);
	g.mtu = 1450;
	take_grant(f, &g);
	run(f, PA_CLIENT_FERRY_MS - 10);
	cr_expect_not(f->wants_ferry);
	run(f, 20);
	cr_expect(f->wants_ferry);
	open_ferry(f);
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_HELLO);
	cr_expect(to_ferry(&f->sent[0]), "at once");
	finish(f, &g, FERRY);
	cr_assert_eq(f->n_up, 1);
	cr_expect(f->up.relayed);
	cr_expect_eq(f->up.mtu, 1400, "nothing is probed");
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_KEEPALIVE, "but the gateway is told");
	cr_expect_eq(f->sent[0].m.mtu, 1400);
	cr_expect_eq(counters(f).fallbacks, 1);
	cr_expect_eq(f->n_wanted, 1);
	cr_expect(status(f).binding.relayed);
	pa_client_end(f->cl, f->now, PA_REASON_RELEASED);
	cr_expect_not(f->wants_ferry, "with the grant it ends");
	fx_free(f);
}

Test(client_ferry, is_not_asked_for_while_udp_passes)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 2);

	for (unsigned i = 0; i < 20; i++) {
		run_until_sent(f, 1);
		alive(f);
	}
	run_until_sent(f, 2); /* one is lost */
	alive(f);
	run(f, 5000);
	cr_expect_eq(f->n_wanted, 0);
	cr_expect_eq(f->n_up, 1);
	fx_free(f);
}

Test(client_ferry, traffic_without_an_answer_brings_it_soon)
{
	for (unsigned gateways = 1; gateways <= PA_GATEWAYS_MAX; gateways++) {
		struct pa_grant g;
		struct fx *f = bound(&g, gateways);
		uint64_t died = f->now.boot_ms, tx = 0;

		while (!f->wants_ferry) {
			f->n_sent = 0;
			run(f, PA_CLIENT_PULSE_MS);
			pa_client_traffic(f->cl, f->now, ++tx, 0);
			cr_assert_lt(f->now.boot_ms - died, 1800 + 500 * gateways);
		}
		cr_expect_eq(f->n_down, 0);
		open_ferry(f);
		finish(f, &g, FERRY);
		cr_expect_eq(f->n_up, 2);
		cr_expect(f->up.relayed);
		cr_expect_eq(f->n_down, 0, "the routes have stayed");
		fx_free(f);
	}
}

Test(client_ferry, silence_without_traffic_brings_it_too)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 1);

	for (unsigned i = 0; i < 450 && !f->wants_ferry; i++) {
		f->n_sent = 0;
		run(f, 100);
	}
	cr_expect(f->wants_ferry, "within 45 s");
	fx_free(f);
}

Test(client_ferry, udp_is_tried_less_and_less)
{
	struct pa_grant g;
	struct fx *f = ferried(&g, 2);
	unsigned hellos = 0;

	run_ferried(f, PA_CLIENT_BACK_MS - 200, &hellos);
	cr_expect_eq(hellos, 0u);
	run_ferried(f, 300, &hellos);
	cr_expect_eq(hellos, 1u);
	run_ferried(f, 60000, &hellos);
	cr_expect_leq(hellos, 4u * 4u, "two at each gateway, after 5, 10, 20, 40 s");
	cr_expect_geq(hellos, 4u * 2u);
	hellos = 0;
	run_ferried(f, 3600 * 1000 - 70000, &hellos);
	cr_expect_leq(hellos, 4u * 32u);
	cr_expect_geq(hellos, 4u * 25u, "%u", hellos);
	cr_expect_eq(f->n_down, 0);
	cr_expect_eq(f->n_up, 1, "what works stays");
	cr_expect_eq(counters(f).lost, 0);
	fx_free(f);
}

Test(client_ferry, returns_after_a_whole_handshake)
{
	struct pa_grant g;
	struct fx *f = ferried(&g, 1);
	unsigned hellos = 0;
	size_t byes = 0;
	uint8_t buf[PA_CTL_MAX];

	while (hellos == 0)
		run_ferried(f, 100, &hellos);
	f->n_sent = 0;
	run(f, 1100); /* the HELLO's repetition */
	while (f->n_sent > 0 && to_ferry(&f->sent[f->n_sent - 1]))
		f->n_sent--;
	challenge(f, &g, GATEWAY);
	cr_expect_eq(f->n_up, 1, "not yet");
	cr_expect(f->wants_ferry);
	give(f, GATEWAY, buf, peer_accept(&f->p, &accept_values, buf));
	cr_assert_eq(f->n_up, 2);
	cr_expect_not(f->up.relayed);
	for (size_t i = 0; i < f->n_sent; i++)
		byes += f->sent[i].m.type == PA_MSG_BYE && f->sent[i].m.reason == PA_REASON_MOVED &&
			to_ferry(&f->sent[i]);
	cr_expect_eq(byes, 1, "for it may be another gateway that is beside the relay");
	run(f, 10);
	cr_expect_not(f->wants_ferry);
	cr_expect_eq(counters(f).returns, 1);
	cr_expect_eq(f->n_down, 0);
	fx_free(f);
}

/* UDP passes one way only, or does no more: the gateway may have taken the CONFIRM. */
Test(client_ferry, half_a_handshake_is_undone)
{
	struct pa_grant g;
	struct fx *f = ferried(&g, 1);
	unsigned hellos = 0, again = 0;

	while (hellos == 0)
		run_ferried(f, 100, &hellos);
	f->n_sent = 0;
	run(f, 1100);
	while (f->n_sent > 0 && to_ferry(&f->sent[f->n_sent - 1]))
		f->n_sent--;
	challenge(f, &g, GATEWAY);
	for (unsigned i = 0; i < 100 && again == 0; i++) {
		f->n_sent = 0;
		run(f, 100);
		for (size_t k = 0; k < f->n_sent; k++)
			again += f->sent[k].m.type == PA_MSG_HELLO && to_ferry(&f->sent[k]);
	}
	cr_assert_eq(again, 1u);
	finish(f, &g, FERRY);
	cr_expect_eq(f->n_up, 2);
	cr_expect(f->up.relayed);
	cr_expect_eq(counters(f).fallbacks, 1, "it has never been left");
	cr_expect_eq(f->n_down, 0);
	fx_free(f);
}

Test(client_ferry, a_connection_that_comes_back_is_asked_about_at_once)
{
	struct pa_grant g;
	struct fx *f = ferried(&g, 1);
	unsigned hellos = 0;

	run_ferried(f, 1000, &hellos);
	f->n_sent = 0;
	pa_client_ferry(f->cl, f->now, NULL);
	run(f, 2000);
	cr_assert_geq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_HELLO, "nothing is at stake, so UDP is tried");
	open_ferry(f);
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_KEEPALIVE);
	alive_by(f, FERRY);
	run_ferried(f, 30000, &hellos);
	cr_expect_eq(counters(f).lost, 0);
	/* Away for longer, with traffic: given up, and bound anew as soon as it is there. */
	pa_client_ferry(f->cl, f->now, NULL);
	for (uint64_t tx = 1; counters(f).lost == 0; tx++) {
		f->n_sent = 0;
		run(f, PA_CLIENT_PULSE_MS);
		pa_client_traffic(f->cl, f->now, tx, 0);
	}
	run(f, 3000);
	open_ferry(f);
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_HELLO);
	cr_expect(to_ferry(&f->sent[0]));
	finish(f, &g, FERRY);
	cr_expect_eq(f->n_up, 2);
	cr_expect_eq(f->n_down, 0);
	cr_expect_eq(f->n_wanted, 1);
	fx_free(f);
}

Test(client_ferry, another_lan_is_another_chance)
{
	struct pa_grant g;
	struct fx *f = ferried(&g, 1);
	unsigned hellos = 0;

	run_ferried(f, 100000, &hellos);
	f->n_sent = 0;
	pa_client_kick(f->cl, f->now);
	run(f, 10);
	cr_assert_eq(f->n_sent, 2);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_KEEPALIVE, "is the relay still reached?");
	cr_expect(to_ferry(&f->sent[0]));
	cr_expect_eq(f->sent[1].m.type, PA_MSG_HELLO, "and UDP?");
	cr_expect_not(to_ferry(&f->sent[1]));
	finish(f, &g, GATEWAY);
	cr_expect_eq(f->n_up, 2);
	cr_expect_not(f->up.relayed);
	fx_free(f);
}

Test(client_ferry, a_renewal_goes_the_same_way)
{
	struct pa_grant g, later;
	struct fx *f = ferried(&g, 1);
	unsigned hellos = 0;

	run_ferried(f, 100, &hellos);
	peer_grant(0, 5, 1, PEER_UNIX + 7200, true, &later);
	f->n_sent = 0;
	cr_assert_eq(pa_client_grant(f->cl, f->now, &later), 0);
	cr_assert_eq(f->n_sent, 1);
	cr_expect(to_ferry(&f->sent[0]));
	finish(f, &later, FERRY);
	cr_expect_eq(f->n_up, 2);
	cr_expect(f->up.relayed);
	cr_expect_eq(counters(f).fallbacks, 1);
	fx_free(f);
}

Test(client_ferry, the_next_process_looks_for_it_at_once)
{
	struct pa_grant g;
	struct fx *f = ferried(&g, 1), *next = fx_new();
	uint8_t buf[PA_CLIENT_SAVED_LEN];
	struct pa_client_saved s, read;
	unsigned hellos = 0;

	cr_assert(pa_client_save(f->cl, &s));
	cr_assert_eq(pa_client_saved_encode(&s, buf), 0);
	cr_assert_eq(pa_client_saved_decode(buf, &read), 0);
	cr_expect(read.b.relayed);
	cr_expect_not(read.lost);
	next->now = f->now;
	next->bind = f->bind;
	cr_assert_eq(pa_client_adopt(next->cl, next->now, &g, &read), 0);
	cr_expect_eq(next->n_up, 1, "the interface stays up");
	cr_expect(pa_endpoint_eq(&next->up.gateway, &g.gateways[0]), "packets go to no port of a former process");
	cr_expect(next->wants_ferry);
	cr_assert_eq(next->n_sent, 1);
	cr_expect_eq(next->sent[0].m.type, PA_MSG_HELLO, "UDP may pass now");
	cr_expect_not(to_ferry(&next->sent[0]), "and what was there is not there any more");
	open_ferry(next);
	finish(next, &g, FERRY);
	cr_expect_eq(next->n_up, 2);
	cr_expect_eq(next->n_down, 0);
	run_ferried(next, PA_CLIENT_BACK_MS - 200, &hellos);
	cr_expect_eq(hellos, 0u, "UDP is not tried at once");
	run_ferried(next, 100000, &hellos);
	cr_expect_leq(hellos, 2u * 5u);
	fx_free(next);
	fx_free(f);
}

/* ---------------------------------------------------------------- both ends */

#define check(w, cond, text)                                                                                           \
	cr_assert(cond, "seed %lu, at %lu ms: %s", (unsigned long)(w)->seed, (unsigned long)(w)->now.boot_ms, text)

static bool by_udp(const struct world *w, unsigned n)
{
	return world_reaches(w, n) && !w->c[n].b.relayed;
}

static bool by_relay(const struct world *w, unsigned n)
{
	return world_reaches(w, n) && w->c[n].b.relayed;
}

static void go_on(struct world *w, uint64_t ms)
{
	w->c[0].flow_until_ms = w->now.boot_ms + ms;
}

Test(client_ferry, sim_udp_fails_and_passes_again)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world *w = world_new(seed);

		w->loss = (unsigned)(seed % 4) * 5;
		w->c[0].no_udp = seed % 2 == 0; /* from the start, or later */
		world_relay(w, 0, true);
		world_grant(w, 0, 1, 1, 36000, 1 + (unsigned)(seed % 2));
		check(w, world_until(w, 20000, world_reaches, 0), "no binding");
		for (unsigned round = 0; round < 4; round++) {
			w->c[0].no_udp = true;
			go_on(w, 400000);
			check(w, world_until(w, 20000, by_relay, 0), "not by the relay");
			world_run(w, world_random(w, 200000));
			w->c[0].no_udp = false;
			check(w, world_until(w, 3 * PA_CLIENT_BACK_MAX_MS, by_udp, 0), "not back");
			world_run(w, 5000);
			check(w, by_udp(w, 0) && !w->c[0].wants_relay, "did not stay");
		}
		check(w, w->loss > 0 || w->c[0].n_down == 0, "plain NAT was used");
		world_free(w);
	}
}

/* Without loss it takes no longer than that, and is never in between. */
Test(client_ferry, sim_in_bounded_time)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world *w = world_new(seed);
		uint64_t since;

		world_relay(w, 0, true);
		world_grant(w, 0, 1, 1, 36000, 2);
		check(w, world_until(w, 1000, by_udp, 0), "no binding");
		go_on(w, 400000);
		world_run(w, 1000 + world_random(w, 30000));
		w->c[0].no_udp = true;
		since = w->now.boot_ms;
		check(w, world_until(w, 4000, by_relay, 0), "not within 4 s");
		w->c[0].no_udp = false;
		check(w, world_until(w, PA_CLIENT_BACK_MS + 1000, by_udp, 0), "not back after the first pause");
		check(w, w->now.boot_ms - since < 10000 && w->c[0].n_down == 0, "an outage");
		world_free(w);
	}
}

Test(client_ferry, sim_the_relay_dies)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world *w = world_new(seed);

		w->c[0].no_udp = true;
		world_relay(w, 0, true);
		world_grant(w, 0, 1, 1, 36000, 1);
		check(w, world_until(w, 5000, by_relay, 0), "no binding");
		go_on(w, 400000);
		world_run(w, world_random(w, 30000));
		for (unsigned round = 0; round < 3; round++) {
			world_relay(w, 0, false);
			world_run(w, 500 + world_random(w, 5000));
			check(w, !world_reaches(w, 0), "the test stops nothing");
			world_relay(w, 0, true); /* with another socket */
			check(w, world_until(w, 3000, by_relay, 0), "not bound again");
			check(w, w->c[0].n_down == 0, "plain NAT was used");
			world_run(w, 2000 + world_random(w, 100000));
			check(w, by_relay(w, 0), "did not stay");
		}
		/* For good, and then UDP passes. */
		world_relay(w, 0, false);
		world_run(w, 60000);
		check(w, !w->c[0].is_up, "plain NAT is not back");
		w->c[0].no_udp = false;
		check(w, world_until(w, 60000, by_udp, 0), "not bound by UDP");
		world_free(w);
	}
}

Test(client_ferry, sim_a_killed_client_goes_on)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world *w = world_new(seed);

		w->c[0].no_udp = true;
		world_relay(w, 0, true);
		world_grant(w, 0, 1, 1, 36000, 1);
		check(w, world_until(w, 5000, by_relay, 0), "no binding");
		world_run(w, world_random(w, 30000));
		world_relay(w, 0, true); /* its connection is a new one */
		world_kill_client(w, 0);
		check(w, world_until(w, 1000, by_relay, 0), "not bound again");
		check(w, w->c[0].n_down == 0, "plain NAT was used");
		world_free(w);
	}
}

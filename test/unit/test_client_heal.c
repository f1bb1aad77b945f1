/* SPDX-License-Identifier: MPL-2.0 */
/* Signs that a gateway is gone which come before the next keepalive: traffic without an answer, sleep; and the interval. */
#include "test/unit/client_fixture.h"

/* What a test of traffic lets the data path carry in each beat. */
struct flow {
	unsigned tx, rx;
};

/* Beats for ms, carrying what flow says; alive: KEEPALIVEs are answered. */
static void flow_for(struct fx *f, uint64_t ms, struct flow flow, bool answer, uint64_t *tx, uint64_t *rx)
{
	for (uint64_t at = 0; at < ms; at += PA_CLIENT_PULSE_MS) {
		size_t before = f->n_sent;

		run(f, PA_CLIENT_PULSE_MS);
		*tx += flow.tx;
		*rx += flow.rx;
		pa_client_traffic(f->cl, f->now, *tx, *rx);
		if (answer && f->n_sent > before)
			alive(f);
	}
}

Test(client_heal, traffic_without_an_answer_leaves_within_three_seconds)
{
	static const struct flow both = {5, 5}, one_way = {5, 0};

	for (unsigned gateways = 1; gateways <= PA_GATEWAYS_MAX; gateways++) {
		struct pa_grant g;
		struct fx *f = bound(&g, gateways);
		uint64_t tx = 0, rx = 0, died;
		unsigned hellos = 0;

		flow_for(f, 10000, both, false, &tx, &rx);
		died = f->now.boot_ms;
		f->n_sent = 0;
		while (f->n_sent < 4 + (gateways > 1)) {
			flow_for(f, PA_CLIENT_PULSE_MS, one_way, false, &tx, &rx);
			cr_assert_lt(f->now.boot_ms - died, 3000);
		}
		for (unsigned i = 0; i < 3; i++)
			cr_expect_eq(f->sent[i].m.type, PA_MSG_KEEPALIVE, "it is asked first");
		cr_expect_eq(f->sent[3].m.type, PA_MSG_HELLO, "from a fresh port");
		cr_expect_eq(f->sent[3].to.addr.b[15], 10, "before it is given up");
		cr_expect_eq(f->n_fresh, 1);
		if (gateways > 1) {
			cr_expect_eq(f->sent[4].to.addr.b[15], 11);
			finish(f, &g, SECOND);
			cr_expect_eq(f->n_up, 2);
			cr_expect_leq(f->now.boot_ms - died, 2500, "after %lu", (unsigned long)(f->now.boot_ms - died));
		}
		cr_expect_eq(f->n_down, 0, "plain NAT is not back so soon");
		for (size_t i = 0; i < f->n_sent; i++)
			hellos += f->sent[i].m.type == PA_MSG_HELLO;
		cr_expect_leq(hellos, 2u);
		fx_free(f);
	}
}

Test(client_heal, traffic_both_ways_asks_nothing)
{
	static const struct flow both = {5, 5}, inward = {0, 5}, none = {0, 0}, one_way = {1, 0};
	struct pa_grant g;
	struct fx *f = bound(&g, 2);
	uint64_t tx = 0, rx = 0;

	f->n_sent = 0;
	flow_for(f, 7000, both, false, &tx, &rx);
	flow_for(f, 7000, inward, false, &tx, &rx);
	flow_for(f, 7000, none, false, &tx, &rx);
	cr_expect_eq(f->n_sent, 0, "before the keepalive is due");
	cr_expect_eq(counters(f).urgent, 0);
	flow_for(f, 60000, one_way, true, &tx, &rx);
	cr_expect_geq(counters(f).urgent, 30);
	cr_expect_leq(counters(f).urgent, 60, "at most once a second");
	cr_expect_eq(counters(f).lost, 0, "it has answered each time");
	fx_free(f);
}

/* The list is asked in a moment, and once more with patience before plain NAT is back. */
Test(client_heal, traffic_while_all_are_dead)
{
	static const struct flow one_way = {5, 0};
	struct pa_grant g;
	struct fx *f = bound(&g, 2);
	uint64_t tx = 0, rx = 0, last = f->now.boot_ms;

	while (f->n_down == 0) {
		f->n_sent = 0;
		flow_for(f, PA_CLIENT_PULSE_MS, one_way, false, &tx, &rx);
	}
	cr_expect_gt(f->now.boot_ms - last, 10000);
	cr_expect_lt(f->now.boot_ms - last, 45000);
	fx_free(f);
}

/* The host has slept, or the process was stopped: what is known is old. */
Test(client_heal, after_a_sleep_the_gateway_is_asked_at_once)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 2);
	uint64_t woke;

	f->next = pa_client_tick(f->cl, f->now);
	f->n_sent = 0;
	f->now.boot_ms = woke = f->next + 600000;
	(void)pa_client_tick(f->cl, f->now);
	cr_assert_eq(f->n_sent, 1);
	cr_expect_eq(f->sent[0].m.type, PA_MSG_KEEPALIVE);
	run_until_sent(f, 4);
	cr_expect_eq(f->sent[2].m.type, PA_MSG_HELLO);
	cr_expect_eq(f->sent[3].to.addr.b[15], 11);
	cr_expect_leq(f->sent[3].at - woke, 2000);
	finish(f, &g, SECOND);
	cr_expect_eq(f->n_up, 2);
	cr_expect_eq(f->n_down, 0);
	fx_free(f);
}

Test(client_heal, the_wall_clock_means_nothing)
{
	static const uint64_t unix_ms[] = {0, PEER_UNIX * 2000ull, 1, PEER_UNIX * 1000ull};
	struct pa_grant g;
	struct fx *f = bound(&g, 1);

	for (unsigned i = 0; i < 4; i++) {
		f->now.unix_ms = unix_ms[i];
		run_until_sent(f, 1);
		cr_expect_eq(f->sent[0].m.type, PA_MSG_KEEPALIVE);
		alive(f);
	}
	cr_expect_eq(f->n_down, 0);
	cr_expect_eq(counters(f).misses, 0);
	fx_free(f);
}

Test(client_heal, the_interval_can_be_made_shorter)
{
	struct pa_grant g;
	struct fx *f = bound(&g, 1);
	uint64_t was = f->now.boot_ms;

	cr_expect_eq(status(f).interval, 25);
	pa_client_interval(f->cl, f->now, 17);
	cr_expect_eq(status(f).interval, 17);
	run_until_sent(f, 1);
	cr_expect_leq(f->sent[0].at - was, 17100, "the one that was due later too");
	alive(f);
	was = f->now.boot_ms;
	run_until_sent(f, 1);
	cr_expect_leq(f->sent[0].at - was, 17100);
	cr_expect_geq(f->sent[0].at - was, 15000);
	alive(f);
	pa_client_interval(f->cl, f->now, 3);
	cr_expect_eq(status(f).interval, 15, "never shorter than that");
	pa_client_interval(f->cl, f->now, 60);
	cr_expect_eq(status(f).interval, 25, "nor longer than was agreed");
	pa_client_interval(f->cl, f->now, 0);
	cr_expect_eq(status(f).interval, 25);
	fx_free(f);
}

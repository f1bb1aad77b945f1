/* SPDX-License-Identifier: MPL-2.0 */
/* When an address on demand is asked for, renewed and given back. */
#include <criterion/criterion.h>
#include <string.h>

#include "tunnel/demand.h"

#define LINGER 60000

static struct {
	struct pa_demand *d;
	uint64_t now;
	unsigned asks, releases, rounds, failed, ended;
	uint64_t asked_at[64];
} t;

static void on_ask(void *ctx, unsigned round, unsigned attempt)
{
	(void)ctx;
	if (attempt == 0)
		t.rounds++;
	cr_assert_eq(round > 0, true);
	t.asked_at[t.asks++ % 64] = t.now;
}

static void on_release(void *ctx, unsigned round, unsigned attempt)
{
	(void)ctx;
	(void)round;
	cr_assert_eq(attempt, t.releases);
	cr_assert_eq(t.ended, 1, "the host lets go of it first");
	t.releases++;
}

static void on_failed(void *ctx)
{
	(void)ctx;
	t.failed++;
}

static void on_end(void *ctx)
{
	(void)ctx;
	t.ended++;
}

static void on_event(void *ctx, enum pa_demand_state state)
{
	(void)ctx;
	(void)state;
}

static const struct pa_demand_ops ops = {.ask = on_ask, .release = on_release, .failed = on_failed, .end = on_end, .event = on_event};

static void set_up(void)
{
	memset(&t, 0, sizeof(t));
	t.now = 1000;
	t.d = pa_demand_new(&ops, NULL, LINGER);
	cr_assert_not_null(t.d);
}

static void tear_down(void)
{
	pa_demand_free(t.d);
}

/* Lets ms pass, and does what is due at its time. */
static void pass(uint64_t ms)
{
	uint64_t end = t.now + ms, next;

	while ((next = pa_demand_tick(t.d, t.now)) <= end)
		t.now = next;
	t.now = end;
}

static void users(unsigned n)
{
	pa_demand_users(t.d, t.now, n, false);
}

TestSuite(demand, .init = set_up, .fini = tear_down, .timeout = 30);

Test(demand, nobody_asks_for_nothing)
{
	users(0);
	pass(1000000);
	cr_assert_eq(t.asks, 0);
	pa_demand_users(t.d, t.now, 3, true);
	pass(1000000);
	cr_assert_eq(t.asks, 0, "DHCP has brought one");
	cr_assert_eq(pa_demand_tick(t.d, t.now), UINT64_MAX);
}

Test(demand, asks_at_once_and_again_soon)
{
	users(1);
	pass(0);
	cr_assert_eq(t.asks, 1);
	pass(PA_DEMAND_RETRY_MS);
	cr_assert_eq(t.asks, 2);
	cr_assert_eq(t.asked_at[1] - t.asked_at[0], PA_DEMAND_RETRY_MS);
	pa_demand_granted(t.d, t.now, t.now + 600000);
	pass(60000);
	cr_assert_eq(t.asks, 2);
	cr_assert_eq(t.rounds, 1, "the same transaction");
	cr_assert_eq(pa_demand_state_of(t.d), PA_DEMAND_HELD);
}

Test(demand, gives_up_in_bounded_time_and_tries_less_and_less_often)
{
	users(1);
	pass(PA_DEMAND_ASK_MS + PA_DEMAND_RETRY_MAX_MS);
	cr_assert_eq(t.failed, 1);
	cr_assert_lt(t.asks, 20);
	t.asks = 0;
	pass(3600000);
	cr_assert_gt(t.failed, 10, "who still needs it is not forgotten");
	cr_assert_lt(t.asks, 1000, "nor the server flooded: %u", t.asks);
	users(0);
	t.asks = 0;
	pass(3600000);
	cr_assert_leq(t.asks, 10);
	users(1);
	pass(1000);
	cr_assert_gt(t.asks, 0, "the next one is served soon");
}

Test(demand, renews_at_half_life_until_an_answer_comes)
{
	users(1);
	pass(0);
	pa_demand_granted(t.d, t.now, t.now + 600000);
	t.asks = t.rounds = 0;
	pass(299000);
	cr_assert_eq(t.asks, 0);
	pass(2000);
	cr_assert_gt(t.asks, 0);
	cr_assert_eq(t.rounds, 1);
	pa_demand_granted(t.d, t.now, t.now + 600000);
	t.asks = 0;
	pass(290000);
	cr_assert_eq(t.asks, 0);
	pass(3600000);
	cr_assert_gt(t.rounds, 3, "half of the rest again and again");
	cr_assert_eq(t.failed, 0, "there is one still");
}

Test(demand, lingers_and_gives_back)
{
	users(1);
	pass(0);
	pa_demand_granted(t.d, t.now, t.now + 600000);
	users(0);
	pass(LINGER - 1);
	cr_assert_eq(t.ended, 0);
	users(1);
	pass(LINGER);
	cr_assert_eq(t.ended, 0, "somebody came in time");
	users(0);
	pass(LINGER);
	cr_assert_eq(t.ended, 1);
	cr_assert_eq(t.releases, 1);
	pass(PA_DEMAND_RETRY_MS);
	cr_assert_eq(t.releases, 2, "until it is confirmed");
	pa_demand_released(t.d, t.now);
	pass(1000000);
	cr_assert_eq(t.releases, 2);
	cr_assert_eq(pa_demand_state_of(t.d), PA_DEMAND_IDLE);
}

Test(demand, a_release_that_nobody_confirms_ends_too)
{
	users(1);
	pass(0);
	pa_demand_granted(t.d, t.now, t.now + 600000);
	users(0);
	pass(LINGER + 60000);
	cr_assert_eq(t.releases, PA_DEMAND_RELEASE_TRIES);
	cr_assert_eq(pa_demand_state_of(t.d), PA_DEMAND_IDLE);
}

Test(demand, who_comes_during_the_release_is_served_after_it)
{
	users(1);
	pass(0);
	pa_demand_granted(t.d, t.now, t.now + 600000);
	users(0);
	pass(LINGER);
	t.asks = 0;
	users(1);
	pass(10);
	cr_assert_eq(t.asks, 0);
	pa_demand_released(t.d, t.now);
	pass(0);
	cr_assert_eq(t.asks, 1);
}

Test(demand, a_program_that_ends_before_the_answer_leaves_nothing_behind)
{
	users(1);
	pass(0);
	users(0);
	pass(PA_DEMAND_RETRY_MS);
	cr_assert_eq(t.asks, 2, "the broker may have given one: only who has it can give it back");
	pa_demand_granted(t.d, t.now, t.now + 600000);
	pass(LINGER);
	cr_assert_eq(t.ended, 1);
	cr_assert_eq(t.releases, 1);
}

Test(demand, what_dhcp_brings_is_not_given_back)
{
	users(1);
	pass(0);
	pa_demand_granted(t.d, t.now, t.now + 600000);
	pa_demand_taken_over(t.d);
	pa_demand_users(t.d, t.now, 0, true);
	pass(3600000);
	cr_assert_eq(t.ended, 0);
	cr_assert_eq(t.releases, 0);
}

Test(demand, a_lost_grant_is_asked_for_again)
{
	users(1);
	pass(0);
	pa_demand_granted(t.d, t.now, t.now + 600000);
	t.asks = 0;
	pa_demand_lost(t.d, t.now);
	pass(PA_DEMAND_PAUSE_MS - 1);
	cr_assert_eq(t.asks, 0);
	pass(1);
	cr_assert_eq(t.asks, 1);
	cr_assert_eq(t.ended, 0);
}

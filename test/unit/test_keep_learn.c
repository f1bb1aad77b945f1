/* SPDX-License-Identifier: MPL-2.0 */
/* What is learned of NATs that are made up here; test_probe_run.c has the same with a client, a gateway and their packets. */
#include <criterion/criterion.h>

#include "tunnel/keep_learn.h"

/* A NAT that holds mappings for life seconds; of 100 trials lose say that it did not, and void tell nothing. */
struct nat {
	unsigned life, lose, empty;
	unsigned n; /* trials so far */
};

struct seen {
	unsigned trials;
	uint16_t longest; /* interval at any time */
};

static enum pa_learn_result try(struct nat *nat, uint16_t silence)
{
	unsigned n = nat->n++ * 37 % 100;

	if (n < nat->empty)
		return PA_LEARN_VOID;
	return silence > nat->life || n < nat->empty + nat->lose ? PA_LEARN_LOST : PA_LEARN_HELD;
}

/* Runs for seconds; a trial takes its silence and 3 s. */
static struct seen run(struct pa_learn *l, struct pa_now *now, struct nat *nat, uint64_t seconds)
{
	uint64_t end = now->boot_ms + seconds * 1000;
	struct seen seen = {0, 0};

	while (now->boot_ms < end) {
		uint16_t silence = pa_learn_trial(l, *now), interval = pa_learn_interval(l);

		seen.longest = interval > seen.longest ? interval : seen.longest;
		cr_assert(interval >= PA_KEEPALIVE_MIN && interval <= l->bound);
		if (silence == 0) {
			now->boot_ms += 500;
			continue;
		}
		seen.trials++;
		cr_assert_eq(pa_learn_trial(l, *now), 0, "one at a time");
		now->boot_ms += (uint64_t)silence * 1000 + 3000;
		pa_learn_result(l, *now, try(nat, silence), 1000);
	}
	return seen;
}

Test(keep_learn, finds_what_the_nat_allows)
{
	for (uint16_t bound = PA_KEEPALIVE_MIN; bound <= PA_KEEPALIVE_MAX; bound++) {
		for (unsigned life = 1; life < 180; life += 3) {
			struct pa_now now = {.boot_ms = 5000};
			struct nat nat = {.life = life};
			struct pa_learn l;
			struct seen seen;
			uint16_t interval;

			pa_learn_begin(&l, now, bound, 0);
			cr_assert_eq(pa_learn_interval(&l), PA_KEEPALIVE_MIN, "safe before anything is known");
			seen = run(&l, &now, &nat, 1800);
			interval = pa_learn_interval(&l);
			cr_assert(interval == PA_KEEPALIVE_MIN || PA_LEARN_SILENCE(interval) <= life, "bound %u, life %u: %u", bound, life,
				  interval);
			cr_assert(seen.longest == PA_KEEPALIVE_MIN || PA_LEARN_SILENCE(seen.longest) <= life, "at no time longer");
			cr_assert(interval == bound || PA_LEARN_SILENCE(interval + 6) > life, "bound %u, life %u: only %u", bound, life,
				  interval);
			cr_assert_leq(seen.trials, 12u, "bound %u, life %u", bound, life);
		}
	}
}

Test(keep_learn, falls_back_and_comes_back)
{
	struct pa_now now = {.boot_ms = 5000};
	struct nat nat = {.life = 300};
	struct pa_learn l;
	uint64_t was;

	pa_learn_begin(&l, now, 100, 30000);
	(void)run(&l, &now, &nat, 600);
	cr_assert_eq(pa_learn_interval(&l), 100);
	nat.life = 45; /* another firmware */
	was = now.boot_ms;
	while (pa_learn_interval(&l) == 100)
		(void)run(&l, &now, &nat, 1);
	cr_expect_leq(now.boot_ms - was, (uint64_t)PA_LEARN_CHECK_MS + 120000, "a check finds it");
	cr_expect_eq(pa_learn_interval(&l), PA_KEEPALIVE_MIN, "at the first doubt");
	(void)run(&l, &now, &nat, 1200);
	cr_expect(pa_learn_interval(&l) >= 30 && PA_LEARN_SILENCE(pa_learn_interval(&l)) <= 45, "%u", pa_learn_interval(&l));
	nat.life = 300;
	(void)run(&l, &now, &nat, 8 * PA_LEARN_CHECK_MS / 1000);
	cr_expect_eq(pa_learn_interval(&l), 100, "what was too long is tried again now and then");
}

Test(keep_learn, a_lost_packet_is_no_verdict)
{
	struct pa_now now = {.boot_ms = 5000};
	struct pa_learn l;

	pa_learn_begin(&l, now, 60, 0);
	now.boot_ms += 20000;
	cr_assert_eq(pa_learn_trial(&l, now), PA_LEARN_SILENCE(60));
	pa_learn_result(&l, now, PA_LEARN_LOST, 0);
	cr_expect_eq(pa_learn_interval(&l), PA_KEEPALIVE_MIN);
	now.boot_ms += 2000;
	cr_assert_eq(pa_learn_trial(&l, now), PA_LEARN_SILENCE(60), "the same again");
	pa_learn_result(&l, now, PA_LEARN_HELD, 0);
	cr_expect_eq(pa_learn_interval(&l), 60);
	now.boot_ms += 60000;
	cr_expect_eq(pa_learn_trial(&l, now), 0, "there is nothing more to learn");
}

Test(keep_learn, where_nothing_can_be_tried_it_is_as_without)
{
	static const uint16_t bounds[] = {15, 20, 25, 120}, wanted[] = {15, 20, 25, 25};

	for (unsigned i = 0; i < 4; i++) {
		struct pa_now now = {.boot_ms = 5000};
		struct nat nat = {.life = 300, .empty = 100};
		struct pa_learn l;
		struct seen seen;

		pa_learn_begin(&l, now, bounds[i], 0);
		seen = run(&l, &now, &nat, 3000);
		cr_expect_eq(pa_learn_interval(&l), wanted[i]);
		cr_expect_leq(seen.trials, 4u);
		nat.empty = 0;
		(void)run(&l, &now, &nat, 4000);
		cr_expect_eq(pa_learn_interval(&l), bounds[i]);
	}
}

Test(keep_learn, another_mapping_is_another_nat)
{
	struct pa_now now = {.boot_ms = 5000};
	struct nat nat = {.life = 300};
	struct pa_learn l;

	pa_learn_begin(&l, now, 100, 0);
	(void)run(&l, &now, &nat, 600);
	cr_assert_eq(pa_learn_interval(&l), 100);
	nat.life = 20;
	pa_learn_moved(&l, now, 0);
	cr_expect_eq(pa_learn_interval(&l), PA_KEEPALIVE_MIN);
	(void)run(&l, &now, &nat, 1800);
	cr_expect_eq(pa_learn_interval(&l), PA_KEEPALIVE_MIN);
	pa_learn_bound(&l, now, 50);
	nat.life = 300;
	pa_learn_moved(&l, now, 65535);
	(void)run(&l, &now, &nat, 600);
	cr_expect_eq(pa_learn_interval(&l), 50);
	pa_learn_bound(&l, now, 90);
	cr_expect_eq(pa_learn_interval(&l), 50, "what was not tried is not used");
	(void)run(&l, &now, &nat, 600);
	cr_expect_eq(pa_learn_interval(&l), 90);
	pa_learn_bound(&l, now, 30);
	cr_expect_eq(pa_learn_interval(&l), 30);
}

Test(keep_learn, a_result_after_the_end_of_the_trial_means_nothing)
{
	struct pa_now now = {.boot_ms = 5000};
	struct pa_learn l;

	pa_learn_begin(&l, now, 100, 0);
	now.boot_ms += 20000;
	cr_assert_gt(pa_learn_trial(&l, now), 0);
	pa_learn_moved(&l, now, 0);
	pa_learn_result(&l, now, PA_LEARN_HELD, 0);
	cr_expect_eq(pa_learn_interval(&l), PA_KEEPALIVE_MIN);
}

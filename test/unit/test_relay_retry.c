/* SPDX-License-Identifier: MPL-2.0 */
/* When the relay's server is tried again. */
#include <criterion/criterion.h>

#include "test/unit/rnd.h"
#include "tunnel/relay_retry.h"

/* Attempts within seconds at a server that takes the grant and ends the connection after life ms each time; 0: does not answer. */
static unsigned attempts(struct pa_rretry *r, uint64_t *now_ms, unsigned seconds, unsigned life, bool urgent)
{
	struct rnd rnd = rnd_seed(7);
	uint64_t end = *now_ms + 1000 * (uint64_t)seconds;
	unsigned n = 0;

	while (*now_ms < end) {
		if (!pa_rretry_due(r, *now_ms)) {
			*now_ms += 10;
			continue;
		}
		n++;
		if (life > 0)
			pa_rretry_up(r, *now_ms);
		*now_ms += life;
		pa_rretry_lost(r, *now_ms, false, urgent, (uint16_t)rnd_next(&rnd));
	}
	return n;
}

Test(relay_retry, the_first_attempts_need_no_wait)
{
	struct pa_rretry r = {0};

	cr_expect(pa_rretry_due(&r, 1));
	pa_rretry_up(&r, 1000);
	pa_rretry_lost(&r, 1000 + PA_RRETRY_STEADY_MS, false, true, UINT16_MAX);
	cr_expect(pa_rretry_due(&r, 1000 + PA_RRETRY_STEADY_MS), "nor does the one after a connection that stood");
}

Test(relay_retry, waits_double_up_to_a_bound_and_half_of_each_is_chance)
{
	static const uint64_t waits[] = {0, 250, 500, 1000, 2000, 4000, 8000, 8000}, urgent[] = {0, 250, 500, 1000, 2000, 2000, 2000, 2000};
	struct pa_rretry low = {0}, high = {0}, soon = {0};

	for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		pa_rretry_lost(&low, 1000, true, false, 0);
		pa_rretry_lost(&high, 1000, false, false, UINT16_MAX);
		pa_rretry_lost(&soon, 1000, false, true, UINT16_MAX);
		cr_expect_eq(low.next_ms, 1000 + waits[i] / 2, "attempt %u", i);
		cr_expect_eq(high.next_ms, 1000 + waits[i], "attempt %u", i);
		cr_expect_eq(soon.next_ms, 1000 + urgent[i], "attempt %u while sessions wait", i);
	}
}

Test(relay_retry, a_server_that_refuses_each_time_is_not_pestered)
{
	static const unsigned lives[] = {0, 1, 100, PA_RRETRY_STEADY_MS - 1};

	for (unsigned i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
		struct pa_rretry r = {0};
		uint64_t now_ms = 5000;

		cr_expect_leq(attempts(&r, &now_ms, 10, lives[i], true), 13u, "life %u", lives[i]);
		(void)attempts(&r, &now_ms, 60, lives[i], false);
		cr_expect_leq(attempts(&r, &now_ms, 600, lives[i], false), 151u, "life %u", lives[i]);
		cr_expect_geq(attempts(&r, &now_ms, 600, lives[i], false), 45u, "life %u: but it is tried", lives[i]);
	}
}

Test(relay_retry, a_connection_that_stood_begins_anew)
{
	struct pa_rretry r = {0};
	uint64_t now_ms = 5000;

	(void)attempts(&r, &now_ms, 60, 0, false);
	pa_rretry_up(&r, now_ms);
	now_ms += PA_RRETRY_STEADY_MS;
	pa_rretry_lost(&r, now_ms, false, false, UINT16_MAX);
	cr_expect(pa_rretry_due(&r, now_ms));
	pa_rretry_lost(&r, now_ms, false, false, UINT16_MAX);
	cr_expect_eq(r.next_ms, now_ms + PA_RRETRY_MIN_MS);
}

/* One attempt of which the server says no, when it is due; returns when that was. */
static uint64_t refuse(struct pa_rretry *r, uint64_t now_ms)
{
	if (now_ms < r->next_ms)
		now_ms = r->next_ms;
	pa_rretry_lost(r, now_ms, true, false, UINT16_MAX);
	return now_ms;
}

Test(relay_retry, a_server_that_has_refused_for_a_second_is_known_to)
{
	struct pa_rretry r = {0};
	uint64_t now_ms = refuse(&r, 5000);

	cr_expect_not(pa_rretry_refused(&r, 4999 + PA_RRETRY_SURE_MS), "it may be starting just now");
	while (now_ms < 5000 + PA_RRETRY_SURE_MS)
		now_ms = refuse(&r, now_ms);
	for (unsigned i = 0; i < 10; i++) {
		cr_expect(pa_rretry_refused(&r, now_ms));
		cr_expect(pa_rretry_refused(&r, r.next_ms), "and while the next attempt is made");
		now_ms = refuse(&r, now_ms);
	}
	pa_rretry_up(&r, r.next_ms);
	cr_expect_not(pa_rretry_refused(&r, r.next_ms), "until it serves");
}

Test(relay_retry, silence_is_no_refusal)
{
	struct pa_rretry r = {0};

	(void)refuse(&r, refuse(&r, refuse(&r, 5000)) + PA_RRETRY_SURE_MS);
	cr_expect(pa_rretry_refused(&r, r.next_ms));
	pa_rretry_lost(&r, r.next_ms, false, false, UINT16_MAX);
	cr_expect_not(pa_rretry_refused(&r, r.next_ms));
}

Test(relay_retry, an_old_refusal_says_nothing)
{
	struct pa_rretry r = {0};
	uint64_t now_ms = refuse(&r, refuse(&r, 5000) + PA_RRETRY_SURE_MS);

	now_ms = r.next_ms + PA_RRETRY_ATTEMPT_MS;
	cr_expect(pa_rretry_refused(&r, now_ms - 1));
	cr_expect_not(pa_rretry_refused(&r, now_ms), "nobody has tried since");
	now_ms = refuse(&r, now_ms);
	cr_expect_not(pa_rretry_refused(&r, now_ms), "the next one is the first again");
	cr_expect(pa_rretry_refused(&r, now_ms + PA_RRETRY_SURE_MS));
}

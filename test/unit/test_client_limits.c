/* SPDX-License-Identifier: MPL-2.0 */
/* What a client of the relay server may have, and how many lines of the log. */
#include <criterion/criterion.h>

#include "relay/client_limits.h"

/* How many of n it may have at once. */
static unsigned at_once(struct pa_relay_limits *l, enum pa_relay_limit what, uint32_t per_s, unsigned n, uint64_t boot_ms)
{
	unsigned had = 0;

	for (unsigned i = 0; i < n; i++)
		had += pa_relay_limit_take(l, what, per_s, (struct pa_now){.boot_ms = boot_ms});
	return had;
}

static const struct {
	enum pa_relay_limit what;
	unsigned per_s, burst;
} built_in[] = {{PA_RELAY_LIMIT_RESOLVE, 20, 100}, {PA_RELAY_LIMIT_RESUME, 1, 10},   {PA_RELAY_LIMIT_LINE, 50, 500},
		{PA_RELAY_LIMIT_LINES, 500, 2000}, {PA_RELAY_LIMIT_REFUSAL, 10, 100}, {PA_RELAY_LIMIT_CLIENT, 50, 4000}};

#define N_BUILT_IN (sizeof(built_in) / sizeof(built_in[0]))

Test(client_limits, so_many_at_once_and_then_so_many_a_second)
{
	for (size_t i = 0; i < N_BUILT_IN; i++) {
		struct pa_relay_limits l = {0};
		uint64_t now = 1000000;

		cr_expect_eq(pa_relay_limit_rate(built_in[i].what), built_in[i].per_s, "%zu", i);
		cr_expect_eq(at_once(&l, built_in[i].what, 0, 10000, now), built_in[i].burst, "%zu", i);
		for (int s = 0; s < 10; s++) {
			now += 1000;
			cr_expect_eq(at_once(&l, built_in[i].what, 0, 10000, now), built_in[i].per_s, "%zu, second %d", i, s);
		}
		now += 1000000;
		cr_expect_eq(at_once(&l, built_in[i].what, 0, 10000, now), built_in[i].burst, "%zu, after a rest", i);
	}
}

Test(client_limits, one_thing_does_not_use_up_another)
{
	struct pa_relay_limits l = {0};

	for (size_t i = 0; i < N_BUILT_IN; i++)
		cr_expect_eq(at_once(&l, built_in[i].what, 0, 10000, 1000000), built_in[i].burst, "%zu", i);
	cr_expect_eq(at_once(&l, PA_RELAY_LIMIT_OPEN, 7, 100, 1000000), 7);
}

Test(client_limits, calls_are_limited_as_the_operator_says)
{
	struct pa_relay_limits l = {0};

	cr_expect_eq(pa_relay_limit_rate(PA_RELAY_LIMIT_OPEN), 0);
	cr_expect_eq(at_once(&l, PA_RELAY_LIMIT_OPEN, 100, 1000, 1000000), 100);
	cr_expect_eq(at_once(&l, PA_RELAY_LIMIT_OPEN, 100, 1000, 1000500), 50, "in half a second");
	cr_expect_eq(at_once(&l, PA_RELAY_LIMIT_OPEN, 0, 1000, 1000500), 1000, "0: any number");
	cr_expect_eq(at_once(&l, PA_RELAY_LIMIT_RESOLVE, 100000, 1000, 1000000), 100, "what is built in is not the operator's");
}

Test(client_limits, lines_that_were_held_back_are_told_once_a_second)
{
	struct pa_relay_limits l = {0};

	cr_expect_eq(pa_relay_limit_held(&l, (struct pa_now){.boot_ms = 5000}), 0);
	l.held = 7;
	cr_expect_eq(pa_relay_limit_held(&l, (struct pa_now){.boot_ms = 5000}), 7);
	cr_expect_eq(pa_relay_limit_held(&l, (struct pa_now){.boot_ms = 5000}), 0, "nothing since");
	l.held = 3;
	cr_expect_eq(pa_relay_limit_held(&l, (struct pa_now){.boot_ms = 5999}), 0, "too soon");
	cr_expect_eq(pa_relay_limit_held(&l, (struct pa_now){.boot_ms = 6000}), 3, "but not forgotten");
}

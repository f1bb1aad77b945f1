/* SPDX-License-Identifier: MPL-2.0 */
/* How many lines of the log others are worth. */
#include <criterion/criterion.h>

#include "tunnel/lines.h"

TestSuite(lines, .timeout = 10);

static struct pa_now at(uint64_t boot_ms)
{
	return (struct pa_now){.boot_ms = boot_ms};
}

Test(lines, a_storm_is_cut_and_none_is_lost_from_the_count)
{
	struct pa_lines l = {0};
	unsigned written = 0, held = 0;

	for (uint64_t ms = 5000; ms < 15000; ms++) {
		for (int i = 0; i < 5; i++)
			written += pa_lines_take(&l, 10, 50, at(ms));
		held += pa_lines_held(&l, at(ms));
	}
	held += pa_lines_held(&l, at(20000));
	cr_expect_geq(written, 50 + 99u);
	cr_expect_leq(written, 50 + 101u);
	cr_expect_eq(written + held, 50000u);
}

Test(lines, who_comes_now_and_then_has_each_of_his)
{
	struct pa_lines l = {0};

	for (uint64_t ms = 5000; ms < 100000; ms += 200)
		cr_expect(pa_lines_take(&l, 10, 50, at(ms)));
	cr_expect_eq(pa_lines_held(&l, at(100000)), 0u);
}

Test(lines, it_is_told_once_a_second)
{
	struct pa_lines l = {0};

	for (int i = 0; i < 3; i++)
		(void)pa_lines_take(&l, 1, 1, at(5000));
	cr_expect_eq(pa_lines_held(&l, at(5000)), 2u);
	cr_expect_not(pa_lines_take(&l, 1, 1, at(5500)));
	cr_expect_eq(pa_lines_held(&l, at(5999)), 0u);
	cr_expect_eq(pa_lines_held(&l, at(6000)), 1u);
	cr_expect_eq(pa_lines_held(&l, at(7000)), 0u);
}

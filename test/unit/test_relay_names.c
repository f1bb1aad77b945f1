/* SPDX-License-Identifier: MPL-2.0 */
/* How many names each user of the host may ask for at the relay's server. */
#include <criterion/criterion.h>

#include "tunnel/relay_names.h"

TestSuite(relay_names, .timeout = 10);

static struct pa_now at(uint64_t boot_ms)
{
	return (struct pa_now){.boot_ms = boot_ms};
}

/* Begins as many as it may, up to most, with sessions from first on. */
static unsigned begin(struct pa_rnames *n, uid_t uid, uint64_t boot_ms, unsigned most, uint32_t first)
{
	unsigned i = 0;

	for (; i < most && pa_rnames_may(n, uid, at(boot_ms)); i++)
		pa_rnames_begun(n, uid, first + 2 * i);
	return i;
}

/* How many a user gets whom the server answers at once. */
static unsigned answered(struct pa_rnames *n, uid_t uid, uint64_t boot_ms, unsigned most)
{
	unsigned i = 0;

	for (; i < most && pa_rnames_may(n, uid, at(boot_ms)); i++) {
		pa_rnames_begun(n, uid, 1);
		pa_rnames_done(n, 1);
	}
	return i;
}

Test(relay_names, one_user_leaves_some_under_way_to_others)
{
	struct pa_rnames n = {0};

	cr_expect_eq(begin(&n, 1000, 5000, 100, 1), PA_RNAMES_OF_UID);
	cr_expect_lt(PA_RNAMES_OF_UID, PA_RELAY_NAMES_MAX);
	cr_expect_eq(begin(&n, 1001, 5000, 100, 101), PA_RELAY_NAMES_MAX - PA_RNAMES_OF_UID);
	pa_rnames_done(&n, 1);
	cr_expect_not(pa_rnames_is_under_way(&n, 1));
	cr_expect(pa_rnames_is_under_way(&n, 3));
	cr_expect_eq(begin(&n, 1000, 5000, 100, 1), 1u, "one is answered, one more");
	pa_rnames_done(&n, 999);
	cr_expect_eq(begin(&n, 1001, 5000, 100, 201), 0u, "there is no room for anybody");
	cr_expect_eq(begin(&n, 0, 5000, 100, 201), 0u, "nor for root");
}

Test(relay_names, one_user_leaves_a_rate_to_others)
{
	struct pa_rnames n = {0};
	unsigned first = answered(&n, 1000, 5000, 1000), later = 0, other = 0;

	cr_expect_eq(first, PA_RNAMES_OF_UID_BURST);
	for (uint64_t ms = 5000; ms < 65000; ms += 10) {
		later += answered(&n, 1000, ms, 1000);
		other += answered(&n, 1001, ms, ms % 1000 == 0);
	}
	cr_expect_leq(later, 60 * PA_RNAMES_OF_UID_PER_S + 1);
	cr_expect_geq(later, 60 * PA_RNAMES_OF_UID_PER_S - 1);
	cr_expect_eq(other, 60u, "another one has each of his");
}

Test(relay_names, root_may_have_all)
{
	struct pa_rnames n = {0};

	cr_expect_eq(answered(&n, 0, 5000, 1000), 1000u);
	cr_expect_eq(begin(&n, 0, 5000, 100, 1), PA_RELAY_NAMES_MAX);
}

Test(relay_names, a_place_is_free_again_when_its_user_has_waited)
{
	struct pa_rnames n = {0};

	for (uid_t uid = 1; uid <= PA_RNAMES_USERS; uid++)
		cr_expect_eq(answered(&n, uid, 5000, 1), 1u);
	cr_expect_eq(answered(&n, 5000, 5000, 1), 0u, "too many users at once");
	cr_expect_eq(answered(&n, 7, 5000, 1), 1u, "but for one of them");
	cr_expect_eq(answered(&n, 5000, 5000 + 1000 / PA_RNAMES_OF_UID_PER_S + 1, 1), 1u);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* What each user of the host holds of the relay's. */
#include <criterion/criterion.h>

#include "tunnel/relay_shares.h"

TestSuite(relay_shares, .timeout = 10);

Test(relay_shares, each_user_has_his_own)
{
	struct pa_rshares s = {0};

	for (int i = 0; i < 3; i++)
		cr_assert(pa_rshares_take(&s, 1000, PA_RSHARE_SESSIONS, 3));
	cr_assert_not(pa_rshares_take(&s, 1000, PA_RSHARE_SESSIONS, 3));
	cr_assert(pa_rshares_take(&s, 1000, PA_RSHARE_CALLS, 3), "another kind");
	cr_assert(pa_rshares_take(&s, 1001, PA_RSHARE_SESSIONS, 3), "another user");
	pa_rshares_put(&s, 1000, PA_RSHARE_SESSIONS);
	cr_assert(pa_rshares_take(&s, 1000, PA_RSHARE_SESSIONS, 3));
	cr_assert_not(pa_rshares_take(&s, 1000, PA_RSHARE_SESSIONS, 3));
}

Test(relay_shares, root_may_have_any_number)
{
	struct pa_rshares s = {0};

	for (int i = 0; i < 100; i++)
		cr_assert(pa_rshares_take(&s, 0, PA_RSHARE_REQUESTS, 1));
	for (int i = 0; i < 100; i++)
		pa_rshares_put(&s, 0, PA_RSHARE_REQUESTS);
}

Test(relay_shares, a_place_is_free_again_when_its_user_has_nothing)
{
	struct pa_rshares s = {0};

	for (uid_t uid = 1; uid <= PA_RSHARES_USERS; uid++)
		cr_assert(pa_rshares_take(&s, uid, PA_RSHARE_REQUESTS, 1));
	cr_assert_not(pa_rshares_take(&s, 5000, PA_RSHARE_REQUESTS, 1));
	cr_assert(pa_rshares_take(&s, 7, PA_RSHARE_SESSIONS, 1), "who has something already");
	pa_rshares_put(&s, 7, PA_RSHARE_REQUESTS);
	cr_assert_not(pa_rshares_take(&s, 5000, PA_RSHARE_REQUESTS, 1));
	pa_rshares_put(&s, 7, PA_RSHARE_SESSIONS);
	cr_assert(pa_rshares_take(&s, 5000, PA_RSHARE_REQUESTS, 1));
}

/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client-hook/decide.h"
#include "common/err.h"
#include "common/grant.h"

static size_t make_grant(uint8_t buf[PA_GRANT_MAX], uint32_t lifetime)
{
	struct pa_grant g;
	int n;

	memset(&g, 0, sizeof(g));
	g.claims.key_id = 1;
	g.claims.pool_id = 1;
	g.claims.prefix_len = 32;
	g.claims.addr = pa_addr_from_ipv4(0xcb007107);
	g.claims.epoch = 7;
	g.claims.expires = 1000;
	g.lifetime = lifetime;
	g.gateways[0].addr = pa_addr_from_ipv4(0xc633640a);
	g.gateways[0].port = PA_GUE_PORT;
	g.n_gateways = 1;
	n = pa_grant_encode(&g, buf, PA_GRANT_MAX);
	cr_assert_gt(n, 0);
	return (size_t)n;
}

static struct pa_dhcp_env event(const char *reason)
{
	struct pa_dhcp_env env;

	memset(&env, 0, sizeof(env));
	(void)snprintf(env.reason, sizeof(env.reason), "%s", reason);
	(void)snprintf(env.interface, sizeof(env.interface), "eth0");
	return env;
}

static void expect(const char *reason, bool with_grant, enum pa_dhcp_action action)
{
	struct pa_dhcp_env env = event(reason);
	int why = 0;

	if (with_grant)
		env.grant_len = make_grant(env.grant, 3600);
	cr_assert_eq(pa_dhcp_decide(&env, &why), action, "%s, %s option", reason, with_grant ? "with" : "without");
	cr_assert_eq(why, 0);
}

Test(decide, a_lease_with_the_option_puts)
{
	expect("BOUND", true, PA_DHCP_PUT);
	expect("RENEW", true, PA_DHCP_PUT);
	expect("REBIND", true, PA_DHCP_PUT);
	expect("REBOOT", true, PA_DHCP_PUT);
	expect("bound", true, PA_DHCP_PUT);
	expect("renew", true, PA_DHCP_PUT);
}

Test(decide, an_absent_option_means_nothing)
{
	expect("BOUND", false, PA_DHCP_NOTHING);
	expect("RENEW", false, PA_DHCP_NOTHING);
	expect("REBIND", false, PA_DHCP_NOTHING);
	expect("REBOOT", false, PA_DHCP_NOTHING);
	expect("renew", false, PA_DHCP_NOTHING);
}

Test(decide, a_lease_that_goes_ends)
{
	expect("EXPIRE", false, PA_DHCP_END);
	expect("RELEASE", false, PA_DHCP_END);
	expect("STOP", false, PA_DHCP_END);
	expect("NAK", false, PA_DHCP_END);
	expect("deconfig", false, PA_DHCP_END);
	/* Whatever else stands in the environment. */
	expect("RELEASE", true, PA_DHCP_END);
}

Test(decide, what_says_nothing_about_the_grant_changes_nothing)
{
	static const char *const reasons[] = {"PREINIT", "FAIL", "TIMEOUT", "MEDIUM", "ARPSEND", "NBI", "BOUND6", "RELEASE6",
					      "leasefail", "CARRIER", "NOCARRIER", "bound6", "", "Bound"};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		expect(reasons[i], false, PA_DHCP_NOTHING);
		/* TIMEOUT carries the option of a lease out of dhclient's file. */
		expect(reasons[i], true, PA_DHCP_NOTHING);
	}
}

Test(decide, a_withdrawn_grant_is_handed_on)
{
	struct pa_dhcp_env env = event("RENEW");
	int why = 0;

	env.grant_len = make_grant(env.grant, 0);
	cr_assert_eq(pa_dhcp_decide(&env, &why), PA_DHCP_PUT);
}

Test(decide, what_is_no_grant_is_refused)
{
	struct pa_dhcp_env env = event("BOUND");
	int why = 0;

	env.grant_error = PA_ETRUNC;
	cr_assert_eq(pa_dhcp_decide(&env, &why), PA_DHCP_REFUSE);
	cr_assert_eq(why, PA_ETRUNC);
	env.grant_error = 0;
	env.grant_len = make_grant(env.grant, 3600) - 1;
	cr_assert_eq(pa_dhcp_decide(&env, &why), PA_DHCP_REFUSE);
	cr_assert_eq(why, PA_ETRUNC);
	env.grant[0] = 2;
	cr_assert_eq(pa_dhcp_decide(&env, &why), PA_DHCP_REFUSE);
	cr_assert_eq(why, PA_EVERSION);
}

Test(decide, a_bad_option_does_not_stop_an_end)
{
	struct pa_dhcp_env env = event("EXPIRE");
	int why = 0;

	env.grant_error = PA_EFORMAT;
	cr_assert_eq(pa_dhcp_decide(&env, &why), PA_DHCP_END);
	cr_assert_eq(why, 0);
}

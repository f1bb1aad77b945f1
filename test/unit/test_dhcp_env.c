/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client-hook/env.h"
#include "common/err.h"

static const struct pa_dhcp_source defaults = {NULL, NULL, NULL};

static void expect_bytes(const char *value, const char *bytes, size_t n)
{
	uint8_t buf[PA_GRANT_MAX];
	int rc = pa_dhcp_value_decode(value, buf, sizeof(buf));

	cr_assert_eq(rc, (int)n, "\"%s\" gives %d", value, rc);
	cr_assert_eq(memcmp(buf, bytes, n), 0, "\"%s\"", value);
}

static void expect_error(const char *value, size_t cap, int error)
{
	uint8_t buf[PA_GRANT_MAX];
	int rc = pa_dhcp_value_decode(value, buf, cap);

	cr_assert_eq(rc, error, "\"%s\" gives %d", value, rc);
}

Test(value, unpadded_hex_with_colons)
{
	expect_bytes("1:0:ff", "\x01\x00\xff", 3);
	expect_bytes("1:00:A:bC", "\x01\x00\x0a\xbc", 4);
	expect_bytes("7", "\x07", 1);
}

Test(value, contiguous_hex)
{
	expect_bytes("0100ff", "\x01\x00\xff", 3);
	expect_bytes("01", "\x01", 1);
}

Test(value, text_with_escapes)
{
	expect_bytes("hello", "hello", 5);
	expect_bytes("a\\\"b\\\\c\\$", "a\"b\\c$", 6);
	expect_bytes("x\\001\\377y", "x\x01\xffy", 4);
	/* Neither form of hex, so it is text. */
	expect_bytes("1:0:", "1:0:", 4);
	expect_bytes("123", "123", 3);
	expect_bytes("1::2", "1::2", 4);
	expect_bytes("100:1", "100:1", 5);
}

Test(value, refused)
{
	expect_error("", 4, PA_ETRUNC);
	expect_error("1:2:3:4:5", 4, PA_ETRUNC);
	expect_error("0102030405", 4, PA_ETRUNC);
	expect_error("hello", 4, PA_ETRUNC);
	expect_error("x\\", 4, PA_EFORMAT);
	expect_error("x\\400", 4, PA_EFORMAT);
	expect_error("x\\389", 4, PA_EFORMAT);
}

Test(env, dhclient_bound)
{
	char *envp[] = {"PATH=/bin", "reason=BOUND", "interface=eth0", "new_ip_address=10.1.0.5",
			"new_dhcp_lease_time=3600", "new_dhcp_server_identifier=10.1.0.1", "new_routers=10.1.0.1 10.1.0.2",
			"new_domain_name_servers=10.1.0.3", "new_pubaddr_grant=1:0:ff", "old_pubaddr_grant=1:2", NULL};
	struct pa_dhcp_env env;
	char err[PA_DHCP_ERRLEN], text[PA_ADDR_STRLEN];

	cr_assert_eq(pa_dhcp_env_parse(envp, &defaults, &env, err), 0);
	cr_assert_str_eq(env.reason, "BOUND");
	cr_assert_str_eq(env.interface, "eth0");
	cr_assert_eq(env.grant_len, 3);
	cr_assert_eq(memcmp(env.grant, "\x01\x00\xff", 3), 0);
	cr_assert_eq(env.grant_error, 0);
	cr_assert_eq(env.lease_time, 3600);
	cr_assert_str_eq(pa_addr_format(&env.address, text), "10.1.0.5");
	cr_assert_str_eq(pa_addr_format(&env.server, text), "10.1.0.1");
	cr_assert_eq(env.n_routers, 2);
	cr_assert_str_eq(pa_addr_format(&env.routers[1], text), "10.1.0.2");
	cr_assert_eq(env.n_resolvers, 1);
	cr_assert_str_eq(pa_addr_format(&env.resolvers[0], text), "10.1.0.3");
	cr_assert_eq(env.n_skipped, 0);
}

Test(env, old_value_is_no_grant)
{
	char *envp[] = {"reason=RENEW", "interface=eth0", "new_ip_address=10.1.0.5", "old_pubaddr_grant=1:2", NULL};
	struct pa_dhcp_env env;
	char err[PA_DHCP_ERRLEN];

	cr_assert_eq(pa_dhcp_env_parse(envp, &defaults, &env, err), 0);
	cr_assert_eq(env.grant_len, 0);
	cr_assert_eq(env.grant_error, 0);
}

Test(env, udhcpc_names)
{
	char *envp[] = {"interface=eth0", "ip=10.1.0.5", "lease=600", "serverid=10.1.0.1", "router=10.1.0.1",
			"dns=10.1.0.3 10.1.0.4", "opt224=0100ff", NULL};
	struct pa_dhcp_source src = {NULL, "bound", NULL};
	struct pa_dhcp_env env;
	char err[PA_DHCP_ERRLEN], text[PA_ADDR_STRLEN];

	cr_assert_eq(pa_dhcp_env_parse(envp, &src, &env, err), 0);
	cr_assert_str_eq(env.reason, "bound");
	cr_assert_eq(env.grant_len, 3);
	cr_assert_eq(env.lease_time, 600);
	cr_assert_str_eq(pa_addr_format(&env.server, text), "10.1.0.1");
	cr_assert_eq(env.n_routers, 1);
	cr_assert_eq(env.n_resolvers, 2);
}

Test(env, option_can_be_named)
{
	char *envp[] = {"reason=BOUND", "interface=eth0", "new_my_grant=aa", "opt250=bbbb", "new_pubaddr_grant=cccccc", NULL};
	struct pa_dhcp_source src = {"my-grant", NULL, NULL};
	struct pa_dhcp_env env;
	char err[PA_DHCP_ERRLEN];

	cr_assert_eq(pa_dhcp_env_parse(envp, &src, &env, err), 0);
	cr_assert_eq(env.grant_len, 1);
	src.option = "250";
	cr_assert_eq(pa_dhcp_env_parse(envp, &src, &env, err), 0);
	cr_assert_eq(env.grant_len, 2);
	src.option = "absent";
	cr_assert_eq(pa_dhcp_env_parse(envp, &src, &env, err), 0);
	cr_assert_eq(env.grant_len, 0);
}

Test(env, overrides)
{
	char *envp[] = {"reason=BOUND", "interface=eth0", NULL};
	struct pa_dhcp_source src = {NULL, "STOP", "eth1"};
	struct pa_dhcp_env env;
	char err[PA_DHCP_ERRLEN];

	cr_assert_eq(pa_dhcp_env_parse(envp, &src, &env, err), 0);
	cr_assert_str_eq(env.reason, "STOP");
	cr_assert_str_eq(env.interface, "eth1");
}

Test(env, bad_values_of_the_server_are_skipped)
{
	char *envp[] = {"reason=BOUND", "interface=eth0", "new_ip_address=10.1.0.500", "new_dhcp_lease_time=-1",
			"new_routers=10.1.0.1 x 10.1.0.2/24 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8",
			"new_domain_name_servers=  ", NULL};
	struct pa_dhcp_env env;
	char err[PA_DHCP_ERRLEN];

	cr_assert_eq(pa_dhcp_env_parse(envp, &defaults, &env, err), 0);
	cr_assert(pa_addr_is_none(&env.address));
	cr_assert_eq(env.lease_time, 0);
	cr_assert_eq(env.n_routers, PA_DHCP_LIST_MAX);
	cr_assert_eq(env.n_resolvers, 0);
	/* address, lease time, two that are none, one that is too many */
	cr_assert_eq(env.n_skipped, 5);
}

Test(env, lease_time_limits)
{
	static const struct {
		char *text;
		uint32_t seconds;
	} cases[] = {
		{"new_dhcp_lease_time=4294967295", 4294967295u}, {"new_dhcp_lease_time=4294967296", 0},
		{"new_dhcp_lease_time=", 0},			 {"new_dhcp_lease_time=12x", 0},
		{"new_dhcp_lease_time=99999999999999999999", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *envp[] = {"reason=BOUND", "interface=eth0", "new_ip_address=10.1.0.5", cases[i].text, NULL};
		struct pa_dhcp_env env;
		char err[PA_DHCP_ERRLEN];

		cr_assert_eq(pa_dhcp_env_parse(envp, &defaults, &env, err), 0);
		cr_assert_eq(env.lease_time, cases[i].seconds, "%s", cases[i].text);
	}
}

Test(env, bad_option_is_noted)
{
	char value[3 * (PA_GRANT_MAX + 1) + 32] = "new_pubaddr_grant=1";
	char *envp[] = {"reason=BOUND", "interface=eth0", value, NULL};
	struct pa_dhcp_env env;
	char err[PA_DHCP_ERRLEN];

	for (int i = 1; i < PA_GRANT_MAX; i++)
		strncat(value, ":ff", sizeof(value) - strlen(value) - 1);
	cr_assert_eq(pa_dhcp_env_parse(envp, &defaults, &env, err), 0);
	cr_assert_eq(env.grant_len, PA_GRANT_MAX);
	strncat(value, ":ff", sizeof(value) - strlen(value) - 1);
	cr_assert_eq(pa_dhcp_env_parse(envp, &defaults, &env, err), 0);
	cr_assert_eq(env.grant_len, 0);
	cr_assert_eq(env.grant_error, PA_ETRUNC);
}

Test(env, interface_names)
{
	static const char *const bad[] = {"", ".", "..", "../../etc/x", "a/b", "a b", "eth0:1", "a\tb", "abcdefghijklmnop"};
	static const char *const good[] = {"eth0", "wlp3s0", "br-lan", "vlan.10", "abcdefghijklmno"};
	char *envp[] = {"reason=BOUND", NULL};
	struct pa_dhcp_env env;
	char err[PA_DHCP_ERRLEN];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pa_dhcp_source src = {NULL, NULL, bad[i]};

		cr_assert_eq(pa_dhcp_env_parse(envp, &src, &env, err), PA_EINVAL, "\"%s\"", bad[i]);
		cr_assert(strstr(err, "no interface name") != NULL, "%s", err);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct pa_dhcp_source src = {NULL, NULL, good[i]};

		cr_assert_eq(pa_dhcp_env_parse(envp, &src, &env, err), 0, "\"%s\"", good[i]);
		cr_assert_str_eq(env.interface, good[i]);
	}
}

Test(env, missing_variables_leave_the_result_untouched)
{
	char *no_reason[] = {"interface=eth0", NULL}, *no_interface[] = {"reason=BOUND", NULL};
	struct pa_dhcp_env env, before;
	char err[PA_DHCP_ERRLEN];

	memset(&env, 0x5a, sizeof(env));
	before = env;
	cr_assert_eq(pa_dhcp_env_parse(no_reason, &defaults, &env, err), PA_EINVAL);
	cr_assert(strstr(err, "$reason") != NULL, "%s", err);
	cr_assert_eq(pa_dhcp_env_parse(no_interface, &defaults, &env, err), PA_EINVAL);
	cr_assert(strstr(err, "$interface") != NULL, "%s", err);
	cr_assert_eq(memcmp(&env, &before, sizeof(env)), 0);
}

Test(env, whether_it_was_asked_for)
{
	char *const asked[] = {"reason=BOUND", "interface=eth0", "requested_routers=1", "requested_pubaddr_grant=1", NULL};
	char *const not_asked[] = {"reason=BOUND", "interface=eth0", "requested_routers=1", NULL};
	char *const unknown[] = {"reason=BOUND", "interface=eth0", NULL};
	struct pa_dhcp_source other = {"other-grant", NULL, NULL};
	char err[PA_DHCP_ERRLEN];
	struct pa_dhcp_env env;

	cr_assert_eq(pa_dhcp_env_parse(asked, &defaults, &env, err), 0);
	cr_assert(env.asked_known && env.asked);
	cr_assert_eq(pa_dhcp_env_parse(asked, &other, &env, err), 0);
	cr_assert(env.asked_known && !env.asked, "another name than the one that was asked for");
	cr_assert_eq(pa_dhcp_env_parse(not_asked, &defaults, &env, err), 0);
	cr_assert(env.asked_known && !env.asked);
	cr_assert_eq(pa_dhcp_env_parse(unknown, &defaults, &env, err), 0);
	cr_assert_not(env.asked_known);
}

Test(env, wipe)
{
	char *envp[] = {"reason=BOUND", "interface=eth0", "new_pubaddr_grant=aabbcc", NULL};
	struct pa_dhcp_env env, zero;
	char err[PA_DHCP_ERRLEN];

	memset(&zero, 0, sizeof(zero));
	cr_assert_eq(pa_dhcp_env_parse(envp, &defaults, &env, err), 0);
	pa_dhcp_env_wipe(&env);
	cr_assert_eq(memcmp(&env, &zero, sizeof(env)), 0);
}

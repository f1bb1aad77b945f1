/* SPDX-License-Identifier: MPL-2.0 */
/* The readers of gatewayd.conf and tunneld.conf, and what the client keeps on disk. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/grant.h"
#include "common/log.h"
#include "tunnel/gatewayd_conf.h"
#include "tunnel/plan.h"
#include "tunnel/tunneld_conf.h"
#include "tunnel/tunneld_state.h"

TestSuite(gatewayd_conf, .timeout = 20);
TestSuite(tunneld_conf, .timeout = 20);
TestSuite(tunneld_state, .timeout = 20);

#define LISTEN "\"listen\": [\"198.51.100.10:6080\"]"
#define POOLS "\"pools\": [{\"id\": 1, \"prefix\": \"203.0.113.0/24\"}]"

Test(gatewayd_conf, defaults)
{
	struct pa_conf *conf = pa_conf_new("f", "{" LISTEN ", " POOLS "}", strlen("{" LISTEN ", " POOLS "}"));
	struct pa_gatewayd_conf c;

	cr_assert_eq(pa_gatewayd_conf_read(conf, &c), 0, "%s", pa_conf_error(conf));
	cr_assert_eq(c.n_listen, 1);
	cr_assert_eq(c.listen[0].port, 6080);
	cr_assert_str_eq(c.device, "pubgw0");
	cr_assert(pa_addr_is_none(&c.device_address));
	cr_assert_str_eq(c.key_file, "/etc/pubaddr/gateway.key");
	cr_assert_str_eq(c.control_socket, "/run/pubaddr/gateway.sock");
	cr_assert(c.n_pools == 1 && c.pools[0].id == 1 && c.pools[0].prefix.len == 24);
	cr_assert(c.n_deny == 0 && c.n_allow == 0 && !c.isolate);
	cr_assert(c.n_deny_ports == 1 && c.deny_ports[0] == 25);
	cr_assert(c.mtu == 1472 && c.keepalive == 25 && c.max_bindings == 65536 && c.log_level == PA_LOG_INFO);
	pa_gatewayd_conf_clear(&c);
	pa_conf_free(conf);
}

Test(gatewayd_conf, all_settings)
{
	static const char text[] =
		"{\n" LISTEN ", \"device\": \"tun7\", \"device-address\": \"198.51.100.10\", // comment\n"
		"\"key-file\": \"/k\", \"control-socket\": \"/s\", \"isolate\": true, \"mtu\": 1400, \"keepalive\": 15,\n"
		"\"pools\": [{\"id\": 1, \"prefix\": \"203.0.113.0/25\"}, {\"id\": 65535, \"prefix\": \"203.0.113.128/25\"}],\n"
		"\"deny\": [\"192.0.2.0/24\"], \"allow\": [\"198.51.100.0/24\", \"10.0.0.0/8\"], \"deny-ports\": [],\n"
		"\"limits\": {\"handshakes-per-source\": 7, \"packets-per-binding\": 8, \"bytes-per-binding\": 9000000000},\n"
		"\"max-bindings\": 5, \"log-level\": \"debug\"}";
	struct pa_conf *conf = pa_conf_new("f", text, sizeof(text) - 1);
	struct pa_gatewayd_conf c;

	cr_assert_eq(pa_gatewayd_conf_read(conf, &c), 0, "%s", pa_conf_error(conf));
	cr_assert_str_eq(c.device, "tun7");
	cr_assert_eq(pa_addr_to_ipv4(&c.device_address), 0xc633640au);
	cr_assert(c.n_pools == 2 && c.pools[1].id == 65535);
	cr_assert(c.n_deny == 1 && c.n_allow == 2 && c.allow[1].len == 8 && c.n_deny_ports == 0);
	cr_assert(c.limits.handshakes == 7 && c.limits.packets == 8 && c.limits.bytes == 9000000000u);
	cr_assert(c.isolate && c.mtu == 1400 && c.keepalive == 15 && c.max_bindings == 5 && c.log_level == PA_LOG_DEBUG);
	pa_gatewayd_conf_clear(&c);
	pa_conf_free(conf);
}

/* Every mistake is named with its line and place. */
static void expect_error(int gateway, const char *text, const char *needle)
{
	struct pa_conf *conf = pa_conf_new("f.conf", text, strlen(text));
	struct pa_gatewayd_conf g;
	struct pa_tunneld_conf t;

	memset(&g, 0x55, sizeof(g));
	memset(&t, 0x55, sizeof(t));
	cr_assert_eq(gateway ? pa_gatewayd_conf_read(conf, &g) : pa_tunneld_conf_read(conf, &t), PA_EFORMAT, "%s", text);
	cr_assert(strncmp(pa_conf_error(conf), "f.conf:", 7) == 0, "%s", pa_conf_error(conf));
	cr_assert(strstr(pa_conf_error(conf), needle) != NULL, "%s: %s", text, pa_conf_error(conf));
	cr_assert_eq(((const uint8_t *)&g)[0], 0x55, "*ret is untouched");
	pa_conf_free(conf);
}

Test(gatewayd_conf, mistakes)
{
	expect_error(1, "{" POOLS "}", "listen: is missing");
	expect_error(1, "{" POOLS ", \"listen\": []}", "listen: is empty");
	expect_error(1, "{" POOLS ", \"listen\": [\"host:1\"]}", "host:1");
	expect_error(1, "{" POOLS "," LISTEN ", \"probe-listen\": [\"198.51.100.10\"]}", "with a port");
	expect_error(1, "{" POOLS "," LISTEN ", \"probe-listen\": [\"0.0.0.0:6081\"]}", "0.0.0.0:6081");
	expect_error(1, "{" POOLS "," LISTEN ", \"probe-listen\": [\"198.51.100.10:6080\"]}", "stands in listen too");
	expect_error(1, "{" LISTEN "}", "pools: is missing");
	expect_error(1, "{" LISTEN ", \"pools\": []}", "pools: is empty");
	expect_error(1, "{" LISTEN ", \"pools\": [{\"id\": 1, \"prefix\": \"203.0.113.1/24\"}]}", "pools[0].prefix");
	expect_error(1, "{" LISTEN ", \"pools\": [{\"id\": 70000, \"prefix\": \"203.0.113.0/24\"}]}", "pools[0].id");
	expect_error(1, "{" LISTEN ", \"pools\": [{\"id\": 0, \"prefix\": \"203.0.113.0/24\"}]}", "from 1 to 65535");
	expect_error(1, "{" LISTEN ", \"pools\": [{\"id\": 1, \"prefix\": \"2001:db8::/64\"}]}", "pools[0].prefix");
	expect_error(1, "{" LISTEN ", \"pools\": [{\"id\": 1, \"prefix\": \"203.0.113.0/24\"}, {\"id\": 1, \"prefix\": "
			"\"192.0.2.0/24\"}]}", "pools[1].id");
	expect_error(1, "{" LISTEN ", \"pools\": [{\"id\": 1, \"prefix\": \"203.0.113.0/24\"}, {\"id\": 2, \"prefix\": "
			"\"203.0.113.128/25\"}]}", "overlaps");
	expect_error(1, "{" LISTEN ", " POOLS ",\n\"colour\": 1}", "f.conf:2: colour: unknown setting");
	expect_error(1, "{" LISTEN ", " POOLS ", \"mtu\": 1279}", "mtu");
	expect_error(1, "{" LISTEN ", " POOLS ", \"mtu\": 9217}", "mtu");
	expect_error(1, "{" LISTEN ", " POOLS ", \"keepalive\": 14}", "keepalive");
	expect_error(1, "{" LISTEN ", " POOLS ", \"limits\": {\"packets-per-binding\": -1}}", "limits.packets-per-binding");
	expect_error(1, "{" LISTEN ", " POOLS ", \"limits\": {\"colour\": 1}}", "limits.colour");
	expect_error(1, "{" LISTEN ", " POOLS ", \"device\": \"a-name-that-is-too-long\"}", "device");
	expect_error(1, "{" LISTEN ", " POOLS ", \"device-address\": \"2001:db8::1\"}", "device-address");
	expect_error(1, "{" LISTEN ", " POOLS ", \"key-file\": \"relative\"}", "absolute path");
	expect_error(1, "{" LISTEN ", " POOLS ", \"deny\": [\"10.0.0.1/8\"]}", "10.0.0.1/8");
	expect_error(1, "{" LISTEN ", " POOLS ", \"deny-ports\": [0]}", "deny-ports");
	expect_error(1, "{" LISTEN ", " POOLS ", \"log-level\": \"loud\"}", "loud");
}

Test(tunneld_conf, relay)
{
	static const char text[] = "{\"exec\": {\"users\": [\"a\"]},\n"
				   "\"relay\": {\"address\": \"198.51.100.10\", \"name\": \"relay.example.net\", \"ca\": \"system\"}}";
	static const char own[] = "{\"exec\": {\"users\": [\"a\"]}, \"relay-users\": {\"groups\": [\"b\"]}}";
	struct pa_conf *conf = pa_conf_new("f", text, sizeof(text) - 1);
	struct pa_tunneld_conf c;

	cr_assert_eq(pa_tunneld_conf_read(conf, &c), 0, "%s", pa_conf_error(conf));
	cr_assert_eq(c.relay.server.port, 443);
	cr_assert_str_eq(c.relay.name, "relay.example.net");
	cr_assert_str_eq(c.relay.ca, "system");
	cr_assert(c.relay.users.n_users == 1 && strcmp(c.relay.users.users[0], "a") == 0, "those of exec");
	pa_tunneld_conf_clear(&c);
	pa_conf_free(conf);
	conf = pa_conf_new("f", own, sizeof(own) - 1);
	cr_assert_eq(pa_tunneld_conf_read(conf, &c), 0, "%s", pa_conf_error(conf));
	cr_assert(c.relay.users.n_users == 0 && c.relay.users.n_groups == 1);
	pa_tunneld_conf_clear(&c);
	pa_conf_free(conf);
	expect_error(0, "{\"relay\": {\"address\": \"relay.example.net:443\"}}", "relay.address");
	expect_error(0, "{\"relay\": {\"name\": \"x\"}}", "relay.name");
	expect_error(0, "{\"relay\": {\"ca\": \"system\"}}", "relay.ca");
	expect_error(0, "{\"relay\": {\"colour\": 1}}", "relay.colour");
	expect_error(0, "{\"relay-users\": {\"users\": [\"\"]}}", "relay-users.users");
}

Test(tunneld_conf, defaults_and_settings)
{
	static const char text[] =
		"{\"device\": \"p1\", \"outbound\": \"native\", \"allow-documentation\": true, \"on-demand\": {\"linger\": 5}, \"networks\": [\"203.0.113.0/24\"],\n"
		"\"gateway-keys\": [\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"],\n"
		"\"table\": 300, \"rule-priority\": 100, \"mark\": 4294967292}";
	struct pa_conf *conf = pa_conf_new("f", "{}", 2);
	struct pa_tunneld_conf c;

	cr_assert_eq(pa_tunneld_conf_read(conf, &c), 0, "%s", pa_conf_error(conf));
	cr_assert_str_eq(c.device, "pub0");
	cr_assert(c.outbound == -1 && !c.allow_documentation && c.n_networks == 0 && c.n_gateway_keys == 0);
	cr_assert(c.table == 6080 && c.rule_priority == 5200 && c.mark == 6080 && !c.on_demand);
	cr_assert_str_eq(c.key_file, "/var/lib/pubaddr/client.key");
	cr_assert_str_eq(c.state_dir, "/var/lib/pubaddr");
	cr_assert_str_eq(c.run_dir, "/run/pubaddr");
	cr_assert(pa_addr_is_none(&c.relay.server.addr) && c.relay.name == NULL && c.relay.ca == NULL && c.relay.users.n_users == 0);
	pa_tunneld_conf_clear(&c);
	pa_conf_free(conf);
	conf = pa_conf_new("f", text, sizeof(text) - 1);
	cr_assert_eq(pa_tunneld_conf_read(conf, &c), 0, "%s", pa_conf_error(conf));
	cr_assert(c.outbound == PA_OUT_NATIVE && c.allow_documentation && c.n_networks == 1 && c.n_gateway_keys == 1);
	cr_assert_eq(c.gateway_keys[0][31], 0xff);
	cr_assert(c.on_demand && c.linger == 5 && c.option_code == PA_OPTION_CODE_DEFAULT);
	cr_assert(c.table == 300 && c.rule_priority == 100 && c.mark == UINT32_MAX - 3);
	pa_tunneld_conf_clear(&c);
	pa_conf_free(conf);
}

Test(tunneld_conf, mistakes)
{
	expect_error(0, "{\"outbound\": \"sideways\"}", "sideways");
	expect_error(0, "{\"networks\": [7]}", "networks[0]");
	expect_error(0, "{\"gateway-keys\": [\"00\"]}", "gateway-keys");
	expect_error(0, "{\"table\": 254}", "table");
	expect_error(0, "{\"rule-priority\": 32766}", "rule-priority");
	expect_error(0, "{\"mark\": 0}", "mark");
	expect_error(0, "{\"device\": \"\"}", "device");
	expect_error(0, "{\"device\": \"pub*\"}", "device");
	expect_error(0, "{\"device\": \"p\\\"; x\"}", "device");
	expect_error(0, "{\"on-demand\": {\"linger\": -1}}", "on-demand.linger");
	expect_error(0, "{\"on-demand\": {\"delay\": 1}}", "on-demand.delay");
	expect_error(0, "{\"run-dir\": \"run\"}", "run-dir");
	expect_error(0, "{\"keyfile\": \"/k\"}", "keyfile: unknown");
	expect_error(0, "[]", "object");
}

static char *scratch(char dir[64])
{
	(void)snprintf(dir, 64, "/tmp/patedge-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	return dir;
}

Test(tunneld_state, key_is_made_once)
{
	char dir[64], path[128], deep[96], err[PA_FILE_ERRLEN] = "";
	uint8_t a[PA_KEY_LEN], b[PA_KEY_LEN];
	struct stat st;

	cr_assert_eq(pa_cred_init(), 0);
	(void)snprintf(deep, sizeof(deep), "%s/lib", scratch(dir));
	(void)snprintf(path, sizeof(path), "%s/client.key", deep);
	cr_assert_eq(pa_client_key_load(path, a, err), 0, "%s", err);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(pa_client_key_load(path, b, err), 0, "%s", err);
	cr_assert_eq(memcmp(a, b, sizeof(a)), 0);
	cr_assert_eq(chmod(path, 0644), 0);
	cr_assert_eq(pa_client_key_load(path, b, err), PA_EAUTH);
	cr_assert(strstr(err, "chmod 600") != NULL, "%s", err);
	(void)unlink(path);
	(void)rmdir(deep);
	(void)rmdir(dir);
}

Test(tunneld_state, bind_numbers_rise_and_last)
{
	char dir[64], path[96], err[PA_FILE_ERRLEN] = "";
	uint64_t last = 1, again = 7;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/bind", scratch(dir));
	cr_assert_eq(pa_bind_load(path, &last, err), 0);
	cr_assert_eq(last, 0u);
	cr_assert_eq(pa_bind_next(path, 1000, &last, err), 0, "%s", err);
	cr_assert_eq(last, 1000u);
	cr_assert_eq(pa_bind_next(path, 1000, &last, err), 0);
	cr_assert_eq(last, 1001u, "above the last one, even in the same millisecond");
	cr_assert_eq(pa_bind_next(path, 5, &last, err), 0);
	cr_assert_eq(last, 1002u, "and when the clock was set back");
	cr_assert_eq(pa_bind_load(path, &again, err), 0);
	cr_assert_eq(again, 1002u, "on disk before it is used");
	f = fopen(path, "we");
	cr_assert_not_null(f);
	fputs("nonsense\n", f);
	(void)fclose(f);
	cr_assert_eq(pa_bind_load(path, &again, err), PA_EFORMAT);
	cr_assert_eq(again, 1002u);
	cr_assert_eq(chmod(path, 0666), 0);
	cr_assert_eq(pa_bind_load(path, &again, err), PA_EAUTH, "others could write it");
	cr_assert_eq(chmod(path, 0600), 0);
	if (geteuid() == 0) {
		cr_assert_eq(chown(path, 12345, 12345), 0);
		cr_assert_eq(pa_bind_load(path, &again, err), PA_EAUTH, "somebody else's");
	}
	(void)unlink(path);
	(void)rmdir(dir);
	last = 5;
	cr_assert_eq(pa_bind_next(path, 0, &last, err), PA_ENOTFOUND, "no folder");
	cr_assert_eq(last, 6u);
}

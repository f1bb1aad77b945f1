/* SPDX-License-Identifier: MPL-2.0 */
/* brokerd.conf: what is read, and that what is wrong is named with file, line and key. */
#include "test/unit/broker_fixture.h"

#include "common/err.h"
#include "common/grant.h"

#define POOL(rest) "{\"id\": 1, \"name\": \"one\", \"gateway-group\": \"main\", " rest "}"
#define POOL2(rest) "{\"id\": 2, \"name\": \"two\", \"gateway-group\": \"main\", " rest "}"
#define WITH_POOLS(pools) CONF_HEAD "\"pools\": [\n" pools "]}"

static void assert_refused(const char *text, const char *place, const char *why)
{
	struct pa_brokerconf *conf = NULL;
	char err[PA_CONF_ERRLEN] = "";

	cr_assert_lt(pa_brokerconf_parse("test.conf", text, strlen(text), &conf, err), 0, "accepted: %s", text);
	cr_assert_null(conf);
	cr_assert(strncmp(err, "test.conf:", 10) == 0, "no file and line: %s", err);
	cr_assert(strstr(err, place) != NULL, "expected '%s' in: %s", place, err);
	cr_assert(strstr(err, why) != NULL, "expected '%s' in: %s", why, err);
}

Test(conf, reads_everything)
{
	struct pa_brokerconf *c = conf_of(
		"{ // comment\n"
		"\"socket\": \"/run/x.sock\", \"socket-group\": \"adm\", \"socket-users\": [\"_kea\"],\n"
		"\"database\": \"/var/x.db\", \"master-key-file\": \"/etc/x.key\", \"quarantine\": 5, \"realms\": [\"a\", \"b\"],\n"
		"\"gateway-groups\": [{\"name\": \"g\", \"public-key\": \"" PUBLIC_KEY
		"\", \"gateways\": [\"198.51.100.1:7000\", \"[2001:db8::1]:6080\"], \"relay\": {\"address\": \"198.51.100.1\"}}],\n"
		"\"pools\": [{\"id\": 9, \"name\": \"p\", \"prefix\": \"203.0.113.0/28\", \"exclude\": [\"203.0.113.4/30\","
		"\"203.0.113.0/32\", \"203.0.113.5/32\"], \"gateway-group\": \"g\", \"realms\": [\"a\"], \"classes\": [\"c\"], \"outbound\": \"auto\","
		"\"inbound\": [\"5060/udp\", \"icmp\"]}],\n"
		"\"grant\": {\"mtu\": 1400, \"keepalive\": 30, \"outbound\": \"native\", \"inbound\": \"closed\"},\n"
		"\"log-level\": \"debug\"}");
	const struct pa_pool_conf *p = &c->pools[0];

	cr_assert_str_eq(c->socket, "/run/x.sock");
	cr_assert_str_eq(c->socket_group, "adm");
	cr_assert_eq(c->socket_users.n, 1u);
	cr_assert_eq(c->quarantine, 5u);
	cr_assert_eq(c->groups[0].n_gateways, 2u);
	cr_assert_eq(c->groups[0].gateways[0].port, 7000);
	cr_assert(pa_addr_eq(&c->groups[0].relay.addr, &c->groups[0].gateways[0].addr) && c->groups[0].relay.port == 443);
	cr_assert_eq(c->mtu, 1400);
	cr_assert_eq(c->keepalive, 30);
	cr_assert_eq(c->outbound, PA_OUT_NATIVE);
	cr_assert_eq(c->inbound.kind, PA_IN_CLOSED);
	cr_assert_eq(c->log_level, PA_LOG_DEBUG);
	cr_assert_eq(p->id, 9);
	cr_assert_eq(p->outbound, PA_OUT_AUTO);
	cr_assert(p->inbound.kind == PA_IN_LIST && p->inbound.n == 2);
	cr_assert_eq(p->n_exclude, 2u, "the nested one is dropped");
	cr_assert_eq(p->usable, 11u);
	cr_assert(pa_brokerconf_has_realm(c, "b"));
	cr_assert_not(pa_brokerconf_has_realm(c, "c"));
	pa_brokerconf_free(c);
}

Test(conf, defaults)
{
	struct pa_brokerconf *c = conf_pool("203.0.113.0/24");

	cr_assert_str_eq(c->socket, "/run/pubaddr/broker.sock");
	cr_assert_str_eq(c->database, "/var/lib/pubaddr/broker.db");
	cr_assert_str_eq(c->master_key_file, "/etc/pubaddr/master.key");
	cr_assert_eq(c->socket_users.n, 0u);
	cr_assert_eq(c->mtu, PA_MTU_DEFAULT);
	cr_assert_eq(c->keepalive, PA_KEEPALIVE_DEFAULT);
	cr_assert_eq(c->outbound, PA_OUT_TUNNEL);
	cr_assert_eq(c->inbound.kind, PA_IN_OPEN);
	cr_assert_eq(c->pools[0].outbound, PA_OUT_TUNNEL);
	cr_assert_eq(c->pools[0].usable, 256u, "network and broadcast addresses count");
	pa_brokerconf_free(c);
}

Test(conf, pools_must_differ)
{
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/25\"") ",\n"
		       "{\"id\": 1, \"name\": \"two\", \"gateway-group\": \"main\", \"prefix\": \"203.0.113.128/25\"}"),
		       "test.conf:5: pools[1].id", "id of pool \"one\"");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/25\"") ",\n"
		       "{\"id\": 2, \"name\": \"one\", \"gateway-group\": \"main\", \"prefix\": \"203.0.113.128/25\"}"),
		       "pools[1].name", "another pool");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/24\"") "," POOL2("\"prefix\": \"203.0.113.128/25\"")),
		       "pools[1].prefix", "overlaps 203.0.113.0/24");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.128/25\"") "," POOL2("\"prefix\": \"203.0.113.0/24\"")),
		       "pools[1].prefix", "overlaps");
}

Test(conf, prefixes_must_make_sense)
{
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"2001:db8::/64\"")), "test.conf:4: pools[0].prefix", "IPv4 addresses only");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"64.0.0.0/7\"")), "pools[0].prefix", "from /8 to /32");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.1/24\"")), "pools[0].prefix", "without host bits");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"127.0.0.0/8\"")), "pools[0].prefix", "loopback");
	assert_refused(WITH_POOLS(POOL("\"prefix\": 5")), "pools[0].prefix", "got an integer");
	assert_refused(WITH_POOLS(POOL("\"exclude\": []")), "pools[0].prefix", "is missing");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/24\", \"exclude\": [\"192.0.2.1/32\"]")),
		       "pools[0].exclude", "not inside");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/24\", \"exclude\": [\"203.0.112.0/23\"]")),
		       "pools[0].exclude", "not inside");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/31\", \"exclude\": [\"203.0.113.0/32\", \"203.0.113.1/32\"]")),
		       "pools[0].exclude", "every address");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"198.51.100.0/24\"")), "pools[0].prefix", "holds the gateway 198.51.100.10");
}

Test(conf, gateway_inside_a_pool_is_fine_when_excluded)
{
	pa_brokerconf_free(conf_of(WITH_POOLS(
		POOL("\"prefix\": \"198.51.100.0/24\", \"exclude\": [\"198.51.100.10/32\"]"))));
}

Test(conf, names_must_be_known)
{
	assert_refused(WITH_POOLS("{\"id\": 1, \"name\": \"one\", \"gateway-group\": \"other\", \"prefix\": \"203.0.113.0/24\"}"),
		       "pools[0].gateway-group", "\"other\"");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/24\", \"realms\": [\"elsewhere\"]")), "pools[0].realms",
		       "\"elsewhere\"");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/24\", \"clases\": []")), "pools[0].clases", "unknown setting");
	assert_refused("{\"realms\": [\"no blanks\"], \"gateway-groups\": [], \"pools\": []}", "realms", "expected a name");
	assert_refused("{\"realms\": [], \"gateway-groups\": [], \"pools\": []}", "realms", "at least one");
	assert_refused("{\"realms\": [\"a\"], \"relams\": []}", "relams", "unknown setting");
}

#define GROUPS(groups) "{\"realms\": [\"a\"], \"pools\": [], \"gateway-groups\": [" groups "]}"
#define GW(list) GROUPS("{\"name\": \"g\", \"public-key\": \"" PUBLIC_KEY "\", \"gateways\": [" list "]}")

Test(conf, gateway_groups)
{
	assert_refused(GROUPS(""), "gateway-groups", "at least one");
	assert_refused(GW(""), "gateways", "1 to 4");
	assert_refused(GW("\"192.0.2.1:1\", \"192.0.2.2:1\", \"192.0.2.3:1\", \"192.0.2.4:1\", \"192.0.2.5:1\""), "gateways",
		       "got 5");
	assert_refused(GW("\"192.0.2.1:1\", \"192.0.2.1:1\""), "gateways", "stands twice");
	assert_refused(GW("\"224.0.0.1:1\""), "gateways", "multicast");
	assert_refused(GW("\"gw.example.net:6080\""), "gateways", "expected addresses");
	assert_refused(GW("\"[2001:db8::1]:1\", \"[2001:db8::2]:1\", \"[2001:db8::3]:1\""), "gateways", "bytes");
	assert_refused(GROUPS("{\"name\": \"g\", \"public-key\": \"abcd\", \"gateways\": [\"192.0.2.1:1\"]}"), "public-key",
		       "64 hexadecimal digits");
	assert_refused(GROUPS("{\"name\": \"g\", \"public-key\": \"" PUBLIC_KEY "\", \"gateways\": [\"192.0.2.1:1\"]},"
			      "{\"name\": \"g\", \"public-key\": \"" PUBLIC_KEY "\", \"gateways\": [\"192.0.2.1:1\"]}"),
		       "gateway-groups[1].name", "another gateway group");
}

#define RELAY(gateways, relay)                                                                                         \
	GROUPS("{\"name\": \"g\", \"public-key\": \"" PUBLIC_KEY "\", \"gateways\": [" gateways "], \"relay\": " relay "}")

Test(conf, a_relay_must_make_sense)
{
	assert_refused(RELAY("\"192.0.2.1:1\"", "{\"address\": \"relay.example.net:443\"}"), "relay.address", "expected an address");
	assert_refused(RELAY("\"192.0.2.1:1\"", "{}"), "relay.address", "expected an address");
	assert_refused(RELAY("\"192.0.2.1:1\"", "{\"address\": \"0.0.0.0:443\"}"), "relay.address", "write the gateway's own");
	assert_refused(RELAY("\"192.0.2.1:1\"", "{\"addresses\": []}"), "relay.addresses", "unknown");
	assert_refused(RELAY("\"[2001:db8::1]:1\", \"[2001:db8::2]:1\"", "{\"address\": \"[2001:db8::1]:443\"}"), "gateways", "bytes");
}

static void assert_setting_refused(const char *setting, const char *place)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), CONF_HEAD "%s, \"pools\": [" POOL("\"prefix\": \"203.0.113.0/24\"") "]}", setting);
	assert_refused(text, place, "expected");
}

Test(conf, pools_say_what_comes_in)
{
	struct pa_brokerconf *c = conf_of(CONF_HEAD "\"grant\": {\"inbound\": [\"22/tcp\"]}, \"pools\": ["
					  POOL("\"prefix\": \"203.0.113.0/25\"") ","
					  POOL2("\"prefix\": \"203.0.113.128/25\", \"inbound\": \"open\"") "]}");

	cr_assert(pa_inpolicy_eq(&c->pools[0].inbound, &c->inbound), "left out: that of the grant");
	cr_assert_eq(c->pools[1].inbound.kind, PA_IN_OPEN);
	pa_brokerconf_free(c);
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/24\", \"inbound\": \"ajar\"")), "pools[0].inbound", "expected");
	assert_refused(WITH_POOLS(POOL("\"prefix\": \"203.0.113.0/24\", \"inbound\": [\"1/tcp\", \"2/tcp\", \"3/tcp\", \"4/tcp\", "
				       "\"5/tcp\", \"6/tcp\", \"7/tcp\", \"8/tcp\", \"9/tcp\", \"10/tcp\", \"11/tcp\", \"12/tcp\", "
				       "\"13/tcp\"]")), "pools[0].inbound", "at most 12");
}

Test(conf, ranges)
{
	assert_setting_refused("\"grant\": {\"mtu\": 1279}", "grant.mtu");
	assert_setting_refused("\"grant\": {\"mtu\": 65536}", "grant.mtu");
	assert_setting_refused("\"grant\": {\"keepalive\": 14}", "grant.keepalive");
	assert_setting_refused("\"grant\": {\"keepalive\": 121}", "grant.keepalive");
	assert_setting_refused("\"grant\": {\"outbound\": \"all\"}", "grant.outbound");
	assert_setting_refused("\"grant\": {\"inbound\": \"no\"}", "grant.inbound");
	assert_setting_refused("\"grant\": {\"inbound\": \"list\"}", "grant.inbound");
	assert_setting_refused("\"grant\": {\"inbound\": [\"80\"]}", "grant.inbound");
	assert_setting_refused("\"grant\": {\"inbound\": [\"1/tcp\", \"2/tcp\", \"3/tcp\", \"4/tcp\", \"5/tcp\", "
			       "\"6/tcp\", \"7/tcp\", \"8/tcp\", \"9/tcp\", \"10/tcp\", \"11/tcp\", \"12/tcp\", \"13/tcp\"]}", "grant.inbound");
	assert_setting_refused("\"log-level\": \"loud\"", "log-level");
	assert_setting_refused("\"reclaim-unbound\": 9", "reclaim-unbound");
	assert_setting_refused("\"reclaim-unbound\": 86401", "reclaim-unbound");
	assert_setting_refused("\"subnet-limit\": -1", "subnet-limit");
	assert_setting_refused("\"subnet-limit\": 1.5", "subnet-limit");
	assert_setting_refused("\"socket\": \"relative.sock\"", "socket");
	assert_setting_refused("\"database\": \"\"", "database");
	assert_refused("{\"realms\": [\"a\"], \"quarantine\": -1}", "quarantine", "from 0 to 86400");
	assert_refused("{\"realms\": [\"a\"], \"quarantine\": 86401}", "quarantine", "from 0 to 86400");
}

Test(conf, pools_serve_by_realm_and_class)
{
	struct pa_brokerconf *c = conf_of(WITH_POOLS(
		POOL("\"prefix\": \"203.0.113.0/25\", \"realms\": [\"campus\"]") ","
		POOL2("\"prefix\": \"203.0.113.128/25\", \"classes\": [\"voice\", \"vip\"]")));
	static const char *const classes[] = {"ALL", "vip"};

	cr_assert(pa_pool_serves(&c->pools[0], "campus", NULL, 0));
	cr_assert_not(pa_pool_serves(&c->pools[0], "lab", NULL, 0));
	cr_assert_not(pa_pool_serves(&c->pools[1], "lab", NULL, 0));
	cr_assert_not(pa_pool_serves(&c->pools[1], "lab", classes, 1));
	cr_assert(pa_pool_serves(&c->pools[1], "lab", classes, 2));
	pa_brokerconf_free(c);
}

Test(conf, exclusions_are_skipped)
{
	struct pa_brokerconf *c = conf_of(WITH_POOLS(
		POOL("\"prefix\": \"203.0.113.0/28\", \"exclude\": [\"203.0.113.0/31\", \"203.0.113.2/32\", \"203.0.113.8/29\"]")));
	const struct pa_pool_conf *p = &c->pools[0];
	struct pa_addr inside = addr_of("203.0.113.3"), excluded = addr_of("203.0.113.9"), outside = addr_of("203.0.113.16");

	cr_assert_eq(pa_pool_skip_excluded(p, 0), 3u);
	cr_assert_eq(pa_pool_skip_excluded(p, 7), 7u);
	cr_assert_eq(pa_pool_skip_excluded(p, 8), 16u);
	cr_assert_eq(p->usable, 5u);
	cr_assert_eq(pa_brokerconf_pool_of(c, &inside), p);
	cr_assert_null(pa_brokerconf_pool_of(c, &excluded));
	cr_assert_null(pa_brokerconf_pool_of(c, &outside));
	pa_brokerconf_free(c);
}

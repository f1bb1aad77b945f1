/* SPDX-License-Identifier: MPL-2.0 */
/* From facts to findings: a table; and the way of the facts through JSON. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/diagnose_facts.h"
#include "tunnel/probe_json.h"

TestSuite(diagnose, .timeout = 20);

static struct pa_endpoint at(const char *s)
{
	struct pa_endpoint e;

	cr_assert_eq(pa_endpoint_parse(s, 0, &e), 0);
	return e;
}

/* Bound by the first of two gateways, and nothing wrong. */
static struct pa_facts healthy(void)
{
	struct pa_facts f;

	memset(&f, 0, sizeof(f));
	(void)snprintf(f.iface, sizeof(f.iface), "eth0");
	(void)snprintf(f.device, sizeof(f.device), "pub0");
	(void)snprintf(f.route, sizeof(f.route), "pub0");
	(void)snprintf(f.way, sizeof(f.way), "pub0");
	(void)snprintf(f.hostname, sizeof(f.hostname), "host");
	f.hostname_address = at("10.1.0.5:1").addr;
	f.root = f.daemon = f.lan_up = f.lan_has_address = f.tried = f.asked_known = f.asked = true;
	f.seen = PA_SEEN_GRANT;
	f.state = PA_CLIENT_BOUND;
	f.address = at("203.0.113.7:1").addr;
	f.mtu = 1472;
	f.keepalive = 25;
	f.gateway = at("198.51.100.10:6080");
	f.probe.n_gateways = 2;
	f.probe.gateways[0] = (struct pa_probe_gateway){f.gateway, PA_REACH_ANSWERED, PA_REACH_REFUSED};
	f.probe.gateways[1] = (struct pa_probe_gateway){at("198.51.100.26:6080"), PA_REACH_ANSWERED, PA_REACH_REFUSED};
	f.probe.probed = true;
	f.probe.mapped = at("192.0.2.2:4000");
	f.probe.mapping = PA_NAT_ENDPOINT;
	f.probe.filtering = PA_NAT_ADDRESS_PORT;
	f.probe.mtu_tried = f.probe.mtu_to = f.probe.mtu_from = 1500;
	return f;
}

static void idle(struct pa_facts *f)
{
	f->state = PA_CLIENT_IDLE;
	f->tried = false;
	memset(&f->probe, 0, sizeof(f->probe));
}

/* Not bound; both gateways look like this. */
static void reach(struct pa_facts *f, enum pa_reach udp, enum pa_reach tcp)
{
	f->state = PA_CLIENT_BINDING;
	f->probe.probed = false;
	for (unsigned i = 0; i < f->probe.n_gateways; i++) {
		f->probe.gateways[i].udp = udp;
		f->probe.gateways[i].tcp = tcp;
	}
}

#define CAUSE(name, ...)                                                                                               \
	static void name(struct pa_facts *f)                                                                           \
	{                                                                                                              \
		__VA_ARGS__;                                                                                           \
	}

CAUSE(nothing, (void)f)
CAUSE(no_daemon, f->daemon = false)
CAUSE(lan_down, f->lan_up = false)
CAUSE(lan_no_address, f->lan_has_address = false)
CAUSE(no_hook, idle(f); f->seen = PA_SEEN_NOTHING)
CAUSE(not_asked, idle(f); f->seen = PA_SEEN_NONE; f->asked = false)
CAUSE(not_offered, idle(f); f->seen = PA_SEEN_NONE)
CAUSE(asked_unknown, idle(f); f->seen = PA_SEEN_NONE; f->asked = f->asked_known = false)
CAUSE(unreadable, idle(f); f->seen = PA_SEEN_BAD)
CAUSE(lease_gone, idle(f); f->seen = PA_SEEN_GONE)
CAUSE(lease_gone_with_address, lease_gone(f); f->lan_has_address = false)
CAUSE(grant_gone, idle(f))
CAUSE(on_demand, not_asked(f); (void)snprintf(f->demand, sizeof(f->demand), "idle"))
CAUSE(on_demand_no_hook, no_hook(f); (void)snprintf(f->demand, sizeof(f->demand), "idle"))
CAUSE(demand_refused, not_asked(f); (void)snprintf(f->demand, sizeof(f->demand), "pausing"))
CAUSE(demand_lease_gone, lease_gone(f); (void)snprintf(f->demand, sizeof(f->demand), "idle"))
CAUSE(demand_held, (void)snprintf(f->demand, sizeof(f->demand), "held"))
CAUSE(refused, idle(f); (void)snprintf(f->refusal, sizeof(f->refusal), "no"))
CAUSE(refused_later, (void)snprintf(f->refusal, sizeof(f->refusal), "no"))
CAUSE(trouble, (void)snprintf(f->trouble, sizeof(f->trouble), "no"))
CAUSE(blocked_here, reach(f, PA_REACH_BLOCKED, PA_REACH_SILENT))
CAUSE(blocked_bound, reach(f, PA_REACH_BLOCKED, PA_REACH_SILENT); f->state = PA_CLIENT_BOUND)
CAUSE(thrown_away, reach(f, PA_REACH_SILENT, PA_REACH_REFUSED); f->wire = PA_WIRE_HEARD)
CAUSE(udp_blocked, reach(f, PA_REACH_SILENT, PA_REACH_REFUSED); f->wire = PA_WIRE_SILENT)
CAUSE(udp_blocked_user, reach(f, PA_REACH_SILENT, PA_REACH_ANSWERED); f->root = false)
CAUSE(not_served, reach(f, PA_REACH_REFUSED, PA_REACH_REFUSED))
CAUSE(no_way, reach(f, PA_REACH_NO_ROUTE, PA_REACH_NO_ROUTE))
CAUSE(no_way_told, reach(f, PA_REACH_SILENT, PA_REACH_NO_ROUTE))
CAUSE(dead, reach(f, PA_REACH_SILENT, PA_REACH_SILENT))
CAUSE(gateway_refuses, reach(f, PA_REACH_ANSWERED, PA_REACH_REFUSED))
CAUSE(forgot, f->probe.probed = false)
CAUSE(one_dead, f->probe.gateways[1].udp = PA_REACH_SILENT)
CAUSE(by_relay, f->relayed = true; f->probe.gateways[0].udp = PA_REACH_SILENT; f->probe.gateways[1].udp = PA_REACH_SILENT)
CAUSE(one_down, f->probe.gateways[1].udp = PA_REACH_REFUSED)
CAUSE(misses, f->misses = 2)
CAUSE(vpn, (void)snprintf(f->route, sizeof(f->route), "wg0"))
CAUSE(by_policy, (void)snprintf(f->route, sizeof(f->route), "wg0"); f->way[0] = '\0')
CAUSE(native, (void)snprintf(f->route, sizeof(f->route), "eth0"); (void)snprintf(f->way, sizeof(f->way), "eth0"))
CAUSE(native_vpn, (void)snprintf(f->way, sizeof(f->way), "eth0"); (void)snprintf(f->route, sizeof(f->route), "wg0"))
CAUSE(inbound_lost, f->inbound = PA_INBOUND_LOST)
CAUSE(inbound_came, f->inbound = PA_INBOUND_CAME)
CAUSE(no_return, f->sent = 20)
CAUSE(loopback_name, f->hostname_address = at("127.0.1.1:1").addr)
CAUSE(small_to, f->probe.mtu_to = 1499)
CAUSE(small_from, f->probe.mtu_from = 1400)
CAUSE(made_to_fit, f->mtu = 1464; f->mtu_max = 1472; f->probe.mtu_to = f->probe.mtu_from = 1492)
CAUSE(small_enough, f->mtu = 1400; f->probe.mtu_to = f->probe.mtu_from = 1428)
CAUSE(fast, f->probe.clock_ms = -11000)
CAUSE(slow, f->probe.clock_ms = 3600000)
CAUSE(short_life, f->probe.life_limit = 120; f->probe.life_kept = 15; f->probe.life_lost = 30)
CAUSE(long_life, f->probe.life_limit = 120; f->probe.life_kept = 30; f->probe.life_lost = 45)
CAUSE(endless_life, f->probe.life_limit = 120; f->probe.life_kept = 120)
CAUSE(demand_failed, on_demand(f); (void)snprintf(f->demand_trouble, sizeof(f->demand_trouble), "no"))
CAUSE(relayed, (void)snprintf(f->relay, sizeof(f->relay), "198.51.100.10:443"))
CAUSE(relay_down, relayed(f); (void)snprintf(f->relay_trouble, sizeof(f->relay_trouble), "no"))
CAUSE(unknown_nat, f->probe.mapping = f->probe.filtering = PA_NAT_UNKNOWN)

#undef CAUSE

static const struct {
	void (*cause)(struct pa_facts *f);
	const char *first; /* id of the worst finding */
	enum pa_severity severity;
	const char *also, *words; /* another id, and words of the first; or NULL */
} cases[] = {
	{nothing, "bound", PA_SEV_NOTE, "nat-mapping", "203.0.113.7"},
	{nothing, "bound", PA_SEV_NOTE, "mtu", NULL},
	{no_daemon, "daemon-missing", PA_SEV_ERROR, NULL, "eth0"},
	{lan_down, "lan-down", PA_SEV_ERROR, NULL, "eth0"},
	{lan_no_address, "lan-no-address", PA_SEV_ERROR, NULL, NULL},
	{no_hook, "dhcp-silent", PA_SEV_ERROR, NULL, NULL},
	{not_asked, "option-not-asked", PA_SEV_ERROR, NULL, "did not ask"},
	{not_offered, "option-not-offered", PA_SEV_ERROR, NULL, "although it was asked"},
	{asked_unknown, "option-not-offered", PA_SEV_ERROR, NULL, "no public address."},
	{unreadable, "option-unreadable", PA_SEV_ERROR, NULL, NULL},
	{lease_gone, "lease-ended", PA_SEV_ERROR, NULL, NULL},
	{lease_gone_with_address, "lease-ended", PA_SEV_ERROR, NULL, NULL},
	{grant_gone, "grant-ended", PA_SEV_ERROR, NULL, NULL},
	{on_demand, "on-demand", PA_SEV_NOTE, NULL, "no program needs one"},
	{on_demand_no_hook, "on-demand", PA_SEV_NOTE, NULL, NULL},
	{demand_refused, "demand-failed", PA_SEV_ERROR, NULL, "the DHCP server gave none"},
	{demand_lease_gone, "lease-ended", PA_SEV_ERROR, NULL, NULL},
	{demand_held, "bound", PA_SEV_NOTE, NULL, NULL},
	{refused, "grant-refused", PA_SEV_ERROR, NULL, NULL},
	{refused_later, "grant-refused", PA_SEV_WARNING, "bound", "still used"},
	{trouble, "network-failed", PA_SEV_ERROR, NULL, NULL},
	{blocked_here, "firewall-output", PA_SEV_ERROR, NULL, "198.51.100.10:6080"},
	{blocked_bound, "firewall-output", PA_SEV_ERROR, NULL, NULL},
	{thrown_away, "firewall-input", PA_SEV_ERROR, NULL, "arrive on eth0"},
	{udp_blocked, "udp-blocked", PA_SEV_ERROR, NULL, NULL},
	{udp_blocked_user, "udp-blocked", PA_SEV_ERROR, "needs-root", NULL},
	{not_served, "gateway-down", PA_SEV_ERROR, NULL, NULL},
	{no_way, "gateway-no-route", PA_SEV_ERROR, NULL, NULL},
	{no_way_told, "gateway-no-route", PA_SEV_ERROR, NULL, NULL},
	{dead, "gateway-unreachable", PA_SEV_ERROR, NULL, NULL},
	{gateway_refuses, "gateway-refuses", PA_SEV_ERROR, NULL, "203.0.113.7"},
	{forgot, "gateway-forgot", PA_SEV_WARNING, "bound", NULL},
	{by_relay, "by-relay", PA_SEV_WARNING, "bound", "198.51.100.10:6080"},
	{one_dead, "gateway-dead", PA_SEV_WARNING, "bound", "198.51.100.26:6080 does not answer"},
	{one_down, "gateway-dead", PA_SEV_WARNING, "bound", "does not serve"},
	{misses, "gateway-misses", PA_SEV_WARNING, NULL, "last 2 keepalives"},
	{vpn, "other-route", PA_SEV_WARNING, NULL, "wg0"},
	{by_policy, "bound", PA_SEV_NOTE, NULL, NULL},
	{native, "bound", PA_SEV_NOTE, NULL, NULL},
	{native_vpn, "other-route", PA_SEV_WARNING, NULL, "wg0 and not by eth0"},
	{inbound_lost, "firewall-inbound", PA_SEV_WARNING, "bound", "comes out of the tunnel at pub0"},
	{inbound_came, "bound", PA_SEV_NOTE, NULL, NULL},
	{no_return, "no-return", PA_SEV_WARNING, NULL, NULL},
	{loopback_name, "hostname-loopback", PA_SEV_WARNING, NULL, "\"host\" resolves to 127.0.1.1"},
	{small_to, "mtu-to-gateway", PA_SEV_WARNING, NULL, "up to 1499 bytes only"},
	{small_from, "mtu-from-gateway", PA_SEV_WARNING, NULL, "up to 1400 bytes only"},
	{made_to_fit, "bound", PA_SEV_NOTE, "mtu", NULL},
	{small_enough, "bound", PA_SEV_NOTE, "mtu", NULL},
	{fast, "clock", PA_SEV_WARNING, NULL, "11 s ahead of that"},
	{slow, "clock", PA_SEV_WARNING, NULL, "3600 s behind that"},
	{short_life, "mapping-short", PA_SEV_WARNING, NULL, "after 15 to 30 s"},
	{long_life, "bound", PA_SEV_NOTE, "mapping-lifetime", NULL},
	{endless_life, "bound", PA_SEV_NOTE, "mapping-lifetime", NULL},
	{demand_failed, "demand-failed", PA_SEV_ERROR, NULL, "got none: no."},
	{relayed, "bound", PA_SEV_NOTE, "relay", NULL},
	{relay_down, "relay-unusable", PA_SEV_WARNING, "bound", "198.51.100.10:443 cannot be used: no."},
	{unknown_nat, "bound", PA_SEV_NOTE, "nat-filtering", NULL},
};

static bool has(const struct pa_finding *list, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].id, id) == 0)
			return true;
	return false;
}

Test(diagnose, each_cause_has_its_finding)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pa_finding list[PA_FINDINGS_MAX];
		struct pa_facts f = healthy();
		size_t n;

		cases[i].cause(&f);
		n = pa_diagnose(&f, list);
		cr_expect_str_eq(list[0].id, cases[i].first, "%zu: %s instead of %s", i, list[0].id, cases[i].first);
		cr_expect_eq(list[0].severity, cases[i].severity, "%s", cases[i].first);
		cr_expect(cases[i].also == NULL || has(list, n, cases[i].also), "%s: no %s", cases[i].first, cases[i].also);
		cr_expect(cases[i].words == NULL || strstr(list[0].text, cases[i].words) != NULL, "%s", list[0].text);
		cr_expect(list[0].severity == PA_SEV_NOTE || list[0].remedy[0] != '\0', "%s: what to do?", list[0].id);
		for (size_t k = 0; k < n; k++) {
			cr_expect(k == 0 || list[k].severity <= list[k - 1].severity, "the worst first");
			cr_expect_eq(list[k].text[strlen(list[k].text) - 1], '.', "%s: a sentence", list[k].id);
		}
	}
}

Test(diagnose, one_cause_has_one_error)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pa_finding list[PA_FINDINGS_MAX];
		struct pa_facts f = healthy();
		unsigned worse = 0;
		size_t n;

		cases[i].cause(&f);
		n = pa_diagnose(&f, list);
		for (size_t k = 0; k < n; k++)
			worse += list[k].severity > PA_SEV_NOTE;
		cr_expect_eq(worse, cases[i].severity > PA_SEV_NOTE, "%s: %u", cases[i].first, worse);
	}
}

Test(diagnose, nothing_known_is_no_crash)
{
	struct pa_finding list[PA_FINDINGS_MAX];
	struct pa_facts f;

	memset(&f, 0, sizeof(f));
	cr_assert_eq(pa_diagnose(&f, list), 1);
	cr_assert_str_eq(list[0].id, "daemon-missing");
	f.daemon = f.lan_up = f.lan_has_address = true;
	f.state = PA_CLIENT_BINDING;
	cr_assert_eq(pa_diagnose(&f, list), 1);
	cr_assert_str_eq(list[0].id, "unclear");
}

Test(diagnose, results_come_through_json)
{
	struct pa_facts f = healthy();
	struct pa_probe_result got;
	json_t *obj;

	f.probe.life_limit = 120;
	f.probe.life_kept = 15;
	f.probe.life_lost = 30;
	f.probe.clock_ms = -5;
	f.probe.rtt_us = 1234;
	for (int r = PA_REACH_UNKNOWN; r <= PA_REACH_SILENT; r++)
		for (int k = PA_NAT_UNKNOWN; k <= PA_NAT_ENDPOINT_OR_ADDRESS; k++) {
			f.probe.gateways[1].udp = f.probe.gateways[0].tcp = (enum pa_reach)r;
			f.probe.mapping = (enum pa_nat_kind)k;
			f.probe.filtering = (enum pa_nat_kind)(PA_NAT_ENDPOINT_OR_ADDRESS - k);
			obj = pa_probe_json(&f.probe);
			pa_probe_from_json(obj, &got);
			json_decref(obj);
			cr_assert(memcmp(&got, &f.probe, sizeof(got)) == 0, "reach %d, kind %d", r, k);
		}
	f.probe.probed = false;
	obj = pa_probe_json(&f.probe);
	pa_probe_from_json(obj, &got);
	json_decref(obj);
	cr_assert(!got.probed && got.n_gateways == 2 && got.mapping == PA_NAT_UNKNOWN);
	pa_probe_from_json(NULL, &got);
	cr_assert_eq(got.n_gateways, 0);
}

Test(diagnose, facts_of_the_helper_and_the_daemon)
{
	json_t *seen = json_pack("{s:s, s:s, s:b}", "reason", "BOUND", "option", "none", "asked", 0);
	json_t *status = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:{s:b, s:[]}, s:{s:{s:i}, s:{s:i}}}", "interface", "eth0",
				   "device", "pub0", "state", "bound", "address", "203.0.113.7", "gateway", "198.51.100.10:6080", "mtu",
				   1472, "keepalive-interval", 25, "mode", "native", "lan", "up", 1, "addresses", "traffic", "to-tunnel",
				   "packets", 5, "from-tunnel", "packets", 6);
	struct pa_facts f;

	memset(&f, 0, sizeof(f));
	pa_facts_seen(&f, seen);
	cr_assert(f.seen == PA_SEEN_NONE && f.asked_known && !f.asked);
	pa_facts_status(&f, status);
	cr_assert(f.daemon && f.lan_up && !f.lan_has_address && f.state == PA_CLIENT_BOUND && strcmp(f.way, "eth0") == 0);
	cr_assert(f.mtu == 1472 && f.keepalive == 25 && f.sent == 5 && f.received == 6 && f.gateway.port == 6080);
	pa_facts_seen(&f, NULL);
	pa_facts_probe(&f, NULL);
	cr_assert(!f.tried && !f.asked_known && f.demand[0] == '\0' && f.relay[0] == '\0');
	(void)json_object_set_new(status, "on-demand", json_pack("{s:s}", "problem", "nobody answers"));
	(void)json_object_set_new(status, "relay", json_pack("{s:s, s:s}", "server", "198.51.100.10:443", "problem", "silent"));
	pa_facts_status(&f, status);
	cr_assert(strcmp(f.demand_trouble, "nobody answers") == 0);
	cr_assert(strcmp(f.relay, "198.51.100.10:443") == 0 && strcmp(f.relay_trouble, "silent") == 0);
	json_decref(seen);
	json_decref(status);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* Pure helpers of the tunnel's edges: the client's routes and rules as data, resolv.conf, the data path's peer table. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/dp_peers.h"
#include "tunnel/plan.h"
#include "tunnel/resolv.h"

TestSuite(plan, .timeout = 20);
TestSuite(resolv, .timeout = 20);
TestSuite(dp_peers, .timeout = 20);

static struct pa_addr addr_of(const char *s)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(s, &a), 0, "%s", s);
	return a;
}

static const struct pa_route *find_route(const struct pa_plan *p, uint32_t table, const char *prefix)
{
	struct pa_prefix want;

	cr_assert_eq(pa_prefix_parse(prefix, &want), 0);
	for (size_t i = 0; i < p->n_routes; i++)
		if (p->routes[i].table == table && p->routes[i].dst.len == want.len &&
		    pa_addr_eq(&p->routes[i].dst.addr, &want.addr))
			return &p->routes[i];
	return NULL;
}

Test(plan, default_and_exceptions)
{
	struct pa_addr hosts[] = {addr_of("192.0.2.53"), addr_of("192.168.1.1"), addr_of("192.0.2.53"), addr_of("2001:db8::1")};
	struct pa_plan_input in = {.addr = addr_of("203.0.113.7"), .ifindex = 5, .table = 6080, .priority = 5200, .mark = 99,
				   .take_default = true, .lan_hosts = hosts, .n_lan_hosts = 4};
	const struct pa_route *r;
	struct pa_plan p;
	size_t hosts_found = 0;

	pa_plan_make(&in, &p);
	r = find_route(&p, 6080, "0.0.0.0/0");
	cr_assert(r != NULL && r->ifindex == 5 && pa_addr_eq(&r->src, &in.addr));
	r = find_route(&p, 6081, "0.0.0.0/0");
	cr_assert(r != NULL && r->ifindex == 5);
	for (const char *const *s = (const char *const[]){"10.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16", "224.0.0.0/4",
							  "240.0.0.0/4", "100.64.0.0/10", "192.0.2.53/32", NULL}; *s != NULL; s++) {
		r = find_route(&p, 6080, *s);
		cr_assert(r != NULL && r->ifindex == 0, "%s stays on the LAN", *s);
	}
	cr_assert_null(find_route(&p, 6080, "203.0.113.0/24"));
	for (size_t i = 0; i < p.n_routes; i++)
		hosts_found += p.routes[i].dst.len == 32;
	cr_assert_eq(hosts_found, 2, "a host stands once, IPv6 hosts not at all");
	cr_assert_eq(p.n_rules, 5);
	for (unsigned i = 1; i < 5; i++)
		cr_assert_eq(p.rules[i].priority, 5200 + i - 1);
	cr_assert(p.rules[0].mark == 99 && p.rules[0].table == PA_TABLE_MAIN && p.rules[0].priority == 5200);
	cr_assert(p.rules[1].mark == 100 && p.rules[1].table == 6081);
	cr_assert(pa_addr_eq(&p.rules[2].from, &in.addr) && p.rules[2].table == 6081);
	cr_assert(p.rules[3].unbound && p.rules[3].no_default && p.rules[3].table == PA_TABLE_MAIN);
	cr_assert(p.rules[4].unbound && !p.rules[4].no_default && p.rules[4].table == 6080);
}

Test(plan, without_default_only_p_uses_the_tunnel)
{
	struct pa_plan_input in = {.addr = addr_of("203.0.113.7"), .ifindex = 5, .table = 6080, .priority = 5200, .mark = 1};
	struct pa_plan p;

	pa_plan_make(&in, &p);
	cr_assert_eq(p.n_routes, 2);
	cr_assert_eq(p.routes[0].table, 6081);
	cr_assert(p.routes[0].ifindex > 0 && !p.routes[0].last);
	cr_assert(p.routes[1].table == 6081 && p.routes[1].last && p.routes[1].dst.len == 0, "nothing of P leaves by another way");
	cr_assert_eq(p.n_rules, 3);
	for (unsigned i = 0; i < 3; i++)
		cr_assert(!p.rules[i].unbound);
}

Test(plan, native_leaves_by_the_lan_with_source_p)
{
	struct pa_plan_input in = {.addr = addr_of("203.0.113.7"), .ifindex = 5, .table = 6080, .priority = 5200, .mark = 99,
				   .mode = PA_OUT_NATIVE, .tracked = true, .take_default = true, .lan_ifindex = 3,
				   .router = addr_of("192.168.1.1")};
	const struct pa_route *r;
	struct pa_plan p;

	pa_plan_make(&in, &p);
	r = find_route(&p, 6080, "0.0.0.0/0");
	cr_assert(r != NULL && r->ifindex == 3 && pa_addr_eq(&r->src, &in.addr) && pa_addr_eq(&r->via, &in.router));
	r = find_route(&p, 6081, "0.0.0.0/0");
	cr_assert(r != NULL && r->ifindex == 5 && pa_addr_is_none(&r->via));
	cr_assert_eq(p.n_rules, 5);
	cr_assert(p.rules[2].mark == 101 && p.rules[2].table == PA_TABLE_MAIN && p.rules[2].priority == 5200);
	for (size_t i = 0; i < p.n_rules; i++)
		cr_assert(pa_addr_is_none(&p.rules[i].from) || p.rules[i].mark == 100, "what is bound to P goes as the packet filter says");
	in.mode = PA_OUT_AUTO;
	pa_plan_make(&in, &p);
	cr_assert_eq(p.n_rules, 5);
	in.mode = PA_OUT_TUNNEL; /* after native */
	pa_plan_make(&in, &p);
	r = find_route(&p, 6080, "0.0.0.0/0");
	cr_assert(r != NULL && r->ifindex == 5 && pa_addr_is_none(&r->via));
	cr_assert_eq(p.n_rules, 6);
	cr_assert(p.rules[2].mark == 101 && pa_addr_eq(&p.rules[3].from, &in.addr));
	in.mode = PA_OUT_POLICY;
	pa_plan_make(&in, &p);
	cr_assert_eq(p.n_rules, 4);
	cr_assert_null(find_route(&p, 6080, "0.0.0.0/0"));
}

Test(plan, marked_programs)
{
	struct pa_addr hosts[] = {addr_of("192.0.2.53")};
	struct pa_plan_input in = {.addr = addr_of("203.0.113.7"), .ifindex = 5, .table = 6080, .priority = 5200, .mark = 99,
				   .lan_hosts = hosts, .n_lan_hosts = 1, .programs = true};
	const struct pa_route *r;
	struct pa_plan p;
	unsigned marked = 0;

	pa_plan_make(&in, &p);
	r = find_route(&p, 6082, "0.0.0.0/0");
	cr_assert(r != NULL && r->ifindex == 5 && pa_addr_eq(&r->src, &in.addr));
	r = find_route(&p, 6082, "192.0.2.53/32");
	cr_assert(r != NULL && r->ifindex == 0, "a resolver stays on the LAN");
	cr_assert_not_null(find_route(&p, 6082, "10.0.0.0/8"));
	cr_assert_null(find_route(&p, 6080, "0.0.0.0/0"), "nothing for those that are not marked");
	for (size_t i = 0; i < p.n_rules; i++) {
		const struct pa_rule *rule = &p.rules[i];

		marked += rule->mark == 100;
		cr_assert(!rule->unbound || rule->mark == 100);
	}
	cr_assert_eq(marked, 3);
	in.away = true;
	pa_plan_make(&in, &p);
	r = find_route(&p, 6081, "0.0.0.0/0");
	cr_assert(r != NULL && r->ifindex == 5 && pa_addr_is_none(&r->src), "the host has no such source");
	r = find_route(&p, 6082, "0.0.0.0/0");
	cr_assert(r != NULL && r->ifindex == 0 && r->last, "marked programs have no other way meanwhile");
	in.away = false;
	in.take_default = true;
	pa_plan_make(&in, &p);
	cr_assert_not_null(find_route(&p, 6080, "192.0.2.53/32"), "each table has its exceptions");
	cr_assert_not_null(find_route(&p, 6082, "192.0.2.53/32"));
	cr_assert_eq(p.n_rules, 7);
}

Test(plan, too_many_hosts_are_left_out)
{
	struct pa_addr hosts[200];
	struct pa_plan_input in = {.addr = addr_of("203.0.113.7"), .ifindex = 5, .table = 6080, .priority = 5200, .mark = 1,
				   .take_default = true, .lan_hosts = hosts, .n_lan_hosts = 200};
	struct pa_plan p;

	for (uint32_t i = 0; i < 200; i++)
		hosts[i] = pa_addr_from_ipv4(0xc0000201 + i);
	pa_plan_make(&in, &p);
	cr_assert_eq(p.n_routes, PA_PLAN_ROUTES_MAX);
	cr_assert_eq(p.n_rules, 5);
}

Test(resolv, nameservers)
{
	static const char text[] = "# comment\nnameserver 192.0.2.1\nsearch example.org\nnameserver\t192.0.2.2 # second\n"
				   "nameserver fe80::1%eth0\nnameservers 192.0.2.3\n nameserver 192.0.2.4\nnameserver\n"
				   "nameserver bad\nnameserver 192.0.2.5";
	struct pa_addr a[8];

	cr_assert_eq(pa_resolv_parse(text, sizeof(text) - 1, a, 8), 4);
	cr_assert(pa_addr_eq(&a[0], &(struct pa_addr){0}) == false);
	for (int i = 0; i < 4; i++) {
		struct pa_addr want = addr_of(((const char *const[]){"192.0.2.1", "192.0.2.2", "fe80::1", "192.0.2.5"})[i]);

		cr_assert(pa_addr_eq(&a[i], &want), "%d", i);
	}
	cr_assert_eq(pa_resolv_parse(text, sizeof(text) - 1, a, 1), 1);
	cr_assert_eq(pa_resolv_parse("", 0, a, 8), 0);
}

Test(dp_peers, finds_what_was_put_and_nothing_else)
{
	enum { N = 3000 };
	struct pa_peers *t;
	struct pa_addr a;

	cr_assert_eq(pa_peers_new(&t), 0);
	for (uint32_t i = 0; i < N; i++) {
		a = pa_addr_from_ipv4(0xcb007100 + i);
		cr_assert_null(pa_peers_find(t, &a));
		pa_peers_put(t, &a)->outer.port = (uint16_t)(i + 1);
	}
	cr_assert_eq(pa_peers_count(t), N);
	for (uint32_t i = 0; i < N; i += 3) { /* gaps in every chain */
		a = pa_addr_from_ipv4(0xcb007100 + i);
		pa_peers_remove(t, &a);
		pa_peers_remove(t, &a);
	}
	for (uint32_t i = 0; i < N; i++) {
		const struct pa_peer *p;

		a = pa_addr_from_ipv4(0xcb007100 + i);
		p = pa_peers_find(t, &a);
		cr_assert(i % 3 == 0 ? p == NULL : p != NULL && p->outer.port == i + 1, "%u", i);
	}
	cr_assert_eq(pa_peers_count(t), N - N / 3);
	a = addr_of("::");
	cr_assert_null(pa_peers_find(t, &a));
	pa_peers_free(t);
}

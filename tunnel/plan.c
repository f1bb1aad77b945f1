/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/plan.h"

#include <string.h>

/* What never goes by the tunnel: the gateway would refuse it. Documentation space is not here: a lab lives in it. */
static const struct {
	uint32_t net;
	uint8_t len;
} stay[] = {
	{0x00000000, 8},  /* 0/8 */
	{0x0a000000, 8},  /* 10/8 */
	{0x64400000, 10}, /* 100.64/10 */
	{0x7f000000, 8},  /* 127/8 */
	{0xa9fe0000, 16}, /* 169.254/16 */
	{0xac100000, 12}, /* 172.16/12 */
	{0xc0000000, 24}, /* 192.0.0/24 */
	{0xc0586300, 24}, /* 192.88.99/24 */
	{0xc0a80000, 16}, /* 192.168/16 */
	{0xc6120000, 15}, /* 198.18/15 */
	{0xe0000000, 4},  /* multicast */
	{0xf0000000, 4},  /* reserved, broadcast */
};

static void add_route(struct pa_plan *p, uint32_t table, const struct pa_prefix *dst, int ifindex, const struct pa_addr *src)
{
	struct pa_route *r;

	if (p->n_routes == PA_PLAN_ROUTES_MAX)
		return;
	r = &p->routes[p->n_routes++];
	r->table = table;
	r->dst = *dst;
	r->ifindex = ifindex;
	if (src != NULL)
		r->src = *src;
}

/* The kernel takes no route whose preferred source is not an address of the host. */
static const struct pa_addr *source(const struct pa_plan_input *in)
{
	return in->away ? NULL : &in->addr;
}

static struct pa_rule *add_rule(struct pa_plan *p, uint32_t priority, uint32_t table)
{
	struct pa_rule *r = &p->rules[p->n_rules++];

	r->priority = priority;
	r->table = table;
	return r;
}

/* True if a route for exactly this host stands in the plan: the same host may be router, resolver and DHCP server. */
static bool has_host(const struct pa_plan *p, uint32_t table, const struct pa_addr *a)
{
	for (size_t i = 0; i < p->n_routes; i++)
		if (p->routes[i].table == table && p->routes[i].dst.len == 32 && pa_addr_eq(&p->routes[i].dst.addr, a))
			return true;
	return false;
}

static void plan_exceptions(const struct pa_plan_input *in, uint32_t table, struct pa_plan *p)
{
	for (size_t i = 0; i < sizeof(stay) / sizeof(stay[0]); i++) {
		struct pa_prefix dst = {pa_addr_from_ipv4(stay[i].net), stay[i].len};

		add_route(p, table, &dst, 0, NULL);
	}
	for (size_t i = 0; i < in->n_lan_hosts; i++) {
		struct pa_prefix dst = {in->lan_hosts[i], 32};

		if (pa_addr_is_ipv4(&dst.addr) && !has_host(p, table, &dst.addr))
			add_route(p, table, &dst, 0, NULL);
	}
}

bool pa_plan_is_native(enum pa_outbound mode)
{
	return mode == PA_OUT_NATIVE || mode == PA_OUT_AUTO;
}

static void plan_default(const struct pa_plan_input *in, const struct pa_prefix *everything, struct pa_plan *p)
{
	struct pa_rule *rule;

	if (pa_plan_is_native(in->mode)) {
		add_route(p, in->table, everything, in->lan_ifindex, &in->addr);
		p->routes[p->n_routes - 1].via = in->router;
	} else {
		add_route(p, in->table, everything, in->ifindex, source(in));
	}
	plan_exceptions(in, in->table, p);
	rule = add_rule(p, in->priority + 2, PA_TABLE_MAIN);
	rule->unbound = true;
	rule->no_default = true;
	rule = add_rule(p, in->priority + 3, in->table);
	rule->unbound = true;
}

/*
 * Marked sockets. While the host does not have P they have no way, but to the LAN: what was started to use P shall not use another
 * address because P is with somebody else for a while. Once their source is P their packets need no exception: what stays on the LAN has
 * got its address.
 */
static void plan_programs(const struct pa_plan_input *in, const struct pa_prefix *everything, struct pa_plan *p)
{
	uint32_t mark = in->mark + PA_MARK_TUNNEL;
	struct pa_rule *rule = add_rule(p, in->priority + 1, PA_TABLE_MAIN);

	rule->mark = mark;
	rule->unbound = true;
	rule->no_default = true;
	rule = add_rule(p, in->priority + 2, in->table + 2);
	rule->mark = mark;
	rule->unbound = true;
	add_route(p, in->table + 2, everything, in->away ? 0 : in->ifindex, source(in));
	p->routes[p->n_routes - 1].last = in->away;
	plan_exceptions(in, in->table + 2, p);
}

void pa_plan_make(const struct pa_plan_input *in, struct pa_plan *ret)
{
	struct pa_prefix everything;
	struct pa_rule *rule;

	memset(ret, 0, sizeof(*ret));
	memset(&everything, 0, sizeof(everything));
	everything.addr = pa_addr_from_ipv4(0);
	add_route(ret, in->table + 1, &everything, in->ifindex, source(in));
	add_route(ret, in->table + 1, &everything, 0, NULL);
	ret->routes[ret->n_routes - 1].last = true;
	add_rule(ret, in->priority, PA_TABLE_MAIN)->mark = in->mark;
	rule = add_rule(ret, in->priority, in->table + 1);
	rule->mark = in->mark + PA_MARK_TUNNEL;
	rule->from = in->addr;
	if (in->tracked)
		add_rule(ret, in->priority, PA_TABLE_MAIN)->mark = in->mark + PA_MARK_DIRECT;
	if (!pa_plan_is_native(in->mode))
		add_rule(ret, in->priority + 1, in->table + 1)->from = in->addr;
	if (in->programs)
		plan_programs(in, &everything, ret);
	if (in->take_default && in->mode != PA_OUT_POLICY)
		plan_default(in, &everything, ret);
}

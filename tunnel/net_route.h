/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_ROUTE_H
#define PA_NET_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "tunnel/net_nl.h"

/* IPv4 addresses, routes and rules of ours, by netlink. All that we set carries PA_ROUTE_PROTOCOL, so that it can be told apart. */
#define PA_ROUTE_PROTOCOL 224 /* rtm_protocol and FRA_PROTOCOL; free in iproute2's rt_protos */
#define PA_TABLE_MAIN 254

struct pa_route {
	struct pa_prefix dst; /* 0.0.0.0/0: default */
	uint32_t table;
	int ifindex;	      /* 0: a throw route, the lookup goes on with the next rule, or refused */
	bool local;	      /* whatever is looked up is for this host; ifindex is that of lo */
	bool last;	      /* with ifindex 0: what no better route takes is refused, with "no route to host" */
	struct pa_addr src;   /* preferred source; none: left to the kernel */
	struct pa_addr via;   /* with ifindex: next hop, taken to be on the link; none: the destinations are on the link */
};

/* Selectors that are zero do not count. */
struct pa_rule {
	uint32_t priority, table;
	uint32_t mark;
	struct pa_addr from; /* one address */
	bool unbound;	     /* only lookups of this host's own packets whose source is still to be chosen */
	bool no_default;     /* take no default route from the table */
};

/* Adds addr/32 with global scope; one that is there already is fine. Deletes; one that is absent is fine. */
int pa_net_addr_add(struct pa_nl *nl, int ifindex, const struct pa_addr *addr);
/*
 * As pa_net_addr_add, but programs that list the interface's addresses find it before the others, and the kernel does not choose it by
 * itself: link scope, which both follow from. It carries PA_ROUTE_PROTOCOL (from Linux 5.18 on).
 */
int pa_net_addr_add_first(struct pa_nl *nl, int ifindex, const struct pa_addr *addr);
/* Removes the addresses of the interface that pa_net_addr_add_first added, but keep (NULL: all). Returns how many, or an error. */
int pa_net_addr_clean(struct pa_nl *nl, int ifindex, const struct pa_addr *keep);
int pa_net_addr_del(struct pa_nl *nl, int ifindex, const struct pa_addr *addr);
/* Removes every IPv4 address of the interface but keep (NULL: none is kept). */
int pa_net_addr_flush(struct pa_nl *nl, int ifindex, const struct pa_addr *keep);

/* replace: takes the place of a route to the same destination; otherwise PA_EEXIST. */
int pa_net_route_add(struct pa_nl *nl, const struct pa_route *r, bool replace);
/* PA_ENOTFOUND is left to the caller. */
int pa_net_route_del(struct pa_nl *nl, const struct pa_route *r);
int pa_net_rule_add(struct pa_nl *nl, const struct pa_rule *r);
int pa_net_rule_del(struct pa_nl *nl, const struct pa_rule *r);

/*
 * Removes what a former run left behind: our rules with priorities from priority to priority + n - 1, and all routes of the
 * tables from table to table + n_tables - 1. Returns how many were removed, or an error.
 */
int pa_net_clean(struct pa_nl *nl, uint32_t priority, uint32_t n, uint32_t table, uint32_t n_tables);

/*
 * Routes of ours (by PA_ROUTE_PROTOCOL) in the tables from table on, by one interface (0: any), and rules of ours with the
 * priorities from priority on, as they would be given to add them. Return how many, at most cap, or an error.
 */
int pa_net_routes_get(struct pa_nl *nl, uint32_t table, uint32_t n_tables, int ifindex, struct pa_route *ret, size_t cap);
int pa_net_rules_get(struct pa_nl *nl, uint32_t priority, uint32_t n, struct pa_rule *ret, size_t cap);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PLAN_H
#define PA_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/proto.h"
#include "tunnel/net_route.h"

/*
 * Which routes and rules the client wants, as data; tunneld_net.c makes the kernel agree. Pure; any thread.
 *
 * priority + 0  mark MARK              -> main          the tunnel's own packets never loop
 *               mark MARK + 1, from P  -> table + 1     what is to use the tunnel in any mode
 *               mark MARK + 2          -> main          flows that went beside the tunnel before, while ruleset.h tracks them
 * priority + 1  from P                 -> table + 1     default by the device: what is bound to P uses the tunnel
 * priority + 2  source not yet chosen  -> main, but no default: on-link networks, host routes, option 121 stay on the LAN
 * priority + 3  source not yet chosen  -> table         default with source P; throw routes for the exceptions
 *
 * In the modes native and auto the default of table leaves by the LAN's router, still with source P, and there is no rule + 1: the
 * packet filter (ruleset.h) marks what goes by the tunnel and translates the rest to the LAN's address. In the mode policy
 * there are no rules + 2 and + 3.
 *
 * Programs of pubaddr exec have sockets with the mark MARK + 1 and, in every mode, rules that give them P as source:
 *
 * priority + 1  mark MARK + 1, source not yet chosen -> main, but no default
 * priority + 2  mark MARK + 1, source not yet chosen -> table + 2   as table: default by the device with source P, exceptions; while
 *                                                                   P is in a network namespace, "no route to host"
 *
 * While no process serves the device it has no carrier and its routes do not count (pa_tun_ignore_idle): then new connections
 * leave by plain NAT, and table + 1 says "no route to host" last, so that what is bound to P waits for the next process
 * instead of leaving with a source that the NAT would turn into another one.
 *
 * A lookup whose source is already chosen and is not P meets none of the last three: programs bound to the LAN address,
 * answers to what came in there, forwarded packets of containers, and the reverse-path check (which looks up with the
 * packet's destination as source) all find the tables as they were without us. So strict rp_filter passes on both interfaces:
 * for a packet to P rule + 1 or, by src_valid_mark, the mark names the device, for one to the LAN address the main table names
 * the LAN interface.
 */
#define PA_PLAN_PRIORITIES 4
#define PA_PLAN_RULES 8
#define PA_PLAN_TABLES 3
#define PA_PLAN_ROUTES_MAX 96

/* Beside the mark of the tunnel's own packets (the configuration's "mark") the next two are ours: added to it. */
#define PA_MARK_TUNNEL 1 /* goes by the tunnel, whatever the mode */
#define PA_MARK_DIRECT 2 /* leaves by the LAN */
#define PA_MARKS 3

struct pa_plan {
	size_t n_routes, n_rules;
	struct pa_route routes[PA_PLAN_ROUTES_MAX];
	struct pa_rule rules[PA_PLAN_RULES];
};

struct pa_plan_input {
	struct pa_addr addr; /* P */
	int ifindex;	     /* of the encapsulation device */
	uint32_t table, priority, mark;
	enum pa_outbound mode;
	bool tracked;	   /* as in struct pa_ruleset_input */
	bool take_default; /* rule + 2 and + 3 and their routes; otherwise only what is bound to P, or marked, uses the tunnel */
	int lan_ifindex;	 /* for native and auto: the way beside the tunnel */
	struct pa_addr router; /* next hop there; none: the LAN is a point-to-point link */
	const struct pa_addr *lan_hosts; /* routers, resolvers, DHCP server, gateway: reached by the LAN */
	size_t n_lan_hosts;
	bool programs; /* marked sockets use the tunnel */
	bool away;     /* P is in a network namespace, not of the host */
};

/* True for the modes in which flows of P leave beside the tunnel. */
bool pa_plan_is_native(enum pa_outbound mode);
/* Writes the whole of *ret, unused entries zeroed. Hosts beyond PA_PLAN_ROUTES_MAX routes are left out. */
void pa_plan_make(const struct pa_plan_input *in, struct pa_plan *ret);

#endif

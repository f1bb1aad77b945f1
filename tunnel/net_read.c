/* SPDX-License-Identifier: MPL-2.0 */
/* Routes and rules of ours as the kernel has them, in the form in which we set them: for a process that takes over. */
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"
#include "tunnel/net_route.h"

struct route_list {
	uint32_t table, n_tables;
	int ifindex;
	struct pa_route *routes;
	size_t n, cap;
};

struct rule_list {
	uint32_t first, n_priorities;
	struct pa_rule *rules;
	size_t n, cap;
};

static struct pa_addr addr_of(const struct nlattr *attr)
{
	struct pa_addr a = pa_addr_from_ipv4(0);

	memcpy(a.b + 12, mnl_attr_get_payload(attr), 4);
	return a;
}

static int take_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct route_list *list = arg;
	const struct nlattr *attr;
	struct pa_route r;

	if (nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_protocol != PA_ROUTE_PROTOCOL)
		return 0;
	memset(&r, 0, sizeof(r));
	r.table = rtm->rtm_table;
	r.dst.addr = pa_addr_from_ipv4(0);
	r.dst.len = rtm->rtm_dst_len;
	r.last = rtm->rtm_type == RTN_UNREACHABLE;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*rtm)) {
		if (mnl_attr_get_payload_len(attr) != 4)
			continue;
		if (mnl_attr_get_type(attr) == RTA_TABLE)
			r.table = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == RTA_DST)
			r.dst.addr = addr_of(attr);
		else if (mnl_attr_get_type(attr) == RTA_PREFSRC)
			r.src = addr_of(attr);
		else if (mnl_attr_get_type(attr) == RTA_GATEWAY)
			r.via = addr_of(attr);
		else if (mnl_attr_get_type(attr) == RTA_OIF && rtm->rtm_type == RTN_UNICAST)
			r.ifindex = (int)mnl_attr_get_u32(attr);
	}
	if (r.table < list->table || r.table - list->table >= list->n_tables || list->n == list->cap ||
	    (list->ifindex != 0 && r.ifindex != list->ifindex))
		return 0;
	list->routes[list->n++] = r;
	return 0;
}

int pa_net_routes_get(struct pa_nl *nl, uint32_t table, uint32_t n_tables, int ifindex, struct pa_route *ret, size_t cap)
{
	struct route_list list = {.table = table, .n_tables = n_tables, .ifindex = ifindex, .routes = ret, .cap = cap};
	int rc = pa_nl_dump_all(nl, RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), take_route, &list);

	return rc < 0 ? rc : (int)list.n;
}

static void take_rule_attr(const struct nlattr *attr, struct pa_rule *r, uint8_t *protocol)
{
	uint16_t len = mnl_attr_get_payload_len(attr);

	switch (mnl_attr_get_type(attr)) {
	case FRA_PRIORITY:
		r->priority = len == 4 ? mnl_attr_get_u32(attr) : 0;
		break;
	case FRA_TABLE:
		r->table = len == 4 ? mnl_attr_get_u32(attr) : 0;
		break;
	case FRA_FWMARK:
		r->mark = len == 4 ? mnl_attr_get_u32(attr) : 0;
		break;
	case FRA_SRC:
		if (len == 4)
			r->from = addr_of(attr);
		break;
	case FRA_IIFNAME: /* ours is "lo": what this host sends */
		r->unbound = true;
		break;
	case FRA_SUPPRESS_PREFIXLEN:
		r->no_default = len == 4 && mnl_attr_get_u32(attr) == 0;
		break;
	case FRA_PROTOCOL:
		*protocol = len == 1 ? mnl_attr_get_u8(attr) : 0;
		break;
	default:
		break;
	}
}

static int take_rule(const struct nlmsghdr *nlh, void *arg)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	struct rule_list *list = arg;
	const struct nlattr *attr;
	uint8_t protocol = 0;
	struct pa_rule r;

	if (nlh->nlmsg_type != RTM_NEWRULE)
		return 0;
	memset(&r, 0, sizeof(r));
	r.table = frh->table;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*frh))
		take_rule_attr(attr, &r, &protocol);
	if (protocol != PA_ROUTE_PROTOCOL || r.priority < list->first || r.priority - list->first >= list->n_priorities ||
	    list->n == list->cap)
		return 0;
	if (r.unbound)
		memset(&r.from, 0, sizeof(r.from)); /* it says 0.0.0.0 to the kernel */
	list->rules[list->n++] = r;
	return 0;
}

int pa_net_rules_get(struct pa_nl *nl, uint32_t priority, uint32_t n, struct pa_rule *ret, size_t cap)
{
	struct rule_list list = {.first = priority, .n_priorities = n, .rules = ret, .cap = cap};
	int rc = pa_nl_dump_all(nl, RTM_GETRULE, AF_INET, sizeof(struct fib_rule_hdr), take_rule, &list);

	return rc < 0 ? rc : (int)list.n;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_route.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"

#define CLEAN_MAX 512 /* removed in one sweep; the caller's sets are far smaller */

static void put_addr(struct nlmsghdr *nlh, uint16_t type, const struct pa_addr *a)
{
	mnl_attr_put(nlh, type, 4, a->b + 12);
}

static int addr_request(struct pa_nl *nl, uint16_t type, uint16_t flags, int ifindex, const struct pa_addr *a, uint8_t len,
			uint8_t scope)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *ifa;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = AF_INET;
	ifa->ifa_prefixlen = len;
	ifa->ifa_scope = scope;
	ifa->ifa_index = (uint32_t)ifindex;
	put_addr(nlh, IFA_LOCAL, a);
	put_addr(nlh, IFA_ADDRESS, a);
	if (scope == RT_SCOPE_LINK)
		mnl_attr_put_u8(nlh, IFA_PROTO, PA_ROUTE_PROTOCOL);
	return pa_nl_request(nl, nlh);
}

int pa_net_addr_add(struct pa_nl *nl, int ifindex, const struct pa_addr *addr)
{
	int rc = addr_request(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, addr, 32, RT_SCOPE_UNIVERSE);

	return rc == PA_EEXIST ? 0 : rc;
}

int pa_net_addr_add_first(struct pa_nl *nl, int ifindex, const struct pa_addr *addr)
{
	int rc = addr_request(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, addr, 32, RT_SCOPE_LINK);

	return rc == PA_EEXIST ? 0 : rc;
}

int pa_net_addr_del(struct pa_nl *nl, int ifindex, const struct pa_addr *addr)
{
	int rc = addr_request(nl, RTM_DELADDR, 0, ifindex, addr, 32, RT_SCOPE_UNIVERSE);

	return rc == PA_ENOTFOUND ? 0 : rc;
}

struct found_addr {
	struct pa_addr addr;
	uint8_t len;
};

struct addr_list {
	int ifindex;
	bool ours; /* only those with our protocol number */
	size_t n;
	struct found_addr addrs[64];
};

static int collect_addr(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct found_addr f = {.len = ifa->ifa_prefixlen};
	struct addr_list *list = arg;
	bool ours = false, any = false;
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWADDR || (int)ifa->ifa_index != list->ifindex || list->n == 64)
		return 0;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*ifa)) {
		if (mnl_attr_get_type(attr) == IFA_PROTO && mnl_attr_get_payload_len(attr) == 1)
			ours = mnl_attr_get_u8(attr) == PA_ROUTE_PROTOCOL;
		if (mnl_attr_get_type(attr) != IFA_LOCAL || mnl_attr_get_payload_len(attr) != 4)
			continue;
		f.addr = pa_addr_from_ipv4(0);
		memcpy(f.addr.b + 12, mnl_attr_get_payload(attr), 4);
		any = true;
	}
	if (any && (ours || !list->ours))
		list->addrs[list->n++] = f;
	return 0;
}

/* Returns how many were removed. */
static int remove_addrs(struct pa_nl *nl, int ifindex, bool ours, const struct pa_addr *keep)
{
	struct addr_list list = {.ifindex = ifindex, .ours = ours};
	int rc = pa_nl_dump_all(nl, RTM_GETADDR, AF_INET, sizeof(struct ifaddrmsg), collect_addr, &list), n = 0;

	for (size_t i = 0; rc == 0 && i < list.n; i++) {
		const struct found_addr *f = &list.addrs[i];

		if (keep != NULL && pa_addr_eq(keep, &f->addr))
			continue;
		rc = addr_request(nl, RTM_DELADDR, 0, ifindex, &f->addr, f->len, RT_SCOPE_UNIVERSE);
		n += rc == 0;
		if (rc == PA_ENOTFOUND)
			rc = 0;
	}
	return rc < 0 ? rc : n;
}

int pa_net_addr_flush(struct pa_nl *nl, int ifindex, const struct pa_addr *keep)
{
	int rc = remove_addrs(nl, ifindex, false, keep);

	return rc < 0 ? rc : 0;
}

int pa_net_addr_clean(struct pa_nl *nl, int ifindex, const struct pa_addr *keep)
{
	return remove_addrs(nl, ifindex, true, keep);
}

static int route_request(struct pa_nl *nl, uint16_t type, uint16_t flags, const struct pa_route *r)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = r->dst.len;
	rtm->rtm_table = RT_TABLE_UNSPEC; /* RTA_TABLE has room for all numbers */
	rtm->rtm_protocol = PA_ROUTE_PROTOCOL;
	rtm->rtm_type = r->local ? RTN_LOCAL : r->ifindex > 0 ? RTN_UNICAST : r->last ? RTN_UNREACHABLE : RTN_THROW;
	rtm->rtm_scope = r->local ? RT_SCOPE_HOST : r->ifindex > 0 && pa_addr_is_none(&r->via) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	mnl_attr_put_u32(nlh, RTA_TABLE, r->table);
	if (r->last)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, UINT32_MAX);
	if (r->dst.len > 0)
		put_addr(nlh, RTA_DST, &r->dst.addr);
	if (r->ifindex > 0)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)r->ifindex);
	if (!pa_addr_is_none(&r->src))
		put_addr(nlh, RTA_PREFSRC, &r->src);
	if (!pa_addr_is_none(&r->via)) {
		put_addr(nlh, RTA_GATEWAY, &r->via);
		rtm->rtm_flags = RTNH_F_ONLINK;
	}
	return pa_nl_request(nl, nlh);
}

int pa_net_route_add(struct pa_nl *nl, const struct pa_route *r, bool replace)
{
	return route_request(nl, RTM_NEWROUTE, NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL), r);
}

int pa_net_route_del(struct pa_nl *nl, const struct pa_route *r)
{
	return route_request(nl, RTM_DELROUTE, 0, r);
}

static int rule_request(struct pa_nl *nl, uint16_t type, uint16_t flags, const struct pa_rule *r)
{
	bool from = r->unbound || !pa_addr_is_none(&r->from);
	struct pa_addr zero = pa_addr_from_ipv4(0);
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *frh;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	frh = mnl_nlmsg_put_extra_header(nlh, sizeof(*frh));
	frh->family = AF_INET;
	frh->action = FR_ACT_TO_TBL;
	frh->table = RT_TABLE_UNSPEC;
	frh->src_len = from ? 32 : 0;
	/* A source that is still to be chosen is 0.0.0.0 in the lookup: "from 0.0.0.0/32" matches that and nothing else. */
	if (from)
		put_addr(nlh, FRA_SRC, r->unbound ? &zero : &r->from);
	if (r->unbound)
		mnl_attr_put_strz(nlh, FRA_IIFNAME, "lo");
	if (r->mark != 0) {
		mnl_attr_put_u32(nlh, FRA_FWMARK, r->mark);
		mnl_attr_put_u32(nlh, FRA_FWMASK, UINT32_MAX);
	}
	mnl_attr_put_u32(nlh, FRA_PRIORITY, r->priority);
	mnl_attr_put_u32(nlh, FRA_TABLE, r->table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, PA_ROUTE_PROTOCOL);
	if (r->no_default)
		mnl_attr_put_u32(nlh, FRA_SUPPRESS_PREFIXLEN, 0);
	return pa_nl_request(nl, nlh);
}

int pa_net_rule_add(struct pa_nl *nl, const struct pa_rule *r)
{
	int rc = rule_request(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, r);

	return rc == PA_EEXIST ? 0 : rc;
}

int pa_net_rule_del(struct pa_nl *nl, const struct pa_rule *r)
{
	return rule_request(nl, RTM_DELRULE, 0, r);
}

/* Messages found in a dump, kept to be sent back as deletions. */
struct sweep {
	uint32_t first, n;
	size_t count;
	size_t used;
	char *buf;
	size_t cap;
};

static int keep_message(struct sweep *s, const struct nlmsghdr *nlh)
{
	size_t len = NLMSG_ALIGN(nlh->nlmsg_len);

	if (s->used + len > s->cap || s->count == CLEAN_MAX)
		return 0; /* the next sweep finds it */
	memcpy(s->buf + s->used, nlh, nlh->nlmsg_len);
	s->used += len;
	s->count++;
	return 0;
}

/* The value of a 32-bit attribute, or fallback. */
static uint32_t attr_u32(const struct nlmsghdr *nlh, size_t offset, uint16_t type, uint32_t fallback)
{
	const struct nlattr *attr;

	PA_NL_EACH_ATTR(attr, nlh, offset) {
		if (mnl_attr_get_type(attr) == type && mnl_attr_get_payload_len(attr) == 4)
			return mnl_attr_get_u32(attr);
	}
	return fallback;
}

static bool in_range(const struct sweep *s, uint32_t v)
{
	return v >= s->first && v - s->first < s->n;
}

static int sweep_rule(const struct nlmsghdr *nlh, void *arg)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	struct sweep *s = arg;

	if (nlh->nlmsg_type != RTM_NEWRULE || !in_range(s, attr_u32(nlh, sizeof(*frh), FRA_PRIORITY, 0)))
		return 0;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*frh)) {
		if (mnl_attr_get_type(attr) == FRA_PROTOCOL && mnl_attr_get_payload_len(attr) == 1 &&
		    mnl_attr_get_u8(attr) == PA_ROUTE_PROTOCOL)
			return keep_message(s, nlh);
	}
	return 0;
}

static int sweep_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct sweep *s = arg;

	if (nlh->nlmsg_type != RTM_NEWROUTE || !in_range(s, attr_u32(nlh, sizeof(*rtm), RTA_TABLE, rtm->rtm_table)))
		return 0;
	return keep_message(s, nlh);
}

static int run_sweep(struct pa_nl *nl, uint16_t get, uint16_t del, struct sweep *s,
		     int (*fn)(const struct nlmsghdr *msg, void *arg))
{
	int rc = pa_nl_dump_all(nl, get, AF_INET, sizeof(struct rtmsg), fn, s); /* fib_rule_hdr has the same shape */

	for (size_t at = 0; rc == 0 && at < s->used;) {
		struct nlmsghdr *nlh = (struct nlmsghdr *)(void *)(s->buf + at);
		at += NLMSG_ALIGN(nlh->nlmsg_len);
		nlh->nlmsg_type = del;
		nlh->nlmsg_flags = 0;
		nlh->nlmsg_pid = 0;
		rc = pa_nl_request(nl, nlh);
		if (rc == PA_ENOTFOUND)
			rc = 0;
	}
	return rc;
}

int pa_net_clean(struct pa_nl *nl, uint32_t priority, uint32_t n, uint32_t table, uint32_t n_tables)
{
	_Alignas(struct nlmsghdr) char kept[65536];
	struct sweep rules = {priority, n, 0, 0, kept, sizeof(kept)};
	struct sweep routes = {table, n_tables, 0, 0, kept, sizeof(kept)};
	int rc = run_sweep(nl, RTM_GETRULE, RTM_DELRULE, &rules, sweep_rule);

	if (rc == 0)
		rc = run_sweep(nl, RTM_GETROUTE, RTM_DELROUTE, &routes, sweep_route);
	return rc < 0 ? rc : (int)(rules.count + routes.count);
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_hops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"

/* ---- rules ---- */

/* What is left of one that only names a table: no selector, nothing suppressed. */
static bool is_bare(const struct nlmsghdr *nlh, const struct fib_rule_hdr *frh)
{
	const struct nlattr *attr;

	if (frh->dst_len != 0 || frh->src_len != 0 || frh->tos != 0 || frh->action != FR_ACT_TO_TBL || frh->flags != 0)
		return false;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*frh)) {
		switch (mnl_attr_get_type(attr)) {
		case FRA_PRIORITY:
		case FRA_TABLE:
		case FRA_PROTOCOL:
			break;
		case FRA_SUPPRESS_PREFIXLEN:
			if (mnl_attr_get_payload_len(attr) != 4 || mnl_attr_get_u32(attr) != UINT32_MAX)
				return false;
			break;
		default:
			return false;
		}
	}
	return true;
}

/* The kernel's own, in its order: local, main, default. */
static int take_rule(const struct nlmsghdr *nlh, void *arg)
{
	static const uint8_t tables[] = {RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT};
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	unsigned *n = arg;

	if (nlh->nlmsg_type != RTM_NEWRULE)
		return 0;
	if (*n >= sizeof(tables) || frh->table != tables[*n] || !is_bare(nlh, frh))
		return PA_ENOTSUP;
	++*n;
	return 0;
}

/* ---- routes ---- */

struct list {
	struct pa_hop_route *routes;
	size_t n;
};

/* False: one that makes the route other than plain. */
static bool take_attr(const struct nlattr *attr, struct pa_hop_route *r, uint32_t *table)
{
	uint32_t v = mnl_attr_get_payload_len(attr) == 4 ? mnl_attr_get_u32(attr) : 0;

	switch (mnl_attr_get_type(attr)) {
	case RTA_DST:
		r->dst = ntohl(v);
		return true;
	case RTA_TABLE:
		*table = v;
		return true;
	case RTA_GATEWAY:
		r->gateway = ntohl(v);
		return true;
	case RTA_OIF:
		r->ifindex = v;
		return true;
	case RTA_PRIORITY:
	case RTA_PREFSRC:
	case RTA_CACHEINFO:
		return true;
	default:
		return false;
	}
}

static int take_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	uint32_t table = rtm->rtm_table;
	struct pa_hop_route r = {.len = rtm->rtm_dst_len};
	const struct nlattr *attr;
	struct list *list = arg;

	if (nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_family != AF_INET || rtm->rtm_dst_len > 32)
		return 0;
	r.plain = rtm->rtm_type == RTN_UNICAST && rtm->rtm_tos == 0 && (rtm->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*rtm))
		r.plain = take_attr(attr, &r, &table) && r.plain;
	r.plain = r.plain && r.gateway != 0 && r.ifindex != 0;
	r.local = table == RT_TABLE_LOCAL;
	if (table != RT_TABLE_LOCAL && table != RT_TABLE_MAIN)
		return 0; /* "default" comes where these know nothing: the kernel is asked there anyway */
	if (list->n == PA_NET_HOPS_ROUTES)
		return PA_ENOTSUP;
	list->routes[list->n++] = r;
	return 0;
}

int pa_net_hops_read(struct pa_nl *nl, struct pa_hops *ret)
{
	struct list list = {.routes = calloc(PA_NET_HOPS_ROUTES, sizeof(*list.routes))};
	unsigned rules = 0;
	int rc;

	if (list.routes == NULL)
		return PA_ENOMEM;
	rc = pa_nl_dump_all(nl, RTM_GETRULE, AF_INET, sizeof(struct fib_rule_hdr), take_rule, &rules);
	if (rc == 0)
		rc = pa_nl_dump_all(nl, RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), take_route, &list);
	if (rc == 0)
		pa_hops_make(list.routes, list.n, ret);
	free(list.routes);
	return rc < 0 ? rc : 0;
}

/* ---- one destination ---- */

struct answer {
	uint32_t gateway, ifindex; /* gateway 0: on the link */
	bool plain;
};

static int take_answer(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct answer *a = arg;
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return 0;
	a->plain = rtm->rtm_type == RTN_UNICAST;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*rtm)) {
		uint16_t type = mnl_attr_get_type(attr), len = mnl_attr_get_payload_len(attr);

		if (type == RTA_GATEWAY && len == 4)
			memcpy(&a->gateway, mnl_attr_get_payload(attr), 4);
		else if (type == RTA_OIF && len == 4)
			a->ifindex = mnl_attr_get_u32(attr);
		else if (type == RTA_VIA || type == RTA_ENCAP)
			a->plain = false;
	}
	return 0;
}

int pa_net_hop_get(struct pa_nl *nl, uint32_t src, uint32_t dst, int ifindex, uint32_t mark, uint32_t *ret)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct answer a = {0, 0, false};
	struct rtmsg *rtm;
	int rc;

	nlh->nlmsg_type = RTM_GETROUTE;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = rtm->rtm_src_len = 32;
	mnl_attr_put_u32(nlh, RTA_DST, dst);
	mnl_attr_put_u32(nlh, RTA_SRC, src);
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)ifindex);
	if (mark != 0)
		mnl_attr_put_u32(nlh, RTA_MARK, mark);
	rc = pa_nl_dump(nl, nlh, take_answer, &a);
	if (rc < 0)
		return rc;
	if (!a.plain || a.ifindex != (uint32_t)ifindex)
		return PA_ENOTSUP;
	*ret = a.gateway != 0 ? a.gateway : dst;
	return 0;
}

/* ---- changes ---- */

int pa_net_hops_watch(int *ret_fd)
{
	return pa_nl_monitor_open(true, ret_fd);
}

/* Routes of other tables may come and go by the thousand. */
static bool matters(const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct pa_hop_route r = {.len = 0};
	const struct nlattr *attr;
	uint32_t table;

	if (nlh->nlmsg_type != RTM_NEWROUTE && nlh->nlmsg_type != RTM_DELROUTE)
		return true;
	table = rtm->rtm_table;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*rtm))
		(void)take_attr(attr, &r, &table);
	return table == RT_TABLE_LOCAL || table == RT_TABLE_MAIN;
}

bool pa_net_hops_changed(int fd)
{
	_Alignas(struct nlmsghdr) char buf[8192];
	bool any = false;

	for (;;) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		int left = (int)n;

		if (n < 0 && errno == ENOBUFS)
			any = true;
		else if (n < 0 && errno != EINTR)
			return any;
		for (; n > 0 && mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			any = any || matters(nlh);
	}
}

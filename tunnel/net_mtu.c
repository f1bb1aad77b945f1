/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_mtu.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"
#include "tunnel/net_route.h"

struct found {
	int ifindex;
	struct pa_addr *addrs;
	size_t n, cap;
};

static void put_addr(struct nlmsghdr *nlh, uint16_t type, const struct pa_addr *a)
{
	size_t len = pa_addr_is_ipv4(a) ? 4 : 16;

	mnl_attr_put(nlh, type, len, a->b + 16 - len);
}

static int request(struct pa_nl *nl, uint16_t type, uint16_t flags, int ifindex, const struct pa_addr *addr,
		   const struct pa_addr *src, uint16_t mtu)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	bool ipv4 = pa_addr_is_ipv4(addr);
	struct nlattr *metrics;
	struct rtmsg *rtm;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = ipv4 ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = ipv4 ? 32 : 128;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = PA_MTU_ROUTE_PROTOCOL;
	rtm->rtm_type = RTN_UNICAST;
	rtm->rtm_scope = ipv4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE; /* IPv6 routes have none */
	put_addr(nlh, RTA_DST, addr);
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)ifindex);
	if (!pa_addr_is_none(src) && pa_addr_is_ipv4(src) == ipv4)
		put_addr(nlh, RTA_PREFSRC, src);
	if (mtu > 0) {
		metrics = mnl_attr_nest_start(nlh, RTA_METRICS);
		mnl_attr_put_u32(nlh, RTAX_MTU, mtu);
		mnl_attr_nest_end(nlh, metrics);
	}
	return pa_nl_request(nl, nlh);
}

int pa_net_mtu_set(struct pa_nl *nl, int ifindex, const struct pa_addr *addr, const struct pa_addr *src, uint16_t mtu)
{
	return request(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, ifindex, addr, src, mtu);
}

int pa_net_mtu_clear(struct pa_nl *nl, int ifindex, const struct pa_addr *addr)
{
	static const struct pa_addr none;

	return request(nl, RTM_DELROUTE, 0, ifindex, addr, &none, 0);
}

static void take(struct found *f, const struct pa_addr *addr)
{
	if (f->n == f->cap) {
		size_t cap = f->cap > 0 ? 2 * f->cap : 64;
		struct pa_addr *more = realloc(f->addrs, cap * sizeof(*more));

		if (more == NULL)
			return; /* what is left over counts until its address gets another value */
		f->addrs = more;
		f->cap = cap;
	}
	f->addrs[f->n++] = *addr;
}

static int find(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	size_t len = rtm->rtm_family == AF_INET ? 4 : 16;
	struct pa_addr addr = pa_addr_from_ipv4(0);
	struct found *f = arg;
	const struct nlattr *attr;
	int ifindex = 0;

	if (nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_protocol != PA_MTU_ROUTE_PROTOCOL || rtm->rtm_dst_len != 8 * len)
		return 0;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*rtm)) {
		if (mnl_attr_get_type(attr) == RTA_DST && mnl_attr_get_payload_len(attr) == len)
			memcpy(addr.b + 16 - len, mnl_attr_get_payload(attr), len);
		else if (mnl_attr_get_type(attr) == RTA_OIF && mnl_attr_get_payload_len(attr) == 4)
			ifindex = (int)mnl_attr_get_u32(attr);
	}
	if (ifindex == f->ifindex)
		take(f, &addr);
	return 0;
}

int pa_net_mtu_clean(struct pa_nl *nl, int ifindex)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct found f = {.ifindex = ifindex};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(families); i++)
		rc = pa_nl_dump_all(nl, RTM_GETROUTE, families[i], sizeof(struct rtmsg), find, &f);
	for (size_t i = 0; rc == 0 && i < f.n; i++)
		(void)pa_net_mtu_clear(nl, ifindex, &f.addrs[i]);
	free(f.addrs);
	return rc < 0 ? rc : (int)f.n;
}

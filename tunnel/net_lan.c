/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_lan.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"

struct scan {
	struct pa_lan *lan;
	int without; /* interface that does not count, 0: none */
	bool have_default;
	uint32_t best_metric;
	int best_ifindex;
};

static struct pa_prefix network_of(const struct pa_addr *a, uint8_t len)
{
	uint32_t mask = len == 0 ? 0 : UINT32_MAX << (32 - len);
	struct pa_prefix p = {pa_addr_from_ipv4(pa_addr_to_ipv4(a) & mask), len};

	return p;
}

static int scan_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	struct scan *s = arg;

	if (nlh->nlmsg_type != RTM_NEWLINK || ifm->ifi_index != s->lan->ifindex)
		return 0;
	s->lan->up = (ifm->ifi_flags & (IFF_UP | IFF_LOWER_UP)) == (IFF_UP | IFF_LOWER_UP);
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*ifm)) {
		if (mnl_attr_get_type(attr) == IFLA_MTU && mnl_attr_get_payload_len(attr) == 4) {
			uint32_t mtu = mnl_attr_get_u32(attr);

			s->lan->mtu = mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX;
		}
	}
	return 0;
}

/* The host's own end of an address message; the peer's stands in IFA_ADDRESS on point-to-point links. */
static bool local_addr(const struct nlmsghdr *nlh, const struct ifaddrmsg *ifa, struct pa_addr *ret)
{
	const struct nlattr *attr, *found = NULL;

	PA_NL_EACH_ATTR(attr, nlh, sizeof(*ifa)) {
		uint16_t type = mnl_attr_get_type(attr);

		if (type == IFA_LOCAL || (type == IFA_ADDRESS && found == NULL))
			found = attr;
	}
	if (found == NULL)
		return false;
	if (ifa->ifa_family == AF_INET && mnl_attr_get_payload_len(found) == 4) {
		*ret = pa_addr_from_ipv4(0);
		memcpy(ret->b + 12, mnl_attr_get_payload(found), 4);
		return true;
	}
	if (ifa->ifa_family == AF_INET6 && mnl_attr_get_payload_len(found) == 16) {
		memcpy(ret->b, mnl_attr_get_payload(found), 16);
		return true;
	}
	return false;
}

static int scan_addr(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct scan *s = arg;
	struct pa_lan *lan = s->lan;
	struct pa_addr a;

	if (nlh->nlmsg_type != RTM_NEWADDR || (s->without > 0 && (int)ifa->ifa_index == s->without) ||
	    !local_addr(nlh, ifa, &a))
		return 0;
	if (lan->n_own < PA_LAN_OWN_MAX)
		lan->own[lan->n_own++] = a;
	if ((int)ifa->ifa_index != lan->ifindex || ifa->ifa_family != AF_INET || lan->n_addrs == PA_LAN_ADDRS_MAX)
		return 0;
	lan->addrs[lan->n_addrs++] = a;
	lan->on_link[lan->n_on_link++] = network_of(&a, ifa->ifa_prefixlen);
	return 0;
}

static bool known_router(const struct pa_lan *lan, const struct pa_addr *a)
{
	for (size_t i = 0; i < lan->n_routers; i++)
		if (pa_addr_eq(&lan->routers[i], a))
			return true;
	return false;
}

static void note_default(struct scan *s, int ifindex, uint32_t metric, const struct pa_addr *via)
{
	struct pa_lan *lan = s->lan;

	if (ifindex == s->without && s->without > 0)
		return;
	if (!s->have_default || metric < s->best_metric) {
		s->have_default = true;
		s->best_metric = metric;
		s->best_ifindex = ifindex;
	}
	if (ifindex == lan->ifindex && lan->ifindex > 0 && !pa_addr_is_none(via) && !known_router(lan, via) &&
	    lan->n_routers < PA_LAN_ROUTERS_MAX)
		lan->routers[lan->n_routers++] = *via;
}

static int scan_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	uint32_t metric = 0, table = rtm->rtm_table;
	struct pa_addr via = {{0}};
	const struct nlattr *attr;
	int ifindex = 0;

	if (nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_dst_len != 0 || rtm->rtm_type != RTN_UNICAST)
		return 0;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*rtm)) {
		if (mnl_attr_get_payload_len(attr) != 4)
			continue;
		switch (mnl_attr_get_type(attr)) {
		case RTA_TABLE:
			table = mnl_attr_get_u32(attr);
			break;
		case RTA_PRIORITY:
			metric = mnl_attr_get_u32(attr);
			break;
		case RTA_OIF:
			ifindex = (int)mnl_attr_get_u32(attr);
			break;
		case RTA_GATEWAY:
			via = pa_addr_from_ipv4(0);
			memcpy(via.b + 12, mnl_attr_get_payload(attr), 4);
			break;
		default:
			break;
		}
	}
	if (table == RT_TABLE_MAIN && ifindex > 0)
		note_default(arg, ifindex, metric, &via);
	return 0;
}

int pa_lan_read(struct pa_nl *nl, const char *iface, const char *without, struct pa_lan *ret)
{
	struct pa_lan lan;
	struct scan s = {.lan = &lan};
	int rc;

	memset(&lan, 0, sizeof(lan));
	rc = iface != NULL ? pa_nl_ifindex(iface) : 0;
	lan.ifindex = rc > 0 ? rc : 0;
	rc = without != NULL ? pa_nl_ifindex(without) : 0;
	s.without = rc > 0 ? rc : 0;
	rc = pa_nl_dump_all(nl, RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg), scan_addr, &s);
	if (rc == 0 && iface != NULL)
		rc = pa_nl_dump_all(nl, RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), scan_link, &s);
	if (rc == 0 && iface != NULL) /* a gateway may hold the whole Internet's routes */
		rc = pa_nl_dump_all(nl, RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), scan_route, &s);
	if (rc < 0)
		return rc;
	lan.default_elsewhere = s.have_default && s.best_ifindex != lan.ifindex;
	memcpy(ret, &lan, sizeof(lan));
	return 0;
}

struct local {
	struct pa_prefix *list;
	size_t n, cap;
};

static int add_local(struct local *l, const struct pa_prefix *p)
{
	if (l->n == l->cap) {
		size_t cap = l->cap > 0 ? 2 * l->cap : 32;
		struct pa_prefix *list = reallocarray(l->list, cap, sizeof(*list));

		if (list == NULL)
			return PA_ENOMEM;
		l->list = list;
		l->cap = cap;
	}
	l->list[l->n++] = *p;
	return 0;
}

static int scan_local(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct pa_prefix p = {pa_addr_from_ipv4(0), rtm->rtm_dst_len};
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_table != RT_TABLE_LOCAL)
		return 0;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*rtm)) {
		if (mnl_attr_get_type(attr) == RTA_DST && mnl_attr_get_payload_len(attr) == 4)
			memcpy(p.addr.b + 12, mnl_attr_get_payload(attr), 4);
	}
	return add_local(arg, &p);
}

int pa_lan_local_read(struct pa_nl *nl, struct pa_prefix **ret, size_t *ret_n)
{
	struct local l = {NULL, 0, 0};
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	int rc;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_DUMP;
	rtm->rtm_family = AF_INET;
	rtm->rtm_table = RT_TABLE_LOCAL; /* a gateway may hold the whole Internet's routes in others */
	pa_nl_filter_dumps(nl);
	rc = pa_nl_dump(nl, nlh, scan_local, &l);
	if (rc < 0) {
		free(l.list);
		return rc;
	}
	*ret = l.list;
	*ret_n = l.n;
	return 0;
}

static int take_oif(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr;
	int *ret = arg;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return 0;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(struct rtmsg)) {
		if (mnl_attr_get_type(attr) == RTA_OIF && mnl_attr_get_payload_len(attr) == 4)
			*ret = (int)mnl_attr_get_u32(attr);
	}
	return 0;
}

int pa_lan_route_ifindex(struct pa_nl *nl, const struct pa_addr *dst, uint32_t mark)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;
	int ifindex = 0, rc;

	nlh->nlmsg_type = RTM_GETROUTE;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = 32;
	mnl_attr_put(nlh, RTA_DST, 4, dst->b + 12);
	if (mark != 0)
		mnl_attr_put_u32(nlh, RTA_MARK, mark);
	rc = pa_nl_dump(nl, nlh, take_oif, &ifindex);
	if (rc < 0)
		return rc;
	return ifindex > 0 ? ifindex : PA_ENOTFOUND;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_tc.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>

#include "common/err.h"

#define HANDLE 1 /* of the one filter at our priority */
#define NAME "pubaddr"

static struct nlmsghdr *put_tc(char *buf, uint16_t type, int ifindex, uint32_t parent, struct tcmsg **ret)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tc;

	nlh->nlmsg_type = type;
	tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = parent;
	*ret = tc;
	return nlh;
}

static uint32_t side_of(bool egress)
{
	return TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
}

static int change_qdisc(struct pa_nl *nl, int ifindex, bool add)
{
	char buf[PA_NL_BUFLEN];
	struct tcmsg *tc;
	struct nlmsghdr *nlh = put_tc(buf, add ? RTM_NEWQDISC : RTM_DELQDISC, ifindex, TC_H_CLSACT, &tc);

	tc->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	if (add)
		nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	mnl_attr_put_strz(nlh, TCA_KIND, "clsact");
	return pa_nl_request(nl, nlh);
}

int pa_tc_attach(struct pa_nl *nl, const struct pa_tc_place *at, int prog_fd, bool *made_qdisc)
{
	char buf[PA_NL_BUFLEN];
	struct tcmsg *tc;
	struct nlmsghdr *nlh;
	struct nlattr *options;
	int rc = change_qdisc(nl, at->ifindex, true);
	bool made = rc == 0;

	if (rc < 0 && rc != PA_EEXIST)
		return rc;
	nlh = put_tc(buf, RTM_NEWTFILTER, at->ifindex, side_of(at->egress), &tc);
	nlh->nlmsg_flags = NLM_F_CREATE;
	tc->tcm_handle = HANDLE;
	tc->tcm_info = TC_H_MAKE((uint32_t)at->priority << 16, htons(ETH_P_ALL));
	mnl_attr_put_strz(nlh, TCA_KIND, "bpf");
	options = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	mnl_attr_put_u32(nlh, TCA_BPF_FD, (uint32_t)prog_fd);
	mnl_attr_put_strz(nlh, TCA_BPF_NAME, NAME);
	mnl_attr_put_u32(nlh, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	mnl_attr_nest_end(nlh, options);
	rc = pa_nl_request(nl, nlh);
	if (made && rc < 0)
		(void)change_qdisc(nl, at->ifindex, false);
	if (made && rc == 0)
		*made_qdisc = true;
	return rc;
}

static int see_filter(const struct nlmsghdr *msg, void *arg)
{
	(void)msg;
	*(bool *)arg = true;
	return 0;
}

/* Whether a side has a filter; when the kernel does not tell, it has. */
static bool has_filter(struct pa_nl *nl, int ifindex, bool egress)
{
	char buf[PA_NL_BUFLEN];
	struct tcmsg *tc;
	struct nlmsghdr *nlh = put_tc(buf, RTM_GETTFILTER, ifindex, side_of(egress), &tc);
	bool any = false;

	nlh->nlmsg_flags = NLM_F_DUMP;
	return pa_nl_dump(nl, nlh, see_filter, &any) < 0 || any;
}

int pa_tc_detach(struct pa_nl *nl, const struct pa_tc_place *at, bool also_qdisc)
{
	char buf[PA_NL_BUFLEN];
	struct tcmsg *tc;
	struct nlmsghdr *nlh = put_tc(buf, RTM_DELTFILTER, at->ifindex, side_of(at->egress), &tc);
	int rc;

	tc->tcm_info = TC_H_MAKE((uint32_t)at->priority << 16, htons(ETH_P_ALL));
	rc = pa_nl_request(nl, nlh);
	if (also_qdisc && !has_filter(nl, at->ifindex, false) && !has_filter(nl, at->ifindex, true))
		(void)change_qdisc(nl, at->ifindex, false);
	return rc == PA_ENOTFOUND || rc == PA_EIO ? 0 : rc; /* EINVAL: there is no such discipline */
}

/* ---- interfaces ---- */

struct addrs {
	struct pa_tc_addr *list;
	size_t n, cap;
};

static int take_addr(const struct nlmsghdr *msg, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(msg);
	struct addrs *a = arg;
	const struct nlattr *attr;

	if (msg->nlmsg_type != RTM_NEWADDR || ifa->ifa_family != AF_INET)
		return 0;
	PA_NL_EACH_ATTR(attr, msg, sizeof(*ifa)) {
		if (mnl_attr_get_type(attr) != IFA_LOCAL || mnl_attr_get_payload_len(attr) != 4 || a->n == a->cap)
			continue;
		a->list[a->n] = (struct pa_tc_addr){.ifindex = (int)ifa->ifa_index,
						    .addr = pa_addr_from_ipv4(ntohl(mnl_attr_get_u32(attr)))};
		a->n++;
	}
	return 0;
}

/* Marks what is up and no loopback by its MTU; others keep 0. */
static int take_link(const struct nlmsghdr *msg, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(msg);
	struct addrs *a = arg;
	const struct nlattr *attr;
	uint32_t mtu = 0;

	if (msg->nlmsg_type != RTM_NEWLINK || (ifi->ifi_flags & IFF_UP) == 0 || (ifi->ifi_flags & IFF_LOOPBACK) != 0)
		return 0;
	PA_NL_EACH_ATTR(attr, msg, sizeof(*ifi))
		if (mnl_attr_get_type(attr) == IFLA_MTU && mnl_attr_get_payload_len(attr) == 4)
			mtu = mnl_attr_get_u32(attr);
	for (size_t i = 0; i < a->n; i++) {
		if (a->list[i].ifindex != ifi->ifi_index)
			continue;
		a->list[i].ethernet = ifi->ifi_type == ARPHRD_ETHER;
		a->list[i].mtu = mtu;
	}
	return 0;
}

int pa_tc_addrs(struct pa_nl *nl, struct pa_tc_addr *ret, size_t cap)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct addrs a = {ret, 0, cap};
	size_t n = 0;
	int rc;

	nlh->nlmsg_type = RTM_GETADDR;
	nlh->nlmsg_flags = NLM_F_DUMP;
	((struct ifaddrmsg *)mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifaddrmsg)))->ifa_family = AF_INET;
	rc = pa_nl_dump(nl, nlh, take_addr, &a);
	if (rc < 0)
		return rc;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_DUMP;
	((struct ifinfomsg *)mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg)))->ifi_family = AF_UNSPEC;
	rc = pa_nl_dump(nl, nlh, take_link, &a);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < a.n; i++)
		if (ret[i].mtu > 0)
			ret[n++] = ret[i];
	return (int)n;
}

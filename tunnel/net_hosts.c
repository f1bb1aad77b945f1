/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/net_route.h"

#define MESSAGE_MAX 96 /* octets of one change */
#define MAIN_METRIC 1  /* behind the route of a binding with a small MTU to the same address (net_mtu.h), which comes and goes */

static void put_ipv4(struct nlmsghdr *nlh, uint16_t type, const struct pa_addr *a)
{
	mnl_attr_put(nlh, type, 4, a->b + 12);
}

static struct nlmsghdr *put_route(char *buf, const struct pa_host_change *c)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));

	nlh->nlmsg_type = c->add ? RTM_NEWROUTE : RTM_DELROUTE;
	nlh->nlmsg_flags = c->add ? NLM_F_CREATE | NLM_F_EXCL : 0;
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = 32;
	rtm->rtm_table = RT_TABLE_UNSPEC; /* RTA_TABLE has room for all numbers */
	rtm->rtm_protocol = c->protocol;
	rtm->rtm_type = RTN_UNICAST;
	rtm->rtm_scope = RT_SCOPE_LINK;
	mnl_attr_put_u32(nlh, RTA_TABLE, c->table);
	put_ipv4(nlh, RTA_DST, &c->addr);
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)c->ifindex);
	if (c->add && c->table == PA_TABLE_MAIN) /* whatever its metric, it is the protocol that makes it ours to delete */
		mnl_attr_put_u32(nlh, RTA_PRIORITY, MAIN_METRIC);
	return nlh;
}

static struct nlmsghdr *put_proxy(char *buf, const struct pa_host_change *c)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));

	nlh->nlmsg_type = c->add ? RTM_NEWNEIGH : RTM_DELNEIGH;
	nlh->nlmsg_flags = c->add ? NLM_F_CREATE | NLM_F_REPLACE : 0;
	ndm->ndm_family = AF_INET;
	ndm->ndm_ifindex = c->ifindex;
	ndm->ndm_flags = NTF_PROXY;
	ndm->ndm_state = NUD_PERMANENT;
	put_ipv4(nlh, NDA_DST, &c->addr);
	if (c->add)
		mnl_attr_put_u8(nlh, NDA_PROTOCOL, PA_ROUTE_PROTOCOL);
	return nlh;
}

struct outcome {
	const struct pa_host_change *changes;
	int refused, error;
};

/* The kernel's word about change i: only what it refuses comes here. */
static void on_refused(void *arg, unsigned i, int error)
{
	struct outcome *o = arg;

	if (o->changes[i].add ? error == EEXIST : error == ESRCH || error == ENOENT || error == ENODEV)
		return;
	o->refused++;
	o->error = error;
}

int pa_net_hosts_apply(struct pa_nl *nl, const struct pa_host_change *changes, size_t n)
{
	_Alignas(struct nlmsghdr) char buf[PA_HOSTS_BATCH * MESSAGE_MAX];
	struct outcome o = {.changes = changes};
	size_t len = 0;
	int rc;

	PA_REQUIRE(n <= PA_HOSTS_BATCH);
	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const struct nlmsghdr *nlh = changes[i].kind == PA_HOST_ROUTE ? put_route(buf + len, &changes[i]) :
										put_proxy(buf + len, &changes[i]);

		len += NLMSG_ALIGN(nlh->nlmsg_len);
	}
	rc = pa_nl_batch(nl, buf, len, on_refused, &o);
	if (rc == 0 && o.refused > 0)
		errno = o.error;
	return rc < 0 ? rc : o.refused;
}

/* ---- what there is ---- */

struct listing {
	int oif;
	int (*fn)(void *arg, const struct pa_host_change *found);
	void *arg;
};

/* The IPv4 address in attr, if it is one. */
static bool take_ipv4(const struct nlattr *attr, struct pa_addr *ret)
{
	if (mnl_attr_get_payload_len(attr) != 4)
		return false;
	*ret = pa_addr_from_ipv4(0);
	memcpy(ret->b + 12, mnl_attr_get_payload(attr), 4);
	return true;
}

static int list_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct pa_host_change c = {.kind = PA_HOST_ROUTE, .table = rtm->rtm_table, .protocol = rtm->rtm_protocol};
	const struct listing *l = arg;
	const struct nlattr *attr;
	bool any = false;

	if (nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_dst_len != 32 || rtm->rtm_type != RTN_UNICAST)
		return 0;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*rtm)) {
		if (mnl_attr_get_type(attr) == RTA_DST)
			any = take_ipv4(attr, &c.addr);
		else if (mnl_attr_get_type(attr) == RTA_TABLE && mnl_attr_get_payload_len(attr) == 4)
			c.table = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == RTA_OIF && mnl_attr_get_payload_len(attr) == 4)
			c.ifindex = (int)mnl_attr_get_u32(attr);
	}
	return any && c.ifindex == l->oif && c.table != RT_TABLE_LOCAL ? l->fn(l->arg, &c) : 0;
}

int pa_net_hosts_routes(struct pa_nl *nl, int oif, int (*fn)(void *arg, const struct pa_host_change *found), void *arg)
{
	struct listing l = {oif, fn, arg};

	return pa_nl_dump_all(nl, RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), list_route, &l);
}

static int list_proxy(const struct nlmsghdr *nlh, void *arg)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	struct pa_host_change c = {.kind = PA_HOST_PROXY, .ifindex = ndm->ndm_ifindex};
	const struct listing *l = arg;
	const struct nlattr *attr;
	bool any = false;

	if (nlh->nlmsg_type != RTM_NEWNEIGH || (ndm->ndm_flags & NTF_PROXY) == 0)
		return 0;
	PA_NL_EACH_ATTR(attr, nlh, sizeof(*ndm)) {
		if (mnl_attr_get_type(attr) == NDA_DST)
			any = take_ipv4(attr, &c.addr);
		else if (mnl_attr_get_type(attr) == NDA_PROTOCOL && mnl_attr_get_payload_len(attr) == 1)
			c.protocol = mnl_attr_get_u8(attr);
	}
	return any && c.protocol == PA_ROUTE_PROTOCOL ? l->fn(l->arg, &c) : 0;
}

int pa_net_hosts_proxies(struct pa_nl *nl, int (*fn)(void *arg, const struct pa_host_change *found), void *arg)
{
	struct listing l = {0, fn, arg};
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));

	nlh->nlmsg_type = RTM_GETNEIGH;
	nlh->nlmsg_flags = NLM_F_DUMP;
	ndm->ndm_family = AF_INET;
	ndm->ndm_flags = NTF_PROXY;
	return pa_nl_dump(nl, nlh, list_proxy, &l);
}

/* ---- announcements ---- */

int pa_net_arp_open(int *ret_fd)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* protocol 0: nothing is received */

	if (fd < 0)
		return errno == EPERM || errno == EACCES ? PA_EDENIED : PA_EIO;
	*ret_fd = fd;
	return 0;
}

int pa_net_arp_announce(int fd, int ifindex, const struct pa_addr *addr)
{
	struct ether_arp arp = {.ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER), .ar_pro = htons(ETHERTYPE_IP), .ar_hln = ETH_ALEN,
					   .ar_pln = 4, .ar_op = htons(ARPOP_REQUEST)}};
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE_ARP), .sll_ifindex = ifindex,
				 .sll_halen = ETH_ALEN};
	struct ifreq req;

	memset(&req, 0, sizeof(req));
	if (if_indextoname((unsigned)ifindex, req.ifr_name) == NULL || ioctl(fd, SIOCGIFHWADDR, &req) < 0 ||
	    req.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return PA_ENOTFOUND;
	memcpy(arp.arp_sha, req.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(arp.arp_spa, addr->b + 12, 4);
	memcpy(arp.arp_tpa, addr->b + 12, 4);
	memset(to.sll_addr, 0xff, ETH_ALEN);
	return sendto(fd, &arp, sizeof(arp), 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)sizeof(arp) ? 0 : PA_EIO;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_veth.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "tunnel/net_route.h"

#define MAC_LEN 6

const char *pa_veth_name(const char *device, char dst[16])
{
	(void)snprintf(dst, 16, "%.12s-ns", device);
	return dst;
}

static void put_end(struct nlmsghdr *nlh, const char *name, uint16_t mtu, const uint8_t mac[MAC_LEN])
{
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	mnl_attr_put(nlh, IFLA_ADDRESS, MAC_LEN, mac);
}

/* Settings of the interface's IPv4, as sysctl has them. */
static int set_ipv4(struct pa_nl *nl, int ifindex, uint32_t forwarding, bool strict)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = pa_nl_put_link(buf, RTM_NEWLINK, ifindex, 0);
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet = mnl_attr_nest_start(nlh, AF_INET);
	struct nlattr *conf = mnl_attr_nest_start(nlh, IFLA_INET_CONF);

	mnl_attr_put_u32(nlh, IPV4_DEVCONF_FORWARDING, forwarding);
	if (strict)
		mnl_attr_put_u32(nlh, IPV4_DEVCONF_RP_FILTER, 1);
	mnl_attr_nest_end(nlh, conf);
	mnl_attr_nest_end(nlh, inet);
	mnl_attr_nest_end(nlh, spec);
	return pa_nl_request(nl, nlh);
}

/*
 * Who has the namespace may send whatever he likes. A router advertisement of his would become the host's default route, and no rule
 * of ours sees IPv6. Where settings cannot be written, IPv6 may be off already.
 */
static int refuse_ipv6(const char *name)
{
	char path[72], value[8];
	int fd, e, n;
	bool done;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0; /* the kernel has no IPv6 */
	done = fd >= 0 && write(fd, "1", 1) == 1;
	e = errno;
	if (fd >= 0)
		close(fd);
	if (done)
		return 0;
	n = pa_proc_read(path, value, sizeof(value));
	errno = e;
	return n > 0 && value[0] == '1' ? 0 : PA_EDENIED;
}

int pa_veth_open(struct pa_nl *nl, const char *device, pid_t pid, uint16_t mtu)
{
	uint8_t mac[MAC_LEN];
	char buf[PA_NL_BUFLEN], name[16];
	struct nlmsghdr *nlh = pa_nl_put_link(buf, RTM_NEWLINK, 0, IFF_NOARP);
	struct nlattr *info, *data, *peer;
	struct ifinfomsg *ifm;
	int ifindex, rc, e;

	pa_random(mac, sizeof(mac));
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); /* unicast, locally administered */
	put_end(nlh, pa_veth_name(device, name), mtu, mac);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	ifm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifm));
	ifm->ifi_flags = ifm->ifi_change = IFF_NOARP;
	put_end(nlh, device, mtu, mac);
	mnl_attr_put_u32(nlh, IFLA_NET_NS_PID, (uint32_t)pid);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	rc = pa_nl_request(nl, nlh);
	if (rc < 0)
		return rc;
	ifindex = pa_nl_ifindex(name);
	nlh = pa_nl_put_link(buf, RTM_NEWLINK, ifindex, 0);
	pa_nl_put_no_ipv6(nlh);
	(void)pa_nl_request(nl, nlh); /* fails where the kernel has no IPv6, which is as good */
	rc = ifindex > 0 ? refuse_ipv6(name) : ifindex;
	if (rc == 0)
		rc = set_ipv4(nl, ifindex, 1, true);
	e = errno;
	if (rc < 0)
		pa_veth_remove(nl, device);
	errno = e;
	return rc;
}

void pa_veth_remove(struct pa_nl *nl, const char *device)
{
	char buf[PA_NL_BUFLEN], name[16];
	int ifindex = pa_nl_ifindex(pa_veth_name(device, name));

	if (ifindex > 0)
		(void)pa_nl_request(nl, pa_nl_put_link(buf, RTM_DELLINK, ifindex, 0));
}

/*
 * The route that makes P the host's own, which the kernel adds with an address; ours has the same values. It goes
 * beside the one of another interface that has P too (the LAN's, in native and auto), and stays when that one goes.
 */
static int local_route(struct pa_nl *nl, int ifindex, const struct pa_addr *addr, bool add)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;
	int rc;

	nlh->nlmsg_type = add ? RTM_NEWROUTE : RTM_DELROUTE;
	nlh->nlmsg_flags = add ? NLM_F_CREATE | NLM_F_APPEND : 0;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = 32;
	rtm->rtm_table = RT_TABLE_LOCAL;
	rtm->rtm_protocol = RTPROT_KERNEL;
	rtm->rtm_type = RTN_LOCAL;
	rtm->rtm_scope = RT_SCOPE_HOST;
	mnl_attr_put(nlh, RTA_DST, 4, addr->b + 12);
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)ifindex);
	if (add)
		mnl_attr_put(nlh, RTA_PREFSRC, 4, addr->b + 12);
	rc = pa_nl_request(nl, nlh);
	return rc == (add ? PA_EEXIST : PA_ENOTFOUND) ? 0 : rc;
}

int pa_veth_divert(struct pa_nl *nl, const char *device, int ifindex, const struct pa_addr *addr, bool to_ns)
{
	char buf[PA_NL_BUFLEN], name[16];
	struct pa_route route;
	int rc;

	if (!to_ns) {
		(void)set_ipv4(nl, ifindex, 0, false);
		return local_route(nl, ifindex, addr, true);
	}
	memset(&route, 0, sizeof(route));
	route.table = RT_TABLE_MAIN;
	route.dst.addr = *addr;
	route.dst.len = 32;
	route.ifindex = pa_nl_ifindex(pa_veth_name(device, name));
	rc = route.ifindex > 0 ? pa_nl_request(nl, pa_nl_put_link(buf, RTM_NEWLINK, route.ifindex, IFF_UP | IFF_NOARP)) : route.ifindex;
	if (rc == 0)
		rc = pa_net_route_add(nl, &route, false); /* it goes with the interface */
	if (rc == PA_EEXIST)
		rc = 0;
	if (rc == 0)
		rc = set_ipv4(nl, ifindex, 1, false);
	return rc == 0 ? local_route(nl, ifindex, addr, false) : rc;
}

static int inside(struct pa_nl *nl, const char *device, const struct pa_addr *addr)
{
	int lo = pa_nl_ifindex("lo"), dev = pa_nl_ifindex(device), rc;
	char buf[PA_NL_BUFLEN];
	struct pa_route route;
	struct nlmsghdr *nlh;

	if (lo < 0 || dev < 0)
		return PA_ENOTFOUND;
	rc = pa_nl_request(nl, pa_nl_put_link(buf, RTM_NEWLINK, lo, IFF_UP));
	if (rc < 0)
		return rc;
	nlh = pa_nl_put_link(buf, RTM_NEWLINK, dev, 0);
	pa_nl_put_no_ipv6(nlh);
	(void)pa_nl_request(nl, nlh);
	rc = pa_nl_request(nl, pa_nl_put_link(buf, RTM_NEWLINK, dev, IFF_UP | IFF_NOARP));
	if (rc == 0)
		rc = pa_net_addr_add(nl, dev, addr);
	memset(&route, 0, sizeof(route));
	route.table = RT_TABLE_MAIN;
	route.dst.addr = pa_addr_from_ipv4(0);
	route.ifindex = dev;
	route.src = *addr;
	return rc == 0 ? pa_net_route_add(nl, &route, false) : rc;
}

int pa_veth_inside(const char *device, const struct pa_addr *addr, char err[PA_VETH_ERRLEN])
{
	struct pa_nl *nl;
	int rc = pa_nl_open(&nl);

	if (rc == 0) {
		rc = inside(nl, device, addr);
		pa_nl_close(nl);
	}
	if (rc < 0)
		(void)snprintf(err, PA_VETH_ERRLEN, "cannot set up %s in the namespace: %s", device, strerror(errno));
	return rc;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_tun.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/net_route.h"

/* Packets that may wait for us in the device: some bursts of 64 KB, split by the kernel, from several flows. */
#define QUEUE_LEN 1000

static int attach(const char *name, struct pa_tun *t, char err[PA_TUN_ERRLEN])
{
	struct ifreq ifr;
	int e;

	t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0) {
		e = errno;
		(void)snprintf(err, PA_TUN_ERRLEN, "/dev/net/tun: %s; %s", strerror(e), e == EACCES || e == EPERM ?
			       "it needs CAP_NET_ADMIN, run as root" : "load the kernel module tun");
		return e == EACCES || e == EPERM ? PA_EDENIED : PA_ENOTSUP;
	}
	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(t->fd, TUNSETIFF, &ifr) == 0) {
		(void)snprintf(t->name, sizeof(t->name), "%s", ifr.ifr_name);
		return 0;
	}
	e = errno;
	close(t->fd);
	t->fd = -1;
	if (e == EBUSY || e == EINVAL) {
		(void)snprintf(err, PA_TUN_ERRLEN, "%s: another process or driver holds this interface; stop it or choose "
			       "another \"device\"", name);
		return PA_EEXIST;
	}
	(void)snprintf(err, PA_TUN_ERRLEN, "%s: cannot create the TUN interface: %s; it needs CAP_NET_ADMIN, run as root", name, strerror(e));
	return e == EPERM ? PA_EDENIED : PA_EIO;
}

static struct nlmsghdr *put_link(char *buf, int ifindex, unsigned flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifm;

	nlh->nlmsg_type = RTM_NEWLINK;
	ifm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifm));
	ifm->ifi_family = AF_UNSPEC;
	ifm->ifi_index = ifindex;
	ifm->ifi_flags = flags;
	ifm->ifi_change = flags;
	return nlh;
}

/* P is IPv4: no link-local address, and so no router solicitations or MLD reports, on the device. */
static void switch_ipv6_off(struct pa_nl *nl, int ifindex)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = put_link(buf, ifindex, 0);
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(nlh, AF_INET6);

	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	(void)pa_nl_request(nl, nlh); /* fails where the kernel has no IPv6, which is as good */
}

int pa_tun_ignore_idle(struct pa_nl *nl, const struct pa_tun *t, bool on)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = put_link(buf, t->ifindex, 0);
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet = mnl_attr_nest_start(nlh, AF_INET);
	struct nlattr *conf = mnl_attr_nest_start(nlh, IFLA_INET_CONF);

	mnl_attr_put_u32(nlh, IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN, on ? 1 : 0);
	mnl_attr_nest_end(nlh, conf);
	mnl_attr_nest_end(nlh, inet);
	mnl_attr_nest_end(nlh, spec);
	return pa_nl_request(nl, nlh);
}

int pa_tun_set_mtu(struct pa_nl *nl, const struct pa_tun *t, uint16_t mtu)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = put_link(buf, t->ifindex, 0);

	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	return pa_nl_request(nl, nlh);
}

static int bring_up(struct pa_nl *nl, int ifindex)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = put_link(buf, ifindex, IFF_UP);

	mnl_attr_put_u32(nlh, IFLA_TXQLEN, QUEUE_LEN);
	return pa_nl_request(nl, nlh);
}

int pa_tun_open(struct pa_nl *nl, const char *name, uint16_t mtu, const struct pa_addr *keep, struct pa_tun *ret,
		char err[PA_TUN_ERRLEN])
{
	struct pa_tun t = {-1, 0, false, ""};
	int rc;

	if (strlen(name) >= IFNAMSIZ) {
		(void)snprintf(err, PA_TUN_ERRLEN, "%.40s: an interface name has at most %d characters", name, IFNAMSIZ - 1);
		return PA_EINVAL;
	}
	t.adopted = pa_nl_ifindex(name) > 0;
	rc = attach(name, &t, err);
	if (rc < 0)
		return rc;
	t.ifindex = pa_nl_ifindex(t.name);
	rc = t.ifindex > 0 ? 0 : t.ifindex;
	if (rc == 0)
		switch_ipv6_off(nl, t.ifindex);
	if (rc == 0)
		rc = pa_net_addr_flush(nl, t.ifindex, keep);
	if (rc == 0)
		rc = pa_tun_set_mtu(nl, &t, mtu);
	if (rc == 0)
		rc = bring_up(nl, t.ifindex);
	if (rc == 0 && ioctl(t.fd, TUNSETPERSIST, 1UL) < 0)
		rc = PA_EIO;
	if (rc < 0) {
		(void)snprintf(err, PA_TUN_ERRLEN, "%s: cannot set up the interface (MTU %u): %s", name, (unsigned)mtu,
			       strerror(errno));
		pa_tun_close(&t);
		return rc;
	}
	*ret = t;
	return 0;
}

void pa_tun_close(struct pa_tun *t)
{
	if (t->fd >= 0) {
		(void)ioctl(t->fd, TUNSETPERSIST, 0UL);
		close(t->fd);
	}
	t->fd = -1;
	t->ifindex = 0;
}

bool pa_tun_present(const struct pa_tun *t)
{
	return t->fd >= 0 && pa_nl_ifindex(t->name) == t->ifindex;
}

int pa_tun_remove(const char *name, char err[PA_TUN_ERRLEN])
{
	struct pa_tun t = {-1, 0, false, ""};
	int rc;

	if (strlen(name) >= IFNAMSIZ || pa_nl_ifindex(name) < 0)
		return 0;
	rc = attach(name, &t, err);
	pa_tun_close(&t);
	return rc;
}

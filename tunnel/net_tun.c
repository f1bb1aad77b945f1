/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_tun.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/dp_steer.h"
#include "tunnel/net_offload.h"
#include "tunnel/net_route.h"

/* Packets that may wait for us in the device: some bursts of 64 KB, split by the kernel, from several flows. */
#define QUEUE_LEN 1000

struct attempt {
	int fd;
	struct ifreq ifr;
};

static bool take_flags(void *ctx, unsigned flags)
{
	struct attempt *a = ctx;

	a->ifr.ifr_flags = (short)flags;
	return ioctl(a->fd, TUNSETIFF, &a->ifr) == 0 || errno != EINVAL; /* another reason does not go away */
}

static bool take_offload(void *ctx, unsigned bits)
{
	return ioctl(*(int *)ctx, TUNSETOFFLOAD, (unsigned long)bits) == 0;
}

/* A device keeps the offloads of its former owner, so without the header that describes them they have to go. */
static void set_offload(int fd, bool header)
{
	unsigned steps[PA_OFFLOAD_STEPS];
	int len = sizeof(struct virtio_net_hdr);

	pa_offload_steps(steps);
	if (header && ioctl(fd, TUNSETVNETHDRSZ, &len) == 0)
		(void)pa_first_step(steps, PA_OFFLOAD_STEPS, take_offload, &fd);
	else
		(void)take_offload(&fd, 0);
}

static int open_driver(char err[PA_TUN_ERRLEN], int *ret)
{
	int e, fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0) {
		*ret = fd;
		return 0;
	}
	e = errno;
	(void)snprintf(err, PA_TUN_ERRLEN, "/dev/net/tun: %s; %s", strerror(e), e == EACCES || e == EPERM ?
		       "it needs CAP_NET_ADMIN, run as root" : "load the kernel module tun");
	return e == EACCES || e == EPERM ? PA_EDENIED : PA_ENOTSUP;
}

static int find_carrier(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr;

	PA_NL_EACH_ATTR(attr, nlh, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(attr) == IFLA_CARRIER && mnl_attr_get_payload_len(attr) == 1)
			*(bool *)arg = mnl_attr_get_u8(attr) != 0;
	}
	return 0;
}

/* Does a process hold the device? Of a device with several queues the kernel would give us one more, so ask for its carrier. */
static bool is_served(const char *name)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifm));
	struct pa_nl *nl = NULL;
	bool carrier = false;

	ifm->ifi_index = pa_nl_ifindex(name);
	nlh->nlmsg_type = RTM_GETLINK;
	if (ifm->ifi_index > 0 && pa_nl_open(&nl) == 0)
		(void)pa_nl_dump(nl, nlh, find_carrier, &carrier);
	pa_nl_close(nl);
	return carrier;
}

/* *flags: those that it was attached with, for more queues. */
static int attach(const char *name, bool queues, struct pa_tun *t, unsigned *flags, char err[PA_TUN_ERRLEN])
{
	unsigned features = 0, steps[PA_ATTACH_STEPS];
	struct attempt a = {.fd = -1};
	size_t n, taken;
	int e = EBUSY, rc = open_driver(err, &a.fd);

	if (rc < 0)
		return rc;
	memcpy(a.ifr.ifr_name, name, strlen(name));
	(void)ioctl(a.fd, TUNGETFEATURES, &features);
	n = pa_attach_steps(features, queues, steps);
	if (!is_served(name)) {
		errno = 0;
		taken = pa_first_step(steps, n, take_flags, &a);
		e = errno;
		if (taken < n && ioctl(a.fd, TUNGETIFF, &a.ifr) == 0) {
			*flags = steps[taken];
			set_offload(a.fd, (*flags & IFF_VNET_HDR) != 0);
			t->fd = t->queues[0] = a.fd;
			t->n_queues = 1;
			(void)snprintf(t->name, sizeof(t->name), "%s", a.ifr.ifr_name);
			return 0;
		}
	}
	close(a.fd);
	if (e == EBUSY || e == EINVAL) {
		(void)snprintf(err, PA_TUN_ERRLEN, "%s: another process or driver holds this interface; stop it or choose "
			       "another \"device\"", name);
		return PA_EEXIST;
	}
	(void)snprintf(err, PA_TUN_ERRLEN, "%s: cannot create the TUN interface: %s; it needs CAP_NET_ADMIN, run as root", name, strerror(e));
	return e == EPERM ? PA_EDENIED : PA_EIO;
}

void pa_tun_single(struct pa_tun *t)
{
	while (t->n_queues > 1)
		close(t->queues[--t->n_queues]);
}

/* More queues, if the device was made for them. */
static void add_queues(struct pa_tun *t, unsigned flags, unsigned want)
{
	char err[PA_TUN_ERRLEN];

	while ((flags & IFF_MULTI_QUEUE) != 0 && t->n_queues < want && t->n_queues < PA_TUN_QUEUES_MAX) {
		struct attempt a = {.fd = -1};

		if (open_driver(err, &a.fd) < 0)
			break;
		memcpy(a.ifr.ifr_name, t->name, sizeof(t->name));
		a.ifr.ifr_flags = (short)flags;
		if (ioctl(a.fd, TUNSETIFF, &a.ifr) < 0) {
			close(a.fd);
			break;
		}
		t->queues[t->n_queues++] = a.fd;
	}
	if (t->n_queues > 1 && pa_steer_queues(t->fd) < 0)
		pa_tun_single(t);
}

/* P is IPv4: no link-local address, and so no router solicitations or MLD reports, on the device. */
static void switch_ipv6_off(struct pa_nl *nl, int ifindex)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = pa_nl_put_link(buf, RTM_NEWLINK, ifindex, 0);

	pa_nl_put_no_ipv6(nlh);
	(void)pa_nl_request(nl, nlh); /* fails where the kernel has no IPv6, which is as good */
}

int pa_tun_ignore_idle(struct pa_nl *nl, const struct pa_tun *t, bool on)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = pa_nl_put_link(buf, RTM_NEWLINK, t->ifindex, 0);
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
	struct nlmsghdr *nlh = pa_nl_put_link(buf, RTM_NEWLINK, t->ifindex, 0);

	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	return pa_nl_request(nl, nlh);
}

static int bring_up(struct pa_nl *nl, int ifindex)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = pa_nl_put_link(buf, RTM_NEWLINK, ifindex, IFF_UP);

	mnl_attr_put_u32(nlh, IFLA_TXQLEN, QUEUE_LEN);
	return pa_nl_request(nl, nlh);
}

int pa_tun_open(struct pa_nl *nl, const char *name, uint16_t mtu, const struct pa_addr *keep, unsigned queues,
		struct pa_tun *ret, char err[PA_TUN_ERRLEN])
{
	struct pa_tun t = {.fd = -1};
	unsigned flags = 0;
	int rc;

	if (strlen(name) >= IFNAMSIZ) {
		(void)snprintf(err, PA_TUN_ERRLEN, "%.40s: an interface name has at most %d characters", name, IFNAMSIZ - 1);
		return PA_EINVAL;
	}
	t.adopted = pa_nl_ifindex(name) > 0;
	rc = attach(name, queues > 1, &t, &flags, err);
	if (rc < 0)
		return rc;
	add_queues(&t, flags, queues);
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
	pa_tun_single(t);
	if (t->fd >= 0) {
		(void)ioctl(t->fd, TUNSETPERSIST, 0UL);
		close(t->fd);
	}
	t->fd = -1;
	t->n_queues = 0;
	t->ifindex = 0;
}

bool pa_tun_present(const struct pa_tun *t)
{
	return t->fd >= 0 && pa_nl_ifindex(t->name) == t->ifindex;
}

int pa_tun_remove(const char *name, char err[PA_TUN_ERRLEN])
{
	struct pa_tun t = {.fd = -1};
	unsigned flags;
	int rc;

	if (strlen(name) >= IFNAMSIZ || pa_nl_ifindex(name) < 0)
		return 0;
	rc = attach(name, false, &t, &flags, err);
	pa_tun_close(&t);
	return rc;
}

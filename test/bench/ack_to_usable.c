/* SPDX-License-Identifier: MPL-2.0 */
/*
 * ack_to_usable IFACE TUNNEL PEER PORT SECONDS: watches one DHCP lease and the public address that comes with it, and says
 * when each step happened. It prints
 *	ready			now start the DHCP client
 *	usable P T1 T2 T3 T4	microseconds from the arrival of the DHCP ACK on IFACE until: an address is on IFACE, the first
 *				packet of the tunnel leaves, the last one before the end comes in (ACCEPT), P is usable
 *	reached			a UDP datagram from PEER arrived at P's port PORT
 * and ends with 0, or with 1 and a reason if that took more than SECONDS. P is usable as soon as a route lookup for PEER
 * gives TUNNEL and P as source, and a socket can be bound to P.
 * Packets carry the kernel's time stamps. Changes of addresses, routes and rules have none: after each announcement the
 * lookup is made, and the clock read when it has succeeded, so scheduling can only make the figure worse.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TUNNEL_PORT 6080
#define BOOTP_OPTIONS 240 /* offset of the first option, after the cookie */
#define DHCP_ACK 5

struct watch {
	const char *iface, *tunnel;
	struct in_addr peer;
	uint16_t port;
	struct mnl_socket *monitor, *lookup;
	int packets, udp;		       /* udp -1: P is not usable yet */
	int64_t ack, lan, hello, accept, usable; /* ns of CLOCK_REALTIME; 0: not yet */
	int64_t deadline;		       /* ns of CLOCK_REALTIME */
	struct in_addr p;
};

static int64_t ns_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

static int64_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ns_of(&ts);
}

static void die(const char *what)
{
	fprintf(stderr, "ack_to_usable: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- packets on IFACE ---- */

static int open_packets(const char *iface)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ll.sll_ifindex = (int)if_nametoindex(iface);
	if (fd < 0 || ll.sll_ifindex == 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		die(iface);
	return fd;
}

static bool is_dhcp_ack(const uint8_t *dhcp, size_t len)
{
	size_t i = BOOTP_OPTIONS;

	if (len < BOOTP_OPTIONS || dhcp[0] != 2)
		return false;
	while (i + 2 < len && dhcp[i] != 255) {
		if (dhcp[i] == 0) {
			i++;
			continue;
		}
		if (dhcp[i] == 53)
			return dhcp[i + 2] == DHCP_ACK;
		i += 2U + dhcp[i + 1];
	}
	return false;
}

/* The first ACK and the first packet of the tunnel after it count, and the last packet that comes in by the tunnel. */
static void note_packet(struct watch *w, const uint8_t *pkt, size_t len, int64_t at)
{
	struct iphdr ip;
	struct udphdr udp;
	size_t hlen;

	if (len < sizeof(ip))
		return;
	memcpy(&ip, pkt, sizeof(ip));
	hlen = ip.ihl * 4U;
	if (ip.version != 4 || ip.protocol != IPPROTO_UDP || len < hlen + sizeof(udp))
		return;
	memcpy(&udp, pkt + hlen, sizeof(udp));
	if (w->ack == 0) {
		if (ntohs(udp.dest) == 68 && is_dhcp_ack(pkt + hlen + sizeof(udp), len - hlen - sizeof(udp)))
			w->ack = at;
	} else if (ntohs(udp.dest) == TUNNEL_PORT) {
		if (w->hello == 0)
			w->hello = at;
	} else if (ntohs(udp.source) == TUNNEL_PORT && (w->usable == 0 || at < w->usable)) {
		w->accept = at;
	}
}

static void read_packets(struct watch *w)
{
	uint8_t pkt[2048], control[CMSG_SPACE(sizeof(struct timespec))];
	struct iovec iov = {pkt, sizeof(pkt)};
	struct timespec ts;

	for (;;) {
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		ssize_t len = recvmsg(w->packets, &m, 0);

		if (len < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
			if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
				continue;
			memcpy(&ts, CMSG_DATA(c), sizeof(ts));
			note_packet(w, pkt, (size_t)len, ns_of(&ts));
		}
	}
}

/* ---- what the kernel's routing says ---- */

static struct mnl_socket *open_netlink(unsigned groups)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (s == NULL || mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0)
		die("netlink");
	return s;
}

struct route {
	char device[IF_NAMESIZE];
	struct in_addr source;
};

static int read_attribute(const struct nlattr *a, void *data)
{
	struct route *r = data;

	if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		(void)if_indextoname(mnl_attr_get_u32(a), r->device);
	else if (mnl_attr_get_type(a) == RTA_PREFSRC && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		r->source.s_addr = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int read_route(const struct nlmsghdr *nlh, void *data)
{
	return nlh->nlmsg_type == RTM_NEWROUTE ? mnl_attr_parse(nlh, sizeof(struct rtmsg), read_attribute, data) : MNL_CB_OK;
}

/* False: there is no route. */
static bool lookup(struct watch *w, struct route *ret)
{
	char buf[8192];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;
	ssize_t n;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = 32;
	mnl_attr_put_u32(nlh, RTA_DST, w->peer.s_addr);
	memset(ret, 0, sizeof(*ret));
	if (mnl_socket_sendto(w->lookup, nlh, nlh->nlmsg_len) < 0)
		die("route lookup");
	n = mnl_socket_recvfrom(w->lookup, buf, sizeof(buf));
	return n > 0 && mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(w->lookup), read_route, ret) >= 0;
}

static bool bind_to(struct watch *w, struct in_addr p)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = p, .sin_port = htons(w->port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		close(fd);
		return false;
	}
	w->udp = fd;
	w->p = p;
	return true;
}

static void look(struct watch *w)
{
	struct route r;

	if (w->usable == 0 && lookup(w, &r) && strcmp(r.device, w->tunnel) == 0 && r.source.s_addr != 0 &&
	    bind_to(w, r.source))
		w->usable = now();
}

static int note_change(const struct nlmsghdr *nlh, void *data)
{
	struct watch *w = data;
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	char name[IF_NAMESIZE];

	if (nlh->nlmsg_type == RTM_NEWADDR && w->ack != 0 && w->lan == 0 && if_indextoname(ifa->ifa_index, name) != NULL &&
	    strcmp(name, w->iface) == 0)
		w->lan = now();
	return MNL_CB_OK;
}

static void read_changes(struct watch *w)
{
	char buf[8192];
	ssize_t n = mnl_socket_recvfrom(w->monitor, buf, sizeof(buf));

	if (n > 0)
		(void)mnl_cb_run(buf, (size_t)n, 0, 0, note_change, w);
	look(w);
}

/* ---- ---- */

static void too_late(const struct watch *w)
{
	fprintf(stderr, "ack_to_usable: waited in vain for %s\n",
		w->ack == 0 ? "a DHCP ACK" : w->hello == 0 ? "the tunnel's first packet" : w->accept == 0 ? "the gateway's answer" :
		w->usable == 0 ? "the public address" : "the peer's datagram");
	exit(1);
}

static void wait_for(const struct watch *w, struct pollfd *fds, nfds_t n)
{
	int64_t left = w->deadline - now();

	if (left <= 0 || poll(fds, n, (int)(left / 1000000) + 1) == 0)
		too_late(w);
}

static long us(const struct watch *w, int64_t at)
{
	return at > w->ack ? (long)((at - w->ack) / 1000) : 0;
}

static void await_address(struct watch *w)
{
	struct pollfd fds[] = {{w->packets, POLLIN, 0}, {mnl_socket_get_fd(w->monitor), POLLIN, 0}};
	char text[INET_ADDRSTRLEN];

	while (w->usable == 0) {
		wait_for(w, fds, 2);
		read_packets(w);
		if (fds[1].revents != 0)
			read_changes(w);
	}
	read_packets(w);
	if (w->ack == 0 || w->hello == 0 || w->accept == 0)
		too_late(w);
	printf("usable %s %ld %ld %ld %ld\n", inet_ntop(AF_INET, &w->p, text, sizeof(text)), us(w, w->lan), us(w, w->hello),
	       us(w, w->accept), us(w, w->usable));
}

static void await_datagram(struct watch *w)
{
	struct pollfd fd = {w->udp, POLLIN, 0};
	struct sockaddr_in from = {.sin_family = AF_UNSPEC};
	socklen_t len = sizeof(from);
	char buf[64];

	do {
		wait_for(w, &fd, 1);
		len = sizeof(from);
		if (recvfrom(w->udp, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len) < 0)
			continue;
	} while (from.sin_addr.s_addr != w->peer.s_addr);
	puts("reached");
}

int main(int argc, char **argv)
{
	struct watch w = {.udp = -1};
	struct route r;

	if (argc != 6 || inet_pton(AF_INET, argv[3], &w.peer) != 1) {
		fprintf(stderr, "usage: ack_to_usable IFACE TUNNEL PEER PORT SECONDS\n");
		return 2;
	}
	w.iface = argv[1];
	w.tunnel = argv[2];
	w.port = (uint16_t)strtoul(argv[4], NULL, 10);
	w.deadline = now() + strtol(argv[5], NULL, 10) * 1000000000;
	w.packets = open_packets(w.iface);
	w.monitor = open_netlink(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE);
	w.lookup = open_netlink(0);
	if (lookup(&w, &r) && strcmp(r.device, w.tunnel) == 0) {
		fprintf(stderr, "ack_to_usable: the route to the peer leaves by %s already\n", w.tunnel);
		return 1;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	await_address(&w);
	await_datagram(&w);
	return 0;
}

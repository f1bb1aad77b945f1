/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The data path in the kernel, its programs run by the kernel on packets made here (BPF_PROG_TEST_RUN). Each test has a network
 * namespace and a BPF file system of its own, which needs root. What a program decides is compared with what the data
 * path of the process does with the same packet, real sockets and all.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "tunnel/dp_kern_int.h"
#include "tunnel/net_hops.h"
#include "tunnel/net_udp.h"

TestSuite(dp_kern, .timeout = 120);

#define ETH 14
#define OUTER 28
#define SHOT 2
#define REDIRECTED 7
#define UP ((uint32_t)-1)
#define P "203.0.113.7"
#define CLIENT "192.0.2.99" /* its mapped address */
#define GATEWAY "198.51.100.10"
#define PEER "192.0.2.10"

struct bed {
	struct pa_dp *kern, *user;
	struct pa_dp_config cfg;
	struct pa_dp_kern_config k;
	struct pa_deny deny;
	struct pa_endpoint listen;
	struct pa_prefix pool, lan, allow, own;
	uint16_t ports[2];
	uv_loop_t loop;
	int device[2], udp, far; /* of user: its device and our end, its socket and the other one's */
	struct pa_endpoint user_at, far_at;
	char err[PA_DP_KERN_ERRLEN], dir[64];
	unsigned foreigns;
};

static struct pa_addr addr_of(const char *s)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(s, &a), 0, "%s", s);
	return a;
}

static struct pa_prefix prefix_of(const char *s)
{
	struct pa_prefix p;

	cr_assert_eq(pa_prefix_parse(s, &p), 0, "%s", s);
	return p;
}

static void shell(const char *line)
{
	cr_assert_eq(system(line), 0, "%s", line);
}

/* An interface "eth0" towards the Internet, and a TUN device "tun0"; or a skipped test. */
static void new_world(struct bed *b)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS | CLONE_NEWNET) < 0)
		cr_skip_test("needs root for namespaces");
	cr_assert_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
		cr_skip_test("no BPF file system to be had");
	(void)snprintf(b->dir, sizeof(b->dir), "/sys/fs/bpf/pubaddr");
	shell("ip link set lo up && ip link add eth0 type veth peer name far && ip link set far up && ip link set eth0 up && "
	      "ip addr add " GATEWAY "/29 dev eth0 && ip route add default via 198.51.100.9 && "
	      "ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev eth0 && "
	      "ip tuntap add tun0 mode tun && ip link set tun0 mtu 1472 up && echo 1 >/proc/sys/net/ipv4/ip_forward");
}

static bool on_control(void *ctx, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	(void)ctx;
	(void)local;
	(void)from;
	(void)buf;
	(void)len;
	return true;
}

static void on_foreign(void *ctx, unsigned local, const struct pa_endpoint *from, const struct pa_addr *inner, size_t len)
{
	struct bed *b = ctx;

	(void)local;
	(void)from;
	(void)inner;
	(void)len;
	b->foreigns++;
}

static int udp_open(struct pa_endpoint *at)
{
	struct pa_udp_config cfg = {.bind = {addr_of("127.0.0.1"), 0}};
	char err[PA_UDP_ERRLEN] = "";
	int fd;

	cr_assert_eq(pa_udp_open(&cfg, &fd, err), 0, "%s", err);
	*at = (struct pa_endpoint){cfg.bind.addr, pa_udp_port(fd)};
	return fd;
}

static void configure(struct bed *b, enum pa_dp_role role)
{
	b->pool = prefix_of("203.0.113.0/24");
	b->lan = prefix_of("198.51.100.8/29");
	b->allow = prefix_of("192.0.2.0/24");
	b->own = prefix_of("192.0.2.200/32");
	b->ports[0] = 25;
	b->ports[1] = 6667;
	b->deny = (struct pa_deny){.allow = &b->allow, .n_allow = 1, .own = &b->own, .n_own = 1, .ports = b->ports, .n_ports = 2,
				   .pools = &b->pool, .n_pools = 1};
	b->listen = (struct pa_endpoint){addr_of(GATEWAY), 6080};
	b->k = (struct pa_dp_kern_config){.bpf_dir = b->dir, .device = "tun0", .ethernet = true, .mark = 6080, .iface = "eth0",
					  .listen = &b->listen, .n_listen = 1, .pools = &b->pool, .n_pools = 1, .max_peers = 64,
					  .err = b->err};
	b->cfg = (struct pa_dp_config){.loop = &b->loop, .role = role, .tun_fd = -1, .deny = &b->deny,
				       .events = {on_control, on_foreign}, .ctx = b, .kern = &b->k};
}

static void open_kern(struct bed *b)
{
	cr_assert_eq(pa_dp_kern.open(&b->cfg, &b->kern), 0, "%s", b->err);
}

static void attach(struct bed *b)
{
	cr_assert_eq(pa_dp_kern_attach(b->kern, (int)if_nametoindex("tun0"), 1472, b->err), 0, "%s", b->err);
}

static void update(struct bed *b, struct pa_dp *dp, const struct pa_dp_ops *ops, const struct pa_endpoint *outer)
{
	struct pa_dp_peer peer = {.inner = addr_of(P), .outer = *outer, .lan = &b->lan, .n_lan = 1};

	cr_assert_eq(ops->update(dp, &peer), 0);
}

/* Both data paths, with the peer (gateway: the client, client: the gateway) at the other end. */
static void set_up(struct bed *b, enum pa_dp_role role)
{
	struct pa_endpoint outer = {addr_of(role == PA_DP_GATEWAY ? CLIENT : PEER), 5000};

	memset(b, 0, sizeof(*b));
	new_world(b);
	configure(b, role);
	cr_assert_eq(uv_loop_init(&b->loop), 0);
	open_kern(b);
	pa_dp_kern_port(b->kern, 0, 7000);
	update(b, b->kern, &pa_dp_kern, &outer);
	pa_dp_kern_settle(b->kern);
	attach(b);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, b->device), 0);
	b->udp = udp_open(&b->user_at);
	b->far = udp_open(&b->far_at);
	b->cfg.tun_fd = b->device[0];
	cr_assert_eq(pa_dp_user.open(&b->cfg, &b->user), 0);
	cr_assert_eq(pa_dp_set_socket(b->user, 0, b->udp), 0);
	update(b, b->user, &pa_dp_user, &b->far_at);
}

static void tear_down(struct bed *b)
{
	pa_dp_kern.close(b->kern);
	pa_dp_user.close(b->user);
	close(b->udp);
	close(b->far);
	close(b->device[0]);
	close(b->device[1]);
	cr_assert_eq(uv_run(&b->loop, UV_RUN_DEFAULT), 0);
	cr_assert_eq(uv_loop_close(&b->loop), 0);
	cr_expect_neq(access(b->dir, F_OK), 0, "the pins are gone");
	shell("! tc filter show dev eth0 ingress | grep -q . && ! tc filter show dev tun0 egress | grep -q . && "
	      "! tc qdisc show | grep -q clsact");
}

/* ---- packets ---- */

static void put_addr(uint8_t *dst, const char *s)
{
	struct pa_addr a = addr_of(s);

	memcpy(dst, a.b + 12, 4);
}

static void put_sum(uint8_t *ip)
{
	uint32_t sum = 0;

	ip[10] = ip[11] = 0;
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

/* An IPv4 header, len with what follows. */
static void put_ip(uint8_t *ip, const char *src, const char *dst, uint8_t proto, size_t len)
{
	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[2] = (uint8_t)(len >> 8);
	ip[3] = (uint8_t)len;
	ip[8] = 61;
	ip[9] = proto;
	put_addr(ip + 12, src);
	put_addr(ip + 16, dst);
	put_sum(ip);
}

/* UDP from port 1000 to 2000, with numbered octets. */
static size_t make_inner(uint8_t *buf, const char *src, const char *dst, uint8_t proto, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)i;
	put_ip(buf, src, dst, proto, len);
	memcpy(buf + 20, "\x03\xe8\x07\xd0", 4);
	return len;
}

/* What arrives at eth0: Ethernet, IP, UDP, and the inner packet. Returns the length. */
static size_t wrap(uint8_t *frame, const uint8_t *inner, size_t len, const char *from, uint16_t from_port, const char *to,
		   uint16_t to_port)
{
	uint8_t *udp = frame + ETH + 20;

	memcpy(frame, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00", ETH);
	put_ip(frame + ETH, from, to, 17, len + OUTER);
	udp[0] = (uint8_t)(from_port >> 8);
	udp[1] = (uint8_t)from_port;
	udp[2] = (uint8_t)(to_port >> 8);
	udp[3] = (uint8_t)to_port;
	udp[4] = (uint8_t)((len + 8) >> 8);
	udp[5] = (uint8_t)(len + 8);
	udp[6] = udp[7] = 0;
	memcpy(udp + 8, inner, len);
	return len + ETH + OUTER;
}

static size_t wrap_for(const struct bed *b, uint8_t *frame, const uint8_t *inner, size_t len)
{
	return b->cfg.role == PA_DP_GATEWAY ? wrap(frame, inner, len, CLIENT, 5000, GATEWAY, 6080)
					    : wrap(frame, inner, len, PEER, 5000, GATEWAY, 7000);
}

struct run {
	uint32_t verdict;
	uint8_t out[4096];
	size_t len;
};

static void run_prog(struct bed *b, enum pa_kern_prog which, const uint8_t *frame, size_t len, struct run *ret)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len, .data_out = ret->out,
		    .data_size_out = sizeof(ret->out), .repeat = 1);

	cr_assert_eq(bpf_prog_test_run_opts(b->kern->maps.progs[which], &opts), 0);
	ret->verdict = opts.retval;
	ret->len = opts.data_size_out;
}

static uint32_t receive(struct bed *b, const uint8_t *inner, size_t len, struct run *ret)
{
	uint8_t frame[4096];

	run_prog(b, PA_KERN_IN, frame, wrap_for(b, frame, inner, len), ret);
	return ret->verdict;
}

static uint32_t transmit(struct bed *b, const uint8_t *inner, size_t len, struct run *ret)
{
	uint8_t frame[4096];

	memcpy(frame, "\0\0\0\0\0\0\0\0\0\0\0\0\x08\0", ETH);
	memcpy(frame + ETH, inner, len);
	run_prog(b, PA_KERN_OUT, frame, len + ETH, ret);
	return ret->verdict;
}

static struct pa_dp_stats stats_of(struct pa_dp *dp, const struct pa_dp_ops *ops)
{
	struct pa_dp_stats s;

	cr_assert_eq(ops->stats(dp, NULL, &s, NULL), 0);
	return s;
}

/* ---- tests ---- */

Test(dp_kern, gateway_takes_out)
{
	struct pa_addr p = addr_of(P);
	struct pa_dp_peer_stats peer;
	uint8_t inner[1400];
	struct run r;
	struct bed b;

	set_up(&b, PA_DP_GATEWAY);
	make_inner(inner, P, PEER, 17, sizeof(inner));
	cr_assert_eq(receive(&b, inner, sizeof(inner), &r), REDIRECTED);
	cr_expect_eq(r.len, ETH + sizeof(inner));
	cr_expect_arr_eq(r.out + ETH, inner, sizeof(inner), "the inner packet as it was");
	cr_assert_eq(pa_dp_kern.stats(b.kern, &p, NULL, &peer), 0);
	cr_expect_eq(peer.rx_packets, 1);
	cr_expect_eq(peer.rx_bytes, sizeof(inner));
	cr_expect(peer.rx_seen_ms + 10000 > pa_now_get().boot_ms && peer.rx_seen_ms <= pa_now_get().boot_ms);
	cr_expect_eq(stats_of(b.kern, &pa_dp_kern).rx_packets, 1);
	tear_down(&b);
}

static struct pa_addr no_addr(void)
{
	struct pa_addr none = {{0}};

	return none;
}

/* Ten packets at once, and then none for an hour. */
static const struct pa_rate ten_packets = {.packet_ns = 3600 * UINT64_C(1000000000),
					   .burst_ns = 9 * 3600 * UINT64_C(1000000000)};

static void configure_limited(struct bed *b, const struct pa_rate *rate)
{
	memset(b, 0, sizeof(*b));
	new_world(b);
	configure(b, PA_DP_GATEWAY);
	b->k.rate = *rate;
}

static void set_up_limited(struct bed *b)
{
	struct pa_endpoint outer = {addr_of(CLIENT), 5000};

	cr_assert_eq(uv_loop_init(&b->loop), 0);
	open_kern(b);
	update(b, b->kern, &pa_dp_kern, &outer);
	pa_dp_kern_settle(b->kern);
	attach(b);
}

static void tear_down_limited(struct bed *b)
{
	pa_dp_kern.close(b->kern);
	cr_assert_eq(uv_run(&b->loop, UV_RUN_DEFAULT), 0);
	cr_assert_eq(uv_loop_close(&b->loop), 0);
}

/* What is above a binding's rate does not pass, each direction for itself; the process's path draws on the same rate. */
Test(dp_kern, limits_the_rate)
{
	struct pa_addr p = addr_of(P), none = no_addr();
	struct pa_dp_peer_stats peer;
	struct pa_dp_stats total;
	struct pa_dp_peer known;
	uint8_t inner[100];
	struct run r;
	struct bed b;

	configure_limited(&b, &ten_packets);
	set_up_limited(&b);
	cr_assert(pa_dp_kern_peer(b.kern, &p, &known) && known.outer.port == 5000 && known.local == 0);
	cr_assert_not(pa_dp_kern_peer(b.kern, &none, &known));
	make_inner(inner, P, PEER, 17, sizeof(inner));
	for (unsigned i = 0; i < 7; i++)
		cr_assert_eq(receive(&b, inner, sizeof(inner), &r), REDIRECTED, "packet %u", i);
	cr_assert(pa_dp_kern_take(b.kern, &p, false, 3, 300), "as the process does");
	cr_assert_eq(receive(&b, inner, sizeof(inner), &r), SHOT);
	cr_assert_not(pa_dp_kern_take(b.kern, &p, false, 1, 100));
	make_inner(inner, PEER, P, 17, sizeof(inner));
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(transmit(&b, inner, sizeof(inner), &r), REDIRECTED, "packet %u", i);
	cr_assert_eq(transmit(&b, inner, sizeof(inner), &r), SHOT);
	total = stats_of(b.kern, &pa_dp_kern);
	cr_expect(total.rx_drops[PA_DROP_LIMITED] == 1 && total.tx_drops[PA_DROP_LIMITED] == 1);
	cr_assert_eq(pa_dp_kern.stats(b.kern, &p, NULL, &peer), 0);
	cr_expect(peer.rx_packets == 10 && peer.rx_bytes == 1000 && peer.tx_packets == 10 && peer.tx_bytes == 1000);
	cr_expect(peer.rx_seen_ms > 0);
	tear_down_limited(&b);
}

/* ---- many packets as one ---- */

#define SEGMENT 1000 /* the payload of each */
#define TCP_HEADERS 52 /* IP's, TCP's, and 12 octets of options */

/* Three TCP segments in one frame to eth0, as a host sends them that leaves the cutting to its network card. */
static void send_three(int fd, const uint8_t *inner, size_t len)
{
	struct virtio_net_hdr vh = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = SEGMENT,
				    .hdr_len = ETH + TCP_HEADERS, .csum_start = ETH + 20, .csum_offset = 16};
	uint8_t frame[sizeof(vh) + ETH + 4096];
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_halen = 6,
				 .sll_ifindex = (int)if_nametoindex("far")};

	memcpy(frame, &vh, sizeof(vh));
	memcpy(frame + sizeof(vh), "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00", ETH);
	memcpy(frame + sizeof(vh) + ETH, inner, len);
	len += sizeof(vh) + ETH;
	cr_assert_eq(sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)), (ssize_t)len);
}

static uint64_t seen_of(struct bed *b, struct pa_dp_stats *ret)
{
	*ret = stats_of(b->kern, &pa_dp_kern);
	return ret->tx_packets + ret->tx_drops[PA_DROP_LIMITED];
}

/* So many packets are counted, and so many octets taken from the binding's rate, as there are when they have been cut apart. */
Test(dp_kern, charges_each_segment)
{
	const size_t len = TCP_HEADERS + 2 * SEGMENT + 500, wire = len + 2 * TCP_HEADERS;
	/* One octet a second; a fifth frame is above what may be ahead, unless headers were forgotten. */
	const struct pa_rate rate = {.byte_ns = UINT64_C(1000000000) << 10,
				     .burst_ns = (4 * wire - 300) * UINT64_C(1000000000)};
	struct pa_addr p = addr_of(P);
	struct pa_dp_peer_stats peer;
	struct pa_dp_stats total;
	uint8_t inner[3000];
	struct bed b;
	int fd, one = 1;

	configure_limited(&b, &rate);
	b.k.ethernet = false; /* as the device is, for this goes by the kernel's own way */
	set_up_limited(&b);
	shell("ip link set eth0 address 02:00:00:00:00:01 && ip route add 203.0.113.0/24 dev tun0");
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	cr_assert(fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) == 0);
	make_inner(inner, PEER, P, 6, len);
	inner[32] = (TCP_HEADERS - 20) / 4 << 4;
	inner[33] = 0x10; /* ACK */
	for (uint64_t i = 1; i <= 5; i++) {
		uint64_t until = pa_now_get().boot_ms + 5000;

		send_three(fd, inner, len);
		while (seen_of(&b, &total) < 3 * i && pa_now_get().boot_ms < until)
			usleep(1000);
	}
	cr_expect(total.tx_packets == 12 && total.tx_bytes == 4 * wire, "%lu packets, %lu octets", total.tx_packets, total.tx_bytes);
	cr_expect_eq(total.tx_drops[PA_DROP_LIMITED], 3, "the fifth has no room for the headers of the former four");
	cr_assert_eq(pa_dp_kern.stats(b.kern, &p, NULL, &peer), 0);
	cr_expect(peer.tx_packets == 12 && peer.tx_bytes == 4 * wire);
	close(fd);
	tear_down_limited(&b);
}

Test(dp_kern, gateway_puts_in)
{
	uint8_t inner[1000], want[ETH + OUTER];
	struct run r;
	struct bed b;

	set_up(&b, PA_DP_GATEWAY);
	make_inner(inner, PEER, P, 17, sizeof(inner));
	inner[1] = 0xb9; /* DSCP 46, ECT(1) */
	put_sum(inner);
	cr_assert_eq(transmit(&b, inner, sizeof(inner), &r), REDIRECTED);
	cr_assert_eq(r.len, ETH + OUTER + sizeof(inner));
	cr_expect_arr_eq(r.out + ETH + OUTER, inner, sizeof(inner), "the inner packet as it was");
	wrap(want, inner, 0, GATEWAY, 6080, CLIENT, 5000);
	want[ETH + 1] = 0xb9;
	want[ETH + 2] = (uint8_t)((sizeof(inner) + OUTER) >> 8);
	want[ETH + 3] = (uint8_t)(sizeof(inner) + OUTER);
	want[ETH + 24] = (uint8_t)((sizeof(inner) + 8) >> 8);
	want[ETH + 25] = (uint8_t)(sizeof(inner) + 8);
	want[ETH + 8] = 64;
	memcpy(want + ETH + 4, r.out + ETH + 4, 2); /* the identification is random */
	put_sum(want + ETH);
	cr_expect_arr_eq(r.out + ETH, want + ETH, OUTER, "outer IP and UDP");
	tear_down(&b);
}

Test(dp_kern, client_both_ways)
{
	uint8_t inner[1000];
	struct run r;
	struct bed b;

	set_up(&b, PA_DP_CLIENT);
	make_inner(inner, P, "192.0.2.20", 17, sizeof(inner));
	cr_assert_eq(transmit(&b, inner, sizeof(inner), &r), REDIRECTED);
	cr_expect_arr_eq(r.out + ETH + OUTER, inner, sizeof(inner));
	cr_expect_arr_eq(r.out + ETH + 12, "\xc6\x33\x64\x0a\xc0\x00\x02\x0a", 8, "from the LAN's address to the gateway");
	cr_expect_arr_eq(r.out + ETH + 20, "\x1b\x58\x13\x88", 4, "and ports");
	make_inner(inner, "192.0.2.20", P, 17, sizeof(inner));
	cr_assert_eq(receive(&b, inner, sizeof(inner), &r), REDIRECTED);
	cr_expect_arr_eq(r.out + ETH, inner, sizeof(inner));
	pa_dp_kern_port(b.kern, 0, 0);
	cr_expect_eq(receive(&b, inner, sizeof(inner), &r), UP, "without a socket the daemon is asked");
	tear_down(&b);
}

/* The client's one way out is known beforehand, and follows the routes. */
Test(dp_kern, client_knows_its_next_hop)
{
	struct pa_k_conf *c;
	struct bed b;

	set_up(&b, PA_DP_CLIENT);
	c = b.kern->maps.conf;
	cr_expect_eq(c->next_hop, inet_addr("198.51.100.9"));
	cr_expect_gt(c->hops_until, pa_now_get().boot_ms * 1000000);
	shell("ip route replace default via 198.51.100.12");
	attach(&b);
	cr_expect_eq(c->next_hop, inet_addr("198.51.100.12"));
	shell("ip route add " PEER " dev eth0");
	pa_dp_kern_alive(b.kern);
	cr_expect_eq(c->next_hop, inet_addr(PEER), "on the link");
	pa_dp_kern_port(b.kern, 0, 0);
	cr_expect_eq(c->hops_until, 0, "there is none without a tunnel");
	tear_down(&b);
}

/* What is unusual goes up untouched. */
Test(dp_kern, leaves_the_unusual)
{
	uint8_t inner[200], frame[1024], copy[1024];
	struct run r;
	struct bed b;
	size_t n;

	set_up(&b, PA_DP_GATEWAY);
	make_inner(inner, P, PEER, 17, sizeof(inner));
	n = wrap_for(&b, frame, inner, sizeof(inner));
	for (int i = 0; i < 9; i++) {
		static const struct {
			size_t at;
			uint8_t value;
			const char *what;
		} changes[] = {{ETH + OUTER, 0x20, "a control message"}, {ETH + OUTER, 0x46, "inner options"},
			       {ETH + OUTER, 0x65, "IPv6"},		 {ETH + 6, 0x20, "an outer fragment"},
			       {ETH + 7, 0x10, "a later one"},		 {ETH + 0, 0x46, "outer options"},
			       {ETH + OUTER + 3, 100, "an inner length that is less: several datagrams in one"},
			       {ETH + 15, 100, "another mapped address"}, {ETH + 23, 0xc1, "another port of ours"}};

		memcpy(copy, frame, n);
		copy[changes[i].at] = changes[i].value;
		put_sum(copy + ETH);
		run_prog(&b, PA_KERN_IN, copy, n, &r);
		cr_expect_eq(r.verdict, UP, "%s", changes[i].what);
		cr_expect(r.len == n && memcmp(r.out, copy, n) == 0, "%s: untouched", changes[i].what);
	}
	cr_expect_eq(stats_of(b.kern, &pa_dp_kern).rx_packets, 0);
	tear_down(&b);
}

/* A pool of IPv6 addresses changes nothing for the others; its bindings are the process's. */
static void check_inner_ipv6(struct bed *b, const char *pool, bool hashed)
{
	struct pa_prefix pools[] = {prefix_of("2001:db8:7::/64"), prefix_of(pool), prefix_of("2001:db8:8::7/128")};
	const struct pa_addr four = addr_of(P);
	struct pa_dp_peer six = {.inner = addr_of("2001:db8:7::7"), .outer = {addr_of(CLIENT), 5001}}, found;
	struct pa_dp_peer_stats stats;
	uint8_t inner[200];
	struct run r;

	b->k.pools = pools;
	b->k.n_pools = 3;
	open_kern(b);
	cr_expect_eq(b->kern->maps.conf->hashed, hashed);
	cr_assert_eq(pa_dp_kern.update(b->kern, &six), 0);
	cr_expect_not(pa_dp_kern_peer(b->kern, &six.inner, &found));
	cr_expect_eq(pa_dp_kern.stats(b->kern, &six.inner, NULL, &stats), PA_ENOTFOUND);
	update(b, b->kern, &pa_dp_kern, &(struct pa_endpoint){addr_of(CLIENT), 5000});
	pa_dp_kern_settle(b->kern);
	attach(b);
	cr_assert(pa_dp_kern_peer(b->kern, &four, &found) && found.outer.port == 5000);
	make_inner(inner, P, PEER, 17, sizeof(inner));
	cr_expect_eq(receive(b, inner, sizeof(inner), &r), REDIRECTED);
	inner[0] = 0x65;
	cr_expect_eq(receive(b, inner, sizeof(inner), &r), UP);
	six.outer.port = 0;
	cr_expect_eq(pa_dp_kern.update(b->kern, &six), 0);
	pa_dp_kern.close(b->kern);
}

Test(dp_kern, leaves_inner_ipv6)
{
	struct bed b;

	memset(&b, 0, sizeof(b));
	new_world(&b);
	configure(&b, PA_DP_GATEWAY);
	check_inner_ipv6(&b, "203.0.113.0/24", false);
	check_inner_ipv6(&b, "203.0.0.0/8", true); /* too large for an index */
}

Test(dp_kern, entries_end_by_themselves)
{
	struct pa_dp_peer peer = {.inner = addr_of(P), .outer = {addr_of(CLIENT), 5000}};
	uint8_t inner[100];
	struct run r;
	struct bed b;

	set_up(&b, PA_DP_GATEWAY);
	make_inner(inner, P, PEER, 17, sizeof(inner));
	peer.expires_ms = pa_now_get().boot_ms - 100; /* the programs' clock ticks */
	cr_assert_eq(pa_dp_kern.update(b.kern, &peer), 0);
	cr_expect_eq(receive(&b, inner, sizeof(inner), &r), SHOT, "the binding has expired");
	peer.expires_ms = pa_now_get().boot_ms + 60000;
	cr_assert_eq(pa_dp_kern.update(b.kern, &peer), 0);
	cr_expect_eq(receive(&b, inner, sizeof(inner), &r), REDIRECTED);
	b.kern->maps.conf->alive_until = (pa_now_get().boot_ms - 100) * 1000000;
	cr_expect_eq(receive(&b, inner, sizeof(inner), &r), SHOT, "there is no daemon any more");
	cr_expect_eq(stats_of(b.kern, &pa_dp_kern).rx_drops[PA_DROP_UNBOUND], 2);
	pa_dp_kern_alive(b.kern);
	cr_expect_eq(receive(&b, inner, sizeof(inner), &r), REDIRECTED);
	peer.outer.port = 0;
	cr_assert_eq(pa_dp_kern.update(b.kern, &peer), 0);
	cr_expect_eq(receive(&b, inner, sizeof(inner), &r), SHOT, "unbound");
	make_inner(inner, PEER, P, 17, sizeof(inner));
	cr_expect_eq(transmit(&b, inner, sizeof(inner), &r), SHOT);
	cr_expect_eq(stats_of(b.kern, &pa_dp_kern).tx_drops[PA_DROP_UNBOUND], 1);
	tear_down(&b);
}

/* RFC 6040, figure 4: rows inner, columns outer, in the order Not-ECT, ECT(1), ECT(0), CE of the code points; 0xff: dropped. */
Test(dp_kern, carries_ecn)
{
	static const uint8_t out[4][4] = {{0, 0, 0, 0xff}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
	uint8_t inner[100], frame[256], want[100];
	struct run r;
	struct bed b;

	set_up(&b, PA_DP_GATEWAY);
	for (uint8_t in = 0; in < 4; in++) {
		for (uint8_t outer = 0; outer < 4; outer++) {
			size_t n;

			make_inner(inner, P, PEER, 17, sizeof(inner));
			inner[1] = (uint8_t)(0x28 | in);
			put_sum(inner);
			n = wrap_for(&b, frame, inner, sizeof(inner));
			frame[ETH + 1] = outer;
			put_sum(frame + ETH);
			run_prog(&b, PA_KERN_IN, frame, n, &r);
			cr_expect_eq(r.verdict, out[in][outer] == 0xff ? SHOT : REDIRECTED, "inner %u, outer %u", in, outer);
			if (r.verdict != REDIRECTED)
				continue;
			memcpy(want, inner, sizeof(want));
			want[1] = (uint8_t)(0x28 | out[in][outer]);
			put_sum(want);
			cr_expect_arr_eq(r.out + ETH, want, sizeof(want), "inner %u, outer %u", in, outer);
		}
	}
	tear_down(&b);
}

/* ---- both data paths ---- */

/* What one packet changed in the counters: a verdict, 0 for a packet carried on, -1 if neither. */
static int change_of(const struct pa_dp_stats *before, const struct pa_dp_stats *after, bool rx)
{
	for (int v = 1; v < PA_VERDICTS; v++)
		if (rx ? after->rx_drops[v] != before->rx_drops[v] : after->tx_drops[v] != before->tx_drops[v])
			return v;
	return (rx ? after->rx_packets != before->rx_packets : after->tx_packets != before->tx_packets) ? 0 : -1;
}

/* The verdict of the data path of this process. */
static int user_verdict(struct bed *b, bool rx, const uint8_t *inner, size_t len, uint8_t *out, ssize_t *out_len)
{
	struct pa_dp_stats before = stats_of(b->user, &pa_dp_user), after;
	uint64_t until = pa_now_get().boot_ms + 5000;
	struct sockaddr_storage ss;
	socklen_t n = pa_sockaddr_to(&b->user_at, &ss);
	int change;

	if (rx)
		cr_assert_eq(sendto(b->far, inner, len, 0, (struct sockaddr *)&ss, n), (ssize_t)len);
	else
		cr_assert_eq(send(b->device[1], inner, len, 0), (ssize_t)len);
	do {
		(void)uv_run(&b->loop, UV_RUN_NOWAIT);
		after = stats_of(b->user, &pa_dp_user);
		change = change_of(&before, &after, rx);
	} while (change < 0 && pa_now_get().boot_ms < until);
	*out_len = recv(rx ? b->device[1] : b->far, out, 4096, MSG_DONTWAIT);
	return change;
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* A packet that is mostly right, with a few octets of its head changed to values that mean something, or to any. */
static size_t any_packet(uint8_t *buf, bool from_p, uint32_t *seed)
{
	static const char *const far[] = {PEER, "8.8.8.8", "192.0.2.200", "10.0.0.1", "127.0.0.1", "224.0.0.1", "198.51.100.10",
					  "203.0.113.9", "100.64.0.1", "192.168.3.4", "198.18.5.5", "255.255.255.255", "1.2.3.4"};
	static const uint8_t protos[] = {1, 6, 17, 47};
	const char *f = far[next_random(seed) % 13], *own = next_random(seed) % 8 == 0 ? "203.0.113.8" : P;
	uint8_t proto = protos[next_random(seed) % 4];
	size_t len = next_random(seed) % 4 == 0 ? 20 + next_random(seed) % 10 : 60 + next_random(seed) % 1200;
	uint8_t room[1400];

	make_inner(room, from_p ? own : f, from_p ? f : own, proto, sizeof(room));
	room[2] = (uint8_t)(len >> 8);
	room[3] = (uint8_t)len;
	if (proto == 1)
		room[20] = next_random(seed) % 3 == 0 ? 5 : 8;
	if (proto == 6 && next_random(seed) % 2 == 0)
		memcpy(room + 22, "\x00\x19", 2);
	if (next_random(seed) % 8 == 0)
		room[6 + next_random(seed) % 2] = (uint8_t)next_random(seed);
	if (next_random(seed) % 8 == 0)
		room[next_random(seed) % 24] = (uint8_t)next_random(seed);
	put_sum(room);
	memcpy(buf, room, len);
	return len;
}

static void compare(struct bed *b, bool rx, uint32_t seed, unsigned n)
{
	unsigned decided = 0, seen[PA_VERDICTS] = {0};
	uint8_t inner[1400], out[4096];

	for (unsigned i = 0; i < n; i++) {
		bool from_p = (b->cfg.role == PA_DP_GATEWAY) == rx;
		size_t len = any_packet(inner, from_p, &seed);
		struct pa_dp_stats before = stats_of(b->kern, &pa_dp_kern), after;
		uint32_t verdict;
		ssize_t out_len;
		struct run r;
		int v, u;

		verdict = rx ? receive(b, inner, len, &r) : transmit(b, inner, len, &r);
		after = stats_of(b->kern, &pa_dp_kern);
		v = change_of(&before, &after, rx);
		cr_assert_eq(verdict, v == 0 ? REDIRECTED : v > 0 ? SHOT : UP, "packet %u: %u, counted %d", i, verdict, v);
		if (v < 0)
			continue; /* the daemon decides */
		u = user_verdict(b, rx, inner, len, out, &out_len);
		cr_assert_eq(v, u, "packet %u: the kernel says %d, the process %d", i, v, u);
		decided++;
		seen[v]++;
		if (v == 0 && rx)
			cr_assert(out_len == (ssize_t)len && r.len == ETH + len && memcmp(r.out + ETH, out, len) == 0, "packet %u", i);
		else if (v == 0)
			cr_assert(out_len == (ssize_t)len && r.len == ETH + OUTER + len && memcmp(r.out + ETH + OUTER, out, len) == 0,
				  "packet %u", i);
	}
	cr_expect(decided > n / 2 && seen[PA_PASS] > n / 10, "%u decided, %u passed of %u", decided, seen[PA_PASS], n);
	cr_expect_gt(seen[PA_DROP_REDIRECT], 0);
	if (rx)
		cr_expect_gt(seen[b->cfg.role == PA_DP_GATEWAY ? PA_DROP_DESTINATION : PA_DROP_SOURCE], 0);
	if (rx && b->cfg.role == PA_DP_GATEWAY)
		cr_expect_gt(seen[PA_DROP_PORT], 0);
}

Test(dp_kern, gateway_decides_as_the_process)
{
	struct bed b;

	set_up(&b, PA_DP_GATEWAY);
	compare(&b, true, 1, 2500);
	compare(&b, false, 2, 1000);
	tear_down(&b);
}

Test(dp_kern, client_decides_as_the_process)
{
	struct bed b;

	set_up(&b, PA_DP_CLIENT);
	compare(&b, true, 3, 2500);
	compare(&b, false, 4, 1000);
	tear_down(&b);
}

/* ---- XDP ---- */

/* A packet as a router leaves it: one hop less. */
static void one_hop(uint8_t *ip)
{
	ip[8]--;
	put_sum(ip);
}

static const char next_link[] = "\x02\x00\x00\x00\x00\x09";

/* What XDP forwards, the programs of tc would have carried, to the same bytes; what it leaves is untouched. */
static void compare_xdp(struct bed *b, bool rx, uint32_t seed)
{
	unsigned forwarded = 0;

	for (unsigned i = 0; i < 3000; i++) {
		uint8_t inner[1400], frame[2048], want[2048];
		size_t len = any_packet(inner, rx, &seed), n, at = rx ? ETH : ETH + OUTER;
		struct run x, tc;
		uint32_t verdict;

		memcpy(frame, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00", ETH);
		memcpy(frame + ETH, inner, len);
		n = rx ? wrap_for(b, frame, inner, len) : len + ETH;
		run_prog(b, PA_KERN_XDP, frame, n, &x);
		if (x.verdict == XDP_PASS) {
			cr_assert(x.len == n && memcmp(x.out, frame, n) == 0, "packet %u: untouched", i);
			continue;
		}
		cr_assert_eq(x.verdict, XDP_REDIRECT, "packet %u: %u", i, x.verdict);
		verdict = rx ? receive(b, inner, len, &tc) : transmit(b, inner, len, &tc);
		cr_assert_eq(verdict, REDIRECTED, "packet %u", i);
		memcpy(want, tc.out, tc.len);
		one_hop(want + at);
		memcpy(want + ETH + 4, x.out + ETH + 4, 2); /* outwards, the identification is random */
		if (!rx)
			put_sum(want + ETH);
		cr_assert(x.len == tc.len && memcmp(x.out + ETH, want + ETH, x.len - ETH) == 0, "packet %u", i);
		cr_assert_arr_eq(x.out, next_link, 6, "packet %u: to the router", i);
		forwarded++;
	}
	cr_expect_gt(forwarded, 300);
}

/* What XDP says of a packet for P from src in a frame for station to. */
static uint32_t xdp_for_p(struct bed *b, const char *to, const char *src)
{
	uint8_t frame[ETH + 100];
	struct run r;

	memcpy(frame, to, 6);
	memcpy(frame + 6, "\x02\x00\x00\x00\x00\x02\x08\x00", 8);
	make_inner(frame + ETH, src, P, 17, 100);
	put_sum(frame + ETH);
	run_prog(b, PA_KERN_XDP, frame, sizeof(frame), &r);
	return r.verdict;
}

Test(dp_kern, xdp_carries_as_tc)
{
	static struct pa_hops hops;
	struct pa_addr p = addr_of(P);
	struct pa_dp_peer_stats stats;
	uint8_t inner[100], frame[256];
	struct run r;
	struct bed b;
	size_t n;

	memset(&b, 0, sizeof(b));
	new_world(&b);
	configure(&b, PA_DP_GATEWAY);
	b.k.accelerate = true;
	open_kern(&b);
	update(&b, b.kern, &pa_dp_kern, &(struct pa_endpoint){addr_of(CLIENT), 5000});
	pa_dp_kern_settle(b.kern);
	attach(&b);
	cr_expect(pa_dp_kern_accelerated(b.kern));
	shell("ip -d link show dev eth0 | grep -q 'xdp.* name pa_gateway_xdp'");
	compare_xdp(&b, true, 5);
	compare_xdp(&b, false, 6);
	cr_assert_eq(pa_net_hops_read(b.kern->nl, &hops), 0);
	pa_dp_kern_hops(b.kern, &hops);
	compare_xdp(&b, true, 7);
	compare_xdp(&b, false, 8);
	/* A last hop is the kernel's business, which tells the sender. */
	make_inner(inner, P, PEER, 17, sizeof(inner));
	inner[8] = 1;
	put_sum(inner);
	n = wrap_for(&b, frame, inner, sizeof(inner));
	run_prog(&b, PA_KERN_XDP, frame, n, &r);
	cr_expect_eq(r.verdict, XDP_PASS);
	/* So is what the kernel would not take for P: a frame for many, a source that is this host's own or a private one. */
	cr_expect_eq(xdp_for_p(&b, "\x02\x00\x00\x00\x00\x01", PEER), XDP_REDIRECT);
	cr_expect_eq(xdp_for_p(&b, "\xff\xff\xff\xff\xff\xff", PEER), XDP_PASS);
	cr_expect_eq(xdp_for_p(&b, "\x01\x00\x5e\x00\x00\x01", PEER), XDP_PASS);
	cr_expect_eq(xdp_for_p(&b, "\x02\x00\x00\x00\x00\x01", "192.0.2.200"), XDP_PASS);
	cr_expect_eq(xdp_for_p(&b, "\x02\x00\x00\x00\x00\x01", "10.0.0.1"), XDP_PASS);
	cr_assert_eq(pa_dp_kern.stats(b.kern, &p, NULL, &stats), 0);
	cr_expect_gt(stats.rx_packets, 600, "both programs count");
	pa_dp_kern.close(b.kern);
	shell("! ip -d link show dev eth0 | grep -q xdp");
}

/* XDP holds a binding to its rate as the programs of tc do, and all of them draw on the same. */
Test(dp_kern, xdp_limits_the_rate)
{
	struct pa_addr p = addr_of(P);
	struct pa_dp_peer_stats peer;
	struct pa_dp_stats total;
	uint8_t inner[100], frame[256];
	struct run r;
	struct bed b;
	size_t n;

	configure_limited(&b, &ten_packets);
	b.k.accelerate = true;
	set_up_limited(&b);
	cr_assert(pa_dp_kern_accelerated(b.kern));
	make_inner(inner, P, PEER, 17, sizeof(inner));
	n = wrap_for(&b, frame, inner, sizeof(inner));
	for (unsigned i = 0; i < 6; i++) {
		run_prog(&b, PA_KERN_XDP, frame, n, &r);
		cr_assert_eq(r.verdict, XDP_REDIRECT, "packet %u: %u", i, r.verdict);
	}
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(receive(&b, inner, sizeof(inner), &r), REDIRECTED, "packet %u", i);
	run_prog(&b, PA_KERN_XDP, frame, n, &r);
	cr_assert_eq(r.verdict, XDP_DROP);
	cr_assert_eq(receive(&b, inner, sizeof(inner), &r), SHOT);
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(xdp_for_p(&b, "\x02\x00\x00\x00\x00\x01", PEER), XDP_REDIRECT, "packet %u", i);
	cr_assert_eq(xdp_for_p(&b, "\x02\x00\x00\x00\x00\x01", PEER), XDP_DROP);
	cr_assert_not(pa_dp_kern_take(b.kern, &p, true, 1, 100));
	total = stats_of(b.kern, &pa_dp_kern);
	cr_expect(total.rx_drops[PA_DROP_LIMITED] == 2 && total.tx_drops[PA_DROP_LIMITED] == 1);
	cr_assert_eq(pa_dp_kern.stats(b.kern, &p, NULL, &peer), 0);
	cr_expect(peer.rx_packets == 10 && peer.rx_bytes == 1000 && peer.tx_packets == 10 && peer.tx_bytes == 1000);
	tear_down_limited(&b);
}

/* A frame for P, by XDP; its destination is in r->out. */
static void forward_to_p(struct bed *b, struct run *r)
{
	uint8_t frame[ETH + 100] = "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08";

	make_inner(frame + ETH, PEER, P, 17, 100);
	put_sum(frame + ETH);
	run_prog(b, PA_KERN_XDP, frame, sizeof(frame), r);
}

/* What one packet's look-up found serves the next ones for a second, and no longer; and only while the routes are as the table says. */
Test(dp_kern, xdp_remembers_next_hops)
{
	static struct pa_hops hops;
	struct pa_k_hop *h;
	struct run r;
	struct bed b;

	memset(&b, 0, sizeof(b));
	new_world(&b);
	configure(&b, PA_DP_GATEWAY);
	b.k.accelerate = true;
	open_kern(&b);
	update(&b, b.kern, &pa_dp_kern, &(struct pa_endpoint){addr_of(CLIENT), 5000});
	pa_dp_kern_settle(b.kern);
	attach(&b);
	cr_assert_eq(pa_net_hops_read(b.kern->nl, &hops), 0);
	pa_dp_kern_hops(b.kern, &hops);
	h = &b.kern->maps.hops[1];
	cr_assert_eq(h->until, 0);
	forward_to_p(&b, &r);
	cr_expect_eq(r.verdict, XDP_REDIRECT);
	cr_expect_gt(h->until, 0);
	cr_expect_eq(h->mtu, 1500);
	shell("ip neigh replace 198.51.100.9 lladdr 02:00:00:00:00:0a dev eth0");
	forward_to_p(&b, &r);
	cr_expect_arr_eq(r.out, next_link, 6, "remembered");
	h->until = 1;
	forward_to_p(&b, &r);
	cr_expect_arr_eq(r.out, "\x02\x00\x00\x00\x00\x0a", 6, "looked up");
	h->mtu = 100;
	forward_to_p(&b, &r);
	cr_expect_eq(h->mtu, 1500, "what may be too long is looked up");
	shell("ip neigh add 198.51.100.12 lladdr 02:00:00:00:00:0c dev eth0 && ip route replace default via 198.51.100.12");
	h->until = 1;
	forward_to_p(&b, &r);
	cr_expect_arr_eq(r.out, "\x02\x00\x00\x00\x00\x0c", 6, "by the route that there is");
	cr_expect_eq(h->until, 1, "which is not kept in the place of another one");
	pa_dp_kern_hops(b.kern, NULL);
	memcpy(&h->dmac, next_link, 6);
	h->until = UINT64_MAX;
	forward_to_p(&b, &r);
	cr_expect_arr_eq(r.out, "\x02\x00\x00\x00\x00\x0c", 6, "nothing counts while routes change");
	pa_dp_kern.close(b.kern);
}

/* Another program stays, and we do without. */
Test(dp_kern, xdp_stands_back)
{
	struct bed b;

	memset(&b, 0, sizeof(b));
	new_world(&b);
	configure(&b, PA_DP_GATEWAY);
	b.k.accelerate = true;
	open_kern(&b);
	cr_assert_eq(bpf_xdp_attach((int)if_nametoindex("eth0"), b.kern->maps.progs[PA_KERN_XDP], 0, NULL), 0);
	pa_dp_kern_settle(b.kern);
	attach(&b);
	cr_expect(!pa_dp_kern_accelerated(b.kern));
	pa_dp_kern.close(b.kern);
	shell("ip -d link show dev eth0 | grep -q xdp");
}

/* ---- what goes on when a process dies ---- */

static void reopen(struct bed *b)
{
	struct pa_dp *former = b->kern;

	open_kern(b); /* the former one did not close, as if it had been killed */
	pa_kern_maps_close(&former->maps, false);
	pa_nl_close(former->nl);
	free(former->free_slots);
	free(former->far);
	free(former);
}

static void next_process(struct bed *b, const char *const *kept)
{
	uint8_t inner[100];
	struct run r;

	reopen(b);
	cr_expect(b->kern->maps.adopted);
	make_inner(inner, P, PEER, 17, sizeof(inner));
	cr_expect_eq(receive(b, inner, sizeof(inner), &r), REDIRECTED, "before anything is told to the new one");
	for (; *kept != NULL; kept++) {
		struct pa_dp_peer peer = {.inner = addr_of(*kept), .outer = {addr_of(CLIENT), 5000}};

		cr_assert_eq(pa_dp_kern.update(b->kern, &peer), 0);
	}
	pa_dp_kern_settle(b->kern);
	attach(b);
	cr_expect_eq(receive(b, inner, sizeof(inner), &r), REDIRECTED, "what was told again stays");
	make_inner(inner, "203.0.113.8", PEER, 17, sizeof(inner));
	cr_expect_eq(receive(b, inner, sizeof(inner), &r), SHOT, "what was not is forgotten");
}

static void with_two(struct bed *b, const char *pool)
{
	static const char *const kept[] = {P, NULL};
	struct pa_dp_peer other = {.inner = addr_of("203.0.113.8"), .outer = {addr_of(CLIENT), 5000}};
	struct pa_addr p = addr_of(P);
	struct pa_dp_peer_stats stats;
	uint8_t inner[100];
	struct run r;

	memset(b, 0, sizeof(*b));
	new_world(b);
	configure(b, PA_DP_GATEWAY);
	b->pool = prefix_of(pool);
	open_kern(b);
	update(b, b->kern, &pa_dp_kern, &(struct pa_endpoint){addr_of(CLIENT), 5000});
	cr_assert_eq(pa_dp_kern.update(b->kern, &other), 0);
	pa_dp_kern_settle(b->kern);
	attach(b);
	make_inner(inner, "203.0.113.8", PEER, 17, sizeof(inner));
	cr_expect_eq(receive(b, inner, sizeof(inner), &r), REDIRECTED);
	next_process(b, kept);
	cr_assert_eq(pa_dp_kern.stats(b->kern, &p, NULL, &stats), 0);
	cr_expect_eq(stats.rx_packets, 2, "counters go on");
}

Test(dp_kern, next_process_takes_over_an_array)
{
	struct bed b;

	with_two(&b, "203.0.113.0/24");
	cr_expect_eq(b.kern->maps.conf->hashed, 0);
	pa_dp_kern.close(b.kern);
}

Test(dp_kern, next_process_takes_over_a_hash)
{
	struct pa_dp_peer peer = {.outer = {addr_of(CLIENT), 5000}};
	struct bed b;

	with_two(&b, "203.0.0.0/8");
	cr_expect_eq(b.kern->maps.conf->hashed, 1);
	for (uint32_t i = 0; i < 63; i++) {
		peer.inner = pa_addr_from_ipv4(0xcb010000 + i);
		cr_assert_eq(pa_dp_kern.update(b.kern, &peer), 0);
	}
	peer.inner = pa_addr_from_ipv4(0xcb020000);
	cr_expect_eq(pa_dp_kern.update(b.kern, &peer), PA_ENOMEM, "64 are all");
	peer.inner = pa_addr_from_ipv4(0xcb010000);
	peer.outer.port = 0;
	cr_expect_eq(pa_dp_kern.update(b.kern, &peer), 0);
	peer.inner = pa_addr_from_ipv4(0xcb020000);
	peer.outer.port = 5000;
	cr_expect_eq(pa_dp_kern.update(b.kern, &peer), 0, "one has gone, one may come");
	pa_dp_kern.close(b.kern);
}

Test(dp_kern, another_layout_replaces)
{
	uint8_t inner[100];
	struct run r;
	struct bed b;

	memset(&b, 0, sizeof(b));
	new_world(&b);
	configure(&b, PA_DP_GATEWAY);
	open_kern(&b);
	update(&b, b.kern, &pa_dp_kern, &(struct pa_endpoint){addr_of(CLIENT), 5000});
	pa_dp_kern_settle(b.kern);
	attach(&b);
	b.pool = prefix_of("203.0.112.0/23");
	reopen(&b);
	cr_expect(!b.kern->maps.adopted);
	update(&b, b.kern, &pa_dp_kern, &(struct pa_endpoint){addr_of(CLIENT), 5000});
	pa_dp_kern_settle(b.kern);
	attach(&b);
	make_inner(inner, P, PEER, 17, sizeof(inner));
	cr_expect_eq(receive(&b, inner, sizeof(inner), &r), REDIRECTED);
	shell("test $(tc filter show dev eth0 ingress | grep -c pubaddr) = 1 && "
	      "test $(tc filter show dev tun0 egress | grep -c pubaddr) = 1");
	pa_dp_kern.close(b.kern);
	shell("! tc filter show dev eth0 ingress | grep -q .");
}

Test(dp_kern, cleans_up_after_one_that_died)
{
	struct bed b;

	memset(&b, 0, sizeof(b));
	new_world(&b);
	configure(&b, PA_DP_GATEWAY);
	shell("tc qdisc add dev eth0 clsact");
	open_kern(&b);
	pa_dp_kern_settle(b.kern);
	attach(&b);
	shell("tc filter show dev eth0 ingress | grep -q pubaddr");
	pa_dp_kern_remove(b.dir, "tun0");
	shell("! tc filter show dev eth0 ingress | grep -q pubaddr && tc qdisc show dev eth0 | grep -q clsact && "
	      "! tc qdisc show dev tun0 | grep -q clsact");
	cr_expect_neq(access(b.dir, F_OK), 0);
	pa_dp_kern_remove(b.dir, "tun0");
	pa_dp_kern.close(b.kern); /* it did not really die: its memory is still this process's */
}

Test(dp_kern, says_why_not)
{
	struct bed b;

	memset(&b, 0, sizeof(b));
	new_world(&b);
	configure(&b, PA_DP_GATEWAY);
	b.k.bpf_dir = "/tmp/pubaddr-no-bpffs/x";
	cr_expect_eq(pa_dp_kern.open(&b.cfg, &b.kern), PA_ENOTSUP);
	cr_expect(strstr(b.err, "run: mount -t bpf") != NULL, "%s", b.err);
	b.k.bpf_dir = b.dir;
	b.listen.addr = addr_of("192.0.2.1");
	open_kern(&b);
	cr_expect_eq(pa_dp_kern_attach(b.kern, (int)if_nametoindex("tun0"), 1472, b.err), PA_ENOTFOUND);
	cr_expect(strstr(b.err, "outer address") != NULL, "%s", b.err);
	pa_dp_kern.close(b.kern);
}

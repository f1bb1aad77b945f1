/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The userspace data path, both roles on one loop: datagram socket pairs stand for the TUN devices, UDP sockets on the
 * loopback address for the network.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/proto.h"
#include "tunnel/dp.h"
#include "tunnel/dp_gso.h"
#include "tunnel/dp_steer.h"
#include "tunnel/net_udp.h"

TestSuite(dp_user, .timeout = 30);

struct end {
	struct pa_dp *dp;
	int device[2]; /* the data path's end, ours */
	int udp;
	struct pa_endpoint at; /* udp's address */
	unsigned controls, foreigns;
	struct pa_addr foreign_inner;
	uint8_t control[64];
};

struct net {
	uv_loop_t loop;
	struct end gw, cl;
	struct pa_addr p; /* the client's public address */
	struct pa_deny deny;	struct pa_rate rate; /* of the gateway, when it is opened */
};

static struct pa_addr addr_of(const char *s)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(s, &a), 0, "%s", s);
	return a;
}

static bool on_control(void *ctx, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	struct end *e = ctx;

	(void)local;
	(void)from;
	e->controls++;
	memcpy(e->control, buf, len < sizeof(e->control) ? len : sizeof(e->control));
	return true;
}

static void on_foreign(void *ctx, unsigned local, const struct pa_endpoint *from, const struct pa_addr *inner, size_t len)
{
	struct end *e = ctx;

	(void)local;
	(void)from;
	(void)len;
	e->foreigns++;
	e->foreign_inner = *inner;
}

static int udp_open(struct pa_endpoint *at)
{
	struct pa_udp_config cfg = {.bind = {addr_of("127.0.0.1"), 0}};
	char err[PA_UDP_ERRLEN] = "";
	int fd;

	cr_assert_eq(pa_udp_open(&cfg, &fd, err), 0, "%s", err);
	at->addr = cfg.bind.addr;
	at->port = pa_udp_port(fd);
	return fd;
}

static void end_open(struct net *n, struct end *e, enum pa_dp_role role)
{
	struct pa_dp_config cfg = {.loop = &n->loop, .role = role, .deny = &n->deny, .events = {on_control, on_foreign}, .ctx = e,
				   .rate = n->rate};

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, e->device), 0);
	e->udp = udp_open(&e->at);
	cfg.tun_fd = e->device[0];
	cr_assert_eq(pa_dp_user.open(&cfg, &e->dp), 0);
	cr_assert_eq(pa_dp_set_socket(e->dp, 0, e->udp), 0);
}

static void set_peer(struct net *n, struct end *e, const struct pa_endpoint *outer)
{
	struct pa_dp_peer peer = {.inner = n->p, .outer = *outer};

	cr_assert_eq(pa_dp_user.update(e->dp, &peer), 0);
}

static void net_open(struct net *n)
{
	memset(n, 0, sizeof(*n));
	cr_assert_eq(uv_loop_init(&n->loop), 0);
	n->p = addr_of("203.0.113.7");
	end_open(n, &n->gw, PA_DP_GATEWAY);
	end_open(n, &n->cl, PA_DP_CLIENT);
	set_peer(n, &n->gw, &n->cl.at);
	set_peer(n, &n->cl, &n->gw.at);
}

static void end_close(struct end *e)
{
	pa_dp_user.close(e->dp);
	close(e->udp);
	close(e->device[0]);
	close(e->device[1]);
}

static void net_close(struct net *n)
{
	end_close(&n->gw);
	end_close(&n->cl);
	cr_assert_eq(uv_run(&n->loop, UV_RUN_DEFAULT), 0);
	cr_assert_eq(uv_loop_close(&n->loop), 0);
}

/* An IPv4 packet of protocol 253 whose payload is numbered. */
static size_t make_packet(uint8_t *buf, const char *src, const char *dst, size_t len, uint32_t number)
{
	struct pa_addr s = addr_of(src), d = addr_of(dst);

	memset(buf, (int)(number & 0xff), len);
	memset(buf, 0, 20);
	buf[0] = 0x45;
	buf[2] = (uint8_t)(len >> 8);
	buf[3] = (uint8_t)len;
	buf[8] = 64;
	buf[9] = 253;
	memcpy(buf + 12, s.b + 12, 4);
	memcpy(buf + 16, d.b + 12, 4);
	if (len >= 24)
		memcpy(buf + 20, &number, 4);
	return len;
}

/* Runs the loop until a packet comes out at our end of a device; 0 if none does before the loop has settled. */
static size_t take(struct net *n, struct end *e, uint8_t *buf, size_t cap)
{
	uint64_t until = pa_now_get().boot_ms + 2000;

	do {
		ssize_t got = recv(e->device[1], buf, cap, 0);

		if (got > 0)
			return (size_t)got;
		(void)uv_run(&n->loop, UV_RUN_NOWAIT);
	} while (pa_now_get().boot_ms < until);
	return 0;
}

/* Runs the loop until *counter is want. */
static void wait_count(struct net *n, struct end *e, const uint64_t *(*field)(const struct pa_dp_stats *s), uint64_t want)
{
	uint64_t until = pa_now_get().boot_ms + 2000;
	struct pa_dp_stats s;

	do {
		(void)uv_run(&n->loop, UV_RUN_NOWAIT);
		cr_assert_eq(pa_dp_user.stats(e->dp, NULL, &s, NULL), 0);
	} while (*field(&s) < want && pa_now_get().boot_ms < until);
	cr_assert_eq(*field(&s), want);
	cr_assert(recv(e->device[1], &s, sizeof(s), 0) < 0 && errno == EAGAIN, "nothing came through");
}

#define FIELD(name, expr)                                                                                              \
	static const uint64_t *name(const struct pa_dp_stats *s)                                                        \
	{                                                                                                               \
		return &s->expr;                                                                                        \
	}
FIELD(rx_unbound, rx_drops[PA_DROP_UNBOUND])
FIELD(rx_outer, rx_drops[PA_DROP_OUTER])
FIELD(rx_malformed, rx_drops[PA_DROP_MALFORMED])
FIELD(rx_destination, rx_drops[PA_DROP_DESTINATION])
FIELD(rx_source, rx_drops[PA_DROP_SOURCE])
FIELD(tx_unbound, tx_drops[PA_DROP_UNBOUND])
FIELD(tx_source, tx_drops[PA_DROP_SOURCE])
FIELD(tx_malformed, tx_drops[PA_DROP_MALFORMED])
FIELD(tx_redirect, tx_drops[PA_DROP_REDIRECT])
FIELD(tx_limited, tx_drops[PA_DROP_LIMITED])
FIELD(rx_limited, rx_drops[PA_DROP_LIMITED])
FIELD(rx_redirect, rx_drops[PA_DROP_REDIRECT])
FIELD(tx_errors, tx_errors)

static void send_raw(int fd, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t n = pa_sockaddr_to(to, &ss);

	cr_assert_eq(sendto(fd, buf, len, 0, (struct sockaddr *)&ss, n), (ssize_t)len);
}

Test(dp_user, packets_pass_whole_both_ways)
{
	static const size_t sizes[] = {20, 21, 100, 1472, 9216};
	uint8_t sent[PA_DP_PACKET_MAX], got[PA_DP_PACKET_MAX + 1];
	struct pa_dp_peer_stats peer;
	struct pa_dp_stats total;
	struct net n;

	net_open(&n);
	for (unsigned i = 0; i < 5; i++) {
		size_t len = make_packet(sent, "203.0.113.7", "8.8.8.8", sizes[i], i);

		cr_assert_eq(send(n.cl.device[1], sent, len, 0), (ssize_t)len);
		cr_assert_eq(take(&n, &n.gw, got, sizeof(got)), len);
		cr_assert_eq(memcmp(sent, got, len), 0);
		(void)make_packet(sent, "8.8.8.8", "203.0.113.7", len, i);
		cr_assert_eq(send(n.gw.device[1], sent, len, 0), (ssize_t)len);
		cr_assert_eq(take(&n, &n.cl, got, sizeof(got)), len);
		cr_assert_eq(memcmp(sent, got, len), 0);
	}
	cr_assert_eq(pa_dp_user.stats(n.gw.dp, &n.p, &total, &peer), 0);
	cr_assert(total.rx_packets == 5 && total.tx_packets == 5 && peer.rx_packets == 5 && peer.tx_packets == 5);
	cr_assert(peer.rx_bytes == 20 + 21 + 100 + 1472 + 9216 && peer.tx_bytes == peer.rx_bytes);
	cr_assert_eq(pa_dp_user.stats(n.cl.dp, &n.p, NULL, &peer), 0);
	cr_assert(peer.rx_packets == 5 && peer.tx_packets == 5);
	net_close(&n);
}

/* What the network marks on the way arrives at the receiver, and what the sender asked for is seen by the network. */
Test(dp_user, the_traffic_class_passes)
{
	struct pa_dp_stats total;
	uint8_t sent[100], got[200];
	int raw, tos = 3;
	struct net n;

	net_open(&n);
	for (uint8_t inner = 0; inner < 4; inner++) {
		(void)make_packet(sent, "203.0.113.7", "8.8.8.8", sizeof(sent), inner);
		sent[1] = (uint8_t)(0xb8 | inner);
		cr_assert_eq(send(n.cl.device[1], sent, sizeof(sent), 0), (ssize_t)sizeof(sent));
		cr_assert_eq(take(&n, &n.gw, got, sizeof(got)), sizeof(sent));
		cr_assert_arr_eq(sent, got, sizeof(sent), "unmarked, code point %u", inner);
	}
	/* Now as the client, from its socket, with congestion experienced on the way. */
	raw = dup(n.cl.udp);
	cr_assert_eq(setsockopt(raw, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)), 0);
	sent[1] = 0xb8 | 2;
	send_raw(raw, &n.gw.at, sent, sizeof(sent));
	cr_assert_eq(take(&n, &n.gw, got, sizeof(got)), sizeof(sent));
	cr_assert_eq(got[1], 0xb8 | 3);
	sent[1] = 0xb8;
	send_raw(raw, &n.gw.at, sent, sizeof(sent));
	wait_count(&n, &n.gw, rx_malformed, 1);
	cr_assert_eq(pa_dp_user.stats(n.gw.dp, NULL, &total, NULL), 0);
	cr_assert_eq(total.rx_packets, 5);
	close(raw);
	net_close(&n);
}

Test(dp_user, bursts_keep_their_order)
{
	uint8_t sent[1472], got[1472];
	uint32_t next = 0, out = 0, number;
	struct net n;

	net_open(&n);
	while (out < 2000) {
		size_t len = make_packet(sent, "203.0.113.7", "8.8.8.8", 24 + next % 1400, next);

		if (next < 2000 && send(n.cl.device[1], sent, len, 0) == (ssize_t)len) {
			next++;
			continue; /* as many as the queue takes, so that batches fill */
		}
		len = take(&n, &n.gw, got, sizeof(got));
		cr_assert_eq(len, 24 + out % 1400);
		memcpy(&number, got + 20, 4);
		cr_assert_eq(number, out);
		out++;
	}
	net_close(&n);
}

/* Lengths of packet i of a stream that gives the kernel much to join, and ends of runs. */
static size_t run_len(uint32_t i)
{
	return i % 7 == 6 ? 900 : i % 50 > 40 ? 60 : 1400;
}

static void expect_stream(struct net *n, uint32_t count)
{
	uint8_t sent[1472], got[1472];
	uint32_t next = 0, out = 0;

	while (out < count) {
		size_t len = make_packet(sent, "203.0.113.7", "8.8.8.8", run_len(next), next);

		if (next < count && send(n->cl.device[1], sent, len, 0) == (ssize_t)len) {
			next++;
			continue;
		}
		len = make_packet(sent, "203.0.113.7", "8.8.8.8", run_len(out), out);
		cr_assert_eq(take(n, &n->gw, got, sizeof(got)), len);
		cr_assert_eq(memcmp(sent, got, len), 0, "packet %u", out);
		out++;
	}
}

Test(dp_user, runs_of_equal_length_are_cut_again)
{
	struct net n;

	net_open(&n);
	expect_stream(&n, 2000);
	net_close(&n);
}

/* What the network sees is one datagram for each packet, whoever receives it. */
Test(dp_user, each_packet_is_a_datagram)
{
	uint8_t sent[1472], got[1472];
	struct pa_endpoint plain;
	struct net n;
	int fd;

	net_open(&n);
	fd = udp_open(&plain);
	set_peer(&n, &n.cl, &plain);
	for (uint32_t i = 0; i < 8; i++)
		cr_assert_gt(send(n.cl.device[1], sent, make_packet(sent, "203.0.113.7", "8.8.8.8", run_len(i), i), 0), 0);
	for (uint32_t i = 0; i < 8; i++) {
		uint64_t until = pa_now_get().boot_ms + 2000;
		ssize_t len;

		while ((len = recv(fd, got, sizeof(got), MSG_DONTWAIT)) < 0 && pa_now_get().boot_ms < until)
			(void)uv_run(&n.loop, UV_RUN_NOWAIT);
		cr_assert_eq(len, (ssize_t)make_packet(sent, "203.0.113.7", "8.8.8.8", run_len(i), i));
		cr_assert_eq(memcmp(sent, got, (size_t)len), 0);
	}
	close(fd);
	net_close(&n);
}

/* The kernel refuses to cut what does not fit the path's MTU; then packets go one by one, and as fragments. */
Test(dp_user, a_path_with_a_small_mtu)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	struct pa_dp_stats total;
	struct net n;
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		cr_skip_test("needs root, for a loopback device of its own");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	ifr.ifr_mtu = 1000;
	cr_assert_eq(ioctl(fd, SIOCSIFMTU, &ifr), 0);
	ifr.ifr_flags = IFF_UP;
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
	net_open(&n);
	expect_stream(&n, 200);
	cr_assert_eq(pa_dp_user.stats(n.cl.dp, NULL, &total, NULL), 0);
	cr_assert(total.tx_packets == 200 && total.tx_errors == 0);
	net_close(&n);
}

Test(dp_user, gateway_refuses)
{
	struct pa_addr other = addr_of("203.0.113.99");
	struct pa_endpoint stranger;
	uint8_t buf[100];
	struct net n;
	int fd;

	net_open(&n);
	fd = udp_open(&stranger);
	send_raw(n.cl.udp, &n.gw.at, buf, make_packet(buf, "203.0.113.99", "8.8.8.8", 40, 0));
	wait_count(&n, &n.gw, rx_unbound, 1);
	send_raw(fd, &n.gw.at, buf, make_packet(buf, "203.0.113.7", "8.8.8.8", 40, 0));
	wait_count(&n, &n.gw, rx_outer, 1);
	cr_assert(n.gw.foreigns == 1 && pa_addr_eq(&n.gw.foreign_inner, &n.p), "the core hears of it");
	send_raw(n.cl.udp, &n.gw.at, buf, make_packet(buf, "203.0.113.7", "10.0.0.1", 40, 0));
	wait_count(&n, &n.gw, rx_destination, 1);
	(void)make_packet(buf, "203.0.113.7", "8.8.8.8", 40, 0);
	send_raw(n.cl.udp, &n.gw.at, buf, 39); /* shorter than it says */
	buf[0] = 0xc0;
	send_raw(n.cl.udp, &n.gw.at, buf, 40); /* no GUE we know */
	wait_count(&n, &n.gw, rx_malformed, 2);
	cr_assert_eq(send(n.gw.device[1], buf, make_packet(buf, "8.8.8.8", "203.0.113.99", 40, 0), 0), 40);
	wait_count(&n, &n.gw, tx_unbound, 1);
	cr_assert_eq(send(n.gw.device[1], "x", 1, 0), 1);
	wait_count(&n, &n.gw, tx_malformed, 1);
	cr_assert_eq(pa_dp_user.stats(n.gw.dp, &other, NULL, &(struct pa_dp_peer_stats){0}), PA_ENOTFOUND);
	cr_assert_eq(n.gw.controls, 0);
	close(fd);
	net_close(&n);
}

/* Ten packets at once, and then none for an hour; each direction for itself. */
Test(dp_user, limits_the_rate)
{
	struct pa_dp_peer_stats peer;
	uint8_t buf[100];
	struct net n;

	net_open(&n);
	end_close(&n.gw);
	n.rate = (struct pa_rate){.packet_ns = 3600 * UINT64_C(1000000000), .burst_ns = 9 * 3600 * UINT64_C(1000000000)};
	end_open(&n, &n.gw, PA_DP_GATEWAY);
	set_peer(&n, &n.gw, &n.cl.at);
	for (uint32_t i = 0; i < 10; i++) {
		send_raw(n.cl.udp, &n.gw.at, buf, make_packet(buf, "203.0.113.7", "8.8.8.8", 40, i));
		cr_assert_eq(take(&n, &n.gw, buf, sizeof(buf)), 40);
	}
	send_raw(n.cl.udp, &n.gw.at, buf, make_packet(buf, "203.0.113.7", "8.8.8.8", 40, 10));
	wait_count(&n, &n.gw, rx_limited, 1);
	for (uint32_t i = 0; i < 11; i++)
		cr_assert_eq(send(n.gw.device[1], buf, make_packet(buf, "8.8.8.8", "203.0.113.7", 40, i), 0), 40);
	wait_count(&n, &n.gw, tx_limited, 1);
	cr_assert_eq(pa_dp_user.stats(n.gw.dp, &n.p, NULL, &peer), 0);
	cr_expect(peer.rx_packets == 10 && peer.rx_bytes == 400 && peer.tx_packets == 10 && peer.tx_bytes == 400);
	cr_expect(peer.rx_seen_ms > 0 && peer.rx_seen_ms <= pa_now_get().boot_ms, "and it is known when it sent last");
	net_close(&n);
}

Test(dp_user, client_refuses)
{
	struct pa_endpoint stranger, nobody = {{{0}}, 0};
	uint8_t buf[100];
	struct net n;
	int fd;

	net_open(&n);
	fd = udp_open(&stranger);
	send_raw(fd, &n.cl.at, buf, make_packet(buf, "8.8.8.8", "203.0.113.7", 40, 0));
	wait_count(&n, &n.cl, rx_outer, 1);
	send_raw(n.gw.udp, &n.cl.at, buf, make_packet(buf, "8.8.8.8", "203.0.113.8", 40, 0));
	wait_count(&n, &n.cl, rx_destination, 1);
	send_raw(n.gw.udp, &n.cl.at, buf, make_packet(buf, "127.0.0.1", "203.0.113.7", 40, 0));
	wait_count(&n, &n.cl, rx_source, 1);
	cr_assert_eq(send(n.cl.device[1], buf, make_packet(buf, "192.168.1.5", "8.8.8.8", 40, 0), 0), 40);
	wait_count(&n, &n.cl, tx_source, 1);
	set_peer(&n, &n.cl, &nobody);
	cr_assert_eq(send(n.cl.device[1], buf, make_packet(buf, "203.0.113.7", "8.8.8.8", 40, 0), 0), 40);
	wait_count(&n, &n.cl, tx_unbound, 1);
	send_raw(n.gw.udp, &n.cl.at, buf, make_packet(buf, "8.8.8.8", "203.0.113.7", 40, 0));
	wait_count(&n, &n.cl, rx_unbound, 1);
	close(fd);
	net_close(&n);
}

Test(dp_user, own_and_lan_sources_do_not_come_out_of_the_tunnel)
{
	struct pa_prefix lan = {addr_of("198.51.100.0"), 24};
	struct pa_dp_peer peer;
	uint8_t buf[100];
	struct net n;

	net_open(&n);
	peer = (struct pa_dp_peer){.inner = n.p, .outer = n.gw.at, .lan = &lan, .n_lan = 1};
	cr_assert_eq(pa_dp_user.update(n.cl.dp, &peer), 0);
	memset(&lan, 0, sizeof(lan)); /* it was copied */
	send_raw(n.gw.udp, &n.cl.at, buf, make_packet(buf, "198.51.100.9", "203.0.113.7", 40, 0));
	wait_count(&n, &n.cl, rx_source, 1);
	net_close(&n);
}

Test(dp_user, redirects_do_not_pass)
{
	uint8_t buf[100], got[100];
	struct net n;

	net_open(&n);
	(void)make_packet(buf, "198.51.100.10", "203.0.113.7", 40, 0);
	buf[9] = 1;
	buf[20] = 5;
	cr_assert_eq(send(n.gw.device[1], buf, 40, 0), 40);
	wait_count(&n, &n.gw, tx_redirect, 1);
	send_raw(n.gw.udp, &n.cl.at, buf, 40);
	wait_count(&n, &n.cl, rx_redirect, 1);
	buf[20] = 3;
	cr_assert_eq(send(n.gw.device[1], buf, 40, 0), 40);
	cr_assert_eq(take(&n, &n.cl, got, sizeof(got)), 40, "other errors do");
	net_close(&n);
}

Test(dp_user, former_gateway_drains)
{
	struct pa_endpoint second;
	uint8_t buf[100], got[100];
	struct net n;
	int fd;

	net_open(&n);
	fd = udp_open(&second);
	set_peer(&n, &n.cl, &second);
	send_raw(n.gw.udp, &n.cl.at, buf, make_packet(buf, "8.8.8.8", "203.0.113.7", 40, 1));
	cr_assert_eq(take(&n, &n.cl, got, sizeof(got)), 40, "the old one for a while");
	send_raw(fd, &n.cl.at, buf, make_packet(buf, "8.8.8.8", "203.0.113.7", 40, 2));
	cr_assert_eq(take(&n, &n.cl, got, sizeof(got)), 40, "and the new one");
	cr_assert_eq(send(n.cl.device[1], buf, make_packet(buf, "203.0.113.7", "8.8.8.8", 40, 3), 0), 40);
	(void)uv_run(&n.loop, UV_RUN_NOWAIT);
	(void)uv_run(&n.loop, UV_RUN_NOWAIT);
	cr_assert_eq(recv(fd, got, sizeof(got), 0), 40, "what is sent goes to the new one only");
	close(fd);
	net_close(&n);
}

Test(dp_user, control_goes_up_and_out)
{
	uint8_t message[56] = {0x20, 0, 0, 0, 5};
	uint64_t until = pa_now_get().boot_ms + 2000;
	struct net n;

	net_open(&n);
	pa_dp_send_control(n.cl.dp, 0, &n.gw.at, message, sizeof(message));
	while (n.gw.controls == 0 && pa_now_get().boot_ms < until)
		(void)uv_run(&n.loop, UV_RUN_NOWAIT);
	cr_assert_eq(n.gw.controls, 1);
	cr_assert_eq(memcmp(n.gw.control, message, sizeof(message)), 0);
	pa_dp_send_control(n.cl.dp, 3, &n.gw.at, message, sizeof(message)); /* no such socket */
	wait_count(&n, &n.cl, tx_errors, 1);
	net_close(&n);
}

Test(dp_user, device_and_socket_can_be_exchanged)
{
	uint8_t buf[100], got[100];
	struct pa_endpoint fresh;
	struct net n;
	int fd, pair[2];

	net_open(&n);
	cr_assert_eq(pa_dp_set_tun(n.cl.dp, -1), 0);
	send_raw(n.gw.udp, &n.cl.at, buf, make_packet(buf, "8.8.8.8", "203.0.113.7", 40, 0));
	(void)uv_run(&n.loop, UV_RUN_NOWAIT);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
	cr_assert_eq(pa_dp_set_tun(n.cl.dp, pair[0]), 0);
	fd = udp_open(&fresh);
	cr_assert_eq(pa_dp_set_socket(n.cl.dp, 0, fd), 0);
	cr_assert_eq(send(pair[1], buf, make_packet(buf, "203.0.113.7", "8.8.8.8", 40, 0), 0), 40);
	wait_count(&n, &n.gw, rx_outer, 1);
	cr_assert_eq(n.gw.foreigns, 1, "a new port is foreign");
	set_peer(&n, &n.gw, &fresh);
	cr_assert_eq(send(pair[1], buf, make_packet(buf, "203.0.113.7", "8.8.8.8", 40, 0), 0), 40);
	cr_assert_eq(take(&n, &n.gw, got, sizeof(got)), 40);
	cr_assert_eq(pa_dp_set_socket(n.cl.dp, PA_DP_SOCKETS_MAX, fd), PA_EINVAL);
	pa_dp_user.close(n.cl.dp);
	n.cl.dp = NULL;
	close(fd);
	close(pair[0]);
	close(pair[1]);
	net_close(&n);
}

/* ---- several threads ---- */

#define LANES 3
#define HOLDERS 12

/* A gateway with a thread for each of LANES devices, and a socket for the clients, who all are at one address. */
struct lanes {
	uv_loop_t loop;
	struct end gw;
	int devices[LANES][2], group[PA_STEER_DATA + LANES];
	struct pa_deny deny;
	int fd; /* the clients' */
	struct pa_endpoint at;
};

static const char *holder(unsigned i)
{
	static char text[PA_ADDR_STRLEN];
	struct pa_addr a = pa_addr_from_ipv4(0xcb007100u + 10 + i);

	return pa_addr_format(&a, text);
}

static void bind_holder(struct lanes *n, unsigned i, const struct pa_endpoint *outer)
{
	struct pa_dp_peer peer = {.inner = addr_of(holder(i)), .outer = *outer};

	cr_assert_eq(pa_dp_user.update(n->gw.dp, &peer), 0);
}

static void lanes_open(struct lanes *n)
{
	struct pa_dp_config cfg = {.loop = &n->loop, .role = PA_DP_GATEWAY, .deny = &n->deny, .n_queues = LANES,
				   .events = {on_control, on_foreign}, .ctx = &n->gw};
	struct pa_udp_config udp = {.bind = {addr_of("127.0.0.1"), 0}};
	char err[PA_UDP_ERRLEN] = "";
	int queues[LANES];
	unsigned count;

	memset(n, 0, sizeof(*n));
	cr_assert_eq(uv_loop_init(&n->loop), 0);
	for (unsigned i = 0; i < LANES; i++) {
		cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, n->devices[i]), 0);
		queues[i] = n->devices[i][0];
	}
	cfg.queues = queues;
	cr_assert_eq(pa_dp_user.open(&cfg, &n->gw.dp), 0);
	cr_assert_eq(pa_udp_open_group(&udp, LANES, n->group, &count, err), 0, "%s", err);
	cr_assert_eq(count, PA_STEER_DATA + LANES);
	n->gw.at = (struct pa_endpoint){udp.bind.addr, pa_udp_port(n->group[0])};
	cr_assert_eq(pa_dp_set_group(n->gw.dp, 0, n->group, count), 0);
	n->fd = udp_open(&n->at);
	for (unsigned i = 0; i < HOLDERS; i++)
		bind_holder(n, i, &n->at);
	cr_assert_eq(pa_dp_start(n->gw.dp), 0);
}

static void lanes_close(struct lanes *n)
{
	pa_dp_user.close(n->gw.dp);
	for (unsigned i = 0; i < PA_STEER_DATA + LANES; i++)
		close(n->group[i]);
	for (unsigned i = 0; i < LANES; i++) {
		close(n->devices[i][0]);
		close(n->devices[i][1]);
	}
	close(n->fd);
	cr_assert_eq(uv_run(&n->loop, UV_RUN_DEFAULT), 0);
	cr_assert_eq(uv_loop_close(&n->loop), 0);
}

/* What fd receives within two seconds while the loop runs; 0: nothing. */
static size_t await(struct lanes *n, int fd, uint8_t *buf, size_t cap)
{
	uint64_t until = pa_now_get().boot_ms + 2000;

	do {
		ssize_t got = recv(fd, buf, cap, MSG_DONTWAIT);

		if (got > 0)
			return (size_t)got;
		(void)uv_run(&n->loop, UV_RUN_NOWAIT);
	} while (pa_now_get().boot_ms < until);
	return 0;
}

Test(dp_user, each_holder_has_one_thread)
{
	uint8_t sent[200], got[200];
	struct lanes n;

	lanes_open(&n);
	for (unsigned i = 0; i < HOLDERS; i++) {
		struct pa_addr p = addr_of(holder(i));
		unsigned lane = pa_steer(&p, LANES);
		struct pa_dp_peer_stats stats;

		send_raw(n.fd, &n.gw.at, sent, make_packet(sent, holder(i), "8.8.8.8", 100, i));
		cr_assert_eq(await(&n, n.devices[lane][1], got, sizeof(got)), 100, "holder %u", i);
		cr_assert_eq(memcmp(sent, got, 100), 0);
		cr_assert_eq(send(n.devices[lane][1], sent, make_packet(sent, "8.8.8.8", holder(i), 90, i), 0), 90);
		cr_assert_eq(await(&n, n.fd, got, sizeof(got)), 90);
		cr_assert_eq(pa_dp_user.stats(n.gw.dp, &p, NULL, &stats), 0);
		cr_assert(stats.rx_packets == 1 && stats.tx_packets == 1 && stats.rx_bytes == 100 && stats.tx_bytes == 90);
	}
	lanes_close(&n);
}

/* Control messages of either kind and data that came to a thread which cannot decide reach the loop's thread. */
Test(dp_user, the_loops_thread_decides)
{
	uint8_t hello[160] = {0x20, 0, 0, 0, PA_MSG_HELLO}, keepalive[76] = {0x20, 0, 0, 0, PA_MSG_KEEPALIVE}, buf[100];
	uint64_t until = pa_now_get().boot_ms + 2000;
	struct pa_endpoint stranger;
	struct lanes n;
	int fd = udp_open(&stranger);

	lanes_open(&n);
	send_raw(n.fd, &n.gw.at, hello, sizeof(hello));
	send_raw(n.fd, &n.gw.at, keepalive, sizeof(keepalive));
	send_raw(fd, &n.gw.at, buf, make_packet(buf, holder(4), "8.8.8.8", 40, 0));
	while ((n.gw.controls < 2 || n.gw.foreigns < 1) && pa_now_get().boot_ms < until)
		(void)uv_run(&n.loop, UV_RUN_NOWAIT);
	cr_assert_eq(n.gw.controls, 2);
	cr_assert_eq(n.gw.foreigns, 1);
	cr_assert_str_eq(holder(4), pa_addr_format(&n.gw.foreign_inner, (char[PA_ADDR_STRLEN]){0}));
	close(fd);
	lanes_close(&n);
}

struct order {
	unsigned n, confirm_at; /* at: how many came before */
};

static bool keep_order(void *ctx, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	struct order *o = ctx;

	(void)local;
	(void)from;
	(void)len;
	if (buf[4] == PA_MSG_RECONFIRM)
		o->confirm_at = o->n;
	o->n++;
	return true;
}

/* After a restart all clients speak at once, and repeat themselves: whom we have asked is heard before all who wait to be asked. */
Test(dp_user, answers_to_our_questions_come_first)
{
	struct order o = {0, UINT_MAX};
	uv_loop_t loop;
	struct pa_dp_config cfg = {.loop = &loop, .role = PA_DP_GATEWAY, .tun_fd = -1, .events = {keep_order, on_foreign}, .ctx = &o};
	struct pa_udp_config udp = {.bind = {addr_of("127.0.0.1"), 0}};
	uint8_t msg[88] = {0x20, 0, 0, 0, PA_MSG_KEEPALIVE};
	uint64_t until = pa_now_get().boot_ms + 5000;
	struct pa_endpoint at, to;
	char err[PA_UDP_ERRLEN];
	int fds[PA_STEER_DATA + 1], fd = udp_open(&at);
	struct pa_dp *dp;
	unsigned n;

	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(pa_dp_user.open(&cfg, &dp), 0);
	cr_assert_eq(pa_udp_open_group(&udp, 1, fds, &n, err), 0);
	cr_assert_eq(n, PA_STEER_DATA + 1);
	to = (struct pa_endpoint){udp.bind.addr, pa_udp_port(fds[0])};
	for (unsigned i = 0; i <= 100; i++) {
		msg[4] = i < 100 ? PA_MSG_KEEPALIVE : PA_MSG_RECONFIRM;
		send_raw(fd, &to, msg, sizeof(msg));
	}
	cr_assert_eq(pa_dp_set_group(dp, 0, fds, n), 0); /* all of them wait by now */
	while (o.n <= 100 && pa_now_get().boot_ms < until)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	cr_assert_eq(o.n, 101);
	cr_assert_eq(o.confirm_at, 0, "%u came before it", o.confirm_at);
	pa_dp_user.close(dp);
	while (n > 0)
		close(fds[--n]);
	close(fd);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

/* The group is nobody else's, although its members share an address. */
Test(dp_user, the_group_keeps_others_out)
{
	struct pa_udp_config udp = {.bind = {addr_of("127.0.0.1"), 0}};
	int fds[PA_STEER_DATA + 2], other[PA_STEER_DATA + 2];
	char err[PA_UDP_ERRLEN];
	unsigned n, k;

	cr_assert_eq(pa_udp_open_group(&udp, 2, fds, &n, err), 0);
	cr_assert_eq(n, PA_STEER_DATA + 2);
	udp.bind.port = pa_udp_port(fds[0]);
	cr_assert_eq(pa_udp_open_group(&udp, 2, other, &k, err), PA_EEXIST);
	while (n > 0)
		close(fds[--n]);
}

static uint64_t thread_us(void)
{
	struct timespec ts;

	cr_assert_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool refuse_control(void *ctx, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	struct end *e = ctx;

	(void)local;
	(void)from;
	(void)buf;
	(void)len;
	e->controls++;
	/* As forged messages cost, and more: a tenth of a millisecond. Of this thread: on a busy machine others have the rest. */
	for (uint64_t until = thread_us() + 100; thread_us() < until;)
		;
	return false;
}

/* However many forged handshakes wait, they get no more than their share of this thread; those of sessions wait in another queue. */
Test(dp_user, forgeries_have_a_share_of_the_processor)
{
	struct pa_dp_config cfg = {.role = PA_DP_GATEWAY, .tun_fd = -1, .events = {refuse_control, on_foreign}};
	struct pa_udp_config udp = {.bind = {addr_of("127.0.0.1"), 0}};
	uint8_t hello[160] = {0x20, 0, 0, 0, PA_MSG_HELLO};
	uint64_t start, used;
	struct end gw = {0};
	struct pa_endpoint at, to;
	char err[PA_UDP_ERRLEN];
	int fds[PA_STEER_DATA + 1], fd = udp_open(&at);
	uv_loop_t loop;
	unsigned n;

	cr_assert_eq(uv_loop_init(&loop), 0);
	cfg.loop = &loop;
	cfg.ctx = &gw;
	cr_assert_eq(pa_dp_user.open(&cfg, &gw.dp), 0);
	cr_assert_eq(pa_udp_open_group(&udp, 1, fds, &n, err), 0);
	cr_assert_eq(pa_dp_set_group(gw.dp, 0, fds, n), 0);
	to = (struct pa_endpoint){udp.bind.addr, pa_udp_port(fds[0])};
	start = pa_now_get().boot_ms;
	used = thread_us();
	while (pa_now_get().boot_ms < start + 1000) {
		for (unsigned i = 0; i < 100; i++) /* far more than can be judged; the queue is always full */
			send_raw(fd, &to, hello, sizeof(hello));
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	used = thread_us() - used;
	cr_assert_gt(gw.controls, 100, "they get their share");
	cr_assert_lt(gw.controls, 4500, "%u of 100 us in a second: that is too much", gw.controls);
	cr_log_info("%u judged, %u ms used", gw.controls, (unsigned)(used / 1000));
	pa_dp_user.close(gw.dp);
	while (n > 0)
		close(fds[--n]);
	close(fd);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

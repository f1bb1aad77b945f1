/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The gateway's threads: packets pass both ways while bindings come and go, destinations change and counters are read; those
 * that arrive are in their order. A program of its own, for ThreadSanitizer and Criterion want the same addresses. Exit 0: well.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/dp.h"
#include "tunnel/dp_steer.h"
#include "tunnel/net_udp.h"

#define LANES 3
#define HOLDERS 12
#define ROUNDS 400

struct lanes {
	uv_loop_t loop;
	struct pa_dp *dp;
	struct pa_deny deny;
	int devices[LANES][2], group[PA_STEER_DATA + LANES], fd;
	struct pa_endpoint at, clients;
	uint32_t seen[HOLDERS], total;
};

static void need(bool what, const char *text)
{
	if (what)
		return;
	fprintf(stderr, "dp_threads: not so: %s\n", text);
	exit(1);
}
#define NEED(x) need(x, #x)

static bool on_control(void *ctx, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	(void)ctx;
	(void)local;
	(void)from;
	return buf[0] != 0 && len > 0;
}

static void on_foreign(void *ctx, unsigned local, const struct pa_endpoint *from, const struct pa_addr *inner, size_t len)
{
	(void)ctx;
	(void)local;
	(void)from;
	(void)inner;
	(void)len;
}

static struct pa_addr holder(unsigned i)
{
	return pa_addr_from_ipv4(0xcb007100u + 10 + i);
}

static void bind_holder(struct lanes *n, unsigned i, const struct pa_endpoint *outer)
{
	struct pa_dp_peer peer = {.inner = holder(i), .outer = *outer};

	NEED(pa_dp_user.update(n->dp, &peer) == 0);
}

static void open_all(struct lanes *n)
{
	struct pa_udp_config udp = {.bind = {pa_addr_from_ipv4(INADDR_LOOPBACK), 0}};
	struct pa_dp_config cfg = {.loop = &n->loop, .role = PA_DP_GATEWAY, .deny = &n->deny, .n_queues = LANES,
				   .events = {on_control, on_foreign}};
	char err[PA_UDP_ERRLEN];
	int queues[LANES];
	unsigned count;

	NEED(uv_loop_init(&n->loop) == 0);
	for (unsigned i = 0; i < LANES; i++) {
		NEED(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, n->devices[i]) == 0);
		queues[i] = n->devices[i][0];
	}
	cfg.queues = queues;
	NEED(pa_dp_user.open(&cfg, &n->dp) == 0);
	NEED(pa_udp_open_group(&udp, LANES, n->group, &count, err) == 0 && count == PA_STEER_DATA + LANES);
	n->at = (struct pa_endpoint){udp.bind.addr, pa_udp_port(n->group[0])};
	NEED(pa_dp_set_group(n->dp, 0, n->group, count) == 0);
	NEED(pa_udp_open(&udp, &n->fd, err) == 0);
	n->clients = (struct pa_endpoint){udp.bind.addr, pa_udp_port(n->fd)};
	for (unsigned i = 0; i < HOLDERS; i++)
		bind_holder(n, i, &n->clients);
	NEED(pa_dp_start(n->dp) == 0);
}

/* A packet of protocol 253 between holder i and 8.8.8.8, numbered. */
static size_t make_packet(uint8_t *p, unsigned i, bool from, size_t len, uint32_t number)
{
	struct pa_addr a = holder(i), other = pa_addr_from_ipv4(0x08080808);

	memset(p, 0, len);
	p[0] = 0x45;
	p[3] = (uint8_t)len;
	p[8] = 64;
	p[9] = 253;
	memcpy(p + (from ? 12 : 16), a.b + 12, 4);
	memcpy(p + (from ? 16 : 12), other.b + 12, 4);
	memcpy(p + 20, &number, sizeof(number));
	return len;
}

static void take(struct lanes *n, unsigned lane)
{
	uint8_t buf[300];
	uint32_t number;

	while (recv(n->devices[lane][1], buf, sizeof(buf), MSG_DONTWAIT) > 0) {
		struct pa_addr a = pa_addr_from_ipv4((uint32_t)buf[12] << 24 | (uint32_t)buf[13] << 16 | (uint32_t)buf[14] << 8 | buf[15]);
		unsigned i = buf[15] - 10u;

		NEED(i < HOLDERS && pa_steer(&a, LANES) == lane);
		memcpy(&number, buf + 20, sizeof(number));
		NEED(number > n->seen[i]);
		n->seen[i] = number;
		n->total++;
	}
	while (recv(n->fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void one_round(struct lanes *n, uint32_t round)
{
	static const uint8_t hello[160] = {0x20, 0, 0, 0, 1};
	struct pa_endpoint elsewhere = {n->clients.addr, 9};
	struct pa_deny deny = {.isolate = round % 2 == 0};
	struct sockaddr_storage to;
	socklen_t to_len = pa_sockaddr_to(&n->at, &to);
	struct pa_dp_peer_stats peer;
	struct pa_dp_stats stats;
	uint8_t buf[300];

	for (unsigned i = 0; i < HOLDERS; i++) {
		struct pa_addr a = holder(i);

		(void)sendto(n->fd, buf, make_packet(buf, i, true, 60 + i, round), 0, (struct sockaddr *)&to, to_len);
		(void)send(n->devices[pa_steer(&a, LANES)][1], buf, make_packet(buf, i, false, 60, round), 0);
		if (i >= HOLDERS / 2) /* the others stay */
			bind_holder(n, i, round % 3 == 0 ? &elsewhere : &n->clients);
		NEED(pa_dp_user.stats(n->dp, &a, NULL, &peer) == 0);
	}
	(void)sendto(n->fd, hello, sizeof(hello), 0, (struct sockaddr *)&to, to_len);
	pa_dp_set_deny(n->dp, &deny);
	NEED(pa_dp_user.stats(n->dp, NULL, &stats, NULL) == 0);
	(void)uv_run(&n->loop, UV_RUN_NOWAIT);
	for (unsigned lane = 0; lane < LANES; lane++)
		take(n, lane);
}

/* To the file of --tap=FILE, as Criterion's programs do, or to the standard output. */
static void tell(int argc, char **argv, uint32_t total)
{
	FILE *f = NULL;

	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--tap=", 6) == 0)
			f = fopen(argv[i] + 6, "we");
	fprintf(f != NULL ? f : stdout, "1..1\nok 1 - %u packets passed in order while their bindings changed\n", total);
	if (f != NULL)
		(void)fclose(f);
}

int main(int argc, char **argv)
{
	static struct lanes n;

	open_all(&n);
	for (uint32_t round = 1; round <= ROUNDS; round++)
		one_round(&n, round);
	for (uint64_t end = uv_hrtime() + 5000000000u; n.total < ROUNDS && uv_hrtime() < end;)
		for (unsigned lane = 0; lane < LANES; lane++)
			take(&n, lane);
	NEED(n.total >= ROUNDS);
	pa_dp_user.close(n.dp);
	for (unsigned i = 0; i < PA_STEER_DATA + LANES; i++)
		close(n.group[i]);
	for (unsigned i = 0; i < LANES; i++) {
		close(n.devices[i][0]);
		close(n.devices[i][1]);
	}
	close(n.fd);
	(void)uv_run(&n.loop, UV_RUN_DEFAULT);
	NEED(uv_loop_close(&n.loop) == 0);
	tell(argc, argv, n.total);
	return 0;
}

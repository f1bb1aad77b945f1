/* SPDX-License-Identifier: MPL-2.0 */
/* A run of probes between a real client and a real gateway, with NATs of every kind, made up here, between them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "test/sim/peer.h"
#include "tunnel/gw.h"
#include "tunnel/keep_learn.h"
#include "tunnel/net_wire.h"
#include "tunnel/probe.h"
#include "tunnel/probe_mtu.h"

TestSuite(probe_run, .timeout = 60);

#define MAIN_SOCKET 100 /* the tunnel's own */
#define MAPPINGS 64
#define PACKETS 256
#define HEADERS 28

struct mapping {
	unsigned socket;
	struct pa_endpoint key; /* of the destination, as far as the kind of NAT looks at it */
	struct pa_endpoint outside;
	uint64_t used_ms;
	struct pa_endpoint sent_to[8];
	unsigned n_sent_to;
};

struct packet {
	bool inward; /* to the client's socket */
	unsigned socket, local;
	struct pa_endpoint peer; /* inward: sender; outward: destination */
	struct pa_endpoint outside;
	uint8_t buf[2048];
	size_t len;
};

/* What lies between; zeros: nothing in the way. */
struct way {
	enum pa_nat_kind mapping, filtering;
	uint16_t mtu_to, mtu_from;
	uint64_t life_ms;
	bool blocked_here, udp_blocked, dead, not_served;
	unsigned lose; /* each so-many-th packet */
	size_t n_probes; /* sockets of the gateway for probes */
	int64_t gateway_clock_ms;
	uint16_t keepalive; /* of the gateway; 0: 25 */
};

struct world {
	struct way way;
	struct pa_now now;
	struct peer_rng rng;
	struct pa_keyring *ring;
	struct pa_gw *gw;
	struct pa_client *client;
	struct pa_probe *run;
	enum pa_probe_socket kinds[PA_PROBE_SOCKETS];
	bool df[MAIN_SOCKET + 1];
	struct mapping mappings[MAPPINGS];
	unsigned n_mappings;
	struct packet queue[PACKETS];
	unsigned n_queue, count;
	uint64_t bind;
	uint16_t next_port;
	unsigned told[PA_PROBE_SOCKETS];
	int told_code[PA_PROBE_SOCKETS];
};

static const char *const gateway_at[] = {"198.51.100.10:6080", "198.51.100.10:6081", "198.51.100.11:6080"};

static struct pa_now gateway_now(const struct world *w)
{
	struct pa_now now = w->now;

	now.unix_ms += (uint64_t)w->way.gateway_clock_ms;
	return now;
}

/* ---- the NAT ---- */

static struct pa_endpoint key_of(enum pa_nat_kind kind, const struct pa_endpoint *to)
{
	struct pa_endpoint key;

	memset(&key, 0, sizeof(key));
	if (kind == PA_NAT_ADDRESS || kind == PA_NAT_ADDRESS_PORT)
		key.addr = to->addr;
	if (kind == PA_NAT_ADDRESS_PORT)
		key.port = to->port;
	return key;
}

static bool is_alive(const struct world *w, const struct mapping *m)
{
	return w->way.life_ms == 0 || w->now.boot_ms - m->used_ms <= w->way.life_ms;
}

static struct mapping *map(struct world *w, unsigned socket, const struct pa_endpoint *to)
{
	struct pa_endpoint key = key_of(w->way.mapping, to);
	struct mapping *m;

	for (unsigned i = 0; i < w->n_mappings; i++) {
		m = &w->mappings[i];
		if (m->socket == socket && pa_endpoint_eq(&m->key, &key) && is_alive(w, m))
			return m;
	}
	m = &w->mappings[w->n_mappings++];
	cr_assert(w->n_mappings < MAPPINGS);
	memset(m, 0, sizeof(*m));
	m->socket = socket;
	m->key = key;
	m->outside = peer_at("192.0.2.1:1");
	m->outside.port = w->next_port++;
	return m;
}

static bool lets_in(const struct world *w, const struct mapping *m, const struct pa_endpoint *from)
{
	for (unsigned i = 0; i < m->n_sent_to; i++) {
		struct pa_endpoint sent = key_of(w->way.filtering, &m->sent_to[i]), got = key_of(w->way.filtering, from);

		if (pa_endpoint_eq(&sent, &got))
			return true;
	}
	return false;
}

static bool is_lost(struct world *w)
{
	return w->way.lose > 0 && ++w->count % w->way.lose == 0;
}

static void put(struct world *w, const struct packet *p)
{
	cr_assert(w->n_queue < PACKETS);
	w->queue[w->n_queue++] = *p;
}

static void outward(struct world *w, unsigned socket, bool df, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct packet p = {.inward = false, .socket = socket, .peer = *to, .len = len};
	struct mapping *m = map(w, socket, to);

	cr_assert_leq(len, sizeof(p.buf));
	m->used_ms = w->now.boot_ms;
	for (unsigned i = 0; i < 8; i++) {
		if (i == m->n_sent_to)
			m->sent_to[m->n_sent_to++] = *to;
		if (pa_endpoint_eq(&m->sent_to[i], to))
			break;
	}
	if (is_lost(w) || w->way.udp_blocked || (df && w->way.mtu_to > 0 && len + HEADERS > w->way.mtu_to))
		return;
	p.outside = m->outside;
	memcpy(p.buf, buf, len);
	put(w, &p);
}

/* ---- ops ---- */

static void gw_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	unsigned place = local >= PA_GW_PROBE_LOCAL ? local - PA_GW_PROBE_LOCAL + 1 : 0;
	struct packet p = {.inward = true, .local = local, .peer = peer_at(gateway_at[place]), .len = len};
	struct world *w = ctx;

	if (is_lost(w) || (local >= PA_GW_PROBE_LOCAL && w->way.mtu_from > 0 && len + HEADERS > w->way.mtu_from))
		return;
	for (unsigned i = 0; i < w->n_mappings; i++) {
		struct mapping *m = &w->mappings[i];

		if (!pa_endpoint_eq(&m->outside, to) || !is_alive(w, m) || !lets_in(w, m, &p.peer))
			continue;
		m->used_ms = w->now.boot_ms;
		p.socket = m->socket;
		memcpy(p.buf, buf, len);
		put(w, &p);
		return;
	}
}

static void gw_deliver(void *ctx, const struct pa_gw_binding *b)
{
	(void)ctx;
	(void)b;
}

static void gw_stop(void *ctx, const struct pa_addr *addr)
{
	(void)ctx;
	(void)addr;
}

static void gw_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	(void)b;
	(void)reason;
	if (((struct world *)ctx)->way.life_ms == 0)
		cr_assert_str_neq(event, "binding.moved", "probes move nothing");
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct world *)ctx)->rng, dst, len);
}

static const struct pa_gw_ops gw_ops = {.send = gw_send, .deliver = gw_deliver, .stop = gw_stop, .event = gw_event,
					.random = on_random};

static void cl_send(void *ctx, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	outward(ctx, MAIN_SOCKET, false, to, buf, len);
}

static void cl_fresh_port(void *ctx)
{
	(void)ctx;
}

static void cl_up(void *ctx, const struct pa_client_binding *b)
{
	(void)ctx;
	(void)b;
}

static void cl_down(void *ctx, bool ended, unsigned reason)
{
	(void)ctx;
	(void)ended;
	(void)reason;
}

static void cl_event(void *ctx, const char *event, const struct pa_endpoint *gateway, unsigned detail)
{
	(void)ctx;
	(void)event;
	(void)gateway;
	(void)detail;
}

static uint64_t cl_next_bind(void *ctx)
{
	return ++((struct world *)ctx)->bind;
}

static const struct pa_client_ops cl_ops = {.send = cl_send, .fresh_port = cl_fresh_port, .up = cl_up, .down = cl_down,
					    .event = cl_event, .next_bind = cl_next_bind, .random = on_random};

static void run_close(void *ctx, unsigned i)
{
	struct world *w = ctx;

	for (unsigned k = 0; k < w->n_mappings; k++)
		if (w->mappings[k].socket == i)
			w->mappings[k].socket = UINT32_MAX;
}

static int run_open(void *ctx, unsigned i, enum pa_probe_socket kind, const struct pa_endpoint *to)
{
	struct world *w = ctx;

	(void)to;
	cr_assert_lt(i, (unsigned)PA_PROBE_SOCKETS);
	run_close(ctx, i);
	w->kinds[i] = kind;
	if (kind == PA_PROBE_TCP && !w->way.dead) {
		w->told[i] = 1;
		w->told_code[i] = PA_EEXIST; /* RST: nobody serves TCP there */
	}
	return 0;
}

static int run_send(void *ctx, unsigned i, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct world *w = ctx;

	cr_assert_neq(w->kinds[i], PA_PROBE_TCP);
	if (w->way.blocked_here)
		return PA_EDENIED;
	if (w->way.not_served && w->kinds[i] == PA_PROBE_UDP_CONNECTED) {
		w->told[i] = 1;
		w->told_code[i] = PA_EEXIST;
	}
	outward(w, i, w->kinds[i] == PA_PROBE_UDP_DF, to, buf, len);
	return 0;
}

static const struct pa_probe_ops run_ops = {.open = run_open, .close = run_close, .send = run_send, .random = on_random};

/* ---- the world ---- */

static void deliver(struct world *w, const struct packet *p)
{
	if (p->inward && p->socket == MAIN_SOCKET) {
		pa_client_receive(w->client, w->now, &p->peer, p->buf, p->len);
	} else if (p->inward && p->socket < PA_PROBE_SOCKETS) {
		pa_probe_receive(w->run, w->now, p->socket, &p->peer, p->buf, p->len);
	} else if (!p->inward && !w->way.dead && !w->way.not_served) {
		for (unsigned i = 0; i <= w->way.n_probes; i++) {
			struct pa_endpoint at = peer_at(gateway_at[i]);

			if (pa_endpoint_eq(&at, &p->peer))
				pa_gw_receive(w->gw, gateway_now(w), i == 0 ? 0 : PA_GW_PROBE_LOCAL + i - 1, &p->outside, p->buf, p->len);
		}
	}
}

/* One tenth of a second. */
static void step(struct world *w)
{
	for (unsigned i = 0; i < PA_PROBE_SOCKETS; i++)
		if (w->told[i] != 0) {
			w->told[i] = 0;
			pa_probe_told(w->run, w->now, i, w->told_code[i]);
		}
	while (w->n_queue > 0) {
		struct packet p = w->queue[0];

		memmove(w->queue, w->queue + 1, --w->n_queue * sizeof(w->queue[0]));
		deliver(w, &p);
	}
	(void)pa_client_tick(w->client, w->now);
	(void)pa_gw_tick(w->gw, gateway_now(w));
	(void)pa_probe_tick(w->run, w->now);
	w->now.boot_ms += 100;
	w->now.unix_ms += 100;
}

static struct world *world_new(const struct way *way, bool bind)
{
	static const struct pa_gw_pool pool = {PEER_POOL_ID,
					       {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};
	struct pa_gw_socket sockets[3];
	struct pa_gw_config cfg = {.pools = &pool, .n_pools = 1, .mtu = 1472, .max_bindings = 4,
				   .keepalive = way->keepalive != 0 ? way->keepalive : 25, .sockets = sockets, .n_sockets = 1 + way->n_probes};
	struct world *w = calloc(1, sizeof(*w));
	uint8_t secret[PA_KEY_LEN];
	struct pa_client_status s;
	struct pa_grant g;

	for (unsigned i = 0; i < 3; i++)
		sockets[i] = (struct pa_gw_socket){peer_at(gateway_at[i]), i == 0 ? 0 : PA_GW_PROBE_LOCAL + i - 1};
	w->rng.s = 7;
	w->next_port = 20000;
	w->now = (struct pa_now){.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};
	cfg.keys = w->ring = peer_keyring();
	cr_assert_eq(pa_gw_new(&cfg, &gw_ops, w, &w->gw), 0);
	peer_client_secret(0, secret);
	cr_assert_eq(pa_client_new(secret, &cl_ops, w, &w->client), 0);
	cr_assert_eq(pa_probe_new(w->client, &run_ops, w, &w->run), 0);
	cr_assert_eq(pa_probe_start(w->run, w->now, 1500, 0), PA_ENOTFOUND);
	peer_grant(0, 5, 1, PEER_UNIX + 7200, true, &g);
	g.keepalive = way->keepalive;
	w->way.gateway_clock_ms = way->gateway_clock_ms;
	cr_assert_eq(pa_client_grant(w->client, w->now, &g), 0);
	for (unsigned i = 0; bind && i < 20; i++)
		step(w);
	pa_client_status_get(w->client, &s);
	cr_assert_eq(s.state, bind ? PA_CLIENT_BOUND : PA_CLIENT_BINDING);
	w->way = *way;
	return w;
}

static void world_free(struct world *w)
{
	pa_probe_free(w->run);
	pa_client_free(w->client);
	pa_gw_free(w->gw);
	pa_keyring_free(w->ring);
	free(w);
}

static struct pa_probe_result run_on(const struct way *way, bool bind, unsigned life)
{
	struct world *w = world_new(way, bind);
	struct pa_probe_result r;
	uint64_t age;

	pa_probe_get(w->run, w->now, &r, &age);
	cr_assert_eq(age, UINT64_MAX);
	cr_assert_eq(pa_probe_start(w->run, w->now, 1500, life), 0);
	cr_assert_eq(pa_probe_start(w->run, w->now, 1500, life), PA_EAGAIN);
	for (unsigned i = 0; i < 600 + 10 * life && pa_probe_running(w->run); i++)
		step(w);
	cr_assert(!pa_probe_running(w->run), "it comes to its end");
	cr_assert_eq(pa_probe_tick(w->run, w->now), UINT64_MAX);
	pa_probe_get(w->run, w->now, &r, &age);
	cr_assert_leq(age, 200);
	world_free(w);
	return r;
}

Test(probe_run, every_kind_of_nat_is_told)
{
	static const enum pa_nat_kind kinds[] = {PA_NAT_ENDPOINT, PA_NAT_ADDRESS, PA_NAT_ADDRESS_PORT};

	for (unsigned m = 0; m < 3; m++)
		for (unsigned f = 0; f < 3; f++) {
			struct way way = {.mapping = kinds[m], .filtering = kinds[f], .n_probes = 2};
			struct pa_probe_result r = run_on(&way, true, 0);

			cr_expect(r.probed && r.gateways[0].udp == PA_REACH_ANSWERED && r.gateways[0].tcp == PA_REACH_REFUSED);
			cr_expect_eq(r.mapping, kinds[m], "mapping %s: %s", pa_nat_name(kinds[m]), pa_nat_name(r.mapping));
			cr_expect_eq(r.filtering, kinds[f], "filtering %s: %s", pa_nat_name(kinds[f]), pa_nat_name(r.filtering));
			cr_expect(r.mtu_to == 1500 && r.mtu_from == 1500, "%u %u", r.mtu_to, r.mtu_from);
		}
}

Test(probe_run, with_one_address_less_is_known_and_said)
{
	static const struct {
		size_t n_probes;
		enum pa_nat_kind nat, mapping, filtering;
	} cases[] = {{1, PA_NAT_ENDPOINT, PA_NAT_ENDPOINT_OR_ADDRESS, PA_NAT_ENDPOINT_OR_ADDRESS},
		     {1, PA_NAT_ADDRESS, PA_NAT_ENDPOINT_OR_ADDRESS, PA_NAT_ENDPOINT_OR_ADDRESS},
		     {1, PA_NAT_ADDRESS_PORT, PA_NAT_ADDRESS_PORT, PA_NAT_ADDRESS_PORT},
		     {0, PA_NAT_ADDRESS_PORT, PA_NAT_UNKNOWN, PA_NAT_UNKNOWN}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct way way = {.mapping = cases[i].nat, .filtering = cases[i].nat, .n_probes = cases[i].n_probes};
		struct pa_probe_result r = run_on(&way, true, 0);

		cr_expect_eq(r.mapping, cases[i].mapping, "%zu", i);
		cr_expect_eq(r.filtering, cases[i].filtering, "%zu", i);
		cr_expect_eq(r.mtu_from, cases[i].n_probes > 0 ? 1500 : 0);
	}
}

Test(probe_run, the_largest_packet_is_found_to_the_byte)
{
	for (uint16_t mtu = 577; mtu <= 1500; mtu = (uint16_t)(mtu + 37)) {
		struct way way = {.mapping = PA_NAT_ENDPOINT, .filtering = PA_NAT_ADDRESS_PORT, .n_probes = 1, .mtu_to = mtu,
				  .mtu_from = (uint16_t)(2077 - mtu)};
		struct pa_probe_result r = run_on(&way, true, 0);

		cr_expect_eq(r.mtu_to, mtu);
		cr_expect_eq(r.mtu_from, 2077 - mtu);
	}
}

Test(probe_run, the_search_needs_few_rounds)
{
	for (uint16_t link = 577; link < 9300; link = (uint16_t)(link + 113))
		for (uint16_t mtu = 576; mtu <= link; mtu = (uint16_t)(mtu + 59)) {
			uint16_t sizes[PA_MTU_ROUND];
			unsigned n, rounds = 0;
			struct pa_mtu_search s;

			pa_mtu_start(&s, link);
			while ((n = pa_mtu_next(&s, sizes)) > 0) {
				bool passed[PA_MTU_ROUND];

				for (unsigned i = 0; i < n; i++)
					passed[i] = sizes[i] <= mtu;
				pa_mtu_learn(&s, sizes, passed, n);
				cr_assert_leq(++rounds, 7);
			}
			cr_assert_eq(s.low, mtu, "link %u path %u", link, mtu);
		}
}

Test(probe_run, senders_on_the_wire)
{
	uint8_t p[28] = {0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 10, 10, 1, 0, 5, 0x17, 0xc0, 0x9c, 0x40, 0, 8, 0, 0};
	struct pa_endpoint e, want = peer_at("198.51.100.10:6080");

	cr_assert(pa_wire_sender(p, sizeof(p), &e) && pa_endpoint_eq(&e, &want));
	for (size_t len = 0; len < 24; len++)
		cr_assert_not(pa_wire_sender(p, len, &e), "%zu", len);
	p[7] = 1;
	cr_assert_not(pa_wire_sender(p, sizeof(p), &e), "a later fragment has no ports");
	p[7] = 0;
	p[9] = 6;
	cr_assert_not(pa_wire_sender(p, sizeof(p), &e));
	p[9] = 17;
	p[0] = 0x44;
	cr_assert_not(pa_wire_sender(p, sizeof(p), &e));
	p[0] = 0x4f;
	cr_assert_not(pa_wire_sender(p, sizeof(p), &e), "a header longer than what is there");
	p[0] = 0x65;
	cr_assert_not(pa_wire_sender(p, sizeof(p), &e));
}

Test(probe_run, losses_change_nothing)
{
	for (unsigned lose = 3; lose < 12; lose++) {
		struct way way = {.mapping = PA_NAT_ADDRESS_PORT, .filtering = PA_NAT_ENDPOINT, .n_probes = 2, .lose = lose};
		struct pa_probe_result r = run_on(&way, true, 0);

		cr_expect(r.probed && r.gateways[0].udp == PA_REACH_ANSWERED, "%u", lose);
		cr_expect_eq(r.mapping, PA_NAT_ADDRESS_PORT, "%u: %s", lose, pa_nat_name(r.mapping));
		cr_expect_eq(r.filtering, PA_NAT_ENDPOINT, "%u: %s", lose, pa_nat_name(r.filtering));
	}
}

Test(probe_run, how_long_the_nat_remembers)
{
	static const struct {
		uint64_t life_ms;
		unsigned tried, kept, lost;
	} cases[] = {{29000, 80, 20, 30}, {35000, 80, 30, 40}, {5000, 80, 0, 10}, {0, 80, 80, 0}, {100000, 8, 8, 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct way way = {.mapping = PA_NAT_ENDPOINT, .filtering = PA_NAT_ADDRESS_PORT, .n_probes = 1,
				  .life_ms = cases[i].life_ms};
		struct pa_probe_result r = run_on(&way, true, cases[i].tried);

		cr_expect_eq(r.life_limit, cases[i].tried);
		cr_expect_eq(r.life_kept, cases[i].kept, "%zu: kept %u", i, r.life_kept);
		cr_expect_eq(r.life_lost, cases[i].lost, "%zu: lost %u", i, r.life_lost);
	}
}

/*
 * As tunneld_pulse_edge.c does it: the learner's trials, one after the other, for ms. Returns for how long the tunnel's own mapping
 * was dead.
 */
static uint64_t learn_for(struct world *w, struct pa_learn *l, uint64_t ms)
{
	uint64_t end = w->now.boot_ms + ms, dead_ms = 0;

	while (w->now.boot_ms < end) {
		struct pa_probe_result r;
		uint64_t age;
		uint16_t silence;

		if (l->trying != 0 && !pa_probe_running(w->run)) {
			pa_probe_get(w->run, w->now, &r, &age);
			pa_learn_result(l, w->now, r.life_kept != 0 ? PA_LEARN_HELD : r.life_lost != 0 ? PA_LEARN_LOST : PA_LEARN_VOID, 0);
		}
		w->n_mappings = l->trying == 0 ? 1 : w->n_mappings; /* of sockets that are closed */
		silence = pa_learn_trial(l, w->now);
		if (silence != 0)
			cr_assert_eq(pa_probe_start_life(w->run, w->now, silence), 0);
		pa_client_interval(w->client, w->now, pa_learn_interval(l));
		step(w);
		cr_assert_eq(w->mappings[0].socket, (unsigned)MAIN_SOCKET);
		if (!is_alive(w, &w->mappings[0]))
			dead_ms += 100;
	}
	return dead_ms;
}

/* The interval is as long as the NAT allows, and the tunnel's own mapping was never at risk. */
Test(probe_run, the_keepalive_interval_is_learned)
{
	static const struct {
		uint64_t life_ms;
		unsigned lose;
		uint16_t least, most;
	} cases[] = {{0, 0, 120, 120}, {300000, 0, 120, 120}, {140000, 7, 110, 120}, {60000, 0, 45, 51}, {30000, 0, 18, 24},
		     {20000, 0, 15, 15}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct way way = {.mapping = PA_NAT_ENDPOINT, .filtering = PA_NAT_ADDRESS_PORT, .n_probes = 1,
				  .life_ms = cases[i].life_ms, .lose = cases[i].lose, .keepalive = PA_KEEPALIVE_MAX};
		struct world *w = world_new(&way, true);
		struct pa_client_status s;
		struct pa_learn l;
		uint64_t dead;
		uint16_t interval;

		pa_learn_begin(&l, w->now, PA_KEEPALIVE_MAX, 0);
		dead = learn_for(w, &l, 1500000);
		interval = pa_learn_interval(&l);
		cr_expect(interval >= cases[i].least && interval <= cases[i].most, "%lu ms: %u s", (unsigned long)cases[i].life_ms,
			  interval);
		cr_expect_eq(dead, 0, "%lu ms: P was out of reach for %lu ms", (unsigned long)cases[i].life_ms, (unsigned long)dead);
		pa_client_status_get(w->client, &s);
		cr_expect_eq(s.interval, interval, "and is used");
		world_free(w);
	}
}

/* The other way round: what the test above looks at is not always 0. */
Test(probe_run, without_learning_the_mapping_dies)
{
	struct way way = {.mapping = PA_NAT_ENDPOINT, .filtering = PA_NAT_ADDRESS_PORT, .n_probes = 1, .life_ms = 60000,
			  .keepalive = PA_KEEPALIVE_MAX};
	struct world *w = world_new(&way, true);
	struct pa_learn none = {.bound = 0};
	uint64_t dead_ms = 0;

	for (unsigned i = 0; i < 1200; i++) {
		step(w);
		dead_ms += is_alive(w, &w->mappings[0]) ? 0 : 100;
	}
	cr_expect_gt(dead_ms, 30000);
	cr_expect_eq(pa_learn_trial(&none, w->now), 0);
	cr_expect_eq(pa_learn_interval(&none), 0);
	world_free(w);
}

Test(probe_run, the_gateways_clock)
{
	static const int64_t skews[] = {0, 3600000, -3600000};

	for (size_t i = 0; i < 3; i++) {
		struct way way = {.mapping = PA_NAT_ENDPOINT, .filtering = PA_NAT_ENDPOINT, .gateway_clock_ms = skews[i]};
		struct pa_probe_result r = run_on(&way, true, 0);

		cr_expect(r.clock_ms >= skews[i] - 200 && r.clock_ms <= skews[i] + 200, "%lld", (long long)r.clock_ms);
	}
}

Test(probe_run, who_is_silent_and_who_says_no)
{
	static const struct {
		struct way way;
		enum pa_reach udp, tcp;
	} cases[] = {
		{{.blocked_here = true}, PA_REACH_BLOCKED, PA_REACH_REFUSED},
		{{.udp_blocked = true}, PA_REACH_SILENT, PA_REACH_REFUSED},
		{{.dead = true}, PA_REACH_SILENT, PA_REACH_SILENT},
		{{.not_served = true}, PA_REACH_REFUSED, PA_REACH_REFUSED},
		{{.mapping = PA_NAT_ENDPOINT}, PA_REACH_ANSWERED, PA_REACH_REFUSED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int bound = 0; bound < 2; bound++) {
			struct pa_probe_result r = run_on(&cases[i].way, bound == 1, 0);

			cr_expect_eq(r.n_gateways, 1);
			cr_expect_eq(r.gateways[0].udp, cases[i].udp, "%zu: udp %d", i, (int)r.gateways[0].udp);
			cr_expect_eq(r.gateways[0].tcp, cases[i].tcp, "%zu: tcp %d", i, (int)r.gateways[0].tcp);
			if (cases[i].udp != PA_REACH_ANSWERED || bound == 1) /* else the handshake may just have succeeded */
				cr_expect_eq(r.probed, cases[i].udp == PA_REACH_ANSWERED);
		}
}

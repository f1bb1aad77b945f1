/* SPDX-License-Identifier: MPL-2.0 */
#include "test/sim/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/client_state.h"
#include "tunnel/gw_state.h"

unsigned world_random(struct world *w, unsigned below)
{
	return (unsigned)(peer_next(&w->rng) % below);
}

static unsigned host_of(const struct pa_addr *a)
{
	return a->b[15];
}

/* ---------------------------------------------------------------- network */

static void enqueue(struct world *w, const struct world_packet *p)
{
	if (w->n_queue < WORLD_QUEUE)
		w->queue[w->n_queue++] = *p;
}

/* By the relay's connection: TCP loses and doubles nothing. */
static bool is_stream(const struct world *w, const struct world_packet *p)
{
	for (unsigned i = 0; i < WORLD_CLIENTS; i++)
		if (w->c[i].berth.port != 0 && (pa_endpoint_eq(&p->from, &w->c[i].berth) || pa_endpoint_eq(&p->to, &w->c[i].berth)))
			return true;
	return false;
}

static void wire(struct world *w, struct world_packet *p)
{
	unsigned copies = 1;

	if (!p->data && w->n_record < WORLD_RECORD)
		w->record[w->n_record++] = *p;
	if (!is_stream(w, p) && world_random(w, 100) < w->loss)
		return;
	if (!is_stream(w, p) && world_random(w, 100) < w->dup)
		copies++;
	while (copies-- > 0) {
		p->due = w->now.boot_ms + w->delay_min + world_random(w, w->delay_max - w->delay_min + 1);
		if (w->late > 0 && world_random(w, 100) < w->late)
			p->due += world_random(w, w->late_ms);
		enqueue(w, p);
	}
}

static void send_from(struct world *w, const struct pa_endpoint *from, const struct pa_endpoint *to,
		      const uint8_t *buf, size_t len)
{
	struct world_packet p = {.from = *from, .to = *to, .len = len};

	memcpy(p.buf, buf, len);
	wire(w, &p);
}

/* A listener on client 0's LAN: what the client sends goes out from the listener's own address too. */
static void overhear(struct world *w, const struct world_packet *p)
{
	struct world_packet copy = *p;

	if (w->relay.port == 0)
		return;
	copy.from = w->relay;
	copy.due = w->now.boot_ms + w->delay_min / 2; /* its way is the shorter one */
	enqueue(w, &copy);
}

/*
 * A listener on client 0's LAN who saw its grant and can send from any address: CHALLENGEs with cookies of its own, one
 * faster than the gateway can be, the others from then on.
 */
static void forge_challenges(struct world *w, const struct world_packet *hello)
{
	struct world_packet forged = {.from = hello->to, .to = hello->from};
	struct pa_msg m;
	struct peer p;

	if (w->forge == 0 || pa_msg_decode(hello->buf, hello->len, &m) < 0 || m.type != PA_MSG_HELLO)
		return;
	peer_init(&p, &w->c[0].grant, 0, m.bind);
	memcpy(p.nonce, m.nonce, sizeof(p.nonce));
	for (unsigned i = 0; i < w->forge; i++) {
		peer_fill(&w->rng, p.cookie, sizeof(p.cookie));
		forged.len = peer_challenge(&p, forged.buf);
		forged.due = w->now.boot_ms + 1 + (i == 0 ? 0 : world_random(w, 4 * w->delay_max));
		enqueue(w, &forged);
	}
}

static struct pa_now client_now(const struct world_client *c)
{
	struct pa_now now = c->w->now;

	now.unix_ms += (uint64_t)c->wall_ms;
	return now;
}

static bool forgotten(const struct world_client *c)
{
	return c->nat_life_ms != 0 && c->w->now.boot_ms - c->used_ms > c->nat_life_ms;
}

/* Something of client c leaves: its NAT makes another mapping if it has forgotten the last one. */
static void pass_nat(struct world_client *c)
{
	if (forgotten(c))
		world_rebind(c->w, c->n);
	c->used_ms = c->w->now.boot_ms;
}

static void deliver(struct world *w, const struct world_packet *p)
{
	for (unsigned i = 0; i < WORLD_GATEWAYS; i++) {
		struct world_gateway *g = &w->g[i];

		if (!pa_endpoint_eq(&p->to, &g->at) || g->dead)
			continue;
		if (!p->data)
			pa_gw_receive(g->gw, w->now, 0, &p->from, p->buf, p->len);
		else if (!pa_endpoint_eq(&g->owner[host_of(&p->inner)], &p->from))
			pa_gw_foreign(g->gw, w->now, 0, &p->from, &p->inner, p->len);
	}
	for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
		struct world_client *c = &w->c[i];

		if (c->frozen)
			continue;
		if (c->relay && pa_endpoint_eq(&p->to, &c->berth))
			pa_client_receive(c->cl, client_now(c), &c->ferry, p->buf, p->len);
		else if (!c->no_udp && !forgotten(c) && pa_endpoint_eq(&p->to, &c->mapped))
			pa_client_receive(c->cl, client_now(c), &p->from, p->buf, p->len);
	}
	if (w->relay.port != 0 && pa_endpoint_eq(&p->to, &w->relay)) {
		/* It forges the gateway's address towards the client. */
		struct world_packet copy = *p;

		copy.to = w->c[0].mapped;
		copy.due = w->now.boot_ms + 1;
		enqueue(w, &copy);
	}
}

/* ---------------------------------------------------------------- what the ends ask for */

static void client_send(void *ctx, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct world_client *c = ctx;

	if (pa_endpoint_eq(to, &c->ferry)) {
		if (c->relay)
			send_from(c->w, &c->berth, &c->w->g[0].at, buf, len);
		return;
	}
	if (c->no_udp)
		return;
	pass_nat(c);
	send_from(c->w, &c->mapped, to, buf, len);
	if (c->n == 0) {
		struct world_packet p = {.from = c->mapped, .to = *to, .len = len};

		memcpy(p.buf, buf, len);
		overhear(c->w, &p);
		forge_challenges(c->w, &p);
	}
}

static void client_fresh_port(void *ctx)
{
	struct world_client *c = ctx;

	c->n_fresh++;
	world_rebind(c->w, c->n);
}

static void client_up(void *ctx, const struct pa_client_binding *b)
{
	struct world_client *c = ctx;

	c->n_up++;
	c->is_up = true;
	c->b = *b;
}

static void client_down(void *ctx, bool ended, unsigned reason)
{
	struct world_client *c = ctx;

	(void)reason;
	c->n_down++;
	c->n_ended += ended ? 1 : 0;
	c->is_up = false;
}

static void client_event(void *ctx, const char *event, const struct pa_endpoint *gateway, unsigned detail)
{
	(void)ctx;
	(void)event;
	(void)gateway;
	(void)detail;
}

static uint64_t client_next_bind(void *ctx)
{
	struct world_client *c = ctx;

	uint64_t wall_ms = client_now(c).unix_ms;

	c->bind = c->bind + 1 > wall_ms ? c->bind + 1 : wall_ms;
	return c->bind;
}

static void client_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct world_client *)ctx)->w->rng, dst, len);
}

static void client_ferry(void *ctx, bool wanted)
{
	struct world_client *c = ctx;

	c->wants_relay = wanted;
	c->knows_relay = false;
}

static const struct pa_client_ops client_ops = {client_send,	  client_fresh_port, client_up, client_down, client_event,
						client_next_bind, client_random,     NULL,	NULL,	     client_ferry};

static void gw_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct world_gateway *g = ctx;

	(void)local;
	if (!g->dead)
		send_from(g->w, &g->at, to, buf, len);
}

static void gw_deliver(void *ctx, const struct pa_gw_binding *b)
{
	struct world_gateway *g = ctx;

	g->n_deliver++;
	g->owner[host_of(&b->claims.addr)] = b->mapped;
}

static void gw_stop(void *ctx, const struct pa_addr *addr)
{
	((struct world_gateway *)ctx)->owner[host_of(addr)].port = 0;
}

static void gw_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	struct world_gateway *g = ctx;

	(void)reason;
	if (g->bound != NULL && (strcmp(event, "binding.new") == 0 || strcmp(event, "binding.renewed") == 0))
		g->bound(g, b);
	g->n_contested += strcmp(event, "binding.contested") == 0 ? 1 : 0;
}

static void gw_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct world_gateway *)ctx)->w->rng, dst, len);
}

static void gw_withdraw(void *ctx, const struct pa_addr *addr)
{
	((struct world_gateway *)ctx)->n_withdraw++;
	(void)addr;
}

static const struct pa_gw_ops gw_ops = {.send = gw_send, .deliver = gw_deliver, .withdraw = gw_withdraw, .stop = gw_stop,
					.event = gw_event, .random = gw_random};

static void gateway_start(struct world_gateway *g)
{
	static const struct pa_gw_pool pool = {
		PEER_POOL_ID, {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};
	const struct pa_gw_config cfg = {.keys = g->w->ring, .pools = &pool, .n_pools = 1, .mtu = 1472,
					 .keepalive = 25, .max_bindings = 64};

	memset(g->owner, 0, sizeof(g->owner));
	PA_REQUIRE(pa_gw_new(&cfg, &gw_ops, g, &g->gw) == 0);
	pa_gw_set_floors(g->gw, g->floors);
}

/* ---------------------------------------------------------------- the world */

struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	uint8_t secret[PA_KEY_LEN];

	PA_REQUIRE(w != NULL);
	w->seed = seed;
	w->rng.s = seed;
	w->now = (struct pa_now){.boot_ms = 500000, .unix_ms = PEER_UNIX * 1000ull};
	w->ring = peer_keyring();
	w->delay_min = 5;
	w->delay_max = 60;
	w->next_port = 1024;
	for (unsigned i = 0; i < WORLD_GATEWAYS; i++) {
		w->g[i].w = w;
		w->g[i].n = i;
		w->g[i].at = peer_at(i == 0 ? "198.51.100.10" : "198.51.100.11");
		gateway_start(&w->g[i]);
	}
	for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
		w->c[i].w = w;
		w->c[i].n = i;
		w->c[i].mapped.addr = pa_addr_from_ipv4(0xc0000201u + i);
		w->c[i].ferry = peer_at("127.0.0.1:7000");
		world_rebind(w, i);
		peer_client_secret(i, secret);
		PA_REQUIRE(pa_client_new(secret, &client_ops, &w->c[i], &w->c[i].cl) == 0);
	}
	return w;
}

void world_free(struct world *w)
{
	for (unsigned i = 0; i < WORLD_CLIENTS; i++)
		pa_client_free(w->c[i].cl);
	for (unsigned i = 0; i < WORLD_GATEWAYS; i++)
		pa_gw_free(w->g[i].gw);
	pa_keyring_free(w->ring);
	free(w);
}

void world_grant(struct world *w, unsigned n, uint8_t host, uint64_t epoch, uint64_t seconds, unsigned gateways)
{
	struct pa_grant g;

	peer_grant(n, host, epoch, w->now.unix_ms / 1000 + seconds, true, &g);
	g.lifetime = (uint32_t)seconds;
	g.n_gateways = gateways;
	for (unsigned i = 0; i < gateways; i++)
		g.gateways[i] = w->g[i].at;
	w->c[n].grant = g; /* before the first HELLO: a forger knows it */
	(void)pa_client_grant(w->c[n].cl, client_now(&w->c[n]), &g);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Client c looks at its traffic, as tunneld does. Returns when to look again. */
static uint64_t beat(struct world_client *c)
{
	struct world *w = c->w;

	if (!c->is_up || w->now.boot_ms >= c->flow_until_ms)
		return UINT64_MAX;
	if (c->beat_ms > w->now.boot_ms)
		return c->beat_ms;
	c->beat_ms = w->now.boot_ms + PA_CLIENT_PULSE_MS;
	c->tx += 5;
	world_data(w, c->n);
	if (world_reaches(w, c->n))
		c->rx += 5;
	pa_client_traffic(c->cl, client_now(c), c->tx, c->rx);
	return c->beat_ms;
}

/* Whoever wants the relay is told how it is, as by tunneld's connection. */
static bool tell_relay(struct world_client *c)
{
	if (!c->wants_relay || c->relay == c->knows_relay)
		return false;
	c->knows_relay = c->relay;
	pa_client_ferry(c->cl, client_now(c), c->relay ? &c->ferry : NULL);
	return true;
}

/* Runs all timers that are due; returns when the next one is. */
static uint64_t ticks(struct world *w)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < WORLD_GATEWAYS; i++)
		next = min_u64(next, pa_gw_tick(w->g[i].gw, w->now));
	for (unsigned i = 0; i < WORLD_CLIENTS; i++)
		if (!w->c[i].frozen)
			next = min_u64(next, min_u64(beat(&w->c[i]), pa_client_tick(w->c[i].cl, client_now(&w->c[i]))));
	for (unsigned i = 0; i < WORLD_CLIENTS; i++)
		if (!w->c[i].frozen && tell_relay(&w->c[i]))
			next = w->now.boot_ms + 1;
	return next;
}

/* One step: to the next timer or packet, or to end. Returns false at end. */
static bool step(struct world *w, uint64_t end)
{
	uint64_t next = ticks(w);
	size_t first = w->n_queue;

	PA_REQUIRE(next > w->now.boot_ms);
	for (size_t i = 0; i < w->n_queue; i++) {
		if (w->queue[i].due <= next && (first == w->n_queue || w->queue[i].due < w->queue[first].due)) {
			first = i;
			next = w->queue[i].due;
		}
	}
	if (next > end) {
		w->now.unix_ms += end - w->now.boot_ms;
		w->now.boot_ms = end;
		return false;
	}
	if (next > w->now.boot_ms) {
		w->now.unix_ms += next - w->now.boot_ms;
		w->now.boot_ms = next;
	}
	if (first < w->n_queue) {
		struct world_packet p = w->queue[first];

		w->queue[first] = w->queue[--w->n_queue];
		deliver(w, &p);
	}
	return true;
}

void world_run(struct world *w, uint64_t ms)
{
	uint64_t end = w->now.boot_ms + ms;

	while (step(w, end))
		if (w->watch != NULL)
			w->watch(w, w->watch_ctx);
}

bool world_until(struct world *w, uint64_t ms, bool (*cond)(const struct world *w, unsigned n), unsigned n)
{
	uint64_t end = w->now.boot_ms + ms;

	while (!cond(w, n))
		if (!step(w, end))
			return cond(w, n);
	return true;
}

void world_rebind(struct world *w, unsigned n)
{
	w->c[n].mapped.port = ++w->next_port;
	w->c[n].used_ms = w->now.boot_ms;
}

void world_relay(struct world *w, unsigned n, bool up)
{
	w->c[n].relay = up;
	if (!up)
		return;
	w->c[n].berth = w->g[0].at;
	w->c[n].berth.port = ++w->next_port;
}

void world_thaw(struct world *w, unsigned n)
{
	w->c[n].frozen = false;
}

void world_data(struct world *w, unsigned n)
{
	struct world_client *c = &w->c[n];
	struct world_packet p = {.from = c->mapped, .to = c->b.gateway, .data = true, .inner = c->b.claims.addr,
				 .len = 60};

	if (!c->is_up)
		return;
	if (c->b.relayed) {
		p.from = c->berth;
		p.to = w->g[0].at;
		if (c->relay)
			wire(w, &p);
		return;
	}
	if (c->no_udp)
		return;
	pass_nat(c);
	p.from = c->mapped;
	wire(w, &p);
	if (n == 0)
		overhear(w, &p);
}

void world_restart(struct world *w, unsigned g)
{
	pa_gw_free(w->g[g].gw);
	gateway_start(&w->g[g]);
}

void world_kill_gateway(struct world *w, unsigned g)
{
	struct pa_gw *old = w->g[g].gw;
	uint8_t buf[PA_GW_STATE_RECORD_LEN];
	struct pa_gw_record r;
	uint32_t at = 0;

	gateway_start(&w->g[g]);
	while (pa_gw_walk_records(old, w->now, &at, &r)) {
		PA_REQUIRE(pa_gw_record_encode(&r, buf) == 0 && pa_gw_record_decode(buf, &r) == 0);
		(void)pa_gw_adopt(w->g[g].gw, w->now, &r);
	}
	(void)pa_gw_adopted(w->g[g].gw, w->now, w->now.unix_ms);
	pa_gw_free(old);
}

void world_kill_client(struct world *w, unsigned n)
{
	struct world_client *c = &w->c[n];
	uint8_t buf[PA_CLIENT_SAVED_LEN], secret[PA_KEY_LEN];
	struct pa_client_saved s;

	PA_REQUIRE(pa_client_save(c->cl, &s));
	PA_REQUIRE(pa_client_saved_encode(&s, buf) == 0 && pa_client_saved_decode(buf, &s) == 0);
	pa_client_free(c->cl);
	peer_client_secret(n, secret);
	PA_REQUIRE(pa_client_new(secret, &client_ops, c, &c->cl) == 0);
	world_rebind(w, n);
	c->is_up = c->wants_relay = c->knows_relay = false;
	PA_REQUIRE(pa_client_adopt(c->cl, client_now(c), &c->grant, &s) == 0);
}

void world_inject(struct world *w, const struct pa_endpoint *from, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct world_packet p = {.due = w->now.boot_ms, .from = *from, .to = *to, .len = len};

	memcpy(p.buf, buf, len);
	enqueue(w, &p);
}

void world_replay(struct world *w, const struct world_packet *p, const struct pa_endpoint *from)
{
	struct world_packet copy = *p;

	if (from != NULL)
		copy.from = *from;
	copy.due = w->now.boot_ms;
	enqueue(w, &copy);
}

bool world_reaches(const struct world *w, unsigned n)
{
	const struct world_client *c = &w->c[n];

	if (c->b.relayed)
		return c->is_up && c->relay && !w->g[0].dead &&
		       pa_endpoint_eq(&w->g[0].owner[host_of(&c->b.claims.addr)], &c->berth);
	for (unsigned i = 0; i < WORLD_GATEWAYS; i++)
		if (pa_endpoint_eq(&w->g[i].at, &c->b.gateway))
			return c->is_up && !c->no_udp && !w->g[i].dead && !forgotten(c) &&
			       pa_endpoint_eq(&w->g[i].owner[host_of(&c->b.claims.addr)], &c->mapped);
	return false;
}

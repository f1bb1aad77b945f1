/* SPDX-License-Identifier: MPL-2.0 */
#include "test/sim/histories.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "test/sim/world.h"
#include "tunnel/client_state.h"
#include "tunnel/floors.h"

#define ROUNDS 24
#define LATE_MS 40000
/*
 * 2.5 keepalive intervals, once more when a KEEPALIVE that was kept back comes in the last moment, the repeats that may have the token before
 * the last, and the longest that a packet is under way.
 */
#define STALE_MS (2 * 62500 + 4 * 15000 + LATE_MS + 2000)
#define LIVE_CLEAN_MS 130000 /* a list of two gateways, with the longest pause between its rounds */
#define LIVE_LOSSY_MS 500000
#define LIVE_FLOW_MS 3000 /* with traffic, when a gateway that was there goes */
#define PRETEND_MS 240000
#define LINKS 64

/* What one gateway will hear of another by the broker. */
struct news {
	uint64_t due;
	unsigned gateway; /* that hears it */
	struct pa_addr addr;
	uint64_t epoch, bind;
};

struct history {
	struct world *w;
	struct pa_floors *floors[WORLD_GATEWAYS];
	unsigned host[WORLD_CLIENTS]; /* of 203.0.113.x: what each client holds */
	uint64_t epoch;
	uint64_t stale_ms[WORLD_GATEWAYS][WORLD_CLIENTS + 1]; /* since when P goes to where its holder is not any more; 0: it does not */
	uint64_t live_ms[WORLD_CLIENTS]; /* since when nothing has stood in the way of a client */
	uint64_t flow_ms[WORLD_CLIENTS]; /* when it was last reached while it had traffic and a network without faults; 0: it is not so */
	uint64_t wake_ms[WORLD_CLIENTS]; /* its host sleeps until then; 0: it does not */
	uint64_t pretend_until[WORLD_CLIENTS]; /* it is elsewhere, and says from its old place that it is there */
	struct pa_client_saved saved[WORLD_CLIENTS];
	struct pa_endpoint old_place[WORLD_CLIENTS];
	uint64_t next_pretence[WORLD_CLIENTS];
	struct news news[LINKS];
	unsigned n_news;
	struct histories_counts *count;
	char *text;
	bool failed;
};

static void violated(struct history *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void violated(struct history *h, const char *fmt, ...)
{
	va_list ap;

	if (h->failed)
		return;
	h->failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(h->text, HISTORIES_TEXT, fmt, ap);
	va_end(ap);
}

static unsigned pick(struct history *h, unsigned below)
{
	return world_random(h->w, below);
}

static struct pa_addr addr_of(unsigned host)
{
	return pa_addr_from_ipv4(0xcb007100u | host);
}

/* ---------------------------------------------------------------- what must hold */

static unsigned holder_of(const struct history *h, unsigned host)
{
	unsigned n = 0;

	while (n < WORLD_CLIENTS && h->host[n] != host)
		n++;
	return n;
}

static void check_place(struct history *h, unsigned g, unsigned host)
{
	const struct world *w = h->w;
	const struct pa_endpoint *to = &w->g[g].owner[host];
	unsigned n = holder_of(h, host);
	uint64_t *since = &h->stale_ms[g][host];

	if (to->port == 0) {
		*since = 0;
		return;
	}
	if (!pa_addr_eq(&to->addr, &w->c[n].mapped.addr)) {
		violated(h, "at %lu ms gateway %u sends client %u's packets to a place where it never was",
			 (unsigned long)w->now.boot_ms, g, n);
		return;
	}
	if (pa_endpoint_eq(to, &w->c[n].mapped) && !w->c[n].frozen)
		*since = 0;
	else if (*since == 0)
		*since = w->now.boot_ms;
	else if (w->now.boot_ms - *since > STALE_MS)
		violated(h, "at %lu ms gateway %u has sent client %u's packets for %lu s to where it is no more",
			 (unsigned long)w->now.boot_ms, g, n, (unsigned long)(w->now.boot_ms - *since) / 1000);
}

static void check_alive(struct history *h, unsigned n)
{
	const struct world *w = h->w;
	uint64_t limit = w->loss == 0 && w->late == 0 ? LIVE_CLEAN_MS : LIVE_LOSSY_MS;

	if (world_reaches(w, n) || w->c[n].frozen || (w->g[0].dead && w->g[1].dead))
		h->live_ms[n] = w->now.boot_ms;
	else if (w->now.boot_ms - h->live_ms[n] > limit)
		violated(h, "at %lu ms client %u has a path to a gateway for %lu s, and no binding", (unsigned long)w->now.boot_ms, n,
			 (unsigned long)(w->now.boot_ms - h->live_ms[n]) / 1000);
}

static void check_flow(struct history *h, unsigned n)
{
	const struct world *w = h->w;
	const struct world_client *c = &w->c[n];

	if (w->loss > 0 || w->late > 0 || c->frozen || !c->is_up || w->now.boot_ms >= c->flow_until_ms ||
	    (w->g[0].dead && w->g[1].dead))
		h->flow_ms[n] = 0;
	else if (world_reaches(w, n))
		h->flow_ms[n] = w->now.boot_ms;
	else if (h->flow_ms[n] != 0 && w->now.boot_ms - h->flow_ms[n] > LIVE_FLOW_MS)
		violated(h, "at %lu ms client %u has traffic, a path to a gateway, and for %lu ms no binding", (unsigned long)w->now.boot_ms, n,
			 (unsigned long)(w->now.boot_ms - h->flow_ms[n]));
}

/* ---------------------------------------------------------------- what goes on by itself */

static void wake(struct history *h, unsigned n)
{
	if (h->wake_ms[n] == 0 || h->w->now.boot_ms < h->wake_ms[n])
		return;
	h->wake_ms[n] = 0;
	h->live_ms[n] = h->w->now.boot_ms;
	world_thaw(h->w, n);
}

static void hear_news(struct history *h)
{
	for (unsigned i = 0; i < h->n_news;) {
		struct news *n = &h->news[i];

		if (n->due > h->w->now.boot_ms) {
			i++;
			continue;
		}
		pa_gw_superseded(h->w->g[n->gateway].gw, h->w->now, &n->addr, n->epoch, n->bind);
		h->count->replaced++;
		*n = h->news[--h->n_news];
	}
}

static void pretend(struct history *h, unsigned n)
{
	struct world *w = h->w;
	struct pa_client_saved *s = &h->saved[n];
	struct pa_msg m = {.type = PA_MSG_KEEPALIVE};
	uint8_t buf[PA_CTL_MAX];
	int len;

	if (!w->c[n].frozen || h->wake_ms[n] != 0 || w->now.boot_ms < h->next_pretence[n])
		return;
	if (w->now.boot_ms >= h->pretend_until[n]) {
		w->c[n].frozen = false;
		world_kill_client(w, n);
		h->live_ms[n] = w->now.boot_ms;
		return;
	}
	h->next_pretence[n] = w->now.boot_ms + 12000;
	m.seq = s->seq += 7;
	if (pick(h, 4) == 0)
		m.type = PA_MSG_RECONFIRM; /* with a cookie that he cannot know */
	memcpy(m.session, s->b.session, sizeof(m.session));
	memcpy(m.token, s->token, sizeof(m.token));
	len = pa_msg_encode(&m, s->c2g, buf, sizeof(buf));
	PA_REQUIRE(len > 0);
	world_inject(w, &h->old_place[n], &s->b.gateway, buf, (size_t)len);
}

static void watch(struct world *w, void *ctx)
{
	struct history *h = ctx;

	hear_news(h);
	for (unsigned n = 0; n < WORLD_CLIENTS && !h->failed; n++) {
		for (unsigned g = 0; g < WORLD_GATEWAYS; g++)
			check_place(h, g, h->host[n]);
		check_alive(h, n);
		check_flow(h, n);
		pretend(h, n);
		wake(h, n);
	}
	(void)w;
}

/* The broker tells the other gateway, mostly. */
static void on_bound(struct world_gateway *g, const struct pa_gw_binding *b)
{
	struct history *h = g->w->watch_ctx;

	if (h == NULL || h->n_news == LINKS || pick(h, 100) < 30)
		return;
	h->news[h->n_news++] = (struct news){g->w->now.boot_ms + pick(h, 20000), 1 - g->n, b->claims.addr, b->claims.epoch, b->bind};
}

/* ---------------------------------------------------------------- what happens to them */

static void grant(struct history *h, unsigned n)
{
	world_grant(h->w, n, (uint8_t)h->host[n], ++h->epoch, 36000, 2);
	h->count->grants++;
}

/* Two clients' leases end, every gateway acknowledges it, and each gets what the other had. */
static void hand_over(struct history *h, unsigned a, unsigned b)
{
	unsigned host = h->host[a];

	if (a == b || h->w->c[a].frozen || h->w->c[b].frozen)
		return;
	h->epoch++;
	for (unsigned g = 0; g < WORLD_GATEWAYS; g++) {
		for (unsigned n = 0; n < WORLD_CLIENTS; n++) {
			struct pa_addr addr = addr_of(h->host[n]);

			if (n != a && n != b)
				continue;
			PA_REQUIRE(pa_floors_raise(h->floors[g], &addr, h->epoch) >= 0);
			pa_gw_floor_raised(h->w->g[g].gw, h->w->now, &addr);
		}
	}
	h->host[a] = h->host[b];
	h->host[b] = host;
	grant(h, a);
	grant(h, b);
	h->live_ms[a] = h->live_ms[b] = h->w->now.boot_ms;
	h->count->handovers++;
}

/* A packet that somebody recorded, or kept back, comes from where he likes. */
static void forge(struct history *h)
{
	static const char *const places[] = {"192.0.2.99:40000", "192.0.2.1:1024", "192.0.2.2:1030"};
	struct world *w = h->w;
	const struct world_packet *p;

	if (w->n_record == 0)
		return;
	p = &w->record[w->n_record - 1 - pick(h, (unsigned)(w->n_record < 60 ? w->n_record : 60))];
	if (p->to.port == PA_GUE_PORT) {
		struct pa_endpoint from = peer_at(places[pick(h, 3)]);

		world_replay(w, p, pick(h, 3) == 0 ? NULL : &from);
	} else {
		world_replay(w, p, NULL);
	}
	h->count->forged++;
}

/* A holder goes away, and says on and on from his old place that he is still there, with all the keys that he has. */
static void begin_pretence(struct history *h, unsigned n)
{
	struct world *w = h->w;

	if (w->c[n].frozen || !world_reaches(w, n) || !pa_client_save(w->c[n].cl, &h->saved[n]))
		return;
	h->old_place[n] = w->c[n].mapped;
	h->pretend_until[n] = w->now.boot_ms + PRETEND_MS;
	h->next_pretence[n] = w->now.boot_ms + 12000;
	w->c[n].frozen = true;
	h->count->pretenders++;
}

static void weather(struct history *h)
{
	struct world *w = h->w;
	bool clean = pick(h, 2) == 0;

	w->loss = clean ? 0 : 5 + pick(h, 20);
	w->dup = clean ? 0 : pick(h, 20);
	w->late = clean ? 0 : pick(h, 15);
	w->late_ms = LATE_MS;
	w->delay_max = clean ? 60 : 400;
	for (unsigned n = 0; n < WORLD_CLIENTS; n++)
		h->live_ms[n] = w->now.boot_ms;
}

/* The next process takes the binding over as if its client had just been heard. */
static void adopt(struct history *h, unsigned g)
{
	world_kill_gateway(h->w, g);
	h->count->adoptions++;
	for (unsigned i = 0; i <= WORLD_CLIENTS; i++)
		if (h->stale_ms[g][i] != 0)
			h->stale_ms[g][i] = h->w->now.boot_ms;
}

static void die_or_live(struct history *h, unsigned g)
{
	h->w->g[g].dead = !h->w->g[g].dead;
	h->count->deaths++;
	for (unsigned n = 0; n < WORLD_CLIENTS; n++)
		h->live_ms[n] = h->w->now.boot_ms;
}

/* What befalls a client's host, its NAT or its programs. */
static void happen_to_host(struct history *h, unsigned n)
{
	static const uint64_t lives[] = {0, 10000, 20000, 40000, 60000};
	struct world_client *c = &h->w->c[n];

	switch (pick(h, 4)) {
	case 0:
		c->flow_until_ms = h->w->now.boot_ms + 1000 + pick(h, 20000);
		h->count->flows++;
		break;
	case 1:
		c->frozen = true;
		h->wake_ms[n] = h->w->now.boot_ms + 1 + pick(h, 200000);
		h->count->sleeps++;
		break;
	case 2:
		c->wall_ms = ((int64_t)pick(h, 2000) - 1000) * 86400000 / 7;
		h->count->jumps++;
		break;
	default:
		c->nat_life_ms = lives[pick(h, 5)];
		h->live_ms[n] = h->w->now.boot_ms;
		h->count->forgetful++;
		break;
	}
}

/* A gateway goes or comes while a client has traffic. */
static void die_under_traffic(struct history *h, unsigned n, unsigned g)
{
	h->w->c[n].flow_until_ms = h->w->now.boot_ms + 20000;
	h->count->flows++;
	world_run(h->w, 2000 + pick(h, 2000));
	die_or_live(h, g);
}

static void happen(struct history *h)
{
	struct world *w = h->w;
	unsigned n = pick(h, WORLD_CLIENTS), g = pick(h, WORLD_GATEWAYS), what = pick(h, 100);

	for (unsigned i = 0; i < WORLD_CLIENTS; i++)
		if (!world_reaches(w, i))
			h->flow_ms[i] = 0; /* two faults at a time may take longer */
	if (what < 20 && !w->c[n].frozen) {
		world_rebind(w, n);
		h->live_ms[n] = w->now.boot_ms;
		h->count->rebinds++;
	} else if (what < 28) {
		world_restart(w, g);
		h->count->restarts++;
	} else if (what < 36) {
		adopt(h, g);
	} else if (what < 44) {
		die_or_live(h, g);
	} else if (what < 50 && !w->c[n].frozen) {
		grant(h, n);
	} else if (what < 56) {
		hand_over(h, n, pick(h, WORLD_CLIENTS));
	} else if (what < 70) {
		forge(h);
	} else if (what < 76) {
		begin_pretence(h, n);
	} else if (what < 84) {
		weather(h);
	} else if (w->c[n].frozen) {
		return;
	} else if (what < 94) {
		happen_to_host(h, n);
	} else if (what < 97) {
		die_under_traffic(h, n, g);
	} else {
		world_data(w, n);
	}
}

bool histories_run(uint64_t seed, struct histories_counts *counts, char text[HISTORIES_TEXT])
{
	struct history h = {.w = NULL, .count = counts, .text = text};

	for (unsigned g = 0; g < WORLD_GATEWAYS; g++) {
		PA_REQUIRE(pa_floors_new(&h.floors[g]) == 0);
		pa_floors_mark(h.floors[g], 1, true);
	}
	h.w = world_new(seed);
	for (unsigned g = 0; g < WORLD_GATEWAYS; g++) {
		h.w->g[g].floors = h.floors[g];
		h.w->g[g].bound = on_bound;
		pa_gw_set_floors(h.w->g[g].gw, h.floors[g]);
	}
	h.w->watch = watch;
	h.w->watch_ctx = &h;
	for (unsigned n = 0; n < WORLD_CLIENTS; n++) {
		h.host[n] = n + 1;
		h.live_ms[n] = h.w->now.boot_ms;
		grant(&h, n);
	}
	for (unsigned round = 0; round < ROUNDS && !h.failed; round++) {
		world_run(h.w, pick(&h, pick(&h, 6) == 0 ? 200000 : 30000));
		happen(&h);
		counts->steps++;
	}
	for (unsigned n = 0; n < WORLD_CLIENTS; n++)
		counts->up += h.w->c[n].n_up;
	world_free(h.w);
	for (unsigned g = 0; g < WORLD_GATEWAYS; g++)
		pa_floors_free(h.floors[g]);
	return !h.failed;
}

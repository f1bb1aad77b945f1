/* SPDX-License-Identifier: MPL-2.0 */
#include "test/sim/holders.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/api.h"
#include "broker/revoke.h"
#include "common/err.h"
#include "common/hex.h"
#include "test/sim/peer.h"
#include "tunnel/channel.h"
#include "tunnel/gw_state.h"

#define GATEWAYS 2
#define CLIENTS 4
#define ADDRESSES 2 /* 203.0.113.0/31 */
#define GRANTS 6	/* that a client remembers */
#define EPOCHS 512	/* leases in one history, at most */
#define DISK (1u << 16)
#define STEPS 100
#define FAULTS_MIN 5
#define QUARANTINE 120
#define SKEW_MS 5000 /* either side of the true time, so that two clocks are at most 10 s apart */
#define BOOT_MS 1000000u

struct holder { /* who an epoch was given to */
	unsigned addr, client;
	uint64_t epoch;
};

struct gateway {
	struct holders *w;
	unsigned n;
	struct pa_gw *gw; /* NULL: down */
	struct pa_floors *floors;
	struct pa_channel *channel;
	bool partitioned;
	int64_t skew_ms;
	uint8_t disk[DISK]; /* what a crash leaves */
	size_t disk_len;
	struct pa_gw_record runtime[ADDRESSES]; /* the state file in the runtime directory, perhaps a little behind */
	bool has_runtime[ADDRESSES];
	bool served[ADDRESSES]; /* packets for the address go somewhere */
	uint64_t epoch[ADDRESSES];
	uint64_t since[ADDRESSES]; /* true time at which it began to serve this epoch */
	uint8_t answer[PA_CTL_MAX];
	size_t answer_len;
};

struct client {
	struct pa_grant grants[GRANTS];
	unsigned n_grants, subnet;
	uint64_t bind;
	struct peer session[GATEWAYS];
	bool bound[GATEWAYS];
	uint32_t xid;
};

struct broker {
	bool up;
	int64_t skew_ms;
	struct pa_api api;
	struct pa_lease disk[ADDRESSES];
	bool used[ADDRESSES];
	struct pa_ack acks[GATEWAYS];
	size_t n_acks;
};

/* What was stored and perhaps answered, and so must hold. */
struct promise {
	bool given, ended;
	unsigned client;
	uint64_t epoch, expires, highest, ended_s;
};

struct holders {
	struct peer_rng rng;
	enum holders_mutant mutant;
	uint64_t t; /* the true Unix time, ms */
	struct pa_keyring *ring, *master;
	struct pa_brokerconf *conf;
	struct broker b;
	struct gateway g[GATEWAYS];
	struct client c[CLIENTS];
	struct promise promise[ADDRESSES];
	struct holder epochs[EPOCHS];
	size_t n_epochs;
	struct holders_counts *count;
	char *text;
	bool failed;
};

static unsigned pick(struct holders *w, unsigned below)
{
	return (unsigned)(peer_next(&w->rng) % below);
}

static bool chance(struct holders *w, unsigned percent)
{
	return pick(w, 100) < percent;
}

static void violated(struct holders *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void violated(struct holders *w, const char *fmt, ...)
{
	va_list ap;

	if (w->failed)
		return;
	w->failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(w->text, HOLDERS_TEXT, fmt, ap);
	va_end(ap);
}

static struct pa_now now_at(const struct holders *w, int64_t skew_ms)
{
	return (struct pa_now){.boot_ms = BOOT_MS + w->t - PEER_UNIX * 1000u, .unix_ms = w->t + (uint64_t)skew_ms};
}

static unsigned index_of(const struct pa_addr *a)
{
	return a->b[15] % ADDRESSES;
}

/* ---------------------------------------------------------------- what must hold */

static const struct holder *holder_of(const struct holders *w, unsigned addr, uint64_t epoch)
{
	for (size_t i = 0; i < w->n_epochs; i++)
		if (w->epochs[i].addr == addr && w->epochs[i].epoch == epoch)
			return &w->epochs[i];
	return NULL;
}

static void check_one_holder(struct holders *w)
{
	for (unsigned a = 0; a < ADDRESSES; a++) {
		const struct holder *first = NULL;

		for (unsigned i = 0; i < GATEWAYS; i++) {
			const struct holder *h;

			if (w->g[i].gw == NULL || !w->g[i].served[a])
				continue;
			h = holder_of(w, a, w->g[i].epoch[a]);
			if (h == NULL)
				violated(w, "gateway %u serves address %u by an epoch that nobody gave", i, a);
			else if (first != NULL && first->client != h->client)
				violated(w, "address %u is served to clients %u and %u at once", a, first->client, h->client);
			else if (w->promise[a].given && h->client != w->promise[a].client &&
				 h->epoch < w->promise[a].epoch)
				violated(w, "address %u is client %u's, gateway %u serves client %u", a, w->promise[a].client,
					 i, h->client);
			first = h;
		}
	}
}

/* ---------------------------------------------------------------- broker */

static uint64_t broker_s(const struct holders *w)
{
	return now_at(w, w->b.skew_ms).unix_ms / 1000;
}

/* What was promised is in the table. */
static void check_promises(struct holders *w)
{
	for (unsigned a = 0; a < ADDRESSES; a++) {
		const struct promise *p = &w->promise[a];
		struct pa_addr addr = pa_addr_from_ipv4(0xcb007100u + a);
		const struct pa_lease *row = pa_lease_by_addr(w->b.api.leases, &addr);

		if (!p->given)
			continue;
		if (row == NULL || row->epoch < p->epoch)
			violated(w, "the lease of address %u with epoch %lu is lost", a, (unsigned long)p->epoch);
		else if (row->epoch == p->epoch && (p->ended ? row->state == PA_LEASE_ACTIVE : row->expires < p->expires))
			violated(w, "the %s of address %u is lost", p->ended ? "end" : "renewal", a);
	}
}

static void broker_start(struct holders *w)
{
	uint8_t seed[16];

	peer_fill(&w->rng, seed, sizeof(seed));
	memset(&w->b.api, 0, sizeof(w->b.api));
	w->b.api.conf = w->conf;
	w->b.api.keys = w->master;
	w->b.api.version = "model";
	w->b.api.leases = pa_lease_table_new(w->conf, seed);
	w->b.api.reports = pa_reports_new();
	PA_REQUIRE(w->b.api.leases != NULL && w->b.api.reports != NULL);
	for (unsigned a = 0; a < ADDRESSES; a++)
		PA_REQUIRE(!w->b.used[a] || pa_lease_load(w->b.api.leases, &w->b.disk[a]) == 0);
	for (size_t i = 0; i < w->b.n_acks; i++)
		(void)pa_lease_ack(w->b.api.leases, w->b.acks[i].name, w->b.acks[i].number);
	w->b.up = true;
	check_promises(w);
	for (unsigned i = 0; i < GATEWAYS; i++)
		if (w->g[i].channel != NULL)
			pa_channel_connected(w->g[i].channel);
}

static void broker_kill(struct holders *w)
{
	pa_lease_table_free(w->b.api.leases);
	pa_reports_free(w->b.api.reports);
	w->b.api.leases = NULL;
	w->b.api.reports = NULL;
	w->b.up = false;
	w->count->broker_kills++;
	w->count->faults++;
}

/* An address gets a new holder: was that right? */
static void check_handover(struct holders *w, unsigned a, const struct promise *p, unsigned client)
{
	w->count->handovers++;
	if (!p->ended)
		violated(w, "address %u goes from client %u to client %u with its lease running", a, p->client, client);
	else if (broker_s(w) < p->ended_s + QUARANTINE)
		violated(w, "address %u goes to another client after %lu s of rest", a,
			 (unsigned long)(broker_s(w) - p->ended_s));
	if (p->highest + PA_EXPIRY_MARGIN > broker_s(w))
		w->count->acked_reuse++;
}

static void take_promise(struct holders *w, const struct pa_lease *row)
{
	unsigned a = index_of(&row->addr);
	struct promise *p = &w->promise[a];
	const struct holder *h = holder_of(w, a, row->epoch);

	PA_REQUIRE(h != NULL);
	if (p->given && row->epoch < p->epoch)
		violated(w, "the epoch of address %u sank", a);
	if (p->given && p->client != h->client)
		check_handover(w, a, p, h->client);
	p->given = true;
	p->client = h->client;
	p->epoch = row->epoch;
	p->expires = row->expires;
	if (row->expires > p->highest)
		p->highest = row->expires;
	p->ended = row->state != PA_LEASE_ACTIVE;
	p->ended_s = row->ended;
}

/* The transaction: what the store does. */
static void broker_commit(struct holders *w)
{
	const struct pa_lease *const *rows;
	const struct pa_ack *acks;
	size_t n = pa_lease_changes(w->b.api.leases, &rows);

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		unsigned a = index_of(&rows[i]->addr);

		if (w->b.used[a])
			pa_ident_put(w->b.disk[a].ident);
		w->b.disk[a] = *rows[i];
		w->b.disk[a].ident = pa_ident_get(rows[i]->ident);
		w->b.used[a] = true;
		take_promise(w, rows[i]);
	}
	w->b.n_acks = pa_lease_acks(w->b.api.leases, &acks);
	memcpy(w->b.acks, acks, w->b.n_acks * sizeof(*acks));
	pa_lease_changes_done(w->b.api.leases);
}

/* Every epoch that was stored, answered or not: its grant may be somewhere. What was not stored was never sent. */
static void remember_epochs(struct holders *w, unsigned client)
{
	const struct pa_lease *const *rows;
	size_t n = pa_lease_changes(w->b.api.leases, &rows);

	for (size_t i = 0; i < n; i++) {
		unsigned a = index_of(&rows[i]->addr);

		if (rows[i]->state != PA_LEASE_ACTIVE || holder_of(w, a, rows[i]->epoch) != NULL)
			continue;
		PA_REQUIRE(w->n_epochs < EPOCHS);
		w->epochs[w->n_epochs++] = (struct holder){a, client, rows[i]->epoch};
	}
}

/*
 * A command from arrival to answer: handled, stored, answered; the broker may be killed before and after the disk has it.
 * False: there was no answer.
 */
static bool broker_call(struct holders *w, const char *name, json_t *arguments, unsigned client, struct pa_api_reply *ret)
{
	bool answered = false;

	if (w->b.up) {
		pa_api_handle(&w->b.api, now_at(w, w->b.skew_ms), true, name, arguments, ret);
		if (chance(w, 1)) {
			json_decref(ret->arguments);
			broker_kill(w);
		} else {
			remember_epochs(w, client);
			broker_commit(w);
			answered = true;
		}
		if (w->b.up && w->mutant == HOLDERS_NO_ACK_RULE)
			for (unsigned i = 0; i < GATEWAYS; i++)
				(void)pa_lease_ack(w->b.api.leases, i == 0 ? "gw0" : "gw1",
						   pa_lease_revoked_head(w->b.api.leases));
		if (answered && chance(w, 1)) {
			json_decref(ret->arguments);
			broker_kill(w);
			w->count->lost_replies++;
			answered = false;
		}
	}
	json_decref(arguments);
	return answered;
}

/* ---------------------------------------------------------------- gateways */

static void on_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct gateway *g = ctx;

	(void)local;
	(void)to;
	memcpy(g->answer, buf, len);
	g->answer_len = len;
}

static void on_deliver(void *ctx, const struct pa_gw_binding *b)
{
	struct gateway *g = ctx;

	if (!g->served[index_of(&b->claims.addr)] || g->epoch[index_of(&b->claims.addr)] != b->claims.epoch)
		g->since[index_of(&b->claims.addr)] = g->w->t;
	g->served[index_of(&b->claims.addr)] = true;
	g->epoch[index_of(&b->claims.addr)] = b->claims.epoch;
}

static void on_stop(void *ctx, const struct pa_addr *addr)
{
	((struct gateway *)ctx)->served[index_of(addr)] = false;
}

static void on_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	struct gateway *g = ctx;

	(void)reason;
	if (g->channel != NULL && (strcmp(event, "binding.new") == 0 || strcmp(event, "binding.renewed") == 0))
		pa_channel_bound(g->channel, b);
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct gateway *)ctx)->w->rng, dst, len);
}

static const struct pa_gw_ops gw_ops = {.send = on_send, .deliver = on_deliver, .stop = on_stop, .event = on_event,
					.random = on_random};

static struct pa_now gateway_now(struct gateway *g)
{
	return pa_floors_clock(g->floors, now_at(g->w, g->skew_ms));
}

static void gateway_write(struct gateway *g, bool all)
{
	uint8_t *buf;
	size_t len;

	PA_REQUIRE((all ? pa_floors_encode_all : pa_floors_encode_new)(g->floors, &buf, &len) == 0);
	if (all)
		g->disk_len = 0;
	PA_REQUIRE(g->disk_len + len <= sizeof(g->disk));
	memcpy(g->disk + g->disk_len, buf, len);
	g->disk_len += len;
	free(buf);
}

static void gateway_save(struct gateway *g)
{
	struct pa_gw_record r;

	while (pa_gw_take_changed(g->gw, gateway_now(g), &r)) {
		g->runtime[index_of(&r.claims.addr)] = r;
		g->has_runtime[index_of(&r.claims.addr)] = true;
	}
}

static void gateway_adopt(struct gateway *g)
{
	struct pa_now now = gateway_now(g);

	for (unsigned a = 0; a < ADDRESSES; a++)
		if (g->has_runtime[a])
			(void)pa_gw_adopt(g->gw, now, &g->runtime[a]);
	g->w->count->adopted += (unsigned)pa_gw_adopted(g->gw, now, now.unix_ms);
}

static void gateway_start(struct gateway *g)
{
	static const struct pa_gw_pool pool = {
		PEER_POOL_ID, {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};
	const struct pa_gw_config cfg = {.keys = g->w->ring, .pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25,
					 .max_bindings = 16};
	const struct pa_ack *acks;

	memset(g->served, 0, sizeof(g->served));
	PA_REQUIRE(pa_gw_new(&cfg, &gw_ops, g, &g->gw) == 0 && pa_floors_new(&g->floors) == 0);
	if (g->disk_len > 0 && pa_floors_decode(g->floors, g->disk, g->disk_len) < 0)
		violated(g->w, "gateway %u cannot read what it wrote", g->n);
	PA_REQUIRE(pa_channel_new(g->n == 0 ? "gw0" : "gw1", g->floors, g->gw, &g->channel) == 0);
	if (g->w->mutant != HOLDERS_NO_EPOCH_CHECK)
		pa_gw_set_floors(g->gw, g->floors);
	gateway_adopt(g);
	pa_channel_connected(g->channel);
	/* Without its disk it is not synced, and what it acknowledged before is no danger: it serves nobody. */
	if (pa_floors_synced(g->floors) && g->w->b.up && g->w->mutant != HOLDERS_NO_ACK_RULE &&
	    pa_lease_acks(g->w->b.api.leases, &acks) == GATEWAYS && pa_floors_number(g->floors) < acks[g->n].number)
		violated(g->w, "gateway %u lost floors that it had acknowledged", g->n);
	gateway_write(g, true);
}

static void gateway_kill(struct gateway *g)
{
	if (g->gw == NULL)
		return;
	pa_channel_free(g->channel);
	pa_gw_free(g->gw);
	pa_floors_free(g->floors);
	g->channel = NULL;
	g->gw = NULL;
	g->floors = NULL;
	if (chance(g->w, 40)) {
		memset(g->has_runtime, 0, sizeof(g->has_runtime)); /* the machine itself was down */
		g->w->count->runtimes_lost++;
	}
	memset(g->served, 0, sizeof(g->served));
	g->w->count->gateway_kills++;
	g->w->count->faults++;
}

/* Stores what the answer brought; the gateway may be killed before, in the middle, and after, before it can acknowledge. */
static void gateway_store(struct gateway *g)
{
	struct holders *w = g->w;
	size_t before = g->disk_len;
	bool all = chance(w, 5); /* the file is written anew and renamed, which is one thing or the other */

	if (chance(w, 2)) {
		gateway_kill(g);
		return;
	}
	gateway_write(g, all);
	if (!all && chance(w, 3)) {
		g->disk_len = before + pick(w, (unsigned)(g->disk_len - before));
		gateway_kill(g);
		w->count->torn_writes++;
		return;
	}
	pa_channel_stored(g->channel, pa_floors_number(g->floors));
	if (chance(w, 2))
		gateway_kill(g);
}

static bool connected(const struct gateway *g)
{
	return g->gw != NULL && g->w->b.up && !g->partitioned;
}

static void gateway_report(struct gateway *g)
{
	struct pa_api_reply reply;
	json_t *arguments;

	if (!connected(g) || (arguments = pa_channel_report(g->channel)) == NULL)
		return;
	if (!broker_call(g->w, "gateway-report", arguments, 0, &reply))
		return;
	if (reply.result == PA_RESULT_SUCCESS)
		pa_channel_reported(g->channel);
	json_decref(reply.arguments);
}

static void gateway_sync(struct gateway *g)
{
	struct pa_api_reply reply;
	int rc;

	if (!connected(g) ||
	    !broker_call(g->w, "gateway-sync", pa_channel_sync(g->channel, gateway_now(g), false), 0, &reply))
		return;
	if (reply.result != PA_RESULT_SUCCESS) {
		violated(g->w, "gateway-sync: %s", reply.text);
		return;
	}
	rc = pa_channel_answer(g->channel, gateway_now(g), reply.arguments);
	json_decref(reply.arguments);
	if (rc < 0)
		violated(g->w, "the gateway does not understand the broker");
	else if (rc == PA_CHANNEL_STORE)
		gateway_store(g);
}

/* ---------------------------------------------------------------- clients */

static json_t *client_name(const struct holders *w, unsigned n, unsigned subnet)
{
	char dhcp[PA_ADDR_STRLEN], id[3];
	struct pa_addr addr = pa_addr_from_ipv4(0x0a000000u + (subnet << 8) + n);
	uint8_t byte = (uint8_t)(n + 1);

	(void)w;
	return json_pack("{s:s, s:i, s:s, s:s}", "realm", "lab", "subnet-id", (int)subnet, "dhcp-address",
			 pa_addr_format(&addr, dhcp), "client-id", pa_hex_encode(&byte, 1, id));
}

static void remember_grant(struct client *c, const char *hex)
{
	uint8_t option[PA_GRANT_MAX];
	int len = pa_hex_decode(hex, option, sizeof(option));

	if (c->n_grants == GRANTS)
		memmove(&c->grants[0], &c->grants[1], (--c->n_grants) * sizeof(c->grants[0]));
	PA_REQUIRE(len > 0 && pa_grant_decode(option, (size_t)len, &c->grants[c->n_grants++]) == 0);
}

/* What is answered is what was stored. */
static void check_answer(struct holders *w, unsigned n, const struct pa_claims *c)
{
	const struct promise *p = &w->promise[index_of(&c->addr)];

	if (!p->given || p->ended || p->client != n || p->epoch != c->epoch || p->expires != c->expires)
		violated(w, "client %u was answered what is not stored", n);
}

static void do_allocate(struct holders *w, unsigned n)
{
	static const int lifetimes[] = {60, 300, 1800, 7200, 43200};
	struct client *c = &w->c[n];
	struct pa_api_reply reply;
	char xid[16];
	json_t *arguments;

	if (chance(w, 10))
		c->subnet = pick(w, 3); /* it moved to another LAN */
	arguments = client_name(w, n, c->subnet);
	if (!chance(w, 20))
		c->xid++;
	(void)snprintf(xid, sizeof(xid), "%x", (unsigned)c->xid);
	(void)json_object_set_new(arguments, "valid-lifetime", json_integer(lifetimes[pick(w, 5)]));
	(void)json_object_set_new(arguments, "transaction", json_string(xid));
	if (!broker_call(w, "lease-allocate", arguments, n, &reply))
		return;
	if (reply.result == PA_RESULT_SUCCESS) {
		w->count->grants++;
		remember_grant(c, json_string_value(json_object_get(reply.arguments, "grant")));
		check_answer(w, n, &c->grants[c->n_grants - 1].claims);
	} else if (reply.result != PA_RESULT_EMPTY) {
		violated(w, "lease-allocate: %s", reply.text);
	}
	json_decref(reply.arguments);
}

static void do_release(struct holders *w, unsigned n)
{
	unsigned subnet = chance(w, 20) ? pick(w, 3) : w->c[n].subnet;
	struct pa_api_reply reply;
	struct pa_addr addr;

	if (!broker_call(w, "lease-release", client_name(w, n, subnet), n, &reply))
		return;
	if (reply.result == PA_RESULT_SUCCESS) {
		const char *text = json_string_value(json_object_get(reply.arguments, "address"));
		const struct promise *p;

		PA_REQUIRE(text != NULL && pa_addr_parse(text, &addr) == 0);
		p = &w->promise[index_of(&addr)];
		if (p->client != n || !p->ended)
			violated(w, "client %u was told that the lease of client %u is released", n, p->client);
	}
	json_decref(reply.arguments);
}

static struct pa_endpoint place_of(unsigned n)
{
	return (struct pa_endpoint){pa_addr_from_ipv4(0xc0000200u + n), (uint16_t)(40000 + n)};
}

static size_t send(struct gateway *g, unsigned n, const uint8_t *buf, size_t len)
{
	struct pa_endpoint from = place_of(n);

	g->answer_len = 0;
	pa_gw_receive(g->gw, gateway_now(g), 0, &from, buf, len);
	return g->answer_len;
}

/* Binds by one of the grants that the client has, mostly the latest; an old one is what an old holder would try. */
static void do_handshake(struct holders *w, unsigned n, struct gateway *g)
{
	struct client *c = &w->c[n];
	struct pa_gw_counters before, after;
	uint8_t buf[PA_CTL_MAX];
	struct pa_msg m;
	struct peer p;

	if (c->n_grants == 0 || g->gw == NULL)
		return;
	c->bind = c->bind + 1 > w->t ? c->bind + 1 : w->t;
	peer_init(&p, &c->grants[chance(w, 60) ? c->n_grants - 1 : pick(w, c->n_grants)], n, c->bind);
	pa_gw_counters_get(g->gw, &before);
	if (send(g, n, buf, peer_hello(&p, buf)) > 0 && pa_msg_decode(g->answer, g->answer_len, &m) == 0 &&
	    m.type == PA_MSG_CHALLENGE) {
		memcpy(p.cookie, m.cookie, sizeof(p.cookie));
		if (send(g, n, buf, peer_confirm(&p, buf)) > 0 && pa_msg_decode(g->answer, g->answer_len, &m) == 0 &&
		    m.type == PA_MSG_ACCEPT) {
			memcpy(p.session, m.session, sizeof(p.session));
			memcpy(p.token, m.token, sizeof(p.token));
			c->session[g->n] = p;
			c->bound[g->n] = true;
			w->count->bindings++;
		}
	}
	pa_gw_counters_get(g->gw, &after);
	w->count->refused_epoch += (unsigned)(after.revoked - before.revoked);
	w->count->refused_unsynced += (unsigned)(after.unsynced - before.unsynced);
}

static void do_keepalive(struct holders *w, unsigned n, struct gateway *g)
{
	struct client *c = &w->c[n];
	uint8_t buf[PA_CTL_MAX];
	struct pa_msg m;

	if (!c->bound[g->n] || g->gw == NULL)
		return;
	if (send(g, n, buf, peer_keepalive(&c->session[g->n], buf)) > 0 &&
	    pa_msg_decode(g->answer, g->answer_len, &m) == 0 && m.type == PA_MSG_ALIVE)
		memcpy(c->session[g->n].token, m.token, sizeof(m.token));
}

static void do_bye(struct holders *w, unsigned n, struct gateway *g)
{
	uint8_t buf[PA_CTL_MAX];

	if (!w->c[n].bound[g->n] || g->gw == NULL)
		return;
	(void)send(g, n, buf, peer_bye(&w->c[n].session[g->n], buf));
	w->c[n].bound[g->n] = false;
}

/* ---------------------------------------------------------------- time and faults */

/* Ends what nobody bound; whoever bound in time, at a gateway that could tell, keeps it. */
static void reclaim(struct holders *w)
{
	const struct pa_lease *const *rows;
	size_t n;

	if (!w->b.up || pa_api_reclaim(&w->b.api, now_at(w, w->b.skew_ms), 16) == 0)
		return;
	n = pa_lease_changes(w->b.api.leases, &rows);
	for (size_t i = 0; i < n; i++) {
		unsigned a = index_of(&rows[i]->addr);
		/* The times are of clocks that are 5 s off at most. */
		uint64_t due = rows[i]->epoch + PA_UNBOUND_DEFAULT * 1000 - 2 * SKEW_MS;

		if (rows[i]->state != PA_LEASE_RECLAIMED)
			continue;
		w->count->reclaimed++;
		for (unsigned k = 0; k < GATEWAYS; k++)
			if (w->g[k].gw != NULL && w->g[k].served[a] && w->g[k].epoch[a] == rows[i]->epoch && w->g[k].since[a] < due)
				violated(w, "the lease of address %u is reclaimed, and gateway %u serves it since before its time was up", a, k);
	}
	broker_commit(w);
}

/* Old holders go on with their keepalives: they do not know better. */
static void pass(struct holders *w, unsigned seconds)
{
	for (unsigned s = 0; s < seconds && !w->failed; s++) {
		w->t += 1000;
		for (unsigned i = 0; i < GATEWAYS; i++) {
			if (w->g[i].gw != NULL)
				(void)pa_gw_tick(w->g[i].gw, gateway_now(&w->g[i]));
			for (unsigned n = 0; n < CLIENTS && s % 20 == 0; n++)
				do_keepalive(w, n, &w->g[i]);
		}
		if (s % 20 == 19 && chance(w, 70))
			gateway_sync(&w->g[pick(w, GATEWAYS)]);
		check_one_holder(w);
		reclaim(w);
		if (w->b.up && pa_lease_next_expiry(w->b.api.leases) <= broker_s(w)) {
			(void)pa_lease_expire(w->b.api.leases, now_at(w, w->b.skew_ms).unix_ms, 16);
			broker_commit(w);
		}
	}
}

static void fault(struct holders *w)
{
	struct gateway *g = &w->g[pick(w, GATEWAYS)];

	switch (pick(w, 5)) {
	case 0:
		g->partitioned = !g->partitioned;
		w->count->partitions++;
		w->count->faults++;
		if (!g->partitioned && g->gw != NULL)
			pa_channel_connected(g->channel);
		break;
	case 1:
		gateway_kill(g);
		break;
	case 2:
		if (!chance(w, 30))
			break;
		gateway_kill(g);
		g->disk_len = 0; /* the floors are gone as well */
		w->count->disks_lost++;
		w->count->faults++;
		break;
	case 3:
		if (w->b.up)
			broker_kill(w);
		break;
	default:
		*(chance(w, 30) ? &w->b.skew_ms : &g->skew_ms) = (int64_t)pick(w, 2 * SKEW_MS + 1) - SKEW_MS;
		w->count->clock_steps++;
		w->count->faults++;
		break;
	}
}

static void restart(struct holders *w)
{
	if (!w->b.up && chance(w, 25))
		broker_start(w);
	for (unsigned i = 0; i < GATEWAYS; i++)
		if (w->g[i].gw == NULL && chance(w, 30))
			gateway_start(&w->g[i]);
}

static void step(struct holders *w)
{
	unsigned n = pick(w, CLIENTS), what = pick(w, 100);
	struct gateway *g = &w->g[pick(w, GATEWAYS)];

	if (what < 20)
		do_allocate(w, n);
	else if (what < 36)
		do_release(w, n);
	else if (what < 52)
		do_handshake(w, n, g);
	else if (what < 54)
		do_bye(w, n, g);
	else if (what < 66)
		gateway_sync(g);
	else if (what < 70)
		gateway_report(g);
	else if (what < 93)
		pass(w, 1 + pick(w, chance(w, 15) ? 600 : 60));
	else
		fault(w);
	for (unsigned i = 0; i < GATEWAYS; i++)
		if (w->g[i].gw != NULL && chance(w, 80))
			gateway_save(&w->g[i]);
	restart(w);
	check_one_holder(w);
}

/* ---------------------------------------------------------------- a history */

static const char conf_text[] =
	"{\"realms\": [\"lab\"], \"quarantine\": %d, \"gateway-groups\": [{\"name\": \"main\", \"public-key\":"
	" \"0900000000000000000000000000000000000000000000000000000000000001\", \"gateways\": [\"198.51.100.10:6080\","
	" \"198.51.100.11:6080\"], \"gateway-names\": [\"gw0\", \"gw1\"]}], \"pools\": [{\"id\": 7, \"name\": \"one\","
	" \"prefix\": \"203.0.113.0/31\", \"gateway-group\": \"main\"}]}";

/* The keys that peer.c has; the gateway's public key in the grants is the right one too. */
static void make_configuration(struct holders *w)
{
	char text[1024], err[PA_CONF_ERRLEN], hex[2 * PA_KEY_LEN + 1], line[128];
	uint8_t key[PA_KEY_LEN], secret[PA_KEY_LEN];

	(void)snprintf(text, sizeof(text), conf_text, w->mutant == HOLDERS_NO_QUARANTINE ? 0 : QUARANTINE);
	PA_REQUIRE(pa_brokerconf_parse("model", text, strlen(text), &w->conf, err) == 0);
	peer_gateway_secret(secret);
	pa_keypair_public(secret, w->conf->groups[0].public_key);
	for (unsigned i = 0; i < PA_KEY_LEN; i++)
		key[i] = (uint8_t)i;
	(void)snprintf(line, sizeof(line), "master %d %s\n", PEER_KEY_ID, pa_hex_encode(key, sizeof(key), hex));
	PA_REQUIRE(pa_keyring_parse("model", line, strlen(line), &w->master, err) == 0);
}

static void clear(struct holders *w)
{
	unsigned kills = w->count->gateway_kills, faults = w->count->faults;

	for (unsigned i = 0; i < GATEWAYS; i++)
		gateway_kill(&w->g[i]);
	w->count->gateway_kills = kills;
	w->count->faults = faults;
	pa_lease_table_free(w->b.api.leases);
	pa_reports_free(w->b.api.reports);
	for (unsigned a = 0; a < ADDRESSES; a++)
		if (w->b.used[a])
			pa_ident_put(w->b.disk[a].ident);
	pa_keyring_free(w->ring);
	pa_keyring_free(w->master);
	pa_brokerconf_free(w->conf);
	free(w);
}

bool holders_run(uint64_t seed, enum holders_mutant mutant, struct holders_counts *counts, char text[HOLDERS_TEXT])
{
	struct holders *w = calloc(1, sizeof(*w));
	unsigned first = counts->faults, steps = 0;
	bool good;

	PA_REQUIRE(w != NULL);
	w->rng.s = seed;
	w->mutant = mutant;
	w->t = (uint64_t)PEER_UNIX * 1000;
	w->count = counts;
	w->text = text;
	w->ring = peer_keyring();
	make_configuration(w);
	w->b.skew_ms = (int64_t)pick(w, 2 * SKEW_MS + 1) - SKEW_MS;
	broker_start(w);
	for (unsigned i = 0; i < GATEWAYS; i++) {
		w->g[i].w = w;
		w->g[i].n = i;
		w->g[i].skew_ms = (int64_t)pick(w, 2 * SKEW_MS + 1) - SKEW_MS;
		gateway_start(&w->g[i]);
		gateway_sync(&w->g[i]);
	}
	while (!w->failed && (steps < STEPS || counts->faults < first + FAULTS_MIN)) {
		step(w);
		steps++;
	}
	counts->steps += steps;
	good = !w->failed;
	clear(w);
	return good;
}

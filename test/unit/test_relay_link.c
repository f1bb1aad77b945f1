/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Two ends of a relay connection, with a wire between them that carries bytes in pieces of any size and breaks at any
 * of them: every byte of every session arrives once, in order, and nobody is ahead of its window.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/relay_link.h"
#include "common/relay_ring.h"
#include "test/unit/rnd.h"

#define SESSIONS 12
#define WINDOW 8192u
#define WINDOW_MAX (4 * WINDOW)
#define GROWN_MAX (7 * WINDOW) /* two sessions have the largest window, another one the one below */
#define WIRE_MAX (1u << 20)
#define INPUT_MAX (2u * PA_RELAY_BODY_MAX)

TestSuite(relay_link, .timeout = 60);

/* What byte number i of a session is, so that a byte lost, doubled or of another session is seen. */
static uint8_t byte_at(uint32_t id, bool server, uint64_t i)
{
	return (uint8_t)((id * 131u) ^ (i * 7u) ^ (i >> 8) ^ (server ? 0x5au : 0u));
}

struct stream { /* one end of a session */
	struct pa_rsession *s;
	uint32_t id;
	uint64_t sent, got, total; /* total: to be sent */
	uint64_t unread;
	bool fin_sent, fin_got, opened, refused, reset;
	uint8_t error;
};

struct end {
	struct pa_rlink *link;
	struct end *other;
	bool server;
	struct stream streams[SESSIONS * 2];
	unsigned n;
	size_t most; /* of one frame of data; 0: any */
	uint8_t wire[WIRE_MAX]; /* on its way to us */
	size_t wire_len;
	uint8_t input[INPUT_MAX]; /* arrived, no whole frame yet */
	size_t input_len;
	const struct pa_rsession *more; /* whose data have to come next */
	unsigned mores;
	unsigned incoming, tunnel, pongs, byes, outputs, resolved, datagrams, undelivered;
	struct pa_relay_body answer; /* server: how to answer OPEN */
};

static struct pa_endpoint endpoint(uint32_t addr, uint16_t port)
{
	return (struct pa_endpoint){pa_addr_from_ipv4(addr), port};
}

static struct stream *add(struct end *e, struct pa_rsession *s, uint64_t total)
{
	struct stream *st = &e->streams[e->n++];

	cr_assert_leq(e->n, SESSIONS * 2);
	*st = (struct stream){.s = s, .id = pa_rsession_id(s), .total = total};
	pa_rsession_set_user(s, st);
	return st;
}

static void fill(const struct end *e, const struct stream *st, const struct iovec *to, size_t n)
{
	for (size_t i = 0; n > 0; to++)
		for (uint8_t *p = to->iov_base, *end = p + to->iov_len; p < end && n > 0; n--)
			*p++ = byte_at(st->id, e->server, st->sent + i++);
}

static void send_some(struct end *e, struct stream *st, struct rnd *r)
{
	while (st->s != NULL && st->opened && st->sent < st->total) {
		struct iovec to[PA_RLINK_PIECES];
		unsigned pieces = r != NULL ? 1 + rnd_below(r, PA_RLINK_PIECES) : 1;
		size_t room = pa_rlink_reserve_pieces(st->s, to, &pieces), n = room;

		if (room == 0)
			break;
		if (r != NULL && n > 1)
			n = 1 + rnd_below(r, (uint32_t)n);
		else if (n > e->most && e->most > 0)
			n = e->most;
		if (n > st->total - st->sent)
			n = (size_t)(st->total - st->sent);
		fill(e, st, to, n);
		pa_rlink_commit(st->s, n);
		st->sent += n;
	}
	if (st->s != NULL && st->opened && st->sent == st->total && !st->fin_sent) {
		pa_rlink_fin(st->s);
		st->fin_sent = true;
	}
}

static void on_open(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct end *e = ctx;
	struct stream *st;
	struct pa_relay_body answer = e->answer;

	answer.remote = b->remote;
	st = add(e, s, 3000 + 1000 * (uint64_t)pa_rsession_id(s));
	pa_rlink_result(s, &answer);
	st->opened = answer.error == PA_RELAY_E_OK;
	if (!st->opened) {
		st->s = NULL;
		pa_rlink_close(s, PA_RELAY_E_OK);
	}
}

static void on_resolve(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_relay_body answer = {.n_addrs = 1, .addrs = {pa_addr_from_ipv4(0xc0000201)}};

	(void)ctx;
	cr_assert_str_eq(b->name, "peer.example");
	pa_rlink_resolved(s, &answer);
	pa_rlink_close(s, PA_RELAY_E_OK);
}

static void on_result(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct end *e = ctx;
	struct stream *st = pa_rsession_user(s);

	if (st == NULL) { /* a name */
		cr_assert_eq(b->n_addrs, 1);
		e->resolved++;
		pa_rlink_close(s, PA_RELAY_E_OK);
		return;
	}
	st->error = b->error;
	st->opened = b->error == PA_RELAY_E_OK;
	st->refused = !st->opened;
	if (st->refused) {
		st->s = NULL;
		pa_rlink_close(s, PA_RELAY_E_OK);
	}
}

static void on_incoming(void *ctx, struct pa_rsession *s, struct pa_rsession *listener, const struct pa_relay_body *b)
{
	struct end *e = ctx;

	cr_assert_not_null(listener);
	cr_assert_eq(b->remote.port, 4321);
	e->incoming++;
	add(e, s, 5000)->opened = true;
}

static void on_data(void *ctx, struct pa_rsession *s, const uint8_t *bytes, size_t len)
{
	struct end *e = ctx;
	struct stream *st = pa_rsession_user(s);

	cr_assert(e->more == NULL || e->more == s);
	e->more = pa_rlink_more(s) ? s : NULL;
	e->mores += e->more != NULL;
	for (size_t i = 0; i < len; i++)
		cr_assert_eq(bytes[i], byte_at(st->id, !e->server, st->got + i), "byte %zu of session %u", i, st->id);
	st->got += len;
	st->unread += len;
	cr_assert_leq(st->unread, WINDOW_MAX);
	cr_assert_eq(st->unread, pa_rsession_unread(s));
}

static void on_datagram(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes,
			size_t len)
{
	struct end *e = ctx;

	(void)s;
	cr_assert_eq(peer->port, 53);
	cr_assert_eq(len, 3);
	cr_assert_arr_eq(bytes, "abc", 3);
	e->datagrams++;
}

static void on_undelivered(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, enum pa_relay_error error)
{
	struct end *e = ctx;

	(void)s;
	cr_assert_eq(peer->port, 53);
	cr_assert_eq(error, PA_RELAY_E_REFUSED);
	e->undelivered++;
}

static void on_fin(void *ctx, struct pa_rsession *s)
{
	struct stream *st = pa_rsession_user(s);
	const struct end *e = ctx;

	cr_assert_null(e->more);
	st->fin_got = true;
}

static void on_reset(void *ctx, struct pa_rsession *s, enum pa_relay_error error)
{
	struct stream *st = pa_rsession_user(s);

	(void)ctx;
	st->reset = true;
	st->error = (uint8_t)error;
	st->s = NULL;
}

static void on_writable(void *ctx, struct pa_rsession *s)
{
	send_some(ctx, pa_rsession_user(s), NULL);
}

static void on_tunnel(void *ctx, const uint8_t *bytes, size_t len)
{
	struct end *e = ctx;

	cr_assert_eq(len, 1000);
	cr_assert_eq(bytes[999], 0x77);
	e->tunnel++;
}

static void on_pong(void *ctx, uint64_t value)
{
	struct end *e = ctx;

	cr_assert_eq(value, 0x1122334455667788);
	e->pongs++;
}

static void on_bye(void *ctx, enum pa_relay_error error)
{
	struct end *e = ctx;

	cr_assert_eq(error, PA_RELAY_E_SHUTDOWN);
	e->byes++;
}

static void on_output(void *ctx)
{
	struct end *e = ctx;

	e->outputs++;
}

static const struct pa_rlink_ops ops = {on_open,  on_resolve,  on_result, on_incoming, on_data, on_datagram, on_undelivered,
					on_fin,	  on_reset,    on_writable, on_tunnel,	on_pong, on_bye,      on_output};

static struct end *end_with_ring(bool server, size_t ring)
{
	struct pa_rlink_config cfg = {.server = server,
				      .window = WINDOW,
				      .window_max = WINDOW_MAX,
				      .grown_max = GROWN_MAX,
				      .sessions_max = SESSIONS,
				      .ring_limit = ring};
	struct end *e = calloc(1, sizeof(*e));

	cr_assert_not_null(e);
	e->server = server;
	cr_assert_eq(pa_rlink_new(&cfg, &ops, e, &e->link), 0);
	return e;
}

static struct end *end_new(bool server)
{
	return end_with_ring(server, PA_RRING_MIN);
}

static void connect_ends(struct end **client, struct end **server)
{
	*client = end_new(false);
	*server = end_new(true);
	(*client)->other = *server;
	(*server)->other = *client;
}

static void end_free(struct end *e)
{
	pa_rlink_free(e->link);
	free(e);
}

/* Up to max bytes from e onto the wire. */
static void transmit(struct end *e, size_t max)
{
	const uint8_t *p;
	size_t n;

	while (max > 0 && (n = pa_rlink_peek(e->link, &p)) > 0) {
		if (n > max)
			n = max;
		if (n > WIRE_MAX - e->other->wire_len)
			n = WIRE_MAX - e->other->wire_len;
		if (n == 0)
			return;
		memcpy(e->other->wire + e->other->wire_len, p, n);
		e->other->wire_len += n;
		pa_rlink_sent(e->link, n);
		max -= n;
	}
}

static void receive(struct end *e, size_t max)
{
	size_t n = max < e->wire_len ? max : e->wire_len;
	int64_t used;

	if (n > INPUT_MAX - e->input_len)
		n = INPUT_MAX - e->input_len;
	memcpy(e->input + e->input_len, e->wire, n);
	e->input_len += n;
	memmove(e->wire, e->wire + n, e->wire_len - n);
	e->wire_len -= n;
	used = pa_rlink_input(e->link, e->input, e->input_len);
	cr_assert_geq(used, 0, "input: %s", pa_strerror((int)used));
	cr_assert_null(e->more, "data were announced and did not come");
	memmove(e->input, e->input + used, e->input_len - (size_t)used);
	e->input_len -= (size_t)used;
}

static void consume(struct end *e, struct rnd *r)
{
	for (unsigned i = 0; i < e->n; i++) {
		struct stream *st = &e->streams[i];
		size_t n = st->unread == 0 ? 0 : 1 + rnd_below(r, (uint32_t)st->unread);

		if (st->s == NULL || n == 0)
			continue;
		st->unread -= n;
		pa_rlink_consumed(st->s, n);
	}
}

static void settle(struct end *a, struct end *b)
{
	for (int i = 0; i < 20; i++) {
		transmit(a, WIRE_MAX);
		receive(b, WIRE_MAX);
		transmit(b, WIRE_MAX);
		receive(a, WIRE_MAX);
		pa_rlink_tick(a->link);
		pa_rlink_tick(b->link);
	}
}

/* What was on the wire is lost; both come back with what the other has received. */
static void cut(struct end *a, struct end *b)
{
	pa_rlink_lost(a->link);
	pa_rlink_lost(b->link);
	a->wire_len = b->wire_len = a->input_len = b->input_len = 0;
	cr_assert_eq(pa_rlink_resume(a->link, pa_rlink_received(b->link)), 0);
	cr_assert_eq(pa_rlink_resume(b->link, pa_rlink_received(a->link)), 0);
}

static struct stream *call(struct end *c, uint64_t total)
{
	struct pa_relay_body b = {.kind = PA_RELAY_TCP, .remote = endpoint(0xc6336432, 5060)};
	struct pa_rsession *s = pa_rlink_open(c->link, &b, NULL);

	return s != NULL ? add(c, s, total) : NULL;
}

static bool all_done(const struct end *e)
{
	for (unsigned i = 0; i < e->n; i++)
		if (!e->streams[i].fin_got || !e->streams[i].fin_sent)
			return false;
	return true;
}

static void close_all(struct end *e)
{
	for (unsigned i = 0; i < e->n; i++)
		if (e->streams[i].s != NULL)
			pa_rlink_close(e->streams[i].s, PA_RELAY_E_OK);
}

/* One history: sessions of several sizes, pieces of any size, cuts at any byte. */
static unsigned history(uint64_t seed)
{
	struct rnd r = rnd_seed(seed);
	struct end *c, *s;
	unsigned cuts = 0, steps = 0;

	connect_ends(&c, &s);
	for (unsigned i = 0; i < SESSIONS; i++)
		cr_assert_not_null(call(c, rnd_below(&r, 60000)));
	while (!all_done(c) || !all_done(s) || s->n < SESSIONS) {
		cr_assert_lt(++steps, 200000u, "seed %llu: it stands still", (unsigned long long)seed);
		for (unsigned i = 0; i < c->n; i++)
			send_some(c, &c->streams[i], &r);
		for (unsigned i = 0; i < s->n; i++)
			send_some(s, &s->streams[i], &r);
		transmit(c, rnd_below(&r, 30000));
		transmit(s, rnd_below(&r, 30000));
		receive(s, rnd_below(&r, 30000));
		receive(c, rnd_below(&r, 30000));
		consume(c, &r);
		consume(s, &r);
		if (rnd_below(&r, 8) == 0) {
			pa_rlink_tick(c->link);
			pa_rlink_tick(s->link);
		}
		if (rnd_below(&r, 40) == 0) {
			cut(c, s);
			cuts++;
		}
	}
	for (unsigned i = 0; i < SESSIONS; i++) {
		cr_assert_eq(c->streams[i].got, s->streams[i].total, "seed %llu", (unsigned long long)seed);
		cr_assert_eq(s->streams[i].got, c->streams[i].total);
	}
	cr_assert_gt(c->mores + s->mores, 0u);
	close_all(c);
	close_all(s);
	cr_assert_eq(pa_rlink_sessions(c->link), 0);
	end_free(c);
	end_free(s);
	return cuts;
}

Test(relay_link, no_byte_is_lost_or_doubled_however_often_the_connection_breaks)
{
	unsigned cuts = 0;

	for (uint64_t seed = 1; seed <= 60; seed++)
		cuts += history(seed);
	cr_assert_gt(cuts, 60u, "hardly a connection was cut");
}

Test(relay_link, a_refused_call_has_its_reason)
{
	struct end *c, *s;
	struct stream *st;

	connect_ends(&c, &s);
	s->answer.error = PA_RELAY_E_REFUSED;
	st = call(c, 10);
	settle(c, s);
	cr_assert(st->refused);
	cr_assert_eq(st->error, PA_RELAY_E_REFUSED);
	cr_assert_eq(pa_rlink_sessions(c->link), 0);
	cr_assert_eq(pa_rlink_sessions(s->link), 0);
	end_free(c);
	end_free(s);
}

Test(relay_link, more_sessions_than_allowed_are_refused)
{
	struct end *c, *s;

	connect_ends(&c, &s);
	for (unsigned i = 0; i < SESSIONS; i++)
		cr_assert_not_null(call(c, 0));
	cr_assert_null(call(c, 0), "the client's own limit");
	settle(c, s);
	cr_assert_eq(pa_rlink_sessions(s->link), SESSIONS);
	end_free(c);
	end_free(s);
}

Test(relay_link, a_peer_calls_a_listening_session)
{
	struct pa_relay_body b = {.kind = PA_RELAY_TCP_LISTEN, .local = {.port = 8080}}, in = {0};
	struct end *c, *s;
	struct pa_rsession *listener, *called;

	connect_ends(&c, &s);
	listener = pa_rlink_open(c->link, &b, NULL);
	cr_assert_not_null(listener);
	add(c, listener, 0);
	settle(c, s);
	in.local = endpoint(0xcb007107, 8080);
	in.remote = endpoint(0xc6336432, 4321);
	called = pa_rlink_incoming(s->streams[0].s, &in, NULL);
	cr_assert_not_null(called);
	cr_assert_eq(pa_rsession_id(called) % 2, 0);
	add(s, called, 7000)->opened = true;
	settle(c, s);
	cr_assert_eq(c->incoming, 1);
	send_some(s, &s->streams[1], NULL);
	settle(c, s);
	cr_assert_eq(c->streams[1].got, 7000);
	pa_rlink_close(called, PA_RELAY_E_TIMEOUT);
	settle(c, s);
	cr_assert(c->streams[1].reset);
	cr_assert_eq(c->streams[1].error, PA_RELAY_E_TIMEOUT);
	end_free(c);
	end_free(s);
}

Test(relay_link, names_datagrams_and_pings)
{
	struct pa_relay_body name = {.name = "peer.example"}, udp = {.kind = PA_RELAY_UDP};
	struct pa_endpoint peer = endpoint(0xc6336432, 53);
	struct pa_rsession *d;
	struct end *c, *s;

	connect_ends(&c, &s);
	cr_assert_not_null(pa_rlink_resolve(c->link, &name, NULL));
	d = pa_rlink_open(c->link, &udp, NULL);
	add(c, d, 0);
	pa_rlink_ping(c->link, 0x1122334455667788);
	settle(c, s);
	cr_assert_eq(c->resolved, 1);
	cr_assert_eq(c->pongs, 1);
	cr_assert(pa_rlink_datagram(d, &peer, (const uint8_t *)"abc", 3));
	cr_assert(pa_rlink_datagram(s->streams[0].s, &peer, (const uint8_t *)"abc", 3));
	settle(c, s);
	cr_assert_eq(c->datagrams, 1);
	cr_assert_eq(s->datagrams, 1);
	cr_assert(pa_rlink_undelivered(s->streams[0].s, &peer, PA_RELAY_E_REFUSED));
	settle(c, s);
	cr_assert_eq(c->undelivered, 1);
	pa_rlink_lost(s->link);
	cr_assert_not(pa_rlink_undelivered(s->streams[0].s, &peer, PA_RELAY_E_REFUSED), "nothing of it waits for a connection");
	cr_assert_eq(pa_rlink_resume(s->link, pa_rlink_received(c->link)), 0);
	pa_rlink_bye(s->link, PA_RELAY_E_SHUTDOWN);
	settle(c, s);
	cr_assert_eq(c->byes, 1);
	end_free(c);
	end_free(s);
}

/* The tunnel's datagrams pass between frames, have an end, do not starve the sessions, and leave room to what keeps them alive. */
Test(relay_link, the_tunnel_shares_with_the_sessions)
{
	uint8_t packet[1000];
	struct stream *st;
	struct end *c, *s;
	unsigned n = 0;

	connect_ends(&c, &s);
	st = call(c, 4000);
	settle(c, s);
	memset(packet, 0x77, sizeof(packet));
	while (pa_rlink_tunnel(c->link, packet, sizeof(packet)))
		n++;
	cr_assert_gt(n, 100u);
	cr_assert_lt(n, 1000u, "what waits is bounded");
	transmit(c, 1008);
	send_some(c, st, NULL);
	transmit(c, 24000);
	receive(s, WIRE_MAX);
	cr_assert_eq(s->streams[0].got, 4000, "it waits for more than its share");
	pa_rlink_ping(c->link, 0x1122334455667788);
	settle(c, s);
	cr_assert_eq(c->pongs, 1, "the tunnel has left no room");
	end_free(c);
	end_free(s);
}

/* However fast they come. */
Test(relay_link, the_tunnel_starves_no_session)
{
	uint8_t packet[1000];
	struct stream *st;
	struct end *c, *s;
	unsigned n = 0;

	connect_ends(&c, &s);
	st = call(c, 4000);
	settle(c, s);
	memset(packet, 0x77, sizeof(packet));
	send_some(c, st, NULL);
	for (int i = 0; i < 400 && s->streams[0].got < 4000; i++) {
		transmit(c, 1500);
		while (pa_rlink_tunnel(c->link, packet, sizeof(packet)))
			n++;
		receive(s, WIRE_MAX);
	}
	cr_assert_eq(s->streams[0].got, 4000, "the session was starved");
	settle(c, s);
	cr_assert_eq(s->tunnel, n);
	end_free(c);
	end_free(s);
}

/* A receiver that does not read: what waits is its window, and the others go on. */
Test(relay_link, a_slow_reader_holds_up_nobody_else)
{
	struct stream *slow, *fast;
	struct rnd r = rnd_seed(1);
	struct end *c, *s;

	connect_ends(&c, &s);
	slow = call(c, 100000);
	fast = call(c, 100000);
	settle(c, s);
	for (int i = 0; i < 100; i++) {
		send_some(c, slow, NULL);
		send_some(c, fast, NULL);
		settle(c, s);
		if (s->streams[1].unread > 0) {
			size_t n = (size_t)s->streams[1].unread;

			s->streams[1].unread = 0;
			pa_rlink_consumed(s->streams[1].s, n);
		}
	}
	cr_assert_eq(s->streams[1].got, 100000);
	cr_assert_eq(s->streams[0].got, WINDOW);
	for (int i = 0; i < 200 && s->streams[0].got < 100000; i++) {
		consume(s, &r);
		settle(c, s);
	}
	cr_assert_eq(s->streams[0].got, 100000);
	end_free(c);
	end_free(s);
}

/*
 * All that has come to the first n sessions but the last left bytes is consumed as soon as it is there, until each has got so many
 * bytes; so many ticks go by each time, or 0: one in four times.
 */
static void keep_up_but(struct end *from, struct end *to, unsigned n, uint64_t bytes, uint64_t left, unsigned ticks)
{
	from->most = 1000;
	for (int i = 0; i < 1000; i++) {
		for (unsigned k = 0; k < n; k++)
			send_some(from, &from->streams[k], NULL);
		transmit(from, WIRE_MAX);
		while (to->wire_len > 0 || to->input_len > 0) {
			receive(to, 2000);
			for (unsigned k = 0; k < n && k < to->n; k++) {
				if (to->streams[k].unread <= left)
					continue;
				pa_rlink_consumed(to->streams[k].s, (size_t)(to->streams[k].unread - left));
				to->streams[k].unread = left;
			}
			if (to->wire_len == 0)
				break;
		}
		transmit(to, WIRE_MAX);
		receive(from, WIRE_MAX);
		for (unsigned k = 0; k < (ticks > 0 ? ticks : i % 4 == 0 ? 1u : 0u); k++)
			pa_rlink_tick(to->link);
		if (to->n >= n && to->streams[n - 1].got >= bytes)
			return;
	}
	cr_assert_fail("it stands still");
}

static void keep_up(struct end *from, struct end *to, unsigned n, uint64_t bytes)
{
	keep_up_but(from, to, n, bytes, 0, 1);
}

/* How large the window is: more than half of it waits when nobody reads any more, for credit is given by halves. */
static unsigned window_of(struct end *from, struct end *to, unsigned k)
{
	for (int i = 0; i < 10; i++) {
		send_some(from, &from->streams[k], NULL);
		settle(from, to);
	}
	cr_assert_gt(to->streams[k].unread, WINDOW / 2);
	return to->streams[k].unread > 2 * WINDOW ? 4 : to->streams[k].unread > WINDOW ? 2 : 1;
}

Test(relay_link, a_reader_that_keeps_up_gets_a_larger_window_and_loses_it_when_it_does_not)
{
	struct end *c, *s;
	struct stream *st;
	size_t n;

	connect_ends(&c, &s);
	cr_assert_not_null(call(c, UINT64_MAX));
	settle(c, s);
	st = &s->streams[0];
	keep_up(c, s, 1, 3 * WINDOW);
	cr_assert_eq(window_of(c, s, 0), 1, "it has not been seen to keep up yet");
	pa_rlink_consumed(st->s, (size_t)st->unread);
	st->unread = 0;
	keep_up(c, s, 1, st->got + 64 * (uint64_t)WINDOW);
	cr_assert_eq(window_of(c, s, 0), 4);
	/* From here on it has a good part of a window before it all the time. */
	for (int i = 0; i < 100; i++) {
		n = (size_t)st->unread / 4;
		st->unread -= n;
		pa_rlink_consumed(st->s, n);
		(void)window_of(c, s, 0);
	}
	cr_assert_eq(window_of(c, s, 0), 1, "%llu wait", (unsigned long long)st->unread);
	end_free(c);
	end_free(s);
}

/* Who has always something before him may be held up by whoever sends, on the same processor; but not if he takes his time. */
Test(relay_link, a_reader_that_is_never_done_gets_a_larger_window_if_it_is_fast)
{
	struct end *c, *s;

	for (unsigned slow = 0; slow < 2; slow++) {
		connect_ends(&c, &s);
		cr_assert_not_null(call(c, UINT64_MAX));
		settle(c, s);
		keep_up_but(c, s, 1, 64 * (uint64_t)WINDOW, 100, slow * 10);
		cr_assert_eq(window_of(c, s, 0), slow ? 1 : 4);
		end_free(c);
		end_free(s);
	}
}

Test(relay_link, windows_grow_to_a_bound_for_all_of_them)
{
	unsigned grown = 0;
	struct end *c, *s;

	connect_ends(&c, &s);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_not_null(call(c, UINT64_MAX));
	settle(c, s);
	keep_up(c, s, 5, 64 * (uint64_t)WINDOW);
	for (unsigned i = 0; i < 5; i++)
		grown += window_of(c, s, i) - 1;
	cr_assert_eq(grown, GROWN_MAX / WINDOW);
	/* Who is gone has left his share. */
	for (unsigned i = 0; i < 5; i++) {
		pa_rlink_close(c->streams[i].s, PA_RELAY_E_OK);
		c->streams[i].s = NULL;
	}
	settle(c, s);
	c->n = s->n = 0;
	cr_assert_not_null(call(c, UINT64_MAX));
	settle(c, s);
	keep_up(c, s, 1, 64 * (uint64_t)WINDOW);
	cr_assert_eq(window_of(c, s, 0), 4);
	end_free(c);
	end_free(s);
}

/* However large windows are: what somebody says next does not wait for megabytes of another one. */
Test(relay_link, little_waits_to_be_sent)
{
	struct pa_rlink_config cfg = {.window = PA_RELAY_WINDOW,
				      .window_max = PA_RELAY_WINDOW_MAX,
				      .sessions_max = 2,
				      .ring_limit = 4u << 20};
	struct end *c = calloc(1, sizeof(*c));
	uint64_t queued = 0, taken = 0;
	const uint8_t *p;
	size_t n;

	cr_assert_not_null(c);
	cr_assert_eq(pa_rlink_new(&cfg, &ops, c, &c->link), 0);
	for (unsigned i = 0; i < 2; i++)
		call(c, 400000)->opened = true;
	for (unsigned i = 0; i < 2; i++)
		send_some(c, &c->streams[i], NULL);
	queued = c->streams[0].sent + c->streams[1].sent;
	cr_assert_geq(queued, 262144u - PA_RELAY_DATA_MAX);
	cr_assert_leq(queued, 262144u + PA_RELAY_DATA_MAX);
	/* The rest comes as that goes, of one as of the other. */
	while ((n = pa_rlink_peek(c->link, &p)) > 0) {
		n = n < 16384 ? n : 16384;
		pa_rlink_sent(c->link, n);
		taken += n;
		queued = c->streams[0].sent + c->streams[1].sent;
		cr_assert_leq(queued - (taken < queued ? taken : queued), 262144u + 4 * PA_RELAY_DATA_MAX);
	}
	cr_assert_eq(c->streams[0].sent, 400000u);
	cr_assert_eq(c->streams[1].sent, 400000u);
	end_free(c);
}

/* Somebody who acknowledges nothing and asks for ever: what waits for him is bounded. */
Test(relay_link, a_client_that_acknowledges_nothing_is_ended)
{
	struct pa_relay_body b = {.kind = PA_RELAY_TCP, .remote = endpoint(0xc6336432, 5060)};
	uint8_t frame[PA_RELAY_HEADER_LEN + PA_RELAY_FIELDS_MAX];
	int len = pa_relay_encode(PA_RELAY_OPEN, &b, frame + PA_RELAY_HEADER_LEN, PA_RELAY_FIELDS_MAX);
	struct end *s = end_new(true);
	int64_t rc = 1;
	uint32_t id = 1;

	s->answer.error = PA_RELAY_E_REFUSED;
	for (; rc > 0 && id < 1000000; id += 2) {
		struct pa_relay_header h = {.type = PA_RELAY_OPEN, .length = (uint16_t)len, .session = id};

		pa_relay_put_header(frame, &h);
		s->n = 0;
		rc = pa_rlink_input(s->link, frame, PA_RELAY_HEADER_LEN + (size_t)len);
	}
	cr_assert_eq(rc, PA_ENOMEM);
	cr_assert_gt(id, 20000u);
	end_free(s);
}

/* ---------------------------------------------------------------- a peer that breaks the rules */

static int64_t feed(struct end *e, uint8_t type, uint32_t session, const void *body, size_t len)
{
	uint8_t buf[PA_RELAY_HEADER_LEN + 2048];
	struct pa_relay_header h = {.type = type, .length = (uint16_t)len, .session = session};

	pa_relay_put_header(buf, &h);
	if (len > 0)
		memcpy(buf + PA_RELAY_HEADER_LEN, body, len);
	return pa_rlink_input(e->link, buf, PA_RELAY_HEADER_LEN + len);
}

Test(relay_link, rules_are_kept)
{
	uint8_t open[PA_RELAY_FIELDS_MAX], ack[8] = {0, 0, 0, 0, 0, 0, 0, 1}, big[2048] = {0}, more[4] = {0, 0, 0x60, 1};
	struct pa_relay_body b = {.kind = PA_RELAY_TCP, .remote = endpoint(0xc6336432, 5060)};
	int len = pa_relay_encode(PA_RELAY_OPEN, &b, open, sizeof(open));
	struct pa_relay_body in = {
		.listener = 2, .local = endpoint(0xcb007107, 80), .remote = endpoint(0xc6336432, 4321)};
	uint8_t incoming[PA_RELAY_FIELDS_MAX];
	struct end *s = end_new(true), *c = end_new(false);

	cr_assert_gt(len, 0);
	cr_assert_eq(feed(s, PA_RELAY_OPEN, 2, open, (size_t)len), PA_EFORMAT, "a number of ours");
	cr_assert_eq(feed(s, PA_RELAY_OPEN, 3, open, (size_t)len), PA_EFORMAT, "a number left out");
	cr_assert_gt(feed(s, PA_RELAY_OPEN, 1, open, (size_t)len), 0);
	cr_assert_eq(feed(s, PA_RELAY_OPEN, 1, open, (size_t)len), PA_EFORMAT, "a number twice");
	cr_assert_gt(feed(s, PA_RELAY_OPEN, 3, open, (size_t)len), 0);
	pa_rlink_close(s->streams[0].s, PA_RELAY_E_RESET);
	s->streams[0].s = NULL;
	cr_assert_eq(feed(s, PA_RELAY_DATA, 7, big, 10), PA_EFORMAT, "a session that never was");
	cr_assert_gt(feed(s, PA_RELAY_DATA, 1, big, 10), 0, "one that has been");
	len = pa_relay_encode(PA_RELAY_INCOMING, &in, incoming, sizeof(incoming));
	cr_assert_eq(feed(s, PA_RELAY_INCOMING, 5, incoming, (size_t)len), PA_EFORMAT, "nobody calls a server");
	cr_assert_eq(feed(c, PA_RELAY_OPEN, 2, open, sizeof(open) < 22 ? 0 : 22), PA_EFORMAT, "a server opens nothing");
	cr_assert_eq(feed(s, PA_RELAY_RESULT, 3, (uint8_t[40]){0}, 40), PA_EFORMAT, "a client does not answer");
	b.error = PA_RELAY_E_REFUSED;
	len = pa_relay_encode(PA_RELAY_UNDELIVERED, &b, open, sizeof(open));
	cr_assert_eq(feed(s, PA_RELAY_UNDELIVERED, 3, open, (size_t)len), PA_EFORMAT, "a client sends to the server alone");
	cr_assert_eq(feed(s, PA_RELAY_ACK, 0, ack, 8), PA_EFORMAT, "an end inside a frame");
	cr_assert_eq(feed(s, PA_RELAY_WINDOW_ADD, 3, more, 4), PA_EFORMAT, "more than the largest window");
	more[3] = 0;
	cr_assert_gt(feed(s, PA_RELAY_WINDOW_ADD, 3, more, 4), 0, "the largest window");
	cr_assert_eq(feed(s, PA_RELAY_AUTH, 0, big, 100), PA_EFORMAT, "a second AUTH");
	end_free(s);
	end_free(c);
}

Test(relay_link, nobody_sends_more_than_the_window)
{
	struct end *c, *s;
	uint8_t bytes[2048];
	int64_t rc = 1;
	struct stream *st;

	connect_ends(&c, &s);
	st = call(c, 0);
	settle(c, s);
	/* Session 1 as its peer would write it, so that the bytes are right. */
	for (unsigned i = 0; i < 5 && rc > 0; i++) {
		for (unsigned k = 0; k < sizeof(bytes); k++)
			bytes[k] = byte_at(st->id, true, s->streams[0].sent + k);
		s->streams[0].sent += sizeof(bytes);
		rc = feed(c, PA_RELAY_DATA, st->id, bytes, sizeof(bytes));
		cr_assert(i < 4 ? rc > 0 : rc == PA_EFORMAT, "piece %u: %lld", i, (long long)rc);
	}
	end_free(c);
	end_free(s);
}

/* Several whole frames at once, over the end of the buffer: each reader of the ring sees the frames that a reader of
 * the wire would. */
Test(relay_ring, frames_are_reserved_at_once)
{
	struct pa_rring r;
	uint64_t wrote = 0, got = 0;

	cr_assert_eq(pa_rring_init(&r, 1u << 20), 0);
	for (unsigned i = 0; i < 100; i++) {
		struct iovec to[PA_RLINK_PIECES];
		unsigned n = PA_RLINK_PIECES;
		size_t room = pa_rring_reserve(&r, 100000, 16384, to, &n), use = room - i * 7, left = use;
		const uint8_t *p;

		cr_assert_geq(room, 100000u - PA_RELAY_DATA_MAX);
		for (unsigned k = 0; k < n && left > 0; k++)
			for (size_t j = 0; j < to[k].iov_len && left > 0; j++, left--)
				((uint8_t *)to[k].iov_base)[j] = (uint8_t)(wrote++ * 31);
		pa_rring_commit(&r, 5, use);
		for (struct pa_relay_header h; (room = pa_rring_peek(&r, true, &p)) > 0;) {
			uint8_t frame[PA_RELAY_HEADER_LEN + PA_RELAY_DATA_MAX];
			size_t len = 0;

			do { /* a header over the buffer's end comes in two pieces */
				memcpy(frame + len, p, room);
				len += room;
				pa_rring_sent(&r, room);
			} while (r.frame_left > 0 && (room = pa_rring_peek(&r, true, &p)) > 0);
			cr_assert_eq(pa_relay_get_header(frame, &h), 0);
			cr_assert(h.type == PA_RELAY_DATA && h.session == 5 &&
				  len == PA_RELAY_HEADER_LEN + (size_t)h.length);
			for (size_t j = PA_RELAY_HEADER_LEN; j < len; j++)
				cr_assert_eq(frame[j], (uint8_t)(got++ * 31));
		}
		cr_assert_eq(got, wrote);
		cr_assert_eq(pa_rring_ack(&r, r.sent), 0);
	}
	pa_rring_fini(&r);
}

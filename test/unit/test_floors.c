/* SPDX-License-Identifier: MPL-2.0 */
/* The gateway's floors and their file, and what the gateway's core and its channel make of them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "sim/peer.h"
#include "tunnel/channel.h"
#include "tunnel/floors.h"

static struct pa_addr host(unsigned n)
{
	return pa_addr_from_ipv4(0xcb007100u + n);
}

static struct pa_floors *floors_new(void)
{
	struct pa_floors *f = NULL;

	cr_assert_eq(pa_floors_new(&f), 0);
	return f;
}

static void raise_to(struct pa_floors *f, unsigned n, uint64_t epoch)
{
	struct pa_addr a = host(n);

	cr_assert_eq(pa_floors_raise(f, &a, epoch), 1);
}

static uint64_t get(const struct pa_floors *f, unsigned n)
{
	struct pa_addr a = host(n);

	return pa_floors_get(f, &a);
}

/* A file as a gateway writes it: the whole, and two additions. */
struct file {
	uint8_t buf[1 << 16];
	size_t len, end[3];
};

static void add(struct file *file, struct pa_floors *f, bool all)
{
	uint8_t *buf;
	size_t len;

	cr_assert_eq((all ? pa_floors_encode_all : pa_floors_encode_new)(f, &buf, &len), 0);
	cr_assert_eq(len % PA_FLOORS_RECORD, 0u);
	memcpy(file->buf + file->len, buf, len);
	file->len += len;
	free(buf);
}

static void make_file(struct file *file)
{
	struct pa_floors *f = floors_new();

	file->len = 0;
	(void)pa_floors_clock(f, (struct pa_now){.boot_ms = 5000, .unix_ms = 1800000000000});
	add(file, f, true);
	file->end[0] = file->len;
	for (unsigned i = 0; i < 200; i++)
		raise_to(f, i, 1000 + i);
	pa_floors_mark(f, 77, true);
	add(file, f, false);
	file->end[1] = file->len;
	raise_to(f, 3, 5000);
	pa_floors_mark(f, 99, true);
	add(file, f, false);
	file->end[2] = file->len;
	pa_floors_free(f);
}

Test(floors, never_sink)
{
	struct pa_floors *f = floors_new();
	struct pa_addr a = host(1), none = {{0}};

	cr_assert_eq(pa_floors_get(f, &a), 0u);
	raise_to(f, 1, 10);
	cr_assert_eq(pa_floors_raise(f, &a, 10), 0);
	cr_assert_eq(pa_floors_raise(f, &a, 9), 0);
	cr_assert_eq(get(f, 1), 10u);
	raise_to(f, 1, 11);
	cr_assert_eq(pa_floors_count(f), 1u);
	cr_assert_eq(pa_floors_raise(f, &none, 11), 0);
	pa_floors_free(f);
}

Test(floors, file_gives_back_what_it_was_given)
{
	struct pa_floors *f = floors_new();
	static struct file file, again;

	make_file(&file);
	cr_assert_eq(pa_floors_decode(f, file.buf, file.len), 0);
	cr_assert_eq(pa_floors_count(f), 200u);
	for (unsigned i = 0; i < 200; i++)
		cr_assert_eq(get(f, i), i == 3 ? 5000u : 1000u + i);
	cr_assert_eq(pa_floors_number(f), 99u);
	cr_assert(pa_floors_synced(f));
	/* And so once more, in its compact form. */
	again.len = 0;
	add(&again, f, true);
	cr_assert_eq(again.len, 202u * PA_FLOORS_RECORD);
	pa_floors_free(f);
	f = floors_new();
	cr_assert_eq(pa_floors_decode(f, again.buf, again.len), 0);
	cr_assert_eq(get(f, 3), 5000u);
	cr_assert_eq(pa_floors_number(f), 99u);
	pa_floors_free(f);
}

/* Cut anywhere: what was complete before the cut is there, and nothing else is claimed. */
Test(floors, torn_end)
{
	static struct file file;

	make_file(&file);
	for (size_t len = file.end[0]; len <= file.len; len++) {
		struct pa_floors *f = floors_new();
		uint64_t number = len >= file.end[2] ? 99 : len >= file.end[1] ? 77 : 0;

		cr_assert_eq(pa_floors_decode(f, file.buf, len), 0);
		cr_assert_eq(pa_floors_number(f), number);
		cr_assert_eq(pa_floors_synced(f), number != 0);
		cr_assert_eq(get(f, 3), number == 99 || len >= file.end[2] - PA_FLOORS_RECORD ? 5000u : get(f, 3));
		cr_assert(number < 77 || get(f, 199) == 1199u);
		pa_floors_free(f);
	}
}

/* A byte changed anywhere but at the end: not synced, so nobody is served on the strength of it. */
Test(floors, damage)
{
	static struct file file;

	make_file(&file);
	for (size_t i = 0; i < file.len - PA_FLOORS_RECORD; i++) {
		struct pa_floors *f = floors_new();

		file.buf[i] ^= 0x10;
		cr_assert_eq(pa_floors_decode(f, file.buf, file.len), PA_EFORMAT, "byte %zu", i);
		cr_assert(!pa_floors_synced(f));
		cr_assert_eq(pa_floors_number(f), 0u);
		file.buf[i] ^= 0x10;
		pa_floors_free(f);
	}
}

/* A record that is taken out, or two that change places, are damage too. */
Test(floors, records_know_their_place)
{
	struct pa_floors *f = floors_new();
	static struct file file;

	make_file(&file);
	memmove(file.buf + file.end[0], file.buf + file.end[0] + PA_FLOORS_RECORD, file.len - file.end[0] - PA_FLOORS_RECORD);
	cr_assert_eq(pa_floors_decode(f, file.buf, file.len - PA_FLOORS_RECORD), 0, "as if torn there");
	cr_assert_eq(pa_floors_count(f), 0u);
	cr_assert(!pa_floors_synced(f));
	pa_floors_free(f);
}

Test(floors, clock_never_goes_back)
{
	struct pa_floors *f = floors_new(), *g = floors_new();
	static struct file file;
	struct pa_now now;

	now = pa_floors_clock(f, (struct pa_now){.boot_ms = 1000, .unix_ms = 500000});
	cr_assert_eq(now.unix_ms, 500000u);
	now = pa_floors_clock(f, (struct pa_now){.boot_ms = 3000, .unix_ms = 100});
	cr_assert_eq(now.unix_ms, 502000u, "it goes on by the boot clock");
	cr_assert_eq(now.boot_ms, 3000u);
	now = pa_floors_clock(f, (struct pa_now){.boot_ms = 4000, .unix_ms = 600000});
	cr_assert_eq(now.unix_ms, 600000u);
	/* The next boot, with a clock that knows nothing. */
	file.len = 0;
	add(&file, f, true);
	cr_assert_eq(pa_floors_decode(g, file.buf, file.len), 0);
	now = pa_floors_clock(g, (struct pa_now){.boot_ms = 7, .unix_ms = 0});
	cr_assert_eq(now.unix_ms, 600000u);
	now = pa_floors_clock(g, (struct pa_now){.boot_ms = 107, .unix_ms = 90});
	cr_assert_eq(now.unix_ms, 600100u);
	pa_floors_free(f);
	pa_floors_free(g);
}

/* ---------------------------------------------------------------- the core and the channel */

struct fixture {
	struct pa_keyring *ring;
	struct pa_gw *gw;
	struct pa_floors *floors;
	struct pa_channel *ch;
	uint8_t sent[PA_CTL_MAX];
	size_t sent_len;
	struct pa_endpoint sent_to;
	unsigned n_stop, reason;
};

static void on_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct fixture *f = ctx;

	(void)local;
	memcpy(f->sent, buf, len);
	f->sent_len = len;
	f->sent_to = *to;
}

static void on_deliver(void *ctx, const struct pa_gw_binding *b)
{
	(void)ctx;
	(void)b;
}

static void on_stop(void *ctx, const struct pa_addr *addr)
{
	(void)addr;
	((struct fixture *)ctx)->n_stop++;
}

static void on_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	struct fixture *f = ctx;

	if (strcmp(event, "binding.end") == 0)
		f->reason = reason;
	else if (f->ch != NULL && strcmp(event, "binding.new") == 0)
		pa_channel_bound(f->ch, b);
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	(void)ctx;
	pa_random(dst, len);
}

static const struct pa_gw_ops ops = {.send = on_send, .deliver = on_deliver, .stop = on_stop, .event = on_event,
				     .random = on_random};
static const struct pa_now now = {.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};

static void start(struct fixture *f)
{
	static const struct pa_gw_pool pool = {
		PEER_POOL_ID, {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};
	struct pa_gw_config cfg = {.pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25, .max_bindings = 8};

	memset(f, 0, sizeof(*f));
	f->ring = peer_keyring();
	cfg.keys = f->ring;
	f->floors = floors_new();
	cr_assert_eq(pa_gw_new(&cfg, &ops, f, &f->gw), 0);
	cr_assert_eq(pa_channel_new("gw1", f->floors, f->gw, &f->ch), 0);
	pa_gw_set_floors(f->gw, f->floors);
}

static void stop(struct fixture *f)
{
	pa_channel_free(f->ch);
	pa_gw_free(f->gw);
	pa_floors_free(f->floors);
	pa_keyring_free(f->ring);
}

/* Tries to bind client n; returns whether it was accepted. */
static bool try_bind(struct fixture *f, unsigned n, uint64_t epoch, uint64_t bind, struct peer *p)
{
	struct pa_endpoint from = peer_at("192.0.2.1:40000");
	struct pa_grant g;
	uint8_t buf[PA_CTL_MAX];
	struct pa_msg m;

	peer_grant(n, 1, epoch, PEER_UNIX + 3600, true, &g);
	peer_init(p, &g, n, bind);
	f->sent_len = 0;
	pa_gw_receive(f->gw, now, 0, &from, buf, peer_hello(p, buf));
	if (f->sent_len == 0)
		return false;
	cr_assert_eq(pa_msg_decode(f->sent, f->sent_len, &m), 0);
	memcpy(p->cookie, m.cookie, sizeof(p->cookie));
	f->sent_len = 0;
	pa_gw_receive(f->gw, now, 0, &from, buf, peer_confirm(p, buf));
	if (f->sent_len == 0)
		return false;
	cr_assert_eq(pa_msg_decode(f->sent, f->sent_len, &m), 0);
	memcpy(p->session, m.session, sizeof(p->session));
	return m.type == PA_MSG_ACCEPT;
}

static int answer(struct fixture *f, const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	int rc;

	cr_assert_not_null(json, "%s", text);
	rc = pa_channel_answer(f->ch, now, json);
	json_decref(json);
	return rc;
}

#define ANSWER(floors, number, more, bindings)                                                                         \
	"{\"floors\": [" floors "], \"number\": " number ", \"more\": " more ", \"bindings\": [" bindings              \
	"], \"reports\": 3, \"time\": 1800000000000}"

Test(gw_floor, nobody_before_the_first_sync)
{
	struct pa_gw_counters c;
	struct fixture f;
	struct peer p;

	start(&f);
	cr_assert(!try_bind(&f, 0, 5, 1, &p));
	cr_assert_eq(answer(&f, ANSWER("", "40", "true", "")), PA_CHANNEL_STORE);
	cr_assert(!try_bind(&f, 0, 5, 2, &p), "half of the log is not the log");
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "")), PA_CHANNEL_STORE);
	cr_assert(try_bind(&f, 0, 5, 3, &p));
	pa_gw_counters_get(f.gw, &c);
	cr_assert_eq(c.unsynced, 2u);
	stop(&f);
}

Test(gw_floor, below_the_floor)
{
	struct pa_gw_counters c;
	struct fixture f;
	struct pa_msg m;
	struct peer p, q;

	start(&f);
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "")), PA_CHANNEL_STORE);
	cr_assert(try_bind(&f, 0, 5, 1, &p));
	f.sent_len = 0;
	cr_assert_eq(answer(&f, ANSWER("[\"203.0.113.1\", 6]", "60", "false", "")), PA_CHANNEL_STORE);
	cr_assert_eq(f.reason, (unsigned)PA_REASON_RELEASED);
	cr_assert_eq(f.n_stop, 1u);
	cr_assert_eq(pa_gw_count(f.gw), 0u);
	peer_derive(&p);
	cr_assert_eq(pa_msg_decode(f.sent, f.sent_len, &m), 0);
	cr_assert(m.type == PA_MSG_UNBOUND && m.reason == PA_REASON_RELEASED && pa_msg_verify(f.sent, f.sent_len, p.keys.g2c));
	cr_assert(!try_bind(&f, 0, 5, 2, &p), "the old grant is of no use");
	cr_assert(try_bind(&f, 1, 6, 3, &q));
	/* A floor that tells of a later lease. */
	cr_assert_eq(answer(&f, ANSWER("[\"203.0.113.1\", 9]", "70", "false", "")), PA_CHANNEL_STORE);
	cr_assert_eq(f.reason, (unsigned)PA_REASON_REPLACED);
	pa_gw_counters_get(f.gw, &c);
	cr_assert_eq(c.revoked, 1u);
	stop(&f);
}

Test(gw_floor, the_client_moved_to_another_gateway)
{
	struct fixture f;
	struct peer p;

	start(&f);
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "")), PA_CHANNEL_STORE);
	pa_channel_stored(f.ch, 50);
	cr_assert(try_bind(&f, 0, 5, 10, &p));
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "[\"203.0.113.1\", 5, 10]")), PA_CHANNEL_IDLE);
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "[\"203.0.113.1\", 5, 9], [\"203.0.113.1\", 4, 99]")), PA_CHANNEL_IDLE);
	cr_assert_eq(pa_gw_count(f.gw), 1u, "those are older");
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "[\"203.0.113.1\", 5, 12]")), PA_CHANNEL_IDLE);
	cr_assert_eq(f.reason, (unsigned)PA_REASON_REPLACED);
	cr_assert_eq(pa_gw_count(f.gw), 0u);
	cr_assert(!try_bind(&f, 0, 5, 11, &p), "an older CONFIRM that comes late");
	cr_assert(try_bind(&f, 0, 5, 13, &p), "and it may come back");
	/* A lease that this gateway never saw. */
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "[\"203.0.113.1\", 7, 1]")), PA_CHANNEL_IDLE);
	cr_assert_eq(pa_gw_count(f.gw), 0u);
	cr_assert(!try_bind(&f, 0, 6, 20, &p));
	cr_assert(try_bind(&f, 0, 7, 21, &p));
	stop(&f);
}

Test(channel, acknowledges_what_is_stored)
{
	json_t *q;
	struct fixture f;

	start(&f);
	cr_assert_eq(answer(&f, ANSWER("[\"203.0.113.1\", 6]", "60", "false", "")), PA_CHANNEL_STORE);
	q = pa_channel_sync(f.ch, now, false);
	cr_assert_eq(json_integer_value(json_object_get(q, "from")), 0, "it is not on the disk yet");
	json_decref(q);
	pa_channel_stored(f.ch, 60);
	q = pa_channel_sync(f.ch, now, true);
	cr_assert_eq(json_integer_value(json_object_get(q, "from")), 60);
	cr_assert_eq(json_integer_value(json_object_get(q, "reports")), 3);
	cr_assert_str_eq(json_string_value(json_object_get(q, "name")), "gw1");
	json_decref(q);
	cr_assert_eq(answer(&f, ANSWER("", "60", "false", "")), PA_CHANNEL_IDLE);
	stop(&f);
}

Test(channel, reports_each_binding)
{
	struct fixture f;
	struct peer p;
	json_t *r;

	start(&f);
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "")), PA_CHANNEL_STORE);
	cr_assert_null(pa_channel_report(f.ch));
	cr_assert(try_bind(&f, 0, 5, 10, &p));
	for (int again = 0; again < 2; again++) { /* until it is answered */
		r = pa_channel_report(f.ch);
		cr_assert_not_null(r);
		cr_assert_eq(json_array_size(json_object_get(r, "bindings")), 1u);
		cr_assert_eq(json_integer_value(json_array_get(json_array_get(json_object_get(r, "bindings"), 0), 2)), 10);
		json_decref(r);
	}
	pa_channel_reported(f.ch);
	cr_assert_null(pa_channel_report(f.ch));
	pa_channel_connected(f.ch);
	r = pa_channel_report(f.ch);
	cr_assert_not_null(r, "another broker, perhaps");
	json_decref(r);
	stop(&f);
}

static json_int_t asked(struct fixture *f, const char *key)
{
	json_t *q = pa_channel_sync(f->ch, now, false);
	json_int_t v = json_integer_value(json_object_get(q, key));

	cr_assert_not_null(json_object_get(q, key));
	json_decref(q);
	return v;
}

Test(channel, says_what_it_has_not_reported)
{
	struct fixture f;
	struct peer p;
	json_t *r;

	start(&f);
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "")), PA_CHANNEL_STORE);
	cr_assert_eq(asked(&f, "unreported"), 0);
	cr_assert(try_bind(&f, 0, 5, 10, &p));
	cr_assert_eq(asked(&f, "unreported"), 1);
	r = pa_channel_report(f.ch);
	json_decref(r);
	cr_assert_eq(asked(&f, "unreported"), 1, "not before it is answered");
	pa_channel_reported(f.ch);
	cr_assert_eq(asked(&f, "unreported"), 0);
	pa_channel_connected(f.ch);
	cr_assert_eq(asked(&f, "unreported"), 1);
	stop(&f);
}

/* Answers a question with the number of a recovery; returns how many floors are told in reports from then on. */
static size_t tell(struct fixture *f, unsigned number, unsigned interrupt)
{
	char text[128];
	size_t told = 0;
	json_t *r;

	(void)snprintf(text, sizeof(text), "{\"floors\": [], \"number\": 50, \"more\": false, \"bindings\": [], \"reports\": 3, \"tell\": %u}",
		       number);
	cr_assert_geq(answer(f, text), 0);
	while ((r = pa_channel_report(f->ch)) != NULL) {
		told += json_array_size(json_object_get(r, "floors"));
		json_decref(r);
		if (interrupt > 0 && told >= interrupt)
			return told;
		cr_assert_neq(asked(f, "told"), number, "not before all of it is answered");
		pa_channel_reported(f->ch);
	}
	return told;
}

Test(channel, tells_its_floors_when_the_broker_recovers)
{
	struct fixture f;

	start(&f);
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "")), PA_CHANNEL_STORE);
	for (unsigned i = 0; i < 900; i++)
		cr_assert_geq(pa_floors_raise(f.floors, &(struct pa_addr){{[12] = 198, [13] = 18, [14] = (uint8_t)(i / 256), [15] = (uint8_t)i}}, 7), 0);
	cr_assert_eq(tell(&f, 0, 0), 0u);
	cr_assert_eq(tell(&f, 77, 0), 900u);
	cr_assert_eq(asked(&f, "told"), 77);
	cr_assert_eq(tell(&f, 77, 0), 0u, "once");
	cr_assert_geq(tell(&f, 78, 300), 300u);
	pa_channel_connected(f.ch); /* the connection is lost with a report under way: from the beginning */
	cr_assert_eq(asked(&f, "told"), 77);
	cr_assert_eq(tell(&f, 78, 0), 900u);
	cr_assert_eq(asked(&f, "told"), 78);
	stop(&f);
}

Test(channel, nonsense)
{
	static const char *const bad[] = {"{}", "[]", ANSWER("1", "50", "false", ""), ANSWER("[\"x\", 1]", "50", "false", ""),
					  ANSWER("[\"203.0.113.1\", -1]", "50", "false", ""), ANSWER("", "-1", "false", ""),
					  ANSWER("", "50", "1", ""), ANSWER("", "50", "false", "[\"203.0.113.1\", 5]"),
					  ANSWER("", "\"50\"", "false", "")};
	struct pa_channel_status st;
	struct fixture f;

	start(&f);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(answer(&f, bad[i]), PA_EFORMAT, "%s", bad[i]);
	pa_channel_status_get(f.ch, &st);
	cr_assert(!st.synced && st.number == 0);
	stop(&f);
}

Test(channel, clock_skew)
{
	struct pa_channel_status st;
	struct fixture f;

	start(&f);
	cr_assert_eq(answer(&f, ANSWER("", "50", "false", "")), PA_CHANNEL_STORE);
	pa_channel_status_get(f.ch, &st);
	cr_assert(st.has_skew && !st.skewed && st.skew_ms == 0);
	cr_assert_eq(answer(&f, "{\"floors\": [], \"number\": 50, \"more\": false, \"bindings\": [], \"reports\": 3, "
				"\"time\": 1800000010001}"), PA_CHANNEL_STORE);
	pa_channel_status_get(f.ch, &st);
	cr_assert(st.skewed && st.skew_ms == 10001);
	stop(&f);
}

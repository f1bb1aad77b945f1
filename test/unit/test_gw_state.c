/* SPDX-License-Identifier: MPL-2.0 */
/* What a gateway leaves to the next process: records, the file of them, and what may be done to what was adopted. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "test/sim/peer.h"
#include "test/unit/tmpdir.h"
#include "tunnel/gatewayd_state.h"
#include "tunnel/gw.h"
#include "tunnel/gw_state.h"

#define HOME "192.0.2.1:40000"
#define AWAY "192.0.2.99:50000"

/* A gateway and the last thing that it sent. */
struct fx {
	struct pa_keyring *ring;
	struct pa_gw *gw;
	struct peer_rng rng;
	struct pa_now now;
	struct pa_msg m;
	unsigned n_sent, n_deliver, n_adopted;
};

static void on_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct fx *f = ctx;

	(void)local;
	(void)to;
	f->n_sent++;
	cr_assert_eq(pa_msg_decode(buf, len, &f->m), 0);
}

static void on_deliver(void *ctx, const struct pa_gw_binding *b)
{
	(void)b;
	((struct fx *)ctx)->n_deliver++;
}

static void on_stop(void *ctx, const struct pa_addr *addr)
{
	(void)ctx;
	(void)addr;
}

static void on_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	(void)b;
	(void)reason;
	((struct fx *)ctx)->n_adopted += strcmp(event, "binding.adopted") == 0;
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct fx *)ctx)->rng, dst, len);
}

static const struct pa_gw_ops ops = {on_send, on_deliver, on_stop, on_event, on_random};
static const struct pa_gw_pool pool = {PEER_POOL_ID, {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};

static struct pa_gw *gateway(struct fx *f, const struct pa_gw_pool *p, size_t max)
{
	const struct pa_gw_config cfg = {.keys = f->ring, .pools = p, .n_pools = 1, .mtu = 1472, .keepalive = 25,
					 .max_bindings = max};
	struct pa_gw *gw;

	cr_assert_eq(pa_gw_new(&cfg, &ops, f, &gw), 0);
	return gw;
}

static struct fx *fx_new(void)
{
	struct fx *f = calloc(1, sizeof(*f));

	f->ring = peer_keyring();
	f->rng.s = 1;
	f->now = (struct pa_now){.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};
	f->gw = gateway(f, &pool, 100);
	pa_log_init("test", PA_LOG_ERROR);
	return f;
}

static void fx_free(struct fx *f)
{
	pa_gw_free(f->gw);
	pa_keyring_free(f->ring);
	free(f);
}

static void advance(struct fx *f, uint64_t ms)
{
	f->now.boot_ms += ms;
	f->now.unix_ms += ms;
}

static void give(struct fx *f, const char *from, const uint8_t *buf, size_t len)
{
	struct pa_endpoint e = peer_at(from);

	f->n_sent = 0;
	pa_gw_receive(f->gw, f->now, 0, &e, buf, len);
}

/* Client 0 binds 203.0.113.host; its CONFIRM is left in buf. Returns whether it was accepted. */
static bool bind_host(struct fx *f, struct peer *p, uint8_t host, uint64_t epoch, uint64_t bind, uint8_t buf[PA_CTL_MAX])
{
	struct pa_grant g;

	peer_grant(0, host, epoch, PEER_UNIX + 3600, true, &g);
	peer_init(p, &g, 0, bind);
	give(f, HOME, buf, peer_hello(p, buf));
	cr_assert(f->n_sent == 1 && f->m.type == PA_MSG_CHALLENGE);
	memcpy(p->cookie, f->m.cookie, sizeof(p->cookie));
	give(f, HOME, buf, peer_confirm(p, buf));
	if (f->n_sent == 0)
		return false;
	cr_assert_eq(f->m.type, PA_MSG_ACCEPT);
	memcpy(p->session, f->m.session, sizeof(p->session));
	memcpy(p->token, f->m.token, sizeof(p->token));
	return true;
}

/* The gateway dies and another process takes over what was recorded. Returns the bindings that it adopted. */
static size_t die(struct fx *f, uint64_t away_ms)
{
	struct pa_gw *next = gateway(f, &pool, 100);
	uint64_t alive = f->now.unix_ms;
	struct pa_gw_record r;
	uint32_t at = 0;

	while (pa_gw_walk_records(f->gw, f->now, &at, &r)) {
		struct pa_now later = {f->now.boot_ms + away_ms, f->now.unix_ms + away_ms, 0};

		(void)pa_gw_adopt(next, later, &r);
	}
	pa_gw_free(f->gw);
	f->gw = next;
	advance(f, away_ms);
	return pa_gw_adopted(f->gw, f->now, alive);
}

static struct pa_gw_counters counters(const struct fx *f)
{
	struct pa_gw_counters c;

	pa_gw_counters_get(f->gw, &c);
	return c;
}

static void sample(struct pa_gw_record *r)
{
	struct pa_grant g;

	memset(r, 0, sizeof(*r));
	peer_grant(0, 5, 77, PEER_UNIX + 3600, true, &g);
	r->claims = g.claims;
	r->bound = r->delivering = true;
	r->local = 7;
	r->mapped = peer_at(HOME);
	memset(r->session, 0x11, sizeof(r->session));
	r->bind = 1;
	r->seq = 2;
	r->bound_at_ms = 3;
	r->last_seen_ms = 4;
	r->floor_until = PEER_UNIX + 3600;
	memset(r->pin, 0x22, sizeof(r->pin));
	memset(r->k1, 0x33, sizeof(r->k1));
}

Test(gw_state, records_come_back_the_same)
{
	uint8_t buf[PA_GW_STATE_RECORD_LEN];
	struct pa_gw_record r, back;

	sample(&r);
	cr_assert_eq(pa_gw_record_encode(&r, buf), 0);
	memset(&back, 0, sizeof(back));
	cr_assert_eq(pa_gw_record_decode(buf, &back), 0);
	cr_assert(pa_claims_eq(&r.claims, &back.claims) && pa_endpoint_eq(&r.mapped, &back.mapped));
	cr_assert(back.bound && back.delivering && back.local == 7 && back.bind == 1 && back.seq == 2);
	cr_assert(back.bound_at_ms == 3 && back.last_seen_ms == 4 && back.floor_until == r.floor_until);
	cr_assert_arr_eq(back.session, r.session, sizeof(r.session));
	cr_assert_arr_eq(back.pin, r.pin, PA_FINGERPRINT_LEN);
	cr_assert_arr_eq(back.k1, r.k1, PA_KEY_LEN);
	for (size_t i = 0; i < sizeof(buf); i++) {
		buf[i] ^= 0x10;
		cr_assert_eq(pa_gw_record_decode(buf, &back), PA_EFORMAT, "octet %zu", i);
		buf[i] ^= 0x10;
	}
	r.bound = false;
	cr_assert_eq(pa_gw_record_encode(&r, buf), PA_EINVAL, "delivers without a binding");
	sample(&r);
	r.local = PA_GW_STATE_LISTEN_MAX;
	cr_assert_eq(pa_gw_record_encode(&r, buf), PA_EINVAL);
}

Test(gw_state, header_comes_back_the_same)
{
	struct pa_gw_state_header h, back;
	uint8_t buf[PA_GW_STATE_HEADER_LEN];

	memset(&h, 0, sizeof(h));
	h.n_listen = 2;
	h.listen[0] = peer_at(HOME);
	h.listen[1] = peer_at(AWAY);
	memset(h.gateway, 9, sizeof(h.gateway));
	cr_assert_eq(pa_gw_state_header_encode(&h, buf), 0);
	cr_assert_eq(pa_gw_state_header_decode(buf, &back), 0);
	cr_assert(back.n_listen == 2 && pa_endpoint_eq(&back.listen[1], &h.listen[1]));
	cr_assert_arr_eq(back.gateway, h.gateway, sizeof(h.gateway));
	for (size_t i = 0; i < sizeof(buf); i++) {
		buf[i] ^= 1;
		cr_assert_eq(pa_gw_state_header_decode(buf, &back), PA_EFORMAT, "octet %zu", i);
		buf[i] ^= 1;
	}
	h.n_listen = PA_GW_STATE_LISTEN_MAX + 1;
	cr_assert_eq(pa_gw_state_header_encode(&h, buf), PA_EINVAL);
}

/* Everything that the client sent before the gateway died, again: nothing moves, ends or is prolonged. */
Test(gw_state, adopted_binding_believes_no_replay)
{
	uint8_t confirm[PA_CTL_MAX], alive[PA_CTL_MAX], again[PA_CTL_MAX], reconfirm[PA_CTL_MAX], buf[PA_CTL_MAX];
	size_t n_alive, n_reconfirm;
	struct fx *f = fx_new();
	struct pa_gw_binding b;
	struct peer p;

	cr_assert(bind_host(f, &p, 5, 1, 100, confirm));
	n_alive = peer_keepalive(&p, alive);
	give(f, HOME, alive, n_alive);
	cr_assert_eq(f->m.type, PA_MSG_ALIVE);
	memcpy(p.token, f->m.token, sizeof(p.token));
	(void)peer_keepalive(&p, again);
	give(f, AWAY, again, n_alive);
	cr_assert_eq(f->m.type, PA_MSG_RECHALLENGE);
	n_reconfirm = peer_reconfirm(&p, f->m.cookie, reconfirm);

	f->n_deliver = 0;
	cr_assert_eq(die(f, 1000), 1);
	cr_assert_eq(f->n_deliver, 1, "packets go at once");
	cr_assert_eq(f->n_adopted, 1);
	give(f, HOME, alive, n_alive);
	cr_assert(f->n_sent <= 1 && (f->n_sent == 0 || f->m.type == PA_MSG_RECHALLENGE), "believed");
	give(f, HOME, again, n_alive); /* was never answered, so its number is fresh */
	cr_assert(f->n_sent == 1 && f->m.type == PA_MSG_RECHALLENGE, "believed");
	give(f, HOME, reconfirm, n_reconfirm);
	cr_assert_eq(f->n_sent, 0, "an old cookie was believed");
	cr_assert_eq(counters(f).bad_cookie, 1);
	give(f, HOME, confirm, PA_CONFIRM_LEN);
	cr_assert_eq(f->n_sent, 0);
	cr_assert_eq(pa_gw_find(f->gw, &p.grant.claims.addr, &b), 0);
	cr_assert(pa_endpoint_eq(&b.mapped, &(struct pa_endpoint){peer_at(HOME).addr, 40000}));
	cr_assert_eq(b.last_seen_ms, f->now.boot_ms - 1000, "a replay keeps it alive");

	/* The client itself, with the token that it had: asked, it answers, and is alive from then on. */
	give(f, HOME, buf, peer_keepalive(&p, buf));
	cr_assert(f->n_sent == 1 && f->m.type == PA_MSG_RECHALLENGE);
	give(f, HOME, buf, peer_reconfirm(&p, f->m.cookie, buf));
	cr_assert(f->n_sent == 1 && f->m.type == PA_MSG_ALIVE);
	memcpy(p.token, f->m.token, sizeof(p.token));
	give(f, HOME, buf, peer_keepalive(&p, buf));
	cr_assert(f->n_sent == 1 && f->m.type == PA_MSG_ALIVE, "it is asked only once");
	cr_assert_eq(pa_gw_find(f->gw, &p.grant.claims.addr, &b), 0);
	cr_assert_eq(b.last_seen_ms, f->now.boot_ms);
	cr_assert(b.bind == 100 && b.claims.epoch == 1);
	fx_free(f);
}

/* All clients of one NAT ask at once after a restart: each is asked back, whatever the limit of its prefix for strangers. */
Test(gw_state, everybody_is_asked_after_a_restart)
{
	static struct peer p[90];
	struct fx *f = fx_new();
	uint8_t buf[PA_CTL_MAX];
	struct pa_gw_binding b;

	for (uint8_t i = 0; i < 90; i++)
		cr_assert(bind_host(f, &p[i], i, 1, 100, buf));
	cr_assert_eq(die(f, 1000), 90);
	for (uint8_t i = 0; i < 90; i++) {
		give(f, HOME, buf, peer_keepalive(&p[i], buf));
		cr_assert(f->n_sent == 1 && f->m.type == PA_MSG_RECHALLENGE, "client %u", i);
		give(f, HOME, buf, peer_reconfirm(&p[i], f->m.cookie, buf));
		cr_assert(f->n_sent == 1 && f->m.type == PA_MSG_ALIVE, "client %u", i);
	}
	cr_assert_eq(counters(f).limited, 0);
	/* But a copy of its KEEPALIVE from elsewhere draws only as many as its prefix may have. */
	cr_assert_eq(die(f, 1000), 90);
	for (uint8_t i = 0; i < 90; i++)
		give(f, AWAY, buf, peer_keepalive(&p[i], buf));
	cr_assert_eq(counters(f).limited, 50);
	cr_assert_eq(pa_gw_find(f->gw, &p[0].grant.claims.addr, &b), 0);
	fx_free(f);
}

Test(gw_state, what_was_ended_is_remembered)
{
	struct fx *f = fx_new();
	uint8_t buf[PA_CTL_MAX];
	struct peer p;

	cr_assert(bind_host(f, &p, 5, 7, 100, buf));
	cr_assert_eq(pa_gw_end(f->gw, f->now, &p.grant.claims.addr, PA_REASON_RELEASED), 0);
	cr_assert_eq(die(f, 0), 0);
	cr_assert(pa_gw_count(f->gw) == 0 && pa_gw_known(f->gw) == 1);
	cr_assert(!bind_host(f, &p, 5, 6, 900, buf), "a lower epoch");
	cr_assert(!bind_host(f, &p, 5, 7, 100, buf), "the same bind number");
	cr_assert_eq(counters(f).replayed, 2);
	cr_assert(bind_host(f, &p, 5, 7, 101, buf));
	pa_gw_shutdown(f->gw, f->now);
	cr_assert_eq(die(f, 0), 0);
	cr_assert(!bind_host(f, &p, 5, 7, 101, buf), "a clean stop forgets");
	fx_free(f);
}

Test(gw_state, only_what_is_valid_is_adopted)
{
	static const struct pa_gw_pool other = {PEER_POOL_ID + 1, {{{0}}, 0}};
	struct fx *f = fx_new();
	struct pa_gw_record r;
	struct pa_gw *gw;
	uint8_t buf[PA_CTL_MAX];
	struct peer p;

	cr_assert(bind_host(f, &p, 5, 1, 100, buf));
	cr_assert_eq(die(f, 3601 * 1000), 0, "expired");
	cr_assert_eq(pa_gw_known(f->gw), 0);

	sample(&r);
	gw = gateway(f, &other, 100);
	f->now.unix_ms = PEER_UNIX * 1000ull;
	cr_assert_eq(pa_gw_adopt(gw, f->now, &r), PA_ENOTFOUND);
	pa_gw_free(gw);
	gw = gateway(f, &pool, 1);
	cr_assert_eq(pa_gw_adopt(gw, f->now, &r), 0);
	r.claims.addr.b[15]++;
	cr_assert_eq(pa_gw_adopt(gw, f->now, &r), PA_ENOMEM);
	r.claims.addr.b[15]--;
	r.bound = r.delivering = false;
	r.bind = 9;
	cr_assert_eq(pa_gw_adopt(gw, f->now, &r), 0, "a later record replaces");
	cr_assert(pa_gw_adopted(gw, f->now, 0) == 0 && pa_gw_known(gw) == 1);
	r.floor_until = PEER_UNIX;
	cr_assert_eq(pa_gw_adopt(gw, f->now, &r), PA_EEXPIRED);
	cr_assert_eq(pa_gw_known(gw), 0);
	pa_gw_free(gw);
	fx_free(f);
}

Test(gw_state, a_gateway_that_was_away_for_long_does_not_deliver)
{
	struct fx *f = fx_new();
	uint8_t buf[PA_CTL_MAX];
	struct pa_gw_binding b;
	struct peer p;

	cr_assert(bind_host(f, &p, 5, 1, 100, buf));
	cr_assert_eq(die(f, 63000), 1);
	(void)pa_gw_tick(f->gw, f->now);
	cr_assert_eq(pa_gw_find(f->gw, &p.grant.claims.addr, &b), 0);
	cr_assert(!b.delivering);
	fx_free(f);
}

/* ---- the file ---- */

struct files {
	char dir[TMPDIR_LEN], path[TMPDIR_LEN + 16];
	struct pa_gw_state_header header;
};

static void files_make(struct files *s)
{
	cr_assert_eq(tmpdir_make(s->dir), 0);
	(void)snprintf(s->path, sizeof(s->path), "%s/state", s->dir);
	memset(&s->header, 0, sizeof(s->header));
	s->header.n_listen = 1;
	s->header.listen[0] = peer_at("198.51.100.10:6080");
}

/* A new process reads the file; returns the bindings that it got. */
static size_t reload(struct fx *f, const struct files *s)
{
	struct pa_gatewayd_state *st;

	pa_gw_free(f->gw);
	f->gw = gateway(f, &pool, 100);
	cr_assert_eq(pa_gatewayd_state_new(s->path, &s->header, &st), 0);
	f->now = pa_now_get();
	f->now.unix_ms = PEER_UNIX * 1000ull;
	pa_gatewayd_state_load(st, f->gw, f->now);
	pa_gatewayd_state_free(st);
	return pa_gw_count(f->gw);
}

static void bind_three(struct fx *f, struct pa_gatewayd_state *st)
{
	uint8_t buf[PA_CTL_MAX];
	struct peer p;

	for (uint8_t host = 1; host <= 3; host++) {
		cr_assert(bind_host(f, &p, host, 1, 100, buf));
		pa_gatewayd_state_flush(st, f->gw, f->now);
	}
}

Test(gw_state, the_file_survives_the_process_and_is_for_its_owner_only)
{
	struct fx *f = fx_new();
	struct pa_gatewayd_state *st;
	struct files s;
	struct stat sb;

	files_make(&s);
	cr_assert_eq(pa_gatewayd_state_new(s.path, &s.header, &st), 0);
	pa_gatewayd_state_load(st, f->gw, f->now);
	bind_three(f, st);
	cr_assert_eq(stat(s.path, &sb), 0);
	cr_assert_eq(sb.st_mode & 07777, 0600);
	pa_gatewayd_state_free(st);
	cr_assert_eq(reload(f, &s), 3);
	cr_assert_eq(reload(f, &s), 3, "and the next one's");
	cr_assert_eq(chmod(s.path, 0640), 0);
	cr_assert_eq(reload(f, &s), 0, "others can read it");
	cr_assert_eq(stat(s.path, &sb), 0);
	cr_assert_eq(sb.st_mode & 07777, 0600, "it is replaced");
	cr_assert_eq(tmpdir_count(s.dir), 1);
	tmpdir_remove(s.dir);
	fx_free(f);
}

/* Cut anywhere, it gives the whole records before; another gateway's gives nothing; a socket that is gone only a memory. */
Test(gw_state, a_file_that_is_cut_gives_what_stands_before)
{
	size_t whole = PA_GW_STATE_HEADER_LEN + 3 * PA_GW_STATE_RECORD_LEN;
	uint8_t copy[PA_GW_STATE_HEADER_LEN + 3 * PA_GW_STATE_RECORD_LEN];
	struct fx *f = fx_new();
	struct pa_gatewayd_state *st;
	struct files s;
	FILE *file;

	files_make(&s);
	cr_assert_eq(pa_gatewayd_state_new(s.path, &s.header, &st), 0);
	pa_gatewayd_state_load(st, f->gw, f->now);
	bind_three(f, st);
	pa_gatewayd_state_free(st);
	file = fopen(s.path, "re");
	cr_assert(file != NULL && fread(copy, 1, sizeof(copy), file) == whole && fgetc(file) == EOF);
	(void)fclose(file);
	for (size_t len = 0; len <= whole; len += 23) {
		file = fopen(s.path, "we");
		cr_assert(file != NULL && fwrite(copy, 1, len, file) == len && fclose(file) == 0);
		cr_assert_eq(reload(f, &s), len < PA_GW_STATE_HEADER_LEN ? 0 :
			     (len - PA_GW_STATE_HEADER_LEN) / PA_GW_STATE_RECORD_LEN, "cut at %zu", len);
	}
	s.header.listen[0].port++;
	cr_assert_eq(reload(f, &s), 0);
	cr_assert_eq(pa_gw_known(f->gw), 2);
	s.header.gateway[0]++;
	cr_assert_eq(reload(f, &s), 0);
	cr_assert_eq(pa_gw_known(f->gw), 0);
	tmpdir_remove(s.dir);
	fx_free(f);
}

/* A large file is made in pieces, and what changes meanwhile is in it; the next process goes on with it. */
Test(gw_state, a_large_file_is_made_in_pieces)
{
	static const struct pa_gw_pool wide = {PEER_POOL_ID, {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 0, 0}}, 16}};
	struct fx *f = fx_new();
	struct pa_gw *gw = gateway(f, &wide, 2000);
	struct pa_gatewayd_state *st;
	struct pa_gw_record r;
	struct files s;
	struct stat before, after;
	unsigned pieces = 1;

	files_make(&s);
	sample(&r);
	f->now.unix_ms = PEER_UNIX * 1000ull;
	for (unsigned i = 0; i < 1000; i++) {
		r.claims.addr = pa_addr_from_ipv4(0xcb000000u + i);
		r.session[0] = (uint8_t)i;
		r.session[1] = (uint8_t)(i >> 8);
		r.local = 0;
		cr_assert_eq(pa_gw_adopt(gw, f->now, &r), 0);
	}
	cr_assert_eq(pa_gatewayd_state_new(s.path, &s.header, &st), 0);
	pa_gatewayd_state_load(st, gw, f->now);
	cr_assert_neq(access(s.path, F_OK), 0, "it is not there before it is whole");
	cr_assert_eq(pa_gw_end(gw, f->now, &r.claims.addr, PA_REASON_RELEASED), 0);
	while (pa_gatewayd_state_renew(st, gw, f->now))
		pieces++;
	cr_assert_gt(pieces, 2);
	pa_gatewayd_state_free(st);
	pa_gw_free(gw);
	cr_assert_eq(stat(s.path, &before), 0);
	gw = gateway(f, &wide, 2000);
	cr_assert_eq(pa_gatewayd_state_new(s.path, &s.header, &st), 0);
	pa_gatewayd_state_load(st, gw, f->now);
	cr_assert(pa_gw_count(gw) == 999 && pa_gw_known(gw) == 1000);
	cr_assert_eq(stat(s.path, &after), 0);
	cr_assert(before.st_ino == after.st_ino && before.st_size == after.st_size, "it is not written anew");
	pa_gatewayd_state_free(st);
	pa_gw_free(gw);
	tmpdir_remove(s.dir);
	fx_free(f);
}

Test(gw_state, the_file_stays_small)
{
	struct fx *f = fx_new();
	struct pa_gatewayd_state *st;
	uint8_t buf[PA_CTL_MAX];
	struct files s;
	struct stat sb;
	struct peer p;

	files_make(&s);
	cr_assert_eq(pa_gatewayd_state_new(s.path, &s.header, &st), 0);
	pa_gatewayd_state_load(st, f->gw, f->now);
	cr_assert(bind_host(f, &p, 1, 1, 100, buf));
	for (unsigned i = 0; i < 20000; i++) {
		pa_gw_superseded(f->gw, f->now, &p.grant.claims.addr, 1, 101 + i);
		(void)pa_gatewayd_state_renew(st, f->gw, f->now);
	}
	cr_assert(bind_host(f, &p, 1, 1, 1000000, buf));
	pa_gatewayd_state_flush(st, f->gw, f->now);
	cr_assert_eq(stat(s.path, &sb), 0);
	cr_assert_lt((size_t)sb.st_size, 5000 * PA_GW_STATE_RECORD_LEN);
	pa_gatewayd_state_free(st);
	cr_assert_eq(reload(f, &s), 1);
	tmpdir_remove(s.dir);
	fx_free(f);
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A client that is shaking hands, and then bound, gets messages that were right until some bytes were changed. Input: records
 * of a kind, flags, a count n, and n pairs (offset, xor), as in fuzz_gw.c.
 */
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "test/fuzz/fuzz.h"
#include "test/sim/peer.h"
#include "tunnel/client.h"

enum kind {
	KIND_RAW,
	KIND_CHALLENGE,
	KIND_ACCEPT,
	KIND_ALIVE,
	KIND_UNBOUND,
	KIND_HINT,
	KIND_RECHALLENGE,
	KIND_TICK,
	KIND_GRANT,
	KIND_KICK,
	KIND_FERRY, /* the way by the relay is open, or away */
	KINDS
};
enum flag { FLAG_SIGN = 1, FLAG_AWAY = 2, FLAG_WAIT = 8, FLAG_LONG_WAIT = 16, FLAG_FERRY = 32 };

#define GATEWAY "198.51.100.10:6080"
#define FERRY "127.0.0.1:7000"

struct fz {
	struct pa_client *cl;
	struct peer_rng rng;
	struct pa_now now;
	struct peer p;
	struct pa_msg last; /* sent by the client */
	uint64_t bind, sent;
	bool up, wanted;
};

static void on_send(void *ctx, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct fz *f = ctx;
	struct pa_endpoint gateway = peer_at(GATEWAY), ferry = peer_at(FERRY);

	PA_REQUIRE(pa_endpoint_eq(to, &gateway) || pa_endpoint_eq(to, &ferry));
	PA_REQUIRE(pa_msg_decode(buf, len, &f->last) == 0);
	f->sent++;
	if (f->last.type == PA_MSG_HELLO) {
		memcpy(f->p.nonce, f->last.nonce, sizeof(f->p.nonce));
		f->p.bind = f->last.bind;
	}
	if (f->last.type == PA_MSG_KEEPALIVE || f->last.type == PA_MSG_RECONFIRM)
		f->p.seq = f->last.seq;
}

static void on_fresh_port(void *ctx)
{
	(void)ctx;
}

static void on_up(void *ctx, const struct pa_client_binding *b)
{
	struct fz *f = ctx;

	PA_REQUIRE(b->mtu >= PA_MTU_MIN && b->keepalive >= PA_KEEPALIVE_MIN && b->keepalive <= PA_KEEPALIVE_MAX);
	PA_REQUIRE(pa_claims_eq(&b->claims, &f->p.grant.claims));
	f->up = true;
}

static void on_down(void *ctx, bool ended, unsigned reason)
{
	(void)ended;
	(void)reason;
	((struct fz *)ctx)->up = false;
}

static void on_event(void *ctx, const char *event, const struct pa_endpoint *gateway, unsigned detail)
{
	(void)ctx;
	(void)event;
	(void)gateway;
	(void)detail;
}

static uint64_t on_next_bind(void *ctx)
{
	return ++((struct fz *)ctx)->bind;
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct fz *)ctx)->rng, dst, len);
}

static void on_ferry(void *ctx, bool wanted)
{
	struct fz *f = ctx;

	PA_REQUIRE(f->wanted != wanted);
	f->wanted = wanted;
}

static const struct pa_client_ops ops = {on_send,	on_fresh_port, on_up, on_down, on_event,
					 on_next_bind, on_random,     NULL,  NULL,    on_ferry};

static void take_grant(struct fz *f)
{
	uint64_t expires = f->now.unix_ms / 1000 + 600;
	struct pa_grant g;
	struct peer old = f->p;

	peer_grant(0, 5, 1, expires, true, &g);
	g.lifetime = 600;
	peer_init(&f->p, &g, 0, old.bind);
	memcpy(f->p.nonce, old.nonce, sizeof(old.nonce));
	memcpy(f->p.session, old.session, sizeof(old.session));
	memcpy(f->p.token, old.token, sizeof(old.token));
	f->p.keys = old.keys;
	f->p.seq = old.seq;
	(void)pa_client_grant(f->cl, f->now, &g);
}

static size_t build(struct fz *f, enum kind kind, uint8_t *buf)
{
	static const struct pa_msg accept = {.lifetime = 600, .mtu = 1400, .keepalive = 25, .routed = true};

	switch (kind) {
	case KIND_CHALLENGE:
		return peer_challenge(&f->p, buf);
	case KIND_ACCEPT:
		(void)peer_derive(&f->p);
		return peer_accept(&f->p, &accept, buf);
	case KIND_ALIVE:
		return peer_alive(&f->p, f->p.seq, f->last.echo, buf);
	case KIND_UNBOUND:
		return peer_unbound(&f->p, PA_REASON_SHUTDOWN, true, buf);
	case KIND_HINT:
		return peer_unbound(&f->p, PA_REASON_UNKNOWN, false, buf);
	case KIND_RECHALLENGE:
		return peer_rechallenge(f->p.cookie, buf);
	default:
		memset(buf, 0, PA_CTL_MAX);
		return PA_CTL_MAX;
	}
}

static void sign(struct fz *f, enum kind kind, uint8_t *buf, size_t len)
{
	if (kind != KIND_RECHALLENGE && kind != KIND_RAW)
		pa_mac(kind == KIND_CHALLENGE ? f->p.k0 : f->p.keys.g2c, buf, len - PA_MAC_LEN, buf + len - PA_MAC_LEN);
}

static void record(struct fz *f, enum kind kind, unsigned flags, const uint8_t *pairs, size_t n)
{
	struct pa_endpoint from = peer_at((flags & FLAG_AWAY) != 0 ? "198.51.100.66:6080" : (flags & FLAG_FERRY) != 0 ? FERRY : GATEWAY);
	const struct pa_endpoint ferry = peer_at(FERRY);
	struct pa_client_status st;
	uint8_t buf[PA_CTL_MAX];
	uint64_t sent = f->sent;
	size_t len;

	if ((flags & FLAG_WAIT) != 0)
		f->now.boot_ms += 1700, f->now.unix_ms += 1700;
	if ((flags & FLAG_LONG_WAIT) != 0)
		f->now.boot_ms += 26000, f->now.unix_ms += 26000;
	if (kind == KIND_TICK) {
		PA_REQUIRE(pa_client_tick(f->cl, f->now) > f->now.boot_ms);
	} else if (kind == KIND_GRANT) {
		take_grant(f);
	} else if (kind == KIND_KICK) {
		pa_client_kick(f->cl, f->now);
	} else if (kind == KIND_FERRY) {
		pa_client_ferry(f->cl, f->now, (flags & FLAG_FERRY) != 0 ? &ferry : NULL);
	} else {
		len = build(f, kind, buf);
		for (size_t i = 0; i < n; i++)
			buf[pairs[2 * i] % len] ^= pairs[2 * i + 1];
		if (kind == KIND_RAW && n > 0)
			len = pairs[0] % (PA_CTL_MAX + 1);
		else if ((flags & FLAG_SIGN) != 0)
			sign(f, kind, buf, len);
		pa_client_receive(f->cl, f->now, &from, buf, len);
		PA_REQUIRE((flags & FLAG_AWAY) == 0 || f->sent == sent);
		PA_REQUIRE(f->sent <= sent + 2);
	}
	pa_client_status_get(f->cl, &st);
	PA_REQUIRE((st.state == PA_CLIENT_BOUND) == f->up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t secret[PA_KEY_LEN];
	struct fz f;

	PA_REQUIRE(pa_cred_init() == 0);
	memset(&f, 0, sizeof(f));
	f.rng.s = 1;
	f.now = (struct pa_now){.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};
	peer_client_secret(0, secret);
	PA_REQUIRE(pa_client_new(secret, &ops, &f, &f.cl) == 0);
	memset(f.p.session, 7, sizeof(f.p.session));
	take_grant(&f);
	while (len >= 3) {
		size_t n = data[2];

		if (n > (len - 3) / 2)
			n = (len - 3) / 2;
		record(&f, (enum kind)(data[0] % KINDS), data[1], data + 3, n);
		data += 3 + 2 * n;
		len -= 3 + 2 * n;
	}
	pa_client_end(f.cl, f.now, PA_REASON_RELEASED);
	PA_REQUIRE(!f.up && !f.wanted);
	pa_client_free(f.cl);
	return 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A gateway with one binding gets messages that were right until some bytes were changed. Input: records of a
 * kind, flags, a count n, and n pairs (offset, xor) to apply; flags say where it comes from, whether its MACs are made
 * right again after the change, and how much time passes before.
 */
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "test/fuzz/fuzz.h"
#include "test/sim/peer.h"
#include "tunnel/gw.h"

#define MAX_BINDINGS 4
#define CLAIMS_AT 8
#define COOKIE_AT 122

enum kind { KIND_RAW, KIND_HELLO, KIND_CONFIRM, KIND_KEEPALIVE, KIND_RECONFIRM, KIND_BYE, KIND_FOREIGN, KIND_TICK, KIND_PROBE, KINDS };
/* FLAG_SECOND of a PROBE: it goes to the socket for probes. */
enum flag { FLAG_SIGN = 1, FLAG_AWAY = 2, FLAG_SECOND = 4, FLAG_WAIT = 8, FLAG_LONG_WAIT = 16 };

struct fz {
	struct pa_gw *gw;
	struct peer_rng rng;
	struct pa_now now;
	struct peer p;
	struct pa_endpoint from;
	size_t given; /* length of the message that is being handled; 0: none is */
	uint8_t cookie[PA_COOKIE_LEN]; /* of the last CHALLENGE or RECHALLENGE */
};

static void on_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct fz *f = ctx;
	struct pa_msg m;

	(void)local;
	PA_REQUIRE(pa_msg_decode(buf, len, &m) == 0);
	PA_REQUIRE(f->given == 0 || !pa_endpoint_eq(to, &f->from) || len <= f->given || m.type == PA_MSG_UNBOUND);
	if (m.type == PA_MSG_CHALLENGE || m.type == PA_MSG_RECHALLENGE)
		memcpy(f->cookie, m.cookie, sizeof(f->cookie));
	if (m.type == PA_MSG_ACCEPT) {
		memcpy(f->p.session, m.session, sizeof(m.session));
		memcpy(f->p.token, m.token, sizeof(m.token));
		f->p.seq = 0;
	}
	if (m.type == PA_MSG_ALIVE)
		memcpy(f->p.token, m.token, sizeof(m.token));
}

static void on_deliver(void *ctx, const struct pa_gw_binding *b)
{
	struct fz *f = ctx;

	PA_REQUIRE(b->delivering && b->claims.expires > f->now.unix_ms / 1000);
	PA_REQUIRE((pa_addr_to_ipv4(&b->claims.addr) & 0xffffff00) == 0xcb007100);
}

static void on_stop(void *ctx, const struct pa_addr *addr)
{
	(void)ctx;
	PA_REQUIRE((pa_addr_to_ipv4(addr) & 0xffffff00) == 0xcb007100);
}

static void on_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	(void)ctx;
	(void)b;
	(void)reason;
	PA_REQUIRE(event[0] != '\0');
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct fz *)ctx)->rng, dst, len);
}

static const struct pa_gw_ops ops = {.send = on_send, .deliver = on_deliver, .stop = on_stop, .event = on_event,
				     .random = on_random};

static void give(struct fz *f, unsigned local, const uint8_t *buf, size_t len)
{
	f->given = len;
	pa_gw_receive(f->gw, f->now, local, &f->from, buf, len);
	f->given = 0;
}

/* Makes the MACs right again: those under K0 with the secret that the changed claims have. */
static void sign(struct fz *f, uint8_t *buf, size_t len)
{
	uint8_t pool[PA_KEY_LEN], secret[PA_KEY_LEN], k0[PA_KEY_LEN];
	size_t end = len - PA_MAC_LEN;

	if (len < PA_CTL_HEADER_LEN + PA_MAC_LEN)
		return;
	if (len != PA_HELLO_LEN && len != PA_CONFIRM_LEN) {
		pa_mac(f->p.keys.c2g, buf, end, buf + end);
		return;
	}
	peer_pool_key(pool);
	pa_derive_secret(pool, buf + CLAIMS_AT, secret);
	pa_derive_k0(secret, k0);
	if (len == PA_CONFIRM_LEN)
		end -= PA_MAC_LEN;
	pa_mac(k0, buf, end, buf + end);
	if (len == PA_CONFIRM_LEN) {
		memcpy(f->p.claims, buf + CLAIMS_AT, PA_CLAIMS_LEN);
		memcpy(f->p.grant.secret, secret, sizeof(secret));
		memcpy(f->p.cookie, buf + COOKIE_AT, PA_COOKIE_LEN);
		(void)peer_derive(&f->p);
		(void)pa_msg_seal(buf, len, f->p.keys.c2g);
	}
}

static size_t build(struct fz *f, enum kind kind, uint8_t *buf)
{
	static const struct pa_msg probe = {.answer_length = PA_PROBE_MIN, .from = PA_PROBE_PORT};

	switch (kind) {
	case KIND_HELLO:
		f->p.bind++;
		return peer_hello(&f->p, buf);
	case KIND_CONFIRM:
		memcpy(f->p.cookie, f->cookie, sizeof(f->p.cookie));
		return peer_confirm(&f->p, buf);
	case KIND_KEEPALIVE:
		return peer_keepalive(&f->p, buf);
	case KIND_RECONFIRM:
		return peer_reconfirm(&f->p, f->cookie, buf);
	case KIND_BYE:
		return peer_bye(&f->p, buf);
	case KIND_PROBE:
		return peer_probe(&f->p, &probe, PA_CTL_MAX, buf);
	default:
		memset(buf, 0, PA_CTL_MAX);
		return PA_CTL_MAX;
	}
}

static bool check_one(void *arg, const struct pa_gw_binding *b)
{
	(void)arg;
	(void)b;
	return true;
}

static void record(struct fz *f, enum kind kind, unsigned flags, const uint8_t *pairs, size_t n)
{
	uint8_t buf[PA_CTL_MAX];
	unsigned local = (flags & FLAG_SECOND) != 0 ? 1 : 0;
	size_t len;

	f->from = peer_at((flags & FLAG_AWAY) != 0 ? "192.0.2.9:9999" : "192.0.2.1:1111");
	if ((flags & FLAG_WAIT) != 0)
		f->now.boot_ms += 700, f->now.unix_ms += 700;
	if ((flags & FLAG_LONG_WAIT) != 0)
		f->now.boot_ms += 63000, f->now.unix_ms += 63000;
	if (kind == KIND_TICK) {
		PA_REQUIRE(pa_gw_tick(f->gw, f->now) > f->now.boot_ms);
		return;
	}
	if (kind == KIND_FOREIGN) {
		f->given = n + 20;
		pa_gw_foreign(f->gw, f->now, local, &f->from, &f->p.grant.claims.addr, n + 20);
		f->given = 0;
		return;
	}
	if (kind == KIND_PROBE && local == 1)
		local = PA_GW_PROBE_LOCAL;
	len = build(f, kind, buf);
	for (size_t i = 0; i < n; i++)
		buf[pairs[2 * i] % len] ^= pairs[2 * i + 1];
	if (kind == KIND_RAW && n > 0)
		len = pairs[0] % (PA_CTL_MAX + 1);
	else if ((flags & FLAG_SIGN) != 0)
		sign(f, buf, len);
	give(f, local, buf, len);
	pa_gw_each(f->gw, check_one, NULL);
	PA_REQUIRE(pa_gw_count(f->gw) <= MAX_BINDINGS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct pa_gw_pool pool = {
		PEER_POOL_ID, {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};
	static struct pa_keyring *ring; /* kept: it never changes, and making it costs more than a run */
	struct pa_gw_socket sockets[] = {{peer_at("198.51.100.10:6080"), 0}, {peer_at("198.51.100.10:6081"), PA_GW_PROBE_LOCAL}};
	struct pa_gw_config cfg = {.pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25,
				   .max_bindings = MAX_BINDINGS, .sockets = sockets, .n_sockets = 2};
	struct pa_grant g;
	struct fz f;

	if (ring == NULL)
		ring = peer_keyring();
	memset(&f, 0, sizeof(f));
	f.rng.s = 1;
	f.now = (struct pa_now){.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};
	cfg.keys = ring;
	PA_REQUIRE(pa_gw_new(&cfg, &ops, &f, &f.gw) == 0);
	peer_grant(0, 5, 1, PEER_UNIX + 600, false, &g);
	peer_init(&f.p, &g, 0, 1);
	record(&f, KIND_HELLO, 0, NULL, 0);
	record(&f, KIND_CONFIRM, 0, NULL, 0);
	PA_REQUIRE(pa_gw_count(f.gw) == 1);
	while (len >= 3) {
		size_t n = data[2];

		if (n > (len - 3) / 2)
			n = (len - 3) / 2;
		record(&f, (enum kind)(data[0] % KINDS), data[1], data + 3, n);
		data += 3 + 2 * n;
		len -= 3 + 2 * n;
	}
	pa_gw_shutdown(f.gw, f.now);
	PA_REQUIRE(pa_gw_count(f.gw) == 0);
	pa_gw_free(f.gw);
	return 0;
}

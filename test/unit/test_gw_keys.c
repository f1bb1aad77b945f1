/* SPDX-License-Identifier: MPL-2.0 */
/* Keys that change while bindings live: pool keys come and go, and a client that lost its key pair comes back with another. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "test/sim/peer.h"
#include "tunnel/gatewayd_keys.h"

#define HOME "192.0.2.1:40000"
#define NEW_ID (PEER_KEY_ID + 1)

struct fx {
	struct pa_keyring *old_only, *both, *new_only;
	struct pa_gw *gw;
	struct peer_rng rng;
	struct pa_now now;
	struct pa_msg last;
	unsigned n_sent, n_stop;
};

static void on_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct fx *f = ctx;

	(void)local;
	(void)to;
	cr_assert_eq(pa_msg_decode(buf, len, &f->last), 0);
	f->n_sent++;
}

static void on_deliver(void *ctx, const struct pa_gw_binding *b)
{
	(void)ctx;
	(void)b;
}

static void on_stop(void *ctx, const struct pa_addr *addr)
{
	(void)addr;
	((struct fx *)ctx)->n_stop++;
}

static void on_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	(void)ctx;
	(void)event;
	(void)b;
	(void)reason;
}

static void on_random(void *ctx, uint8_t *dst, size_t len)
{
	peer_fill(&((struct fx *)ctx)->rng, dst, len);
}

static const struct pa_gw_ops ops = {
	.send = on_send, .deliver = on_deliver, .stop = on_stop, .event = on_event, .random = on_random};

static void new_pool_key(uint8_t ret[PA_KEY_LEN])
{
	uint8_t master[PA_KEY_LEN];

	memset(master, 0x5a, sizeof(master));
	pa_derive_pool_key(master, NEW_ID, PEER_POOL_ID, ret);
}

static struct pa_keyring *ring_of(bool with_old, bool with_new)
{
	struct pa_key key = {.kind = PA_KEY_GATEWAY, .pool_id = PEER_POOL_ID};
	char text[3 * PA_KEYFILE_LINELEN], err[PA_KEYFILE_ERRLEN];
	struct pa_keyring *ring = NULL;
	size_t n;

	cr_assert_eq(pa_cred_init(), 0);
	peer_gateway_secret(key.key);
	n = pa_key_format(&key, text);
	key.kind = PA_KEY_POOL;
	key.key_id = PEER_KEY_ID;
	peer_pool_key(key.key);
	n += with_old ? pa_key_format(&key, text + n) : 0;
	key.key_id = NEW_ID;
	new_pool_key(key.key);
	n += with_new ? pa_key_format(&key, text + n) : 0;
	cr_assert_eq(pa_keyring_parse("test", text, n, &ring, err), 0, "%s", err);
	return ring;
}

static struct fx *fx_new(void)
{
	static const struct pa_gw_pool pool = {PEER_POOL_ID,
					       {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};
	struct pa_gw_config cfg = {.pools = &pool, .n_pools = 1, .mtu = 1472, .keepalive = 25, .max_bindings = 8};
	struct fx *f = calloc(1, sizeof(*f));

	cr_assert_not_null(f);
	f->old_only = ring_of(true, false);
	f->both = ring_of(true, true);
	f->new_only = ring_of(false, true);
	f->rng.s = 1;
	f->now = (struct pa_now){.boot_ms = 1000000, .unix_ms = PEER_UNIX * 1000ull};
	cfg.keys = f->old_only;
	cr_assert_eq(pa_gw_new(&cfg, &ops, f, &f->gw), 0);
	return f;
}

static void fx_free(struct fx *f)
{
	pa_gw_free(f->gw);
	pa_keyring_free(f->old_only);
	pa_keyring_free(f->both);
	pa_keyring_free(f->new_only);
	free(f);
}

static void give(struct fx *f, const uint8_t *buf, size_t len)
{
	struct pa_endpoint from = peer_at(HOME);

	f->n_sent = 0;
	pa_gw_receive(f->gw, f->now, 0, &from, buf, len);
}

static bool shake(struct fx *f, struct peer *p)
{
	uint8_t buf[PA_CTL_MAX];

	give(f, buf, peer_hello(p, buf));
	if (f->n_sent == 0)
		return false;
	memcpy(p->cookie, f->last.cookie, sizeof(p->cookie));
	give(f, buf, peer_confirm(p, buf));
	if (f->n_sent == 0 || f->last.type != PA_MSG_ACCEPT)
		return false;
	memcpy(p->session, f->last.session, sizeof(p->session));
	memcpy(p->token, f->last.token, sizeof(p->token));
	p->seq = 0;
	return true;
}

static bool alive(struct fx *f, struct peer *p)
{
	uint8_t buf[PA_CTL_MAX];

	give(f, buf, peer_keepalive(p, buf));
	if (f->n_sent != 1 || f->last.type != PA_MSG_ALIVE)
		return false;
	memcpy(p->token, f->last.token, sizeof(p->token));
	return true;
}

/* Grants of client n for host; renewed: signed by the new key, with a later expiry. */
static void make_peer(struct peer *p, unsigned n, uint8_t host, uint64_t epoch, uint64_t bind, bool renewed)
{
	struct pa_grant g;

	peer_grant(n, host, epoch, PEER_UNIX + (renewed ? 7200 : 3600), true, &g);
	if (renewed) {
		uint8_t key[PA_KEY_LEN], claims[PA_CLAIMS_LEN];

		g.claims.key_id = NEW_ID;
		cr_assert_gt(pa_claims_encode(&g.claims, claims), 0);
		new_pool_key(key);
		pa_derive_secret(key, claims, g.secret);
	}
	peer_init(p, &g, n, bind);
}

static uint64_t unknown_pool(const struct fx *f)
{
	struct pa_gw_counters c;

	pa_gw_counters_get(f->gw, &c);
	return c.unknown_pool;
}

Test(gw_keys, rotation_loses_no_binding)
{
	struct fx *f = fx_new();
	struct peer a, b, c, renewed;

	make_peer(&a, 0, 5, 1, 100, false);
	make_peer(&b, 1, 6, 1, 100, false);
	make_peer(&c, 2, 7, 1, 100, false);
	make_peer(&renewed, 0, 5, 1, 101, true);
	cr_assert(shake(f, &a) && shake(f, &b));
	cr_assert_not(shake(f, &renewed), "the broker must not sign with a key that the gateway has not");
	cr_assert_eq(unknown_pool(f), 1);
	cr_assert_eq(pa_gatewayd_keys_use(f->gw, f->both, f->now), 0);
	cr_assert_eq(pa_gw_count(f->gw), 2);
	cr_assert_eq(f->n_stop, 0);
	cr_assert(alive(f, &a) && alive(f, &b), "sessions go on");
	cr_assert(shake(f, &c), "grants of the old key are good");
	cr_assert(shake(f, &renewed), "and so are those of the new one, for the same epoch");
	cr_assert(alive(f, &renewed));
	cr_assert_eq(pa_gw_count(f->gw), 3);
	fx_free(f);
}

Test(gw_keys, removed_key_ends_what_it_made_and_makes_no_more)
{
	struct fx *f = fx_new();
	struct peer a, b, renewed;

	make_peer(&a, 0, 5, 1, 100, false);
	make_peer(&b, 1, 6, 1, 100, false);
	make_peer(&renewed, 0, 5, 1, 101, true);
	cr_assert_eq(pa_gatewayd_keys_use(f->gw, f->both, f->now), 0);
	cr_assert(shake(f, &a) && shake(f, &b) && shake(f, &renewed));
	cr_assert_eq(pa_gatewayd_keys_use(f->gw, f->new_only, f->now), 1, "the one of client 1");
	cr_assert_eq(pa_gw_count(f->gw), 1);
	cr_assert(alive(f, &renewed));
	cr_assert_not(alive(f, &b));
	make_peer(&b, 1, 6, 2, 101, false);
	cr_assert_not(shake(f, &b), "a grant of the removed key, though its epoch is higher");
	cr_assert_eq(unknown_pool(f), 1);
	make_peer(&b, 1, 6, 2, 102, true);
	cr_assert(shake(f, &b));
	fx_free(f);
}

Test(gw_keys, bad_keys_change_nothing)
{
	struct pa_keyring *none = NULL;
	char err[PA_KEYFILE_ERRLEN];
	struct fx *f = fx_new();
	struct peer a;

	cr_assert_eq(pa_keyring_parse("test", "", 0, &none, err), 0);
	make_peer(&a, 0, 5, 1, 100, false);
	cr_assert(shake(f, &a));
	cr_assert_eq(pa_gatewayd_keys_use(f->gw, none, f->now), PA_EINVAL);
	pa_keyring_free(none);
	cr_assert(alive(f, &a));
	fx_free(f);
}

Test(gw_keys, client_that_lost_its_key_pair_comes_back)
{
	struct fx *f = fx_new();
	struct peer before, same_epoch, after;

	make_peer(&before, 0, 5, 1, 100, false);
	make_peer(&same_epoch, 1, 5, 1, 101, false);
	make_peer(&after, 1, 5, 2, 102, false);
	cr_assert(shake(f, &before));
	cr_assert_not(shake(f, &same_epoch), "another key under the same epoch is another client");
	cr_assert(alive(f, &before));
	cr_assert(shake(f, &after), "the broker gives the new key a new epoch");
	cr_assert(alive(f, &after));
	cr_assert_not(alive(f, &before));
	fx_free(f);
}

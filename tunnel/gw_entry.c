/* SPDX-License-Identifier: MPL-2.0 */
/* The gateway's core: what an entry of the table means, of which it keeps no more than it must. */
#include <sodium.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "tunnel/gw_int.h"

#define MASK_48 ((UINT64_C(1) << 48) - 1)

_Static_assert(PA_GW_HASH_KEY_LEN == crypto_shorthash_KEYBYTES, "the key of tokens is SipHash's");
_Static_assert(PA_TOKEN_LEN == crypto_shorthash_BYTES, "a token is one SipHash");

void pa_gw_claims_of(const struct pa_gw_entry *e, struct pa_claims *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->key_id = e->key_id;
	ret->pool_id = e->pool_id;
	ret->addr = e->addr;
	ret->prefix_len = pa_addr_is_ipv4(&e->addr) ? 32 : 128;
	ret->epoch = e->epoch;
	ret->expires = e->expires;
	if (e->pinned)
		memcpy(ret->fingerprint, e->pin, sizeof(ret->fingerprint));
}

void pa_gw_set_claims(struct pa_gw_entry *e, const struct pa_claims *c, uint64_t floor_until)
{
	static const uint8_t unpinned[PA_FINGERPRINT_LEN];
	uint64_t left;

	if (c->expires > floor_until)
		floor_until = c->expires;
	left = floor_until - c->expires;
	e->addr = c->addr;
	e->key_id = c->key_id;
	e->pool_id = c->pool_id;
	e->epoch = c->epoch;
	e->expires = (c->expires < MASK_48 ? c->expires : MASK_48) & MASK_48;
	e->floor_left = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
	e->pinned = memcmp(c->fingerprint, unpinned, sizeof(unpinned)) != 0;
}

uint64_t pa_gw_floor_until(const struct pa_gw_entry *e)
{
	return e->expires + e->floor_left;
}

void pa_gw_set_seen(struct pa_gw_entry *e, uint64_t boot_ms)
{
	e->last_seen_ms = boot_ms & MASK_48;
}

void pa_gw_view(const struct pa_gw *gw, const struct pa_gw_entry *e, struct pa_gw_binding *ret)
{
	memset(ret, 0, sizeof(*ret));
	pa_gw_claims_of(e, &ret->claims);
	ret->mapped = e->mapped;
	ret->local = e->local;
	memcpy(ret->session, e->session, sizeof(ret->session));
	ret->bind = e->bind;
	ret->bound_at_ms = (uint64_t)e->bound_at_s * 1000;
	ret->last_seen_ms = e->last_seen_ms;
	ret->mtu = e->mtu != 0 && e->mtu < gw->mtu ? (uint16_t)e->mtu : gw->mtu;
	ret->delivering = e->delivering;
	ret->moved = e->moved;
}

/* ---- tokens ---- */

/* Unpredictable for whoever does not receive them, and so as good as random ones; but only their number has to be kept. */
void pa_gw_token(const struct pa_gw *gw, const struct pa_gw_entry *e, unsigned age, uint8_t ret[PA_TOKEN_LEN])
{
	uint8_t text[PA_SESSION_LEN + sizeof(uint32_t)];
	uint32_t number = e->token - age;

	memcpy(text, e->session, PA_SESSION_LEN);
	memcpy(text + PA_SESSION_LEN, &number, sizeof(number));
	(void)crypto_shorthash(ret, text, sizeof(text), gw->token_key);
}

bool pa_gw_has_token(const struct pa_gw *gw, const struct pa_gw_entry *e, unsigned age, const uint8_t token[PA_TOKEN_LEN])
{
	uint8_t want[PA_TOKEN_LEN];

	pa_gw_token(gw, e, age, want);
	return pa_secret_eq(token, want, sizeof(want));
}

/* ---- after a move ---- */

struct pa_gw_contest *pa_gw_contest_of(const struct pa_gw *gw, const struct pa_gw_entry *e)
{
	return e->has_contest ? pa_slab_at(&gw->contests, e->contest) : NULL;
}

struct pa_gw_contest *pa_gw_contest_make(struct pa_gw *gw, struct pa_gw_entry *e)
{
	struct pa_gw_contest *c = pa_gw_contest_of(gw, e);
	uint32_t number;

	if (c != NULL)
		return c;
	c = pa_slab_get(&gw->contests, &number);
	if (c == NULL)
		return NULL;
	e->contest = number;
	e->has_contest = true;
	return c;
}

void pa_gw_contest_drop(struct pa_gw *gw, struct pa_gw_entry *e)
{
	if (e->has_contest)
		pa_slab_put(&gw->contests, e->contest);
	e->has_contest = false;
}

uint64_t pa_gw_contest_end(const struct pa_gw *gw, const struct pa_gw_entry *e)
{
	const struct pa_gw_contest *c = pa_gw_contest_of(gw, e);

	if (c == NULL)
		return UINT64_MAX;
	return c->until_ms > c->quiet_until_ms ? c->until_ms : c->quiet_until_ms;
}

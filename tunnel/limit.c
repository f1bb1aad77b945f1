/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/limit.h"

#include <sodium.h>
#include <string.h>

_Static_assert(PA_LIMIT_KEY_LEN == crypto_shorthash_KEYBYTES, "the limiter's key is SipHash's");

void pa_limit_init(struct pa_limit *l, const uint8_t key[PA_LIMIT_KEY_LEN], uint32_t interval_ms, uint32_t burst)
{
	memset(l, 0, sizeof(*l));
	memcpy(l->key, key, sizeof(l->key));
	l->interval_ms = interval_ms;
	l->burst = burst;
}

bool pa_limit_one(uint64_t *tat, uint64_t now_ms, uint32_t interval_ms, uint32_t burst)
{
	uint64_t t = *tat > now_ms ? *tat : now_ms;

	if (t - now_ms > (uint64_t)interval_ms * (burst - 1))
		return false;
	*tat = t + interval_ms;
	return true;
}

bool pa_limit_source(struct pa_limit *l, uint64_t now_ms, const struct pa_addr *source)
{
	uint8_t hash[crypto_shorthash_BYTES];
	unsigned slot;

	/* 15 bytes of an IPv4-mapped address are its /24; a site has an IPv6 /56 or shorter (RFC 6177). */
	(void)crypto_shorthash(hash, source->b, pa_addr_is_ipv4(source) ? 15 : 7, l->key);
	slot = ((unsigned)hash[0] << 8 | hash[1]) % PA_LIMIT_SLOTS;
	return pa_limit_one(&l->tat[slot], now_ms, l->interval_ms, l->burst);
}

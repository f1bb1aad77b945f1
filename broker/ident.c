/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/ident.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/hex.h"

/* Bytes of an id that a log line shows. */
#define SHOWN_MAX 30

struct pa_ident {
	unsigned refs;
	size_t len; /* of key */
	/* What is compared and hashed: kind, length of the realm, realm, NUL, id. */
	uint8_t key[];
};

struct pa_ident *pa_ident_new(const char *realm, enum pa_ident_kind kind, const uint8_t *id, size_t len)
{
	size_t realm_len = strlen(realm);
	struct pa_ident *ident;

	if (realm_len == 0 || realm_len > PA_REALM_MAX || len == 0 || len > PA_IDENT_ID_MAX)
		return NULL;
	ident = malloc(sizeof(*ident) + 3 + realm_len + len);
	if (ident == NULL)
		return NULL;
	ident->refs = 1;
	ident->len = 3 + realm_len + len;
	ident->key[0] = (uint8_t)kind;
	ident->key[1] = (uint8_t)realm_len;
	memcpy(ident->key + 2, realm, realm_len + 1);
	memcpy(ident->key + 3 + realm_len, id, len);
	return ident;
}

struct pa_ident *pa_ident_get(struct pa_ident *ident)
{
	ident->refs++;
	return ident;
}

void pa_ident_put(struct pa_ident *ident)
{
	if (ident == NULL)
		return;
	PA_REQUIRE(ident->refs > 0);
	if (--ident->refs == 0)
		free(ident);
}

const char *pa_ident_realm(const struct pa_ident *ident)
{
	return (const char *)ident->key + 2;
}

enum pa_ident_kind pa_ident_kind(const struct pa_ident *ident)
{
	return (enum pa_ident_kind)ident->key[0];
}

const uint8_t *pa_ident_id(const struct pa_ident *ident, size_t *ret_len)
{
	size_t skip = 3u + ident->key[1];

	*ret_len = ident->len - skip;
	return ident->key + skip;
}

const char *pa_ident_kind_name(enum pa_ident_kind kind)
{
	return kind == PA_IDENT_CLIENT_ID ? "client-id" : "hw-address";
}

int pa_ident_cmp(const struct pa_ident *a, const struct pa_ident *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->key, b->key, a->len);
}

bool pa_ident_eq(const struct pa_ident *a, const struct pa_ident *b)
{
	return a->len == b->len && memcmp(a->key, b->key, a->len) == 0;
}

uint64_t pa_ident_hash(const struct pa_ident *ident, const uint8_t seed[16])
{
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t hash;

	(void)crypto_shorthash(out, ident->key, ident->len, seed);
	memcpy(&hash, out, sizeof(hash));
	return hash;
}

const char *pa_ident_format(const struct pa_ident *ident, char dst[PA_IDENT_TEXTLEN])
{
	char hex[2 * SHOWN_MAX + 1];
	size_t len;
	const uint8_t *id = pa_ident_id(ident, &len);

	pa_hex_encode(id, len > SHOWN_MAX ? SHOWN_MAX : len, hex);
	(void)snprintf(dst, PA_IDENT_TEXTLEN, "%s:%s%s", pa_ident_kind_name(pa_ident_kind(ident)), hex,
		       len > SHOWN_MAX ? "..." : "");
	return dst;
}

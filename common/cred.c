/* SPDX-License-Identifier: MPL-2.0 */
#include "common/cred.h"

#include <sodium.h>
#include <string.h>

#include "common/err.h"

static const uint8_t zeros[PA_KEY_LEN];

int pa_cred_init(void)
{
	return sodium_init() < 0 ? PA_EIO : 0;
}

void pa_random(uint8_t *dst, size_t len)
{
	randombytes_buf(dst, len);
}

void pa_keypair_new(uint8_t secret_key[PA_KEY_LEN], uint8_t public_key[PA_KEY_LEN])
{
	pa_random(secret_key, PA_KEY_LEN);
	pa_keypair_public(secret_key, public_key);
}

void pa_keypair_public(const uint8_t secret_key[PA_KEY_LEN], uint8_t public_key[PA_KEY_LEN])
{
	(void)crypto_scalarmult_base(public_key, secret_key);
}

/* An incremental hash that takes its parts in order. */
struct hash {
	crypto_generichash_state st;
	size_t len;
};

static void hash_start(struct hash *h, const uint8_t *key, size_t out_len)
{
	h->len = out_len;
	PA_REQUIRE(crypto_generichash_init(&h->st, key, key != NULL ? PA_KEY_LEN : 0, out_len) == 0);
}

static void hash_add(struct hash *h, const void *p, size_t len)
{
	(void)crypto_generichash_update(&h->st, p, len);
}

static void hash_label(struct hash *h, const char *label)
{
	hash_add(h, label, strlen(label));
}

static void hash_end(struct hash *h, uint8_t *ret)
{
	PA_REQUIRE(crypto_generichash_final(&h->st, ret, h->len) == 0);
	sodium_memzero(h, sizeof(*h));
}

void pa_fingerprint(const uint8_t client_key[PA_KEY_LEN], uint8_t ret[PA_FINGERPRINT_LEN])
{
	struct hash h;

	hash_start(&h, NULL, PA_FINGERPRINT_LEN);
	hash_label(&h, "pubaddr client key 1");
	hash_add(&h, client_key, PA_KEY_LEN);
	hash_end(&h, ret);
}

void pa_derive_pool_key(const uint8_t master[PA_KEY_LEN], uint8_t key_id, uint16_t pool_id, uint8_t ret[PA_KEY_LEN])
{
	const uint8_t ids[3] = {key_id, (uint8_t)(pool_id >> 8), (uint8_t)pool_id};
	struct hash h;

	hash_start(&h, master, PA_KEY_LEN);
	hash_label(&h, "pubaddr pool 1");
	hash_add(&h, ids, sizeof(ids));
	hash_end(&h, ret);
}

void pa_derive_secret(const uint8_t pool_key[PA_KEY_LEN], const uint8_t claims[PA_CLAIMS_LEN], uint8_t ret[PA_KEY_LEN])
{
	struct hash h;

	hash_start(&h, pool_key, PA_KEY_LEN);
	hash_label(&h, "pubaddr grant 1");
	hash_add(&h, claims, PA_CLAIMS_LEN);
	hash_end(&h, ret);
}

static void derive_label(const uint8_t key[PA_KEY_LEN], const char *label, uint8_t ret[PA_KEY_LEN])
{
	struct hash h;

	hash_start(&h, key, PA_KEY_LEN);
	hash_label(&h, label);
	hash_end(&h, ret);
}

void pa_derive_k0(const uint8_t secret[PA_KEY_LEN], uint8_t ret[PA_KEY_LEN])
{
	derive_label(secret, "pubaddr hello 1", ret);
}

void pa_release_proof(const uint8_t secret[PA_KEY_LEN], uint64_t epoch, uint32_t dhcp_addr, uint8_t ret[PA_MAC_LEN])
{
	uint8_t key[PA_KEY_LEN], msg[12];

	for (unsigned i = 0; i < 8; i++)
		msg[i] = (uint8_t)(epoch >> (56 - 8 * i));
	for (unsigned i = 0; i < 4; i++)
		msg[8 + i] = (uint8_t)(dhcp_addr >> (24 - 8 * i));
	derive_label(secret, "pubaddr release 1", key);
	pa_mac(key, msg, sizeof(msg), ret);
	pa_wipe(key, sizeof(key));
}

void pa_claims_hash(const uint8_t claims[PA_CLAIMS_LEN], uint8_t ret[PA_KEY_LEN])
{
	struct hash h;

	hash_start(&h, NULL, PA_KEY_LEN);
	hash_add(&h, claims, PA_CLAIMS_LEN);
	hash_end(&h, ret);
}

void pa_derive_c2g(const uint8_t k1[PA_KEY_LEN], uint8_t ret[PA_KEY_LEN])
{
	derive_label(k1, "c2g", ret);
}

void pa_derive_g2c(const uint8_t k1[PA_KEY_LEN], uint8_t ret[PA_KEY_LEN])
{
	derive_label(k1, "g2c", ret);
}

int pa_agree(const uint8_t own_secret[PA_KEY_LEN], const uint8_t peer_public[PA_KEY_LEN], uint8_t ret[PA_KEY_LEN])
{
	/* libsodium refuses low-order points itself (RFC 7748 section 6.1). */
	return crypto_scalarmult(ret, own_secret, peer_public) != 0 ? PA_EAUTH : 0;
}

void pa_derive_session_agreed(const struct pa_session_input *in, const uint8_t shared[PA_KEY_LEN], struct pa_session_keys *ret)
{
	uint8_t bind[8];
	struct hash h;

	for (unsigned i = 0; i < 8; i++)
		bind[i] = (uint8_t)(in->bind >> (56 - 8 * i));
	hash_start(&h, in->secret, PA_KEY_LEN);
	hash_label(&h, "pubaddr session 1");
	hash_add(&h, shared, PA_KEY_LEN);
	hash_add(&h, in->client_key, PA_KEY_LEN);
	hash_add(&h, in->gateway_key, PA_KEY_LEN);
	hash_add(&h, in->claims, PA_CLAIMS_LEN);
	hash_add(&h, bind, sizeof(bind));
	hash_add(&h, in->nonce, PA_NONCE_LEN);
	hash_add(&h, in->cookie, PA_COOKIE_LEN);
	hash_add(&h, in->exporter != NULL ? in->exporter : zeros, PA_KEY_LEN);
	hash_end(&h, ret->k1);
	pa_derive_c2g(ret->k1, ret->c2g);
	pa_derive_g2c(ret->k1, ret->g2c);
}

int pa_derive_session(const struct pa_session_input *in, struct pa_session_keys *ret)
{
	uint8_t shared[PA_KEY_LEN];
	int rc = pa_agree(in->own_secret, in->peer_public, shared);

	if (rc == 0)
		pa_derive_session_agreed(in, shared, ret);
	pa_wipe(shared, sizeof(shared));
	return rc;
}

void pa_mac(const uint8_t key[PA_KEY_LEN], const uint8_t *msg, size_t len, uint8_t ret[PA_MAC_LEN])
{
	(void)crypto_generichash(ret, PA_MAC_LEN, msg, len, key, PA_KEY_LEN);
}

bool pa_mac_verify(const uint8_t key[PA_KEY_LEN], const uint8_t *msg, size_t len, const uint8_t mac[PA_MAC_LEN])
{
	uint8_t want[PA_MAC_LEN];
	bool ok;

	pa_mac(key, msg, len, want);
	ok = sodium_memcmp(want, mac, sizeof(want)) == 0;
	sodium_memzero(want, sizeof(want));
	return ok;
}

void pa_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}

bool pa_secret_eq(const uint8_t *a, const uint8_t *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

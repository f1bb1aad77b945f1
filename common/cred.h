/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CRED_H
#define PA_CRED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/grant.h"
#include "common/proto.h"

/*
 * The key schedule of pubaddr-protocol(7), KEYS AND SECRETS. H(k, m) is BLAKE2b-256 keyed with k, a MAC is BLAKE2b-128 keyed.
 * Call pa_cred_init once before anything else. Pure (but for the system's random numbers where said); any thread.
 */

/* Initialises libsodium. 0, or PA_EIO if the system has no random numbers. May be called again. */
int pa_cred_init(void);

/* Fills len bytes with random numbers from the system. */
void pa_random(uint8_t *dst, size_t len);
/* A new X25519 key pair from random numbers. */
void pa_keypair_new(uint8_t secret_key[PA_KEY_LEN], uint8_t public_key[PA_KEY_LEN]);
/* The public key that belongs to secret_key. */
void pa_keypair_public(const uint8_t secret_key[PA_KEY_LEN], uint8_t public_key[PA_KEY_LEN]);

/* BLAKE2b-128("pubaddr client key 1" | public key): what claims carry. */
void pa_fingerprint(const uint8_t client_key[PA_KEY_LEN], uint8_t ret[PA_FINGERPRINT_LEN]);

/* H(master, "pubaddr pool 1" | key id | pool id). */
void pa_derive_pool_key(const uint8_t master[PA_KEY_LEN], uint8_t key_id, uint16_t pool_id, uint8_t ret[PA_KEY_LEN]);
/* H(pool key, "pubaddr grant 1" | claims). */
void pa_derive_secret(const uint8_t pool_key[PA_KEY_LEN], const uint8_t claims[PA_CLAIMS_LEN], uint8_t ret[PA_KEY_LEN]);
/* K0 = H(secret, "pubaddr hello 1"). */
void pa_derive_k0(const uint8_t secret[PA_KEY_LEN], uint8_t ret[PA_KEY_LEN]);
/*
 * What proves, to who can derive the secret, that a grant is given back by who holds it: MAC(H(secret, "pubaddr release 1"),
 * epoch | DHCP address in host byte order), both big-endian.
 */
void pa_release_proof(const uint8_t secret[PA_KEY_LEN], uint64_t epoch, uint32_t dhcp_addr, uint8_t ret[PA_MAC_LEN]);
/* H(claims) as ACCEPT and the cookie carry it: unkeyed BLAKE2b-256. */
void pa_claims_hash(const uint8_t claims[PA_CLAIMS_LEN], uint8_t ret[PA_KEY_LEN]);

/* What both ends of a handshake know; all borrowed. */
struct pa_session_input {
	const uint8_t *secret;	     /* of the grant, 32 */
	const uint8_t *own_secret;   /* X25519 secret key of the end that computes, 32 */
	const uint8_t *peer_public;  /* of the other end, 32 */
	const uint8_t *client_key;   /* public, 32 */
	const uint8_t *gateway_key;  /* public, 32 */
	const uint8_t *claims;	     /* encoded, PA_CLAIMS_LEN */
	uint64_t bind;
	const uint8_t *nonce;	     /* client's, PA_NONCE_LEN */
	const uint8_t *cookie;	     /* PA_COOKIE_LEN */
	const uint8_t *exporter;     /* TLS exporter (RFC 9266), 32; NULL for UDP: zeros */
};

struct pa_session_keys {
	uint8_t k1[PA_KEY_LEN];
	uint8_t c2g[PA_KEY_LEN]; /* H(K1, "c2g"): what the client sends */
	uint8_t g2c[PA_KEY_LEN]; /* H(K1, "g2c"): what the gateway sends */
};

/* X25519, and nothing else. 0, or PA_EAUTH if it gives zero (a low-order public key); ret is not to be used then. */
int pa_agree(const uint8_t own_secret[PA_KEY_LEN], const uint8_t peer_public[PA_KEY_LEN], uint8_t ret[PA_KEY_LEN]);
/* K1 and the directions' keys. 0, or PA_EAUTH as pa_agree; *ret untouched then. */
int pa_derive_session(const struct pa_session_input *in, struct pa_session_keys *ret);
/* The same from what pa_agree gave; in->own_secret and in->peer_public are not looked at. */
void pa_derive_session_agreed(const struct pa_session_input *in, const uint8_t shared[PA_KEY_LEN], struct pa_session_keys *ret);

/* The key of one direction, H(K1, "c2g") or H(K1, "g2c"), for whoever keeps K1 alone. */
void pa_derive_c2g(const uint8_t k1[PA_KEY_LEN], uint8_t ret[PA_KEY_LEN]);
void pa_derive_g2c(const uint8_t k1[PA_KEY_LEN], uint8_t ret[PA_KEY_LEN]);

/* MAC over msg; verify compares in constant time. */
void pa_mac(const uint8_t key[PA_KEY_LEN], const uint8_t *msg, size_t len, uint8_t ret[PA_MAC_LEN]);
bool pa_mac_verify(const uint8_t key[PA_KEY_LEN], const uint8_t *msg, size_t len, const uint8_t mac[PA_MAC_LEN]);

/* Overwrites; the compiler cannot drop it. */
void pa_wipe(void *p, size_t len);
/* Constant-time comparison. */
bool pa_secret_eq(const uint8_t *a, const uint8_t *b, size_t len);

#endif

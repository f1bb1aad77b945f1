/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_PEER_H
#define PA_TEST_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cred.h"
#include "common/grant.h"
#include "common/keyfile.h"
#include "common/msg.h"

/*
 * A hand-driven end of the protocol for tests and fuzz targets: it makes any message with the right keys, and keeps no rule.
 * All keys are fixed, all random numbers come from a seed.
 */
#define PEER_UNIX 1800000000u /* seconds */
#define PEER_MAPPED "192.0.2.1:40000" /* where ALIVE says the client is */
#define PEER_POOL_ID 7
#define PEER_KEY_ID 3

struct peer_rng {
	uint64_t s;
};
uint64_t peer_next(struct peer_rng *r);
void peer_fill(struct peer_rng *r, uint8_t *dst, size_t len);

/* The keys of one broker, one gateway group and client number n (from 0). */
void peer_pool_key(uint8_t ret[PA_KEY_LEN]);
void peer_gateway_secret(uint8_t ret[PA_KEY_LEN]);
void peer_client_secret(unsigned n, uint8_t ret[PA_KEY_LEN]);
/* A keyring with the pool key and the gateway key; free with pa_keyring_free. */
struct pa_keyring *peer_keyring(void);

struct pa_endpoint peer_at(const char *text);
/* A grant of 203.0.113.host for client n; pinned: the claims carry the client key's fingerprint. */
void peer_grant(unsigned n, uint8_t host, uint64_t epoch, uint64_t expires, bool pinned, struct pa_grant *ret);
/* Makes the secret fit the claims again after they were changed. */
void peer_resign(struct pa_grant *g);

/* One handshake and its session as both ends know them. */
struct peer {
	struct pa_grant grant;
	uint8_t claims[PA_CLAIMS_LEN];
	uint8_t k0[PA_KEY_LEN];
	uint8_t client_secret[PA_KEY_LEN], client_key[PA_KEY_LEN];
	uint8_t nonce[PA_NONCE_LEN];
	uint64_t bind;
	uint8_t cookie[PA_COOKIE_LEN];
	struct pa_session_keys keys;
	uint8_t session[PA_SESSION_LEN];
	uint8_t token[PA_TOKEN_LEN];
	uint64_t seq, probe_seq;
};

void peer_init(struct peer *p, const struct pa_grant *g, unsigned n, uint64_t bind);
/* Session keys from what is known now. */
int peer_derive(struct peer *p);
/* Messages of the client, into buf of PA_CTL_MAX; return the length. */
size_t peer_hello(const struct peer *p, uint8_t *buf);
size_t peer_confirm(struct peer *p, uint8_t *buf); /* derives the keys */
size_t peer_keepalive(struct peer *p, uint8_t *buf); /* with the next sequence number */
size_t peer_reconfirm(struct peer *p, const uint8_t cookie[PA_COOKIE_LEN], uint8_t *buf); /* the same */
size_t peer_bye(const struct peer *p, uint8_t *buf);
/* PROBE and PROBED of length bytes into a buffer of that size; *extra gives answer_length, delay, from; of PROBED also the others. */
size_t peer_probe(struct peer *p, const struct pa_msg *extra, uint16_t length, uint8_t *buf); /* the next number of its own sequence */
size_t peer_probed(const struct peer *p, const struct pa_msg *extra, uint16_t length, uint8_t *buf);
/* Messages of the gateway. accept: *extra gives mapped, lifetime, mtu, keepalive, routed; the rest is filled in. */
size_t peer_challenge(const struct peer *p, uint8_t *buf);
size_t peer_accept(const struct peer *p, const struct pa_msg *extra, uint8_t *buf);
size_t peer_alive(const struct peer *p, uint64_t seq, uint64_t echo, uint8_t *buf);
size_t peer_unbound(const struct peer *p, unsigned reason, bool authentic, uint8_t *buf);
size_t peer_rechallenge(const uint8_t cookie[PA_COOKIE_LEN], uint8_t *buf);

#endif

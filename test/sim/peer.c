/* SPDX-License-Identifier: MPL-2.0 */
#include "test/sim/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

/* splitmix64 (Steele, Lea, Flood 2014): any seed is a good one. */
uint64_t peer_next(struct peer_rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void peer_fill(struct peer_rng *r, uint8_t *dst, size_t len)
{
	for (size_t i = 0; i < len; i++)
		dst[i] = (uint8_t)peer_next(r);
}

static void fill(uint8_t *dst, uint8_t first)
{
	for (unsigned i = 0; i < PA_KEY_LEN; i++)
		dst[i] = (uint8_t)(first + i);
}

void peer_pool_key(uint8_t ret[PA_KEY_LEN])
{
	uint8_t master[PA_KEY_LEN];

	fill(master, 0x00);
	pa_derive_pool_key(master, PEER_KEY_ID, PEER_POOL_ID, ret);
}

void peer_gateway_secret(uint8_t ret[PA_KEY_LEN])
{
	fill(ret, 0x40);
}

void peer_client_secret(unsigned n, uint8_t ret[PA_KEY_LEN])
{
	fill(ret, (uint8_t)(0x80 + n));
}

struct pa_keyring *peer_keyring(void)
{
	struct pa_key pool = {.kind = PA_KEY_POOL, .key_id = PEER_KEY_ID, .pool_id = PEER_POOL_ID};
	struct pa_key gateway = {.kind = PA_KEY_GATEWAY};
	char text[2 * PA_KEYFILE_LINELEN], err[PA_KEYFILE_ERRLEN];
	struct pa_keyring *ring = NULL;
	size_t n;

	PA_REQUIRE(pa_cred_init() == 0);
	peer_pool_key(pool.key);
	peer_gateway_secret(gateway.key);
	n = pa_key_format(&pool, text);
	n += pa_key_format(&gateway, text + n);
	PA_REQUIRE(pa_keyring_parse("test", text, n, &ring, err) == 0);
	return ring;
}

struct pa_endpoint peer_at(const char *text)
{
	struct pa_endpoint e;

	PA_REQUIRE(pa_endpoint_parse(text, PA_GUE_PORT, &e) == 0);
	return e;
}

void peer_resign(struct pa_grant *g)
{
	uint8_t claims[PA_CLAIMS_LEN], pool[PA_KEY_LEN];

	PA_REQUIRE(pa_claims_encode(&g->claims, claims) > 0);
	peer_pool_key(pool);
	pa_derive_secret(pool, claims, g->secret);
}

void peer_grant(unsigned n, uint8_t host, uint64_t epoch, uint64_t expires, bool pinned, struct pa_grant *ret)
{
	uint8_t secret[PA_KEY_LEN], key[PA_KEY_LEN];

	memset(ret, 0, sizeof(*ret));
	ret->claims.key_id = PEER_KEY_ID;
	ret->claims.pool_id = PEER_POOL_ID;
	ret->claims.prefix_len = 32;
	ret->claims.addr = pa_addr_from_ipv4(0xcb007100u | host);
	ret->claims.epoch = epoch;
	ret->claims.expires = expires;
	if (pinned) {
		peer_client_secret(n, secret);
		pa_keypair_public(secret, key);
		pa_fingerprint(key, ret->claims.fingerprint);
	}
	peer_gateway_secret(secret);
	pa_keypair_public(secret, ret->gateway_key);
	ret->lifetime = expires > PEER_UNIX ? (uint32_t)(expires - PEER_UNIX) : 1;
	ret->n_gateways = 1;
	ret->gateways[0] = peer_at("198.51.100.10:6080");
	ret->mtu = PA_MTU_DEFAULT;
	ret->keepalive = PA_KEEPALIVE_DEFAULT;
	peer_resign(ret);
}

void peer_init(struct peer *p, const struct pa_grant *g, unsigned n, uint64_t bind)
{
	const struct pa_grant copy = *g; /* may be p's own */

	memset(p, 0, sizeof(*p));
	p->grant = copy;
	PA_REQUIRE(pa_claims_encode(&copy.claims, p->claims) > 0);
	pa_derive_k0(copy.secret, p->k0);
	peer_client_secret(n, p->client_secret);
	pa_keypair_public(p->client_secret, p->client_key);
	memset(p->nonce, 0x5a, sizeof(p->nonce));
	p->bind = bind;
}

int peer_derive(struct peer *p)
{
	const struct pa_session_input in = {
		.secret = p->grant.secret,
		.own_secret = p->client_secret,
		.peer_public = p->grant.gateway_key,
		.client_key = p->client_key,
		.gateway_key = p->grant.gateway_key,
		.claims = p->claims,
		.bind = p->bind,
		.nonce = p->nonce,
		.cookie = p->cookie,
	};

	return pa_derive_session(&in, &p->keys);
}

static size_t encode(const struct pa_msg *m, const uint8_t *key, uint8_t *buf)
{
	int n = pa_msg_encode(m, key, buf, PA_CTL_MAX);

	PA_REQUIRE(n > 0);
	return (size_t)n;
}

static void fill_hello(const struct peer *p, struct pa_msg *m)
{
	memcpy(m->claims, p->claims, sizeof(m->claims));
	memcpy(m->client_key, p->client_key, sizeof(m->client_key));
	memcpy(m->nonce, p->nonce, sizeof(m->nonce));
	m->bind = p->bind;
}

size_t peer_hello(const struct peer *p, uint8_t *buf)
{
	struct pa_msg m = {.type = PA_MSG_HELLO};

	fill_hello(p, &m);
	return encode(&m, p->k0, buf);
}

size_t peer_confirm(struct peer *p, uint8_t *buf)
{
	struct pa_msg m = {.type = PA_MSG_CONFIRM};
	size_t n;

	(void)peer_derive(p);
	fill_hello(p, &m);
	memcpy(m.cookie, p->cookie, sizeof(m.cookie));
	n = encode(&m, p->k0, buf);
	PA_REQUIRE(pa_msg_seal(buf, n, p->keys.c2g) == 0);
	return n;
}

size_t peer_keepalive(struct peer *p, uint8_t *buf)
{
	struct pa_msg m = {.type = PA_MSG_KEEPALIVE, .seq = ++p->seq, .echo = 0x1122334455667788};

	memcpy(m.session, p->session, sizeof(m.session));
	memcpy(m.token, p->token, sizeof(m.token));
	return encode(&m, p->keys.c2g, buf);
}

size_t peer_reconfirm(struct peer *p, const uint8_t cookie[PA_COOKIE_LEN], uint8_t *buf)
{
	struct pa_msg m = {.type = PA_MSG_RECONFIRM, .seq = ++p->seq, .echo = 0x8877665544332211};

	memcpy(m.session, p->session, sizeof(m.session));
	memcpy(m.cookie, cookie, sizeof(m.cookie));
	return encode(&m, p->keys.c2g, buf);
}

size_t peer_bye(const struct peer *p, uint8_t *buf)
{
	struct pa_msg m = {.type = PA_MSG_BYE, .reason = PA_REASON_RELEASED};

	memcpy(m.session, p->session, sizeof(m.session));
	return encode(&m, p->keys.c2g, buf);
}

size_t peer_probe(struct peer *p, const struct pa_msg *extra, uint16_t length, uint8_t *buf)
{
	struct pa_msg m = *extra;
	int n;

	m.type = PA_MSG_PROBE;
	m.length = length;
	m.seq = ++p->probe_seq;
	memcpy(m.session, p->session, sizeof(m.session));
	memcpy(m.token, p->token, sizeof(m.token));
	n = pa_msg_encode(&m, p->keys.c2g, buf, length);
	PA_REQUIRE(n > 0);
	return (size_t)n;
}

size_t peer_probed(const struct peer *p, const struct pa_msg *extra, uint16_t length, uint8_t *buf)
{
	struct pa_msg m = *extra;
	int n;

	m.type = PA_MSG_PROBED;
	m.length = length;
	memcpy(m.session, p->session, sizeof(m.session));
	n = pa_msg_encode(&m, p->keys.g2c, buf, length);
	PA_REQUIRE(n > 0);
	return (size_t)n;
}

size_t peer_challenge(const struct peer *p, uint8_t *buf)
{
	struct pa_msg m = {.type = PA_MSG_CHALLENGE};

	memcpy(m.nonce, p->nonce, sizeof(m.nonce));
	memcpy(m.cookie, p->cookie, sizeof(m.cookie));
	return encode(&m, p->k0, buf);
}

size_t peer_accept(const struct peer *p, const struct pa_msg *extra, uint8_t *buf)
{
	struct pa_msg m = *extra;

	m.type = PA_MSG_ACCEPT;
	memcpy(m.nonce, p->nonce, sizeof(m.nonce));
	m.bind = p->bind;
	memcpy(m.session, p->session, sizeof(m.session));
	pa_claims_hash(p->claims, m.claims_hash);
	memcpy(m.token, p->token, sizeof(m.token));
	return encode(&m, p->keys.g2c, buf);
}

size_t peer_alive(const struct peer *p, uint64_t seq, uint64_t echo, uint8_t *buf)
{
	struct pa_msg m = {.type = PA_MSG_ALIVE, .seq = seq, .echo = echo, .mapped = peer_at(PEER_MAPPED)};

	memcpy(m.session, p->session, sizeof(m.session));
	memcpy(m.token, p->token, sizeof(m.token));
	return encode(&m, p->keys.g2c, buf);
}

size_t peer_unbound(const struct peer *p, unsigned reason, bool authentic, uint8_t *buf)
{
	struct pa_msg m = {.type = PA_MSG_UNBOUND, .reason = (uint8_t)reason};

	memcpy(m.session, p->session, sizeof(m.session));
	return encode(&m, authentic ? p->keys.g2c : NULL, buf);
}

size_t peer_rechallenge(const uint8_t cookie[PA_COOKIE_LEN], uint8_t *buf)
{
	struct pa_msg m = {.type = PA_MSG_RECHALLENGE};

	memcpy(m.cookie, cookie, sizeof(m.cookie));
	return encode(&m, NULL, buf);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* The DHCP option: what is encoded comes back, what is malformed is refused, and no byte of it is free to change. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/grant.h"
#include "test/unit/rnd.h"

TestSuite(grant, .timeout = 60);

static struct pa_addr random_addr(struct rnd *r)
{
	struct pa_addr a;

	if (rnd_below(r, 2) == 0)
		return pa_addr_from_ipv4((uint32_t)rnd_next(r));
	do
		rnd_fill(r, a.b, sizeof(a.b));
	while (pa_addr_is_ipv4(&a) || pa_addr_is_none(&a));
	return a;
}

static struct pa_endpoint random_endpoint(struct rnd *r)
{
	struct pa_endpoint e = {random_addr(r), (uint16_t)(1 + rnd_below(r, 65535))};

	return e;
}

static struct pa_claims random_claims(struct rnd *r)
{
	struct pa_claims c;

	memset(&c, 0, sizeof(c));
	c.key_id = (uint8_t)rnd_next(r);
	c.pool_id = (uint16_t)rnd_next(r);
	c.addr = random_addr(r);
	c.prefix_len = (uint8_t)rnd_below(r, pa_addr_is_ipv4(&c.addr) ? 33 : 129);
	c.outbound = (uint16_t)rnd_next(r);
	c.inbound = (uint16_t)rnd_next(r);
	c.epoch = rnd_next(r);
	c.expires = rnd_next(r);
	rnd_fill(r, c.fingerprint, sizeof(c.fingerprint));
	return c;
}

static struct pa_grant random_grant(struct rnd *r)
{
	struct pa_grant g;

	memset(&g, 0, sizeof(g));
	g.claims = random_claims(r);
	if (rnd_below(r, 8) == 0)
		return g; /* withdrawn */
	g.lifetime = 1 + (uint32_t)rnd_below(r, UINT32_MAX);
	rnd_fill(r, g.secret, sizeof(g.secret));
	rnd_fill(r, g.gateway_key, sizeof(g.gateway_key));
	g.n_gateways = 1 + rnd_below(r, PA_GATEWAYS_MAX);
	for (unsigned i = 0; i < g.n_gateways; i++)
		g.gateways[i] = random_endpoint(r);
	g.mtu = (uint16_t)(rnd_below(r, 2) * rnd_below(r, 65536));
	g.keepalive = (uint16_t)(rnd_below(r, 2) * rnd_below(r, 65536));
	if (rnd_below(r, 2) == 0)
		g.relay = random_endpoint(r);
	if (rnd_below(r, 2) == 0) {
		g.claims.inbound = PA_IN_LIST;
		g.n_inbound = (unsigned)rnd_below(r, 5);
	}
	for (unsigned i = 0; i < g.n_inbound; i++)
		g.inbound[i] = (struct pa_inrule){.proto = 6, .lo = (uint16_t)(1 + i), .hi = (uint16_t)(1 + rnd_below(r, 2) * 9999 + i)};
	return g;
}

static bool same(const struct pa_grant *a, const struct pa_grant *b)
{
	if (!pa_claims_eq(&a->claims, &b->claims) || a->lifetime != b->lifetime || a->n_gateways != b->n_gateways ||
	    a->mtu != b->mtu || a->keepalive != b->keepalive || !pa_endpoint_eq(&a->relay, &b->relay) ||
	    memcmp(a->secret, b->secret, PA_KEY_LEN) != 0 || memcmp(a->gateway_key, b->gateway_key, PA_KEY_LEN) != 0)
		return false;
	for (unsigned i = 0; i < a->n_gateways; i++)
		if (!pa_endpoint_eq(&a->gateways[i], &b->gateways[i]))
			return false;
	for (unsigned i = 0; i < a->n_inbound && i < b->n_inbound; i++)
		if (!pa_inrule_eq(&a->inbound[i], &b->inbound[i]))
			return false;
	return a->n_inbound == b->n_inbound;
}

/* A plain valid grant that the tests below bend. */
static struct pa_grant plain(void)
{
	struct rnd r = rnd_seed(4);
	struct pa_grant g;

	memset(&g, 0, sizeof(g));
	g.claims = random_claims(&r);
	g.claims.addr = pa_addr_from_ipv4(0xcb007107);
	g.claims.prefix_len = 32;
	g.lifetime = 3660;
	rnd_fill(&r, g.secret, sizeof(g.secret));
	rnd_fill(&r, g.gateway_key, sizeof(g.gateway_key));
	g.n_gateways = 1;
	g.gateways[0].addr = pa_addr_from_ipv4(0xc633640a);
	g.gateways[0].port = PA_GUE_PORT;
	return g;
}

static size_t encode(const struct pa_grant *g, uint8_t buf[PA_GRANT_MAX])
{
	int n = pa_grant_encode(g, buf, PA_GRANT_MAX);

	cr_assert_gt(n, 0, "%s", pa_strerror(n));
	return (size_t)n;
}

/* Appends a TLV of len equal bytes to the plain grant and decodes. */
static int with_tlv(uint8_t type, uint8_t len, uint8_t value, struct pa_grant *ret)
{
	struct pa_grant g = plain();
	uint8_t buf[PA_GRANT_MAX + 64];
	size_t n = encode(&g, buf);

	buf[n] = type;
	buf[n + 1] = len;
	memset(buf + n + 2, value, len);
	return pa_grant_decode(buf, n + 2 + len, ret);
}

Test(grant, inbound_list)
{
	struct pa_grant g = plain(), back;
	struct pa_inpolicy p;
	uint8_t buf[PA_GRANT_MAX];
	size_t n;

	g.claims.inbound = PA_IN_LIST;
	pa_grant_inpolicy(&g, &p);
	cr_assert(!pa_inpolicy_passes(&p, 6, 80, 1), "a list without entries lets nothing pass");
	g.n_inbound = 1;
	g.inbound[0] = (struct pa_inrule){.proto = 6, .lo = 80, .hi = 80};
	n = encode(&g, buf);
	cr_assert_eq(pa_grant_decode(buf, n, &back), 0);
	pa_grant_inpolicy(&back, &p);
	cr_assert(pa_inpolicy_passes(&p, 6, 80, 1) && !pa_inpolicy_passes(&p, 6, 81, 1));
	g.claims.inbound = PA_IN_CLOSED;
	cr_assert_eq(pa_grant_encode(&g, buf, sizeof(buf)), PA_EINVAL, "a list beside another policy");
	buf[3 + 9] = PA_IN_OPEN; /* the low octet of the claims' policy */
	cr_assert_eq(pa_grant_decode(buf, n, &back), PA_EFORMAT);
	back.claims.inbound = 3;
	pa_grant_inpolicy(&back, &p);
	cr_assert_eq(p.kind, PA_IN_CLOSED, "what is not known opens nothing");
	g.claims.inbound = PA_IN_LIST;
	for (g.n_inbound = 0; g.n_inbound < PA_GRANT_INRULES_MAX; g.n_inbound++)
		g.inbound[g.n_inbound] = (struct pa_inrule){.proto = 6, .lo = 80, .hi = 80, .src_len = 32, .src = 1};
	cr_assert_eq(pa_grant_encode(&g, buf, sizeof(buf)), PA_ETRUNC);
}

Test(grant, random_grants_come_back)
{
	struct rnd r = rnd_seed(5);
	unsigned encoded = 0;

	for (int i = 0; i < 20000; i++) {
		struct pa_grant g = random_grant(&r), back;
		uint8_t buf[PA_GRANT_MAX + 1];
		int n;

		memset(buf, 0xa5, sizeof(buf));
		n = pa_grant_encode(&g, buf, sizeof(buf));
		cr_assert_eq(buf[PA_GRANT_MAX], 0xa5, "longer than an option may be");
		if (n == PA_ETRUNC)
			continue; /* four IPv6 gateways do not fit */
		cr_assert_gt(n, 0);
		cr_assert_eq(pa_grant_decode(buf, (size_t)n, &back), 0);
		cr_assert(same(&g, &back));
		encoded++;
	}
	cr_assert_gt(encoded, 10000u);
}

Test(grant, claims_have_their_length_and_come_back)
{
	struct rnd r = rnd_seed(6);

	for (int i = 0; i < 20000; i++) {
		struct pa_claims c = random_claims(&r), back;
		uint8_t buf[PA_CLAIMS_LEN];

		cr_assert_eq(pa_claims_encode(&c, buf), PA_CLAIMS_LEN);
		cr_assert_eq(pa_claims_decode(buf, &back), 0);
		cr_assert(pa_claims_eq(&c, &back));
		cr_assert_eq(c.epoch, back.epoch);
		cr_assert_eq(c.expires, back.expires);
	}
}

Test(grant, claims_layout)
{
	/* The example of pubaddr-protocol(7), octet by octet. */
	static const uint8_t want[PA_CLAIMS_LEN] = {
		1,    3,    0x12, 0x34, 1,    32,   0,	  1,	0,    2,			      /* to inbound policy */
		0,    0,    0,	  0,	0,    0,    0,	  0,	0,    0,    0xff, 0xff, 203,  0,    113, 7, /* address */
		0,    0,    0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b,					      /* epoch */
		0,    0,    0,	  0,	0x6b, 0x49, 0xd2, 0,					      /* expires */
		0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
	};
	struct pa_claims c = {.key_id = 3, .pool_id = 0x1234, .prefix_len = 32, .outbound = PA_OUT_NATIVE,
			      .inbound = PA_IN_LIST, .epoch = 1700000000123, .expires = 1800000000};
	uint8_t buf[PA_CLAIMS_LEN];

	c.addr = pa_addr_from_ipv4(0xcb007107);
	for (unsigned i = 0; i < PA_FINGERPRINT_LEN; i++)
		c.fingerprint[i] = (uint8_t)(0xa0 + i);
	cr_assert_eq(pa_claims_encode(&c, buf), PA_CLAIMS_LEN);
	cr_assert_eq(memcmp(buf, want, sizeof(want)), 0);
}

Test(grant, claims_that_cannot_be)
{
	struct pa_claims c = plain().claims, back = c;
	uint8_t buf[PA_CLAIMS_LEN];

	c.prefix_len = 33;
	cr_assert_eq(pa_claims_encode(&c, buf), PA_EINVAL);
	c.prefix_len = 32;
	memset(&c.addr, 0, sizeof(c.addr));
	cr_assert_eq(pa_claims_encode(&c, buf), PA_EINVAL);
	c = plain().claims;
	cr_assert_eq(pa_claims_encode(&c, buf), PA_CLAIMS_LEN);
	buf[0] = 2;
	cr_assert_eq(pa_claims_decode(buf, &back), PA_EVERSION);
	buf[0] = PA_CLAIMS_VERSION;
	buf[4] = PA_FAMILY_IPV6;
	cr_assert_eq(pa_claims_decode(buf, &back), PA_EFORMAT);
	buf[4] = 3;
	cr_assert_eq(pa_claims_decode(buf, &back), PA_EFORMAT);
	buf[4] = PA_FAMILY_IPV4;
	buf[5] = 33;
	cr_assert_eq(pa_claims_decode(buf, &back), PA_EFORMAT);
	buf[5] = 32;
	memset(buf + 10, 0, 16);
	buf[4] = PA_FAMILY_IPV6;
	cr_assert_eq(pa_claims_decode(buf, &back), PA_EFORMAT, "the address none");
	cr_assert(pa_claims_eq(&c, &back), "untouched on failure");
}

Test(grant, encoder_refuses_what_the_decoder_would)
{
	struct pa_grant g = plain();
	uint8_t buf[PA_GRANT_MAX];

	g.n_gateways = PA_GATEWAYS_MAX + 1;
	cr_assert_eq(pa_grant_encode(&g, buf, sizeof(buf)), PA_EINVAL);
	g.n_gateways = 0;
	cr_assert_eq(pa_grant_encode(&g, buf, sizeof(buf)), PA_EINVAL);
	g = plain();
	g.gateways[0].port = 0;
	cr_assert_eq(pa_grant_encode(&g, buf, sizeof(buf)), PA_EINVAL);
	g = plain();
	memset(&g.gateways[0].addr, 0, sizeof(g.gateways[0].addr));
	cr_assert_eq(pa_grant_encode(&g, buf, sizeof(buf)), PA_EINVAL);
	g = plain();
	g.relay.addr = g.gateways[0].addr;
	cr_assert_eq(pa_grant_encode(&g, buf, sizeof(buf)), PA_EINVAL, "a relay without a port");
	g = plain();
	g.claims.prefix_len = 64;
	cr_assert_eq(pa_grant_encode(&g, buf, sizeof(buf)), PA_EINVAL);
}

Test(grant, every_smaller_buffer_is_too_small)
{
	struct pa_grant g = plain();
	uint8_t buf[PA_GRANT_MAX];
	size_t n = encode(&g, buf);

	for (size_t cap = 0; cap < n; cap++)
		cr_assert_eq(pa_grant_encode(&g, buf, cap), PA_ETRUNC, "%zu", cap);
	cr_assert_eq(pa_grant_encode(&g, buf, n), (int)n);
}

Test(grant, every_prefix_is_refused)
{
	struct pa_grant g = plain(), back;
	uint8_t buf[PA_GRANT_MAX];
	size_t n = encode(&g, buf);

	for (size_t len = 0; len < n; len++) {
		back = g;
		cr_assert_lt(pa_grant_decode(buf, len, &back), 0, "%zu", len);
		cr_assert(same(&g, &back), "untouched on failure");
	}
}

Test(grant, a_withdrawal_carries_claims_only)
{
	struct pa_grant g = plain(), back;
	uint8_t buf[PA_GRANT_MAX];

	g.lifetime = 0;
	cr_assert_eq(pa_grant_decode(buf, encode(&g, buf), &back), 0);
	cr_assert(pa_claims_eq(&g.claims, &back.claims));
	cr_assert(back.lifetime == 0 && back.n_gateways == 0);
	for (size_t i = 0; i < sizeof(back.secret); i++)
		cr_assert_eq(back.secret[i], 0);
}

Test(grant, first_byte_is_not_printable)
{
	struct pa_grant g = plain(), back;
	uint8_t buf[PA_GRANT_MAX + 1] = {0};
	size_t n = encode(&g, buf);

	cr_assert_lt(buf[0], 0x20);
	buf[0] = PA_GRANT_FORMAT + 1;
	cr_assert_eq(pa_grant_decode(buf, n, &back), PA_EVERSION);
	buf[0] = PA_GRANT_FORMAT;
	cr_assert_eq(pa_grant_decode(buf, PA_GRANT_MAX + 1, &back), PA_ETRUNC);
	cr_assert_eq(pa_grant_decode(buf, 0, &back), PA_ETRUNC);
}

Test(grant, unknown_tlvs_are_skipped)
{
	struct pa_grant want = plain(), got;

	for (unsigned type = PA_TLV_INBOUND + 1; type < 256; type++) {
		cr_assert_eq(with_tlv((uint8_t)type, 7, 0xff, &got), 0, "%u", type);
		cr_assert(same(&want, &got));
	}
	cr_assert_eq(with_tlv(0, 0, 0, &got), 0);
}

Test(grant, unknown_tlvs_may_repeat)
{
	struct pa_grant g = plain(), back;
	uint8_t buf[PA_GRANT_MAX];
	size_t n = encode(&g, buf);

	for (int i = 0; i < 2; i++) {
		buf[n++] = 20;
		buf[n++] = 1;
		buf[n++] = (uint8_t)i;
	}
	cr_assert_eq(pa_grant_decode(buf, n, &back), 0, "a later version may define one that repeats");
}

Test(grant, known_tlvs_stand_once)
{
	static const struct {
		uint8_t type, len, times; /* that the TLV may be added to a withdrawal, which has claims and lifetime */
	} once[] = {{PA_TLV_CLAIMS, PA_CLAIMS_LEN, 0}, {PA_TLV_LIFETIME, 4, 0}, {PA_TLV_SECRET, 32, 1},
		    {PA_TLV_GATEWAY_KEY, 32, 1},       {PA_TLV_MTU, 2, 1},	{PA_TLV_KEEPALIVE, 2, 1},
		    {PA_TLV_RELAY, 6, 1}};
	struct pa_grant g = plain(), back;
	uint8_t buf[PA_GRANT_MAX];

	g.lifetime = 0;
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
		size_t n = encode(&g, buf);

		for (unsigned times = 0; times <= 1u + once[i].times; times++) {
			cr_assert_eq(pa_grant_decode(buf, n, &back), times <= once[i].times ? 0 : PA_EFORMAT, "%u %u",
				     once[i].type, times);
			buf[n] = once[i].type;
			buf[n + 1] = once[i].len;
			memcpy(buf + n + 2, buf + 3, once[i].len); /* a copy of the claims serves as bytes */
			n += 2u + once[i].len;
		}
	}
}

Test(grant, wrong_lengths_are_refused)
{
	struct pa_grant g;

	for (unsigned len = 0; len < 40; len++) {
		cr_assert_eq(with_tlv(PA_TLV_MTU, (uint8_t)len, 1, &g), len == 2 ? 0 : PA_EFORMAT);
		cr_assert_eq(with_tlv(PA_TLV_KEEPALIVE, (uint8_t)len, 1, &g), len == 2 ? 0 : PA_EFORMAT);
		cr_assert_eq(with_tlv(PA_TLV_GATEWAY, (uint8_t)len, 1, &g), len == 6 || len == 18 ? 0 : PA_EFORMAT);
		cr_assert_eq(with_tlv(PA_TLV_RELAY, (uint8_t)len, 1, &g), len == 6 || len == 18 ? 0 : PA_EFORMAT);
	}
	cr_assert_eq(with_tlv(PA_TLV_MTU, 2, 0, &g), PA_EFORMAT, "an MTU of zero");
	cr_assert_eq(with_tlv(PA_TLV_KEEPALIVE, 2, 0, &g), PA_EFORMAT, "a keepalive of zero");
	cr_assert_eq(with_tlv(PA_TLV_GATEWAY, 18, 0, &g), PA_EFORMAT, "the gateway none");
}

Test(grant, a_port_range_is_refused)
{
	struct pa_grant g;

	cr_assert_eq(with_tlv(PA_TLV_PORT_RANGE, 4, 0, &g), 0);
	cr_assert_eq(with_tlv(PA_TLV_PORT_RANGE, 4, 1, &g), PA_EFORMAT);
	cr_assert_eq(with_tlv(PA_TLV_PORT_RANGE, 3, 0, &g), PA_EFORMAT);
}

Test(grant, at_most_four_gateways)
{
	struct pa_grant g = plain(), back;
	uint8_t buf[PA_GRANT_MAX];
	size_t n;

	g.n_gateways = PA_GATEWAYS_MAX;
	for (unsigned i = 1; i < PA_GATEWAYS_MAX; i++)
		g.gateways[i] = g.gateways[0];
	n = encode(&g, buf);
	cr_assert_eq(pa_grant_decode(buf, n, &back), 0);
	memcpy(buf + n, (const uint8_t[]){PA_TLV_GATEWAY, 6, 1, 2, 3, 4, 5, 6}, 8);
	cr_assert_eq(pa_grant_decode(buf, n + 8, &back), PA_EFORMAT);
}

Test(grant, one_value_one_encoding)
{
	/* An IPv4 gateway in the long form would be a second encoding of the same value. */
	struct pa_grant g = plain(), back;
	uint8_t buf[PA_GRANT_MAX];
	size_t n = encode(&g, buf);

	buf[n++] = PA_TLV_GATEWAY;
	buf[n++] = 18;
	memcpy(buf + n, g.gateways[0].addr.b, 16);
	n += 16;
	buf[n++] = 0;
	buf[n++] = 80;
	cr_assert_eq(pa_grant_decode(buf, n, &back), PA_EFORMAT);
}

/*
 * Whoever changes a grant on its way: each changed byte is refused, or shows in the value, or was the value of a TLV that
 * nobody reads; and where it changes the claims, the secret of the grant is no longer theirs.
 */
Test(grant, every_altered_byte_shows)
{
	struct pa_grant g = plain(), back;
	uint8_t buf[PA_GRANT_MAX], pool_key[PA_KEY_LEN] = {7}, claims[PA_CLAIMS_LEN], secret[PA_KEY_LEN];
	size_t n;

	cr_assert_eq(pa_cred_init(), 0);
	(void)pa_claims_encode(&g.claims, claims);
	pa_derive_secret(pool_key, claims, g.secret);
	n = encode(&g, buf);
	for (size_t i = 0; i < n; i++) {
		for (unsigned delta = 1; delta < 256; delta++) {
			buf[i] ^= (uint8_t)delta;
			if (pa_grant_decode(buf, n, &back) == 0) {
				cr_assert_not(same(&g, &back), "byte %zu delta %u", i, delta);
				(void)pa_claims_encode(&back.claims, claims);
				pa_derive_secret(pool_key, claims, secret);
				if (!pa_claims_eq(&g.claims, &back.claims) ||
				    memcmp(g.secret, back.secret, PA_KEY_LEN) != 0)
					cr_assert_not(pa_secret_eq(secret, back.secret, PA_KEY_LEN));
			}
			buf[i] ^= (uint8_t)delta;
		}
	}
}

Test(grant, wipe_leaves_nothing)
{
	static const struct pa_grant zero;
	struct pa_grant g = plain();

	pa_grant_wipe(&g);
	cr_assert_eq(memcmp(&g, &zero, sizeof(g)), 0);
}

Test(grant, names)
{
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(pa_outbound_parse(pa_outbound_name(i)), (int)i);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(pa_inbound_parse(pa_inbound_name(i)), (int)i);
	cr_assert_eq(pa_outbound_parse("Tunnel"), PA_EINVAL);
	cr_assert_eq(pa_inbound_parse(""), PA_EINVAL);
	cr_assert_str_eq(pa_outbound_name(4), "unknown");
	cr_assert_str_eq(pa_inbound_name(3), "unknown");
}

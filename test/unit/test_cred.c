/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The key schedule against vectors that were computed by another implementation: Python's hashlib.blake2b(m, key=k,
 * digest_size=n) and the Montgomery ladder of RFC 7748 section 5 written out in Python, which gave the RFC's own vectors
 * (5.2, and 6.1 below). Inputs: master 00..1f, key id 3, pool 0x1234, the claims of test_grant.c, client secret 40..5f,
 * gateway secret 60..7f, bind 1700000000999, nonce 10..1f, cookie 20..2b.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/hex.h"

static const char claims_hex[] = "0103123401200001000200000000000000000000ffffcb0071070000018bcfe5687b000000006b49d200"
				 "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf";
static const char pool_hex[] = "06d2c1c3d4c767d938e872b8502402ce1abd4c6e3233f36e489d1b667b17c2b2";
static const char secret_hex[] = "f1f8e93c0ea09ff629a60b0cfe86075dacff98436dbfcc0b0c2bd38523f06de7";
static const char k0_hex[] = "66bd942fe6ce56acf69cd8ff4dc9d8494dc3c9ece74355d1bf724716a59f217e";
static const char client_hex[] = "79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a";
static const char gateway_hex[] = "675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f";
static const char k1_hex[] = "a1a4fbb87484d73ef140fa73611bcea7d806ee929906a8533e5820dd35227179";
static const char c2g_hex[] = "9b238b54b57a34ae3cec2535acbd9e622681d08a02a8dfe646c5064a2de667ff";
static const char g2c_hex[] = "d08f9c04bf8b24fa9640b084b6bd877de11c17faf271befec4f7dac9c379e851";
/* RFC 7748 section 6.1: Bob's keys and Alice's public key. */
static const char bob_secret[] = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
static const char bob_public[] = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
static const char alice_public[] = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";

static void setup(void)
{
	cr_assert_eq(pa_cred_init(), 0);
	cr_assert_eq(pa_cred_init(), 0, "may be called again");
}

TestSuite(cred, .init = setup, .timeout = 20);

static void from_hex(const char *text, uint8_t *dst, size_t len)
{
	cr_assert_eq(pa_hex_decode(text, dst, len), (int)len);
}

static void expect(const uint8_t *got, size_t len, const char *want)
{
	char text[2 * PA_KEY_LEN + 1];

	cr_assert_str_eq(pa_hex_encode(got, len, text), want);
}

static void count_up(uint8_t *dst, size_t len, uint8_t from)
{
	for (size_t i = 0; i < len; i++)
		dst[i] = (uint8_t)(from + i);
}

struct fixture {
	uint8_t claims[PA_CLAIMS_LEN], secret[PA_KEY_LEN], client_secret[PA_KEY_LEN], gateway_secret[PA_KEY_LEN];
	uint8_t client[PA_KEY_LEN], gateway[PA_KEY_LEN], nonce[PA_NONCE_LEN], cookie[PA_COOKIE_LEN], exporter[PA_KEY_LEN];
	struct pa_session_input at_client, at_gateway;
};

/* f outlives what is inside: the inputs point into it. */
static void fixture_init(struct fixture *f)
{
	from_hex(claims_hex, f->claims, sizeof(f->claims));
	from_hex(secret_hex, f->secret, sizeof(f->secret));
	count_up(f->client_secret, PA_KEY_LEN, 0x40);
	count_up(f->gateway_secret, PA_KEY_LEN, 0x60);
	pa_keypair_public(f->client_secret, f->client);
	pa_keypair_public(f->gateway_secret, f->gateway);
	count_up(f->nonce, sizeof(f->nonce), 0x10);
	count_up(f->cookie, sizeof(f->cookie), 0x20);
	memset(f->exporter, 0x55, sizeof(f->exporter));
	f->at_client = (struct pa_session_input){.secret = f->secret,
						 .own_secret = f->client_secret,
						 .peer_public = f->gateway,
						 .client_key = f->client,
						 .gateway_key = f->gateway,
						 .claims = f->claims,
						 .bind = 1700000000999,
						 .nonce = f->nonce,
						 .cookie = f->cookie};
	f->at_gateway = f->at_client;
	f->at_gateway.own_secret = f->gateway_secret;
	f->at_gateway.peer_public = f->client;
}

Test(cred, pool_key_secret_and_k0)
{
	uint8_t master[PA_KEY_LEN], claims[PA_CLAIMS_LEN], pool[PA_KEY_LEN], secret[PA_KEY_LEN], k0[PA_KEY_LEN];

	count_up(master, sizeof(master), 0);
	from_hex(claims_hex, claims, sizeof(claims));
	pa_derive_pool_key(master, 3, 0x1234, pool);
	expect(pool, sizeof(pool), pool_hex);
	pa_derive_secret(pool, claims, secret);
	expect(secret, sizeof(secret), secret_hex);
	pa_derive_k0(secret, k0);
	expect(k0, sizeof(k0), k0_hex);
}

Test(cred, fingerprint_claims_hash_and_mac)
{
	uint8_t key[PA_KEY_LEN], claims[PA_CLAIMS_LEN], out[PA_KEY_LEN];

	from_hex(client_hex, key, sizeof(key));
	pa_fingerprint(key, out);
	expect(out, PA_FINGERPRINT_LEN, "838ff39e80d610ad86cd7cd87b650a85");
	from_hex(claims_hex, claims, sizeof(claims));
	pa_claims_hash(claims, out);
	expect(out, PA_KEY_LEN, "5161690748d26cdc9e54f221de640c0148a9a7a2b92c55a90d0cc179bcd70c6f");
	from_hex(k0_hex, key, sizeof(key));
	pa_mac(key, (const uint8_t *)"pubaddr", 7, out);
	expect(out, PA_MAC_LEN, "e281a70cfd6bf7e8e3b37e264344a484");
	pa_mac(key, (const uint8_t *)"", 0, out);
	expect(out, PA_MAC_LEN, "7ad09a8ad42ee7e269973e02ba15c8e9");
}

Test(cred, x25519_of_rfc_7748)
{
	uint8_t secret[PA_KEY_LEN] = {9}, public[PA_KEY_LEN];

	pa_keypair_public(secret, public); /* section 5.2, after one iteration */
	expect(public, PA_KEY_LEN, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
	from_hex(bob_secret, secret, sizeof(secret));
	pa_keypair_public(secret, public); /* section 6.1 */
	expect(public, PA_KEY_LEN, bob_public);
}

Test(cred, session_over_the_shared_secret_of_rfc_7748)
{
	uint8_t own[PA_KEY_LEN], alice[PA_KEY_LEN], bob[PA_KEY_LEN];
	struct pa_session_keys keys;
	struct fixture f;

	fixture_init(&f);
	from_hex(bob_secret, own, sizeof(own));
	from_hex(bob_public, bob, sizeof(bob));
	from_hex(alice_public, alice, sizeof(alice));
	f.at_client.own_secret = own;
	f.at_client.peer_public = f.at_client.gateway_key = alice;
	f.at_client.client_key = bob;
	cr_assert_eq(pa_derive_session(&f.at_client, &keys), 0);
	expect(keys.k1, PA_KEY_LEN, "431e3a88d15d9bdc070d082dc5323925048cd8c58296a7ffc0c3b77af2e87f81");
}

Test(cred, session_keys_are_the_same_at_both_ends)
{
	struct pa_session_keys client, gateway;
	struct fixture f;

	fixture_init(&f);
	expect(f.client, PA_KEY_LEN, client_hex);
	expect(f.gateway, PA_KEY_LEN, gateway_hex);
	cr_assert_eq(pa_derive_session(&f.at_client, &client), 0);
	cr_assert_eq(pa_derive_session(&f.at_gateway, &gateway), 0);
	expect(client.k1, PA_KEY_LEN, k1_hex);
	expect(client.c2g, PA_KEY_LEN, c2g_hex);
	expect(client.g2c, PA_KEY_LEN, g2c_hex);
	cr_assert_eq(memcmp(&client, &gateway, sizeof(client)), 0);
	f.at_client.exporter = f.exporter;
	cr_assert_eq(pa_derive_session(&f.at_client, &client), 0);
	expect(client.k1, PA_KEY_LEN, "91094c5079b809ba47de821f442ed003ef0a6ccd653fb2cbc331eb558422526f");
}

static void must_differ(const struct pa_session_input *in, const char *what)
{
	struct pa_session_keys keys;
	char text[2 * PA_KEY_LEN + 1];

	cr_assert_eq(pa_derive_session(in, &keys), 0);
	cr_assert_str_neq(pa_hex_encode(keys.k1, PA_KEY_LEN, text), k1_hex, "%s is not in K1", what);
}

Test(cred, every_input_is_in_k1)
{
	struct fixture f;
	struct {
		uint8_t *bytes;
		size_t len;
		const char *what;
	} inputs[] = {
		{f.secret, PA_KEY_LEN, "secret"},	  {f.client, PA_KEY_LEN, "client key"},
		{f.gateway, PA_KEY_LEN, "gateway key"},	  {f.claims, PA_CLAIMS_LEN, "claims"},
		{f.nonce, PA_NONCE_LEN, "nonce"},	  {f.cookie, PA_COOKIE_LEN, "cookie"},
		{f.client_secret, PA_KEY_LEN, "shared"},
	};

	fixture_init(&f);
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		inputs[i].bytes[inputs[i].len / 2] ^= 0x10;
		must_differ(&f.at_client, inputs[i].what);
		inputs[i].bytes[inputs[i].len / 2] ^= 0x10;
	}
	f.at_client.bind++;
	must_differ(&f.at_client, "bind");
}

Test(cred, low_order_points_are_refused)
{
	/* All points whose X25519 is zero: 0, 1, the two of order 8, and p - 1, p, p + 1. */
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct pa_session_keys keys, untouched;
	uint8_t point[PA_KEY_LEN];
	struct fixture f;

	fixture_init(&f);
	f.at_gateway.peer_public = f.at_gateway.client_key = point;
	memset(&keys, 0xa5, sizeof(keys));
	untouched = keys;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		from_hex(points[i], point, sizeof(point));
		cr_assert_eq(pa_derive_session(&f.at_gateway, &keys), PA_EAUTH, "%s", points[i]);
		point[31] |= 0x80; /* the top bit does not count */
		cr_assert_eq(pa_derive_session(&f.at_gateway, &keys), PA_EAUTH, "%s", points[i]);
	}
	cr_assert_eq(memcmp(&keys, &untouched, sizeof(keys)), 0, "untouched on failure");
}

Test(cred, mac_refuses_every_altered_bit)
{
	uint8_t key[PA_KEY_LEN] = {1}, msg[40], mac[PA_MAC_LEN];

	count_up(msg, sizeof(msg), 0);
	pa_mac(key, msg, sizeof(msg), mac);
	cr_assert(pa_mac_verify(key, msg, sizeof(msg), mac));
	cr_assert_not(pa_mac_verify(key, msg, sizeof(msg) - 1, mac));
	for (unsigned bit = 0; bit < 8 * sizeof(msg); bit++) {
		msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_assert_not(pa_mac_verify(key, msg, sizeof(msg), mac));
		msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (unsigned bit = 0; bit < 8 * sizeof(mac); bit++) {
		mac[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_assert_not(pa_mac_verify(key, msg, sizeof(msg), mac));
		mac[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (unsigned bit = 0; bit < 8 * sizeof(key); bit++) {
		key[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_assert_not(pa_mac_verify(key, msg, sizeof(msg), mac));
		key[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

Test(cred, new_keys_are_new_and_belong_together)
{
	uint8_t s1[PA_KEY_LEN], p1[PA_KEY_LEN], s2[PA_KEY_LEN], p2[PA_KEY_LEN], again[PA_KEY_LEN];

	pa_keypair_new(s1, p1);
	pa_keypair_new(s2, p2);
	cr_assert_not(pa_secret_eq(s1, s2, PA_KEY_LEN));
	cr_assert_not(pa_secret_eq(p1, p2, PA_KEY_LEN));
	pa_keypair_public(s1, again);
	cr_assert(pa_secret_eq(p1, again, PA_KEY_LEN));
}

Test(cred, wipe_and_compare)
{
	uint8_t a[3] = {1, 2, 3}, b[3] = {1, 2, 3};

	cr_assert(pa_secret_eq(a, b, 3));
	b[2] = 4;
	cr_assert_not(pa_secret_eq(a, b, 3));
	cr_assert(pa_secret_eq(a, b, 2));
	pa_wipe(a, sizeof(a));
	cr_assert(a[0] == 0 && a[1] == 0 && a[2] == 0);
}

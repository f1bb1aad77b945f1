/* SPDX-License-Identifier: MPL-2.0 */
/* The session relay's frames and its first two messages: what is encoded comes back, what is malformed is refused. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/relay_auth.h"
#include "test/unit/rnd.h"

TestSuite(relay, .timeout = 60);

static struct pa_endpoint endpoint(uint32_t addr, uint16_t port)
{
	return (struct pa_endpoint){pa_addr_from_ipv4(addr), port};
}

static void round_trip(uint8_t type, const struct pa_relay_body *b)
{
	uint8_t buf[PA_RELAY_FIELDS_MAX + 1], again[PA_RELAY_FIELDS_MAX];
	struct pa_relay_body back;
	int len = pa_relay_encode(type, b, buf, PA_RELAY_FIELDS_MAX);

	cr_assert_gt(len, 0, "%s: %d", pa_relay_type_name(type), len);
	cr_assert_eq(pa_relay_decode(type, buf, (size_t)len, &back), 0, "%s", pa_relay_type_name(type));
	cr_assert_eq(pa_relay_encode(type, &back, again, sizeof(again)), len);
	cr_assert_arr_eq(buf, again, (size_t)len, "%s comes back different", pa_relay_type_name(type));
	cr_assert_lt(pa_relay_decode(type, buf, (size_t)len - 1, &back), type == PA_RELAY_RESOLVE ? 1 : 0);
	for (int cap = 0; cap < len; cap++)
		cr_assert_eq(pa_relay_encode(type, b, again, (size_t)cap), PA_ETRUNC);
}

Test(relay, bodies_come_back)
{
	struct pa_endpoint p = endpoint(0xcb007107, 40000), peer = endpoint(0xc6336432, 5060);
	struct pa_relay_body resolved = {.n_addrs = 2, .addrs = {p.addr, peer.addr}};

	round_trip(PA_RELAY_OPEN, &(struct pa_relay_body){.kind = PA_RELAY_TCP, .remote = peer});
	round_trip(PA_RELAY_OPEN, &(struct pa_relay_body){.kind = PA_RELAY_UDP, .local.port = 5060});
	round_trip(PA_RELAY_OPEN, &(struct pa_relay_body){.kind = PA_RELAY_TCP_LISTEN, .local.port = 80});
	round_trip(PA_RELAY_RESULT, &(struct pa_relay_body){.local = p, .remote = peer});
	round_trip(PA_RELAY_RESULT, &(struct pa_relay_body){.error = PA_RELAY_E_REFUSED});
	round_trip(PA_RELAY_INCOMING, &(struct pa_relay_body){.listener = 7, .local = p, .remote = peer});
	round_trip(PA_RELAY_WINDOW_ADD, &(struct pa_relay_body){.window = PA_RELAY_WINDOW_MAX});
	round_trip(PA_RELAY_RESET, &(struct pa_relay_body){.error = PA_RELAY_E_MAX});
	round_trip(PA_RELAY_BYE, &(struct pa_relay_body){.error = PA_RELAY_E_SHUTDOWN});
	round_trip(PA_RELAY_RESOLVE, &(struct pa_relay_body){.family = 4, .name = "sip.example.net"});
	round_trip(PA_RELAY_RESOLVED, &resolved);
	round_trip(PA_RELAY_UNDELIVERED, &(struct pa_relay_body){.error = PA_RELAY_E_REFUSED, .remote = peer});
	round_trip(PA_RELAY_ACK, &(struct pa_relay_body){.count = UINT64_MAX});
	round_trip(PA_RELAY_PING, &(struct pa_relay_body){.count = 1});
}

Test(relay, values_outside_their_range_are_refused)
{
	struct pa_endpoint peer = endpoint(0xc6336432, 5060);
	uint8_t buf[PA_RELAY_FIELDS_MAX];

#define REFUSED(type, ...)                                                                                             \
	cr_assert_eq(pa_relay_encode(type, &(struct pa_relay_body){__VA_ARGS__}, buf, sizeof(buf)), PA_EINVAL)
	REFUSED(PA_RELAY_OPEN, .kind = PA_RELAY_TCP);
	REFUSED(PA_RELAY_OPEN, .kind = PA_RELAY_UDP, .remote = peer);
	REFUSED(PA_RELAY_OPEN, .kind = 9, .remote = peer);
	REFUSED(PA_RELAY_RESET, .error = PA_RELAY_E_OK);
	REFUSED(PA_RELAY_RESULT, .error = PA_RELAY_E_MAX + 1);
	REFUSED(PA_RELAY_WINDOW_ADD, .window = 0);
	REFUSED(PA_RELAY_WINDOW_ADD, .window = PA_RELAY_WINDOW_MAX + 1);
	REFUSED(PA_RELAY_RESOLVE, .family = 5, .name = "a");
	REFUSED(PA_RELAY_RESOLVE, .name = "");
	REFUSED(PA_RELAY_RESOLVE, .name = "a b");
	REFUSED(PA_RELAY_RESOLVED, .n_addrs = PA_RELAY_ADDRS_MAX + 1);
	REFUSED(PA_RELAY_INCOMING, .listener = 0, .remote = peer);
	REFUSED(PA_RELAY_UNDELIVERED, .error = PA_RELAY_E_OK, .remote = peer);
	REFUSED(PA_RELAY_UNDELIVERED, .error = PA_RELAY_E_HOST);
	REFUSED(PA_RELAY_DATA, .error = 0);
#undef REFUSED
}

Test(relay, headers)
{
	struct pa_relay_header h = {.type = PA_RELAY_DATA, .length = 100, .session = 0xfffffffd}, back;
	uint8_t b[PA_RELAY_HEADER_LEN];

	pa_relay_put_header(b, &h);
	cr_assert_eq(pa_relay_get_header(b, &back), 0);
	cr_assert(back.type == h.type && back.length == h.length && back.session == h.session);
	b[1] = 1;
	cr_assert_eq(pa_relay_get_header(b, &back), PA_EFORMAT, "flags");
	h.session = 0;
	pa_relay_put_header(b, &h);
	cr_assert_eq(pa_relay_get_header(b, &back), PA_EFORMAT, "DATA of no session");
	h = (struct pa_relay_header){.type = PA_RELAY_PING, .length = 8, .session = 1};
	pa_relay_put_header(b, &h);
	cr_assert_eq(pa_relay_get_header(b, &back), PA_EFORMAT, "PING of a session");
	h = (struct pa_relay_header){.type = PA_RELAY_DATA, .length = PA_RELAY_DATA_MAX + 1, .session = 1};
	pa_relay_put_header(b, &h);
	cr_assert_eq(pa_relay_get_header(b, &back), PA_EFORMAT, "too long");
	for (unsigned type = 0; type < 256; type++) {
		h = (struct pa_relay_header){.type = (uint8_t)type, .length = 0, .session = 1};
		pa_relay_put_header(b, &h);
		cr_assert_eq(pa_relay_get_header(b, &back) == 0, type == PA_RELAY_FIN, "type %u with nothing", type);
	}
}

/* ---------------------------------------------------------------- both ends prove K1 */

struct ends {
	uint8_t client_secret[PA_KEY_LEN], gateway_secret[PA_KEY_LEN], gateway_key[PA_KEY_LEN];
	uint8_t secret[PA_KEY_LEN], k0[PA_KEY_LEN];
	uint8_t client_exporter[PA_KEY_LEN], server_exporter[PA_KEY_LEN];
	struct pa_relay_auth auth;
};

static struct ends ends_new(void)
{
	struct ends e;

	cr_assert_eq(pa_cred_init(), 0);
	memset(&e, 0, sizeof(e));
	pa_keypair_new(e.client_secret, e.auth.client_key);
	pa_keypair_new(e.gateway_secret, e.gateway_key);
	pa_random(e.secret, sizeof(e.secret));
	pa_derive_k0(e.secret, e.k0);
	pa_random(e.auth.claims, sizeof(e.auth.claims));
	pa_random(e.auth.nonce, sizeof(e.auth.nonce));
	pa_random(e.client_exporter, sizeof(e.client_exporter));
	memcpy(e.server_exporter, e.client_exporter, sizeof(e.server_exporter));
	e.auth.bind = 77;
	e.auth.received = 123456789;
	return e;
}

static struct pa_session_keys keys_of(const struct ends *e, bool server)
{
	static const uint8_t no_cookie[PA_COOKIE_LEN];
	struct pa_session_input in = {.secret = e->secret,
				      .own_secret = server ? e->gateway_secret : e->client_secret,
				      .peer_public = server ? e->auth.client_key : e->gateway_key,
				      .client_key = e->auth.client_key,
				      .gateway_key = e->gateway_key,
				      .claims = e->auth.claims,
				      .bind = e->auth.bind,
				      .nonce = e->auth.nonce,
				      .cookie = no_cookie,
				      .exporter = server ? e->server_exporter : e->client_exporter};
	struct pa_session_keys k;

	cr_assert_eq(pa_derive_session(&in, &k), 0);
	return k;
}

Test(relay, both_ends_prove_the_grant)
{
	struct ends e = ends_new();
	struct pa_session_keys kc = keys_of(&e, false), ks = keys_of(&e, true);
	struct pa_relay_auth back;
	struct pa_relay_auth_ok ok = {.resumed = true, .hold = 30, .lifetime = 3600, .received = 5, .window = 4096},
				got;
	uint8_t buf[PA_RELAY_AUTH_LEN], answer[PA_RELAY_AUTH_OK_LEN];

	cr_assert_eq(pa_relay_auth_encode(&e.auth, e.k0, buf, sizeof(buf)), PA_RELAY_AUTH_LEN);
	cr_assert_not(pa_relay_auth_verify_seal(buf, ks.c2g), "not sealed yet");
	pa_relay_auth_seal(buf, kc.c2g);
	cr_assert_eq(pa_relay_auth_decode(buf, sizeof(buf), &back), 0);
	cr_assert_arr_eq(back.claims, e.auth.claims, PA_CLAIMS_LEN);
	cr_assert(back.bind == 77 && back.received == 123456789);
	cr_assert(pa_relay_auth_verify(buf, e.k0));
	cr_assert(pa_relay_auth_verify_seal(buf, ks.c2g));
	memcpy(ok.nonce, back.nonce, sizeof(ok.nonce));
	cr_assert_eq(pa_relay_auth_ok_encode(&ok, ks.g2c, answer, sizeof(answer)), PA_RELAY_AUTH_OK_LEN);
	cr_assert_leq(PA_RELAY_AUTH_OK_LEN, PA_RELAY_AUTH_LEN, "no answer is longer than the question");
	cr_assert_eq(pa_relay_auth_ok_decode(answer, sizeof(answer), e.auth.nonce, kc.g2c, &got), 0);
	cr_assert(got.resumed && got.hold == 30 && got.lifetime == 3600 && got.received == 5 && got.window == 4096);
}

Test(relay, another_connection_proves_nothing)
{
	struct ends e = ends_new();
	struct pa_session_keys kc, ks;
	uint8_t buf[PA_RELAY_AUTH_LEN], answer[PA_RELAY_AUTH_OK_LEN];
	struct pa_relay_auth_ok ok = {.window = 4096}, got;

	e.server_exporter[0] ^= 1; /* somebody stands between them, with a connection to each */
	kc = keys_of(&e, false);
	ks = keys_of(&e, true);
	cr_assert_eq(pa_relay_auth_encode(&e.auth, e.k0, buf, sizeof(buf)), PA_RELAY_AUTH_LEN);
	pa_relay_auth_seal(buf, kc.c2g);
	cr_assert(pa_relay_auth_verify(buf, e.k0));
	cr_assert_not(pa_relay_auth_verify_seal(buf, ks.c2g));
	memcpy(ok.nonce, e.auth.nonce, sizeof(ok.nonce));
	cr_assert_eq(pa_relay_auth_ok_encode(&ok, ks.g2c, answer, sizeof(answer)), PA_RELAY_AUTH_OK_LEN);
	cr_assert_eq(pa_relay_auth_ok_decode(answer, sizeof(answer), e.auth.nonce, kc.g2c, &got), PA_EAUTH);
}

Test(relay, every_byte_of_the_first_messages_counts)
{
	struct ends e = ends_new();
	struct pa_session_keys k = keys_of(&e, false);
	struct pa_relay_auth_ok ok = {.window = 4096}, got;
	uint8_t buf[PA_RELAY_AUTH_LEN], answer[PA_RELAY_AUTH_OK_LEN], no[PA_RELAY_AUTH_NO_LEN];
	struct pa_relay_auth back;

	(void)pa_relay_auth_encode(&e.auth, e.k0, buf, sizeof(buf));
	pa_relay_auth_seal(buf, k.c2g);
	memcpy(ok.nonce, e.auth.nonce, sizeof(ok.nonce));
	(void)pa_relay_auth_ok_encode(&ok, k.g2c, answer, sizeof(answer));
	cr_assert_eq(pa_relay_auth_no_encode(PA_RELAY_E_LIMIT, e.auth.nonce, k.g2c, no, sizeof(no)),
		     PA_RELAY_AUTH_NO_LEN);
	cr_assert_eq(pa_relay_auth_no_decode(no, sizeof(no), e.auth.nonce, k.g2c), PA_RELAY_E_LIMIT);
	for (size_t i = 0; i < sizeof(buf); i++) {
		buf[i] ^= 0x40;
		cr_assert(pa_relay_auth_decode(buf, sizeof(buf), &back) < 0 || !pa_relay_auth_verify_seal(buf, k.c2g),
			  "byte %zu", i);
		buf[i] ^= 0x40;
	}
	for (size_t i = 0; i < sizeof(answer); i++) {
		answer[i] ^= 0x40;
		cr_assert_lt(pa_relay_auth_ok_decode(answer, sizeof(answer), e.auth.nonce, k.g2c, &got), 0, "byte %zu",
			     i);
		answer[i] ^= 0x40;
	}
	for (size_t i = 0; i < sizeof(no); i++) {
		no[i] ^= 0x40;
		cr_assert_lt(pa_relay_auth_no_decode(no, sizeof(no), e.auth.nonce, k.g2c), 0, "byte %zu", i);
		no[i] ^= 0x40;
	}
	cr_assert_eq(pa_relay_auth_decode(buf, sizeof(buf) - 1, &back), PA_EFORMAT);
	cr_assert_eq(pa_relay_auth_ok_decode(answer, sizeof(answer) - 1, e.auth.nonce, k.g2c, &got), PA_EFORMAT);
}

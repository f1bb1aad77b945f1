/* SPDX-License-Identifier: MPL-2.0 */
/* Control messages: lengths, round trips, and that no altered byte passes for the message that was sent. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/msg.h"
#include "test/unit/rnd.h"

static const uint8_t types[] = {PA_MSG_HELLO, PA_MSG_CHALLENGE, PA_MSG_CONFIRM, PA_MSG_ACCEPT, PA_MSG_KEEPALIVE,
				PA_MSG_ALIVE, PA_MSG_RECHALLENGE, PA_MSG_RECONFIRM, PA_MSG_UNBOUND, PA_MSG_BYE,
				PA_MSG_PROBE, PA_MSG_PROBED};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

static const uint8_t key[PA_KEY_LEN] = {1, 2, 3}, other_key[PA_KEY_LEN] = {1, 2, 4};

static void setup(void)
{
	cr_assert_eq(pa_cred_init(), 0);
}

TestSuite(msg, .init = setup, .timeout = 60);

/* All fields are random; what the type does not carry is left out by fields_of. */
static struct pa_msg random_msg(struct rnd *r, uint8_t type)
{
	struct pa_msg m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	rnd_fill(r, m.claims, sizeof(m.claims));
	rnd_fill(r, m.client_key, sizeof(m.client_key));
	rnd_fill(r, m.nonce, sizeof(m.nonce));
	m.bind = rnd_next(r);
	rnd_fill(r, m.cookie, sizeof(m.cookie));
	rnd_fill(r, m.session, sizeof(m.session));
	rnd_fill(r, m.claims_hash, sizeof(m.claims_hash));
	rnd_fill(r, m.mapped.addr.b, sizeof(m.mapped.addr.b));
	m.mapped.port = (uint16_t)rnd_next(r);
	m.lifetime = (uint32_t)rnd_next(r);
	m.mtu = (uint16_t)rnd_next(r);
	m.keepalive = (uint16_t)rnd_next(r);
	rnd_fill(r, m.token, sizeof(m.token));
	m.routed = rnd_below(r, 2) == 1;
	m.seq = rnd_next(r);
	m.echo = rnd_next(r);
	m.reason = (uint8_t)rnd_next(r);
	m.length = (uint16_t)(PA_PROBE_MIN + rnd_below(r, PA_CTL_MAX - PA_PROBE_MIN + 1));
	m.answer_length = (uint16_t)(PA_PROBE_MIN + rnd_below(r, m.length - PA_PROBE_MIN + 1u));
	m.delay = (uint16_t)rnd_below(r, PA_PROBE_DELAY_MAX + 1);
	m.from = (uint8_t)rnd_below(r, PA_PROBE_ADDRESS + 1);
	rnd_fill(r, m.other.addr.b, sizeof(m.other.addr.b));
	m.other.port = (uint16_t)rnd_next(r);
	m.other_port = (uint16_t)rnd_next(r);
	m.time_ms = rnd_next(r);
	return m;
}

#define IN(m, ...) in((m)->type, (const uint8_t[]){__VA_ARGS__, 0})

static bool in(uint8_t type, const uint8_t *list)
{
	while (*list != 0 && *list != type)
		list++;
	return *list != 0;
}

static void probe_fields_of(const struct pa_msg *m, struct pa_msg *f)
{
	memcpy(f->session, m->session, sizeof(f->session));
	f->seq = m->seq;
	f->echo = m->echo;
	f->length = m->length;
	f->delay = m->delay;
	f->from = m->from;
	if (m->type == PA_MSG_PROBE) {
		memcpy(f->token, m->token, sizeof(f->token));
		f->answer_length = m->answer_length;
	} else {
		f->mapped = m->mapped;
		f->other = m->other;
		f->other_port = m->other_port;
		f->time_ms = m->time_ms;
	}
}

/* The table of msg.h: only the fields that the type carries, the others zero. */
static struct pa_msg fields_of(const struct pa_msg *m)
{
	struct pa_msg f;
	bool accept = m->type == PA_MSG_ACCEPT;

	memset(&f, 0, sizeof(f));
	f.type = m->type;
	if (IN(m, PA_MSG_HELLO, PA_MSG_CONFIRM)) {
		memcpy(f.claims, m->claims, sizeof(f.claims));
		memcpy(f.client_key, m->client_key, sizeof(f.client_key));
	}
	if (IN(m, PA_MSG_HELLO, PA_MSG_CHALLENGE, PA_MSG_CONFIRM, PA_MSG_ACCEPT))
		memcpy(f.nonce, m->nonce, sizeof(f.nonce));
	if (IN(m, PA_MSG_HELLO, PA_MSG_CONFIRM, PA_MSG_ACCEPT))
		f.bind = m->bind;
	if (IN(m, PA_MSG_CHALLENGE, PA_MSG_CONFIRM, PA_MSG_RECHALLENGE, PA_MSG_RECONFIRM))
		memcpy(f.cookie, m->cookie, sizeof(f.cookie));
	if (IN(m, PA_MSG_ACCEPT, PA_MSG_KEEPALIVE, PA_MSG_ALIVE, PA_MSG_RECONFIRM, PA_MSG_UNBOUND, PA_MSG_BYE))
		memcpy(f.session, m->session, sizeof(f.session));
	if (IN(m, PA_MSG_KEEPALIVE, PA_MSG_ALIVE))
		f.mtu = m->mtu;
	if (accept) {
		memcpy(f.claims_hash, m->claims_hash, sizeof(f.claims_hash));
		f.lifetime = m->lifetime;
		f.mtu = m->mtu;
		f.keepalive = m->keepalive;
		f.routed = m->routed;
	}
	if (IN(m, PA_MSG_ACCEPT, PA_MSG_ALIVE))
		f.mapped = m->mapped;
	if (IN(m, PA_MSG_ACCEPT, PA_MSG_KEEPALIVE, PA_MSG_ALIVE))
		memcpy(f.token, m->token, sizeof(f.token));
	if (IN(m, PA_MSG_KEEPALIVE, PA_MSG_ALIVE, PA_MSG_RECONFIRM)) {
		f.seq = m->seq;
		f.echo = m->echo;
	}
	if (IN(m, PA_MSG_UNBOUND, PA_MSG_BYE))
		f.reason = m->reason;
	if (IN(m, PA_MSG_PROBE, PA_MSG_PROBED))
		probe_fields_of(m, &f);
	return f;
}

/* Both began as zeros, so padding is equal and memcmp compares the fields. */
static bool same(const struct pa_msg *a, const struct pa_msg *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static size_t encode(const struct pa_msg *m, uint8_t buf[PA_CTL_MAX])
{
	int n = pa_msg_encode(m, key, buf, PA_CTL_MAX);

	cr_assert_gt(n, 0, "%s: %s", pa_msg_name(m->type), pa_strerror(n));
	return (size_t)n;
}

static struct pa_msg decode(const uint8_t *buf, size_t len)
{
	struct pa_msg m;

	memset(&m, 0, sizeof(m));
	cr_assert_eq(pa_msg_decode(buf, len, &m), 0);
	return m;
}

Test(msg, lengths_are_those_of_the_protocol)
{
	static const size_t want[] = {PA_HELLO_LEN,	 PA_CHALLENGE_LEN, PA_CONFIRM_LEN,     PA_ACCEPT_LEN,
				      PA_KEEPALIVE_LEN, PA_ALIVE_LEN,	   PA_RECHALLENGE_LEN, PA_RECONFIRM_LEN,
				      PA_UNBOUND_LEN,	 PA_BYE_LEN};
	struct rnd r = rnd_seed(7);
	uint8_t buf[PA_CTL_MAX];

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct pa_msg m = random_msg(&r, types[i]);

		cr_assert_eq(encode(&m, buf), want[i], "%s", pa_msg_name(types[i]));
		cr_assert_eq(pa_msg_length(types[i]), want[i]);
		cr_assert_leq(want[i], PA_CTL_MAX);
		cr_assert_str_neq(pa_msg_name(types[i]), "unknown");
		for (size_t cap = 0; cap < want[i]; cap++)
			cr_assert_eq(pa_msg_encode(&m, key, buf, cap), PA_ETRUNC);
	}
}

Test(msg, no_answer_is_longer_than_its_question)
{
	cr_assert_leq(PA_CHALLENGE_LEN, PA_HELLO_LEN);
	cr_assert_leq(PA_ACCEPT_LEN, PA_CONFIRM_LEN);
	cr_assert_leq(PA_ALIVE_LEN, PA_KEEPALIVE_LEN);
	cr_assert_leq(PA_ALIVE_LEN, PA_RECONFIRM_LEN);
	cr_assert_leq(PA_UNBOUND_LEN, PA_KEEPALIVE_LEN);
	cr_assert_leq(PA_RECHALLENGE_LEN, 20, "not longer than the smallest IP packet that can cause it");
}

/* Of a client that is bound: found without decoding; of nobody else, and not in a piece. */
static void check_session(const struct pa_msg *m, const uint8_t *buf)
{
	bool bound = m->type == PA_MSG_KEEPALIVE || m->type == PA_MSG_RECONFIRM || m->type == PA_MSG_BYE || m->type == PA_MSG_PROBE;
	const uint8_t *found = pa_msg_session(buf, pa_msg_length(m->type));

	cr_assert_eq(found != NULL, bound, "%s", pa_msg_name(m->type));
	if (found != NULL)
		cr_assert_arr_eq(found, m->session, PA_SESSION_LEN);
	for (size_t len = 0; len < PA_CTL_HEADER_LEN + PA_SESSION_LEN; len++)
		cr_assert_null(pa_msg_session(buf, len));
}

Test(msg, random_messages_come_back)
{
	struct rnd r = rnd_seed(8);
	uint8_t buf[PA_CTL_MAX];

	for (int i = 0; i < 20000; i++) {
		struct pa_msg m = random_msg(&r, types[rnd_below(&r, N_TYPES)]), want = fields_of(&m), got;

		got = decode(buf, encode(&m, buf));
		cr_assert(same(&want, &got), "%s", pa_msg_name(m.type));
		cr_assert(pa_msg_is_control(buf, 1));
		cr_assert_not(pa_msg_is_data(buf, pa_msg_length(m.type)));
		check_session(&m, buf);
	}
}

Test(msg, mac_is_under_the_key)
{
	struct rnd r = rnd_seed(9);
	uint8_t buf[PA_CTL_MAX];

	for (size_t i = 0; i < N_TYPES; i++) {
		struct pa_msg m = random_msg(&r, types[i]);
		size_t n = encode(&m, buf);

		cr_assert_eq(pa_msg_verify(buf, n, key), types[i] != PA_MSG_RECHALLENGE, "%s", pa_msg_name(types[i]));
		cr_assert_not(pa_msg_verify(buf, n, other_key));
		cr_assert_not(pa_msg_verify(buf, n - 1, key));
	}
	cr_assert_not(pa_msg_verify(buf, 0, key));
	cr_assert_not(pa_msg_verify(buf, PA_CTL_HEADER_LEN + PA_MAC_LEN - 1, key));
}

/* Octets of the body that no field uses. Those of some are padding, which the MAC alone covers; others are reserved: zero. */
static bool is_padding(uint8_t type, size_t i)
{
	if (type == PA_MSG_PROBE || type == PA_MSG_PROBED)
		return i >= (type == PA_MSG_PROBE ? 48 : 88);
	return type == PA_MSG_HELLO && i >= PA_CTL_HEADER_LEN + PA_CLAIMS_LEN + PA_KEY_LEN + PA_NONCE_LEN + 8 &&
	       i < PA_HELLO_LEN - PA_MAC_LEN;
}

static void alter(uint8_t type, const struct pa_msg *want, uint8_t *buf, size_t n, size_t i, unsigned delta)
{
	size_t macs = type == PA_MSG_RECHALLENGE ? 0 : type == PA_MSG_CONFIRM ? 2 * PA_MAC_LEN : PA_MAC_LEN;
	bool in_seal = type == PA_MSG_CONFIRM && i >= n - PA_MAC_LEN;
	struct pa_msg got;

	memset(&got, 0, sizeof(got));
	buf[i] ^= (uint8_t)delta;
	if (pa_msg_decode(buf, n, &got) == 0 && i < n - macs && !is_padding(type, i))
		cr_assert_not(same(want, &got), "%s byte %zu delta %u", pa_msg_name(type), i, delta);
	cr_assert(in_seal || !pa_msg_verify(buf, n, key), "%s byte %zu delta %u passes", pa_msg_name(type), i, delta);
	cr_assert_not(pa_msg_verify_seal(buf, n, other_key), "%s byte %zu delta %u", pa_msg_name(type), i, delta);
	buf[i] ^= (uint8_t)delta;
}

Test(msg, every_altered_byte_is_refused)
{
	struct rnd r = rnd_seed(10);
	uint8_t buf[PA_CTL_MAX];

	for (size_t t = 0; t < N_TYPES; t++) {
		struct pa_msg m = random_msg(&r, types[t]), want = fields_of(&m);
		size_t n = encode(&m, buf);

		if (types[t] == PA_MSG_CONFIRM)
			cr_assert_eq(pa_msg_seal(buf, n, other_key), 0);
		for (size_t i = 0; i < n; i++)
			for (unsigned delta = 1; delta < 256; delta++)
				alter(types[t], &want, buf, n, i, delta);
	}
}

Test(msg, wrong_lengths_are_refused)
{
	struct rnd r = rnd_seed(11);
	uint8_t buf[PA_CTL_MAX + 8] = {0};

	for (size_t t = 0; t < N_TYPES; t++) {
		struct pa_msg m = random_msg(&r, types[t]), got;
		size_t n = encode(&m, buf);
		bool padded = types[t] == PA_MSG_PROBE || types[t] == PA_MSG_PROBED;

		for (size_t len = 0; len < sizeof(buf); len++)
			if (padded ? len < PA_PROBE_MIN : len != n)
				cr_assert_eq(pa_msg_decode(buf, len, &got), PA_ETRUNC, "%s %zu", pa_msg_name(m.type),
					     len);
	}
}

Test(msg, other_types_are_refused)
{
	struct rnd r = rnd_seed(12);
	struct pa_msg m = random_msg(&r, PA_MSG_BYE), got;
	uint8_t buf[PA_CTL_MAX];
	size_t n = encode(&m, buf);

	for (unsigned type = 0; type < 256; type++) {
		if (pa_msg_length(type) > 0)
			continue;
		buf[4] = (uint8_t)type;
		cr_assert_eq(pa_msg_decode(buf, n, &got), PA_EFORMAT, "%u", type);
		cr_assert_str_eq(pa_msg_name(type), "unknown");
		m.type = (uint8_t)type;
		cr_assert_eq(pa_msg_encode(&m, key, buf, sizeof(buf)), PA_EINVAL);
	}
}

Test(msg, confirm_has_two_macs)
{
	struct rnd r = rnd_seed(13);
	struct pa_msg m = random_msg(&r, PA_MSG_CONFIRM);
	uint8_t buf[PA_CTL_MAX], small[PA_CTL_MAX];
	size_t n = encode(&m, buf);

	for (size_t i = n - PA_MAC_LEN; i < n; i++)
		cr_assert_eq(buf[i], 0, "not sealed yet");
	cr_assert(pa_msg_verify(buf, n, key), "the first MAC stands before the seal");
	cr_assert_not(pa_msg_verify_seal(buf, n, other_key));
	cr_assert_eq(pa_msg_seal(buf, n, other_key), 0);
	cr_assert(pa_msg_verify_seal(buf, n, other_key));
	cr_assert(pa_msg_verify(buf, n, key), "and after it");
	cr_assert_not(pa_msg_verify_seal(buf, n, key));
	cr_assert_not(pa_msg_verify(buf, n, other_key));
	buf[PA_CONFIRM_LEN - PA_MAC_LEN - 1] ^= 1;
	cr_assert_not(pa_msg_verify_seal(buf, n, other_key), "the seal covers the first MAC");
	m.type = PA_MSG_HELLO;
	n = encode(&m, small);
	cr_assert_eq(pa_msg_seal(small, n, other_key), PA_EINVAL);
	cr_assert_not(pa_msg_verify_seal(small, n, other_key));
}

Test(msg, a_hint_has_no_mac)
{
	struct rnd r = rnd_seed(14);
	struct pa_msg m = random_msg(&r, PA_MSG_UNBOUND);
	static const uint8_t zero_key[PA_KEY_LEN];
	uint8_t buf[PA_CTL_MAX];

	cr_assert_eq(pa_msg_encode(&m, NULL, buf, sizeof(buf)), PA_UNBOUND_LEN);
	for (size_t i = PA_UNBOUND_LEN - PA_MAC_LEN; i < PA_UNBOUND_LEN; i++)
		cr_assert_eq(buf[i], 0);
	cr_assert_not(pa_msg_verify(buf, PA_UNBOUND_LEN, key));
	cr_assert_not(pa_msg_verify(buf, PA_UNBOUND_LEN, zero_key));
}

Test(msg, only_a_hint_may_go_without_a_key)
{
	struct rnd r = rnd_seed(15);
	uint8_t buf[PA_CTL_MAX];

	for (size_t t = 0; t < N_TYPES; t++) {
		struct pa_msg m = random_msg(&r, types[t]);
		bool may = types[t] == PA_MSG_UNBOUND || types[t] == PA_MSG_RECHALLENGE;

		cr_assert_eq(pa_msg_encode(&m, NULL, buf, sizeof(buf)), may ? (int)pa_msg_length(types[t]) : PA_EINVAL,
			     "%s", pa_msg_name(types[t]));
	}
}

static int probe_rc(uint8_t type, unsigned length, unsigned answer_length, unsigned delay, unsigned from)
{
	static uint8_t buf[PA_PROBE_MAX + 1];
	struct pa_msg m = {.type = type, .length = (uint16_t)length, .answer_length = (uint16_t)answer_length,
			   .delay = (uint16_t)delay, .from = (uint8_t)from};

	return pa_msg_encode(&m, key, buf, sizeof(buf));
}

Test(msg, probes_have_any_length_and_values_in_their_ranges)
{
	static uint8_t buf[PA_PROBE_MAX + 1];
	struct pa_msg m = {.type = PA_MSG_PROBE, .length = PA_PROBE_MAX, .answer_length = PA_PROBE_MAX}, got;

	cr_assert_eq(pa_msg_encode(&m, key, buf, sizeof(buf)), PA_PROBE_MAX);
	got = decode(buf, PA_PROBE_MAX);
	cr_assert(same(&m, &got));
	cr_assert(pa_msg_verify(buf, PA_PROBE_MAX, key));
	cr_assert_eq(pa_msg_decode(buf, PA_PROBE_MAX + 1, &got), PA_ETRUNC);
	cr_assert_eq(pa_msg_decode(buf, PA_PROBE_MAX - 1, &got), PA_EFORMAT, "the answer would be longer");
	cr_assert_eq(probe_rc(PA_MSG_PROBE, 500, 500, PA_PROBE_DELAY_MAX, PA_PROBE_ADDRESS), 500);
	cr_assert_eq(probe_rc(PA_MSG_PROBE, 500, 501, 0, 0), PA_EINVAL);
	cr_assert_eq(probe_rc(PA_MSG_PROBE, 500, PA_PROBE_MIN - 1, 0, 0), PA_EINVAL);
	cr_assert_eq(probe_rc(PA_MSG_PROBE, PA_PROBE_MIN - 1, PA_PROBE_MIN - 1, 0, 0), PA_EINVAL);
	for (uint8_t type = PA_MSG_PROBE; type <= PA_MSG_PROBED; type++) {
		cr_assert_eq(probe_rc(type, PA_PROBE_MAX + 1, 500, 0, 0), PA_EINVAL);
		cr_assert_eq(probe_rc(type, 500, 500, PA_PROBE_DELAY_MAX + 1, 0), PA_EINVAL);
		cr_assert_eq(probe_rc(type, 500, 500, 0, PA_PROBE_ADDRESS + 1), PA_EINVAL);
	}
}

Test(msg, data_and_control_by_the_first_byte)
{
	uint8_t buf[40] = {0};

	for (unsigned b = 0; b < 256; b++) {
		buf[0] = (uint8_t)b;
		cr_assert_eq(pa_msg_is_control(buf, sizeof(buf)), (b & 0xe0) == 0x20);
		cr_assert_eq(pa_msg_is_data(buf, sizeof(buf)), b >> 4 == 4 || b >> 4 == 6);
		cr_assert_not(pa_msg_is_control(buf, sizeof(buf)) && pa_msg_is_data(buf, sizeof(buf)));
	}
	buf[0] = 0x45;
	cr_assert_not(pa_msg_is_data(buf, 19));
	cr_assert(pa_msg_is_data(buf, 20));
	buf[0] = 0x60;
	cr_assert_not(pa_msg_is_data(buf, 39));
	cr_assert_not(pa_msg_is_control(buf, 0));
	cr_assert_not(pa_msg_is_data(buf, 0));
}

Test(msg, reasons)
{
	cr_assert_str_eq(pa_reason_name(PA_REASON_EXPIRED), "expired");
	cr_assert_str_eq(pa_reason_name(PA_REASON_RELEASED), "released");
	cr_assert_str_eq(pa_reason_name(PA_REASON_REPLACED), "replaced");
	cr_assert_str_eq(pa_reason_name(PA_REASON_SHUTDOWN), "shutdown");
	cr_assert_str_eq(pa_reason_name(0), "unknown");
	cr_assert_str_eq(pa_reason_name(250), "unknown");
}

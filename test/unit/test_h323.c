/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The messages of the tests' own H.323 call. The octets are those that Wireshark 4.0's dissectors of H.225.0 and H.245
 * read as the elements given here; so the call shows more than that both of its ends are ours.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "common/hex.h"
#include "test/apps/h323_msg.h"

TestSuite(h323, .timeout = 20);

#define KINDS ((enum h323_kind)(H323_OPEN_ACK + 1))

static const char *const octets[KINDS] = {
	[H323_SETUP] = "03000057080200010504038893a57e00460500c8060008914a000200cb0071019c400200c000020a"
		       "06b800101112131415161718191a1b1c1d1e1f00150700cb00710106b81100202122232425262728"
		       "292a2b2c2d2e2f",
	[H323_CONNECT] = "0300004208028001077e00360502c0060008914a000200cb0071019c400200101112131415161718"
			 "191a1b1c1d1e1f011100202122232425262728292a2b2c2d2e2f",
	[H323_RELEASE] = "03000029080200015a7e001d050580060008914a0002011100202122232425262728292a2b2c2d2e"
			 "2f",
	[H323_OPEN] = "03000017030000000c2013800a04000100cb0071014269",
	[H323_OPEN_ACK] = "0300001a22c0000002800f0c00cb007101426800cb0071014269",
};

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	cr_assert_eq(inet_pton(AF_INET, text, &a.sin_addr), 1);
	return a;
}

static struct h323_message message(enum h323_kind kind)
{
	struct h323_message m = {.kind = kind, .reference = kind == H323_CONNECT ? 0x8001 : 1, .has_h245 = true};

	m.source = address("203.0.113.1", 1720);
	m.destination = address("192.0.2.10", 1720);
	m.h245 = address("203.0.113.1", 40000);
	m.media = address("203.0.113.1", 17000);
	m.control = address("203.0.113.1", 17001);
	for (uint8_t i = 0; i < 16; i++) {
		m.conference[i] = (uint8_t)(0x10 + i);
		m.call[i] = (uint8_t)(0x20 + i);
	}
	return m;
}

static bool same(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
}

static size_t encode(enum h323_kind kind, uint8_t dst[H323_MAX])
{
	struct h323_message m = message(kind);

	return h323_encode(&m, dst, H323_MAX);
}

Test(h323, octets_are_those_that_others_read)
{
	for (enum h323_kind kind = 0; kind < KINDS; kind++) {
		uint8_t buf[H323_MAX], want[H323_MAX];
		size_t len = encode(kind, buf);

		cr_assert_eq(len, strlen(octets[kind]) / 2, "kind %d", (int)kind);
		cr_assert_eq(pa_hex_decode(octets[kind], want, sizeof(want)), (int)len);
		cr_assert_eq(memcmp(buf, want, len), 0, "kind %d", (int)kind);
	}
}

Test(h323, what_was_written_is_read)
{
	for (enum h323_kind kind = 0; kind < KINDS; kind++) {
		struct h323_message m = message(kind), got = {.kind = kind};
		uint8_t buf[H323_MAX];

		cr_assert(h323_decode(&got, buf, encode(kind, buf)), "kind %d", (int)kind);
		if (kind == H323_SETUP)
			cr_assert(same(&got.source, &m.source) && same(&got.destination, &m.destination));
		if (kind == H323_SETUP || kind == H323_CONNECT)
			cr_assert(got.has_h245 && same(&got.h245, &m.h245) && got.reference == m.reference);
		if (kind == H323_OPEN_ACK)
			cr_assert(same(&got.media, &m.media));
		if (kind == H323_OPEN || kind == H323_OPEN_ACK)
			cr_assert(same(&got.control, &m.control));
		else
			cr_assert_eq(memcmp(got.call, m.call, sizeof(m.call)), 0);
	}
}

Test(h323, an_address_may_be_absent)
{
	struct h323_message m = message(H323_SETUP), got = {.kind = H323_SETUP};
	uint8_t buf[H323_MAX];

	m.has_h245 = false;
	cr_assert(h323_decode(&got, buf, h323_encode(&m, buf, sizeof(buf))));
	cr_assert(!got.has_h245 && same(&got.source, &m.source));
}

Test(h323, what_is_cut_or_of_another_kind_is_refused)
{
	for (enum h323_kind kind = 0; kind < KINDS; kind++) {
		uint8_t buf[H323_MAX];
		size_t len = encode(kind, buf);

		for (enum h323_kind other = 0; other < KINDS; other++) {
			struct h323_message got = {.kind = other};

			cr_assert_eq(h323_decode(&got, buf, len), other == kind);
		}
		for (size_t cut = 0; cut < len; cut++) {
			struct h323_message m = message(kind), got = {.kind = kind};
			uint8_t small[H323_MAX];

			cr_assert_not(h323_decode(&got, buf, cut));
			cr_assert_eq(h323_encode(&m, small, cut), 0);
		}
	}
}

/* Wrong lengths and bits: never outside the message (the sanitizers look). */
Test(h323, any_bit_may_be_wrong)
{
	for (enum h323_kind kind = 0; kind < KINDS; kind++) {
		uint8_t buf[H323_MAX];
		size_t len = encode(kind, buf);

		for (size_t bit = 0; bit < 8 * len; bit++) {
			struct h323_message got = {.kind = kind};

			buf[bit / 8] ^= (uint8_t)(1U << (bit % 8));
			(void)h323_decode(&got, buf, len);
			buf[bit / 8] ^= (uint8_t)(1U << (bit % 8));
		}
	}
}

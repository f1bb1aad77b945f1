/* SPDX-License-Identifier: MPL-2.0 */
/* The cursors under all codecs: big-endian, never outside the buffer, and an error sticks. Also hex, which stands beside. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "common/cursor.h"
#include "common/err.h"
#include "common/hex.h"
#include "test/unit/rnd.h"

TestSuite(cursor, .timeout = 20);

Test(cursor, integers_are_big_endian)
{
	static const uint8_t want[15] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t buf[15];
	struct pa_writer w;
	struct pa_reader r;

	pa_writer_init(&w, buf, sizeof(buf));
	pa_put_u8(&w, 0x01);
	pa_put_u16(&w, 0x0203);
	pa_put_u32(&w, 0x04050607);
	pa_put_u64(&w, 0x08090a0b0c0d0e0fu);
	cr_assert(!w.failed && w.len == sizeof(want));
	cr_assert_eq(memcmp(buf, want, sizeof(want)), 0);
	pa_reader_init(&r, buf, sizeof(buf));
	cr_assert_eq(pa_get_u8(&r), 0x01);
	cr_assert_eq(pa_get_u16(&r), 0x0203);
	cr_assert_eq(pa_get_u32(&r), 0x04050607u);
	cr_assert_eq(pa_get_u64(&r), 0x08090a0b0c0d0e0fu);
	cr_assert(!r.failed && r.left == 0);
}

Test(cursor, reading_past_the_end_sticks)
{
	uint8_t buf[3] = {1, 2, 3}, out[4] = {9, 9, 9, 9};
	struct pa_reader r;

	pa_reader_init(&r, buf, sizeof(buf));
	cr_assert_eq(pa_get_u32(&r), 0u);
	cr_assert(r.failed);
	cr_assert_eq(r.left, 3u, "a failed read takes nothing");
	cr_assert_eq(pa_get_u8(&r), 0, "there is a byte, but the error sticks");
	cr_assert_null(pa_get_view(&r, 1));
	pa_get_bytes(&r, out, sizeof(out));
	cr_assert(out[0] == 0 && out[3] == 0, "no stale bytes after a failure");
}

Test(cursor, writing_past_the_end_sticks)
{
	uint8_t buf[4] = {0xaa, 0xaa, 0xaa, 0xaa};
	struct pa_writer w;

	pa_writer_init(&w, buf, 3);
	pa_put_u16(&w, 0x0102);
	pa_put_u16(&w, 0x0304);
	cr_assert(w.failed);
	cr_assert_eq(w.len, 2u);
	pa_put_u8(&w, 5);
	pa_put_zeros(&w, 1);
	pa_put_bytes(&w, buf, 1);
	cr_assert_eq(w.len, 2u, "there is room for one, but the error sticks");
	cr_assert(buf[2] == 0xaa && buf[3] == 0xaa);
}

Test(cursor, huge_lengths_do_not_wrap)
{
	uint8_t buf[8] = {0};
	struct pa_reader r;
	struct pa_writer w;

	pa_reader_init(&r, buf, sizeof(buf));
	(void)pa_get_u8(&r);
	cr_assert_null(pa_get_view(&r, SIZE_MAX));
	cr_assert(r.failed);
	pa_writer_init(&w, buf, sizeof(buf));
	pa_put_u8(&w, 1);
	pa_put_zeros(&w, SIZE_MAX);
	cr_assert(w.failed && w.len == 1);
}

Test(cursor, nothing_at_all)
{
	struct pa_reader r;
	struct pa_writer w;

	pa_reader_init(&r, NULL, 0);
	pa_get_bytes(&r, NULL, 0);
	cr_assert_not(r.failed);
	(void)pa_get_u8(&r);
	cr_assert(r.failed);
	pa_writer_init(&w, NULL, 0);
	pa_put_bytes(&w, NULL, 0);
	cr_assert_not(w.failed);
	pa_put_u8(&w, 1);
	cr_assert(w.failed);
}

/* Random sequences of operations against a plain array that is known to be long enough. */
Test(cursor, random_sequences_come_back)
{
	struct rnd rnd = rnd_seed(2);

	for (int round = 0; round < 3000; round++) {
		uint8_t buf[64], bytes[16], got[16];
		struct rnd again;
		struct pa_writer w;
		struct pa_reader r;
		unsigned n = rnd_below(&rnd, 8);

		again = rnd;
		pa_writer_init(&w, buf, sizeof(buf));
		for (unsigned i = 0; i < n; i++) {
			size_t len = rnd_below(&rnd, sizeof(bytes));

			pa_put_u64(&w, rnd_next(&rnd));
			rnd_fill(&rnd, bytes, len);
			pa_put_bytes(&w, bytes, len);
		}
		pa_reader_init(&r, buf, w.len);
		for (unsigned i = 0; i < n && !w.failed; i++) {
			size_t len = rnd_below(&again, sizeof(bytes));

			cr_assert_eq(pa_get_u64(&r), rnd_next(&again));
			rnd_fill(&again, bytes, len);
			pa_get_bytes(&r, got, len);
			cr_assert_eq(memcmp(got, bytes, len), 0);
		}
		cr_assert(w.failed || (!r.failed && r.left == 0));
	}
}

TestSuite(hex, .timeout = 20);

Test(hex, comes_back)
{
	struct rnd rnd = rnd_seed(3);
	uint8_t bytes[64], back[64];
	char text[129];

	for (int i = 0; i < 2000; i++) {
		size_t len = rnd_below(&rnd, sizeof(bytes) + 1);

		rnd_fill(&rnd, bytes, len);
		cr_assert_eq(pa_hex_decode(pa_hex_encode(bytes, len, text), back, len), (int)len);
		cr_assert_eq(memcmp(bytes, back, len), 0);
	}
	cr_assert_eq(pa_hex_decode("ABcdEF", back, 3), 3);
	cr_assert(back[0] == 0xab && back[1] == 0xcd && back[2] == 0xef);
}

Test(hex, refuses)
{
	uint8_t buf[4];

	cr_assert_eq(pa_hex_decode("abc", buf, 4), PA_EFORMAT);
	cr_assert_eq(pa_hex_decode("0g", buf, 4), PA_EFORMAT);
	cr_assert_eq(pa_hex_decode("g0", buf, 4), PA_EFORMAT);
	cr_assert_eq(pa_hex_decode("0x00", buf, 4), PA_EFORMAT);
	cr_assert_eq(pa_hex_decode("00 1", buf, 4), PA_EFORMAT);
	cr_assert_eq(pa_hex_decode("0011223344", buf, 4), PA_ETRUNC);
	cr_assert_eq(pa_hex_decode("", buf, 0), 0);
}

TestSuite(err, .timeout = 20);

Test(err, every_code_has_its_phrase)
{
	for (int i = PA_ENOTSUP; i <= PA_OK; i++) {
		cr_assert_str_neq(pa_strerror(i), "unknown error", "%d", i);
		for (int j = PA_ENOTSUP; j < i; j++)
			cr_assert_str_neq(pa_strerror(i), pa_strerror(j));
	}
	cr_assert_str_eq(pa_strerror(-1000), "unknown error");
	cr_assert_str_eq(pa_strerror(1), "unknown error");
}

Test(err, a_broken_invariant_aborts, .signal = SIGABRT)
{
	PA_REQUIRE(1 + 1 == 3);
}

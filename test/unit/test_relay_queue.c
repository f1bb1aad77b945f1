/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "common/relay_queue.h"
#include "test/unit/rnd.h"

static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 7 ^ i >> 8);
}

static void add(struct pa_rqueue *q, uint64_t *end, size_t len)
{
	static uint8_t bytes[20000];

	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(*end + i);
	cr_assert(pa_rqueue_add(q, bytes, len));
	*end += len;
}

/* All of it is as it was added, in two pieces at most. */
static void check(const struct pa_rqueue *q, uint64_t begin, uint64_t end)
{
	struct iovec pieces[2];
	unsigned n = pa_rqueue_peek(q, pieces);

	cr_assert_eq(q->len, end - begin);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = pieces[i].iov_base;

		cr_assert_gt(pieces[i].iov_len, 0);
		for (size_t k = 0; k < pieces[i].iov_len; k++)
			cr_assert_eq(p[k], byte_at(begin++));
	}
	cr_assert_eq(begin, end);
}

Test(relay_queue, what_was_added_comes_in_order)
{
	struct rnd r = rnd_seed(1);
	struct pa_rqueue q = {0};
	uint64_t begin = 0, end = 0;
	unsigned pieces = 0;
	struct iovec two[2];
	size_t n;

	for (unsigned i = 0; i < 4000; i++) {
		add(&q, &end, rnd_below(&r, i % 100 == 0 ? 20000 : 3000));
		check(&q, begin, end);
		pieces += pa_rqueue_peek(&q, two) == 2;
		n = q.len > 0 ? rnd_below(&r, (uint32_t)q.len + 1) : 0;
		pa_rqueue_drop(&q, n);
		begin += n;
		check(&q, begin, end);
	}
	cr_assert_gt(pieces, 100u, "it hardly went around");
	pa_rqueue_fini(&q);
	cr_assert_null(q.buf);
}

Test(relay_queue, memory_is_what_waits)
{
	struct pa_rqueue q = {0};
	uint64_t end = 0;
	struct iovec none[2];

	cr_assert_eq(pa_rqueue_peek(&q, none), 0);
	cr_assert(pa_rqueue_add(&q, "", 0));
	cr_assert_eq(q.cap, 0);
	/* A reader that is always behind by a little: the bytes go round and round. */
	for (unsigned i = 0; i < 10000; i++) {
		add(&q, &end, 1000);
		if (i > 3)
			pa_rqueue_drop(&q, 1000);
	}
	cr_assert_eq(q.len, 4000);
	cr_assert_leq(q.cap, 8192u);
	pa_rqueue_drop(&q, q.len);
	cr_assert_null(q.buf, "an empty queue keeps memory");
	cr_assert_eq(q.cap, 0);
}

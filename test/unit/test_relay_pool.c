/* SPDX-License-Identifier: MPL-2.0 */
/* Who gives way when what waits for slow readers fills its budget. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/relay_pool.h"
#include "test/unit/rnd.h"

TestSuite(relay_pool, .timeout = 30);

#define KIB 1024u
static const uint8_t bytes[64 * KIB];

/* So many that wait, each of one owner, all of them in order. */
static void fill(struct pa_rpool *p, struct pa_rpool_queue *q, unsigned n, uint32_t owner, size_t len)
{
	for (unsigned i = 0; i < n; i++) {
		pa_rpool_join(p, &q[i], owner, &q[i]);
		cr_assert(pa_rpool_add(&q[i], bytes, len));
	}
}

static void leave(struct pa_rpool_queue *q, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		pa_rpool_leave(&q[i]);
}

Test(relay_pool, who_has_taken_nothing_for_longest_gives_way)
{
	struct pa_rpool p;
	struct pa_rpool_queue q[5];

	pa_rpool_init(&p, 64 * KIB, NULL, 0);
	fill(&p, q, 4, 0, 16 * KIB);
	pa_rpool_join(&p, &q[4], 0, &q[4]);
	cr_assert_eq(pa_rpool_victim(&q[4], 1), &q[0]);
	pa_rpool_took(&q[0], 1); /* its reader has moved */
	cr_assert_eq(pa_rpool_victim(&q[4], 1), &q[1]);
	pa_rpool_took(&q[2], 100);
	pa_rpool_took(&q[1], 0); /* that is nothing */
	cr_assert_eq(pa_rpool_victim(&q[4], 1), &q[1]);
	pa_rpool_leave(&q[1]);
	cr_assert_null(pa_rpool_victim(&q[4], 16 * KIB));
	cr_assert(pa_rpool_add(&q[4], bytes, 16 * KIB));
	/* 3, 0, 2, 4: what is added behind what waits is no progress of the reader's. */
	pa_rpool_took(&q[3], q[3].q.len);
	cr_assert(pa_rpool_add(&q[3], bytes, 1));
	pa_rpool_leave(&q[0]);
	cr_assert(pa_rpool_add(&q[2], bytes, 200));
	cr_assert_eq(pa_rpool_victim(&q[3], 16 * KIB), &q[2]);
	leave(q, 5);
	cr_assert_eq(p.held, 0);
}

Test(relay_pool, one_that_asks_may_be_the_one)
{
	struct pa_rpool p;
	struct pa_rpool_queue q[2];

	pa_rpool_init(&p, 64 * KIB, NULL, 0);
	fill(&p, q, 2, 0, 32 * KIB);
	cr_assert_eq(pa_rpool_victim(&q[0], 1), &q[0], "the oldest of all is itself");
	cr_assert_eq(pa_rpool_victim(&q[1], 1), &q[0]);
	pa_rpool_leave(&q[0]);
	cr_assert_null(pa_rpool_victim(&q[1], 1));
	pa_rpool_join(&p, &q[0], 0, NULL);
	cr_assert_eq(pa_rpool_victim(&q[0], 65 * KIB), &q[0], "more than there is for all: nobody else has to go for that");
	pa_rpool_leave(&q[1]);
	cr_assert_not(pa_rpool_add(&q[0], bytes, 65 * KIB));
	cr_assert_eq(pa_rpool_victim(&q[0], SIZE_MAX), &q[0]);
	cr_assert_eq(p.held, 0);
}

static void end(void *user)
{
	pa_rpool_leave(user);
}

Test(relay_pool, pieces_end_whom_they_must_and_nobody_else)
{
	uint8_t first[3] = "abc", second[4] = "defg";
	const struct iovec pieces[2] = {{first, 3}, {second, 4}}, large = {(void *)(uintptr_t)bytes, 40 * KIB};
	struct pa_rpool p;
	struct pa_rpool_queue q[3];
	struct iovec iov[2];

	pa_rpool_init(&p, 64 * KIB, NULL, 0);
	fill(&p, q, 2, 0, 32 * KIB);
	pa_rpool_join(&p, &q[2], 0, &q[2]);
	cr_assert(pa_rpool_put(&q[2], pieces, 2, 7, end), "all of it has gone already");
	cr_assert(q[0].q.len > 0 && q[2].q.len == 0);
	cr_assert(pa_rpool_put(&q[2], pieces, 2, 4, end));
	cr_assert(q[0].q.len == 0 && q[1].q.len == 32 * KIB);
	cr_assert_eq(pa_rqueue_peek(&q[2].q, iov), 1);
	cr_assert(iov[0].iov_len == 3 && memcmp(iov[0].iov_base, "efg", 3) == 0);
	cr_assert_not(pa_rpool_put(&q[1], &large, 1, 0, end), "the one that asks has waited for longest");
	cr_assert(q[1].q.len == 0 && q[2].q.len == 3);
	leave(q, 3);
	cr_assert_eq(p.held, 0);
}

Test(relay_pool, who_holds_most_gives_way)
{
	struct pa_rpool_owner owners[4] = {0};
	struct pa_rpool p;
	struct pa_rpool_queue little[1], more[3], other[1];

	pa_rpool_init(&p, 128 * KIB, owners, 4);
	fill(&p, little, 1, 1000, 16 * KIB); /* has waited for longest */
	fill(&p, more, 3, 1001, 32 * KIB);
	pa_rpool_join(&p, other, 1002, NULL);
	cr_assert(pa_rpool_add(other, bytes, 16 * KIB));
	cr_assert_eq(pa_rpool_victim(little, 1), &more[0]);
	cr_assert_eq(pa_rpool_victim(other, 1), &more[0]);
	cr_assert_eq(pa_rpool_victim(&more[2], 1), &more[0], "the oldest of its own");
	pa_rpool_leave(&more[0]);
	pa_rpool_leave(&more[1]);
	/* 16 and 32 and 16: with what it asks for it is the largest. */
	cr_assert_null(pa_rpool_victim(other, 32 * KIB));
	cr_assert_eq(pa_rpool_victim(other, 100 * KIB), other);
	pa_rpool_leave(&more[2]);
	leave(little, 1);
	leave(other, 1);
	cr_assert_eq(p.held, 0);
}

Test(relay_pool, places_are_free_again_and_the_last_one_is_shared)
{
	struct pa_rpool_owner owners[2] = {0};
	struct pa_rpool p;
	struct pa_rpool_queue a[1], b[1], c[1], d[1];

	pa_rpool_init(&p, 56 * KIB, owners, 2);
	fill(&p, a, 1, 1, 8 * KIB);
	fill(&p, b, 1, 2, 16 * KIB);
	fill(&p, c, 1, 3, 16 * KIB);
	fill(&p, d, 1, 4, 16 * KIB);
	cr_assert_eq(p.others.held, 32 * KIB, "the third and the fourth are in one");
	cr_assert_eq(pa_rpool_victim(a, 1), c, "which holds most");
	leave(a, 1);
	leave(c, 1);
	leave(d, 1);
	fill(&p, c, 1, 3, 16 * KIB);
	cr_assert_eq(p.others.held, 0);
	leave(b, 1);
	leave(c, 1);
	cr_assert_eq(owners[0].held + owners[1].held + p.held, 0);
}

Test(relay_pool, memory_counts_and_not_what_is_in_it)
{
	struct pa_rpool p;
	struct pa_rpool_queue q[2];

	pa_rpool_init(&p, 64 * KIB, NULL, 0);
	fill(&p, q, 1, 0, 33 * KIB);
	cr_assert_eq(p.held, 64 * KIB);
	cr_assert_eq(q[0].q.cap, p.held);
	cr_assert_null(pa_rpool_victim(q, 31 * KIB), "it has that already");
	pa_rpool_took(&q[0], 33 * KIB - 1);
	cr_assert_eq(p.held, 64 * KIB, "one octet holds all of it");
	pa_rpool_join(&p, &q[1], 0, NULL);
	cr_assert_eq(pa_rpool_victim(&q[1], 1), &q[0]);
	cr_assert_not(pa_rpool_add(&q[1], bytes, 1));
	cr_assert_null(q[1].q.buf);
	pa_rpool_took(&q[0], 1);
	cr_assert_eq(p.held, 0);
	cr_assert(pa_rpool_add(&q[1], bytes, 0));
	cr_assert_eq(p.held, 0);
	leave(q, 2);
	pa_rpool_leave(&(struct pa_rpool_queue){0});
}

/* ---------------------------------------------------------------- the same by looking at everything */

#define QUEUES 40
#define OWNERS 6

struct model {
	struct pa_rpool p;
	struct pa_rpool_owner owners[OWNERS];
	struct pa_rpool_queue q[QUEUES];
	uint64_t moved[QUEUES]; /* when its reader took something, or it began to wait */
	uint64_t now;
};

static size_t held_by(const struct model *m, uint32_t owner)
{
	size_t held = 0;

	for (unsigned i = 0; i < QUEUES; i++)
		held += m->q[i].owner == owner ? m->q[i].q.cap : 0;
	return held;
}

static size_t held_by_all(const struct model *m)
{
	size_t held = 0;

	for (unsigned i = 0; i < QUEUES; i++)
		held += m->q[i].q.cap;
	return held;
}

static unsigned oldest_of(const struct model *m, uint32_t owner)
{
	unsigned oldest = QUEUES;

	for (unsigned i = 0; i < QUEUES; i++)
		if (m->q[i].owner == owner && m->q[i].q.len > 0 && (oldest == QUEUES || m->moved[i] < m->moved[oldest]))
			oldest = i;
	return oldest;
}

/* Of owners that hold the same any may be chosen, but for who asks. */
static void check_victim(const struct model *m, unsigned asks, size_t need, const struct pa_rpool_queue *victim)
{
	const struct pa_rpool_queue *q = &m->q[asks];
	size_t own = held_by(m, q->owner) + need, its = victim->owner == q->owner ? own : held_by(m, victim->owner);
	unsigned oldest = oldest_of(m, victim->owner);

	for (uint32_t owner = 0; owner < OWNERS; owner++)
		cr_assert_geq(its, held_by(m, owner), "another one holds more");
	cr_assert(victim->owner == q->owner || its > own);
	cr_assert_eq(victim, oldest < QUEUES ? &m->q[oldest] : q);
}

static void add(struct model *m, unsigned i, size_t len)
{
	size_t need = pa_rqueue_need(&m->q[i].q, len);
	struct pa_rpool_queue *victim;
	bool waited;

	while ((victim = pa_rpool_victim(&m->q[i], len)) != NULL) {
		cr_assert_gt(need, m->p.budget - held_by_all(m));
		check_victim(m, i, need, victim);
		pa_rpool_leave(victim);
		if (victim == &m->q[i])
			return;
	}
	cr_assert_leq(need, m->p.budget - held_by_all(m));
	waited = m->q[i].q.len > 0;
	cr_assert(pa_rpool_add(&m->q[i], bytes, len));
	if (!waited)
		m->moved[i] = m->now;
}

Test(relay_pool, as_one_that_looks_at_everything)
{
	struct model *m = calloc(1, sizeof(*m));
	struct rnd r = rnd_seed(20261123);
	unsigned full = 0;

	cr_assert_not_null(m);
	pa_rpool_init(&m->p, 256 * KIB, m->owners, OWNERS);
	for (unsigned i = 0; i < QUEUES; i++)
		pa_rpool_join(&m->p, &m->q[i], i * i % OWNERS, NULL);
	for (m->now = 1; m->now < 100000; m->now++) {
		unsigned i = rnd_below(&r, QUEUES), what = rnd_below(&r, 16);
		size_t len = m->q[i].q.len;

		if (what == 0) {
			pa_rpool_leave(&m->q[i]);
		} else if (what < 8) {
			add(m, i, rnd_below(&r, rnd_below(&r, 8) == 0 ? sizeof(bytes) : 2000));
		} else if (len > 0) {
			size_t n = rnd_below(&r, 2) == 0 ? len : 1 + rnd_below(&r, (uint32_t)len);

			pa_rpool_took(&m->q[i], n);
			m->moved[i] = m->now;
		}
		cr_assert_eq(m->p.held, held_by_all(m));
		cr_assert_leq(m->p.held, m->p.budget);
		full += m->p.held > m->p.budget / 2;
	}
	cr_assert_gt(full, 10000u, "it was hardly ever full");
	leave(m->q, QUEUES);
	cr_assert_eq(m->p.held, 0);
	for (unsigned i = 0; i < OWNERS; i++)
		cr_assert_null(m->owners[i].first);
	free(m);
}

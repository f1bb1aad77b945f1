/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_RND_H
#define PA_TEST_RND_H

#include <stddef.h>
#include <stdint.h>

/*
 * Random values for property tests, the same in every run: a test that fails fails again (splitmix64, Steele et al. 2014).
 * A value type; any thread, one at a time.
 */
struct rnd {
	uint64_t state;
};

static inline struct rnd rnd_seed(uint64_t seed)
{
	struct rnd r = {seed};

	return r;
}

static inline uint64_t rnd_next(struct rnd *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* From 0 to n - 1; n > 0. */
static inline uint32_t rnd_below(struct rnd *r, uint32_t n)
{
	return (uint32_t)(rnd_next(r) % n);
}

static inline void rnd_fill(struct rnd *r, uint8_t *dst, size_t len)
{
	for (size_t i = 0; i < len; i++)
		dst[i] = (uint8_t)rnd_next(r);
}

#endif

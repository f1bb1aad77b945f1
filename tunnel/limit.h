/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_LIMIT_H
#define PA_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

/*
 * Rate limits for answers to what nobody has vouched for. A limiter of sources is a fixed table indexed by a keyed hash
 * of the source's prefix: it never allocates, sources that share a slot share their budget, and without the key nobody can choose
 * whose slot he exhausts. Pure; one thread.
 */
#define PA_LIMIT_SLOTS 1024
#define PA_LIMIT_KEY_LEN 16

struct pa_limit {
	uint8_t key[PA_LIMIT_KEY_LEN];
	uint32_t interval_ms; /* one answer each */
	uint32_t burst;	      /* so many at once */
	uint64_t tat[PA_LIMIT_SLOTS];
};

/* key: random, copied. */
void pa_limit_init(struct pa_limit *l, const uint8_t key[PA_LIMIT_KEY_LEN], uint32_t interval_ms, uint32_t burst);
/* True if an answer to source (its /24, or /56 for IPv6) may be sent at boot time now_ms; takes it from the budget. */
bool pa_limit_source(struct pa_limit *l, uint64_t now_ms, const struct pa_addr *source);
/*
 * The same for one thing whose state is *tat (initially 0): the theoretical arrival time of the generic cell rate
 * algorithm (ITU-T I.371), one number where a token bucket needs two. Both times may be in another unit, the same one.
 */
bool pa_limit_one(uint64_t *tat, uint64_t now_ms, uint32_t interval_ms, uint32_t burst);

#endif

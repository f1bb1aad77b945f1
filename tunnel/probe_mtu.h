/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PROBE_MTU_H
#define PA_PROBE_MTU_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The search for the largest packet that passes a path: several sizes at once in each round, because a size that does not
 * pass costs a timeout. A value type; pure; any thread.
 */
struct pa_mtu_search {
	uint16_t low;  /* passes: known, or taken for granted at the start */
	uint16_t high; /* does not pass */
	bool first;    /* the first round tries the largest alone, for mostly it passes */
};

#define PA_MTU_ROUND 8

/* Searches from 576, which every path passes (RFC 1122, section 3.3.3), to the link's MTU. */
void pa_mtu_start(struct pa_mtu_search *s, uint16_t link_mtu);
/* The sizes of the next round, rising. Returns how many; 0: the search is over, and low is the answer. */
unsigned pa_mtu_next(const struct pa_mtu_search *s, uint16_t ret[PA_MTU_ROUND]);
/* What became of the round's sizes. A size that passed makes failures below it losses of chance. */
void pa_mtu_learn(struct pa_mtu_search *s, const uint16_t *sizes, const bool *passed, unsigned n);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_LINES_H
#define PA_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

/*
 * How many lines of the log are written about what others do, for who does it a thousand times a second must not fill the disk: of a
 * storm it is enough to know that there is one. A value type, initially zero. Pure; one thread.
 */
struct pa_lines {
	uint64_t tat_us;  /* boot time, see pa_limit_one */
	unsigned held;	  /* lines that were not written since that was told last */
	uint64_t told_ms; /* boot time */
};

/* One more; per_s: so many a second, burst at once. False: not that one, which is counted. */
bool pa_lines_take(struct pa_lines *l, uint32_t per_s, uint32_t burst, struct pa_now now);
/* The same where the line itself tells how many before it were held back (*ret_held, untouched on false), which are then forgotten. */
bool pa_lines_take_telling(struct pa_lines *l, uint32_t per_s, uint32_t burst, struct pa_now now, unsigned *ret_held);
/* How many were held back, at most once a second and then from zero; 0: nothing to tell now. */
unsigned pa_lines_held(struct pa_lines *l, struct pa_now now);
/* The same of a count that is kept elsewhere, and when it was told. */
unsigned pa_held_tell(unsigned *held, uint64_t *told_ms, struct pa_now now);

#endif

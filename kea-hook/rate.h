/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_HOOK_RATE_H
#define PA_HOOK_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define PA_RATE_BURST 5	       /* log lines */
#define PA_RATE_WINDOW_MS 60000 /* in this time */

/*
 * Limits one kind of log line to PA_RATE_BURST in PA_RATE_WINDOW_MS. A value type, all zero at first. Pure; the caller
 * serialises.
 */
struct pa_rate {
	uint64_t start_ms;
	unsigned passed;
	unsigned held;
};

/* True if a line may be logged at now_ms; *ret_held is then the number of lines held back since the last one. */
bool pa_rate_pass(struct pa_rate *r, uint64_t now_ms, unsigned *ret_held);

#endif

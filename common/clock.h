/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CLOCK_H
#define PA_CLOCK_H

#include <stdint.h>

/* The two clocks that pure modules are told: CLOCK_BOOTTIME for running timers, Unix time for expiries. Milliseconds. */
struct pa_now {
	uint64_t boot_ms;
	uint64_t unix_ms;
	uint16_t boot_us; /* microseconds beyond boot_ms, 0..999: only for measuring round trips */
};

/* Asks the system. For edges only (edge_clock.c); tests make up their own. */
struct pa_now pa_now_get(void);

#endif

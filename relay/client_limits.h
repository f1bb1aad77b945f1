/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CLIENT_LIMITS_H
#define PA_CLIENT_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

/*
 * How often a client of the relay server may have what costs the server something, and how many lines of the log
 * clients are worth. A value type, initially zero. Pure; one thread.
 */
enum pa_relay_limit {
	PA_RELAY_LIMIT_OPEN,	/* a socket; its rate is the operator's to set */
	PA_RELAY_LIMIT_RESOLVE, /* a name: one of few workers may be busy for seconds */
	PA_RELAY_LIMIT_RESUME,	/* up to PA_RELAY_RING bytes are sent again */
	PA_RELAY_LIMIT_LINE,	/* of the log, about one client's sessions */
	PA_RELAY_LIMIT_LINES,	/* and about all of them */
	PA_RELAY_LIMIT_CLIENT,	/* of the log, about clients that come and go; all may come back at once */
	PA_RELAY_LIMIT_REFUSAL, /* of the log, about who proved a grant and is not served */
	PA_RELAY_LIMIT_STRANGER, /* TLS handshakes, of all */
	PA_RELAY_LIMITS
};

/* Bytes that a client's link keeps until they are acknowledged. */
#define PA_RELAY_RING (4u << 20)
/* Bytes that the windows of a client's sessions grow by, all together. */
#define PA_RELAY_GROWN (16u << 20)

struct pa_relay_limits {
	uint64_t tat_us[PA_RELAY_LIMITS]; /* boot time, see pa_limit_one */
	unsigned held;			  /* lines that were not logged since they were last told of */
	uint64_t told_ms;		  /* boot time */
};

/* One more; per_s: so many a second, as many at once (only OPEN's is not built in), 0: any number. False: not now. */
bool pa_relay_limit_take(struct pa_relay_limits *l, enum pa_relay_limit what, uint32_t per_s, struct pa_now now);
/* The built-in rate of what, a second; 0 for OPEN. */
uint32_t pa_relay_limit_rate(enum pa_relay_limit what);
/* How many lines were held back, at most once a second and then from zero; 0: nothing to tell now. */
unsigned pa_relay_limit_held(struct pa_relay_limits *l, struct pa_now now);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_KEEP_LEARN_H
#define PA_KEEP_LEARN_H

#include <stdint.h>

#include "common/clock.h"
#include "common/proto.h"

/*
 * How long the keepalive interval may be: learns for how long the NAT holds a mapping over which nothing is sent. It is never tried
 * with the tunnel's own mapping: a NAT that forgets it and then gives the same port again leaves no trace that either end could
 * see, while P is out of reach for a part of each interval. Instead trials: a socket of its own is silent for a while, and then
 * the gateway sends to it (PROBE with a delay, pubaddr-protocol(7)). This module says which silence to try next and what follows;
 * who uses it makes the trials (probe.h, pa_probe_start_life). Pure; a value type; seconds unless it says ms.
 *
 * Until something was learned the interval is the shortest, so P is out of reach for no time as long as the NAT holds mappings for
 * PA_LEARN_SILENCE(15) = 19 s. Should the NAT hold them for a shorter time than it did, the next check finds it within PA_LEARN_CHECK_MS.
 */
struct pa_learn {
	uint16_t bound;	  /* the longest interval that may be: of grant and gateway; 0: nothing is learned */
	uint16_t good;	  /* the longest interval for which a trial has shown that it can be; 0: none */
	uint16_t bad;	  /* the shortest for which one has shown that it cannot; 0: none */
	uint16_t trying;  /* the interval that the running trial is about; 0: none runs */
	uint16_t doubted; /* the interval of the last trial, if that has failed: a packet may have been lost, so it is repeated */
	unsigned voids;	  /* trials in a row that told nothing */
	unsigned checks;  /* that found what was known */
	uint64_t next_ms; /* boot time of the next trial */
};

enum pa_learn_result {
	PA_LEARN_HELD, /* the answer came after the silence */
	PA_LEARN_LOST, /* it was promised and did not come, while the tunnel worked */
	PA_LEARN_VOID, /* nothing can be said: the gateway has no room, another session, the path is down */
};

#define PA_LEARN_CHECK_MS 3600000 /* what was learned is tried again so often, sooner by up to a tenth */
#define PA_LEARN_UNKNOWN 25	  /* the interval, at most, where trials are not possible: PA_KEEPALIVE_DEFAULT */
/* The silence that an interval needs: a KEEPALIVE may be late by the first repeats, and the hosts' clocks are not the NAT's. */
#define PA_LEARN_SILENCE(interval) ((uint16_t)((interval) + (interval) / 10 + 3))

/* A binding behind a NAT, or by a way, of which nothing is known. bound: PA_KEEPALIVE_MIN .. PA_KEEPALIVE_MAX. random: any number. */
void pa_learn_begin(struct pa_learn *l, struct pa_now now, uint16_t bound, uint16_t random);
/* The bound has changed, by another grant or gateway; what was learned of the NAT stays. */
void pa_learn_bound(struct pa_learn *l, struct pa_now now, uint16_t bound);
/* The mapping has changed though we did nothing: what was learned may be of the past. */
void pa_learn_moved(struct pa_learn *l, struct pa_now now, uint16_t random);

/* The interval to use now, 15 .. bound; 0: nothing is learned, the binding's counts. */
uint16_t pa_learn_interval(const struct pa_learn *l);
/* The silence to try now; 0: none now, or one is being tried. It then waits for pa_learn_result. */
uint16_t pa_learn_trial(struct pa_learn *l, struct pa_now now);
/* What became of the trial. random: spreads the next one. */
void pa_learn_result(struct pa_learn *l, struct pa_now now, enum pa_learn_result result, uint16_t random);

#endif

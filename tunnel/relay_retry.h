/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_RETRY_H
#define PA_RELAY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When the relay's server is tried again: at once after a connection that had stood for a while, then after PA_RRETRY_MIN_MS, and twice as
 * long each time. That a server has taken the grant proves nothing: one that takes it and ends the connection each time is waited for like
 * one that is not there. Half of each wait is left to chance, for a server that dies has many clients. A value type, initially zero: no
 * attempt has failed. Pure; times are boot time in ms.
 *
 * And whether it is known to refuse, so that nobody need wait for it: by each attempt of the last PA_RRETRY_SURE_MS, for one that is just
 * being restarted refuses, too.
 */
struct pa_rretry {
	uint64_t up_ms;	  /* since when the connection stands; 0: it does not */
	uint64_t next_ms; /* no attempt before that */
	uint64_t refused_ms; /* since when each attempt was refused; 0: the last one was not */
	uint32_t step_ms; /* of the next wait, before it is cut and left to chance */
};

#define PA_RRETRY_STEADY_MS 5000    /* a connection that stood for so long was a good one */
#define PA_RRETRY_MIN_MS 250	    /* the first wait */
#define PA_RRETRY_URGENT_MAX_MS 2000 /* the longest while sessions wait: they are kept for PA_RELAY_HOLD_S, and resumed within 5 s */
#define PA_RRETRY_MAX_MS 8000	    /* the longest otherwise */
#define PA_RRETRY_ATTEMPT_MS 5000   /* until both ends are proved, or the attempt has failed */
#define PA_RRETRY_SURE_MS 1000

/* The connection stands, both ends proved. */
void pa_rretry_up(struct pa_rretry *r, uint64_t now_ms);
/* It is lost, or an attempt has failed; refused: by a no, not by silence. urgent: sessions wait for it. random: any number. */
void pa_rretry_lost(struct pa_rretry *r, uint64_t now_ms, bool refused, bool urgent, uint16_t random);
/* May the next attempt begin? */
bool pa_rretry_due(const struct pa_rretry *r, uint64_t now_ms);
/* Is the server known to refuse? Not any more once an attempt that should have been made since is not. */
bool pa_rretry_refused(const struct pa_rretry *r, uint64_t now_ms);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PMTU_H
#define PA_PMTU_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "tunnel/probe_mtu.h"

/*
 * How large inner packets may be on the tunnel's path: Datagram Packetization Layer Path MTU Discovery (RFC 8899), its states and
 * its timers. Sizes are those of inner packets in octets, which are the UDP payload. A value type; pure; one thread.
 *
 * What differs from the RFC's text, and why:
 * - Several sizes of a search are probed at once (probe_mtu.h), at most PA_MTU_ROUND, a burst like TCP's first (RFC 6928).
 * - A probe and its answer have the same size, so one number holds for both directions: the smaller one.
 * - A black hole (section 4.3) is found by probes alone, for UDP confirms nothing else: while data is carried the present size is
 *   confirmed every few seconds. It counts only if BASE_PLPMTU does pass meanwhile; when nothing passes, size is not the reason.
 * - The first attempt to grow again is made sooner than after 600 s (PMTU_RAISE_TIMER, section 5.1.1), for what shrank may only have
 *   been on a detour. The time doubles until it is that long.
 */
enum pa_pmtu_state {
	PA_PMTU_DISABLED, /* not started */
	PA_PMTU_BASE,	  /* is there a path that carries BASE_PLPMTU? */
	PA_PMTU_SEARCHING,
	PA_PMTU_COMPLETE,
	PA_PMTU_ERROR, /* not even BASE_PLPMTU passes */
};

enum pa_pmtu_phase { PA_PMTU_QUIET, PA_PMTU_ASK_BASE, PA_PMTU_ASK_SEARCH, PA_PMTU_CONFIRM, PA_PMTU_RAISE };

#define PA_PMTU_TRIES 3		    /* MAX_PROBES, section 5.1.2 */
#define PA_PMTU_TRY_MS 500	    /* PROBE_TIMER: three round trips, but at least this */
#define PA_PMTU_TRY_MAX_MS 3000	    /* and at most this */
#define PA_PMTU_CONFIRM_MS 3000	    /* CONFIRMATION_TIMER, while data is carried */
#define PA_PMTU_RAISE_MS 15000	    /* the first attempt to grow */
#define PA_PMTU_RAISE_MAX_MS 600000 /* PMTU_RAISE_TIMER */
#define PA_PMTU_ERROR_MS 10000	    /* a dead path is looked at again */

struct pa_pmtu {
	enum pa_pmtu_state state;
	enum pa_pmtu_phase phase;
	uint16_t mtu; /* in force: PLPMTU */
	uint16_t max; /* MAX_PLPMTU */
	struct pa_mtu_search search;
	uint16_t sizes[PA_MTU_ROUND]; /* asked for in this phase, rising */
	bool passed[PA_MTU_ROUND];
	unsigned n, tries;
	uint64_t next_ms;  /* boot time: the next try of this phase, or its end */
	uint64_t look_ms;  /* QUIET: when to look whether data is carried */
	uint64_t raise_ms; /* QUIET: when to try a larger one */
	uint32_t raise_wait_ms;
	uint64_t carried, confirmed; /* octets of data so far; at the last confirmation */
	unsigned black_holes;	     /* found so far */
};

/*
 * Begins on a path, new or changed. max: what interface, grant and gateway allow, at least PA_MTU_MIN. known: what was in force
 * on what may be the same path, and stays so until probes say otherwise; 0: begin with BASE_PLPMTU, PA_MTU_MIN.
 */
void pa_pmtu_start(struct pa_pmtu *m, struct pa_now now, uint16_t known, uint16_t max);
/* Back to DISABLED. */
void pa_pmtu_stop(struct pa_pmtu *m);
/* Another max on the same path: applies at once if it is lower, is searched for if it is higher. */
void pa_pmtu_limit(struct pa_pmtu *m, struct pa_now now, uint16_t max);
/* The path may be another one now, or carries again: confirm at once. */
void pa_pmtu_suspect(struct pa_pmtu *m, struct pa_now now);
/* Octets of data carried so far, both directions. A number that falls begins anew. */
void pa_pmtu_carried(struct pa_pmtu *m, uint64_t octets);
/* A probe of this size came back. */
void pa_pmtu_passed(struct pa_pmtu *m, struct pa_now now, uint16_t size);
/*
 * What is due: the sizes to send a probe of, now, each once. Returns how many. rtt_us: the smoothed round-trip time, 0: not
 * known. Call until it returns 0. *ret_next: boot time (ms) at which to call again at the latest; UINT64_MAX: nothing to wait for.
 */
unsigned pa_pmtu_due(struct pa_pmtu *m, struct pa_now now, uint32_t rtt_us, uint16_t ret[PA_MTU_ROUND], uint64_t *ret_next);

/* "searching" and so on. Static. */
const char *pa_pmtu_state_name(enum pa_pmtu_state state);

#endif

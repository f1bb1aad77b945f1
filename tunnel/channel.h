/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CHANNEL_H
#define PA_CHANNEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "tunnel/floors.h"
#include "tunnel/gw.h"

/*
 * The gateway's end of its channel to the broker (pubaddr-protocol(7), ONE HOLDER AT A TIME): what to ask, what to make of
 * the answers, what to report. Pure: who carries the commands and writes the floors to the disk is the edge's business
 * (broker_link_edge.c). In this order: ask with pa_channel_sync, take the answer; if floors changed, write them, fsync, and
 * say pa_channel_stored; only then ask again, for the number in the next question acknowledges. One thread.
 */
struct pa_channel;

#define PA_CHANNEL_WAIT 20 /* seconds that the broker may hold a question back when there is no news */

enum pa_channel_result {
	PA_CHANNEL_IDLE = 0,	/* nothing new */
	PA_CHANNEL_STORE = 1,	/* floors, number or both changed: store them, then ask again */
};

struct pa_channel_status {
	uint64_t number;    /* of the revocation log, as the floors have it */
	uint64_t stored;    /* as the disk has it: what is acknowledged */
	bool synced;
	bool has_skew;
	int64_t skew_ms;    /* the broker's clock less ours, at the last answer */
	bool skewed;	    /* beyond PA_CLOCK_SKEW_MAX */
	uint64_t synced_ms; /* boot time of the last answer; 0: none yet */
	size_t unreported;
	int drain; /* the last answer wants the gateway emptied: 1, not any more: 0, or says nothing of it: -1 */
};

/* name is copied; floors, as they are on the disk, and gw are borrowed until free. PA_ENOMEM. */
int pa_channel_new(const char *name, struct pa_floors *floors, struct pa_gw *gw, struct pa_channel **ret);
void pa_channel_free(struct pa_channel *ch);

/* A new connection: every binding has to be reported again. */
void pa_channel_connected(struct pa_channel *ch);
/* Arguments of gateway-sync. NULL without memory. wait: the broker may hold the question back. */
json_t *pa_channel_sync(struct pa_channel *ch, struct pa_now now, bool wait);
/*
 * Takes the arguments of a successful answer: raises floors and ends the bindings below them. An enum pa_channel_result, or
 * PA_EFORMAT (what was good in it has been taken, the number has not), or PA_ENOMEM.
 */
int pa_channel_answer(struct pa_channel *ch, struct pa_now now, const json_t *arguments);
/* The floors, as they were when pa_channel_answer returned, are on the disk. number: pa_floors_number at that moment. */
void pa_channel_stored(struct pa_channel *ch, uint64_t number);

/* A client has bound here, or anew. */
void pa_channel_bound(struct pa_channel *ch, const struct pa_gw_binding *b);
/* Arguments of gateway-report; NULL: nothing to report, or no memory. Repeats the same until _reported. */
json_t *pa_channel_report(struct pa_channel *ch);
void pa_channel_reported(struct pa_channel *ch);

void pa_channel_status_get(const struct pa_channel *ch, struct pa_channel_status *ret);

#endif

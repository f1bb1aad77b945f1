/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DEMAND_H
#define PA_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When an address on demand is asked for, asked for again, and given back (pubaddr-protocol(7), ON DEMAND). Pure: no I/O, no clock; what
 * is to be done is handed to ops, which must not call back. Times are boot milliseconds. One thread.
 */
struct pa_demand;

#define PA_DEMAND_RETRY_MS 100	    /* the first repetition of an INFORM, doubling: the server has asked its broker by then */
#define PA_DEMAND_RETRY_MAX_MS 1600
#define PA_DEMAND_ASK_MS 5000	    /* so long is asked */
#define PA_DEMAND_PAUSE_MS 500	    /* before it is asked anew, for whoever still or again needs it; doubling */
#define PA_DEMAND_PAUSE_MAX_MS 60000
#define PA_DEMAND_RENEW_MIN_MS 10000
#define PA_DEMAND_RELEASE_TRIES 6

enum pa_demand_state {
	PA_DEMAND_IDLE,	     /* nobody needs an address, or DHCP has brought one */
	PA_DEMAND_ASKING,
	PA_DEMAND_HELD,	     /* by somebody's demand */
	PA_DEMAND_LINGERING, /* still there, nobody needs it */
	PA_DEMAND_RELEASING, /* the host has it no more, the server has not confirmed that */
	PA_DEMAND_PAUSING,   /* nobody gave one */
};

struct pa_demand_ops {
	/* Sends the INFORM. round: another one is another question (and transaction); attempt: from 0. */
	void (*ask)(void *ctx, unsigned round, unsigned attempt);
	/* Sends the one that gives the grant back. */
	void (*release)(void *ctx, unsigned round, unsigned attempt);
	/* Nobody gave an address: tell who waits. */
	void (*failed)(void *ctx);
	/* The grant is not needed any more: end it on this host. release follows. */
	void (*end)(void *ctx);
	/* For the log: the state has changed. */
	void (*event)(void *ctx, enum pa_demand_state state);
};

/* ops: static. linger_ms: how long a grant stays after the last user. NULL without memory. */
struct pa_demand *pa_demand_new(const struct pa_demand_ops *ops, void *ctx, uint64_t linger_ms);
void pa_demand_free(struct pa_demand *d);

/* How many need an address now, and whether DHCP has brought one by itself. */
void pa_demand_users(struct pa_demand *d, uint64_t now, unsigned users, bool otherwise);
/* A grant came by INFORM and was accepted, or one of a former process was adopted: it ends at expires_ms. */
void pa_demand_granted(struct pa_demand *d, uint64_t now, uint64_t expires_ms);
/* Whatever grant there was has ended, not by us. */
void pa_demand_lost(struct pa_demand *d, uint64_t now);
/* The grant is DHCP's own now: it is not ours to give back. */
void pa_demand_taken_over(struct pa_demand *d);
/* The release was confirmed. */
void pa_demand_released(struct pa_demand *d, uint64_t now);
/* Does what is due. Returns when to come again, UINT64_MAX: never. */
uint64_t pa_demand_tick(struct pa_demand *d, uint64_t now);

enum pa_demand_state pa_demand_state_of(const struct pa_demand *d);
/* "idle", "asking", ...; static. */
const char *pa_demand_state_name(enum pa_demand_state state);

#endif

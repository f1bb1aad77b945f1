/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_REVOKE_H
#define PA_BROKER_REVOKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/brokerconf.h"
#include "broker/lease.h"

/*
 * The revocation log: every lease that ends gets a number, max(last + 1, Unix ms), kept in its row (pa_lease.revoked), and
 * gateways are told of it in that order. Only the newest revocation of an address counts, for floors never sink, so the log
 * is compact by itself: it can be continued from any number, and from 0 it is the snapshot of all floors. A number from the
 * clock also goes on above what was handed out before, should an older copy of the store be put in place.
 *
 * And per configured gateway the number up to which it has all of it on its disk. Pure; one thread at a time.
 */
struct pa_revoke;

/* An acknowledgement as it is stored. */
struct pa_ack {
	char name[PA_NAME_MAX + 1];
	uint64_t number;
};

/* NULL without memory. */
struct pa_revoke *pa_revoke_new(void);
void pa_revoke_free(struct pa_revoke *r);
/* Makes room for n more entries, so that append cannot fail. 0 or PA_ENOMEM. */
int pa_revoke_reserve(struct pa_revoke *r, size_t n);
/* The number for a revocation now (Unix ms). */
uint64_t pa_revoke_next(struct pa_revoke *r, uint64_t now);
/*
 * True if nobody was ever told this number: it is above all that were loaded and below the first that was given since, or above the
 * head. Who has it was told by a broker whose log this one has not.
 */
bool pa_revoke_is_strange(const struct pa_revoke *r, uint64_t number);
/*
 * Takes a row with its number in row->revoked into the log, in any order; what the log had of this row counts no more. The
 * row is borrowed for as long as the log lives. Room must be reserved.
 */
void pa_revoke_append(struct pa_revoke *r, const struct pa_lease *row);
/* The highest number; 0: nothing was ever revoked. */
uint64_t pa_revoke_head(const struct pa_revoke *r);
/* Up to max rows with numbers above from, in order. Returns how many; borrowed until the next append. */
size_t pa_revoke_since(struct pa_revoke *r, uint64_t from, const struct pa_lease **ret, size_t max);

/* The gateways of conf (copied); what was acknowledged by those that stay, stays. 0, or PA_ENOMEM with nothing changed. */
int pa_revoke_configure(struct pa_revoke *r, const struct pa_brokerconf *conf);
/*
 * The gateway has everything up to number on its disk, and, as it may have lost its disk, no more than that; a number
 * above the head is of another log and counts as 0. 0, or PA_ENOTFOUND: no such gateway is configured.
 */
int pa_revoke_ack(struct pa_revoke *r, const char *name, uint64_t number);
/* The number up to which every configured gateway has everything; 0 when none is configured. */
uint64_t pa_revoke_acked(const struct pa_revoke *r);
/* All gateways, borrowed until the next configure. Returns how many. */
size_t pa_revoke_acks(const struct pa_revoke *r, const struct pa_ack **ret);

#endif

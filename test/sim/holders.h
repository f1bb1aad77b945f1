/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_HOLDERS_H
#define PA_TEST_HOLDERS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A model of one broker, two gateways and four clients that want two addresses, made of the real pure modules: the
 * broker's commands and lease table, the revocation log, the gateways' channel, floors and core, the clients' messages. The
 * model brings clocks, disks that keep what was written and synced, and faults. Everything follows from the seed.
 */
enum holders_mutant {
	HOLDERS_INTACT = 0,
	HOLDERS_NO_EPOCH_CHECK,	 /* gateways acknowledge floors and do not look at them */
	HOLDERS_NO_QUARANTINE,	 /* the broker gives an address away at once */
	HOLDERS_NO_ACK_RULE,	 /* the broker takes for granted that every gateway knows */
};

/* What a history saw, so that a test can tell that it is worth something. */
struct holders_counts {
	unsigned steps, faults, grants, handovers, bindings, refused_epoch, refused_unsynced, acked_reuse, adopted, reclaimed;
	/* faults by kind */
	unsigned partitions, gateway_kills, runtimes_lost, torn_writes, disks_lost, broker_kills, lost_replies, clock_steps;
};

#define HOLDERS_TEXT 256

/*
 * Runs the history of this seed, with at least 5 faults. Returns true if at every step at most one client was served by
 * each address, no address went to another client before it had rested, and nothing acknowledged was lost; else false with
 * what went wrong in text. counts is added to.
 */
bool holders_run(uint64_t seed, enum holders_mutant mutant, struct holders_counts *counts, char text[HOLDERS_TEXT]);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_LEASE_POOL_H
#define PA_BROKER_LEASE_POOL_H

#include "broker/heap.h"
#include "broker/index.h"
#include "broker/lease.h"
#include "broker/revoke.h"
#include "broker/subnet.h"

/* The inside of the lease table, shared by lease.c (the rules), lease_pool.c (the structures) and lease_page.c. */

/* One configured pool at run time. Every row of the pool is in exactly one of: table's active heap, resting, rested; a reserved one that
 * is not active is in none of them, for nobody is to find it. */
struct pool {
	const struct pa_pool_conf *conf;
	uint64_t next;	/* no address below this number was never used */
	uint64_t rows;	/* addresses of the pool that have a row */
	uint64_t reserved_rows; /* those of them that are reserved */
	uint64_t active;
	struct pa_heap resting; /* by the time from which others may have it */
	struct pa_heap rested;	/* by the time its last lease ended */
	struct pa_heap unbound; /* active ones that no gateway has reported, by the time they were given; items are entry.waiting */
	bool told; /* every gateway has told what it knows, for the recovery */
};

struct entry {
	struct pa_heap_item item; /* first: a heap's item is its entry */
	struct pa_heap *heap;	  /* the one that item is in, or NULL */
	struct pa_heap_item waiting; /* in the pool's heap of unbound ones */
	struct pool *pool;	  /* NULL: its address is in no pool now, or excluded */
	const struct pa_reservation *reserved; /* of its address in the present configuration, or NULL */
	struct pa_subnet *subnet; /* the subnet that the address counts for (subnet.h), or NULL */
	bool dirty;		  /* is among the changes */
	struct pa_lease row;
};

struct pa_lease_table {
	const struct pa_brokerconf *conf;
	struct pool *pools; /* as in conf */
	struct pa_heap active; /* by expiry */
	struct pa_index by_addr, by_ident; /* by_ident: the latest row of each client */
	struct entry **order; /* all entries; the first n_sorted in the order of their addresses */
	size_t n, n_sorted, cap;
	const struct pa_lease **changes;
	size_t n_changes, cap_changes;
	struct pa_revoke *revocations;
	struct pa_subnets *subnets;
	struct pa_recovery *recoveries; /* one for each pool that ever had one, configured now or not */
	size_t n_recoveries;
	bool recoveries_changed;
	uint64_t next_serial;
	uint8_t seed[16];
};

/* Makes room for one more entry and `changes` more changes and revocations, so that what follows cannot fail. 0 or PA_ENOMEM. */
int pa_table_reserve(struct pa_lease_table *t, size_t changes);
/* A new entry for addr, in no heap and with no client yet. Room must be reserved. NULL without memory. */
struct entry *pa_table_add(struct pa_lease_table *t, const struct pa_addr *addr);
/*
 * Puts the entry into the heap that its row's state and times ask for, and counts it for its subnet, which must be known
 * (pa_subnets_get) to be counted. Infallible.
 */
void pa_table_place(struct pa_lease_table *t, struct entry *e);
/* Remembers the change. Room must be reserved. */
void pa_table_mark(struct pa_lease_table *t, struct entry *e);
/* Gives the row to a client: takes the former one's reference away, makes the row the new one's latest. */
void pa_table_set_ident(struct pa_lease_table *t, struct entry *e, struct pa_ident *ident);

struct entry *pa_table_find_addr(const struct pa_lease_table *t, const struct pa_addr *addr);
struct entry *pa_table_find_ident(const struct pa_lease_table *t, const struct pa_ident *ident);
struct entry *pa_table_entry_of(struct pa_heap_item *item);

/* Unix seconds from which clients other than the last one may have the address of an entry whose lease ended. */
uint64_t pa_table_available_at(const struct pa_lease_table *t, const struct entry *e);
/* Ends a lease; ended: Unix seconds, now: Unix ms. Room for a change must be reserved. */
void pa_table_end(struct pa_lease_table *t, struct entry *e, enum pa_lease_state state, uint64_t ended, uint64_t now);
/* Does the pool recover from a lost store? And the highest epoch that the lost one may have given in it; 0: none was lost. */
bool pa_table_recovers(const struct pa_lease_table *t, const struct pool *pool, uint64_t now_s);
uint64_t pa_table_base(const struct pa_lease_table *t, const struct pool *pool);
/* May the client of e have it now, as far as a recovery goes? */
bool pa_table_is_certain(const struct pa_lease_table *t, const struct entry *e, uint64_t now_s);

/* Moves what has rested by now (Unix seconds) from resting to rested. */
void pa_pool_promote(struct pool *pool, uint64_t now);
/* The number of the first address that was never used and is not reserved, or the pool's count. */
uint64_t pa_pool_next_unused(struct pa_lease_table *t, struct pool *pool);

#endif

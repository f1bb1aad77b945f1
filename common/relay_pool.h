/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_POOL_H
#define PA_RELAY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/relay_queue.h"

/*
 * What waits for slow readers of sessions, with one budget for all of it, so that readers who take nothing cannot use it
 * up for the others. Each queue belongs to an owner. Where there is no room for more, the owner that holds most gives
 * way, counting what is asked for to who asks, and of its queues the one whose reader has taken nothing for longest: the
 * pool names it, the caller ends its session.
 *
 * What counts is the memory that the queues have taken, not the octets in it: a queue keeps the largest buffer that it
 * ever needed until its reader has taken all, and one that is left with an octet costs as much as a full one. While one
 * grows, its former buffer is there too for the moment of copying, which is not counted. Values; pure; one thread.
 */
struct pa_rpool_owner;

/* A queue of a pool, inside of what its session has; not moved until pa_rpool_leave. Initially zero, then join. */
struct pa_rpool_queue {
	struct pa_rqueue q; /* to be looked at, by pa_rqueue_peek too */
	struct pa_rpool *pool;
	struct pa_rpool_owner *of;	    /* NULL: it is empty */
	struct pa_rpool_queue *prev, *next; /* of the same owner, the one that has waited for longest first */
	uint32_t owner;
	void *user;
};

struct pa_rpool_owner {
	uint32_t id;
	size_t held; /* octets of memory; 0: the place is free */
	struct pa_rpool_queue *first, *last;
};

struct pa_rpool {
	size_t budget, held; /* octets of memory; held is at most budget */
	struct pa_rpool_owner *owners;
	unsigned n_owners;
	struct pa_rpool_owner others;
};

/*
 * owners: places for those who have something waiting at once, zero, borrowed until no queue holds anything; NULL and 0:
 * there is but one owner. Who finds no place shares one with others who found none.
 */
void pa_rpool_init(struct pa_rpool *p, size_t budget, struct pa_rpool_owner *owners, unsigned n_owners);
/* q is one of p's, for that owner; user is whatever the caller knows it by. */
void pa_rpool_join(struct pa_rpool *p, struct pa_rpool_queue *q, uint32_t owner, void *user);
/*
 * Whose session has to end before len octets more can wait in q: end it (pa_rpool_leave) and ask again, unless it was q
 * itself. NULL: there is room.
 */
struct pa_rpool_queue *pa_rpool_victim(struct pa_rpool_queue *q, size_t len);
/* Copies len octets to the end. False: there is no room for them in the pool, or no memory, and nothing is added. */
bool pa_rpool_add(struct pa_rpool_queue *q, const void *bytes, size_t len);
/*
 * The n pieces wait in q, but for their first from octets, which are no more than all. Sessions that have to end for it are ended by
 * end, which leads to pa_rpool_leave; it ends no other one. False: q's own was one of them, or there was no memory, and q is not to be
 * touched any more.
 */
bool pa_rpool_put(struct pa_rpool_queue *q, const struct iovec *pieces, unsigned n, size_t from, void (*end)(void *user));
/* The reader has taken the first n octets; n is at most what waits. */
void pa_rpool_took(struct pa_rpool_queue *q, size_t n);
/* Empties it. Harmless where it is empty, or has never joined. */
void pa_rpool_leave(struct pa_rpool_queue *q);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_RING_H
#define PA_RELAY_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/relay.h"

/*
 * Frames that were queued and not yet acknowledged, in the order in which they are sent, as bytes: they are sent from
 * where they lie, and again from there when a connection is resumed. Positions count bytes since the beginning: acked
 * <= sent <= end. It grows up to its limit as it fills. Pure; one thread.
 */
struct pa_rring {
	uint8_t *buf;
	size_t cap, limit; /* powers of two */
	uint64_t acked, sent, end;
	size_t frame_left; /* of the frame that sent stands in; 0: at its beginning */
};

/* limit: a power of two, at least PA_RRING_MIN, its first size. 0 or PA_ENOMEM. */
#define PA_RRING_MIN 65536u
int pa_rring_init(struct pa_rring *r, size_t limit);
void pa_rring_fini(struct pa_rring *r);

/* Bytes that can be queued now, with growing to the limit. */
size_t pa_rring_room(const struct pa_rring *r);
/* Queues a whole frame. False (and nothing queued) if there is no room, or no memory to grow into. */
bool pa_rring_put(struct pa_rring *r, const struct pa_relay_header *h, const uint8_t *body);
/*
 * Room for the bodies of frames that the caller writes in place: at most want bytes in up to *n pieces, each of at most
 * PA_RELAY_DATA_MAX, with room between them for headers; and keep bytes stay free (more than those headers take).
 * Returns how many bytes, and in *n how many pieces; 0: there is none. Valid until the next call on the ring.
 */
size_t pa_rring_reserve(struct pa_rring *r, size_t want, size_t keep, struct iovec *pieces, unsigned *n);
/* Makes the first n of the bytes that were reserved last frames of type DATA. */
void pa_rring_commit(struct pa_rring *r, uint32_t session, size_t n);

/* What is to be sent next, in one piece; with one_frame, no more than to the end of the frame that was begun or comes
 * next. */
size_t pa_rring_peek(const struct pa_rring *r, bool one_frame, const uint8_t **ptr);
void pa_rring_sent(struct pa_rring *r, size_t n);
/*
 * The other side has received so many bytes in all. PA_EFORMAT if that is less than it said before, more than was sent,
 * or ends inside a frame; nothing changes then.
 */
int pa_rring_ack(struct pa_rring *r, uint64_t received);
/* What is not acknowledged is sent again, from its beginning. */
void pa_rring_rewind(struct pa_rring *r);

#endif

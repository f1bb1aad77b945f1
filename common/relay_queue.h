/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_QUEUE_H
#define PA_RELAY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Bytes of a session that its reader's socket has not taken yet: added at the end, sent from where they lie, never
 * moved. It takes no memory while it is empty, which is most of the time. A value type, initially zero. Pure; one
 * thread.
 */
struct pa_rqueue {
	uint8_t *buf;
	size_t cap; /* a power of two, or 0 */
	size_t at;  /* where the first byte is */
	size_t len;
};

/* How many more bytes of memory it takes to add len; SIZE_MAX: more than there can be. */
size_t pa_rqueue_need(const struct pa_rqueue *q, size_t len);
/* Copies len bytes to the end. False: no memory, and nothing is added. */
bool pa_rqueue_add(struct pa_rqueue *q, const void *bytes, size_t len);
/* The bytes, first to last, in up to two pieces; returns how many pieces. Valid until the next call. */
unsigned pa_rqueue_peek(const struct pa_rqueue *q, struct iovec ret[2]);
/* The first n bytes are done with; n at most len. */
void pa_rqueue_drop(struct pa_rqueue *q, size_t n);
/* Empties it. */
void pa_rqueue_fini(struct pa_rqueue *q);

#endif

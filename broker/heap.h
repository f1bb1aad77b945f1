/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_HEAP_H
#define PA_BROKER_HEAP_H

#include <stddef.h>
#include <stdint.h>

/*
 * A binary min-heap of items embedded in their owners' structs, so that any item can be taken out in O(log n). Room is
 * reserved beforehand, which makes push infallible. Pure; one thread at a time. A zeroed struct is an empty heap.
 */
struct pa_heap_item {
	uint64_t key;
	size_t pos; /* place in the heap from 1; 0: in none */
};

struct pa_heap {
	struct pa_heap_item **items;
	size_t n, cap;
};

/* Makes room for n items in all. 0 or PA_ENOMEM. */
int pa_heap_reserve(struct pa_heap *h, size_t n);
/* Frees the heap's own memory, not the items; their pos is left as it is. */
void pa_heap_clear(struct pa_heap *h);
/* item must be in no heap, and there must be room. */
void pa_heap_push(struct pa_heap *h, struct pa_heap_item *item, uint64_t key);
/* item must be in this heap. */
void pa_heap_remove(struct pa_heap *h, struct pa_heap_item *item);
/* The item of the lowest key, borrowed; NULL when empty. */
struct pa_heap_item *pa_heap_peek(const struct pa_heap *h);

#endif

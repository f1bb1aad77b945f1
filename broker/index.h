/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_INDEX_H
#define PA_BROKER_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A hash index of borrowed items: open addressing with linear probing and backward-shift deletion. The caller brings the
 * hash, which must be keyed where clients choose the bytes. Room is reserved beforehand, which makes put infallible.
 * Pure; one thread at a time. A zeroed struct is an empty index.
 */
struct pa_index_slot {
	uint64_t hash;
	void *item; /* NULL: empty */
};

struct pa_index {
	struct pa_index_slot *slots;
	size_t n, cap; /* cap: zero or a power of two */
};

typedef bool (*pa_index_match)(const void *item, const void *key);

/* Makes room for n items in all. 0 or PA_ENOMEM. */
int pa_index_reserve(struct pa_index *ix, size_t n);
void pa_index_clear(struct pa_index *ix);
/* The item with this hash that matches key, or NULL. */
void *pa_index_find(const struct pa_index *ix, uint64_t hash, pa_index_match match, const void *key);
/* item must not be in the index, and there must be room. */
void pa_index_put(struct pa_index *ix, uint64_t hash, void *item);
/* Takes item out; false if it is not there under this hash. */
bool pa_index_remove(struct pa_index *ix, uint64_t hash, const void *item);

#endif

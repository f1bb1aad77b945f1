/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/index.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

static size_t home(const struct pa_index *ix, uint64_t hash)
{
	return (size_t)hash & (ix->cap - 1);
}

static void insert(struct pa_index *ix, uint64_t hash, void *item)
{
	size_t i = home(ix, hash);

	while (ix->slots[i].item != NULL)
		i = (i + 1) & (ix->cap - 1);
	ix->slots[i].hash = hash;
	ix->slots[i].item = item;
	ix->n++;
}

int pa_index_reserve(struct pa_index *ix, size_t n)
{
	struct pa_index bigger = {NULL, 0, ix->cap > 0 ? ix->cap : 32};

	if (ix->cap > 0 && n <= ix->cap / 4 * 3)
		return 0;
	while (bigger.cap / 4 * 3 < n)
		bigger.cap *= 2;
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < ix->cap; i++)
		if (ix->slots[i].item != NULL)
			insert(&bigger, ix->slots[i].hash, ix->slots[i].item);
	free(ix->slots);
	*ix = bigger;
	return 0;
}

void pa_index_clear(struct pa_index *ix)
{
	free(ix->slots);
	memset(ix, 0, sizeof(*ix));
}

void *pa_index_find(const struct pa_index *ix, uint64_t hash, pa_index_match match, const void *key)
{
	if (ix->cap == 0)
		return NULL;
	for (size_t i = home(ix, hash); ix->slots[i].item != NULL; i = (i + 1) & (ix->cap - 1))
		if (ix->slots[i].hash == hash && match(ix->slots[i].item, key))
			return ix->slots[i].item;
	return NULL;
}

void pa_index_put(struct pa_index *ix, uint64_t hash, void *item)
{
	PA_REQUIRE(item != NULL && ix->n < ix->cap / 4 * 3);
	insert(ix, hash, item);
}

/* Closes the gap at i: whatever probed past it moves back, so that no tombstones are needed. */
static void close_gap(struct pa_index *ix, size_t gap)
{
	size_t mask = ix->cap - 1;

	for (size_t i = (gap + 1) & mask; ix->slots[i].item != NULL; i = (i + 1) & mask) {
		size_t want = home(ix, ix->slots[i].hash);

		if (((i - want) & mask) < ((i - gap) & mask))
			continue; /* its home lies behind the gap */
		ix->slots[gap] = ix->slots[i];
		gap = i;
	}
	ix->slots[gap].item = NULL;
}

bool pa_index_remove(struct pa_index *ix, uint64_t hash, const void *item)
{
	if (ix->cap == 0)
		return false;
	for (size_t i = home(ix, hash); ix->slots[i].item != NULL; i = (i + 1) & (ix->cap - 1)) {
		if (ix->slots[i].item != item)
			continue;
		close_gap(ix, i);
		ix->n--;
		return true;
	}
	return false;
}

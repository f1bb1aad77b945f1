/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/heap.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

int pa_heap_reserve(struct pa_heap *h, size_t n)
{
	size_t cap = h->cap > 0 ? h->cap : 16;
	struct pa_heap_item **items;

	if (n <= h->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	items = reallocarray(h->items, cap, sizeof(*items));
	if (items == NULL)
		return PA_ENOMEM;
	h->items = items;
	h->cap = cap;
	return 0;
}

void pa_heap_clear(struct pa_heap *h)
{
	free(h->items);
	memset(h, 0, sizeof(*h));
}

static void put(struct pa_heap *h, size_t i, struct pa_heap_item *item)
{
	h->items[i] = item;
	item->pos = i + 1;
}

/* Moves the item at i towards the root until its parent is not above it. */
static void sift_up(struct pa_heap *h, size_t i)
{
	struct pa_heap_item *item = h->items[i];

	while (i > 0 && h->items[(i - 1) / 2]->key > item->key) {
		put(h, i, h->items[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(h, i, item);
}

static void sift_down(struct pa_heap *h, size_t i)
{
	struct pa_heap_item *item = h->items[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->items[child + 1]->key < h->items[child]->key)
			child++;
		if (h->items[child]->key >= item->key)
			break;
		put(h, i, h->items[child]);
		i = child;
	}
	put(h, i, item);
}

void pa_heap_push(struct pa_heap *h, struct pa_heap_item *item, uint64_t key)
{
	PA_REQUIRE(h->n < h->cap && item->pos == 0);
	item->key = key;
	put(h, h->n++, item);
	sift_up(h, h->n - 1);
}

void pa_heap_remove(struct pa_heap *h, struct pa_heap_item *item)
{
	size_t i = item->pos - 1;
	struct pa_heap_item *last;

	PA_REQUIRE(item->pos > 0 && i < h->n && h->items[i] == item);
	last = h->items[--h->n];
	item->pos = 0;
	if (last == item)
		return;
	put(h, i, last);
	sift_up(h, i);
	sift_down(h, last->pos - 1);
}

struct pa_heap_item *pa_heap_peek(const struct pa_heap *h)
{
	return h->n > 0 ? h->items[0] : NULL;
}

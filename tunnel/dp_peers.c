/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_peers.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

#define SLOTS_MIN 64 /* power of two, as every later size */

struct pa_peers {
	size_t mask, count;
	struct pa_peer *slots;
};

/* The keys are addresses that the broker chose, so a plain mixer does; strangers can only look up. */
static size_t hash(const struct pa_addr *a)
{
	uint64_t hi, lo;

	memcpy(&hi, a->b, 8);
	memcpy(&lo, a->b + 8, 8);
	lo ^= hi * 0x9e3779b97f4a7c15u;
	lo ^= lo >> 32;
	lo *= 0xd6e8feb86659fd93u;
	lo ^= lo >> 32;
	return (size_t)lo;
}

int pa_peers_new(struct pa_peers **ret)
{
	struct pa_peers *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return PA_ENOMEM;
	t->slots = calloc(SLOTS_MIN, sizeof(*t->slots));
	if (t->slots == NULL) {
		free(t);
		return PA_ENOMEM;
	}
	t->mask = SLOTS_MIN - 1;
	*ret = t;
	return 0;
}

void pa_peers_free(struct pa_peers *t)
{
	if (t == NULL)
		return;
	free(t->slots);
	free(t);
}

/* The slot of inner, or the free one where it belongs. */
static struct pa_peer *slot_of(const struct pa_peers *t, const struct pa_addr *inner)
{
	size_t i = hash(inner) & t->mask;

	while (!pa_addr_is_none(&t->slots[i].inner) && !pa_addr_eq(&t->slots[i].inner, inner))
		i = (i + 1) & t->mask;
	return &t->slots[i];
}

struct pa_peer *pa_peers_find(const struct pa_peers *t, const struct pa_addr *inner)
{
	struct pa_peer *p;

	if (pa_addr_is_none(inner))
		return NULL;
	p = slot_of(t, inner);
	return pa_addr_is_none(&p->inner) ? NULL : p;
}

static int grow(struct pa_peers *t)
{
	struct pa_peers bigger = {t->mask * 2 + 1, t->count, calloc((t->mask + 1) * 2, sizeof(*t->slots))};

	if (bigger.slots == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i <= t->mask; i++)
		if (!pa_addr_is_none(&t->slots[i].inner))
			*slot_of(&bigger, &t->slots[i].inner) = t->slots[i];
	free(t->slots);
	*t = bigger;
	return 0;
}

struct pa_peer *pa_peers_put(struct pa_peers *t, const struct pa_addr *inner)
{
	struct pa_peer *p = slot_of(t, inner);

	PA_REQUIRE(!pa_addr_is_none(inner));
	if (!pa_addr_is_none(&p->inner))
		return p;
	if ((t->count + 1) * 2 > t->mask + 1) {
		if (grow(t) < 0)
			return NULL;
		p = slot_of(t, inner);
	}
	p->inner = *inner;
	t->count++;
	return p;
}

void pa_peers_remove(struct pa_peers *t, const struct pa_addr *inner)
{
	struct pa_peer *p = pa_peers_find(t, inner);
	size_t hole, i;

	if (p == NULL)
		return;
	t->count--;
	/* Close the gap, so that no search ends at it too early: what may move back into the hole does. */
	hole = (size_t)(p - t->slots);
	for (i = (hole + 1) & t->mask; !pa_addr_is_none(&t->slots[i].inner); i = (i + 1) & t->mask) {
		size_t home = hash(&t->slots[i].inner) & t->mask;

		if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	}
	memset(&t->slots[hole], 0, sizeof(t->slots[hole]));
}

size_t pa_peers_count(const struct pa_peers *t)
{
	return t->count;
}

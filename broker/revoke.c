/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/revoke.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

struct slot {
	uint64_t number;
	const struct pa_lease *row; /* superseded when row->revoked is another number */
};

struct pa_revoke {
	struct slot *slots; /* by number, if sorted */
	size_t n, cap;
	bool sorted;
	uint64_t head;
	uint64_t loaded, first; /* the head before the first number of our own, and that number; 0: none was given yet */
	struct pa_ack *gateways;
	size_t n_gateways;
};

struct pa_revoke *pa_revoke_new(void)
{
	struct pa_revoke *r = calloc(1, sizeof(*r));

	if (r != NULL)
		r->sorted = true;
	return r;
}

void pa_revoke_free(struct pa_revoke *r)
{
	if (r == NULL)
		return;
	free(r->slots);
	free(r->gateways);
	free(r);
}

static bool is_live(const struct slot *s)
{
	return s->row->revoked == s->number;
}

static void drop_superseded(struct pa_revoke *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n; i++)
		if (is_live(&r->slots[i]))
			r->slots[kept++] = r->slots[i];
	r->n = kept;
}

int pa_revoke_reserve(struct pa_revoke *r, size_t n)
{
	struct slot *slots;
	size_t cap;

	if (r->n + n <= r->cap)
		return 0;
	drop_superseded(r);
	if (r->n + n <= r->cap / 2) /* else it would be full again soon, and cost as much again */
		return 0;
	cap = 2 * (r->n + n);
	if (cap < 64)
		cap = 64;
	slots = reallocarray(r->slots, cap, sizeof(*slots));
	if (slots == NULL)
		return r->n + n <= r->cap ? 0 : PA_ENOMEM;
	r->slots = slots;
	r->cap = cap;
	return 0;
}

uint64_t pa_revoke_next(struct pa_revoke *r, uint64_t now)
{
	uint64_t number = now > r->head ? now : r->head + 1;

	if (r->first == 0) {
		r->first = number;
		r->loaded = r->head;
	}
	return number;
}

bool pa_revoke_is_strange(const struct pa_revoke *r, uint64_t number)
{
	return number > r->head || (r->first != 0 && number > r->loaded && number < r->first);
}

void pa_revoke_append(struct pa_revoke *r, const struct pa_lease *row)
{
	PA_REQUIRE(r->n < r->cap);
	if (r->n > 0 && row->revoked < r->slots[r->n - 1].number)
		r->sorted = false;
	r->slots[r->n++] = (struct slot){row->revoked, row};
	if (row->revoked > r->head)
		r->head = row->revoked;
}

uint64_t pa_revoke_head(const struct pa_revoke *r)
{
	return r->head;
}

static int by_number(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

size_t pa_revoke_since(struct pa_revoke *r, uint64_t from, const struct pa_lease **ret, size_t max)
{
	size_t lo = 0, hi = r->n, n = 0;

	if (!r->sorted)
		qsort(r->slots, r->n, sizeof(*r->slots), by_number);
	r->sorted = true;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->slots[mid].number <= from)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; n < max && lo < r->n; lo++)
		if (is_live(&r->slots[lo]))
			ret[n++] = r->slots[lo].row;
	return n;
}

static struct pa_ack *find(struct pa_ack *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

int pa_revoke_configure(struct pa_revoke *r, const struct pa_brokerconf *conf)
{
	struct pa_ack *list = calloc(conf->n_groups * PA_GATEWAYS_MAX + 1, sizeof(*list));
	size_t n = 0;

	if (list == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < conf->n_groups; i++) {
		for (unsigned k = 0; k < conf->groups[i].n_names; k++) {
			const char *name = conf->groups[i].names[k];
			const struct pa_ack *former = find(r->gateways, r->n_gateways, name);

			if (find(list, n, name) != NULL)
				continue;
			memcpy(list[n].name, name, sizeof(list[n].name));
			list[n++].number = former != NULL ? former->number : 0;
		}
	}
	free(r->gateways);
	r->gateways = list;
	r->n_gateways = n;
	return 0;
}

int pa_revoke_ack(struct pa_revoke *r, const char *name, uint64_t number)
{
	struct pa_ack *g = find(r->gateways, r->n_gateways, name);

	if (g == NULL)
		return PA_ENOTFOUND;
	g->number = number <= r->head ? number : 0;
	return 0;
}

uint64_t pa_revoke_acked(const struct pa_revoke *r)
{
	uint64_t least = r->n_gateways > 0 ? UINT64_MAX : 0;

	for (size_t i = 0; i < r->n_gateways; i++)
		if (r->gateways[i].number < least)
			least = r->gateways[i].number;
	return least;
}

size_t pa_revoke_acks(const struct pa_revoke *r, const struct pa_ack **ret)
{
	*ret = r->gateways;
	return r->n_gateways;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* Reading the lease table: lookups, pages in the order of addresses, statistics, and what changed. */
#include <stdlib.h>
#include <string.h>

#include "broker/lease_pool.h"
#include "common/err.h"

static int compare(const struct entry *a, const struct entry *b)
{
	return memcmp(a->row.addr.b, b->row.addr.b, sizeof(a->row.addr.b));
}

static int compare_pointers(const void *a, const void *b)
{
	return compare(*(struct entry *const *)a, *(struct entry *const *)b);
}

/*
 * Sorts what was added since the last page and merges it in: entries are never removed, so a page costs no more than the
 * entries that are new, and one pass.
 */
static void sort_entries(struct pa_lease_table *t)
{
	size_t n_new = t->n - t->n_sorted, a = t->n_sorted, b = n_new, out = t->n;
	struct entry **fresh;

	if (n_new == 0)
		return;
	fresh = malloc(n_new * sizeof(struct entry *));
	if (fresh == NULL) {
		qsort(t->order, t->n, sizeof(struct entry *), compare_pointers); /* slower, but needs no memory of ours */
		t->n_sorted = t->n;
		return;
	}
	memcpy(fresh, t->order + t->n_sorted, n_new * sizeof(struct entry *));
	qsort(fresh, n_new, sizeof(struct entry *), compare_pointers);
	while (b > 0) {
		if (a > 0 && compare(t->order[a - 1], fresh[b - 1]) > 0)
			t->order[--out] = t->order[--a];
		else
			t->order[--out] = fresh[--b];
	}
	free(fresh);
	t->n_sorted = t->n;
}

size_t pa_lease_page(struct pa_lease_table *t, const struct pa_addr *after, const struct pa_lease **ret, size_t max)
{
	size_t lo = 0, hi = t->n, n = 0;

	sort_entries(t);
	while (after != NULL && lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (memcmp(t->order[mid]->row.addr.b, after->b, sizeof(after->b)) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (n < max && lo < t->n)
		ret[n++] = &t->order[lo++]->row;
	return n;
}

const struct pa_lease *pa_lease_by_addr(const struct pa_lease_table *t, const struct pa_addr *addr)
{
	const struct entry *e = pa_table_find_addr(t, addr);

	return e != NULL ? &e->row : NULL;
}

const struct pa_lease *pa_lease_by_ident(const struct pa_lease_table *t, const struct pa_ident *ident)
{
	const struct entry *e = pa_table_find_ident(t, ident);

	return e != NULL ? &e->row : NULL;
}

size_t pa_lease_count(const struct pa_lease_table *t)
{
	return t->n;
}

struct pa_pool_stats pa_lease_pool_stats(struct pa_lease_table *t, size_t i, uint64_t now)
{
	struct pa_pool_stats s = {0, 0, 0, 0, 0};
	struct pool *pool;

	PA_REQUIRE(i < t->conf->n_pools);
	pool = &t->pools[i];
	pa_pool_promote(pool, now / 1000);
	s.total = pool->conf->usable;
	s.active = pool->active;
	s.resting = pool->resting.n;
	s.free = pool->conf->usable - pool->conf->n_reserved - (pool->rows - pool->reserved_rows) + pool->rested.n;
	s.reserved = s.total - s.active - s.resting - s.free;
	return s;
}

size_t pa_lease_subnets(struct pa_lease_table *t, struct pa_subnet *const **ret, uint64_t now)
{
	for (size_t i = 0; i < t->conf->n_pools; i++)
		pa_pool_promote(&t->pools[i], now / 1000);
	return pa_subnets_all(t->subnets, ret);
}

size_t pa_lease_changes(const struct pa_lease_table *t, const struct pa_lease *const **ret)
{
	*ret = t->changes;
	return t->n_changes;
}

void pa_lease_changes_done(struct pa_lease_table *t)
{
	for (size_t i = 0; i < t->n_changes; i++)
		pa_table_find_addr(t, &t->changes[i]->addr)->dirty = false;
	t->n_changes = 0;
	t->recoveries_changed = false;
}

bool pa_lease_recoveries_changed(const struct pa_lease_table *t)
{
	return t->recoveries_changed;
}

bool pa_lease_has_changes(const struct pa_lease_table *t)
{
	return t->n_changes > 0 || t->recoveries_changed;
}

#define N_STATES 4

static const char *const state_names[N_STATES] = {"active", "released", "expired", "reclaimed"};

const char *pa_lease_state_name(enum pa_lease_state state)
{
	return (unsigned)state < N_STATES ? state_names[state] : "unknown";
}

int pa_lease_state_parse(const char *s)
{
	for (int i = 0; i < N_STATES; i++)
		if (strcmp(state_names[i], s) == 0)
			return i;
	return PA_EINVAL;
}

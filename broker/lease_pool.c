/* SPDX-License-Identifier: MPL-2.0 */
/* The structures of the lease table: entries, indexes, heaps, pools at run time. The rules are in lease.c. */
#include "broker/lease_pool.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

static uint64_t addr_hash(const struct pa_lease_table *t, const struct pa_addr *addr)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t hash;

	(void)crypto_shorthash(out, addr->b, sizeof(addr->b), t->seed);
	memcpy(&hash, out, sizeof(hash));
	return hash;
}

static bool match_addr(const void *item, const void *key)
{
	return pa_addr_eq(&((const struct entry *)item)->row.addr, key);
}

static bool match_ident(const void *item, const void *key)
{
	return pa_ident_eq(((const struct entry *)item)->row.ident, key);
}

struct entry *pa_table_find_addr(const struct pa_lease_table *t, const struct pa_addr *addr)
{
	return pa_index_find(&t->by_addr, addr_hash(t, addr), match_addr, addr);
}

struct entry *pa_table_find_ident(const struct pa_lease_table *t, const struct pa_ident *ident)
{
	return pa_index_find(&t->by_ident, pa_ident_hash(ident, t->seed), match_ident, ident);
}

struct entry *pa_table_entry_of(struct pa_heap_item *item)
{
	return (struct entry *)item; /* its first member */
}

/* True if every gateway that could serve this address knows that its last lease is revoked, and will know it after a crash. */
static bool is_acknowledged(const struct pa_lease_table *t, const struct entry *e)
{
	return e->pool != NULL && t->conf->groups[e->pool->conf->group].n_names > 0 && e->row.revoked != 0 &&
	       e->row.revoked <= pa_revoke_acked(t->revocations);
}

uint64_t pa_table_available_at(const struct pa_lease_table *t, const struct entry *e)
{
	uint64_t rest = e->row.ended + t->conf->quarantine, margin = e->row.highest + PA_EXPIRY_MARGIN;

	return rest > margin || is_acknowledged(t, e) ? rest : margin;
}

int pa_table_reserve(struct pa_lease_table *t, size_t changes)
{
	if (t->n == t->cap) {
		size_t cap = t->cap > 0 ? 2 * t->cap : 64;
		struct entry **order = reallocarray(t->order, cap, sizeof(struct entry *));

		if (order == NULL)
			return PA_ENOMEM;
		t->order = order;
		t->cap = cap;
	}
	if (t->n_changes + changes > t->cap_changes) {
		size_t cap = 2 * (t->cap_changes + changes);
		const struct pa_lease **list = reallocarray(t->changes, cap, sizeof(*list));

		if (list == NULL)
			return PA_ENOMEM;
		t->changes = list;
		t->cap_changes = cap;
	}
	if (pa_revoke_reserve(t->revocations, changes) < 0 || pa_heap_reserve(&t->active, t->n + 1) < 0 || pa_index_reserve(&t->by_addr, t->n + 1) < 0 ||
	    pa_index_reserve(&t->by_ident, t->n + 1) < 0)
		return PA_ENOMEM;
	return 0;
}

static struct pool *pool_of(struct pa_lease_table *t, const struct pa_addr *addr)
{
	const struct pa_pool_conf *conf = pa_brokerconf_pool_of(t->conf, addr);

	return conf != NULL ? &t->pools[conf - t->conf->pools] : NULL;
}

struct entry *pa_table_add(struct pa_lease_table *t, const struct pa_addr *addr)
{
	struct pool *pool = pool_of(t, addr);
	struct entry *e;

	if (pool != NULL && (pa_heap_reserve(&pool->resting, (size_t)pool->rows + 1) < 0 ||
			     pa_heap_reserve(&pool->rested, (size_t)pool->rows + 1) < 0 ||
			     pa_heap_reserve(&pool->unbound, (size_t)pool->rows + 1) < 0))
		return NULL;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->row.addr = *addr;
	e->pool = pool;
	e->reserved = pa_brokerconf_reserved_addr(t->conf, addr);
	if (pool != NULL) {
		pool->rows++;
		pool->reserved_rows += e->reserved != NULL;
	}
	t->order[t->n++] = e;
	pa_index_put(&t->by_addr, addr_hash(t, addr), e);
	return e;
}

/* What is reserved keeps nothing from others, and what has rested does so no more. */
static void count_for_subnet(const struct pa_lease_table *t, struct entry *e)
{
	bool counts = e->pool != NULL && e->reserved == NULL && (e->row.state == PA_LEASE_ACTIVE || e->heap == &e->pool->resting);

	if (e->subnet != NULL)
		e->subnet->held--;
	e->subnet = counts ? pa_subnets_find(t->subnets, pa_ident_realm(e->row.ident), e->row.subnet_id) : NULL;
	if (e->subnet != NULL)
		e->subnet->held++;
}

/* Only gateways with a channel can tell, and a reserved address is of no use to others. */
static void watch_binding(const struct pa_lease_table *t, struct entry *e)
{
	bool wanted = e->pool != NULL && e->row.state == PA_LEASE_ACTIVE && !e->row.bound && e->reserved == NULL &&
		      t->conf->groups[e->pool->conf->group].n_names > 0;

	if (e->waiting.pos != 0)
		pa_heap_remove(&e->pool->unbound, &e->waiting);
	e->waiting.pos = 0;
	if (wanted)
		pa_heap_push(&e->pool->unbound, &e->waiting, e->row.epoch / 1000);
}

void pa_table_place(struct pa_lease_table *t, struct entry *e)
{
	if (e->heap != NULL)
		pa_heap_remove(e->heap, &e->item);
	if (e->heap == &t->active && e->pool != NULL)
		e->pool->active--;
	e->heap = NULL;
	if (e->row.state == PA_LEASE_ACTIVE) {
		e->heap = &t->active;
		pa_heap_push(e->heap, &e->item, e->row.expires);
		if (e->pool != NULL)
			e->pool->active++;
	} else if (e->pool != NULL && e->reserved == NULL) {
		e->heap = &e->pool->resting;
		pa_heap_push(e->heap, &e->item, pa_table_available_at(t, e));
	}
	count_for_subnet(t, e);
	watch_binding(t, e);
}

void pa_table_mark(struct pa_lease_table *t, struct entry *e)
{
	if (e->dirty)
		return;
	PA_REQUIRE(t->n_changes < t->cap_changes);
	e->dirty = true;
	t->changes[t->n_changes++] = &e->row;
}

void pa_table_set_ident(struct pa_lease_table *t, struct entry *e, struct pa_ident *ident)
{
	uint64_t hash = pa_ident_hash(ident, t->seed);
	struct entry *latest = pa_table_find_ident(t, ident);
	struct pa_ident *former = e->row.ident;

	if (former != NULL)
		(void)pa_index_remove(&t->by_ident, pa_ident_hash(former, t->seed), e);
	if (latest != NULL && latest != e)
		(void)pa_index_remove(&t->by_ident, hash, latest);
	e->row.ident = pa_ident_get(ident);
	pa_ident_put(former);
	pa_index_put(&t->by_ident, hash, e);
}

void pa_pool_promote(struct pool *pool, uint64_t now)
{
	struct pa_heap_item *item;

	while ((item = pa_heap_peek(&pool->resting)) != NULL && item->key <= now) {
		struct entry *e = pa_table_entry_of(item);

		pa_heap_remove(&pool->resting, item);
		e->heap = &pool->rested;
		pa_heap_push(e->heap, item, e->row.ended);
		if (e->subnet != NULL)
			e->subnet->held--;
		e->subnet = NULL;
	}
}

uint64_t pa_pool_next_unused(struct pa_lease_table *t, struct pool *pool)
{
	uint64_t count = pa_pool_count(pool->conf);

	while ((pool->next = pa_pool_skip_excluded(pool->conf, pool->next)) < count) {
		struct pa_addr addr = pa_pool_at(pool->conf, pool->next);

		if (pa_table_find_addr(t, &addr) == NULL && pa_brokerconf_reserved_addr(t->conf, &addr) == NULL)
			break;
		pool->next++;
	}
	return pool->next;
}

static void pools_free(struct pool *pools, size_t n)
{
	for (size_t i = 0; i < n && pools != NULL; i++) {
		pa_heap_clear(&pools[i].resting);
		pa_heap_clear(&pools[i].rested);
		pa_heap_clear(&pools[i].unbound);
	}
	free(pools);
}

/* The pools of conf with room for the rows that the table has, and none in them yet. */
static struct pool *pools_new(const struct pa_lease_table *t, const struct pa_brokerconf *conf)
{
	struct pool *pools = calloc(conf->n_pools > 0 ? conf->n_pools : 1, sizeof(*pools));

	if (pools == NULL)
		return NULL;
	for (size_t i = 0; i < t->n; i++) {
		const struct pa_pool_conf *p = pa_brokerconf_pool_of(conf, &t->order[i]->row.addr);

		if (p == NULL)
			continue;
		pools[p - conf->pools].rows++;
		if (pa_brokerconf_reserved_addr(conf, &t->order[i]->row.addr) != NULL)
			pools[p - conf->pools].reserved_rows++;
	}
	for (size_t i = 0; i < conf->n_pools; i++) {
		pools[i].conf = &conf->pools[i];
		if (pa_heap_reserve(&pools[i].resting, (size_t)pools[i].rows) < 0 ||
		    pa_heap_reserve(&pools[i].rested, (size_t)pools[i].rows) < 0 ||
		    pa_heap_reserve(&pools[i].unbound, (size_t)pools[i].rows) < 0) {
			pools_free(pools, conf->n_pools);
			return NULL;
		}
	}
	return pools;
}

int pa_lease_configure(struct pa_lease_table *t, const struct pa_brokerconf *conf)
{
	struct pool *pools = pools_new(t, conf), *former = t->pools;
	size_t n_former = t->conf->n_pools;

	if (pools == NULL || pa_revoke_configure(t->revocations, conf) < 0) {
		pools_free(pools, conf->n_pools);
		return PA_ENOMEM;
	}
	t->conf = conf;
	t->pools = pools;
	for (size_t i = 0; i < t->n; i++) {
		struct entry *e = t->order[i];

		if (e->heap != NULL)
			pa_heap_remove(e->heap, &e->item);
		if (e->waiting.pos != 0)
			pa_heap_remove(&e->pool->unbound, &e->waiting);
		e->waiting.pos = 0;
		e->heap = NULL;
		e->pool = pool_of(t, &e->row.addr);
		e->reserved = pa_brokerconf_reserved_addr(conf, &e->row.addr);
		pa_table_place(t, e);
	}
	pools_free(former, n_former);
	return 0;
}

struct pa_lease_table *pa_lease_table_new(const struct pa_brokerconf *conf, const uint8_t seed[16])
{
	struct pa_lease_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	memcpy(t->seed, seed, sizeof(t->seed));
	t->next_serial = 1;
	t->conf = conf;
	t->pools = pools_new(t, conf);
	t->revocations = pa_revoke_new();
	t->subnets = pa_subnets_new(seed);
	if (t->pools == NULL || t->subnets == NULL || t->revocations == NULL || pa_revoke_configure(t->revocations, conf) < 0) {
		pa_lease_table_free(t);
		return NULL;
	}
	return t;
}

void pa_lease_table_free(struct pa_lease_table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++) {
		pa_ident_put(t->order[i]->row.ident);
		free(t->order[i]);
	}
	pools_free(t->pools, t->conf->n_pools);
	pa_heap_clear(&t->active);
	pa_index_clear(&t->by_addr);
	pa_index_clear(&t->by_ident);
	pa_revoke_free(t->revocations);
	pa_subnets_free(t->subnets);
	free(t->order);
	free(t->recoveries);
	free(t->changes);
	free(t);
}

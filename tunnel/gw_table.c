/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gw_table.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"

#define BUCKETS_MIN 64

/* What a binding costs is a promise to operators who plan memory. */
_Static_assert(sizeof(struct pa_gw_entry) <= 400, "an entry has outgrown its budget");
_Static_assert(PA_GW_HASH_KEY_LEN == crypto_shorthash_KEYBYTES, "the table's key is SipHash's");

struct pa_gw_table {
	uint8_t key[PA_GW_HASH_KEY_LEN];
	size_t n, max;
	size_t buckets; /* a power of two; also the room in heap */
	struct pa_gw_entry **by_addr, **by_session;
	struct pa_gw_entry **heap; /* binary, the earliest first */
};

static size_t hash(const struct pa_gw_table *t, const uint8_t *p, size_t len)
{
	uint8_t h[crypto_shorthash_BYTES];
	uint64_t v;

	(void)crypto_shorthash(h, p, len, t->key);
	memcpy(&v, h, sizeof(v));
	return (size_t)v & (t->buckets - 1);
}

static struct pa_gw_entry **addr_bucket(const struct pa_gw_table *t, const struct pa_addr *addr)
{
	return &t->by_addr[hash(t, addr->b, sizeof(addr->b))];
}

static struct pa_gw_entry **session_bucket(const struct pa_gw_table *t, const uint8_t *session)
{
	return &t->by_session[hash(t, session, PA_SESSION_LEN)];
}

static int allocate(struct pa_gw_table *t, size_t buckets)
{
	struct pa_gw_entry **a = calloc(buckets, sizeof(struct pa_gw_entry *));
	struct pa_gw_entry **s = calloc(buckets, sizeof(struct pa_gw_entry *));
	struct pa_gw_entry **h = calloc(buckets, sizeof(struct pa_gw_entry *));

	if (a == NULL || s == NULL || h == NULL) {
		free(a);
		free(s);
		free(h);
		return PA_ENOMEM;
	}
	t->by_addr = a;
	t->by_session = s;
	t->heap = h;
	t->buckets = buckets;
	return 0;
}

/* Doubles the buckets; the old table stays as it is without memory. */
static int grow(struct pa_gw_table *t)
{
	struct pa_gw_table old = *t;

	if (allocate(t, old.buckets * 2) < 0)
		return PA_ENOMEM;
	memcpy(t->heap, old.heap, old.n * sizeof(struct pa_gw_entry *));
	for (size_t i = 0; i < t->n; i++) {
		struct pa_gw_entry *e = t->heap[i], **b = addr_bucket(t, &e->b.claims.addr);

		e->next_addr = *b;
		*b = e;
	}
	for (size_t i = 0; i < old.buckets; i++) {
		for (struct pa_gw_entry *e = old.by_session[i], *next; e != NULL; e = next) {
			next = e->next_session;
			pa_gw_table_index(t, e);
		}
	}
	free(old.by_addr);
	free(old.by_session);
	free(old.heap);
	pa_wipe(&old, sizeof(old));
	return 0;
}

int pa_gw_table_new(const uint8_t hash_key[PA_GW_HASH_KEY_LEN], size_t max, struct pa_gw_table **ret)
{
	struct pa_gw_table *t = calloc(1, sizeof(*t));

	if (t == NULL || allocate(t, BUCKETS_MIN) < 0) {
		free(t);
		return PA_ENOMEM;
	}
	memcpy(t->key, hash_key, sizeof(t->key));
	t->max = max;
	*ret = t;
	return 0;
}

void pa_gw_table_free(struct pa_gw_table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++) {
		pa_wipe(t->heap[i], sizeof(*t->heap[i]));
		free(t->heap[i]);
	}
	free(t->by_addr);
	free(t->by_session);
	free(t->heap);
	pa_wipe(t, sizeof(*t));
	free(t);
}

struct pa_gw_entry *pa_gw_table_find(const struct pa_gw_table *t, const struct pa_addr *addr)
{
	struct pa_gw_entry *e = *addr_bucket(t, addr);

	while (e != NULL && !pa_addr_eq(&e->b.claims.addr, addr))
		e = e->next_addr;
	return e;
}

struct pa_gw_entry *pa_gw_table_find_session(const struct pa_gw_table *t, const uint8_t session[PA_SESSION_LEN])
{
	struct pa_gw_entry *e = *session_bucket(t, session);

	while (e != NULL && memcmp(e->b.session, session, PA_SESSION_LEN) != 0)
		e = e->next_session;
	return e;
}

/* The heap, with positions kept in the entries. */
static void heap_set(struct pa_gw_table *t, size_t i, struct pa_gw_entry *e)
{
	t->heap[i] = e;
	e->heap_pos = i;
}

/* Moves e, which stands at i, to where its due time belongs. */
static void heap_fix(struct pa_gw_table *t, size_t i, struct pa_gw_entry *e)
{
	size_t child;

	while (i > 0 && t->heap[(i - 1) / 2]->due_ms > e->due_ms) {
		heap_set(t, i, t->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	while ((child = 2 * i + 1) < t->n) {
		if (child + 1 < t->n && t->heap[child + 1]->due_ms < t->heap[child]->due_ms)
			child++;
		if (t->heap[child]->due_ms >= e->due_ms)
			break;
		heap_set(t, i, t->heap[child]);
		i = child;
	}
	heap_set(t, i, e);
}

int pa_gw_table_add(struct pa_gw_table *t, const struct pa_addr *addr, struct pa_gw_entry **ret)
{
	struct pa_gw_entry *e, **b;

	if (t->n >= t->max || (t->n == t->buckets && grow(t) < 0))
		return PA_ENOMEM;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return PA_ENOMEM;
	e->b.claims.addr = *addr;
	b = addr_bucket(t, addr);
	e->next_addr = *b;
	*b = e;
	t->n++;
	heap_set(t, t->n - 1, e);
	heap_fix(t, t->n - 1, e);
	*ret = e;
	return 0;
}

void pa_gw_table_remove(struct pa_gw_table *t, struct pa_gw_entry *e)
{
	struct pa_gw_entry **p = addr_bucket(t, &e->b.claims.addr), *last;
	size_t i = e->heap_pos;

	while (*p != e)
		p = &(*p)->next_addr;
	*p = e->next_addr;
	last = t->heap[--t->n];
	if (last != e)
		heap_fix(t, i, last);
	pa_wipe(e, sizeof(*e));
	free(e);
}

void pa_gw_table_index(struct pa_gw_table *t, struct pa_gw_entry *e)
{
	struct pa_gw_entry **b = session_bucket(t, e->b.session);

	e->next_session = *b;
	*b = e;
}

void pa_gw_table_unindex(struct pa_gw_table *t, struct pa_gw_entry *e)
{
	struct pa_gw_entry **p = session_bucket(t, e->b.session);

	while (*p != e)
		p = &(*p)->next_session;
	*p = e->next_session;
	e->next_session = NULL;
}

void pa_gw_table_schedule(struct pa_gw_table *t, struct pa_gw_entry *e, uint64_t due_ms)
{
	e->due_ms = due_ms;
	heap_fix(t, e->heap_pos, e);
}

struct pa_gw_entry *pa_gw_table_first(const struct pa_gw_table *t)
{
	return t->n > 0 ? t->heap[0] : NULL;
}

size_t pa_gw_table_size(const struct pa_gw_table *t)
{
	return t->n;
}

struct pa_gw_entry *pa_gw_table_at(const struct pa_gw_table *t, size_t i)
{
	PA_REQUIRE(i < t->n);
	return t->heap[i];
}

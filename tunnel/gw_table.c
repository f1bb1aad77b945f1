/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gw_table.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "tunnel/slab.h"

#define BUCKETS_MIN 64
#define LOAD 2 /* entries for each bucket before there are more buckets: two links to follow cost less than memory */
#define NONE PA_SLAB_NONE
#define CACHE_LINE 64

/* What a binding costs is a promise to operators who plan memory; with its share of buckets and heap less than 200. */
_Static_assert(sizeof(struct pa_gw_entry) <= 184, "an entry has outgrown its budget");
_Static_assert(PA_GW_HASH_KEY_LEN == crypto_shorthash_KEYBYTES, "the table's key is SipHash's");

struct pa_gw_table {
	uint8_t key[PA_GW_HASH_KEY_LEN];
	struct pa_slab slab;
	size_t n, max;
	size_t buckets, heap_room; /* buckets: a power of two */
	uint32_t *by_addr, *by_session;
	uint32_t *heap; /* binary, the earliest first */
	uint32_t marked;
};

static struct pa_gw_entry *at(const struct pa_gw_table *t, uint32_t number)
{
	return pa_slab_at(&t->slab, number);
}

static uint32_t number_of(const struct pa_gw_table *t, const struct pa_gw_entry *e)
{
	return t->heap[e->heap_pos];
}

static size_t hash(const struct pa_gw_table *t, const uint8_t *p, size_t len)
{
	uint8_t h[crypto_shorthash_BYTES];
	uint64_t v;

	(void)crypto_shorthash(h, p, len, t->key);
	memcpy(&v, h, sizeof(v));
	return (size_t)v & (t->buckets - 1);
}

static uint32_t *addr_bucket(const struct pa_gw_table *t, const struct pa_addr *addr)
{
	return &t->by_addr[hash(t, addr->b, sizeof(addr->b))];
}

static uint32_t *session_bucket(const struct pa_gw_table *t, const uint8_t *session)
{
	return &t->by_session[hash(t, session, PA_SESSION_LEN)];
}

static int allocate(struct pa_gw_table *t, size_t buckets)
{
	uint32_t *a = malloc(buckets * sizeof(*a)), *s = malloc(buckets * sizeof(*s));

	if (a == NULL || s == NULL) {
		free(a);
		free(s);
		return PA_ENOMEM;
	}
	memset(a, 0xff, buckets * sizeof(*a)); /* NONE */
	memset(s, 0xff, buckets * sizeof(*s));
	t->by_addr = a;
	t->by_session = s;
	t->buckets = buckets;
	return 0;
}

/* Doubles the buckets; the old table stays as it is without memory. */
static int grow(struct pa_gw_table *t)
{
	struct pa_gw_table old = *t;

	if (allocate(t, old.buckets * 2) < 0)
		return PA_ENOMEM;
	for (size_t i = 0; i < t->n; i++) {
		struct pa_gw_entry *e = at(t, t->heap[i]);
		uint32_t *b = addr_bucket(t, &e->addr);

		e->next_addr = *b;
		*b = t->heap[i];
	}
	for (size_t i = 0; i < old.buckets; i++) {
		for (uint32_t k = old.by_session[i], next; k != NONE; k = next) {
			next = at(t, k)->next_session;
			pa_gw_table_index(t, at(t, k));
		}
	}
	free(old.by_addr);
	free(old.by_session);
	return 0;
}

/* Room for one more entry in everything but the slab. By a quarter, for the room is memory that nobody uses. */
static int make_room(struct pa_gw_table *t)
{
	size_t room = t->heap_room + t->heap_room / 4 + BUCKETS_MIN;
	uint32_t *heap;

	if (t->n == t->heap_room) {
		heap = realloc(t->heap, room * sizeof(*heap));
		if (heap == NULL)
			return PA_ENOMEM;
		t->heap = heap;
		t->heap_room = room;
	}
	return t->n < t->buckets * LOAD ? 0 : grow(t);
}

int pa_gw_table_new(const uint8_t hash_key[PA_GW_HASH_KEY_LEN], size_t max, struct pa_gw_table **ret)
{
	struct pa_gw_table *t = calloc(1, sizeof(*t));

	if (t == NULL || allocate(t, BUCKETS_MIN) < 0) {
		free(t);
		return PA_ENOMEM;
	}
	pa_slab_init(&t->slab, sizeof(struct pa_gw_entry));
	memcpy(t->key, hash_key, sizeof(t->key));
	t->max = max;
	t->marked = NONE;
	*ret = t;
	return 0;
}

void pa_gw_table_free(struct pa_gw_table *t)
{
	if (t == NULL)
		return;
	pa_slab_clear(&t->slab);
	free(t->by_addr);
	free(t->by_session);
	free(t->heap);
	pa_wipe(t, sizeof(*t));
	free(t);
}

struct pa_gw_entry *pa_gw_table_find(const struct pa_gw_table *t, const struct pa_addr *addr)
{
	struct pa_gw_entry *e;

	for (uint32_t i = *addr_bucket(t, addr); i != NONE; i = e->next_addr) {
		e = at(t, i);
		if (pa_addr_eq(&e->addr, addr))
			return e;
	}
	return NULL;
}

struct pa_gw_entry *pa_gw_table_find_session(const struct pa_gw_table *t, const uint8_t session[PA_SESSION_LEN])
{
	struct pa_gw_entry *e;

	for (uint32_t i = *session_bucket(t, session); i != NONE; i = e->next_session) {
		e = at(t, i);
		if (memcmp(e->session, session, PA_SESSION_LEN) == 0)
			return e;
	}
	return NULL;
}

static void fetch(const struct pa_gw_entry *e)
{
	const uint8_t *p = (const uint8_t *)e;

	for (size_t i = 0; i < sizeof(*e); i += CACHE_LINE)
		__builtin_prefetch(p + i);
	__builtin_prefetch(p + sizeof(*e) - 1);
}

/* Each step needs what the one before it has fetched. Of a chain two are fetched: it seldom has more. */
void pa_gw_table_soon(const struct pa_gw_table *t, const uint8_t *const *sessions, unsigned n)
{
	const uint32_t *b[PA_GW_SOON_MAX];

	PA_REQUIRE(n <= PA_GW_SOON_MAX);
	for (unsigned i = 0; i < n; i++) {
		b[i] = session_bucket(t, sessions[i]);
		__builtin_prefetch(b[i]);
	}
	for (unsigned i = 0; i < n; i++)
		if (*b[i] != NONE)
			fetch(at(t, *b[i]));
	for (unsigned i = 0; i < n; i++) {
		const struct pa_gw_entry *e = *b[i] != NONE ? at(t, *b[i]) : NULL;

		if (e != NULL && e->next_session != NONE && memcmp(e->session, sessions[i], PA_SESSION_LEN) != 0)
			fetch(at(t, e->next_session));
	}
}

/* The heap, with positions kept in the entries. */
static void heap_set(struct pa_gw_table *t, size_t i, uint32_t number)
{
	t->heap[i] = number;
	at(t, number)->heap_pos = (uint32_t)i;
}

static uint64_t heap_due(const struct pa_gw_table *t, size_t i)
{
	return at(t, t->heap[i])->due_ms;
}

/* Moves entry number, which stands at i, to where its due time belongs. */
static void heap_fix(struct pa_gw_table *t, size_t i, uint32_t number)
{
	uint64_t due = at(t, number)->due_ms;
	size_t child;

	while (i > 0 && heap_due(t, (i - 1) / 2) > due) {
		heap_set(t, i, t->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	while ((child = 2 * i + 1) < t->n) {
		if (child + 1 < t->n && heap_due(t, child + 1) < heap_due(t, child))
			child++;
		if (heap_due(t, child) >= due)
			break;
		heap_set(t, i, t->heap[child]);
		i = child;
	}
	heap_set(t, i, number);
}

int pa_gw_table_add(struct pa_gw_table *t, const struct pa_addr *addr, struct pa_gw_entry **ret)
{
	struct pa_gw_entry *e;
	uint32_t number, *b;

	if (t->n >= t->max || make_room(t) < 0)
		return PA_ENOMEM;
	e = pa_slab_get(&t->slab, &number);
	if (e == NULL)
		return PA_ENOMEM;
	e->live = true;
	e->addr = *addr;
	b = addr_bucket(t, addr);
	e->next_addr = *b;
	*b = number;
	t->n++;
	heap_set(t, t->n - 1, number);
	heap_fix(t, t->n - 1, number);
	*ret = e;
	return 0;
}

void pa_gw_table_remove(struct pa_gw_table *t, struct pa_gw_entry *e)
{
	uint32_t *p = addr_bucket(t, &e->addr), number = number_of(t, e), last;
	size_t i = e->heap_pos;

	while (*p != number)
		p = &at(t, *p)->next_addr;
	*p = e->next_addr;
	last = t->heap[--t->n];
	if (last != number)
		heap_fix(t, i, last);
	if (e->marked) {
		e->live = false; /* whoever takes the marks puts it away */
		pa_wipe(e->k1, sizeof(e->k1));
	} else {
		pa_slab_put(&t->slab, number);
	}
}

void pa_gw_table_index(struct pa_gw_table *t, struct pa_gw_entry *e)
{
	uint32_t *b = session_bucket(t, e->session);

	e->next_session = *b;
	*b = number_of(t, e);
}

void pa_gw_table_unindex(struct pa_gw_table *t, struct pa_gw_entry *e)
{
	uint32_t *p = session_bucket(t, e->session), number = number_of(t, e);

	while (*p != number)
		p = &at(t, *p)->next_session;
	*p = e->next_session;
}

void pa_gw_table_schedule(struct pa_gw_table *t, struct pa_gw_entry *e, uint64_t due_ms)
{
	uint32_t number = number_of(t, e);

	e->due_ms = due_ms & ((UINT64_C(1) << 48) - 1); /* 8900 years */
	heap_fix(t, e->heap_pos, number);
}

struct pa_gw_entry *pa_gw_table_first(const struct pa_gw_table *t)
{
	return t->n > 0 ? at(t, t->heap[0]) : NULL;
}

void pa_gw_table_mark(struct pa_gw_table *t, struct pa_gw_entry *e)
{
	if (e->marked)
		return;
	e->marked = true;
	e->next_marked = t->marked;
	t->marked = number_of(t, e);
}

struct pa_gw_entry *pa_gw_table_take_marked(struct pa_gw_table *t)
{
	while (t->marked != NONE) {
		uint32_t number = t->marked;
		struct pa_gw_entry *e = at(t, number);

		t->marked = e->next_marked;
		e->marked = false;
		if (e->live)
			return e;
		pa_slab_put(&t->slab, number);
	}
	return NULL;
}

bool pa_gw_table_has_marked(const struct pa_gw_table *t)
{
	return t->marked != NONE;
}

size_t pa_gw_table_size(const struct pa_gw_table *t)
{
	return t->n;
}

struct pa_gw_entry *pa_gw_table_walk(const struct pa_gw_table *t, uint32_t *number)
{
	while (*number < pa_slab_end(&t->slab)) {
		struct pa_gw_entry *e = at(t, (*number)++);

		if (e->live)
			return e;
	}
	return NULL;
}

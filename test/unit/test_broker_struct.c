/* SPDX-License-Identifier: MPL-2.0 */
/* Heap, hash index, client identity. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "broker/heap.h"
#include "broker/ident.h"
#include "broker/index.h"

#define N 2000

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

Test(heap, gives_keys_in_order)
{
	static struct pa_heap_item items[N];
	struct pa_heap h = {NULL, 0, 0};
	uint32_t rnd = 1;
	uint64_t last = 0;

	cr_assert_eq(pa_heap_reserve(&h, N), 0);
	cr_assert_null(pa_heap_peek(&h));
	for (size_t i = 0; i < N; i++)
		pa_heap_push(&h, &items[i], next_random(&rnd) % 500);
	for (size_t i = 0; i < N; i++) {
		struct pa_heap_item *item = pa_heap_peek(&h);

		cr_assert_geq(item->key, last);
		last = item->key;
		pa_heap_remove(&h, item);
		cr_assert_eq(item->pos, 0u);
	}
	cr_assert_null(pa_heap_peek(&h));
	pa_heap_clear(&h);
}

Test(heap, removes_from_the_middle)
{
	static struct pa_heap_item items[N];
	struct pa_heap h = {NULL, 0, 0};
	uint32_t rnd = 7;
	uint64_t last = 0;
	size_t left = 0;

	cr_assert_eq(pa_heap_reserve(&h, N), 0);
	for (size_t i = 0; i < N; i++)
		pa_heap_push(&h, &items[i], next_random(&rnd));
	for (size_t i = 0; i < N; i += 3)
		pa_heap_remove(&h, &items[i]);
	while (pa_heap_peek(&h) != NULL) {
		struct pa_heap_item *item = pa_heap_peek(&h);

		cr_assert_geq(item->key, last);
		cr_assert_neq((size_t)(item - items) % 3, 0u);
		last = item->key;
		pa_heap_remove(&h, item);
		left++;
	}
	cr_assert_eq(left, N - (N + 2) / 3);
	pa_heap_clear(&h);
}

static bool match(const void *item, const void *key)
{
	return *(const unsigned *)item == *(const unsigned *)key;
}

/* Few different hashes, so that probing and closing of gaps are exercised. */
static uint64_t bad_hash(unsigned v)
{
	return v % 97;
}

Test(index, finds_what_is_in_and_nothing_else)
{
	static unsigned values[N];
	struct pa_index ix = {NULL, 0, 0};

	cr_assert_null(pa_index_find(&ix, 0, match, &values[0]));
	for (unsigned i = 0; i < N; i++) {
		values[i] = i;
		cr_assert_eq(pa_index_reserve(&ix, i + 1), 0);
		pa_index_put(&ix, bad_hash(i), &values[i]);
	}
	for (unsigned i = 0; i < N; i += 2)
		cr_assert(pa_index_remove(&ix, bad_hash(i), &values[i]));
	for (unsigned i = 0; i < N; i++)
		cr_assert_eq(pa_index_find(&ix, bad_hash(i), match, &i), i % 2 == 0 ? NULL : &values[i], "value %u", i);
	cr_assert_not(pa_index_remove(&ix, bad_hash(0), &values[0]));
	cr_assert_eq(ix.n, N / 2);
	pa_index_clear(&ix);
}

Test(ident, equal_only_if_realm_kind_and_bytes_are)
{
	static const uint8_t seed[16] = {1, 2, 3}, id[] = {1, 2, 3, 4}, longer[] = {1, 2, 3, 4, 0};
	struct pa_ident *a = pa_ident_new("campus", PA_IDENT_CLIENT_ID, id, sizeof(id));
	struct pa_ident *same = pa_ident_new("campus", PA_IDENT_CLIENT_ID, id, sizeof(id));
	struct pa_ident *realm = pa_ident_new("campu", PA_IDENT_CLIENT_ID, id, sizeof(id));
	struct pa_ident *kind = pa_ident_new("campus", PA_IDENT_HW_ADDRESS, id, sizeof(id));
	struct pa_ident *bytes = pa_ident_new("campus", PA_IDENT_CLIENT_ID, longer, sizeof(longer));
	char text[PA_IDENT_TEXTLEN];
	size_t len;

	cr_assert(pa_ident_eq(a, same));
	cr_assert_eq(pa_ident_hash(a, seed), pa_ident_hash(same, seed));
	cr_assert_not(pa_ident_eq(a, realm));
	cr_assert_not(pa_ident_eq(a, kind));
	cr_assert_not(pa_ident_eq(a, bytes));
	cr_assert_str_eq(pa_ident_realm(a), "campus");
	cr_assert_arr_eq(pa_ident_id(a, &len), id, sizeof(id));
	cr_assert_eq(len, sizeof(id));
	cr_assert_str_eq(pa_ident_format(kind, text), "hw-address:01020304");
	pa_ident_put(a);
	pa_ident_put(same);
	pa_ident_put(realm);
	pa_ident_put(kind);
	pa_ident_put(bytes);
}

Test(ident, refuses_what_is_empty_or_too_long)
{
	static const uint8_t id[PA_IDENT_ID_MAX + 1] = {1};
	char realm[PA_REALM_MAX + 2], text[PA_IDENT_TEXTLEN];
	struct pa_ident *longest;

	memset(realm, 'r', sizeof(realm) - 1);
	realm[sizeof(realm) - 1] = '\0';
	cr_assert_null(pa_ident_new("", PA_IDENT_CLIENT_ID, id, 1));
	cr_assert_null(pa_ident_new("r", PA_IDENT_CLIENT_ID, id, 0));
	cr_assert_null(pa_ident_new("r", PA_IDENT_CLIENT_ID, id, PA_IDENT_ID_MAX + 1));
	cr_assert_null(pa_ident_new(realm, PA_IDENT_CLIENT_ID, id, 1));
	longest = pa_ident_new(realm + 1, PA_IDENT_CLIENT_ID, id, PA_IDENT_ID_MAX);
	cr_assert_not_null(longest);
	cr_assert_lt(strlen(pa_ident_format(longest, text)), (size_t)PA_IDENT_TEXTLEN);
	cr_assert(strstr(text, "...") != NULL);
	pa_ident_put(longest);
}

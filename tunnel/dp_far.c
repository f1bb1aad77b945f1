/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_far.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

#define HALF 65536

/* The first addresses of stretches; 64 bits, for the end of the address space is one of them. */
struct bounds {
	uint64_t *at;
	size_t n, cap;
};

static int add_bound(struct bounds *b, uint64_t v)
{
	if (b->n == b->cap) {
		size_t cap = b->cap * 2 + 64;
		uint64_t *at = realloc(b->at, cap * sizeof(*at));

		if (at == NULL)
			return PA_ENOMEM;
		b->at = at;
		b->cap = cap;
	}
	b->at[b->n++] = v;
	return 0;
}

static int add_prefix(struct bounds *b, const struct pa_prefix *p)
{
	uint64_t first = pa_addr_to_ipv4(&p->addr);
	int rc;

	if (!pa_addr_is_ipv4(&p->addr))
		return 0;
	rc = add_bound(b, first);
	return rc < 0 ? rc : add_bound(b, first + (UINT64_C(1) << (32 - p->len)));
}

static int add_list(struct bounds *b, const struct pa_prefix *list, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = add_prefix(b, &list[i]);
	return rc;
}

/* Every stretch begins somewhere: at 0, at a prefix of the rule, or of the classes of addresses. */
static int add_common(struct bounds *b)
{
	struct pa_prefix p;
	int rc = add_bound(b, 0);

	for (size_t i = 0; rc == 0 && pa_addr_special4(i, &p); i++)
		rc = add_prefix(b, &p);
	return rc < 0 ? rc : add_bound(b, UINT64_C(1) << 32);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

/* ---- tables ---- */

static unsigned far_get(const struct pa_far *f, uint32_t half)
{
	return (unsigned)(f->far[half / 8] >> (half % 8 * 8)) & 0xff;
}

static void far_set(struct pa_far *f, uint32_t half, unsigned v)
{
	f->far[half / 8] &= ~(UINT64_C(0xff) << (half % 8 * 8));
	f->far[half / 8] |= (uint64_t)v << (half % 8 * 8);
}

static void bits_set(struct pa_far *f, unsigned block, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i <= last; i++)
		f->bits[block * PA_K_BLOCK_WORDS + i / 64] |= UINT64_C(1) << (i % 64);
}

/* Part of what shares an upper half, from first to last. */
static void drop_some(struct pa_far *f, uint32_t half, uint32_t first, uint32_t last)
{
	unsigned v = far_get(f, half);

	if (v == PA_K_FAR_ASK)
		return;
	if (v == PA_K_FAR_PASS && f->blocks == PA_K_BLOCKS) {
		far_set(f, half, PA_K_FAR_ASK);
		return;
	}
	if (v == PA_K_FAR_PASS) {
		v = PA_K_FAR_BLOCK + f->blocks++ - 1;
		far_set(f, half, v);
	}
	bits_set(f, v - PA_K_FAR_BLOCK + 1, first, last);
}

static void drop(struct pa_far *f, uint32_t first, uint32_t last)
{
	for (uint32_t half = first / HALF; half <= last / HALF; half++) {
		uint32_t from = half == first / HALF ? first % HALF : 0, to = half == last / HALF ? last % HALF : HALF - 1;

		if (from == 0 && to == HALF - 1)
			far_set(f, half, PA_K_FAR_DROP);
		else
			drop_some(f, half, from, to);
	}
}

static void fill(struct bounds *b, bool (*pass)(const void *rule, const struct pa_addr *a), const void *rule,
		 struct pa_far *ret)
{
	uint64_t from = 0;
	bool dropping = false;

	qsort(b->at, b->n, sizeof(b->at[0]), by_value);
	for (size_t i = 0; i < b->n; i++) {
		struct pa_addr a = pa_addr_from_ipv4((uint32_t)b->at[i]);
		bool end = b->at[i] >> 32 != 0, drops;

		if (i > 0 && b->at[i] == b->at[i - 1])
			continue;
		drops = !end && !pass(rule, &a);
		if (dropping && !drops)
			drop(ret, (uint32_t)from, (uint32_t)(b->at[i] - 1));
		if (!dropping && drops)
			from = b->at[i];
		dropping = drops;
	}
}

static void clear(struct pa_far *f)
{
	memset(f, 0, sizeof(*f));
	f->blocks = 1;
}

/* ---- rules ---- */

static bool destination_passes(const void *rule, const struct pa_addr *a)
{
	const struct pa_inner in = {.dst = *a};

	return pa_deny_check(rule, &in) == PA_PASS;
}

int pa_far_destinations(const struct pa_deny *d, struct pa_far *ret)
{
	struct bounds b = {NULL, 0, 0};
	int rc = add_common(&b);

	if (rc == 0)
		rc = add_list(&b, d->deny, d->n_deny);
	if (rc == 0)
		rc = add_list(&b, d->allow, d->n_allow);
	if (rc == 0)
		rc = add_list(&b, d->pools, d->n_pools);
	if (rc == 0)
		rc = add_list(&b, d->own, d->n_own);
	if (rc == 0) {
		clear(ret);
		fill(&b, destination_passes, d, ret);
		for (size_t i = 0; i < d->n_ports; i++)
			bits_set(ret, 0, d->ports[i], d->ports[i]);
	}
	free(b.at);
	return rc;
}

static bool source_passes(const void *rule, const struct pa_addr *a)
{
	const struct pa_ingress *f = rule;
	const struct pa_inner in = {.src = *a, .dst = f->addr};

	return pa_ingress_check(f, &in) == PA_PASS;
}

int pa_far_sources(const struct pa_ingress *f, struct pa_far *ret)
{
	const struct pa_prefix own = {.addr = f->addr, .len = 32};
	struct bounds b = {NULL, 0, 0};
	int rc = add_common(&b);

	if (rc == 0)
		rc = add_prefix(&b, &own);
	if (rc == 0)
		rc = add_list(&b, f->lan, f->n_lan);
	if (rc == 0) {
		clear(ret);
		fill(&b, source_passes, f, ret);
	}
	free(b.at);
	return rc;
}

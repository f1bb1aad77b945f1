/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_hops.h"

#include <stdlib.h>
#include <string.h>

/* In the order of painting: what the kernel prefers comes later. */
static int by_precedence(const void *a, const void *b)
{
	const struct pa_hop_route *x = a, *y = b;

	if (x->local != y->local)
		return x->local ? 1 : -1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->dst < y->dst ? -1 : x->dst > y->dst;
}

static bool same_prefix(const struct pa_hop_route *x, const struct pa_hop_route *y)
{
	return by_precedence(x, y) == 0;
}

static void way_set(struct pa_hops *h, uint32_t half, unsigned v)
{
	h->ways[half / 8] &= ~(UINT64_C(0xff) << (half % 8 * 8));
	h->ways[half / 8] |= (uint64_t)v << (half % 8 * 8);
}

/* 0: no place for another one. */
static unsigned number_of(struct pa_hops *h, const struct pa_hop_route *r)
{
	for (unsigned i = 1; i < PA_K_HOPS; i++) {
		if (h->hop[i].ifindex == 0) {
			h->hop[i].gateway = r->gateway;
			h->hop[i].ifindex = r->ifindex;
		}
		if (h->hop[i].gateway == r->gateway && h->hop[i].ifindex == r->ifindex)
			return i;
	}
	return 0;
}

static void paint(struct pa_hops *h, const struct pa_hop_route *r, unsigned v)
{
	uint32_t first = r->dst >> 16, last = r->len < 16 ? first | 0xffffU >> r->len : first;

	for (uint32_t half = first; half <= last; half++)
		way_set(h, half, v);
}

void pa_hops_make(struct pa_hop_route *routes, size_t n, struct pa_hops *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (n > 0)
		qsort(routes, n, sizeof(routes[0]), by_precedence);
	for (size_t i = 0; i < n; i++) {
		const struct pa_hop_route *r = &routes[i];
		/* Several of one prefix, for different metrics or types of service: their order is the kernel's business. */
		bool alone = (i == 0 || !same_prefix(r, r - 1)) && (i + 1 == n || !same_prefix(r, r + 1));

		paint(ret, r, r->plain && alone && !r->local && r->len <= 16 ? number_of(ret, r) : 0);
	}
}

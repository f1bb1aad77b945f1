/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/report.h"

#include <stdlib.h>
#include <string.h>

#include "broker/index.h"
#include "common/err.h"

struct binding {
	struct pa_addr addr;
	uint64_t number, epoch, bind;
	const struct pa_gateway_view *gateway;
};

struct slot {
	uint64_t number;
	struct binding *b; /* superseded when b->number is another */
};

struct pa_reports {
	struct pa_gateway_view **gateways; /* each stays where it is: bindings point to it */
	size_t n_gateways;
	struct pa_index by_addr;
	struct slot *slots; /* by number */
	size_t n, cap, n_bindings;
	uint64_t head, wishes;
};

struct pa_reports *pa_reports_new(void)
{
	return calloc(1, sizeof(struct pa_reports));
}

void pa_reports_free(struct pa_reports *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		if (r->slots[i].b->number == r->slots[i].number)
			r->slots[i].number = 0;
		else
			r->slots[i].b = NULL; /* has a later slot, which frees it */
	for (size_t i = 0; i < r->n; i++)
		free(r->slots[i].b);
	for (size_t i = 0; i < r->n_gateways; i++)
		free(r->gateways[i]);
	free(r->gateways);
	free(r->slots);
	pa_index_clear(&r->by_addr);
	free(r);
}

const struct pa_gateway_view *pa_reports_view(const struct pa_reports *r, const char *name)
{
	for (size_t i = 0; i < r->n_gateways; i++)
		if (strcmp(r->gateways[i]->name, name) == 0)
			return r->gateways[i];
	return NULL;
}

static struct pa_gateway_view *add_gateway(struct pa_reports *r, const char *name)
{
	struct pa_gateway_view *v = calloc(1, sizeof(*v)), **list;

	list = reallocarray(r->gateways, r->n_gateways + 1, sizeof(struct pa_gateway_view *));
	if (list != NULL)
		r->gateways = list;
	if (list == NULL || v == NULL || strlen(name) > PA_NAME_MAX) {
		free(v);
		return NULL;
	}
	memcpy(v->name, name, strlen(name));
	v->wish = -1;
	list[r->n_gateways++] = v;
	return v;
}

struct pa_gateway_view *pa_reports_seen(struct pa_reports *r, const char *name, uint64_t boot_ms, bool *ret_new)
{
	struct pa_gateway_view *v = NULL;

	for (size_t i = 0; i < r->n_gateways && v == NULL; i++)
		if (strcmp(r->gateways[i]->name, name) == 0)
			v = r->gateways[i];
	*ret_new = v == NULL || boot_ms >= v->seen_ms + PA_GATEWAY_SILENT_MS;
	if (v == NULL)
		v = add_gateway(r, name);
	if (v != NULL)
		v->seen_ms = boot_ms;
	return v;
}

int pa_reports_wish(struct pa_reports *r, const char *name, bool drain)
{
	for (size_t i = 0; i < r->n_gateways; i++) {
		if (strcmp(r->gateways[i]->name, name) != 0)
			continue;
		r->gateways[i]->wish = drain ? 1 : 0;
		r->gateways[i]->wish_told = false;
		r->wishes++;
		return 0;
	}
	return PA_ENOTFOUND;
}

uint64_t pa_reports_wishes(const struct pa_reports *r)
{
	return r->wishes;
}

/* The broker's own pools give the addresses, so the hash needs no key. */
static uint64_t hash_of(const struct pa_addr *addr)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < sizeof(addr->b); i++)
		hash = (hash ^ addr->b[i]) * 0x100000001b3u;
	return hash ^ (hash >> 32);
}

static bool match(const void *item, const void *key)
{
	return pa_addr_eq(&((const struct binding *)item)->addr, key);
}

/* Room for one more slot. */
static int reserve(struct pa_reports *r)
{
	size_t kept = 0, cap;
	struct slot *slots;

	if (r->n < r->cap)
		return 0;
	for (size_t i = 0; i < r->n; i++)
		if (r->slots[i].b->number == r->slots[i].number)
			r->slots[kept++] = r->slots[i];
	r->n = kept;
	if (kept < r->cap / 2)
		return 0;
	cap = r->cap > 0 ? 2 * r->cap : 64;
	slots = reallocarray(r->slots, cap, sizeof(*slots));
	if (slots == NULL)
		return r->n < r->cap ? 0 : PA_ENOMEM;
	r->slots = slots;
	r->cap = cap;
	return 0;
}

static struct binding *find_or_add(struct pa_reports *r, const struct pa_addr *addr)
{
	struct binding *b = pa_index_find(&r->by_addr, hash_of(addr), match, addr);

	if (b != NULL)
		return b;
	if (pa_index_reserve(&r->by_addr, r->n_bindings + 1) < 0)
		return NULL;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	b->addr = *addr;
	pa_index_put(&r->by_addr, hash_of(addr), b);
	r->n_bindings++;
	return b;
}

int pa_reports_put(struct pa_reports *r, const char *gateway, const struct pa_addr *addr, uint64_t epoch, uint64_t bind,
		   uint64_t unix_ms)
{
	const struct pa_gateway_view *v = pa_reports_view(r, gateway);
	struct binding *b;

	PA_REQUIRE(v != NULL);
	if (reserve(r) < 0 || (b = find_or_add(r, addr)) == NULL)
		return PA_ENOMEM;
	if (epoch < b->epoch || (epoch == b->epoch && bind <= b->bind && b->number != 0))
		return 0;
	b->epoch = epoch;
	b->bind = bind;
	b->gateway = v;
	b->number = r->head = unix_ms > r->head ? unix_ms : r->head + 1;
	r->slots[r->n++] = (struct slot){b->number, b};
	return 1;
}

uint64_t pa_reports_head(const struct pa_reports *r)
{
	return r->head;
}

size_t pa_reports_since(const struct pa_reports *r, uint64_t from, const char *gateway, struct pa_report *ret, size_t max,
			uint64_t *ret_to)
{
	size_t lo = 0, hi = r->n, n = 0;

	*ret_to = r->head;
	if (from > r->head)
		from = 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->slots[mid].number <= from)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < r->n; lo++) {
		const struct binding *b = r->slots[lo].b;

		if (b->number != r->slots[lo].number || strcmp(b->gateway->name, gateway) == 0)
			continue;
		if (n == max) {
			*ret_to = ret[n - 1].number;
			break;
		}
		ret[n++] = (struct pa_report){b->number, b->addr, b->epoch, b->bind, b->gateway->name};
	}
	return n;
}

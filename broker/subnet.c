/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/subnet.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/index.h"

struct pa_subnets {
	struct pa_index index;
	struct pa_subnet **all; /* each stays where it is: leases point to it */
	size_t n, cap;
	uint8_t seed[16];
};

struct name {
	const char *realm;
	uint32_t id;
};

struct pa_subnets *pa_subnets_new(const uint8_t seed[16])
{
	struct pa_subnets *s = calloc(1, sizeof(*s));

	if (s != NULL)
		memcpy(s->seed, seed, sizeof(s->seed));
	return s;
}

void pa_subnets_free(struct pa_subnets *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->all[i]);
	free(s->all);
	pa_index_clear(&s->index);
	free(s);
}

static uint64_t hash_of(const struct pa_subnets *s, const struct name *name)
{
	uint8_t key[PA_REALM_MAX + sizeof(name->id)], out[crypto_shorthash_BYTES];
	size_t len = strnlen(name->realm, PA_REALM_MAX);
	uint64_t hash;

	memcpy(key, name->realm, len);
	memcpy(key + len, &name->id, sizeof(name->id));
	(void)crypto_shorthash(out, key, len + sizeof(name->id), s->seed);
	memcpy(&hash, out, sizeof(hash));
	return hash;
}

static bool match(const void *item, const void *key)
{
	const struct pa_subnet *subnet = item;
	const struct name *name = key;

	return subnet->id == name->id && strcmp(subnet->realm, name->realm) == 0;
}

struct pa_subnet *pa_subnets_find(const struct pa_subnets *s, const char *realm, uint32_t id)
{
	const struct name name = {realm, id};

	return pa_index_find(&s->index, hash_of(s, &name), match, &name);
}

static int reserve(struct pa_subnets *s)
{
	size_t cap = s->cap > 0 ? 2 * s->cap : 16;
	struct pa_subnet **all;

	if (pa_index_reserve(&s->index, s->n + 1) < 0)
		return -1;
	if (s->n < s->cap)
		return 0;
	all = reallocarray(s->all, cap, sizeof(struct pa_subnet *));
	if (all == NULL)
		return -1;
	s->all = all;
	s->cap = cap;
	return 0;
}

struct pa_subnet *pa_subnets_get(struct pa_subnets *s, const char *realm, uint32_t id)
{
	const struct name name = {realm, id};
	struct pa_subnet *subnet = pa_subnets_find(s, realm, id);

	if (subnet != NULL || strlen(realm) > PA_REALM_MAX || reserve(s) < 0)
		return subnet;
	subnet = calloc(1, sizeof(*subnet));
	if (subnet == NULL)
		return NULL;
	memcpy(subnet->realm, realm, strlen(realm));
	subnet->id = id;
	s->all[s->n++] = subnet;
	pa_index_put(&s->index, hash_of(s, &name), subnet);
	return subnet;
}

size_t pa_subnets_all(const struct pa_subnets *s, struct pa_subnet *const **ret)
{
	*ret = s->all;
	return s->n;
}

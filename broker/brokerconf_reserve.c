/* SPDX-License-Identifier: MPL-2.0 */
/* Reservations of brokerd.conf: which client an address is kept for. */
#include <stdlib.h>
#include <string.h>

#include "broker/brokerconf_pool.h"
#include "common/err.h"
#include "common/hex.h"

static int by_addr(const void *a, const void *b)
{
	const struct pa_reservation *x = a, *y = b;

	return memcmp(x->addr.b, y->addr.b, sizeof(x->addr.b));
}

static int by_client(const void *a, const void *b)
{
	const struct pa_reservation *const *x = a, *const *y = b;

	return pa_ident_cmp((*x)->ident, (*y)->ident);
}

static int read_client(const struct pa_node *n, const struct pa_brokerconf *conf, struct pa_ident **ret)
{
	const char *realm = pa_node_string(n, "realm", PA_REQUIRED_STR), *key = "client-id";
	enum pa_ident_kind kind = PA_IDENT_CLIENT_ID;
	uint8_t id[PA_IDENT_ID_MAX];
	int len;

	if (pa_node_has(n, "client-id") == pa_node_has(n, "hw-address")) {
		pa_node_fail(n, NULL, "expected either \"client-id\" or \"hw-address\", as the lease list shows them");
		return 0;
	}
	if (pa_node_has(n, "hw-address")) {
		kind = PA_IDENT_HW_ADDRESS;
		key = "hw-address";
	}
	if (!pa_brokerconf_has_realm(conf, realm)) {
		pa_node_fail(n, "realm", "\"%s\" is not one of the realms of this broker; add it there or write another", realm);
		return 0;
	}
	len = pa_hex_decode(pa_node_string(n, key, ""), id, sizeof(id));
	if (len < 1) {
		pa_node_fail(n, key, "expected 1 to %d bytes as hexadecimal digits without colons", PA_IDENT_ID_MAX);
		return 0;
	}
	*ret = pa_ident_new(realm, kind, id, (size_t)len);
	return *ret != NULL ? 0 : PA_ENOMEM;
}

static void count_in_pool(const struct pa_node *n, struct pa_brokerconf *conf, const struct pa_addr *addr)
{
	const struct pa_pool_conf *pool = pa_brokerconf_pool_of(conf, addr);

	if (pool != NULL)
		conf->pools[pool - conf->pools].n_reserved++;
	else
		pa_node_fail(n, "address", "is in no pool, or excluded there; only addresses of pools can be reserved");
}

/* Sorted twice, so that either is found quickly, and the same one twice stands side by side. */
static void sort(const struct pa_node *root, struct pa_brokerconf *conf)
{
	size_t n = conf->n_reservations;

	qsort(conf->reservations, n, sizeof(*conf->reservations), by_addr);
	for (size_t i = 0; i < n; i++)
		conf->reserved_for[i] = &conf->reservations[i];
	qsort(conf->reserved_for, n, sizeof(*conf->reserved_for), by_client);
	for (size_t i = 1; i < n; i++) {
		const struct pa_reservation *a = &conf->reservations[i - 1], *b = &conf->reservations[i];
		struct pa_node node = pa_node_item(root, "reservations", a->item > b->item ? a->item : b->item);

		if (by_addr(a, b) == 0)
			pa_node_fail(&node, "address", "is reserved twice; leave one out");
		a = conf->reserved_for[i - 1];
		b = conf->reserved_for[i];
		node = pa_node_item(root, "reservations", a->item > b->item ? a->item : b->item);
		if (pa_ident_eq(a->ident, b->ident))
			pa_node_fail(&node, NULL, "this client has a reservation already, and a client has one address; leave one out");
	}
}

int pa_brokerconf_read_reservations(const struct pa_node *root, struct pa_brokerconf *conf)
{
	static const char *const keys[] = {"realm", "client-id", "hw-address", "address", NULL};
	size_t count = pa_node_list(root, "reservations", false);

	if (count == 0)
		return 0;
	conf->reservations = calloc(count, sizeof(*conf->reservations));
	conf->reserved_for = calloc(count, sizeof(struct pa_reservation *));
	if (conf->reservations == NULL || conf->reserved_for == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct pa_node n = pa_node_item(root, "reservations", i);
		struct pa_reservation *r = &conf->reservations[i];
		int rc;

		pa_node_only(&n, keys);
		r->item = i;
		if ((rc = read_client(&n, conf, &r->ident)) < 0)
			return rc;
		conf->n_reservations++;
		if (r->ident == NULL || !pa_node_addr(&n, "address", true, &r->addr))
			return 0; /* the error is kept, so nobody looks into this list */
		count_in_pool(&n, conf, &r->addr);
	}
	sort(root, conf);
	return 0;
}

void pa_brokerconf_free_reservations(struct pa_brokerconf *conf)
{
	for (size_t i = 0; i < conf->n_reservations; i++)
		pa_ident_put(conf->reservations[i].ident);
	free(conf->reservations);
	free(conf->reserved_for);
}

const struct pa_reservation *pa_brokerconf_reserved_addr(const struct pa_brokerconf *conf, const struct pa_addr *addr)
{
	struct pa_reservation key = {.addr = *addr};

	return conf->n_reservations == 0 ? NULL
					 : bsearch(&key, conf->reservations, conf->n_reservations, sizeof(key), by_addr);
}

const struct pa_reservation *pa_brokerconf_reserved_for(const struct pa_brokerconf *conf, struct pa_ident *ident)
{
	struct pa_reservation r = {.ident = ident};
	const struct pa_reservation *key = &r, *const *found;

	if (conf->n_reservations == 0)
		return NULL;
	found = bsearch(&key, conf->reserved_for, conf->n_reservations, sizeof(*found), by_client);
	return found != NULL ? *found : NULL;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* The gateway's table against a plain array that is searched from end to end. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/err.h"
#include "test/sim/peer.h"
#include "tunnel/gw_table.h"

#define HOSTS 400

struct model {
	struct pa_gw_entry *e; /* NULL: not in the table */
	bool indexed;
};

static struct pa_addr addr(unsigned host)
{
	return pa_addr_from_ipv4(0xcb000000u + host);
}

static void session(unsigned host, uint8_t ret[PA_SESSION_LEN])
{
	memset(ret, 0, PA_SESSION_LEN);
	ret[0] = (uint8_t)host;
	ret[7] = (uint8_t)(host >> 8);
}

static void check(const struct pa_gw_table *t, const struct model *m)
{
	uint64_t min = UINT64_MAX;
	size_t n = 0;

	for (unsigned i = 0; i < HOSTS; i++) {
		struct pa_addr a = addr(i);
		uint8_t s[PA_SESSION_LEN];

		session(i, s);
		cr_assert_eq(pa_gw_table_find(t, &a), m[i].e);
		cr_assert_eq(pa_gw_table_find_session(t, s), m[i].indexed ? m[i].e : NULL);
		if (m[i].e == NULL)
			continue;
		n++;
		min = m[i].e->due_ms < min ? m[i].e->due_ms : min;
	}
	cr_assert_eq(pa_gw_table_size(t), n);
	if (n == 0)
		cr_assert_null(pa_gw_table_first(t));
	else
		cr_assert_eq(pa_gw_table_first(t)->due_ms, min);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(pa_gw_table_at(t, i)->heap_pos, i);
}

static void add(struct pa_gw_table *t, struct model *m, unsigned host, struct peer_rng *rng)
{
	struct pa_addr a = addr(host);

	cr_assert_eq(pa_gw_table_add(t, &a, &m->e), 0);
	cr_assert_eq(pa_gw_table_first(t), m->e, "due at once");
	pa_gw_table_schedule(t, m->e, 1 + peer_next(rng) % 100000);
	session(host, m->e->b.session);
}

static void change(struct pa_gw_table *t, struct model *m, struct peer_rng *rng)
{
	switch (peer_next(rng) % 4) {
	case 0:
		if (m->indexed)
			pa_gw_table_unindex(t, m->e);
		pa_gw_table_remove(t, m->e);
		memset(m, 0, sizeof(*m));
		break;
	case 1:
		if (m->indexed)
			pa_gw_table_unindex(t, m->e);
		else
			pa_gw_table_index(t, m->e);
		m->indexed = !m->indexed;
		break;
	default:
		pa_gw_table_schedule(t, m->e, 1 + peer_next(rng) % 100000);
		break;
	}
}

Test(gw_table, agrees_with_an_array)
{
	static const uint8_t key[PA_GW_HASH_KEY_LEN] = {5};
	static struct model m[HOSTS];
	struct peer_rng rng = {7};
	struct pa_gw_table *t;

	cr_assert_eq(pa_gw_table_new(key, HOSTS, &t), 0);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned host = (unsigned)(peer_next(&rng) % HOSTS);

		if (m[host].e == NULL)
			add(t, &m[host], host, &rng);
		else
			change(t, &m[host], &rng);
		if (i % 50 == 0)
			check(t, m);
	}
	check(t, m);
	cr_assert_gt(pa_gw_table_size(t), 64, "never grew");
	pa_gw_table_free(t);
}

Test(gw_table, is_bounded)
{
	static const uint8_t key[PA_GW_HASH_KEY_LEN] = {5};
	struct pa_addr a = addr(3);
	struct pa_gw_entry *e;
	struct pa_gw_table *t;

	cr_assert_eq(pa_gw_table_new(key, 2, &t), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct pa_addr b = addr(i);

		cr_assert_eq(pa_gw_table_add(t, &b, &e), 0);
	}
	cr_expect_eq(pa_gw_table_add(t, &a, &e), PA_ENOMEM);
	pa_gw_table_remove(t, e);
	cr_expect_eq(pa_gw_table_add(t, &a, &e), 0);
	pa_gw_table_free(t);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* The gateway's table against a plain array that is searched from end to end. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/err.h"
#include "test/sim/peer.h"
#include "tunnel/gw_table.h"
#include "tunnel/slab.h"

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

/* Each entry once, and nothing else. */
static void check_walk(const struct pa_gw_table *t, size_t n)
{
	bool seen[HOSTS] = {false};
	struct pa_gw_entry *e;
	uint32_t at = 0;
	size_t walked = 0;

	for (; (e = pa_gw_table_walk(t, &at)) != NULL; walked++) {
		unsigned host = pa_addr_to_ipv4(&e->addr) - 0xcb000000u;

		cr_assert(host < HOSTS && !seen[host]);
		seen[host] = true;
	}
	cr_assert_eq(walked, n);
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
	check_walk(t, n);
}

static void add(struct pa_gw_table *t, struct model *m, unsigned host, struct peer_rng *rng)
{
	struct pa_addr a = addr(host);

	cr_assert_eq(pa_gw_table_add(t, &a, &m->e), 0);
	cr_assert_eq(pa_gw_table_first(t), m->e, "due at once");
	pa_gw_table_schedule(t, m->e, 1 + peer_next(rng) % 100000);
	session(host, m->e->session);
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

/* Whatever is announced, known or not, few or many: nothing changes, and each is found as before. */
Test(gw_table, what_is_looked_for_soon)
{
	static const uint8_t key[PA_GW_HASH_KEY_LEN] = {5};
	static uint8_t sessions[HOSTS][PA_SESSION_LEN];
	static struct model m[HOSTS];
	const uint8_t *list[PA_GW_SOON_MAX];
	struct peer_rng rng = {7};
	struct pa_gw_table *t;

	cr_assert_eq(pa_gw_table_new(key, HOSTS, &t), 0);
	pa_gw_table_soon(t, NULL, 0);
	for (unsigned i = 0; i < HOSTS; i++)
		session(i, sessions[i]);
	for (unsigned i = 0; i < HOSTS; i += 2) { /* every other one is unknown */
		add(t, &m[i], i, &rng);
		pa_gw_table_index(t, m[i].e);
		m[i].indexed = true;
	}
	for (unsigned n = 1; n <= PA_GW_SOON_MAX; n++) {
		for (unsigned i = 0; i < n; i++)
			list[i] = sessions[peer_next(&rng) % HOSTS];
		pa_gw_table_soon(t, list, n);
	}
	check(t, m);
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

/* What is marked is given once, also when it was removed and came back; what is gone is not given. */
Test(gw_table, marks)
{
	static const uint8_t key[PA_GW_HASH_KEY_LEN] = {5};
	struct pa_gw_entry *e[3];
	struct pa_gw_table *t;

	cr_assert_eq(pa_gw_table_new(key, 10, &t), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct pa_addr a = addr(i);

		cr_assert_eq(pa_gw_table_add(t, &a, &e[i]), 0);
		pa_gw_table_mark(t, e[i]);
		pa_gw_table_mark(t, e[i]);
	}
	pa_gw_table_remove(t, e[1]);
	cr_assert_eq(pa_gw_table_size(t), 2);
	for (unsigned n = 0; n < 2; n++) {
		struct pa_gw_entry *got = pa_gw_table_take_marked(t);

		cr_assert(got == e[0] || got == e[2]);
		cr_assert(!got->marked);
	}
	cr_assert_null(pa_gw_table_take_marked(t));
	cr_assert_not(pa_gw_table_has_marked(t));
	pa_gw_table_free(t);
}

/* Numbers are used again, items come zeroed, and stay where they are however many there are. */
Test(gw_table, slab)
{
	struct pa_slab s;
	uint64_t *item[1000], *again;
	uint32_t number;

	pa_slab_init(&s, sizeof(uint64_t));
	for (uint32_t i = 0; i < 1000; i++) {
		item[i] = pa_slab_get(&s, &number);
		cr_assert(item[i] != NULL && number == i && *item[i] == 0);
		*item[i] = i + 1;
	}
	for (uint32_t i = 0; i < 1000; i++)
		cr_assert(pa_slab_at(&s, i) == item[i] && *item[i] == i + 1);
	pa_slab_put(&s, 5);
	pa_slab_put(&s, 700);
	again = pa_slab_get(&s, &number);
	cr_assert(number == 700 && again == item[700] && *again == 0);
	again = pa_slab_get(&s, &number);
	cr_assert(number == 5 && *again == 0 && pa_slab_end(&s) == 1000);
	pa_slab_clear(&s);
}

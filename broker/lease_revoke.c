/* SPDX-License-Identifier: MPL-2.0 */
/* The lease table and its gateways: what they are told, and what follows from what they acknowledge. */
#include "broker/lease_pool.h"

uint64_t pa_lease_floor(const struct pa_lease *row)
{
	return row->state == PA_LEASE_ACTIVE ? row->epoch : row->epoch + 1;
}

size_t pa_lease_revoked(struct pa_lease_table *t, uint64_t from, const struct pa_lease **ret, size_t max)
{
	return pa_revoke_since(t->revocations, from, ret, max);
}

uint64_t pa_lease_revoked_head(const struct pa_lease_table *t)
{
	return pa_revoke_head(t->revocations);
}

/* Rests that are over earlier now that revocations from..to are known everywhere. */
static void shorten_rests(struct pa_lease_table *t, uint64_t from, uint64_t to)
{
	const struct pa_lease *rows[64];
	size_t n;

	do {
		n = pa_revoke_since(t->revocations, from, rows, sizeof(rows) / sizeof(rows[0]));
		for (size_t i = 0; i < n && rows[i]->revoked <= to; i++)
			pa_table_place(t, pa_table_find_addr(t, &rows[i]->addr));
		if (n > 0)
			from = rows[n - 1]->revoked;
	} while (n > 0 && from < to);
}

int pa_lease_ack(struct pa_lease_table *t, const char *gateway, uint64_t number)
{
	uint64_t before = pa_revoke_acked(t->revocations), after;
	int rc = pa_revoke_ack(t->revocations, gateway, number);

	if (rc < 0)
		return rc;
	after = pa_revoke_acked(t->revocations);
	if (after > before)
		shorten_rests(t, before, after);
	/* If it sank: whoever takes a rested address looks again. */
	return 0;
}

size_t pa_lease_acks(const struct pa_lease_table *t, const struct pa_ack **ret)
{
	return pa_revoke_acks(t->revocations, ret);
}

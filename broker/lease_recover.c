/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the broker may do when its store is older than the world (pubaddrctl(8), RESTORING A BACKUP). Leases that were given
 * after the copy are unknown, and so are leases that ended early since. For each pool, until the longest of them has expired:
 *  - an address without a lease in the copy goes to nobody;
 *  - an address with a running lease goes to its client. Without gateways on a channel nobody else can have got it, for it would
 *    have had to rest until its highest expiry and longer; with them somebody may, and then the gateways have a floor above
 *    that lease: so they have to tell their floors first, and the lease ends where they know of a higher epoch;
 *  - an epoch that the lost store may have given is not given again, not even to its own client: it may be below a floor.
 */
#include <stdlib.h>

#include "broker/lease_pool.h"
#include "common/err.h"

#define LONGEST_DEFAULT 86400 /* seconds, when the store has no lease to go by */

static struct pa_recovery *find(const struct pa_lease_table *t, uint16_t pool_id)
{
	for (size_t i = 0; i < t->n_recoveries; i++)
		if (t->recoveries[i].pool_id == pool_id)
			return &t->recoveries[i];
	return NULL;
}

static struct pa_recovery *get(struct pa_lease_table *t, uint16_t pool_id)
{
	struct pa_recovery *list, *r = find(t, pool_id);

	if (r != NULL)
		return r;
	list = reallocarray(t->recoveries, t->n_recoveries + 1, sizeof(*list));
	if (list == NULL)
		return NULL;
	t->recoveries = list;
	r = &list[t->n_recoveries++];
	*r = (struct pa_recovery){.pool_id = pool_id};
	return r;
}

bool pa_table_recovers(const struct pa_lease_table *t, const struct pool *pool, uint64_t now_s)
{
	const struct pa_recovery *r = find(t, pool->conf->id);

	return r != NULL && now_s < r->until;
}

uint64_t pa_table_base(const struct pa_lease_table *t, const struct pool *pool)
{
	const struct pa_recovery *r = find(t, pool->conf->id);

	return r != NULL ? r->base : 0;
}

bool pa_table_is_certain(const struct pa_lease_table *t, const struct entry *e, uint64_t now_s)
{
	if (!pa_table_recovers(t, e->pool, now_s) || e->row.epoch > pa_table_base(t, e->pool))
		return true;
	return e->row.state == PA_LEASE_ACTIVE && now_s < e->row.expires &&
	       (e->pool->told || t->conf->groups[e->pool->conf->group].n_names == 0);
}

/* A recovery of this pool from now on. */
static struct pa_recovery *begin(struct pa_lease_table *t, struct pool *pool, uint64_t now)
{
	struct pa_recovery *r = get(t, pool->conf->id);

	if (r == NULL)
		return NULL;
	r->since = now > r->since ? now : r->since + 1;
	if (r->base < now)
		r->base = now;
	/* A clock that was set back has given epochs ahead of it. */
	for (size_t i = 0; i < t->n; i++)
		if (t->order[i]->pool == pool && t->order[i]->row.epoch > r->base)
			r->base = t->order[i]->row.epoch;
	pool->told = false;
	t->recoveries_changed = true;
	return r;
}

int pa_lease_recovery_begin(struct pa_lease_table *t, size_t i, uint64_t now)
{
	uint64_t longest = 0;
	struct pa_recovery *r;

	if (pa_table_recovers(t, &t->pools[i], now / 1000))
		return 0;
	r = begin(t, &t->pools[i], now);
	if (r == NULL)
		return PA_ENOMEM;
	for (size_t k = 0; k < t->n; k++)
		if (t->order[k]->row.lifetime > longest)
			longest = t->order[k]->row.lifetime;
	r->until = now / 1000 + (longest > 0 ? longest : LONGEST_DEFAULT) + PA_EXPIRY_MARGIN;
	return 1;
}

int pa_lease_recovery_set(struct pa_lease_table *t, size_t i, uint64_t now, uint32_t seconds)
{
	struct pool *pool = &t->pools[i];
	struct pa_recovery *r = find(t, pool->conf->id);

	if (seconds > 0 && !pa_table_recovers(t, pool, now / 1000))
		r = begin(t, pool, now);
	if (r == NULL)
		return seconds > 0 ? PA_ENOMEM : 0;
	r->until = now / 1000 + seconds;
	t->recoveries_changed = true;
	return 0;
}

int pa_lease_recovery_load(struct pa_lease_table *t, const struct pa_recovery *recovery)
{
	struct pa_recovery *r = get(t, recovery->pool_id);

	if (r == NULL)
		return PA_ENOMEM;
	*r = *recovery;
	return 0;
}

const struct pa_recovery *pa_lease_recovery(const struct pa_lease_table *t, size_t i)
{
	return find(t, t->conf->pools[i].id);
}

size_t pa_lease_recoveries(const struct pa_lease_table *t, const struct pa_recovery **ret)
{
	*ret = t->recoveries;
	return t->n_recoveries;
}

void pa_lease_recovery_told(struct pa_lease_table *t, size_t i, bool told)
{
	t->pools[i].told = told;
}

int pa_lease_outdated(struct pa_lease_table *t, const struct pa_addr *addr, uint64_t epoch, uint64_t now)
{
	const struct pa_pool_conf *conf = pa_brokerconf_pool_of(t->conf, addr);
	struct entry *e = pa_table_find_addr(t, addr);
	struct pa_recovery *r = conf != NULL ? find(t, conf->id) : NULL;

	if (r != NULL && r->base < epoch) {
		r->base = epoch;
		t->recoveries_changed = true;
	}
	if (e == NULL || e->row.state != PA_LEASE_ACTIVE || e->row.epoch >= epoch)
		return 0;
	if (pa_table_reserve(t, 1) < 0)
		return PA_ENOMEM;
	pa_table_end(t, e, PA_LEASE_EXPIRED, now / 1000, now);
	return 0;
}

bool pa_lease_is_strange(const struct pa_lease_table *t, uint64_t number)
{
	return pa_revoke_is_strange(t->revocations, number);
}

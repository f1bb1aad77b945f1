/* SPDX-License-Identifier: MPL-2.0 */
/* The rules of the lease table (lease.h). */
#include "broker/lease.h"

#include <stddef.h>
#include <string.h>

#include "broker/lease_pool.h"
#include "common/err.h"

int pa_lease_load(struct pa_lease_table *t, const struct pa_lease *row)
{
	const struct entry *latest;
	struct entry *e;

	if (pa_table_find_addr(t, &row->addr) != NULL)
		return PA_EEXIST;
	if (pa_table_reserve(t, 1) < 0 || (e = pa_table_add(t, &row->addr)) == NULL)
		return PA_ENOMEM;
	if (pa_subnets_get(t->subnets, pa_ident_realm(row->ident), row->subnet_id) == NULL)
		return PA_ENOMEM;
	latest = pa_table_find_ident(t, row->ident);
	e->row = *row;
	e->row.ident = NULL;
	if (latest == NULL || row->serial > latest->row.serial)
		pa_table_set_ident(t, e, row->ident);
	else
		e->row.ident = pa_ident_get(row->ident); /* an earlier lease of a client that has a later one */
	if (row->serial >= t->next_serial)
		t->next_serial = row->serial + 1;
	if (row->revoked != 0)
		pa_revoke_append(t->revocations, &e->row);
	pa_table_place(t, e);
	return 0;
}

static bool is_active(const struct entry *e, uint64_t now_s)
{
	return e->row.state == PA_LEASE_ACTIVE && now_s < e->row.expires;
}

/* May this client (still, again) have this address? */
static bool is_eligible(const struct entry *e, const struct pa_lease_request *req)
{
	if (e->reserved != NULL)
		return e->pool != NULL && pa_ident_eq(e->reserved->ident, req->ident);
	return e->pool != NULL &&
	       pa_pool_serves(e->pool->conf, pa_ident_realm(req->ident), req->classes, req->n_classes);
}

/*
 * dhclient renews with the transaction number of its former request. So the time tells: a retransmission comes long before
 * half of the lease is over, and that is when the first renewal comes (RFC 2131, section 4.4.5).
 */
static uint64_t repeat_window(const struct pa_lease_request *req)
{
	return req->valid_lifetime / 3 < PA_LEASE_REPEAT_S ? req->valid_lifetime / 3 : PA_LEASE_REPEAT_S;
}

static bool is_repeat(const struct entry *e, const struct pa_lease_request *req, uint64_t now_s)
{
	const struct pa_lease *row = &e->row;

	return row->has_xid && req->has_xid && row->xid == req->xid && now_s < row->granted + repeat_window(req) &&
	       row->subnet_id == req->subnet_id && pa_addr_eq(&row->dhcp_addr, &req->dhcp_addr);
}

/* Claims that are the same but for the expiry: only then the epoch may stay; and not when a store that is lost gave it. */
static bool same_claims(const struct pa_lease_table *t, const struct entry *e, const struct pa_lease_request *req)
{
	return e->row.pool_id == e->pool->conf->id && e->row.epoch > pa_table_base(t, e->pool) &&
	       memcmp(e->row.fingerprint, req->fingerprint, PA_FINGERPRINT_LEN) == 0;
}

/* What a renewal and a new lease have in common. */
static void give(struct pa_lease_table *t, struct entry *e, const struct pa_lease_request *req, uint64_t now_s)
{
	struct pa_lease *row = &e->row;
	uint64_t expires;

	row->lifetime = req->valid_lifetime < UINT32_MAX - PA_GRANT_GRACE ? req->valid_lifetime + PA_GRANT_GRACE
									  : UINT32_MAX;
	expires = now_s + row->lifetime;
	if (row->state != PA_LEASE_ACTIVE || expires > row->expires)
		row->expires = expires;
	if (row->expires > row->highest)
		row->highest = row->expires;
	row->state = PA_LEASE_ACTIVE;
	row->ended = 0;
	row->granted = now_s;
	row->subnet_id = req->subnet_id;
	row->dhcp_addr = req->dhcp_addr;
	row->xid = req->xid;
	row->has_xid = req->has_xid;
	pa_table_place(t, e);
	pa_table_mark(t, e);
}

static void give_new(struct pa_lease_table *t, struct entry *e, const struct pa_lease_request *req, uint64_t now)
{
	struct pa_lease *row = &e->row;

	row->state = PA_LEASE_RELEASED; /* the expiry of whatever came before does not count */
	if (row->epoch < pa_table_base(t, e->pool))
		row->epoch = pa_table_base(t, e->pool);
	row->epoch = now > row->epoch ? now : row->epoch + 1;
	row->bound = false;
	row->serial = t->next_serial++;
	row->pool_id = e->pool->conf->id;
	memcpy(row->fingerprint, req->fingerprint, PA_FINGERPRINT_LEN);
	pa_table_set_ident(t, e, req->ident);
	give(t, e, req, now / 1000);
}

/* An expiry is revoked as well, for older and longer grants of the same address may be about. */
void pa_table_end(struct pa_lease_table *t, struct entry *e, enum pa_lease_state state, uint64_t ended, uint64_t now)
{
	e->row.state = state;
	e->row.ended = ended;
	e->row.revoked = pa_revoke_next(t->revocations, now);
	pa_revoke_append(t->revocations, &e->row);
	pa_table_place(t, e);
	pa_table_mark(t, e);
}

/* An address for a client that has none to come back to. PA_EDENIED, PA_EEXHAUSTED, PA_ENOMEM. */
static int choose(struct pa_lease_table *t, const struct pa_lease_request *req, uint64_t now_s, struct entry **ret)
{
	int rc = PA_EDENIED;

	for (size_t i = 0; i < t->conf->n_pools; i++) {
		struct pool *pool = &t->pools[i];
		struct pa_heap_item *item;
		struct pa_addr addr;
		uint64_t unused;

		if (!pa_pool_serves(pool->conf, pa_ident_realm(req->ident), req->classes, req->n_classes))
			continue;
		if (pa_table_recovers(t, pool, now_s)) {
			rc = PA_EAGAIN;
			continue;
		}
		if (rc != PA_EAGAIN)
			rc = PA_EEXHAUSTED;
		unused = pa_pool_next_unused(t, pool);
		if (unused < pa_pool_count(pool->conf)) {
			addr = pa_pool_at(pool->conf, unused);
			*ret = pa_table_add(t, &addr);
			return *ret != NULL ? 0 : PA_ENOMEM;
		}
		pa_pool_promote(pool, now_s);
		while ((item = pa_heap_peek(&pool->rested)) != NULL) {
			struct entry *e = pa_table_entry_of(item);

			if (pa_table_available_at(t, e) <= now_s) {
				*ret = e;
				return 0;
			}
			pa_table_place(t, e); /* a gateway has lost what it had acknowledged */
		}
	}
	return rc;
}

/* Can the client have the address that is reserved for it now? */
static bool can_move(const struct pa_lease_table *t, const struct pa_addr *addr, const struct pa_lease_request *req, uint64_t now_s)
{
	const struct pa_pool_conf *conf = pa_brokerconf_pool_of(t->conf, addr);
	const struct entry *e = pa_table_find_addr(t, addr);

	if (conf != NULL && pa_table_recovers(t, &t->pools[conf - t->conf->pools], now_s))
		return e != NULL && e == pa_table_find_ident(t, req->ident);
	if (e == NULL || pa_ident_eq(e->row.ident, req->ident))
		return true;
	return e->row.state != PA_LEASE_ACTIVE && pa_table_available_at(t, e) <= now_s;
}

/*
 * The subnet keeps as many addresses from others as it may, and e (NULL: another one than its client had) is not among them.
 * Each request may come from a client that somebody made up; an address that it gave back rests all the same, so that counts.
 */
static int check_subnet(struct pa_lease_table *t, const struct pa_lease_request *req, const struct entry *e, uint64_t now_s)
{
	struct pa_subnet *subnet = pa_subnets_get(t->subnets, pa_ident_realm(req->ident), req->subnet_id);

	if (subnet == NULL)
		return PA_ENOMEM;
	if (t->conf->subnet_limit == 0 || (e != NULL && (e->subnet == subnet || e->reserved != NULL)))
		return 0;
	for (size_t i = 0; i < t->conf->n_pools; i++)
		pa_pool_promote(&t->pools[i], now_s);
	if (subnet->held < t->conf->subnet_limit)
		return 0;
	subnet->refused++;
	return PA_ELIMIT;
}

int pa_lease_bound(struct pa_lease_table *t, const struct pa_addr *addr, uint64_t epoch)
{
	struct entry *e = pa_table_find_addr(t, addr);

	if (e == NULL || e->row.epoch != epoch || e->row.bound)
		return 0;
	if (pa_table_reserve(t, 1) < 0)
		return PA_ENOMEM;
	e->row.bound = true;
	pa_table_place(t, e);
	pa_table_mark(t, e);
	return 1;
}

const struct pa_lease *pa_lease_unbound(const struct pa_lease_table *t, size_t i)
{
	struct pa_heap_item *item = pa_heap_peek(&t->pools[i].unbound);

	return item != NULL ? &((struct entry *)((char *)item - offsetof(struct entry, waiting)))->row : NULL;
}

int pa_lease_reclaim(struct pa_lease_table *t, const struct pa_lease *row, uint64_t now)
{
	if (pa_table_reserve(t, 1) < 0)
		return PA_ENOMEM;
	pa_table_end(t, pa_table_find_addr(t, &row->addr), PA_LEASE_RECLAIMED, now / 1000, now);
	return 0;
}

/* An address for a client that does not stay where it is: the one reserved for it, or one of its pools. */
static int find_place(struct pa_lease_table *t, const struct pa_lease_request *req, const struct pa_reservation *own,
		      uint64_t now_s, struct entry **ret)
{
	struct entry *e;

	if (own == NULL)
		return choose(t, req, now_s, ret);
	e = pa_table_find_addr(t, &own->addr);
	if (e == NULL)
		e = pa_table_add(t, &own->addr);
	*ret = e;
	return e != NULL ? 0 : PA_ENOMEM;
}

int pa_lease_allocate(struct pa_lease_table *t, const struct pa_lease_request *req, uint64_t now,
		      const struct pa_lease **ret)
{
	struct entry *mine = pa_table_find_ident(t, req->ident), *e = NULL;
	const struct pa_reservation *own = pa_brokerconf_reserved_for(t->conf, req->ident);
	uint64_t now_s = now / 1000;
	int rc;

	if (pa_table_reserve(t, 2) < 0)
		return PA_ENOMEM;
	if (own != NULL && !can_move(t, &own->addr, req, now_s))
		own = NULL; /* not yet */
	if (mine != NULL && is_eligible(mine, req) && (own == NULL || pa_addr_eq(&own->addr, &mine->row.addr))) {
		rc = pa_table_is_certain(t, mine, now_s) ? check_subnet(t, req, mine, now_s) : PA_EAGAIN;
		if (rc < 0)
			return rc;
		*ret = &mine->row;
		if (!is_active(mine, now_s) || !same_claims(t, mine, req)) {
			give_new(t, mine, req, now);
			return PA_LEASE_NEW;
		}
		if (is_repeat(mine, req, now_s))
			return PA_LEASE_REPEATED;
		give(t, mine, req, now_s);
		return PA_LEASE_RENEWED;
	}
	rc = own == NULL ? check_subnet(t, req, NULL, now_s) : 0;
	if (rc == 0)
		rc = find_place(t, req, own, now_s, &e);
	if (rc < 0)
		return rc;
	/* Its address was excluded, or its pool went or is not for it any more: one lease a client. */
	if (mine != NULL && mine->row.state == PA_LEASE_ACTIVE)
		pa_table_end(t, mine, PA_LEASE_RELEASED, now_s, now);
	give_new(t, e, req, now);
	*ret = &e->row;
	return PA_LEASE_NEW;
}

int pa_lease_release(struct pa_lease_table *t, const struct pa_lease_name *name, uint64_t now,
		     const struct pa_lease **ret)
{
	struct entry *e = pa_table_find_ident(t, name->ident);

	if (e == NULL || !is_active(e, now / 1000))
		return PA_ENOTFOUND;
	if (e->row.subnet_id != name->subnet_id || !pa_addr_eq(&e->row.dhcp_addr, &name->dhcp_addr) ||
	    (name->epoch != 0 && e->row.epoch != name->epoch))
		return PA_EREPLAY;
	if (pa_table_reserve(t, 1) < 0)
		return PA_ENOMEM;
	pa_table_end(t, e, PA_LEASE_RELEASED, now / 1000, now);
	*ret = &e->row;
	return 0;
}

size_t pa_lease_expire(struct pa_lease_table *t, uint64_t now, size_t max)
{
	struct pa_heap_item *item;
	size_t n = 0;

	while (n < max && (item = pa_heap_peek(&t->active)) != NULL && item->key <= now / 1000) {
		struct entry *e = pa_table_entry_of(item);

		if (pa_table_reserve(t, 1) < 0)
			break; /* the next call finds it still due */
		/* Not now: after a restart the address has rested since then. */
		pa_table_end(t, e, PA_LEASE_EXPIRED, e->row.expires, now);
		n++;
	}
	return n;
}

uint64_t pa_lease_next_expiry(const struct pa_lease_table *t)
{
	const struct pa_heap_item *item = pa_heap_peek(&t->active);

	return item != NULL ? item->key : UINT64_MAX;
}

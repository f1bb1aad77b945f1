/* SPDX-License-Identifier: MPL-2.0 */
/* The gateway's core: what outlives the process, as records (gw_state.h). */
#include <string.h>

#include "common/err.h"
#include "tunnel/gw_int.h"
#include "tunnel/gw_state.h"

/* ---- changes ---- */

void pa_gw_changed(struct pa_gw *gw, struct pa_gw_entry *e)
{
	pa_gw_table_mark(gw->table, e);
}

bool pa_gw_has_changes(const struct pa_gw *gw)
{
	return pa_gw_table_has_marked(gw->table);
}

size_t pa_gw_known(const struct pa_gw *gw)
{
	return pa_gw_table_size(gw->table);
}

static uint64_t to_unix(struct pa_now now, uint64_t boot_ms)
{
	uint64_t age = now.boot_ms > boot_ms ? now.boot_ms - boot_ms : 0;

	return now.unix_ms > age ? now.unix_ms - age : 0;
}

static uint64_t to_boot(struct pa_now now, uint64_t unix_ms)
{
	uint64_t age = now.unix_ms > unix_ms ? now.unix_ms - unix_ms : 0;

	return now.boot_ms > age ? now.boot_ms - age : 0;
}

static void record_of(const struct pa_gw_entry *e, struct pa_now now, struct pa_gw_record *ret)
{
	memset(ret, 0, sizeof(*ret));
	pa_gw_claims_of(e, &ret->claims);
	ret->bind = e->bind;
	ret->floor_until = pa_gw_floor_until(e);
	memcpy(ret->pin, e->pin, sizeof(ret->pin));
	ret->bound_at_ms = to_unix(now, (uint64_t)e->bound_at_s * 1000);
	ret->last_seen_ms = to_unix(now, e->last_seen_ms);
	if (!e->bound || e->moved)
		return;
	ret->bound = true;
	ret->delivering = e->delivering;
	ret->local = e->local;
	ret->mapped = e->mapped;
	memcpy(ret->session, e->session, sizeof(ret->session));
	ret->seq = e->seq;
	ret->mtu = (uint16_t)e->mtu;
	memcpy(ret->k1, e->k1, sizeof(ret->k1));
}

bool pa_gw_take_changed(struct pa_gw *gw, struct pa_now now, struct pa_gw_record *ret)
{
	const struct pa_gw_entry *e = pa_gw_table_take_marked(gw->table);

	if (e != NULL)
		record_of(e, now, ret);
	return e != NULL;
}

bool pa_gw_walk_records(const struct pa_gw *gw, struct pa_now now, uint32_t *at, struct pa_gw_record *ret)
{
	const struct pa_gw_entry *e = pa_gw_table_walk(gw->table, at);

	if (e != NULL)
		record_of(e, now, ret);
	return e != NULL;
}

/* ---- adoption ---- */

static void forget_session(struct pa_gw *gw, struct pa_gw_entry *e)
{
	if (!e->bound)
		return;
	pa_gw_table_unindex(gw->table, e);
	e->bound = false;
	gw->n_bound--;
}

/* The tokens of before are gone, which is no loss: nothing is believed before a RECONFIRM, and its answer brings new ones. */
static void take_session(struct pa_gw *gw, struct pa_gw_entry *e, const struct pa_gw_record *r)
{
	e->local = (uint8_t)r->local;
	e->mapped = r->mapped;
	e->mtu = r->mtu;
	e->delivering = r->delivering;
	memcpy(e->session, r->session, sizeof(e->session));
	memcpy(e->k1, r->k1, sizeof(e->k1));
	e->token = 0;
	e->repeats = UINT8_MAX;
	e->adopted = true;
	e->bound = true;
	gw->n_bound++;
	pa_gw_table_index(gw->table, e);
}

int pa_gw_adopt(struct pa_gw *gw, struct pa_now now, const struct pa_gw_record *r)
{
	const struct pa_claims *c = &r->claims;
	struct pa_gw_entry *e;

	if (c->prefix_len != (pa_addr_is_ipv4(&c->addr) ? 32 : 128))
		return PA_EFORMAT;
	if (!pa_gw_serves(gw, c))
		return PA_ENOTFOUND;
	e = pa_gw_table_find(gw->table, &c->addr);
	if (e != NULL)
		forget_session(gw, e);
	if (r->floor_until <= now.unix_ms / 1000) {
		if (e != NULL)
			pa_gw_table_remove(gw->table, e);
		return PA_EEXPIRED;
	}
	if (e == NULL && pa_gw_table_add(gw->table, &c->addr, &e) < 0)
		return PA_ENOMEM;
	pa_gw_set_claims(e, c, r->floor_until);
	e->bind = r->bind;
	e->seq = r->seq;
	e->bound_at_s = (uint32_t)(to_boot(now, r->bound_at_ms) / 1000);
	pa_gw_set_seen(e, to_boot(now, r->last_seen_ms));
	memcpy(e->pin, r->pin, sizeof(e->pin));
	if (r->bound && c->expires > now.unix_ms / 1000 && pa_gw_admits(gw, c) && pa_gw_table_find_session(gw->table, r->session) == NULL)
		take_session(gw, e, r);
	pa_gw_schedule(gw, e, now);
	return 0;
}

size_t pa_gw_adopted(struct pa_gw *gw, struct pa_now now, uint64_t alive_unix_ms)
{
	uint64_t alive = to_boot(now, alive_unix_ms);
	struct pa_gw_binding b;
	struct pa_gw_entry *e;
	uint32_t at = 0;
	size_t n = 0;

	while ((e = pa_gw_table_walk(gw->table, &at)) != NULL) {
		if (!e->bound)
			continue;
		n++;
		/* It was not silent when the gateway died, so it was seen not long before. The next tick stops the others. */
		if (e->delivering && e->last_seen_ms < alive)
			pa_gw_set_seen(e, alive);
		pa_gw_view(gw, e, &b);
		if (e->delivering)
			gw->ops->deliver(gw->ctx, &b);
		gw->ops->event(gw->ctx, "binding.adopted", &b, 0);
	}
	gw->count.adopted += n;
	return n;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* The gateway's core: what outlives the process, as records (gw_state.h). */
#include <string.h>

#include "common/err.h"
#include "tunnel/gw_int.h"
#include "tunnel/gw_state.h"

/* ---- changes, in a list through the entries ---- */

void pa_gw_changed(struct pa_gw *gw, struct pa_gw_entry *e)
{
	if (e->changed)
		return;
	e->changed = true;
	e->prev_changed = NULL;
	e->next_changed = gw->changed;
	if (gw->changed != NULL)
		gw->changed->prev_changed = e;
	gw->changed = e;
}

void pa_gw_unchanged(struct pa_gw *gw, struct pa_gw_entry *e)
{
	if (!e->changed)
		return;
	if (e->prev_changed != NULL)
		e->prev_changed->next_changed = e->next_changed;
	else
		gw->changed = e->next_changed;
	if (e->next_changed != NULL)
		e->next_changed->prev_changed = e->prev_changed;
	e->prev_changed = e->next_changed = NULL;
	e->changed = false;
}

void pa_gw_change_all(struct pa_gw *gw)
{
	for (size_t i = 0; i < pa_gw_table_size(gw->table); i++)
		pa_gw_changed(gw, pa_gw_table_at(gw->table, i));
}

bool pa_gw_has_changes(const struct pa_gw *gw)
{
	return gw->changed != NULL;
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

bool pa_gw_take_changed(struct pa_gw *gw, struct pa_now now, struct pa_gw_record *ret)
{
	struct pa_gw_entry *e = gw->changed;

	if (e == NULL)
		return false;
	pa_gw_unchanged(gw, e);
	memset(ret, 0, sizeof(*ret));
	ret->claims = e->b.claims;
	ret->bind = e->b.bind;
	ret->floor_until = e->floor_until;
	memcpy(ret->client_key, e->client_key, sizeof(ret->client_key));
	ret->bound_at_ms = to_unix(now, e->b.bound_at_ms);
	ret->last_seen_ms = to_unix(now, e->b.last_seen_ms);
	if (!e->bound)
		return true;
	ret->bound = true;
	ret->delivering = e->b.delivering;
	ret->local = (uint16_t)e->b.local;
	ret->mapped = e->b.mapped;
	memcpy(ret->session, e->b.session, sizeof(ret->session));
	ret->seq = e->seq;
	memcpy(ret->c2g, e->c2g, sizeof(ret->c2g));
	memcpy(ret->g2c, e->g2c, sizeof(ret->g2c));
	return true;
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
	e->b.local = r->local;
	e->b.mapped = r->mapped;
	e->b.delivering = r->delivering;
	memcpy(e->b.session, r->session, sizeof(e->b.session));
	memcpy(e->c2g, r->c2g, sizeof(e->c2g));
	memcpy(e->g2c, r->g2c, sizeof(e->g2c));
	gw->ops->random(gw->ctx, e->token, sizeof(e->token));
	memcpy(e->old_token, e->token, sizeof(e->old_token));
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
		if (e != NULL) {
			pa_gw_unchanged(gw, e);
			pa_gw_table_remove(gw->table, e);
		}
		return PA_EEXPIRED;
	}
	if (e == NULL && pa_gw_table_add(gw->table, &c->addr, &e) < 0)
		return PA_ENOMEM;
	e->b.claims = *c;
	e->b.bind = r->bind;
	e->seq = r->seq;
	e->b.bound_at_ms = to_boot(now, r->bound_at_ms);
	e->b.last_seen_ms = to_boot(now, r->last_seen_ms);
	e->floor_until = r->floor_until;
	memcpy(e->client_key, r->client_key, sizeof(e->client_key));
	if (r->bound && c->expires > now.unix_ms / 1000 && pa_gw_admits(gw, c) && pa_gw_table_find_session(gw->table, r->session) == NULL)
		take_session(gw, e, r);
	pa_gw_schedule(gw, e, now);
	return 0;
}

size_t pa_gw_adopted(struct pa_gw *gw, struct pa_now now, uint64_t alive_unix_ms)
{
	uint64_t alive = to_boot(now, alive_unix_ms);
	size_t n = 0;

	for (size_t i = 0; i < pa_gw_table_size(gw->table); i++) {
		struct pa_gw_entry *e = pa_gw_table_at(gw->table, i);

		if (!e->bound)
			continue;
		n++;
		/* It was not silent when the gateway died, so it was seen not long before. The next tick stops the others. */
		if (e->b.delivering && e->b.last_seen_ms < alive)
			e->b.last_seen_ms = alive;
		if (e->b.delivering)
			gw->ops->deliver(gw->ctx, &e->b);
		gw->ops->event(gw->ctx, "binding.adopted", &e->b, 0);
	}
	gw->count.adopted += n;
	return n;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* The gateway's core and the broker's word: floors, and reports of bindings at other gateways. */
#include "tunnel/gw_int.h"

void pa_gw_set_floors(struct pa_gw *gw, const struct pa_floors *floors)
{
	gw->floors = floors;
}

bool pa_gw_admits(struct pa_gw *gw, const struct pa_claims *c)
{
	if (gw->floors == NULL)
		return true;
	if (!pa_floors_synced(gw->floors)) {
		gw->count.unsynced++;
		return false;
	}
	if (c->epoch < pa_floors_get(gw->floors, &c->addr)) {
		gw->count.revoked++;
		return false;
	}
	return true;
}

void pa_gw_floor_raised(struct pa_gw *gw, struct pa_now now, const struct pa_addr *addr)
{
	struct pa_gw_entry *e = pa_gw_table_find(gw->table, addr);
	uint64_t floor = gw->floors != NULL ? pa_floors_get(gw->floors, addr) : 0;

	if (e == NULL || !e->bound || e->epoch >= floor)
		return;
	/* The floor is one above the lease that ended; higher, and somebody has had another lease since. */
	pa_gw_end_binding(gw, now, e, floor == e->epoch + 1 ? PA_REASON_RELEASED : PA_REASON_REPLACED, true);
}

void pa_gw_superseded(struct pa_gw *gw, struct pa_now now, const struct pa_addr *addr, uint64_t epoch, uint64_t bind)
{
	struct pa_gw_entry *e = pa_gw_table_find(gw->table, addr);

	if (e == NULL || e->epoch > epoch || (e->epoch == epoch && e->bind >= bind))
		return;
	if (e->bound && !e->moved && pa_gw_is_move(gw, e, epoch))
		pa_gw_leave(gw, now, e);
	else if (e->bound && !pa_gw_is_move(gw, e, epoch))
		pa_gw_end_binding(gw, now, e, PA_REASON_REPLACED, true);
	/* An older CONFIRM may be on its way. Of a higher epoch the client's key is not known here, so that has no entry. */
	if (e->epoch == epoch) {
		e->bind = bind;
		pa_gw_changed(gw, e);
	}
}

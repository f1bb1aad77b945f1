/* SPDX-License-Identifier: MPL-2.0 */
/* The gateway's core and the relay server beside it: may it serve a grant that it found to be genuine? */
#include <string.h>

#include "tunnel/gw_int.h"

const char *pa_gw_may_relay(struct pa_gw *gw, const struct pa_addr *addr, uint64_t epoch,
			    const uint8_t fingerprint[PA_FINGERPRINT_LEN])
{
	const struct pa_gw_entry *e = pa_gw_table_find(gw->table, addr);

	if (gw->floors != NULL && !pa_floors_synced(gw->floors))
		return "again";
	if (gw->floors != NULL && epoch < pa_floors_get(gw->floors, addr))
		return "replaced";
	/* What is known of an address outlives its binding: a later lease, or the same one pinned to another client. */
	if (e != NULL && (e->epoch > epoch || (e->epoch == epoch && memcmp(e->pin, fingerprint, sizeof(e->pin)) != 0)))
		return "replaced";
	return NULL;
}

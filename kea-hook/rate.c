/* SPDX-License-Identifier: MPL-2.0 */
#include "kea-hook/rate.h"

bool pa_rate_pass(struct pa_rate *r, uint64_t now_ms, unsigned *ret_held)
{
	if (r->passed > 0 && now_ms - r->start_ms >= PA_RATE_WINDOW_MS)
		r->passed = 0;
	if (r->passed == 0)
		r->start_ms = now_ms;
	if (r->passed >= PA_RATE_BURST) {
		r->held++;
		return false;
	}
	r->passed++;
	*ret_held = r->held;
	r->held = 0;
	return true;
}

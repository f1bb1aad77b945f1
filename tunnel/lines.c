/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/lines.h"

#include "tunnel/limit.h"

#define US_PER_S 1000000u
#define TELL_MS 1000

bool pa_lines_take(struct pa_lines *l, uint32_t per_s, uint32_t burst, struct pa_now now)
{
	if (pa_limit_one(&l->tat_us, now.boot_ms * 1000 + now.boot_us, US_PER_S / per_s, burst))
		return true;
	l->held++;
	return false;
}

unsigned pa_lines_held(struct pa_lines *l, struct pa_now now)
{
	unsigned held = l->held;

	if (held == 0 || now.boot_ms < l->told_ms + TELL_MS)
		return 0;
	l->held = 0;
	l->told_ms = now.boot_ms;
	return held;
}

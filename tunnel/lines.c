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

bool pa_lines_take_telling(struct pa_lines *l, uint32_t per_s, uint32_t burst, struct pa_now now, unsigned *ret_held)
{
	if (!pa_lines_take(l, per_s, burst, now))
		return false;
	*ret_held = l->held;
	l->held = 0;
	return true;
}

unsigned pa_held_tell(unsigned *held, uint64_t *told_ms, struct pa_now now)
{
	unsigned n = *held;

	if (n == 0 || now.boot_ms < *told_ms + TELL_MS)
		return 0;
	*held = 0;
	*told_ms = now.boot_ms;
	return n;
}

unsigned pa_lines_held(struct pa_lines *l, struct pa_now now)
{
	return pa_held_tell(&l->held, &l->told_ms, now);
}

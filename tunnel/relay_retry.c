/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/relay_retry.h"

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void pa_rretry_up(struct pa_rretry *r, uint64_t now_ms)
{
	r->up_ms = now_ms;
	r->refused_ms = 0;
}

/* A refusal is news as long as the next attempt is awaited, or under way. */
static bool is_news(const struct pa_rretry *r, uint64_t now_ms)
{
	return r->refused_ms != 0 && now_ms < r->next_ms + PA_RRETRY_ATTEMPT_MS;
}

void pa_rretry_lost(struct pa_rretry *r, uint64_t now_ms, bool refused, bool urgent, uint16_t random)
{
	uint32_t wait;

	if (r->up_ms != 0 && now_ms >= r->up_ms + PA_RRETRY_STEADY_MS)
		r->step_ms = 0;
	r->up_ms = 0;
	if (!refused)
		r->refused_ms = 0;
	else if (!is_news(r, now_ms))
		r->refused_ms = now_ms;
	wait = least(r->step_ms, urgent ? PA_RRETRY_URGENT_MAX_MS : PA_RRETRY_MAX_MS);
	r->next_ms = now_ms + wait / 2 + (uint64_t)(wait - wait / 2) * random / UINT16_MAX;
	r->step_ms = r->step_ms == 0 ? PA_RRETRY_MIN_MS : least(2 * r->step_ms, PA_RRETRY_MAX_MS);
}

bool pa_rretry_due(const struct pa_rretry *r, uint64_t now_ms)
{
	return now_ms >= r->next_ms;
}

bool pa_rretry_refused(const struct pa_rretry *r, uint64_t now_ms)
{
	return is_news(r, now_ms) && now_ms >= r->refused_ms + PA_RRETRY_SURE_MS;
}

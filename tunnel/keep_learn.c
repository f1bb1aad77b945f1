/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/keep_learn.h"

#include <string.h>

#define FIRST_MS 2000	 /* after the binding was made, and up to SPREAD_MS more: all clients bind at once after an outage */
#define SPREAD_MS 8000
#define NEXT_MS 1000	 /* between trials of a search */
#define STEP 5		 /* intervals are found to so many seconds */
#define VOIDS_MAX 3	 /* in a row: then trials are not possible for now */
#define BOLD_CHECKS 6	 /* every so many checks what was found to be too long is tried again */

static uint64_t spread(uint64_t ms, uint16_t random)
{
	return ms * random / UINT16_MAX;
}

static void forget(struct pa_learn *l, struct pa_now now, uint16_t random)
{
	uint16_t bound = l->bound;

	memset(l, 0, sizeof(*l));
	l->bound = bound;
	l->next_ms = now.boot_ms + FIRST_MS + spread(SPREAD_MS, random);
}

void pa_learn_begin(struct pa_learn *l, struct pa_now now, uint16_t bound, uint16_t random)
{
	l->bound = bound;
	forget(l, now, random);
}

void pa_learn_bound(struct pa_learn *l, struct pa_now now, uint16_t bound)
{
	if (bound == l->bound)
		return;
	if (bound > l->bound && l->trying == 0)
		l->next_ms = now.boot_ms + NEXT_MS;
	l->bound = bound;
}

void pa_learn_moved(struct pa_learn *l, struct pa_now now, uint16_t random)
{
	forget(l, now, random);
}

static uint16_t min_u16(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

uint16_t pa_learn_interval(const struct pa_learn *l)
{
	if (l->bound == 0)
		return 0;
	if (l->good > PA_KEEPALIVE_MIN)
		return min_u16(l->good, l->bound);
	return l->bad == 0 && l->voids >= VOIDS_MAX ? min_u16(PA_LEARN_UNKNOWN, l->bound) : PA_KEEPALIVE_MIN;
}

/* The next interval of the search: the whole at first, then by halves; 0: it is over. */
static uint16_t search(const struct pa_learn *l)
{
	uint16_t low = l->good > PA_KEEPALIVE_MIN ? l->good : PA_KEEPALIVE_MIN;

	if (l->bad == 0 || l->bad > l->bound)
		return low < l->bound ? l->bound : 0;
	if (l->bad - low <= STEP)
		return 0;
	return (uint16_t)((low + l->bad) / 2);
}

uint16_t pa_learn_trial(struct pa_learn *l, struct pa_now now)
{
	if (l->bound <= PA_KEEPALIVE_MIN || l->trying != 0 || now.boot_ms < l->next_ms)
		return 0;
	l->trying = l->doubted != 0 ? min_u16(l->doubted, l->bound) : search(l);
	if (l->trying == 0)
		l->trying = pa_learn_interval(l); /* a check; at the shortest interval too, for it can only become better */
	return PA_LEARN_SILENCE(l->trying);
}

static void held(struct pa_learn *l, uint16_t interval)
{
	if (interval > l->good)
		l->good = interval;
	if (l->bad != 0 && l->bad <= interval)
		l->bad = 0;
	l->doubted = 0;
}

/* At the first doubt the interval is the shortest; only at the second one this is remembered. */
static void lost(struct pa_learn *l, uint16_t interval)
{
	if (l->doubted != 0 && (l->bad == 0 || interval < l->bad))
		l->bad = interval;
	l->doubted = l->doubted != 0 ? 0 : interval;
	if (l->good >= interval)
		l->good = 0;
}

void pa_learn_result(struct pa_learn *l, struct pa_now now, enum pa_learn_result result, uint16_t random)
{
	uint16_t interval = l->trying;

	l->trying = 0;
	if (interval == 0)
		return;
	l->next_ms = now.boot_ms + NEXT_MS;
	if (result == PA_LEARN_VOID) {
		if (++l->voids >= VOIDS_MAX)
			l->next_ms = now.boot_ms + PA_LEARN_CHECK_MS - spread(PA_LEARN_CHECK_MS / 10, random);
		return;
	}
	l->voids = 0;
	if (result == PA_LEARN_HELD)
		held(l, interval);
	else
		lost(l, interval);
	if (l->doubted != 0 || search(l) != 0)
		return;
	l->next_ms = now.boot_ms + PA_LEARN_CHECK_MS - spread(PA_LEARN_CHECK_MS / 10, random);
	if (++l->checks % BOLD_CHECKS == 0)
		l->bad = 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Each phase asks for some sizes at once and is over when all is known that it can tell, or after PA_PMTU_TRIES tries. What
 * passes counts at once; what did not is judged at the end.
 */
#include "tunnel/pmtu.h"

#include <string.h>

#include "common/proto.h"

#define BASE PA_MTU_MIN
#define WORTH 2 /* so many full packets are worth a confirmation */

static void ask(struct pa_pmtu *m, struct pa_now now, enum pa_pmtu_phase phase)
{
	m->phase = phase;
	m->tries = 0;
	m->next_ms = now.boot_ms;
	memset(m->passed, 0, sizeof(m->passed));
}

static void ask_two(struct pa_pmtu *m, struct pa_now now, enum pa_pmtu_phase phase, uint16_t first, uint16_t second)
{
	ask(m, now, phase);
	m->n = 0;
	m->sizes[m->n++] = first;
	if (second > first)
		m->sizes[m->n++] = second;
}

static void rest(struct pa_pmtu *m, struct pa_now now)
{
	m->phase = PA_PMTU_QUIET;
	m->n = 0;
	m->look_ms = now.boot_ms + PA_PMTU_CONFIRM_MS;
	m->confirmed = m->carried;
}

static void complete(struct pa_pmtu *m, struct pa_now now)
{
	m->state = PA_PMTU_COMPLETE;
	m->raise_ms = now.boot_ms + m->raise_wait_ms;
	rest(m, now);
}

/* The next round of a search, or its end. */
static void search_on(struct pa_pmtu *m, struct pa_now now)
{
	unsigned n = pa_mtu_next(&m->search, m->sizes);

	if (n == 0) {
		complete(m, now);
		return;
	}
	m->state = PA_PMTU_SEARCHING;
	ask(m, now, PA_PMTU_ASK_SEARCH);
	m->n = n;
}

/* low passes, high does not; try_highest: it may pass after all, so one below it is asked for alone. */
static void search(struct pa_pmtu *m, struct pa_now now, uint16_t low, unsigned high, bool try_highest)
{
	m->search = (struct pa_mtu_search){.low = low, .high = (uint16_t)high, .first = try_highest};
	search_on(m, now);
}

static void begin_base(struct pa_pmtu *m, struct pa_now now)
{
	m->state = PA_PMTU_BASE;
	ask_two(m, now, PA_PMTU_ASK_BASE, BASE, m->max);
}

void pa_pmtu_start(struct pa_pmtu *m, struct pa_now now, uint16_t known, uint16_t max)
{
	uint64_t carried = m->carried;

	memset(m, 0, sizeof(*m));
	m->carried = carried;
	m->max = max > BASE ? max : BASE;
	m->raise_wait_ms = PA_PMTU_RAISE_MS;
	m->mtu = known < BASE ? BASE : known < m->max ? known : m->max;
	if (known < BASE) {
		begin_base(m, now);
		return;
	}
	complete(m, now);
	pa_pmtu_suspect(m, now);
}

void pa_pmtu_stop(struct pa_pmtu *m)
{
	memset(m, 0, sizeof(*m));
}

void pa_pmtu_limit(struct pa_pmtu *m, struct pa_now now, uint16_t max)
{
	bool more = max > m->max;

	if (m->state == PA_PMTU_DISABLED || max == m->max || max < BASE)
		return;
	m->max = max;
	if (m->mtu > max)
		m->mtu = max;
	if (m->state == PA_PMTU_ERROR || m->state == PA_PMTU_BASE)
		begin_base(m, now);
	else if (more || m->state == PA_PMTU_SEARCHING)
		search(m, now, m->mtu, max + 1u, true);
	else
		complete(m, now);
}

void pa_pmtu_suspect(struct pa_pmtu *m, struct pa_now now)
{
	if (m->state == PA_PMTU_ERROR || m->state == PA_PMTU_BASE)
		begin_base(m, now);
	else if (m->state == PA_PMTU_COMPLETE && m->phase != PA_PMTU_CONFIRM)
		ask_two(m, now, PA_PMTU_CONFIRM, BASE, m->mtu);
	if (m->state == PA_PMTU_COMPLETE && m->raise_ms > now.boot_ms + PA_PMTU_RAISE_MS) {
		m->raise_wait_ms = PA_PMTU_RAISE_MS;
		m->raise_ms = now.boot_ms + m->raise_wait_ms;
	}
}

void pa_pmtu_carried(struct pa_pmtu *m, uint64_t octets)
{
	if (octets < m->carried)
		m->confirmed = 0;
	m->carried = octets;
}

/* ---- ends of phases ---- */

static bool has_passed(const struct pa_pmtu *m, uint16_t size)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->sizes[i] == size)
			return m->passed[i];
	return false;
}

static void end_base(struct pa_pmtu *m, struct pa_now now)
{
	if (has_passed(m, m->max)) {
		complete(m, now);
	} else if (has_passed(m, BASE)) {
		search(m, now, BASE, m->max, false);
	} else {
		m->state = PA_PMTU_ERROR;
		rest(m, now);
		m->look_ms = now.boot_ms + PA_PMTU_ERROR_MS;
	}
}

static void end_confirm(struct pa_pmtu *m, struct pa_now now)
{
	if (has_passed(m, m->mtu) || !has_passed(m, BASE)) {
		rest(m, now);
		return;
	}
	m->black_holes++;
	m->raise_wait_ms = PA_PMTU_RAISE_MS;
	search(m, now, BASE, m->mtu, false);
	m->mtu = BASE;
}

static void end_raise(struct pa_pmtu *m, struct pa_now now)
{
	if (m->passed[0]) {
		m->raise_wait_ms = PA_PMTU_RAISE_MS;
		search(m, now, m->mtu, m->max + 1u, true);
		return;
	}
	m->raise_wait_ms = m->raise_wait_ms < PA_PMTU_RAISE_MAX_MS / 2 ? 2 * m->raise_wait_ms : PA_PMTU_RAISE_MAX_MS;
	complete(m, now);
}

static void end_phase(struct pa_pmtu *m, struct pa_now now)
{
	switch (m->phase) {
	case PA_PMTU_ASK_BASE:
		end_base(m, now);
		break;
	case PA_PMTU_ASK_SEARCH:
		pa_mtu_learn(&m->search, m->sizes, m->passed, m->n);
		search_on(m, now);
		break;
	case PA_PMTU_CONFIRM:
		end_confirm(m, now);
		break;
	case PA_PMTU_RAISE:
		end_raise(m, now);
		break;
	case PA_PMTU_QUIET:
		break;
	}
}

/* The largest of the phase passed: nothing more can be learnt, for smaller ones are of no interest then. */
void pa_pmtu_passed(struct pa_pmtu *m, struct pa_now now, uint16_t size)
{
	bool asked = false;

	for (unsigned i = 0; i < m->n; i++) {
		if (m->sizes[i] != size || m->tries == 0)
			continue;
		m->passed[i] = true;
		asked = true;
	}
	if (!asked)
		return;
	if (size > m->mtu)
		m->mtu = size;
	if (m->passed[m->n - 1])
		end_phase(m, now);
}

/* ---- timers ---- */

static uint64_t try_ms(uint32_t rtt_us)
{
	uint64_t ms = 3 * (uint64_t)rtt_us / 1000;

	return ms < PA_PMTU_TRY_MS ? PA_PMTU_TRY_MS : ms > PA_PMTU_TRY_MAX_MS ? PA_PMTU_TRY_MAX_MS : ms;
}

/* What has not passed and is larger than all that has. The first question about a size that was good is about that size alone. */
static unsigned unanswered(const struct pa_pmtu *m, uint16_t ret[PA_MTU_ROUND])
{
	unsigned n = 0;

	for (unsigned i = m->n; i-- > 0 && !m->passed[i];)
		if (m->phase != PA_PMTU_CONFIRM || m->tries > 0 || i + 1 == m->n)
			ret[n++] = m->sizes[i];
	return n;
}

/* Nothing is under way: is it time for something? */
static void look(struct pa_pmtu *m, struct pa_now now)
{
	bool busy = m->carried - m->confirmed >= WORTH * (uint64_t)m->mtu;

	if (now.boot_ms < m->look_ms)
		return;
	m->look_ms = now.boot_ms + PA_PMTU_CONFIRM_MS;
	if (m->state == PA_PMTU_ERROR)
		begin_base(m, now);
	else if (m->mtu < m->max && now.boot_ms >= m->raise_ms && busy)
		ask_two(m, now, PA_PMTU_RAISE, (uint16_t)(m->mtu + 1), 0);
	else if (m->mtu > BASE && busy)
		ask_two(m, now, PA_PMTU_CONFIRM, BASE, m->mtu);
}

unsigned pa_pmtu_due(struct pa_pmtu *m, struct pa_now now, uint32_t rtt_us, uint16_t ret[PA_MTU_ROUND], uint64_t *ret_next)
{
	unsigned n;

	*ret_next = UINT64_MAX;
	if (m->state == PA_PMTU_DISABLED)
		return 0;
	if (m->phase == PA_PMTU_QUIET)
		look(m, now);
	if (m->phase != PA_PMTU_QUIET && m->tries >= PA_PMTU_TRIES && now.boot_ms >= m->next_ms)
		end_phase(m, now);
	if (m->phase == PA_PMTU_QUIET) {
		*ret_next = m->look_ms;
		return 0;
	}
	if (now.boot_ms < m->next_ms) {
		*ret_next = m->next_ms;
		return 0;
	}
	n = unanswered(m, ret);
	m->tries++;
	m->next_ms = now.boot_ms + try_ms(rtt_us);
	*ret_next = m->next_ms;
	return n;
}

const char *pa_pmtu_state_name(enum pa_pmtu_state state)
{
	static const char *const names[] = {"disabled", "base", "searching", "complete", "error"};

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : names[0];
}

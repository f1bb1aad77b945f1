/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/probe_mtu.h"

#define MTU_MIN 576

void pa_mtu_start(struct pa_mtu_search *s, uint16_t link_mtu)
{
	s->low = MTU_MIN;
	s->high = link_mtu > MTU_MIN && link_mtu < UINT16_MAX ? (uint16_t)(link_mtu + 1) : MTU_MIN + 1;
	s->first = true;
}

unsigned pa_mtu_next(const struct pa_mtu_search *s, uint16_t ret[PA_MTU_ROUND])
{
	unsigned gap = (unsigned)(s->high - s->low), n = 0;

	if (gap <= 1)
		return 0;
	if (s->first) {
		ret[0] = (uint16_t)(s->high - 1);
		return 1;
	}
	for (unsigned i = 1; i <= PA_MTU_ROUND; i++) {
		uint16_t size = (uint16_t)(s->low + (gap * i + PA_MTU_ROUND) / (PA_MTU_ROUND + 1));

		if (size < s->high && (n == 0 || size > ret[n - 1]))
			ret[n++] = size;
	}
	return n;
}

void pa_mtu_learn(struct pa_mtu_search *s, const uint16_t *sizes, const bool *passed, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (passed[i] && sizes[i] > s->low)
			s->low = sizes[i];
	for (unsigned i = 0; i < n; i++)
		if (!passed[i] && sizes[i] > s->low && sizes[i] < s->high)
			s->high = sizes[i];
	s->first = false;
}

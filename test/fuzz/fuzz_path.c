/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The search for the path's MTU, told anything at any time: it never asks for, or uses, what is out of its bounds, never asks without
 * end, and uses nothing above the least size that did not pass. And what TCP announces, in any packet.
 */
#include <string.h>

#include "common/err.h"
#include "common/proto.h"
#include "test/fuzz/fuzz.h"
#include "tunnel/mss.h"
#include "tunnel/pmtu.h"

#define PKT_MAX 2048

static void check(struct pa_pmtu *m, struct pa_now now)
{
	uint16_t sizes[PA_MTU_ROUND];
	unsigned rounds = 0, n;
	uint64_t next;

	while ((n = pa_pmtu_due(m, now, 0, sizes, &next)) > 0) {
		PA_REQUIRE(n <= PA_MTU_ROUND && ++rounds < 4);
		for (unsigned i = 0; i < n; i++)
			PA_REQUIRE(sizes[i] >= PA_MTU_MIN && sizes[i] <= m->max);
	}
	PA_REQUIRE(next > now.boot_ms);
	PA_REQUIRE(m->state == PA_PMTU_DISABLED || (m->mtu >= PA_MTU_MIN && m->mtu <= m->max));
}

static void step(struct pa_pmtu *m, struct pa_now *now, const uint8_t *p)
{
	uint16_t v = (uint16_t)(p[1] << 8 | p[2]);

	switch (p[0] % 7) {
	case 0:
		pa_pmtu_start(m, *now, v, (uint16_t)(v ^ p[0] << 4) % (PA_PROBE_MAX + 1));
		break;
	case 1:
		pa_pmtu_limit(m, *now, v % (PA_PROBE_MAX + 1));
		break;
	case 2:
		pa_pmtu_suspect(m, *now);
		break;
	case 3:
		pa_pmtu_carried(m, (uint64_t)v << p[0] % 32);
		break;
	case 4:
		pa_pmtu_passed(m, *now, v);
		break;
	case 5: /* one that was asked for */
		pa_pmtu_passed(m, *now, m->sizes[p[1] % PA_MTU_ROUND]);
		break;
	default:
		now->boot_ms += v;
		break;
	}
	check(m, *now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pa_now now = {.boot_ms = 1000};
	uint8_t pkt[PKT_MAX];
	struct pa_pmtu m;

	memset(&m, 0, sizeof(m));
	for (size_t i = 0; i + 3 <= len; i += 3)
		step(&m, &now, data + i);
	if (len < 2 || len - 2 > sizeof(pkt))
		return 0;
	memcpy(pkt, data + 2, len - 2);
	if (pa_mss_clamp(pkt, len - 2, (uint16_t)(data[0] << 8 | data[1])))
		PA_REQUIRE(!pa_mss_clamp(pkt, len - 2, (uint16_t)(data[0] << 8 | data[1])));
	return 0;
}

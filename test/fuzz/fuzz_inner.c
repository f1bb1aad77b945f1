/* SPDX-License-Identifier: MPL-2.0 */
/* Inner packets, at both ends, and what is heard on the wire. What is parsed must lie inside what was given, and every verdict must be one. */
#include <string.h>

#include "common/err.h"
#include "test/fuzz/fuzz.h"
#include "tunnel/filter.h"
#include "tunnel/net_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct pa_prefix lan[] = {{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 9, 0, 0, 0}}, 8}};
	static const struct pa_prefix pools[] = {{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 0}}, 24}};
	static const uint16_t ports[] = {25};
	const struct pa_deny deny = {
		.deny = lan, .n_deny = 1, .ports = ports, .n_ports = 1, .pools = pools, .n_pools = 1, .own = lan, .n_own = 1};
	struct pa_ingress in = {.lan = lan, .n_lan = 1};
	struct pa_endpoint sender;
	struct pa_inner p;

	if (pa_wire_sender(data, len, &sender))
		PA_REQUIRE(len >= 24 && data[9] == 17 && pa_addr_is_ipv4(&sender.addr));
	if (pa_inner_parse(data, len, &p) < 0)
		return 0;
	PA_REQUIRE(p.len == len && len >= 20);
	PA_REQUIRE(pa_addr_is_ipv4(&p.src) == (data[0] >> 4 == 4) && pa_addr_is_ipv4(&p.dst) == (data[0] >> 4 == 4));
	PA_REQUIRE(pa_deny_check(&deny, &p) < PA_VERDICTS);
	in.addr = p.dst;
	PA_REQUIRE(pa_ingress_check(&in, &p) != PA_DROP_DESTINATION);
	in.addr = p.src;
	PA_REQUIRE(pa_addr_eq(&p.src, &p.dst) || pa_ingress_check(&in, &p) == PA_DROP_DESTINATION);
	return 0;
}

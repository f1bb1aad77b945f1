/* SPDX-License-Identifier: MPL-2.0 */
/* The DHCP option comes from the network: any bytes are refused or come back the same. */
#include <string.h>

#include "common/err.h"
#include "common/grant.h"
#include "test/fuzz/fuzz.h"

static int same_endpoint(const struct pa_endpoint *a, const struct pa_endpoint *b)
{
	return pa_addr_eq(&a->addr, &b->addr) && a->port == b->port;
}

/* What is decoded must survive another round; a withdrawal carries claims only. */
static void check_round(const struct pa_grant *g)
{
	uint8_t buf[PA_GRANT_MAX];
	struct pa_grant back;
	int len = pa_grant_encode(g, buf, sizeof(buf));

	PA_REQUIRE(len > 0);
	PA_REQUIRE(pa_grant_decode(buf, (size_t)len, &back) == 0);
	PA_REQUIRE(pa_claims_eq(&g->claims, &back.claims));
	PA_REQUIRE(g->lifetime == back.lifetime);
	if (g->lifetime == 0)
		return;
	PA_REQUIRE(memcmp(g->secret, back.secret, sizeof(g->secret)) == 0);
	PA_REQUIRE(memcmp(g->gateway_key, back.gateway_key, sizeof(g->gateway_key)) == 0);
	PA_REQUIRE(g->mtu == back.mtu && g->keepalive == back.keepalive && g->n_gateways == back.n_gateways);
	for (unsigned i = 0; i < g->n_gateways; i++)
		PA_REQUIRE(same_endpoint(&g->gateways[i], &back.gateways[i]));
	PA_REQUIRE(same_endpoint(&g->relay, &back.relay));
	PA_REQUIRE(g->n_inbound == back.n_inbound);
	for (unsigned i = 0; i < g->n_inbound; i++)
		PA_REQUIRE(pa_inrule_eq(&g->inbound[i], &back.inbound[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pa_grant g;

	if (pa_grant_decode(data, len, &g) == 0)
		check_round(&g);
	return 0;
}

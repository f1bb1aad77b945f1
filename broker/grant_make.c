/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/grant_make.h"

#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/grant.h"

static void derive(struct pa_grant *g, const struct pa_key *master)
{
	uint8_t pool_key[PA_KEY_LEN], claims[PA_CLAIMS_LEN];

	/* Cannot fail: the address is one of a pool's, the prefix length is its family's. */
	PA_REQUIRE(pa_claims_encode(&g->claims, claims) == PA_CLAIMS_LEN);
	pa_derive_pool_key(master->key, master->key_id, g->claims.pool_id, pool_key);
	pa_derive_secret(pool_key, claims, g->secret);
	pa_wipe(pool_key, sizeof(pool_key));
}

int pa_grant_make(const struct pa_lease *lease, const struct pa_brokerconf *conf, const struct pa_keyring *keys,
		  uint8_t buf[PA_GRANT_MAX])
{
	const struct pa_pool_conf *pool = pa_brokerconf_pool_of(conf, &lease->addr);
	const struct pa_key *master = pa_keyring_first(keys, PA_KEY_MASTER);
	const struct pa_gateway_group *group;
	struct pa_grant g;
	int rc;

	if (pool == NULL || pool->id != lease->pool_id || master == NULL)
		return PA_ENOTFOUND;
	group = &conf->groups[pool->group];
	memset(&g, 0, sizeof(g));
	g.claims.key_id = master->key_id;
	g.claims.pool_id = lease->pool_id;
	g.claims.prefix_len = 32;
	g.claims.outbound = pool->outbound;
	g.claims.inbound = pool->inbound.kind;
	g.n_inbound = (unsigned)pool->inbound.n;
	memcpy(g.inbound, pool->inbound.rules, g.n_inbound * sizeof(g.inbound[0]));
	g.claims.addr = lease->addr;
	g.claims.epoch = lease->epoch;
	g.claims.expires = lease->expires;
	memcpy(g.claims.fingerprint, lease->fingerprint, sizeof(g.claims.fingerprint));
	memcpy(g.gateway_key, group->public_key, sizeof(g.gateway_key));
	memcpy(g.gateways, group->gateways, sizeof(g.gateways));
	g.n_gateways = group->n_gateways;
	g.relay = group->relay;
	g.lifetime = lease->lifetime;
	g.mtu = conf->mtu;
	g.keepalive = conf->keepalive;
	derive(&g, master);
	rc = pa_grant_encode(&g, buf, PA_GRANT_MAX);
	pa_grant_wipe(&g);
	return rc;
}

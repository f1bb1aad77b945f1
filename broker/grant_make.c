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

static void fill_claims(const struct pa_lease *lease, const struct pa_pool_conf *pool, uint8_t key_id, struct pa_claims *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->key_id = key_id;
	ret->pool_id = lease->pool_id;
	ret->prefix_len = 32;
	ret->outbound = pool->outbound;
	ret->inbound = pool->inbound.kind;
	ret->addr = lease->addr;
	ret->epoch = lease->epoch;
	ret->expires = lease->expires;
	memcpy(ret->fingerprint, lease->fingerprint, sizeof(ret->fingerprint));
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
	fill_claims(lease, pool, master->key_id, &g.claims);
	g.n_inbound = (unsigned)pool->inbound.n;
	memcpy(g.inbound, pool->inbound.rules, g.n_inbound * sizeof(g.inbound[0]));
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

bool pa_grant_proven(const struct pa_lease *lease, const struct pa_brokerconf *conf, const struct pa_keyring *keys,
		     const uint8_t proof[PA_MAC_LEN])
{
	const struct pa_pool_conf *pool = pa_brokerconf_pool_of(conf, &lease->addr);
	uint8_t want[PA_MAC_LEN];
	bool proven = false;
	struct pa_grant g;

	if (pool == NULL || pool->id != lease->pool_id)
		return false;
	memset(&g, 0, sizeof(g));
	for (size_t i = 0; i < pa_keyring_count(keys) && !proven; i++) {
		const struct pa_key *master = pa_keyring_at(keys, i);

		if (master->kind != PA_KEY_MASTER)
			continue;
		fill_claims(lease, pool, master->key_id, &g.claims);
		derive(&g, master);
		pa_release_proof(g.secret, lease->epoch, pa_addr_to_ipv4(&lease->dhcp_addr), want);
		proven = pa_secret_eq(want, proof, sizeof(want));
	}
	pa_grant_wipe(&g);
	return proven;
}

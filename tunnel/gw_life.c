/* SPDX-License-Identifier: MPL-2.0 */
/* The gateway's core: making and ending it, and what others may ask of it. */
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "tunnel/gw_int.h"

/* Answers to what nobody vouched for: each source prefix may hold many clients that all heal at once, so not too few. */
#define SOURCE_INTERVAL_MS 50
#define SOURCE_BURST 40
/* Of PROBEs from known places: a search asks for eight sizes at once, and many clients share one of PA_LIMIT_SLOTS. */
#define PATH_INTERVAL_MS 5
#define PATH_BURST 64

int pa_gw_set_keys(struct pa_gw *gw, const struct pa_keyring *keys)
{
	const struct pa_key *own = keys != NULL ? pa_keyring_first(keys, PA_KEY_GATEWAY) : NULL;

	if (own == NULL)
		return PA_EINVAL;
	gw->keys = keys;
	gw->secret_key = own->key;
	pa_keypair_public(gw->secret_key, gw->public_key);
	return 0;
}

int pa_gw_new(const struct pa_gw_config *cfg, const struct pa_gw_ops *ops, void *ctx, struct pa_gw **ret)
{
	uint8_t hash_key[6][PA_GW_HASH_KEY_LEN];
	struct pa_gw *gw;
	int rc = PA_EINVAL;

	if (cfg->n_pools == 0 || cfg->max_bindings == 0 || cfg->n_sockets > PA_GW_SOCKETS_MAX || cfg->handshakes > PA_GW_HANDSHAKES_MAX || cfg->mtu < PA_MTU_MIN ||
	    cfg->keepalive < PA_KEEPALIVE_MIN || cfg->keepalive > PA_KEEPALIVE_MAX)
		return PA_EINVAL;
	gw = calloc(1, sizeof(*gw));
	if (gw == NULL)
		return PA_ENOMEM;
	pa_slab_init(&gw->contests, sizeof(struct pa_gw_contest));
	gw->ops = ops;
	gw->ctx = ctx;
	gw->mtu = cfg->mtu;
	gw->keepalive = cfg->keepalive;
	gw->n_sockets = cfg->n_sockets;
	for (size_t i = 0; i < cfg->n_sockets; i++)
		gw->sockets[i] = cfg->sockets[i];
	rc = pa_gw_set_keys(gw, cfg->keys);
	if (rc < 0)
		goto fail;
	rc = PA_ENOMEM;
	gw->n_pools = cfg->n_pools;
	gw->pools = calloc(cfg->n_pools, sizeof(*gw->pools));
	if (gw->pools == NULL)
		goto fail;
	memcpy(gw->pools, cfg->pools, cfg->n_pools * sizeof(*gw->pools));
	ops->random(ctx, (uint8_t *)hash_key, sizeof(hash_key));
	ops->random(ctx, (uint8_t *)gw->cookie_key, sizeof(gw->cookie_key));
	memcpy(gw->token_key, hash_key[4], sizeof(gw->token_key));
	rc = pa_gw_table_new(hash_key[0], cfg->max_bindings, &gw->table);
	if (rc < 0)
		goto fail;
	pa_limit_init(&gw->rechallenge_limit, hash_key[1], SOURCE_INTERVAL_MS, SOURCE_BURST);
	pa_limit_init(&gw->hint_limit, hash_key[2], SOURCE_INTERVAL_MS, SOURCE_BURST);
	pa_limit_init(&gw->probe_limit, hash_key[3], SOURCE_INTERVAL_MS, SOURCE_BURST);
	pa_limit_init(&gw->path_limit, hash_key[3], PATH_INTERVAL_MS, PATH_BURST);
	pa_limit_init(&gw->mtu_limit, hash_key[3], SOURCE_INTERVAL_MS, SOURCE_BURST);
	gw->limits_handshakes = cfg->handshakes > 0;
	if (gw->limits_handshakes) /* as many as in a second may come at once */
		pa_limit_init(&gw->handshake_limit, hash_key[5], 1000000 / cfg->handshakes, cfg->handshakes);
	*ret = gw;
	return 0;
fail:
	pa_gw_free(gw);
	return rc;
}

void pa_gw_free(struct pa_gw *gw)
{
	if (gw == NULL)
		return;
	pa_gw_table_free(gw->table);
	pa_slab_clear(&gw->contests);
	free(gw->pools);
	pa_wipe(gw, sizeof(*gw));
	free(gw);
}

bool pa_gw_walk(const struct pa_gw *gw, uint32_t *at, struct pa_gw_binding *ret)
{
	const struct pa_gw_entry *e = pa_gw_table_walk(gw->table, at);

	while (e != NULL && !e->bound)
		e = pa_gw_table_walk(gw->table, at);
	if (e != NULL)
		pa_gw_view(gw, e, ret);
	return e != NULL;
}

void pa_gw_each(const struct pa_gw *gw, bool (*fn)(void *arg, const struct pa_gw_binding *b), void *arg)
{
	struct pa_gw_binding b;
	uint32_t at = 0;

	while (pa_gw_walk(gw, &at, &b) && fn(arg, &b))
		;
}

void pa_gw_soon(const struct pa_gw *gw, const struct iovec *msgs, unsigned n)
{
	const uint8_t *sessions[PA_GW_SOON_MAX];
	unsigned k = 0;

	for (unsigned i = 0; i < n && k < PA_GW_SOON_MAX; i++) {
		sessions[k] = pa_msg_session(msgs[i].iov_base, msgs[i].iov_len);
		k += sessions[k] != NULL;
	}
	pa_gw_table_soon(gw->table, sessions, k);
}

int pa_gw_find(const struct pa_gw *gw, const struct pa_addr *addr, struct pa_gw_binding *ret)
{
	const struct pa_gw_entry *e = pa_gw_table_find(gw->table, addr);

	if (e == NULL || !e->bound)
		return PA_ENOTFOUND;
	pa_gw_view(gw, e, ret);
	return 0;
}

size_t pa_gw_count(const struct pa_gw *gw)
{
	return gw->n_bound;
}

void pa_gw_counters_get(const struct pa_gw *gw, struct pa_gw_counters *ret)
{
	*ret = gw->count;
}

void pa_gw_send_unbound(struct pa_gw *gw, const struct pa_gw_entry *e, enum pa_reason reason)
{
	struct pa_msg m = {.type = PA_MSG_UNBOUND, .reason = (uint8_t)reason};
	uint8_t buf[PA_CTL_MAX], g2c[PA_KEY_LEN];
	int n;

	memcpy(m.session, e->session, sizeof(m.session));
	pa_derive_g2c(e->k1, g2c);
	n = pa_msg_encode(&m, g2c, buf, sizeof(buf));
	pa_wipe(g2c, sizeof(g2c));
	PA_REQUIRE(n > 0);
	gw->ops->send(gw->ctx, e->local, &e->mapped, buf, (size_t)n);
}

int pa_gw_end(struct pa_gw *gw, struct pa_now now, const struct pa_addr *addr, enum pa_reason reason)
{
	struct pa_gw_entry *e = pa_gw_table_find(gw->table, addr);

	if (e == NULL || !e->bound)
		return PA_ENOTFOUND;
	pa_gw_end_binding(gw, now, e, reason, true);
	return 0;
}

void pa_gw_shutdown(struct pa_gw *gw, struct pa_now now)
{
	struct pa_gw_entry *e;
	uint32_t at = 0;

	while ((e = pa_gw_table_walk(gw->table, &at)) != NULL)
		if (e->bound)
			pa_gw_end_binding(gw, now, e, PA_REASON_SHUTDOWN, true);
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gatewayd_keys.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/edge_file.h"
#include "common/err.h"
#include "common/log.h"

int pa_gatewayd_keys_load(const struct pa_gatewayd_conf *conf, struct pa_keyring **ret, char *err, size_t len)
{
	char detail[PA_FILE_ERRLEN], place[PA_CONF_PLACELEN];
	struct pa_keyring *keys;
	int rc = pa_keyring_load(conf->key_file, &keys, detail);

	(void)pa_conf_place(conf->source, "key-file", place);
	if (rc < 0) {
		(void)snprintf(err, len, "%s%s%s", place, detail,
			       rc == PA_ENOTFOUND ? "; 'pubaddrctl key new-gateway' makes one" : "");
		return rc == PA_ENOTFOUND || rc == PA_EEXIST ? PA_EFORMAT : rc;
	}
	if (pa_keyring_first(keys, PA_KEY_GATEWAY) == NULL) {
		(void)snprintf(err, len, "%s%s: has no gateway key; make one by pubaddrctl key new-gateway", place, conf->key_file);
		pa_keyring_free(keys);
		return PA_EFORMAT;
	}
	*ret = keys;
	return 0;
}

bool pa_gatewayd_keys_check(const struct pa_gatewayd_conf *conf, const struct pa_keyring *keys)
{
	bool all = true;

	for (size_t i = 0; i < conf->n_pools; i++) {
		bool found = false;

		for (size_t k = 0; k < pa_keyring_count(keys) && !found; k++) {
			const struct pa_key *key = pa_keyring_at(keys, k);

			found = key->kind == PA_KEY_POOL && key->pool_id == conf->pools[i].id;
		}
		if (!found)
			pa_log(PA_LOG_WARN, "config.keyless", "pool=%u file=%s reason=\"no key for this pool: its clients are "
			       "refused; make one by pubaddrctl key pool\"", (unsigned)conf->pools[i].id, conf->key_file);
		all = all && found;
	}
	return all;
}

struct keyless {
	const struct pa_keyring *keys;
	struct pa_addr *addrs;
	size_t n;
};

static bool note_keyless(void *arg, const struct pa_gw_binding *b)
{
	struct keyless *k = arg;

	if (pa_keyring_find(k->keys, PA_KEY_POOL, b->claims.key_id, b->claims.pool_id) == NULL)
		k->addrs[k->n++] = b->claims.addr;
	return true;
}

int pa_gatewayd_keys_use(struct pa_gw *gw, const struct pa_keyring *keys, struct pa_now now)
{
	struct keyless k = {.keys = keys};
	int rc;

	k.addrs = calloc(pa_gw_count(gw) + 1, sizeof(*k.addrs));
	if (k.addrs == NULL)
		return PA_ENOMEM;
	rc = pa_gw_set_keys(gw, keys);
	if (rc == 0) {
		pa_gw_each(gw, note_keyless, &k);
		for (size_t i = 0; i < k.n; i++)
			(void)pa_gw_end(gw, now, &k.addrs[i], PA_REASON_RELEASED);
		rc = (int)k.n;
	}
	free(k.addrs);
	return rc;
}

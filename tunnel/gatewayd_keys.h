/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GATEWAYD_KEYS_H
#define PA_GATEWAYD_KEYS_H

#include <stdbool.h>

#include "common/keyfile.h"
#include "common/clock.h"
#include "tunnel/gatewayd_conf.h"

/*
 * Reads the key file that the configuration names; it must hold a gateway key. Blocking. On failure err (len bytes) says place and
 * remedy, and *ret is untouched: PA_EFORMAT (also when it is missing), PA_EAUTH, PA_EIO, PA_ENOMEM. The caller frees *ret.
 */
int pa_gatewayd_keys_load(const struct pa_gatewayd_conf *conf, struct pa_keyring **ret, char *err, size_t len);

/* Logs a warning (config.keyless) for each pool that has no key. True if every pool has one. */
bool pa_gatewayd_keys_check(const struct pa_gatewayd_conf *conf, const struct pa_keyring *keys);

/*
 * Other keys from now on (borrowed, as for pa_gw_set_keys). Bindings stay, but for those whose key is gone: their clients are
 * told, and come back once they have a grant of a key that is there. Returns how many ended, or a negative error with
 * nothing changed: PA_ENOMEM, PA_EINVAL (no gateway key).
 */
int pa_gatewayd_keys_use(struct pa_gw *gw, const struct pa_keyring *keys, struct pa_now now);

#endif

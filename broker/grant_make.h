/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_GRANT_MAKE_H
#define PA_BROKER_GRANT_MAKE_H

#include <stddef.h>
#include <stdint.h>

#include "broker/brokerconf.h"
#include "broker/lease.h"
#include "common/keyfile.h"
#include "common/proto.h"

/*
 * Writes the grant option of an active lease to buf and returns its length. The same row, configuration and keys give the
 * same bytes, so a secret is never stored. The first master key signs. PA_ENOTFOUND: the lease's pool is not configured
 * (any more), or there is no master key; PA_EINVAL: the configuration is not a checked one. Wipe buf when done. Pure.
 */
int pa_grant_make(const struct pa_lease *lease, const struct pa_brokerconf *conf, const struct pa_keyring *keys,
		  uint8_t buf[PA_GRANT_MAX]);

#endif

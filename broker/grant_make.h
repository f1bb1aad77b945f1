/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_GRANT_MAKE_H
#define PA_BROKER_GRANT_MAKE_H

#include <stdbool.h>
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
/*
 * True if who gives the lease back has its latest grant (pa_release_proof), whichever master key signed it. A grant from before the last
 * renewal, or from before its pool was configured otherwise, proves nothing. Pure.
 */
bool pa_grant_proven(const struct pa_lease *lease, const struct pa_brokerconf *conf, const struct pa_keyring *keys,
		     const uint8_t proof[PA_MAC_LEN]);

#endif

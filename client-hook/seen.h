/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DHCP_SEEN_H
#define PA_DHCP_SEEN_H

#include <stdint.h>

#include "client-hook/env.h"
#include "common/edge_file.h"

/*
 * What this host's DHCP client saw last, for pubaddr diagnose, and for pubaddr-tunneld when it asks for an address on demand:
 * RUNDIR/dhcp-IFACE.json, mode 0644, without a secret:
 *   {"reason": "BOUND", "option": "grant" | "none" | "unreadable" | "gone", "asked": true | false (if known),
 *    "cause": TEXT (if unreadable), "received": BOOT-MS,
 *    and of a lease "dhcp-address", "dhcp-server", "routers", "resolvers", "lease-time" as in grant-put}
 * cause: why the value is no grant (a negative enum pa_err), or 0. Writes nothing for events that mean nothing. 0, PA_ENOMEM,
 * or as pa_file_write with err; a failure harms nobody.
 */
int pa_dhcp_seen(const struct pa_dhcp_env *env, const char *run_dir, uint64_t received_ms, int cause,
		 char err[PA_FILE_ERRLEN]);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DHCP_DELIVER_H
#define PA_DHCP_DELIVER_H

#include <jansson.h>
#include <stdint.h>

#include "client-hook/env.h"
#include "common/edge_file.h"

/*
 * Hands grants to pubaddr-tunneld by its command socket RUNDIR/tunneld-IFACE.sock, or leaves them in
 * RUNDIR/pending-IFACE.json for the daemon's next start. Blocking, at most timeout_ms; any thread.
 */
#define PA_DHCP_DELIVER_ERRLEN (PA_FILE_ERRLEN + 320)

enum pa_dhcp_delivery {
	PA_DHCP_DELIVERED = 0, /* the daemon took it */
	PA_DHCP_PENDING = 1,   /* put: nobody serves the socket, err says why; the file was written */
	PA_DHCP_NOBODY = 2,    /* end: nobody serves the socket, there is nothing to end */
};

/*
 * put sends grant-put. The file, mode 0600, holds the arguments of that command; received_ms (boot time of the ACK) in it
 * lets the daemon tell how much of the lifetime is left. end sends grant-end and removes the file. Both return an enum
 * pa_dhcp_delivery, or with one line in err PA_EDENIED (the daemon refused), PA_EAGAIN (it did not answer in time; put has
 * written the file), PA_ENOMEM, or PA_EIO. err never contains a secret.
 */
int pa_dhcp_put(const struct pa_dhcp_env *env, const char *run_dir, uint64_t received_ms, int timeout_ms,
		char err[PA_DHCP_DELIVER_ERRLEN]);
/* Adds what the lease brought beside the grant: dhcp-address, dhcp-server, routers, resolvers, lease-time. 0 or PA_ENOMEM. */
int pa_dhcp_describe(const struct pa_dhcp_env *env, json_t *obj);
int pa_dhcp_end(const struct pa_dhcp_env *env, const char *run_dir, int timeout_ms, char err[PA_DHCP_DELIVER_ERRLEN]);

#endif

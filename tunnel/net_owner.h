/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_OWNER_H
#define PA_NET_OWNER_H

#include <stdint.h>
#include <sys/types.h>

#include "common/addr.h"

/*
 * Whose sockets on this host are at the other end of a loopback connection (sock_diag). What the kernel tells is who made the
 * socket; one whose program has closed it already belongs to nobody. Blocking, for microseconds; any thread.
 */

/*
 * The owner of the connected TCP socket from own to peer, both as that socket sees them. 0; PA_ENOTFOUND: there is none, or its
 * program has closed it; PA_EIO where the kernel cannot tell; PA_EINVAL: a port is 0.
 */
int pa_owner_tcp(const struct pa_endpoint *own, const struct pa_endpoint *peer, uid_t *ret);
/*
 * The owner of the UDP sockets that send from own: bound to it, or to its port of any address. PA_EDENIED: there are several, of
 * different users. Else as above.
 */
int pa_owner_udp(const struct pa_endpoint *own, uid_t *ret);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_DIAG_H
#define PA_NET_DIAG_H

#include <stddef.h>

#include "common/addr.h"
#include "tunnel/ruleset.h"

/*
 * The flows that this host's sockets have with source addr: TCP connections, connected UDP sockets, and UDP sockets that are bound
 * to a port of addr or of any address. way is PA_WAY_BEFORE in all. *ret is the caller's to free. PA_ENOMEM, or PA_EIO where the
 * kernel cannot tell (sock_diag).
 */
int pa_diag_flows(const struct pa_addr *addr, struct pa_flow **ret, size_t *ret_n);

#endif

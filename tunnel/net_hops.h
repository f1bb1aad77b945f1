/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_HOPS_H
#define PA_NET_HOPS_H

#include "tunnel/dp_hops.h"
#include "tunnel/net_nl.h"

#define PA_NET_HOPS_ROUTES 4096 /* so many are read; a host with more keeps asking the kernel for each packet */

/*
 * Reads what the host's routes say about next hops. PA_ENOTSUP: there are other rules than the kernel's own three, or too many routes;
 * PA_ENOMEM; else as net_nl.h.
 */
int pa_net_hops_read(struct pa_nl *nl, struct pa_hops *ret);

/*
 * The next hop of this host's own packets from src to dst by one interface, with a mark (0: none): dst itself if it is on the link.
 * Addresses in network byte order. PA_ENOTFOUND: there is no way; PA_ENOTSUP: no plain one.
 */
int pa_net_hop_get(struct pa_nl *nl, uint32_t src, uint32_t dst, int ifindex, uint32_t mark, uint32_t *ret);

/* A non-blocking socket that becomes readable when that may change. Errors as of net_nl.h. */
int pa_net_hops_watch(int *ret_fd);
/* Reads all that waits, and tells whether any of it matters. True after an overrun, too, when notices were lost. */
bool pa_net_hops_changed(int fd);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_MTU_H
#define PA_NET_MTU_H

#include <stdint.h>

#include "common/addr.h"
#include "tunnel/net_nl.h"

/*
 * Public addresses whose packets must be smaller than their device's MTU: a route to the one address with an MTU of its own. By that
 * the kernel cuts up what may be cut up and answers the rest with "fragmentation needed", from its own address towards the sender and
 * within its own limits. They stand in the main table beside the pool's route, and have their own protocol number, for whoever lists
 * routes. IPv4 and IPv6.
 */
#define PA_MTU_ROUTE_PROTOCOL 225

/* Sets the MTU of packets to addr by device ifindex, src as in the pool's route (none, or of the other family: left to the kernel). */
int pa_net_mtu_set(struct pa_nl *nl, int ifindex, const struct pa_addr *addr, const struct pa_addr *src, uint16_t mtu);
/* The device's MTU counts again. PA_ENOTFOUND: it did. */
int pa_net_mtu_clear(struct pa_nl *nl, int ifindex, const struct pa_addr *addr);
/* Removes all such routes of the device, of a former process. Returns how many, or an error. */
int pa_net_mtu_clean(struct pa_nl *nl, int ifindex);

#endif

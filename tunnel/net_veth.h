/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_VETH_H
#define PA_NET_VETH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/addr.h"
#include "tunnel/net_nl.h"

/*
 * The way between the host and the network namespace of one program (pubaddr exec --netns): a veth pair without ARP, whose
 * both ends have the same hardware address, so that whatever one end sends is for the other. The host's end has no IPv6: who has
 * the namespace could else advertise himself as a router. The kernel removes it with the namespace, when its last process has ended.
 */

/* "DEVICE-ns", the host's end. Returns dst. */
const char *pa_veth_name(const char *device, char dst[16]);
/*
 * Makes the pair, both ends down: the host's, and the other one, named as the device, in the namespace of process pid.
 * PA_EEXIST: it is there; PA_EDENIED (also when IPv6 cannot be turned off), PA_ENOTSUP (no driver), PA_EIO. Nothing is left then.
 */
int pa_veth_open(struct pa_nl *nl, const char *device, pid_t pid, uint16_t mtu);
/* Removes the pair; the program in the namespace has no network then. Harmless if there is none. */
void pa_veth_remove(struct pa_nl *nl, const char *device);

/*
 * P for the namespace (to_ns), or back for the host: whether the kernel takes packets to P as its own, or hands them on. Needs P on
 * the device in both cases, for it is the preferred source of routes. Brings the host's end up: have the packet filter's table
 * (ruleset_inbound.h) before. PA_EIO, PA_ENOTFOUND.
 */
int pa_veth_divert(struct pa_nl *nl, const char *device, int ifindex, const struct pa_addr *addr, bool to_ns);

/* In the namespace: loopback and the device up, P on the device, default route by it. err of PA_VETH_ERRLEN says what failed. */
#define PA_VETH_ERRLEN 192
int pa_veth_inside(const char *device, const struct pa_addr *addr, char err[PA_VETH_ERRLEN]);

#endif

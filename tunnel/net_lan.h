/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_LAN_H
#define PA_NET_LAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "tunnel/net_nl.h"

/* What this host's IPv4 network looks like from one interface; a snapshot, comparable by memcmp. */
#define PA_LAN_ADDRS_MAX 16
#define PA_LAN_OWN_MAX 128
#define PA_LAN_ROUTERS_MAX 4

struct pa_lan {
	int ifindex; /* 0: there is no such interface */
	bool up;     /* administratively up and with carrier */
	bool default_elsewhere; /* the best default route of the main table leaves by another interface than ours and the LAN's */
	uint16_t mtu;
	size_t n_addrs, n_on_link, n_routers, n_own;
	struct pa_addr addrs[PA_LAN_ADDRS_MAX];	      /* of the interface */
	struct pa_prefix on_link[PA_LAN_ADDRS_MAX];   /* networks of these addresses */
	struct pa_addr routers[PA_LAN_ROUTERS_MAX];   /* next hops of default routes by this interface */
	struct pa_addr own[PA_LAN_OWN_MAX];	      /* every address of the host but those of the device left out; also IPv6 */
};

/*
 * Reads the snapshot. iface NULL or absent: only own is filled. without: a device whose addresses and routes do not count,
 * our own; may be NULL. Entries beyond the limits above are left out. Errors as of net_nl.h.
 */
int pa_lan_read(struct pa_nl *nl, const char *iface, const char *without, struct pa_lan *ret);

/*
 * IPv4 prefixes that this host takes for itself when a packet for them arrives: its addresses, the broadcast addresses of
 * its networks, loopback, and whatever else the kernel's local table holds. *ret is the caller's to free; untouched on failure.
 */
int pa_lan_local_read(struct pa_nl *nl, struct pa_prefix **ret, size_t *ret_n);

/*
 * The interface that this host's own packets to dst leave by now, or PA_ENOTFOUND (unreachable). mark as the packets carry it.
 */
int pa_lan_route_ifindex(struct pa_nl *nl, const struct pa_addr *dst, uint32_t mark);

#endif

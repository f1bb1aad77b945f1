/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_HOSTS_H
#define PA_NET_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "tunnel/net_nl.h"

/*
 * What the rest of the network learns single IPv4 addresses from: /32 routes, which a routing daemon announces, and proxy
 * neighbour entries, by which the kernel answers ARP (RFC 1027) on a link. Many at a time: one message to the kernel has up to
 * PA_HOSTS_BATCH changes. One thread for each struct pa_nl.
 */
#define PA_HOSTS_BATCH 64
#define PA_HOSTS_ARP_ERRLEN 96

enum pa_host_kind {
	PA_HOST_ROUTE, /* ADDR/32 by interface ifindex in table, with the protocol number */
	PA_HOST_PROXY, /* a proxy neighbour entry at interface ifindex; table is not looked at */
};

struct pa_host_change {
	struct pa_addr addr; /* IPv4 */
	enum pa_host_kind kind;
	bool add;
	uint32_t table;
	uint8_t protocol;
	int ifindex;
};

/*
 * Makes up to PA_HOSTS_BATCH changes in their order. What is there already, or gone already, is fine. Returns how many the kernel
 * refused, with errno of the last one; or an error of net_nl.h when it did not say.
 */
int pa_net_hosts_apply(struct pa_nl *nl, const struct pa_host_change *changes, size_t n);

/*
 * Calls fn for each /32 route by interface oif, in any table but the local one; for each proxy neighbour entry of any interface that
 * carries our protocol number. fn must not use nl; it returns 0, or a negative code that ends it. Errors as net_nl.h.
 */
int pa_net_hosts_routes(struct pa_nl *nl, int oif, int (*fn)(void *arg, const struct pa_host_change *found), void *arg);
int pa_net_hosts_proxies(struct pa_nl *nl, int (*fn)(void *arg, const struct pa_host_change *found), void *arg);

/* A socket for announcements, which receives nothing; needs CAP_NET_RAW. PA_EDENIED, PA_EIO. */
int pa_net_arp_open(int *ret_fd);
/*
 * Tells the link of an interface that addr is here (RFC 5227, section 2.3: an ARP request for oneself, to all), so that neighbours
 * that knew it elsewhere send to us. PA_ENOTFOUND: no such interface, or not Ethernet; PA_EIO.
 */
int pa_net_arp_announce(int fd, int ifindex, const struct pa_addr *addr);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_TC_H
#define PA_NET_TC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "tunnel/net_nl.h"

/* Programs as filters of tc at an interface, and which interfaces there are. Errors as of net_nl.h. */
struct pa_tc_place {
	int ifindex;
	bool egress; /* or ingress */
	uint16_t priority; /* ours among others' filters: lower ones come first */
};

/*
 * Puts the program (descriptor of a loaded one) there, with the queueing discipline "clsact" if the interface has none
 * (*made_qdisc: true then, otherwise untouched). Takes the place of one that is there with the same priority, without a packet
 * seeing neither or both.
 */
int pa_tc_attach(struct pa_nl *nl, const struct pa_tc_place *at, int prog_fd, bool *made_qdisc);
/* Removes it; with also_qdisc the discipline too, unless somebody else has a filter in it. One that is absent is fine. */
int pa_tc_detach(struct pa_nl *nl, const struct pa_tc_place *at, bool also_qdisc);

struct pa_tc_addr {
	int ifindex;
	struct pa_addr addr;
	bool ethernet; /* has an Ethernet header */
	uint32_t mtu;
};

/* The IPv4 addresses of all interfaces that are up but for loopback ones, at most cap. Returns how many. */
int pa_tc_addrs(struct pa_nl *nl, struct pa_tc_addr *ret, size_t cap);

#endif

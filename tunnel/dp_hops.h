/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_HOPS_H
#define PA_DP_HOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/bpf/path.h"

/*
 * A host's IPv4 routes as a table that a program in the kernel looks up: for each /16 the one next hop of all its addresses, or that
 * the kernel has to be asked, which is what it says of everything that is not plain. Pure; any thread.
 */
struct pa_hop_route {
	uint32_t dst; /* host byte order; zero beyond len bits */
	uint8_t len;  /* 0 .. 32 */
	bool local;   /* of the table "local", which comes before "main" */
	bool plain;   /* all its packets go to one gateway by one interface: */
	uint32_t gateway; /* host byte order, not 0 */
	uint32_t ifindex;
};

struct pa_hops {
	uint64_t ways[PA_K_FAR_WORDS]; /* see path.h */
	struct {
		uint32_t gateway, ifindex;
	} hop[PA_K_HOPS]; /* number 0: none */
};

/* Makes *ret of the n routes of both tables; sorts them. Next hops beyond PA_K_HOPS - 1 are asked for. */
void pa_hops_make(struct pa_hop_route *routes, size_t n, struct pa_hops *ret);

#endif

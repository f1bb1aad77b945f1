/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_FAR_H
#define PA_DP_FAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/bpf/path.h"
#include "tunnel/filter.h"

/*
 * The daemons' rules about the far end of an inner packet (filter.h), as tables that a program in the kernel looks up: for each
 * IPv4 address what the rule says of it. Made by asking the rule itself once for each stretch of addresses that no
 * prefix divides, so that both cannot differ. Pure; any thread.
 */
struct pa_far {
	uint64_t far[PA_K_FAR_WORDS];
	uint64_t bits[PA_K_BLOCKS * PA_K_BLOCK_WORDS];
	unsigned blocks; /* in use; block 0 is for ports */
};

/*
 * Gateway: destinations, and the TCP ports in block 0. Client: sources. Both PA_ENOMEM, *ret is undefined then. Where the blocks
 * do not suffice, the daemon is to be asked (PA_K_FAR_ASK).
 */
int pa_far_destinations(const struct pa_deny *deny, struct pa_far *ret);
int pa_far_sources(const struct pa_ingress *ingress, struct pa_far *ret);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_DIVERT_H
#define PA_NET_DIVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

/*
 * Packets for addresses that are routed to the tunnel, but for which this host has a socket (IP_TRANSPARENT), come to
 * that socket: an nftables table marks them, a rule sends what is marked to a routing table, and there everything is
 * local. What has no such socket goes to the tunnel as before. Blocking, but the kernel answers at once. Needs
 * CAP_NET_ADMIN. One thread.
 */
#define PA_DIVERT_TABLE "pubaddr-relay"
#define PA_DIVERT_ERRLEN 320

struct pa_divert_config {
	uint32_t mark, table, priority;
	const struct pa_prefix *pools; /* nothing else is looked at */
	size_t n_pools;
};

/*
 * Sets all of it up; what a former run has left is replaced. *ret_whole: packets that come in fragments are found, too; else the kernel
 * cannot (nft_tproxy), and they go to the tunnel. PA_EIO or PA_ENOMEM with what and the remedy in err.
 */
int pa_divert_open(const struct pa_divert_config *cfg, bool *ret_whole, char err[PA_DIVERT_ERRLEN]);
/* Takes all of it away; what is not there is fine. */
void pa_divert_close(const struct pa_divert_config *cfg);

#endif

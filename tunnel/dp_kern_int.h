/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_KERN_INT_H
#define PA_DP_KERN_INT_H

#include "tunnel/dp_far.h"
#include "tunnel/dp_kern_maps.h"
#include "tunnel/net_nl.h"

/* Inside of the data path in the kernel: dp_kern.c, dp_kern_attach.c. */
#define PA_DP_LAN_MAX 192

struct pa_dp {
	struct pa_dp_config cfg;
	struct pa_dp_kern_config kern;
	struct pa_kern_maps maps;
	struct pa_nl *nl;
	struct pa_far *far;   /* scratch */
	uint32_t *free_slots; /* gateway with hash: those without a peer */
	size_t n_free;
	uint16_t ports[PA_DP_SOCKETS_MAX]; /* client: of the sockets */
	struct pa_dp_peer peer;		   /* client: as updated last; inner none: none */
	struct pa_prefix lan[PA_DP_LAN_MAX];
	bool attached, accelerated;
};

/* Recomputes what the programs know of the client's tunnel; enables them if all is known. */
void pa_kern_client_apply(struct pa_dp *dp);
/* Gateway: fills in the addresses at which packets for us arrive. */
void pa_kern_listen_apply(struct pa_dp *dp);
/* Writes a value of the shared memory that programs read meanwhile. */
#define PA_KERN_SET(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELEASE)

#endif

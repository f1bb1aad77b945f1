/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_PEERS_H
#define PA_DP_PEERS_H

#include <stddef.h>

#include "tunnel/dp.h"

/* The gateway's map from inner address to peer: open addressing, at most half full. Pure; one thread. */
struct pa_peer {
	struct pa_addr inner; /* none: the slot is free */
	struct pa_endpoint outer;
	unsigned local;
	uint16_t mtu; /* as in struct pa_dp_peer */
	bool elsewhere; /* this is a copy: another data path keeps and counts it (struct pa_dp_others) */
	struct pa_dp_peer_stats stats;
	struct pa_rate_state tx, rx;
};

struct pa_peers;

int pa_peers_new(struct pa_peers **ret);
void pa_peers_free(struct pa_peers *t);
/* Borrowed until the next put or remove; NULL when there is none. */
struct pa_peer *pa_peers_find(const struct pa_peers *t, const struct pa_addr *inner);
/* Finds or makes the peer of inner. A new one is zeroed but for inner. NULL without memory. */
struct pa_peer *pa_peers_put(struct pa_peers *t, const struct pa_addr *inner);
/* Harmless when there is none. */
void pa_peers_remove(struct pa_peers *t, const struct pa_addr *inner);
size_t pa_peers_count(const struct pa_peers *t);

#endif

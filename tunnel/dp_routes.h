/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_ROUTES_H
#define PA_DP_ROUTES_H

#include <uv.h>

#include "tunnel/dp_hops.h"

/*
 * Keeps somebody informed of the next hops that this host's routes lead to. On the loop's thread; does not keep the loop alive.
 */
struct pa_routes;

/*
 * told gets NULL as soon as routes change, and the new next hops (borrowed, valid during the call) when they have been quiet for
 * 200 ms, first that long after the start. Nothing more where they are not to be had (pa_net_hops_read): it tries again every ten
 * minutes. PA_ENOMEM, or as net_nl.h.
 */
int pa_routes_new(uv_loop_t *loop, void (*told)(void *ctx, const struct pa_hops *hops), void *ctx, struct pa_routes **ret);
/* The memory goes with the loop's next round. NULL is fine. */
void pa_routes_close(struct pa_routes *r);

#endif

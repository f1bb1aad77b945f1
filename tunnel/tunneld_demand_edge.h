/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_DEMAND_EDGE_H
#define PA_TUNNELD_DEMAND_EDGE_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/addr.h"

/*
 * Addresses on demand (pubaddr-protocol(7), ON DEMAND): who needs P says so here and is told when the host has it. Where on-demand is
 * configured and DHCP has brought no grant, the first one makes the daemon ask the DHCP server by DHCPINFORM, and some time
 * after the last one has gone the grant is given back. Elsewhere wants change nothing and are told what there is. One loop's thread.
 */
struct pa_tundemand;
struct pa_tunwant; /* somebody who needs P */

/*
 * What became of a want: 0 and P, which is usable now, or a negative error with why, one line for whoever waits (borrowed):
 * PA_ENOTFOUND (there is none, and none can be asked for), PA_EEXPIRED (nobody gave one in time), PA_EIO (it could not be
 * asked for).
 */
typedef void (*pa_tunwant_fn)(void *ctx, int error, const struct pa_addr *p, const char *why);

/*
 * P is needed until pa_tundemand_unwant. fn is called exactly once, within PA_TUNWANT_LIMIT_MS, maybe before this returns (*ret is
 * set by then), and never after the unwant; a want that was told of an error must be unwanted all the same, and fn may do that.
 * PA_ENOMEM; fn is not called then.
 */
#define PA_TUNWANT_LIMIT_MS 9000
int pa_tundemand_want(struct pa_tundemand *d, pa_tunwant_fn fn, void *ctx, struct pa_tunwant **ret);
/* Frees it. NULL is fine. */
void pa_tundemand_unwant(struct pa_tunwant *want);

#endif

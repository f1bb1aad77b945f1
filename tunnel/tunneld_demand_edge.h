/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_DEMAND_EDGE_H
#define PA_TUNNELD_DEMAND_EDGE_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/addr.h"
#include "common/grant.h"

struct pa_tunneld;

/*
 * Addresses on demand (pubaddr-protocol(7), ON DEMAND): who needs P says so here and is told when the host has it. Where on-demand is
 * configured and DHCP has brought no grant, the first one makes the daemon ask the DHCP server by DHCPINFORM, and some time
 * after the last one has gone the grant is given back. Elsewhere wants change nothing and are told what there is. One loop's thread.
 */
struct pa_tundemand;
struct pa_tunwant; /* somebody who needs P */

enum pa_tunwant_kind {
	PA_TUNWANT_GRANT, /* the host has a grant: enough for the session relay, also where no gateway is reached */
	PA_TUNWANT_BOUND, /* and P is on this host, bound at a gateway */
};

/*
 * What became of a want: 0 and P, there as the kind says, or a negative error with why, one line for whoever waits (borrowed):
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
int pa_tundemand_want(struct pa_tundemand *d, enum pa_tunwant_kind kind, pa_tunwant_fn fn, void *ctx, struct pa_tunwant **ret);
/* Frees it. NULL is fine. */
void pa_tundemand_unwant(struct pa_tunwant *want);
/*
 * For the session relay (pa_turelay_config's demand; ctx is a struct pa_tundemand): a want of its own, for a grant, while wanted. Returns
 * whether it is worth to wait for one.
 */
bool pa_tundemand_relay(void *ctx, bool wanted);
/* A program that lives on by itself uses P from now on: in a control group or network namespace of ours. Its end is found out. */
void pa_tundemand_program(struct pa_tundemand *d);
/* True if an address would be asked for. */
bool pa_tundemand_is_on(const struct pa_tundemand *d);

/* ---- for the daemon itself ---- */

#define PA_TUNDEMAND_ERRLEN 256

/*
 * For the start, before privileges are dropped. t is borrowed. PA_ENOMEM, or why nothing could be asked (where it is configured) with
 * err. close: tells those who wait that there is nothing to wait for, and closes the handles; free: after the loop has run out, NULL is fine.
 */
int pa_tundemand_new(uv_loop_t *loop, struct pa_tunneld *t, struct pa_tundemand **ret, char err[PA_TUNDEMAND_ERRLEN]);
void pa_tundemand_close(struct pa_tundemand *d);
void pa_tundemand_free(struct pa_tundemand *d);
/* Something of the tunnel may have changed; looked at soon. NULL is fine. */
void pa_tundemand_kick(struct pa_tundemand *d);
/* A grant was taken, with these arguments of grant-put: the reason "INFORM" says that it is one on demand. */
void pa_tundemand_took(struct pa_tundemand *d, const json_t *args, const struct pa_grant *g);
/* Why the last program that needed an address got none; "" if it got one, or none has needed one. Static or d's. */
const char *pa_tundemand_trouble(const struct pa_tundemand *d);
/* For status-get; NULL where on-demand is not configured. */
json_t *pa_tundemand_json(const struct pa_tundemand *d);

#endif

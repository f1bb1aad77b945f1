/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RESOLVE_EDGE_H
#define PA_RESOLVE_EDGE_H

#include <stdbool.h>
#include <uv.h>

#include "common/relay_link.h"
#include "tunnel/filter.h"

/*
 * Names that a client cannot resolve where it is: this host's resolver is asked, by one of libuv's workers, for the name
 * as it is: without the domains that this host's own names are searched in, and without what its hosts file says of
 * them. Answers that clients may not reach, such as private addresses, are left out. One loop's thread.
 */

/*
 * A client's questions that are under way: a few at a time, for the workers are everybody's, and one that has begun
 * goes on also when nobody waits for it any more.
 */
struct pa_resolve_share;
struct pa_resolve_share *pa_resolve_share_new(void); /* NULL: no memory */
/* The client lets go; NULL is fine. */
void pa_resolve_share_put(struct pa_resolve_share *share);

/* Answers s by pa_rlink_resolved and closes it, now or later; with AGAIN if the client has too many. deny: borrowed until
 * the loop has run out. */
void pa_resolve_start(uv_loop_t *loop, struct pa_resolve_share *share, const struct pa_deny *deny,
		      struct pa_rsession *s, const struct pa_relay_body *b);
/* Is a question of this session under way? */
bool pa_resolve_is(const struct pa_rsession *s);
/* The session goes: nobody waits for the answer any more. */
void pa_resolve_drop(struct pa_rsession *s);

#endif

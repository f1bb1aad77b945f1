/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RESOLVE_EDGE_H
#define PA_RESOLVE_EDGE_H

#include <stdbool.h>
#include <uv.h>

#include "common/relay_link.h"

/* Names that a client cannot resolve where it is: this host's resolver is asked, by one of libuv's workers. One loop's
 * thread. */

/* Answers s by pa_rlink_resolved and closes it, now or later. */
void pa_resolve_start(uv_loop_t *loop, struct pa_rsession *s, const struct pa_relay_body *b);
/* Is a question of this session under way? */
bool pa_resolve_is(const struct pa_rsession *s);
/* The session goes: nobody waits for the answer any more. */
void pa_resolve_drop(struct pa_rsession *s);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_HOLD_EDGE_H
#define PA_BROKER_HOLD_EDGE_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/edge_server.h"

/*
 * Questions of gateways that wait for news: a gateway-sync that asks for it ("wait": seconds) and has nothing to be told is
 * held back until there is something, or its time is up. Then it is handed to `again`, to be handled as if it had just come.
 * Single thread, the loop's.
 */
struct pa_hold;

#define PA_HOLD_MAX 64	     /* further ones are answered at once */
#define PA_HOLD_WAIT_MAX 20  /* seconds */

typedef void (*pa_hold_again)(void *ctx, struct pa_request *req);

/* NULL without memory. */
struct pa_hold *pa_hold_new(uv_loop_t *loop, pa_hold_again again, void *ctx);
/* Answers all of them with an error, and frees itself once libuv has let go. NULL is fine. */
void pa_hold_close(struct pa_hold *h);
/*
 * Is this the answer to a question that may wait, and says nothing? Then it holds the request (true), which is its own from
 * now on; arguments stay the caller's. news: what would have to change.
 */
bool pa_hold_take(struct pa_hold *h, struct pa_request *req, const json_t *arguments, uint64_t news);
/* Lets those go that wait for other news than these. */
void pa_hold_wake(struct pa_hold *h, uint64_t news);

#endif

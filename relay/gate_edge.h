/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GATE_EDGE_H
#define PA_GATE_EDGE_H

#include <stdbool.h>
#include <uv.h>

#include "common/grant.h"
#include "common/relay.h"

/*
 * The relay server asks the gateway beside it, over the gateway's command socket, whether grants may be served: it is
 * the gateway that knows the broker's floors and who is bound elsewhere (pubaddr-protocol(7), ONE HOLDER AT A TIME).
 * All grants in use are asked about each PA_GATE_ASK_MS, thousands of them within seconds; without an answer for PA_GATE_DEAD_MS none may be served any
 * more. One loop's thread.
 */
#define PA_GATE_ASK_MS 1000
#define PA_GATE_DEAD_MS 60000

struct pa_gate;
/* What is asked about, a member of its owner; stays in the gate's list from pa_gate_ask to pa_gate_forget. */
struct pa_gate_grant {
	struct pa_gate_grant *prev, *next;
	struct pa_claims claims;
	int asked; /* its place in the question that is under way; -1: not in it */
	bool admitted;
	uint64_t checked_ms; /* boot time of the last answer about it */
};

struct pa_gate_ops {
	/* The first answer about a grant: E_OK, or why not. */
	void (*admitted)(void *ctx, struct pa_gate_grant *grant, enum pa_relay_error error);
	/* A grant that was admitted may be served no more. */
	void (*ended)(void *ctx, struct pa_gate_grant *grant, enum pa_relay_error error);
};

/* socket: the gateway's, borrowed. 0 or PA_ENOMEM. */
int pa_gate_new(uv_loop_t *loop, const char *socket, const struct pa_gate_ops *ops, void *ctx, struct pa_gate **ret);
/* Closes its handles; ops are not called any more. free after the loop has run out. NULL is fine. */
void pa_gate_stop(struct pa_gate *g);
void pa_gate_free(struct pa_gate *g);
/* Ask about this one too, from now on. */
void pa_gate_ask(struct pa_gate *g, struct pa_gate_grant *grant);
/* Not any more; may be called by the ops. One that is not in the list is fine. */
void pa_gate_forget(struct pa_gate *g, struct pa_gate_grant *grant);
/* The claims have changed (a renewal): an answer that is under way is about the former ones. */
void pa_gate_changed(struct pa_gate *g, struct pa_gate_grant *grant);
/* Does the gateway answer? */
bool pa_gate_up(const struct pa_gate *g);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GW_REFUSED_H
#define PA_GW_REFUSED_H

#include <stdint.h>

#include "common/addr.h"
#include "common/clock.h"
#include "tunnel/gw.h"

/* What the log has said of refused clients; zeroed at first. */
struct pa_gw_refused {
	struct {
		uint64_t told_ms; /* boot time of the last line; 0: none yet */
		unsigned held;	  /* that were not logged since */
	} by[PA_GW_REFUSALS];
};

/*
 * Why a client got no answer, and what the operator can do about it. A static text; empty for what only strangers and lost
 * packets cause.
 */
const char *pa_gw_refusal_text(enum pa_gw_refusal r);
/*
 * Logs client.refused, at most one line a minute for each reason; nothing where the text is empty. The client at from is told nothing, so
 * that the gateway answers no forgery: the log is where the operator can learn it.
 */
void pa_gw_refused_log(struct pa_gw_refused *state, struct pa_now now, const struct pa_endpoint *from, enum pa_gw_refusal why);

#endif

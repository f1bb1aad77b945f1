/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GATEWAYD_STATE_H
#define PA_GATEWAYD_STATE_H

#include <stdbool.h>

#include "common/clock.h"
#include "tunnel/gw.h"
#include "tunnel/gw_state.h"

/*
 * The gateway's state file (gw_state.h): changes are appended as they happen, all of one round of the loop at once, so that a gateway
 * that is killed loses none that a client has known of for more than a moment; when the file has grown, a new one is written beside it,
 * some records at a time, and takes its place when it is complete. The next process goes on with the file that it has read. Its time of modification tells when the gateway was last alive. Mode 0600. Not synced: it is
 * to outlive the process, not the machine. A file that cannot be written costs the adoption, never the service. One thread.
 */
struct pa_gatewayd_state;

/* path, header: copied; the header says whose state it is. Opens nothing. PA_ENOMEM; PA_EINVAL: the name is too long. */
int pa_gatewayd_state_new(const char *path, const struct pa_gw_state_header *header, struct pa_gatewayd_state **ret);
/* Closes; the file stays. NULL is fine. */
void pa_gatewayd_state_free(struct pa_gatewayd_state *st);

/* Adopts what the file holds, if there is one, or begins a new one. Once, before the first message; logs what happened. */
void pa_gatewayd_state_load(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now);
/* Writes what has changed, and now and then that the gateway lives. Cheap if nothing has; call it after everything. */
void pa_gatewayd_state_flush(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now);
/*
 * The same, and if a new file is wanted a piece of it, some hundred records. True while it is not complete: call it again soon, but
 * let others have their turn.
 */
bool pa_gatewayd_state_renew(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now);
/* Until nothing is left to write, however much. For the end. */
void pa_gatewayd_state_finish(struct pa_gatewayd_state *st, struct pa_gw *gw, struct pa_now now);

#endif

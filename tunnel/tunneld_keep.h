/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_KEEP_H
#define PA_TUNNELD_KEEP_H

#include <jansson.h>
#include <stdbool.h>

#include "tunnel/client.h"
#include "tunnel/client_state.h"

/*
 * The client daemon's state file, RUN-DIR/tunneld-IFACE.state, mode 0600: the arguments of the grant-put that was accepted
 * last and the session made with it, so that the next process goes on where this one was killed, or binds the same grant
 * again after it was stopped. Replaced as a whole, when something has changed. One thread.
 */
struct pa_keep;

/* Names the file; touches nothing. PA_EINVAL: the name is too long; PA_ENOMEM. */
int pa_keep_new(const char *run_dir, const char *iface, struct pa_keep **ret);
/* The file stays. NULL is fine. */
void pa_keep_free(struct pa_keep *k);

/*
 * Reads what a former process left: *ret_args (to be released by the caller; NULL: nothing) and, if *ret_session, *s (wipe it).
 * What is not ours or damaged is logged and counts as nothing.
 */
void pa_keep_read(struct pa_keep *k, json_t **ret_args, bool *ret_session, struct pa_client_saved *s);
/* The arguments of a grant-put that was accepted at boot_ms; copied. Nothing is written before pa_keep_write. */
void pa_keep_grant(struct pa_keep *k, const json_t *args, uint64_t boot_ms);
/* Brings the file to what the client now holds; removes it when that is no grant. Cheap if nothing has changed. */
void pa_keep_write(struct pa_keep *k, const struct pa_client *cl);
/* The daemon stops, and its session ends with it: the file keeps the grant alone, and is not touched any more. */
void pa_keep_rest(struct pa_keep *k);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_TABLE_H
#define PA_TUNNELD_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "tunnel/ruleset.h"

/*
 * Our nftables table (ruleset.h) in the kernel: loaded, replaced when the text changes, brought back when somebody deletes it or a
 * part of it, deleted at the end. One thread.
 */
struct pa_tuntable;

#define PA_TUNTABLE_ERRLEN 256

/* Touches nothing yet. On failure (PA_EDENIED: the right is missing) err says what and the remedy. */
int pa_tuntable_new(const char *device, struct pa_tuntable **ret, char err[PA_TUNTABLE_ERRLEN]);
/* Leaves the kernel's table as it is. */
void pa_tuntable_free(struct pa_tuntable *t);

/*
 * Makes the kernel's table as in says: absent, or with its text and then the elements (commands for nft(8), or NULL) in the same
 * transaction. Without elements, nothing is done if it is so already. A failure leaves what was there.
 */
int pa_tuntable_set(struct pa_tuntable *t, const struct pa_ruleset_input *in, const char *elements, char err[PA_TUNTABLE_ERRLEN]);
/* True if the kernel has a tracked table of our name, maybe of a former process. */
bool pa_tuntable_is_tracked(struct pa_tuntable *t);
/* The TCP and UDP flows that a tracked table was told of, sorted (tunneld_flows.h). *ret is the caller's to free. PA_EIO, PA_ENOMEM. */
int pa_tuntable_known(struct pa_tuntable *t, struct pa_flow **ret, size_t *ret_n);
/* Deletes it, also one of a former process. */
int pa_tuntable_clear(struct pa_tuntable *t, char err[PA_TUNTABLE_ERRLEN]);

/* Readable when there is news for drain. */
int pa_tuntable_fd(const struct pa_tuntable *t);
/* True if somebody deleted what we had set, or a part of it: then set brings it back. */
bool pa_tuntable_drain(struct pa_tuntable *t);

#endif

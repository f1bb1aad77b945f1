/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_FLOWS_H
#define PA_TUNNELD_FLOWS_H

#include <stdbool.h>
#include <stddef.h>

#include "tunnel/ruleset.h"

/*
 * Flows that exist while the mode changes keep their way: what has to be added to the sets of the new table, or of the one that is
 * there. Pure; any thread.
 */

/* Sorts flows (known ones) for pa_flows_new. */
void pa_flows_sort(struct pa_flow *flows, size_t n);
/*
 * From flows (what the sockets say) to those that must be added, in place; returns how many. was: the input of the table that is
 * there, or NULL: there is none that is tracked, and all of them go by the tunnel. known: what its sets have, sorted. A TCP flow
 * that is not known went as was said of new ones; UDP flows a tracked table knows by itself.
 */
size_t pa_flows_new(struct pa_flow *flows, size_t n, const struct pa_ruleset_input *was, const struct pa_flow *known, size_t n_known);

#endif

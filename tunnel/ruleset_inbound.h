/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RULESET_INBOUND_H
#define PA_RULESET_INBOUND_H

#include "common/inpolicy.h"
#include "common/text.h"
#include "tunnel/ruleset.h"

/*
 * The part of our table (ruleset.h) that says who may come in: a pa_ruleset_part's write, with the struct pa_inpolicy as ctx. It
 * is needed for every policy but PA_IN_OPEN, and while P is in a network namespace (net_veth.h). Pure; any thread.
 *
 * The policy stands at prerouting, so that it holds for P whether the host has it or a namespace, and after connection tracking,
 * so that answers and the errors that belong to a flow pass without being listed. An accept here is none for anybody else's
 * chain: the administrator's firewall still has its say.
 */
void pa_ruleset_inbound_write(const void *policy, const struct pa_ruleset_input *in, struct pa_text *t);

#endif

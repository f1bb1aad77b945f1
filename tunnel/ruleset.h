/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RULESET_H
#define PA_RULESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/proto.h"
#include "common/text.h"

/*
 * The text of our one nftables table for each encapsulation device, "table ip pubaddr-DEVICE", for nft(8). Pure; any thread.
 *
 * Loading the text of one input over that of another replaces every rule in one transaction and keeps the sets, and with them
 * what is known of the flows that exist. Chains that are wanted no more stay, without a rule.
 *
 * What comes in by the device, and what is sent there with source P, is tracked in a conntrack zone of its own, so that a flow
 * by the tunnel and one beside it may have the same addresses and ports (a phone that calls and is called back).
 */
struct pa_ruleset_input;

/* Chains of another module in the same table. */
struct pa_ruleset_part {
	/*
	 * Writes sets and chains as they stand inside "table ip NAME { }", a tab before each line; their names begin with the
	 * module's own word ("inbound_..."). Base chains at prerouting must come after priority raw (-300), where the zone is set.
	 * NULL: there is nothing.
	 */
	void (*write)(const void *ctx, const struct pa_ruleset_input *in, struct pa_text *t);
	const void *ctx; /* borrowed */
};

struct pa_ruleset_input {
	const char *device, *lan; /* encapsulation device, LAN interface; names as the kernel takes them, without quotes */
	struct pa_addr addr;	  /* P, IPv4 */
	struct pa_addr lan_addr;  /* L, the LAN interface's own; none while it has none */
	enum pa_outbound mode;
	bool tracked;	       /* paths of flows are to be remembered, see pa_ruleset_wanted */
	uint32_t mark_tunnel;  /* packets and sockets with it use the tunnel (plan.h) */
	uint32_t mark_direct;  /* packets with it leave by the LAN */
	uint16_t zone;	       /* conntrack zone of the tunnel's flows, not 0 */
	struct pa_ruleset_part inbound; /* who may come in */
};

#define PA_RULESET_TEXT_MAX 65536
#define PA_RULESET_NAMELEN 32

/* "pubaddr-DEVICE". Returns dst. */
const char *pa_ruleset_table(const char *device, char dst[PA_RULESET_NAMELEN]);
/*
 * False if there is nothing to write: everything of P uses the tunnel by routing alone, and anybody may come in. Then nothing of
 * ours is in the way of a packet, and connections are tracked only if somebody else wants it.
 */
bool pa_ruleset_wanted(const struct pa_ruleset_input *in);
/* The text, wanted or not. See pa_text for one that does not fit. */
void pa_ruleset_write(const struct pa_ruleset_input *in, struct pa_text *t);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RULESET_H
#define PA_RULESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/proto.h"
#include "common/text.h"
#include "tunnel/auto_ports.h"

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
	const char *device, *lan; /* encapsulation device, LAN interface; pa_ifname_valid */
	struct pa_addr addr;	  /* P, IPv4 */
	struct pa_addr lan_addr;  /* L, the LAN interface's own; none while it has none: then nothing of P leaves there */
	uint16_t mtu;		  /* of the device */
	enum pa_outbound mode;	  /* which path a new flow with source P takes */
	bool tracked;		  /* paths of flows are remembered; always in the modes native and auto, see pa_ruleset_wanted */
	const struct pa_auto_ports *ports; /* for auto, borrowed; NULL: none */
	uint32_t mark_tunnel;	  /* packets and sockets with it use the tunnel (plan.h) */
	uint32_t mark_direct;	  /* packets with it leave by the LAN */
	uint16_t zone;		  /* conntrack zone of the tunnel's flows, not 0 */
	struct pa_ruleset_part inbound; /* who may come in */
};

/* A flow of the host that exists while a table is loaded, and the way it is to keep. */
enum pa_way {
	PA_WAY_BEFORE, /* the tunnel, and the common conntrack zone: it is older than the table */
	PA_WAY_TUNNEL, /* TCP only, for the table itself remembers the others */
	PA_WAY_DIRECT,
};

struct pa_flow {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	enum pa_way way;
	uint16_t port;	  /* the host's */
	struct pa_addr peer; /* IPv4; none, with UDP only: a socket that talks to anybody */
	uint16_t peer_port;
};

#define PA_RULESET_TEXT_MAX 65536
#define PA_RULESET_NAMELEN 32

/* "pubaddr-DEVICE". Returns dst. */
const char *pa_ruleset_table(const char *device, char dst[PA_RULESET_NAMELEN]);
/*
 * The sets that remember flows; timeouts are in nft's words. UDP's is above RFC 4787's 2 minutes for NATs and conntrack's own,
 * TCP's is conntrack's.
 */
#define PA_RULESET_UDP_TIMEOUT "3m"
#define PA_RULESET_TCP_TIMEOUT "5d"
#define PA_RULESET_LEARN_TIMEOUT "30s" /* how long a UDP socket of before tells which flows it has */
#define PA_RULESET_OVER_TIMEOUT "2m" /* of a TCP flow once the host has said FIN or RST; conntrack's of FIN_WAIT and TIME_WAIT */
#define PA_RULESET_FLOWS 65536 /* in each set */
#define PA_RULESET_PORTS 65536 /* as many as there are, so a set of them is never full */
#define PA_RULESET_PROTOCOLS 256
#define PA_RULESET_BEFORE_SET "before" /* a table that has it is tracked */
#define PA_RULESET_SESSIONS_SET "sessions" /* in the mode auto: peers of sessions, see struct pa_auto_entry */
#define PA_RULESET_SESSION_TIMEOUT "15m" /* without a packet of the session: an FTP server's usual patience is 5 to 15 minutes */

/*
 * False if there is nothing to write: everything of P uses the tunnel by routing alone, and anybody may come in. Then nothing of
 * ours is in the way of a packet, and connections are tracked only if somebody else wants it.
 */
bool pa_ruleset_wanted(const struct pa_ruleset_input *in);
/* The text, wanted or not. See pa_text for one that does not fit. */
void pa_ruleset_write(const struct pa_ruleset_input *in, struct pa_text *t);
/* True if a new flow with source P to that port goes by the tunnel. */
bool pa_ruleset_by_tunnel(const struct pa_ruleset_input *in, uint8_t protocol, uint16_t peer_port);
/* Commands that add flows to a tracked table, so that they keep their way until they end. */
#define PA_RULESET_FLOW_TEXT 112 /* at most so much for each */
void pa_ruleset_write_flows(const struct pa_ruleset_input *in, const struct pa_flow *flows, size_t n, struct pa_text *t);

#endif

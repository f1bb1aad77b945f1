/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_FILTER_H
#define PA_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "tunnel/verdict.h"

/* What an inner packet may be, at either end. Pure; any thread; no allocation per packet. */
struct pa_inner {
	struct pa_addr src, dst;
	uint8_t proto;	   /* upper-layer protocol; 0 for a later fragment */
	uint16_t dst_port; /* TCP and UDP; 0 otherwise */
	size_t len;	   /* total length by the header; never above the bytes given */
};

/* Parses the IP header. PA_ETRUNC or PA_EFORMAT: bad version, header length, total length (must equal len). */
int pa_inner_parse(const uint8_t *pkt, size_t len, struct pa_inner *ret);

/*
 * The gateway's kernel tells a client that reaches another one through it to go there directly (send_redirects of "all"
 * counts for our device too), and a stranger may try to reroute a client. pkt as it was parsed.
 */
bool pa_inner_is_redirect(const uint8_t *pkt, const struct pa_inner *in);

const char *pa_verdict_name(enum pa_verdict v);

/*
 * Gateway: destinations that a client may reach. own holds what this host would take for itself, and has no exception;
 * deny holds what the operator adds; allow makes exceptions from deny and from the built-in list of loopback, link-local,
 * private, multicast, documentation and reserved space.
 */
struct pa_deny {
	const struct pa_prefix *deny;
	size_t n_deny;
	const struct pa_prefix *allow;
	size_t n_allow;
	const uint16_t *ports; /* TCP destination ports denied by policy, e.g. 25 */
	size_t n_ports;
	bool isolate;		       /* no hairpin between holders */
	const struct pa_prefix *pools; /* what counts as another holder; always reachable unless isolate */
	size_t n_pools;
	const struct pa_prefix *own; /* addresses of this host and broadcast addresses of its networks */
	size_t n_own;
};
enum pa_verdict pa_deny_check(const struct pa_deny *d, const struct pa_inner *in);

/* Client: what may come out of the tunnel to P. lan: own and on-link prefixes. */
struct pa_ingress {
	struct pa_addr addr; /* P */
	const struct pa_prefix *lan;
	size_t n_lan;
};
enum pa_verdict pa_ingress_check(const struct pa_ingress *f, const struct pa_inner *in);

#endif

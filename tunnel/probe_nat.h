/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PROBE_NAT_H
#define PA_PROBE_NAT_H

#include <stdbool.h>

#include "common/addr.h"

/*
 * The kind of NAT, in the terms of RFC 4787 (sections 4.1 and 5), from what was seen (RFC 5780, sections 4.3 and 4.4).
 * A gateway with one address cannot tell apart what depends on the address alone. Pure; any thread.
 */
enum pa_nat_kind {
	PA_NAT_UNKNOWN = 0,	     /* not tried, or nothing to try it with */
	PA_NAT_ENDPOINT,	     /* endpoint-independent */
	PA_NAT_ADDRESS,		     /* address-dependent */
	PA_NAT_ADDRESS_PORT,	     /* address and port-dependent */
	PA_NAT_ENDPOINT_OR_ADDRESS,  /* one of the first two */
};

/* How the gateway saw one socket of ours from its different endpoints; a port of 0: it was not asked or did not answer. */
struct pa_nat_mapped {
	struct pa_endpoint first, port, address;
};

enum pa_nat_kind pa_nat_mapping(const struct pa_nat_mapped *m);

/* asked: the gateway has such an endpoint and has sent from it; came: it has arrived. */
struct pa_nat_filter {
	bool port_asked, port_came, address_asked, address_came;
};

enum pa_nat_kind pa_nat_filtering(const struct pa_nat_filter *f);

/* "endpoint-independent" and so on, for people and JSON; "unknown". Static. */
const char *pa_nat_name(enum pa_nat_kind kind);

#endif

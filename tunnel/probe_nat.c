/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/probe_nat.h"

enum pa_nat_kind pa_nat_mapping(const struct pa_nat_mapped *m)
{
	bool same_port = pa_endpoint_eq(&m->first, &m->port), same_address = pa_endpoint_eq(&m->first, &m->address);

	if (m->first.port == 0 || (m->port.port == 0 && m->address.port == 0))
		return PA_NAT_UNKNOWN;
	if (m->port.port != 0 && !same_port)
		return PA_NAT_ADDRESS_PORT;
	if (m->address.port == 0)
		return PA_NAT_ENDPOINT_OR_ADDRESS;
	if (same_address)
		return PA_NAT_ENDPOINT;
	/* Another mapping for the other address: whether for another port too was seen, or not. */
	return m->port.port != 0 ? PA_NAT_ADDRESS : PA_NAT_UNKNOWN;
}

enum pa_nat_kind pa_nat_filtering(const struct pa_nat_filter *f)
{
	if (f->address_asked && f->address_came)
		return PA_NAT_ENDPOINT;
	if (!f->port_asked)
		return PA_NAT_UNKNOWN;
	if (!f->port_came)
		return PA_NAT_ADDRESS_PORT;
	return f->address_asked ? PA_NAT_ADDRESS : PA_NAT_ENDPOINT_OR_ADDRESS;
}

const char *pa_nat_name(enum pa_nat_kind kind)
{
	switch (kind) {
	case PA_NAT_ENDPOINT:
		return "endpoint-independent";
	case PA_NAT_ADDRESS:
		return "address-dependent";
	case PA_NAT_ADDRESS_PORT:
		return "address and port-dependent";
	case PA_NAT_ENDPOINT_OR_ADDRESS:
		return "endpoint-independent or address-dependent";
	default:
		return "unknown";
	}
}

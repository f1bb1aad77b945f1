/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_flows.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* All but the way. */
static int compare(const void *va, const void *vb)
{
	const struct pa_flow *a = va, *b = vb;
	int c = memcmp(&a->peer, &b->peer, sizeof(a->peer));

	if (c != 0)
		return c;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	if (a->peer_port != b->peer_port)
		return a->peer_port < b->peer_port ? -1 : 1;
	return (int)a->protocol - (int)b->protocol;
}

void pa_flows_sort(struct pa_flow *flows, size_t n)
{
	if (n > 0)
		qsort(flows, n, sizeof(*flows), compare);
}

size_t pa_flows_new(struct pa_flow *flows, size_t n, const struct pa_ruleset_input *was, const struct pa_flow *known, size_t n_known)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct pa_flow f = flows[i];

		if (was != NULL) {
			if (f.protocol != IPPROTO_TCP || (n_known > 0 && bsearch(&f, known, n_known, sizeof(*known), compare) != NULL))
				continue;
			f.way = pa_ruleset_by_tunnel(was, f.protocol, f.peer_port) ? PA_WAY_TUNNEL : PA_WAY_DIRECT;
		}
		flows[kept++] = f;
	}
	return kept;
}

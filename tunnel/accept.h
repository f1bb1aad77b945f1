/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_ACCEPT_H
#define PA_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/grant.h"

/*
 * The client's judgement of a grant (pubaddr-protocol(7), WHAT EACH SIDE REFUSES), against what the LAN looks like and
 * what local configuration allows. Pure; any thread.
 */
struct pa_accept_context {
	const struct pa_prefix *on_link; /* of the LAN interface */
	size_t n_on_link;
	const struct pa_addr *own;	 /* every address of this host but those of our tunnel interface */
	size_t n_own;
	const struct pa_addr *lan_hosts; /* routers, resolvers, DHCP server */
	size_t n_lan_hosts;
	uint16_t link_mtu;		 /* of the LAN interface */
	uint32_t dhcp_lease_time;	 /* seconds, UINT32_MAX: for ever; 0: not known, the check is left out */
	/* Local configuration. */
	bool allow_documentation;	 /* lab switch: P and gateways may be documentation addresses */
	const struct pa_prefix *networks; /* if n_networks > 0: P must be inside one */
	size_t n_networks;
	const uint8_t (*gateway_keys)[PA_KEY_LEN]; /* if n_gateway_keys > 0: the gateway key must be one of them */
	size_t n_gateway_keys;
};

#define PA_ACCEPT_ERRLEN 192

/*
 * Returns 0, or PA_EDENIED with the reason in plain words in err (what was offered, what is wrong with it, never a secret).
 * *g is not changed but for mtu and keepalive, which get their defaults when absent, mtu, which is lowered to what the link
 * leaves under the outer headers, and lifetime, of which PA_LIFETIME_MAX are left. A withdrawal (lifetime 0) is refused: end the grant instead. Whether the grant is older
 * than one seen before is judged by pa_client_grant.
 */
int pa_accept_grant(struct pa_grant *g, const struct pa_accept_context *ctx, char err[PA_ACCEPT_ERRLEN]);

#endif

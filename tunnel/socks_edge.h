/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_SOCKS_EDGE_H
#define PA_SOCKS_EDGE_H

#include <jansson.h>
#include <uv.h>

#include "tunnel/relay_pipe_edge.h"
#include "tunnel/socks_conf.h"
#include "tunnel/tunneld_relay_edge.h"

/*
 * SOCKS5 (RFC 1928, RFC 1929) for programs of this host, on the sessions of the relay: CONNECT, BIND and UDP ASSOCIATE from the public
 * address. Whose program it is the kernel tells (net_owner.h). One loop's thread.
 */
struct pa_socks;

#define PA_SOCKS_ERRLEN 256
#define PA_SOCKS_CONNS_MAX 1024	  /* in all */
#define PA_SOCKS_OF_UID_MAX 256	  /* of one user but root */
#define PA_SOCKS_WAITING_MAX 64	  /* of one user, that have not asked for anything yet */
#define PA_SOCKS_STRANGERS_MAX 16 /* of all whom the configuration does not name, to be told so */
#define PA_SOCKS_REQUEST_S 10	  /* seconds until the request is there */
#define PA_SOCKS_CALL_S 150	  /* seconds until it is answered; the server's own limit comes before */
#define PA_SOCKS_BIND_S 180	  /* seconds that a BIND waits for its call */

struct pa_socks_config {
	uv_loop_t *loop;
	const struct pa_socks_conf *conf; /* resolved; borrowed, as the rest is */
	struct pa_turelay *relay;
	struct pa_rpipes *pipes;
};

/* Listens. PA_EEXIST, PA_EDENIED, PA_EIO, PA_ENOMEM with what and the remedy in err. */
int pa_socks_new(const struct pa_socks_config *cfg, struct pa_socks **ret, char err[PA_SOCKS_ERRLEN]);
/* Ends every connection and its sessions; frees itself when libuv lets go. Before relay and pipes are closed. NULL is fine. */
void pa_socks_close(struct pa_socks *so);
/* For "status-get": {"listen", "connections", "counters": {NAME: N}}. The caller's. */
json_t *pa_socks_status(const struct pa_socks *so);

#endif

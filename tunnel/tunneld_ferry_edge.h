/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_FERRY_EDGE_H
#define PA_TUNNELD_FERRY_EDGE_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/addr.h"
#include "tunnel/dp_select.h"
#include "tunnel/tunneld_relay_edge.h"

/*
 * The tunnel where no UDP passes: two UDP sockets on loopback, one of them the data path's. To that the other is the
 * gateway, and what it gets goes through the relay's connection (TUNNEL frames) to the server, who sends it to the
 * gateway beside it, and back. So core and data path do by it what they do by UDP. One loop's thread.
 */
struct pa_ferry;

struct pa_ferry_config {
	uv_loop_t *loop;
	struct pa_turelay *relay; /* borrowed */
	struct pa_path *path;	  /* borrowed; gets the socket number local at the first want */
	unsigned local;
	/*
	 * For pa_client_ferry: the way is open, and at stands for the gateway; or NULL, it is closed. Called from the
	 * loop, each time that this changes while it is wanted.
	 */
	void (*state)(void *ctx, const struct pa_endpoint *at);
	void *ctx;
};

/* cfg is copied. PA_ENOMEM. */
int pa_ferry_new(const struct pa_ferry_config *cfg, struct pa_ferry **ret);
/* Takes the path's socket from it; before relay and path. It frees itself when libuv lets go. NULL is fine. */
void pa_ferry_close(struct pa_ferry *f);
/* Whether the tunnel is to have this way; what goes wrong is in the log. NULL is fine, there is none then. */
void pa_ferry_want(struct pa_ferry *f, bool wanted);
/*
 * For "status-get", the tunnel's datagrams: {"sent", "received", "dropped"}; dropped, for the connection was down, or
 * too much waited, or the data path's socket was full. The caller's.
 */
json_t *pa_ferry_status(const struct pa_ferry *f);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_PROBE_EDGE_H
#define PA_TUNNELD_PROBE_EDGE_H

#include <uv.h>

#include "common/edge_server.h"
#include "tunnel/client.h"
#include "tunnel/probe.h"

/* The client daemon's runs of probes (probe.h): sockets on the LAN interface, a timer, and two commands. One loop's thread. */
struct pa_tunneld_probe;

struct pa_tunneld_probe_config {
	uv_loop_t *loop;
	struct pa_client *client; /* borrowed */
	const char *iface;	  /* borrowed */
	uint32_t mark;		  /* of the tunnel's own packets */
};

/* PA_ENOMEM. */
int pa_tunneld_probe_new(const struct pa_tunneld_probe_config *cfg, struct pa_tunneld_probe **ret);
/* Ends a run and closes every handle; free after the loop has run out, before the client is freed. NULL is fine for both. */
void pa_tunneld_probe_close(struct pa_tunneld_probe *t);
void pa_tunneld_probe_free(struct pa_tunneld_probe *t);

/* What comes to P by the tunnel, tried out beside a run (net_knock.h). */
struct pa_tunneld_knock {
	int tun_fd; /* -1: do not try: nothing is bound, a namespace has P, or our own policy lets not everything in */
	struct pa_addr addr;	 /* P */
	struct pa_addr from; /* the gateway */
};

/*
 * The commands probe-start {"lifetime": SECONDS (root only)} and probe-get -> {"running", "age-ms", "inbound" ("came"
 * or "lost", after a run that tried it), and what probe_json.h says}. link_mtu: of the LAN interface now. From others than root a start within some seconds after a run's end is
 * answered as if it were done: that run's result is fresh enough.
 */
void pa_tunneld_probe_start(struct pa_tunneld_probe *t, struct pa_request *req, uint16_t link_mtu, const struct pa_tunneld_knock *knock);
void pa_tunneld_probe_get(struct pa_tunneld_probe *t, struct pa_request *req);

/*
 * For tunneld_pulse_edge.h, which has one of its own: starts a run about one silence, in seconds; as pa_probe_start_life. lived: false
 * while it goes on, else what came of it is in *ret.
 */
int pa_tunneld_probe_life(struct pa_tunneld_probe *t, unsigned silence);
bool pa_tunneld_probe_lived(const struct pa_tunneld_probe *t, struct pa_probe_result *ret);

#endif

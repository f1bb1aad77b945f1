/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GATEWAYD_EDGE_H
#define PA_GATEWAYD_EDGE_H

#include <stdbool.h>
#include <uv.h>

#include "common/clock.h"
#include "common/edge_daemon.h"
#include "common/edge_server.h"
#include "tunnel/broker_link_edge.h"
#include "tunnel/dp_select.h"
#include "tunnel/gatewayd_conf.h"
#include "tunnel/gw.h"

/* The gateway daemon: the pure core (gw.h) with device, sockets, data path, timer and command socket. One loop's thread. */
struct pa_gatewayd;

#define PA_GATEWAYD_ERRLEN PA_DAEMON_ERRLEN

/* conf is borrowed until pa_gatewayd_free. */
int pa_gatewayd_new(uv_loop_t *loop, const struct pa_gatewayd_conf *conf, struct pa_gatewayd **ret);
/* Brings everything up. On failure err says what and the remedy; pa_gatewayd_stop is still needed. */
int pa_gatewayd_start(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN]);
/* After start, once the privileges have been dropped: starts the threads of the data path, which inherit what is left. */
int pa_gatewayd_serve(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN]);
/*
 * In place of start, when a daemon died for good: removes the device that it left, and with it address and routes. An error if
 * a daemon serves the command socket or holds the device. stop and free are still needed.
 */
int pa_gatewayd_cleanup(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN]);
/*
 * Reads the key file and the certificates again; what else the configuration says stays as it was at the start. Bindings stay, but for those whose
 * key is gone. A file with a mistake is logged and the former keys stay. Logs what happened.
 */
void pa_gatewayd_reload(struct pa_gatewayd *g);
/* Tells the clients, removes device and routes, closes every handle, so that the loop runs out. Harmless a second time. */
void pa_gatewayd_stop(struct pa_gatewayd *g);
/* After the loop has run out. */
void pa_gatewayd_free(struct pa_gatewayd *g);

/* For the commands (gatewayd_cmd_edge.c). Borrowed. */
struct pa_gw *pa_gatewayd_gw(struct pa_gatewayd *g);
struct pa_path *pa_gatewayd_path(struct pa_gatewayd *g);
const struct pa_gatewayd_conf *pa_gatewayd_conf_of(const struct pa_gatewayd *g);
struct pa_broker_link *pa_gatewayd_broker(struct pa_gatewayd *g); /* NULL: not configured */
uint64_t pa_gatewayd_started_ms(const struct pa_gatewayd *g);

/* Empties the gateway or ends that. by: who asks, for the log. PA_EIO: it cannot be remembered, so nothing is changed. */
int pa_gatewayd_drain(struct pa_gatewayd *g, bool on, const char *by);

/* Whether this host forwards IPv4 packets now; true also if that cannot be read. */
bool pa_gatewayd_forwards(void);
#define PA_GATEWAYD_NOT_FORWARDING \
	"net.ipv4.ip_forward is 0: nothing passes between clients and the Internet; run: sysctl -w net.ipv4.ip_forward=1"

/* Handler of the command socket; ctx is the struct pa_gatewayd. */
void pa_gatewayd_command(void *ctx, struct pa_request *req);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_SOCK_EDGE_H
#define PA_TUNNELD_SOCK_EDGE_H

#include <stdint.h>
#include <uv.h>

#include "common/addr.h"
#include "tunnel/dp_select.h"
#include "tunnel/net_udp.h"

/* The client daemon's outer UDP sockets on the LAN's interface, as the data path has them. One loop's thread. */
struct pa_tunsock;

/* Numbers of the data path's sockets. */
enum pa_tunsock_local {
	PA_TUNSOCK_V4,
	PA_TUNSOCK_V6,
	PA_TUNSOCK_V4_OLD, /* former ones, whose answers are still taken for PA_TUNSOCK_DRAIN_MS */
	PA_TUNSOCK_V6_OLD,
	PA_TUNSOCK_FERRY, /* not one of these: tunneld_ferry_edge.h's */
};
#define PA_TUNSOCK_DRAIN_MS 3000

struct pa_tunsock_config {
	uv_loop_t *loop;
	struct pa_path *path; /* borrowed */
	const char *iface;    /* borrowed */
	uint32_t mark;
	uint16_t port; /* to use for IPv4 if it is free; 0: any */
};

/* Opens them, without IPv6 where this host has none. cfg is copied. PA_ENOMEM, or as pa_udp_open, with err. */
int pa_tunsock_new(const struct pa_tunsock_config *cfg, struct pa_tunsock **ret, char err[PA_UDP_ERRLEN]);
/* Takes them from the path and closes them, before the path; frees itself when libuv lets go. NULL is fine. */
void pa_tunsock_close(struct pa_tunsock *s);
/* Others with fresh ports; what goes wrong is in the log. */
void pa_tunsock_renew(struct pa_tunsock *s);
/* The number of the socket to send to a gateway by; loopback is where the ferry is. */
unsigned pa_tunsock_local(const struct pa_endpoint *to);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GATEWAYD_PROBE_EDGE_H
#define PA_GATEWAYD_PROBE_EDGE_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/addr.h"
#include "tunnel/gatewayd_conf.h"
#include "tunnel/net_udp.h"

/*
 * The gateway's sockets for PROBE ("probe-listen"): beside the data path, for no data comes there, and with DF, so that a
 * client sees how large packets may be on their way to it. One loop's thread.
 */
struct pa_gatewayd_probes;

struct pa_gatewayd_probes_events {
	/* A message came to socket number i; buf is valid during the call. */
	void (*receive)(void *ctx, size_t i, const struct pa_endpoint *from, const uint8_t *buf, size_t len);
};

/*
 * Opens n sockets (0: none). On failure *ret_failed tells which one, err why, errno as of pa_udp_open; *ret is set also then,
 * unless there was no memory, and needs close and free.
 */
int pa_gatewayd_probes_new(uv_loop_t *loop, const struct pa_endpoint *at, size_t n,
			   const struct pa_gatewayd_probes_events *events, void *ctx, struct pa_gatewayd_probes **ret,
			   size_t *ret_failed, char err[PA_UDP_ERRLEN]);
/* Sends by socket number i; what cannot be sent is lost, as on the way. */
void pa_gatewayd_probes_send(struct pa_gatewayd_probes *p, size_t i, const struct pa_endpoint *to, const uint8_t *buf,
			     size_t len);
/* Closes every socket; free after the loop has run out. NULL is fine for both. */
void pa_gatewayd_probes_close(struct pa_gatewayd_probes *p);
void pa_gatewayd_probes_free(struct pa_gatewayd_probes *p);

#endif

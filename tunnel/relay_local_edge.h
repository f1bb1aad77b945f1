/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_LOCAL_EDGE_H
#define PA_RELAY_LOCAL_EDGE_H

#include <jansson.h>
#include <uv.h>

#include "tunnel/permit.h"
#include "tunnel/relay_pipe_edge.h"
#include "tunnel/tunneld_relay_edge.h"

/* The daemon's end of common/relay_local.h: programs of this host have sessions by way of a local socket. One loop's thread. */
struct pa_rlocald;

#define PA_RLOCALD_ERRLEN 320

struct pa_rlocald_config {
	uv_loop_t *loop;
	const char *run_dir, *iface;	/* RUN_DIR/relay-IFACE.sock; borrowed */
	const struct pa_permit *users; /* who may, besides root; borrowed */
	struct pa_turelay *relay;
	struct pa_rpipes *pipes;
};

/*
 * cfg is copied. Another daemon of this interface must not be running: a socket that is there is replaced. PA_EIO, PA_EINVAL, PA_ENOMEM;
 * err says what and the remedy.
 */
int pa_rlocald_new(const struct pa_rlocald_config *cfg, struct pa_rlocald **ret, char err[PA_RLOCALD_ERRLEN]);
/* Programs see a reset; frees itself when libuv lets go. Before the pipes and the relay are closed. NULL is fine. */
void pa_rlocald_close(struct pa_rlocald *d);
/* Members for the status of the relay: "programs" (sessions of programs now), "denied". */
void pa_rlocald_status(const struct pa_rlocald *d, json_t *obj);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_RELAYS_EDGE_H
#define PA_TUNNELD_RELAYS_EDGE_H

#include <jansson.h>
#include <uv.h>

#include "tunnel/relay_local_edge.h"
#include "tunnel/relay_pipe_edge.h"
#include "tunnel/socks_edge.h"
#include "tunnel/tunneld_conf.h"
#include "tunnel/tunneld_relay_edge.h"

/* All that the daemon has of the session relay: the connection, and who offers its sessions to programs. One loop's thread. */
struct pa_tunneld_relays {
	struct pa_turelay *relay;
	struct pa_rpipes *pipes;
	struct pa_rlocald *local;
	struct pa_socks *socks; /* NULL: not configured */
};

#define PA_TUNNELD_RELAYS_ERRLEN (PA_TURELAY_ERRLEN + 64)

/*
 * cfg as for pa_turelay_new, but for conf and demand, which are ours. 0, or a negative error with err in plain words; then *ret is to
 * be closed all the same. *key is the setting that is at fault, static.
 */
int pa_tunneld_relays_open(const struct pa_turelay_config *cfg, const struct pa_tunneld_conf *conf, struct pa_tunneld_relays *ret,
			   const char **key, char err[PA_TUNNELD_RELAYS_ERRLEN]);
/* Harmless for one that is zero or closed. */
void pa_tunneld_relays_close(struct pa_tunneld_relays *rs);
/* For "status-get". The caller's. */
json_t *pa_tunneld_relays_status(const struct pa_tunneld_relays *rs);

#endif

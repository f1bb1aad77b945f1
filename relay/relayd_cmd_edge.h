/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAYD_CMD_EDGE_H
#define PA_RELAYD_CMD_EDGE_H

#include "common/edge_server.h"

/* The relay server's commands: status-get, client-get-all, version-get. ctx is a struct pa_relayd. Main thread only. */
void pa_relayd_command(void *ctx, struct pa_request *req);

#endif

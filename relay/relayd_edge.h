/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAYD_EDGE_H
#define PA_RELAYD_EDGE_H

#include <stdbool.h>
#include <uv.h>

#include "common/edge_tls_stream.h"
#include "common/keyfile.h"
#include "relay/relayd_conf.h"

/* pubaddr-relayd without its main: the relay server beside the gateway. Main thread only. */
struct pa_relayd;

#define PA_RELAYD_ERRLEN 640

/*
 * What conf names: keys, certificate and its key, read and checked. Both are the caller's; ret_tls may be NULL. On failure err is one
 * line that names place and remedy.
 */
int pa_relayd_keys_load(const struct pa_relayd_conf *conf, struct pa_keyring **ret_keys, struct pa_stream_tls **ret_tls,
			char err[PA_RELAYD_ERRLEN]);
/* conf is borrowed until free. 0 or PA_ENOMEM. */
int pa_relayd_new(uv_loop_t *loop, const struct pa_relayd_conf *conf, struct pa_relayd **ret);
/* On failure err is one line that names place and remedy; call stop then too. */
int pa_relayd_start(struct pa_relayd *r, char err[PA_RELAYD_ERRLEN]);
/* What one that died for good has left: rules and routes. */
int pa_relayd_cleanup(struct pa_relayd *r, char err[PA_RELAYD_ERRLEN]);
/* Reads keys and certificate again. */
void pa_relayd_reload(struct pa_relayd *r);
/* Tells every client, and closes every handle. */
void pa_relayd_stop(struct pa_relayd *r);
void pa_relayd_free(struct pa_relayd *r);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GATEWAYD_DRAIN_EDGE_H
#define PA_GATEWAYD_DRAIN_EDGE_H

#include <stdbool.h>

#include "common/clock.h"
#include "tunnel/broker_conf.h"
#include "tunnel/gw.h"

/*
 * Whether this gateway is being emptied (pubaddrctl gateway drain). The gateway itself owns that: an empty file says so, beside the
 * floors, or where there is no broker beside the state file, and a restart finds it. Who asks for it, the broker by the channel or
 * somebody at the command socket, is all the same. One loop's thread.
 */
struct pa_gatewayd_drain;

/* Goes on as the file says. gw is borrowed until free. PA_ENOMEM. */
int pa_gatewayd_drain_new(const struct pa_broker_link_conf *broker, const char *state_file, struct pa_gw *gw, struct pa_now now,
			  struct pa_gatewayd_drain **ret);
/* NULL is fine. */
void pa_gatewayd_drain_free(struct pa_gatewayd_drain *d);

/* by: who asked, for the log. PA_EIO: the file cannot be changed (it is logged), and so nothing is. */
int pa_gatewayd_drain_set(struct pa_gatewayd_drain *d, struct pa_now now, bool on, const char *by);

#endif

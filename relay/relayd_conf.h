/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAYD_CONF_H
#define PA_RELAYD_CONF_H

#include "tunnel/gatewayd_conf.h"

/*
 * What pubaddr-relayd reads: the gateway's own configuration, so that pools, keys and the deny list are written once,
 * with its section "relay"; see pubaddr-relayd(8). Pure; any thread.
 */
#define PA_RELAYD_LISTEN_MAX 8

struct pa_relayd_conf {
	struct pa_gatewayd_conf gateway;
	struct pa_endpoint listen[PA_RELAYD_LISTEN_MAX];
	size_t n_listen;
	char *certificate, *key;	/* NULL both: made at the start */
	struct pa_endpoint tunnel;	/* where the tunnel's datagrams go */
	unsigned clients_max;		/* authenticated, in all */
	unsigned sessions_max;		/* of one client */
	unsigned opens_per_s;		/* calls and other sessions that one client may begin a second; 0: any number */
	uint32_t mark, table, priority; /* by which packets for our sockets find them */
	char *control_socket;
};

/* As pa_gatewayd_conf_read. PA_EFORMAT also if there is no section "relay". */
int pa_relayd_conf_read(struct pa_conf *conf, struct pa_relayd_conf *ret);
void pa_relayd_conf_clear(struct pa_relayd_conf *c);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GATEWAYD_CONF_H
#define PA_GATEWAYD_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/conf.h"
#include "tunnel/broker_conf.h"
#include "tunnel/gw.h"

/* gatewayd.conf as values; see pubaddr-gatewayd.conf(5). Pure; any thread. */
#define PA_GATEWAYD_LISTEN_MAX 8
#define PA_GATEWAYD_PROBES_MAX 4
#define PA_GATEWAYD_CONF "/etc/pubaddr/gatewayd.conf"

struct pa_gatewayd_conf {
	const struct pa_conf *source; /* as given to pa_gatewayd_conf_read, borrowed: errors at the start name places in it */
	struct pa_endpoint listen[PA_GATEWAYD_LISTEN_MAX];
	size_t n_listen;
	struct pa_endpoint probe_listen[PA_GATEWAYD_PROBES_MAX];
	size_t n_probe_listen;
	char device[16];
	struct pa_addr device_address; /* none: none */
	char *key_file, *control_socket, *state_file;
	int datapath; /* enum pa_path_choice */
	char *bpf_dir;
	bool accelerate;
	struct pa_gw_pool *pools;
	size_t n_pools;
	struct pa_prefix *deny, *allow;
	size_t n_deny, n_allow;
	uint16_t *deny_ports;
	size_t n_deny_ports;
	bool isolate;
	uint16_t mtu, keepalive;
	size_t max_bindings;
	unsigned threads; /* of the data path, at most PA_DP_LANES_MAX; 0: one for each processor */
	struct {
		uint32_t handshakes;	  /* of a source prefix, a second; 0: any number */
		uint64_t packets, bytes; /* of a binding and direction, a second; 0: any number */
	} limits;
	struct pa_broker_link_conf broker;
	int log_level; /* enum pa_log_level */
};

/*
 * Reads conf's root; every list and string is copied. On failure PA_EFORMAT (pa_conf_error tells) or PA_ENOMEM; *ret needs
 * no clearing then.
 */
int pa_gatewayd_conf_read(struct pa_conf *conf, struct pa_gatewayd_conf *ret);
void pa_gatewayd_conf_clear(struct pa_gatewayd_conf *c);

#endif

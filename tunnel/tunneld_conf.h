/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_CONF_H
#define PA_TUNNELD_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/conf.h"
#include "common/inpolicy.h"
#include "common/proto.h"
#include "tunnel/auto_ports.h"
#include "tunnel/permit.h"
#include "tunnel/socks_conf.h"

/* tunneld.conf as values; see pubaddr-tunneld.conf(5). Pure; any thread. */
#define PA_TUNNELD_CONF "/etc/pubaddr/tunneld.conf"
#define PA_TUNNELD_CONF_OF "/etc/pubaddr/tunneld-%s.conf" /* of one interface; it goes first if it is there */
#define PA_TUNNELD_KEY_FILE "/var/lib/pubaddr/client.key"
#define PA_TUNNELD_RUN_DIR "/run/pubaddr"

/* The session relay, where the grant shall not say it. */
struct pa_tunneld_relay {
	struct pa_endpoint server; /* addr none: the grant's */
	char *name;		   /* that its certificate has to have; NULL: any */
	char *ca;		   /* file of the authorities to believe, or "system"; NULL: any certificate, the grant proves enough */
	struct pa_permit users;	   /* who may use it, besides root */
};

struct pa_tunneld_conf {
	const struct pa_conf *source; /* as given to pa_tunneld_conf_read, borrowed: errors at the start name places in it */
	char device[16];
	int outbound; /* enum pa_outbound; -1: what the grant proposes */
	struct pa_auto_ports auto_ports;
	bool allow_documentation;
	struct pa_prefix *networks;
	size_t n_networks;
	struct pa_inpolicy inbound;   /* the host's; the stricter of it and the grant's holds */
	struct pa_permit expose, exec; /* who may add to it, and run programs with P */
	struct pa_tunneld_relay relay;
	struct pa_socks_conf socks; /* users and credentials once main has resolved them */
	uint8_t (*gateway_keys)[PA_KEY_LEN];
	size_t n_gateway_keys;
	char *key_file, *state_dir, *run_dir;
	int datapath; /* enum pa_path_choice */
	char *bpf_dir;
	bool on_demand;	      /* where DHCP brings no grant, ask when a program needs one */
	uint32_t linger;      /* seconds that such a grant stays after the last program */
	uint8_t option_code;  /* of the grant's option, to ask for it */
	uint32_t table, rule_priority, mark;
	int log_level; /* enum pa_log_level */
};

/* As pa_gatewayd_conf_read. conf of the text "{}" gives the defaults. */
int pa_tunneld_conf_read(struct pa_conf *conf, struct pa_tunneld_conf *ret);
void pa_tunneld_conf_clear(struct pa_tunneld_conf *c);

#endif

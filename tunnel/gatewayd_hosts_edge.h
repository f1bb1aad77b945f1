/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GATEWAYD_HOSTS_EDGE_H
#define PA_GATEWAYD_HOSTS_EDGE_H

#include <uv.h>

#include "common/addr.h"
#include "tunnel/gatewayd_conf.h"
#include "tunnel/net_nl.h"

/*
 * Tells the network which addresses are bound here: a route for each in the table of "routes", for BIRD or FRR to announce, and for
 * those of pools that are on-link a route in the main table, proxy ARP and an announcement on that link. Changes are collected for
 * a few milliseconds and made many at a time, so that a handshake does not wait for them. One loop's thread.
 */
struct pa_gatewayd_hosts;

#define PA_GATEWAYD_HOSTS_ERRLEN 192

/*
 * Before the privileges are dropped. conf, nl and gw are borrowed until close; device: the index of the encapsulation device. On
 * failure err says what is wrong with the interface of pool number *ret_pool, or *ret_pool is conf->n_pools: with something else.
 */
int pa_gatewayd_hosts_new(uv_loop_t *loop, const struct pa_gatewayd_conf *conf, struct pa_nl *nl, const struct pa_gw *gw,
			  int device, struct pa_gatewayd_hosts **ret, size_t *ret_pool, char err[PA_GATEWAYD_HOSTS_ERRLEN]);
/* Nothing of it is taken back here: what goes with the device goes, and close takes proxy entries away. NULL is fine. */
void pa_gatewayd_hosts_close(struct pa_gatewayd_hosts *h);

/* P is bound here; it is no more. Both harmless a second time, and with NULL. */
void pa_gatewayd_hosts_announce(struct pa_gatewayd_hosts *h, const struct pa_addr *addr);
void pa_gatewayd_hosts_withdraw(struct pa_gatewayd_hosts *h, const struct pa_addr *addr);

/*
 * Makes the kernel's tables equal to the bindings of gw, whatever a former process left there. Also by itself some seconds after the
 * kernel refused a change.
 */
void pa_gatewayd_hosts_settle(struct pa_gatewayd_hosts *h);
/* Interfaces may have changed. */
void pa_gatewayd_hosts_refresh(struct pa_gatewayd_hosts *h);
/* Takes the proxy entries of a process that died for good; routes went with the device. */
void pa_gatewayd_hosts_clean(const struct pa_gatewayd_conf *conf, struct pa_nl *nl);

#endif

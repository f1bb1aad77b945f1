/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_PATHS_H
#define PA_BROKER_PATHS_H

#define PA_BROKER_NAME "pubaddr-brokerd"

/* Defaults that configuration and options override (HACKING.md, FILES). */
#define PA_BROKERD_CONF "/etc/pubaddr/brokerd.conf"
#define PA_BROKER_SOCKET "/run/pubaddr/broker.sock"
#define PA_BROKER_DB "/var/lib/pubaddr/broker.db"
#define PA_MASTER_KEY "/etc/pubaddr/master.key"
#define PA_GATEWAY_KEY "/etc/pubaddr/gateway.key"

#endif

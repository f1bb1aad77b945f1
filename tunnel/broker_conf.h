/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_CONF_H
#define PA_BROKER_CONF_H

#include <stdbool.h>

#include "common/addr.h"
#include "common/conf.h"

/* "broker" of gatewayd.conf; see pubaddr-gatewayd.conf(5). Strings are owned. Pure; any thread. */
struct pa_broker_link_conf {
	bool given;
	char *name;	    /* what the broker knows this gateway by */
	char *floors_file;
	char *socket;	    /* NULL: by TLS */
	struct pa_endpoint address;
	char *certificate, *key, *ca; /* PEM files; NULL unless by TLS */
	char *broker_name;  /* that the broker's certificate must have; NULL unless by TLS */
};

/* Reads root's "broker". 0 (mistakes are the conf's sticky error) or PA_ENOMEM; *ret is the caller's to clear either way. */
int pa_broker_link_conf_read(const struct pa_node *root, struct pa_broker_link_conf *ret);
void pa_broker_link_conf_clear(struct pa_broker_link_conf *c);

#endif

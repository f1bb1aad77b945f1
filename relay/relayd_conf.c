/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/relayd_conf.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/relay.h"
#include "tunnel/conf_values.h"

#define MARK_DEFAULT 6081
#define TABLE_DEFAULT 6081
#define OPENS_DEFAULT 20000 /* more than one connection was seen to make: it bounds what one client does to others */
#define PRIORITY_DEFAULT 5190 /* before the main table, and before what a client daemon on the same host would have */

static void read_listen(const struct pa_node *n, struct pa_relayd_conf *c)
{
	size_t count = pa_node_list(n, "listen", true);

	if (pa_node_has(n, "listen") && count == 0)
		pa_node_fail(n, "listen",
			     "is empty; name at least one address of this host, such as \"192.0.2.1:443\"");
	if (count > PA_RELAYD_LISTEN_MAX)
		pa_node_fail(n, "listen", "has %zu entries, at most %d are possible", count, PA_RELAYD_LISTEN_MAX);
	for (size_t i = 0; i < count && i < PA_RELAYD_LISTEN_MAX; i++) {
		const char *s = pa_node_item_string(n, "listen", i);

		if (*s != '\0' && pa_endpoint_parse(s, PA_RELAY_PORT, &c->listen[i]) < 0)
			pa_node_fail(n, "listen",
				     "expected an address with a port, such as \"192.0.2.1:443\", got \"%s\"", s);
		c->n_listen++;
	}
}

static int read_relay(const struct pa_node *n, struct pa_relayd_conf *c)
{
	int rc;

	read_listen(n, c);
	if (pa_node_has(n, "certificate") != pa_node_has(n, "key"))
		pa_node_fail(
			n, NULL,
			"has only one of certificate and key; give both, or neither for one that is made at the start");
	rc = pa_node_has(n, "certificate") ? pa_conf_path(n, "certificate", NULL, &c->certificate) : 0;
	if (rc == 0 && pa_node_has(n, "key"))
		rc = pa_conf_path(n, "key", NULL, &c->key);
	if (rc == 0)
		rc = pa_conf_path(n, "control-socket", "/run/pubaddr/relay.sock", &c->control_socket);
	c->tunnel = c->gateway.listen[0];
	(void)pa_node_endpoint(n, "tunnel", false, PA_GUE_PORT, &c->tunnel);
	c->clients_max = (unsigned)pa_node_int(n, "max-clients", 1, 65536, 1024);
	c->sessions_max = (unsigned)pa_node_int(n, "max-sessions", 1, PA_RELAY_SESSIONS_MAX, PA_RELAY_SESSIONS_MAX);
	c->opens_per_s = (unsigned)pa_node_int(n, "calls-per-second", 0, 1000000, OPENS_DEFAULT);
	c->mark = (uint32_t)pa_node_int(n, "mark", 1, UINT32_MAX, MARK_DEFAULT);
	c->table = (uint32_t)pa_node_int(n, "table", 1, UINT32_MAX, TABLE_DEFAULT);
	c->priority = (uint32_t)pa_node_int(n, "rule-priority", 1, 32765, PRIORITY_DEFAULT);
	return rc;
}

int pa_relayd_conf_read(struct pa_conf *conf, struct pa_relayd_conf *ret)
{
	static const char *const keys[] = {"listen",	    "certificate",    "key",  "tunnel",
					   "max-clients",   "max-sessions",   "mark", "table",
					   "rule-priority", "control-socket", "calls-per-second", NULL};
	struct pa_node root = pa_conf_root(conf), relay;
	struct pa_relayd_conf c = {0};
	int rc = pa_gatewayd_conf_read(conf, &c.gateway);

	if (rc < 0)
		return rc;
	relay = pa_node_object(&root, "relay", true);
	pa_node_only(&relay, keys);
	rc = read_relay(&relay, &c);
	if (rc == 0 && pa_conf_error(conf) != NULL)
		rc = PA_EFORMAT;
	if (rc < 0) {
		pa_relayd_conf_clear(&c);
		return rc;
	}
	*ret = c;
	return 0;
}

void pa_relayd_conf_clear(struct pa_relayd_conf *c)
{
	pa_gatewayd_conf_clear(&c->gateway);
	free(c->certificate);
	free(c->key);
	free(c->control_socket);
	*c = (struct pa_relayd_conf){0};
}

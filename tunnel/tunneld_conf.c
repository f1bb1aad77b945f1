/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_conf.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/grant.h"
#include "common/hex.h"
#include "common/relay.h"
#include "tunnel/conf_values.h"
#include "tunnel/plan.h"

#define TABLE_LOCAL 255 /* and main, default below it: the kernel's own */
#define LINGER_DEFAULT 60 /* seconds: programs are often started one after the other */
#define LINGER_MAX 86400
#define RULE_MAIN 32766 /* priority of the kernel's rule for the main table */

static int read_outbound(const struct pa_node *n)
{
	const char *s = pa_node_string(n, "outbound", "");
	int mode;

	if (*s == '\0')
		return -1;
	mode = pa_outbound_parse(s);
	if (mode < 0)
		pa_node_fail(n, "outbound", "expected \"tunnel\", \"native\", \"auto\", \"policy\" or \"\" (what the grant proposes), "
			     "got \"%s\"", s);
	return mode;
}

static int read_gateway_keys(const struct pa_node *n, struct pa_tunneld_conf *c)
{
	size_t count = pa_node_list(n, "gateway-keys", false);

	if (count == 0)
		return 0;
	c->gateway_keys = calloc(count, sizeof(*c->gateway_keys));
	if (c->gateway_keys == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *s = pa_node_item_string(n, "gateway-keys", i);

		if (*s != '\0' && pa_hex_decode(s, c->gateway_keys[i], PA_KEY_LEN) != PA_KEY_LEN)
			pa_node_fail(n, "gateway-keys", "item %zu: expected a public key of %d hexadecimal digits", i, 2 * PA_KEY_LEN);
	}
	c->n_gateway_keys = count;
	return 0;
}

static void read_ports(const struct pa_node *n, const char *key, bool in, struct pa_auto_ports *ports)
{
	for (size_t i = 0, count = pa_node_list(n, key, false); i < count; i++) {
		const char *s = pa_node_item_string(n, key, i);

		if (*s != '\0' && pa_auto_set(ports, s, in) < 0)
			pa_node_fail(n, key, "item %zu: expected ports such as \"21/tcp\" or \"6881-6889/udp\", got \"%s\"", i, s);
	}
}

static void read_auto_ports(const struct pa_node *root, struct pa_auto_ports *ret)
{
	static const char *const keys[] = {"add", "remove", NULL};
	struct pa_node n = pa_node_object(root, "auto-ports", false);

	pa_auto_defaults(ret);
	pa_node_only(&n, keys);
	read_ports(&n, "remove", false, ret);
	read_ports(&n, "add", true, ret);
}

static void read_on_demand(const struct pa_node *root, struct pa_tunneld_conf *c)
{
	static const char *const keys[] = {"linger", "option-code", NULL};
	struct pa_node n = pa_node_object(root, "on-demand", false);

	pa_node_only(&n, keys);
	c->on_demand = n.json != NULL;
	c->linger = (uint32_t)pa_node_int(&n, "linger", 0, LINGER_MAX, LINGER_DEFAULT);
	c->option_code = (uint8_t)pa_node_int(&n, "option-code", PA_OPTION_CODE_MIN, PA_OPTION_CODE_MAX, PA_OPTION_CODE_DEFAULT);
}

static int read_relay(const struct pa_node *root, struct pa_tunneld_relay *r)
{
	static const char *const keys[] = {"address", "name", "ca", NULL};
	struct pa_node n = pa_node_object(root, "relay", false);
	const char *address = pa_node_string(&n, "address", ""), *name = pa_node_string(&n, "name", ""), *ca = pa_node_string(&n, "ca", "");

	pa_node_only(&n, keys);
	pa_permit_read(root, pa_node_has(root, "relay-users") ? "relay-users" : "exec", &r->users);
	if (*address != '\0' && pa_endpoint_parse(address, PA_RELAY_PORT, &r->server) < 0)
		pa_node_fail(&n, "address", "expected an address with a port, such as \"198.51.100.10:443\", got \"%s\"", address);
	if (*name != '\0' && *ca == '\0')
		pa_node_fail(&n, "name", "is of use with \"ca\" only: name the file of the authorities to believe, or \"system\"");
	if (*ca != '\0' && *name == '\0')
		pa_node_fail(&n, "ca", "is of use with \"name\" only: whom the certificate has to name");
	r->name = *name != '\0' ? strdup(name) : NULL;
	r->ca = *ca != '\0' ? strdup(ca) : NULL;
	return (*name != '\0' && r->name == NULL) || (*ca != '\0' && r->ca == NULL) ? PA_ENOMEM : 0;
}

static int read_all(const struct pa_node *n, struct pa_tunneld_conf *c)
{
	int rc = pa_conf_prefixes(n, "networks", &c->networks, &c->n_networks);

	pa_conf_device(n, "device", "pub0", c->device);
	c->outbound = read_outbound(n);
	read_auto_ports(n, &c->auto_ports);
	read_on_demand(n, c);
	pa_conf_inpolicy(n, "inbound", &c->inbound);
	pa_permit_read(n, "expose", &c->expose);
	pa_permit_read(n, "exec", &c->exec);
	if (rc == 0)
		rc = read_relay(n, &c->relay);
	if (rc == 0)
		rc = pa_socks_conf_read(n, &c->socks);
	c->allow_documentation = pa_node_bool(n, "allow-documentation", false);
	if (rc == 0)
		rc = read_gateway_keys(n, c);
	if (rc == 0)
		rc = pa_conf_path(n, "key-file", PA_TUNNELD_KEY_FILE, &c->key_file);
	if (rc == 0)
		rc = pa_conf_path(n, "state-dir", "/var/lib/pubaddr", &c->state_dir);
	if (rc == 0)
		rc = pa_conf_path(n, "run-dir", PA_TUNNELD_RUN_DIR, &c->run_dir);
	if (rc == 0)
		rc = pa_conf_datapath(n, &c->datapath, &c->bpf_dir);
	c->table = (uint32_t)pa_node_int(n, "table", TABLE_LOCAL + 1, INT32_MAX - PA_PLAN_TABLES, 6080);
	c->rule_priority = (uint32_t)pa_node_int(n, "rule-priority", 1, RULE_MAIN - PA_PLAN_PRIORITIES, 5200);
	c->mark = (uint32_t)pa_node_int(n, "mark", 1, UINT32_MAX - PA_MARKS, 6080);
	c->log_level = pa_conf_log_level(n);
	return rc;
}

int pa_tunneld_conf_read(struct pa_conf *conf, struct pa_tunneld_conf *ret)
{
	static const char *const keys[] = {"device", "outbound", "auto-ports", "inbound", "expose", "exec", "on-demand", "relay", "relay-users", "allow-documentation", "networks", "gateway-keys", "key-file",
					   "state-dir", "run-dir", "table", "rule-priority", "mark", "datapath", "bpf-dir", "log-level", "socks", NULL};
	struct pa_node root = pa_conf_root(conf);
	struct pa_tunneld_conf c;
	int rc;

	memset(&c, 0, sizeof(c));
	pa_node_only(&root, keys);
	rc = read_all(&root, &c);
	if (rc == 0 && pa_conf_error(conf) != NULL)
		rc = PA_EFORMAT;
	if (rc < 0) {
		pa_tunneld_conf_clear(&c);
		return rc;
	}
	c.source = conf;
	*ret = c;
	return 0;
}

void pa_tunneld_conf_clear(struct pa_tunneld_conf *c)
{
	pa_socks_conf_clear(&c->socks);
	free(c->networks);
	free(c->gateway_keys);
	free(c->key_file);
	free(c->state_dir);
	free(c->run_dir);
	free(c->bpf_dir);
	free(c->relay.name);
	free(c->relay.ca);
	memset(c, 0, sizeof(*c));
}

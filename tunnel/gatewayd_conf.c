/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gatewayd_conf.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/conf_values.h"
#include "tunnel/dp.h"

#define HANDSHAKES_DEFAULT 5000 /* a second, of one source prefix: a large NAT's clients, all at once */
#define RATE_MAX 100000000000	/* a second; more than any interface carries */

static void read_listen(const struct pa_node *n, struct pa_gatewayd_conf *c)
{
	size_t count = pa_node_list(n, "listen", true);

	if (pa_node_has(n, "listen") && count == 0)
		pa_node_fail(n, "listen", "is empty; name at least one public address of this host, such as \"192.0.2.1:6080\"");
	if (count > PA_GATEWAYD_LISTEN_MAX)
		pa_node_fail(n, "listen", "has %zu entries, at most %d are possible", count, PA_GATEWAYD_LISTEN_MAX);
	for (size_t i = 0; i < count && i < PA_GATEWAYD_LISTEN_MAX; i++) {
		const char *s = pa_node_item_string(n, "listen", i);

		if (*s != '\0' && pa_endpoint_parse(s, PA_GUE_PORT, &c->listen[i]) < 0)
			pa_node_fail(n, "listen", "expected an address with a port, such as \"192.0.2.1:6080\", got \"%s\"", s);
		c->n_listen++;
	}
}

/* Where clients may send PROBEs besides; addresses in full, for clients are told them. */
static void read_probe_listen(const struct pa_node *n, struct pa_gatewayd_conf *c)
{
	static const char key[] = "probe-listen";
	size_t count = pa_node_has(n, key) ? pa_node_list(n, key, false) : 0;

	if (count > PA_GATEWAYD_PROBES_MAX)
		pa_node_fail(n, key, "has %zu entries, at most %d are possible", count, PA_GATEWAYD_PROBES_MAX);
	for (size_t i = 0; i < count && i < PA_GATEWAYD_PROBES_MAX; i++) {
		const char *s = pa_node_item_string(n, key, i);
		struct pa_endpoint *e = &c->probe_listen[i];

		if (*s != '\0' && (pa_endpoint_parse(s, 0, e) < 0 || pa_addr_classify(&e->addr) == PA_ADDR_UNSPECIFIED))
			pa_node_fail(n, key, "expected an address with a port, such as \"192.0.2.1:6081\", got \"%s\"", s);
		for (size_t k = 0; k < c->n_listen; k++)
			if (pa_endpoint_eq(e, &c->listen[k]))
				pa_node_fail(n, key, "\"%s\" stands in listen too; take another port or address", s);
		c->n_probe_listen++;
	}
}

static bool overlap(const struct pa_prefix *a, const struct pa_prefix *b)
{
	return pa_prefix_contains(a, &b->addr) || pa_prefix_contains(b, &a->addr);
}

static int read_pools(const struct pa_node *n, struct pa_gatewayd_conf *c)
{
	static const char *const keys[] = {"id", "prefix", NULL};
	size_t count = pa_node_list(n, "pools", true);

	if (pa_node_has(n, "pools") && count == 0)
		pa_node_fail(n, "pools", "is empty; name at least one pool: {\"id\": 1, \"prefix\": \"192.0.2.0/24\"}");
	c->pools = calloc(count + 1, sizeof(*c->pools));
	if (c->pools == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct pa_node item = pa_node_item(n, "pools", i);
		struct pa_gw_pool *p = &c->pools[i];

		pa_node_only(&item, keys);
		p->id = (uint16_t)pa_node_int(&item, "id", 1, UINT16_MAX, PA_REQUIRED_INT);
		if (pa_node_prefix(&item, "prefix", true, &p->prefix) && !pa_addr_is_ipv4(&p->prefix.addr))
			pa_node_fail(&item, "prefix", "expected an IPv4 prefix; IPv6 pools are not supported yet");
		for (size_t j = 0; j < i; j++) {
			if (c->pools[j].id == p->id)
				pa_node_fail(&item, "id", "%u stands in pools[%zu] too; pool ids are unique", (unsigned)p->id, j);
			if (overlap(&c->pools[j].prefix, &p->prefix))
				pa_node_fail(&item, "prefix", "overlaps the prefix of pools[%zu]", j);
		}
	}
	c->n_pools = count;
	return 0;
}

static int read_ports(const struct pa_node *n, struct pa_gatewayd_conf *c)
{
	static const char key[] = "deny-ports";
	bool given = pa_node_has(n, key);
	size_t count = given ? pa_node_list(n, key, false) : 1;

	c->deny_ports = calloc(count + 1, sizeof(*c->deny_ports));
	if (c->deny_ports == NULL)
		return PA_ENOMEM;
	if (!given)
		c->deny_ports[0] = 25; /* mail from address pools is spam as a rule */
	for (size_t i = 0; given && i < count; i++)
		c->deny_ports[i] = (uint16_t)pa_conf_item_int(n, key, i, 1, UINT16_MAX);
	c->n_deny_ports = count;
	return 0;
}

static void read_limits(const struct pa_node *n, struct pa_gatewayd_conf *c)
{
	static const char *const keys[] = {"handshakes-per-source", "packets-per-binding", "bytes-per-binding", NULL};
	struct pa_node l;

	c->limits.handshakes = HANDSHAKES_DEFAULT;
	if (!pa_node_has(n, "limits"))
		return;
	l = pa_node_object(n, "limits", false);
	pa_node_only(&l, keys);
	c->limits.handshakes = (uint32_t)pa_node_int(&l, keys[0], 0, PA_GW_HANDSHAKES_MAX, HANDSHAKES_DEFAULT);
	c->limits.packets = (uint64_t)pa_node_int(&l, keys[1], 0, RATE_MAX, 0);
	c->limits.bytes = (uint64_t)pa_node_int(&l, keys[2], 0, RATE_MAX, 0);
}

static int read_all(const struct pa_node *n, struct pa_gatewayd_conf *c)
{
	int rc;

	read_listen(n, c);
	read_probe_listen(n, c);
	pa_conf_device(n, "device", "pubgw0", c->device);
	if (pa_node_addr(n, "device-address", false, &c->device_address) && !pa_addr_is_ipv4(&c->device_address))
		pa_node_fail(n, "device-address", "expected an IPv4 address");
	rc = read_pools(n, c);
	if (rc == 0)
		rc = read_ports(n, c);
	if (rc == 0)
		rc = pa_conf_prefixes(n, "deny", &c->deny, &c->n_deny);
	if (rc == 0)
		rc = pa_conf_prefixes(n, "allow", &c->allow, &c->n_allow);
	if (rc == 0)
		rc = pa_conf_path(n, "key-file", "/etc/pubaddr/gateway.key", &c->key_file);
	if (rc == 0)
		rc = pa_conf_path(n, "control-socket", "/run/pubaddr/gateway.sock", &c->control_socket);
	if (rc == 0)
		rc = pa_conf_path(n, "state-file", "/run/pubaddr/gateway.state", &c->state_file);
	if (rc == 0)
		rc = pa_conf_datapath(n, &c->datapath, &c->bpf_dir);
	if (rc == 0)
		rc = pa_broker_link_conf_read(n, &c->broker);
	c->isolate = pa_node_bool(n, "isolate", false);
	c->accelerate = pa_node_bool(n, "accelerate", false);
	c->mtu = (uint16_t)pa_node_int(n, "mtu", PA_MTU_MIN, PA_DP_PACKET_MAX, PA_MTU_DEFAULT);
	c->keepalive = (uint16_t)pa_node_int(n, "keepalive", PA_KEEPALIVE_MIN, PA_KEEPALIVE_MAX, PA_KEEPALIVE_DEFAULT);
	c->max_bindings = (size_t)pa_node_int(n, "max-bindings", 1, 16 << 20, 65536);
	c->threads = (unsigned)pa_node_int(n, "threads", 0, PA_DP_LANES_MAX, 0);
	read_limits(n, c);
	c->log_level = pa_conf_log_level(n);
	return rc;
}

int pa_gatewayd_conf_read(struct pa_conf *conf, struct pa_gatewayd_conf *ret)
{
	static const char *const keys[] = {"listen", "probe-listen", "device", "device-address", "key-file", "pools", "deny", "allow",
					   "deny-ports", "isolate", "relay", "mtu", "keepalive", "max-bindings", "control-socket",
					   "state-file", "broker", "datapath", "bpf-dir", "accelerate", "threads", "limits", "log-level",
					   NULL};
	struct pa_node root = pa_conf_root(conf);
	struct pa_gatewayd_conf c;
	int rc;

	memset(&c, 0, sizeof(c));
	pa_node_only(&root, keys);
	rc = read_all(&root, &c);
	if (rc == 0 && pa_conf_error(conf) != NULL)
		rc = PA_EFORMAT;
	if (rc < 0) {
		pa_gatewayd_conf_clear(&c);
		return rc;
	}
	c.source = conf;
	*ret = c;
	return 0;
}

void pa_gatewayd_conf_clear(struct pa_gatewayd_conf *c)
{
	free(c->key_file);
	free(c->control_socket);
	free(c->state_file);
	free(c->bpf_dir);
	pa_broker_link_conf_clear(&c->broker);
	free(c->pools);
	free(c->deny);
	free(c->allow);
	free(c->deny_ports);
	memset(c, 0, sizeof(*c));
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/broker_conf.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/proto.h"
#include "tunnel/conf_values.h"

#define NAME_MAX_LEN 63

static int read_name(const struct pa_node *n, const char *key, const char *def, char **ret)
{
	const char *s = pa_node_string(n, key, def);
	size_t len = strlen(s);

	if (len == 0 || len > NAME_MAX_LEN ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != len)
		pa_node_fail(n, key, "expected a name of 1 to %d letters, digits, '.', '-' and '_', got \"%s\"", NAME_MAX_LEN, s);
	*ret = strdup(s);
	return *ret != NULL ? 0 : PA_ENOMEM;
}

static int read_tls(const struct pa_node *n, struct pa_broker_link_conf *c)
{
	int rc;

	(void)pa_node_endpoint(n, "address", true, PA_BROKER_PORT, &c->address);
	if ((rc = pa_conf_path(n, "certificate", PA_REQUIRED_STR, &c->certificate)) < 0 ||
	    (rc = pa_conf_path(n, "key", PA_REQUIRED_STR, &c->key)) < 0 ||
	    (rc = pa_conf_path(n, "ca", PA_REQUIRED_STR, &c->ca)) < 0)
		return rc;
	return read_name(n, "broker-name", "broker", &c->broker_name);
}

int pa_broker_link_conf_read(const struct pa_node *root, struct pa_broker_link_conf *ret)
{
	static const char *const keys[] = {"name", "floors-file", "socket", "address", "certificate", "key", "ca", "broker-name",
					   NULL};
	struct pa_node n = pa_node_object(root, "broker", false);
	int rc;

	if (!pa_node_has(root, "broker"))
		return 0;
	ret->given = true;
	pa_node_only(&n, keys);
	if (pa_node_has(&n, "socket") == pa_node_has(&n, "address"))
		pa_node_fail(&n, NULL, "expected either \"socket\", for a broker on this host, or \"address\" with certificates");
	rc = read_name(&n, "name", PA_REQUIRED_STR, &ret->name);
	if (rc == 0)
		rc = pa_conf_path(&n, "floors-file", "/var/lib/pubaddr-gateway/floors", &ret->floors_file);
	if (rc == 0 && pa_node_has(&n, "socket"))
		rc = pa_conf_path(&n, "socket", PA_REQUIRED_STR, &ret->socket);
	else if (rc == 0)
		rc = read_tls(&n, ret);
	return rc;
}

void pa_broker_link_conf_clear(struct pa_broker_link_conf *c)
{
	free(c->name);
	free(c->floors_file);
	free(c->socket);
	free(c->certificate);
	free(c->key);
	free(c->ca);
	free(c->broker_name);
	memset(c, 0, sizeof(*c));
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/brokerconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/brokerconf_pool.h"
#include "broker/paths.h"
#include "common/conf.h"
#include "common/err.h"

static void list_clear(struct pa_string_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
}

static void pool_clear(struct pa_pool_conf *pool)
{
	free(pool->exclude);
	list_clear(&pool->realms);
	list_clear(&pool->classes);
}

void pa_brokerconf_free(struct pa_brokerconf *conf)
{
	if (conf == NULL)
		return;
	for (size_t i = 0; i < conf->n_pools; i++)
		pool_clear(&conf->pools[i]);
	free(conf->pools);
	free(conf->groups);
	list_clear(&conf->realms);
	list_clear(&conf->socket_users);
	free(conf->user);
	free(conf->socket);
	free(conf->socket_group);
	free(conf->database);
	free(conf->master_key_file);
	free(conf->listen.certificate);
	free(conf->listen.key);
	free(conf->listen.ca);
	pa_brokerconf_free_reservations(conf);
	pa_conf_free(conf->source);
	free(conf);
}

bool pa_string_list_has(const struct pa_string_list *list, const char *s)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i], s) == 0)
			return true;
	return false;
}

int pa_string_list_read(const struct pa_node *n, const char *key, struct pa_string_list *ret)
{
	size_t count = pa_node_list(n, key, false);

	ret->items = calloc(count > 0 ? count : 1, sizeof(*ret->items));
	if (ret->items == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *s = pa_node_item_string(n, key, i);

		if (s[0] == '\0')
			pa_node_fail(n, key, "entry %zu is empty; write a name or leave it out", i + 1);
		else if (pa_string_list_has(ret, s))
			pa_node_fail(n, key, "\"%s\" stands twice; leave one out", s);
		ret->items[ret->n] = strdup(s);
		if (ret->items[ret->n] == NULL)
			return PA_ENOMEM;
		ret->n++;
	}
	return 0;
}

/* Names go into logs, tables and the store's keys: letters, digits, dot, dash and underscore only. */
void pa_name_check(const struct pa_node *n, const char *key, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > PA_NAME_MAX ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != len)
		pa_node_fail(n, key, "expected a name of 1 to %d letters, digits, '.', '-' and '_', got \"%s\"", PA_NAME_MAX,
			     name);
}

static int read_text(const struct pa_node *n, const char *key, const char *def, char **ret)
{
	*ret = strdup(pa_node_string(n, key, def));
	return *ret != NULL ? 0 : PA_ENOMEM;
}

/* A path that the daemon opens later, when its working folder may be another. */
static int read_path(const struct pa_node *n, const char *key, const char *def, char **ret)
{
	int rc = read_text(n, key, def, ret);

	if (rc == 0 && (*ret)[0] != '/')
		pa_node_fail(n, key, "expected a path that begins with '/', got \"%s\"", *ret);
	return rc;
}

static int read_realms(const struct pa_node *root, struct pa_brokerconf *conf)
{
	int rc = pa_string_list_read(root, "realms", &conf->realms);

	if (rc < 0)
		return rc;
	if (conf->realms.n == 0)
		pa_node_fail(root, "realms", "expected at least one realm, such as [\"campus\"]; the same name goes into the "
			     "parameters of Kea's hook library");
	for (size_t i = 0; i < conf->realms.n; i++)
		pa_name_check(root, "realms", conf->realms.items[i]);
	return 0;
}

static void read_grant(const struct pa_node *root, struct pa_brokerconf *conf)
{
	static const char *const keys[] = {"mtu", "keepalive", "outbound", "inbound", NULL};
	struct pa_node n = pa_node_object(root, "grant", false);

	pa_node_only(&n, keys);
	conf->mtu = (uint16_t)pa_node_int(&n, "mtu", PA_MTU_MIN, 65535, PA_MTU_DEFAULT);
	conf->keepalive = (uint16_t)pa_node_int(&n, "keepalive", PA_KEEPALIVE_MIN, PA_KEEPALIVE_MAX,
						PA_KEEPALIVE_DEFAULT);
	pa_brokerconf_outbound(&n, "tunnel", &conf->outbound);
	pa_brokerconf_inbound(&n, &conf->inbound);
}

static void read_log_level(const struct pa_node *root, struct pa_brokerconf *conf)
{
	const char *level = pa_node_string(root, "log-level", "info");
	int v = pa_log_level_parse(level);

	if (v < 0)
		pa_node_fail(root, "log-level", "expected \"error\", \"warning\", \"info\" or \"debug\", got \"%s\"", level);
	else
		conf->log_level = (enum pa_log_level)v;
}

static int read_listen(const struct pa_node *root, struct pa_brokerconf *conf)
{
	static const char *const keys[] = {"address", "certificate", "key", "ca", NULL};
	struct pa_node n = pa_node_object(root, "gateway-listen", false);
	int rc;

	if (!pa_node_has(root, "gateway-listen"))
		return 0;
	pa_node_only(&n, keys);
	(void)pa_node_endpoint(&n, "address", true, PA_BROKER_PORT, &conf->listen.address);
	if ((rc = read_path(&n, "certificate", PA_REQUIRED_STR, &conf->listen.certificate)) < 0 ||
	    (rc = read_path(&n, "key", PA_REQUIRED_STR, &conf->listen.key)) < 0)
		return rc;
	return read_path(&n, "ca", PA_REQUIRED_STR, &conf->listen.ca);
}

static int read_root(const struct pa_node *root, struct pa_brokerconf *conf)
{
	static const char *const keys[] = {"user", "socket", "socket-group", "socket-users", "database", "master-key-file",
					   "quarantine", "reclaim-unbound", "subnet-limit", "realms", "gateway-listen", "gateway-groups", "pools", "reservations", "grant",
					   "log-level", NULL};
	int rc;

	pa_node_only(root, keys);
	if ((rc = read_text(root, "user", "", &conf->user)) < 0 ||
	    (rc = read_path(root, "socket", PA_BROKER_SOCKET, &conf->socket)) < 0 ||
	    (rc = read_text(root, "socket-group", "", &conf->socket_group)) < 0 ||
	    (rc = pa_string_list_read(root, "socket-users", &conf->socket_users)) < 0 ||
	    (rc = read_path(root, "database", PA_BROKER_DB, &conf->database)) < 0 ||
	    (rc = read_path(root, "master-key-file", PA_MASTER_KEY, &conf->master_key_file)) < 0 ||
	    (rc = read_realms(root, conf)) < 0)
		return rc;
	if (conf->socket_users.n > PA_SOCKET_USERS_MAX)
		pa_node_fail(root, "socket-users", "at most %d users; use socket-group for more", PA_SOCKET_USERS_MAX);
	conf->quarantine = (uint32_t)pa_node_int(root, "quarantine", 0, PA_QUARANTINE_MAX, PA_QUARANTINE_DEFAULT);
	conf->unbound = (uint32_t)pa_node_int(root, "reclaim-unbound", 0, PA_QUARANTINE_MAX, PA_UNBOUND_DEFAULT);
	if (conf->unbound > 0 && conf->unbound < PA_UNBOUND_MIN)
		pa_node_fail(root, "reclaim-unbound", "expected 0 (never) or %d to %d seconds, for a client needs some to bind, got %u",
			     PA_UNBOUND_MIN, PA_QUARANTINE_MAX, (unsigned)conf->unbound);
	conf->subnet_limit = (uint32_t)pa_node_int(root, "subnet-limit", 0, PA_SUBNET_LIMIT_MAX, 0);
	read_grant(root, conf);
	read_log_level(root, conf);
	if ((rc = read_listen(root, conf)) < 0 || (rc = pa_brokerconf_read_groups(root, conf)) < 0)
		return rc;
	for (size_t i = 0; i < conf->n_groups; i++)
		pa_brokerconf_fits(root, "grant", conf, &conf->inbound, &conf->groups[i]);
	if ((rc = pa_brokerconf_read_pools(root, conf)) < 0)
		return rc;
	return pa_brokerconf_read_reservations(root, conf);
}

int pa_brokerconf_parse(const char *file, const char *text, size_t len, struct pa_brokerconf **ret,
			char err[PA_CONF_ERRLEN])
{
	struct pa_conf *src = pa_conf_new(file, text, len);
	struct pa_brokerconf *conf = calloc(1, sizeof(*conf));
	struct pa_node root;
	int rc = src != NULL && conf != NULL ? 0 : PA_ENOMEM;

	if (rc == 0) {
		root = pa_conf_root(src);
		rc = read_root(&root, conf);
	}
	if (rc < 0) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%s: out of memory", file);
	} else if (pa_conf_error(src) != NULL) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%s", pa_conf_error(src));
		rc = PA_EFORMAT;
	} else {
		conf->source = src;
		*ret = conf;
		return 0;
	}
	pa_brokerconf_free(conf);
	pa_conf_free(src);
	return rc;
}

bool pa_brokerconf_has_realm(const struct pa_brokerconf *conf, const char *realm)
{
	return pa_string_list_has(&conf->realms, realm);
}

bool pa_pool_serves(const struct pa_pool_conf *pool, const char *realm, const char *const *classes, size_t n_classes)
{
	if (pool->realms.n > 0 && !pa_string_list_has(&pool->realms, realm))
		return false;
	for (size_t i = 0; i < n_classes; i++)
		if (pa_string_list_has(&pool->classes, classes[i]))
			return true;
	return pool->classes.n == 0;
}

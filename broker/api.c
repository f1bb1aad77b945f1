/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/api.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/api_cmd.h"
#include "broker/paths.h"
#include "broker/subnet.h"
#include "common/err.h"
#include "common/hex.h"

void pa_api_set(struct pa_api_call *c, enum pa_result result, const char *fmt, ...)
{
	va_list ap;

	c->reply->result = result;
	va_start(ap, fmt);
	(void)vsnprintf(c->reply->text, sizeof(c->reply->text), fmt, ap);
	va_end(ap);
	/* It may quote the request, cut in the middle of a UTF-8 sequence, and JSON takes only whole ones. */
	for (char *p = c->reply->text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
}

bool pa_api_bad_args(struct pa_api_call *c)
{
	if (c->args.failed)
		pa_api_set(c, PA_RESULT_ERROR, "%s", c->args.err);
	return c->args.failed;
}

void pa_api_give(struct pa_api_call *c, json_t *arguments)
{
	c->reply->arguments = arguments;
	if (arguments == NULL)
		pa_api_set(c, PA_RESULT_ERROR, "out of memory");
}

static enum pa_lease_state state_at(const struct pa_lease *lease, struct pa_now now)
{
	/* The expiry timer may be a moment late. */
	if (lease->state == PA_LEASE_ACTIVE && lease->expires <= now.unix_ms / 1000)
		return PA_LEASE_EXPIRED;
	return lease->state;
}

json_t *pa_api_lease_json(const struct pa_lease *lease, struct pa_now now)
{
	char addr[PA_ADDR_STRLEN], dhcp[PA_ADDR_STRLEN], id_hex[2 * PA_IDENT_ID_MAX + 1];
	char fingerprint[2 * PA_FINGERPRINT_LEN + 1];
	static const uint8_t zeros[PA_FINGERPRINT_LEN];
	size_t id_len;
	const uint8_t *id = pa_ident_id(lease->ident, &id_len);
	bool pinned = memcmp(lease->fingerprint, zeros, sizeof(zeros)) != 0;

	return json_pack("{s:s, s:i, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:s, s:s}",
			 "address", pa_addr_format(&lease->addr, addr),
			 "pool-id", (int)lease->pool_id,
			 "realm", pa_ident_realm(lease->ident),
			 "subnet-id", (json_int_t)lease->subnet_id,
			 "dhcp-address", pa_addr_format(&lease->dhcp_addr, dhcp),
			 pa_ident_kind_name(pa_ident_kind(lease->ident)), pa_hex_encode(id, id_len, id_hex),
			 "epoch", (json_int_t)lease->epoch,
			 "granted", (json_int_t)lease->granted,
			 "expires", (json_int_t)lease->expires,
			 "state", pa_lease_state_name(state_at(lease, now)),
			 "client-key-fingerprint",
			 pinned ? pa_hex_encode(lease->fingerprint, PA_FINGERPRINT_LEN, fingerprint) : "");
}

const char *pa_api_lease_fields(const struct pa_lease *lease, char dst[PA_API_FIELDSLEN])
{
	char addr[PA_ADDR_STRLEN], dhcp[PA_ADDR_STRLEN], client[PA_IDENT_TEXTLEN];

	pa_log_format(dst, PA_API_FIELDSLEN,
		      "addr=%s pool=%u realm=%s client=%s subnet=%u dhcp-addr=%s epoch=%" PRIu64 " expires=%" PRIu64,
		       pa_addr_format(&lease->addr, addr), (unsigned)lease->pool_id, pa_ident_realm(lease->ident),
		       pa_ident_format(lease->ident, client), (unsigned)lease->subnet_id,
		       pa_addr_format(&lease->dhcp_addr, dhcp), lease->epoch, lease->expires);
	return dst;
}

static void lease_get(struct pa_api_call *c)
{
	const struct pa_lease *lease = NULL;

	if (pa_args_has(&c->args, "address")) {
		struct pa_addr addr = pa_args_addr(&c->args, "address");

		if (!c->args.failed)
			lease = pa_lease_by_addr(c->api->leases, &addr);
	} else if (pa_args_has(&c->args, "realm")) {
		struct pa_ident *ident = pa_args_ident(&c->args);

		if (ident != NULL)
			lease = pa_lease_by_ident(c->api->leases, ident);
		pa_ident_put(ident);
	} else {
		pa_args_fail(&c->args, "address", "is missing; expected it, or 'realm' with 'client-id' or 'hw-address'");
	}
	if (pa_api_bad_args(c))
		return;
	if (lease == NULL) {
		pa_api_set(c, PA_RESULT_EMPTY, "no lease found");
		return;
	}
	pa_api_set(c, PA_RESULT_SUCCESS, "lease found");
	pa_api_give(c, json_pack("{s:o}", "lease", pa_api_lease_json(lease, c->now)));
}

static json_t *page_json(const struct pa_lease **rows, size_t n, struct pa_now now)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(list, pa_api_lease_json(rows[i], now)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static void lease_get_page(struct pa_api_call *c)
{
	const char *from = pa_args_string(&c->args, "from");
	size_t limit = (size_t)pa_args_uint(&c->args, "limit", 1, PA_API_PAGE_MAX), n;
	bool start = strcmp(from, "start") == 0;
	const struct pa_lease **rows;
	struct pa_addr after;

	if (!c->args.failed && !start && pa_addr_parse(from, &after) < 0)
		pa_args_fail(&c->args, "from", "expected \"start\" or an IP address, got \"%.64s\"", from);
	if (pa_api_bad_args(c))
		return;
	rows = calloc(limit, sizeof(*rows));
	if (rows == NULL) {
		pa_api_give(c, NULL);
		return;
	}
	n = pa_lease_page(c->api->leases, start ? NULL : &after, rows, limit);
	pa_api_set(c, n > 0 ? PA_RESULT_SUCCESS : PA_RESULT_EMPTY, "%zu lease(s) found", n);
	pa_api_give(c, json_pack("{s:o, s:I}", "leases", page_json(rows, n, c->now), "count", (json_int_t)n));
	free(rows);
}

static void pool_stats(struct pa_api_call *c)
{
	const struct pa_brokerconf *conf = c->api->conf;
	json_t *list = json_array();

	for (size_t i = 0; i < conf->n_pools; i++) {
		struct pa_pool_stats s = pa_lease_pool_stats(c->api->leases, i, c->now.unix_ms);
		const struct pa_recovery *r = pa_lease_recovery(c->api->leases, i);
		uint64_t until = r != NULL && r->until > c->now.unix_ms / 1000 ? r->until : 0;
		char prefix[PA_PREFIX_STRLEN];

		if (json_array_append_new(
			    list, json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "id", (int)conf->pools[i].id, "name",
					    conf->pools[i].name, "prefix",
					    pa_prefix_format(&conf->pools[i].prefix, prefix), "total",
					    (json_int_t)s.total, "active", (json_int_t)s.active, "resting",
					    (json_int_t)s.resting, "reserved", (json_int_t)s.reserved, "free", (json_int_t)s.free,
					    "recovering-until", (json_int_t)until)) < 0) {
			json_decref(list);
			pa_api_give(c, NULL);
			return;
		}
	}
	pa_api_set(c, PA_RESULT_SUCCESS, "%zu pool(s)", conf->n_pools);
	pa_api_give(c, json_pack("{s:o}", "pools", list));
}

static void subnet_stats(struct pa_api_call *c)
{
	struct pa_subnet *const *all;
	size_t n = pa_lease_subnets(c->api->leases, &all, c->now.unix_ms);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I}", "realm", all[i]->realm, "subnet-id",
							  (json_int_t)all[i]->id, "held", (json_int_t)all[i]->held, "refused",
							  (json_int_t)all[i]->refused)) < 0) {
			json_decref(list);
			pa_api_give(c, NULL);
			return;
		}
	}
	pa_api_set(c, n > 0 ? PA_RESULT_SUCCESS : PA_RESULT_EMPTY, "%zu subnet(s)", n);
	pa_api_give(c, json_pack("{s:o, s:I}", "subnets", list, "limit", (json_int_t)c->api->conf->subnet_limit));
}

static void status_get(struct pa_api_call *c)
{
	const struct pa_api *api = c->api;
	const struct pa_api_counters *n = &api->counters;
	uint64_t active = 0;

	for (size_t i = 0; i < api->conf->n_pools; i++)
		active += pa_lease_pool_stats(c->api->leases, i, c->now.unix_ms).active;
	pa_api_set(c, PA_RESULT_SUCCESS, PA_BROKER_NAME " %s", api->version);
	pa_api_give(c, json_pack("{s:s, s:s, s:i, s:I, s:s, s:I, s:I, s:I, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}",
				 "daemon", PA_BROKER_NAME, "version", api->version, "pid", api->pid,
				 "uptime", (json_int_t)((c->now.boot_ms - api->started_boot_ms) / 1000),
				 "database", api->conf->database,
				 "active-leases", (json_int_t)active,
				 "known-addresses", (json_int_t)pa_lease_count(api->leases),
				 "revocations", (json_int_t)pa_lease_revoked_head(api->leases),
				 "gateways", pa_api_gateways_json(api, c->now),
				 "counters", "granted", (json_int_t)n->granted, "renewed", (json_int_t)n->renewed,
				 "repeated", (json_int_t)n->repeated, "released", (json_int_t)n->released,
				 "expired", (json_int_t)n->expired, "refused", (json_int_t)n->refused,
				 "limited", (json_int_t)n->limited, "reclaimed", (json_int_t)n->reclaimed,
				 "commits", (json_int_t)n->commits,
				 "commit-failures", (json_int_t)n->commit_failures));
}

static void config_get(struct pa_api_call *c)
{
	pa_api_set(c, PA_RESULT_SUCCESS, "running configuration");
	pa_api_give(c, json_pack("{s:O}", "config", pa_conf_json(c->api->conf->source)));
}

/* What opens files with the broker's rights, or changes what it serves, is not for everyone who may ask for leases. */
static bool may(struct pa_api_call *c, const char *command, bool there)
{
	if (!c->admin)
		pa_api_set(c, PA_RESULT_ERROR, "permission denied: %s is for root and the broker's own user", command);
	else if (!there)
		pa_api_set(c, PA_RESULT_UNSUPPORTED, "%s is not to be had here", command);
	return c->admin && there;
}

/* The argument "file", or NULL after an error reply. */
static const char *take_file(struct pa_api_call *c)
{
	const char *file = pa_args_string(&c->args, "file");

	if (!c->args.failed && file[0] != '/')
		pa_args_fail(&c->args, "file", "expected a path that begins with '/'");
	return pa_api_bad_args(c) ? NULL : file;
}

static void config_test(struct pa_api_call *c)
{
	const char *file = take_file(c);
	char err[PA_CONF_ERRLEN];

	if (file == NULL || !may(c, "config-test", c->api->config_test != NULL))
		return;
	if (c->api->config_test(file, err) < 0)
		pa_api_set(c, PA_RESULT_ERROR, "%s", err);
	else
		pa_api_set(c, PA_RESULT_SUCCESS, "%.200s: configuration is good", file);
}

static void config_reload(struct pa_api_call *c)
{
	char err[PA_CONF_ERRLEN];

	if (!may(c, "config-reload", c->api->config_reload != NULL))
		return;
	if (c->api->config_reload(c->api->reload_ctx, err) < 0)
		pa_api_set(c, PA_RESULT_ERROR, "%s", err);
	else
		pa_api_set(c, PA_RESULT_SUCCESS, "%zu pool(s)", c->api->conf->n_pools);
}

static void store_backup(struct pa_api_call *c)
{
	const char *file = take_file(c);
	char err[PA_CONF_ERRLEN];

	if (file == NULL || !may(c, "store-backup", c->api->store_backup != NULL))
		return;
	if (c->api->store_backup(c->api->backup_ctx, file, err) < 0)
		pa_api_set(c, PA_RESULT_ERROR, "%s", err);
	else
		pa_api_set(c, PA_RESULT_SUCCESS, "%.300s", file);
	c->reply->level = c->reply->result == PA_RESULT_SUCCESS ? PA_LOG_INFO : PA_LOG_ERROR;
	c->reply->event = c->reply->result == PA_RESULT_SUCCESS ? "store.backup" : "store.backup-failed";
	pa_log_format(c->reply->fields, sizeof(c->reply->fields), "file=\"%.300s\"", file);
}

static void version_get(struct pa_api_call *c)
{
	pa_api_set(c, PA_RESULT_SUCCESS, "%s", c->api->version);
	pa_api_give(c, json_pack("{s:s, s:s}", "daemon", PA_BROKER_NAME, "version", c->api->version));
}

static void list_commands(struct pa_api_call *c);

static const struct {
	const char *name;
	void (*handle)(struct pa_api_call *c);
} commands[] = {
	{"config-get", config_get},
	{"config-reload", config_reload},
	{"config-test", config_test},
	{"gateway-drain", pa_api_gateway_drain},
	{"gateway-report", pa_api_gateway_report},
	{"gateway-sync", pa_api_gateway_sync},
	{"lease-allocate", pa_api_lease_allocate},
	{"lease-get", lease_get},
	{"lease-get-page", lease_get_page},
	{"lease-release", pa_api_lease_release},
	{"list-commands", list_commands},
	{"pool-recover", pa_api_pool_recover},
	{"pool-stats", pool_stats},
	{"status-get", status_get},
	{"store-backup", store_backup},
	{"subnet-stats", subnet_stats},
	{"version-get", version_get},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void list_commands(struct pa_api_call *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < N_COMMANDS; i++)
		(void)json_array_append_new(list, json_string(commands[i].name));
	pa_api_set(c, PA_RESULT_SUCCESS, "%zu commands", N_COMMANDS);
	pa_api_give(c, json_pack("{s:o}", "commands", list));
}

void pa_api_handle(struct pa_api *api, struct pa_now now, bool admin, const char *name, const json_t *arguments,
		   struct pa_api_reply *ret)
{
	struct pa_api_call call = {.api = api, .now = now, .admin = admin, .reply = ret};
	size_t i = 0;

	memset(ret, 0, sizeof(*ret));
	pa_args_init(&call.args, arguments);
	while (i < N_COMMANDS && strcmp(commands[i].name, name) != 0)
		i++;
	if (i == N_COMMANDS)
		pa_api_set(&call, PA_RESULT_UNSUPPORTED, PA_BROKER_NAME " has no command \"%.64s\"; list-commands tells which there are", name);
	else
		commands[i].handle(&call);
	/* Also a command that only read: it may have read what another one changed and nobody stored yet. */
	ret->commit = pa_lease_has_changes(api->leases);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* What pubaddrctl asks the broker. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/api.h"
#include "broker/ctl.h"
#include "broker/paths.h"
#include "broker/setup.h"
#include "common/edge_client.h"
#include "common/err.h"

#define TIMEOUT_MS 10000
#define PAGE 1000

/* Tells why there is no answer, or that the answer was no; returns the exit code. */
static int report(const struct pa_ctl *ctl, int rc, const char *text)
{
	bool ours = strcmp(ctl->socket, PA_BROKER_SOCKET) == 0;
	int code = rc == PA_RESULT_EMPTY ? PA_CTL_EMPTY : PA_CTL_ERROR;

	if (ctl->json) {
		json_t *json = json_pack("{s:i, s:s}", "result", rc > 0 ? rc : PA_RESULT_ERROR, "text", text);

		pa_ctl_print_json(ctl->out, json);
		json_decref(json);
	} else {
		fprintf(ctl->err, "pubaddrctl: %s%s\n", text,
			rc != PA_ENOTFOUND ? ""
			: ours		   ? "; is " PA_BROKER_NAME " running? --socket names another socket"
					   : "; is the daemon running to which this socket belongs?");
	}
	return code;
}

int pa_ctl_ask(const struct pa_ctl *ctl, const char *command, json_t *arguments, json_t **ret)
{
	char text[PA_CLIENT_ERRLEN];
	json_t *reply = NULL;
	int rc = pa_client_call(ctl->socket, command, arguments, TIMEOUT_MS, &reply, text);

	if (rc == PA_RESULT_SUCCESS) {
		*ret = reply;
		return PA_CTL_OK;
	}
	json_decref(reply);
	return report(ctl, rc, text);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *format_time(json_int_t unix_s, char *dst, size_t cap)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(dst, cap, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(dst, cap, "%lld", (long long)unix_s);
	return dst;
}

static const char *client_of(const json_t *lease)
{
	const char *id = text_of(lease, "client-id");

	return id[0] != '\0' ? id : text_of(lease, "hw-address");
}

static json_t *lease_row(const json_t *lease)
{
	char subnet[24], expires[32];

	(void)snprintf(subnet, sizeof(subnet), "%lld", (long long)number_of(lease, "subnet-id"));
	return json_pack("[s, s, s, s, s, s, s]", text_of(lease, "address"), text_of(lease, "state"),
			 text_of(lease, "realm"), client_of(lease), subnet, text_of(lease, "dhcp-address"),
			 format_time(number_of(lease, "expires"), expires, sizeof(expires)));
}

static void print_leases(const struct pa_ctl *ctl, const json_t *leases)
{
	static const char *const heads[] = {"ADDRESS", "STATE", "REALM", "CLIENT", "SUBNET", "DHCP-ADDRESS", "EXPIRES"};
	json_t *rows = json_array();

	for (size_t i = 0; i < json_array_size(leases); i++)
		(void)json_array_append_new(rows, lease_row(json_array_get(leases, i)));
	pa_ctl_table(ctl->out, heads, sizeof(heads) / sizeof(heads[0]), rows);
	json_decref(rows);
}

int pa_ctl_lease_list(const struct pa_ctl *ctl)
{
	json_t *all = json_array();
	char from[64] = "start", text[PA_CLIENT_ERRLEN];
	size_t got = PAGE;
	int rc = PA_RESULT_SUCCESS;

	while (rc == PA_RESULT_SUCCESS && got == PAGE) {
		json_t *reply = NULL, *leases;

		rc = pa_client_call(ctl->socket, "lease-get-page", json_pack("{s:s, s:i}", "from", from, "limit", PAGE),
				    TIMEOUT_MS, &reply, text);
		leases = json_object_get(reply, "leases");
		got = json_array_size(leases);
		(void)json_array_extend(all, leases);
		if (got > 0)
			(void)snprintf(from, sizeof(from), "%s", text_of(json_array_get(leases, got - 1), "address"));
		json_decref(reply);
	}
	if (rc != PA_RESULT_SUCCESS && rc != PA_RESULT_EMPTY) {
		rc = report(ctl, rc, text);
	} else if (ctl->json) {
		json_t *json = json_pack("{s:O, s:I}", "leases", all, "count", (json_int_t)json_array_size(all));

		pa_ctl_print_json(ctl->out, json);
		json_decref(json);
		rc = json_array_size(all) > 0 ? PA_CTL_OK : PA_CTL_EMPTY;
	} else if (json_array_size(all) == 0) {
		rc = report(ctl, PA_RESULT_EMPTY, "no leases");
	} else {
		print_leases(ctl, all);
		rc = PA_CTL_OK;
	}
	json_decref(all);
	return rc;
}

static void print_lease(const struct pa_ctl *ctl, const json_t *lease)
{
	const char *kind = text_of(lease, "client-id")[0] != '\0' ? "client-id" : "hw-address";
	const char *fingerprint = text_of(lease, "client-key-fingerprint");
	char granted[32], expires[32];

	fprintf(ctl->out, "address                 %s (pool %lld)\n", text_of(lease, "address"),
		(long long)number_of(lease, "pool-id"));
	fprintf(ctl->out, "state                   %s\n", text_of(lease, "state"));
	fprintf(ctl->out, "client                  %s %s in realm %s\n", kind, client_of(lease), text_of(lease, "realm"));
	fprintf(ctl->out, "DHCP lease              %s in subnet %lld\n", text_of(lease, "dhcp-address"),
		(long long)number_of(lease, "subnet-id"));
	fprintf(ctl->out, "granted                 %s\n", format_time(number_of(lease, "granted"), granted, sizeof(granted)));
	fprintf(ctl->out, "expires                 %s\n", format_time(number_of(lease, "expires"), expires, sizeof(expires)));
	fprintf(ctl->out, "epoch                   %lld\n", (long long)number_of(lease, "epoch"));
	fprintf(ctl->out, "client key fingerprint  %s\n", fingerprint[0] != '\0' ? fingerprint : "none sent");
}

int pa_ctl_lease_get(const struct pa_ctl *ctl, const char *addr)
{
	json_t *reply;
	int rc = pa_ctl_ask(ctl, "lease-get", json_pack("{s:s}", "address", addr), &reply);

	if (rc != PA_CTL_OK)
		return rc;
	if (ctl->json)
		pa_ctl_print_json(ctl->out, reply);
	else
		print_lease(ctl, json_object_get(reply, "lease"));
	json_decref(reply);
	return PA_CTL_OK;
}

/* A release names its lease with the epoch, so that it cannot hit one that began after we looked. */
int pa_ctl_lease_release(const struct pa_ctl *ctl, const char *addr)
{
	static const char *const names[] = {"realm", "subnet-id", "dhcp-address", "client-id", "hw-address", "epoch"};
	json_t *reply, *arguments;
	int rc = pa_ctl_ask(ctl, "lease-get", json_pack("{s:s}", "address", addr), &reply);

	if (rc != PA_CTL_OK)
		return rc;
	arguments = json_object();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *v = json_object_get(json_object_get(reply, "lease"), names[i]);

		if (v != NULL)
			(void)json_object_set(arguments, names[i], v);
	}
	json_decref(reply);
	rc = pa_ctl_ask(ctl, "lease-release", arguments, &reply);
	if (rc != PA_CTL_OK)
		return rc;
	if (ctl->json)
		pa_ctl_print_json(ctl->out, reply);
	else
		fprintf(ctl->out, "released %s; it rests before another client can get it\n", text_of(reply, "address"));
	json_decref(reply);
	return PA_CTL_OK;
}

static json_t *pool_row(const json_t *pool)
{
	static const char *const keys[] = {"total", "active", "resting", "reserved", "free"};
	json_int_t until = number_of(pool, "recovering-until");
	char text[5][24], id[24], recovers[32];

	(void)snprintf(id, sizeof(id), "%lld", (long long)number_of(pool, "id"));
	for (int i = 0; i < 5; i++)
		(void)snprintf(text[i], sizeof(text[i]), "%lld", (long long)number_of(pool, keys[i]));
	return json_pack("[s, s, s, s, s, s, s, s, s]", id, text_of(pool, "name"), text_of(pool, "prefix"), text[0], text[1],
			 text[2], text[3], text[4], until > 0 ? format_time(until, recovers, sizeof(recovers)) : "no");
}

int pa_ctl_pool_stats(const struct pa_ctl *ctl)
{
	static const char *const heads[] = {"ID", "NAME", "PREFIX", "TOTAL", "ACTIVE", "RESTING", "RESERVED", "FREE",
					     "RECOVERS-UNTIL"};
	json_t *reply, *pools, *rows;
	int rc = pa_ctl_ask(ctl, "pool-stats", NULL, &reply);

	if (rc != PA_CTL_OK)
		return rc;
	pools = json_object_get(reply, "pools");
	if (ctl->json) {
		pa_ctl_print_json(ctl->out, reply);
	} else {
		rows = json_array();
		for (size_t i = 0; i < json_array_size(pools); i++)
			(void)json_array_append_new(rows, pool_row(json_array_get(pools, i)));
		pa_ctl_table(ctl->out, heads, sizeof(heads) / sizeof(heads[0]), rows);
		json_decref(rows);
	}
	json_decref(reply);
	return PA_CTL_OK;
}

static json_t *subnet_row(const json_t *subnet, const char *limit)
{
	char id[24], held[24], refused[24];

	(void)snprintf(id, sizeof(id), "%lld", (long long)number_of(subnet, "subnet-id"));
	(void)snprintf(held, sizeof(held), "%lld", (long long)number_of(subnet, "held"));
	(void)snprintf(refused, sizeof(refused), "%lld", (long long)number_of(subnet, "refused"));
	return json_pack("[s, s, s, s, s]", text_of(subnet, "realm"), id, held, limit, refused);
}

int pa_ctl_subnet_stats(const struct pa_ctl *ctl)
{
	static const char *const heads[] = {"REALM", "SUBNET", "HELD", "LIMIT", "REFUSED"};
	json_t *reply, *subnets, *rows;
	int rc = pa_ctl_ask(ctl, "subnet-stats", NULL, &reply);
	char limit[24];

	if (rc != PA_CTL_OK)
		return rc;
	if (ctl->json) {
		pa_ctl_print_json(ctl->out, reply);
	} else {
		subnets = json_object_get(reply, "subnets");
		(void)snprintf(limit, sizeof(limit), "%lld", (long long)number_of(reply, "limit"));
		rows = json_array();
		for (size_t i = 0; i < json_array_size(subnets); i++)
			(void)json_array_append_new(rows, subnet_row(json_array_get(subnets, i),
								     number_of(reply, "limit") > 0 ? limit : "none"));
		pa_ctl_table(ctl->out, heads, sizeof(heads) / sizeof(heads[0]), rows);
		json_decref(rows);
	}
	json_decref(reply);
	return PA_CTL_OK;
}

static json_t *gateway_row(const json_t *g)
{
	const json_t *seen = json_object_get(g, "last-seen-ms");
	char acknowledged[24], ago[32] = "never", skew[48] = "not known";

	(void)snprintf(acknowledged, sizeof(acknowledged), "%lld", (long long)number_of(g, "acknowledged"));
	if (seen != NULL) {
		(void)snprintf(ago, sizeof(ago), "%lld s ago", (long long)(json_integer_value(seen) / 1000));
		(void)snprintf(skew, sizeof(skew), "%+.1f s%s", (double)number_of(g, "clock-skew-ms") / 1000,
			       json_is_true(json_object_get(g, "clock-alarm")) ? ", too much" : "");
	}
	return json_pack("[s, s, s, s, s, s, s]", text_of(g, "name"), json_is_true(json_object_get(g, "connected")) ? "yes" : "no",
			 json_is_true(json_object_get(g, "drained")) ? "yes" : "no", acknowledged,
			 json_is_true(json_object_get(g, "up-to-date")) ? "yes" : "no", ago, skew);
}

static void print_gateways(const struct pa_ctl *ctl, const json_t *list)
{
	static const char *const heads[] = {"GATEWAY", "CONNECTED", "DRAINED", "ACKNOWLEDGED", "UP-TO-DATE", "LAST-SEEN", "CLOCK"};
	json_t *rows;

	if (json_array_size(list) == 0)
		return;
	rows = json_array();
	for (size_t i = 0; i < json_array_size(list); i++)
		(void)json_array_append_new(rows, gateway_row(json_array_get(list, i)));
	fprintf(ctl->out, "\n");
	pa_ctl_table(ctl->out, heads, sizeof(heads) / sizeof(heads[0]), rows);
	json_decref(rows);
}

int pa_ctl_status(const struct pa_ctl *ctl)
{
	json_t *reply, *counters, *value;
	const char *key;
	int rc = pa_ctl_ask(ctl, "status-get", NULL, &reply);

	if (rc != PA_CTL_OK)
		return rc;
	if (ctl->json) {
		pa_ctl_print_json(ctl->out, reply);
	} else if (!pa_ctl_is_broker(reply)) {
		pa_ctl_print_daemon(ctl->out, reply);
	} else {
		fprintf(ctl->out, PA_BROKER_NAME " %s, pid %lld, up %lld s\n", text_of(reply, "version"),
			(long long)number_of(reply, "pid"), (long long)number_of(reply, "uptime"));
		fprintf(ctl->out, "database         %s\n", text_of(reply, "database"));
		fprintf(ctl->out, "active leases    %lld\n", (long long)number_of(reply, "active-leases"));
		fprintf(ctl->out, "known addresses  %lld\n", (long long)number_of(reply, "known-addresses"));
		counters = json_object_get(reply, "counters");
		json_object_foreach (counters, key, value)
			fprintf(ctl->out, "%-16s %lld\n", key, (long long)json_integer_value(value));
		print_gateways(ctl, json_object_get(reply, "gateways"));
	}
	json_decref(reply);
	return PA_CTL_OK;
}

static int done(const struct pa_ctl *ctl, json_t *reply, const char *text)
{
	if (ctl->json)
		fprintf(ctl->out, "{\"result\":0}\n");
	else
		fprintf(ctl->out, "%s\n", text);
	json_decref(reply);
	return PA_CTL_OK;
}

int pa_ctl_pool_recover(const struct pa_ctl *ctl, uint16_t pool_id, uint32_t seconds)
{
	json_t *reply;
	int rc = pa_ctl_ask(ctl, "pool-recover", json_pack("{s:i, s:I}", "pool-id", (int)pool_id, "seconds", (json_int_t)seconds), &reply);

	return rc == PA_CTL_OK ? done(ctl, reply, seconds > 0 ? "the pool recovers" : "the pool does not recover any more") : rc;
}

int pa_ctl_reload(const struct pa_ctl *ctl)
{
	json_t *reply;
	int rc = pa_ctl_ask(ctl, "config-reload", NULL, &reply);

	return rc == PA_CTL_OK ? done(ctl, reply, "configuration and keys are in use") : rc;
}

int pa_ctl_backup(const struct pa_ctl *ctl, const char *file)
{
	char path[PATH_MAX], cwd[PATH_MAX];
	json_t *reply;
	int rc;

	if (file[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		cwd[0] = '\0';
	if (snprintf(path, sizeof(path), "%s%s%s", cwd, cwd[0] != '\0' ? "/" : "", file) >= (int)sizeof(path))
		return report(ctl, PA_RESULT_ERROR, "the name is too long");
	rc = pa_ctl_ask(ctl, "store-backup", json_pack("{s:s}", "file", path), &reply);
	return rc == PA_CTL_OK ? done(ctl, reply, path) : rc;
}

int pa_ctl_config_test(const struct pa_ctl *ctl, const char *file)
{
	char err[PA_CONF_ERRLEN];
	int rc = pa_setup_test(file, err);

	if (rc < 0)
		return report(ctl, PA_RESULT_ERROR, err);
	if (ctl->json)
		fprintf(ctl->out, "{\"result\":0}\n");
	else
		fprintf(ctl->out, "%s: configuration and keys are good\n", file);
	return PA_CTL_OK;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "client-hook/deliver.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/command.h"
#include "common/cred.h"
#include "common/edge_client.h"
#include "common/err.h"
#include "common/hex.h"

static json_t *address_json(const struct pa_addr *a)
{
	char text[PA_ADDR_STRLEN];

	return json_string(pa_addr_format(a, text));
}

static int set_address(json_t *obj, const char *key, const struct pa_addr *a)
{
	return pa_addr_is_none(a) ? 0 : json_object_set_new(obj, key, address_json(a));
}

static int set_list(json_t *obj, const char *key, const struct pa_addr *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(array, address_json(&list[i])) < 0)
			break;
	return json_object_set_new(obj, key, array);
}

int pa_dhcp_describe(const struct pa_dhcp_env *env, json_t *obj)
{
	if (json_object_set_new(obj, "lease-time", json_integer((json_int_t)env->lease_time)) == 0 &&
	    set_address(obj, "dhcp-address", &env->address) == 0 && set_address(obj, "dhcp-server", &env->server) == 0 &&
	    set_list(obj, "routers", env->routers, env->n_routers) == 0 &&
	    set_list(obj, "resolvers", env->resolvers, env->n_resolvers) == 0)
		return 0;
	return PA_ENOMEM;
}

/* The arguments of grant-put, a new reference; NULL without memory. */
static json_t *put_arguments(const struct pa_dhcp_env *env, uint64_t received_ms)
{
	char hex[2 * PA_GRANT_MAX + 1];
	json_t *args = json_pack("{s:s, s:s, s:I}", "grant", pa_hex_encode(env->grant, env->grant_len, hex), "reason",
				 env->reason, "received", (json_int_t)received_ms);

	pa_wipe(hex, sizeof(hex));
	if (args != NULL && pa_dhcp_describe(env, args) == 0)
		return args;
	json_decref(args);
	return NULL;
}

/* Writes RUNDIR/PREFIX-IFACE.SUFFIX; the interface's name was checked when it was read. */
static int make_path(char dst[PATH_MAX], const char *run_dir, const char *prefix, const char *interface,
		     const char *suffix, char err[PA_DHCP_DELIVER_ERRLEN])
{
	int n = snprintf(dst, PATH_MAX, "%s/%s-%s.%s", run_dir, prefix, interface, suffix);

	if (n > 0 && n < PATH_MAX)
		return 0;
	(void)snprintf(err, PA_DHCP_DELIVER_ERRLEN, "%.200s: the name of the run directory is too long", run_dir);
	return PA_EIO;
}

static int write_pending(const char *path, const char *run_dir, const json_t *args,
			 char err[PA_DHCP_DELIVER_ERRLEN])
{
	char detail[PA_FILE_ERRLEN];
	size_t len;
	char *line = pa_json_line(args, &len);
	int rc;

	if (line == NULL) {
		(void)snprintf(err, PA_DHCP_DELIVER_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	rc = pa_dir_create(run_dir, 0755, detail);
	if (rc == 0)
		rc = pa_file_write(path, line, len, 0600, detail);
	if (rc < 0) {
		(void)snprintf(err, PA_DHCP_DELIVER_ERRLEN, "%s", detail);
		rc = PA_EIO;
	}
	pa_wipe(line, len);
	free(line);
	return rc;
}

static int remove_file(const char *path, char err[PA_DHCP_DELIVER_ERRLEN])
{
	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	(void)snprintf(err, PA_DHCP_DELIVER_ERRLEN, "%.200s: cannot remove: %s", path, strerror(errno));
	return PA_EIO;
}

/* One command; args is taken; err gets the text of the reply or of the error. Returns what pa_client_call does. */
static int call(const char *path, const char *command, json_t *args, int timeout_ms,
		char err[PA_DHCP_DELIVER_ERRLEN])
{
	char text[PA_CLIENT_ERRLEN] = "";
	json_t *reply = NULL;
	int rc = pa_client_call(path, command, args, timeout_ms, &reply, text);

	json_decref(reply);
	(void)snprintf(err, PA_DHCP_DELIVER_ERRLEN, "%s", text);
	return rc;
}

int pa_dhcp_put(const struct pa_dhcp_env *env, const char *run_dir, uint64_t received_ms, int timeout_ms,
		char err[PA_DHCP_DELIVER_ERRLEN])
{
	char socket_path[PATH_MAX], pending[PATH_MAX], why[PA_DHCP_DELIVER_ERRLEN];
	json_t *args;
	int rc, written;

	if (make_path(socket_path, run_dir, "tunneld", env->interface, "sock", err) < 0 ||
	    make_path(pending, run_dir, "pending", env->interface, "json", err) < 0)
		return PA_EIO;
	args = put_arguments(env, received_ms);
	if (args == NULL) {
		(void)snprintf(err, PA_DHCP_DELIVER_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	rc = call(socket_path, "grant-put", json_incref(args), timeout_ms, err);
	if (rc < 0) {
		written = write_pending(pending, run_dir, args, why);
		if (written < 0) {
			(void)snprintf(err, PA_DHCP_DELIVER_ERRLEN, "%s", why);
			rc = written;
		} else if (rc == PA_ENOTFOUND) {
			/* The daemon may have started since, and have looked for the file before it was there. */
			rc = call(socket_path, "grant-put", json_incref(args), timeout_ms, err);
		}
	}
	if (rc >= 0) {
		/* The daemon knows now; what waited for it is of no use any more. */
		(void)remove_file(pending, why);
		rc = rc == PA_RESULT_SUCCESS ? PA_DHCP_DELIVERED : PA_EDENIED;
	}
	if (rc == PA_ENOTFOUND)
		rc = PA_DHCP_PENDING;
	json_decref(args);
	return rc;
}

int pa_dhcp_end(const struct pa_dhcp_env *env, const char *run_dir, int timeout_ms, char err[PA_DHCP_DELIVER_ERRLEN])
{
	char socket_path[PATH_MAX], pending[PATH_MAX], kept[PATH_MAX];
	json_t *args;
	int rc;

	if (make_path(socket_path, run_dir, "tunneld", env->interface, "sock", err) < 0 ||
	    make_path(pending, run_dir, "pending", env->interface, "json", err) < 0 ||
	    make_path(kept, run_dir, "tunneld", env->interface, "state", err) < 0)
		return PA_EIO;
	/* First of all, so that a daemon that starts just now does not take what has ended; nor what one that stopped had. */
	rc = remove_file(pending, err);
	if (rc == 0)
		rc = remove_file(kept, err);
	if (rc < 0)
		return rc;
	args = json_pack("{s:s}", "reason", env->reason);
	if (args == NULL) {
		(void)snprintf(err, PA_DHCP_DELIVER_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	rc = call(socket_path, "grant-end", args, timeout_ms, err);
	if (rc == PA_RESULT_SUCCESS || rc == PA_RESULT_EMPTY) /* empty: there was none */
		return PA_DHCP_DELIVERED;
	if (rc == PA_ENOTFOUND)
		return PA_DHCP_NOBODY;
	return rc > 0 ? PA_EDENIED : rc;
}

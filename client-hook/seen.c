/* SPDX-License-Identifier: MPL-2.0 */
#include "client-hook/seen.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "client-hook/decide.h"
#include "client-hook/deliver.h"
#include "common/command.h"
#include "common/err.h"

static json_t *record(const struct pa_dhcp_env *env, uint64_t received_ms, int cause)
{
	const char *option = pa_dhcp_is_end(env) ? "gone" : cause < 0 ? "unreadable" : env->grant_len > 0 ? "grant" : "none";
	json_t *obj = json_pack("{s:s, s:s, s:I}", "reason", env->reason, "option", option, "received", (json_int_t)received_ms);

	if (env->asked_known)
		(void)json_object_set_new(obj, "asked", json_boolean(env->asked));
	if (cause < 0)
		(void)json_object_set_new(obj, "cause", json_string(pa_strerror(cause)));
	if (obj != NULL && pa_dhcp_is_lease(env) && pa_dhcp_describe(env, obj) < 0) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}

int pa_dhcp_seen(const struct pa_dhcp_env *env, const char *run_dir, uint64_t received_ms, int cause,
		 char err[PA_FILE_ERRLEN])
{
	char path[PATH_MAX], *line;
	json_t *obj;
	size_t len;
	int rc;

	if (!pa_dhcp_is_lease(env) && !pa_dhcp_is_end(env))
		return 0;
	if (snprintf(path, sizeof(path), "%s/dhcp-%s.json", run_dir, env->interface) >= (int)sizeof(path)) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%.200s: the name of the run directory is too long", run_dir);
		return PA_EINVAL;
	}
	obj = record(env, received_ms, cause);
	line = obj != NULL ? pa_json_line(obj, &len) : NULL;
	json_decref(obj);
	if (line == NULL) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s", pa_strerror(PA_ENOMEM));
		return PA_ENOMEM;
	}
	rc = pa_dir_create(run_dir, 0755, err);
	if (rc == 0)
		rc = pa_file_write(path, line, len, 0644, err);
	free(line);
	return rc;
}

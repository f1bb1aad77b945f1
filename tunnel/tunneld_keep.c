/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_keep.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/command.h"
#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/hex.h"
#include "common/log.h"

#define VERSION 1

struct pa_keep {
	char path[PATH_MAX];
	json_t *args;	   /* NULL: no grant was put */
	bool stale;	   /* args are not in the file */
	bool on_disk, resting, failing;
	bool has_session;  /* in the file */
	uint8_t session[PA_CLIENT_SAVED_LEN];
};

int pa_keep_new(const char *run_dir, const char *iface, struct pa_keep **ret)
{
	struct pa_keep *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return PA_ENOMEM;
	if (snprintf(k->path, sizeof(k->path), "%s/tunneld-%s.state", run_dir, iface) >= (int)sizeof(k->path)) {
		free(k);
		return PA_EINVAL;
	}
	*ret = k;
	return 0;
}

void pa_keep_free(struct pa_keep *k)
{
	if (k == NULL)
		return;
	json_decref(k->args);
	pa_wipe(k, sizeof(*k));
	free(k);
}

/* ---- reading ---- */

static bool take_session(const json_t *root, struct pa_client_saved *s)
{
	const char *hex = json_string_value(json_object_get(root, "session"));
	uint8_t buf[PA_CLIENT_SAVED_LEN];
	bool good;

	if (hex == NULL)
		return false;
	good = pa_hex_decode(hex, buf, sizeof(buf)) == (int)sizeof(buf) && pa_client_saved_decode(buf, s) == 0;
	pa_wipe(buf, sizeof(buf));
	return good;
}

void pa_keep_read(struct pa_keep *k, json_t **ret_args, bool *ret_session, struct pa_client_saved *s)
{
	char err[PA_FILE_ERRLEN], *text;
	json_t *root, *args;
	size_t len;
	int rc = pa_file_read(k->path, true, &text, &len, err);

	*ret_args = NULL;
	*ret_session = false;
	if (rc == PA_ENOTFOUND)
		return;
	k->on_disk = true;
	if (rc < 0) {
		pa_log(PA_LOG_WARN, "state.unreadable", "reason=\"%s\"", err);
		return;
	}
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	pa_wipe(text, len);
	free(text);
	args = json_object_get(root, "grant-put");
	if (json_is_object(args) && json_integer_value(json_object_get(root, "version")) == VERSION) {
		*ret_args = json_incref(args);
		*ret_session = take_session(root, s);
	} else {
		pa_log(PA_LOG_WARN, "state.unreadable", "reason=\"%s: not a state file of this version\"", k->path);
	}
	json_decref(root);
}

/* ---- writing ---- */

void pa_keep_grant(struct pa_keep *k, const json_t *args, uint64_t boot_ms)
{
	const char *hex = json_string_value(json_object_get(args, "grant"));
	const char *old = json_string_value(json_object_get(k->args, "grant"));
	json_t *copy;

	if (hex == NULL || (old != NULL && strcmp(hex, old) == 0))
		return; /* the same option again: its lifetime counts from the first time */
	copy = json_deep_copy(args);
	if (copy == NULL)
		return;
	if (json_object_get(copy, "received") == NULL)
		(void)json_object_set_new(copy, "received", json_integer((json_int_t)boot_ms));
	json_decref(k->args);
	k->args = copy;
	k->stale = true;
}

static void forget(struct pa_keep *k)
{
	json_decref(k->args);
	k->args = NULL;
	k->has_session = false;
	pa_wipe(k->session, sizeof(k->session));
	if (k->on_disk && unlink(k->path) < 0 && errno != ENOENT)
		pa_log(PA_LOG_ERROR, "state.unwritable", "reason=\"%s: cannot remove: %s\"", k->path, strerror(errno));
	k->on_disk = false;
}

static void put_file(struct pa_keep *k, const uint8_t *session)
{
	char hex[2 * PA_CLIENT_SAVED_LEN + 1], err[PA_FILE_ERRLEN] = "out of memory", *line = NULL;
	json_t *root = json_pack("{s:i, s:O}", "version", VERSION, "grant-put", k->args);
	int rc = PA_ENOMEM;
	size_t len;

	if (root != NULL && session != NULL) {
		pa_hex_encode(session, PA_CLIENT_SAVED_LEN, hex);
		(void)json_object_set_new(root, "session", json_string(hex));
		pa_wipe(hex, sizeof(hex));
	}
	line = root != NULL ? pa_json_line(root, &len) : NULL;
	if (line != NULL) {
		rc = pa_file_write(k->path, line, len, 0600, err);
		pa_wipe(line, len);
		free(line);
	}
	json_decref(root);
	if (rc < 0 && !k->failing)
		pa_log(PA_LOG_ERROR, "state.unwritable", "reason=\"%s\"", err);
	k->failing = rc < 0;
	if (rc < 0)
		return;
	k->on_disk = true;
	k->stale = false;
	k->has_session = session != NULL;
	if (session != NULL)
		memcpy(k->session, session, sizeof(k->session));
}

void pa_keep_write(struct pa_keep *k, const struct pa_client *cl)
{
	uint8_t session[PA_CLIENT_SAVED_LEN];
	struct pa_client_status status;
	struct pa_client_saved s;
	bool has;

	if (k->resting)
		return;
	pa_client_status_get(cl, &status);
	if (status.state == PA_CLIENT_IDLE || k->args == NULL) {
		if (k->args != NULL || k->on_disk)
			forget(k);
		return;
	}
	has = pa_client_save(cl, &s) && pa_client_saved_encode(&s, session) == 0;
	if (k->stale || has != k->has_session || (has && memcmp(session, k->session, sizeof(session)) != 0))
		put_file(k, has ? session : NULL);
	pa_wipe(&s, sizeof(s));
	pa_wipe(session, sizeof(session));
}

void pa_keep_rest(struct pa_keep *k)
{
	if (k->args != NULL && !k->resting)
		put_file(k, NULL);
	k->resting = true;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_state.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"

static int make_key(const char *path, char err[PA_FILE_ERRLEN])
{
	struct pa_key key = {.kind = PA_KEY_CLIENT};
	uint8_t public_key[PA_KEY_LEN];
	char line[PA_KEYFILE_LINELEN], folder[PATH_MAX];
	size_t n;
	int rc;

	(void)snprintf(folder, sizeof(folder), "%s", path);
	rc = pa_dir_create(dirname(folder), 0755, err);
	if (rc < 0)
		return rc;
	pa_keypair_new(key.key, public_key);
	n = pa_key_format(&key, line);
	rc = pa_file_create(path, line, n, 0600, err);
	pa_wipe(&key, sizeof(key));
	pa_wipe(line, sizeof(line));
	return rc == PA_EEXIST ? 0 : rc;
}

int pa_client_key_load(const char *path, uint8_t secret_key[PA_KEY_LEN], char err[PA_FILE_ERRLEN])
{
	struct pa_keyring *ring = NULL;
	const struct pa_key *key;
	int rc = pa_keyring_load(path, &ring, err);

	if (rc == PA_ENOTFOUND) {
		rc = make_key(path, err);
		if (rc == 0)
			rc = pa_keyring_load(path, &ring, err);
	}
	if (rc < 0)
		return rc;
	key = pa_keyring_first(ring, PA_KEY_CLIENT);
	if (key != NULL) {
		memcpy(secret_key, key->key, PA_KEY_LEN);
	} else {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s: holds no client key; move it away, and a new one is made", path);
		rc = PA_EFORMAT;
	}
	pa_keyring_free(ring);
	return rc;
}

int pa_bind_load(const char *path, uint64_t *ret, char err[PA_FILE_ERRLEN])
{
	char *text, *end;
	uint64_t v;
	size_t len;
	int rc = pa_file_read(path, true, &text, &len, err); /* a number that somebody else raised would keep us from binding */

	if (rc == PA_ENOTFOUND) {
		*ret = 0;
		return 0;
	}
	if (rc < 0)
		return rc;
	errno = 0;
	v = strtoumax(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || errno != 0 || strspn(end, " \t\r\n") != strlen(end)) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s: expected one decimal number; remove the file if this host's clock is right",
			       path);
		rc = PA_EFORMAT;
	} else {
		*ret = v;
	}
	free(text);
	return rc;
}

int pa_bind_next(const char *path, uint64_t unix_ms, uint64_t *last, char err[PA_FILE_ERRLEN])
{
	char text[24];
	int n;

	*last = *last + 1 > unix_ms ? *last + 1 : unix_ms;
	n = snprintf(text, sizeof(text), "%" PRIu64 "\n", *last);
	return pa_file_write(path, text, (size_t)n, 0600, err);
}

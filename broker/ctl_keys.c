/* SPDX-License-Identifier: MPL-2.0 */
/* The key files that pubaddrctl makes. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/ctl.h"
#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/hex.h"
#include "common/keyfile.h"

int pa_ctl_fail(const struct pa_ctl *ctl, const char *text)
{
	if (ctl->json) {
		json_t *json = json_pack("{s:i, s:s}", "result", 1, "text", text);

		pa_ctl_print_json(ctl->out, json);
		json_decref(json);
	} else {
		fprintf(ctl->err, "pubaddrctl: %s\n", text);
	}
	return PA_CTL_ERROR;
}

uid_t pa_ctl_owner(const char *file)
{
	struct stat st;

	return geteuid() == 0 && stat(file, &st) == 0 ? st.st_uid : (uid_t)-1;
}

static int load(const char *file, struct pa_keyring **ret, char err[PA_FILE_ERRLEN])
{
	return pa_keyring_load_as(file, pa_ctl_owner(file), ret, err);
}

static int create(const struct pa_ctl *ctl, const char *file, const struct pa_key *key)
{
	char line[PA_KEYFILE_LINELEN], err[PA_FILE_ERRLEN], text[PA_FILE_ERRLEN + 64];
	size_t len = pa_key_format(key, line);
	int rc = pa_file_create(file, line, len, 0600, err);

	pa_wipe(line, sizeof(line));
	if (rc == 0)
		return PA_CTL_OK;
	(void)snprintf(text, sizeof(text), "%s%s", err,
		       rc == PA_EEXIST ? "; a key is never overwritten: name another file, or move this one away" : "");
	return pa_ctl_fail(ctl, text);
}

int pa_ctl_key_new(const struct pa_ctl *ctl, const char *file)
{
	struct pa_key key = {.kind = PA_KEY_MASTER, .key_id = 1};
	int rc;

	pa_random(key.key, sizeof(key.key));
	rc = create(ctl, file, &key);
	pa_wipe(&key, sizeof(key));
	if (rc != PA_CTL_OK)
		return rc;
	if (ctl->json) {
		json_t *json = json_pack("{s:i, s:s, s:i}", "result", 0, "file", file, "key-id", 1);

		pa_ctl_print_json(ctl->out, json);
		json_decref(json);
	} else {
		fprintf(ctl->out, "%s: new master key, id 1. Keep it on the broker only.\n", file);
	}
	return PA_CTL_OK;
}

static void print_public(const struct pa_ctl *ctl, const char *file, const uint8_t public_key[PA_KEY_LEN])
{
	char hex[2 * PA_KEY_LEN + 1];

	pa_hex_encode(public_key, PA_KEY_LEN, hex);
	if (ctl->json) {
		json_t *json = json_pack("{s:i, s:s, s:s}", "result", 0, "file", file, "public-key", hex);

		pa_ctl_print_json(ctl->out, json);
		json_decref(json);
	} else {
		fprintf(ctl->out, "%s\n", hex);
	}
}

int pa_ctl_key_new_gateway(const struct pa_ctl *ctl, const char *file)
{
	struct pa_key key = {.kind = PA_KEY_GATEWAY};
	uint8_t public_key[PA_KEY_LEN];
	int rc;

	pa_keypair_new(key.key, public_key);
	rc = create(ctl, file, &key);
	pa_wipe(&key, sizeof(key));
	if (rc != PA_CTL_OK)
		return rc;
	if (!ctl->json)
		fprintf(ctl->err, "%s: new gateway key; its public key, for gateway-groups in brokerd.conf:\n", file);
	print_public(ctl, file, public_key);
	return PA_CTL_OK;
}

/* Lines that are in the file already are left out; PA_EEXIST if one of the same ids has another key. */
static int derive_lines(const struct pa_keyring *masters, const struct pa_keyring *have, uint16_t pool_id, int key_id,
			char *lines)
{
	int rc = 0;

	lines[0] = '\0';
	for (size_t i = 0; i < pa_keyring_count(masters) && rc == 0; i++) {
		const struct pa_key *m = pa_keyring_at(masters, i), *old = NULL;
		struct pa_key key = {.kind = PA_KEY_POOL, .key_id = m->key_id, .pool_id = pool_id};

		if (m->kind != PA_KEY_MASTER || (key_id >= 0 && m->key_id != key_id))
			continue;
		pa_derive_pool_key(m->key, m->key_id, pool_id, key.key);
		if (have != NULL)
			old = pa_keyring_find(have, PA_KEY_POOL, m->key_id, pool_id);
		if (old == NULL)
			lines += pa_key_format(&key, lines);
		else if (!pa_secret_eq(old->key, key.key, PA_KEY_LEN))
			rc = PA_EEXIST;
		pa_wipe(&key, sizeof(key));
	}
	return rc;
}

/* Replaces the gateway's file by itself with the lines behind. */
static int append(const char *file, const char *lines, char err[PA_FILE_ERRLEN])
{
	size_t len, add = strlen(lines);
	char *text, *joined;
	int rc = pa_file_read_as(file, pa_ctl_owner(file), &text, &len, err);

	if (rc < 0)
		return rc;
	joined = malloc(len + 1 + add);
	if (joined == NULL) {
		(void)snprintf(err, PA_FILE_ERRLEN, "out of memory");
		rc = PA_ENOMEM;
	} else {
		size_t n = len;

		memcpy(joined, text, len);
		if (n > 0 && joined[n - 1] != '\n')
			joined[n++] = '\n';
		memcpy(joined + n, lines, add);
		rc = pa_file_rewrite(file, joined, n + add, err);
		pa_wipe(joined, n + add);
	}
	pa_wipe(text, len);
	free(text);
	free(joined);
	return rc;
}

static int put_lines(const struct pa_ctl *ctl, const char *lines, uint16_t pool_id, const char *gateway_file)
{
	char err[PA_FILE_ERRLEN];

	if (gateway_file == NULL) {
		fputs(lines, ctl->out);
		return PA_CTL_OK;
	}
	if (lines[0] != '\0' && append(gateway_file, lines, err) < 0)
		return pa_ctl_fail(ctl, err);
	if (ctl->json)
		fprintf(ctl->out, "{\"result\":0}\n");
	else
		fprintf(ctl->out, "%s: %s the key of pool %u\n", gateway_file, lines[0] != '\0' ? "added" : "has already",
			(unsigned)pool_id);
	return PA_CTL_OK;
}

int pa_ctl_key_pool(const struct pa_ctl *ctl, uint16_t pool_id, int key_id, const char *master_file, const char *gateway_file)
{
	struct pa_keyring *masters = NULL, *have = NULL;
	char err[PA_FILE_ERRLEN], text[PA_FILE_ERRLEN + 96], *lines = NULL;
	size_t cap = 0;
	int rc;

	if (load(master_file, &masters, err) < 0 ||
	    (gateway_file != NULL && load(gateway_file, &have, err) < 0)) {
		rc = pa_ctl_fail(ctl, err);
		goto out;
	}
	if (key_id >= 0 && pa_keyring_find(masters, PA_KEY_MASTER, (uint8_t)key_id, 0) == NULL) {
		(void)snprintf(text, sizeof(text), "%s: holds no master key of id %d", master_file, key_id);
		rc = pa_ctl_fail(ctl, text);
		goto out;
	}
	if (pa_keyring_first(masters, PA_KEY_MASTER) == NULL) {
		(void)snprintf(text, sizeof(text), "%s: holds no master key; 'pubaddrctl key new' makes one", master_file);
		rc = pa_ctl_fail(ctl, text);
		goto out;
	}
	cap = pa_keyring_count(masters) * PA_KEYFILE_LINELEN + 1;
	lines = calloc(1, cap);
	if (lines == NULL) {
		rc = pa_ctl_fail(ctl, "out of memory");
	} else if (derive_lines(masters, have, pool_id, key_id, lines) < 0) {
		(void)snprintf(text, sizeof(text), "%s: has another key of pool %u; remove that line first, or name the master "
			       "key file that it was derived from", gateway_file, (unsigned)pool_id);
		rc = pa_ctl_fail(ctl, text);
	} else {
		rc = put_lines(ctl, lines, pool_id, gateway_file);
	}
out:
	if (lines != NULL)
		pa_wipe(lines, cap);
	free(lines);
	pa_keyring_free(masters);
	pa_keyring_free(have);
	return rc;
}

int pa_ctl_key_public(const struct pa_ctl *ctl, const char *file)
{
	char err[PA_FILE_ERRLEN], text[PA_FILE_ERRLEN];
	uint8_t public_key[PA_KEY_LEN];
	struct pa_keyring *keys;
	const struct pa_key *key;
	int rc = PA_CTL_OK;

	if (load(file, &keys, err) < 0)
		return pa_ctl_fail(ctl, err);
	key = pa_keyring_first(keys, PA_KEY_GATEWAY);
	if (key == NULL)
		key = pa_keyring_first(keys, PA_KEY_CLIENT);
	if (key == NULL) {
		(void)snprintf(text, sizeof(text), "%.200s: holds no gateway or client key", file);
		rc = pa_ctl_fail(ctl, text);
	} else {
		pa_keypair_public(key->key, public_key);
		print_public(ctl, file, public_key);
	}
	pa_keyring_free(keys);
	return rc;
}

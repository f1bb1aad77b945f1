/* SPDX-License-Identifier: MPL-2.0 */
/* Changing keys while grants of the former ones are about: a new one in front, and later the old one out. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/ctl.h"
#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"

struct keyfile {
	char *text;
	size_t len;
	struct pa_keyring *keys;
};

static void close_file(struct keyfile *f)
{
	if (f->text != NULL)
		pa_wipe(f->text, f->len);
	free(f->text);
	pa_keyring_free(f->keys);
}

/* Text and keys of the file. */
static int open_file(const char *file, struct keyfile *ret, char err[PA_FILE_ERRLEN])
{
	char detail[PA_KEYFILE_ERRLEN];
	int rc;

	memset(ret, 0, sizeof(*ret));
	rc = pa_file_read_as(file, pa_ctl_owner(file), &ret->text, &ret->len, err);
	if (rc < 0)
		return rc;
	rc = pa_keyring_parse(file, ret->text, ret->len, &ret->keys, detail);
	if (rc < 0) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s", detail);
		close_file(ret);
	}
	return rc;
}

/* One above the highest, so that nobody takes an old key's lines for the new one's; then whichever is free. -1: none is. */
static int new_id(const struct pa_keyring *keys)
{
	int id = 0;

	for (size_t i = 0; i < pa_keyring_count(keys); i++)
		if (pa_keyring_at(keys, i)->kind == PA_KEY_MASTER && pa_keyring_at(keys, i)->key_id > id)
			id = pa_keyring_at(keys, i)->key_id;
	if (id < 255)
		return id + 1;
	for (id = 1; id < 255; id++)
		if (pa_keyring_find(keys, PA_KEY_MASTER, (uint8_t)id, 0) == NULL)
			return id;
	return -1;
}

static int put_in_front(const char *file, const struct keyfile *f, int id, char err[PA_FILE_ERRLEN])
{
	struct pa_key key = {.kind = PA_KEY_MASTER, .key_id = (uint8_t)id};
	char line[PA_KEYFILE_LINELEN], *text;
	size_t n;
	int rc;

	pa_random(key.key, sizeof(key.key));
	n = pa_key_format(&key, line);
	pa_wipe(&key, sizeof(key));
	text = malloc(n + f->len);
	if (text == NULL) {
		(void)snprintf(err, PA_FILE_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	memcpy(text, line, n);
	memcpy(text + n, f->text, f->len);
	pa_wipe(line, sizeof(line));
	rc = pa_file_rewrite(file, text, n + f->len, err);
	pa_wipe(text, n + f->len);
	free(text);
	return rc;
}

static void say_rotated(const struct pa_ctl *ctl, const char *file, int id, int old)
{
	if (ctl->json) {
		json_t *json = json_pack("{s:i, s:s, s:i, s:i}", "result", 0, "file", file, "key-id", id, "former-key-id", old);

		pa_ctl_print_json(ctl->out, json);
		json_decref(json);
		return;
	}
	fprintf(ctl->out, "%s: new master key, id %d; the broker signs with it once it reads the file again. In this order:\n"
		"  1. pubaddrctl key pool --pool ID --key %d %s, for each pool, into the key file of every gateway\n"
		"  2. SIGHUP to every pubaddr-gatewayd (systemctl reload pubaddr-gatewayd)\n"
		"  3. pubaddrctl reload\n"
		"  4. when every grant of before has expired: pubaddrctl key retire --key %d FILE, with the gateways' files and\n"
		"     this one, and again 2 and 3\n", file, id, id, file, old);
}

int pa_ctl_key_rotate(const struct pa_ctl *ctl, const char *file)
{
	char err[PA_FILE_ERRLEN], text[PA_FILE_ERRLEN + 64];
	const struct pa_key *first;
	struct keyfile f;
	int id, rc = PA_CTL_OK;

	if (open_file(file, &f, err) < 0)
		return pa_ctl_fail(ctl, err);
	first = pa_keyring_first(f.keys, PA_KEY_MASTER);
	id = new_id(f.keys);
	if (first == NULL) {
		(void)snprintf(text, sizeof(text), "%.250s: holds no master key; 'pubaddrctl key new' makes one", file);
		rc = pa_ctl_fail(ctl, text);
	} else if (id < 0) {
		rc = pa_ctl_fail(ctl, "every key id is in use; retire old keys first");
	} else if (put_in_front(file, &f, id, err) < 0) {
		rc = pa_ctl_fail(ctl, err);
	} else {
		say_rotated(ctl, file, id, first->key_id);
	}
	close_file(&f);
	return rc;
}

/* True if the line holds a key that is derived from, or is, the master key of that id. */
static bool is_of(const char *line, size_t len, uint8_t id)
{
	struct pa_keyring *one = NULL;
	char err[PA_KEYFILE_ERRLEN];
	bool hit = false;

	if (pa_keyring_parse("", line, len, &one, err) < 0)
		return false;
	if (pa_keyring_count(one) == 1) {
		const struct pa_key *k = pa_keyring_at(one, 0);

		hit = (k->kind == PA_KEY_MASTER || k->kind == PA_KEY_POOL) && k->key_id == id;
	}
	pa_keyring_free(one);
	return hit;
}

/* Takes the lines out of the text in place; returns how many there were. */
static size_t take_out(struct keyfile *f, uint8_t id)
{
	size_t at = 0, kept = 0, n = 0;

	while (at < f->len) {
		const char *end = memchr(f->text + at, '\n', f->len - at);
		size_t len = end != NULL ? (size_t)(end - f->text) - at + 1 : f->len - at;

		if (is_of(f->text + at, len, id)) {
			n++;
		} else {
			memmove(f->text + kept, f->text + at, len);
			kept += len;
		}
		at += len;
	}
	pa_wipe(f->text + kept, f->len - kept);
	f->len = kept;
	return n;
}

int pa_ctl_key_retire(const struct pa_ctl *ctl, uint8_t id, const char *file)
{
	char err[PA_FILE_ERRLEN], text[PA_FILE_ERRLEN + 96];
	const struct pa_key *first;
	struct keyfile f;
	size_t n;
	int rc = PA_CTL_OK;

	if (open_file(file, &f, err) < 0)
		return pa_ctl_fail(ctl, err);
	first = pa_keyring_first(f.keys, PA_KEY_MASTER);
	if (first != NULL && first->key_id == id) {
		(void)snprintf(text, sizeof(text), "%.250s: key %u is the one that signs; 'pubaddrctl key rotate' puts another in its "
			       "place first", file, (unsigned)id);
		rc = pa_ctl_fail(ctl, text);
	} else if ((n = take_out(&f, id)) == 0) {
		(void)snprintf(text, sizeof(text), "%.250s: has no key of id %u", file, (unsigned)id);
		(void)pa_ctl_fail(ctl, text);
		rc = PA_CTL_EMPTY;
	} else if (pa_file_rewrite(file, f.text, f.len, err) < 0) {
		rc = pa_ctl_fail(ctl, err);
	} else if (ctl->json) {
		fprintf(ctl->out, "{\"result\":0,\"removed\":%zu}\n", n);
	} else {
		fprintf(ctl->out, "%s: removed %zu key(s) of id %u; it counts once the daemon reads the file again\n", file, n,
			(unsigned)id);
	}
	close_file(&f);
	return rc;
}

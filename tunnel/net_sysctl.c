/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/command.h"
#include "common/edge_file.h"
#include "common/err.h"

#define OURS "net/ipv4/"
#define VALUE_LEN 16 /* of a setting, with the NUL */

/* The file's content: {"NAME": {"was": VALUE, "set": VALUE, "users": [USER, ...]}, ...}, and the lock beside it. */
struct store {
	const char *file;
	int lock_fd;
	json_t *root;
};

static int fail(char err[PA_SYSCTL_ERRLEN], const char *what)
{
	int e = errno;

	(void)snprintf(err, PA_SYSCTL_ERRLEN, "%.120s: %s%s", what, strerror(e), e == EROFS ? "; the service must be allowed to write there "
		       "(ReadWritePaths= of its unit)" : "");
	return e == ENOENT ? PA_ENOTFOUND : e == EACCES || e == EPERM || e == EROFS ? PA_EDENIED : PA_EIO;
}

/* ---- the kernel's side ---- */

static int open_setting(const char *name, int flags, char err[PA_SYSCTL_ERRLEN])
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, flags | O_CLOEXEC);
	return fd >= 0 ? fd : fail(err, path);
}

static int get(const char *name, char value[VALUE_LEN], char err[PA_SYSCTL_ERRLEN])
{
	int fd = open_setting(name, O_RDONLY, err);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, value, VALUE_LEN - 1);
	close(fd);
	if (n <= 0)
		return fail(err, name);
	value[n] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return 0;
}

static int set(const char *name, const char *value, char err[PA_SYSCTL_ERRLEN])
{
	int fd = open_setting(name, O_WRONLY, err), rc = 0;

	if (fd < 0)
		return fd;
	if (write(fd, value, strlen(value)) < 0)
		rc = fail(err, name);
	close(fd);
	return rc;
}

/* ---- the file ---- */

static int open_store(const char *file, struct store *s, char err[PA_SYSCTL_ERRLEN])
{
	char path[PATH_MAX], detail[PA_FILE_ERRLEN], *text;
	size_t len;
	int rc;

	s->file = file;
	(void)snprintf(path, sizeof(path), "%s.lock", file);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return fail(err, path);
	if (flock(s->lock_fd, LOCK_EX) < 0) {
		rc = fail(err, path);
		close(s->lock_fd);
		return rc;
	}
	rc = pa_file_read(file, true, &text, &len, detail); /* others may write into its folder, and it says what to write */
	if (rc == PA_ENOTFOUND) {
		s->root = json_object();
	} else if (rc < 0) {
		(void)snprintf(err, PA_SYSCTL_ERRLEN, "%s", detail);
		close(s->lock_fd);
		return rc;
	} else {
		s->root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
		free(text);
	}
	if (json_is_object(s->root))
		return 0;
	json_decref(s->root);
	close(s->lock_fd);
	(void)snprintf(err, PA_SYSCTL_ERRLEN, "%.120s: not a file of ours; remove it, and see that the settings of net.ipv4 are as you "
		       "want them", file);
	return PA_EFORMAT;
}

static int write_store(const struct store *s, char err[PA_SYSCTL_ERRLEN])
{
	char detail[PA_FILE_ERRLEN], *line;
	size_t len;
	int rc;

	if (json_object_size(s->root) == 0) {
		if (unlink(s->file) < 0 && errno != ENOENT)
			return fail(err, s->file);
		return 0;
	}
	line = pa_json_line(s->root, &len);
	if (line == NULL) {
		(void)snprintf(err, PA_SYSCTL_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	rc = pa_file_write(s->file, line, len, 0600, detail);
	free(line);
	if (rc < 0)
		(void)snprintf(err, PA_SYSCTL_ERRLEN, "%s", detail);
	return rc;
}

static void close_store(struct store *s)
{
	json_decref(s->root);
	close(s->lock_fd);
}

/* ---- users ---- */

static int index_of(const json_t *users, const char *user)
{
	for (size_t i = 0; i < json_array_size(users); i++) {
		const char *s = json_string_value(json_array_get(users, i));

		if (s != NULL && strcmp(s, user) == 0)
			return (int)i;
	}
	return -1;
}

/* The file says what to restore before the setting changes: a kill between the two harms nothing. */
static int note_user(struct store *s, const char *user, const char *name, const char *value, char err[PA_SYSCTL_ERRLEN])
{
	json_t *entry = json_object_get(s->root, name), *users = json_object_get(entry, "users");
	char was[VALUE_LEN];
	int rc;

	if (users == NULL) {
		rc = get(name, was, err);
		if (rc < 0)
			return rc;
		entry = json_pack("{s:s, s:s, s:[]}", "was", was, "set", value, "users");
		if (entry == NULL || json_object_set_new(s->root, name, entry) < 0) {
			(void)snprintf(err, PA_SYSCTL_ERRLEN, "out of memory");
			return PA_ENOMEM;
		}
		users = json_object_get(entry, "users");
	}
	if (index_of(users, user) >= 0)
		return 0;
	(void)json_array_append_new(users, json_string(user));
	return write_store(s, err);
}

int pa_sysctl_take(const char *file, const char *user, const char *name, const char *value, char err[PA_SYSCTL_ERRLEN])
{
	struct store s;
	int rc = open_store(file, &s, err);

	if (rc < 0)
		return rc;
	rc = note_user(&s, user, name, value, err);
	if (rc == 0)
		rc = set(name, value, err);
	close_store(&s);
	return rc;
}

static int give_back(const char *name, const json_t *entry, char err[PA_SYSCTL_ERRLEN])
{
	const char *was = json_string_value(json_object_get(entry, "was"));
	const char *ours = json_string_value(json_object_get(entry, "set"));
	char now[VALUE_LEN];
	int rc;

	if (was == NULL || ours == NULL || strncmp(name, OURS, sizeof(OURS) - 1) != 0 || strstr(name, "..") != NULL)
		return 0;
	rc = get(name, now, err);
	if (rc == PA_ENOTFOUND)
		return 0; /* its interface has gone, and the setting with it */
	if (rc < 0 || strcmp(now, ours) != 0)
		return rc;
	return set(name, was, err);
}

int pa_sysctl_release(const char *file, const char *user, char err[PA_SYSCTL_ERRLEN])
{
	struct store s;
	const char *name;
	json_t *entry;
	void *next;
	int rc, first = 0;

	if (access(file, F_OK) < 0)
		return 0;
	rc = open_store(file, &s, err);
	if (rc < 0)
		return rc;
	json_object_foreach_safe(s.root, next, name, entry) {
		json_t *users = json_object_get(entry, "users");
		int at = index_of(users, user);

		if (at < 0)
			continue;
		(void)json_array_remove(users, (size_t)at);
		if (json_array_size(users) > 0)
			continue;
		rc = give_back(name, entry, err);
		if (rc < 0 && first == 0)
			first = rc;
		(void)json_object_del(s.root, name);
	}
	rc = write_store(&s, err);
	close_store(&s);
	return first < 0 ? first : rc;
}

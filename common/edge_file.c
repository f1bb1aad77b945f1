/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/err.h"

static int fail_errno(const char *path, const char *what, char err[PA_FILE_ERRLEN])
{
	int e = errno;
	const char *remedy = "";

	if ((e == EACCES || e == EPERM) && geteuid() != 0)
		remedy = "; start as root, or give this user the right to it";
	else if (e == EROFS || e == ENOSPC)
		remedy = e == EROFS ? "; name a place that can be written" : "; make room on the disk";
	(void)snprintf(err, PA_FILE_ERRLEN, "%s: %s: %s%s", path, what, strerror(e), remedy);
	errno = e;
	return e == ENOENT ? PA_ENOTFOUND : e == EEXIST ? PA_EEXIST : PA_EIO;
}

static int check_file(int fd, const char *path, bool secret, uid_t owner, struct stat *st, char err[PA_FILE_ERRLEN])
{
	if (fstat(fd, st) < 0)
		return fail_errno(path, "cannot stat", err);
	if (!S_ISREG(st->st_mode)) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s: not a regular file", path);
		return PA_EIO;
	}
	if (st->st_size > PA_FILE_MAX) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s: larger than %u bytes", path, PA_FILE_MAX);
		return PA_EIO;
	}
	if (secret && (st->st_mode & 077) != 0) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s: is for its owner alone, but others can access it (mode %04o); run: chmod 600 %s",
			       path, (unsigned)(st->st_mode & 07777), path);
		return PA_EAUTH;
	}
	if (secret && st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != owner) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s: belongs to uid %u; it must belong to root or to uid %u",
			       path, (unsigned)st->st_uid, (unsigned)geteuid());
		return PA_EAUTH;
	}
	return 0;
}

static ssize_t read_all(int fd, char *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, buf + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int read_file(const char *path, bool secret, uid_t owner, char **ret, size_t *ret_len, char err[PA_FILE_ERRLEN])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *buf = NULL;
	struct stat st;
	ssize_t n;
	int rc;

	if (fd < 0)
		return fail_errno(path, "cannot open", err);
	rc = check_file(fd, path, secret, owner, &st, err);
	if (rc < 0)
		goto out;
	buf = malloc((size_t)st.st_size + 1);
	if (buf == NULL) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s: out of memory", path);
		rc = PA_ENOMEM;
		goto out;
	}
	n = read_all(fd, buf, (size_t)st.st_size);
	if (n < 0) {
		rc = fail_errno(path, "cannot read", err);
		goto out;
	}
	buf[n] = '\0';
	*ret = buf;
	*ret_len = (size_t)n;
	buf = NULL;
out:
	free(buf);
	close(fd);
	return rc;
}

int pa_proc_read(const char *path, char *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), e;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT || errno == ESRCH ? PA_ENOTFOUND : PA_EIO;
	n = read_all(fd, buf, cap);
	e = errno;
	close(fd);
	errno = e;
	if (n < 0)
		return errno == ESRCH ? PA_ENOTFOUND : PA_EIO;
	if ((size_t)n == cap)
		return PA_ETRUNC;
	buf[n] = '\0';
	return (int)n;
}

int pa_file_read(const char *path, bool secret, char **ret, size_t *ret_len, char err[PA_FILE_ERRLEN])
{
	return read_file(path, secret, (uid_t)-1, ret, ret_len, err);
}

int pa_file_read_as(const char *path, uid_t owner, char **ret, size_t *ret_len, char err[PA_FILE_ERRLEN])
{
	return read_file(path, true, owner, ret, ret_len, err);
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_folder(const char *path)
{
	char copy[PATH_MAX];
	int fd, rc;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* like: whose owner the file gets; NULL: ours. */
static int put_file(const char *path, const char *data, size_t len, mode_t mode, const struct stat *like, bool replace,
		    char err[PA_FILE_ERRLEN])
{
	char tmp[PATH_MAX];
	int fd, rc = 0;

	if (snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= (int)sizeof(tmp)) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%.200s: name too long", path);
		return PA_EINVAL;
	}
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return fail_errno(path, "cannot create a file beside it", err);
	if ((like != NULL && fchown(fd, like->st_uid, like->st_gid) < 0) || fchmod(fd, mode) < 0 || write_all(fd, data, len) < 0 || fsync(fd) < 0)
		rc = fail_errno(path, "cannot write", err);
	close(fd);
	if (rc == 0 && (replace ? rename(tmp, path) : link(tmp, path)) < 0)
		rc = fail_errno(path, "cannot put in place", err);
	if (rc < 0 || !replace)
		(void)unlink(tmp);
	if (rc == 0 && sync_folder(path) < 0)
		rc = fail_errno(path, "cannot sync its folder", err);
	return rc;
}

int pa_file_write(const char *path, const char *data, size_t len, mode_t mode, char err[PA_FILE_ERRLEN])
{
	return put_file(path, data, len, mode, NULL, true, err);
}

int pa_file_rewrite(const char *path, const char *data, size_t len, char err[PA_FILE_ERRLEN])
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return fail_errno(path, "cannot stat", err);
	return put_file(path, data, len, st.st_mode & 07777, &st, true, err);
}

int pa_file_create(const char *path, const char *data, size_t len, mode_t mode, char err[PA_FILE_ERRLEN])
{
	return put_file(path, data, len, mode, NULL, false, err);
}

int pa_dir_create(const char *path, mode_t mode, char err[PA_FILE_ERRLEN])
{
	size_t len = strlen(path);
	char copy[PATH_MAX];
	struct stat st;
	char *p;

	if (len == 0 || len >= sizeof(copy)) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%.200s: name too long or empty", path);
		return PA_EINVAL;
	}
	memcpy(copy, path, len + 1);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	for (p = copy + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return fail_errno(copy, "cannot create", err);
		*p = '/';
	}
	if (mkdir(copy, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return fail_errno(copy, "cannot create", err);
	if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode)) {
		(void)snprintf(err, PA_FILE_ERRLEN, "%s: exists and is not a folder; remove it", copy);
		return PA_EIO;
	}
	return 0;
}

int pa_dir_create_for(const char *path, uid_t owner, char err[PA_FILE_ERRLEN])
{
	char copy[PATH_MAX], *folder;
	bool there;
	int rc;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	folder = dirname(copy);
	there = access(folder, F_OK) == 0;
	rc = pa_dir_create(folder, 0755, err);
	if (rc == 0 && !there && owner != (uid_t)-1 && chown(folder, owner, (gid_t)-1) < 0)
		rc = fail_errno(folder, "cannot give it to its user", err);
	return rc;
}

int pa_keyring_load(const char *path, struct pa_keyring **ret, char err[PA_FILE_ERRLEN])
{
	return pa_keyring_load_as(path, (uid_t)-1, ret, err);
}

int pa_keyring_load_as(const char *path, uid_t owner, struct pa_keyring **ret, char err[PA_FILE_ERRLEN])
{
	char detail[PA_KEYFILE_ERRLEN];
	char *text;
	size_t len;
	int rc = read_file(path, true, owner, &text, &len, err);

	if (rc < 0)
		return rc;
	rc = pa_keyring_parse(path, text, len, ret, detail);
	if (rc < 0)
		(void)snprintf(err, PA_FILE_ERRLEN, "%s", detail);
	pa_wipe(text, len);
	free(text);
	return rc;
}

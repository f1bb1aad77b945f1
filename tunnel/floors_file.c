/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/floors_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"

#define FILE_MAX_LEN ((off_t)1 << 30) /* ten million addresses */

static int fail(const char *path, const char *what, char err[PA_FILE_ERRLEN])
{
	(void)snprintf(err, PA_FILE_ERRLEN, "%.150s: %s: %s", path, what, strerror(errno));
	return PA_EIO;
}

static bool read_all(int fd, uint8_t *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : EIO; /* it shrank */
			return false;
		}
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

int pa_floors_file_read(const char *path, struct pa_floors *f, bool *ret_damaged, char err[PA_FILE_ERRLEN])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	uint8_t *buf = NULL;
	struct stat st;

	*ret_damaged = false;
	if (fd < 0)
		return errno == ENOENT ? 0 : fail(path, "cannot open", err);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_LEN) {
		errno = EINVAL;
		rc = fail(path, "is no file of floors; move it away", err);
		goto out;
	}
	buf = malloc((size_t)st.st_size + 1);
	if (buf == NULL || !read_all(fd, buf, (size_t)st.st_size)) {
		rc = buf == NULL ? PA_ENOMEM : PA_EIO;
		(void)fail(path, "cannot read", err);
		goto out;
	}
	rc = pa_floors_decode(f, buf, (size_t)st.st_size);
	*ret_damaged = rc == PA_EFORMAT;
	if (rc == PA_EFORMAT)
		rc = 0;
	else if (rc < 0)
		(void)snprintf(err, PA_FILE_ERRLEN, "%.150s: out of memory", path);
out:
	free(buf);
	close(fd);
	return rc;
}

static int append(const char *path, const uint8_t *records, size_t len, char err[PA_FILE_ERRLEN])
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW), rc = 0;

	if (fd < 0)
		return fail(path, "cannot open", err);
	while (len > 0 && rc == 0) {
		ssize_t n = write(fd, records, len);

		if (n < 0 && errno != EINTR)
			rc = fail(path, "cannot write", err);
		records += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	if (rc == 0 && fsync(fd) < 0)
		rc = fail(path, "cannot write to the disk", err);
	if (close(fd) < 0 && rc == 0)
		rc = fail(path, "cannot write", err);
	return rc;
}

int pa_floors_file_write(const char *path, bool all, const uint8_t *records, size_t len, char err[PA_FILE_ERRLEN])
{
	int rc = all ? pa_file_write(path, (const char *)records, len, 0600, err) : append(path, records, len, err);

	return rc < 0 ? PA_EIO : 0;
}

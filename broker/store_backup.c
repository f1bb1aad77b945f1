/* SPDX-License-Identifier: MPL-2.0 */
/* A copy of the running store, by SQLite's online backup. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/store_int.h"
#include "common/err.h"

static int fail(const char *path, const char *what, const char *text, char err[PA_STORE_ERRLEN])
{
	(void)snprintf(err, PA_STORE_ERRLEN, "%s: %s: %s", path, what, text);
	return PA_EIO;
}

/* Copies every page in one step: nothing else writes meanwhile, for we are the only writer and on this thread. */
static int copy(sqlite3 *from, const char *path, char err[PA_STORE_ERRLEN])
{
	sqlite3_backup *backup = NULL;
	sqlite3 *to = NULL;
	int rc = 0, code = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE, NULL);

	if (code == SQLITE_OK)
		backup = sqlite3_backup_init(to, "main", from, "main");
	if (backup != NULL) {
		(void)sqlite3_backup_step(backup, -1);
		code = sqlite3_backup_finish(backup);
	}
	/* Whoever opens it must know that leases may have been given since (lease_recover.c). */
	if (backup != NULL && code == SQLITE_OK)
		code = sqlite3_exec(to, "DELETE FROM copied; INSERT INTO copied (at) VALUES (strftime('%s', 'now'))", NULL, NULL, NULL);
	/* The copy is one file that can be moved about, with no write-ahead log beside it. */
	if (backup != NULL && code == SQLITE_OK)
		code = sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	if (backup == NULL || code != SQLITE_OK)
		rc = fail(path, "cannot copy the leases", to != NULL ? sqlite3_errmsg(to) : sqlite3_errstr(code), err);
	(void)sqlite3_close(to);
	return rc;
}

int pa_store_backup(struct pa_store *store, const char *path, char err[PA_STORE_ERRLEN])
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), rc;

	if (fd < 0 && errno == EEXIST) {
		(void)snprintf(err, PA_STORE_ERRLEN, "%s: exists; a backup never overwrites anything: name another file", path);
		return PA_EEXIST;
	}
	if (fd < 0) {
		(void)snprintf(err, PA_STORE_ERRLEN, "%s: cannot make it: %s; name a file where the broker's user can write, such as "
			       "beside its database", path, strerror(errno));
		return PA_EDENIED;
	}
	rc = copy(pa_store_db(store), path, err);
	if (rc == 0 && fsync(fd) < 0)
		rc = fail(path, "cannot write to the disk", strerror(errno), err);
	close(fd);
	if (rc < 0)
		(void)unlink(path);
	return rc;
}

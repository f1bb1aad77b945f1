/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store_int.h"
#include "common/err.h"

#define SCHEMA_VERSION 3

/* "pubaddr" would not fit; PRAGMA application_id tells our file from somebody else's database. */
#define APPLICATION_ID 0x70756261

/* What is known of a store that was lost (lease_recover.c); and the mark of a copy, with the Unix time when it was made. */
#define RECOVERY_TABLES                                                                                                \
	"CREATE TABLE recovery (pool_id INTEGER PRIMARY KEY NOT NULL, since INTEGER NOT NULL, base INTEGER NOT NULL,"   \
	" until INTEGER NOT NULL);"                                                                                    \
	"CREATE TABLE copied (at INTEGER NOT NULL);"

static const char schema[] =
	"CREATE TABLE lease ("
	" address TEXT PRIMARY KEY NOT NULL,"
	" pool_id INTEGER NOT NULL,"
	" realm TEXT NOT NULL,"
	" client_kind INTEGER NOT NULL," /* enum pa_ident_kind */
	" client BLOB NOT NULL,"
	" subnet_id INTEGER NOT NULL,"
	" dhcp_address TEXT NOT NULL,"
	" serial INTEGER NOT NULL,"
	" epoch INTEGER NOT NULL,"
	" granted INTEGER NOT NULL,"
	" expires INTEGER NOT NULL,"
	" highest INTEGER NOT NULL,"
	" ended INTEGER NOT NULL,"
	" lifetime INTEGER NOT NULL,"
	" xid INTEGER,"
	" fingerprint BLOB NOT NULL,"
	" state TEXT NOT NULL,"
	" revoked INTEGER NOT NULL DEFAULT 0," /* since version 2 */
	" bound INTEGER NOT NULL DEFAULT 1,"   /* this one and what follows since version 3 */
	" sum BLOB"			       /* of the row (store_row.c); NULL: of an older version */
	") WITHOUT ROWID;"
	"CREATE TABLE gateway (name TEXT PRIMARY KEY NOT NULL, acknowledged INTEGER NOT NULL) WITHOUT ROWID;"
	RECOVERY_TABLES;

/*
 * What makes a file of version i + 1 one of version i + 2. Leases of version 1 that ended have no number in the revocation
 * log; their addresses wait for the highest expiry, as they did then. Whether leases of version 2 were ever bound is not
 * known, so they count as bound.
 */
static const char *const migrations[SCHEMA_VERSION - 1] = {
	"ALTER TABLE lease ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE gateway (name TEXT PRIMARY KEY NOT NULL, acknowledged INTEGER NOT NULL) WITHOUT ROWID;",
	"ALTER TABLE lease ADD COLUMN bound INTEGER NOT NULL DEFAULT 1; ALTER TABLE lease ADD COLUMN sum BLOB;" RECOVERY_TABLES,
};

static const char replace_recovery[] = "INSERT OR REPLACE INTO recovery (pool_id, since, base, until) VALUES (?1, ?2, ?3, ?4)";
static const char replace_ack[] = "INSERT OR REPLACE INTO gateway (name, acknowledged) VALUES (?1, ?2)";

struct pa_store {
	sqlite3 *db;
	sqlite3_stmt *replace, *replace_ack, *replace_recovery;
	char *path;
};

/* What helps when leases cannot be trusted any more. */
#define RESTORE "; stop the broker, move the file away and restore a backup: pubaddrctl(8), RESTORING A BACKUP"

/* Says what SQLite's last error means for an operator. */
static int fail(const struct pa_store *s, int code, const char *what, char err[PA_STORE_ERRLEN])
{
	const char *remedy = "", *text = s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(code);
	int rc = PA_EIO;

	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		rc = PA_EAGAIN;
		remedy = "; another process has it open: stop the other broker, or close the other program";
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* our statements are good, so the tables are not */
		rc = PA_EFORMAT;
		remedy = RESTORE;
		break;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		rc = PA_EDENIED;
		remedy = "; the broker's user must be able to write the file and its folder";
		break;
	case SQLITE_FULL:
		remedy = "; make room on the disk";
		break;
	case SQLITE_NOMEM:
		rc = PA_ENOMEM;
		break;
	default:
		break;
	}
	(void)snprintf(err, PA_STORE_ERRLEN, "%s: %s: %s%s", s->path, what, text, remedy);
	return rc;
}

static int run(const struct pa_store *s, const char *sql, const char *what, char err[PA_STORE_ERRLEN])
{
	int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(s, code, what, err);
}

static int get_pragma(const struct pa_store *s, const char *sql, int *ret, char err[PA_STORE_ERRLEN])
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return code == SQLITE_ROW ? 0 : fail(s, code, "cannot read", err);
}

/* SQLite would make the file by the umask; leases say who is where, so nobody else reads them. */
static int make_file(const struct pa_store *s, char err[PA_STORE_ERRLEN])
{
	int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	const char *remedy = "; the broker's user must be able to write the file and its folder";
	struct stat st;

	if (fd < 0) {
		if (errno == ENOENT)
			remedy = "; make its folder: install -d -m 0700 FOLDER";
		(void)snprintf(err, PA_STORE_ERRLEN, "%s: cannot open: %s%s", s->path, strerror(errno), remedy);
		return errno == EACCES || errno == EROFS || errno == ENOENT ? PA_EDENIED : PA_EIO;
	}
	if (fstat(fd, &st) == 0 && (st.st_mode & 077) != 0)
		(void)fchmod(fd, 0600);
	close(fd);
	return 0;
}

static int create_schema(const struct pa_store *s, char err[PA_STORE_ERRLEN])
{
	char sql[sizeof(schema) + 128];

	(void)snprintf(sql, sizeof(sql), "BEGIN IMMEDIATE; %s PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT;",
		       schema, SCHEMA_VERSION, APPLICATION_ID);
	return run(s, sql, "cannot make the tables", err);
}

static int migrate(const struct pa_store *s, int version, char err[PA_STORE_ERRLEN])
{
	char sql[sizeof(schema) + 128];
	int rc = 0;

	for (; rc == 0 && version < SCHEMA_VERSION; version++) {
		(void)snprintf(sql, sizeof(sql), "BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;", migrations[version - 1],
			       version + 1);
		rc = run(s, sql, "cannot bring the tables up to date", err);
		if (rc < 0 && sqlite3_get_autocommit(s->db) == 0)
			(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	}
	return rc;
}

static int check_schema(const struct pa_store *s, char err[PA_STORE_ERRLEN])
{
	int version = 0, id = 0, tables = 0, rc;

	if ((rc = get_pragma(s, "PRAGMA user_version", &version, err)) < 0 ||
	    (rc = get_pragma(s, "PRAGMA application_id", &id, err)) < 0 ||
	    (rc = get_pragma(s, "SELECT count(*) FROM sqlite_master", &tables, err)) < 0)
		return rc;
	if (version == 0 && id == 0 && tables == 0)
		return create_schema(s, err);
	if (id != APPLICATION_ID) {
		(void)snprintf(err, PA_STORE_ERRLEN, "%s: is a database of another program; name another file", s->path);
		return PA_EFORMAT;
	}
	if (version < 1 || version > SCHEMA_VERSION) {
		(void)snprintf(err, PA_STORE_ERRLEN, "%s: has schema version %d, this broker knows 1 to %d; use the version of "
			       "pubaddr that made it", s->path, version, SCHEMA_VERSION);
		return PA_EVERSION;
	}
	return migrate(s, version, err);
}

/* Walks through every page: damage is to be found at the start, not in the middle of the night. */
static int check_structure(const struct pa_store *s, char err[PA_STORE_ERRLEN])
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL), rc = 0;
	const char *text;

	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
	if (code != SQLITE_ROW) {
		rc = fail(s, code, "cannot read", err);
	} else if (text == NULL || strcmp(text, "ok") != 0) {
		(void)snprintf(err, PA_STORE_ERRLEN, "%s: is damaged (%.100s)" RESTORE, s->path, text != NULL ? text : "?");
		rc = PA_EFORMAT;
	}
	(void)sqlite3_finalize(st);
	return rc;
}

static int prepare(struct pa_store *s, char err[PA_STORE_ERRLEN])
{
	/*
	 * EXCLUSIVE keeps a second broker off for as long as this one runs, and needs no shared memory for the WAL. The
	 * lock is taken with the first write, hence the empty transaction.
	 */
	static const char setup[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				    "BEGIN EXCLUSIVE; COMMIT;";
	int rc, code;

	(void)sqlite3_busy_timeout(s->db, 1000);
	(void)sqlite3_extended_result_codes(s->db, 1);
	if ((rc = run(s, setup, "cannot open", err)) < 0 || (rc = check_structure(s, err)) < 0 ||
	    (rc = check_schema(s, err)) < 0)
		return rc;
	code = sqlite3_prepare_v3(s->db, pa_row_replace, -1, SQLITE_PREPARE_PERSISTENT, &s->replace, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v3(s->db, replace_ack, -1, SQLITE_PREPARE_PERSISTENT, &s->replace_ack, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v3(s->db, replace_recovery, -1, SQLITE_PREPARE_PERSISTENT, &s->replace_recovery, NULL);
	return code == SQLITE_OK ? 0 : fail(s, code, "cannot prepare", err);
}

int pa_store_open(const char *path, struct pa_store **ret, char err[PA_STORE_ERRLEN])
{
	struct pa_store *s = calloc(1, sizeof(*s));
	int rc = PA_ENOMEM, code;

	if (s == NULL || (s->path = strdup(path)) == NULL) {
		(void)snprintf(err, PA_STORE_ERRLEN, "%s: out of memory", path);
		goto fail;
	}
	rc = make_file(s, err);
	if (rc < 0)
		goto fail;
	code = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE, NULL);
	rc = code == SQLITE_OK ? prepare(s, err) : fail(s, code, "cannot open", err);
	if (rc < 0)
		goto fail;
	*ret = s;
	return 0;
fail:
	pa_store_close(s);
	return rc;
}

void pa_store_close(struct pa_store *store)
{
	if (store == NULL)
		return;
	(void)sqlite3_finalize(store->replace);
	(void)sqlite3_finalize(store->replace_ack);
	(void)sqlite3_finalize(store->replace_recovery);
	(void)sqlite3_close(store->db);
	free(store->path);
	free(store);
}

sqlite3 *pa_store_db(struct pa_store *store)
{
	return store->db;
}

static int bind_ack(sqlite3_stmt *st, const struct pa_ack *ack)
{
	bool ok = sqlite3_bind_text(st, 1, ack->name, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
		  sqlite3_bind_int64(st, 2, (sqlite3_int64)ack->number) == SQLITE_OK;

	return ok ? SQLITE_OK : SQLITE_NOMEM;
}

static int bind_recovery(sqlite3_stmt *st, const struct pa_recovery *r)
{
	bool ok = sqlite3_bind_int(st, 1, r->pool_id) == SQLITE_OK && sqlite3_bind_int64(st, 2, (sqlite3_int64)r->since) == SQLITE_OK &&
		  sqlite3_bind_int64(st, 3, (sqlite3_int64)r->base) == SQLITE_OK &&
		  sqlite3_bind_int64(st, 4, (sqlite3_int64)r->until) == SQLITE_OK;

	return ok ? SQLITE_OK : SQLITE_NOMEM;
}

/* Runs a statement; code tells how the binding of its values went. */
static int step(const struct pa_store *s, sqlite3_stmt *st, int code, char err[PA_STORE_ERRLEN])
{
	int rc = 0;

	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	if (code != SQLITE_DONE)
		rc = fail(s, code, "cannot write", err);
	(void)sqlite3_reset(st);
	return rc;
}

/* A file that is not at its name any more holds leases that no broker would find again. */
static int check_place(const struct pa_store *s, char err[PA_STORE_ERRLEN])
{
	int moved = 0;

	if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || moved == 0)
		return 0;
	(void)snprintf(err, PA_STORE_ERRLEN, "%s: was moved or removed while the broker runs, so nothing more is stored; put it back, or "
		       "stop the broker and restore a backup: pubaddrctl(8), RESTORING A BACKUP", s->path);
	return PA_EIO;
}

int pa_store_append(struct pa_store *store, const struct pa_store_changes *c, char err[PA_STORE_ERRLEN])
{
	int rc;

	if (c->n_rows == 0 && c->n_acks == 0 && c->n_recoveries == 0)
		return 0;
	rc = check_place(store, err);
	if (rc < 0)
		return rc;
	rc = run(store, "BEGIN IMMEDIATE", "cannot begin to write", err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < c->n_rows && rc == 0; i++)
		rc = step(store, store->replace, pa_row_bind(store->replace, c->rows[i]), err);
	for (size_t i = 0; i < c->n_acks && rc == 0; i++)
		rc = step(store, store->replace_ack, bind_ack(store->replace_ack, &c->acks[i]), err);
	for (size_t i = 0; i < c->n_recoveries && rc == 0; i++)
		rc = step(store, store->replace_recovery, bind_recovery(store->replace_recovery, &c->recoveries[i]), err);
	if (rc == 0 && c->n_recoveries > 0)
		rc = run(store, "DELETE FROM copied", "cannot write", err);
	if (rc == 0)
		rc = run(store, "COMMIT", "cannot write to the disk", err);
	if (rc < 0 && sqlite3_get_autocommit(store->db) == 0)
		(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); /* some errors have rolled back already */
	return rc;
}

int pa_store_load(struct pa_store *store, pa_store_row row, void *ctx, char err[PA_STORE_ERRLEN])
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(store->db, pa_row_select, -1, &st, NULL), rc = 0;
	struct pa_lease r;

	if (code != SQLITE_OK)
		return fail(store, code, "cannot read", err);
	while (rc == 0 && (code = sqlite3_step(st)) == SQLITE_ROW) {
		if (pa_row_read(st, &r)) {
			rc = row(ctx, &r);
			if (rc < 0)
				(void)snprintf(err, PA_STORE_ERRLEN, "%s: cannot take over a lease: %s", store->path,
					       pa_strerror(rc));
		} else {
			const char *addr = (const char *)sqlite3_column_text(st, 0);

			(void)snprintf(err, PA_STORE_ERRLEN, "%s: the row of address \"%s\" is damaged" RESTORE, store->path,
				       addr != NULL ? addr : "");
			rc = PA_EFORMAT;
		}
		pa_ident_put(r.ident);
	}
	if (rc == 0 && code != SQLITE_DONE)
		rc = fail(store, code, "cannot read", err);
	(void)sqlite3_finalize(st);
	return rc;
}

int pa_store_load_acks(struct pa_store *store, pa_store_ack ack, void *ctx, char err[PA_STORE_ERRLEN])
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(store->db, "SELECT name, acknowledged FROM gateway", -1, &st, NULL);
	struct pa_ack a;

	while (code == SQLITE_OK && (code = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0);

		code = SQLITE_OK;
		if (name == NULL || strlen(name) > PA_NAME_MAX || !pa_row_number(st, 1, INT64_MAX, &a.number))
			continue; /* not ours: then nothing is acknowledged, which is safe */
		memset(a.name, 0, sizeof(a.name));
		memcpy(a.name, name, strlen(name));
		ack(ctx, &a);
	}
	(void)sqlite3_finalize(st);
	return code == SQLITE_DONE ? 0 : fail(store, code, "cannot read", err);
}

int pa_store_load_recoveries(struct pa_store *store, pa_store_recovery recovery, void *ctx, char err[PA_STORE_ERRLEN])
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(store->db, "SELECT pool_id, since, base, until FROM recovery", -1, &st, NULL), rc = 0;
	struct pa_recovery r;
	uint64_t pool;

	if (code != SQLITE_OK)
		return fail(store, code, "cannot read", err);
	while (rc == 0 && (code = sqlite3_step(st)) == SQLITE_ROW) {
		if (!pa_row_number(st, 0, UINT16_MAX, &pool) || !pa_row_number(st, 1, INT64_MAX, &r.since) ||
		    !pa_row_number(st, 2, INT64_MAX, &r.base) || !pa_row_number(st, 3, INT64_MAX, &r.until)) {
			(void)snprintf(err, PA_STORE_ERRLEN, "%s: the table recovery is damaged" RESTORE, store->path);
			rc = PA_EFORMAT;
		} else {
			r.pool_id = (uint16_t)pool;
			rc = recovery(ctx, &r);
			if (rc < 0)
				(void)snprintf(err, PA_STORE_ERRLEN, "%s: %s", store->path, pa_strerror(rc));
		}
	}
	if (rc == 0 && code != SQLITE_DONE)
		rc = fail(store, code, "cannot read", err);
	(void)sqlite3_finalize(st);
	return rc;
}

int pa_store_copied(struct pa_store *store, bool *ret, char err[PA_STORE_ERRLEN])
{
	int n = 0, rc = get_pragma(store, "SELECT count(*) FROM copied", &n, err);

	if (rc == 0)
		*ret = n > 0;
	return rc;
}

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

#define SCHEMA_VERSION 2

/* "pubaddr" would not fit; PRAGMA application_id tells our file from somebody else's database. */
#define APPLICATION_ID 0x70756261

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
	" revoked INTEGER NOT NULL DEFAULT 0" /* since version 2 */
	") WITHOUT ROWID;"
	"CREATE TABLE gateway (name TEXT PRIMARY KEY NOT NULL, acknowledged INTEGER NOT NULL) WITHOUT ROWID;";

/*
 * What makes a file of version i + 1 one of version i + 2. Leases of version 1 that ended have no number in the revocation
 * log; their addresses wait for the highest expiry, as they did then.
 */
static const char *const migrations[SCHEMA_VERSION - 1] = {
	"ALTER TABLE lease ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE gateway (name TEXT PRIMARY KEY NOT NULL, acknowledged INTEGER NOT NULL) WITHOUT ROWID;",
};

static const char select_rows[] =
	"SELECT address, pool_id, realm, client_kind, client, subnet_id, dhcp_address, serial, epoch, granted, expires,"
	" highest, ended, lifetime, xid, fingerprint, state, revoked FROM lease";

static const char replace_row[] =
	"INSERT OR REPLACE INTO lease (address, pool_id, realm, client_kind, client, subnet_id, dhcp_address, serial,"
	" epoch, granted, expires, highest, ended, lifetime, xid, fingerprint, state, revoked)"
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

static const char replace_ack[] = "INSERT OR REPLACE INTO gateway (name, acknowledged) VALUES (?1, ?2)";

struct pa_store {
	sqlite3 *db;
	sqlite3_stmt *replace, *replace_ack;
	char *path;
};

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
		rc = PA_EFORMAT;
		remedy = "; stop the broker and put a copy from the backup in place (with none: move the file away, and "
			 "hand out addresses from other pools until every old lease has expired)";
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
	if ((rc = run(s, setup, "cannot open", err)) < 0 || (rc = check_schema(s, err)) < 0)
		return rc;
	code = sqlite3_prepare_v3(s->db, replace_row, -1, SQLITE_PREPARE_PERSISTENT, &s->replace, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v3(s->db, replace_ack, -1, SQLITE_PREPARE_PERSISTENT, &s->replace_ack, NULL);
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
	(void)sqlite3_close(store->db);
	free(store->path);
	free(store);
}

sqlite3 *pa_store_db(struct pa_store *store)
{
	return store->db;
}

static int bind_row(sqlite3_stmt *st, const struct pa_lease *row)
{
	char addr[PA_ADDR_STRLEN], dhcp[PA_ADDR_STRLEN];
	size_t id_len;
	const uint8_t *id = pa_ident_id(row->ident, &id_len);
	const char *realm = pa_ident_realm(row->ident);
	bool ok;

	pa_addr_format(&row->addr, addr);
	pa_addr_format(&row->dhcp_addr, dhcp);
	ok = sqlite3_bind_text(st, 1, addr, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_int(st, 2, row->pool_id) == SQLITE_OK &&
	     sqlite3_bind_text(st, 3, realm, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_int(st, 4, (int)pa_ident_kind(row->ident)) == SQLITE_OK &&
	     sqlite3_bind_blob(st, 5, id, (int)id_len, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 6, row->subnet_id) == SQLITE_OK &&
	     sqlite3_bind_text(st, 7, dhcp, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 8, (sqlite3_int64)row->serial) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 9, (sqlite3_int64)row->epoch) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 10, (sqlite3_int64)row->granted) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 11, (sqlite3_int64)row->expires) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 12, (sqlite3_int64)row->highest) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 13, (sqlite3_int64)row->ended) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 14, row->lifetime) == SQLITE_OK &&
	     (row->has_xid ? sqlite3_bind_int64(st, 15, row->xid) : sqlite3_bind_null(st, 15)) == SQLITE_OK &&
	     sqlite3_bind_blob(st, 16, row->fingerprint, PA_FINGERPRINT_LEN, SQLITE_TRANSIENT) == SQLITE_OK &&
	     sqlite3_bind_text(st, 17, pa_lease_state_name(row->state), -1, SQLITE_STATIC) == SQLITE_OK &&
	     sqlite3_bind_int64(st, 18, (sqlite3_int64)row->revoked) == SQLITE_OK;
	return ok ? SQLITE_OK : SQLITE_NOMEM;
}

static int bind_ack(sqlite3_stmt *st, const struct pa_ack *ack)
{
	bool ok = sqlite3_bind_text(st, 1, ack->name, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
		  sqlite3_bind_int64(st, 2, (sqlite3_int64)ack->number) == SQLITE_OK;

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

int pa_store_append(struct pa_store *store, const struct pa_lease *const *rows, size_t n, const struct pa_ack *acks,
		    size_t n_acks, char err[PA_STORE_ERRLEN])
{
	int rc;

	if (n == 0 && n_acks == 0)
		return 0;
	rc = run(store, "BEGIN IMMEDIATE", "cannot begin to write", err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = step(store, store->replace, bind_row(store->replace, rows[i]), err);
	for (size_t i = 0; i < n_acks && rc == 0; i++)
		rc = step(store, store->replace_ack, bind_ack(store->replace_ack, &acks[i]), err);
	if (rc == 0)
		rc = run(store, "COMMIT", "cannot write to the disk", err);
	if (rc < 0 && sqlite3_get_autocommit(store->db) == 0)
		(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); /* some errors have rolled back already */
	return rc;
}

static bool column_addr(sqlite3_stmt *st, int i, struct pa_addr *ret)
{
	const char *s = (const char *)sqlite3_column_text(st, i);

	return s != NULL && pa_addr_parse(s, ret) == 0;
}

static bool column_number(sqlite3_stmt *st, int i, uint64_t max, uint64_t *ret)
{
	sqlite3_int64 v = sqlite3_column_int64(st, i);

	if (sqlite3_column_type(st, i) != SQLITE_INTEGER || v < 0 || (uint64_t)v > max)
		return false;
	*ret = (uint64_t)v;
	return true;
}

static struct pa_ident *column_ident(sqlite3_stmt *st)
{
	const char *realm = (const char *)sqlite3_column_text(st, 2);
	const uint8_t *id = sqlite3_column_blob(st, 4);
	int len = sqlite3_column_bytes(st, 4);
	uint64_t kind;

	if (realm == NULL || id == NULL || !column_number(st, 3, PA_IDENT_HW_ADDRESS, &kind))
		return NULL;
	return pa_ident_new(realm, (enum pa_ident_kind)kind, id, (size_t)len);
}

/* Fills row from the statement; false if a value cannot be ours. row->ident is the caller's to put in either case. */
static bool read_row(sqlite3_stmt *st, struct pa_lease *row)
{
	const char *state = (const char *)sqlite3_column_text(st, 16);
	const void *fingerprint = sqlite3_column_blob(st, 15);
	uint64_t pool, subnet, lifetime, xid = 0;
	int s = state != NULL ? pa_lease_state_parse(state) : PA_EINVAL;

	memset(row, 0, sizeof(*row));
	row->ident = column_ident(st);
	row->has_xid = sqlite3_column_type(st, 14) != SQLITE_NULL;
	if (row->ident == NULL || s < 0 || fingerprint == NULL || sqlite3_column_bytes(st, 15) != PA_FINGERPRINT_LEN ||
	    !column_addr(st, 0, &row->addr) || !column_addr(st, 6, &row->dhcp_addr) ||
	    !column_number(st, 1, UINT16_MAX, &pool) || !column_number(st, 5, UINT32_MAX, &subnet) ||
	    !column_number(st, 7, INT64_MAX, &row->serial) || !column_number(st, 8, INT64_MAX, &row->epoch) ||
	    !column_number(st, 9, INT64_MAX, &row->granted) || !column_number(st, 10, INT64_MAX, &row->expires) ||
	    !column_number(st, 11, INT64_MAX, &row->highest) || !column_number(st, 12, INT64_MAX, &row->ended) ||
	    !column_number(st, 13, UINT32_MAX, &lifetime) || !column_number(st, 17, INT64_MAX, &row->revoked) ||
	    (row->has_xid && !column_number(st, 14, UINT32_MAX, &xid)))
		return false;
	row->pool_id = (uint16_t)pool;
	row->subnet_id = (uint32_t)subnet;
	row->lifetime = (uint32_t)lifetime;
	row->xid = (uint32_t)xid;
	row->state = (enum pa_lease_state)s;
	memcpy(row->fingerprint, fingerprint, PA_FINGERPRINT_LEN);
	return true;
}

int pa_store_load(struct pa_store *store, pa_store_row row, void *ctx, char err[PA_STORE_ERRLEN])
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(store->db, select_rows, -1, &st, NULL), rc = 0;
	struct pa_lease r;

	if (code != SQLITE_OK)
		return fail(store, code, "cannot read", err);
	while (rc == 0 && (code = sqlite3_step(st)) == SQLITE_ROW) {
		if (read_row(st, &r)) {
			rc = row(ctx, &r);
			if (rc < 0)
				(void)snprintf(err, PA_STORE_ERRLEN, "%s: cannot take over a lease: %s", store->path,
					       pa_strerror(rc));
		} else {
			const char *addr = (const char *)sqlite3_column_text(st, 0);

			(void)snprintf(err, PA_STORE_ERRLEN, "%s: the row of address \"%s\" has an impossible value; put a "
				       "copy from the backup in place", store->path, addr != NULL ? addr : "");
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
		if (name == NULL || strlen(name) > PA_NAME_MAX || !column_number(st, 1, INT64_MAX, &a.number))
			continue; /* not ours: then nothing is acknowledged, which is safe */
		memset(a.name, 0, sizeof(a.name));
		memcpy(a.name, name, strlen(name));
		ack(ctx, &a);
	}
	(void)sqlite3_finalize(st);
	return code == SQLITE_DONE ? 0 : fail(store, code, "cannot read", err);
}

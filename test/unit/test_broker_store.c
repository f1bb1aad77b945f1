/* SPDX-License-Identifier: MPL-2.0 */
/* The store, and the group commit on top of it: what is acknowledged survives, what is not does not. */
#include "test/unit/broker_fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "broker/batch.h"
#include "broker/store.h"
#include "common/err.h"
#include "common/log.h"
#include "test/unit/tempdir.h"

static char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 16];

static void setup(void)
{
	cr_assert_eq(pa_cred_init(), 0);
	tempdir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/broker.db", dir);
}

static void teardown(void)
{
	tempdir_remove(dir);
}

TestSuite(store, .init = setup, .fini = teardown);
TestSuite(batch, .init = setup, .fini = teardown);

static struct pa_store *open_store(void)
{
	char err[PA_STORE_ERRLEN] = "";
	struct pa_store *s = NULL;

	cr_assert_eq(pa_store_open(path, &s, err), 0, "%s", err);
	return s;
}

static struct pa_lease sample(unsigned n)
{
	struct pa_lease l;

	memset(&l, 0, sizeof(l));
	l.addr = pa_addr_from_ipv4(0xcb007100u + n);
	l.dhcp_addr = pa_addr_from_ipv4(0x0a010000u + n);
	l.ident = ident_in("campus", n);
	l.serial = n + 1;
	l.epoch = 1800000000000u + n;
	l.granted = 1800000000u;
	l.expires = 1800003660u;
	l.highest = 1800009999u;
	l.ended = n % 2 == 0 ? 0 : 1800000005u;
	l.revoked = n % 2 == 0 ? 0 : 1800000005000u + n;
	l.lifetime = UINT32_MAX;
	l.subnet_id = UINT32_MAX;
	l.xid = 0xdeadbeef;
	l.has_xid = n % 3 != 0;
	l.pool_id = 65535;
	l.state = n % 2 == 0 ? PA_LEASE_ACTIVE : PA_LEASE_RELEASED;
	l.fingerprint[15] = (uint8_t)n;
	return l;
}

static int compare_row(void *ctx, const struct pa_lease *row)
{
	unsigned n = pa_addr_to_ipv4(&row->addr) - 0xcb007100u;
	struct pa_lease want = sample(n);

	cr_assert(pa_ident_eq(row->ident, want.ident));
	pa_ident_put(want.ident);
	cr_assert(pa_addr_eq(&row->dhcp_addr, &want.dhcp_addr));
	cr_assert_eq(row->serial, want.serial);
	cr_assert_eq(row->epoch, want.epoch);
	cr_assert_eq(row->granted, want.granted);
	cr_assert_eq(row->expires, want.expires);
	cr_assert_eq(row->highest, want.highest);
	cr_assert_eq(row->ended, want.ended);
	cr_assert_eq(row->revoked, want.revoked);
	cr_assert_eq(row->lifetime, want.lifetime);
	cr_assert_eq(row->subnet_id, want.subnet_id);
	cr_assert_eq(row->has_xid, want.has_xid);
	cr_assert(!row->has_xid || row->xid == want.xid);
	cr_assert_eq(row->pool_id, want.pool_id);
	cr_assert_eq(row->state, want.state);
	cr_assert_arr_eq(row->fingerprint, want.fingerprint, PA_FINGERPRINT_LEN);
	(*(unsigned *)ctx)++;
	return 0;
}

static int count_row(void *ctx, const struct pa_lease *row)
{
	(void)row;
	(*(unsigned *)ctx)++;
	return 0;
}

static void append_samples(struct pa_store *s, unsigned n)
{
	struct pa_lease *rows = calloc(n, sizeof(*rows));
	const struct pa_lease **list = calloc(n, sizeof(*list));
	char err[PA_STORE_ERRLEN] = "";

	for (unsigned i = 0; i < n; i++) {
		rows[i] = sample(i);
		list[i] = &rows[i];
	}
	cr_assert_eq(pa_store_append(s, &(struct pa_store_changes){.rows = list, .n_rows = n}, err), 0, "%s", err);
	for (unsigned i = 0; i < n; i++)
		pa_ident_put(rows[i].ident);
	free(rows);
	free(list);
}

Test(store, gives_back_what_it_was_given)
{
	struct pa_store *s = open_store();
	char err[PA_STORE_ERRLEN] = "";
	unsigned n = 0;

	append_samples(s, 7);
	append_samples(s, 5); /* in place of what was there */
	pa_store_close(s);
	s = open_store();
	cr_assert_eq(pa_store_load(s, compare_row, &n, err), 0, "%s", err);
	cr_assert_eq(n, 7u);
	pa_store_close(s);
}

Test(store, backup_is_a_store_of_its_own)
{
	char err[PA_STORE_ERRLEN] = "", copy[sizeof(path) + 8];
	struct pa_store *s = open_store(), *b = NULL;
	unsigned n = 0;
	struct stat st;

	append_samples(s, 5);
	(void)snprintf(copy, sizeof(copy), "%s.copy", path);
	cr_assert_eq(pa_store_backup(s, copy, err), 0, "%s", err);
	cr_assert_eq(stat(copy, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600u);
	append_samples(s, 7);
	cr_assert_eq(pa_store_open(copy, &b, err), 0, "while the other one is open: %s", err);
	cr_assert_eq(pa_store_load(b, compare_row, &n, err), 0, "%s", err);
	cr_assert_eq(n, 5u, "as it was then");
	pa_store_close(b);
	cr_assert_eq(pa_store_backup(s, copy, err), PA_EEXIST);
	cr_assert_not_null(strstr(err, "never overwrites"), "%s", err);
	cr_assert_eq(pa_store_backup(s, "/nonexistent/x", err), PA_EDENIED);
	cr_assert_not_null(strstr(err, "name a file where"), "%s", err);
	pa_store_close(s);
}

Test(store, file_is_private)
{
	struct pa_store *s = open_store();
	struct stat st;

	append_samples(s, 3);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600u);
	pa_store_close(s);
}

static void assert_refused(int want, const char *why)
{
	char err[PA_STORE_ERRLEN] = "";
	struct pa_store *s = NULL;

	cr_assert_eq(pa_store_open(path, &s, err), want, "%s", err);
	cr_assert_null(s);
	cr_assert(strncmp(err, path, strlen(path)) == 0, "names its file: %s", err);
	cr_assert(strstr(err, why) != NULL, "%s", err);
}

Test(store, one_broker_at_a_time)
{
	struct pa_store *s = open_store();

	assert_refused(PA_EAGAIN, "stop the other broker");
	pa_store_close(s);
	pa_store_close(open_store());
}

Test(store, damaged_file)
{
	FILE *f = fopen(path, "w");

	for (int i = 0; i < 5000; i++)
		fputc('x', f);
	fclose(f);
	assert_refused(PA_EFORMAT, "backup");
}

static void sql(const char *text)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

Test(store, other_databases_and_versions)
{
	sql("CREATE TABLE recipe (name TEXT)");
	assert_refused(PA_EFORMAT, "another program");
	(void)unlink(path);
	pa_store_close(open_store());
	sql("PRAGMA user_version = 4");
	assert_refused(PA_EVERSION, "schema version 4");
}

/* As version 1 made it, with one lease in it. */
static const char version_1[] =
	"CREATE TABLE lease (address TEXT PRIMARY KEY NOT NULL, pool_id INTEGER NOT NULL, realm TEXT NOT NULL, client_kind INTEGER "
	"NOT NULL, client BLOB NOT NULL, subnet_id INTEGER NOT NULL, dhcp_address TEXT NOT NULL, serial INTEGER NOT NULL, epoch "
	"INTEGER NOT NULL, granted INTEGER NOT NULL, expires INTEGER NOT NULL, highest INTEGER NOT NULL, ended INTEGER NOT NULL, "
	"lifetime INTEGER NOT NULL, xid INTEGER, fingerprint BLOB NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;"
	"INSERT INTO lease VALUES ('203.0.113.0', 65535, 'campus', 0, x'0100000000', 4294967295, '10.1.0.0', 1, 1800000000000, "
	"1800000000, 1800003660, 1800009999, 0, 4294967295, NULL, zeroblob(16), 'active');"
	"PRAGMA user_version = 1; PRAGMA application_id = 0x70756261;";

static void take_ack(void *ctx, const struct pa_ack *ack)
{
	*(struct pa_ack *)ctx = *ack;
}

Test(store, version_1_is_brought_up_to_date)
{
	const struct pa_ack ack = {"gw1", 1800000007000u};
	struct pa_ack got = {"", 0};
	char err[PA_STORE_ERRLEN] = "";
	struct pa_store *s;

	sql(version_1);
	s = open_store();
	for (int round = 0; round < 2; round++) {
		unsigned n = 0;

		cr_assert_eq(pa_store_load(s, compare_row, &n, err), 0, "%s", err);
		cr_assert_eq(n, 1u);
		cr_assert_eq(pa_store_append(s, &(struct pa_store_changes){.acks = &ack, .n_acks = 1}, err), 0, "%s", err);
		pa_store_close(s);
		s = open_store();
	}
	cr_assert_eq(pa_store_load_acks(s, take_ack, &got, err), 0, "%s", err);
	cr_assert_str_eq(got.name, "gw1");
	cr_assert_eq(got.number, ack.number);
	pa_store_close(s);
}

Test(store, missing_folder)
{
	(void)snprintf(path, sizeof(path), "%s/no/b.db", dir);
	assert_refused(PA_EDENIED, "make its folder");
}

Test(store, impossible_value)
{
	struct pa_store *s = open_store();
	char err[PA_STORE_ERRLEN] = "";
	unsigned n = 0;

	append_samples(s, 2);
	pa_store_close(s);
	sql("UPDATE lease SET state = 'odd' WHERE address = '203.0.113.1'");
	s = open_store();
	cr_assert_eq(pa_store_load(s, count_row, &n, err), PA_EFORMAT);
	cr_assert(strstr(err, "203.0.113.1") != NULL, "%s", err);
	pa_store_close(s);
}

/* Overwrites len bytes of a file at a place; from the end when at is negative. */
static void spoil(const char *suffix, long at, size_t len, int byte)
{
	char name[sizeof(path) + 8];
	FILE *f;

	(void)snprintf(name, sizeof(name), "%s%s", path, suffix);
	f = fopen(name, "r+");
	cr_assert_not_null(f, "%s", name);
	cr_assert_eq(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
	while (len-- > 0)
		fputc(byte, f);
	fclose(f);
}

/* What a broker makes of the file: 0 with the samples as they were, or an error that names it and the remedy. */
static int read_all(unsigned samples)
{
	char err[PA_STORE_ERRLEN] = "";
	struct pa_store *s = NULL;
	unsigned n = 0;
	int rc = pa_store_open(path, &s, err);

	if (rc == 0)
		rc = pa_store_load(s, compare_row, &n, err); /* fails the test for a value that is another one */
	pa_store_close(s);
	if (rc < 0)
		cr_assert(strncmp(err, path, strlen(path)) == 0 && strstr(err, "RESTORING A BACKUP") != NULL, "%s", err);
	else
		cr_assert_eq(n, samples, "rows are missing, and nobody says so");
	return rc;
}

static void make_large(unsigned samples)
{
	struct pa_store *s = open_store();

	append_samples(s, samples);
	pa_store_close(s);
}

Test(store, damage_in_any_place_is_found)
{
	struct stat st;
	unsigned found = 0, places = 0;

	make_large(200);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_gt(st.st_size, 8 * 4096);
	/* Single bytes all over the file; where nothing is stored they harm nobody. */
	for (long at = 7; at < st.st_size; at += 397, places++) {
		char save[1];
		FILE *f = fopen(path, "r");

		cr_assert_eq(fseek(f, at, SEEK_SET), 0);
		cr_assert_eq(fread(save, 1, 1, f), 1u);
		fclose(f);
		spoil("", at, 1, save[0] ^ 0x04);
		found += read_all(200) < 0;
		spoil("", at, 1, save[0]);
	}
	cr_assert_gt(found, places / 2, "%u of %u", found, places);
	cr_assert_eq(read_all(200), 0);
}

Test(store, a_page_of_zeros_or_a_lost_end_is_found)
{
	struct stat st;

	make_large(200);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(truncate(path, st.st_size - 4096), 0);
	cr_assert_eq(read_all(200), PA_EFORMAT);
	(void)unlink(path);
	make_large(200);
	spoil("", 3 * 4096, 4096, 0);
	cr_assert_eq(read_all(200), PA_EFORMAT);
	(void)unlink(path);
	make_large(200);
	spoil("", 0, 100, 'x');
	cr_assert_eq(read_all(200), PA_EFORMAT);
}

Test(store, a_row_with_another_number_is_found)
{
	pa_store_close(open_store());
	make_large(2);
	sql("UPDATE lease SET epoch = epoch + 1 WHERE address = '203.0.113.1'");
	cr_assert_eq(read_all(2), PA_EFORMAT);
}

Test(store, damage_while_it_runs_is_told)
{
	struct pa_store *s;
	char err[PA_STORE_ERRLEN] = "";
	unsigned n = 0;

	make_large(20000); /* more than SQLite keeps in memory */
	s = open_store();
	spoil("", 4096, 100 * 4096, 'x');
	cr_assert_eq(pa_store_load(s, count_row, &n, err), PA_EFORMAT, "%s", err);
	cr_assert_not_null(strstr(err, "RESTORING A BACKUP"), "%s", err);
	pa_store_close(s);
}

Test(store, a_file_that_is_taken_away_takes_no_more_leases)
{
	struct pa_store *s = open_store();
	struct pa_lease row = sample(3);
	const struct pa_lease *list[] = {&row};
	const struct pa_store_changes changes = {.rows = list, .n_rows = 1};
	char err[PA_STORE_ERRLEN] = "", away[sizeof(path) + 8];

	append_samples(s, 2);
	(void)snprintf(away, sizeof(away), "%s.away", path);
	cr_assert_eq(rename(path, away), 0);
	cr_assert_eq(pa_store_append(s, &changes, err), PA_EIO);
	cr_assert_not_null(strstr(err, "moved or removed while the broker runs"), "%s", err);
	cr_assert_eq(rename(away, path), 0);
	cr_assert_eq(pa_store_append(s, &changes, err), 0, "%s", err);
	pa_store_close(s);
	pa_ident_put(row.ident);
}

/* As somebody who may not write there; root may write anywhere. */
static void become_nobody(void)
{
	if (geteuid() == 0)
		cr_assert_eq(seteuid(65534), 0);
}

static void become_root(void)
{
	if (getuid() == 0)
		cr_assert_eq(seteuid(0), 0);
}

Test(store, what_may_only_be_read_is_refused)
{
	char err[PA_STORE_ERRLEN] = "";
	struct pa_store *s = NULL;

	make_large(2);
	cr_assert_eq(chmod(path, 0444), 0);
	cr_assert_eq(chmod(dir, 0777), 0);
	become_nobody();
	cr_assert_eq(pa_store_open(path, &s, err), PA_EDENIED);
	cr_assert_not_null(strstr(err, "must be able to write the file and its folder"), "%s", err);
	become_root();
	cr_assert_eq(chmod(path, 0666), 0);
	cr_assert_eq(chmod(dir, 0555), 0);
	become_nobody();
	cr_assert_eq(pa_store_open(path, &s, err), PA_EDENIED, "the write-ahead log cannot be made: %s", err);
	cr_assert_not_null(strstr(err, "must be able to write the file and its folder"), "%s", err);
	become_root();
	cr_assert_eq(chmod(dir, 0700), 0);
	cr_assert_eq(read_all(2), 0, "nothing was harmed");
}

/* No file of this process can grow further: the disk is full. false: there is room again. */
static void fill_disk(bool full)
{
	struct rlimit lim = {full ? 100 : RLIM_INFINITY, RLIM_INFINITY};

	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

Test(store, a_commit_that_fails_stores_nothing)
{
	struct pa_store *s = open_store();
	char err[PA_STORE_ERRLEN] = "";
	struct pa_lease row = sample(3);
	const struct pa_lease *list[] = {&row};
	unsigned n = 0;

	append_samples(s, 2);
	fill_disk(true);
	cr_assert_lt(pa_store_append(s, &(struct pa_store_changes){.rows = list, .n_rows = 1}, err), 0);
	fill_disk(false);
	cr_assert(strncmp(err, path, strlen(path)) == 0, "%s", err);
	cr_assert_eq(pa_store_load(s, count_row, &n, err), 0, "%s", err);
	cr_assert_eq(n, 2u);
	cr_assert_eq(pa_store_append(s, &(struct pa_store_changes){.rows = list, .n_rows = 1}, err), 0, "%s", err);
	pa_store_close(s);
	pa_ident_put(row.ident);
}

/* ---- the group commit */

struct answer {
	int n, result;
	char address[PA_ADDR_STRLEN], text[128];
};

static void take_reply(void *ctx, void *request, enum pa_result result, const char *text, json_t *arguments)
{
	struct answer *a = request;
	const char *address = json_string_value(json_object_get(arguments, "address"));

	(void)ctx;
	a->n++;
	a->result = (int)result;
	(void)snprintf(a->text, sizeof(a->text), "%s", text);
	(void)snprintf(a->address, sizeof(a->address), "%s", address != NULL ? address : "");
	json_decref(arguments);
}

static struct pa_setup setup_of(void)
{
	struct pa_setup s;

	memset(&s, 0, sizeof(s));
	s.conf = conf_pool("203.0.113.0/28");
	free(s.conf->database);
	s.conf->database = strdup(path);
	s.keys = test_keys();
	return s;
}

static const struct pa_now now = {.boot_ms = 5000, .unix_ms = 1800000000000u};
static char last_event[64];

static void take_log(enum pa_log_level level, const char *event, const char *text)
{
	(void)level;
	(void)text;
	(void)snprintf(last_event, sizeof(last_event), "%s", event);
}

static void add(struct pa_batch *b, struct answer *a, unsigned client)
{
	char id[9];
	json_t *arguments;

	(void)snprintf(id, sizeof(id), "%08x", client);
	arguments = json_pack("{s:s, s:i, s:s, s:s, s:i}", "realm", "campus", "subnet-id", 1, "dhcp-address", "10.0.0.1",
			      "client-id", id, "valid-lifetime", 600);
	memset(a, 0, sizeof(*a));
	pa_batch_add(b, a, "lease-allocate", arguments, now, true);
	json_decref(arguments);
}

Test(batch, replies_wait_for_the_commit)
{
	struct pa_setup s = setup_of();
	struct answer a, b;
	struct pa_batch *batch;

	cr_assert_eq(pa_batch_new(&s, take_reply, NULL, &batch), 0);
	add(batch, &a, 1);
	add(batch, &b, 2);
	cr_assert_eq(a.n + b.n, 0, "nothing is answered before it is stored");
	cr_assert_eq(pa_batch_size(batch), 2u);
	pa_batch_flush(batch, now);
	cr_assert_eq(a.n, 1);
	cr_assert_eq(b.n, 1);
	cr_assert_eq(a.result, PA_RESULT_SUCCESS, "%s", a.text);
	cr_assert_str_eq(b.address, "203.0.113.1");
	pa_batch_free(batch);
	cr_assert_eq(pa_batch_new(&s, take_reply, NULL, &batch), 0);
	cr_assert_eq(pa_batch_rows(batch), 2u, "and it is there after a restart");
	pa_batch_free(batch);
	pa_setup_clear(&s);
}

Test(batch, failed_commit_takes_everything_back_and_service_goes_on)
{
	struct pa_setup s = setup_of();
	struct answer a, b, c;
	struct pa_batch *batch;
	json_t *get = json_pack("{s:s}", "address", "203.0.113.1");

	pa_log_set_sink(take_log);
	cr_assert_eq(pa_batch_new(&s, take_reply, NULL, &batch), 0);
	add(batch, &a, 1);
	pa_batch_flush(batch, now);
	fill_disk(true);
	add(batch, &b, 2);
	memset(&c, 0, sizeof(c));
	pa_batch_add(batch, &c, "lease-get", get, now, true); /* sees what is not stored */
	pa_batch_flush(batch, now);
	fill_disk(false);
	cr_assert_eq(b.result, PA_RESULT_ERROR);
	cr_assert(strstr(b.text, "could not be stored") != NULL);
	cr_assert_eq(c.result, PA_RESULT_ERROR);
	cr_assert(pa_batch_failed(batch));
	cr_assert_eq(pa_batch_rows(batch), 1u, "nothing unacknowledged survives");
	add(batch, &c, 3);
	pa_batch_flush(batch, now);
	cr_assert_eq(c.result, PA_RESULT_SUCCESS, "%s", c.text);
	cr_assert_str_eq(c.address, "203.0.113.1", "what the failed one had is free");
	cr_assert_not(pa_batch_failed(batch));
	cr_assert_str_eq(last_event, "lease.grant");
	pa_batch_free(batch);
	pa_setup_clear(&s);
	json_decref(get);
}

Test(batch, expiry_is_stored)
{
	struct pa_setup s = setup_of();
	struct pa_now later = {.boot_ms = now.boot_ms, .unix_ms = now.unix_ms + 661000};
	struct pa_batch *batch;
	struct answer a;

	cr_assert_eq(pa_batch_new(&s, take_reply, NULL, &batch), 0);
	add(batch, &a, 1);
	pa_batch_flush(batch, now);
	cr_assert_eq(pa_batch_next_expiry(batch), now.unix_ms / 1000 + 660);
	pa_log_set_sink(take_log);
	pa_batch_expire(batch, later, 10);
	pa_batch_flush(batch, later);
	cr_assert_str_eq(last_event, "lease.expire");
	pa_batch_free(batch);
	cr_assert_eq(pa_batch_new(&s, take_reply, NULL, &batch), 0);
	cr_assert_eq(pa_batch_next_expiry(batch), UINT64_MAX, "it does not come back to life");
	pa_batch_free(batch);
	pa_setup_clear(&s);
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The broker's store on a disk that loses power, or fails, at any of its writes: what was answered is there afterwards, no address
 * has two holders, and no epoch goes back. A failure prints what to call examine() with to see it alone.
 */
#include "test/unit/broker_fixture.h"

#include <sqlite3.h>

#include "broker/batch.h"
#include "common/err.h"
#include "common/log.h"
#include "test/sim/disk.h"
#include "test/sim/peer.h"
#include "test/unit/tempdir.h"

#define ADDRESSES 8 /* 203.0.113.0/29 */
#define CLIENTS 12
#define STEPS 50
#define FACTS 512
#define TEXT 256
#define CHECKPOINT 10 /* pages of the write-ahead log; SQLite's 1000 would take long to fill */

/* What a reply told somebody. */
struct fact {
	unsigned addr, client;
	uint64_t epoch, expires;
	bool ended;
	size_t change; /* of the disk, at which it was told */
};

enum mutant { INTACT, REPLY_EARLY, NO_SYNC };

struct history {
	struct peer_rng rng;
	enum mutant mutant;
	struct pa_setup setup;
	struct pa_batch *batch;
	struct disk *disk;
	struct pa_now now;
	unsigned xid;
	size_t arrived; /* changes of the disk when the requests of this batch arrived */
	struct fact facts[FACTS];
	size_t n_facts;
	unsigned errors; /* replies that say that nothing was stored */
};

struct request {
	struct history *h;
	unsigned client;
	bool release;
	int result;
	unsigned addr; /* ADDRESSES: none */
	uint64_t epoch;
};

static char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 16];

static void quiet(enum pa_log_level level, const char *event, const char *text)
{
	(void)level;
	(void)event;
	(void)text;
}

static sqlite3 *connection; /* the store's own, the one that was opened last */

static int take_connection(sqlite3 *db, char **err, const struct sqlite3_api_routines *api)
{
	(void)err;
	(void)api;
	connection = db;
	return SQLITE_OK;
}

static void setup(void)
{
	cr_assert_eq(pa_cred_init(), 0);
	pa_log_set_sink(quiet);
	tempdir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/broker.db", dir);
	cr_assert_eq(sqlite3_auto_extension((void (*)(void))take_connection), SQLITE_OK);
}

static void teardown(void)
{
	tempdir_remove(dir);
}

TestSuite(powercut, .init = setup, .fini = teardown, .timeout = 280);

static unsigned pick(struct history *h, unsigned below)
{
	return (unsigned)(peer_next(&h->rng) % below);
}

static void on_reply(void *ctx, void *request, enum pa_result result, const char *text, json_t *arguments)
{
	struct request *r = request;
	struct history *h = r->h;
	const json_t *lease = json_object_get(arguments, "lease");
	struct pa_addr addr;

	(void)ctx;
	r->result = (int)result;
	r->addr = ADDRESSES;
	h->errors += result == PA_RESULT_ERROR && strstr(text, "could not be stored") != NULL;
	if (result == PA_RESULT_SUCCESS && lease != NULL) {
		cr_assert_eq(pa_addr_parse(json_string_value(json_object_get(lease, "address")), &addr), 0);
		r->addr = addr.b[15] % ADDRESSES;
		r->epoch = (uint64_t)json_integer_value(json_object_get(lease, "epoch"));
		cr_assert_lt(h->n_facts, FACTS);
		h->facts[h->n_facts++] = (struct fact){
			r->addr, r->client, r->epoch, (uint64_t)json_integer_value(json_object_get(lease, "expires")), r->release,
			h->mutant == REPLY_EARLY ? h->arrived : disk_changes(h->disk)};
	}
	json_decref(arguments);
}

static void ask(struct history *h, struct request *r, unsigned client, bool release)
{
	char id[8], xid[16];
	json_t *a;

	(void)snprintf(id, sizeof(id), "%04x", client + 1);
	(void)snprintf(xid, sizeof(xid), "%x", ++h->xid);
	a = json_pack("{s:s, s:i, s:s, s:s, s:i, s:s}", "realm", "campus", "subnet-id", 1, "dhcp-address", "10.0.0.1", "client-id",
		      id, "valid-lifetime", 60 + (int)pick(h, 4) * 200, "transaction", xid);
	*r = (struct request){.h = h, .client = client, .release = release};
	pa_batch_add(h->batch, r, release ? "lease-release" : "lease-allocate", a, h->now, true);
	json_decref(a);
}

static int open_batch(struct history *h)
{
	int rc;

	disk_use(h->disk);
	rc = pa_batch_new(&h->setup, on_reply, NULL, &h->batch);
	if (rc == 0)
		cr_assert_eq(sqlite3_wal_autocheckpoint(connection, CHECKPOINT), SQLITE_OK);
	return rc;
}

/* A history of some minutes; its disk remembers every change. */
static struct history *run(uint64_t seed, enum mutant mutant, size_t fail_at, size_t fail_count)
{
	struct history *h = calloc(1, sizeof(*h));
	struct request r[4];

	h->rng.s = seed;
	h->mutant = mutant;
	h->setup.conf = conf_pool("203.0.113.0/29");
	free(h->setup.conf->database);
	h->setup.conf->database = strdup(path);
	h->setup.keys = test_keys();
	h->disk = disk_new();
	if (mutant == NO_SYNC)
		disk_lie(h->disk);
	h->now = (struct pa_now){.boot_ms = 5000, .unix_ms = 1800000000000u};
	cr_assert_eq(open_batch(h), 0);
	disk_fail(h->disk, fail_at, fail_count, seed % 2 == 0 ? SQLITE_FULL : SQLITE_IOERR_WRITE);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned n = 1 + pick(h, 3), pass = pick(h, 8) == 0 ? 400000 : pick(h, 30000);

		h->arrived = disk_changes(h->disk);
		pa_batch_expire(h->batch, h->now, 4);
		for (unsigned i = 0; i < n; i++)
			ask(h, &r[i], pick(h, CLIENTS), pick(h, 3) == 0);
		pa_batch_flush(h->batch, h->now);
		h->now.boot_ms += pass;
		h->now.unix_ms += pass;
	}
	return h;
}

static void finish(struct history *h)
{
	disk_use(h->disk); /* closing writes as well */
	pa_batch_free(h->batch);
	disk_free(h->disk);
	pa_setup_clear(&h->setup);
	free(h);
}

/* ---------------------------------------------------------------- what must hold */

static bool violated(char text[TEXT], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool violated(char text[TEXT], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, TEXT, fmt, ap);
	va_end(ap);
	return false;
}

/* What was told last of each address before the cut; NULL: nothing. */
static void last_facts(const struct history *h, size_t cut, const struct fact *last[ADDRESSES])
{
	memset(last, 0, ADDRESSES * sizeof(*last));
	for (size_t i = 0; i < h->n_facts && h->facts[i].change <= cut; i++)
		last[h->facts[i].addr] = &h->facts[i];
}

struct row {
	uint64_t epoch, expires;
	bool active;
};

static void take_row(void *ctx, void *request, enum pa_result result, const char *text, json_t *arguments)
{
	const json_t *lease = json_object_get(arguments, "lease");
	struct row *row = request;
	const char *state = json_string_value(json_object_get(lease, "state"));

	(void)ctx;
	(void)result;
	(void)text;
	row->epoch = (uint64_t)json_integer_value(json_object_get(lease, "epoch"));
	row->expires = (uint64_t)json_integer_value(json_object_get(lease, "expires"));
	row->active = state != NULL && strcmp(state, "active") == 0;
	json_decref(arguments);
}

static bool check_rows(struct history *after, const struct fact *const last[ADDRESSES], char text[TEXT])
{
	struct pa_batch *reader;

	/* The same store again, with replies that are read as rows. */
	pa_batch_free(after->batch);
	after->batch = NULL;
	if (pa_batch_new(&after->setup, take_row, NULL, &reader) < 0)
		return violated(text, "the store cannot be opened a second time");
	for (unsigned a = 0; a < ADDRESSES; a++) {
		struct row row = {0, 0, false};
		char addr[32];
		json_t *args;

		(void)snprintf(addr, sizeof(addr), "203.0.113.%u", a);
		args = json_pack("{s:s}", "address", addr);
		pa_batch_add(reader, &row, "lease-get", args, after->now, true);
		pa_batch_flush(reader, after->now);
		json_decref(args);
		if (last[a] == NULL)
			continue;
		if (row.epoch < last[a]->epoch)
			violated(text, "the lease of %s with epoch %lu is lost", addr, (unsigned long)last[a]->epoch);
		else if (row.epoch == last[a]->epoch && last[a]->ended && row.active)
			violated(text, "the release of %s is lost", addr);
		else if (row.epoch == last[a]->epoch && !last[a]->ended && row.expires < last[a]->expires)
			violated(text, "the renewal of %s is lost", addr);
	}
	pa_batch_free(reader);
	return text[0] == '\0' && open_batch(after) == 0;
}

/* Clients who never asked before take what they can get: nothing that somebody was told is his, and no old epoch. */
static bool check_newcomers(struct history *after, const struct history *before, size_t cut, const struct fact *const last[ADDRESSES],
			    char text[TEXT])
{
	for (unsigned n = 0; n < ADDRESSES; n++) {
		struct request r;

		ask(after, &r, 100 + n, false);
		pa_batch_flush(after->batch, after->now);
		if (r.addr == ADDRESSES)
			break;
		if (last[r.addr] != NULL && !last[r.addr]->ended && last[r.addr]->expires > after->now.unix_ms / 1000)
			return violated(text, "address %u is given to another client while it is client %u's", r.addr,
					last[r.addr]->client);
		for (size_t i = 0; i < before->n_facts && before->facts[i].change <= cut; i++)
			if (before->facts[i].addr == r.addr && before->facts[i].epoch >= r.epoch)
				return violated(text, "address %u gets the epoch %lu again", r.addr, (unsigned long)r.epoch);
	}
	return true;
}

/* The broker starts on what a power cut after n changes leaves. */
static bool examine(const struct history *h, size_t n, enum disk_cut how, uint64_t seed, char text[TEXT])
{
	struct history *after = calloc(1, sizeof(*after));
	const struct fact *last[ADDRESSES];
	bool good;

	text[0] = '\0';
	after->setup = h->setup;
	after->disk = disk_after_cut(h->disk, n, how, seed);
	after->now = h->now;
	/* A clock that was set back is no excuse. */
	if (seed % 2 == 1)
		after->now.unix_ms -= 3600000;
	last_facts(h, n, last);
	good = open_batch(after) == 0 || violated(text, "the broker does not start");
	good = good && check_rows(after, last, text) && check_newcomers(after, h, n, last, text);
	pa_batch_free(after->batch);
	disk_free(after->disk);
	free(after);
	return good;
}

/* Every place at which the power can go, and what may be left of the unsynced writes. */
static unsigned cut_everywhere(struct history *h, size_t first, char text[TEXT])
{
	static const enum disk_cut hows[] = {DISK_ALL, DISK_NONE, DISK_TORN, DISK_RANDOM, DISK_RANDOM, DISK_RANDOM};
	unsigned cuts = 0;

	for (size_t n = first; n <= disk_changes(h->disk); n++) {
		for (unsigned i = 0; i < sizeof(hows) / sizeof(hows[0]); i++, cuts++) {
			char what[TEXT];

			if (examine(h, n, hows[i], n * 7 + i, what))
				continue;
			(void)snprintf(text, TEXT, "power cut after change %zu, way %u, seed %zu: %.150s", n, i, n * 7 + i, what);
			return cuts;
		}
	}
	return cuts;
}

static void histories(uint64_t seed)
{
	struct history *h = run(seed, INTACT, SIZE_MAX, 0);
	char text[TEXT] = "";
	unsigned cuts = cut_everywhere(h, 0, text);

	cr_assert_str_eq(text, "", "history %lu: %s", (unsigned long)seed, text);
	cr_assert_gt(h->n_facts, (size_t)STEPS / 2);
	cr_assert_gt(disk_changes_of(h->disk, path, disk_changes(h->disk) / 2), 4u, "checkpoints into the database are among them");
	cr_log_info("history %lu: %zu replies, %zu changes of the disk, %u power cuts", (unsigned long)seed, h->n_facts,
		    disk_changes(h->disk), cuts);
	finish(h);
}

Test(powercut, nothing_answered_is_lost_1)
{
	histories(1);
}

Test(powercut, nothing_answered_is_lost_2)
{
	histories(2);
}

/* Each change in turn fails, alone or with those that follow; service goes on, and then the power goes. */
static void failing_disk(uint64_t seed, size_t count)
{
	struct history *h = run(seed, INTACT, SIZE_MAX, 0);
	size_t n = disk_changes(h->disk);
	unsigned errors = 0;

	finish(h);
	for (size_t at = 20; at < n; at++) {
		char text[TEXT] = "";

		h = run(seed, INTACT, at, count);
		errors += h->errors;
		(void)cut_everywhere(h, disk_changes(h->disk), text);
		cr_assert_str_eq(text, "", "history %lu, changes %zu to %zu fail: %s", (unsigned long)seed, at, at + count - 1, text);
		finish(h);
	}
	cr_assert_gt(errors, n / 4, "whose change could not be stored was told so");
}

Test(powercut, one_failed_write_loses_nothing)
{
	failing_disk(3, 1);
}

Test(powercut, a_full_disk_loses_nothing)
{
	failing_disk(4, 9);
}

/* With the rule taken out, the same histories show it. */
static void finds(enum mutant mutant, const char *name)
{
	struct history *h = run(1, mutant, SIZE_MAX, 0);
	char text[TEXT] = "";

	(void)cut_everywhere(h, 0, text);
	cr_assert(strstr(text, "is lost") != NULL || strstr(text, "is given to another") != NULL ||
		  strstr(text, "does not start") != NULL, "%s: %s", name, text);
	cr_log_info("%s: %s", name, text);
	finish(h);
}

Test(powercut, fails_when_replies_do_not_wait_for_the_commit)
{
	finds(REPLY_EARLY, "replies before the commit");
}

Test(powercut, fails_when_commits_do_not_wait_for_the_disk)
{
	finds(NO_SYNC, "without fsync");
}

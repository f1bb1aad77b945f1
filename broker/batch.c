/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/api.h"
#include "broker/store.h"
#include "common/cred.h"
#include "common/err.h"

#define REFUSE_LOG_MS 1000 /* an exhausted pool refuses every client; one line a second is enough */

struct waiting {
	void *request;
	struct pa_api_reply reply;
};

struct pa_batch {
	pa_batch_reply reply;
	void *ctx;
	struct pa_store *store;
	struct pa_lease_table *leases; /* NULL: the store could not be read again */
	struct pa_api api;
	bool copied; /* the store is a copy that runs for the first time */
	struct pa_api_counters stored; /* the counters as of the last commit */
	struct waiting *waiting;
	size_t n, cap;
	bool failed;
	uint64_t refuse_logged_ms;
	unsigned refuse_suppressed;
};

static int take_row(void *ctx, const struct pa_lease *row)
{
	return pa_lease_load(ctx, row);
}

static void take_ack(void *ctx, const struct pa_ack *ack)
{
	(void)pa_lease_ack(ctx, ack->name, ack->number); /* a gateway that is not configured any more is left out */
}

static int take_recovery(void *ctx, const struct pa_recovery *recovery)
{
	return pa_lease_recovery_load(ctx, recovery);
}

/* Reads the lease table from the store. */
static int load(struct pa_batch *b, struct pa_lease_table **ret)
{
	char err[PA_STORE_ERRLEN] = "out of memory";
	struct pa_lease_table *t;
	uint8_t seed[16];
	int rc = PA_ENOMEM;

	pa_random(seed, sizeof(seed));
	t = pa_lease_table_new(b->api.conf, seed);
	if (t != NULL)
		rc = pa_store_load(b->store, take_row, t, err);
	if (rc == 0)
		rc = pa_store_load_acks(b->store, take_ack, t, err);
	if (rc == 0)
		rc = pa_store_load_recoveries(b->store, take_recovery, t, err);
	if (rc == 0)
		rc = pa_store_copied(b->store, &b->copied, err);
	if (rc < 0) {
		pa_log(PA_LOG_ERROR, "store.load-failed", "error=\"%s\"", err);
		pa_lease_table_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

static void set_leases(struct pa_batch *b, struct pa_lease_table *leases)
{
	b->leases = leases;
	b->api.leases = leases;
}

/* Pending changes are not in it, and were not answered yet. */
static int backup(void *ctx, const char *file, char err[PA_CONF_ERRLEN])
{
	char detail[PA_STORE_ERRLEN];
	int rc = pa_store_backup(ctx, file, detail);

	if (rc < 0)
		(void)snprintf(err, PA_CONF_ERRLEN, "%s", detail);
	return rc;
}

void pa_batch_on_reload(struct pa_batch *b, int (*reload)(void *ctx, char err[PA_CONF_ERRLEN]), void *ctx)
{
	b->api.config_reload = reload;
	b->api.reload_ctx = ctx;
}

int pa_batch_new(const struct pa_setup *setup, pa_batch_reply reply, void *ctx, struct pa_batch **ret)
{
	struct pa_batch *b = calloc(1, sizeof(*b));
	char err[PA_STORE_ERRLEN] = "out of memory", place[PA_CONF_PLACELEN];
	struct pa_lease_table *leases;
	int rc = PA_ENOMEM;

	if (b != NULL)
		rc = pa_store_open(setup->conf->database, &b->store, err);
	if (rc < 0) {
		pa_log(PA_LOG_ERROR, "store.open-failed", "error=\"%s%s\"",
		       pa_conf_place(setup->conf->source, "database", place), err);
		pa_batch_free(b);
		return rc;
	}
	b->reply = reply;
	b->ctx = ctx;
	b->api.conf = setup->conf;
	b->api.reports = pa_reports_new();
	if (b->api.reports == NULL) {
		pa_batch_free(b);
		return PA_ENOMEM;
	}
	rc = load(b, &leases);
	if (rc < 0) {
		pa_batch_free(b);
		return rc;
	}
	set_leases(b, leases);
	b->api.keys = setup->keys;
	b->api.version = PA_VERSION;
	b->api.started_boot_ms = pa_now_get().boot_ms;
	b->api.pid = getpid();
	b->api.config_test = pa_setup_test;
	b->api.store_backup = backup;
	b->api.backup_ctx = b->store;
	*ret = b;
	return 0;
}

void pa_batch_free(struct pa_batch *b)
{
	if (b == NULL)
		return;
	PA_REQUIRE(b->n == 0);
	pa_lease_table_free(b->leases);
	pa_reports_free(b->api.reports);
	pa_store_close(b->store);
	free(b->waiting);
	free(b);
}

int pa_batch_configure(struct pa_batch *b, const struct pa_setup *setup)
{
	int rc = b->leases != NULL ? pa_lease_configure(b->leases, setup->conf) : 0;

	if (rc < 0)
		return rc;
	b->api.conf = setup->conf;
	b->api.keys = setup->keys;
	return 0;
}

/* A backup that was put in place: leases may have been given since it was made. */
static void recover(struct pa_batch *b, struct pa_now now)
{
	const struct pa_recovery *list;
	int rc = 0;

	if (!b->copied)
		return;
	for (size_t i = 0; i < b->api.conf->n_pools && rc >= 0; i++)
		rc = pa_lease_recovery_begin(b->leases, i, now.unix_ms);
	if (rc < 0)
		return; /* the next request tries again */
	b->copied = false;
	if (pa_lease_recoveries(b->leases, &list) > 0)
		pa_log(PA_LOG_WARN, "store.restored", "until=%" PRIu64 " effect=\"a backup was put in place: until that time (pubaddrctl pool "
		       "stats) only clients whose leases it has are served\"", list[0].until);
}

void pa_batch_add(struct pa_batch *b, void *request, const char *name, const json_t *arguments, struct pa_now now,
		  bool admin)
{
	struct waiting *w;

	if (b->leases == NULL) {
		b->reply(b->ctx, request, PA_RESULT_ERROR, "the store cannot be read; see the broker's log", NULL);
		return;
	}
	if (b->n == b->cap) {
		size_t cap = b->cap > 0 ? 2 * b->cap : 16;

		w = reallocarray(b->waiting, cap, sizeof(*w));
		if (w == NULL) {
			b->reply(b->ctx, request, PA_RESULT_ERROR, "out of memory", NULL);
			return;
		}
		b->waiting = w;
		b->cap = cap;
	}
	recover(b, now);
	w = &b->waiting[b->n++];
	w->request = request;
	pa_api_handle(&b->api, now, admin, name, arguments, &w->reply);
}

void pa_batch_expire(struct pa_batch *b, struct pa_now now, size_t max)
{
	struct pa_lease_table *leases;

	if (b->leases == NULL && load(b, &leases) == 0)
		set_leases(b, leases);
	if (b->leases == NULL)
		return;
	recover(b, now);
	b->api.counters.expired += pa_lease_expire(b->leases, now.unix_ms, max);
	(void)pa_api_reclaim(&b->api, now, max);
}

static void log_reply(struct pa_batch *b, const struct pa_api_reply *r, struct pa_now now)
{
	if (r->event == NULL)
		return;
	if (strcmp(r->event, "lease.refuse") != 0) {
		pa_log(r->level, r->event, "%s", r->fields);
		return;
	}
	if (b->refuse_logged_ms != 0 && now.boot_ms < b->refuse_logged_ms + REFUSE_LOG_MS) {
		b->refuse_suppressed++;
		return;
	}
	pa_log(r->level, r->event, "%s suppressed=%u", r->fields, b->refuse_suppressed);
	b->refuse_logged_ms = now.boot_ms;
	b->refuse_suppressed = 0;
}

/* Nobody asked for these ends, so no reply logs them. */
static void log_end(const struct pa_lease *row)
{
	char fields[PA_API_FIELDSLEN];

	if (row->state == PA_LEASE_EXPIRED)
		pa_log(PA_LOG_INFO, "lease.expire", "%s", pa_api_lease_fields(row, fields));
	else if (row->state == PA_LEASE_RECLAIMED)
		pa_log(PA_LOG_INFO, "lease.reclaim", "%s", pa_api_lease_fields(row, fields));
}

/* The rows that were changed are in the store, or they are not in the table any more. True if stored. */
static bool commit(struct pa_batch *b)
{
	struct pa_store_changes c = {.rows = NULL};
	struct pa_lease_table *fresh = NULL;
	char err[PA_STORE_ERRLEN];

	if (b->leases == NULL || !pa_lease_has_changes(b->leases))
		return true;
	c.n_rows = pa_lease_changes(b->leases, &c.rows);
	/* What a gateway acknowledged is worth no transaction of its own: lost, it is asked again, or its absence costs time. */
	c.n_acks = pa_lease_acks(b->leases, &c.acks);
	if (pa_lease_recoveries_changed(b->leases))
		c.n_recoveries = pa_lease_recoveries(b->leases, &c.recoveries);
	if (pa_store_append(b->store, &c, err) == 0) {
		b->api.counters.commits++;
		for (size_t i = 0; i < c.n_rows; i++)
			log_end(c.rows[i]);
		pa_lease_changes_done(b->leases);
		if (b->failed)
			pa_log(PA_LOG_INFO, "store.recovered", "rows=%zu", c.n_rows);
		b->failed = false;
		return true;
	}
	pa_log(PA_LOG_ERROR, "store.commit-failed", "rows=%zu error=\"%s\"", c.n_rows, err);
	b->failed = true;
	b->api.counters = b->stored;
	b->api.counters.commit_failures++;
	(void)load(b, &fresh);
	pa_lease_table_free(b->leases);
	set_leases(b, fresh);
	return false;
}

void pa_batch_flush(struct pa_batch *b, struct pa_now now)
{
	bool stored = commit(b);

	b->stored = b->api.counters;
	for (size_t i = 0; i < b->n; i++) {
		struct pa_api_reply *r = &b->waiting[i].reply;

		if (!stored && r->commit) {
			json_decref(r->arguments);
			b->reply(b->ctx, b->waiting[i].request, PA_RESULT_ERROR,
				 "the lease could not be stored, so nothing was changed; see the broker's log", NULL);
			continue;
		}
		b->reply(b->ctx, b->waiting[i].request, r->result, r->text, r->arguments);
		log_reply(b, r, now);
	}
	b->n = 0;
}

size_t pa_batch_size(const struct pa_batch *b)
{
	return b->n;
}

uint64_t pa_batch_gateway_news(const struct pa_batch *b)
{
	return b->leases != NULL ? pa_api_gateway_news(&b->api) : 0;
}

size_t pa_batch_rows(const struct pa_batch *b)
{
	return b->leases != NULL ? pa_lease_count(b->leases) : 0;
}

uint64_t pa_batch_next_expiry(const struct pa_batch *b)
{
	return b->leases != NULL ? pa_lease_next_expiry(b->leases) : UINT64_MAX;
}

bool pa_batch_failed(const struct pa_batch *b)
{
	return b->failed || b->leases == NULL;
}

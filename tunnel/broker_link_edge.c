/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/broker_link_edge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/command.h"
#include "common/edge_dialog.h"
#include "common/edge_tls.h"
#include "common/err.h"
#include "common/log.h"
#include "tunnel/channel.h"
#include "tunnel/floors_file.h"

#define TICK_MS 500
#define RETRY_MIN_MS 500	 /* between connections, doubling */
#define RETRY_MAX_MS 15000
#define ANSWER_MS ((PA_CHANNEL_WAIT + 15) * 1000) /* a broker that does not answer for so long is gone */
#define PACE_MS 1000		 /* between idle questions: a broker may be too full to hold one back */
#define STORE_RETRY_MS 5000
#define MARK_MS 60000		 /* the highest time seen is stored so often at least */
#define SLACK_LEN 65536u	 /* bytes that the file may grow before it is written anew, beside its own size */

struct pa_broker_link {
	uv_loop_t *loop;
	const struct pa_broker_link_conf *conf;
	struct pa_floors *floors;
	struct pa_channel *channel;
	uv_timer_t timer;
	bool has_timer, stopped;
	/* connection */
	struct pa_dialog *dialog;
	struct pa_tls *tls; /* NULL: the broker is on this host */
	char peer[PA_ENDPOINT_STRLEN + 160]; /* for the log */
	uint64_t retry_at_ms, retry_ms; /* boot time */
	bool lost_logged, skew_logged;
	/* conversation; times are boot time, 0: not under way */
	bool asked_once;
	uint64_t asked_ms, reported_ms, ask_at_ms;
	bool want_ask;
	/* floors on the disk */
	uv_work_t work;
	bool storing, rewrite, store_logged;
	uint8_t *records;
	size_t records_len, file_len;
	uint64_t storing_number, store_at_ms, stored_ms;
	int store_rc;
	char store_err[PA_FILE_ERRLEN];
	bool want_store;
	void (*on_drain)(void *ctx, bool on); /* may be NULL */
	void *on_drain_ctx;
};

/* ---------------------------------------------------------------- the file */

static void on_work(uv_work_t *work)
{
	struct pa_broker_link *l = work->data;

	l->store_rc = pa_floors_file_write(l->conf->floors_file, l->rewrite, l->records, l->records_len, l->store_err);
}

static void ask(struct pa_broker_link *l);

static void on_stored(uv_work_t *work, int status)
{
	struct pa_broker_link *l = work->data;
	uint64_t now = pa_now_get().boot_ms;

	(void)status;
	free(l->records);
	l->records = NULL;
	l->storing = false;
	if (l->store_rc < 0) {
		if (!l->store_logged)
			pa_log(PA_LOG_ERROR, "floors.unwritable", "error=\"%s\" effect=\"nothing is acknowledged to the broker\"",
			       l->store_err);
		l->store_logged = l->want_store = l->rewrite = true;
		l->store_at_ms = now + STORE_RETRY_MS;
		return;
	}
	if (l->store_logged)
		pa_log(PA_LOG_INFO, "floors.writable", "file=%s", l->conf->floors_file);
	l->file_len = l->rewrite ? l->records_len : l->file_len + l->records_len;
	l->rewrite = l->store_logged = false;
	l->stored_ms = now;
	pa_channel_stored(l->channel, l->storing_number);
	if (!l->stopped)
		ask(l);
}

/* Begins to write what is new. While it is under way nothing is asked, so nothing changes but by a repeated store. */
static void store(struct pa_broker_link *l)
{
	size_t compact = (pa_floors_count(l->floors) + 2) * PA_FLOORS_RECORD;

	l->want_store = false;
	if (l->file_len > 2 * compact + SLACK_LEN)
		l->rewrite = true;
	if ((l->rewrite ? pa_floors_encode_all : pa_floors_encode_new)(l->floors, &l->records, &l->records_len) < 0) {
		l->want_store = l->rewrite = true;
		l->store_at_ms = pa_now_get().boot_ms + STORE_RETRY_MS;
		return;
	}
	l->storing = true;
	l->storing_number = pa_floors_number(l->floors);
	l->work.data = l;
	if (uv_queue_work(l->loop, &l->work, on_work, on_stored) < 0) {
		on_work(&l->work);
		on_stored(&l->work, 0);
	}
}

/* ---------------------------------------------------------------- the connection */

static void on_down(void *ctx, const char *reason)
{
	struct pa_broker_link *l = ctx;

	l->asked_ms = l->reported_ms = 0;
	l->want_ask = false;
	l->retry_ms = l->retry_ms == 0 ? RETRY_MIN_MS : 2 * l->retry_ms > RETRY_MAX_MS ? RETRY_MAX_MS : 2 * l->retry_ms;
	l->retry_at_ms = pa_now_get().boot_ms + l->retry_ms;
	if (!l->lost_logged)
		pa_log(PA_LOG_WARN, "broker.lost", "broker=%s reason=\"%s\"", l->peer, reason);
	l->lost_logged = true;
}

static void send_command(struct pa_broker_link *l, const char *name, json_t *arguments)
{
	pa_dialog_send(l->dialog, name, arguments, name);
}

static void report(struct pa_broker_link *l)
{
	json_t *arguments;

	if (!pa_dialog_is_up(l->dialog) || l->reported_ms != 0 || (arguments = pa_channel_report(l->channel)) == NULL)
		return;
	l->reported_ms = pa_now_get().boot_ms;
	send_command(l, "gateway-report", arguments);
}

/* The first question of a connection is answered at once, so that the gateway knows where it stands. */
static void ask(struct pa_broker_link *l)
{
	if (!pa_dialog_is_up(l->dialog) || l->asked_ms != 0 || l->storing || l->want_store)
		return;
	l->want_ask = false;
	l->asked_ms = pa_now_get().boot_ms;
	send_command(l, "gateway-sync", pa_channel_sync(l->channel, pa_now_get(), l->asked_once));
	l->asked_once = true;
}

static void log_sync(struct pa_broker_link *l, bool was_synced)
{
	struct pa_channel_status st;

	pa_channel_status_get(l->channel, &st);
	if (l->lost_logged || !was_synced)
		pa_log(PA_LOG_INFO, "broker.synced", "broker=%s number=%" PRIu64 " floors=%zu synced=%s", l->peer, st.number,
		       pa_floors_count(l->floors), st.synced ? "yes" : "not yet");
	l->lost_logged = false;
	if (st.skewed != l->skew_logged)
		pa_log(st.skewed ? PA_LOG_ERROR : PA_LOG_INFO, st.skewed ? "clock.skew" : "clock.good", "skew-ms=%" PRId64
		       " limit-s=%d reason=\"the broker's clock less this one's; set both by NTP\"", st.skew_ms, PA_CLOCK_SKEW_MAX);
	l->skew_logged = st.skewed;
}

static void tell_drain(struct pa_broker_link *l)
{
	struct pa_channel_status st;

	pa_channel_status_get(l->channel, &st);
	if (st.drain >= 0 && l->on_drain != NULL)
		l->on_drain(l->on_drain_ctx, st.drain > 0);
}

static void take_answer(struct pa_broker_link *l, const json_t *arguments)
{
	struct pa_now now = pa_broker_link_now(l, pa_now_get());
	uint64_t took = now.boot_ms - l->asked_ms;
	bool was_synced = pa_floors_synced(l->floors);
	int rc = pa_channel_answer(l->channel, now, arguments);

	l->asked_ms = 0;
	if (rc < 0) {
		pa_dialog_end(l->dialog, rc == PA_EFORMAT ? "an answer that cannot be understood" : pa_strerror(rc));
		return;
	}
	l->retry_ms = 0;
	log_sync(l, was_synced);
	tell_drain(l); /* before the next question, which says what came of it */
	report(l);
	if (rc == PA_CHANNEL_STORE) {
		store(l);
	} else if (took < PACE_MS) {
		l->want_ask = true;
		l->ask_at_ms = now.boot_ms + PACE_MS;
	} else {
		ask(l);
	}
}

static void on_reply(void *ctx, const char *id, int result, const char *text, const json_t *arguments)
{
	struct pa_broker_link *l = ctx;

	if (result != PA_RESULT_SUCCESS) {
		pa_dialog_end(l->dialog, text);
	} else if (id != NULL && strcmp(id, "gateway-sync") == 0 && l->asked_ms != 0) {
		take_answer(l, arguments);
	} else if (id != NULL && strcmp(id, "gateway-report") == 0 && l->reported_ms != 0) {
		l->reported_ms = 0;
		pa_channel_reported(l->channel);
		report(l);
	} else {
		pa_dialog_end(l->dialog, "an answer that nobody asked for");
	}
}

static void on_up(void *ctx)
{
	struct pa_broker_link *l = ctx;

	l->asked_once = false;
	pa_channel_connected(l->channel);
	report(l);
	ask(l);
}

static const struct pa_dialog_ops dialog_ops = {.up = on_up, .reply = on_reply, .down = on_down};

static void connect_now(struct pa_broker_link *l)
{
	int fd;

	if (l->tls == NULL) {
		pa_dialog_connect(l->dialog, l->conf->socket);
		return;
	}
	/* What is said now is sent once the broker has proved who it is; if it does not, the stream ends. */
	fd = pa_tls_connect(l->tls, &l->conf->address, l->conf->broker_name);
	if (fd < 0)
		on_down(l, pa_strerror(fd));
	else
		pa_dialog_take(l->dialog, fd);
}

/* ---------------------------------------------------------------- time */

static void on_tick(uv_timer_t *timer)
{
	struct pa_broker_link *l = timer->data;
	uint64_t now = pa_now_get().boot_ms;

	(void)pa_broker_link_now(l, pa_now_get());
	if (!pa_dialog_is_busy(l->dialog) && now >= l->retry_at_ms)
		connect_now(l);
	else if (pa_dialog_is_up(l->dialog) && ((l->asked_ms != 0 && now >= l->asked_ms + ANSWER_MS) ||
				    (l->reported_ms != 0 && now >= l->reported_ms + ANSWER_MS)))
		pa_dialog_end(l->dialog, "no answer in time");
	if (!l->storing && ((l->want_store && now >= l->store_at_ms) || (!l->want_store && now >= l->stored_ms + MARK_MS)))
		store(l);
	if (l->want_ask && now >= l->ask_at_ms)
		ask(l);
	report(l);
}

struct pa_now pa_broker_link_now(struct pa_broker_link *l, struct pa_now now)
{
	return l != NULL ? pa_floors_clock(l->floors, now) : now;
}

void pa_broker_link_bound(struct pa_broker_link *l, const struct pa_gw_binding *b)
{
	if (l != NULL)
		pa_channel_bound(l->channel, b); /* the core must not be called back from here: the next tick reports it */
}

/* ---------------------------------------------------------------- life */

/* The file is written anew at once: compact, without a torn end, and it is known then that it can be written. */
static int open_floors(struct pa_broker_link *l, char err[PA_BROKER_LINK_ERRLEN])
{
	const char *path = l->conf->floors_file;
	bool damaged = false;
	int rc = pa_dir_create_for(path, (uid_t)-1, err);

	if (rc == 0)
		rc = pa_floors_file_read(path, l->floors, &damaged, err);
	if (rc < 0)
		return rc;
	if (damaged)
		pa_log(PA_LOG_ERROR, "floors.damaged", "file=%s effect=\"nobody is served before the broker has told everything\"", path);
	(void)pa_broker_link_now(l, pa_now_get());
	rc = pa_floors_encode_all(l->floors, &l->records, &l->records_len);
	if (rc == 0)
		rc = pa_floors_file_write(path, true, l->records, l->records_len, err);
	l->file_len = l->records_len;
	free(l->records);
	l->records = NULL;
	l->stored_ms = pa_now_get().boot_ms;
	return rc;
}

static struct pa_tls_files tls_files(const struct pa_broker_link_conf *conf)
{
	return (struct pa_tls_files){.certificate = conf->certificate, .key = conf->key, .ca = conf->ca};
}

static int open_tls(struct pa_broker_link *l, char err[PA_BROKER_LINK_ERRLEN])
{
	const struct pa_tls_files files = tls_files(l->conf);

	if (l->conf->socket != NULL) {
		(void)snprintf(l->peer, sizeof(l->peer), "%s", l->conf->socket);
		return 0;
	}
	(void)pa_endpoint_format(&l->conf->address, l->peer);
	return pa_tls_new(l->loop, &files, &l->tls, err);
}

int pa_broker_link_new(uv_loop_t *loop, const struct pa_broker_link_conf *conf, struct pa_gw *gw,
		       struct pa_broker_link **ret, char err[PA_BROKER_LINK_ERRLEN])
{
	struct pa_broker_link *l = calloc(1, sizeof(*l));
	int rc = PA_ENOMEM;

	(void)snprintf(err, PA_BROKER_LINK_ERRLEN, "out of memory");
	if (l == NULL || pa_floors_new(&l->floors) < 0)
		goto fail;
	l->loop = loop;
	l->conf = conf;
	rc = pa_dialog_new(loop, &dialog_ops, l, &l->dialog);
	if (rc == 0)
		rc = open_tls(l, err);
	if (rc == 0)
		rc = open_floors(l, err);
	if (rc == 0)
		rc = pa_channel_new(conf->name, l->floors, gw, &l->channel);
	if (rc < 0)
		goto fail;
	pa_gw_set_floors(gw, l->floors);
	if (!pa_floors_synced(l->floors))
		pa_log(PA_LOG_WARN, "floors.none", "file=%s effect=\"nobody is served before the broker has been reached\"",
		       conf->floors_file);
	*ret = l;
	return 0;
fail:
	pa_broker_link_free(l);
	return rc;
}

int pa_broker_link_load(const struct pa_broker_link *l, struct pa_tls_identity **ret, char err[PA_BROKER_LINK_ERRLEN])
{
	struct pa_tls_identity *id;
	struct pa_tls_files files;
	int rc;

	if (l == NULL || l->tls == NULL) {
		*ret = NULL;
		return 0;
	}
	files = tls_files(l->conf);
	rc = pa_tls_identity_load(&files, &id, err);
	if (rc < 0)
		return rc;
	rc = pa_tls_identity_valid(id, err);
	if (rc < 0)
		pa_tls_identity_free(id);
	else
		*ret = id;
	return rc;
}

void pa_broker_link_use(struct pa_broker_link *l, struct pa_tls_identity *id)
{
	if (id != NULL)
		pa_tls_use(l->tls, id);
}

void pa_broker_link_start(struct pa_broker_link *l)
{
	(void)uv_timer_init(l->loop, &l->timer); /* cannot fail */
	l->has_timer = true;
	l->timer.data = l;
	(void)uv_timer_start(&l->timer, on_tick, 0, TICK_MS);
}

void pa_broker_link_stop(struct pa_broker_link *l)
{
	if (l == NULL || l->stopped)
		return;
	l->stopped = true;
	pa_dialog_stop(l->dialog);
	pa_tls_close(l->tls);
	if (l->has_timer)
		uv_close((uv_handle_t *)&l->timer, NULL);
}

void pa_broker_link_free(struct pa_broker_link *l)
{
	if (l == NULL)
		return;
	pa_channel_free(l->channel);
	pa_floors_free(l->floors);
	pa_tls_free(l->tls);
	pa_dialog_free(l->dialog);
	free(l->records);
	free(l);
}

void pa_broker_link_on_drain(struct pa_broker_link *l, void (*fn)(void *ctx, bool on), void *ctx)
{
	if (l == NULL)
		return;
	l->on_drain = fn;
	l->on_drain_ctx = ctx;
}

json_t *pa_broker_link_json(const struct pa_broker_link *l)
{
	struct pa_channel_status st;
	json_t *obj;

	if (l == NULL)
		return json_null();
	pa_channel_status_get(l->channel, &st);
	obj = json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:b}", "name", l->conf->name, "connected",
			pa_dialog_is_up(l->dialog) && st.synced_ms != 0 && !l->lost_logged, "synced", st.synced, "number", (json_int_t)st.number,
			"acknowledged", (json_int_t)st.stored, "floors", (json_int_t)pa_floors_count(l->floors), "clock-alarm",
			st.skewed);
	if (obj != NULL && st.has_skew)
		(void)json_object_set_new(obj, "clock-skew-ms", json_integer((json_int_t)st.skew_ms));
	return obj;
}

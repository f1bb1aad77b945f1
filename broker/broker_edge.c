/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The broker as a process: sockets, signals and timers of libuv around the pure API, and the group commit. Whatever one
 * turn of the loop reads is handled first, then stored in one transaction, then answered: a reply never tells of a lease
 * that a crash could take back.
 */
#include "broker/broker_edge.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "broker/batch.h"
#include "broker/hold_edge.h"
#include "broker/setup.h"
#include "common/edge_daemon.h"
#include "common/edge_file.h"
#include "common/edge_notify.h"
#include "common/edge_sandbox.h"
#include "common/edge_server.h"
#include "common/edge_tls.h"
#include "common/err.h"
#include "common/log.h"

#define CLIENTS_MAX 256
#define EXPIRE_MAX 4096		/* leases ended in one turn, so that requests are not kept waiting */
#define TIMER_MAX_MS 30000	/* Unix time may be set at any moment, and leases are to be reclaimed */
#define RETRY_MS 5000		/* after the store failed */

struct broker {
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_timer_t timer;
	uv_signal_t signals[3];
	const char *file;
	bool debug;
	struct pa_setup setup;
	struct pa_server *server;
	struct pa_batch *batch;
	struct pa_hold *hold;
	struct pa_tls *tls; /* NULL: no gateways on other hosts */
	bool stopping;
	uint64_t review_ms; /* boot time at which the timer runs at the latest, however busy the broker is */
};

static void set_log_level(const struct broker *b)
{
	pa_log_set_level(b->debug ? PA_LOG_DEBUG : b->setup.conf->log_level);
}

static void arm_timer(struct broker *b);

static void flush(struct broker *b)
{
	pa_batch_flush(b->batch, pa_now_get());
	if (b->stopping)
		return;
	/* What has just been stored may be what gateways wait for. */
	pa_hold_wake(b->hold, pa_batch_gateway_news(b->batch));
	if (pa_batch_size(b->batch) > 0)
		pa_batch_flush(b->batch, pa_now_get());
	arm_timer(b);
}

static void on_timer(uv_timer_t *timer)
{
	struct broker *b = timer->data;

	b->review_ms = pa_now_get().boot_ms + TIMER_MAX_MS;
	pa_batch_expire(b->batch, pa_now_get(), EXPIRE_MAX);
	flush(b);
}

static void arm_timer(struct broker *b)
{
	uint64_t now = pa_now_get().unix_ms, boot = pa_now_get().boot_ms, next = pa_batch_next_expiry(b->batch), delay = TIMER_MAX_MS;

	if (next != UINT64_MAX && next * 1000 < now + TIMER_MAX_MS)
		delay = next * 1000 > now ? next * 1000 - now : 1;
	if (b->review_ms < boot + delay)
		delay = b->review_ms > boot ? b->review_ms - boot : 1;
	if (pa_batch_failed(b->batch))
		delay = RETRY_MS;
	(void)uv_timer_start(&b->timer, on_timer, delay, 0);
}

/*
 * Runs before the loop waits: after all input that was ready has been read and handled, and after the timers, for what they
 * have handled, as a gateway's question whose time is up, needs no input.
 */
static void on_prepare(uv_prepare_t *prepare)
{
	struct broker *b = prepare->data;

	if (pa_batch_size(b->batch) > 0)
		flush(b);
}

static void send_reply(void *ctx, void *request, enum pa_result result, const char *text, json_t *arguments)
{
	struct broker *b = ctx;

	if (!b->stopping && pa_hold_take(b->hold, request, arguments, pa_batch_gateway_news(b->batch)))
		json_decref(arguments);
	else
		pa_request_reply(request, result, text, arguments);
}

/* A gateway that came by TLS speaks for itself and about nothing else. */
static bool is_for_peer(const struct pa_request *req, const char *peer)
{
	const char *name = json_string_value(json_object_get(pa_request_arguments(req), "name")), *command = pa_request_name(req);

	return (strcmp(command, "gateway-sync") == 0 || strcmp(command, "gateway-report") == 0) && name != NULL && strcmp(name, peer) == 0;
}

static void on_gateway(void *ctx, int fd, const char *name)
{
	struct broker *b = ctx;

	pa_server_adopt(b->server, fd, name);
}

static void on_request(void *ctx, struct pa_request *req)
{
	struct broker *b = ctx;
	uid_t uid = pa_request_uid(req);
	const char *peer = pa_request_peer(req);

	if (peer != NULL && !is_for_peer(req, peer)) {
		pa_request_replyf(req, PA_RESULT_ERROR, "permission denied: a gateway may use gateway commands, by the name in its "
				  "certificate, '%s'", peer);
		return;
	}
	pa_batch_add(b->batch, req, pa_request_name(req), pa_request_arguments(req), pa_now_get(),
		     uid == 0 || uid == geteuid());
}

static bool same_list(const struct pa_string_list *a, const struct pa_string_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

/* What is opened once; the name of the first such setting that differs, or NULL. */
static const char *fixed_change(const struct pa_brokerconf *a, const struct pa_brokerconf *b)
{
	if (strcmp(a->user, b->user) != 0)
		return "user";
	if (strcmp(a->socket, b->socket) != 0)
		return "socket";
	if (strcmp(a->socket_group, b->socket_group) != 0)
		return "socket-group";
	if (!same_list(&a->socket_users, &b->socket_users))
		return "socket-users";
	if (strcmp(a->database, b->database) != 0)
		return "database";
	if (!pa_endpoint_eq(&a->listen.address, &b->listen.address) ||
	    (a->listen.certificate == NULL) != (b->listen.certificate == NULL))
		return "gateway-listen";
	return NULL;
}

/* Certificate, key and authority anew; *ret is NULL if gateways do not come by TLS. */
static int load_identity(const struct pa_brokerconf *conf, struct pa_tls_identity **ret, char err[PA_CONF_ERRLEN])
{
	const struct pa_tls_files files = {conf->listen.certificate, conf->listen.key, conf->listen.ca};
	char detail[PA_TLS_ERRLEN], place[PA_CONF_PLACELEN];
	struct pa_tls_identity *id = NULL;
	int rc = files.certificate != NULL ? pa_tls_identity_load(&files, &id, detail) : 0;

	if (rc == 0 && id != NULL)
		rc = pa_tls_identity_valid(id, detail);
	if (rc < 0) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%s%s", pa_conf_place(conf->source, "gateway-listen", place), detail);
		pa_tls_identity_free(id);
		return rc;
	}
	*ret = id;
	return 0;
}

/* Nothing is changed before everything is known to be right. */
static int use_fresh(struct broker *b, struct pa_setup *fresh, char err[PA_CONF_ERRLEN])
{
	const char *fixed = fixed_change(b->setup.conf, fresh->conf);
	struct pa_tls_identity *id;
	char place[PA_CONF_PLACELEN];
	int rc;

	if (fixed != NULL) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%schanged; that takes a restart", pa_conf_place(fresh->conf->source, fixed, place));
		return PA_EINVAL;
	}
	rc = load_identity(fresh->conf, &id, err);
	if (rc < 0)
		return rc;
	rc = pa_batch_configure(b->batch, fresh);
	if (rc < 0) {
		(void)snprintf(err, PA_CONF_ERRLEN, "%s: %s", b->file, pa_strerror(rc));
		pa_tls_identity_free(id);
		return rc;
	}
	if (id != NULL)
		pa_tls_use(b->tls, id);
	return 0;
}

static int load_fresh(struct broker *b, char err[PA_CONF_ERRLEN])
{
	struct pa_setup fresh;
	int rc = pa_setup_load(b->file, &fresh, err);

	if (rc < 0)
		return rc;
	rc = use_fresh(b, &fresh, err);
	if (rc < 0) {
		pa_setup_clear(&fresh);
		return rc;
	}
	pa_setup_clear(&b->setup);
	b->setup = fresh;
	return 0;
}

/* All of the new configuration, or none of it. Leases stay in either case. */
static int reload(void *ctx, char err[PA_CONF_ERRLEN])
{
	struct broker *b = ctx;
	int rc = load_fresh(b, err);

	if (rc < 0) {
		pa_log(PA_LOG_ERROR, "broker.reload-failed", "kept=former-configuration error=\"%s\"", err);
		return rc;
	}
	set_log_level(b);
	pa_log(PA_LOG_INFO, "broker.reload", "file=%s pools=%zu key=%u", b->file, b->setup.conf->n_pools,
	       (unsigned)pa_keyring_first(b->setup.keys, PA_KEY_MASTER)->key_id);
	return 0;
}

static void stop(struct broker *b)
{
	if (b->stopping)
		return;
	b->stopping = true;
	pa_notify("STOPPING=1");
	if (b->batch != NULL)
		flush(b);
	pa_hold_close(b->hold);
	b->hold = NULL;
	pa_tls_close(b->tls);
	pa_server_close(b->server);
	b->server = NULL;
	uv_close((uv_handle_t *)&b->prepare, NULL);
	uv_close((uv_handle_t *)&b->timer, NULL);
	for (int i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&b->signals[i], NULL);
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct broker *b = handle->data;
	char err[PA_CONF_ERRLEN];

	if (signum == SIGHUP) {
		flush(b);
		(void)reload(b, err);
		arm_timer(b);
		return;
	}
	pa_log(PA_LOG_INFO, "broker.stop", "signal=%d", signum);
	stop(b);
}

static int start_handles(struct broker *b)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	int rc = 0;

	for (int i = 0; i < 3; i++) {
		(void)uv_signal_init(&b->loop, &b->signals[i]);
		b->signals[i].data = b;
		rc = rc < 0 ? rc : uv_signal_start(&b->signals[i], on_signal, numbers[i]);
	}
	(void)uv_prepare_init(&b->loop, &b->prepare);
	(void)uv_timer_init(&b->loop, &b->timer);
	b->prepare.data = b;
	b->timer.data = b;
	(void)uv_prepare_start(&b->prepare, on_prepare);
	return rc;
}

static int start_failed(const struct broker *b, const char *key, const char *err, int rc)
{
	char place[PA_CONF_PLACELEN];

	pa_log(PA_LOG_ERROR, "broker.start-failed", "error=\"%s%s\"", pa_conf_place(b->setup.conf->source, key, place), err);
	return rc;
}

static int start_server(struct broker *b)
{
	struct pa_server_config cfg;
	char err[PA_SERVER_ERRLEN > PA_FILE_ERRLEN ? PA_SERVER_ERRLEN : PA_FILE_ERRLEN];
	int rc;

	memset(&cfg, 0, sizeof(cfg));
	cfg.path = b->setup.conf->socket;
	/* Users who are not of the socket's group must reach it too; the server checks who they are. */
	cfg.mode = b->setup.n_uids > 0 ? 0666 : 0660;
	cfg.gid = b->setup.gid;
	memcpy(cfg.uids, b->setup.uids, b->setup.n_uids * sizeof(cfg.uids[0]));
	cfg.n_uids = b->setup.n_uids;
	cfg.max_clients = CLIENTS_MAX;
	rc = pa_dir_create_for(cfg.path, (uid_t)-1, err); /* /run is empty after each boot */
	if (rc == 0)
		rc = pa_server_new(&b->loop, &cfg, on_request, b, &b->server, err);
	return rc < 0 ? start_failed(b, "socket", err, rc) : 0;
}

/* As whoever starts us: the key may be root's alone. */
static int start_tls(struct broker *b)
{
	const struct pa_brokerconf *conf = b->setup.conf;
	const struct pa_tls_files files = {conf->listen.certificate, conf->listen.key, conf->listen.ca};
	char err[PA_TLS_ERRLEN];
	int rc;

	if (files.certificate == NULL)
		return 0;
	rc = pa_tls_new(&b->loop, &files, &b->tls, err);
	if (rc == 0)
		rc = pa_tls_listen(b->tls, &conf->listen.address, on_gateway, b, err);
	return rc < 0 ? start_failed(b, "gateway-listen", err, rc) : 0;
}

/* As the user that we run as from now on. */
static void check_readable(const struct broker *b, const char *key)
{
	if (access(key, R_OK) < 0)
		pa_log(PA_LOG_WARN, "broker.key-unreadable", "file=%s user=%s reason=\"SIGHUP will be refused, for this user cannot "
		       "read the key again; run: chown %s %s\"", key, b->setup.conf->user, b->setup.conf->user, key);
}

/*
 * Becomes the configured user, if there is one, before the database is opened: what it makes is then its own. A folder
 * of the database that is not there yet is made for it.
 */
static int become_user(struct broker *b)
{
	const char *database = b->setup.conf->database;
	char err[PA_FILE_ERRLEN > PA_SANDBOX_ERRLEN ? PA_FILE_ERRLEN : PA_SANDBOX_ERRLEN];
	uid_t uid = b->setup.user_uid;
	int rc = pa_dir_create_for(database, uid == geteuid() ? (uid_t)-1 : uid, err);

	if (rc < 0)
		return start_failed(b, "database", err, rc);
	if (uid == (uid_t)-1)
		return 0;
	rc = pa_sandbox_user(uid, b->setup.user_gid, err);
	if (rc < 0)
		return start_failed(b, "user", err, rc);
	check_readable(b, b->setup.conf->master_key_file);
	if (b->setup.conf->listen.key != NULL)
		check_readable(b, b->setup.conf->listen.key);
	return 0;
}

static int open_loop(struct broker *b)
{
	char err[PA_SANDBOX_ERRLEN];
	int rc = pa_sandbox_begin(err), uv = 0;

	if (rc == 0)
		uv = uv_loop_init(&b->loop);
	if (rc < 0 || uv < 0)
		pa_log(PA_LOG_ERROR, "broker.start-failed", "error=\"%s\"", rc < 0 ? err : uv_strerror(uv));
	return rc < 0 || uv < 0 ? PA_EIO : 0;
}

static int enter_sandbox(void)
{
	static const struct pa_sandbox nothing;
	char err[PA_SANDBOX_ERRLEN];
	int rc = pa_sandbox_enter(&nothing, err);

	if (rc < 0)
		pa_log(PA_LOG_ERROR, "broker.start-failed", "error=\"%s\"", err);
	return rc;
}

/* The socket comes first: what another broker uses is not touched. Nothing is answered before the loop runs. */
static int start(struct broker *b)
{
	int rc = start_handles(b);

	if (rc < 0) {
		pa_log(PA_LOG_ERROR, "broker.start-failed", "error=\"%s\"", uv_strerror(rc));
		return PA_EIO;
	}
	b->hold = pa_hold_new(&b->loop, on_request, b);
	if (b->hold == NULL)
		return PA_ENOMEM;
	rc = start_server(b);
	if (rc < 0)
		return rc;
	rc = start_tls(b);
	if (rc == 0)
		rc = become_user(b);
	if (rc == 0)
		rc = pa_batch_new(&b->setup, send_reply, b, &b->batch);
	if (rc == 0)
		pa_batch_on_reload(b->batch, reload, b);
	if (rc == 0)
		rc = enter_sandbox();
	if (rc < 0)
		return rc;
	arm_timer(b);
	pa_log(PA_LOG_INFO, "broker.start", "version=%s socket=%s database=%s pools=%zu addresses=%zu", PA_VERSION,
	       b->setup.conf->socket, b->setup.conf->database, b->setup.conf->n_pools, pa_batch_rows(b->batch));
	pa_notify("READY=1");
	return 0;
}

int pa_broker_run(const char *file, bool debug)
{
	char err[PA_CONF_ERRLEN];
	struct broker b;
	int rc;

	memset(&b, 0, sizeof(b));
	b.file = file;
	b.debug = debug;
	if (pa_setup_load(file, &b.setup, err) < 0) {
		pa_log(PA_LOG_ERROR, "broker.start-failed", "error=\"%s\"", err);
		return PA_EXIT_USAGE;
	}
	set_log_level(&b);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is one more full disk */
	if (open_loop(&b) < 0) {
		pa_setup_clear(&b.setup);
		return PA_EXIT_FAILED;
	}
	rc = start(&b);
	if (rc < 0)
		stop(&b);
	(void)uv_run(&b.loop, UV_RUN_DEFAULT);
	PA_REQUIRE(uv_loop_close(&b.loop) == 0);
	pa_tls_free(b.tls);
	pa_batch_free(b.batch);
	pa_setup_clear(&b.setup);
	return rc < 0 ? PA_EXIT_FAILED : PA_EXIT_OK;
}

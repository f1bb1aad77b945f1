/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/relayd_edge.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/edge_file.h"
#include "common/edge_server.h"
#include "common/err.h"
#include "common/log.h"
#include "relay/client_edge.h"
#include "relay/net_divert.h"
#include "relay/relayd_cmd_edge.h"
#include "tunnel/gatewayd_keys.h"
#include "tunnel/net_lan.h"
#include "tunnel/net_udp.h"

#define ACCEPTS 64	 /* connections taken in one turn */
#define OWN_READ_MS 3000 /* between looks at this host's addresses */
#define FILES_OTHER 128	 /* descriptors beside those of clients: the loop, command socket, resolver, gateway */

/* ---------------------------------------------------------------- what the gateway says */

/* One holder at a time here too: an earlier lease of the same address ends, as does a former process of the same
 * client. */
static enum pa_relay_error prevail(struct pa_relayd *r, const struct pa_rclient *c)
{
	for (struct pa_rclient *o = r->clients, *next; o != NULL; o = next) {
		next = o->next;
		if (o == c || !o->grant.admitted || !pa_addr_eq(&o->grant.claims.addr, &c->grant.claims.addr))
			continue;
		if (o->grant.claims.epoch > c->grant.claims.epoch)
			return PA_RELAY_E_REPLACED;
		pa_rclient_end(o, PA_RELAY_E_REPLACED);
	}
	return PA_RELAY_E_OK;
}

static void on_admitted(void *ctx, struct pa_gate_grant *grant, enum pa_relay_error error)
{
	struct pa_rclient *c = (struct pa_rclient *)grant;
	struct pa_conn *conn = c->conn;

	if (error == PA_RELAY_E_OK)
		error = prevail(ctx, c);
	if (conn != NULL)
		pa_conn_admitted(conn, error);
	if (error != PA_RELAY_E_OK)
		pa_rclient_end(c, error);
}

static void on_ended(void *ctx, struct pa_gate_grant *grant, enum pa_relay_error error)
{
	(void)ctx;
	pa_rclient_end((struct pa_rclient *)grant, error);
}

static const struct pa_gate_ops gate_ops = {.admitted = on_admitted, .ended = on_ended};

/* ---------------------------------------------------------------- what time brings */

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct pa_listener *l = poll->data;

	(void)events;
	for (int i = 0; status >= 0 && i < ACCEPTS; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct pa_endpoint from = {0};
		int fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			(void)uv_poll_stop(&l->poll); /* until the next tick, or we would only spin */
			l->r->paused = true;
		}
		if (fd < 0)
			return;
		(void)pa_sockaddr_from(&ss, &from);
		pa_conn_accept(l->r, fd, &from);
	}
}

static void resume_listening(struct pa_relayd *r)
{
	r->paused = false;
	for (size_t i = 0; i < PA_RELAYD_LISTEN_MAX; i++)
		if (r->listeners[i].fd >= 0)
			(void)uv_poll_start(&r->listeners[i].poll, UV_READABLE, on_connection);
}

/* What this host takes for itself is refused, as it is by the gateway; it may change. */
static int read_own(struct pa_relayd *r)
{
	struct pa_prefix *own;
	size_t n;
	int rc = pa_lan_local_read(r->nl, &own, &n);

	r->own_read_ms = pa_now_get().boot_ms;
	if (rc < 0)
		return rc;
	free(r->own);
	r->own = own;
	r->deny.own = own;
	r->deny.n_own = n;
	return 0;
}

static void on_tick(uv_timer_t *timer)
{
	struct pa_relayd *r = timer->data;
	struct pa_now now = pa_now_get();
	unsigned held = pa_relay_limit_held(&r->limits, now);

	if (held > 0)
		pa_log(PA_LOG_WARN, "relay.held-back", "addr=any lines=%u", held);
	if (r->paused)
		resume_listening(r);
	pa_rtunnel_tick(r, now.boot_ms);
	if (now.boot_ms >= r->own_read_ms + OWN_READ_MS)
		(void)read_own(r);

	for (struct pa_conn *c = r->conns, *next; c != NULL; c = next) {
		next = c->next;
		if (now.boot_ms < c->until_ms)
			continue;
		r->count.timed_out += c->until_ms != 0;
		if (c->asked)
			on_admitted(r, &c->client->grant, PA_RELAY_E_AGAIN); /* the gateway does not tell */
		else
			pa_conn_close(c);
	}
	for (struct pa_rclient *c = r->clients, *next; c != NULL; c = next) {
		next = c->next;
		pa_rclient_tick(c, now);
	}
}

/* ---------------------------------------------------------------- start */

int pa_relayd_new(uv_loop_t *loop, const struct pa_relayd_conf *conf, struct pa_relayd **ret)
{
	struct pa_relayd *r = calloc(1, sizeof(*r));
	uint8_t key[PA_LIMIT_KEY_LEN];

	if (r == NULL)
		return PA_ENOMEM;
	pa_random(key, sizeof(key));
	pa_limit_init(&r->door, key, PA_RELAY_STRANGERS_EACH_MS, PA_RELAY_STRANGERS_BURST);
	r->loop = loop;
	r->conf = conf;
	r->started_ms = pa_now_get().boot_ms;
	for (size_t i = 0; i < PA_RELAYD_LISTEN_MAX; i++)
		r->listeners[i].fd = -1;
	*ret = r;
	return 0;
}

static int fail_in(const struct pa_relayd_conf *conf, const char *path, const char *text, int rc, char err[PA_RELAYD_ERRLEN])
{
	char place[PA_CONF_PLACELEN];

	(void)snprintf(err, PA_RELAYD_ERRLEN, "%s%s", pa_conf_place(conf->gateway.source, path, place), text);
	return rc;
}

static int fail_at(const struct pa_relayd *r, const char *path, const char *text, int rc, char err[PA_RELAYD_ERRLEN])
{
	return fail_in(r->conf, path, text, rc, err);
}

int pa_relayd_keys_load(const struct pa_relayd_conf *conf, struct pa_keyring **ret_keys, struct pa_stream_tls **ret_tls,
			char err[PA_RELAYD_ERRLEN])
{
	struct pa_stream_tls *tls;
	struct pa_keyring *keys;
	char why[PA_STREAM_ERRLEN];
	int rc = pa_gatewayd_keys_load(&conf->gateway, &keys, err, PA_RELAYD_ERRLEN);

	if (rc < 0)
		return rc;
	rc = pa_stream_tls_server(conf->certificate, conf->key, &tls, why);
	if (rc < 0) {
		pa_keyring_free(keys);
		return fail_in(conf, "relay", why, rc, err);
	}
	*ret_keys = keys;
	if (ret_tls != NULL)
		*ret_tls = tls;
	else
		pa_stream_tls_free(tls);
	return 0;
}

static int load_keys(struct pa_relayd *r, char err[PA_RELAYD_ERRLEN])
{
	struct pa_stream_tls *tls;
	struct pa_keyring *keys;
	int rc = pa_relayd_keys_load(r->conf, &keys, &tls, err);

	if (rc < 0)
		return rc;
	pa_keyring_free(r->keys);
	pa_stream_tls_free(r->tls);
	r->keys = keys;
	r->tls = tls;
	(void)pa_gatewayd_keys_check(&r->conf->gateway, keys);
	pa_keypair_public(pa_keyring_first(keys, PA_KEY_GATEWAY)->key, r->public_key);
	return 0;
}

static int make_deny(struct pa_relayd *r)
{
	const struct pa_gatewayd_conf *c = &r->conf->gateway;
	r->pools = calloc(c->n_pools, sizeof(*r->pools));
	if (r->pools == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < c->n_pools; i++)
		r->pools[i] = c->pools[i].prefix;
	r->deny = (struct pa_deny){.deny = c->deny,
				   .n_deny = c->n_deny,
				   .allow = c->allow,
				   .n_allow = c->n_allow,
				   .ports = c->deny_ports,
				   .n_ports = c->n_deny_ports,
				   .isolate = c->isolate,
				   .pools = r->pools,
				   .n_pools = c->n_pools};
	return read_own(r);
}

static struct pa_divert_config divert_of(const struct pa_relayd *r)
{
	return (struct pa_divert_config){.mark = r->conf->mark,
					 .table = r->conf->table,
					 .priority = r->conf->priority,
					 .pools = r->pools,
					 .n_pools = r->conf->gateway.n_pools};
}

static int open_network(struct pa_relayd *r, char err[PA_RELAYD_ERRLEN])
{
	struct pa_divert_config divert;
	char why[PA_DIVERT_ERRLEN];
	int rc = pa_nl_open(&r->nl);
	bool whole = true;

	if (rc == 0)
		rc = make_deny(r);
	if (rc < 0) {
		(void)snprintf(err, PA_RELAYD_ERRLEN, "cannot read own addresses: %s", pa_strerror(rc));
		return rc;
	}
	divert = divert_of(r);
	rc = pa_divert_open(&divert, &whole, why);
	if (rc < 0)
		return fail_at(r, "relay", why, rc, err);
	if (!whole)
		pa_log(PA_LOG_WARN, "relay.fragments", "reason=\"the kernel has no nft_tproxy: datagrams that come in fragments go to the "
							"tunnel\"");
	r->diverted = true;
	return 0;
}

static int open_listener(struct pa_relayd *r, size_t i, char err[PA_RELAYD_ERRLEN])
{
	struct pa_listener *l = &r->listeners[i];
	struct sockaddr_storage ss;
	socklen_t len = pa_sockaddr_to(&r->conf->listen[i], &ss);
	char path[48], detail[160];
	int on = 1;

	l->r = r;
	l->poll.data = l;
	l->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd >= 0 && setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(l->fd, (struct sockaddr *)&ss, len) == 0 && listen(l->fd, SOMAXCONN) == 0 &&
	    uv_poll_init(r->loop, &l->poll, l->fd) == 0) {
		(void)uv_poll_start(&l->poll, UV_READABLE, on_connection);
		return 0;
	}
	(void)snprintf(path, sizeof(path), "relay.listen[%zu]", i);
	(void)snprintf(detail, sizeof(detail), "cannot listen: %s%s", strerror(errno),
		       errno == EADDRINUSE ? "; stop the process that has the port (see: ss -ltnp), or listen elsewhere"
		       : errno == EADDRNOTAVAIL ? "; it must be an address of this host"
						: "");
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	return fail_at(r, path, detail, PA_EIO, err);
}

static int open_server(struct pa_relayd *r, char err[PA_RELAYD_ERRLEN])
{
	struct pa_server_config server = {
		.path = r->conf->control_socket, .mode = 0600, .gid = (gid_t)-1, .max_clients = 32};
	char detail[PA_SERVER_ERRLEN > PA_FILE_ERRLEN ? PA_SERVER_ERRLEN : PA_FILE_ERRLEN];
	int rc = pa_dir_create_for(r->conf->control_socket, (uid_t)-1, detail);

	if (rc == 0)
		rc = pa_server_new(r->loop, &server, pa_relayd_command, r, &r->server, detail);
	return rc < 0 ? fail_at(r, "relay", detail, rc, err) : 0;
}

/*
 * A descriptor for each session, and three for each client: its connection, its tunnel's socket, and one of those that rest
 * (tunnel_edge.c). All clients and the sessions of one of them have to fit, or the configuration promises what cannot be; what is
 * above that is shared. The last ones are not for a client that has many already.
 */
static int take_descriptors(struct pa_relayd *r, char err[PA_RELAYD_ERRLEN])
{
	const unsigned clients = FILES_OTHER + PA_RELAY_STRANGERS_MAX + 3 * r->conf->clients_max;
	const unsigned assured = PA_PEER_ASSURED * r->conf->clients_max;
	const rlim_t needed = clients + r->conf->sessions_max;
	struct rlimit limit;
	char text[256];

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		limit = (struct rlimit){0, 0};
	if (limit.rlim_max < needed) { /* only with CAP_SYS_RESOURCE */
		struct rlimit more = {needed, needed};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit.rlim_max = needed;
	}
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < needed || setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		(void)snprintf(text, sizeof(text),
			       "max-clients %u and max-sessions %u need %llu file descriptors, the limit is %llu; raise it "
			       "(LimitNOFILE of the service, ulimit -n), or lower them",
			       r->conf->clients_max, r->conf->sessions_max, (unsigned long long)needed,
			       (unsigned long long)limit.rlim_max);
		return fail_at(r, "relay", text, PA_ELIMIT, err);
	}
	r->budget.max = limit.rlim_max - clients < UINT_MAX ? (unsigned)(limit.rlim_max - clients) : UINT_MAX;
	r->budget.reserve = assured < r->budget.max / 4 ? assured : r->budget.max / 4;
	return 0;
}

int pa_relayd_start(struct pa_relayd *r, char err[PA_RELAYD_ERRLEN])
{
	int rc = load_keys(r, err);

	if (rc == 0)
		rc = take_descriptors(r, err);
	if (rc == 0)
		rc = open_server(r, err);
	if (rc == 0)
		rc = open_network(r, err);
	if (rc == 0)
		rc = pa_gate_new(r->loop, r->conf->gateway.control_socket, &gate_ops, r, &r->gate);
	for (size_t i = 0; rc == 0 && i < r->conf->n_listen; i++)
		rc = open_listener(r, i, err);
	if (rc < 0)
		return rc;
	r->timer.data = r;
	(void)uv_timer_init(r->loop, &r->timer);
	(void)uv_timer_start(&r->timer, on_tick, PA_RLINK_TICK_MS, PA_RLINK_TICK_MS);
	r->has_timer = true;
	for (size_t i = 0; i < r->conf->n_listen; i++) {
		char text[PA_ENDPOINT_STRLEN];

		pa_log(PA_LOG_INFO, "relay.ready", "addr=%s pools=%zu certificate=%s",
		       pa_endpoint_format(&r->conf->listen[i], text), r->conf->gateway.n_pools,
		       r->conf->certificate != NULL ? r->conf->certificate : "self-signed");
	}
	return 0;
}

int pa_relayd_cleanup(struct pa_relayd *r, char err[PA_RELAYD_ERRLEN])
{
	struct pa_divert_config divert = divert_of(r);
	int rc = open_server(r, err); /* one that runs is left alone */

	if (rc < 0)
		return rc;
	pa_divert_close(&divert);
	pa_log(PA_LOG_INFO, "daemon.cleanup", "table=%u", r->conf->table);
	return 0;
}

void pa_relayd_reload(struct pa_relayd *r)
{
	char err[PA_RELAYD_ERRLEN];
	int rc = load_keys(r, err);

	if (rc < 0)
		pa_log(PA_LOG_ERROR, "daemon.reload-failed", "kept=former-keys reason=\"%s\"", err);
	else
		pa_log(PA_LOG_INFO, "daemon.reload", "file=%s keys=%zu clients=%u", r->conf->gateway.key_file,
		       pa_keyring_count(r->keys), r->n_clients);
}

/* ---------------------------------------------------------------- stop */

void pa_relayd_stop(struct pa_relayd *r)
{
	struct pa_divert_config divert = divert_of(r);

	if (r->stopped)
		return;
	r->stopped = true;
	while (r->clients != NULL)
		pa_rclient_end(r->clients, PA_RELAY_E_SHUTDOWN);
	while (r->conns != NULL)
		pa_conn_close(r->conns);
	pa_rtunnel_stop(r);
	pa_gate_stop(r->gate);
	pa_server_close(r->server);
	r->server = NULL;
	if (r->has_timer)
		uv_close((uv_handle_t *)&r->timer, NULL);
	for (size_t i = 0; i < PA_RELAYD_LISTEN_MAX; i++)
		if (r->listeners[i].fd >= 0) {
			uv_close((uv_handle_t *)&r->listeners[i].poll, NULL);
			close(r->listeners[i].fd);
			r->listeners[i].fd = -1;
		}
	if (r->diverted)
		pa_divert_close(&divert);
}

void pa_relayd_free(struct pa_relayd *r)
{
	if (r == NULL)
		return;
	pa_gate_free(r->gate);
	pa_keyring_free(r->keys);
	pa_stream_tls_free(r->tls);
	pa_nl_close(r->nl);
	free(r->pools);
	free(r->own);
	free(r);
}

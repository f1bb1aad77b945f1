/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gatewayd_edge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/log.h"
#include "common/msg.h"
#include "tunnel/dp_steer.h"
#include "tunnel/gatewayd_drain_edge.h"
#include "tunnel/gatewayd_hosts_edge.h"
#include "tunnel/gatewayd_keys.h"
#include "tunnel/gatewayd_probe_edge.h"
#include "tunnel/gatewayd_state.h"
#include "tunnel/gw_refused.h"
#include "tunnel/net_lan.h"
#include "tunnel/net_mtu.h"
#include "tunnel/net_route.h"
#include "tunnel/net_tun.h"
#include "tunnel/net_udp.h"

#define TICK_MAX_MS 250 /* the core is told the time this often at least; a tick looks only at what is due */
#define RENEW_MS 4	/* from one piece of a new state file to the next */
#define NS_PER_S UINT64_C(1000000000)

struct pa_gatewayd {
	uv_loop_t *loop;
	const struct pa_gatewayd_conf *conf;
	struct pa_keyring *keys;
	struct pa_nl *nl;
	struct pa_tun tun;
	struct {
		int fds[PA_STEER_DATA + PA_DP_LANES_MAX];
		unsigned n; /* 0: closed; 1: one for everything */
	} listen[PA_GATEWAYD_LISTEN_MAX];
	int monitor_fd;
	struct pa_path *path;
	struct pa_gatewayd_probes *probes;
	struct pa_gw *gw;
	struct pa_gatewayd_state *state;
	struct pa_gatewayd_hosts *hosts;
	struct pa_gatewayd_drain *drain;
	struct pa_server *server;
	struct pa_broker_link *broker; /* NULL: not configured */
	struct pa_deny deny;
	struct pa_prefix *own;	 /* what deny.own points to */
	struct pa_prefix *pools; /* what deny.pools points to */
	uv_timer_t timer;
	uv_check_t round;
	uv_poll_t monitor;
	bool has_timer, has_round, has_monitor, stopped;
	bool has_mtus; /* some address has, or had, a smaller MTU than the device */
	uint64_t started_ms;
	struct pa_gw_refused refused;
};

/* ---- what the core asks for ---- */

static void op_send(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct pa_gatewayd *g = ctx;

	if (local >= PA_GW_PROBE_LOCAL)
		pa_gatewayd_probes_send(g->probes, local - PA_GW_PROBE_LOCAL, to, buf, len);
	else if (len > PA_CTL_MAX) /* only answers to probes of the path's MTU are so long */
		pa_path_send_probe(g->path, local, to, buf, len);
	else
		pa_path_send_control(g->path, local, to, buf, len);
}

/* What does not fit its client's path is the kernel's business before it comes to the data path. */
static void set_mtu(struct pa_gatewayd *g, const struct pa_addr *addr, uint16_t mtu)
{
	char text[PA_ADDR_STRLEN];
	int rc = 0;

	if (mtu < g->conf->mtu) {
		rc = pa_net_mtu_set(g->nl, g->tun.ifindex, addr, &g->conf->device_address, mtu);
		g->has_mtus = true;
	} else if (g->has_mtus) {
		(void)pa_net_mtu_clear(g->nl, g->tun.ifindex, addr);
	}
	if (rc < 0)
		pa_log(PA_LOG_WARN, "binding.mtu-unset", "addr=%s mtu=%u reason=\"%s\"", pa_addr_format(addr, text), (unsigned)mtu,
		       strerror(errno));
}

static void op_deliver(void *ctx, const struct pa_gw_binding *b)
{
	struct pa_gatewayd *g = ctx;
	struct pa_dp_peer peer = {.inner = b->claims.addr, .outer = b->mapped, .local = b->local, .mtu = b->mtu};
	struct pa_now now = pa_broker_link_now(g->broker, pa_now_get());
	uint64_t expires_ms = b->claims.expires * 1000;
	char addr[PA_ADDR_STRLEN];
	int rc;

	peer.expires_ms = now.boot_ms + (expires_ms > now.unix_ms ? expires_ms - now.unix_ms : 0);
	rc = pa_path_update(g->path, &peer);
	pa_gatewayd_hosts_announce(g->hosts, &peer.inner);
	set_mtu(g, &b->claims.addr, b->mtu);
	if (rc < 0)
		pa_log(PA_LOG_ERROR, "binding.failed", "addr=%s reason=\"%s\"", pa_addr_format(&peer.inner, addr),
		       pa_strerror(rc));
}

static void op_stop(void *ctx, const struct pa_addr *addr)
{
	struct pa_gatewayd *g = ctx;
	struct pa_dp_peer peer = {.inner = *addr};

	(void)pa_path_update(g->path, &peer);
	set_mtu(g, addr, UINT16_MAX);
	pa_gatewayd_hosts_withdraw(g->hosts, addr);
}

static void op_withdraw(void *ctx, const struct pa_addr *addr)
{
	pa_gatewayd_hosts_withdraw(((struct pa_gatewayd *)ctx)->hosts, addr);
}

static void op_event(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason)
{
	bool adopted = strcmp(event, "binding.adopted") == 0;
	/* There may be a million of them at once; state.adopted says how many. */
	enum pa_log_level level = adopted ? PA_LOG_DEBUG : PA_LOG_INFO;
	char addr[PA_ADDR_STRLEN], mapped[PA_ENDPOINT_STRLEN];

	/* One that is adopted may not have been reported before the former process died. */
	if (adopted || strcmp(event, "binding.new") == 0 || strcmp(event, "binding.renewed") == 0)
		pa_broker_link_bound(((struct pa_gatewayd *)ctx)->broker, b);
	if (!pa_log_enabled(level))
		return;
	pa_log(level, event, "addr=%s mapped=%s pool=%u epoch=%llu mtu=%u%s%s", pa_addr_format(&b->claims.addr, addr),
	       pa_endpoint_format(&b->mapped, mapped), (unsigned)b->claims.pool_id, (unsigned long long)b->claims.epoch, (unsigned)b->mtu,
	       reason != 0 ? " reason=" : "", reason != 0 ? pa_reason_name(reason) : "");
}

static void op_random(void *ctx, uint8_t *dst, size_t len)
{
	(void)ctx;
	pa_random(dst, len);
}

static const struct pa_gw_ops gw_ops = {
	.send = op_send, .deliver = op_deliver, .withdraw = op_withdraw, .stop = op_stop, .event = op_event,
	.random = op_random};

/* ---- what happens ---- */

static bool on_control(void *ctx, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	struct pa_gatewayd *g = ctx;
	struct pa_now now = pa_broker_link_now(g->broker, pa_now_get());
	enum pa_gw_refusal why = pa_gw_receive(g->gw, now, local, from, buf, len);

	pa_gw_refused_log(&g->refused, now, from, why);
	return why == PA_GW_NOT_REFUSED;
}

static void on_soon(void *ctx, const struct iovec *msgs, unsigned n)
{
	pa_gw_soon(((struct pa_gatewayd *)ctx)->gw, msgs, n);
}

static void on_probe(void *ctx, size_t i, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	struct pa_gatewayd *g = ctx;

	pa_gw_receive(g->gw, pa_broker_link_now(g->broker, pa_now_get()), PA_GW_PROBE_LOCAL + (unsigned)i, from, buf, len);
}

static void on_foreign(void *ctx, unsigned local, const struct pa_endpoint *from, const struct pa_addr *inner, size_t len)
{
	struct pa_gatewayd *g = ctx;

	pa_gw_foreign(g->gw, pa_broker_link_now(g->broker, pa_now_get()), local, from, inner, len);
}

static void on_drain(void *ctx, bool on)
{
	(void)pa_gatewayd_drain(ctx, on, "broker");
}

static void on_timer(uv_timer_t *t)
{
	struct pa_gatewayd *g = t->data;
	struct pa_now now = pa_broker_link_now(g->broker, pa_now_get());
	uint64_t next = pa_gw_tick(g->gw, now), wait, most = TICK_MAX_MS;

	if (pa_gatewayd_state_renew(g->state, g->gw, now))
		most = RENEW_MS;
	wait = next > now.boot_ms ? next - now.boot_ms : 1;
	(void)uv_timer_start(t, on_timer, wait < most ? wait : most, 0);
}

/* After each round of the loop: what changed by all its messages is written at once. */
static void on_round(uv_check_t *h)
{
	struct pa_gatewayd *g = h->data;

	if (pa_gw_has_changes(g->gw))
		pa_gatewayd_state_flush(g->state, g->gw, pa_broker_link_now(g->broker, pa_now_get()));
}

/* What this host takes for itself is refused as a destination: a client must not reach it from behind. */
static int read_own(struct pa_gatewayd *g)
{
	struct pa_prefix *own, *former = g->own;
	size_t n;
	int rc = pa_lan_local_read(g->nl, &own, &n);

	if (rc < 0)
		return rc;
	g->own = own;
	g->deny.own = own;
	g->deny.n_own = n;
	if (g->path != NULL)
		pa_path_refresh(g->path); /* the threads of the data path look at the list */
	free(former);
	return 0;
}

static void on_monitor(uv_poll_t *h, int status, int events)
{
	struct pa_gatewayd *g = h->data;
	char err[PA_PATH_ERRLEN];

	if (status < 0 || (events & UV_READABLE) == 0 || !pa_nl_monitor_drain(g->monitor_fd))
		return;
	if (read_own(g) < 0)
		pa_log(PA_LOG_WARN, "net.unreadable", "reason=\"cannot read own addresses: %s\"", strerror(errno));
	if (pa_path_set_device(g->path, g->tun.fd, g->tun.ifindex, g->conf->mtu, err) < 0)
		pa_log(PA_LOG_ERROR, "datapath.failed", "reason=\"%s\"", err);
	pa_gatewayd_hosts_refresh(g->hosts);
}

/* ---- start ---- */

/* Says what is wrong with the value at path, as the configuration reader does. Returns rc. */
static int fail_at(const struct pa_gatewayd *g, const char *path, const char *text, int rc, char err[PA_GATEWAYD_ERRLEN])
{
	char place[PA_CONF_PLACELEN];

	(void)snprintf(err, PA_GATEWAYD_ERRLEN, "%s%s", pa_conf_place(g->conf->source, path, place), text);
	return rc;
}

int pa_gatewayd_new(uv_loop_t *loop, const struct pa_gatewayd_conf *conf, struct pa_gatewayd **ret)
{
	struct pa_gatewayd *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return PA_ENOMEM;
	g->loop = loop;
	g->conf = conf;
	g->tun.fd = -1;
	g->monitor_fd = -1;
	g->started_ms = pa_now_get().boot_ms;
	*ret = g;
	return 0;
}

static int make_deny(struct pa_gatewayd *g)
{
	const struct pa_gatewayd_conf *c = g->conf;

	g->pools = calloc(c->n_pools, sizeof(*g->pools));
	if (g->pools == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < c->n_pools; i++)
		g->pools[i] = c->pools[i].prefix;
	g->deny = (struct pa_deny){.deny = c->deny, .n_deny = c->n_deny, .allow = c->allow, .n_allow = c->n_allow,
				   .ports = c->deny_ports, .n_ports = c->n_deny_ports, .isolate = c->isolate,
				   .pools = g->pools, .n_pools = c->n_pools};
	return 0;
}

static struct pa_route pool_route(const struct pa_gatewayd *g, size_t i)
{
	return (struct pa_route){.dst = g->conf->pools[i].prefix, .table = PA_TABLE_MAIN, .ifindex = g->tun.ifindex,
				 .src = g->conf->device_address};
}

/* Of the routes that the device of a former process still has, marks in there[] which pools have theirs; others go. */
static int keep_routes(struct pa_gatewayd *g, bool *there)
{
	size_t cap = 2 * g->conf->n_pools + 64 + g->conf->max_bindings; /* addresses of on-link pools have routes, too */
	struct pa_route *have = calloc(cap, sizeof(*have));
	int n = have != NULL ? pa_net_routes_get(g->nl, PA_TABLE_MAIN, 1, g->tun.ifindex, have, cap) : PA_ENOMEM;

	for (int i = 0; i < n; i++) {
		bool wanted = false;

		for (size_t k = 0; k < g->conf->n_pools; k++) {
			struct pa_route r = pool_route(g, k);

			if (g->conf->on_link[k][0] != '\0') { /* judged later, when the bindings are known */
				wanted = wanted || (have[i].dst.len == 32 && pa_prefix_contains(&r.dst, &have[i].dst.addr));
				continue;
			}
			if (have[i].dst.len == r.dst.len && pa_addr_eq(&have[i].dst.addr, &r.dst.addr) &&
			    pa_addr_eq(&have[i].src, &r.src))
				there[k] = wanted = true;
		}
		if (!wanted)
			(void)pa_net_route_del(g->nl, &have[i]);
	}
	free(have);
	return n < 0 ? n : 0;
}

static int add_pools(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	bool *there = calloc(g->conf->n_pools, sizeof(*there));
	int rc = there == NULL ? PA_ENOMEM : g->tun.adopted ? keep_routes(g, there) : 0;
	char text[PA_PREFIX_STRLEN], path[32], detail[160];

	if (rc < 0)
		(void)snprintf(err, PA_GATEWAYD_ERRLEN, "%s: cannot read the routes: %s", g->tun.name, pa_strerror(rc));
	for (size_t i = 0; rc == 0 && i < g->conf->n_pools; i++) {
		struct pa_route r = pool_route(g, i);

		if (!there[i] && g->conf->on_link[i][0] == '\0')
			rc = pa_net_route_add(g->nl, &r, false);
		if (rc == 0)
			continue;
		(void)snprintf(path, sizeof(path), "pools[%zu]", i);
		(void)snprintf(detail, sizeof(detail), "cannot route %s to %s: %s%s", pa_prefix_format(&r.dst, text),
			       g->tun.name, strerror(errno),
			       rc == PA_EEXIST ? "; remove the other route to this prefix (see: ip route)" : "");
		rc = fail_at(g, path, detail, rc, err);
	}
	free(there);
	return rc;
}

static int add_routes(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	char detail[160];
	int rc = 0;

	if (!pa_addr_is_none(&g->conf->device_address))
		rc = pa_net_addr_add(g->nl, g->tun.ifindex, &g->conf->device_address);
	if (rc == 0)
		return add_pools(g, err);
	(void)snprintf(detail, sizeof(detail), "cannot add it to %s: %s", g->tun.name, strerror(errno));
	return fail_at(g, "device-address", detail, rc, err);
}

/* The device has as many queues. */
static unsigned threads_wanted(const struct pa_gatewayd_conf *c)
{
	unsigned n = c->threads > 0 ? c->threads : uv_available_parallelism();

	return n < PA_DP_LANES_MAX ? n : PA_DP_LANES_MAX;
}

static int open_network(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	const struct pa_addr *own = &g->conf->device_address;
	char detail[PA_TUN_ERRLEN];
	int rc = pa_nl_open(&g->nl);

	if (rc < 0) {
		(void)snprintf(err, PA_GATEWAYD_ERRLEN, "cannot open netlink: %s", pa_strerror(rc));
		return rc;
	}
	rc = pa_tun_open(g->nl, g->conf->device, g->conf->mtu, pa_addr_is_none(own) ? NULL : own,
			 threads_wanted(g->conf), &g->tun, detail);
	if (rc < 0)
		return fail_at(g, "device", detail, rc, err);
	(void)pa_net_mtu_clean(g->nl, g->tun.ifindex); /* those of bindings that are adopted come back with these */
	rc = add_routes(g, err);
	if (rc == 0) {
		rc = make_deny(g);
		if (rc == 0)
			rc = read_own(g);
		if (rc < 0)
			(void)snprintf(err, PA_GATEWAYD_ERRLEN, "cannot read own addresses: %s", pa_strerror(rc));
	}
	return rc;
}

/* A socket of "listen" or "probe-listen" could not be opened; errno tells why. */
static int fail_listen(const struct pa_gatewayd *g, const char *list, size_t i, const char *detail, int rc,
		       char err[PA_GATEWAYD_ERRLEN])
{
	char text[PA_UDP_ERRLEN + 96], path[32];
	const char *remedy = "";

	if (errno == EADDRNOTAVAIL)
		remedy = "; it must be an address of this host";
	else if (errno == EADDRINUSE)
		remedy = "; stop the process that has it (see: ss -lunp), or listen elsewhere";
	(void)snprintf(text, sizeof(text), "%s%s", detail, remedy);
	(void)snprintf(path, sizeof(path), "%s[%zu]", list, i);
	return fail_at(g, path, text, rc, err);
}

static int open_listen(struct pa_gatewayd *g, size_t i, char err[PA_GATEWAYD_ERRLEN])
{
	struct pa_udp_config udp = {.bind = g->conf->listen[i]};
	char detail[PA_UDP_ERRLEN];
	int rc = pa_udp_open_group(&udp, g->tun.n_queues, g->listen[i].fds, &g->listen[i].n, detail);

	return rc == 0 ? 0 : fail_listen(g, "listen", i, detail, rc, err);
}

static void close_listen(struct pa_gatewayd *g)
{
	for (size_t i = 0; i < PA_GATEWAYD_LISTEN_MAX; i++)
		while (g->listen[i].n > 0)
			close(g->listen[i].fds[--g->listen[i].n]);
}

/* Several threads need sockets of their own. Where the kernel has none for them, one thread does it all. */
static int open_sockets(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < g->conf->n_listen; i++) {
		rc = open_listen(g, i, err);
		if (rc == 0 && g->listen[i].n == 1 && g->tun.n_queues > 1) {
			pa_tun_single(&g->tun);
			close_listen(g);
			return open_sockets(g, err);
		}
	}
	return rc;
}

static int use_sockets(struct pa_gatewayd *g)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < g->conf->n_listen; i++)
		rc = g->listen[i].n == 1 ? pa_path_set_socket(g->path, (unsigned)i, g->listen[i].fds[0]) :
		     pa_path_set_group(g->path, (unsigned)i, g->listen[i].fds, g->listen[i].n);
	return rc;
}

static int open_probes(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	static const struct pa_gatewayd_probes_events events = {.receive = on_probe};
	const struct pa_gatewayd_conf *c = g->conf;
	char detail[PA_UDP_ERRLEN];
	size_t failed;
	int rc = pa_gatewayd_probes_new(g->loop, c->probe_listen, c->n_probe_listen, &events, g, &g->probes, &failed, detail);

	return rc < 0 ? fail_listen(g, "probe-listen", failed, detail, rc, err) : 0;
}

/* Of each binding and direction. A quarter of a second ahead of the rate: what a TCP connection sends at once. */
static struct pa_rate rate_of(const struct pa_gatewayd_conf *c)
{
	struct pa_rate r = {.burst_ns = c->limits.packets > 0 || c->limits.bytes > 0 ? NS_PER_S / 4 : 0};

	if (c->limits.packets > 0)
		r.packet_ns = NS_PER_S / c->limits.packets;
	if (c->limits.bytes > 0)
		r.byte_ns = NS_PER_S * 1024 / c->limits.bytes;
	return r;
}

static int open_datapath(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	const struct pa_gatewayd_conf *c = g->conf;
	struct pa_path_config cfg = {
		.dp = {.loop = g->loop, .role = PA_DP_GATEWAY, .tun_fd = -1, .deny = &g->deny, .events = {on_control, on_foreign},
		       .soon = on_soon, .ctx = g},
		.choice = (enum pa_path_choice)c->datapath,
		.kern = {.bpf_dir = c->bpf_dir, .device = c->device, .listen = c->listen, .n_listen = c->n_listen, .pools = g->pools,
			 .n_pools = c->n_pools, .max_peers = c->max_bindings, .accelerate = c->accelerate}};
	char why[PA_PATH_ERRLEN];
	int rc = open_sockets(g, err);

	if (rc < 0)
		return rc;
	if (g->tun.n_queues > 1) {
		cfg.dp.queues = g->tun.queues;
		cfg.dp.n_queues = g->tun.n_queues;
	}
	cfg.dp.rate = cfg.kern.rate = rate_of(c);
	rc = pa_path_open(&cfg, &g->path, why);
	if (rc == 0) {
		rc = use_sockets(g);
		(void)snprintf(why, sizeof(why), "cannot watch the sockets");
	}
	if (rc < 0)
		(void)snprintf(err, PA_GATEWAYD_ERRLEN, "%s", why);
	return rc;
}

static int open_core(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	const struct pa_gatewayd_conf *c = g->conf;
	struct pa_gw_socket sockets[PA_GATEWAYD_LISTEN_MAX + PA_GATEWAYD_PROBES_MAX];
	struct pa_gw_config cfg = {.pools = c->pools, .n_pools = c->n_pools, .mtu = c->mtu, .keepalive = c->keepalive,
				   .max_bindings = c->max_bindings, .sockets = sockets, .handshakes = c->limits.handshakes};
	int rc = pa_gatewayd_keys_load(c, &g->keys, err, PA_GATEWAYD_ERRLEN);

	_Static_assert(PA_GATEWAYD_LISTEN_MAX + PA_GATEWAYD_PROBES_MAX <= PA_GW_SOCKETS_MAX, "the core knows every socket");
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < c->n_listen; i++)
		sockets[cfg.n_sockets++] = (struct pa_gw_socket){c->listen[i], (unsigned)i};
	for (size_t i = 0; i < c->n_probe_listen; i++)
		sockets[cfg.n_sockets++] = (struct pa_gw_socket){c->probe_listen[i], PA_GW_PROBE_LOCAL + (unsigned)i};
	cfg.keys = g->keys;
	(void)pa_gatewayd_keys_check(c, g->keys);
	rc = pa_gw_new(&cfg, &gw_ops, g, &g->gw);
	return rc < 0 ? fail_at(g, "max-bindings", pa_strerror(rc), rc, err) : 0;
}

/* Before the network: nothing may be bound before the floors are known. */
static int open_broker(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	char detail[PA_BROKER_LINK_ERRLEN];
	int rc = pa_broker_link_new(g->loop, &g->conf->broker, g->gw, &g->broker, detail);

	return rc < 0 ? fail_at(g, "broker", detail, rc, err) : 0;
}

/* Before anything of the network: what another gateway on this host uses is not touched. */
static int open_server(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	struct pa_server_config server = {.path = g->conf->control_socket, .mode = 0600, .gid = (gid_t)-1, .max_clients = 32};
	char detail[PA_SERVER_ERRLEN > PA_FILE_ERRLEN ? PA_SERVER_ERRLEN : PA_FILE_ERRLEN];
	int rc = pa_dir_create_for(g->conf->control_socket, (uid_t)-1, detail);

	if (rc == 0)
		rc = pa_server_new(g->loop, &server, pa_gatewayd_command, g, &g->server, detail);
	return rc < 0 ? fail_at(g, "control-socket", detail, rc, err) : 0;
}

/* After the device, before the bindings. */
static int open_hosts(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	char detail[PA_GATEWAYD_HOSTS_ERRLEN], path[48];
	size_t pool;
	int rc = pa_gatewayd_hosts_new(g->loop, g->conf, g->nl, g->gw, g->tun.ifindex, &g->hosts, &pool, detail);

	(void)snprintf(path, sizeof(path), "pools[%zu].on-link", pool);
	return rc < 0 ? fail_at(g, path, detail, rc, err) : 0;
}

/* Last, when packets can go: what a former process that died has left is taken over. */
static int open_state(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	struct pa_gw_state_header header = {.n_listen = g->conf->n_listen};
	uint8_t public_key[PA_KEY_LEN];
	int rc;

	rc = pa_gatewayd_drain_new(&g->conf->broker, g->conf->state_file, g->gw, pa_now_get(), &g->drain);
	if (rc < 0)
		return fail_at(g, "state-file", pa_strerror(rc), rc, err);
	_Static_assert(PA_GATEWAYD_LISTEN_MAX <= PA_GW_STATE_LISTEN_MAX, "the state file has a place for each socket");
	memcpy(header.listen, g->conf->listen, header.n_listen * sizeof(header.listen[0]));
	pa_keypair_public(pa_keyring_first(g->keys, PA_KEY_GATEWAY)->key, public_key);
	pa_fingerprint(public_key, header.gateway);
	rc = pa_gatewayd_state_new(g->conf->state_file, &header, &g->state);
	if (rc < 0)
		return fail_at(g, "state-file", pa_strerror(rc), rc, err);
	pa_gatewayd_state_load(g->state, g->gw, pa_broker_link_now(g->broker, pa_now_get()));
	pa_gatewayd_hosts_settle(g->hosts);
	return 0;
}

/* After that: what the former process had in the kernel carries packets until ours takes its place, which knows as much now. */
static int open_device(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	char why[PA_PATH_ERRLEN];
	int rc;

	pa_path_settle(g->path);
	rc = pa_path_set_device(g->path, g->tun.fd, g->tun.ifindex, g->conf->mtu, why);
	return rc < 0 ? fail_at(g, "datapath", why, rc, err) : 0;
}

static int open_handles(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	if (uv_timer_init(g->loop, &g->timer) == 0) {
		g->has_timer = true;
		g->timer.data = g;
		(void)uv_timer_start(&g->timer, on_timer, TICK_MAX_MS, 0);
	}
	if (pa_nl_monitor_open(false, &g->monitor_fd) == 0 && uv_poll_init(g->loop, &g->monitor, g->monitor_fd) == 0) {
		g->has_monitor = true;
		g->monitor.data = g;
		(void)uv_poll_start(&g->monitor, UV_READABLE, on_monitor);
	}
	if (uv_check_init(g->loop, &g->round) == 0) {
		g->has_round = true;
		g->round.data = g;
		(void)uv_check_start(&g->round, on_round);
	}
	if (!g->has_timer || !g->has_round || !g->has_monitor) {
		(void)snprintf(err, PA_GATEWAYD_ERRLEN, "cannot make a timer or watch own addresses");
		return PA_EIO;
	}
	return 0;
}

static void check_forwarding(void)
{
	if (!pa_gatewayd_forwards())
		pa_log(PA_LOG_WARN, "gateway.forwarding", "reason=\"%s\"", PA_GATEWAYD_NOT_FORWARDING);
}

int pa_gatewayd_start(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	int rc = open_core(g, err);

	if (rc == 0)
		rc = open_server(g, err);
	if (rc == 0 && g->conf->broker.given)
		rc = open_broker(g, err);
	if (rc == 0)
		rc = open_network(g, err);
	if (rc == 0)
		rc = open_datapath(g, err);
	if (rc == 0)
		rc = open_probes(g, err);
	if (rc == 0)
		rc = open_hosts(g, err);
	if (rc == 0)
		rc = open_state(g, err);
	if (rc == 0)
		rc = open_device(g, err);
	if (rc == 0)
		rc = open_handles(g, err);
	if (rc < 0)
		return rc;
	pa_broker_link_on_drain(g->broker, on_drain, g);
	if (g->broker != NULL)
		pa_broker_link_start(g->broker);
	check_forwarding();
	for (size_t i = 0; i < g->conf->n_listen; i++) {
		char text[PA_ENDPOINT_STRLEN];

		pa_log(PA_LOG_INFO, "gateway.listen", "addr=%s device=%s mtu=%u pools=%zu threads=%u",
		       pa_endpoint_format(&g->conf->listen[i], text), g->tun.name, (unsigned)g->conf->mtu, g->conf->n_pools,
		       g->tun.n_queues);
	}
	return 0;
}

int pa_gatewayd_serve(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	int rc = pa_path_start(g->path);

	if (rc < 0)
		(void)snprintf(err, PA_GATEWAYD_ERRLEN, "cannot start the threads of the data path");
	return rc;
}

int pa_gatewayd_cleanup(struct pa_gatewayd *g, char err[PA_GATEWAYD_ERRLEN])
{
	char detail[PA_TUN_ERRLEN];
	int rc = open_server(g, err);

	if (rc == 0) {
		rc = pa_tun_remove(g->conf->device, detail);
		if (rc < 0)
			return fail_at(g, "device", detail, rc, err);
		pa_path_remove(g->conf->bpf_dir, g->conf->device);
		if (pa_nl_open(&g->nl) == 0)
			pa_gatewayd_hosts_clean(g->conf, g->nl);
		pa_log(PA_LOG_INFO, "daemon.cleanup", "device=%s", g->conf->device);
	}
	return rc;
}

void pa_gatewayd_reload(struct pa_gatewayd *g)
{
	struct pa_tls_identity *id = NULL;
	struct pa_keyring *fresh = NULL;
	char err[PA_GATEWAYD_ERRLEN];
	int rc = pa_gatewayd_keys_load(g->conf, &fresh, err, sizeof(err));

	if (rc == 0)
		rc = pa_broker_link_load(g->broker, &id, err);
	if (rc == 0) {
		rc = pa_gatewayd_keys_use(g->gw, fresh, pa_now_get());
		(void)snprintf(err, sizeof(err), "%s", pa_strerror(rc));
	}
	if (rc < 0) {
		pa_log(PA_LOG_ERROR, "daemon.reload-failed", "kept=former-keys reason=\"%s\"", err);
		pa_keyring_free(fresh);
		pa_tls_identity_free(id);
		return;
	}
	pa_broker_link_use(g->broker, id);
	pa_keyring_free(g->keys);
	g->keys = fresh;
	pa_gatewayd_keys_check(g->conf, fresh);
	pa_log(PA_LOG_INFO, "daemon.reload", "file=%s keys=%zu bindings=%zu ended=%d", g->conf->key_file,
	       pa_keyring_count(fresh), pa_gw_count(g->gw), rc);
}

/* ---- stop ---- */

void pa_gatewayd_stop(struct pa_gatewayd *g)
{
	if (g->stopped)
		return;
	g->stopped = true;
	if (g->gw != NULL && g->path != NULL)
		pa_gw_shutdown(g->gw, pa_now_get());
	if (g->gw != NULL && g->state != NULL)
		pa_gatewayd_state_finish(g->state, g->gw, pa_now_get());
	pa_broker_link_stop(g->broker);
	pa_server_close(g->server);
	g->server = NULL;
	if (g->has_timer)
		uv_close((uv_handle_t *)&g->timer, NULL);
	if (g->has_round)
		uv_close((uv_handle_t *)&g->round, NULL);
	if (g->has_monitor)
		uv_close((uv_handle_t *)&g->monitor, NULL);
	pa_gatewayd_hosts_close(g->hosts);
	g->hosts = NULL;
	pa_path_close(g->path);
	g->path = NULL;
	pa_gatewayd_probes_close(g->probes);
	close_listen(g);
	if (g->monitor_fd >= 0)
		close(g->monitor_fd);
	pa_tun_close(&g->tun); /* and with it address and routes */
}

void pa_gatewayd_free(struct pa_gatewayd *g)
{
	if (g == NULL)
		return;
	pa_gatewayd_state_free(g->state);
	pa_gatewayd_drain_free(g->drain);
	pa_gatewayd_probes_free(g->probes);
	pa_broker_link_free(g->broker);
	pa_gw_free(g->gw);
	pa_keyring_free(g->keys);
	pa_nl_close(g->nl);
	free(g->own);
	free(g->pools);
	free(g);
}

int pa_gatewayd_drain(struct pa_gatewayd *g, bool on, const char *by)
{
	return pa_gatewayd_drain_set(g->drain, pa_now_get(), on, by);
}

struct pa_gw *pa_gatewayd_gw(struct pa_gatewayd *g)
{
	return g->gw;
}

struct pa_path *pa_gatewayd_path(struct pa_gatewayd *g)
{
	return g->path;
}

const struct pa_gatewayd_conf *pa_gatewayd_conf_of(const struct pa_gatewayd *g)
{
	return g->conf;
}

struct pa_broker_link *pa_gatewayd_broker(struct pa_gatewayd *g)
{
	return g->broker;
}

uint64_t pa_gatewayd_started_ms(const struct pa_gatewayd *g)
{
	return g->started_ms;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_edge.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/log.h"
#include "common/msg.h"
#include "tunnel/net_cgroup.h"
#include "tunnel/net_nl.h"
#include "tunnel/net_udp.h"
#include "tunnel/plan.h"
#include "tunnel/ruleset_inbound.h"
#include "tunnel/tunneld_ferry_edge.h"
#include "tunnel/tunneld_mode.h"
#include "tunnel/tunneld_pulse_edge.h"
#include "tunnel/tunneld_sock_edge.h"
#include "tunnel/tunneld_state.h"

#define SETTLE_MS 200	 /* changes of the LAN come in bursts */
#define TIMER_MAX_MS 5000 /* the loop's clock stops while the host sleeps, the grant's does not */

struct pa_tunneld {
	uv_loop_t *loop;
	const struct pa_tunneld_conf *conf;
	const char *iface;
	char bind_path[PATH_MAX];
	uint64_t last_bind;
	struct pa_client *client;
	struct pa_path *path;
	struct pa_tunnet *net;
	struct pa_keep *keep;
	struct pa_tunneld_probe *probe;
	struct pa_tunneld_pulse *pulse;
	struct pa_server *server;
	struct pa_lines lines; /* about what users ask it for */
	struct pa_tunsock *sock;
	struct pa_ferry *ferry; /* NULL: none */
	int monitor_fd;
	uv_timer_t timer, settle;
	uv_poll_t monitor, filter;
	struct pa_tuninbound *inbound;
	struct pa_tundemand *demand;
	struct pa_tunmode *mode;
	struct pa_tunneld_relays relays;
	struct pa_mark *mark; /* NULL: no_mark says why sockets cannot be marked */
	char no_mark[PA_MARK_ERRLEN];
	bool has_timers, has_monitor, has_filter, stopped;
	struct pa_tunneld_hosts hosts;
	struct pa_client_binding bound; /* as of the last ops->up */
	bool is_up;
	struct pa_tunneld_counters counters;
	char refusal[PA_TUNNELD_ERRLEN], trouble[PA_TUNNET_ERRLEN];
};

/* ---- what the core asks for ---- */

static void op_send(void *ctx, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct pa_tunneld *t = ctx;

	pa_path_send_control(t->path, pa_tunsock_local(to), to, buf, len);
}

static void op_probe(void *ctx, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct pa_tunneld *t = ctx;

	pa_path_send_probe(t->path, pa_tunsock_local(to), to, buf, len);
}

static void op_fresh_port(void *ctx)
{
	struct pa_tunneld *t = ctx;

	pa_tunsock_renew(t->sock);
}

static void op_ferry(void *ctx, bool wanted)
{
	struct pa_tunneld *t = ctx;

	pa_ferry_want(t->ferry, wanted);
}

static size_t lan_prefixes(const struct pa_lan *lan, struct pa_prefix *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < lan->n_on_link; i++)
		ret[n++] = lan->on_link[i];
	for (size_t i = 0; i < lan->n_own; i++) {
		ret[n].addr = lan->own[i];
		ret[n].len = pa_addr_is_ipv4(&lan->own[i]) ? 32 : 128;
		n++;
	}
	return n;
}

/* Absent, the data path first. */
static void tear_down(struct pa_tunneld *t)
{
	char err[PA_PATH_ERRLEN];

	(void)pa_path_set_device(t->path, -1, 0, 0, err);
	pa_tunnet_down(t->net);
}

/* What carries packets on the device that there is now. */
static int set_device(struct pa_tunneld *t)
{
	char err[PA_PATH_ERRLEN];
	int rc = pa_path_set_device(t->path, pa_tunnet_fd(t->net), pa_tunnet_ifindex(t->net), t->bound.mtu, err);

	if (rc < 0)
		(void)snprintf(t->trouble, sizeof(t->trouble), "%.*s", (int)sizeof(t->trouble) - 1, err);
	pa_tunnet_outlives(t->net, pa_path_outlives(t->path));
	return rc;
}

/* Whom the LAN has to lead to; by the relay it is the server beside a gateway. */
static struct pa_addr outer_gateway(const struct pa_tunneld *t)
{
	struct pa_endpoint list[PA_GATEWAYS_MAX];

	return t->bound.relayed && pa_client_gateways(t->client, list) > 0 ? list[0].addr : t->bound.gateway.addr;
}

/* Network and data path as t->bound says. */
static int bring_up(struct pa_tunneld *t)
{
	const struct pa_client_binding *b = &t->bound;
	struct pa_prefix lan[PA_LAN_ADDRS_MAX + PA_LAN_OWN_MAX];
	struct pa_tunnet_want want = {.addr = b->claims.addr, .gateway = outer_gateway(t), .mtu = b->mtu,
				      .lan_hosts = t->hosts.hosts, .n_lan_hosts = t->hosts.n, .ports = pa_tunmode_ports(t->mode),
				      .mode = pa_tunmode_now(t->mode, (enum pa_outbound)b->claims.outbound)};
	struct pa_dp_peer peer = {.inner = b->claims.addr, .outer = b->gateway, .local = pa_tunsock_local(&b->gateway), .lan = lan};
	struct pa_client_status status;
	int rc;

	if (pa_tunnet_in_namespace(t->net))
		want.mode = PA_OUT_POLICY; /* the host does not have P meanwhile, whatever is said now */
	if (pa_tuninbound_now(t->inbound)->kind != PA_IN_OPEN || pa_tunnet_in_namespace(t->net))
		want.inbound = (struct pa_ruleset_part){pa_ruleset_inbound_write, pa_tuninbound_now(t->inbound)};
	if (pa_tunnet_fd(t->net) >= 0 && !pa_tunnet_present(t->net)) {
		pa_log(PA_LOG_WARN, "tunnel.removed", "device=%s reason=\"somebody has removed it; it is made again\"", t->conf->device);
		tear_down(t);
	}

	pa_client_status_get(t->client, &status);
	peer.expires_ms = status.expires_boot_ms;
	peer.n_lan = lan_prefixes(pa_tunnet_lan(t->net), lan);
	rc = pa_path_update(t->path, &peer); /* before the first packet is routed here */
	if (rc == 0)
		rc = pa_tunnet_up(t->net, &want, t->trouble);
	else
		(void)snprintf(t->trouble, sizeof(t->trouble), "cannot set the data path: %s", pa_strerror(rc));
	if (rc == 0)
		rc = set_device(t);
	if (rc == 0)
		t->trouble[0] = '\0';
	return rc;
}

static void op_up(void *ctx, const struct pa_client_binding *b)
{
	struct pa_tunneld *t = ctx;
	char addr[PA_ADDR_STRLEN], mapped[PA_ENDPOINT_STRLEN], gateway[PA_ENDPOINT_STRLEN];
	bool changed;

	(void)pa_tunnet_refresh(t->net, &changed);
	t->bound = *b;
	t->is_up = true;
	pa_tunneld_pulse_start(t->pulse);
	pa_tuninbound_bound(t->inbound, &b->claims);
	if (bring_up(t) < 0) {
		pa_log(PA_LOG_ERROR, "tunnel.failed", "reason=\"%s\"", t->trouble);
		tear_down(t);
		return;
	}
	pa_log(PA_LOG_INFO, "tunnel.up", "addr=%s gateway=%s mapped=%s mtu=%u device=%s mode=%s default=%s",
	       pa_addr_format(&b->claims.addr, addr), b->relayed ? "relay" : pa_endpoint_format(&b->gateway, gateway),
	       pa_endpoint_format(&b->mapped, mapped), (unsigned)b->mtu, t->conf->device,
	       pa_outbound_name(pa_tunnet_mode(t->net)), pa_tunnet_has_default(t->net) ? "yes" : "no");
	if (pa_tunnet_default_elsewhere(t->net))
		pa_log(PA_LOG_WARN, "tunnel.nodefault", "reason=\"the default route leaves by another interface than %s, "
		       "maybe another VPN; only programs bound to %s use the tunnel\"", t->iface, addr);
}

/* Device and data path change while packets flow; connections see by the next packet that there is less or more room. */
static void op_mtu(void *ctx, const struct pa_client_binding *b)
{
	struct pa_tunneld *t = ctx;

	t->bound = *b;
	if (t->is_up && bring_up(t) < 0)
		pa_log(PA_LOG_ERROR, "tunnel.failed", "reason=\"%s\"", t->trouble);
}

static void op_down(void *ctx, bool ended, unsigned reason)
{
	struct pa_tunneld *t = ctx;
	struct pa_dp_peer none = {.inner = t->bound.claims.addr};

	if (ended)
		pa_turelay_grant(t->relays.relay, NULL);
	if (!t->is_up && !ended)
		return;
	if (!pa_addr_is_none(&none.inner))
		(void)pa_path_update(t->path, &none);
	if (ended) {
		tear_down(t);
		pa_tuninbound_ended(t->inbound);
		memset(&t->bound, 0, sizeof(t->bound));
	} else {
		pa_tunnet_lost(t->net);
	}
	t->is_up = false;
	pa_tunneld_pulse_stop(t->pulse);
	t->trouble[0] = '\0';
	pa_log(PA_LOG_INFO, ended ? "tunnel.down" : "tunnel.lost", "device=%s reason=%s", t->conf->device,
	       reason != 0 ? pa_reason_name(reason) : "silence");
}

static void op_event(void *ctx, const char *event, const struct pa_endpoint *gateway, unsigned detail)
{
	char text[PA_ENDPOINT_STRLEN] = "none";

	(void)ctx;
	if (gateway != NULL && pa_tunsock_local(gateway) == PA_TUNSOCK_FERRY)
		(void)snprintf(text, sizeof(text), "relay");
	else if (gateway != NULL)
		(void)pa_endpoint_format(gateway, text);
	pa_log(PA_LOG_INFO, event, "gateway=%s detail=%u", text, detail);
}

static uint64_t op_next_bind(void *ctx)
{
	struct pa_tunneld *t = ctx;
	char err[PA_FILE_ERRLEN];

	/* Without the file we go on: the clock keeps the numbers rising, unless it was set back over a restart. */
	if (pa_bind_next(t->bind_path, pa_now_get().unix_ms, &t->last_bind, err) < 0)
		pa_log(PA_LOG_ERROR, "state.unwritable", "reason=\"%s\"", err);
	return t->last_bind;
}

static void op_random(void *ctx, uint8_t *dst, size_t len)
{
	(void)ctx;
	pa_random(dst, len);
}

static int op_inbound(void *ctx, char err[PA_TUNINBOUND_ERRLEN])
{
	struct pa_tunneld *t = ctx;
	int rc = t->is_up ? bring_up(t) : 0;

	if (rc < 0)
		(void)snprintf(err, PA_TUNINBOUND_ERRLEN, "%s", t->trouble);
	return rc;
}

int pa_tunneld_mode_changed(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN])
{
	int rc = t->is_up ? bring_up(t) : 0;

	if (rc < 0)
		(void)snprintf(err, PA_TUNNELD_ERRLEN, "%s", t->trouble);
	else
		pa_log(PA_LOG_INFO, "mode.set", "mode=%s by=%s", pa_outbound_name(pa_tunmode_now(t->mode,
		       (enum pa_outbound)t->bound.claims.outbound)), pa_tunmode_source(t->mode));
	return rc;
}

static const struct pa_client_ops client_ops = {.send = op_send, .probe = op_probe, .mtu = op_mtu,
						.fresh_port = op_fresh_port, .ferry = op_ferry, .up = op_up,
						.down = op_down, .event = op_event, .next_bind = op_next_bind,
						.random = op_random};

/* ---- what happens ---- */

static void on_timer(uv_timer_t *h)
{
	pa_tunneld_tick(h->data);
}

static void on_pulse(void *ctx)
{
	pa_tunneld_tick(ctx);
}

void pa_tunneld_tick(struct pa_tunneld *t)
{
	struct pa_now now = pa_now_get();
	struct pa_dp_stats stats;
	uint64_t next, wait;

	if (pa_path_stats(t->path, NULL, &stats, NULL) == 0)
		pa_client_carried(t->client, stats.tx_bytes + stats.rx_bytes);
	next = pa_client_tick(t->client, now);

	pa_keep_write(t->keep, t->client);
	pa_tundemand_kick(t->demand);
	if (next == UINT64_MAX) {
		(void)uv_timer_stop(&t->timer);
		return;
	}
	wait = next > now.boot_ms ? next - now.boot_ms : 1;
	(void)uv_timer_start(&t->timer, on_timer, wait < TIMER_MAX_MS ? wait : TIMER_MAX_MS, 0);
}

static void on_ferry(void *ctx, const struct pa_endpoint *at)
{
	struct pa_tunneld *t = ctx;

	pa_client_ferry(t->client, pa_now_get(), at);
	pa_tunneld_tick(t);
}

static bool on_control(void *ctx, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	struct pa_tunneld *t = ctx;

	(void)local;
	pa_client_receive(t->client, pa_now_get(), from, buf, len);
	pa_tunneld_tick(t);
	return true;
}

static void on_foreign(void *ctx, unsigned local, const struct pa_endpoint *from, const struct pa_addr *inner, size_t len)
{
	(void)ctx;
	(void)local;
	(void)from;
	(void)inner;
	(void)len;
}

/* The LAN has settled after a change: another address or router means another mapping at the NAT. */
static void on_settled(uv_timer_t *h)
{
	struct pa_tunneld *t = h->data;
	bool changed = false, had_default = pa_tunnet_has_default(t->net);
	const struct pa_lan *lan;

	if (pa_tunnet_refresh(t->net, &changed) < 0) {
		pa_log(PA_LOG_WARN, "net.unreadable", "reason=\"cannot read the LAN: %s\"", strerror(errno));
		return;
	}
	lan = pa_tunnet_lan(t->net);
	if (t->is_up && bring_up(t) < 0)
		pa_log(PA_LOG_ERROR, "tunnel.failed", "reason=\"%s\"", t->trouble);
	if (t->is_up && had_default != pa_tunnet_has_default(t->net))
		pa_log(PA_LOG_INFO, "tunnel.default", "taken=%s", pa_tunnet_has_default(t->net) ? "yes" : "no");
	if (!changed)
		return;
	pa_log(PA_LOG_INFO, "lan.changed", "iface=%s up=%s addresses=%zu routers=%zu", t->iface, lan->up ? "yes" : "no",
	       lan->n_addrs, lan->n_routers);
	if (lan->up && lan->n_addrs > 0) {
		pa_client_kick(t->client, pa_now_get());
		pa_tunneld_tick(t);
	}
}

static void on_monitor(uv_poll_t *h, int status, int events)
{
	struct pa_tunneld *t = h->data;

	if (status == 0 && (events & UV_READABLE) != 0 && pa_nl_monitor_drain(t->monitor_fd))
		(void)uv_timer_start(&t->settle, on_settled, SETTLE_MS, 0);
}

/* The packet filter has changed; what it costs us is brought back with the rest. */
static void on_filter(uv_poll_t *h, int status, int events)
{
	struct pa_tunneld *t = h->data;

	if (status == 0 && (events & UV_READABLE) != 0 && pa_tunnet_filter_damaged(t->net) && t->is_up) {
		pa_log(PA_LOG_WARN, "net.unfiltered", "reason=\"somebody has deleted our table of the packet filter; it is made again\"");
		(void)uv_timer_start(&t->settle, on_settled, SETTLE_MS, 0);
	}
}

/* ---- start ---- */

int pa_tunneld_new(uv_loop_t *loop, const struct pa_tunneld_conf *conf, const char *iface, struct pa_tunneld **ret)
{
	struct pa_tunneld *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return PA_ENOMEM;
	t->loop = loop;
	t->conf = conf;
	t->iface = iface;
	t->monitor_fd = -1;
	*ret = t;
	return 0;
}

/* Says what is wrong with the value at path, as the configuration reader does. Returns rc. */
static int fail_at(const struct pa_tunneld *t, const char *path, const char *text, int rc, char err[PA_TUNNELD_ERRLEN])
{
	char place[PA_CONF_PLACELEN];

	(void)snprintf(err, PA_TUNNELD_ERRLEN, "%s%s", pa_conf_place(t->conf->source, path, place), text);
	return rc;
}

static bool op_demand(void *ctx, bool wanted)
{
	struct pa_tunneld *t = ctx;

	return t->demand != NULL && !t->stopped && pa_tundemand_relay(t->demand, wanted);
}

static int open_core(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN])
{
	struct pa_tunneld_probe_config probe = {.loop = t->loop, .iface = t->iface, .mark = t->conf->mark};
	struct pa_tunneld_pulse_config pulse = {.loop = t->loop, .iface = t->iface, .mark = t->conf->mark, .path = t->path,
						.tick = on_pulse, .ctx = t};
	struct pa_turelay_config relay = {.loop = t->loop, .iface = t->iface, .mark = t->conf->mark, .next_bind = op_next_bind,
					  .demand = op_demand, .ctx = t};
	uint8_t secret_key[PA_KEY_LEN];
	char detail[PA_FILE_ERRLEN], why[PA_TUNNELD_RELAYS_ERRLEN];
	const char *key;
	int rc = pa_dir_create(t->conf->state_dir, 0755, detail);

	(void)snprintf(t->bind_path, sizeof(t->bind_path), "%s/bind", t->conf->state_dir);
	if (rc == 0)
		rc = pa_bind_load(t->bind_path, &t->last_bind, detail);
	if (rc < 0)
		return fail_at(t, "state-dir", detail, rc, err);
	rc = pa_client_key_load(t->conf->key_file, secret_key, detail);
	if (rc < 0)
		return fail_at(t, "key-file", detail, rc, err);
	rc = pa_client_new(secret_key, &client_ops, t, &t->client);
	relay.secret_key = secret_key;
	if (rc == 0 && pa_tunneld_relays_open(&relay, t->conf, &t->relays, &key, why) < 0)
		rc = fail_at(t, key, why, PA_EIO, err);
	pa_wipe(secret_key, sizeof(secret_key));
	if (rc == PA_EIO)
		return rc;
	probe.client = t->client;
	if (rc == 0)
		rc = pa_tunneld_probe_new(&probe, &t->probe);
	pulse.client = t->client;
	if (rc == 0)
		rc = pa_tunneld_pulse_new(&pulse, &t->pulse);
	if (rc < 0)
		(void)snprintf(err, PA_TUNNELD_ERRLEN, "%s", pa_strerror(rc));
	return rc;
}

/* Before anything of the network: what another daemon of this interface uses is not touched. */
static int open_server(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN])
{
	char path[PATH_MAX], detail[PA_SERVER_ERRLEN > PA_FILE_ERRLEN ? PA_SERVER_ERRLEN : PA_FILE_ERRLEN];
	struct pa_server_config server = {.path = path, .mode = 0666, .gid = (gid_t)-1, .any_uid = true, .max_clients = 32};
	int rc;

	if (snprintf(path, sizeof(path), "%s/tunneld-%s.sock", t->conf->run_dir, t->iface) >= (int)sizeof(path))
		return fail_at(t, "run-dir", "name too long", PA_EINVAL, err);
	rc = pa_dir_create(t->conf->run_dir, 0755, detail);
	if (rc == 0)
		rc = pa_server_new(t->loop, &server, pa_tunneld_command, t, &t->server, detail);
	return rc < 0 ? fail_at(t, "run-dir", detail, rc, err) : 0;
}

static int open_path(struct pa_tunneld *t, char err[PA_PATH_ERRLEN])
{
	const struct pa_path_config cfg = {
		.dp = {.loop = t->loop, .role = PA_DP_CLIENT, .tun_fd = -1, .events = {on_control, on_foreign}, .ctx = t},
		.choice = (enum pa_path_choice)t->conf->datapath,
		.kern = {.bpf_dir = t->conf->bpf_dir, .device = t->conf->device, .mark = t->conf->mark, .iface = t->iface}};

	return pa_path_open(&cfg, &t->path, err);
}

/* adopt: the session that holds an interface up which is still there; or NULL. */
static int open_network(struct pa_tunneld *t, const struct pa_client_binding *adopt, char err[PA_TUNNELD_ERRLEN])
{
	struct pa_tunnet_config cfg = {.iface = t->iface, .device = t->conf->device, .table = t->conf->table,
				       .priority = t->conf->rule_priority, .mark = t->conf->mark, .run_dir = t->conf->run_dir};
	struct pa_tunsock_config sock = {.loop = t->loop, .iface = t->iface, .mark = t->conf->mark};
	char detail[PA_TUNNET_ERRLEN], why[PA_PATH_ERRLEN];
	int rc;

	if (adopt != NULL) {
		cfg.adopt = adopt->claims.addr;
		cfg.adopt_mtu = adopt->mtu;
	}
	rc = pa_tunnet_new(&cfg, &t->net, detail);

	if (rc == 0 && pa_tunnet_lan(t->net)->ifindex == 0) {
		(void)snprintf(detail, sizeof(detail), "%.15s: no such interface; -i names the one towards the NAT", t->iface);
		rc = PA_ENOTFOUND;
	}
	if (rc == 0) {
		rc = open_path(t, why);
		(void)snprintf(detail, sizeof(detail), "%.*s", (int)sizeof(detail) - 1, why);
	}
	sock.path = t->path;
	sock.port = adopt != NULL && rc == 0 ? pa_path_former_port(t->path) : 0;
	if (rc == 0)
		rc = pa_tunsock_new(&sock, &t->sock, detail);
	if (rc < 0)
		(void)snprintf(err, PA_TUNNELD_ERRLEN, "%s", detail);
	return rc;
}

static int open_handles(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN])
{
	(void)uv_timer_init(t->loop, &t->timer);
	(void)uv_timer_init(t->loop, &t->settle);
	t->timer.data = t->settle.data = t;
	t->has_timers = true;
	if (pa_nl_monitor_open(true, &t->monitor_fd) < 0 || uv_poll_init(t->loop, &t->monitor, t->monitor_fd) < 0) {
		(void)snprintf(err, PA_TUNNELD_ERRLEN, "cannot watch the network: %s", strerror(errno));
		return PA_EIO;
	}
	t->has_monitor = true;
	t->monitor.data = t;
	(void)uv_poll_start(&t->monitor, UV_READABLE, on_monitor);
	t->filter.data = t;
	if (pa_tunnet_filter_fd(t->net) >= 0 && uv_poll_init(t->loop, &t->filter, pa_tunnet_filter_fd(t->net)) == 0) {
		t->has_filter = true;
		(void)uv_poll_start(&t->filter, UV_READABLE, on_filter);
	}
	return 0;
}

static int open_ferry(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN])
{
	const struct pa_ferry_config cfg = {.loop = t->loop, .relay = t->relays.relay, .path = t->path, .local = PA_TUNSOCK_FERRY,
					    .state = on_ferry, .ctx = t};
	int rc = pa_ferry_new(&cfg, &t->ferry);

	if (rc < 0)
		(void)snprintf(err, PA_TUNNELD_ERRLEN, "%s", pa_strerror(rc));
	return rc;
}

/* What programs need to be let in, or to use the tunnel alone. */
static int open_extras(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN])
{
	struct pa_tuninbound_config inbound = {.loop = t->loop, .run_dir = t->conf->run_dir, .iface = t->iface,
					       .host = &t->conf->inbound, .apply = op_inbound, .ctx = t};
	char detail[PA_TUNDEMAND_ERRLEN];
	int rc = pa_tunmode_new(t->conf->run_dir, t->iface, t->conf->outbound, &t->conf->auto_ports, &t->mode);

	if (rc == 0)
		rc = pa_tuninbound_new(&inbound, &t->inbound);

	if (rc < 0)
		return fail_at(t, "run-dir", pa_strerror(rc), rc, err);
	rc = pa_tundemand_new(t->loop, t, &t->demand, detail);
	if (rc < 0)
		return fail_at(t, "on-demand", detail, rc, err);
	pa_cgroup_sweep(t->conf->device);
	pa_cgroup_prepare(t->conf->device);
	if (pa_mark_new(t->conf->mark + PA_MARK_TUNNEL, &t->mark, t->no_mark) < 0)
		pa_log(PA_LOG_WARN, "exec.unavailable", "reason=\"%s\"", t->no_mark);
	return 0;
}

/* A grant that came while no daemon was there to take it. */
static void take_pending(struct pa_tunneld *t)
{
	char path[PATH_MAX], err[PA_TUNNELD_ERRLEN > PA_FILE_ERRLEN ? PA_TUNNELD_ERRLEN : PA_FILE_ERRLEN];
	json_t *args;
	char *text;
	size_t len;
	int rc;

	(void)snprintf(path, sizeof(path), "%s/pending-%s.json", t->conf->run_dir, t->iface);
	rc = pa_file_read(path, true, &text, &len, err);
	if (rc == PA_ENOTFOUND)
		return;
	if (unlink(path) < 0)
		pa_log(PA_LOG_WARN, "state.unwritable", "reason=\"%s: cannot remove: %s\"", path, strerror(errno));
	if (rc < 0) {
		pa_log(PA_LOG_WARN, "grant.refused", "reason=\"%s\"", err);
		return;
	}
	args = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	pa_wipe(text, len);
	free(text);
	(void)pa_tunneld_grant_put(t, args, err);
	json_decref(args);
}

/* What a former process had: with its session if it was killed, the grant alone if it was stopped. */
static void take_kept(struct pa_tunneld *t, const json_t *args, const struct pa_client_saved *session)
{
	char err[PA_TUNNELD_ERRLEN];

	if (args == NULL || pa_tunneld_grant_adopt(t, args, session, err) < 0)
		tear_down(t);
	pa_tunneld_tick(t);
}

int pa_tunneld_start(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN])
{
	struct pa_client_saved saved;
	json_t *args = NULL;
	bool session = false;
	int rc = open_server(t, err);

	if (rc == 0) {
		rc = pa_keep_new(t->conf->run_dir, t->iface, &t->keep);
		if (rc < 0)
			rc = fail_at(t, "run-dir", pa_strerror(rc), rc, err);
	}
	if (rc == 0) {
		pa_keep_read(t->keep, &args, &session, &saved);
		rc = open_network(t, session ? &saved.b : NULL, err);
	}
	if (rc == 0)
		rc = open_core(t, err);
	if (rc == 0)
		rc = open_ferry(t, err);
	if (rc == 0)
		rc = open_handles(t, err);
	if (rc == 0)
		rc = open_extras(t, err);
	if (rc == 0) {
		take_kept(t, args, session ? &saved : NULL);
		take_pending(t);
	}
	json_decref(args);
	pa_wipe(&saved, sizeof(saved));
	return rc;
}

int pa_tunneld_cleanup(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN])
{
	struct pa_tunnet_config cfg = {.iface = t->iface, .device = t->conf->device, .table = t->conf->table,
				       .priority = t->conf->rule_priority, .mark = t->conf->mark, .run_dir = t->conf->run_dir};
	char detail[PA_TUNNET_ERRLEN];
	int rc = open_server(t, err);

	if (rc == 0) {
		rc = pa_tunnet_new(&cfg, &t->net, detail);
		if (rc < 0)
			(void)snprintf(err, PA_TUNNELD_ERRLEN, "%s", detail);
	}
	if (rc == 0) {
		pa_path_remove(t->conf->bpf_dir, t->conf->device);
		pa_log(PA_LOG_INFO, "daemon.cleanup", "iface=%s device=%s", t->iface, t->conf->device);
	}
	return rc;
}

/* ---- stop ---- */

static void close_handle(uv_handle_t *h)
{
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void pa_tunneld_stop(struct pa_tunneld *t)
{
	if (t->stopped)
		return;
	t->stopped = true;
	if (t->keep != NULL)
		pa_keep_rest(t->keep);
	pa_tundemand_close(t->demand);
	if (t->client != NULL && t->path != NULL && t->net != NULL)
		pa_client_end(t->client, pa_now_get(), PA_REASON_SHUTDOWN);
	pa_server_close(t->server);
	t->server = NULL;
	pa_tunneld_probe_close(t->probe);
	pa_tunneld_pulse_close(t->pulse);
	pa_tuninbound_close(t->inbound);
	t->inbound = NULL;
	pa_ferry_close(t->ferry);
	t->ferry = NULL;
	pa_tunneld_relays_close(&t->relays);
	pa_mark_free(t->mark);
	t->mark = NULL;
	pa_cgroup_sweep(t->conf->device);
	if (t->has_timers) {
		close_handle((uv_handle_t *)&t->timer);
		close_handle((uv_handle_t *)&t->settle);
	}
	if (t->has_monitor)
		close_handle((uv_handle_t *)&t->monitor);
	if (t->has_filter)
		close_handle((uv_handle_t *)&t->filter);
	pa_tunsock_close(t->sock);
	t->sock = NULL;
	pa_path_close(t->path);
	t->path = NULL;
	if (t->monitor_fd >= 0)
		close(t->monitor_fd);
	pa_tunnet_free(t->net);
	t->net = NULL;
}

void pa_tunneld_free(struct pa_tunneld *t)
{
	if (t == NULL)
		return;
	pa_tunneld_probe_free(t->probe);
	pa_tunneld_pulse_free(t->pulse);
	pa_client_free(t->client);
	pa_keep_free(t->keep);
	pa_tunmode_free(t->mode);
	pa_tundemand_free(t->demand);
	free(t);
}

int pa_tunneld_give_namespace(struct pa_tunneld *t, pid_t pid, char err[PA_TUNNELD_ERRLEN])
{
	char detail[PA_TUNNET_ERRLEN];
	int rc = pa_tunnet_give_namespace(t->net, pid, t->bound.mtu_max, detail);

	if (rc == 0) {
		rc = bring_up(t);
		(void)snprintf(detail, sizeof(detail), "%s", t->trouble);
	}
	if (rc == 0)
		return 0;
	(void)snprintf(err, PA_TUNNELD_ERRLEN, "%s", detail);
	pa_tunnet_take_namespace(t->net);
	(void)bring_up(t);
	return rc;
}

int pa_tunneld_after_namespace(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN])
{
	int rc = t->is_up && pa_tunnet_namespace_ended(t->net) ? bring_up(t) : 0;

	if (rc < 0)
		(void)snprintf(err, PA_TUNNELD_ERRLEN, "%s", t->trouble);
	return rc;
}

struct pa_tunneld_parts pa_tunneld_parts_of(struct pa_tunneld *t)
{
	return (struct pa_tunneld_parts){.conf = t->conf, .iface = t->iface, .client = t->client, .path = t->path, .net = t->net, .keep = t->keep, .probe = t->probe,
					 .inbound = t->inbound, .demand = t->demand, .mode = t->mode, .relays = &t->relays, .ferry = t->ferry, .mark = t->mark, .no_mark = t->no_mark, .by_policy = t->is_up && pa_tunnet_mode(t->net) == PA_OUT_POLICY,
					 .counters = &t->counters, .refusal = t->refusal, .lines = &t->lines, .trouble = t->trouble,
					 .no_default = t->is_up && pa_tunnet_default_elsewhere(t->net)};
}

void pa_tunneld_set_hosts(struct pa_tunneld *t, const struct pa_tunneld_hosts *hosts)
{
	t->hosts = *hosts;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/grant.h"
#include "common/log.h"
#include "common/msg.h"
#include "config.h"
#include "tunnel/status_json.h"
#include "tunnel/tunneld_edge.h"
#include "tunnel/tunneld_ferry_edge.h"
#include "tunnel/tunneld_sock_edge.h"

#define NAME "pubaddr-tunneld"
/* Lines about what users ask for: none of these is asked for by programs all the time. */
#define LINES_PER_S 20u
#define LINES_BURST 200u

static const char *state_name(enum pa_client_state s)
{
	switch (s) {
	case PA_CLIENT_BOUND:
		return "bound";
	case PA_CLIENT_BINDING:
		return "binding";
	default:
		return "idle";
	}
}

static json_t *add(json_t *obj, const char *key, json_t *value)
{
	(void)json_object_set_new(obj, key, value);
	return obj;
}

/* relay: pa_tunneld_relays_status, borrowed. What stands for a gateway on loopback would tell nobody anything. */
static json_t *gateway_json(const struct pa_endpoint *e, const json_t *relay)
{
	return pa_tunsock_local(e) == PA_TUNSOCK_FERRY ? json_incref(json_object_get(relay, "server")) : pa_endpoint_json(e);
}

static void add_binding(json_t *obj, const struct pa_client_status *s, const json_t *relay, struct pa_now now)
{
	const struct pa_client_binding *b = &s->binding;

	add(obj, "path", json_string(b->relayed ? "relay" : "udp"));
	if (b->relayed)
		add(obj, "path-reason", json_string("no gateway answers by UDP"));
	add(obj, "gateway", gateway_json(&b->gateway, relay));
	add(obj, "mapped", pa_endpoint_json(&b->mapped));
	add(obj, "mtu", json_integer(b->mtu));
	add(obj, "mtu-max", json_integer(b->mtu_max));
	add(obj, "mtu-search", json_string(pa_pmtu_state_name(s->path)));
	add(obj, "keepalive", json_integer(b->keepalive));
	add(obj, "keepalive-interval", json_integer(s->interval));
	if (s->rtt_us > 0)
		add(obj, "rtt-us", json_integer((json_int_t)s->rtt_us));
	if (s->last_alive_ms > 0)
		add(obj, "last-alive-ms", json_integer((json_int_t)(now.boot_ms - s->last_alive_ms)));
	add(obj, "misses", json_integer((json_int_t)s->misses));
}

static void add_grant(json_t *obj, const struct pa_client_status *s, const json_t *relay, struct pa_now now)
{
	uint64_t left = s->expires_boot_ms > now.boot_ms ? (s->expires_boot_ms - now.boot_ms) / 1000 : 0;

	add(obj, "address", pa_addr_json(&s->claims.addr));
	add(obj, "epoch", json_integer((json_int_t)s->claims.epoch));
	add(obj, "lifetime", json_integer((json_int_t)left));
	if (s->attempt > 0) {
		add(obj, "trying", gateway_json(&s->trying, relay));
		add(obj, "attempt", json_integer((json_int_t)s->attempt));
	}
	if (s->state == PA_CLIENT_BOUND)
		add_binding(obj, s, relay, now);
}

/* What "problem" is made of, for programs (pubaddr diagnose). */
static void add_parts(json_t *obj, const struct pa_tunneld_parts *p)
{
	const struct pa_lan *lan = pa_tunnet_lan(p->net);
	json_t *addresses = json_array();

	for (size_t i = 0; i < lan->n_addrs; i++)
		(void)json_array_append_new(addresses, pa_addr_json(&lan->addrs[i]));
	add(obj, "lan", json_pack("{s:b, s:i, s:o}", "up", (int)lan->up, "mtu", (int)lan->mtu, "addresses", addresses));
	if (p->refusal[0] != '\0')
		add(obj, "refusal", json_string(p->refusal));
	if (p->trouble[0] != '\0')
		add(obj, "trouble", json_string(p->trouble));
}

/* What is wrong, in plain words; empty when nothing is. */
static void describe(const struct pa_tunneld_parts *p, const struct pa_client_status *s, char *dst, size_t cap)
{
	const struct pa_lan *lan = pa_tunnet_lan(p->net);
	char gateway[PA_ENDPOINT_STRLEN];

	dst[0] = '\0';
	if (!lan->up)
		(void)snprintf(dst, cap, "the interface %s is down or has no carrier", p->iface);
	else if (lan->n_addrs == 0)
		(void)snprintf(dst, cap, "the interface %s has no IPv4 address; does the DHCP client run?", p->iface);
	else if (s->state == PA_CLIENT_IDLE && p->refusal[0] != '\0')
		(void)snprintf(dst, cap, "the last grant was refused: %s", p->refusal);
	else if (s->state == PA_CLIENT_IDLE && pa_tundemand_trouble(p->demand)[0] != '\0')
		(void)snprintf(dst, cap, "the last program that needed a public address got none: %s", pa_tundemand_trouble(p->demand));
	else if (s->state == PA_CLIENT_IDLE && pa_tundemand_is_on(p->demand))
		(void)snprintf(dst, cap, "no program needs a public address now; it is asked for on demand (pubaddr exec)");
	else if (s->state == PA_CLIENT_IDLE)
		(void)snprintf(dst, cap, "no grant has come by DHCP; does the DHCP client ask for it (see pubaddr dhclient-conf), and "
			       "has the DHCP server one to give?");
	else if (s->state == PA_CLIENT_BINDING && pa_tunsock_local(&s->trying) == PA_TUNSOCK_FERRY)
		(void)snprintf(dst, cap, "no gateway answers, neither by UDP nor by the relay. Plain NAT is used meanwhile");
	else if (s->state == PA_CLIENT_BINDING)
		(void)snprintf(dst, cap, "the gateway %s does not answer; does the NAT or a firewall block UDP to it, or does it refuse "
			       "the grant (its log tells)? Plain NAT is used meanwhile", pa_endpoint_format(&s->trying, gateway));
	else if (p->trouble[0] != '\0')
		(void)snprintf(dst, cap, "%s", p->trouble);
	else if (s->misses > 0)
		(void)snprintf(dst, cap, "the gateway has missed %u keepalives", s->misses);
	else if (p->no_default)
		(void)snprintf(dst, cap, "the default route leaves by another interface than %s, maybe another VPN: only programs bound "
			       "to the public address use it", p->iface);
	else if (p->refusal[0] != '\0')
		(void)snprintf(dst, cap, "the last grant was refused, the one before is still used: %s", p->refusal);
}

static void status_get(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct pa_now now = pa_now_get();
	struct pa_client_counters counters;
	struct pa_client_status s;
	struct pa_dp_stats stats;
	json_t *relay = pa_tunneld_relays_status(p.relays);
	char problem[PA_TUNNELD_ERRLEN + 64];
	const char *why;
	json_t *obj;

	pa_client_status_get(p.client, &s);
	pa_client_counters_get(p.client, &counters);
	(void)pa_path_stats(p.path, NULL, &stats, NULL);
	describe(&p, &s, problem, sizeof(problem));
	obj = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "daemon", NAME, "version", PACKAGE_VERSION, "interface", p.iface,
			"device", p.conf->device, "state", state_name(s.state), "usable",
			(int)(s.state == PA_CLIENT_BOUND && p.trouble[0] == '\0'), "default-route",
			(int)pa_tunnet_has_default(p.net));
	if (s.state != PA_CLIENT_IDLE)
		add_grant(obj, &s, relay, now);
	add(obj, "mode", json_string(pa_outbound_name(pa_tunmode_now(p.mode, s.state != PA_CLIENT_IDLE ?
								     (enum pa_outbound)s.claims.outbound : PA_OUT_TUNNEL))));
	add(obj, "mode-source", json_string(pa_tunmode_source(p.mode)));
	add(obj, "inbound", pa_inpolicy_json(pa_tuninbound_now(p.inbound)));
	if (problem[0] != '\0')
		add(obj, "problem", json_string(problem));
	add_parts(obj, &p);
	if (pa_tundemand_is_on(p.demand))
		add(obj, "on-demand", pa_tundemand_json(p.demand));
	if (s.last_reason != 0)
		add(obj, "last-reason", json_string(pa_reason_name(s.last_reason)));
	add(obj, "grants", json_pack("{s:I, s:I, s:I}", "accepted", (json_int_t)p.counters->granted, "refused",
				     (json_int_t)p.counters->refused, "withdrawn", (json_int_t)p.counters->withdrawn));
	add(obj, "counters", pa_client_counters_json(&counters));
	add(obj, "traffic", pa_dp_stats_json(&stats));
	add(obj, "relay", relay);
	add(obj, "fallback", pa_ferry_status(p.ferry));
	add(obj, "data-path", json_string(pa_path_name(p.path, &why)));
	if (*why != '\0')
		add(obj, "data-path-reason", json_string(why));
	pa_request_reply(req, PA_RESULT_SUCCESS, "", obj);
}

static void grant_put(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	char err[PA_TUNNELD_ERRLEN];
	struct pa_client_status s;
	json_t *obj;

	if (pa_tunneld_grant_put(t, pa_request_arguments(req), err) < 0) {
		pa_request_replyf(req, PA_RESULT_ERROR, "grant refused: %s", err);
		return;
	}
	pa_client_status_get(p.client, &s);
	obj = json_pack("{s:s}", "state", state_name(s.state));
	if (s.state != PA_CLIENT_IDLE)
		add(obj, "address", pa_addr_json(&s.claims.addr));
	pa_request_reply(req, PA_RESULT_SUCCESS, "grant taken", obj);
}

static void grant_end(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	const char *reason = json_string_value(json_object_get(pa_request_arguments(req), "reason"));
	struct pa_client_status s;

	pa_client_status_get(p.client, &s);
	if (s.state == PA_CLIENT_IDLE) {
		pa_request_replyf(req, PA_RESULT_EMPTY, "there is no grant");
		return;
	}
	pa_log(PA_LOG_INFO, "grant.ended", "iface=%s reason=%.20s", p.iface, reason != NULL ? reason : "none");
	pa_client_end(p.client, pa_now_get(),
		      reason != NULL && strcmp(reason, "EXPIRE") == 0 ? PA_REASON_EXPIRED : PA_REASON_RELEASED);
	pa_tunneld_tick(t);
	pa_request_replyf(req, PA_RESULT_SUCCESS, "grant ended");
}

static void version_get(struct pa_tunneld *t, struct pa_request *req)
{
	(void)t;
	pa_request_reply(req, PA_RESULT_SUCCESS, PACKAGE_VERSION, json_pack("{s:s, s:s}", "daemon", NAME, "version", PACKAGE_VERSION));
}

static void probe_start(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct pa_tunneld_knock knock = {.tun_fd = -1};
	struct pa_client_status s;

	pa_client_status_get(p.client, &s);
	if (s.state == PA_CLIENT_BOUND && p.trouble[0] == '\0' && !pa_tunnet_in_namespace(p.net) &&
	    pa_tuninbound_now(p.inbound)->kind == PA_IN_OPEN && pa_addr_is_ipv4(&s.binding.gateway.addr))
		knock = (struct pa_tunneld_knock){pa_tunnet_fd(p.net), s.claims.addr, s.binding.gateway.addr};
	pa_tunneld_probe_start(p.probe, req, pa_tunnet_lan(p.net)->mtu, &knock);
}

static void probe_get(struct pa_tunneld *t, struct pa_request *req)
{
	pa_tunneld_probe_get(pa_tunneld_parts_of(t).probe, req);
}

bool pa_tunneld_may_log(const struct pa_tunneld_parts *p, unsigned *ret_held)
{
	return pa_lines_take_telling(p->lines, LINES_PER_S, LINES_BURST, pa_now_get(), ret_held);
}

void pa_tunneld_log_denied(const struct pa_tunneld_parts *p, const struct pa_request *req)
{
	unsigned held;

	if (pa_tunneld_may_log(p, &held))
		pa_log(PA_LOG_WARN, "command.denied", "uid=%u pid=%d command=%.60s held-back=%u", (unsigned)pa_request_uid(req),
		       (int)pa_request_pid(req), pa_request_name(req), held);
}

static const struct {
	const char *name;
	bool root_only;
	void (*fn)(struct pa_tunneld *t, struct pa_request *req);
} commands[] = {
	{"status-get", false, status_get},
	{"version-get", false, version_get},
	{"probe-start", false, probe_start},
	{"probe-get", false, probe_get},
	{"grant-put", true, grant_put},
	{"grant-end", true, grant_end},
	{"mode-set", true, pa_tunneld_mode_set},
	/* These ask their own part of the configuration who may. */
	{"expose", false, pa_tunneld_expose},
	{"expose-list", false, pa_tunneld_expose_list},
	{"expose-remove", false, pa_tunneld_expose_remove},
	{"exec-cgroup", false, pa_tunneld_exec_cgroup},
	{"exec-netns", false, pa_tunneld_exec_netns},
};

void pa_tunneld_command(void *ctx, struct pa_request *req)
{
	const char *name = pa_request_name(req);

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (commands[i].root_only && pa_request_uid(req) != 0) {
			struct pa_tunneld_parts p = pa_tunneld_parts_of(ctx);

			pa_tunneld_log_denied(&p, req);
			pa_request_replyf(req, PA_RESULT_ERROR, "permission denied: only root may do this");
			return;
		}
		commands[i].fn(ctx, req);
		return;
	}
	pa_request_replyf(req, PA_RESULT_UNSUPPORTED, NAME " has no command \"%.60s\"", name);
}

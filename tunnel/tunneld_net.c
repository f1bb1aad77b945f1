/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_net.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/net_diag.h"
#include "tunnel/net_nl.h"
#include "tunnel/net_tun.h"
#include "tunnel/net_veth.h"
#include "tunnel/plan.h"
#include "tunnel/tunneld_flows.h"
#include "tunnel/tunneld_lan.h"
#include "tunnel/tunneld_table.h"

/* Who has P. */
enum pa_holder { OF_NOBODY_KNOWN, OF_HOST, OF_NAMESPACE };

struct pa_tunnet {
	struct pa_nl *nl;
	struct pa_tuntable *filter; /* NULL: the kernel has no packet filter that could hold ours */
	char iface[16], device[16];
	uint32_t table, priority, mark;
	struct pa_tun tun; /* fd -1 while absent */
	uint16_t mtu;
	struct pa_addr addr; /* P on the device; none while absent */
	bool has_default, elsewhere;
	enum pa_outbound mode; /* in force */
	bool tracked;	       /* the packet filter remembers flows: from the first native or auto on, until absent */
	struct pa_auto_ports ports;
	bool on_lan; /* P and the kernel settings of native and auto are set */
	char sysctl_file[PATH_MAX];
	enum pa_holder holder; /* as the kernel was told */
	struct pa_plan plan; /* what the kernel has */
	struct pa_lan lan;
};

static struct pa_tunlan lan_of(const struct pa_tunnet *net)
{
	return (struct pa_tunlan){.iface = net->iface, .device = net->device, .file = *net->sysctl_file != '\0' ? net->sysctl_file : NULL};
}

static void leave_lan(struct pa_tunnet *net)
{
	struct pa_tunlan lan = lan_of(net);

	if (net->on_lan)
		pa_tunlan_release(net->nl, &lan);
	net->on_lan = false;
}

/* Takes over device, address, routes and rules as they are. Without the device there is nothing to take over. */
static int adopt(struct pa_tunnet *net, const struct pa_tunnet_config *cfg, char err[PA_TUNNET_ERRLEN])
{
	char detail[PA_TUN_ERRLEN];
	int n, rc;

	if (pa_addr_is_none(&cfg->adopt) || pa_nl_ifindex(net->device) < 0)
		return PA_ENOTFOUND;
	rc = pa_tun_open(net->nl, net->device, cfg->adopt_mtu, &cfg->adopt, 1, &net->tun, detail);
	if (rc < 0) {
		(void)snprintf(err, PA_TUNNET_ERRLEN, "%s", detail);
		return rc;
	}
	net->mtu = cfg->adopt_mtu;
	net->addr = cfg->adopt;
	net->tracked = net->filter != NULL && pa_tuntable_is_tracked(net->filter);
	net->on_lan = true; /* maybe: what is not there can be taken back as well */
	n = pa_net_rules_get(net->nl, net->priority, PA_PLAN_PRIORITIES, net->plan.rules, PA_PLAN_RULES);
	net->plan.n_rules = n > 0 ? (size_t)n : 0;
	n = pa_net_routes_get(net->nl, net->table, PA_PLAN_TABLES, 0, net->plan.routes, PA_PLAN_ROUTES_MAX);
	net->plan.n_routes = n > 0 ? (size_t)n : 0;
	pa_log(PA_LOG_INFO, "net.adopted", "device=%s rules=%zu routes=%zu", net->device, net->plan.n_rules, net->plan.n_routes);
	return 0;
}

static int clean(struct pa_tunnet *net, char err[PA_TUNNET_ERRLEN])
{
	char detail[PA_TUN_ERRLEN], ignored[PA_TUNTABLE_ERRLEN];
	int rc;

	pa_veth_remove(net->nl, net->device);
	rc = pa_tun_remove(net->device, detail);

	leave_lan(net);
	if (net->filter != NULL)
		(void)pa_tuntable_clear(net->filter, ignored);

	if (rc < 0) {
		(void)snprintf(err, PA_TUNNET_ERRLEN, "%s", detail);
		return rc;
	}
	rc = pa_net_clean(net->nl, net->priority, PA_PLAN_PRIORITIES, net->table, PA_PLAN_TABLES);
	if (rc > 0)
		pa_log(PA_LOG_WARN, "net.leftover", "removed=%d tables=%u-%u", rc, net->table, net->table + PA_PLAN_TABLES - 1);
	if (rc < 0)
		(void)snprintf(err, PA_TUNNET_ERRLEN, "cannot clean the routing tables: %s; it needs CAP_NET_ADMIN, run as root", strerror(errno));
	return rc;
}

static int open_parts(struct pa_tunnet *net, char err[PA_TUNNET_ERRLEN])
{
	char detail[PA_TUNTABLE_ERRLEN];
	int rc = pa_nl_open(&net->nl);

	if (rc < 0) {
		(void)snprintf(err, PA_TUNNET_ERRLEN, "cannot open netlink: %s", pa_strerror(rc));
		return rc;
	}
	rc = pa_tuntable_new(net->device, &net->filter, detail);
	if (rc < 0 && rc != PA_EDENIED) /* who may not do that may do nothing of what follows */
		pa_log(PA_LOG_WARN, "net.nofilter", "reason=\"%s\"", detail);
	return 0;
}

static void close_parts(struct pa_tunnet *net)
{
	pa_tuntable_free(net->filter);
	pa_nl_close(net->nl);
	free(net);
}

int pa_tunnet_new(const struct pa_tunnet_config *cfg, struct pa_tunnet **ret, char err[PA_TUNNET_ERRLEN])
{
	struct pa_tunnet *net = calloc(1, sizeof(*net));
	bool changed;
	int rc;

	if (net == NULL) {
		(void)snprintf(err, PA_TUNNET_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	(void)snprintf(net->iface, sizeof(net->iface), "%s", cfg->iface);
	(void)snprintf(net->device, sizeof(net->device), "%s", cfg->device);
	net->table = cfg->table;
	net->priority = cfg->priority;
	net->mark = cfg->mark;
	net->tun.fd = -1;
	net->on_lan = true; /* maybe, of a former process */
	if (cfg->run_dir != NULL)
		(void)snprintf(net->sysctl_file, sizeof(net->sysctl_file), "%s/sysctl.json", cfg->run_dir);
	rc = open_parts(net, err);
	if (rc < 0) {
		free(net);
		return rc;
	}
	rc = adopt(net, cfg, err);
	if (rc < 0 && rc != PA_EEXIST)
		rc = clean(net, err);
	if (rc >= 0) {
		rc = pa_tunnet_refresh(net, &changed);
		if (rc < 0)
			(void)snprintf(err, PA_TUNNET_ERRLEN, "cannot read the network: %s", strerror(errno));
	}
	if (rc < 0) {
		close_parts(net);
		return rc;
	}
	*ret = net;
	return 0;
}

void pa_tunnet_free(struct pa_tunnet *net)
{
	if (net == NULL)
		return;
	pa_tunnet_down(net);
	close_parts(net);
}

static bool has_route(const struct pa_plan *p, const struct pa_route *r)
{
	for (size_t i = 0; i < p->n_routes; i++)
		if (memcmp(&p->routes[i], r, sizeof(*r)) == 0)
			return true;
	return false;
}

static bool has_rule(const struct pa_plan *p, const struct pa_rule *r)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (memcmp(&p->rules[i], r, sizeof(*r)) == 0)
			return true;
	return false;
}

/* The kernel has one route of a table, prefix and metric: a wanted one took the place of another such, whose deletion would hit it. */
static bool has_place(const struct pa_plan *p, const struct pa_route *r)
{
	for (size_t i = 0; i < p->n_routes; i++)
		if (p->routes[i].table == r->table && p->routes[i].dst.len == r->dst.len && p->routes[i].last == r->last &&
		    pa_addr_eq(&p->routes[i].dst.addr, &r->dst.addr))
			return true;
	return false;
}

static void remove_stale(struct pa_tunnet *net, const struct pa_plan *want)
{
	for (size_t i = 0; i < net->plan.n_rules; i++)
		if (!has_rule(want, &net->plan.rules[i]))
			(void)pa_net_rule_del(net->nl, &net->plan.rules[i]);
	for (size_t i = 0; i < net->plan.n_routes; i++)
		if (!has_place(want, &net->plan.routes[i]))
			(void)pa_net_route_del(net->nl, &net->plan.routes[i]);
}

/*
 * Adds before it removes, routes before rules: no packet sees a rule whose table is not ready. Everything wanted is asked
 * for, also what should be there already, which heals what somebody else has removed.
 */
static int apply(struct pa_tunnet *net, const struct pa_plan *want)
{
	int rc = 0, error;

	for (size_t i = 0; rc == 0 && i < want->n_routes; i++) {
		rc = pa_net_route_add(net->nl, &want->routes[i], false);
		/* Replacing only what differs keeps the kernel from announcing changes that are none. */
		if (rc == PA_EEXIST)
			rc = has_route(&net->plan, &want->routes[i]) ? 0 : pa_net_route_add(net->nl, &want->routes[i], true);
	}
	for (size_t i = 0; rc == 0 && i < want->n_rules; i++)
		rc = pa_net_rule_add(net->nl, &want->rules[i]);
	error = errno; /* of what was refused; to remove what is not there is no error */
	remove_stale(net, want);
	memcpy(&net->plan, want, sizeof(net->plan));
	errno = error;
	return rc;
}

/*
 * The gateway's address is an exception of our own table, so the lookup tells at any time where packets would go without
 * us: through another VPN's rules, or by the main table.
 */
static bool may_take_default(struct pa_tunnet *net, const struct pa_addr *gateway)
{
	int ifindex;

	if (net->lan.default_elsewhere)
		return false;
	if (!pa_addr_is_ipv4(gateway))
		return true;
	ifindex = pa_lan_route_ifindex(net->nl, gateway, 0);
	return ifindex < 0 || ifindex == net->lan.ifindex;
}

static size_t add_host(struct pa_addr *hosts, size_t n, size_t cap, const struct pa_addr *a)
{
	if (n == cap || !pa_addr_is_ipv4(a))
		return n;
	hosts[n] = *a;
	return n + 1;
}

static int ensure_device(struct pa_tunnet *net, const struct pa_tunnet_want *want, char err[PA_TUNNET_ERRLEN])
{
	char detail[PA_TUN_ERRLEN];
	int rc;

	if (net->tun.fd < 0) {
		rc = pa_tun_open(net->nl, net->device, want->mtu, NULL, 1, &net->tun, detail);
		if (rc < 0) {
			(void)snprintf(err, PA_TUNNET_ERRLEN, "%s", detail);
			return rc;
		}
		net->mtu = want->mtu;
		(void)pa_tun_ignore_idle(net->nl, &net->tun, true); /* without it a daemon that dies takes new connections along */
	}
	rc = 0;
	if (net->mtu != want->mtu)
		rc = pa_tun_set_mtu(net->nl, &net->tun, want->mtu);
	if (rc == 0)
		rc = pa_net_addr_add(net->nl, net->tun.ifindex, &want->addr);
	if (rc < 0) {
		(void)snprintf(err, PA_TUNNET_ERRLEN, "%s: cannot set MTU %u and the address: %s", net->device,
			       (unsigned)want->mtu, strerror(errno));
		return rc;
	}
	net->mtu = want->mtu;
	return 0;
}

/* Conntrack's zones have 16 bits, and 0 is everybody's. */
static uint16_t zone_of(uint32_t mark)
{
	return (uint16_t)mark != 0 ? (uint16_t)mark : 1;
}

static struct pa_ruleset_input filter_input(const struct pa_tunnet *net, const struct pa_addr *addr)
{
	struct pa_ruleset_input in = {.device = net->device, .lan = net->iface, .addr = *addr, .mtu = net->mtu, .mode = net->mode,
				      .tracked = net->tracked, .ports = &net->ports, .mark_tunnel = net->mark + PA_MARK_TUNNEL,
				      .mark_direct = net->mark + PA_MARK_DIRECT, .zone = zone_of(net->mark)};

	for (size_t i = 0; i < net->lan.n_addrs && pa_addr_is_none(&in.lan_addr); i++)
		in.lan_addr = net->lan.addrs[i];
	return in;
}

/*
 * The flows that exist, as commands that put them into the sets of the next table; NULL: there is nothing to add. Without the kernel's
 * help they are not known, and go over to the new mode.
 */
static char *flows_text(struct pa_tunnet *net, const struct pa_ruleset_input *was, const struct pa_ruleset_input *next)
{
	struct pa_flow *flows = NULL, *known = NULL;
	size_t n = 0, n_known = 0;
	struct pa_text text;
	char *buf = NULL;

	if (pa_diag_flows(&next->addr, &flows, &n) < 0 || (was != NULL && pa_tuntable_known(net->filter, &known, &n_known) < 0))
		pa_log(PA_LOG_WARN, "mode.flows", "reason=\"cannot list this host's connections; they change their way now\"");
	else
		n = pa_flows_new(flows, n, was, known, n_known);
	if (n > 0)
		buf = malloc(n * PA_RULESET_FLOW_TEXT + 1);
	if (buf != NULL) {
		pa_text_init(&text, buf, n * PA_RULESET_FLOW_TEXT + 1);
		pa_ruleset_write_flows(next, flows, n, &text);
		pa_log(PA_LOG_INFO, "mode.kept", "flows=%zu", n);
	}
	free(flows);
	free(known);
	return buf;
}

/* The table as the mode wants it; flows that exist are told to it when the mode is another one than before. */
static int set_filter(struct pa_tunnet *net, const struct pa_tunnet_want *want, enum pa_outbound mode, char err[PA_TUNNET_ERRLEN])
{
	struct pa_ruleset_input was = filter_input(net, &want->addr), in;
	struct pa_auto_ports ports = net->ports;
	bool existed = pa_addr_eq(&net->addr, &want->addr), same_ports;
	char *elements = NULL;
	int rc;

	if (!existed && !pa_addr_is_none(&net->addr) && net->filter != NULL && pa_tuntable_clear(net->filter, err) == 0)
		net->tracked = was.tracked = false; /* what the sets say is of the former address */
	was.ports = &ports;
	same_ports = want->ports == NULL || memcmp(&ports, want->ports, sizeof(ports)) == 0;
	net->tracked = net->tracked || pa_plan_is_native(mode);
	net->mode = mode;
	if (want->ports != NULL)
		net->ports = *want->ports;
	in = filter_input(net, &want->addr);
	in.inbound = want->inbound;
	if (net->filter == NULL && !pa_ruleset_wanted(&in))
		return 0;
	if (net->filter == NULL) {
		(void)snprintf(err, PA_TUNNET_ERRLEN, "this kernel has no packet filter (nftables) for what the grant asks for; load the kernel "
			       "module nf_tables");
		return PA_ENOTSUP;
	}
	if (existed && in.tracked && (!was.tracked || was.mode != mode || !same_ports))
		elements = flows_text(net, was.tracked ? &was : NULL, &in);
	rc = pa_tuntable_set(net->filter, &in, elements, err);
	free(elements);
	return rc;
}

static size_t collect_hosts(const struct pa_tunnet *net, const struct pa_tunnet_want *want, struct pa_addr hosts[PA_PLAN_ROUTES_MAX])
{
	size_t n = add_host(hosts, 0, PA_PLAN_ROUTES_MAX, &want->gateway);

	for (size_t i = 0; i < net->lan.n_routers; i++)
		n = add_host(hosts, n, PA_PLAN_ROUTES_MAX, &net->lan.routers[i]);
	for (size_t i = 0; i < want->n_lan_hosts; i++)
		n = add_host(hosts, n, PA_PLAN_ROUTES_MAX, &want->lan_hosts[i]);
	return n;
}

static struct pa_plan_input plan_input(const struct pa_tunnet *net, const struct pa_addr *addr)
{
	struct pa_plan_input in = {.addr = *addr, .ifindex = net->tun.ifindex, .table = net->table, .priority = net->priority,
				   .mark = net->mark, .mode = net->mode, .tracked = net->tracked, .lan_ifindex = net->lan.ifindex,
				   .away = pa_tunnet_in_namespace(net)};

	if (net->lan.n_routers > 0)
		in.router = net->lan.routers[0];
	return in;
}

/* P on the LAN interface and the kernel's settings, where the mode needs them. */
static int set_lan(struct pa_tunnet *net, const struct pa_addr *addr, char err[PA_TUNNET_ERRLEN])
{
	struct pa_tunlan lan = lan_of(net);

	if (!pa_plan_is_native(net->mode)) {
		if (!net->tracked)
			leave_lan(net);
		else if (net->on_lan && net->lan.ifindex > 0)
			(void)pa_net_addr_clean(net->nl, net->lan.ifindex, NULL); /* flows that exist still need the settings */
		return 0;
	}
	net->on_lan = true;
	return pa_tunlan_take(net->nl, &lan, addr, err);
}

/* Told only what it does not know: each telling is announced to us as news. */
static int set_holder(struct pa_tunnet *net, enum pa_holder holder, char err[PA_TUNNET_ERRLEN])
{
	int rc;

	if (net->holder == holder)
		return 0;
	rc = pa_veth_divert(net->nl, net->device, net->tun.ifindex, &net->addr, holder == OF_NAMESPACE);
	if (rc < 0) {
		(void)snprintf(err, PA_TUNNET_ERRLEN, "%s: cannot lead the public address to %s: %s", net->device,
			       holder == OF_HOST ? "this host" : "the namespace", strerror(errno));
		return rc;
	}
	if (net->holder != OF_NOBODY_KNOWN)
		pa_log(PA_LOG_INFO, "net.holder", "device=%s address-of=%s", net->device, holder == OF_HOST ? "host" : "namespace");
	net->holder = holder;
	return 0;
}

int pa_tunnet_up(struct pa_tunnet *net, const struct pa_tunnet_want *want, char err[PA_TUNNET_ERRLEN])
{
	struct pa_addr hosts[PA_PLAN_ROUTES_MAX];
	struct pa_plan_input in;
	struct pa_plan plan;
	int rc;

	if (!pa_addr_is_none(&net->addr) && !pa_addr_eq(&net->addr, &want->addr)) {
		pa_veth_remove(net->nl, net->device); /* what runs there has the former address */
		net->holder = OF_NOBODY_KNOWN;
	}
	rc = ensure_device(net, want, err);
	net->elsewhere = !may_take_default(net, &want->gateway);
	if (rc == 0)
		rc = set_filter(net, want, net->elsewhere || pa_tunnet_in_namespace(net) ? PA_OUT_POLICY : want->mode,
				err); /* before the first packet */
	if (rc == 0)
		rc = set_lan(net, &want->addr, err);
	if (rc < 0)
		return rc;
	in = plan_input(net, &want->addr);
	in.lan_hosts = hosts;
	in.n_lan_hosts = collect_hosts(net, want, hosts);
	in.take_default = !net->elsewhere && net->mode != PA_OUT_POLICY;
	in.programs = true;
	pa_plan_make(&in, &plan);
	rc = in.away || pa_addr_is_none(&net->addr) ? 0 : set_holder(net, OF_HOST, err);
	if (rc < 0)
		return rc;
	rc = apply(net, &plan);
	if (rc < 0) {
		(void)snprintf(err, PA_TUNNET_ERRLEN, "%s: cannot set routes and rules: %s", net->device, strerror(errno));
		return rc;
	}
	net->has_default = in.take_default;
	if (!pa_addr_eq(&net->addr, &want->addr))
		(void)pa_net_addr_flush(net->nl, net->tun.ifindex, &want->addr);
	net->addr = want->addr;
	return set_holder(net, in.away ? OF_NAMESPACE : OF_HOST, err);
}

int pa_tunnet_give_namespace(struct pa_tunnet *net, pid_t pid, uint16_t mtu, char err[PA_TUNNET_ERRLEN])
{
	int rc = pa_addr_is_none(&net->addr) ? PA_ENOTFOUND : pa_veth_open(net->nl, net->device, pid, mtu);

	if (rc < 0)
		(void)snprintf(err, PA_TUNNET_ERRLEN, "cannot make the way to the namespace: %s%s", strerror(errno),
			       rc == PA_ENOTSUP ? "; load the kernel module veth" : "");
	return rc;
}

void pa_tunnet_take_namespace(struct pa_tunnet *net)
{
	pa_veth_remove(net->nl, net->device);
}

bool pa_tunnet_in_namespace(const struct pa_tunnet *net)
{
	char name[16];

	return pa_nl_ifindex(pa_veth_name(net->device, name)) > 0;
}

bool pa_tunnet_namespace_ended(const struct pa_tunnet *net)
{
	return net->holder == OF_NAMESPACE && !pa_tunnet_in_namespace(net);
}

void pa_tunnet_outlives(struct pa_tunnet *net, bool outlives)
{
	if (net->tun.fd >= 0)
		(void)pa_tun_ignore_idle(net->nl, &net->tun, !outlives);
}

int pa_tunnet_ifindex(const struct pa_tunnet *net)
{
	return net->tun.fd >= 0 ? net->tun.ifindex : 0;
}

bool pa_tunnet_present(const struct pa_tunnet *net)
{
	return pa_tun_present(&net->tun);
}

void pa_tunnet_lost(struct pa_tunnet *net)
{
	struct pa_plan_input in = plan_input(net, &net->addr);
	struct pa_plan plan;

	if (net->tun.fd < 0 || pa_addr_is_none(&net->addr))
		return;
	pa_plan_make(&in, &plan);
	(void)apply(net, &plan);
	net->has_default = false;
}

void pa_tunnet_down(struct pa_tunnet *net)
{
	char ignored[PA_TUNTABLE_ERRLEN];
	struct pa_plan nothing;

	leave_lan(net);
	net->tracked = false;
	net->mode = PA_OUT_TUNNEL;
	if (net->filter != NULL && pa_tuntable_clear(net->filter, ignored) < 0)
		pa_log(PA_LOG_WARN, "net.leftover", "reason=\"%s\"", ignored);
	pa_veth_remove(net->nl, net->device);
	net->holder = OF_NOBODY_KNOWN;
	memset(&nothing, 0, sizeof(nothing));
	remove_stale(net, &nothing);
	memset(&net->plan, 0, sizeof(net->plan));
	memset(&net->addr, 0, sizeof(net->addr));
	net->has_default = false;
	pa_tun_close(&net->tun);
}

int pa_tunnet_filter_fd(const struct pa_tunnet *net)
{
	return net->filter != NULL ? pa_tuntable_fd(net->filter) : -1;
}

bool pa_tunnet_filter_damaged(struct pa_tunnet *net)
{
	return net->filter != NULL && pa_tuntable_drain(net->filter);
}

int pa_tunnet_fd(const struct pa_tunnet *net)
{
	return net->tun.fd;
}

enum pa_outbound pa_tunnet_mode(const struct pa_tunnet *net)
{
	return net->mode;
}

bool pa_tunnet_default_elsewhere(const struct pa_tunnet *net)
{
	return net->elsewhere;
}

bool pa_tunnet_has_default(const struct pa_tunnet *net)
{
	return net->has_default;
}

/* P on the LAN interface is our own work, and no address of the LAN. */
static void leave_out(struct pa_lan *lan, const struct pa_addr *p)
{
	size_t n = 0, n_own = 0;

	if (pa_addr_is_none(p))
		return;
	for (size_t i = 0; i < lan->n_addrs; i++) {
		if (pa_addr_eq(&lan->addrs[i], p))
			continue;
		lan->addrs[n] = lan->addrs[i];
		lan->on_link[n++] = lan->on_link[i];
	}
	for (size_t i = 0; i < lan->n_own; i++)
		if (!pa_addr_eq(&lan->own[i], p))
			lan->own[n_own++] = lan->own[i];
	memset(&lan->addrs[n], 0, (PA_LAN_ADDRS_MAX - n) * sizeof(lan->addrs[0]));
	memset(&lan->on_link[n], 0, (PA_LAN_ADDRS_MAX - n) * sizeof(lan->on_link[0]));
	lan->n_addrs = lan->n_on_link = n;
	memset(&lan->own[n_own], 0, (PA_LAN_OWN_MAX - n_own) * sizeof(lan->own[0]));
	lan->n_own = n_own;
}

int pa_tunnet_refresh(struct pa_tunnet *net, bool *ret_changed)
{
	struct pa_lan lan, a, b;
	int rc;

	memset(&lan, 0, sizeof(lan));
	rc = pa_lan_read(net->nl, net->iface, net->device, &lan);
	if (rc < 0)
		return rc;
	leave_out(&lan, &net->addr);
	/* Other interfaces come and go without meaning anything for the tunnel's path. */
	memcpy(&a, &lan, sizeof(a));
	memcpy(&b, &net->lan, sizeof(b));
	a.n_own = b.n_own = 0;
	memset(a.own, 0, sizeof(a.own));
	memset(b.own, 0, sizeof(b.own));
	a.default_elsewhere = b.default_elsewhere = false;
	*ret_changed = memcmp(&a, &b, sizeof(a)) != 0;
	memcpy(&net->lan, &lan, sizeof(lan));
	return 0;
}

const struct pa_lan *pa_tunnet_lan(const struct pa_tunnet *net)
{
	return &net->lan;
}

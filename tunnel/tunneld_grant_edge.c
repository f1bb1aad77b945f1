/* SPDX-License-Identifier: MPL-2.0 */
/* grant-put: from the arguments of the command to a grant in the core, with every check between. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/hex.h"
#include "common/log.h"
#include "tunnel/accept.h"
#include "tunnel/resolv.h"
#include "tunnel/tunneld_edge.h"

static int fail(char err[PA_TUNNELD_ERRLEN], int code, const char *text)
{
	(void)snprintf(err, PA_TUNNELD_ERRLEN, "%s", text);
	return code;
}

static void add_host(struct pa_tunneld_hosts *h, const struct pa_addr *a)
{
	for (size_t i = 0; i < h->n; i++)
		if (pa_addr_eq(&h->hosts[i], a))
			return;
	if (h->n < PA_TUNNELD_HOSTS_MAX && !pa_addr_is_none(a))
		h->hosts[h->n++] = *a;
}

static int add_text(struct pa_tunneld_hosts *h, const json_t *v, const char *key, char err[PA_TUNNELD_ERRLEN])
{
	struct pa_addr a;

	if (!json_is_string(v) || pa_addr_parse(json_string_value(v), &a) < 0) {
		(void)snprintf(err, PA_TUNNELD_ERRLEN, "\"%s\" holds something that is no IP address", key);
		return PA_EFORMAT;
	}
	add_host(h, &a);
	return 0;
}

static int add_list(struct pa_tunneld_hosts *h, const json_t *args, const char *key, char err[PA_TUNNELD_ERRLEN])
{
	const json_t *list = json_object_get(args, key);
	int rc = 0;

	if (list != NULL && !json_is_array(list)) {
		(void)snprintf(err, PA_TUNNELD_ERRLEN, "\"%s\" is not a list of addresses", key);
		return PA_EFORMAT;
	}
	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
		rc = add_text(h, json_array_get(list, i), key, err);
	return rc;
}

/* Resolvers that an administrator wrote into resolv.conf stay on the LAN too. */
static void add_resolv_conf(struct pa_tunneld_hosts *h)
{
	struct pa_addr list[8];
	char *text, err[PA_FILE_ERRLEN];
	size_t len, n;

	if (pa_file_read(PA_RESOLV_CONF, false, &text, &len, err) < 0)
		return;
	n = pa_resolv_parse(text, len, list, sizeof(list) / sizeof(list[0]));
	for (size_t i = 0; i < n; i++)
		if (pa_addr_classify(&list[i]) != PA_ADDR_LOOPBACK)
			add_host(h, &list[i]);
	free(text);
}

static int collect_hosts(const json_t *args, const struct pa_lan *lan, struct pa_tunneld_hosts *ret,
			 char err[PA_TUNNELD_ERRLEN])
{
	const json_t *server = json_object_get(args, "dhcp-server");
	int rc = server != NULL ? add_text(ret, server, "dhcp-server", err) : 0;

	if (rc == 0)
		rc = add_list(ret, args, "routers", err);
	if (rc == 0)
		rc = add_list(ret, args, "resolvers", err);
	if (rc < 0)
		return rc;
	add_resolv_conf(ret);
	for (size_t i = 0; i < lan->n_routers; i++)
		add_host(ret, &lan->routers[i]);
	return 0;
}

static int decode(const json_t *args, struct pa_grant *ret, char err[PA_TUNNELD_ERRLEN])
{
	const char *hex = json_string_value(json_object_get(args, "grant"));
	uint8_t option[PA_GRANT_MAX];
	int n, rc;

	if (hex == NULL)
		return fail(err, PA_EFORMAT, "\"grant\" is missing: the option's value as hexadecimal digits");
	n = pa_hex_decode(hex, option, sizeof(option));
	if (n < 0)
		return fail(err, PA_EFORMAT, "\"grant\" is not hexadecimal, or longer than an option may be");
	rc = pa_grant_decode(option, (size_t)n, ret);
	pa_wipe(option, sizeof(option));
	if (rc < 0)
		(void)snprintf(err, PA_TUNNELD_ERRLEN, "the option's value is no grant: %s", pa_strerror(rc));
	return rc;
}

/* A withdrawal names what it withdraws; one for another address, or for an earlier lease of this one, changes nothing. */
static int withdraw(struct pa_tunneld *t, const struct pa_grant *g, char err[PA_TUNNELD_ERRLEN])
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct pa_client_status s;

	pa_client_status_get(p.client, &s);
	if (s.state == PA_CLIENT_IDLE || !pa_addr_eq(&s.claims.addr, &g->claims.addr) || g->claims.epoch < s.claims.epoch)
		return fail(err, PA_ENOTFOUND, "the withdrawal is not for the current grant");
	p.counters->withdrawn++;
	pa_log(PA_LOG_INFO, "grant.withdrawn", "iface=%s", p.iface);
	pa_client_end(p.client, pa_now_get(), PA_REASON_RELEASED);
	return 0;
}

/* The option was made some time ago if it waited for us in a file. */
static int shorten(struct pa_grant *g, const json_t *args, struct pa_now now, char err[PA_TUNNELD_ERRLEN])
{
	json_int_t received = json_integer_value(json_object_get(args, "received"));
	uint64_t age;

	if (received <= 0 || (uint64_t)received > now.boot_ms)
		return 0; /* not given, or of an earlier boot */
	age = (now.boot_ms - (uint64_t)received) / 1000;
	if (age >= g->lifetime)
		return fail(err, PA_EEXPIRED, "the grant has expired before it came here");
	g->lifetime -= (uint32_t)age;
	return 0;
}

static int check(struct pa_tunneld *t, struct pa_grant *g, const json_t *args, const struct pa_tunneld_hosts *hosts,
		 char err[PA_TUNNELD_ERRLEN])
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	const struct pa_lan *lan = pa_tunnet_lan(p.net);
	json_int_t lease_time = json_integer_value(json_object_get(args, "lease-time"));
	struct pa_accept_context ctx = {
		.on_link = lan->on_link,
		.n_on_link = lan->n_on_link,
		.own = lan->own,
		.n_own = lan->n_own,
		.lan_hosts = hosts->hosts,
		.n_lan_hosts = hosts->n,
		.link_mtu = lan->mtu,
		.dhcp_lease_time = lease_time > 0 && lease_time <= UINT32_MAX ? (uint32_t)lease_time : 0,
		.allow_documentation = p.conf->allow_documentation,
		.networks = p.conf->networks,
		.n_networks = p.conf->n_networks,
		.gateway_keys = (const uint8_t(*)[PA_KEY_LEN])p.conf->gateway_keys,
		.n_gateway_keys = p.conf->n_gateway_keys,
	};
	int rc = pa_accept_grant(g, &ctx, err);

	if (rc < 0)
		return rc;
	if (!pa_addr_is_ipv4(&g->claims.addr))
		return fail(err, PA_ENOTSUP, "the granted address is an IPv6 one, which this version does not support");
	return 0;
}

static const char *core_reason(int rc)
{
	switch (rc) {
	case PA_EREPLAY:
		return "the grant is older than the one that this host has";
	case PA_EDENIED:
		return "the grant is for another client key than this host's; does the DHCP client send our key?";
	default:
		return pa_strerror(rc);
	}
}

/* To the core, with the session of a former process if there is one that is still good. */
static int give(struct pa_tunneld *t, struct pa_now now, const struct pa_grant *g, const struct pa_client_saved *session,
		const struct pa_tunneld_hosts *hosts)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	int rc;

	if (session != NULL) {
		pa_tunneld_set_hosts(t, hosts); /* the interface is set at once */
		pa_tuninbound_granted(p.inbound, g);
		rc = pa_client_adopt(p.client, now, g, session);
		if (rc != PA_EEXPIRED)
			return rc;
		pa_tunnet_down(p.net);
	}
	rc = pa_client_grant(p.client, now, g);
	if (rc == 0) {
		pa_tunneld_set_hosts(t, hosts);
		pa_tuninbound_granted(p.inbound, g);
	}
	return rc;
}

static int take(struct pa_tunneld *t, const json_t *args, const struct pa_client_saved *session, struct pa_grant *g,
		char err[PA_TUNNELD_ERRLEN])
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct pa_tunneld_hosts hosts = {.n = 0};
	struct pa_now now = pa_now_get();
	char addr[PA_ADDR_STRLEN];
	bool changed;
	int rc = decode(args, g, err);

	if (rc < 0)
		return rc;
	if (g->lifetime == 0)
		return withdraw(t, g, err);
	(void)pa_tunnet_refresh(p.net, &changed);
	rc = collect_hosts(args, pa_tunnet_lan(p.net), &hosts, err);
	if (rc == 0)
		rc = check(t, g, args, &hosts, err);
	if (rc == 0)
		rc = shorten(g, args, now, err);
	if (rc < 0)
		return rc;
	rc = give(t, now, g, session, &hosts);
	if (rc < 0)
		return fail(err, rc, core_reason(rc));
	pa_turelay_grant(p.relays->relay, g);
	pa_keep_grant(p.keep, args, now.boot_ms);
	pa_tundemand_took(p.demand, args, g);
	p.counters->granted++;
	pa_log(PA_LOG_INFO, "grant.put", "iface=%s addr=%s epoch=%llu lifetime=%u", p.iface,
	       pa_addr_format(&g->claims.addr, addr), (unsigned long long)g->claims.epoch, (unsigned)g->lifetime);
	return 0;
}

int pa_tunneld_grant_put(struct pa_tunneld *t, const json_t *args, char err[PA_TUNNELD_ERRLEN])
{
	return pa_tunneld_grant_adopt(t, args, NULL, err);
}

int pa_tunneld_grant_adopt(struct pa_tunneld *t, const json_t *args, const struct pa_client_saved *session,
			   char err[PA_TUNNELD_ERRLEN])
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct pa_grant g;
	int rc = take(t, args, session, &g, err);

	if (rc < 0) {
		p.counters->refused++;
		(void)snprintf(p.refusal, PA_TUNNELD_ERRLEN, "%s", err);
		pa_log(PA_LOG_WARN, "grant.refused", "iface=%s reason=\"%s\"", p.iface, err);
	} else {
		p.refusal[0] = '\0';
	}
	pa_grant_wipe(&g);
	pa_tunneld_tick(t);
	return rc;
}

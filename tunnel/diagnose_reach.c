/* SPDX-License-Identifier: MPL-2.0 */
/* Findings about the way to the gateways: who is silent, and who makes him so. */
#include "tunnel/diagnose.h"

/* The host answers something, if only "no". */
static bool is_alive(enum pa_reach r)
{
	return r == PA_REACH_ANSWERED || r == PA_REACH_REFUSED;
}

/* How many gateways were seen like this by UDP. */
static unsigned count(const struct pa_facts *f, enum pa_reach udp)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->probe.n_gateways; i++)
		n += f->probe.gateways[i].udp == udp;
	return n;
}

static const struct pa_probe_gateway *first(const struct pa_facts *f, enum pa_reach udp)
{
	for (unsigned i = 0; i < f->probe.n_gateways; i++)
		if (f->probe.gateways[i].udp == udp)
			return &f->probe.gateways[i];
	return &f->probe.gateways[0];
}

/* One that is silent by UDP, but whose host answers TCP. */
static const struct pa_probe_gateway *silenced(const struct pa_facts *f)
{
	for (unsigned i = 0; i < f->probe.n_gateways; i++)
		if (f->probe.gateways[i].udp == PA_REACH_SILENT && is_alive(f->probe.gateways[i].tcp))
			return &f->probe.gateways[i];
	return NULL;
}

/* A router's "unreachable" ends an attempt to connect; of UDP the system keeps it to itself. */
static bool no_route(const struct pa_facts *f)
{
	for (unsigned i = 0; i < f->probe.n_gateways; i++) {
		const struct pa_probe_gateway *g = &f->probe.gateways[i];

		if (g->udp != PA_REACH_NO_ROUTE && !(g->udp == PA_REACH_SILENT && g->tcp == PA_REACH_NO_ROUTE))
			return false;
	}
	return true;
}

static void forbids_sending(const struct pa_facts *f, struct pa_findings *l)
{
	char at[PA_ENDPOINT_STRLEN];

	pa_finding_add(l, "firewall-output", PA_SEV_ERROR,
		       "Allow UDP to that address and port in this host's firewall (see: nft list ruleset, iptables-save).",
		       "A firewall on this host itself forbids to send to the gateway %s.",
		       pa_endpoint_format(&first(f, PA_REACH_BLOCKED)->at, at));
}

static void throws_away(const struct pa_facts *f, struct pa_findings *l)
{
	char at[PA_ENDPOINT_STRLEN];

	pa_finding_add(l, "firewall-input", PA_SEV_ERROR,
		       "Allow UDP from that address and port in this host's firewall (see: nft list ruleset, iptables-save).",
		       "The answers of the gateway %s arrive on %s, but a firewall on this host throws them away.",
		       pa_endpoint_format(&first(f, PA_REACH_SILENT)->at, at), f->iface);
}

/* Nobody answers by UDP; what is known tells whether it is the gateway, the NAT, or this host. */
static void nobody_answers(const struct pa_facts *f, struct pa_findings *l)
{
	const struct pa_probe_gateway *s = silenced(f);
	char at[PA_ENDPOINT_STRLEN];

	if (f->wire == PA_WIRE_HEARD) {
		throws_away(f, l);
	} else if (s != NULL) {
		pa_finding_add(l, "udp-blocked", PA_SEV_ERROR,
			       "Ask who runs the router or firewall between here and the Internet to let UDP pass to port 6080 of the "
			       "gateway. Until then the host uses plain NAT.",
			       "UDP does not come through: the host of the gateway %s answers TCP, but not UDP.",
			       pa_endpoint_format(&s->at, at));
	} else if (count(f, PA_REACH_REFUSED) > 0) {
		pa_finding_add(l, "gateway-down", PA_SEV_ERROR,
			       "Tell the operator that pubaddr-gatewayd does not run there.",
			       "The host of the gateway %s answers that nobody listens at this port.",
			       pa_endpoint_format(&first(f, PA_REACH_REFUSED)->at, at));
	} else if (no_route(f)) {
		pa_finding_add(l, "gateway-no-route", PA_SEV_ERROR, "Does the network reach the Internet at all? Look at \"ip route\".",
			       "There is no way to the gateway %s, says this host or a router.",
			       pa_endpoint_format(&f->probe.gateways[0].at, at));
	} else {
		pa_finding_add(l, "gateway-unreachable", PA_SEV_ERROR,
			       "Does the Internet work here otherwise? Then tell the operator that the gateway seems to be dead; until it "
			       "is back the host uses plain NAT.",
			       "Nothing comes back from the gateway %s: it is down, or all that goes there is blocked.",
			       pa_endpoint_format(&first(f, PA_REACH_SILENT)->at, at));
	}
	if (f->wire == PA_WIRE_UNKNOWN && !f->root && count(f, PA_REACH_SILENT) > 0)
		pa_finding_add(l, "needs-root", PA_SEV_NOTE, "Run it as root.",
			       "As root this command sees also whether a firewall on this host throws the gateway's answers away.");
}

/* Somebody else answers, so these may be missed one day. */
static void some_are_dead(const struct pa_facts *f, struct pa_findings *l)
{
	char at[PA_ENDPOINT_STRLEN];

	for (unsigned i = 0; i < f->probe.n_gateways; i++) {
		const struct pa_probe_gateway *g = &f->probe.gateways[i];

		if (g->udp == PA_REACH_ANSWERED || g->udp == PA_REACH_UNKNOWN || pa_endpoint_eq(&g->at, &f->gateway))
			continue;
		pa_finding_add(l, "gateway-dead", PA_SEV_WARNING, "Tell the operator; nothing depends on it as long as another one serves.",
			       "The gateway %s %s, while another one does.", pa_endpoint_format(&g->at, at),
			       g->udp == PA_REACH_REFUSED ? "does not serve" : "does not answer");
	}
}

void pa_diagnose_reach(const struct pa_facts *f, struct pa_findings *l)
{
	bool bound = f->state == PA_CLIENT_BOUND, answered = count(f, PA_REACH_ANSWERED) > 0 || f->probe.probed;
	char at[PA_ENDPOINT_STRLEN], address[PA_ADDR_STRLEN];

	if (f->state == PA_CLIENT_IDLE || !f->tried || f->probe.n_gateways == 0)
		return;
	if (f->relayed) {
		pa_finding_add(l, "by-relay", PA_SEV_WARNING,
			       "Everything works meanwhile. Ask who runs the router or firewall between here and the Internet to let UDP "
			       "pass to port 6080 of the gateway; the tunnel goes back to UDP by itself.",
			       "The tunnel goes by TLS to the relay %s, for no gateway has answered by UDP.",
			       pa_endpoint_format(&f->gateway, at));
		return;
	}
	if (count(f, PA_REACH_BLOCKED) > 0) {
		forbids_sending(f, l);
		return;
	}
	if (!answered) {
		nobody_answers(f, l);
		return;
	}
	if (!bound)
		pa_finding_add(l, "gateway-refuses", PA_SEV_ERROR,
			       "Tell the operator: the gateway's log has a line client.refused that says why. Mostly keys, pools or clocks of "
			       "broker and gateway do not agree, or the lease was taken back.",
			       "The gateway %s is reached, but does not accept the public address %s that DHCP granted.",
			       pa_endpoint_format(&first(f, PA_REACH_ANSWERED)->at, at), pa_addr_format(&f->address, address));
	some_are_dead(f, l);
	if (bound && !f->probe.probed)
		pa_finding_add(l, "gateway-forgot", PA_SEV_WARNING, "Wait half a minute and ask again; it heals by itself if the grant is good.",
			       "The gateway %s is reached, but does not answer in this session: it may just have been restarted.",
			       pa_endpoint_format(&f->gateway, at));
	else if (bound && f->misses > 0)
		pa_finding_add(l, "gateway-misses", PA_SEV_WARNING, "If that goes on, the network loses packets, or the gateway is overloaded.",
			       "The gateway did not answer the last %u keepalives.", f->misses);
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/ruleset.h"

#include <netinet/in.h>
#include <stdio.h>

#include "common/err.h"
#include "common/ifname.h"

/* The key of the sets of TCP and UDP flows, as the host sends and as it receives. */
#define SENT(l4) l4 " sport . ip daddr . " l4 " dport"
#define RECEIVED(l4) l4 " dport . ip saddr . " l4 " sport"
#define SENT_ANY "meta l4proto . th sport . ip daddr . th dport"
#define RECEIVED_ANY "meta l4proto . th dport . ip saddr . th sport"

const char *pa_ruleset_table(const char *device, char dst[PA_RULESET_NAMELEN])
{
	(void)snprintf(dst, PA_RULESET_NAMELEN, "pubaddr-%s", device);
	return dst;
}

static bool tracked(const struct pa_ruleset_input *in)
{
	return in->tracked || in->mode == PA_OUT_NATIVE || in->mode == PA_OUT_AUTO;
}

bool pa_ruleset_wanted(const struct pa_ruleset_input *in)
{
	return tracked(in) || in->inbound.write != NULL;
}

/* True if a flow goes by the tunnel unless something says otherwise. */
static bool by_tunnel(const struct pa_ruleset_input *in)
{
	return in->mode == PA_OUT_TUNNEL || in->mode == PA_OUT_POLICY;
}

/* ---- without tracking ---- */

/* The tunnel's flows in their own zone: before connection tracking sees them (priority -200), and after defragmentation (-400). */
static void write_zone(const struct pa_ruleset_input *in, const char *p, struct pa_text *t)
{
	pa_text_add(t, "\tchain prerouting {\n"
		       "\t\ttype filter hook prerouting priority raw; policy accept;\n"
		       "\t\tiifname \"%s\" ct zone set %u\n"
		       "\t}\n",
		    in->device, (unsigned)in->zone);
	pa_text_add(t, "\tchain output {\n"
		       "\t\ttype route hook output priority raw; policy accept;\n"
		       "\t\tip saddr %s oifname != \"lo\" ct zone set %u\n"
		       "\t}\n",
		    p, (unsigned)in->zone);
}

/* ---- with tracking ---- */

static void write_set_of(struct pa_text *t, const char *name, const char *type, int size, const char *timeout)
{
	pa_text_add(t, "\tset %s {\n\t\ttype %s\n\t\tsize %d\n\t\tflags dynamic,timeout\n\t\ttimeout %s\n\t}\n", name, type, size,
		    timeout);
}

static void write_set(struct pa_text *t, const char *name, const char *type, const char *timeout)
{
	write_set_of(t, name, type, PA_RULESET_FLOWS, timeout);
}

/*
 * Which way a flow has gone: ours . peer . its port. What is in none of them is new, or so old that it has been forgotten, and goes
 * as the mode says. Flows from before the table was there keep the common zone, where conntrack may know them.
 *
 * Whoever sends to P makes an entry of udp_tunnel or other_tunnel, with any source that he likes; so these can be filled from outside.
 * Then the host's port (or the protocol) is remembered instead, and all that is not known of that one goes by the tunnel, which is
 * right for every answer and works for all else. There are no more of these than fit.
 */
static void write_sets(const struct pa_ruleset_input *in, struct pa_text *t)
{
	static const char flow[] = "inet_service . ipv4_addr . inet_service", other[] = "inet_proto . ipv4_addr";

	write_set(t, "tcp_tunnel", flow, PA_RULESET_TCP_TIMEOUT);
	write_set(t, "tcp_direct", flow, PA_RULESET_TCP_TIMEOUT);
	write_set(t, "tcp_over", flow, PA_RULESET_OVER_TIMEOUT);
	write_set(t, "udp_tunnel", flow, PA_RULESET_UDP_TIMEOUT);
	write_set(t, "udp_direct", flow, PA_RULESET_UDP_TIMEOUT);
	write_set_of(t, "udp_crowded", "inet_service", PA_RULESET_PORTS, PA_RULESET_UDP_TIMEOUT);
	write_set(t, "other_tunnel", other, PA_RULESET_UDP_TIMEOUT);
	write_set(t, "other_direct", other, PA_RULESET_UDP_TIMEOUT);
	write_set_of(t, "other_crowded", "inet_proto", PA_RULESET_PROTOCOLS, PA_RULESET_UDP_TIMEOUT);
	write_set(t, PA_RULESET_BEFORE_SET, "inet_proto . inet_service . ipv4_addr . inet_service", PA_RULESET_TCP_TIMEOUT);
	write_set(t, "before_ports", "inet_service", PA_RULESET_LEARN_TIMEOUT);
	if (in->mode == PA_OUT_AUTO)
		write_set(t, PA_RULESET_SESSIONS_SET, "ipv4_addr", PA_RULESET_SESSION_TIMEOUT);
}

static void write_prerouting(const struct pa_ruleset_input *in, const char *p, struct pa_text *t)
{
	pa_text_add(t, "\tchain prerouting {\n"
		       "\t\ttype filter hook prerouting priority raw; policy accept;\n"
		       "\t\tiifname \"%s\" ip daddr %s drop\n"
		       "\t\tiifname != \"%s\" return\n"
		       "\t\tip daddr != %s drop\n",
		    in->lan, p, in->device, p);
	/*
	 * The kernel answers with this mark, and sockets that it accepts get it: fwmark_reflect, tcp_fwmark_accept. While a network
	 * namespace has P, packets are handed on, and the mark would send them back into the tunnel.
	 */
	pa_text_add(t, "\t\tfib daddr type local meta mark set %u\n"
		       "\t\ttcp flags syn tcp option maxseg size set %u\n"
		       "\t\tmeta l4proto { tcp, udp } " RECEIVED_ANY " @before return\n"
		       "\t\tudp dport @before_ports update @before { " RECEIVED_ANY " timeout " PA_RULESET_UDP_TIMEOUT " } return\n"
		       "\t\tct zone set %u\n"
		       "\t}\n",
		    (unsigned)in->mark_tunnel, (unsigned)in->mtu - 40, (unsigned)in->zone);
	/* For the reverse-path check, which looks the way back up with the mark (src_valid_mark). */
	pa_text_add(t, "\tchain answers {\n"
		       "\t\ttype filter hook prerouting priority mangle; policy accept;\n"
		       "\t\tiifname \"%s\" ct direction reply ct original ip saddr %s meta mark 0 meta mark set %u\n"
		       "\t}\n",
		    in->lan, p, (unsigned)in->mark_direct);
}

/*
 * Last ingress wins: after the administrator's firewall, so that what it drops changes nothing. An update of a full set ends its rule,
 * and the next one is tried.
 */
static void write_input(const struct pa_ruleset_input *in, const char *p, struct pa_text *t)
{
	pa_text_add(t, "\tchain input {\n"
		       "\t\ttype filter hook input priority 300; policy accept;\n"
		       "\t\tip daddr != %s return\n"
		       "\t\tmeta l4proto { tcp, icmp } return\n"
		       "\t\tiifname \"%s\" goto by_tunnel\n"
		       "\t\tiifname \"%s\" goto by_lan\n"
		       "\t}\n",
		    p, in->device, in->lan);
}

/* What came in by the LAN has been translated back to P, so it is an answer: nobody fills a set by it. */
static void write_ingress(struct pa_text *t)
{
	pa_text_add(t, "\tchain by_tunnel {\n"
		       "\t\tmeta l4proto udp update @udp_tunnel { " RECEIVED("udp") " } return\n"
		       "\t\tmeta l4proto udp update @udp_crowded { udp dport } delete @udp_direct { " RECEIVED("udp") " } return\n"
		       "\t\tupdate @other_tunnel { meta l4proto . ip saddr } return\n"
		       "\t\tupdate @other_crowded { meta l4proto } delete @other_direct { meta l4proto . ip saddr }\n"
		       "\t}\n");
	pa_text_add(t, "\tchain by_lan {\n"
		       "\t\tmeta l4proto udp delete @udp_tunnel { " RECEIVED("udp") " } update @udp_direct { " RECEIVED("udp") " } return\n"
		       "\t\tdelete @other_tunnel { meta l4proto . ip saddr } update @other_direct { meta l4proto . ip saddr }\n"
		       "\t}\n");
}

/* "L4 dport { 21, 6881-6889 } THEN", or nothing if there are none. */
static void write_ports(const struct pa_ruleset_input *in, const char *l4, uint8_t protocol, const char *then, struct pa_text *t)
{
	unsigned first = 0, last;
	bool any = false;

	if (in->mode != PA_OUT_AUTO || in->ports == NULL)
		return;
	for (; pa_auto_next(in->ports, protocol, &first, &last); first = last + 1) {
		if (!any)
			pa_text_add(t, "\t\t%s dport {", l4);
		pa_text_add(t, "%s %u", any ? "," : "", first);
		if (last > first)
			pa_text_add(t, "-%u", last);
		any = true;
	}
	if (any)
		pa_text_add(t, " } %s\n", then);
}

/*
 * A session's other connections go where it goes: vsftpd refuses the data of PASV from another address than the control connection's
 * (425). Which peers have a session is remembered as long as something is said in it. That a connection belongs to one is
 * decided when it begins, so that one beside the tunnel stays there when a session begins later.
 */
static void write_sessions(const struct pa_ruleset_input *in, struct pa_text *t)
{
	const struct pa_auto_entry *e;
	size_t n;

	if (in->mode != PA_OUT_AUTO)
		return;
	e = pa_auto_table(&n);
	pa_text_add(t, "\tchain session {\n");
	for (size_t i = 0; i < n && in->ports != NULL; i++)
		if (e[i].session && pa_auto_has(in->ports, e[i].protocol, e[i].first))
			pa_text_add(t, "\t\ttcp dport %u update @" PA_RULESET_SESSIONS_SET " { ip daddr } return\n", (unsigned)e[i].first);
	pa_text_add(t, "\t\ttcp flags & (fin | syn | rst | ack) == syn ip daddr @" PA_RULESET_SESSIONS_SET
		       " update @tcp_tunnel { " SENT("tcp") " }\n"
		       "\t}\n");
}

/* Where everything ends: marked for the routes of plan.h, and in the tunnel's zone or the common one. */
static void write_ends(const struct pa_ruleset_input *in, struct pa_text *t)
{
	pa_text_add(t, "\tchain to_tunnel {\n"
		       "\t\tmeta mark set %u ct zone set %u\n"
		       "\t}\n"
		       "\tchain to_lan {\n"
		       "\t\tmeta mark 0 meta mark set %u\n"
		       "\t}\n",
		    (unsigned)in->mark_tunnel, (unsigned)in->zone, (unsigned)in->mark_direct);
	pa_text_add(t, "\tchain to_before {\n\t\tmeta mark set %u\n\t}\n", (unsigned)in->mark_tunnel);
}

/* A connection that begins goes as the mode says, whatever one before it with the same ports did. */
static void write_tcp(const struct pa_ruleset_input *in, struct pa_text *t)
{
	pa_text_add(t, "\tchain tcp_new {\n"
		       "\t\tdelete @tcp_tunnel { " SENT("tcp") " }\n"
		       "\t\tdelete @tcp_direct { " SENT("tcp") " }\n"
		       "\t\tdelete @tcp_over { " SENT("tcp") " }\n"
		       "\t\tdelete @before { " SENT_ANY " }\n"
		       "\t}\n"
		       "\tchain tcp_any {\n"
		       "\t\ttcp flags & (fin | syn | rst | ack) == syn jump tcp_new\n");
	if (in->mode == PA_OUT_AUTO)
		pa_text_add(t, "\t\tjump session\n");
	pa_text_add(t, "\t\t" SENT("tcp") " @tcp_tunnel update @tcp_tunnel { " SENT("tcp") " } goto to_tunnel\n"
		       "\t\t" SENT("tcp") " @tcp_direct update @tcp_direct { " SENT("tcp") " } goto to_lan\n");
	write_ports(in, "tcp", IPPROTO_TCP, "goto to_tunnel", t);
	pa_text_add(t, "\t\tgoto to_%s\n\t}\n", by_tunnel(in) ? "tunnel" : "lan");
}

/*
 * A flow that has ended is forgotten soon, and one that is half closed not before it is silent. Without that every data connection of a
 * file transfer would keep its place for days.
 */
static void write_tcp_end(struct pa_text *t)
{
	pa_text_add(t, "\tchain tcp_fin {\n"
		       "\t\t" SENT_ANY " @before update @tcp_over { " SENT("tcp") " } return\n"
		       "\t\t" SENT("tcp") " @tcp_tunnel update @tcp_over { " SENT("tcp") " } return\n"
		       "\t\t" SENT("tcp") " @tcp_direct update @tcp_over { " SENT("tcp") " }\n"
		       "\t}\n");
	pa_text_add(t, "\tchain tcp_ending {\n"
		       "\t\tupdate @tcp_over { " SENT("tcp") " }\n"
		       "\t\t" SENT_ANY " @before update @before { " SENT_ANY " timeout " PA_RULESET_OVER_TIMEOUT " } goto to_before\n"
		       "\t\t" SENT("tcp") " @tcp_tunnel update @tcp_tunnel { " SENT("tcp") " timeout " PA_RULESET_OVER_TIMEOUT " } goto to_tunnel\n"
		       "\t\t" SENT("tcp") " @tcp_direct update @tcp_direct { " SENT("tcp") " timeout " PA_RULESET_OVER_TIMEOUT " } goto to_lan\n"
		       "\t\tgoto tcp_any\n"
		       "\t}\n");
}

static void write_udp(const struct pa_ruleset_input *in, struct pa_text *t)
{
	pa_text_add(t, "\tchain udp_in_crowd {\n"
		       "\t\tupdate @udp_tunnel { " SENT("udp") " } goto to_tunnel\n"
		       "\t\tupdate @udp_crowded { udp sport }\n"
		       "\t\tgoto to_tunnel\n"
		       "\t}\n");
	pa_text_add(t, "\tchain udp_by_tunnel {\n"
		       "\t\tupdate @udp_tunnel { " SENT("udp") " }\n"
		       "\t\tgoto to_tunnel\n"
		       "\t}\n"
		       "\tchain udp_by_lan {\n"
		       "\t\tupdate @udp_direct { " SENT("udp") " }\n"
		       "\t\tgoto to_lan\n"
		       "\t}\n");
	pa_text_add(t, "\tchain udp_any {\n"
		       "\t\t" SENT("udp") " @udp_tunnel goto udp_by_tunnel\n"
		       "\t\t" SENT("udp") " @udp_direct goto udp_by_lan\n"
		       "\t\tudp sport @udp_crowded goto udp_in_crowd\n");
	write_ports(in, "udp", IPPROTO_UDP, "goto udp_by_tunnel", t);
	if (in->mode == PA_OUT_AUTO)
		pa_text_add(t, "\t\tip daddr @" PA_RULESET_SESSIONS_SET " goto udp_by_tunnel\n");
	pa_text_add(t, "\t\tgoto udp_by_%s\n\t}\n", by_tunnel(in) ? "tunnel" : "lan");
}

static void write_other(const struct pa_ruleset_input *in, struct pa_text *t)
{
	const char *way = by_tunnel(in) ? "tunnel" : "direct", *end = by_tunnel(in) ? "tunnel" : "lan";

	pa_text_add(t, "\tchain other_any {\n"
		       "\t\tmeta l4proto icmp goto to_%s\n"
		       "\t\tmeta l4proto . ip daddr @other_tunnel goto to_tunnel\n"
		       "\t\tmeta l4proto . ip daddr @other_direct goto to_lan\n"
		       "\t\tmeta l4proto @other_crowded update @other_crowded { meta l4proto } goto to_tunnel\n"
		       "\t\tupdate @other_%s { meta l4proto . ip daddr }\n"
		       "\t\tgoto to_%s\n"
		       "\t}\n",
		    end, way, end);
}

static void write_output(const struct pa_ruleset_input *in, const char *p, struct pa_text *t)
{
	pa_text_add(t, "\tchain output {\n"
		       "\t\ttype route hook output priority raw; policy accept;\n"
		       "\t\tip saddr != %s return\n"
		       "\t\toifname \"lo\" return\n"
		       "\t\tmeta mark %u goto to_tunnel\n"
		       "\t\ttcp flags & (fin | syn | rst | ack) == syn goto tcp_any\n"
		       "\t\ttcp flags & (fin | rst) != 0 jump tcp_fin\n"
		       "\t\t" SENT("tcp") " @tcp_over goto tcp_ending\n",
		    p, (unsigned)in->mark_tunnel);
	pa_text_add(t, "\t\tmeta l4proto tcp " SENT_ANY " @before update @before { " SENT_ANY " } goto to_before\n"
		       "\t\tmeta l4proto udp " SENT_ANY " @before update @before { " SENT_ANY " timeout " PA_RULESET_UDP_TIMEOUT " } goto to_before\n"
		       "\t\tudp sport @before_ports update @before { " SENT_ANY " timeout " PA_RULESET_UDP_TIMEOUT " } goto to_before\n"
		       "\t\tmeta l4proto tcp goto tcp_any\n"
		       "\t\tmeta l4proto udp goto udp_any\n"
		       "\t\tgoto other_any\n"
		       "\t}\n");
}

static void write_leaving(const struct pa_ruleset_input *in, const char *p, struct pa_text *t)
{
	char l[PA_ADDR_STRLEN];

	pa_text_add(t, "\tchain translate {\n"
		       "\t\ttype nat hook postrouting priority srcnat; policy accept;\n");
	if (pa_addr_is_ipv4(&in->lan_addr))
		pa_text_add(t, "\t\toifname \"%s\" ip saddr %s snat to %s\n", in->lan, p, pa_addr_format(&in->lan_addr, l));
	/* What conntrack calls invalid is not translated; better lost than with a source that does not belong there. */
	pa_text_add(t, "\t}\n"
		       "\tchain leaving {\n"
		       "\t\ttype filter hook postrouting priority 300; policy accept;\n"
		       "\t\toifname \"%s\" ip saddr %s drop\n"
		       "\t\toifname != \"%s\" return\n"
		       "\t\tip saddr != %s drop\n"
		       "\t\ttcp flags syn tcp option maxseg size set %u\n"
		       "\t}\n",
		    in->lan, p, in->device, p, (unsigned)in->mtu - 40);
}

static void write_tracked(const struct pa_ruleset_input *in, const char *p, struct pa_text *t)
{
	write_sets(in, t);
	write_prerouting(in, p, t);
	write_ingress(t);
	write_input(in, p, t);
	write_ends(in, t);
	write_sessions(in, t);
	write_tcp(in, t);
	write_tcp_end(t);
	write_udp(in, t);
	write_other(in, t);
	write_output(in, p, t);
	write_leaving(in, p, t);
}

void pa_ruleset_write(const struct pa_ruleset_input *in, struct pa_text *t)
{
	char table[PA_RULESET_NAMELEN], p[PA_ADDR_STRLEN];

	PA_REQUIRE(pa_ifname_valid(in->device) && pa_ifname_valid(in->lan)); /* command line and configuration are read so */
	(void)pa_ruleset_table(in->device, table);
	(void)pa_addr_format(&in->addr, p);
	/* "add" makes an absent table; "flush" takes every rule of one that is there and leaves its sets. */
	pa_text_add(t, "add table ip %s\nflush table ip %s\ntable ip %s {\n", table, table, table);
	if (tracked(in))
		write_tracked(in, p, t);
	else
		write_zone(in, p, t);
	if (in->inbound.write != NULL)
		in->inbound.write(in->inbound.ctx, in, t);
	pa_text_add(t, "}\n");
	/* Of an earlier time in this mode; a session that goes on is learnt again by its next word. */
	if (in->mode == PA_OUT_AUTO)
		pa_text_add(t, "flush set ip %s " PA_RULESET_SESSIONS_SET "\n", table);
}

bool pa_ruleset_by_tunnel(const struct pa_ruleset_input *in, uint8_t protocol, uint16_t peer_port)
{
	if (in->mode != PA_OUT_AUTO)
		return by_tunnel(in);
	return in->ports != NULL && pa_auto_has(in->ports, protocol, peer_port);
}

static void write_flow(const char *table, const struct pa_flow *f, struct pa_text *t)
{
	const char *set = f->way == PA_WAY_TUNNEL ? "tcp_tunnel" : "tcp_direct";
	char peer[PA_ADDR_STRLEN];

	if (!pa_addr_is_ipv4(&f->peer)) {
		pa_text_add(t, "add element ip %s before_ports { %u }\n", table, (unsigned)f->port);
		return;
	}
	(void)pa_addr_format(&f->peer, peer);
	if (f->way != PA_WAY_BEFORE)
		pa_text_add(t, "add element ip %s %s { %u . %s . %u }\n", table, set, (unsigned)f->port, peer, (unsigned)f->peer_port);
	else
		pa_text_add(t, "add element ip %s before { %s . %u . %s . %u%s }\n", table, f->protocol == IPPROTO_TCP ? "tcp" : "udp",
			    (unsigned)f->port, peer, (unsigned)f->peer_port,
			    f->protocol == IPPROTO_TCP ? "" : " timeout " PA_RULESET_UDP_TIMEOUT);
}

void pa_ruleset_write_flows(const struct pa_ruleset_input *in, const struct pa_flow *flows, size_t n, struct pa_text *t)
{
	char table[PA_RULESET_NAMELEN];

	(void)pa_ruleset_table(in->device, table);
	for (size_t i = 0; i < n; i++)
		if (flows[i].way == PA_WAY_BEFORE || flows[i].protocol == IPPROTO_TCP)
			write_flow(table, &flows[i], t);
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/ruleset_inbound.h"

#include "tunnel/net_veth.h"

static void write_rule(const struct pa_inrule *r, struct pa_text *t)
{
	struct pa_prefix src = {pa_addr_from_ipv4(r->src), r->src_len};
	char source[PA_PREFIX_STRLEN];

	pa_text_add(t, "\t\t");
	if (r->src_len > 0)
		pa_text_add(t, "ip saddr %s ", pa_prefix_format(&src, source));
	if (r->proto != 0)
		pa_text_add(t, "meta l4proto %u ", (unsigned)r->proto);
	if (r->lo != 0 && r->lo == r->hi)
		pa_text_add(t, "th dport %u ", (unsigned)r->lo);
	else if (r->lo != 0)
		pa_text_add(t, "th dport %u-%u ", (unsigned)r->lo, (unsigned)r->hi);
	pa_text_add(t, "accept\n");
}

/* Also for who is beside the tunnel, such as a neighbour on the LAN: the kernel takes packets to P from any interface. */
static void write_policy(const struct pa_inpolicy *p, const struct pa_ruleset_input *in, struct pa_text *t)
{
	char addr[PA_ADDR_STRLEN];

	pa_text_add(t, "\tcounter inbound_refused {\n"
		       "\t}\n"
		       "\tchain inbound_new {\n"
		       "\t\tct state established,related accept\n");
	for (size_t i = 0; p->kind == PA_IN_LIST && i < p->n; i++)
		write_rule(&p->rules[i], t);
	pa_text_add(t, "\t\tcounter name \"inbound_refused\" drop\n"
		       "\t}\n"
		       "\tchain inbound {\n"
		       "\t\ttype filter hook prerouting priority -140; policy accept;\n"
		       "\t\tiifname \"%s\" goto inbound_new\n"
		       "\t\tiifname != \"lo\" ip daddr %s goto inbound_new\n"
		       "\t}\n",
		    in->device, pa_addr_format(&in->addr, addr));
}

/* What a namespace sends has P as its source, goes by the tunnel in every mode, and is in the zone that its answers come in; zones are set before -200. */
static void write_namespace(const struct pa_ruleset_input *in, struct pa_text *t)
{
	char veth[16], p[PA_ADDR_STRLEN];

	(void)pa_veth_name(in->device, veth);
	pa_text_add(t, "\tchain inbound_namespace {\n"
		       "\t\ttype filter hook prerouting priority -290; policy accept;\n"
		       "\t\tiifname \"%s\" ip saddr != %s drop\n"
		       "\t\tiifname \"%s\" meta mark set %u ct zone set %u\n"
		       "\t}\n",
		    veth, pa_addr_format(&in->addr, p), veth, (unsigned)in->mark_tunnel, (unsigned)in->zone);
}

void pa_ruleset_inbound_write(const void *policy, const struct pa_ruleset_input *in, struct pa_text *t)
{
	const struct pa_inpolicy *p = policy;

	if (p->kind != PA_IN_OPEN)
		write_policy(p, in, t);
	write_namespace(in, t);
}

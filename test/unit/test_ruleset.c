/* SPDX-License-Identifier: MPL-2.0 */
/* The packet filter's table as text, byte for byte. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/ruleset.h"
#include "tunnel/ruleset_inbound.h"

TestSuite(ruleset, .timeout = 20);

static struct pa_addr addr_of(const char *s)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(s, &a), 0, "%s", s);
	return a;
}

static struct pa_ruleset_input input(enum pa_outbound mode)
{
	return (struct pa_ruleset_input){.device = "pub0", .lan = "eth0", .addr = addr_of("203.0.113.7"), .lan_addr = addr_of("10.77.0.5"),
					 .mode = mode, .mark_tunnel = 6081, .mark_direct = 6082, .zone = 6080};
}

static void write_nothing(const void *ctx, const struct pa_ruleset_input *in, struct pa_text *t)
{
	pa_text_add(t, "\tchain %s {\n\t\tiifname \"%s\" accept\n\t}\n", (const char *)ctx, in->device);
}

static void expect(const struct pa_ruleset_input *in, const char *want)
{
	static char got[PA_RULESET_TEXT_MAX];
	struct pa_text t;

	pa_text_init(&t, got, sizeof(got));
	pa_ruleset_write(in, &t);
	cr_assert(!t.full);
	cr_assert_str_eq(got, want, "got:\n%s", got);
}

Test(ruleset, a_name_for_each_device)
{
	char name[PA_RULESET_NAMELEN];

	cr_assert_str_eq(pa_ruleset_table("pub0", name), "pubaddr-pub0");
	cr_assert_str_eq(pa_ruleset_table("abcdefghijklmno", name), "pubaddr-abcdefghijklmno");
}

Test(ruleset, the_tunnel_alone_needs_no_table)
{
	struct pa_ruleset_input in = input(PA_OUT_TUNNEL);

	cr_assert(!pa_ruleset_wanted(&in));
	in.inbound = (struct pa_ruleset_part){write_nothing, "inbound_test"};
	cr_assert(pa_ruleset_wanted(&in));
	in.inbound.write = NULL;
	in.tracked = true;
	cr_assert(pa_ruleset_wanted(&in));
}

Test(ruleset, a_part_of_another_module_stands_in_a_zone)
{
	struct pa_ruleset_input in = input(PA_OUT_TUNNEL);

	in.inbound = (struct pa_ruleset_part){write_nothing, "inbound_test"};
	expect(&in, "add table ip pubaddr-pub0\n"
		    "flush table ip pubaddr-pub0\n"
		    "table ip pubaddr-pub0 {\n"
		    "\tchain prerouting {\n"
		    "\t\ttype filter hook prerouting priority raw; policy accept;\n"
		    "\t\tiifname \"pub0\" ct zone set 6080\n"
		    "\t}\n"
		    "\tchain output {\n"
		    "\t\ttype route hook output priority raw; policy accept;\n"
		    "\t\tip saddr 203.0.113.7 oifname != \"lo\" ct zone set 6080\n"
		    "\t}\n"
		    "\tchain inbound_test {\n"
		    "\t\tiifname \"pub0\" accept\n"
		    "\t}\n"
		    "}\n");
}

#define ZONES "add table ip pubaddr-pub0\n" \
	"flush table ip pubaddr-pub0\n" \
	"table ip pubaddr-pub0 {\n" \
	"\tchain prerouting {\n" \
	"\t\ttype filter hook prerouting priority raw; policy accept;\n" \
	"\t\tiifname \"pub0\" ct zone set 6080\n" \
	"\t}\n" \
	"\tchain output {\n" \
	"\t\ttype route hook output priority raw; policy accept;\n" \
	"\t\tip saddr 203.0.113.7 oifname != \"lo\" ct zone set 6080\n" \
	"\t}\n"
#define NAMESPACE "\tchain inbound_namespace {\n" \
	"\t\ttype filter hook prerouting priority -290; policy accept;\n" \
	"\t\tiifname \"pub0-ns\" ip saddr != 203.0.113.7 drop\n" \
	"\t\tiifname \"pub0-ns\" ct zone set 6080\n" \
	"\t}\n" \
	"}\n"

Test(ruleset, who_may_come_in)
{
	static const char *const rules[] = {"5060/udp", "1024-2048/tcp from 198.51.100.0/24", "gre", "any from 192.0.2.10"};
	struct pa_ruleset_input in = input(PA_OUT_TUNNEL);
	struct pa_inpolicy p = {.kind = PA_IN_OPEN};

	in.inbound = (struct pa_ruleset_part){pa_ruleset_inbound_write, &p};
	expect(&in, ZONES NAMESPACE);
	p.kind = PA_IN_LIST;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct pa_inrule r;

		cr_assert(pa_inrule_parse(rules[i], &r) == 0 && pa_inpolicy_add(&p, &r) == 0);
	}
	expect(&in, ZONES "\tcounter inbound_refused {\n"
			  "\t}\n"
			  "\tchain inbound_new {\n"
			  "\t\tct state established,related accept\n"
			  "\t\tmeta l4proto 17 th dport 5060 accept\n"
			  "\t\tip saddr 198.51.100.0/24 meta l4proto 6 th dport 1024-2048 accept\n"
			  "\t\tmeta l4proto 47 accept\n"
			  "\t\tip saddr 192.0.2.10/32 accept\n"
			  "\t\tcounter name \"inbound_refused\" drop\n"
			  "\t}\n"
			  "\tchain inbound {\n"
			  "\t\ttype filter hook prerouting priority -140; policy accept;\n"
			  "\t\tiifname \"pub0\" goto inbound_new\n"
			  "\t}\n" NAMESPACE);
}

Test(ruleset, what_does_not_fit_is_no_text)
{
	struct pa_ruleset_input in = input(PA_OUT_TUNNEL);
	char buf[100];
	struct pa_text t;

	pa_text_init(&t, buf, sizeof(buf));
	pa_ruleset_write(&in, &t);
	cr_assert(t.full && t.len == strlen(buf) && t.len < sizeof(buf));
}

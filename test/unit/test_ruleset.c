/* SPDX-License-Identifier: MPL-2.0 */
/* The packet filter's table as text, byte for byte. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/ruleset.h"

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

Test(ruleset, what_does_not_fit_is_no_text)
{
	struct pa_ruleset_input in = input(PA_OUT_TUNNEL);
	char buf[100];
	struct pa_text t;

	pa_text_init(&t, buf, sizeof(buf));
	pa_ruleset_write(&in, &t);
	cr_assert(t.full && t.len == strlen(buf) && t.len < sizeof(buf));
}

/* SPDX-License-Identifier: MPL-2.0 */
/* The packet filter's table as text, byte for byte; and what goes into it: ports of the mode auto, flows that exist. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/auto_ports.h"
#include "tunnel/ruleset.h"
#include "tunnel/ruleset_inbound.h"
#include "tunnel/tunneld_flows.h"

TestSuite(ruleset, .timeout = 20);
TestSuite(auto_ports, .timeout = 20);

static struct pa_addr addr_of(const char *s)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(s, &a), 0, "%s", s);
	return a;
}

static struct pa_ruleset_input input(enum pa_outbound mode)
{
	return (struct pa_ruleset_input){.device = "pub0", .lan = "eth0", .addr = addr_of("203.0.113.7"), .lan_addr = addr_of("10.77.0.5"), .mtu = 1472,
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
	"\t\tiifname \"pub0-ns\" meta mark set 6081 ct zone set 6080\n" \
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
			  "\t\tiifname != \"lo\" ip daddr 203.0.113.7 goto inbound_new\n"
			  "\t}\n" NAMESPACE);
}

/* The whole tables are files beside this one, which nft(8) takes too. */
static char *golden(const char *mode)
{
	const char *top = getenv("top_srcdir");
	char path[512], *text = calloc(1, PA_RULESET_TEXT_MAX);
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/test/unit/ruleset/%s.nft", top != NULL ? top : ".", mode);
	f = fopen(path, "re");
	cr_assert(f != NULL && text != NULL, "%s", path);
	(void)!fread(text, 1, PA_RULESET_TEXT_MAX - 1, f);
	(void)fclose(f);
	return text;
}

Test(ruleset, tables_of_the_modes)
{
	static const struct {
		enum pa_outbound mode;
		const char *file;
	} cases[] = {{PA_OUT_TUNNEL, "tunnel"}, {PA_OUT_POLICY, "tunnel"}, {PA_OUT_NATIVE, "native"}, {PA_OUT_AUTO, "auto"}};
	static struct pa_auto_ports ports;

	cr_assert_eq(pa_auto_set(&ports, "21/tcp", true), 0);
	cr_assert_eq(pa_auto_set(&ports, "6881-6889/tcp", true), 0);
	cr_assert_eq(pa_auto_set(&ports, "69/udp", true), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pa_ruleset_input in = input(cases[i].mode);
		char *want = golden(cases[i].file);

		in.ports = &ports;
		in.tracked = true;
		expect(&in, want);
		free(want);
	}
}

Test(ruleset, without_an_address_of_the_lan_nothing_is_translated)
{
	struct pa_ruleset_input in = input(PA_OUT_NATIVE);
	char *text = calloc(1, PA_RULESET_TEXT_MAX);
	struct pa_text t;

	memset(&in.lan_addr, 0, sizeof(in.lan_addr));
	pa_text_init(&t, text, PA_RULESET_TEXT_MAX);
	pa_ruleset_write(&in, &t);
	cr_assert(strstr(text, "snat to") == NULL && strstr(text, "oifname \"eth0\" ip saddr 203.0.113.7 drop") != NULL);
	free(text);
}

Test(ruleset, flows_keep_their_way)
{
	struct pa_flow flows[] = {{IPPROTO_TCP, PA_WAY_BEFORE, 1234, addr_of("192.0.2.1"), 80},
				  {IPPROTO_UDP, PA_WAY_BEFORE, 5060, addr_of("192.0.2.2"), 5061},
				  {IPPROTO_UDP, PA_WAY_BEFORE, 5060, {{0}}, 0},
				  {IPPROTO_TCP, PA_WAY_TUNNEL, 1, addr_of("192.0.2.3"), 2},
				  {IPPROTO_TCP, PA_WAY_DIRECT, 65535, addr_of("192.0.2.4"), 65535},
				  {IPPROTO_UDP, PA_WAY_DIRECT, 1, addr_of("192.0.2.5"), 2}};
	struct pa_ruleset_input in = input(PA_OUT_NATIVE);
	char buf[6 * PA_RULESET_FLOW_TEXT + 1];
	struct pa_text t;

	pa_text_init(&t, buf, sizeof(buf));
	pa_ruleset_write_flows(&in, flows, 6, &t);
	cr_assert_str_eq(buf, "add element ip pubaddr-pub0 before { tcp . 1234 . 192.0.2.1 . 80 }\n"
			      "add element ip pubaddr-pub0 before { udp . 5060 . 192.0.2.2 . 5061 timeout 3m }\n"
			      "add element ip pubaddr-pub0 before_ports { 5060 }\n"
			      "add element ip pubaddr-pub0 tcp_tunnel { 1 . 192.0.2.3 . 2 }\n"
			      "add element ip pubaddr-pub0 tcp_direct { 65535 . 192.0.2.4 . 65535 }\n");
}

Test(ruleset, the_longest_flow_fits)
{
	struct pa_flow f = {IPPROTO_UDP, PA_WAY_BEFORE, 65535, addr_of("255.255.255.255"), 65535};
	struct pa_ruleset_input in = input(PA_OUT_NATIVE);
	char buf[PA_RULESET_FLOW_TEXT + 1];
	struct pa_text t;

	in.device = "abcdefghijklmno";
	pa_text_init(&t, buf, sizeof(buf));
	pa_ruleset_write_flows(&in, &f, 1, &t);
	cr_assert(!t.full, "%zu bytes", strlen(buf));
}

/* What is known stays as it is; the rest went as the table that was there said. */
Test(ruleset, which_flows_are_told_to_a_new_table)
{
	static struct pa_auto_ports ports;
	struct pa_flow known[] = {{IPPROTO_TCP, PA_WAY_BEFORE, 3, addr_of("192.0.2.9"), 21}, {IPPROTO_TCP, PA_WAY_BEFORE, 2, addr_of("192.0.2.1"), 80}};
	struct pa_flow all[] = {{IPPROTO_TCP, PA_WAY_BEFORE, 1, addr_of("192.0.2.1"), 80}, {IPPROTO_TCP, PA_WAY_BEFORE, 2, addr_of("192.0.2.1"), 80},
				{IPPROTO_TCP, PA_WAY_BEFORE, 3, addr_of("192.0.2.1"), 21}, {IPPROTO_UDP, PA_WAY_BEFORE, 4, addr_of("192.0.2.1"), 53}};
	struct pa_ruleset_input was = input(PA_OUT_AUTO);
	struct pa_flow list[4];

	cr_assert_eq(pa_auto_set(&ports, "21/tcp", true), 0);
	was.ports = &ports;
	memcpy(list, all, sizeof(all));
	cr_assert_eq(pa_flows_new(list, 4, NULL, NULL, 0), 4, "before there was a table");
	cr_assert(list[0].way == PA_WAY_BEFORE && list[3].way == PA_WAY_BEFORE);
	pa_flows_sort(known, 2);
	cr_assert_eq(pa_flows_new(list, 4, &was, known, 2), 2);
	cr_assert(list[0].port == 1 && list[0].way == PA_WAY_DIRECT);
	cr_assert(list[1].port == 3 && list[1].way == PA_WAY_TUNNEL, "to a port of auto");
	was.mode = PA_OUT_TUNNEL;
	memcpy(list, all, sizeof(all));
	cr_assert_eq(pa_flows_new(list, 4, &was, known, 2), 2);
	cr_assert(list[0].way == PA_WAY_TUNNEL && list[1].way == PA_WAY_TUNNEL);
}

static void ranges(const struct pa_auto_ports *p, uint8_t protocol, char *dst, size_t cap)
{
	struct pa_text t;
	unsigned first = 0, last;

	pa_text_init(&t, dst, cap);
	for (; pa_auto_next(p, protocol, &first, &last); first = last + 1)
		pa_text_add(&t, "%u-%u ", first, last);
}

Test(auto_ports, are_put_in_and_taken_out)
{
	static const char *const bad[] = {"", "21", "21/", "21/sctp", "/tcp", "0/tcp", "65536/udp", "9-8/tcp", "1-/udp", "21 /tcp", "-5/tcp",
					  "21/tcp ", "123456/tcp", "1-2-3/tcp"};
	static struct pa_auto_ports p, was;
	char text[256];

	cr_assert_eq(pa_auto_set(&p, "1-65535/udp", true), 0);
	ranges(&p, IPPROTO_UDP, text, sizeof(text));
	cr_assert_str_eq(text, "1-65535 ");
	cr_assert_eq(pa_auto_set(&p, "2-65534/udp", false), 0);
	ranges(&p, IPPROTO_UDP, text, sizeof(text));
	cr_assert_str_eq(text, "1-1 65535-65535 ");
	cr_assert_eq(pa_auto_set(&p, "21/tcp", true), 0);
	cr_assert(pa_auto_has(&p, IPPROTO_TCP, 21) && !pa_auto_has(&p, IPPROTO_UDP, 21) && !pa_auto_has(&p, IPPROTO_ICMP, 21));
	was = p;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(pa_auto_set(&p, bad[i], true), PA_EFORMAT, "%s", bad[i]);
	cr_assert_eq(memcmp(&p, &was, sizeof(p)), 0);
	pa_auto_defaults(&p);
	ranges(&p, IPPROTO_TCP, text, sizeof(text));
	cr_assert_str_eq(text, "21-21 554-554 1024-1087 1099-1099 6881-6889 6969-6969 ");
	ranges(&p, IPPROTO_UDP, text, sizeof(text));
	cr_assert_str_eq(text, "69-69 6881-6889 6969-6969 ");
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

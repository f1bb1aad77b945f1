/* SPDX-License-Identifier: MPL-2.0 */
/* Inbound policies: what is written comes back, what has no meaning is refused, and the stricter of two is what both let pass. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/inpolicy.h"
#include "test/unit/rnd.h"

TestSuite(inpolicy, .timeout = 60);

static void assert_reads(const char *text, const char *want)
{
	char buf[PA_INRULE_STRLEN];
	struct pa_inrule r;

	cr_assert_eq(pa_inrule_parse(text, &r), 0, "%s", text);
	cr_assert_str_eq(pa_inrule_format(&r, buf), want);
}

Test(inpolicy, text)
{
	static const char *const wrong[] = {"", "/", "tcp/", "/tcp", "80", "0", "256", "47", "80/6", "proto-0", "proto-256", "proto-", "icmp/8", "8/icmp", "80/gre", "tcp/0", "tcp/65536",
					    "tcp/80-", "tcp/-80", "tcp/81-80", "tcp/80-81-82", "80/tcp/", "TCP/80", " tcp/80", "tcp/80 ",
					    "tcp/080", "tcp/+80", "tcp/80 from", "tcp/80 from ", "tcp/80 from 192.0.2.1/24",
					    "tcp/80 from 2001:db8::/32", "tcp/80 from example.net", "tcp/80  from 192.0.2.1",
					    "tcp/80 from 192.0.2.1 from 192.0.2.2", "tcp/80, tcp/81", "any/80", "http"};
	struct pa_inrule r = {.proto = 99};

	assert_reads("5060/udp", "5060/udp");
	assert_reads("udp/5060", "5060/udp");
	assert_reads("tcp/1024-2048 from 198.51.100.0/24", "1024-2048/tcp from 198.51.100.0/24");
	assert_reads("22/tcp from 192.0.2.1", "22/tcp from 192.0.2.1");
	assert_reads("22/tcp from 192.0.2.1/32", "22/tcp from 192.0.2.1");
	assert_reads("22/tcp from 0.0.0.0/0", "22/tcp");
	assert_reads("1-65535/tcp", "1-65535/tcp");
	assert_reads("7-7/sctp", "7/sctp");
	assert_reads("tcp", "tcp");
	assert_reads("icmp", "icmp");
	assert_reads("proto-47", "gre");
	assert_reads("proto-253", "proto-253");
	assert_reads("proto-6/80", "80/tcp");
	assert_reads("any from 255.255.255.255/32", "any from 255.255.255.255");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(pa_inrule_parse(wrong[i], &r), PA_EFORMAT, "%s", wrong[i]);
	cr_assert_eq(r.proto, 99, "touched on failure");
}

static struct pa_inrule random_rule(struct rnd *r)
{
	static const uint8_t protos[] = {0, 1, 6, 17, 47, 132, 253};
	struct pa_inrule rule = {.proto = protos[rnd_below(r, sizeof(protos))], .hi = 65535};

	if (pa_inrule_has_ports(rule.proto) && rnd_below(r, 3) > 0) {
		rule.lo = (uint16_t)(1 + rnd_below(r, 8));
		rule.hi = (uint16_t)(rule.lo + rnd_below(r, 5));
	}
	rule.src_len = (uint8_t)(rnd_below(r, 3) * rnd_below(r, 17));
	if (rule.src_len > 0)
		rule.src = (uint32_t)(0xc0000200u | rnd_below(r, 4)) & (UINT32_MAX << (32 - rule.src_len));
	return rule;
}

Test(inpolicy, random_rules_come_back)
{
	struct rnd r = rnd_seed(3);

	for (int i = 0; i < 20000; i++) {
		struct pa_inrule a[3] = {random_rule(&r), random_rule(&r), random_rule(&r)}, b[3];
		char text[PA_INRULE_STRLEN];
		uint8_t buf[64];
		int n;

		cr_assert_eq(pa_inrule_parse(pa_inrule_format(&a[0], text), &b[0]), 0, "%s", text);
		cr_assert(pa_inrule_eq(&a[0], &b[0]), "%s", text);
		n = pa_inrules_encode(a, 3, buf, sizeof(buf));
		cr_assert_gt(n, 0);
		cr_assert_eq(pa_inrules_decode(buf, (size_t)n, b, 3), 3);
		for (int k = 0; k < 3; k++)
			cr_assert(pa_inrule_eq(&a[k], &b[k]));
		cr_assert_eq(pa_inrules_encode(a, 3, buf, (size_t)n - 1), PA_ETRUNC);
		cr_assert_eq(pa_inrules_decode(buf, (size_t)n, b, 2), PA_ENOMEM);
	}
}

Test(inpolicy, vector)
{
	/* The example of pubaddr-protocol(7). */
	static const uint8_t want[] = {17, 0x40, 0x13, 0xc4, 6, 0x98, 0x04, 0x00, 0x08, 0x00, 198, 51, 100, 1, 0x00, 47, 0x20, 192, 0, 2, 10};
	struct pa_inrule rules[4], back[4];
	uint8_t buf[sizeof(want)];

	cr_assert_eq(pa_inrule_parse("5060/udp", &rules[0]), 0);
	cr_assert_eq(pa_inrule_parse("1024-2048/tcp from 198.51.100.0/24", &rules[1]), 0);
	cr_assert_eq(pa_inrule_parse("icmp", &rules[2]), 0);
	cr_assert_eq(pa_inrule_parse("gre from 192.0.2.10", &rules[3]), 0);
	cr_assert_eq(pa_inrules_encode(rules, 4, buf, sizeof(buf)), (int)sizeof(want));
	cr_assert_eq(memcmp(buf, want, sizeof(want)), 0);
	cr_assert_eq(pa_inrules_decode(want, sizeof(want), back, 4), 4);
}

static int decode(const char *bytes, size_t len)
{
	struct pa_inrule r[4] = {{.proto = 99}};
	int n = pa_inrules_decode((const uint8_t *)bytes, len, r, 4);

	cr_assert(n > 0 || r[0].proto == 99, "touched on failure");
	return n;
}
#define DECODE(bytes) decode(bytes, sizeof(bytes) - 1)

Test(inpolicy, bytes_that_mean_nothing)
{
	cr_assert_eq(DECODE("\x06\x40\x00\x50"), 1);
	cr_assert_eq(DECODE(""), PA_EFORMAT);
	cr_assert_eq(DECODE("\x06"), PA_ETRUNC);
	cr_assert_eq(DECODE("\x06\x40\x00"), PA_ETRUNC);
	cr_assert_eq(DECODE("\x06\x40\x00\x00"), PA_EFORMAT, "port 0");
	cr_assert_eq(DECODE("\x06\xc0\x00\x50"), PA_EFORMAT, "ports of an unknown form");
	cr_assert_eq(DECODE("\x06\x80\x00\x50\x00\x50"), PA_EFORMAT, "a range of one port has another form");
	cr_assert_eq(DECODE("\x06\x80\x00\x51\x00\x50"), PA_EFORMAT, "backwards");
	cr_assert_eq(DECODE("\x01\x40\x00\x50"), PA_EFORMAT, "ICMP has no ports");
	cr_assert_eq(DECODE("\x06\x21\xc0\x00\x02\x00"), PA_EFORMAT, "a prefix of 33 bits");
	cr_assert_eq(DECODE("\x06\x18\xc0\x00"), PA_ETRUNC);
	cr_assert_eq(DECODE("\x06\x11\xc0\x00\x40"), PA_EFORMAT, "bits beyond the prefix");
	cr_assert_eq(DECODE("\x06\x00\x06\x40\x00"), PA_ETRUNC, "the second one is cut");
}

static struct pa_inpolicy random_policy(struct rnd *r)
{
	struct pa_inpolicy p = {.kind = PA_IN_LIST};
	unsigned kind = (unsigned)rnd_below(r, 10);

	if (kind < 2)
		p.kind = kind == 0 ? PA_IN_OPEN : PA_IN_CLOSED;
	for (unsigned i = (unsigned)rnd_below(r, 6); kind >= 2 && i > 0; i--) {
		struct pa_inrule rule = random_rule(r);

		cr_assert_eq(pa_inpolicy_add(&p, &rule), 0);
	}
	return p;
}

Test(inpolicy, stricter_is_what_both_let_pass)
{
	static const uint8_t protos[] = {1, 6, 17, 47, 132, 50};
	struct rnd r = rnd_seed(8);
	unsigned passed = 0;

	for (int i = 0; i < 3000; i++) {
		struct pa_inpolicy a = random_policy(&r), b = random_policy(&r), m, m2;

		cr_assert_eq(pa_inpolicy_meet(&a, &b, &m), 0);
		cr_assert_eq(pa_inpolicy_meet(&b, &a, &m2), 0);
		for (int k = 0; k < 60; k++) {
			uint8_t proto = protos[rnd_below(&r, sizeof(protos))];
			uint16_t port = pa_inrule_has_ports(proto) ? (uint16_t)(1 + rnd_below(&r, 14)) : 0;
			uint32_t src = 0xc0000200u | (uint32_t)rnd_below(&r, 5);
			bool both = pa_inpolicy_passes(&a, proto, port, src) && pa_inpolicy_passes(&b, proto, port, src);

			cr_assert_eq(pa_inpolicy_passes(&m, proto, port, src), both);
			cr_assert_eq(pa_inpolicy_passes(&m2, proto, port, src), both);
			passed += both;
		}
	}
	cr_assert_gt(passed, 10000u, "the test has a point only if some pass");
}

Test(inpolicy, limits)
{
	struct pa_inpolicy a = {.kind = PA_IN_LIST}, b = {.kind = PA_IN_LIST}, m = {.kind = 7};
	struct pa_inrule r = {.proto = 6, .hi = 65535};

	for (unsigned i = 0; i < PA_INRULES_MAX; i++) {
		r.lo = r.hi = (uint16_t)(i + 1);
		cr_assert_eq(pa_inpolicy_add(&a, &r), 0);
	}
	cr_assert_eq(pa_inpolicy_add(&a, &r), 0, "it is there already");
	r.lo = r.hi = 9999;
	cr_assert_eq(pa_inpolicy_add(&a, &r), PA_ENOMEM);
	r = (struct pa_inrule){.proto = 6, .src_len = 32, .src = 1, .hi = 65535};
	cr_assert_eq(pa_inpolicy_add(&b, &r), 0);
	cr_assert_eq(pa_inpolicy_meet(&a, &b, &m), 0);
	cr_assert_eq(m.n, PA_INRULES_MAX);
	r.src = 2;
	cr_assert_eq(pa_inpolicy_add(&b, &r), 0);
	m.kind = 7;
	cr_assert_eq(pa_inpolicy_meet(&a, &b, &m), PA_ENOMEM);
	cr_assert_eq(m.kind, 7, "touched on failure");
	cr_assert_eq(pa_inpolicy_meet(&a, &a, &a), 0);
	cr_assert_eq(a.n, PA_INRULES_MAX);
	cr_assert(pa_inpolicy_eq(&a, &a));
	cr_assert(!pa_inpolicy_eq(&a, &b));
}

static void read_conf(const char *value, struct pa_inpolicy *p, const char *error)
{
	struct pa_conf *conf;
	struct pa_node root;
	char text[256];
	int n = snprintf(text, sizeof(text), "{%s}", value);

	conf = pa_conf_new("x.conf", text, (size_t)n);
	root = pa_conf_root(conf);
	pa_conf_inpolicy(&root, "inbound", p);
	if (error == NULL)
		cr_assert_null(pa_conf_error(conf), "%s", pa_conf_error(conf));
	else
		cr_assert(pa_conf_error(conf) != NULL && strstr(pa_conf_error(conf), error) != NULL, "%s", pa_conf_error(conf));
	pa_conf_free(conf);
}

Test(inpolicy, configuration)
{
	struct pa_inpolicy p;

	read_conf("", &p, NULL);
	cr_assert_eq(p.kind, PA_IN_OPEN);
	read_conf("\"inbound\": \"open\"", &p, NULL);
	cr_assert_eq(p.kind, PA_IN_OPEN);
	read_conf("\"inbound\": \"closed\"", &p, NULL);
	cr_assert_eq(p.kind, PA_IN_CLOSED);
	read_conf("\"inbound\": [\"5060/udp\", \"icmp\"]", &p, NULL);
	cr_assert(p.kind == PA_IN_LIST && p.n == 2 && p.rules[1].proto == 1);
	read_conf("\"inbound\": []", &p, NULL);
	cr_assert(!pa_inpolicy_passes(&p, 6, 80, 1));
	read_conf("\"inbound\": \"list\"", &p, "got \"list\"");
	cr_assert_eq(p.kind, PA_IN_CLOSED, "a mistake must not open");
	read_conf("\"inbound\": 1", &p, "inbound: expected");
	cr_assert_eq(p.kind, PA_IN_CLOSED);
	read_conf("\"inbound\": [\"5060/udp\", \"5060\"]", &p, "item 1 is \"5060\"");
	read_conf("\"inbound\": [5060]", &p, "item 0");
}

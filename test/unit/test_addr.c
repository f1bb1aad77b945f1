/* SPDX-License-Identifier: MPL-2.0 */
/* Addresses, endpoints and prefixes: text forms, membership, and the classes of the IANA registries. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/addr.h"
#include "common/err.h"
#include "test/unit/rnd.h"

TestSuite(addr, .timeout = 20);

static struct pa_addr addr_of(const char *s)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(s, &a), 0, "%s", s);
	return a;
}

static struct pa_prefix prefix_of(const char *s)
{
	struct pa_prefix p;

	cr_assert_eq(pa_prefix_parse(s, &p), 0, "%s", s);
	return p;
}

Test(addr, ipv4_is_held_mapped)
{
	static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 7};
	struct pa_addr a = addr_of("203.0.113.7"), b = pa_addr_from_ipv4(0xcb007107);

	cr_assert_eq(memcmp(a.b, mapped, 16), 0);
	cr_assert(pa_addr_eq(&a, &b));
	cr_assert(pa_addr_is_ipv4(&a));
	cr_assert_eq(pa_addr_to_ipv4(&a), 0xcb007107u);
}

Test(addr, ipv6_and_none)
{
	struct pa_addr six = addr_of("2001:db8::1"), none = addr_of("::");

	cr_assert_not(pa_addr_is_ipv4(&six));
	cr_assert_eq(pa_addr_to_ipv4(&six), 0u);
	cr_assert(pa_addr_is_none(&none));
	cr_assert_not(pa_addr_is_none(&six));
	cr_assert_not(pa_addr_eq(&six, &none));
}

Test(addr, refuses_what_is_no_address)
{
	static const char *const bad[] = {"", " 192.0.2.1", "192.0.2.1 ", "192.0.2", "192.0.2.256", "192.0.2.01x", "::g",
					  "example.org", "192.0.2.1/32", "[::1]", "fe80::1%eth0", "0x7f.1"};
	struct pa_addr a = addr_of("192.0.2.9"), before = a;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(pa_addr_parse(bad[i], &a), PA_EFORMAT, "%s", bad[i]);
		cr_assert(pa_addr_eq(&a, &before), "%s wrote", bad[i]);
	}
}

Test(addr, text_forms_come_back)
{
	struct rnd r = rnd_seed(1);

	for (int i = 0; i < 20000; i++) {
		struct pa_endpoint e, back;
		char text[PA_ENDPOINT_STRLEN], host[PA_ADDR_STRLEN];
		struct pa_addr a;

		rnd_fill(&r, e.addr.b, sizeof(e.addr.b));
		if (rnd_below(&r, 2) == 0)
			e.addr = pa_addr_from_ipv4((uint32_t)rnd_next(&r));
		if (rnd_below(&r, 4) == 0)
			memset(e.addr.b + 2, 0, 8);
		e.port = (uint16_t)(1 + rnd_below(&r, 65535));
		cr_assert_eq(pa_addr_parse(pa_addr_format(&e.addr, host), &a), 0);
		cr_assert(pa_addr_eq(&a, &e.addr), "%s", host);
		cr_assert_eq(pa_endpoint_parse(pa_endpoint_format(&e, text), 0, &back), 0, "%s", text);
		cr_assert(pa_endpoint_eq(&e, &back), "%s", text);
	}
}

Test(addr, prefixes_come_back)
{
	for (unsigned len = 0; len <= 128; len++) {
		struct pa_prefix p = {{{0x20, 1}}, (uint8_t)len}, back;
		char text[PA_PREFIX_STRLEN];
		int rc;

		rc = pa_prefix_parse(pa_prefix_format(&p, text), &back);
		/* 2001::/len has its last bit at 16, so shorter prefixes have host bits set. */
		cr_assert_eq(rc, len >= 16 ? 0 : PA_EFORMAT, "%s", text);
		if (rc == 0)
			cr_assert(back.len == len && pa_addr_eq(&back.addr, &p.addr), "%s", text);
	}
	for (unsigned len = 0; len <= 32; len++) {
		struct pa_prefix p = {pa_addr_from_ipv4(len == 0 ? 0 : 0xffffffffu << (32 - len)), (uint8_t)len}, back;
		char text[PA_PREFIX_STRLEN];

		cr_assert_eq(pa_prefix_parse(pa_prefix_format(&p, text), &back), 0, "%s", text);
		cr_assert(back.len == len && pa_addr_eq(&back.addr, &p.addr), "%s", text);
	}
}

Test(addr, longest_text_forms_fit)
{
	struct pa_endpoint e = {{{0}}, 65535};
	char text[PA_ENDPOINT_STRLEN];

	memset(e.addr.b, 0xff, 16);
	cr_assert_str_eq(pa_endpoint_format(&e, text), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	e.addr = addr_of("255.255.255.255");
	cr_assert_str_eq(pa_endpoint_format(&e, text), "255.255.255.255:65535");
}

Test(addr, endpoint_forms)
{
	static const struct {
		const char *text;
		uint16_t default_port;
		const char *want; /* NULL: refused */
	} rows[] = {
		{"192.0.2.1:6080", 0, "192.0.2.1:6080"},
		{"192.0.2.1", 6080, "192.0.2.1:6080"},
		{"192.0.2.1", 0, NULL},
		{"2001:db8::1", 6080, "[2001:db8::1]:6080"},
		{"2001:db8::1", 0, NULL},
		{"[2001:db8::1]", 6080, "[2001:db8::1]:6080"},
		{"[2001:db8::1]:99", 6080, "[2001:db8::1]:99"},
		{"[192.0.2.1]:99", 0, NULL},
		{"[2001:db8::1", 1, NULL},
		{"[2001:db8::1]x", 1, NULL},
		{"[2001:db8::1]:", 1, NULL},
		{"192.0.2.1:", 1, NULL},
		{"192.0.2.1:0", 1, NULL},
		{"192.0.2.1:65536", 1, NULL},
		{"192.0.2.1:99999999999999999999", 1, NULL},
		{"192.0.2.1:-1", 1, NULL},
		{"192.0.2.1:+1", 1, NULL},
		{"192.0.2.1: 1", 1, NULL},
		{"192.0.2.1:1x", 1, NULL},
		{":6080", 1, NULL},
		{"[]:1", 1, NULL},
		{"", 1, NULL},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", 1, NULL},
	};
	struct pa_endpoint e;
	char text[PA_ENDPOINT_STRLEN];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pa_endpoint untouched;
		int rc;

		memset(&e, 0xa5, sizeof(e));
		memset(&untouched, 0xa5, sizeof(untouched));
		rc = pa_endpoint_parse(rows[i].text, rows[i].default_port, &e);
		cr_assert_eq(rc, rows[i].want != NULL ? 0 : PA_EFORMAT, "%s", rows[i].text);
		if (rows[i].want != NULL)
			cr_assert_str_eq(pa_endpoint_format(&e, text), rows[i].want);
		else
			cr_assert_eq(memcmp(&e, &untouched, sizeof(e)), 0, "%s wrote", rows[i].text);
	}
}

Test(addr, prefix_forms)
{
	static const char *const bad[] = {"192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/ 8",
					  "192.0.2.0/24 ", "/24", "", "2001:db8::/129", "2001:db8::1/64", "192.0.2.0/24/24",
					  "192.0.2.0/999999999999999999999"};
	struct pa_prefix p = prefix_of("198.51.100.0/24");
	char text[PA_PREFIX_STRLEN];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(pa_prefix_parse(bad[i], &p), PA_EFORMAT, "%s", bad[i]);
		cr_assert_str_eq(pa_prefix_format(&p, text), "198.51.100.0/24", "%s wrote", bad[i]);
	}
	p = prefix_of("192.0.2.1");
	cr_assert_str_eq(pa_prefix_format(&p, text), "192.0.2.1/32");
	p = prefix_of("2001:db8::1");
	cr_assert_str_eq(pa_prefix_format(&p, text), "2001:db8::1/128");
}

Test(addr, prefix_contains_its_edges_only)
{
	struct pa_prefix p = prefix_of("203.0.113.64/27"), all4 = prefix_of("0.0.0.0/0"), all6 = prefix_of("::/0");
	struct pa_addr first = addr_of("203.0.113.64"), last = addr_of("203.0.113.95"), below = addr_of("203.0.113.63"),
		       above = addr_of("203.0.113.96"), six = addr_of("2001:db8::1");
	struct pa_prefix p6 = prefix_of("2001:db8:8000::/33");
	struct pa_addr in6 = addr_of("2001:db8:ffff::1"), out6 = addr_of("2001:db8:7fff::1");

	cr_assert(pa_prefix_contains(&p, &first));
	cr_assert(pa_prefix_contains(&p, &last));
	cr_assert_not(pa_prefix_contains(&p, &below));
	cr_assert_not(pa_prefix_contains(&p, &above));
	cr_assert(pa_prefix_contains(&all4, &above));
	cr_assert_not(pa_prefix_contains(&all4, &six));
	cr_assert(pa_prefix_contains(&all6, &six));
	cr_assert_not(pa_prefix_contains(&all6, &first), "an IPv4 address is not in an IPv6 prefix");
	cr_assert(pa_prefix_contains(&p6, &in6));
	cr_assert_not(pa_prefix_contains(&p6, &out6));
}

/* First and last address of each block of the registries, and the neighbours outside. */
static const struct {
	const char *addr;
	enum pa_addr_class class;
} classes[] = {
	{"0.0.0.0", PA_ADDR_UNSPECIFIED},	  {"0.255.255.255", PA_ADDR_UNSPECIFIED},
	{"1.0.0.0", PA_ADDR_GLOBAL},		  {"9.255.255.255", PA_ADDR_GLOBAL},
	{"10.0.0.0", PA_ADDR_PRIVATE},		  {"10.255.255.255", PA_ADDR_PRIVATE},
	{"11.0.0.0", PA_ADDR_GLOBAL},		  {"100.63.255.255", PA_ADDR_GLOBAL},
	{"100.64.0.0", PA_ADDR_PRIVATE},	  {"100.127.255.255", PA_ADDR_PRIVATE},
	{"100.128.0.0", PA_ADDR_GLOBAL},	  {"126.255.255.255", PA_ADDR_GLOBAL},
	{"127.0.0.0", PA_ADDR_LOOPBACK},	  {"127.255.255.255", PA_ADDR_LOOPBACK},
	{"128.0.0.0", PA_ADDR_GLOBAL},		  {"169.253.255.255", PA_ADDR_GLOBAL},
	{"169.254.0.0", PA_ADDR_LINK_LOCAL},	  {"169.254.255.255", PA_ADDR_LINK_LOCAL},
	{"169.255.0.0", PA_ADDR_GLOBAL},	  {"172.15.255.255", PA_ADDR_GLOBAL},
	{"172.16.0.0", PA_ADDR_PRIVATE},	  {"172.31.255.255", PA_ADDR_PRIVATE},
	{"172.32.0.0", PA_ADDR_GLOBAL},		  {"192.0.0.0", PA_ADDR_RESERVED},
	{"192.0.0.255", PA_ADDR_RESERVED},	  {"192.0.1.0", PA_ADDR_GLOBAL},
	{"192.0.2.0", PA_ADDR_DOCUMENTATION},	  {"192.0.2.255", PA_ADDR_DOCUMENTATION},
	{"192.0.3.0", PA_ADDR_GLOBAL},		  {"192.88.99.1", PA_ADDR_RESERVED},
	{"192.167.255.255", PA_ADDR_GLOBAL},	  {"192.168.0.0", PA_ADDR_PRIVATE},
	{"192.168.255.255", PA_ADDR_PRIVATE},	  {"192.169.0.0", PA_ADDR_GLOBAL},
	{"198.17.255.255", PA_ADDR_GLOBAL},	  {"198.18.0.0", PA_ADDR_RESERVED},
	{"198.19.255.255", PA_ADDR_RESERVED},	  {"198.20.0.0", PA_ADDR_GLOBAL},
	{"198.51.100.0", PA_ADDR_DOCUMENTATION},  {"198.51.100.255", PA_ADDR_DOCUMENTATION},
	{"203.0.112.255", PA_ADDR_GLOBAL},	  {"203.0.113.0", PA_ADDR_DOCUMENTATION},
	{"203.0.113.255", PA_ADDR_DOCUMENTATION}, {"203.0.114.0", PA_ADDR_GLOBAL},
	{"223.255.255.255", PA_ADDR_GLOBAL},	  {"224.0.0.0", PA_ADDR_MULTICAST},
	{"239.255.255.255", PA_ADDR_MULTICAST},	  {"240.0.0.0", PA_ADDR_RESERVED},
	{"255.255.255.254", PA_ADDR_RESERVED},	  {"255.255.255.255", PA_ADDR_BROADCAST},
	{"::", PA_ADDR_UNSPECIFIED},		  {"::1", PA_ADDR_LOOPBACK},
	{"::2", PA_ADDR_RESERVED},		  {"64:ff9b::1", PA_ADDR_RESERVED},
	{"100::1", PA_ADDR_RESERVED},		  {"1fff::1", PA_ADDR_RESERVED},
	{"2000::1", PA_ADDR_GLOBAL},		  {"2001::1", PA_ADDR_RESERVED},
	{"2001:1ff::1", PA_ADDR_RESERVED},	  {"2001:200::1", PA_ADDR_GLOBAL},
	{"2001:db7::1", PA_ADDR_GLOBAL},	  {"2001:db8::", PA_ADDR_DOCUMENTATION},
	{"2001:db9::1", PA_ADDR_GLOBAL},	  {"2002:c000:201::1", PA_ADDR_RESERVED},
	{"2003::1", PA_ADDR_GLOBAL},		  {"3ffe::1", PA_ADDR_GLOBAL},
	{"3fff:fff::1", PA_ADDR_DOCUMENTATION},	  {"3fff:1000::1", PA_ADDR_GLOBAL},
	{"4000::1", PA_ADDR_RESERVED},		  {"fbff::1", PA_ADDR_RESERVED},
	{"fc00::1", PA_ADDR_PRIVATE},		  {"fdff::1", PA_ADDR_PRIVATE},
	{"fe7f::1", PA_ADDR_RESERVED},		  {"fe80::1", PA_ADDR_LINK_LOCAL},
	{"febf::1", PA_ADDR_LINK_LOCAL},	  {"fec0::1", PA_ADDR_RESERVED},
	{"ff02::1", PA_ADDR_MULTICAST},
};

Test(addr, classes_of_the_registries)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		struct pa_addr a = addr_of(classes[i].addr);

		cr_assert_eq(pa_addr_classify(&a), classes[i].class, "%s is %s, not %s", classes[i].addr,
			     pa_addr_class_name(pa_addr_classify(&a)), pa_addr_class_name(classes[i].class));
	}
}

Test(addr, class_names_are_known)
{
	for (int c = PA_ADDR_GLOBAL; c <= PA_ADDR_RESERVED; c++)
		cr_assert_str_neq(pa_addr_class_name((enum pa_addr_class)c), "unknown");
	cr_assert_str_eq(pa_addr_class_name((enum pa_addr_class)99), "unknown");
}

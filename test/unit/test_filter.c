/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/hex.h"
#include "tunnel/filter.h"
#include "tunnel/limit.h"

static struct pa_addr addr(const char *text)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(text, &a), 0);
	return a;
}

static struct pa_prefix prefix(const char *text)
{
	struct pa_prefix p;

	cr_assert_eq(pa_prefix_parse(text, &p), 0);
	return p;
}

/* On the heap and of the exact size, so that a sanitizer sees one byte too far. */
static int parse(const char *hex, struct pa_inner *ret)
{
	uint8_t buf[256], *p;
	int n = pa_hex_decode(hex, buf, sizeof(buf)), rc;

	cr_assert(n >= 0, "%s", hex);
	p = malloc((size_t)n + 1);
	memcpy(p, buf, (size_t)n);
	p = realloc(p, n > 0 ? (size_t)n : 1);
	rc = pa_inner_parse(p, (size_t)n, ret);
	free(p);
	return rc;
}

#define TCP4 "450000280001000040060000cb007105c0000201"
#define TCP_HEADER "1000001900000000000000005000000000000000"

Test(filter, parses_ipv4)
{
	struct pa_addr src = addr("203.0.113.5"), dst = addr("192.0.2.1");
	struct pa_inner in, untouched;

	cr_assert_eq(parse(TCP4 TCP_HEADER, &in), 0);
	cr_expect(pa_addr_eq(&in.src, &src));
	cr_expect(pa_addr_eq(&in.dst, &dst));
	cr_expect_eq(in.proto, 6);
	cr_expect_eq(in.dst_port, 25);
	cr_expect_eq(in.len, 40);
	/* With IP options: the ports stand later. */
	cr_assert_eq(parse("4600001c0001000040110000cb007105c000020101010101" "10000035", &in), 0);
	cr_expect_eq(in.proto, 17);
	cr_expect_eq(in.dst_port, 53);
	/* GRE has no ports. */
	cr_assert_eq(parse("450000180001000040" "2f0000cb007105c0000201" "00000800", &in), 0);
	cr_expect_eq(in.proto, 47);
	cr_expect_eq(in.dst_port, 0);
	/* A later fragment shows neither protocol nor ports. */
	cr_assert_eq(parse("450000180001200140060000cb007105c0000201" "00000019", &in), 0);
	cr_expect_eq(in.proto, 0);
	cr_expect_eq(in.dst_port, 0);
	memset(&untouched, 0x77, sizeof(untouched));
	in = untouched;
	cr_expect_eq(parse("350000280001000040060000cb007105c0000201" TCP_HEADER, &in), PA_EFORMAT, "version 3");
	cr_expect_eq(parse("440000280001000040060000cb007105c0000201" TCP_HEADER, &in), PA_EFORMAT, "header of 16");
	cr_expect_eq(parse("4f0000280001000040060000cb007105c0000201" TCP_HEADER, &in), PA_EFORMAT, "header of 60");
	cr_expect_eq(parse("450000290001000040060000cb007105c0000201" TCP_HEADER, &in), PA_EFORMAT, "length + 1");
	cr_expect_eq(parse("450000270001000040060000cb007105c0000201" TCP_HEADER, &in), PA_EFORMAT, "length - 1");
	cr_expect_eq(parse("450000170001200040060000cb007105c0000201" "100000", &in), PA_ETRUNC, "no room for ports");
	cr_expect_eq(parse("4500", &in), PA_ETRUNC);
	cr_expect_eq(parse("", &in), PA_ETRUNC);
	cr_expect_eq(memcmp(&in, &untouched, sizeof(in)), 0);
}

#define V6_ADDRS "2620000000000000000000000000000526200000000000000000000000000006"

Test(filter, parses_ipv6)
{
	struct pa_addr dst = addr("2620::6");
	struct pa_inner in;

	cr_assert_eq(parse("6000000000140640" V6_ADDRS TCP_HEADER, &in), 0);
	cr_expect(pa_addr_eq(&in.dst, &dst));
	cr_expect_eq(in.proto, 6);
	cr_expect_eq(in.dst_port, 25);
	cr_expect_eq(in.len, 60);
	/* Destination options and a first fragment before UDP. */
	cr_assert_eq(parse("6000000000143c40" V6_ADDRS "2c00010400000000" "1100000100000001" "10000035", &in), 0);
	cr_expect_eq(in.proto, 17);
	cr_expect_eq(in.dst_port, 53);
	/* A later fragment. */
	cr_assert_eq(parse("60000000000c2c40" V6_ADDRS "0600000800000001" "00000019", &in), 0);
	cr_expect_eq(in.proto, 0);
	/* Authentication header: counted in words of four. */
	cr_assert_eq(parse("6000000000103340" V6_ADDRS "060100000000000000000001" "10000019", &in), 0);
	cr_expect_eq(in.dst_port, 25);
	cr_expect_eq(parse("6000000000150640" V6_ADDRS TCP_HEADER, &in), PA_EFORMAT);
	cr_expect_eq(parse("6000000000083c40" V6_ADDRS "060a010400000000", &in), PA_ETRUNC, "header past the end");
	cr_expect_eq(parse("6000000000000640" V6_ADDRS, &in), PA_ETRUNC, "TCP without ports");
	cr_expect_eq(parse("6000000000003b40" "00000000000000000000ffffcb007105" "26200000000000000000000000000006",
			   &in), PA_EFORMAT, "an IPv4-mapped source");
	cr_expect_eq(parse("6000000000483c40" V6_ADDRS "3c000104000000003c000104000000003c000104000000003c00010400000000"
			   "3c000104000000003c000104000000003c000104000000003c000104000000003b00010400000000", &in),
		     PA_EFORMAT, "endless headers");
}

static struct pa_inner to(const char *dst, uint8_t proto, uint16_t port)
{
	return (struct pa_inner){.src = addr("203.0.113.5"), .dst = addr(dst), .proto = proto, .dst_port = port,
				 .len = 40};
}

Test(filter, deny)
{
	const struct pa_prefix deny[] = {prefix("9.0.0.0/8"), prefix("203.0.113.1")};
	const struct pa_prefix allow[] = {prefix("192.0.2.0/24"), prefix("9.9.9.9")};
	const struct pa_prefix pools[] = {prefix("203.0.113.0/24")};
	const uint16_t ports[] = {25};
	const struct pa_prefix own[] = {prefix("192.0.2.1"), prefix("9.9.9.9"), prefix("203.0.113.200")};
	struct pa_deny d = {deny, 2, allow, 2, ports, 1, false, pools, 1, own, 0};
	static const struct {
		const char *dst;
		enum pa_verdict verdict;
	} cases[] = {
		{"8.8.8.8", PA_PASS},
		{"9.1.1.1", PA_DROP_DESTINATION},
		{"9.9.9.9", PA_PASS},
		{"192.0.2.10", PA_PASS},
		{"198.51.100.10", PA_DROP_DESTINATION},
		{"203.0.113.1", PA_DROP_DESTINATION},
		{"203.0.113.77", PA_PASS},
		{"10.0.0.1", PA_DROP_DESTINATION},
		{"100.64.1.1", PA_DROP_DESTINATION},
		{"127.0.0.1", PA_DROP_DESTINATION},
		{"169.254.169.254", PA_DROP_DESTINATION},
		{"224.0.0.1", PA_DROP_DESTINATION},
		{"255.255.255.255", PA_DROP_DESTINATION},
		{"0.0.0.0", PA_DROP_DESTINATION},
		{"240.0.0.1", PA_DROP_DESTINATION},
	};
	struct pa_inner in;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in = to(cases[i].dst, 17, 25);
		cr_expect_eq(pa_deny_check(&d, &in), cases[i].verdict, "%s", cases[i].dst);
	}
	d.n_own = 3;
	for (size_t i = 0; i < 3; i++) {
		in = (struct pa_inner){.src = addr("203.0.113.5"), .dst = own[i].addr, .len = 40};
		cr_expect_eq(pa_deny_check(&d, &in), PA_DROP_DESTINATION, "no exception opens this host (%zu)", i);
	}
	in = to("8.8.8.8", 6, 25);
	cr_expect_eq(pa_deny_check(&d, &in), PA_DROP_PORT);
	in = to("203.0.113.77", 6, 25);
	cr_expect_eq(pa_deny_check(&d, &in), PA_DROP_PORT, "also between holders");
	in = to("8.8.8.8", 6, 26);
	cr_expect_eq(pa_deny_check(&d, &in), PA_PASS);
	d.isolate = true;
	in = to("203.0.113.77", 6, 80);
	cr_expect_eq(pa_deny_check(&d, &in), PA_DROP_DESTINATION);
}

Test(filter, ingress)
{
	const struct pa_prefix lan[] = {prefix("8.8.0.0/16")};
	const struct pa_ingress f = {addr("203.0.113.5"), lan, 1};
	static const struct {
		const char *src;
		enum pa_verdict verdict;
	} cases[] = {
		{"9.9.9.9", PA_PASS},		      {"192.0.2.10", PA_PASS},
		{"8.8.8.8", PA_DROP_SOURCE},	      {"203.0.113.5", PA_DROP_SOURCE},
		{"203.0.113.6", PA_PASS},	      {"10.0.0.1", PA_DROP_SOURCE},
		{"192.168.1.1", PA_DROP_SOURCE},      {"100.64.0.1", PA_DROP_SOURCE},
		{"127.0.0.1", PA_DROP_SOURCE},	      {"169.254.0.1", PA_DROP_SOURCE},
		{"224.0.0.1", PA_DROP_SOURCE},	      {"0.0.0.0", PA_DROP_SOURCE},
		{"255.255.255.255", PA_DROP_SOURCE},
	};
	struct pa_inner in = {.dst = addr("203.0.113.5"), .proto = 1, .len = 40};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in.src = addr(cases[i].src);
		cr_expect_eq(pa_ingress_check(&f, &in), cases[i].verdict, "%s", cases[i].src);
	}
	in.src = addr("9.9.9.9");
	in.dst = addr("203.0.113.6");
	cr_expect_eq(pa_ingress_check(&f, &in), PA_DROP_DESTINATION);
}

Test(filter, verdicts_have_names)
{
	for (int v = 0; v < PA_VERDICTS; v++)
		for (int k = 0; k < v; k++)
			cr_expect_str_neq(pa_verdict_name((enum pa_verdict)v), pa_verdict_name((enum pa_verdict)k));
	cr_expect_str_eq(pa_verdict_name(PA_VERDICTS), "unknown");
}

Test(limit, one)
{
	uint64_t tat = 0, now = 5000;
	unsigned n = 0;

	for (unsigned i = 0; i < 10; i++)
		n += pa_limit_one(&tat, now, 1000, 2) ? 1 : 0;
	cr_expect_eq(n, 2);
	cr_expect_not(pa_limit_one(&tat, now + 999, 1000, 2));
	cr_expect(pa_limit_one(&tat, now + 1000, 1000, 2));
	cr_expect_not(pa_limit_one(&tat, now + 1001, 1000, 2));
	/* An hour of silence saves up no more than the burst. */
	for (n = 0; pa_limit_one(&tat, now + 3600000, 1000, 2); n++)
		;
	cr_expect_eq(n, 2);
}

Test(limit, sources)
{
	static const uint8_t key[PA_LIMIT_KEY_LEN] = {1};
	struct pa_addr a = addr("192.0.2.1"), same = addr("192.0.2.200"), other = addr("192.0.3.1");
	struct pa_limit l;

	pa_limit_init(&l, key, 100, 1);
	cr_expect(pa_limit_source(&l, 1000, &a));
	cr_expect_not(pa_limit_source(&l, 1000, &same), "one budget for a /24");
	cr_expect(pa_limit_source(&l, 1000, &other));
	cr_expect(pa_limit_source(&l, 1100, &same));
	a = addr("2620:0:0:100::1");
	same = addr("2620:0:0:1ff::1");
	cr_expect(pa_limit_source(&l, 1000, &a));
	cr_expect_not(pa_limit_source(&l, 1000, &same), "one budget for a /56");
}

/* SPDX-License-Identifier: MPL-2.0 */
/* The tables of the kernel's data path say of every address what the rules say that they were made of. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tunnel/dp_far.h"

static unsigned look_up(const struct pa_far *f, uint32_t a)
{
	unsigned v = (unsigned)(f->far[a >> 19] >> ((a >> 16) % 8 * 8)) & 0xff;
	size_t bit = a & 0xffff;

	if (v < PA_K_FAR_BLOCK || v == PA_K_FAR_ASK)
		return v;
	return (unsigned)(f->bits[(v - PA_K_FAR_BLOCK + 1) * PA_K_BLOCK_WORDS + bit / 64] >> (bit % 64)) & 1;
}

static struct pa_prefix prefix(const char *text)
{
	struct pa_prefix p;

	cr_assert_eq(pa_prefix_parse(text, &p), 0, "%s", text);
	return p;
}

/* Addresses near the ends of prefixes, and any. */
static uint32_t some_address(const struct pa_prefix *near, size_t n, uint32_t *seed)
{
	const struct pa_prefix *p;
	uint32_t r;

	*seed = *seed * 1664525 + 1013904223;
	r = *seed >> 8;
	if (r % 3 == 0)
		return *seed ^ r << 8;
	p = &near[r / 3 % n];
	return pa_addr_to_ipv4(&p->addr) + (r % 2 == 0 || p->len >= 32 ? 0 : UINT32_MAX >> p->len) + (r >> 4) % 3 - 1;
}

static void compare_destinations(const struct pa_deny *d, const struct pa_prefix *near, size_t n)
{
	struct pa_far *f = calloc(1, sizeof(*f));
	uint32_t seed = 1;

	cr_assert_eq(pa_far_destinations(d, f), 0);
	for (int i = 0; i < 200000; i++) {
		uint32_t a = some_address(near, n, &seed);
		const struct pa_inner in = {.dst = pa_addr_from_ipv4(a)};

		cr_assert_eq(look_up(f, a), pa_deny_check(d, &in) == PA_PASS ? PA_K_FAR_PASS : PA_K_FAR_DROP, "%08x", a);
	}
	for (uint32_t port = 0; port < 65536; port++) {
		const struct pa_inner in = {.dst = pa_addr_from_ipv4(0x01020304), .proto = 6, .dst_port = (uint16_t)port};

		cr_assert_eq(f->bits[port / 64] >> port % 64 & 1, pa_deny_check(d, &in) == PA_DROP_PORT, "%u", port);
	}
	free(f);
}

Test(dp_far, destinations)
{
	const struct pa_prefix near[] = {prefix("203.0.113.0/24"), prefix("192.0.2.0/24"), prefix("192.0.2.17/32"), prefix("10.0.0.0/8"),
					 prefix("10.5.0.0/16"),	   prefix("8.8.8.8/32"),   prefix("0.0.0.0/8"),	    prefix("255.255.255.255/32"),
					 prefix("4.0.0.0/9"),	   prefix("4.128.0.0/32"), prefix("172.16.0.0/12"), prefix("224.0.0.0/4")};
	const uint16_t ports[] = {25, 65535};
	struct pa_deny d = {.pools = near, .n_pools = 1, .allow = near + 1, .n_allow = 1, .own = near + 2, .n_own = 1,
			    .ports = ports, .n_ports = 2};

	compare_destinations(&d, near, 12);
	d.isolate = true;
	d.allow = near + 4;
	d.deny = near + 5;
	d.n_deny = 4;
	compare_destinations(&d, near, 12);
}

Test(dp_far, sources)
{
	const struct pa_prefix lan[] = {prefix("198.51.100.8/29"), prefix("8.8.0.0/16"), prefix("100.64.3.0/24")};
	const struct pa_ingress rule = {.addr = pa_addr_from_ipv4(0xcb007107), .lan = lan, .n_lan = 3};
	struct pa_far *f = calloc(1, sizeof(*f));
	uint32_t seed = 7;

	cr_assert_eq(pa_far_sources(&rule, f), 0);
	for (int i = 0; i < 200000; i++) {
		uint32_t a = some_address(lan, 3, &seed);
		const struct pa_inner in = {.src = pa_addr_from_ipv4(a), .dst = rule.addr};

		cr_assert_eq(look_up(f, a), pa_ingress_check(&rule, &in) == PA_PASS ? PA_K_FAR_PASS : PA_K_FAR_DROP, "%08x", a);
	}
	cr_expect_eq(look_up(f, 0xcb007107), PA_K_FAR_DROP, "P itself");
	free(f);
}

/* More divided stretches than there are blocks: the daemon is asked about the rest, and never is a refused one let through. */
Test(dp_far, asks_when_full)
{
	enum { N = 200 };
	struct pa_prefix deny[N];
	const struct pa_deny d = {.deny = deny, .n_deny = N};
	struct pa_far *f = calloc(1, sizeof(*f));
	unsigned asked = 0;

	for (uint32_t i = 0; i < N; i++)
		deny[i] = (struct pa_prefix){pa_addr_from_ipv4(0x20000001 + (i << 16)), 32};
	cr_assert_eq(pa_far_destinations(&d, f), 0);
	for (uint32_t i = 0; i < N; i++) {
		unsigned v = look_up(f, 0x20000001 + (i << 16));

		cr_assert_neq(v, PA_K_FAR_PASS);
		asked += v == PA_K_FAR_ASK;
	}
	cr_expect_gt(asked, 0);
	cr_expect_lt(asked, N);
	free(f);
}

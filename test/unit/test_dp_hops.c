/* SPDX-License-Identifier: MPL-2.0 */
/* Routes as a table of next hops: for any address the table says what the kernel's choice would be, or that it has to be asked. */
#include <criterion/criterion.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/dp_hops.h"
#include "tunnel/dp_routes.h"
#include "tunnel/net_hops.h"

TestSuite(dp_hops, .timeout = 60);

static struct pa_hop_route plain(uint32_t dst, uint8_t len, uint32_t gateway)
{
	return (struct pa_hop_route){.dst = dst, .len = len, .plain = true, .gateway = gateway, .ifindex = 2};
}

/* The gateway that the table has for an address; 0: the kernel is to be asked. */
static uint32_t gateway_of(const struct pa_hops *h, uint32_t addr)
{
	unsigned n = (unsigned)(h->ways[addr >> 19] >> (addr >> 16 & 7) * 8) & 0xff;

	cr_assert_lt(n, PA_K_HOPS);
	return h->hop[n].gateway;
}

Test(dp_hops, longer_prefixes_win)
{
	struct pa_hop_route r[] = {plain(0x0a000000, 8, 2), plain(0, 0, 1), plain(0x0a010000, 16, 3), plain(0x0b000000, 9, 3)};
	static struct pa_hops h;

	pa_hops_make(r, 4, &h);
	cr_expect_eq(gateway_of(&h, 0xffffffff), 1);
	cr_expect_eq(gateway_of(&h, 0), 1);
	cr_expect_eq(gateway_of(&h, 0x0a00ffff), 2);
	cr_expect_eq(gateway_of(&h, 0x0affffff), 2);
	cr_expect_eq(gateway_of(&h, 0x0a010203), 3);
	cr_expect_eq(gateway_of(&h, 0x0a020000), 2);
	cr_expect_eq(gateway_of(&h, 0x0b7fffff), 3);
	cr_expect_eq(gateway_of(&h, 0x0b800000), 1);
}

Test(dp_hops, asks_where_it_is_not_plain)
{
	struct pa_hop_route r[] = {plain(0, 0, 1), plain(0x0a010280, 25, 2), plain(0x0a020000, 16, 2), plain(0x0a030000, 16, 2),
				   plain(0x0a030000, 16, 3), plain(0x0a040000, 16, 2), plain(0x0a050000, 16, 2)};
	static struct pa_hops h;

	r[2].plain = false;
	r[5].local = true;
	pa_hops_make(r, 7, &h);
	cr_expect_eq(gateway_of(&h, 0x0a010000), 0, "a part of it goes elsewhere");
	cr_expect_eq(gateway_of(&h, 0x0a020000), 0);
	cr_expect_eq(gateway_of(&h, 0x0a030000), 0, "one of two");
	cr_expect_eq(gateway_of(&h, 0x0a040000), 0, "this host's");
	cr_expect_eq(gateway_of(&h, 0x0a050000), 2);
	cr_expect_eq(gateway_of(&h, 0x0a060000), 1);
}

/* The table "local" comes first, however short its prefixes are. */
Test(dp_hops, local_before_main)
{
	struct pa_hop_route r[] = {plain(0x7f000000, 8, 1), plain(0x7f010000, 16, 2)};
	static struct pa_hops h;

	r[0].local = true;
	pa_hops_make(r, 2, &h);
	cr_expect_eq(gateway_of(&h, 0x7f010000), 0);
	pa_hops_make(NULL, 0, &h);
	cr_expect_eq(gateway_of(&h, 0x7f010000), 0);
}

Test(dp_hops, more_than_there_is_place_for)
{
	struct pa_hop_route r[100];
	static struct pa_hops h;

	for (uint32_t i = 0; i < 100; i++)
		r[i] = plain((i + 1) << 24, 8, i + 1);
	pa_hops_make(r, 100, &h);
	for (uint32_t i = 0; i < 100; i++)
		cr_expect_eq(gateway_of(&h, ((i + 1) << 24) + 0x10203), i < PA_K_HOPS - 1 ? i + 1 : 0, "%u", i);
}

/* ---- the kernel's ---- */

static void shell(const char *line)
{
	cr_assert_eq(system(line), 0, "%s", line);
}

static void new_world(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		cr_skip_test("needs root for namespaces");
	shell("ip link set lo up && ip link add eth0 type veth peer name far && ip link set far up && ip link set eth0 up && "
	      "ip addr add 198.51.100.10/29 dev eth0 && ip route add default via 198.51.100.9");
}

Test(dp_hops, reads_routes)
{
	static struct pa_hops h;
	struct pa_nl *nl;

	new_world();
	cr_assert_eq(pa_nl_open(&nl), 0);
	shell("ip route add 45.0.0.0/8 via 198.51.100.12 && ip route add 46.0.0.0/8 dev eth0 && ip route add blackhole 47.0.0.0/8 && "
	      "ip route add 48.0.0.0/8 nexthop via 198.51.100.9 nexthop via 198.51.100.12 && "
	      "ip route add 49.0.0.0/8 via 198.51.100.9 mtu 1400 && ip route add 50.0.0.0/8 via 198.51.100.12 tos 0x10 && "
	      "ip route add 51.0.0.0/8 via 198.51.100.12 table 7");
	cr_assert_eq(pa_net_hops_read(nl, &h), 0);
	cr_expect_eq(gateway_of(&h, 0x08080808), 0xc6336409);
	cr_expect_eq(h.hop[1].ifindex, if_nametoindex("eth0"));
	cr_expect_eq(gateway_of(&h, 45u << 24), 0xc633640c);
	for (uint32_t i = 46; i <= 50; i++)
		cr_expect_eq(gateway_of(&h, i << 24), 0, "%u", i);
	cr_expect_eq(gateway_of(&h, 51u << 24), 0xc6336409, "another table is nobody's without a rule");
	cr_expect_eq(gateway_of(&h, 0xc633640a), 0, "on the link");
	shell("ip rule add from 10.0.0.0/8 lookup 7");
	cr_expect_eq(pa_net_hops_read(nl, &h), PA_ENOTSUP);
	pa_nl_close(nl);
}

struct ear {
	uv_loop_t loop;
	unsigned nulls, tables;
	uint32_t gateway;
};

static void on_told(void *ctx, const struct pa_hops *h)
{
	struct ear *e = ctx;

	if (h == NULL) {
		e->nulls++;
		return;
	}
	e->tables++;
	e->gateway = gateway_of(h, 0x08080808);
	uv_stop(&e->loop);
}

static void keep(uv_timer_t *t)
{
	(void)t;
}

Test(dp_hops, tells_changes)
{
	struct pa_routes *r;
	struct ear e = {.nulls = 0};
	uv_timer_t awake;
	unsigned before;

	new_world();
	cr_assert_eq(uv_loop_init(&e.loop), 0);
	cr_assert_eq(uv_timer_init(&e.loop, &awake), 0);
	cr_assert_eq(uv_timer_start(&awake, keep, 100, 100), 0); /* the watch does not keep the loop alive */
	cr_assert_eq(pa_routes_new(&e.loop, on_told, &e, &r), 0);
	(void)uv_run(&e.loop, UV_RUN_DEFAULT);
	cr_expect_eq(e.gateway, 0xc6336409);
	before = e.nulls; /* the new world itself may still be settling */
	shell("ip route replace default via 198.51.100.12");
	while (e.gateway != 0xc633640c)
		(void)uv_run(&e.loop, UV_RUN_DEFAULT);
	cr_expect_gt(e.nulls, before, "before the new ones are known the old ones do not count");
	pa_routes_close(r);
	uv_close((uv_handle_t *)&awake, NULL);
	cr_expect_eq(uv_run(&e.loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(uv_loop_close(&e.loop), 0);
}

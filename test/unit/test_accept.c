/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "common/err.h"
#include "test/sim/peer.h"
#include "tunnel/accept.h"

static struct pa_prefix prefix(const char *text)
{
	struct pa_prefix p;

	cr_assert_eq(pa_prefix_parse(text, &p), 0);
	return p;
}

static struct pa_addr addr(const char *text)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(text, &a), 0);
	return a;
}

/* A home LAN and a grant that it accepts. */
struct fx {
	struct pa_grant g;
	struct pa_prefix on_link[1], networks[1];
	struct pa_addr own[1], hosts[1];
	uint8_t keys[1][PA_KEY_LEN];
	struct pa_accept_context ctx;
	char err[PA_ACCEPT_ERRLEN];
};

static void setup(struct fx *f)
{
	memset(f, 0, sizeof(*f));
	cr_assert_eq(pa_cred_init(), 0);
	peer_grant(0, 5, 1, PEER_UNIX + 3600, true, &f->g);
	f->g.claims.addr = addr("8.8.4.4");
	f->g.gateways[0] = peer_at("9.9.9.9:6080");
	f->on_link[0] = prefix("10.1.0.0/24");
	f->own[0] = addr("10.1.0.5");
	f->hosts[0] = addr("10.1.0.1");
	f->ctx.on_link = f->on_link;
	f->ctx.n_on_link = 1;
	f->ctx.own = f->own;
	f->ctx.n_own = 1;
	f->ctx.lan_hosts = f->hosts;
	f->ctx.n_lan_hosts = 1;
	f->ctx.link_mtu = 1500;
	f->ctx.dhcp_lease_time = 3600;
}

static int judge(struct fx *f)
{
	f->err[0] = '\0';
	return pa_accept_grant(&f->g, &f->ctx, f->err);
}

/* One change to the good case, and a word that the reason must contain. */
#define DENIED(change, word)                                                                                           \
	do {                                                                                                           \
		struct fx f_, *f = &f_;                                                                                \
		setup(f);                                                                                              \
		change;                                                                                                \
		cr_expect_eq(judge(f), PA_EDENIED, "%s", #change);                                                     \
		cr_expect(strstr(f->err, word) != NULL, "%s: %s", #change, f->err);                                    \
	} while (0)
#define ACCEPTED(change)                                                                                               \
	do {                                                                                                           \
		struct fx f_, *f = &f_;                                                                                \
		setup(f);                                                                                              \
		change;                                                                                                \
		cr_expect_eq(judge(f), 0, "%s: %s", #change, f->err);                                                  \
	} while (0)

Test(accept, good_grant)
{
	struct fx f;
	struct pa_grant before;

	setup(&f);
	before = f.g;
	cr_assert_eq(judge(&f), 0, "%s", f.err);
	cr_expect_eq(memcmp(&before, &f.g, sizeof(before)), 0, "changed for nothing");
}

Test(accept, address)
{
	DENIED(f->g.claims.addr = addr("10.9.9.9"), "private");
	DENIED(f->g.claims.addr = addr("100.64.0.1"), "private");
	DENIED(f->g.claims.addr = addr("127.0.0.1"), "loopback");
	DENIED(f->g.claims.addr = addr("224.0.0.1"), "multicast");
	DENIED(f->g.claims.addr = addr("255.255.255.255"), "broadcast");
	DENIED(f->g.claims.addr = addr("169.254.1.1"), "link-local");
	DENIED(f->g.claims.addr = addr("203.0.113.5"), "allow-documentation");
	ACCEPTED(f->g.claims.addr = addr("203.0.113.5"); f->ctx.allow_documentation = true);
	DENIED(f->on_link[0] = prefix("8.8.4.0/24"), "LAN's own network");
	DENIED(f->own[0] = addr("8.8.4.4"), "this host's own");
	DENIED(f->hosts[0] = addr("8.8.4.4"), "router");
	DENIED(f->g.claims.prefix_len = 27, "/27");
	ACCEPTED(f->g.claims.prefix_len = 28);
	DENIED(f->g.claims.prefix_len = 28; f->own[0] = addr("8.8.4.15"), "this host's own");
	DENIED(f->g.claims.prefix_len = 28; f->on_link[0] = prefix("8.8.4.8/30"), "LAN's own network");
	ACCEPTED(f->g.claims.prefix_len = 28; f->own[0] = addr("8.8.4.16"));
	DENIED(f->networks[0] = prefix("8.8.8.0/24"); f->ctx.networks = f->networks; f->ctx.n_networks = 1, "networks");
	ACCEPTED(f->networks[0] = prefix("8.8.0.0/16"); f->ctx.networks = f->networks; f->ctx.n_networks = 1);
}

Test(accept, gateways)
{
	DENIED(f->g.gateways[0] = peer_at("224.0.0.5:6080"), "multicast");
	DENIED(f->g.gateways[0] = peer_at("127.0.0.1:6080"), "loopback");
	DENIED(f->g.gateways[0] = peer_at("198.51.100.10:6080"), "documentation");
	ACCEPTED(f->g.gateways[0] = peer_at("198.51.100.10:6080"); f->ctx.allow_documentation = true);
	ACCEPTED(f->g.gateways[0] = peer_at("10.200.0.1:6080"));
	DENIED(f->g.gateways[0] = peer_at("8.8.4.4:6080"), "granted address itself");
	DENIED(f->g.gateways[0] = peer_at("10.1.0.5:6080"), "this host itself");
	DENIED(f->g.n_gateways = 2; f->g.gateways[1] = peer_at("224.0.0.5:6080"), "multicast");
	DENIED(f->g.n_gateways = 0, "0 gateways");
	DENIED(f->ctx.gateway_keys = f->keys; f->ctx.n_gateway_keys = 1, "gateway-keys");
	ACCEPTED(f->ctx.gateway_keys = f->keys; f->ctx.n_gateway_keys = 1;
		 memcpy(f->keys[0], f->g.gateway_key, PA_KEY_LEN));
}

Test(accept, policy)
{
	DENIED(f->g.lifetime = 0, "withdrawal");
	DENIED(f->g.lifetime = 3661, "lives");
	ACCEPTED(f->g.lifetime = 3660);
	ACCEPTED(f->g.lifetime = 100000; f->ctx.dhcp_lease_time = 0);
	ACCEPTED(f->g.lifetime = UINT32_MAX; f->ctx.dhcp_lease_time = UINT32_MAX);
	ACCEPTED(f->g.lifetime = UINT32_MAX; f->ctx.dhcp_lease_time = 0);
	DENIED(f->g.keepalive = 14, "keepalive");
	DENIED(f->g.keepalive = 121, "keepalive");
	ACCEPTED(f->g.keepalive = 120);
	DENIED(f->g.mtu = 1279, "1279");
	DENIED(f->ctx.link_mtu = 1307, "1307");
	ACCEPTED(f->ctx.link_mtu = 1308);
	DENIED(f->g.claims.outbound = 4, "mode");
	DENIED(f->g.claims.inbound = 3, "mode");
}

Test(accept, defaults_and_limits)
{
	struct fx f;

	setup(&f);
	f.g.mtu = 0;
	f.g.keepalive = 0;
	cr_assert_eq(judge(&f), 0);
	cr_expect_eq(f.g.mtu, 1472);
	cr_expect_eq(f.g.keepalive, 25);
	setup(&f);
	f.g.mtu = 9000;
	cr_assert_eq(judge(&f), 0);
	cr_expect_eq(f.g.mtu, 1472, "1500 less the outer headers");
	f.ctx.link_mtu = 9000;
	f.g.mtu = 9000;
	cr_assert_eq(judge(&f), 0);
	cr_expect_eq(f.g.mtu, 8972);
	setup(&f);
	f.g.gateways[0] = peer_at("[2620:fe::fe]:6080");
	cr_assert_eq(judge(&f), 0, "%s", f.err);
	cr_expect_eq(f.g.mtu, 1452, "IPv6 outside takes 20 more");
}

Test(accept, ipv6)
{
	ACCEPTED(f->g.claims.addr = addr("2620:fe::5"); f->g.claims.prefix_len = 128);
	ACCEPTED(f->g.claims.addr = addr("2620:fe::5"); f->g.claims.prefix_len = 124);
	DENIED(f->g.claims.addr = addr("2620:fe::5"); f->g.claims.prefix_len = 123, "/123");
	DENIED(f->g.claims.addr = addr("fd00::5"); f->g.claims.prefix_len = 128, "private");
	DENIED(f->g.claims.addr = addr("2001:db8::5"); f->g.claims.prefix_len = 128, "documentation");
}

/* A DHCP lease without an end, or one whose length nobody told, does not make a grant for ever. */
Test(accept, lifetime_is_bounded)
{
	struct fx f;

	setup(&f);
	f.ctx.dhcp_lease_time = UINT32_MAX;
	f.g.lifetime = UINT32_MAX;
	cr_assert_eq(judge(&f), 0, "%s", f.err);
	cr_expect_eq(f.g.lifetime, PA_LIFETIME_MAX);
	f.ctx.dhcp_lease_time = 0;
	f.g.lifetime = PA_LIFETIME_MAX + 1;
	cr_assert_eq(judge(&f), 0, "%s", f.err);
	cr_expect_eq(f.g.lifetime, PA_LIFETIME_MAX);
	f.g.lifetime = PA_LIFETIME_MAX - 1;
	cr_assert_eq(judge(&f), 0, "%s", f.err);
	cr_expect_eq(f.g.lifetime, PA_LIFETIME_MAX - 1);
}

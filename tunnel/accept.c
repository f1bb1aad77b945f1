/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/accept.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"

#define BLOCK_BITS_MAX 4u /* a grant is a /28 at most (IPv6: /124) */
#define UDP_HEADER 8

static int deny(char *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int deny(char *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err, PA_ACCEPT_ERRLEN, fmt, ap);
	va_end(ap);
	return PA_EDENIED;
}

static unsigned full_length(const struct pa_addr *a)
{
	return pa_addr_is_ipv4(a) ? 32 : 128;
}

/* True if both addresses agree in the first len bits (of their family's length). */
static bool same_prefix(const struct pa_addr *a, const struct pa_addr *b, unsigned len)
{
	unsigned bits = len + (pa_addr_is_ipv4(a) ? 96 : 0), whole = bits / 8, rest = bits % 8;

	if (pa_addr_is_ipv4(a) != pa_addr_is_ipv4(b) || memcmp(a->b, b->b, whole) != 0)
		return false;
	return rest == 0 || (a->b[whole] ^ b->b[whole]) >> (8 - rest) == 0;
}

/* True if a is one of the addresses that the grant is for. */
static bool in_grant(const struct pa_claims *c, const struct pa_addr *a)
{
	return same_prefix(&c->addr, a, c->prefix_len);
}

static bool overlaps(const struct pa_claims *c, const struct pa_prefix *p)
{
	return same_prefix(&c->addr, &p->addr, c->prefix_len < p->len ? c->prefix_len : p->len);
}

static bool class_allowed(const struct pa_addr *a, const struct pa_accept_context *ctx)
{
	enum pa_addr_class class = pa_addr_classify(a);

	return class == PA_ADDR_GLOBAL || (class == PA_ADDR_DOCUMENTATION && ctx->allow_documentation);
}

static int check_address(const struct pa_claims *c, const struct pa_accept_context *ctx, char *err)
{
	char text[PA_ADDR_STRLEN], other[PA_PREFIX_STRLEN];
	const struct pa_addr *a = &c->addr;
	bool allowed = ctx->n_networks == 0;

	(void)pa_addr_format(a, text);
	if (!class_allowed(a, ctx))
		return deny(err, "the granted address %s is a %s address, not a global unicast one%s", text,
			    pa_addr_class_name(pa_addr_classify(a)),
			    pa_addr_classify(a) == PA_ADDR_DOCUMENTATION ?
				    "; in a laboratory \"allow-documentation\" in tunneld.conf lets it pass" : "");
	if (c->prefix_len > full_length(a) || full_length(a) - c->prefix_len > BLOCK_BITS_MAX)
		return deny(err, "the grant of %s is for a /%u, at most a /%u is accepted", text, c->prefix_len,
			    full_length(a) - BLOCK_BITS_MAX);
	for (size_t i = 0; i < ctx->n_networks && !allowed; i++)
		allowed = pa_prefix_contains(&ctx->networks[i], a);
	if (!allowed)
		return deny(err, "the granted address %s is in none of the configured \"networks\"", text);
	for (size_t i = 0; i < ctx->n_on_link; i++)
		if (overlaps(c, &ctx->on_link[i]))
			return deny(err, "the granted address %s is in the LAN's own network %s", text,
				    pa_prefix_format(&ctx->on_link[i], other));
	for (size_t i = 0; i < ctx->n_own; i++)
		if (in_grant(c, &ctx->own[i]))
			return deny(err, "the granted address %s is this host's own already", text);
	for (size_t i = 0; i < ctx->n_lan_hosts; i++)
		if (in_grant(c, &ctx->lan_hosts[i]))
			return deny(err, "the granted address %s is the LAN's router, resolver or DHCP server", text);
	return 0;
}

/* A private gateway is fine: what a site calls public may be its own backbone, and the DHCP server names the gateways. */
static int check_gateways(const struct pa_grant *g, const struct pa_accept_context *ctx, char *err)
{
	char text[PA_ENDPOINT_STRLEN];

	if (g->n_gateways == 0 || g->n_gateways > PA_GATEWAYS_MAX)
		return deny(err, "the grant names %u gateways, 1 to %d are accepted", g->n_gateways, PA_GATEWAYS_MAX);
	for (unsigned i = 0; i < g->n_gateways; i++) {
		const struct pa_addr *a = &g->gateways[i].addr;

		(void)pa_endpoint_format(&g->gateways[i], text);
		if (!class_allowed(a, ctx) && pa_addr_classify(a) != PA_ADDR_PRIVATE)
			return deny(err, "the gateway %s has a %s address, not a unicast one that can be reached", text,
				    pa_addr_class_name(pa_addr_classify(a)));
		if (g->gateways[i].port == 0)
			return deny(err, "the gateway %s has no port", text);
		if (in_grant(&g->claims, a))
			return deny(err, "the gateway %s is the granted address itself", text);
		for (size_t k = 0; k < ctx->n_own; k++)
			if (pa_addr_eq(a, &ctx->own[k]))
				return deny(err, "the gateway %s is this host itself", text);
	}
	return 0;
}

static int check_gateway_key(const struct pa_grant *g, const struct pa_accept_context *ctx, char *err)
{
	bool allowed = ctx->n_gateway_keys == 0;

	for (size_t i = 0; i < ctx->n_gateway_keys && !allowed; i++)
		allowed = pa_secret_eq(g->gateway_key, ctx->gateway_keys[i], PA_KEY_LEN);
	return allowed ? 0 : deny(err, "the grant's gateway key is none of the configured \"gateway-keys\"");
}

/* The room that the outer headers leave; every gateway of the list must do. */
static uint16_t link_limit(const struct pa_grant *g, uint16_t link_mtu)
{
	unsigned overhead = 20 + UDP_HEADER;

	for (unsigned i = 0; i < g->n_gateways; i++)
		if (!pa_addr_is_ipv4(&g->gateways[i].addr))
			overhead = 40 + UDP_HEADER;
	return link_mtu > overhead ? (uint16_t)(link_mtu - overhead) : 0;
}

static int check_policy(const struct pa_grant *g, const struct pa_accept_context *ctx, char *err)
{
	if (g->lifetime == 0)
		return deny(err, "the grant is a withdrawal (lifetime 0), there is nothing to accept");
	if (ctx->dhcp_lease_time > 0 && g->lifetime > (uint64_t)ctx->dhcp_lease_time + PA_GRANT_GRACE)
		return deny(err, "the grant lives %u s, the DHCP lease only %u s (and %d s of grace)", g->lifetime,
			    ctx->dhcp_lease_time, PA_GRANT_GRACE);
	if (g->keepalive != 0 && (g->keepalive < PA_KEEPALIVE_MIN || g->keepalive > PA_KEEPALIVE_MAX))
		return deny(err, "the grant's keepalive of %u s is outside %d to %d", g->keepalive, PA_KEEPALIVE_MIN,
			    PA_KEEPALIVE_MAX);
	if (g->mtu != 0 && g->mtu < PA_MTU_MIN)
		return deny(err, "the grant's MTU of %u is below %d", g->mtu, PA_MTU_MIN);
	if (ctx->link_mtu != 0 && link_limit(g, ctx->link_mtu) < PA_MTU_MIN)
		return deny(err, "the LAN interface's MTU of %u leaves no room for an inner MTU of %d", ctx->link_mtu,
			    PA_MTU_MIN);
	if (g->claims.outbound > PA_OUT_POLICY || g->claims.inbound > PA_IN_LIST)
		return deny(err, "the grant asks for a mode that this version does not know (outbound %u, inbound %u)",
			    g->claims.outbound, g->claims.inbound);
	return 0;
}

int pa_accept_grant(struct pa_grant *g, const struct pa_accept_context *ctx, char err[PA_ACCEPT_ERRLEN])
{
	uint16_t limit;

	if (check_policy(g, ctx, err) < 0 || check_address(&g->claims, ctx, err) < 0 ||
	    check_gateways(g, ctx, err) < 0 || check_gateway_key(g, ctx, err) < 0)
		return PA_EDENIED;
	if (g->mtu == 0)
		g->mtu = PA_MTU_DEFAULT;
	limit = ctx->link_mtu != 0 ? link_limit(g, ctx->link_mtu) : g->mtu;
	if (g->mtu > limit)
		g->mtu = limit;
	if (g->keepalive == 0)
		g->keepalive = PA_KEEPALIVE_DEFAULT;
	/* A DHCP lease may be for ever (RFC 2131, section 3.3); what nobody renews should not hold a host's routes that long. */
	if (g->lifetime > PA_LIFETIME_MAX)
		g->lifetime = PA_LIFETIME_MAX;
	return 0;
}

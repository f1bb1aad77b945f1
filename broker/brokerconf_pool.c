/* SPDX-License-Identifier: MPL-2.0 */
/* Gateway groups and pools of brokerd.conf, and the arithmetic of a pool's addresses. */
#include "broker/brokerconf_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/grant.h"
#include "common/relay.h"

#define POOL_PREFIX_MIN 8 /* a /8 has 16 million addresses */

/* Bytes of a grant but for its gateways: format, claims, lifetime, secret, gateway key, MTU, keepalive. */
#define GRANT_FIXED_LEN (1 + (2 + PA_CLAIMS_LEN) + (2 + 4) + 2 * (2 + PA_KEY_LEN) + (2 + 2) + (2 + 2))

static void copy_name(char dst[PA_NAME_MAX + 1], const char *name)
{
	(void)snprintf(dst, PA_NAME_MAX + 1, "%s", name);
}

/* s, given at key, is where clients shall send to. */
static void check_reachable(const struct pa_node *n, const char *key, const char *s, const struct pa_endpoint *e)
{
	enum pa_addr_class c = pa_addr_classify(&e->addr);

	if (c == PA_ADDR_UNSPECIFIED || c == PA_ADDR_MULTICAST || c == PA_ADDR_BROADCAST)
		pa_node_fail(n, key, "\"%s\" is a%s %s address; write the gateway's own", s, c == PA_ADDR_UNSPECIFIED ? "n" : "",
			     pa_addr_class_name(c));
}

static void read_gateway(const struct pa_node *n, size_t i, struct pa_gateway_group *g)
{
	const char *s = pa_node_item_string(n, "gateways", i);
	struct pa_endpoint *e = &g->gateways[i];

	if (pa_endpoint_parse(s, PA_GUE_PORT, e) < 0) {
		pa_node_fail(n, "gateways", "expected addresses with ports, such as \"198.51.100.10:6080\", got \"%s\"", s);
		return;
	}
	check_reachable(n, "gateways", s, e);
	for (size_t k = 0; k < i; k++)
		if (pa_endpoint_eq(e, &g->gateways[k]))
			pa_node_fail(n, "gateways", "\"%s\" stands twice; leave one out", s);
	g->n_gateways++;
}

/* Of the TLV of an endpoint. */
static size_t tlv_len(const struct pa_endpoint *e)
{
	return pa_addr_is_ipv4(&e->addr) ? 8 : 20;
}

static void read_relay(const struct pa_node *root, struct pa_gateway_group *g)
{
	static const char *const keys[] = {"address", NULL};
	struct pa_node n = pa_node_object(root, "relay", false);
	const char *s = pa_node_string(&n, "address", "");

	pa_node_only(&n, keys);
	if (!pa_node_has(root, "relay"))
		return;
	if (pa_endpoint_parse(s, PA_RELAY_PORT, &g->relay) < 0)
		pa_node_fail(&n, "address", "expected an address with a port, such as \"198.51.100.10:443\", got \"%s\"", s);
	else
		check_reachable(&n, "address", s, &g->relay);
}

static void check_grant_size(const struct pa_node *n, const struct pa_gateway_group *g)
{
	size_t len = GRANT_FIXED_LEN + (pa_addr_is_none(&g->relay.addr) ? 0 : tlv_len(&g->relay));

	for (unsigned i = 0; i < g->n_gateways; i++)
		len += tlv_len(&g->gateways[i]);
	if (len > PA_GRANT_MAX)
		pa_node_fail(n, "gateways", "a grant with these gateways has %zu bytes, at most %d fit into the DHCP option; "
			     "name fewer IPv6 gateways", len, PA_GRANT_MAX);
}

/* A gateway without a name could not acknowledge, and whoever counted on the others would give its addresses away too early. */
static void read_names(const struct pa_node *n, struct pa_gateway_group *g)
{
	size_t count = pa_node_list(n, "gateway-names", false);

	if (count != 0 && count != g->n_gateways) {
		pa_node_fail(n, "gateway-names", "expected one name for each of the %u gateways, in their order (a gateway with two "
			     "addresses has its name twice), got %zu", g->n_gateways, count);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const char *name = pa_node_item_string(n, "gateway-names", i);

		pa_name_check(n, "gateway-names", name);
		copy_name(g->names[i], name);
		g->n_names++;
	}
}

static void read_group(const struct pa_node *n, struct pa_brokerconf *conf, struct pa_gateway_group *g)
{
	static const char *const keys[] = {"name", "public-key", "gateways", "gateway-names", "relay", NULL};
	static const uint8_t zeros[PA_KEY_LEN];
	const char *name = pa_node_string(n, "name", PA_REQUIRED_STR);
	size_t count = pa_node_list(n, "gateways", true);

	pa_node_only(n, keys);
	pa_name_check(n, "name", name);
	copy_name(g->name, name);
	for (const struct pa_gateway_group *other = conf->groups; other < g; other++)
		if (strcmp(other->name, name) == 0)
			pa_node_fail(n, "name", "\"%s\" is the name of another gateway group; names must differ", name);
	if (pa_node_hex(n, "public-key", true, g->public_key, PA_KEY_LEN) && memcmp(g->public_key, zeros, PA_KEY_LEN) == 0)
		pa_node_fail(n, "public-key", "is all zero; 'pubaddrctl key new-gateway' makes a key and prints the public one");
	if (count < 1 || count > PA_GATEWAYS_MAX) {
		pa_node_fail(n, "gateways", "expected 1 to %d gateways, got %zu", PA_GATEWAYS_MAX, count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		read_gateway(n, i, g);
	read_relay(n, g);
	check_grant_size(n, g);
	read_names(n, g);
}

int pa_brokerconf_read_groups(const struct pa_node *root, struct pa_brokerconf *conf)
{
	size_t count = pa_node_list(root, "gateway-groups", true);

	conf->groups = calloc(count > 0 ? count : 1, sizeof(*conf->groups));
	if (conf->groups == NULL)
		return PA_ENOMEM;
	if (count == 0)
		pa_node_fail(root, "gateway-groups", "expected at least one gateway group");
	for (size_t i = 0; i < count; i++) {
		struct pa_node n = pa_node_item(root, "gateway-groups", i);

		read_group(&n, conf, &conf->groups[i]);
		conf->n_groups++;
	}
	return 0;
}

static uint32_t first_of(const struct pa_prefix *p)
{
	return pa_addr_to_ipv4(&p->addr);
}

static uint64_t count_of(const struct pa_prefix *p)
{
	return (uint64_t)1 << (32 - p->len);
}

static bool overlap(const struct pa_prefix *a, const struct pa_prefix *b)
{
	return pa_prefix_contains(a, &b->addr) || pa_prefix_contains(b, &a->addr);
}

static bool inside(const struct pa_prefix *inner, const struct pa_prefix *outer)
{
	return inner->len >= outer->len && pa_prefix_contains(outer, &inner->addr);
}

static int by_address(const void *a, const void *b)
{
	const struct pa_prefix *x = a, *y = b;
	int c = memcmp(x->addr.b, y->addr.b, sizeof(x->addr.b));

	return c != 0 ? c : (int)x->len - (int)y->len; /* the wider one first */
}

/* Prefixes nest or are disjoint, so after sorting a nested one follows the one that holds it. */
static void normalize_exclude(struct pa_pool_conf *pool)
{
	size_t kept = 0;

	if (pool->n_exclude > 0)
		qsort(pool->exclude, pool->n_exclude, sizeof(*pool->exclude), by_address);
	pool->usable = count_of(&pool->prefix);
	for (size_t i = 0; i < pool->n_exclude; i++) {
		if (kept > 0 && inside(&pool->exclude[i], &pool->exclude[kept - 1]))
			continue;
		pool->exclude[kept] = pool->exclude[i];
		pool->usable -= count_of(&pool->exclude[kept++]);
	}
	pool->n_exclude = kept;
}

static int read_exclude(const struct pa_node *n, struct pa_pool_conf *pool)
{
	size_t count = pa_node_list(n, "exclude", false);

	pool->exclude = calloc(count > 0 ? count : 1, sizeof(*pool->exclude));
	if (pool->exclude == NULL)
		return PA_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *s = pa_node_item_string(n, "exclude", i);
		struct pa_prefix *p = &pool->exclude[i];

		if (pa_prefix_parse(s, p) < 0) {
			pa_node_fail(n, "exclude", "expected prefixes without host bits, such as \"192.0.2.0/32\", got \"%s\"", s);
			return 0;
		}
		if (!inside(p, &pool->prefix)) {
			pa_node_fail(n, "exclude", "\"%s\" is not inside the pool's prefix", s);
			return 0;
		}
		pool->n_exclude++;
	}
	normalize_exclude(pool);
	if (pool->usable == 0)
		pa_node_fail(n, "exclude", "excludes every address of the pool; leave the pool out instead");
	return 0;
}

static void read_prefix(const struct pa_node *n, struct pa_pool_conf *pool)
{
	if (!pa_node_prefix(n, "prefix", true, &pool->prefix))
		return;
	if (!pa_addr_is_ipv4(&pool->prefix.addr)) {
		memset(&pool->prefix, 0, sizeof(pool->prefix));
		pa_node_fail(n, "prefix", "is an IPv6 prefix; this version hands out IPv4 addresses only");
	} else if (pool->prefix.len < POOL_PREFIX_MIN) {
		pa_node_fail(n, "prefix", "expected a prefix from /%d to /32, got /%u", POOL_PREFIX_MIN,
			     (unsigned)pool->prefix.len);
	} else {
		enum pa_addr_class c = pa_addr_classify(&pool->prefix.addr);

		if (c == PA_ADDR_UNSPECIFIED || c == PA_ADDR_LOOPBACK || c == PA_ADDR_LINK_LOCAL ||
		    c == PA_ADDR_MULTICAST)
			pa_node_fail(n, "prefix", "holds %s addresses; write public ones", pa_addr_class_name(c));
	}
}

static void find_group(const struct pa_node *n, const struct pa_brokerconf *conf, struct pa_pool_conf *pool)
{
	const char *name = pa_node_string(n, "gateway-group", PA_REQUIRED_STR);

	for (pool->group = 0; pool->group < conf->n_groups; pool->group++)
		if (strcmp(conf->groups[pool->group].name, name) == 0)
			return;
	pool->group = 0;
	pa_node_fail(n, "gateway-group", "\"%s\" is not one of the gateway-groups; name one that is", name);
}

/* A client refuses a gateway that is inside P, and no client must get a gateway's own address. */
static void check_gateways(const struct pa_node *n, const struct pa_brokerconf *conf, const struct pa_pool_conf *pool)
{
	for (size_t g = 0; g < conf->n_groups; g++) {
		const struct pa_gateway_group *group = &conf->groups[g];

		for (unsigned i = 0; i <= group->n_gateways; i++) {
			const struct pa_addr *a = i < group->n_gateways ? &group->gateways[i].addr : &group->relay.addr;
			char text[PA_ADDR_STRLEN];
			uint64_t at;

			if (!pa_prefix_contains(&pool->prefix, a))
				continue;
			at = pa_addr_to_ipv4(a) - first_of(&pool->prefix);
			if (pa_pool_skip_excluded(pool, at) == at)
				pa_node_fail(n, "prefix", "holds the %s %s; add \"%s/32\" to exclude",
					     i < group->n_gateways ? "gateway" : "relay", pa_addr_format(a, text), text);
		}
	}
}

static void check_against(const struct pa_node *n, const struct pa_pool_conf *pool, const struct pa_pool_conf *other)
{
	char text[PA_PREFIX_STRLEN];

	if (pool->id == other->id)
		pa_node_fail(n, "id", "%u is the id of pool \"%s\" too; ids must differ", (unsigned)pool->id, other->name);
	if (strcmp(pool->name, other->name) == 0)
		pa_node_fail(n, "name", "\"%s\" is the name of another pool; names must differ", pool->name);
	if (overlap(&pool->prefix, &other->prefix))
		pa_node_fail(n, "prefix", "overlaps %s of pool \"%s\"; an address may be in one pool only",
			     pa_prefix_format(&other->prefix, text), other->name);
}

/* So that Kea's classes choose the mode: a pool is for classes. */
void pa_brokerconf_outbound(const struct pa_node *n, const char *def, uint16_t *ret)
{
	const char *s = pa_node_string(n, "outbound", def);
	int v = pa_outbound_parse(s);

	if (v < 0)
		pa_node_fail(n, "outbound", "expected \"tunnel\", \"native\", \"auto\" or \"policy\", got \"%s\"", s);
	else
		*ret = (uint16_t)v;
}

void pa_brokerconf_inbound(const struct pa_node *n, struct pa_inpolicy *ret)
{
	pa_conf_inpolicy(n, "inbound", ret);
	if (ret->n > PA_GRANT_INRULES_MAX)
		pa_node_fail(n, "inbound", "expected at most %d entries, got %zu: the DHCP option has no room for more",
			     PA_GRANT_INRULES_MAX, ret->n);
}

void pa_brokerconf_fits(const struct pa_node *n, const char *key, const struct pa_brokerconf *conf, const struct pa_inpolicy *inbound,
			const struct pa_gateway_group *group)
{
	uint8_t buf[PA_GRANT_MAX];
	struct pa_grant g;

	if (inbound->n == 0 || inbound->n > PA_GRANT_INRULES_MAX || group->n_gateways == 0)
		return;
	memset(&g, 0, sizeof(g));
	g.claims.addr = pa_addr_from_ipv4(1);
	g.claims.inbound = inbound->kind;
	g.n_inbound = (unsigned)inbound->n;
	memcpy(g.inbound, inbound->rules, g.n_inbound * sizeof(g.inbound[0]));
	memcpy(g.gateways, group->gateways, sizeof(g.gateways));
	g.n_gateways = group->n_gateways;
	g.relay = group->relay;
	g.lifetime = 1;
	g.mtu = conf->mtu;
	g.keepalive = conf->keepalive;
	if (pa_grant_encode(&g, buf, sizeof(buf)) == PA_ETRUNC)
		pa_node_fail(n, key, "\"inbound\" and the gateways of group \"%s\" do not fit a DHCP option of %d octets "
			     "together; list fewer entries, or less exact sources", group->name, PA_GRANT_MAX);
}

/* So that Kea's classes choose what comes in, too. */
static void read_inbound(const struct pa_node *n, const struct pa_brokerconf *conf, struct pa_pool_conf *pool)
{
	if (!pa_node_has(n, "inbound")) {
		pool->inbound = conf->inbound;
		return;
	}
	pa_brokerconf_inbound(n, &pool->inbound);
	if (pool->group < conf->n_groups)
		pa_brokerconf_fits(n, "inbound", conf, &pool->inbound, &conf->groups[pool->group]);
}

static int read_pool(const struct pa_node *n, struct pa_brokerconf *conf, struct pa_pool_conf *pool)
{
	static const char *const keys[] = {"id", "name", "prefix", "exclude", "gateway-group", "realms", "classes", "outbound", "inbound",
					   NULL};
	const char *name;
	int rc;

	pa_node_only(n, keys);
	pool->id = (uint16_t)pa_node_int(n, "id", 1, 65535, PA_REQUIRED_INT);
	name = pa_node_string(n, "name", PA_REQUIRED_STR);
	pa_name_check(n, "name", name);
	copy_name(pool->name, name);
	read_prefix(n, pool);
	find_group(n, conf, pool);
	pa_brokerconf_outbound(n, pa_outbound_name(conf->outbound), &pool->outbound);
	read_inbound(n, conf, pool);
	if (pa_addr_is_none(&pool->prefix.addr))
		return 0; /* an error that is kept already */
	if ((rc = read_exclude(n, pool)) < 0 || (rc = pa_string_list_read(n, "realms", &pool->realms)) < 0 ||
	    (rc = pa_string_list_read(n, "classes", &pool->classes)) < 0)
		return rc;
	for (size_t i = 0; i < pool->realms.n; i++)
		if (!pa_brokerconf_has_realm(conf, pool->realms.items[i]))
			pa_node_fail(n, "realms", "\"%s\" is not one of the realms of this broker; add it there or leave it out",
				     pool->realms.items[i]);
	check_gateways(n, conf, pool);
	for (const struct pa_pool_conf *other = conf->pools; other < pool; other++)
		check_against(n, pool, other);
	return 0;
}

int pa_brokerconf_read_pools(const struct pa_node *root, struct pa_brokerconf *conf)
{
	size_t count = pa_node_list(root, "pools", true);

	conf->pools = calloc(count > 0 ? count : 1, sizeof(*conf->pools));
	if (conf->pools == NULL)
		return PA_ENOMEM;
	if (count == 0)
		pa_node_fail(root, "pools", "expected at least one pool");
	for (size_t i = 0; i < count; i++) {
		struct pa_node n = pa_node_item(root, "pools", i);
		int rc = read_pool(&n, conf, &conf->pools[i]);

		conf->n_pools++;
		if (rc < 0)
			return rc;
	}
	return 0;
}

uint64_t pa_pool_count(const struct pa_pool_conf *pool)
{
	return count_of(&pool->prefix);
}

struct pa_addr pa_pool_at(const struct pa_pool_conf *pool, uint64_t i)
{
	return pa_addr_from_ipv4(first_of(&pool->prefix) + (uint32_t)i);
}

/* The number of exclusions that begin at or before addr. */
static size_t excludes_upto(const struct pa_pool_conf *pool, uint64_t addr)
{
	size_t lo = 0, hi = pool->n_exclude;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (first_of(&pool->exclude[mid]) <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t pa_pool_skip_excluded(const struct pa_pool_conf *pool, uint64_t i)
{
	uint64_t first = first_of(&pool->prefix), count = count_of(&pool->prefix);

	while (i < count) {
		size_t k = excludes_upto(pool, first + i);
		uint64_t end;

		if (k == 0)
			return i;
		end = first_of(&pool->exclude[k - 1]) + count_of(&pool->exclude[k - 1]);
		if (first + i >= end)
			return i;
		i = end - first; /* another exclusion may follow at once */
	}
	return count;
}

const struct pa_pool_conf *pa_brokerconf_pool_of(const struct pa_brokerconf *conf, const struct pa_addr *addr)
{
	for (size_t p = 0; p < conf->n_pools; p++) {
		const struct pa_pool_conf *pool = &conf->pools[p];
		uint64_t at;

		if (!pa_prefix_contains(&pool->prefix, addr))
			continue;
		at = pa_addr_to_ipv4(addr) - first_of(&pool->prefix);
		return pa_pool_skip_excluded(pool, at) == at ? pool : NULL;
	}
	return NULL;
}

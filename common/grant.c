/* SPDX-License-Identifier: MPL-2.0 */
#include "common/grant.h"

#include <sodium.h>
#include <string.h>

#include "common/cursor.h"
#include "common/err.h"

static unsigned full_prefix(const struct pa_addr *a)
{
	return pa_addr_is_ipv4(a) ? 32 : 128;
}

int pa_claims_encode(const struct pa_claims *c, uint8_t buf[PA_CLAIMS_LEN])
{
	struct pa_writer w;

	if (c->prefix_len > full_prefix(&c->addr) || pa_addr_is_none(&c->addr))
		return PA_EINVAL;
	pa_writer_init(&w, buf, PA_CLAIMS_LEN);
	pa_put_u8(&w, PA_CLAIMS_VERSION);
	pa_put_u8(&w, c->key_id);
	pa_put_u16(&w, c->pool_id);
	pa_put_u8(&w, pa_addr_is_ipv4(&c->addr) ? PA_FAMILY_IPV4 : PA_FAMILY_IPV6);
	pa_put_u8(&w, c->prefix_len);
	pa_put_u16(&w, c->outbound);
	pa_put_u16(&w, c->inbound);
	pa_put_bytes(&w, c->addr.b, sizeof(c->addr.b));
	pa_put_u64(&w, c->epoch);
	pa_put_u64(&w, c->expires);
	pa_put_bytes(&w, c->fingerprint, sizeof(c->fingerprint));
	PA_REQUIRE(!w.failed && w.len == PA_CLAIMS_LEN);
	return PA_CLAIMS_LEN;
}

int pa_claims_decode(const uint8_t buf[PA_CLAIMS_LEN], struct pa_claims *ret)
{
	struct pa_reader r;
	struct pa_claims c;
	uint8_t version, family;

	memset(&c, 0, sizeof(c));
	pa_reader_init(&r, buf, PA_CLAIMS_LEN);
	version = pa_get_u8(&r);
	c.key_id = pa_get_u8(&r);
	c.pool_id = pa_get_u16(&r);
	family = pa_get_u8(&r);
	c.prefix_len = pa_get_u8(&r);
	c.outbound = pa_get_u16(&r);
	c.inbound = pa_get_u16(&r);
	pa_get_bytes(&r, c.addr.b, sizeof(c.addr.b));
	c.epoch = pa_get_u64(&r);
	c.expires = pa_get_u64(&r);
	pa_get_bytes(&r, c.fingerprint, sizeof(c.fingerprint));
	PA_REQUIRE(!r.failed && r.left == 0);
	if (version != PA_CLAIMS_VERSION)
		return PA_EVERSION;
	if (family != (pa_addr_is_ipv4(&c.addr) ? PA_FAMILY_IPV4 : PA_FAMILY_IPV6))
		return PA_EFORMAT;
	if (pa_addr_is_none(&c.addr) || c.prefix_len > full_prefix(&c.addr))
		return PA_EFORMAT;
	*ret = c;
	return 0;
}

bool pa_claims_eq(const struct pa_claims *a, const struct pa_claims *b)
{
	uint8_t x[PA_CLAIMS_LEN], y[PA_CLAIMS_LEN];

	return pa_claims_encode(a, x) > 0 && pa_claims_encode(b, y) > 0 && memcmp(x, y, sizeof(x)) == 0;
}

static void put_tlv(struct pa_writer *w, uint8_t type, const uint8_t *value, uint8_t len)
{
	pa_put_u8(w, type);
	pa_put_u8(w, len);
	pa_put_bytes(w, value, len);
}

static void put_endpoint(struct pa_writer *w, uint8_t type, const struct pa_endpoint *e)
{
	bool v4 = pa_addr_is_ipv4(&e->addr);

	pa_put_u8(w, type);
	pa_put_u8(w, v4 ? 6 : 18);
	pa_put_bytes(w, v4 ? e->addr.b + 12 : e->addr.b, v4 ? 4 : 16);
	pa_put_u16(w, e->port);
}

static void put_u16_tlv(struct pa_writer *w, uint8_t type, uint16_t v)
{
	pa_put_u8(w, type);
	pa_put_u8(w, 2);
	pa_put_u16(w, v);
}

/* The whole list or, as all of it is optional, nothing of it. */
static int put_inbound(struct pa_writer *w, const struct pa_grant *g)
{
	uint8_t list[PA_GRANT_MAX];
	int n;

	if (g->n_inbound == 0)
		return 0;
	if (g->n_inbound > PA_GRANT_INRULES_MAX || g->claims.inbound != PA_IN_LIST)
		return PA_EINVAL;
	n = pa_inrules_encode(g->inbound, g->n_inbound, list, sizeof(list));
	if (n > 0)
		put_tlv(w, PA_TLV_INBOUND, list, (uint8_t)n);
	return n < 0 ? n : 0;
}

int pa_grant_encode(const struct pa_grant *g, uint8_t *buf, size_t cap)
{
	uint8_t claims[PA_CLAIMS_LEN];
	struct pa_writer w;
	int rc;

	if (g->n_gateways > PA_GATEWAYS_MAX || pa_claims_encode(&g->claims, claims) < 0)
		return PA_EINVAL;
	if (g->lifetime > 0 && g->n_gateways == 0)
		return PA_EINVAL;
	for (unsigned i = 0; i < g->n_gateways; i++)
		if (pa_addr_is_none(&g->gateways[i].addr) || g->gateways[i].port == 0)
			return PA_EINVAL;
	if (!pa_addr_is_none(&g->relay.addr) && g->relay.port == 0)
		return PA_EINVAL;
	pa_writer_init(&w, buf, cap < PA_GRANT_MAX ? cap : PA_GRANT_MAX);
	pa_put_u8(&w, PA_GRANT_FORMAT);
	put_tlv(&w, PA_TLV_CLAIMS, claims, sizeof(claims));
	pa_put_u8(&w, PA_TLV_LIFETIME);
	pa_put_u8(&w, 4);
	pa_put_u32(&w, g->lifetime);
	if (g->lifetime > 0) {
		put_tlv(&w, PA_TLV_SECRET, g->secret, sizeof(g->secret));
		put_tlv(&w, PA_TLV_GATEWAY_KEY, g->gateway_key, sizeof(g->gateway_key));
		for (unsigned i = 0; i < g->n_gateways; i++)
			put_endpoint(&w, PA_TLV_GATEWAY, &g->gateways[i]);
		if (g->mtu != 0)
			put_u16_tlv(&w, PA_TLV_MTU, g->mtu);
		if (g->keepalive != 0)
			put_u16_tlv(&w, PA_TLV_KEEPALIVE, g->keepalive);
		if (!pa_addr_is_none(&g->relay.addr))
			put_endpoint(&w, PA_TLV_RELAY, &g->relay);
		rc = put_inbound(&w, g);
		if (rc < 0)
			return rc;
	}
	return w.failed ? PA_ETRUNC : (int)w.len;
}

/* Reads an endpoint whose TLV had length len; both lengths are the caller's check. */
static int get_endpoint(struct pa_reader *v, struct pa_endpoint *ret)
{
	struct pa_endpoint e = {{{0}}, 0};

	if (v->left == 6) {
		e.addr = pa_addr_from_ipv4(pa_get_u32(v));
	} else if (v->left == 18) {
		pa_get_bytes(v, e.addr.b, sizeof(e.addr.b));
		if (pa_addr_is_ipv4(&e.addr))
			return PA_EFORMAT; /* one value, one encoding */
	} else {
		return PA_EFORMAT;
	}
	e.port = pa_get_u16(v);
	if (pa_addr_is_none(&e.addr) || e.port == 0)
		return PA_EFORMAT;
	*ret = e;
	return 0;
}

static int get_tlv(struct pa_grant *g, uint8_t type, struct pa_reader *v)
{
	const uint8_t *claims, *list;
	int rc;

	switch (type) {
	case PA_TLV_CLAIMS:
		claims = v->left == PA_CLAIMS_LEN ? pa_get_view(v, PA_CLAIMS_LEN) : NULL;
		return claims != NULL ? pa_claims_decode(claims, &g->claims) : PA_EFORMAT;
	case PA_TLV_SECRET:
		pa_get_bytes(v, g->secret, sizeof(g->secret));
		break;
	case PA_TLV_GATEWAY_KEY:
		pa_get_bytes(v, g->gateway_key, sizeof(g->gateway_key));
		break;
	case PA_TLV_LIFETIME:
		g->lifetime = pa_get_u32(v);
		break;
	case PA_TLV_GATEWAY:
		if (g->n_gateways == PA_GATEWAYS_MAX)
			return PA_EFORMAT;
		return get_endpoint(v, &g->gateways[g->n_gateways++]);
	case PA_TLV_MTU:
		g->mtu = pa_get_u16(v);
		if (g->mtu == 0)
			return PA_EFORMAT;
		break;
	case PA_TLV_KEEPALIVE:
		g->keepalive = pa_get_u16(v);
		if (g->keepalive == 0)
			return PA_EFORMAT;
		break;
	case PA_TLV_RELAY:
		return get_endpoint(v, &g->relay);
	case PA_TLV_PORT_RANGE:
		if (pa_get_u32(v) != 0)
			return PA_EFORMAT;
		break;
	case PA_TLV_INBOUND:
		list = pa_get_view(v, v->left);
		rc = list != NULL ? pa_inrules_decode(list, (size_t)(v->p - list), g->inbound, PA_GRANT_INRULES_MAX) : PA_EFORMAT;
		if (rc < 0)
			return PA_EFORMAT;
		g->n_inbound = (unsigned)rc;
		break;
	default:
		(void)pa_get_view(v, v->left);
		break;
	}
	return v->failed || v->left != 0 ? PA_EFORMAT : 0;
}

static int check_complete(const struct pa_grant *g, uint32_t seen)
{
	uint32_t need = 1u << PA_TLV_CLAIMS | 1u << PA_TLV_LIFETIME;

	if (g->lifetime > 0)
		need |= 1u << PA_TLV_SECRET | 1u << PA_TLV_GATEWAY_KEY | 1u << PA_TLV_GATEWAY;
	if ((seen & 1u << PA_TLV_INBOUND) != 0 && g->claims.inbound != PA_IN_LIST)
		return PA_EFORMAT;
	return (seen & need) == need ? 0 : PA_EFORMAT;
}

int pa_grant_decode(const uint8_t *buf, size_t len, struct pa_grant *ret)
{
	struct pa_reader r, v;
	struct pa_grant g;
	uint32_t seen = 0;
	int rc = 0;

	memset(&g, 0, sizeof(g));
	pa_reader_init(&r, buf, len);
	if (len == 0 || len > PA_GRANT_MAX)
		return PA_ETRUNC;
	if (pa_get_u8(&r) != PA_GRANT_FORMAT)
		return PA_EVERSION;
	while (r.left > 0) {
		uint8_t type = pa_get_u8(&r), n = pa_get_u8(&r);
		const uint8_t *value = pa_get_view(&r, n);

		if (value == NULL) {
			rc = PA_ETRUNC;
			goto out;
		}
		/* What a later version adds may repeat; of what we know only the gateway does. */
		if (type <= PA_TLV_INBOUND) {
			if (type != PA_TLV_GATEWAY && (seen & 1u << type) != 0) {
				rc = PA_EFORMAT;
				goto out;
			}
			seen |= 1u << type;
		}
		pa_reader_init(&v, value, n);
		rc = get_tlv(&g, type, &v);
		if (rc < 0)
			goto out;
	}
	rc = check_complete(&g, seen);
	if (rc == 0)
		*ret = g;
out:
	pa_grant_wipe(&g);
	return rc;
}

void pa_grant_inpolicy(const struct pa_grant *g, struct pa_inpolicy *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->kind = g->claims.inbound <= PA_IN_LIST ? g->claims.inbound : PA_IN_CLOSED;
	ret->n = ret->kind == PA_IN_LIST ? g->n_inbound : 0;
	memcpy(ret->rules, g->inbound, ret->n * sizeof(ret->rules[0]));
}

void pa_grant_wipe(struct pa_grant *g)
{
	sodium_memzero(g, sizeof(*g));
}

static const char *const outbound_names[] = {"tunnel", "native", "auto", "policy"};
static const char *const inbound_names[] = {"open", "closed", "list"};

static int name_index(const char *const *names, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], s) == 0)
			return (int)i;
	return PA_EINVAL;
}

const char *pa_outbound_name(unsigned mode)
{
	return mode < 4 ? outbound_names[mode] : "unknown";
}

int pa_outbound_parse(const char *s)
{
	return name_index(outbound_names, 4, s);
}

const char *pa_inbound_name(unsigned policy)
{
	return policy < 3 ? inbound_names[policy] : "unknown";
}

int pa_inbound_parse(const char *s)
{
	return name_index(inbound_names, 3, s);
}

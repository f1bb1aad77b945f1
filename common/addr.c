/* SPDX-License-Identifier: MPL-2.0 */
#include "common/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool pa_addr_is_none(const struct pa_addr *a)
{
	static const struct pa_addr none;

	return memcmp(a, &none, sizeof(none)) == 0;
}

bool pa_addr_is_ipv4(const struct pa_addr *a)
{
	return memcmp(a->b, v4_mapped, sizeof(v4_mapped)) == 0;
}

bool pa_addr_eq(const struct pa_addr *a, const struct pa_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool pa_endpoint_eq(const struct pa_endpoint *a, const struct pa_endpoint *b)
{
	return a->port == b->port && pa_addr_eq(&a->addr, &b->addr);
}

struct pa_addr pa_addr_from_ipv4(uint32_t v)
{
	struct pa_addr a;

	memcpy(a.b, v4_mapped, sizeof(v4_mapped));
	a.b[12] = (uint8_t)(v >> 24);
	a.b[13] = (uint8_t)(v >> 16);
	a.b[14] = (uint8_t)(v >> 8);
	a.b[15] = (uint8_t)v;
	return a;
}

uint32_t pa_addr_to_ipv4(const struct pa_addr *a)
{
	if (!pa_addr_is_ipv4(a))
		return 0;
	return (uint32_t)a->b[12] << 24 | (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 | a->b[15];
}

int pa_addr_parse(const char *s, struct pa_addr *ret)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, s, &v4) == 1) {
		*ret = pa_addr_from_ipv4(ntohl(v4.s_addr));
		return 0;
	}
	if (inet_pton(AF_INET6, s, &v6) == 1) {
		memcpy(ret->b, v6.s6_addr, sizeof(ret->b));
		return 0;
	}
	return PA_EFORMAT;
}

/* Digits only, no sign, no leading space, at most max. Returns the value or PA_EFORMAT. */
static long parse_number(const char *s, long max)
{
	long v = 0;

	if (*s == '\0')
		return PA_EFORMAT;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return PA_EFORMAT;
		v = v * 10 + (*s - '0');
		if (v > max)
			return PA_EFORMAT;
	}
	return v;
}

int pa_endpoint_parse(const char *s, uint16_t default_port, struct pa_endpoint *ret)
{
	char host[PA_ADDR_STRLEN];
	const char *port = NULL, *start = s, *end;
	struct pa_endpoint e;
	long number = default_port;

	if (*s == '[') {
		start = s + 1;
		end = strchr(s, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return PA_EFORMAT;
		port = end[1] == ':' ? end + 2 : NULL;
	} else {
		const char *colon = strchr(s, ':');
		/* More than one colon and no bracket: a bare IPv6 address. */
		if (colon != NULL && strchr(colon + 1, ':') == NULL)
			port = colon + 1;
		end = port != NULL ? colon : s + strlen(s);
	}
	if ((size_t)(end - start) >= sizeof(host))
		return PA_EFORMAT;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	if (pa_addr_parse(host, &e.addr) < 0 || (*s == '[' && pa_addr_is_ipv4(&e.addr)))
		return PA_EFORMAT;
	if (port != NULL)
		number = parse_number(port, 65535);
	if (number <= 0)
		return PA_EFORMAT;
	e.port = (uint16_t)number;
	*ret = e;
	return 0;
}

/* Clears all bits past len bits of the 128. */
static struct pa_addr mask(const struct pa_addr *a, unsigned bits)
{
	struct pa_addr m = *a;

	for (unsigned i = 0; i < 16; i++) {
		unsigned have = bits > i * 8 ? bits - i * 8 : 0;
		if (have < 8)
			m.b[i] = (uint8_t)(m.b[i] & (0xff00 >> have));
	}
	return m;
}

static unsigned prefix_bits(const struct pa_prefix *p)
{
	return pa_addr_is_ipv4(&p->addr) ? 96u + p->len : p->len;
}

int pa_prefix_parse(const char *s, struct pa_prefix *ret)
{
	char host[PA_ADDR_STRLEN];
	const char *slash = strchr(s, '/');
	size_t n = slash != NULL ? (size_t)(slash - s) : strlen(s);
	struct pa_prefix p;
	struct pa_addr masked;
	long len, max;

	if (n >= sizeof(host))
		return PA_EFORMAT;
	memcpy(host, s, n);
	host[n] = '\0';
	if (pa_addr_parse(host, &p.addr) < 0)
		return PA_EFORMAT;
	max = pa_addr_is_ipv4(&p.addr) ? 32 : 128;
	len = slash != NULL ? parse_number(slash + 1, max) : max;
	if (len < 0)
		return PA_EFORMAT;
	p.len = (uint8_t)len;
	masked = mask(&p.addr, prefix_bits(&p));
	if (!pa_addr_eq(&masked, &p.addr))
		return PA_EFORMAT;
	*ret = p;
	return 0;
}

const char *pa_addr_format(const struct pa_addr *a, char dst[PA_ADDR_STRLEN])
{
	const char *s;

	if (pa_addr_is_ipv4(a))
		s = inet_ntop(AF_INET, a->b + 12, dst, PA_ADDR_STRLEN);
	else
		s = inet_ntop(AF_INET6, a->b, dst, PA_ADDR_STRLEN);
	PA_REQUIRE(s != NULL);
	return dst;
}

const char *pa_endpoint_format(const struct pa_endpoint *e, char dst[PA_ENDPOINT_STRLEN])
{
	char host[PA_ADDR_STRLEN];

	pa_addr_format(&e->addr, host);
	if (pa_addr_is_ipv4(&e->addr))
		(void)snprintf(dst, PA_ENDPOINT_STRLEN, "%s:%u", host, (unsigned)e->port);
	else
		(void)snprintf(dst, PA_ENDPOINT_STRLEN, "[%s]:%u", host, (unsigned)e->port);
	return dst;
}

const char *pa_prefix_format(const struct pa_prefix *p, char dst[PA_PREFIX_STRLEN])
{
	char host[PA_ADDR_STRLEN];

	(void)snprintf(dst, PA_PREFIX_STRLEN, "%s/%u", pa_addr_format(&p->addr, host), (unsigned)p->len);
	return dst;
}

bool pa_prefix_contains(const struct pa_prefix *p, const struct pa_addr *a)
{
	struct pa_addr m;

	if (pa_addr_is_ipv4(&p->addr) != pa_addr_is_ipv4(a))
		return false;
	m = mask(a, prefix_bits(p));
	return pa_addr_eq(&m, &p->addr);
}

struct special {
	uint32_t net, netmask;
	enum pa_addr_class class;
};

/* IANA IPv4 Special-Purpose Address Registry; the first match counts. */
static const struct special special4[] = {
	{0x00000000, 0xff000000, PA_ADDR_UNSPECIFIED},	 /* 0/8 */
	{0x0a000000, 0xff000000, PA_ADDR_PRIVATE},	 /* 10/8 */
	{0x64400000, 0xffc00000, PA_ADDR_PRIVATE},	 /* 100.64/10, RFC 6598 */
	{0x7f000000, 0xff000000, PA_ADDR_LOOPBACK},	 /* 127/8 */
	{0xa9fe0000, 0xffff0000, PA_ADDR_LINK_LOCAL},	 /* 169.254/16 */
	{0xac100000, 0xfff00000, PA_ADDR_PRIVATE},	 /* 172.16/12 */
	{0xc0000000, 0xffffff00, PA_ADDR_RESERVED},	 /* 192.0.0/24 */
	{0xc0000200, 0xffffff00, PA_ADDR_DOCUMENTATION}, /* 192.0.2/24 */
	{0xc0586300, 0xffffff00, PA_ADDR_RESERVED},	 /* 192.88.99/24, RFC 7526 */
	{0xc0a80000, 0xffff0000, PA_ADDR_PRIVATE},	 /* 192.168/16 */
	{0xc6120000, 0xfffe0000, PA_ADDR_RESERVED},	 /* 198.18/15, RFC 2544 */
	{0xc6336400, 0xffffff00, PA_ADDR_DOCUMENTATION}, /* 198.51.100/24 */
	{0xcb007100, 0xffffff00, PA_ADDR_DOCUMENTATION}, /* 203.0.113/24 */
	{0xe0000000, 0xf0000000, PA_ADDR_MULTICAST},	 /* 224/4 */
	{0xffffffff, 0xffffffff, PA_ADDR_BROADCAST},
	{0xf0000000, 0xf0000000, PA_ADDR_RESERVED}, /* 240/4 */
};

static enum pa_addr_class classify6(const uint8_t b[16])
{
	static const struct pa_addr loopback = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
	static const struct pa_addr none;

	if (memcmp(b, none.b, 16) == 0)
		return PA_ADDR_UNSPECIFIED;
	if (memcmp(b, loopback.b, 16) == 0)
		return PA_ADDR_LOOPBACK;
	if (b[0] == 0xff)
		return PA_ADDR_MULTICAST;
	if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
		return PA_ADDR_LINK_LOCAL;
	if ((b[0] & 0xfe) == 0xfc)
		return PA_ADDR_PRIVATE;
	if (b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0d && b[3] == 0xb8)
		return PA_ADDR_DOCUMENTATION;
	if (b[0] == 0x3f && b[1] == 0xff && (b[2] & 0xf0) == 0)
		return PA_ADDR_DOCUMENTATION; /* 3fff::/20, RFC 9637 */
	if (b[0] == 0x20 && b[1] == 0x01 && (b[2] & 0xfe) == 0)
		return PA_ADDR_RESERVED; /* 2001::/23 IETF protocol assignments */
	if (b[0] == 0x20 && b[1] == 0x02)
		return PA_ADDR_RESERVED; /* 2002::/16 6to4, which may carry any IPv4 address inside */
	if ((b[0] & 0xe0) != 0x20)
		return PA_ADDR_RESERVED; /* outside 2000::/3 */
	return PA_ADDR_GLOBAL;
}

enum pa_addr_class pa_addr_classify(const struct pa_addr *a)
{
	uint32_t v4;

	if (!pa_addr_is_ipv4(a))
		return classify6(a->b);
	v4 = pa_addr_to_ipv4(a);
	for (size_t i = 0; i < sizeof(special4) / sizeof(special4[0]); i++)
		if ((v4 & special4[i].netmask) == special4[i].net)
			return special4[i].class;
	return PA_ADDR_GLOBAL;
}

bool pa_addr_special4(size_t i, struct pa_prefix *ret)
{
	if (i >= sizeof(special4) / sizeof(special4[0]))
		return false;
	ret->addr = pa_addr_from_ipv4(special4[i].net);
	ret->len = 0;
	for (uint32_t m = special4[i].netmask; m != 0; m <<= 1)
		ret->len++;
	return true;
}

const char *pa_addr_class_name(enum pa_addr_class c)
{
	switch (c) {
	case PA_ADDR_GLOBAL:
		return "global unicast";
	case PA_ADDR_UNSPECIFIED:
		return "unspecified";
	case PA_ADDR_LOOPBACK:
		return "loopback";
	case PA_ADDR_LINK_LOCAL:
		return "link-local";
	case PA_ADDR_PRIVATE:
		return "private";
	case PA_ADDR_MULTICAST:
		return "multicast";
	case PA_ADDR_BROADCAST:
		return "broadcast";
	case PA_ADDR_DOCUMENTATION:
		return "documentation";
	case PA_ADDR_RESERVED:
		return "reserved";
	default:
		return "unknown";
	}
}

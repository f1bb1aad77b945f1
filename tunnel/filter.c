/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/filter.h"

#include <string.h>

#include "common/cursor.h"
#include "common/err.h"

#define PROTO_HOPOPTS 0
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_AH 51
#define PROTO_DSTOPTS 60

#define ICMP_REDIRECT 5

#define EXT_HEADERS_MAX 8 /* more than that is nobody's honest packet */

/*
 * The upper layer of an unfragmented packet or a first fragment. A TCP or UDP header that is cut before its ports would slip by a
 * rule on ports (RFC 1858), so it is refused.
 */
static int parse_upper(struct pa_reader *r, uint8_t proto, struct pa_inner *ret)
{
	ret->proto = proto;
	if (proto != PROTO_TCP && proto != PROTO_UDP)
		return 0;
	(void)pa_get_u16(r);
	ret->dst_port = pa_get_u16(r);
	return r->failed ? PA_ETRUNC : 0;
}

static int parse_ipv4(const uint8_t *pkt, size_t len, struct pa_inner *ret)
{
	struct pa_reader r;
	size_t header = (size_t)(pkt[0] & 0x0f) * 4;
	uint16_t total, fragment;
	uint8_t proto;

	pa_reader_init(&r, pkt, len);
	(void)pa_get_u16(&r);
	total = pa_get_u16(&r);
	(void)pa_get_u16(&r);
	fragment = pa_get_u16(&r);
	(void)pa_get_u8(&r);
	proto = pa_get_u8(&r);
	(void)pa_get_u16(&r);
	ret->src = pa_addr_from_ipv4(pa_get_u32(&r));
	ret->dst = pa_addr_from_ipv4(pa_get_u32(&r));
	if (r.failed)
		return PA_ETRUNC;
	if (header < 20 || header > len || total != len)
		return PA_EFORMAT;
	(void)pa_get_view(&r, header - 20);
	ret->len = total;
	if ((fragment & 0x1fff) != 0)
		return 0;
	return parse_upper(&r, proto, ret);
}

/* Skips one extension header. Returns true with *next the header after it, false when *next is not an extension header. */
static bool skip_extension(struct pa_reader *r, uint8_t *next, bool *later_fragment)
{
	uint8_t type = *next, len;

	switch (type) {
	case PROTO_HOPOPTS:
	case PROTO_ROUTING:
	case PROTO_DSTOPTS:
	case PROTO_AH:
		*next = pa_get_u8(r);
		len = pa_get_u8(r);
		/* AH counts words of 4 less 2, the others units of 8 less 1; two bytes are read already. */
		(void)pa_get_view(r, type == PROTO_AH ? ((size_t)len + 2) * 4 - 2 : ((size_t)len + 1) * 8 - 2);
		return true;
	case PROTO_FRAGMENT:
		*next = pa_get_u8(r);
		(void)pa_get_u8(r);
		*later_fragment = (pa_get_u16(r) & 0xfff8) != 0;
		(void)pa_get_u32(r);
		return true;
	default:
		return false;
	}
}

static int parse_ipv6(const uint8_t *pkt, size_t len, struct pa_inner *ret)
{
	bool later_fragment = false;
	struct pa_reader r;
	uint16_t payload;
	uint8_t next;

	pa_reader_init(&r, pkt, len);
	(void)pa_get_u32(&r);
	payload = pa_get_u16(&r);
	next = pa_get_u8(&r);
	(void)pa_get_u8(&r);
	pa_get_bytes(&r, ret->src.b, sizeof(ret->src.b));
	pa_get_bytes(&r, ret->dst.b, sizeof(ret->dst.b));
	if (r.failed)
		return PA_ETRUNC;
	if ((size_t)payload + 40 != len)
		return PA_EFORMAT;
	/* An IPv4-mapped address in an IPv6 header would compare equal to the IPv4 address; no such packet is legal on a wire. */
	if (pa_addr_is_ipv4(&ret->src) || pa_addr_is_ipv4(&ret->dst))
		return PA_EFORMAT;
	ret->len = len;
	for (unsigned i = 0; !later_fragment && skip_extension(&r, &next, &later_fragment); i++)
		if (r.failed || i == EXT_HEADERS_MAX)
			return r.failed ? PA_ETRUNC : PA_EFORMAT;
	if (r.failed)
		return PA_ETRUNC;
	return later_fragment ? 0 : parse_upper(&r, next, ret);
}

int pa_inner_parse(const uint8_t *pkt, size_t len, struct pa_inner *ret)
{
	struct pa_inner in;
	int rc;

	memset(&in, 0, sizeof(in));
	if (len == 0)
		return PA_ETRUNC;
	if (pkt[0] >> 4 == 4)
		rc = parse_ipv4(pkt, len, &in);
	else if (pkt[0] >> 4 == 6)
		rc = parse_ipv6(pkt, len, &in);
	else
		rc = PA_EFORMAT;
	if (rc == 0)
		*ret = in;
	return rc;
}

bool pa_inner_is_redirect(const uint8_t *pkt, const struct pa_inner *in)
{
	size_t header = (size_t)(pkt[0] & 0x0f) * 4;

	return in->proto == PROTO_ICMP && pkt[0] >> 4 == 4 && in->len > header && pkt[header] == ICMP_REDIRECT;
}

const char *pa_verdict_name(enum pa_verdict v)
{
	static const char *const names[PA_VERDICTS] = {
		[PA_PASS] = "pass",
		[PA_DROP_MALFORMED] = "malformed",
		[PA_DROP_SOURCE] = "source",
		[PA_DROP_DESTINATION] = "destination",
		[PA_DROP_PORT] = "port",
		[PA_DROP_UNBOUND] = "unbound",
		[PA_DROP_OUTER] = "outer",
		[PA_DROP_REDIRECT] = "redirect",
		[PA_DROP_LIMITED] = "limited",
	};

	return (unsigned)v < PA_VERDICTS ? names[v] : "unknown";
}

static bool in_any(const struct pa_prefix *list, size_t n, const struct pa_addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (pa_prefix_contains(&list[i], a))
			return true;
	return false;
}

static bool destination_denied(const struct pa_deny *d, const struct pa_addr *dst)
{
	bool holder = in_any(d->pools, d->n_pools, dst);

	if ((holder && d->isolate) || in_any(d->own, d->n_own, dst))
		return true;
	if (in_any(d->allow, d->n_allow, dst))
		return false;
	if (in_any(d->deny, d->n_deny, dst))
		return true;
	return !holder && pa_addr_classify(dst) != PA_ADDR_GLOBAL;
}

enum pa_verdict pa_deny_check(const struct pa_deny *d, const struct pa_inner *in)
{
	if (destination_denied(d, &in->dst))
		return PA_DROP_DESTINATION;
	if (in->proto == PROTO_TCP)
		for (size_t i = 0; i < d->n_ports; i++)
			if (d->ports[i] == in->dst_port)
				return PA_DROP_PORT;
	return PA_PASS;
}

enum pa_verdict pa_ingress_check(const struct pa_ingress *f, const struct pa_inner *in)
{
	if (!pa_addr_eq(&in->dst, &f->addr))
		return PA_DROP_DESTINATION;
	if (pa_addr_eq(&in->src, &f->addr) || in_any(f->lan, f->n_lan, &in->src))
		return PA_DROP_SOURCE;
	switch (pa_addr_classify(&in->src)) {
	case PA_ADDR_GLOBAL:
	case PA_ADDR_DOCUMENTATION: /* a lab's Internet */
	case PA_ADDR_RESERVED:	    /* what is reserved today may be given out tomorrow; the public network filters it */
		return PA_PASS;
	default:
		return PA_DROP_SOURCE;
	}
}

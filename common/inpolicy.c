/* SPDX-License-Identifier: MPL-2.0 */
#include "common/inpolicy.h"

#include <string.h>

#include "common/cursor.h"
#include "common/err.h"

#define PORT_LAST 65535
/* Second octet of an encoded rule: how its ports are given, and the prefix length of the source. */
#define PORTS_ALL 0x00
#define PORTS_ONE 0x40
#define PORTS_RANGE 0x80
#define PORTS_MASK 0xc0

static uint32_t mask_of(unsigned len)
{
	return len == 0 ? 0 : UINT32_MAX << (32 - len);
}

bool pa_inrule_has_ports(uint8_t proto)
{
	return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136; /* TCP, UDP, DCCP, SCTP, UDP-Lite */
}

bool pa_inrule_eq(const struct pa_inrule *a, const struct pa_inrule *b)
{
	return a->proto == b->proto && a->src_len == b->src_len && a->lo == b->lo && a->hi == b->hi && a->src == b->src;
}

bool pa_inrule_meet(const struct pa_inrule *a, const struct pa_inrule *b, struct pa_inrule *ret)
{
	struct pa_inrule r;
	unsigned shorter = a->src_len < b->src_len ? a->src_len : b->src_len;

	if (a->proto != 0 && b->proto != 0 && a->proto != b->proto)
		return false;
	if (((a->src ^ b->src) & mask_of(shorter)) != 0)
		return false;
	r.proto = a->proto != 0 ? a->proto : b->proto;
	r.src_len = a->src_len > b->src_len ? a->src_len : b->src_len;
	r.src = a->src_len > b->src_len ? a->src : b->src;
	r.lo = a->lo > b->lo ? a->lo : b->lo;
	r.hi = a->hi < b->hi ? a->hi : b->hi;
	if (r.lo > r.hi)
		return false;
	*ret = r;
	return true;
}

int pa_inpolicy_add(struct pa_inpolicy *p, const struct pa_inrule *r)
{
	for (size_t i = 0; i < p->n; i++)
		if (pa_inrule_eq(&p->rules[i], r))
			return 0;
	if (p->n == PA_INRULES_MAX)
		return PA_ENOMEM;
	p->rules[p->n++] = *r;
	return 0;
}

int pa_inpolicy_meet(const struct pa_inpolicy *a, const struct pa_inpolicy *b, struct pa_inpolicy *ret)
{
	struct pa_inpolicy met = {.kind = PA_IN_LIST};
	int rc = 0;

	if (a->kind == PA_IN_OPEN || b->kind == PA_IN_OPEN) {
		const struct pa_inpolicy *other = a->kind == PA_IN_OPEN ? b : a;

		if (ret != other)
			*ret = *other;
		return 0;
	}
	if (a->kind == PA_IN_CLOSED || b->kind == PA_IN_CLOSED)
		met.kind = PA_IN_CLOSED;
	for (size_t i = 0; rc == 0 && met.kind == PA_IN_LIST && i < a->n; i++) {
		for (size_t k = 0; rc == 0 && k < b->n; k++) {
			struct pa_inrule r;

			if (pa_inrule_meet(&a->rules[i], &b->rules[k], &r))
				rc = pa_inpolicy_add(&met, &r);
		}
	}
	if (rc == 0)
		*ret = met;
	return rc;
}

bool pa_inpolicy_eq(const struct pa_inpolicy *a, const struct pa_inpolicy *b)
{
	if (a->kind != b->kind || (a->kind == PA_IN_LIST && a->n != b->n))
		return false;
	for (size_t i = 0; a->kind == PA_IN_LIST && i < a->n; i++)
		if (!pa_inrule_eq(&a->rules[i], &b->rules[i]))
			return false;
	return true;
}

bool pa_inpolicy_passes(const struct pa_inpolicy *p, uint8_t proto, uint16_t port, uint32_t src)
{
	if (p->kind == PA_IN_OPEN)
		return true;
	for (size_t i = 0; p->kind == PA_IN_LIST && i < p->n; i++) {
		const struct pa_inrule *r = &p->rules[i];

		if ((r->proto == 0 || r->proto == proto) && ((r->src ^ src) & mask_of(r->src_len)) == 0 && r->lo <= port &&
		    port <= r->hi)
			return true;
	}
	return false;
}

/* Every value that has one meaning is in one form, and has it in one encoding. */
static bool is_valid(const struct pa_inrule *r)
{
	bool all = r->lo == 0 && r->hi == PORT_LAST;

	if (r->src_len > 32 || (r->src & ~mask_of(r->src_len)) != 0)
		return false;
	return all || (pa_inrule_has_ports(r->proto) && r->lo >= 1 && r->lo <= r->hi);
}

int pa_inrules_encode(const struct pa_inrule *rules, size_t n, uint8_t *buf, size_t cap)
{
	struct pa_writer w;

	pa_writer_init(&w, buf, cap);
	for (size_t i = 0; i < n; i++) {
		const struct pa_inrule *r = &rules[i];
		unsigned ports = r->lo == 0 ? PORTS_ALL : r->lo == r->hi ? PORTS_ONE : PORTS_RANGE;

		if (!is_valid(r))
			return PA_EINVAL;
		pa_put_u8(&w, r->proto);
		pa_put_u8(&w, (uint8_t)(ports | r->src_len));
		if (ports != PORTS_ALL)
			pa_put_u16(&w, r->lo);
		if (ports == PORTS_RANGE)
			pa_put_u16(&w, r->hi);
		for (unsigned bits = 0; bits < r->src_len; bits += 8)
			pa_put_u8(&w, (uint8_t)(r->src >> (24 - bits)));
	}
	return w.failed ? PA_ETRUNC : (int)w.len;
}

static int get_rule(struct pa_reader *in, struct pa_inrule *ret)
{
	struct pa_inrule r = {.proto = pa_get_u8(in), .hi = PORT_LAST};
	unsigned head = pa_get_u8(in), ports = head & PORTS_MASK;

	r.src_len = (uint8_t)(head & ~(unsigned)PORTS_MASK);
	if (ports == PORTS_MASK || r.src_len > 32)
		return PA_EFORMAT;
	if (ports != PORTS_ALL)
		r.lo = r.hi = pa_get_u16(in);
	if (ports == PORTS_RANGE)
		r.hi = pa_get_u16(in);
	for (unsigned bits = 0; bits < r.src_len; bits += 8)
		r.src |= (uint32_t)pa_get_u8(in) << (24 - bits);
	if (in->failed)
		return PA_ETRUNC;
	if (!is_valid(&r) || (ports == PORTS_RANGE && r.lo == r.hi) || (ports != PORTS_ALL && r.lo == 0))
		return PA_EFORMAT;
	*ret = r;
	return 0;
}

int pa_inrules_decode(const uint8_t *buf, size_t len, struct pa_inrule *ret, size_t cap)
{
	struct pa_reader r;
	struct pa_inrule rule;
	size_t n = 0;
	int rc = 0;

	/* Once to see that all of it is right, then again to write: what is refused leaves no trace. */
	pa_reader_init(&r, buf, len);
	for (; rc == 0 && r.left > 0; n++)
		rc = get_rule(&r, &rule);
	if (rc < 0 || n == 0)
		return rc < 0 ? rc : PA_EFORMAT;
	if (n > cap)
		return PA_ENOMEM;
	pa_reader_init(&r, buf, len);
	for (size_t i = 0; i < n; i++)
		(void)get_rule(&r, &ret[i]);
	return (int)n;
}

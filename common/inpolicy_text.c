/* SPDX-License-Identifier: MPL-2.0 */
/* Inbound policies as people write them. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/inpolicy.h"

#define FROM " from "
#define NUMBERED "proto-"

/* Names of IANA's registry of protocol numbers; "any" is ours. */
static const struct {
	const char *name;
	uint8_t proto;
} protocols[] = {{"any", 0}, {"icmp", 1}, {"igmp", 2}, {"ipip", 4}, {"tcp", 6}, {"udp", 17}, {"dccp", 33}, {"gre", 47}, {"esp", 50},
		 {"ah", 51}, {"sctp", 132}, {"udplite", 136}};

#define N_PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

/* Decimal digits alone, from min to max. */
static bool parse_number(const char *s, size_t len, unsigned min, unsigned max, unsigned *ret)
{
	unsigned v = 0;

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	if (v < min || v > max || (len > 1 && s[0] == '0'))
		return false;
	*ret = v;
	return true;
}

static bool parse_protocol(const char *s, size_t len, uint8_t *ret)
{
	size_t n = sizeof(NUMBERED) - 1;
	unsigned v;

	for (size_t i = 0; i < N_PROTOCOLS; i++) {
		if (strlen(protocols[i].name) == len && memcmp(protocols[i].name, s, len) == 0) {
			*ret = protocols[i].proto;
			return true;
		}
	}
	/* A number alone could be meant as a port. */
	if (len <= n || memcmp(s, NUMBERED, n) != 0 || !parse_number(s + n, len - n, 1, 255, &v))
		return false;
	*ret = (uint8_t)v;
	return true;
}

static bool parse_ports(const char *s, size_t len, struct pa_inrule *r)
{
	const char *dash = memchr(s, '-', len);
	size_t first = dash != NULL ? (size_t)(dash - s) : len;
	unsigned lo, hi;

	if (!parse_number(s, first, 1, 65535, &lo))
		return false;
	hi = lo;
	if (dash != NULL && !parse_number(dash + 1, len - first - 1, lo, 65535, &hi))
		return false;
	r->lo = (uint16_t)lo;
	r->hi = (uint16_t)hi;
	return true;
}

/* What stands before " from ": the protocol is on either side of the slash. */
static bool parse_what(const char *s, size_t len, struct pa_inrule *r)
{
	const char *slash = memchr(s, '/', len);
	size_t first = slash != NULL ? (size_t)(slash - s) : len, rest = slash != NULL ? len - first - 1 : 0;

	r->lo = 0;
	r->hi = 65535;
	if (slash == NULL)
		return parse_protocol(s, len, &r->proto);
	if (!(parse_protocol(slash + 1, rest, &r->proto) && parse_ports(s, first, r)) &&
	    !(parse_protocol(s, first, &r->proto) && parse_ports(slash + 1, rest, r)))
		return false;
	return pa_inrule_has_ports(r->proto);
}

static bool parse_source(const char *s, struct pa_inrule *r)
{
	struct pa_prefix p;

	if (pa_prefix_parse(s, &p) < 0 || !pa_addr_is_ipv4(&p.addr))
		return false;
	r->src = pa_addr_to_ipv4(&p.addr);
	r->src_len = p.len;
	return true;
}

int pa_inrule_parse(const char *s, struct pa_inrule *ret)
{
	const char *from = strstr(s, FROM);
	struct pa_inrule r = {.proto = 0};

	if (!parse_what(s, from != NULL ? (size_t)(from - s) : strlen(s), &r))
		return PA_EFORMAT;
	if (from != NULL && !parse_source(from + sizeof(FROM) - 1, &r))
		return PA_EFORMAT;
	*ret = r;
	return 0;
}

const char *pa_inrule_format(const struct pa_inrule *r, char dst[PA_INRULE_STRLEN])
{
	char number[12], ports[16] = "", source[PA_PREFIX_STRLEN] = "";
	const char *name = number;

	(void)snprintf(number, sizeof(number), NUMBERED "%u", (unsigned)r->proto);
	for (size_t i = 0; i < N_PROTOCOLS; i++)
		if (protocols[i].proto == r->proto)
			name = protocols[i].name;
	if (r->lo != 0 && r->lo == r->hi)
		(void)snprintf(ports, sizeof(ports), "%u/", (unsigned)r->lo);
	else if (r->lo != 0)
		(void)snprintf(ports, sizeof(ports), "%u-%u/", (unsigned)r->lo, (unsigned)r->hi);
	if (r->src_len > 0) {
		struct pa_prefix p = {pa_addr_from_ipv4(r->src), r->src_len};

		(void)(r->src_len == 32 ? pa_addr_format(&p.addr, source) : pa_prefix_format(&p, source));
	}
	(void)snprintf(dst, PA_INRULE_STRLEN, "%s%s%s%.18s", ports, name, r->src_len > 0 ? FROM : "", source);
	return dst;
}

void pa_conf_inpolicy(const struct pa_node *n, const char *key, struct pa_inpolicy *ret)
{
	static const char expected[] = "expected \"open\", \"closed\" or a list such as [\"5060/udp\", \"tcp/1024-2048 from "
				       "198.51.100.0/24\", \"icmp\"]";
	const json_t *v = json_object_get(n->json, key);
	struct pa_inpolicy p = {.kind = PA_IN_CLOSED};
	struct pa_inrule r;

	if (v == NULL || (json_is_string(v) && strcmp(json_string_value(v), "open") == 0)) {
		p.kind = PA_IN_OPEN;
	} else if (json_is_array(v)) {
		p.kind = PA_IN_LIST;
		for (size_t i = 0; i < json_array_size(v); i++) {
			const char *s = json_string_value(json_array_get(v, i));

			if (s == NULL || pa_inrule_parse(s, &r) < 0)
				pa_node_fail(n, key, "%s; item %zu is \"%s\"", expected, i, s != NULL ? s : "no string");
			else if (pa_inpolicy_add(&p, &r) < 0)
				pa_node_fail(n, key, "expected at most %d entries", PA_INRULES_MAX);
		}
	} else if (!json_is_string(v) || strcmp(json_string_value(v), "closed") != 0) {
		pa_node_fail(n, key, "%s%s%s%s", expected, json_is_string(v) ? ", got \"" : "",
			     json_is_string(v) ? json_string_value(v) : "", json_is_string(v) ? "\"" : "");
	}
	*ret = p;
}

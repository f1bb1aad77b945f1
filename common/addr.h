/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_ADDR_H
#define PA_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Addresses and endpoints as values. An address is 16 bytes; IPv4 is held IPv4-mapped (::ffff:a.b.c.d, RFC 4291 section
 * 2.5.5.2), so comparing is memcmp and a table needs one key shape. All zero means "none". Pure; any thread.
 */
struct pa_addr {
	uint8_t b[16];
};

struct pa_endpoint {
	struct pa_addr addr;
	uint16_t port; /* host byte order */
};

struct pa_prefix {
	struct pa_addr addr;
	uint8_t len; /* in bits of the own family: 0..32 for IPv4, 0..128 for IPv6 */
};

#define PA_ADDR_STRLEN 46
#define PA_ENDPOINT_STRLEN 54 /* [v6]:65535 */
#define PA_PREFIX_STRLEN 50

bool pa_addr_is_none(const struct pa_addr *a);
bool pa_addr_is_ipv4(const struct pa_addr *a);
bool pa_addr_eq(const struct pa_addr *a, const struct pa_addr *b);
bool pa_endpoint_eq(const struct pa_endpoint *a, const struct pa_endpoint *b);

/* From and to the IPv4 address in host byte order. to_ipv4 returns 0 for an address that is not IPv4. */
struct pa_addr pa_addr_from_ipv4(uint32_t host_order);
uint32_t pa_addr_to_ipv4(const struct pa_addr *a);

/*
 * Textual forms. parse: numeric only, the whole string; 0 or PA_EFORMAT. An endpoint is "a.b.c.d:port" or "[v6]:port";
 * without a port it gets default_port, or PA_EFORMAT when that is 0. A prefix must have no host bits set.
 * format: writes to dst (of at least the STRLEN above) and returns dst.
 */
int pa_addr_parse(const char *s, struct pa_addr *ret);
int pa_endpoint_parse(const char *s, uint16_t default_port, struct pa_endpoint *ret);
int pa_prefix_parse(const char *s, struct pa_prefix *ret);
const char *pa_addr_format(const struct pa_addr *a, char dst[PA_ADDR_STRLEN]);
const char *pa_endpoint_format(const struct pa_endpoint *e, char dst[PA_ENDPOINT_STRLEN]);
const char *pa_prefix_format(const struct pa_prefix *p, char dst[PA_PREFIX_STRLEN]);

/* True if a is of the prefix's family and inside it. */
bool pa_prefix_contains(const struct pa_prefix *p, const struct pa_addr *a);

/* Classification by the IANA special-purpose registries (RFC 6890 and updates). */
enum pa_addr_class {
	PA_ADDR_GLOBAL = 0,	/* global unicast */
	PA_ADDR_UNSPECIFIED,	/* 0.0.0.0/8, :: */
	PA_ADDR_LOOPBACK,	/* 127/8, ::1 */
	PA_ADDR_LINK_LOCAL,	/* 169.254/16, fe80::/10 */
	PA_ADDR_PRIVATE,	/* RFC 1918, RFC 6598 (100.64/10), fc00::/7 */
	PA_ADDR_MULTICAST,	/* 224/4, ff00::/8 */
	PA_ADDR_BROADCAST,	/* 255.255.255.255 */
	PA_ADDR_DOCUMENTATION,	/* 192.0.2/24, 198.51.100/24, 203.0.113/24, 2001:db8::/32, 3fff::/20 */
	PA_ADDR_RESERVED,	/* the rest that is not globally reachable: 192.0.0/24, 198.18/15, 240/4, 192.88.99/24, ... */
};

enum pa_addr_class pa_addr_classify(const struct pa_addr *a);
/* Number i, from 0, of the IPv4 prefixes that the classes are made of; they may overlap. False behind the last one. */
bool pa_addr_special4(size_t i, struct pa_prefix *ret);
/* A lower-case English name of the class, static. */
const char *pa_addr_class_name(enum pa_addr_class c);

#endif

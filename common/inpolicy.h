/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_INPOLICY_H
#define PA_INPOLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/proto.h"

/*
 * What may come in to P unasked: everything, nothing, or a list. Answers to what P sent, and the ICMP errors that belong to its
 * flows, always may. Pure value types; any thread.
 */

/* One entry of a list: a protocol, ports of it, and where from. */
struct pa_inrule {
	uint8_t proto;	 /* IANA protocol number; 0: every protocol */
	uint8_t src_len; /* prefix length of src, 0..32; 0: from anywhere */
	uint16_t lo, hi; /* destination ports, 1..65535; 0 and 65535: all of them, or a protocol without ports */
	uint32_t src;	 /* IPv4, host byte order, no bits beyond src_len */
};

#define PA_INRULES_MAX 256
#define PA_INRULE_STRLEN 64

struct pa_inpolicy {
	uint16_t kind; /* enum pa_inbound */
	size_t n;      /* rules, with PA_IN_LIST only; none of them: as closed */
	struct pa_inrule rules[PA_INRULES_MAX];
};

/*
 * Text as in configuration files: PORTS/PROTOCOL, PROTOCOL/PORTS or PROTOCOL, then maybe " from ADDRESS[/LENGTH]". PORTS is
 * N or N-M; PROTOCOL a name (tcp, udp, sctp, dccp, udplite, icmp, igmp, gre, esp, ah, ipip, any) or proto-N. parse: 0 or
 * PA_EFORMAT. format writes the first form, returns dst.
 */
int pa_inrule_parse(const char *s, struct pa_inrule *ret);
const char *pa_inrule_format(const struct pa_inrule *r, char dst[PA_INRULE_STRLEN]);
/* True if the protocol's packets have ports where TCP has them. */
bool pa_inrule_has_ports(uint8_t proto);
bool pa_inrule_eq(const struct pa_inrule *a, const struct pa_inrule *b);
/* *ret: what both let pass; false: nothing. */
bool pa_inrule_meet(const struct pa_inrule *a, const struct pa_inrule *b, struct pa_inrule *ret);

/* Adds a rule to a list, unless one of the same meaning stands there. PA_ENOMEM: PA_INRULES_MAX is reached. */
int pa_inpolicy_add(struct pa_inpolicy *p, const struct pa_inrule *r);
/*
 * The stricter of the two: lets pass what both let pass, and nothing else. PA_ENOMEM: it has more than PA_INRULES_MAX rules, *ret
 * is untouched then. ret may be one of them.
 */
int pa_inpolicy_meet(const struct pa_inpolicy *a, const struct pa_inpolicy *b, struct pa_inpolicy *ret);
bool pa_inpolicy_eq(const struct pa_inpolicy *a, const struct pa_inpolicy *b);
/* True if p lets a packet pass that asks for something: of proto, to port (0: it has none), from src (IPv4, host byte order). */
bool pa_inpolicy_passes(const struct pa_inpolicy *p, uint8_t proto, uint16_t port, uint32_t src);

/*
 * The list's form in a grant (pubaddr-protocol(7), GRANT OPTION). encode returns the length, or PA_ETRUNC (cap is too small), or
 * PA_EINVAL (a value is outside its range). decode returns the number of rules, at least 1, or PA_EFORMAT, PA_ETRUNC;
 * PA_ENOMEM: more than cap of them. Each list has one form: decode(encode(x)) == x and the other way round.
 */
int pa_inrules_encode(const struct pa_inrule *rules, size_t n, uint8_t *buf, size_t cap);
int pa_inrules_decode(const uint8_t *buf, size_t len, struct pa_inrule *ret, size_t cap);

/* Reads "open", "closed", or a list of rules; absent: open. Mistakes become the conf's sticky error, *ret is then closed. */
void pa_conf_inpolicy(const struct pa_node *n, const char *key, struct pa_inpolicy *ret);

#endif

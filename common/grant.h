/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GRANT_H
#define PA_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/inpolicy.h"
#include "common/proto.h"

/* What the broker vouches for and the client applies (pubaddr-protocol(7), CLAIMS). A value type. */
struct pa_claims {
	uint8_t key_id; /* which master key */
	uint16_t pool_id;
	uint8_t prefix_len; /* 32 for IPv4, 128 for IPv6; others are reserved */
	uint16_t outbound;  /* enum pa_outbound */
	uint16_t inbound;   /* enum pa_inbound */
	struct pa_addr addr;
	uint64_t epoch;	  /* per address, higher for each new lease */
	uint64_t expires; /* Unix seconds */
	uint8_t fingerprint[PA_FINGERPRINT_LEN]; /* of the client key; all zero: pinned at CONFIRM */
};

/*
 * What the client receives in the DHCP option. A value type that contains a secret: wipe it (pa_grant_wipe) when done,
 * and never log it.
 */
struct pa_grant {
	struct pa_claims claims;
	uint8_t secret[PA_KEY_LEN];
	uint8_t gateway_key[PA_KEY_LEN];
	uint32_t lifetime; /* seconds left when the ACK was made; 0 withdraws */
	struct pa_endpoint gateways[PA_GATEWAYS_MAX]; /* in order of preference */
	unsigned n_gateways;
	uint16_t mtu;	    /* 0: not given */
	uint16_t keepalive; /* seconds; 0: not given */
	struct pa_endpoint relay; /* addr none: not given */
	struct pa_inrule inbound[PA_GRANT_INRULES_MAX]; /* with claims.inbound PA_IN_LIST only; none of them: as closed */
	unsigned n_inbound;
};

/*
 * Codecs. Encoders write to buf of cap bytes and return the length, or PA_EINVAL (a field is outside its range) or
 * PA_ETRUNC (does not fit in cap or in PA_GRANT_MAX). Decoders accept exactly one well-formed value: PA_ETRUNC,
 * PA_EFORMAT or PA_EVERSION otherwise, *ret untouched. Unknown TLVs are skipped; a TLV that may stand only once and
 * stands twice is PA_EFORMAT, as is a missing claims, secret, gateway key, lifetime or gateway (but a grant of lifetime 0
 * needs only claims), a reserved port range that is not zero, or an inbound list beside another policy than PA_IN_LIST. Whether
 * the client should believe the values is not judged here (tunnel/accept.h does). decode(encode(g)) == g. No allocation.
 */
int pa_claims_encode(const struct pa_claims *c, uint8_t buf[PA_CLAIMS_LEN]);
int pa_claims_decode(const uint8_t buf[PA_CLAIMS_LEN], struct pa_claims *ret);
int pa_grant_encode(const struct pa_grant *g, uint8_t *buf, size_t cap);
int pa_grant_decode(const uint8_t *buf, size_t len, struct pa_grant *ret);

bool pa_claims_eq(const struct pa_claims *a, const struct pa_claims *b);

/* The inbound policy that the grant asks for. A policy of a number that is not known is closed. */
void pa_grant_inpolicy(const struct pa_grant *g, struct pa_inpolicy *ret);

/* Overwrites the whole grant; the compiler cannot drop it. */
void pa_grant_wipe(struct pa_grant *g);

/* Names as in configuration files ("tunnel", "open", ...); parse returns the number or PA_EINVAL. */
const char *pa_outbound_name(unsigned mode);
int pa_outbound_parse(const char *s);
const char *pa_inbound_name(unsigned policy);
int pa_inbound_parse(const char *s);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_MSG_H
#define PA_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/grant.h"
#include "common/proto.h"

/*
 * Control messages (pubaddr-protocol(7), MESSAGES). One struct serves all types: a type uses the fields named beside it and
 * leaves the others zero. A value type; may hold no secret. Pure; any thread.
 */
struct pa_msg {
	uint8_t type;				/* enum pa_msg_type */
	uint8_t claims[PA_CLAIMS_LEN];		/* HELLO CONFIRM: encoded; decode with pa_claims_decode */
	uint8_t client_key[PA_KEY_LEN];		/* HELLO CONFIRM */
	uint8_t nonce[PA_NONCE_LEN];		/* HELLO CHALLENGE CONFIRM ACCEPT */
	uint64_t bind;				/* HELLO CONFIRM ACCEPT */
	uint8_t cookie[PA_COOKIE_LEN];		/* CHALLENGE CONFIRM RECHALLENGE RECONFIRM */
	uint8_t session[PA_SESSION_LEN];	/* ACCEPT KEEPALIVE ALIVE RECONFIRM UNBOUND BYE PROBE PROBED */
	uint8_t claims_hash[PA_KEY_LEN];	/* ACCEPT */
	struct pa_endpoint mapped;		/* ACCEPT ALIVE PROBED: the client as the gateway sees it */
	uint32_t lifetime;			/* ACCEPT: seconds left */
	uint16_t mtu;				/* ACCEPT: the largest inner MTU; KEEPALIVE ALIVE: the one in force, 0: not known */
	uint16_t keepalive;			/* ACCEPT: seconds */
	uint8_t token[PA_TOKEN_LEN];		/* ACCEPT KEEPALIVE ALIVE PROBE */
	bool routed;				/* ACCEPT: P is routed here */
	uint64_t seq;				/* KEEPALIVE ALIVE RECONFIRM PROBE PROBED */
	uint64_t echo;				/* KEEPALIVE ALIVE RECONFIRM PROBE PROBED: opaque to the gateway */
	uint8_t reason;				/* UNBOUND BYE: enum pa_reason */
	uint16_t length;			/* PROBE PROBED: of the whole message, PA_PROBE_MIN .. PA_PROBE_MAX */
	uint16_t answer_length;			/* PROBE: of the PROBED asked for; PA_PROBE_MIN .. length */
	uint16_t delay;				/* PROBE: a second answer so many seconds later; PROBED: one will come then */
	uint8_t from;				/* PROBE: enum pa_probe_from; PROBED: from where it came */
	struct pa_endpoint other;		/* PROBED: the gateway at another address; none: it has no other */
	uint16_t other_port;			/* PROBED: another port of the same address; 0: none */
	uint64_t time_ms;			/* PROBED: the gateway's Unix time */
};

/* True if a UDP payload is a control message by its first byte, false if it is (or claims to be) data. */
bool pa_msg_is_control(const uint8_t *buf, size_t len);
/* True if the first nibble says IPv4 or IPv6 inside (GUE variant 1). */
bool pa_msg_is_data(const uint8_t *buf, size_t len);

/*
 * Writes the message and its MAC under key (NULL: zeros in place of the MAC, only for UNBOUND as a hint, PA_EINVAL for
 * others; RECHALLENGE has no MAC at all). CONFIRM carries two MACs: encode under K0 writes up to and with the first and leaves the second zero;
 * pa_msg_seal then writes the second under K1's c2g. Returns the length, or PA_EINVAL, or PA_ETRUNC if cap is too small.
 */
int pa_msg_encode(const struct pa_msg *m, const uint8_t *key, uint8_t *buf, size_t cap);
/* CONFIRM only: the last MAC under c2g. len must be PA_CONFIRM_LEN. */
int pa_msg_seal(uint8_t *buf, size_t len, const uint8_t c2g[PA_KEY_LEN]);

/*
 * Decodes without judging authenticity: PA_ETRUNC or PA_EFORMAT for a wrong length, type, version or non-zero reserved
 * byte (the padding of HELLO, PROBE and PROBED may be anything), or a PROBE's or PROBED's value outside its range; *ret untouched then. The caller verifies with pa_msg_verify before it believes a field.
 */
int pa_msg_decode(const uint8_t *buf, size_t len, struct pa_msg *ret);
/* Verifies the MAC of a whole message under key (for CONFIRM the first of the two, under K0). */
bool pa_msg_verify(const uint8_t *buf, size_t len, const uint8_t key[PA_KEY_LEN]);
/* CONFIRM only: verifies the last MAC under c2g. */
bool pa_msg_verify_seal(const uint8_t *buf, size_t len, const uint8_t c2g[PA_KEY_LEN]);

/* The session id (PA_SESSION_LEN octets) in a message from a client that is bound, undecoded; NULL: it is none of these types, or too short. */
const uint8_t *pa_msg_session(const uint8_t *buf, size_t len);

/* Length of a type's UDP payload, exact but for PROBE and PROBED, where it is the least; 0 for a type that is unknown. */
size_t pa_msg_length(unsigned type);
/* "HELLO" and so on; "unknown" otherwise. Static. */
const char *pa_msg_name(unsigned type);
/* "expired" and so on; "unknown" otherwise. Static. */
const char *pa_reason_name(unsigned reason);

#endif

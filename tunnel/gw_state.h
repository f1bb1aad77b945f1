/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GW_STATE_H
#define PA_GW_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/grant.h"
#include "common/proto.h"

/*
 * The form of the gateway's state file: a header, then records of one length, each the whole entry of one address as it
 * became by a change; a later one of the same address replaces an earlier one. Header and records carry checksums against
 * accidents, not against people: the file holds session keys, and who can write it can be the gateway. A writer that dies
 * in the middle leaves a piece of a record at the end, and a reader stops there. All times are Unix time, since the boot
 * clock starts anew. Pure; any thread.
 */
#define PA_GW_STATE_LISTEN_MAX 8
#define PA_GW_STATE_CHECK_LEN 16
#define PA_GW_STATE_HEADER_LEN (12 + PA_FINGERPRINT_LEN + PA_GW_STATE_LISTEN_MAX * 18 + PA_GW_STATE_CHECK_LEN)
#define PA_GW_STATE_RECORD_LEN (4 + PA_CLAIMS_LEN + 18 + PA_SESSION_LEN + 5 * 8 + 2 + PA_FINGERPRINT_LEN + PA_KEY_LEN + \
				PA_GW_STATE_CHECK_LEN)

/* Whose state it is, and which socket a number in the records means. */
struct pa_gw_state_header {
	uint8_t gateway[PA_FINGERPRINT_LEN]; /* of the gateway's public key: with another one nothing of this is of use */
	struct pa_endpoint listen[PA_GW_STATE_LISTEN_MAX];
	size_t n_listen;
};

/* One address: a binding, or what must be remembered of a former one. A value type that holds session keys: wipe it. */
struct pa_gw_record {
	bool bound, delivering; /* delivering: only while bound */
	uint16_t local;		/* number of the socket */
	struct pa_claims claims;
	struct pa_endpoint mapped;
	uint8_t session[PA_SESSION_LEN];
	uint64_t bind, seq;
	uint64_t bound_at_ms, last_seen_ms; /* Unix time */
	uint64_t floor_until;		    /* Unix seconds: the latest expiry of the grants seen for this address */
	uint16_t mtu;		/* that the client has found on its path; 0: it has said nothing */
	uint8_t pin[PA_FINGERPRINT_LEN]; /* of the client's key */
	uint8_t k1[PA_KEY_LEN];		 /* of the session */
};

/* PA_EINVAL: a value that the form has no room for. decode(encode(x)) == x. */
int pa_gw_state_header_encode(const struct pa_gw_state_header *h, uint8_t buf[PA_GW_STATE_HEADER_LEN]);
int pa_gw_record_encode(const struct pa_gw_record *r, uint8_t buf[PA_GW_STATE_RECORD_LEN]);

/* PA_EFORMAT: not a header or record of ours, or damaged; PA_EVERSION: a later program's. *ret untouched then. */
int pa_gw_state_header_decode(const uint8_t buf[PA_GW_STATE_HEADER_LEN], struct pa_gw_state_header *ret);
int pa_gw_record_decode(const uint8_t buf[PA_GW_STATE_RECORD_LEN], struct pa_gw_record *ret);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PROTO_H
#define PA_PROTO_H

/*
 * Every number of the wire formats and of the rules for lifetimes and timers, in one place. The section names refer to
 * pubaddr-protocol(7), which is normative.
 */

/* The DHCP option (GRANT OPTION). 224 is the first site-specific code of RFC 2132 as amended by RFC 3942. */
#define PA_OPTION_CODE_DEFAULT 224
#define PA_OPTION_CODE_MIN 224
#define PA_OPTION_CODE_MAX 254
#define PA_GRANT_FORMAT 0x01 /* first byte; not printable, so dhclient prints the value as hex */
#define PA_RELEASE_FORMAT 0x02 /* first byte of what a client sends to give a grant back (ON DEMAND) */
#define PA_RELEASE_LEN 25      /* format 1, epoch 8, proof 16 */
#define PA_GRANT_MAX 200     /* busybox udhcpc loses its lease on larger ACKs */

enum pa_grant_tlv {
	PA_TLV_CLAIMS = 1,	/* 58 bytes */
	PA_TLV_SECRET = 2,	/* 32 bytes */
	PA_TLV_GATEWAY_KEY = 3, /* 32 bytes, X25519 public key of the gateway group */
	PA_TLV_LIFETIME = 4,	/* u32, seconds left when the ACK was made; 0 withdraws the grant */
	PA_TLV_GATEWAY = 5,	/* 6 bytes (IPv4, port) or 18 bytes (IPv6, port); repeated in order of preference */
	PA_TLV_MTU = 6,		/* u16, inner MTU */
	PA_TLV_KEEPALIVE = 7,	/* u16, seconds */
	PA_TLV_RELAY = 8,	/* 6 or 18 bytes, session relay */
	PA_TLV_PORT_RANGE = 9,	/* u16 first, u16 last; reserved: refused unless zero */
	PA_TLV_INBOUND = 10,	/* what the inbound policy "list" lets pass; common/inpolicy.h */
};

#define PA_GATEWAYS_MAX 4
#define PA_GRANT_INRULES_MAX 12
#define PA_MTU_MIN 1280
#define PA_MTU_DEFAULT 1472 /* 1500 - IPv4 header 20 - UDP header 8 */
#define PA_KEEPALIVE_MIN 15 /* seconds; RFC 8085 section 3.5 */
#define PA_KEEPALIVE_MAX 120
#define PA_KEEPALIVE_DEFAULT 25
#define PA_LIFETIME_MAX 31536000 /* seconds that a client counts of a grant, also if its DHCP lease never ends: 365 days */
#define PA_GRANT_GRACE 60	 /* seconds that a grant outlives its DHCP lease */
#define PA_QUARANTINE_DEFAULT 120 /* seconds that a released address rests */
#define PA_UNBOUND_DEFAULT 120 /* seconds after which a lease that was never bound is reclaimed */
#define PA_UNBOUND_MIN 10
#define PA_EXPIRY_MARGIN 30	 /* seconds past the highest expiry before reuse without acknowledgements */

/* Claims (CLAIMS). */
#define PA_CLAIMS_LEN 58
#define PA_CLAIMS_VERSION 1
#define PA_FAMILY_IPV4 1 /* IANA Address Family Numbers */
#define PA_FAMILY_IPV6 2
#define PA_FINGERPRINT_LEN 16

enum pa_outbound { PA_OUT_TUNNEL = 0, PA_OUT_NATIVE = 1, PA_OUT_AUTO = 2, PA_OUT_POLICY = 3 };
enum pa_inbound { PA_IN_OPEN = 0, PA_IN_CLOSED = 1, PA_IN_LIST = 2 };

/* Keys (KEYS AND SECRETS). All are 32 bytes. */
#define PA_KEY_LEN 32
#define PA_MAC_LEN 16
#define PA_NONCE_LEN 16
#define PA_COOKIE_LEN 12
#define PA_SESSION_LEN 8
#define PA_TOKEN_LEN 8
#define PA_COOKIE_ROTATE_MS 60000

/* Messages (MESSAGES). GUE: draft-ietf-intarea-gue-09; the port is IANA's for GUE. */
#define PA_GUE_PORT 6080
#define PA_GUE_CONTROL 0x20 /* variant 0, C bit set, Hlen 0 */
#define PA_CTL_HEADER_LEN 8 /* GUE base header 4, type 1, reserved 3 */

enum pa_msg_type {
	PA_MSG_HELLO = 1,
	PA_MSG_CHALLENGE = 2,
	PA_MSG_CONFIRM = 3,
	PA_MSG_ACCEPT = 4,
	PA_MSG_KEEPALIVE = 5,
	PA_MSG_ALIVE = 6,
	PA_MSG_RECHALLENGE = 7,
	PA_MSG_RECONFIRM = 8,
	PA_MSG_UNBOUND = 9,
	PA_MSG_BYE = 10,
	PA_MSG_PROBE = 11,
	PA_MSG_PROBED = 12,
};

enum pa_reason {
	PA_REASON_EXPIRED = 1,
	PA_REASON_RELEASED = 2,
	PA_REASON_REPLACED = 3,
	PA_REASON_SHUTDOWN = 4, /* the gateway goes: try the next */
	PA_REASON_UNKNOWN = 5,	/* no such session; never authenticated, only a hint to HELLO again */
	PA_REASON_DRAIN = 6,	/* UNBOUND: the gateway is being emptied: bind at another one; until then it serves, if it did */
	PA_REASON_MOVED = 7,	/* BYE: bound at another gateway; what still comes is carried on for a moment */
};

/* What a PROBE asks for: from where the answer is to come, seen from where the PROBE went (RFC 5780, CHANGE-REQUEST). */
enum pa_probe_from {
	PA_PROBE_SAME = 0,    /* the same address and port */
	PA_PROBE_PORT = 1,    /* the same address, another port */
	PA_PROBE_ADDRESS = 2, /* another address */
};

/* Exact lengths of the UDP payloads. No answer is longer than the message that it answers. */
#define PA_HELLO_LEN 160
#define PA_CHALLENGE_LEN 52
#define PA_CONFIRM_LEN 166
#define PA_ACCEPT_LEN 126
#define PA_KEEPALIVE_LEN 76
#define PA_ALIVE_LEN 76
#define PA_RECHALLENGE_LEN 20
#define PA_RECONFIRM_LEN 76
#define PA_UNBOUND_LEN 40
#define PA_BYE_LEN 40
#define PA_CTL_MAX 166	  /* of all but PROBE and PROBED */
#define PA_PROBE_MIN 104  /* PROBE and PROBED are padded to any length from here */
#define PA_PROBE_MAX 8972 /* to here: jumbo frames of 9000, less the headers of IPv4 and UDP */
#define PA_PROBE_DELAY_MAX 600 /* seconds until a second answer */

/* Timers (TIMERS), milliseconds. */
#define PA_HELLO_RETRY_MS 1000	    /* first retry of HELLO or CONFIRM, doubling */
#define PA_HELLO_RETRY_MAX_MS 16000
#define PA_KEEPALIVE_RETRIES 3	    /* after a miss: at 1, 2, 4 s */
#define PA_RECHALLENGE_MS 1000	    /* how long the old mapped address may object; also the client's answer interval */
#define PA_MOVED_ROUTE_MS 5000	    /* after BYE (moved) a gateway goes on announcing P for so long, */
#define PA_MOVED_MS 10000	    /* and carrying for so long; */
#define PA_FORMER_MS 15000	    /* the client takes what comes from its former gateway for longer than that */
#define PA_BROKER_PORT 6443	    /* TCP, of the channel to gateways on other hosts */
#define PA_CLOCK_SKEW_MAX 10	    /* seconds between broker and gateways */

#endif

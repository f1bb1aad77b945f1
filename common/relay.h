/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_H
#define PA_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/proto.h"

/*
 * The session relay's framing (pubaddr-protocol(7), SESSION RELAY): what runs inside one TLS 1.3 connection between the
 * client daemon and the relay server. Every frame has a header of 8 bytes: type 1, flags 1 (zero), length of the body
 * 2, session 4. Frames below PA_RELAY_UNCOUNTED are counted by both sides, in bytes with their headers, kept by their
 * sender until the other side acknowledged them, and sent again when a lost connection is resumed; the others belong to
 * one connection. Pure; any thread.
 */
#define PA_RELAY_PORT 443
#define PA_RELAY_HEADER_LEN 8
#define PA_RELAY_BODY_MAX 65535
#define PA_RELAY_DATA_MAX 16376 /* of one DATA: with its header one TLS record (RFC 8446, 5.1) */
#define PA_RELAY_UNCOUNTED 64
#define PA_RELAY_WINDOW 524288u	     /* bytes that a session's sender may be ahead of its receiver, to begin with */
#define PA_RELAY_WINDOW_MAX 2097152u /* and never more than that */
#define PA_RELAY_SESSIONS_MAX 16384u /* of one connection */
#define PA_RELAY_HOLD_S 30	     /* seconds that sessions outlive a lost connection */
#define PA_RELAY_AUTH_S 5	     /* seconds that a connection has for its first message */
#define PA_RELAY_ID_LEN 16
#define PA_RELAY_NAME_MAX 253 /* of a host name, in octets (RFC 1035) */
#define PA_RELAY_ADDRS_MAX 16 /* of a RESOLVED */
/* Names that a client may ask for: at a time, a second, and of these at once. What is more is answered AGAIN. */
#define PA_RELAY_NAMES_MAX 8u
#define PA_RELAY_NAMES_PER_S 20u
#define PA_RELAY_NAMES_BURST 100u

enum pa_relay_type {
	PA_RELAY_OPEN = 1,   /* c->s: begin a session; the client counts session numbers up, odd ones */
	PA_RELAY_RESULT = 2, /* s->c: how that went, and between which endpoints */
	PA_RELAY_INCOMING =
		3,	   /* s->c: a peer called a listening session; a new session, the server's numbers are even */
	PA_RELAY_DATA = 4, /* bytes of a stream */
	PA_RELAY_DATAGRAM = 5,	 /* one datagram, with the peer's endpoint */
	PA_RELAY_WINDOW_ADD = 6, /* so many more bytes may be sent */
	PA_RELAY_FIN = 7,	 /* no more bytes will come; the other direction goes on */
	PA_RELAY_RESET = 8,	 /* the session is over, now; with an enum pa_relay_error */
	PA_RELAY_RESOLVE = 9,	 /* c->s: which addresses has this name; a session number of its own */
	PA_RELAY_RESOLVED = 10,	 /* s->c */
	PA_RELAY_UNDELIVERED = 11, /* s->c: the network says that datagrams do not reach this peer; may be dropped */

	PA_RELAY_ACK = PA_RELAY_UNCOUNTED, /* so many bytes of counted frames have arrived in all */
	PA_RELAY_TUNNEL = 65,		   /* one UDP datagram of the tunnel, to or from the gateway; may be dropped */
	PA_RELAY_PING = 66,		   /* answered by PONG with the same body of 8 bytes */
	PA_RELAY_PONG = 67,
	PA_RELAY_BYE = 68,     /* the whole connection with all its sessions is over; with an enum pa_relay_error */
	PA_RELAY_AUTH = 69,    /* c->s: the first frame (common/relay_auth.h) */
	PA_RELAY_AUTH_OK = 70, /* s->c: the first answer */
	PA_RELAY_AUTH_NO = 71, /* s->c: the other one, only to a client that has shown K1; then the connection ends */
};

enum pa_relay_kind { PA_RELAY_TCP = 1, PA_RELAY_TCP_LISTEN = 2, PA_RELAY_UDP = 3 };

/* What became of a call; each has its errno at the program (pa_relay_errno of common/relay_local.h). */
enum pa_relay_error {
	PA_RELAY_E_OK = 0,
	PA_RELAY_E_REFUSED = 1,	   /* ECONNREFUSED */
	PA_RELAY_E_HOST = 2,	   /* EHOSTUNREACH */
	PA_RELAY_E_NET = 3,	   /* ENETUNREACH */
	PA_RELAY_E_TIMEOUT = 4,	   /* ETIMEDOUT */
	PA_RELAY_E_RESET = 5,	   /* ECONNRESET */
	PA_RELAY_E_IN_USE = 6,	   /* EADDRINUSE: the local port */
	PA_RELAY_E_DENIED = 7,	   /* EACCES: the server's deny list or the client's policy */
	PA_RELAY_E_LIMIT = 8,	   /* ENOBUFS: too many sessions */
	PA_RELAY_E_PROTOCOL = 9,   /* EPROTO: the other side broke the rules */
	PA_RELAY_E_NOT_FOUND = 10, /* no such name, or no such session any more */
	PA_RELAY_E_EXPIRED = 11,   /* the grant is over */
	PA_RELAY_E_REPLACED = 12,  /* P or the client is served elsewhere */
	PA_RELAY_E_SHUTDOWN = 13,  /* the server goes */
	PA_RELAY_E_AGAIN = 14,	   /* the server cannot tell now; try again */
	PA_RELAY_E_LOST = 15,	   /* the connection was lost and not resumed in time: ECONNABORTED */
	PA_RELAY_E_MAX = 15,
};

struct pa_relay_header {
	uint8_t type;
	uint16_t length; /* of the body */
	uint32_t session;
};

/* Bodies with fields. One struct for all; a type uses the fields named beside it and leaves the others zero. A value
 * type. */
struct pa_relay_body {
	uint8_t kind;			  /* OPEN: enum pa_relay_kind */
	uint8_t error;			  /* RESULT RESET RESOLVED UNDELIVERED BYE AUTH_NO: enum pa_relay_error */
	uint32_t listener;		  /* INCOMING: the session that listens */
	struct pa_endpoint local;	  /* OPEN: only the port counts, 0: any; RESULT INCOMING: P and the port */
	struct pa_endpoint remote;	  /* OPEN of TCP, RESULT, INCOMING, DATAGRAM, UNDELIVERED: the peer; else none */
	uint32_t window;		  /* WINDOW_ADD: bytes, above 0 */
	uint64_t count;			  /* ACK: bytes; PING PONG: opaque */
	uint8_t family;			  /* RESOLVE: 4, 6, or 0 for both */
	char name[PA_RELAY_NAME_MAX + 1]; /* RESOLVE: printable ASCII without blanks, not empty, terminated */
	unsigned n_addrs;
	struct pa_addr addrs[PA_RELAY_ADDRS_MAX]; /* RESOLVED */
	size_t payload;				  /* DATAGRAM: where in the body the datagram begins; set by decode */
};

/* Longest body that pa_relay_encode writes. */
#define PA_RELAY_FIELDS_MAX (2 + 16 * PA_RELAY_ADDRS_MAX)
/* Length of a DATAGRAM's body before the datagram itself. */
#define PA_RELAY_DATAGRAM_LEN 18

void pa_relay_put_header(uint8_t dst[PA_RELAY_HEADER_LEN], const struct pa_relay_header *h);
/* 0, or PA_EFORMAT: unknown type, flags set, or a length that the type cannot have. *ret untouched then. */
int pa_relay_get_header(const uint8_t src[PA_RELAY_HEADER_LEN], struct pa_relay_header *ret);
/*
 * The body of a type with fields; DATAGRAM: what stands before the datagram. Returns its length, or PA_EINVAL (a field
 * is outside its range, or the type has no fields), or PA_ETRUNC.
 */
int pa_relay_encode(uint8_t type, const struct pa_relay_body *b, uint8_t *buf, size_t cap);
/*
 * Decodes a whole body. Types without fields (DATA, FIN, TUNNEL, AUTH...) give an empty struct. PA_EFORMAT or
 * PA_ETRUNC, *ret untouched then.
 */
int pa_relay_decode(uint8_t type, const uint8_t *body, size_t len, struct pa_relay_body *ret);

/* "OPEN" and so on; "unknown" otherwise. Static. */
const char *pa_relay_type_name(unsigned type);
/* "refused" and so on; "unknown" otherwise. Static. */
const char *pa_relay_error_name(unsigned error);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_H323_MSG_H
#define PA_TEST_H323_MSG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The messages of a call set-up by H.323, for the tests: ours, no program's. Of each message the one form that h323.c
 * sends, with the elements that H.225.0 and H.245 require and those that hold an address; any other form is refused.
 * Pure; any thread.
 */
enum h323_kind {
	H323_SETUP,    /* H.225.0, in Q.931 */
	H323_CONNECT,  /* H.225.0 */
	H323_RELEASE,  /* H.225.0, RELEASE COMPLETE */
	H323_OPEN,     /* H.245, OpenLogicalChannel: G.711 A-law over RTP */
	H323_OPEN_ACK, /* H.245, OpenLogicalChannelAck */
};

struct h323_message {
	enum h323_kind kind;
	uint16_t reference;		  /* Q.931's call reference; the called side's messages have 0x8000 in it */
	uint8_t conference[16], call[16]; /* SETUP, CONNECT; call also RELEASE */
	struct sockaddr_in source, destination; /* SETUP: sourceCallSignalAddress, destCallSignalAddress */
	bool has_h245; /* SETUP, CONNECT: there is h245, where the sender waits for the H.245 connection */
	struct sockaddr_in h245;
	struct sockaddr_in media;   /* OPEN_ACK: where RTP is to be sent */
	struct sockaddr_in control; /* OPEN, OPEN_ACK: where RTCP is to be sent */
};

enum { H323_MAX = 512 }; /* octets; no message of ours is longer */

/* Writes m with its TPKT header (RFC 1006) to dst; how many octets that are, 0 if size is too small. */
size_t h323_encode(const struct h323_message *m, uint8_t *dst, size_t size);
/* Reads the len octets of one TPKT, which shall hold a message of m->kind; false: it does not, and *m means nothing. */
bool h323_decode(struct h323_message *m, const uint8_t *src, size_t len);

#endif

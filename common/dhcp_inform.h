/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DHCP_INFORM_H
#define PA_DHCP_INFORM_H

#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/proto.h"

/*
 * DHCPINFORM and the DHCPACK that answers it (RFC 2131, sections 2, 3.4 and 4.4.3; options by RFC 2132 and RFC 3396), as
 * far as a client needs them that has its lease and asks for one option more. Pure; any thread.
 */
#define PA_DHCP_SERVER_PORT 67
#define PA_DHCP_CLIENT_PORT 68
#define PA_DHCP_MESSAGE_MIN 300 /* RFC 1542, section 2.1: shorter ones are dropped by old relay agents */
#define PA_DHCP_MESSAGE_MAX 1500
#define PA_DHCP_HW_MAX 16

/* What is asked. A value type; option is borrowed. */
struct pa_dhcp_inform {
	uint32_t xid;
	uint8_t hw_type; /* IANA's "Hardware Types", as ARPHRD_ */
	uint8_t hw_len;	 /* 1 to PA_DHCP_HW_MAX */
	uint8_t hw[PA_DHCP_HW_MAX];
	uint32_t address; /* of the client, its lease's; host byte order */
	uint8_t code;	  /* of the option that is asked for */
	const uint8_t *option; /* what the client sends in it */
	uint8_t option_len;    /* 0: nothing */
};

/* What a DHCPACK says. A value type; the option may be a secret: wipe it. */
struct pa_dhcp_ack {
	uint32_t server; /* option 54, host byte order; 0: none */
	size_t option_len; /* 0: without the option */
	uint8_t option[PA_GRANT_MAX];
};

/* Writes the UDP payload and returns its length, or PA_EINVAL (hw_len, code 0 or 255) or PA_ETRUNC. decode(encode(q)) == q is a test. */
int pa_dhcp_inform_encode(const struct pa_dhcp_inform *q, uint8_t *buf, size_t cap);
/*
 * Reads a UDP payload that came to the client's port. PA_ENOTFOUND: a good message, but no DHCPACK for q; PA_EFORMAT, PA_ETRUNC:
 * malformed, or an option longer than a grant may be. *ret untouched on failure.
 */
int pa_dhcp_ack_decode(const uint8_t *buf, size_t len, const struct pa_dhcp_inform *q, struct pa_dhcp_ack *ret);

/*
 * An IPv4 packet as a packet socket gives it: its source (host byte order) and the payload of the whole UDP datagram from the server's to the client's
 * port in it, borrowed. Checksums are not looked at: neighbours on one host leave them out. PA_ENOTFOUND: another kind
 * of packet; PA_ETRUNC, PA_EFORMAT.
 */
int pa_dhcp_packet_decode(const uint8_t *buf, size_t len, uint32_t *ret_from, struct pa_reader *ret_payload);

/*
 * What a client sends in the option to give its grant back (pubaddr-protocol(7), ON DEMAND). encode writes PA_RELEASE_LEN octets;
 * decode gives PA_EFORMAT for anything else.
 */
void pa_dhcp_release_encode(uint64_t epoch, const uint8_t proof[PA_MAC_LEN], uint8_t buf[PA_RELEASE_LEN]);
int pa_dhcp_release_decode(const uint8_t *buf, size_t len, uint64_t *ret_epoch, uint8_t ret_proof[PA_MAC_LEN]);

#endif

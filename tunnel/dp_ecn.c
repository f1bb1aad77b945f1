/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_ecn.h"

#define ECN_MASK 0x03
#define ECN_NONE 0x00
#define ECN_ECT1 0x01
#define ECN_ECT0 0x02
#define ECN_CE 0x03
#define IP4_CHECK 10

uint8_t pa_ecn_class(const uint8_t *pkt)
{
	if (pkt[0] >> 4 == 4)
		return pkt[1];
	return (uint8_t)(pkt[0] << 4 | pkt[1] >> 4);
}

/* IPv4's checksum is corrected by the difference (RFC 1624, equation 3), so that a wrong one stays wrong. */
static void set_ipv4(uint8_t *pkt, uint8_t value)
{
	uint32_t sum = (uint16_t) ~(uint16_t)(pkt[IP4_CHECK] << 8 | pkt[IP4_CHECK + 1]);

	sum += (uint16_t) ~(uint16_t)(pkt[0] << 8 | pkt[1]);
	sum += (uint32_t)(pkt[0] << 8 | value);
	while (sum > UINT16_MAX)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = ~sum;
	pkt[1] = value;
	pkt[IP4_CHECK] = (uint8_t)(sum >> 8);
	pkt[IP4_CHECK + 1] = (uint8_t)sum;
}

static void set_class(uint8_t *pkt, uint8_t value)
{
	if (pkt[0] >> 4 == 4) {
		set_ipv4(pkt, value);
		return;
	}
	pkt[0] = (uint8_t)((pkt[0] & 0xf0) | value >> 4);
	pkt[1] = (uint8_t)(value << 4 | (pkt[1] & 0x0f));
}

bool pa_ecn_carry(uint8_t *pkt, uint8_t outer)
{
	uint8_t was = pa_ecn_class(pkt), inner = was & ECN_MASK, now = was;

	outer &= ECN_MASK;
	if (outer == ECN_CE && inner == ECN_NONE)
		return false;
	if (outer == ECN_CE)
		now = was | ECN_CE;
	else if (outer == ECN_ECT1 && inner == ECN_ECT0)
		now = (uint8_t)((was & ~ECN_MASK) | ECN_ECT1);
	if (now != was)
		set_class(pkt, now);
	return true;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/mss.h"

#define IPV6_HEADER 40
#define TCP 6
#define TCP_HEADER 20
#define FLAGS_AT 13
#define CHECKSUM_AT 16
#define SYN 2
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_MSS 2
#define OPTION_MSS_LEN 4
#define FRAGMENT_OFFSET 0x1fff

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Length of the IP header if TCP follows at once, otherwise 0. */
static size_t ip_header(const uint8_t *pkt, size_t len)
{
	if (len >= 20 && pkt[0] >> 4 == 4 && pkt[9] == TCP && (get_u16(pkt + 6) & FRAGMENT_OFFSET) == 0)
		return (size_t)(pkt[0] & 15) * 4;
	if (len >= IPV6_HEADER && pkt[0] >> 4 == 6 && pkt[6] == TCP)
		return IPV6_HEADER;
	return 0;
}

/* The option among n octets; NULL: there is none. */
static uint8_t *find_option(uint8_t *p, size_t n)
{
	while (n >= OPTION_MSS_LEN && p[0] != OPTION_END) {
		size_t step = p[0] == OPTION_NOP ? 1 : p[1];

		if (p[0] == OPTION_MSS && step == OPTION_MSS_LEN)
			return p;
		if (step == 0 || (p[0] != OPTION_NOP && step < 2) || step > n)
			return NULL;
		p += step;
		n -= step;
	}
	return NULL;
}

/* RFC 1624, equation 3. odd: the value does not stand where the sum's words begin. */
static uint16_t mend(uint16_t sum, uint16_t was, uint16_t is, bool odd)
{
	uint32_t s;

	if (odd) {
		was = (uint16_t)(was << 8 | was >> 8);
		is = (uint16_t)(is << 8 | is >> 8);
	}
	s = (uint32_t)(uint16_t)~sum + (uint16_t)~was + is;
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t) ~((s & 0xffff) + (s >> 16));
}

bool pa_mss_clamp(uint8_t *pkt, size_t len, uint16_t mtu)
{
	size_t ip = ip_header(pkt, len), header;
	uint8_t *tcp = pkt + ip, *option;
	uint16_t most, was;

	if (ip < 20 || len < ip + TCP_HEADER || (tcp[FLAGS_AT] & SYN) == 0 || mtu <= ip + TCP_HEADER)
		return false;
	header = (size_t)(tcp[12] >> 4) * 4;
	if (header < TCP_HEADER || len < ip + header)
		return false;
	option = find_option(tcp + TCP_HEADER, header - TCP_HEADER);
	/* Without options of IP and TCP, whatever this packet has. */
	most = (uint16_t)(mtu - (pkt[0] >> 4 == 4 ? 20 : IPV6_HEADER) - TCP_HEADER);
	was = option != NULL ? get_u16(option + 2) : 0;
	if (was <= most)
		return false;
	put_u16(option + 2, most);
	put_u16(tcp + CHECKSUM_AT, mend(get_u16(tcp + CHECKSUM_AT), was, most, ((option - tcp) & 1) != 0));
	return true;
}

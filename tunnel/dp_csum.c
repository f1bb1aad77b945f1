/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_csum.h"

#include <arpa/inet.h>
#include <string.h>

/* Carries gather in the upper half of each of the sums, which four billion additions do not fill. */
uint64_t pa_csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t a = 0, b = 0;
	uint64_t w[4];
	uint16_t last = 0;

	sum = (sum & UINT32_MAX) + (sum >> 32);
	for (; len >= sizeof(w); p += sizeof(w), len -= sizeof(w)) {
		memcpy(w, p, sizeof(w));
		a += (w[0] & UINT32_MAX) + (w[1] & UINT32_MAX) + (w[2] & UINT32_MAX) + (w[3] & UINT32_MAX);
		b += (w[0] >> 32) + (w[1] >> 32) + (w[2] >> 32) + (w[3] >> 32);
	}
	for (; len >= 2; p += 2, len -= 2) {
		memcpy(&last, p, 2);
		a += last;
	}
	if (len == 1) {
		last = 0;
		memcpy(&last, p, 1); /* a zero byte follows, whatever the byte order is */
		a += last;
	}
	return sum + a + b;
}

uint16_t pa_csum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)sum;
}

uint64_t pa_csum_pseudo(const uint8_t *ip, uint8_t proto, size_t len)
{
	uint32_t words[2] = {htonl((uint32_t)len), htonl(proto)};
	uint64_t sum = pa_csum_add(0, words, sizeof(words));

	return ip[0] >> 4 == 4 ? pa_csum_add(sum, ip + 12, 8) : pa_csum_add(sum, ip + 8, 32);
}

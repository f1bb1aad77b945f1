/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_join.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "tunnel/dp_csum.h"

#define IP4_HEADER 20
#define IP6_HEADER 40
#define IP4_CHECK 10
#define TCP_HEADER 20
#define TCP_FLAGS 13
#define TCP_CHECK 16
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TOTAL_MAX UINT16_MAX

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void pa_join_init(struct pa_join *j)
{
	memset(j, 0, sizeof(*j));
}

/*
 * Is this a segment that others may follow? Then its headers' lengths. Not with IP options, fragmented, without data, or with
 * flags but ACK, PSH and FIN: such a segment goes alone.
 */
static bool is_segment(const uint8_t *pkt, size_t len, size_t *ip, size_t *header)
{
	const uint8_t *tcp;
	size_t h;

	if (pkt[0] == 0x45 && len >= IP4_HEADER + TCP_HEADER) {
		if (pkt[9] != IPPROTO_TCP || (get16(pkt + 6) & 0xbfff) != 0)
			return false;
		*ip = IP4_HEADER;
	} else if (pkt[0] >> 4 == 6 && len >= IP6_HEADER + TCP_HEADER) {
		if (pkt[6] != IPPROTO_TCP)
			return false;
		*ip = IP6_HEADER;
	} else {
		return false;
	}
	tcp = pkt + *ip;
	h = *ip + (size_t)(tcp[12] >> 4) * 4;
	*header = h;
	return h >= *ip + TCP_HEADER && h < len && (tcp[TCP_FLAGS] & ~(TCP_FIN | TCP_PSH)) == TCP_ACK;
}

static bool is_sound(const uint8_t *pkt, size_t ip, size_t len)
{
	uint64_t sum = pa_csum_pseudo(pkt, IPPROTO_TCP, len - ip);

	if (ip == IP4_HEADER && pa_csum_fold(pa_csum_add(0, pkt, ip)) != UINT16_MAX)
		return false;
	return pa_csum_fold(pa_csum_add(sum, pkt + ip, len - ip)) == UINT16_MAX;
}

/* The same flow, and all else that the kernel copies from the first segment to those that it cuts. */
static bool same_headers(const struct pa_join *j, const uint8_t *pkt)
{
	const uint8_t *a = j->first + j->ip, *b = pkt + j->ip;

	if (j->ip == IP4_HEADER) {
		if (memcmp(j->first, pkt, 2) != 0 || memcmp(j->first + 6, pkt + 6, 4) != 0 ||
		    memcmp(j->first + 12, pkt + 12, 8) != 0)
			return false;
		if (get16(pkt + 4) != (uint16_t)(get16(j->first + 4) + j->n))
			return false;
	} else if (memcmp(j->first, pkt, 4) != 0 || memcmp(j->first + 6, pkt + 6, IP6_HEADER - 6) != 0) {
		return false;
	}
	/* Ports, acknowledgement, offset, window, urgent pointer, options. */
	return memcmp(a, b, 4) == 0 && memcmp(a + 8, b + 8, 5) == 0 && memcmp(a + 14, b + 14, 2) == 0 &&
	       memcmp(a + 18, b + 18, j->header - j->ip - 18) == 0;
}

static bool begin(struct pa_join *j, const uint8_t *pkt, size_t len)
{
	j->n = 1;
	j->first = j->last = pkt;
	j->first_len = j->len = len;
	j->verified = false;
	j->open = is_segment(pkt, len, &j->ip, &j->header);
	if (!j->open)
		return true;
	j->each = len - j->header;
	j->next_seq = get32(pkt + j->ip + 4) + (uint32_t)j->each;
	if ((pkt[j->ip + TCP_FLAGS] & (TCP_FIN | TCP_PSH)) != 0)
		j->open = false;
	return true;
}

bool pa_join_add(struct pa_join *j, const uint8_t *pkt, size_t len)
{
	size_t ip, header, payload;

	if (j->n == 0)
		return begin(j, pkt, len);
	if (!j->open || !is_segment(pkt, len, &ip, &header) || ip != j->ip || header != j->header)
		return false;
	payload = len - header;
	if (payload > j->each || j->n == PA_JOIN_MAX || j->len + payload > TOTAL_MAX || get32(pkt + ip + 4) != j->next_seq ||
	    !same_headers(j, pkt) || !is_sound(pkt, ip, len))
		return false;
	if (!j->verified && !is_sound(j->first, ip, j->first_len))
		return false;
	j->verified = true;
	j->iov[2 + j->n] = (struct iovec){(void *)(uintptr_t)(pkt + header), payload};
	j->n++;
	j->last = pkt;
	j->len += payload;
	j->next_seq += (uint32_t)payload;
	if (payload < j->each || (pkt[ip + TCP_FLAGS] & (TCP_FIN | TCP_PSH)) != 0)
		j->open = false;
	return true;
}

/* One header for all of them. TCP's checksum is the kernel's to finish, so the field holds the pseudo header's sum. */
static void make_headers(struct pa_join *j)
{
	uint8_t *h = j->headers, *tcp = h + j->ip;
	uint16_t sum;

	memcpy(h, j->first, j->header);
	if (j->ip == IP4_HEADER) {
		put16(h + 2, j->len);
		memset(h + IP4_CHECK, 0, 2);
		sum = (uint16_t)~pa_csum_fold(pa_csum_add(0, h, j->ip));
		memcpy(h + IP4_CHECK, &sum, sizeof(sum));
	} else {
		put16(h + 4, j->len - IP6_HEADER);
	}
	tcp[TCP_FLAGS] |= j->last[j->ip + TCP_FLAGS] & (TCP_FIN | TCP_PSH);
	sum = pa_csum_fold(pa_csum_pseudo(h, IPPROTO_TCP, j->len - j->ip));
	memcpy(tcp + TCP_CHECK, &sum, sizeof(sum));
	j->vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = j->ip == IP4_HEADER ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (uint16_t)j->header,
		.gso_size = (uint16_t)j->each,
		.csum_start = (uint16_t)j->ip,
		.csum_offset = TCP_CHECK,
	};
}

int pa_join_take(struct pa_join *j, struct iovec **ret)
{
	int n = (int)j->n;

	if (n == 0)
		return 0;
	j->iov[0] = (struct iovec){&j->vnet, sizeof(j->vnet)};
	*ret = j->iov;
	j->n = 0;
	if (n == 1) {
		memset(&j->vnet, 0, sizeof(j->vnet));
		j->iov[1] = (struct iovec){(void *)(uintptr_t)j->first, j->first_len};
		return 2;
	}
	make_headers(j);
	j->iov[1] = (struct iovec){j->headers, j->header};
	j->iov[2] = (struct iovec){(void *)(uintptr_t)(j->first + j->header), j->each};
	return n + 2;
}

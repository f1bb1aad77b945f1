/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_cut.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/dp_csum.h"

#define IP4_HEADER 20
#define IP4_TOTAL 2
#define IP4_ID 4
#define IP4_CHECK 10
#define IP6_PAYLOAD 4
#define IP6_HEADER 40
#define TCP_SEQ 4
#define TCP_OFFSET 12
#define TCP_FLAGS 13
#define TCP_CHECK 16
#define TCP_HEADER 20
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80
#define UDP_LENGTH 4
#define UDP_CHECK 6
#define UDP_HEADER 8

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void add32(uint8_t *p, size_t n)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	v = htonl(ntohl(v) + (uint32_t)n);
	memcpy(p, &v, sizeof(v));
}

/* Stores the checksum that makes sum right. UDP's zero means that there is none, so it is written as the other zero. */
static void put_check(uint8_t *at, uint64_t sum, bool udp)
{
	uint16_t v = (uint16_t)~pa_csum_fold(sum);

	if (udp && v == 0)
		v = UINT16_MAX;
	memcpy(at, &v, sizeof(v));
}

bool pa_cut_is_many(const struct virtio_net_hdr *vh)
{
	return vh->gso_type != VIRTIO_NET_HDR_GSO_NONE;
}

int pa_cut_finish(const struct virtio_net_hdr *vh, uint8_t *pkt, size_t len)
{
	size_t start = vh->csum_start, at = start + vh->csum_offset;

	if ((vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0)
		return 0;
	if (start < IP4_HEADER || at + 2 > len)
		return PA_EFORMAT;
	/* The field holds the sum of the pseudo header, which thereby counts. */
	put_check(pkt + at, pa_csum_add(0, pkt + start, len - start), vh->csum_offset == UDP_CHECK);
	return 0;
}

static bool kind_fits(uint8_t kind, uint8_t version, uint8_t *proto)
{
	*proto = kind == VIRTIO_NET_HDR_GSO_UDP_L4 ? IPPROTO_UDP : IPPROTO_TCP;
	return kind == VIRTIO_NET_HDR_GSO_UDP_L4 ? version == 4 || version == 6 :
	       kind == VIRTIO_NET_HDR_GSO_TCPV4 ? version == 4 : kind == VIRTIO_NET_HDR_GSO_TCPV6 && version == 6;
}

/* Where IP ends is where the checksum starts, for the kernel leaves every packet of many to be finished. */
static bool ip_fits(const uint8_t *pkt, size_t len, size_t l4, uint8_t proto)
{
	if (pkt[0] >> 4 == 4)
		return l4 == (size_t)(pkt[0] & 0x0f) * 4 && l4 >= IP4_HEADER && pkt[9] == proto && get16(pkt + IP4_TOTAL) == len;
	return len >= IP6_HEADER && l4 >= IP6_HEADER && (size_t)get16(pkt + IP6_PAYLOAD) + IP6_HEADER == len;
}

int pa_cut_init(struct pa_cut *c, const struct virtio_net_hdr *vh, const uint8_t *pkt, size_t len)
{
	struct pa_cut out = {.pkt = pkt, .len = len, .l4 = vh->csum_start, .each = vh->gso_size};
	uint8_t kind = (uint8_t)(vh->gso_type & ~VIRTIO_NET_HDR_GSO_ECN);

	if ((vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 || out.each == 0 || len < IP4_HEADER ||
	    !kind_fits(kind, pkt[0] >> 4, &out.proto) || !ip_fits(pkt, len, out.l4, out.proto))
		return PA_EFORMAT;
	if (out.l4 + (out.proto == IPPROTO_TCP ? TCP_HEADER : UDP_HEADER) > len)
		return PA_EFORMAT;
	out.header = out.l4 + (out.proto == IPPROTO_TCP ? (size_t)(pkt[out.l4 + TCP_OFFSET] >> 4) * 4 : UDP_HEADER);
	if (out.header > PA_CUT_HEADER_MAX || out.header >= len ||
	    (out.proto == IPPROTO_TCP && out.header < out.l4 + TCP_HEADER))
		return PA_EFORMAT;
	*c = out;
	return 0;
}

unsigned pa_cut_count(const struct pa_cut *c, size_t *bytes)
{
	size_t payload = c->len - c->header, n = (payload + c->each - 1) / c->each;

	*bytes = payload + n * c->header;
	return (unsigned)n;
}

static void patch_ip(const struct pa_cut *c, uint8_t *h, size_t total)
{
	if (h[0] >> 4 == 6) {
		put16(h + IP6_PAYLOAD, total - IP6_HEADER);
		return;
	}
	put16(h + IP4_TOTAL, total);
	put16(h + IP4_ID, get16(h + IP4_ID) + c->index);
	memset(h + IP4_CHECK, 0, 2);
	put_check(h + IP4_CHECK, pa_csum_add(0, h, c->l4), false);
}

static void patch_tcp(const struct pa_cut *c, uint8_t *tcp, bool last)
{
	add32(tcp + TCP_SEQ, c->at);
	if (!last)
		tcp[TCP_FLAGS] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	if (c->index > 0)
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
}

bool pa_cut_next(struct pa_cut *c, uint8_t header[PA_CUT_HEADER_MAX], struct pa_cut_part *ret)
{
	size_t left = c->len - c->header - c->at, n = left < c->each ? left : c->each;
	size_t check = c->l4 + (c->proto == IPPROTO_TCP ? TCP_CHECK : UDP_CHECK);
	uint64_t sum;

	if (left == 0)
		return false;
	*ret = (struct pa_cut_part){c->header, c->pkt + c->header + c->at, n};
	memcpy(header, c->pkt, c->header);
	patch_ip(c, header, c->header + n);
	if (c->proto == IPPROTO_TCP)
		patch_tcp(c, header + c->l4, n == left);
	else
		put16(header + c->l4 + UDP_LENGTH, UDP_HEADER + n);
	memset(header + check, 0, 2);
	sum = pa_csum_pseudo(header, c->proto, c->header - c->l4 + n);
	sum = pa_csum_add(sum, header + c->l4, c->header - c->l4);
	put_check(header + check, pa_csum_add(sum, ret->payload, n), c->proto == IPPROTO_UDP);
	c->at += n;
	c->index++;
	return true;
}

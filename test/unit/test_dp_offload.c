/* SPDX-License-Identifier: MPL-2.0 */
/* Checksums, cutting and joining of packets, and what is asked of kernels that can less. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/dp_csum.h"
#include "tunnel/dp_cut.h"
#include "tunnel/dp_join.h"
#include "tunnel/net_offload.h"

#define BIG 65536

/* The sum by the book: 16 bits at a time, RFC 1071. */
static uint16_t by_the_book(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)sum);
}

Test(dp_csum, is_the_internet_checksum)
{
	static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}; /* RFC 1071, 3. */
	uint8_t buf[2000];
	uint64_t part;

	cr_assert_eq(pa_csum_fold(pa_csum_add(0, example, 8)), htons(0xddf2));
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t len = 0; len < sizeof(buf); len++)
		cr_assert_eq(pa_csum_fold(pa_csum_add(0, buf, len)), by_the_book(buf, len), "%zu", len);
	part = pa_csum_add(pa_csum_add(0, buf, 46), buf + 46, 1001);
	cr_assert_eq(pa_csum_fold(part), by_the_book(buf, 1047), "in parts");
	memset(buf, 0xff, sizeof(buf));
	for (part = 0; part < UINT64_MAX / 4; part = part * 2 + 1)
		cr_assert_eq(pa_csum_fold(pa_csum_add(part, buf, sizeof(buf))), pa_csum_fold(part) == 0 ? 0xffff : pa_csum_fold(part));
}

struct shape {
	bool v6, udp;
	size_t options; /* of TCP, octets */
	size_t payload, each;
	uint8_t flags;
};

/* A packet as the kernel hands it over, of many; returns its length. The checksum is the pseudo header's. */
static size_t make_big(uint8_t *p, const struct shape *s, struct virtio_net_hdr *vh)
{
	size_t ip = s->v6 ? 40 : 20, l4 = s->udp ? 8 : 20 + s->options, len = ip + l4 + s->payload;
	uint16_t sum;

	memset(p, 0, ip + l4);
	for (size_t i = 0; i < s->payload; i++)
		p[ip + l4 + i] = (uint8_t)(i * 31 + i / 253);
	p[0] = s->v6 ? 0x60 : 0x45;
	if (s->v6) {
		p[4] = (uint8_t)((len - 40) >> 8);
		p[5] = (uint8_t)(len - 40);
		p[6] = s->udp ? IPPROTO_UDP : IPPROTO_TCP;
		p[7] = 64;
		memset(p + 8, 0x20, 32);
	} else {
		p[2] = (uint8_t)(len >> 8);
		p[3] = (uint8_t)len;
		p[4] = 0xff;
		p[5] = 0xfe; /* an id that runs over */
		p[6] = 0x40;
		p[8] = 64;
		p[9] = s->udp ? IPPROTO_UDP : IPPROTO_TCP;
		memcpy(p + 12, (const uint8_t[]){203, 0, 113, 7, 192, 0, 2, 10}, 8);
	}
	p[ip] = 0x12;
	p[ip + 2] = 0x34;
	if (!s->udp) {
		memset(p + ip + 4, 0xff, 4); /* a sequence number that runs over */
		p[ip + 12] = (uint8_t)((20 + s->options) / 4 << 4);
		p[ip + 13] = s->flags;
		p[ip + 15] = 9;
		memset(p + ip + 20, 1, s->options);
	}
	sum = pa_csum_fold(pa_csum_pseudo(p, s->udp ? IPPROTO_UDP : IPPROTO_TCP, len - ip));
	memcpy(p + ip + (s->udp ? 6 : 16), &sum, 2);
	*vh = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_size = (uint16_t)s->each,
				      .gso_type = s->udp ? VIRTIO_NET_HDR_GSO_UDP_L4 : s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 :
						  VIRTIO_NET_HDR_GSO_TCPV4,
				      .csum_start = (uint16_t)ip, .csum_offset = s->udp ? 6 : 16};
	return len;
}

/* Every checksum of a finished packet is right, by the book. */
static void expect_sound(const uint8_t *p, size_t len)
{
	size_t ip = p[0] >> 4 == 6 ? 40 : 20;
	uint8_t proto = p[0] >> 4 == 6 ? p[6] : p[9], buf[BIG + 64];
	size_t n = 0;

	if (ip == 20)
		cr_assert_eq(by_the_book(p, 20), 0xffff, "IP");
	memcpy(buf, ip == 20 ? p + 12 : p + 8, ip == 20 ? 8 : 32);
	n = ip == 20 ? 8 : 32;
	buf[n++] = 0;
	buf[n++] = proto;
	buf[n++] = (uint8_t)((len - ip) >> 8);
	buf[n++] = (uint8_t)(len - ip);
	memcpy(buf + n, p + ip, len - ip);
	cr_assert_eq(by_the_book(buf, n + len - ip), 0xffff, "transport");
}

static const struct shape shapes[] = {
	{false, false, 0, 5000, 1400, 0x10},	 {false, false, 12, 65000 - 52, 1420, 0x19},
	{true, false, 12, 4201, 1400, 0x18},	 {false, true, 0, 3001, 1000, 0},
	{true, true, 0, 1001, 1000, 0},		 {false, false, 40, 1, 1400, 0x10},
	{false, false, 0, 2800, 1400, 0x98},	 {false, true, 0, 7, 5, 0},
	{false, false, 12, 60000, 100, 0x10},
};

static void cut_one(const struct shape *s)
{
	static uint8_t big[BIG], one[BIG];
	uint8_t header[PA_CUT_HEADER_MAX];
	struct virtio_net_hdr vh;
	struct pa_cut_part part;
	size_t len = make_big(big, s, &vh), ip = s->v6 ? 40 : 20, at = 0, bytes, sum = 0;
	unsigned n, i = 0;
	struct pa_cut c;
	uint32_t seq;

	cr_assert_eq(pa_cut_init(&c, &vh, big, len), 0);
	n = pa_cut_count(&c, &bytes);
	for (; pa_cut_next(&c, header, &part); i++) {
		memcpy(one, header, part.header_len);
		memcpy(one + part.header_len, part.payload, part.payload_len);
		expect_sound(one, part.header_len + part.payload_len);
		cr_assert_eq(memcmp(part.payload, big + part.header_len + at, part.payload_len), 0);
		cr_assert(part.payload_len == s->each || i == n - 1);
		if (!s->v6)
			cr_assert_eq((uint16_t)(one[4] << 8 | one[5]), (uint16_t)(0xfffe + i), "ids go on");
		if (!s->udp) {
			memcpy(&seq, one + ip + 4, 4);
			cr_assert_eq(ntohl(seq), (uint32_t)(0xffffffffu + at));
			cr_assert_eq((one[ip + 13] & 0x09) != 0, i == n - 1 && (s->flags & 0x09) != 0, "PSH and FIN at the end");
			cr_assert_eq((one[ip + 13] & 0x80) != 0, i == 0 && (s->flags & 0x80) != 0, "CWR at the beginning");
		}
		at += part.payload_len;
		sum += part.header_len + part.payload_len;
	}
	cr_assert(i == n && at == s->payload && sum == bytes);
}

Test(dp_cut, packets_are_what_they_would_have_been)
{
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		cut_one(&shapes[i]);
}

Test(dp_cut, refuses_what_contradicts_itself)
{
	static uint8_t big[BIG];
	struct virtio_net_hdr good, vh;
	size_t len = make_big(big, &shapes[0], &good);
	struct pa_cut c;

#define REFUSED(change)                                                                                                \
	do {                                                                                                            \
		vh = good;                                                                                              \
		change;                                                                                                 \
		cr_assert_eq(pa_cut_init(&c, &vh, big, len), PA_EFORMAT, #change);                                      \
	} while (0)
	REFUSED(vh.flags = 0);
	REFUSED(vh.gso_size = 0);
	REFUSED(vh.csum_start = 24);
	REFUSED(vh.gso_type = VIRTIO_NET_HDR_GSO_TCPV6);
	REFUSED(vh.gso_type = VIRTIO_NET_HDR_GSO_UDP);
	REFUSED(vh.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4);
	REFUSED(big[3]++);
	big[3]--;
	REFUSED(big[32] = 0x40);
	big[32] = 0x50;
	cr_assert_eq(pa_cut_init(&c, &good, big, 30), PA_EFORMAT);
	cr_assert_eq(pa_cut_init(&c, &good, big, len), 0);
}

Test(dp_cut, one_packet_is_finished)
{
	static uint8_t p[BIG];
	struct virtio_net_hdr vh;
	size_t len = make_big(p, &(struct shape){false, false, 12, 1001, 1400, 0x10}, &vh);
	uint16_t sum;

	vh.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	cr_assert(!pa_cut_is_many(&vh));
	memset(p + 10, 0, 2);
	sum = (uint16_t)~by_the_book(p, 20);
	memcpy(p + 10, &sum, 2);
	cr_assert_eq(pa_cut_finish(&vh, p, len), 0);
	expect_sound(p, len);
	vh.csum_offset = (uint16_t)len;
	cr_assert_eq(pa_cut_finish(&vh, p, len), PA_EFORMAT);
	vh.flags = 0;
	cr_assert_eq(pa_cut_finish(&vh, p, len), 0, "nothing is asked for");
}

/* A UDP packet whose checksum comes out as zero is sent with the other zero: zero says that there is none (RFC 768). */
Test(dp_cut, udp_has_no_zero_checksum)
{
	uint8_t p[30] = {0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 9, 0, 10, 0, 0, 0, 0};
	struct virtio_net_hdr vh = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 6};
	uint16_t pseudo = pa_csum_fold(pa_csum_pseudo(p, 17, 10)), rest;

	memcpy(p + 26, &pseudo, 2);
	rest = (uint16_t)~pa_csum_fold(pa_csum_add(0, p + 20, 10));
	memcpy(p + 28, &rest, 2);
	cr_assert_eq(pa_cut_finish(&vh, p, sizeof(p)), 0);
	cr_assert(p[26] == 0xff && p[27] == 0xff);
}

/* ---- joining ---- */

/* The segments of a big packet, one after the other; offsets[i] to offsets[i + 1] is one. Returns how many. */
static unsigned cut_into(const struct shape *s, uint8_t *out, size_t *offsets)
{
	static uint8_t big[BIG];
	uint8_t header[PA_CUT_HEADER_MAX];
	struct virtio_net_hdr vh;
	struct pa_cut_part part;
	struct pa_cut c;
	unsigned n = 0;

	offsets[0] = 0;
	cr_assert_eq(pa_cut_init(&c, &vh, big, make_big(big, s, &vh)), 0);
	while (pa_cut_next(&c, header, &part)) {
		uint8_t *p = out + offsets[n];

		memcpy(p, header, part.header_len);
		memcpy(p + part.header_len, part.payload, part.payload_len);
		n++;
		offsets[n] = offsets[n - 1] + part.header_len + part.payload_len;
	}
	return n;
}

static size_t flatten(const struct iovec *iov, int n, uint8_t *buf)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		memcpy(buf + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

static void there_and_back(const struct shape *s)
{
	static uint8_t big[BIG], parts[2 * BIG], got[BIG + 64];
	size_t offsets[1400], len, got_len, ip = s->v6 ? 40 : 20;
	struct virtio_net_hdr vh, joined;
	unsigned n = cut_into(s, parts, offsets);
	struct iovec *iov;
	struct pa_join j;
	uint16_t sum;

	len = make_big(big, s, &vh);
	pa_join_init(&j);
	for (unsigned i = 0; i < n; i++)
		cr_assert(pa_join_add(&j, parts + offsets[i], offsets[i + 1] - offsets[i]), "segment %u", i);
	got_len = flatten(iov, pa_join_take(&j, &iov), got);
	memcpy(&joined, got, sizeof(joined));
	cr_assert_eq(got_len, sizeof(joined) + len);
	if (!s->v6) {
		sum = (uint16_t)~by_the_book(big, 20);
		memcpy(big + 10, &sum, 2);
	}
	cr_assert_eq(memcmp(got + sizeof(joined), big, len), 0);
	cr_assert(joined.flags == vh.flags && joined.gso_type == vh.gso_type && joined.gso_size == s->each);
	cr_assert(joined.csum_start == ip && joined.csum_offset == 16);
	cr_assert_eq(pa_join_take(&j, &iov), 0);
}

Test(dp_join, segments_become_what_they_were)
{
	there_and_back(&(struct shape){false, false, 0, 5000, 1400, 0x10});
	there_and_back(&(struct shape){false, false, 12, 60000, 1420, 0x18});
	there_and_back(&(struct shape){true, false, 12, 4201, 1400, 0x11});
}

/* Right checksums for an IPv4 TCP packet of len bytes. */
static void make_sound(uint8_t *p, size_t len)
{
	uint16_t sum;

	memset(p + 10, 0, 2);
	sum = (uint16_t)~by_the_book(p, 20);
	memcpy(p + 10, &sum, 2);
	memset(p + 36, 0, 2);
	sum = (uint16_t)~pa_csum_fold(pa_csum_add(pa_csum_pseudo(p, 6, len - 20), p + 20, len - 20));
	memcpy(p + 36, &sum, 2);
}

/* The second of two segments is changed by break_it: then they stay apart, and both are as they came. */
static void stay_apart(const char *what, size_t at, uint8_t to, bool resum)
{
	static uint8_t parts[2 * BIG], got[BIG];
	size_t offsets[10], len;
	struct iovec *iov;
	struct pa_join j;
	uint8_t *second;

	(void)cut_into(&(struct shape){false, false, 12, 2800, 1400, 0x10}, parts, offsets);
	second = parts + offsets[1];
	len = offsets[2] - offsets[1];
	second[at] = to;
	if (resum)
		make_sound(second, len);
	pa_join_init(&j);
	cr_assert(pa_join_add(&j, parts, offsets[1]));
	cr_assert(!pa_join_add(&j, second, len), "%s", what);
	cr_assert_eq(flatten(iov, pa_join_take(&j, &iov), got), sizeof(struct virtio_net_hdr) + offsets[1]);
	cr_assert_eq(memcmp(got + sizeof(struct virtio_net_hdr), parts, offsets[1]), 0);
	cr_assert_eq(((struct virtio_net_hdr *)(void *)got)->gso_type, VIRTIO_NET_HDR_GSO_NONE);
	cr_assert(pa_join_add(&j, second, len));
	cr_assert_eq(pa_join_take(&j, &iov), 2);
}

Test(dp_join, what_differs_stays_apart)
{
	stay_apart("damaged payload", 100, 0xee, false);
	stay_apart("damaged IP header", 11, 0xee, false);
	stay_apart("another source", 15, 8, true);
	stay_apart("another port", 21, 8, true);
	stay_apart("a gap", 27, 8, true);
	stay_apart("another acknowledgement", 31, 8, true);
	stay_apart("another window", 35, 8, true);
	stay_apart("other options", 45, 8, true);
	stay_apart("SYN", 33, 0x12, true);
	stay_apart("congestion echo", 33, 0x50, true);
	stay_apart("another TTL", 8, 8, true);
	stay_apart("congestion experienced", 1, 3, true);
	stay_apart("an id out of turn", 5, 0x55, true);
	stay_apart("a fragment", 6, 0x20, true);
	stay_apart("not TCP", 9, 17, true);
}

Test(dp_join, a_short_segment_and_a_push_end_it)
{
	static uint8_t parts[2 * BIG];
	size_t offsets[10];
	struct iovec *iov;
	struct pa_join j;
	unsigned n = cut_into(&(struct shape){false, false, 0, 2900, 1400, 0x18}, parts, offsets);

	cr_assert_eq(n, 3);
	pa_join_init(&j);
	for (unsigned i = 0; i < n; i++)
		cr_assert(pa_join_add(&j, parts + offsets[i], offsets[i + 1] - offsets[i]));
	cr_assert(!pa_join_add(&j, parts, offsets[1]));
	cr_assert_eq(pa_join_take(&j, &iov), 5);
	cr_assert(pa_join_add(&j, parts + offsets[2], offsets[3] - offsets[2]), "the last one first");
	cr_assert(!pa_join_add(&j, parts, offsets[1]));
	cr_assert_eq(pa_join_take(&j, &iov), 2);
}

/* Nothing can follow a short segment, though it would be next: the kernel would cut elsewhere. */
Test(dp_join, nothing_follows_a_short_segment)
{
	static uint8_t parts[2 * BIG];
	uint8_t *second, *third;
	size_t offsets[10], len;
	struct pa_join j;
	uint32_t seq;

	(void)cut_into(&(struct shape){false, false, 0, 4200, 1400, 0x10}, parts, offsets);
	second = parts + offsets[1];
	third = parts + offsets[2];
	len = offsets[2] - offsets[1] - 400;
	second[2] = (uint8_t)(len >> 8);
	second[3] = (uint8_t)len;
	make_sound(second, len);
	memcpy(&seq, third + 24, 4);
	seq = htonl(ntohl(seq) - 400);
	memcpy(third + 24, &seq, 4);
	third[2] = (uint8_t)(len >> 8);
	third[3] = (uint8_t)len;
	make_sound(third, len);
	pa_join_init(&j);
	cr_assert(pa_join_add(&j, parts, offsets[1]));
	cr_assert(pa_join_add(&j, second, len));
	cr_assert(!pa_join_add(&j, third, len));
}

/* The first one's checksum counts as soon as another would be joined to it. */
Test(dp_join, a_damaged_first_segment_stays_alone)
{
	static uint8_t parts[2 * BIG];
	size_t offsets[10];
	struct iovec *iov;
	struct pa_join j;

	(void)cut_into(&(struct shape){false, false, 0, 2800, 1400, 0x10}, parts, offsets);
	parts[60] ^= 1;
	pa_join_init(&j);
	cr_assert(pa_join_add(&j, parts, offsets[1]));
	cr_assert(!pa_join_add(&j, parts + offsets[1], offsets[2] - offsets[1]));
	cr_assert_eq(pa_join_take(&j, &iov), 2);
}

/* ---- kernels that can less ---- */

struct kernel {
	unsigned has; /* bits that it takes */
	unsigned asked;
};

static bool takes(void *ctx, unsigned step)
{
	struct kernel *k = ctx;

	k->asked++;
	return (step & ~k->has) == 0;
}

Test(net_offload, each_refusal_leads_to_the_next_step)
{
	unsigned steps[PA_OFFLOAD_STEPS], all = 0, had = ~0u;

	pa_offload_steps(steps);
	for (unsigned i = 0; i < PA_OFFLOAD_STEPS; i++) {
		struct kernel k = {.has = steps[i]};

		cr_assert_eq(pa_first_step(steps, PA_OFFLOAD_STEPS, takes, &k), i);
		cr_assert_eq(k.asked, i + 1);
		cr_assert((steps[i] & had) == steps[i] && steps[i] != had, "each asks for less");
		had = steps[i];
		all |= steps[i];
	}
	cr_assert_eq(all, 0x6f, "TUN_F_CSUM, TSO4, TSO6, TSO_ECN, USO4, USO6");
	cr_assert_eq(steps[PA_OFFLOAD_STEPS - 1], 0);
}

Test(net_offload, devices_of_every_kind_can_be_attached)
{
	static const unsigned kinds[] = {0, IFF_VNET_HDR, IFF_MULTI_QUEUE, IFF_VNET_HDR | IFF_MULTI_QUEUE};
	unsigned steps[PA_ATTACH_STEPS];

	for (unsigned i = 0; i < 4; i++) {
		for (int many = 0; many < 2; many++) {
			size_t n = pa_attach_steps(IFF_TUN | IFF_NO_PI | kinds[i], many == 1, steps);

			cr_assert(n >= 1 && n <= PA_ATTACH_STEPS);
			for (size_t k = 0; k < n; k++) {
				cr_assert_eq(steps[k] & (IFF_TUN | IFF_NO_PI), (unsigned)(IFF_TUN | IFF_NO_PI));
				cr_assert_eq(steps[k] & ~(IFF_TUN | IFF_NO_PI | kinds[i]), 0, "nothing that it has not");
			}
			cr_assert_eq(steps[0] & IFF_VNET_HDR, kinds[i] & IFF_VNET_HDR, "the best first");
			cr_assert_eq((steps[0] & IFF_MULTI_QUEUE) != 0, many == 1 && (kinds[i] & IFF_MULTI_QUEUE) != 0);
			cr_assert_eq(steps[n - 1] & IFF_VNET_HDR, 0, "and the least last");
		}
	}
}

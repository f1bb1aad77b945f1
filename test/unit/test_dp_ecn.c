/* SPDX-License-Identifier: MPL-2.0 */
/* The traffic class between inner and outer packets: RFC 6040's table, and what sockets make of it. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/dp_csum.h"
#include "tunnel/dp_ecn.h"
#include "tunnel/dp_gso.h"

TestSuite(dp_ecn, .timeout = 30);

#define DSCP 0xb8 /* expedited forwarding */

/* RFC 6040, figure 4: rows inner, columns outer, by code point; 0xff: dropped. */
static const uint8_t table[4][4] = {{0, 0, 0, 0xff}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

static void put_sum(uint8_t *ip4)
{
	uint16_t sum;

	ip4[10] = ip4[11] = 0;
	sum = (uint16_t)~pa_csum_fold(pa_csum_add(0, ip4, 20));
	memcpy(ip4 + 10, &sum, sizeof(sum));
}

static void make_ipv4(uint8_t pkt[20], uint8_t class)
{
	static const uint8_t header[20] = {0x45, 0, 0,	 20, 0x12, 0x34, 0,   0,  64,  253,
					   0,	 0, 203, 0,  113,  7,	 198, 51, 100, 50};

	memcpy(pkt, header, sizeof(header));
	pkt[1] = class;
	put_sum(pkt);
}

static void make_ipv6(uint8_t pkt[40], uint8_t class)
{
	memset(pkt, 0x11, 40);
	pkt[0] = (uint8_t)(0x60 | class >> 4);
	pkt[1] = (uint8_t)(class << 4 | 0x0a); /* with a flow label */
}

Test(dp_ecn, the_outer_mark_is_carried)
{
	uint8_t got[40], want[40];

	for (uint8_t inner = 0; inner < 4; inner++) {
		for (uint8_t outer = 0; outer < 4; outer++) {
			bool drop = table[inner][outer] == 0xff;
			uint8_t class = drop ? (uint8_t)(DSCP | inner) : (uint8_t)(DSCP | table[inner][outer]);

			make_ipv4(got, DSCP | inner);
			make_ipv4(want, class);
			cr_expect_eq(pa_ecn_carry(got, outer), !drop, "inner %u, outer %u", inner, outer);
			cr_expect_arr_eq(got, want, 20, "inner %u, outer %u", inner, outer);
			make_ipv6(got, DSCP | inner);
			make_ipv6(want, class);
			cr_expect_eq(pa_ecn_carry(got, outer | 0x28), !drop, "the outer DSCP does not count");
			cr_expect_arr_eq(got, want, 40, "IPv6, inner %u, outer %u", inner, outer);
		}
	}
}

Test(dp_ecn, a_wrong_checksum_stays_wrong)
{
	uint8_t pkt[20];

	make_ipv4(pkt, 2);
	pkt[10] ^= 0x55;
	cr_assert(pa_ecn_carry(pkt, 3));
	cr_assert_neq(pa_csum_fold(pa_csum_add(0, pkt, 20)), UINT16_MAX);
}

Test(dp_ecn, the_class_of_a_packet)
{
	uint8_t pkt[40];

	make_ipv4(pkt, DSCP | 2);
	cr_assert_eq(pa_ecn_class(pkt), DSCP | 2);
	make_ipv6(pkt, DSCP | 1);
	cr_assert_eq(pa_ecn_class(pkt), DSCP | 1);
}

static int socket_at(int family, struct sockaddr_storage *at)
{
	struct sockaddr_in *in = (struct sockaddr_in *)at;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)at;
	socklen_t len = family == AF_INET ? sizeof(*in) : sizeof(*in6);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(at, 0, sizeof(*at));
	at->ss_family = (sa_family_t)family;
	in->sin_addr.s_addr = family == AF_INET ? htonl(INADDR_LOOPBACK) : in->sin_addr.s_addr;
	if (family == AF_INET6)
		in6->sin6_addr = in6addr_loopback;
	if (fd < 0 || bind(fd, (struct sockaddr *)at, len) < 0 || getsockname(fd, (struct sockaddr *)at, &len) < 0)
		return -1;
	return fd;
}

/* Three datagrams of 100 octets as one message, and one by itself: each arrives with the class. */
static void send_and_look(int family, uint8_t class)
{
	struct sockaddr_storage at, unused;
	int to = socket_at(family, &at), from = socket_at(family, &unused);
	socklen_t at_len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	union pa_gso_control control, got;
	uint8_t data[300] = {0}, buf[1000];
	struct iovec iov = {data, sizeof(data)}, in = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &at, .msg_namelen = at_len, .msg_iov = &iov, .msg_iovlen = 1};
	unsigned n = 0;

	if (family == AF_INET6 && to < 0)
		return; /* this host has no IPv6, and then no IPv6 outside either */
	cr_assert(to >= 0 && from >= 0);
	pa_gro_use_class(to);
	pa_gso_set(&m, 100, class, &control);
	cr_assert_eq(sendmsg(from, &m, 0), 300);
	iov.iov_len = 50;
	m.msg_control = NULL;
	m.msg_controllen = 0;
	pa_gso_set(&m, 0, class, &control);
	cr_assert_eq(sendmsg(from, &m, 0), 50);
	while (n < 4) {
		struct msghdr r = {.msg_iov = &in, .msg_iovlen = 1, .msg_control = &got, .msg_controllen = sizeof(got)};

		cr_assert_eq(recvmsg(to, &r, 0), n < 3 ? 100 : 50);
		cr_expect_eq(pa_gro_class(&r), class, "family %d, datagram %u", family, n);
		n++;
	}
	close(to);
	close(from);
}

Test(dp_ecn, sockets_send_and_tell_the_class)
{
	send_and_look(AF_INET, DSCP | 2);
	send_and_look(AF_INET, 0);
	send_and_look(AF_INET6, DSCP | 1);
	send_and_look(AF_INET6, 0);
}

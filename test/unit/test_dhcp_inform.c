/* SPDX-License-Identifier: MPL-2.0 */
/* DHCPINFORM and its answer: what is asked is on the wire where RFC 2131 wants it, and only the answer to it is one. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/cred.h"
#include "common/dhcp_inform.h"
#include "common/err.h"

TestSuite(dhcp_inform, .timeout = 30);

#define OPTIONS 240 /* octets before the first option: the fixed part and the magic cookie */

static const uint8_t key[32] = {0xff, 1, 2, 3};

static struct pa_dhcp_inform question(void)
{
	return (struct pa_dhcp_inform){.xid = 0x01020304, .hw_type = 1, .hw_len = 6, .hw = {2, 0, 0x5e, 0, 0x12, 0x34},
				       .address = 0x0a010005, .code = 224, .option = key, .option_len = sizeof(key)};
}

/* A DHCPACK to q whose options are those given, then an end. Returns its length. */
static size_t answer(const struct pa_dhcp_inform *q, const uint8_t *options, size_t n, uint8_t buf[600])
{
	int len = pa_dhcp_inform_encode(q, buf, 600);

	cr_assert_gt(len, 0);
	buf[0] = 2;
	memset(buf + OPTIONS, 0, 600 - OPTIONS);
	memcpy(buf + OPTIONS, options, n);
	buf[OPTIONS + n] = 255;
	return OPTIONS + n + 1;
}

Test(dhcp_inform, question_is_where_the_standard_wants_it)
{
	static const uint8_t head[] = {1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0, 10, 1, 0, 5};
	static const uint8_t options[] = {99, 130, 83, 99, 53, 1, 8, 55, 1, 224, 224, 32, 0xff, 1, 2, 3};
	struct pa_dhcp_inform q = question();
	uint8_t buf[400];

	cr_assert_eq(pa_dhcp_inform_encode(&q, buf, sizeof(buf)), PA_DHCP_MESSAGE_MIN);
	cr_assert_arr_eq(buf, head, sizeof(head));
	cr_assert_arr_eq(buf + 28, q.hw, 6);
	cr_assert_arr_eq(buf + 236, options, sizeof(options));
	cr_assert_eq(buf[OPTIONS + 3 + 3 + 34], 255);
	q.option_len = 0;
	cr_assert_eq(pa_dhcp_inform_encode(&q, buf, sizeof(buf)), PA_DHCP_MESSAGE_MIN);
	cr_assert_eq(buf[OPTIONS + 6], 255);
}

Test(dhcp_inform, question_that_cannot_be_asked)
{
	struct pa_dhcp_inform q = question();
	uint8_t buf[400];

	for (size_t cap = 0; cap < PA_DHCP_MESSAGE_MIN; cap++)
		cr_assert_eq(pa_dhcp_inform_encode(&q, buf, cap), PA_ETRUNC);
	q.hw_len = 17;
	cr_assert_eq(pa_dhcp_inform_encode(&q, buf, sizeof(buf)), PA_EINVAL);
	q = question();
	q.code = 255;
	cr_assert_eq(pa_dhcp_inform_encode(&q, buf, sizeof(buf)), PA_EINVAL);
}

Test(dhcp_inform, answer_with_and_without_the_option)
{
	static const uint8_t with[] = {53, 1, 5, 54, 4, 10, 1, 0, 1, 0, 0, 224, 3, 7, 8, 9, 3, 4, 10, 1, 0, 1};
	static const uint8_t without[] = {53, 1, 5, 54, 4, 10, 1, 0, 1};
	struct pa_dhcp_inform q = question();
	struct pa_dhcp_ack ack;
	uint8_t buf[600];
	size_t len = answer(&q, with, sizeof(with), buf);

	cr_assert_eq(pa_dhcp_ack_decode(buf, len, &q, &ack), 0);
	cr_assert_eq(ack.server, 0x0a010001);
	cr_assert_eq(ack.option_len, 3);
	cr_assert_arr_eq(ack.option, ((uint8_t[]){7, 8, 9}), 3);
	cr_assert_eq(pa_dhcp_ack_decode(buf, len - 1, &q, &ack), 0, "the end may be left out");
	len = answer(&q, without, sizeof(without), buf);
	cr_assert_eq(pa_dhcp_ack_decode(buf, len, &q, &ack), 0);
	cr_assert_eq(ack.option_len, 0);
}

Test(dhcp_inform, long_option_in_parts_and_in_other_fields)
{
	static const uint8_t parts[] = {53, 1, 5, 52, 1, 3, 224, 2, 1, 2, 224, 1, 3};
	struct pa_dhcp_inform q = question();
	struct pa_dhcp_ack ack;
	uint8_t buf[600];
	size_t len = answer(&q, parts, sizeof(parts), buf);

	memcpy(buf + 108, (uint8_t[]){224, 1, 4, 255}, 4); /* file, and then sname */
	memcpy(buf + 44, (uint8_t[]){224, 1, 5, 255}, 4);
	cr_assert_eq(pa_dhcp_ack_decode(buf, len, &q, &ack), 0);
	cr_assert_eq(ack.option_len, 5);
	cr_assert_arr_eq(ack.option, ((uint8_t[]){1, 2, 3, 4, 5}), 5);
}

Test(dhcp_inform, option_that_is_too_long_for_a_grant)
{
	uint8_t options[3 + 2 + PA_GRANT_MAX + 3] = {53, 1, 5, 224, PA_GRANT_MAX};
	const size_t n = 3 + 2 + PA_GRANT_MAX;
	struct pa_dhcp_inform q = question();
	struct pa_dhcp_ack ack;
	uint8_t buf[600];
	size_t len = answer(&q, options, n, buf);

	cr_assert_eq(pa_dhcp_ack_decode(buf, len, &q, &ack), 0);
	cr_assert_eq(ack.option_len, PA_GRANT_MAX);
	options[n] = 224;
	options[n + 1] = 1;
	len = answer(&q, options, n + 3, buf);
	cr_assert_eq(pa_dhcp_ack_decode(buf, len, &q, &ack), PA_EFORMAT);
}

Test(dhcp_inform, answers_to_others_are_none)
{
	static const uint8_t ack_options[] = {53, 1, 5}, nak_options[] = {53, 1, 6};
	static const unsigned fields[] = {0 /* op */, 1, 2, 4 /* xid */, 7, 28 /* hardware address */, 33};
	struct pa_dhcp_inform q = question();
	struct pa_dhcp_ack ack, untouched;
	uint8_t buf[600];
	size_t len = answer(&q, ack_options, sizeof(ack_options), buf);

	memset(&ack, 0xa5, sizeof(ack));
	untouched = ack;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		buf[fields[i]] ^= 1;
		cr_assert_eq(pa_dhcp_ack_decode(buf, len, &q, &ack), PA_ENOTFOUND, "octet %u", fields[i]);
		buf[fields[i]] ^= 1;
	}
	len = answer(&q, nak_options, sizeof(nak_options), buf);
	cr_assert_eq(pa_dhcp_ack_decode(buf, len, &q, &ack), PA_ENOTFOUND);
	for (size_t n = 0; n < OPTIONS; n++)
		cr_assert_lt(pa_dhcp_ack_decode(buf, n, &q, &ack), 0);
	buf[OPTIONS - 1] ^= 1;
	cr_assert_eq(pa_dhcp_ack_decode(buf, len, &q, &ack), PA_EFORMAT, "the magic cookie");
	cr_assert_eq(memcmp(&ack, &untouched, sizeof(ack)), 0, "untouched on failure");
}

Test(dhcp_inform, packet_of_the_server_alone)
{
	uint8_t p[28 + 4 + 6] = {0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 1, 0, 5,
				 0, 67, 0, 68, 0, 12, 0, 0, 'a', 'b', 'c', 'd'};
	struct pa_reader payload;
	uint32_t from;

	cr_assert_eq(pa_dhcp_packet_decode(p, sizeof(p), &from, &payload), 0);
	cr_assert_eq(from, 0x0a010001);
	cr_assert_eq(payload.left, 4);
	cr_assert_eq(memcmp(payload.p, "abcd", 4), 0);
	for (size_t n = 0; n < 32; n++)
		cr_assert_lt(pa_dhcp_packet_decode(p, n, &from, &payload), 0, "%zu octets", n);
	p[23] = 69;
	cr_assert_eq(pa_dhcp_packet_decode(p, sizeof(p), &from, &payload), PA_ENOTFOUND, "another port");
	p[23] = 68;
	p[6] = 0x20;
	cr_assert_eq(pa_dhcp_packet_decode(p, sizeof(p), &from, &payload), PA_ENOTFOUND, "a fragment");
	p[6] = 0;
	p[25] = 13;
	cr_assert_eq(pa_dhcp_packet_decode(p, sizeof(p), &from, &payload), PA_ETRUNC, "longer than the packet");
	p[25] = 7;
	cr_assert_eq(pa_dhcp_packet_decode(p, sizeof(p), &from, &payload), PA_EFORMAT, "shorter than its header");
}

Test(dhcp_inform, release_comes_back_and_nothing_else_is_one)
{
	uint8_t secret[32] = {1}, proof[PA_MAC_LEN], other[PA_MAC_LEN], back[PA_MAC_LEN], buf[PA_RELEASE_LEN];
	uint64_t epoch = 0;

	pa_release_proof(secret, 0x1122334455667788, 0x0a010005, proof);
	pa_dhcp_release_encode(0x1122334455667788, proof, buf);
	cr_assert_eq(pa_dhcp_release_decode(buf, sizeof(buf), &epoch, back), 0);
	cr_assert_eq(epoch, 0x1122334455667788);
	cr_assert_arr_eq(back, proof, PA_MAC_LEN);
	cr_assert_eq(pa_dhcp_release_decode(buf, sizeof(buf) - 1, &epoch, back), PA_EFORMAT);
	buf[0] ^= 1;
	cr_assert_eq(pa_dhcp_release_decode(buf, sizeof(buf), &epoch, back), PA_EFORMAT);
	pa_release_proof(secret, 0x1122334455667789, 0x0a010005, other);
	cr_assert_neq(memcmp(proof, other, PA_MAC_LEN), 0, "of another epoch");
	pa_release_proof(secret, 0x1122334455667788, 0x0a010006, other);
	cr_assert_neq(memcmp(proof, other, PA_MAC_LEN), 0, "of another lease");
	secret[31] = 1;
	pa_release_proof(secret, 0x1122334455667788, 0x0a010005, other);
	cr_assert_neq(memcmp(proof, other, PA_MAC_LEN), 0, "by another secret");
}

/* SPDX-License-Identifier: MPL-2.0 */
/* Messages of the relay's local socket: what is encoded comes back, what is malformed is refused; and the descriptors' names. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/relay_local.h"
#include "test/unit/rnd.h"

TestSuite(relay_local, .timeout = 60);

static const struct pa_endpoint local = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 7}}, 40000};
static const struct pa_endpoint peer = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 50}}, 5060};

static void round_trip(const struct pa_rlocal *m)
{
	uint8_t buf[PA_RLOCAL_LEN_MAX + 1], again[PA_RLOCAL_LEN_MAX];
	int len = pa_rlocal_encode(m, buf, PA_RLOCAL_LEN_MAX);
	struct pa_rlocal back;

	cr_assert_gt(len, 0, "type %u: %d", m->type, len);
	cr_assert_eq(pa_rlocal_decode(buf, (size_t)len, &back), 0, "type %u", m->type);
	cr_assert_eq(pa_rlocal_encode(&back, again, sizeof(again)), len);
	cr_assert_arr_eq(buf, again, (size_t)len, "type %u comes back different", m->type);
	cr_assert_eq(back.id, m->id);
	cr_assert_eq(back.state, m->state);
	cr_assert_eq(back.nonblock, m->nonblock);
	cr_assert_eq(back.abrupt, m->abrupt);
	cr_assert_eq(back.backlog, m->backlog);
	cr_assert_eq(back.body.kind, m->body.kind);
	cr_assert_eq(back.body.error, m->body.error);
	cr_assert(pa_endpoint_eq(&back.body.local, &m->body.local) && pa_endpoint_eq(&back.body.remote, &m->body.remote));
	cr_assert_str_eq(back.body.name, m->body.name);
	cr_assert_lt(pa_rlocal_decode(buf, (size_t)len - 1, &back), 0);
	cr_assert_lt(pa_rlocal_decode(buf, (size_t)len + 1, &back), 0);
	for (int cap = 0; cap < len; cap++)
		cr_assert_eq(pa_rlocal_encode(m, again, (size_t)cap), PA_ETRUNC);
}

Test(relay_local, messages_come_back)
{
	round_trip(&(struct pa_rlocal){.type = PA_RLOCAL_ADDRESS});
	round_trip(&(struct pa_rlocal){.type = PA_RLOCAL_ADDRESS_IS, .body.local.addr = local.addr});
	round_trip(&(struct pa_rlocal){.type = PA_RLOCAL_ADDRESS_IS, .body.error = PA_RELAY_E_MAX});
	round_trip(&(struct pa_rlocal){
		.type = PA_RELAY_OPEN, .nonblock = true, .body = {.kind = PA_RELAY_TCP, .local.port = 7, .remote = peer}});
	round_trip(&(struct pa_rlocal){.type = PA_RELAY_OPEN, .backlog = 128, .body = {.kind = PA_RELAY_TCP_LISTEN, .local.port = 80}});
	round_trip(&(struct pa_rlocal){.type = PA_RELAY_OPEN, .body.kind = PA_RELAY_UDP});
	round_trip(&(struct pa_rlocal){.type = PA_RLOCAL_CALLED, .id = UINT64_MAX});
	round_trip(&(struct pa_rlocal){.type = PA_RELAY_RESULT, .id = 1, .body = {.local = local, .remote = peer}});
	round_trip(&(struct pa_rlocal){.type = PA_RELAY_RESULT, .body.error = PA_RELAY_E_REFUSED});
	round_trip(&(struct pa_rlocal){.type = PA_RELAY_INCOMING, .id = 99, .body = {.local = local, .remote = peer}});
	round_trip(&(struct pa_rlocal){.type = PA_RLOCAL_INFO, .id = 0x0102030405060708});
	round_trip(&(struct pa_rlocal){.type = PA_RLOCAL_INFO_IS,
				       .id = 5,
				       .state = PA_RLOCAL_OVER,
				       .body = {.kind = PA_RELAY_TCP, .error = PA_RELAY_E_RESET, .local = local, .remote = peer}});
	round_trip(&(struct pa_rlocal){.type = PA_RLOCAL_SET, .id = 6, .abrupt = true});
	round_trip(&(struct pa_rlocal){.type = PA_RLOCAL_SET, .id = 7, .body.remote = peer});
	round_trip(&(struct pa_rlocal){.type = PA_RELAY_RESOLVE, .body = {.family = 4, .name = "sip.example.net"}});
}

Test(relay_local, answers_to_names_come_back)
{
	struct pa_rlocal m = {.type = PA_RELAY_RESOLVED, .body = {.n_addrs = 2, .addrs = {local.addr, peer.addr}}}, back;
	uint8_t buf[PA_RLOCAL_LEN_MAX];
	int len = pa_rlocal_encode(&m, buf, sizeof(buf));

	cr_assert_eq(pa_rlocal_decode(buf, (size_t)len, &back), 0);
	cr_assert_eq(back.body.n_addrs, 2);
	cr_assert(pa_addr_eq(&back.body.addrs[1], &peer.addr));
	cr_assert_lt(pa_rlocal_decode(buf, (size_t)len - 1, &back), 0);
}

Test(relay_local, values_outside_their_range_are_refused)
{
	uint8_t buf[PA_RLOCAL_LEN_MAX];

#define REFUSED(...) cr_assert_eq(pa_rlocal_encode(&(struct pa_rlocal){__VA_ARGS__}, buf, sizeof(buf)), PA_EINVAL)
	REFUSED(.type = 0);
	REFUSED(.type = PA_RELAY_DATA);
	REFUSED(.type = PA_RLOCAL_SET + 1);
	REFUSED(.type = PA_RELAY_OPEN, .body.kind = PA_RELAY_TCP);
	REFUSED(.type = PA_RELAY_OPEN, .nonblock = true, .body.kind = PA_RELAY_UDP);
	REFUSED(.type = PA_RELAY_OPEN, .backlog = 1, .body.kind = PA_RELAY_UDP);
	REFUSED(.type = PA_RLOCAL_ADDRESS_IS, .body.error = PA_RELAY_E_MAX + 1);
	REFUSED(.type = PA_RLOCAL_INFO_IS, .state = PA_RLOCAL_OVER + 1);
	REFUSED(.type = PA_RLOCAL_INFO_IS, .body.kind = PA_RELAY_UDP + 1);
	REFUSED(.type = PA_RELAY_RESOLVE, .body.name = "with blank");
}

Test(relay_local, a_message_with_one_octet_changed_is_refused_or_another_message)
{
	struct pa_rlocal m = {.type = PA_RELAY_OPEN, .backlog = 3, .body = {.kind = PA_RELAY_TCP_LISTEN, .local.port = 80}}, back;
	uint8_t buf[PA_RLOCAL_LEN_MAX], again[PA_RLOCAL_LEN_MAX];
	int len = pa_rlocal_encode(&m, buf, sizeof(buf));

	for (int i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memset(&back, 0xa5, sizeof(back));
			buf[i] ^= (uint8_t)(1u << bit);
			if (pa_rlocal_decode(buf, (size_t)len, &back) < 0) {
				cr_assert_eq(back.type, 0xa5, "touched on failure");
			} else {
				cr_assert_eq(pa_rlocal_encode(&back, again, sizeof(again)), len);
				cr_assert_arr_eq(buf, again, (size_t)len);
			}
			buf[i] ^= (uint8_t)(1u << bit);
		}
	}
}

Test(relay_local, any_octets_are_refused_or_read)
{
	struct rnd seed = rnd_seed(11);
	uint8_t buf[64];
	struct pa_rlocal m;

	for (int i = 0; i < 200000; i++) {
		size_t len = rnd_next(&seed) % sizeof(buf);

		for (size_t k = 0; k < len; k++)
			buf[k] = (uint8_t)rnd_next(&seed);
		(void)pa_rlocal_decode(buf, len, &m);
	}
}

Test(relay_local, troubles_come_back_and_are_no_endpoints)
{
	uint8_t buf[PA_RELAY_DATAGRAM_LEN];
	struct pa_relay_body peer_of = {.remote = peer};
	unsigned error = 77;
	uint16_t port = 78;

	cr_assert_eq(pa_relay_encode(PA_RELAY_DATAGRAM, &peer_of, buf, sizeof(buf)), (int)sizeof(buf));
	cr_expect_not(pa_rlocal_trouble_decode(buf, &error, &port), "a datagram's endpoint");
	memset(buf, 0, sizeof(buf));
	cr_expect_not(pa_rlocal_trouble_decode(buf, &error, &port), "no error");
	buf[15] = PA_RELAY_E_MAX + 1;
	cr_expect_not(pa_rlocal_trouble_decode(buf, &error, &port), "an error that is none");
	cr_expect(error == 77 && port == 78, "touched on failure");
	for (unsigned e = 1; e <= PA_RELAY_E_MAX; e++) {
		pa_rlocal_trouble_encode((enum pa_relay_error)e, 5060, buf);
		cr_assert(pa_rlocal_trouble_decode(buf, &error, &port));
		cr_expect(error == e && port == 5060);
	}
}

/* ---------------------------------------------------------------- names */

Test(relay_local, a_descriptor_tells_what_it_is)
{
	struct sockaddr_un name, real;
	socklen_t len = pa_rlocal_name("a-long-name-eth0", 0xfedcba9876543210, &name), real_len = sizeof(real);
	uint64_t id = 0;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	cr_assert_eq(bind(fds[0], (struct sockaddr *)&name, len), 0, "%s", strerror(errno));
	cr_assert_eq(getsockname(fds[0], (struct sockaddr *)&real, &real_len), 0);
	cr_assert(pa_rlocal_name_parse(&real, real_len, &id));
	cr_assert_eq(id, 0xfedcba9876543210);
	real_len = sizeof(real);
	cr_assert_eq(getsockname(fds[1], (struct sockaddr *)&real, &real_len), 0);
	cr_assert_not(pa_rlocal_name_parse(&real, real_len, &id), "a socket without a name");
	close(fds[0]);
	close(fds[1]);
}

Test(relay_local, other_names_are_not_ours)
{
	static const char *const others[] = {"pubaddr-relay/eth0/0123456789abcde", "pubaddr-relay/eth0/0123456789abcdefa",
					     "pubaddr-relay/eth0/0123456789abcdeg", "pubaddr-relay//0123456789abcdef",
					     "pubaddr-relax/eth0/0123456789abcdef", "pubaddr-relay/eth0x0123456789abcdef",
					     "pubaddr-relay/sixteen-letters0/0123456789abcdef", "x", ""};
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	uint64_t id = 7;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		size_t n = strlen(others[i]);

		memcpy(name.sun_path + 1, others[i], n);
		cr_assert_not(pa_rlocal_name_parse(&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n), &id), "%s",
			      others[i]);
	}
	cr_assert_not(pa_rlocal_name_parse(&name, sizeof(name.sun_family), &id));
	cr_assert_not(pa_rlocal_name_parse(&name, 0, &id));
	name.sun_family = AF_INET;
	cr_assert_not(pa_rlocal_name_parse(&name, sizeof(name), &id));
	cr_assert_eq(id, 7, "touched on failure");
}

Test(relay_local, every_error_has_an_errno)
{
	cr_assert_eq(pa_relay_errno(PA_RELAY_E_OK), 0);
	for (unsigned e = 1; e <= PA_RELAY_E_MAX; e++)
		cr_assert(pa_relay_errno(e) > 0 && pa_relay_errno(e) != EIO && pa_relay_errno(e) != EAGAIN, "%s", pa_relay_error_name(e));
	cr_assert_eq(pa_relay_errno(PA_RELAY_E_REFUSED), ECONNREFUSED);
	cr_assert_eq(pa_relay_errno(PA_RELAY_E_HOST), EHOSTUNREACH);
	cr_assert_eq(pa_relay_errno(PA_RELAY_E_TIMEOUT), ETIMEDOUT);
	cr_assert_eq(pa_relay_errno(PA_RELAY_E_MAX + 1), EIO);
}

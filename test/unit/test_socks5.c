/* SPDX-License-Identifier: MPL-2.0 */
/* SOCKS5 as a server: methods, logins, requests and datagrams, octet by octet as RFC 1928 and RFC 1929 have them. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/socks5.h"
#include "common/socks5_users.h"

TestSuite(socks5, .timeout = 20);

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define CONNECT_TO 5, 1, 0, 1, 192, 0, 2, 130, 0, 80

static void answered(const struct pa_socks5_out *out, const uint8_t *want, size_t len)
{
	cr_assert_eq(out->answer_len, len, "answer of %zu octets", out->answer_len);
	cr_assert_arr_eq(out->answer, want, len);
}

/* Feeds all but the last octet, which must not be enough, then the whole. */
static struct pa_socks5_out feed(struct pa_socks5 *s, const uint8_t *buf, size_t len)
{
	struct pa_socks5_out out;

	for (size_t n = 0; n < len; n++) {
		struct pa_socks5 copy = *s;

		pa_socks5_input(&copy, buf, n, &out);
		cr_assert_eq(out.step, PA_SOCKS5_MORE, "%zu of %zu octets are no message", n, len);
		cr_assert_eq(out.used, 0);
		cr_assert_eq(out.answer_len, 0);
	}
	pa_socks5_input(s, buf, len, &out);
	return out;
}

/* To where a request is expected. */
static struct pa_socks5 ready(void)
{
	struct pa_socks5 s = {0};
	struct pa_socks5_out out = feed(&s, BYTES(5, 1, 0));

	cr_assert_eq(out.step, PA_SOCKS5_GO_ON);
	return s;
}

static bool is_anna(void *ctx, const struct pa_socks5_login *l)
{
	(*(unsigned *)ctx)++;
	return l->user_len == 4 && memcmp(l->user, "anna", 4) == 0 && l->password_len == 2 && memcmp(l->password, "pw", 2) == 0;
}

Test(socks5, nobody_is_asked)
{
	struct pa_socks5 s = {0};
	struct pa_socks5_out out = feed(&s, BYTES(5, 3, 2, 1, 0));

	cr_assert_eq(out.step, PA_SOCKS5_GO_ON);
	cr_assert_eq(out.used, 5);
	answered(&out, BYTES(5, 0));
	out = feed(&s, BYTES(CONNECT_TO));
	cr_assert_eq(out.step, PA_SOCKS5_REQUEST);
	cr_assert_eq(out.used, 10);
	cr_assert_eq(out.command, PA_SOCKS5_CONNECT);
	cr_assert_eq(pa_addr_to_ipv4(&out.target.at.addr), 0xc0000282);
	cr_assert_eq(out.target.at.port, 80);
	cr_assert_str_empty(out.target.name);
	cr_assert_eq(out.answer_len, 0, "the reply comes when the call stands");
}

Test(socks5, everything_at_once)
{
	struct pa_socks5 s = {0};
	const uint8_t all[] = {5, 1, 0, CONNECT_TO, 'G', 'E', 'T'};
	struct pa_socks5_out out;

	pa_socks5_input(&s, all, sizeof(all), &out);
	cr_assert_eq(out.used, 3);
	pa_socks5_input(&s, all + 3, sizeof(all) - 3, &out);
	cr_assert_eq(out.step, PA_SOCKS5_REQUEST);
	cr_assert_eq(out.used, 10, "what is for the peer stays");
}

Test(socks5, no_method_in_common)
{
	unsigned asked = 0;
	struct pa_socks5 open = {0}, closed = {.check = is_anna, .ctx = &asked}, none = {0};
	struct pa_socks5_out out = feed(&open, BYTES(5, 2, 1, 2));

	cr_assert_eq(out.step, PA_SOCKS5_END);
	cr_assert_str_eq(out.why, "no-method");
	answered(&out, BYTES(5, 0xff));
	out = feed(&closed, BYTES(5, 2, 0, 1));
	cr_assert_eq(out.step, PA_SOCKS5_END, "no authentication where a password is wanted");
	answered(&out, BYTES(5, 0xff));
	out = feed(&none, BYTES(5, 0));
	cr_assert_eq(out.step, PA_SOCKS5_END);
	answered(&out, BYTES(5, 0xff));
}

Test(socks5, something_else_gets_no_answer)
{
	struct pa_socks5 v4 = {0}, http = {0};
	struct pa_socks5_out out = feed(&v4, BYTES(4));

	cr_assert_eq(out.step, PA_SOCKS5_END);
	cr_assert_str_eq(out.why, "not-socks5");
	cr_assert_eq(out.answer_len, 0);
	pa_socks5_input(&http, (const uint8_t *)"CONNECT a:80 HTTP/1.1", 21, &out);
	cr_assert_eq(out.step, PA_SOCKS5_END);
	cr_assert_eq(out.answer_len, 0);
	pa_socks5_input(&http, BYTES(5, 1, 0), &out);
	cr_assert_eq(out.step, PA_SOCKS5_END, "over is over");
}

Test(socks5, logins)
{
	unsigned asked = 0;
	struct pa_socks5 good = {.check = is_anna, .ctx = &asked}, bad, empty, wrong;
	struct pa_socks5_out out = feed(&good, BYTES(5, 2, 0, 2));

	cr_assert_eq(out.step, PA_SOCKS5_GO_ON);
	answered(&out, BYTES(5, 2));
	bad = empty = wrong = good;
	out = feed(&good, BYTES(1, 4, 'a', 'n', 'n', 'a', 2, 'p', 'w'));
	cr_assert_eq(out.step, PA_SOCKS5_GO_ON);
	cr_assert_eq(asked, 1);
	answered(&out, BYTES(1, 0));
	out = feed(&good, BYTES(CONNECT_TO));
	cr_assert_eq(out.step, PA_SOCKS5_REQUEST);
	out = feed(&bad, BYTES(1, 4, 'a', 'n', 'n', 'a', 2, 'p', 'x'));
	cr_assert_eq(out.step, PA_SOCKS5_END);
	cr_assert_str_eq(out.why, "login");
	answered(&out, BYTES(1, 1));
	out = feed(&empty, BYTES(1, 4, 'a', 'n', 'n', 'a', 0));
	cr_assert_eq(out.step, PA_SOCKS5_END);
	answered(&out, BYTES(1, 1));
	cr_assert_eq(asked, 2, "an empty password is never right, and nobody is asked");
	out = feed(&wrong, BYTES(5));
	cr_assert_eq(out.step, PA_SOCKS5_END, "RFC 1929 has a version of its own");
	cr_assert_eq(out.answer_len, 0);
}

Test(socks5, a_request_without_login)
{
	unsigned asked = 0;
	struct pa_socks5 s = {.check = is_anna, .ctx = &asked};
	struct pa_socks5_out out = feed(&s, BYTES(5, 1, 2));

	pa_socks5_input(&s, BYTES(CONNECT_TO), &out);
	cr_assert_eq(out.step, PA_SOCKS5_END);
	cr_assert_eq(asked, 0);
}

Test(socks5, names_and_addresses)
{
	struct pa_socks5 name = ready(), literal = ready(), v6 = ready(), any = ready();
	struct pa_socks5_out out = feed(&name, BYTES(5, 1, 0, 3, 3, 'a', '.', 'b', 1, 187));

	cr_assert_eq(out.step, PA_SOCKS5_REQUEST);
	cr_assert_str_eq(out.target.name, "a.b");
	cr_assert(pa_addr_is_none(&out.target.at.addr));
	cr_assert_eq(out.target.at.port, 443);
	out = feed(&literal, BYTES(5, 1, 0, 3, 7, '1', '.', '2', '.', '3', '.', '4', 0, 1));
	cr_assert_eq(out.step, PA_SOCKS5_REQUEST);
	cr_assert_str_empty(out.target.name);
	cr_assert_eq(pa_addr_to_ipv4(&out.target.at.addr), 0x01020304);
	out = feed(&v6, BYTES(5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1));
	cr_assert_eq(out.step, PA_SOCKS5_REQUEST);
	cr_assert_eq(out.target.at.addr.b[0], 0x20);
	cr_assert_eq(out.target.at.addr.b[15], 9);
	out = feed(&any, BYTES(5, 3, 0, 1, 0, 0, 0, 0, 0, 0));
	cr_assert_eq(out.step, PA_SOCKS5_REQUEST, "a client that does not know yet from where it will send");
	cr_assert_eq(out.command, PA_SOCKS5_UDP);
}

static void refused(const uint8_t *buf, size_t len, uint8_t reply, const char *why)
{
	struct pa_socks5 s = ready();
	struct pa_socks5_out out;

	pa_socks5_input(&s, buf, len, &out);
	cr_assert_eq(out.step, PA_SOCKS5_END);
	cr_assert_str_eq(out.why, why);
	answered(&out, BYTES(5, reply, 0, 1, 0, 0, 0, 0, 0, 0));
}

Test(socks5, requests_that_cannot_be)
{
	struct pa_socks5 s = ready();
	struct pa_socks5_out out;

	refused(BYTES(5, 4, 0), PA_SOCKS5_NO_COMMAND, "command");
	refused(BYTES(5, 0, 0), PA_SOCKS5_NO_COMMAND, "command");
	refused(BYTES(5, 1, 0, 2), PA_SOCKS5_NO_ADDRESS_TYPE, "address");
	refused(BYTES(5, 1, 0, 3, 0, 0, 80), PA_SOCKS5_HOST_UNREACHABLE, "address");
	refused(BYTES(5, 1, 0, 3, 1, ' ', 0, 80), PA_SOCKS5_HOST_UNREACHABLE, "address");
	refused(BYTES(5, 1, 0, 3, 2, 'a', '"', 0, 80), PA_SOCKS5_HOST_UNREACHABLE, "address");
	refused(BYTES(5, 1, 0, 3, 3, 'a', 0, 'b', 0, 80), PA_SOCKS5_HOST_UNREACHABLE, "address");
	refused(BYTES(5, 1, 1, 1, 1, 2, 3, 4, 0, 80), PA_SOCKS5_FAILED, "malformed");
	refused(BYTES(5, 1, 0, 1, 1, 2, 3, 4, 0, 0), PA_SOCKS5_FAILED, "malformed");
	pa_socks5_input(&s, BYTES(4, 1, 0), &out);
	cr_assert_eq(out.step, PA_SOCKS5_END);
	cr_assert_eq(out.answer_len, 0);
}

Test(socks5, the_longest_messages_fit)
{
	uint8_t buf[PA_SOCKS5_INPUT_MAX];
	unsigned asked = 0;
	struct pa_socks5 s = {.check = is_anna, .ctx = &asked};
	struct pa_socks5_out out;

	memset(buf, 2, sizeof(buf));
	buf[0] = 5;
	buf[1] = 255;
	out = feed(&s, buf, 257);
	cr_assert_eq(out.step, PA_SOCKS5_GO_ON);
	buf[0] = 1;
	buf[1] = 255;
	buf[257] = 255;
	out = feed(&s, buf, PA_SOCKS5_INPUT_MAX);
	cr_assert_eq(out.step, PA_SOCKS5_END);
	cr_assert_eq(asked, 1);
	s = ready();
	memset(buf, 'a', sizeof(buf));
	memcpy(buf, (const uint8_t[]){5, 1, 0, 3, 253}, 5);
	out = feed(&s, buf, 260);
	cr_assert_eq(out.step, PA_SOCKS5_REQUEST);
	cr_assert_eq(strlen(out.target.name), 253);
	s = ready();
	buf[4] = 254;
	out = feed(&s, buf, 261);
	cr_assert_eq(out.step, PA_SOCKS5_END, "longer than a name can be (RFC 1035)");
}

Test(socks5, replies)
{
	struct pa_endpoint p = {pa_addr_from_ipv4(0xcb007107), 0x1234}, v6 = {{{0x20, 1, [15] = 7}}, 80};
	uint8_t buf[PA_SOCKS5_ANSWER_MAX];

	cr_assert_eq(pa_socks5_reply(PA_SOCKS5_OK, &p, buf), 10);
	cr_assert_arr_eq(buf, ((const uint8_t[]){5, 0, 0, 1, 203, 0, 113, 7, 0x12, 0x34}), 10);
	cr_assert_eq(pa_socks5_reply(PA_SOCKS5_OK, &v6, buf), 22);
	cr_assert_eq(buf[3], 4);
	cr_assert_eq(buf[19], 7);
	cr_assert_eq(pa_socks5_reply(PA_SOCKS5_REFUSED, NULL, buf), 10);
	cr_assert_arr_eq(buf, ((const uint8_t[]){5, 5, 0, 1, 0, 0, 0, 0, 0, 0}), 10);
}

Test(socks5, every_end_of_a_call_has_its_reply)
{
	static const uint8_t want[PA_RELAY_E_MAX + 1] = {
		[PA_RELAY_E_OK] = 0,	  [PA_RELAY_E_REFUSED] = 5,  [PA_RELAY_E_HOST] = 4,	[PA_RELAY_E_NET] = 3,
		[PA_RELAY_E_TIMEOUT] = 6, [PA_RELAY_E_RESET] = 1,    [PA_RELAY_E_IN_USE] = 1,	[PA_RELAY_E_DENIED] = 2,
		[PA_RELAY_E_LIMIT] = 1,	  [PA_RELAY_E_PROTOCOL] = 1, [PA_RELAY_E_NOT_FOUND] = 4, [PA_RELAY_E_EXPIRED] = 1,
		[PA_RELAY_E_REPLACED] = 1, [PA_RELAY_E_SHUTDOWN] = 1, [PA_RELAY_E_AGAIN] = 1,	[PA_RELAY_E_LOST] = 1};

	for (unsigned e = 0; e <= PA_RELAY_E_MAX; e++)
		cr_assert_eq(pa_socks5_reply_of((enum pa_relay_error)e), want[e], "%s", pa_relay_error_name(e));
	cr_assert_str_eq(pa_socks5_reply_name(PA_SOCKS5_NO_ADDRESS_TYPE), "no-address-type");
	cr_assert_str_eq(pa_socks5_reply_name(9), "unknown");
}

Test(socks5, datagrams)
{
	struct pa_endpoint peer = {pa_addr_from_ipv4(0xc0000282), 7}, v6 = {{{0x20, 1, [15] = 7}}, 80};
	uint8_t buf[PA_SOCKS5_ANSWER_MAX];
	struct pa_socks5_target t, untouched;

	cr_assert_eq(pa_socks5_datagram(BYTES(0, 0, 0, 1, 192, 0, 2, 130, 0, 7, 'x'), &t), 10);
	cr_assert(pa_endpoint_eq(&t.at, &peer));
	cr_assert_eq(pa_socks5_datagram(BYTES(0, 0, 0, 3, 1, 'a', 0, 7), &t), 8, "without a payload it is an empty datagram");
	cr_assert_str_eq(t.name, "a");
	memset(&t, 0x5a, sizeof(t));
	untouched = t;
	cr_assert_eq(pa_socks5_datagram(BYTES(0, 0, 1, 1, 192, 0, 2, 130, 0, 7, 'x'), &t), PA_ENOTSUP);
	cr_assert_eq(pa_socks5_datagram(BYTES(0, 0, 0x80, 1, 192, 0, 2, 130, 0, 7, 'x'), &t), PA_ENOTSUP);
	cr_assert_eq(pa_socks5_datagram(BYTES(0, 1, 0, 1, 192, 0, 2, 130, 0, 7, 'x'), &t), PA_EFORMAT);
	cr_assert_eq(pa_socks5_datagram(BYTES(0, 0, 0, 2, 192, 0, 2, 130, 0, 7), &t), PA_EFORMAT);
	cr_assert_eq(pa_socks5_datagram(BYTES(0, 0, 0, 1, 192, 0, 2, 130, 0, 0), &t), PA_EFORMAT);
	cr_assert_eq(pa_socks5_datagram(BYTES(0, 0, 0, 1, 192, 0, 2, 130, 0), &t), PA_ETRUNC);
	cr_assert_eq(pa_socks5_datagram(BYTES(0, 0), &t), PA_ETRUNC);
	cr_assert_arr_eq((const uint8_t *)&t, (const uint8_t *)&untouched, sizeof(t));
	cr_assert_eq(pa_socks5_put_header(&peer, buf), 10);
	cr_assert_arr_eq(buf, ((const uint8_t[]){0, 0, 0, 1, 192, 0, 2, 130, 0, 7}), 10);
	cr_assert_eq(pa_socks5_put_header(&v6, buf), 22);
}

/* ---------------------------------------------------------------- users */

static struct pa_socks5_users *parse(const char *text)
{
	struct pa_socks5_users *users = NULL;
	char err[PA_SOCKS5_USERS_ERRLEN] = "";

	cr_assert_eq(pa_cred_init(), 0);
	cr_assert_eq(pa_socks5_users_parse("u", text, strlen(text), &users, err), 0, "%s", err);
	return users;
}

static bool knows(struct pa_socks5_users *users, const char *user, const char *password)
{
	struct pa_socks5_login l = {(const uint8_t *)user, (const uint8_t *)password, (uint8_t)strlen(user), (uint8_t)strlen(password)};

	return pa_socks5_users_check(users, &l);
}

Test(socks5, users_of_a_file)
{
	struct pa_socks5_users *users = parse("# ours\n\nanna:secret\r\nben:with:colon and blank ");

	cr_assert_eq(pa_socks5_users_count(users), 2);
	cr_assert(knows(users, "anna", "secret"));
	cr_assert(knows(users, "ben", "with:colon and blank "));
	cr_assert_not(knows(users, "anna", "Secret"));
	cr_assert_not(knows(users, "anna", "secret\r"));
	cr_assert_not(knows(users, "ann", "asecret"));
	cr_assert_not(knows(users, "ben", "secret"));
	cr_assert_not(knows(users, "", ""));
	pa_socks5_users_free(users);
	pa_socks5_users_free(NULL);
}

static void bad_users(const char *text, int code, const char *want)
{
	struct pa_socks5_users *users = NULL;
	char err[PA_SOCKS5_USERS_ERRLEN] = "";

	cr_assert_eq(pa_socks5_users_parse("socks.users", text, strlen(text), &users, err), code, "%s", text);
	cr_assert_null(users);
	cr_assert_not_null(strstr(err, want), "'%s' does not contain '%s'", err, want);
	cr_assert_null(strstr(err, "secret"), "an error shows a password: %s", err);
}

Test(socks5, files_that_are_wrong)
{
	char text[600];

	bad_users("", PA_EFORMAT, "socks.users:0: there is no user");
	bad_users("# nobody\n", PA_EFORMAT, "no user");
	bad_users("anna:secret\nben\n", PA_EFORMAT, "socks.users:2: expected USER:PASSWORD");
	bad_users(":secret\n", PA_EFORMAT, "expected USER:PASSWORD");
	bad_users("anna:\n", PA_EFORMAT, "expected USER:PASSWORD");
	bad_users("anna:secret\nanna:secret2\n", PA_EEXIST, "socks.users:2: this user stands above");
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	text[300] = ':';
	bad_users(text, PA_EFORMAT, "at most 255");
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a program says to the SOCKS5 server, and the file of its users. The first byte chooses: 'u' a file, 'd' a datagram, else a
 * connection, with a password where it is odd. However a connection's bytes are cut, the same comes of them.
 */
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/socks5.h"
#include "common/socks5_users.h"
#include "test/fuzz/fuzz.h"

struct outcome {
	enum pa_socks5_step step;
	size_t used, answered;
	uint8_t command;
	struct pa_socks5_target target;
};

static bool check(void *ctx, const struct pa_socks5_login *l)
{
	(void)ctx;
	return l->user[0] == l->password[0];
}

/* Whatever name passes here, the relay takes it. */
static void check_name(const char *name)
{
	struct pa_relay_body b = {.family = 4};
	uint8_t buf[PA_RELAY_FIELDS_MAX];

	PA_REQUIRE(strlen(name) <= PA_RELAY_NAME_MAX);
	memcpy(b.name, name, strlen(name));
	PA_REQUIRE(name[0] == '\0' || pa_relay_encode(PA_RELAY_RESOLVE, &b, buf, sizeof(buf)) > 0);
}

static void check_out(const struct pa_socks5_out *o, size_t len)
{
	PA_REQUIRE(o->used <= len && o->answer_len <= PA_SOCKS5_ANSWER_MAX);
	PA_REQUIRE((o->step == PA_SOCKS5_END) == (o->why != NULL));
	if (o->step == PA_SOCKS5_MORE)
		PA_REQUIRE(o->used == 0 && o->answer_len == 0 && len < PA_SOCKS5_INPUT_MAX);
	if (o->step == PA_SOCKS5_GO_ON)
		PA_REQUIRE(o->used > 0 && o->answer_len == 2);
	if (o->step == PA_SOCKS5_REQUEST) {
		check_name(o->target.name);
		PA_REQUIRE(o->used > 0 && o->command >= PA_SOCKS5_CONNECT && o->command <= PA_SOCKS5_UDP);
		PA_REQUIRE(o->target.name[0] == '\0' || pa_addr_is_none(&o->target.at.addr));
	}
}

/* step octets at a time. */
static struct outcome run(const uint8_t *data, size_t len, size_t step, bool login)
{
	struct pa_socks5 s = {.check = login ? check : NULL};
	struct outcome r = {.step = PA_SOCKS5_MORE};
	struct pa_socks5_out o;

	for (size_t end = 0; end < len;) {
		end = len - end > step ? end + step : len;
		do {
			pa_socks5_input(&s, data + r.used, end - r.used, &o);
			check_out(&o, end - r.used);
			r.used += o.used;
			r.answered += o.answer_len;
			r.step = o.step;
			if (o.step == PA_SOCKS5_REQUEST) {
				r.command = o.command;
				r.target = o.target;
			}
		} while (o.step == PA_SOCKS5_GO_ON && r.used < end);
		if (o.step == PA_SOCKS5_REQUEST || o.step == PA_SOCKS5_END)
			break;
	}
	return r;
}

static void try_connection(const uint8_t *data, size_t len, bool login)
{
	struct outcome whole = run(data, len, len, login), pieces = run(data, len, 1, login);

	PA_REQUIRE(whole.step == pieces.step || (whole.step == PA_SOCKS5_MORE && pieces.step == PA_SOCKS5_GO_ON) ||
		   (whole.step == PA_SOCKS5_GO_ON && pieces.step == PA_SOCKS5_MORE));
	PA_REQUIRE(whole.used == pieces.used && whole.answered == pieces.answered && whole.command == pieces.command);
	PA_REQUIRE(memcmp(&whole.target, &pieces.target, sizeof(whole.target)) == 0);
}

static void try_datagram(const uint8_t *data, size_t len)
{
	struct pa_socks5_target t, again;
	uint8_t header[PA_SOCKS5_ANSWER_MAX];
	int n = pa_socks5_datagram(data, len, &t);

	if (n < 0)
		return;
	PA_REQUIRE((size_t)n <= len && n <= PA_SOCKS5_HEADER_MAX && t.at.port != 0);
	check_name(t.name);
	if (t.name[0] != '\0')
		return;
	n = (int)pa_socks5_put_header(&t.at, header);
	PA_REQUIRE(pa_socks5_datagram(header, (size_t)n, &again) == n && pa_endpoint_eq(&t.at, &again.at));
}

static void try_users(const uint8_t *data, size_t len)
{
	struct pa_socks5_login l = {(const uint8_t *)"a", (const uint8_t *)"b", 1, 1};
	char err[PA_SOCKS5_USERS_ERRLEN] = "";
	struct pa_socks5_users *users;

	if (pa_socks5_users_parse("f", (const char *)data, len, &users, err) < 0) {
		PA_REQUIRE(strncmp(err, "f:", 2) == 0 && strchr(err, '\n') == NULL);
		return;
	}
	PA_REQUIRE(pa_socks5_users_count(users) > 0 && pa_socks5_users_count(users) <= PA_SOCKS5_USERS_MAX);
	(void)pa_socks5_users_check(users, &l);
	pa_socks5_users_free(users);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (data[0] == 'u')
		try_users(data + 1, len - 1);
	else if (data[0] == 'd')
		try_datagram(data + 1, len - 1);
	else
		try_connection(data + 1, len - 1, data[0] % 2 == 1);
	return 0;
}

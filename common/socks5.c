/* SPDX-License-Identifier: MPL-2.0 */
#include "common/socks5.h"

#include <string.h>

#include "common/cursor.h"
#include "common/err.h"

#define VERSION 5
#define LOGIN_VERSION 1 /* of RFC 1929 */

enum { STATE_METHODS, STATE_LOGIN, STATE_REQUEST, STATE_OVER };
enum { METHOD_NONE = 0, METHOD_LOGIN = 2, METHOD_NOT_ACCEPTABLE = 0xff };
enum { ATYP_IPV4 = 1, ATYP_NAME = 3, ATYP_IPV6 = 4 };

static void end(struct pa_socks5 *s, struct pa_socks5_out *ret, const char *why)
{
	s->state = STATE_OVER;
	ret->step = PA_SOCKS5_END;
	ret->why = why;
}

static void answer2(struct pa_socks5_out *ret, uint8_t version, uint8_t value)
{
	ret->answer[0] = version;
	ret->answer[1] = value;
	ret->answer_len = 2;
}

/* A message is there as a whole: the next one has state. */
static void go_on(struct pa_socks5 *s, struct pa_socks5_out *ret, const struct pa_reader *r, size_t len, uint8_t state)
{
	s->state = state;
	ret->step = PA_SOCKS5_GO_ON;
	ret->used = len - r->left;
}

static void take_methods(struct pa_socks5 *s, const uint8_t *buf, size_t len, struct pa_socks5_out *ret)
{
	uint8_t wanted = s->check != NULL ? METHOD_LOGIN : METHOD_NONE;
	const uint8_t *methods;
	struct pa_reader r;
	uint8_t version, n;

	pa_reader_init(&r, buf, len);
	version = pa_get_u8(&r);
	if (!r.failed && version != VERSION) { /* SOCKS4, HTTP or anything: no answer of ours would be understood */
		end(s, ret, "not-socks5");
		return;
	}
	n = pa_get_u8(&r);
	methods = pa_get_view(&r, n);
	if (r.failed)
		return;
	if (n == 0 || memchr(methods, wanted, n) == NULL) {
		answer2(ret, VERSION, METHOD_NOT_ACCEPTABLE);
		end(s, ret, "no-method");
		return;
	}
	answer2(ret, VERSION, wanted);
	go_on(s, ret, &r, len, wanted == METHOD_LOGIN ? STATE_LOGIN : STATE_REQUEST);
}

static void take_login(struct pa_socks5 *s, const uint8_t *buf, size_t len, struct pa_socks5_out *ret)
{
	struct pa_socks5_login login;
	struct pa_reader r;
	uint8_t version;

	pa_reader_init(&r, buf, len);
	version = pa_get_u8(&r);
	if (!r.failed && version != LOGIN_VERSION) {
		end(s, ret, "malformed");
		return;
	}
	login.user_len = pa_get_u8(&r);
	login.user = pa_get_view(&r, login.user_len);
	login.password_len = pa_get_u8(&r);
	login.password = pa_get_view(&r, login.password_len);
	if (r.failed)
		return;
	if (login.user_len == 0 || login.password_len == 0 || !s->check(s->ctx, &login)) {
		answer2(ret, LOGIN_VERSION, 1);
		end(s, ret, "login");
		return;
	}
	answer2(ret, LOGIN_VERSION, 0);
	go_on(s, ret, &r, len, STATE_REQUEST);
}

/* As the relay has names. Some clients put an address into the place of one: it is an address then. */
static int get_name(const uint8_t *text, uint8_t n, struct pa_socks5_target *ret)
{
	if (n == 0 || n > PA_RELAY_NAME_MAX)
		return PA_EFORMAT;
	for (uint8_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
			return PA_EFORMAT;
	memcpy(ret->name, text, n);
	ret->name[n] = '\0';
	if (pa_addr_parse(ret->name, &ret->at.addr) == 0)
		memset(ret->name, 0, sizeof(ret->name));
	return 0;
}

/* Type, address and port. 0, or PA_ENOTSUP (type) or PA_EFORMAT (name); PA_ETRUNC if r failed. */
static int get_target(struct pa_reader *r, struct pa_socks5_target *ret)
{
	uint8_t atyp = pa_get_u8(r), n;
	const uint8_t *text = NULL;
	int rc = 0;

	if (r->failed)
		return PA_ETRUNC;
	switch (atyp) {
	case ATYP_IPV4:
		ret->at.addr = pa_addr_from_ipv4(pa_get_u32(r));
		break;
	case ATYP_IPV6:
		pa_get_bytes(r, ret->at.addr.b, sizeof(ret->at.addr.b));
		break;
	case ATYP_NAME:
		n = pa_get_u8(r);
		text = pa_get_view(r, n);
		rc = text != NULL ? get_name(text, n, ret) : PA_ETRUNC;
		break;
	default:
		return PA_ENOTSUP;
	}
	ret->at.port = pa_get_u16(r);
	return r->failed ? PA_ETRUNC : rc;
}

static void refuse(struct pa_socks5 *s, struct pa_socks5_out *ret, enum pa_socks5_reply reply, const char *why)
{
	ret->answer_len = pa_socks5_reply((uint8_t)reply, NULL, ret->answer);
	end(s, ret, why);
}

static void take_request(struct pa_socks5 *s, const uint8_t *buf, size_t len, struct pa_socks5_out *ret)
{
	struct pa_socks5_target target = {0};
	uint8_t version, command, reserved;
	struct pa_reader r;
	int rc;

	pa_reader_init(&r, buf, len);
	version = pa_get_u8(&r);
	if (!r.failed && version != VERSION) {
		end(s, ret, "malformed");
		return;
	}
	command = pa_get_u8(&r);
	reserved = pa_get_u8(&r);
	if (r.failed)
		return;
	if (command < PA_SOCKS5_CONNECT || command > PA_SOCKS5_UDP) {
		refuse(s, ret, PA_SOCKS5_NO_COMMAND, "command");
		return;
	}
	rc = get_target(&r, &target);
	if (rc == PA_ETRUNC)
		return;
	if (rc == PA_ENOTSUP) {
		refuse(s, ret, PA_SOCKS5_NO_ADDRESS_TYPE, "address");
	} else if (rc < 0) {
		refuse(s, ret, PA_SOCKS5_HOST_UNREACHABLE, "address"); /* nobody has such a name */
	} else if (reserved != 0 || (command == PA_SOCKS5_CONNECT && target.at.port == 0)) {
		refuse(s, ret, PA_SOCKS5_FAILED, "malformed");
	} else {
		s->state = STATE_OVER;
		ret->step = PA_SOCKS5_REQUEST;
		ret->used = len - r.left;
		ret->command = command;
		ret->target = target;
	}
}

void pa_socks5_input(struct pa_socks5 *s, const uint8_t *buf, size_t len, struct pa_socks5_out *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->step = PA_SOCKS5_MORE;
	switch (s->state) {
	case STATE_METHODS:
		take_methods(s, buf, len, ret);
		break;
	case STATE_LOGIN:
		take_login(s, buf, len, ret);
		break;
	case STATE_REQUEST:
		take_request(s, buf, len, ret);
		break;
	default:
		end(s, ret, "malformed");
		break;
	}
}

static void put_address(struct pa_writer *w, const struct pa_endpoint *e)
{
	bool v4 = pa_addr_is_ipv4(&e->addr);

	pa_put_u8(w, v4 ? ATYP_IPV4 : ATYP_IPV6);
	pa_put_bytes(w, v4 ? e->addr.b + 12 : e->addr.b, v4 ? 4 : 16);
	pa_put_u16(w, e->port);
}

size_t pa_socks5_reply(uint8_t reply, const struct pa_endpoint *bound, uint8_t dst[PA_SOCKS5_ANSWER_MAX])
{
	struct pa_endpoint none = {pa_addr_from_ipv4(0), 0};
	struct pa_writer w;

	pa_writer_init(&w, dst, PA_SOCKS5_ANSWER_MAX);
	pa_put_u8(&w, VERSION);
	pa_put_u8(&w, reply);
	pa_put_u8(&w, 0);
	put_address(&w, bound != NULL ? bound : &none);
	PA_REQUIRE(!w.failed);
	return w.len;
}

enum pa_socks5_reply pa_socks5_reply_of(enum pa_relay_error error)
{
	switch (error) {
	case PA_RELAY_E_OK:
		return PA_SOCKS5_OK;
	case PA_RELAY_E_REFUSED:
		return PA_SOCKS5_REFUSED;
	case PA_RELAY_E_HOST:
	case PA_RELAY_E_NOT_FOUND: /* a name that nobody has */
		return PA_SOCKS5_HOST_UNREACHABLE;
	case PA_RELAY_E_NET:
		return PA_SOCKS5_NET_UNREACHABLE;
	case PA_RELAY_E_TIMEOUT:
		return PA_SOCKS5_TTL_EXPIRED;
	case PA_RELAY_E_DENIED:
		return PA_SOCKS5_NOT_ALLOWED;
	case PA_RELAY_E_RESET:
	case PA_RELAY_E_IN_USE:
	case PA_RELAY_E_LIMIT:
	case PA_RELAY_E_PROTOCOL:
	case PA_RELAY_E_EXPIRED:
	case PA_RELAY_E_REPLACED:
	case PA_RELAY_E_SHUTDOWN:
	case PA_RELAY_E_AGAIN:
	case PA_RELAY_E_LOST:
		break;
	}
	return PA_SOCKS5_FAILED;
}

const char *pa_socks5_reply_name(unsigned reply)
{
	static const char *const names[] = {"succeeded",	"failed",  "not-allowed", "network-unreachable", "host-unreachable",
					    "refused", "ttl-expired", "no-command",  "no-address-type"};

	return reply < sizeof(names) / sizeof(names[0]) ? names[reply] : "unknown";
}

int pa_socks5_datagram(const uint8_t *buf, size_t len, struct pa_socks5_target *ret)
{
	struct pa_socks5_target target = {0};
	uint16_t reserved;
	uint8_t fragment;
	struct pa_reader r;
	int rc;

	pa_reader_init(&r, buf, len);
	reserved = pa_get_u16(&r);
	fragment = pa_get_u8(&r);
	if (r.failed)
		return PA_ETRUNC;
	if (fragment != 0)
		return PA_ENOTSUP;
	rc = get_target(&r, &target);
	if (rc < 0)
		return rc == PA_ETRUNC ? PA_ETRUNC : PA_EFORMAT;
	if (reserved != 0 || target.at.port == 0)
		return PA_EFORMAT;
	*ret = target;
	return (int)(len - r.left);
}

size_t pa_socks5_put_header(const struct pa_endpoint *peer, uint8_t dst[PA_SOCKS5_ANSWER_MAX])
{
	struct pa_writer w;

	pa_writer_init(&w, dst, PA_SOCKS5_ANSWER_MAX);
	pa_put_zeros(&w, 3);
	put_address(&w, peer);
	PA_REQUIRE(!w.failed);
	return w.len;
}

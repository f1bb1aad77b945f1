/* SPDX-License-Identifier: MPL-2.0 */
#include "common/relay_local.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cursor.h"
#include "common/err.h"
#include "common/hex.h"

#define ID_DIGITS 16
#define IFACE_MAX 15
#define FLAG_NONBLOCK 1u
#define FLAG_ABRUPT 1u

/* The relay's own body of that type, as it is on the wire. */
static int put_relay(struct pa_writer *w, uint8_t type, const struct pa_relay_body *b)
{
	uint8_t body[PA_RELAY_FIELDS_MAX];
	int n = pa_relay_encode(type, b, body, sizeof(body));

	if (n > 0)
		pa_put_bytes(w, body, (size_t)n);
	return n < 0 ? n : 0;
}

static int get_relay(struct pa_reader *r, uint8_t type, size_t len, struct pa_relay_body *ret)
{
	const uint8_t *body = pa_get_view(r, len);

	return body != NULL ? pa_relay_decode(type, body, len, ret) : PA_ETRUNC;
}

/* What is said of a call beyond what the server has to know. */
static bool open_ok(const struct pa_rlocal *m)
{
	return (m->body.kind == PA_RELAY_TCP || !m->nonblock) && (m->body.kind == PA_RELAY_TCP_LISTEN || m->backlog == 0);
}

static int put_open(struct pa_writer *w, const struct pa_rlocal *m)
{
	int rc = open_ok(m) ? put_relay(w, PA_RELAY_OPEN, &m->body) : PA_EINVAL;

	pa_put_u8(w, m->nonblock ? FLAG_NONBLOCK : 0);
	pa_put_u8(w, 0);
	pa_put_u16(w, m->backlog);
	return rc;
}

static int get_open(struct pa_reader *r, struct pa_rlocal *m)
{
	int rc = r->left > 4 ? get_relay(r, PA_RELAY_OPEN, r->left - 4, &m->body) : PA_ETRUNC;
	uint8_t flags = pa_get_u8(r);

	m->nonblock = flags == FLAG_NONBLOCK;
	r->failed |= flags > FLAG_NONBLOCK || pa_get_u8(r) != 0;
	m->backlog = pa_get_u16(r);
	return rc == 0 && !open_ok(m) ? PA_EFORMAT : rc;
}

static bool info_ok(const struct pa_rlocal *m)
{
	return m->state <= PA_RLOCAL_OVER && m->body.kind <= PA_RELAY_UDP;
}

static int put_info(struct pa_writer *w, const struct pa_rlocal *m)
{
	pa_put_u64(w, m->id);
	pa_put_u8(w, m->state);
	pa_put_u8(w, m->body.kind);
	return info_ok(m) ? put_relay(w, PA_RELAY_RESULT, &m->body) : PA_EINVAL;
}

static int get_info(struct pa_reader *r, struct pa_rlocal *m)
{
	uint8_t kind;
	int rc;

	m->id = pa_get_u64(r);
	m->state = pa_get_u8(r);
	kind = pa_get_u8(r);
	rc = get_relay(r, PA_RELAY_RESULT, r->left, &m->body);
	m->body.kind = kind;
	return rc == 0 && !info_ok(m) ? PA_EFORMAT : rc;
}

static void put_set(struct pa_writer *w, const struct pa_rlocal *m)
{
	pa_put_u64(w, m->id);
	pa_put_u8(w, m->abrupt ? FLAG_ABRUPT : 0);
	pa_put_endpoint(w, &m->body.remote);
}

static void get_set(struct pa_reader *r, struct pa_rlocal *m)
{
	uint8_t flags;

	m->id = pa_get_u64(r);
	flags = pa_get_u8(r);
	m->abrupt = flags == FLAG_ABRUPT;
	r->failed |= flags > FLAG_ABRUPT;
	pa_get_endpoint(r, &m->body.remote);
}

static void put_address(struct pa_writer *w, const struct pa_rlocal *m)
{
	pa_put_u8(w, m->body.error);
	pa_put_bytes(w, m->body.local.addr.b, sizeof(m->body.local.addr.b));
}

static void get_address(struct pa_reader *r, struct pa_rlocal *m)
{
	m->body.error = pa_get_u8(r);
	r->failed |= m->body.error > PA_RELAY_E_MAX;
	pa_get_bytes(r, m->body.local.addr.b, sizeof(m->body.local.addr.b));
}

/* ---------------------------------------------------------------- whole messages */

static int put_body(struct pa_writer *w, const struct pa_rlocal *m)
{
	switch (m->type) {
	case PA_RLOCAL_ADDRESS:
		return 0;
	case PA_RLOCAL_ADDRESS_IS:
		put_address(w, m);
		return m->body.error <= PA_RELAY_E_MAX ? 0 : PA_EINVAL;
	case PA_RELAY_OPEN:
		return put_open(w, m);
	case PA_RLOCAL_CALLED:
	case PA_RLOCAL_INFO:
		pa_put_u64(w, m->id);
		return 0;
	case PA_RELAY_RESULT:
		pa_put_u64(w, m->id);
		return put_relay(w, PA_RELAY_RESULT, &m->body);
	case PA_RELAY_INCOMING:
		pa_put_u64(w, m->id);
		pa_put_endpoint(w, &m->body.local);
		pa_put_endpoint(w, &m->body.remote);
		return 0;
	case PA_RLOCAL_INFO_IS:
		return put_info(w, m);
	case PA_RLOCAL_SET:
		put_set(w, m);
		return 0;
	case PA_RELAY_RESOLVE:
	case PA_RELAY_RESOLVED:
		return put_relay(w, m->type, &m->body);
	default:
		return PA_EINVAL;
	}
}

static int get_body(struct pa_reader *r, struct pa_rlocal *m)
{
	switch (m->type) {
	case PA_RLOCAL_ADDRESS:
		return 0;
	case PA_RLOCAL_ADDRESS_IS:
		get_address(r, m);
		return 0;
	case PA_RELAY_OPEN:
		return get_open(r, m);
	case PA_RLOCAL_CALLED:
	case PA_RLOCAL_INFO:
		m->id = pa_get_u64(r);
		return 0;
	case PA_RELAY_RESULT:
		m->id = pa_get_u64(r);
		return get_relay(r, PA_RELAY_RESULT, r->left, &m->body);
	case PA_RELAY_INCOMING:
		m->id = pa_get_u64(r);
		pa_get_endpoint(r, &m->body.local);
		pa_get_endpoint(r, &m->body.remote);
		return 0;
	case PA_RLOCAL_INFO_IS:
		return get_info(r, m);
	case PA_RLOCAL_SET:
		get_set(r, m);
		return 0;
	case PA_RELAY_RESOLVE:
	case PA_RELAY_RESOLVED:
		return get_relay(r, m->type, r->left, &m->body);
	default:
		return PA_EFORMAT;
	}
}

int pa_rlocal_encode(const struct pa_rlocal *m, uint8_t *buf, size_t cap)
{
	struct pa_relay_header h = {.type = m->type};
	struct pa_writer w;
	int rc;

	if (cap < PA_RELAY_HEADER_LEN)
		return PA_ETRUNC;
	pa_writer_init(&w, buf + PA_RELAY_HEADER_LEN, cap - PA_RELAY_HEADER_LEN);
	rc = put_body(&w, m);
	if (rc < 0)
		return rc;
	if (w.failed)
		return PA_ETRUNC;
	h.length = (uint16_t)w.len;
	pa_relay_put_header(buf, &h);
	return PA_RELAY_HEADER_LEN + (int)w.len;
}

int pa_rlocal_decode(const uint8_t *buf, size_t len, struct pa_rlocal *ret)
{
	struct pa_rlocal m = {0};
	struct pa_reader r;
	uint8_t flags;
	int rc;

	pa_reader_init(&r, buf, len);
	if (len < PA_RELAY_HEADER_LEN)
		return PA_ETRUNC;
	m.type = pa_get_u8(&r);
	flags = pa_get_u8(&r);
	if (pa_get_u16(&r) != len - PA_RELAY_HEADER_LEN || flags != 0 || pa_get_u32(&r) != 0)
		return PA_EFORMAT;
	rc = get_body(&r, &m);
	if (rc < 0)
		return rc;
	if (r.failed || r.left > 0)
		return PA_EFORMAT;
	*ret = m;
	return 0;
}

/* ---------------------------------------------------------------- names */

socklen_t pa_rlocal_name(const char *iface, uint64_t id, struct sockaddr_un *ret)
{
	int n;

	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	n = snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, PA_RLOCAL_NAME "%.*s/%016llx", IFACE_MAX, iface,
		     (unsigned long long)id);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

bool pa_rlocal_name_parse(const struct sockaddr_un *name, socklen_t len, uint64_t *ret_id)
{
	size_t prefix = sizeof(PA_RLOCAL_NAME) - 1, n = len - offsetof(struct sockaddr_un, sun_path);
	char digits[ID_DIGITS + 1];
	struct pa_reader r;
	uint8_t id[8];

	if (len > sizeof(*name) || len < offsetof(struct sockaddr_un, sun_path) || name->sun_family != AF_UNIX)
		return false;
	/* NUL, prefix, at least one letter, a slash, the digits */
	if (n < 1 + prefix + 2 + ID_DIGITS || n > 1 + prefix + IFACE_MAX + 1 + ID_DIGITS || name->sun_path[0] != '\0' ||
	    memcmp(name->sun_path + 1, PA_RLOCAL_NAME, prefix) != 0 || name->sun_path[n - ID_DIGITS - 1] != '/')
		return false;
	memcpy(digits, name->sun_path + n - ID_DIGITS, ID_DIGITS);
	digits[ID_DIGITS] = '\0';
	if (pa_hex_decode(digits, id, sizeof(id)) != (int)sizeof(id))
		return false;
	pa_reader_init(&r, id, sizeof(id));
	*ret_id = pa_get_u64(&r);
	return true;
}

void pa_rlocal_trouble_encode(enum pa_relay_error error, uint16_t port, uint8_t ret[PA_RELAY_DATAGRAM_LEN])
{
	struct pa_endpoint e = {.port = port};
	struct pa_writer w;

	e.addr.b[sizeof(e.addr.b) - 1] = (uint8_t)error;
	pa_writer_init(&w, ret, PA_RELAY_DATAGRAM_LEN);
	pa_put_endpoint(&w, &e);
}

bool pa_rlocal_trouble_decode(const uint8_t buf[PA_RELAY_DATAGRAM_LEN], unsigned *ret_error, uint16_t *ret_port)
{
	static const uint8_t zeros[sizeof(((struct pa_addr *)NULL)->b) - 1];
	struct pa_endpoint e;
	struct pa_reader r;
	unsigned error;

	pa_reader_init(&r, buf, PA_RELAY_DATAGRAM_LEN);
	pa_get_endpoint(&r, &e);
	error = e.addr.b[sizeof(zeros)];
	if (memcmp(e.addr.b, zeros, sizeof(zeros)) != 0 || error == PA_RELAY_E_OK || error > PA_RELAY_E_MAX)
		return false;
	*ret_error = error;
	*ret_port = e.port;
	return true;
}

int pa_relay_errno(unsigned error)
{
	static const int numbers[] = {
		[PA_RELAY_E_OK] = 0,
		[PA_RELAY_E_REFUSED] = ECONNREFUSED,
		[PA_RELAY_E_HOST] = EHOSTUNREACH,
		[PA_RELAY_E_NET] = ENETUNREACH,
		[PA_RELAY_E_TIMEOUT] = ETIMEDOUT,
		[PA_RELAY_E_RESET] = ECONNRESET,
		[PA_RELAY_E_IN_USE] = EADDRINUSE,
		[PA_RELAY_E_DENIED] = EACCES,
		[PA_RELAY_E_LIMIT] = ENOBUFS,
		[PA_RELAY_E_PROTOCOL] = EPROTO,
		[PA_RELAY_E_NOT_FOUND] = ENETUNREACH,
		[PA_RELAY_E_EXPIRED] = ENETDOWN,
		[PA_RELAY_E_REPLACED] = ENETDOWN,
		[PA_RELAY_E_SHUTDOWN] = ENETDOWN,
		[PA_RELAY_E_AGAIN] = ENETUNREACH, /* EAGAIN says something else to who called connect */
		[PA_RELAY_E_LOST] = ECONNABORTED,
	};

	return error < sizeof(numbers) / sizeof(numbers[0]) ? numbers[error] : EIO;
}

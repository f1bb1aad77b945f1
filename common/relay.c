/* SPDX-License-Identifier: MPL-2.0 */
#include "common/relay.h"

#include <string.h>

#include "common/cursor.h"
#include "common/err.h"

#define ENDPOINT_LEN 18

/* What each type's body may measure. */
static const struct {
	const char *name;
	uint16_t min, max;
} types[] = {
	[PA_RELAY_OPEN] = {"OPEN", 4 + ENDPOINT_LEN, 4 + ENDPOINT_LEN},
	[PA_RELAY_RESULT] = {"RESULT", 4 + 2 * ENDPOINT_LEN, 4 + 2 * ENDPOINT_LEN},
	[PA_RELAY_INCOMING] = {"INCOMING", 4 + 2 * ENDPOINT_LEN, 4 + 2 * ENDPOINT_LEN},
	[PA_RELAY_DATA] = {"DATA", 1, PA_RELAY_DATA_MAX},
	[PA_RELAY_DATAGRAM] = {"DATAGRAM", PA_RELAY_DATAGRAM_LEN, PA_RELAY_BODY_MAX},
	[PA_RELAY_WINDOW_ADD] = {"WINDOW_ADD", 4, 4},
	[PA_RELAY_FIN] = {"FIN", 0, 0},
	[PA_RELAY_RESET] = {"RESET", 1, 1},
	[PA_RELAY_RESOLVE] = {"RESOLVE", 2, 1 + PA_RELAY_NAME_MAX},
	[PA_RELAY_RESOLVED] = {"RESOLVED", 2, PA_RELAY_FIELDS_MAX},
	[PA_RELAY_UNDELIVERED] = {"UNDELIVERED", 1 + ENDPOINT_LEN, 1 + ENDPOINT_LEN},
	[PA_RELAY_ACK] = {"ACK", 8, 8},
	[PA_RELAY_TUNNEL] = {"TUNNEL", 1, PA_RELAY_BODY_MAX},
	[PA_RELAY_PING] = {"PING", 8, 8},
	[PA_RELAY_PONG] = {"PONG", 8, 8},
	[PA_RELAY_BYE] = {"BYE", 1, 1},
	[PA_RELAY_AUTH] = {"AUTH", 1, 512},
	[PA_RELAY_AUTH_OK] = {"AUTH_OK", 1, 512},
	[PA_RELAY_AUTH_NO] = {"AUTH_NO", 1, 512},
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

const char *pa_relay_type_name(unsigned type)
{
	return type < N_TYPES && types[type].name != NULL ? types[type].name : "unknown";
}

const char *pa_relay_error_name(unsigned error)
{
	static const char *const names[] = {
		"ok",	  "refused", "host-unreachable", "network-unreachable", "timeout", "reset",    "in-use",
		"denied", "limit",   "protocol",	 "not-found",		"expired", "replaced", "shutdown",
		"again",  "lost"};

	return error < sizeof(names) / sizeof(names[0]) ? names[error] : "unknown";
}

void pa_relay_put_header(uint8_t dst[PA_RELAY_HEADER_LEN], const struct pa_relay_header *h)
{
	struct pa_writer w;

	pa_writer_init(&w, dst, PA_RELAY_HEADER_LEN);
	pa_put_u8(&w, h->type);
	pa_put_u8(&w, 0);
	pa_put_u16(&w, h->length);
	pa_put_u32(&w, h->session);
}

int pa_relay_get_header(const uint8_t src[PA_RELAY_HEADER_LEN], struct pa_relay_header *ret)
{
	struct pa_relay_header h;
	struct pa_reader r;
	uint8_t flags;

	pa_reader_init(&r, src, PA_RELAY_HEADER_LEN);
	h.type = pa_get_u8(&r);
	flags = pa_get_u8(&r);
	h.length = pa_get_u16(&r);
	h.session = pa_get_u32(&r);
	if (h.type >= N_TYPES || types[h.type].name == NULL || flags != 0 || h.length < types[h.type].min ||
	    h.length > types[h.type].max)
		return PA_EFORMAT;
	/* What belongs to a session names it, what belongs to the connection does not. */
	if ((h.type < PA_RELAY_UNCOUNTED) != (h.session != 0))
		return PA_EFORMAT;
	*ret = h;
	return 0;
}

/* ---------------------------------------------------------------- fields; writer and reader side by side */

static void put_open(struct pa_writer *w, const struct pa_relay_body *b)
{
	pa_put_u8(w, b->kind);
	pa_put_u8(w, 0);
	pa_put_u16(w, b->local.port);
	pa_put_endpoint(w, &b->remote);
}

static void get_open(struct pa_reader *r, struct pa_relay_body *b)
{
	b->kind = pa_get_u8(r);
	r->failed |= pa_get_u8(r) != 0;
	b->local.port = pa_get_u16(r);
	pa_get_endpoint(r, &b->remote);
}

/* A call has somebody to call; the others have nobody yet. */
static bool open_ok(const struct pa_relay_body *b)
{
	bool has_peer = !pa_addr_is_none(&b->remote.addr) && b->remote.port != 0;

	if (b->kind == PA_RELAY_TCP)
		return has_peer;
	return (b->kind == PA_RELAY_TCP_LISTEN || b->kind == PA_RELAY_UDP) && pa_addr_is_none(&b->remote.addr) &&
	       b->remote.port == 0;
}

static void put_result(struct pa_writer *w, const struct pa_relay_body *b)
{
	pa_put_u8(w, b->error);
	pa_put_zeros(w, 3);
	pa_put_endpoint(w, &b->local);
	pa_put_endpoint(w, &b->remote);
}

static void get_result(struct pa_reader *r, struct pa_relay_body *b)
{
	b->error = pa_get_u8(r);
	for (int i = 0; i < 3; i++)
		r->failed |= pa_get_u8(r) != 0;
	pa_get_endpoint(r, &b->local);
	pa_get_endpoint(r, &b->remote);
}

static void put_incoming(struct pa_writer *w, const struct pa_relay_body *b)
{
	pa_put_u32(w, b->listener);
	pa_put_endpoint(w, &b->local);
	pa_put_endpoint(w, &b->remote);
}

static void get_incoming(struct pa_reader *r, struct pa_relay_body *b)
{
	b->listener = pa_get_u32(r);
	pa_get_endpoint(r, &b->local);
	pa_get_endpoint(r, &b->remote);
}

/* Letters, digits and what else stands in names; no blanks, so that it can go into a log. */
static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '"' || name[i] == '\\')
			return false;
	return n > 0;
}

static void put_resolve(struct pa_writer *w, const struct pa_relay_body *b)
{
	pa_put_u8(w, b->family);
	pa_put_bytes(w, (const uint8_t *)b->name, strnlen(b->name, sizeof(b->name)));
}

static void get_resolve(struct pa_reader *r, struct pa_relay_body *b)
{
	size_t len = r->left - 1;

	b->family = pa_get_u8(r);
	pa_get_bytes(r, (uint8_t *)b->name, len);
	r->failed |= strlen(b->name) != len; /* a NUL inside */
}

static void put_resolved(struct pa_writer *w, const struct pa_relay_body *b)
{
	pa_put_u8(w, b->error);
	pa_put_u8(w, (uint8_t)b->n_addrs);
	for (unsigned i = 0; i < b->n_addrs && i < PA_RELAY_ADDRS_MAX; i++)
		pa_put_bytes(w, b->addrs[i].b, sizeof(b->addrs[i].b));
}

static void get_resolved(struct pa_reader *r, struct pa_relay_body *b)
{
	b->error = pa_get_u8(r);
	b->n_addrs = pa_get_u8(r);
	r->failed |= b->n_addrs > PA_RELAY_ADDRS_MAX;
	for (unsigned i = 0; i < b->n_addrs && !r->failed; i++)
		pa_get_bytes(r, b->addrs[i].b, sizeof(b->addrs[i].b));
}

/* ---------------------------------------------------------------- whole bodies */

static bool values_ok(uint8_t type, const struct pa_relay_body *b)
{
	if (b->error > PA_RELAY_E_MAX)
		return false;
	switch (type) {
	case PA_RELAY_OPEN:
		return open_ok(b);
	case PA_RELAY_INCOMING:
		return b->listener != 0 && !pa_addr_is_none(&b->remote.addr);
	case PA_RELAY_DATAGRAM:
		return !pa_addr_is_none(&b->remote.addr) && b->remote.port != 0;
	case PA_RELAY_UNDELIVERED:
		return b->error != PA_RELAY_E_OK && !pa_addr_is_none(&b->remote.addr) && b->remote.port != 0;
	case PA_RELAY_WINDOW_ADD:
		return b->window > 0 && b->window <= PA_RELAY_WINDOW_MAX;
	case PA_RELAY_RESET:
	case PA_RELAY_BYE:
		return b->error != PA_RELAY_E_OK;
	case PA_RELAY_RESOLVE:
		return (b->family == 0 || b->family == 4 || b->family == 6) && name_ok(b->name);
	case PA_RELAY_RESOLVED:
		return b->n_addrs <= PA_RELAY_ADDRS_MAX && (b->error == PA_RELAY_E_OK || b->n_addrs == 0);
	default:
		return true;
	}
}

static bool put_fields(uint8_t type, struct pa_writer *w, const struct pa_relay_body *b)
{
	switch (type) {
	case PA_RELAY_OPEN:
		put_open(w, b);
		return true;
	case PA_RELAY_RESULT:
		put_result(w, b);
		return true;
	case PA_RELAY_INCOMING:
		put_incoming(w, b);
		return true;
	case PA_RELAY_DATAGRAM:
		pa_put_endpoint(w, &b->remote);
		return true;
	case PA_RELAY_WINDOW_ADD:
		pa_put_u32(w, b->window);
		return true;
	case PA_RELAY_RESET:
	case PA_RELAY_BYE:
		pa_put_u8(w, b->error);
		return true;
	case PA_RELAY_RESOLVE:
		put_resolve(w, b);
		return true;
	case PA_RELAY_RESOLVED:
		put_resolved(w, b);
		return true;
	case PA_RELAY_UNDELIVERED:
		pa_put_u8(w, b->error);
		pa_put_endpoint(w, &b->remote);
		return true;
	case PA_RELAY_ACK:
	case PA_RELAY_PING:
	case PA_RELAY_PONG:
		pa_put_u64(w, b->count);
		return true;
	default:
		return false;
	}
}

static void get_fields(uint8_t type, struct pa_reader *r, struct pa_relay_body *b)
{
	switch (type) {
	case PA_RELAY_OPEN:
		get_open(r, b);
		break;
	case PA_RELAY_RESULT:
		get_result(r, b);
		break;
	case PA_RELAY_INCOMING:
		get_incoming(r, b);
		break;
	case PA_RELAY_DATAGRAM:
		pa_get_endpoint(r, &b->remote);
		b->payload = PA_RELAY_DATAGRAM_LEN;
		break;
	case PA_RELAY_WINDOW_ADD:
		b->window = pa_get_u32(r);
		break;
	case PA_RELAY_RESET:
	case PA_RELAY_BYE:
		b->error = pa_get_u8(r);
		break;
	case PA_RELAY_RESOLVE:
		get_resolve(r, b);
		break;
	case PA_RELAY_RESOLVED:
		get_resolved(r, b);
		break;
	case PA_RELAY_UNDELIVERED:
		b->error = pa_get_u8(r);
		pa_get_endpoint(r, &b->remote);
		break;
	case PA_RELAY_ACK:
	case PA_RELAY_PING:
	case PA_RELAY_PONG:
		b->count = pa_get_u64(r);
		break;
	default:
		break;
	}
}

static bool has_payload(uint8_t type)
{
	return type == PA_RELAY_DATA || type == PA_RELAY_DATAGRAM || type == PA_RELAY_TUNNEL ||
	       (type >= PA_RELAY_AUTH && type <= PA_RELAY_AUTH_NO);
}

int pa_relay_encode(uint8_t type, const struct pa_relay_body *b, uint8_t *buf, size_t cap)
{
	struct pa_writer w;

	if (!values_ok(type, b))
		return PA_EINVAL;
	pa_writer_init(&w, buf, cap);
	if (!put_fields(type, &w, b))
		return PA_EINVAL;
	return w.failed ? PA_ETRUNC : (int)w.len;
}

int pa_relay_decode(uint8_t type, const uint8_t *body, size_t len, struct pa_relay_body *ret)
{
	struct pa_relay_body b = {0};
	struct pa_reader r;

	if (type >= N_TYPES || types[type].name == NULL)
		return PA_EFORMAT;
	if (len < types[type].min)
		return PA_ETRUNC;
	if (len > types[type].max)
		return PA_EFORMAT;
	pa_reader_init(&r, body, len);
	get_fields(type, &r, &b);
	if (r.failed || (r.left > 0 && !has_payload(type)) || !values_ok(type, &b))
		return PA_EFORMAT;
	*ret = b;
	return 0;
}

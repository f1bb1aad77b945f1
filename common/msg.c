/* SPDX-License-Identifier: MPL-2.0 */
#include "common/msg.h"

#include <string.h>

#include "common/cred.h"
#include "common/cursor.h"
#include "common/err.h"

static const struct {
	const char *name;
	size_t len;
} types[] = {
	[PA_MSG_HELLO] = {"HELLO", PA_HELLO_LEN},
	[PA_MSG_CHALLENGE] = {"CHALLENGE", PA_CHALLENGE_LEN},
	[PA_MSG_CONFIRM] = {"CONFIRM", PA_CONFIRM_LEN},
	[PA_MSG_ACCEPT] = {"ACCEPT", PA_ACCEPT_LEN},
	[PA_MSG_KEEPALIVE] = {"KEEPALIVE", PA_KEEPALIVE_LEN},
	[PA_MSG_ALIVE] = {"ALIVE", PA_ALIVE_LEN},
	[PA_MSG_RECHALLENGE] = {"RECHALLENGE", PA_RECHALLENGE_LEN},
	[PA_MSG_RECONFIRM] = {"RECONFIRM", PA_RECONFIRM_LEN},
	[PA_MSG_UNBOUND] = {"UNBOUND", PA_UNBOUND_LEN},
	[PA_MSG_BYE] = {"BYE", PA_BYE_LEN},
	[PA_MSG_PROBE] = {"PROBE", PA_PROBE_MIN},
	[PA_MSG_PROBED] = {"PROBED", PA_PROBE_MIN},
};

static bool is_padded(unsigned type)
{
	return type == PA_MSG_PROBE || type == PA_MSG_PROBED;
}

/* The two that have more than one length, and values with a range. */
static bool probe_ok(const struct pa_msg *m)
{
	if (m->length < PA_PROBE_MIN || m->length > PA_PROBE_MAX || m->delay > PA_PROBE_DELAY_MAX ||
	    m->from > PA_PROBE_ADDRESS)
		return false;
	return m->type == PA_MSG_PROBED || (m->answer_length >= PA_PROBE_MIN && m->answer_length <= m->length);
}

size_t pa_msg_length(unsigned type)
{
	return type < sizeof(types) / sizeof(types[0]) ? types[type].len : 0;
}

const char *pa_msg_name(unsigned type)
{
	return pa_msg_length(type) > 0 ? types[type].name : "unknown";
}

const char *pa_reason_name(unsigned reason)
{
	static const char *const names[] = {"unknown", "expired", "released", "replaced", "shutdown", "unknown-session",
					     "drain", "moved"};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : names[0];
}

bool pa_msg_is_control(const uint8_t *buf, size_t len)
{
	return len > 0 && (buf[0] & 0xe0) == PA_GUE_CONTROL;
}

bool pa_msg_is_data(const uint8_t *buf, size_t len)
{
	return len >= 20 && (buf[0] >> 4 == 4 || (buf[0] >> 4 == 6 && len >= 40));
}

const uint8_t *pa_msg_session(const uint8_t *buf, size_t len)
{
	if (len < PA_CTL_HEADER_LEN + PA_SESSION_LEN || !pa_msg_is_control(buf, len))
		return NULL;
	switch (buf[4]) {
	case PA_MSG_KEEPALIVE:
	case PA_MSG_RECONFIRM:
	case PA_MSG_BYE:
	case PA_MSG_PROBE:
		return buf + PA_CTL_HEADER_LEN;
	default:
		return NULL;
	}
}

/* The bodies, MACs aside, straight down. Writer and reader stand side by side so that they cannot drift apart. */
static void put_hello(struct pa_writer *w, const struct pa_msg *m)
{
	pa_put_bytes(w, m->claims, sizeof(m->claims));
	pa_put_bytes(w, m->client_key, sizeof(m->client_key));
	pa_put_bytes(w, m->nonce, sizeof(m->nonce));
	pa_put_u64(w, m->bind);
}

static void get_hello(struct pa_reader *r, struct pa_msg *m)
{
	pa_get_bytes(r, m->claims, sizeof(m->claims));
	pa_get_bytes(r, m->client_key, sizeof(m->client_key));
	pa_get_bytes(r, m->nonce, sizeof(m->nonce));
	m->bind = pa_get_u64(r);
}

/* Reserved octets are zero, so that a later version can give them a meaning that this one does not overlook. */
static void get_reserved(struct pa_reader *r, size_t len)
{
	const uint8_t *p = pa_get_view(r, len);

	for (size_t i = 0; p != NULL && i < len; i++)
		if (p[i] != 0)
			r->failed = true;
}

static void put_alive(struct pa_writer *w, const struct pa_msg *m)
{
	pa_put_bytes(w, m->session, sizeof(m->session));
	pa_put_u64(w, m->seq);
	pa_put_bytes(w, m->token, sizeof(m->token));
	pa_put_u64(w, m->echo);
}

static void get_alive(struct pa_reader *r, struct pa_msg *m)
{
	pa_get_bytes(r, m->session, sizeof(m->session));
	m->seq = pa_get_u64(r);
	pa_get_bytes(r, m->token, sizeof(m->token));
	m->echo = pa_get_u64(r);
}

static void put_accept(struct pa_writer *w, const struct pa_msg *m)
{
	pa_put_bytes(w, m->nonce, sizeof(m->nonce));
	pa_put_u64(w, m->bind);
	pa_put_bytes(w, m->session, sizeof(m->session));
	pa_put_bytes(w, m->claims_hash, sizeof(m->claims_hash));
	pa_put_endpoint(w, &m->mapped);
	pa_put_u32(w, m->lifetime);
	pa_put_u16(w, m->mtu);
	pa_put_u16(w, m->keepalive);
	pa_put_bytes(w, m->token, sizeof(m->token));
	pa_put_u8(w, m->routed ? 1 : 0);
	pa_put_zeros(w, 3);
}

static void get_accept(struct pa_reader *r, struct pa_msg *m)
{
	uint8_t flags;

	pa_get_bytes(r, m->nonce, sizeof(m->nonce));
	m->bind = pa_get_u64(r);
	pa_get_bytes(r, m->session, sizeof(m->session));
	pa_get_bytes(r, m->claims_hash, sizeof(m->claims_hash));
	pa_get_endpoint(r, &m->mapped);
	m->lifetime = pa_get_u32(r);
	m->mtu = pa_get_u16(r);
	m->keepalive = pa_get_u16(r);
	pa_get_bytes(r, m->token, sizeof(m->token));
	flags = pa_get_u8(r);
	m->routed = flags == 1;
	if (flags > 1)
		r->failed = true;
	get_reserved(r, 3);
}

static void put_probe(struct pa_writer *w, const struct pa_msg *m)
{
	pa_put_bytes(w, m->session, sizeof(m->session));
	pa_put_u64(w, m->seq);
	pa_put_bytes(w, m->token, sizeof(m->token));
	pa_put_u64(w, m->echo);
	pa_put_u16(w, m->answer_length);
	pa_put_u16(w, m->delay);
	pa_put_u8(w, m->from);
	pa_put_zeros(w, 3);
	pa_put_zeros(w, m->length - PA_MAC_LEN - w->len);
}

static void get_probe(struct pa_reader *r, struct pa_msg *m)
{
	pa_get_bytes(r, m->session, sizeof(m->session));
	m->seq = pa_get_u64(r);
	pa_get_bytes(r, m->token, sizeof(m->token));
	m->echo = pa_get_u64(r);
	m->answer_length = pa_get_u16(r);
	m->delay = pa_get_u16(r);
	m->from = pa_get_u8(r);
	get_reserved(r, 3);
}

static void put_probed(struct pa_writer *w, const struct pa_msg *m)
{
	pa_put_bytes(w, m->session, sizeof(m->session));
	pa_put_u64(w, m->seq);
	pa_put_u64(w, m->echo);
	pa_put_endpoint(w, &m->mapped);
	pa_put_endpoint(w, &m->other);
	pa_put_u16(w, m->other_port);
	pa_put_u16(w, m->delay);
	pa_put_u64(w, m->time_ms);
	pa_put_u8(w, m->from);
	pa_put_zeros(w, 7);
	pa_put_zeros(w, m->length - PA_MAC_LEN - w->len);
}

static void get_probed(struct pa_reader *r, struct pa_msg *m)
{
	pa_get_bytes(r, m->session, sizeof(m->session));
	m->seq = pa_get_u64(r);
	m->echo = pa_get_u64(r);
	pa_get_endpoint(r, &m->mapped);
	pa_get_endpoint(r, &m->other);
	m->other_port = pa_get_u16(r);
	m->delay = pa_get_u16(r);
	m->time_ms = pa_get_u64(r);
	m->from = pa_get_u8(r);
	get_reserved(r, 7);
}

static void put_body(struct pa_writer *w, const struct pa_msg *m)
{
	switch (m->type) {
	case PA_MSG_HELLO:
		put_hello(w, m);
		pa_put_zeros(w, PA_HELLO_LEN - PA_MAC_LEN - w->len);
		break;
	case PA_MSG_CONFIRM:
		put_hello(w, m);
		pa_put_bytes(w, m->cookie, sizeof(m->cookie));
		break;
	case PA_MSG_CHALLENGE:
		pa_put_bytes(w, m->nonce, sizeof(m->nonce));
		pa_put_bytes(w, m->cookie, sizeof(m->cookie));
		break;
	case PA_MSG_ACCEPT:
		put_accept(w, m);
		break;
	case PA_MSG_KEEPALIVE:
		put_alive(w, m);
		pa_put_u16(w, m->mtu);
		pa_put_zeros(w, 18); /* ALIVE must not be longer */
		break;
	case PA_MSG_ALIVE:
		put_alive(w, m);
		pa_put_endpoint(w, &m->mapped);
		pa_put_u16(w, m->mtu);
		break;
	case PA_MSG_RECHALLENGE:
		pa_put_bytes(w, m->cookie, sizeof(m->cookie));
		break;
	case PA_MSG_RECONFIRM:
		pa_put_bytes(w, m->session, sizeof(m->session));
		pa_put_u64(w, m->seq);
		pa_put_u64(w, m->echo);
		pa_put_bytes(w, m->cookie, sizeof(m->cookie));
		pa_put_zeros(w, 16); /* ALIVE must not be longer */
		break;
	case PA_MSG_UNBOUND:
	case PA_MSG_BYE:
		pa_put_bytes(w, m->session, sizeof(m->session));
		pa_put_u8(w, m->reason);
		pa_put_zeros(w, 7);
		break;
	case PA_MSG_PROBE:
		put_probe(w, m);
		break;
	case PA_MSG_PROBED:
		put_probed(w, m);
		break;
	default:
		w->failed = true;
		break;
	}
}

static void get_body(struct pa_reader *r, struct pa_msg *m)
{
	switch (m->type) {
	case PA_MSG_HELLO:
		get_hello(r, m);
		break; /* the padding is not looked at; the MAC covers it */
	case PA_MSG_CONFIRM:
		get_hello(r, m);
		pa_get_bytes(r, m->cookie, sizeof(m->cookie));
		break;
	case PA_MSG_CHALLENGE:
		pa_get_bytes(r, m->nonce, sizeof(m->nonce));
		pa_get_bytes(r, m->cookie, sizeof(m->cookie));
		break;
	case PA_MSG_ACCEPT:
		get_accept(r, m);
		break;
	case PA_MSG_KEEPALIVE:
		get_alive(r, m);
		m->mtu = pa_get_u16(r);
		get_reserved(r, 18);
		break;
	case PA_MSG_ALIVE:
		get_alive(r, m);
		pa_get_endpoint(r, &m->mapped);
		m->mtu = pa_get_u16(r);
		break;
	case PA_MSG_RECHALLENGE:
		pa_get_bytes(r, m->cookie, sizeof(m->cookie));
		break;
	case PA_MSG_RECONFIRM:
		pa_get_bytes(r, m->session, sizeof(m->session));
		m->seq = pa_get_u64(r);
		m->echo = pa_get_u64(r);
		pa_get_bytes(r, m->cookie, sizeof(m->cookie));
		get_reserved(r, 16);
		break;
	case PA_MSG_UNBOUND:
	case PA_MSG_BYE:
		pa_get_bytes(r, m->session, sizeof(m->session));
		m->reason = pa_get_u8(r);
		get_reserved(r, 7);
		break;
	case PA_MSG_PROBE:
		get_probe(r, m); /* what follows is padding, and not looked at */
		break;
	case PA_MSG_PROBED:
		get_probed(r, m);
		break;
	default:
		r->failed = true;
		break;
	}
}

int pa_msg_encode(const struct pa_msg *m, const uint8_t *key, uint8_t *buf, size_t cap)
{
	size_t len = is_padded(m->type) ? m->length : pa_msg_length(m->type);
	uint8_t mac[PA_MAC_LEN] = {0};
	struct pa_writer w;

	if (len == 0 || (key == NULL && m->type != PA_MSG_UNBOUND && m->type != PA_MSG_RECHALLENGE))
		return PA_EINVAL;
	if (is_padded(m->type) && !probe_ok(m))
		return PA_EINVAL;
	if (cap < len)
		return PA_ETRUNC;
	pa_writer_init(&w, buf, len);
	pa_put_u8(&w, PA_GUE_CONTROL);
	pa_put_zeros(&w, 3);
	pa_put_u8(&w, m->type);
	pa_put_zeros(&w, 3);
	put_body(&w, m);
	if (m->type != PA_MSG_RECHALLENGE) {
		if (key != NULL)
			pa_mac(key, buf, w.len, mac);
		pa_put_bytes(&w, mac, sizeof(mac));
	}
	if (m->type == PA_MSG_CONFIRM)
		pa_put_zeros(&w, PA_MAC_LEN);
	PA_REQUIRE(!w.failed && w.len == len);
	return (int)len;
}

int pa_msg_seal(uint8_t *buf, size_t len, const uint8_t c2g[PA_KEY_LEN])
{
	if (len != PA_CONFIRM_LEN)
		return PA_EINVAL;
	pa_mac(c2g, buf, len - PA_MAC_LEN, buf + len - PA_MAC_LEN);
	return 0;
}

int pa_msg_decode(const uint8_t *buf, size_t len, struct pa_msg *ret)
{
	struct pa_reader r;
	struct pa_msg m;

	memset(&m, 0, sizeof(m));
	if (len < PA_CTL_HEADER_LEN)
		return PA_ETRUNC;
	pa_reader_init(&r, buf, len);
	if (pa_get_u8(&r) != PA_GUE_CONTROL)
		return PA_EFORMAT;
	get_reserved(&r, 3);
	m.type = pa_get_u8(&r);
	get_reserved(&r, 3);
	if (r.failed || pa_msg_length(m.type) == 0)
		return PA_EFORMAT;
	if (is_padded(m.type) ? len < PA_PROBE_MIN || len > PA_PROBE_MAX : len != pa_msg_length(m.type))
		return PA_ETRUNC;
	if (is_padded(m.type))
		m.length = (uint16_t)len;
	get_body(&r, &m);
	if (r.failed || (is_padded(m.type) && !probe_ok(&m)))
		return PA_EFORMAT;
	*ret = m;
	return 0;
}

bool pa_msg_verify(const uint8_t *buf, size_t len, const uint8_t key[PA_KEY_LEN])
{
	size_t end = len;

	if (len < PA_CTL_HEADER_LEN + PA_MAC_LEN || buf[4] == PA_MSG_RECHALLENGE)
		return false;
	if (buf[4] == PA_MSG_CONFIRM) {
		if (len != PA_CONFIRM_LEN)
			return false;
		end -= PA_MAC_LEN;
	}
	return pa_mac_verify(key, buf, end - PA_MAC_LEN, buf + end - PA_MAC_LEN);
}

bool pa_msg_verify_seal(const uint8_t *buf, size_t len, const uint8_t c2g[PA_KEY_LEN])
{
	if (len != PA_CONFIRM_LEN)
		return false;
	return pa_mac_verify(c2g, buf, len - PA_MAC_LEN, buf + len - PA_MAC_LEN);
}

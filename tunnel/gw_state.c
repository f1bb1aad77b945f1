/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gw_state.h"

#include <string.h>

#include "common/cred.h"
#include "common/cursor.h"
#include "common/err.h"

#define VERSION 3 /* 2 had no MTU, 1 the client's key and the keys of both directions */
#define FLAG_BOUND 1
#define FLAG_DELIVERING 2
#define RECORD_TAG 0x5242 /* "RB" */

static const uint8_t magic[8] = {'P', 'A', 'G', 'W', 'S', 'T', 'A', '\n'};

/* A checksum needs no secret. */
static void check(const uint8_t *buf, size_t len, uint8_t ret[PA_GW_STATE_CHECK_LEN])
{
	static const uint8_t key[PA_KEY_LEN] = "pubaddr gateway state";

	_Static_assert(PA_GW_STATE_CHECK_LEN == PA_MAC_LEN, "the checksum is a MAC with a public key");
	pa_mac(key, buf, len, ret);
}

static void seal(struct pa_writer *w)
{
	uint8_t sum[PA_GW_STATE_CHECK_LEN];

	check(w->start, w->len, sum);
	pa_put_bytes(w, sum, sizeof(sum));
}

static bool intact(const uint8_t *buf, size_t len)
{
	uint8_t sum[PA_GW_STATE_CHECK_LEN];

	check(buf, len - sizeof(sum), sum);
	return memcmp(sum, buf + len - sizeof(sum), sizeof(sum)) == 0;
}

static void put_endpoint(struct pa_writer *w, const struct pa_endpoint *e)
{
	pa_put_bytes(w, e->addr.b, sizeof(e->addr.b));
	pa_put_u16(w, e->port);
}

static void get_endpoint(struct pa_reader *r, struct pa_endpoint *ret)
{
	pa_get_bytes(r, ret->addr.b, sizeof(ret->addr.b));
	ret->port = pa_get_u16(r);
}

int pa_gw_state_header_encode(const struct pa_gw_state_header *h, uint8_t buf[PA_GW_STATE_HEADER_LEN])
{
	static const struct pa_endpoint none;
	struct pa_writer w;

	if (h->n_listen > PA_GW_STATE_LISTEN_MAX)
		return PA_EINVAL;
	pa_writer_init(&w, buf, PA_GW_STATE_HEADER_LEN);
	pa_put_bytes(&w, magic, sizeof(magic));
	pa_put_u16(&w, VERSION);
	pa_put_u16(&w, (uint16_t)h->n_listen);
	pa_put_bytes(&w, h->gateway, sizeof(h->gateway));
	for (size_t i = 0; i < PA_GW_STATE_LISTEN_MAX; i++)
		put_endpoint(&w, i < h->n_listen ? &h->listen[i] : &none);
	seal(&w);
	PA_REQUIRE(!w.failed && w.len == PA_GW_STATE_HEADER_LEN);
	return 0;
}

int pa_gw_state_header_decode(const uint8_t buf[PA_GW_STATE_HEADER_LEN], struct pa_gw_state_header *ret)
{
	struct pa_gw_state_header h;
	struct pa_endpoint e;
	struct pa_reader r;

	if (memcmp(buf, magic, sizeof(magic)) != 0 || !intact(buf, PA_GW_STATE_HEADER_LEN))
		return PA_EFORMAT;
	memset(&h, 0, sizeof(h));
	memset(&e, 0, sizeof(e));
	pa_reader_init(&r, buf + sizeof(magic), PA_GW_STATE_HEADER_LEN - sizeof(magic));
	if (pa_get_u16(&r) != VERSION)
		return PA_EVERSION;
	h.n_listen = pa_get_u16(&r);
	if (h.n_listen > PA_GW_STATE_LISTEN_MAX)
		return PA_EFORMAT;
	pa_get_bytes(&r, h.gateway, sizeof(h.gateway));
	for (size_t i = 0; i < PA_GW_STATE_LISTEN_MAX; i++) {
		get_endpoint(&r, &e);
		if (i < h.n_listen)
			h.listen[i] = e;
		else if (!pa_addr_is_none(&e.addr) || e.port != 0)
			return PA_EFORMAT;
	}
	*ret = h;
	return 0;
}

int pa_gw_record_encode(const struct pa_gw_record *r, uint8_t buf[PA_GW_STATE_RECORD_LEN])
{
	uint8_t claims[PA_CLAIMS_LEN];
	struct pa_writer w;

	if (pa_claims_encode(&r->claims, claims) < 0 || (r->delivering && !r->bound) || r->local >= PA_GW_STATE_LISTEN_MAX)
		return PA_EINVAL;
	pa_writer_init(&w, buf, PA_GW_STATE_RECORD_LEN);
	pa_put_u16(&w, RECORD_TAG);
	pa_put_u8(&w, (uint8_t)((r->bound ? FLAG_BOUND : 0) | (r->delivering ? FLAG_DELIVERING : 0)));
	pa_put_u8(&w, (uint8_t)r->local);
	pa_put_bytes(&w, claims, sizeof(claims));
	put_endpoint(&w, &r->mapped);
	pa_put_bytes(&w, r->session, sizeof(r->session));
	pa_put_u64(&w, r->bind);
	pa_put_u64(&w, r->seq);
	pa_put_u64(&w, r->bound_at_ms);
	pa_put_u64(&w, r->last_seen_ms);
	pa_put_u64(&w, r->floor_until);
	pa_put_u16(&w, r->mtu);
	pa_put_bytes(&w, r->pin, sizeof(r->pin));
	pa_put_bytes(&w, r->k1, sizeof(r->k1));
	seal(&w);
	PA_REQUIRE(!w.failed && w.len == PA_GW_STATE_RECORD_LEN);
	return 0;
}

int pa_gw_record_decode(const uint8_t buf[PA_GW_STATE_RECORD_LEN], struct pa_gw_record *ret)
{
	uint8_t claims[PA_CLAIMS_LEN], flags;
	struct pa_gw_record out;
	struct pa_reader r;

	if (!intact(buf, PA_GW_STATE_RECORD_LEN))
		return PA_EFORMAT;
	memset(&out, 0, sizeof(out));
	pa_reader_init(&r, buf, PA_GW_STATE_RECORD_LEN);
	if (pa_get_u16(&r) != RECORD_TAG)
		return PA_EFORMAT;
	flags = pa_get_u8(&r);
	out.bound = (flags & FLAG_BOUND) != 0;
	out.delivering = (flags & FLAG_DELIVERING) != 0;
	out.local = pa_get_u8(&r);
	if (flags > (FLAG_BOUND | FLAG_DELIVERING) || (out.delivering && !out.bound) || out.local >= PA_GW_STATE_LISTEN_MAX)
		return PA_EFORMAT;
	pa_get_bytes(&r, claims, sizeof(claims));
	if (pa_claims_decode(claims, &out.claims) < 0)
		return PA_EFORMAT;
	get_endpoint(&r, &out.mapped);
	pa_get_bytes(&r, out.session, sizeof(out.session));
	out.bind = pa_get_u64(&r);
	out.seq = pa_get_u64(&r);
	out.bound_at_ms = pa_get_u64(&r);
	out.last_seen_ms = pa_get_u64(&r);
	out.floor_until = pa_get_u64(&r);
	out.mtu = pa_get_u16(&r);
	pa_get_bytes(&r, out.pin, sizeof(out.pin));
	pa_get_bytes(&r, out.k1, sizeof(out.k1));
	*ret = out;
	pa_wipe(&out, sizeof(out));
	return 0;
}

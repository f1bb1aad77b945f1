/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/client_state.h"

#include <string.h>

#include "common/cred.h"
#include "common/cursor.h"
#include "common/err.h"

#define VERSION 2
#define LOST 1u
#define RELAYED 2u

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

static bool in_range(const struct pa_client_binding *b)
{
	return b->mtu >= PA_MTU_MIN && b->mtu_max >= b->mtu && b->keepalive >= PA_KEEPALIVE_MIN && b->keepalive <= PA_KEEPALIVE_MAX &&
	       !pa_addr_is_none(&b->gateway.addr) && b->gateway.port != 0;
}

int pa_client_saved_encode(const struct pa_client_saved *s, uint8_t buf[PA_CLIENT_SAVED_LEN])
{
	uint8_t claims[PA_CLAIMS_LEN];
	struct pa_writer w;

	if (!in_range(&s->b) || pa_claims_encode(&s->b.claims, claims) < 0)
		return PA_EINVAL;
	pa_writer_init(&w, buf, PA_CLIENT_SAVED_LEN);
	pa_put_u16(&w, VERSION);
	pa_put_u16(&w, (uint16_t)((s->lost ? LOST : 0) | (s->b.relayed ? RELAYED : 0)));
	pa_put_bytes(&w, claims, sizeof(claims));
	put_endpoint(&w, &s->b.gateway);
	put_endpoint(&w, &s->b.mapped);
	pa_put_u16(&w, s->b.mtu);
	pa_put_u16(&w, s->b.mtu_max);
	pa_put_u16(&w, s->b.keepalive);
	pa_put_bytes(&w, s->b.session, sizeof(s->b.session));
	pa_put_bytes(&w, s->c2g, sizeof(s->c2g));
	pa_put_bytes(&w, s->g2c, sizeof(s->g2c));
	pa_put_bytes(&w, s->token, sizeof(s->token));
	pa_put_u64(&w, s->seq);
	pa_put_u64(&w, s->expires_ms);
	pa_put_u64(&w, s->last_alive_ms);
	PA_REQUIRE(!w.failed && w.len == PA_CLIENT_SAVED_LEN);
	return 0;
}

int pa_client_saved_decode(const uint8_t buf[PA_CLIENT_SAVED_LEN], struct pa_client_saved *ret)
{
	uint8_t claims[PA_CLAIMS_LEN];
	struct pa_client_saved s;
	struct pa_reader r;
	uint16_t flags;
	int rc = 0;

	memset(&s, 0, sizeof(s));
	pa_reader_init(&r, buf, PA_CLIENT_SAVED_LEN);
	if (pa_get_u16(&r) != VERSION)
		return PA_EVERSION;
	flags = pa_get_u16(&r);
	s.lost = (flags & LOST) != 0;
	s.b.relayed = (flags & RELAYED) != 0;
	pa_get_bytes(&r, claims, sizeof(claims));
	get_endpoint(&r, &s.b.gateway);
	get_endpoint(&r, &s.b.mapped);
	s.b.mtu = pa_get_u16(&r);
	s.b.mtu_max = pa_get_u16(&r);
	s.b.keepalive = pa_get_u16(&r);
	pa_get_bytes(&r, s.b.session, sizeof(s.b.session));
	pa_get_bytes(&r, s.c2g, sizeof(s.c2g));
	pa_get_bytes(&r, s.g2c, sizeof(s.g2c));
	pa_get_bytes(&r, s.token, sizeof(s.token));
	s.seq = pa_get_u64(&r);
	s.expires_ms = pa_get_u64(&r);
	s.last_alive_ms = pa_get_u64(&r);
	if (flags > (LOST | RELAYED) || !in_range(&s.b) || pa_claims_decode(claims, &s.b.claims) < 0)
		rc = PA_EFORMAT;
	else
		*ret = s;
	pa_wipe(&s, sizeof(s));
	return rc;
}

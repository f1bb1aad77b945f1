/* SPDX-License-Identifier: MPL-2.0 */
/* The client's core: a session that goes on in another process. */
#include <string.h>

#include "common/err.h"
#include "tunnel/client_int.h"
#include "tunnel/client_state.h"

/* The process may have sent more than it could note; the gateway only wants higher numbers than it has seen. */
#define SEQ_MARGIN 1024

bool pa_client_save(const struct pa_client *cl, struct pa_client_saved *ret)
{
	const struct pa_client_session *s = &cl->s;

	if (!cl->up || !s->valid)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->b = s->b;
	ret->lost = s->lost;
	memcpy(ret->c2g, s->c2g, sizeof(ret->c2g));
	memcpy(ret->g2c, s->g2c, sizeof(ret->g2c));
	memcpy(ret->token, s->token, sizeof(ret->token));
	ret->seq = s->sent_seq;
	ret->expires_ms = s->expires_ms;
	ret->last_alive_ms = cl->last_alive_ms;
	return true;
}

int pa_client_adopt(struct pa_client *cl, struct pa_now now, const struct pa_grant *g, const struct pa_client_saved *saved)
{
	struct pa_client_session *s = &cl->s;
	bool fresh;
	int rc;

	if (cl->has_grant || saved->expires_ms <= now.boot_ms || saved->last_alive_ms > now.boot_ms ||
	    saved->seq > UINT64_MAX / 2 || !pa_addr_eq(&saved->b.claims.addr, &g->claims.addr))
		return PA_EEXPIRED;
	rc = pa_client_take(cl, now, g, &fresh);
	if (rc < 0)
		return rc;
	memset(s, 0, sizeof(*s));
	s->valid = true;
	s->lost = saved->lost || saved->b.relayed;
	s->b = saved->b;
	if (saved->b.relayed) { /* that way ended with its process, and its port may be anybody's now */
		s->b.relayed = false;
		s->b.gateway = g->gateways[0];
	}
	memcpy(s->c2g, saved->c2g, sizeof(s->c2g));
	memcpy(s->g2c, saved->g2c, sizeof(s->g2c));
	memcpy(s->token, saved->token, sizeof(s->token));
	s->sent_seq = s->acked_seq = saved->seq + SEQ_MARGIN;
	/* A grant that was renewed meanwhile does not make the session of the former one live longer, nor a shorter one less. */
	s->expires_ms = saved->expires_ms;
	if (pa_claims_eq(&s->b.claims, &g->claims) && saved->expires_ms < cl->expires_ms)
		cl->expires_ms = saved->expires_ms;
	cl->last_alive_ms = saved->last_alive_ms;
	cl->ferry.used = saved->b.relayed;
	pa_client_path_begin(cl, now, true);
	cl->up = true;
	cl->ops->up(cl->ctx, &s->b);
	pa_client_event(cl, "gateway.adopted", &s->b.gateway, 0);
	if (!s->lost)
		pa_client_keepalive(cl, now);
	if (s->lost || !pa_claims_eq(&s->b.claims, &g->claims))
		pa_client_begin(cl, now, pa_client_gateway(cl, &s->b.gateway));
	if (saved->b.relayed)
		pa_client_ferry_want(cl, now, true);
	return 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The client's core: a gateway that is being emptied. Who is bound there binds at another one of the grant first, and leaves then; who
 * is refused there goes on to the next.
 */
#include <limits.h>
#include <string.h>

#include "common/cred.h"
#include "tunnel/client_int.h"

unsigned pa_client_beside(const struct pa_client *cl)
{
	unsigned own = pa_client_gateway(cl, &cl->s.b.gateway), next = (cl->h.gateway + 1) % cl->grant.n_gateways;

	if (!cl->s.drained || (cl->s.b.relayed && cl->grant.n_gateways < 2))
		return cl->h.gateway;
	return next == own ? (next + 1) % cl->grant.n_gateways : next;
}

void pa_client_drained(struct pa_client *cl, struct pa_now now)
{
	unsigned own = pa_client_gateway(cl, &cl->s.b.gateway);

	/* It is said again and again: to whom tries already, and to whom has nowhere to go. */
	if (cl->s.drained && (cl->h.active || cl->grant.n_gateways < 2))
		return;
	pa_client_event(cl, "gateway.drained", &cl->s.b.gateway, cl->grant.n_gateways);
	cl->s.drained = true;
	if (cl->grant.n_gateways > 1 && (!cl->h.active || cl->h.gateway == own))
		pa_client_begin(cl, now, (own + 1) % cl->grant.n_gateways);
}

bool pa_client_refused(struct pa_client *cl, struct pa_now now, const uint8_t *buf, size_t len, const struct pa_msg *m)
{
	struct pa_client_handshake *h = &cl->h;
	uint64_t bind = 0, pause = (uint64_t)PA_HELLO_RETRY_MS << (cl->round < 4 ? cl->round : 4);
	bool authentic = false;

	for (unsigned i = 0; i < sizeof(m->session); i++)
		bind = bind << 8 | m->session[i];
	if (!h->active || h->refused || h->n_answers == 0 || bind != h->bind || m->reason != PA_REASON_DRAIN)
		return false;
	for (unsigned i = 0; i < h->n_answers && !authentic; i++)
		authentic = pa_msg_verify(buf, len, h->answers[i].keys.g2c);
	if (!authentic)
		return false;
	pa_client_event(cl, "handshake.drained", pa_client_at(cl, h->gateway), 0);
	/* The next tick takes the next gateway, as if this one had not answered for long enough; but not round and round. */
	h->refused = true;
	cl->quick = 0;
	h->tries = UINT_MAX;
	h->next_ms = now.boot_ms + (pa_client_healthy(cl) || cl->failed + 1 >= pa_client_ways(cl) ? pause : 0);
	return true;
}

bool pa_client_replaced_by_own(const struct pa_client *cl, const struct pa_msg *m)
{
	return cl->s.drained && m->reason == PA_REASON_REPLACED && cl->h.active && cl->h.n_answers > 0 &&
	       !pa_endpoint_eq(pa_client_at(cl, cl->h.gateway), &cl->s.b.gateway);
}

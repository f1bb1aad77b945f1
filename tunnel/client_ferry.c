/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The client's core: where no UDP passes. The relay server's connection can carry the tunnel's datagrams; its far end
 * is then one more gateway of the list, behind those of the grant. It is asked for when those are silent, and left as
 * soon as a whole handshake by UDP has been answered: until then the binding that works stays.
 */
#include <string.h>

#include "common/cred.h"
#include "tunnel/client_int.h"

#define STEADY_MS 60000 /* UDP that has carried a binding for so long is trusted as at first */

/* ---------------------------------------------------------------- ways by number */

bool pa_client_by_ferry(const struct pa_client *cl, unsigned gateway)
{
	return gateway >= cl->grant.n_gateways;
}

const struct pa_endpoint *pa_client_at(const struct pa_client *cl, unsigned gateway)
{
	return pa_client_by_ferry(cl, gateway) ? &cl->ferry.at : &cl->grant.gateways[gateway];
}

unsigned pa_client_ways(const struct pa_client *cl)
{
	return cl->grant.n_gateways + (cl->ferry.open ? 1 : 0);
}

unsigned pa_client_gateway(const struct pa_client *cl, const struct pa_endpoint *gateway)
{
	for (unsigned i = 0; i < pa_client_ways(cl); i++)
		if (pa_endpoint_eq(pa_client_at(cl, i), gateway))
			return i;
	return 0;
}

/* ---------------------------------------------------------------- back to UDP */

static void pause_before_back(struct pa_client *cl, struct pa_now now)
{
	struct pa_client_ferry *f = &cl->ferry;

	f->back_ms = now.boot_ms + f->pause_ms;
	f->pause_ms = 2 * f->pause_ms < PA_CLIENT_BACK_MAX_MS ? 2 * f->pause_ms : PA_CLIENT_BACK_MAX_MS;
}

static void try_udp(struct pa_client *cl, struct pa_now now)
{
	cl->count.udp_trials++;
	cl->failed = cl->round = cl->quick = 0;
	pause_before_back(cl, now);
	pa_client_event(cl, "fallback.try", pa_client_at(cl, 0), (unsigned)((cl->ferry.back_ms - now.boot_ms) / 1000));
	cl->ops->fresh_port(cl->ctx); /* the NAT may hold a mapping of the former one that leads nowhere */
	pa_client_start(cl, now, 0);
	cl->h.back = true;
}

void pa_client_back_failed(struct pa_client *cl, struct pa_now now)
{
	unsigned next = cl->h.gateway + 1;

	if (cl->h.n_answers > 0 && cl->ferry.open) {
		/* It may have taken the CONFIRM, and send by UDP now, from where nothing comes: bind anew. */
		pa_client_begin(cl, now, cl->grant.n_gateways);
	} else if (!pa_client_by_ferry(cl, next)) {
		pa_client_start(cl, now, next);
		cl->h.back = true;
	} else {
		pa_wipe(&cl->h, sizeof(cl->h));
	}
}

/* ---------------------------------------------------------------- the way by the relay */

void pa_client_ferry_want(struct pa_client *cl, struct pa_now now, bool wanted)
{
	struct pa_client_ferry *f = &cl->ferry;

	if (cl->ops->ferry == NULL || f->wanted == wanted)
		return;
	f->wanted = wanted;
	if (wanted)
		pa_client_event(cl, "fallback.wanted", NULL,
				f->search_ms != 0 ? (unsigned)(now.boot_ms - f->search_ms) : 0);
	else
		f->open = false;
	cl->ops->ferry(cl->ctx, wanted);
}

static void closed(struct pa_client *cl, struct pa_now now)
{
	struct pa_client_ferry *f = &cl->ferry;

	f->open = false;
	if (cl->h.active && pa_client_by_ferry(cl, cl->h.gateway))
		pa_client_start(cl, now, 0);
	else if (f->used && f->back_ms > now.boot_ms)
		f->back_ms = now.boot_ms; /* nothing is at stake now */
}

static void opened(struct pa_client *cl, struct pa_now now, const struct pa_endpoint *at)
{
	struct pa_client_ferry *f = &cl->ferry;
	bool answered = cl->h.active && cl->h.n_answers > 0;

	f->open = true;
	f->at = *at;
	if (pa_client_healthy(cl) && cl->s.b.relayed) {
		/* The server may have another socket for us now, as after a change of the NAT's mapping. */
		pa_client_ask(cl, now);
		if (cl->h.active && !cl->h.back && !answered)
			pa_client_begin(cl, now, cl->grant.n_gateways);
	} else if (!pa_client_healthy(cl) && !answered) {
		pa_client_begin(cl, now, cl->grant.n_gateways);
	}
}

void pa_client_ferry(struct pa_client *cl, struct pa_now now, const struct pa_endpoint *at)
{
	struct pa_client_ferry *f = &cl->ferry;

	if (!f->wanted || !cl->has_grant || (at == NULL && !f->open) ||
	    (at != NULL && f->open && pa_endpoint_eq(at, &f->at)))
		return;
	if (at == NULL)
		closed(cl, now);
	else
		opened(cl, now, at);
}

void pa_client_ferry_bound(struct pa_client *cl, struct pa_now now)
{
	struct pa_client_ferry *f = &cl->ferry;
	bool relayed = cl->s.b.relayed, was = f->used;

	f->used = relayed;
	f->search_ms = 0;
	if (relayed && (!was || f->pause_ms == 0)) { /* 0: by a former process */
		cl->count.fallbacks++;
		/* A network that lets UDP pass and fail in turns is tried less and less. */
		if (f->pause_ms == 0 || f->udp_ms == 0 || now.boot_ms - f->udp_ms > STEADY_MS)
			f->pause_ms = PA_CLIENT_BACK_MS;
		pause_before_back(cl, now);
		pa_client_event(cl, "fallback.up", &cl->s.b.gateway, (unsigned)((f->back_ms - now.boot_ms) / 1000));
	} else if (!relayed && (was || f->udp_ms == 0)) {
		f->udp_ms = now.boot_ms;
		if (was) {
			cl->count.returns++;
			pa_client_event(cl, "fallback.end", &cl->s.b.gateway, 0);
		}
	}
}

uint64_t pa_client_ferry_tick(struct pa_client *cl, struct pa_now now)
{
	struct pa_client_ferry *f = &cl->ferry;
	bool quickly = cl->s.valid && cl->s.urgent && cl->quick == 0;

	if (cl->ops->ferry == NULL || !cl->has_grant)
		return UINT64_MAX;
	if (pa_client_healthy(cl)) {
		f->search_ms = 0;
		if (!cl->s.b.relayed)
			pa_client_ferry_want(cl, now, false);
		if (!cl->s.b.relayed || cl->h.active)
			return UINT64_MAX;
		if (now.boot_ms >= f->back_ms)
			try_udp(cl, now);
		return f->back_ms;
	}
	if (f->search_ms == 0)
		f->search_ms = now.boot_ms;
	if (f->wanted || cl->h.n_answers > 0)
		return UINT64_MAX;
	if (!quickly && now.boot_ms < f->search_ms + PA_CLIENT_FERRY_MS)
		return f->search_ms + PA_CLIENT_FERRY_MS;
	pa_client_ferry_want(cl, now, true);
	return UINT64_MAX;
}

void pa_client_kick(struct pa_client *cl, struct pa_now now)
{
	if (!cl->has_grant)
		return;
	if (pa_client_healthy(cl) && cl->s.b.relayed) {
		/* Another network may let UDP pass; and whether the relay is still reached is soon known. */
		cl->ferry.pause_ms = PA_CLIENT_BACK_MS;
		cl->ferry.back_ms = now.boot_ms;
		if (cl->h.back)
			pa_wipe(&cl->h, sizeof(cl->h));
		pa_client_ask(cl, now);
		return;
	}
	cl->s.lost = cl->s.valid;
	cl->ops->fresh_port(cl->ctx);
	pa_client_begin(cl, now, cl->s.valid ? pa_client_gateway(cl, &cl->s.b.gateway) : cl->h.gateway);
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The client's core: signs that the gateway, or the way to it, is gone, which come sooner than the next keepalive. Data is not
 * authenticated, so what comes in proves nothing; it is only a reason not to ask.
 */
#include <string.h>

#include "common/err.h"
#include "tunnel/client_int.h"

#define UNANSWERED_MS 400 /* so long what was sent may remain without anything coming back */
#define QUICK_RETRIES 2	  /* of a KEEPALIVE while there is traffic */
#define ASK_MS 1000	  /* traffic that goes one way only makes us ask no more often */
#define QUICK_MS 250	  /* three times for a KEEPALIVE, once for a HELLO; twice the round trip, if that is more, */
#define QUICK_MAX_MS 450  /* but three times this are enough for any way, and all in all there are 3 s */
#define OVERSLEPT_MS 3000 /* a busy host is not that late */

bool pa_client_healthy(const struct pa_client *cl)
{
	return cl->s.valid && !cl->s.lost;
}

uint64_t pa_client_quick_ms(const struct pa_client *cl)
{
	uint64_t trips = 2 * (uint64_t)cl->rtt_us / 1000;

	return trips < QUICK_MS ? QUICK_MS : trips > QUICK_MAX_MS ? QUICK_MAX_MS : trips;
}

void pa_client_ask(struct pa_client *cl, struct pa_now now)
{
	struct pa_client_session *s = &cl->s;

	if (!pa_client_healthy(cl) || s->urgent)
		return;
	cl->count.urgent++;
	cl->traffic.asked_ms = now.boot_ms;
	pa_client_event(cl, "gateway.ask", &s->b.gateway, 0);
	s->urgent = true;
	s->misses = 0;
	pa_client_keepalive(cl, now);
}

/* The gateway is silent. The NAT may have lost us, so a fresh port and the same gateway first. */
static void lose(struct pa_client *cl, struct pa_now now)
{
	unsigned gateway = pa_client_gateway(cl, &cl->s.b.gateway);

	cl->s.lost = true;
	cl->count.lost++;
	pa_client_event(cl, "gateway.lost", &cl->s.b.gateway, cl->s.misses);
	cl->ops->fresh_port(cl->ctx);
	pa_client_begin_quick(cl, now, gateway, cl->s.urgent ? pa_client_ways(cl) : 0);
}

void pa_client_keepalive_due(struct pa_client *cl, struct pa_now now)
{
	struct pa_client_session *s = &cl->s;
	unsigned retries = s->urgent ? QUICK_RETRIES : PA_KEEPALIVE_RETRIES;

	if (s->waiting) {
		s->misses++;
		cl->count.misses++;
		pa_client_event(cl, "gateway.miss", &s->b.gateway, s->misses);
		if (s->misses > retries) {
			lose(cl, now);
			return;
		}
	}
	pa_client_keepalive(cl, now);
}

bool pa_client_overslept(const struct pa_client *cl, struct pa_now now)
{
	return cl->due_ms != 0 && now.boot_ms > cl->due_ms && now.boot_ms - cl->due_ms > OVERSLEPT_MS;
}

void pa_client_traffic(struct pa_client *cl, struct pa_now now, uint64_t tx, uint64_t rx)
{
	struct pa_client_traffic *t = &cl->traffic;
	bool left = tx != t->tx, came = rx != t->rx;

	t->tx = tx;
	t->rx = rx;
	if (came || !pa_client_healthy(cl))
		t->unanswered_ms = 0;
	else if (left && t->unanswered_ms == 0)
		t->unanswered_ms = now.boot_ms;
	/* ALIVE says that the gateway is there; what has left since will be asked about again. */
	if (t->unanswered_ms != 0 && t->unanswered_ms < cl->last_alive_ms)
		t->unanswered_ms = left ? now.boot_ms : 0;
	if (t->unanswered_ms == 0 || now.boot_ms - t->unanswered_ms < UNANSWERED_MS ||
	    now.boot_ms - t->asked_ms < ASK_MS)
		return;
	t->unanswered_ms = 0;
	pa_client_ask(cl, now);
}

void pa_client_interval(struct pa_client *cl, struct pa_now now, uint16_t seconds)
{
	struct pa_client_session *s = &cl->s;
	uint64_t latest;

	cl->interval = seconds != 0 && seconds < PA_KEEPALIVE_MIN ? PA_KEEPALIVE_MIN : seconds;
	latest = now.boot_ms + (uint64_t)cl->interval * 1000;
	if (cl->interval != 0 && pa_client_healthy(cl) && !s->waiting && s->next_ms > latest)
		s->next_ms = latest;
}

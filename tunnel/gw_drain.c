/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The gateway's core: being emptied. Whoever is bound is told to bind at another gateway of his grant, again and again, and is
 * served until he has; nobody else binds here any more. A client that has moved says so (BYE, moved), but packets to P still come for
 * as long as the network takes to learn where P is now: so they are carried for a while to where the client was, first with the route
 * to P still announced here, then without.
 */
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "tunnel/gw_int.h"

#define TELL_STEP_MS 100  /* so that the other gateways do not meet all of them at once: */
#define TELL_STEP 200	  /* up to so many are told in a step */
#define LOOK_STEP 20000	  /* of so many, most of whom may be silent */
#define TELL_AGAIN_MS 5000 /* who has not moved by then is told again, later and later */
#define TELL_AGAIN_MAX_MS 80000

void pa_gw_drain(struct pa_gw *gw, struct pa_now now, bool on)
{
	if (gw->drain.on == on)
		return;
	gw->drain.on = on;
	gw->drain.at = 0;
	gw->drain.next_ms = now.boot_ms;
	gw->drain.pause_ms = TELL_AGAIN_MS;
}

bool pa_gw_drained(const struct pa_gw *gw)
{
	return gw->drain.on;
}

uint64_t pa_gw_drain_tick(struct pa_gw *gw, struct pa_now now)
{
	struct pa_gw_drain *d = &gw->drain;
	const struct pa_gw_entry *e = NULL;
	unsigned told = 0, looked = 0;

	if (!d->on)
		return UINT64_MAX;
	if (now.boot_ms < d->next_ms)
		return d->next_ms;
	while (told < TELL_STEP && looked++ < LOOK_STEP && (e = pa_gw_table_walk(gw->table, &d->at)) != NULL) {
		if (!e->bound || !e->delivering || e->moved)
			continue;
		pa_gw_send_unbound(gw, e, PA_REASON_DRAIN);
		told++;
	}
	d->next_ms = now.boot_ms + TELL_STEP_MS;
	if (e == NULL) { /* the walk is over */
		d->at = 0;
		d->next_ms = now.boot_ms + d->pause_ms;
		if (d->pause_ms < TELL_AGAIN_MAX_MS)
			d->pause_ms *= 2;
	}
	return d->next_ms;
}

bool pa_gw_may_bind(const struct pa_gw *gw, const struct pa_gw_entry *e, const uint8_t pin[PA_FINGERPRINT_LEN])
{
	if (!gw->drain.on)
		return true;
	/* Who is here and nowhere else may renew: perhaps no other gateway answers him. */
	return e != NULL && e->bound && !e->moved && memcmp(e->pin, pin, PA_FINGERPRINT_LEN) == 0;
}

void pa_gw_refuse_drained(struct pa_gw *gw, unsigned local, const struct pa_endpoint *to, uint64_t bind,
			  const uint8_t g2c[PA_KEY_LEN])
{
	struct pa_msg m = {.type = PA_MSG_UNBOUND, .reason = PA_REASON_DRAIN};
	uint8_t buf[PA_CTL_MAX];
	int n;

	_Static_assert(PA_UNBOUND_LEN <= PA_CONFIRM_LEN, "no answer is longer than what it answers");
	for (unsigned i = 0; i < sizeof(m.session); i++)
		m.session[i] = (uint8_t)(bind >> (56 - 8 * i));
	n = pa_msg_encode(&m, g2c, buf, sizeof(buf));
	PA_REQUIRE(n > 0);
	gw->count.drained++;
	gw->ops->send(gw->ctx, local, to, buf, (size_t)n);
}

void pa_gw_leave(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e)
{
	struct pa_gw_contest *c = e->delivering ? pa_gw_contest_make(gw, e) : NULL;
	struct pa_gw_binding b;

	if (c == NULL) { /* nothing was carried, or there is no memory for its end */
		pa_gw_end_binding(gw, now, e, PA_REASON_MOVED, false);
		return;
	}
	e->moved = true;
	c->quiet_until_ms = now.boot_ms + PA_MOVED_ROUTE_MS;
	c->until_ms = now.boot_ms + PA_MOVED_MS;
	gw->count.moved++;
	pa_gw_changed(gw, e); /* after a crash it is not bound here any more */
	pa_gw_view(gw, e, &b);
	gw->ops->event(gw->ctx, "binding.moved-away", &b, 0);
	pa_gw_schedule(gw, e, now);
}

uint64_t pa_gw_leave_due(const struct pa_gw *gw, const struct pa_gw_entry *e)
{
	const struct pa_gw_contest *c = pa_gw_contest_of(gw, e);

	if (c == NULL)
		return 0;
	return c->quiet_until_ms != 0 ? c->quiet_until_ms : c->until_ms;
}

void pa_gw_leave_review(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e)
{
	struct pa_gw_contest *c = pa_gw_contest_of(gw, e);

	if (c == NULL || now.boot_ms >= c->until_ms) {
		pa_gw_end_binding(gw, now, e, PA_REASON_MOVED, false);
	} else if (c->quiet_until_ms != 0 && now.boot_ms >= c->quiet_until_ms) {
		c->quiet_until_ms = 0;
		if (gw->ops->withdraw != NULL)
			gw->ops->withdraw(gw->ctx, &e->addr);
	}
}

bool pa_gw_is_move(const struct pa_gw *gw, const struct pa_gw_entry *e, uint64_t epoch)
{
	/* The broker's word says nothing of who it was. With a fingerprint in the claims nobody but this client can have bound. */
	return e->epoch == epoch && (e->moved || (gw->drain.on && e->pinned));
}

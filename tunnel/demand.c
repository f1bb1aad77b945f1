/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/demand.h"

#include <stdlib.h>

struct pa_demand {
	const struct pa_demand_ops *ops;
	void *ctx;
	uint64_t linger_ms;
	enum pa_demand_state state;
	unsigned users;
	bool otherwise;	      /* DHCP has brought a grant */
	unsigned round, attempt;
	bool renewing;	      /* in HELD: questions are under way */
	uint64_t due_ms;      /* of the next thing that the state does */
	uint64_t deadline_ms; /* of ASKING, or of a renewal's questions */
	uint64_t expires_ms;
	uint64_t pause_ms;    /* the next pause */
};

struct pa_demand *pa_demand_new(const struct pa_demand_ops *ops, void *ctx, uint64_t linger_ms)
{
	struct pa_demand *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->ops = ops;
	d->ctx = ctx;
	d->linger_ms = linger_ms;
	d->pause_ms = PA_DEMAND_PAUSE_MS;
	return d;
}

void pa_demand_free(struct pa_demand *d)
{
	free(d);
}

static void enter(struct pa_demand *d, enum pa_demand_state state, uint64_t due_ms)
{
	d->due_ms = due_ms;
	if (d->state == state)
		return;
	d->state = state;
	d->ops->event(d->ctx, state);
}

static uint64_t backoff(unsigned attempt)
{
	uint64_t ms = (uint64_t)PA_DEMAND_RETRY_MS << (attempt < 8 ? attempt : 8);

	return ms < PA_DEMAND_RETRY_MAX_MS ? ms : PA_DEMAND_RETRY_MAX_MS;
}

static void begin_round(struct pa_demand *d, uint64_t now)
{
	d->round++;
	d->attempt = 0;
	d->deadline_ms = now + PA_DEMAND_ASK_MS;
}

/* Half of what is left, as DHCP's T1 (RFC 2131, section 4.4.5). */
static uint64_t renewal_due(const struct pa_demand *d, uint64_t now)
{
	uint64_t half = d->expires_ms > now ? (d->expires_ms - now) / 2 : 0;

	return now + (half > PA_DEMAND_RENEW_MIN_MS ? half : PA_DEMAND_RENEW_MIN_MS);
}

static bool needed(const struct pa_demand *d)
{
	return d->users > 0 && !d->otherwise;
}

void pa_demand_users(struct pa_demand *d, uint64_t now, unsigned users, bool otherwise)
{
	d->users = users;
	d->otherwise = otherwise;
	switch (d->state) {
	case PA_DEMAND_IDLE:
		if (!needed(d))
			return;
		begin_round(d, now);
		enter(d, PA_DEMAND_ASKING, now);
		break;
	case PA_DEMAND_ASKING:
		/* An answer may be on its way: what it brings is given back then. */
		if (d->otherwise)
			enter(d, PA_DEMAND_IDLE, UINT64_MAX);
		break;
	case PA_DEMAND_HELD:
		if (users == 0)
			enter(d, PA_DEMAND_LINGERING, now + d->linger_ms);
		break;
	case PA_DEMAND_LINGERING:
		if (users > 0) {
			d->renewing = false;
			enter(d, PA_DEMAND_HELD, renewal_due(d, now));
		}
		break;
	case PA_DEMAND_PAUSING:
		if (!needed(d))
			d->pause_ms = PA_DEMAND_PAUSE_MS;
		break;
	case PA_DEMAND_RELEASING:
		break;
	}
}

void pa_demand_granted(struct pa_demand *d, uint64_t now, uint64_t expires_ms)
{
	d->expires_ms = expires_ms;
	d->renewing = false;
	d->pause_ms = PA_DEMAND_PAUSE_MS;
	if (d->users > 0)
		enter(d, PA_DEMAND_HELD, renewal_due(d, now));
	else
		enter(d, PA_DEMAND_LINGERING, now + d->linger_ms);
}

void pa_demand_lost(struct pa_demand *d, uint64_t now)
{
	if (d->state != PA_DEMAND_HELD && d->state != PA_DEMAND_LINGERING)
		return;
	/* A pause, for the lease may have ended with it, and a gateway that sends us away would be asked in a circle. */
	d->renewing = false;
	enter(d, PA_DEMAND_PAUSING, now + d->pause_ms);
}

void pa_demand_taken_over(struct pa_demand *d)
{
	if (d->state == PA_DEMAND_HELD || d->state == PA_DEMAND_LINGERING || d->state == PA_DEMAND_ASKING)
		enter(d, PA_DEMAND_IDLE, UINT64_MAX);
}

void pa_demand_released(struct pa_demand *d, uint64_t now)
{
	if (d->state != PA_DEMAND_RELEASING)
		return;
	enter(d, PA_DEMAND_IDLE, UINT64_MAX);
	pa_demand_users(d, now, d->users, d->otherwise);
}

static void ask(struct pa_demand *d, uint64_t now)
{
	d->due_ms = now + backoff(d->attempt);
	d->ops->ask(d->ctx, d->round, d->attempt++);
}

static void pause(struct pa_demand *d, uint64_t now)
{
	enter(d, PA_DEMAND_PAUSING, now + d->pause_ms);
	d->pause_ms = 2 * d->pause_ms < PA_DEMAND_PAUSE_MAX_MS ? 2 * d->pause_ms : PA_DEMAND_PAUSE_MAX_MS;
	d->ops->failed(d->ctx);
}

static void tick_held(struct pa_demand *d, uint64_t now)
{
	if (!d->renewing) {
		d->renewing = true;
		begin_round(d, now);
	}
	if (now >= d->deadline_ms) {
		d->renewing = false; /* it is tried again at half of the rest */
		d->due_ms = renewal_due(d, now);
	} else {
		ask(d, now);
	}
}

static void tick_releasing(struct pa_demand *d, uint64_t now)
{
	if (d->attempt == PA_DEMAND_RELEASE_TRIES) {
		pa_demand_released(d, now); /* the broker's own expiry covers for it */
		return;
	}
	d->due_ms = now + backoff(d->attempt);
	d->ops->release(d->ctx, d->round, d->attempt++);
}

static void tick_due(struct pa_demand *d, uint64_t now)
{
	switch (d->state) {
	case PA_DEMAND_ASKING:
		if (now >= d->deadline_ms)
			pause(d, now);
		else
			ask(d, now);
		break;
	case PA_DEMAND_HELD:
		tick_held(d, now);
		break;
	case PA_DEMAND_LINGERING:
		begin_round(d, now);
		enter(d, PA_DEMAND_RELEASING, now);
		d->ops->end(d->ctx);
		break;
	case PA_DEMAND_RELEASING:
		tick_releasing(d, now);
		break;
	case PA_DEMAND_PAUSING:
		enter(d, PA_DEMAND_IDLE, UINT64_MAX);
		pa_demand_users(d, now, d->users, d->otherwise);
		break;
	case PA_DEMAND_IDLE:
		d->due_ms = UINT64_MAX;
		break;
	}
}

uint64_t pa_demand_tick(struct pa_demand *d, uint64_t now)
{
	while (d->state != PA_DEMAND_IDLE && d->due_ms <= now)
		tick_due(d, now);
	return d->state == PA_DEMAND_IDLE ? UINT64_MAX : d->due_ms;
}

enum pa_demand_state pa_demand_state_of(const struct pa_demand *d)
{
	return d->state;
}

const char *pa_demand_state_name(enum pa_demand_state state)
{
	static const char *const names[] = {"idle", "asking", "held", "lingering", "releasing", "pausing"};

	return names[state];
}

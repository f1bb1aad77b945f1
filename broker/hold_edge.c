/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/hold_edge.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

struct held {
	struct pa_request *req;
	uint64_t news, due_ms; /* boot time */
};

struct pa_hold {
	uv_timer_t timer;
	pa_hold_again again;
	void *ctx;
	struct held held[PA_HOLD_MAX];
	unsigned n;
};

struct pa_hold *pa_hold_new(uv_loop_t *loop, pa_hold_again again, void *ctx)
{
	struct pa_hold *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->again = again;
	h->ctx = ctx;
	(void)uv_timer_init(loop, &h->timer); /* cannot fail */
	h->timer.data = h;
	return h;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pa_hold_close(struct pa_hold *h)
{
	if (h == NULL)
		return;
	while (h->n > 0)
		pa_request_replyf(h->held[--h->n].req, PA_RESULT_ERROR, "the broker stops");
	uv_close((uv_handle_t *)&h->timer, on_closed);
}

static void arm(struct pa_hold *h);

static struct pa_request *remove_at(struct pa_hold *h, unsigned i)
{
	struct pa_request *req = h->held[i].req;

	h->held[i] = h->held[--h->n];
	return req;
}

/* Its time is up: it waits no more, and is told that there is nothing. */
static void on_timer(uv_timer_t *timer)
{
	struct pa_hold *h = timer->data;
	uint64_t now = pa_now_get().boot_ms;

	for (unsigned i = h->n; i-- > 0;) {
		if (h->held[i].due_ms <= now) {
			struct pa_request *req = remove_at(h, i);

			(void)json_object_del(pa_request_arguments(req), "wait");
			h->again(h->ctx, req);
		}
	}
	arm(h);
}

static void arm(struct pa_hold *h)
{
	uint64_t now = pa_now_get().boot_ms, due = UINT64_MAX;

	for (unsigned i = 0; i < h->n; i++)
		if (h->held[i].due_ms < due)
			due = h->held[i].due_ms;
	if (h->n == 0)
		(void)uv_timer_stop(&h->timer);
	else
		(void)uv_timer_start(&h->timer, on_timer, due > now ? due - now : 0, 0);
}

bool pa_hold_take(struct pa_hold *h, struct pa_request *req, const json_t *arguments, uint64_t news)
{
	json_int_t wait = json_integer_value(json_object_get(pa_request_arguments(req), "wait"));

	if (strcmp(pa_request_name(req), "gateway-sync") != 0 || wait <= 0 || h->n == PA_HOLD_MAX ||
	    !json_is_true(json_object_get(arguments, "idle")))
		return false;
	/* It said what time it was when it asked; later that would look like a wrong clock. */
	(void)json_object_del(pa_request_arguments(req), "time");
	/* Nor can it speak for what it has bound since. */
	(void)json_object_del(pa_request_arguments(req), "unreported");
	if (wait > PA_HOLD_WAIT_MAX)
		wait = PA_HOLD_WAIT_MAX;
	h->held[h->n++] = (struct held){req, news, pa_now_get().boot_ms + (uint64_t)wait * 1000};
	arm(h);
	return true;
}

void pa_hold_wake(struct pa_hold *h, uint64_t news)
{
	for (unsigned i = h->n; i-- > 0;)
		if (h->held[i].news != news)
			h->again(h->ctx, remove_at(h, i));
	arm(h);
}

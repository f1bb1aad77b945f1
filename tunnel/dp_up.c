/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a lane's thread hands to the loop's thread: a ring with a lock of its own. Data that comes from a foreign address
 * and the odd control message pass here, both rarely, so there is room for few; more are dropped, as a network drops.
 */
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/proto.h"
#include "tunnel/dp_user_int.h"

#define RING 64

struct notice {
	bool control;
	unsigned local;
	struct pa_endpoint from;
	struct pa_addr inner;
	size_t len;
	uint8_t buf[PA_PROBE_MAX]; /* a PROBE is as long as data, and so the kernel may put it behind some */
};

struct pa_up {
	struct pa_dp *dp; /* NULL: closing */
	uv_async_t wake;
	uv_mutex_t lock;
	unsigned at, n;
	struct notice ring[RING];
};

static bool take(struct pa_up *up, struct notice *ret)
{
	bool any;

	uv_mutex_lock(&up->lock);
	any = up->n > 0;
	if (any) {
		*ret = up->ring[up->at];
		up->at = (up->at + 1) % RING;
		up->n--;
	}
	uv_mutex_unlock(&up->lock);
	return any;
}

static void on_wake(uv_async_t *h)
{
	struct pa_up *up = h->data;
	struct notice x;

	while (up->dp != NULL && take(up, &x)) {
		const struct pa_dp_config *cfg = &up->dp->cfg;

		if (x.control)
			(void)cfg->events.control(cfg->ctx, x.local, &x.from, x.buf, x.len);
		else
			cfg->events.foreign(cfg->ctx, x.local, &x.from, &x.inner, x.len);
	}
}

static bool put(struct pa_up *up, const struct notice *x)
{
	bool room;

	uv_mutex_lock(&up->lock);
	room = up->n < RING;
	if (room) {
		up->ring[(up->at + up->n) % RING] = *x;
		up->n++;
	}
	uv_mutex_unlock(&up->lock);
	(void)uv_async_send(&up->wake);
	return room;
}

bool pa_up_control(struct pa_up *up, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	struct notice x = {.control = true, .local = local, .from = *from, .len = len};

	if (len > sizeof(x.buf))
		return false;
	memcpy(x.buf, buf, len);
	return put(up, &x);
}

bool pa_up_foreign(struct pa_up *up, unsigned local, const struct pa_endpoint *from, const struct pa_addr *inner, size_t len)
{
	struct notice x = {.local = local, .from = *from, .inner = *inner, .len = len};

	return put(up, &x);
}

int pa_up_new(struct pa_dp *dp, struct pa_up **ret)
{
	struct pa_up *up = calloc(1, sizeof(*up));

	if (up == NULL || uv_mutex_init(&up->lock) < 0) {
		free(up);
		return PA_ENOMEM;
	}
	if (uv_async_init(dp->cfg.loop, &up->wake, on_wake) < 0) {
		uv_mutex_destroy(&up->lock);
		free(up);
		return PA_EIO;
	}
	up->dp = dp;
	up->wake.data = up;
	*ret = up;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct pa_up *up = h->data;

	uv_mutex_destroy(&up->lock);
	free(up);
}

void pa_up_free(struct pa_up *up)
{
	if (up == NULL)
		return;
	up->dp = NULL;
	uv_close((uv_handle_t *)&up->wake, on_closed);
}

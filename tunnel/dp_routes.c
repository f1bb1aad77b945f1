/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/net_hops.h"

#define QUIET_MS 200
#define AGAIN_MS 600000 /* reading very many routes takes the loop's time */

struct pa_routes {
	void (*told)(void *ctx, const struct pa_hops *hops);
	void *ctx;
	struct pa_nl *nl;
	struct pa_hops *hops;
	int fd;
	uv_timer_t timer;
	uv_poll_t poll;
	unsigned open; /* handles */
	bool unknown; /* they could not be had the last time */
};

static void free_routes(struct pa_routes *r)
{
	if (r->fd >= 0)
		close(r->fd);
	pa_nl_close(r->nl);
	free(r->hops);
	free(r);
}

static void on_closed(uv_handle_t *h)
{
	struct pa_routes *r = h->data;

	if (--r->open == 0)
		free_routes(r);
}

static void on_quiet(uv_timer_t *t)
{
	struct pa_routes *r = t->data;
	int rc = pa_net_hops_read(r->nl, r->hops);

	if (rc < 0 && !r->unknown)
		pa_log(PA_LOG_DEBUG, "datapath.routes", "next-hops=unknown reason=\"%s\"", pa_strerror(rc));
	r->unknown = rc < 0;
	if (rc == 0)
		r->told(r->ctx, r->hops);
	else
		(void)uv_timer_start(&r->timer, on_quiet, AGAIN_MS, 0);
}

static void on_change(uv_poll_t *h, int status, int events)
{
	struct pa_routes *r = h->data;

	(void)status;
	(void)events;
	if (!pa_net_hops_changed(r->fd) || r->unknown)
		return;
	r->told(r->ctx, NULL);
	(void)uv_timer_start(&r->timer, on_quiet, QUIET_MS, 0);
}

int pa_routes_new(uv_loop_t *loop, void (*told)(void *ctx, const struct pa_hops *hops), void *ctx, struct pa_routes **ret)
{
	struct pa_routes *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return PA_ENOMEM;
	r->told = told;
	r->ctx = ctx;
	r->fd = -1;
	r->hops = calloc(1, sizeof(*r->hops));
	rc = r->hops == NULL ? PA_ENOMEM : pa_nl_open(&r->nl);
	if (rc == 0)
		rc = pa_net_hops_watch(&r->fd);
	if (rc == 0 && uv_poll_init(loop, &r->poll, r->fd) != 0)
		rc = PA_EIO;
	if (rc < 0) {
		free_routes(r);
		return rc;
	}
	(void)uv_timer_init(loop, &r->timer);
	r->poll.data = r->timer.data = r;
	r->open = 2;
	(void)uv_poll_start(&r->poll, UV_READABLE, on_change);
	(void)uv_timer_start(&r->timer, on_quiet, QUIET_MS, 0);
	uv_unref((uv_handle_t *)&r->poll);
	uv_unref((uv_handle_t *)&r->timer);
	*ret = r;
	return 0;
}

void pa_routes_close(struct pa_routes *r)
{
	if (r == NULL)
		return;
	uv_close((uv_handle_t *)&r->poll, on_closed);
	uv_close((uv_handle_t *)&r->timer, on_closed);
}

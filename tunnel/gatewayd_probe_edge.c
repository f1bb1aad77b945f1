/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gatewayd_probe_edge.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/err.h"
#include "common/proto.h"

#define ROUND 16 /* messages for each wake-up, so that a flood here does not starve the tunnels */

struct socket {
	struct pa_gatewayd_probes *owner;
	int fd;
	bool has_poll;
	uv_poll_t poll;
};

struct pa_gatewayd_probes {
	struct pa_gatewayd_probes_events events;
	void *ctx;
	size_t n;
	struct socket sockets[PA_GATEWAYD_PROBES_MAX];
	uint8_t buf[PA_PROBE_MAX + 1]; /* one more, so that what is too long does not look as if it fitted */
};

static void on_readable(uv_poll_t *h, int status, int events)
{
	struct socket *s = h->data;
	struct pa_gatewayd_probes *p = s->owner;

	if (status < 0 || (events & UV_READABLE) == 0)
		return;
	for (unsigned i = 0; i < ROUND; i++) {
		struct sockaddr_storage ss;
		struct pa_endpoint from;
		socklen_t len = sizeof(ss);
		ssize_t n = recvfrom(s->fd, p->buf, sizeof(p->buf), MSG_DONTWAIT, (struct sockaddr *)&ss, &len);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n > 0 && pa_sockaddr_from(&ss, &from))
			p->events.receive(p->ctx, (size_t)(s - p->sockets), &from, p->buf, (size_t)n);
	}
}

static int open_one(uv_loop_t *loop, struct socket *s, const struct pa_endpoint *at, char err[PA_UDP_ERRLEN])
{
	struct pa_udp_config cfg = {.bind = *at, .dont_fragment = true};
	int rc = pa_udp_open(&cfg, &s->fd, err);

	if (rc < 0)
		return rc;
	if (uv_poll_init(loop, &s->poll, s->fd) < 0) {
		(void)snprintf(err, PA_UDP_ERRLEN, "cannot watch the socket");
		return PA_EIO;
	}
	s->has_poll = true;
	s->poll.data = s;
	(void)uv_poll_start(&s->poll, UV_READABLE, on_readable);
	return 0;
}

int pa_gatewayd_probes_new(uv_loop_t *loop, const struct pa_endpoint *at, size_t n,
			   const struct pa_gatewayd_probes_events *events, void *ctx, struct pa_gatewayd_probes **ret,
			   size_t *ret_failed, char err[PA_UDP_ERRLEN])
{
	struct pa_gatewayd_probes *p = calloc(1, sizeof(*p));
	int rc = p != NULL && n <= PA_GATEWAYD_PROBES_MAX ? 0 : PA_ENOMEM;

	*ret_failed = 0;
	(void)snprintf(err, PA_UDP_ERRLEN, "%s", pa_strerror(PA_ENOMEM));
	if (rc < 0) {
		free(p);
		return rc;
	}
	p->events = *events;
	p->ctx = ctx;
	for (size_t i = 0; i < PA_GATEWAYD_PROBES_MAX; i++)
		p->sockets[i] = (struct socket){.owner = p, .fd = -1};
	*ret = p; /* also after a failure, for open handles need the loop to be closed */
	for (p->n = 0; rc == 0 && p->n < n; p->n++) {
		*ret_failed = p->n;
		rc = open_one(loop, &p->sockets[p->n], &at[p->n], err);
	}
	return rc;
}

void pa_gatewayd_probes_send(struct pa_gatewayd_probes *p, size_t i, const struct pa_endpoint *to, const uint8_t *buf,
			     size_t len)
{
	struct sockaddr_storage ss;
	socklen_t n = pa_sockaddr_to(to, &ss);

	if (p != NULL && i < p->n)
		(void)sendto(p->sockets[i].fd, buf, len, MSG_DONTWAIT, (struct sockaddr *)&ss, n);
}

void pa_gatewayd_probes_close(struct pa_gatewayd_probes *p)
{
	for (size_t i = 0; p != NULL && i < PA_GATEWAYD_PROBES_MAX; i++) {
		struct socket *s = &p->sockets[i];

		if (s->has_poll)
			uv_close((uv_handle_t *)&s->poll, NULL);
		if (s->fd >= 0)
			close(s->fd);
		s->has_poll = false;
		s->fd = -1;
	}
}

void pa_gatewayd_probes_free(struct pa_gatewayd_probes *p)
{
	free(p);
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The tunnel through a relay connection: what the client would have sent to the gateway over UDP goes there from a
 * socket here, so that the gateway sees a client behind one more NAT. Both ends speak their own protocol through it;
 * nothing is looked into.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/client_edge.h"
#include "tunnel/net_udp.h"

#define TURN 64

struct pa_rtunnel {
	struct pa_rclient *c;
	uv_poll_t poll;
	int fd;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct pa_rtunnel *t = poll->data;
	uint8_t buf[PA_RELAY_BODY_MAX];

	(void)events;
	if (status < 0) /* an ICMP error, as when the gateway restarts; libuv has stopped */
		(void)uv_poll_start(&t->poll, UV_READABLE, on_poll);
	for (int i = 0; i < TURN; i++) {
		ssize_t n = recv(t->fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == ECONNREFUSED)
			continue;
		if (n < 0)
			return;
		if (n > 0)
			(void)pa_rlink_tunnel(t->c->link, buf, (size_t)n);
	}
}

struct pa_rtunnel *pa_rtunnel_new(struct pa_rclient *c)
{
	struct pa_rtunnel *t = calloc(1, sizeof(*t));
	struct sockaddr_storage to;
	socklen_t len = pa_sockaddr_to(&c->r->conf->tunnel, &to);

	if (t == NULL)
		return NULL;
	t->c = c;
	t->poll.data = t;
	t->fd = socket(to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd < 0 || connect(t->fd, (struct sockaddr *)&to, len) < 0 ||
	    uv_poll_init(c->r->loop, &t->poll, t->fd) < 0) {
		if (t->fd >= 0)
			close(t->fd);
		free(t);
		return NULL;
	}
	(void)uv_poll_start(&t->poll, UV_READABLE, on_poll);
	return t;
}

void pa_rtunnel_send(struct pa_rtunnel *t, const uint8_t *bytes, size_t len)
{
	(void)send(t->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void on_closed(uv_handle_t *h)
{
	struct pa_rtunnel *t = h->data;

	close(t->fd);
	free(t);
}

void pa_rtunnel_close(struct pa_rtunnel *t)
{
	if (t != NULL)
		uv_close((uv_handle_t *)&t->poll, on_closed);
}

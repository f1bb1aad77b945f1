/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The tunnel through a relay connection: what the client would have sent to the gateway over UDP goes there from a
 * socket here, so that the gateway sees a client behind one more NAT. Both ends speak their own protocol through it,
 * which proves itself; here is seen to it that nobody gets another's packets, nor too much of the gateway's time.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/msg.h"
#include "relay/client_edge.h"
#include "tunnel/filter.h"
#include "tunnel/limit.h"
#include "tunnel/net_udp.h"

#define TURN 64
/* Control messages of one client: a handshake costs the gateway an X25519. Two a second are the rule, at most. */
#define CONTROL_INTERVAL_MS 50
#define CONTROL_BURST 40
#define REST_MARGIN_MS 10000

struct pa_rtunnel {
	struct pa_rtunnel *next; /* in r->resting, the oldest first */
	struct pa_relayd *r;
	struct pa_rclient *c; /* NULL: it rests */
	struct pa_addr addr;  /* the client's P */
	uv_poll_t poll;
	int fd;
	uint64_t control_tat;
	uint64_t until_ms; /* boot time; resting */
};

/* Not a packet of somebody else: his, who had this port before, or a forged one. */
static bool is_own(const struct pa_rtunnel *t, const uint8_t *bytes, size_t len, bool to_gateway)
{
	struct pa_inner in;

	if (pa_msg_is_control(bytes, len))
		return true;
	return pa_msg_is_data(bytes, len) && pa_inner_parse(bytes, len, &in) == 0 &&
	       pa_addr_eq(to_gateway ? &in.src : &in.dst, &t->addr);
}

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
		if (n > 0 && is_own(t, buf, (size_t)n, false) && pa_rlink_tunnel(t->c->link, buf, (size_t)n))
			t->r->count.tunnel_out++;
		else
			t->r->count.tunnel_dropped++;
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
	t->r = c->r;
	t->addr = c->grant.claims.addr;
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
	struct pa_relayd_counters *count = &t->r->count;
	ssize_t n;

	if (!is_own(t, bytes, len, true)) {
		count->tunnel_dropped++;
		return;
	}
	if (pa_msg_is_control(bytes, len) &&
	    !pa_limit_one(&t->control_tat, pa_now_get().boot_ms, CONTROL_INTERVAL_MS, CONTROL_BURST)) {
		count->tunnel_limited++;
		return;
	}
	n = send(t->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno == ECONNREFUSED) /* an earlier one's ICMP error */
		n = send(t->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		count->tunnel_dropped++;
	else
		count->tunnel_in++;
}

/* ---------------------------------------------------------------- the end */

static void free_resting(struct pa_relayd *r)
{
	struct pa_rtunnel *t = r->resting;

	r->resting = t->next;
	r->n_resting--;
	close(t->fd);
	free(t);
}

/*
 * The gateway goes on sending there until it has missed the client's keepalives; so long the port is kept, unread, and
 * not drawn for another client.
 */
static void on_closed(uv_handle_t *h)
{
	struct pa_rtunnel *t = h->data, **end = &t->r->resting;
	struct pa_relayd *r = t->r;

	while (*end != NULL)
		end = &(*end)->next;
	*end = t;
	r->n_resting++;
	if (r->stopped || r->n_resting > r->conf->clients_max)
		free_resting(r);
}

void pa_rtunnel_close(struct pa_rtunnel *t)
{
	int least = 1;

	if (t == NULL)
		return;
	t->c = NULL;
	t->until_ms = pa_now_get().boot_ms + (uint64_t)t->r->conf->gateway.keepalive * 2500 + REST_MARGIN_MS;
	(void)setsockopt(t->fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
	uv_close((uv_handle_t *)&t->poll, on_closed);
}

void pa_rtunnel_tick(struct pa_relayd *r, uint64_t now_ms)
{
	while (r->resting != NULL && now_ms >= r->resting->until_ms)
		free_resting(r);
}

void pa_rtunnel_stop(struct pa_relayd *r)
{
	while (r->resting != NULL)
		free_resting(r);
}

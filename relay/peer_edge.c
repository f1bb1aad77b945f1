/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "relay/peer_int.h"

/* For the last bytes of a session that is over: shorter than an address rests before somebody else may have it. */
#define LAST_MS 60000

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct pa_peer *p = poll->data;

	if (status < 0)
		p->events = 0; /* libuv has stopped: waiting begins anew */
	if (p->state == PA_PEER_UDP)
		pa_peer_udp_event(p, status, events);
	else
		pa_peer_tcp_event(p, status, events);
}

void pa_peer_wait(struct pa_peer *p, int events)
{
	if (p->events == events)
		return;
	p->events = events;
	if (events == 0)
		(void)uv_poll_stop(&p->poll);
	else
		(void)uv_poll_start(&p->poll, events, on_poll);
}

struct pa_peer *pa_peer_new(const struct pa_peer_owner *owner, struct pa_rsession *s, int fd, enum pa_peer_state state)
{
	struct pa_peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	if (uv_poll_init(owner->loop, &p->poll, fd) < 0) {
		free(p);
		return NULL;
	}
	p->poll.data = p;
	p->owner = owner;
	p->budget = owner->budget;
	p->s = s;
	p->fd = fd;
	p->state = state;
	pa_rpool_join(&owner->share->pool, &p->queue, 0, p);
	owner->share->calling += state == PA_PEER_CALLING;
	owner->budget->used++;
	owner->share->sockets++;
	pa_rsession_set_user(s, p);
	return p;
}

static void on_closed(uv_handle_t *h)
{
	struct pa_peer *p = h->data;

	close(p->fd);
	p->budget->used--;
	free(p);
}

void pa_peer_close(struct pa_peer *p, bool reset)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	unsigned last_ms = LAST_MS;

	if (reset && p->state == PA_PEER_OPEN)
		(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	else if (p->state == PA_PEER_OPEN) /* the kernel would offer it for minutes to a peer that takes nothing */
		(void)setsockopt(p->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &last_ms, sizeof(last_ms));
	p->owner->share->calling -= p->state == PA_PEER_CALLING;
	p->owner->share->sockets--;
	pa_rpool_leave(&p->queue);
	if (p->s != NULL)
		pa_rsession_set_user(p->s, NULL);
	p->s = NULL;
	uv_close((uv_handle_t *)&p->poll, on_closed);
}

void pa_peer_tell(const struct pa_peer *p, const char *event, enum pa_relay_error error)
{
	p->owner->event(p->owner->ctx, event, p->s, &p->local, &p->remote, error);
}

void pa_peer_fail(struct pa_peer *p, enum pa_relay_error error)
{
	struct pa_rsession *s = p->s;

	pa_peer_tell(p, "relay.ended", error);
	pa_peer_close(p, true);
	pa_rlink_close(s, error);
}

bool pa_peer_may_reach(const struct pa_peer_owner *owner, const struct pa_endpoint *to, int protocol)
{
	struct pa_inner in = {.src = owner->addr, .dst = to->addr, .proto = (uint8_t)protocol, .dst_port = to->port};

	/* One family: P cannot speak to the other. */
	return pa_addr_is_ipv4(&owner->addr) == pa_addr_is_ipv4(&to->addr) &&
	       pa_deny_check(owner->deny, &in) == PA_PASS;
}

void pa_peer_refuse(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b,
		    enum pa_relay_error error)
{
	struct pa_endpoint local = {owner->addr, b->local.port};
	struct pa_relay_body no = {.error = (uint8_t)error};

	owner->event(owner->ctx, "relay.refused", s, &local, &b->remote, error);
	pa_rlink_result(s, &no);
	pa_rlink_close(s, PA_RELAY_E_OK);
}

bool pa_peer_has_room(const struct pa_peer_owner *owner)
{
	const struct pa_peer_budget *b = owner->budget;

	return b->used < b->max && (b->max - b->used > b->reserve || owner->share->sockets < PA_PEER_ASSURED);
}

void pa_peer_open(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b)
{
	if (!pa_peer_has_room(owner))
		pa_peer_refuse(owner, s, b, PA_RELAY_E_LIMIT);
	else if (b->kind == PA_RELAY_TCP)
		pa_peer_call(owner, s, b);
	else if (b->kind == PA_RELAY_TCP_LISTEN)
		pa_peer_listen(owner, s, b);
	else
		pa_peer_udp(owner, s, b);
}

void pa_peer_drop(struct pa_rsession *s)
{
	struct pa_peer *p = pa_rsession_user(s);

	if (p != NULL)
		pa_peer_close(p, true);
}

void pa_peer_forbid(struct pa_rsession *s)
{
	struct pa_peer *p = pa_rsession_user(s);

	if (p != NULL && p->state == PA_PEER_LISTENING)
		pa_peer_fail(p, PA_RELAY_E_DENIED);
}

void pa_peer_resume(struct pa_rsession *s)
{
	struct pa_peer *p = pa_rsession_user(s);

	if (p != NULL && p->state == PA_PEER_LISTENING)
		pa_peer_wait(p, UV_READABLE);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* Calls to and from peers over TCP: the bytes pass unchanged, with half-close and reset. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "relay/peer_int.h"
#include "tunnel/net_udp.h"

#define BACKLOG 128
#define ACCEPTS 32	 /* calls taken in one turn */
#define TURN_MAX 131072u /* bytes read from one peer before others have their turn */
#define CALLING_MAX 4096 /* sessions of one client whose peer has not answered yet */

static void answer(struct pa_rsession *s, const struct pa_peer *p, enum pa_relay_error error)
{
	struct pa_relay_body b = {.error = (uint8_t)error};

	if (p != NULL) {
		b.local = p->local;
		b.remote = p->remote;
	}
	pa_rlink_result(s, &b);
	if (error != PA_RELAY_E_OK)
		pa_rlink_close(s, PA_RELAY_E_OK);
}

/* ---------------------------------------------------------------- bytes */

/* Both sides have said their last, and all of it has arrived. */
static bool done(struct pa_peer *p)
{
	struct pa_rsession *s = p->s;

	if (!p->eof_in || !p->fin_out)
		return false;
	pa_peer_tell(p, "relay.ended", PA_RELAY_E_OK);
	pa_peer_close(p, false);
	pa_rlink_close(s, PA_RELAY_E_OK);
	return true;
}

static void wait_again(struct pa_peer *p)
{
	pa_peer_wait(p, (p->stuffed || p->eof_in ? 0 : UV_READABLE) | (p->queue.q.len > 0 ? UV_WRITABLE : 0));
}

/* From the peer straight into what is sent to the client. False: the peer is gone. */
static bool take_bytes(struct pa_peer *p)
{
	size_t taken = 0;

	while (taken < TURN_MAX && !p->eof_in) {
		struct iovec to[PA_RLINK_PIECES];
		unsigned n_to = PA_RLINK_PIECES;
		size_t room = pa_rlink_reserve_pieces(p->s, to, &n_to);
		ssize_t n;

		p->stuffed = room == 0;
		if (room == 0)
			return true;
		n = readv(p->fd, to, (int)n_to);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			pa_peer_fail(p, pa_peer_error(errno));
			return false;
		}
		if (n == 0) {
			p->eof_in = true;
			pa_rlink_fin(p->s);
			return !done(p);
		}
		pa_rlink_commit(p->s, (size_t)n);
		taken += (size_t)n;
		if ((size_t)n < room)
			return true;
	}
	return true;
}

static bool shut(struct pa_peer *p)
{
	if (!p->fin_wanted || p->fin_out || p->queue.q.len > 0)
		return true;
	p->fin_out = true;
	(void)shutdown(p->fd, SHUT_WR);
	return !done(p);
}

/* What waits for the peer. False: the peer is gone. */
static bool give_bytes(struct pa_peer *p)
{
	struct iovec pieces[2];
	struct msghdr m = {.msg_iov = pieces};

	while ((m.msg_iovlen = pa_rqueue_peek(&p->queue.q, pieces)) > 0) {
		ssize_t n = sendmsg(p->fd, &m, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			pa_peer_fail(p, pa_peer_error(errno));
			return false;
		}
		pa_rpool_took(&p->queue, (size_t)n);
		pa_rlink_consumed(p->s, (size_t)n);
	}
	return shut(p);
}

/*
 * Its peer has taken nothing for longest, and there is no room for what waits for others of the client. It is not in the middle of
 * something, for pieces are of one session at a time (pa_rlink_more).
 */
static void end_unread(void *user)
{
	pa_peer_fail(user, PA_RELAY_E_LIMIT);
}

/* What came at once goes at once: a call of the system for each frame would be a packet for each, too. False: the peer
 * is gone. */
static bool give_pieces(struct pa_peer *p)
{
	struct msghdr m = {.msg_iov = p->pieces, .msg_iovlen = p->n_pieces};
	ssize_t n = 0;

	if (p->queue.q.len == 0) {
		n = sendmsg(p->fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			pa_peer_fail(p, pa_peer_error(errno));
			return false;
		}
		if (n > 0)
			pa_rlink_consumed(p->s, (size_t)n);
		else
			n = 0;
	}
	if (!pa_rpool_put(&p->queue, p->pieces, p->n_pieces, (size_t)n, end_unread))
		return false;
	p->n_pieces = 0;
	return true;
}

void pa_peer_data(struct pa_rsession *s, const uint8_t *bytes, size_t len)
{
	struct pa_peer *p = pa_rsession_user(s);

	if (p == NULL || p->state != PA_PEER_OPEN) { /* a listening session has no bytes */
		if (p != NULL)
			pa_peer_close(p, true);
		pa_rlink_close(s, PA_RELAY_E_PROTOCOL);
		return;
	}
	p->pieces[p->n_pieces++] = (struct iovec){(void *)(uintptr_t)bytes, len};
	if (p->n_pieces < PA_RLINK_PIECES && pa_rlink_more(s))
		return;
	if (give_pieces(p))
		wait_again(p);
}

void pa_peer_fin(struct pa_rsession *s)
{
	struct pa_peer *p = pa_rsession_user(s);

	if (p == NULL || p->state != PA_PEER_OPEN)
		return;
	p->fin_wanted = true;
	(void)shut(p);
}

void pa_peer_writable(struct pa_rsession *s)
{
	struct pa_peer *p = pa_rsession_user(s);

	if (p == NULL || p->state != PA_PEER_OPEN || !p->stuffed)
		return;
	if (take_bytes(p))
		wait_again(p);
}

/* ---------------------------------------------------------------- calls */

static void on_called(struct pa_peer *p)
{
	int os = 0;
	socklen_t len = sizeof(os);
	struct pa_rsession *s = p->s;

	(void)getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &os, &len);
	if (os != 0) {
		pa_peer_tell(p, "relay.failed", pa_peer_error(os));
		pa_peer_close(p, false);
		answer(s, NULL, pa_peer_error(os));
		return;
	}
	p->state = PA_PEER_OPEN;
	p->owner->share->calling--;
	pa_peer_names(p->fd, &p->local, NULL);
	pa_peer_tell(p, "relay.connected", PA_RELAY_E_OK);
	answer(s, p, PA_RELAY_E_OK);
	wait_again(p);
}

void pa_peer_call(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct sockaddr_storage to;
	socklen_t len = pa_sockaddr_to(&b->remote, &to);
	struct pa_peer *p;
	int fd, on = 1;

	if (!pa_peer_may_reach(owner, &b->remote, IPPROTO_TCP)) {
		pa_peer_refuse(owner, s, b, PA_RELAY_E_DENIED);
		return;
	}
	if (owner->share->calling >= CALLING_MAX) {
		pa_peer_refuse(owner, s, b, PA_RELAY_E_LIMIT);
		return;
	}
	if (pa_peer_socket(&owner->addr, b->local.port, SOCK_STREAM, &fd) < 0) {
		pa_peer_refuse(owner, s, b, pa_peer_error(errno));
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS) {
		pa_peer_refuse(owner, s, b, pa_peer_error(errno));
		close(fd);
		return;
	}
	p = pa_peer_new(owner, s, fd, PA_PEER_CALLING);
	if (p == NULL) {
		pa_peer_refuse(owner, s, b, PA_RELAY_E_LIMIT);
		close(fd);
		return;
	}
	p->remote = b->remote;
	pa_peer_names(fd, &p->local, NULL);
	pa_peer_tell(p, "relay.call", PA_RELAY_E_OK);
	pa_peer_wait(p, UV_WRITABLE);
}

/* ---------------------------------------------------------------- being called */

void pa_peer_listen(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_peer *p;
	int fd;

	if (!owner->may_listen) {
		pa_peer_refuse(owner, s, b, PA_RELAY_E_DENIED);
		return;
	}
	if (owner->reserved(owner->ctx, SOCK_STREAM, b->local.port)) {
		pa_peer_refuse(owner, s, b, PA_RELAY_E_IN_USE);
		return;
	}
	if (pa_peer_socket(&owner->addr, b->local.port, SOCK_STREAM, &fd) < 0) {
		pa_peer_refuse(owner, s, b, pa_peer_error(errno));
		return;
	}
	p = listen(fd, BACKLOG) == 0 ? pa_peer_new(owner, s, fd, PA_PEER_LISTENING) : NULL;
	if (p == NULL) {
		pa_peer_refuse(owner, s, b, pa_peer_error(errno));
		close(fd);
		return;
	}
	pa_peer_names(fd, &p->local, NULL);
	pa_peer_tell(p, "relay.listen", PA_RELAY_E_OK);
	answer(s, p, PA_RELAY_E_OK);
	pa_peer_wait(p, UV_READABLE);
}

/* A session for a peer that has called; false: there is no room for it, and the peer is told by a reset. */
static bool admit(struct pa_peer *listener, int fd, const struct sockaddr_storage *from)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	struct pa_relay_body b = {0};
	struct pa_rsession *s = NULL;
	struct pa_peer *p;
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)pa_sockaddr_from(from, &b.remote);
	pa_peer_names(fd, &b.local, NULL);
	if (pa_peer_has_room(listener->owner))
		s = pa_rlink_incoming(listener->s, &b, NULL);
	p = s != NULL ? pa_peer_new(listener->owner, s, fd, PA_PEER_OPEN) : NULL;
	if (p == NULL) {
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fd);
		if (s != NULL)
			pa_rlink_close(s, PA_RELAY_E_LIMIT);
		return false;
	}
	p->local = b.local;
	p->remote = b.remote;
	pa_peer_tell(p, "relay.incoming", PA_RELAY_E_OK);
	wait_again(p);
	return true;
}

static void on_incoming(struct pa_peer *listener)
{
	int fd = 0;

	for (int i = 0; i < ACCEPTS && fd >= 0; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);

		fd = accept4(listener->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			listener->owner->share->paused = true; /* until the client's next tick, or we would only spin */
			pa_peer_wait(listener, 0);
			return;
		}
		if (fd >= 0 && !admit(listener, fd, &from))
			break;
	}
	pa_peer_wait(listener, UV_READABLE);
}

void pa_peer_tcp_event(struct pa_peer *p, int status, int events)
{
	if (p->state == PA_PEER_CALLING) {
		on_called(p);
		return;
	}
	if (p->state == PA_PEER_LISTENING) {
		on_incoming(p);
		return;
	}
	if (status < 0) /* what is wrong shows when it is used */
		events = UV_READABLE | UV_WRITABLE;
	if ((events & UV_WRITABLE) && !give_bytes(p))
		return;
	if ((events & UV_READABLE) && !take_bytes(p))
		return;
	wait_again(p);
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Pipes wait by an epoll of their own, edge-triggered, inside of libuv's: the last octet of a Unix socket is left unread, by which
 * a poll that asks for the state would be told for ever that there is something to read.
 */
#include "tunnel/relay_pipe_edge.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/relay_pool.h"
#include "tunnel/net_waiting.h"
#include "tunnel/relay_shares.h"

#define EVENTS 128
#define TURN_MAX 262144u /* octets read from one socket before others have their turn */
#define READS_MAX 64	 /* and calls of the system for that: descriptors sent with each octet part them */
#define QUEUED_MAX (80u << 20) /* octets that wait for all programs */
#define USERS (PA_RSHARES_USERS + 1) /* and root, who has no share */
#define ORPHAN_MS 60000	       /* as Linux' tcp_fin_timeout: the program has gone, and the peer says neither yes nor no */
#define SWEEP_MS 5000

struct pa_rpipe {
	struct pa_relay_user user; /* first: it is the session's user */
	struct pa_rpipes *ps;
	struct pa_rsession *s; /* NULL: over */
	struct pa_rpipe *prev, *next;
	int fd;
	bool is_unix;		  /* the last octet is left unread */
	size_t done;		  /* octets at the head of the socket's queue that are dealt with */
	bool hup_in, hup;	  /* the program sends no more; has closed */
	bool abrupt;		  /* its closing is a reset */
	bool stuffed;		  /* the link takes no more: not read until the writable op */
	bool eof_in;		  /* the session has been told that the program sends no more */
	bool fin_wanted, fin_out; /* the peer has sent its last octet; and the program has been told */
	uint64_t orphan_ms;	  /* boot time when it is given up; 0: not */
	uint8_t *early;
	size_t early_at, early_len;
	struct iovec pieces[PA_RLINK_PIECES]; /* inside of one input: from the session, not yet offered to the socket */
	unsigned n_pieces;
	struct pa_rpool_queue queue; /* from the session, not yet taken by the socket; at most the session's window */
	void (*ended)(void *ctx, enum pa_relay_error error);
	void *ctx;
};

struct pa_rpipes {
	uv_poll_t poll;
	uv_timer_t sweep;
	int epoll_fd;
	struct pa_turelay *relay;
	struct pa_rpipe *pipes;
	struct pa_rpipe *dead; /* freed when no event can name them any more */
	struct pa_rpool pool;
	struct pa_rpool_owner users[USERS];
	unsigned open;
	bool in_batch;
	uint8_t scratch[4096];
};

/* ---------------------------------------------------------------- the end */

static void unlink_pipe(struct pa_rpipe *p)
{
	if (p->prev != NULL)
		p->prev->next = p->next;
	else
		p->ps->pipes = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
}

static void bury(struct pa_rpipes *ps)
{
	while (ps->dead != NULL) {
		struct pa_rpipe *p = ps->dead;

		ps->dead = p->next;
		free(p);
	}
}

/* Lets go of everything but the session; well: both sides have said all they had to say. */
static void drop(struct pa_rpipe *p, bool well)
{
	struct linger none = {0, 0};
	struct pa_rpipes *ps = p->ps;

	if (well && p->is_unix)
		(void)recv(p->fd, ps->scratch, sizeof(ps->scratch), MSG_DONTWAIT);
	else if (well)
		(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(p->fd); /* with something unread, or lingering for 0 s: a reset */
	p->fd = -1;
	p->s = NULL;
	pa_rpool_leave(&p->queue);
	free(p->early);
	unlink_pipe(p);
	p->next = ps->dead;
	ps->dead = p;
	if (!ps->in_batch)
		bury(ps);
}

static void finish(struct pa_rpipe *p, enum pa_relay_error error)
{
	void (*ended)(void *ctx, enum pa_relay_error error) = p->ended;
	void *ctx = p->ctx;

	drop(p, error == PA_RELAY_E_OK);
	ended(ctx, error);
}

/* The session with it. */
static void fail(struct pa_rpipe *p, enum pa_relay_error error)
{
	pa_turelay_end(p->ps->relay, p->s, error);
	finish(p, error);
}

/* Both sides have said their last, and all of it has arrived. True: the pipe is gone. */
static bool over(struct pa_rpipe *p)
{
	if (!p->eof_in || !p->fin_out)
		return false;
	pa_turelay_end(p->ps->relay, p->s, PA_RELAY_E_OK);
	finish(p, PA_RELAY_E_OK);
	return true;
}

/* ---------------------------------------------------------------- from the program */

static bool is_aborted(const struct pa_rpipe *p)
{
	return p->abrupt && p->hup;
}

/* The program sends no more. False: the pipe is gone. */
static bool end_input(struct pa_rpipe *p)
{
	if (is_aborted(p)) {
		fail(p, PA_RELAY_E_RESET);
		return false;
	}
	p->eof_in = true;
	pa_rlink_fin(p->s);
	return !over(p);
}

/* What was read before there was a pipe. False: the link takes no more. */
static bool send_early(struct pa_rpipe *p)
{
	while (p->early_len > 0) {
		uint8_t *to;
		size_t n = pa_rlink_reserve(p->s, &to);

		if (n == 0)
			return false;
		if (n > p->early_len)
			n = p->early_len;
		memcpy(to, p->early + p->early_at, n);
		pa_rlink_commit(p->s, n);
		p->early_at += n;
		p->early_len -= n;
	}
	return true;
}

/* What is dealt with into scratch, and take octets behind it into the n pieces. As recvmsg. */
static ssize_t take_out(struct pa_rpipe *p, size_t old, const struct iovec *pieces, unsigned n, size_t take)
{
	struct iovec iov[1 + PA_RLINK_PIECES] = {{p->ps->scratch, old}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1};

	for (unsigned i = 0; i < n && take > 0; i++) {
		size_t len = pieces[i].iov_len < take ? pieces[i].iov_len : take;

		iov[msg.msg_iovlen++] = (struct iovec){pieces[i].iov_base, len};
		take -= len;
	}
	return recvmsg(p->fd, &msg, MSG_DONTWAIT);
}

/* Where octet number at of the pieces goes. */
static uint8_t *place(const struct iovec *pieces, size_t at)
{
	while (at >= pieces->iov_len)
		at -= pieces++->iov_len;
	return (uint8_t *)pieces->iov_base + at;
}

/*
 * Up to room octets that are new into the pieces, all but the last of them taken out of the socket's queue. Returns how many, 0: there
 * are none, or -1: the socket is broken.
 */
static ssize_t read_unix(struct pa_rpipe *p, const struct iovec *pieces, unsigned n_pieces, size_t room)
{
	size_t fresh, take, old;
	ssize_t n = 0;
	int there = pa_net_waiting(p->fd);

	if (there < 0 || (size_t)there < p->done)
		return -1;
	fresh = (size_t)there - p->done;
	take = fresh > room ? room : fresh > 0 ? fresh - 1 : 0;
	/* Of what is dealt with one octet may stay where nothing comes behind it. */
	old = fresh > 0 ? p->done : p->done - (p->done > 0);
	if (old + take > 0)
		n = take_out(p, old, pieces, n_pieces, take);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if ((size_t)n < old + take) { /* what stands behind was sent with descriptors: the next call brings it */
		old = (size_t)n < p->done ? (size_t)n : p->done;
		p->done -= old;
		return n - (ssize_t)old;
	}
	p->done -= old;
	if (fresh == 0 || fresh > room)
		return (ssize_t)take;
	if (recv(p->fd, place(pieces, take), 1, MSG_PEEK | MSG_DONTWAIT) != 1)
		return -1;
	p->done = 1;
	return (ssize_t)take + 1;
}

/* As readv: 0 is the end. */
static ssize_t read_some(struct pa_rpipe *p, const struct iovec *pieces, unsigned n_pieces, size_t room)
{
	ssize_t n;

	if (!p->is_unix)
		return readv(p->fd, pieces, (int)n_pieces);
	n = read_unix(p, pieces, n_pieces, room);
	if (n != 0)
		return n;
	if (p->hup_in)
		return 0;
	errno = EAGAIN;
	return -1;
}

/* Asks to be told again of what is there still. */
static void again(struct pa_rpipe *p)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = p};

	(void)epoll_ctl(p->ps->epoll_fd, EPOLL_CTL_MOD, p->fd, &e);
}

/* From the program straight into what is sent to the server. False: the pipe is gone. */
static bool take_bytes(struct pa_rpipe *p)
{
	size_t taken = 0;

	p->stuffed = !send_early(p);
	for (unsigned reads = 0; !p->stuffed && !p->eof_in; reads++) {
		struct iovec to[PA_RLINK_PIECES];
		unsigned n_to = PA_RLINK_PIECES;
		size_t room;
		ssize_t n;

		if (taken >= TURN_MAX || reads == READS_MAX) {
			again(p);
			return true;
		}
		room = pa_rlink_reserve_pieces(p->s, to, &n_to);
		p->stuffed = room == 0;
		if (room == 0)
			return true;
		errno = 0;
		n = read_some(p, to, n_to, room);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			fail(p, PA_RELAY_E_RESET);
			return false;
		}
		if (n == 0)
			return end_input(p);
		pa_rlink_commit(p->s, (size_t)n);
		taken += (size_t)n;
	}
	return true;
}

/* ---------------------------------------------------------------- to the program */

/* False: the pipe is gone. */
static bool shut(struct pa_rpipe *p)
{
	if (!p->fin_wanted || p->fin_out || p->queue.q.len > 0)
		return true;
	p->fin_out = true;
	(void)shutdown(p->fd, SHUT_WR);
	return !over(p);
}

/* What waits for the program. False: the pipe is gone. */
static bool give_bytes(struct pa_rpipe *p)
{
	struct iovec pieces[2];
	struct msghdr m = {.msg_iov = pieces};

	while ((m.msg_iovlen = pa_rqueue_peek(&p->queue.q, pieces)) > 0) {
		ssize_t n = sendmsg(p->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			fail(p, PA_RELAY_E_RESET);
			return false;
		}
		pa_rpool_took(&p->queue, (size_t)n);
		pa_rlink_consumed(p->s, (size_t)n);
	}
	return shut(p);
}

/*
 * Its program has taken nothing for longest, and there is no room for what waits for others. It is not in the middle of something, for
 * pieces are of one session at a time (pa_rlink_more).
 */
static void end_unread(void *user)
{
	fail(user, PA_RELAY_E_LIMIT);
}

/* What came at once goes at once. False: the pipe is gone. */
static bool give_pieces(struct pa_rpipe *p)
{
	struct msghdr m = {.msg_iov = p->pieces, .msg_iovlen = p->n_pieces};
	ssize_t n = 0;

	if (p->queue.q.len == 0) {
		n = sendmsg(p->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			fail(p, PA_RELAY_E_RESET);
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

static void on_data(struct pa_relay_user *u, struct pa_rsession *s, const uint8_t *bytes, size_t len)
{
	struct pa_rpipe *p = (struct pa_rpipe *)u;

	p->pieces[p->n_pieces++] = (struct iovec){(void *)(uintptr_t)bytes, len};
	if (p->n_pieces == PA_RLINK_PIECES || !pa_rlink_more(s))
		(void)give_pieces(p);
}

static void on_fin(struct pa_relay_user *u, struct pa_rsession *s)
{
	struct pa_rpipe *p = (struct pa_rpipe *)u;

	(void)s;
	p->fin_wanted = true;
	(void)shut(p);
}

static void on_reset(struct pa_relay_user *u, struct pa_rsession *s, enum pa_relay_error error)
{
	struct pa_rpipe *p = (struct pa_rpipe *)u;

	(void)s;
	finish(p, error == PA_RELAY_E_OK ? PA_RELAY_E_RESET : error);
}

static void on_sweep(uv_timer_t *timer);

/* Reads on; a program that has closed altogether is not waited for without end. False: the pipe is gone. */
static bool read_on(struct pa_rpipe *p)
{
	if (!take_bytes(p))
		return false;
	if (is_aborted(p) && (p->stuffed || p->eof_in)) { /* nobody waits until there is room for the rest */
		fail(p, PA_RELAY_E_RESET);
		return false;
	}
	if (!p->hup || !p->eof_in || p->orphan_ms != 0)
		return true;
	p->orphan_ms = pa_now_get().boot_ms + ORPHAN_MS;
	if (!uv_is_active((uv_handle_t *)&p->ps->sweep))
		(void)uv_timer_start(&p->ps->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	return true;
}

static void on_writable(struct pa_relay_user *u, struct pa_rsession *s)
{
	struct pa_rpipe *p = (struct pa_rpipe *)u;

	(void)s;
	if (p->stuffed)
		(void)read_on(p);
}

static const struct pa_relay_user_ops user_ops = {.data = on_data, .fin = on_fin, .reset = on_reset, .writable = on_writable};

/* ---------------------------------------------------------------- events */

static void on_event(struct pa_rpipe *p, uint32_t events)
{
	int os = 0;
	socklen_t len = sizeof(os);

	if (p->s == NULL) /* an earlier event of the same batch has ended it */
		return;
	p->hup_in |= (events & (EPOLLRDHUP | EPOLLHUP)) != 0;
	p->hup |= (events & EPOLLHUP) != 0;
	if ((events & EPOLLERR) && getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &os, &len) == 0 && os != 0) {
		fail(p, PA_RELAY_E_RESET); /* closed with something unread, or torn down */
		return;
	}
	if ((events & EPOLLOUT) && !give_bytes(p))
		return;
	if ((!p->stuffed || is_aborted(p)) && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)))
		(void)read_on(p);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct epoll_event list[EVENTS];
	struct pa_rpipes *ps = poll->data;
	int n;

	(void)status;
	(void)events;
	n = epoll_wait(ps->epoll_fd, list, EVENTS, 0);
	ps->in_batch = true;
	for (int i = 0; i < n; i++)
		on_event(list[i].data.ptr, list[i].events);
	ps->in_batch = false;
	bury(ps);
}

static void on_sweep(uv_timer_t *timer)
{
	struct pa_rpipes *ps = timer->data;
	uint64_t now = pa_now_get().boot_ms;
	bool more = false;

	ps->in_batch = true;
	for (struct pa_rpipe *p = ps->pipes, *next; p != NULL; p = next) {
		next = p->next;
		more |= p->orphan_ms != 0;
		if (p->orphan_ms != 0 && now >= p->orphan_ms) {
			fail(p, PA_RELAY_E_TIMEOUT);
			next = ps->pipes;
		}
	}
	ps->in_batch = false;
	bury(ps);
	if (!more)
		(void)uv_timer_stop(timer);
}

/* ---------------------------------------------------------------- life */

int pa_rpipe_new(struct pa_rpipes *ps, struct pa_rsession *s, const struct pa_rpipe_config *cfg, struct pa_rpipe **ret)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	struct linger reset = {1, 0};
	struct pa_rpipe *p = calloc(1, sizeof(*p));

	PA_REQUIRE(cfg->early_len <= PA_RPIPE_EARLY_MAX && cfg->filler <= sizeof(ps->scratch));
	if (p == NULL)
		return PA_ENOMEM;
	if (cfg->early_len > 0) {
		p->early = malloc(cfg->early_len);
		if (p->early == NULL) {
			free(p);
			return PA_ENOMEM;
		}
		memcpy(p->early, cfg->early, cfg->early_len);
		p->early_len = cfg->early_len;
	}
	p->user.ops = &user_ops;
	p->ps = ps;
	p->s = s;
	pa_rpool_join(&ps->pool, &p->queue, cfg->uid, p);
	p->fd = cfg->fd;
	p->is_unix = cfg->filler > 0;
	p->done = cfg->filler;
	p->abrupt = cfg->abrupt;
	p->ended = cfg->ended;
	p->ctx = cfg->ctx;
	e.data.ptr = p;
	if (fcntl(p->fd, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(ps->epoll_fd, EPOLL_CTL_ADD, p->fd, &e) < 0) {
		free(p->early);
		free(p);
		return PA_EIO;
	}
	if (!p->is_unix)
		(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	p->next = ps->pipes;
	if (p->next != NULL)
		p->next->prev = p;
	ps->pipes = p;
	pa_rsession_set_user(s, p);
	*ret = p; /* the first events come from the loop, and with them the reading begins */
	return 0;
}

void pa_rpipe_set_abrupt(struct pa_rpipe *p, bool abrupt)
{
	struct pollfd now = {.fd = p->fd, .events = POLLRDHUP};

	/* How it ends is another matter from now on. What it has ended already was a good end, also if its event is still to come. */
	if (abrupt && !p->abrupt && poll(&now, 1, 0) > 0) {
		if ((now.revents & POLLHUP) != 0)
			return;
		p->hup_in = true;
		if (!p->stuffed && !read_on(p))
			return;
	}
	p->abrupt = abrupt;
}

void pa_rpipe_free(struct pa_rpipe *p, enum pa_relay_error error)
{
	if (p == NULL)
		return;
	pa_turelay_end(p->ps->relay, p->s, error);
	drop(p, false);
}

int pa_rpipes_new(uv_loop_t *loop, struct pa_turelay *relay, struct pa_rpipes **ret)
{
	struct pa_rpipes *ps = calloc(1, sizeof(*ps));

	if (ps == NULL)
		return PA_ENOMEM;
	pa_rpool_init(&ps->pool, QUEUED_MAX, ps->users, USERS);
	ps->relay = relay;
	ps->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ps->epoll_fd < 0 || uv_poll_init(loop, &ps->poll, ps->epoll_fd) < 0) {
		if (ps->epoll_fd >= 0)
			close(ps->epoll_fd);
		free(ps);
		return PA_EIO;
	}
	(void)uv_timer_init(loop, &ps->sweep);
	ps->poll.data = ps->sweep.data = ps;
	ps->open = 2;
	(void)uv_poll_start(&ps->poll, UV_READABLE, on_poll);
	*ret = ps;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct pa_rpipes *ps = h->data;

	if (--ps->open > 0)
		return;
	close(ps->epoll_fd);
	bury(ps);
	free(ps);
}

void pa_rpipes_close(struct pa_rpipes *ps)
{
	if (ps == NULL)
		return;
	PA_REQUIRE(ps->pipes == NULL);
	uv_close((uv_handle_t *)&ps->poll, on_closed);
	uv_close((uv_handle_t *)&ps->sweep, on_closed);
}

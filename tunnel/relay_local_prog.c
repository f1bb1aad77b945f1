/* SPDX-License-Identifier: MPL-2.0 */
/* Sessions of programs: what each is, what becomes of it, and how the program sees it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/err.h"
#include "tunnel/relay_local_int.h"

#define TURN 64 /* datagrams taken from a program before others have their turn */
#define SWEEP_MS 10000

/* ---------------------------------------------------------------- the table */

struct pa_rprog *pa_rprog_find(const struct pa_rlocald *d, uint64_t id)
{
	struct pa_rprog *p = d->buckets[id % PA_RLOCALD_BUCKETS];

	while (p != NULL && p->id != id)
		p = p->next_hash;
	return p;
}

static const struct pa_relay_user_ops user_ops;

/* A call is under way no longer, over: nor is there a session. */
static void uncount(struct pa_rprog *p, bool over)
{
	if (p->call_counted)
		pa_rshares_put(&p->d->shares, p->caller.uid, PA_RSHARE_CALLS);
	p->call_counted = false;
	if (over && p->session_counted)
		pa_rshares_put(&p->d->shares, p->caller.uid, PA_RSHARE_SESSIONS);
	p->session_counted = p->session_counted && !over;
}

/*
 * A new one with an id of random numbers: who knows it may ask about it, which is as much as /proc/net/tcp tells of a connection of
 * the kernel's. NULL: no memory, or too many, of all or of that user.
 */
static struct pa_rprog *prog_new(struct pa_rlocald *d, uint8_t kind, const struct pa_turelay_caller *caller)
{
	struct pa_rprog *p = d->n_progs - d->n_over < PA_RELAY_SESSIONS_MAX ? calloc(1, sizeof(*p)) : NULL;

	if (p == NULL || !pa_rshares_take(&d->shares, caller->uid, PA_RSHARE_SESSIONS, PA_RLOCALD_SESSIONS_OF_UID)) {
		free(p);
		return NULL;
	}
	p->session_counted = true;
	p->user.ops = &user_ops;
	p->d = d;
	p->kind = kind;
	p->state = PA_RLOCAL_CALLING;
	p->caller = *caller;
	p->fd = p->program_fd = -1;
	do
		pa_random((uint8_t *)&p->id, sizeof(p->id));
	while (p->id == 0 || pa_rprog_find(d, p->id) != NULL);
	p->next_hash = d->buckets[p->id % PA_RLOCALD_BUCKETS];
	d->buckets[p->id % PA_RLOCALD_BUCKETS] = p;
	d->n_progs++;
	return p;
}

static void on_poll_closed(uv_handle_t *h)
{
	free(h);
}

static void close_fds(struct pa_rprog *p)
{
	if (p->poll != NULL)
		uv_close((uv_handle_t *)p->poll, on_poll_closed);
	p->poll = NULL;
	if (p->fd >= 0)
		close(p->fd);
	if (p->program_fd >= 0)
		close(p->program_fd);
	p->fd = p->program_fd = -1;
}

static void prog_free(struct pa_rprog *p)
{
	struct pa_rprog **at = &p->d->buckets[p->id % PA_RLOCALD_BUCKETS];

	while (*at != p)
		at = &(*at)->next_hash;
	*at = p->next_hash;
	p->d->n_progs--;
	uncount(p, true);
	pa_turelay_unwant(p->d->cfg.relay, &p->want);
	close_fds(p);
	free(p);
}

static void forget_oldest(struct pa_rlocald *d)
{
	struct pa_rprog *p = d->over;

	d->over = p->next_over;
	if (d->over == NULL)
		d->over_last = NULL;
	d->n_over--;
	prog_free(p);
}

static void on_sweep(uv_timer_t *timer)
{
	struct pa_rlocald *d = timer->data;
	uint64_t now = pa_now_get().boot_ms;

	while (d->over != NULL && now >= d->over->over_ms + PA_RLOCAL_REMEMBER_S * 1000)
		forget_oldest(d);
	if (d->over == NULL)
		(void)uv_timer_stop(timer);
}

/* It is over, and can be asked about for a while. */
static void remember(struct pa_rprog *p, enum pa_rlocal_state state, enum pa_relay_error error)
{
	struct pa_rlocald *d = p->d;

	p->state = (uint8_t)state;
	p->error = (uint8_t)error;
	uncount(p, true);
	p->s = NULL;
	p->pipe = NULL;
	p->over_ms = pa_now_get().boot_ms;
	close_fds(p);
	pa_turelay_unwant(d->cfg.relay, &p->want);
	if (d->over == NULL && !d->closing)
		(void)uv_timer_start(&d->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	if (d->over_last != NULL)
		d->over_last->next_over = p;
	else
		d->over = p;
	d->over_last = p;
	if (++d->n_over > PA_RLOCALD_REMEMBERED_MAX)
		forget_oldest(d);
}

void pa_rprog_close_all(struct pa_rlocald *d)
{
	for (unsigned i = 0; i < PA_RLOCALD_BUCKETS; i++) {
		while (d->buckets[i] != NULL) {
			struct pa_rprog *p = d->buckets[i];

			if (p->pipe != NULL)
				pa_rpipe_free(p->pipe, PA_RELAY_E_RESET);
			else if (p->s != NULL)
				pa_turelay_end(d->cfg.relay, p->s, PA_RELAY_E_RESET);
			prog_free(p);
		}
	}
	d->over = d->over_last = NULL;
	d->n_over = 0;
}

/* ---------------------------------------------------------------- results */

/* The answer to who waits for it; fd as for pa_rasker_tell. */
static bool tell_result(struct pa_rprog *p, int fd)
{
	struct pa_rlocal m = {.type = PA_RELAY_RESULT, .id = p->id, .body = {.error = p->error, .local = p->local, .remote = p->remote}};
	struct pa_rasker *a = p->asker;
	bool told;

	if (a == NULL)
		return false;
	p->asker = NULL;
	a->prog = NULL;
	told = pa_rasker_tell(a, &m, fd);
	pa_rasker_close(a);
	return told;
}

/* The call came to nothing: the program's end fails with ECONNRESET, for what it has sent is not read; INFO knows better. */
static void fail(struct pa_rprog *p, enum pa_relay_error error)
{
	p->error = (uint8_t)error;
	(void)tell_result(p, -1);
	remember(p, PA_RLOCAL_FAILED, error);
}

static void on_pipe_ended(void *ctx, enum pa_relay_error error)
{
	remember(ctx, PA_RLOCAL_OVER, error);
}

/* False: the session and our descriptor are still the caller's. */
static bool tie(struct pa_rprog *p)
{
	struct pa_rpipe_config cfg = {
		.fd = p->fd, .filler = p->filler, .uid = p->caller.uid, .abrupt = p->abrupt, .ended = on_pipe_ended, .ctx = p};

	if (pa_rpipe_new(p->d->cfg.pipes, p->s, &cfg, &p->pipe) < 0)
		return false;
	p->fd = -1;
	p->state = PA_RLOCAL_CONNECTED;
	uncount(p, false);
	return true;
}

static void end_session(struct pa_rprog *p, enum pa_relay_error error)
{
	struct pa_rsession *s = p->s;

	p->s = NULL;
	pa_turelay_end(p->d->cfg.relay, s, error);
}

static void connected(struct pa_rprog *p)
{
	pa_rfd_widen(p->program_fd);
	if (!tie(p)) {
		end_session(p, PA_RELAY_E_LIMIT);
		fail(p, PA_RELAY_E_LIMIT);
		return;
	}
	close(p->program_fd);
	p->program_fd = -1;
	(void)tell_result(p, -1);
}

static void on_program(uv_poll_t *poll, int status, int events);

/* Makes the descriptors of a listening or datagram session. */
static int make_packets(struct pa_rprog *p)
{
	int fds[2], rc = pa_rfd_pair(SOCK_SEQPACKET, p->d->cfg.iface, p->id, 0, fds, &p->filler);

	if (rc < 0)
		return rc;
	p->fd = fds[0];
	p->program_fd = fds[1];
	p->poll = calloc(1, sizeof(*p->poll));
	if (p->poll == NULL)
		return PA_ENOMEM;
	if (uv_poll_init(p->d->cfg.loop, p->poll, p->fd) < 0) {
		free(p->poll);
		p->poll = NULL;
		return PA_ENOMEM;
	}
	p->poll->data = p;
	(void)uv_poll_start(p->poll, UV_READABLE, on_program);
	return 0;
}

static void opened(struct pa_rprog *p)
{
	if (make_packets(p) < 0) {
		end_session(p, PA_RELAY_E_LIMIT);
		fail(p, PA_RELAY_E_LIMIT);
		return;
	}
	p->state = PA_RLOCAL_CONNECTED;
	(void)tell_result(p, p->program_fd); /* if nobody has it, we are told that it is closed */
	close(p->program_fd);
	p->program_fd = -1;
}

/* ---------------------------------------------------------------- what the relay says */

static void on_result(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_rprog *p = (struct pa_rprog *)u;

	(void)s;
	if (b->error != PA_RELAY_E_OK) {
		end_session(p, PA_RELAY_E_OK);
		fail(p, (enum pa_relay_error)b->error);
		return;
	}
	p->local = b->local;
	p->remote = b->remote;
	if (p->kind == PA_RELAY_TCP)
		connected(p);
	else
		opened(p);
}

static void on_reset(struct pa_relay_user *u, struct pa_rsession *s, enum pa_relay_error error)
{
	struct pa_rprog *p = (struct pa_rprog *)u;

	(void)s;
	p->s = NULL;
	if (p->state == PA_RLOCAL_CALLING)
		fail(p, error);
	else
		remember(p, PA_RLOCAL_OVER, error);
}

/* A session of somebody who called, with its program's end in program_fd; NULL: refuse it. */
static struct pa_rprog *take_call(struct pa_rprog *listener, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_rlocald *d = listener->d;
	struct pa_rprog *p = prog_new(d, PA_RELAY_TCP, &listener->caller);
	int fds[2];

	if (p == NULL)
		return NULL;
	p->local = b->local;
	p->remote = b->remote;
	p->want.need = PA_TURELAY_LINK;
	(void)pa_turelay_want(d->cfg.relay, &p->want);
	p->want.told = true;
	if (pa_rfd_pair(SOCK_STREAM, d->cfg.iface, p->id, 1, fds, &p->filler) == 0) {
		p->fd = fds[0];
		p->program_fd = fds[1];
		p->s = s;
		if (tie(p))
			return p;
	}
	prog_free(p);
	return NULL;
}

static void on_incoming(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_rprog *listener = (struct pa_rprog *)u, *p = listener->kind == PA_RELAY_TCP_LISTEN ? take_call(listener, s, b) : NULL;
	struct pa_rlocal m = {.type = PA_RELAY_INCOMING, .body = {.local = b->local, .remote = b->remote}};
	uint8_t buf[PA_RLOCAL_LEN_MAX];
	int len;

	if (p == NULL) {
		pa_turelay_end(listener->d->cfg.relay, s, PA_RELAY_E_LIMIT);
		return;
	}
	m.id = p->id;
	len = pa_rlocal_encode(&m, buf, sizeof(buf));
	/* A program that does not accept in time: its queue is full, and the peer has to try again. */
	if (pa_rfd_send(listener->fd, buf, (size_t)len, NULL, 0, p->program_fd) < 0) {
		pa_rpipe_free(p->pipe, PA_RELAY_E_LIMIT);
		prog_free(p);
		return;
	}
	close(p->program_fd);
	p->program_fd = -1;
}

static void on_datagram(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes,
			size_t len)
{
	struct pa_rprog *p = (struct pa_rprog *)u;
	struct pa_relay_body b = {.remote = *peer};
	uint8_t head[PA_RELAY_DATAGRAM_LEN];

	(void)s;
	/* What the program does not take in time is lost, as on any network; who listens has nothing to do with datagrams. */
	if (p->kind != PA_RELAY_UDP || pa_relay_encode(PA_RELAY_DATAGRAM, &b, head, sizeof(head)) < 0 ||
	    pa_rfd_send(p->fd, head, sizeof(head), bytes, len, -1) < 0)
		p->d->dropped++;
}

/* As a kernel does it: a socket that is connected is told, another one sends to many and is not. */
static void on_undelivered(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_endpoint *peer, enum pa_relay_error error)
{
	struct pa_rprog *p = (struct pa_rprog *)u;
	uint8_t trouble[PA_RELAY_DATAGRAM_LEN];

	(void)s;
	if (p->kind != PA_RELAY_UDP || !pa_endpoint_eq(peer, &p->remote))
		return;
	pa_rlocal_trouble_encode(error, peer->port, trouble);
	(void)pa_rfd_send(p->fd, trouble, sizeof(trouble), NULL, 0, -1);
}

static const struct pa_relay_user_ops user_ops = {.result = on_result,
						  .incoming = on_incoming,
						  .datagram = on_datagram,
						  .undelivered = on_undelivered,
						  .reset = on_reset};

/* ---------------------------------------------------------------- what the program says */

/* The program has closed its descriptor: nobody is left who could ask. */
static void program_gone(struct pa_rprog *p)
{
	end_session(p, PA_RELAY_E_OK);
	prog_free(p);
}

static void on_program(uv_poll_t *poll, int status, int events)
{
	uint8_t buf[PA_RELAY_BODY_MAX];
	struct pa_rprog *p = poll->data;

	(void)status;
	(void)events;
	for (int i = 0; i < TURN; i++) {
		ssize_t n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
		struct pa_relay_body b;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			program_gone(p);
			return;
		}
		if (p->kind == PA_RELAY_UDP && (size_t)n <= sizeof(buf) &&
		    pa_relay_decode(PA_RELAY_DATAGRAM, buf, (size_t)n, &b) == 0 &&
		    pa_rlink_datagram(p->s, &b.remote, buf + b.payload, (size_t)n - b.payload))
			continue;
		p->d->dropped++;
	}
}

void pa_rprog_set(struct pa_rprog *p, bool abrupt, const struct pa_endpoint *peer)
{
	if (p->kind == PA_RELAY_UDP)
		p->remote = *peer;
	if (p->kind != PA_RELAY_TCP)
		return;
	p->abrupt = abrupt;
	if (p->pipe != NULL)
		pa_rpipe_set_abrupt(p->pipe, abrupt);
}

/* ---------------------------------------------------------------- beginning */

static void begin(struct pa_rprog *p)
{
	struct pa_relay_body b = {.kind = p->kind, .local.port = p->local.port, .remote = p->remote};

	p->s = pa_turelay_open(p->d->cfg.relay, &b, &p->user, &p->caller);
	if (p->s == NULL)
		fail(p, PA_RELAY_E_LIMIT);
}

static void on_link(void *ctx, enum pa_relay_error error)
{
	struct pa_rprog *p = ctx;

	if (error != PA_RELAY_E_OK)
		fail(p, error);
	else
		begin(p);
}

/* The program has its descriptor before anything else is done. */
static bool tell_called(struct pa_rprog *p)
{
	struct pa_rlocal m = {.type = PA_RLOCAL_CALLED, .id = p->id};
	int fds[2];

	if (pa_rfd_pair(SOCK_STREAM, p->d->cfg.iface, p->id, SIZE_MAX, fds, &p->filler) < 0)
		return false;
	p->fd = fds[0];
	p->program_fd = fds[1];
	return pa_rasker_tell(p->asker, &m, p->program_fd);
}

void pa_rprog_open(struct pa_rasker *a)
{
	struct pa_turelay_caller caller = {.via = "socket", .uid = a->cred.uid, .pid = a->cred.pid};
	const struct pa_relay_body *b = &a->request.body;
	struct pa_rprog *p = prog_new(a->d, b->kind, &caller);
	struct pa_rlocal no = {.type = PA_RELAY_RESULT, .body.error = PA_RELAY_E_LIMIT};

	if (p == NULL) {
		(void)pa_rasker_tell(a, &no, -1);
		pa_rasker_close(a);
		return;
	}
	p->local.port = b->local.port;
	p->remote = b->remote;
	p->asker = a;
	a->prog = p;
	p->want = (struct pa_turelay_want){.need = PA_TURELAY_LINK, .ready = on_link, .ctx = p};
	p->call_counted = p->kind == PA_RELAY_TCP && pa_rshares_take(&a->d->shares, caller.uid, PA_RSHARE_CALLS, PA_RLOCALD_CALLS_OF_UID);
	if (p->kind == PA_RELAY_TCP && (!p->call_counted || !tell_called(p)))
		fail(p, PA_RELAY_E_LIMIT);
	else if (pa_turelay_want(a->d->cfg.relay, &p->want))
		begin(p);
}

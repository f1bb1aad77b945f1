/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The gateway's sockets for control messages. They have queues of their own, so that a flood of them does not push data out
 * of the socket's buffer, and a flood of handshakes not the messages of those that are bound. When most of what comes, and much,
 * does not prove genuine, the sockets are no longer waited for: each REST_MS they are emptied, sessions first, by many messages
 * at once and with a share of the processor. What does not fit into the queues meanwhile the kernel drops. Sessions come first in any
 * case: a new client waits for his turn, but one that is bound and cannot show that he is there is given up. Of these the answers to our
 * questions come first. After a restart every client is asked, maybe a million at once, who repeat themselves while they wait: so
 * whoever's turn it is is dealt with to the end, where otherwise the repetitions of all others would stand before his answer. Our
 * answers to one batch leave by one call.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/err.h"
#include "common/proto.h"
#include "tunnel/dp_user_int.h"
#include "tunnel/net_udp.h"

#define REST_MS 4
#define SHARE 40 /* percent of a processor */
#define BUDGET_NS (REST_MS * UINT64_C(10000) * SHARE)
#define MANY 64 /* refused in REST_MS: 16,000 a second */
#define KINDS PA_STEER_DATA /* of sockets; of two the one with the higher number comes first */
#define ROUNDS 2 /* batches for each wake-up */
#define URGENT_ROUNDS 16 /* of what is more urgent, before a batch */
#define ANSWERS (2 * PA_RX_BATCH_MAX) /* no message has more than two */

struct control_sock {
	struct pa_control *control;
	unsigned kind; /* PA_STEER_HANDSHAKE, _SESSION, _CONFIRM */
	int fd; /* -1: none */
	uv_poll_t *poll;
};

/* Control messages on their way out, all by one socket. */
struct answers {
	struct mmsghdr msgs[ANSWERS];
	struct iovec iovs[ANSWERS];
	struct sockaddr_storage to[ANSWERS];
	uint8_t data[ANSWERS][PA_CTL_MAX];
	unsigned n;
	int fd;
	bool collect; /* while a batch is being received */
};

struct pa_control {
	struct pa_dp *dp;
	struct pa_rx *rx;
	struct answers answers;
	struct control_sock socks[PA_DP_SOCKETS_MAX][KINDS];
	uv_timer_t *timer;  /* while resting */
	uint64_t window_ms; /* uv_now at its start */
	unsigned taken, refused; /* in this window */
};

static uint64_t thread_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void on_readable(uv_poll_t *h, int status, int events);

static void each_poll(struct pa_control *c, bool run)
{
	for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++) {
		for (unsigned k = 0; k < KINDS; k++) {
			if (c->socks[i][k].poll == NULL)
				continue;
			if (run)
				(void)uv_poll_start(c->socks[i][k].poll, UV_READABLE, on_readable);
			else
				(void)uv_poll_stop(c->socks[i][k].poll);
		}
	}
}

static void flush(struct pa_control *c)
{
	struct answers *a = &c->answers;
	unsigned at = 0;

	while (at < a->n) {
		int n = sendmmsg(a->fd, a->msgs + at, a->n - at, MSG_DONTWAIT);

		c->dp->control_errors += n <= 0;
		at += n > 0 ? (unsigned)n : 1; /* the first of them could not be sent */
	}
	a->n = 0;
}

bool pa_control_collect(struct pa_control *c, int fd, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct answers *a = &c->answers;
	struct msghdr *h;

	if (a->n > 0 && (a->fd != fd || a->n == ANSWERS || len > PA_CTL_MAX))
		flush(c);
	if (!a->collect || len > PA_CTL_MAX)
		return false;
	h = &a->msgs[a->n].msg_hdr;
	memcpy(a->data[a->n], buf, len);
	a->iovs[a->n] = (struct iovec){a->data[a->n], len};
	*h = (struct msghdr){.msg_iov = &a->iovs[a->n], .msg_iovlen = 1, .msg_name = &a->to[a->n]};
	h->msg_namelen = pa_sockaddr_to(to, &a->to[a->n]);
	a->fd = fd;
	a->n++;
	return true;
}

/* Reads a batch of one socket; true if there may be more. Data comes here only behind a control message of the same flow. */
static bool read_batch(struct pa_control *c, struct control_sock *s)
{
	unsigned local = (unsigned)((size_t)(s - &c->socks[0][0]) / KINDS);
	unsigned max = s->kind == PA_STEER_HANDSHAKE ? PA_RX_BATCH : PA_RX_BATCH_MAX; /* those of handshakes cost much */
	int n;

	if (s->fd < 0)
		return false;

	c->answers.collect = true;
	n = pa_rx_batch(c->rx, c->dp->lanes[0], s->fd, local, max, &c->refused);
	c->answers.collect = false;
	flush(c);
	c->taken += n > 0 ? (unsigned)n : 0;
	return n == (int)max;
}

/* spent: the share was used up before the sockets were empty. Then few that cost much are as good as many. */
static bool is_flood(const struct pa_control *c, bool spent)
{
	return (spent || c->refused >= MANY) && c->refused > c->taken / 2;
}

/* With the share of the processor that began at start: the answers to our questions and other messages of sessions in turns. */
static void read_share(struct pa_control *c, uint64_t start)
{
	bool more;

	do {
		more = false;
		for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++)
			for (unsigned k = PA_STEER_CONFIRM; k >= PA_STEER_SESSION; k--)
				if (thread_ns() - start < BUDGET_NS && read_batch(c, &c->socks[i][k]))
					more = true;
	} while (more);
	for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++)
		while (thread_ns() - start < BUDGET_NS && read_batch(c, &c->socks[i][PA_STEER_HANDSHAKE]))
			;
}

static void on_rested(uv_timer_t *t)
{
	struct pa_control *c = t->data;
	uint64_t start = thread_ns();

	c->taken = c->refused = 0;
	read_share(c, start);
	if (is_flood(c, thread_ns() - start >= BUDGET_NS))
		return;
	(void)uv_timer_stop(t);
	each_poll(c, true);
}

/* Reads what is more urgent than kind, and before each batch of it what is still more so. */
static void read_urgent(struct pa_control *c, unsigned kind)
{
	if (kind + 1 == KINDS)
		return;
	for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++) {
		for (unsigned n = 0; n < URGENT_ROUNDS && !is_flood(c, false); n++) {
			read_urgent(c, kind + 1);
			if (!read_batch(c, &c->socks[i][kind + 1]))
				break;
		}
	}
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	struct control_sock *s = h->data;
	struct pa_control *c = s->control;
	uint64_t now = uv_now(c->dp->cfg.loop);

	if (status < 0 || (events & UV_READABLE) == 0)
		return;
	if (now - c->window_ms >= REST_MS) {
		c->window_ms = now;
		c->taken = c->refused = 0;
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		read_urgent(c, s->kind);
		if (!read_batch(c, s))
			break;
	}
	if (!is_flood(c, false))
		return;
	each_poll(c, false);
	(void)uv_timer_start(c->timer, on_rested, REST_MS, REST_MS);
}

int pa_control_new(struct pa_dp *dp, struct pa_control **ret)
{
	struct pa_control *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return PA_ENOMEM;
	c->dp = dp;
	for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++)
		for (unsigned k = 0; k < KINDS; k++)
			c->socks[i][k] = (struct control_sock){.control = c, .kind = k, .fd = -1};
	c->timer = calloc(1, sizeof(*c->timer));
	rc = c->timer != NULL ? pa_rx_new(dp, true, PA_RX_BATCH_MAX, &c->rx) : PA_ENOMEM;
	if (rc < 0 || uv_timer_init(dp->cfg.loop, c->timer) < 0) {
		pa_rx_free(c->rx);
		free(c->timer);
		free(c);
		return rc < 0 ? rc : PA_EIO;
	}
	c->timer->data = c;
	*ret = c;
	return 0;
}

static void free_handle(uv_handle_t *h)
{
	free(h);
}

void pa_control_free(struct pa_control *c)
{
	if (c == NULL)
		return;
	for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++)
		for (unsigned k = 0; k < KINDS; k++)
			pa_poll_stop(&c->socks[i][k].poll);
	uv_close((uv_handle_t *)c->timer, free_handle);
	pa_rx_free(c->rx);
	free(c);
}

int pa_control_set(struct pa_control *c, unsigned local, const int *fds)
{
	for (unsigned k = 0; k < KINDS; k++) {
		struct control_sock *s = &c->socks[local][k];
		int rc = pa_poll_start(c->dp->cfg.loop, fds[k], s, on_readable, &s->poll);

		if (rc < 0)
			return rc;
		s->fd = fds[k];
	}
	pa_control_use_gro(c, local, (c->dp->cfg.without & PA_DP_NO_GRO) == 0);
	return 0;
}

/* The kernel asks one socket of a group, whichever, whether it may join datagrams of a flow. */
void pa_control_use_gro(struct pa_control *c, unsigned local, bool on)
{
	for (unsigned k = 0; k < KINDS; k++)
		if (c->socks[local][k].fd >= 0)
			pa_gro_use(c->socks[local][k].fd, on);
}

int pa_control_fd(const struct pa_control *c, unsigned local)
{
	return c->socks[local][PA_STEER_SESSION].fd;
}

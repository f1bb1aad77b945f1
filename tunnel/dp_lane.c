/* SPDX-License-Identifier: MPL-2.0 */
/* The lanes of the userspace data path: which descriptors are waited for, and on which thread. */
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/err.h"
#include "tunnel/dp_user_int.h"

static void free_handle(uv_handle_t *h)
{
	free(h);
}

int pa_poll_start(uv_loop_t *loop, int fd, void *data, uv_poll_cb cb, uv_poll_t **ret)
{
	uv_poll_t *poll = calloc(1, sizeof(*poll));

	if (poll == NULL)
		return PA_ENOMEM;
	if (uv_poll_init(loop, poll, fd) < 0) {
		free(poll);
		return PA_EINVAL;
	}
	poll->data = data;
	if (uv_poll_start(poll, UV_READABLE, cb) < 0) {
		uv_close((uv_handle_t *)poll, free_handle);
		return PA_EINVAL;
	}
	*ret = poll;
	return 0;
}

void pa_poll_stop(uv_poll_t **poll)
{
	if (*poll == NULL)
		return;
	(void)uv_poll_stop(*poll);
	uv_close((uv_handle_t *)*poll, free_handle);
	*poll = NULL;
}

/* What is no TUN device, in a test, has no header before its packets. */
static bool has_vnet_header(int fd)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	return ioctl(fd, TUNGETIFF, &ifr) == 0 && (ifr.ifr_flags & IFF_VNET_HDR) != 0;
}

struct pa_lane *pa_lane_of(const struct pa_dp *dp, const struct pa_addr *inner)
{
	return dp->lanes[pa_steer(inner, dp->n_lanes)];
}

struct pa_peer *pa_lane_peer(struct pa_lane *l, const struct pa_addr *inner, struct pa_peer *copy)
{
	struct pa_peer *p = pa_peers_find(l->peers, inner);
	struct pa_dp_peer found;

	if (p != NULL || l->others.other == NULL || !l->others.find(l->others.other, inner, &found))
		return p;
	memset(copy, 0, sizeof(*copy));
	copy->inner = *inner;
	copy->outer = found.outer;
	copy->local = found.local;
	copy->mtu = found.mtu;
	copy->elsewhere = true;
	return copy;
}

bool pa_lane_take(struct pa_lane *l, struct pa_peer *p, uint64_t now_ms, bool tx, unsigned n, size_t bytes)
{
	const struct pa_rate *rate = &l->dp->cfg.rate;

	if (p->elsewhere) {
		if (!l->others.take(l->others.other, &p->inner, tx, n, bytes))
			return false;
	} else if (rate->burst_ns != 0 && !pa_rate_take(rate, tx ? &p->tx : &p->rx, now_ms * 1000000, n, (uint32_t)bytes)) {
		return false;
	}
	*(tx ? &p->stats.tx_packets : &p->stats.rx_packets) += n;
	*(tx ? &p->stats.tx_bytes : &p->stats.rx_bytes) += bytes;
	*(tx ? &l->total.tx_packets : &l->total.rx_packets) += n;
	*(tx ? &l->total.tx_bytes : &l->total.rx_bytes) += bytes;
	if (!tx)
		p->stats.rx_seen_ms = now_ms;
	return true;
}

static void on_tun(uv_poll_t *h, int status, int events)
{
	struct pa_lane *l = h->data;

	if (status < 0 || (events & UV_READABLE) == 0)
		return;
	for (int i = 0; i < PA_DP_ROUNDS; i++) {
		bool more = pa_tx_fill(l);

		if (!pa_tx_send(l) || !more)
			return;
	}
}

static void on_socket(uv_poll_t *h, int status, int events);

void pa_lane_hold_back(struct pa_lane *l, struct pa_lane_sock *s)
{
	if (uv_poll_start(s->poll, UV_READABLE | UV_WRITABLE, on_socket) == 0)
		(void)uv_poll_stop(l->tun_poll);
}

static void go_on(struct pa_lane *l)
{
	if (l->tun_poll != NULL && pa_tx_send(l))
		(void)uv_poll_start(l->tun_poll, UV_READABLE, on_tun);
}

static void on_socket(uv_poll_t *h, int status, int events)
{
	struct pa_lane_sock *s = h->data;
	struct pa_lane *l = s->lane;
	unsigned refused = 0;

	if ((events & UV_WRITABLE) != 0) {
		(void)uv_poll_start(s->poll, UV_READABLE, on_socket);
		go_on(l);
	}
	if (status < 0 || (events & UV_READABLE) == 0)
		return;
	/* A control message may close the socket. */
	for (int i = 0; i < PA_DP_ROUNDS && s->poll == h; i++)
		if (pa_rx_batch(l->rx, l, s->fd, (unsigned)(s - l->socks), PA_RX_BATCH, &refused) < PA_RX_BATCH)
			return;
}

int pa_lane_set_tun(struct pa_lane *l, int fd)
{
	pa_poll_stop(&l->tun_poll);
	pa_tx_reset(l->tx); /* it was read from the former device */
	l->tun = fd;
	l->vnet = fd >= 0 && has_vnet_header(fd);
	return fd >= 0 ? pa_poll_start(l->loop, fd, l, on_tun, &l->tun_poll) : 0;
}

int pa_lane_set_socket(struct pa_lane *l, unsigned local, int fd)
{
	struct pa_lane_sock *s = &l->socks[local];
	int rc;

	pa_poll_stop(&s->poll);
	s->fd = -1;
	if (fd >= 0) {
		s->gso = (l->dp->cfg.without & PA_DP_NO_GSO) == 0 && pa_gso_works(fd);
		pa_gro_use(fd, (l->dp->cfg.without & PA_DP_NO_GRO) == 0);
		pa_gro_use_class(fd);
	}
	rc = fd >= 0 ? pa_poll_start(l->loop, fd, s, on_socket, &s->poll) : 0;
	if (rc == 0)
		s->fd = fd;
	/* If a batch waited for room in the former socket, nobody else will send it. */
	go_on(l);
	return rc;
}

/* ---- threads ---- */

static void close_all(struct pa_lane *l)
{
	pa_poll_stop(&l->tun_poll);
	for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++)
		pa_poll_stop(&l->socks[i].poll);
}

static void on_stop(uv_async_t *h)
{
	close_all(h->data);
	uv_close((uv_handle_t *)h, NULL);
}

static void run_lane(void *arg)
{
	struct pa_lane *l = arg;

	(void)uv_run(l->loop, UV_RUN_DEFAULT);
}

/* Signals are the main thread's: a new thread inherits the mask that it is made with. */
int pa_lane_start(struct pa_lane *l)
{
	sigset_t all, former;
	int rc;

	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS); /* of the system call filter, which reports */
	(void)pthread_sigmask(SIG_SETMASK, &all, &former);
	rc = uv_thread_create(&l->thread, run_lane, l);
	(void)pthread_sigmask(SIG_SETMASK, &former, NULL);
	l->has_thread = rc == 0;
	return rc == 0 ? 0 : PA_EIO;
}

static int own_loop(struct pa_lane *l)
{
	if (uv_loop_init(&l->own_loop) < 0)
		return PA_EIO;
	l->loop = &l->own_loop;
	l->has_loop = true;
	l->stop.data = l;
	return uv_async_init(l->loop, &l->stop, on_stop) < 0 ? PA_EIO : 0;
}

int pa_lane_new(struct pa_dp *dp, unsigned number, int tun, struct pa_lane **ret)
{
	struct pa_lane *l = calloc(1, sizeof(*l));
	int rc = PA_ENOMEM;

	if (l == NULL)
		return PA_ENOMEM;
	l->dp = dp;
	l->loop = dp->cfg.loop;
	l->tun = -1;
	for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++)
		l->socks[i] = (struct pa_lane_sock){.lane = l, .fd = -1};
	l->has_lock = uv_mutex_init(&l->lock) == 0;
	if (l->has_lock && pa_peers_new(&l->peers) == 0 && pa_tx_new(&l->tx) == 0 &&
	    pa_rx_new(dp, !dp->threads, PA_RX_BATCH, &l->rx) == 0)
		rc = dp->threads ? own_loop(l) : 0;
	dp->lanes[number] = l;
	if (rc == 0)
		rc = pa_lane_set_tun(l, tun);
	*ret = l;
	return rc;
}

void pa_lane_free(struct pa_lane *l)
{
	if (l == NULL)
		return;
	if (l->has_thread) {
		(void)uv_async_send(&l->stop);
		(void)uv_thread_join(&l->thread);
	} else if (l->has_loop) {
		on_stop(&l->stop);
		(void)uv_run(l->loop, UV_RUN_DEFAULT);
	} else {
		close_all(l);
	}
	if (l->has_loop)
		(void)uv_loop_close(&l->own_loop);
	pa_peers_free(l->peers);
	pa_tx_free(l->tx);
	pa_rx_free(l->rx);
	if (l->has_lock)
		uv_mutex_destroy(&l->lock);
	free(l);
}

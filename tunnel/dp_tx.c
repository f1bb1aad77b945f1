/* SPDX-License-Identifier: MPL-2.0 */
/* The userspace data path, device to tunnel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "tunnel/dp_ecn.h"
#include "tunnel/dp_user_int.h"
#include "tunnel/mss.h"
#include "tunnel/net_udp.h"

/* Packets begin on lines of the cache. */
#define ALIGN(n) (((n) + 63) & ~(size_t)63)

static enum pa_verdict find_peer(struct pa_lane *l, const struct pa_inner *in, struct pa_peer *copy, struct pa_peer **ret)
{
	struct pa_dp *dp = l->dp;

	if (dp->cfg.role == PA_DP_GATEWAY) {
		*ret = pa_lane_peer(l, &in->dst, copy);
		return *ret != NULL ? PA_PASS : PA_DROP_UNBOUND;
	}
	if (pa_addr_is_none(&dp->gateway.inner))
		return PA_DROP_UNBOUND;
	*ret = &dp->gateway;
	return pa_addr_eq(&in->src, &dp->gateway.inner) ? PA_PASS : PA_DROP_SOURCE;
}

/*
 * Judges a packet of the device, which is n packets of bytes in all (n 0: malformed), and counts it. target: where it goes. *mtu: of
 * its peer, 0: none of its own.
 */
static bool judge(struct pa_dp *dp, const uint8_t *pkt, size_t len, unsigned n, size_t bytes, struct pa_tx_msg *target,
		  uint16_t *mtu)
{
	enum pa_verdict v = PA_DROP_MALFORMED;
	uint64_t now_ms = dp->cfg.rate.burst_ns != 0 ? pa_now_get().boot_ms : 0; /* nobody else wants it */
	struct pa_peer *p = NULL, copy;
	struct pa_inner in;
	bool parsed = n > 0 && pa_inner_parse(pkt, len, &in) == 0;
	struct pa_lane *l = parsed && dp->cfg.role == PA_DP_GATEWAY ? pa_lane_of(dp, &in.dst) : dp->lanes[0];

	uv_mutex_lock(&l->lock);
	if (parsed)
		v = pa_inner_is_redirect(pkt, &in) ? PA_DROP_REDIRECT : find_peer(l, &in, &copy, &p);
	if (v == PA_PASS && !pa_lane_take(l, p, now_ms, true, n, bytes))
		v = PA_DROP_LIMITED;
	if (v == PA_PASS) {
		target->to_len = pa_sockaddr_to(&p->outer, &target->to);
		target->local = p->local;
		target->tos = pa_ecn_class(pkt);
		*mtu = p->mtu;
	} else {
		l->total.tx_drops[v] += n > 0 ? n : 1;
	}
	uv_mutex_unlock(&l->lock);
	return v == PA_PASS;
}

static bool same_target(const struct pa_tx_msg *a, const struct pa_tx_msg *b)
{
	return a->local == b->local && a->tos == b->tos && a->to_len == b->to_len && memcmp(&a->to, &b->to, a->to_len) == 0;
}

static bool has_room(const struct pa_tx *tx)
{
	return tx->n < PA_TX_MSGS && tx->n_iovs + 2 <= PA_TX_IOVS && tx->n_headers < PA_TX_HEADERS;
}

/* Adds a datagram of parts[0 .. per - 1] to the last message, if the kernel can take it so, or as a new one. There is room. */
static void append(struct pa_lane *l, const struct pa_tx_msg *target, const struct iovec *parts, unsigned per)
{
	struct pa_tx *tx = l->tx;
	struct pa_tx_msg *m = tx->n > 0 ? &tx->msgs[tx->n - 1] : NULL;
	size_t len = 0;

	for (unsigned i = 0; i < per; i++) {
		tx->iovs[tx->n_iovs + i] = parts[i];
		len += parts[i].iov_len;
	}
	if (m == NULL || m->closed || m->per != per || m->n == PA_GSO_DATAGRAMS || len > m->each ||
	    m->bytes + len > PA_GSO_BYTES || !l->socks[target->local].gso || !same_target(m, target)) {
		m = &tx->msgs[tx->n++];
		m->to = target->to;
		m->to_len = target->to_len;
		m->local = target->local;
		m->tos = target->tos;
		m->iov = &tx->iovs[tx->n_iovs];
		m->per = per;
		m->n = 0;
		m->each = len;
		m->bytes = 0;
		m->closed = m->single = false;
	}
	m->closed = len < m->each;
	m->n++;
	m->bytes += len;
	tx->n_iovs += per;
}

/* Goes on with the packet that is being cut. False if there was not room for all of it. */
static bool go_on_cutting(struct pa_lane *l)
{
	struct pa_tx *tx = l->tx;
	struct pa_cut_part part;

	while (has_room(tx)) {
		uint8_t *header = tx->headers[tx->n_headers];
		struct iovec parts[2];

		if (!pa_cut_next(&tx->cut, header, &part)) {
			tx->cutting = false;
			return true;
		}
		parts[0] = (struct iovec){header, part.header_len};
		parts[1] = (struct iovec){(void *)(uintptr_t)part.payload, part.payload_len};
		append(l, &tx->target, parts, 2);
		tx->n_headers++;
	}
	return false;
}

/* A packet of the device as it was read. */
static void take(struct pa_lane *l, uint8_t *buf, size_t len)
{
	struct pa_tx *tx = l->tx;
	struct virtio_net_hdr vh = {0};
	size_t head = l->vnet ? PA_VNET_LEN : 0, bytes = len - head;
	uint8_t *pkt = buf + head;
	struct iovec part = {pkt, bytes};
	uint16_t mtu = 0;
	unsigned n = 1;

	if (l->vnet)
		memcpy(&vh, buf, sizeof(vh));
	if (pa_cut_is_many(&vh))
		n = pa_cut_init(&tx->cut, &vh, pkt, len - head) == 0 ? pa_cut_count(&tx->cut, &bytes) : 0;
	else if (pa_cut_finish(&vh, pkt, len - head) < 0)
		n = 0;
	if (!judge(l->dp, pkt, len - head, n, bytes, &tx->target, &mtu))
		return;
	if (!pa_cut_is_many(&vh))
		(void)pa_mss_clamp(pkt, len - head, mtu);
	tx->used += ALIGN(len);
	tx->cutting = pa_cut_is_many(&vh);
	if (!tx->cutting)
		append(l, &tx->target, &part, 1);
}

bool pa_tx_fill(struct pa_lane *l)
{
	struct pa_tx *tx = l->tx;
	size_t head = l->vnet ? PA_VNET_LEN : 0;

	tx->at = tx->n = tx->n_iovs = tx->n_headers = 0;
	if (!tx->cutting)
		tx->used = 0;
	for (;;) {
		ssize_t len;

		if (tx->cutting && !go_on_cutting(l))
			return true;
		if (!has_room(tx) || PA_TX_DATA - tx->used < PA_TX_READ_MAX)
			return true;
		len = read(l->tun, tx->data + tx->used, PA_TX_READ_MAX);
		if (len <= (ssize_t)head)
			return false;
		take(l, tx->data + tx->used, (size_t)len);
	}
}

/* Puts the messages of one socket, from tx->at on, into tx->out. Returns how many these are. */
static unsigned prepare(struct pa_tx *tx)
{
	unsigned local = tx->msgs[tx->at].local, n = 0;

	for (unsigned i = tx->at; i < tx->n && tx->msgs[i].local == local; i++) {
		struct pa_tx_msg *m = &tx->msgs[i];
		unsigned count = m->single ? 1 : m->n;
		struct msghdr *h = &tx->out[n].msg_hdr;

		if (m->single && n > 0)
			break; /* alone, so that what was sent can be told */
		memset(&tx->out[n], 0, sizeof(tx->out[n]));
		h->msg_name = &m->to;
		h->msg_namelen = m->to_len;
		h->msg_iov = m->iov;
		h->msg_iovlen = count * m->per;
		pa_gso_set(h, count > 1 ? (uint16_t)m->each : 0, m->tos, &tx->controls[n]);
		n++;
		if (m->single)
			break;
	}
	return n;
}

/* n messages as prepared are done with, sent or not. */
static void advance(struct pa_tx *tx, unsigned n)
{
	struct pa_tx_msg *m = &tx->msgs[tx->at];

	if (m->single && m->n > 1) {
		m->iov += m->per;
		m->n--;
	} else {
		tx->at += n;
	}
}

static void count_error(struct pa_lane *l)
{
	uv_mutex_lock(&l->lock);
	l->total.tx_errors++;
	uv_mutex_unlock(&l->lock);
}

bool pa_tx_send(struct pa_lane *l)
{
	struct pa_tx *tx = l->tx;

	while (tx->at < tx->n) {
		struct pa_tx_msg *m = &tx->msgs[tx->at];
		struct pa_lane_sock *s = &l->socks[m->local];
		unsigned count = prepare(tx);
		int n = s->fd >= 0 ? sendmmsg(s->fd, tx->out, count, MSG_DONTWAIT) : -1;

		if (n > 0) {
			advance(tx, (unsigned)n);
			continue;
		}
		if (s->fd >= 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && l->tun_poll != NULL) {
			/* The device's queue, and with it the senders on this host, feel the pressure. */
			pa_lane_hold_back(l, s);
			return false;
		}
		if (s->fd >= 0 && m->n > 1 && !m->single) {
			m->single = true; /* a path with a smaller MTU, say: one by one they may pass, in fragments */
			continue;
		}
		m->single = true;
		count_error(l);
		advance(tx, 1); /* the others get their chance */
	}
	return true;
}

void pa_tx_reset(struct pa_tx *tx)
{
	tx->at = tx->n = 0;
	tx->cutting = false;
}

int pa_tx_new(struct pa_tx **ret)
{
	struct pa_tx *tx = calloc(1, sizeof(*tx));

	if (tx == NULL)
		return PA_ENOMEM;
	tx->data = malloc(PA_TX_DATA);
	tx->headers = malloc((size_t)PA_TX_HEADERS * sizeof(*tx->headers));
	if (tx->data == NULL || tx->headers == NULL) {
		pa_tx_free(tx);
		return PA_ENOMEM;
	}
	*ret = tx;
	return 0;
}

void pa_tx_free(struct pa_tx *tx)
{
	if (tx == NULL)
		return;
	free(tx->data);
	free(tx->headers);
	free(tx);
}

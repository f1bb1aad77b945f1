/* SPDX-License-Identifier: MPL-2.0 */
/* The userspace data path, tunnel to device. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/msg.h"
#include "tunnel/dp_ecn.h"
#include "tunnel/dp_user_int.h"
#include "tunnel/mss.h"
#include "tunnel/net_udp.h"

/* One datagram and where it came from. */
struct datagram {
	unsigned local;
	const struct pa_endpoint *from;
	uint8_t *buf;
	size_t len;
	uint8_t tos; /* of the outer packet */
};

static bool from_gateway(const struct pa_dp *dp, const struct pa_endpoint *from)
{
	if (pa_endpoint_eq(from, &dp->gateway.outer))
		return true;
	return pa_endpoint_eq(from, &dp->drained) && uv_now(dp->cfg.loop) < dp->drained_until;
}

static enum pa_verdict check_client(struct pa_dp *dp, const struct datagram *d, const struct pa_inner *in, struct pa_peer **ret)
{
	if (pa_addr_is_none(&dp->gateway.inner))
		return PA_DROP_UNBOUND;
	if (!from_gateway(dp, d->from))
		return PA_DROP_OUTER;
	*ret = &dp->gateway;
	return pa_ingress_check(&dp->ingress, in);
}

static enum pa_verdict check_gateway(struct pa_lane *l, const struct datagram *d, const struct pa_inner *in,
				     struct pa_peer *copy, struct pa_peer **ret)
{
	struct pa_peer *p = pa_lane_peer(l, &in->src, copy);

	if (p == NULL)
		return PA_DROP_UNBOUND;
	if (p->local != d->local || !pa_endpoint_eq(&p->outer, d->from))
		return PA_DROP_OUTER;
	*ret = p;
	return pa_deny_check(&l->deny, in);
}

/* Judges and counts. *mtu: of the peer, 0: none of its own. */
static enum pa_verdict judge(const struct pa_rx *rx, const struct datagram *d, struct pa_inner *in, uint16_t *mtu)
{
	struct pa_dp *dp = rx->dp;
	bool parsed = pa_msg_is_data(d->buf, d->len) && pa_inner_parse(d->buf, d->len, in) == 0;
	struct pa_lane *l = parsed && dp->cfg.role == PA_DP_GATEWAY ? pa_lane_of(dp, &in->src) : dp->lanes[0];
	enum pa_verdict v = PA_DROP_MALFORMED;
	struct pa_peer *p = NULL, copy;

	uv_mutex_lock(&l->lock);
	if (parsed)
		v = dp->cfg.role == PA_DP_GATEWAY ? check_gateway(l, d, in, &copy, &p) : check_client(dp, d, in, &p);
	if (v == PA_PASS && pa_inner_is_redirect(d->buf, in))
		v = PA_DROP_REDIRECT;
	if (v == PA_PASS && !pa_ecn_carry(d->buf, d->tos))
		v = PA_DROP_MALFORMED;
	if (v == PA_PASS && !pa_lane_take(l, p, rx->now_ms, false, 1, d->len))
		v = PA_DROP_LIMITED;
	if (v == PA_PASS)
		*mtu = p->mtu;
	else
		l->total.rx_drops[v]++;
	uv_mutex_unlock(&l->lock);
	return v;
}

static void count_error(struct pa_lane *l)
{
	uv_mutex_lock(&l->lock);
	l->total.rx_errors++;
	uv_mutex_unlock(&l->lock);
}

/* Hands what has been joined to the device. */
static void flush(struct pa_rx *rx, struct pa_lane *l)
{
	unsigned packets = rx->join.n;
	size_t want = 0;
	struct iovec *iov;
	int n = pa_join_take(&rx->join, &iov);

	for (int i = 0; i < n; i++)
		want += iov[i].iov_len;
	if (n > 0 && (l->tun < 0 || writev(l->tun, iov, n) != (ssize_t)want))
		for (unsigned i = 0; i < packets; i++)
			count_error(l);
}

static void give(struct pa_rx *rx, struct pa_lane *l, const uint8_t *buf, size_t len)
{
	if (!l->vnet) {
		if (l->tun < 0 || write(l->tun, buf, len) != (ssize_t)len)
			count_error(l);
		return;
	}
	if (pa_join_add(&rx->join, buf, len))
		return;
	flush(rx, l);
	(void)pa_join_add(&rx->join, buf, len);
}

static void tell_foreign(struct pa_rx *rx, const struct datagram *d, const struct pa_inner *in)
{
	const struct pa_dp *dp = rx->dp;

	if (rx->on_loop)
		dp->cfg.events.foreign(dp->cfg.ctx, d->local, d->from, &in->src, d->len);
	else
		(void)pa_up_foreign(dp->up, d->local, d->from, &in->src, d->len);
}

/* False if it was a control message that did not prove genuine. */
static bool tell_control(struct pa_rx *rx, struct pa_lane *l, const struct datagram *d)
{
	const struct pa_dp *dp = rx->dp;

	if (rx->on_loop)
		return dp->cfg.events.control(dp->cfg.ctx, d->local, d->from, d->buf, d->len);
	/* Here only when the kernel put it behind data of the same flow. */
	if (!pa_up_control(dp->up, d->local, d->from, d->buf, d->len))
		count_error(l);
	return true;
}

static bool receive_one(struct pa_rx *rx, struct pa_lane *l, const struct datagram *d)
{
	struct pa_inner in;
	enum pa_verdict v;
	uint16_t mtu = 0;

	if (d->len > 0 && d->len <= PA_DP_PACKET_MAX + 64 && pa_msg_is_control(d->buf, d->len))
		return tell_control(rx, l, d);
	v = judge(rx, d, &in, &mtu);
	if (v == PA_PASS)
		(void)pa_mss_clamp(d->buf, d->len, mtu);
	if (v == PA_PASS)
		give(rx, l, d->buf, d->len);
	else if (v == PA_DROP_OUTER && rx->dp->cfg.role == PA_DP_GATEWAY)
		tell_foreign(rx, d, &in);
	return true;
}

static void count_malformed(struct pa_lane *l)
{
	uv_mutex_lock(&l->lock);
	l->total.rx_drops[PA_DROP_MALFORMED]++;
	uv_mutex_unlock(&l->lock);
}

/* One message of the kernel: a datagram, or several of one flow. Returns how many did not prove genuine. */
static unsigned receive_message(struct pa_rx *rx, struct pa_lane *l, unsigned local, unsigned i)
{
	struct msghdr *m = &rx->msgs[i].msg_hdr;
	uint8_t *buf = rx->iovs[i].iov_base;
	size_t len = rx->msgs[i].msg_len, each = pa_gro_len(m, len), at = 0;
	unsigned refused = 0;
	struct pa_endpoint from;
	struct datagram d = {.local = local, .from = &from, .tos = pa_gro_class(m)};

	if ((m->msg_flags & MSG_TRUNC) != 0 || !pa_sockaddr_from(&rx->addrs[i], &from)) {
		count_malformed(l);
		return 1;
	}
	do {
		d.buf = buf + at;
		d.len = len - at < each ? len - at : each;
		if (!receive_one(rx, l, &d))
			refused++;
		at += each;
	} while (at < len);
	return refused;
}

static void tell_soon(const struct pa_rx *rx, int n)
{
	struct iovec msgs[PA_RX_BATCH_MAX];

	for (int i = 0; i < n; i++)
		msgs[i] = (struct iovec){rx->iovs[i].iov_base, rx->msgs[i].msg_len};
	rx->dp->cfg.soon(rx->dp->cfg.ctx, msgs, (unsigned)n);
}

int pa_rx_batch(struct pa_rx *rx, struct pa_lane *l, int fd, unsigned local, unsigned max, unsigned *refused)
{
	int n;

	PA_REQUIRE(max <= rx->batch);
	for (unsigned i = 0; i < max; i++) {
		rx->msgs[i].msg_hdr.msg_namelen = sizeof(rx->addrs[i]);
		rx->msgs[i].msg_hdr.msg_control = &rx->controls[i];
		rx->msgs[i].msg_hdr.msg_controllen = sizeof(rx->controls[i]);
	}
	rx->now_ms = pa_now_get().boot_ms;
	n = recvmmsg(fd, rx->msgs, max, MSG_DONTWAIT, NULL);
	if (n > 1 && rx->on_loop && rx->dp->cfg.soon != NULL)
		tell_soon(rx, n);
	for (int i = 0; i < n; i++)
		*refused += receive_message(rx, l, local, (unsigned)i);
	flush(rx, l); /* nothing waits for what may come later */
	return n;
}

int pa_rx_new(struct pa_dp *dp, bool on_loop, unsigned batch, struct pa_rx **ret)
{
	struct pa_rx *rx = calloc(1, sizeof(*rx));

	if (rx == NULL)
		return PA_ENOMEM;
	rx->dp = dp;
	rx->on_loop = on_loop;
	rx->batch = batch;
	PA_REQUIRE(batch <= PA_RX_BATCH_MAX);
	pa_join_init(&rx->join);
	rx->data = malloc((size_t)batch * PA_GRO_BYTES);
	if (rx->data == NULL) {
		free(rx);
		return PA_ENOMEM;
	}
	for (unsigned i = 0; i < batch; i++) {
		rx->iovs[i] = (struct iovec){rx->data + (size_t)i * PA_GRO_BYTES, PA_GRO_BYTES};
		rx->msgs[i].msg_hdr.msg_iov = &rx->iovs[i];
		rx->msgs[i].msg_hdr.msg_iovlen = 1;
		rx->msgs[i].msg_hdr.msg_name = &rx->addrs[i];
	}
	*ret = rx;
	return 0;
}

void pa_rx_free(struct pa_rx *rx)
{
	if (rx == NULL)
		return;
	free(rx->data);
	free(rx);
}

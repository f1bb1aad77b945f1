/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The data path in this process: packets are read from a TUN device and sent as GUE variant 1 (the inner packet is the UDP
 * payload), and the other way. Batches both ways, bounded work for each wake-up, no allocation and no copy for a packet;
 * datagrams that belong together cross the kernel as one (dp_gso.h).
 * Packets stay whole: a fragment is forwarded as it came.
 */
#include "tunnel/dp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "common/msg.h"
#include "tunnel/dp_gso.h"
#include "tunnel/dp_peers.h"
#include "tunnel/net_udp.h"

#define BATCH 64
#define BATCH_IN 16 /* fewer, for each may hold many datagrams */
#define ROUNDS 4 /* batches for each wake-up, so that one busy descriptor does not starve the others */
/* A slot's stride is an odd number of cache lines: slots do not fight for the same set. */
#define SLOT_LEN (PA_DP_PACKET_MAX + 64)
#define LAN_MAX 192
#define DRAIN_MS 3000 /* the client still accepts from its former gateway for so long */

struct batch {
	struct mmsghdr msgs[BATCH];
	struct iovec iovs[BATCH];
	struct sockaddr_storage addrs[BATCH]; /* in: senders */
	struct pa_peer *peers[BATCH];	      /* out: only valid until the batch is sent or kept back */
	unsigned locals[BATCH];		      /* out */
	unsigned at, n;			      /* out: from at to n waits to be sent */
	unsigned single;		      /* out: what is before goes one by one, for the kernel refused it as one */
	struct mmsghdr joined[BATCH];	      /* out: messages as they are handed to the kernel */
	union pa_gso_control controls[BATCH];
	uint8_t *data; /* slots, one for each message */
};

struct sock {
	struct pa_dp *dp;
	int fd; /* -1: none */
	uv_poll_t *poll;
};

struct pa_dp {
	struct pa_dp_config cfg;
	uv_poll_t *tun_poll; /* NULL: no device */
	struct sock socks[PA_DP_SOCKETS_MAX];
	struct batch in, out;
	struct pa_peers *peers; /* gateway */
	struct pa_peer gateway; /* client: inner is P; none when there is none */
	struct pa_endpoint drained; /* client: the former gateway */
	uint64_t drained_until;	    /* uv_now */
	struct pa_ingress ingress;
	struct pa_prefix lan[LAN_MAX];
	struct pa_dp_stats total;
};

static void on_tun(uv_poll_t *h, int status, int events);
static void on_socket(uv_poll_t *h, int status, int events);

static void free_handle(uv_handle_t *h)
{
	free(h);
}

static int start_poll(struct pa_dp *dp, int fd, void *data, uv_poll_cb cb, uv_poll_t **ret)
{
	uv_poll_t *poll = calloc(1, sizeof(*poll));

	if (poll == NULL)
		return PA_ENOMEM;
	if (uv_poll_init(dp->cfg.loop, poll, fd) < 0) {
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

static void stop_poll(uv_poll_t **poll)
{
	if (*poll == NULL)
		return;
	(void)uv_poll_stop(*poll);
	uv_close((uv_handle_t *)*poll, free_handle);
	*poll = NULL;
}

/*
 * The gateway's kernel tells a client that reaches another one through it to go there directly (send_redirects of "all"
 * counts for our device too), and a stranger may try to reroute a client.
 */
static bool is_redirect(const uint8_t *pkt, const struct pa_inner *in)
{
	size_t header = (size_t)(pkt[0] & 0x0f) * 4;

	return in->proto == IPPROTO_ICMP && pkt[0] >> 4 == 4 && in->len > header && pkt[header] == ICMP_REDIRECT;
}

/* ---- tunnel to device ---- */

static bool from_gateway(struct pa_dp *dp, const struct pa_endpoint *from)
{
	if (pa_endpoint_eq(from, &dp->gateway.outer))
		return true;
	return pa_endpoint_eq(from, &dp->drained) && uv_now(dp->cfg.loop) < dp->drained_until;
}

static enum pa_verdict check_client_rx(struct pa_dp *dp, const struct pa_endpoint *from, const struct pa_inner *in,
				       struct pa_peer **ret)
{
	if (pa_addr_is_none(&dp->gateway.inner))
		return PA_DROP_UNBOUND;
	if (!from_gateway(dp, from))
		return PA_DROP_OUTER;
	*ret = &dp->gateway;
	return pa_ingress_check(&dp->ingress, in);
}

static enum pa_verdict check_gateway_rx(struct pa_dp *dp, unsigned local, const struct pa_endpoint *from,
					const struct pa_inner *in, struct pa_peer **ret)
{
	struct pa_peer *p = pa_peers_find(dp->peers, &in->src);

	if (p == NULL)
		return PA_DROP_UNBOUND;
	if (p->local != local || !pa_endpoint_eq(&p->outer, from)) {
		dp->cfg.events.foreign(dp->cfg.ctx, local, from, &in->src, in->len);
		return PA_DROP_OUTER;
	}
	*ret = p;
	return pa_deny_check(dp->cfg.deny, in);
}

static void receive_data(struct pa_dp *dp, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	enum pa_verdict v = PA_DROP_MALFORMED;
	struct pa_peer *p = NULL;
	struct pa_inner in;

	if (pa_msg_is_data(buf, len) && pa_inner_parse(buf, len, &in) == 0)
		v = dp->cfg.role == PA_DP_GATEWAY ? check_gateway_rx(dp, local, from, &in, &p)
						  : check_client_rx(dp, from, &in, &p);
	if (v == PA_PASS && is_redirect(buf, &in))
		v = PA_DROP_REDIRECT;
	if (v != PA_PASS) {
		dp->total.rx_drops[v]++;
		return;
	}
	if (dp->cfg.tun_fd < 0 || write(dp->cfg.tun_fd, buf, len) != (ssize_t)len) {
		dp->total.rx_errors++;
		return;
	}
	p->stats.rx_packets++;
	p->stats.rx_bytes += len;
	dp->total.rx_packets++;
	dp->total.rx_bytes += len;
}

static void receive_one(struct pa_dp *dp, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len)
{
	if (len == 0 || len > SLOT_LEN)
		dp->total.rx_drops[PA_DROP_MALFORMED]++;
	else if (pa_msg_is_control(buf, len))
		dp->cfg.events.control(dp->cfg.ctx, local, from, buf, len);
	else
		receive_data(dp, local, from, buf, len);
}

/* One message of the kernel: a datagram, or several of one flow. */
static void receive_message(struct pa_dp *dp, unsigned local, unsigned i)
{
	struct msghdr *m = &dp->in.msgs[i].msg_hdr;
	const uint8_t *buf = dp->in.iovs[i].iov_base;
	size_t len = dp->in.msgs[i].msg_len, each = pa_gro_len(m, len), at = 0;
	struct pa_endpoint from;

	if ((m->msg_flags & MSG_TRUNC) != 0 || !pa_sockaddr_from(&dp->in.addrs[i], &from)) {
		dp->total.rx_drops[PA_DROP_MALFORMED]++;
		return;
	}
	do {
		receive_one(dp, local, &from, buf + at, len - at < each ? len - at : each);
		at += each;
	} while (at < len);
}

/* Reads one batch; true if there may be more. A control message may close the socket. */
static bool receive_batch(struct pa_dp *dp, struct sock *s)
{
	unsigned local = (unsigned)(s - dp->socks);
	int n, fd = s->fd;

	for (unsigned i = 0; i < BATCH_IN; i++) {
		dp->in.msgs[i].msg_hdr.msg_namelen = sizeof(dp->in.addrs[i]);
		dp->in.msgs[i].msg_hdr.msg_control = &dp->in.controls[i];
		dp->in.msgs[i].msg_hdr.msg_controllen = sizeof(dp->in.controls[i]);
		dp->in.iovs[i].iov_len = PA_GRO_BYTES;
	}
	n = recvmmsg(fd, dp->in.msgs, BATCH_IN, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		receive_message(dp, local, (unsigned)i);
	return n == BATCH_IN && s->fd == fd;
}

/* ---- device to tunnel ---- */

static enum pa_verdict find_tx_peer(struct pa_dp *dp, const struct pa_inner *in, struct pa_peer **ret)
{
	if (dp->cfg.role == PA_DP_GATEWAY) {
		*ret = pa_peers_find(dp->peers, &in->dst);
		return *ret != NULL ? PA_PASS : PA_DROP_UNBOUND;
	}
	if (pa_addr_is_none(&dp->gateway.inner))
		return PA_DROP_UNBOUND;
	*ret = &dp->gateway;
	return pa_addr_eq(&in->src, &dp->gateway.inner) ? PA_PASS : PA_DROP_SOURCE;
}

/* Reads one batch from the device; true if there may be more. */
static bool read_batch(struct pa_dp *dp)
{
	struct batch *b = &dp->out;

	b->at = b->n = b->single = 0;
	for (unsigned i = 0; i < BATCH; i++) {
		uint8_t *slot = b->data + (size_t)b->n * SLOT_LEN;
		ssize_t len = read(dp->cfg.tun_fd, slot, SLOT_LEN);
		struct pa_inner in;
		struct pa_peer *p;
		enum pa_verdict v = PA_DROP_MALFORMED;

		if (len <= 0)
			return false;
		if (pa_inner_parse(slot, (size_t)len, &in) == 0)
			v = is_redirect(slot, &in) ? PA_DROP_REDIRECT : find_tx_peer(dp, &in, &p);
		if (v != PA_PASS) {
			dp->total.tx_drops[v]++;
			continue;
		}
		b->peers[b->n] = p;
		b->locals[b->n] = p->local;
		b->iovs[b->n].iov_len = (size_t)len;
		b->msgs[b->n].msg_hdr.msg_name = &p->sa;
		b->msgs[b->n].msg_hdr.msg_namelen = p->sa_len;
		b->n++;
	}
	return true;
}

static void count_sent(struct pa_dp *dp, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++) {
		struct pa_peer *p = dp->out.peers[i];
		size_t len = dp->out.iovs[i].iov_len;

		if (p != NULL) {
			p->stats.tx_packets++;
			p->stats.tx_bytes += len;
		}
		dp->total.tx_packets++;
		dp->total.tx_bytes += len;
	}
}

/* The peers may move or go before a batch that is kept back is sent: keep its addresses, forget its peers. */
static void detach(struct batch *b)
{
	for (unsigned i = b->at; i < b->n; i++) {
		if (b->msgs[i].msg_hdr.msg_name != &b->addrs[i])
			memcpy(&b->addrs[i], b->msgs[i].msg_hdr.msg_name, b->msgs[i].msg_hdr.msg_namelen);
		b->msgs[i].msg_hdr.msg_name = &b->addrs[i];
		b->peers[i] = NULL;
	}
}

/* Waits for room in a socket's buffer: the device's queue, and with it the senders on this host, feel the pressure. */
static void hold_back(struct pa_dp *dp, struct sock *s)
{
	detach(&dp->out);
	if (uv_poll_start(s->poll, UV_READABLE | UV_WRITABLE, on_socket) == 0)
		(void)uv_poll_stop(dp->tun_poll);
}

/* Puts the messages from b->at to end into b->joined. Returns how many these are. */
static unsigned join(struct batch *b, unsigned end)
{
	unsigned n = 0, count;

	for (unsigned i = b->at; i < end; i += count) {
		count = i < b->single ? 1 : pa_gso_count(b->msgs + i, end - i);
		pa_gso_join(b->msgs + i, count, &b->joined[n], &b->controls[n]);
		n++;
	}
	return n;
}

/* What socket s takes now of the messages from b->at to end. False if it takes nothing; errno says why. */
static bool send_run(struct pa_dp *dp, struct sock *s, unsigned end)
{
	struct batch *b = &dp->out;
	int n = sendmmsg(s->fd, b->joined, join(b, end), MSG_DONTWAIT);

	for (int i = 0; i < n; i++) {
		unsigned count = (unsigned)b->joined[i].msg_hdr.msg_iovlen;

		count_sent(dp, b->at, count);
		b->at += count;
	}
	return n > 0;
}

/* Sends what waits. False if it still waits, for a socket that has no room. */
static bool send_batch(struct pa_dp *dp)
{
	struct batch *b = &dp->out;

	while (b->at < b->n) {
		struct sock *s = &dp->socks[b->locals[b->at]];
		unsigned end = b->at + 1;

		while (end < b->n && b->locals[end] == b->locals[b->at])
			end++;
		if (s->fd >= 0 && send_run(dp, s, end))
			continue;
		if (s->fd >= 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && dp->tun_poll != NULL) {
			hold_back(dp, s);
			return false;
		}
		if (s->fd >= 0 && b->joined[0].msg_hdr.msg_iovlen > 1) {
			/* A path with a smaller MTU, say: one by one they may pass, in fragments. */
			b->single = b->at + (unsigned)b->joined[0].msg_hdr.msg_iovlen;
			continue;
		}
		dp->total.tx_errors++; /* of the first one only; the others get their chance */
		b->at++;
	}
	return true;
}

static void on_tun(uv_poll_t *h, int status, int events)
{
	struct pa_dp *dp = h->data;

	if (status < 0 || (events & UV_READABLE) == 0)
		return;
	for (int i = 0; i < ROUNDS; i++) {
		bool more = read_batch(dp);

		if (!send_batch(dp) || !more)
			return;
	}
}

static void on_writable(struct pa_dp *dp, struct sock *s)
{
	(void)uv_poll_start(s->poll, UV_READABLE, on_socket);
	if (send_batch(dp) && dp->tun_poll != NULL)
		(void)uv_poll_start(dp->tun_poll, UV_READABLE, on_tun);
}

static void on_socket(uv_poll_t *h, int status, int events)
{
	struct sock *s = h->data;
	struct pa_dp *dp = s->dp;

	if ((events & UV_WRITABLE) != 0)
		on_writable(dp, s);
	if (status < 0 || (events & UV_READABLE) == 0)
		return;
	for (int i = 0; i < ROUNDS && s->poll == h; i++)
		if (!receive_batch(dp, s))
			return;
}

/* ---- set-up ---- */

static int batch_init(struct batch *b, unsigned slots, size_t slot_len)
{
	b->data = malloc(slots * slot_len);
	if (b->data == NULL)
		return PA_ENOMEM;
	for (unsigned i = 0; i < slots; i++) {
		b->iovs[i].iov_base = b->data + i * slot_len;
		b->msgs[i].msg_hdr.msg_iov = &b->iovs[i];
		b->msgs[i].msg_hdr.msg_iovlen = 1;
		b->msgs[i].msg_hdr.msg_name = &b->addrs[i];
	}
	return 0;
}

static void user_close(struct pa_dp *dp)
{
	if (dp == NULL)
		return;
	stop_poll(&dp->tun_poll);
	for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++)
		stop_poll(&dp->socks[i].poll);
	pa_peers_free(dp->peers);
	free(dp->in.data);
	free(dp->out.data);
	free(dp);
}

static int user_open(const struct pa_dp_config *cfg, struct pa_dp **ret)
{
	struct pa_dp *dp = calloc(1, sizeof(*dp));
	int rc = 0;

	if (dp == NULL)
		return PA_ENOMEM;
	dp->cfg = *cfg;
	dp->cfg.tun_fd = -1;
	for (unsigned i = 0; i < PA_DP_SOCKETS_MAX; i++)
		dp->socks[i] = (struct sock){dp, -1, NULL};
	if (batch_init(&dp->in, BATCH_IN, PA_GRO_BYTES) < 0 || batch_init(&dp->out, BATCH, SLOT_LEN) < 0 ||
	    pa_peers_new(&dp->peers) < 0)
		rc = PA_ENOMEM;
	if (rc == 0)
		rc = pa_dp_set_tun(dp, cfg->tun_fd);
	if (rc < 0) {
		user_close(dp);
		return rc;
	}
	*ret = dp;
	return 0;
}

static void update_client(struct pa_dp *dp, const struct pa_dp_peer *peer)
{
	struct pa_peer *p = &dp->gateway;

	if (peer->outer.port == 0) {
		memset(p, 0, sizeof(*p));
		dp->drained_until = 0;
		return;
	}
	if (!pa_addr_eq(&p->inner, &peer->inner)) {
		memset(&p->stats, 0, sizeof(p->stats));
	} else if (!pa_endpoint_eq(&p->outer, &peer->outer)) {
		dp->drained = p->outer;
		dp->drained_until = uv_now(dp->cfg.loop) + DRAIN_MS;
	}
	p->inner = peer->inner;
	p->outer = peer->outer;
	p->local = peer->local;
	p->sa_len = pa_sockaddr_to(&peer->outer, &p->sa);
	dp->ingress.addr = peer->inner;
	dp->ingress.lan = dp->lan;
	dp->ingress.n_lan = peer->n_lan < LAN_MAX ? peer->n_lan : LAN_MAX;
	if (dp->ingress.n_lan > 0)
		memcpy(dp->lan, peer->lan, dp->ingress.n_lan * sizeof(dp->lan[0]));
}

static int user_update(struct pa_dp *dp, const struct pa_dp_peer *peer)
{
	struct pa_peer *p;

	if (peer->local >= PA_DP_SOCKETS_MAX || pa_addr_is_none(&peer->inner))
		return PA_EINVAL;
	detach(&dp->out);
	if (dp->cfg.role == PA_DP_CLIENT) {
		update_client(dp, peer);
		return 0;
	}
	if (peer->outer.port == 0) {
		pa_peers_remove(dp->peers, &peer->inner);
		return 0;
	}
	p = pa_peers_put(dp->peers, &peer->inner);
	if (p == NULL)
		return PA_ENOMEM;
	p->outer = peer->outer;
	p->local = peer->local;
	p->sa_len = pa_sockaddr_to(&peer->outer, &p->sa);
	return 0;
}

static int user_stats(struct pa_dp *dp, const struct pa_addr *inner, struct pa_dp_stats *total,
		      struct pa_dp_peer_stats *peer)
{
	const struct pa_peer *p = NULL;

	if (inner != NULL) {
		p = pa_peers_find(dp->peers, inner);
		if (p == NULL && pa_addr_eq(inner, &dp->gateway.inner))
			p = &dp->gateway;
		if (p == NULL || pa_addr_is_none(&p->inner))
			return PA_ENOTFOUND;
		*peer = p->stats;
	}
	if (total != NULL)
		*total = dp->total;
	return 0;
}

const struct pa_dp_ops pa_dp_user = {
	.name = "user",
	.open = user_open,
	.update = user_update,
	.stats = user_stats,
	.close = user_close,
};

int pa_dp_set_tun(struct pa_dp *dp, int fd)
{
	stop_poll(&dp->tun_poll);
	dp->out.at = dp->out.n = dp->out.single = 0; /* read from the former device */
	dp->cfg.tun_fd = fd;
	return fd >= 0 ? start_poll(dp, fd, dp, on_tun, &dp->tun_poll) : 0;
}

int pa_dp_set_socket(struct pa_dp *dp, unsigned local, int fd)
{
	struct sock *s;
	int rc;

	if (local >= PA_DP_SOCKETS_MAX)
		return PA_EINVAL;
	s = &dp->socks[local];
	stop_poll(&s->poll);
	s->fd = -1;
	if (fd >= 0)
		pa_gro_enable(fd);
	rc = fd >= 0 ? start_poll(dp, fd, s, on_socket, &s->poll) : 0;
	if (rc == 0)
		s->fd = fd;
	/* If a batch waited for room in the former socket, nobody else will send it. */
	if (dp->tun_poll != NULL && send_batch(dp))
		(void)uv_poll_start(dp->tun_poll, UV_READABLE, on_tun);
	return rc;
}

void pa_dp_send_control(struct pa_dp *dp, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t n = pa_sockaddr_to(to, &ss);

	if (local >= PA_DP_SOCKETS_MAX || dp->socks[local].fd < 0 ||
	    sendto(dp->socks[local].fd, buf, len, MSG_DONTWAIT, (struct sockaddr *)&ss, n) < 0)
		dp->total.tx_errors++;
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The data path in this process: packets are read from a TUN device and sent as GUE variant 1 (the inner packet is the UDP
 * payload), and the other way. Batches both ways, bounded work for each wake-up, no allocation for a packet, and packets that
 * belong together cross the kernel as one where it can: dp_cut.h, dp_join.h, dp_gso.h. On the wire they are what they were.
 * Packets stay whole: a fragment is forwarded as it came.
 */
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/proto.h"
#include "tunnel/dp_user_int.h"
#include "tunnel/net_udp.h"


static void user_close(struct pa_dp *dp)
{
	if (dp == NULL)
		return;
	for (unsigned i = 0; i < PA_DP_LANES_MAX; i++)
		pa_lane_free(dp->lanes[i]);
	pa_control_free(dp->control);
	pa_up_free(dp->up);
	free(dp);
}

static int open_lanes(struct pa_dp *dp)
{
	struct pa_lane *lane;
	int rc = 0;

	if (dp->cfg.queues == NULL) {
		dp->n_lanes = 1;
		return pa_lane_new(dp, 0, dp->cfg.tun_fd, &lane);
	}
	if (dp->cfg.n_queues < 2 || dp->cfg.n_queues > PA_DP_LANES_MAX || dp->cfg.role != PA_DP_GATEWAY)
		return PA_EINVAL;
	dp->threads = true;
	dp->n_lanes = dp->cfg.n_queues;
	rc = pa_up_new(dp, &dp->up);
	for (unsigned i = 0; rc == 0 && i < dp->n_lanes; i++)
		rc = pa_lane_new(dp, i, dp->cfg.queues[i], &lane);
	dp->cfg.queues = NULL; /* the caller's */
	return rc;
}

static int user_open(const struct pa_dp_config *cfg, struct pa_dp **ret)
{
	struct pa_dp *dp = calloc(1, sizeof(*dp));
	int rc;

	if (dp == NULL)
		return PA_ENOMEM;
	dp->cfg = *cfg;
	rc = open_lanes(dp);
	if (rc == 0 && cfg->role == PA_DP_GATEWAY)
		rc = pa_control_new(dp, &dp->control);
	if (rc < 0) {
		user_close(dp);
		return rc;
	}
	if (cfg->deny != NULL)
		pa_dp_set_deny(dp, cfg->deny);
	*ret = dp;
	return 0;
}

int pa_dp_start(struct pa_dp *dp)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && dp->threads && i < dp->n_lanes; i++)
		rc = pa_lane_start(dp->lanes[i]);
	return rc;
}

static void set_outer(struct pa_peer *p, const struct pa_dp_peer *peer)
{
	p->outer = peer->outer;
	p->local = peer->local;
	p->mtu = peer->mtu;
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
		dp->drained_until = uv_now(dp->cfg.loop) + PA_FORMER_MS;
	}
	p->inner = peer->inner;
	set_outer(p, peer);
	dp->ingress.addr = peer->inner;
	dp->ingress.lan = dp->lan;
	dp->ingress.n_lan = peer->n_lan < PA_LAN_MAX ? peer->n_lan : PA_LAN_MAX;
	if (dp->ingress.n_lan > 0)
		memcpy(dp->lan, peer->lan, dp->ingress.n_lan * sizeof(dp->lan[0]));
}

static int update_gateway(struct pa_lane *l, const struct pa_dp_peer *peer)
{
	struct pa_peer *p = NULL;

	uv_mutex_lock(&l->lock);
	if (peer->outer.port == 0)
		pa_peers_remove(l->peers, &peer->inner);
	else
		p = pa_peers_put(l->peers, &peer->inner);
	if (p != NULL)
		set_outer(p, peer);
	uv_mutex_unlock(&l->lock);
	return peer->outer.port == 0 || p != NULL ? 0 : PA_ENOMEM;
}

static int user_update(struct pa_dp *dp, const struct pa_dp_peer *peer)
{
	if (peer->local >= PA_DP_SOCKETS_MAX || pa_addr_is_none(&peer->inner))
		return PA_EINVAL;
	if (dp->cfg.role == PA_DP_GATEWAY)
		return update_gateway(pa_lane_of(dp, &peer->inner), peer);
	update_client(dp, peer);
	return 0;
}

static int peer_stats(struct pa_dp *dp, const struct pa_addr *inner, struct pa_dp_peer_stats *ret)
{
	struct pa_lane *l = pa_lane_of(dp, inner);
	const struct pa_peer *p;
	int rc = PA_ENOTFOUND;

	uv_mutex_lock(&l->lock);
	p = pa_peers_find(l->peers, inner);
	if (p == NULL && pa_addr_eq(inner, &dp->gateway.inner))
		p = &dp->gateway;
	if (p != NULL && !pa_addr_is_none(&p->inner)) {
		*ret = p->stats;
		rc = 0;
	}
	uv_mutex_unlock(&l->lock);
	return rc;
}

static void add_stats(struct pa_dp_stats *sum, const struct pa_dp_stats *s)
{
	sum->tx_packets += s->tx_packets;
	sum->tx_bytes += s->tx_bytes;
	sum->rx_packets += s->rx_packets;
	sum->rx_bytes += s->rx_bytes;
	for (unsigned v = 0; v < PA_VERDICTS; v++) {
		sum->tx_drops[v] += s->tx_drops[v];
		sum->rx_drops[v] += s->rx_drops[v];
	}
	sum->tx_errors += s->tx_errors;
	sum->rx_errors += s->rx_errors;
}

static int user_stats(struct pa_dp *dp, const struct pa_addr *inner, struct pa_dp_stats *total,
		      struct pa_dp_peer_stats *peer)
{
	int rc = inner != NULL ? peer_stats(dp, inner, peer) : 0;

	if (rc < 0 || total == NULL)
		return rc;
	memset(total, 0, sizeof(*total));
	for (unsigned i = 0; i < dp->n_lanes; i++) {
		uv_mutex_lock(&dp->lanes[i]->lock);
		add_stats(total, &dp->lanes[i]->total);
		uv_mutex_unlock(&dp->lanes[i]->lock);
	}
	total->tx_errors += dp->control_errors;
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
	return dp->threads ? PA_EINVAL : pa_lane_set_tun(dp->lanes[0], fd);
}

int pa_dp_set_socket(struct pa_dp *dp, unsigned local, int fd)
{
	if (local >= PA_DP_SOCKETS_MAX || dp->threads)
		return PA_EINVAL;
	return pa_lane_set_socket(dp->lanes[0], local, fd);
}

int pa_dp_set_group(struct pa_dp *dp, unsigned local, const int *fds, unsigned n)
{
	int rc = 0;

	if (local >= PA_DP_SOCKETS_MAX || dp->control == NULL || n != PA_STEER_DATA + dp->n_lanes)
		return PA_EINVAL;
	for (unsigned i = 0; rc == 0 && i < dp->n_lanes; i++)
		rc = pa_lane_set_socket(dp->lanes[i], local, fds[PA_STEER_DATA + i]);
	return rc < 0 ? rc : pa_control_set(dp->control, local, fds);
}

void pa_dp_set_deny(struct pa_dp *dp, const struct pa_deny *deny)
{
	for (unsigned i = 0; i < dp->n_lanes; i++) {
		uv_mutex_lock(&dp->lanes[i]->lock);
		dp->lanes[i]->deny = *deny;
		uv_mutex_unlock(&dp->lanes[i]->lock);
	}
}

void pa_dp_set_others(struct pa_dp *dp, const struct pa_dp_others *others)
{
	for (unsigned i = 0; i < dp->n_lanes; i++) {
		uv_mutex_lock(&dp->lanes[i]->lock);
		dp->lanes[i]->others = *others;
		uv_mutex_unlock(&dp->lanes[i]->lock);
	}
}

void pa_dp_use_gro(struct pa_dp *dp, bool on)
{
	dp->cfg.without = on ? dp->cfg.without & ~PA_DP_NO_GRO : dp->cfg.without | PA_DP_NO_GRO;
	for (unsigned local = 0; local < PA_DP_SOCKETS_MAX; local++) {
		for (unsigned i = 0; i < dp->n_lanes; i++)
			if (dp->lanes[i]->socks[local].fd >= 0)
				pa_gro_use(dp->lanes[i]->socks[local].fd, on);
		if (dp->control != NULL)
			pa_control_use_gro(dp->control, local, on);
	}
}

/* A socket for control messages has room when those for data are full. -1: there is none. */
static int control_fd(const struct pa_dp *dp, unsigned local)
{
	int fd = -1;

	if (local < PA_DP_SOCKETS_MAX && dp->control != NULL)
		fd = pa_control_fd(dp->control, local);
	if (local < PA_DP_SOCKETS_MAX && fd < 0)
		fd = dp->lanes[0]->socks[local].fd;
	return fd;
}

void pa_dp_send_probe(struct pa_dp *dp, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	int fd = control_fd(dp, local);

	if (fd >= 0)
		(void)pa_udp_send_whole(fd, to, buf, len);
}

void pa_dp_send_control(struct pa_dp *dp, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t n = pa_sockaddr_to(to, &ss);
	int fd = control_fd(dp, local);

	if (fd >= 0 && dp->control != NULL && pa_control_collect(dp->control, fd, to, buf, len))
		return;
	if (fd < 0 || sendto(fd, buf, len, MSG_DONTWAIT, (struct sockaddr *)&ss, n) < 0)
		dp->control_errors++;
}

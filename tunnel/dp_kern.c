/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The data path in the kernel: what the programs know. The daemon writes to the maps' memory; a peer's words are written so
 * that a program never sees a wrong pair: it is made invalid, changed, and made valid.
 */
#include "tunnel/dp_kern.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "tunnel/dp_kern_int.h"
#include "tunnel/net_hops.h"
#include "tunnel/net_udp.h"

#define NS_PER_MS UINT64_C(1000000)
#define ARRAY_MIN 65536 /* so many addresses are worth an array in any case: 4 MB */
#define ARRAY_FACTOR 4	/* more only if at least a quarter may be in use */

static uint64_t boot_ns(void)
{
	return pa_now_get().boot_ms * NS_PER_MS;
}

static uint32_t ipv4_net(const struct pa_addr *a)
{
	return htonl(pa_addr_to_ipv4(a));
}

/* ---- layout ---- */

static bool array_fits(const struct pa_dp_kern_config *k)
{
	uint64_t sum = 0;

	if (k->n_pools > PA_K_POOLS)
		return false;
	for (size_t i = 0; i < k->n_pools; i++)
		if (pa_addr_is_ipv4(&k->pools[i].addr))
			sum += UINT64_C(1) << (32 - k->pools[i].len);
	return sum <= ARRAY_MIN || sum <= (uint64_t)k->max_peers * ARRAY_FACTOR;
}

static uint64_t own_netns(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
}

static void make_layout(const struct pa_dp_config *cfg, struct pa_k_conf *ret)
{
	const struct pa_dp_kern_config *k = cfg->kern;
	uint32_t next = 0;

	memset(ret, 0, sizeof(*ret));
	ret->version = PA_K_VERSION;
	ret->role = cfg->role;
	ret->n_peers = 1;
	ret->alive_until = boot_ns();
	ret->netns = own_netns();
	if (cfg->role == PA_DP_CLIENT)
		return;
	ret->limited = k->rate.burst_ns != 0;
	ret->hashed = !array_fits(k);
	ret->n_peers = (uint32_t)k->max_peers;
	if (ret->hashed != 0)
		return;
	for (size_t i = 0; i < k->n_pools; i++) {
		struct pa_k_pool *p = &ret->pools[ret->n_pools];

		if (!pa_addr_is_ipv4(&k->pools[i].addr))
			continue; /* the process's: the programs know no inner IPv6 */
		ret->n_pools++;
		p->base = pa_addr_to_ipv4(&k->pools[i].addr);
		p->mask = k->pools[i].len > 0 ? UINT32_MAX << (32 - k->pools[i].len) : 0;
		p->slot = next;
		next += ~p->mask + 1;
	}
	ret->n_peers = next > 0 ? next : 1;
}

/* ---- peers ---- */

static int find_slot(const struct pa_dp *dp, const struct pa_addr *inner, uint32_t *ret)
{
	const struct pa_k_conf *c = dp->maps.conf;
	uint32_t a = pa_addr_to_ipv4(inner);

	if (!pa_addr_is_ipv4(inner))
		return PA_ENOTFOUND;
	if (c->hashed != 0)
		return pa_kern_slot_get(&dp->maps, htonl(a), ret);
	for (uint32_t i = 0; i < c->n_pools; i++) {
		if ((a & c->pools[i].mask) != c->pools[i].base)
			continue;
		*ret = c->pools[i].slot + (a & ~c->pools[i].mask);
		return 0;
	}
	return PA_ENOTFOUND;
}

static int make_slot(struct pa_dp *dp, const struct pa_addr *inner, uint32_t *ret)
{
	int rc = find_slot(dp, inner, ret);

	if (rc == 0 || dp->maps.conf->hashed == 0 || !pa_addr_is_ipv4(inner))
		return rc;
	if (dp->n_free == 0)
		return PA_ENOMEM;
	*ret = dp->free_slots[dp->n_free - 1];
	memset(&dp->maps.peers[*ret], 0, sizeof(dp->maps.peers[*ret]));
	rc = pa_kern_slot_set(&dp->maps, ipv4_net(inner), *ret);
	if (rc == 0)
		dp->n_free--;
	return rc;
}

static void free_slot(struct pa_dp *dp, uint32_t addr, uint32_t slot)
{
	pa_kern_slot_del(&dp->maps, addr);
	dp->free_slots[dp->n_free++] = slot;
}

/* The hash of a former process says which slots are in use. */
static int index_slots(struct pa_dp *dp)
{
	uint32_t n = dp->maps.conf->n_peers, key, slot;
	bool *used = calloc(n, sizeof(*used));
	bool more;

	dp->free_slots = calloc(n, sizeof(*dp->free_slots));
	if (dp->free_slots == NULL || used == NULL) {
		free(used);
		return PA_ENOMEM;
	}
	for (more = pa_kern_slot_next(&dp->maps, NULL, &key); more; more = pa_kern_slot_next(&dp->maps, &key, &key))
		if (pa_kern_slot_get(&dp->maps, key, &slot) == 0 && slot < n)
			used[slot] = true;
	for (uint32_t i = n; i-- > 0;)
		if (!used[i])
			dp->free_slots[dp->n_free++] = i;
	free(used);
	return 0;
}

/* Our own address towards a client of a socket that is bound to none; 0: there is no way. */
static uint32_t source_towards(const struct pa_dp *dp, const struct pa_endpoint *to)
{
	struct pa_udp_config cfg = {.ipv6 = false, .device = dp->cfg.role == PA_DP_CLIENT ? dp->kern.iface : NULL,
				    .mark = dp->kern.mark};
	struct sockaddr_storage ss;
	struct pa_endpoint own;
	char err[PA_UDP_ERRLEN];
	socklen_t len = pa_sockaddr_to(to, &ss);
	uint32_t ret = 0;
	int fd;

	if (!pa_addr_is_ipv4(&to->addr) || pa_udp_open(&cfg, &fd, err) < 0)
		return 0;
	if (connect(fd, (struct sockaddr *)&ss, len) == 0) {
		len = sizeof(ss);
		if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0 && pa_sockaddr_from(&ss, &own))
			ret = ipv4_net(&own.addr);
	}
	close(fd);
	return ret;
}

static bool is_wildcard(const struct pa_addr *a)
{
	return pa_addr_is_ipv4(a) && pa_addr_to_ipv4(a) == 0;
}

static void remove_peer(struct pa_dp *dp, const struct pa_addr *inner)
{
	uint32_t slot;

	if (find_slot(dp, inner, &slot) < 0)
		return;
	PA_KERN_SET(dp->maps.peers[slot].until, 0);
	if (dp->maps.conf->hashed != 0)
		free_slot(dp, ipv4_net(inner), slot);
	else
		memset(&dp->maps.peers[slot], 0, sizeof(dp->maps.peers[slot]));
}

static uint64_t until_of(const struct pa_dp_peer *peer)
{
	return peer->expires_ms == 0 || peer->expires_ms > UINT64_MAX / NS_PER_MS ? UINT64_MAX : peer->expires_ms * NS_PER_MS;
}

static int update_gateway(struct pa_dp *dp, const struct pa_dp_peer *peer)
{
	struct pa_k_peer fresh = {.port = htons(peer->outer.port), .local = (uint8_t)peer->local}, *p;
	const struct pa_endpoint *own;
	uint32_t slot;
	int rc;

	if (peer->outer.port == 0) {
		remove_peer(dp, &peer->inner);
		return 0;
	}
	if (peer->local >= dp->kern.n_listen)
		return PA_EINVAL;
	rc = make_slot(dp, &peer->inner, &slot);
	if (rc == PA_ENOTFOUND)
		return 0; /* not of our pools: the programs know nobody there, and say so */
	if (rc < 0)
		return rc;
	own = &dp->kern.listen[peer->local];
	fresh.src_port = htons(own->port);
	if (pa_addr_is_ipv4(&peer->outer.addr))
		fresh.addr = ipv4_net(&peer->outer.addr);
	if (pa_addr_is_ipv4(&own->addr))
		fresh.src = is_wildcard(&own->addr) ? source_towards(dp, &peer->outer) : ipv4_net(&own->addr);
	if (fresh.addr == 0 || fresh.src == 0)
		fresh.flags = PA_K_PEER_USER;
	p = &dp->maps.peers[slot];
	p->generation = (uint16_t)dp->maps.conf->generation;
	PA_KERN_SET(p->mtu, peer->mtu != 0 ? peer->mtu : UINT16_MAX);
	if (p->outer != fresh.outer || p->src != fresh.src || p->src_port != fresh.src_port) {
		PA_KERN_SET(p->until, 0);
		PA_KERN_SET(p->outer, fresh.outer);
		p->src = fresh.src;
		p->src_port = fresh.src_port;
	}
	PA_KERN_SET(p->until, until_of(peer));
	return 0;
}

/* ---- peers, as the process's own data path wants them ---- */

/* The words as update_gateway writes them: if until is the same before and after, the others belong together or are newer. */
bool pa_dp_kern_peer(const struct pa_dp *dp, const struct pa_addr *inner, struct pa_dp_peer *ret)
{
	struct pa_k_peer now = {.until = 0};
	const struct pa_k_peer *p;
	uint32_t slot;

	if (find_slot(dp, inner, &slot) < 0)
		return false;
	p = &dp->maps.peers[slot];
	now.until = __atomic_load_n(&p->until, __ATOMIC_ACQUIRE);
	now.outer = __atomic_load_n(&p->outer, __ATOMIC_ACQUIRE);
	if (now.until == 0 || now.until != __atomic_load_n(&p->until, __ATOMIC_ACQUIRE) || (now.flags & PA_K_PEER_USER) != 0)
		return false;
	ret->outer.addr = pa_addr_from_ipv4(ntohl(now.addr));
	ret->outer.port = ntohs(now.port);
	ret->local = now.local;
	ret->mtu = p->mtu;
	return true;
}

bool pa_dp_kern_take(struct pa_dp *dp, const struct pa_addr *inner, bool tx, unsigned n, size_t bytes)
{
	struct pa_k_peer *p;
	struct pa_k_rate *r;
	uint64_t now = boot_ns();
	uint32_t slot;

	if (find_slot(dp, inner, &slot) < 0)
		return false;
	p = &dp->maps.peers[slot];
	r = &dp->maps.rates[dp->maps.conf->limited != 0 ? slot : 0];
	if (dp->maps.conf->limited != 0 && !pa_rate_take(&dp->maps.conf->rate, tx ? &r->tx : &r->rx, now, n, (uint32_t)bytes))
		return false;
	(void)__atomic_fetch_add(tx ? &p->tx_packets : &p->rx_packets, n, __ATOMIC_RELAXED);
	(void)__atomic_fetch_add(tx ? &p->tx_bytes : &p->rx_bytes, bytes, __ATOMIC_RELAXED);
	if (!tx)
		__atomic_store_n(&p->rx_seen, (__u32)(now >> PA_K_SEEN_SHIFT), __ATOMIC_RELAXED);
	return true;
}

void pa_dp_kern_relayed(struct pa_dp *dp, const struct pa_addr *inner)
{
	__u16 until = (__u16)((boot_ns() >> PA_K_RELAY_SHIFT) + PA_K_RELAY_UNITS);
	uint32_t slot;

	if (find_slot(dp, inner, &slot) == 0)
		PA_KERN_SET(dp->maps.peers[slot].relayed, until != 0 ? until : (__u16)1);
}

/* ---- rules ---- */

/* A stretch of 65536 addresses whose block changes is the daemon's business until all is written. */
static void write_far(struct pa_dp *dp)
{
	for (size_t i = 0; i < PA_K_FAR_WORDS; i++)
		if (dp->maps.far[i] != dp->far->far[i])
			PA_KERN_SET(dp->maps.far[i], UINT64_MAX);
	for (size_t i = 0; i < PA_K_BLOCKS * PA_K_BLOCK_WORDS; i++)
		if (dp->maps.bits[i] != dp->far->bits[i])
			PA_KERN_SET(dp->maps.bits[i], dp->far->bits[i]);
	for (size_t i = 0; i < PA_K_FAR_WORDS; i++)
		if (dp->maps.far[i] != dp->far->far[i])
			PA_KERN_SET(dp->maps.far[i], dp->far->far[i]);
}

/* Without memory: the daemon judges each packet. */
static void ask_always(struct pa_dp *dp)
{
	for (size_t i = 0; i < PA_K_FAR_WORDS; i++)
		PA_KERN_SET(dp->maps.far[i], UINT64_MAX);
}

void pa_dp_kern_refresh(struct pa_dp *dp)
{
	if (dp->cfg.role != PA_DP_GATEWAY)
		return;
	if (pa_far_destinations(dp->cfg.deny, dp->far) == 0)
		write_far(dp);
	else
		ask_always(dp);
	PA_KERN_SET(dp->maps.conf->n_ports, (uint32_t)dp->cfg.deny->n_ports);
}

/* ---- client ---- */

struct client_end {
	uint32_t addr, gateway, own;
	uint16_t gateway_port, own_port;
};

/* The route to the gateway is looked up here, now and then, and not for each packet. */
static void find_next_hop(struct pa_dp *dp)
{
	struct pa_k_conf *c = dp->maps.conf;
	uint32_t hop;

	if (c->enabled == 0 || pa_net_hop_get(dp->nl, c->own, c->gateway, (int)c->outer_ifindex, dp->kern.mark, &hop) < 0) {
		PA_KERN_SET(c->hops_until, 0);
		return;
	}
	PA_KERN_SET(c->next_hop, hop);
	PA_KERN_SET(c->hops_until, boot_ns() + PA_K_ROUTES_NS);
}

static void write_client(struct pa_dp *dp, const struct client_end *e)
{
	struct pa_k_conf *c = dp->maps.conf;
	bool on = dp->attached && e->own != 0 && e->own_port != 0 && e->gateway != 0;

	if (c->addr != e->addr || c->gateway != e->gateway || c->own != e->own || c->gateway_port != e->gateway_port ||
	    c->own_port != e->own_port || !on) {
		PA_KERN_SET(c->enabled, 0);
		if (c->addr != e->addr)
			memset(dp->maps.peers, 0, sizeof(*dp->maps.peers));
		c->addr = e->addr;
		c->gateway = e->gateway;
		c->own = e->own;
		c->gateway_port = e->gateway_port;
		c->own_port = e->own_port;
	}
	c->mark = dp->kern.mark;
	PA_KERN_SET(dp->maps.peers[0].until, until_of(&dp->peer));
	PA_KERN_SET(c->enabled, on ? 1 : 0);
	find_next_hop(dp);
}

void pa_kern_client_apply(struct pa_dp *dp)
{
	struct pa_ingress rule = {.addr = dp->peer.inner, .lan = dp->lan, .n_lan = dp->peer.n_lan};
	struct client_end e = {0, 0, 0, 0, 0};

	if (pa_addr_is_none(&dp->peer.inner) || !pa_addr_is_ipv4(&dp->peer.inner) || !pa_addr_is_ipv4(&dp->peer.outer.addr) ||
	    pa_addr_classify(&dp->peer.outer.addr) == PA_ADDR_LOOPBACK) { /* the process carries it further */
		PA_KERN_SET(dp->maps.conf->enabled, 0);
		PA_KERN_SET(dp->maps.peers[0].until, 0);
		return;
	}
	e.addr = ipv4_net(&dp->peer.inner);
	e.gateway = ipv4_net(&dp->peer.outer.addr);
	e.gateway_port = htons(dp->peer.outer.port);
	e.own = source_towards(dp, &dp->peer.outer);
	e.own_port = htons(dp->ports[dp->peer.local]);
	if (pa_far_sources(&rule, dp->far) == 0)
		write_far(dp);
	else
		ask_always(dp);
	write_client(dp, &e);
}

static void update_client(struct pa_dp *dp, const struct pa_dp_peer *peer)
{
	if (peer->outer.port == 0) {
		memset(&dp->peer, 0, sizeof(dp->peer));
	} else {
		dp->peer = *peer;
		if (dp->peer.n_lan > PA_DP_LAN_MAX)
			dp->peer.n_lan = PA_DP_LAN_MAX;
		if (dp->peer.n_lan > 0)
			memcpy(dp->lan, peer->lan, dp->peer.n_lan * sizeof(dp->lan[0]));
		dp->peer.lan = dp->lan;
	}
	pa_kern_client_apply(dp);
}

void pa_dp_kern_port(struct pa_dp *dp, unsigned local, uint16_t port)
{
	if (local >= PA_DP_SOCKETS_MAX)
		return;
	dp->ports[local] = port;
	if (dp->cfg.role == PA_DP_CLIENT && !pa_addr_is_none(&dp->peer.inner))
		pa_kern_client_apply(dp);
}

uint16_t pa_dp_kern_former_port(const struct pa_dp *dp)
{
	return dp->maps.adopted ? ntohs(dp->maps.conf->own_port) : 0;
}

/* ---- the interface ---- */

static int kern_update(struct pa_dp *dp, const struct pa_dp_peer *peer)
{
	if (peer->local >= PA_DP_SOCKETS_MAX || pa_addr_is_none(&peer->inner))
		return PA_EINVAL;
	if (dp->cfg.role == PA_DP_GATEWAY)
		return update_gateway(dp, peer);
	update_client(dp, peer);
	return 0;
}

static int peer_stats(struct pa_dp *dp, const struct pa_addr *inner, struct pa_dp_peer_stats *ret)
{
	const struct pa_k_peer *p;
	uint32_t slot = 0;

	if (dp->cfg.role == PA_DP_CLIENT && (pa_addr_is_none(inner) || !pa_addr_eq(inner, &dp->peer.inner)))
		return PA_ENOTFOUND;
	if (dp->cfg.role == PA_DP_GATEWAY && find_slot(dp, inner, &slot) < 0)
		return PA_ENOTFOUND;
	p = &dp->maps.peers[slot];
	if (p->until == 0)
		return PA_ENOTFOUND;
	*ret = (struct pa_dp_peer_stats){.tx_packets = p->tx_packets, .tx_bytes = p->tx_bytes, .rx_packets = p->rx_packets,
					 .rx_bytes = p->rx_bytes, .rx_seen_ms = ((uint64_t)p->rx_seen << PA_K_SEEN_SHIFT) / NS_PER_MS};
	return 0;
}

static int kern_stats(struct pa_dp *dp, const struct pa_addr *inner, struct pa_dp_stats *total, struct pa_dp_peer_stats *peer)
{
	struct pa_k_totals t;
	int rc = inner != NULL ? peer_stats(dp, inner, peer) : 0;

	if (rc == 0 && total != NULL)
		rc = pa_kern_totals(&dp->maps, &t);
	if (rc < 0 || total == NULL)
		return rc;
	*total = (struct pa_dp_stats){.tx_packets = t.tx_packets, .tx_bytes = t.tx_bytes, .rx_packets = t.rx_packets,
				      .rx_bytes = t.rx_bytes, .tx_errors = t.tx_errors, .rx_errors = t.rx_errors};
	for (int i = 0; i < PA_VERDICTS; i++) {
		total->tx_drops[i] = t.tx_drops[i];
		total->rx_drops[i] = t.rx_drops[i];
	}
	return 0;
}

static void kern_close(struct pa_dp *dp)
{
	char err[PA_DP_KERN_ERRLEN];

	if (dp == NULL)
		return;
	if (dp->maps.skel != NULL) {
		PA_KERN_SET(dp->maps.conf->enabled, 0);
		(void)pa_dp_kern_attach(dp, 0, 0, err);
		pa_kern_maps_close(&dp->maps, true);
	}
	pa_nl_close(dp->nl);
	free(dp->free_slots);
	free(dp->far);
	free(dp);
}

void pa_dp_kern_alive(struct pa_dp *dp)
{
	PA_KERN_SET(dp->maps.conf->alive_until, boot_ns() + PA_K_ALIVE_NS);
	if (dp->cfg.role == PA_DP_CLIENT && dp->maps.conf->hops_until != 0)
		find_next_hop(dp);
	else if (dp->maps.conf->hops_until != 0)
		PA_KERN_SET(dp->maps.conf->hops_until, boot_ns() + PA_K_ROUTES_NS);
}

/* No program uses the tables by now: they were declared invalid well before. */
void pa_dp_kern_hops(struct pa_dp *dp, const struct pa_hops *hops)
{
	PA_KERN_SET(dp->maps.conf->hops_until, 0);
	if (hops == NULL)
		return;
	for (size_t i = 0; i < PA_K_HOPS; i++)
		dp->maps.hops[i] = (struct pa_k_hop){.gateway = htonl(hops->hop[i].gateway), .ifindex = hops->hop[i].ifindex};
	memcpy(dp->maps.ways, hops->ways, sizeof(hops->ways));
	PA_KERN_SET(dp->maps.conf->hops_until, boot_ns() + PA_K_ROUTES_NS);
}

static int kern_open(const struct pa_dp_config *cfg, struct pa_dp **ret)
{
	struct pa_dp *dp = calloc(1, sizeof(*dp));
	struct pa_k_conf want;
	int rc = dp != NULL ? 0 : PA_ENOMEM;

	(void)snprintf(cfg->kern->err, PA_DP_KERN_ERRLEN, "%s", pa_strerror(PA_ENOMEM));
	if (rc == 0) {
		dp->cfg = *cfg;
		dp->kern = *cfg->kern;
		dp->far = calloc(1, sizeof(*dp->far));
		rc = dp->far == NULL ? PA_ENOMEM : pa_nl_open(&dp->nl);
	}
	make_layout(cfg, &want);
	if (rc == 0)
		rc = pa_kern_maps_open(cfg->kern, &want, &dp->maps, cfg->kern->err);
	if (rc == 0) {
		dp->maps.conf->generation++;
		dp->maps.conf->rate = cfg->kern->rate;
		pa_dp_kern_hops(dp, NULL); /* until this process has read the routes */
		dp->attached = dp->maps.adopted && dp->maps.conf->links[0].ifindex != 0;
		pa_dp_kern_alive(dp);
		pa_dp_kern_refresh(dp);
	}
	if (rc == 0 && want.hashed != 0)
		rc = index_slots(dp);
	if (rc < 0) {
		kern_close(dp);
		return rc;
	}
	*ret = dp;
	return 0;
}

/* In the order of the hash, the next key is asked for before one is removed. */
static void settle_hashed(struct pa_dp *dp, uint16_t generation)
{
	uint32_t key, next, slot;
	bool more = pa_kern_slot_next(&dp->maps, NULL, &key);

	while (more) {
		bool last = !pa_kern_slot_next(&dp->maps, &key, &next);

		if (pa_kern_slot_get(&dp->maps, key, &slot) == 0 && dp->maps.peers[slot].generation != generation) {
			PA_KERN_SET(dp->maps.peers[slot].until, 0);
			free_slot(dp, key, slot);
		}
		more = !last;
		key = next;
	}
}

void pa_dp_kern_settle(struct pa_dp *dp)
{
	uint16_t generation = (uint16_t)dp->maps.conf->generation;

	if (dp->cfg.role != PA_DP_GATEWAY)
		return;
	if (dp->maps.conf->hashed != 0)
		settle_hashed(dp, generation);
	for (uint32_t i = 0; dp->maps.conf->hashed == 0 && i < dp->maps.conf->n_peers; i++) {
		struct pa_k_peer *p = &dp->maps.peers[i];

		if (p->until == 0 || p->generation == generation)
			continue;
		PA_KERN_SET(p->until, 0);
		memset(p, 0, sizeof(*p));
	}
}

const struct pa_dp_ops pa_dp_kern = {
	.name = "kernel",
	.open = kern_open,
	.update = kern_update,
	.stats = kern_stats,
	.close = kern_close,
};

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gatewayd_hosts_edge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "tunnel/net_hosts.h"
#include "tunnel/net_mtu.h"
#include "tunnel/net_route.h"

#define COLLECT_MS 5	    /* what comes together is done together */
#define AGAIN_MS 5000	    /* after the kernel refused something */
#define ANNOUNCE_AGAIN_MS 2000 /* RFC 5227, ANNOUNCE_INTERVAL; two of them, ANNOUNCE_NUM */

/* An announcement by ARP that is to be repeated. All wait equally long, so they stand in the order in which they are due. */
struct again {
	uint64_t due_ms; /* boot time */
	struct pa_addr addr;
	int ifindex;
};

struct pa_gatewayd_hosts {
	const struct pa_gatewayd_conf *conf;
	struct pa_nl *nl;
	const struct pa_gw *gw;
	int device, *links; /* links: interface index for each pool; 0: not on-link, negative: gone at the moment */
	int arp_fd; /* -1: no pool is on-link */
	uv_timer_t timer;
	struct pa_host_change *changes;
	size_t n, done, cap; /* the first done ones have been made */
	struct again *agains;
	size_t n_agains, next_again, cap_agains;
	uint64_t settle_ms; /* boot time at which everything is compared again; 0: no need */
	bool failing;	    /* and said so */
};

/* ---- what is to be done ---- */

static bool grow(void **list, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap > 0 ? 2 * *cap : PA_HOSTS_BATCH;
	void *bigger;

	if (n < *cap)
		return true;
	bigger = reallocarray(*list, want, size);
	if (bigger == NULL)
		return false;
	*list = bigger;
	*cap = want;
	return true;
}

static void on_timer(uv_timer_t *t);

static void arm(struct pa_gatewayd_hosts *h)
{
	uint64_t now = pa_now_get().boot_ms, due = UINT64_MAX;

	if (h->done < h->n)
		due = now + (h->done > 0 ? 0 : COLLECT_MS);
	if (h->next_again < h->n_agains && h->agains[h->next_again].due_ms < due)
		due = h->agains[h->next_again].due_ms;
	if (h->settle_ms != 0 && h->settle_ms < due)
		due = h->settle_ms;
	if (due != UINT64_MAX)
		(void)uv_timer_start(&h->timer, on_timer, due > now ? due - now : 0, 0);
}

/* Without memory for it: everything is compared later. */
static void lose(struct pa_gatewayd_hosts *h)
{
	h->settle_ms = pa_now_get().boot_ms + AGAIN_MS;
	arm(h);
}

static void put(struct pa_gatewayd_hosts *h, const struct pa_host_change *c)
{
	if (!grow((void **)&h->changes, &h->cap, h->n, sizeof(*h->changes))) {
		lose(h);
		return;
	}
	h->changes[h->n++] = *c;
	if (h->n == h->done + 1)
		arm(h);
}

static int link_of(const struct pa_gatewayd_hosts *h, const struct pa_addr *addr)
{
	for (size_t i = 0; i < h->conf->n_pools; i++)
		if (h->links[i] != 0 && pa_prefix_contains(&h->conf->pools[i].prefix, addr))
			return h->links[i];
	return 0;
}

static void change(struct pa_gatewayd_hosts *h, const struct pa_addr *addr, bool add)
{
	struct pa_host_change c = {.addr = *addr, .add = add, .ifindex = h->device, .table = h->conf->route_table,
				   .protocol = h->conf->route_protocol};
	int link = link_of(h, addr);

	if (c.table != 0)
		put(h, &c);
	if (link == 0)
		return;
	c.table = PA_TABLE_MAIN;
	c.protocol = PA_ROUTE_PROTOCOL;
	put(h, &c);
	c.kind = PA_HOST_PROXY;
	c.ifindex = link;
	if (link > 0)
		put(h, &c);
}

void pa_gatewayd_hosts_announce(struct pa_gatewayd_hosts *h, const struct pa_addr *addr)
{
	if (h != NULL)
		change(h, addr, true);
}

void pa_gatewayd_hosts_withdraw(struct pa_gatewayd_hosts *h, const struct pa_addr *addr)
{
	if (h != NULL)
		change(h, addr, false);
}

/* ---- doing it ---- */

static void failed(struct pa_gatewayd_hosts *h, const char *what)
{
	if (!h->failing)
		pa_log(PA_LOG_ERROR, "routes.failed", "reason=\"cannot change %s: %s; all are compared again every %d s\"", what,
		       strerror(errno), AGAIN_MS / 1000);
	h->failing = true;
	h->settle_ms = pa_now_get().boot_ms + AGAIN_MS;
}

/* Neighbours learn it only after the kernel answers for it. */
static void announce_by_arp(struct pa_gatewayd_hosts *h, const struct pa_host_change *c)
{
	(void)pa_net_arp_announce(h->arp_fd, c->ifindex, &c->addr);
	if (h->next_again > 0 && h->next_again == h->n_agains)
		h->next_again = h->n_agains = 0;
	if (!grow((void **)&h->agains, &h->cap_agains, h->n_agains, sizeof(*h->agains)))
		return; /* the first one is said */
	h->agains[h->n_agains++] = (struct again){pa_now_get().boot_ms + ANNOUNCE_AGAIN_MS, c->addr, c->ifindex};
}

static void repeat_announcements(struct pa_gatewayd_hosts *h, uint64_t now)
{
	struct pa_gw_binding b;

	while (h->next_again < h->n_agains && h->agains[h->next_again].due_ms <= now) {
		const struct again *a = &h->agains[h->next_again++];

		if (pa_gw_find(h->gw, &a->addr, &b) == 0 && b.delivering && !b.moved)
			(void)pa_net_arp_announce(h->arp_fd, a->ifindex, &a->addr);
	}
}

static void make_changes(struct pa_gatewayd_hosts *h)
{
	size_t n = h->n - h->done < PA_HOSTS_BATCH ? h->n - h->done : PA_HOSTS_BATCH;
	int rc = pa_net_hosts_apply(h->nl, h->changes + h->done, n);

	if (rc != 0)
		failed(h, "routes and neighbour entries");
	for (size_t i = 0; i < n; i++)
		if (h->changes[h->done + i].kind == PA_HOST_PROXY && h->changes[h->done + i].add)
			announce_by_arp(h, &h->changes[h->done + i]);
	h->done += n;
	if (h->done == h->n)
		h->done = h->n = 0;
}

static void on_timer(uv_timer_t *t)
{
	struct pa_gatewayd_hosts *h = t->data;
	uint64_t now = pa_now_get().boot_ms;

	if (h->settle_ms != 0 && h->settle_ms <= now)
		pa_gatewayd_hosts_settle(h);
	repeat_announcements(h, now);
	if (h->done < h->n)
		make_changes(h);
	arm(h);
}

/* ---- making all of it right ---- */

static bool is_announced(const struct pa_gatewayd_hosts *h, const struct pa_addr *addr)
{
	struct pa_gw_binding b;

	return pa_gw_find(h->gw, addr, &b) == 0 && b.delivering && !b.moved;
}

/* A route of a former process that is wrong now, because its table is another one or its address is not bound here, goes. */
static int judge_route(void *arg, const struct pa_host_change *found)
{
	struct pa_gatewayd_hosts *h = arg;
	bool of_table = h->conf->route_table != 0 && found->table == h->conf->route_table &&
			found->protocol == h->conf->route_protocol;
	bool of_main = found->table == PA_TABLE_MAIN && found->protocol == PA_ROUTE_PROTOCOL && link_of(h, &found->addr) != 0;
	bool of_pool = false;

	if (found->protocol == PA_MTU_ROUTE_PROTOCOL)
		return 0; /* of a binding with a small MTU, which knows when it has to go (net_mtu.h) */
	/* A pool of one address has such a route too. */
	for (size_t i = 0; found->table == PA_TABLE_MAIN && i < h->conf->n_pools; i++)
		of_pool = of_pool || (h->links[i] == 0 && h->conf->pools[i].prefix.len == 32 &&
				      pa_addr_eq(&h->conf->pools[i].prefix.addr, &found->addr));
	if (!of_pool && !((of_table || of_main) && is_announced(h, &found->addr)))
		put(h, found);
	return 0;
}

static bool of_pools(const struct pa_gatewayd_conf *conf, const struct pa_addr *addr)
{
	for (size_t i = 0; i < conf->n_pools; i++)
		if (pa_prefix_contains(&conf->pools[i].prefix, addr))
			return true;
	return false;
}

static int judge_proxy(void *arg, const struct pa_host_change *found)
{
	struct pa_gatewayd_hosts *h = arg;

	if (!of_pools(h->conf, &found->addr))
		return 0; /* another gateway's on this host */
	if (link_of(h, &found->addr) != found->ifindex || !is_announced(h, &found->addr))
		put(h, found);
	return 0;
}

static bool add_each(void *arg, const struct pa_gw_binding *b)
{
	if (b->delivering && !b->moved)
		change(arg, &b->claims.addr, true);
	return true;
}

void pa_gatewayd_hosts_settle(struct pa_gatewayd_hosts *h)
{
	h->n = h->done = 0;
	h->settle_ms = 0;
	if (pa_net_hosts_routes(h->nl, h->device, judge_route, h) < 0 || pa_net_hosts_proxies(h->nl, judge_proxy, h) < 0)
		failed(h, "what cannot be read: routes and neighbour entries");
	else
		h->failing = false; /* the next refusal is worth a line again */
	pa_gw_each(h->gw, add_each, h);
	arm(h);
}

/* ---- life ---- */

void pa_gatewayd_hosts_refresh(struct pa_gatewayd_hosts *h)
{
	bool changed = false;

	for (size_t i = 0; h != NULL && i < h->conf->n_pools; i++) {
		int now = h->links[i] != 0 ? pa_nl_ifindex(h->conf->on_link[i]) : 0;

		changed = changed || now != h->links[i];
		h->links[i] = now;
	}
	if (changed)
		pa_gatewayd_hosts_settle(h);
}

static int find_links(struct pa_gatewayd_hosts *h, size_t *ret_pool, char err[PA_GATEWAYD_HOSTS_ERRLEN])
{
	for (size_t i = 0; i < h->conf->n_pools; i++) {
		if (h->conf->on_link[i][0] == '\0')
			continue;
		h->links[i] = pa_nl_ifindex(h->conf->on_link[i]);
		if (h->links[i] < 0) {
			*ret_pool = i;
			(void)snprintf(err, PA_GATEWAYD_HOSTS_ERRLEN, "there is no interface %s; name the one on whose link the pool's "
				       "addresses are (see: ip link)", h->conf->on_link[i]);
			return PA_ENOTFOUND;
		}
		if (h->arp_fd < 0 && pa_net_arp_open(&h->arp_fd) < 0) {
			*ret_pool = i;
			(void)snprintf(err, PA_GATEWAYD_HOSTS_ERRLEN, "cannot open a socket to announce addresses by ARP: %s; it needs "
				       "CAP_NET_RAW at the start", strerror(errno));
			return PA_EDENIED;
		}
	}
	return 0;
}

int pa_gatewayd_hosts_new(uv_loop_t *loop, const struct pa_gatewayd_conf *conf, struct pa_nl *nl, const struct pa_gw *gw,
			  int device, struct pa_gatewayd_hosts **ret, size_t *ret_pool, char err[PA_GATEWAYD_HOSTS_ERRLEN])
{
	struct pa_gatewayd_hosts *h = calloc(1, sizeof(*h));
	int rc = PA_ENOMEM;

	*ret_pool = conf->n_pools;
	(void)snprintf(err, PA_GATEWAYD_HOSTS_ERRLEN, "%s", pa_strerror(rc));
	if (h == NULL || (h->links = calloc(conf->n_pools, sizeof(*h->links))) == NULL) {
		free(h);
		return rc;
	}
	h->conf = conf;
	h->nl = nl;
	h->gw = gw;
	h->device = device;
	h->arp_fd = -1;
	rc = find_links(h, ret_pool, err);
	if (rc < 0) {
		free(h->links);
		free(h);
		return rc;
	}
	(void)uv_timer_init(loop, &h->timer); /* cannot fail */
	h->timer.data = h;
	*ret = h;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct pa_gatewayd_hosts *h = handle->data;

	free(h->changes);
	free(h->agains);
	free(h->links);
	free(h);
}

/* Proxy entries found: taken away once the list is read. */
struct found {
	const struct pa_gatewayd_conf *conf;
	struct pa_host_change list[PA_HOSTS_BATCH];
	size_t n;
};

static int keep(void *arg, const struct pa_host_change *c)
{
	struct found *f = arg;

	if (f->n < PA_HOSTS_BATCH && of_pools(f->conf, &c->addr))
		f->list[f->n++] = *c;
	return 0;
}

void pa_gatewayd_hosts_clean(const struct pa_gatewayd_conf *conf, struct pa_nl *nl)
{
	struct found f = {.conf = conf};
	bool any = false;

	for (size_t i = 0; i < conf->n_pools; i++)
		any = any || conf->on_link[i][0] != '\0';
	do {
		f.n = 0;
		if (any && pa_net_hosts_proxies(nl, keep, &f) < 0)
			return;
	} while (f.n > 0 && pa_net_hosts_apply(nl, f.list, f.n) == 0);
}

void pa_gatewayd_hosts_close(struct pa_gatewayd_hosts *h)
{
	if (h == NULL)
		return;
	pa_gatewayd_hosts_clean(h->conf, h->nl);
	if (h->arp_fd >= 0)
		close(h->arp_fd);
	uv_close((uv_handle_t *)&h->timer, on_closed);
}

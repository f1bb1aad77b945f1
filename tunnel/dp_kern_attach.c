/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Where the programs of the data path are. What is attached stands in the shared memory (conf->links), so that a later
 * process knows it too: it may have other interfaces to serve, or is there to clean up.
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/dp_kern_int.h"
#include "tunnel/net_tc.h"

#define ADDRS_MAX 256
#define OUTERS_MAX ((PA_K_LINKS - 1) / 2) /* tc and XDP each, and the encapsulation device */
/* Our filters' priorities: one for each encapsulation device, so that several daemons may share an outer interface. */
#define PRIORITY 0x4000
#define PRIORITIES 0x3fff

static uint16_t priority_of(int anchor)
{
	return (uint16_t)(PRIORITY + (anchor & PRIORITIES));
}

static struct pa_tc_place place_of(const struct pa_k_link *l)
{
	return (struct pa_tc_place){.ifindex = (int)l->ifindex, .egress = l->side == PA_K_EGRESS, .priority = l->priority};
}

/* ---- the interfaces ---- */

struct outers {
	int ifindex[OUTERS_MAX];
	size_t n;
	uint32_t mtu; /* the least of them */
	size_t beyond; /* that have no Ethernet header, or no place here */
};

static void add_outer(struct outers *o, const struct pa_tc_addr *a)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->ifindex[i] == a->ifindex)
			return;
	if (!a->ethernet || o->n == OUTERS_MAX) {
		o->beyond++;
		return;
	}
	o->ifindex[o->n++] = a->ifindex;
	if (o->mtu == 0 || a->mtu < o->mtu)
		o->mtu = a->mtu;
}

static bool serves(const struct pa_endpoint *listen, const struct pa_addr *own)
{
	return pa_addr_is_ipv4(&listen->addr) && (pa_addr_to_ipv4(&listen->addr) == 0 || pa_addr_eq(&listen->addr, own));
}

/* By the LAN's name, or by the gateway's addresses. */
static int find_outers(struct pa_dp *dp, int anchor, struct outers *ret)
{
	struct pa_tc_addr addrs[ADDRS_MAX];
	int n = pa_tc_addrs(dp->nl, addrs, ADDRS_MAX);
	int lan = dp->cfg.role == PA_DP_CLIENT ? pa_nl_ifindex(dp->kern.iface) : 0;

	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < n; i++) {
		bool wanted = addrs[i].ifindex == lan;

		for (size_t k = 0; dp->cfg.role == PA_DP_GATEWAY && k < dp->kern.n_listen; k++)
			wanted = wanted || serves(&dp->kern.listen[k], &addrs[i].addr);
		if (wanted && addrs[i].ifindex != anchor)
			add_outer(ret, &addrs[i]);
	}
	return n < 0 ? n : 0;
}

void pa_kern_listen_apply(struct pa_dp *dp)
{
	struct pa_k_conf *c = dp->maps.conf;
	struct pa_tc_addr addrs[ADDRS_MAX];
	int n = pa_tc_addrs(dp->nl, addrs, ADDRS_MAX);
	uint32_t count = 0;

	for (size_t k = 0; k < dp->kern.n_listen; k++) {
		for (int i = 0; i < n && count < PA_K_LISTEN; i++) {
			if (!serves(&dp->kern.listen[k], &addrs[i].addr))
				continue;
			c->listen[count].addr = htonl(pa_addr_to_ipv4(&addrs[i].addr));
			c->listen[count].port = htons(dp->kern.listen[k].port);
			c->listen[count].local = (uint8_t)k;
			count++;
		}
	}
	PA_KERN_SET(c->n_listen, count);
}

/* ---- the filters ---- */

static bool wanted(const struct pa_k_link *l, int anchor, bool accelerate, const struct outers *o)
{
	if (anchor == 0 || l->priority != priority_of(anchor))
		return false;
	if (l->side == PA_K_EGRESS)
		return (int)l->ifindex == anchor;
	if (l->side == PA_K_XDP && !accelerate)
		return false;
	for (size_t i = 0; i < o->n; i++)
		if (o->ifindex[i] == (int)l->ifindex)
			return true;
	return false;
}

static void detach(struct pa_nl *nl, const struct pa_k_link *l)
{
	struct pa_tc_place at = place_of(l);

	if (l->side == PA_K_XDP)
		(void)bpf_xdp_detach((int)l->ifindex, XDP_FLAGS_DRV_MODE, NULL);
	else
		(void)pa_tc_detach(nl, &at, l->more != 0);
}

/* Takes away what is not wanted, and closes the gaps in the list. */
static void detach_others(struct pa_dp *dp, int anchor, const struct outers *o)
{
	struct pa_k_link *links = dp->maps.conf->links;
	size_t n = 0;

	for (size_t i = 0; i < PA_K_LINKS && links[i].ifindex != 0; i++) {
		if (wanted(&links[i], anchor, dp->kern.accelerate, o))
			links[n++] = links[i];
		else
			detach(dp->nl, &links[i]);
	}
	memset(&links[n], 0, (PA_K_LINKS - n) * sizeof(links[0]));
}

/* Noted before it is done: a process that dies in between leaves a note too many, not one too few. */
static struct pa_k_link *note_link(struct pa_dp *dp, int ifindex, int anchor, uint8_t side)
{
	struct pa_k_link *links = dp->maps.conf->links;

	for (size_t i = 0; i < PA_K_LINKS; i++) {
		if (links[i].ifindex == (uint32_t)ifindex && links[i].side == side)
			return &links[i];
		if (links[i].ifindex != 0)
			continue;
		links[i] = (struct pa_k_link){.ifindex = (uint32_t)ifindex, .priority = priority_of(anchor), .side = side};
		return &links[i];
	}
	return NULL;
}

static int attach_one(struct pa_dp *dp, int ifindex, int anchor, char err[PA_DP_KERN_ERRLEN])
{
	bool egress = ifindex == anchor, made = false;
	struct pa_k_link *l = note_link(dp, ifindex, anchor, egress ? PA_K_EGRESS : PA_K_INGRESS);
	char name[IF_NAMESIZE] = "?";
	struct pa_tc_place at;
	int rc;

	if (l == NULL)
		return PA_ENOMEM;
	at = place_of(l);
	rc = pa_tc_attach(dp->nl, &at, dp->maps.progs[egress ? PA_KERN_OUT : PA_KERN_IN], &made);
	if (made)
		l->more = 1;
	if (rc < 0)
		(void)snprintf(err, PA_DP_KERN_ERRLEN, "cannot attach a program to %s: %s%s", if_indextoname((unsigned)ifindex, name),
			       strerror(errno), errno == ENOENT || errno == EOPNOTSUPP ? "; the kernel lacks sch_ingress or cls_bpf" : "");
	return rc;
}

/*
 * XDP in the driver or not at all: the kernel's own, in front of the stack, comes after GRO, and a packet that GRO has put together must not
 * get headers there, for it would be cut up as what it was before. Somebody else's program stays, and ours stands back.
 */
static int attach_xdp(struct pa_dp *dp, int ifindex, int anchor)
{
	struct pa_k_link *l = note_link(dp, ifindex, anchor, PA_K_XDP);
	uint32_t flags = XDP_FLAGS_DRV_MODE;
	int rc;

	if (l == NULL)
		return PA_ENOMEM;
	if (l->more == 0)
		flags |= XDP_FLAGS_UPDATE_IF_NOEXIST;
	l->more = 1;
	rc = bpf_xdp_attach(ifindex, dp->maps.progs[PA_KERN_XDP], flags, NULL);
	if (rc == 0)
		return 0;
	if ((flags & XDP_FLAGS_UPDATE_IF_NOEXIST) != 0)
		memset(l, 0, sizeof(*l)); /* the last one of the list */
	errno = -rc;
	return rc == -EBUSY || rc == -EEXIST ? PA_EEXIST : rc == -EOPNOTSUPP || rc == -EINVAL ? PA_ENOTSUP : PA_EIO;
}

static const char *xdp_error(int rc)
{
	return rc == PA_EEXIST ? "it has an XDP program of somebody else"
	       : rc == PA_ENOTSUP ? "its driver does not do XDP" : strerror(errno);
}

/* Where that does not go, all is as without it. */
static void accelerate(struct pa_dp *dp, int anchor, const struct outers *o)
{
	char name[IF_NAMESIZE] = "?";

	for (size_t i = 0; dp->kern.accelerate && i < o->n; i++) {
		int rc = attach_xdp(dp, o->ifindex[i], anchor);

		dp->accelerated = dp->accelerated || rc == 0;
		if (rc < 0)
			pa_log(PA_LOG_WARN, "datapath.unaccelerated", "interface=%s reason=\"%s\"",
			       if_indextoname((unsigned)o->ifindex[i], name), xdp_error(rc));
	}
}

bool pa_dp_kern_accelerated(const struct pa_dp *dp)
{
	return dp->accelerated;
}

static void detach_all(struct pa_dp *dp)
{
	const struct outers none = {.n = 0};

	PA_KERN_SET(dp->maps.conf->enabled, 0);
	detach_others(dp, 0, &none);
	dp->attached = dp->accelerated = false;
}

/* The way out first: what comes in is not delivered to a device whose answers would go another way. */
static int attach_all(struct pa_dp *dp, int anchor, uint16_t mtu, const struct outers *o, char err[PA_DP_KERN_ERRLEN])
{
	struct pa_k_conf *c = dp->maps.conf;
	int rc;

	c->inner_mtu = mtu;
	c->outer_mtu = o->mtu;
	c->outer_ifindex = (uint32_t)o->ifindex[0];
	PA_KERN_SET(c->anchor, (uint32_t)anchor);
	detach_others(dp, anchor, o);
	rc = attach_one(dp, anchor, anchor, err);
	for (size_t i = 0; rc == 0 && i < o->n; i++)
		rc = attach_one(dp, o->ifindex[i], anchor, err);
	if (rc == 0)
		accelerate(dp, anchor, o);
	return rc;
}

int pa_dp_kern_attach(struct pa_dp *dp, int anchor, uint16_t mtu, char err[PA_DP_KERN_ERRLEN])
{
	struct outers o;
	int rc;

	if (anchor == 0) {
		detach_all(dp);
		return 0;
	}
	rc = find_outers(dp, anchor, &o);
	if (rc < 0) {
		(void)snprintf(err, PA_DP_KERN_ERRLEN, "cannot read the interfaces: %s", pa_strerror(rc));
	} else if (o.n == 0) {
		(void)snprintf(err, PA_DP_KERN_ERRLEN, "no Ethernet interface has the tunnel's outer address");
		rc = PA_ENOTFOUND;
	} else {
		rc = attach_all(dp, anchor, mtu, &o, err);
	}
	if (rc < 0) {
		detach_all(dp);
		return rc;
	}
	dp->attached = true;
	if (dp->cfg.role == PA_DP_CLIENT) {
		pa_kern_client_apply(dp);
	} else {
		pa_kern_listen_apply(dp);
		PA_KERN_SET(dp->maps.conf->enabled, 1);
	}
	return 0;
}

void pa_dp_kern_remove(const char *bpf_dir, const char *device)
{
	struct pa_k_conf *conf = pa_kern_conf_map(bpf_dir, device);
	struct pa_nl *nl;

	if (conf != NULL && pa_nl_open(&nl) == 0) {
		PA_KERN_SET(conf->enabled, 0);
		for (size_t i = 0; i < PA_K_LINKS && conf->links[i].ifindex != 0; i++)
			detach(nl, &conf->links[i]);
		pa_nl_close(nl);
	}
	if (conf != NULL)
		pa_kern_conf_unmap(conf);
	pa_kern_unpin(bpf_dir, device);
}

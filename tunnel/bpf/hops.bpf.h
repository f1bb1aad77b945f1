/* SPDX-License-Identifier: MPL-2.0 */
/* Included by path.bpf.c, which has the maps and what both kinds of programs share. */
/*
 * The next hop of a packet, as forwarding would find it. The kernel's own look-up costs more than all the rest that XDP does with a
 * packet, so where the daemon has seen that all addresses with the same upper half go to one next hop, the look-up of one packet serves
 * the others for a second. Only the programs write what it found; whatever differs from what the daemon has seen is not kept.
 */
#define HOP_NS (1000ULL * 1000000)

struct flow {
	__be32 src, dst;
	__be16 sport, dport;
	__u16 len; /* of the packet, from its IP header on */
	__u8 proto;
};

struct next {
	__u32 ifindex;
	__be32 gateway;
	__u64 dmac, smac; /* as in a frame, then two octets of zero */
};

static __always_inline struct pa_k_hop *find_hop(struct way *w, __be32 addr)
{
	__u32 a = bpf_ntohl(addr), i = a >> 19, n;
	__u64 *word;

	if (w->c->hops_until <= w->now)
		return NULL;
	word = bpf_map_lookup_elem(&ways, &i);
	if (!word)
		return NULL;
	n = *word >> (a >> 16 & 7) * 8 & 0xff;
	return n > 0 ? bpf_map_lookup_elem(&hops, &n) : NULL;
}

/* Whole words, for another processor may read them meanwhile. */
static __always_inline void keep_hop(struct way *w, struct pa_k_hop *h, const struct next *next, __u16 mtu)
{
	volatile struct pa_k_hop *v = h;

	if (v->ifindex != next->ifindex || v->gateway != next->gateway)
		return;
	v->dmac = next->dmac;
	v->smac = next->smac;
	v->mtu = mtu;
	v->until = w->now + HOP_NS;
}

/* ctx: of a program for tc or XDP. BPF_FIB_LKUP_RET_SUCCESS, ..._NO_NEIGH (without dmac), or another, *next is undefined then. */
static __always_inline long find_next(void *ctx, struct way *w, const struct flow *f, struct next *next)
{
	struct bpf_fib_lookup fib;
	volatile struct pa_k_hop *h = find_hop(w, f->dst);
	long rc;

	if (h && h->until > w->now && f->len <= h->mtu) {
		*next = (struct next){.ifindex = h->ifindex, .gateway = h->gateway, .dmac = h->dmac, .smac = h->smac};
		return BPF_FIB_LKUP_RET_SUCCESS;
	}
	/* All of it: without CAP_PERFMON the verifier lets no helper read what was never written, and unions have gaps. */
	__builtin_memset(&fib, 0, sizeof(fib));
	fib.family = AF_INET;
	fib.l4_protocol = f->proto;
	fib.sport = f->sport;
	fib.dport = f->dport;
	fib.tot_len = f->len;
	fib.ifindex = w->c->anchor;
	fib.ipv4_src = f->src;
	fib.ipv4_dst = f->dst;
	rc = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	*next = (struct next){.ifindex = fib.ifindex, .gateway = fib.ipv4_dst};
	__builtin_memcpy(&next->dmac, fib.dmac, ETH_ALEN);
	__builtin_memcpy(&next->smac, fib.smac, ETH_ALEN);
	/* tot_len has become the MTU (from Linux 5.12 on; what it was before is never too large). */
	if (h && rc == BPF_FIB_LKUP_RET_SUCCESS)
		keep_hop(w, (struct pa_k_hop *)h, next, fib.mtu_result);
	return rc;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* Included by path.bpf.c, which has the maps and what both kinds of programs share. */
/* ---- the gateway's accelerator ---- */

/*
 * XDP on the outer interfaces does both ways at once, before the kernel has made a packet of the frame: from a client to the
 * Internet and back, with the next hop looked up as forwarding does. What is not as plain as that is passed on, untouched,
 * and meets the programs above. Frames are whole packets here, so none is longer than an interface's MTU.
 */
#define XDP_UP XDP_PASS

/* Where a frame goes next; false: the kernel has to find out, or it stays on this host. */
static __always_inline bool next_frame(struct xdp_md *ctx, struct way *w, const struct flow *f, struct next *next)
{
	return find_next(ctx, w, f, next) == BPF_FIB_LKUP_RET_SUCCESS && next->ifindex != w->c->anchor;
}

static __always_inline void put_link(struct ethhdr *eth, const struct next *next)
{
	__builtin_memcpy(eth->h_dest, &next->dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, &next->smac, ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);
}

/* One hop less, with the sum mended (RFC 1624). */
static __always_inline void count_hop(struct iphdr *ip)
{
	__u32 sum = ip->check + bpf_htons(0x0100);

	ip->check = (__sum16)(sum + (sum >= 0xffff));
	ip->ttl--;
}

/* A frame for us: as pa_gateway_in, but whatever would be refused or asked about is passed on, and counted there. */
static __always_inline int xdp_from_client(struct xdp_md *ctx, struct way *w, const struct arrived *a, const struct inner *in)
{
	void *data = (void *)(long)ctx->data;
	struct iphdr *ip = data + INNER_AT;
	struct pa_k_peer *p = live_peer(w, in->src);
	const struct flow f = {.proto = in->proto, .src = in->src, .dst = in->dst, .len = in->len};
	struct next next;
	int local = find_listen(w->c, a);

	if (local < 0 || !p || (p->flags & PA_K_PEER_USER) || p->addr != a->src || p->port != a->src_port || p->local != local)
		return XDP_UP;
	/* Congestion marks of the outer header are rare enough. */
	if (judge_far(in->dst) != PA_K_FAR_PASS || in->redirect || in->syn || (a->tos & ECN_MASK) == ECN_CE ||
	    ((a->tos ^ in->tos) & ECN_MASK) != 0)
		return XDP_UP;
	if (in->proto == IPPROTO_TCP && w->c->n_ports > 0 && bit_of(0, in->dst_port))
		return XDP_UP;
	if (in->len > w->c->inner_mtu || !next_frame(ctx, w, &f, &next))
		return XDP_UP;
	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || ip->ttl < 2)
		return XDP_UP;
	if (!within_rate(w, false, in)) {
		w->t->rx_drops[PA_DROP_LIMITED]++;
		return XDP_DROP;
	}
	count_hop(ip);
	if (bpf_xdp_adjust_head(ctx, OUTER_LEN) < 0)
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	if (data + ETH_HLEN > (void *)(long)ctx->data_end)
		return XDP_DROP;
	put_link(data, &next);
	count_rx(w, p, in);
	/* Not XDP_TX where that would do: a veth device whose peer has no XDP program forgets such frames. */
	return (int)bpf_redirect(next.ifindex, 0);
}

/*
 * Sources that no router takes from a wire; the kernel counts them. Nor an address of this host's own, nor one that clients may not
 * send to: what the kernel's checks of the way back say of these is not known here.
 */
static __always_inline bool martian(__be32 src)
{
	__u8 first = bpf_ntohl(src) >> 24;

	return first == 0 || first == 127 || first >= 224 || judge_far(src) != PA_K_FAR_PASS;
}

/*
 * Sessions of the relay beside the gateway have sockets on this host with the client's address, which only the kernel's own way finds.
 * The time is cut, so that once in 19 hours a minute of another client's frames goes that way too, which costs only time.
 */
static __always_inline bool is_relayed(const struct way *w, const struct pa_k_peer *p)
{
	return p->relayed != 0 && (__u16)(p->relayed - (__u16)(w->now >> PA_K_RELAY_SHIFT)) <= PA_K_RELAY_UNITS + 1; /* our clock ticks later */
}

/* A frame for a client: as forwarding and pa_gateway_out. */
static __always_inline int xdp_to_client(struct xdp_md *ctx, struct way *w, const struct inner *in)
{
	void *data = (void *)(long)ctx->data;
	struct iphdr *ip = data + ETH_HLEN;
	struct pa_k_peer *p = live_peer(w, in->dst);
	struct next next;
	struct outer o;
	struct flow f;

	if (!p || (p->flags & PA_K_PEER_USER) || in->redirect || in->syn || martian(in->src) || is_relayed(w, p) ||
	    in->len > w->c->inner_mtu || in->len > p->mtu)
		return XDP_UP;
	o = (struct outer){.src = p->src, .dst = p->addr, .src_port = p->src_port, .dst_port = p->port, .tos = in->tos,
			   .inner_len = in->len};
	f = (struct flow){.proto = IPPROTO_UDP, .src = o.src, .dst = o.dst, .len = in->len + OUTER_LEN};
	if (!next_frame(ctx, w, &f, &next))
		return XDP_UP;
	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || ip->ttl < 2)
		return XDP_UP;
	if (bpf_xdp_adjust_head(ctx, -(int)OUTER_LEN) < 0)
		return XDP_UP;
	if (!within_rate(w, true, in)) {
		w->t->tx_drops[PA_DROP_LIMITED]++;
		return XDP_DROP;
	}
	data = (void *)(long)ctx->data;
	ip = data + INNER_AT;
	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	count_hop(ip);
	put_link(data, &next);
	put_outer(data + ETH_HLEN, &o);
	count_tx(w, p, in);
	return (int)bpf_redirect(next.ifindex, 0);
}

SEC("xdp")
int pa_gateway_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct arrived a;
	struct inner in;
	struct way w;
	__u32 frame;

	/* A frame for many stations is not a router's to forward. */
	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || (eth->h_dest[0] & 1) != 0 || begin(&w) < 0)
		return XDP_UP;
	frame = bpf_xdp_get_buff_len(ctx);
	if (parse_outer(data, end, frame, &a, &in))
		return xdp_from_client(ctx, &w, &a, &in);
	if (parse_inner(data, end, ETH_HLEN, &in) && in.len + ETH_HLEN <= frame)
		return xdp_to_client(ctx, &w, &in);
	return XDP_UP;
}

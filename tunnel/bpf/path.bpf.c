/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The data path in the kernel: four programs for tc. "out" stands at the egress of the encapsulation device and puts inner
 * packets into UDP, "in" stands at the ingress of an outer interface and takes them out. They do what dp_user.c does with
 * plain packets between addresses that the daemon has filled in, and leave all else to it: a program that returns UP
 * has changed nothing, and the packet goes its way to the daemon's device or socket. So control messages, unknown mapped
 * addresses, fragments and IP options need no code here.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tunnel/bpf/mss.bpf.h"
#include "tunnel/bpf/path.h"

#define UP TC_ACT_UNSPEC /* the next filter, if somebody has one, and then the kernel */
#define AF_INET 2
#define OUTER_LEN (sizeof(struct iphdr) + sizeof(struct udphdr))
#define IP_LEN_MAX 65535
#define FRAGMENT_OFFSET 0x1fff
#define ICMP_REDIRECT 5
#define TCP_LENGTH_AT 12
#define TCP_FLAGS_AT 13
#define TCP_SYN 2
#define UPPER_REACH 14 /* what parse_inner looks at behind the IP header */
#define TTL 64 /* as the daemon's sockets have it: Linux's default, RFC 1700 */
#define ECN_MASK 3
#define ECN_CE 3
#define ECN_ECT1 1

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pa_k_conf);
} conf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before loading */
	__type(key, __u32);
	__type(value, struct pa_k_peer);
} peers SEC(".maps");

/* Address to number of its peer, where pools are too large or too many for an index. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before loading */
	__type(key, __be32);
	__type(value, __u32);
} slots SEC(".maps");

/* Words, found by number: an index that varies is no way into a value unless the loader has CAP_PERFMON. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PA_K_FAR_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} far SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PA_K_BLOCKS * PA_K_BLOCK_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} bits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PA_K_FAR_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} ways SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PA_K_HOPS);
	__type(key, __u32);
	__type(value, struct pa_k_hop);
} hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pa_k_totals);
} totals SEC(".maps");

/* By the number of the peer, if there are limits. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before loading */
	__type(key, __u32);
	__type(value, struct pa_k_rate);
} rates SEC(".maps");

/* What a packet's way through a program needs. */
struct way {
	struct pa_k_conf *c;
	struct pa_k_totals *t;
	__u64 now; /* of this tick: up to 10 ms ago */
	__u32 slot; /* of the peer that was found last */
};

static __always_inline int begin(struct way *w)
{
	__u32 zero = 0;
	__u64 tick;

	w->c = bpf_map_lookup_elem(&conf, &zero);
	w->t = bpf_map_lookup_elem(&totals, &zero);
	if (!w->c || !w->t || !w->c->enabled)
		return -1;
	/* Reading the clock costs as much as all that a packet's table entries do; once in a tick is often enough. */
	tick = bpf_jiffies64();
	if (w->t->tick != tick) {
		w->t->now = bpf_ktime_get_boot_ns();
		w->t->tick = tick;
	}
	w->now = w->t->now;
	return 0;
}

/* ---- packets ---- */

struct inner {
	__be32 src, dst;
	__u16 len, dst_port; /* host byte order */
	__u16 header;	     /* IP's and TCP's or UDP's, what each of several packets has */
	__u8 proto, tos;
	bool redirect; /* an ICMP redirect */
	bool syn;
	__u32 packets, bytes; /* as they are on a wire, with their headers: what is counted and charged */
};

static __always_inline int drop_rx(struct way *w, enum pa_verdict v, const struct inner *in)
{
	w->t->rx_drops[v] += in->packets;
	return TC_ACT_SHOT;
}

static __always_inline int drop_tx(struct way *w, enum pa_verdict v, const struct inner *in)
{
	w->t->tx_drops[v] += in->packets;
	return TC_ACT_SHOT;
}

static __always_inline int fail_tx(struct way *w, const struct inner *in)
{
	w->t->tx_errors += in->packets;
	return TC_ACT_SHOT;
}

/*
 * As pa_inner_parse: the IP header at offset at, and what is looked at behind it, which the caller has pulled into reach. False:
 * options, another version, too short; the daemon decides.
 */
static __always_inline bool parse_inner(void *data, void *end, __u32 at, struct inner *in)
{
	struct iphdr *ip = data + at;
	__be16 *upper = (void *)(ip + 1);

	if ((void *)(ip + 1) > end || *(__u8 *)ip != 0x45)
		return false;
	in->src = ip->saddr;
	in->dst = ip->daddr;
	in->len = in->bytes = bpf_ntohs(ip->tot_len);
	in->packets = 1;
	in->header = sizeof(*ip);
	in->tos = ip->tos;
	in->proto = 0;
	in->dst_port = 0;
	in->redirect = in->syn = false;
	if (in->len < sizeof(*ip))
		return false;
	if (ip->frag_off & bpf_htons(FRAGMENT_OFFSET))
		return true;
	in->proto = ip->protocol;
	if (in->proto != IPPROTO_TCP && in->proto != IPPROTO_UDP && in->proto != IPPROTO_ICMP)
		return true;
	if (in->proto == IPPROTO_ICMP && in->len < sizeof(*ip) + 4)
		return false;
	if (in->len < sizeof(*ip) + 4 || (void *)(upper + 2) > end)
		return false;
	if (in->proto == IPPROTO_UDP)
		in->header += sizeof(struct udphdr);
	if (in->proto == IPPROTO_TCP && (void *)upper + TCP_FLAGS_AT < end) {
		in->header += (((__u8 *)upper)[TCP_LENGTH_AT] >> 4) * 4;
		in->syn = ((__u8 *)upper)[TCP_FLAGS_AT] & TCP_SYN;
	}
	if (in->proto == IPPROTO_ICMP)
		in->redirect = *(__u8 *)upper == ICMP_REDIRECT;
	else
		in->dst_port = bpf_ntohs(upper[1]);
	return true;
}

/* Makes the first len bytes of a packet readable, or all of a shorter one. */
static __always_inline void reach(struct __sk_buff *skb, __u32 len)
{
	if ((void *)(long)skb->data + len > (void *)(long)skb->data_end)
		(void)bpf_skb_pull_data(skb, len < skb->len ? len : skb->len);
}

/*
 * What the kernel handles as one packet may be many of a TCP connection or a UDP socket, with one header for all; on a wire each has
 * its own, and that is how the daemon and XDP count. By gso_size, the payload of each but the last, by which they are cut or were
 * joined: gso_segs may be 0, in what comes from a virtual machine or a program like these has changed.
 */
static __always_inline void measure(struct __sk_buff *skb, struct inner *in)
{
	__u32 each = skb->gso_size;

	if (each == 0 || in->len <= in->header)
		return;
	in->packets = (in->len - in->header + each - 1) / each;
	in->bytes = in->len + (in->packets - 1) * in->header;
}

/* ---- peers ---- */

static __always_inline struct pa_k_peer *find_peer(struct way *w, __be32 addr)
{
	struct pa_k_conf *c = w->c;
	__u32 a = bpf_ntohl(addr), slot = ~0U;

	if (c->hashed) {
		__u32 *s = bpf_map_lookup_elem(&slots, &addr);

		if (!s)
			return NULL;
		slot = *s;
	} else {
		/* Unrolled here and below, for the same reason as above: each index is a constant then. */
#pragma unroll
		for (__u32 i = 0; i < PA_K_POOLS; i++) {
			const volatile struct pa_k_pool *pool = &c->pools[i];
			__u32 mask = pool->mask, first = pool->slot;

			if (i >= c->n_pools)
				return NULL;
			if ((a & mask) == pool->base) {
				slot = first + (a & ~mask);
				break;
			}
		}
	}
	w->slot = slot;
	return bpf_map_lookup_elem(&peers, &slot);
}

/* The peer of addr, if it counts now. */
static __always_inline struct pa_k_peer *live_peer(struct way *w, __be32 addr)
{
	struct pa_k_peer *p = w->c->alive_until > w->now ? find_peer(w, addr) : NULL;

	return p && p->until > w->now ? p : NULL;
}

static __always_inline void count_tx(struct way *w, struct pa_k_peer *p, const struct inner *in)
{
	__sync_fetch_and_add(&p->tx_packets, in->packets);
	__sync_fetch_and_add(&p->tx_bytes, in->bytes);
	w->t->tx_packets += in->packets;
	w->t->tx_bytes += in->bytes;
}

static __always_inline void count_rx(struct way *w, struct pa_k_peer *p, const struct inner *in)
{
	__sync_fetch_and_add(&p->rx_packets, in->packets);
	__sync_fetch_and_add(&p->rx_bytes, in->bytes);
	p->rx_seen = w->now >> PA_K_SEEN_SHIFT;
	w->t->rx_packets += in->packets;
	w->t->rx_bytes += in->bytes;
}

/* Whether the peer that was found last may send this (tx: to the client) now; if so it is charged. */
static __always_inline bool within_rate(struct way *w, bool tx, const struct inner *in)
{
	struct pa_k_rate *r;
	__u32 slot = w->slot;

	if (!w->c->limited)
		return true;
	r = bpf_map_lookup_elem(&rates, &slot);
	return !r || pa_rate_take(&w->c->rate, tx ? &r->tx : &r->rx, w->now, in->packets, in->bytes);
}

static __always_inline bool bit_of(__u32 block, __u32 bit)
{
	__u32 i = block * PA_K_BLOCK_WORDS + bit / 64;
	__u64 *word = bpf_map_lookup_elem(&bits, &i);

	return word && (*word >> (bit & 63) & 1);
}

/* PA_K_FAR_PASS, PA_K_FAR_DROP or PA_K_FAR_ASK. */
static __always_inline __u32 judge_far(__be32 addr)
{
	__u32 a = bpf_ntohl(addr), i = a >> 19, v;
	__u64 *word = bpf_map_lookup_elem(&far, &i);

	if (!word)
		return PA_K_FAR_ASK;
	v = *word >> (a >> 16 & 7) * 8 & 0xff;
	if (v < PA_K_FAR_BLOCK || v == PA_K_FAR_ASK)
		return v;
	return bit_of(v - PA_K_FAR_BLOCK + 1, a & 0xffff) ? PA_K_FAR_DROP : PA_K_FAR_PASS;
}

#include "tunnel/bpf/hops.bpf.h"

/* ---- into the tunnel ---- */

struct outer {
	__be32 src, dst;
	__be16 src_port, dst_port;
	__u8 tos;
	__u16 inner_len;
};

static __always_inline __sum16 ip_sum(const struct iphdr *ip)
{
	const __u16 *w = (const __u16 *)ip;
	__u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += w[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (__sum16) ~((sum & 0xffff) + (sum >> 16));
}

/* Writes the outer headers. */
static __always_inline void put_outer(struct iphdr *ip, const struct outer *o)
{
	struct udphdr *udp = (void *)(ip + 1);

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = o->tos;
	ip->tot_len = bpf_htons(o->inner_len + OUTER_LEN);
	ip->id = (__be16)bpf_get_prandom_u32();
	ip->frag_off = 0;
	ip->ttl = TTL;
	ip->protocol = IPPROTO_UDP;
	ip->check = 0;
	ip->saddr = o->src;
	ip->daddr = o->dst;
	ip->check = ip_sum(ip);
	udp->source = o->src_port;
	udp->dest = o->dst_port;
	udp->len = bpf_htons(o->inner_len + sizeof(*udp));
	udp->check = 0;
}

/*
 * Puts the packet into IP and UDP. May be fragmented on the way, as what the daemon's sockets send, hence an identification.
 * The UDP checksum is left out, as RFC 768 allows over IPv4: most of what is sent here has the inner checksum still to be
 * filled in by the interface. 0; 1 if it cannot be done, and the packet is as it was; -1 if it is spoilt.
 */
static __always_inline int encapsulate(struct __sk_buff *skb, __u32 l2, const struct outer *o)
{
	struct iphdr *ip;
	/* The inner segment size follows from the device's MTU already, hence FIXED_GSO. */
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	bool done = bpf_skb_adjust_room(skb, OUTER_LEN, BPF_ADJ_ROOM_MAC, flags | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
					BPF_F_ADJ_ROOM_ENCAP_L4_UDP) == 0;

	/*
	 * What was taken out of a tunnel on this machine is still marked as encapsulated, and refused; the mark is only of use
	 * for what the kernel has to cut up.
	 */
	if (!done && skb->gso_size == 0)
		done = bpf_skb_adjust_room(skb, OUTER_LEN, BPF_ADJ_ROOM_MAC, flags) == 0;
	if (!done)
		return 1;
	/* The redirection to a neighbour wants a link header. */
	if (l2 == 0 && bpf_skb_change_head(skb, ETH_HLEN, 0) < 0)
		return -1;
	ip = (void *)(long)skb->data + ETH_HLEN;
	if ((void *)ip + OUTER_LEN > (void *)(long)skb->data_end)
		return -1;
	put_outer(ip, o);
	return 0;
}

/*
 * Parses what comes to the egress of the encapsulation device, with l2 bytes before the IP header: a TUN device has none.
 * False: the daemon decides.
 */
static __always_inline bool take_inner(struct __sk_buff *skb, __u32 l2, struct inner *in)
{
	reach(skb, l2 + sizeof(struct iphdr) + UPPER_REACH);
	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    !parse_inner((void *)(long)skb->data, (void *)(long)skb->data_end, l2, in))
		return false;
	measure(skb, in);
	return in->len + l2 == skb->len && in->len + OUTER_LEN <= IP_LEN_MAX;
}

/* The outer length of the largest packet that is made of this one. */
static __always_inline __u32 outer_len(struct way *w, struct __sk_buff *skb, const struct inner *in)
{
	__u32 len = in->len;

	if (skb->gso_size > 0 && len > w->c->inner_mtu)
		len = w->c->inner_mtu;
	return len + OUTER_LEN;
}

/* Finds interface and next hop as forwarding would, for the gateway may have several. */
static __always_inline bool route_out(struct way *w, struct __sk_buff *skb, const struct outer *o, const struct inner *in,
				      struct next *next)
{
	const struct flow f = {.proto = IPPROTO_UDP, .sport = o->src_port, .dport = o->dst_port, .src = o->src, .dst = o->dst,
			       .len = outer_len(w, skb, in)};
	long rc = find_next(skb, w, &f, next);

	/* Too large for the path, to this host itself, no route: the daemon's socket knows what to do. */
	return rc == BPF_FIB_LKUP_RET_SUCCESS || rc == BPF_FIB_LKUP_RET_NO_NEIGH;
}

static __always_inline int gateway_out(struct __sk_buff *skb, __u32 l2)
{
	struct bpf_redir_neigh to = {.nh_family = AF_INET};
	struct pa_k_peer *p;
	struct next next;
	struct inner in;
	struct outer o;
	struct way w;
	int rc;

	if (begin(&w) < 0)
		return UP;
	if (!take_inner(skb, l2, &in))
		goto up;
	if (in.redirect)
		return drop_tx(&w, PA_DROP_REDIRECT, &in);
	p = live_peer(&w, in.dst);
	if (!p)
		return drop_tx(&w, PA_DROP_UNBOUND, &in);
	o = (struct outer){.src = p->src, .dst = p->addr, .src_port = p->src_port, .dst_port = p->port, .tos = in.tos,
			   .inner_len = in.len};
	if ((p->flags & PA_K_PEER_USER) || !route_out(&w, skb, &o, &in, &next))
		goto up;
	if (in.syn)
		clamp_mss(skb, l2, p->mtu);
	rc = encapsulate(skb, l2, &o);
	if (rc > 0)
		goto up;
	if (rc < 0)
		return fail_tx(&w, &in);
	/* Not before it is sure that the daemon does not get it, which charges what it gets. */
	if (!within_rate(&w, true, &in))
		return drop_tx(&w, PA_DROP_LIMITED, &in);
	count_tx(&w, p, &in);
	to.ipv4_nh = next.gateway;
	return bpf_redirect_neigh(next.ifindex, &to, sizeof(to), 0);
up:
	w.t->tx_up++;
	return UP;
}

static __always_inline int client_out(struct __sk_buff *skb, __u32 l2)
{
	struct bpf_redir_neigh to = {.nh_family = AF_INET};
	struct pa_k_peer *p;
	struct inner in;
	struct outer o;
	__u32 zero = 0;
	struct way w;
	int rc;

	if (begin(&w) < 0)
		return UP;
	if (!take_inner(skb, l2, &in))
		goto up;
	if (in.redirect)
		return drop_tx(&w, PA_DROP_REDIRECT, &in);
	p = bpf_map_lookup_elem(&peers, &zero);
	if (!p || p->until <= w.now || w.c->alive_until <= w.now)
		return drop_tx(&w, PA_DROP_UNBOUND, &in);
	if (in.src != w.c->addr)
		return drop_tx(&w, PA_DROP_SOURCE, &in);
	if (outer_len(&w, skb, &in) > w.c->outer_mtu)
		goto up;
	o = (struct outer){.src = w.c->own, .dst = w.c->gateway, .src_port = w.c->own_port, .dst_port = w.c->gateway_port,
			   .tos = in.tos, .inner_len = in.len};
	rc = encapsulate(skb, l2, &o);
	if (rc > 0)
		goto up;
	if (rc < 0)
		return fail_tx(&w, &in);
	count_tx(&w, p, &in);
	skb->mark = w.c->mark;
	if (w.c->hops_until <= w.now)
		return bpf_redirect_neigh(w.c->outer_ifindex, NULL, 0, 0);
	to.ipv4_nh = w.c->next_hop; /* spares the look-up of the route */
	return bpf_redirect_neigh(w.c->outer_ifindex, &to, sizeof(to), 0);
up:
	w.t->tx_up++;
	return UP;
}

/* The daemons' devices are TUN devices; the other two are for devices with an Ethernet header, as test runs have them. */
SEC("tc")
int pa_gateway_out(struct __sk_buff *skb)
{
	return gateway_out(skb, 0);
}

SEC("tc")
int pa_gateway_out_eth(struct __sk_buff *skb)
{
	return gateway_out(skb, ETH_HLEN);
}

SEC("tc")
int pa_client_out(struct __sk_buff *skb)
{
	return client_out(skb, 0);
}

SEC("tc")
int pa_client_out_eth(struct __sk_buff *skb)
{
	return client_out(skb, ETH_HLEN);
}

/* ---- out of the tunnel ---- */

struct arrived {
	__be32 src, dst;
	__be16 src_port, dst_port;
	__u8 tos;
	bool summed; /* has a UDP checksum */
};

#define INNER_AT (ETH_HLEN + OUTER_LEN)

/*
 * Parses UDP that may be ours. False: it is not, or something is unusual about it. A packet that holds several datagrams, as a
 * sender on the same machine may hand them over, shows by its lengths.
 */
static __always_inline bool parse_outer(void *data, void *end, __u32 frame, struct arrived *a, struct inner *in)
{
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = (void *)(ip + 1);
	__u32 len;

	if ((void *)(udp + 1) > end || *(__u8 *)ip != 0x45 || ip->protocol != IPPROTO_UDP ||
	    (ip->frag_off & bpf_htons(FRAGMENT_OFFSET | 0x2000)))
		return false;
	len = bpf_ntohs(ip->tot_len);
	a->src = ip->saddr;
	a->dst = ip->daddr;
	a->tos = ip->tos;
	a->src_port = udp->source;
	a->dst_port = udp->dest;
	a->summed = udp->check != 0;
	if (bpf_ntohs(udp->len) + sizeof(*ip) != len || len + ETH_HLEN > frame)
		return false;
	return parse_inner(data, end, INNER_AT, in) && in->len + OUTER_LEN == len;
}

static __always_inline bool take_outer(struct __sk_buff *skb, struct arrived *a, struct inner *in)
{
	struct iphdr *ip;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return false;
	ip = (void *)(long)skb->data + ETH_HLEN;
	/* Most of what arrives is for others: look at the header alone before anything is moved. */
	if ((void *)(ip + 1) <= (void *)(long)skb->data_end && ip->protocol != IPPROTO_UDP)
		return false;
	reach(skb, INNER_AT + sizeof(struct iphdr) + UPPER_REACH);
	if (!parse_outer((void *)(long)skb->data, (void *)(long)skb->data_end, skb->len, a, in))
		return false;
	measure(skb, in);
	return true;
}

/*
 * RFC 6040, section 4.2: what the outer ECN field says goes into the inner one. The one combination that must not be
 * forwarded, congestion of a packet that cannot carry the mark, counts as malformed.
 */
static __always_inline int carry_ecn(struct __sk_buff *skb, const struct arrived *a, const struct inner *in)
{
	__u8 outer = a->tos & ECN_MASK, inner = in->tos & ECN_MASK, tos = in->tos;

	if (outer == ECN_CE && inner == 0)
		return -1;
	if (outer == ECN_CE)
		tos |= ECN_CE;
	else if (outer == ECN_ECT1 && inner == 2)
		tos = (in->tos & ~ECN_MASK) | ECN_ECT1;
	if (tos == in->tos)
		return 0;
	if (bpf_l3_csum_replace(skb, INNER_AT + __builtin_offsetof(struct iphdr, check), bpf_htons(in->tos), bpf_htons(tos), 2) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, INNER_AT + __builtin_offsetof(struct iphdr, tos), &tos, 1, 0) < 0 ? -1 : 0;
}

/* The inner packet, as if it had come by the encapsulation device. */
static __always_inline int deliver(struct way *w, struct __sk_buff *skb, const struct arrived *a, const struct inner *in,
				   struct pa_k_peer *p)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;

	if (carry_ecn(skb, a, in) < 0)
		return drop_rx(w, PA_DROP_MALFORMED, in);
	/* An interface may call a packet checked that has no checksum; what it says holds for the inner one only if there is one. */
	if (a->summed)
		flags |= BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	if (bpf_skb_adjust_room(skb, -(__s32)OUTER_LEN, BPF_ADJ_ROOM_MAC, flags) < 0) {
		w->t->rx_errors += in->packets;
		return TC_ACT_SHOT;
	}
	count_rx(w, p, in);
	return bpf_redirect(w->c->anchor, BPF_F_INGRESS);
}

/* The number of the gateway's socket that a packet is for, or -1. */
static __always_inline int find_listen(struct pa_k_conf *c, const struct arrived *a)
{
#pragma unroll
	for (__u32 i = 0; i < PA_K_LISTEN; i++) {
		if (i >= c->n_listen)
			return -1;
		const volatile struct pa_k_listen *l = &c->listen[i];
		int local = l->local;

		if (l->addr == a->dst && l->port == a->dst_port)
			return local;
	}
	return -1;
}

SEC("tc")
int pa_gateway_in(struct __sk_buff *skb)
{
	struct pa_k_peer *p;
	struct arrived a;
	struct inner in;
	struct way w;
	__u32 judged;
	int local;

	if (begin(&w) < 0 || !take_outer(skb, &a, &in))
		return UP;
	local = find_listen(w.c, &a);
	if (local < 0)
		return UP;
	p = live_peer(&w, in.src);
	if (!p)
		return drop_rx(&w, PA_DROP_UNBOUND, &in);
	if ((p->flags & PA_K_PEER_USER) || p->addr != a.src || p->port != a.src_port || p->local != local)
		goto up;
	judged = judge_far(in.dst);
	if (judged == PA_K_FAR_ASK)
		goto up;
	if (judged == PA_K_FAR_DROP)
		return drop_rx(&w, PA_DROP_DESTINATION, &in);
	if (in.proto == IPPROTO_TCP && w.c->n_ports > 0 && bit_of(0, in.dst_port))
		return drop_rx(&w, PA_DROP_PORT, &in);
	if (in.redirect)
		return drop_rx(&w, PA_DROP_REDIRECT, &in);
	if (!within_rate(&w, false, &in))
		return drop_rx(&w, PA_DROP_LIMITED, &in);
	if (in.syn)
		clamp_mss(skb, INNER_AT, p->mtu);
	return deliver(&w, skb, &a, &in, p);
up:
	w.t->rx_up++;
	return UP;
}

SEC("tc")
int pa_client_in(struct __sk_buff *skb)
{
	struct pa_k_peer *p;
	struct arrived a;
	struct inner in;
	struct way w;
	__u32 zero = 0, judged;

	if (begin(&w) < 0 || !take_outer(skb, &a, &in))
		return UP;
	if (a.dst != w.c->own || a.dst_port != w.c->own_port)
		return UP;
	p = bpf_map_lookup_elem(&peers, &zero);
	if (!p || p->until <= w.now || w.c->alive_until <= w.now)
		return drop_rx(&w, PA_DROP_UNBOUND, &in);
	if (a.src != w.c->gateway || a.src_port != w.c->gateway_port)
		goto up;
	if (in.dst != w.c->addr)
		return drop_rx(&w, PA_DROP_DESTINATION, &in);
	judged = in.src == w.c->addr ? PA_K_FAR_DROP : judge_far(in.src);
	if (judged == PA_K_FAR_ASK)
		goto up;
	if (judged == PA_K_FAR_DROP)
		return drop_rx(&w, PA_DROP_SOURCE, &in);
	if (in.redirect)
		return drop_rx(&w, PA_DROP_REDIRECT, &in);
	return deliver(&w, skb, &a, &in, p);
up:
	w.t->rx_up++;
	return UP;
}

#include "tunnel/bpf/xdp.bpf.h"

/* bpf_l3_csum_replace and others are for programs under a licence that the kernel calls compatible with its own. */
char pa_license[] SEC("license") = "Dual MPL/GPL";

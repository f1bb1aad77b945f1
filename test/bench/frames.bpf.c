/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The other ends of per_packet.c: "frames" makes a frame of one of many sessions, chosen at random, of whatever the kernel hands it
 * (BPF_F_TEST_XDP_LIVE_FRAMES, which uses pages again as the last run left them), and hands it to what is measured; the sinks
 * count what leaves the host, and end it there.
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

#include "test/bench/frames.h"

const volatile struct frames_conf conf;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} left SEC(".maps");

/* Addresses in host byte order. Whole words: this is not what is to be measured. */
static __always_inline void put_ip(struct iphdr *ip, __u32 src, __u32 dst, __u32 len)
{
	__u32 *w = (__u32 *)ip;
	__u32 sum = 0x4500 + len + 1 + 0x4011 + (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	w[0] = bpf_htonl(0x45000000 | len);
	w[1] = bpf_htonl(0x00010000);
	w[2] = bpf_htonl(0x40110000 | (~sum & 0xffff)); /* 64 hops, UDP */
	w[3] = bpf_htonl(src);
	w[4] = bpf_htonl(dst);
}

static __always_inline void put_udp(struct udphdr *udp, __u32 from, __u32 to, __u32 len)
{
	__u32 *w = (__u32 *)udp;

	w[0] = bpf_htonl(from << 16 | to);
	w[1] = bpf_htonl(len << 16);
}

static __always_inline __u32 below(__u32 n)
{
	return ((__u64)bpf_get_prandom_u32() * n) >> 32;
}

#define OUTER_LEN (sizeof(struct iphdr) + sizeof(struct udphdr))

SEC("xdp")
int frames(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *inner = data + ETH_HLEN;
	struct ethhdr *eth = data;
	__u32 i = conf.sessions > 1 ? below(conf.sessions) : 0;

	if (inner + 2 * OUTER_LEN > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(eth->h_dest, FRAMES_MAC, ETH_ALEN);
	__builtin_memcpy(eth->h_source, FRAMES_NEXT_MAC, ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);
	if (conf.tunnelled) {
		put_ip(inner, FRAMES_MAPPED + i, FRAMES_GATEWAY, FRAMES_LEN + OUTER_LEN);
		put_udp(inner + sizeof(struct iphdr), FRAMES_PORT(i), 6080, FRAMES_LEN + sizeof(struct udphdr));
		inner += OUTER_LEN;
		put_ip(inner, FRAMES_POOL + i, FRAMES_PEERS + below(65536), FRAMES_LEN);
	} else {
		put_ip(inner, FRAMES_PEERS + below(65536), FRAMES_POOL + i, FRAMES_LEN);
	}
	put_udp(inner + sizeof(struct iphdr), 1000, 2000, FRAMES_LEN - sizeof(struct iphdr));
	if (conf.to == FRAMES_TO_NEXT)
		bpf_tail_call(ctx, &next, 0);
	return conf.to == FRAMES_TO_KERNEL ? XDP_PASS : XDP_DROP;
}

static __always_inline void count(__u32 len)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&left, &zero);

	if (n && len == conf.leaves_len)
		++*n;
}

SEC("xdp")
int sink_xdp(struct xdp_md *ctx)
{
	count((__u32)(ctx->data_end - ctx->data));
	return XDP_DROP;
}

SEC("tc")
int sink_tc(struct __sk_buff *skb)
{
	count(skb->len);
	return TC_ACT_SHOT;
}

/* A veth device has what live frames need only if it has a program. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char frames_license[] SEC("license") = "Dual MPL/GPL";

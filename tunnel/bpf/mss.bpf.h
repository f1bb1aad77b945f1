/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BPF_MSS_H
#define PA_BPF_MSS_H

/* What TCP announces: a part of path.bpf.c, which includes it after the kernel's headers and libbpf's. */
#define TCP_MIN 20 /* of its header */
#define TCP_CHECKSUM_AT 16
#define OPTION_MSS 2
#define OPTION_NOP 1
#define OPTIONS_MAX 8 /* that are looked at: those of Linux, the BSDs and Windows begin with it */

/*
 * As mss.c: lowers the segment size that a SYN announces, the inner packet being at offset at. Octets are fetched by the kernel's
 * help, for an offset that varies is no way into a packet unless the loader has CAP_PERFMON. Pointers into the packet are void then.
 */
static __always_inline void clamp_mss(struct __sk_buff *skb, __u32 at, __u16 mtu)
{
	__u32 tcp = at + sizeof(struct iphdr), off = tcp + TCP_MIN, end;
	__u8 option[4], length;
	__be16 was, most = bpf_htons(mtu - sizeof(struct iphdr) - TCP_MIN);

	if (mtu <= sizeof(struct iphdr) + TCP_MIN || bpf_skb_load_bytes(skb, tcp + 12, &length, 1) < 0)
		return;
	end = tcp + (length >> 4) * 4;
#pragma unroll
	for (int i = 0; i < OPTIONS_MAX; i++) {
		if (off + 4 > end || bpf_skb_load_bytes(skb, off, option, 4) < 0 || option[0] == 0)
			return;
		if (option[0] == OPTION_MSS)
			break;
		if (option[0] != OPTION_NOP && option[1] < 2)
			return;
		off += option[0] == OPTION_NOP ? 1 : option[1];
	}
	__builtin_memcpy(&was, option + 2, sizeof(was));
	if (option[0] != OPTION_MSS || option[1] != 4 || bpf_ntohs(was) <= bpf_ntohs(most))
		return;
	if (bpf_skb_store_bytes(skb, off + 2, &most, sizeof(most), 0) < 0)
		return;
	if ((off - tcp) & 1) { /* across the words of the sum */
		was = was << 8 | was >> 8;
		most = most << 8 | most >> 8;
	}
	(void)bpf_l4_csum_replace(skb, tcp + TCP_CHECKSUM_AT, was, most, sizeof(most));
}

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_CUT_H
#define PA_DP_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/virtio_net.h>

/*
 * What a TUN device with IFF_VNET_HDR hands over: a packet whose checksum is not finished, or many packets of one flow in one.
 * Cutting makes of it the packets that would have come without offloads (the kernel's inet_gso_segment, tcp_gso_segment and
 * __udp_gso_segment do the same). Payload is not copied. Pure; one thread for each struct.
 */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* headers before Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#define PA_CUT_HEADER_MAX 128 /* IPv4 with options and TCP with options, or IPv6 with some extension headers */
#define PA_VNET_LEN (sizeof(struct virtio_net_hdr))

struct pa_cut {
	const uint8_t *pkt;
	size_t len;	 /* of pkt */
	size_t l4;	 /* where TCP or UDP begins */
	size_t header;	 /* where the payload begins */
	size_t each;	 /* payload of each packet, the last may have less */
	size_t at;	 /* of the payload, what comes next */
	unsigned index;	 /* of the packet that comes next */
	uint8_t proto;
};

/* One packet of those: header, from the caller's room, and payload, inside the packet that is cut. */
struct pa_cut_part {
	size_t header_len;
	const uint8_t *payload;
	size_t payload_len;
};

/* True if the packet is many: pa_cut_init, and pa_cut_next until the end. Otherwise pa_cut_finish. */
bool pa_cut_is_many(const struct virtio_net_hdr *vh);
/* Finishes the checksum of one packet in place, if that is asked for. PA_EFORMAT: the header contradicts the packet. */
int pa_cut_finish(const struct virtio_net_hdr *vh, uint8_t *pkt, size_t len);
/* pkt is borrowed until the last part has been used. PA_EFORMAT: the header contradicts the packet, or is of no kind we asked for. */
int pa_cut_init(struct pa_cut *c, const struct virtio_net_hdr *vh, const uint8_t *pkt, size_t len);
/* How many packets it will have been in all, and how many bytes these have together. */
unsigned pa_cut_count(const struct pa_cut *c, size_t *bytes);
/* The next packet; false after the last one. */
bool pa_cut_next(struct pa_cut *c, uint8_t header[PA_CUT_HEADER_MAX], struct pa_cut_part *ret);

#endif

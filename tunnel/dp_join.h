/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_JOIN_H
#define PA_DP_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/virtio_net.h>
#include <sys/uio.h>

/*
 * The opposite of dp_cut.h: consecutive TCP segments of one flow become one packet for a TUN device with IFF_VNET_HDR, so that
 * the kernel's stack is crossed once for all of them. Only what the kernel would cut again into the very same segments is
 * joined, and nothing that has not a right checksum: a damaged packet goes to the device as it came. The order in which
 * packets come is the order in which they leave. Pure; one thread for each struct.
 */
#define PA_JOIN_MAX 64		/* segments; no GSO packet of 64 KB with an ordinary MSS has more */
#define PA_JOIN_HEADER_MAX 120	/* IPv4 or IPv6 without extensions, and TCP with options */

struct pa_join {
	unsigned n; /* packets that wait */
	const uint8_t *first, *last;
	size_t first_len, len;	  /* of the first packet; of all of them joined */
	size_t ip, header, each;  /* length of IP's header, of both headers, payload of each segment */
	uint32_t next_seq;
	bool open;		  /* more may come */
	bool verified;		  /* the first one's checksum */
	struct virtio_net_hdr vnet;
	uint8_t headers[PA_JOIN_HEADER_MAX];
	struct iovec iov[PA_JOIN_MAX + 2];
};

/* Empty. */
void pa_join_init(struct pa_join *j);
/*
 * Adds an IP packet, borrowed until pa_join_take. False if it does not go with what waits: take that first. Always true when
 * nothing waits. The packet has passed pa_inner_parse.
 */
bool pa_join_add(struct pa_join *j, const uint8_t *pkt, size_t len);
/* What is to be written to the device in one call, borrowed until the next call here; returns the number of iovecs, 0: nothing. */
int pa_join_take(struct pa_join *j, struct iovec **ret);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_GSO_H
#define PA_DP_GSO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * Segmentation offload of UDP sockets: datagrams of equal length to one destination cross the kernel's stack as one packet,
 * which is cut where it leaves, and are put together again where they come in. On the wire they are what they were.
 * No state, no thread; only pa_gso_works and pa_gro_use make system calls.
 */

/* What the kernel takes as one: UDP_MAX_SEGMENTS of Linux 4.18 to 6.8, and less than the longest IP packet. */
#define PA_GSO_DATAGRAMS 64
#define PA_GSO_BYTES 65000
/* Bytes that one received message may have. */
#define PA_GRO_BYTES 65536

/* Room for one control message of either direction. */
union pa_gso_control {
	struct cmsghdr align;
	uint8_t room[CMSG_SPACE(sizeof(int))];
};

/* Whether the kernel can send so (UDP_SEGMENT, since 4.18). */
bool pa_gso_works(int fd);
/* Lets m, whose iovecs hold several datagrams of each octets (the last may be shorter), be sent as these. control is borrowed. */
void pa_gso_set(struct msghdr *m, uint16_t each, union pa_gso_control *control);

/* Whether the socket fd may hand over several datagrams in one message. Where the kernel cannot, they come one by one. */
void pa_gro_use(int fd, bool on);
/* The length of each datagram (but for the last) in a message of len bytes that was received; len if it is only one. */
size_t pa_gro_len(struct msghdr *m, size_t len);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_GSO_H
#define PA_DP_GSO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * Segmentation offload of UDP sockets: datagrams of equal length to one destination cross the kernel's stack as one
 * packet, which is cut where it leaves, and are put together again where they come in. On the wire they are what they
 * were. No state, no thread; only pa_gso_works, pa_gro_use and pa_gro_use_class make system calls.
 */

/* What the kernel takes as one: UDP_MAX_SEGMENTS of Linux 4.18 to 6.8, and less than the longest IP packet. */
#define PA_GSO_DATAGRAMS 64
#define PA_GSO_BYTES 65000
/* Bytes that one received message may have. */
#define PA_GRO_BYTES 65536

/* Room for the control messages of either direction: the length of datagrams, and the traffic class. */
union pa_gso_control {
	struct cmsghdr align;
	uint8_t room[2 * CMSG_SPACE(sizeof(int))];
};

/* Whether the kernel can send so (UDP_SEGMENT, since 4.18). */
bool pa_gso_works(int fd);
/*
 * Lets m, whose name is set, be sent with traffic class tos, and its iovecs as several datagrams of each octets (the
 * last may be shorter); 0: it is one. control is borrowed.
 */
void pa_gso_set(struct msghdr *m, uint16_t each, uint8_t tos, union pa_gso_control *control);

/* Whether the socket fd may hand over several datagrams in one message. Where the kernel cannot, they come one by one.
 */
void pa_gro_use(int fd, bool on);
/* The length of each datagram (but for the last) in a message of len bytes that was received; len if it is only one. */
size_t pa_gro_len(struct msghdr *m, size_t len);
/* Lets messages that fd receives, of IPv4 or IPv6, tell their traffic class; where the kernel cannot, it is 0. */
void pa_gro_use_class(int fd);
uint8_t pa_gro_class(struct msghdr *m);

#endif

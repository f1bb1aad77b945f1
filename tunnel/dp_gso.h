/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_GSO_H
#define PA_DP_GSO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * Segmentation offload of UDP sockets: datagrams of equal length to one destination cross the kernel's stack as one packet,
 * which is cut where it leaves, and are put together again where they come in. On the wire they are what they were.
 * No state, no thread; only pa_gro_enable makes a system call.
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

/*
 * How many of the n >= 1 messages can go as one: to the same address, of equal length; the last may be shorter. Each message
 * holds one datagram in one iovec.
 */
unsigned pa_gso_count(const struct mmsghdr *msgs, unsigned n);
/*
 * Makes ret the message that sends the n datagrams from first on. Their iovecs must be neighbours in one array, which ret
 * borrows, as it does first's address and control.
 */
void pa_gso_join(const struct mmsghdr *first, unsigned n, struct mmsghdr *ret, union pa_gso_control *control);

/* Lets the socket fd hand over several datagrams in one message. Where the kernel cannot, they come one by one. */
void pa_gro_enable(int fd);
/* The length of each datagram (but for the last) in a message of len bytes that was received; len if it is only one. */
size_t pa_gro_len(struct msghdr *m, size_t len);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_STEER_H
#define PA_DP_STEER_H

#include <stdint.h>

#include "common/addr.h"

/*
 * Which of several threads a binding belongs to. The device's queue, the socket and the thread are chosen by the same rule, so
 * that all packets of one public address, of either direction, pass one thread in their order:
 * the last 16 bits of the address, modulo the number of threads. (A TUN device keeps no more of what a program tells it.)
 */
unsigned pa_steer(const struct pa_addr *public_address, unsigned n);

/* Sockets of one local address, in the order in which they joined their SO_REUSEPORT group. */
#define PA_STEER_HANDSHAKE 0 /* HELLO and CONFIRM, which cost arithmetic, and what is nothing we know */
#define PA_STEER_SESSION 1   /* messages of clients that are bound: a flood of forged handshakes does not fill their queue */
#define PA_STEER_CONFIRM 2   /* RECONFIRM, the answer to a question of ours: when all clients speak at once, as many as we ask come */
#define PA_STEER_DATA 3	     /* the first one for data; one for each thread */

/*
 * Parts what comes to the group of the sockets fds[0 .. PA_STEER_DATA + n - 1] by the first octets of a datagram. fd: one of
 * them. PA_ENOTSUP: the kernel cannot (before 4.5), or a member is missing.
 */
int pa_steer_sockets(int fd, unsigned n);
/* Lets the TUN device of fd, of several queues, put packets into the queue pa_steer(destination). PA_ENOTSUP (before 4.16, or no right to). */
int pa_steer_queues(int fd);

#endif

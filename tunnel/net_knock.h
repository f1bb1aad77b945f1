/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_KNOCK_H
#define PA_NET_KNOCK_H

#include <stdbool.h>

#include "common/addr.h"

/*
 * Does this host let in what comes to P by the encapsulation device? A datagram is put into the device as if it had come by the tunnel,
 * for a socket of our own; a packet filter that throws it away throws away what others send. Nothing leaves the host, but
 * what a filter that refuses aloud sends to the gateway. IPv4. One thread.
 */
struct pa_knock;

/*
 * Sends it: from the address of the gateway, to addr and a port that the kernel chooses. tun_fd: borrowed for this call.
 * PA_EIO (errno tells), PA_ENOMEM; then nothing is known.
 */
int pa_knock_open(int tun_fd, const struct pa_addr *addr, const struct pa_addr *from, struct pa_knock **ret);
/* True once it has come; ask some milliseconds later. */
bool pa_knock_came(struct pa_knock *k);
/* NULL is fine. */
void pa_knock_close(struct pa_knock *k);

#endif

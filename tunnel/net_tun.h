/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_TUN_H
#define PA_NET_TUN_H

#include <stdint.h>

#include "tunnel/net_nl.h"

/* The encapsulation device, a TUN interface. It lives as long as its descriptor: when the process ends, so does the device. */
#define PA_TUN_ERRLEN 192

struct pa_tun {
	int fd; /* IFF_TUN | IFF_NO_PI, non-blocking, close-on-exec */
	int ifindex;
	char name[16];
};

/*
 * Creates the device, without IPv6 on it, sets its MTU and brings it up. Leftover IPv4 addresses of a device that was kept
 * by somebody are removed. On failure err says what and the remedy: PA_EDENIED, PA_EEXIST (another process holds the
 * device), PA_ENOTSUP (no TUN driver), PA_EIO.
 */
int pa_tun_open(struct pa_nl *nl, const char *name, uint16_t mtu, struct pa_tun *ret, char err[PA_TUN_ERRLEN]);
/* Removes the device. Harmless when t->fd is negative. */
void pa_tun_close(struct pa_tun *t);
int pa_tun_set_mtu(struct pa_nl *nl, const struct pa_tun *t, uint16_t mtu);

/* Removes the device of a former process, if there is one. Errors as pa_tun_open; PA_EEXIST: a process holds it. */
int pa_tun_remove(const char *name, char err[PA_TUN_ERRLEN]);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_TUN_H
#define PA_NET_TUN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "tunnel/net_nl.h"

/*
 * The encapsulation device, a TUN interface. It is persistent: when the process dies, the device stays with its addresses and
 * routes, drops what is sent to it, and is adopted by the next process. pa_tun_close removes it.
 */
#define PA_TUN_ERRLEN 192

#define PA_TUN_QUEUES_MAX 8

struct pa_tun {
	int fd; /* the first queue: IFF_TUN | IFF_NO_PI, and IFF_VNET_HDR where the kernel has it; non-blocking, close-on-exec */
	int queues[PA_TUN_QUEUES_MAX]; /* all of them, fd first */
	unsigned n_queues;
	int ifindex;
	bool adopted; /* it was there before */
	char name[16];
};

/*
 * Creates the device, or adopts it; without IPv6 on it, with this MTU, up. Its IPv4 addresses but keep (NULL: all of them)
 * are removed. With every offload that the kernel has, and with as many queues (1 .. PA_TUN_QUEUES_MAX) as are wanted, or
 * one where packets cannot be steered to them by pa_steer. On failure the device is removed, and err says what and the
 * remedy: PA_EDENIED, PA_EEXIST (another process holds the device), PA_ENOTSUP (no TUN driver), PA_EIO.
 */
int pa_tun_open(struct pa_nl *nl, const char *name, uint16_t mtu, const struct pa_addr *keep, unsigned queues,
		struct pa_tun *ret, char err[PA_TUN_ERRLEN]);
/* Gives up all queues but the first. */
void pa_tun_single(struct pa_tun *t);
/* Removes the device. Harmless when t->fd is negative. */
void pa_tun_close(struct pa_tun *t);
int pa_tun_set_mtu(struct pa_nl *nl, const struct pa_tun *t, uint16_t mtu);

/*
 * on: routes by the device do not count while no process serves it (sysctl ignore_routes_with_linkdown of this device alone);
 * off: they do, for programs in the kernel go on.
 */
int pa_tun_ignore_idle(struct pa_nl *nl, const struct pa_tun *t, bool on);
/* True while the device that t was opened as is there: somebody may have removed it, and made another of its name. */
bool pa_tun_present(const struct pa_tun *t);
/* Removes the device of a former process, if there is one. Errors as pa_tun_open; PA_EEXIST: a process holds it. */
int pa_tun_remove(const char *name, char err[PA_TUN_ERRLEN]);

#endif

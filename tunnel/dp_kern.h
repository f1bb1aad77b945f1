/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_KERN_H
#define PA_DP_KERN_H

#include "tunnel/dp.h"
#include "tunnel/dp_hops.h"

/*
 * The data path in the kernel: programs (bpf/path.bpf.c) at the egress of the encapsulation device and the ingress of the
 * outer interfaces, in front of a data path of this process that gets what they leave. It has no device and no socket of its
 * own. Maps are pinned: programs and what they know go on when the process dies, and the next one takes them over. Opening
 * needs CAP_BPF and CAP_NET_ADMIN, all else CAP_NET_ADMIN.
 */
#define PA_DP_KERN_ERRLEN 256

struct pa_dp_kern_config {
	const char *bpf_dir; /* folder in a BPF file system; it is made, and in it one for the device */
	const char *device;  /* name of the encapsulation device: tells instances apart */
	bool ethernet;	     /* it has an Ethernet header; TUN devices have none */
	uint32_t mark;	     /* client: of outer packets */
	const char *iface;   /* client: the LAN's interface, borrowed */
	const struct pa_endpoint *listen; /* gateway: addresses of the sockets, in the order of their numbers; borrowed */
	size_t n_listen;
	const struct pa_prefix *pools; /* gateway: where inner addresses are from; borrowed */
	size_t n_pools;
	size_t max_peers; /* gateway */
	bool accelerate;  /* gateway: XDP at the outer interfaces too */
	struct pa_rate rate; /* gateway: of each binding; burst_ns 0: no limit */
	char *err;	  /* PA_DP_KERN_ERRLEN octets: why open failed */
};

/* open needs cfg->kern. PA_ENOTSUP: not built in, or the kernel cannot; PA_EDENIED, PA_EIO, PA_ENOMEM. */
extern const struct pa_dp_ops pa_dp_kern;

/*
 * Puts the programs at the encapsulation device (index anchor, with this MTU) and the outer interfaces (client: its LAN's;
 * gateway: those of its addresses, found anew each time). anchor 0: takes all away. What a program is at already gets the
 * new one in the place of the old, and what is not named any more loses it. Call it again when interfaces or addresses may have
 * changed. On failure nothing is left attached, and err says why.
 */
int pa_dp_kern_attach(struct pa_dp *dp, int anchor, uint16_t mtu, char err[PA_DP_KERN_ERRLEN]);
/* Gateway: forgets the peers of a former process that were not updated since; then attach. */
void pa_dp_kern_settle(struct pa_dp *dp);
/* The rule about destinations (cfg->deny) has changed. */
void pa_dp_kern_refresh(struct pa_dp *dp);
/*
 * Gateway, any thread: where packets of inner go, in outer and local, if the programs know it in full; false: the process has to know
 * it by itself. take: n packets of so many octets in all went to the client (tx) or came from it; false: they are above its
 * rate, and not counted.
 */
bool pa_dp_kern_peer(const struct pa_dp *dp, const struct pa_addr *inner, struct pa_dp_peer *ret);
bool pa_dp_kern_take(struct pa_dp *dp, const struct pa_addr *inner, bool tx, unsigned n, size_t bytes);
/*
 * Gateway: what the host's routes say about next hops, so that the programs need not look up each packet's. NULL: they are changing, or
 * nothing is known. Call it with NULL at least 100 ms before other hops than the last ones; it holds for 15 seconds, see
 * pa_dp_kern_alive.
 */
void pa_dp_kern_hops(struct pa_dp *dp, const struct pa_hops *hops);
/*
 * Gateway: the relay beside it serves this address too. What comes for it is left to the kernel's own way for a minute, where the
 * relay's sockets are found. Nothing without a binding.
 */
void pa_dp_kern_relayed(struct pa_dp *dp, const struct pa_addr *inner);
/* Whether XDP is at an outer interface. */
bool pa_dp_kern_accelerated(const struct pa_dp *dp);
/* The programs go on for 60 seconds from now, with the next hops for 15; call it more often. */
void pa_dp_kern_alive(struct pa_dp *dp);
/* Client: the port that socket local is bound to, 0: closed. */
void pa_dp_kern_port(struct pa_dp *dp, unsigned local, uint16_t port);
/* Client: the port that a former process sent from, 0: none. It should be used again: the NAT knows it. */
uint16_t pa_dp_kern_former_port(const struct pa_dp *dp);
/* Removes what a process left that died for good. Harmless when there is nothing. */
void pa_dp_kern_remove(const char *bpf_dir, const char *device);

#endif

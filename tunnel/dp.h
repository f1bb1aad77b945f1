/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DP_H
#define PA_DP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <uv.h>

#include "common/addr.h"
#include "tunnel/bpf/rate.h"
#include "tunnel/filter.h"

/*
 * The data path: four functions, with two implementations: dp_user.c, TUN and UDP sockets in this process, and dp_kern.c,
 * programs in the kernel that stand in front of the other; dp_select.h joins them. It moves packets between the
 * encapsulation device and the tunnel, checks them, counts them, and hands up what it cannot decide. Both ends use it; they
 * differ in role and filter. All functions and events are on the loop's thread; threads of its own it keeps to itself.
 */
struct pa_dp;

enum pa_dp_role { PA_DP_GATEWAY, PA_DP_CLIENT };

#define PA_DP_SOCKETS_MAX 8
#define PA_DP_LANES_MAX 8 /* queues of the device, and threads */

struct pa_dp_events {
	/* A control message. buf is valid during the call. True if it proved genuine; others get little time when they are many. */
	bool (*control)(void *ctx, unsigned local, const struct pa_endpoint *from, const uint8_t *buf, size_t len);
	/* Gateway: data of a known P from an outer address that is not its own; the packet itself is dropped. */
	void (*foreign)(void *ctx, unsigned local, const struct pa_endpoint *from, const struct pa_addr *inner,
			size_t len);
};

/* Offloads that are not to be used although the kernel may have them: bits of pa_dp_config.without. */
#define PA_DP_NO_GSO 1u
#define PA_DP_NO_GRO 2u

struct pa_dp_kern_config; /* dp_kern.h */

struct pa_dp_config {
	uv_loop_t *loop;
	enum pa_dp_role role;
	int tun_fd; /* IFF_TUN | IFF_NO_PI, with or without IFF_VNET_HDR, non-blocking; borrowed; -1: none yet, see pa_dp_set_tun */
	const int *queues; /* gateway: the device's queues, tun_fd first, a thread for each; NULL: tun_fd alone, and no thread */
	unsigned n_queues; /* 2 .. PA_DP_LANES_MAX with queues */
	unsigned without;
	const struct pa_deny *deny; /* gateway; see pa_dp_set_deny */
	struct pa_dp_events events;
	/* Gateway: n control messages, unjudged, that events.control gets next; only to prepare for them. May be NULL. */
	void (*soon)(void *ctx, const struct iovec *msgs, unsigned n);
	void *ctx;
	const struct pa_dp_kern_config *kern; /* of dp_kern.c alone; copied */
	struct pa_rate rate; /* gateway, dp_user.c: of each binding and direction; burst_ns 0: no limit */
};

/* One inner address and where its packets go. */
struct pa_dp_peer {
	struct pa_addr inner;	    /* gateway: the key; client: P */
	struct pa_endpoint outer;   /* gateway: mapped address; client: the gateway */
	unsigned local;		    /* socket to send by */
	uint16_t mtu;		    /* gateway: of inner packets, for what TCP announces; 0: the device's */
	uint64_t expires_ms;	    /* boot time at which it ends by itself, 0: never; dp_user.c leaves it to its owner */
	const struct pa_prefix *lan; /* client: own and on-link prefixes, copied */
	size_t n_lan;
};

/* Gateway: peers that another data path keeps and counts, so that a million of them are not kept twice. Called on any thread. */
struct pa_dp_others {
	/* Where inner's packets go, in outer and local; false: it does not know. */
	bool (*find)(const struct pa_dp *other, const struct pa_addr *inner, struct pa_dp_peer *ret);
	/* n packets of bytes octets in all to (tx) or from the client: counts them, or false: they are above its rate. */
	bool (*take)(struct pa_dp *other, const struct pa_addr *inner, bool tx, unsigned n, size_t bytes);
	struct pa_dp *other;
};

/* Packets as they are in the tunnel, one for each datagram. */
struct pa_dp_stats {
	uint64_t tx_packets, tx_bytes; /* device to tunnel, inner bytes; handed to the system */
	uint64_t rx_packets, rx_bytes; /* tunnel to device; handed to the system */
	uint64_t tx_drops[PA_VERDICTS], rx_drops[PA_VERDICTS];
	uint64_t tx_errors, rx_errors; /* the system refused it */
};

struct pa_dp_peer_stats {
	uint64_t tx_packets, tx_bytes, rx_packets, rx_bytes;
	uint64_t rx_seen_ms; /* boot time of the last packet from it, 0: none, or not known */
};

struct pa_dp_ops {
	const char *name;
	int (*open)(const struct pa_dp_config *cfg, struct pa_dp **ret);
	/* Sets or (peer->outer.port == 0) removes a peer. PA_ENOMEM. */
	int (*update)(struct pa_dp *dp, const struct pa_dp_peer *peer);
	/* Totals, and of one inner address if inner is not NULL (PA_ENOTFOUND). */
	int (*stats)(struct pa_dp *dp, const struct pa_addr *inner, struct pa_dp_stats *total,
		     struct pa_dp_peer_stats *peer);
	void (*close)(struct pa_dp *dp);
};

extern const struct pa_dp_ops pa_dp_user;

/* Largest inner packet that any data path carries; jumbo frames and some room. */
#define PA_DP_PACKET_MAX 9216

/*
 * Replaces the device (fd -1: none). The client handshakes before it has one. Call it before the old descriptor is closed. Not
 * with queues. PA_EINVAL when the system cannot poll it.
 */
int pa_dp_set_tun(struct pa_dp *dp, int fd);
/*
 * Sockets: UDP, bound, non-blocking; borrowed. Replaces number local (fd -1: removes), before the old one is closed. Not with
 * queues. PA_EINVAL.
 */
int pa_dp_set_socket(struct pa_dp *dp, unsigned local, int fd);
/*
 * Gateway: the sockets of one local address, parted by pa_steer_sockets: PA_STEER_DATA for control messages, then one for each queue.
 * Once for each local, before pa_dp_start. PA_EINVAL.
 */
int pa_dp_set_group(struct pa_dp *dp, unsigned local, const int *fds, unsigned n);
/* With queues: starts the threads. They inherit the privileges of this one, so drop these before. PA_EIO. Without: does nothing. */
int pa_dp_start(struct pa_dp *dp);
/* Gateway: other destinations are refused from now on. Copied, but for its lists: free former ones afterwards. */
void pa_dp_set_deny(struct pa_dp *dp, const struct pa_deny *deny);
/* Gateway: what this data path does not know by itself is asked there; other NULL, as at the start: nowhere. */
void pa_dp_set_others(struct pa_dp *dp, const struct pa_dp_others *others);
/* Whether the kernel may join datagrams of one flow for the sockets that there are (UDP_GRO): on, but for PA_DP_NO_GRO. */
void pa_dp_use_gro(struct pa_dp *dp, bool on);
/* Sends a control message; counts errors, never blocks. */
void pa_dp_send_control(struct pa_dp *dp, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
/* The same in one piece or not at all (DF). That it is too large for the link is no error. */
void pa_dp_send_probe(struct pa_dp *dp, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BPF_PATH_H
#define PA_BPF_PATH_H

#include <linux/types.h>

#include "tunnel/bpf/rate.h"
#include "tunnel/verdict.h"

/*
 * What the daemons and the kernel's programs (path.bpf.c) share: the maps' values. The daemon writes conf, peers, far and
 * bits through a mapping of their memory, so that it needs no system call, and no lock that a packet could wait for: a value of
 * several words is made invalid first and valid last. Maps outlive the daemon (they are pinned); PA_K_VERSION and the layout
 * in conf tell the next one whether they are what it would have made.
 * Addresses and ports are in network byte order, times are nanoseconds of CLOCK_BOOTTIME.
 */
#define PA_K_VERSION 5
#define PA_K_LISTEN 16 /* outer addresses of a gateway */
#define PA_K_POOLS 16  /* more, and the peers are found by hash */
#define PA_K_LINKS 16  /* interfaces with a filter of ours */

#define PA_K_ALIVE_NS (60ULL * 1000000000) /* without a daemon for so long, nothing is carried any more (protocol) */

/* An inner address and where its packets go. One cache line. */
struct pa_k_peer {
	__u64 until; /* it counts until then; 0: none */
	union {
		struct {
			__be32 addr; /* mapped address */
			__be16 port;
			__u8 local;  /* gateway: socket that the client talks to */
			__u8 flags;
		};
		__u64 outer; /* all of it, written at once */
	};
	__be32 src; /* our own end of it */
	__be16 src_port;
	__u16 generation; /* of the daemon that wrote it */
	__u64 tx_packets, tx_bytes; /* device to tunnel, inner bytes; only the programs write these */
	__u64 rx_packets, rx_bytes;
	__u32 rx_seen; /* last data: nanoseconds >> PA_K_SEEN_SHIFT */
	__u16 mtu;     /* gateway: of inner packets to it; never 0, nor more than the device's */
	__u16 relayed; /* gateway: its relay has been asking about it until then: boot time >> PA_K_RELAY_SHIFT, cut; 0: no */
};
#define PA_K_RELAY_SHIFT 30 /* 1.07 s */
#define PA_K_RELAY_UNITS 60
#define PA_K_SEEN_SHIFT 24 /* 17 ms */
#define PA_K_PEER_USER 1 /* left to the daemon: an outer address that the programs cannot do */

/* What a peer's rates are at; beside the peer, for most gateways have no limits. */
struct pa_k_rate {
	struct pa_rate_state tx, rx;
};

struct pa_k_listen {
	__be32 addr;
	__be16 port;
	__u8 local;
	__u8 pad;
};

/* Addresses base to base + ~mask are peers number slot and on. */
struct pa_k_pool {
	__u32 base, mask, slot; /* host byte order */
};

/* A filter that is attached, for the next daemon to find. */
struct pa_k_link {
	__u32 ifindex;
	__u16 priority; /* of tc */
	__u8 side;	/* PA_K_INGRESS ... */
	__u8 more;	/* tc: 1 if the queueing discipline is ours; XDP: 1 if it is attached */
};
enum { PA_K_INGRESS, PA_K_EGRESS, PA_K_XDP };

struct pa_k_conf {
	/* How the maps are laid out: fixed once they are made. */
	__u32 version, role, hashed, n_pools;
	struct pa_k_pool pools[PA_K_POOLS];
	__u64 netns; /* of the daemons, its inode number: another one has other interfaces */
	__u32 n_peers;
	__u32 limited; /* there is a rate, and a struct pa_k_rate for each peer */
	/* What changes. */
	__u64 alive_until;
	struct pa_rate rate; /* gateway: of each binding and direction */
	__u64 hops_until; /* ways and hops hold until then; 0: routes are changing */
	__u32 enabled;	  /* 0: everything is left to the daemon */
	__u32 generation;
	__u32 anchor;	 /* interface index of the encapsulation device */
	__u32 inner_mtu; /* of the encapsulation device */
	__u32 n_ports;	 /* gateway: TCP ports denied, a bitmap in block 0 */
	__u32 n_listen;
	struct pa_k_listen listen[PA_K_LISTEN];
	/* Client */
	__be32 addr;	/* P */
	__be32 gateway; /* its outer address */
	__be32 own;	/* ours */
	__be16 gateway_port, own_port;
	__u32 outer_ifindex, outer_mtu, mark;
	__be32 next_hop; /* to the gateway, while hops_until is to come */
	struct pa_k_link links[PA_K_LINKS];
};

/*
 * far: what is known of the far end of an inner packet, its destination at the gateway, its source at the client. One octet for
 * all addresses with the same upper half, eight in a word, the lowest first.
 */
enum {
	PA_K_FAR_PASS,
	PA_K_FAR_DROP,
	PA_K_FAR_BLOCK, /* and above: a bit for each address, in block value - PA_K_FAR_BLOCK + 1 */
	PA_K_FAR_ASK = 255, /* the daemon knows */
};
#define PA_K_FAR_WORDS (65536 / 8)
/* bits: blocks of one bit for each of 65536, 64 in a word, the lowest first; set: drop. Block 0 is for ports. */
#define PA_K_BLOCKS 64
#define PA_K_BLOCK_WORDS (65536 / 64)

/*
 * ways: where packets go next: for all addresses with the same upper half one octet, as in far, the number of a next hop; 0: the kernel
 * has to be asked for each packet.
 */
#define PA_K_HOPS 64 /* number 0 is none */
#define PA_K_ROUTES_NS (15ULL * 1000000000) /* without a daemon that watches the routes for so long, the kernel is asked */
struct pa_k_hop {
	__be32 gateway; /* the daemon's: what the routes say */
	__u32 ifindex;
	__u64 until;	  /* the programs': when it was looked up last, and a second */
	__u64 dmac, smac; /* as in a frame, then two octets of zero */
	__u32 mtu, pad;
};

/* Totals of one processor. */
struct pa_k_totals {
	__u64 tx_packets, tx_bytes, rx_packets, rx_bytes;
	__u64 tx_drops[PA_VERDICTS], rx_drops[PA_VERDICTS];
	__u64 tx_errors, rx_errors;
	__u64 tx_up, rx_up; /* left to the daemon */
	__u64 tick, now;    /* the programs' clock: jiffies, and the time when they became so many */
};

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BENCH_FRAMES_H
#define PA_BENCH_FRAMES_H

#include <linux/types.h>
#include <stdbool.h>

/* What per_packet.c and its programs (frames.bpf.c) agree on. Addresses in host byte order. */
#define FRAMES_POOL 0x2c000000u	   /* 44.0.0.0: of session i, and i on */
#define FRAMES_MAPPED 0x0b000000u  /* 11.0.0.0: where it is mapped to, and i on */
#define FRAMES_PEERS 0x2d000000u   /* 45.0.0.0/16: on the Internet, any */
#define FRAMES_GATEWAY 0xc633640au /* 198.51.100.10 */
#define FRAMES_PORT(i) (1024 + (i) % 60000)
#define FRAMES_LEN 92 /* of the inner packet: 64 octets in UDP */
#define FRAMES_MAC "\x02\x00\x00\x00\x00\x01"
#define FRAMES_NEXT_MAC "\x02\x00\x00\x00\x00\x02"

enum frames_to {
	FRAMES_TO_NOBODY, /* dropped at once: what making them costs */
	FRAMES_TO_KERNEL, /* received by the kernel's stack */
	FRAMES_TO_NEXT,	  /* handed to the program in the map "next" */
};

struct frames_conf {
	__u32 sessions;
	__u32 to;	  /* enum frames_to */
	__u32 leaves_len; /* octets of a frame that leaves as it should; others are not counted */
	bool tunnelled;	  /* from a client, else for one */
};

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BPF_RATE_H
#define PA_BPF_RATE_H

#include <linux/types.h>

/*
 * The rate of one binding's data in one direction, in the kernel's programs and in the daemon alike: the generic cell rate
 * algorithm (ITU-T I.371), see limit.h, for packets and for octets. Two processors that count at the same moment may let a packet
 * too many pass; that is no harm, and a lock would be.
 */
struct pa_rate {
	__u64 packet_ns; /* one packet each; 0: any number */
	__u64 byte_ns;	 /* one octet each, in 1/1024 of a nanosecond; 0: any number */
	__u64 burst_ns;	 /* how far ahead of the rate it may be; 0: there is no limit at all */
};

/* Of one direction: theoretical arrival times, nanoseconds of CLOCK_BOOTTIME. */
struct pa_rate_state {
	__u64 packets, bytes;
};

/* Whether these packets may pass now; if so they are charged. */
static inline __attribute__((always_inline)) int pa_rate_take(const struct pa_rate *r, struct pa_rate_state *s, __u64 now,
							      __u32 packets, __u32 bytes)
{
	__u64 p = s->packets > now ? s->packets : now, b = s->bytes > now ? s->bytes : now;

	if (p - now > r->burst_ns || b - now > r->burst_ns)
		return 0;
	s->packets = p + packets * r->packet_ns;
	s->bytes = b + (bytes * r->byte_ns >> 10);
	return 1;
}

#endif

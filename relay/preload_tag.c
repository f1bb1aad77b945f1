/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What we have to remember of a socket, the kernel remembers for us, with the socket: in SO_MAX_PACING_RATE, a number of 64 bits
 * (socket(7); since Linux 4.20) that a Unix socket has and never uses. So every process that has inherited the socket, by whatever
 * way, knows it, and nothing has to be undone when the last one closes it. It is all ones on a socket that is not ours, and nobody asks
 * for a rate of 2^63 octets a second.
 *
 *	bits 56-63 the mark, 48-55 kind and flags, 32-47 the peer's port, 0-31 its IPv4 address
 */
#include <errno.h>

#include "relay/preload.h"

#define MARK 0xb7u
#define KIND 0x03u
#define V6 0x04u
#define TOLD 0x08u
#define OVER_TOLD 0x10u
#define ANY_PORT 0x20u
#define PACKETINFO 0x40u
#define STOOD 0x80u

_Static_assert(sizeof(unsigned long) == 8, "SO_MAX_PACING_RATE has 32 bits on systems of 32 bits");

bool pa_pre_tag(int fd, struct pa_pre_tag *ret)
{
	int saved = errno;
	socklen_t len = sizeof(uint64_t);
	uint64_t v = 0;
	unsigned flags;

	if (pa_pre_real()->getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v, &len) < 0 || len != sizeof(v) ||
	    v >> 56 != MARK) {
		errno = saved;
		return false;
	}
	flags = (unsigned)(v >> 48) & 0xff;
	*ret = (struct pa_pre_tag){.kind = (enum pa_pre_kind)(flags & KIND),
				   .v6 = flags & V6,
				   .told = flags & TOLD,
				   .stood = flags & STOOD,
				   .over_told = flags & OVER_TOLD,
				   .any_port = flags & ANY_PORT,
				   .packetinfo = flags & PACKETINFO};
	if ((v & 0xffffffffu) != 0)
		ret->peer = (struct pa_endpoint){pa_addr_from_ipv4((uint32_t)v), (uint16_t)(v >> 32)};
	return true;
}

void pa_pre_tag_set(int fd, const struct pa_pre_tag *t)
{
	unsigned flags = (unsigned)t->kind | (t->v6 ? V6 : 0) | (t->told ? TOLD : 0) | (t->over_told ? OVER_TOLD : 0) |
			 (t->any_port ? ANY_PORT : 0) | (t->packetinfo ? PACKETINFO : 0) | (t->stood ? STOOD : 0);
	uint64_t v = (uint64_t)MARK << 56 | (uint64_t)flags << 48 | (uint64_t)t->peer.port << 32 |
		     pa_addr_to_ipv4(&t->peer.addr);
	int saved = errno;

	(void)pa_pre_real()->setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v, sizeof(v));
	errno = saved;
}

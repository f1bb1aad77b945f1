/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_offload.h"

#include <linux/if_tun.h>
#include <string.h>

#ifndef TUN_F_USO4 /* headers before Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

void pa_offload_steps(unsigned ret[PA_OFFLOAD_STEPS])
{
	static const unsigned steps[PA_OFFLOAD_STEPS] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6, /* since 6.2 */
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		TUN_F_CSUM,
		0,
	};

	memcpy(ret, steps, sizeof(steps));
}

size_t pa_attach_steps(unsigned features, bool queues, unsigned ret[PA_ATTACH_STEPS])
{
	unsigned best = IFF_TUN | IFF_NO_PI | (features & IFF_VNET_HDR), many = features & IFF_MULTI_QUEUE;
	size_t n = 0;

	for (unsigned i = 0; i < 2; i++) {
		unsigned flags = i == 0 ? best : best & ~(unsigned)IFF_VNET_HDR;

		if (i == 1 && flags == best)
			break;
		ret[n++] = queues ? flags | many : flags;
		if (many != 0)
			ret[n++] = queues ? flags : flags | many;
	}
	return n;
}

size_t pa_first_step(const unsigned *steps, size_t n, bool (*take)(void *ctx, unsigned step), void *ctx)
{
	size_t i = 0;

	while (i < n && !take(ctx, steps[i]))
		i++;
	return i;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* In the place of the data path in the kernel, where it was left out at build time (--disable-bpf). */
#include <stdio.h>

#include "common/err.h"
#include "tunnel/dp_kern.h"

static int none_open(const struct pa_dp_config *cfg, struct pa_dp **ret)
{
	(void)ret;
	(void)snprintf(cfg->kern->err, PA_DP_KERN_ERRLEN, "this program was built without it (--disable-bpf)");
	return PA_ENOTSUP;
}

/* As open never succeeds, none of the others is ever called but pa_dp_kern_remove. */
const struct pa_dp_ops pa_dp_kern = {.name = "kernel", .open = none_open};

int pa_dp_kern_attach(struct pa_dp *dp, int anchor, uint16_t mtu, char err[PA_DP_KERN_ERRLEN])
{
	(void)dp;
	(void)anchor;
	(void)mtu;
	(void)err;
	return PA_ENOTSUP;
}

void pa_dp_kern_settle(struct pa_dp *dp)
{
	(void)dp;
}

void pa_dp_kern_refresh(struct pa_dp *dp)
{
	(void)dp;
}

void pa_dp_kern_hops(struct pa_dp *dp, const struct pa_hops *hops)
{
	(void)dp;
	(void)hops;
}

void pa_dp_kern_relayed(struct pa_dp *dp, const struct pa_addr *inner)
{
	(void)dp;
	(void)inner;
}

bool pa_dp_kern_accelerated(const struct pa_dp *dp)
{
	(void)dp;
	return false;
}

void pa_dp_kern_alive(struct pa_dp *dp)
{
	(void)dp;
}

void pa_dp_kern_port(struct pa_dp *dp, unsigned local, uint16_t port)
{
	(void)dp;
	(void)local;
	(void)port;
}

uint16_t pa_dp_kern_former_port(const struct pa_dp *dp)
{
	(void)dp;
	return 0;
}

void pa_dp_kern_remove(const char *bpf_dir, const char *device)
{
	(void)bpf_dir;
	(void)device;
}

bool pa_dp_kern_peer(const struct pa_dp *dp, const struct pa_addr *inner, struct pa_dp_peer *ret)
{
	(void)dp;
	(void)inner;
	(void)ret;
	return false;
}

bool pa_dp_kern_take(struct pa_dp *dp, const struct pa_addr *inner, bool tx, unsigned n, size_t bytes)
{
	(void)dp;
	(void)inner;
	(void)tx;
	(void)n;
	(void)bytes;
	return false;
}

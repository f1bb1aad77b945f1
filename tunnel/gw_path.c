/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The gateway's core: the path's MTU, which the client looks for (pmtu.h). A PROBE from where the client is known to be gets its
 * answer without a place in the table of probers, for there may be a million clients: whoever sends a copy of it makes us send as much to the
 * client as he spends himself, no more, and not often.
 */
#include <string.h>

#include "tunnel/gw_int.h"

/* Sessions are found by their number, which is random, as sources are by their prefix: each in a slot of a fixed table. */
static bool limit_session(struct pa_limit *l, struct pa_now now, const struct pa_gw_entry *e)
{
	struct pa_addr key;

	memset(&key, 0, sizeof(key));
	memcpy(key.b, e->session, sizeof(e->session));
	return pa_limit_source(l, now.boot_ms, &key);
}

static bool is_this_host(const struct pa_gw *gw, unsigned local, const struct pa_addr *a)
{
	if (!pa_addr_is_ipv4(a)) /* there the system lets anybody pass who says so */
		return false;
	if (pa_addr_classify(a) == PA_ADDR_LOOPBACK)
		return true;
	for (size_t i = 0; i < gw->n_sockets; i++)
		if (gw->sockets[i].local == local && pa_addr_eq(&gw->sockets[i].at.addr, a))
			return true;
	return false;
}

bool pa_gw_limit(const struct pa_gw *gw, struct pa_limit *l, uint64_t now, unsigned local, const struct pa_endpoint *from)
{
	struct pa_addr key;

	if (!is_this_host(gw, local, &from->addr))
		return pa_limit_source(l, now, &from->addr);
	memset(&key, 0, sizeof(key));
	memcpy(key.b + 1, from->addr.b + 12, 4);
	key.b[0] = 1; /* no prefix of an IPv6 address that is in use: 0100::/16 is for discarding */
	key.b[5] = (uint8_t)(from->port >> 8);
	key.b[6] = (uint8_t)from->port;
	return pa_limit_source(l, now, &key);
}

bool pa_gw_path_admits(struct pa_gw *gw, struct pa_now now, const struct pa_gw_entry *e)
{
	if (limit_session(&gw->path_limit, now, e))
		return true;
	gw->count.limited++;
	return false;
}

bool pa_gw_path_told(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e, uint16_t mtu)
{
	if (mtu > gw->mtu)
		mtu = gw->mtu;
	if (mtu < PA_MTU_MIN || mtu == e->mtu)
		return false;
	/* Each change is work for the kernel, too. The client sees by ALIVE that it was not taken, and says it again. */
	if (!limit_session(&gw->mtu_limit, now, e)) {
		gw->count.limited++;
		return false;
	}
	e->mtu = mtu;
	return true;
}

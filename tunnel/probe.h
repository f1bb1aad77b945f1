/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PROBE_H
#define PA_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/clock.h"
#include "tunnel/client.h"
#include "tunnel/probe_nat.h"

/*
 * A run that tries out what lies between this host and its gateways: whether each is reached, and, within a session, how
 * the NAT maps and filters, how large packets may be each way, what the gateway's clock says, and how long the NAT remembers.
 * From sockets of its own, beside the tunnel, which it does not touch. Pure: no I/O, no clock; ops must not call back. One
 * thread, the client's.
 */
struct pa_probe;

enum pa_reach {
	PA_REACH_UNKNOWN = 0, /* not tried */
	PA_REACH_ANSWERED,
	PA_REACH_REFUSED,  /* the host is there, the port is not served: ICMP port unreachable, or RST */
	PA_REACH_BLOCKED,  /* this host itself does not let the packet out (EPERM) */
	PA_REACH_NO_ROUTE, /* unreachable, says this host or a router */
	PA_REACH_SILENT,
};

struct pa_probe_gateway {
	struct pa_endpoint at;
	enum pa_reach udp; /* a message that gets an answer without a key (pubaddr-protocol(7), UNBOUND hint) */
	enum pa_reach tcp; /* a connection to the same port, which nobody serves: tells whether the host is there */
};

/* A value type; zeros mean "not known". */
struct pa_probe_result {
	struct pa_probe_gateway gateways[PA_GATEWAYS_MAX];
	unsigned n_gateways;
	bool probed;	       /* the session's gateway has answered a PROBE; without it nothing below is known */
	struct pa_endpoint mapped; /* of a fresh socket */
	enum pa_nat_kind mapping, filtering;
	uint16_t mtu_tried;    /* IP packets of up to so many bytes were tried: the link's MTU */
	uint16_t mtu_to, mtu_from; /* the largest that came to, or from, the gateway */
	int64_t clock_ms;      /* the gateway's Unix time less ours */
	uint32_t rtt_us;
	/* Seconds of silence: up to limit were tried; kept: the longest that the mapping outlived; lost: the shortest that it did not. */
	uint16_t life_limit, life_kept, life_lost;
};

enum pa_probe_socket {
	PA_PROBE_UDP,
	PA_PROBE_UDP_DF,	/* packets have DF */
	PA_PROBE_UDP_CONNECTED, /* errors of the network come back */
	PA_PROBE_TCP,		/* begins to connect */
};

#define PA_PROBE_SOCKETS 20

struct pa_probe_ops {
	/* Opens socket number i anew, with a fresh source port; to tells the family, and whom to connect to. Negative: not. */
	int (*open)(void *ctx, unsigned i, enum pa_probe_socket kind, const struct pa_endpoint *to);
	void (*close)(void *ctx, unsigned i);
	/*
	 * 0, or PA_EDENIED (this host does not let it out), PA_ETRUNC (too large for the link, with DF), PA_ENOTFOUND (no
	 * route), PA_EEXIST (refused by the other end, of an earlier packet), PA_EIO.
	 */
	int (*send)(void *ctx, unsigned i, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
	void (*random)(void *ctx, uint8_t *dst, size_t len);
};

/* client: borrowed. ops: static. PA_ENOMEM. */
int pa_probe_new(struct pa_client *client, const struct pa_probe_ops *ops, void *ctx, struct pa_probe **ret);
/* Frees; closes nothing. NULL is fine. */
void pa_probe_free(struct pa_probe *p);

#define PA_PROBE_LIFE_MIN 8 /* seconds of silence that can be tried */

/*
 * Starts a run; link_mtu: of the LAN interface; life: seconds of silence that are tried out, up to PA_PROBE_DELAY_MAX, 0: none. The
 * run takes some seconds, and with life so many more. PA_EAGAIN: one is running; PA_ENOTFOUND: no grant; PA_EINVAL.
 */
int pa_probe_start(struct pa_probe *p, struct pa_now now, uint16_t link_mtu, unsigned life);
/*
 * The same for one silence alone, PA_PROBE_LIFE_MIN .. PA_PROBE_DELAY_MAX seconds, by one socket: life_kept or life_lost is set to it
 * at the end, or neither when nothing can be said. PA_EAGAIN: a run goes on; PA_ENOTFOUND: not bound; PA_EINVAL.
 */
int pa_probe_start_life(struct pa_probe *p, struct pa_now now, unsigned silence);
bool pa_probe_running(const struct pa_probe *p);
/* What the last or the present run knows. *ret_age_ms: since it has ended, UINT64_MAX: there was none. */
void pa_probe_get(const struct pa_probe *p, struct pa_now now, struct pa_probe_result *ret, uint64_t *ret_age_ms);

/* A datagram came to socket i. */
void pa_probe_receive(struct pa_probe *p, struct pa_now now, unsigned i, const struct pa_endpoint *from,
		      const uint8_t *buf, size_t len);
/* The network said something about socket i: 0 (TCP is connected), or a code as of ops->send. */
void pa_probe_told(struct pa_probe *p, struct pa_now now, unsigned i, int code);
/* Timers. Returns the boot time (ms) at which to call again at the latest; UINT64_MAX: no run. Call also after the others. */
uint64_t pa_probe_tick(struct pa_probe *p, struct pa_now now);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PEER_EDGE_H
#define PA_PEER_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/relay_link.h"
#include "common/relay_pool.h"
#include "tunnel/filter.h"

/*
 * The relay server's side towards peers: each session has a socket of its own that has P for its address. A struct
 * pa_peer is the user of its session; the functions below are what the link's ops of the same names come down to. One
 * loop's thread.
 */
struct pa_peer;

/*
 * What the sockets of one client use up. A value, initially zero but for pool: pa_rpool_init with PA_PEER_QUEUED_MAX
 * and one owner.
 */
#define PA_PEER_QUEUED_MAX (48u << 20) /* octets */
struct pa_peer_share {
	struct pa_rpool pool; /* what waits for all of its peers */
	unsigned sockets;
	unsigned calling; /* sessions whose peer has not answered yet: those of nobody's addresses last for minutes */
	bool paused;	  /* a listener found no descriptor left; pa_peer_resume */
};

/* Sockets of all clients. Of max the last ones, reserve, are for clients that have fewer than PA_PEER_ASSURED. */
#define PA_PEER_ASSURED 16
struct pa_peer_budget {
	unsigned used, max, reserve;
};

/* What the sockets of one client have in common; borrowed by them. */
struct pa_peer_owner {
	uv_loop_t *loop;
	struct pa_addr addr; /* P */
	const struct pa_deny *deny;
	bool may_listen; /* the grant's inbound policy is not "closed" */
	struct pa_peer_share *share;
	struct pa_peer_budget *budget;
	/* Is this port this host's own business, for sockets of that type (SOCK_STREAM, SOCK_DGRAM)? */
	bool (*reserved)(void *ctx, int type, uint16_t port);
	/* Something happened, for the log; event is static: relay.call, relay.connected, relay.failed, relay.listen,
	 * relay.incoming... */
	void (*event)(void *ctx, const char *event, const struct pa_rsession *s, const struct pa_endpoint *local,
		      const struct pa_endpoint *remote, enum pa_relay_error error);
	void *ctx;
};

/* Does what OPEN asks, and answers by pa_rlink_result now or later. */
void pa_peer_open(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b);
void pa_peer_data(struct pa_rsession *s, const uint8_t *bytes, size_t len);
void pa_peer_datagram(struct pa_rsession *s, const struct pa_endpoint *to, const uint8_t *bytes, size_t len);
void pa_peer_fin(struct pa_rsession *s);
void pa_peer_writable(struct pa_rsession *s);
/* The session goes without more being said to the client (RESET came, or the whole link ends): the peer sees a reset.
 */
void pa_peer_drop(struct pa_rsession *s);
/* owner->may_listen is false now: a session that listens ends with DENIED. Connections that it brought go on. */
void pa_peer_forbid(struct pa_rsession *s);
/* There may be descriptors again: a listener that was paused goes on. */
void pa_peer_resume(struct pa_rsession *s);

#endif

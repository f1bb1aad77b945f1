/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_WORLD_H
#define PA_TEST_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "test/sim/peer.h"
#include "tunnel/client.h"
#include "tunnel/gw.h"

/*
 * Both ends of the protocol in one process: clients, each behind a NAT of its own that can rebind, a network that loses,
 * doubles and reorders, gateways that die, restart and come back, and a clock that jumps from event to event. All of it
 * follows from one seed.
 */
#define WORLD_CLIENTS 3
#define WORLD_GATEWAYS 2
#define WORLD_QUEUE 512
#define WORLD_RECORD 4096

struct world_packet {
	uint64_t due; /* boot time, ms */
	struct pa_endpoint from, to;
	bool data; /* carries no control message but a packet of P */
	struct pa_addr inner;
	uint8_t buf[PA_CTL_MAX];
	size_t len;
};

struct world_client {
	struct world *w;
	unsigned n;
	struct pa_client *cl;
	struct pa_endpoint mapped; /* what its NAT makes of its present socket */
	uint64_t bind;
	unsigned n_up, n_down, n_ended, n_fresh;
	bool is_up;
	bool frozen; /* its host is suspended: it does nothing, and nothing reaches it */
	int64_t wall_ms; /* its wall clock less the true time */
	uint64_t nat_life_ms, used_ms; /* its NAT forgets a mapping by which it has sent nothing for so long, 0: never; when it last did */
	uint64_t flow_until_ms;	       /* till then programs send by P all the time, and are answered */
	uint64_t beat_ms;	       /* of the next look at that traffic */
	uint64_t tx, rx;
	struct pa_client_binding b;
	struct pa_grant grant; /* the last one */
	bool no_udp;	       /* its NAT passes none */
	bool relay;	       /* the relay server, beside the first gateway, is there */
	bool wants_relay, knows_relay; /* what the client has said, and was told */
	struct pa_endpoint ferry;      /* what stands for the gateway at the client */
	struct pa_endpoint berth;      /* the server's socket for this client */
};

struct world_gateway {
	struct world *w;
	unsigned n;
	struct pa_gw *gw;
	struct pa_endpoint at;
	bool dead;
	struct pa_endpoint owner[256]; /* of 203.0.113.x: where its packets go; port 0: nowhere */
	unsigned n_deliver, n_withdraw, n_contested;
	const struct pa_floors *floors; /* borrowed; NULL: none */
	void (*bound)(struct world_gateway *g, const struct pa_gw_binding *b); /* a client has bound; NULL: nobody asks */
};

struct world {
	uint64_t seed;
	struct peer_rng rng;
	struct pa_now now;
	struct pa_keyring *ring;
	struct world_client c[WORLD_CLIENTS];
	struct world_gateway g[WORLD_GATEWAYS];
	unsigned loss, dup; /* percent */
	unsigned late;	    /* percent of the packets that take up to late_ms longer */
	unsigned late_ms;
	void (*watch)(struct world *w, void *ctx); /* called after each step; NULL: nobody */
	void *watch_ctx;
	unsigned delay_min, delay_max; /* ms, one way */
	struct world_packet queue[WORLD_QUEUE];
	size_t n_queue;
	struct world_packet record[WORLD_RECORD]; /* every control message sent, for replay */
	size_t n_record;
	struct pa_endpoint relay; /* a listener that relays what client 0 sends, and to it what it gets; port 0: none */
	uint16_t next_port;
	unsigned forge; /* CHALLENGEs that a listener, who saw client 0's grant, forges for each of its HELLOs */
};

struct world *world_new(uint64_t seed);
void world_free(struct world *w);

/* Gives client n the grant of 203.0.113.host; gateways: how many of the two it lists. */
void world_grant(struct world *w, unsigned n, uint8_t host, uint64_t epoch, uint64_t seconds, unsigned gateways);
/* Runs all timers and packets of the next ms milliseconds. */
void world_run(struct world *w, uint64_t ms);
/* Runs at most ms milliseconds until cond holds; returns whether it does. */
bool world_until(struct world *w, uint64_t ms, bool (*cond)(const struct world *w, unsigned n), unsigned n);
/* Client n's NAT gives its socket another mapping; the old one is dead. */
void world_rebind(struct world *w, unsigned n);
/* The relay server's connection with client n stands, from a socket of its own, or does not. */
void world_relay(struct world *w, unsigned n, bool up);
/* A host that was frozen goes on, with the process that it had. */
void world_thaw(struct world *w, unsigned n);
/* Client n sends a packet from its P. */
void world_data(struct world *w, unsigned n);
/* A gateway that has forgotten everything. */
void world_restart(struct world *w, unsigned g);
/* A gateway that is killed, and the next one adopts what it had recorded. */
void world_kill_gateway(struct world *w, unsigned g);
/* Puts a packet that nobody has sent so far on the wire, at once and without loss. */
void world_inject(struct world *w, const struct pa_endpoint *from, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
/* A client that is killed, and the next one adopts its session, from another port. */
void world_kill_client(struct world *w, unsigned n);
/* Puts a packet that was seen before on the wire again, at once and without loss; from NULL: as it was. */
void world_replay(struct world *w, const struct world_packet *p, const struct pa_endpoint *from);

/* Where P's packets go now, over all live gateways that the client of that binding uses: whether they reach client n. */
bool world_reaches(const struct world *w, unsigned n);
unsigned world_random(struct world *w, unsigned below);

#endif

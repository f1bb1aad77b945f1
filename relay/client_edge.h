/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_CLIENT_EDGE_H
#define PA_RELAY_CLIENT_EDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/cred.h"
#include "common/edge_tls_stream.h"
#include "common/keyfile.h"
#include "common/relay_auth.h"
#include "common/relay_link.h"
#include "relay/gate_edge.h"
#include "relay/client_limits.h"
#include "relay/peer_edge.h"
#include "relay/relayd_conf.h"
#include "tunnel/limit.h"

/* Inside of the relay server: its connections and its clients. relayd_edge.c, conn_edge.c, client_edge.c,
 * tunnel_edge.c. */
struct pa_conn;
struct pa_rclient;

/* Connections that have proved nothing: in all, and from one address, for many clients share one behind a NAT. */
#define PA_RELAY_STRANGERS_MAX 256
#define PA_RELAY_STRANGERS_OF_ONE_MAX 16
/*
 * A TLS handshake costs us a signature, and who began it nothing: so often from one network, besides the bound for all
 * (client_limits). All clients may come back at once.
 */
#define PA_RELAY_STRANGERS_EACH_MS 10
#define PA_RELAY_STRANGERS_BURST 512

struct pa_relayd_counters {
	uint64_t connections, authenticated, resumed; /* accepted by TCP; and of these those that proved their grant */
	uint64_t malformed, bad_mac, expired, unknown_pool, unpinned, refused, limited, flood,
		timed_out;			  /* those that did not */
	uint64_t calls, incoming, failed, denied; /* sessions */
	uint64_t unread;			  /* of them those whose peers took nothing when there was no room */
	uint64_t broken;			  /* clients that broke the rules after all */
	uint64_t throttled;			  /* what clients wanted too often: calls, names, resuming */
	uint64_t unlogged;			  /* lines of the log */
	uint64_t tunnel_in, tunnel_out;		  /* the tunnel's datagrams to the gateway, and from it */
	uint64_t tunnel_dropped, tunnel_limited;  /* of another's P, or without room; above a client's rate */
};

struct pa_relayd {
	uv_loop_t *loop;
	const struct pa_relayd_conf *conf;
	struct pa_keyring *keys;
	uint8_t public_key[PA_KEY_LEN];
	struct pa_stream_tls *tls;
	struct pa_gate *gate;
	struct pa_nl *nl;
	struct pa_server *server;
	struct pa_prefix *pools, *own;
	struct pa_deny deny;
	struct pa_listener {
		struct pa_relayd *r;
		uv_poll_t poll;
		int fd; /* -1: closed */
	} listeners[PA_RELAYD_LISTEN_MAX];
	uv_timer_t timer;
	bool has_timer, stopped, diverted;
	bool paused;	       /* no descriptors were left for connections */
	uint64_t own_read_ms;  /* boot time */
	struct pa_conn *conns; /* that have proved nothing yet */
	unsigned n_conns;
	struct pa_rclient *clients; /* each with a connection, or waiting for one */
	unsigned n_clients;
	struct pa_peer_budget budget; /* sockets towards peers */
	struct pa_relay_limits limits;
	struct pa_limit door; /* connections, by their network */
	struct pa_relayd_counters count;
	uint64_t started_ms;
	struct pa_rtunnel *resting; /* ports that the gateway has not forgotten yet */
	unsigned n_resting;
};

/* One TLS connection. */
struct pa_conn {
	struct pa_conn *prev, *next; /* in r->conns, until it has a client */
	struct pa_relayd *r;
	struct pa_stream *stream;
	struct pa_endpoint from;
	uint64_t until_ms; /* boot time: to prove something by then */
	uint64_t heard_ms; /* boot time: when something came last */
	bool pinged;	   /* nothing has come since we asked */
	bool asked; /* asked: AUTH was good, the gateway has yet to say yes */
	uint8_t exporter[PA_STREAM_EXPORTER_LEN];
	struct pa_rclient *client; /* whose connection this is, or (asked) will be */
	bool broken;		   /* the client broke the rules: no use in waiting for it */
	uint8_t nonce[PA_NONCE_LEN], g2c[PA_KEY_LEN];
	uint8_t out[PA_RELAY_HEADER_LEN + PA_RELAY_AUTH_OK_LEN]; /* the answer, before anything of the link */
	size_t out_len, out_at;
};

/* One client: its link and sessions, which outlive a connection. */
struct pa_rclient {
	struct pa_gate_grant grant; /* first: the gate gives it back */
	struct pa_rclient *prev, *next;
	struct pa_relayd *r;
	struct pa_conn *conn; /* NULL: lost, or not there yet */
	uint64_t lost_ms;     /* boot time; 0: it is there */
	uint8_t id[PA_RELAY_ID_LEN];
	uint8_t client_key[PA_KEY_LEN];
	struct pa_rlink *link;
	struct pa_peer_owner owner;
	struct pa_peer_share share;
	struct pa_relay_limits limits;
	struct pa_resolve_share *names; /* how many names it asks about */
	struct pa_endpoint from;
	bool ending;
	struct pa_rtunnel *tunnel; /* NULL: no datagram of the tunnel has come yet */
};

/* conn_edge.c */
/* May one more line of that kind be logged, of what connections do? Those that are not are told of (relay.held-back). */
bool pa_relayd_may_log(struct pa_relayd *r, enum pa_relay_limit what);
void pa_conn_accept(struct pa_relayd *r, int fd, const struct pa_endpoint *from);
/* Closes without a word to the client, who is left as lost. */
void pa_conn_close(struct pa_conn *c);
/* The same, and the client is told to be lost. */
void pa_conn_lose(struct pa_conn *c);
/* The gateway has answered for conn's client. */
void pa_conn_admitted(struct pa_conn *c, enum pa_relay_error error);

/* client_edge.c */
/* NULL: no memory. It begins in r's list, with conn, asked about at the gateway. */
struct pa_rclient *pa_rclient_new(struct pa_relayd *r, struct pa_conn *conn, const struct pa_claims *claims,
				  const uint8_t client_key[PA_KEY_LEN]);
struct pa_rclient *pa_rclient_find(struct pa_relayd *r, const uint8_t id[PA_RELAY_ID_LEN]);
/* A renewed lease of the same client: what its grant says now holds. */
void pa_rclient_renew(struct pa_rclient *c, const struct pa_claims *claims);
/* The connection broke; sessions wait. */
void pa_rclient_lost(struct pa_rclient *c);
/* Ends sessions and connection for good; tells the client why, if it is there. */
void pa_rclient_end(struct pa_rclient *c, enum pa_relay_error error);
void pa_rclient_tick(struct pa_rclient *c, struct pa_now now);
/* May the client have this once more? Counts it if not. */
bool pa_rclient_may(struct pa_rclient *c, enum pa_relay_limit what);

/* tunnel_edge.c: datagrams between the client and the gateway. */
struct pa_rtunnel;
/* NULL: the system refused. */
struct pa_rtunnel *pa_rtunnel_new(struct pa_rclient *c);
void pa_rtunnel_send(struct pa_rtunnel *t, const uint8_t *bytes, size_t len);
/* Its port rests until the gateway has forgotten it. NULL is fine. */
void pa_rtunnel_close(struct pa_rtunnel *t);
/* Frees the ports that have rested; stop: all of them. */
void pa_rtunnel_tick(struct pa_relayd *r, uint64_t now_ms);
void pa_rtunnel_stop(struct pa_relayd *r);

#endif

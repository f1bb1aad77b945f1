/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_CLIENT_EDGE_H
#define PA_RELAY_CLIENT_EDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/edge_tls_stream.h"
#include "common/grant.h"
#include "common/relay_link.h"
#include "tunnel/relay_retry.h"

/*
 * The client's end of a relay connection: connects to the server, proves the grant, and keeps sessions alive over lost connections. Who
 * has sessions opens them on the link, at any time: what is queued before there is a connection goes when there is one. One loop's
 * thread.
 */
struct pa_relay_client;

#define PA_RELAY_CLIENT_ERRLEN 192

struct pa_relay_client_config {
	uv_loop_t *loop;
	struct pa_endpoint server;
	const char *device;	   /* to leave by; NULL: any */
	uint32_t mark;		   /* SO_MARK; 0: none */
	struct pa_stream_tls *tls; /* pa_stream_tls_client's; borrowed */
	const char *name;	   /* that the certificate has to have; NULL: any, where tls asks for no authority */
	const uint8_t *secret_key; /* the client's X25519 key; copied */
	uint64_t (*next_bind)(void *ctx); /* as pa_client_ops' */
	struct pa_rretry *retry; /* how attempts at this server have gone, which outlives the client; borrowed. NULL: the client's own */
	/* The connection stands, at first or again; resumed: with the sessions that there were. */
	void (*up)(void *ctx, bool resumed);
	/* It is gone, why in words; the next one is tried. */
	void (*down)(void *ctx, const char *reason);
	/*
	 * Sessions cannot go on: the server has forgotten them, or refuses, or was not reached for PA_RELAY_HOLD_S (LOST). Called before the link is replaced by an empty one: let go of
	 * all. final: no other connection is tried before the next pa_relay_client_grant.
	 */
	void (*over)(void *ctx, enum pa_relay_error error, bool final);
	const struct pa_rlink_ops *ops; /* the link's; output, pong and bye are not used */
	void *ctx;			/* for all of them */
};

/* cfg is copied, strings are borrowed; starts to connect. PA_ENOMEM. */
int pa_relay_client_new(const struct pa_relay_client_config *cfg, const struct pa_grant *g, struct pa_relay_client **ret);
/* A renewed grant of the same address, for the next connection; after a final refusal it is tried at once. */
void pa_relay_client_grant(struct pa_relay_client *c, const struct pa_grant *g);
/* Ends all sessions at the server and closes; no callback is made any more, and c goes by itself when libuv lets go. NULL is fine. */
void pa_relay_client_close(struct pa_relay_client *c);
/* Borrowed until the over callback. */
struct pa_rlink *pa_relay_client_link(const struct pa_relay_client *c);
bool pa_relay_client_is_up(const struct pa_relay_client *c);
/* How the server sees this host; none before the first connection. */
struct pa_endpoint pa_relay_client_mapped(const struct pa_relay_client *c);

#endif

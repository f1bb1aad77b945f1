/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_LINK_H
#define PA_RELAY_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/addr.h"
#include "common/relay.h"

/*
 * One end of a relay connection, once both ends are authenticated: many sessions with a window each, over one ordered
 * stream of bytes that may be lost and resumed without a byte lost or doubled. Client and server use the same code.
 * Pure: the edge writes what peek gives, feeds what it reads, and never stops reading, for the sessions' windows bound
 * what may wait. Not reentrant but where said: an op may call everything except free, input, lost and resume. One
 * thread.
 */
struct pa_rlink;
struct pa_rsession; /* borrowed from its link; valid until pa_rlink_close or the reset op */

struct pa_rlink_ops {
	/* Server: the client wants a session (OPEN: kind, local, remote), or a name's addresses (RESOLVE: family,
	 * name). */
	void (*open)(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b);
	void (*resolve)(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b);
	/* Client: what became of them (RESULT or RESOLVED); after an error or a RESOLVED the session is over, but not
	 * closed. */
	void (*result)(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b);
	/* Client: somebody called listener, which may be NULL if it was closed just now; close s then. */
	void (*incoming)(void *ctx, struct pa_rsession *s, struct pa_rsession *listener, const struct pa_relay_body *b);
	/* Bytes of a stream, in order, valid until pa_rlink_input returns. Tell pa_rlink_consumed when they are out of
	 * our hands. */
	void (*data)(void *ctx, struct pa_rsession *s, const uint8_t *bytes, size_t len);
	/* A datagram from (client) or to (server) peer. Drop it if it cannot go on at once. */
	void (*datagram)(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes,
			 size_t len);
	/* Client: datagrams to peer do not arrive, the network says why. NULL: nobody wants to know. */
	void (*undelivered)(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, enum pa_relay_error error);
	/* No more bytes will come. */
	void (*fin)(void *ctx, struct pa_rsession *s);
	/* The other side has ended the session: s is gone when this returns. */
	void (*reset)(void *ctx, struct pa_rsession *s, enum pa_relay_error error);
	/* What pa_rlink_reserve refused may be tried again. */
	void (*writable)(void *ctx, struct pa_rsession *s);
	/* A datagram of the tunnel. */
	void (*tunnel)(void *ctx, const uint8_t *bytes, size_t len);
	/* The answer to pa_rlink_ping. */
	void (*pong)(void *ctx, uint64_t value);
	/* The other side has ended the whole connection; do not resume it. */
	void (*bye)(void *ctx, enum pa_relay_error error);
	/* There is something to peek at; called once until peek gave nothing more. */
	void (*output)(void *ctx);
};

struct pa_rlink_config {
	bool server;
	uint32_t window;       /* bytes that a session begins with, 1 .. PA_RELAY_WINDOW; the same at both ends */
	uint32_t window_max;   /* bytes that one grows to while its reader keeps up, window .. PA_RELAY_WINDOW_MAX; the same */
	size_t grown_max;      /* bytes that the windows of all sessions, as a receiver, have grown by */
	uint32_t sessions_max; /* further OPENs are answered LIMIT */
	size_t ring_limit;     /* bytes kept until acknowledged, a power of two from PA_RRING_MIN */
};

/* ops and ctx are borrowed. 0 or PA_ENOMEM. */
int pa_rlink_new(const struct pa_rlink_config *cfg, const struct pa_rlink_ops *ops, void *ctx, struct pa_rlink **ret);
/* Frees the sessions too; no op is called. NULL is fine. */
void pa_rlink_free(struct pa_rlink *l);

/* ---- the connection */
/*
 * Handles the whole frames at the beginning of buf; returns the bytes that they take, the caller keeps the rest and
 * gives it again with more behind it (a frame is at most PA_RELAY_HEADER_LEN + PA_RELAY_BODY_MAX). PA_EFORMAT,
 * PA_ELIMIT or PA_ENOMEM: the other side broke the rules or memory is out: end the connection for good.
 */
int64_t pa_rlink_input(struct pa_rlink *l, const uint8_t *buf, size_t len);
/*
 * What to send next, in one piece; 0: nothing. Valid until the next call. May call the writable op before, for it is
 * now that those who wait have room. sent: so many of those bytes went out.
 */
size_t pa_rlink_peek(struct pa_rlink *l, const uint8_t **ptr);
void pa_rlink_sent(struct pa_rlink *l, size_t n);
/* Acknowledges what has arrived, if that has not been done; call it each PA_RLINK_TICK_MS. */
#define PA_RLINK_TICK_MS 100
void pa_rlink_tick(struct pa_rlink *l);
/* Bytes of counted frames that arrived in all, for AUTH and AUTH_OK. */
uint64_t pa_rlink_received(const struct pa_rlink *l);
/* The connection is lost: sessions stay, peek gives nothing until resume; what is not counted is forgotten. */
void pa_rlink_lost(struct pa_rlink *l);
/* A new connection stands, and the other side has received so many bytes. PA_EFORMAT if that cannot be. */
int pa_rlink_resume(struct pa_rlink *l, uint64_t received);
/* To be answered by the pong op. */
void pa_rlink_ping(struct pa_rlink *l, uint64_t value);
void pa_rlink_bye(struct pa_rlink *l, enum pa_relay_error error);
/* A datagram of the tunnel; false: dropped, for too much waits already. */
bool pa_rlink_tunnel(struct pa_rlink *l, const uint8_t *bytes, size_t len);

/* ---- sessions */
/* Client: begins a session (OPEN: kind, local.port, remote) or asks for a name (RESOLVE). NULL: no memory, or
 * sessions_max. */
struct pa_rsession *pa_rlink_open(struct pa_rlink *l, const struct pa_relay_body *b, void *user);
struct pa_rsession *pa_rlink_resolve(struct pa_rlink *l, const struct pa_relay_body *b, void *user);
/* Server: answers the open op, at once or later. An error does not close the session: close it with E_OK. */
void pa_rlink_result(struct pa_rsession *s, const struct pa_relay_body *b);
/* Server: answers the resolve op; then close the session with E_OK. */
void pa_rlink_resolved(struct pa_rsession *s, const struct pa_relay_body *b);
/* Server: a peer called listener; b has local and remote. NULL: no memory, or sessions_max. */
struct pa_rsession *pa_rlink_incoming(struct pa_rsession *listener, const struct pa_relay_body *b, void *user);

/*
 * Room for bytes of the stream, written in place: in one piece, or in *n pieces, at most the *n that the caller has
 * place for. Returns how many bytes; 0: not now, the writable op tells when. commit: the first n of them.
 */
size_t pa_rlink_reserve(struct pa_rsession *s, uint8_t **ptr);
#define PA_RLINK_PIECES 8 /* more are of no use: 128 KiB */
size_t pa_rlink_reserve_pieces(struct pa_rsession *s, struct iovec *pieces, unsigned *n);
void pa_rlink_commit(struct pa_rsession *s, size_t n);
/* False: dropped, as UDP may. len at most PA_RELAY_BODY_MAX - PA_RELAY_DATAGRAM_LEN. */
bool pa_rlink_datagram(struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes, size_t len);
/* Server: datagrams to peer do not arrive. False: dropped, as what tells of it on a network may be. error: not OK. */
bool pa_rlink_undelivered(struct pa_rsession *s, const struct pa_endpoint *peer, enum pa_relay_error error);
/* In the data op: will it be called for s again, before anything else happens? Who collects what came saves calls of
 * the system. */
bool pa_rlink_more(const struct pa_rsession *s);
/* n more of the bytes that the data op gave are out of our hands. */
void pa_rlink_consumed(struct pa_rsession *s, size_t n);
/* No more bytes will be committed. */
void pa_rlink_fin(struct pa_rsession *s);
/*
 * We are done with s, which is gone. Unless it is over anyway (FIN both ways, a failed result, the answer to a name)
 * the other side gets RESET with error, or with E_RESET where error is E_OK.
 */
void pa_rlink_close(struct pa_rsession *s, enum pa_relay_error error);

void *pa_rsession_user(const struct pa_rsession *s);
void pa_rsession_set_user(struct pa_rsession *s, void *user);
uint32_t pa_rsession_id(const struct pa_rsession *s);
/* Is it a RESOLVE? */
bool pa_rsession_is_name(const struct pa_rsession *s);
struct pa_rlink *pa_rsession_link(const struct pa_rsession *s);
/* Bytes that the data op gave and pa_rlink_consumed has not told of yet. */
uint32_t pa_rsession_unread(const struct pa_rsession *s);
unsigned pa_rlink_sessions(const struct pa_rlink *l);
/* Calls fn for each session; fn may close that one. */
void pa_rlink_each(struct pa_rlink *l, void (*fn)(void *ctx, struct pa_rsession *s), void *ctx);

#endif

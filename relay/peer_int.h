/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PEER_INT_H
#define PA_PEER_INT_H

#include <sys/uio.h>

#include "common/relay_pool.h"
#include "relay/peer_edge.h"

/* Inside of peer_*.c only. */
#define PA_PEER_TALKED 16

enum pa_peer_state { PA_PEER_CALLING, PA_PEER_OPEN, PA_PEER_LISTENING, PA_PEER_UDP };

struct pa_peer {
	uv_poll_t poll;
	const struct pa_peer_owner *owner; /* not to be used any more once s is NULL */
	struct pa_peer_budget *budget;	   /* outlives it */
	struct pa_rsession *s; /* NULL: it is over, and libuv has yet to let go */
	int fd;
	enum pa_peer_state state;
	int events;			      /* that poll waits for */
	bool stuffed;			      /* the link takes no more: not read until the writable op */
	bool eof_in;			      /* the peer has sent its last byte */
	bool fin_wanted, fin_out;	      /* the client has sent its last byte; and the peer has been told */
	struct iovec pieces[PA_RLINK_PIECES]; /* inside of one input: from the client, not yet offered to the peer's
						 socket */
	unsigned n_pieces;
	struct pa_rpool_queue queue; /* from the client, not yet taken by the peer's socket; at most the session's window */
	struct pa_endpoint local, remote;
	struct pa_endpoint talked[PA_PEER_TALKED]; /* UDP: whom the client has sent to last */
	unsigned n_talked;			   /* in all */
};

/* A peer of a session on a socket, which it owns from success on. NULL: no memory; the socket stays the caller's. */
struct pa_peer *pa_peer_new(const struct pa_peer_owner *owner, struct pa_rsession *s, int fd, enum pa_peer_state state);
/* Waits for these events, by the function for the peer's state. */
void pa_peer_wait(struct pa_peer *p, int events);
/* Lets go of the socket; reset: the peer shall see that not all was said. */
void pa_peer_close(struct pa_peer *p, bool reset);
/* Ends the session with error, and the socket by a reset. */
void pa_peer_fail(struct pa_peer *p, enum pa_relay_error error);
void pa_peer_tell(const struct pa_peer *p, const char *event, enum pa_relay_error error);
/* Answers s by that error, and closes it. */
void pa_peer_refuse(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b,
		    enum pa_relay_error error);
/* Is there a socket left? */
bool pa_peer_has_room(const struct pa_peer_owner *owner);
/* May the client reach that? protocol is IPPROTO_TCP or IPPROTO_UDP. */
bool pa_peer_may_reach(const struct pa_peer_owner *owner, const struct pa_endpoint *to, int protocol);

/* peer_sock.c: a non-blocking socket of P (type SOCK_STREAM or SOCK_DGRAM), with a port or, for 0, one that the kernel
 * chooses. */
int pa_peer_socket(const struct pa_addr *addr, uint16_t port, int type, int *ret_fd);
enum pa_relay_error pa_peer_error(int os);
/* The socket's own endpoint, and the other one where it has one (remote may be NULL). */
void pa_peer_names(int fd, struct pa_endpoint *local, struct pa_endpoint *remote);

/* peer_tcp_edge.c and peer_udp_edge.c: what poll brings. */
void pa_peer_tcp_event(struct pa_peer *p, int status, int events);
void pa_peer_udp_event(struct pa_peer *p, int status, int events);
void pa_peer_call(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b);
void pa_peer_listen(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b);
void pa_peer_udp(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b);

#endif

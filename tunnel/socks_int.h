/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_SOCKS_INT_H
#define PA_SOCKS_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/log.h"
#include "common/socks5.h"
#include "tunnel/socks_edge.h"

/* Inside of the SOCKS5 server: socks_edge.c (connections until they ask), socks_call_edge.c (requests), socks_udp_edge.c (datagrams). */

struct pa_socks_counters {
	uint64_t accepted, strangers, limited; /* connections; of users that may not, and beyond a limit */
	uint64_t malformed, logins_failed, timed_out;
	uint64_t requests, failed;   /* and those of them that were not answered well */
	uint64_t datagrams_dropped; /* from programs: malformed, fragments, names that are not known yet, nowhere to go */
};

struct pa_socks {
	uv_loop_t *loop;
	const struct pa_socks_conf *conf;
	struct pa_turelay *relay;
	struct pa_rpipes *pipes;
	struct pa_socks_poll *poll; /* of fd */
	int fd;			    /* listens */
	uv_timer_t timer;
	struct pa_socks_conn *conns;
	unsigned n_conns;
	bool paused; /* there were no descriptors for connections */
	uint64_t warned_ms; /* boot time of the last warning about somebody who was refused: one a second will do */
	unsigned unwarned;  /* warnings that were left out since */
	struct pa_socks_counters count;
	uint8_t buf[PA_SOCKS5_HEADER_MAX + PA_RELAY_BODY_MAX]; /* a datagram, for the moment */
};

enum pa_socks_state {
	PA_SOCKS_ASKING,    /* no request yet */
	PA_SOCKS_WANTING,   /* the link to the server is awaited */
	PA_SOCKS_RESOLVING, /* s is a name */
	PA_SOCKS_CALLING,   /* s has no result yet */
	PA_SOCKS_LISTENING, /* s listens (BIND) */
	PA_SOCKS_PIPED,	    /* all is the pipe's */
	PA_SOCKS_DATAGRAMS, /* s is a flow of datagrams, udp its socket */
	PA_SOCKS_LAST,	    /* refused: only so that the answer is read before the connection ends */
};

struct pa_socks_conn {
	struct pa_relay_user user; /* first: of s */
	struct pa_socks *so;
	struct pa_socks_conn *prev, *next;
	enum pa_socks_state state;
	int fd;			    /* -1: the pipe's */
	struct pa_socks_poll *poll; /* of fd */
	struct pa_endpoint from;    /* the program's end */
	uid_t uid;
	bool allowed;
	uint64_t until_ms; /* boot time; 0: no limit */
	struct pa_socks5 s5;
	uint8_t in[PA_SOCKS5_INPUT_MAX]; /* read and not used; behind a request for the peer */
	size_t in_len;
	uint8_t command;
	struct pa_socks5_target target;
	struct pa_turelay_want want;
	struct pa_rsession *s;			    /* NULL: none */
	struct pa_addr addrs[PA_RELAY_ADDRS_MAX]; /* to be called one after the other; or who may call, none of them: anybody */
	unsigned n_addrs, next_addr;
	struct pa_rpipe *pipe;
	struct pa_socks_udp *udp;
};

/* A descriptor that is watched. close: fn is not called any more. */
struct pa_socks_poll *pa_socks_poll_new(uv_loop_t *loop, int fd, void (*fn)(void *ctx, int status), void *ctx);
/* events: UV_READABLE...; 0: none. */
void pa_socks_poll_set(struct pa_socks_poll *p, int events);
void pa_socks_poll_close(struct pa_socks_poll *p);

/* socks_edge.c. send: false: c is gone. refuse: the reply, then the end. end: c is gone. end_soon: by the next tick. */
bool pa_socks_send(struct pa_socks_conn *c, const uint8_t *bytes, size_t len);
void pa_socks_refuse(struct pa_socks_conn *c, enum pa_socks5_reply reply);
void pa_socks_end(struct pa_socks_conn *c);
void pa_socks_end_soon(struct pa_socks_conn *c);

/* socks_call_edge.c: the request is there (c may be gone afterwards), or its time is over. */
void pa_socks_request(struct pa_socks_conn *c);

/* socks_udp_edge.c. start: the flow c->s stands; answers the request, or refuses it. */
void pa_socks_udp_start(struct pa_socks_conn *c);
void pa_socks_udp_close(struct pa_socks_conn *c);
void pa_socks_udp_receive(struct pa_socks_conn *c, const struct pa_endpoint *peer, const uint8_t *bytes, size_t len);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_PIPE_EDGE_H
#define PA_RELAY_PIPE_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tunnel/tunneld_relay_edge.h"

/*
 * A stream socket and a TCP session of the relay, tied together: bytes both ways, each end read only as fast as the other one takes it,
 * half-close, and resets. What waits for the socket is at most the session's window. What waits for all sockets has a bound of 80 MiB: where
 * it is reached, sessions end with LIMIT, of the user who holds most, those first whose sockets have taken nothing for longest
 * (common/relay_pool.h). That can be while another one is being handed its data. One loop's thread.
 */
struct pa_rpipe;
struct pa_rpipes; /* what the pipes of one daemon have in common */

int pa_rpipes_new(uv_loop_t *loop, struct pa_turelay *relay, struct pa_rpipes **ret); /* 0, PA_ENOMEM or PA_EIO */
/* All pipes are to be gone; frees itself when libuv lets go. NULL is fine. */
void pa_rpipes_close(struct pa_rpipes *ps);

struct pa_rpipe_config {
	int fd; /* a connected stream socket, made non-blocking here; the pipe's from success on */
	/*
	 * A Unix socket whose other end has sent octets that nobody wants (at least one, filler of them): the last is always left
	 * unread, so that the kernel tells the other end ECONNRESET if we are killed or close it before its time. 0: none, and a
	 * TCP socket is set to do the same (SO_LINGER).
	 */
	size_t filler;
	uid_t uid;   /* whose program it is */
	bool abrupt; /* of a Unix socket, see pa_rpipe_set_abrupt */
	const uint8_t *early; /* octets that were read from fd already, for the session; copied */
	size_t early_len;     /* at most PA_RPIPE_EARLY_MAX */
	/* The session is over (OK: both sides have ended it; else why it was torn down), fd closed and the pipe gone when this returns. */
	void (*ended)(void *ctx, enum pa_relay_error error);
	void *ctx;
};
#define PA_RPIPE_EARLY_MAX 65536

/*
 * s: a session whose result was good, or that came in; its user is the pipe from now on. For inside of the result and the incoming op
 * as for later, but before any data op for s is missed. 0, PA_ENOMEM or PA_EIO; then fd and s stay the caller's.
 */
int pa_rpipe_new(struct pa_rpipes *ps, struct pa_rsession *s, const struct pa_rpipe_config *cfg, struct pa_rpipe **ret);
/*
 * When the program closes its end of a Unix socket, the session ends by a reset (socket(7), SO_LINGER of 0 s), once what has room in it has
 * gone. To be false when the program only shuts its end down.
 */
void pa_rpipe_set_abrupt(struct pa_rpipe *p, bool abrupt);
/* Tears both sides down, the session with error; ended is not called. NULL is fine. */
void pa_rpipe_free(struct pa_rpipe *p, enum pa_relay_error error);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_LOCAL_INT_H
#define PA_RELAY_LOCAL_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/relay_local.h"
#include "tunnel/relay_local_edge.h"
#include "tunnel/relay_shares.h"

/* Inside of relay_local_*.c only. */

#define PA_RLOCALD_BUCKETS 4096u
#define PA_RLOCALD_CONNS_MAX 4096u    /* requests under way */
#define PA_RLOCALD_OTHERS_MAX 3584u   /* of which others than root may have so many */
/* Of one user, root has no bound: of those the requests, the sessions, and of these the calls whose peer has not answered. */
#define PA_RLOCALD_CONNS_OF_UID 1024u
#define PA_RLOCALD_SESSIONS_OF_UID (PA_RELAY_SESSIONS_MAX / 2)
#define PA_RLOCALD_CALLS_OF_UID 1024u
#define PA_RLOCALD_STRANGERS_MAX 16u /* requests of all who may not; they are told so */
#define PA_RLOCALD_REMEMBERED_MAX 16384u /* sessions that are over and can be asked about */

struct pa_rprog;

/* A connection to the socket: one request, and its answer. */
struct pa_rasker {
	struct pa_relay_user user; /* first: of a RESOLVE's session */
	struct pa_rlocald *d;
	struct pa_rasker *prev, *next;
	uv_poll_t poll;
	int fd;			/* -1: it is closed, and libuv has yet to let go */
	struct ucred cred;
	bool allowed, asked;
	struct pa_rlocal request;
	struct pa_rprog *prog; /* whose result it waits for; NULL */
	struct pa_turelay_want want;
	struct pa_rsession *name; /* a RESOLVE under way */
};

/* A session of a program, by its id; remembered for a while when it is over. */
struct pa_rprog {
	struct pa_relay_user user; /* first: it is the session's user until a pipe is */
	struct pa_rlocald *d;
	struct pa_rprog *next_hash;
	struct pa_rprog *next_over; /* those that are over, the oldest first */
	uint64_t id;
	uint8_t state; /* enum pa_rlocal_state */
	bool session_counted, call_counted; /* among its user's */
	uint8_t kind, error;
	struct pa_endpoint local, remote;
	struct pa_turelay_caller caller;
	struct pa_turelay_want want;
	struct pa_rsession *s; /* NULL: none yet, or any more; or the pipe's */
	struct pa_rpipe *pipe;
	struct pa_rasker *asker; /* who waits for the result; NULL: nobody */
	int fd;			 /* our end, while there is no pipe; -1 */
	int program_fd;		 /* the program's, while it is ours to give or to mend; -1 */
	size_t filler;
	bool abrupt; /* TCP: the program's end is a reset */
	uv_poll_t *poll; /* of a listening or datagram session: a program that closes; NULL */
	uint64_t over_ms;
};

struct pa_rlocald {
	struct pa_rlocald_config cfg;
	char path[108];
	int fd;
	uv_poll_t poll;
	uv_timer_t sweep; /* runs while there are some that are over */
	uv_timer_t pause; /* runs while there are no descriptors for connections */
	unsigned open;
	bool closing;
	struct pa_rasker *askers;
	unsigned n_askers, n_strangers;
	struct pa_rshares shares;
	struct pa_rprog *buckets[PA_RLOCALD_BUCKETS];
	struct pa_rprog *over, *over_last;
	unsigned n_over, n_progs;
	uint64_t denied, dropped;
	uint64_t denied_log_ms;
	unsigned denied_held; /* lines of it that were not logged since */
};

/* ---- relay_local_edge.c */
/* Sends m, with fd unless it is -1, to who asked. False: it has gone. */
bool pa_rasker_tell(struct pa_rasker *a, const struct pa_rlocal *m, int fd);
/* Lets go of the connection. */
void pa_rasker_close(struct pa_rasker *a);

/* ---- relay_local_prog.c */
/* Does what OPEN asks of who asked, who is answered now or later. */
void pa_rprog_open(struct pa_rasker *a);
/* What SET says: of TCP whether the program's end is a reset, of UDP whose troubles it wants to know. */
void pa_rprog_set(struct pa_rprog *p, bool abrupt, const struct pa_endpoint *peer);
/* NULL: nothing is known of it. */
struct pa_rprog *pa_rprog_find(const struct pa_rlocald *d, uint64_t id);
/* Ends all, for good. */
void pa_rprog_close_all(struct pa_rlocald *d);

/* ---- relay_local_fd.c: descriptors for programs */
/*
 * A pair of connected sockets of that type; ret[0] is ours, non-blocking, ret[1] the program's, with the name of id. filler: octets
 * that were sent from the program's end: 0 for none, 1, or SIZE_MAX for as many as it takes until nothing more can be written; *ret_filler
 * is how many. PA_EEXIST: the name is taken; PA_EIO.
 */
int pa_rfd_pair(int type, const char *iface, uint64_t id, size_t filler, int ret[2], size_t *ret_filler);
/* Gives the program's end of a pair that was filled the room that it should have. */
void pa_rfd_widen(int program_fd);
/* One packet, with fd unless that is -1; as sendmsg. */
ssize_t pa_rfd_send(int to, const void *head, size_t head_len, const void *body, size_t body_len, int fd);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_SERVER_H
#define PA_EDGE_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "common/command.h"

/*
 * A command server on a Unix stream socket (common/command.h), on a libuv loop. All calls on the loop's thread.
 * The peer's credentials (SO_PEERCRED) are checked when it connects: a uid that is not root, not ours, not in uids and
 * not a member of gid's group as its primary one is answered with an error and closed. Several requests may be in
 * flight on one connection; each may be answered later and out of order. A client with PA_SERVER_IN_FLIGHT_MAX of them is
 * not read on until some are answered, nor is one that does not read its replies; one that has still too many of them
 * waiting is cut off; one that only stops sending
 * (shutdown, end of a pipe) gets its replies first.
 */
struct pa_server;
struct pa_request;

#define PA_SERVER_ERRLEN 256
#define PA_SERVER_UIDS_MAX 8
#define PA_SERVER_IN_FLIGHT_MAX 256

struct pa_server_config {
	const char *path;      /* a stale socket is replaced; a live one is an error */
	mode_t mode;	       /* of the socket, e.g. 0660 */
	gid_t gid;	       /* group of the socket; (gid_t)-1: unchanged */
	uid_t uids[PA_SERVER_UIDS_MAX];
	size_t n_uids;
	bool any_uid;	       /* let everyone connect; the handler asks pa_request_uid itself */
	unsigned max_clients;  /* further ones are told so and closed, but for root and ourselves: others cannot lock them out */
};

/* Handles one request; must lead to exactly one pa_request_reply, now or later. */
typedef void (*pa_server_handler)(void *ctx, struct pa_request *req);

/*
 * Creates and listens; cfg is copied. The process ignores SIGPIPE from then on, for libuv writes to sockets with write(2).
 * On failure err says what and the remedy: PA_EIO, PA_EEXIST (a live server, or no socket), PA_EINVAL (name empty or too
 * long), PA_ENOMEM; nothing is left behind then, but the loop may have to run once more before it can be closed.
 */
int pa_server_new(uv_loop_t *loop, const struct pa_server_config *cfg, pa_server_handler handler, void *ctx,
		  struct pa_server **ret, char err[PA_SERVER_ERRLEN]);
/*
 * Stops listening, closes every connection, unlinks the socket if it is still ours, and frees itself once libuv has let
 * go. Requests not yet answered stay valid and must still be replied to; their replies go nowhere. NULL is fine. A handler
 * may call it.
 */
void pa_server_close(struct pa_server *server);

/*
 * Takes a connected Unix socket as a client, in every case; peer (copied) is who is at its other end, where that is not told by
 * SO_PEERCRED: the plain side of a TLS connection (edge_tls.h).
 */
void pa_server_adopt(struct pa_server *server, int fd, const char *peer);

const char *pa_request_name(const struct pa_request *req);
/* The name that the client was adopted with, borrowed; NULL: it connected to the socket itself. */
const char *pa_request_peer(const struct pa_request *req);
/* Borrowed until the reply; NULL when the request had none. */
json_t *pa_request_arguments(const struct pa_request *req);
uid_t pa_request_uid(const struct pa_request *req);
pid_t pa_request_pid(const struct pa_request *req);
/*
 * A descriptor (pidfd_open(2)) of the very process that connected, the caller's to close. PA_ENOTSUP: the kernel cannot tell (before
 * Linux 6.5, SO_PEERPIDFD); PA_ENOTFOUND: it has ended, and may be forgotten.
 */
int pa_request_pidfd(const struct pa_request *req);
/* When the client was taken, boot milliseconds (clock.h): it connected before. */
uint64_t pa_request_since_ms(const struct pa_request *req);
/* True if gid is the client's own group or one of its others, when it connected (SO_PEERGROUPS). */
bool pa_request_in_group(const struct pa_request *req, gid_t gid);
/* Sends the reply and frees req. arguments is taken; may be NULL. */
void pa_request_reply(struct pa_request *req, enum pa_result result, const char *text, json_t *arguments);
/* The same with a formatted text and no arguments. */
void pa_request_replyf(struct pa_request *req, enum pa_result result, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_HOOK_LINK_H
#define PA_HOOK_LINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The connection to the broker: requests pipelined on a Unix stream, with a deadline each, and a reconnect that backs off.
 * Nothing here ever blocks. One descriptor (an epoll set of the socket and a timer) becomes readable whenever there is
 * something to do; its owner then calls pa_link_dispatch. Not thread-safe: the caller holds one lock around every call, and
 * the callbacks below run inside pa_link_dispatch, with that lock held; they must not call back into the link.
 */
struct pa_link;

#define PA_LINK_FD_MAX 1024	  /* the descriptor is below this: Kea select()s on it */
#define PA_LINK_BACKOFF_MS 100	  /* first pause before a reconnect, doubling; back to this after a good reply */
#define PA_LINK_BACKOFF_MAX_MS 5000
#define PA_LINK_STALL 8		  /* deadlines missed in a row with no reply at all: the connection is given up */
#define PA_LINK_OUT_MAX 262144	  /* bytes that wait for the broker to read them */

struct pa_link_answer {
	int error; /* 0: the broker replied; PA_EEXPIRED: not before the deadline; PA_EIO: the connection was lost */
	int result; /* enum pa_result and the text, when the broker replied; all borrowed */
	const char *text;
	const json_t *arguments; /* NULL when there are none */
};

enum pa_link_event {
	PA_LINK_NONSENSE,	  /* a reply made no sense; the connection was dropped */
	PA_LINK_LATE,		  /* a reply came after its deadline */
	PA_LINK_RELEASE_SENT,
	PA_LINK_RELEASE_DROPPED,  /* the queue of releases was full */
};

struct pa_link_ops {
	/*
	 * The end of the request that was made with tag; exactly once each. A negative return says that the reply makes
	 * no sense.
	 */
	int (*done)(void *arg, void *tag, const struct pa_link_answer *answer);
	void (*event)(void *arg, enum pa_link_event event); /* also from pa_link_release; for counters */
	void *arg;
};

struct pa_link_options {
	const char *path;	/* of the broker's socket; borrowed for the life of the link; fits sun_path */
	unsigned deadline_ms;
	size_t max_requests;	/* in flight */
	size_t max_releases;	/* queued or not yet answered */
};

/*
 * Makes the descriptor and tries to connect once; a broker that is away is no error. PA_ENOMEM, or PA_EIO when the system
 * has no descriptor below PA_LINK_FD_MAX left (errno tells). The caller frees *ret.
 */
int pa_link_new(const struct pa_link_options *options, const struct pa_link_ops *ops, struct pa_link **ret);
/* Closes everything; done is not called for what is in flight. NULL is fine. */
void pa_link_free(struct pa_link *link);
/* The descriptor to watch for reading. */
int pa_link_fd(const struct pa_link *link);
bool pa_link_is_up(const struct pa_link *link);

/*
 * Sends a command; arguments is taken in every case. 0: done will be called for tag. PA_EIO: the broker is away;
 * PA_EAGAIN: too many in flight, or the broker does not read; PA_ENOMEM.
 */
int pa_link_request(struct pa_link *link, const char *command, json_t *arguments, void *tag);
/*
 * Sends a lease-release, or keeps it until the broker is back; repeated after a lost connection until it is answered. When
 * the queue is full, the oldest is dropped: the broker's own expiry covers for it. arguments is taken in every case.
 */
void pa_link_release(struct pa_link *link, json_t *arguments);
/* Reads, calls done, lets deadlines pass, reconnects. */
void pa_link_dispatch(struct pa_link *link);

#endif

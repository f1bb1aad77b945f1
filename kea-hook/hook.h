/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_HOOK_H
#define PA_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What the hook library decides, behind one header without any Kea type: who gets an option, one request to the broker for
 * each client, how many packets may wait, what the option contains. The shim (shim.cc) translates between this and Kea.
 *
 * Threads: wants, submit and release may be called from any of Kea's threads at once. dispatch, next_done and drain belong
 * to Kea's main thread. new and free stand alone.
 */
struct pa_hook;

#define PA_HOOK_ERROR_LEN 320
#define PA_HOOK_OPTION_MAX 200 /* bytes of an option */

/* Events that the shim counts as Kea statistics. */
enum pa_hook_stat {
	PA_HOOK_REQUESTS,	 /* sent to the broker */
	PA_HOOK_GRANTED,	 /* packets that leave with the option */
	PA_HOOK_REFUSED,	 /* packets for which the broker said no */
	PA_HOOK_TIMEOUT,	 /* packets whose deadline passed */
	PA_HOOK_BROKER_DOWN,	 /* packets that the broker was away for, or that a lost connection was carrying */
	PA_HOOK_PARKED_LIMIT,	 /* packets beyond max-parked */
	PA_HOOK_COALESCED,	 /* packets that joined a request under way */
	PA_HOOK_LATE,		 /* replies after the deadline */
	PA_HOOK_NONSENSE,	 /* replies that made no sense */
	PA_HOOK_RELEASES,	 /* releases sent */
	PA_HOOK_RELEASES_DROPPED, /* releases given up */
	PA_HOOK_INFORMS,	 /* INFORMs that made a request */
	PA_HOOK_INFORM_ANSWERS,	 /* their repetitions that were answered with the option */
	PA_HOOK_INFORM_FOREIGN,	 /* INFORMs of who has no such lease */
	PA_HOOK_INFORM_LIMIT,	 /* INFORMs beyond what is remembered or asked at once */
	PA_HOOK_N_STATS,
};

/* "pubaddr-granted" and so on; static. */
const char *pa_hook_stat_name(enum pa_hook_stat stat);

struct pa_hook_ops {
	/* Counts; from any thread, must not call back into the hook. */
	void (*count)(void *arg, enum pa_hook_stat stat);
	void *arg;
};

/* A lease as Kea has it. Buffers are borrowed for the call. */
struct pa_hook_lease {
	uint32_t subnet_id;
	uint32_t address;	 /* host byte order */
	uint32_t valid_lifetime; /* seconds, as the ACK says it; not used for a release */
	const uint8_t *client_id; /* of option 61; NULL when there is none, then the hardware address counts */
	size_t client_id_len;
	const uint8_t *hw_address;
	size_t hw_address_len;
};

/* A DHCPREQUEST. Buffers are borrowed for the call. */
struct pa_hook_query {
	uint32_t xid;
	const uint8_t *requested; /* option 55; NULL when there is none */
	size_t requested_len;
	bool has_option;	/* the client sent our option */
	const uint8_t *option;	/* what it contains: a public key, if it is of that length */
	size_t option_len;
	const char *const *classes; /* NUL-terminated names */
	size_t n_classes;
};

/* Where a DHCPINFORM came from. Buffers are borrowed for the call; NULL: it has none, or Kea does not know. */
struct pa_hook_sender {
	const uint8_t *hw_address; /* chaddr */
	size_t hw_address_len;
	const uint8_t *client_id; /* of option 61 */
	size_t client_id_len;
	const uint8_t *frame; /* source of the frame that brought it */
	size_t frame_len;
	uint32_t source; /* of the IP packet, host byte order */
	bool relayed;	 /* by a relay agent: source and frame are that one's */
};

/* How the wait of one packet ended. */
struct pa_hook_done {
	void *packet;  /* as given to pa_hook_submit */
	size_t len;    /* of the option to add; 0: the ACK leaves without */
	uint8_t option[PA_HOOK_OPTION_MAX]; /* contains a secret: overwrite when done */
};

/*
 * Reads the parameters (JSON text of len bytes) and makes the link to the broker, who need not be there. On failure
 * returns PA_EFORMAT (a parameter is wrong), PA_EIO or PA_ENOMEM with a message in err. The caller frees *ret.
 */
int pa_hook_new(const char *params, size_t len, const struct pa_hook_ops *ops, struct pa_hook **ret,
		char err[PA_HOOK_ERROR_LEN]);
/* The caller has drained it before. NULL is fine. */
void pa_hook_free(struct pa_hook *hook);

/* The descriptor, below 1024, that is readable when pa_hook_dispatch has something to do. */
int pa_hook_fd(const struct pa_hook *hook);
uint8_t pa_hook_option_code(const struct pa_hook *hook);
/* One line about the parameters, for the log; borrowed. */
const char *pa_hook_summary(const struct pa_hook *hook);

/* True if this client, with a lease in this subnet, is to get an option. */
bool pa_hook_wants(const struct pa_hook *hook, uint32_t subnet_id, const struct pa_hook_query *query);

/*
 * Asks the broker. 0: the packet waits, and comes back once from pa_hook_next_done or pa_hook_drain. Otherwise it must not
 * wait and the ACK leaves without the option: PA_EIO (the broker is away), PA_EEXHAUSTED (max-parked packets wait already),
 * PA_EINVAL (neither client-id nor hardware address), PA_EAGAIN, PA_ENOMEM. A packet like one that waits already (same
 * client, lease and key) shares its request.
 */
int pa_hook_submit(struct pa_hook *hook, const struct pa_hook_lease *lease, const struct pa_hook_query *query,
		   void *packet);
/*
 * DHCPINFORM (kea-hook/inform.h). informs: true if the client asks for the option, or sends it; asking for nothing is nothing here,
 * whatever the mode. inform: lease is the one of the INFORM's client address, valid_lifetime what is left of it; NULL: there is none. Makes a request for its
 * holder, or returns the length of the option that this answer is to have (wipe it when done); 0: none.
 */
bool pa_hook_informs(const struct pa_hook *hook, const struct pa_hook_query *query);
size_t pa_hook_inform(struct pa_hook *hook, const struct pa_hook_lease *lease, const struct pa_hook_sender *from,
		      const struct pa_hook_query *query, uint8_t option[PA_HOOK_OPTION_MAX]);
/* Why who sent the INFORM is not the lease's holder, static; NULL: it is, as far as can be told. Pure. */
const char *pa_hook_foreign(const struct pa_hook_lease *lease, const struct pa_hook_sender *from);

/* Tells the broker that a lease has ended; never waits. */
void pa_hook_release(struct pa_hook *hook, const struct pa_hook_lease *lease);

/* Does what the descriptor announced. Then call next_done until it returns false; *ret is untouched then. */
void pa_hook_dispatch(struct pa_hook *hook);
bool pa_hook_next_done(struct pa_hook *hook, struct pa_hook_done *ret);
/* Gives back, one a call, every packet that still waits, and NULL at the end. No new submit may come meanwhile. */
void *pa_hook_drain(struct pa_hook *hook);

/* The state for the command pubaddr-status, a JSON object as malloc'd text; NULL without memory. */
char *pa_hook_status(struct pa_hook *hook);

#ifdef __cplusplus
}
#endif

#endif

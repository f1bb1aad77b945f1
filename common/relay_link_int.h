/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_LINK_INT_H
#define PA_RELAY_LINK_INT_H

#include "common/relay_link.h"
#include "common/relay_ring.h"

/* Inside of relay_link.c, relay_out.c and relay_table.c only. */

#define PA_RLINK_KEEP 16384u	   /* room in the ring that data leaves to what keeps sessions going */
#define PA_RLINK_ACK_BYTES 262144u /* acknowledged at once when so many have arrived */
#define PA_RLINK_UNSENT_MAX                                                                                            \
	262144u /* bytes that wait to be sent: however large windows are, what others say next is not far behind */
#define PA_RLINK_STEADY 4u /* windows that a reader has to take before it gets a larger one */
#define PA_RLINK_FAST 2u   /* ticks in which one that never has nothing before it takes as many */
#define PA_RLINK_DATAGRAMS_MAX                                                                                         \
	262144u /* bytes that may wait before a datagram: it is no use to anybody late, and others wait behind it */
#define PA_RLINK_LATE_MAX                                                                                              \
	(4u << 20) /* bytes of frames that wait for room: several for each session of an honest client */
#define PA_RLINK_EXPRESS_MAX 262144u /* bytes of uncounted frames that may wait, */
#define PA_RLINK_TUNNEL_MAX 131072u  /* and when so many do, no more of the tunnel's */
#define PA_RLINK_EXPRESS_TURN 16384u /* after so many of them the ring has a frame, which is as long */

struct pa_rsession {
	struct pa_rsession *next_hash;
	struct pa_rsession *prev_blocked, *next_blocked; /* waiting to be told that it may write */
	struct pa_rlink *link;
	void *user;
	uint32_t id;
	uint32_t credit;  /* bytes that we may send */
	uint32_t may_get; /* bytes that the other side may send */
	uint32_t unread;  /* bytes given by the data op and not consumed */
	uint32_t window;  /* bytes that may_get and unread make up when all is given out */
	uint32_t taken;	  /* bytes consumed since the link's tick number since */
	uint32_t since;
	uint32_t behind;  /* bytes consumed since nothing waited */
	bool slow;	  /* the reader does not keep up */
	bool name;	  /* a RESOLVE */
	bool open;	  /* the result was good */
	bool over;	  /* the result was not, or it is a name that was answered: no frame of it will come */
	bool fin_sent, fin_got;
	bool blocked; /* in the list of those that wait for room in the ring */
	bool starved; /* waits for credit of its own */
};

/* Sessions by number: a hash with chains that doubles. */
struct pa_rtable {
	struct pa_rsession **slots;
	unsigned n_slots; /* a power of two */
	unsigned n;
};

int pa_rtable_init(struct pa_rtable *t);
/* Frees the sessions too. */
void pa_rtable_fini(struct pa_rtable *t);
void pa_rtable_add(struct pa_rtable *t, struct pa_rsession *s);
void pa_rtable_remove(struct pa_rtable *t, struct pa_rsession *s);
void pa_rtable_renumber(struct pa_rtable *t, struct pa_rsession *s, uint32_t id);
struct pa_rsession *pa_rtable_find(const struct pa_rtable *t, uint32_t id);

struct pa_rlate; /* a counted frame that waits for room in the ring */

struct pa_rlink {
	struct pa_rlink_config cfg;
	const struct pa_rlink_ops *ops;
	void *ctx;
	struct pa_rtable table;
	size_t grown;	  /* bytes that windows are larger than cfg.window, in all */
	uint32_t ticks;
	uint32_t next_id; /* ours */
	uint32_t highest; /* the other side's */
	struct pa_rring ring;
	struct pa_rlate *late, *late_last;
	size_t late_bytes;
	struct pa_rsession *blocked, *blocked_last;
	struct {
		uint8_t *buf;
		size_t cap, sent, end;
		size_t turn; /* of these bytes so many go before the ring has a frame */
	} express;
	bool ring_turn; /* a frame of the ring was begun, or is due after an express turn */
	uint64_t received, told;
	const uint8_t *ahead; /* inside of input: behind the frame that is handled */
	size_t ahead_len;
	bool connected;
	bool failed; /* memory ran out while something was queued */
	bool awake;  /* the output op was called */
	uint8_t scratch[PA_RELAY_BODY_MAX];
};

/* Queues a counted frame, in the ring or behind those that wait for it. */
void pa_rlink_put(struct pa_rlink *l, uint8_t type, uint32_t session, const uint8_t *body, size_t len);
/* Queues an uncounted frame; false: too much waits, or no memory. */
bool pa_rlink_put_express(struct pa_rlink *l, uint8_t type, const uint8_t *body, size_t len);
void pa_rlink_late_free(struct pa_rlink *l);
/* The ring has room again. */
void pa_rlink_ring_freed(struct pa_rlink *l);
/* There is something to send: tells the edge once. */
void pa_rlink_wake(struct pa_rlink *l);
/* s wants to know when it may write. */
void pa_rlink_block(struct pa_rsession *s);
void pa_rlink_unblock(struct pa_rsession *s);
/* Lets those that wait for room try again. */
void pa_rlink_unblock_all(struct pa_rlink *l);

#endif

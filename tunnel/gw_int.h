/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GW_INT_H
#define PA_GW_INT_H

#include "common/msg.h"
#include "tunnel/gw.h"
#include "tunnel/gw_table.h"
#include "tunnel/limit.h"
#include "tunnel/slab.h"

/* What the files of the gateway's core (gw*.c) share; nobody else includes it. */
#define PA_GW_PROBERS_MAX 64  /* clients that look at their path at the same time */
#define PA_GW_PENDING_MAX 256 /* second answers, in all, and of one client, as many as one run of its probes may want */
#define PA_GW_PENDING_EACH 10 /* eight, and one or two for the keepalive interval that it learns meanwhile */

/* A client that sends PROBEs. Not in its entry, for few do it, and for a few seconds. */
struct pa_gw_prober {
	uint8_t session[PA_SESSION_LEN];
	uint64_t used_ms; /* boot time of the last one; 0: free */
	uint64_t seq;	  /* highest seen; its own, for PROBEs come from several sockets and out of order with keepalives */
	uint64_t tat;	  /* see limit.h */
};

/* A second answer that an authentic PROBE has asked for. */
struct pa_gw_pending {
	uint64_t due_ms; /* boot time; 0: free */
	uint8_t session[PA_SESSION_LEN];
	struct pa_endpoint to; /* where the PROBE came from */
	unsigned local;
	uint64_t seq, echo;
	uint16_t length;
};

/* Telling the bound clients to move (gw_drain.c). */
struct pa_gw_drain {
	bool on;
	uint32_t at;	   /* where the walk through the table is */
	uint64_t next_ms;  /* boot time */
	uint64_t pause_ms; /* before the next round */
};

struct pa_gw {
	const struct pa_gw_ops *ops;
	void *ctx;
	const struct pa_keyring *keys;
	const uint8_t *secret_key; /* X25519, inside keys */
	uint8_t public_key[PA_KEY_LEN];
	struct pa_gw_pool *pools;
	size_t n_pools;
	uint16_t mtu, keepalive;
	struct pa_gw_table *table;
	struct pa_slab contests; /* struct pa_gw_contest */
	uint8_t token_key[PA_GW_HASH_KEY_LEN];
	size_t n_bound;
	uint8_t cookie_key[2][PA_KEY_LEN]; /* current, previous */
	uint64_t cookie_rotated_ms;
	struct pa_limit rechallenge_limit, hint_limit, probe_limit;
	struct pa_limit path_limit, mtu_limit; /* by session */
	struct pa_limit handshake_limit; /* its unit is the microsecond */
	bool limits_handshakes;
	struct pa_gw_socket sockets[PA_GW_SOCKETS_MAX];
	size_t n_sockets;
	struct pa_gw_prober probers[PA_GW_PROBERS_MAX];
	struct pa_gw_pending pending[PA_GW_PENDING_MAX];
	struct pa_gw_counters count;
	struct pa_gw_drain drain;
	enum pa_gw_refusal refusal; /* of the message that is being received */
	const struct pa_floors *floors; /* borrowed; NULL: every grant that verifies is good */
};

/* Sets when e needs attention next: silence while delivering, expiry of the grant, the end of what must be remembered. */
void pa_gw_schedule(struct pa_gw *gw, struct pa_gw_entry *e, struct pa_now now);
/* True if a pool of ours holds the claims' address and there is a key for it. */
bool pa_gw_serves(const struct pa_gw *gw, const struct pa_claims *c);
/* Puts e into the list of changes (harmless a second time). */
void pa_gw_changed(struct pa_gw *gw, struct pa_gw_entry *e);

/* gw_entry.c: the claims of an entry, as in struct pa_gw_binding; set keeps the latest expiry of all, which was floor_until. */
void pa_gw_claims_of(const struct pa_gw_entry *e, struct pa_claims *ret);
void pa_gw_set_claims(struct pa_gw_entry *e, const struct pa_claims *c, uint64_t floor_until);
uint64_t pa_gw_floor_until(const struct pa_gw_entry *e); /* Unix seconds */
void pa_gw_set_seen(struct pa_gw_entry *e, uint64_t boot_ms);
/* The binding as others may see it. */
void pa_gw_view(const struct pa_gw *gw, const struct pa_gw_entry *e, struct pa_gw_binding *ret);
/* The latest token of e (age 0) or the one before (1; only once there was one). has compares in constant time. */
void pa_gw_token(const struct pa_gw *gw, const struct pa_gw_entry *e, unsigned age, uint8_t ret[PA_TOKEN_LEN]);
bool pa_gw_has_token(const struct pa_gw *gw, const struct pa_gw_entry *e, unsigned age, const uint8_t token[PA_TOKEN_LEN]);
/* What is kept after a move, or NULL. make: makes it (zeroed) if it is not there; NULL without memory. */
struct pa_gw_contest *pa_gw_contest_of(const struct pa_gw *gw, const struct pa_gw_entry *e);
struct pa_gw_contest *pa_gw_contest_make(struct pa_gw *gw, struct pa_gw_entry *e);
void pa_gw_contest_drop(struct pa_gw *gw, struct pa_gw_entry *e);
/* Boot time (ms) from which on it is of no use any more; UINT64_MAX: there is none. */
uint64_t pa_gw_contest_end(const struct pa_gw *gw, const struct pa_gw_entry *e);

/* The bound entry of a session message, if it is authentic and the grant has not expired. Counts why not. */
struct pa_gw_entry *pa_gw_authentic(struct pa_gw *gw, struct pa_now now, const uint8_t *buf, size_t len,
				    const struct pa_msg *m);
/*
 * As pa_limit_source, of who sends to socket local. Whom the relay server beside us sends for (pubaddr-relayd: from an address of
 * this host, which nothing that comes from outside can have) is a source of his own, known by the port.
 */
bool pa_gw_limit(const struct pa_gw *gw, struct pa_limit *l, uint64_t now, unsigned local, const struct pa_endpoint *from);
/* gw_path.c. May a PROBE from where the client of e is known to be be answered? Counts why not. */
bool pa_gw_path_admits(struct pa_gw *gw, struct pa_now now, const struct pa_gw_entry *e);
/* The client of e says by a fresh KEEPALIVE how large packets may be; 0: it does not say. True if that is news, which is then in e. */
bool pa_gw_path_told(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e, uint16_t mtu);

/* A PROBE came: changes nothing of the binding. tick sends second answers; both as their namesakes in gw.h. */
void pa_gw_probe(struct pa_gw *gw, struct pa_now now, unsigned local, const struct pa_endpoint *from, const uint8_t *buf,
		 const struct pa_msg *m);
uint64_t pa_gw_probe_tick(struct pa_gw *gw, struct pa_now now);

/* Tells the client of a bound entry. */
void pa_gw_send_unbound(struct pa_gw *gw, const struct pa_gw_entry *e, enum pa_reason reason);
/* Ends a bound entry. tell: the client gets UNBOUND. The floor (claims.epoch, bind) and the pin stay. */
void pa_gw_end_binding(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e, enum pa_reason reason, bool tell);
/*
 * Moving to another gateway (gw_drain.c). drain_tick tells clients, and returns when it wants to be called again. may_bind: may a
 * client with this key's fingerprint bind, e being what is known of its P, or NULL? refuse_drained answers a genuine CONFIRM that may not.
 */
uint64_t pa_gw_drain_tick(struct pa_gw *gw, struct pa_now now);
bool pa_gw_may_bind(const struct pa_gw *gw, const struct pa_gw_entry *e, const uint8_t pin[PA_FINGERPRINT_LEN]);
void pa_gw_refuse_drained(struct pa_gw *gw, unsigned local, const struct pa_endpoint *to, uint64_t bind,
			  const uint8_t g2c[PA_KEY_LEN]);
/*
 * The client of a bound entry is bound elsewhere: its packets are carried for a while. While e->moved is set its contest has the
 * times, until_ms when that ends, quiet_until_ms when P is no more announced, 0: done. leave_due is the boot time of the next of these.
 */
void pa_gw_leave(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e);
uint64_t pa_gw_leave_due(const struct pa_gw *gw, const struct pa_gw_entry *e);
void pa_gw_leave_review(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e);
/* Another gateway has a binding of this epoch: is it sure to be the same client, one that was asked to move? */
bool pa_gw_is_move(const struct pa_gw *gw, const struct pa_gw_entry *e, uint64_t epoch);

/* May a grant with these claims, which are genuine, bind, seen from the broker's floors? Counts what may not. */
bool pa_gw_admits(struct pa_gw *gw, const struct pa_claims *c);

#endif

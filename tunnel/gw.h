/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GW_H
#define PA_GW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/addr.h"
#include "common/clock.h"
#include "common/grant.h"
#include "common/keyfile.h"
#include "common/proto.h"
#include "tunnel/floors.h"

/*
 * The gateway's side of the control protocol (pubaddr-protocol(7)): verifies grants by arithmetic, keeps the binding
 * table, decides where what arrives for P is sent. Pure: no I/O, no clock; what is to be done is handed to ops, which
 * must not call back into the gateway. Memory is allocated for a binding only after a valid CONFIRM. One thread.
 */
struct pa_gw;
struct pa_gw_record; /* gw_state.h */

/* What became of a control message. The reasons are named where the operator can do something about them. */
enum pa_gw_refusal {
	PA_GW_NOT_REFUSED,	/* it proved to be genuine, and was handled */
	PA_GW_REFUSED_SILENTLY, /* as only strangers, lost packets and replays are */
	PA_GW_REFUSED_POOL,
	PA_GW_REFUSED_PROOF,
	PA_GW_REFUSED_EXPIRED,
	PA_GW_REFUSED_KEY,
	PA_GW_REFUSED_FULL,
	PA_GW_REFUSALS
};

/* A binding as others may see it. A value type without secrets. */
struct pa_gw_binding {
	struct pa_claims claims; /* but for outbound and inbound, which are the client's business: zero */
	struct pa_endpoint mapped;
	unsigned local; /* which of the gateway's sockets the client talks to */
	uint8_t session[PA_SESSION_LEN];
	uint64_t bind;
	uint64_t bound_at_ms;	  /* boot time */
	uint64_t last_seen_ms;	  /* boot time of the last authentic message */
	uint16_t mtu;		  /* inner: of packets to the client; never more than pa_gw_config.mtu */
	bool delivering;	  /* false: P's packets are held back, no keepalive for 2.5 intervals */
	bool moved; /* the client is bound at another gateway; what still comes is carried for a moment (gw_drain.c) */
};

/* None of these may call back into the gateway. Pointers are valid during the call. */
struct pa_gw_ops {
	/* Sends a UDP payload from socket number local. */
	void (*send)(void *ctx, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
	/* From now on P goes to b->mapped by b->local, and only what comes from there is taken for P's. Replaces. */
	void (*deliver)(void *ctx, const struct pa_gw_binding *b);
	/* The client is bound at another gateway: P is no more announced here; what still comes is carried until stop. May be NULL. */
	void (*withdraw)(void *ctx, const struct pa_addr *addr);
	/* From now on nothing goes to or comes from P. */
	void (*stop)(void *ctx, const struct pa_addr *addr);
	/*
	 * Logs and reports; event is static: "binding.new", "binding.renewed" (the same client again), "binding.replaced" (b
	 * is the old one), "binding.moved", "binding.contested", "binding.silent" (no keepalives, not delivering),
	 * "binding.resumed", "binding.mtu" (b->mtu is another one), "binding.adopted" (from a former process), "binding.moved-away"
	 * (bound at another gateway), "binding.end" (reason: enum pa_reason; 0 otherwise).
	 */
	void (*event)(void *ctx, const char *event, const struct pa_gw_binding *b, unsigned reason);
	void (*random)(void *ctx, uint8_t *dst, size_t len);
};

struct pa_gw_pool {
	uint16_t id;
	struct pa_prefix prefix;
};

/*
 * A socket of the gateway, by the number that messages come and go with. Those from PA_GW_PROBE_LOCAL on are for PROBE
 * alone: other messages that come there are dropped.
 */
struct pa_gw_socket {
	struct pa_endpoint at;
	unsigned local;
};

#define PA_GW_PROBE_LOCAL 256
#define PA_GW_SOCKETS_MAX 12
#define PA_GW_HANDSHAKES_MAX 1000000

struct pa_gw_config {
	const struct pa_keyring *keys; /* pool keys and one gateway key; borrowed until pa_gw_set_keys or pa_gw_free */
	const struct pa_gw_pool *pools; /* copied */
	size_t n_pools;
	uint16_t mtu;	    /* inner, told to clients: PA_MTU_MIN .. 65535 */
	uint16_t keepalive; /* seconds, PA_KEEPALIVE_MIN .. PA_KEEPALIVE_MAX */
	size_t max_bindings; /* addresses known at once: bound, or bound before by a grant that has not expired */
	const struct pa_gw_socket *sockets; /* copied; may be left out: no PROBE is answered from another one then */
	size_t n_sockets;		    /* up to PA_GW_SOCKETS_MAX */
	uint32_t handshakes; /* HELLO and CONFIRM that are looked at, of each source prefix, a second; 0: any number */
};

/* Everything that was refused is counted; nothing that a packet causes is fatal. */
struct pa_gw_counters {
	uint64_t hello, confirm, accept, keepalive, rebind, contested, probe; /* valid and done */
	uint64_t repeated_confirm;   /* identical CONFIRM, ACCEPT repeated */
	uint64_t malformed;	     /* not decodable */
	uint64_t bad_mac, bad_cookie;
	uint64_t bad_key;	     /* client key is not the one of fingerprint or pin, or X25519 gives zero */
	uint64_t unknown_pool;	     /* no pool key for (key id, pool id), or P outside the pool's prefix */
	uint64_t expired, replayed;  /* grant expired; (epoch, bind), sequence or token not fresh */
	uint64_t unknown_session;
	uint64_t limited;	     /* answers not sent because of a rate limit */
	uint64_t full;		     /* max_bindings reached */
	uint64_t revoked;	     /* genuine grants below the broker's floor */
	uint64_t unsynced;	     /* genuine grants that came before the first sync with the broker */
	uint64_t timed_out;	     /* delivery stopped for want of keepalives */
	uint64_t adopted;	     /* bindings of a former process */
	uint64_t drained;	     /* genuine clients sent to another gateway, for this one is being emptied */
	uint64_t moved;		     /* bindings whose client said that it is bound at another gateway */
};

/* PA_EINVAL without a gateway key or pools, or with a value outside its range; PA_ENOMEM. ops: static. */
int pa_gw_new(const struct pa_gw_config *cfg, const struct pa_gw_ops *ops, void *ctx, struct pa_gw **ret);
/* Wipes and frees; sends nothing. NULL is fine. */
void pa_gw_free(struct pa_gw *gw);
/* Other keys from now on, borrowed; bindings stay. PA_EINVAL without a gateway key: the old ones stay in use. */
int pa_gw_set_keys(struct pa_gw *gw, const struct pa_keyring *keys);

/*
 * From now on only grants at or above the floors bind, and none before the floors are synced. Borrowed until free, and may
 * be raised at any time; NULL, as at the start: every genuine grant may bind.
 */
void pa_gw_set_floors(struct pa_gw *gw, const struct pa_floors *floors);
/* The floor of addr was raised: ends a binding that is below it. */
void pa_gw_floor_raised(struct pa_gw *gw, struct pa_now now, const struct pa_addr *addr);
/* Another gateway has a binding with this epoch and bind: ends a lower one here, and lets no lower one come any more. */
void pa_gw_superseded(struct pa_gw *gw, struct pa_now now, const struct pa_addr *addr, uint64_t epoch, uint64_t bind);

/*
 * May the relay server beside this gateway serve the grant of addr with this epoch and client key? It has verified the grant. NULL:
 * yes. "again": not before the floors are synced; "replaced": a later lease, or another client's. Static.
 */
const char *pa_gw_may_relay(struct pa_gw *gw, const struct pa_addr *addr, uint64_t epoch,
			    const uint8_t fingerprint[PA_FINGERPRINT_LEN]);

/*
 * Begins to empty the gateway, or ends it: the bound clients are told, again and again, to bind at another gateway of their grants,
 * and are served until they have; others are refused and told the same. Those without another one stay, and may renew.
 */
void pa_gw_drain(struct pa_gw *gw, struct pa_now now, bool on);
bool pa_gw_drained(const struct pa_gw *gw);

/* A control message arrived at socket local from an outer address. */
enum pa_gw_refusal pa_gw_receive(struct pa_gw *gw, struct pa_now now, unsigned local, const struct pa_endpoint *from,
				 const uint8_t *buf, size_t len);
/*
 * These n messages are the next that pa_gw_receive gets: fetches from memory what is known of their sessions, all at once. Changes
 * nothing, and believes nothing; a hint, of which only the first 64 count.
 */
void pa_gw_soon(const struct pa_gw *gw, const struct iovec *msgs, unsigned n);
/* Data (len: UDP payload) with inner source inner arrived from an outer address that is not the binding's. */
void pa_gw_foreign(struct pa_gw *gw, struct pa_now now, unsigned local, const struct pa_endpoint *from,
		   const struct pa_addr *inner, size_t len);
/* Timers. Returns the boot time (ms) at which to call again at the latest; ask again after each receive (it is cheap). */
uint64_t pa_gw_tick(struct pa_gw *gw, struct pa_now now);
/* Ends the binding of addr, telling the client. PA_ENOTFOUND. */
int pa_gw_end(struct pa_gw *gw, struct pa_now now, const struct pa_addr *addr, enum pa_reason reason);
/* Tells every client UNBOUND(shutdown) and ends all bindings; what must be remembered of them stays for pa_gw_take_changed. */
void pa_gw_shutdown(struct pa_gw *gw, struct pa_now now);

/*
 * What outlives the process. Each entry whose record has changed is in a list; take_changed takes one out of it, in no order,
 * and writes its record (which holds keys: wipe it); false when there is none. walk_records gives the records of all, for a new
 * copy, as pa_gw_walk does; known tells how many that are: bindings and what is remembered of former ones. Keepalives change
 * nothing here.
 */
bool pa_gw_take_changed(struct pa_gw *gw, struct pa_now now, struct pa_gw_record *ret);
bool pa_gw_walk_records(const struct pa_gw *gw, struct pa_now now, uint32_t *at, struct pa_gw_record *ret);
bool pa_gw_has_changes(const struct pa_gw *gw);
size_t pa_gw_known(const struct pa_gw *gw);
/*
 * Takes over the entry of a former process, before the first message, in the order in which the records were taken: a
 * later one of the same address replaces an earlier one. The client of an adopted binding gets its packets at once, but its
 * first control message is answered by RECHALLENGE wherever it comes from, so that no replay from before can do anything.
 * PA_EEXPIRED: nothing to remember any more; PA_ENOTFOUND: no pool or key for it; PA_EFORMAT; PA_ENOMEM: max_bindings.
 */
int pa_gw_adopt(struct pa_gw *gw, struct pa_now now, const struct pa_gw_record *r);
/* After the last record: delivers. alive_unix_ms: when the former process was last alive. Returns the number of bindings. */
size_t pa_gw_adopted(struct pa_gw *gw, struct pa_now now, uint64_t alive_unix_ms);

/*
 * A walk through all bindings, in no order and in pieces: *at begins as 0 and is nobody's business in between; false: it is over.
 * Bindings that are there all the time are given exactly once, whatever comes and goes meanwhile.
 */
bool pa_gw_walk(const struct pa_gw *gw, uint32_t *at, struct pa_gw_binding *ret);
/* Calls fn for each binding in no order until it returns false. fn must not change the gateway. */
void pa_gw_each(const struct pa_gw *gw, bool (*fn)(void *arg, const struct pa_gw_binding *b), void *arg);
/* PA_ENOTFOUND. */
int pa_gw_find(const struct pa_gw *gw, const struct pa_addr *addr, struct pa_gw_binding *ret);
/* Bindings, delivering or not. */
size_t pa_gw_count(const struct pa_gw *gw);
void pa_gw_counters_get(const struct pa_gw *gw, struct pa_gw_counters *ret);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_LEASE_H
#define PA_BROKER_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/brokerconf.h"
#include "broker/ident.h"
#include "common/addr.h"
#include "common/proto.h"

/*
 * The lease table: which public address belongs to which client, and until when. There is one row for each address that
 * was ever handed out; it holds the running lease or the last one. Pure: `now` is Unix time in milliseconds, given by the
 * caller; nothing is written, but every row that changed is remembered until the caller has stored it (pa_lease_changes).
 * One thread at a time.
 *
 * The rules (pubaddr-protocol(7), LEASES):
 *  - a client has at most one active lease in its realm, whatever subnet it asks from;
 *  - the same transaction again within PA_LEASE_REPEAT_S, and a third of the lease, gets the very same lease;
 *  - a renewal keeps address and epoch, and its expiry never becomes earlier;
 *  - every new lease, also of the same client, gets the epoch max(last + 1, now);
 *  - a client gets its former address back for as long as nobody else has it, even while it rests;
 *  - others get an address that was used only after the quarantine, and when every gateway has acknowledged that its last
 *    lease was revoked, or PA_EXPIRY_MARGIN past the highest expiry ever issued for it; addresses never used come first,
 *    then the one unused for the longest time;
 *  - a reserved address goes to its client only, whatever pool serves it; the client moves there with its next request once
 *    the address has no other holder and has rested.
 */
#define PA_LEASE_REPEAT_S 30

/* RECLAIMED: no gateway ever reported a binding of it. */
enum pa_lease_state { PA_LEASE_ACTIVE = 0, PA_LEASE_RELEASED = 1, PA_LEASE_EXPIRED = 2, PA_LEASE_RECLAIMED = 3 };

/* A row. Times are Unix seconds. ident is borrowed from the table, or belongs to whoever made the row for _load. */
struct pa_lease {
	struct pa_addr addr;	  /* P */
	struct pa_addr dhcp_addr; /* the client's address on its LAN */
	struct pa_ident *ident;
	uint64_t serial;  /* rises with every new lease in this broker; tells which row of a client is its latest */
	uint64_t epoch;
	uint64_t granted; /* the last grant or renewal */
	uint64_t expires;
	uint64_t highest; /* the highest expiry ever issued for addr, to whomever */
	uint64_t ended;	  /* 0 while active */
	uint64_t revoked; /* number of its latest revocation (revoke.h); 0: there was none, or none that gateways know */
	uint32_t lifetime; /* seconds that the last grant was given for: the DHCP lifetime + PA_GRANT_GRACE */
	uint32_t subnet_id;
	uint32_t xid; /* DHCP transaction of the last grant, if has_xid */
	uint16_t pool_id;
	bool has_xid;
	bool bound; /* a gateway reported a binding of this epoch */
	enum pa_lease_state state;
	uint8_t fingerprint[PA_FINGERPRINT_LEN]; /* of the client's key; zero: none */
};

struct pa_lease_request {
	struct pa_ident *ident;
	const char *const *classes;
	size_t n_classes;
	struct pa_addr dhcp_addr;
	uint32_t subnet_id;
	uint32_t valid_lifetime; /* seconds of the DHCP lease */
	uint32_t xid;
	bool has_xid; /* false: cannot be told from a renewal, so nothing is repeated */
	uint8_t fingerprint[PA_FINGERPRINT_LEN];
};

enum pa_lease_outcome { PA_LEASE_NEW = 0, PA_LEASE_RENEWED = 1, PA_LEASE_REPEATED = 2 };

/* The name of a lease, for its release. */
struct pa_lease_name {
	const struct pa_ident *ident;
	struct pa_addr dhcp_addr;
	uint32_t subnet_id;
	uint64_t epoch; /* 0: whichever it has */
};

struct pa_pool_stats {
	uint64_t total;	  /* addresses that are not excluded */
	uint64_t active;
	uint64_t resting; /* for their last clients only */
	uint64_t reserved; /* for the clients they are reserved for; those that are active are not among them */
	uint64_t free;	  /* for anybody: never used, or rested */
};

/*
 * A pool whose leases were lost, for its store was replaced by an older one (pubaddrctl(8), RESTORING A BACKUP). What was
 * leased since then is not known, so until a time an address goes only to whom the older store has it leased to, if no
 * gateway knows better; and no epoch up to base is given again.
 */
struct pa_recovery {
	uint16_t pool_id;
	uint64_t since; /* Unix ms at which the recovery began; tells it from others */
	uint64_t base;	/* the highest epoch that may have been given before */
	uint64_t until; /* Unix seconds */
};

struct pa_lease_table;

/* An empty table; conf is borrowed until the next pa_lease_configure or free. seed: 16 random bytes. NULL without memory. */
struct pa_lease_table *pa_lease_table_new(const struct pa_brokerconf *conf, const uint8_t seed[16]);
void pa_lease_table_free(struct pa_lease_table *t);
/* Goes over to another configuration; leases stay. 0, or PA_ENOMEM with the table as it was. */
int pa_lease_configure(struct pa_lease_table *t, const struct pa_brokerconf *conf);
/* Takes over a stored row, unchanged; keeps its own reference to row->ident. 0, PA_EEXIST (address twice), PA_ENOMEM. */
int pa_lease_load(struct pa_lease_table *t, const struct pa_lease *row);

/*
 * Allocates, renews or repeats: an enum pa_lease_outcome with *ret the row (borrowed until the next change of the table), or
 * PA_EDENIED (no pool serves this client), PA_EEXHAUSTED (every address of its pools is taken or rests), PA_ELIMIT
 * (its subnet has as many as it may), PA_EAGAIN (its pools recover from a lost store), PA_ENOMEM. Errors
 * change nothing.
 */
int pa_lease_allocate(struct pa_lease_table *t, const struct pa_lease_request *req, uint64_t now,
		      const struct pa_lease **ret);
/*
 * Releases the active lease of that name: 0 with *ret the row, or PA_ENOTFOUND (the client has no active lease) or
 * PA_EREPLAY (it has another one by now: what is named was superseded); these change nothing. PA_ENOMEM.
 */
int pa_lease_release(struct pa_lease_table *t, const struct pa_lease_name *name, uint64_t now,
		     const struct pa_lease **ret);
/* Ends at most max leases whose time is up; returns how many. */
size_t pa_lease_expire(struct pa_lease_table *t, uint64_t now, size_t max);
/* When the next active lease expires, Unix seconds; UINT64_MAX: there is none. */
uint64_t pa_lease_next_expiry(const struct pa_lease_table *t);

/*
 * What gateways are told (pubaddr-protocol(7), ONE HOLDER AT A TIME). floor: the least epoch of the row's address that is
 * still good. revoked: up to max rows with revocations numbered above from, in the order of their numbers. head: the highest
 * number.
 */
uint64_t pa_lease_floor(const struct pa_lease *row);
size_t pa_lease_revoked(struct pa_lease_table *t, uint64_t from, const struct pa_lease **ret, size_t max);
uint64_t pa_lease_revoked_head(const struct pa_lease_table *t);
/*
 * The gateway has every revocation up to number on its disk, and counts on no more. What every gateway of the
 * configuration has acknowledged may go to other clients after the quarantine. PA_ENOTFOUND: no such gateway.
 */
int pa_lease_ack(struct pa_lease_table *t, const char *gateway, uint64_t number);
/* What each gateway acknowledged; borrowed until the next configure. Returns how many gateways there are. */
struct pa_ack;
size_t pa_lease_acks(const struct pa_lease_table *t, const struct pa_ack **ret);

/*
 * A gateway has reported a binding of this epoch: 1 if the row was changed, 0 if it knew, or was of another epoch; PA_ENOMEM. unbound:
 * of the leases of pool i that no gateway ever reported the one that was given first, or NULL; pools without gateway names and
 * reserved addresses have none. reclaim ends a lease; PA_ENOMEM.
 */
int pa_lease_bound(struct pa_lease_table *t, const struct pa_addr *addr, uint64_t epoch);
const struct pa_lease *pa_lease_unbound(const struct pa_lease_table *t, size_t i);
int pa_lease_reclaim(struct pa_lease_table *t, const struct pa_lease *row, uint64_t now);

/*
 * Recoveries (lease_recover.c). begin: of pool i, for as long as the longest lease in the table could still run, or a day when
 * there is none; 1, or 0 if one is under way. set: until `seconds` from now, 0 ends it. load takes over a stored one.
 * recovery: of pool i, or NULL if there was none; it is under way while now is before its until. recoveries: all, for the
 * store. told: all gateways of pool i have told what they know. outdated: a gateway knows of an epoch of addr, or of
 * epochs below `epoch` that ended: the row's lease ends if it is of a lower one. PA_ENOMEM.
 */
int pa_lease_recovery_begin(struct pa_lease_table *t, size_t i, uint64_t now);
int pa_lease_recovery_set(struct pa_lease_table *t, size_t i, uint64_t now, uint32_t seconds);
int pa_lease_recovery_load(struct pa_lease_table *t, const struct pa_recovery *recovery);
const struct pa_recovery *pa_lease_recovery(const struct pa_lease_table *t, size_t i);
size_t pa_lease_recoveries(const struct pa_lease_table *t, const struct pa_recovery **ret);
void pa_lease_recovery_told(struct pa_lease_table *t, size_t i, bool told);
int pa_lease_outdated(struct pa_lease_table *t, const struct pa_addr *addr, uint64_t epoch, uint64_t now);
/* A revocation number that this table's log never had: it is of a log that is lost (revoke.h). */
bool pa_lease_is_strange(const struct pa_lease_table *t, uint64_t number);

/* Lookups; borrowed until the next change, or NULL. by_ident gives a client's latest row, active or not. */
const struct pa_lease *pa_lease_by_addr(const struct pa_lease_table *t, const struct pa_addr *addr);
const struct pa_lease *pa_lease_by_ident(const struct pa_lease_table *t, const struct pa_ident *ident);
/* Up to max rows in the order of their addresses, all above `after` (NULL: from the first). Returns how many. */
size_t pa_lease_page(struct pa_lease_table *t, const struct pa_addr *after, const struct pa_lease **ret, size_t max);
size_t pa_lease_count(const struct pa_lease_table *t);
/* i: index of the pool in the configuration. */
struct pa_pool_stats pa_lease_pool_stats(struct pa_lease_table *t, size_t i, uint64_t now);

/* What the subnets have (subnet.h); borrowed until the next change. Returns how many. */
struct pa_subnet;
size_t pa_lease_subnets(struct pa_lease_table *t, struct pa_subnet *const **ret, uint64_t now);

/* The rows changed since the last call of pa_lease_changes_done, each once. *ret is borrowed until then. */
size_t pa_lease_changes(const struct pa_lease_table *t, const struct pa_lease *const **ret);
/* The recoveries too. True if there is anything to store. */
bool pa_lease_has_changes(const struct pa_lease_table *t);
bool pa_lease_recoveries_changed(const struct pa_lease_table *t);
void pa_lease_changes_done(struct pa_lease_table *t);

/* "active", "released", "expired" or "reclaimed"; static. parse returns the state or PA_EINVAL. */
const char *pa_lease_state_name(enum pa_lease_state state);
int pa_lease_state_parse(const char *s);

#endif

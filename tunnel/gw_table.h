/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GW_TABLE_H
#define PA_GW_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/gw.h"

/*
 * The gateway's table: one entry for each P that was ever bound and whose grants have not all expired, found by P and by
 * session id, and ordered by when it needs attention. Private to gw*.c; one thread.
 *
 * Hashes are keyed with a secret, so nobody can make chains long. Entries stay where they are until they are removed. There may be
 * a million of them, so what can be computed is not kept (tokens, the keys of the two directions), and links are numbers.
 */
struct pa_gw_entry {
	struct pa_addr addr;
	struct pa_endpoint mapped;
	uint8_t k1[PA_KEY_LEN];		 /* of the session */
	uint8_t pin[PA_FINGERPRINT_LEN]; /* of the client's key, pinned for epoch */
	uint8_t session[PA_SESSION_LEN];
	uint8_t repeats; /* KEEPALIVEs with the token before since the latest is new */
	bool bound : 1;
	bool delivering : 1;
	bool adopted : 1; /* from a former process: nothing is believed before a RECONFIRM */
	bool pinned : 1;  /* the claims have the fingerprint too */
	bool has_contest : 1;
	bool moved : 1; /* its client is bound at another gateway; see gw_drain.c */
	bool live : 1;	 /* the table's: not removed */
	bool marked : 1; /* the table's */
	uint32_t token;	     /* number of the latest; see pa_gw_token */
	uint32_t bound_at_s; /* boot time */
	uint32_t floor_left; /* seconds from expires to the latest expiry of the grants seen for this address */
	uint64_t epoch, bind; /* while not bound: the floor */
	uint64_t expires : 48; /* Unix seconds, of the claims; of these only what a gateway looks at is kept */
	uint64_t mtu : 16;     /* that the client has found on its path; 0: it has said nothing */
	uint64_t seq;	      /* highest seen from the client */
	uint64_t last_seen_ms : 48; /* boot time of the last authentic message */
	uint64_t local : 8;
	uint64_t key_id : 8;
	uint64_t due_ms : 48; /* boot time; not later than when this entry needs attention */
	uint64_t pool_id : 16;
	uint32_t tat_data, tat_control, tat_session; /* limits of RECHALLENGE and of ALIVE: limit.h, in their own unit */
	uint32_t contest; /* number of its struct pa_gw_contest, while has_contest */
	uint32_t next_addr, next_session, next_marked, heap_pos; /* the table's */
};

/* What is kept for a moment of a binding that has moved, or, in its two times, of one whose client has moved to another gateway. */
struct pa_gw_contest {
	struct pa_endpoint old_mapped; /* may object until until_ms */
	unsigned old_local;
	uint64_t until_ms;	 /* boot time */
	uint64_t quiet_until_ms; /* boot time: no RECHALLENGE before, after an objection */
};

struct pa_gw_table;

#define PA_GW_HASH_KEY_LEN 16

/* hash_key: random, copied. max: entries at most. PA_ENOMEM. */
int pa_gw_table_new(const uint8_t hash_key[PA_GW_HASH_KEY_LEN], size_t max, struct pa_gw_table **ret);
/* Wipes and frees, entries too; NULL is fine. */
void pa_gw_table_free(struct pa_gw_table *t);

/* Borrowed, or NULL. By session only those that were indexed. */
struct pa_gw_entry *pa_gw_table_find(const struct pa_gw_table *t, const struct pa_addr *addr);
struct pa_gw_entry *pa_gw_table_find_session(const struct pa_gw_table *t, const uint8_t session[PA_SESSION_LEN]);

/*
 * These n sessions, at most PA_GW_SOON_MAX, are about to be looked for: has the processor fetch what that needs from memory, for all of
 * them at once, where otherwise each look-up would wait by itself. Changes nothing; a session may be unknown.
 */
#define PA_GW_SOON_MAX 64
void pa_gw_table_soon(const struct pa_gw_table *t, const uint8_t *const *sessions, unsigned n);

/* Adds a zeroed entry for addr (which must not be there), due at once. PA_ENOMEM: no memory, or max is reached. */
int pa_gw_table_add(struct pa_gw_table *t, const struct pa_addr *addr, struct pa_gw_entry **ret);
/* Wipes and frees; it must not be indexed by session any more. */
void pa_gw_table_remove(struct pa_gw_table *t, struct pa_gw_entry *e);
/* Puts e into and takes it out of the index by e->session, which must not change in between. */
void pa_gw_table_index(struct pa_gw_table *t, struct pa_gw_entry *e);
void pa_gw_table_unindex(struct pa_gw_table *t, struct pa_gw_entry *e);

/* Sets when e needs attention; first gives the one that is due first, or NULL. */
void pa_gw_table_schedule(struct pa_gw_table *t, struct pa_gw_entry *e, uint64_t due_ms);
struct pa_gw_entry *pa_gw_table_first(const struct pa_gw_table *t);

/* Marks e (harmless a second time); take gives and unmarks one that is marked and was not removed, in no order, or NULL. */
void pa_gw_table_mark(struct pa_gw_table *t, struct pa_gw_entry *e);
struct pa_gw_entry *pa_gw_table_take_marked(struct pa_gw_table *t);
/* False: there is none. True: there may be one. */
bool pa_gw_table_has_marked(const struct pa_gw_table *t);

size_t pa_gw_table_size(const struct pa_gw_table *t);
/*
 * A walk through all entries, in pieces: *at begins as 0. NULL: it is over. Entries that are there all the time are given exactly
 * once, whatever is added and removed meanwhile.
 */
struct pa_gw_entry *pa_gw_table_walk(const struct pa_gw_table *t, uint32_t *at);

#endif

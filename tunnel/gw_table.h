/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GW_TABLE_H
#define PA_GW_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/gw.h"

/*
 * The gateway's table: one entry for each P that was ever bound and whose grants have not all expired, found by P and by
 * session id, and ordered by when it needs attention. Private to gw.c; one thread.
 *
 * Hashes are keyed with a secret, so nobody can make chains long. Entries stay where they are until they are removed.
 */
struct pa_gw_entry {
	struct pa_gw_entry *next_addr, *next_session;
	struct pa_gw_entry *next_changed, *prev_changed; /* while changed */
	size_t heap_pos;
	uint64_t due_ms;      /* boot time; not later than when this entry needs attention */
	struct pa_gw_binding b; /* while not bound: the floor (claims.epoch, bind) */
	uint64_t floor_until; /* Unix seconds: the latest expiry of the grants seen for this address */
	uint64_t seq;	      /* highest seen from the client */
	uint8_t client_key[PA_KEY_LEN]; /* pinned for b.claims.epoch */
	uint8_t c2g[PA_KEY_LEN], g2c[PA_KEY_LEN];
	uint8_t confirm_id[PA_MAC_LEN]; /* of the CONFIRM that was accepted, to know it again */
	uint8_t nonce[PA_NONCE_LEN];	/* its nonce, for repeating ACCEPT */
	uint8_t token[PA_TOKEN_LEN], old_token[PA_TOKEN_LEN];
	struct pa_endpoint old_mapped; /* may object until contest_until_ms */
	bool bound;
	bool changed; /* since its record was last taken */
	uint8_t repeats; /* KEEPALIVEs with old_token since token is new */
	bool adopted; /* from a former process: nothing is believed before a RECONFIRM */
	unsigned old_local;
	uint64_t contest_until_ms; /* boot time */
	uint64_t quiet_until_ms;   /* boot time: no RECHALLENGE before, after an objection */
	uint64_t tat_data, tat_control; /* limits of RECHALLENGE, see limit.h */
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

/* Adds a zeroed entry for addr (which must not be there), due at once. PA_ENOMEM: no memory, or max is reached. */
int pa_gw_table_add(struct pa_gw_table *t, const struct pa_addr *addr, struct pa_gw_entry **ret);
/* Wipes and frees; it must not be indexed by session any more. */
void pa_gw_table_remove(struct pa_gw_table *t, struct pa_gw_entry *e);
/* Puts e into and takes it out of the index by e->b.session, which must not change in between. */
void pa_gw_table_index(struct pa_gw_table *t, struct pa_gw_entry *e);
void pa_gw_table_unindex(struct pa_gw_table *t, struct pa_gw_entry *e);

/* Sets when e needs attention; first gives the one that is due first, or NULL. */
void pa_gw_table_schedule(struct pa_gw_table *t, struct pa_gw_entry *e, uint64_t due_ms);
struct pa_gw_entry *pa_gw_table_first(const struct pa_gw_table *t);

/* All entries by number, in no order; valid until the table changes. */
size_t pa_gw_table_size(const struct pa_gw_table *t);
struct pa_gw_entry *pa_gw_table_at(const struct pa_gw_table *t, size_t i);

#endif

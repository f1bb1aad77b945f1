/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GW_INT_H
#define PA_GW_INT_H

#include "tunnel/gw.h"
#include "tunnel/gw_table.h"
#include "tunnel/limit.h"

/* What the files of the gateway's core (gw*.c) share; nobody else includes it. */
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
	size_t n_bound;
	uint8_t cookie_key[2][PA_KEY_LEN]; /* current, previous */
	uint64_t cookie_rotated_ms;
	struct pa_limit rechallenge_limit, hint_limit;
	struct pa_gw_counters count;
	enum pa_gw_refusal refusal; /* of the message that is being received */
	struct pa_gw_entry *changed; /* list of those not yet taken by pa_gw_take_changed */
	const struct pa_floors *floors; /* borrowed; NULL: every grant that verifies is good */
};

/* Sets when e needs attention next: silence while delivering, expiry of the grant, the end of what must be remembered. */
void pa_gw_schedule(struct pa_gw *gw, struct pa_gw_entry *e, struct pa_now now);
/* True if a pool of ours holds the claims' address and there is a key for it. */
bool pa_gw_serves(const struct pa_gw *gw, const struct pa_claims *c);
/* Puts e into the list of changes (harmless a second time), or takes it out before it goes. */
void pa_gw_changed(struct pa_gw *gw, struct pa_gw_entry *e);
void pa_gw_unchanged(struct pa_gw *gw, struct pa_gw_entry *e);

/* Ends a bound entry. tell: the client gets UNBOUND. The floor (claims.epoch, bind) and the pin stay. */
void pa_gw_end_binding(struct pa_gw *gw, struct pa_now now, struct pa_gw_entry *e, enum pa_reason reason, bool tell);
/* May a grant with these claims, which are genuine, bind, seen from the broker's floors? Counts what may not. */
bool pa_gw_admits(struct pa_gw *gw, const struct pa_claims *c);

#endif

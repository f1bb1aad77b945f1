/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/relay_names.h"

#include <stddef.h>

#include "common/err.h"
#include "tunnel/limit.h"

#define US_PER_S 1000000u

static bool has_room(const struct pa_rnames *n, uid_t uid)
{
	unsigned all = 0, own = 0;

	for (unsigned i = 0; i < PA_RELAY_NAMES_MAX; i++) {
		if (n->under_way[i].session == 0)
			continue;
		all++;
		own += n->under_way[i].uid == uid;
	}
	return all < PA_RELAY_NAMES_MAX && (uid == 0 || own < PA_RNAMES_OF_UID);
}

/* uid's, or one that is nobody's; NULL: there is none. */
static uint64_t *rate_of(struct pa_rnames *n, uid_t uid, uint64_t now_us)
{
	int empty = -1;

	for (int i = 0; i < PA_RNAMES_USERS; i++) {
		if (n->users[i].tat_us <= now_us)
			empty = i;
		else if (n->users[i].uid == uid)
			return &n->users[i].tat_us;
	}
	if (empty < 0)
		return NULL;
	n->users[empty].uid = uid;
	n->users[empty].tat_us = 0;
	return &n->users[empty].tat_us;
}

bool pa_rnames_may(struct pa_rnames *n, uid_t uid, struct pa_now now)
{
	uint64_t now_us = now.boot_ms * 1000 + now.boot_us, *tat_us;

	if (!has_room(n, uid))
		return false;
	if (uid == 0)
		return true;
	tat_us = rate_of(n, uid, now_us);
	return tat_us != NULL && pa_limit_one(tat_us, now_us, US_PER_S / PA_RNAMES_OF_UID_PER_S, PA_RNAMES_OF_UID_BURST);
}

static int find(const struct pa_rnames *n, uint32_t session)
{
	for (int i = 0; i < (int)PA_RELAY_NAMES_MAX; i++)
		if (n->under_way[i].session == session)
			return i;
	return -1;
}

void pa_rnames_begun(struct pa_rnames *n, uid_t uid, uint32_t session)
{
	int i = find(n, 0);

	PA_REQUIRE(i >= 0 && session != 0);
	n->under_way[i].session = session;
	n->under_way[i].uid = uid;
}

bool pa_rnames_is_under_way(const struct pa_rnames *n, uint32_t session)
{
	return session != 0 && find(n, session) >= 0;
}

void pa_rnames_done(struct pa_rnames *n, uint32_t session)
{
	int i = session != 0 ? find(n, session) : -1;

	if (i >= 0)
		n->under_way[i].session = 0;
}

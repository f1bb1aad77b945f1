/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/relay_shares.h"

#include <stddef.h>

#include "common/err.h"

static bool is_empty(const struct pa_rshares_user *u)
{
	for (int i = 0; i < PA_RSHARE_KINDS; i++)
		if (u->n[i] > 0)
			return false;
	return true;
}

/* uid's; else, with make, one that is nobody's; or NULL. */
static struct pa_rshares_user *find(struct pa_rshares *s, uid_t uid, bool make)
{
	struct pa_rshares_user *empty = NULL;

	for (int i = 0; i < PA_RSHARES_USERS; i++) {
		struct pa_rshares_user *u = &s->users[i];

		if (is_empty(u))
			empty = u;
		else if (u->uid == uid)
			return u;
	}
	if (empty != NULL && make)
		empty->uid = uid;
	return make ? empty : NULL;
}

bool pa_rshares_take(struct pa_rshares *s, uid_t uid, enum pa_rshare kind, unsigned most)
{
	struct pa_rshares_user *u;

	if (uid == 0)
		return true;
	u = find(s, uid, true);
	if (u == NULL || u->n[kind] >= most)
		return false;
	u->n[kind]++;
	return true;
}

void pa_rshares_put(struct pa_rshares *s, uid_t uid, enum pa_rshare kind)
{
	struct pa_rshares_user *u;

	if (uid == 0)
		return;
	u = find(s, uid, false);
	PA_REQUIRE(u != NULL && u->n[kind] > 0);
	u->n[kind]--;
}

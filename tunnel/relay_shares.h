/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_SHARES_H
#define PA_RELAY_SHARES_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * How much of what the daemon has for all programs each user of this host holds, so that none takes all of it. Root may have any
 * number. A value, initially zero; pure, no allocation, one thread.
 */
#define PA_RSHARES_USERS 64 /* that hold something at once */

enum pa_rshare {
	PA_RSHARE_REQUESTS, /* connections to the local socket */
	PA_RSHARE_SESSIONS,
	PA_RSHARE_CALLS, /* of them those whose peer has not answered yet */
	PA_RSHARE_KINDS,
};

struct pa_rshares {
	struct pa_rshares_user {
		uid_t uid;
		unsigned n[PA_RSHARE_KINDS]; /* all 0: nobody's */
	} users[PA_RSHARES_USERS];
};

/* One more for uid, of which it may have most. False: it has them, or too many users have something. */
bool pa_rshares_take(struct pa_rshares *s, uid_t uid, enum pa_rshare kind, unsigned most);
/* One less; there was one. */
void pa_rshares_put(struct pa_rshares *s, uid_t uid, enum pa_rshare kind);

#endif

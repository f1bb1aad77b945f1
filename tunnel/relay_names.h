/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_NAMES_H
#define PA_RELAY_NAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/clock.h"
#include "common/relay.h"

/*
 * Which user of this host asks for how many names at the relay's server. To the server the host is one client, with so many names at once
 * and a second (common/relay.h): a user has three quarters of both, so that another one is always served. Root may have all. A name
 * is under way until the server has answered, whoever still wants to know: the server is busy with it until then. A value, initially
 * zero; pure, no allocation, one thread.
 */
#define PA_RNAMES_USERS 64 /* that asked lately */
#define PA_RNAMES_OF_UID (PA_RELAY_NAMES_MAX * 3 / 4)
#define PA_RNAMES_OF_UID_PER_S (PA_RELAY_NAMES_PER_S * 3 / 4)
#define PA_RNAMES_OF_UID_BURST (PA_RELAY_NAMES_BURST * 3 / 4)

struct pa_rnames {
	struct {
		uint32_t session; /* 0: none */
		uid_t uid;
	} under_way[PA_RELAY_NAMES_MAX];
	struct {
		uid_t uid;
		uint64_t tat_us; /* boot time, see pa_limit_one; in the past: nobody's */
	} users[PA_RNAMES_USERS];
};

/* May uid ask for one more now? It counts for his rate if so; begun is to follow. */
bool pa_rnames_may(struct pa_rnames *n, uid_t uid, struct pa_now now);
/* That one is session, not 0, which is not under way. */
void pa_rnames_begun(struct pa_rnames *n, uid_t uid, uint32_t session);
bool pa_rnames_is_under_way(const struct pa_rnames *n, uint32_t session);
/* It is answered, or lost; harmless if it is not under way. */
void pa_rnames_done(struct pa_rnames *n, uint32_t session);

#endif

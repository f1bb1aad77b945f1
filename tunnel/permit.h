/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PERMIT_H
#define PA_PERMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/conf.h"
#include "common/edge_server.h"

/* Who, besides root, may have the client daemon do something: {"users": [NAMES], "groups": [NAMES]}. */
#define PA_PERMIT_MAX 32
#define PA_PERMIT_ERRLEN 320

struct pa_permit {
	const char *users[PA_PERMIT_MAX], *groups[PA_PERMIT_MAX]; /* borrowed from the pa_conf */
	size_t n_users, n_groups;
	uid_t uids[PA_PERMIT_MAX];
	gid_t gids[PA_PERMIT_MAX];
};

/* Reads the names; absent: nobody. Mistakes become the conf's sticky error. Pure. */
void pa_permit_read(const struct pa_node *n, const char *key, struct pa_permit *ret);
/*
 * Looks up the names on this machine, once, before the sandbox. PA_EFORMAT: there is no such user or group, err names the place in
 * conf (key as for pa_permit_read) and the remedy.
 */
int pa_permit_resolve(struct pa_permit *p, const struct pa_conf *conf, const char *key, char err[PA_PERMIT_ERRLEN]);
/* True if who sent the request is root, one of the users, or a member of one of the groups, as the kernel tells. */
bool pa_permit_allows(const struct pa_permit *p, const struct pa_request *req);
/* The same for who is at the other end of a connected Unix socket. */
bool pa_permit_allows_peer(const struct pa_permit *p, int fd);

#endif

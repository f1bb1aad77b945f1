/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_SETUP_H
#define PA_BROKER_SETUP_H

#include <sys/types.h>

#include "broker/brokerconf.h"
#include "common/keyfile.h"

/* What the broker is set up from: the configuration file, the key file it names, and the users it names. Blocking. */
struct pa_setup {
	struct pa_brokerconf *conf;
	struct pa_keyring *keys;
	uid_t user_uid;	/* of user; (uid_t)-1: none */
	gid_t user_gid;
	gid_t gid; /* of socket-group; (gid_t)-1: none */
	uid_t uids[PA_SOCKET_USERS_MAX];
	size_t n_uids;
};

/*
 * Reads and checks all of it. On failure err says file, place and remedy, and *ret is untouched: PA_EFORMAT, PA_ENOTFOUND,
 * PA_EAUTH, PA_EIO, PA_ENOMEM. The caller clears *ret.
 */
int pa_setup_load(const char *file, struct pa_setup *ret, char err[PA_CONF_ERRLEN]);
/* Wipes the keys and frees; a zeroed struct is fine. */
void pa_setup_clear(struct pa_setup *s);
/* Loads and throws away: what `-t` and config-test do. */
int pa_setup_test(const char *file, char err[PA_CONF_ERRLEN]);

#endif

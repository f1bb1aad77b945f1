/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_SOCKS_CONF_H
#define PA_SOCKS_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/addr.h"
#include "common/conf.h"
#include "common/edge_file.h"
#include "common/socks5_users.h"
#include "tunnel/permit.h"

/* tunneld.conf's "socks" as values: {"listen": "127.0.0.1:1080", "users": [NAMES], "credentials": FILE}. */
#define PA_SOCKS_PORT 1080 /* RFC 1928, 3 */
#define PA_SOCKS_CONF_ERRLEN (PA_CONF_PLACELEN + PA_FILE_ERRLEN)

struct pa_socks_conf {
	bool on;		     /* "socks" is there */
	struct pa_endpoint listen;   /* an address of loopback */
	struct pa_permit users;	     /* whose connections are served, besides root's; no groups, for of a connection only the user is known */
	char *credentials;	     /* path; NULL: nobody is asked for a password */
	struct pa_socks5_users *who; /* what is in it, from resolve on; NULL as above */
};

/* Mistakes become the conf's sticky error. PA_ENOMEM. Pure. */
int pa_socks_conf_read(const struct pa_node *root, struct pa_socks_conf *ret);
/*
 * Looks up the users on this machine and reads the file, once, before the sandbox. PA_EFORMAT, PA_EAUTH (others can read the file) and
 * so on with the place in conf and the remedy in err.
 */
int pa_socks_conf_resolve(struct pa_socks_conf *c, const struct pa_conf *conf, char err[PA_SOCKS_CONF_ERRLEN]);
void pa_socks_conf_clear(struct pa_socks_conf *c);
/* Is that root, or one of the users? */
bool pa_socks_conf_allows(const struct pa_socks_conf *c, uid_t uid);

#endif

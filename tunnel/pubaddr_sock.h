/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PUBADDR_SOCK_H
#define PA_PUBADDR_SOCK_H

/* The tunnel daemons' sockets, for commands that need one of them. */
#define PA_SOCK_PATHLEN 108 /* of a Unix socket */

/*
 * The socket of the daemon of that interface; NULL: of the only daemon that there is. 0, or a negative error after a message on
 * standard error.
 */
int pa_sock_find(const char *run_dir, const char *iface, char ret[PA_SOCK_PATHLEN]);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_CLIENT_H
#define PA_EDGE_CLIENT_H

#include <jansson.h>

/* A blocking client of a command socket (edge_server.h), for command line tools and the DHCP helper. Any thread. */
#define PA_CLIENT_ERRLEN 640

/*
 * Connects, sends one command, waits for its reply, closes; in all at most timeout_ms. arguments is taken (may be NULL).
 * Returns the reply's result (0..255) with *ret its arguments (a new reference, or NULL) and err its text; or PA_ENOTFOUND
 * (no such socket, or nobody serves it), PA_EDENIED (permission), PA_EAGAIN (too late), PA_EFORMAT (no reply as it should
 * be), PA_EIO (the connection ended without a reply) or PA_ENOMEM, with err saying why and *ret untouched.
 */
int pa_client_call(const char *path, const char *command, json_t *arguments, int timeout_ms, json_t **ret,
		   char err[PA_CLIENT_ERRLEN]);

#endif

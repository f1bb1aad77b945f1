/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_SOCKS5_USERS_H
#define PA_SOCKS5_USERS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/socks5.h"

/*
 * Who may use a SOCKS5 server, for RFC 1929: text of one "USER:PASSWORD" a line, 1 to 255 octets each, USER without a colon; empty lines
 * and those that begin with '#' do not count. Only hashes are kept. Parsing is pure; edge_file.h reads the file and refuses one that
 * others can read. Any thread, once parsed.
 */
struct pa_socks5_users;

#define PA_SOCKS5_USERS_MAX 256
#define PA_SOCKS5_USERS_ERRLEN 256

/*
 * Parses text of len bytes (need not end in NUL); the caller wipes it. On failure writes "FILE:LINE: what is wrong and the remedy" to
 * err, never a password, and returns PA_EFORMAT (also of a file that names nobody), PA_EEXIST (a user twice) or PA_ENOMEM. The caller
 * frees *ret.
 */
int pa_socks5_users_parse(const char *file, const char *text, size_t len, struct pa_socks5_users **ret,
			  char err[PA_SOCKS5_USERS_ERRLEN]);
/* Wipes and frees; NULL is fine. */
void pa_socks5_users_free(struct pa_socks5_users *users);
size_t pa_socks5_users_count(const struct pa_socks5_users *users);
/* The check of struct pa_socks5, ctx is the struct pa_socks5_users. Takes the same time whether there is such a user or not. */
bool pa_socks5_users_check(void *ctx, const struct pa_socks5_login *login);

#endif

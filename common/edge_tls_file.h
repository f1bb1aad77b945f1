/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_TLS_FILE_H
#define PA_EDGE_TLS_FILE_H

#include "common/edge_tls_identity.h"

/* What edge_tls_identity.c and edge_tls_stream_ctx.c do with PEM files. One thread. */
struct ssl_ctx_st;

/* Writes "PATH: what: OpenSSL's reason" to err and forgets the reason. Always PA_EFORMAT. */
int pa_tls_file_error(const char *path, const char *what, char err[PA_TLS_ERRLEN]);
/*
 * The private key that belongs to the context's certificate, from a file that others cannot read. As pa_file_read, or PA_EFORMAT:
 * no key, or another certificate's; err says which file and why.
 */
int pa_tls_use_key(struct ssl_ctx_st *ctx, const char *path, char err[PA_TLS_ERRLEN]);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_TLS_H
#define PA_EDGE_TLS_H

#include <uv.h>

#include "common/addr.h"
#include "common/edge_tls_identity.h"

/*
 * TLS 1.3 with certificates on both sides, on a libuv loop. The plain side of each connection is one end of a Unix socket
 * pair, so that whoever speaks over Unix sockets speaks over TLS by the same code. Both peers are known by a name in their
 * certificate: its common name or one of its DNS names. OpenSSL works on memory only; libuv does the sockets. One thread.
 */
#define PA_TLS_NAME_MAX 63 /* of a peer, in characters */

struct pa_tls;

/* Reads the files. On failure err says which and the remedy: PA_EFORMAT, PA_EAUTH, PA_ENOTFOUND, PA_EIO, PA_ENOMEM. */
int pa_tls_new(uv_loop_t *loop, const struct pa_tls_files *files, struct pa_tls **ret, char err[PA_TLS_ERRLEN]);
/*
 * Connections from now on are made as id, and believe whom it believes; those that are there go on as they began. Takes id.
 * Logs tls.certificate, as a warning if the certificate is not valid now.
 */
void pa_tls_use(struct pa_tls *tls, struct pa_tls_identity *id);
/* Stops listening and closes every connection. NULL is fine. */
void pa_tls_close(struct pa_tls *tls);
/* After the loop has run out. NULL is fine. */
void pa_tls_free(struct pa_tls *tls);

/*
 * A peer has connected to us and proved to be name: fd is the plain side, the callee's from now on. Names that do not fit
 * into PA_TLS_NAME_MAX do not get here.
 */
typedef void (*pa_tls_accepted)(void *ctx, int fd, const char *name);
/* Listens; once for each pa_tls. PA_EIO with what and the remedy in err. */
int pa_tls_listen(struct pa_tls *tls, const struct pa_endpoint *at, pa_tls_accepted accepted, void *ctx,
		  char err[PA_TLS_ERRLEN]);
/*
 * Connects to a peer that has to be name. Returns at once with the plain side, which is the caller's; what is written is sent
 * when the peer has proved who it is, and if it does not, the plain side ends (the log says why: tls.failed). A file
 * descriptor, or PA_EIO or PA_ENOMEM.
 */
int pa_tls_connect(struct pa_tls *tls, const struct pa_endpoint *to, const char *name);

#endif

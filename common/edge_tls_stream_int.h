/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_TLS_STREAM_INT_H
#define PA_EDGE_TLS_STREAM_INT_H

/* Between edge_tls_stream.c and edge_tls_stream_ctx.c. */
struct pa_stream_tls;
struct ssl_ctx_st;

/* Borrowed. */
struct ssl_ctx_st *pa_stream_tls_ctx(struct pa_stream_tls *tls);

#endif

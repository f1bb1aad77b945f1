/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_TLS_STREAM_H
#define PA_EDGE_TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/*
 * TLS 1.3 on a TCP socket of the caller's, on a libuv loop, for one who has the bytes lying ready and takes them where
 * they arrive: the session relay. OpenSSL reads and writes the socket itself. What is queued during one round of the
 * loop leaves together. Who the peer is, is not for the certificate alone to say: ready gives what both ends can mix
 * into a proof (RFC 9266). One thread.
 */
#define PA_STREAM_ERRLEN 320
#define PA_STREAM_EXPORTER_LEN 32

struct pa_stream_tls; /* what connections have in common: certificate and key, or whom to believe */

/*
 * For the end that accepts. Both files, PEM, the key's not readable by others; or both NULL: a key and a certificate
 * for it are made now. On failure err says which file, why, and the remedy: PA_EFORMAT, PA_EAUTH, PA_ENOTFOUND, PA_EIO,
 * PA_ENOMEM.
 */
int pa_stream_tls_server(const char *certificate, const char *key, struct pa_stream_tls **ret,
			 char err[PA_STREAM_ERRLEN]);
/*
 * For the end that connects. ca: PEM file of the authorities to believe, "system" for those of the host, or NULL: any
 * certificate will do. Errors as above.
 */
int pa_stream_tls_client(const char *ca, struct pa_stream_tls **ret, char err[PA_STREAM_ERRLEN]);
/* Connections that are there keep what they need. NULL is fine. */
void pa_stream_tls_free(struct pa_stream_tls *tls);

struct pa_stream;

struct pa_stream_ops {
	/* The handshake is done. exporter: RFC 9266, PA_STREAM_EXPORTER_LEN octets of this very connection. */
	void (*ready)(void *ctx, const uint8_t *exporter);
	/*
	 * These octets are there; returns how many are done with, the rest comes again with more behind it (64 KiB and
	 * a bit fit). Negative: the connection ends, with closed.
	 */
	int64_t (*input)(void *ctx, const uint8_t *buf, size_t len);
	/* What is to be sent next, 0 for nothing; then how much of it went out. */
	size_t (*peek)(void *ctx, const uint8_t **ptr);
	void (*sent)(void *ctx, size_t n);
	/* The connection is over, for a reason in words (borrowed), and the stream gone when this returns; the last call. */
	void (*closed)(void *ctx, const char *reason);
};

/*
 * fd: a non-blocking TCP socket, which the stream owns from success on; at the connecting end it may be connecting
 * still. name: whom the certificate has to name, NULL for whomever (connecting end with a ca only). 0, PA_EIO or
 * PA_ENOMEM. pa_stream_accept is for the end that accepted fd.
 */
int pa_stream_connect(uv_loop_t *loop, struct pa_stream_tls *tls, int fd, const char *name,
		      const struct pa_stream_ops *ops, void *ctx, struct pa_stream **ret);
int pa_stream_accept(uv_loop_t *loop, struct pa_stream_tls *tls, int fd, const struct pa_stream_ops *ops, void *ctx,
		     struct pa_stream **ret);
/* peek would give something: it is called soon, not from here. */
void pa_stream_output(struct pa_stream *s);
/*
 * For closed, at the connecting end: it is a known no, which trying again does not change at once: nobody listens there (ECONNREFUSED), or
 * the certificate is not accepted.
 */
bool pa_stream_is_refused(const struct pa_stream *s);
/* Sends what peek gives if the socket takes it, and closes; closed is not called. NULL is fine. An op may call it. */
void pa_stream_close(struct pa_stream *s);

#endif

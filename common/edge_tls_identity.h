/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_TLS_IDENTITY_H
#define PA_EDGE_TLS_IDENTITY_H

/*
 * Who we are to peers, and whom we believe: certificate, key and authorities, read from files once. Apart from edge_tls, so that
 * a reload can read all of it before anything is changed. One thread.
 */
#define PA_TLS_ERRLEN 320

struct pa_tls_identity;
struct ssl_ctx_st;

/* PEM files. The key file is refused if others can read it. */
struct pa_tls_files {
	const char *certificate, *key;
	const char *ca; /* whom certificates of peers have to be from */
};

/*
 * Reads the files; the names are copied. On failure err says which file, why, and the remedy: PA_EFORMAT, PA_EAUTH, PA_ENOTFOUND,
 * PA_EIO, PA_ENOMEM.
 */
int pa_tls_identity_load(const struct pa_tls_files *files, struct pa_tls_identity **ret, char err[PA_TLS_ERRLEN]);
/* NULL is fine. */
void pa_tls_identity_free(struct pa_tls_identity *id);
/* Is the certificate valid now, by this host's clock? 0, or PA_EEXPIRED (also: not valid yet) with file and dates in err. */
int pa_tls_identity_valid(const struct pa_tls_identity *id, char err[PA_TLS_ERRLEN]);
/* The certificate's file, and until when it is valid, in UTC: "2027-01-31T12:00:00Z". Borrowed. */
const char *pa_tls_identity_file(const struct pa_tls_identity *id);
const char *pa_tls_identity_until(const struct pa_tls_identity *id);
/* For edge_tls: the OpenSSL context; a connection that is made of it keeps its own reference. */
struct ssl_ctx_st *pa_tls_identity_ctx(const struct pa_tls_identity *id);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_tls_identity.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/edge_tls_file.h"
#include "common/err.h"

#define DATE_LEN 24

struct pa_tls_identity {
	SSL_CTX *ctx;
	char *file;
	char until[DATE_LEN];
};

/* For the log; "unknown" for what is no date. */
static void format_date(const ASN1_TIME *when, char ret[DATE_LEN])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(when, &tm) != 1 || strftime(ret, DATE_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(ret, DATE_LEN, "unknown");
}

static int load_files(SSL_CTX *ctx, const struct pa_tls_files *files, char err[PA_TLS_ERRLEN])
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1)
		return pa_tls_file_error(files->certificate, "cannot use this certificate", err);
	if (SSL_CTX_load_verify_locations(ctx, files->ca, NULL) != 1)
		return pa_tls_file_error(files->ca, "cannot use these certificates of an authority", err);
	return pa_tls_use_key(ctx, files->key, err);
}

int pa_tls_identity_load(const struct pa_tls_files *files, struct pa_tls_identity **ret, char err[PA_TLS_ERRLEN])
{
	struct pa_tls_identity *id = calloc(1, sizeof(*id));
	int rc = PA_ENOMEM;

	(void)snprintf(err, PA_TLS_ERRLEN, "out of memory");
	if (id == NULL || (id->ctx = SSL_CTX_new(TLS_method())) == NULL || (id->file = strdup(files->certificate)) == NULL)
		goto fail;
	(void)SSL_CTX_set_min_proto_version(id->ctx, TLS1_3_VERSION);
	(void)SSL_CTX_set_num_tickets(id->ctx, 0);
	(void)SSL_CTX_set_mode(id->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(id->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	rc = load_files(id->ctx, files, err);
	if (rc < 0)
		goto fail;
	format_date(X509_get0_notAfter(SSL_CTX_get0_certificate(id->ctx)), id->until);
	*ret = id;
	return 0;
fail:
	pa_tls_identity_free(id);
	return rc;
}

void pa_tls_identity_free(struct pa_tls_identity *id)
{
	if (id == NULL)
		return;
	SSL_CTX_free(id->ctx);
	free(id->file);
	free(id);
}

int pa_tls_identity_valid(const struct pa_tls_identity *id, char err[PA_TLS_ERRLEN])
{
	const X509 *cert = SSL_CTX_get0_certificate(id->ctx);
	char from[DATE_LEN];

	if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
		(void)snprintf(err, PA_TLS_ERRLEN, "%.120s: the certificate expired at %s; have a new one signed", id->file, id->until);
		return PA_EEXPIRED;
	}
	if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
		format_date(X509_get0_notBefore(cert), from);
		(void)snprintf(err, PA_TLS_ERRLEN, "%.120s: the certificate is not valid before %s; look at this host's clock",
			       id->file, from);
		return PA_EEXPIRED;
	}
	return 0;
}

const char *pa_tls_identity_file(const struct pa_tls_identity *id)
{
	return id->file;
}

const char *pa_tls_identity_until(const struct pa_tls_identity *id)
{
	return id->until;
}

struct ssl_ctx_st *pa_tls_identity_ctx(const struct pa_tls_identity *id)
{
	return id->ctx;
}

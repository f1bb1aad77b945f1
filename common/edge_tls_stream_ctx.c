/* SPDX-License-Identifier: MPL-2.0 */
/* What TLS connections of the session relay have in common: certificate and key, or whom to believe. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "common/edge_tls_file.h"
#include "common/edge_tls_stream.h"
#include "common/edge_tls_stream_int.h"
#include "common/err.h"

_Static_assert(PA_STREAM_ERRLEN == PA_TLS_ERRLEN, "the same texts");

#define READ_AHEAD (8u * 16640u) /* whole records (RFC 8446, 5.2): the rest of one would cost a call of the system */
#define SELF_SIGNED_S (10L * 365 * 24 * 3600) /* nobody looks at it: the exporter ties the connection to the grant */

struct pa_stream_tls {
	SSL_CTX *ctx;
};

struct ssl_ctx_st *pa_stream_tls_ctx(struct pa_stream_tls *tls)
{
	return tls->ctx;
}

void pa_stream_tls_free(struct pa_stream_tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->ctx);
	free(tls);
}

/* What both ends compute fast: AES of 128 bits where the processor has instructions for it, ChaCha20 where not. The
 * accepting end goes by the connecting end's first choice if that is ChaCha20, else by its own. */
static void choose_ciphers(SSL_CTX *ctx)
{
	bool aes = true;

#if defined(__x86_64__) || defined(__i386__)
	aes = __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	aes = (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#endif
	(void)SSL_CTX_set_ciphersuites(
		ctx, aes ? "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
			 : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
	(void)SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
}

static int new_tls(const SSL_METHOD *method, struct pa_stream_tls **ret, char err[PA_STREAM_ERRLEN])
{
	struct pa_stream_tls *tls = calloc(1, sizeof(*tls));

	(void)snprintf(err, PA_STREAM_ERRLEN, "out of memory");
	if (tls == NULL)
		return PA_ENOMEM;
	tls->ctx = SSL_CTX_new(method);
	if (tls->ctx == NULL) {
		free(tls);
		return PA_ENOMEM;
	}
	(void)SSL_CTX_set_min_proto_version(tls->ctx, TLS1_3_VERSION);
	(void)SSL_CTX_set_num_tickets(tls->ctx, 0);
	(void)SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS);
	choose_ciphers(tls->ctx);
	/* Several records for one read of the socket. */
	SSL_CTX_set_read_ahead(tls->ctx, 1);
	SSL_CTX_set_default_read_buffer_len(tls->ctx, READ_AHEAD);
	*ret = tls;
	return 0;
}

/* ---------------------------------------------------------------- the accepting end */

static bool fill_certificate(X509 *cert, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(cert);
	uint64_t serial = 0;

	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return false;
	return X509_set_version(cert, X509_VERSION_3) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
	       X509_gmtime_adj(X509_getm_notAfter(cert), SELF_SIGNED_S) != NULL &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"pubaddr-relay", -1, -1,
					  0) == 1 &&
	       X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
	       X509_sign(cert, key, EVP_sha256()) > 0;
}

static int use_self_signed(SSL_CTX *ctx, char err[PA_STREAM_ERRLEN])
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	bool ok = key != NULL && cert != NULL && fill_certificate(cert, key) &&
		  SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;

	X509_free(cert);
	EVP_PKEY_free(key);
	if (!ok)
		(void)snprintf(err, PA_STREAM_ERRLEN, "cannot make a certificate");
	return ok ? 0 : PA_ENOMEM;
}

int pa_stream_tls_server(const char *certificate, const char *key, struct pa_stream_tls **ret,
			 char err[PA_STREAM_ERRLEN])
{
	struct pa_stream_tls *tls;
	int rc = new_tls(TLS_server_method(), &tls, err);

	if (rc < 0)
		return rc;
	ERR_clear_error();
	if (certificate == NULL)
		rc = use_self_signed(tls->ctx, err);
	else if (SSL_CTX_use_certificate_chain_file(tls->ctx, certificate) != 1)
		rc = pa_tls_file_error(certificate, "cannot use this certificate", err);
	else
		rc = pa_tls_use_key(tls->ctx, key, err);
	if (rc < 0) {
		pa_stream_tls_free(tls);
		return rc;
	}
	*ret = tls;
	return 0;
}

/* ---------------------------------------------------------------- the connecting end */

int pa_stream_tls_client(const char *ca, struct pa_stream_tls **ret, char err[PA_STREAM_ERRLEN])
{
	struct pa_stream_tls *tls;
	int rc = new_tls(TLS_client_method(), &tls, err);
	bool ok = true;

	if (rc < 0)
		return rc;
	ERR_clear_error();
	if (ca != NULL) {
		SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
		ok = strcmp(ca, "system") == 0 ? SSL_CTX_set_default_verify_paths(tls->ctx) == 1
					       : SSL_CTX_load_verify_locations(tls->ctx, ca, NULL) == 1;
	}
	if (!ok) {
		rc = pa_tls_file_error(ca, "cannot use these certificates of an authority", err);
		pa_stream_tls_free(tls);
		return rc;
	}
	*ret = tls;
	return 0;
}

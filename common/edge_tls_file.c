/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_tls_file.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"

int pa_tls_file_error(const char *path, const char *what, char err[PA_TLS_ERRLEN])
{
	unsigned long code = ERR_get_error();
	/* Of the system's errors OpenSSL 3 has no text. */
	const char *reason = code == 0 ? "" : ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

	(void)snprintf(err, PA_TLS_ERRLEN, "%.120s: %s%s%s", path, what, reason != NULL && *reason != '\0' ? ": " : "",
		       reason != NULL ? reason : "");
	ERR_clear_error();
	return PA_EFORMAT;
}

int pa_tls_use_key(SSL_CTX *ctx, const char *path, char err[PA_TLS_ERRLEN])
{
	char *text;
	size_t len;
	int rc = pa_file_read(path, true, &text, &len, err);
	EVP_PKEY *key;
	BIO *bio;

	if (rc < 0)
		return rc;
	bio = BIO_new_mem_buf(text, (int)len);
	key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	if (key == NULL)
		rc = pa_tls_file_error(path, "holds no private key in PEM", err);
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		rc = pa_tls_file_error(path, "is not the key of the certificate", err);
	EVP_PKEY_free(key);
	BIO_free(bio);
	pa_wipe(text, len);
	free(text);
	return rc;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/edge_tls_identity.h"
#include "common/err.h"
#include "common/log.h"

#define HANDSHAKE_MS 10000
#define QUEUE_MAX (256u << 10) /* bytes that may wait on one side before the other is read no further */
#define CONNECTIONS_MAX 64
#define FAILED_LOG_MS 1000

enum { TCP, PLAIN, TIMER, HANDLES };

struct connection {
	struct pa_tls *tls;
	struct connection *prev, *next;
	SSL *ssl;
	uv_tcp_t tcp;
	uv_pipe_t plain;
	uv_timer_t timer; /* the handshake's */
	uv_connect_t connect;
	unsigned open;	  /* handles that libuv still has */
	bool server, ready, closing, has_plain;
	bool tcp_paused, plain_paused;
	char name[PA_TLS_NAME_MAX + 1]; /* client: whom the peer has to be; server: who it is */
	char peer[PA_ENDPOINT_STRLEN];
	char buf[16384];
};

struct pa_tls {
	uv_loop_t *loop;
	struct pa_tls_identity *id;
	uv_tcp_t listener;
	bool listening;
	pa_tls_accepted accepted;
	void *accepted_ctx;
	struct connection *connections;
	unsigned n;
	uint64_t failed_ms; /* loop time of the last line about a failure; 0: none yet */
};

struct chunk {
	uv_write_t write;
	struct connection *c;
	char data[];
};

int pa_tls_new(uv_loop_t *loop, const struct pa_tls_files *files, struct pa_tls **ret, char err[PA_TLS_ERRLEN])
{
	struct pa_tls_identity *id;
	struct pa_tls *tls;
	int rc = pa_tls_identity_load(files, &id, err);

	if (rc < 0)
		return rc;
	tls = calloc(1, sizeof(*tls));
	if (tls == NULL) {
		(void)snprintf(err, PA_TLS_ERRLEN, "out of memory");
		pa_tls_identity_free(id);
		return PA_ENOMEM;
	}
	tls->loop = loop;
	pa_tls_use(tls, id);
	(void)signal(SIGPIPE, SIG_IGN);
	*ret = tls;
	return 0;
}

void pa_tls_use(struct pa_tls *tls, struct pa_tls_identity *id)
{
	char why[PA_TLS_ERRLEN];

	/* Connections that are there hold what they began with. */
	pa_tls_identity_free(tls->id);
	tls->id = id;
	if (pa_tls_identity_valid(id, why) < 0)
		pa_log(PA_LOG_WARN, "tls.certificate", "reason=\"%s; peers will refuse it\"", why);
	else
		pa_log(PA_LOG_INFO, "tls.certificate", "file=%s until=%s", pa_tls_identity_file(id), pa_tls_identity_until(id));
}

void pa_tls_free(struct pa_tls *tls)
{
	if (tls == NULL)
		return;
	PA_REQUIRE(tls->connections == NULL);
	pa_tls_identity_free(tls->id);
	free(tls);
}

/* ---------------------------------------------------------------- names */

static bool is_name(const char *name, const unsigned char *s, int len)
{
	return len >= 0 && strlen(name) == (size_t)len && memcmp(name, s, (size_t)len) == 0;
}

/* The common name, "" if there is none or it is too long or holds a NUL. */
static void common_name(X509 *cert, char ret[PA_TLS_NAME_MAX + 1])
{
	X509_NAME *subject = X509_get_subject_name(cert);
	int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *s = i >= 0 ? X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)) : NULL;
	int len = s != NULL ? ASN1_STRING_length(s) : 0;

	ret[0] = '\0';
	if (len <= 0 || len > PA_TLS_NAME_MAX || memchr(ASN1_STRING_get0_data(s), '\0', (size_t)len) != NULL)
		return;
	memcpy(ret, ASN1_STRING_get0_data(s), (size_t)len);
	ret[len] = '\0';
}

static bool has_name(X509 *cert, const char *name)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char common[PA_TLS_NAME_MAX + 1];
	bool found;

	common_name(cert, common);
	found = strcmp(common, name) == 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		found = g->type == GEN_DNS && is_name(name, ASN1_STRING_get0_data(g->d.dNSName),
						      ASN1_STRING_length(g->d.dNSName));
	}
	GENERAL_NAMES_free(names);
	return found;
}

/* ---------------------------------------------------------------- closing */

static void on_closed(uv_handle_t *h)
{
	struct connection *c = h->data;

	if (--c->open > 0)
		return;
	SSL_free(c->ssl);
	free(c);
}

/* Anybody can connect, so that is one line a second at most. */
static void log_failure(const struct connection *c, const char *reason)
{
	uint64_t now = uv_now(c->tls->loop) + 1;

	if (c->tls->failed_ms != 0 && now < c->tls->failed_ms + FAILED_LOG_MS)
		return;
	c->tls->failed_ms = now;
	pa_log(PA_LOG_WARN, "tls.failed", "peer=%s reason=\"%s\"", c->peer, reason);
}

static void close_connection(struct connection *c, const char *reason)
{
	if (c->closing)
		return;
	c->closing = true;
	if (reason != NULL && !c->ready)
		log_failure(c, reason);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->tls->connections = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->tls->n--;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
	uv_close((uv_handle_t *)&c->timer, on_closed);
	if (c->has_plain)
		uv_close((uv_handle_t *)&c->plain, on_closed);
}

void pa_tls_close(struct pa_tls *tls)
{
	if (tls == NULL)
		return;
	if (tls->listening)
		uv_close((uv_handle_t *)&tls->listener, NULL);
	tls->listening = false;
	while (tls->connections != NULL)
		close_connection(tls->connections, NULL);
}

/* ---------------------------------------------------------------- the two sides */

static void resume(struct connection *c);

static void on_written(uv_write_t *w, int status)
{
	struct chunk *chunk = w->data;
	struct connection *c = chunk->c;

	free(chunk);
	if (status < 0)
		close_connection(c, uv_strerror(status));
	else
		resume(c);
}

static void push(struct connection *c, uv_stream_t *to, const char *data, size_t len)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + len);
	uv_buf_t buf;

	if (chunk == NULL) {
		close_connection(c, "out of memory");
		return;
	}
	memcpy(chunk->data, data, len);
	chunk->c = c;
	chunk->write.data = chunk;
	buf = uv_buf_init(chunk->data, (unsigned)len);
	if (uv_write(&chunk->write, to, &buf, 1, on_written) < 0) {
		free(chunk);
		close_connection(c, "cannot write");
	}
}

/* What OpenSSL wants sent. */
static void flush(struct connection *c)
{
	char buf[16384];
	int n;

	while (!c->closing && (n = BIO_read(SSL_get_wbio(c->ssl), buf, sizeof(buf))) > 0)
		push(c, (uv_stream_t *)&c->tcp, buf, (size_t)n);
}

static const char *why(const struct connection *c)
{
	long verify = SSL_get_verify_result(c->ssl);
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return verify != X509_V_OK ? X509_verify_cert_error_string(verify) : text != NULL ? text : "TLS error";
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct connection *c = h->data;

	(void)size;
	*buf = uv_buf_init(c->buf, sizeof(c->buf));
}

static void on_plain(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct connection *c = stream->data;
	size_t done = 0, wrote;

	if (n < 0) {
		(void)SSL_shutdown(c->ssl);
		flush(c);
		close_connection(c, NULL);
		return;
	}
	while (n > 0 && done < (size_t)n && !c->closing) {
		if (SSL_write_ex(c->ssl, buf->base + done, (size_t)n - done, &wrote) != 1) {
			close_connection(c, why(c));
			return;
		}
		done += wrote;
		flush(c);
	}
	if (!c->closing && uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp) > QUEUE_MAX) {
		c->plain_paused = true;
		(void)uv_read_stop(stream);
	}
}

static int open_plain(struct connection *c, int fd)
{
	if (uv_pipe_init(c->tls->loop, &c->plain, 0) < 0)
		return PA_EIO;
	c->plain.data = c;
	c->has_plain = true;
	c->open++;
	return uv_pipe_open(&c->plain, fd) < 0 ? PA_EIO : 0;
}

static int make_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ? PA_EIO : 0;
}

/* The handshake is done: is the peer who it has to be? Then the plain side begins. */
static void become_ready(struct connection *c)
{
	X509 *cert = SSL_get0_peer_certificate(c->ssl);
	int fds[2];

	if (cert == NULL || (!c->server && !has_name(cert, c->name))) {
		close_connection(c, "the certificate has another name than the configured one");
		return;
	}
	if (c->server) {
		common_name(cert, c->name);
		if (c->name[0] == '\0' || make_pair(fds) < 0) {
			close_connection(c, c->name[0] == '\0' ? "the certificate has no usable common name" : strerror(errno));
			return;
		}
		if (open_plain(c, fds[0]) < 0) {
			close(fds[0]);
			close(fds[1]);
			close_connection(c, "cannot open a socket pair");
			return;
		}
	}
	c->ready = true;
	(void)uv_timer_stop(&c->timer);
	pa_log(PA_LOG_INFO, "tls.connect", "peer=%s name=%s", c->peer, c->name);
	if (uv_read_start((uv_stream_t *)&c->plain, on_alloc, on_plain) < 0) {
		close_connection(c, "cannot read");
		if (c->server)
			close(fds[1]);
	} else if (c->server) {
		c->tls->accepted(c->tls->accepted_ctx, fds[1], c->name);
	}
}

/* Goes on with the handshake, then with what has been decrypted. */
static void advance(struct connection *c)
{
	char buf[16384];
	size_t n;
	int rc = 0;

	ERR_clear_error();
	if (!c->ready) {
		rc = SSL_do_handshake(c->ssl);
		flush(c);
		if (rc != 1) {
			if (SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ)
				close_connection(c, why(c));
			return;
		}
		become_ready(c);
	}
	while (!c->closing && (rc = SSL_read_ex(c->ssl, buf, sizeof(buf), &n)) == 1)
		push(c, (uv_stream_t *)&c->plain, buf, n);
	if (c->closing)
		return;
	rc = SSL_get_error(c->ssl, rc);
	flush(c);
	if (rc != SSL_ERROR_WANT_READ)
		close_connection(c, why(c));
}

static void on_tcp(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct connection *c = stream->data;

	if (n < 0 || (n > 0 && BIO_write(SSL_get_rbio(c->ssl), buf->base, (int)n) != (int)n)) {
		close_connection(c, n < 0 ? uv_strerror((int)n) : "out of memory");
		return;
	}
	advance(c);
	if (!c->closing && c->has_plain && uv_stream_get_write_queue_size((uv_stream_t *)&c->plain) > QUEUE_MAX) {
		c->tcp_paused = true;
		(void)uv_read_stop(stream);
	}
}

static void resume(struct connection *c)
{
	if (c->closing)
		return;
	if (c->plain_paused && uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp) <= QUEUE_MAX / 2) {
		c->plain_paused = false;
		(void)uv_read_start((uv_stream_t *)&c->plain, on_alloc, on_plain);
	}
	if (c->tcp_paused && uv_stream_get_write_queue_size((uv_stream_t *)&c->plain) <= QUEUE_MAX / 2) {
		c->tcp_paused = false;
		(void)uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_tcp);
	}
}

static void on_late(uv_timer_t *timer)
{
	close_connection(timer->data, "no handshake in time");
}

/* ---------------------------------------------------------------- both ends' beginnings */

/* A connection with its TCP handle and timer, in the list; close_connection ends it. NULL without memory. */
static struct connection *connection_new(struct pa_tls *tls, bool server)
{
	struct connection *c = calloc(1, sizeof(*c));
	BIO *in, *out;

	if (c == NULL || (c->ssl = SSL_new(pa_tls_identity_ctx(tls->id))) == NULL) {
		free(c);
		return NULL;
	}
	in = BIO_new(BIO_s_mem());
	out = BIO_new(BIO_s_mem());
	if (in == NULL || out == NULL || uv_tcp_init(tls->loop, &c->tcp) < 0) {
		BIO_free(in);
		BIO_free(out);
		SSL_free(c->ssl);
		free(c);
		return NULL;
	}
	SSL_set_bio(c->ssl, in, out);
	if (server)
		SSL_set_accept_state(c->ssl);
	else
		SSL_set_connect_state(c->ssl);
	(void)uv_timer_init(tls->loop, &c->timer); /* cannot fail */
	c->tcp.data = c->timer.data = c->connect.data = c;
	c->open = 2;
	c->tls = tls;
	c->server = server;
	c->next = tls->connections;
	if (c->next != NULL)
		c->next->prev = c;
	tls->connections = c;
	tls->n++;
	(void)uv_timer_start(&c->timer, on_late, HANDSHAKE_MS, 0);
	return c;
}

static void to_sockaddr(const struct pa_endpoint *e, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (pa_addr_is_ipv4(&e->addr)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		in->sin_addr.s_addr = htonl(pa_addr_to_ipv4(&e->addr));
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(e->port);
		memcpy(&in6->sin6_addr, e->addr.b, sizeof(e->addr.b));
	}
}

static void name_peer(struct connection *c)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);
	char addr[INET6_ADDRSTRLEN] = "unknown";

	if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&ss, &len) == 0)
		(void)uv_ip_name((struct sockaddr *)&ss, addr, sizeof(addr));
	(void)snprintf(c->peer, sizeof(c->peer), "%s", addr);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct pa_tls *tls = stream->data;
	struct connection *c = status == 0 ? connection_new(tls, true) : NULL;

	if (c == NULL)
		return;
	if (uv_accept(stream, (uv_stream_t *)&c->tcp) < 0) {
		close_connection(c, NULL);
		return;
	}
	name_peer(c);
	if (tls->n > CONNECTIONS_MAX)
		close_connection(c, "too many connections");
	else if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_tcp) < 0)
		close_connection(c, "cannot read");
}

int pa_tls_listen(struct pa_tls *tls, const struct pa_endpoint *at, pa_tls_accepted accepted, void *ctx,
		  char err[PA_TLS_ERRLEN])
{
	char text[PA_ENDPOINT_STRLEN];
	struct sockaddr_storage ss;
	int rc;

	to_sockaddr(at, &ss);
	tls->accepted = accepted;
	tls->accepted_ctx = ctx;
	rc = uv_tcp_init(tls->loop, &tls->listener);
	if (rc == 0) {
		tls->listening = true;
		tls->listener.data = tls;
		rc = uv_tcp_bind(&tls->listener, (struct sockaddr *)&ss, 0);
	}
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&tls->listener, 64, on_connection);
	if (rc < 0)
		(void)snprintf(err, PA_TLS_ERRLEN, "cannot listen on %s: %s%s", pa_endpoint_format(at, text), uv_strerror(rc),
			       rc == UV_EADDRNOTAVAIL ? "; it must be an address of this host" :
			       rc == UV_EADDRINUSE ? "; stop the process that has it (see: ss -ltnp)" : "");
	return rc < 0 ? PA_EIO : 0;
}

static void on_connected(uv_connect_t *req, int status)
{
	struct connection *c = req->data;

	if (c->closing)
		return;
	if (status == 0)
		status = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_tcp);
	if (status < 0)
		close_connection(c, uv_strerror(status));
	else
		advance(c);
}

int pa_tls_connect(struct pa_tls *tls, const struct pa_endpoint *to, const char *name)
{
	struct connection *c = strlen(name) <= PA_TLS_NAME_MAX ? connection_new(tls, false) : NULL;
	struct sockaddr_storage ss;
	int fds[2];

	if (c == NULL)
		return PA_ENOMEM;
	memcpy(c->name, name, strlen(name));
	(void)pa_endpoint_format(to, c->peer);
	if (make_pair(fds) < 0) {
		close_connection(c, strerror(errno));
		return PA_EIO;
	}
	if (open_plain(c, fds[0]) < 0) {
		close(fds[0]);
		close(fds[1]);
		close_connection(c, "cannot open a socket pair");
		return PA_EIO;
	}
	to_sockaddr(to, &ss);
	if (uv_tcp_connect(&c->connect, &c->tcp, (struct sockaddr *)&ss, on_connected) < 0)
		close_connection(c, "cannot connect"); /* the caller sees the end of its side */
	return fds[1];
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_tls_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/edge_tls_stream_int.h"
#include "common/err.h"
#include "common/relay.h"
#include "common/relay_auth.h"

#define INPUT_LEN (PA_RELAY_HEADER_LEN + PA_RELAY_BODY_MAX + 65536)
#define TURN_MAX 262144u /* octets each way before others of the loop have their turn */
#define RECORD_MAX 16384u
/* Key updates of the other side (RFC 8446, 4.6.3): so many, and one more for each so many octets. Nobody needs one before 2^24.5 records
 * (5.5), but each costs us a derivation, and an answer if it asks for one. */
#define UPDATES_MAX 32u
#define UPDATE_OCTETS (1u << 20)

enum { POLL, CHECK, PREPARE, HANDLES };

struct pa_stream {
	uv_poll_t poll;
	uv_check_t check;     /* what this round of the loop brought is sent at its end, */
	uv_prepare_t prepare; /* and what timers brought before it waits */
	unsigned open;	      /* handles that libuv still has */
	SSL *ssl;
	int fd;
	const struct pa_stream_ops *ops;
	void *ctx;
	bool read_waits;		    /* for room to write */
	bool flooded;			    /* by key updates */
	unsigned updates;
	uint64_t received;		    /* octets */
	bool ready, closing, dirty, silent; /* silent: whoever closes us does not want to be told */
	int events;			    /* that poll waits for */
	size_t len;			    /* in input */
	size_t out_len; /* in output: a record that TLS has begun to send has to be offered again as it was */
	uint8_t output[RECORD_MAX];
	uint8_t input[INPUT_LEN];
};

/* ---------------------------------------------------------------- the end */

static void on_handle_closed(uv_handle_t *h)
{
	struct pa_stream *s = h->data;

	if (--s->open > 0)
		return;
	SSL_free(s->ssl);
	close(s->fd);
	free(s);
}

static void close_handles(struct pa_stream *s)
{
	s->closing = true;
	uv_close((uv_handle_t *)&s->poll, on_handle_closed);
	uv_close((uv_handle_t *)&s->check, on_handle_closed);
	uv_close((uv_handle_t *)&s->prepare, on_handle_closed);
}

static void fail(struct pa_stream *s, const char *reason)
{
	if (s->closing)
		return;
	close_handles(s);
	if (!s->silent)
		s->ops->closed(s->ctx, reason);
}

static const char *why(const struct pa_stream *s, int error)
{
	long verify = SSL_get_verify_result(s->ssl);
	unsigned long code = ERR_peek_last_error();
	int os = errno;

	if (s->flooded)
		return "too many key updates";
	if (SSL_get_verify_mode(s->ssl) != SSL_VERIFY_NONE && verify != X509_V_OK)
		return X509_verify_cert_error_string(verify);
	if (error == SSL_ERROR_ZERO_RETURN)
		return "the other side closed the connection";
	if (code != 0 && ERR_reason_error_string(code) != NULL)
		return ERR_reason_error_string(code);
	return os != 0 ? strerror(os) : "the connection ended";
}

/* TLS takes key updates one after the other as long as there are any, and tells nobody: but for this. To it, the stream ends here. */
static void on_message(int written, int version, int type, const void *message, size_t len, SSL *ssl, void *arg)
{
	struct pa_stream *s = arg;

	(void)version;
	if (written || type != SSL3_RT_HANDSHAKE || len == 0 || *(const uint8_t *)message != SSL3_MT_KEY_UPDATE)
		return;
	if (++s->updates <= UPDATES_MAX + s->received / UPDATE_OCTETS)
		return;
	s->flooded = true;
	SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
}

/* ---------------------------------------------------------------- both directions */

static void on_poll(uv_poll_t *poll, int status, int events);

static void wait_for(struct pa_stream *s, int events)
{
	if (s->closing || s->events == events)
		return;
	s->events = events;
	if (uv_poll_start(&s->poll, events, on_poll) < 0)
		fail(s, "cannot wait for the socket");
}

/* True if the operation may go on later; sees to it that we hear of it. */
static bool later(struct pa_stream *s, int rc)
{
	int error = SSL_get_error(s->ssl, rc);

	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		wait_for(s, UV_READABLE | (error == SSL_ERROR_WANT_WRITE ? UV_WRITABLE : 0));
		return true;
	}
	fail(s, why(s, error));
	return false;
}

static void shake_hands(struct pa_stream *s)
{
	uint8_t exporter[PA_STREAM_EXPORTER_LEN];
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(s->ssl);
	if (rc != 1) {
		(void)later(s, rc);
		return;
	}
	if (SSL_export_keying_material(s->ssl, exporter, sizeof(exporter), PA_RELAY_EXPORTER_LABEL,
				       strlen(PA_RELAY_EXPORTER_LABEL), NULL, 0, 0) != 1) {
		fail(s, "TLS exports no keying material");
		return;
	}
	s->ready = true;
	wait_for(s, UV_READABLE);
	if (!s->closing)
		s->ops->ready(s->ctx, exporter);
	OPENSSL_cleanse(exporter, sizeof(exporter));
	/* The peer's first message may have come with the end of the handshake: no socket becomes readable for it. */
	if (!s->closing && SSL_has_pending(s->ssl))
		pa_stream_output(s);
}

static bool give_input(struct pa_stream *s)
{
	int64_t used = s->ops->input(s->ctx, s->input, s->len);

	if (s->closing)
		return false;
	if (used < 0 || (used == 0 && s->len == INPUT_LEN)) {
		fail(s, "the other side broke the rules");
		return false;
	}
	s->len -= (size_t)used;
	if (used > 0 && s->len > 0)
		memmove(s->input, s->input + used, s->len);
	return true;
}

static void take_input(struct pa_stream *s)
{
	size_t taken = 0;

	s->read_waits = false;
	while (!s->closing && taken < TURN_MAX) {
		size_t n;
		int rc;

		ERR_clear_error();
		errno = 0;
		rc = SSL_read_ex(s->ssl, s->input + s->len, INPUT_LEN - s->len, &n);
		if (rc != 1) {
			int error = SSL_get_error(s->ssl, rc);

			s->read_waits =
				error ==
				SSL_ERROR_WANT_WRITE; /* answers to key updates of a peer that does not read them */
			if (s->read_waits)
				wait_for(s, UV_WRITABLE);
			else if (error != SSL_ERROR_WANT_READ)
				fail(s, why(s, error));
			return;
		}
		s->len += n;
		s->received += n;
		taken += n;
		/* Handing on each record by itself would cost a move each; a full buffer or a dry socket is the time.
		 */
		if ((INPUT_LEN - s->len < RECORD_MAX || SSL_pending(s->ssl) == 0) && !give_input(s))
			return;
	}
	/* What TLS has read ahead already makes no socket readable. */
	if (!s->closing && SSL_has_pending(s->ssl))
		pa_stream_output(s);
}

/* Small frames share a record. */
static void fill_output(struct pa_stream *s)
{
	while (!s->closing && s->out_len < RECORD_MAX) {
		const uint8_t *p;
		size_t n = s->ops->peek(s->ctx, &p);

		if (n == 0 || s->closing)
			return;
		if (n > RECORD_MAX - s->out_len)
			n = RECORD_MAX - s->out_len;
		memcpy(s->output + s->out_len, p, n);
		s->out_len += n;
		s->ops->sent(s->ctx, n);
	}
}

static void give_output(struct pa_stream *s)
{
	size_t given = 0, wrote;

	while (!s->closing && given < TURN_MAX) {
		int rc;

		if (s->out_len == 0)
			fill_output(s);
		if (s->closing)
			return;
		if (s->out_len == 0) {
			wait_for(s, UV_READABLE);
			return;
		}
		ERR_clear_error();
		errno = 0;
		rc = SSL_write_ex(s->ssl, s->output, s->out_len, &wrote);
		if (rc != 1) {
			(void)later(s, rc);
			return;
		}
		given += wrote;
		memmove(s->output, s->output + wrote, s->out_len - wrote);
		s->out_len -= wrote;
	}
	wait_for(s, UV_READABLE | UV_WRITABLE);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct pa_stream *s = poll->data;

	if (status < 0) {
		fail(s, uv_strerror(status));
		return;
	}
	if (!s->ready) {
		shake_hands(s);
		return;
	}
	if (s->read_waits) {
		wait_for(s, UV_READABLE);
		events |= UV_READABLE;
	}
	if (!s->closing && (events & UV_READABLE))
		take_input(s);
	if (!s->closing && !s->read_waits && (events & UV_WRITABLE))
		give_output(s);
}

static void flush(struct pa_stream *s)
{
	(void)uv_check_stop(&s->check);
	(void)uv_prepare_stop(&s->prepare);
	s->dirty = false;
	if (s->closing || !s->ready)
		return;
	if (SSL_has_pending(s->ssl))
		take_input(s);
	if (!s->closing && !s->read_waits)
		give_output(s);
}

static void on_check(uv_check_t *h)
{
	flush(h->data);
}

static void on_prepare(uv_prepare_t *h)
{
	flush(h->data);
}

void pa_stream_output(struct pa_stream *s)
{
	if (s->dirty || s->closing || !s->ready)
		return;
	s->dirty = true;
	(void)uv_check_start(&s->check, on_check);
	(void)uv_prepare_start(&s->prepare, on_prepare);
}

void pa_stream_close(struct pa_stream *s)
{
	if (s == NULL || s->closing)
		return;
	s->silent = true;
	if (s->ready) {
		give_output(s);
		if (s->closing)
			return;
		(void)SSL_shutdown(s->ssl);
	}
	close_handles(s);
}

/* ---------------------------------------------------------------- the beginning */

static int new_stream(uv_loop_t *loop, SSL_CTX *ssl_ctx, int fd, const struct pa_stream_ops *ops, void *ctx,
		      struct pa_stream **ret)
{
	struct pa_stream *s = calloc(1, sizeof(*s));
	int on = 1;

	if (s == NULL)
		return PA_ENOMEM;
	s->fd = fd;
	s->ops = ops;
	s->ctx = ctx;
	s->poll.data = s->check.data = s->prepare.data = s;
	s->ssl = SSL_new(ssl_ctx);
	if (s->ssl == NULL || SSL_set_fd(s->ssl, fd) != 1 || uv_poll_init(loop, &s->poll, fd) < 0) {
		SSL_free(s->ssl);
		free(s);
		return PA_ENOMEM;
	}
	SSL_set_msg_callback(s->ssl, on_message);
	SSL_set_msg_callback_arg(s->ssl, s);
	(void)uv_check_init(loop, &s->check);
	(void)uv_prepare_init(loop, &s->prepare);
	s->open = HANDLES;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*ret = s;
	return 0;
}

int pa_stream_connect(uv_loop_t *loop, struct pa_stream_tls *tls, int fd, const char *name,
		      const struct pa_stream_ops *ops, void *ctx, struct pa_stream **ret)
{
	struct pa_stream *s;
	int rc = new_stream(loop, pa_stream_tls_ctx(tls), fd, ops, ctx, &s);

	if (rc < 0)
		return rc;
	SSL_set_connect_state(s->ssl);
	if (name != NULL && (SSL_set1_host(s->ssl, name) != 1 || SSL_set_tlsext_host_name(s->ssl, name) != 1)) {
		s->fd = dup(fd); /* the caller keeps his on failure */
		close_handles(s);
		return PA_ENOMEM;
	}
	wait_for(s, UV_READABLE | UV_WRITABLE);
	*ret = s;
	return 0;
}

int pa_stream_accept(uv_loop_t *loop, struct pa_stream_tls *tls, int fd, const struct pa_stream_ops *ops, void *ctx,
		     struct pa_stream **ret)
{
	struct pa_stream *s;
	int rc = new_stream(loop, pa_stream_tls_ctx(tls), fd, ops, ctx, &s);

	if (rc < 0)
		return rc;
	SSL_set_accept_state(s->ssl);
	wait_for(s, UV_READABLE);
	*ret = s;
	return 0;
}

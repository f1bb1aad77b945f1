/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_tls_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/edge_tls_stream_int.h"
#include "common/err.h"
#include "common/relay.h"
#include "common/relay_auth.h"

#define INPUT_LEN (PA_RELAY_HEADER_LEN + PA_RELAY_BODY_MAX + 65536)
#define TURN_MAX 262144u  /* octets each way before others of the loop have their turn */
#define RECORD_MAX 16384u /* octets of plain text (RFC 8446, 5.1) */
#define RECORD_MORE 256u  /* that a record may be longer when it is encrypted (5.2) */
/* Records wait for one call of the system: what is sent at once crosses hosts in packets of up to 64 KiB. */
#define OUTPUT_LEN (8 * (RECORD_MAX + RECORD_MORE))
/* Octets in the socket's queue that are not on the wire: on a slow path what is urgent would wait behind megabytes for seconds, on a fast
 * one the path would wait for us with few. What goes in so many microseconds, between these; looked at after each so many octets. */
#define UNSENT_MIN (128u << 10)
#define UNSENT_MAX (2u << 20)
#define UNSENT_US 20000u
#define UNSENT_LOOK (1u << 20)
/* Key updates (RFC 8446, 4.6.3) and session tickets (4.6.1) of the other side: so many, and one more for each so many octets. Nobody
 * needs a new key before 2^24.5 records (5.5), nor do we any ticket, but each costs us a derivation, and perhaps an answer. */
#define UPDATES_MAX 32u
#define UPDATE_OCTETS (1u << 20)

enum { POLL, CHECK, PREPARE, HANDLES };

struct pa_stream {
	uv_poll_t poll;
	uv_check_t check;     /* what this round of the loop brought is sent at its end, */
	uv_prepare_t prepare; /* and what timers brought before it waits */
	unsigned open;	      /* handles that libuv still has */
	SSL *ssl;	      /* reads from the socket, writes into a buffer, */
	BIO *output;	      /* whose other end this is: records on their way to the socket */
	int fd;
	const struct pa_stream_ops *ops;
	void *ctx;
	bool read_waits;		    /* for room to write */
	bool flooded;			    /* by them */
	unsigned updates;
	uint64_t received;		    /* octets */
	size_t sent;			    /* octets, since the path's rate was looked at */
	uint32_t unsent;		    /* that the socket may have before it says that it has room; 0: not set */
	bool ready, closing, dirty, silent; /* silent: whoever closes us does not want to be told */
	bool refused;			    /* see pa_stream_is_refused */
	int events;			    /* that poll waits for */
	char why[128];			    /* of the end, where the text is our own */
	size_t len;			    /* in input */
	uint8_t input[INPUT_LEN];
};

/* ---------------------------------------------------------------- the end */

static void on_handle_closed(uv_handle_t *h)
{
	struct pa_stream *s = h->data;

	if (--s->open > 0)
		return;
	SSL_free(s->ssl);
	BIO_free(s->output);
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

/* Before the first look the path is taken for a slow one. Nothing depends on the kernel's doing it. */
static void set_unsent(struct pa_stream *s)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	uint64_t room = 0;
	uint32_t unsent;

	memset(&info, 0, sizeof(info));
	if (s->unsent != 0 && getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_rtt > 0)
		room = (uint64_t)info.tcpi_snd_cwnd * info.tcpi_snd_mss * UNSENT_US / info.tcpi_rtt; /* a window each round trip, in us */
	unsent = room < UNSENT_MIN ? UNSENT_MIN : room > UNSENT_MAX ? UNSENT_MAX : (uint32_t)room;
	if (unsent != s->unsent)
		(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	s->unsent = unsent;
	s->sent = 0;
}

/* Returns 1 if nothing is left, 0 if the socket takes no more now, -1 and errno if it never will. */
static int send_records(struct pa_stream *s)
{
	char *p;
	int n;

	while (BIO_ctrl_pending(s->output) > 0 && (n = BIO_nread0(s->output, &p)) > 0) {
		ssize_t sent = send(s->fd, p, (size_t)n, MSG_NOSIGNAL);

		if (sent >= 0) {
			(void)BIO_nread(s->output, &p, (int)sent);
			s->sent += (size_t)sent;
			if (s->sent >= UNSENT_LOOK)
				set_unsent(s);
		} else if (errno == EAGAIN) {
			return 0;
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return 1;
}

static void fail(struct pa_stream *s, const char *reason)
{
	if (s->closing)
		return;
	(void)send_records(s); /* an alert perhaps */
	close_handles(s);
	if (!s->silent)
		s->ops->closed(s->ctx, reason);
}

static const char *why_not(struct pa_stream *s, int os)
{
	s->refused |= os == ECONNREFUSED;
	return strerror(os);
}

static const char *why(struct pa_stream *s, int error)
{
	long verify = SSL_get_verify_result(s->ssl);
	unsigned long code = ERR_peek_last_error();
	int os = errno;

	if (s->flooded)
		return "too many key updates or session tickets";
	if (SSL_get_verify_mode(s->ssl) != SSL_VERIFY_NONE && verify != X509_V_OK) {
		s->refused = true;
		(void)snprintf(s->why, sizeof(s->why), "the certificate is not accepted: %s", X509_verify_cert_error_string(verify));
		return s->why;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		return "the other side closed the connection";
	if (code != 0 && ERR_reason_error_string(code) != NULL)
		return ERR_reason_error_string(code);
	return os != 0 ? why_not(s, os) : "the connection ended";
}

/* TLS takes them one after the other as long as there are any, and tells nobody: but for this. To it, the stream ends here. */
static void on_message(int written, int version, int type, const void *message, size_t len, SSL *ssl, void *arg)
{
	struct pa_stream *s = arg;

	(void)version;
	if (written || type != SSL3_RT_HANDSHAKE || len == 0 ||
	    (*(const uint8_t *)message != SSL3_MT_KEY_UPDATE && *(const uint8_t *)message != SSL3_MT_NEWSESSION_TICKET))
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

/* To the socket what it takes. True if nothing is left; else we hear of room, or it failed. */
static bool drain(struct pa_stream *s)
{
	int rc = send_records(s);

	if (rc < 0)
		fail(s, strerror(errno));
	else if (rc == 0)
		wait_for(s, s->events | UV_WRITABLE);
	return rc > 0;
}

static void shake_hands(struct pa_stream *s)
{
	uint8_t exporter[PA_STREAM_EXPORTER_LEN];
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(s->ssl);
	if (rc != 1) {
		int error = SSL_get_error(s->ssl, rc);

		if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
			fail(s, why(s, error));
			return;
		}
		wait_for(s, UV_READABLE);
		(void)drain(s);
		return;
	}
	if (SSL_export_keying_material(s->ssl, exporter, sizeof(exporter), PA_RELAY_EXPORTER_LABEL,
				       strlen(PA_RELAY_EXPORTER_LABEL), NULL, 0, 0) != 1) {
		fail(s, "TLS exports no keying material");
		return;
	}
	s->ready = true;
	wait_for(s, UV_READABLE);
	(void)drain(s);
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

/* What was read before the socket ran dry, or before it failed. */
static void end_of_input(struct pa_stream *s, int rc)
{
	int error = SSL_get_error(s->ssl, rc);
	const char *reason = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? NULL : why(s, error);

	if (s->len > 0 && !give_input(s))
		return;
	if (reason != NULL) {
		fail(s, reason);
	} else if (error == SSL_ERROR_WANT_WRITE) { /* answers to key updates of a peer that does not read them */
		s->read_waits = true;
		wait_for(s, UV_WRITABLE);
	}
}

/* Handing on each record by itself would cost a move each, and whoever takes them a call of the system. */
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
			end_of_input(s, rc);
			break;
		}
		s->len += n;
		s->received += n;
		taken += n;
		if ((INPUT_LEN - s->len < RECORD_MAX || taken >= TURN_MAX) && !give_input(s))
			return;
	}
	if (s->closing || s->read_waits)
		return;
	/* An answer that TLS has written by itself; and what it has read ahead, which makes no socket readable. */
	if ((BIO_ctrl_pending(s->output) > 0 && !(s->events & UV_WRITABLE)) || SSL_has_pending(s->ssl))
		pa_stream_output(s);
}

/* Encrypts from where it lies what there is to say, as far as whole records have room. */
static size_t fill_output(struct pa_stream *s)
{
	size_t given = 0;

	while (!s->closing && BIO_ctrl_get_write_guarantee(SSL_get_wbio(s->ssl)) >= RECORD_MAX + RECORD_MORE) {
		const uint8_t *p;
		size_t n = s->ops->peek(s->ctx, &p), wrote;

		if (n == 0 || s->closing)
			break;
		ERR_clear_error();
		errno = 0;
		if (SSL_write_ex(s->ssl, p, n < RECORD_MAX ? n : RECORD_MAX, &wrote) != 1) {
			fail(s, why(s, SSL_ERROR_SSL)); /* it has room */
			break;
		}
		s->ops->sent(s->ctx, wrote);
		given += wrote;
	}
	return given;
}

static void give_output(struct pa_stream *s)
{
	size_t given = 0, n;
	const uint8_t *p;

	if (!drain(s)) /* else what was left could leave no room, and that would look like nothing to say */
		return;
	do {
		n = fill_output(s);
		given += n;
		if (!drain(s))
			return;
	} while (n > 0 && given < TURN_MAX);
	if (n > 0 && !s->closing)
		n = s->ops->peek(s->ctx, &p); /* waiting for another event costs calls of the system */
	wait_for(s, UV_READABLE | (n > 0 ? UV_WRITABLE : 0));
}

/* libuv calls whatever befalls a socket EBADF; the socket knows better. */
static const char *error_of(struct pa_stream *s, int status)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0 ? why_not(s, error) : uv_strerror(status);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct pa_stream *s = poll->data;

	if (status < 0) {
		fail(s, error_of(s, status));
		return;
	}
	if (!s->ready) {
		shake_hands(s);
		return;
	}
	if (s->read_waits) {
		if (!drain(s))
			return;
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
	if (s->closing || !s->ready || s->read_waits)
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

bool pa_stream_is_refused(const struct pa_stream *s)
{
	return s->refused;
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
		(void)send_records(s);
	}
	close_handles(s);
}

/* ---------------------------------------------------------------- the beginning */

static bool connect_ends(struct pa_stream *s)
{
	BIO *in = BIO_new_socket(s->fd, BIO_NOCLOSE), *out = NULL;

	if (in == NULL)
		return false;
	SSL_set0_rbio(s->ssl, in);
	if (BIO_new_bio_pair(&out, OUTPUT_LEN, &s->output, 1) != 1)
		return false;
	SSL_set0_wbio(s->ssl, out);
	return true;
}

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
	if (s->ssl == NULL || !connect_ends(s) || uv_poll_init(loop, &s->poll, fd) < 0) {
		SSL_free(s->ssl);
		BIO_free(s->output);
		free(s);
		return PA_ENOMEM;
	}
	SSL_set_msg_callback(s->ssl, on_message);
	SSL_set_msg_callback_arg(s->ssl, s);
	(void)uv_check_init(loop, &s->check);
	(void)uv_prepare_init(loop, &s->prepare);
	s->open = HANDLES;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	set_unsent(s);
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

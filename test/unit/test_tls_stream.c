/* SPDX-License-Identifier: MPL-2.0 */
/* Streams over TLS on real sockets: every byte arrives once and in order, whatever the pieces; and what a hostile end
 * can ask of TLS. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/edge_tls_stream.h"
#include "test/unit/rnd.h"

#define TOTAL (24u << 20)
#define PIECE_MAX 200000u

TestSuite(tls_stream, .timeout = 60);

struct end {
	struct pa_stream *stream;
	struct rnd rnd;
	uint8_t exporter[PA_STREAM_EXPORTER_LEN];
	bool ready, closed, mute;
	uint64_t sent, got, total;
	unsigned inputs;
	uint8_t piece[PIECE_MAX];
};

static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 7 ^ i >> 11);
}

static void on_ready(void *ctx, const uint8_t *exporter)
{
	struct end *e = ctx;

	e->ready = true;
	memcpy(e->exporter, exporter, sizeof(e->exporter));
	pa_stream_output(e->stream);
}

/* Leaves a rest now and then, as who waits for a whole frame does. */
static int64_t on_input(void *ctx, const uint8_t *buf, size_t len)
{
	struct end *e = ctx;
	size_t n = len, bad = 0;

	if (e->got + len < e->total && rnd_below(&e->rnd, 2) == 0)
		n -= rnd_below(&e->rnd, (uint32_t)(len < 60000 ? len : 60000) + 1);
	for (size_t i = 0; i < n; i++)
		bad += buf[i] != byte_at(e->got + i); /* an assertion for each would take a minute */
	cr_assert_eq(bad, 0u, "%zu of the bytes from %zu on", bad, (size_t)e->got);
	e->got += n;
	e->inputs++;
	return (int64_t)n;
}

static size_t on_peek(void *ctx, const uint8_t **ptr)
{
	struct end *e = ctx;
	uint64_t left = e->mute ? 0 : e->total - e->sent;
	size_t n = 1 + rnd_below(&e->rnd, rnd_below(&e->rnd, 4) == 0 ? 100 : PIECE_MAX);

	if (n > left)
		n = (size_t)left;
	for (size_t i = 0; i < n; i++)
		e->piece[i] = byte_at(e->sent + i);
	*ptr = e->piece;
	return n;
}

static void on_sent(void *ctx, size_t n)
{
	struct end *e = ctx;

	e->sent += n;
}

static void on_closed(void *ctx, const char *reason)
{
	struct end *e = ctx;

	cr_assert_not_null(reason);
	e->closed = true;
}

static const struct pa_stream_ops ops = {on_ready, on_input, on_peek, on_sent, on_closed};

/* Two ends of a connection over the loopback device, with buffers of that size (0: the system's). */
static void sockets(int fds[2], int buffer)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (buffer > 0)
		cr_assert_eq(setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (buffer > 0)
		cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)), 0);
	cr_assert_eq(connect(fds[0], (struct sockaddr *)&at, sizeof(at)), 0);
	fds[1] = accept(listener, NULL, NULL);
	cr_assert_geq(fds[1], 0);
	close(listener);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
}

static struct pa_stream_tls *server_tls(void)
{
	char err[PA_STREAM_ERRLEN];
	struct pa_stream_tls *tls;

	cr_assert_eq(pa_stream_tls_server(NULL, NULL, &tls, err), 0);
	return tls;
}

static void end_loop(uv_loop_t *loop)
{
	(void)uv_run(loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(loop), 0);
}

/* The last bytes may be taken before the loop waits, and nothing wakes it then. */
static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

Test(tls_stream, bytes_pass_unchanged_both_ways_at_once)
{
	static struct end c = {.total = TOTAL}, s = {.total = TOTAL};
	struct pa_stream_tls *ctls, *stls = server_tls();
	char err[PA_STREAM_ERRLEN];
	uv_timer_t tick;
	uv_loop_t loop;
	int fds[2];

	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(uv_timer_init(&loop, &tick), 0);
	cr_assert_eq(uv_timer_start(&tick, on_tick, 10, 10), 0);
	c.rnd = rnd_seed(1);
	s.rnd = rnd_seed(2);
	sockets(fds, 0);
	cr_assert_eq(pa_stream_tls_client(NULL, &ctls, err), 0);
	cr_assert_eq(pa_stream_connect(&loop, ctls, fds[0], NULL, &ops, &c, &c.stream), 0);
	cr_assert_eq(pa_stream_accept(&loop, stls, fds[1], &ops, &s, &s.stream), 0);
	while ((c.got < TOTAL || s.got < TOTAL) && !c.closed && !s.closed)
		(void)uv_run(&loop, UV_RUN_ONCE);
	cr_assert(c.got == TOTAL && s.got == TOTAL && !c.closed && !s.closed);
	cr_assert_arr_eq(c.exporter, s.exporter, PA_STREAM_EXPORTER_LEN);
	pa_stream_close(c.stream);
	while (!s.closed)
		(void)uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	end_loop(&loop);
	pa_stream_tls_free(ctls);
	pa_stream_tls_free(stls);
}

/* How many wishes for new keys, an octet with each, until the other end has enough of it. */
static unsigned asked(struct end *s, uv_loop_t *loop, SSL *ssl)
{
	unsigned n = 0;

	while (!s->closed && n < 400000) {
		uint8_t byte = byte_at(s->total);

		if (SSL_get_key_update_type(ssl) == SSL_KEY_UPDATE_NONE) {
			cr_assert_eq(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
			n++;
		}
		if (SSL_write(ssl, &byte, 1) == 1)
			s->total++;
		(void)uv_run(loop, UV_RUN_NOWAIT);
	}
	return n;
}

Test(tls_stream, who_asks_for_new_keys_over_and_over_is_let_go)
{
	static struct end s;
	struct pa_stream_tls *stls = server_tls();
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	uv_loop_t loop;
	int fds[2], rc;

	cr_assert_eq(uv_loop_init(&loop), 0);
	s.rnd = rnd_seed(3);
	sockets(fds, 4096);
	cr_assert_eq(SSL_set_fd(ssl, fds[0]), 1);
	SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	cr_assert_eq(pa_stream_accept(&loop, stls, fds[1], &ops, &s, &s.stream), 0);
	s.mute = true;
	while ((rc = SSL_connect(ssl)) != 1) {
		cr_assert_eq(SSL_get_error(ssl, rc), SSL_ERROR_WANT_READ);
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	/* 32 are granted without any traffic; many more may have been on their way by then. */
	cr_assert_gt(asked(&s, &loop, ssl), 32u);
	cr_assert(s.closed && s.got >= 32 && s.got < 40, "%u octets", (unsigned)s.got);
	end_loop(&loop);
	SSL_free(ssl);
	close(fds[0]);
	SSL_CTX_free(ctx);
	pa_stream_tls_free(stls);
}

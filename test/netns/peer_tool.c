/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A peer for tests with thousands of connections, which a process each would be too much for:
 *	peer_tool echo ADDRESS:PORT	sends back what comes
 *	peer_tool mute ADDRESS:PORT	never reads
 *	peer_tool source ADDRESS:PORT	never stops to send
 * On SIGTERM it ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "common/addr.h"
#include "tunnel/net_udp.h"

#define PIECE 16384

struct caller {
	uv_tcp_t tcp;
	uv_write_t write;
	const char *mode;
	char buf[PIECE];
};

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct caller *c = h->data;

	(void)size;
	*buf = uv_buf_init(c->buf, sizeof(c->buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void on_written(uv_write_t *w, int status)
{
	struct caller *c = w->data;
	uv_buf_t buf = uv_buf_init(c->buf, sizeof(c->buf));

	if (status < 0)
		uv_close((uv_handle_t *)&c->tcp, on_closed);
	else if (strcmp(c->mode, "source") == 0)
		(void)uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
	else
		(void)uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

/* The buffer is free again when it was written: until then nothing is read. */
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct caller *c = stream->data;
	uv_buf_t out;

	if (n == 0)
		return;
	(void)uv_read_stop(stream);
	if (n < 0) {
		uv_close((uv_handle_t *)&c->tcp, on_closed);
		return;
	}
	out = uv_buf_init(buf->base, (unsigned)n);
	(void)uv_write(&c->write, stream, &out, 1, on_written);
}

static void on_called(uv_stream_t *server, int status)
{
	struct caller *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL)
		return;
	c->tcp.data = c->write.data = c;
	c->mode = server->data;
	(void)uv_tcp_init(server->loop, &c->tcp);
	if (uv_accept(server, (uv_stream_t *)&c->tcp) < 0)
		uv_close((uv_handle_t *)&c->tcp, on_closed);
	else if (strcmp(c->mode, "mute") != 0)
		on_written(&c->write, 0);
}

static int usage(void)
{
	fprintf(stderr, "usage: peer_tool echo|mute|source ADDRESS:PORT\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	struct sockaddr_storage ss;
	struct pa_endpoint at;
	uv_tcp_t server;
	uv_loop_t loop;

	if (argc != 3 || pa_endpoint_parse(argv[2], 0, &at) < 0)
		return usage();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	(void)pa_sockaddr_to(&at, &ss);
	(void)uv_loop_init(&loop);
	(void)uv_tcp_init(&loop, &server);
	server.data = argv[1];
	if (uv_tcp_bind(&server, (struct sockaddr *)&ss, 0) < 0 || uv_listen((uv_stream_t *)&server, 4096, on_called) < 0) {
		fprintf(stderr, "peer_tool: cannot listen at %s\n", argv[2]);
		return 1;
	}
	return uv_run(&loop, UV_RUN_DEFAULT);
}

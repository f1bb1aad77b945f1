/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A client of the session relay for tests, without a daemon around it:
 *	relay_tool SERVER GRANT KEYFILE call PEER	a TCP session: standard input to the peer, what comes back to standard output
 *	relay_tool SERVER GRANT KEYFILE listen PORT	the same for the first peer that calls
 *	relay_tool SERVER GRANT KEYFILE udp PORT PEER	lines of standard input as datagrams to the peer, those that come as lines
 *	relay_tool SERVER GRANT KEYFILE resolve NAME	its addresses
 *	relay_tool SERVER GRANT KEYFILE many N PEER	N sessions at once, each with a line that has to come back
 *	relay_tool SERVER GRANT KEYFILE tunnel N	lines of standard input, hexadecimal, as datagrams of the tunnel, N times each; those
 *							that come as such lines
 * GRANT is hexadecimal. RELAY_CA is a file with authorities to believe, RELAY_NAME the name that the server's certificate has to have,
 * RELAY_NEXT a grant to go on with once a connection was lost. What happens is told on standard error, a line each: up, connected LOCAL PEER, over REASON... Exit code: 0, or
 * 1 with "failed REASON".
 */
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/hex.h"
#include "tunnel/relay_client_edge.h"

#define LINE "this line has to come back\n"

struct tool {
	uv_loop_t loop;
	struct pa_relay_client *client;
	uv_poll_t input;
	uv_timer_t closing;
	bool reading, ended, is_udp, is_tunnel, fin_sent, fin_got;
	int exit_code;
	struct pa_rsession *s; /* the one that standard input and output belong to */
	struct pa_endpoint peer;
	unsigned many, opened, done;
	uint64_t started_ms;
};

static void on_closing(uv_timer_t *timer)
{
	struct tool *t = timer->data;

	uv_close((uv_handle_t *)timer, NULL);
	pa_relay_client_close(t->client);
}

static void finish(struct tool *t, int code)
{
	if (t->ended)
		return;
	t->ended = true;
	t->exit_code = code;
	if (t->reading)
		(void)uv_poll_stop(&t->input);
	uv_close((uv_handle_t *)&t->input, NULL);
	(void)uv_timer_start(&t->closing, on_closing, 0, 0); /* not from inside of the link */
}

static void failed(struct tool *t, unsigned error)
{
	fprintf(stderr, "failed %s\n", pa_relay_error_name(error));
	finish(t, 1);
}

/* ---------------------------------------------------------------- standard input */

static void on_input(uv_poll_t *poll, int status, int events);

static void want_input(struct tool *t, bool on)
{
	if (t->reading == on || t->ended)
		return;
	t->reading = on;
	if (on)
		(void)uv_poll_start(&t->input, UV_READABLE, on_input);
	else
		(void)uv_poll_stop(&t->input);
}

static void send_tunnel(struct tool *t, char *lines, size_t len)
{
	uint8_t bytes[2048];

	for (char *line = lines, *end; (end = memchr(line, '\n', (size_t)(lines + len - line))) != NULL; line = end + 1) {
		int n;

		*end = '\0';
		n = pa_hex_decode(line, bytes, sizeof(bytes));
		for (unsigned i = 0; n > 0 && i < t->many; i++)
			(void)pa_rlink_tunnel(pa_relay_client_link(t->client), bytes, (size_t)n);
	}
}

static void read_datagrams(struct tool *t)
{
	char buf[4096];
	ssize_t n = read(0, buf, sizeof(buf));

	if (n == 0)
		want_input(t, false);
	if (t->is_tunnel) {
		send_tunnel(t, buf, n > 0 ? (size_t)n : 0);
		return;
	}
	for (char *line = buf, *end; n > 0 && (end = memchr(line, '\n', (size_t)(buf + n - line))) != NULL; line = end + 1)
		(void)pa_rlink_datagram(t->s, &t->peer, (uint8_t *)line, (size_t)(end - line));
}

static void on_input(uv_poll_t *poll, int status, int events)
{
	struct tool *t = poll->data;
	uint8_t *to;
	size_t room;
	ssize_t n;

	(void)status;
	(void)events;
	if (t->is_udp || t->is_tunnel) {
		read_datagrams(t);
		return;
	}
	while ((room = pa_rlink_reserve(t->s, &to)) > 0) {
		n = read(0, to, room);
		if (n < 0)
			return;
		if (n == 0) {
			want_input(t, false);
			pa_rlink_fin(t->s);
			t->fin_sent = true;
			if (t->fin_got)
				finish(t, 0);
			return;
		}
		pa_rlink_commit(t->s, (size_t)n);
	}
	want_input(t, false);
}

/* ---------------------------------------------------------------- what the relay says */

static void put_line(struct pa_rsession *s)
{
	uint8_t *to;
	size_t room = pa_rlink_reserve(s, &to);

	PA_REQUIRE(room >= strlen(LINE));
	memcpy(to, LINE, strlen(LINE));
	pa_rlink_commit(s, strlen(LINE));
}

static void on_result(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	char local[PA_ENDPOINT_STRLEN], remote[PA_ENDPOINT_STRLEN];
	struct tool *t = ctx;

	if (pa_rsession_is_name(s)) {
		for (unsigned i = 0; i < b->n_addrs; i++)
			printf("%s\n", pa_addr_format(&b->addrs[i], local));
		if (b->error != PA_RELAY_E_OK)
			failed(t, b->error);
		else
			finish(t, 0);
		return;
	}
	if (b->error != PA_RELAY_E_OK) {
		failed(t, b->error);
		return;
	}
	if (t->many > 0) {
		t->opened++;
		put_line(s);
		return;
	}
	if (b->remote.port != 0)
		fprintf(stderr, "connected %s %s\n", pa_endpoint_format(&b->local, local), pa_endpoint_format(&b->remote, remote));
	else
		fprintf(stderr, "listening %s\n", pa_endpoint_format(&b->local, local));
	if (b->remote.port != 0 || t->is_udp)
		want_input(t, true);
}

static void on_incoming(void *ctx, struct pa_rsession *s, struct pa_rsession *listener, const struct pa_relay_body *b)
{
	char local[PA_ENDPOINT_STRLEN], remote[PA_ENDPOINT_STRLEN];
	struct tool *t = ctx;

	if (listener != t->s) {
		pa_rlink_close(s, PA_RELAY_E_REFUSED);
		return;
	}
	fprintf(stderr, "incoming %s %s\n", pa_endpoint_format(&b->local, local), pa_endpoint_format(&b->remote, remote));
	t->s = s;
	want_input(t, true);
}

static void on_data(void *ctx, struct pa_rsession *s, const uint8_t *bytes, size_t len)
{
	struct tool *t = ctx;

	if (t->many == 0 && fwrite(bytes, 1, len, stdout) != len) {
		failed(t, PA_RELAY_E_MAX + 1);
		return;
	}
	pa_rlink_consumed(s, len);
	if (t->many == 0) {
		(void)fflush(stdout);
		return;
	}
	if (len != strlen(LINE) || memcmp(bytes, LINE, len) != 0) {
		failed(t, PA_RELAY_E_PROTOCOL);
		return;
	}
	if (++t->done == t->many) {
		uint64_t took = pa_now_get().boot_ms - t->started_ms;

		printf("%u sessions at once, all answered in %" PRIu64 " ms\n", t->many, took);
		finish(t, 0);
	}
}

static void on_datagram(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes, size_t len)
{
	char text[PA_ENDPOINT_STRLEN];

	(void)ctx;
	(void)s;
	printf("%s %.*s\n", pa_endpoint_format(peer, text), (int)len, (const char *)bytes);
	(void)fflush(stdout);
}

static void on_undelivered(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, enum pa_relay_error error)
{
	char text[PA_ENDPOINT_STRLEN];

	(void)ctx;
	(void)s;
	fprintf(stderr, "undelivered %s %s\n", pa_endpoint_format(peer, text), pa_relay_error_name(error));
}

static void on_fin(void *ctx, struct pa_rsession *s)
{
	struct tool *t = ctx;

	(void)s;
	fprintf(stderr, "fin\n");
	(void)fflush(stdout);
	t->fin_got = true;
	if (t->fin_sent)
		finish(t, 0);
}

static void on_reset(void *ctx, struct pa_rsession *s, enum pa_relay_error error)
{
	(void)s;
	failed(ctx, error);
}

static void on_writable(void *ctx, struct pa_rsession *s)
{
	(void)s;
	want_input(ctx, true);
}

static void on_tunnel(void *ctx, const uint8_t *bytes, size_t len)
{
	char text[2 * 2048 + 1];

	(void)ctx;
	if (len <= 2048)
		puts(pa_hex_encode(bytes, len, text));
	(void)fflush(stdout);
}

static const struct pa_rlink_ops ops = {.result = on_result, .incoming = on_incoming, .data = on_data, .datagram = on_datagram,
					.undelivered = on_undelivered, .fin = on_fin, .reset = on_reset, .writable = on_writable, .tunnel = on_tunnel};

static bool read_grant(const char *hex, struct pa_grant *ret)
{
	uint8_t option[PA_GRANT_MAX];
	int n = hex != NULL ? pa_hex_decode(hex, option, sizeof(option)) : -1;

	return n >= 0 && pa_grant_decode(option, (size_t)n, ret) == 0;
}

static uint64_t next_bind(void *ctx)
{
	(void)ctx;
	return pa_now_get().unix_ms;
}

static void on_up(void *ctx, bool resumed)
{
	struct tool *t = ctx;

	if (t->is_tunnel)
		want_input(t, true);
	fprintf(stderr, "up%s\n", resumed ? " resumed" : "");
}

static void on_down(void *ctx, const char *reason)
{
	struct tool *t = ctx;
	struct pa_grant next;

	if (read_grant(getenv("RELAY_NEXT"), &next))
		pa_relay_client_grant(t->client, &next);
	fprintf(stderr, "down %s\n", reason);
}

static void on_over(void *ctx, enum pa_relay_error error, bool final)
{
	struct tool *t = ctx;

	fprintf(stderr, "over %s%s\n", pa_relay_error_name(error), final ? " for good" : "");
	t->s = NULL;
	finish(t, 1);
}

/* ---------------------------------------------------------------- what is wanted */

static int usage(void)
{
	fprintf(stderr, "usage: relay_tool SERVER GRANT KEYFILE call|listen|udp|resolve|many|tunnel ...\n");
	return 2;
}

static int begin(struct tool *t, int argc, char **argv)
{
	struct pa_relay_body b = {.kind = PA_RELAY_TCP};
	struct pa_rlink *link = pa_relay_client_link(t->client);
	const char *what = argv[4];

	if (strcmp(what, "resolve") == 0 && argc == 6) {
		(void)snprintf(b.name, sizeof(b.name), "%s", argv[5]);
		t->s = pa_rlink_resolve(link, &b, NULL);
		return t->s != NULL ? 0 : usage();
	}
	if (strcmp(what, "tunnel") == 0 && argc == 6) {
		t->is_tunnel = true;
		t->many = (unsigned)strtoul(argv[5], NULL, 10);
		return 0;
	}
	if (strcmp(what, "call") == 0 && argc == 6) {
		if (pa_endpoint_parse(argv[5], 0, &b.remote) < 0)
			return usage();
	} else if (strcmp(what, "many") == 0 && argc == 7) {
		t->many = (unsigned)strtoul(argv[5], NULL, 10);
		if (pa_endpoint_parse(argv[6], 0, &b.remote) < 0)
			return usage();
	} else if (strcmp(what, "listen") == 0 && argc == 6) {
		b.kind = PA_RELAY_TCP_LISTEN;
		b.local.port = (uint16_t)strtoul(argv[5], NULL, 10);
	} else if (strcmp(what, "udp") == 0 && argc == 7) {
		b.kind = PA_RELAY_UDP;
		b.local.port = (uint16_t)strtoul(argv[5], NULL, 10);
		t->is_udp = true;
		if (pa_endpoint_parse(argv[6], 0, &t->peer) < 0)
			return usage();
	} else {
		return usage();
	}
	for (unsigned i = 0; i < (t->many > 0 ? t->many : 1); i++)
		if ((t->s = pa_rlink_open(link, &b, NULL)) == NULL)
			return usage();
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t key[PA_KEY_LEN] = {0};
	struct pa_keyring *ring;
	char err[PA_STREAM_ERRLEN];
	struct pa_stream_tls *tls;
	struct tool t = {0};
	struct pa_relay_client_config cfg = {.loop = &t.loop, .secret_key = key, .next_bind = next_bind, .up = on_up, .down = on_down,
					     .over = on_over, .ops = &ops, .ctx = &t};
	struct pa_grant g;
	int rc;

	if (argc < 6 || pa_endpoint_parse(argv[1], PA_RELAY_PORT, &cfg.server) < 0)
		return usage();
	if (pa_cred_init() < 0 || !read_grant(argv[2], &g) || pa_keyring_load(argv[3], &ring, err) < 0 || pa_stream_tls_client(getenv("RELAY_CA"), &tls, err) < 0) {
		fprintf(stderr, "cannot use the grant, the key or the authority\n");
		return 2;
	}
	cfg.tls = tls;
	cfg.name = getenv("RELAY_NAME");
	memcpy(key, pa_keyring_first(ring, PA_KEY_CLIENT)->key, sizeof(key));
	pa_keyring_free(ring);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)fcntl(0, F_SETFL, O_NONBLOCK);
	(void)uv_loop_init(&t.loop);
	t.input.data = t.closing.data = &t;
	(void)uv_timer_init(&t.loop, &t.closing);
	t.started_ms = pa_now_get().boot_ms;
	if (uv_poll_init(&t.loop, &t.input, 0) < 0 || pa_relay_client_new(&cfg, &g, &t.client) < 0) {
		fprintf(stderr, "standard input has to be a pipe\n");
		return 2;
	}
	rc = begin(&t, argc, argv);
	if (rc == 0)
		(void)uv_run(&t.loop, UV_RUN_DEFAULT);
	pa_stream_tls_free(tls);
	return rc != 0 ? rc : t.exit_code;
}

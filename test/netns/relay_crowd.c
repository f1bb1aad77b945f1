/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Many sessions of the session relay at once, for tests:
 *	relay_crowd SERVER KEYFILE GRANTS N PEER echo	each sends a line, which has to come back
 *	relay_crowd SERVER KEYFILE GRANTS N PEER push	each sends as much as it may
 *	relay_crowd SERVER KEYFILE GRANTS N PEER stall	each takes from the peer as much as it may, and hands it on to nobody
 * GRANTS is a file with a grant in hexadecimal on each line: so many connections, with N sessions each. It says "open N" when all are
 * open, "answered N", or "full N" when no session has room any more, then waits for the end of standard input. Exit code 0, or 1
 * with "failed REASON" or "over REASON".
 */
#include <inttypes.h>
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
#define WAVE 500     /* sessions of one connection whose peer has not answered yet */
#define STRANGERS 8  /* connections that are being made; a server takes few from one address */
#define MEMBERS_MAX 1024

enum way { WAY_ECHO, WAY_PUSH, WAY_STALL };

struct crowd;

struct member {
	struct crowd *crowd;
	struct pa_relay_client *client;
	unsigned wanted, open; /* sessions */
};

struct crowd {
	uv_loop_t loop;
	uv_poll_t input;
	uv_timer_t closing;
	struct pa_relay_client_config cfg;
	struct pa_grant grants[MEMBERS_MAX];
	struct member members[MEMBERS_MAX];
	unsigned n, begun, up;
	unsigned each, open, done;
	struct pa_endpoint peer;
	enum way way;
	bool ended;
	int exit_code;
	uint64_t started_ms;
};

/* ---------------------------------------------------------------- the end */

static void on_closing(uv_timer_t *timer)
{
	struct crowd *c = timer->data;

	for (unsigned i = 0; i < c->begun; i++)
		pa_relay_client_close(c->members[i].client);
	uv_close((uv_handle_t *)&c->input, NULL);
	uv_close((uv_handle_t *)timer, NULL);
}

static void finish(struct crowd *c, int code)
{
	if (c->ended)
		return;
	c->ended = true;
	c->exit_code = code;
	(void)uv_timer_start(&c->closing, on_closing, 0, 0); /* not from inside of a link */
}

static void failed(struct crowd *c, const char *what, unsigned error)
{
	if (!c->ended)
		fprintf(stderr, "%s %s\n", what, pa_relay_error_name(error));
	finish(c, 1);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
	struct crowd *c = poll->data;
	char buf[64];

	(void)status;
	(void)events;
	if (read(0, buf, sizeof(buf)) <= 0) {
		(void)uv_poll_stop(poll);
		finish(c, 0);
	}
}

static void say(struct crowd *c, const char *what, unsigned n)
{
	printf("%s %u in %" PRIu64 " ms\n", what, n, pa_now_get().boot_ms - c->started_ms);
	(void)fflush(stdout);
}

/* ---------------------------------------------------------------- sessions */

static void call_more(struct member *m)
{
	struct pa_relay_body b = {.kind = PA_RELAY_TCP, .remote = m->crowd->peer};

	while (m->wanted < m->crowd->each && m->wanted - m->open < WAVE) {
		if (pa_rlink_open(pa_relay_client_link(m->client), &b, m) == NULL) {
			failed(m->crowd, "failed", PA_RELAY_E_LIMIT);
			return;
		}
		m->wanted++;
	}
}

static void full(struct crowd *c)
{
	if (++c->done == c->n * c->each)
		say(c, "full", c->done);
}

/* Until there is no credit left; where only the connection has no room the writable op comes soon. */
static void push(struct crowd *c, struct pa_rsession *s)
{
	size_t room, sent = (size_t)(uintptr_t)pa_rsession_user(s);
	uint8_t *to;

	while ((room = pa_rlink_reserve(s, &to)) > 0) {
		memset(to, 'x', room);
		pa_rlink_commit(s, room);
		sent += room;
	}
	/* The first window, and what the peer's socket and ours hold. */
	if (sent >= PA_RELAY_WINDOW && (uintptr_t)pa_rsession_user(s) < PA_RELAY_WINDOW)
		full(c);
	pa_rsession_set_user(s, (void *)(uintptr_t)sent);
}

/* A session's user is how much of the line it has sent, and how much has come back. */
#define SENT_ONE 256u

/*
 * In pieces where the room is: a window takes all of it, but the ring of the connection has an end. Where the connection has no room
 * now, the writable op comes, once for each that was refused.
 */
static void put_line(struct pa_rsession *s)
{
	uintptr_t user = (uintptr_t)pa_rsession_user(s);
	size_t at = user / SENT_ONE, room;
	uint8_t *to;

	while (at < strlen(LINE) && (room = pa_rlink_reserve(s, &to)) > 0) {
		size_t n = strlen(LINE) - at < room ? strlen(LINE) - at : room;

		memcpy(to, &LINE[at], n);
		pa_rlink_commit(s, n);
		at += n;
	}
	pa_rsession_set_user(s, (void *)(at * SENT_ONE + user % SENT_ONE));
}

static void start_session(void *ctx, struct pa_rsession *s)
{
	struct crowd *c = ctx;

	if (c->way == WAY_ECHO)
		put_line(s);
	else if (c->way == WAY_PUSH)
		push(c, s);
}

static void on_result(void *ctx, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct member *m = ctx;
	struct crowd *c = m->crowd;

	if (b->error != PA_RELAY_E_OK) {
		failed(c, "failed", b->error);
		return;
	}
	pa_rsession_set_user(s, NULL);
	m->open++;
	c->open++;
	call_more(m);
	if (c->open < c->n * c->each)
		return;
	say(c, "open", c->open);
	c->started_ms = pa_now_get().boot_ms;
	for (unsigned i = 0; i < c->n; i++)
		pa_rlink_each(pa_relay_client_link(c->members[i].client), start_session, c);
}

static void on_data(void *ctx, struct pa_rsession *s, const uint8_t *bytes, size_t len)
{
	struct crowd *c = ((struct member *)ctx)->crowd;
	uintptr_t at, sent; /* of the line */

	if (c->way == WAY_STALL) {
		if (pa_rsession_unread(s) == PA_RELAY_WINDOW)
			full(c);
		return;
	}
	at = (uintptr_t)pa_rsession_user(s) % SENT_ONE;
	sent = (uintptr_t)pa_rsession_user(s) / SENT_ONE;
	pa_rlink_consumed(s, len);
	pa_rsession_set_user(s, (void *)(sent * SENT_ONE + at + len));
	if (at + len > strlen(LINE) || memcmp(bytes, &LINE[at], len) != 0)
		failed(c, "failed", PA_RELAY_E_PROTOCOL);
	else if (at + len == strlen(LINE) && ++c->done == c->n * c->each)
		say(c, "answered", c->done);
}

static void on_writable(void *ctx, struct pa_rsession *s)
{
	struct crowd *c = ((struct member *)ctx)->crowd;

	if (c->way == WAY_PUSH)
		push(c, s);
	else if (c->way == WAY_ECHO)
		put_line(s);
}

static void on_fin(void *ctx, struct pa_rsession *s)
{
	(void)s;
	failed(((struct member *)ctx)->crowd, "failed", PA_RELAY_E_RESET);
}

static void on_reset(void *ctx, struct pa_rsession *s, enum pa_relay_error error)
{
	(void)s;
	failed(((struct member *)ctx)->crowd, "failed", error);
}

/* A crowd is not called, has no datagrams and no tunnel. */
static void on_incoming(void *ctx, struct pa_rsession *s, struct pa_rsession *listener, const struct pa_relay_body *b)
{
	(void)ctx;
	(void)listener;
	(void)b;
	pa_rlink_close(s, PA_RELAY_E_REFUSED);
}

static void on_datagram(void *ctx, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	(void)s;
	(void)peer;
	(void)bytes;
	(void)len;
}

static void on_tunnel(void *ctx, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
}

static const struct pa_rlink_ops ops = {.result = on_result, .incoming = on_incoming, .data = on_data, .datagram = on_datagram,
					.fin = on_fin, .reset = on_reset, .writable = on_writable, .tunnel = on_tunnel};

/* ---------------------------------------------------------------- connections */

static uint64_t next_bind(void *ctx)
{
	(void)ctx;
	return pa_now_get().unix_ms;
}

static void begin_more(struct crowd *c)
{
	while (c->begun < c->n && c->begun - c->up < STRANGERS) {
		struct member *m = &c->members[c->begun];

		m->crowd = c;
		c->cfg.ctx = m;
		if (pa_relay_client_new(&c->cfg, &c->grants[c->begun], &m->client) < 0) {
			failed(c, "failed", PA_RELAY_E_LIMIT);
			return;
		}
		c->begun++;
	}
}

static void on_up(void *ctx, bool resumed)
{
	struct member *m = ctx;

	if (resumed)
		return;
	m->crowd->up++;
	call_more(m);
	begin_more(m->crowd);
}

static void on_down(void *ctx, const char *reason)
{
	(void)ctx;
	fprintf(stderr, "down %s\n", reason);
}

static void on_over(void *ctx, enum pa_relay_error error, bool final)
{
	(void)final;
	failed(((struct member *)ctx)->crowd, "over", error);
}

/* ---------------------------------------------------------------- what is wanted */

static int usage(void)
{
	fprintf(stderr, "usage: relay_crowd SERVER KEYFILE GRANTS N PEER echo|push|stall\n");
	return 2;
}

static bool read_grants(struct crowd *c, const char *path)
{
	char line[2 * PA_GRANT_MAX + 2];
	FILE *f = fopen(path, "r");
	bool ok = f != NULL;

	while (ok && c->n < MEMBERS_MAX && fgets(line, sizeof(line), f) != NULL) {
		uint8_t option[PA_GRANT_MAX];
		int n;

		line[strcspn(line, "\n")] = '\0';
		n = pa_hex_decode(line, option, sizeof(option));
		ok = n >= 0 && pa_grant_decode(option, (size_t)n, &c->grants[c->n++]) == 0;
	}
	if (f != NULL)
		(void)fclose(f);
	return ok && c->n > 0;
}

static bool read_way(const char *word, enum way *ret)
{
	static const char *const words[] = {"echo", "push", "stall"};

	for (int i = 0; i < 3; i++) {
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum way)i;
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	struct crowd *c = calloc(1, sizeof(*c));
	char err[PA_STREAM_ERRLEN];
	uint8_t key[PA_KEY_LEN];
	struct pa_stream_tls *tls;
	struct pa_keyring *ring;

	if (c == NULL || argc != 7 || pa_endpoint_parse(argv[1], PA_RELAY_PORT, &c->cfg.server) < 0 ||
	    pa_endpoint_parse(argv[5], 0, &c->peer) < 0 || !read_way(argv[6], &c->way) || pa_cred_init() < 0)
		return usage();
	c->each = (unsigned)strtoul(argv[4], NULL, 10);
	if (!read_grants(c, argv[3]) || pa_keyring_load(argv[2], &ring, err) < 0 || pa_stream_tls_client(NULL, &tls, err) < 0) {
		fprintf(stderr, "cannot use the grants or the key\n");
		return 2;
	}
	memcpy(key, pa_keyring_first(ring, PA_KEY_CLIENT)->key, sizeof(key));
	pa_keyring_free(ring);
	c->cfg = (struct pa_relay_client_config){.loop = &c->loop, .server = c->cfg.server, .tls = tls, .secret_key = key,
						 .next_bind = next_bind, .up = on_up, .down = on_down, .over = on_over, .ops = &ops};
	(void)signal(SIGPIPE, SIG_IGN);
	(void)uv_loop_init(&c->loop);
	c->input.data = c->closing.data = c;
	(void)uv_timer_init(&c->loop, &c->closing);
	if (uv_poll_init(&c->loop, &c->input, 0) < 0 || uv_poll_start(&c->input, UV_READABLE, on_input) < 0) {
		fprintf(stderr, "standard input has to be a pipe\n");
		return 2;
	}
	c->started_ms = pa_now_get().boot_ms;
	begin_more(c);
	(void)uv_run(&c->loop, UV_RUN_DEFAULT);
	pa_stream_tls_free(tls);
	return c->exit_code;
}

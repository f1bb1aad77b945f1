/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A server of the session relay that means harm, over real TLS and with the gateway's own keys:
 *	relay_rogue LISTEN KEYFILE bytes	takes every OPEN, and sends what such a session cannot have: a stream's bytes to listening ports and
 *						datagrams, datagrams to listening ports, calls to what does not listen
 *	relay_rogue LISTEN KEYFILE noise SEED	takes every OPEN, and sends random frames
 *	relay_rogue LISTEN KEYFILE tickets	proves nothing, and sends nothing but TLS session tickets
 * One client at a time. What happens is told on standard output.
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/edge_file.h"
#include "common/edge_tls_stream.h"
#include "common/edge_tls_stream_int.h"
#include "common/err.h"
#include "common/keyfile.h"
#include "common/relay.h"
#include "common/relay_auth.h"
#include "tunnel/net_udp.h"

#define TICKETS 100000 /* for some seconds */
#define ROUNDS 64 /* of random frames after each of the client's */

struct rogue {
	struct pa_stream_tls *tls;
	struct pa_keyring *keys;
	const char *way;
	uint64_t rnd; /* xorshift64*, so that a seed says all */
	SSL *ssl;     /* of the client */
	struct pa_claims claims;
	uint32_t next; /* session of ours */
	uint32_t highest; /* of the client's */
};

/* ---------------------------------------------------------------- frames */

static bool read_all(struct rogue *r, uint8_t *buf, size_t len)
{
	while (len > 0) {
		size_t n;

		if (SSL_read_ex(r->ssl, buf, len, &n) != 1)
			return false;
		buf += n;
		len -= n;
	}
	return true;
}

/* The next frame; its body has room for any. */
static bool read_frame(struct rogue *r, struct pa_relay_header *h, uint8_t body[PA_RELAY_BODY_MAX])
{
	uint8_t head[PA_RELAY_HEADER_LEN];

	return read_all(r, head, sizeof(head)) && pa_relay_get_header(head, h) == 0 && read_all(r, body, h->length);
}

static bool say(struct rogue *r, uint8_t type, uint32_t session, const void *body, size_t len)
{
	static uint8_t buf[PA_RELAY_HEADER_LEN + PA_RELAY_BODY_MAX];
	struct pa_relay_header h = {.type = type, .session = session, .length = (uint16_t)len};

	pa_relay_put_header(buf, &h);
	if (len > 0)
		memcpy(buf + PA_RELAY_HEADER_LEN, body, len);
	return SSL_write(r->ssl, buf, (int)(PA_RELAY_HEADER_LEN + len)) > 0;
}

static bool say_fields(struct rogue *r, uint8_t type, uint32_t session, const struct pa_relay_body *b, size_t more)
{
	uint8_t body[PA_RELAY_FIELDS_MAX + 4096];
	int n = pa_relay_encode(type, b, body, sizeof(body));

	if (n < 0)
		n = 0;
	memset(body + n, 'r', more);
	return say(r, type, session, body, (size_t)n + more);
}

/* ---------------------------------------------------------------- the proof, with the gateway's keys */

static bool derive(struct rogue *r, const struct pa_relay_auth *a, struct pa_session_keys *ret)
{
	static const uint8_t no_cookie[PA_COOKIE_LEN];
	const struct pa_key *pool = pa_keyring_find(r->keys, PA_KEY_POOL, r->claims.key_id, r->claims.pool_id);
	const struct pa_key *own = pa_keyring_first(r->keys, PA_KEY_GATEWAY);
	uint8_t exporter[PA_STREAM_EXPORTER_LEN], secret[PA_KEY_LEN], public_key[PA_KEY_LEN];
	struct pa_session_input in = {.secret = secret, .own_secret = own->key, .peer_public = a->client_key,
				      .client_key = a->client_key, .gateway_key = public_key, .claims = a->claims,
				      .bind = a->bind, .nonce = a->nonce, .cookie = no_cookie, .exporter = exporter};

	if (pool == NULL)
		return false;
	pa_derive_secret(pool->key, a->claims, secret);
	pa_keypair_public(own->key, public_key);
	return SSL_export_keying_material(r->ssl, exporter, sizeof(exporter), PA_RELAY_EXPORTER_LABEL,
					  strlen(PA_RELAY_EXPORTER_LABEL), NULL, 0, 0) == 1 &&
	       pa_derive_session(&in, ret) == 0;
}

static bool prove(struct rogue *r)
{
	struct pa_relay_auth_ok ok = {.hold = PA_RELAY_HOLD_S, .lifetime = 600, .window = PA_RELAY_WINDOW, .id = {1}};
	uint8_t body[PA_RELAY_BODY_MAX], answer[PA_RELAY_AUTH_OK_LEN];
	struct pa_session_keys keys;
	struct pa_relay_header h;
	struct pa_relay_auth a;

	if (!read_frame(r, &h, body) || h.type != PA_RELAY_AUTH || pa_relay_auth_decode(body, h.length, &a) < 0 ||
	    pa_claims_decode(a.claims, &r->claims) < 0 || !derive(r, &a, &keys))
		return false;
	memcpy(ok.nonce, a.nonce, sizeof(ok.nonce));
	ok.mapped = (struct pa_endpoint){r->claims.addr, 1};
	return pa_relay_auth_ok_encode(&ok, keys.g2c, answer, sizeof(answer)) == PA_RELAY_AUTH_OK_LEN &&
	       say(r, PA_RELAY_AUTH_OK, 0, answer, sizeof(answer));
}

/* ---------------------------------------------------------------- what no session of that kind can have */

static bool take_open(struct rogue *r, const struct pa_relay_header *h, const struct pa_relay_body *b)
{
	struct pa_relay_body result = {.local = {r->claims.addr, b->local.port != 0 ? b->local.port : 40000}, .remote = b->remote};

	r->highest = h->session;
	printf("open %u\n", b->kind);
	(void)fflush(stdout);
	return say_fields(r, PA_RELAY_RESULT, h->session, &result, 0);
}

static bool say_bytes(struct rogue *r, const struct pa_relay_header *h, const struct pa_relay_body *b)
{
	struct pa_relay_body call = {.listener = h->session, .local = {r->claims.addr, 1}, .remote = {pa_addr_from_ipv4(0x08080808), 1}};

	if (b->kind == PA_RELAY_TCP)
		return true;
	if (b->kind == PA_RELAY_TCP_LISTEN) {
		if (!say_fields(r, PA_RELAY_DATAGRAM, h->session, &call, 100))
			return false;
	} else {
		if (!say_fields(r, PA_RELAY_INCOMING, r->next, &call, 0))
			return false;
		r->next += 2;
	}
	for (int i = 0; i < 3; i++)
		if (!say(r, PA_RELAY_DATA, h->session, "bytes", 5))
			return false;
	return say(r, PA_RELAY_FIN, h->session, NULL, 0);
}

/* ---------------------------------------------------------------- random frames */

static uint32_t rnd(struct rogue *r, uint32_t below)
{
	r->rnd ^= r->rnd >> 12;
	r->rnd ^= r->rnd << 25;
	r->rnd ^= r->rnd >> 27;
	return (uint32_t)((r->rnd * UINT64_C(2685821657736338717)) >> 33) % below;
}

static bool say_any(struct rogue *r)
{
	static const uint8_t types[] = {PA_RELAY_DATA, PA_RELAY_DATA, PA_RELAY_DATAGRAM, PA_RELAY_INCOMING, PA_RELAY_FIN, PA_RELAY_RESET,
					PA_RELAY_TUNNEL, PA_RELAY_PING, PA_RELAY_DATAGRAM};
	struct pa_relay_body b = {.local = {r->claims.addr, 7}, .remote = {pa_addr_from_ipv4(0x08080808), (uint16_t)(1 + rnd(r, 60000))},
				  .error = (uint8_t)(1 + rnd(r, PA_RELAY_E_MAX)), .count = rnd(r, 1000)};
	uint8_t type = types[rnd(r, sizeof(types))];
	uint32_t session = 1 + 2 * rnd(r, r->highest / 2 + 1);
	size_t more = type == PA_RELAY_DATA || type == PA_RELAY_DATAGRAM || type == PA_RELAY_TUNNEL ? 1 + rnd(r, 3000) : 0;

	if (type == PA_RELAY_RESET && rnd(r, 8) != 0)
		return true;
	if (type == PA_RELAY_INCOMING) {
		b.listener = session;
		session = r->next;
		r->next += 2;
	} else if (rnd(r, 4) == 0) {
		session = 2 + 2 * rnd(r, r->next / 2);
		session = session < r->next ? session : 1;
	}
	return say_fields(r, type, type >= PA_RELAY_UNCOUNTED ? 0 : session, &b, more);
}

static bool say_noise(struct rogue *r)
{
	for (int i = 0; i < ROUNDS; i++)
		if (!say_any(r))
			return false;
	return true;
}

/* ---------------------------------------------------------------- clients */

static void serve(struct rogue *r)
{
	static uint8_t body[PA_RELAY_BODY_MAX];
	struct pa_relay_header h;
	struct pa_relay_body b;
	bool good = prove(r);

	printf("proved %s\n", good ? "yes" : "no");
	(void)fflush(stdout);
	r->next = 2;
	r->highest = 0;
	while (good && read_frame(r, &h, body) && pa_relay_decode(h.type, body, h.length, &b) == 0) {
		if (h.type == PA_RELAY_OPEN)
			good = take_open(r, &h, &b) && (strcmp(r->way, "bytes") != 0 || say_bytes(r, &h, &b));
		if (h.type == PA_RELAY_PING)
			good = say(r, PA_RELAY_PONG, 0, body, h.length);
		if (good && strcmp(r->way, "noise") == 0 && r->highest != 0)
			good = say_noise(r);
	}
	printf("gone\n");
	(void)fflush(stdout);
}

static void give_tickets(struct rogue *r)
{
	unsigned n = 0;

	/* OpenSSL does not mind that nobody is there any more. */
	while (n < TICKETS && SSL_new_session_ticket(r->ssl) == 1 && SSL_do_handshake(r->ssl) == 1)
		n++;
	printf("gave %u tickets\n", n);
	(void)fflush(stdout);
}

static void take_client(struct rogue *r, int fd)
{
	r->ssl = SSL_new(pa_stream_tls_ctx(r->tls));
	if (r->ssl != NULL && SSL_set_fd(r->ssl, fd) == 1 && SSL_accept(r->ssl) == 1) {
		if (strcmp(r->way, "tickets") == 0)
			give_tickets(r);
		else
			serve(r);
	}
	SSL_free(r->ssl);
	close(fd);
}

static int listen_at(const char *text)
{
	struct pa_endpoint at;
	struct sockaddr_storage ss;
	int on = 1, fd;

	if (pa_endpoint_parse(text, PA_RELAY_PORT, &at) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&ss, pa_sockaddr_to(&at, &ss)) == 0 && listen(fd, 16) == 0)
		return fd;
	return -1;
}

int main(int argc, char **argv)
{
	char tls_err[PA_STREAM_ERRLEN], err[PA_FILE_ERRLEN];
	struct rogue r = {0};
	int listener, fd;

	if (argc < 4 || pa_cred_init() < 0 || pa_keyring_load(argv[2], &r.keys, err) < 0 ||
	    pa_stream_tls_server(NULL, NULL, &r.tls, tls_err) < 0) {
		fprintf(stderr, "usage: relay_rogue LISTEN KEYFILE bytes|noise SEED|tickets\n");
		return 2;
	}
	r.way = argv[3];
	r.rnd = argc > 4 ? strtoull(argv[4], NULL, 10) | 1 : 1;
	(void)signal(SIGPIPE, SIG_IGN);
	listener = listen_at(argv[1]);
	if (listener < 0) {
		fprintf(stderr, "cannot listen at %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	printf("listening\n");
	(void)fflush(stdout);
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		take_client(&r, fd);
	return 1;
}

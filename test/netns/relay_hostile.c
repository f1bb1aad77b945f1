/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A client of the session relay that breaks its rules, over real TLS:
 *	relay_hostile SERVER KEYFILE GRANT frames SEED ROUNDS PEER	proves its grant, then sends random and mutated frames, each time anew
 *	relay_hostile SERVER KEYFILE GRANT updates			proves its grant, then sends TLS key updates only
 *	relay_hostile SERVER - - updates				the same of somebody who proves nothing
 *	relay_hostile SERVER - - drip					an octet of a first message each second
 *	relay_hostile SERVER - - idle N FROM EACH			N connections, EACH from each address from FROM on; waits for standard input
 *	relay_hostile SERVER KEYFILE GRANT again N			resumes N times in a row
 * What came of it is a line on standard output. Exit code 0 if it could do all of it, else 1.
 */
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/grant.h"
#include "common/hex.h"
#include "common/keyfile.h"
#include "common/relay.h"
#include "common/relay_auth.h"
#include "tunnel/net_udp.h"

#define UPDATES 5000
#define FRAMES_MAX 65536

struct hostile {
	struct pa_endpoint server, peer;
	SSL_CTX *ctx;
	uint8_t key[PA_KEY_LEN];
	struct pa_grant grant;
	uint64_t bind;
	uint64_t rnd; /* xorshift64*, so that a seed says all */
};

struct tls {
	SSL *ssl;
	int fd;
};

/* ---------------------------------------------------------------- a connection */

static int open_tcp(const struct hostile *h, const struct pa_endpoint *from)
{
	struct timeval limit = {.tv_sec = 10};
	struct sockaddr_storage ss;
	socklen_t len = pa_sockaddr_to(&h->server, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage own;

	if (fd >= 0 && (from == NULL || bind(fd, (struct sockaddr *)&own, pa_sockaddr_to(from, &own)) == 0) &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 && connect(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool open_tls(const struct hostile *h, struct tls *ret)
{
	struct tls t = {.fd = open_tcp(h, NULL)};

	if (t.fd < 0)
		return false;
	t.ssl = SSL_new(h->ctx);
	if (t.ssl == NULL || SSL_set_fd(t.ssl, t.fd) != 1 || SSL_connect(t.ssl) != 1) {
		SSL_free(t.ssl);
		close(t.fd);
		return false;
	}
	*ret = t;
	return true;
}

static void close_tls(struct tls *t)
{
	SSL_free(t->ssl);
	close(t->fd);
}

static bool read_all(struct tls *t, uint8_t *buf, size_t len)
{
	while (len > 0) {
		size_t n;

		if (SSL_read_ex(t->ssl, buf, len, &n) != 1)
			return false;
		buf += n;
		len -= n;
	}
	return true;
}

/* ---------------------------------------------------------------- the proof */

static bool derive(struct hostile *h, struct tls *t, const struct pa_relay_auth *a, struct pa_session_keys *ret)
{
	static const uint8_t no_cookie[PA_COOKIE_LEN];
	uint8_t exporter[32];
	struct pa_session_input in = {.secret = h->grant.secret, .own_secret = h->key, .peer_public = h->grant.gateway_key,
				      .client_key = a->client_key, .gateway_key = h->grant.gateway_key, .claims = a->claims,
				      .bind = a->bind, .nonce = a->nonce, .cookie = no_cookie, .exporter = exporter};

	return SSL_export_keying_material(t->ssl, exporter, sizeof(exporter), PA_RELAY_EXPORTER_LABEL,
					  strlen(PA_RELAY_EXPORTER_LABEL), NULL, 0, 0) == 1 &&
	       pa_derive_session(&in, ret) == 0;
}

/* A good AUTH, as an honest client's; id: to resume, NULL: anew. The answer's type, or -1; OK's body in ret. */
static int prove(struct hostile *h, struct tls *t, const uint8_t *id, struct pa_relay_auth_ok *ret)
{
	struct pa_relay_auth a = {.bind = ++h->bind};
	uint8_t buf[PA_RELAY_HEADER_LEN + PA_RELAY_AUTH_LEN], k0[PA_KEY_LEN], body[PA_RELAY_AUTH_OK_LEN];
	struct pa_relay_header header = {.type = PA_RELAY_AUTH, .length = PA_RELAY_AUTH_LEN};
	struct pa_session_keys keys;

	pa_random(a.nonce, sizeof(a.nonce));
	if (id != NULL)
		memcpy(a.id, id, sizeof(a.id));
	pa_keypair_public(h->key, a.client_key);
	(void)pa_claims_encode(&h->grant.claims, a.claims);
	if (!derive(h, t, &a, &keys))
		return -1;
	pa_relay_put_header(buf, &header);
	pa_derive_k0(h->grant.secret, k0);
	(void)pa_relay_auth_encode(&a, k0, buf + PA_RELAY_HEADER_LEN, PA_RELAY_AUTH_LEN);
	pa_relay_auth_seal(buf + PA_RELAY_HEADER_LEN, keys.c2g);
	if (SSL_write(t->ssl, buf, sizeof(buf)) != (int)sizeof(buf) || !read_all(t, buf, PA_RELAY_HEADER_LEN) ||
	    pa_relay_get_header(buf, &header) < 0 || header.length > sizeof(body) || !read_all(t, body, header.length))
		return -1;
	if (header.type == PA_RELAY_AUTH_OK && pa_relay_auth_ok_decode(body, header.length, a.nonce, keys.g2c, ret) < 0)
		return -1;
	return header.type;
}

/* ---------------------------------------------------------------- frames */

static uint32_t rnd(struct hostile *h, uint32_t below)
{
	h->rnd ^= h->rnd >> 12;
	h->rnd ^= h->rnd << 25;
	h->rnd ^= h->rnd >> 27;
	return (uint32_t)((h->rnd * UINT64_C(2685821657736338717)) >> 33) % below;
}

static size_t put_frame(uint8_t *buf, uint8_t type, uint32_t session, const struct pa_relay_body *b, size_t more)
{
	uint8_t fields[PA_RELAY_FIELDS_MAX];
	int n = b != NULL ? pa_relay_encode(type, b, fields, sizeof(fields)) : 0;
	struct pa_relay_header h = {.type = type, .session = session};

	if (n < 0)
		n = 0;
	h.length = (uint16_t)((size_t)n + more);
	pa_relay_put_header(buf, &h);
	memcpy(buf + PA_RELAY_HEADER_LEN, fields, (size_t)n);
	memset(buf + PA_RELAY_HEADER_LEN + n, 'h', more);
	return PA_RELAY_HEADER_LEN + (size_t)n + more;
}

/* A frame as an honest client might send one, but whenever it likes. */
static size_t put_any(struct hostile *h, uint8_t *buf, uint32_t *next)
{
	static const uint8_t types[] = {PA_RELAY_OPEN, PA_RELAY_OPEN, PA_RELAY_OPEN, PA_RELAY_RESOLVE, PA_RELAY_DATA, PA_RELAY_DATAGRAM,
					PA_RELAY_WINDOW_ADD, PA_RELAY_FIN, PA_RELAY_RESET, PA_RELAY_ACK, PA_RELAY_TUNNEL,
					PA_RELAY_PING, PA_RELAY_PONG, PA_RELAY_RESULT, PA_RELAY_INCOMING, PA_RELAY_AUTH};
	struct pa_relay_body b = {.kind = (uint8_t)(1 + rnd(h, 3)), .family = 4, .name = "hostile.invalid", .count = rnd(h, 100000),
				  .window = 1 + rnd(h, 600000), .error = (uint8_t)rnd(h, PA_RELAY_E_MAX + 1)};
	uint8_t type = types[rnd(h, sizeof(types))];
	uint32_t session = *next > 2 ? 1 + 2 * rnd(h, *next / 2) : 1;
	bool bytes = type == PA_RELAY_DATA || type == PA_RELAY_DATAGRAM || type == PA_RELAY_TUNNEL;

	if (b.kind == PA_RELAY_TCP || type == PA_RELAY_DATAGRAM)
		b.remote = h->peer;
	else
		b.local.port = (uint16_t)(20000 + rnd(h, 1000));
	if (type == PA_RELAY_OPEN || type == PA_RELAY_RESOLVE) {
		session = *next;
		*next += 2;
	}
	if (type >= PA_RELAY_UNCOUNTED)
		session = 0;
	return put_frame(buf, type, session, type == PA_RELAY_DATA || type == PA_RELAY_FIN || type == PA_RELAY_TUNNEL ? NULL : &b,
			 bytes ? 1 + rnd(h, 3000) : 0);
}

static size_t make_frames(struct hostile *h, uint8_t buf[FRAMES_MAX])
{
	uint32_t next = 1, kind = rnd(h, 4);
	size_t len = 0;

	if (kind == 0) { /* noise */
		len = 1 + rnd(h, 4096);
		for (size_t i = 0; i < len; i++)
			buf[i] = (uint8_t)rnd(h, 256);
		return len;
	}
	for (uint32_t n = 1 + rnd(h, 40); n > 0 && len < FRAMES_MAX - 8192; n--)
		len += put_any(h, buf + len, &next);
	for (uint32_t n = kind == 1 ? 0 : 1 + rnd(h, 3); n > 0; n--) {
		size_t at = kind == 2 ? rnd(h, (uint32_t)len) : rnd(h, PA_RELAY_HEADER_LEN); /* anywhere, or the first header */

		buf[at] = (uint8_t)(buf[at] ^ 1u << rnd(h, 8));
	}
	return len;
}

/* True if the server ended it within the time. */
static bool is_ended(struct tls *t)
{
	struct timeval limit = {.tv_usec = 100000};
	uint8_t buf[4096];
	size_t n;

	(void)setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	while (SSL_read_ex(t->ssl, buf, sizeof(buf), &n) == 1)
		;
	return !SSL_want_read(t->ssl);
}

static int frames(struct hostile *h, char **argv)
{
	uint8_t buf[FRAMES_MAX];
	unsigned rounds = (unsigned)strtoul(argv[1], NULL, 10), ended = 0;

	h->rnd = strtoull(argv[0], NULL, 10) | 1;
	if (pa_endpoint_parse(argv[2], 0, &h->peer) < 0)
		return 2;
	for (unsigned i = 0; i < rounds; i++) {
		struct pa_relay_auth_ok ok;
		struct tls t;
		size_t len = make_frames(h, buf), at = 0;

		if (!open_tls(h, &t) || prove(h, &t, NULL, &ok) != PA_RELAY_AUTH_OK) {
			printf("round %u: an honest beginning was refused\n", i);
			return 1;
		}
		while (at < len) {
			size_t piece = 1 + rnd(h, 5000);

			if (SSL_write(t.ssl, buf + at, (int)(piece < len - at ? piece : len - at)) <= 0)
				break;
			at += piece;
		}
		ended += is_ended(&t);
		close_tls(&t);
	}
	printf("%u rounds, %u ended by the server\n", rounds, ended);
	return 0;
}

/* ---------------------------------------------------------------- others */

static int updates(struct hostile *h, bool proved)
{
	struct pa_relay_auth_ok ok;
	struct tls t;
	int n = 0;

	if (!open_tls(h, &t) || (proved && prove(h, &t, NULL, &ok) != PA_RELAY_AUTH_OK))
		return 1;
	while (n < UPDATES && SSL_key_update(t.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(t.ssl) == 1)
		n++;
	printf("%s after at most %d updates\n", is_ended(&t) || n < UPDATES ? "ended" : "not ended", n);
	close_tls(&t);
	return 0;
}

static int drip(struct hostile *h)
{
	uint64_t began;
	struct tls t;

	if (!open_tls(h, &t))
		return 1;
	began = pa_now_get().boot_ms;
	while (pa_now_get().boot_ms < began + 30000 && SSL_write(t.ssl, "E", 1) == 1 && !is_ended(&t))
		sleep(1);
	printf("ended after %llu ms\n", (unsigned long long)(pa_now_get().boot_ms - began));
	close_tls(&t);
	return 0;
}

static int idle(struct hostile *h, char **argv)
{
	unsigned n = (unsigned)strtoul(argv[0], NULL, 10), each = (unsigned)strtoul(argv[2], NULL, 10), open = 0;
	struct pa_endpoint from = {0};
	char buf[64];

	if (pa_addr_parse(argv[1], &from.addr) < 0 || each == 0)
		return 2;
	for (; open < n && open_tcp(h, &from) >= 0; open++)
		if (open % each == each - 1)
			from.addr.b[15]++;
	printf("open %u\n", open);
	(void)fflush(stdout);
	while (read(0, buf, sizeof(buf)) > 0)
		;
	return open == n ? 0 : 1;
}

static int again(struct hostile *h, char **argv)
{
	unsigned n = (unsigned)strtoul(argv[0], NULL, 10), resumed = 0, refused = 0;
	struct pa_relay_auth_ok ok;
	struct tls t;

	if (!open_tls(h, &t) || prove(h, &t, NULL, &ok) != PA_RELAY_AUTH_OK)
		return 1;
	for (unsigned i = 0; i < n; i++) {
		struct pa_relay_auth_ok now = {0};
		int answer;

		close_tls(&t);
		if (!open_tls(h, &t))
			return 1;
		answer = prove(h, &t, ok.id, &now);
		resumed += answer == PA_RELAY_AUTH_OK && now.resumed;
		refused += answer == PA_RELAY_AUTH_NO;
	}
	printf("resumed %u, refused %u\n", resumed, refused);
	close_tls(&t);
	return 0;
}

/* ---------------------------------------------------------------- what is wanted */

static int usage(void)
{
	fprintf(stderr, "usage: relay_hostile SERVER KEYFILE GRANT frames|updates|drip|idle|again ...\n");
	return 2;
}

static bool read_identity(struct hostile *h, const char *file, const char *hex)
{
	uint8_t option[PA_GRANT_MAX];
	char err[PA_FILE_ERRLEN];
	struct pa_keyring *ring;
	int n;

	if (strcmp(file, "-") == 0)
		return true;
	n = pa_hex_decode(hex, option, sizeof(option));
	if (n < 0 || pa_grant_decode(option, (size_t)n, &h->grant) < 0 || pa_keyring_load(file, &ring, err) < 0)
		return false;
	memcpy(h->key, pa_keyring_first(ring, PA_KEY_CLIENT)->key, sizeof(h->key));
	pa_keyring_free(ring);
	h->bind = pa_now_get().unix_ms;
	return true;
}

int main(int argc, char **argv)
{
	struct hostile h = {.ctx = SSL_CTX_new(TLS_client_method())};
	int rc;

	if (argc < 5 || h.ctx == NULL || pa_cred_init() < 0 || pa_endpoint_parse(argv[1], PA_RELAY_PORT, &h.server) < 0)
		return usage();
	if (!read_identity(&h, argv[2], argv[3])) {
		fprintf(stderr, "cannot use the grant or the key\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	if (strcmp(argv[4], "frames") == 0 && argc == 8)
		rc = frames(&h, argv + 5);
	else if (strcmp(argv[4], "updates") == 0)
		rc = updates(&h, strcmp(argv[2], "-") != 0);
	else if (strcmp(argv[4], "drip") == 0)
		rc = drip(&h);
	else if (strcmp(argv[4], "idle") == 0 && argc == 8)
		rc = idle(&h, argv + 5);
	else if (strcmp(argv[4], "again") == 0 && argc == 6)
		rc = again(&h, argv + 5);
	else
		rc = usage();
	SSL_CTX_free(h.ctx);
	return rc;
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * clients KEYFILE GATEWAY:PORT FIRST-P COUNT INTERFACE: plays COUNT clients of a gateway, whose key file it has, so it makes their grants
 * itself. Client number i has P = FIRST-P + i and talks from 10.64.0.0 + i / 64, port 40000 + i % 64, or 64, 128 ... higher once it has
 * given that port up; it writes and reads whole IP packets, and has none of these addresses. Handshakes, keepalives and answers to
 * RECHALLENGE are real, their times and patience are those of tunnel/client.c with one gateway, but for this: the clients share a
 * few key pairs, so that the X25519 of their side is done once (the gateway does one for each handshake), and an answer that comes after
 * a client has lost patience, which would revive its session, is ignored.
 * Commands, one a line, on standard input; each is answered by a line of NAME=VALUE:
 *   speed          X25519 and handshakes' hashes of one core, by libsodium alone
 *   bind WINDOW    every client shakes hands anew, WINDOW at a time
 *   storm          every client sends a KEEPALIVE at once, and repeats it after 1, 2 and 4 s; 2 s later it shakes hands anew, which it
 *                  gives up when three messages in 7 s had no answer: then a real one is back to plain NAT
 *   quit
 * Of a storm: done=N have a binding, lost=N of these by a new handshake, late=N though the answer was read only after these 9 s;
 * worst-ms is from a client's first message to the answer that it takes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/keyfile.h"
#include "common/msg.h"

#define KEYS 16		/* key pairs that the clients share */
#define PER_HOST 64	/* clients behind one address */
#define NET 0x0a400000u /* 10.64.0.0 */
#define PORT 40000
#define FRESH 8 /* ports that a client may have one after the other */
#define TRIES 3 /* of HELLO and of CONFIRM, as in tunnel/client.c */
#define PATIENCE_MS 9000 /* with the session: 1 + 2 + 4 + 2 s, as there */
#define RECONFIRM_BURST 2
#define WAITS 3 /* 1, 2, 4 s */
#define LIFETIME 7200
#define HEADERS (sizeof(struct iphdr) + sizeof(struct udphdr))
#define BURST 64 /* packets that are read or written at once */
#define ROOM 2048

enum stage { IDLE, HELLO, CONFIRM, BOUND, WAITING }; /* WAITING: for the answer to a KEEPALIVE */

struct client {
	uint8_t session[PA_SESSION_LEN], token[PA_TOKEN_LEN], cookie[PA_COOKIE_LEN];
	uint8_t c2g[PA_KEY_LEN], g2c[PA_KEY_LEN];
	uint32_t seq;
	uint32_t first_ms, reconfirm_ms; /* since the start: of the first message, and the limit of RECONFIRM */
	uint8_t stage, tries;
	uint8_t turn;  /* counts messages that are waited for */
	uint8_t hello; /* counts HELLOs, for their nonces */
	uint8_t fresh; /* ports that were given up */
};

/* Who waits for an answer, in the order in which he gives up waiting; a ring for each length of time. */
struct waiting {
	struct wait {
		uint32_t who;
		uint32_t since_ms;
		uint8_t turn; /* another one since: it is not waited for any more */
	} *ring;
	size_t head, n, cap;
};

/* Packets that go or come by one system call. */
struct batch {
	uint8_t data[BURST][ROOM];
	struct iovec iovs[BURST];
	struct mmsghdr msgs[BURST];
	unsigned n;
};

struct load {
	struct pa_key pool;
	uint8_t gateway_key[PA_KEY_LEN];
	uint8_t public_key[KEYS][PA_KEY_LEN], shared[KEYS][PA_KEY_LEN], pin[KEYS][PA_FINGERPRINT_LEN];
	struct sockaddr_in to;
	uint32_t first, count;
	struct client *clients;
	struct waiting waiting[WAITS];
	uint64_t start_ms, expires, bind;
	uint32_t now_ms; /* since the start */
	int out, in;
	struct batch tx, rx;
	/* of one command */
	size_t done, lost, late, given_up, sent, repeated, received, wrong, rechallenged, in_flight;
	uint32_t worst_ms;
};

static uint32_t now_ms(const struct load *l)
{
	return (uint32_t)(pa_now_get().boot_ms - l->start_ms);
}

/* ---- packets ---- */

static void flush(struct load *l)
{
	unsigned at = 0;

	while (at < l->tx.n) {
		int n = sendmmsg(l->out, l->tx.msgs + at, l->tx.n - at, 0);

		at += n > 0 ? (unsigned)n : 1; /* what the kernel does not take is lost */
		l->sent += n > 0 ? (unsigned)n : 0;
	}
	l->tx.n = 0;
}

/* The kernel makes the IP header's checksum; UDP needs none over IPv4. */
static void emit(struct load *l, uint32_t who, const uint8_t *msg, int len)
{
	size_t total = HEADERS + (size_t)len;
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .tot_len = htons((uint16_t)total)};
	uint16_t port = (uint16_t)(PORT + l->clients[who].fresh * (uint32_t)PER_HOST + who % PER_HOST);
	struct udphdr udp = {.source = htons(port), .dest = l->to.sin_port, .len = htons((uint16_t)(total - sizeof(ip)))};
	uint8_t *buf = l->tx.data[l->tx.n];

	PA_REQUIRE(len > 0 && len <= PA_CTL_MAX);
	ip.saddr = htonl(NET + who / PER_HOST);
	ip.daddr = l->to.sin_addr.s_addr;
	memcpy(buf, &ip, sizeof(ip));
	memcpy(buf + sizeof(ip), &udp, sizeof(udp));
	memcpy(buf + HEADERS, msg, (size_t)len);
	l->tx.iovs[l->tx.n].iov_len = total;
	if (++l->tx.n == BURST)
		flush(l);
}

/* Whose packet that is and where its message begins; count: nobody's. */
static uint32_t parse(const struct load *l, const uint8_t *buf, size_t len)
{
	struct iphdr ip;
	struct udphdr udp;
	uint32_t who, port;

	if (len <= HEADERS || buf[0] != 0x45 || buf[9] != IPPROTO_UDP)
		return l->count;
	memcpy(&ip, buf, sizeof(ip));
	memcpy(&udp, buf + sizeof(ip), sizeof(udp));
	port = ntohs(udp.dest) - (uint32_t)PORT;
	who = (ntohl(ip.daddr) - NET) * PER_HOST + port % PER_HOST;
	return port < FRESH * PER_HOST && who < l->count && l->clients[who].fresh == port / PER_HOST ? who : l->count;
}

/* ---- what a client says ---- */

static void claims_of(const struct load *l, uint32_t who, uint8_t ret[PA_CLAIMS_LEN])
{
	struct pa_claims c = {.key_id = l->pool.key_id, .pool_id = l->pool.pool_id, .prefix_len = 32, .epoch = l->start_ms,
			      .expires = l->expires, .addr = pa_addr_from_ipv4(l->first + who)};

	memcpy(c.fingerprint, l->pin[who % KEYS], sizeof(c.fingerprint));
	PA_REQUIRE(pa_claims_encode(&c, ret) > 0);
}

static void fill(const struct load *l, uint32_t who, struct pa_msg *m)
{
	claims_of(l, who, m->claims);
	memcpy(m->client_key, l->public_key[who % KEYS], sizeof(m->client_key));
	memcpy(m->nonce, &who, sizeof(who));
	m->nonce[sizeof(who)] = l->clients[who].hello;
	memcpy(m->nonce + 8, &l->bind, sizeof(l->bind));
	m->bind = l->bind;
}

static void say_hello(struct load *l, uint32_t who)
{
	struct pa_msg m = {.type = PA_MSG_HELLO};
	uint8_t buf[PA_CTL_MAX], secret[PA_KEY_LEN], k0[PA_KEY_LEN];

	l->clients[who].hello++;
	fill(l, who, &m);
	pa_derive_secret(l->pool.key, m.claims, secret);
	pa_derive_k0(secret, k0);
	emit(l, who, buf, pa_msg_encode(&m, k0, buf, sizeof(buf)));
}

static void say_confirm(struct load *l, uint32_t who)
{
	struct client *c = &l->clients[who];
	struct pa_msg m = {.type = PA_MSG_CONFIRM};
	uint8_t buf[PA_CTL_MAX], secret[PA_KEY_LEN], k0[PA_KEY_LEN];
	struct pa_session_keys keys;
	struct pa_session_input in = {.secret = secret, .client_key = m.client_key, .gateway_key = l->gateway_key,
				      .claims = m.claims, .bind = l->bind, .nonce = m.nonce, .cookie = m.cookie};
	int n;

	fill(l, who, &m);
	memcpy(m.cookie, c->cookie, sizeof(m.cookie));
	pa_derive_secret(l->pool.key, m.claims, secret);
	pa_derive_k0(secret, k0);
	pa_derive_session_agreed(&in, l->shared[who % KEYS], &keys);
	memcpy(c->c2g, keys.c2g, sizeof(c->c2g));
	memcpy(c->g2c, keys.g2c, sizeof(c->g2c));
	n = pa_msg_encode(&m, k0, buf, sizeof(buf));
	PA_REQUIRE(pa_msg_seal(buf, (size_t)n, keys.c2g) == 0);
	emit(l, who, buf, n);
}

/* KEEPALIVE, or with a cookie RECONFIRM. */
static void say_alive(struct load *l, uint32_t who, const uint8_t *cookie)
{
	struct client *c = &l->clients[who];
	struct pa_msg m = {.type = cookie != NULL ? PA_MSG_RECONFIRM : PA_MSG_KEEPALIVE, .seq = ++c->seq};
	uint8_t buf[PA_CTL_MAX];

	memcpy(m.session, c->session, sizeof(m.session));
	if (cookie != NULL)
		memcpy(m.cookie, cookie, sizeof(m.cookie));
	else
		memcpy(m.token, c->token, sizeof(m.token));
	emit(l, who, buf, pa_msg_encode(&m, c->c2g, buf, sizeof(buf)));
}

/* Says it, and waits for the answer. */
static void ask(struct load *l, uint32_t who, enum stage stage, uint8_t tries)
{
	static const uint8_t waits[] = {0, 1, 2, 1}; /* after a KEEPALIVE; HELLO and CONFIRM have the first three */
	struct waiting *w = &l->waiting[waits[tries]];
	struct client *c = &l->clients[who];

	PA_REQUIRE(w->n < w->cap);
	c->stage = (uint8_t)stage;
	c->tries = tries;
	c->turn++;
	w->ring[(w->head + w->n++) % w->cap] = (struct wait){who, now_ms(l), c->turn};
	if (stage == HELLO)
		say_hello(l, who);
	else if (stage == CONFIRM)
		say_confirm(l, who);
	else
		say_alive(l, who, NULL);
}

/* ---- what it hears ---- */

static void finish(struct load *l, struct client *c)
{
	uint32_t took = l->now_ms - c->first_ms;

	if (took > l->worst_ms)
		l->worst_ms = took;
	if (c->stage == WAITING && took > PATIENCE_MS)
		l->late++; /* the clients are played too slowly */
	c->stage = BOUND;
	l->done++;
	l->in_flight--;
}

static void hear_challenge(struct load *l, uint32_t who, const struct pa_msg *m)
{
	struct client *c = &l->clients[who];
	struct pa_msg own = {.type = PA_MSG_HELLO};

	fill(l, who, &own);
	if (memcmp(m->nonce, own.nonce, sizeof(own.nonce)) != 0)
		return; /* of an earlier HELLO */
	memcpy(c->cookie, m->cookie, sizeof(c->cookie));
	ask(l, who, CONFIRM, 0);
}

static void hear_rechallenge(struct load *l, uint32_t who, const struct pa_msg *m)
{
	struct client *c = &l->clients[who];
	uint32_t t = c->reconfirm_ms > l->now_ms ? c->reconfirm_ms : l->now_ms;

	l->rechallenged++;
	if (t - l->now_ms > PA_RECHALLENGE_MS * (RECONFIRM_BURST - 1))
		return;
	c->reconfirm_ms = t + PA_RECHALLENGE_MS;
	say_alive(l, who, m->cookie);
}

static void hear(struct load *l, uint32_t who, const uint8_t *buf, size_t len)
{
	struct client *c = &l->clients[who];
	struct pa_msg m;

	l->received++;
	if (pa_msg_decode(buf, len, &m) < 0) {
		l->wrong++;
	} else if (m.type == PA_MSG_CHALLENGE && c->stage == HELLO) {
		hear_challenge(l, who, &m);
	} else if (m.type == PA_MSG_ACCEPT && c->stage == CONFIRM && pa_msg_verify(buf, len, c->g2c)) {
		memcpy(c->session, m.session, sizeof(c->session));
		memcpy(c->token, m.token, sizeof(c->token));
		c->seq = 0;
		finish(l, c);
	} else if (m.type == PA_MSG_RECHALLENGE && c->stage == WAITING) {
		hear_rechallenge(l, who, &m);
	} else if (m.type == PA_MSG_ALIVE && c->stage == WAITING && pa_msg_verify(buf, len, c->g2c)) {
		memcpy(c->token, m.token, sizeof(c->token));
		finish(l, c);
	} else if (m.type != PA_MSG_ALIVE && m.type != PA_MSG_CHALLENGE && m.type != PA_MSG_ACCEPT && m.type != PA_MSG_RECHALLENGE) {
		l->wrong++; /* UNBOUND, say */
	}
}

static unsigned read_some(struct load *l)
{
	int n;

	for (unsigned i = 0; i < BURST; i++)
		l->rx.iovs[i].iov_len = ROOM;
	n = recvmmsg(l->in, l->rx.msgs, BURST, MSG_DONTWAIT, NULL);
	l->now_ms = now_ms(l);
	for (int i = 0; i < n; i++) {
		size_t len = l->rx.msgs[i].msg_len;
		uint32_t who = parse(l, l->rx.data[i], len);

		if (who < l->count)
			hear(l, who, l->rx.data[i] + HEADERS, len - HEADERS);
	}
	return n > 0 ? (unsigned)n : 0;
}

/* No answer for as long as the message is waited for. */
static void again(struct load *l, uint32_t who)
{
	struct client *c = &l->clients[who];

	if (c->tries + 1 < (c->stage == WAITING ? PA_KEEPALIVE_RETRIES + 1 : TRIES)) {
		l->repeated++;
		ask(l, who, (enum stage)c->stage, (uint8_t)(c->tries + 1));
	} else if (c->stage == WAITING) {
		c->fresh = (uint8_t)((c->fresh + 1) % FRESH);
		l->lost++;
		ask(l, who, HELLO, 0);
	} else {
		c->stage = IDLE;
		l->given_up++;
		l->in_flight--;
	}
}

/*
 * Who has waited long enough goes on; so many at a time, for answers that are there already have to be read before: each client would
 * have looked for his own.
 */
static void retry(struct load *l)
{
	static const uint32_t wait_ms[WAITS] = {1000, 2000, 4000};
	uint32_t now = now_ms(l);
	unsigned n = 0;

	for (unsigned i = 0; i < WAITS; i++) {
		struct waiting *w = &l->waiting[i];

		while (w->n > 0 && n < BURST && now >= w->ring[w->head].since_ms + wait_ms[i]) {
			const struct wait one = w->ring[w->head];

			w->head = (w->head + 1) % w->cap;
			w->n--;
			if (l->clients[one.who].turn != one.turn || l->clients[one.who].stage == BOUND)
				continue;
			again(l, one.who);
			n++;
		}
	}
}

static void begin(struct load *l)
{
	l->done = l->lost = l->late = l->given_up = l->sent = l->repeated = l->received = l->wrong = l->rechallenged = l->in_flight = 0;
	l->worst_ms = 0;
	l->bind++;
	for (unsigned i = 0; i < WAITS; i++)
		l->waiting[i].n = 0;
}

/* All clients, window of them at a time. What comes is read first; while not all have spoken a burst goes out for each that comes. */
static void run(struct load *l, const char *name, enum stage stage, size_t window)
{
	uint32_t start = now_ms(l), most = 0, nearly = 0, next = 0;

	begin(l);
	while (l->done + l->given_up < l->count) {
		struct pollfd p = {.fd = l->in, .events = POLLIN};
		bool came = read_some(l) > 0;

		if (next == l->count && most == 0)
			most = l->now_ms;
		if (l->done >= l->count - l->count / 100 && nearly == 0)
			nearly = l->now_ms;
		if (!came)
			retry(l);
		for (unsigned n = 0; n < BURST && next < l->count && l->in_flight < window; n++) {
			l->in_flight++;
			l->clients[next].first_ms = now_ms(l);
			ask(l, next++, stage, 0);
		}
		flush(l);
		if (!came && (next == l->count || l->in_flight >= window))
			(void)poll(&p, 1, 1);
	}
	printf("%s: clients=%u done=%zu lost=%zu late=%zu given-up=%zu worst-ms=%u asked-in-ms=%u nearly-all-ms=%u all-ms=%u sent=%zu repeated=%zu "
	       "received=%zu rechallenged=%zu wrong=%zu\n", name, l->count, l->done, l->lost, l->late, l->given_up, l->worst_ms, most - start,
	       nearly > start ? nearly - start : 0, now_ms(l) - start, l->sent, l->repeated, l->received, l->rechallenged, l->wrong);
}

/* ---- the floor ---- */

static double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void speed(const struct load *l)
{
	uint8_t secret[PA_KEY_LEN], shared[PA_KEY_LEN], mac[PA_MAC_LEN];
	double start = seconds(), agreed;
	unsigned n = 0, hashes = 0;

	pa_random(secret, sizeof(secret));
	for (; seconds() - start < 1; n++)
		PA_REQUIRE(pa_agree(secret, l->public_key[n % KEYS], shared) == 0);
	agreed = seconds() - start;
	start = seconds();
	for (; seconds() - start < 0.5; hashes += 100)
		for (unsigned i = 0; i < 100; i++)
			pa_mac(secret, (const uint8_t *)l, PA_HELLO_LEN, mac);
	printf("speed: x25519=%.0f mac=%.0f\n", n / agreed, hashes / (seconds() - start));
}

/* ---- start ---- */

static void set_up(struct batch *b, void *name, socklen_t name_len)
{
	for (unsigned i = 0; i < BURST; i++) {
		b->iovs[i] = (struct iovec){b->data[i], ROOM};
		b->msgs[i].msg_hdr = (struct msghdr){.msg_iov = &b->iovs[i], .msg_iovlen = 1, .msg_name = name, .msg_namelen = name_len};
	}
}

static int open_sockets(struct load *l, const char *iface)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex(iface)};
	int much = 256 << 20;

	l->out = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	l->in = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (l->out < 0 || l->in < 0 || ll.sll_ifindex == 0 ||
	    setsockopt(l->in, SOL_SOCKET, SO_RCVBUFFORCE, &much, sizeof(much)) < 0 ||
	    setsockopt(l->out, SOL_SOCKET, SO_SNDBUFFORCE, &much, sizeof(much)) < 0)
		return -1;
	l->to.sin_family = AF_INET;
	set_up(&l->tx, &l->to, sizeof(l->to));
	set_up(&l->rx, NULL, 0);
	return bind(l->in, (struct sockaddr *)&ll, sizeof(ll));
}

static int take_keys(struct load *l, const char *file)
{
	char text[4096], err[PA_KEYFILE_ERRLEN];
	uint8_t secret[PA_KEY_LEN];
	struct pa_keyring *ring;
	FILE *f = fopen(file, "re");
	size_t n = f != NULL ? fread(text, 1, sizeof(text), f) : 0;

	if (f == NULL || fclose(f) != 0 || pa_keyring_parse(file, text, n, &ring, err) < 0 ||
	    pa_keyring_first(ring, PA_KEY_GATEWAY) == NULL || pa_keyring_first(ring, PA_KEY_POOL) == NULL)
		return -1;
	l->pool = *pa_keyring_first(ring, PA_KEY_POOL);
	pa_keypair_public(pa_keyring_first(ring, PA_KEY_GATEWAY)->key, l->gateway_key);
	pa_keyring_free(ring);
	for (unsigned i = 0; i < KEYS; i++) {
		pa_keypair_new(secret, l->public_key[i]);
		pa_fingerprint(l->public_key[i], l->pin[i]);
		if (pa_agree(secret, l->gateway_key, l->shared[i]) < 0)
			return -1;
	}
	return 0;
}

static int take_arguments(struct load *l, char **a)
{
	struct pa_endpoint to;
	struct pa_addr first;

	if (take_keys(l, a[0]) < 0 || pa_endpoint_parse(a[1], PA_GUE_PORT, &to) < 0 || pa_addr_parse(a[2], &first) < 0)
		return -1;
	l->to.sin_port = htons(to.port);
	l->to.sin_addr.s_addr = htonl(pa_addr_to_ipv4(&to.addr));
	l->first = pa_addr_to_ipv4(&first);
	l->count = (uint32_t)strtoul(a[3], NULL, 10);
	l->start_ms = pa_now_get().boot_ms;
	l->expires = pa_now_get().unix_ms / 1000 + LIFETIME;
	l->bind = pa_now_get().unix_ms;
	l->clients = calloc(l->count + 1u, sizeof(*l->clients));
	for (unsigned i = 0; i < WAITS; i++) { /* of one that was answered there may be another one already */
		l->waiting[i].cap = 2 * (size_t)l->count + BURST;
		l->waiting[i].ring = calloc(l->waiting[i].cap, sizeof(struct wait));
	}
	return l->count > 0 && l->clients != NULL && l->waiting[WAITS - 1].ring != NULL ? 0 : -1;
}

int main(int argc, char **argv)
{
	static struct load l;
	char line[64];

	if (argc != 6 || pa_cred_init() < 0 || take_arguments(&l, argv + 1) < 0) {
		fprintf(stderr, "usage: clients KEYFILE GATEWAY:PORT FIRST-P COUNT INTERFACE\n");
		return 2;
	}
	if (open_sockets(&l, argv[5]) < 0) {
		perror("clients: sockets");
		return 1;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin) != NULL && strncmp(line, "quit", 4) != 0) {
		if (strncmp(line, "speed", 5) == 0)
			speed(&l);
		else if (strncmp(line, "bind ", 5) == 0)
			run(&l, "bind", HELLO, strtoul(line + 5, NULL, 10));
		else if (strncmp(line, "storm", 5) == 0)
			run(&l, "storm", WAITING, SIZE_MAX);
	}
	return 0;
}

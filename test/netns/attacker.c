/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The attacker of the namespace tests. Addresses are A.B.C.D:PORT, messages and keys hexadecimal digits; a grant may also be
 * as dhclient prints it (bytes in colons).
 *	attacker ask TO PORT HEX...		sends from UDP port PORT (0: any) and prints each answer, or "silence"
 *	attacker raw FROM TO HEX...		sends with a forged source
 *	attacker forge TYPE [GRANT|SESSION]	prints a well-formed message (hello confirm keepalive reconfirm bye unbound hint
 *						rechallenge accept alive) under keys of its own; GRANT gives the claims and, if it has
 *						one, K0; SESSION (8 bytes) the session id
 *	attacker bind GRANT KEY TO PORT [STEP...]  a handshake with the client key KEY ("-": a new one), then steps: keepalive, bye,
 *						silent (ends without BYE). Prints "NAME sent HEX" and "NAME got HEX" or "silence"
 *						KEY may be "public:HEX": somebody else's public key without his secret one
 *	attacker alter GRANT KEY TO		the same with each byte of claims, secret and gateway key changed in turn; prints
 *						how many were tried and how many of them bound
 *	attacker grant PUBLIC-KEY ADDRESS/LENGTH LIFETIME GATEWAY MTU KEEPALIVE	prints a grant of a server of its own
 *	attacker data FROM TO			prints an inner packet: UDP from A.B.C.D:PORT to A.B.C.D:PORT
 *	attacker flip HEX BYTE			prints HEX with one byte changed
 *	attacker sniff IFACE TYPE SECONDS	prints "FROM TO HEX" of the first control message of that number
 *	attacker key				prints a new client key: SECRET PUBLIC
 * Exit: 0, 1 nothing came (sniff, bind), 2 usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/hex.h"
#include "common/msg.h"
#include "test/sim/peer.h"

#define DATAGRAM_MAX 2048

static int wait_ms = 300; /* for an answer */

static void die(const char *what) __attribute__((noreturn));

static void die(const char *what)
{
	fprintf(stderr, "attacker: %s: %s\n", what, errno != 0 ? strerror(errno) : "wrong argument");
	exit(2);
}

static size_t unhex(const char *s, uint8_t *dst, size_t cap)
{
	size_t n = 0;
	int rc;

	if (strchr(s, ':') == NULL) {
		rc = pa_hex_decode(s, dst, cap);
		if (rc < 0)
			die(s);
		return (size_t)rc;
	}
	for (char *end; *s != '\0' && n < cap; s = *end == ':' ? end + 1 : end) {
		dst[n++] = (uint8_t)strtoul(s, &end, 16);
		if (end == s)
			die("grant");
	}
	return n;
}

static void say(const char *what, const uint8_t *buf, size_t len)
{
	char hex[2 * DATAGRAM_MAX + 1];

	printf("%s%s\n", what, pa_hex_encode(buf, len, hex));
	(void)fflush(stdout);
}

static struct sockaddr_in to_sin(const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct pa_endpoint e;

	if (pa_endpoint_parse(text, PA_GUE_PORT, &e) < 0)
		die(text);
	sin.sin_port = htons(e.port);
	sin.sin_addr.s_addr = htonl(pa_addr_to_ipv4(&e.addr));
	return sin;
}

/* ---------------------------------------------------------------- sending */

static int open_udp(const char *to, const char *port)
{
	struct sockaddr_in sin = to_sin(to), own = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	own.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		die("socket");
	return fd;
}

/* Sends and waits for one answer; its length, 0 if none comes. */
static size_t exchange(int fd, const uint8_t *buf, size_t len, uint8_t answer[DATAGRAM_MAX])
{
	struct pollfd p = {fd, POLLIN, 0};
	ssize_t n;

	if (send(fd, buf, len, 0) != (ssize_t)len)
		die("send");
	if (poll(&p, 1, wait_ms) <= 0)
		return 0;
	n = recv(fd, answer, DATAGRAM_MAX, 0);
	return n > 0 ? (size_t)n : 0;
}

static int ask(char **a)
{
	char **hex = a + 2;
	uint8_t buf[DATAGRAM_MAX], answer[DATAGRAM_MAX];
	int fd = open_udp(a[0], a[1]);

	for (; *hex != NULL; hex++) {
		size_t len = unhex(*hex, buf, sizeof(buf)), n = exchange(fd, buf, len, answer);

		if (n > 0)
			say("", answer, n);
		else
			puts("silence");
	}
	close(fd);
	return 0;
}

/* An IPv4 packet with UDP inside; checksum 0, which UDP over IPv4 permits. */
static size_t make_packet(uint8_t *pkt, const char *from, const char *to, const uint8_t *payload, size_t len)
{
	struct sockaddr_in src = to_sin(from), dst = to_sin(to);
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
	struct udphdr udp = {.uh_sport = src.sin_port, .uh_dport = dst.sin_port};
	uint32_t sum = 0;
	uint16_t word;

	ip.tot_len = htons((uint16_t)(sizeof(ip) + sizeof(udp) + len));
	ip.saddr = src.sin_addr.s_addr;
	ip.daddr = dst.sin_addr.s_addr;
	udp.uh_ulen = htons((uint16_t)(sizeof(udp) + len));
	for (size_t i = 0; i < sizeof(ip); i += 2) {
		memcpy(&word, (uint8_t *)&ip + i, 2);
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	ip.check = (uint16_t) ~(sum + (sum >> 16));
	memcpy(pkt, &ip, sizeof(ip));
	memcpy(pkt + sizeof(ip), &udp, sizeof(udp));
	if (len > 0)
		memcpy(pkt + sizeof(ip) + sizeof(udp), payload, len);
	return sizeof(ip) + sizeof(udp) + len;
}

static int raw(char **a)
{
	char **hex = a + 2;
	uint8_t pkt[DATAGRAM_MAX + 28], payload[DATAGRAM_MAX];
	struct sockaddr_in dst = to_sin(a[1]);
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (fd < 0)
		die("raw socket");
	for (; *hex != NULL; hex++) {
		size_t n = make_packet(pkt, a[0], a[1], payload, unhex(*hex, payload, sizeof(payload)));

		if (sendto(fd, pkt, n, 0, (struct sockaddr *)&dst, sizeof(dst)) != (ssize_t)n)
			die("send");
	}
	close(fd);
	return 0;
}

static int data(char **a)
{
	uint8_t pkt[64];

	say("", pkt, make_packet(pkt, a[0], a[1], (const uint8_t *)"attack", 6));
	return 0;
}

/* ---------------------------------------------------------------- making messages */

static void take_grant(const char *text, struct pa_grant *g)
{
	uint8_t buf[PA_GRANT_MAX];
	size_t n = unhex(text, buf, sizeof(buf));

	if (pa_grant_decode(buf, n, g) < 0)
		die("grant");
}

static void own_keys(struct peer *p, const char *key)
{
	if (key == NULL || strcmp(key, "-") == 0)
		pa_random(p->client_secret, sizeof(p->client_secret));
	else if (strncmp(key, "public:", 7) == 0)
		pa_random(p->client_secret, sizeof(p->client_secret));
	else if (unhex(key, p->client_secret, sizeof(p->client_secret)) != PA_KEY_LEN)
		die("key");
	pa_keypair_public(p->client_secret, p->client_key);
	if (key != NULL && strncmp(key, "public:", 7) == 0)
		(void)unhex(key + 7, p->client_key, sizeof(p->client_key));
	pa_random(p->nonce, sizeof(p->nonce));
	p->bind = pa_now_get().unix_ms;
}

static void start_forgery(struct peer *p, const char *text)
{
	struct pa_grant g;
	bool is_session = text != NULL && strlen(text) == 2 * PA_SESSION_LEN;

	peer_grant(0, 99, 1, pa_now_get().unix_ms / 1000 + 3600, false, &g);
	if (text != NULL && !is_session)
		take_grant(text, &g);
	peer_init(p, &g, 0, 1);
	own_keys(p, NULL);
	pa_random(p->cookie, sizeof(p->cookie));
	pa_random(p->session, sizeof(p->session));
	pa_random(p->token, sizeof(p->token));
	if (is_session)
		(void)unhex(text, p->session, sizeof(p->session));
	(void)peer_derive(p);
	p->seq = 1u << 20;
}

static int forge(char **a)
{
	const char *type = a[0];
	struct pa_msg extra = {.lifetime = 600, .mtu = 1400, .keepalive = 25, .routed = true};
	uint8_t buf[PA_CTL_MAX];
	size_t n = 0;
	struct peer p;

	start_forgery(&p, a[1]);
	if (strcmp(type, "hello") == 0)
		n = peer_hello(&p, buf);
	else if (strcmp(type, "confirm") == 0)
		n = peer_confirm(&p, buf);
	else if (strcmp(type, "keepalive") == 0)
		n = peer_keepalive(&p, buf);
	else if (strcmp(type, "reconfirm") == 0)
		n = peer_reconfirm(&p, p.cookie, buf);
	else if (strcmp(type, "bye") == 0)
		n = peer_bye(&p, buf);
	else if (strcmp(type, "unbound") == 0)
		n = peer_unbound(&p, PA_REASON_RELEASED, true, buf);
	else if (strcmp(type, "hint") == 0)
		n = peer_unbound(&p, PA_REASON_UNKNOWN, false, buf);
	else if (strcmp(type, "rechallenge") == 0)
		n = peer_rechallenge(p.cookie, buf);
	else if (strcmp(type, "accept") == 0)
		n = peer_accept(&p, &extra, buf);
	else if (strcmp(type, "alive") == 0)
		n = peer_alive(&p, 1, 1, buf);
	else
		die(type);
	say("", buf, n);
	return 0;
}

static int flip(char **a)
{
	uint8_t buf[DATAGRAM_MAX];
	size_t n = unhex(a[0], buf, sizeof(buf)), i = strtoul(a[1], NULL, 10);

	if (i >= n)
		die("byte");
	buf[i] ^= 1;
	say("", buf, n);
	return 0;
}

/* ---------------------------------------------------------------- a binding of our own */

/* One message and its answer, which must be of type want. */
static bool step(int fd, const char *name, const uint8_t *buf, size_t len, unsigned want, struct pa_msg *ret)
{
	uint8_t answer[DATAGRAM_MAX];
	char text[32];
	size_t n;

	(void)snprintf(text, sizeof(text), "%s sent ", name);
	say(text, buf, len);
	n = exchange(fd, buf, len, answer);
	if (n == 0) {
		printf("%s silence\n", name);
		return false;
	}
	(void)snprintf(text, sizeof(text), "%s got ", name);
	say(text, answer, n);
	return pa_msg_decode(answer, n, ret) == 0 && ret->type == want;
}

static bool shake(int fd, struct peer *p)
{
	uint8_t buf[PA_CTL_MAX];
	struct pa_msg m;

	if (!step(fd, "hello", buf, peer_hello(p, buf), PA_MSG_CHALLENGE, &m))
		return false;
	memcpy(p->cookie, m.cookie, sizeof(p->cookie));
	if (!step(fd, "confirm", buf, peer_confirm(p, buf), PA_MSG_ACCEPT, &m))
		return false;
	memcpy(p->session, m.session, sizeof(p->session));
	memcpy(p->token, m.token, sizeof(p->token));
	return true;
}

static int bind_at(char **a)
{
	uint8_t buf[PA_CTL_MAX];
	struct pa_grant g;
	struct pa_msg m;
	struct peer p;
	int fd;

	take_grant(a[0], &g);
	peer_init(&p, &g, 0, 1);
	own_keys(&p, a[1]);
	fd = open_udp(a[2], a[3]);
	if (!shake(fd, &p))
		return 1;
	for (char **s = a + 4; *s != NULL; s++) {
		if (strcmp(*s, "keepalive") == 0) {
			if (!step(fd, *s, buf, peer_keepalive(&p, buf), PA_MSG_ALIVE, &m))
				return 1;
			memcpy(p.token, m.token, sizeof(p.token));
		} else if (strcmp(*s, "bye") == 0) {
			(void)step(fd, *s, buf, peer_bye(&p, buf), 0, &m);
		} else if (strcmp(*s, "silent") != 0) {
			die(*s);
		}
	}
	close(fd);
	return 0;
}

static bool try_altered(int fd, const struct pa_grant *g, const char *key, unsigned byte)
{
	uint8_t buf[PA_CTL_MAX];
	struct pa_grant bad = *g;
	struct pa_msg m;
	struct peer p;

	if (byte >= PA_CLAIMS_LEN && byte < PA_CLAIMS_LEN + PA_KEY_LEN)
		bad.secret[byte - PA_CLAIMS_LEN] ^= 1;
	else if (byte >= PA_CLAIMS_LEN)
		bad.gateway_key[byte - PA_CLAIMS_LEN - PA_KEY_LEN] ^= 1;
	peer_init(&p, &bad, 0, 1);
	own_keys(&p, key);
	if (byte < PA_CLAIMS_LEN)
		p.claims[byte] ^= 1;
	if (!step(fd, "hello", buf, peer_hello(&p, buf), PA_MSG_CHALLENGE, &m))
		return false;
	memcpy(p.cookie, m.cookie, sizeof(p.cookie));
	return step(fd, "confirm", buf, peer_confirm(&p, buf), PA_MSG_ACCEPT, &m);
}

static int alter(char **a)
{
	unsigned bound = 0, byte;
	struct pa_grant g;
	int fd = open_udp(a[2], "0");

	wait_ms = 20;
	take_grant(a[0], &g);
	for (byte = 0; byte < PA_CLAIMS_LEN + 2 * PA_KEY_LEN; byte++)
		bound += try_altered(fd, &g, a[1], byte);
	printf("tried %u bound %u\n", byte, bound);
	close(fd);
	return 0;
}

static int make_grant(char **a)
{
	uint8_t buf[PA_GRANT_MAX], key[PA_KEY_LEN];
	char *slash = strchr(a[1], '/');
	struct pa_grant g;
	int n;

	if (slash == NULL || unhex(a[0], key, sizeof(key)) != PA_KEY_LEN)
		die("grant");
	*slash = '\0';
	peer_grant(0, 1, pa_now_get().unix_ms, pa_now_get().unix_ms / 1000 + 3600, false, &g);
	pa_fingerprint(key, g.claims.fingerprint);
	if (pa_addr_parse(a[1], &g.claims.addr) < 0 || pa_endpoint_parse(a[3], PA_GUE_PORT, &g.gateways[0]) < 0)
		die("grant");
	g.claims.prefix_len = (uint8_t)strtoul(slash + 1, NULL, 10);
	g.lifetime = (uint32_t)strtoul(a[2], NULL, 10);
	g.mtu = (uint16_t)strtoul(a[4], NULL, 10);
	g.keepalive = (uint16_t)strtoul(a[5], NULL, 10);
	n = pa_grant_encode(&g, buf, sizeof(buf));
	if (n < 0)
		die("grant");
	say("", buf, (size_t)n);
	return 0;
}

/* ---------------------------------------------------------------- listening */

/* True if the packet is IPv4 with a control message of that type; says it. */
static bool is_wanted(const uint8_t *pkt, size_t len, unsigned type)
{
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN], text[80];
	struct iphdr ip;
	struct udphdr udp;
	size_t skip = sizeof(ip) + sizeof(udp);

	if (len < skip + PA_CTL_HEADER_LEN)
		return false;
	memcpy(&ip, pkt, sizeof(ip));
	memcpy(&udp, pkt + sizeof(ip), sizeof(udp));
	if (ip.version != 4 || ip.ihl != 5 || ip.protocol != IPPROTO_UDP || pkt[skip] != PA_GUE_CONTROL ||
	    pkt[skip + 4] != type ||
	    (ntohs(udp.uh_sport) != PA_GUE_PORT && ntohs(udp.uh_dport) != PA_GUE_PORT))
		return false;
	(void)snprintf(text, sizeof(text), "%s:%u %s:%u ", inet_ntop(AF_INET, &ip.saddr, src, sizeof(src)),
		       (unsigned)ntohs(udp.uh_sport), inet_ntop(AF_INET, &ip.daddr, dst, sizeof(dst)),
		       (unsigned)ntohs(udp.uh_dport));
	say(text, pkt + skip, ntohs(udp.uh_ulen) - sizeof(udp));
	return true;
}

static int sniff(char **a)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	uint64_t end = pa_now_get().boot_ms + strtoul(a[2], NULL, 10) * 1000, now;
	unsigned want = (unsigned)strtoul(a[1], NULL, 10);
	int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
	uint8_t pkt[DATAGRAM_MAX];

	ll.sll_ifindex = (int)if_nametoindex(a[0]);
	if (fd < 0 || ll.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		die(a[0]);
	fprintf(stderr, "listening\n");
	while ((now = pa_now_get().boot_ms) < end) {
		struct pollfd p = {fd, POLLIN, 0};
		ssize_t n;

		if (poll(&p, 1, (int)(end - now)) <= 0)
			continue;
		n = recv(fd, pkt, sizeof(pkt), 0);
		if (n > 0 && is_wanted(pkt, (size_t)n, want))
			return 0;
	}
	return 1;
}

static int new_key(char **a)
{
	char hex[2][2 * PA_KEY_LEN + 1];
	uint8_t secret[PA_KEY_LEN], public[PA_KEY_LEN];

	(void)a;
	pa_keypair_new(secret, public);
	printf("%s %s\n", pa_hex_encode(secret, sizeof(secret), hex[0]), pa_hex_encode(public, sizeof(public), hex[1]));
	return 0;
}

static const struct {
	const char *name;
	int min, max; /* arguments */
	int (*run)(char **arguments);
} verbs[] = {
	{"ask", 3, 256, ask}, {"raw", 3, 256, raw},    {"forge", 1, 2, forge}, {"bind", 4, 64, bind_at}, {"alter", 3, 3, alter},
	{"grant", 6, 6, make_grant}, {"data", 2, 2, data}, {"flip", 2, 2, flip}, {"sniff", 3, 3, sniff}, {"key", 0, 0, new_key},
};

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (pa_cred_init() < 0)
		return 1;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verb, verbs[i].name) == 0 && argc - 2 >= verbs[i].min && argc - 2 <= verbs[i].max)
			return verbs[i].run(argv + 2);
	fprintf(stderr, "usage: attacker ask|raw|forge|bind|alter|grant|data|flip|sniff|key ...\n");
	return 2;
}

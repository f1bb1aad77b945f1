/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The test vectors of pubaddr-protocol(7): computed here, looked up in the page. Whoever changes a format or a key finds
 * the page wrong; what belongs there is then printed.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "test/sim/peer.h"

#define PAGE "man/pubaddr-protocol.7"

/* The page without its blanks. The caller frees. */
static char *read_page(void)
{
	const char *top = getenv("top_srcdir");
	char path[512], *text = malloc(1 << 18), *d = text;
	FILE *f;
	int c;

	(void)snprintf(path, sizeof(path), "%s/" PAGE, top != NULL ? top : "..");
	f = fopen(path, "r");
	cr_assert_not_null(f, "%s: cannot be read; run the tests by make check", path);
	while ((c = getc(f)) != EOF && d < text + (1 << 18) - 1)
		if (!isspace(c))
			*d++ = (char)c;
	*d = '\0';
	fclose(f);
	return text;
}

/* The page must have the label followed by the value. */
static void in_page(const char *page, const char *label, const uint8_t *value, size_t len)
{
	char hex[2 * 256 + 1], want[2 * 256 + 64], *d = want;

	cr_assert(len <= 256);
	pa_hex_encode(value, len, hex);
	for (const char *s = label; *s != '\0'; s++)
		if (*s != ' ')
			*d++ = *s;
	memcpy(d, hex, 2 * len + 1);
	if (strstr(page, want) != NULL)
		return;
	printf("%s\n", label);
	for (size_t i = 0; i < 2 * len; i += 64)
		printf("    %.64s\n", hex + i);
	cr_expect(false, PAGE ": no or another value of \"%s\"", label);
}

static void grant_vectors(const char *page, const struct peer *p)
{
	uint8_t b[PA_GRANT_MAX], master[PA_KEY_LEN], secret[PA_KEY_LEN];
	int n;

	for (unsigned i = 0; i < PA_KEY_LEN; i++)
		master[i] = (uint8_t)i;
	in_page(page, "master key", master, sizeof(master));
	peer_pool_key(b);
	in_page(page, "pool key", b, PA_KEY_LEN);
	in_page(page, "client secret key", p->client_secret, PA_KEY_LEN);
	in_page(page, "client key", p->client_key, PA_KEY_LEN);
	pa_fingerprint(p->client_key, b);
	in_page(page, "fingerprint", b, PA_FINGERPRINT_LEN);
	peer_gateway_secret(secret);
	in_page(page, "gateway secret key", secret, PA_KEY_LEN);
	in_page(page, "gateway key", p->grant.gateway_key, PA_KEY_LEN);
	in_page(page, "claims", p->claims, PA_CLAIMS_LEN);
	pa_claims_hash(p->claims, b);
	in_page(page, "hash of claims", b, PA_KEY_LEN);
	in_page(page, "secret", p->grant.secret, PA_KEY_LEN);
	in_page(page, "K0", p->k0, PA_KEY_LEN);
	n = pa_grant_encode(&p->grant, b, sizeof(b));
	cr_assert(n > 0);
	in_page(page, "grant option", b, (size_t)n);
}

static void handshake_vectors(const char *page, struct peer *p)
{
	struct pa_msg accept = {.lifetime = 3600, .mtu = 1472, .keepalive = 25, .routed = true};
	uint8_t b[PA_CTL_MAX];

	accept.mapped = peer_at(PEER_MAPPED);
	in_page(page, "HELLO", b, peer_hello(p, b));
	in_page(page, "CHALLENGE", b, peer_challenge(p, b));
	cr_assert_eq(peer_derive(p), 0);
	cr_assert_eq(crypto_scalarmult(b, p->client_secret, p->grant.gateway_key), 0);
	in_page(page, "X25519", b, PA_KEY_LEN);
	in_page(page, "K1", p->keys.k1, PA_KEY_LEN);
	in_page(page, "c2g", p->keys.c2g, PA_KEY_LEN);
	in_page(page, "g2c", p->keys.g2c, PA_KEY_LEN);
	in_page(page, "CONFIRM", b, peer_confirm(p, b));
	in_page(page, "ACCEPT", b, peer_accept(p, &accept, b));
}

static void session_vectors(const char *page, struct peer *p)
{
	struct pa_msg probe = {.echo = 0x0102030405060708, .answer_length = PA_PROBE_MIN, .from = PA_PROBE_PORT};
	struct pa_msg probed = {.seq = 1, .echo = 0x0102030405060708, .mapped = peer_at(PEER_MAPPED), .from = PA_PROBE_PORT,
				.other = peer_at("198.51.100.11:6080"), .other_port = 6081, .time_ms = PEER_UNIX * 1000ull};
	uint8_t b[PA_CTL_MAX], cookie[PA_COOKIE_LEN];

	memset(cookie, 0x44, sizeof(cookie));
	in_page(page, "KEEPALIVE", b, peer_keepalive(p, b));
	memset(p->token, 0xc0, sizeof(p->token));
	in_page(page, "ALIVE", b, peer_alive(p, 1, 0x1122334455667788, b));
	in_page(page, "RECHALLENGE", b, peer_rechallenge(cookie, b));
	in_page(page, "RECONFIRM", b, peer_reconfirm(p, cookie, b));
	in_page(page, "UNBOUND", b, peer_unbound(p, PA_REASON_EXPIRED, true, b));
	in_page(page, "UNBOUND hint", b, peer_unbound(p, PA_REASON_UNKNOWN, false, b));
	in_page(page, "BYE", b, peer_bye(p, b));
	in_page(page, "PROBE", b, peer_probe(p, &probe, PA_PROBE_MIN + 8, b));
	in_page(page, "PROBED", b, peer_probed(p, &probed, PA_PROBE_MIN, b));
}

Test(vectors, are_those_of_the_page)
{
	char *page = read_page();
	struct pa_grant g;
	struct peer p;

	cr_assert_eq(pa_cred_init(), 0);
	peer_grant(0, 5, 1, PEER_UNIX + 3600, true, &g);
	peer_init(&p, &g, 0, 0x0123456789abcdef);
	memset(p.cookie, 0x33, sizeof(p.cookie));
	memset(p.session, 0xa0, sizeof(p.session));
	memset(p.token, 0xb0, sizeof(p.token));
	grant_vectors(page, &p);
	handshake_vectors(page, &p);
	session_vectors(page, &p);
	free(page);
}

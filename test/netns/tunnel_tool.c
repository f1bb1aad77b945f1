/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the namespace tests of the tunnel need in place of a broker and a DHCP client:
 *	tunnel_tool keys FILE			makes a gateway's key file with a key of pool 1
 *	tunnel_tool grant FILE CLIENTKEY ADDR EPOCH LIFETIME GATEWAY [RELAY|none [INBOUND]]	prints a grant as hexadecimal digits
 *	tunnel_tool call SOCKET COMMAND [JSON]	prints the reply's arguments; exits with its result, 100 if there is none
 *	tunnel_tool name tcp|udp ADDR PORT	connects and prints what getsockname gives
 */
#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/edge_client.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/grant.h"
#include "common/hex.h"
#include "common/relay.h"

static int keys(const char *file)
{
	struct pa_key gateway = {.kind = PA_KEY_GATEWAY}, pool = {.kind = PA_KEY_POOL, .key_id = 1, .pool_id = 1};
	char text[2 * PA_KEYFILE_LINELEN], err[PA_FILE_ERRLEN];
	uint8_t public_key[PA_KEY_LEN];
	size_t n;

	pa_keypair_new(gateway.key, public_key);
	pa_random(pool.key, sizeof(pool.key));
	n = pa_key_format(&gateway, text);
	n += pa_key_format(&pool, text + n);
	if (pa_file_create(file, text, n, 0600, err) == 0)
		return 0;
	fprintf(stderr, "%s\n", err);
	return 1;
}

static int grant(int n_args, char **a)
{
	struct pa_grant g = {.claims = {.key_id = 1, .pool_id = 1, .prefix_len = 32}, .n_gateways = 1};
	uint8_t claims[PA_CLAIMS_LEN], client_key[PA_KEY_LEN], option[PA_GRANT_MAX];
	char err[PA_FILE_ERRLEN], hex[2 * PA_GRANT_MAX + 1];
	struct pa_keyring *ring;
	int n;

	if (pa_keyring_load(a[0], &ring, err) < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	if (pa_hex_decode(a[1], client_key, sizeof(client_key)) != PA_KEY_LEN || pa_addr_parse(a[2], &g.claims.addr) < 0 ||
	    pa_endpoint_parse(a[5], PA_GUE_PORT, &g.gateways[0]) < 0 ||
	    (n_args > 6 && strcmp(a[6], "none") != 0 && pa_endpoint_parse(a[6], PA_RELAY_PORT, &g.relay) < 0))
		return 2;
	if (n_args > 7)
		g.claims.inbound = (uint16_t)pa_inbound_parse(a[7]);
	g.claims.epoch = strtoull(a[3], NULL, 10);
	g.lifetime = (uint32_t)strtoul(a[4], NULL, 10);
	g.claims.expires = pa_now_get().unix_ms / 1000 + g.lifetime;
	pa_fingerprint(client_key, g.claims.fingerprint);
	pa_keypair_public(pa_keyring_first(ring, PA_KEY_GATEWAY)->key, g.gateway_key);
	(void)pa_claims_encode(&g.claims, claims);
	pa_derive_secret(pa_keyring_first(ring, PA_KEY_POOL)->key, claims, g.secret);
	n = pa_grant_encode(&g, option, sizeof(option));
	pa_keyring_free(ring);
	if (n < 0)
		return 1;
	puts(pa_hex_encode(option, (size_t)n, hex));
	return 0;
}

static int call(const char *path, const char *command, const char *arguments)
{
	char err[PA_CLIENT_ERRLEN] = "";
	json_t *reply = NULL;
	int rc = pa_client_call(path, command, arguments != NULL ? json_loads(arguments, 0, NULL) : NULL, 5000, &reply, err);

	if (err[0] != '\0')
		fprintf(stderr, "%s\n", err);
	if (reply != NULL) {
		(void)json_dumpf(reply, stdout, JSON_INDENT(1));
		printf("\n");
	}
	json_decref(reply);
	return rc < 0 ? 100 : rc;
}

static int name(const char *kind, const char *host, const char *port)
{
	int fd = socket(AF_INET, strcmp(kind, "tcp") == 0 ? SOCK_STREAM : SOCK_DGRAM, 0), rc = 1;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	socklen_t len = sizeof(sin);
	char text[INET_ADDRSTRLEN];

	if (fd < 0)
		return 1;
	if (inet_pton(AF_INET, host, &sin.sin_addr) == 1 && connect(fd, (struct sockaddr *)&sin, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)&sin, &len) == 0 &&
	    inet_ntop(AF_INET, &sin.sin_addr, text, sizeof(text)) != NULL) {
		puts(text);
		rc = 0;
	}
	close(fd);
	return rc;
}

int main(int argc, char **argv)
{
	if (pa_cred_init() < 0)
		return 1;
	if (argc == 3 && strcmp(argv[1], "keys") == 0)
		return keys(argv[2]);
	if (argc >= 8 && argc <= 10 && strcmp(argv[1], "grant") == 0)
		return grant(argc - 2, argv + 2);
	if ((argc == 4 || argc == 5) && strcmp(argv[1], "call") == 0)
		return call(argv[2], argv[3], argv[4]);
	if (argc == 5 && strcmp(argv[1], "name") == 0)
		return name(argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: tunnel_tool keys|grant|call|name ...\n");
	return 2;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr key, pubaddr dhclient-conf: what the DHCP client is to send. */
#include <stdio.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/edge_file.h"
#include "common/hex.h"
#include "tunnel/pubaddr_cmd.h"
#include "tunnel/tunneld_state.h"

static int public_key(const struct pa_pubaddr_opts *o, uint8_t ret[PA_KEY_LEN])
{
	uint8_t secret_key[PA_KEY_LEN];
	char err[PA_FILE_ERRLEN];

	if (pa_cred_init() < 0) {
		fprintf(stderr, "pubaddr: the system has no random numbers\n");
		return 1;
	}
	if (pa_client_key_load(o->key_file, secret_key, err) < 0) {
		fprintf(stderr, "pubaddr: %s%s\n", err, geteuid() != 0 ? " (only root can read or make the key)" : "");
		return 1;
	}
	pa_keypair_public(secret_key, ret);
	pa_wipe(secret_key, sizeof(secret_key));
	return 0;
}

int pa_pubaddr_key(const struct pa_pubaddr_opts *o)
{
	char hex[2 * PA_KEY_LEN + 1];
	uint8_t key[PA_KEY_LEN];

	if (public_key(o, key) != 0)
		return 1;
	(void)pa_hex_encode(key, sizeof(key), hex);
	printf(o->json ? "{\"public-key\": \"%s\"}\n" : "%s\n", hex);
	return 0;
}

int pa_pubaddr_dhclient_conf(const struct pa_pubaddr_opts *o)
{
	uint8_t key[PA_KEY_LEN];

	if (public_key(o, key) != 0)
		return 1;
	printf("option pubaddr-grant code %d = string;\n", PA_OPTION_CODE_DEFAULT);
	printf("also request pubaddr-grant;\n");
	printf("send pubaddr-grant ");
	for (unsigned i = 0; i < sizeof(key); i++)
		printf("%s%02x", i > 0 ? ":" : "", key[i]);
	printf(";\n");
	return 0;
}

/* dhcpcd cannot send an option of this kind: its grants are pinned to the first key that uses them. */
int pa_pubaddr_dhcpcd_conf(const struct pa_pubaddr_opts *o)
{
	(void)o;
	printf("define %d binhex pubaddr_grant\noption pubaddr_grant\n", PA_OPTION_CODE_DEFAULT);
	return 0;
}

int pa_pubaddr_udhcpc_args(const struct pa_pubaddr_opts *o)
{
	char hex[2 * PA_KEY_LEN + 1];
	uint8_t key[PA_KEY_LEN];

	if (public_key(o, key) != 0)
		return 1;
	printf("-O %d -x 0x%x:%s\n", PA_OPTION_CODE_DEFAULT, PA_OPTION_CODE_DEFAULT, pa_hex_encode(key, sizeof(key), hex));
	return 0;
}

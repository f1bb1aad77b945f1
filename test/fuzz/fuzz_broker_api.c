/* SPDX-License-Identifier: MPL-2.0 */
/* Command lines, as they come from the socket, on a broker in memory; the clock moves between them. */
#include <stdlib.h>
#include <string.h>

#include "broker/api.h"
#include "common/cred.h"
#include "common/err.h"
#include "common/grant.h"
#include "common/hex.h"
#include "test/fuzz/fuzz.h"

static const char conf_text[] =
	"{\"realms\": [\"campus\", \"lab\"], \"quarantine\": 10, \"gateway-groups\": [{\"name\": \"main\", \"public-key\": "
	"\"0900000000000000000000000000000000000000000000000000000000000001\", \"gateways\": [\"198.51.100.10:6080\"], "
	"\"gateway-names\": [\"gw1\"]}],"
	"\"pools\": [{\"id\": 1, \"name\": \"one\", \"prefix\": \"203.0.113.0/30\", \"exclude\": [\"203.0.113.0/32\"], "
	"\"gateway-group\": \"main\"}, {\"id\": 2, \"name\": \"two\", \"prefix\": \"192.0.2.0/31\", \"gateway-group\": "
	"\"main\", \"classes\": [\"voice\"]}]}";
static const char key_text[] = "master 3 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

static struct pa_brokerconf *conf;
static struct pa_keyring *keys;

static void prepare(void)
{
	char err[PA_CONF_ERRLEN];

	if (conf != NULL)
		return;
	PA_REQUIRE(pa_cred_init() == 0);
	PA_REQUIRE(pa_brokerconf_parse("fuzz", conf_text, strlen(conf_text), &conf, err) == 0);
	PA_REQUIRE(pa_keyring_parse("fuzz", key_text, strlen(key_text), &keys, err) == 0);
}

/* A grant that was given decodes, and is of a pool. */
static void check_grant(const json_t *arguments)
{
	const char *hex = json_string_value(json_object_get(arguments, "grant"));
	uint8_t bytes[PA_GRANT_MAX];
	struct pa_grant g;
	int len;

	if (hex == NULL)
		return;
	len = pa_hex_decode(hex, bytes, sizeof(bytes));
	PA_REQUIRE(len > 0 && pa_grant_decode(bytes, (size_t)len, &g) == 0);
	PA_REQUIRE(pa_brokerconf_pool_of(conf, &g.claims.addr) != NULL);
	PA_REQUIRE(g.lifetime > 0);
}

static void run_line(struct pa_api *api, struct pa_now now, const char *line, size_t len)
{
	char err[PA_COMMAND_ERRLEN];
	struct pa_api_reply reply;
	struct pa_command cmd;
	json_t *json;

	if (pa_command_parse(line, len, &cmd, err) < 0)
		return;
	pa_api_handle(api, now, true, cmd.name, cmd.arguments, &reply);
	PA_REQUIRE(memchr(reply.text, '\0', sizeof(reply.text)) != NULL);
	PA_REQUIRE((reply.result == PA_RESULT_SUCCESS) <= (reply.text[0] != '\0'));
	check_grant(reply.arguments);
	json = pa_reply_new(reply.result, reply.text, reply.arguments, cmd.id);
	PA_REQUIRE(json != NULL);
	json_decref(json);
	pa_command_clear(&cmd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t seed[16] = {1};
	struct pa_now now = {.boot_ms = 1000, .unix_ms = 1800000000000u};
	struct pa_api api;

	prepare();
	memset(&api, 0, sizeof(api));
	api.conf = conf;
	api.keys = keys;
	api.version = "0";
	api.leases = pa_lease_table_new(conf, seed);
	api.reports = pa_reports_new();
	PA_REQUIRE(api.leases != NULL && api.reports != NULL);
	while (len > 0) {
		const uint8_t *end = memchr(data, '\n', len);
		size_t n = end != NULL ? (size_t)(end - data) : len;

		run_line(&api, now, (const char *)data, n);
		/* A line's length is how long the next one takes to come. */
		now.boot_ms += (uint64_t)n * 1000;
		now.unix_ms += (uint64_t)n * 1000;
		if (n % 2 == 1) {
			(void)pa_lease_expire(api.leases, now.unix_ms, 100);
			pa_lease_changes_done(api.leases);
		}
		n += end != NULL ? 1 : 0;
		data += n;
		len -= n;
	}
	pa_lease_table_free(api.leases);
	pa_reports_free(api.reports);
	return 0;
}

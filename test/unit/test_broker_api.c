/* SPDX-License-Identifier: MPL-2.0 */
/* The commands, and the grant that they make. */
#include "test/unit/broker_fixture.h"

#include "broker/api.h"
#include "broker/grant_make.h"
#include "common/err.h"
#include "common/grant.h"
#include "common/hex.h"

#define CLIENT_KEY "1111111111111111111111111111111111111111111111111111111111111111"
#define ALLOCATE(more)                                                                                                 \
	"{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.1.0.5\", \"client-id\": \"0102\", "          \
	"\"valid-lifetime\": 3600, \"transaction\": \"1a2b\"" more "}"

static struct pa_api api;
static struct pa_brokerconf *conf;
static struct pa_now now = {.boot_ms = 1000, .unix_ms = 1800000000000u};
static struct pa_api_reply reply;

static void setup(void)
{
	static const uint8_t seed[16] = {1};

	cr_assert_eq(pa_cred_init(), 0);
	conf = conf_of("{\"realms\": [\"campus\", \"lab\"], \"gateway-groups\": [{\"name\": \"main\", \"public-key\": \"" PUBLIC_KEY
		       "\", \"gateways\": [\"198.51.100.10:6080\", \"198.51.100.11:6080\"], \"gateway-names\": [\"gw1\", \"gw2\"], \"relay\": {\"address\": \"198.51.100.10:443\"}}, {\"name\": \"other\", \"public-key\": \"" PUBLIC_KEY
		       "\", \"gateways\": [\"198.51.100.12:6080\"], \"gateway-names\": [\"gw3\"]}], "
		       "\"pools\": [{\"id\": 1, \"name\": \"one\", \"prefix\": \"203.0.113.0/30\", \"gateway-group\": \"main\"}]}");
	memset(&api, 0, sizeof(api));
	api.conf = conf;
	api.keys = test_keys();
	api.version = "1.2.3";
	api.leases = pa_lease_table_new(conf, seed);
	api.reports = pa_reports_new();
}

static void teardown(void)
{
	json_decref(reply.arguments);
	pa_lease_table_free(api.leases);
	pa_reports_free(api.reports);
	pa_keyring_free((struct pa_keyring *)(uintptr_t)api.keys);
	pa_brokerconf_free(conf);
}

TestSuite(api, .init = setup, .fini = teardown);

static const json_t *call_as(bool admin, const char *name, const char *arguments)
{
	json_t *a = arguments != NULL ? json_loads(arguments, 0, NULL) : NULL;

	cr_assert(arguments == NULL || a != NULL, "%s", arguments);
	json_decref(reply.arguments);
	pa_api_handle(&api, now, admin, name, a, &reply);
	json_decref(a);
	return reply.arguments;
}

static const json_t *call(const char *name, const char *arguments)
{
	return call_as(true, name, arguments);
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static json_int_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void decode(const json_t *r, struct pa_grant *ret)
{
	uint8_t bytes[PA_GRANT_MAX];
	int len = pa_hex_decode(text(r, "grant"), bytes, sizeof(bytes));

	cr_assert_gt(len, 0);
	cr_assert_eq(pa_grant_decode(bytes, (size_t)len, ret), 0);
}

Test(api, allocate_gives_a_grant_that_verifies)
{
	const json_t *r = call("lease-allocate", ALLOCATE(", \"client-key\": \"" CLIENT_KEY "\""));
	uint8_t client_key[PA_KEY_LEN], fingerprint[PA_FINGERPRINT_LEN], pool_key[PA_KEY_LEN], claims[PA_CLAIMS_LEN];
	uint8_t secret[PA_KEY_LEN];
	struct pa_grant g;

	cr_assert_eq(reply.result, PA_RESULT_SUCCESS, "%s", reply.text);
	cr_assert(reply.commit);
	cr_assert_str_eq(reply.event, "lease.grant");
	cr_assert_str_eq(text(r, "address"), "203.0.113.0");
	cr_assert(json_is_true(json_object_get(r, "new")));
	decode(r, &g);
	memset(client_key, 0x11, sizeof(client_key));
	pa_fingerprint(client_key, fingerprint);
	cr_assert_arr_eq(g.claims.fingerprint, fingerprint, PA_FINGERPRINT_LEN);
	cr_assert_eq(g.claims.key_id, 3);
	cr_assert_eq(g.claims.pool_id, 1);
	cr_assert_eq(g.claims.prefix_len, 32);
	cr_assert_eq((json_int_t)g.claims.epoch, number(r, "epoch"));
	cr_assert_eq((json_int_t)g.claims.expires, number(r, "expires"));
	cr_assert_eq(g.lifetime, 3600u + PA_GRANT_GRACE);
	cr_assert_eq(g.mtu, PA_MTU_DEFAULT);
	cr_assert_eq(g.keepalive, PA_KEEPALIVE_DEFAULT);
	cr_assert_eq(g.n_gateways, 2u);
	cr_assert_eq(g.gateways[0].port, 6080);
	cr_assert(pa_addr_eq(&g.relay.addr, &g.gateways[0].addr) && g.relay.port == 443);
	cr_assert_arr_eq(g.gateway_key, conf->groups[0].public_key, PA_KEY_LEN);
	pa_derive_pool_key(pa_keyring_at(api.keys, 0)->key, 3, 1, pool_key);
	pa_claims_encode(&g.claims, claims);
	pa_derive_secret(pool_key, claims, secret);
	cr_assert_arr_eq(g.secret, secret, PA_KEY_LEN);
}

Test(api, repeat_renew_and_new_in_replies)
{
	char first[2 * PA_GRANT_MAX + 1];
	const json_t *r = call("lease-allocate", ALLOCATE(""));

	(void)snprintf(first, sizeof(first), "%s", text(r, "grant"));
	pa_lease_changes_done(api.leases);
	now.unix_ms += 5000;
	r = call("lease-allocate", ALLOCATE(""));
	cr_assert_str_eq(text(r, "grant"), first);
	cr_assert(json_is_false(json_object_get(r, "new")));
	cr_assert_str_eq(reply.event, "lease.repeat");
	cr_assert_not(reply.commit);
	now.unix_ms += 30000;
	r = call("lease-allocate", ALLOCATE(""));
	cr_assert_str_neq(text(r, "grant"), first);
	cr_assert_str_eq(reply.event, "lease.renew");
	cr_assert(json_is_false(json_object_get(r, "new")));
	cr_assert_eq(api.counters.granted, 1u);
	cr_assert_eq(api.counters.repeated, 1u);
	cr_assert_eq(api.counters.renewed, 1u);
}

Test(api, grant_needs_its_pool)
{
	struct pa_addr addr = addr_of("203.0.113.0");
	uint8_t buf[PA_GRANT_MAX];
	struct pa_lease lease;

	call("lease-allocate", ALLOCATE(""));
	lease = *pa_lease_by_addr(api.leases, &addr);
	cr_assert_gt(pa_grant_make(&lease, conf, api.keys, buf), 0);
	lease.pool_id = 2;
	cr_assert_eq(pa_grant_make(&lease, conf, api.keys, buf), PA_ENOTFOUND);
	lease.pool_id = 1;
	lease.addr = addr_of("192.0.2.1");
	cr_assert_eq(pa_grant_make(&lease, conf, api.keys, buf), PA_ENOTFOUND);
}

Test(api, lease_shape)
{
	const json_t *l = json_object_get(call("lease-allocate", ALLOCATE("")), "lease");

	cr_assert_str_eq(text(l, "realm"), "campus");
	cr_assert_str_eq(text(l, "client-id"), "0102");
	cr_assert_null(json_object_get(l, "hw-address"));
	cr_assert_str_eq(text(l, "dhcp-address"), "10.1.0.5");
	cr_assert_str_eq(text(l, "state"), "active");
	cr_assert_str_eq(text(l, "client-key-fingerprint"), "");
	cr_assert_eq(number(l, "subnet-id"), 1);
	cr_assert_eq(number(l, "granted"), (json_int_t)(now.unix_ms / 1000));
	l = json_object_get(call("lease-get", "{\"address\": \"203.0.113.0\"}"), "lease");
	cr_assert_str_eq(text(l, "state"), "active");
	now.unix_ms += 3661000;
	l = json_object_get(call("lease-get", "{\"realm\": \"campus\", \"client-id\": \"0102\"}"), "lease");
	cr_assert_str_eq(text(l, "state"), "expired", "the timer may be late, the answer is not");
}

static void assert_bad(const char *name, const char *arguments, const char *argument, const char *expected)
{
	(void)call(name, arguments);
	cr_assert_eq(reply.result, PA_RESULT_ERROR, "accepted: %s", arguments != NULL ? arguments : "");
	cr_assert_null(reply.arguments);
	cr_assert(strstr(reply.text, argument) != NULL, "expected %s in: %s", argument, reply.text);
	cr_assert(strstr(reply.text, expected) != NULL, "expected %s in: %s", expected, reply.text);
	cr_assert_eq(pa_lease_count(api.leases), 0u);
}

Test(api, argument_errors_name_the_argument)
{
	assert_bad("lease-allocate", NULL, "'realm'", "is missing");
	assert_bad("lease-allocate", "{\"realm\": 1}", "'realm'", "a string");
	assert_bad("lease-allocate", "{\"realm\": \"campus\"}", "'client-id'", "'hw-address'");
	assert_bad("lease-allocate", "{\"realm\": \"campus\", \"client-id\": \"012\"}", "'client-id'", "hexadecimal");
	assert_bad("lease-allocate", "{\"realm\": \"campus\", \"hw-address\": \"\"}", "'hw-address'", "1 to 255 bytes");
	assert_bad("lease-allocate", "{\"realm\": \"campus\", \"hw-address\": \"01\"}", "'subnet-id'", "is missing");
	assert_bad("lease-allocate", "{\"realm\": \"campus\", \"hw-address\": \"01\", \"subnet-id\": -1}", "'subnet-id'",
		   "from 0 to 4294967295");
	assert_bad("lease-allocate", ALLOCATE(", \"client-key\": \"00\""), "'client-key'", "64 hexadecimal digits");
	assert_bad("lease-allocate", ALLOCATE(", \"classes\": \"ALL\""), "'classes'", "a list");
	assert_bad("lease-allocate", ALLOCATE(", \"classes\": [1]"), "'classes'", "strings");
	assert_bad("lease-allocate",
		   "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"ten\", \"client-id\": \"01\", \"valid-lifetime\": 1}",
		   "'dhcp-address'", "\"ten\"");
	assert_bad("lease-allocate",
		   "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.0.0.1\", \"client-id\": \"01\", "
		   "\"valid-lifetime\": 0}", "'valid-lifetime'", "from 1");
	assert_bad("lease-allocate",
		   "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.0.0.1\", \"client-id\": \"01\", "
		   "\"valid-lifetime\": 1, \"transaction\": \"0x1\"}", "'transaction'", "hexadecimal");
	assert_bad("lease-allocate",
		   "{\"realm\": \"other\", \"subnet-id\": 1, \"dhcp-address\": \"10.0.0.1\", \"client-id\": \"01\", "
		   "\"valid-lifetime\": 1}", "'realm'", "brokerd.conf");
	assert_bad("lease-get", "{}", "'address'", "'realm'");
	assert_bad("lease-get", "{\"address\": 1}", "'address'", "expected");
	assert_bad("lease-get-page", "{\"from\": \"begin\", \"limit\": 1}", "'from'", "\"start\"");
	assert_bad("lease-get-page", "{\"from\": \"start\", \"limit\": 0}", "'limit'", "from 1 to 10000");
	assert_bad("lease-release", "{\"realm\": \"campus\", \"client-id\": \"01\"}", "'subnet-id'", "is missing");
	assert_bad("config-test", "{\"file\": \"relative\"}", "'file'", "'/'");
}

Test(api, release)
{
	call("lease-allocate", ALLOCATE(""));
	call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 2, \"dhcp-address\": \"10.1.0.5\", \"client-id\": \"0102\"}");
	cr_assert_eq(reply.result, PA_RESULT_EMPTY);
	cr_assert(strstr(reply.text, "superseded") != NULL);
	call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.1.0.5\", \"client-id\": \"0102\"}");
	cr_assert_eq(reply.result, PA_RESULT_SUCCESS);
	cr_assert_str_eq(reply.event, "lease.release");
	cr_assert_str_eq(text(json_object_get(reply.arguments, "lease"), "state"), "released");
	call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.1.0.5\", \"client-id\": \"0102\"}");
	cr_assert_eq(reply.result, PA_RESULT_EMPTY);
}

/* A release that comes from the LAN must show the grant; what is wrong with it changes nothing. */
Test(api, release_by_proof)
{
	static const char form[] = "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.1.0.5\", \"client-id\": \"0102\", "
				   "\"epoch\": %llu, \"proof\": \"%s\"}";
	uint8_t option[PA_GRANT_MAX], proof[PA_MAC_LEN];
	char hex[2 * PA_MAC_LEN + 1], arguments[256];
	struct pa_grant g;
	int n;

	call("lease-allocate", ALLOCATE(""));
	n = pa_hex_decode(text(reply.arguments, "grant"), option, sizeof(option));
	cr_assert_eq(pa_grant_decode(option, (size_t)n, &g), 0);
	pa_release_proof(g.secret, g.claims.epoch, 0x0a010006, proof); /* of another lease */
	(void)snprintf(arguments, sizeof(arguments), form, (unsigned long long)g.claims.epoch, pa_hex_encode(proof, sizeof(proof), hex));
	call("lease-release", arguments);
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	cr_assert_str_eq(reply.event, "lease.unproven");
	call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.1.0.5\", \"client-id\": \"0102\", "
	     "\"proof\": \"00\"}");
	cr_assert(strstr(reply.text, "'proof'") != NULL, "%s", reply.text);
	pa_release_proof(g.secret, g.claims.epoch, 0x0a010005, proof);
	(void)snprintf(arguments, sizeof(arguments), form, (unsigned long long)g.claims.epoch, pa_hex_encode(proof, sizeof(proof), hex));
	call("lease-release", arguments);
	cr_assert_eq(reply.result, PA_RESULT_SUCCESS);
	cr_assert_str_eq(reply.event, "lease.release");
	call("lease-release", arguments);
	cr_assert_eq(reply.result, PA_RESULT_EMPTY, "again");
}

static void allocate_n(unsigned n)
{
	char a[256];

	(void)snprintf(a, sizeof(a),
		       "{\"realm\": \"lab\", \"subnet-id\": 1, \"dhcp-address\": \"10.1.0.%u\", \"hw-address\": \"%04x\", "
		       "\"valid-lifetime\": 3600}", n, n);
	(void)call("lease-allocate", a);
}

Test(api, a_subnet_at_its_limit_is_told_so)
{
	const json_t *r, *s;

	cr_assert_null(call("subnet-stats", "{}") == NULL ? NULL : json_array_get(json_object_get(reply.arguments, "subnets"), 0));
	conf->subnet_limit = 1;
	(void)call("lease-allocate", ALLOCATE(""));
	cr_assert_eq(reply.result, PA_RESULT_SUCCESS);
	(void)call("lease-allocate", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.1.0.6\", \"client-id\": \"0103\", "
		   "\"valid-lifetime\": 3600}");
	cr_assert_eq(reply.result, PA_RESULT_EMPTY);
	cr_assert_str_eq(reply.text, "subnet 1 of realm 'campus' has 1 addresses leased or resting, as many as subnet-limit allows; "
			 "raise it in brokerd.conf, or wait until some have rested");
	cr_assert_str_eq(reply.event, "lease.refuse");
	cr_assert_not_null(strstr(reply.fields, "reason=subnet-limit"));
	cr_assert(api.counters.refused == 1 && api.counters.limited == 1);
	r = call("subnet-stats", NULL);
	s = json_array_get(json_object_get(r, "subnets"), 0);
	cr_assert_eq(number(r, "limit"), 1);
	cr_assert_str_eq(text(s, "realm"), "campus");
	cr_assert(number(s, "subnet-id") == 1 && number(s, "held") == 1 && number(s, "refused") == 1);
}

Test(api, exhausted_pool_says_how_it_stands)
{
	for (unsigned i = 0; i < 4; i++)
		allocate_n(i);
	cr_assert_eq(reply.result, PA_RESULT_SUCCESS);
	allocate_n(9);
	cr_assert_eq(reply.result, PA_RESULT_EMPTY);
	cr_assert(strstr(reply.text, "4 leased, 0 resting") != NULL, "%s", reply.text);
	cr_assert_str_eq(reply.event, "lease.refuse");
	cr_assert_eq(api.counters.refused, 1u);
}

Test(api, pages)
{
	const json_t *r;

	call("lease-get-page", "{\"from\": \"start\", \"limit\": 10}");
	cr_assert_eq(reply.result, PA_RESULT_EMPTY);
	cr_assert_eq(number(reply.arguments, "count"), 0);
	for (unsigned i = 0; i < 4; i++)
		allocate_n(i);
	r = call("lease-get-page", "{\"from\": \"start\", \"limit\": 3}");
	cr_assert_eq(number(r, "count"), 3);
	r = call("lease-get-page", "{\"from\": \"203.0.113.2\", \"limit\": 3}");
	cr_assert_eq(number(r, "count"), 1);
	cr_assert_str_eq(text(json_array_get(json_object_get(r, "leases"), 0), "address"), "203.0.113.3");
	cr_assert_str_eq(text(json_array_get(json_object_get(r, "leases"), 0), "hw-address"), "0003");
}

Test(api, reads_also_wait_for_the_store)
{
	call("lease-allocate", ALLOCATE(""));
	call("lease-get", "{\"address\": \"203.0.113.0\"}");
	cr_assert(reply.commit, "it tells of a lease that is not stored yet");
	pa_lease_changes_done(api.leases);
	call("lease-get", "{\"address\": \"203.0.113.0\"}");
	cr_assert_not(reply.commit);
}

static int fake_test(const char *file, char err[PA_CONF_ERRLEN])
{
	(void)snprintf(err, PA_CONF_ERRLEN, "%s:7: wrong", file);
	return strcmp(file, "/good") == 0 ? 0 : PA_EFORMAT;
}

Test(api, what_changes_the_broker_is_for_the_admin)
{
	call_as(false, "config-reload", "{}");
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	cr_assert_not_null(strstr(reply.text, "permission denied"), "%s", reply.text);
	call_as(false, "store-backup", "{\"file\": \"/x\"}");
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	cr_assert_not_null(strstr(reply.text, "permission denied"), "%s", reply.text);
	call_as(true, "config-reload", "{}");
	cr_assert_eq(reply.result, PA_RESULT_UNSUPPORTED);
	call_as(true, "store-backup", "{\"file\": \"/x\"}");
	cr_assert_eq(reply.result, PA_RESULT_UNSUPPORTED);
}

Test(api, config_test_is_for_the_admin)
{
	call_as(true, "config-test", "{\"file\": \"/good\"}");
	cr_assert_eq(reply.result, PA_RESULT_UNSUPPORTED);
	api.config_test = fake_test;
	call_as(false, "config-test", "{\"file\": \"/good\"}");
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	cr_assert(strstr(reply.text, "permission") != NULL);
	call_as(true, "config-test", "{\"file\": \"/good\"}");
	cr_assert_eq(reply.result, PA_RESULT_SUCCESS);
	call_as(true, "config-test", "{\"file\": \"/bad\"}");
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	cr_assert_str_eq(reply.text, "/bad:7: wrong");
}

Test(api, the_rest)
{
	const json_t *r = call("pool-stats", NULL), *pool = json_array_get(json_object_get(r, "pools"), 0);
	char *dump;

	cr_assert_eq(number(pool, "total"), 4);
	cr_assert_eq(number(pool, "free"), 4);
	cr_assert_str_eq(text(pool, "prefix"), "203.0.113.0/30");
	cr_assert_str_eq(text(call("version-get", NULL), "version"), "1.2.3");
	cr_assert_gt(json_array_size(json_object_get(call("list-commands", NULL), "commands")), 8u);
	cr_assert_eq(number(call("status-get", NULL), "active-leases"), 0);
	dump = json_dumps(call("config-get", NULL), 0);
	cr_assert(strstr(dump, "203.0.113.0/30") != NULL);
	cr_assert(strstr(dump, "00112233445566778899") == NULL, "no key in the configuration");
	free(dump);
	call("lease-eat", NULL);
	cr_assert_eq(reply.result, PA_RESULT_UNSUPPORTED);
	cr_assert(strstr(reply.text, "lease-eat") != NULL);
}

Test(api, what_is_quoted_stays_valid_json)
{
	json_t *json;

	/* 63 bytes and then a character of two, of which the text quotes one. */
	call("lease-get-page", "{\"limit\": 1, \"from\": \""
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u00e9\"}");
	json = pa_reply_new(reply.result, reply.text, NULL, NULL);
	cr_assert_not_null(json);
	json_decref(json);
}

Test(api, logs_hold_no_secret)
{
	const json_t *r = call("lease-allocate", ALLOCATE(", \"client-key\": \"" CLIENT_KEY "\""));
	char secret[2 * PA_KEY_LEN + 1];
	struct pa_grant g;

	decode(r, &g);
	pa_hex_encode(g.secret, PA_KEY_LEN, secret);
	cr_assert(strstr(reply.fields, secret) == NULL);
	cr_assert(strstr(reply.fields, text(r, "grant")) == NULL);
	cr_assert(strstr(reply.fields, "addr=203.0.113.0 pool=1 realm=campus client=client-id:0102") != NULL);
}

static int64_t in_list(const json_t *o, const char *key, size_t i, size_t k)
{
	return json_integer_value(json_array_get(json_array_get(json_object_get(o, key), i), k));
}

Test(api, gateway_sync)
{
	const json_t *r = call("gateway-sync", "{\"name\": \"gw1\", \"from\": 0}");
	int64_t epoch, head;

	cr_assert_eq(reply.result, 0, "%s", reply.text);
	cr_assert_str_eq(reply.event, "gateway.connect");
	cr_assert(json_is_true(json_object_get(r, "idle")));
	epoch = number(call("lease-allocate", ALLOCATE("")), "epoch");
	call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.1.0.5\", \"client-id\": \"0102\"}");
	cr_assert_eq(reply.result, 0, "%s", reply.text);
	r = call("gateway-sync", "{\"name\": \"gw1\", \"from\": 0}");
	cr_assert(reply.commit, "what is told must be stored");
	cr_assert(json_is_false(json_object_get(r, "idle")) && json_is_false(json_object_get(r, "more")));
	cr_assert_eq(json_array_size(json_object_get(r, "floors")), 1u);
	cr_assert_eq(in_list(r, "floors", 0, 1), epoch + 1);
	head = number(r, "number");
	r = call("gateway-sync", "{\"name\": \"gw1\", \"from\": 9000000000000000000}");
	cr_assert_eq(number(r, "number"), head);
	cr_assert_eq(json_array_size(json_object_get(r, "floors")), 1u, "another log: from its beginning");
	call("gateway-sync", "{\"name\": \"gw9\", \"from\": 0}");
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	cr_assert(strstr(reply.text, "gateway-names") != NULL, "%s", reply.text);
	call_as(false, "gateway-sync", "{\"name\": \"gw1\", \"from\": 0}");
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	cr_assert(strstr(reply.text, "permission denied") != NULL, "%s", reply.text);
}

Test(api, gateway_report)
{
	const json_t *r;
	int64_t seen;

	call("lease-allocate", ALLOCATE(""));
	call("gateway-report", "{\"name\": \"gw1\", \"bindings\": [[\"203.0.113.0\", 5, 10], [\"203.0.113.99\", 5, 10]]}");
	cr_assert_eq(reply.result, 0, "%s", reply.text);
	r = call("gateway-sync", "{\"name\": \"gw1\", \"from\": 0}");
	cr_assert_eq(json_array_size(json_object_get(r, "bindings")), 0u, "its own");
	r = call("gateway-sync", "{\"name\": \"gw2\", \"from\": 0}");
	cr_assert_eq(json_array_size(json_object_get(r, "bindings")), 1u, "of an address that was leased");
	cr_assert(in_list(r, "bindings", 0, 1) == 5 && in_list(r, "bindings", 0, 2) == 10);
	seen = number(r, "reports");
	/* The client moves to gw2; an older report comes late. */
	call("gateway-report", "{\"name\": \"gw2\", \"bindings\": [[\"203.0.113.0\", 5, 11]]}");
	call("gateway-report", "{\"name\": \"gw1\", \"bindings\": [[\"203.0.113.0\", 5, 10], [\"203.0.113.0\", 4, 99]]}");
	r = call("gateway-sync", "{\"name\": \"gw1\", \"from\": 0}");
	cr_assert_eq(json_array_size(json_object_get(r, "bindings")), 1u);
	cr_assert(in_list(r, "bindings", 0, 1) == 5 && in_list(r, "bindings", 0, 2) == 11);
	cr_assert_gt(number(r, "reports"), seen);
	call("gateway-report", "{\"name\": \"gw1\", \"bindings\": [[\"203.0.113.0\", 5]]}");
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	/* Epochs have an end, and nobody brings them there. */
	call("gateway-report", "{\"name\": \"gw1\", \"bindings\": [[\"203.0.113.0\", 9223372036854775807, 12]]}");
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	call("gateway-report", "{\"name\": \"gw1\", \"bindings\": [], \"floors\": [[\"203.0.113.0\", 9223372036854775807]]}");
	cr_assert_eq(reply.result, PA_RESULT_ERROR);
	r = call("gateway-sync", "{\"name\": \"gw2\", \"from\": 0}");
	cr_assert_eq(json_array_size(json_object_get(r, "bindings")), 0u, "nothing of it was taken");
}

/* A gateway is trusted with the pools that it serves, and with nothing else. */
Test(api, a_gateway_speaks_for_its_own_pools_only)
{
	const json_t *r;

	call("lease-allocate", ALLOCATE(""));
	call("gateway-report", "{\"name\": \"gw3\", \"bindings\": [[\"203.0.113.0\", 1900000000000, 10]], \"floors\": [[\"203.0.113.0\", 1900000000000]]}");
	cr_assert_eq(reply.result, PA_RESULT_SUCCESS, "%s", reply.text);
	r = call("gateway-sync", "{\"name\": \"gw1\", \"from\": 0}");
	cr_assert_eq(json_array_size(json_object_get(r, "bindings")), 0u, "nobody hears of it");
	r = json_object_get(call("lease-get", "{\"address\": \"203.0.113.0\"}"), "lease");
	cr_assert_str_eq(text(r, "state"), "active");
	call("gateway-sync", "{\"name\": \"gw3\", \"from\": 1790000000000}");
	call("lease-allocate", ALLOCATE(""));
	cr_assert_eq(reply.result, PA_RESULT_SUCCESS, "its log is another matter: %s", reply.text);
}

Test(api, an_epoch_that_is_far_off_is_refused)
{
	static const char *const bad[] = {"0", "-1", "9223372036854775807", "4000000000000", "\"5\"", "null", "5.5"};
	char line[256];

	call("lease-allocate", ALLOCATE(""));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(line, sizeof(line), "{\"name\": \"gw1\", \"bindings\": [[\"203.0.113.0\", %s, 1]]}", bad[i]);
		call("gateway-report", line);
		cr_assert_eq(reply.result, PA_RESULT_ERROR, "%s", line);
		cr_assert_not_null(strstr(reply.text, "'bindings'"), "%s", reply.text);
		(void)snprintf(line, sizeof(line), "{\"name\": \"gw1\", \"bindings\": [], \"floors\": [[\"203.0.113.0\", %s]]}", bad[i]);
		call("gateway-report", line);
		cr_assert_eq(reply.result, PA_RESULT_ERROR, "%s", line);
		cr_assert_not_null(strstr(reply.text, "'floors'"), "%s", reply.text);
	}
	call_as(false, "pool-recover", "{\"pool-id\": 1, \"seconds\": 5}");
	cr_assert_not_null(strstr(reply.text, "permission denied"), "%s", reply.text);
	call("lease-allocate", ALLOCATE(""));
	cr_assert_eq(reply.result, PA_RESULT_SUCCESS);
	cr_assert_eq(number(reply.arguments, "epoch"), (json_int_t)now.unix_ms, "nothing was changed");
}

Test(api, gateway_clock)
{
	char question[128];
	const json_t *r;

	for (int ms = -11000; ms <= 11000; ms += 11000) {
		(void)snprintf(question, sizeof(question), "{\"name\": \"gw2\", \"from\": 0, \"time\": %lld}",
			       (long long)now.unix_ms + ms);
		call("gateway-sync", question);
		cr_assert_str_eq(reply.event, ms != 0 ? "gateway.clock-skew" : "gateway.clock-good");
		r = json_array_get(json_object_get(call("status-get", NULL), "gateways"), 1);
		cr_assert_str_eq(text(r, "name"), "gw2");
		cr_assert_eq(number(r, "clock-skew-ms"), ms);
		cr_assert_eq(json_is_true(json_object_get(r, "clock-alarm")), ms != 0);
	}
}

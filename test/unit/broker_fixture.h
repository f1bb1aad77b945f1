/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_BROKER_FIXTURE_H
#define PA_TEST_BROKER_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/brokerconf.h"
#include "broker/lease.h"
#include "common/cred.h"
#include "common/keyfile.h"

/* What the broker's tests share: small configurations, clients, requests. */
#define PUBLIC_KEY "0900000000000000000000000000000000000000000000000000000000000001"
#define MASTER_TEXT "master 3 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"

#define CONF_HEAD                                                                                                      \
	"{\"realms\": [\"campus\", \"lab\"], \"quarantine\": 120,\n"                                                   \
	" \"gateway-groups\": [{\"name\": \"main\", \"public-key\": \"" PUBLIC_KEY                                     \
	"\", \"gateways\": [\"198.51.100.10:6080\"]}],\n"

/* One pool of prefix, without exclusions. */
static inline struct pa_brokerconf *conf_of(const char *text)
{
	struct pa_brokerconf *conf = NULL;
	char err[PA_CONF_ERRLEN] = "";

	cr_assert_eq(pa_brokerconf_parse("test.conf", text, strlen(text), &conf, err), 0, "%s", err);
	return conf;
}

static inline struct pa_brokerconf *conf_pool(const char *prefix)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
		       CONF_HEAD "\"pools\": [{\"id\": 1, \"name\": \"one\", \"prefix\": \"%s\", \"gateway-group\": \"main\"}]}",
		       prefix);
	return conf_of(text);
}

static inline struct pa_keyring *test_keys(void)
{
	char err[PA_KEYFILE_ERRLEN] = "";
	struct pa_keyring *keys = NULL;

	cr_assert_eq(pa_keyring_parse("keys", MASTER_TEXT, strlen(MASTER_TEXT), &keys, err), 0, "%s", err);
	return keys;
}

static inline struct pa_ident *ident_in(const char *realm, unsigned n)
{
	uint8_t id[5] = {1, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	struct pa_ident *ident = pa_ident_new(realm, PA_IDENT_CLIENT_ID, id, sizeof(id));

	cr_assert_not_null(ident);
	return ident;
}

static inline struct pa_addr addr_of(const char *text)
{
	struct pa_addr a;

	cr_assert_eq(pa_addr_parse(text, &a), 0, "%s", text);
	return a;
}

/* A request of client n; the caller puts .ident. */
static inline struct pa_lease_request request_of(unsigned n, uint32_t xid)
{
	struct pa_lease_request r;

	memset(&r, 0, sizeof(r));
	r.ident = ident_in("campus", n);
	r.subnet_id = 1;
	r.dhcp_addr = pa_addr_from_ipv4(0x0a010000u + n);
	r.valid_lifetime = 3600;
	r.xid = xid;
	r.has_xid = true;
	return r;
}

#endif

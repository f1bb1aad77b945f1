/* SPDX-License-Identifier: MPL-2.0 */
/* The revocation log, and when an address may go to another client. */
#include "broker/revoke.h"
#include "broker_fixture.h"
#include "common/err.h"

#define NOW 1800000000000u /* Unix ms */

#define CONF_NAMED                                                                                                     \
	"{\"realms\": [\"campus\"], \"quarantine\": 120,\n"                                                            \
	" \"gateway-groups\": [{\"name\": \"main\", \"public-key\": \"" PUBLIC_KEY                                     \
	"\", \"gateways\": [\"198.51.100.10:6080\", \"198.51.100.11:6080\"], \"gateway-names\": [\"gw1\", \"gw2\"]}],\n" \
	" \"pools\": [{\"id\": 1, \"name\": \"one\", \"prefix\": \"203.0.113.0/32\", \"gateway-group\": \"main\"}]}"

static struct pa_lease_table *table_of(const struct pa_brokerconf *conf)
{
	static const uint8_t seed[16];
	struct pa_lease_table *t = pa_lease_table_new(conf, seed);

	cr_assert_not_null(t);
	return t;
}

static int allocate(struct pa_lease_table *t, unsigned client, uint64_t now)
{
	struct pa_lease_request req = request_of(client, (uint32_t)now);
	const struct pa_lease *row;
	int rc = pa_lease_allocate(t, &req, now, &row);

	pa_ident_put(req.ident);
	return rc;
}

static void release(struct pa_lease_table *t, unsigned client, uint64_t now)
{
	struct pa_lease_request req = request_of(client, 0);
	struct pa_lease_name name = {.ident = req.ident, .dhcp_addr = req.dhcp_addr, .subnet_id = req.subnet_id};
	const struct pa_lease *row;

	cr_assert_eq(pa_lease_release(t, &name, now, &row), 0);
	cr_assert_eq(pa_lease_floor(row), row->epoch + 1);
	pa_ident_put(req.ident);
}

Test(revoke, log_is_numbered_ordered_and_compact)
{
	struct pa_brokerconf *conf = conf_pool("203.0.113.0/24");
	struct pa_lease_table *t = table_of(conf);
	const struct pa_lease *rows[200];
	uint64_t number = 0;
	size_t n;

	cr_assert_eq(pa_lease_revoked(t, 0, rows, 200), 0u);
	for (unsigned i = 0; i < 200; i++)
		cr_assert_eq(allocate(t, i, NOW), PA_LEASE_NEW);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 200; i++) {
			release(t, i, NOW + round);
			cr_assert_eq(allocate(t, i, NOW + round), PA_LEASE_NEW);
		}
	}
	n = pa_lease_revoked(t, 0, rows, 200);
	cr_assert_eq(n, 200u, "each address once");
	for (size_t i = 0; i < n; i++) {
		cr_assert_gt(rows[i]->revoked, number);
		number = rows[i]->revoked;
		cr_assert_eq(pa_lease_floor(rows[i]), rows[i]->epoch, "what was granted since is good");
	}
	cr_assert_eq(pa_lease_revoked_head(t), number);
	cr_assert_eq(pa_lease_revoked(t, rows[99]->revoked, rows, 200), 100u, "continued in the middle");
	cr_assert_eq(pa_lease_revoked(t, number, rows, 200), 0u);
	pa_lease_table_free(t);
	pa_brokerconf_free(conf);
}

Test(revoke, other_clients_wait_for_every_gateway)
{
	struct pa_brokerconf *conf = conf_of(CONF_NAMED);
	struct pa_lease_table *t = table_of(conf);
	uint64_t end = NOW + 10000, rested = end + 120000, head;

	cr_assert_eq(allocate(t, 1, NOW), PA_LEASE_NEW);
	release(t, 1, end);
	head = pa_lease_revoked_head(t);
	cr_assert_eq(pa_lease_ack(t, "gw1", head), 0);
	cr_assert_eq(allocate(t, 2, rested), PA_EEXHAUSTED, "one gateway is missing");
	cr_assert_eq(pa_lease_ack(t, "gw3", head), PA_ENOTFOUND);
	cr_assert_eq(pa_lease_ack(t, "gw2", head - 1), 0);
	cr_assert_eq(allocate(t, 2, rested), PA_EEXHAUSTED, "it knows what came before only");
	cr_assert_eq(pa_lease_ack(t, "gw2", head + 1), 0);
	cr_assert_eq(allocate(t, 2, rested), PA_EEXHAUSTED, "it speaks of another log");
	cr_assert_eq(pa_lease_ack(t, "gw2", head), 0);
	cr_assert_eq(allocate(t, 2, rested - 1), PA_EEXHAUSTED, "the quarantine holds");
	cr_assert_eq(allocate(t, 2, rested), PA_LEASE_NEW);
	pa_lease_table_free(t);
	pa_brokerconf_free(conf);
}

Test(revoke, a_gateway_that_lost_its_disk_counts_again)
{
	struct pa_brokerconf *conf = conf_of(CONF_NAMED);
	struct pa_lease_table *t = table_of(conf);
	uint64_t rested = NOW + 120000;
	struct pa_pool_stats s;

	cr_assert_eq(allocate(t, 1, NOW), PA_LEASE_NEW);
	release(t, 1, NOW);
	cr_assert_eq(pa_lease_ack(t, "gw1", pa_lease_revoked_head(t)), 0);
	cr_assert_eq(pa_lease_ack(t, "gw2", pa_lease_revoked_head(t)), 0);
	s = pa_lease_pool_stats(t, 0, rested); /* moves it to where it is free for everybody */
	cr_assert_eq(s.free, 1u);
	cr_assert_eq(pa_lease_ack(t, "gw2", 0), 0);
	cr_assert_eq(allocate(t, 2, rested), PA_EEXHAUSTED);
	/* Highest expiry: 3600 s, 60 s of grace, 30 s of margin. */
	cr_assert_eq(allocate(t, 2, NOW + 3689999), PA_EEXHAUSTED);
	cr_assert_eq(allocate(t, 2, NOW + 3690000), PA_LEASE_NEW, "the fallback");
	pa_lease_table_free(t);
	pa_brokerconf_free(conf);
}

Test(revoke, without_names_only_the_expiry_counts)
{
	struct pa_brokerconf *conf = conf_pool("203.0.113.0/32");
	struct pa_lease_table *t = table_of(conf);

	cr_assert_eq(allocate(t, 1, NOW), PA_LEASE_NEW);
	release(t, 1, NOW);
	cr_assert_eq(pa_lease_ack(t, "gw1", pa_lease_revoked_head(t)), PA_ENOTFOUND);
	cr_assert_eq(allocate(t, 2, NOW + 3689999), PA_EEXHAUSTED);
	cr_assert_eq(allocate(t, 2, NOW + 3690000), PA_LEASE_NEW);
	pa_lease_table_free(t);
	pa_brokerconf_free(conf);
}

/* A short lease after a long one that was revoked: its expiry is not the end of the longer grants. */
Test(revoke, an_expiry_is_revoked_too)
{
	struct pa_brokerconf *conf = conf_of(CONF_NAMED);
	struct pa_lease_table *t = table_of(conf);
	struct pa_lease_request req = request_of(1, 7);
	const struct pa_lease *row;
	uint64_t first;

	req.valid_lifetime = 36000;
	cr_assert_eq(pa_lease_allocate(t, &req, NOW, &row), PA_LEASE_NEW);
	release(t, 1, NOW + 1000);
	first = pa_lease_revoked_head(t);
	cr_assert_eq(allocate(t, 1, NOW + 2000), PA_LEASE_NEW);
	cr_assert_eq(pa_lease_expire(t, NOW + 3662000, 10), 1u);
	cr_assert_gt(pa_lease_revoked_head(t), first);
	cr_assert_eq(allocate(t, 2, NOW + 3662000 + 120000), PA_EEXHAUSTED);
	cr_assert_eq(pa_lease_ack(t, "gw1", pa_lease_revoked_head(t)), 0);
	cr_assert_eq(pa_lease_ack(t, "gw2", pa_lease_revoked_head(t)), 0);
	cr_assert_eq(allocate(t, 2, NOW + 3662000 + 120000), PA_LEASE_NEW);
	pa_ident_put(req.ident);
	pa_lease_table_free(t);
	pa_brokerconf_free(conf);
}

/* A client that moved to another LAN has another name; what the old LAN says later is of no account. */
Test(revoke, late_end_of_a_superseded_lease)
{
	struct pa_brokerconf *conf = conf_of(CONF_NAMED);
	struct pa_lease_table *t = table_of(conf);
	struct pa_lease_request req = request_of(1, 1);
	struct pa_lease_name old = {.ident = req.ident, .dhcp_addr = req.dhcp_addr, .subnet_id = req.subnet_id}, same;
	const struct pa_lease *row, *rows[4];
	uint64_t epoch;

	cr_assert_eq(pa_lease_allocate(t, &req, NOW, &row), PA_LEASE_NEW);
	epoch = row->epoch;
	req.subnet_id = 2;
	req.dhcp_addr = addr_of("10.2.0.9");
	req.xid = 2;
	cr_assert_eq(pa_lease_allocate(t, &req, NOW + 60000, &row), PA_LEASE_RENEWED);
	cr_assert_eq(pa_lease_release(t, &old, NOW + 61000, &row), PA_EREPLAY);
	same = (struct pa_lease_name){.ident = req.ident, .dhcp_addr = req.dhcp_addr, .subnet_id = 2, .epoch = epoch + 1};
	cr_assert_eq(pa_lease_release(t, &same, NOW + 61000, &row), PA_EREPLAY, "another epoch is another lease");
	cr_assert_eq(pa_lease_revoked(t, 0, rows, 4), 0u, "nothing was revoked");
	same.epoch = epoch;
	cr_assert_eq(pa_lease_release(t, &same, NOW + 61000, &row), 0);
	cr_assert_eq(pa_lease_revoked(t, 0, rows, 4), 1u);
	pa_ident_put(req.ident);
	pa_lease_table_free(t);
	pa_brokerconf_free(conf);
}

Test(revoke, configuration_names_all_gateways_or_none)
{
	static const char half[] =
		"{\"realms\": [\"campus\"], \"gateway-groups\": [{\"name\": \"main\", \"public-key\": \"" PUBLIC_KEY
		"\", \"gateways\": [\"198.51.100.10:6080\", \"198.51.100.11:6080\"], \"gateway-names\": [\"gw1\"]}],"
		" \"pools\": [{\"id\": 1, \"name\": \"one\", \"prefix\": \"203.0.113.0/32\", \"gateway-group\": \"main\"}]}";
	struct pa_brokerconf *conf = NULL;
	char err[PA_CONF_ERRLEN] = "";

	cr_assert_eq(pa_brokerconf_parse("b.conf", half, strlen(half), &conf, err), PA_EFORMAT);
	cr_assert(strstr(err, "one name for each of the 2 gateways") != NULL, "%s", err);
}

/* What was acknowledged by gateways that stay, stays over a reload. */
Test(revoke, reload)
{
	struct pa_brokerconf *conf = conf_of(CONF_NAMED), *other = conf_of(CONF_NAMED), *none = conf_pool("203.0.113.0/32");
	struct pa_lease_table *t = table_of(conf);
	const struct pa_ack *acks;

	cr_assert_eq(allocate(t, 1, NOW), PA_LEASE_NEW);
	release(t, 1, NOW);
	cr_assert_eq(pa_lease_ack(t, "gw2", pa_lease_revoked_head(t)), 0);
	cr_assert_eq(pa_lease_configure(t, other), 0);
	cr_assert_eq(pa_lease_acks(t, &acks), 2u);
	cr_assert_eq(acks[0].number, 0u);
	cr_assert_eq(acks[1].number, pa_lease_revoked_head(t));
	cr_assert_eq(pa_lease_configure(t, none), 0);
	cr_assert_eq(pa_lease_acks(t, &acks), 0u);
	pa_lease_table_free(t);
	pa_brokerconf_free(conf);
	pa_brokerconf_free(other);
	pa_brokerconf_free(none);
}

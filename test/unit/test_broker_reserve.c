/* SPDX-License-Identifier: MPL-2.0 */
/* Reservations: an address for one client, whatever the others do, and a configuration that comes and goes. */
#include "test/unit/broker_fixture.h"

#include "common/err.h"

#define T0 1800000000000u /* Unix ms */
#define S 1000u
#define DAY (86400u * S)

/* A /30 of which the third address is for client 7. */
#define POOL30 "\"pools\": [{\"id\": 1, \"name\": \"one\", \"gateway-group\": \"main\", \"classes\": [%s], \"prefix\": \"203.0.113.0/30\"}]"
#define FOR_7 "{\"realm\": \"campus\", \"client-id\": \"0100000007\", \"address\": \"203.0.113.2\"}"

static const uint8_t seed[16] = {1};

static struct pa_brokerconf *conf_with(const char *classes, const char *reservations)
{
	char text[4096];

	(void)snprintf(text, sizeof(text), CONF_HEAD POOL30 ", \"reservations\": [%s]}", classes, reservations);
	return conf_of(text);
}

static struct pa_lease_table *table_of(const struct pa_brokerconf *conf)
{
	struct pa_lease_table *t = pa_lease_table_new(conf, seed);

	cr_assert_not_null(t);
	return t;
}

/* The last byte of what client n gets, or a negative error. */
static int ask(struct pa_lease_table *t, unsigned n, uint32_t xid, uint64_t now)
{
	struct pa_lease_request r = request_of(n, xid);
	const struct pa_lease *lease = NULL;
	int rc = pa_lease_allocate(t, &r, now, &lease);

	pa_ident_put(r.ident);
	return rc < 0 ? rc : (int)(pa_addr_to_ipv4(&lease->addr) & 0xff);
}

static int release(struct pa_lease_table *t, unsigned n, uint64_t now)
{
	struct pa_ident *ident = ident_in("campus", n);
	struct pa_lease_name name = {ident, pa_addr_from_ipv4(0x0a010000u + n), 1, 0};
	const struct pa_lease *lease;
	int rc = pa_lease_release(t, &name, now, &lease);

	pa_ident_put(ident);
	return rc;
}

Test(reserve, goes_to_nobody_else)
{
	struct pa_brokerconf *conf = conf_with("", FOR_7);
	struct pa_lease_table *t = table_of(conf);

	cr_assert_eq(ask(t, 1, 1, T0), 0);
	cr_assert_eq(ask(t, 2, 1, T0), 1);
	cr_assert_eq(ask(t, 3, 1, T0), 3);
	cr_assert_eq(ask(t, 4, 1, T0), PA_EEXHAUSTED);
	cr_assert_eq(pa_lease_pool_stats(t, 0, T0).reserved, 1u);
	cr_assert_eq(pa_lease_pool_stats(t, 0, T0).free, 0u);
	cr_assert_eq(ask(t, 7, 1, T0), 2);
	cr_assert_eq(pa_lease_pool_stats(t, 0, T0).reserved, 0u);
	cr_assert_eq(ask(t, 7, 2, T0 + S), 2, "renewed");
	cr_assert_eq(release(t, 7, T0 + 2 * S), 0);
	cr_assert_eq(ask(t, 4, 2, T0 + 10 * DAY), PA_EEXHAUSTED, "nor when it has rested");
	cr_assert_eq(pa_lease_pool_stats(t, 0, T0).reserved, 1u);
	cr_assert_eq(ask(t, 7, 3, T0 + 10 * DAY), 2);
	pa_lease_table_free(t);
	pa_brokerconf_free(conf);
}

Test(reserve, goes_before_classes)
{
	struct pa_brokerconf *conf = conf_with("\"voice\"", FOR_7);
	struct pa_lease_table *t = table_of(conf);

	cr_assert_eq(ask(t, 1, 1, T0), PA_EDENIED);
	cr_assert_eq(ask(t, 7, 1, T0), 2);
	cr_assert_eq(ask(t, 7, 2, T0 + S), 2);
	pa_lease_table_free(t);
	pa_brokerconf_free(conf);
}

Test(reserve, client_moves_when_a_reservation_is_made_for_it)
{
	struct pa_brokerconf *before = conf_with("", ""), *conf = conf_with("", FOR_7);
	struct pa_lease_table *t = table_of(before);
	struct pa_addr first = addr_of("203.0.113.0");

	cr_assert_eq(ask(t, 7, 1, T0), 0);
	cr_assert_eq(pa_lease_configure(t, conf), 0);
	cr_assert_eq(ask(t, 7, 2, T0 + S), 2);
	cr_assert_eq(pa_lease_by_addr(t, &first)->state, PA_LEASE_RELEASED, "one lease a client");
	cr_assert_eq(pa_lease_configure(t, before), 0);
	cr_assert_eq(ask(t, 7, 3, T0 + 2 * S), 2, "without the reservation it stays");
	pa_lease_table_free(t);
	pa_brokerconf_free(before);
	pa_brokerconf_free(conf);
}

Test(reserve, holder_gives_way_and_the_address_rests_first)
{
	struct pa_brokerconf *before = conf_with("", ""), *conf = conf_with("", FOR_7);
	struct pa_lease_table *t = table_of(before);

	cr_assert_eq(ask(t, 1, 1, T0), 0);
	cr_assert_eq(ask(t, 2, 1, T0), 1);
	cr_assert_eq(ask(t, 3, 1, T0), 2, "client 3 has it");
	cr_assert_eq(pa_lease_configure(t, conf), 0);
	cr_assert_eq(ask(t, 7, 1, T0 + S), 3, "it is in use: another one for the time being");
	cr_assert_eq(release(t, 1, T0 + S), 0);
	cr_assert_eq(ask(t, 1, 2, T0 + 2 * S), 0);
	cr_assert_eq(release(t, 1, T0 + 3 * S), 0);
	cr_assert_eq(ask(t, 3, 2, T0 + 4 * S), PA_EEXHAUSTED, "it is not renewed to its holder, and nothing else is free");
	cr_assert_eq(ask(t, 7, 2, T0 + 5 * S), 3, "but its grant has not expired yet");
	cr_assert_eq(pa_lease_expire(t, T0 + DAY, 100), 3u);
	cr_assert_eq(ask(t, 7, 3, T0 + DAY + S), 2);
	cr_assert_eq(ask(t, 3, 3, T0 + DAY + S), 0);
	pa_lease_table_free(t);
	pa_brokerconf_free(before);
	pa_brokerconf_free(conf);
}

Test(reserve, stored_rows_stay_out_of_reach_too)
{
	struct pa_brokerconf *conf = conf_with("", FOR_7);
	struct pa_lease_table *t = table_of(conf), *again = table_of(conf);
	const struct pa_lease *const *rows;

	cr_assert_eq(ask(t, 7, 1, T0), 2);
	cr_assert_eq(release(t, 7, T0), 0);
	cr_assert_eq(pa_lease_changes(t, &rows), 1u);
	cr_assert_eq(pa_lease_load(again, rows[0]), 0);
	cr_assert_eq(pa_lease_pool_stats(again, 0, T0 + DAY).free, 3u);
	for (unsigned n = 1; n <= 3; n++)
		cr_assert_neq(ask(again, n, 1, T0 + DAY), 2);
	cr_assert_eq(ask(again, 4, 1, T0 + DAY), PA_EEXHAUSTED);
	pa_lease_table_free(t);
	pa_lease_table_free(again);
	pa_brokerconf_free(conf);
}

static void refused(const char *reservations, const char *where, const char *what)
{
	struct pa_brokerconf *conf = NULL;
	char text[4096], err[PA_CONF_ERRLEN] = "";

	(void)snprintf(text, sizeof(text), CONF_HEAD POOL30 ",\n\"reservations\": [%s]}", "", reservations);
	cr_assert_eq(pa_brokerconf_parse("test.conf", text, strlen(text), &conf, err), PA_EFORMAT, "%s", reservations);
	cr_assert_eq(strncmp(err, "test.conf:", 10), 0, "%s", err);
	cr_assert_not_null(strstr(err, where), "%s", err);
	cr_assert_not_null(strstr(err, what), "%s", err);
}

Test(reserve, mistakes_are_told)
{
	refused("{\"realm\": \"campus\", \"address\": \"203.0.113.2\"}", ":4: reservations[0]: ", "client-id");
	refused("{\"realm\": \"campus\", \"client-id\": \"01\", \"hw-address\": \"02\", \"address\": \"203.0.113.2\"}", "reservations[0]",
		"either");
	refused("{\"realm\": \"nowhere\", \"client-id\": \"01\", \"address\": \"203.0.113.2\"}", "reservations[0].realm", "\"nowhere\"");
	refused("{\"realm\": \"campus\", \"hw-address\": \"02:00\", \"address\": \"203.0.113.2\"}", "reservations[0].hw-address",
		"without colons");
	refused("{\"realm\": \"campus\", \"client-id\": \"01\", \"address\": \"203.0.113.9\"}", "reservations[0].address", "in no pool");
	refused("{\"realm\": \"campus\", \"client-id\": \"01\"}", "reservations[0].address", "");
	refused(FOR_7 ",\n{\"realm\": \"campus\", \"client-id\": \"01\", \"address\": \"203.0.113.2\"}", ":5: reservations[1].address",
		"reserved twice");
	refused("{\"realm\": \"campus\", \"client-id\": \"0100000007\", \"address\": \"203.0.113.3\"}, " FOR_7, "reservations[1]",
		"this client has a reservation already");
	refused("{\"realm\": \"campus\", \"client-id\": \"01\", \"address\": \"203.0.113.2\", \"note\": 1}", "reservations[0].note",
		"unknown setting");
}

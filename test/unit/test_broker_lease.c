/* SPDX-License-Identifier: MPL-2.0 */
/* The rules of the lease table, each a test; `now` is ours. */
#include "test/unit/broker_fixture.h"

#include "broker/subnet.h"
#include "common/err.h"

#define T0 1800000000000u /* Unix ms */
#define S 1000u

static const uint8_t seed[16] = {1};

struct fixture {
	struct pa_brokerconf *conf;
	struct pa_lease_table *t;
};

static struct fixture setup(const char *prefix)
{
	struct fixture f = {conf_pool(prefix), NULL};

	f.t = pa_lease_table_new(f.conf, seed);
	cr_assert_not_null(f.t);
	return f;
}

static void teardown(struct fixture *f)
{
	pa_lease_table_free(f->t);
	pa_brokerconf_free(f->conf);
}

/* Sends a request and gives its identity back; *ret is a copy whose ident is not to be used. */
static int ask(struct fixture *f, struct pa_lease_request r, uint64_t now, struct pa_lease *ret)
{
	const struct pa_lease *lease = NULL;
	int rc = pa_lease_allocate(f->t, &r, now, &lease);

	if (rc >= 0)
		*ret = *lease;
	pa_ident_put(r.ident);
	return rc;
}

static int ask_n(struct fixture *f, unsigned client, uint32_t xid, uint64_t now, struct pa_lease *ret)
{
	return ask(f, request_of(client, xid), now, ret);
}

static int release_n(struct fixture *f, unsigned client, uint64_t epoch, uint64_t now)
{
	struct pa_ident *ident = ident_in("campus", client);
	struct pa_lease_name name = {ident, pa_addr_from_ipv4(0x0a010000u + client), 1, epoch};
	const struct pa_lease *lease;
	int rc = pa_lease_release(f->t, &name, now, &lease);

	pa_ident_put(ident);
	return rc;
}

static void assert_addr(const struct pa_lease *lease, const char *want)
{
	char text[PA_ADDR_STRLEN];

	cr_assert_str_eq(pa_addr_format(&lease->addr, text), want);
}

Test(lease, new_lease)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease a, b;

	cr_assert_eq(ask_n(&f, 1, 100, T0, &a), PA_LEASE_NEW);
	assert_addr(&a, "203.0.113.0");
	cr_assert_eq(a.epoch, T0);
	cr_assert_eq(a.expires, T0 / S + 3600 + PA_GRANT_GRACE);
	cr_assert_eq(a.lifetime, 3600u + PA_GRANT_GRACE);
	cr_assert_eq(a.state, PA_LEASE_ACTIVE);
	cr_assert_eq(ask_n(&f, 2, 100, T0, &b), PA_LEASE_NEW);
	assert_addr(&b, "203.0.113.1");
	teardown(&f);
}

Test(lease, same_transaction_repeats_the_very_same)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease a, b;

	ask_n(&f, 1, 100, T0, &a);
	cr_assert_eq(ask_n(&f, 1, 100, T0 + 29 * S, &b), PA_LEASE_REPEATED);
	cr_assert_eq(b.granted, a.granted);
	cr_assert_eq(b.expires, a.expires);
	cr_assert_eq(b.epoch, a.epoch);
	cr_assert_eq(ask_n(&f, 1, 100, T0 + 30 * S, &b), PA_LEASE_RENEWED);
	teardown(&f);
}

/* dhclient renews with the number of its first transaction; with a short lease it does so soon. */
Test(lease, a_third_of_the_lease_later_it_is_a_renewal)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease_request r;
	struct pa_lease a = {0}, b;

	r = request_of(1, 100);
	r.valid_lifetime = 15;
	ask(&f, r, T0, &a);
	r = request_of(1, 100);
	r.valid_lifetime = 15;
	cr_assert_eq(ask(&f, r, T0 + 4 * S, &b), PA_LEASE_REPEATED);
	r = request_of(1, 100);
	r.valid_lifetime = 15;
	cr_assert_eq(ask(&f, r, T0 + 5 * S, &b), PA_LEASE_RENEWED);
	cr_assert_eq(b.expires, a.expires + 5);
	cr_assert_eq(b.epoch, a.epoch);
	teardown(&f);
}

Test(lease, without_a_transaction_nothing_is_repeated)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease_request r = request_of(1, 0);
	struct pa_lease a;

	r.has_xid = false;
	ask(&f, r, T0, &a);
	r = request_of(1, 0);
	r.has_xid = false;
	cr_assert_eq(ask(&f, r, T0 + S, &a), PA_LEASE_RENEWED);
	teardown(&f);
}

Test(lease, renewal_keeps_address_and_epoch_and_extends)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease a, b;

	ask_n(&f, 1, 100, T0, &a);
	cr_assert_eq(ask_n(&f, 1, 101, T0 + 1800 * S, &b), PA_LEASE_RENEWED);
	cr_assert(pa_addr_eq(&a.addr, &b.addr));
	cr_assert_eq(b.epoch, a.epoch);
	cr_assert_eq(b.expires, a.expires + 1800);
	teardown(&f);
}

Test(lease, renewal_never_shortens)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease_request r = request_of(1, 101);
	struct pa_lease a, b;

	ask_n(&f, 1, 100, T0, &a);
	r.valid_lifetime = 60;
	cr_assert_eq(ask(&f, r, T0 + 10 * S, &b), PA_LEASE_RENEWED);
	cr_assert_eq(b.expires, a.expires);
	cr_assert_eq(b.lifetime, 60u + PA_GRANT_GRACE, "the grant itself is for the DHCP lease");
	teardown(&f);
}

Test(lease, infinite_lifetime_does_not_wrap)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease_request r = request_of(1, 101);
	struct pa_lease a;

	r.valid_lifetime = UINT32_MAX;
	ask(&f, r, T0, &a);
	cr_assert_eq(a.lifetime, UINT32_MAX);
	cr_assert_eq(a.expires, T0 / S + UINT32_MAX);
	teardown(&f);
}

Test(lease, same_client_after_release_gets_its_address_and_a_higher_epoch)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease a, b;

	ask_n(&f, 1, 100, T0, &a);
	cr_assert_eq(release_n(&f, 1, 0, T0 + S), 0);
	cr_assert_eq(ask_n(&f, 1, 100, T0 + 2 * S, &b), PA_LEASE_NEW, "also within the transaction's 30 s");
	cr_assert(pa_addr_eq(&a.addr, &b.addr));
	cr_assert_eq(b.epoch, T0 + 2 * S);
	cr_assert_gt(b.serial, a.serial);
	teardown(&f);
}

Test(lease, epoch_rises_though_the_clock_went_back)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease a, b;

	ask_n(&f, 1, 100, T0, &a);
	release_n(&f, 1, 0, T0);
	ask_n(&f, 1, 101, T0 - 5000 * S, &b);
	cr_assert_eq(b.epoch, a.epoch + 1);
	teardown(&f);
}

Test(lease, changed_client_key_is_a_new_lease_of_the_same_address)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease_request r = request_of(1, 100);
	struct pa_lease a, b;

	ask_n(&f, 1, 100, T0, &a);
	r.fingerprint[0] = 7;
	cr_assert_eq(ask(&f, r, T0 + S, &b), PA_LEASE_NEW, "though the transaction is the same");
	cr_assert(pa_addr_eq(&a.addr, &b.addr));
	cr_assert_gt(b.epoch, a.epoch);
	cr_assert_eq(b.fingerprint[0], 7);
	cr_assert_eq(ask_n(&f, 1, 102, T0 + 2 * S, &a), PA_LEASE_NEW, "a request without the key must not keep the pinned epoch");
	cr_assert_gt(a.epoch, b.epoch);
	teardown(&f);
}

Test(lease, release_must_name_the_lease)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease_request moved = request_of(1, 101);
	struct pa_lease a, b;

	cr_assert_eq(release_n(&f, 1, 0, T0), PA_ENOTFOUND);
	ask_n(&f, 1, 100, T0, &a);
	cr_assert_eq(release_n(&f, 1, a.epoch + 1, T0), PA_EREPLAY);
	moved.subnet_id = 2;
	moved.dhcp_addr = addr_of("10.2.0.1");
	cr_assert_eq(ask(&f, moved, T0 + S, &b), PA_LEASE_RENEWED);
	cr_assert(pa_addr_eq(&a.addr, &b.addr), "roaming keeps the address");
	cr_assert_eq(b.epoch, a.epoch);
	cr_assert_eq(b.subnet_id, 2u);
	cr_assert_eq(release_n(&f, 1, 0, T0 + 2 * S), PA_EREPLAY, "the late end of the former DHCP lease");
	cr_assert_eq(pa_lease_by_addr(f.t, &a.addr)->state, PA_LEASE_ACTIVE);
	teardown(&f);
}

Test(lease, release_with_its_epoch)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease a;

	ask_n(&f, 1, 100, T0, &a);
	cr_assert_eq(release_n(&f, 1, a.epoch, T0 + S), 0);
	cr_assert_eq(release_n(&f, 1, a.epoch, T0 + S), PA_ENOTFOUND);
	teardown(&f);
}

Test(lease, released_address_rests_until_its_highest_expiry_has_passed)
{
	struct fixture f = setup("203.0.113.0/32");
	struct pa_lease a, b;
	uint64_t free_at;

	ask_n(&f, 1, 100, T0, &a);
	release_n(&f, 1, 0, T0 + S);
	free_at = (a.expires + PA_EXPIRY_MARGIN) * S;
	cr_assert_eq(ask_n(&f, 2, 100, T0 + 200 * S, &b), PA_EEXHAUSTED, "the quarantine is over, the grant still verifies");
	cr_assert_eq(ask_n(&f, 2, 100, free_at - 1, &b), PA_EEXHAUSTED);
	cr_assert_eq(ask_n(&f, 2, 100, free_at, &b), PA_LEASE_NEW);
	cr_assert_gt(b.epoch, a.epoch);
	teardown(&f);
}

Test(lease, released_address_rests_for_the_quarantine)
{
	struct fixture f = setup("203.0.113.0/32");
	struct pa_lease_request r = request_of(1, 100);
	struct pa_lease a;

	r.valid_lifetime = 1;
	ask(&f, r, T0, &a);
	cr_assert_eq(release_n(&f, 1, 0, T0 + 60 * S), 0);
	cr_assert_eq(ask_n(&f, 2, 100, T0 + 179 * S, &a), PA_EEXHAUSTED, "expiry + 30 s is over, the quarantine is not");
	cr_assert_eq(ask_n(&f, 2, 100, T0 + 180 * S, &a), PA_LEASE_NEW);
	teardown(&f);
}

Test(lease, highest_expiry_counts_not_the_last)
{
	struct fixture f = setup("203.0.113.0/32");
	struct pa_lease_request r = request_of(1, 101);
	struct pa_lease a, b;

	ask_n(&f, 1, 100, T0, &a);
	release_n(&f, 1, 0, T0 + S);
	r.valid_lifetime = 1; /* a new, short lease; the grant of the first still verifies at a gateway */
	cr_assert_eq(ask(&f, r, T0 + 2 * S, &b), PA_LEASE_NEW);
	cr_assert_lt(b.expires, a.expires);
	cr_assert_eq(release_n(&f, 1, 0, T0 + 3 * S), 0);
	cr_assert_eq(ask_n(&f, 2, 100, T0 + 1000 * S, &b), PA_EEXHAUSTED);
	cr_assert_eq(ask_n(&f, 2, 100, (a.expires + PA_EXPIRY_MARGIN) * S, &b), PA_LEASE_NEW);
	teardown(&f);
}

Test(lease, resting_address_is_its_former_clients)
{
	struct fixture f = setup("203.0.113.0/32");
	struct pa_lease a, b;

	ask_n(&f, 1, 100, T0, &a);
	release_n(&f, 1, 0, T0 + S);
	cr_assert_eq(ask_n(&f, 2, 100, T0 + 2 * S, &b), PA_EEXHAUSTED);
	cr_assert_eq(ask_n(&f, 1, 101, T0 + 3 * S, &b), PA_LEASE_NEW);
	cr_assert(pa_addr_eq(&a.addr, &b.addr));
	teardown(&f);
}

Test(lease, never_used_addresses_come_first_then_the_longest_unused)
{
	struct fixture f = setup("203.0.113.0/30");
	uint64_t later = T0 + 10000 * S;
	struct pa_lease a;

	for (unsigned i = 0; i < 3; i++)
		ask_n(&f, i, 1, T0, &a);
	release_n(&f, 1, 0, T0 + 10 * S); /* .1 */
	release_n(&f, 0, 0, T0 + 20 * S); /* .0 */
	release_n(&f, 2, 0, T0 + 30 * S); /* .2 */
	ask_n(&f, 10, 1, later, &a);
	assert_addr(&a, "203.0.113.3");
	ask_n(&f, 11, 1, later, &a);
	assert_addr(&a, "203.0.113.1");
	ask_n(&f, 12, 1, later, &a);
	assert_addr(&a, "203.0.113.0");
	ask_n(&f, 2, 1, later, &a);
	assert_addr(&a, "203.0.113.2");
	cr_assert_eq(ask_n(&f, 13, 1, later, &a), PA_EEXHAUSTED);
	cr_assert_eq(ask_n(&f, 1, 1, later, &a), PA_EEXHAUSTED, "its former address is another's now");
	teardown(&f);
}

Test(lease, expiry_ends_leases)
{
	struct fixture f = setup("203.0.113.0/30");
	struct pa_lease_request r = request_of(2, 1);
	struct pa_lease a, b;

	ask_n(&f, 1, 1, T0, &a);
	r.valid_lifetime = 10;
	ask(&f, r, T0, &b);
	cr_assert_eq(pa_lease_next_expiry(f.t), b.expires);
	cr_assert_eq(pa_lease_expire(f.t, b.expires * S - 1, 100), 0u);
	cr_assert_eq(pa_lease_expire(f.t, b.expires * S, 100), 1u);
	cr_assert_eq(pa_lease_by_addr(f.t, &b.addr)->state, PA_LEASE_EXPIRED);
	cr_assert_eq(pa_lease_by_addr(f.t, &b.addr)->ended, b.expires);
	cr_assert_eq(pa_lease_next_expiry(f.t), a.expires);
	cr_assert_eq(release_n(&f, 2, 0, b.expires * S), PA_ENOTFOUND);
	teardown(&f);
}

Test(lease, expire_stops_at_its_limit)
{
	struct fixture f = setup("203.0.113.0/28");
	struct pa_lease a;

	for (unsigned i = 0; i < 10; i++)
		ask_n(&f, i, 1, T0, &a);
	cr_assert_eq(pa_lease_expire(f.t, T0 + 5000 * S, 4), 4u);
	cr_assert_eq(pa_lease_expire(f.t, T0 + 5000 * S, 100), 6u);
	cr_assert_eq(pa_lease_next_expiry(f.t), UINT64_MAX);
	teardown(&f);
}

Test(lease, an_expired_lease_is_not_renewed_though_the_timer_is_late)
{
	struct fixture f = setup("203.0.113.0/30");
	struct pa_lease a, b;

	ask_n(&f, 1, 1, T0, &a);
	cr_assert_eq(ask_n(&f, 1, 2, a.expires * S, &b), PA_LEASE_NEW);
	cr_assert_gt(b.epoch, a.epoch);
	cr_assert(pa_addr_eq(&a.addr, &b.addr));
	cr_assert_eq(pa_lease_expire(f.t, a.expires * S, 100), 0u);
	teardown(&f);
}

Test(lease, identity_is_realm_kind_and_bytes)
{
	struct fixture f = setup("203.0.113.0/29");
	static const uint8_t id[5] = {1, 0, 0, 0, 1};
	struct pa_lease_request r = request_of(1, 1);
	struct pa_lease a;

	ask(&f, r, T0, &a);
	r = request_of(1, 1);
	pa_ident_put(r.ident);
	r.ident = ident_in("lab", 1);
	cr_assert_eq(ask(&f, r, T0, &a), PA_LEASE_NEW);
	assert_addr(&a, "203.0.113.1");
	r = request_of(1, 1);
	pa_ident_put(r.ident);
	r.ident = pa_ident_new("campus", PA_IDENT_HW_ADDRESS, id, sizeof(id));
	cr_assert_eq(ask(&f, r, T0, &a), PA_LEASE_NEW);
	assert_addr(&a, "203.0.113.2");
	teardown(&f);
}

#define TWO_POOLS(first, second)                                                                                       \
	CONF_HEAD "\"pools\": [{\"id\": 1, \"name\": \"one\", \"gateway-group\": \"main\", " first "},"                \
		  "{\"id\": 2, \"name\": \"two\", \"gateway-group\": \"main\", " second "}]}"

Test(lease, pools_in_order_of_the_file_and_by_class)
{
	static const char *const classes[] = {"voice"};
	struct fixture f = {conf_of(TWO_POOLS("\"prefix\": \"203.0.113.0/32\", \"classes\": [\"voice\"]",
					      "\"prefix\": \"192.0.2.0/31\", \"realms\": [\"campus\"]")), NULL};
	struct pa_lease_request r = request_of(1, 1);
	struct pa_lease a;

	f.t = pa_lease_table_new(f.conf, seed);
	r.classes = classes;
	r.n_classes = 1;
	ask(&f, r, T0, &a);
	assert_addr(&a, "203.0.113.0");
	cr_assert_eq(a.pool_id, 1);
	ask_n(&f, 2, 1, T0, &a);
	assert_addr(&a, "192.0.2.0");
	r = request_of(3, 1);
	r.classes = classes;
	r.n_classes = 1;
	cr_assert_eq(ask(&f, r, T0, &a), PA_LEASE_NEW, "the first pool is full, the second serves too");
	assert_addr(&a, "192.0.2.1");
	r = request_of(4, 1);
	pa_ident_put(r.ident);
	r.ident = ident_in("lab", 4);
	cr_assert_eq(ask(&f, r, T0, &a), PA_EDENIED);
	teardown(&f);
}

Test(lease, excluding_an_address_moves_its_client)
{
	struct fixture f = setup("203.0.113.0/30");
	struct pa_brokerconf *former = f.conf;
	struct pa_lease a, b;

	ask_n(&f, 1, 1, T0, &a);
	f.conf = conf_of(CONF_HEAD "\"pools\": [{\"id\": 1, \"name\": \"one\", \"gateway-group\": \"main\", \"prefix\": "
				   "\"203.0.113.0/30\", \"exclude\": [\"203.0.113.0/32\"]}]}");
	cr_assert_eq(pa_lease_configure(f.t, f.conf), 0);
	pa_brokerconf_free(former);
	cr_assert_eq(ask_n(&f, 1, 1, T0 + S, &b), PA_LEASE_NEW);
	assert_addr(&b, "203.0.113.1");
	cr_assert_eq(pa_lease_by_addr(f.t, &a.addr)->state, PA_LEASE_RELEASED, "one lease a client");
	cr_assert_eq(ask_n(&f, 1, 2, T0 + 2 * S, &b), PA_LEASE_RENEWED);
	teardown(&f);
}

Test(lease, a_pool_that_goes_and_comes_back)
{
	struct fixture f = setup("203.0.113.0/31");
	struct pa_brokerconf *first = f.conf, *other = conf_pool("192.0.2.0/31");
	struct pa_lease a, b;

	ask_n(&f, 1, 1, T0, &a);
	ask_n(&f, 2, 1, T0, &a);
	cr_assert_eq(pa_lease_configure(f.t, other), 0);
	cr_assert_eq(ask_n(&f, 1, 2, T0 + S, &b), PA_LEASE_NEW);
	assert_addr(&b, "192.0.2.0");
	cr_assert_eq(pa_lease_configure(f.t, first), 0);
	cr_assert_eq(ask_n(&f, 2, 2, T0 + 2 * S, &b), PA_LEASE_RENEWED, "it never asked meanwhile");
	cr_assert_eq(ask_n(&f, 3, 1, T0 + 3 * S, &b), PA_EEXHAUSTED, "what the moved client left still rests");
	cr_assert_eq(pa_lease_pool_stats(f.t, 0, T0 + 3 * S).active, 1u);
	cr_assert_eq(pa_lease_pool_stats(f.t, 0, T0 + 3 * S).resting, 1u);
	f.conf = first;
	teardown(&f);
	pa_brokerconf_free(other);
}

Test(lease, another_pool_id_for_the_address_is_a_new_lease)
{
	struct fixture f = setup("203.0.113.0/31");
	struct pa_brokerconf *former = f.conf;
	struct pa_lease a, b;

	ask_n(&f, 1, 1, T0, &a);
	f.conf = conf_of(CONF_HEAD "\"pools\": [{\"id\": 7, \"name\": \"one\", \"gateway-group\": \"main\", \"prefix\": "
				   "\"203.0.113.0/31\"}]}");
	cr_assert_eq(pa_lease_configure(f.t, f.conf), 0);
	pa_brokerconf_free(former);
	cr_assert_eq(ask_n(&f, 1, 1, T0 + S, &b), PA_LEASE_NEW);
	cr_assert(pa_addr_eq(&a.addr, &b.addr));
	cr_assert_eq(b.pool_id, 7);
	cr_assert_gt(b.epoch, a.epoch);
	teardown(&f);
}

Test(lease, statistics)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_pool_stats s;
	struct pa_lease a;

	ask_n(&f, 1, 1, T0, &a);
	ask_n(&f, 2, 1, T0, &a);
	ask_n(&f, 3, 1, T0, &a);
	release_n(&f, 2, 0, T0);
	s = pa_lease_pool_stats(f.t, 0, T0);
	cr_assert_eq(s.total, 8u);
	cr_assert_eq(s.active, 2u);
	cr_assert_eq(s.resting, 1u);
	cr_assert_eq(s.free, 5u);
	s = pa_lease_pool_stats(f.t, 0, T0 + 5000 * S);
	cr_assert_eq(s.resting, 0u);
	cr_assert_eq(s.free, 6u);
	teardown(&f);
}

Test(lease, changes_are_told_once)
{
	struct fixture f = setup("203.0.113.0/29");
	const struct pa_lease *const *rows;
	struct pa_lease a;

	cr_assert_eq(pa_lease_changes(f.t, &rows), 0u);
	ask_n(&f, 1, 1, T0, &a);
	ask_n(&f, 1, 2, T0 + S, &a);
	ask_n(&f, 2, 1, T0, &a);
	cr_assert_eq(pa_lease_changes(f.t, &rows), 2u);
	cr_assert_eq(rows[0]->granted, T0 / S + 1);
	pa_lease_changes_done(f.t);
	ask_n(&f, 2, 1, T0, &a);
	cr_assert_eq(pa_lease_changes(f.t, &rows), 0u, "a repetition changes nothing");
	release_n(&f, 2, 99, T0);
	cr_assert_eq(pa_lease_changes(f.t, &rows), 0u, "nor does a release that is refused");
	release_n(&f, 2, 0, T0);
	cr_assert_eq(pa_lease_changes(f.t, &rows), 1u);
	teardown(&f);
}

Test(lease, pages_are_in_order_and_complete)
{
	struct fixture f = {conf_of(TWO_POOLS("\"prefix\": \"203.0.113.0/27\"", "\"prefix\": \"192.0.2.0/27\"")), NULL};
	const struct pa_lease *rows[16];
	struct pa_addr last;
	unsigned seen = 0;
	struct pa_lease a;
	size_t n;

	f.t = pa_lease_table_new(f.conf, seed);
	for (unsigned i = 0; i < 50; i++) {
		ask_n(&f, i, 1, T0, &a);
		if (i == 20) /* a page in between, so that the rest has to be merged in */
			cr_assert_eq(pa_lease_page(f.t, NULL, rows, 16), 16u);
	}
	n = pa_lease_page(f.t, NULL, rows, 16);
	while (n > 0) {
		for (size_t i = 0; i < n; i++) {
			if (seen++ > 0)
				cr_assert_gt(memcmp(rows[i]->addr.b, last.b, sizeof(last.b)), 0);
			last = rows[i]->addr;
		}
		n = pa_lease_page(f.t, &last, rows, 16);
	}
	cr_assert_eq(seen, 50u);
	teardown(&f);
}

/* Copies every row of one table to another, as a restart does. */
static void reload(struct fixture *f)
{
	static const struct pa_lease *rows[4096];
	size_t n = pa_lease_page(f->t, NULL, rows, 4096);
	struct pa_lease_table *t = pa_lease_table_new(f->conf, seed);

	for (size_t i = 0; i < n; i++)
		cr_assert_eq(pa_lease_load(t, rows[i]), 0);
	pa_lease_table_free(f->t);
	f->t = t;
}

Test(lease, loading_goes_on_where_it_was)
{
	struct fixture f = setup("203.0.113.0/30");
	struct pa_lease a, b;

	ask_n(&f, 1, 1, T0, &a);
	ask_n(&f, 2, 1, T0, &b);
	release_n(&f, 2, 0, T0 + S);
	reload(&f);
	cr_assert_eq(pa_lease_load(f.t, pa_lease_by_addr(f.t, &a.addr)), PA_EEXIST);
	cr_assert_eq(ask_n(&f, 1, 1, T0 + 2 * S, &b), PA_LEASE_REPEATED);
	cr_assert_eq(b.expires, a.expires);
	cr_assert_eq(ask_n(&f, 3, 1, T0 + 2 * S, &b), PA_LEASE_NEW);
	assert_addr(&b, "203.0.113.2");
	cr_assert_gt(b.serial, a.serial + 1);
	cr_assert_eq(ask_n(&f, 2, 2, T0 + 2 * S, &b), PA_LEASE_NEW);
	assert_addr(&b, "203.0.113.1");
	teardown(&f);
}

Test(lease, loading_knows_a_clients_latest_row)
{
	struct fixture f = setup("203.0.113.0/30");
	struct pa_lease rows[2];
	struct pa_ident *ident = ident_in("campus", 1);

	memset(rows, 0, sizeof(rows));
	for (int i = 0; i < 2; i++) {
		rows[i].addr = pa_addr_from_ipv4(0xcb007100u + (unsigned)i);
		rows[i].ident = ident;
		rows[i].serial = i == 0 ? 9 : 3;
		rows[i].epoch = 1;
		rows[i].pool_id = 1;
		rows[i].state = PA_LEASE_RELEASED;
		cr_assert_eq(pa_lease_load(f.t, &rows[i]), 0);
	}
	cr_assert_eq(pa_lease_by_ident(f.t, ident)->serial, 9u);
	pa_ident_put(ident);
	teardown(&f);
}

#define CLIENTS 40
#define POOL_SIZE 16

/* What must hold whatever happens: one holder at a time, no address early, epochs that only rise. */
struct model {
	uint64_t epoch[POOL_SIZE];
	uint64_t highest[POOL_SIZE];
	unsigned holder[POOL_SIZE]; /* client + 1 of the last lease; 0: none */
};

static void check_grant(struct model *m, unsigned client, int outcome, const struct pa_lease *l, uint64_t now)
{
	unsigned i = pa_addr_to_ipv4(&l->addr) & (POOL_SIZE - 1);

	if (m->holder[i] != client + 1 && m->holder[i] != 0)
		cr_assert_geq(now / S, m->highest[i] + PA_EXPIRY_MARGIN, "address %u given to another while a grant of it lives", i);
	if (outcome == PA_LEASE_NEW)
		cr_assert_gt(l->epoch, m->epoch[i]);
	else
		cr_assert_eq(l->epoch, m->epoch[i]);
	if (outcome != PA_LEASE_NEW)
		cr_assert_eq(m->holder[i], client + 1);
	m->epoch[i] = l->epoch;
	m->holder[i] = client + 1;
	if (l->expires > m->highest[i])
		m->highest[i] = l->expires;
	cr_assert_eq(l->highest, m->highest[i]);
}

Test(lease, one_holder_at_a_time_in_any_order_of_events)
{
	struct fixture f = setup("203.0.113.0/28");
	static struct model m;
	uint64_t now = T0;
	uint32_t rnd = 12345;

	for (unsigned step = 0; step < 20000; step++) {
		unsigned client, what;
		struct pa_lease l;
		int rc;

		rnd = rnd * 1664525u + 1013904223u;
		client = (rnd >> 8) % CLIENTS;
		what = (rnd >> 16) % 16;
		now += (rnd >> 20) % 200 * S / 2;
		if (what < 9) {
			struct pa_lease_request r = request_of(client, rnd >> 30);

			r.valid_lifetime = 60 + (rnd >> 24);
			r.fingerprint[0] = (uint8_t)((rnd >> 28) == 0);
			rc = ask(&f, r, now, &l);
			cr_assert(rc >= 0 || rc == PA_EEXHAUSTED);
			if (rc >= 0)
				check_grant(&m, client, rc, &l, now);
		} else if (what < 13) {
			(void)release_n(&f, client, 0, now);
		} else if (what < 15) {
			(void)pa_lease_expire(f.t, now, 100);
		} else {
			pa_lease_changes_done(f.t);
			reload(&f);
		}
	}
	teardown(&f);
}

Test(lease, a_full_pool_of_65536_is_quick, .timeout = 60)
{
	struct fixture f = setup("10.0.0.0/16");
	const struct pa_lease *const *rows;
	struct pa_lease a;

	for (unsigned i = 0; i < 65536; i++)
		cr_assert_eq(ask_n(&f, i, 1, T0, &a), PA_LEASE_NEW);
	cr_assert_eq(ask_n(&f, 70000, 1, T0, &a), PA_EEXHAUSTED);
	for (unsigned i = 0; i < 65536; i++)
		cr_assert_eq(ask_n(&f, 70000 + i, 1, T0, &a), PA_EEXHAUSTED);
	cr_assert_eq(pa_lease_expire(f.t, T0 + 4000 * S, 100000), 65536u);
	for (unsigned i = 0; i < 65536; i++)
		cr_assert_eq(ask_n(&f, 70000 + i, 1, T0 + 5000 * S, &a), PA_LEASE_NEW);
	cr_assert_eq(pa_lease_changes(f.t, &rows), 65536u);
	teardown(&f);
}

/* Client n of a subnet. */
static int ask_in(struct fixture *f, unsigned subnet, unsigned n, uint64_t now, struct pa_lease *ret)
{
	struct pa_lease_request r = request_of(n, (uint32_t)(now / S));

	r.subnet_id = subnet;
	return ask(f, r, now, ret);
}

static int release_in(struct fixture *f, unsigned subnet, unsigned n, uint64_t now)
{
	struct pa_lease_request r = request_of(n, 0);
	struct pa_lease_name name = {r.ident, r.dhcp_addr, subnet, 0};
	const struct pa_lease *lease;
	int rc = pa_lease_release(f->t, &name, now, &lease);

	pa_ident_put(r.ident);
	return rc;
}

static uint64_t held(struct fixture *f, unsigned subnet, uint64_t now)
{
	struct pa_subnet *const *all;
	size_t n = pa_lease_subnets(f->t, &all, now);

	for (size_t i = 0; i < n; i++)
		if (all[i]->id == subnet && strcmp(all[i]->realm, "campus") == 0)
			return all[i]->held;
	return 0;
}

/* Made-up clients, each of which gives its lease back at once, use up their subnet's share and nothing else. */
Test(lease, a_subnet_cannot_drain_the_pool)
{
	struct fixture f = setup("203.0.113.0/29");
	uint64_t rested = T0 + (3600 + PA_GRANT_GRACE + PA_EXPIRY_MARGIN + 1) * S;
	struct pa_lease a;

	f.conf->subnet_limit = 3;
	for (unsigned n = 0; n < 3; n++) {
		cr_assert_eq(ask_in(&f, 1, n, T0, &a), PA_LEASE_NEW);
		cr_assert_eq(release_in(&f, 1, n, T0 + S), 0);
	}
	for (unsigned n = 3; n < 20; n++)
		cr_assert_eq(ask_in(&f, 1, n, T0 + 2 * S, &a), PA_ELIMIT);
	cr_assert_eq(held(&f, 1, T0 + 2 * S), 3u);
	cr_assert_eq(ask_in(&f, 1, 2, T0 + 3 * S, &a), PA_LEASE_NEW, "what is its own it gets back");
	for (unsigned n = 100; n < 103; n++)
		cr_assert_eq(ask_in(&f, 2, n, T0 + 3 * S, &a), PA_LEASE_NEW, "another subnet has its own share");
	cr_assert_eq(ask_in(&f, 1, 1, T0 + 4 * S, &a), PA_LEASE_NEW);
	cr_assert_eq(ask_in(&f, 1, 1, T0 + 5 * S, &a), PA_LEASE_RENEWED, "and goes on");
	/* Rested addresses are everybody's again: they count no more, and who comes back to one is counted anew. */
	cr_assert_eq(release_in(&f, 1, 1, T0 + 6 * S), 0);
	cr_assert_eq(release_in(&f, 1, 2, T0 + 6 * S), 0);
	cr_assert_eq(held(&f, 1, rested + 10 * S), 0u);
	for (unsigned n = 10; n < 13; n++)
		cr_assert_eq(ask_in(&f, 1, n, rested + 10 * S, &a), PA_LEASE_NEW);
	cr_assert_eq(ask_in(&f, 1, 0, rested + 11 * S, &a), PA_ELIMIT);
	cr_assert_eq(held(&f, 1, rested + 11 * S), 3u);
	teardown(&f);
}

Test(lease, a_client_moves_only_to_a_subnet_that_has_room)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease a, b;

	f.conf->subnet_limit = 1;
	cr_assert_eq(ask_in(&f, 1, 1, T0, &a), PA_LEASE_NEW);
	cr_assert_eq(ask_in(&f, 2, 2, T0, &a), PA_LEASE_NEW);
	cr_assert_eq(ask_in(&f, 2, 1, T0 + S, &a), PA_ELIMIT);
	cr_assert_eq(held(&f, 1, T0 + S), 1u, "nothing was changed");
	cr_assert_eq(ask_in(&f, 3, 1, T0 + S, &b), PA_LEASE_RENEWED);
	cr_assert_eq(held(&f, 1, T0 + S), 0u);
	cr_assert_eq(held(&f, 3, T0 + S), 1u);
	teardown(&f);
}

Test(lease, subnets_are_counted_again_after_a_restart)
{
	struct fixture f = setup("203.0.113.0/29");
	struct pa_lease a;

	f.conf->subnet_limit = 2;
	ask_in(&f, 1, 1, T0, &a);
	ask_in(&f, 1, 2, T0, &a);
	cr_assert_eq(release_in(&f, 1, 2, T0 + S), 0);
	reload(&f);
	cr_assert_eq(held(&f, 1, T0 + S), 2u);
	cr_assert_eq(pa_lease_configure(f.t, f.conf), 0);
	cr_assert_eq(held(&f, 1, T0 + S), 2u);
	cr_assert_eq(ask_in(&f, 1, 3, T0 + S, &a), PA_ELIMIT);
	teardown(&f);
}

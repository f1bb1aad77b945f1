/* SPDX-License-Identifier: MPL-2.0 */
/* Leases that nobody ever bound, and stores that are older than the world, through the broker's commands and a real database. */
#include "test/unit/broker_fixture.h"

#include <stdarg.h>
#include <unistd.h>

#include "broker/batch.h"
#include "common/err.h"
#include "common/log.h"
#include "test/unit/tempdir.h"

#define T0 1800000000000u /* Unix ms */

static char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 16], copy[TEMPDIR_MAX + 16];
static struct pa_setup conf;
static struct pa_batch *batch;
static struct pa_now now;
static char events[4096];

/* The last reply. */
static enum pa_result result;
static char text[512];
static json_t *reply;

static void take_reply(void *ctx, void *request, enum pa_result r, const char *t, json_t *arguments)
{
	(void)ctx;
	(void)request;
	json_decref(reply);
	result = r;
	reply = arguments;
	(void)snprintf(text, sizeof(text), "%s", t);
}

static void take_log(enum pa_log_level level, const char *event, const char *fields)
{
	size_t n = strlen(events);

	(void)level;
	(void)snprintf(events + n, sizeof(events) - n, "%s %s\n", event, fields);
}

static void start(void)
{
	events[0] = '\0';
	cr_assert_eq(pa_batch_new(&conf, take_reply, NULL, &batch), 0);
}

static void stop(void)
{
	pa_batch_free(batch);
	batch = NULL;
}

/* Two gateways with a channel when names is set. */
static void configure(bool names)
{
	char text_of_conf[1024];

	pa_setup_clear(&conf);
	(void)snprintf(text_of_conf, sizeof(text_of_conf),
		       "{\"realms\": [\"campus\"], \"database\": \"%s\", \"gateway-groups\": [{\"name\": \"main\", \"public-key\": \"" PUBLIC_KEY
		       "\", \"gateways\": [\"198.51.100.10:6080\", \"198.51.100.11:6080\"]%s}, {\"name\": \"other\", \"public-key\": \"" PUBLIC_KEY
		       "\", \"gateways\": [\"198.51.100.12:6080\"]}], \"pools\": [{\"id\": 1, \"name\": \"one\", \"prefix\": \"203.0.113.0/30\", "
		       "\"gateway-group\": \"main\"}, {\"id\": 2, \"name\": \"two\", \"prefix\": \"192.0.2.0/30\", \"gateway-group\": \"other\", "
		       "\"classes\": [\"two\"]}]}", path, names ? ", \"gateway-names\": [\"gw1\", \"gw2\"]" : "");
	conf.conf = conf_of(text_of_conf);
	conf.keys = test_keys();
}

static void setup(void)
{
	cr_assert_eq(pa_cred_init(), 0);
	tempdir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/broker.db", dir);
	(void)snprintf(copy, sizeof(copy), "%s/copy.db", dir);
	pa_log_set_sink(take_log);
	now = (struct pa_now){.boot_ms = 1000000, .unix_ms = T0};
	configure(true);
	start();
}

static void teardown(void)
{
	stop();
	json_decref(reply);
	pa_setup_clear(&conf);
	tempdir_remove(dir);
}

TestSuite(reclaim, .init = setup, .fini = teardown);
TestSuite(recovery, .init = setup, .fini = teardown);

static void pass(unsigned seconds)
{
	now.boot_ms += (uint64_t)seconds * 1000;
	now.unix_ms += (uint64_t)seconds * 1000;
}

static const json_t *call(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static const json_t *call(const char *name, const char *fmt, ...)
{
	char line[1024];
	json_t *arguments;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	arguments = json_loads(line, 0, NULL);
	cr_assert_not_null(arguments, "%s", line);
	pa_batch_add(batch, NULL, name, arguments, now, true);
	pa_batch_flush(batch, now);
	json_decref(arguments);
	return reply;
}

static json_int_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Client n asks; its address's last octet, or -1 when it is refused; *ret_epoch if wanted. */
static int ask_for(unsigned n, unsigned lifetime, json_int_t *ret_epoch)
{
	const json_t *r = call("lease-allocate", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.0.0.%u\", \"client-id\": "
			       "\"%02x\", \"valid-lifetime\": %u}", n, n, lifetime);
	const char *address = json_string_value(json_object_get(r, "address"));

	if (result != PA_RESULT_SUCCESS)
		return -1;
	if (ret_epoch != NULL)
		*ret_epoch = number(r, "epoch");
	return (int)strtol(strrchr(address, '.') + 1, NULL, 10);
}

static int ask(unsigned n, json_int_t *ret_epoch)
{
	return ask_for(n, 3600, ret_epoch);
}

/* A gateway asks, and says how much of what it has it did not report yet (-1: it is of an older version). */
static json_int_t sync_of(const char *name, json_int_t from, int unreported, json_int_t told)
{
	if (unreported < 0)
		(void)call("gateway-sync", "{\"name\": \"%s\", \"from\": %lld, \"told\": %lld}", name, (long long)from, (long long)told);
	else
		(void)call("gateway-sync", "{\"name\": \"%s\", \"from\": %lld, \"unreported\": %d, \"told\": %lld}", name,
			   (long long)from, unreported, (long long)told);
	cr_assert_eq(result, PA_RESULT_SUCCESS, "%s", text);
	return number(reply, "number");
}

static void report(const char *name, int host, json_int_t epoch)
{
	(void)call("gateway-report", "{\"name\": \"%s\", \"bindings\": [[\"203.0.113.%d\", %lld, 7]]}", name, host, (long long)epoch);
	cr_assert_eq(result, PA_RESULT_SUCCESS, "%s", text);
}

static const char *state_of(int host)
{
	const json_t *r = call("lease-get", "{\"address\": \"203.0.113.%d\"}", host);

	return json_string_value(json_object_get(json_object_get(r, "lease"), "state"));
}

/* Time passes in steps in which both gateways say that they have reported all. */
static void pass_with_gateways(unsigned seconds)
{
	for (unsigned s = 0; s < seconds; s += 10) {
		pass(10);
		(void)sync_of("gw1", 0, 0, 0);
		(void)sync_of("gw2", 0, 0, 0);
		pa_batch_expire(batch, now, 100);
		pa_batch_flush(batch, now);
	}
}

/* ---------------------------------------------------------------- never bound */

Test(reclaim, what_nobody_bound_ends_and_rests)
{
	json_int_t first, second, head;
	int host = ask(1, &first);

	pass_with_gateways(120);
	cr_assert_str_eq(state_of(host), "active", "its time is not up for good");
	pass_with_gateways(10);
	cr_assert_str_eq(state_of(host), "reclaimed");
	cr_assert_not_null(strstr(events, "lease.reclaim addr=203.0.113.0"), "%s", events);
	cr_assert_eq(number(json_object_get(call("status-get", "{}"), "counters"), "reclaimed"), 1);
	/* Its client comes late: the gateways know a floor above its grant; its next request brings a grant that is good. */
	head = sync_of("gw1", 0, 0, 0);
	cr_assert_eq(json_integer_value(json_array_get(json_array_get(json_object_get(reply, "floors"), 0), 1)), first + 1);
	cr_assert_eq(sync_of("gw1", head, 0, 0), head);
	cr_assert_eq(ask(1, &second), host);
	cr_assert_gt(second, first);
	cr_assert_str_eq(state_of(host), "active");
}

Test(reclaim, others_get_the_address_by_the_same_rules_only)
{
	json_int_t head;

	for (unsigned n = 1; n <= 4; n++)
		cr_assert_geq(ask(n, NULL), 0);
	pass_with_gateways(130);
	cr_assert_str_eq(state_of(3), "reclaimed");
	cr_assert_eq(ask(5, NULL), -1, "it rests");
	pass_with_gateways(130);
	cr_assert_eq(ask(5, NULL), -1, "no gateway acknowledged it");
	head = sync_of("gw1", 0, 0, 0);
	(void)sync_of("gw1", head, 0, 0);
	cr_assert_eq(ask(5, NULL), -1);
	(void)sync_of("gw2", head, 0, 0);
	cr_assert_geq(ask(5, NULL), 0, "rested and acknowledged: %s", text);
}

Test(reclaim, what_was_bound_stays)
{
	json_int_t epoch;
	int host = ask(1, &epoch);

	report("gw2", host, epoch);
	pass_with_gateways(60);
	stop();
	start(); /* the reports are gone, what they said is not */
	pass_with_gateways(600);
	cr_assert_str_eq(state_of(host), "active");
	cr_assert_eq(ask(1, &epoch), host);
	pass_with_gateways(600);
	cr_assert_str_eq(state_of(host), "active", "a renewal needs no new binding");
}

Test(reclaim, a_binding_of_the_former_lease_does_not_count)
{
	json_int_t epoch;
	int host = ask(1, &epoch);

	report("gw1", host, epoch);
	(void)call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.0.0.1\", \"client-id\": \"01\"}");
	pass(5);
	cr_assert_eq(ask(1, NULL), host);
	report("gw1", host, epoch); /* the old one, late */
	pass_with_gateways(140);
	cr_assert_str_eq(state_of(host), "reclaimed");
}

Test(reclaim, only_when_every_gateway_has_told_all)
{
	/* What each says it has not reported; -1: it is of an older version, -2: it is silent. */
	static const int cases[][2] = {{-2, -2}, {0, -2}, {-2, 0}, {0, 3}, {1, 0}, {-1, 0}, {0, -1}, {0, 0}};
	static const size_t n = sizeof(cases) / sizeof(cases[0]);

	for (size_t i = 0; i < n; i++) {
		int host = ask(1, NULL);

		(void)sync_of("gw1", 0, 0, 0); /* before its time is up, so it does not count */
		(void)sync_of("gw2", 0, 0, 0);
		pass(123);
		for (int k = 0; k < 2; k++)
			if (cases[i][k] != -2)
				(void)sync_of(k == 0 ? "gw1" : "gw2", 0, cases[i][k], 0);
		pa_batch_expire(batch, now, 100);
		pa_batch_flush(batch, now);
		cr_assert_str_eq(state_of(host), i + 1 == n ? "reclaimed" : "active", "case %zu", i);
		(void)call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.0.0.1\", \"client-id\": \"01\"}");
		pass(1);
	}
}

Test(reclaim, never_without_a_channel_or_when_it_is_turned_off)
{
	int host;

	conf.conf->unbound = 0;
	host = ask(1, NULL);
	pass_with_gateways(400);
	cr_assert_str_eq(state_of(host), "active");
	conf.conf->unbound = 120;
	stop();
	configure(false);
	start();
	pass(400);
	pa_batch_expire(batch, now, 100);
	pa_batch_flush(batch, now);
	cr_assert_str_eq(state_of(host), "active");
}

/* ---------------------------------------------------------------- older than the world */

/* Client 1 has a lease; a backup is made; then client 2 gets one, and the database is lost and the backup restored. */
static void lose(bool names, json_int_t epochs[2], int hosts[2])
{
	stop();
	configure(names);
	start();
	hosts[0] = ask(1, &epochs[0]);
	(void)call("store-backup", "{\"file\": \"%s\"}", copy);
	cr_assert_eq(result, PA_RESULT_SUCCESS, "%s", text);
	pass(1);
	hosts[1] = ask(2, &epochs[1]);
	pass(60);
	stop();
	cr_assert_eq(rename(copy, path), 0);
	start();
}

static json_int_t until(unsigned pool)
{
	const json_t *r = call("pool-stats", "{}");

	return number(json_array_get(json_object_get(r, "pools"), pool), "recovering-until");
}

Test(recovery, a_restored_backup_gives_nothing_away_that_may_be_held)
{
	json_int_t epochs[2], fresh, end;
	int hosts[2];

	lose(false, epochs, hosts);
	cr_assert_eq(ask(3, NULL), -1);
	cr_assert_not_null(strstr(text, "was restored"), "%s", text);
	cr_assert_not_null(strstr(events, "store.restored until="), "%s", events);
	cr_assert_not_null(strstr(events, "reason=recovering"), "%s", events);
	cr_assert_eq(ask(2, NULL), -1, "its lease was lost: it keeps its grant, and gets no other");
	cr_assert_eq(ask(1, &fresh), hosts[0], "whose lease runs goes on");
	cr_assert_gt(fresh, epochs[1], "with an epoch above all that the lost store gave");
	pass(10);
	cr_assert_eq(ask(1, &epochs[0]), hosts[0]);
	cr_assert_eq(epochs[0], fresh, "once");
	/* It is stored: a restart is no way out. */
	stop();
	start();
	cr_assert_eq(ask(3, NULL), -1);
	cr_assert_eq(ask(1, &epochs[0]), hosts[0]);
	cr_assert_eq(epochs[0], fresh);
	end = until(0);
	cr_assert_eq(end, (json_int_t)(T0 / 1000) + 61 + 3660 + PA_EXPIRY_MARGIN, "the longest lease and the margin");
	now.unix_ms = (uint64_t)end * 1000 - 1000;
	cr_assert_eq(ask(3, NULL), -1);
	now.unix_ms += 1000;
	cr_assert_eq(ask(3, &fresh), hosts[1]);
	cr_assert_gt(fresh, epochs[1]);
}

Test(recovery, an_expired_or_released_lease_of_the_backup_is_not_certain)
{
	json_int_t epochs[2];
	int hosts[2];

	hosts[0] = ask_for(9, 60, NULL);
	lose(false, epochs, hosts);
	pass(120);
	pa_batch_expire(batch, now, 10);
	pa_batch_flush(batch, now);
	cr_assert_eq(ask(9, NULL), -1, "somebody else may have got its address since");
}

Test(recovery, a_clock_that_was_set_back_brings_no_epoch_back)
{
	json_int_t epochs[2], fresh;
	int hosts[2];

	now.unix_ms += 86400000;
	(void)ask(7, &epochs[1]);
	now.unix_ms -= 86400000;
	lose(false, epochs, hosts);
	cr_assert_eq(ask(1, &fresh), hosts[0]);
	cr_assert_gt(fresh, epochs[1]);
	cr_assert_gt(fresh, epochs[0]);
}

/* A gateway tells its floors, as it is asked to. */
static void tell(const char *name, int host, json_int_t floor, json_int_t from)
{
	json_int_t number_of_recovery;

	(void)sync_of(name, from, 0, 0);
	number_of_recovery = number(reply, "tell");
	cr_assert_gt(number_of_recovery, 0);
	cr_assert(json_is_false(json_object_get(reply, "idle")), "it is not kept waiting");
	(void)call("gateway-report", "{\"name\": \"%s\", \"bindings\": [], \"floors\": [[\"203.0.113.%d\", %lld]]}", name, host, (long long)floor);
	cr_assert_eq(result, PA_RESULT_SUCCESS, "%s", text);
	(void)sync_of(name, from, 0, number_of_recovery);
}

Test(recovery, with_a_channel_the_gateways_are_asked_first)
{
	json_int_t epochs[2], fresh;
	int hosts[2];

	lose(true, epochs, hosts);
	cr_assert_eq(ask(1, NULL), -1, "nobody knows yet whether its lease ended early");
	tell("gw1", 3, epochs[1] + 5000000, 0);
	cr_assert_eq(ask(1, NULL), -1, "one gateway is not all of them");
	tell("gw2", 3, 5, 0);
	cr_assert_eq(ask(1, &fresh), hosts[0]);
	cr_assert_gt(fresh, epochs[1] + 5000000, "above what any gateway knows");
	cr_assert_eq(ask(3, NULL), -1);
}

Test(recovery, a_lease_that_gateways_know_to_be_over_is_over)
{
	json_int_t epochs[2];
	int hosts[2];

	lose(true, epochs, hosts);
	tell("gw1", hosts[0], epochs[0] + 1, 0);
	tell("gw2", hosts[0], epochs[0] + 1, 0);
	cr_assert_str_eq(state_of(hosts[0]), "expired");
	cr_assert_eq(ask(1, NULL), -1);
}

/* The database file is an old one, but nobody said so: it was copied by hand, or removed. */
Test(recovery, a_gateway_that_knows_more_shows_it)
{
	json_int_t epoch, head;
	int host = ask(1, &epoch);

	report("gw1", host, epoch);
	(void)call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.0.0.1\", \"client-id\": \"01\"}");
	head = sync_of("gw1", 0, 0, 0);
	stop();
	cr_assert_eq(unlink(path), 0);
	start();
	pass(1);
	cr_assert_eq(until(0), 0);
	(void)sync_of("gw1", head, 0, 0);
	cr_assert_not_null(strstr(events, "store.outdated gateway=gw1 acknowledged="), "%s", events);
	cr_assert_gt(until(0), 0);
	cr_assert_eq(until(1), 0, "it speaks for its own pools only");
	cr_assert_eq(ask(2, NULL), -1);
	(void)call("pool-recover", "{\"pool-id\": 1, \"seconds\": 0}");
	cr_assert_geq(ask(2, NULL), 0, "the operator knows better");
	(void)sync_of("gw1", head, 0, 0);
	cr_assert_gt(until(0), 0, "the gateway still does not know our log");
}

Test(recovery, an_unknown_binding_shows_it_too)
{
	json_int_t epoch;
	int host = ask(1, &epoch);

	stop();
	cr_assert_eq(unlink(path), 0);
	start();
	now.unix_ms -= 5000;
	report("gw2", host, epoch);
	cr_assert_not_null(strstr(events, "store.outdated gateway=gw2 epoch="), "%s", events);
	cr_assert_eq(ask(2, NULL), -1);
	now.unix_ms = (uint64_t)until(0) * 1000;
	cr_assert_eq(ask(2, &epoch), host);
}

Test(recovery, the_number_of_a_lost_log_is_known_by_its_place)
{
	json_int_t epoch, old;

	(void)ask(1, &epoch);
	(void)call("store-backup", "{\"file\": \"%s\"}", copy);
	(void)call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.0.0.1\", \"client-id\": \"01\"}");
	old = sync_of("gw1", 0, 0, 0);
	stop();
	cr_assert_eq(rename(copy, path), 0);
	start();
	pass(10);
	/* The operator lifts the recovery, and a release brings the log's head above the old number. */
	(void)call("pool-recover", "{\"pool-id\": 1, \"seconds\": 0}");
	(void)call("lease-release", "{\"realm\": \"campus\", \"subnet-id\": 1, \"dhcp-address\": \"10.0.0.1\", \"client-id\": \"01\"}");
	cr_assert_eq(result, PA_RESULT_SUCCESS);
	(void)sync_of("gw1", old, 0, 0);
	cr_assert_eq(json_array_size(json_object_get(reply, "floors")), 1u, "it gets everything");
	cr_assert_gt(until(0), 0);
}

Test(recovery, pool_recover_is_checked)
{
	(void)call("pool-recover", "{\"pool-id\": 9, \"seconds\": 5}");
	cr_assert_eq(result, PA_RESULT_EMPTY);
	(void)call("pool-recover", "{\"pool-id\": 0, \"seconds\": 5}");
	cr_assert_eq(result, PA_RESULT_ERROR);
	(void)call("pool-recover", "{\"pool-id\": 1, \"seconds\": -5}");
	cr_assert_eq(result, PA_RESULT_ERROR);
	(void)call("pool-recover", "{\"pool-id\": 1, \"seconds\": 500}");
	cr_assert_eq(until(0), (json_int_t)(T0 / 1000) + 500);
	cr_assert_eq(ask(1, NULL), -1);
	(void)call("pool-recover", "{\"pool-id\": 1, \"seconds\": 100}");
	cr_assert_eq(until(0), (json_int_t)(T0 / 1000) + 100);
}

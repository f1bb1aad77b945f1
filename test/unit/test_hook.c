/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker_stub.h"
#include "common/cred.h"
#include "common/dhcp_inform.h"
#include "common/err.h"
#include "common/log.h"
#include "kea-hook/hook.h"
#include "kea-hook/inform.h"

#define GRANT "01c0ffee"

static struct {
	struct broker_stub broker;
	struct pa_hook *hook;
	atomic_uint stats[PA_HOOK_N_STATS];
	char log[4096];
} t;

static void sink(enum pa_log_level level, const char *event, const char *text)
{
	size_t n = strlen(t.log);

	(void)level;
	(void)snprintf(t.log + n, sizeof(t.log) - n, "%s %s\n", event, text);
}

static void on_count(void *arg, enum pa_hook_stat stat)
{
	(void)arg;
	atomic_fetch_add(&t.stats[stat], 1);
}

static void open_hook(const char *more)
{
	const struct pa_hook_ops ops = {on_count, NULL};
	char text[256], err[PA_HOOK_ERROR_LEN] = "";

	(void)snprintf(text, sizeof(text), "{\"realm\": \"test\", \"broker-socket\": \"%s\"%s}", t.broker.path, more);
	cr_assert_eq(pa_hook_new(text, strlen(text), &ops, &t.hook, err), 0, "%s", err);
}

static void set_up(void)
{
	memset(&t, 0, sizeof(t));
	pa_log_set_level(PA_LOG_DEBUG);
	pa_log_set_sink(sink);
	stub_init(&t.broker);
}

static void tear_down(void)
{
	if (t.hook != NULL)
		while (pa_hook_drain(t.hook) != NULL)
			;
	pa_hook_free(t.hook);
	stub_clear(&t.broker);
}

static void connect_hook(const char *more)
{
	stub_start(&t.broker);
	open_hook(more);
	stub_accept(&t.broker);
}

static struct pa_hook_lease lease_of(uint8_t client)
{
	static uint8_t ids[256];
	struct pa_hook_lease l = {1, 0x0a000000U + client, 600, &ids[client], 1, NULL, 0};

	ids[client] = client;
	return l;
}

static int submit(uint8_t client, void *packet)
{
	const struct pa_hook_query q = {.xid = 7};
	struct pa_hook_lease l = lease_of(client);

	return pa_hook_submit(t.hook, &l, &q, packet);
}

static void dispatch(void)
{
	wait_readable(pa_hook_fd(t.hook), 6000);
	pa_hook_dispatch(t.hook);
}

/* Reads a request and answers it. */
static void serve(int result, const char *grant)
{
	json_t *c = stub_read(&t.broker);

	stub_reply(&t.broker, c, result, grant);
	json_decref(c);
}

/* Dispatches until a packet is done. */
static struct pa_hook_done next(void)
{
	struct pa_hook_done d;

	while (!pa_hook_next_done(t.hook, &d))
		dispatch();
	return d;
}

TestSuite(hook, .init = set_up, .fini = tear_down, .timeout = 30);

Test(hook, a_grant_becomes_the_option)
{
	static const uint8_t want[] = {0x01, 0xc0, 0xff, 0xee};
	struct pa_hook_done d;
	int packet;

	connect_hook("");
	cr_assert_eq(submit(1, &packet), 0);
	serve(0, GRANT);
	d = next();
	cr_expect_eq(d.packet, &packet);
	cr_assert_eq(d.len, sizeof(want));
	cr_expect_arr_eq(d.option, want, sizeof(want));
	cr_expect_not(pa_hook_next_done(t.hook, &d));
	cr_expect_eq(t.stats[PA_HOOK_REQUESTS], 1);
	cr_expect_eq(t.stats[PA_HOOK_GRANTED], 1);
	cr_expect_null(strstr(t.log, "c0ffee"), "the log has the option: %s", t.log);
}

Test(hook, a_refusal_sends_the_ack_without)
{
	struct pa_hook_done d;
	int packet;

	connect_hook("");
	cr_assert_eq(submit(1, &packet), 0);
	serve(3, NULL);
	d = next();
	cr_expect_eq(d.packet, &packet);
	cr_expect_eq(d.len, 0);
	cr_expect_eq(t.stats[PA_HOOK_REFUSED], 1);
	cr_expect_not_null(strstr(t.log, "request.refused subnet=1 address=10.0.0.1 client=01 result=3"), "%s", t.log);
}

Test(hook, success_without_a_usable_grant_is_nonsense)
{
	static const char *const bad[] = {NULL, "", "c0ffee", "01c", "01zz"};
	char big[2 * 201 + 1];
	int packet;

	memset(big, '0', sizeof(big) - 1);
	big[1] = '1';
	big[sizeof(big) - 1] = '\0';
	stub_start(&t.broker);
	for (unsigned i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		open_hook("");
		stub_accept(&t.broker);
		cr_assert_eq(submit(1, &packet), 0);
		serve(0, i < sizeof(bad) / sizeof(bad[0]) ? bad[i] : big);
		cr_expect_eq(next().len, 0);
		cr_expect_eq(t.stats[PA_HOOK_NONSENSE], i + 1);
		cr_expect_eq(t.stats[PA_HOOK_BROKER_DOWN], i + 1);
		cr_expect_eq(submit(1, &packet), PA_EIO, "the connection was kept");
		atomic_store(&t.stats[PA_HOOK_BROKER_DOWN], i + 1);
		pa_hook_free(t.hook);
		t.hook = NULL;
	}
}

Test(hook, the_largest_option)
{
	char big[2 * 200 + 1];
	int packet;

	memset(big, '0', sizeof(big) - 1);
	big[1] = '1';
	big[sizeof(big) - 1] = '\0';
	connect_hook("");
	cr_assert_eq(submit(1, &packet), 0);
	serve(0, big);
	cr_expect_eq(next().len, 200);
}

Test(hook, a_retransmission_joins_the_request_under_way)
{
	struct pa_hook_done a, b;
	int first, second, other;

	connect_hook("");
	cr_assert_eq(submit(1, &first), 0);
	cr_assert_eq(submit(1, &second), 0);
	cr_assert_eq(submit(2, &other), 0);
	serve(0, GRANT);
	a = next();
	cr_assert(pa_hook_next_done(t.hook, &b));
	cr_expect((a.packet == &first && b.packet == &second) || (a.packet == &second && b.packet == &first));
	cr_expect_eq(a.len, 4);
	cr_expect_eq(b.len, 4);
	cr_expect_eq(t.stats[PA_HOOK_REQUESTS], 2);
	cr_expect_eq(t.stats[PA_HOOK_COALESCED], 1);
	/* Later the same client makes a new one. */
	cr_assert_eq(submit(1, &first), 0);
	cr_expect_eq(t.stats[PA_HOOK_REQUESTS], 3);
}

Test(hook, parked_packets_are_bounded_copies_too)
{
	int packets[4];
	struct pa_hook_done d;

	connect_hook(", \"max-parked\": 3");
	cr_assert_eq(submit(1, &packets[0]), 0);
	cr_assert_eq(submit(1, &packets[1]), 0);
	cr_assert_eq(submit(2, &packets[2]), 0);
	cr_expect_eq(submit(3, &packets[3]), PA_EEXHAUSTED);
	cr_expect_eq(submit(1, &packets[3]), PA_EEXHAUSTED);
	cr_expect_eq(t.stats[PA_HOOK_PARKED_LIMIT], 2);
	serve(0, GRANT);
	d = next();
	cr_expect_eq(d.len, 4);
	/* One place is free again. */
	cr_expect_eq(submit(3, &packets[3]), 0);
}

Test(hook, deadline)
{
	struct pa_hook_done d;
	int packet;

	connect_hook(", \"deadline\": 50");
	cr_assert_eq(submit(1, &packet), 0);
	d = next();
	cr_expect_eq(d.packet, &packet);
	cr_expect_eq(d.len, 0);
	cr_expect_eq(t.stats[PA_HOOK_TIMEOUT], 1);
	cr_expect_not_null(strstr(t.log, "request.timeout"), "%s", t.log);
	serve(0, GRANT);
	dispatch();
	cr_expect_not(pa_hook_next_done(t.hook, &d));
	cr_expect_eq(t.stats[PA_HOOK_LATE], 1);
}

Test(hook, broker_away_means_do_not_wait)
{
	struct pa_hook_lease none = {1, 1, 1, NULL, 0, NULL, 0};
	const struct pa_hook_query q = {.xid = 7};
	int packet;

	open_hook("");
	cr_expect_eq(submit(1, &packet), PA_EIO);
	cr_expect_eq(t.stats[PA_HOOK_BROKER_DOWN], 1);
	cr_expect_eq(pa_hook_submit(t.hook, &none, &q, &packet), PA_EINVAL);
	cr_expect_null(pa_hook_drain(t.hook));
}

Test(hook, a_lost_connection_lets_everybody_go)
{
	int packets[2];

	connect_hook("");
	cr_assert_eq(submit(1, &packets[0]), 0);
	cr_assert_eq(submit(2, &packets[1]), 0);
	stub_hang_up(&t.broker);
	cr_expect_eq(next().len, 0);
	cr_expect_eq(next().len, 0);
	cr_expect_eq(t.stats[PA_HOOK_BROKER_DOWN], 2);
}

Test(hook, drain_gives_back_all_that_wait_once)
{
	unsigned seen = 0;
	char packets[4];
	char *p;

	connect_hook("");
	for (uint8_t i = 0; i < 4; i++)
		cr_assert_eq(submit(i / 2, &packets[i]), 0);
	/* Two have ended and were not taken yet. */
	serve(0, GRANT);
	dispatch();
	while ((p = pa_hook_drain(t.hook)) != NULL) {
		cr_expect_eq(seen & 1U << (p - packets), 0);
		seen |= 1U << (p - packets);
	}
	cr_expect_eq(seen, 15);
}

Test(hook, releases_go_to_the_broker_for_served_subnets)
{
	struct pa_hook_lease l = lease_of(5);
	json_t *c;

	connect_hook(", \"subnets\": [1]");
	l.subnet_id = 2;
	pa_hook_release(t.hook, &l);
	l.subnet_id = 1;
	pa_hook_release(t.hook, &l);
	c = stub_read(&t.broker);
	cr_expect_str_eq(json_string_value(json_object_get(c, "command")), "lease-release");
	cr_expect_eq(json_integer_value(json_object_get(json_object_get(c, "arguments"), "subnet-id")), 1);
	json_decref(c);
	cr_expect(stub_quiet(&t.broker));
	cr_expect_eq(t.stats[PA_HOOK_RELEASES], 1);
}

/* ---- DHCPINFORM ---- */

static const uint8_t hw[] = {2, 0, 0x5e, 0, 0x12, 0x34}, other_hw[] = {2, 0, 0x5e, 0, 0x12, 0x35};

static struct pa_hook_lease held(uint8_t client)
{
	struct pa_hook_lease l = lease_of(client);

	l.hw_address = hw;
	l.hw_address_len = sizeof(hw);
	return l;
}

static struct pa_hook_sender sender(const struct pa_hook_lease *l)
{
	return (struct pa_hook_sender){.hw_address = hw, .hw_address_len = sizeof(hw), .frame = hw, .frame_len = sizeof(hw),
				       .source = l->address};
}

static size_t inform(uint8_t client, const uint8_t *sent, size_t len, uint8_t *option)
{
	const struct pa_hook_query q = {.xid = 7, .has_option = true, .option = sent, .option_len = len};
	const struct pa_hook_lease l = held(client);
	const struct pa_hook_sender from = sender(&l);

	return pa_hook_inform(t.hook, &l, &from, &q, option);
}

static void expect_command(const char *name)
{
	json_t *c = stub_read(&t.broker);

	cr_expect_str_eq(json_string_value(json_object_get(c, "command")), name);
	json_decref(c);
}

/* Dispatches until the statistic has the value. */
static void until(enum pa_hook_stat stat, unsigned value)
{
	while (t.stats[stat] < value)
		dispatch();
}

Test(hook, an_inform_starts_and_its_repetition_is_answered)
{
	static const uint8_t key[PA_KEY_LEN] = {1}, want[] = {0x01, 0xc0, 0xff, 0xee};
	uint8_t option[PA_HOOK_OPTION_MAX];
	json_t *c;
	size_t n;

	connect_hook("");
	cr_expect_eq(inform(1, key, sizeof(key), option), 0);
	cr_expect_eq(inform(1, key, sizeof(key), option), 0, "while the broker thinks");
	c = stub_read(&t.broker);
	cr_expect_str_eq(json_string_value(json_object_get(c, "command")), "lease-allocate");
	cr_expect_not_null(json_object_get(json_object_get(c, "arguments"), "client-key"));
	cr_expect(stub_quiet(&t.broker), "one request");
	stub_reply(&t.broker, c, 0, GRANT);
	json_decref(c);
	wait_readable(pa_hook_fd(t.hook), 5000);
	pa_hook_dispatch(t.hook);
	n = inform(1, key, sizeof(key), option);
	cr_assert_eq(n, sizeof(want));
	cr_expect_arr_eq(option, want, sizeof(want));
	cr_expect_eq(inform(1, key, sizeof(key), option), sizeof(want), "an answer may be lost");
	cr_expect(stub_quiet(&t.broker));
	cr_expect_eq(t.stats[PA_HOOK_INFORMS], 1);
	cr_expect_eq(t.stats[PA_HOOK_INFORM_ANSWERS], 2);
	cr_expect_null(strstr(t.log, "c0ffee"), "the log has the option: %s", t.log);
}

Test(hook, an_inform_is_for_the_holder_of_the_lease)
{
	const struct pa_hook_lease l = held(1);
	struct pa_hook_sender from = sender(&l);
	static const uint8_t id = 1, other_id = 2;

	cr_expect_null(pa_hook_foreign(&l, &from));
	from.client_id = &id;
	from.client_id_len = 1;
	cr_expect_null(pa_hook_foreign(&l, &from));
	from.client_id = &other_id;
	cr_expect_str_eq(pa_hook_foreign(&l, &from), "client identifier");
	from = sender(&l);
	from.hw_address = other_hw;
	cr_expect_str_eq(pa_hook_foreign(&l, &from), "hardware address");
	from = sender(&l);
	from.hw_address_len = 0;
	cr_expect_str_eq(pa_hook_foreign(&l, &from), "hardware address");
	from = sender(&l);
	from.source++;
	cr_expect_str_eq(pa_hook_foreign(&l, &from), "source address");
	from.relayed = true;
	cr_expect_null(pa_hook_foreign(&l, &from), "the relay's own");
	from = sender(&l);
	from.frame = other_hw;
	cr_expect_str_eq(pa_hook_foreign(&l, &from), "source of the frame");
	cr_expect_str_eq(pa_hook_foreign(NULL, &from), "no lease");
}

Test(hook, a_foreign_inform_asks_nobody)
{
	const struct pa_hook_query q = {.xid = 7, .has_option = true};
	const struct pa_hook_lease l = held(1);
	struct pa_hook_sender from = sender(&l);
	uint8_t option[PA_HOOK_OPTION_MAX];

	connect_hook("");
	from.hw_address = other_hw;
	for (int i = 0; i < 100; i++)
		cr_expect_eq(pa_hook_inform(t.hook, &l, &from, &q, option), 0);
	cr_expect(stub_quiet(&t.broker));
	cr_expect_eq(t.stats[PA_HOOK_INFORM_FOREIGN], 100);
	cr_expect_not_null(strstr(t.log, "inform.foreign source=10.0.0.1 hw-address=02005e001235 cause=\"hardware address\""), "%s", t.log);
	cr_expect_lt(strlen(t.log), 1000, "the log is not flooded: %s", t.log);
}

Test(hook, refused_informs_are_not_asked_again_at_once)
{
	uint8_t option[PA_HOOK_OPTION_MAX];

	connect_hook("");
	cr_expect_eq(inform(1, NULL, 0, option), 0);
	serve(3, NULL);
	until(PA_HOOK_REFUSED, 1);
	cr_expect_eq(inform(1, NULL, 0, option), 0);
	cr_expect(stub_quiet(&t.broker));
}

Test(hook, informs_at_once_are_bounded_and_leave_room_for_packets)
{
	uint8_t option[PA_HOOK_OPTION_MAX];
	int packet;

	connect_hook(", \"max-parked\": 1");
	for (unsigned i = 1; i <= PA_INFORMS_IN_FLIGHT_MAX + 5; i++)
		cr_expect_eq(inform((uint8_t)i, NULL, 0, option), 0);
	cr_expect_eq(t.stats[PA_HOOK_INFORMS], PA_INFORMS_IN_FLIGHT_MAX);
	cr_expect_eq(t.stats[PA_HOOK_INFORM_LIMIT], 5);
	cr_expect_eq(submit(200, &packet), 0);
}

Test(hook, an_inform_with_the_broker_away)
{
	uint8_t option[PA_HOOK_OPTION_MAX];

	open_hook("");
	cr_expect_eq(inform(1, NULL, 0, option), 0);
	cr_expect_eq(t.stats[PA_HOOK_BROKER_DOWN], 1);
	cr_expect_eq(t.stats[PA_HOOK_INFORMS], 0);
}

Test(hook, an_inform_gives_back_and_the_repetition_confirms)
{
	uint8_t option[PA_HOOK_OPTION_MAX], release[PA_RELEASE_LEN], proof[PA_MAC_LEN] = {9};
	const json_t *args;
	json_t *c;

	connect_hook("");
	cr_expect_eq(inform(1, NULL, 0, option), 0);
	serve(0, GRANT);
	dispatch();
	cr_assert_gt(inform(1, NULL, 0, option), 0);
	pa_dhcp_release_encode(42, proof, release);
	cr_expect_eq(inform(1, release, sizeof(release), option), 0);
	c = stub_read(&t.broker);
	args = json_object_get(c, "arguments");
	cr_expect_str_eq(json_string_value(json_object_get(c, "command")), "lease-release");
	cr_expect_eq(json_integer_value(json_object_get(args, "epoch")), 42);
	cr_expect_str_eq(json_string_value(json_object_get(args, "proof")), "09000000000000000000000000000000");
	stub_reply(&t.broker, c, 0, NULL);
	json_decref(c);
	until(PA_HOOK_RELEASES, 1);
	cr_expect_eq(inform(1, release, sizeof(release), option), sizeof(release));
	cr_expect_arr_eq(option, release, sizeof(release));
	cr_expect_eq(inform(1, NULL, 0, option), 0, "the grant that was given back is not given out again");
	expect_command("lease-allocate");
}

Test(hook, the_end_of_a_lease_ends_what_informs_were_told)
{
	const struct pa_hook_lease l = held(1);
	uint8_t option[PA_HOOK_OPTION_MAX];

	connect_hook("");
	cr_expect_eq(inform(1, NULL, 0, option), 0);
	serve(0, GRANT);
	dispatch();
	cr_assert_gt(inform(1, NULL, 0, option), 0);
	pa_hook_release(t.hook, &l);
	expect_command("lease-release");
	cr_expect_eq(inform(1, NULL, 0, option), 0);
	expect_command("lease-allocate");
}

Test(hook, who_is_served)
{
	static const uint8_t asks[] = {1, 3, 224}, asks_not[] = {1, 3, 225};
	const char *const phones[] = {"ALL", "phones"}, *const tvs[] = {"ALL", "tvs"}, *const all[] = {"ALL"};
	struct pa_hook_query q = {.requested = asks, .requested_len = 3, .classes = phones, .n_classes = 2};

	open_hook(", \"subnets\": [7], \"client-classes\": [\"phones\", \"tvs\"], \"always-classes\": [\"tvs\"]");
	cr_expect(pa_hook_wants(t.hook, 7, &q));
	cr_expect_not(pa_hook_wants(t.hook, 8, &q), "another subnet");
	q.requested = asks_not;
	cr_expect_not(pa_hook_wants(t.hook, 7, &q), "does not ask");
	q.has_option = true;
	cr_expect(pa_hook_wants(t.hook, 7, &q), "asks by sending the option");
	q.has_option = false;
	q.requested = NULL;
	q.requested_len = 0;
	cr_expect_not(pa_hook_wants(t.hook, 7, &q), "no option 55");
	q.classes = tvs;
	cr_expect(pa_hook_wants(t.hook, 7, &q), "always for this class");
	q.requested = asks;
	q.requested_len = 3;
	q.classes = all;
	q.n_classes = 1;
	cr_expect_not(pa_hook_wants(t.hook, 7, &q), "not in a served class");
}

Test(hook, status_is_json)
{
	char *text;
	json_t *root;
	int packet;

	connect_hook("");
	cr_assert_eq(submit(1, &packet), 0);
	text = pa_hook_status(t.hook);
	root = json_loads(text, 0, NULL);
	cr_assert_not_null(root);
	cr_expect(json_is_true(json_object_get(root, "broker-up")));
	cr_expect_eq(json_integer_value(json_object_get(root, "parked")), 1);
	cr_expect_eq(json_integer_value(json_object_get(json_object_get(root, "statistics"), "pubaddr-requests")), 1);
	json_decref(root);
	free(text);
}

Test(hook, bad_parameters_are_refused)
{
	const struct pa_hook_ops ops = {on_count, NULL};
	struct pa_hook *h = NULL;
	char err[PA_HOOK_ERROR_LEN] = "";

	cr_expect_eq(pa_hook_new("{}", 2, &ops, &h, err), PA_EFORMAT);
	cr_expect_str_eq(err, "realm: is missing; expected a string");
	cr_expect_null(h);
}

/* Kea's worker threads submit while its main thread dispatches: every packet comes back exactly once. */
#define WORKERS 4
#define EACH 400

static atomic_int state[WORKERS * EACH]; /* 1 waits, 2 done */
static atomic_uint workers_left;

static void *worker(void *arg)
{
	size_t base = *(const size_t *)arg * EACH;

	for (size_t i = 0; i < EACH; i++) {
		const struct pa_hook_query q = {.xid = (uint32_t)i};
		uint8_t id[2] = {(uint8_t)(i % 50), (uint8_t)(base / EACH % 2)};
		struct pa_hook_lease l = {1, (uint32_t)(i % 50), 600, id, sizeof(id), NULL, 0};
		int rc;

		atomic_store(&state[base + i], 1);
		do {
			rc = pa_hook_submit(t.hook, &l, &q, &state[base + i]);
		} while (rc == PA_EEXHAUSTED || rc == PA_EAGAIN);
		cr_assert_eq(rc, 0);
		pa_hook_release(t.hook, &l);
	}
	atomic_fetch_sub(&workers_left, 1);
	return NULL;
}

static atomic_bool broker_stop;

/* Ends when it is told to: a thread that is cancelled leaks what it holds, and AddressSanitizer loses track of its stack. */
static void *echo(void *arg)
{
	(void)arg;
	while (!atomic_load(&broker_stop)) {
		struct pollfd p = {t.broker.conn, POLLIN, 0};

		if (!stub_quiet(&t.broker))
			serve(0, GRANT);
		else
			(void)poll(&p, 1, 10);
	}
	return NULL;
}

static void drop_line(enum pa_log_level level, const char *event, const char *text)
{
	(void)level, (void)event, (void)text;
}

Test(hook, threads)
{
	static const size_t numbers[WORKERS] = {0, 1, 2, 3};
	pthread_t threads[WORKERS], broker;
	struct pa_hook_done d;
	unsigned done = 0;

	pa_log_set_sink(drop_line);
	connect_hook(", \"max-parked\": 32, \"deadline\": 5000");
	atomic_store(&workers_left, WORKERS);
	cr_assert_eq(pthread_create(&broker, NULL, echo, NULL), 0);
	for (size_t i = 0; i < WORKERS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, worker, (void *)(uintptr_t)&numbers[i]), 0);
	while (atomic_load(&workers_left) > 0 || done < atomic_load(&t.stats[PA_HOOK_GRANTED]) ||
	       atomic_load(&t.stats[PA_HOOK_GRANTED]) < WORKERS * EACH) {
		struct pollfd p = {pa_hook_fd(t.hook), POLLIN, 0};

		/* Not for ever: a worker may count itself out after its last reply was read. */
		if (poll(&p, 1, 10) > 0)
			pa_hook_dispatch(t.hook);
		while (pa_hook_next_done(t.hook, &d)) {
			cr_assert_eq(atomic_exchange((atomic_int *)d.packet, 2), 1, "a packet came back twice");
			cr_assert_eq(d.len, 4);
			done++;
		}
	}
	for (size_t i = 0; i < WORKERS; i++)
		(void)pthread_join(threads[i], NULL);
	atomic_store(&broker_stop, true);
	(void)pthread_join(broker, NULL);
	cr_expect_eq(done, WORKERS * EACH);
}

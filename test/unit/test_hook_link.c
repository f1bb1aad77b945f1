/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "broker_stub.h"
#include "common/err.h"
#include "common/log.h"
#include "kea-hook/link.h"

#define N 64

static struct {
	struct broker_stub broker;
	struct pa_link *link;
	int error[N], result[N]; /* error 1: not done yet */
	unsigned done, events[8];
	int verdict; /* what done returns */
} t;

static char down[8][256]; /* what was said of a broker that is away */
static unsigned n_down;

static void quiet(enum pa_log_level level, const char *event, const char *text)
{
	(void)level;
	if (strcmp(event, "broker.down") == 0 && n_down < 8)
		(void)snprintf(down[n_down++], sizeof(down[0]), "%s", text);
}

static int on_done(void *arg, void *tag, const struct pa_link_answer *answer)
{
	int *error = tag;

	(void)arg;
	cr_expect_eq(*error, 1, "a request ended twice");
	*error = answer->error;
	t.result[error - t.error] = answer->result;
	t.done++;
	return t.verdict;
}

static void on_event(void *arg, enum pa_link_event event)
{
	(void)arg;
	t.events[event]++;
}

static void open_link(unsigned deadline_ms, size_t max_requests, size_t max_releases)
{
	const struct pa_link_ops ops = {on_done, on_event, NULL};
	const struct pa_link_options options = {t.broker.path, deadline_ms, max_requests, max_releases};

	cr_assert_eq(pa_link_new(&options, &ops, &t.link), 0);
}

static void set_up(void)
{
	pa_log_set_sink(quiet);
	memset(&t, 0, sizeof(t));
	for (int i = 0; i < N; i++)
		t.error[i] = 1;
	stub_init(&t.broker);
}

static void tear_down(void)
{
	pa_link_free(t.link);
	stub_clear(&t.broker);
}

static void connect_link(unsigned deadline_ms)
{
	stub_start(&t.broker);
	open_link(deadline_ms, N, 4);
	stub_accept(&t.broker);
	cr_assert(pa_link_is_up(t.link));
}

static int ask(int i)
{
	return pa_link_request(t.link, "lease-allocate", json_pack("{s:i}", "n", i), &t.error[i]);
}

static void release(int i)
{
	pa_link_release(t.link, json_pack("{s:i}", "n", i));
}

static void dispatch(void)
{
	wait_readable(pa_link_fd(t.link), 6000);
	pa_link_dispatch(t.link);
}

/* Reads a command, checks it, and returns it. */
static json_t *expect(const char *name, int i)
{
	json_t *c = stub_read(&t.broker);

	cr_expect_str_eq(json_string_value(json_object_get(c, "command")), name);
	cr_expect_eq(json_integer_value(json_object_get(json_object_get(c, "arguments"), "n")), i);
	return c;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

TestSuite(hook_link, .init = set_up, .fini = tear_down, .timeout = 30);

Test(hook_link, replies_find_their_requests_in_any_order)
{
	json_t *c[3];

	connect_link(2000);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(ask(i), 0);
	for (int i = 0; i < 3; i++)
		c[i] = expect("lease-allocate", i);
	for (int i = 2; i >= 0; i--) {
		stub_reply(&t.broker, c[i], i, NULL);
		json_decref(c[i]);
	}
	while (t.done < 3)
		dispatch();
	for (int i = 0; i < 3; i++) {
		cr_expect_eq(t.error[i], 0);
		cr_expect_eq(t.result[i], i);
	}
}

Test(hook_link, a_reply_in_pieces)
{
	json_t *c;
	char text[64];

	connect_link(2000);
	cr_assert_eq(ask(0), 0);
	c = expect("lease-allocate", 0);
	stub_write(&t.broker, "{\"result\": 3, ");
	dispatch();
	cr_expect_eq(t.done, 0);
	(void)snprintf(text, sizeof(text), "\"id\": %d}\n", (int)json_integer_value(json_object_get(c, "id")));
	stub_write(&t.broker, text);
	dispatch();
	cr_expect_eq(t.result[0], 3);
	json_decref(c);
}

Test(hook_link, deadline_then_a_late_reply)
{
	uint64_t start = now_ms();
	json_t *c;

	connect_link(100);
	cr_assert_eq(ask(0), 0);
	c = expect("lease-allocate", 0);
	while (t.done == 0)
		dispatch();
	cr_expect_eq(t.error[0], PA_EEXPIRED);
	cr_expect_geq(now_ms() - start, 99);
	cr_expect_lt(now_ms() - start, 3000);
	stub_reply(&t.broker, c, 0, NULL);
	dispatch();
	cr_expect_eq(t.events[PA_LINK_LATE], 1);
	cr_expect_eq(t.done, 1);
	cr_expect(pa_link_is_up(t.link));
	json_decref(c);
}

Test(hook_link, broker_away_is_known_at_once_and_found_when_it_comes)
{
	open_link(2000, N, 4);
	cr_expect_not(pa_link_is_up(t.link));
	cr_expect_eq(ask(0), PA_EIO);
	stub_start(&t.broker);
	while (!pa_link_is_up(t.link))
		dispatch();
	cr_expect_eq(ask(0), 0);
	cr_expect_eq(t.done, 0);
}

Test(hook_link, a_lost_connection_ends_what_is_in_flight)
{
	connect_link(5000);
	cr_assert_eq(ask(0), 0);
	cr_assert_eq(ask(1), 0);
	stub_hang_up(&t.broker);
	dispatch();
	cr_expect_eq(t.error[0], PA_EIO);
	cr_expect_eq(t.error[1], PA_EIO);
	cr_expect_not(pa_link_is_up(t.link));
	cr_expect_eq(ask(2), PA_EIO);
}

Test(hook_link, a_failed_send_is_no_lost_packet)
{
	connect_link(5000);
	cr_assert_eq(ask(0), 0);
	stub_hang_up(&t.broker);
	/* Nobody has dispatched: the link finds out by itself, and done does not run inside the request. */
	cr_expect_eq(ask(1), PA_EIO);
	cr_expect_eq(t.done, 0);
	dispatch();
	cr_expect_eq(t.error[0], PA_EIO);
	cr_expect_eq(t.error[1], 1);
}

static const char *const rubbish[] = {
	"hello\n",
	"\n",
	"[]\n",
	"{}\n",
	"{\"result\": 0}\n",
	"{\"result\": 0, \"id\": \"1\"}\n",
	"{\"result\": 0, \"id\": 0}\n",
	"{\"result\": 0, \"id\": -1}\n",
	"{\"result\": 0, \"id\": 2}\n",
	"{\"result\": \"0\", \"id\": 1}\n",
	"{\"result\": 0, \"id\": 1, \"arguments\": []}\n",
	"{\"result\": 0, \"id\": 1, \"text\": \"\xff\"}\n",
};

Test(hook_link, nonsense_ends_the_connection)
{
	connect_link(5000);
	for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
		/* A new link each time: ids begin at 1, and there is no back-off to sit out. */
		pa_link_free(t.link);
		t.error[0] = 1;
		open_link(5000, N, 4);
		stub_accept(&t.broker);
		cr_assert_eq(ask(0), 0);
		stub_write(&t.broker, rubbish[i]);
		while (pa_link_is_up(t.link))
			dispatch();
		cr_expect_eq(t.error[0], PA_EIO, "%s", rubbish[i]);
		cr_expect_eq(t.events[PA_LINK_NONSENSE], i + 1, "%s", rubbish[i]);
	}
}

Test(hook_link, a_broker_that_does_not_serve_us_says_why)
{
	connect_link(5000);
	cr_assert_eq(ask(0), 0);
	stub_write(&t.broker, "{\"result\": 1, \"text\": \"permission denied: not you\"}\n");
	while (pa_link_is_up(t.link))
		dispatch();
	cr_expect_eq(t.error[0], PA_EIO);
	cr_expect_eq(t.events[PA_LINK_NONSENSE], 0);
	cr_assert_eq(n_down, 1);
	cr_expect_not_null(strstr(down[0], "the broker refuses: permission denied: not you"), "%s", down[0]);
}

Test(hook_link, another_reason_is_told_once_more)
{
	open_link(5000, N, 4); /* nobody has made the socket */
	dispatch();
	dispatch();
	cr_assert_eq(n_down, 1);
	cr_expect_not_null(strstr(down[0], strerror(ENOENT)), "%s", down[0]);
	cr_assert_eq(symlink(t.broker.path, t.broker.path), 0);
	dispatch();
	dispatch();
	cr_assert_eq(n_down, 2);
	cr_expect_not_null(strstr(down[1], strerror(ELOOP)), "%s", down[1]);
	cr_assert_eq(unlink(t.broker.path), 0);
}

Test(hook_link, what_the_caller_calls_nonsense_is_nonsense)
{
	json_t *c;

	connect_link(5000);
	t.verdict = PA_EFORMAT;
	cr_assert_eq(ask(0), 0);
	cr_assert_eq(ask(1), 0);
	c = expect("lease-allocate", 0);
	stub_reply(&t.broker, c, 0, "xyz");
	json_decref(c);
	while (pa_link_is_up(t.link))
		dispatch();
	cr_expect_eq(t.events[PA_LINK_NONSENSE], 1);
	cr_expect_eq(t.error[0], 0);
	cr_expect_eq(t.error[1], PA_EIO);
}

Test(hook_link, an_endless_line_is_cut)
{
	char junk[4096];

	connect_link(5000);
	memset(junk, 'x', sizeof(junk) - 1);
	junk[sizeof(junk) - 1] = '\0';
	for (int i = 0; i < 64 && pa_link_is_up(t.link); i++) {
		stub_write(&t.broker, junk);
		dispatch();
	}
	cr_expect_not(pa_link_is_up(t.link));
	cr_expect_eq(t.events[PA_LINK_NONSENSE], 1);
}

Test(hook_link, reconnects_are_spaced)
{
	uint64_t start;

	connect_link(5000);
	stub_write(&t.broker, "hello\n");
	dispatch();
	start = now_ms();
	for (uint64_t pause = PA_LINK_BACKOFF_MS; pause <= 4 * PA_LINK_BACKOFF_MS; pause *= 2) {
		while (!pa_link_is_up(t.link))
			dispatch();
		cr_expect_geq(now_ms() - start, pause - 1);
		stub_accept(&t.broker);
		stub_write(&t.broker, "hello\n");
		dispatch();
		start = now_ms();
		cr_expect_not(pa_link_is_up(t.link));
	}
}

Test(hook_link, a_silent_broker_is_given_up)
{
	connect_link(50);
	for (int i = 0; i < PA_LINK_STALL; i++) {
		cr_assert(pa_link_is_up(t.link));
		cr_assert_eq(ask(i), 0);
		while (t.error[i] == 1)
			dispatch();
		cr_expect_eq(t.error[i], PA_EEXPIRED);
	}
	cr_expect_not(pa_link_is_up(t.link));
	cr_expect_eq(ask(N - 1), PA_EIO);
}

Test(hook_link, in_flight_is_bounded)
{
	stub_start(&t.broker);
	open_link(5000, 2, 4);
	stub_accept(&t.broker);
	cr_expect_eq(ask(0), 0);
	cr_expect_eq(ask(1), 0);
	cr_expect_eq(ask(2), PA_EAGAIN);
	cr_expect_eq(t.error[2], 1);
}

Test(hook_link, a_broker_that_does_not_read)
{
	static int tags[8192];
	size_t pad_len = 2000;
	char pad[2001];
	int rc = 0, sent = 0;

	memset(pad, 'x', pad_len);
	pad[pad_len] = '\0';
	stub_start(&t.broker);
	open_link(5000, 8192, 4);
	stub_accept(&t.broker);
	while (rc == 0 && sent < 8192)
		rc = pa_link_request(t.link, "lease-allocate", json_pack("{s:s}", "pad", pad), &tags[sent++]);
	cr_expect_eq(rc, PA_EAGAIN, "after %d requests", sent);
	/* It reads again: what waited comes whole and in order. */
	for (int i = 1; i < sent; i++) {
		json_t *c;

		if (stub_quiet(&t.broker))
			pa_link_dispatch(t.link);
		c = stub_read(&t.broker);
		cr_assert_eq(json_integer_value(json_object_get(c, "id")), i);
		json_decref(c);
	}
	cr_expect_eq(ask(0), 0);
}

Test(hook_link, releases_wait_for_the_broker_and_the_oldest_goes)
{
	open_link(5000, N, 4);
	for (int i = 0; i < 6; i++)
		release(i);
	cr_expect_eq(t.events[PA_LINK_RELEASE_DROPPED], 2);
	cr_expect_eq(t.events[PA_LINK_RELEASE_SENT], 0);
	stub_start(&t.broker);
	while (!pa_link_is_up(t.link))
		dispatch();
	stub_accept(&t.broker);
	/* A request made now stays behind the releases. */
	cr_assert_eq(ask(9), 0);
	for (int i = 2; i < 6; i++)
		json_decref(expect("lease-release", i));
	json_decref(expect("lease-allocate", 9));
	cr_expect_eq(t.events[PA_LINK_RELEASE_SENT], 4);
}

Test(hook_link, a_release_is_repeated_until_it_is_answered)
{
	json_t *c;

	connect_link(5000);
	release(1);
	release(2);
	c = expect("lease-release", 1);
	stub_reply(&t.broker, c, 3, NULL);
	json_decref(c);
	json_decref(expect("lease-release", 2));
	dispatch();
	stub_hang_up(&t.broker);
	while (pa_link_is_up(t.link))
		dispatch();
	while (!pa_link_is_up(t.link))
		dispatch();
	stub_accept(&t.broker);
	c = expect("lease-release", 2);
	stub_reply(&t.broker, c, 0, NULL);
	json_decref(c);
	dispatch();
	cr_expect(stub_quiet(&t.broker));
	cr_expect_eq(t.done, 0);
	cr_expect_eq(t.events[PA_LINK_LATE], 0);
}

Test(hook_link, free_with_requests_in_flight_calls_nobody)
{
	connect_link(5000);
	cr_assert_eq(ask(0), 0);
	release(1);
	pa_link_free(t.link);
	t.link = NULL;
	cr_expect_eq(t.done, 0);
}

Test(hook_link, a_descriptor_that_select_cannot_watch_is_refused)
{
	const struct pa_link_ops ops = {on_done, on_event, NULL};
	const struct pa_link_options options = {t.broker.path, 100, 1, 1};
	struct rlimit limit;
	int fd;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 1100;
	if (limit.rlim_max < 1100 || setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return; /* the system forbids what the test guards against */
	do {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		cr_assert_geq(fd, 0);
	} while (fd < PA_LINK_FD_MAX - 1);
	cr_expect_eq(pa_link_new(&options, &ops, &t.link), PA_EIO);
	cr_expect_eq(errno, EMFILE);
	cr_expect_null(t.link);
	for (int i = fd; i > fd - 100; i--)
		(void)close(i);
}

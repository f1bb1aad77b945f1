/* SPDX-License-Identifier: MPL-2.0 */
/* The blocking client: what it makes of answers, silence and refusals, always within its time. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/edge_client.h"
#include "common/err.h"
#include "test/unit/tmpdir.h"

static char dir[TMPDIR_LEN], path[TMPDIR_LEN + 16];
static int listener = -1;

static void setup(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	cr_assert_eq(tmpdir_make(dir), 0);
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	memcpy(sun.sun_path, path, strlen(path));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	cr_assert_eq(listen(listener, 4), 0);
}

static void teardown(void)
{
	close(listener);
	tmpdir_remove(dir);
}

TestSuite(edge_client, .init = setup, .fini = teardown, .timeout = 30);

/* One call in a thread of its own, while the test is the server. */
struct call {
	pthread_t thread;
	json_t *arguments, *ret;
	int timeout_ms, rc;
	char err[PA_CLIENT_ERRLEN];
};

static void *run_call(void *arg)
{
	struct call *c = arg;

	c->rc = pa_client_call(path, "status-get", c->arguments, c->timeout_ms, &c->ret, c->err);
	return NULL;
}

static void call_start(struct call *c, json_t *arguments, int timeout_ms)
{
	memset(c, 0, sizeof(*c));
	c->arguments = arguments;
	c->timeout_ms = timeout_ms;
	cr_assert_eq(pthread_create(&c->thread, NULL, run_call, c), 0);
}

static void call_end(struct call *c)
{
	cr_assert_eq(pthread_join(c->thread, NULL), 0);
}

/* Accepts, reads the command's line into buf, and returns the connection. */
static int serve(char *buf, size_t cap)
{
	int fd = accept(listener, NULL, NULL);
	size_t n = 0;

	cr_assert_geq(fd, 0);
	while (n < cap - 1 && (n == 0 || buf[n - 1] != '\n')) {
		ssize_t got = recv(fd, buf + n, cap - 1 - n, 0);

		cr_assert_gt(got, 0);
		n += (size_t)got;
	}
	buf[n] = '\0';
	return fd;
}

static void answer(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		cr_assert_gt(n, 0);
		text += n;
		len -= (size_t)n;
	}
}

/* What the client makes of one answer. */
static void converse(const char *text, int rc, const char *err)
{
	struct call c;
	char buf[256];
	int fd;

	call_start(&c, NULL, 5000);
	fd = serve(buf, sizeof(buf));
	cr_assert_str_eq(buf, "{\"command\":\"status-get\"}\n");
	answer(fd, text);
	close(fd);
	call_end(&c);
	cr_assert_eq(c.rc, rc, "%d %s", c.rc, c.err);
	cr_assert_not_null(strstr(c.err, err), "'%s' does not contain '%s'", c.err, err);
	cr_assert_null(c.ret);
}

Test(edge_client, gets_the_reply)
{
	struct call c;
	char buf[256];
	int fd;

	call_start(&c, json_pack("{s:i}", "a", 7), 5000);
	fd = serve(buf, sizeof(buf));
	cr_assert_str_eq(buf, "{\"command\":\"status-get\",\"arguments\":{\"a\":7}}\n");
	answer(fd, "{\"result\": 3, \"text\": \"noth");
	answer(fd, "ing\", \"arguments\": {\"b\": 8}}\n");
	call_end(&c); /* while the connection is open */
	cr_assert_eq(c.rc, 3);
	cr_assert_str_eq(c.err, "nothing");
	cr_assert_eq(json_integer_value(json_object_get(c.ret, "b")), 8);
	json_decref(c.ret);
	close(fd);
}

Test(edge_client, answers_of_all_kinds)
{
	converse("{\"result\": 0}\n", 0, "");
	converse("{\"result\": 1, \"text\": \"no such pool\"}\n", 1, "no such pool");
	converse("{\"result\": 1000}\n", PA_EFORMAT, "'result' is missing or not a small number");
	converse("hello\n", PA_EFORMAT, "not valid JSON");
	converse("", PA_EIO, "closed without a reply");
	converse("{\"result\": 0}", PA_EIO, "closed without a reply");
}

Test(edge_client, a_refusal_is_read_even_if_nobody_reads_us)
{
	struct call c;
	int fd;

	call_start(&c, json_pack("{s:o}", "pad", json_string("x")), 5000);
	fd = accept(listener, NULL, NULL);
	cr_assert_geq(fd, 0);
	answer(fd, "{\"result\": 1, \"text\": \"permission denied\"}\n");
	close(fd); /* with the command unread */
	call_end(&c);
	cr_assert_eq(c.rc, 1, "%d %s", c.rc, c.err);
	cr_assert_str_eq(c.err, "permission denied");
}

Test(edge_client, a_long_reply)
{
	size_t n = 5u << 20;
	char *text = malloc(n + 64), buf[256];
	struct call c;
	int fd;

	cr_assert_not_null(text);
	(void)snprintf(text, n, "{\"result\": 0, \"arguments\": {\"a\": \"");
	memset(text + strlen(text), 'x', n - strlen(text));
	memcpy(text + n, "\"}}\n", 5);
	call_start(&c, NULL, 20000);
	fd = serve(buf, sizeof(buf));
	answer(fd, text);
	close(fd);
	call_end(&c);
	cr_assert_eq(c.rc, 0, "%d %s", c.rc, c.err);
	cr_assert_gt(json_string_length(json_object_get(c.ret, "a")), n - 64);
	json_decref(c.ret);
	free(text);
}

Test(edge_client, silence_ends_in_time)
{
	uint64_t start = pa_now_get().boot_ms, took;
	char err[PA_CLIENT_ERRLEN];
	json_t *ret = NULL;

	cr_assert_eq(pa_client_call(path, "x", NULL, 100, &ret, err), PA_EAGAIN);
	took = pa_now_get().boot_ms - start;
	cr_assert(took >= 100 && took < 5000, "%llu ms", (unsigned long long)took);
	cr_assert_not_null(strstr(err, "no reply in time"), "%s", err);
	cr_assert_eq(pa_client_call(path, "x", NULL, 0, &ret, err), PA_EAGAIN);
	cr_assert_eq(pa_client_call(path, "x", NULL, -5, &ret, err), PA_EAGAIN);
	cr_assert_null(ret);
}

Test(edge_client, a_full_queue_ends_in_time)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fds[64], n = 0;
	char err[PA_CLIENT_ERRLEN];
	json_t *ret = NULL;

	memcpy(sun.sun_path, path, strlen(path));
	while (n < 64) { /* nobody accepts: the queue of 4 is soon full */
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		cr_assert_geq(fds[n], 0);
		if (connect(fds[n++], (struct sockaddr *)&sun, sizeof(sun)) < 0)
			break;
	}
	cr_assert_lt(n, 64);
	cr_assert_eq(pa_client_call(path, "x", NULL, 60, &ret, err), PA_EAGAIN, "%s", err);
	while (n > 0)
		close(fds[--n]);
}

Test(edge_client, nobody_there)
{
	char err[PA_CLIENT_ERRLEN], name[300];
	json_t *ret = NULL;

	close(listener);
	listener = -1;
	cr_assert_eq(pa_client_call(path, "x", json_object(), 1000, &ret, err), PA_ENOTFOUND, "%s", err);
	cr_assert_not_null(strstr(err, "Connection refused"), "%s", err);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(pa_client_call(path, "x", NULL, 1000, &ret, err), PA_ENOTFOUND);
	cr_assert_not_null(strstr(err, path), "%s", err);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert_eq(pa_client_call(name, "x", NULL, 1000, &ret, err), PA_EIO);
	cr_assert_not_null(strstr(err, "too long"), "%s", err);
}

Test(edge_client, no_permission)
{
	char err[PA_CLIENT_ERRLEN];
	json_t *ret = NULL;
	int rc;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(chmod(path, 0600), 0);
	cr_assert_eq(seteuid(65534), 0);
	rc = pa_client_call(path, "x", NULL, 1000, &ret, err);
	cr_assert_eq(seteuid(0), 0);
	cr_assert_eq(rc, PA_EDENIED, "%s", err);
}

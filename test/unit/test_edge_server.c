/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The command server on a loop of its own, with plain sockets as its clients. Every test ends with the loop closed and
 * nothing left on it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/edge_server.h"
#include "common/err.h"
#include "common/log.h"
#include "test/unit/tmpdir.h"

#define PENDING_MAX 4096
#define NOBODY 65534
#define DEADLINE_MS 10000

static uv_loop_t loop;
static struct pa_server *server;
static struct pa_server_config cfg;
static char dir[TMPDIR_LEN], path[TMPDIR_LEN + 16], err[PA_SERVER_ERRLEN];
/* Requests that a test answers itself, in the order in which they came. */
static struct pa_request *pending[PENDING_MAX];
static unsigned n_pending, n_big, n_lines;
/* What one client has sent us and we have not looked at. */
static char heard[3 << 20];
static size_t n_heard;

static void reply_big(struct pa_request *req)
{
	static char text[1 << 20];

	memset(text, 'x', sizeof(text) - 1);
	n_big++;
	pa_request_reply(req, PA_RESULT_SUCCESS, text, NULL);
}

/* "since" is right, and the descriptor is of the process that connected; or it is not known here. */
static void reply_held(struct pa_request *req)
{
	uint64_t now = pa_now_get().boot_ms, since = pa_request_since_ms(req);
	char info[64], line[128], number[32];
	int fd = pa_request_pidfd(req);
	bool ours = false;
	FILE *f;

	cr_assert(since > 0 && since <= now && now - since < 60000);
	if (fd == PA_ENOTSUP) {
		pa_request_reply(req, PA_RESULT_SUCCESS, "ours", NULL);
		return;
	}
	cr_assert_geq(fd, 0, "%s", pa_strerror(fd));
	(void)snprintf(info, sizeof(info), "/proc/self/fdinfo/%d", fd);
	(void)snprintf(number, sizeof(number), "Pid:\t%d\n", (int)pa_request_pid(req));
	f = fopen(info, "re");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		ours = ours || strcmp(line, number) == 0;
	(void)fclose(f);
	close(fd);
	pa_request_reply(req, PA_RESULT_SUCCESS, ours ? "ours" : "another's", NULL);
}

static void handler(void *ctx, struct pa_request *req)
{
	const char *name = pa_request_name(req);

	cr_assert_eq(ctx, &loop);
	if (strcmp(name, "echo") == 0) {
		pa_request_reply(req, PA_RESULT_SUCCESS, "here", json_incref(pa_request_arguments(req)));
	} else if (strcmp(name, "who") == 0) {
		pa_request_replyf(req, PA_RESULT_SUCCESS, "%u %d", (unsigned)pa_request_uid(req), (int)pa_request_pid(req));
	} else if (strcmp(name, "held") == 0) {
		reply_held(req);
	} else if (strcmp(name, "big") == 0) {
		reply_big(req);
	} else if (strcmp(name, "close") == 0) {
		pa_server_close(server);
		server = NULL;
		pa_request_reply(req, PA_RESULT_SUCCESS, "nobody reads this", NULL);
	} else {
		cr_assert_lt(n_pending, PENDING_MAX);
		pending[n_pending++] = req;
	}
}

static void count_lines(enum pa_log_level level, const char *event, const char *text)
{
	(void)level;
	(void)text;
	n_lines += strcmp(event, "command.busy") == 0;
}

static int start(void)
{
	return pa_server_new(&loop, &cfg, handler, &loop, &server, err);
}

static void setup(void)
{
	cr_assert_eq(tmpdir_make(dir), 0);
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	cr_assert_eq(uv_loop_init(&loop), 0);
	cfg.path = path;
	cfg.mode = 0600;
	cfg.gid = (gid_t)-1;
	cfg.max_clients = 16;
}

static void teardown(void)
{
	pa_server_close(server);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_assert_eq(uv_loop_close(&loop), 0, "handles are left on the loop");
	tmpdir_remove(dir);
}

TestSuite(edge_server, .init = setup, .fini = teardown, .timeout = 60);

static int dial(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, path, strlen(path));
	cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0, "%s", strerror(errno));
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	n_heard = 0;
	return fd;
}

/* Lets the loop run, and waits a moment for events on fd; returns them. */
static short turn(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	(void)uv_run(&loop, UV_RUN_NOWAIT);
	(void)poll(&p, 1, 2);
	return p.revents;
}

static void say_bytes(int fd, const char *text, size_t len)
{
	uint64_t end = uv_hrtime() + DEADLINE_MS * 1000000ull;

	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n > 0) {
			text += n;
			len -= (size_t)n;
			continue;
		}
		cr_assert_eq(errno, EAGAIN, "%s", strerror(errno));
		(void)turn(fd, POLLOUT);
		cr_assert_lt(uv_hrtime(), end, "the server does not read");
	}
}

static void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

/* The next line without its newline, or NULL at the end of the stream. */
static const char *hear(int fd)
{
	static char line[sizeof(heard)];
	uint64_t end = uv_hrtime() + DEADLINE_MS * 1000000ull;

	for (;;) {
		char *nl = memchr(heard, '\n', n_heard);
		ssize_t n;

		if (nl != NULL) {
			size_t len = (size_t)(nl - heard);

			memcpy(line, heard, len);
			line[len] = '\0';
			n_heard -= len + 1;
			memmove(heard, nl + 1, n_heard);
			return line;
		}
		n = recv(fd, heard + n_heard, sizeof(heard) - n_heard, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return NULL;
		if (n > 0)
			n_heard += (size_t)n;
		else
			(void)turn(fd, POLLIN);
		cr_assert_lt(uv_hrtime(), end, "no answer");
	}
}

static void expect(int fd, const char *want)
{
	const char *line = hear(fd);

	cr_assert_not_null(line, "closed, expected %s", want);
	cr_assert_str_eq(line, want);
}

static void wait_pending(unsigned n)
{
	uint64_t end = uv_hrtime() + DEADLINE_MS * 1000000ull;

	while (n_pending < n) {
		(void)turn(-1, 0);
		cr_assert_lt(uv_hrtime(), end, "%u requests of %u came", n_pending, n);
	}
}

Test(edge_server, answers)
{
	char want[64];
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"echo\",\"arguments\":{\"a\":[1]},\"id\":{\"x\":null}}\n");
	expect(fd, "{\"result\":0,\"text\":\"here\",\"arguments\":{\"a\":[1]},\"id\":{\"x\":null}}");
	say(fd, "{\"command\":\"echo\"}\n");
	expect(fd, "{\"result\":0,\"text\":\"here\"}");
	say(fd, "{\"command\":\"who\"}\n");
	(void)snprintf(want, sizeof(want), "{\"result\":0,\"text\":\"%u %d\"}", (unsigned)geteuid(), (int)getpid());
	expect(fd, want);
	close(fd);
}

Test(edge_server, bad_lines_do_not_end_the_conversation)
{
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "\n\nhello\n{}\n{\"command\":\"\xc3\"}\n{\"command\":\"echo\",\"id\":1}\n");
	cr_assert_not_null(strstr(hear(fd), "\"result\":1,\"text\":\"not valid JSON"));
	cr_assert_not_null(strstr(hear(fd), "'command' is missing"));
	cr_assert_not_null(strstr(hear(fd), "\"result\":1"));
	expect(fd, "{\"result\":0,\"text\":\"here\",\"id\":1}");
	close(fd);
}

Test(edge_server, pipelined_requests_answered_out_of_order)
{
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"later\",\"id\":1}\n{\"command\":\"later\",\"id\":2}\n{\"command\":\"later\",\"id\":3}\n");
	wait_pending(3);
	pa_request_reply(pending[2], PA_RESULT_SUCCESS, "c", NULL);
	pa_request_reply(pending[0], PA_RESULT_EMPTY, "a", NULL);
	pa_request_replyf(pending[1], PA_RESULT_ERROR, "%s", "b");
	expect(fd, "{\"result\":0,\"text\":\"c\",\"id\":3}");
	expect(fd, "{\"result\":3,\"text\":\"a\",\"id\":1}");
	expect(fd, "{\"result\":1,\"text\":\"b\",\"id\":2}");
	close(fd);
}

Test(edge_server, a_text_cut_inside_a_character_is_answered)
{
	char text[600];
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"later\"}\n");
	wait_pending(1);
	memset(text, 'x', sizeof(text));
	text[510] = '\xc3'; /* the buffer of replyf ends between the two octets */
	text[511] = '\xb6';
	text[599] = '\0';
	pa_request_replyf(pending[0], PA_RESULT_ERROR, "%s", text);
	cr_assert_not_null(hear(fd));
	close(fd);
}

Test(edge_server, the_longest_line_and_one_more)
{
	static const char head[] = "{\"command\":\"echo\",\"id\":\"";
	char *line = malloc(PA_COMMAND_LINE_MAX + 2);
	const char *answer;
	int fd;

	cr_assert_not_null(line);
	cr_assert_eq(start(), 0, "%s", err);
	memset(line, 'i', PA_COMMAND_LINE_MAX);
	memcpy(line, head, sizeof(head) - 1);
	memcpy(line + PA_COMMAND_LINE_MAX - 3, "\"}\n", 4);
	fd = dial();
	say(fd, line);
	answer = hear(fd);
	cr_assert(answer != NULL && strstr(answer, "\"result\":0") != NULL);
	close(fd);
	memcpy(line + PA_COMMAND_LINE_MAX - 3, "i\"}\n", 5);
	fd = dial();
	say(fd, line);
	expect(fd, "{\"result\":1,\"text\":\"line too long\"}");
	cr_assert_null(hear(fd));
	close(fd);
	free(line);
}

Test(edge_server, an_endless_line_is_cut_off)
{
	char piece[4096];
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	memset(piece, 'x', sizeof(piece));
	for (size_t sent = 0; sent < PA_COMMAND_LINE_MAX; sent += sizeof(piece))
		say_bytes(fd, piece, sizeof(piece));
	expect(fd, "{\"result\":1,\"text\":\"line too long\"}");
	cr_assert_null(hear(fd));
	close(fd);
}

Test(edge_server, a_slow_reader_is_cut_off)
{
	uint64_t end = uv_hrtime() + DEADLINE_MS * 1000000ull;
	unsigned answers = 0;
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	for (unsigned i = 0; i < 40; i++)
		say(fd, "{\"command\":\"later\"}\n");
	wait_pending(40);
	for (unsigned i = 0; i < 40; i++)
		reply_big(pending[i]);
	while ((turn(fd, 0) & POLLHUP) == 0)
		cr_assert_lt(uv_hrtime(), end, "40 MB wait for a reader that does not read");
	while (hear(fd) != NULL)
		answers++;
	cr_assert_lt(answers, 16u);
	close(fd);
	fd = dial();
	say(fd, "{\"command\":\"echo\"}\n");
	expect(fd, "{\"result\":0,\"text\":\"here\"}");
	close(fd);
}

Test(edge_server, who_does_not_read_is_not_read)
{
	unsigned answers = 0;
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	for (unsigned i = 0; i < 40; i++)
		say(fd, "{\"command\":\"big\"}\n");
	for (unsigned i = 0; i < 50; i++)
		(void)turn(-1, 0);
	cr_assert_leq(n_big, 2u, "%u MB of replies wait for a client that does not read", n_big);
	while (answers < 40 && hear(fd) != NULL)
		answers++;
	cr_assert_eq(answers, 40u, "and when it reads it gets them all");
	close(fd);
}

Test(edge_server, refusals_do_not_fill_the_log)
{
	pid_t pid;
	int status;

	cfg.mode = 0666;
	cfg.max_clients = 0;
	cfg.any_uid = true;
	pa_log_set_sink(count_lines);
	cr_assert_eq(start(), 0, "%s", err);
	if (geteuid() != 0)
		cr_skip_test("needs root, to be somebody else");
	cr_assert_eq(chmod(dir, 0755), 0);
	pid = fork();
	if (pid == 0) {
		bool ok = setuid(NOBODY) == 0;

		for (unsigned i = 0; ok && i < 50; i++)
			close(dial());
		_exit(ok ? 0 : 1);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		(void)turn(-1, 0);
	for (unsigned i = 0; i < 50; i++)
		(void)turn(-1, 0);
	cr_assert_eq(status, 0);
	cr_expect(n_lines >= 1 && n_lines <= 2, "%u lines", n_lines);
}

Test(edge_server, requests_under_way_are_bounded)
{
	static const char line[] = "{\"command\":\"later\",\"id\":1}\n";
	static char lines[1000 * (sizeof(line) - 1)];
	unsigned answered = 0, before;
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	for (unsigned i = 0; i < 1000; i++)
		memcpy(lines + i * (sizeof(line) - 1), line, sizeof(line) - 1);
	say_bytes(fd, lines, sizeof(lines)); /* at once: all of it fits into the socket, whether it is read or not */
	do { /* until a whole turn brings nothing new */
		before = n_pending;
		for (int i = 0; i < 5; i++)
			(void)turn(-1, 0);
	} while (n_pending != before);
	cr_assert_eq(n_pending, PA_SERVER_IN_FLIGHT_MAX, "a client holds %u requests in our memory", n_pending);
	while (answered < 1000) {
		wait_pending(answered + 1);
		pa_request_reply(pending[answered++], PA_RESULT_SUCCESS, "", NULL);
		expect(fd, "{\"result\":0,\"text\":\"\",\"id\":1}");
	}
	close(fd);
}

Test(edge_server, a_reply_after_the_client_has_gone)
{
	int fd;

	(void)signal(SIGPIPE, SIG_DFL);
	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"later\"}\n{\"command\":\"later\"}\n{\"command\":\"later\"}\n");
	wait_pending(3);
	close(fd);
	pa_request_reply(pending[0], PA_RESULT_SUCCESS, "", NULL); /* we have not seen it go */
	(void)turn(-1, 0);
	pa_request_reply(pending[1], PA_RESULT_SUCCESS, "", NULL); /* now we have */
	(void)turn(-1, 0);
	pa_request_reply(pending[2], PA_RESULT_SUCCESS, "", json_object());
	fd = dial();
	say(fd, "{\"command\":\"echo\"}\n");
	expect(fd, "{\"result\":0,\"text\":\"here\"}");
	close(fd);
}

Test(edge_server, a_client_that_only_stops_sending_gets_its_replies)
{
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"later\",\"id\":1}\n{\"command\":\"later\",\"id\":2}\n{\"command\":\"unended");
	cr_assert_eq(shutdown(fd, SHUT_WR), 0);
	wait_pending(2);
	for (int i = 0; i < 5; i++)
		(void)turn(-1, 0);
	pa_request_reply(pending[0], PA_RESULT_SUCCESS, "", NULL);
	pa_request_reply(pending[1], PA_RESULT_SUCCESS, "", NULL);
	expect(fd, "{\"result\":0,\"text\":\"\",\"id\":1}");
	expect(fd, "{\"result\":0,\"text\":\"\",\"id\":2}");
	cr_assert_null(hear(fd), "then it is closed");
	close(fd);
}

Test(edge_server, a_reply_after_the_server_was_closed)
{
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"later\"}\n{\"command\":\"later\"}\n");
	wait_pending(2);
	pa_server_close(server);
	server = NULL;
	pa_request_reply(pending[0], PA_RESULT_SUCCESS, "", json_object());
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_assert_null(hear(fd));
	cr_assert_eq(pa_request_uid(pending[1]), geteuid(), "the request is still valid");
	pa_request_reply(pending[1], PA_RESULT_SUCCESS, "", NULL);
	close(fd);
}

Test(edge_server, a_handler_may_close_the_server)
{
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"close\"}\n{\"command\":\"echo\"}\n{\"command\":\"echo\"}\n");
	cr_assert_null(hear(fd));
	cr_assert_null(server);
	cr_assert_eq(access(path, F_OK), -1, "the socket is removed");
	close(fd);
}

Test(edge_server, closing_with_replies_under_way)
{
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"later\"}\n{\"command\":\"big\"}\n{\"command\":\"big\"}\n");
	wait_pending(1);
	pa_server_close(server);
	server = NULL;
	pa_request_reply(pending[0], PA_RESULT_SUCCESS, "", NULL);
	close(fd);
}

/* ------------------------------------------------------------------------------------------------ the socket itself */
Test(edge_server, mode_and_group)
{
	struct stat st;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cfg.mode = 0660;
	cfg.gid = NOBODY;
	cr_assert_eq(start(), 0, "%s", err);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert(S_ISSOCK(st.st_mode));
	cr_assert_eq(st.st_mode & 07777, 0660u);
	cr_assert_eq(st.st_gid, (gid_t)NOBODY);
}

static int bind_socket(int type)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, path, strlen(path));
	cr_assert_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

Test(edge_server, a_stale_socket_is_replaced)
{
	int fd;

	close(bind_socket(SOCK_STREAM));
	cr_assert_eq(access(path, F_OK), 0);
	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"echo\"}\n");
	expect(fd, "{\"result\":0,\"text\":\"here\"}");
	close(fd);
}

Test(edge_server, a_live_socket_is_refused)
{
	struct pa_server *second = NULL;
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	cr_assert_eq(pa_server_new(&loop, &cfg, handler, &loop, &second, err), PA_EEXIST);
	cr_assert_null(second);
	cr_assert_not_null(strstr(err, "already serves this socket; stop it first"), "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"echo\"}\n");
	expect(fd, "{\"result\":0,\"text\":\"here\"}");
	close(fd);
}

Test(edge_server, what_is_not_a_stale_socket_stays)
{
	struct stat st;
	int fd = bind_socket(SOCK_DGRAM);

	cr_assert_eq(start(), PA_EEXIST, "somebody receives datagrams there");
	cr_assert_eq(stat(path, &st), 0);
	close(fd);
	cr_assert_eq(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	close(fd);
	cr_assert_eq(start(), PA_EEXIST);
	cr_assert_not_null(strstr(err, "not a socket; remove it"), "%s", err);
	cr_assert_eq(stat(path, &st), 0);
}

Test(edge_server, names_that_cannot_be)
{
	char name[300];

	cfg.path = name;
	(void)snprintf(name, sizeof(name), "%s/none/sock", dir);
	cr_assert_eq(start(), PA_EIO);
	cr_assert_not_null(strstr(err, "folder"), "%s", err);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert_eq(start(), PA_EINVAL);
	cr_assert_not_null(strstr(err, "longer than 107 bytes"), "%s", err);
	name[0] = '\0';
	cr_assert_eq(start(), PA_EINVAL, "no name would be a name in the abstract namespace, open to everybody");
}

Test(edge_server, a_failed_start_leaves_no_socket)
{
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || chown(dir, NOBODY, NOBODY) < 0 || setegid(NOBODY) < 0 ||
			       seteuid(NOBODY) < 0))
		cr_skip_test("cannot drop privileges");
	cfg.gid = 0; /* not ours to give */
	cr_assert_eq(start(), PA_EIO);
	cr_assert_eq(access(path, F_OK), -1);
	cfg.gid = (gid_t)-1;
	cr_assert_eq(start(), 0, "%s", err);
	(void)!seteuid(0);
}

Test(edge_server, closing_removes_only_our_own_socket)
{
	struct stat st;
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	cr_assert_eq(unlink(path), 0);
	fd = bind_socket(SOCK_STREAM); /* of a successor */
	pa_server_close(server);
	server = NULL;
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_assert_eq(stat(path, &st), 0, "the successor's socket was removed");
	close(fd);
}

/* ------------------------------------------------------------------------------------------------ who may connect */
/* In the child: exits 0 if the n-th answer of the server contains want and, if last, the connection ends then. */
static void child_talk(unsigned connections, const char *want, bool last)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char buf[512];
	size_t n = 0;
	int fd = -1;

	memcpy(sun.sun_path, path, strlen(path));
	while (connections-- > 0) {
		ssize_t got;

		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
			_exit(2);
		(void)send(fd, "{\"command\":\"who\"}\n", 18, MSG_NOSIGNAL);
		for (n = 0; n < sizeof(buf) - 1 && (n == 0 || buf[n - 1] != '\n'); n += (size_t)got) {
			got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);
			if (got <= 0)
				_exit(3);
		}
	}
	buf[n] = '\0';
	if (strstr(buf, want) == NULL)
		_exit(4);
	if (last && recv(fd, buf, sizeof(buf), 0) > 0)
		_exit(5);
	_exit(0);
}

/* A child with other ids connects so many times; the answer to its last one must contain want. */
static void as_other(uid_t uid, gid_t gid, unsigned connections, const char *want, bool last)
{
	uint64_t end = uv_hrtime() + DEADLINE_MS * 1000000ull;
	int status = 0;
	pid_t pid, got = 0;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	/* What an earlier child closed when it ended is ready to be read; without this it could still count as connected. */
	for (unsigned i = 0; i < 3; i++)
		(void)turn(-1, 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
			_exit(9);
		child_talk(connections, want, last);
	}
	while (got == 0 && uv_hrtime() < end) {
		(void)turn(-1, 0);
		got = waitpid(pid, &status, WNOHANG);
	}
	if (got == 0)
		(void)kill(pid, SIGKILL);
	cr_assert_eq(got, pid, "the child got no answer");
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %d", WEXITSTATUS(status));
}

Test(edge_server, other_users_are_refused)
{
	cfg.mode = 0666;
	cr_assert_eq(start(), 0, "%s", err);
	as_other(NOBODY, NOBODY, 1, "permission denied", true);
}

Test(edge_server, listed_users_are_served)
{
	cfg.mode = 0666;
	cfg.uids[0] = 12345;
	cfg.uids[1] = NOBODY;
	cfg.n_uids = 2;
	cr_assert_eq(start(), 0, "%s", err);
	as_other(NOBODY, NOBODY, 1, "65534 ", false);
}

Test(edge_server, users_beyond_the_list_are_refused)
{
	cfg.mode = 0666;
	cfg.uids[1] = NOBODY;
	cfg.n_uids = 1;
	cr_assert_eq(start(), 0, "%s", err);
	as_other(NOBODY, NOBODY, 1, "permission denied", true);
}

Test(edge_server, the_group_is_served)
{
	cfg.mode = 0660;
	cfg.gid = NOBODY;
	cr_assert_eq(start(), 0, "%s", err);
	as_other(12345, NOBODY, 1, "12345 ", false);
}

Test(edge_server, another_group_is_refused)
{
	cfg.mode = 0666;
	cfg.gid = NOBODY;
	cr_assert_eq(start(), 0, "%s", err);
	as_other(12345, 12345, 1, "permission denied", true);
}

Test(edge_server, everybody_when_asked_for)
{
	cfg.mode = 0666;
	cfg.any_uid = true;
	cr_assert_eq(start(), 0, "%s", err);
	as_other(NOBODY, NOBODY, 1, "65534 ", false);
}

Test(edge_server, the_process_that_connected_can_be_held)
{
	int fd;

	cr_assert_eq(start(), 0, "%s", err);
	fd = dial();
	say(fd, "{\"command\":\"held\"}\n");
	expect(fd, "{\"result\":0,\"text\":\"ours\"}");
	close(fd);
}

Test(edge_server, too_many_clients_do_not_lock_out_root)
{
	int fds[8];

	cfg.mode = 0666;
	cfg.any_uid = true;
	cfg.max_clients = 4;
	cr_assert_eq(start(), 0, "%s", err);
	for (unsigned i = 0; i < 8; i++)
		fds[i] = dial();
	for (unsigned i = 0; i < 8; i++) {
		say(fds[i], "{\"command\":\"echo\"}\n");
		expect(fds[i], "{\"result\":0,\"text\":\"here\"}");
	}
	as_other(NOBODY, NOBODY, 1, "too many", true);
	for (unsigned i = 0; i < 8; i++)
		close(fds[i]);
	as_other(NOBODY, NOBODY, 5, "too many", true);
	as_other(NOBODY, NOBODY, 4, "65534 ", false);
}

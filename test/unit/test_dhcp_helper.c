/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The built helper as a DHCP client runs it, against a socket that plays pubaddr-tunneld. The socket listens before the
 * helper starts and the kernel queues what it sends, so nothing has to wait for time to pass.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/command.h"
#include "common/grant.h"
#include "common/hex.h"

#define SECRET_BYTE 0xd7
#define SECRET_HEX "d7d7d7d7"
#define SECRET_COLONS "d7:d7:d7:d7"

struct world {
	char dir[64];
	char sock[128], pending[128], seen[128], out[128];
	int listener; /* -1: nobody serves */
	pid_t helper;
};

static void world_init(struct world *w, bool serve)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/pahelper.XXXXXX");
	cr_assert_not_null(mkdtemp(w->dir));
	(void)snprintf(w->sock, sizeof(w->sock), "%s/tunneld-eth0.sock", w->dir);
	(void)snprintf(w->pending, sizeof(w->pending), "%s/pending-eth0.json", w->dir);
	(void)snprintf(w->seen, sizeof(w->seen), "%s/dhcp-eth0.json", w->dir);
	(void)snprintf(w->out, sizeof(w->out), "%s/out", w->dir);
	w->listener = -1;
	w->helper = -1;
	if (!serve)
		return;
	w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_geq(w->listener, 0);
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", w->sock);
	cr_assert_eq(bind(w->listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	cr_assert_eq(listen(w->listener, 4), 0);
}

static void world_free(struct world *w)
{
	if (w->listener >= 0)
		close(w->listener);
	(void)unlink(w->sock);
	(void)unlink(w->pending);
	(void)unlink(w->seen);
	(void)unlink(w->out);
	cr_assert_eq(rmdir(w->dir), 0, "the helper left something in %s", w->dir);
}

static size_t make_grant(uint8_t buf[PA_GRANT_MAX])
{
	struct pa_grant g;
	int n;

	memset(&g, 0, sizeof(g));
	g.claims.prefix_len = 32;
	g.claims.addr = pa_addr_from_ipv4(0xcb007107);
	g.claims.epoch = 7;
	g.claims.expires = 1000;
	g.lifetime = 3660;
	memset(g.secret, SECRET_BYTE, sizeof(g.secret));
	g.gateways[0].addr = pa_addr_from_ipv4(0xc633640a);
	g.gateways[0].port = PA_GUE_PORT;
	g.n_gateways = 1;
	n = pa_grant_encode(&g, buf, PA_GRANT_MAX);
	cr_assert_gt(n, 0);
	return (size_t)n;
}

/* As dhclient prints it: hex with colons, without leading zeros. */
static void grant_variable(char *dst, size_t cap)
{
	uint8_t buf[PA_GRANT_MAX];
	size_t n = make_grant(buf), used;

	used = (size_t)snprintf(dst, cap, "new_pubaddr_grant=%x", buf[0]);
	for (size_t i = 1; i < n; i++)
		used += (size_t)snprintf(dst + used, cap - used, ":%x", buf[i]);
	cr_assert_lt(used, cap);
}

/* Starts the helper with its output in w->out. */
static void start(struct world *w, const char *reason, const char *grant, bool strict)
{
	const char *top = getenv("top_builddir");
	char program[512], why[64], lease_time[] = "new_dhcp_lease_time=3600";
	char *args[] = {program, "--run-dir", w->dir, strict ? "--strict" : NULL, NULL};
	char *envp[] = {why, "interface=eth0", "new_ip_address=10.1.0.5", lease_time,
			"new_dhcp_server_identifier=10.1.0.1", "new_routers=10.1.0.1",
			"new_domain_name_servers=10.1.0.3 10.1.0.4", (char *)(uintptr_t)grant, NULL};

	(void)snprintf(program, sizeof(program), "%s/client-hook/pubaddr-dhcp-helper", top != NULL ? top : "..");
	(void)snprintf(why, sizeof(why), "reason=%s", reason);
	w->helper = fork();
	cr_assert_geq(w->helper, 0);
	if (w->helper == 0) {
		int fd = open(w->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(fd, 1);
		(void)dup2(fd, 2);
		(void)execve(program, args, envp);
		_exit(126);
	}
}

static int finish(struct world *w)
{
	int status;

	cr_assert_eq(waitpid(w->helper, &status, 0), w->helper);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void read_file(const char *path, char *dst, size_t cap)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	cr_assert_geq(fd, 0, "%s", path);
	n = read(fd, dst, cap - 1);
	cr_assert_geq(n, 0);
	dst[n] = '\0';
	close(fd);
}

static void expect_no_secret(const struct world *w)
{
	char text[4096];

	read_file(w->out, text, sizeof(text));
	cr_assert_null(strstr(text, SECRET_HEX), "%s", text);
	cr_assert_null(strstr(text, SECRET_COLONS), "%s", text);
}

static void expect_output(const struct world *w, const char *part)
{
	char text[4096];

	read_file(w->out, text, sizeof(text));
	cr_assert_not_null(strstr(text, part), "no \"%s\" in: %s", part, text);
}

/* What was left for pubaddr diagnose has this text, and no secret. */
static void expect_record(const struct world *w, const char *part)
{
	char text[4096];
	struct stat st;

	read_file(w->seen, text, sizeof(text));
	cr_assert_not_null(strstr(text, part), "no %s in: %s", part, text);
	cr_assert_null(strstr(text, SECRET_HEX), "%s", text);
	cr_assert_eq(stat(w->seen, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0644, "everybody may read it");
}

/* Accepts, reads one command, answers with reply (NULL: not at all); returns the command. */
static struct pa_command serve(struct world *w, const char *reply, int *ret_fd)
{
	struct pollfd p = {w->listener, POLLIN, 0};
	char line[8192], err[PA_COMMAND_ERRLEN];
	struct pa_command cmd;
	size_t n = 0;
	int fd;

	cr_assert_eq(poll(&p, 1, 10000), 1, "the helper did not connect");
	fd = accept(w->listener, NULL, NULL);
	cr_assert_geq(fd, 0);
	while (n == 0 || line[n - 1] != '\n') {
		ssize_t got = read(fd, line + n, sizeof(line) - n);

		cr_assert_gt(got, 0);
		n += (size_t)got;
	}
	cr_assert_eq(pa_command_parse(line, n, &cmd, err), 0, "%s", err);
	if (reply != NULL)
		cr_assert_eq(write(fd, reply, strlen(reply)), (ssize_t)strlen(reply));
	*ret_fd = fd;
	return cmd;
}

static const char *text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "";
}

static void check_put_arguments(const json_t *args, uint64_t before)
{
	uint8_t grant[PA_GRANT_MAX];
	char hex[2 * PA_GRANT_MAX + 1];
	json_int_t received = json_integer_value(json_object_get(args, "received"));

	cr_assert_str_eq(text_of(args, "grant"), pa_hex_encode(grant, make_grant(grant), hex));
	cr_assert_str_eq(text_of(args, "reason"), "BOUND");
	cr_assert_eq(json_integer_value(json_object_get(args, "lease-time")), 3600);
	cr_assert_str_eq(text_of(args, "dhcp-address"), "10.1.0.5");
	cr_assert_str_eq(text_of(args, "dhcp-server"), "10.1.0.1");
	cr_assert_eq(json_array_size(json_object_get(args, "routers")), 1);
	cr_assert_eq(json_array_size(json_object_get(args, "resolvers")), 2);
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(args, "resolvers"), 1)), "10.1.0.4");
	cr_assert(received >= (json_int_t)before && received <= (json_int_t)pa_now_get().boot_ms);
}

Test(helper, bound_is_put, .timeout = 30)
{
	uint64_t before = pa_now_get().boot_ms;
	struct pa_command cmd;
	struct world w;
	char grant[1024];
	int fd;

	world_init(&w, true);
	grant_variable(grant, sizeof(grant));
	start(&w, "BOUND", grant, true);
	cmd = serve(&w, "{\"result\": 0, \"text\": \"taken\"}\n", &fd);
	cr_assert_str_eq(cmd.name, "grant-put");
	check_put_arguments(cmd.arguments, before);
	pa_command_clear(&cmd);
	close(fd);
	cr_assert_eq(finish(&w), 0);
	cr_assert_eq(access(w.pending, F_OK), -1);
	expect_no_secret(&w);
	expect_record(&w, "\"option\":\"grant\"");
	world_free(&w);
}

Test(helper, what_the_lease_brought_is_recorded, .timeout = 30)
{
	static const struct {
		const char *reason, *variable, *record;
	} cases[] = {{"BOUND", "new_pubaddr_grant=hello", "\"option\":\"unreadable\""},
		     {"RENEW", "requested_pubaddr_grant=1", "\"option\":\"none\""},
		     {"RENEW", "requested_pubaddr_grant=1", "\"asked\":true"},
		     {"REBOOT", "requested_routers=1", "\"asked\":false"},
		     {"EXPIRE", "requested_routers=1", "\"option\":\"gone\""}};
	struct world w;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_init(&w, false);
		start(&w, cases[i].reason, cases[i].variable, false);
		cr_assert_eq(finish(&w), 0);
		expect_record(&w, cases[i].record);
		world_free(&w);
	}
}

Test(helper, a_refusal_is_told_without_the_secret, .timeout = 30)
{
	struct pa_command cmd;
	struct world w;
	char grant[1024];
	int fd;

	for (int strict = 0; strict < 2; strict++) {
		world_init(&w, true);
		grant_variable(grant, sizeof(grant));
		start(&w, "RENEW", grant, strict);
		cmd = serve(&w, "{\"result\": 1, \"text\": \"203.0.113.7 is a documentation address\"}\n", &fd);
		pa_command_clear(&cmd);
		close(fd);
		cr_assert_eq(finish(&w), strict);
		expect_output(&w, "203.0.113.7 is a documentation address");
		expect_no_secret(&w);
		cr_assert_eq(access(w.pending, F_OK), -1);
		world_free(&w);
	}
}

Test(helper, without_a_daemon_the_grant_waits, .timeout = 30)
{
	char kept[160];
	FILE *f;
	uint64_t before = pa_now_get().boot_ms;
	struct world w;
	struct stat st;
	char grant[1024], text[4096];
	json_t *args;

	world_init(&w, false);
	grant_variable(grant, sizeof(grant));
	start(&w, "BOUND", grant, true);
	cr_assert_eq(finish(&w), 0);
	cr_assert_eq(stat(w.pending, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	read_file(w.pending, text, sizeof(text));
	args = json_loads(text, 0, NULL);
	cr_assert_not_null(args);
	check_put_arguments(args, before);
	json_decref(args);
	expect_output(&w, "start pubaddr-tunneld -i eth0");
	expect_no_secret(&w);
	/* The lease goes: nothing may be left for a daemon that starts later, nor what one that stopped has left. */
	(void)snprintf(kept, sizeof(kept), "%s/tunneld-eth0.state", w.dir);
	f = fopen(kept, "we");
	cr_assert(f != NULL && fclose(f) == 0);
	start(&w, "RELEASE", NULL, true);
	cr_assert_eq(finish(&w), 0);
	cr_assert_eq(access(w.pending, F_OK), -1);
	cr_assert_eq(access(kept, F_OK), -1);
	world_free(&w);
}

Test(helper, an_end_is_told, .timeout = 30)
{
	struct pa_command cmd;
	struct world w;
	int fd;

	world_init(&w, true);
	start(&w, "EXPIRE", NULL, true);
	cmd = serve(&w, "{\"result\": 0, \"text\": \"ended\"}\n", &fd);
	cr_assert_str_eq(cmd.name, "grant-end");
	cr_assert_str_eq(text_of(cmd.arguments, "reason"), "EXPIRE");
	pa_command_clear(&cmd);
	close(fd);
	cr_assert_eq(finish(&w), 0);
	world_free(&w);
}

Test(helper, a_daemon_that_hangs_is_left, .timeout = 30)
{
	uint64_t before = pa_now_get().boot_ms;
	struct pa_command cmd;
	struct world w;
	char grant[1024];
	int fd;

	world_init(&w, true);
	grant_variable(grant, sizeof(grant));
	start(&w, "BOUND", grant, false);
	cmd = serve(&w, NULL, &fd);
	pa_command_clear(&cmd);
	cr_assert_eq(finish(&w), 0);
	/* Two seconds by its own limit; the rest is for a machine under load. */
	cr_assert_lt(pa_now_get().boot_ms - before, 8000);
	close(fd);
	/* Its next start shall find the grant. */
	cr_assert_eq(access(w.pending, F_OK), 0);
	expect_output(&w, "no reply in time");
	world_free(&w);
}

Test(helper, other_events_touch_nothing, .timeout = 30)
{
	static const char *const reasons[] = {"PREINIT", "FAIL", "TIMEOUT", "MEDIUM"};
	struct world w;
	char grant[1024];

	grant_variable(grant, sizeof(grant));
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct pollfd p;

		world_init(&w, true);
		start(&w, reasons[i], grant, true);
		cr_assert_eq(finish(&w), 0);
		p = (struct pollfd){w.listener, POLLIN, 0};
		cr_assert_eq(poll(&p, 1, 0), 0, "%s made it connect", reasons[i]);
		cr_assert_eq(access(w.seen, F_OK), -1);
		cr_assert_eq(access(w.pending, F_OK), -1);
		world_free(&w);
	}
}

Test(helper, what_is_no_grant_is_refused, .timeout = 30)
{
	struct world w;

	for (int strict = 0; strict < 2; strict++) {
		world_init(&w, false);
		start(&w, "BOUND", "new_pubaddr_grant=hello", strict);
		cr_assert_eq(finish(&w), strict);
		expect_output(&w, "not a grant");
		cr_assert_eq(access(w.pending, F_OK), -1);
		world_free(&w);
	}
}

/* SPDX-License-Identifier: MPL-2.0 */
/* The real daemon in a folder of its own, spoken to through its socket. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/command.h"
#include "common/edge_client.h"
#include "common/err.h"
#include "test/unit/tempdir.h"

#define WAIT_MS 20000
#define PUBLIC_KEY "0900000000000000000000000000000000000000000000000000000000000001"
#define MASTER_TEXT "master 3 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"

static char dir[TEMPDIR_MAX], conf[TEMPDIR_MAX + 16], sock[TEMPDIR_MAX + 16];
static pid_t pid;
static int log_fd = -1;

static void write_file(const char *name, mode_t mode, const char *text)
{
	char path[TEMPDIR_MAX + 32];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void write_conf(const char *more)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
		       "{\"socket\": \"%s\", \"database\": \"%s/b.db\", \"master-key-file\": \"%s/master.key\",\n"
		       "\"realms\": [\"campus\"], \"gateway-groups\": [{\"name\": \"main\", \"public-key\": \"" PUBLIC_KEY
		       "\", \"gateways\": [\"198.51.100.10:6080\"]}],\n"
		       "\"pools\": [{\"id\": 1, \"name\": \"p\", \"prefix\": \"203.0.113.0/24\", \"gateway-group\": \"main\"}]%s}",
		       sock, dir, dir, more);
	write_file("b.conf", 0644, text);
}

static void setup(void)
{
	tempdir_make(dir);
	(void)snprintf(conf, sizeof(conf), "%s/b.conf", dir);
	(void)snprintf(sock, sizeof(sock), "%s/b.sock", dir);
	write_file("master.key", 0600, MASTER_TEXT);
	write_conf("");
}

/* Reads the daemon's log until a line has word in it; false when it ends before. */
static bool wait_log(const char *word)
{
	static char seen[1 << 16];
	size_t n = 0;

	for (;;) {
		struct pollfd p = {log_fd, POLLIN, 0};

		cr_assert_eq(poll(&p, 1, WAIT_MS), 1, "no '%s' in time", word);
		cr_assert_lt(n, sizeof(seen) - 1);
		if (read(log_fd, seen + n, 1) != 1)
			return false;
		seen[n + 1] = '\0';
		if (seen[n++] != '\n')
			continue;
		if (strstr(seen, word) != NULL)
			return true;
		n = 0;
	}
}

static void spawn(const char *option)
{
	char path[4096];
	const char *top = getenv("top_builddir");
	int fds[2];

	(void)snprintf(path, sizeof(path), "%s/broker/pubaddr-brokerd", top != NULL ? top : "..");
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	(void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20); /* what nobody reads must not stop the daemon */
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(fds[1], STDERR_FILENO);
		execl(path, path, "-c", conf, option, (char *)NULL);
		_exit(126);
	}
	close(fds[1]);
	if (log_fd >= 0)
		close(log_fd);
	log_fd = fds[0];
}

static void start(void)
{
	spawn(NULL);
	cr_assert(wait_log("broker.start"), "the broker did not start");
}

static int finish(int signum)
{
	int status;

	if (signum != 0)
		cr_assert_eq(kill(pid, signum), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	pid = 0;
	return status;
}

static void stop(void)
{
	int status = finish(SIGTERM);

	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
	cr_assert_neq(access(sock, F_OK), 0, "the socket is gone");
}

static void teardown(void)
{
	if (pid > 0)
		(void)finish(SIGKILL);
	close(log_fd);
	tempdir_remove(dir);
}

TestSuite(brokerd, .init = setup, .fini = teardown, .timeout = 90);

static int call(const char *name, json_t *arguments, json_t **ret)
{
	char err[PA_CLIENT_ERRLEN];
	int rc;

	*ret = NULL;
	rc = pa_client_call(sock, name, arguments, WAIT_MS, ret, err);
	cr_assert_geq(rc, 0, "%s: %s", name, err);
	return rc;
}

static json_t *client_args(unsigned n, unsigned xid)
{
	char id[16], addr[32], hex[16];

	(void)snprintf(id, sizeof(id), "%08x", n);
	(void)snprintf(addr, sizeof(addr), "10.1.%u.%u", n / 256, n % 256);
	(void)snprintf(hex, sizeof(hex), "%x", xid);
	return json_pack("{s:s, s:i, s:s, s:s, s:i, s:s}", "realm", "campus", "subnet-id", 1, "dhcp-address", addr,
			 "client-id", id, "valid-lifetime", 600, "transaction", hex);
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static json_t *page(void)
{
	json_t *r;

	cr_assert_eq(call("lease-get-page", json_pack("{s:s, s:i}", "from", "start", "limit", 1000), &r), 0);
	return r;
}

Test(brokerd, one_lease_through_its_life)
{
	json_t *a, *b;

	start();
	cr_assert_eq(call("lease-allocate", client_args(1, 5), &a), 0);
	cr_assert_str_eq(text(a, "address"), "203.0.113.0");
	cr_assert_eq(call("lease-allocate", client_args(1, 5), &b), 0);
	cr_assert_str_eq(text(a, "grant"), text(b, "grant"), "a retransmission gets the same bytes");
	json_decref(b);
	cr_assert_eq(call("lease-allocate", client_args(1, 6), &b), 0);
	cr_assert(json_is_false(json_object_get(b, "new")));
	cr_assert(json_equal(json_object_get(a, "epoch"), json_object_get(b, "epoch")));
	json_decref(b);
	cr_assert_eq(call("lease-release", client_args(1, 0), &b), 0);
	json_decref(b);
	cr_assert_eq(call("lease-release", client_args(1, 0), &b), 3);
	json_decref(b);
	json_decref(a);
	stop();
}

Test(brokerd, what_was_acknowledged_survives_a_kill)
{
	json_t *r, *before, *after, *grant;

	start();
	for (unsigned i = 0; i < 50; i++) {
		cr_assert_eq(call("lease-allocate", client_args(i, i), &r), 0);
		json_decref(r);
	}
	cr_assert_eq(call("lease-release", client_args(7, 0), &r), 0);
	json_decref(r);
	cr_assert_eq(call("lease-allocate", client_args(9, 9), &grant), 0);
	before = page();
	cr_assert_eq(json_integer_value(json_object_get(before, "count")), 50);
	(void)finish(SIGKILL);
	start(); /* over the socket that the killed one left */
	after = page();
	cr_assert(json_equal(before, after));
	cr_assert_eq(call("lease-allocate", client_args(9, 9), &r), 0);
	cr_assert_str_eq(text(r, "grant"), text(grant, "grant"), "the same transaction, after the restart");
	json_decref(r);
	json_decref(grant);
	json_decref(before);
	json_decref(after);
	stop();
}

static void send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		cr_assert_gt(n, 0);
		data += n;
		len -= (size_t)n;
	}
}

Test(brokerd, pipelined_requests_share_commits)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char line[8192], seen[200] = "";
	json_t *r, *counters;
	FILE *in;

	start();
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", sock);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	for (int i = 0; i < 200; i++) {
		json_t *c = json_pack("{s:s, s:o, s:i}", "command", "lease-allocate", "arguments", client_args((unsigned)i, 1),
				      "id", i);
		char *s = json_dumps(c, JSON_COMPACT);

		send_all(fd, s, strlen(s));
		send_all(fd, "\n", 1);
		free(s);
		json_decref(c);
	}
	in = fdopen(fd, "r");
	for (int i = 0; i < 200; i++) {
		cr_assert_not_null(fgets(line, sizeof(line), in));
		r = json_loads(line, 0, NULL);
		cr_assert_eq(json_integer_value(json_object_get(r, "result")), 0, "%s", line);
		seen[json_integer_value(json_object_get(r, "id"))]++;
		json_decref(r);
	}
	for (int i = 0; i < 200; i++)
		cr_assert_eq(seen[i], 1);
	fclose(in);
	call("status-get", NULL, &r);
	counters = json_object_get(r, "counters");
	cr_assert_eq(json_integer_value(json_object_get(counters, "granted")), 200);
	cr_assert_lt(json_integer_value(json_object_get(counters, "commits")), 200);
	json_decref(r);
	stop();
}

Test(brokerd, full_disk_is_told_and_got_over)
{
	struct rlimit full = {100, RLIM_INFINITY}, room = {RLIM_INFINITY, RLIM_INFINITY};
	json_t *r;

	start();
	cr_assert_eq(call("lease-allocate", client_args(1, 1), &r), 0);
	json_decref(r);
	cr_assert_eq(prlimit(pid, RLIMIT_FSIZE, &full, NULL), 0);
	cr_assert_eq(call("lease-allocate", client_args(2, 1), &r), 1);
	json_decref(r);
	cr_assert(wait_log("store.commit-failed"));
	r = page();
	cr_assert_eq(json_integer_value(json_object_get(r, "count")), 1);
	json_decref(r);
	cr_assert_eq(prlimit(pid, RLIMIT_FSIZE, &room, NULL), 0);
	cr_assert_eq(call("lease-allocate", client_args(2, 1), &r), 0);
	cr_assert_str_eq(text(r, "address"), "203.0.113.1");
	json_decref(r);
	stop();
}

/* One second and the grace of 60 s is too long for a test: makes the store say that the lease began a while ago. */
static void backdate(void)
{
	char path[TEMPDIR_MAX + 16];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/b.db", dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "UPDATE lease SET expires = strftime('%s') + 1, sum = NULL", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

Test(brokerd, leases_expire_by_themselves)
{
	json_t *a = client_args(1, 1), *r;

	json_object_set_new(a, "valid-lifetime", json_integer(1));
	start();
	cr_assert_eq(call("lease-allocate", a, &r), 0);
	json_decref(r);
	stop();
	backdate();
	start();
	cr_assert(wait_log("lease.expire"));
	cr_assert_eq(call("lease-get", json_pack("{s:s}", "address", "203.0.113.0"), &r), 0);
	cr_assert_str_eq(text(json_object_get(r, "lease"), "state"), "expired");
	json_decref(r);
	stop();
}

Test(brokerd, reload)
{
	json_t *r;

	start();
	cr_assert_eq(call("lease-allocate", client_args(1, 1), &r), 0);
	json_decref(r);
	write_conf(", \"quarantine\": \"soon\"");
	kill(pid, SIGHUP);
	cr_assert(wait_log("broker.reload-failed"));
	write_conf(", \"grant\": {\"mtu\": 1300}");
	kill(pid, SIGHUP);
	cr_assert(wait_log("broker.reload "));
	cr_assert_eq(call("config-get", NULL, &r), 0);
	cr_assert_eq(json_integer_value(json_object_get(json_object_get(json_object_get(r, "config"), "grant"), "mtu")), 1300);
	json_decref(r);
	r = page();
	cr_assert_eq(json_integer_value(json_object_get(r, "count")), 1, "leases stay");
	json_decref(r);
	stop();
}

/* The text of the reply to a command that fails. */
static void assert_error(const char *name, json_t *arguments, const char *what)
{
	char err[PA_CLIENT_ERRLEN];
	json_t *r = NULL;

	cr_assert_eq(pa_client_call(sock, name, arguments, WAIT_MS, &r, err), PA_RESULT_ERROR);
	cr_assert_not_null(strstr(err, what), "'%s' has no '%s'", err, what);
	json_decref(r);
}

Test(brokerd, reload_by_command)
{
	json_t *before, *after;

	start();
	cr_assert_eq(call("lease-allocate", client_args(1, 1), &before), 0);
	json_decref(before);
	before = page();
	write_conf(",\n\"quarantine\": \"soon\"");
	assert_error("config-reload", NULL, "b.conf:4: quarantine: ");
	write_conf(", \"log-level\": \"debug\"");
	write_file("master.key", 0600, "master 4 1\n");
	assert_error("config-reload", NULL, "master.key:1: ");
	write_file("master.key", 0600, MASTER_TEXT);
	cr_assert_eq(call("config-reload", NULL, &after), 0);
	json_decref(after);
	cr_assert(wait_log("broker.reload "));
	after = page();
	cr_assert(json_equal(before, after), "every lease stays as it is");
	json_decref(before);
	json_decref(after);
	stop();
}

/* What is behind the master key's id in a grant differs too; the id itself stands at a fixed place in the claims. */
static int signing_key(unsigned xid)
{
	json_t *r;
	unsigned id;

	cr_assert_eq(call("lease-allocate", client_args(1, xid), &r), 0);
	cr_assert_eq(sscanf(text(r, "grant") + 2 * (1 + 2 + 1), "%2x", &id), 1);
	json_decref(r);
	return (int)id;
}

Test(brokerd, rotation_signs_from_the_next_reload_on)
{
	json_t *r;

	start();
	cr_assert_eq(signing_key(1), 3);
	write_file("master.key", 0600,
		   "master 4 ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n" MASTER_TEXT);
	cr_assert_eq(signing_key(2), 3);
	cr_assert_eq(call("config-reload", NULL, &r), 0);
	json_decref(r);
	cr_assert_eq(signing_key(3), 4);
	stop();
}

Test(brokerd, backup_can_be_put_in_place)
{
	char copy[TEMPDIR_MAX + 16], db[TEMPDIR_MAX + 16];
	json_t *before, *after;

	(void)snprintf(copy, sizeof(copy), "%s/copy.db", dir);
	(void)snprintf(db, sizeof(db), "%s/b.db", dir);
	start();
	cr_assert_eq(call("lease-allocate", client_args(1, 1), &before), 0);
	json_decref(before);
	before = page();
	cr_assert_eq(call("store-backup", json_pack("{s:s}", "file", copy), &after), 0);
	cr_assert(wait_log("store.backup "));
	assert_error("store-backup", json_pack("{s:s}", "file", copy), "never overwrites");
	assert_error("store-backup", json_pack("{s:s}", "file", "relative"), "begins with '/'");
	cr_assert_eq(call("lease-allocate", client_args(2, 1), &after), 0);
	json_decref(after);
	stop();
	cr_assert_eq(rename(copy, db), 0);
	start();
	after = page();
	cr_assert(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	stop();
}

Test(brokerd, tests_configurations)
{
	int status;

	spawn("-t");
	status = finish(0);
	cr_assert_eq(WEXITSTATUS(status), 0);
	write_conf(", \"quarantine\": -1");
	spawn("-t");
	cr_assert(wait_log("quarantine"));
	cr_assert_eq(WEXITSTATUS(finish(0)), 2);
	write_conf(", \"socket-users\": [\"nobody-of-that-name\"]");
	spawn("-t");
	cr_assert(wait_log("nobody-of-that-name"));
	cr_assert_eq(WEXITSTATUS(finish(0)), 2);
	write_conf("");
	write_file("master.key", 0600, "# empty\n");
	spawn("-t");
	cr_assert(wait_log("no master key"));
	cr_assert_eq(WEXITSTATUS(finish(0)), 2);
}

Test(brokerd, refuses_a_second_one)
{
	pid_t first;

	start();
	first = pid;
	spawn(NULL);
	cr_assert(wait_log("socket: "), "it names the place");
	cr_assert_eq(WEXITSTATUS(finish(0)), 1);
	cr_assert_eq(access(sock, F_OK), 0, "the first one's socket is left alone");
	pid = first;
	stop();
}

/* ---------------------------------------------------------------- backups, with the real pubaddrctl */

static char said[4096]; /* by pubaddrctl */

static int ctl(const char *words)
{
	const char *top = getenv("top_builddir");
	char command[4096];
	size_t n;
	FILE *f;
	int status;

	(void)snprintf(command, sizeof(command), "%s/broker/pubaddrctl --socket %s %s 2>&1", top != NULL ? top : "..", sock, words);
	f = popen(command, "r");
	cr_assert_not_null(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = '\0';
	status = pclose(f);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int allocate(unsigned n, unsigned xid, char address[32], json_int_t *epoch)
{
	json_t *r;
	int rc = call("lease-allocate", client_args(n, xid), &r);

	(void)snprintf(address, 32, "%s", text(r, "address"));
	*epoch = json_integer_value(json_object_get(r, "epoch"));
	json_decref(r);
	return rc;
}

static void in_dir(char dst[TEMPDIR_MAX + 32], const char *name)
{
	(void)snprintf(dst, TEMPDIR_MAX + 32, "%s/%s", dir, name);
}

Test(brokerd, a_backup_that_is_restored_takes_nobodys_address)
{
	char words[TEMPDIR_MAX + 32], db[TEMPDIR_MAX + 32], wal[TEMPDIR_MAX + 32], copy[TEMPDIR_MAX + 32];
	char kept[32], lost[32], got[32];
	json_int_t before, after, lost_epoch;

	in_dir(db, "b.db");
	in_dir(wal, "b.db-wal");
	in_dir(copy, "copy.db");
	start();
	cr_assert_eq(allocate(1, 1, kept, &before), 0);
	(void)snprintf(words, sizeof(words), "backup %s", copy);
	cr_assert_eq(ctl(words), 0, "%s", said);
	cr_assert_eq(ctl(words), 1, "it never overwrites");
	cr_assert_eq(allocate(2, 1, lost, &lost_epoch), 0);
	/* The machine breaks down; the operator does what pubaddrctl(8) says. */
	(void)finish(SIGKILL);
	cr_assert_eq(unlink(db), 0);
	(void)unlink(wal);
	cr_assert_eq(rename(copy, db), 0);
	start();
	cr_assert_eq(allocate(3, 1, got, &after), 3, "it got %s", got);
	cr_assert(wait_log("store.restored"));
	cr_assert_eq(allocate(2, 2, got, &after), 3);
	cr_assert_eq(allocate(1, 2, got, &after), 0);
	cr_assert_str_eq(got, kept);
	cr_assert_gt(after, lost_epoch);
	cr_assert_eq(ctl("pool stats"), 0);
	cr_assert_not_null(strstr(said, "RECOVERS-UNTIL"), "%s", said);
	cr_assert_not_null(strstr(said, "203.0.113.0/24  256    1"), "%s", said);
	(void)finish(SIGKILL);
	start();
	cr_assert_eq(allocate(3, 2, got, &after), 3, "a restart ends no recovery");
	cr_assert_eq(ctl("pool recover 1 0"), 0, "%s", said);
	cr_assert_eq(allocate(3, 3, got, &after), 0);
	cr_assert_str_eq(got, lost);
	cr_assert_gt(after, lost_epoch);
	cr_assert_eq(ctl("pool recover 1 many"), 2);
	cr_assert_eq(ctl("pool recover 77 5"), 3);
	cr_assert_not_null(strstr(said, "no pool has the id 77"), "%s", said);
	stop();
}

/* What is damaged is told in one line with the remedy, and left as it is for whoever can read more out of it. */
Test(brokerd, a_damaged_database_is_not_served)
{
	static const char *const places[] = {"header", "middle", "end"};
	char db[TEMPDIR_MAX + 32], address[32];
	json_int_t epoch;
	struct stat st;

	in_dir(db, "b.db");
	for (unsigned i = 0; i < 3; i++) {
		int status, fd;

		(void)unlink(db);
		start();
		for (unsigned n = 0; n < 200; n++)
			cr_assert_eq(allocate(n, 1, address, &epoch), 0);
		stop();
		cr_assert_eq(stat(db, &st), 0);
		fd = open(db, O_WRONLY);
		if (i == 2)
			cr_assert_eq(ftruncate(fd, st.st_size - 5000), 0);
		else
			cr_assert_eq(pwrite(fd, "this is no page", 16, i == 0 ? 4 : st.st_size / 2 / 4096 * 4096), 16);
		close(fd);
		spawn(NULL);
		cr_assert(wait_log("RESTORING A BACKUP"), "%s", places[i]);
		status = finish(0);
		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: status %x", places[i], (unsigned)status);
		cr_assert_neq(access(sock, F_OK), 0, "%s", places[i]);
	}
}

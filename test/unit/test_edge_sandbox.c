/* SPDX-License-Identifier: MPL-2.0 */
/* What a process has left in the sandbox, and what becomes of one that tries more. Each test is a process of its own. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/edge_sandbox.h"
#include "common/edge_seccomp.h"
#include "common/err.h"

TestSuite(edge_sandbox, .timeout = 20);

#define NET_ADMIN (UINT64_C(1) << CAP_NET_ADMIN)

static unsigned long long status_of(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256], *end = NULL;
	unsigned long long v = ~0ull;

	cr_assert_not_null(f);
	while (end == NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			v = strtoull(line + strlen(name), &end, strncmp(name, "Cap", 3) == 0 ? 16 : 10);
	(void)fclose(f);
	cr_assert_not_null(end, "%s", name);
	return v;
}

static void enter(uint64_t caps, unsigned allow)
{
	struct pa_sandbox cfg = {.capabilities = caps, .allow = allow};
	char err[PA_SANDBOX_ERRLEN];

	cr_assert_eq(pa_sandbox_enter(&cfg, err), 0, "%s", err);
}

Test(edge_sandbox, leaves_what_was_named)
{
	bool root = geteuid() == 0;

	enter(NET_ADMIN, PA_SANDBOX_NETLINK);
	cr_assert_eq(status_of("CapEff:"), root ? NET_ADMIN : 0);
	cr_assert_eq(status_of("CapPrm:"), root ? NET_ADMIN : 0);
	if (root)
		cr_assert_eq(status_of("CapBnd:"), NET_ADMIN);
	cr_assert_eq(status_of("CapInh:"), 0);
	cr_assert_eq(status_of("CapAmb:"), 0);
	cr_assert_eq(status_of("NoNewPrivs:"), 1);
#ifndef PA_SANDBOX_ASAN
	cr_assert_eq(status_of("Seccomp:"), 2);
#endif
	cr_assert_geq(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), 0);
}

Test(edge_sandbox, leaves_nothing_where_nothing_was_named)
{
	enter(0, 0);
	cr_assert_eq(status_of("CapEff:"), 0);
	cr_assert_eq(status_of("CapPrm:"), 0);
}

Test(edge_sandbox, becomes_a_user_for_good)
{
	char err[PA_SANDBOX_ERRLEN];
	uid_t r, e, s;

	if (geteuid() != 0) {
		cr_assert_eq(pa_sandbox_user(0, 0, err), PA_EDENIED);
		cr_assert_not_null(strstr(err, "start as root"));
		return;
	}
	cr_assert_eq(pa_sandbox_user(65534, 65534, err), 0, "%s", err);
	cr_assert_eq(getresuid(&r, &e, &s), 0);
	cr_assert(r == 65534 && e == 65534 && s == 65534 && getegid() == 65534);
	cr_assert_eq(getgroups(0, NULL), 0);
	cr_assert_eq(status_of("CapBnd:"), 0);
	cr_assert_eq(status_of("CapPrm:"), 0);
	cr_assert_lt(setuid(0), 0);
	cr_assert_eq(pa_sandbox_user(65534, 65534, err), 0, "it is that user already");
	cr_assert_eq(pa_sandbox_user(65533, 65534, err), PA_EDENIED);
}

/* Its requests pass by every filter; and libuv, which opens one for each loop, is content to be told that there is none. */
Test(edge_sandbox, knows_no_io_uring)
{
	char params[256] = {0}, err[PA_SANDBOX_ERRLEN];

	cr_assert_eq(pa_sandbox_begin(err), 0, "%s", err);
	errno = 0;
	cr_assert_lt(syscall(SYS_io_uring_setup, 8, params), 0);
	cr_assert_eq(errno, ENOSYS);
	enter(0, 0);
	errno = 0;
	cr_assert_lt(syscall(SYS_io_uring_setup, 8, params), 0);
	cr_assert_eq(errno, ENOSYS);
}

#ifndef PA_SANDBOX_ASAN
static void try_exec(void)
{
	(void)execl("/bin/true", "true", (char *)NULL);
}

static void try_fork(void)
{
	(void)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

static void try_packet(void)
{
	(void)socket(AF_PACKET, SOCK_RAW, 0);
}

static void try_ptrace(void)
{
	(void)syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void try_keep_capabilities(void)
{
	(void)syscall(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
}

static void try_tun(void)
{
	(void)syscall(SYS_ioctl, 0, 0x400454ca /* TUNSETIFF */, 0);
}

/* In a child: 0 if what ends it is the filter, with a line in the log. */
static int killed(void (*fn)(void), unsigned allow)
{
	char text[512] = "";
	ssize_t n, len = 0;
	int fds[2], status;
	pid_t pid;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		enter(0, allow);
		fn();
		_exit(7);
	}
	close(fds[1]);
	while ((n = read(fds[0], text + len, sizeof(text) - 1 - (size_t)len)) > 0)
		len += n;
	close(fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS &&
			       strstr(text, "\ndaemon.killed reason=\"a system call that this program never makes\" number=") != NULL
		       ? 0
		       : -1;
}

Test(edge_sandbox, ends_who_tries_more)
{
	cr_assert_eq(killed(try_exec, PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL), 0);
	cr_assert_eq(killed(try_fork, PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL), 0);
	cr_assert_eq(killed(try_packet, PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL), 0);
	cr_assert_eq(killed(try_keep_capabilities, PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL), 0);
	cr_assert_eq(killed(try_ptrace, PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL), 0);
	cr_assert_eq(killed(try_tun, PA_SANDBOX_NETLINK), 0);
	cr_assert_eq(killed(try_tun, PA_SANDBOX_IOCTL), -1, "who may, may");
}

Test(edge_sandbox, no_netlink_is_an_error_for_who_may_not)
{
	enter(0, 0);
	cr_assert_lt(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), 0);
}

Test(edge_sandbox, threads_may_have_names)
{
	enter(0, 0);
	cr_assert_eq(pthread_setname_np(pthread_self(), "worker"), 0);
}
#endif

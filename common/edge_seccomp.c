/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Which system calls the daemons make: what the C library, libuv, SQLite and libsodium use for files, time, memory, signals
 * and sockets. Nothing that starts a program, loads code into the kernel, traces, mounts or changes who we are.
 */
#include "common/edge_seccomp.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/edge_sandbox.h"
#include "common/err.h"

/* Calls that an architecture or an older libseccomp does not have are left out there. */
static const char *const calls[] = {
	/* files */
	"read", "readv", "write", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek", "_llseek", "close", "open",
	"openat", "fstat", "fstat64", "newfstatat", "fstatat64", "stat", "lstat", "statx", "access", "faccessat", "faccessat2",
	"unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat", "rmdir", "readlink",
	"readlinkat", "getcwd", "fcntl", "fcntl64", "flock", "fsync", "fdatasync", "ftruncate", "ftruncate64", "fallocate",
	"chmod", "fchmod", "fchmodat", "fchown", "fadvise64", "getdents64", "umask", "dup", "dup2", "dup3", "pipe2", "eventfd2",
	"utimensat",
	/* memory */
	"brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "msync",
	/* waiting and time */
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "ppoll_time64", "select",
	"pselect6", "clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep", "clock_nanosleep_time64", "nanosleep",
	"gettimeofday", "time", "timerfd_create", "timerfd_settime", "timerfd_gettime", "futex", "futex_time64", "sched_yield",
	/* signals and the end */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "tgkill", "exit", "exit_group",
	/* asking about ourselves */
	"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getrlimit", "prlimit64",
	"getrusage", "uname", "sysinfo", "getrandom", "sched_getaffinity", "rseq", "set_robust_list", "membarrier",
	/* sockets; which ones is decided below */
	"bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername", "getsockopt", "setsockopt", "sendto",
	"sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "shutdown",
};

/* In the signal handler: a line by write(2) alone, then the default action, which is the end. */
static void on_sigsys(int signum, siginfo_t *info, void *context)
{
	static const char head[] = "daemon.killed reason=\"a system call that this program never makes\" number=";
	char line[sizeof(head) + 16], digits[12];
	unsigned v = (unsigned)info->si_syscall;
	size_t n = sizeof(head) - 1, k = 0;

	(void)context;
	memcpy(line, head, n);
	do {
		digits[k++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (k > 0)
		line[n++] = digits[--k];
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		n = 0; /* there is nobody left to tell */
	(void)raise(signum);
}

static int allow_all(scmp_filter_ctx ctx)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
		int number = seccomp_syscall_resolve_name(calls[i]);

		if (number != __NR_SCMP_ERROR)
			rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);
	}
	return rc;
}

/* Argument number arg must be value; the header's own macros leave a field out. */
static struct scmp_arg_cmp equals(unsigned arg, scmp_datum_t value)
{
	return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
}

static int allow_sockets(scmp_filter_ctx ctx, unsigned allow)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				      equals(0, (scmp_datum_t)families[i]));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, equals(0, AF_UNIX));
	/* Address lookups of the C library ask netlink; where that is not for us they do without. */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, (allow & PA_SANDBOX_NETLINK) != 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EAFNOSUPPORT),
				      SCMP_SYS(socket), 1, equals(0, AF_NETLINK));
	return rc;
}

static int allow_ioctls(scmp_filter_ctx ctx, unsigned allow)
{
	static const unsigned harmless[] = {FIONBIO, FIONREAD, FIOCLEX, TCGETS, TIOCGWINSZ};
	int rc = 0;

	if ((allow & PA_SANDBOX_IOCTL) != 0)
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 0);
	for (size_t i = 0; rc == 0 && i < sizeof(harmless) / sizeof(harmless[0]); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, equals(1, harmless[i]));
	return rc;
}

/* Attaching what was loaded before the sandbox. BPF_PROG_ATTACH is 8 in linux/bpf.h, for good. */
static int allow_mark(scmp_filter_ctx ctx, unsigned allow)
{
	int rc;

	if ((allow & PA_SANDBOX_MARK) == 0)
		return 0;
	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(pidfd_open), 0);
	return rc == 0 ? seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1, equals(0, 8)) : rc;
}

/*
 * Elements of maps, and asking what a descriptor is. Since Linux 5.19 that needs no capability, whatever
 * kernel.unprivileged_bpf_disabled says: the descriptor is the right to it.
 */
static int allow_maps(scmp_filter_ctx ctx, unsigned allow)
{
	static const unsigned commands[] = {BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
					    BPF_OBJ_GET_INFO_BY_FD};
	int rc = 0;

	for (size_t i = 0; (allow & PA_SANDBOX_BPF_MAPS) != 0 && rc == 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1, equals(0, commands[i]));
	return rc;
}

/* Threads yes, processes no. clone3 has its flags in memory, out of sight; told that there is none, libc uses clone. */
static int allow_threads(scmp_filter_ctx ctx)
{
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* libuv gives its threads names (1.50). */
	return rc == 0 ? seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, equals(0, PR_SET_NAME)) : rc;
}

/* What goes through its rings is seen by no filter. Told that there is none, libuv does without. */
static int refuse_io_uring(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
}

/* rc: 0 or a negative errno of libseccomp's. */
static int finish(scmp_filter_ctx ctx, int rc)
{
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc == 0)
		return 0;
	errno = -rc;
	return rc == -ENOMEM ? PA_ENOMEM : rc == -EINVAL || rc == -ENOSYS || rc == -EOPNOTSUPP ? PA_ENOTSUP : PA_EIO;
}

int pa_seccomp_no_io_uring(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	return ctx == NULL ? PA_ENOMEM : finish(ctx, refuse_io_uring(ctx));
}

int pa_seccomp_load(unsigned allow)
{
	struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND | SA_NODEFER};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
	int rc;

	if (ctx == NULL)
		return PA_ENOMEM;
	rc = allow_all(ctx);
	if (rc == 0)
		rc = allow_sockets(ctx, allow);
	if (rc == 0)
		rc = allow_ioctls(ctx, allow);
	if (rc == 0)
		rc = allow_mark(ctx, allow);
	if (rc == 0)
		rc = allow_maps(ctx, allow);
	if (rc == 0)
		rc = allow_threads(ctx);
	if (rc == 0)
		rc = refuse_io_uring(ctx);
	if (rc == 0 && sigaction(SIGSYS, &sa, NULL) < 0)
		rc = -errno;
	return finish(ctx, rc);
}

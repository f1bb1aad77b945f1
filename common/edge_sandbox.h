/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_SANDBOX_H
#define PA_EDGE_SANDBOX_H

#include <stdint.h>
#include <sys/types.h>

/*
 * How a daemon gives up what it needs no more once it is set up, for good: what is taken over by a packet or a command then
 * has no more than the daemon itself. Process-wide: call with one thread only.
 */
#define PA_SANDBOX_ERRLEN 192

/* What a daemon does beside files, time, epoll, and sockets of the families Unix, IPv4 and IPv6. */
enum {
	PA_SANDBOX_NETLINK = 1,
	PA_SANDBOX_IOCTL = 2,
	PA_SANDBOX_BPF_MAPS = 4, /* reads and writes BPF maps that it has open; loads and opens none */
	PA_SANDBOX_MARK = 64,     /* holds a process (pidfd_open), and attaches BPF programs that it loaded before; loads none */
};

struct pa_sandbox {
	uint64_t capabilities; /* bits of those that stay, where the process has them */
	unsigned allow;	       /* PA_SANDBOX_... */
};

/*
 * To be called before the first event loop is made: libuv (1.45 and later) would open an io_uring for it, which the sandbox cannot let
 * it use, for a filter of system calls does not see what goes through one. Sets no-new-privs. 0, or PA_EIO with what in err.
 */
int pa_sandbox_begin(char err[PA_SANDBOX_ERRLEN]);
/*
 * Becomes uid and gid with no other group, and drops every capability, also from the bounding set. Only root can do so;
 * a process that is that user already changes nothing. 0, PA_EDENIED or PA_EIO with what and remedy in err.
 */
int pa_sandbox_user(uid_t uid, gid_t gid, char err[PA_SANDBOX_ERRLEN]);
/*
 * Drops the capabilities that are not named, sets no-new-privs, keeps other processes of the user from tracing or reading this
 * one, and forbids every system call but the ones that the daemons make: another one is logged (daemon.killed) and ends
 * the process by SIGSYS. Logs what is left (daemon.privileges). Builds with AddressSanitizer leave out the last two, which
 * its leak check cannot work under, and a kernel without seccomp leaves out the last; the log says so. 0, or PA_EIO
 * with what in err.
 */
int pa_sandbox_enter(const struct pa_sandbox *cfg, char err[PA_SANDBOX_ERRLEN]);

#endif

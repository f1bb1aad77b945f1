/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CALLER_H
#define PA_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/edge_server.h"

/*
 * The process that asked something by a command socket, held, so that its number is its own as long as we use it: the one that has the
 * number now may be another, for the socket may have been handed on. Any thread.
 */

/*
 * Returns a descriptor of the process, the caller's to close. Where the kernel does not tell who connected (PA_ENOTSUP of
 * pa_request_pidfd) it is the process that has the number and the uid of then, and has run since before the connection was taken.
 * PA_ENOTFOUND: it has ended, or is in a space of process ids that is not below ours. PA_EAUTH: another one has its number.
 */
int pa_caller_hold(const struct pa_request *req);
/* The latter way alone. since_ms: boot milliseconds. */
int pa_caller_hold_pid(pid_t pid, uid_t uid, uint64_t since_ms);
/* True if the process that is held has not ended: so its number was its own all the time. */
bool pa_caller_alive(int pidfd);

/*
 * From the text of /proc/PID/stat, whose second field may hold anything: field 22, when the process started, as boot
 * milliseconds; hz: ticks a second, as sysconf(_SC_CLK_TCK) tells. PA_EFORMAT.
 */
int pa_caller_started(const char *stat, size_t len, uint64_t hz, uint64_t *ret_ms);

#endif

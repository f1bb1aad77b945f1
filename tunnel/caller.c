/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/caller.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/edge_file.h"
#include "common/err.h"

#define STAT_LEN 1024
#define STARTED 22 /* proc(5), /proc/pid/stat: starttime */

int pa_caller_started(const char *stat, size_t len, uint64_t hz, uint64_t *ret_ms)
{
	const char *p = memrchr(stat, ')', len); /* the name of the program ends with the last one */
	uint64_t ticks = 0;
	unsigned field = 2;

	while (p != NULL && field < STARTED) {
		p = memchr(p, ' ', len - (size_t)(p - stat));
		p = p != NULL ? p + 1 : NULL;
		field++;
	}
	if (p == NULL || p == stat + len || *p < '0' || *p > '9' || hz == 0)
		return PA_EFORMAT;
	for (; p < stat + len && *p >= '0' && *p <= '9'; p++) {
		if (ticks > UINT64_MAX / 100000)
			return PA_EFORMAT;
		ticks = 10 * ticks + (uint64_t)(*p - '0');
	}
	*ret_ms = ticks * 1000 / hz;
	return 0;
}

bool pa_caller_alive(int pidfd)
{
	struct pollfd p = {pidfd, POLLIN, 0};

	return poll(&p, 1, 0) == 0;
}

/* A number comes to another process at the earliest when the one that connected has ended, which was after it connected. */
static bool is_old_enough(pid_t pid, uint64_t since_ms)
{
	char path[40], text[STAT_LEN];
	long hz = sysconf(_SC_CLK_TCK);
	uint64_t started;
	int n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = pa_proc_read(path, text, sizeof(text));
	return n > 0 && hz > 0 && pa_caller_started(text, (size_t)n, (uint64_t)hz, &started) == 0 && started <= since_ms;
}

int pa_caller_hold_pid(pid_t pid, uid_t uid, uint64_t since_ms)
{
	char path[32];
	struct stat st;
	int fd;

	if (pid <= 0)
		return PA_ENOTFOUND;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return PA_ENOTFOUND;
	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) == 0 && st.st_uid == uid && is_old_enough(pid, since_ms))
		return fd;
	close(fd);
	return PA_EAUTH;
}

int pa_caller_hold(const struct pa_request *req)
{
	int fd;

	if (pa_request_pid(req) <= 0)
		return PA_ENOTFOUND;
	fd = pa_request_pidfd(req);
	if (fd == PA_ENOTSUP)
		return pa_caller_hold_pid(pa_request_pid(req), pa_request_uid(req), pa_request_since_ms(req));
	if (fd >= 0 && !pa_caller_alive(fd)) {
		close(fd);
		return PA_ENOTFOUND;
	}
	return fd;
}

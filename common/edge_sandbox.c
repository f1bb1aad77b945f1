/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/edge_seccomp.h"
#include "common/err.h"
#include "common/log.h"

static int fail(const char *what, char err[PA_SANDBOX_ERRLEN])
{
	(void)snprintf(err, PA_SANDBOX_ERRLEN, "cannot drop privileges: %s: %s", what, strerror(errno));
	return PA_EIO;
}

static int caps_get(uint64_t *effective, uint64_t *permitted)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -1;
	*effective = (uint64_t)data[1].effective << 32 | data[0].effective;
	*permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

static int caps_set(uint64_t caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
		{.effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32)}};

	return (int)syscall(SYS_capset, &head, data);
}

/* The bounding set says what a program that we run could gain. Without CAP_SETPCAP it stays; no-new-privs does the same. */
static int bound(uint64_t keep)
{
	uint64_t effective, permitted;

	if (caps_get(&effective, &permitted) < 0)
		return -1;
	if ((effective & (UINT64_C(1) << CAP_SETPCAP)) == 0)
		return 0;
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((keep & (UINT64_C(1) << cap)) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -1;
	return 0;
}

int pa_sandbox_begin(char err[PA_SANDBOX_ERRLEN])
{
	int rc = pa_seccomp_no_io_uring();

	return rc < 0 && rc != PA_ENOTSUP ? fail("seccomp", err) : 0;
}

int pa_sandbox_user(uid_t uid, gid_t gid, char err[PA_SANDBOX_ERRLEN])
{
	if (getuid() == uid && geteuid() == uid)
		return 0;
	if (geteuid() != 0) {
		(void)snprintf(err, PA_SANDBOX_ERRLEN, "only root can become uid %u, and this is uid %u; start as root, or as that "
			       "user", (unsigned)uid, (unsigned)geteuid());
		return PA_EDENIED;
	}
	if (bound(0) < 0)
		return fail("bounding set", err);
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return fail("cannot become the configured user", err);
	return caps_set(0) < 0 ? fail("capset", err) : 0;
}

/* The names of those that a daemon may keep; others do not occur, but as numbers. */
static const char *caps_format(uint64_t caps, char *dst, size_t cap)
{
	size_t n = 0;

	(void)snprintf(dst, cap, "none");
	for (unsigned i = 0; i < 64 && n < cap; i++) {
		if ((caps & (UINT64_C(1) << i)) == 0)
			continue;
		if (i == CAP_NET_ADMIN || i == CAP_NET_BIND_SERVICE)
			n += (size_t)snprintf(dst + n, cap - n, "%s%s", n > 0 ? "," : "",
					      i == CAP_NET_ADMIN ? "net_admin" : "net_bind_service");
		else
			n += (size_t)snprintf(dst + n, cap - n, "%s%u", n > 0 ? "," : "", i);
	}
	return dst;
}

int pa_sandbox_enter(const struct pa_sandbox *cfg, char err[PA_SANDBOX_ERRLEN])
{
	uint64_t effective, permitted;
	const char *filter = "yes";
	bool dumpable = false;
	char caps[64];
	int rc;

	if (bound(cfg->capabilities) < 0)
		return fail("bounding set", err);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (caps_get(&effective, &permitted) < 0 || caps_set(permitted & cfg->capabilities) < 0)
		return fail("capset", err);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail("no-new-privs", err);
#ifdef PA_SANDBOX_ASAN
	filter = "no,sanitizer";
	dumpable = true;
	rc = 0;
#else
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail("dumpable", err);
	rc = pa_seccomp_load(cfg->allow);
	if (rc < 0 && rc != PA_ENOTSUP)
		return fail("seccomp", err);
	if (rc < 0)
		filter = "no,kernel";
#endif
	pa_log(rc < 0 ? PA_LOG_WARN : PA_LOG_INFO, "daemon.privileges",
	       "uid=%u gid=%u capabilities=%s no-new-privs=yes dumpable=%s seccomp=%s", (unsigned)geteuid(),
	       (unsigned)getegid(), caps_format(permitted & cfg->capabilities, caps, sizeof(caps)), dumpable ? "yes" : "no",
	       filter);
	return 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* Settings of the kernel with what they were before, in a network namespace of the test's own, which has its own net.ipv4. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/net_sysctl.h"
#include "unit/tmpdir.h"

TestSuite(net_sysctl, .timeout = 60);

#define REFLECT "net/ipv4/fwmark_reflect"
#define ACCEPT "net/ipv4/tcp_fwmark_accept"

static char *file_in(char dir[TMPDIR_LEN], char dst[512])
{
	cr_assert_eq(tmpdir_make(dir), 0);
	if (unshare(CLONE_NEWNET) < 0 || access("/proc/sys/" REFLECT, W_OK) < 0)
		cr_skip_test("needs root and network namespaces");
	(void)snprintf(dst, 512, "%s/sysctl.json", dir);
	return dst;
}

static int value_of(const char *name)
{
	char path[128];
	FILE *f;
	int v = -1;

	(void)snprintf(path, sizeof(path), "/proc/sys/%s", name);
	f = fopen(path, "re");
	cr_assert(f != NULL, "%s", path);
	v = fgetc(f) - '0';
	(void)fclose(f);
	return v;
}

static void put(const char *name, int v)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/sys/%s", name);
	f = fopen(path, "we");
	cr_assert(f != NULL, "%s", path);
	(void)fprintf(f, "%d", v);
	(void)fclose(f);
}

static void take(const char *file, const char *user, const char *name)
{
	char err[PA_SYSCTL_ERRLEN] = "";

	cr_assert_eq(pa_sysctl_take(file, user, name, "1", err), 0, "%s", err);
	cr_assert_eq(value_of(name), 1);
}

static void release(const char *file, const char *user)
{
	char err[PA_SYSCTL_ERRLEN] = "";

	cr_assert_eq(pa_sysctl_release(file, user, err), 0, "%s", err);
}

Test(net_sysctl, the_last_user_gives_it_back)
{
	char dir[TMPDIR_LEN], path[512], *file = file_in(dir, path);
	struct stat st;

	release(file, "eth0"); /* nobody has anything */
	put(ACCEPT, 1);
	take(file, "eth0", REFLECT);
	take(file, "eth0", ACCEPT);
	take(file, "eth0", REFLECT); /* a daemon that was killed, and is back */
	take(file, "wlan0", REFLECT);
	cr_assert(stat(file, &st) == 0 && (st.st_mode & 0777) == 0600);
	release(file, "eth0");
	cr_assert_eq(value_of(REFLECT), 1, "another needs it");
	cr_assert_eq(value_of(ACCEPT), 1, "it was so before");
	release(file, "wlan0");
	cr_assert_eq(value_of(REFLECT), 0);
	cr_assert(access(file, F_OK) < 0, "nothing is left to know");
	tmpdir_remove(dir);
}

Test(net_sysctl, what_another_has_changed_is_left_alone)
{
	char dir[TMPDIR_LEN], path[512], *file = file_in(dir, path);

	put(REFLECT, 1);
	take(file, "eth0", REFLECT);
	put(REFLECT, 0);
	release(file, "eth0");
	cr_assert_eq(value_of(REFLECT), 0, "1 was there before, but somebody wants 0 now");
	tmpdir_remove(dir);
}

Test(net_sysctl, failures_change_nothing)
{
	char dir[TMPDIR_LEN], path[512], *file = file_in(dir, path), err[PA_SYSCTL_ERRLEN];
	FILE *f;

	cr_assert_eq(pa_sysctl_take(file, "eth0", "net/ipv4/no_such_setting", "1", err), PA_ENOTFOUND);
	cr_assert(strstr(err, "no_such_setting") != NULL, "%s", err);
	cr_assert(access(file, F_OK) < 0);
	f = fopen(file, "we");
	cr_assert(f != NULL);
	(void)fputs("[1, 2", f);
	(void)fclose(f);
	cr_assert_eq(chmod(file, 0600), 0);
	cr_assert_eq(pa_sysctl_take(file, "eth0", REFLECT, "1", err), PA_EFORMAT);
	cr_assert(strstr(err, "remove it") != NULL, "%s", err);
	cr_assert_eq(value_of(REFLECT), 0);
	cr_assert_eq(pa_sysctl_release(file, "eth0", err), PA_EFORMAT);
	tmpdir_remove(dir);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* Reading /proc: where cgroup2 is mounted, and which cgroup a process is in. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/cgroup.h"

TestSuite(cgroup, .timeout = 60);

static int mount_of(const char *text, char *dst, size_t cap)
{
	return pa_cgroup_mount(text, strlen(text), dst, cap);
}

static int own_of(const char *text, char *dst, size_t cap)
{
	return pa_cgroup_own(text, strlen(text), dst, cap);
}

Test(cgroup, mounts)
{
	char dst[32] = "-";

	cr_assert_eq(mount_of("", dst, sizeof(dst)), PA_ENOTFOUND);
	cr_assert_eq(mount_of("cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n", dst, sizeof(dst)), PA_ENOTFOUND);
	cr_assert_eq(mount_of("cgroup2 /x tmpfs rw 0 0\n", dst, sizeof(dst)), PA_ENOTFOUND, "the name is not the type");
	cr_assert_str_eq(dst, "-");
	cr_assert_eq(mount_of("proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", dst, sizeof(dst)), 0);
	cr_assert_str_eq(dst, "/sys/fs/cgroup");
	cr_assert_eq(mount_of("cgroup /c cgroup rw 0 0\nnone /sys/fs/cgroup/unified cgroup2 rw 0 0", dst, sizeof(dst)), 0);
	cr_assert_str_eq(dst, "/sys/fs/cgroup/unified");
	cr_assert_eq(mount_of("c /hidden cgroup2 rw 0 0\nnone /seen cgroup2 rw 0 0\nproc /p proc rw 0 0\n", dst, sizeof(dst)), 0);
	cr_assert_str_eq(dst, "/seen");
	cr_assert_eq(mount_of("c /a\\040b\\134c cgroup2 rw 0 0", dst, sizeof(dst)), 0);
	cr_assert_str_eq(dst, "/a b\\c");
	cr_assert_eq(mount_of("c /a\\04", dst, sizeof(dst)), PA_ENOTFOUND);
	cr_assert_eq(mount_of("c /a\\04 cgroup2", dst, sizeof(dst)), 0);
	cr_assert_eq(mount_of("c /sys/fs/cgroup cgroup2 rw", dst, 14), PA_ETRUNC);
}

Test(cgroup, own)
{
	char dst[64] = "-";

	cr_assert_eq(own_of("", dst, sizeof(dst)), PA_ENOTFOUND);
	cr_assert_eq(own_of("9:name=systemd:/\n", dst, sizeof(dst)), PA_ENOTFOUND);
	cr_assert_eq(own_of("0::\n", dst, sizeof(dst)), PA_ENOTFOUND);
	cr_assert_eq(own_of("0::/../x\n", dst, sizeof(dst)), PA_EFORMAT);
	cr_assert_eq(own_of("0::/..\n", dst, sizeof(dst)), PA_EFORMAT);
	cr_assert_eq(own_of("0::/a/..\n", dst, sizeof(dst)), PA_EFORMAT);
	cr_assert_eq(own_of("0::/a (deleted)\n", dst, sizeof(dst)), PA_EFORMAT);
	cr_assert_eq(own_of("0::relative\n", dst, sizeof(dst)), PA_EFORMAT);
	cr_assert_str_eq(dst, "-");
	cr_assert_eq(own_of("2:cpu:/\n0::/\n", dst, sizeof(dst)), 0);
	cr_assert_str_eq(dst, "/");
	cr_assert_eq(own_of("0::/user.slice/..x/session-3.scope", dst, sizeof(dst)), 0);
	cr_assert_str_eq(dst, "/user.slice/..x/session-3.scope");
	cr_assert_eq(own_of("0::/user.slice\n", dst, 11), PA_ETRUNC);
}

Test(cgroup, inside)
{
	cr_assert(pa_cgroup_inside("/pubaddr-pub0", "pubaddr-pub0"));
	cr_assert(pa_cgroup_inside("/a/pubaddr-pub0/b", "pubaddr-pub0"));
	cr_assert(!pa_cgroup_inside("/a/pubaddr-pub01", "pubaddr-pub0"));
	cr_assert(!pa_cgroup_inside("/a/xpubaddr-pub0", "pubaddr-pub0"));
	cr_assert(!pa_cgroup_inside("/", "pubaddr-pub0"));
}

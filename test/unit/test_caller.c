/* SPDX-License-Identifier: MPL-2.0 */
/* Who asks by a command socket is held, and nobody who got his number later is taken for him. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/ifname.h"
#include "tunnel/caller.h"

TestSuite(caller, .timeout = 60);
TestSuite(ifname, .timeout = 20);

static int started(const char *text, uint64_t *ret)
{
	return pa_caller_started(text, strlen(text), 100, ret);
}

Test(caller, when_a_process_started)
{
	static const char *const bad[] = {"", "1", "1 (a", "1 (a)", "1 (a) S 1 2", "1 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 ",
					  "1 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x 1",
					  "1 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99999999999999999999999"};
	uint64_t ms = 7;

	cr_assert_eq(started("12 (sh) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 12345 20 21\n", &ms), 0);
	cr_assert_eq(ms, 123450u);
	cr_assert_eq(started("12 (a) S 0 ) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 20\n", &ms), 0, "a name like the rest");
	cr_assert_eq(ms, 990u);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(started(bad[i], &ms), PA_EFORMAT, "%s", bad[i]);
	cr_assert_eq(ms, 990u);
}

Test(caller, one_that_is_younger_than_the_connection_is_another)
{
	uint64_t now = pa_now_get().boot_ms;
	pid_t child = fork();
	int fd;

	if (child == 0) {
		(void)pause();
		_exit(0);
	}
	fd = pa_caller_hold_pid(child, getuid(), now + 60000);
	cr_assert_geq(fd, 0);
	cr_assert(pa_caller_alive(fd));
	cr_assert_eq(pa_caller_hold_pid(child, getuid(), now > 20 ? now - 20 : 0), PA_EAUTH, "it started later");
	cr_assert_eq(pa_caller_hold_pid(child, getuid() + 1, now + 60000), PA_EAUTH, "another user's");
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_assert(!pa_caller_alive(fd));
	close(fd);
	cr_assert_eq(pa_caller_hold_pid(child, getuid(), now + 60000), PA_ENOTFOUND);
	cr_assert_eq(pa_caller_hold_pid(0, 0, now), PA_ENOTFOUND);
}

Test(ifname, names_mean_only_themselves)
{
	static const char *const good[] = {"eth0", "pub0", "a", "abcdefghijklmno", "eth0.100", "br-lan", "wlp3s0_x", "tun@x", "a+b=c", "..."};
	static const char *const bad[] = {"", ".", "..", "abcdefghijklmnop", "a b", "a/b", "a*", "*", "a\"", "a\n", "a;b", "a%d", "a:1", "\\", "$x", "{", "\xc3\xa4"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert(pa_ifname_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert(!pa_ifname_valid(bad[i]), "%s", bad[i]);
}

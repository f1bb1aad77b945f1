/* SPDX-License-Identifier: MPL-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/edge_notify.h"
#include "test/unit/tmpdir.h"

TestSuite(edge_notify, .timeout = 20);

static int listen_at(const char *name, size_t len)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, name, len);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sun, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	return fd;
}

static void expect(int fd, const char *want)
{
	char text[64] = "";

	cr_assert_eq(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), (ssize_t)strlen(want));
	cr_assert_str_eq(text, want);
}

Test(edge_notify, by_path)
{
	char dir[TMPDIR_LEN], path[TMPDIR_LEN + 16];
	int fd;

	cr_assert_eq(tmpdir_make(dir), 0);
	(void)snprintf(path, sizeof(path), "%s/notify", dir);
	fd = listen_at(path, strlen(path));
	cr_assert_eq(setenv("NOTIFY_SOCKET", path, 1), 0);
	pa_notify("READY=1");
	expect(fd, "READY=1");
	close(fd);
	tmpdir_remove(dir);
	pa_notify("STOPPING=1"); /* to nobody */
}

Test(edge_notify, in_the_abstract_name_space)
{
	char name[64];
	int n = snprintf(name, sizeof(name), "@pubaddr-test-%ld", (long)getpid()), fd;

	cr_assert_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
	name[0] = '\0';
	fd = listen_at(name, (size_t)n);
	pa_notify("READY=1");
	expect(fd, "READY=1");
	close(fd);
}

Test(edge_notify, without_a_manager_nothing_happens)
{
	char longer[300];

	(void)unsetenv("NOTIFY_SOCKET");
	pa_notify("READY=1");
	memset(longer, '/', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	(void)setenv("NOTIFY_SOCKET", longer, 1);
	pa_notify("READY=1");
	(void)setenv("NOTIFY_SOCKET", "relative", 1);
	pa_notify("READY=1");
}

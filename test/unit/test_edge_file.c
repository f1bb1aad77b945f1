/* SPDX-License-Identifier: MPL-2.0 */
/* Small files: what counts as secret, that a reader never sees a half, and that a key is never overwritten. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "test/unit/tmpdir.h"

static char dir[TMPDIR_LEN], path[TMPDIR_LEN + 32], err[PA_FILE_ERRLEN];

static void setup(void)
{
	cr_assert_eq(tmpdir_make(dir), 0);
	(void)snprintf(path, sizeof(path), "%s/file", dir);
}

static void teardown(void)
{
	tmpdir_remove(dir);
}

TestSuite(edge_file, .init = setup, .fini = teardown, .timeout = 20);

static void put(const char *text, mode_t mode)
{
	cr_assert_eq(pa_file_write(path, text, strlen(text), mode, err), 0, "%s", err);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	cr_assert_eq(stat(name, &st), 0, "%s", name);
	return st.st_mode & 07777;
}

static void expect_content(const char *name, const char *want)
{
	char *text = NULL;
	size_t len = 0;

	cr_assert_eq(pa_file_read(name, false, &text, &len, err), 0, "%s", err);
	cr_assert_eq(len, strlen(want));
	cr_assert_str_eq(text, want);
	free(text);
}

static void expect_refused(bool secret, int code, const char *what)
{
	char *text = NULL;
	size_t len;

	cr_assert_eq(pa_file_read(path, secret, &text, &len, err), code, "%s", err);
	cr_assert_null(text);
	cr_assert_eq(strncmp(err, path, strlen(path)), 0, "%s", err);
	cr_assert_not_null(strstr(err, what), "'%s' does not contain '%s'", err, what);
}

Test(edge_file, comes_back_with_its_mode)
{
	mode_t old = umask(077);

	put("one\n", 0644);
	expect_content(path, "one\n");
	cr_assert_eq(mode_of(path), 0644u, "the mode is what was asked for, whatever the umask");
	(void)umask(0);
	put("", 0600);
	expect_content(path, "");
	cr_assert_eq(mode_of(path), 0600u);
	(void)umask(old);
	cr_assert_eq(tmpdir_count(dir), 1u, "no temporary file is left");
}

Test(edge_file, secrets_are_for_their_owner_only)
{
	static const mode_t open_modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0666};
	char *text = NULL;
	size_t len;

	put("key\n", 0600);
	for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
		cr_assert_eq(chmod(path, open_modes[i]), 0);
		expect_refused(true, PA_EAUTH, "run: chmod 600");
		expect_content(path, "key\n");
	}
	cr_assert_eq(chmod(path, 0400), 0);
	cr_assert_eq(pa_file_read(path, true, &text, &len, err), 0, "%s", err);
	free(text);
}

Test(edge_file, a_secret_of_somebody_else)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	put("key\n", 0600);
	cr_assert_eq(chown(path, 65534, (gid_t)-1), 0);
	expect_refused(true, PA_EAUTH, "belongs to uid 65534");
	expect_content(path, "key\n");
}

Test(edge_file, what_cannot_be_read)
{
	expect_refused(false, PA_ENOTFOUND, "No such file");
	cr_assert_eq(mkdir(path, 0755), 0);
	expect_refused(false, PA_EIO, "not a regular file");
	cr_assert_eq(rmdir(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	expect_refused(false, PA_EIO, "not a regular file"); /* and does not wait for a writer */
	cr_assert_eq(unlink(path), 0);
	put("", 0600);
	cr_assert_eq(truncate(path, PA_FILE_MAX + 1), 0);
	expect_refused(false, PA_EIO, "larger than");
}

Test(edge_file, the_largest_file)
{
	char *text = NULL;
	size_t len = 0;

	put("x", 0600);
	cr_assert_eq(truncate(path, PA_FILE_MAX), 0);
	cr_assert_eq(pa_file_read(path, true, &text, &len, err), 0);
	cr_assert(len == PA_FILE_MAX && text[0] == 'x' && text[len] == '\0');
	free(text);
}

Test(edge_file, a_reader_keeps_the_old_content)
{
	char buf[8] = "";
	int fd;

	put("old", 0600);
	fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0);
	put("new", 0600);
	cr_assert_eq(read(fd, buf, sizeof(buf)), 3);
	cr_assert_str_eq(buf, "old", "the old file was changed under its reader");
	close(fd);
	expect_content(path, "new");
}

Test(edge_file, a_write_that_fails_changes_nothing)
{
	struct rlimit small = {10, 10};

	put("old", 0600);
	cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	cr_assert_eq(pa_file_write(path, "0123456789abcdef", 16, 0600, err), PA_EIO);
	cr_assert_not_null(strstr(err, "cannot write"), "%s", err);
	expect_content(path, "old");
	cr_assert_eq(tmpdir_count(dir), 1u, "a temporary file is left");
}

Test(edge_file, nowhere_to_write)
{
	char name[TMPDIR_LEN + 32], *too_long = malloc(5000);

	(void)snprintf(name, sizeof(name), "%s/none/file", dir);
	cr_assert_eq(pa_file_write(name, "x", 1, 0600, err), PA_ENOTFOUND);
	cr_assert_not_null(strstr(err, "none/file"), "%s", err);
	cr_assert_eq(mkdir(path, 0755), 0);
	cr_assert_eq(pa_file_write(path, "x", 1, 0600, err), PA_EIO, "a folder is in the way");
	cr_assert_eq(tmpdir_count(dir), 1u);
	cr_assert_not_null(too_long);
	memset(too_long, 'a', 4999);
	too_long[4999] = '\0';
	cr_assert_eq(pa_file_write(too_long, "x", 1, 0600, err), PA_EINVAL);
	cr_assert_eq(pa_dir_create(too_long, 0755, err), PA_EINVAL);
	free(too_long);
}

Test(edge_file, create_never_overwrites)
{
	char target[TMPDIR_LEN + 32];

	cr_assert_eq(pa_file_create(path, "one", 3, 0600, err), 0, "%s", err);
	cr_assert_eq(mode_of(path), 0600u);
	cr_assert_eq(pa_file_create(path, "two", 3, 0600, err), PA_EEXIST);
	cr_assert_eq(strncmp(err, path, strlen(path)), 0, "%s", err);
	expect_content(path, "one");
	cr_assert_eq(unlink(path), 0);
	(void)snprintf(target, sizeof(target), "%s/target", dir);
	cr_assert_eq(symlink(target, path), 0);
	cr_assert_eq(pa_file_create(path, "two", 3, 0600, err), PA_EEXIST, "a link to nothing is there, too");
	cr_assert_eq(access(target, F_OK), -1);
	cr_assert_eq(tmpdir_count(dir), 1u);
}

Test(edge_file, write_replaces_a_link_not_its_target)
{
	char target[TMPDIR_LEN + 32];

	put("kept", 0600);
	(void)snprintf(target, sizeof(target), "%s/target", dir);
	cr_assert_eq(rename(path, target), 0);
	cr_assert_eq(symlink(target, path), 0);
	put("new", 0600);
	expect_content(target, "kept");
	expect_content(path, "new");
}

Test(edge_file, folders_with_their_parents)
{
	char name[TMPDIR_LEN + 32];

	(void)snprintf(name, sizeof(name), "%s/a/b/c", dir);
	cr_assert_eq(pa_dir_create(name, 0700, err), 0, "%s", err);
	cr_assert_eq(mode_of(name), 0700u);
	cr_assert_eq(pa_dir_create(name, 0700, err), 0, "it may be there already");
	(void)snprintf(name, sizeof(name), "%s/a", dir);
	cr_assert_eq(mode_of(name), 0755u);
	(void)snprintf(name, sizeof(name), "%s/d//e/", dir);
	cr_assert_eq(pa_dir_create(name, 0700, err), 0, "%s", err);
	cr_assert_eq(mode_of(name), 0700u, "a slash at the end changes nothing");
}

Test(edge_file, no_folder_where_a_file_is)
{
	char name[TMPDIR_LEN + 64];

	put("x", 0600);
	cr_assert_eq(pa_dir_create(path, 0700, err), PA_EIO);
	cr_assert_not_null(strstr(err, "not a folder"), "%s", err);
	(void)snprintf(name, sizeof(name), "%s/below", path);
	cr_assert_eq(pa_dir_create(name, 0700, err), PA_EIO, "%s", err);
	cr_assert_eq(pa_dir_create("", 0700, err), PA_EINVAL);
}

Test(edge_file, keyring)
{
	static const char line[] = "client 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
	struct pa_keyring *ring = NULL;

	cr_assert_eq(pa_keyring_load(path, &ring, err), PA_ENOTFOUND);
	put(line, 0644);
	cr_assert_eq(pa_keyring_load(path, &ring, err), PA_EAUTH);
	cr_assert_not_null(strstr(err, "chmod 600"), "%s", err);
	put("\nclient 00\n", 0600);
	cr_assert_eq(pa_keyring_load(path, &ring, err), PA_EFORMAT);
	cr_assert_not_null(strstr(err, "file:2: "), "%s", err);
	cr_assert_null(ring);
	put(line, 0600);
	cr_assert_eq(pa_keyring_load(path, &ring, err), 0, "%s", err);
	cr_assert_not_null(pa_keyring_first(ring, PA_KEY_CLIENT));
	pa_keyring_free(ring);
}

Test(edge_clock, counts_milliseconds)
{
	struct pa_now a = pa_now_get(), b;
	uint64_t t = (uint64_t)time(NULL);

	b = pa_now_get();
	cr_assert_leq(a.boot_ms, b.boot_ms);
	/* time(2) is up to a tick of the kernel behind. */
	cr_assert(a.unix_ms / 1000 <= t + 1 && t <= b.unix_ms / 1000 + 1);
	cr_assert_lt(b.boot_ms - a.boot_ms, 10000u);
}

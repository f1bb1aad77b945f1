/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_TEMPDIR_H
#define PA_TEST_TEMPDIR_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEMPDIR_MAX 64

/* A new folder for one test; dst gets its name. */
static inline void tempdir_make(char dst[TEMPDIR_MAX])
{
	(void)snprintf(dst, TEMPDIR_MAX, "/tmp/pubaddr-test.XXXXXX");
	cr_assert_not_null(mkdtemp(dst));
}

/* Removes the folder and the files in it; it must have no folders inside. */
static inline void tempdir_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[TEMPDIR_MAX + 300];

	cr_assert_not_null(d);
	while ((e = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		(void)unlink(path);
	}
	closedir(d);
	cr_assert_eq(rmdir(dir), 0);
}

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TEST_TMPDIR_H
#define PA_TEST_TMPDIR_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TMPDIR_LEN 64

/* Makes a folder of its own that others may enter (tests drop privileges), and returns 0. dst: its name. */
static inline int tmpdir_make(char dst[TMPDIR_LEN])
{
	const char *base = getenv("TMPDIR");

	/* run-unit gives a folder that it removes, for a test that fails does not come to its own clean-up. */
	(void)snprintf(dst, TMPDIR_LEN, "%.40s/pubaddr-XXXXXX", base != NULL ? base : "/tmp");
	return mkdtemp(dst) == NULL || chmod(dst, 0755) < 0 ? -1 : 0;
}

/* How many entries a folder has. */
static inline unsigned tmpdir_count(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	if (d != NULL)
		closedir(d);
	return n;
}

/* Removes a folder and all in it. */
static inline void tmpdir_remove(const char *path)
{
	DIR *d = opendir(path);
	char name[512];
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (unlink(name) < 0)
			tmpdir_remove(name);
	}
	if (d != NULL)
		closedir(d);
	(void)rmdir(path);
}

#endif

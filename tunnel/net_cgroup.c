/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/edge_file.h"
#include "common/err.h"
#include "tunnel/cgroup.h"

#define MOUNTS_MAX 262144
#define DEPTH_MAX 16 /* of groups below the root, in a sweep */

const char *pa_cgroup_name(const char *device, char dst[PA_CGROUP_NAMELEN])
{
	unsigned long number = 0;
	struct stat st;

	if (stat("/proc/self/ns/net", &st) == 0)
		number = (unsigned long)st.st_ino;
	(void)snprintf(dst, PA_CGROUP_NAMELEN, "pubaddr-%.15s-%lu", device, number);
	return dst;
}

static int fail(int rc, const char *text, char err[PA_CGROUP_ERRLEN])
{
	(void)snprintf(err, PA_CGROUP_ERRLEN, "%s", text);
	return rc;
}

static int fail_errno(const char *path, const char *what, char err[PA_CGROUP_ERRLEN])
{
	(void)snprintf(err, PA_CGROUP_ERRLEN, "%.200s: %s: %s", path, what, strerror(errno));
	return PA_EIO;
}

static int find_mount(char *dst, size_t cap)
{
	static const char path[] = "/proc/self/mounts";
	char text[MOUNTS_MAX];
	int n = pa_proc_read(path, text, sizeof(text));

	return n < 0 ? n : pa_cgroup_mount(text, (size_t)n, dst, cap);
}

/* Folder of the group that the process is in (self: pid 0), and the part of it below the mount. */
static int find_group(pid_t pid, char folder[PATH_MAX], const char **ret_own, char err[PA_CGROUP_ERRLEN])
{
	char mount[PATH_MAX / 2], own[PATH_MAX / 2], proc[40], text[8192];
	int n;

	if (find_mount(mount, sizeof(mount)) < 0)
		return fail(PA_ENOTSUP, "no control groups of version 2 are mounted; see cgroups(7)", err);
	if (pid > 0)
		(void)snprintf(proc, sizeof(proc), "/proc/%d/cgroup", (int)pid);
	else
		(void)snprintf(proc, sizeof(proc), "/proc/self/cgroup");
	n = pa_proc_read(proc, text, sizeof(text));
	if (n < 0)
		return fail(PA_ENOTFOUND, "cannot read the program's control group in /proc", err);
	n = pa_cgroup_own(text, (size_t)n, own, sizeof(own));
	if (n < 0)
		return fail(n, n == PA_EFORMAT ? "the program's control group is outside of what the daemon sees; is it in a container?"
					       : "the program is in no control group of version 2", err);
	if (strcmp(own, "/") == 0)
		own[0] = '\0';
	(void)snprintf(folder, PATH_MAX, "%s%s", mount, own);
	*ret_own = folder + strlen(mount);
	return 0;
}

static int write_pid(int group, const char *folder, pid_t pid, char err[PA_CGROUP_ERRLEN])
{
	int fd = openat(group, "./cgroup.procs", O_WRONLY | O_CLOEXEC), rc = 0;
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", (int)pid); /* 0: who writes */

	if (fd < 0 || write(fd, text, (size_t)n) != n)
		rc = fail_errno(folder, "cannot move the program there", err);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Makes the group where it is absent, and opens it. Returns its descriptor. */
static int open_group(const char *folder, char err[PA_CGROUP_ERRLEN])
{
	int fd;

	if (mkdir(folder, 0755) < 0 && errno != EEXIST) {
		int denied = errno == EACCES || errno == EPERM;

		(void)fail_errno(folder, "cannot make the control group", err);
		return denied ? PA_EDENIED : PA_EIO;
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : fail_errno(folder, "cannot open", err);
}

/*
 * The process is in a group of our name already: of us and marked; below one; or made by its owner, who then asks for the mark. It
 * must be his: a mark for a group of somebody else's would send that one's traffic elsewhere.
 */
static int mark_own(const struct pa_mark *m, const char *folder, const char *name, uid_t uid, char err[PA_CGROUP_ERRLEN])
{
	const char *last = strrchr(folder, '/');
	struct stat st;
	int fd, rc = 0;

	if (last == NULL || strcmp(last + 1, name) != 0)
		return 0;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		rc = fail_errno(folder, "cannot open", err);
	else if (st.st_uid != 0 && st.st_uid != uid)
		rc = fail(PA_EDENIED, "the program is in a control group of another user", err);
	else if (pa_mark_attach(m, fd) < 0)
		rc = fail_errno(folder, "cannot mark the group's sockets", err);
	if (fd >= 0)
		close(fd);
	return rc;
}

int pa_cgroup_put(const struct pa_mark *m, const char *device, pid_t pid, uid_t uid, bool *ret_own, char err[PA_CGROUP_ERRLEN])
{
	char folder[PATH_MAX], name[PA_CGROUP_NAMELEN];
	const char *own;
	size_t n;
	int fd, rc = find_group(pid, folder, &own, err);

	*ret_own = false;
	if (rc < 0)
		return rc;
	(void)pa_cgroup_name(device, name);
	if (pa_cgroup_inside(own, name))
		return mark_own(m, folder, name, uid, err);
	n = strlen(folder);
	if ((size_t)snprintf(folder + n, sizeof(folder) - n, "/%s", name) >= sizeof(folder) - n)
		return fail(PA_EIO, "the name of the program's control group is too long", err);
	fd = open_group(folder, err);
	if (fd == PA_EDENIED)
		*ret_own = true;
	if (fd < 0)
		return fd;
	if (pa_mark_attach(m, fd) < 0)
		rc = fail_errno(folder, "cannot mark the group's sockets", err);
	else
		rc = write_pid(fd, folder, pid, err);
	close(fd);
	return rc;
}

int pa_cgroup_enter(const char *device, char err[PA_CGROUP_ERRLEN])
{
	char folder[PATH_MAX], name[PA_CGROUP_NAMELEN];
	const char *own;
	size_t n;
	int fd, rc = find_group(0, folder, &own, err);

	if (rc < 0)
		return rc;
	n = strlen(folder);
	(void)snprintf(folder + n, sizeof(folder) - n, "/%s", pa_cgroup_name(device, name));
	fd = open_group(folder, err);
	if (fd < 0)
		return fd;
	rc = write_pid(fd, folder, 0, err);
	close(fd);
	return rc;
}

void pa_cgroup_prepare(const char *device)
{
	char folder[PATH_MAX], name[PA_CGROUP_NAMELEN], err[PA_CGROUP_ERRLEN];
	const char *own;
	size_t n;
	int fd;

	if (find_group(0, folder, &own, err) < 0 || *own != '\0')
		return;
	n = strlen(folder);
	(void)snprintf(folder + n, sizeof(folder) - n, "/%s", pa_cgroup_name(device, name));
	fd = open_group(folder, err);
	if (fd >= 0)
		close(fd);
}

static void sweep(char folder[PATH_MAX], const char *name, unsigned depth)
{
	size_t n = strlen(folder);
	DIR *dir = opendir(folder);
	const struct dirent *e;

	if (dir == NULL)
		return;
	while ((e = readdir(dir)) != NULL) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
		    (size_t)snprintf(folder + n, PATH_MAX - n, "/%s", e->d_name) >= PATH_MAX - n)
			continue;
		if (depth < DEPTH_MAX)
			sweep(folder, name, depth + 1);
		if (strcmp(e->d_name, name) == 0)
			(void)rmdir(folder); /* refused as long as there is a process in it */
	}
	folder[n] = '\0';
	(void)closedir(dir);
}

void pa_cgroup_sweep(const char *device)
{
	char folder[PATH_MAX], name[PA_CGROUP_NAMELEN];

	if (find_mount(folder, sizeof(folder)) == 0)
		sweep(folder, pa_cgroup_name(device, name), 0);
}

/* The kernel says whether there is a process in a group or below it. */
static bool is_populated(const char *folder)
{
	char path[PATH_MAX], text[256];

	return (size_t)snprintf(path, sizeof(path), "%s/cgroup.events", folder) < sizeof(path) &&
	       pa_proc_read(path, text, sizeof(text)) > 0 && strstr(text, "populated 1") != NULL;
}

static bool used(char folder[PATH_MAX], const char *name, unsigned depth)
{
	size_t n = strlen(folder);
	DIR *dir = opendir(folder);
	const struct dirent *e;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (e = readdir(dir)) != NULL) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
		    (size_t)snprintf(folder + n, PATH_MAX - n, "/%s", e->d_name) >= PATH_MAX - n)
			continue;
		if (strcmp(e->d_name, name) == 0)
			found = is_populated(folder);
		else if (depth < DEPTH_MAX)
			found = used(folder, name, depth + 1);
	}
	folder[n] = '\0';
	(void)closedir(dir);
	return found;
}

bool pa_cgroup_used(const char *device)
{
	char folder[PATH_MAX], name[PA_CGROUP_NAMELEN];

	return find_mount(folder, sizeof(folder)) == 0 && used(folder, pa_cgroup_name(device, name), 0);
}

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CGROUP_H
#define PA_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

/* Where control groups are, from what /proc says; see cgroups(7). Pure; any thread. */

/*
 * The last mount of cgroup2 in the text of /proc/self/mounts, which nothing later can hide, to dst of cap bytes. PA_ENOTFOUND,
 * PA_ETRUNC.
 */
int pa_cgroup_mount(const char *mounts, size_t len, char *dst, size_t cap);
/*
 * A process's own cgroup of version 2, in the text of /proc/PID/cgroup: "/" or "/a/b". PA_ENOTFOUND; PA_EFORMAT: it is outside
 * of what we see (another cgroup namespace), or being removed; PA_ETRUNC.
 */
int pa_cgroup_own(const char *text, size_t len, char *dst, size_t cap);
/* True if path is, or is inside, a cgroup with that name. */
bool pa_cgroup_inside(const char *path, const char *name);

#endif

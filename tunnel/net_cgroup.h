/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_CGROUP_H
#define PA_NET_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "tunnel/net_mark.h"

/*
 * The control groups whose programs use the tunnel: each is a child, with our name, of the group that a program was in, so that
 * it keeps the limits of its session or service. Version 2 of cgroups, wherever it is mounted. Blocking; one thread.
 */
#define PA_CGROUP_ERRLEN 320
#define PA_CGROUP_NAMELEN 48

/*
 * "pubaddr-DEVICE-N", with the number of our network namespace, for the tree of groups is shared by all of them. Returns dst.
 */
const char *pa_cgroup_name(const char *device, char dst[PA_CGROUP_NAMELEN]);
/*
 * Puts process pid, which belongs to uid, into such a group, which is made as needed and marked. *ret_own: only the owner of the
 * parent group can do it, which was delegated to him; he may make the child and move there by himself (pa_cgroup_enter), and ask
 * once more. 0; PA_EDENIED, PA_ENOTSUP, PA_ENOTFOUND, PA_EIO with what and the remedy in err.
 */
int pa_cgroup_put(const struct pa_mark *m, const char *device, pid_t pid, uid_t uid, bool *ret_own, char err[PA_CGROUP_ERRLEN]);
/* The same for the calling process by its own rights, without a mark: for the owner of a delegated group. */
int pa_cgroup_enter(const char *device, char err[PA_CGROUP_ERRLEN]);
/*
 * Before the sandbox: where programs are in the root group, which only a right that the daemon gives up can write to, makes its
 * child. That one stays when the daemon stops, empty; a sweep with the right to it removes it.
 */
void pa_cgroup_prepare(const char *device);
/* True if a program is in one of our groups, or below it. */
bool pa_cgroup_used(const char *device);
/* Removes those of our groups that are empty. Groups that are used, and their mark, stay. */
void pa_cgroup_sweep(const char *device);

#endif

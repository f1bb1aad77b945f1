/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_MARK_H
#define PA_NET_MARK_H

#include <stdint.h>

/*
 * Marks every IPv4 and IPv6 socket that the processes of a control group make, when they make it: before the socket has a route
 * or a source, so that a rule on the mark decides both (a mark that the packet filter sets comes after the source was chosen).
 * A BPF program of four instructions, attached to the cgroup; it stays with the cgroup when we are gone.
 */
struct pa_mark;

#define PA_MARK_ERRLEN 192

/*
 * Loads the program: needs CAP_BPF and CAP_NET_ADMIN, hence before the sandbox. PA_EDENIED, PA_ENOTSUP, PA_ENOMEM; err says what and
 * the remedy.
 */
int pa_mark_new(uint32_t mark, struct pa_mark **ret, char err[PA_MARK_ERRLEN]);
/* NULL is fine. */
void pa_mark_free(struct pa_mark *m);
/* To the cgroup of version 2 whose folder cgroup_fd is, in place of an earlier one of ours; needs CAP_NET_ADMIN. PA_EIO; errno tells. */
int pa_mark_attach(const struct pa_mark *m, int cgroup_fd);

#endif

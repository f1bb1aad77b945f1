/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_SYSCTL_H
#define PA_NET_SYSCTL_H

/*
 * Kernel settings of the whole host (/proc/sys) that a daemon needs, with what they were before: in a file, so that they come back
 * also after a kill, and with a list of who needs them, since two daemons may need the same. What somebody else has changed
 * meanwhile is left alone in the end. The file is locked while it is used; needs root or CAP_NET_ADMIN for names below net.
 */
#define PA_SYSCTL_ERRLEN 256

/*
 * Sets name ("net/ipv4/fwmark_reflect") to value (at most 15 characters) for user (at most 15), who may have it already. file is
 * made if absent, mode 0600. PA_ENOTFOUND (the kernel has no such setting), PA_EDENIED, PA_EIO or PA_EFORMAT (the file is damaged)
 * with what and remedy in err; then nothing has changed.
 */
int pa_sysctl_take(const char *file, const char *user, const char *name, const char *value, char err[PA_SYSCTL_ERRLEN]);
/*
 * Everything that user has: given back, or left to the other users. A file that is absent, and a user who has nothing, are fine;
 * with the last user the file goes. On failure, err says what; the rest has been given back.
 */
int pa_sysctl_release(const char *file, const char *user, char err[PA_SYSCTL_ERRLEN]);

#endif

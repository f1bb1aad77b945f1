/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_SECCOMP_H
#define PA_EDGE_SECCOMP_H

/* The inside of the sandbox (edge_sandbox.h): the list of system calls. */

#if defined(__SANITIZE_ADDRESS__)
#define PA_SANDBOX_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PA_SANDBOX_ASAN 1
#endif
#endif

/*
 * No io_uring from now on: io_uring_setup(2) fails with ENOSYS. Sets no-new-privs. 0; PA_ENOTSUP: the kernel has no seccomp; PA_EIO,
 * PA_ENOMEM.
 */
int pa_seccomp_no_io_uring(void);
/* Allows what allow (PA_SANDBOX_...) says and no more, for good. 0; PA_ENOTSUP: the kernel has no seccomp; PA_EIO, PA_ENOMEM. */
int pa_seccomp_load(unsigned allow);

#endif

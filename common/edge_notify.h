/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_EDGE_NOTIFY_H
#define PA_EDGE_NOTIFY_H

/*
 * Tells the service manager how the daemon is (sd_notify(3), NOTIFY_SOCKET), if there is one that asked for it: "READY=1" once
 * it serves, "STOPPING=1" when it ends. Never blocks and never fails: a service manager that does not listen is its own
 * trouble. Any thread.
 */
void pa_notify(const char *state);

#endif

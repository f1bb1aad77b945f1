/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PUBADDR_CMD_H
#define PA_PUBADDR_CMD_H

#include <stdbool.h>

/* The commands of pubaddr(1). Each prints and returns the exit code: 0, 1 (no, or failed), 2 (wrong usage). */
struct pa_pubaddr_opts {
	bool json;
	const char *run_dir, *key_file;
	bool sigpipe_ignored; /* by who started us */
	int argc; /* what follows the command's name */
	char **argv;
};

int pa_pubaddr_status(const struct pa_pubaddr_opts *o);
/* These read their own options from argv. exec does not return if the program could be started. */
int pa_pubaddr_diagnose(const struct pa_pubaddr_opts *o); /* exit code: 0 nothing worse than notes, 3 warnings, 1 errors */
int pa_pubaddr_expose(const struct pa_pubaddr_opts *o);
int pa_pubaddr_exec(const struct pa_pubaddr_opts *o);
/*
 * exec --relay: asks the daemon whose command socket is at path for the relay, and sets the environment for the program to become; udp:
 * its UDP goes there, too. 0, or 1 after a message.
 */
int pa_pubaddr_relay(const char *path, bool udp);
int pa_pubaddr_mode(const struct pa_pubaddr_opts *o);
int pa_pubaddr_key(const struct pa_pubaddr_opts *o);
int pa_pubaddr_dhclient_conf(const struct pa_pubaddr_opts *o);
int pa_pubaddr_dhcpcd_conf(const struct pa_pubaddr_opts *o);
int pa_pubaddr_udhcpc_args(const struct pa_pubaddr_opts *o);

#endif

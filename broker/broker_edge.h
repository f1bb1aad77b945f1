/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_EDGE_H
#define PA_BROKER_EDGE_H

#include <stdbool.h>

/*
 * Runs the broker by this configuration file until SIGTERM or SIGINT; SIGHUP reads the file again. debug: log everything,
 * whatever log-level says. Logs what goes wrong. Returns the exit code of the program (common/edge_daemon.h). Main thread only.
 */
int pa_broker_run(const char *file, bool debug);

#endif

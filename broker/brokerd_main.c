/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr-brokerd: owns pools and leases of public addresses. */
#include <stdio.h>

#include "broker/broker_edge.h"
#include "broker/paths.h"
#include "broker/setup.h"
#include "common/cred.h"
#include "common/edge_daemon.h"
#include "common/log.h"

static const struct pa_daemon brokerd = {.program = "pubaddr-brokerd", .config = PA_BROKERD_CONF};

static int test(const char *file)
{
	char err[PA_CONF_ERRLEN];

	if (pa_setup_test(file, err) < 0) {
		fprintf(stderr, "%s: %s\n", brokerd.program, err);
		return PA_EXIT_USAGE;
	}
	printf("%s: configuration and keys are good\n", file);
	return PA_EXIT_OK;
}

int main(int argc, char **argv)
{
	struct pa_daemon_options o;
	int rc = pa_daemon_parse(&brokerd, argc, argv, &o);

	if (rc >= 0)
		return rc;
	pa_log_init(brokerd.program, PA_LOG_INFO);
	if (pa_cred_init() < 0) {
		fprintf(stderr, "%s: the system has no random numbers\n", brokerd.program);
		return PA_EXIT_FAILED;
	}
	return o.test ? test(o.config) : pa_broker_run(o.config, o.debug);
}

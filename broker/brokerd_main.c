/* SPDX-License-Identifier: MPL-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker_edge.h"
#include "broker/paths.h"
#include "broker/setup.h"
#include "common/cred.h"
#include "common/log.h"

static void usage(FILE *f)
{
	fprintf(f, "usage: pubaddr-brokerd [-dhtV] [-c FILE]\n"
		   "  -c FILE  configuration (default: " PA_BROKERD_CONF ")\n"
		   "  -t       test the configuration and the keys it names, and exit\n"
		   "  -d       log everything\n"
		   "  -V       print the version and exit\n"
		   "  -h       print this and exit\n");
}

static int test_config(const char *file)
{
	char err[PA_CONF_ERRLEN];

	if (pa_setup_test(file, err) < 0) {
		fprintf(stderr, "pubaddr-brokerd: %s\n", err);
		return PA_EXIT_USAGE;
	}
	printf("%s: configuration and keys are good\n", file);
	return PA_EXIT_OK;
}

int main(int argc, char **argv)
{
	const char *file = PA_BROKERD_CONF;
	bool test = false, debug = false;
	int opt;

	while ((opt = getopt(argc, argv, "c:dhtV")) != -1) {
		switch (opt) {
		case 'c':
			file = optarg;
			break;
		case 'd':
			debug = true;
			break;
		case 't':
			test = true;
			break;
		case 'V':
			printf("pubaddr-brokerd %s\n", PA_VERSION);
			return PA_EXIT_OK;
		case 'h':
			usage(stdout);
			return PA_EXIT_OK;
		default:
			usage(stderr);
			return PA_EXIT_USAGE;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "pubaddr-brokerd: unexpected argument '%s'\n", argv[optind]);
		usage(stderr);
		return PA_EXIT_USAGE;
	}
	pa_log_init("pubaddr-brokerd", PA_LOG_INFO);
	if (pa_cred_init() < 0) {
		fprintf(stderr, "pubaddr-brokerd: the system has no random numbers\n");
		return PA_EXIT_FAILED;
	}
	return test ? test_config(file) : pa_broker_run(file, debug);
}

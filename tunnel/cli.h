/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CLI_H
#define PA_CLI_H

#include <stdbool.h>

/* The command line that both daemons share. */
struct pa_cli {
	const char *config; /* -c */
	const char *iface;  /* -i; NULL where the program has none */
	bool test;	    /* -t */
	bool debug;	    /* -d */
	bool cleanup;	    /* --cleanup */
};

/*
 * Parses; ret holds the defaults before. wants_iface: -i is known and required. Returns -1 to go on, or the exit code after
 * -h, -V (0) or a usage error (2), which have been printed.
 */
int pa_cli_parse(int argc, char **argv, const char *program, bool wants_iface, struct pa_cli *ret);

#endif

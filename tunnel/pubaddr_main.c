/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr: the command for people on the host behind the NAT. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "tunnel/probe.h"
#include "tunnel/pubaddr_cmd.h"
#include "tunnel/tunneld_conf.h"

static const struct {
	const char *name, *help;
	int (*fn)(const struct pa_pubaddr_opts *o);
} commands[] = {
	{"status", "show address, gateway, mapped address, and what is wrong", pa_pubaddr_status},
	{"diagnose", "tell what is wrong and what to do; --lifetime SECONDS: try how long the NAT remembers", pa_pubaddr_diagnose},
	{"key", "print this host's public key", pa_pubaddr_key},
	{"dhclient-conf", "print the lines for dhclient.conf", pa_pubaddr_dhclient_conf},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *f)
{
	fprintf(f, "usage: pubaddr [--json] [--run-dir DIR] [--key-file FILE] COMMAND\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-14s %s\n", commands[i].name, commands[i].help);
}

static int run(struct pa_pubaddr_opts *o, int argc, char **argv)
{
	if (argc == 0) {
		usage(stderr);
		return 2;
	}
	o->argc = argc - 1;
	o->argv = argv + 1;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		if (o->argc > 0) {
			fprintf(stderr, "pubaddr: %s takes no arguments\n", argv[0]);
			return 2;
		}
		return commands[i].fn(o);
	}
	fprintf(stderr, "pubaddr: unknown command: %s\n", argv[0]);
	usage(stderr);
	return 2;
}

static bool parse_lifetime(const char *s, int *ret)
{
	char *end;
	long v = strtol(s, &end, 10);

	if (*s == '\0' || *end != '\0' || v < PA_PROBE_LIFE_MIN || v > PA_PROBE_DELAY_MAX) {
		fprintf(stderr, "pubaddr: --lifetime: expected %d to %d seconds, got \"%s\"\n", PA_PROBE_LIFE_MIN,
			PA_PROBE_DELAY_MAX, s);
		return false;
	}
	*ret = (int)v;
	return true;
}

int main(int argc, char **argv)
{
	static const struct option longopts[] = {{"json", no_argument, NULL, 'j'},
						 {"run-dir", required_argument, NULL, 'r'},
						 {"key-file", required_argument, NULL, 'k'},
						 {"lifetime", required_argument, NULL, 'l'},
					 {"version", no_argument, NULL, 'V'},
						 {"help", no_argument, NULL, 'h'},
						 {NULL, 0, NULL, 0}};
	struct pa_pubaddr_opts o = {.run_dir = PA_TUNNELD_RUN_DIR, .key_file = PA_TUNNELD_KEY_FILE};
	int c;

	(void)signal(SIGPIPE, SIG_IGN);
	while ((c = getopt_long(argc, argv, "hV", longopts, NULL)) != -1) {
		switch (c) {
		case 'j':
			o.json = true;
			break;
		case 'r':
			o.run_dir = optarg;
			break;
		case 'k':
			o.key_file = optarg;
			break;
		case 'l':
			if (!parse_lifetime(optarg, &o.lifetime))
				return 2;
			break;
		case 'V':
			printf("pubaddr %s\n", PACKAGE_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	return run(&o, argc - optind, argv + optind);
}

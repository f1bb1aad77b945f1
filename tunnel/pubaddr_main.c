/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr: the command for people on the host behind the NAT. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "tunnel/pubaddr_cmd.h"
#include "tunnel/tunneld_conf.h"

static const struct {
	const char *name, *help;
	int (*fn)(const struct pa_pubaddr_opts *o);
	bool own_options;
} commands[] = {
	{"status", "show address, gateway, mapped address, and what is wrong", pa_pubaddr_status, false},
	{"diagnose", "tell what is wrong and what to do", pa_pubaddr_diagnose, true},
	{"exec", "run a program that uses the public address; with --relay also where no UDP passes", pa_pubaddr_exec, true},
	{"expose", "let something come in to the public address", pa_pubaddr_expose, true},
	{"mode", "show or set which way this host's own connections take", pa_pubaddr_mode, true},
	{"key", "print this host's public key", pa_pubaddr_key, false},
	{"dhclient-conf", "print the lines for dhclient.conf", pa_pubaddr_dhclient_conf, false},
	{"dhcpcd-conf", "print the lines for dhcpcd.conf", pa_pubaddr_dhcpcd_conf, false},
	{"udhcpc-args", "print the options for udhcpc", pa_pubaddr_udhcpc_args, false},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *f)
{
	fprintf(f, "usage: pubaddr [--json] [--run-dir DIR] [--key-file FILE] COMMAND\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-14s %s\n", commands[i].name, commands[i].help);
}

/* Options of all commands, before the command's name or behind it. 0, or an exit code + 1. */
static int read_options(struct pa_pubaddr_opts *o, int argc, char **argv)
{
	static const struct option longopts[] = {{"json", no_argument, NULL, 'j'},
						 {"run-dir", required_argument, NULL, 'r'},
						 {"key-file", required_argument, NULL, 'k'},
						 {"version", no_argument, NULL, 'V'},
						 {"help", no_argument, NULL, 'h'},
						 {NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "+hV", longopts, NULL)) != -1) {
		switch (c) {
		case 'j':
			o->json = true;
			break;
		case 'r':
			o->run_dir = optarg;
			break;
		case 'k':
			o->key_file = optarg;
			break;
		case 'V':
			printf("pubaddr %s\n", PACKAGE_VERSION);
			return 1;
		case 'h':
			usage(stdout);
			return 1;
		default:
			usage(stderr);
			return 3;
		}
	}
	return 0;
}

static int run(struct pa_pubaddr_opts *o, int argc, char **argv)
{
	int rc;

	if (argc == 0) {
		usage(stderr);
		return 2;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		o->argc = argc - 1;
		o->argv = argv + 1;
		if (commands[i].own_options)
			return commands[i].fn(o);
		rc = read_options(o, argc, argv);
		if (rc != 0)
			return rc - 1;
		if (optind < argc) {
			fprintf(stderr, "pubaddr: %s takes no arguments\n", argv[0]);
			return 2;
		}
		return commands[i].fn(o);
	}
	fprintf(stderr, "pubaddr: unknown command: %s\n", argv[0]);
	usage(stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct pa_pubaddr_opts o = {.run_dir = PA_TUNNELD_RUN_DIR, .key_file = PA_TUNNELD_KEY_FILE};
	int rc;

	o.sigpipe_ignored = signal(SIGPIPE, SIG_IGN) == SIG_IGN;
	rc = read_options(&o, argc, argv);
	return rc != 0 ? rc - 1 : run(&o, argc - optind, argv + optind);
}

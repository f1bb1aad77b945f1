/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/cli.h"

#include <getopt.h>
#include <stdio.h>

#include "config.h"

static void usage(FILE *f, const char *program, bool wants_iface)
{
	fprintf(f,
		"usage: %s %s[-c FILE] [-dhtV]\n"
		"%s"
		"  -c FILE   configuration\n"
		"  -t        test the configuration and exit\n"
		"  -d        log debug messages\n"
		"  --cleanup remove what a daemon left that died and does not come back, and exit\n"
		"  -V        print the version\n"
		"  -h        print this\n",
		program, wants_iface ? "-i IFACE " : "",
		wants_iface ? "  -i IFACE  the interface towards the NAT\n" : "");
}

int pa_cli_parse(int argc, char **argv, const char *program, bool wants_iface, struct pa_cli *ret)
{
	static const struct option longer[] = {{"cleanup", no_argument, NULL, 'x'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, wants_iface ? "c:i:dhtV" : "c:dhtV", longer, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret->config = optarg;
			break;
		case 'i':
			ret->iface = optarg;
			break;
		case 'd':
			ret->debug = true;
			break;
		case 'x':
			ret->cleanup = true;
			break;
		case 't':
			ret->test = true;
			break;
		case 'V':
			printf("%s %s\n", program, PACKAGE_VERSION);
			return 0;
		case 'h':
			usage(stdout, program, wants_iface);
			return 0;
		default:
			usage(stderr, program, wants_iface);
			return 2;
		}
	}
	if (optind < argc || (wants_iface && ret->iface == NULL && !ret->test)) {
		if (optind < argc)
			fprintf(stderr, "%s: unexpected argument: %s\n", program, argv[optind]);
		else
			fprintf(stderr, "%s: -i IFACE is missing: name the interface towards the NAT\n", program);
		usage(stderr, program, wants_iface);
		return 2;
	}
	return -1;
}

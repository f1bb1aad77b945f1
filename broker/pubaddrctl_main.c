/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ctl.h"
#include "broker/paths.h"
#include "common/cred.h"

static void usage(FILE *f)
{
	fprintf(f, "usage: pubaddrctl [--socket PATH] [--json] COMMAND\n"
		   "  lease list               all leases\n"
		   "  lease get ADDRESS        one lease\n"
		   "  lease release ADDRESS    end a lease; its client may ask again\n"
		   "  pool stats               how full the pools are\n"
		   "  pool recover ID SECONDS  keep a pool's addresses from all but those known to have them\n"
		   "  subnet stats             how many addresses each subnet has, and its limit\n"
		   "  gateway drain NAME|ADDRESS\n"
		   "                           move a gateway's clients to others, and keep new ones away\n"
		   "  gateway undrain NAME|ADDRESS\n"
		   "                           let it take clients again\n"
		   "  status                   the broker's state and counters, or those of the daemon whose socket it is\n"
		   "  config test FILE         check a configuration and the keys it names\n"
		   "  reload                   let the broker read its configuration and keys again\n"
		   "  backup FILE              a copy of the leases, made by the broker; never overwrites\n"
		   "  key new [FILE]           make the broker's master key (" PA_MASTER_KEY ")\n"
		   "  key new-gateway [FILE]   make a gateway group's key (" PA_GATEWAY_KEY "), print the public one\n"
		   "  key pool --pool ID [--key KEYID] MASTERFILE [GATEWAYFILE]\n"
		   "                           derive a pool's key; add it to GATEWAYFILE, or print it\n"
		   "  key rotate [FILE]        put a new master key in front of the others, and say what to do next\n"
		   "  key retire --key KEYID FILE\n"
		   "                           take the keys of that id out of a broker's or gateway's file\n"
		   "  key public FILE          print the public key of a gateway's or client's key file\n"
		   "  --version, --help\n");
}

struct words {
	char **w;
	int n;
	long pool; /* of --pool; -1: not given */
	long key;  /* of --key; -1: not given */
};

static bool is(const struct words *a, int n_min, int n_max, const char *first, const char *second)
{
	return a->n >= n_min && a->n <= n_max && strcmp(a->w[0], first) == 0 &&
	       (second == NULL || (a->n > 1 && strcmp(a->w[1], second) == 0));
}

static const char *word_or(const struct words *a, int i, const char *def)
{
	return i < a->n ? a->w[i] : def;
}

static int key_command(const struct pa_ctl *ctl, const struct words *a)
{
	if (is(a, 2, 3, "key", "new"))
		return pa_ctl_key_new(ctl, word_or(a, 2, PA_MASTER_KEY));
	if (is(a, 2, 3, "key", "new-gateway"))
		return pa_ctl_key_new_gateway(ctl, word_or(a, 2, PA_GATEWAY_KEY));
	if (is(a, 3, 3, "key", "public"))
		return pa_ctl_key_public(ctl, a->w[2]);
	if (is(a, 3, 4, "key", "pool")) {
		if (a->pool < 0) {
			fprintf(stderr, "pubaddrctl: key pool needs --pool ID, the id of the pool in brokerd.conf\n");
			return PA_CTL_USAGE;
		}
		return pa_ctl_key_pool(ctl, (uint16_t)a->pool, (int)a->key, a->w[2], word_or(a, 3, NULL));
	}
	if (is(a, 2, 3, "key", "rotate"))
		return pa_ctl_key_rotate(ctl, word_or(a, 2, PA_MASTER_KEY));
	if (is(a, 3, 3, "key", "retire")) {
		if (a->key < 0) {
			fprintf(stderr, "pubaddrctl: key retire needs --key KEYID, the first number of the key's line\n");
			return PA_CTL_USAGE;
		}
		return pa_ctl_key_retire(ctl, (uint8_t)a->key, a->w[2]);
	}
	return -1;
}

static bool parse_number(const char *option, const char *s, long min, long max, long *ret)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(s, &end, 10);
	if (errno != 0 || end == s || *end != '\0' || v < min || v > max) {
		fprintf(stderr, "pubaddrctl: %s: expected a number from %ld to %ld, got '%s'\n", option, min, max, s);
		return false;
	}
	*ret = v;
	return true;
}

static int recover_command(const struct pa_ctl *ctl, const char *pool, const char *seconds)
{
	long id, s;

	if (!parse_number("pool recover ID", pool, 1, UINT16_MAX, &id) ||
	    !parse_number("pool recover SECONDS", seconds, 0, UINT32_MAX, &s))
		return PA_CTL_USAGE;
	return pa_ctl_pool_recover(ctl, (uint16_t)id, (uint32_t)s);
}

static int run(const struct pa_ctl *ctl, const struct words *a)
{
	int rc = -1;

	if (is(a, 2, 2, "lease", "list"))
		rc = pa_ctl_lease_list(ctl);
	else if (is(a, 3, 3, "lease", "get"))
		rc = pa_ctl_lease_get(ctl, a->w[2]);
	else if (is(a, 3, 3, "lease", "release"))
		rc = pa_ctl_lease_release(ctl, a->w[2]);
	else if (is(a, 2, 2, "pool", "stats"))
		rc = pa_ctl_pool_stats(ctl);
	else if (is(a, 4, 4, "pool", "recover"))
		rc = recover_command(ctl, a->w[2], a->w[3]);
	else if (is(a, 2, 2, "subnet", "stats"))
		rc = pa_ctl_subnet_stats(ctl);
	else if (is(a, 3, 3, "gateway", "drain"))
		rc = pa_ctl_gateway_drain(ctl, a->w[2], true);
	else if (is(a, 3, 3, "gateway", "undrain"))
		rc = pa_ctl_gateway_drain(ctl, a->w[2], false);
	else if (is(a, 1, 1, "status", NULL))
		rc = pa_ctl_status(ctl);
	else if (is(a, 1, 1, "reload", NULL))
		rc = pa_ctl_reload(ctl);
	else if (is(a, 2, 2, "backup", NULL))
		rc = pa_ctl_backup(ctl, a->w[1]);
	else if (is(a, 3, 3, "config", "test"))
		rc = pa_ctl_config_test(ctl, a->w[2]);
	else if (a->n > 0)
		rc = key_command(ctl, a);
	if (rc >= 0)
		return rc;
	fprintf(stderr, "pubaddrctl: %s\n", a->n == 0 ? "no command" : "no such command, or not with these words");
	usage(stderr);
	return PA_CTL_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
						{"pool", required_argument, NULL, 'p'}, {"key", required_argument, NULL, 'k'},   {"version", no_argument, NULL, 'V'},
						{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0}};
	struct pa_ctl ctl = {PA_BROKER_SOCKET, false, stdout, stderr};
	struct words a = {NULL, 0, -1, -1};
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "Vh", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			ctl.socket = optarg;
			break;
		case 'j':
			ctl.json = true;
			break;
		case 'p':
			if (!parse_number("--pool", optarg, 1, 65535, &a.pool))
				return PA_CTL_USAGE;
			break;
		case 'k':
			if (!parse_number("--key", optarg, 0, 255, &a.key))
				return PA_CTL_USAGE;
			break;
		case 'V':
			printf("pubaddrctl %s\n", PA_VERSION);
			return PA_CTL_OK;
		case 'h':
			usage(stdout);
			return PA_CTL_OK;
		default:
			usage(stderr);
			return PA_CTL_USAGE;
		}
	}
	a.w = argv + optind;
	a.n = argc - optind;
	if (pa_cred_init() < 0) {
		fprintf(stderr, "pubaddrctl: the system has no random numbers\n");
		return PA_CTL_ERROR;
	}
	rc = run(&ctl, &a);
	if (fflush(stdout) != 0 && rc == PA_CTL_OK) {
		perror("pubaddrctl: standard output");
		rc = PA_CTL_ERROR;
	}
	return rc;
}

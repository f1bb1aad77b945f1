/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr expose: what may come in to the public address. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/edge_client.h"
#include "tunnel/expose.h"
#include "tunnel/pubaddr_cmd.h"
#include "tunnel/pubaddr_sock.h"

#define TIMEOUT_MS 5000

struct args {
	const char *iface;
	bool list, remove;
	uint64_t seconds; /* 0: no end */
	int n;		  /* words that are left */
	char **words;
};

static int usage(void)
{
	fprintf(stderr, "usage: pubaddr expose [--interface IFACE] [--for TIME] RULE...\n"
			"       pubaddr expose [--interface IFACE] --remove RULE...\n"
			"       pubaddr expose [--interface IFACE] --list\n"
			"RULE is for example 5060/udp, 1024-2048/tcp, icmp, gre, or \"22/tcp from 198.51.100.0/24\"; "
			"TIME 90s, 10m, 2h, 7d\n");
	return 2;
}

static int parse(const struct pa_pubaddr_opts *o, struct args *a)
{
	static const struct option longopts[] = {{"interface", required_argument, NULL, 'i'}, {"list", no_argument, NULL, 'l'},
						 {"remove", no_argument, NULL, 'r'}, {"for", required_argument, NULL, 'f'},
						 {NULL, 0, NULL, 0}};
	int c;

	optind = 0; /* from the start, with our words */
	while ((c = getopt_long(o->argc + 1, o->argv - 1, "i:", longopts, NULL)) != -1) {
		if (c == 'i') {
			a->iface = optarg;
		} else if (c == 'l') {
			a->list = true;
		} else if (c == 'r') {
			a->remove = true;
		} else if (c != 'f') {
			return usage();
		} else if (pa_duration_parse(optarg, &a->seconds) < 0) {
			fprintf(stderr, "pubaddr: --for: expected a time such as 90s, 10m, 2h or 7d, got \"%s\"\n", optarg);
			return 2;
		}
	}
	a->n = o->argc + 1 - optind;
	a->words = o->argv - 1 + optind;
	if ((a->list && (a->n > 0 || a->remove)) || (!a->list && a->n == 0) || (a->seconds > 0 && (a->list || a->remove)))
		return usage();
	return 0;
}

static void print_policy(const char *name, const json_t *v)
{
	printf("%s ", name);
	if (json_is_string(v))
		printf("%s", json_string_value(v));
	for (size_t i = 0; i < json_array_size(v); i++)
		printf("%s%s", i > 0 ? ", " : "", json_string_value(json_array_get(v, i)));
	if (json_is_array(v) && json_array_size(v) == 0)
		printf("nothing");
	printf("\n");
}

static void print_list(const json_t *r)
{
	const json_t *exposed = json_object_get(r, "exposed"), *grant = json_object_get(r, "grant");

	print_policy("comes in:    ", json_object_get(r, "effective"));
	print_policy("tunneld.conf:", json_object_get(r, "host"));
	if (grant != NULL)
		print_policy("grant:       ", grant);
	else
		printf("grant:        none now\n");
	for (size_t i = 0; i < json_array_size(exposed); i++) {
		const json_t *e = json_array_get(exposed, i), *left = json_object_get(e, "seconds-left");
		const char *granted = json_string_value(json_object_get(e, "granted"));

		printf("exposed:      %s (by uid %lld", json_string_value(json_object_get(e, "rule")),
		       (long long)json_integer_value(json_object_get(e, "uid")));
		if (left != NULL)
			printf(", %lld s left", (long long)json_integer_value(left));
		if (granted != NULL && strcmp(granted, "all") != 0)
			printf(", the grant lets in %s of it", strcmp(granted, "part") == 0 ? "a part" : "nothing");
		printf(")\n");
	}
}

static int list(const struct pa_pubaddr_opts *o, const char *path)
{
	char err[PA_CLIENT_ERRLEN];
	json_t *reply = NULL;
	int rc = pa_client_call(path, "expose-list", NULL, TIMEOUT_MS, &reply, err);

	if (rc != 0 || reply == NULL) {
		fprintf(stderr, "pubaddr: %s\n", err);
		json_decref(reply);
		return 1;
	}
	if (o->json) {
		(void)json_dumpf(reply, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		printf("\n");
	} else {
		print_list(reply);
	}
	json_decref(reply);
	return 0;
}

int pa_pubaddr_expose(const struct pa_pubaddr_opts *o)
{
	struct args a = {.iface = NULL};
	char path[PA_SOCK_PATHLEN];
	int bad = parse(o, &a);

	if (bad != 0)
		return bad;
	if (pa_sock_find(o->run_dir, a.iface, path) < 0)
		return 1;
	if (a.list)
		return list(o, path);
	for (int i = 0; i < a.n; i++) {
		json_t *args = json_pack("{s:s}", "rule", a.words[i]), *reply = NULL;
		char err[PA_CLIENT_ERRLEN];
		int rc;

		if (a.seconds > 0)
			(void)json_object_set_new(args, "for", json_integer((json_int_t)a.seconds));
		rc = pa_client_call(path, a.remove ? "expose-remove" : "expose", args, TIMEOUT_MS, &reply, err);
		if (rc == 0)
			printf("%s\n", err);
		else
			fprintf(stderr, "pubaddr: %s\n", err);
		json_decref(reply);
		bad = bad != 0 || rc != 0;
	}
	return bad;
}

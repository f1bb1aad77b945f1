/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr mode: which way the host's own flows take, asked or told. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/edge_client.h"
#include "tunnel/pubaddr_cmd.h"
#include "tunnel/pubaddr_sock.h"

#define TIMEOUT_MS 10000 /* a change lists the host's connections */

static int usage(void)
{
	fprintf(stderr, "usage: pubaddr mode [--json] [--interface IFACE] [tunnel|native|auto|policy|default]\n");
	return 2;
}

static const char *text_of(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s != NULL ? s : "unknown";
}

static void print(bool json, const json_t *v)
{
	if (json)
		printf("{\"mode\": \"%s\", \"mode-source\": \"%s\"}\n", text_of(v, "mode"), text_of(v, "mode-source"));
	else
		printf("%s (by %s)\n", text_of(v, "mode"), text_of(v, "mode-source"));
}

int pa_pubaddr_mode(const struct pa_pubaddr_opts *o)
{
	static const struct option longopts[] = {{"interface", required_argument, NULL, 'i'}, {"json", no_argument, NULL, 'j'},
						 {NULL, 0, NULL, 0}};
	char path[PA_SOCK_PATHLEN], err[PA_CLIENT_ERRLEN];
	const char *iface = NULL, *mode = NULL;
	bool json = o->json; /* before the command or behind it */
	json_t *reply = NULL;
	int c, rc;

	optind = 0; /* from the start, with our words */
	while ((c = getopt_long(o->argc + 1, o->argv - 1, "i:", longopts, NULL)) != -1) {
		if (c == 'i')
			iface = optarg;
		else if (c == 'j')
			json = true;
		else
			return usage();
	}
	if (o->argc + 1 - optind > 1)
		return usage();
	if (o->argc + 1 - optind == 1)
		mode = o->argv[optind - 1];
	if (pa_sock_find(o->run_dir, iface, path) < 0)
		return 1;
	rc = mode == NULL ? pa_client_call(path, "status-get", NULL, TIMEOUT_MS, &reply, err) :
			    pa_client_call(path, "mode-set", json_pack("{s:s}", "mode", mode), TIMEOUT_MS, &reply, err);
	if (rc == 0 && reply != NULL)
		print(json, reply);
	else
		fprintf(stderr, "pubaddr: %s\n", err);
	json_decref(reply);
	return rc == 0 && reply != NULL ? 0 : 1;
}

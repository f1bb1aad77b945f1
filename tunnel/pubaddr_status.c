/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr status: what every tunnel daemon of this host says, for people or as JSON. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/edge_client.h"
#include "common/err.h"
#include "tunnel/pubaddr_cmd.h"

#define TIMEOUT_MS 2000
#define PREFIX "tunneld-"
#define SUFFIX ".sock"
#define PENDING "pending-"
#define PENDING_SUFFIX ".json"

static const char *text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "unknown";
}

static long long number_of(const json_t *obj, const char *key)
{
	return (long long)json_integer_value(json_object_get(obj, key));
}

static void print_lifetime(long long s)
{
	if (s >= 3600)
		printf("  lifetime left   %lld h %lld min\n", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		printf("  lifetime left   %lld min %lld s\n", s / 60, s % 60);
	else
		printf("  lifetime left   %lld s\n", s);
}

static void print_mtu(const json_t *s)
{
	const char *search = text_of(s, "mtu-search");
	bool error = strcmp(search, "error") == 0;

	printf("  MTU             %lld on %s", number_of(s, "mtu"), text_of(s, "device"));
	if (error)
		printf(" (even that passes in fragments only, if at all)");
	else if (strcmp(search, "base") == 0 || strcmp(search, "searching") == 0)
		printf(" (%lld at most; the path is being probed)", number_of(s, "mtu-max"));
	else if (number_of(s, "mtu") < number_of(s, "mtu-max"))
		printf(" (%lld at most, found by probes)", number_of(s, "mtu-max"));
	printf("\n");
}

static void print_bound(const json_t *s)
{
	bool relayed = strcmp(text_of(s, "path"), "relay") == 0;

	printf("  gateway         %s%s%s%s\n", relayed ? "by the relay " : "", text_of(s, "gateway"), relayed ? "; " : "",
	       relayed ? text_of(s, "path-reason") : "");
	printf("  mapped address  %s (this host as the gateway sees it behind the NAT)\n", text_of(s, "mapped"));
	if (json_object_get(s, "rtt-us") != NULL)
		printf("  round trip      %.1f ms\n", (double)number_of(s, "rtt-us") / 1000.0);
	print_mtu(s);
	printf("  outbound mode   %s (by %s)\n", text_of(s, "mode"), text_of(s, "mode-source"));
	printf("  default route   %s\n", json_is_true(json_object_get(s, "default-route")) ? strcmp(text_of(s, "mode"), "tunnel") == 0 ? "through the tunnel" : "as before, with the public address" : "not changed");
}

/* Nothing where no relay is known. */
static void print_relay(const json_t *r)
{
	const json_t *count = json_object_get(r, "counters");
	const char *state = text_of(r, "state");
	bool troubled = json_object_get(r, "problem") != NULL;

	if (json_object_get(r, "server") == NULL)
		return;
	if (strcmp(state, "up") == 0)
		printf("  relay           connected to %s, %lld sessions\n", text_of(r, "server"), number_of(r, "sessions"));
	else if (strcmp(state, "off") == 0)
		printf("  relay           %s, used by nobody now%s%s\n", text_of(r, "server"), troubled ? "; it failed last: " : "",
		       troubled ? text_of(r, "problem") : "");
	else
		printf("  relay           %s: %s%s%s\n", text_of(r, "server"), state, troubled ? ", " : "",
		       troubled ? text_of(r, "problem") : "");
	if (number_of(count, "calls") > 0 || number_of(count, "incoming") > 0)
		printf("  relay calls     %lld begun, %lld connected, %lld failed, %lld taken, %lld over\n", number_of(count, "calls"),
		       number_of(count, "connected"), number_of(count, "failed"), number_of(count, "incoming"),
		       number_of(count, "ended"));
}

/* Nothing where it is not configured. */
static void print_socks(const json_t *s)
{
	const json_t *count = json_object_get(s, "counters");

	if (s != NULL)
		printf("  SOCKS5          at %s: %lld connections now, %lld requests, %lld failed\n", text_of(s, "listen"),
		       number_of(s, "connections"), number_of(count, "socks-requests"), number_of(count, "socks-failed"));
}

static void print_status(const json_t *s)
{
	const char *state = text_of(s, "state");
	bool bound = strcmp(state, "bound") == 0;

	printf("%s: ", text_of(s, "interface"));
	if (bound)
		printf("public address %s\n", text_of(s, "address"));
	else if (strcmp(state, "pending") == 0)
		printf("a public address is granted, but nobody has taken it\n");
	else if (strcmp(state, "binding") == 0)
		printf("granted %s, not yet bound at a gateway (attempt %lld at %s)\n", text_of(s, "address"), number_of(s, "attempt"),
		       text_of(s, "trying"));
	else
		printf("no public address\n");
	if (bound)
		print_bound(s);
	if (json_object_get(s, "on-demand") != NULL)
		printf("  on demand       %s\n", text_of(json_object_get(s, "on-demand"), "state"));
	if (json_object_get(s, "lifetime") != NULL)
		print_lifetime(number_of(s, "lifetime"));
	print_relay(json_object_get(s, "relay"));
	print_socks(json_object_get(json_object_get(s, "relay"), "socks"));
	if (json_object_get(s, "problem") != NULL)
		printf("  %s %s\n", bound ? "note:          " : "what is wrong: ", text_of(s, "problem"));
}

/* The socket's interface, or false for other files of the folder. */
static bool is_socket(const char *name)
{
	size_t n = strlen(name), p = sizeof(PREFIX) - 1, x = sizeof(SUFFIX) - 1;

	return n > p + x && strncmp(name, PREFIX, p) == 0 && strcmp(name + n - x, SUFFIX) == 0;
}

/* RUNDIR/pending-IFACE.json: a grant that came while no daemon ran, see pubaddr-dhclient(8). */
static bool is_pending(const char *name)
{
	size_t n = strlen(name), p = sizeof(PENDING) - 1, x = sizeof(PENDING_SUFFIX) - 1;

	return n > p + x && strncmp(name, PENDING, p) == 0 && strcmp(name + n - x, PENDING_SUFFIX) == 0;
}

/* One daemon's status; NULL after a message. */
static json_t *ask(const char *run_dir, const char *name)
{
	char path[PATH_MAX], err[PA_CLIENT_ERRLEN];
	json_t *reply = NULL;
	int rc;

	(void)snprintf(path, sizeof(path), "%s/%s", run_dir, name);
	rc = pa_client_call(path, "status-get", NULL, TIMEOUT_MS, &reply, err);
	if (rc == 0 && reply != NULL)
		return reply;
	json_decref(reply);
	fprintf(stderr, "pubaddr: %s%s\n", err, rc == PA_ENOTFOUND ? "; pubaddr-tunneld does not run there" : "");
	return NULL;
}

static int by_name(const struct dirent *e)
{
	return is_socket(e->d_name) || is_pending(e->d_name);
}

static bool listed(const json_t *list, const char *iface)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(text_of(json_array_get(list, i), "interface"), iface) == 0)
			return true;
	return false;
}

/* What a daemon would say of its interface if it ran. The file is for root; its name says enough. */
static json_t *pending_json(const char *name)
{
	int len = (int)(strlen(name) - (sizeof(PENDING) - 1) - (sizeof(PENDING_SUFFIX) - 1));
	const char *iface = name + sizeof(PENDING) - 1;

	return json_pack("{s:o, s:s, s:b, s:o}", "interface", json_sprintf("%.*s", len, iface), "state", "pending", "usable", 0,
			 "problem", json_sprintf("a grant has come by DHCP, but pubaddr-tunneld does not run; start it with: "
						 "pubaddr-tunneld -i %.*s", len, iface));
}

static json_t *ask_all(const char *run_dir)
{
	struct dirent **names = NULL;
	json_t *list = json_array();
	int n = scandir(run_dir, &names, by_name, alphasort);

	for (int i = 0; i < n; i++) {
		json_t *s = is_socket(names[i]->d_name) ? ask(run_dir, names[i]->d_name) : NULL;

		if (s != NULL)
			(void)json_array_append_new(list, s);
	}
	for (int i = 0; i < n; i++) {
		json_t *s = is_pending(names[i]->d_name) ? pending_json(names[i]->d_name) : NULL;

		if (s != NULL && !listed(list, text_of(s, "interface")))
			(void)json_array_append(list, s);
		json_decref(s);
		free(names[i]);
	}
	free(names);
	if (n <= 0)
		fprintf(stderr, "pubaddr: no pubaddr-tunneld serves in %s%s%s; start it with: pubaddr-tunneld -i IFACE\n", run_dir,
			n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
	return list;
}

int pa_pubaddr_status(const struct pa_pubaddr_opts *o)
{
	json_t *list = ask_all(o->run_dir);
	bool usable = false;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *s = json_array_get(list, i);

		usable = usable || json_is_true(json_object_get(s, "usable"));
		if (!o->json)
			print_status(s);
	}
	if (o->json) {
		(void)json_dumpf(list, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		printf("\n");
	}
	json_decref(list);
	return usable ? 0 : 1;
}

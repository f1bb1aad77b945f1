/* SPDX-License-Identifier: MPL-2.0 */
/*
 * pubaddr diagnose: collects the facts (daemon, DHCP helper's record, routes, host name, the wire) and prints the findings.
 * Nothing is changed, and every part that fails leaves its facts unknown.
 */
#include <dirent.h>
#include <getopt.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/command.h"
#include "common/edge_client.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "tunnel/diagnose_facts.h"
#include "tunnel/net_lan.h"
#include "tunnel/net_udp.h"
#include "tunnel/net_wire.h"
#include "tunnel/pubaddr_cmd.h"

#define CALL_MS 2000
#define POLL_MS 100
#define RUN_MS 40000 /* a run without --lifetime, on the slowest path */

/* Addresses on the Internet, one in each half, to ask the kernel for the way to them; nothing is sent there. */
static const char *const far_away[] = {"9.9.9.9", "193.0.14.129"};

struct args {
	const char *iface; /* NULL: all */
	int lifetime;	   /* seconds; 0: not to be tried */
	bool json;
};

struct diag {
	const struct pa_pubaddr_opts *o;
	const struct args *a;
	struct pa_facts f;
	json_t *status, *probe, *record; /* as they came; NULL: not */
	struct pa_wire *wire;
};

static int call(const struct diag *d, const char *command, json_t *args, json_t **ret, char err[PA_CLIENT_ERRLEN])
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/tunneld-%s.sock", d->o->run_dir, d->f.iface);
	return pa_client_call(path, command, args, CALL_MS, ret, err);
}

static bool ask(const struct diag *d, const char *command, json_t **ret)
{
	char err[PA_CLIENT_ERRLEN];
	json_t *reply = NULL;

	if (call(d, command, NULL, &reply, err) != 0 || reply == NULL) {
		json_decref(reply);
		return false;
	}
	json_decref(*ret);
	*ret = reply;
	return true;
}

/* ---- facts ---- */

static void read_record(struct diag *d)
{
	char path[PATH_MAX], err[PA_FILE_ERRLEN], *text;
	size_t len;

	(void)snprintf(path, sizeof(path), "%s/pending-%s.json", d->o->run_dir, d->f.iface);
	d->f.pending = access(path, F_OK) == 0;
	(void)snprintf(path, sizeof(path), "%s/dhcp-%s.json", d->o->run_dir, d->f.iface);
	if (pa_file_read(path, false, &text, &len, err) < 0)
		return;
	d->record = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	pa_facts_seen(&d->f, d->record);
}

/* Listens to the wire, too: what a firewall throws away comes in during the run. */
static bool run_goes_on(struct diag *d)
{
	if (d->wire != NULL)
		pa_wire_listen(d->wire);
	return ask(d, "probe-get", &d->probe) && json_is_true(json_object_get(d->probe, "running"));
}

static void try_network(struct diag *d)
{
	uint64_t end = pa_now_get().boot_ms + RUN_MS + (uint64_t)d->a->lifetime * 1000;
	char err[PA_CLIENT_ERRLEN];
	json_t *reply = NULL, *args = d->a->lifetime > 0 ? json_pack("{s:i}", "lifetime", d->a->lifetime) : NULL;
	int rc;

	if (geteuid() == 0)
		(void)pa_wire_open(d->f.iface, &d->wire);
	rc = call(d, "probe-start", args, &reply, err);
	json_decref(reply);
	if (rc == PA_RESULT_EMPTY) /* there is no grant, hence no gateway */
		return;
	if (rc != 0)
		fprintf(stderr, "pubaddr: %s\n", err);
	while (rc == 0 && run_goes_on(d) && pa_now_get().boot_ms < end)
		(void)poll(NULL, 0, POLL_MS);
	if (d->probe != NULL)
		pa_facts_probe(&d->f, d->probe);
}

static void look_at_wire(struct diag *d)
{
	if (d->wire == NULL)
		return;
	d->f.wire = PA_WIRE_SILENT;
	pa_wire_listen(d->wire);
	for (unsigned i = 0; i < d->f.probe.n_gateways; i++)
		if (pa_wire_heard(d->wire, &d->f.probe.gateways[i].at))
			d->f.wire = PA_WIRE_HEARD;
	pa_wire_close(d->wire);
	d->wire = NULL;
}

static void look_at_routes(struct pa_facts *f)
{
	struct pa_nl *nl;

	if (pa_nl_open(&nl) < 0)
		return;
	for (size_t i = 0; i < sizeof(far_away) / sizeof(far_away[0]); i++) {
		char name[IF_NAMESIZE];
		struct pa_addr a;
		int ifindex;

		if (pa_addr_parse(far_away[i], &a) < 0)
			continue;
		ifindex = pa_lan_route_ifindex(nl, &a, 0);
		if (ifindex > 0 && if_indextoname((unsigned)ifindex, name) != NULL && strcmp(name, f->device) != 0)
			(void)snprintf(f->route, sizeof(f->route), "%s", name);
		else if (ifindex > 0 && f->route[0] == '\0')
			(void)snprintf(f->route, sizeof(f->route), "%s", f->device);
	}
	pa_nl_close(nl);
}

static void look_at_hostname(struct pa_facts *f)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
	struct pa_endpoint e;

	if (gethostname(f->hostname, sizeof(f->hostname) - 1) < 0 || getaddrinfo(f->hostname, NULL, &hints, &list) != 0) {
		f->hostname[0] = '\0';
		return;
	}
	if (pa_sockaddr_from((const struct sockaddr_storage *)(const void *)list->ai_addr, &e))
		f->hostname_address = e.addr;
	freeaddrinfo(list);
}

static void collect(struct diag *d)
{
	d->f.root = geteuid() == 0;
	read_record(d);
	if (ask(d, "status-get", &d->status)) {
		try_network(d);
		if (ask(d, "status-get", &d->status)) /* as it is now: the run takes some time */
			pa_facts_status(&d->f, d->status);
		look_at_wire(d);
		look_at_routes(&d->f);
	}
	look_at_hostname(&d->f);
}

/* ---- printing ---- */

/* Folds text into lines of at most 100 columns, each after indent blanks. */
static void print_folded(unsigned indent, const char *text)
{
	unsigned column = indent;

	printf("%*s", (int)indent, "");
	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (column > indent && column + 1 + len > 100) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		}
		printf("%s%.*s", column > indent ? " " : "", (int)len, text);
		column += (unsigned)len + (column > indent);
		text += len;
		text += strspn(text, " ");
	}
	printf("\n");
}

static void print_verdict(const struct diag *d, const struct pa_finding *list, size_t n)
{
	const char *iface = d->f.iface[0] != '\0' ? d->f.iface : "this host";
	const char *works = "the public address works";
	unsigned warnings = 0;

	for (size_t i = 0; i < n; i++) {
		warnings += list[i].severity == PA_SEV_WARNING;
		if (strcmp(list[i].id, "on-demand") == 0)
			works = "no program needs a public address now";
	}
	if (list[0].severity == PA_SEV_ERROR)
		printf("%s: there is no usable public address. Why:\n", iface);
	else if (warnings > 0)
		printf("%s: %s; %u thing%s you should know.\n", iface, works, warnings, warnings == 1 ? "" : "s");
	else
		printf("%s: %s, and nothing is wrong.\n", iface, works);
}

static void print_findings(const struct diag *d, const struct pa_finding *list, size_t n)
{
	print_verdict(d, list, n);
	for (size_t i = 0; i < n; i++) {
		printf("\n  %s (%s)\n", pa_severity_name(list[i].severity), list[i].id);
		print_folded(4, list[i].text);
		if (list[i].remedy[0] != '\0')
			print_folded(4, "What to do:");
		if (list[i].remedy[0] != '\0')
			print_folded(6, list[i].remedy);
	}
}

static json_t *findings_json(const struct diag *d, const struct pa_finding *list, size_t n)
{
	json_t *obj = json_pack("{s:s, s:s, s:o}", "interface", d->f.iface, "severity", pa_severity_name(list[0].severity), "findings",
				json_array());
	json_t *array = json_object_get(obj, "findings");

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s}", "id", list[i].id, "severity",
							     pa_severity_name(list[i].severity), "text", list[i].text, "remedy",
							     list[i].remedy));
	if (d->probe != NULL)
		(void)json_object_set(obj, "network", d->probe);
	if (d->record != NULL)
		(void)json_object_set(obj, "dhcp", d->record);
	if (d->status != NULL)
		(void)json_object_set(obj, "status", d->status);
	return obj;
}

/* ---- interfaces ---- */

/* The interface's name in PREFIX-IFACE.SUFFIX of the run directory; false for other files. */
static bool interface_of(const char *name, char ret[PA_FACT_NAMELEN])
{
	static const struct {
		const char *prefix, *suffix;
	} files[] = {{"tunneld-", ".sock"}, {"pending-", ".json"}, {"dhcp-", ".json"}};
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		size_t p = strlen(files[i].prefix), x = strlen(files[i].suffix);

		if (n <= p + x || n - p - x >= PA_FACT_NAMELEN || strncmp(name, files[i].prefix, p) != 0 ||
		    strcmp(name + n - x, files[i].suffix) != 0)
			continue;
		(void)snprintf(ret, PA_FACT_NAMELEN, "%.*s", (int)(n - p - x), name + p);
		return true;
	}
	return false;
}

static int diagnose_one(const struct pa_pubaddr_opts *o, const struct args *a, const char *iface, json_t *report)
{
	struct pa_finding list[PA_FINDINGS_MAX];
	struct diag d;
	size_t n;

	memset(&d, 0, sizeof(d));
	d.o = o;
	d.a = a;
	(void)snprintf(d.f.iface, sizeof(d.f.iface), "%s", iface);
	collect(&d);
	n = pa_diagnose(&d.f, list);
	if (a->json)
		(void)json_array_append_new(report, findings_json(&d, list, n));
	else
		print_findings(&d, list, n);
	json_decref(d.status);
	json_decref(d.probe);
	json_decref(d.record);
	return (int)list[0].severity;
}

/* True if the interface of name number i has no name before it. */
static bool is_new(struct dirent **names, int i, const char *iface)
{
	char other[PA_FACT_NAMELEN];

	for (int k = 0; k < i; k++)
		if (interface_of(names[k]->d_name, other) && strcmp(other, iface) == 0)
			return false;
	return true;
}

/* Every interface that a daemon or the DHCP helper has a file of. Returns the worst severity, -1: there is none. */
static int diagnose_all(const struct pa_pubaddr_opts *o, const struct args *a, json_t *report)
{
	struct dirent **names = NULL;
	int n = scandir(o->run_dir, &names, NULL, alphasort), worst = -1;

	for (int i = 0; i < n; i++) {
		char iface[PA_FACT_NAMELEN];
		int severity;

		if (!interface_of(names[i]->d_name, iface) || !is_new(names, i, iface))
			continue;
		severity = diagnose_one(o, a, iface, report);
		worst = severity > worst ? severity : worst;
	}
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return worst;
}

static int usage(void)
{
	fprintf(stderr, "usage: pubaddr diagnose [--json] [--interface IFACE] [--lifetime SECONDS]\n"
			"SECONDS is %d to %d: try for how long a silence the NAT remembers this host (root only)\n", PA_PROBE_LIFE_MIN,
			PA_PROBE_DELAY_MAX);
	return 2;
}

static int parse(const struct pa_pubaddr_opts *o, struct args *a)
{
	static const struct option longopts[] = {{"interface", required_argument, NULL, 'i'}, {"json", no_argument, NULL, 'j'},
						 {"lifetime", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
	char *end;
	long v;
	int c;

	a->json = o->json;
	optind = 0; /* from the start, with our words */
	while ((c = getopt_long(o->argc + 1, o->argv - 1, "i:", longopts, NULL)) != -1) {
		if (c == 'i') {
			a->iface = optarg;
		} else if (c == 'j') {
			a->json = true;
		} else if (c == 'l') {
			v = strtol(optarg, &end, 10);
			if (*optarg == '\0' || *end != '\0' || v < PA_PROBE_LIFE_MIN || v > PA_PROBE_DELAY_MAX)
				return usage();
			a->lifetime = (int)v;
		} else {
			return usage();
		}
	}
	return optind < o->argc + 1 || (a->iface != NULL && strlen(a->iface) >= PA_FACT_NAMELEN) ? usage() : 0;
}

int pa_pubaddr_diagnose(const struct pa_pubaddr_opts *o)
{
	struct args a = {.iface = NULL};
	json_t *report;
	int worst;

	if (parse(o, &a) != 0)
		return 2;
	if (a.lifetime > 0 && geteuid() != 0) {
		fprintf(stderr, "pubaddr: --lifetime needs root\n");
		return 2;
	}
	report = json_array();
	worst = a.iface != NULL ? diagnose_one(o, &a, a.iface, report) : diagnose_all(o, &a, report);
	if (worst < 0)
		worst = diagnose_one(o, &a, "", report);
	if (a.json) {
		(void)json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		printf("\n");
	}
	json_decref(report);
	return worst == PA_SEV_ERROR ? 1 : worst == PA_SEV_WARNING ? 3 : 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * pubaddr-dhcp-helper: run by a DHCP client's script, reads its environment and tells pubaddr-tunneld. Whatever goes
 * wrong here must not harm the DHCP client: it ends with 0 and within LIMIT_S.
 */
#include "config.h"

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "client-hook/decide.h"
#include "client-hook/deliver.h"
#include "client-hook/env.h"
#include "client-hook/seen.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"

#define RUN_DIR "/run/pubaddr"
#define LIMIT_S 2	/* of the whole program */
#define CALL_MS 1000	/* of the conversation with the daemon */

struct options {
	struct pa_dhcp_source source;
	const char *run_dir;
	bool strict;
	bool done; /* --help or --version was all that was asked for */
};

/* Also to standard error from warnings on: that is where a person or the journal of the DHCP client looks. */
static void to_syslog(enum pa_log_level level, const char *event, const char *text)
{
	static const int priority[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

	syslog(priority[level], "%s %s", event, text);
	if (level <= PA_LOG_WARN)
		(void)fprintf(stderr, "pubaddr-dhcp-helper: %s %s\n", event, text);
}

static void usage(FILE *f)
{
	(void)fputs("usage: pubaddr-dhcp-helper [-hsV] [-i IFACE] [-o OPTION] [-r REASON] [-R DIR]\n"
		    "Reads a DHCP client's environment and hands the grant in it to pubaddr-tunneld.\n"
		    "  -i, --interface IFACE  instead of $interface\n"
		    "  -o, --option OPTION    name or code of the DHCP option (default: " PA_DHCP_OPTION_DEFAULT ")\n"
		    "  -r, --reason REASON    instead of $reason\n"
		    "  -R, --run-dir DIR      where the daemon's socket is (default: $PUBADDR_RUN_DIR, else " RUN_DIR ")\n"
		    "  -s, --strict           exit with 1 after a failure, 2 after wrong usage; else always with 0\n"
		    "  -h, --help             print this\n"
		    "  -V, --version          print the version\n",
		    f);
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{"interface", required_argument, NULL, 'i'}, {"option", required_argument, NULL, 'o'},
		{"reason", required_argument, NULL, 'r'},    {"run-dir", required_argument, NULL, 'R'},
		{"strict", no_argument, NULL, 's'},	     {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},	     {NULL, 0, NULL, 0},
	};
	int c, rc = 0;

	while ((c = getopt_long(argc, argv, "i:o:r:R:shV", table, NULL)) != -1) {
		switch (c) {
		case 'i':
			o->source.interface = optarg;
			break;
		case 'o':
			o->source.option = optarg;
			break;
		case 'r':
			o->source.reason = optarg;
			break;
		case 'R':
			o->run_dir = optarg;
			break;
		case 's':
			o->strict = true;
			break;
		case 'h':
			usage(stdout);
			o->done = true;
			break;
		case 'V':
			(void)printf("pubaddr-dhcp-helper %s\n", PACKAGE_VERSION);
			o->done = true;
			break;
		default:
			rc = PA_EINVAL;
			break;
		}
	}
	if (optind < argc)
		rc = PA_EINVAL;
	if (rc < 0)
		usage(stderr);
	return rc;
}

static int put(const struct pa_dhcp_env *env, const struct options *o, struct pa_now now)
{
	char err[PA_DHCP_DELIVER_ERRLEN] = "";
	int rc = pa_dhcp_put(env, o->run_dir, now.boot_ms, CALL_MS, err);

	if (rc == PA_DHCP_DELIVERED)
		pa_log(PA_LOG_INFO, "dhcp.put", "interface=%s reason=%s", env->interface, env->reason);
	else if (rc == PA_DHCP_PENDING)
		pa_log(PA_LOG_WARN, "dhcp.pending",
		       "interface=%s reason=%s cause=\"%s\" remedy=\"start pubaddr-tunneld -i %s, it takes the grant then\"",
		       env->interface, env->reason, err, env->interface);
	else
		pa_log(PA_LOG_ERROR, "dhcp.put-failed", "interface=%s reason=%s cause=\"%s\"", env->interface, env->reason,
		       err);
	return rc < 0 ? rc : 0;
}

static int end(const struct pa_dhcp_env *env, const struct options *o)
{
	char err[PA_DHCP_DELIVER_ERRLEN] = "";
	int rc = pa_dhcp_end(env, o->run_dir, CALL_MS, err);

	if (rc == PA_DHCP_DELIVERED)
		pa_log(PA_LOG_INFO, "dhcp.end", "interface=%s reason=%s", env->interface, env->reason);
	else if (rc < 0)
		pa_log(PA_LOG_ERROR, "dhcp.end-failed", "interface=%s reason=%s cause=\"%s\"", env->interface, env->reason,
		       err);
	return rc < 0 ? rc : 0;
}

/* For whoever asks later why there is no public address. */
static void note(const struct pa_dhcp_env *env, const struct options *o, struct pa_now now, int why)
{
	char err[PA_FILE_ERRLEN];

	if (pa_dhcp_seen(env, o->run_dir, now.boot_ms, why, err) < 0)
		pa_log(PA_LOG_WARN, "dhcp.unrecorded", "interface=%s cause=\"%s\"", env->interface, err);
}

static int run(const struct options *o)
{
	struct pa_now now = pa_now_get();
	char err[PA_DHCP_ERRLEN];
	enum pa_dhcp_action action;
	struct pa_dhcp_env env;
	int why = 0, rc = pa_dhcp_env_parse(environ, &o->source, &env, err);

	if (rc < 0) {
		pa_log(PA_LOG_ERROR, "dhcp.environment", "cause=\"%s\"", err);
		return rc;
	}
	action = pa_dhcp_decide(&env, &why);
	switch (action) {
	case PA_DHCP_PUT:
		if (env.n_skipped > 0)
			pa_log(PA_LOG_WARN, "dhcp.skipped", "interface=%s values=%u cause=\"not a usable address or number\"",
			       env.interface, env.n_skipped);
		rc = put(&env, o, now);
		break;
	case PA_DHCP_END:
		rc = end(&env, o);
		break;
	case PA_DHCP_REFUSE:
		pa_log(PA_LOG_ERROR, "dhcp.refused", "interface=%s reason=%s option=%s cause=\"not a grant: %s\"",
		       env.interface, env.reason, o->source.option != NULL ? o->source.option : PA_DHCP_OPTION_DEFAULT,
		       pa_strerror(why));
		rc = PA_EFORMAT;
		break;
	case PA_DHCP_NOTHING:
		break;
	}
	note(&env, o, now, why); /* last, for the grant is what somebody waits for */
	pa_dhcp_env_wipe(&env);
	return rc;
}

/* The limit has passed, in syslog() perhaps, which can block: nothing is left but to go. */
static void too_late(int sig)
{
	(void)sig;
	_exit(0);
}

static void too_late_strict(int sig)
{
	(void)sig;
	_exit(1);
}

int main(int argc, char **argv)
{
	struct options o = {{NULL, NULL, NULL}, getenv("PUBADDR_RUN_DIR"), false, false};
	struct sigaction sa = {.sa_handler = too_late};
	int rc;

	if (o.run_dir == NULL || *o.run_dir == '\0')
		o.run_dir = RUN_DIR;
	if (parse_options(argc, argv, &o) < 0)
		return o.strict ? 2 : 0;
	if (o.done)
		return 0;
	if (o.strict)
		sa.sa_handler = too_late_strict;
	(void)sigaction(SIGALRM, &sa, NULL);
	(void)alarm(LIMIT_S);
	openlog("pubaddr-dhcp-helper", LOG_PID, LOG_DAEMON);
	pa_log_init("pubaddr-dhcp-helper", PA_LOG_INFO);
	pa_log_set_sink(to_syslog);
	rc = run(&o);
	return rc < 0 && o.strict ? 1 : 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "common/edge_daemon.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/edge_file.h"
#include "common/edge_notify.h"
#include "common/err.h"
#include "common/ifname.h"
#include "common/log.h"
#include "config.h"

static void usage(FILE *f, const struct pa_daemon *d)
{
	fprintf(f, "usage: %s %s[-dhtV] [-c FILE]%s\n", d->program, d->per_interface ? "-i IFACE " : "",
		d->cleans_up ? " [--cleanup]" : "");
	if (d->per_interface)
		fprintf(f, "  -i IFACE   the interface towards the NAT\n");
	fprintf(f, "  -c FILE    configuration (default: %s%s%s)\n"
		   "  -t         test the configuration and exit\n"
		   "  -d         log everything (default: what the configuration's log-level says)\n",
		d->config, d->own_config != NULL ? "; before it " : "", d->own_config != NULL ? d->own_config : "");
	if (d->cleans_up)
		fprintf(f, "  --cleanup  remove what a daemon left that died and does not come back, and exit\n");
	fprintf(f, "  -V         print the version and exit\n"
		   "  -h         print this and exit\n");
}

static int wrong(const struct pa_daemon *d, const char *what, const char *arg, const char *remedy)
{
	fprintf(stderr, "%s: %s%s%s\n", d->program, what, arg, remedy);
	usage(stderr, d);
	return PA_EXIT_USAGE;
}

static int check(const struct pa_daemon *d, const struct pa_daemon_options *o)
{
	if (d->per_interface && o->iface == NULL && !o->test)
		return wrong(d, "-i IFACE is missing: name the interface towards the NAT", "", "");
	if (o->iface != NULL && !pa_ifname_valid(o->iface))
		return wrong(d, "-i: \"", o->iface, "\" is no interface name; expected 1 to 15 letters, digits and . _ - @ + =");
	return -1;
}

int pa_daemon_parse(const struct pa_daemon *d, int argc, char **argv, struct pa_daemon_options *ret)
{
	static const struct option none[] = {{NULL, 0, NULL, 0}};
	static const struct option cleanup[] = {{"cleanup", no_argument, NULL, 'x'}, {NULL, 0, NULL, 0}};
	struct pa_daemon_options o = {.config = d->config};
	int c, rc;

	while ((c = getopt_long(argc, argv, d->per_interface ? "c:i:dhtV" : "c:dhtV", d->cleans_up ? cleanup : none, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config = optarg;
			o.config_named = true;
			break;
		case 'i':
			o.iface = optarg;
			break;
		case 'd':
			o.debug = true;
			break;
		case 'x':
			o.cleanup = true;
			break;
		case 't':
			o.test = true;
			break;
		case 'V':
			printf("%s %s\n", d->program, PACKAGE_VERSION);
			return PA_EXIT_OK;
		case 'h':
			usage(stdout, d);
			return PA_EXIT_OK;
		default:
			usage(stderr, d);
			return PA_EXIT_USAGE;
		}
	}
	if (optind < argc)
		return wrong(d, "unexpected argument: ", argv[optind], "");
	rc = check(d, &o);
	if (rc < 0)
		*ret = o;
	return rc;
}

int pa_daemon_load(const struct pa_daemon *d, const struct pa_daemon_options *o, bool optional, pa_daemon_read read,
		   void *conf_out, struct pa_conf **source)
{
	char err[PA_FILE_ERRLEN], *text = NULL;
	struct pa_conf *conf;
	size_t len;
	int rc = pa_file_read(o->config, false, &text, &len, err);

	if (rc < 0 && (rc != PA_ENOTFOUND || !optional || o->config_named)) {
		fprintf(stderr, "%s: %s\n", d->program, err);
		return rc;
	}
	conf = rc == 0 ? pa_conf_new(o->config, text, len) : pa_conf_new(o->config, "{}", 2);
	free(text);
	rc = conf != NULL ? read(conf, conf_out) : PA_ENOMEM;
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", d->program, rc == PA_EFORMAT ? pa_conf_error(conf) : pa_strerror(rc));
		pa_conf_free(conf);
		return rc;
	}
	*source = conf;
	return 0;
}

struct life {
	const struct pa_daemon_ops *ops;
	void *self;
	uv_loop_t loop;
	uv_signal_t term, intr, hup;
};

static void on_signal(uv_signal_t *h, int signum)
{
	pa_log(PA_LOG_INFO, "daemon.stop", "signal=%d", signum);
	uv_stop(h->loop);
}

static void on_hangup(uv_signal_t *h, int signum)
{
	struct life *l = h->data;

	(void)signum;
	l->ops->reload(l->self);
}

static int open_life(struct life *l, const struct pa_daemon_ops *ops, void *ctx)
{
	char err[PA_SANDBOX_ERRLEN];
	int rc = pa_sandbox_begin(err);

	if (rc < 0) {
		pa_log(PA_LOG_ERROR, "daemon.failed", "reason=\"%s\"", err);
		return rc;
	}
	rc = uv_loop_init(&l->loop) < 0 ? PA_ENOMEM : 0;
	if (rc == 0) {
		l->ops = ops;
		rc = ops->make(&l->loop, ctx, &l->self);
		if (rc < 0)
			(void)uv_loop_close(&l->loop);
	}
	if (rc < 0)
		pa_log(PA_LOG_ERROR, "daemon.failed", "reason=\"%s\"", pa_strerror(rc));
	return rc;
}

static void close_life(struct life *l)
{
	l->ops->stop(l->self);
	(void)uv_run(&l->loop, UV_RUN_DEFAULT);
	l->ops->destroy(l->self);
	(void)uv_loop_close(&l->loop);
}

static void live(struct life *l)
{
	if (l->ops->reload != NULL)
		(void)uv_signal_start(&l->hup, on_hangup, SIGHUP);
	pa_log(PA_LOG_INFO, "daemon.start", "version=%s", PACKAGE_VERSION);
	pa_notify("READY=1");
	(void)uv_run(&l->loop, UV_RUN_DEFAULT);
	pa_notify("STOPPING=1");
}

int pa_daemon_run(const struct pa_daemon_ops *ops, void *ctx)
{
	char err[PA_DAEMON_ERRLEN] = "";
	struct life l;
	int rc;

	if (open_life(&l, ops, ctx) < 0)
		return PA_EXIT_FAILED;
	(void)uv_signal_init(&l.loop, &l.term);
	(void)uv_signal_init(&l.loop, &l.intr);
	(void)uv_signal_init(&l.loop, &l.hup);
	l.hup.data = &l;
	(void)uv_signal_start(&l.term, on_signal, SIGTERM);
	(void)uv_signal_start(&l.intr, on_signal, SIGINT);
	rc = ops->start(l.self, err);
	if (rc == 0)
		rc = pa_sandbox_enter(&ops->needed, err);
	if (rc == 0 && ops->serve != NULL)
		rc = ops->serve(l.self, err);
	if (rc == 0)
		live(&l);
	else
		pa_log(PA_LOG_ERROR, "daemon.failed", "reason=\"%s\"", err);
	uv_close((uv_handle_t *)&l.term, NULL);
	uv_close((uv_handle_t *)&l.intr, NULL);
	uv_close((uv_handle_t *)&l.hup, NULL);
	close_life(&l);
	/* Wrong keys are wrong configuration. */
	return rc == 0 ? PA_EXIT_OK : rc == PA_EFORMAT || rc == PA_EAUTH ? PA_EXIT_USAGE : PA_EXIT_FAILED;
}

int pa_daemon_clean_up(const struct pa_daemon_ops *ops, void *ctx)
{
	char err[PA_DAEMON_ERRLEN] = "";
	struct life l;
	int rc;

	if (open_life(&l, ops, ctx) < 0)
		return PA_EXIT_FAILED;
	rc = ops->clean_up(l.self, err);
	if (rc < 0)
		pa_log(PA_LOG_ERROR, "daemon.failed", "reason=\"%s\"", err);
	close_life(&l);
	return rc < 0 ? PA_EXIT_FAILED : PA_EXIT_OK;
}

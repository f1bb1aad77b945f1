/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr-tunneld: the tunnel's end on the host behind the NAT, one for each interface towards a NAT. */
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/edge_file.h"
#include "common/edge_notify.h"
#include "common/edge_sandbox.h"
#include "common/err.h"
#include "common/log.h"
#include "config.h"
#include "tunnel/cli.h"
#include "tunnel/tunneld_edge.h"

#define PROGRAM "pubaddr-tunneld"

static void on_signal(uv_signal_t *h, int signum)
{
	pa_log(PA_LOG_INFO, "daemon.stop", "signal=%d", signum);
	uv_stop(h->loop);
}

/*
 * An absent file gives the defaults, unless it was named on the command line. *source stays the caller's to free, after ret,
 * which borrows it.
 */
static int read_conf(const struct pa_cli *cli, bool named, struct pa_conf **source, struct pa_tunneld_conf *ret)
{
	char err[PA_FILE_ERRLEN], *text = NULL;
	struct pa_conf *conf;
	size_t len;
	int rc = pa_file_read(cli->config, false, &text, &len, err);

	if (rc < 0 && (rc != PA_ENOTFOUND || named)) {
		fprintf(stderr, "%s: %s\n", PROGRAM, err);
		return rc;
	}
	conf = rc == 0 ? pa_conf_new(cli->config, text, len) : pa_conf_new(cli->config, "{}", 2);
	free(text);
	rc = conf != NULL ? pa_tunneld_conf_read(conf, ret) : PA_ENOMEM;
	if (rc < 0)
		fprintf(stderr, "%s: %s\n", PROGRAM, rc == PA_EFORMAT ? pa_conf_error(conf) : pa_strerror(rc));
	if (rc < 0)
		pa_conf_free(conf);
	else
		*source = conf;
	return rc;
}

/* The users and groups of the configuration, as numbers. An exit code. */
static int resolve(struct pa_tunneld_conf *conf)
{
	char err[PA_PERMIT_ERRLEN];

	if (pa_permit_resolve(&conf->expose, conf->source, "expose", err) == 0 &&
	    pa_permit_resolve(&conf->exec, conf->source, "exec", err) == 0)
		return 0;
	fprintf(stderr, "%s: %s\n", PROGRAM, err);
	return 2;
}

static int run(const struct pa_tunneld_conf *conf, const char *iface)
{
	char err[PA_TUNNELD_ERRLEN] = "";
	static const struct pa_sandbox needed = {.capabilities = UINT64_C(1) << CAP_NET_ADMIN,
						 .allow = PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL | PA_SANDBOX_MARK};
	uv_signal_t term, intr;
	struct pa_tunneld *t = NULL;
	uv_loop_t loop;
	int rc;

	if (uv_loop_init(&loop) < 0 || pa_tunneld_new(&loop, conf, iface, &t) < 0)
		return 1;
	(void)uv_signal_init(&loop, &term);
	(void)uv_signal_init(&loop, &intr);
	(void)uv_signal_start(&term, on_signal, SIGTERM);
	(void)uv_signal_start(&intr, on_signal, SIGINT);
	rc = pa_tunneld_start(t, err);
	if (rc == 0)
		rc = pa_sandbox_enter(&needed, err);
	if (rc == 0) {
		pa_log(PA_LOG_INFO, "daemon.start", "version=%s iface=%s", PACKAGE_VERSION, iface);
		pa_notify("READY=1");
		(void)uv_run(&loop, UV_RUN_DEFAULT);
		pa_notify("STOPPING=1");
	} else {
		pa_log(PA_LOG_ERROR, "daemon.failed", "reason=\"%s\"", err);
	}
	pa_tunneld_stop(t);
	uv_close((uv_handle_t *)&term, NULL);
	uv_close((uv_handle_t *)&intr, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	pa_tunneld_free(t);
	(void)uv_loop_close(&loop);
	/* Wrong keys are wrong configuration: starting again does not help. */
	return rc == 0 ? 0 : rc == PA_EFORMAT || rc == PA_EAUTH ? 2 : 1;
}

static int clean_up(const struct pa_tunneld_conf *conf, const char *iface)
{
	char err[PA_TUNNELD_ERRLEN] = "";
	struct pa_tunneld *t = NULL;
	uv_loop_t loop;
	int rc;

	if (uv_loop_init(&loop) < 0 || pa_tunneld_new(&loop, conf, iface, &t) < 0)
		return 1;
	rc = pa_tunneld_cleanup(t, err);
	if (rc < 0)
		pa_log(PA_LOG_ERROR, "daemon.failed", "reason=\"%s\"", err);
	else
		pa_log(PA_LOG_INFO, "daemon.cleanup", "device=%s", conf->device);
	pa_tunneld_stop(t);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	pa_tunneld_free(t);
	(void)uv_loop_close(&loop);
	return rc < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct pa_cli cli = {.config = NULL};
	struct pa_tunneld_conf conf;
	struct pa_conf *source;
	bool named;
	int rc = pa_cli_parse(argc, argv, PROGRAM, true, &cli);

	if (rc >= 0)
		return rc;
	named = cli.config != NULL;
	if (!named)
		cli.config = PA_TUNNELD_CONF;
	if (cli.iface != NULL && (strlen(cli.iface) > 15 || strchr(cli.iface, '/') != NULL || *cli.iface == '\0')) {
		fprintf(stderr, "%s: -i: \"%s\" is no interface name\n", PROGRAM, cli.iface);
		return 2;
	}
	if (read_conf(&cli, named, &source, &conf) < 0)
		return 2;
	pa_log_init(PROGRAM, cli.debug ? PA_LOG_DEBUG : (enum pa_log_level)conf.log_level);
	(void)signal(SIGPIPE, SIG_IGN);
	rc = resolve(&conf);
	if (rc != 0) {
		/* said already */
	} else if (cli.test) {
		printf("%s: configuration is right\n", cli.config);
	} else if (cli.cleanup) {
		rc = clean_up(&conf, cli.iface);
	} else if (pa_cred_init() < 0) {
		fprintf(stderr, "%s: the system has no random numbers\n", PROGRAM);
		rc = 1;
	} else {
		rc = run(&conf, cli.iface);
	}
	pa_tunneld_conf_clear(&conf);
	pa_conf_free(source);
	return rc;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr-gatewayd: the tunnel's end on the public network. */
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cred.h"
#include "common/edge_file.h"
#include "common/edge_notify.h"
#include "common/edge_sandbox.h"
#include "common/err.h"
#include "common/log.h"
#include "config.h"
#include "tunnel/cli.h"
#include "tunnel/gatewayd_edge.h"
#include "tunnel/gatewayd_keys.h"

#define PROGRAM "pubaddr-gatewayd"

static void on_signal(uv_signal_t *h, int signum)
{
	pa_log(PA_LOG_INFO, "daemon.stop", "signal=%d", signum);
	uv_stop(h->loop);
}

static void on_hangup(uv_signal_t *h, int signum)
{
	(void)signum;
	pa_gatewayd_reload(h->data);
}

/* *source stays the caller's to free, after ret, which borrows it. */
static int read_conf(const char *file, struct pa_conf **source, struct pa_gatewayd_conf *ret)
{
	char err[PA_FILE_ERRLEN];
	struct pa_conf *conf;
	char *text;
	size_t len;
	int rc = pa_file_read(file, false, &text, &len, err);

	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", PROGRAM, err);
		return rc;
	}
	conf = pa_conf_new(file, text, len);
	free(text);
	rc = conf != NULL ? pa_gatewayd_conf_read(conf, ret) : PA_ENOMEM;
	if (rc < 0)
		fprintf(stderr, "%s: %s\n", PROGRAM, rc == PA_EFORMAT ? pa_conf_error(conf) : pa_strerror(rc));
	if (rc < 0)
		pa_conf_free(conf);
	else
		*source = conf;
	return rc;
}

static int run(const struct pa_gatewayd_conf *conf)
{
	char err[PA_GATEWAYD_ERRLEN] = "";
	static const struct pa_sandbox needed = {.capabilities = UINT64_C(1) << CAP_NET_ADMIN,
						 .allow = PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL};
	uv_signal_t term, intr, hup;
	struct pa_gatewayd *g = NULL;
	uv_loop_t loop;
	int rc;

	if (uv_loop_init(&loop) < 0 || pa_gatewayd_new(&loop, conf, &g) < 0)
		return 1;
	(void)uv_signal_init(&loop, &term);
	(void)uv_signal_init(&loop, &intr);
	(void)uv_signal_init(&loop, &hup);
	hup.data = g;
	(void)uv_signal_start(&term, on_signal, SIGTERM);
	(void)uv_signal_start(&intr, on_signal, SIGINT);
	rc = pa_gatewayd_start(g, err);
	if (rc == 0)
		rc = pa_sandbox_enter(&needed, err);
	if (rc == 0) {
		(void)uv_signal_start(&hup, on_hangup, SIGHUP);
		pa_log(PA_LOG_INFO, "daemon.start", "version=%s", PACKAGE_VERSION);
		pa_notify("READY=1");
		(void)uv_run(&loop, UV_RUN_DEFAULT);
		pa_notify("STOPPING=1");
	} else {
		pa_log(PA_LOG_ERROR, "daemon.failed", "reason=\"%s\"", err);
	}
	pa_gatewayd_stop(g);
	uv_close((uv_handle_t *)&term, NULL);
	uv_close((uv_handle_t *)&intr, NULL);
	uv_close((uv_handle_t *)&hup, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	pa_gatewayd_free(g);
	(void)uv_loop_close(&loop);
	/* Wrong keys are wrong configuration: starting again does not help. */
	return rc == 0 ? 0 : rc == PA_EFORMAT || rc == PA_EAUTH ? 2 : 1;
}

static int clean_up(const struct pa_gatewayd_conf *conf)
{
	char err[PA_GATEWAYD_ERRLEN] = "";
	struct pa_gatewayd *g = NULL;
	uv_loop_t loop;
	int rc;

	if (uv_loop_init(&loop) < 0 || pa_gatewayd_new(&loop, conf, &g) < 0)
		return 1;
	rc = pa_gatewayd_cleanup(g, err);
	if (rc < 0)
		pa_log(PA_LOG_ERROR, "daemon.failed", "reason=\"%s\"", err);
	else
		pa_log(PA_LOG_INFO, "daemon.cleanup", "device=%s", conf->device);
	pa_gatewayd_stop(g);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	pa_gatewayd_free(g);
	(void)uv_loop_close(&loop);
	return rc < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct pa_cli cli = {.config = PA_GATEWAYD_CONF};
	struct pa_gatewayd_conf conf;
	struct pa_conf *source;
	char err[PA_GATEWAYD_ERRLEN];
	int rc = pa_cli_parse(argc, argv, PROGRAM, false, &cli);

	if (rc >= 0)
		return rc;
	if (read_conf(cli.config, &source, &conf) < 0)
		return 2;
	pa_log_init(PROGRAM, cli.debug ? PA_LOG_DEBUG : (enum pa_log_level)conf.log_level);
	(void)signal(SIGPIPE, SIG_IGN);
	rc = 0;
	if (cli.test) {
		struct pa_keyring *keys = NULL;

		rc = pa_gatewayd_keys_load(&conf, &keys, err, sizeof(err)) < 0 ? 2 : 0;
		if (rc != 0)
			fprintf(stderr, "%s: %s\n", PROGRAM, err);
		else if (pa_gatewayd_keys_check(&conf, keys))
			printf("%s: configuration is right\n", cli.config);
		else
			printf("%s: configuration is right, but a pool has no key yet\n", cli.config);
		pa_keyring_free(keys);
	} else if (cli.cleanup) {
		rc = clean_up(&conf);
	} else if (pa_cred_init() < 0) {
		fprintf(stderr, "%s: the system has no random numbers\n", PROGRAM);
		rc = 1;
	} else {
		rc = run(&conf);
	}
	pa_gatewayd_conf_clear(&conf);
	pa_conf_free(source);
	return rc;
}

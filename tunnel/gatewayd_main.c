/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr-gatewayd: the tunnel's end on the public network. */
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>

#include "common/cred.h"
#include "common/edge_daemon.h"
#include "common/log.h"
#include "tunnel/gatewayd_edge.h"
#include "tunnel/gatewayd_keys.h"

static const struct pa_daemon gatewayd = {
	.program = "pubaddr-gatewayd", .config = PA_GATEWAYD_CONF, .cleans_up = true};

static int read_conf(struct pa_conf *source, void *conf)
{
	return pa_gatewayd_conf_read(source, conf);
}

static int make(uv_loop_t *loop, void *ctx, void **self)
{
	struct pa_gatewayd *g;
	int rc = pa_gatewayd_new(loop, ctx, &g);

	if (rc == 0)
		*self = g;
	return rc;
}

static int start(void *self, char err[PA_DAEMON_ERRLEN])
{
	return pa_gatewayd_start(self, err);
}

static int serve(void *self, char err[PA_DAEMON_ERRLEN])
{
	return pa_gatewayd_serve(self, err);
}

static int clean_up(void *self, char err[PA_DAEMON_ERRLEN])
{
	return pa_gatewayd_cleanup(self, err);
}

static void reload(void *self)
{
	pa_gatewayd_reload(self);
}

static void stop(void *self)
{
	pa_gatewayd_stop(self);
}

static void destroy(void *self)
{
	pa_gatewayd_free(self);
}

static const struct pa_daemon_ops ops = {
	.make = make,
	.start = start,
	.serve = serve,
	.clean_up = clean_up,
	.reload = reload,
	.stop = stop,
	.destroy = destroy,
	.needed = {.capabilities = UINT64_C(1) << CAP_NET_ADMIN, .allow = PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL | PA_SANDBOX_BPF_MAPS},
};

static int test(const struct pa_daemon_options *o, const struct pa_gatewayd_conf *conf)
{
	char err[PA_GATEWAYD_ERRLEN];
	struct pa_keyring *keys;

	if (pa_gatewayd_keys_load(conf, &keys, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s: %s\n", gatewayd.program, err);
		return PA_EXIT_USAGE;
	}
	printf("%s: configuration is right%s\n", o->config,
	       pa_gatewayd_keys_check(conf, keys) ? "" : ", but a pool has no key yet");
	pa_keyring_free(keys);
	return PA_EXIT_OK;
}

int main(int argc, char **argv)
{
	struct pa_daemon_options o;
	struct pa_gatewayd_conf conf;
	struct pa_conf *source;
	int rc = pa_daemon_parse(&gatewayd, argc, argv, &o);

	if (rc >= 0)
		return rc;
	if (pa_daemon_load(&gatewayd, &o, false, read_conf, &conf, &source) < 0)
		return PA_EXIT_USAGE;
	pa_log_init(gatewayd.program, o.debug ? PA_LOG_DEBUG : (enum pa_log_level)conf.log_level);
	(void)signal(SIGPIPE, SIG_IGN);
	if (o.test) {
		rc = test(&o, &conf);
	} else if (o.cleanup) {
		rc = pa_daemon_clean_up(&ops, &conf);
	} else if (pa_cred_init() < 0) {
		fprintf(stderr, "%s: the system has no random numbers\n", gatewayd.program);
		rc = PA_EXIT_FAILED;
	} else {
		rc = pa_daemon_run(&ops, &conf);
	}
	pa_gatewayd_conf_clear(&conf);
	pa_conf_free(source);
	return rc;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr-relayd: the session relay, beside the gateway. */
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cred.h"
#include "common/edge_daemon.h"
#include "common/log.h"
#include "relay/relayd_edge.h"
#include "tunnel/gatewayd_keys.h"

static const struct pa_daemon relayd = {.program = "pubaddr-relayd", .config = PA_GATEWAYD_CONF, .cleans_up = true};

static int read_conf(struct pa_conf *source, void *conf)
{
	return pa_relayd_conf_read(source, conf);
}

static int make(uv_loop_t *loop, void *ctx, void **self)
{
	struct pa_relayd *g;
	int rc = pa_relayd_new(loop, ctx, &g);

	if (rc == 0)
		*self = g;
	return rc;
}

static int start(void *self, char err[PA_DAEMON_ERRLEN])
{
	return pa_relayd_start(self, err);
}

static int clean_up(void *self, char err[PA_DAEMON_ERRLEN])
{
	return pa_relayd_cleanup(self, err);
}

static void reload(void *self)
{
	pa_relayd_reload(self);
}

static void stop(void *self)
{
	pa_relayd_stop(self);
}

static void destroy(void *self)
{
	pa_relayd_free(self);
}

static const struct pa_daemon_ops ops = {
	.make = make,
	.start = start,
	.clean_up = clean_up,
	.reload = reload,
	.stop = stop,
	.destroy = destroy,
	.needed = {.capabilities = UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_NET_BIND_SERVICE,
		   .allow = PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL},
};

static int test(const struct pa_daemon_options *o, const struct pa_relayd_conf *conf)
{
	char err[PA_RELAYD_ERRLEN];
	struct pa_keyring *keys;

	if (pa_relayd_keys_load(conf, &keys, NULL, err) < 0) {
		fprintf(stderr, "%s: %s\n", relayd.program, err);
		return PA_EXIT_USAGE;
	}
	printf("%s: configuration is right%s\n", o->config,
	       pa_gatewayd_keys_check(&conf->gateway, keys) ? "" : ", but a pool has no key yet");
	pa_keyring_free(keys);
	return PA_EXIT_OK;
}

int main(int argc, char **argv)
{
	struct pa_daemon_options o;
	struct pa_relayd_conf conf;
	struct pa_conf *source;
	int rc = pa_daemon_parse(&relayd, argc, argv, &o);

	if (rc >= 0)
		return rc;
	if (pa_daemon_load(&relayd, &o, false, read_conf, &conf, &source) < 0)
		return PA_EXIT_USAGE;
	pa_log_init(relayd.program, o.debug ? PA_LOG_DEBUG : (enum pa_log_level)conf.gateway.log_level);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Half of libuv's threads may wait for a resolver; of four two, which one client keeps busy with names whose servers are silent. */
	(void)setenv("UV_THREADPOOL_SIZE", "64", 1);
	(void)setenv("LOCALDOMAIN", "", 1); /* resolv.conf(5): no domain of this host is appended to what a client asks for */
	if (o.test) {
		rc = test(&o, &conf);
	} else if (o.cleanup) {
		rc = pa_daemon_clean_up(&ops, &conf);
	} else if (pa_cred_init() < 0) {
		fprintf(stderr, "%s: the system has no random numbers\n", relayd.program);
		rc = PA_EXIT_FAILED;
	} else {
		rc = pa_daemon_run(&ops, &conf);
	}
	pa_relayd_conf_clear(&conf);
	pa_conf_free(source);
	return rc;
}

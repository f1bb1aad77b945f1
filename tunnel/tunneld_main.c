/* SPDX-License-Identifier: MPL-2.0 */
/* pubaddr-tunneld: the tunnel's end on the host behind the NAT, one for each interface towards a NAT. */
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/edge_daemon.h"
#include "common/edge_tls_stream.h"
#include "common/log.h"
#include "tunnel/tunneld_edge.h"

static const struct pa_daemon tunneld = {
	.program = "pubaddr-tunneld", .config = PA_TUNNELD_CONF, .own_config = "tunneld-IFACE.conf beside it, if that is there",
	.per_interface = true, .cleans_up = true};

struct context {
	const struct pa_tunneld_conf *conf;
	const char *iface, *config;
	struct pa_tunneld *daemon;
};

static int read_conf(struct pa_conf *source, void *conf)
{
	return pa_tunneld_conf_read(source, conf);
}

static int make(uv_loop_t *loop, void *ctx, void **self)
{
	struct context *c = ctx;
	int rc = pa_tunneld_new(loop, c->conf, c->iface, &c->daemon);

	if (rc == 0)
		*self = c;
	return rc;
}

/* Can the authorities be read that the relay's certificate is checked by? */
static bool has_ca(const struct pa_tunneld_conf *conf, char err[PA_SOCKS_CONF_ERRLEN])
{
	char why[PA_STREAM_ERRLEN], place[PA_CONF_PLACELEN];
	struct pa_stream_tls *tls;

	if (pa_stream_tls_client(conf->relay.ca, &tls, why) < 0) {
		(void)snprintf(err, PA_SOCKS_CONF_ERRLEN, "%s%s", pa_conf_place(conf->source, "relay.ca", place), why);
		return false;
	}
	pa_stream_tls_free(tls);
	return true;
}

/* The users and groups of the configuration, as numbers, who has a password, and whom to believe. */
static int resolve(struct pa_tunneld_conf *conf)
{
	char err[PA_SOCKS_CONF_ERRLEN];

	if (pa_permit_resolve(&conf->expose, conf->source, "expose", err) == 0 &&
	    pa_permit_resolve(&conf->exec, conf->source, "exec", err) == 0 &&
	    pa_permit_resolve(&conf->relay.users, conf->source, "relay-users", err) == 0 &&
	    pa_socks_conf_resolve(&conf->socks, conf->source, err) == 0 && has_ca(conf, err))
		return PA_EXIT_OK;
	fprintf(stderr, "%s: %s\n", tunneld.program, err);
	return PA_EXIT_USAGE;
}

static int start(void *self, char err[PA_DAEMON_ERRLEN])
{
	return pa_tunneld_start(((struct context *)self)->daemon, err);
}

static int clean_up(void *self, char err[PA_DAEMON_ERRLEN])
{
	return pa_tunneld_cleanup(((struct context *)self)->daemon, err);
}

static void reload(void *self)
{
	pa_tunneld_reload(((struct context *)self)->daemon, ((struct context *)self)->config);
}

static void stop(void *self)
{
	pa_tunneld_stop(((struct context *)self)->daemon);
}

static void destroy(void *self)
{
	pa_tunneld_free(((struct context *)self)->daemon);
}

static const struct pa_daemon_ops ops = {
	.make = make,
	.start = start,
	.clean_up = clean_up,
	.reload = reload,
	.stop = stop,
	.destroy = destroy,
	.needed = {.capabilities = UINT64_C(1) << CAP_NET_ADMIN,
		   .allow = PA_SANDBOX_NETLINK | PA_SANDBOX_IOCTL | PA_SANDBOX_MARK | PA_SANDBOX_BPF_MAPS},
};

/* Daemons of several interfaces need a file each, and systemd's instances are all started by the same line. */
static void prefer_own_file(struct pa_daemon_options *o, char path[PATH_MAX])
{
	if (o->config_named || o->iface == NULL)
		return;
	(void)snprintf(path, PATH_MAX, PA_TUNNELD_CONF_OF, o->iface);
	if (access(path, F_OK) == 0)
		o->config = path;
}

int main(int argc, char **argv)
{
	char own_file[PATH_MAX];
	struct pa_daemon_options o;
	struct pa_tunneld_conf conf;
	struct context ctx = {.conf = &conf};
	struct pa_conf *source;
	int rc = pa_daemon_parse(&tunneld, argc, argv, &o);

	if (rc >= 0)
		return rc;
	prefer_own_file(&o, own_file);
	ctx.iface = o.iface;
	ctx.config = o.config;
	if (pa_daemon_load(&tunneld, &o, true, read_conf, &conf, &source) < 0)
		return PA_EXIT_USAGE;
	pa_log_init(tunneld.program, o.debug ? PA_LOG_DEBUG : (enum pa_log_level)conf.log_level);
	(void)signal(SIGPIPE, SIG_IGN);
	rc = resolve(&conf);
	if (rc != PA_EXIT_OK) {
		/* said already */
	} else if (o.test) {
		printf("%s: configuration is right\n", o.config);
	} else if (o.cleanup) {
		rc = pa_daemon_clean_up(&ops, &ctx);
	} else if (pa_cred_init() < 0) {
		fprintf(stderr, "%s: the system has no random numbers\n", tunneld.program);
		rc = PA_EXIT_FAILED;
	} else {
		rc = pa_daemon_run(&ops, &ctx);
	}
	pa_tunneld_conf_clear(&conf);
	pa_conf_free(source);
	return rc;
}

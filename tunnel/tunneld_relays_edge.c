/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_relays_edge.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/err.h"

/* A socket for each session of a program: as many as we may. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_local(const struct pa_turelay_config *cfg, const struct pa_tunneld_conf *conf, struct pa_tunneld_relays *rs,
		      char err[PA_TUNNELD_RELAYS_ERRLEN])
{
	struct pa_rlocald_config local = {.loop = cfg->loop,
					  .run_dir = conf->run_dir,
					  .iface = cfg->iface,
					  .users = &conf->relay.users,
					  .relay = rs->relay,
					  .pipes = rs->pipes};

	return pa_rlocald_new(&local, &rs->local, err);
}

static int open_socks(const struct pa_turelay_config *cfg, const struct pa_tunneld_conf *conf, struct pa_tunneld_relays *rs, char *err)
{
	const struct pa_socks_config socks = {.loop = cfg->loop, .conf = &conf->socks, .relay = rs->relay, .pipes = rs->pipes};

	return conf->socks.on ? pa_socks_new(&socks, &rs->socks, err) : 0;
}

int pa_tunneld_relays_open(const struct pa_turelay_config *cfg, const struct pa_tunneld_conf *conf, struct pa_tunneld_relays *ret,
			   const char **key, char err[PA_TUNNELD_RELAYS_ERRLEN])
{
	struct pa_turelay_config relay = *cfg;
	int rc;

	raise_limit();
	relay.conf = &conf->relay;
	*key = "relay.ca";
	rc = pa_turelay_new(&relay, &ret->relay, err);
	if (rc < 0)
		return rc;
	*key = "run-dir";
	rc = pa_rpipes_new(cfg->loop, ret->relay, &ret->pipes);
	if (rc < 0) {
		(void)snprintf(err, PA_TUNNELD_RELAYS_ERRLEN, "the relay cannot wait for programs: %s", pa_strerror(rc));
		return rc;
	}
	*key = "run-dir";
	rc = open_local(cfg, conf, ret, err);
	if (rc < 0)
		return rc;
	*key = "socks.listen";
	return open_socks(cfg, conf, ret, err);
}

void pa_tunneld_relays_close(struct pa_tunneld_relays *rs)
{
	pa_socks_close(rs->socks);
	pa_rlocald_close(rs->local);
	pa_turelay_close(rs->relay);
	pa_rpipes_close(rs->pipes);
	memset(rs, 0, sizeof(*rs));
}

json_t *pa_tunneld_relays_status(const struct pa_tunneld_relays *rs)
{
	json_t *obj = pa_turelay_status(rs->relay);

	pa_rlocald_status(rs->local, obj);
	if (rs->socks != NULL)
		(void)json_object_set_new(obj, "socks", pa_socks_status(rs->socks));
	return obj;
}

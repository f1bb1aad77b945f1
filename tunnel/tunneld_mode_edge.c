/* SPDX-License-Identifier: MPL-2.0 */
/* The outbound mode while the daemon runs: the command mode-set, and SIGHUP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/command.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/grant.h"
#include "common/log.h"
#include "tunnel/tunneld_edge.h"

static void refuse(struct pa_request *req, const char *text)
{
	pa_request_replyf(req, PA_RESULT_ERROR, "%s", text);
}

static enum pa_outbound proposed(const struct pa_tunneld_parts *p)
{
	struct pa_client_status s;

	pa_client_status_get(p->client, &s);
	return s.state != PA_CLIENT_IDLE ? (enum pa_outbound)s.claims.outbound : PA_OUT_TUNNEL;
}

void pa_tunneld_mode_set(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	const char *name = json_string_value(json_object_get(pa_request_arguments(req), "mode"));
	char err[PA_TUNNELD_ERRLEN > PA_TUNMODE_ERRLEN ? PA_TUNNELD_ERRLEN : PA_TUNMODE_ERRLEN];
	int mode = name != NULL && strcmp(name, "default") != 0 ? pa_outbound_parse(name) : PA_TUNMODE_NONE;

	if (name == NULL || (mode < 0 && strcmp(name, "default") != 0)) {
		refuse(req, "\"mode\" must be \"tunnel\", \"native\", \"auto\", \"policy\", or \"default\" for what tunneld.conf and the "
			    "grant say");
		return;
	}
	if (pa_tunnet_in_namespace(p.net)) {
		refuse(req, "a program in a network namespace has the public address (pubaddr exec --netns); wait for its end");
		return;
	}
	if (pa_tunmode_choose(p.mode, mode, err) < 0 || pa_tunneld_mode_changed(t, err) < 0) {
		refuse(req, err);
		return;
	}
	pa_request_reply(req, PA_RESULT_SUCCESS, "mode set",
			 json_pack("{s:s, s:s}", "mode", pa_outbound_name(pa_tunmode_now(p.mode, proposed(&p))), "mode-source",
				   pa_tunmode_source(p.mode)));
}

/* The file, or the defaults; NULL after it has been logged what is wrong. */
static struct pa_conf *read_file(const char *config, struct pa_tunneld_conf *ret)
{
	char err[PA_FILE_ERRLEN], *text = NULL;
	struct pa_conf *source;
	size_t len = 0;
	int rc = pa_file_read(config, false, &text, &len, err);

	if (rc < 0 && (rc != PA_ENOTFOUND || strcmp(config, PA_TUNNELD_CONF) != 0)) {
		pa_log(PA_LOG_ERROR, "config.refused", "reason=\"%s\"", err);
		return NULL;
	}
	source = rc == 0 ? pa_conf_new(config, text, len) : pa_conf_new(config, "{}", 2);
	free(text);
	rc = source != NULL ? pa_tunneld_conf_read(source, ret) : PA_ENOMEM;
	if (rc == 0)
		return source;
	pa_log(PA_LOG_ERROR, "config.refused", "reason=\"%s\"", rc == PA_EFORMAT ? pa_conf_error(source) : pa_strerror(rc));
	pa_conf_free(source);
	return NULL;
}

void pa_tunneld_reload(struct pa_tunneld *t, const char *config)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct pa_tunneld_conf conf;
	struct pa_conf *source = read_file(config, &conf);
	char err[PA_TUNNELD_ERRLEN];

	if (source == NULL)
		return;
	pa_tunmode_configure(p.mode, conf.outbound, &conf.auto_ports);
	pa_tunneld_conf_clear(&conf);
	pa_conf_free(source);
	pa_log(PA_LOG_INFO, "config.read", "file=%s", config);
	if (pa_tunneld_mode_changed(t, err) < 0)
		pa_log(PA_LOG_ERROR, "tunnel.failed", "reason=\"%s\"", err);
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gatewayd_drain_edge.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/edge_file.h"
#include "common/err.h"
#include "common/log.h"

struct pa_gatewayd_drain {
	struct pa_gw *gw;
	char path[PATH_MAX];
	bool failing; /* and said so */
};

int pa_gatewayd_drain_new(const struct pa_broker_link_conf *broker, const char *state_file, struct pa_gw *gw, struct pa_now now,
			  struct pa_gatewayd_drain **ret)
{
	struct pa_gatewayd_drain *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return PA_ENOMEM;
	d->gw = gw;
	(void)snprintf(d->path, sizeof(d->path), "%.*s.drained", PATH_MAX - 10, broker->given ? broker->floors_file : state_file);
	if (access(d->path, F_OK) == 0) {
		pa_gw_drain(gw, now, true);
		pa_log(PA_LOG_WARN, "gateway.drained", "reason=\"%s says so; clients are sent to other gateways; to end that: pubaddrctl "
		       "gateway undrain\"", d->path);
	}
	*ret = d;
	return 0;
}

void pa_gatewayd_drain_free(struct pa_gatewayd_drain *d)
{
	free(d);
}

int pa_gatewayd_drain_set(struct pa_gatewayd_drain *d, struct pa_now now, bool on, const char *by)
{
	char err[PA_FILE_ERRLEN];
	int rc = 0;

	if (pa_gw_drained(d->gw) == on)
		return 0;
	if (on)
		rc = pa_file_write(d->path, "", 0, 0600, err);
	else if (unlink(d->path) < 0 && errno != ENOENT) {
		(void)snprintf(err, sizeof(err), "%.200s: cannot remove: %s", d->path, strerror(errno));
		rc = PA_EIO;
	}
	if (rc < 0) {
		if (!d->failing)
			pa_log(PA_LOG_ERROR, "gateway.drain-failed", "drained=%s reason=\"%s\"", on ? "no" : "yes", err);
		d->failing = true;
		return PA_EIO;
	}
	d->failing = false;
	pa_gw_drain(d->gw, now, on);
	pa_log(PA_LOG_INFO, on ? "gateway.drain" : "gateway.undrain", "by=%s bindings=%zu", by, pa_gw_count(d->gw));
	return 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_mode.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/edge_file.h"
#include "common/err.h"
#include "common/grant.h"
#include "common/log.h"

struct pa_tunmode {
	char path[PATH_MAX];
	int conf, chosen;
	struct pa_auto_ports ports;
};

static void read_file(struct pa_tunmode *m)
{
	char err[PA_FILE_ERRLEN], *text;
	size_t len;
	int rc = pa_file_read(m->path, true, &text, &len, err);

	if (rc == PA_ENOTFOUND)
		return;
	if (rc == 0) {
		text[strcspn(text, "\n")] = '\0';
		m->chosen = pa_outbound_parse(text);
		free(text);
		(void)snprintf(err, sizeof(err), "%.200s: holds no outbound mode", m->path);
	}
	if (rc < 0 || m->chosen < 0) {
		pa_log(PA_LOG_WARN, "state.unreadable", "reason=\"%s\"", err);
		m->chosen = PA_TUNMODE_NONE;
	}
}

int pa_tunmode_new(const char *run_dir, const char *iface, int conf, const struct pa_auto_ports *ports, struct pa_tunmode **ret)
{
	struct pa_tunmode *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return PA_ENOMEM;
	if (snprintf(m->path, sizeof(m->path), "%s/tunneld-%s.mode", run_dir, iface) >= (int)sizeof(m->path)) {
		free(m);
		return PA_EINVAL;
	}
	m->chosen = PA_TUNMODE_NONE;
	pa_tunmode_configure(m, conf, ports);
	read_file(m);
	*ret = m;
	return 0;
}

void pa_tunmode_free(struct pa_tunmode *m)
{
	free(m);
}

void pa_tunmode_configure(struct pa_tunmode *m, int conf, const struct pa_auto_ports *ports)
{
	m->conf = conf;
	m->ports = *ports;
}

int pa_tunmode_choose(struct pa_tunmode *m, int mode, char err[PA_TUNMODE_ERRLEN])
{
	char text[16];
	int n;

	if (mode == PA_TUNMODE_NONE) {
		if (unlink(m->path) < 0 && errno != ENOENT) {
			(void)snprintf(err, PA_TUNMODE_ERRLEN, "%.200s: cannot remove: %s", m->path, strerror(errno));
			return PA_EIO;
		}
	} else {
		n = snprintf(text, sizeof(text), "%s\n", pa_outbound_name((unsigned)mode));
		if (pa_file_write(m->path, text, (size_t)n, 0600, err) < 0)
			return PA_EIO;
	}
	m->chosen = mode;
	return 0;
}

enum pa_outbound pa_tunmode_now(const struct pa_tunmode *m, enum pa_outbound grant)
{
	return m->chosen >= 0 ? (enum pa_outbound)m->chosen : m->conf >= 0 ? (enum pa_outbound)m->conf : grant;
}

const char *pa_tunmode_source(const struct pa_tunmode *m)
{
	return m->chosen >= 0 ? "command" : m->conf >= 0 ? "configuration" : "grant";
}

const struct pa_auto_ports *pa_tunmode_ports(const struct pa_tunmode *m)
{
	return &m->ports;
}

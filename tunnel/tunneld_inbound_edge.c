/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_inbound_edge.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/command.h"
#include "common/edge_file.h"
#include "common/err.h"
#include "common/log.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define TIMER_MAX_MS 5000 /* the loop's clock stops while the host sleeps */

struct pa_tuninbound {
	uv_timer_t timer;
	char path[PATH_MAX], boot_id[48];
	const struct pa_inpolicy *conf;
	int (*apply)(void *ctx, char err[PA_TUNINBOUND_ERRLEN]);
	void *ctx;
	struct pa_expose exposed;
	bool has_grant;
	struct pa_claims next_claims, claims; /* of the last grant taken, and of the one in use */
	struct pa_inpolicy next, grant, host, now;
};

/* What does not fit is closed: too strict is mended by a person who notices, too open is noticed by nobody. */
static void compute(struct pa_tuninbound *t)
{
	int rc = pa_expose_host(&t->exposed, t->conf, &t->host);

	t->now = t->host;
	if (rc == 0 && t->has_grant)
		rc = pa_inpolicy_meet(&t->host, &t->grant, &t->now);
	if (rc < 0) {
		pa_log(PA_LOG_ERROR, "inbound.closed", "reason=\"the lists of host and grant have more than %d entries together\"",
		       PA_INRULES_MAX);
		t->now.kind = PA_IN_CLOSED;
	}
}

static void on_timer(uv_timer_t *h);

static void schedule(struct pa_tuninbound *t)
{
	uint64_t next = pa_expose_next(&t->exposed), now = pa_now_get().boot_ms, wait = next > now ? next - now : 0;

	if (next == UINT64_MAX)
		(void)uv_timer_stop(&t->timer);
	else
		(void)uv_timer_start(&t->timer, on_timer, wait < TIMER_MAX_MS ? wait : TIMER_MAX_MS, 0);
}

static int put_file(const struct pa_tuninbound *t, const struct pa_expose *x, char err[PA_TUNINBOUND_ERRLEN])
{
	json_t *v = pa_expose_json(x, t->boot_id);
	char *line = NULL, detail[PA_FILE_ERRLEN] = "out of memory";
	size_t len;
	int rc = PA_ENOMEM;

	if (v != NULL)
		line = pa_json_line(v, &len);
	if (line != NULL)
		rc = pa_file_write(t->path, line, len, 0600, detail);
	if (rc < 0)
		(void)snprintf(err, PA_TUNINBOUND_ERRLEN, "%s", detail);
	free(line);
	json_decref(v);
	return rc;
}

int pa_tuninbound_replace(struct pa_tuninbound *t, const struct pa_expose *x, char err[PA_TUNINBOUND_ERRLEN])
{
	struct pa_expose old = t->exposed;
	int rc = put_file(t, x, err);

	if (rc < 0)
		return rc;
	t->exposed = *x;
	compute(t);
	rc = t->apply(t->ctx, err);
	if (rc < 0) {
		char detail[PA_TUNINBOUND_ERRLEN];

		t->exposed = old;
		compute(t);
		if (put_file(t, &old, detail) < 0)
			pa_log(PA_LOG_ERROR, "state.unwritable", "reason=\"%s\"", detail);
	}
	schedule(t);
	return rc;
}

static void on_timer(uv_timer_t *h)
{
	struct pa_tuninbound *t = h->data;
	struct pa_expose x = t->exposed;
	char err[PA_TUNINBOUND_ERRLEN];

	if (!pa_expose_expire(&x, pa_now_get().boot_ms)) {
		schedule(t);
		return;
	}
	pa_log(PA_LOG_INFO, "inbound.ended", "ended=%zu left=%zu", t->exposed.n - x.n, x.n);
	/* The end comes even if the disk is full: the file's entries have their ends in them. */
	t->exposed = x;
	compute(t);
	if (put_file(t, &x, err) < 0)
		pa_log(PA_LOG_ERROR, "state.unwritable", "reason=\"%s\"", err);
	if (t->apply(t->ctx, err) < 0)
		pa_log(PA_LOG_ERROR, "tunnel.failed", "reason=\"%s\"", err);
	schedule(t);
}

static void read_file(struct pa_tuninbound *t)
{
	char err[PA_FILE_ERRLEN], *text;
	json_t *v;
	size_t len;
	int rc = pa_file_read(t->path, true, &text, &len, err);

	if (rc == PA_ENOTFOUND)
		return;
	if (rc < 0) {
		pa_log(PA_LOG_WARN, "state.unreadable", "reason=\"%s\"", err);
		return;
	}
	v = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	rc = pa_expose_read(v, t->boot_id, pa_now_get().boot_ms, &t->exposed);
	json_decref(v);
	if (rc == PA_EFORMAT)
		pa_log(PA_LOG_WARN, "state.unreadable", "reason=\"%s: not a file of this version\"", t->path);
}

int pa_tuninbound_new(const struct pa_tuninbound_config *cfg, struct pa_tuninbound **ret)
{
	struct pa_tuninbound *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return PA_ENOMEM;
	if (snprintf(t->path, sizeof(t->path), "%s/expose-%s.json", cfg->run_dir, cfg->iface) >= (int)sizeof(t->path)) {
		free(t);
		return PA_EINVAL;
	}
	t->conf = cfg->host;
	t->apply = cfg->apply;
	t->ctx = cfg->ctx;
	if (pa_proc_read(BOOT_ID, t->boot_id, sizeof(t->boot_id)) < 0)
		(void)snprintf(t->boot_id, sizeof(t->boot_id), "unknown");
	t->boot_id[strcspn(t->boot_id, "\n")] = '\0';
	read_file(t);
	compute(t);
	(void)uv_timer_init(cfg->loop, &t->timer);
	t->timer.data = t;
	schedule(t);
	*ret = t;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void pa_tuninbound_close(struct pa_tuninbound *t)
{
	if (t != NULL)
		uv_close((uv_handle_t *)&t->timer, on_closed);
}

void pa_tuninbound_granted(struct pa_tuninbound *t, const struct pa_grant *g)
{
	t->next_claims = g->claims;
	pa_grant_inpolicy(g, &t->next);
}

void pa_tuninbound_bound(struct pa_tuninbound *t, const struct pa_claims *c)
{
	if (pa_claims_eq(c, &t->next_claims))
		t->grant = t->next;
	else if (!t->has_grant || !pa_claims_eq(c, &t->claims))
		t->grant.kind = PA_IN_CLOSED; /* of a grant whose policy is not known: opens nothing, whatever another one did */
	t->claims = *c;
	t->has_grant = true;
	compute(t);
}

void pa_tuninbound_ended(struct pa_tuninbound *t)
{
	t->has_grant = false;
	compute(t);
}

const struct pa_inpolicy *pa_tuninbound_now(const struct pa_tuninbound *t)
{
	return &t->now;
}

const struct pa_inpolicy *pa_tuninbound_grant(const struct pa_tuninbound *t)
{
	return t->has_grant ? &t->grant : NULL;
}

const struct pa_inpolicy *pa_tuninbound_host(const struct pa_tuninbound *t)
{
	return &t->host;
}

const struct pa_expose *pa_tuninbound_exposed(const struct pa_tuninbound *t)
{
	return &t->exposed;
}

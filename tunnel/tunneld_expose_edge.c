/* SPDX-License-Identifier: MPL-2.0 */
/* The commands expose, expose-list and expose-remove. */
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/status_json.h"
#include "tunnel/tunneld_edge.h"

static const char *extent_name(enum pa_expose_extent e)
{
	return e == PA_EXPOSE_ALL ? "all" : e == PA_EXPOSE_PART ? "part" : "none";
}

static bool permitted(const struct pa_tunneld_parts *p, struct pa_request *req)
{
	if (pa_permit_allows(&p->conf->expose, req))
		return true;
	pa_tunneld_log_denied(p, req);
	pa_request_replyf(req, PA_RESULT_ERROR, "permission denied: only root, and whom \"expose\" in tunneld.conf names, may do this");
	return false;
}

/* The rule of the request, or false after a reply. */
static bool read_rule(struct pa_request *req, struct pa_inrule *ret)
{
	const char *text = json_string_value(json_object_get(pa_request_arguments(req), "rule"));

	if (text != NULL && pa_inrule_parse(text, ret) == 0)
		return true;
	pa_request_replyf(req, PA_RESULT_ERROR, "\"%.60s\" is nothing that can be exposed; expected for example 5060/udp, "
			  "1024-2048/tcp, icmp or gre, maybe with \" from 198.51.100.0/24\" behind it", text != NULL ? text : "");
	return false;
}

/* 0: no end. */
static bool read_end(struct pa_request *req, uint64_t now_ms, uint64_t *ret)
{
	const json_t *v = json_object_get(pa_request_arguments(req), "for");

	*ret = 0;
	if (v == NULL)
		return true;
	if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 366 * 86400) {
		pa_request_replyf(req, PA_RESULT_ERROR, "\"for\" must be seconds, 1 to 366 days");
		return false;
	}
	*ret = now_ms + (uint64_t)json_integer_value(v) * 1000;
	return true;
}

/* How much of the rule the grant lets in; all of it while there is none. */
static enum pa_expose_extent granted(const struct pa_tunneld_parts *p, const struct pa_inrule *r)
{
	const struct pa_inpolicy *g = pa_tuninbound_grant(p->inbound);

	return g == NULL ? PA_EXPOSE_ALL : pa_expose_extent_of(g, r);
}

static const char *remark(const struct pa_tunneld_parts *p, enum pa_expose_extent extent)
{
	if (extent == PA_EXPOSE_PART)
		return "; the grant lets in only a part of it, and the stricter of host and grant holds (pubaddr expose --list)";
	if (p->conf->inbound.kind == PA_IN_OPEN)
		return "; it changes nothing as long as the host's own policy is \"open\"";
	if (pa_tuninbound_grant(p->inbound) == NULL)
		return "; there is no public address now, what a grant lets in will show when it comes";
	return "";
}

static void not_added(int rc, char err[PA_TUNINBOUND_ERRLEN])
{
	if (rc == PA_EDENIED)
		(void)snprintf(err, PA_TUNINBOUND_ERRLEN, "another user has exposed it");
	else if (rc == PA_ELIMIT)
		(void)snprintf(err, PA_TUNINBOUND_ERRLEN, "a user may have %d entries, all users but root %d; remove one (pubaddr expose --list)",
			       PA_EXPOSED_SHARE, PA_EXPOSED_MAX - PA_EXPOSED_SHARE);
	else
		(void)snprintf(err, PA_TUNINBOUND_ERRLEN, "%d entries are the most", PA_EXPOSED_MAX);
}

void pa_tunneld_expose(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	struct pa_exposed e = {.uid = pa_request_uid(req)};
	char err[PA_TUNINBOUND_ERRLEN] = "", text[PA_INRULE_STRLEN];
	enum pa_expose_extent extent;
	struct pa_expose x;
	unsigned held;
	int rc;

	if (!permitted(&p, req) || !read_rule(req, &e.rule) || !read_end(req, pa_now_get().boot_ms, &e.until_ms))
		return;
	(void)pa_inrule_format(&e.rule, text);
	extent = granted(&p, &e.rule);
	if (extent == PA_EXPOSE_NONE) {
		pa_request_replyf(req, PA_RESULT_ERROR, "the grant lets nothing of %s in, and the stricter of host and grant holds; nothing "
				  "was changed. What the grant lets in is up to the operator of the broker", text);
		return;
	}
	x = *pa_tuninbound_exposed(p.inbound);
	rc = pa_expose_add(&x, &e);
	if (rc == 0)
		rc = pa_tuninbound_replace(p.inbound, &x, err);
	else
		not_added(rc, err);
	if (rc < 0) {
		pa_request_replyf(req, PA_RESULT_ERROR, "cannot expose %s: %s", text, err);
		return;
	}
	if (pa_tunneld_may_log(&p, &held))
		pa_log(PA_LOG_INFO, "inbound.exposed", "rule=\"%s\" uid=%u granted=%s held-back=%u", text, (unsigned)e.uid,
		       extent_name(extent), held);
	(void)snprintf(err, sizeof(err), "%s is exposed%s", text, remark(&p, extent));
	pa_request_reply(req, PA_RESULT_SUCCESS, err, json_pack("{s:s, s:s}", "rule", text, "granted", extent_name(extent)));
}

void pa_tunneld_expose_remove(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	char err[PA_TUNINBOUND_ERRLEN], text[PA_INRULE_STRLEN];
	struct pa_inrule r;
	struct pa_expose x;
	unsigned held;
	int rc;

	if (!permitted(&p, req) || !read_rule(req, &r))
		return;
	(void)pa_inrule_format(&r, text);
	x = *pa_tuninbound_exposed(p.inbound);
	rc = pa_expose_remove(&x, &r, pa_request_uid(req));
	if (rc == 0)
		rc = pa_tuninbound_replace(p.inbound, &x, err);
	else
		(void)snprintf(err, sizeof(err), rc == PA_EDENIED ? "another user has exposed it" : "pubaddr expose did not add it");
	if (rc < 0) {
		pa_request_replyf(req, rc == PA_ENOTFOUND ? PA_RESULT_EMPTY : PA_RESULT_ERROR, "cannot remove %s: %s", text, err);
		return;
	}
	if (pa_tunneld_may_log(&p, &held))
		pa_log(PA_LOG_INFO, "inbound.removed", "rule=\"%s\" uid=%u held-back=%u", text, (unsigned)pa_request_uid(req), held);
	pa_request_replyf(req, PA_RESULT_SUCCESS, "%s is exposed no more; connections that exist go on", text);
}

void pa_tunneld_expose_list(struct pa_tunneld *t, struct pa_request *req)
{
	struct pa_tunneld_parts p = pa_tunneld_parts_of(t);
	const struct pa_inpolicy *grant = pa_tuninbound_grant(p.inbound);
	const struct pa_expose *x = pa_tuninbound_exposed(p.inbound);
	uint64_t now = pa_now_get().boot_ms;
	json_t *list = json_array(), *obj;

	for (size_t i = 0; i < x->n; i++) {
		const struct pa_exposed *e = &x->items[i];
		char text[PA_INRULE_STRLEN];

		obj = json_pack("{s:s, s:I, s:s}", "rule", pa_inrule_format(&e->rule, text), "uid", (json_int_t)e->uid, "granted",
				extent_name(granted(&p, &e->rule)));
		if (e->until_ms > now)
			(void)json_object_set_new(obj, "seconds-left", json_integer((json_int_t)((e->until_ms - now + 999) / 1000)));
		(void)json_array_append_new(list, obj);
	}
	obj = json_pack("{s:o, s:o, s:o}", "host", pa_inpolicy_json(&p.conf->inbound), "effective",
			pa_inpolicy_json(pa_tuninbound_now(p.inbound)), "exposed", list);
	if (grant != NULL)
		(void)json_object_set_new(obj, "grant", pa_inpolicy_json(grant));
	pa_request_reply(req, PA_RESULT_SUCCESS, "", obj);
}

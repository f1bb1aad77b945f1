/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/expose.h"

#include <string.h>

#include "common/err.h"

#define VERSION 1
#define DURATION_MAX (UINT64_C(366) * 86400)

static struct pa_exposed *find(struct pa_expose *x, const struct pa_inrule *r)
{
	for (size_t i = 0; i < x->n; i++)
		if (pa_inrule_eq(&x->items[i].rule, r))
			return &x->items[i];
	return NULL;
}

/* So that one user, or all of them, cannot keep the others out, or root. */
static bool has_room(const struct pa_expose *x, uint32_t uid)
{
	size_t own = 0, users = 0;

	for (size_t i = 0; i < x->n; i++) {
		own += x->items[i].uid == uid;
		users += x->items[i].uid != 0;
	}
	return uid == 0 || (own < PA_EXPOSED_SHARE && users < PA_EXPOSED_MAX - PA_EXPOSED_SHARE);
}

int pa_expose_add(struct pa_expose *x, const struct pa_exposed *e)
{
	struct pa_exposed *old = find(x, &e->rule);

	if (old != NULL && e->uid != 0 && old->uid != e->uid)
		return PA_EDENIED;
	if (old == NULL && x->n == PA_EXPOSED_MAX)
		return PA_ENOMEM;
	if (old == NULL && !has_room(x, e->uid))
		return PA_ELIMIT;
	if (old == NULL)
		old = &x->items[x->n++];
	*old = *e;
	return 0;
}

int pa_expose_remove(struct pa_expose *x, const struct pa_inrule *r, uint32_t uid)
{
	struct pa_exposed *e = find(x, r);

	if (e == NULL)
		return PA_ENOTFOUND;
	if (uid != 0 && e->uid != uid)
		return PA_EDENIED;
	memmove(e, e + 1, (size_t)(&x->items[x->n] - (e + 1)) * sizeof(*e));
	x->n--;
	return 0;
}

bool pa_expose_expire(struct pa_expose *x, uint64_t now_ms)
{
	size_t kept = 0, n = x->n;

	for (size_t i = 0; i < n; i++)
		if (x->items[i].until_ms == 0 || x->items[i].until_ms > now_ms)
			x->items[kept++] = x->items[i];
	x->n = kept;
	return kept < n;
}

uint64_t pa_expose_next(const struct pa_expose *x)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < x->n; i++)
		if (x->items[i].until_ms != 0 && x->items[i].until_ms < next)
			next = x->items[i].until_ms;
	return next;
}

int pa_expose_host(const struct pa_expose *x, const struct pa_inpolicy *conf, struct pa_inpolicy *ret)
{
	struct pa_inpolicy p = *conf;

	if (p.kind != PA_IN_OPEN && x->n > 0) {
		if (p.kind == PA_IN_CLOSED)
			p.n = 0;
		p.kind = PA_IN_LIST;
		for (size_t i = 0; i < x->n; i++)
			if (pa_inpolicy_add(&p, &x->items[i].rule) < 0)
				return PA_ENOMEM;
	}
	*ret = p;
	return 0;
}

enum pa_expose_extent pa_expose_extent_of(const struct pa_inpolicy *p, const struct pa_inrule *r)
{
	enum pa_expose_extent extent = PA_EXPOSE_NONE;

	if (p->kind == PA_IN_OPEN)
		return PA_EXPOSE_ALL;
	for (size_t i = 0; p->kind == PA_IN_LIST && i < p->n; i++) {
		struct pa_inrule met;

		if (!pa_inrule_meet(&p->rules[i], r, &met))
			continue;
		if (pa_inrule_eq(&met, r))
			return PA_EXPOSE_ALL;
		extent = PA_EXPOSE_PART;
	}
	return extent;
}

json_t *pa_expose_json(const struct pa_expose *x, const char *boot_id)
{
	json_t *list = json_array();

	for (size_t i = 0; i < x->n; i++) {
		const struct pa_exposed *e = &x->items[i];
		char text[PA_INRULE_STRLEN];

		(void)json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "rule", pa_inrule_format(&e->rule, text), "until",
							    (json_int_t)e->until_ms, "uid", (json_int_t)e->uid));
	}
	return json_pack("{s:i, s:s, s:o}", "version", VERSION, "boot-id", boot_id, "exposed", list);
}

static int read_item(const json_t *v, struct pa_exposed *ret)
{
	const char *text = json_string_value(json_object_get(v, "rule"));
	const json_t *until = json_object_get(v, "until"), *uid = json_object_get(v, "uid");
	struct pa_exposed e;

	if (text == NULL || pa_inrule_parse(text, &e.rule) < 0 || !json_is_integer(until) || json_integer_value(until) < 0 ||
	    !json_is_integer(uid) || json_integer_value(uid) < 0 || json_integer_value(uid) > UINT32_MAX)
		return PA_EFORMAT;
	e.until_ms = (uint64_t)json_integer_value(until);
	e.uid = (uint32_t)json_integer_value(uid);
	*ret = e;
	return 0;
}

int pa_expose_read(const json_t *v, const char *boot_id, uint64_t now_ms, struct pa_expose *ret)
{
	const char *boot = json_string_value(json_object_get(v, "boot-id"));
	const json_t *list = json_object_get(v, "exposed");
	struct pa_expose x = {.n = 0};

	if (json_integer_value(json_object_get(v, "version")) != VERSION || boot == NULL || !json_is_array(list))
		return PA_EFORMAT;
	if (strcmp(boot, boot_id) != 0)
		return PA_EEXPIRED;
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct pa_exposed e;

		if (read_item(json_array_get(list, i), &e) < 0 || pa_expose_add(&x, &e) < 0)
			return PA_EFORMAT;
	}
	(void)pa_expose_expire(&x, now_ms);
	*ret = x;
	return 0;
}

int pa_duration_parse(const char *s, uint64_t *ret_s)
{
	uint64_t v = 0, unit = 1;
	size_t n = strspn(s, "0123456789");

	if (n == 0 || n > 9)
		return PA_EFORMAT;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (uint64_t)(s[i] - '0');
	if (s[n] != '\0') {
		static const char names[] = "smhd";
		static const uint64_t units[] = {1, 60, 3600, 86400};
		const char *at = strchr(names, s[n]);

		if (at == NULL || s[n + 1] != '\0')
			return PA_EFORMAT;
		unit = units[at - names];
	}
	if (v == 0 || v > DURATION_MAX / unit)
		return PA_EFORMAT;
	*ret_s = v * unit;
	return 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/channel.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/proto.h"

#define REPORT_MAX 200 /* bindings in one command */

struct pa_channel {
	char *name;
	struct pa_floors *floors;
	struct pa_gw *gw;
	uint64_t stored;  /* number up to which the floors are on the disk */
	uint64_t reports; /* number up to which other gateways' bindings are known */
	struct pa_addr *unreported;
	size_t n, cap, sent; /* sent: how many of them are under way */
	bool all;	     /* memory ran out: report everything again */
	struct pa_channel_status st;
};

int pa_channel_new(const char *name, struct pa_floors *floors, struct pa_gw *gw, struct pa_channel **ret)
{
	struct pa_channel *ch = calloc(1, sizeof(*ch));

	if (ch == NULL || (ch->name = strdup(name)) == NULL) {
		free(ch);
		return PA_ENOMEM;
	}
	ch->floors = floors;
	ch->gw = gw;
	ch->stored = pa_floors_number(floors);
	*ret = ch;
	return 0;
}

void pa_channel_free(struct pa_channel *ch)
{
	if (ch == NULL)
		return;
	free(ch->name);
	free(ch->unreported);
	free(ch);
}

/* ---------------------------------------------------------------- floors */

json_t *pa_channel_sync(struct pa_channel *ch, struct pa_now now, bool wait)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:i}", "name", ch->name, "from", (json_int_t)ch->stored, "reports",
			 (json_int_t)ch->reports, "time", (json_int_t)now.unix_ms, "wait", wait ? PA_CHANNEL_WAIT : 0);
}

/* [ADDRESS, N] or [ADDRESS, N, M] of an answer. */
static bool read_item(const json_t *item, struct pa_addr *addr, uint64_t *ret, size_t n)
{
	const char *text = json_string_value(json_array_get(item, 0));

	if (text == NULL || pa_addr_parse(text, addr) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(item, i + 1);

		if (!json_is_integer(v) || json_integer_value(v) < 0)
			return false;
		ret[i] = (uint64_t)json_integer_value(v);
	}
	return true;
}

static int raise_floor(struct pa_channel *ch, struct pa_now now, const struct pa_addr *addr, uint64_t epoch)
{
	int rc = pa_floors_raise(ch->floors, addr, epoch);

	if (rc > 0)
		pa_gw_floor_raised(ch->gw, now, addr);
	return rc;
}

static int take_floors(struct pa_channel *ch, struct pa_now now, const json_t *list)
{
	struct pa_addr addr;
	uint64_t epoch;

	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!read_item(json_array_get(list, i), &addr, &epoch, 1))
			return PA_EFORMAT;
		if (raise_floor(ch, now, &addr, epoch) < 0)
			return PA_ENOMEM;
	}
	return 0;
}

static int take_bindings(struct pa_channel *ch, struct pa_now now, const json_t *list)
{
	struct pa_addr addr;
	uint64_t v[2];

	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!read_item(json_array_get(list, i), &addr, v, 2))
			return PA_EFORMAT;
		pa_gw_superseded(ch->gw, now, &addr, v[0], v[1]);
		/* The epoch of a binding that was made is one that the broker gave: nothing below it is good any more. */
		if (raise_floor(ch, now, &addr, v[0]) < 0)
			return PA_ENOMEM;
	}
	return 0;
}

static void take_time(struct pa_channel *ch, struct pa_now now, const json_t *time)
{
	if (!json_is_integer(time))
		return;
	ch->st.skew_ms = (int64_t)json_integer_value(time) - (int64_t)now.unix_ms;
	ch->st.has_skew = true;
	ch->st.skewed = llabs(ch->st.skew_ms) > PA_CLOCK_SKEW_MAX * 1000;
}

int pa_channel_answer(struct pa_channel *ch, struct pa_now now, const json_t *arguments)
{
	const json_t *floors = json_object_get(arguments, "floors"), *bindings = json_object_get(arguments, "bindings");
	const json_t *number = json_object_get(arguments, "number"), *reports = json_object_get(arguments, "reports");
	const json_t *more = json_object_get(arguments, "more");
	bool synced = pa_floors_synced(ch->floors);
	int rc;

	if (!json_is_array(floors) || !json_is_array(bindings) || !json_is_integer(number) ||
	    json_integer_value(number) < 0 || !json_is_integer(reports) || json_integer_value(reports) < 0 ||
	    !json_is_boolean(more))
		return PA_EFORMAT;
	rc = take_floors(ch, now, floors);
	if (rc == 0)
		rc = take_bindings(ch, now, bindings);
	if (rc < 0)
		return rc;
	take_time(ch, now, json_object_get(arguments, "time"));
	ch->st.synced_ms = now.boot_ms;
	ch->reports = (uint64_t)json_integer_value(reports);
	pa_floors_mark(ch->floors, (uint64_t)json_integer_value(number), json_is_false(more));
	if (pa_floors_number(ch->floors) != ch->stored || pa_floors_synced(ch->floors) != synced)
		return PA_CHANNEL_STORE;
	return PA_CHANNEL_IDLE;
}

void pa_channel_stored(struct pa_channel *ch, uint64_t number)
{
	ch->stored = number;
}

/* ---------------------------------------------------------------- reports */

static void add_unreported(struct pa_channel *ch, const struct pa_addr *addr)
{
	for (size_t i = ch->sent; i < ch->n && ch->n < REPORT_MAX; i++)
		if (pa_addr_eq(&ch->unreported[i], addr))
			return;
	if (ch->n == ch->cap) {
		size_t cap = ch->cap > 0 ? 2 * ch->cap : 64;
		struct pa_addr *list = reallocarray(ch->unreported, cap, sizeof(*list));

		if (list == NULL) {
			ch->all = true;
			return;
		}
		ch->unreported = list;
		ch->cap = cap;
	}
	ch->unreported[ch->n++] = *addr;
}

void pa_channel_bound(struct pa_channel *ch, const struct pa_gw_binding *b)
{
	add_unreported(ch, &b->claims.addr);
}

static bool add_each(void *arg, const struct pa_gw_binding *b)
{
	add_unreported(arg, &b->claims.addr);
	return true;
}

void pa_channel_connected(struct pa_channel *ch)
{
	ch->n = ch->sent = 0;
	ch->all = false;
	pa_gw_each(ch->gw, add_each, ch);
}

json_t *pa_channel_report(struct pa_channel *ch)
{
	json_t *list, *ret;
	size_t n;

	if (ch->n == 0 && ch->all)
		pa_channel_connected(ch);
	if (ch->n == 0)
		return NULL;
	list = json_array();
	n = ch->n < REPORT_MAX ? ch->n : REPORT_MAX;
	for (size_t i = 0; i < n; i++) {
		char text[PA_ADDR_STRLEN];
		struct pa_gw_binding b;

		/* What has ended by now needs no report: another gateway's binding would only be mistaken for older. */
		if (pa_gw_find(ch->gw, &ch->unreported[i], &b) == 0)
			(void)json_array_append_new(list, json_pack("[s, I, I]", pa_addr_format(&b.claims.addr, text),
								    (json_int_t)b.claims.epoch, (json_int_t)b.bind));
	}
	ret = json_pack("{s:s, s:o}", "name", ch->name, "bindings", list);
	if (ret != NULL)
		ch->sent = n;
	return ret;
}

void pa_channel_reported(struct pa_channel *ch)
{
	ch->n -= ch->sent;
	memmove(ch->unreported, ch->unreported + ch->sent, ch->n * sizeof(*ch->unreported));
	ch->sent = 0;
}

void pa_channel_status_get(const struct pa_channel *ch, struct pa_channel_status *ret)
{
	*ret = ch->st;
	ret->number = pa_floors_number(ch->floors);
	ret->stored = ch->stored;
	ret->synced = pa_floors_synced(ch->floors);
	ret->unreported = ch->n;
}

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
	/* A broker whose store was replaced asks for the floors: */
	uint64_t tell, told;  /* the number of that recovery, and the one for which all of them have been told; 0: none */
	size_t next, end;     /* slots of the floors: where to go on, and where the ones under way end */
	size_t slots;	      /* how many there were when the telling began */
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
	ch->st.drain = -1;
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
	size_t unreported = ch->n + (ch->all ? 1 : 0);

	return json_pack("{s:s, s:I, s:I, s:I, s:i, s:I, s:I, s:b}", "name", ch->name, "from", (json_int_t)ch->stored, "reports",
			 (json_int_t)ch->reports, "time", (json_int_t)now.unix_ms, "wait", wait ? PA_CHANNEL_WAIT : 0, "unreported",
			 (json_int_t)unreported, "told", (json_int_t)ch->told, "drained", (int)pa_gw_drained(ch->gw));
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

static void take_tell(struct pa_channel *ch, const json_t *tell)
{
	uint64_t v = json_is_integer(tell) && json_integer_value(tell) > 0 ? (uint64_t)json_integer_value(tell) : 0;

	if (v != ch->tell)
		ch->next = ch->end = 0;
	ch->tell = v;
}

int pa_channel_answer(struct pa_channel *ch, struct pa_now now, const json_t *arguments)
{
	const json_t *floors = json_object_get(arguments, "floors"), *bindings = json_object_get(arguments, "bindings");
	const json_t *number = json_object_get(arguments, "number"), *reports = json_object_get(arguments, "reports");
	const json_t *more = json_object_get(arguments, "more"), *drain;
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
	take_tell(ch, json_object_get(arguments, "tell"));
	drain = json_object_get(arguments, "drain");
	ch->st.drain = json_is_boolean(drain) ? json_is_true(drain) : -1;
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
	ch->next = ch->end = 0;
	ch->all = false;
	pa_gw_each(ch->gw, add_each, ch);
}

/* The next floors to be told; NULL when there are none, or no memory. */
static json_t *floors_json(struct pa_channel *ch)
{
	char text[PA_ADDR_STRLEN];
	struct pa_addr addr;
	uint64_t epoch;
	json_t *list;

	if (ch->tell == 0 || ch->tell == ch->told)
		return NULL;
	if (ch->next == 0 || ch->slots != pa_floors_slots(ch->floors))
		ch->next = 0;
	ch->slots = pa_floors_slots(ch->floors);
	list = json_array();
	for (ch->end = ch->next; ch->end < ch->slots && json_array_size(list) < REPORT_MAX; ch->end++)
		if (pa_floors_at(ch->floors, ch->end, &addr, &epoch))
			(void)json_array_append_new(list, json_pack("[s, I]", pa_addr_format(&addr, text), (json_int_t)epoch));
	return list;
}

json_t *pa_channel_report(struct pa_channel *ch)
{
	json_t *list, *ret, *floors;
	size_t n;

	if (ch->n == 0 && ch->all)
		pa_channel_connected(ch);
	floors = floors_json(ch);
	if (ch->n == 0 && floors == NULL)
		return NULL;
	list = json_array();
	n = ch->n < REPORT_MAX ? ch->n : REPORT_MAX;
	for (size_t i = 0; i < n; i++) {
		char text[PA_ADDR_STRLEN];
		struct pa_gw_binding b;

		/* What has ended by now needs no report: another gateway's binding would only be mistaken for older. */
		if (pa_gw_find(ch->gw, &ch->unreported[i], &b) == 0 && !b.moved)
			(void)json_array_append_new(list, json_pack("[s, I, I]", pa_addr_format(&b.claims.addr, text),
								    (json_int_t)b.claims.epoch, (json_int_t)b.bind));
	}
	ret = json_pack("{s:s, s:o, s:o*}", "name", ch->name, "bindings", list, "floors", floors);
	if (ret != NULL)
		ch->sent = n;
	return ret;
}

void pa_channel_reported(struct pa_channel *ch)
{
	ch->n -= ch->sent;
	if (ch->n > 0)
		memmove(ch->unreported, ch->unreported + ch->sent, ch->n * sizeof(*ch->unreported));
	ch->sent = 0;
	if (ch->end > 0 && ch->tell != ch->told) {
		ch->next = ch->end;
		if (ch->end == ch->slots)
			ch->told = ch->tell;
	}
}

void pa_channel_status_get(const struct pa_channel *ch, struct pa_channel_status *ret)
{
	*ret = ch->st;
	ret->number = pa_floors_number(ch->floors);
	ret->stored = ch->stored;
	ret->synced = pa_floors_synced(ch->floors);
	ret->unreported = ch->n;
}

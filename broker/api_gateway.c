/* SPDX-License-Identifier: MPL-2.0 */
/* The commands of gateways: gateway-sync and gateway-report (pubaddr-protocol(7), ONE HOLDER AT A TIME). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/api_cmd.h"
#include "broker/revoke.h"
#include "common/err.h"

/* A reply stays well below PA_COMMAND_LINE_MAX. */
#define FLOORS_MAX 500
#define BINDINGS_MAX 200
#define EPOCH_AHEAD_MS (10ull * 366 * 86400 * 1000) /* ten years */

uint64_t pa_api_gateway_news(const struct pa_api *api)
{
	/* All of them only rise; so does their sum. */
	const struct pa_recovery *list;
	size_t n = pa_lease_recoveries(api->leases, &list);
	uint64_t news = pa_lease_revoked_head(api->leases) + pa_reports_head(api->reports) + pa_reports_wishes(api->reports);

	for (size_t i = 0; i < n; i++)
		news += list[i].since;
	return news;
}

/* The name that the gateway gives; NULL after an error. */
static const char *take_name(struct pa_api_call *c)
{
	const char *name = pa_args_string(&c->args, "name");
	const struct pa_ack *acks;
	size_t n = pa_lease_acks(c->api->leases, &acks);

	if (pa_api_bad_args(c))
		return NULL;
	/* Kea may ask for leases on the same socket, but not speak for a gateway. */
	if (!c->admin) {
		pa_api_set(c, PA_RESULT_ERROR, "permission denied: gateway commands are for root and the broker's own user");
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		if (strcmp(acks[i].name, name) == 0)
			return name;
	pa_api_set(c, PA_RESULT_ERROR, "argument 'name': '%.64s' is not among the gateway-names of brokerd.conf", name);
	return NULL;
}

static void log_gateway(struct pa_api_call *c, enum pa_log_level level, const char *event, const struct pa_gateway_view *v,
			uint64_t from)
{
	c->reply->level = level;
	c->reply->event = event;
	pa_log_format(c->reply->fields, sizeof(c->reply->fields), "gateway=%s acknowledged=%" PRIu64 " head=%" PRIu64
		       " skew-ms=%" PRId64, v->name, from, pa_lease_revoked_head(c->api->leases), v->skew_ms);
}

/* Takes note of a gateway that speaks, and of what its clock says. */
static bool take_presence(struct pa_api_call *c, const char *name, uint64_t time, uint64_t from)
{
	struct pa_gateway_view *v;
	bool fresh, skewed;

	v = pa_reports_seen(c->api->reports, name, c->now.boot_ms, &fresh);
	if (v == NULL) {
		pa_api_give(c, NULL);
		return false;
	}
	if (time != 0) {
		v->skew_ms = (int64_t)time - (int64_t)c->now.unix_ms;
		skewed = llabs(v->skew_ms) > PA_CLOCK_SKEW_MAX * 1000;
		if (skewed != v->skewed)
			log_gateway(c, PA_LOG_WARN, skewed ? "gateway.clock-skew" : "gateway.clock-good", v, from);
		v->skewed = skewed;
	}
	if (fresh && c->reply->event == NULL)
		log_gateway(c, PA_LOG_INFO, "gateway.connect", v, from);
	return true;
}

static json_t *floors_json(struct pa_api_call *c, uint64_t from, uint64_t *ret_to, bool *ret_more)
{
	const struct pa_lease *rows[FLOORS_MAX + 1];
	size_t n = pa_lease_revoked(c->api->leases, from, rows, FLOORS_MAX + 1);
	json_t *list = json_array();
	char addr[PA_ADDR_STRLEN];

	*ret_more = n > FLOORS_MAX;
	if (*ret_more)
		n = FLOORS_MAX;
	*ret_to = *ret_more ? rows[n - 1]->revoked : pa_lease_revoked_head(c->api->leases);
	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(list, json_pack("[s, I]", pa_addr_format(&rows[i]->addr, addr),
							  (json_int_t)pa_lease_floor(rows[i]))) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *bindings_json(struct pa_api_call *c, const char *name, uint64_t from, uint64_t *ret_to)
{
	struct pa_report reports[BINDINGS_MAX];
	size_t n = pa_reports_since(c->api->reports, from, name, reports, BINDINGS_MAX, ret_to);
	json_t *list = json_array();
	char addr[PA_ADDR_STRLEN];

	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(list, json_pack("[s, I, I]", pa_addr_format(&reports[i].addr, addr),
							  (json_int_t)reports[i].epoch, (json_int_t)reports[i].bind)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* How much of what the gateway has the broker knows now. */
static void take_state(struct pa_api_call *c, const char *name, uint64_t told)
{
	bool fresh;
	struct pa_gateway_view *v = pa_reports_seen(c->api->reports, name, c->now.boot_ms, &fresh);
	/* One that does not say is of an older version, and is never complete. */
	bool complete = pa_args_has(&c->args, "unreported") && pa_args_uint_or(&c->args, "unreported", 0, INT64_MAX, 1) == 0;

	if (complete)
		v->complete_ms = c->now.boot_ms;
	pa_api_take_told(c, v, complete ? told : 0);
}

void pa_api_gateway_sync(struct pa_api_call *c)
{
	uint64_t from = pa_args_uint(&c->args, "from", 0, INT64_MAX), time = pa_args_uint_or(&c->args, "time", 1, INT64_MAX, 0);
	uint64_t seen = pa_args_uint_or(&c->args, "reports", 0, INT64_MAX, 0), told = pa_args_uint_or(&c->args, "told", 0, INT64_MAX, 0);
	uint64_t to, reports_to, tell;
	const char *name = take_name(c);
	json_t *floors, *bindings, *drain;
	bool more, idle;

	if (name == NULL)
		return;
	/* A number of another log, from a store that was replaced: begin again; floors do not sink. */
	from = pa_api_check_number(c, name, from);
	PA_REQUIRE(pa_lease_ack(c->api->leases, name, from) == 0);
	if (!take_presence(c, name, time, from))
		return;
	take_state(c, name, told);
	tell = pa_api_recovery_of(c, name);
	floors = floors_json(c, from, &to, &more);
	bindings = bindings_json(c, name, seen, &reports_to);
	drain = pa_api_drain_json(c, name, &idle);
	idle = idle && to == from && reports_to == seen && (tell == 0 || tell == told);
	pa_api_set(c, PA_RESULT_SUCCESS, "%zu floor(s)", json_array_size(floors));
	pa_api_give(c, json_pack("{s:o, s:I, s:b, s:o, s:I, s:I, s:b, s:I, s:o*}", "floors", floors, "number", (json_int_t)to, "more", more,
				 "bindings", bindings, "reports", (json_int_t)reports_to, "time", (json_int_t)c->now.unix_ms,
				 "idle", idle, "tell", (json_int_t)tell, "drain", drain));
}

/* Epochs are Unix milliseconds, perhaps of a clock that was wrong; one that is far off would leave no room for the next ones. */
static bool is_epoch(const struct pa_api_call *c, json_int_t epoch)
{
	return epoch >= 1 && (uint64_t)epoch < c->now.unix_ms + EPOCH_AHEAD_MS;
}

static bool take_binding(struct pa_api_call *c, const char *name, const json_t *item)
{
	const char *text = json_string_value(json_array_get(item, 0));
	json_int_t epoch = json_integer_value(json_array_get(item, 1)), bind = json_integer_value(json_array_get(item, 2));
	struct pa_addr addr;

	if (text == NULL || pa_addr_parse(text, &addr) < 0 || !is_epoch(c, epoch) || bind < 1) {
		pa_args_fail(&c->args, "bindings", "expected a list of [ADDRESS, EPOCH, BIND]");
		return false;
	}
	/* What a gateway says of others' addresses would end bindings there. */
	if (!pa_api_is_served_by(c->api, &addr, name))
		return true;
	if (pa_api_take_epoch(c, name, &addr, (uint64_t)epoch, true) < 0 || pa_lease_bound(c->api->leases, &addr, (uint64_t)epoch) < 0)
		return false;
	/* Only what was leased, so that memory is bounded by the pools. */
	return pa_lease_by_addr(c->api->leases, &addr) == NULL ||
	       pa_reports_put(c->api->reports, name, &addr, (uint64_t)epoch, (uint64_t)bind, c->now.unix_ms) >= 0;
}

static bool take_floor(struct pa_api_call *c, const char *name, const json_t *item)
{
	const char *text = json_string_value(json_array_get(item, 0));
	json_int_t epoch = json_integer_value(json_array_get(item, 1));
	struct pa_addr addr;

	if (text == NULL || pa_addr_parse(text, &addr) < 0 || !is_epoch(c, epoch)) {
		pa_args_fail(&c->args, "floors", "expected a list of [ADDRESS, EPOCH]");
		return false;
	}
	return pa_api_take_epoch(c, name, &addr, (uint64_t)epoch, false) >= 0;
}

void pa_api_gateway_report(struct pa_api_call *c)
{
	const json_t *list = c->args.json != NULL ? json_object_get(c->args.json, "bindings") : NULL;
	const json_t *floors = c->args.json != NULL ? json_object_get(c->args.json, "floors") : NULL;
	const char *name = take_name(c);
	size_t i = 0, k = 0;

	if (name == NULL || !take_presence(c, name, 0, 0))
		return;
	c->reply->event = NULL; /* gateway-sync tells who connects */
	if (!json_is_array(list))
		pa_args_fail(&c->args, "bindings", "expected a list of [ADDRESS, EPOCH, BIND]");
	while (i < json_array_size(list) && take_binding(c, name, json_array_get(list, i)))
		i++;
	/* Told because the broker asked for it, when it recovers. */
	while (k < json_array_size(floors) && take_floor(c, name, json_array_get(floors, k)))
		k++;
	if (pa_api_bad_args(c))
		return;
	if (i < json_array_size(list) || k < json_array_size(floors))
		pa_api_give(c, NULL);
	else
		pa_api_set(c, PA_RESULT_SUCCESS, "%zu binding(s) taken", i);
}

json_t *pa_api_gateways_json(const struct pa_api *api, struct pa_now now)
{
	uint64_t head = pa_lease_revoked_head(api->leases);
	const struct pa_ack *acks;
	size_t n = pa_lease_acks(api->leases, &acks);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct pa_gateway_view *v = pa_reports_view(api->reports, acks[i].name);
		json_t *obj = json_pack("{s:s, s:b, s:I, s:b}", "name", acks[i].name, "connected",
					v != NULL && now.boot_ms < v->seen_ms + PA_GATEWAY_SILENT_MS, "acknowledged",
					(json_int_t)acks[i].number, "up-to-date", acks[i].number == head);

		if (v != NULL) {
			(void)json_object_set_new(obj, "drained", json_boolean(v->drained));
			(void)json_object_set_new(obj, "last-seen-ms", json_integer((json_int_t)(now.boot_ms - v->seen_ms)));
			(void)json_object_set_new(obj, "clock-skew-ms", json_integer((json_int_t)v->skew_ms));
			(void)json_object_set_new(obj, "clock-alarm", json_boolean(v->skewed));
		}
		if (json_array_append_new(list, obj) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

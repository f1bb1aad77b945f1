/* SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/hex.h"
#include "common/log.h"
#include "config.h"
#include "tunnel/gatewayd_edge.h"
#include "tunnel/status_json.h"

#define NAME "pubaddr-gatewayd"

#define FORWARD_SYSCTL "/proc/sys/net/ipv4/ip_forward"

#define ALL_MAX 1000 /* bindings in one reply: a few milliseconds */

bool pa_gatewayd_forwards(void)
{
	char c = '1';
	FILE *f = fopen(FORWARD_SYSCTL, "re");

	if (f != NULL) {
		c = (char)fgetc(f);
		(void)fclose(f);
	}
	return c != '0';
}

static json_t *binding_json(struct pa_gatewayd *g, const struct pa_gw_binding *b)
{
	uint64_t now = pa_now_get().boot_ms;
	struct pa_dp_peer_stats stats;
	json_t *obj = json_pack(
		"{s:o, s:o, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:i, s:b}", "address", pa_addr_json(&b->claims.addr), "mapped",
		pa_endpoint_json(&b->mapped), "pool-id", (int)b->claims.pool_id, "key-id",
		(int)b->claims.key_id, "epoch", (json_int_t)b->claims.epoch, "bind",
		(json_int_t)b->bind, "expires", (json_int_t)b->claims.expires, "bound-for",
		(json_int_t)((now - b->bound_at_ms) / 1000), "last-seen-ms", (json_int_t)(now - b->last_seen_ms), "mtu", (int)b->mtu, "delivering",
		(int)b->delivering);

	if (obj != NULL && b->moved)
		(void)json_object_set_new(obj, "moved", json_true());
	if (pa_path_stats(pa_gatewayd_path(g), &b->claims.addr, NULL, &stats) == 0)
		(void)json_object_set_new(obj, "traffic", pa_peer_stats_json(&stats, now));
	return obj;
}

static json_t *listen_json(const struct pa_gatewayd_conf *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_listen; i++)
		(void)json_array_append_new(list, pa_endpoint_json(&c->listen[i]));
	return list;
}

static json_t *pools_json(const struct pa_gatewayd_conf *c)
{
	json_t *list = json_array();
	char text[PA_PREFIX_STRLEN];

	for (size_t i = 0; i < c->n_pools; i++)
		(void)json_array_append_new(list, json_pack("{s:i, s:s}", "id", (int)c->pools[i].id, "prefix",
							    pa_prefix_format(&c->pools[i].prefix, text)));
	return list;
}

static void status_get(struct pa_gatewayd *g, struct pa_request *req)
{
	const struct pa_gatewayd_conf *c = pa_gatewayd_conf_of(g);
	bool forwards = pa_gatewayd_forwards();
	struct pa_gw_counters counters;
	const char *why, *path = pa_path_name(pa_gatewayd_path(g), &why);
	struct pa_dp_stats stats;
	json_t *obj;

	pa_gw_counters_get(pa_gatewayd_gw(g), &counters);
	(void)pa_path_stats(pa_gatewayd_path(g), NULL, &stats, NULL);
	obj = json_pack("{s:s, s:s, s:I, s:i, s:I, s:o, s:s, s:s, s:o, s:b, s:o, s:o, s:o}", "daemon", NAME, "version", PACKAGE_VERSION,
			"uptime", (json_int_t)((pa_now_get().boot_ms - pa_gatewayd_started_ms(g)) / 1000), "mtu", (int)c->mtu,
			"bindings", (json_int_t)pa_gw_count(pa_gatewayd_gw(g)), "listen", listen_json(c), "device",
			c->device, "data-path", path, "pools", pools_json(c), "forwarding", (int)forwards,
			"counters", pa_gw_counters_json(&counters), "traffic", pa_dp_stats_json(&stats), "broker",
			pa_broker_link_json(pa_gatewayd_broker(g)));
	(void)json_object_set_new(obj, "drained", json_boolean(pa_gw_drained(pa_gatewayd_gw(g))));
	if (obj != NULL && !forwards)
		(void)json_object_set_new(obj, "problem", json_string(PA_GATEWAYD_NOT_FORWARDING));
	if (obj != NULL && c->accelerate)
		(void)json_object_set_new(obj, "accelerated", json_boolean(pa_path_accelerated(pa_gatewayd_path(g))));
	if (obj != NULL && *why != '\0')
		(void)json_object_set_new(obj, "data-path-reason", json_string(why));
	pa_request_reply(req, PA_RESULT_SUCCESS, "", obj);
}

/* From *at on at most limit bindings; *at is then where to go on, UINT32_MAX: there are no more. */
static json_t *list_bindings(struct pa_gatewayd *g, uint32_t *at, size_t limit)
{
	json_t *list = json_array();
	struct pa_gw_binding b;

	while (json_array_size(list) < limit) {
		if (!pa_gw_walk(pa_gatewayd_gw(g), at, &b)) {
			*at = UINT32_MAX;
			break;
		}
		if (json_array_append_new(list, binding_json(g, &b)) < 0)
			break;
	}
	return list;
}

/* All at once only if they are few: the loop has other things to do, and the client's buffer an end. */
static void binding_get_all(struct pa_gatewayd *g, struct pa_request *req)
{
	size_t n = pa_gw_count(pa_gatewayd_gw(g));
	uint32_t at = 0;
	json_t *list;

	if (n > ALL_MAX) {
		pa_request_replyf(req, PA_RESULT_ERROR, "%zu bindings are too many for one reply; ask for them in pages: "
				  "binding-get-page {\"from\": \"start\", \"limit\": %d}, then from what \"next\" says", n, ALL_MAX);
		return;
	}
	list = list_bindings(g, &at, n);
	pa_request_reply(req, n > 0 ? PA_RESULT_SUCCESS : PA_RESULT_EMPTY, n > 0 ? "" : "no bindings",
			 json_pack("{s:o, s:I}", "bindings", list, "count", (json_int_t)n));
}

/* "from" is "start" or the "next" of the page before: which stays right whatever comes and goes meanwhile. */
static void binding_get_page(struct pa_gatewayd *g, struct pa_request *req)
{
	json_t *from = json_object_get(pa_request_arguments(req), "from"), *most = json_object_get(pa_request_arguments(req), "limit");
	const char *start = json_string_value(from);
	json_int_t n = json_is_integer(from) ? json_integer_value(from) : -1, limit = most != NULL ? json_integer_value(most) : ALL_MAX;
	json_t *list, *reply;
	uint32_t at;

	if (start != NULL && strcmp(start, "start") == 0)
		n = 0;
	if (n < 0 || n >= UINT32_MAX || limit < 1 || limit > ALL_MAX) {
		pa_request_replyf(req, PA_RESULT_ERROR, "expected \"from\": \"start\" or the \"next\" of the page before, and "
				  "\"limit\": 1 to %d", ALL_MAX);
		return;
	}
	at = (uint32_t)n;
	list = list_bindings(g, &at, (size_t)limit);
	n = (json_int_t)json_array_size(list);
	reply = json_pack("{s:o, s:I}", "bindings", list, "count", n);
	if (at != UINT32_MAX)
		(void)json_object_set_new(reply, "next", json_integer(at));
	pa_request_reply(req, n > 0 ? PA_RESULT_SUCCESS : PA_RESULT_EMPTY, n > 0 ? "" : "no more bindings", reply);
}

/* The "address" argument; false after an error reply. */
static bool take_address(struct pa_request *req, struct pa_addr *ret)
{
	const char *s = json_string_value(json_object_get(pa_request_arguments(req), "address"));

	if (s != NULL && pa_addr_parse(s, ret) == 0)
		return true;
	pa_request_replyf(req, PA_RESULT_ERROR, "\"address\" is missing or no IP address");
	return false;
}

static void binding_get(struct pa_gatewayd *g, struct pa_request *req)
{
	struct pa_gw_binding b;
	struct pa_addr addr;

	if (!take_address(req, &addr))
		return;
	if (pa_gw_find(pa_gatewayd_gw(g), &addr, &b) < 0)
		pa_request_replyf(req, PA_RESULT_EMPTY, "no binding for this address");
	else
		pa_request_reply(req, PA_RESULT_SUCCESS, "", binding_json(g, &b));
}

static void binding_end(struct pa_gatewayd *g, struct pa_request *req)
{
	struct pa_addr addr;

	if (!take_address(req, &addr))
		return;
	if (pa_gw_end(pa_gatewayd_gw(g), pa_now_get(), &addr, PA_REASON_RELEASED) < 0)
		pa_request_replyf(req, PA_RESULT_EMPTY, "no binding for this address");
	else
		pa_request_replyf(req, PA_RESULT_SUCCESS, "binding ended");
}

/* One grant of the relay server's question; adds "" to answers, or why it must not be served. False: it cannot be understood. */
static bool check_grant(struct pa_gatewayd *g, const json_t *item, json_t *answers)
{
	const char *s = json_string_value(json_object_get(item, "address")), *why;
	const char *print = json_string_value(json_object_get(item, "client-key-fingerprint"));
	json_int_t epoch = json_integer_value(json_object_get(item, "epoch"));
	uint8_t fingerprint[PA_FINGERPRINT_LEN];
	struct pa_addr addr;

	if (s == NULL || pa_addr_parse(s, &addr) < 0 || epoch < 0 || print == NULL ||
	    pa_hex_decode(print, fingerprint, sizeof(fingerprint)) != (int)sizeof(fingerprint))
		return false;
	why = pa_gw_may_relay(pa_gatewayd_gw(g), &addr, (uint64_t)epoch, fingerprint);
	if (why == NULL)
		pa_path_relayed(pa_gatewayd_path(g), &addr);
	return json_array_append_new(answers, json_string(why != NULL ? why : "")) == 0;
}

/* {"grants": [{"address", "epoch", "client-key-fingerprint"}]} is answered by {"answers": ["" or why, ...]}, in their order. */
static void relay_check(struct pa_gatewayd *g, struct pa_request *req)
{
	const json_t *list = json_object_get(pa_request_arguments(req), "grants");
	json_t *answers = json_array();
	const json_t *item;
	size_t i;

	if (!json_is_array(list)) {
		json_decref(answers);
		pa_request_replyf(req, PA_RESULT_ERROR, "\"grants\" is missing or no list");
		return;
	}
	json_array_foreach(list, i, item) {
		if (!check_grant(g, item, answers)) {
			json_decref(answers);
			pa_request_replyf(req, PA_RESULT_ERROR, "grants[%zu] has no address, epoch or client-key-fingerprint", i);
			return;
		}
	}
	pa_request_reply(req, PA_RESULT_SUCCESS, "", json_pack("{s:o}", "answers", answers));
}

/* Does this word name this gateway: its name at the broker, or an address that it listens to? */
static bool is_own(const struct pa_gatewayd_conf *c, const char *word)
{
	struct pa_endpoint at;

	if (c->broker.given && strcmp(word, c->broker.name) == 0)
		return true;
	for (size_t i = 0; pa_endpoint_parse(word, PA_GUE_PORT, &at) == 0 && i < c->n_listen; i++)
		if (pa_endpoint_eq(&at, &c->listen[i]))
			return true;
	return false;
}

static void gateway_drain(struct pa_gatewayd *g, struct pa_request *req)
{
	const json_t *arguments = pa_request_arguments(req), *drain = json_object_get(arguments, "drain");
	const char *word = json_string_value(json_object_get(arguments, "gateway"));
	bool on = json_is_true(drain);

	if (!json_is_boolean(drain))
		pa_request_replyf(req, PA_RESULT_ERROR, "\"drain\" is missing or neither true nor false");
	else if (word != NULL && !is_own(pa_gatewayd_conf_of(g), word))
		pa_request_replyf(req, PA_RESULT_ERROR, "this gateway is not '%.64s'; leave the name out, or ask the broker", word);
	else if (pa_gatewayd_drain(g, on, "command") < 0)
		pa_request_replyf(req, PA_RESULT_ERROR, "cannot be remembered over a restart, so nothing is changed; the log says why");
	else
		pa_request_reply(req, PA_RESULT_SUCCESS, on ? "clients are sent to other gateways" : "clients are taken again",
				 json_pack("{s:b, s:I}", "drained", (int)on, "bindings", (json_int_t)pa_gw_count(pa_gatewayd_gw(g))));
}

static void version_get(struct pa_gatewayd *g, struct pa_request *req)
{
	(void)g;
	pa_request_reply(req, PA_RESULT_SUCCESS, PACKAGE_VERSION, json_pack("{s:s, s:s}", "daemon", NAME, "version", PACKAGE_VERSION));
}

static const struct {
	const char *name;
	void (*fn)(struct pa_gatewayd *g, struct pa_request *req);
} commands[] = {
	{"status-get", status_get},   {"binding-get-all", binding_get_all}, {"binding-get-page", binding_get_page},
	{"binding-get", binding_get}, {"binding-end", binding_end}, {"gateway-drain", gateway_drain},
	{"relay-check", relay_check}, {"version-get", version_get},
};

void pa_gatewayd_command(void *ctx, struct pa_request *req)
{
	const char *name = pa_request_name(req);

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			commands[i].fn(ctx, req);
			return;
		}
	}
	pa_request_replyf(req, PA_RESULT_UNSUPPORTED, NAME " has no command \"%.60s\"", name);
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/relayd_cmd_edge.h"

#include <limits.h>
#include <string.h>

#include "common/clock.h"
#include "config.h"
#include "relay/client_edge.h"
#include "tunnel/status_json.h"

#define NAME "pubaddr-relayd"

static json_t *counters_json(const struct pa_relayd_counters *c)
{
	const struct {
		const char *name;
		uint64_t value;
	} list[] = {{"connections", c->connections},
		    {"authenticated", c->authenticated},
		    {"resumed", c->resumed},
		    {"malformed", c->malformed},
		    {"bad-mac", c->bad_mac},
		    {"expired", c->expired},
		    {"unknown-pool", c->unknown_pool},
		    {"unpinned", c->unpinned},
		    {"refused", c->refused},
		    {"limited", c->limited},
		    {"flood", c->flood},
		    {"timed-out", c->timed_out},
		    {"calls", c->calls},
		    {"incoming", c->incoming},
		    {"failed", c->failed},
		    {"denied", c->denied},
		    {"unread", c->unread},
		    {"broken", c->broken},
		    {"throttled", c->throttled},
		    {"unlogged", c->unlogged},
		    {"tunnel-in", c->tunnel_in},
		    {"tunnel-out", c->tunnel_out},
		    {"tunnel-dropped", c->tunnel_dropped},
		    {"tunnel-limited", c->tunnel_limited}};
	json_t *obj = json_object();

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		(void)json_object_set_new(obj, list[i].name, json_integer((json_int_t)list[i].value));
	return obj;
}

static json_t *listen_json(const struct pa_relayd_conf *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_listen; i++)
		(void)json_array_append_new(list, pa_endpoint_json(&c->listen[i]));
	return list;
}

static void status_get(struct pa_relayd *r, struct pa_request *req)
{
	pa_request_reply(req, PA_RESULT_SUCCESS, "",
			 json_pack("{s:s, s:s, s:I, s:o, s:i, s:i, s:i, s:i, s:b, s:o}", "daemon", NAME, "version", PACKAGE_VERSION,
				   "uptime", (json_int_t)((pa_now_get().boot_ms - r->started_ms) / 1000), "listen",
				   listen_json(r->conf), "clients", (int)r->n_clients, "strangers", (int)r->n_conns,
				   "sockets", (int)r->budget.used, "sockets-max",
				   (int)(r->budget.max < INT_MAX ? r->budget.max : INT_MAX),
				   "gateway", (int)pa_gate_up(r->gate), "counters", counters_json(&r->count)));
}

static void client_get_all(struct pa_relayd *r, struct pa_request *req)
{
	json_t *list = json_array();
	char addr[PA_ADDR_STRLEN];

	for (const struct pa_rclient *c = r->clients; c != NULL; c = c->next)
		(void)json_array_append_new(
			list,
			json_pack("{s:s, s:o, s:I, s:i, s:b}", "address", pa_addr_format(&c->grant.claims.addr, addr),
				  "from", pa_endpoint_json(&c->from), "epoch", (json_int_t)c->grant.claims.epoch,
				  "sessions", (int)pa_rlink_sessions(c->link), "connected", (int)(c->conn != NULL)));
	pa_request_reply(req, r->n_clients > 0 ? PA_RESULT_SUCCESS : PA_RESULT_EMPTY,
			 r->n_clients > 0 ? "" : "no clients",
			 json_pack("{s:o, s:i}", "clients", list, "count", (int)r->n_clients));
}

static void version_get(struct pa_relayd *r, struct pa_request *req)
{
	(void)r;
	pa_request_reply(req, PA_RESULT_SUCCESS, PACKAGE_VERSION, json_pack("{s:s, s:s}", "daemon", NAME, "version", PACKAGE_VERSION));
}

static const struct {
	const char *name;
	void (*fn)(struct pa_relayd *r, struct pa_request *req);
} commands[] = {{"status-get", status_get}, {"client-get-all", client_get_all}, {"version-get", version_get}};

void pa_relayd_command(void *ctx, struct pa_request *req)
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

/* SPDX-License-Identifier: MPL-2.0 */
/* gateway-drain: a gateway is to be emptied, or not any more. The gateway itself remembers it; here it is a message on its way. */
#include <string.h>

#include "broker/api_cmd.h"
#include "broker/revoke.h"
#include "common/err.h"

json_t *pa_api_drain_json(struct pa_api_call *c, const char *name, bool *ret_idle)
{
	bool fresh, told;
	struct pa_gateway_view *v = pa_reports_seen(c->api->reports, name, c->now.boot_ms, &fresh);

	*ret_idle = true;
	if (v == NULL || !pa_args_has(&c->args, "drained"))
		return NULL;
	v->drained = json_is_true(json_object_get(c->args.json, "drained"));
	if (v->wish == (v->drained ? 1 : 0))
		v->wish = -1;
	if (v->wish < 0)
		return NULL;
	told = v->wish_told;
	v->wish_told = true;
	*ret_idle = told;
	return json_boolean(v->wish);
}

/* The name on the channel of what the word names, a name itself or an address; NULL after an error. */
static const char *find_name(struct pa_api_call *c, const char *word)
{
	const struct pa_brokerconf *conf = c->api->conf;
	struct pa_endpoint at;
	bool is_address = pa_endpoint_parse(word, PA_GUE_PORT, &at) == 0;

	for (size_t i = 0; i < conf->n_groups; i++) {
		const struct pa_gateway_group *g = &conf->groups[i];

		for (unsigned k = 0; k < g->n_gateways; k++) {
			if (k < g->n_names && strcmp(g->names[k], word) == 0)
				return g->names[k];
			if (!is_address || !pa_endpoint_eq(&at, &g->gateways[k]))
				continue;
			if (k < g->n_names)
				return g->names[k];
			pa_api_set(c, PA_RESULT_ERROR, "gateway %.64s has no channel to the broker (\"gateway-names\" in brokerd.conf); on its "
				   "host: pubaddrctl --socket /run/pubaddr/gateway.sock gateway drain %.64s", word, word);
			return NULL;
		}
	}
	pa_api_set(c, PA_RESULT_EMPTY, "'%.64s' is no gateway's name or address in brokerd.conf", word);
	return NULL;
}

void pa_api_gateway_drain(struct pa_api_call *c)
{
	const char *word = pa_args_string(&c->args, "gateway"), *name;
	const json_t *drain = c->args.json != NULL ? json_object_get(c->args.json, "drain") : NULL;
	const struct pa_gateway_view *v;

	if (!json_is_boolean(drain))
		pa_args_fail(&c->args, "drain", "expected true or false");
	if (pa_api_bad_args(c))
		return;
	if (!c->admin) {
		pa_api_set(c, PA_RESULT_ERROR, "permission denied: gateway-drain is for root and the broker's own user");
		return;
	}
	name = find_name(c, word);
	if (name == NULL)
		return;
	v = pa_reports_view(c->api->reports, name);
	if (v == NULL || c->now.boot_ms >= v->seen_ms + PA_GATEWAY_SILENT_MS) {
		pa_api_set(c, PA_RESULT_ERROR, "gateway %s is not connected; on its host: pubaddrctl --socket /run/pubaddr/gateway.sock gateway "
			   "%s %s", name, json_is_true(drain) ? "drain" : "undrain", name);
		return;
	}
	PA_REQUIRE(pa_reports_wish(c->api->reports, name, json_is_true(drain)) == 0);
	c->reply->event = json_is_true(drain) ? "gateway.drain" : "gateway.undrain";
	c->reply->level = PA_LOG_INFO;
	pa_log_format(c->reply->fields, sizeof(c->reply->fields), "gateway=%s", name);
	pa_api_set(c, PA_RESULT_SUCCESS, "gateway %s is told", name);
	pa_api_give(c, json_pack("{s:s, s:b}", "name", name, "drained", (int)v->drained));
}

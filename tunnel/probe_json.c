/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/probe_json.h"

#include <string.h>

#include "tunnel/status_json.h"

static const char *const reach_names[] = {
	[PA_REACH_UNKNOWN] = "unknown",	  [PA_REACH_ANSWERED] = "answered", [PA_REACH_REFUSED] = "refused",
	[PA_REACH_BLOCKED] = "blocked",	  [PA_REACH_NO_ROUTE] = "no-route", [PA_REACH_SILENT] = "silent",
};
#define N_REACH (sizeof(reach_names) / sizeof(reach_names[0]))

const char *pa_reach_name(enum pa_reach r)
{
	return (size_t)r < N_REACH ? reach_names[r] : reach_names[PA_REACH_UNKNOWN];
}

static enum pa_reach reach_from(const json_t *v)
{
	const char *s = json_string_value(v);

	for (size_t i = 0; s != NULL && i < N_REACH; i++)
		if (strcmp(reach_names[i], s) == 0)
			return (enum pa_reach)i;
	return PA_REACH_UNKNOWN;
}

static enum pa_nat_kind nat_from(const json_t *v)
{
	const char *s = json_string_value(v);

	for (int i = PA_NAT_UNKNOWN; s != NULL && i <= PA_NAT_ENDPOINT_OR_ADDRESS; i++)
		if (strcmp(pa_nat_name((enum pa_nat_kind)i), s) == 0)
			return (enum pa_nat_kind)i;
	return PA_NAT_UNKNOWN;
}

static void set(json_t *obj, const char *key, json_t *value)
{
	(void)json_object_set_new(obj, key, value);
}

static void set_known(json_t *obj, const char *key, uint64_t v)
{
	if (v != 0)
		set(obj, key, json_integer((json_int_t)v));
}

static void add_path(json_t *obj, const struct pa_probe_result *r)
{
	json_t *life = json_object();

	set(obj, "mapped", pa_endpoint_json(&r->mapped));
	set(obj, "mapping", json_string(pa_nat_name(r->mapping)));
	set(obj, "filtering", json_string(pa_nat_name(r->filtering)));
	set_known(obj, "mtu-tried", r->mtu_tried);
	set_known(obj, "mtu-to-gateway", r->mtu_to);
	set_known(obj, "mtu-from-gateway", r->mtu_from);
	set(obj, "clock-ms", json_integer((json_int_t)r->clock_ms));
	set_known(obj, "rtt-us", r->rtt_us);
	set_known(life, "tried", r->life_limit);
	set_known(life, "kept", r->life_kept);
	set_known(life, "lost", r->life_lost);
	set(obj, "lifetime", life);
}

json_t *pa_probe_json(const struct pa_probe_result *r)
{
	json_t *obj = json_object(), *list = json_array();

	for (unsigned i = 0; i < r->n_gateways; i++) {
		const struct pa_probe_gateway *g = &r->gateways[i];

		(void)json_array_append_new(list, json_pack("{s:o, s:s, s:s}", "gateway", pa_endpoint_json(&g->at), "udp",
							    pa_reach_name(g->udp), "tcp", pa_reach_name(g->tcp)));
	}
	set(obj, "gateways", list);
	if (r->probed)
		add_path(obj, r);
	return obj;
}

static uint64_t number(const json_t *obj, const char *key, uint64_t max)
{
	json_int_t v = json_integer_value(json_object_get(obj, key));

	return v > 0 && (uint64_t)v <= max ? (uint64_t)v : 0;
}

void pa_probe_from_json(const json_t *obj, struct pa_probe_result *ret)
{
	const json_t *list = json_object_get(obj, "gateways"), *life = json_object_get(obj, "lifetime");
	const char *mapped = json_string_value(json_object_get(obj, "mapped"));

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < json_array_size(list) && ret->n_gateways < PA_GATEWAYS_MAX; i++) {
		const json_t *item = json_array_get(list, i);
		const char *at = json_string_value(json_object_get(item, "gateway"));
		struct pa_probe_gateway *g = &ret->gateways[ret->n_gateways];

		if (at == NULL || pa_endpoint_parse(at, 0, &g->at) < 0)
			continue;
		g->udp = reach_from(json_object_get(item, "udp"));
		g->tcp = reach_from(json_object_get(item, "tcp"));
		ret->n_gateways++;
	}
	ret->probed = mapped != NULL && pa_endpoint_parse(mapped, 0, &ret->mapped) == 0;
	ret->mapping = nat_from(json_object_get(obj, "mapping"));
	ret->filtering = nat_from(json_object_get(obj, "filtering"));
	ret->mtu_tried = (uint16_t)number(obj, "mtu-tried", UINT16_MAX);
	ret->mtu_to = (uint16_t)number(obj, "mtu-to-gateway", UINT16_MAX);
	ret->mtu_from = (uint16_t)number(obj, "mtu-from-gateway", UINT16_MAX);
	ret->clock_ms = (int64_t)json_integer_value(json_object_get(obj, "clock-ms"));
	ret->rtt_us = (uint32_t)number(obj, "rtt-us", UINT32_MAX);
	ret->life_limit = (uint16_t)number(life, "tried", UINT16_MAX);
	ret->life_kept = (uint16_t)number(life, "kept", UINT16_MAX);
	ret->life_lost = (uint16_t)number(life, "lost", UINT16_MAX);
}

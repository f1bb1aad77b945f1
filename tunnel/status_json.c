/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/status_json.h"

#include "common/addr.h"

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

json_t *pa_addr_json(const struct pa_addr *a)
{
	char text[PA_ADDR_STRLEN];

	return json_string(pa_addr_format(a, text));
}

json_t *pa_inpolicy_json(const struct pa_inpolicy *p)
{
	char text[PA_INRULE_STRLEN];
	json_t *list;

	if (p->kind != PA_IN_LIST)
		return json_string(pa_inbound_name(p->kind));
	list = json_array();
	for (size_t i = 0; i < p->n; i++)
		(void)json_array_append_new(list, json_string(pa_inrule_format(&p->rules[i], text)));
	return list;
}

json_t *pa_endpoint_json(const struct pa_endpoint *e)
{
	char text[PA_ENDPOINT_STRLEN];

	return json_string(pa_endpoint_format(e, text));
}

static json_t *direction_json(uint64_t packets, uint64_t bytes, uint64_t errors, const uint64_t drops[PA_VERDICTS])
{
	json_t *refused = json_object();

	for (int i = 1; i < PA_VERDICTS; i++)
		if (drops[i] > 0)
			(void)json_object_set_new(refused, pa_verdict_name((enum pa_verdict)i), number(drops[i]));
	return json_pack("{s:o, s:o, s:o, s:o}", "packets", number(packets), "bytes", number(bytes), "errors", number(errors),
			 "refused", refused);
}

json_t *pa_dp_stats_json(const struct pa_dp_stats *s)
{
	return json_pack("{s:o, s:o}", "to-tunnel", direction_json(s->tx_packets, s->tx_bytes, s->tx_errors, s->tx_drops),
			 "from-tunnel", direction_json(s->rx_packets, s->rx_bytes, s->rx_errors, s->rx_drops));
}

json_t *pa_peer_stats_json(const struct pa_dp_peer_stats *s, uint64_t boot_ms)
{
	json_t *obj = json_pack("{s:o, s:o, s:o, s:o}", "packets-to-client", number(s->tx_packets), "bytes-to-client",
				number(s->tx_bytes), "packets-from-client", number(s->rx_packets), "bytes-from-client",
				number(s->rx_bytes));

	if (obj != NULL && s->rx_seen_ms != 0)
		(void)json_object_set_new(obj, "last-from-client-ms", number(boot_ms > s->rx_seen_ms ? boot_ms - s->rx_seen_ms : 0));
	return obj;
}

struct counter {
	const char *name;
	uint64_t value;
};

static json_t *counters_json(const struct counter *c, size_t n)
{
	json_t *obj = json_object();

	for (size_t i = 0; obj != NULL && i < n; i++)
		(void)json_object_set_new(obj, c[i].name, number(c[i].value));
	return obj;
}

json_t *pa_gw_counters_json(const struct pa_gw_counters *c)
{
	const struct counter list[] = {
		{"hello", c->hello},
		{"confirm", c->confirm},
		{"accept", c->accept},
		{"keepalive", c->keepalive},
		{"rebind", c->rebind},
		{"contested", c->contested},
		{"probe", c->probe},
		{"repeated-confirm", c->repeated_confirm},
		{"malformed", c->malformed},
		{"bad-mac", c->bad_mac},
		{"bad-cookie", c->bad_cookie},
		{"bad-key", c->bad_key},
		{"unknown-pool", c->unknown_pool},
		{"expired", c->expired},
		{"replayed", c->replayed},
		{"unknown-session", c->unknown_session},
		{"revoked", c->revoked},
		{"unsynced", c->unsynced},
		{"limited", c->limited},
		{"full", c->full},
		{"timed-out", c->timed_out},
		{"adopted", c->adopted},
		{"drained", c->drained},
		{"moved", c->moved},
	};

	return counters_json(list, sizeof(list) / sizeof(list[0]));
}

json_t *pa_client_counters_json(const struct pa_client_counters *c)
{
	const struct counter list[] = {
		{"sent", c->sent},
		{"received", c->received},
		{"malformed", c->malformed},
		{"bad-mac", c->bad_mac},
		{"unexpected", c->unexpected},
		{"rechallenged", c->rechallenged},
		{"limited", c->limited},
		{"handshakes", c->handshakes},
		{"accepts", c->accepts},
		{"misses", c->misses},
		{"lost", c->lost},
		{"moves", c->moves},
		{"urgent", c->urgent},
		{"path-probes", c->path_probes},
		{"path-answers", c->path_answers},
		{"black-holes", c->black_holes},
		{"fallbacks", c->fallbacks},
		{"returns", c->returns},
		{"udp-trials", c->udp_trials},
	};

	return counters_json(list, sizeof(list) / sizeof(list[0]));
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/diagnose_facts.h"

#include <stdio.h>
#include <string.h>

#include "tunnel/probe_json.h"

static void copy_text(const json_t *obj, const char *key, char *dst, size_t cap)
{
	const char *s = json_string_value(json_object_get(obj, key));

	if (s != NULL)
		(void)snprintf(dst, cap, "%s", s);
}

static uint64_t number(const json_t *obj, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(obj, key));

	return v > 0 ? (uint64_t)v : 0;
}

static bool is_text(const json_t *obj, const char *key, const char *want)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL && strcmp(s, want) == 0;
}

static void traffic(struct pa_facts *f, const json_t *status)
{
	const json_t *traffic = json_object_get(status, "traffic");

	f->sent = number(json_object_get(traffic, "to-tunnel"), "packets");
	f->received = number(json_object_get(traffic, "from-tunnel"), "packets");
}

/* What is there when somebody needs it. */
static void needed(struct pa_facts *f, const json_t *status)
{
	const json_t *demand = json_object_get(status, "on-demand"), *relay = json_object_get(status, "relay");

	copy_text(demand, "problem", f->demand_trouble, sizeof(f->demand_trouble));
	copy_text(relay, "server", f->relay, sizeof(f->relay));
	copy_text(relay, "problem", f->relay_trouble, sizeof(f->relay_trouble));
}

/* In mode policy the host's own connections are not ours to judge. */
static const char *way_of(const struct pa_facts *f, const json_t *status)
{
	if (is_text(status, "mode", "tunnel"))
		return f->device;
	return is_text(status, "mode", "native") || is_text(status, "mode", "auto") ? f->iface : "";
}

void pa_facts_status(struct pa_facts *f, const json_t *status)
{
	const json_t *lan = json_object_get(status, "lan");
	const char *s;

	f->daemon = true;
	copy_text(status, "interface", f->iface, sizeof(f->iface));
	copy_text(status, "device", f->device, sizeof(f->device));
	f->lan_up = lan == NULL || json_is_true(json_object_get(lan, "up"));
	f->lan_has_address = lan == NULL || json_array_size(json_object_get(lan, "addresses")) > 0;
	f->state = is_text(status, "state", "bound")   ? PA_CLIENT_BOUND :
		   is_text(status, "state", "binding") ? PA_CLIENT_BINDING :
							 PA_CLIENT_IDLE;
	s = json_string_value(json_object_get(status, "address"));
	if (s != NULL)
		(void)pa_addr_parse(s, &f->address);
	s = json_string_value(json_object_get(status, "gateway"));
	if (s != NULL)
		(void)pa_endpoint_parse(s, 0, &f->gateway);
	f->relayed = is_text(status, "path", "relay");
	copy_text(status, "refusal", f->refusal, sizeof(f->refusal));
	copy_text(status, "trouble", f->trouble, sizeof(f->trouble));
	copy_text(status, "last-reason", f->ended, sizeof(f->ended));
	copy_text(json_object_get(status, "on-demand"), "state", f->demand, sizeof(f->demand));
	f->misses = (unsigned)number(status, "misses");
	f->mtu = (uint16_t)number(status, "mtu");
	f->mtu_max = (uint16_t)number(status, "mtu-max");
	f->keepalive = (uint16_t)number(status, "keepalive-interval");
	(void)snprintf(f->way, sizeof(f->way), "%s", way_of(f, status));
	traffic(f, status);
	needed(f, status);
}

void pa_facts_probe(struct pa_facts *f, const json_t *probe)
{
	f->tried = json_is_false(json_object_get(probe, "running"));
	f->inbound = is_text(probe, "inbound", "came") ? PA_INBOUND_CAME : is_text(probe, "inbound", "lost") ? PA_INBOUND_LOST :
														PA_INBOUND_UNKNOWN;
	pa_probe_from_json(probe, &f->probe);
}

void pa_facts_seen(struct pa_facts *f, const json_t *record)
{
	static const struct {
		const char *name;
		enum pa_seen seen;
	} names[] = {{"none", PA_SEEN_NONE}, {"grant", PA_SEEN_GRANT}, {"unreadable", PA_SEEN_BAD}, {"gone", PA_SEEN_GONE}};
	const json_t *asked = json_object_get(record, "asked");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is_text(record, "option", names[i].name))
			f->seen = names[i].seen;
	f->asked_known = json_is_boolean(asked);
	f->asked = json_is_true(asked);
	copy_text(record, "cause", f->seen_cause, sizeof(f->seen_cause));
}

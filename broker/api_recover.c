/* SPDX-License-Identifier: MPL-2.0 */
/* The commands' side of a store that is older than the world (lease_recover.c): how it is noticed, and what gateways tell. */
#include <inttypes.h>
#include <string.h>

#include "broker/api_cmd.h"
#include "common/err.h"

static bool has_gateway(const struct pa_gateway_group *g, const char *name)
{
	for (unsigned i = 0; i < g->n_names; i++)
		if (strcmp(g->names[i], name) == 0)
			return true;
	return false;
}

static bool is_of(const struct pa_api *api, size_t pool, const char *name)
{
	return has_gateway(&api->conf->groups[api->conf->pools[pool].group], name);
}

/* A gateway knows what this store does not: its pools recover. Other gateways' pools do not, for it is not to be believed there. */
static void notice(struct pa_api_call *c, const char *name, const char *what, uint64_t number)
{
	int began = 0;

	for (size_t i = 0; i < c->api->conf->n_pools; i++) {
		int rc = is_of(c->api, i, name) ? pa_lease_recovery_begin(c->api->leases, i, c->now.unix_ms) : 0;

		began = rc != 0 ? rc : began;
	}
	if (began == 0)
		return;
	c->reply->level = PA_LOG_ERROR;
	c->reply->event = "store.outdated";
	pa_log_format(c->reply->fields, sizeof(c->reply->fields), "gateway=%s %s=%" PRIu64 " effect=\"this database is older than what "
		      "the gateway knows: was it restored or lost? its pools recover: pubaddrctl pool stats shows until when\"",
		      name, what, number);
}

uint64_t pa_api_check_number(struct pa_api_call *c, const char *name, uint64_t from)
{
	if (!pa_lease_is_strange(c->api->leases, from))
		return from;
	notice(c, name, "acknowledged", from);
	return 0;
}

uint64_t pa_api_recovery_of(struct pa_api_call *c, const char *name)
{
	uint64_t since = 0;

	for (size_t i = 0; i < c->api->conf->n_pools; i++) {
		const struct pa_recovery *r = is_of(c->api, i, name) ? pa_lease_recovery(c->api->leases, i) : NULL;

		if (r != NULL && c->now.unix_ms / 1000 < r->until && r->since > since)
			since = r->since;
	}
	return since;
}

static bool all_told(const struct pa_api *api, const struct pa_gateway_group *g, uint64_t since)
{
	for (unsigned i = 0; i < g->n_names; i++) {
		const struct pa_gateway_view *v = pa_reports_view(api->reports, g->names[i]);

		if (v == NULL || v->told < since)
			return false;
	}
	return true;
}

void pa_api_take_told(struct pa_api_call *c, struct pa_gateway_view *v, uint64_t told)
{
	const struct pa_api *api = c->api;

	v->told = told;
	for (size_t i = 0; i < api->conf->n_pools; i++) {
		const struct pa_recovery *r = pa_lease_recovery(api->leases, i);

		if (r != NULL)
			pa_lease_recovery_told(api->leases, i, all_told(api, &api->conf->groups[api->conf->pools[i].group], r->since));
	}
}

bool pa_api_is_served_by(const struct pa_api *api, const struct pa_addr *addr, const char *name)
{
	const struct pa_pool_conf *pool = pa_brokerconf_pool_of(api->conf, addr);

	return pool != NULL && is_of(api, (size_t)(pool - api->conf->pools), name);
}

int pa_api_take_epoch(struct pa_api_call *c, const char *name, const struct pa_addr *addr, uint64_t epoch, bool is_binding)
{
	const struct pa_lease *row = pa_lease_by_addr(c->api->leases, addr);

	if (!pa_api_is_served_by(c->api, addr, name))
		return 0;
	/* Its grant verified at the gateway, so this broker's key made it; and it never was answered unless it was stored. */
	if (is_binding && (row == NULL || row->epoch < epoch))
		notice(c, name, "epoch", epoch);
	return row == NULL || row->epoch < epoch ? pa_lease_outdated(c->api->leases, addr, epoch, c->now.unix_ms) : 0;
}

void pa_api_pool_recover(struct pa_api_call *c)
{
	const struct pa_brokerconf *conf = c->api->conf;
	uint16_t id = (uint16_t)pa_args_uint(&c->args, "pool-id", 1, UINT16_MAX);
	uint32_t seconds = (uint32_t)pa_args_uint(&c->args, "seconds", 0, UINT32_MAX);
	size_t i = 0;

	if (pa_api_bad_args(c))
		return;
	if (!c->admin) {
		pa_api_set(c, PA_RESULT_ERROR, "permission denied: pool-recover is for root and the broker's own user");
		return;
	}
	while (i < conf->n_pools && conf->pools[i].id != id)
		i++;
	if (i == conf->n_pools) {
		pa_api_set(c, PA_RESULT_EMPTY, "argument 'pool-id': no pool has the id %u", (unsigned)id);
		return;
	}
	if (pa_lease_recovery_set(c->api->leases, i, c->now.unix_ms, seconds) < 0) {
		pa_api_give(c, NULL);
		return;
	}
	pa_api_set(c, PA_RESULT_SUCCESS, "pool %u recovers for %u s", (unsigned)id, (unsigned)seconds);
	c->reply->level = PA_LOG_WARN;
	c->reply->event = "pool.recover";
	pa_log_format(c->reply->fields, sizeof(c->reply->fields), "pool=%u seconds=%u", (unsigned)id, (unsigned)seconds);
}

/* Every gateway of the group is there, and has reported since that time (Unix ms) all that it had. */
static bool reported_since(const struct pa_api *api, const struct pa_gateway_group *g, struct pa_now now, uint64_t unix_ms)
{
	uint64_t passed = now.unix_ms > unix_ms ? now.unix_ms - unix_ms : 0;

	for (unsigned i = 0; i < g->n_names; i++) {
		const struct pa_gateway_view *v = pa_reports_view(api->reports, g->names[i]);

		if (v == NULL || v->complete_ms == 0 || now.boot_ms >= v->seen_ms + PA_GATEWAY_SILENT_MS ||
		    now.boot_ms - v->complete_ms > passed)
			return false;
	}
	return g->n_names > 0;
}

size_t pa_api_reclaim(struct pa_api *api, struct pa_now now, size_t max)
{
	/* A question that was under way when the time was up does not count. */
	uint64_t wait = (uint64_t)api->conf->unbound * 1000 + 2000;
	const struct pa_lease *row;
	size_t n = 0;

	for (size_t i = 0; i < api->conf->n_pools && api->conf->unbound > 0; i++) {
		const struct pa_gateway_group *g = &api->conf->groups[api->conf->pools[i].group];

		while (n < max && (row = pa_lease_unbound(api->leases, i)) != NULL && row->epoch + wait <= now.unix_ms &&
		       reported_since(api, g, now, row->epoch + wait)) {
			if (pa_lease_reclaim(api->leases, row, now.unix_ms) < 0)
				return n;
			n++;
		}
	}
	api->counters.reclaimed += n;
	return n;
}

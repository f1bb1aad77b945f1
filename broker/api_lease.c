/* SPDX-License-Identifier: MPL-2.0 */
/* The commands that change leases: lease-allocate and lease-release. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/api_cmd.h"
#include "broker/grant_make.h"
#include "common/cred.h"
#include "common/err.h"
#include "common/hex.h"

#define CLASSES_MAX 64

static void log_lease(struct pa_api_call *c, enum pa_log_level level, const char *event, const struct pa_lease *lease)
{
	c->reply->level = level;
	c->reply->event = event;
	(void)pa_api_lease_fields(lease, c->reply->fields);
}

/* Pools are many, but what stands in the way of one client is what it may have. */
static void refuse_exhausted(struct pa_api_call *c, const struct pa_lease_request *req)
{
	const struct pa_brokerconf *conf = c->api->conf;
	const char *realm = pa_ident_realm(req->ident);
	uint64_t active = 0, resting = 0;

	for (size_t i = 0; i < conf->n_pools; i++) {
		struct pa_pool_stats s;

		if (!pa_pool_serves(&conf->pools[i], realm, req->classes, req->n_classes))
			continue;
		s = pa_lease_pool_stats(c->api->leases, i, c->now.unix_ms);
		active += s.active;
		resting += s.resting;
	}
	pa_api_set(c, PA_RESULT_EMPTY, "every address for this client is taken: %" PRIu64 " leased, %" PRIu64 " resting; add a "
		   "pool or wait", active, resting);
}

static const char *reason_of(int rc)
{
	return rc == PA_EDENIED ? "no-pool" : rc == PA_EEXHAUSTED ? "exhausted" : rc == PA_ELIMIT ? "subnet-limit" : rc == PA_EAGAIN ? "recovering" : "no-memory";
}

static void refuse(struct pa_api_call *c, const struct pa_lease_request *req, int rc)
{
	char client[PA_IDENT_TEXTLEN];

	c->api->counters.refused++;
	c->api->counters.limited += rc == PA_ELIMIT;
	if (rc == PA_EDENIED)
		pa_api_set(c, PA_RESULT_EMPTY, "no pool serves realm '%s' with the classes of this client",
			   pa_ident_realm(req->ident));
	else if (rc == PA_EEXHAUSTED)
		refuse_exhausted(c, req);
	else if (rc == PA_EAGAIN)
		pa_api_set(c, PA_RESULT_EMPTY, "the database was restored and this client may not have what others may hold: 'pubaddrctl "
			   "pool stats' shows how long its pools recover");
	else if (rc == PA_ELIMIT)
		pa_api_set(c, PA_RESULT_EMPTY, "subnet %u of realm '%s' has %u addresses leased or resting, as many as subnet-limit "
			   "allows; raise it in brokerd.conf, or wait until some have rested", (unsigned)req->subnet_id,
			   pa_ident_realm(req->ident), (unsigned)c->api->conf->subnet_limit);
	else
		pa_api_set(c, PA_RESULT_ERROR, "cannot allocate: %s", pa_strerror(rc));
	c->reply->level = PA_LOG_WARN;
	c->reply->event = "lease.refuse";
	pa_log_format(c->reply->fields, sizeof(c->reply->fields), "realm=%s client=%s subnet=%u reason=%s",
		       pa_ident_realm(req->ident), pa_ident_format(req->ident, client), (unsigned)req->subnet_id,
		       reason_of(rc));
}

static void reply_grant(struct pa_api_call *c, const struct pa_lease *lease, int outcome)
{
	static const char *const texts[] = {"new lease", "renewed", "repeated"};
	char hex[2 * PA_GRANT_MAX + 1], addr[PA_ADDR_STRLEN];
	uint8_t grant[PA_GRANT_MAX];
	int len = pa_grant_make(lease, c->api->conf, c->api->keys, grant);

	if (len < 0) {
		pa_api_set(c, PA_RESULT_ERROR, "cannot make the grant: %s", pa_strerror(len));
		return;
	}
	pa_hex_encode(grant, (size_t)len, hex);
	pa_api_set(c, PA_RESULT_SUCCESS, "%s", texts[outcome]);
	pa_api_give(c, json_pack("{s:s, s:s, s:I, s:I, s:b, s:o}", "grant", hex, "address",
				 pa_addr_format(&lease->addr, addr), "epoch", (json_int_t)lease->epoch, "expires",
				 (json_int_t)lease->expires, "new", outcome == PA_LEASE_NEW, "lease",
				 pa_api_lease_json(lease, c->now)));
	pa_wipe(grant, sizeof(grant));
	pa_wipe(hex, sizeof(hex));
}

static void allocate(struct pa_api_call *c, const struct pa_lease_request *req)
{
	const struct pa_lease *lease;
	int outcome = pa_lease_allocate(c->api->leases, req, c->now.unix_ms, &lease);

	if (outcome < 0) {
		refuse(c, req, outcome);
		return;
	}
	if (outcome == PA_LEASE_NEW) {
		c->api->counters.granted++;
		log_lease(c, PA_LOG_INFO, "lease.grant", lease);
	} else if (outcome == PA_LEASE_RENEWED) {
		c->api->counters.renewed++;
		log_lease(c, PA_LOG_INFO, "lease.renew", lease);
	} else {
		c->api->counters.repeated++;
		log_lease(c, PA_LOG_DEBUG, "lease.repeat", lease);
	}
	reply_grant(c, lease, outcome);
}

void pa_api_lease_allocate(struct pa_api_call *c)
{
	const char *classes[CLASSES_MAX];
	struct pa_lease_request req;
	uint8_t key[PA_KEY_LEN];

	memset(&req, 0, sizeof(req));
	req.classes = classes;
	req.ident = pa_args_ident(&c->args);
	req.subnet_id = (uint32_t)pa_args_uint(&c->args, "subnet-id", 0, UINT32_MAX);
	req.dhcp_addr = pa_args_addr(&c->args, "dhcp-address");
	req.valid_lifetime = (uint32_t)pa_args_uint(&c->args, "valid-lifetime", 1, UINT32_MAX);
	req.has_xid = pa_args_hex32(&c->args, "transaction", &req.xid);
	if (pa_args_hex(&c->args, "client-key", sizeof(key), sizeof(key), key) > 0)
		pa_fingerprint(key, req.fingerprint);
	req.n_classes = pa_args_strings(&c->args, "classes", classes, CLASSES_MAX);
	if (pa_api_bad_args(c))
		goto out;
	if (!pa_brokerconf_has_realm(c->api->conf, pa_ident_realm(req.ident))) {
		pa_api_set(c, PA_RESULT_ERROR, "argument 'realm': '%s' is not among the realms of brokerd.conf",
			   pa_ident_realm(req.ident));
		goto out;
	}
	allocate(c, &req);
out:
	pa_ident_put(req.ident);
}

/* Whoever asks from the LAN for the end of a lease must show its grant; Kea itself, who knows of the end, need not. */
static bool is_unproven(struct pa_api_call *c, const struct pa_ident *ident, const uint8_t proof[PA_MAC_LEN])
{
	const struct pa_lease *lease = pa_lease_by_ident(c->api->leases, ident);

	if (lease == NULL || lease->state != PA_LEASE_ACTIVE || pa_grant_proven(lease, c->api->conf, c->api->keys, proof))
		return false;
	pa_api_set(c, PA_RESULT_ERROR, "the proof is not of this client's latest grant; nothing was changed");
	log_lease(c, PA_LOG_WARN, "lease.unproven", lease);
	return true;
}

void pa_api_lease_release(struct pa_api_call *c)
{
	struct pa_ident *ident = pa_args_ident(&c->args);
	struct pa_lease_name name = {.ident = ident};
	const struct pa_lease *lease;
	char addr[PA_ADDR_STRLEN];
	uint8_t proof[PA_MAC_LEN];
	bool has_proof;
	int rc;

	name.subnet_id = (uint32_t)pa_args_uint(&c->args, "subnet-id", 0, UINT32_MAX);
	name.dhcp_addr = pa_args_addr(&c->args, "dhcp-address");
	name.epoch = pa_args_uint_or(&c->args, "epoch", 1, INT64_MAX, 0);
	has_proof = pa_args_hex(&c->args, "proof", sizeof(proof), sizeof(proof), proof) > 0;
	if (pa_api_bad_args(c) || (has_proof && is_unproven(c, ident, proof)))
		goto out;
	rc = pa_lease_release(c->api->leases, &name, c->now.unix_ms, &lease);
	if (rc == PA_ENOTFOUND) {
		pa_api_set(c, PA_RESULT_EMPTY, "this client has no active lease");
	} else if (rc == PA_EREPLAY) {
		pa_api_set(c, PA_RESULT_EMPTY, "superseded: the client has another lease by now; nothing was changed");
	} else if (rc < 0) {
		pa_api_set(c, PA_RESULT_ERROR, "cannot release: %s", pa_strerror(rc));
	} else {
		c->api->counters.released++;
		log_lease(c, PA_LOG_INFO, "lease.release", lease);
		pa_api_set(c, PA_RESULT_SUCCESS, "released %s", pa_addr_format(&lease->addr, addr));
		pa_api_give(c, json_pack("{s:s, s:o}", "address", addr, "lease", pa_api_lease_json(lease, c->now)));
	}
out:
	pa_ident_put(ident);
}

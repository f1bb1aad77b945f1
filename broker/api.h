/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_API_H
#define PA_BROKER_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/brokerconf.h"
#include "broker/lease.h"
#include "broker/report.h"
#include "common/clock.h"
#include "common/command.h"
#include "common/keyfile.h"
#include "common/log.h"

/*
 * The broker's commands (HACKING.md, COMMANDS; pubaddr-brokerd(8)). Pure: a command reads and changes the lease table; the
 * caller stores what changed before it sends the reply, and logs after that.
 */
#define PA_API_TEXTLEN 600 /* an error of the configuration fits */
#define PA_API_FIELDSLEN 448
#define PA_API_PAGE_MAX 10000

struct pa_api_counters {
	uint64_t granted, renewed, repeated, released, expired, refused, limited, reclaimed, commits, commit_failures;
};

/* What the commands work on; everything is borrowed. */
struct pa_api {
	struct pa_lease_table *leases;
	struct pa_reports *reports;
	const struct pa_brokerconf *conf;
	const struct pa_keyring *keys;
	const char *version;
	uint64_t started_boot_ms;
	int pid;
	struct pa_api_counters counters;
	/* Tests the configuration file (which reads it): 0, or an error with its text in err. NULL: not to be had. */
	int (*config_test)(const char *file, char err[PA_CONF_ERRLEN]);
	/* The same with what the process does for us. reload may exchange conf and keys. */
	void *reload_ctx;
	int (*config_reload)(void *reload_ctx, char err[PA_CONF_ERRLEN]);
	void *backup_ctx;
	int (*store_backup)(void *backup_ctx, const char *file, char err[PA_CONF_ERRLEN]);
};

struct pa_api_reply {
	enum pa_result result;
	char text[PA_API_TEXTLEN];
	json_t *arguments; /* the caller's to free, or to give away; may be NULL */
	bool commit;	   /* the reply tells of changes that are not stored yet: store first, then reply and log */
	const char *event; /* to be logged when the reply is sent; NULL: nothing */
	enum pa_log_level level;
	char fields[PA_API_FIELDSLEN];
};

/* Handles one command; ret is filled in every case. admin: the peer is root or the broker's own user. */
void pa_api_handle(struct pa_api *api, struct pa_now now, bool admin, const char *name, const json_t *arguments,
		   struct pa_api_reply *ret);

/*
 * Ends up to max leases that no gateway ever reported, where every gateway of their group is there and has reported all it has
 * since their time was up. Returns how many.
 */
size_t pa_api_reclaim(struct pa_api *api, struct pa_now now, size_t max);

/* Rises whenever a gateway that waits for news may have some. */
uint64_t pa_api_gateway_news(const struct pa_api *api);

/* A lease as the commands show it; a new reference, or NULL without memory. */
json_t *pa_api_lease_json(const struct pa_lease *lease, struct pa_now now);
/* The key=value fields that every lease event logs; returns dst. */
const char *pa_api_lease_fields(const struct pa_lease *lease, char dst[PA_API_FIELDSLEN]);

#endif

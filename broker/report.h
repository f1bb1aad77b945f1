/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_REPORT_H
#define PA_BROKER_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/brokerconf.h"
#include "common/addr.h"

/*
 * What the gateways tell the broker: that they are there, what their clocks say, and which bindings they have, so that the
 * others can end older bindings of a client that moved. The newest binding of each address counts, and has a number,
 * max(last + 1, Unix ms), by which a gateway is told what it has not heard yet. Kept in memory only: gateways report anew
 * when they connect. Pure; one thread at a time.
 */
#define PA_GATEWAY_SILENT_MS 45000 /* a gateway asks every 20 s or so */

struct pa_report {
	uint64_t number;
	struct pa_addr addr;
	uint64_t epoch, bind;
	const char *gateway; /* borrowed: the name of who has it */
};

struct pa_gateway_view {
	char name[PA_NAME_MAX + 1];
	uint64_t seen_ms; /* boot time of its last word */
	int64_t skew_ms;  /* its clock less ours, when it last told; positive: it is ahead */
	bool skewed;	  /* beyond PA_CLOCK_SKEW_MAX */
	uint64_t complete_ms; /* boot time at which it last had nothing left to report; 0: never */
	bool drained;	      /* as it said last: it is being emptied */
	int wish;	      /* pubaddrctl wants it emptied: 1, not any more: 0, or nothing that it has not done: -1 */
	bool wish_told;	      /* in an answer */
	uint64_t told;	      /* the recovery (pa_recovery.since) for which it has told all its floors; 0: none */
};

struct pa_reports;

/* NULL without memory. */
struct pa_reports *pa_reports_new(void);
void pa_reports_free(struct pa_reports *r);

/* The gateway has spoken. *ret_new: it had not for PA_GATEWAY_SILENT_MS. The view is borrowed; NULL without memory. */
struct pa_gateway_view *pa_reports_seen(struct pa_reports *r, const char *name, uint64_t boot_ms, bool *ret_new);
/* NULL: it never spoke. */
const struct pa_gateway_view *pa_reports_view(const struct pa_reports *r, const char *name);

/* The gateway is to be emptied, or not any more; told with its next answer, and forgotten by this process once it is done. PA_ENOTFOUND. */
int pa_reports_wish(struct pa_reports *r, const char *name, bool drain);
/* Rises with each wish. */
uint64_t pa_reports_wishes(const struct pa_reports *r);

/* Takes a binding of a gateway that has spoken: 1 if it is the newest of its address, 0 if not, or PA_ENOMEM. */
int pa_reports_put(struct pa_reports *r, const char *gateway, const struct pa_addr *addr, uint64_t epoch, uint64_t bind,
		   uint64_t unix_ms);
uint64_t pa_reports_head(const struct pa_reports *r);
/*
 * Up to max bindings of other gateways than this one with numbers above from, in order; *ret_to: where to go on. A number
 * above the head is of a broker that ended, and counts as 0. Returns how many.
 */
size_t pa_reports_since(const struct pa_reports *r, uint64_t from, const char *gateway, struct pa_report *ret, size_t max,
			uint64_t *ret_to);

#endif

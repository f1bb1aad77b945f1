/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_API_CMD_H
#define PA_BROKER_API_CMD_H

#include "broker/api.h"
#include "broker/api_args.h"

/* The inside of the API: api.c has the table of commands and those that only read, api_lease.c those that change leases, api_gateway.c
 * those of gateways. */
struct pa_api_call {
	struct pa_api *api;
	struct pa_now now;
	bool admin;
	struct pa_args args;
	struct pa_api_reply *reply;
};

/* Sets result and text; what is not printable ASCII becomes '?'. */
void pa_api_set(struct pa_api_call *c, enum pa_result result, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The arguments' sticky error becomes the reply; true if there is one. */
bool pa_api_bad_args(struct pa_api_call *c);
/* Gives the reply its arguments (taken); NULL means that memory ran out, and the reply says so. */
void pa_api_give(struct pa_api_call *c, json_t *arguments);

void pa_api_lease_allocate(struct pa_api_call *c);
void pa_api_lease_release(struct pa_api_call *c);
void pa_api_gateway_report(struct pa_api_call *c);
void pa_api_gateway_sync(struct pa_api_call *c);
void pa_api_pool_recover(struct pa_api_call *c);
/* What concerns recoveries (api_recover.c). The number that a gateway acknowledges: 0 when it is of a log that is lost. */
uint64_t pa_api_check_number(struct pa_api_call *c, const char *name, uint64_t from);
/* The recovery for which this gateway has to tell its floors, 0: none; told: the one for which it has. */
uint64_t pa_api_recovery_of(struct pa_api_call *c, const char *name);
void pa_api_take_told(struct pa_api_call *c, struct pa_gateway_view *v, uint64_t told);
/* Is the address of a pool of this gateway's group? */
bool pa_api_is_served_by(const struct pa_api *api, const struct pa_addr *addr, const char *name);
/* A gateway has a binding of this epoch, or a floor. PA_ENOMEM. */
int pa_api_take_epoch(struct pa_api_call *c, const char *name, const struct pa_addr *addr, uint64_t epoch, bool is_binding);
void pa_api_gateway_drain(struct pa_api_call *c);
/*
 * Takes what the gateway says of being emptied; what it is to do about that, for the answer, or NULL: nothing. *ret_idle: the answer
 * says nothing that it was not told before.
 */
json_t *pa_api_drain_json(struct pa_api_call *c, const char *name, bool *ret_idle);
/* The gateways for status-get; a new reference, or NULL without memory. */
json_t *pa_api_gateways_json(const struct pa_api *api, struct pa_now now);

#endif

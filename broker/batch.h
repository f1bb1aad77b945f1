/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_BATCH_H
#define PA_BROKER_BATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/setup.h"
#include "common/clock.h"
#include "common/command.h"

/*
 * The group commit: requests are handled at once and their replies held back until everything that they changed is stored
 * in one transaction. If that fails, each reply that told of a change becomes an error, and the lease table is read anew
 * from the store, so that nothing unacknowledged survives; service goes on. Blocking (the disk); one thread.
 */
struct pa_batch;

/* Sends a reply to whoever made the request; arguments is taken, and may be NULL. Must not call back into the batch. */
typedef void (*pa_batch_reply)(void *ctx, void *request, enum pa_result result, const char *text, json_t *arguments);

/*
 * Opens the store of setup's configuration and reads it. What setup points to is borrowed until _configure gives another.
 * PA_ENOMEM, or what pa_store_open and pa_store_load return, which is logged.
 */
int pa_batch_new(const struct pa_setup *setup, pa_batch_reply reply, void *ctx, struct pa_batch **ret);
/* Nothing may be waiting. NULL is fine. */
void pa_batch_free(struct pa_batch *b);
/* What the command config-reload calls (api.h); it may call pa_batch_configure. */
void pa_batch_on_reload(struct pa_batch *b, int (*reload)(void *ctx, char err[PA_CONF_ERRLEN]), void *ctx);
/* Goes over to another setup with the same database. 0, or PA_ENOMEM with nothing changed. Flush first. */
int pa_batch_configure(struct pa_batch *b, const struct pa_setup *setup);

/*
 * Handles a command; its reply waits for the flush (but for one that cannot be handled at all, which is answered at once).
 * request: for the reply. admin: as pa_api_handle.
 */
void pa_batch_add(struct pa_batch *b, void *request, const char *name, const json_t *arguments, struct pa_now now,
		  bool admin);
/* Ends at most max leases whose time is up. */
void pa_batch_expire(struct pa_batch *b, struct pa_now now, size_t max);
/* Stores, replies, logs. */
void pa_batch_flush(struct pa_batch *b, struct pa_now now);

/* Requests that wait for the flush. */
size_t pa_batch_size(const struct pa_batch *b);
/* Rises whenever a gateway that waits for news may have some. */
uint64_t pa_batch_gateway_news(const struct pa_batch *b);
/* Addresses in the lease table. */
size_t pa_batch_rows(const struct pa_batch *b);
/* Unix seconds, UINT64_MAX for never. */
uint64_t pa_batch_next_expiry(const struct pa_batch *b);
/* True if the last commit failed, or the store could not be read after it: expire again in a while, not at once. */
bool pa_batch_failed(const struct pa_batch *b);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_BROKER_LINK_EDGE_H
#define PA_BROKER_LINK_EDGE_H

#include <jansson.h>
#include <uv.h>

#include "common/clock.h"
#include "common/edge_tls_identity.h"
#include "tunnel/broker_conf.h"
#include "tunnel/gw.h"

/*
 * The gateway's connection to its broker: the channel (channel.h) with a socket, a file for the floors and a timer. It never
 * gives up; while the broker is away the gateway goes on with what it knows. One loop's thread; files are written by libuv's
 * workers, so that a slow disk does not hold up packets.
 */
struct pa_broker_link;

#define PA_BROKER_LINK_ERRLEN 320

/*
 * Reads the floors and puts gw under them. conf and gw are borrowed until free. On failure err says what and the remedy.
 * A file that is damaged is an event (floors.damaged), not a failure: nobody is served then before the first sync.
 */
int pa_broker_link_new(uv_loop_t *loop, const struct pa_broker_link_conf *conf, struct pa_gw *gw,
		       struct pa_broker_link **ret, char err[PA_BROKER_LINK_ERRLEN]);
/*
 * Reads certificate, key and authority again: 0 with *ret for pa_broker_link_use, which is NULL when the broker is on this host
 * (or l is NULL). On failure err says which file and why; nothing is changed. Also refuses a certificate that is not valid now.
 */
int pa_broker_link_load(const struct pa_broker_link *l, struct pa_tls_identity **ret, char err[PA_BROKER_LINK_ERRLEN]);
/* The next connection is made with it; the one that is there stays. Takes id; NULL changes nothing. */
void pa_broker_link_use(struct pa_broker_link *l, struct pa_tls_identity *id);
/* Calls fn when the broker wants the gateway emptied (on), or not any more; also again for the same. Before start. NULL is fine. */
void pa_broker_link_on_drain(struct pa_broker_link *l, void (*fn)(void *ctx, bool on), void *ctx);
/* Connects, now and whenever it has to. */
void pa_broker_link_start(struct pa_broker_link *l);
/* Closes every handle; a write that is under way ends with the loop. NULL is fine. */
void pa_broker_link_stop(struct pa_broker_link *l);
/* After the loop has run out. */
void pa_broker_link_free(struct pa_broker_link *l);

/* The time as the floors believe it; now itself when l is NULL. */
struct pa_now pa_broker_link_now(struct pa_broker_link *l, struct pa_now now);
/* A client has bound: it will be reported. NULL is fine. */
void pa_broker_link_bound(struct pa_broker_link *l, const struct pa_gw_binding *b);
/* For status-get; a new reference; null when l is NULL. */
json_t *pa_broker_link_json(const struct pa_broker_link *l);

#endif

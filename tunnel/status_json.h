/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_STATUS_JSON_H
#define PA_STATUS_JSON_H

#include <jansson.h>

#include "common/addr.h"
#include "tunnel/client.h"
#include "tunnel/dp.h"
#include "common/inpolicy.h"
#include "tunnel/gw.h"

/* Parts of the replies to status commands. Each returns a new object, NULL without memory. Pure; any thread. */
json_t *pa_addr_json(const struct pa_addr *a);
/* "open", "closed", or the list of rules as text. */
json_t *pa_inpolicy_json(const struct pa_inpolicy *p);
json_t *pa_endpoint_json(const struct pa_endpoint *e);
/* {"to-tunnel": {"packets", "bytes", "errors", "refused": {VERDICT: N}}, "from-tunnel": {...}}; verdicts of 0 are left out. */
json_t *pa_dp_stats_json(const struct pa_dp_stats *s);
/* boot_ms: now; "last-from-client-ms" is left out if nothing came yet. */
json_t *pa_peer_stats_json(const struct pa_dp_peer_stats *s, uint64_t boot_ms);
json_t *pa_gw_counters_json(const struct pa_gw_counters *c);
json_t *pa_client_counters_json(const struct pa_client_counters *c);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_PROBE_JSON_H
#define PA_PROBE_JSON_H

#include <jansson.h>

#include "tunnel/probe.h"

/*
 * A run's result as pubaddr-tunneld tells it to pubaddr. Members: gateways ([{"gateway", "udp", "tcp"}]), and once the session's
 * gateway has answered mapped, mapping, filtering, mtu-tried, mtu-to-gateway, mtu-from-gateway, clock-ms, rtt-us,
 * lifetime {"tried", "kept", "lost"}; what is not known is left out. Pure; any thread.
 */
/* A new object, NULL without memory. */
json_t *pa_probe_json(const struct pa_probe_result *r);
/* The other way. What is missing or not understood stays "not known". */
void pa_probe_from_json(const json_t *obj, struct pa_probe_result *ret);

/* "answered", "refused" and so on; "unknown". Static. */
const char *pa_reach_name(enum pa_reach r);

#endif

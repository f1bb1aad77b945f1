/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DIAGNOSE_FACTS_H
#define PA_DIAGNOSE_FACTS_H

#include <jansson.h>

#include "tunnel/diagnose.h"

/*
 * Facts from what others have written: the reply of pubaddr-tunneld to status-get, its reply to probe-get, and the DHCP
 * helper's record (client-hook/seen.h). Each sets its own facts and leaves the rest; what is missing or not understood stays
 * "not known". Pure; any thread.
 */
void pa_facts_status(struct pa_facts *f, const json_t *status);
void pa_facts_probe(struct pa_facts *f, const json_t *probe);
void pa_facts_seen(struct pa_facts *f, const json_t *record);

#endif

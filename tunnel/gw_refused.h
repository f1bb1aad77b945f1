/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_GW_REFUSED_H
#define PA_GW_REFUSED_H

#include "tunnel/gw.h"

/* Why a client got no answer, where the operator can do something about it. */
enum pa_gw_refusal {
	PA_GW_NOT_REFUSED, /* or for a reason that only strangers and lost packets cause */
	PA_GW_REFUSED_POOL,
	PA_GW_REFUSED_PROOF,
	PA_GW_REFUSED_EXPIRED,
	PA_GW_REFUSED_KEY,
	PA_GW_REFUSED_FULL,
	PA_GW_REFUSALS
};

/* What became of the message between the two readings of the counters. Pure. */
enum pa_gw_refusal pa_gw_refused(const struct pa_gw_counters *before, const struct pa_gw_counters *after);
/* What the operator can do, a static text; empty for PA_GW_NOT_REFUSED. */
const char *pa_gw_refusal_text(enum pa_gw_refusal r);

#endif

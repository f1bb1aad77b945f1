/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gw_refused.h"

#include "common/log.h"

#define LOG_MS 60000 /* from one line to the next about the same reason */

const char *pa_gw_refusal_text(enum pa_gw_refusal r)
{
	static const char *const texts[PA_GW_REFUSALS] = {
		[PA_GW_NOT_REFUSED] = "",
		[PA_GW_REFUSED_SILENTLY] = "",
		[PA_GW_REFUSED_POOL] = "no key here for the pool of this grant, or its address is outside that pool; compare id and "
				       "prefix of the pool in brokerd.conf with gatewayd.conf, and add the key: pubaddrctl key pool",
		[PA_GW_REFUSED_PROOF] = "the proof does not fit; is the pool key made from the broker's master key (pubaddrctl key "
					"pool), and the public key in brokerd.conf that of this gateway (pubaddrctl key public)?",
		[PA_GW_REFUSED_EXPIRED] = "the grant has expired; do the clocks of broker and gateway agree?",
		[PA_GW_REFUSED_KEY] = "the grant belongs to another client's key",
		[PA_GW_REFUSED_FULL] = "max-bindings is reached; raise it in gatewayd.conf",
	};

	return texts[r];
}

void pa_gw_refused_log(struct pa_gw_refused *state, struct pa_now now, const struct pa_endpoint *from, enum pa_gw_refusal why)
{
	char text[PA_ENDPOINT_STRLEN];

	if (pa_gw_refusal_text(why)[0] == '\0')
		return;
	if (state->by[why].told_ms != 0 && now.boot_ms < state->by[why].told_ms + LOG_MS) {
		state->by[why].held++;
		return;
	}
	pa_log(PA_LOG_WARN, "client.refused", "mapped=%s reason=\"%s\" held-back=%u", pa_endpoint_format(from, text),
	       pa_gw_refusal_text(why), state->by[why].held);
	state->by[why].told_ms = now.boot_ms;
	state->by[why].held = 0;
}

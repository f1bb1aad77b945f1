/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/gw_refused.h"

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

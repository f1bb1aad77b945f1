/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DHCP_DECIDE_H
#define PA_DHCP_DECIDE_H

#include "client-hook/env.h"

/* What a DHCP client's event means for the grant. Pure; any thread. */
enum pa_dhcp_action {
	PA_DHCP_NOTHING, /* the grant, if there is one, lives on to its expiry */
	PA_DHCP_PUT,	 /* hand env->grant to the tunnel daemon */
	PA_DHCP_END,	 /* the DHCP lease is gone, and the grant with it */
	PA_DHCP_REFUSE,	 /* the option came, but is no grant */
};

/*
 * Decides. For PA_DHCP_REFUSE *ret_why is the reason (a negative enum pa_err), otherwise it is untouched. Reasons that
 * are not known mean nothing.
 */
enum pa_dhcp_action pa_dhcp_decide(const struct pa_dhcp_env *env, int *ret_why);

/* True if the event is that of a new or renewed lease, with or without the option; or of the end of one. */
bool pa_dhcp_is_lease(const struct pa_dhcp_env *env);
bool pa_dhcp_is_end(const struct pa_dhcp_env *env);

#endif

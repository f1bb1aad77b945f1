/* SPDX-License-Identifier: MPL-2.0 */
#include "client-hook/decide.h"

#include <string.h>

#include "common/grant.h"

enum meaning { MEANS_NOTHING, MEANS_LEASE, MEANS_GONE };

/*
 * Two reasons are missing on purpose. TIMEOUT: dhclient got no answer and tries a lease out of its file; the option in it
 * is as old as that lease. FAIL: not even that; what was granted ends with its own expiry at the latest, and EXPIRE has
 * come already if the lease ran out. And PREINIT comes at each start of dhclient: a restart must not end a tunnel that runs.
 */
static enum meaning meaning_of(const char *reason)
{
	static const struct {
		const char *reason;
		enum meaning meaning;
	} table[] = {
		{"BOUND", MEANS_LEASE},	  {"RENEW", MEANS_LEASE}, {"REBIND", MEANS_LEASE},
		{"REBOOT", MEANS_LEASE},  {"EXPIRE", MEANS_GONE}, {"RELEASE", MEANS_GONE},
		{"STOP", MEANS_GONE},	  {"STOPPED", MEANS_GONE}, {"NAK", MEANS_GONE}, /* dhcpcd */
		{"bound", MEANS_LEASE},	  {"renew", MEANS_LEASE}, {"deconfig", MEANS_GONE}, /* udhcpc */
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].reason, reason) == 0)
			return table[i].meaning;
	return MEANS_NOTHING;
}

static enum pa_dhcp_action decide_lease(const struct pa_dhcp_env *env, int *ret_why)
{
	struct pa_grant g;
	int rc = env->grant_error;

	/* No option: perhaps the broker is down. That must not tear down what an earlier ACK granted. */
	if (rc == 0 && env->grant_len == 0)
		return PA_DHCP_NOTHING;
	if (rc == 0)
		rc = pa_grant_decode(env->grant, env->grant_len, &g);
	if (rc < 0) {
		*ret_why = rc;
		return PA_DHCP_REFUSE;
	}
	pa_grant_wipe(&g);
	return PA_DHCP_PUT;
}

enum pa_dhcp_action pa_dhcp_decide(const struct pa_dhcp_env *env, int *ret_why)
{
	switch (meaning_of(env->reason)) {
	case MEANS_LEASE:
		return decide_lease(env, ret_why);
	case MEANS_GONE:
		return PA_DHCP_END;
	case MEANS_NOTHING:
		break;
	}
	return PA_DHCP_NOTHING;
}

bool pa_dhcp_is_lease(const struct pa_dhcp_env *env)
{
	return meaning_of(env->reason) == MEANS_LEASE;
}

bool pa_dhcp_is_end(const struct pa_dhcp_env *env)
{
	return meaning_of(env->reason) == MEANS_GONE;
}

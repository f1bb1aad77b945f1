/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_lan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/net_route.h"
#include "tunnel/net_sysctl.h"

/* A setting of the interface named, of all if there is none. */
static int take(const struct pa_tunlan *lan, const char *iface, const char *name, char err[PA_TUNLAN_ERRLEN])
{
	char path[96];

	(void)snprintf(path, sizeof(path), "net/ipv4/%s%.15s%s%s", iface != NULL ? "conf/" : "", iface != NULL ? iface : "",
		       iface != NULL ? "/" : "", name);
	return pa_sysctl_take(lan->file, lan->iface, path, "1", err);
}

int pa_tunlan_take(struct pa_nl *nl, const struct pa_tunlan *lan, const struct pa_addr *p, char err[PA_TUNLAN_ERRLEN])
{
	int rc, ifindex = pa_nl_ifindex(lan->iface);

	if (lan->file == NULL || ifindex < 0) {
		(void)snprintf(err, PA_TUNLAN_ERRLEN, "%s", lan->file == NULL ? "there is no folder for the state" : "the interface has gone");
		return PA_ENOTFOUND;
	}
	/* RST, echo replies and ICMP errors; accepted connections; and the reverse-path check where it is strict. */
	rc = take(lan, NULL, "fwmark_reflect", err);
	if (rc == 0)
		rc = take(lan, NULL, "tcp_fwmark_accept", err);
	if (rc == 0)
		rc = take(lan, lan->iface, "src_valid_mark", err);
	if (rc == 0)
		rc = take(lan, lan->device, "src_valid_mark", err);
	if (rc < 0)
		return rc;
	rc = pa_net_addr_clean(nl, ifindex, p);
	if (rc >= 0)
		rc = pa_net_addr_add_first(nl, ifindex, p);
	if (rc < 0)
		(void)snprintf(err, PA_TUNLAN_ERRLEN, "%s: cannot add the address: %s", lan->iface, strerror(errno));
	return rc;
}

void pa_tunlan_release(struct pa_nl *nl, const struct pa_tunlan *lan)
{
	int ifindex = pa_nl_ifindex(lan->iface);
	char err[PA_SYSCTL_ERRLEN];

	if (ifindex > 0 && pa_net_addr_clean(nl, ifindex, NULL) < 0)
		pa_log(PA_LOG_WARN, "net.leftover", "reason=\"%s: cannot remove the address: %s\"", lan->iface, strerror(errno));
	if (lan->file != NULL && pa_sysctl_release(lan->file, lan->iface, err) < 0)
		pa_log(PA_LOG_WARN, "net.leftover", "reason=\"%s\"", err);
}

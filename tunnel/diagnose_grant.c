/* SPDX-License-Identifier: MPL-2.0 */
/* Findings about the way of a grant: DHCP client, DHCP server and broker, this host's judgement. */
#include <string.h>

#include "tunnel/diagnose.h"

static void no_option(const struct pa_facts *f, struct pa_findings *l)
{
	if (f->asked_known && !f->asked)
		pa_finding_add(l, "option-not-asked", PA_SEV_ERROR,
			       "As root: pubaddr dhclient-conf >>/etc/dhcp/dhclient.conf, then restart the DHCP client.",
			       "The DHCP client on %s has a lease, but it did not ask for a public address.", f->iface);
	else
		pa_finding_add(l, "option-not-offered", PA_SEV_ERROR,
			       "Ask the operator: the broker may be down or have no free address, or the network may not offer any. Kea's log "
			       "has lines with PUBADDR about it. The next renewal of the lease asks again.",
			       "The DHCP server on %s gave a lease but no public address%s.", f->iface,
			       f->asked_known ? ", although it was asked for one" : "");
}

/* The daemon itself asks for a grant, and needs nothing of the DHCP client but a lease. */
static bool is_on_demand(const struct pa_facts *f)
{
	return f->demand[0] != '\0' && f->seen != PA_SEEN_BAD && f->seen != PA_SEEN_GONE;
}

static void no_demand(const struct pa_facts *f, struct pa_findings *l)
{
	if (f->demand_trouble[0] != '\0' || strcmp(f->demand, "pausing") == 0)
		pa_finding_add(l, "demand-failed", PA_SEV_ERROR,
			       "Ask the operator: the broker may be down or have no free address, or the network may not offer any. Kea's log "
			       "has lines with PUBADDR about it. The next program asks again.",
			       "The last program on %s that needed a public address got none: %s.", f->iface,
			       f->demand_trouble[0] != '\0' ? f->demand_trouble : "the DHCP server gave none when it was asked");
	else
		pa_finding_add(l, "on-demand", PA_SEV_NOTE, "",
			       "%s has no public address now: none has come by DHCP, and no program needs one. It is asked for when one does "
			       "(pubaddr exec).", f->iface);
}

/* There is no grant: what did the DHCP client's script see? */
static void no_grant(const struct pa_facts *f, struct pa_findings *l)
{
	if (is_on_demand(f)) {
		no_demand(f, l);
		return;
	}
	switch (f->seen) {
	case PA_SEEN_NOTHING:
		pa_finding_add(l, "dhcp-silent", PA_SEV_ERROR,
			       "Is dhclient the DHCP client of this interface, and is the script of pubaddr-dhclient(8) in "
			       "dhclient-exit-hooks.d? Restart the DHCP client then.",
			       "No DHCP client has told anything about %s.", f->iface);
		break;
	case PA_SEEN_NONE:
		no_option(f, l);
		break;
	case PA_SEEN_BAD:
		pa_finding_add(l, "option-unreadable", PA_SEV_ERROR,
			       "Tell the operator: the option's code may be in use for something else on this network.",
			       "The DHCP server on %s gave something as a public address that cannot be read: %s.", f->iface,
			       f->seen_cause);
		break;
	case PA_SEEN_GONE:
		pa_finding_add(l, "lease-ended", PA_SEV_ERROR, "Start the DHCP client again, or plug the network in again.",
			       "The DHCP lease on %s has ended, and the public address with it.", f->iface);
		break;
	case PA_SEEN_GRANT:
		pa_finding_add(l, "grant-ended", PA_SEV_ERROR, "Renew the DHCP lease.",
			       "A public address was granted on %s, and is over%s%s.", f->iface,
			       f->ended[0] != '\0' ? "; the gateway says: " : "", f->ended);
		break;
	}
}

static void no_daemon(const struct pa_facts *f, struct pa_findings *l)
{
	pa_finding_add(l, "daemon-missing", PA_SEV_ERROR,
		       "As root: systemctl enable --now pubaddr-tunneld@IFACE, with the interface's name; its log tells if it does not start.",
		       f->pending ? "A public address was granted on %s, but pubaddr-tunneld does not run there to take it." :
				    "pubaddr-tunneld does not run for %s.", f->iface[0] != '\0' ? f->iface : "any interface");
}

void pa_diagnose_grant(const struct pa_facts *f, struct pa_findings *l)
{
	if (!f->daemon) {
		no_daemon(f, l);
		return;
	}
	if (!f->lan_up)
		pa_finding_add(l, "lan-down", PA_SEV_ERROR, "Plug in the cable, join the wireless network, or set the interface up.",
			       "The interface %s is down or has no carrier.", f->iface);
	else if (!f->lan_has_address && f->seen == PA_SEEN_GONE)
		no_grant(f, l);
	else if (!f->lan_has_address)
		pa_finding_add(l, "lan-no-address", PA_SEV_ERROR, "Is the DHCP client running, and does the DHCP server answer?",
			       "The interface %s has no IPv4 address.", f->iface);
	else if (f->refusal[0] != '\0')
		pa_finding_add(l, "grant-refused", f->state == PA_CLIENT_IDLE ? PA_SEV_ERROR : PA_SEV_WARNING,
			       "What this host refuses is in pubaddr-tunneld(8), what it can be told to accept in "
			       "pubaddr-tunneld.conf(5). Otherwise tell the operator.",
			       "This host refused the public address that it was offered: %s.%s", f->refusal,
			       f->state == PA_CLIENT_IDLE ? "" : " The one before is still used.");
	else if (f->state == PA_CLIENT_IDLE)
		no_grant(f, l);
	if (f->trouble[0] != '\0')
		pa_finding_add(l, "network-failed", PA_SEV_ERROR, "The log of pubaddr-tunneld says more.",
			       "The interface, routes or rules could not be set: %s.", f->trouble);
}

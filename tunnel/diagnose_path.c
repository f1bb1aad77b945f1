/* SPDX-License-Identifier: MPL-2.0 */
/* Findings about the path to a gateway that answers: the NAT, how long it remembers, the size of packets, the clock. */
#include <stdlib.h>

#include "common/proto.h"
#include "tunnel/diagnose.h"

#define OUTER_HEADERS 28 /* IPv4 and UDP; what tunnel packets have around them */

static void nat(const struct pa_facts *f, struct pa_findings *l)
{
	const struct pa_probe_result *p = &f->probe;
	char mapped[PA_ENDPOINT_STRLEN];

	(void)pa_endpoint_format(&p->mapped, mapped);
	if (p->mapping == PA_NAT_UNKNOWN)
		pa_finding_add(l, "nat-mapping", PA_SEV_NOTE, "",
			       "The gateway sees this host at %s. How the NAT maps it towards others is not known, for the gateway has one "
			       "address and port only.", mapped);
	else
		pa_finding_add(l, "nat-mapping", PA_SEV_NOTE, "",
			       "The gateway sees this host at %s. The NAT's mapping is %s (RFC 4787)%s; the tunnel does not mind.", mapped,
			       pa_nat_name(p->mapping),
			       p->mapping == PA_NAT_ENDPOINT_OR_ADDRESS ? ", which of the two would take a second address of the gateway to tell" : "");
	if (p->filtering == PA_NAT_UNKNOWN)
		pa_finding_add(l, "nat-filtering", PA_SEV_NOTE, "",
			       "How the NAT filters what comes in is not known, for the gateway has one address and port only.");
	else
		pa_finding_add(l, "nat-filtering", PA_SEV_NOTE, "", "The NAT's filtering is %s (RFC 4787)%s; the tunnel does not mind.",
			       pa_nat_name(p->filtering),
			       p->filtering == PA_NAT_ENDPOINT_OR_ADDRESS ? ", which of the two would take a second address of the gateway to tell" : "");
}

static void lifetime(const struct pa_facts *f, struct pa_findings *l)
{
	const struct pa_probe_result *p = &f->probe;

	if (p->life_limit == 0 || (p->life_kept == 0 && p->life_lost == 0))
		return;
	if (p->life_lost == 0)
		pa_finding_add(l, "mapping-lifetime", PA_SEV_NOTE, "",
			       "The NAT remembers this host for %u s of silence at least; a keepalive goes out every %u s.",
			       (unsigned)p->life_kept, (unsigned)f->keepalive);
	else if (p->life_lost > f->keepalive && p->life_kept >= f->keepalive)
		pa_finding_add(l, "mapping-lifetime", PA_SEV_NOTE, "",
			       "The NAT forgets this host after %u to %u s of silence; a keepalive goes out every %u s, which is enough.",
			       (unsigned)p->life_kept, (unsigned)p->life_lost, (unsigned)f->keepalive);
	else
		pa_finding_add(l, "mapping-short", PA_SEV_WARNING,
			       p->life_kept >= PA_KEEPALIVE_MIN ?
				       "The client finds this out by itself in some minutes and takes a shorter interval. Who runs the NAT may give "
				       "UDP a longer timeout (RFC 4787 asks for 2 minutes)." :
				       "Ask who runs the NAT for a longer timeout of UDP (RFC 4787 asks for 2 minutes); keepalives are never sent more "
				       "often than every 15 s (RFC 8085).",
			       "The NAT forgets this host after %u to %u s of silence, but a keepalive goes out every %u s only: what others "
			       "send to the public address in between is lost.",
			       (unsigned)p->life_kept, (unsigned)p->life_lost, (unsigned)f->keepalive);
}

static void mtu(const struct pa_facts *f, struct pa_findings *l)
{
	const struct pa_probe_result *p = &f->probe;
	unsigned need = (unsigned)f->mtu + OUTER_HEADERS;
	bool small_to = p->mtu_to != 0 && p->mtu_to < need, small_from = p->mtu_from != 0 && p->mtu_from < need;
	static const char remedy[] = "The tunnel finds this out by itself within seconds once it carries something: try again then. Until then it "
				     "works by fragments, which some networks lose. If it stays so, ask the operator for a smaller \"mtu\" in the "
				     "grants.";

	if (small_to)
		pa_finding_add(l, "mtu-to-gateway", PA_SEV_WARNING, remedy,
			       "Packets to the gateway pass in one piece up to %u bytes only, and full packets of the tunnel have %u.",
			       (unsigned)p->mtu_to, need);
	if (small_from)
		pa_finding_add(l, "mtu-from-gateway", PA_SEV_WARNING, remedy,
			       "Packets from the gateway pass in one piece up to %u bytes only, and full packets of the tunnel have %u.",
			       (unsigned)p->mtu_from, need);
	if (p->mtu_to >= need && !small_from && f->mtu < f->mtu_max)
		pa_finding_add(l, "mtu", PA_SEV_NOTE, "", "The path carries packets of up to %u bytes; those of the tunnel are made to fit (MTU %u, "
			       "where %u is allowed).", (unsigned)p->mtu_to, (unsigned)f->mtu, (unsigned)f->mtu_max);
	else if (p->mtu_to >= need && !small_from)
		pa_finding_add(l, "mtu", PA_SEV_NOTE, "", "Full packets of the tunnel pass in one piece%s.",
			       p->mtu_from == 0 ? " to the gateway; the way back could not be tried" : ", both ways");
}

static void clocks(const struct pa_facts *f, struct pa_findings *l)
{
	long long s = (long long)(f->probe.clock_ms / 1000);

	if (s >= -PA_CLOCK_SKEW_MAX && s <= PA_CLOCK_SKEW_MAX)
		return;
	pa_finding_add(l, "clock", PA_SEV_WARNING, "Set the clock, by NTP at best: timedatectl set-ntp true. If it is right, tell the operator.",
		       "This host's clock is %lld s %s that of the gateway. The tunnel does not need it, but certificates, tickets and "
		       "logs do.", s < 0 ? -s : s, s < 0 ? "ahead of" : "behind");
}

void pa_diagnose_path(const struct pa_facts *f, struct pa_findings *l)
{
	if (f->state != PA_CLIENT_BOUND || !f->tried || !f->probe.probed)
		return;
	clocks(f, l);
	mtu(f, l);
	nat(f, l);
	lifetime(f, l);
}

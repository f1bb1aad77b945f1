/* SPDX-License-Identifier: MPL-2.0 */
/* Findings about what is there when it is needed: an address on demand, the session relay. */
#include "tunnel/diagnose.h"

/* No grant where none is asked for is as it should be, unless somebody needed one and got none. */
bool pa_diagnose_demand(const struct pa_facts *f, struct pa_findings *l)
{
	if (!f->on_demand || f->state != PA_CLIENT_IDLE || f->refusal[0] != '\0')
		return false;
	if (f->demand_trouble[0] != '\0')
		pa_finding_add(l, "demand-failed", PA_SEV_ERROR,
			       "The log of pubaddr-tunneld has the questions (demand.ask), that of Kea lines with PUBADDR_INFORM. The next "
			       "program asks again.",
			       "The last program that needed a public address on %s got none: %s.", f->iface, f->demand_trouble);
	else
		pa_finding_add(l, "on-demand", PA_SEV_NOTE, "",
			       "No program on %s needs a public address now; one is asked for when a program does (pubaddr exec).", f->iface);
	return true;
}

void pa_diagnose_relay(const struct pa_facts *f, struct pa_findings *l)
{
	if (f->relay[0] == '\0')
		return;
	if (f->relay_trouble[0] != '\0')
		pa_finding_add(l, "relay-unusable", PA_SEV_WARNING,
			       "See WHEN IT DOES NOT WORK in pubaddr-relay(7), which has the usual causes.",
			       "The session relay %s cannot be used: %s.", f->relay, f->relay_trouble);
	else
		pa_finding_add(l, "relay", PA_SEV_NOTE, "", "There is a session relay at %s; pubaddr exec --relay runs a program by it.",
			       f->relay);
}

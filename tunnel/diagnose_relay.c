/* SPDX-License-Identifier: MPL-2.0 */
/* Findings about the session relay. */
#include "tunnel/diagnose.h"

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

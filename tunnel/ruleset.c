/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/ruleset.h"

#include <stdio.h>

const char *pa_ruleset_table(const char *device, char dst[PA_RULESET_NAMELEN])
{
	(void)snprintf(dst, PA_RULESET_NAMELEN, "pubaddr-%s", device);
	return dst;
}

bool pa_ruleset_wanted(const struct pa_ruleset_input *in)
{
	return in->tracked || in->inbound.write != NULL;
}

/* The tunnel's flows in their own zone: before connection tracking sees them (priority -200), and after defragmentation (-400). */
static void write_zone(const struct pa_ruleset_input *in, struct pa_text *t)
{
	char p[PA_ADDR_STRLEN];

	(void)pa_addr_format(&in->addr, p);
	pa_text_add(t, "\tchain prerouting {\n"
		       "\t\ttype filter hook prerouting priority raw; policy accept;\n"
		       "\t\tiifname \"%s\" ct zone set %u\n"
		       "\t}\n",
		    in->device, (unsigned)in->zone);
	pa_text_add(t, "\tchain output {\n"
		       "\t\ttype route hook output priority raw; policy accept;\n"
		       "\t\tip saddr %s oifname != \"lo\" ct zone set %u\n"
		       "\t}\n",
		    p, (unsigned)in->zone);
}

void pa_ruleset_write(const struct pa_ruleset_input *in, struct pa_text *t)
{
	char table[PA_RULESET_NAMELEN];

	(void)pa_ruleset_table(in->device, table);
	/* "add" makes an absent table; "flush" takes every rule of one that is there and leaves its sets. */
	pa_text_add(t, "add table ip %s\nflush table ip %s\ntable ip %s {\n", table, table, table);
	write_zone(in, t);
	if (in->inbound.write != NULL)
		in->inbound.write(in->inbound.ctx, in, t);
	pa_text_add(t, "}\n");
}

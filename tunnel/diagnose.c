/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/diagnose.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *pa_severity_name(enum pa_severity s)
{
	return s == PA_SEV_ERROR ? "error" : s == PA_SEV_WARNING ? "warning" : "note";
}

void pa_finding_add(struct pa_findings *l, const char *id, enum pa_severity severity, const char *remedy, const char *fmt, ...)
{
	struct pa_finding *f = &l->list[l->n];
	va_list ap;

	if (l->n == PA_FINDINGS_MAX)
		return;
	l->n++;
	f->id = id;
	f->severity = severity;
	(void)snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

/* Programs that ask for the address of the host's own name get this one, instead of asking the kernel. */
static void hostname(const struct pa_facts *f, struct pa_findings *l)
{
	char text[PA_ADDR_STRLEN];

	if (f->hostname[0] == '\0' || pa_addr_classify(&f->hostname_address) != PA_ADDR_LOOPBACK)
		return;
	pa_finding_add(l, "hostname-loopback", PA_SEV_WARNING,
		       "In /etc/hosts remove the line that gives this name that address (Debian's installer writes it), or put an "
		       "address there that others reach.",
		       "This host's name \"%s\" resolves to %s, which only this host itself can reach: programs that announce the "
		       "address of their host's name (Java RMI, some SIP and MPI programs) announce that one.",
		       f->hostname, pa_addr_format(&f->hostname_address, text));
}

static void routes(const struct pa_facts *f, struct pa_findings *l)
{
	if (f->state != PA_CLIENT_BOUND || f->way[0] == '\0' || f->route[0] == '\0' || strcmp(f->route, f->way) == 0)
		return;
	pa_finding_add(l, "other-route", PA_SEV_WARNING,
		       "If that is another VPN, end it or let it leave the default route alone; or bind programs to the public "
		       "address. \"ip rule\" and \"ip route\" show who takes what.",
		       "New connections to the Internet leave by %s and not by %s: another VPN or another default route comes first, "
		       "and is left in peace. The public address is reached from outside, but programs do not see it as their own.",
		       f->route, f->way);
}

/* The tunnel stands, and nothing comes out of it. */
static void traffic(const struct pa_facts *f, struct pa_findings *l)
{
	if (f->state != PA_CLIENT_BOUND || f->sent < 20 || f->received > 0)
		return;
	pa_finding_add(l, "no-return", PA_SEV_WARNING,
		       "Ask the operator: at the gateway ip_forward, the firewall's forwarding from and to its device, and the route "
		       "of the pool to it may be missing.",
		       "%llu packets went into the tunnel and none has come back.", (unsigned long long)f->sent);
}

/* Our own policy is not meant: that one is told by pubaddr expose --list. */
static void inbound(const struct pa_facts *f, struct pa_findings *l)
{
	char address[PA_ADDR_STRLEN];

	if (f->state != PA_CLIENT_BOUND || f->inbound != PA_INBOUND_LOST)
		return;
	pa_finding_add(l, "firewall-inbound", PA_SEV_WARNING,
		       "If others are to reach this host, allow in its firewall what they need, from this interface (see: nft list ruleset, "
		       "iptables-save). pubaddr expose does not open another firewall.",
		       "What others send to %s comes out of the tunnel at %s, and a firewall on this host throws it away: a "
		       "datagram to a port of pubaddr's own did not arrive. What the firewall allows by name may still come in.",
		       pa_addr_format(&f->address, address), f->device);
}

static void sort(struct pa_findings *l)
{
	for (size_t i = 1; i < l->n; i++)
		for (size_t k = i; k > 0 && l->list[k].severity > l->list[k - 1].severity; k--) {
			struct pa_finding swap = l->list[k];

			l->list[k] = l->list[k - 1];
			l->list[k - 1] = swap;
		}
}

static bool has_error(const struct pa_findings *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->list[i].severity == PA_SEV_ERROR)
			return true;
	return false;
}

/* What the tunnel is, when it is there: the first of the notes. */
static void works(const struct pa_facts *f, struct pa_findings *l)
{
	char address[PA_ADDR_STRLEN], gateway[PA_ENDPOINT_STRLEN];

	if (f->state == PA_CLIENT_BOUND && !has_error(l))
		pa_finding_add(l, "bound", PA_SEV_NOTE, "", "%s has the public address %s, by the gateway %s.", f->iface,
			       pa_addr_format(&f->address, address), pa_endpoint_format(&f->gateway, gateway));
}

size_t pa_diagnose(const struct pa_facts *f, struct pa_finding ret[PA_FINDINGS_MAX])
{
	struct pa_findings l = {ret, 0};

	pa_diagnose_grant(f, &l);
	if (f->daemon)
		pa_diagnose_reach(f, &l);
	works(f, &l);
	routes(f, &l);
	traffic(f, &l);
	inbound(f, &l);
	if (f->daemon)
		pa_diagnose_relay(f, &l);
	pa_diagnose_path(f, &l);
	hostname(f, &l);
	if (l.n == 0)
		pa_finding_add(&l, "unclear", PA_SEV_ERROR, "Look at the log of pubaddr-tunneld.",
			       "There is no public address, and nothing that could be looked at tells why.");
	sort(&l);
	return l.n;
}

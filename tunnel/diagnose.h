/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_DIAGNOSE_H
#define PA_DIAGNOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "tunnel/client.h"
#include "tunnel/probe.h"

/*
 * What is wrong with the public address of one LAN interface, and what to do: facts in, findings out. Pure; any thread. The
 * facts are collected by pubaddr_diagnose.c; their ids are listed in pubaddr(1), and stay as they are.
 */
#define PA_FACT_NAMELEN 16
#define PA_FACT_TEXTLEN 512

/* What the DHCP client's script saw last (client-hook/seen.h). */
enum pa_seen {
	PA_SEEN_NOTHING = 0, /* it left no record */
	PA_SEEN_NONE,	     /* a lease without the option */
	PA_SEEN_GRANT,
	PA_SEEN_BAD,	     /* the option came, but is no grant */
	PA_SEEN_GONE,	     /* the lease has ended */
};

enum pa_wire_seen {
	PA_WIRE_UNKNOWN = 0, /* nobody listened: that takes root */
	PA_WIRE_SILENT,
	PA_WIRE_HEARD, /* datagrams of a gateway come in by the LAN interface */
};

/* Whether this host lets in what comes to P by the tunnel. */
enum pa_inbound_seen {
	PA_INBOUND_UNKNOWN = 0, /* not tried: our own policy lets not everything in, or nothing is bound */
	PA_INBOUND_CAME,
	PA_INBOUND_LOST,
};

/* A value type. Zeros and empty strings mean "not known". */
struct pa_facts {
	char iface[PA_FACT_NAMELEN], device[PA_FACT_NAMELEN];
	bool root; /* who asks is root */
	/* DHCP */
	enum pa_seen seen;
	bool asked_known, asked; /* whether the DHCP client asked for the option */
	char seen_cause[PA_FACT_TEXTLEN]; /* of PA_SEEN_BAD */
	bool pending;			  /* a grant waits in a file */
	/* the daemon's status */
	bool daemon; /* it answers; what follows is known only then */
	bool lan_up, lan_has_address;
	enum pa_client_state state;
	struct pa_addr address; /* P, unless IDLE */
	char refusal[PA_FACT_TEXTLEN]; /* why the last grant was refused */
	char trouble[PA_FACT_TEXTLEN]; /* why device, routes or rules could not be set */
	char ended[PA_FACT_NAMELEN];   /* why the gateway ended the last binding */
	char demand[PA_FACT_NAMELEN];  /* state of addresses on demand (demand.h); empty: not configured */
	struct pa_endpoint gateway;    /* of the binding, or the relay's server, */
	bool relayed;		       /* by which the tunnel goes, for UDP does not pass */
	unsigned misses;
	char demand_trouble[PA_FACT_TEXTLEN]; /* why that gave none the last time */
	char relay[PA_FACT_NAMELEN * 4];      /* the session relay's server; empty: nobody names one */
	char relay_trouble[PA_FACT_TEXTLEN];  /* why it does not work, where somebody wants it */
	uint16_t mtu, mtu_max, keepalive; /* mtu_max: what grant and gateway allow; 0: not known */
	uint64_t sent, received; /* packets through the tunnel */
	char way[PA_FACT_NAMELEN]; /* interface that its mode lets new connections leave by; empty in mode policy */
	/* the network, tried out */
	bool tried;
	struct pa_probe_result probe;
	enum pa_wire_seen wire;
	enum pa_inbound_seen inbound;
	char route[PA_FACT_NAMELEN]; /* interface that a new connection to the Internet would leave by */
	/* the host */
	char hostname[PA_FACT_TEXTLEN];
	struct pa_addr hostname_address; /* IPv4, what its name resolves to */
};

enum pa_severity { PA_SEV_NOTE, PA_SEV_WARNING, PA_SEV_ERROR };

#define PA_FINDING_TEXTLEN 768
#define PA_FINDINGS_MAX 24

struct pa_finding {
	const char *id; /* static */
	enum pa_severity severity;
	char text[PA_FINDING_TEXTLEN];	 /* what is, in plain words; a sentence */
	char remedy[PA_FINDING_TEXTLEN]; /* what to do; empty: nothing */
};

/* Returns how many findings were written, the worst first; at least one. */
size_t pa_diagnose(const struct pa_facts *f, struct pa_finding ret[PA_FINDINGS_MAX]);

/* "note", "warning", "error". Static. */
const char *pa_severity_name(enum pa_severity s);

/* ---- between the files of diagnose*.c ---- */

struct pa_findings {
	struct pa_finding *list;
	size_t n;
};

/* Adds one, or nothing when the list is full. remedy may be "". */
void pa_finding_add(struct pa_findings *l, const char *id, enum pa_severity severity, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Why there is no public address; of the way of the grant to here, and of the way to the gateway. */
void pa_diagnose_grant(const struct pa_facts *f, struct pa_findings *l);
void pa_diagnose_reach(const struct pa_facts *f, struct pa_findings *l);
/* The session relay, where there is one. */
void pa_diagnose_relay(const struct pa_facts *f, struct pa_findings *l);
/* What lies between this host and a gateway that answers. */
void pa_diagnose_path(const struct pa_facts *f, struct pa_findings *l);

#endif

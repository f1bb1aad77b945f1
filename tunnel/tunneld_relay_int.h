/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_RELAY_INT_H
#define PA_TUNNELD_RELAY_INT_H

#include "tunnel/lines.h"
#include "tunnel/relay_client_edge.h"
#include "tunnel/relay_names.h"
#include "tunnel/tunneld_relay_edge.h"

/* Inside of tunneld_relay_edge.c and tunneld_relay_calls.c only. */

#define PA_TURELAY_RECENT 16 /* calls that the status shows */

struct pa_turelay_call {
	uint32_t session; /* 0: none */
	uint8_t kind;	  /* enum pa_relay_kind */
	uint8_t error;
	const char *state; /* "calling", "connected", "listening", "failed", "over" */
	const char *via;
	uid_t uid;
	struct pa_endpoint local, remote;
};

struct pa_turelay_counters {
	uint64_t connects, resumed, lost; /* of the connection */
	uint64_t calls, connected, failed, incoming, ended, reset, names, names_refused;
};

struct pa_turelay {
	struct pa_turelay_config cfg;
	uint8_t secret_key[PA_KEY_LEN];
	struct pa_stream_tls *tls;
	struct pa_grant grant;
	bool has_grant;
	struct pa_relay_client *client; /* NULL: no connection is wanted, or could be had */
	struct pa_endpoint server;	/* the client's */
	struct pa_rretry retry;		/* of it; a new client of the same server goes on with it */
	bool up, ready;			/* now; and at some time since the client was made */
	enum pa_relay_error final;	/* not OK: the server refuses this grant for good */
	char trouble[160];		/* why the connection went last; empty: it stands, or was let go */
	char former[160];		/* and that of an attempt that was given up; empty: it stood since */
	bool worth_waiting;		/* as demand said */
	uint64_t down_ms, idle_ms;	/* boot time, since when; 0: not */
	TAILQ_HEAD(pa_turelay_waiting, pa_turelay_want) waiting; /* who came first is told first: a call before the port that it was to leave free */
	unsigned n_wants, n_link, n_demand; /* in all; those that need the link; those that need an address */
	uv_timer_t timer, soon;	  /* every now and then while something is wanted; and right after this round */
	unsigned open;		  /* handles */
	bool closing;
	const struct pa_turelay_tunnel_ops *tunnel;
	void *tunnel_ctx;
	struct pa_turelay_counters count;
	struct pa_lines lines; /* about sessions, and what leads to them */
	struct pa_rnames names;
	struct pa_relay_user nobody; /* of names that their users do not wait for any more */
	struct pa_turelay_call recent[PA_TURELAY_RECENT];
	unsigned n_recent; /* in all */
};

/* The client's ops for sessions; their ctx is the struct pa_turelay. */
extern const struct pa_rlink_ops pa_turelay_link_ops;
/* Every session is over: its user is told, and lets go. */
void pa_turelay_reset_all(struct pa_turelay *r, enum pa_relay_error error);
/* Those who wait are told by the loop what has changed. */
void pa_turelay_settle_soon(struct pa_turelay *r);
/* Logs how many lines about sessions were left out, at most once a second. */
void pa_turelay_tell_held(struct pa_turelay *r);
/* The last calls, the newest first. */
json_t *pa_turelay_recent_json(const struct pa_turelay *r);

#endif

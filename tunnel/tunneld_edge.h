/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_EDGE_H
#define PA_TUNNELD_EDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/clock.h"
#include "common/edge_daemon.h"
#include "common/edge_file.h"
#include "common/edge_server.h"
#include "tunnel/client.h"
#include "tunnel/dp_select.h"
#include "tunnel/lines.h"
#include "tunnel/net_mark.h"
#include "tunnel/client_state.h"
#include "tunnel/tunneld_conf.h"
#include "tunnel/tunneld_demand_edge.h"
#include "tunnel/tunneld_inbound_edge.h"
#include "tunnel/tunneld_keep.h"
#include "tunnel/tunneld_mode.h"
#include "tunnel/tunneld_net.h"
#include "tunnel/tunneld_probe_edge.h"
#include "tunnel/tunneld_relays_edge.h"

/*
 * The client daemon of one LAN interface: the pure core (client.h) with device, routes, sockets, data path, timers and
 * command socket. One loop's thread.
 */
struct pa_tunneld;

#define PA_TUNNELD_ERRLEN PA_DAEMON_ERRLEN
#define PA_TUNNELD_HOSTS_MAX 32

/* conf and iface are borrowed until pa_tunneld_free. */
int pa_tunneld_new(uv_loop_t *loop, const struct pa_tunneld_conf *conf, const char *iface, struct pa_tunneld **ret);
/* Brings everything up and takes a pending grant. On failure err says what and the remedy; stop is still needed. */
int pa_tunneld_start(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN]);
/*
 * In place of start, when a daemon died for good: removes device, routes and rules that it left, so that the host is on plain
 * NAT again. An error if a daemon serves this interface. stop and free are still needed.
 */
int pa_tunneld_cleanup(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN]);
/*
 * Says BYE, restores the host's network, closes every handle, so that the loop runs out. The grant stays in the state file
 * for the next start. Harmless a second time.
 */
void pa_tunneld_stop(struct pa_tunneld *t);
/* After the loop has run out. */
void pa_tunneld_free(struct pa_tunneld *t);

/* What came with the grant and is not in it. */
struct pa_tunneld_hosts {
	struct pa_addr hosts[PA_TUNNELD_HOSTS_MAX]; /* routers, resolvers, DHCP server */
	size_t n;
};

/* ---- for the grant and the command part; the same thread ---- */

struct pa_tunneld_counters {
	uint64_t granted, refused, withdrawn;
};

struct pa_tunneld_parts {
	const struct pa_tunneld_conf *conf;
	const char *iface;
	struct pa_client *client;
	struct pa_path *path;
	struct pa_tunnet *net;
	struct pa_keep *keep;
	struct pa_tunneld_probe *probe;
	struct pa_tuninbound *inbound;
	struct pa_tundemand *demand;
	struct pa_tunmode *mode;
	const struct pa_tunneld_relays *relays;
	const struct pa_ferry *ferry;
	const struct pa_mark *mark; /* NULL: sockets cannot be marked, no_mark says why */
	const char *no_mark;
	bool by_policy; /* the outbound mode is "policy": the host itself does not use P */
	struct pa_tunneld_counters *counters;
	char *refusal; /* why the last grant was refused, PA_TUNNELD_ERRLEN; empty: it was not */
	struct pa_lines *lines; /* about what users ask for, see pa_tunneld_may_log */
	const char *trouble; /* why the network could not be set up; empty: it could */
	bool no_default;     /* bound, but another VPN holds the default route */
};
/*
 * May one more line be logged of what a user has asked for? 20 a second, 200 at once. *ret_held: how many were not since the last one,
 * for its field held-back.
 */
bool pa_tunneld_may_log(const struct pa_tunneld_parts *p, unsigned *ret_held);
/* Logs that req is refused for whose it is. */
void pa_tunneld_log_denied(const struct pa_tunneld_parts *p, const struct pa_request *req);
/* Borrowed views of the daemon's parts. */
struct pa_tunneld_parts pa_tunneld_parts_of(struct pa_tunneld *t);
/* Remembers the hosts that stay on the LAN for the next ops->up. */
void pa_tunneld_set_hosts(struct pa_tunneld *t, const struct pa_tunneld_hosts *hosts);
/* After anything that was told to the core: runs its timers and asks when to come again. */
void pa_tunneld_tick(struct pa_tunneld *t);

/*
 * Judges and takes the grant of grant-put's arguments (HACKING.md). 0, or a negative error with the reason in plain words in err;
 * refusals are counted and logged here, and change nothing.
 */
int pa_tunneld_grant_put(struct pa_tunneld *t, const json_t *args, char err[PA_TUNNELD_ERRLEN]);
/* The same for a grant, and maybe a session (or NULL), of a former process. For the start. */
int pa_tunneld_grant_adopt(struct pa_tunneld *t, const json_t *args, const struct pa_client_saved *session,
			   char err[PA_TUNNELD_ERRLEN]);

/* Brings the network to the mode that is in force now. On failure err says why. */
int pa_tunneld_mode_changed(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN]);
/*
 * The configuration file is read anew: outbound and auto-ports count from now on, the rest from the next start. An error is
 * logged, with its place, and changes nothing. config: its path; absent (as the default one may be): the defaults.
 */
void pa_tunneld_reload(struct pa_tunneld *t, const char *config);

/* Gives P to the network namespace of process pid, for as long as that lives. On failure the host has it as before; err says why. */
int pa_tunneld_give_namespace(struct pa_tunneld *t, pid_t pid, char err[PA_TUNNELD_ERRLEN]);

/*
 * A namespace that has just ended is noticed a moment later; this does it now, for who must not meet the routes of before. On failure
 * err says why.
 */
int pa_tunneld_after_namespace(struct pa_tunneld *t, char err[PA_TUNNELD_ERRLEN]);

/* Commands that have files of their own; each replies. */
void pa_tunneld_mode_set(struct pa_tunneld *t, struct pa_request *req);
void pa_tunneld_expose(struct pa_tunneld *t, struct pa_request *req);
void pa_tunneld_expose_list(struct pa_tunneld *t, struct pa_request *req);
void pa_tunneld_expose_remove(struct pa_tunneld *t, struct pa_request *req);
void pa_tunneld_exec_cgroup(struct pa_tunneld *t, struct pa_request *req);
void pa_tunneld_exec_netns(struct pa_tunneld *t, struct pa_request *req);

/* Handler of the command socket; ctx is the struct pa_tunneld. */
void pa_tunneld_command(void *ctx, struct pa_request *req);

#endif

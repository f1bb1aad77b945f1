/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_TUNNELD_RELAY_EDGE_H
#define PA_TUNNELD_RELAY_EDGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uv.h>

#include "common/edge_tls_stream.h"
#include "common/grant.h"
#include "common/relay_link.h"
#include "tunnel/tunneld_conf.h"

/*
 * The session relay of this daemon's interface: owns the one connection to the server (relay_client_edge.h), makes it when somebody
 * wants it and lets it go PA_TURELAY_LINGER_S after the last one, and hands out what arrives to whom each session belongs. Steps are
 * logged and counted here, in the order of a call: relay.connect, relay.ready, relay.call, relay.result, relay.end. One loop's thread.
 */
struct pa_turelay;

#define PA_TURELAY_ERRLEN PA_STREAM_ERRLEN
#define PA_TURELAY_LINGER_S 30
#define PA_TURELAY_WAIT_S 20 /* who waits for an address or the link is told after so long that there is none; see relay_retry.h, too */

struct pa_turelay_config {
	uv_loop_t *loop;
	const char *iface;		       /* to leave by; borrowed */
	uint32_t mark;			       /* SO_MARK of the connection */
	const struct pa_tunneld_relay *conf;   /* tunneld.conf's "relay"; borrowed */
	const uint8_t *secret_key;	       /* the client's, PA_KEY_LEN octets; copied */
	uint64_t (*next_bind)(void *ctx);      /* as pa_client_ops' */
	/*
	 * For addresses on demand; may be NULL. wanted: somebody wants an address or the link, and nobody did before; not wanted: nobody
	 * does any more. Returns whether it is worth to wait for a grant where there is none: if not, who wants one is told so at once.
	 * Not to call back into want or unwant.
	 */
	bool (*demand)(void *ctx, bool wanted);
	void *ctx;
};

/* cfg is copied. 0, PA_ENOMEM, or another error with err in plain words (the authorities' file). */
int pa_turelay_new(const struct pa_turelay_config *cfg, struct pa_turelay **ret, char err[PA_TURELAY_ERRLEN]);
/* Ends all sessions (users' reset op is called), tells all who wait SHUTDOWN, and frees itself when libuv lets go. NULL is fine. */
void pa_turelay_close(struct pa_turelay *r);

/* ---- what the daemon tells */
/* The grant in force now, copied; NULL: none any more. After each change and each renewal. */
void pa_turelay_grant(struct pa_turelay *r, const struct pa_grant *g);

/* ---- who wants it */
enum pa_turelay_need {
	PA_TURELAY_ADDRESS, /* that this host has a public address */
	PA_TURELAY_LINK,    /* and a connection to the server */
	PA_TURELAY_FERRY,   /* a connection as long as there is an address, which is not asked for, nor kept, for this */
};

/* The caller's, from want to unwant; set need, ready and ctx, zero the rest. */
struct pa_turelay_want {
	enum pa_turelay_need need;
	/*
	 * Once, and only if want returned false: it is there (OK), or it cannot be had (NET: no address, or the server is known to refuse;
	 * NOT_FOUND: no relay is known; TIMEOUT, EXPIRED, ...). The want stays until unwant in either case. May call unwant.
	 */
	void (*ready)(void *ctx, enum pa_relay_error error);
	void *ctx;
	/* ours */
	TAILQ_ENTRY(pa_turelay_want) waiting; /* until it is told */
	uint64_t until_ms;
	bool held, told;
};

/*
 * Begins to want; w must not be held. True: what is needed is there now, ready is not called. Failures are told by ready, never from
 * inside of want.
 */
bool pa_turelay_want(struct pa_turelay *r, struct pa_turelay_want *w);
/* Ends it; harmless if w is not held. */
void pa_turelay_unwant(struct pa_turelay *r, struct pa_turelay_want *w);

/* The granted address; none: there is no grant. */
struct pa_addr pa_turelay_addr(const struct pa_turelay *r);
/* Is there a server to connect to, by tunneld.conf or by the grant? */
bool pa_turelay_known(const struct pa_turelay *r);
/* Borrowed until the next return to the loop; NULL: there is no connection to open sessions on (want it first). */
struct pa_rlink *pa_turelay_link(const struct pa_turelay *r);
/* The connection stands this very moment; false also while it is being resumed, when sessions can be opened all the same. */
bool pa_turelay_is_up(const struct pa_turelay *r);

/* ---- sessions */
/*
 * Whom a session belongs to: each pa_rsession's user begins with this, and the link's ops of the same names are passed on to it. It is
 * the owner's, who lets go of it in reset, or by pa_turelay_end. Who has a session holds a want, too.
 */
struct pa_relay_user;
struct pa_relay_user_ops {
	/* RESULT or RESOLVED; after an error, and after RESOLVED, end s. */
	void (*result)(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_relay_body *b);
	/* u listens and was called: give s a user (pa_rsession_set_user) or end it, before returning. NULL: it never listens. */
	void (*incoming)(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_relay_body *b);
	void (*data)(struct pa_relay_user *u, struct pa_rsession *s, const uint8_t *bytes, size_t len);
	void (*datagram)(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes,
			 size_t len);
	/* Datagrams to peer do not arrive. NULL: not wanted. */
	void (*undelivered)(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_endpoint *peer,
			    enum pa_relay_error error);
	void (*fin)(struct pa_relay_user *u, struct pa_rsession *s);
	/*
	 * s is gone when this returns, by the server or because the connection is lost for good (LOST). Do not end it, nor, from in
	 * here, any other.
	 */
	void (*reset)(struct pa_relay_user *u, struct pa_rsession *s, enum pa_relay_error error);
	void (*writable)(struct pa_relay_user *u, struct pa_rsession *s);
};
struct pa_relay_user {
	const struct pa_relay_user_ops *ops; /* those that a kind of session never gets may be NULL */
};

/* On whose behalf, for the log. */
struct pa_turelay_caller {
	const char *via; /* "socket", "socks"; static */
	uid_t uid;
	pid_t pid; /* 0: not known */
};

/* pa_rlink_open, with a line in the log. NULL: no link, no memory, or too many. */
struct pa_rsession *pa_turelay_open(struct pa_turelay *r, const struct pa_relay_body *b, struct pa_relay_user *u,
				    const struct pa_turelay_caller *caller);
/* pa_rlink_resolve, as far as the user uid may (relay_names.h). NULL as above, or not now: what a server calls AGAIN. */
struct pa_rsession *pa_turelay_resolve(struct pa_turelay *r, const struct pa_relay_body *b, struct pa_relay_user *u, uid_t uid);
/* pa_rlink_close, with a line in the log. For all sessions that these gave, and those of the incoming op. */
void pa_turelay_end(struct pa_turelay *r, struct pa_rsession *s, enum pa_relay_error error);

/*
 * May one more line be logged of what users of the relay do? 300 a second, 3000 at once (all at debug level); how many were not is
 * logged (relay.held-back). For lines of level INFO.
 */
bool pa_turelay_may_log(struct pa_turelay *r);

/* ---- the tunnel's datagrams */
struct pa_turelay_tunnel_ops {
	/* One from the gateway. */
	void (*datagram)(void *ctx, const uint8_t *bytes, size_t len);
	/* The connection stands, or does not. */
	void (*state)(void *ctx, bool up);
};
/* One taker; NULL ends it. ops and ctx are borrowed. Sending: pa_rlink_tunnel of pa_turelay_link. */
void pa_turelay_set_tunnel(struct pa_turelay *r, const struct pa_turelay_tunnel_ops *ops, void *ctx);

/* For "status-get": {"state": "off"|"waiting"|"connecting"|"up"|"lost", "server", "mapped", "sessions", "counters": {...}, ...}. The
 * caller's. */
json_t *pa_turelay_status(const struct pa_turelay *r);

#endif

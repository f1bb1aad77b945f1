/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CLIENT_INT_H
#define PA_CLIENT_INT_H

#include "common/cred.h"
#include "tunnel/client.h"

/* What the files of the client's core (client*.c) share; nobody else includes it. */

/* A binding that a gateway accepted. */
struct pa_client_session {
	bool valid;
	bool lost; /* silent for too long, or our address changed: only a new handshake can help */
	struct pa_client_binding b;
	uint8_t c2g[PA_KEY_LEN], g2c[PA_KEY_LEN];
	uint8_t token[PA_TOKEN_LEN];
	uint64_t sent_seq, acked_seq;
	bool waiting; /* for ALIVE */
	bool drained; /* the gateway wants us to bind at another one */
	bool urgent;  /* it is waited for with little patience: something was sent, and nothing came back */
	unsigned misses;
	uint64_t next_ms;    /* keepalive or its retry */
	uint64_t expires_ms; /* of the grant it was made with */
	uint64_t reconfirm_tat;
	uint64_t probe_seq; /* of the last PROBE */
	uint64_t path_seq;  /* of the first PROBE for the present question about the path's MTU; earlier ones do not count */
	uint16_t told_mtu;  /* that the gateway has said it knows */
	unsigned tellings;  /* KEEPALIVEs for that alone */
};

/*
 * Whoever saw the grant on the LAN can forge a CHALLENGE (K0 follows from the grant), with a cookie that no gateway takes.
 * So each one that comes gets its CONFIRM, and the first genuine ACCEPT says which was the true one; up to this many, which
 * bounds the work and the packets that forgeries can cause.
 */
#define PA_CLIENT_ANSWERS 4

struct pa_client_answer {
	uint8_t cookie[PA_COOKIE_LEN];
	uint8_t confirm[PA_CONFIRM_LEN];
	struct pa_session_keys keys;
};

struct pa_client_handshake {
	bool active;
	unsigned gateway; /* of the grant's list; behind its end: by the relay */
	unsigned tries;	  /* of the present message */
	bool refused;	  /* the gateway said that we should try another one */
	bool back;	  /* is UDP there again? Beside a binding by the relay */
	unsigned attempt; /* messages since the start at this gateway */
	uint64_t next_ms, sent_ms;
	uint64_t bind;
	uint8_t nonce[PA_NONCE_LEN];
	unsigned n_answers; /* 0: no CHALLENGE yet */
	struct pa_client_answer answers[PA_CLIENT_ANSWERS];
};

/*
 * The way by the relay (client_ferry.c): one more gateway behind the grant's, as long as it is open.
 */
struct pa_client_ferry {
	bool wanted, open;
	bool used; /* by the last binding */
	struct pa_endpoint at;
	uint64_t search_ms; /* since when no gateway has answered; 0: one has */
	uint64_t back_ms;   /* bound by the relay: when to try UDP */
	uint64_t pause_ms;  /* before the try after that */
	uint64_t udp_ms;    /* since when there was a binding by UDP, 0: never */
};

/* What the data path has carried, as far as it tells whether the gateway lives (client_heal.c). */
struct pa_client_traffic {
	uint64_t tx, rx;	 /* packets, as of the last call */
	uint64_t unanswered_ms; /* since when something has left and nothing has come; 0: it has */
	uint64_t asked_ms;	 /* the last time that this made us ask */
};

struct pa_client {
	const struct pa_client_ops *ops;
	void *ctx;
	uint8_t secret_key[PA_KEY_LEN], public_key[PA_KEY_LEN];
	bool has_grant, up;
	struct pa_grant grant;
	uint8_t claims[PA_CLAIMS_LEN], claims_hash[PA_KEY_LEN], k0[PA_KEY_LEN];
	uint64_t expires_ms;
	struct pa_claims floor; /* the newest grant that a gateway accepted, with its key: nobody vouches for others */
	uint8_t floor_key[PA_KEY_LEN];
	struct pa_client_session s;
	struct pa_client_handshake h;
	struct pa_pmtu pmtu;
	unsigned failed, round; /* gateways that did not answer in a row; times that the whole list did not */
	unsigned quick;		/* gateways that are still asked once each, for a moment, before the list begins with patience */
	uint16_t interval;	/* seconds between keepalives; 0: the binding's */
	uint64_t due_ms;	/* when tick wanted to be called again; 0: not yet said */
	struct pa_client_traffic traffic;
	struct pa_client_ferry ferry;
	uint64_t last_alive_ms, last_hint_ms;
	uint32_t rtt_us;
	uint8_t last_reason;
	struct pa_client_counters count;
};

/*
 * Starts a handshake with a gateway of the grant's list; what was tried before is forgotten. quick: how many gateways are asked for a
 * moment first. start: the next one of a search.
 */
void pa_client_begin(struct pa_client *cl, struct pa_now now, unsigned gateway);
void pa_client_begin_quick(struct pa_client *cl, struct pa_now now, unsigned gateway, unsigned quick);
void pa_client_start(struct pa_client *cl, struct pa_now now, unsigned gateway);

/*
 * Ways to gateways by number (client_ferry.c): those of the grant's list, then the one by the relay. ways: how many there are now.
 * gateway: the number of an endpoint, the first one's if it is not there.
 */
const struct pa_endpoint *pa_client_at(const struct pa_client *cl, unsigned gateway);
unsigned pa_client_ways(const struct pa_client *cl);
unsigned pa_client_gateway(const struct pa_client *cl, const struct pa_endpoint *gateway);
bool pa_client_by_ferry(const struct pa_client *cl, unsigned gateway);
/* The edge is told, if that is news, whether the way by the relay is wanted. */
void pa_client_ferry_want(struct pa_client *cl, struct pa_now now, bool wanted);
/* A session holds from now on. */
void pa_client_ferry_bound(struct pa_client *cl, struct pa_now now);
/* Nobody answers a handshake that was to show whether UDP is there again. */
void pa_client_back_failed(struct pa_client *cl, struct pa_now now);
/* What is due; returns as pa_client_tick. */
uint64_t pa_client_ferry_tick(struct pa_client *cl, struct pa_now now);
void pa_client_event(struct pa_client *cl, const char *name, const struct pa_endpoint *gateway, unsigned detail);

/*
 * Gateways that are being emptied (client_drain.c). drained: ours says so. refused: true if the message is an authentic refusal of the
 * running handshake, which then goes on elsewhere with the next tick. beside: the gateway for the next handshake beside a session that
 * lives. replaced_by_own: does UNBOUND (replaced) of a gateway that wants us to leave tell of the very handshake that we have under way elsewhere?
 */
void pa_client_drained(struct pa_client *cl, struct pa_now now);
bool pa_client_refused(struct pa_client *cl, struct pa_now now, const uint8_t *buf, size_t len, const struct pa_msg *m);
unsigned pa_client_beside(const struct pa_client *cl);
bool pa_client_replaced_by_own(const struct pa_client *cl, const struct pa_msg *m);

/* Judges and stores a grant without asking a gateway. *ret_new: it was not the one that we have. Errors as pa_client_grant. */
int pa_client_take(struct pa_client *cl, struct pa_now now, const struct pa_grant *g, bool *ret_new);
/* client_pmtu.c. A session holds from now on, at the gateway that the former one was at, or at another. */
void pa_client_path_begin(struct pa_client *cl, struct pa_now now, bool same);
/* Sends what is due; returns as pa_client_tick. */
uint64_t pa_client_path_tick(struct pa_client *cl, struct pa_now now);
/* A PROBED came by the session's own way, *m decoded but not verified. */
void pa_client_path_probed(struct pa_client *cl, struct pa_now now, const uint8_t *buf, size_t len, const struct pa_msg *m);
/* What the gateway takes for the path's MTU, by an authentic ALIVE. */
void pa_client_path_alive(struct pa_client *cl, struct pa_now now, const struct pa_msg *m);

/* Sends KEEPALIVE in the session and waits for ALIVE. */
void pa_client_keepalive(struct pa_client *cl, struct pa_now now);
/* The same with little patience: a gateway that does not answer now is left within two seconds. Nothing without a live session. */
void pa_client_ask(struct pa_client *cl, struct pa_now now);
/* How long the answer to a message is waited for where there is no time to lose, in ms. */
uint64_t pa_client_quick_ms(const struct pa_client *cl);
/* Was tick called so late that the host must have slept, or the process been stopped? */
bool pa_client_overslept(const struct pa_client *cl, struct pa_now now);
/* The next keepalive of the session is due: asks, or gives the gateway up. */
void pa_client_keepalive_due(struct pa_client *cl, struct pa_now now);
/* Whether there is a session whose gateway has not been given up. */
bool pa_client_healthy(const struct pa_client *cl);

#endif

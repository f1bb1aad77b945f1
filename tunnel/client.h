/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CLIENT_H
#define PA_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/clock.h"
#include "common/grant.h"
#include "common/msg.h"
#include "common/proto.h"
#include "tunnel/pmtu.h"

/*
 * The client's side of the control protocol: takes a grant (already judged by accept.h), binds it at a gateway, keeps it
 * alive, heals, moves to the next gateway, renews beside the running binding, ends. Pure: no I/O, no clock; what is to be done is
 * handed to ops, which must not call back into the client. One thread.
 */
struct pa_client;
struct pa_client_saved; /* client_state.h */

enum pa_client_state {
	PA_CLIENT_IDLE,	      /* no grant */
	PA_CLIENT_BINDING,    /* a grant, no gateway has accepted yet (or all were lost): plain NAT */
	PA_CLIENT_BOUND,      /* ACCEPTed: interface and routes are up */
};

/* What holds while bound; handed to ops->up. A value type without secrets. */
struct pa_client_binding {
	struct pa_claims claims;
	struct pa_endpoint gateway;
	struct pa_endpoint mapped; /* how the gateway sees us */
	uint16_t mtu;		   /* inner, in force: what is known to pass, or mtu_max where nobody probes */
	uint16_t mtu_max;	   /* inner: the lower of grant and ACCEPT */
	uint16_t keepalive;	   /* seconds */
	uint8_t session[PA_SESSION_LEN];
	bool relayed; /* over the relay's connection: gateway is what pa_client_ferry was told, mapped is the server's */
};

struct pa_client_status {
	enum pa_client_state state;
	struct pa_client_binding binding; /* valid while BOUND */
	struct pa_claims claims;	  /* of the current grant; valid unless IDLE */
	uint64_t expires_boot_ms;	  /* when the grant ends, boot time; 0 while IDLE */
	uint32_t rtt_us;		  /* smoothed (RFC 6298); 0: none yet */
	uint64_t last_alive_ms;		  /* boot time of the last authentic message of the gateway; 0: never */
	unsigned misses;		  /* keepalives unanswered in a row */
	uint16_t interval;		  /* seconds between keepalives; 0 unless BOUND */
	unsigned attempt;		  /* of the running handshake, from 1; 0: none runs */
	struct pa_endpoint trying;	  /* gateway that the running handshake talks to */
	enum pa_pmtu_state path;	  /* of the search for the path's MTU */
	uint8_t last_reason;		  /* enum pa_reason of the last UNBOUND; 0: none */
};

struct pa_client_ops {
	/* Sends a UDP payload to a gateway from the current socket. */
	void (*send)(void *ctx, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
	/* Replaces the socket by one with a fresh source port. Not called before the first handshake. */
	void (*fresh_port)(void *ctx);
	/* ACCEPT: bring interface, routes and data path to exactly this state (first time, renewal or another gateway). */
	void (*up)(void *ctx, const struct pa_client_binding *b);
	/*
	 * No gateway serves us any more, plain NAT is back; ended: the grant is over too, remove everything. reason: enum
	 * pa_reason, 0 if gateways are just silent. Also called with ended when the grant ends without ever having been up.
	 */
	void (*down)(void *ctx, bool ended, unsigned reason);
	/*
	 * For the log; event is static: "handshake.start" (detail: round, from 0), "handshake.accept" (attempts),
	 * "handshake.refused" (an authentic ACCEPT that cannot be used, or no key agreement), "handshake.timeout" (attempts),
	 * "handshake.contested" (CHALLENGEs so far: a forger knows the grant, or the gateway has changed its cookie),
	 * "gateway.miss" (misses in a row), "gateway.lost", "gateway.next", "gateway.unbound" (enum pa_reason),
	 * "gateway.drained" (it wants us to leave; detail: gateways of the grant), "handshake.drained" (refused for that reason),
	 * "gateway.adopted" (a session of a former process), "gateway.hint", "gateway.ask" (nothing comes back), "gateway.rechallenge", "gateway.mapped",
	 * "path.mtu" (inner MTU in force), "path.blackhole" (the one that passes no more), "grant.new", "grant.end" (enum
	 * pa_reason), "fallback.wanted" (no gateway answers by UDP; detail: ms of silence), "fallback.up" (bound by the relay),
	 * "fallback.try" (UDP is tried again; detail: s until the next time), "fallback.end" (bound by UDP again).
	 */
	void (*event)(void *ctx, const char *event, const struct pa_endpoint *gateway, unsigned detail);
	/* The next bind number, above every earlier one (max(last + 1, Unix ms)), durable before it is returned. */
	uint64_t (*next_bind)(void *ctx);
	void (*random)(void *ctx, uint8_t *dst, size_t len);
	/*
	 * As send, but in one piece or not at all (DF), for probes of the path's MTU. Left out (NULL), nothing
	 * is probed, and packets may be as large as grant and gateway allow. mtu: packets may be as large as b->mtu from now on; not
	 * left out if probe is not.
	 */
	void (*probe)(void *ctx, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
	void (*mtu)(void *ctx, const struct pa_client_binding *b);
	/*
	 * The way by the relay is wanted, or is not any more; answered by pa_client_ferry, later, and each time that it changes. Left
	 * out (NULL), there is only UDP.
	 */
	void (*ferry)(void *ctx, bool wanted);
};

struct pa_client_counters {
	uint64_t sent, received, malformed, bad_mac, unexpected, rechallenged, limited;
	uint64_t handshakes, accepts, misses, lost, moves;
	uint64_t urgent; /* questions because nothing came back, or because the host had slept */
	uint64_t path_probes, path_answers, black_holes; /* of the path's MTU */
	uint64_t fallbacks, returns; /* bindings by the relay after one by UDP, or none; and the other way */
	uint64_t udp_trials;	     /* while bound by the relay */
};

/* secret_key: X25519, copied. ops: static. PA_ENOMEM. */
int pa_client_new(const uint8_t secret_key[PA_KEY_LEN], const struct pa_client_ops *ops, void *ctx,
		  struct pa_client **ret);
/* Wipes and frees; sends nothing. NULL is fine. */
void pa_client_free(struct pa_client *cl);

/*
 * Takes a grant (copied): the first one, or a later one. The same claims but for a higher expiry, or a higher epoch, starts a
 * handshake beside the running binding, swapped at ACCEPT; an identical one changes nothing. Once a gateway has accepted a grant, one
 * for the same address and gateway key with a lower epoch, or a lower expiry of the same epoch, is refused with
 * PA_EREPLAY, also after pa_client_end; a grant that no gateway accepted bars none. lifetime is
 * counted from now. PA_EINVAL: a withdrawal (use pa_client_end) or no gateway; PA_EDENIED: made for another client's key.
 */
int pa_client_grant(struct pa_client *cl, struct pa_now now, const struct pa_grant *g);
/*
 * What outlives the process: writes the session that holds the interface up (it has keys: wipe it); false if none does. adopt
 * is for a new client, instead of its first pa_client_grant: takes the grant, and the session as if it had just been
 * accepted (ops->up), and asks the gateway at once whether it knows it; if not, or if the session is for an earlier grant, a
 * handshake follows. PA_EEXPIRED: the session has ended meanwhile, nothing has changed; otherwise as pa_client_grant.
 */
bool pa_client_save(const struct pa_client *cl, struct pa_client_saved *ret);
int pa_client_adopt(struct pa_client *cl, struct pa_now now, const struct pa_grant *g, const struct pa_client_saved *s);
/* Ends: BYE to the gateway, ops->down(ended), IDLE. Harmless while IDLE. */
void pa_client_end(struct pa_client *cl, struct pa_now now, enum pa_reason reason);
/* A UDP payload that is a control message arrived from an outer address. */
void pa_client_receive(struct pa_client *cl, struct pa_now now, const struct pa_endpoint *from, const uint8_t *buf,
		       size_t len);
/*
 * Probes of the path to the gateway, beside the session and without a change to it. probe writes a PROBE of *m's length,
 * answer_length, delay, from and echo, and fills in the rest of *m: the length, PA_EAGAIN without a session, or as
 * pa_msg_encode. It may be sent from any socket. probed reads an answer that came to such a socket: PA_EFORMAT, PA_EAUTH,
 * or PA_ENOTFOUND: of another session.
 */
int pa_client_probe(struct pa_client *cl, struct pa_now now, struct pa_msg *m, uint8_t *buf, size_t cap);
int pa_client_probed(const struct pa_client *cl, const uint8_t *buf, size_t len, struct pa_msg *ret);
/* How many octets of data the tunnel has carried so far, both ways: where some are carried the path's MTU is looked after. */
void pa_client_carried(struct pa_client *cl, uint64_t octets);
/* The gateways of the grant, in its order. Returns how many; 0 without a grant. */
unsigned pa_client_gateways(const struct pa_client *cl, struct pa_endpoint ret[PA_GATEWAYS_MAX]);
/*
 * The way by the relay is open (at: the endpoint that stands for the gateway at its other end, to send to and to receive from; copied),
 * or closed (NULL). A gateway is reached by it as by UDP, but nothing is probed, and UDP is tried again and again beside
 * the binding, after PA_CLIENT_BACK_MS, then twice that and so on up to PA_CLIENT_BACK_MAX_MS. Ignored while it is not wanted.
 */
void pa_client_ferry(struct pa_client *cl, struct pa_now now, const struct pa_endpoint *at);
#define PA_CLIENT_FERRY_MS 3000 /* no answer by UDP for so long: two HELLOs and their repetitions */
#define PA_CLIENT_BACK_MS 5000
#define PA_CLIENT_BACK_MAX_MS 120000
/* The LAN address or the link changed: try again at once, from a fresh port; by UDP, too, if bound by the relay. */
void pa_client_kick(struct pa_client *cl, struct pa_now now);
/*
 * What the data path has carried so far, in packets; numbers that are not those of the last call mean that there were some, so it
 * may begin anew. Call it every PA_CLIENT_PULSE_MS while bound: where something leaves and nothing comes back for a moment the
 * gateway is asked at once, and if it is silent then, it is left, within 3 s in all as long as a round trip takes less than 150 ms.
 */
void pa_client_traffic(struct pa_client *cl, struct pa_now now, uint64_t tx, uint64_t rx);
#define PA_CLIENT_PULSE_MS 250
/*
 * Seconds between keepalives from now on: what keep_learn.h has found; PA_KEEPALIVE_MIN at least, and at most the binding's, which
 * is also what 0 means.
 */
void pa_client_interval(struct pa_client *cl, struct pa_now now, uint16_t seconds);
/*
 * Timers. Returns the boot time (ms) at which to call again at the latest; UINT64_MAX: nothing to wait for. Called much later (the
 * host slept, the process was stopped), it asks the gateway at once.
 */
uint64_t pa_client_tick(struct pa_client *cl, struct pa_now now);

void pa_client_status_get(const struct pa_client *cl, struct pa_client_status *ret);
void pa_client_counters_get(const struct pa_client *cl, struct pa_client_counters *ret);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_SOCKS5_H
#define PA_SOCKS5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/relay.h"

/*
 * The server's side of SOCKS5: the messages of RFC 1928 (methods, request, reply, header of datagrams) and RFC 1929 (user name and
 * password). Which methods are offered is fixed beforehand: with check, user name and password alone; without it, no
 * authentication alone. Pure; any thread, one at a time for each struct pa_socks5.
 */
#define PA_SOCKS5_INPUT_MAX 513	 /* the longest message of a client: user name and password of 255 each (RFC 1929, 2) */
#define PA_SOCKS5_ANSWER_MAX 22	 /* the longest answer: a reply with an IPv6 address */
#define PA_SOCKS5_HEADER_MAX 262 /* the longest header of a datagram: a name of 255 octets (RFC 1928, 7) */

enum pa_socks5_command { PA_SOCKS5_CONNECT = 1, PA_SOCKS5_BIND = 2, PA_SOCKS5_UDP = 3 };

/* The reply field (RFC 1928, 6). */
enum pa_socks5_reply {
	PA_SOCKS5_OK = 0,
	PA_SOCKS5_FAILED = 1,
	PA_SOCKS5_NOT_ALLOWED = 2,
	PA_SOCKS5_NET_UNREACHABLE = 3,
	PA_SOCKS5_HOST_UNREACHABLE = 4,
	PA_SOCKS5_REFUSED = 5,
	PA_SOCKS5_TTL_EXPIRED = 6,
	PA_SOCKS5_NO_COMMAND = 7,
	PA_SOCKS5_NO_ADDRESS_TYPE = 8,
};

/* Where to: an address, or a name, of which the address is to be found. A value type. */
struct pa_socks5_target {
	struct pa_endpoint at;		  /* the port in any case; with a name the address is none */
	char name[PA_RELAY_NAME_MAX + 1]; /* as in RESOLVE (common/relay.h), terminated; empty: there is none */
};

/* What the client says who it is, not terminated, 1 to 255 octets each; borrowed from the input. */
struct pa_socks5_login {
	const uint8_t *user, *password;
	uint8_t user_len, password_len;
};

struct pa_socks5 {
	/* Is this the right password of that user? NULL: nobody is asked. */
	bool (*check)(void *ctx, const struct pa_socks5_login *login);
	void *ctx;
	uint8_t state; /* zero in the beginning */
};

enum pa_socks5_step {
	PA_SOCKS5_MORE,	   /* the message is not whole yet */
	PA_SOCKS5_GO_ON,   /* send the answer; more is to come */
	PA_SOCKS5_REQUEST, /* there is the request: do it, and answer by pa_socks5_reply; not called again */
	PA_SOCKS5_END,	   /* send the answer, which may be empty, and close; not called again */
};

struct pa_socks5_out {
	enum pa_socks5_step step;
	size_t used; /* octets of the input that are done with */
	uint8_t answer[PA_SOCKS5_ANSWER_MAX];
	size_t answer_len;
	uint8_t command; /* REQUEST: enum pa_socks5_command */
	struct pa_socks5_target target;
	/* END: why, in one word, static: "not-socks5", "no-method", "login", "command", "address", "malformed" */
	const char *why;
};

/*
 * The next message, at the beginning of buf. Of MORE nothing is used: call it again with more behind it; PA_SOCKS5_INPUT_MAX
 * octets are always enough. *ret is overwritten in any case.
 */
void pa_socks5_input(struct pa_socks5 *s, const uint8_t *buf, size_t len, struct pa_socks5_out *ret);

/* A reply to a request; bound: NULL for 0.0.0.0:0, as for all but OK. Returns its length. */
size_t pa_socks5_reply(uint8_t reply, const struct pa_endpoint *bound, uint8_t dst[PA_SOCKS5_ANSWER_MAX]);
/* The reply that tells of a call's end as exactly as there are words for it. A timeout is TTL_EXPIRED, as the C libraries of clients
 * make ETIMEDOUT of it. */
enum pa_socks5_reply pa_socks5_reply_of(enum pa_relay_error error);
/* "refused" and so on; "unknown" otherwise. Static. */
const char *pa_socks5_reply_name(unsigned reply);

/*
 * The header of a datagram from the client (RFC 1928, 7). Returns its length, behind which is the datagram itself. PA_ETRUNC;
 * PA_EFORMAT; PA_ENOTSUP: it is a fragment, which is to be dropped.
 */
int pa_socks5_datagram(const uint8_t *buf, size_t len, struct pa_socks5_target *ret);
/* The header of a datagram from peer to the client. Returns its length. */
size_t pa_socks5_put_header(const struct pa_endpoint *peer, uint8_t dst[PA_SOCKS5_ANSWER_MAX]);

#endif

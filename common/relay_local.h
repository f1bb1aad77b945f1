/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_RELAY_LOCAL_H
#define PA_RELAY_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/addr.h"
#include "common/relay.h"

/*
 * The client daemon's local socket for the session relay, RUN_DIR/relay-IFACE.sock (AF_UNIX, SOCK_SEQPACKET): what a library inside
 * of a program says to pubaddr-tunneld. One connection carries one request and its answer, so that fork and threads need no care.
 * Each packet is one message: the eight octets of a struct pa_relay_header, session 0, and a body. Codecs; pure, any thread.
 *
 *	request          answer
 *	ADDRESS          ADDRESS_IS: once this host has a public address, or why it gets none. As long as the connection stays
 *	                 open after that, the address counts as used (addresses on demand).
 *	OPEN, TCP        CALLED at once, with the program's descriptor; then RESULT. Who need not wait closes the connection
 *	                 after CALLED and asks by INFO later. Or, where the call is refused here, RESULT alone.
 *	OPEN, TCP_LISTEN RESULT, with the program's descriptor where the error is OK
 *	OPEN, UDP        the same
 *	INFO             INFO_IS
 *	SET              INFO_IS: the session is from now on as SET says, if it is of the same user, or root asks
 *	RESOLVE          RESOLVED
 *
 * A program whom the configuration does not permit gets the answer with PA_RELAY_E_DENIED. A connection that ends without an answer:
 * the daemon has gone.
 *
 * The descriptors are Unix sockets, blocking, and not close-on-exec for who receives them without MSG_CMSG_CLOEXEC. Their own name
 * (getsockname) tells every process that has inherited one what it is: pa_rlocal_name_parse.
 *
 * TCP: SOCK_STREAM; bytes flow as they are, with half-close (shutdown) and, where the session ends by a reset or the daemon dies,
 * ECONNRESET. Before the result it is neither readable nor writable. When the call has failed poll tells POLLERR|POLLHUP|POLLIN|POLLOUT,
 * the first use fails with ECONNRESET, and INFO tells the true error.
 * TCP_LISTEN: SOCK_SEQPACKET; each packet is INCOMING with the descriptor of a session that is connected already. Readable: accept would
 * not wait. Take one with recvmsg; a packet of length 0 is the end: the daemon or the session has gone.
 * UDP: SOCK_SEQPACKET; each packet in either direction is the other end's endpoint (18 octets as of DATAGRAM in common/relay.h:
 * pa_relay_encode and pa_relay_decode of PA_RELAY_DATAGRAM) and then the datagram. What the program sends is dropped if it cannot go on.
 * A packet to the program of pa_rlocal_trouble says that datagrams to the peer of its last SET do not arrive.
 */
#define PA_RLOCAL_ENV "PUBADDR_RELAY" /* the socket's path, for the library */
#define PA_RLOCAL_NAME "pubaddr-relay/" /* descriptors' names: a NUL, this, IFACE, a slash, the id as 16 digits */
#define PA_RLOCAL_LEN_MAX (PA_RELAY_HEADER_LEN + PA_RELAY_FIELDS_MAX)

enum pa_rlocal_type {
	/* OPEN, RESULT, INCOMING, RESOLVE, RESOLVED have the numbers of enum pa_relay_type. */
	PA_RLOCAL_ADDRESS = 128,
	PA_RLOCAL_ADDRESS_IS = 129,
	PA_RLOCAL_CALLED = 130,
	PA_RLOCAL_INFO = 131,
	PA_RLOCAL_INFO_IS = 132,
	PA_RLOCAL_SET = 133,
};

/* What INFO_IS tells. A session that failed or is over is remembered for PA_RLOCAL_REMEMBER_S. */
enum pa_rlocal_state {
	PA_RLOCAL_UNKNOWN = 0,	 /* nothing is known of this id: too long ago, or another daemon's */
	PA_RLOCAL_CALLING = 1,	 /* a call without a result yet */
	PA_RLOCAL_CONNECTED = 2, /* or listening, or open for datagrams */
	PA_RLOCAL_FAILED = 3,	 /* the call was not answered well: error */
	PA_RLOCAL_OVER = 4,	 /* it has been connected, and has ended: error is OK, or why it was torn down */
};
#define PA_RLOCAL_REMEMBER_S 60

/* A message. One struct for all; a type uses the fields named beside it and leaves the others zero. A value type. */
struct pa_rlocal {
	uint8_t type;
	uint64_t id;	  /* CALLED INCOMING INFO INFO_IS SET RESULT: of the session; RESULT: 0 where nothing was begun */
	uint8_t state;	  /* INFO_IS: enum pa_rlocal_state */
	bool nonblock;	  /* OPEN, TCP: nobody will wait for RESULT */
	bool abrupt;	  /* SET, TCP: when the program closes its descriptor the peer is told by a reset */
	uint16_t backlog; /* OPEN, TCP_LISTEN: calls that may wait to be accepted; a hint */
	/*
	 * OPEN: kind, local.port, remote. INFO_IS: kind, error, local, remote. RESULT: error, local, remote. INCOMING: local, remote.
	 * ADDRESS_IS: error, and local.addr is the public address. RESOLVE: family, name. RESOLVED: error, addrs, n_addrs.
	 * SET: remote, of UDP: whose troubles the program wants to know; none: nobody's.
	 */
	struct pa_relay_body body;
};

/* Writes a whole message; returns its length, or PA_EINVAL (a field is outside its range, or the type is none of these) or PA_ETRUNC. */
int pa_rlocal_encode(const struct pa_rlocal *m, uint8_t *buf, size_t cap);
/* Reads a whole message of len octets. PA_ETRUNC or PA_EFORMAT, *ret untouched then. decode(encode(m)) == m. */
int pa_rlocal_decode(const uint8_t *buf, size_t len, struct pa_rlocal *ret);

/* The name of the program's descriptor of session id; iface of at most 15 octets. Returns the address's length for bind. */
socklen_t pa_rlocal_name(const char *iface, uint64_t id, struct sockaddr_un *ret);
/* Is that, of len octets as getsockname told, such a name? Then *ret_id is set. */
bool pa_rlocal_name_parse(const struct sockaddr_un *name, socklen_t len, uint64_t *ret_id);

/*
 * What stands in a datagram's place when datagrams to the peer with that port do not arrive: PA_RELAY_DATAGRAM_LEN octets, an endpoint
 * that nobody has, ::ERROR. decode is false for everything else.
 */
void pa_rlocal_trouble_encode(enum pa_relay_error error, uint16_t port, uint8_t ret[PA_RELAY_DATAGRAM_LEN]);
bool pa_rlocal_trouble_decode(const uint8_t buf[PA_RELAY_DATAGRAM_LEN], unsigned *ret_error, uint16_t *ret_port);

/* The errno by which a program is told of error: 0 for OK, ECONNREFUSED for REFUSED and so on; EIO for a number that is none. */
int pa_relay_errno(unsigned error);

#endif

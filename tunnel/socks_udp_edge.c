/* SPDX-License-Identifier: MPL-2.0 */
/*
 * UDP ASSOCIATE: a socket on loopback for the program's datagrams, each with the header of RFC 1928, and a flow of the relay. It
 * lives as long as the connection that asked for it. It serves the program's first socket: the kernel tells whose that is, so that no
 * other user of this host can send by it, and our socket is connected to it from then on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "tunnel/net_owner.h"
#include "tunnel/net_udp.h"
#include "tunnel/socks_int.h"

#define NAMES 8		  /* of which the addresses are known, or asked for */
#define NAME_MS 60000	  /* for so long an address is believed */
#define WAITING_LEN 2048  /* of the datagram that waits for an address */
#define TURN 64		  /* datagrams taken in one turn */
#define CHECKS_PER_S 20	  /* of senders; each is a question to the kernel */

struct name {
	struct pa_relay_user user; /* first: of s */
	struct pa_socks_conn *c;
	struct pa_rsession *s; /* NULL: not being asked */
	char text[PA_RELAY_NAME_MAX + 1];
	struct pa_addr addr;
	uint64_t until_ms; /* boot time; addr is good for so long */
	uint8_t *waiting;  /* the last datagram that came meanwhile, or NULL */
	size_t waiting_len;
	uint16_t port; /* of it */
};

struct pa_socks_udp {
	int fd;
	struct pa_socks_poll *poll;
	struct pa_endpoint sender; /* port 0: the program has not sent anything yet */
	uint64_t second_ms;	   /* boot time */
	unsigned checks;	   /* since then */
	struct name names[NAMES];
};

static uint64_t now_ms(void)
{
	return pa_now_get().boot_ms;
}

/* ---------------------------------------------------------------- names */

static void drop_waiting(struct name *n)
{
	free(n->waiting);
	n->waiting = NULL;
}

static void send_on(struct pa_socks_conn *c, const struct pa_endpoint *to, const uint8_t *bytes, size_t len)
{
	if (c->s == NULL || !pa_addr_is_ipv4(&to->addr) || len > PA_RELAY_BODY_MAX - PA_RELAY_DATAGRAM_LEN ||
	    !pa_rlink_datagram(c->s, to, bytes, len))
		c->so->count.datagrams_dropped++;
}

static void op_resolved(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct name *n = (struct name *)u;
	struct pa_endpoint to = {.port = n->port};

	pa_turelay_end(n->c->so->relay, s, PA_RELAY_E_OK);
	n->s = NULL;
	if (b->error == PA_RELAY_E_OK && b->n_addrs > 0) {
		to.addr = n->addr = b->addrs[0];
		n->until_ms = now_ms() + NAME_MS;
		if (n->waiting != NULL)
			send_on(n->c, &to, n->waiting, n->waiting_len);
	} else {
		n->c->so->count.datagrams_dropped++;
	}
	drop_waiting(n);
}

static void op_reset(struct pa_relay_user *u, struct pa_rsession *s, enum pa_relay_error error)
{
	struct name *n = (struct name *)u;

	(void)s;
	(void)error;
	n->s = NULL;
	drop_waiting(n);
}

static const struct pa_relay_user_ops name_ops = {.result = op_resolved, .reset = op_reset};

/* The one of that text, or else the one that is of least use; NULL: all are being asked for. */
static struct name *find_name(struct pa_socks_udp *u, const char *text)
{
	struct name *old = NULL;

	for (unsigned i = 0; i < NAMES; i++) {
		struct name *n = &u->names[i];

		if (strcmp(n->text, text) == 0)
			return n;
		if (n->s == NULL && (old == NULL || n->until_ms < old->until_ms))
			old = n;
	}
	return old;
}

static bool keep_waiting(struct name *n, uint16_t port, const uint8_t *bytes, size_t len)
{
	drop_waiting(n);
	n->waiting = len <= WAITING_LEN ? malloc(len + 1) : NULL;
	if (n->waiting == NULL)
		return false;
	memcpy(n->waiting, bytes, len);
	n->waiting_len = len;
	n->port = port;
	return true;
}

static void send_to_name(struct pa_socks_conn *c, const struct pa_socks5_target *t, const uint8_t *bytes, size_t len)
{
	struct pa_endpoint to = {.port = t->at.port};
	struct pa_relay_body b = {.family = 4};
	struct name *n = find_name(c->udp, t->name);

	if (n != NULL && n->s == NULL && now_ms() < n->until_ms && strcmp(n->text, t->name) == 0) {
		to.addr = n->addr;
		send_on(c, &to, bytes, len);
		return;
	}
	if (n == NULL || !keep_waiting(n, t->at.port, bytes, len)) {
		c->so->count.datagrams_dropped++;
		return;
	}
	if (n->s != NULL)
		return; /* it is on its way */
	n->user.ops = &name_ops;
	n->c = c;
	n->until_ms = 0;
	memcpy(n->text, t->name, sizeof(n->text));
	memcpy(b.name, t->name, sizeof(b.name));
	n->s = pa_turelay_resolve(c->so->relay, &b, &n->user, c->uid);
	if (n->s == NULL) {
		drop_waiting(n);
		c->so->count.datagrams_dropped++;
	}
}

/* ---------------------------------------------------------------- the program's socket */

static bool may_check(struct pa_socks_udp *u)
{
	uint64_t now = now_ms();

	if (u->second_ms == 0 || now >= u->second_ms + 1000) {
		u->second_ms = now;
		u->checks = 0;
	}
	return u->checks++ < CHECKS_PER_S;
}

/* Is this the program's? The first time it is found out, and nobody else is heard from then on. */
static bool is_sender(struct pa_socks_conn *c, const struct sockaddr_storage *ss, socklen_t len)
{
	struct pa_socks_udp *u = c->udp;
	struct pa_endpoint from;
	uid_t uid;

	if (!pa_sockaddr_from(ss, &from))
		return false;
	if (u->sender.port != 0)
		return pa_endpoint_eq(&from, &u->sender);
	if (!pa_addr_eq(&from.addr, &c->from.addr) || !may_check(u) || pa_owner_udp(&from, &uid) < 0 || uid != c->uid)
		return false;
	if (connect(u->fd, (const struct sockaddr *)ss, len) < 0)
		return false;
	u->sender = from;
	return true;
}

/* Its socket is closed; the program may send from another one. */
static void forget_sender(struct pa_socks_udp *u)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(int);
	int error;

	(void)getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	(void)connect(u->fd, &none, sizeof(none));
	memset(&u->sender, 0, sizeof(u->sender));
}

static void take_datagram(struct pa_socks_conn *c, const uint8_t *bytes, size_t len)
{
	struct pa_socks5_target t;
	int n = pa_socks5_datagram(bytes, len, &t);

	if (n < 0)
		c->so->count.datagrams_dropped++;
	else if (t.name[0] != '\0')
		send_to_name(c, &t, bytes + n, len - (size_t)n);
	else
		send_on(c, &t.at, bytes + n, len - (size_t)n);
}

static void on_readable(void *ctx, int status)
{
	struct pa_socks_conn *c = ctx;
	struct pa_socks_udp *u = c->udp;

	for (int i = 0; i < TURN; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(u->fd, c->so->buf, sizeof(c->so->buf), 0, (struct sockaddr *)&from, &len);

		if (n < 0 && errno == ECONNREFUSED)
			forget_sender(u);
		if (n < 0)
			break;
		if (is_sender(c, &from, len))
			take_datagram(c, c->so->buf, (size_t)n);
		else
			c->so->count.datagrams_dropped++;
	}
	if (status < 0) { /* libuv stops at an error */
		forget_sender(u);
		pa_socks_poll_set(u->poll, UV_READABLE);
	}
}

void pa_socks_udp_receive(struct pa_socks_conn *c, const struct pa_endpoint *peer, const uint8_t *bytes, size_t len)
{
	uint8_t header[PA_SOCKS5_ANSWER_MAX];
	struct iovec iov[2] = {{header, pa_socks5_put_header(peer, header)}, {(void *)(uintptr_t)bytes, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (c->udp->sender.port == 0)
		return; /* nobody to give it to */
	if (sendmsg(c->udp->fd, &msg, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
		forget_sender(c->udp);
}

/* ---------------------------------------------------------------- life */

/* At the address where the connection came in. */
static int open_socket(const struct pa_socks_conn *c, struct pa_endpoint *ret_at)
{
	bool v4 = pa_addr_is_ipv4(&c->so->conf->listen.addr);
	struct pa_endpoint at = {.addr = c->so->conf->listen.addr};
	struct sockaddr_storage ss;
	socklen_t len = pa_sockaddr_to(&at, &ss);
	int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&ss, len) == 0) {
		ret_at->addr = at.addr;
		ret_at->port = pa_udp_port(fd);
		return fd;
	}
	close(fd);
	return -1;
}

void pa_socks_udp_start(struct pa_socks_conn *c)
{
	struct pa_socks_udp *u = calloc(1, sizeof(*u));
	uint8_t answer[PA_SOCKS5_ANSWER_MAX];
	struct pa_endpoint at;

	if (u != NULL) {
		u->fd = open_socket(c, &at);
		u->poll = u->fd >= 0 ? pa_socks_poll_new(c->so->loop, u->fd, on_readable, c) : NULL;
	}
	if (u == NULL || u->poll == NULL) {
		if (u != NULL && u->fd >= 0)
			close(u->fd);
		free(u);
		pa_socks_refuse(c, PA_SOCKS5_FAILED);
		return;
	}
	c->udp = u;
	c->state = PA_SOCKS_DATAGRAMS;
	c->until_ms = 0;
	pa_socks_poll_set(u->poll, UV_READABLE);
	pa_socks_poll_set(c->poll, UV_READABLE);
	(void)pa_socks_send(c, answer, pa_socks5_reply(PA_SOCKS5_OK, &at, answer));
}

void pa_socks_udp_close(struct pa_socks_conn *c)
{
	struct pa_socks_udp *u = c->udp;

	c->udp = NULL;
	if (u == NULL)
		return;
	for (unsigned i = 0; i < NAMES; i++) {
		if (u->names[i].s != NULL)
			pa_turelay_end(c->so->relay, u->names[i].s, PA_RELAY_E_OK);
		drop_waiting(&u->names[i]);
	}
	pa_socks_poll_close(u->poll);
	close(u->fd);
	free(u);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* What programs ask of the SOCKS5 server: CONNECT, BIND, and the flow of UDP ASSOCIATE, as sessions of the relay. */
#include <string.h>

#include "common/clock.h"
#include "tunnel/socks_int.h"

static uint64_t in_s(unsigned seconds)
{
	return pa_now_get().boot_ms + 1000 * (uint64_t)seconds;
}

static bool is_any(const struct pa_addr *a)
{
	struct pa_addr v4 = pa_addr_from_ipv4(0);

	return pa_addr_is_none(a) || pa_addr_eq(a, &v4);
}

/* ---------------------------------------------------------------- calls */

static const struct pa_relay_user_ops ops;

static struct pa_rsession *open_session(struct pa_socks_conn *c, const struct pa_relay_body *b)
{
	const struct pa_turelay_caller caller = {.via = "socks", .uid = c->uid};

	c->user.ops = &ops;
	return pa_turelay_open(c->so->relay, b, &c->user, &caller);
}

static void open_or_refuse(struct pa_socks_conn *c, const struct pa_relay_body *b)
{
	c->state = PA_SOCKS_CALLING;
	c->until_ms = in_s(PA_SOCKS_CALL_S);
	c->s = open_session(c, b);
	if (c->s == NULL)
		pa_socks_refuse(c, PA_SOCKS5_FAILED);
}

/* The next of the addresses that there are; error: how it went with the one before. */
static void call_next(struct pa_socks_conn *c, enum pa_relay_error error)
{
	struct pa_relay_body b = {.kind = PA_RELAY_TCP};

	if (c->next_addr == c->n_addrs) {
		pa_socks_refuse(c, pa_socks5_reply_of(error));
		return;
	}
	b.remote = (struct pa_endpoint){c->addrs[c->next_addr++], c->target.at.port};
	open_or_refuse(c, &b);
}

/* Addresses are known, where they are needed. */
static void begin(struct pa_socks_conn *c)
{
	struct pa_relay_body b = {.kind = c->command == PA_SOCKS5_BIND ? PA_RELAY_TCP_LISTEN : PA_RELAY_UDP};

	if (c->command == PA_SOCKS5_CONNECT)
		call_next(c, PA_RELAY_E_NOT_FOUND);
	else
		open_or_refuse(c, &b);
}

static void resolve(struct pa_socks_conn *c)
{
	struct pa_relay_body b = {.family = 4}; /* P is an address of IPv4 */

	memcpy(b.name, c->target.name, sizeof(b.name));
	c->user.ops = &ops;
	c->state = PA_SOCKS_RESOLVING;
	c->until_ms = in_s(PA_SOCKS_CALL_S);
	c->s = pa_turelay_resolve(c->so->relay, &b, &c->user, c->uid);
	if (c->s == NULL)
		pa_socks_refuse(c, PA_SOCKS5_FAILED);
}

/*
 * The link is there. A program that wants to send datagrams may name the address that it will send from; whose sockets they
 * are tells more (socks_udp_edge.c).
 */
static void on_link(struct pa_socks_conn *c)
{
	if (c->command != PA_SOCKS5_UDP && c->target.name[0] != '\0') {
		resolve(c);
		return;
	}
	if (c->command == PA_SOCKS5_CONNECT || (c->command == PA_SOCKS5_BIND && !is_any(&c->target.at.addr)))
		c->addrs[c->n_addrs++] = c->target.at.addr;
	begin(c);
}

/* Without an address of ours there is no network; without a relay nothing can be said of the peer. */
static void on_ready(void *ctx, enum pa_relay_error error)
{
	struct pa_socks_conn *c = ctx;

	if (error == PA_RELAY_E_OK)
		on_link(c);
	else
		pa_socks_refuse(c, error == PA_RELAY_E_NET ? PA_SOCKS5_NET_UNREACHABLE : PA_SOCKS5_FAILED);
}

static void log_request(const struct pa_socks_conn *c)
{
	static const char *const commands[] = {"none", "connect", "bind", "udp"};
	char text[PA_ADDR_STRLEN];

	if (!pa_turelay_may_log(c->so->relay))
		return;
	pa_log(PA_LOG_INFO, "socks.request", "uid=%u command=%s target=%s port=%u", (unsigned)c->uid, commands[c->command],
	       c->target.name[0] != '\0' ? c->target.name : pa_addr_format(&c->target.at.addr, text), (unsigned)c->target.at.port);
}

void pa_socks_request(struct pa_socks_conn *c)
{
	c->so->count.requests++;
	if (!c->allowed) {
		pa_socks_refuse(c, PA_SOCKS5_NOT_ALLOWED);
		return;
	}
	log_request(c);
	if (c->command == PA_SOCKS5_CONNECT && c->target.name[0] == '\0' && !pa_addr_is_ipv4(&c->target.at.addr)) {
		pa_socks_refuse(c, PA_SOCKS5_NO_ADDRESS_TYPE);
		return;
	}
	c->state = PA_SOCKS_WANTING;
	c->until_ms = in_s(PA_SOCKS_CALL_S);
	pa_socks_poll_set(c->poll, UV_DISCONNECT);
	c->want.need = PA_TURELAY_LINK;
	c->want.ready = on_ready;
	c->want.ctx = c;
	if (pa_turelay_want(c->so->relay, &c->want))
		on_link(c);
}

/* ---------------------------------------------------------------- what comes of them */

static void on_piped_end(void *ctx, enum pa_relay_error error)
{
	struct pa_socks_conn *c = ctx;

	(void)error; /* relay.end has it */
	c->pipe = NULL;
	pa_socks_end(c);
}

/* From here on all is the pipe's; bound: for the reply. s is c->s, or a call that came to it. */
static void open_pipe(struct pa_socks_conn *c, struct pa_rsession *s, const struct pa_endpoint *bound)
{
	struct pa_rpipe_config cfg = {
		.fd = c->fd, .uid = c->uid, .early = c->in, .early_len = c->in_len, .ended = on_piped_end, .ctx = c};
	struct pa_rsession *listener = c->s != s ? c->s : NULL;
	struct pa_turelay *relay = c->so->relay;
	uint8_t answer[PA_SOCKS5_ANSWER_MAX];
	size_t len = pa_socks5_reply(PA_SOCKS5_OK, bound, answer);

	c->s = s;
	if (listener != NULL)
		pa_turelay_end(relay, listener, PA_RELAY_E_OK);
	if (!pa_socks_send(c, answer, len))
		return;
	pa_socks_poll_close(c->poll);
	c->poll = NULL;
	if (pa_rpipe_new(c->so->pipes, s, &cfg, &c->pipe) < 0) {
		pa_socks_end(c);
		return;
	}
	c->fd = -1;
	c->s = NULL;
	c->state = PA_SOCKS_PIPED;
	c->until_ms = 0;
}

static void on_listening(struct pa_socks_conn *c, const struct pa_endpoint *at)
{
	uint8_t answer[PA_SOCKS5_ANSWER_MAX];
	size_t len = pa_socks5_reply(PA_SOCKS5_OK, at, answer);

	c->state = PA_SOCKS_LISTENING;
	c->until_ms = in_s(PA_SOCKS_BIND_S);
	(void)pa_socks_send(c, answer, len);
}

static void on_resolved(struct pa_socks_conn *c, const struct pa_relay_body *b)
{
	if (b->error != PA_RELAY_E_OK || b->n_addrs == 0) {
		pa_socks_refuse(c, pa_socks5_reply_of(b->error != PA_RELAY_E_OK ? (enum pa_relay_error)b->error : PA_RELAY_E_NOT_FOUND));
		return;
	}
	c->n_addrs = b->n_addrs;
	memcpy(c->addrs, b->addrs, b->n_addrs * sizeof(c->addrs[0]));
	begin(c);
}

static void op_result(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_socks_conn *c = (struct pa_socks_conn *)u;
	enum pa_relay_error error = (enum pa_relay_error)b->error;

	if (c->state == PA_SOCKS_RESOLVING || error != PA_RELAY_E_OK) {
		pa_turelay_end(c->so->relay, s, PA_RELAY_E_OK);
		c->s = NULL;
	}
	if (c->state == PA_SOCKS_RESOLVING)
		on_resolved(c, b);
	else if (error != PA_RELAY_E_OK && c->command == PA_SOCKS5_CONNECT)
		call_next(c, error);
	else if (error != PA_RELAY_E_OK)
		pa_socks_refuse(c, pa_socks5_reply_of(error));
	else if (c->command == PA_SOCKS5_CONNECT)
		open_pipe(c, s, &b->local);
	else if (c->command == PA_SOCKS5_BIND)
		on_listening(c, &b->local);
	else
		pa_socks_udp_start(c);
}

static bool may_call(const struct pa_socks_conn *c, const struct pa_addr *from)
{
	for (unsigned i = 0; i < c->n_addrs; i++)
		if (pa_addr_eq(&c->addrs[i], from))
			return true;
	return c->n_addrs == 0;
}

/* BIND is for one call, of the host that the program has named. */
static void op_incoming(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_socks_conn *c = (struct pa_socks_conn *)u;
	char text[PA_ENDPOINT_STRLEN];

	if (c->state == PA_SOCKS_LISTENING && may_call(c, &b->remote.addr)) {
		open_pipe(c, s, &b->remote);
		return;
	}
	if (pa_turelay_may_log(c->so->relay))
		pa_log(PA_LOG_INFO, "socks.uninvited", "uid=%u from=%s", (unsigned)c->uid, pa_endpoint_format(&b->remote, text));
	pa_turelay_end(c->so->relay, s, PA_RELAY_E_DENIED);
}

static void op_datagram(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_endpoint *peer, const uint8_t *bytes,
			size_t len)
{
	struct pa_socks_conn *c = (struct pa_socks_conn *)u;

	(void)s;
	if (c->state == PA_SOCKS_DATAGRAMS)
		pa_socks_udp_receive(c, peer, bytes, len);
}

static void op_reset(struct pa_relay_user *u, struct pa_rsession *s, enum pa_relay_error error)
{
	struct pa_socks_conn *c = (struct pa_socks_conn *)u;

	(void)s;
	c->s = NULL;
	if (c->state == PA_SOCKS_DATAGRAMS)
		pa_socks_end_soon(c); /* sessions of names may be going just now, too */
	else
		pa_socks_refuse(c, pa_socks5_reply_of(error != PA_RELAY_E_OK ? error : PA_RELAY_E_RESET));
}

static const struct pa_relay_user_ops ops = {
	.result = op_result, .incoming = op_incoming, .datagram = op_datagram, .reset = op_reset};

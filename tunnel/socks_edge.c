/* SPDX-License-Identifier: MPL-2.0 */
/* The SOCKS5 server's connections until they have asked for something, and their end. */
#include "tunnel/socks_edge.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "tunnel/net_owner.h"
#include "tunnel/net_udp.h"
#include "tunnel/socks_int.h"

#define BACKLOG 128
#define ACCEPTS 32	/* connections taken in one turn */
#define TICK_MS 250
#define LAST_MS 2000	/* for the program to read why */
#define WARN_EACH_MS 1000

struct pa_socks_poll {
	uv_poll_t h; /* first */
	void (*fn)(void *ctx, int status);
	void *ctx;
};

static uint64_t now_ms(void)
{
	return pa_now_get().boot_ms;
}

/* ---------------------------------------------------------------- watching */

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct pa_socks_poll *p = h->data;

	(void)events;
	p->fn(p->ctx, status);
}

static void on_poll_closed(uv_handle_t *h)
{
	free(h->data);
}

struct pa_socks_poll *pa_socks_poll_new(uv_loop_t *loop, int fd, void (*fn)(void *ctx, int status), void *ctx)
{
	struct pa_socks_poll *p = calloc(1, sizeof(*p));

	if (p == NULL || uv_poll_init(loop, &p->h, fd) < 0) {
		free(p);
		return NULL;
	}
	p->h.data = p;
	p->fn = fn;
	p->ctx = ctx;
	return p;
}

void pa_socks_poll_set(struct pa_socks_poll *p, int events)
{
	if (events == 0)
		(void)uv_poll_stop(&p->h);
	else
		(void)uv_poll_start(&p->h, events, on_poll);
}

void pa_socks_poll_close(struct pa_socks_poll *p)
{
	if (p != NULL)
		uv_close((uv_handle_t *)&p->h, on_poll_closed);
}

/* ---------------------------------------------------------------- the end */

void pa_socks_end(struct pa_socks_conn *c)
{
	struct pa_socks *so = c->so;

	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		so->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	so->n_conns--;
	pa_socks_udp_close(c);
	pa_rpipe_free(c->pipe, PA_RELAY_E_RESET);
	if (c->s != NULL)
		pa_turelay_end(so->relay, c->s, PA_RELAY_E_OK);
	pa_turelay_unwant(so->relay, &c->want);
	pa_socks_poll_close(c->poll);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
	if (so->n_conns == 0 && !so->paused)
		(void)uv_timer_stop(&so->timer);
}

void pa_socks_end_soon(struct pa_socks_conn *c)
{
	c->state = PA_SOCKS_LAST;
	c->until_ms = now_ms();
}

/* Answers are some octets of a new connection: what does not take them at once reads nothing. */
bool pa_socks_send(struct pa_socks_conn *c, const uint8_t *bytes, size_t len)
{
	if (len == 0 || send(c->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len)
		return true;
	pa_socks_end(c);
	return false;
}

/* Closed at once, octets that nobody has read would cost the program our answer. */
static void send_last(struct pa_socks_conn *c, const uint8_t *bytes, size_t len)
{
	struct pa_socks *so = c->so;

	if (c->s != NULL)
		pa_turelay_end(so->relay, c->s, PA_RELAY_E_OK);
	c->s = NULL;
	pa_turelay_unwant(so->relay, &c->want);
	if (!pa_socks_send(c, bytes, len))
		return;
	(void)shutdown(c->fd, SHUT_WR);
	c->state = PA_SOCKS_LAST;
	c->until_ms = now_ms() + LAST_MS;
	pa_socks_poll_set(c->poll, UV_READABLE);
}

/* Who is refused may try again and again. */
static void warn(struct pa_socks *so, uid_t uid, const char *reason)
{
	uint64_t now = now_ms();

	if (so->warned_ms != 0 && now < so->warned_ms + WARN_EACH_MS) {
		so->unwarned++;
		return;
	}
	pa_log(PA_LOG_WARN, "socks.refused", "uid=%u reason=\"%s\" held-back=%u", (unsigned)uid, reason, so->unwarned);
	so->warned_ms = now;
	so->unwarned = 0;
}

void pa_socks_refuse(struct pa_socks_conn *c, enum pa_socks5_reply reply)
{
	uint8_t answer[PA_SOCKS5_ANSWER_MAX];
	size_t len = pa_socks5_reply((uint8_t)reply, NULL, answer);

	c->so->count.failed++;
	if (c->allowed && pa_turelay_may_log(c->so->relay))
		pa_log(PA_LOG_INFO, "socks.failed", "uid=%u reply=%s", (unsigned)c->uid, pa_socks5_reply_name(reply));
	if (!c->allowed)
		warn(c->so, c->uid, "neither root, nor named by users");
	send_last(c, answer, len);
}

/* ---------------------------------------------------------------- what a program says */

static void refuse_message(struct pa_socks_conn *c, const struct pa_socks5_out *out)
{
	struct pa_socks *so = c->so;

	if (strcmp(out->why, "login") == 0)
		so->count.logins_failed++;
	else
		so->count.malformed++;
	warn(so, c->uid, out->why);
	send_last(c, out->answer, out->answer_len);
}

/* False: there is nothing more to be done with what was read. */
static bool next_message(struct pa_socks_conn *c)
{
	struct pa_socks5_out out;

	pa_socks5_input(&c->s5, c->in, c->in_len, &out);
	c->in_len -= out.used;
	memmove(c->in, c->in + out.used, c->in_len);
	switch (out.step) {
	case PA_SOCKS5_MORE:
		return false;
	case PA_SOCKS5_GO_ON:
		return pa_socks_send(c, out.answer, out.answer_len) && c->in_len > 0;
	case PA_SOCKS5_REQUEST:
		c->command = out.command;
		c->target = out.target;
		pa_socks_request(c);
		return false;
	case PA_SOCKS5_END:
		break;
	}
	refuse_message(c, &out);
	return false;
}

static void read_asking(struct pa_socks_conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		pa_socks_end(c);
		return;
	}
	c->in_len += (size_t)n;
	while (next_message(c))
		;
}

/* What nobody wants. */
static void read_away(struct pa_socks_conn *c)
{
	ssize_t n = recv(c->fd, c->so->buf, sizeof(c->so->buf), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		pa_socks_end(c);
}

/* While a call is awaited only the program's end of the connection is looked for. */
static void on_conn(void *ctx, int status)
{
	struct pa_socks_conn *c = ctx;

	if (status < 0)
		pa_socks_end(c);
	else if (c->state == PA_SOCKS_ASKING)
		read_asking(c);
	else if (c->state == PA_SOCKS_LAST || c->state == PA_SOCKS_DATAGRAMS)
		read_away(c);
	else
		pa_socks_end(c);
}

/* ---------------------------------------------------------------- who it is */

static bool is_waiting(const struct pa_socks_conn *c)
{
	return c->state == PA_SOCKS_ASKING || c->state == PA_SOCKS_LAST;
}

static bool has_room(const struct pa_socks *so, uid_t uid, bool allowed)
{
	unsigned own = 0, waiting = 0, strangers = 0;

	if (so->n_conns >= PA_SOCKS_CONNS_MAX)
		return false;
	for (const struct pa_socks_conn *c = so->conns; c != NULL; c = c->next) {
		strangers += c->allowed ? 0 : 1;
		own += c->uid == uid ? 1 : 0;
		waiting += c->uid == uid && is_waiting(c) ? 1 : 0;
	}
	if (!allowed)
		return strangers < PA_SOCKS_STRANGERS_MAX;
	return uid == 0 || (own < PA_SOCKS_OF_UID_MAX && waiting < PA_SOCKS_WAITING_MAX);
}

/* A user who may not is asked for no password, so that he cannot try some; he is told by the answer to his request. */
static bool add_conn(struct pa_socks *so, int fd, const struct pa_endpoint *from, uid_t uid, bool allowed)
{
	struct pa_socks_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return false;
	c->poll = pa_socks_poll_new(so->loop, fd, on_conn, c);
	if (c->poll == NULL) {
		free(c);
		return false;
	}
	c->so = so;
	c->fd = fd;
	c->from = *from;
	c->uid = uid;
	c->allowed = allowed;
	c->until_ms = now_ms() + 1000 * PA_SOCKS_REQUEST_S;
	if (allowed && so->conf->who != NULL) {
		c->s5.check = pa_socks5_users_check;
		c->s5.ctx = so->conf->who;
	}
	c->next = so->conns;
	if (so->conns != NULL)
		so->conns->prev = c;
	so->conns = c;
	so->n_conns++;
	pa_socks_poll_set(c->poll, UV_READABLE);
	return true;
}

/* False: the connection is not taken. */
static bool take_conn(struct pa_socks *so, int fd, const struct sockaddr_storage *ss)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	struct pa_endpoint from, to;
	bool allowed;
	int on = 1;
	uid_t uid;

	so->count.accepted++;
	if (!pa_sockaddr_from(ss, &from) || getsockname(fd, (struct sockaddr *)&own, &len) < 0 || !pa_sockaddr_from(&own, &to))
		return false;
	if (pa_owner_tcp(&from, &to, &uid) < 0) {
		so->count.strangers++;
		warn(so, (uid_t)-1, "it is not known whose connection this is");
		return false;
	}
	allowed = pa_socks_conf_allows(so->conf, uid);
	so->count.strangers += allowed ? 0 : 1;
	if (!has_room(so, uid, allowed)) {
		so->count.limited++;
		warn(so, uid, "too many connections");
		return false;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return add_conn(so, fd, &from, uid, allowed);
}

/* ---------------------------------------------------------------- time */

static void on_late(struct pa_socks_conn *c)
{
	switch (c->state) {
	case PA_SOCKS_ASKING:
		c->so->count.timed_out++;
		pa_socks_end(c);
		break;
	case PA_SOCKS_WANTING:
	case PA_SOCKS_RESOLVING:
	case PA_SOCKS_CALLING:
	case PA_SOCKS_LISTENING:
		pa_socks_refuse(c, PA_SOCKS5_TTL_EXPIRED);
		break;
	case PA_SOCKS_PIPED:
	case PA_SOCKS_DATAGRAMS:
		break;
	case PA_SOCKS_LAST:
		pa_socks_end(c);
		break;
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct pa_socks *so = timer->data;
	uint64_t now = now_ms();

	if (so->paused) {
		so->paused = false;
		pa_socks_poll_set(so->poll, UV_READABLE);
		if (so->n_conns == 0)
			(void)uv_timer_stop(&so->timer);
	}
	for (struct pa_socks_conn *c = so->conns, *next; c != NULL; c = next) {
		next = c->next;
		if (c->until_ms != 0 && now >= c->until_ms)
			on_late(c);
	}
}

static void on_incoming(void *ctx, int status)
{
	struct pa_socks *so = ctx;

	(void)status;
	for (int i = 0; i < ACCEPTS; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		int fd = accept4(so->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) { /* until the next tick, or we would only spin */
			pa_socks_poll_set(so->poll, 0);
			so->paused = true;
		}
		if (fd < 0)
			break;
		if (!take_conn(so, fd, &from))
			close(fd);
	}
	if ((so->n_conns > 0 || so->paused) && !uv_is_active((uv_handle_t *)&so->timer))
		(void)uv_timer_start(&so->timer, on_tick, TICK_MS, TICK_MS);
}

/* ---------------------------------------------------------------- life */

static int open_listener(const struct pa_endpoint *at, int *ret, char err[PA_SOCKS_ERRLEN])
{
	bool v4 = pa_addr_is_ipv4(&at->addr);
	char text[PA_ENDPOINT_STRLEN];
	struct sockaddr_storage ss;
	socklen_t len = pa_sockaddr_to(at, &ss);
	int on = 1, e, fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, BACKLOG) == 0) {
		*ret = fd;
		return 0;
	}
	e = errno;
	(void)snprintf(err, PA_SOCKS_ERRLEN, "cannot listen at TCP %s: %s%s", pa_endpoint_format(at, text), strerror(e),
		       e == EADDRINUSE ? "; another program has this port, choose another one" : "");
	if (fd >= 0)
		close(fd);
	return e == EADDRINUSE ? PA_EEXIST : e == EACCES || e == EPERM ? PA_EDENIED : PA_EIO;
}

int pa_socks_new(const struct pa_socks_config *cfg, struct pa_socks **ret, char err[PA_SOCKS_ERRLEN])
{
	struct pa_socks *so = calloc(1, sizeof(*so));
	char text[PA_ENDPOINT_STRLEN];
	int rc;

	if (so == NULL) {
		(void)snprintf(err, PA_SOCKS_ERRLEN, "%s", pa_strerror(PA_ENOMEM));
		return PA_ENOMEM;
	}
	so->loop = cfg->loop;
	so->conf = cfg->conf;
	so->relay = cfg->relay;
	so->pipes = cfg->pipes;
	rc = open_listener(&cfg->conf->listen, &so->fd, err);
	if (rc < 0) {
		free(so);
		return rc;
	}
	so->poll = pa_socks_poll_new(so->loop, so->fd, on_incoming, so);
	if (so->poll == NULL) {
		(void)snprintf(err, PA_SOCKS_ERRLEN, "cannot watch the socket");
		close(so->fd);
		free(so);
		return PA_EIO;
	}
	(void)uv_timer_init(so->loop, &so->timer);
	so->timer.data = so;
	pa_socks_poll_set(so->poll, UV_READABLE);
	pa_log(PA_LOG_INFO, "socks.listen", "addr=%s", pa_endpoint_format(&cfg->conf->listen, text));
	*ret = so;
	return 0;
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

void pa_socks_close(struct pa_socks *so)
{
	if (so == NULL)
		return;
	while (so->conns != NULL)
		pa_socks_end(so->conns);
	pa_socks_poll_close(so->poll);
	close(so->fd);
	uv_close((uv_handle_t *)&so->timer, on_timer_closed);
}

json_t *pa_socks_status(const struct pa_socks *so)
{
	const struct pa_socks_counters *c = &so->count;
	const struct {
		const char *name;
		uint64_t value;
	} list[] = {
		{"socks-accepted", c->accepted},	       {"socks-strangers", c->strangers},
		{"socks-limited", c->limited},	       {"socks-malformed", c->malformed},
		{"socks-logins-failed", c->logins_failed}, {"socks-timed-out", c->timed_out},
		{"socks-requests", c->requests},	       {"socks-failed", c->failed},
		{"socks-datagrams-dropped", c->datagrams_dropped},
	};
	char text[PA_ENDPOINT_STRLEN];
	json_t *counters = json_object();

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		(void)json_object_set_new(counters, list[i].name, json_integer((json_int_t)list[i].value));
	return json_pack("{s:s, s:i, s:o}", "listen", pa_endpoint_format(&so->conf->listen, text), "connections", (int)so->n_conns,
			 "counters", counters);
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_ferry_edge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/net_udp.h"

#define TURN 64 /* datagrams for each wake-up */

struct pa_ferry {
	struct pa_ferry_config cfg;
	struct pa_turelay_want want;
	bool wanted, told_open;
	int berth;	       /* the data path's socket; -1: not made yet */
	int fd;		       /* the other one */
	struct pa_endpoint at; /* of fd */
	uv_poll_t poll;	       /* of fd */
	uv_timer_t timer;      /* the core is told from the loop, never from inside of its own ops */
	bool has_poll;
	unsigned handles; /* that libuv still has, once closing */
	uint64_t sent, received, dropped;
	uint8_t buf[PA_RELAY_BODY_MAX];
};

/* ---- from the data path to the server */

static void pass_on(struct pa_ferry *f, size_t len)
{
	struct pa_rlink *link = pa_turelay_link(f->cfg.relay);

	if (link != NULL && pa_rlink_tunnel(link, f->buf, len))
		f->sent++;
	else
		f->dropped++;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct pa_ferry *f = poll->data;

	(void)events;
	if (status < 0) /* libuv has stopped */
		(void)uv_poll_start(&f->poll, UV_READABLE, on_poll);
	for (int i = 0; i < TURN; i++) {
		ssize_t n = recv(f->fd, f->buf, sizeof(f->buf), 0);

		if (n < 0 && errno != ECONNREFUSED)
			return;
		if (n > 0)
			pass_on(f, (size_t)n);
	}
}

/* ---- from the server to the data path */

static void on_datagram(void *ctx, const uint8_t *bytes, size_t len)
{
	struct pa_ferry *f = ctx;

	if (f->fd >= 0 && send(f->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		f->received++;
	else
		f->dropped++;
}

/* ---- state */

static void on_timer(uv_timer_t *h)
{
	struct pa_ferry *f = h->data;
	bool open = f->wanted && f->fd >= 0 && pa_turelay_is_up(f->cfg.relay);

	if (!f->wanted || open == f->told_open)
		return;
	f->told_open = open;
	pa_log(PA_LOG_INFO, open ? "fallback.open" : "fallback.closed", "reason=\"%s\"",
	       open ? "the relay's connection stands" : "the relay's connection is lost; it is made again");
	f->cfg.state(f->cfg.ctx, open ? &f->at : NULL);
}

static void on_state(void *ctx, bool up)
{
	struct pa_ferry *f = ctx;

	(void)up;
	(void)uv_timer_start(&f->timer, on_timer, 0, 0);
}

static const struct pa_turelay_tunnel_ops tunnel_ops = {.datagram = on_datagram, .state = on_state};

static void on_ready(void *ctx, enum pa_relay_error error)
{
	if (error == PA_RELAY_E_NOT_FOUND) /* as the operator wants it */
		pa_log(PA_LOG_INFO, "fallback.unavailable",
		       "reason=\"neither the grant nor the configuration names a relay\"");
	else if (error != PA_RELAY_E_OK)
		pa_log(PA_LOG_WARN, "fallback.unavailable", "reason=\"%s\"", pa_relay_error_name(error));
	on_state(ctx, error == PA_RELAY_E_OK);
}

/* ---- sockets */

static int open_one(int *ret_fd, struct pa_endpoint *ret_at, char err[PA_UDP_ERRLEN])
{
	struct pa_udp_config cfg = {.bind.addr = pa_addr_from_ipv4(INADDR_LOOPBACK)};
	int fd, rc = pa_udp_open(&cfg, &fd, err);

	if (rc < 0)
		return rc;
	ret_at->addr = cfg.bind.addr;
	ret_at->port = pa_udp_port(fd);
	*ret_fd = fd;
	return 0;
}

/* The other one hears the data path's alone. */
static int open_sockets(struct pa_ferry *f, char err[PA_UDP_ERRLEN])
{
	struct pa_endpoint berth;
	struct sockaddr_storage ss;
	int rc = open_one(&f->berth, &berth, err);

	if (rc == 0)
		rc = open_one(&f->fd, &f->at, err);
	if (rc < 0)
		return rc;
	if (connect(f->fd, (struct sockaddr *)&ss, pa_sockaddr_to(&berth, &ss)) < 0)
		return PA_EIO;
	rc = pa_path_set_socket(f->cfg.path, f->cfg.local, f->berth);
	if (rc < 0)
		return rc;
	if (uv_poll_init(f->cfg.loop, &f->poll, f->fd) < 0)
		return PA_EIO;
	f->has_poll = true;
	f->poll.data = f;
	(void)uv_poll_start(&f->poll, UV_READABLE, on_poll);
	return 0;
}

/* What is polled libuv lets go first (on_closed). */
static void close_sockets(struct pa_ferry *f)
{
	if (f->berth >= 0) {
		(void)pa_path_set_socket(f->cfg.path, f->cfg.local, -1);
		close(f->berth);
		f->berth = -1;
	}
	if (f->fd >= 0 && !f->has_poll) {
		close(f->fd);
		f->fd = -1;
	}
}

void pa_ferry_want(struct pa_ferry *f, bool wanted)
{
	char err[PA_UDP_ERRLEN] = "cannot watch its socket";

	if (f == NULL || f->wanted == wanted)
		return;
	f->told_open = false;
	f->wanted = wanted;
	if (!wanted) {
		pa_turelay_unwant(f->cfg.relay, &f->want);
		return;
	}
	if (f->fd < 0 && open_sockets(f, err) < 0) {
		pa_log(PA_LOG_WARN, "fallback.unavailable", "reason=\"%s\"", err);
		close_sockets(f);
	}
	pa_turelay_set_tunnel(f->cfg.relay, &tunnel_ops, f);
	f->want = (struct pa_turelay_want){.need = PA_TURELAY_FERRY, .ready = on_ready, .ctx = f};
	if (pa_turelay_want(f->cfg.relay, &f->want))
		on_state(f, true);
}

json_t *pa_ferry_status(const struct pa_ferry *f)
{
	return json_pack("{s:I, s:I, s:I}", "sent", (json_int_t)f->sent, "received", (json_int_t)f->received, "dropped",
			 (json_int_t)f->dropped);
}

/* ---- life */

int pa_ferry_new(const struct pa_ferry_config *cfg, struct pa_ferry **ret)
{
	struct pa_ferry *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return PA_ENOMEM;
	f->cfg = *cfg;
	f->fd = f->berth = -1;
	(void)uv_timer_init(cfg->loop, &f->timer);
	f->timer.data = f;
	*ret = f;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct pa_ferry *f = h->data;

	if (--f->handles > 0)
		return;
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

void pa_ferry_close(struct pa_ferry *f)
{
	if (f == NULL)
		return;
	pa_ferry_want(f, false);
	pa_turelay_set_tunnel(f->cfg.relay, NULL, NULL);
	close_sockets(f);
	f->handles = f->has_poll ? 2 : 1;
	if (f->has_poll)
		uv_close((uv_handle_t *)&f->poll, on_closed);
	uv_close((uv_handle_t *)&f->timer, on_closed);
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_probe_edge.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/err.h"
#include "tunnel/net_knock.h"
#include "tunnel/net_udp.h"
#include "tunnel/probe.h"
#include "tunnel/probe_json.h"

#define FRESH_MS 5000

struct slot {
	struct pa_tunneld_probe *owner;
	int fd; /* -1: none */
	enum pa_probe_socket kind;
	uv_poll_t *poll;
};

struct pa_tunneld_probe {
	struct pa_tunneld_probe_config cfg;
	struct pa_probe *run;
	struct slot slots[PA_PROBE_SOCKETS];
	uv_timer_t timer;
	struct pa_knock *knock; /* of the last run; NULL: not tried */
	uint8_t buf[PA_PROBE_MAX + 1];
};

static void on_timer(uv_timer_t *h);

static void tick(struct pa_tunneld_probe *t)
{
	struct pa_now now = pa_now_get();
	uint64_t next = pa_probe_tick(t->run, now);

	if (next == UINT64_MAX)
		(void)uv_timer_stop(&t->timer);
	else
		(void)uv_timer_start(&t->timer, on_timer, next > now.boot_ms ? next - now.boot_ms : 1, 0);
}

static void on_timer(uv_timer_t *h)
{
	tick(h->data);
}

/* ---- sockets ---- */

static void free_handle(uv_handle_t *h)
{
	free(h);
}

static void op_close(void *ctx, unsigned i)
{
	struct slot *s = &((struct pa_tunneld_probe *)ctx)->slots[i];

	if (s->poll != NULL)
		uv_close((uv_handle_t *)s->poll, free_handle);
	if (s->fd >= 0)
		close(s->fd);
	s->poll = NULL;
	s->fd = -1;
}

static int code_of(int e)
{
	switch (e) {
	case EPERM:
	case EACCES:
		return PA_EDENIED;
	case EMSGSIZE:
		return PA_ETRUNC;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ENODEV:
		return PA_ENOTFOUND;
	case ECONNREFUSED:
		return PA_EEXIST;
	default:
		return PA_EIO;
	}
}

static bool would_block(int e)
{
	return e == EAGAIN || e == EWOULDBLOCK || e == EINTR;
}

static void on_datagrams(struct pa_tunneld_probe *t, unsigned i)
{
	struct slot *s = &t->slots[i];

	while (s->fd >= 0) {
		struct sockaddr_storage ss;
		struct pa_endpoint from;
		socklen_t len = sizeof(ss);
		ssize_t n = recvfrom(s->fd, t->buf, sizeof(t->buf), MSG_DONTWAIT, (struct sockaddr *)&ss, &len);

		if (n < 0 && would_block(errno))
			return;
		if (n < 0)
			pa_probe_told(t->run, pa_now_get(), i, code_of(errno));
		else if (pa_sockaddr_from(&ss, &from))
			pa_probe_receive(t->run, pa_now_get(), i, &from, t->buf, (size_t)n);
	}
}

static void on_event(uv_poll_t *h, int status, int events)
{
	struct slot *s = h->data;
	struct pa_tunneld_probe *t = s->owner;
	unsigned i = (unsigned)(s - t->slots);
	int e = 0;
	socklen_t len = sizeof(e);

	(void)status;
	(void)events;
	if (s->kind == PA_PROBE_TCP) {
		(void)uv_poll_stop(h);
		if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0)
			pa_probe_told(t->run, pa_now_get(), i, e == 0 ? 0 : code_of(e));
	} else {
		on_datagrams(t, i);
	}
	tick(t);
}

static int open_fd(struct pa_tunneld_probe *t, enum pa_probe_socket kind, const struct pa_endpoint *to, int *ret)
{
	struct pa_udp_config cfg = {.ipv6 = !pa_addr_is_ipv4(&to->addr), .device = t->cfg.iface, .mark = t->cfg.mark,
				    .dont_fragment = kind == PA_PROBE_UDP_DF, .tcp = kind == PA_PROBE_TCP};
	char err[PA_UDP_ERRLEN];
	struct sockaddr_storage ss;
	socklen_t len = pa_sockaddr_to(to, &ss);
	int fd, rc = pa_udp_open(&cfg, &fd, err);

	if (rc < 0)
		return PA_EIO;
	if ((kind == PA_PROBE_TCP || kind == PA_PROBE_UDP_CONNECTED) && connect(fd, (struct sockaddr *)&ss, len) < 0 &&
	    errno != EINPROGRESS) {
		rc = code_of(errno);
		close(fd);
		return rc;
	}
	*ret = fd;
	return 0;
}

static int op_open(void *ctx, unsigned i, enum pa_probe_socket kind, const struct pa_endpoint *to)
{
	struct pa_tunneld_probe *t = ctx;
	struct slot *s = &t->slots[i];
	int rc;

	op_close(t, i);
	rc = open_fd(t, kind, to, &s->fd);
	if (rc < 0)
		return rc;
	s->kind = kind;
	s->poll = calloc(1, sizeof(*s->poll));
	if (s->poll == NULL || uv_poll_init(t->cfg.loop, s->poll, s->fd) < 0) {
		free(s->poll);
		s->poll = NULL;
		op_close(t, i);
		return PA_EIO;
	}
	s->poll->data = s;
	(void)uv_poll_start(s->poll, kind == PA_PROBE_TCP ? UV_WRITABLE : UV_READABLE, on_event);
	return 0;
}

static int op_send(void *ctx, unsigned i, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	const struct slot *s = &((struct pa_tunneld_probe *)ctx)->slots[i];
	struct sockaddr_storage ss;
	socklen_t n = pa_sockaddr_to(to, &ss);
	bool connected = s->kind == PA_PROBE_UDP_CONNECTED;

	if (s->fd < 0)
		return PA_EIO;
	if (sendto(s->fd, buf, len, MSG_DONTWAIT, connected ? NULL : (struct sockaddr *)&ss, connected ? 0 : n) >= 0)
		return 0;
	return would_block(errno) ? 0 : code_of(errno);
}

static void op_random(void *ctx, uint8_t *dst, size_t len)
{
	(void)ctx;
	pa_random(dst, len);
}

static const struct pa_probe_ops ops = {.open = op_open, .close = op_close, .send = op_send, .random = op_random};

/* ---- life ---- */

int pa_tunneld_probe_new(const struct pa_tunneld_probe_config *cfg, struct pa_tunneld_probe **ret)
{
	struct pa_tunneld_probe *t = calloc(1, sizeof(*t));

	if (t == NULL || pa_probe_new(cfg->client, &ops, t, &t->run) < 0) {
		free(t);
		return PA_ENOMEM;
	}
	t->cfg = *cfg;
	for (unsigned i = 0; i < PA_PROBE_SOCKETS; i++)
		t->slots[i] = (struct slot){.owner = t, .fd = -1};
	(void)uv_timer_init(cfg->loop, &t->timer);
	t->timer.data = t;
	*ret = t;
	return 0;
}

void pa_tunneld_probe_close(struct pa_tunneld_probe *t)
{
	if (t == NULL)
		return;
	for (unsigned i = 0; i < PA_PROBE_SOCKETS; i++)
		op_close(t, i);
	pa_knock_close(t->knock);
	t->knock = NULL;
	if (!uv_is_closing((uv_handle_t *)&t->timer))
		uv_close((uv_handle_t *)&t->timer, NULL);
}

void pa_tunneld_probe_free(struct pa_tunneld_probe *t)
{
	if (t == NULL)
		return;
	pa_probe_free(t->run);
	free(t);
}

int pa_tunneld_probe_life(struct pa_tunneld_probe *t, unsigned silence)
{
	int rc = pa_probe_start_life(t->run, pa_now_get(), silence);

	tick(t);
	return rc;
}

bool pa_tunneld_probe_lived(const struct pa_tunneld_probe *t, struct pa_probe_result *ret)
{
	uint64_t age;

	if (pa_probe_running(t->run))
		return false;
	pa_probe_get(t->run, pa_now_get(), ret, &age);
	return true;
}

/* ---- commands ---- */

static void try_inbound(struct pa_tunneld_probe *t, const struct pa_tunneld_knock *knock)
{
	pa_knock_close(t->knock);
	t->knock = NULL;
	if (knock->tun_fd >= 0)
		(void)pa_knock_open(knock->tun_fd, &knock->addr, &knock->from, &t->knock);
}

void pa_tunneld_probe_start(struct pa_tunneld_probe *t, struct pa_request *req, uint16_t link_mtu, const struct pa_tunneld_knock *knock)
{
	json_int_t life = json_integer_value(json_object_get(pa_request_arguments(req), "lifetime"));
	struct pa_now now = pa_now_get();
	struct pa_probe_result r;
	uint64_t age;
	int rc;

	if (life != 0 && (life < PA_PROBE_LIFE_MIN || life > PA_PROBE_DELAY_MAX)) {
		pa_request_replyf(req, PA_RESULT_ERROR, "\"lifetime\" is %d to %d seconds", PA_PROBE_LIFE_MIN, PA_PROBE_DELAY_MAX);
		return;
	}
	if (life != 0 && pa_request_uid(req) != 0) {
		pa_request_replyf(req, PA_RESULT_ERROR, "permission denied: only root may try the mapping's lifetime");
		return;
	}
	pa_probe_get(t->run, now, &r, &age);
	if (pa_request_uid(req) != 0 && age < FRESH_MS) {
		pa_request_replyf(req, PA_RESULT_SUCCESS, "a run has just ended, or goes on");
		return;
	}
	rc = pa_probe_start(t->run, now, link_mtu, (unsigned)life);
	if (rc == PA_EAGAIN)
		pa_request_replyf(req, PA_RESULT_ERROR, "a run goes on; try again when it is over");
	else if (rc < 0)
		pa_request_replyf(req, PA_RESULT_EMPTY, "there is no grant, so there is no gateway to try");
	else
		pa_request_replyf(req, PA_RESULT_SUCCESS, "started");
	if (rc == 0)
		try_inbound(t, knock);
	tick(t);
}

void pa_tunneld_probe_get(struct pa_tunneld_probe *t, struct pa_request *req)
{
	struct pa_probe_result r;
	uint64_t age;
	json_t *obj;

	pa_probe_get(t->run, pa_now_get(), &r, &age);
	if (age == UINT64_MAX) {
		pa_request_replyf(req, PA_RESULT_EMPTY, "there was no run yet");
		return;
	}
	obj = pa_probe_json(&r);
	(void)json_object_set_new(obj, "running", json_boolean(pa_probe_running(t->run)));
	if (t->knock != NULL && !pa_probe_running(t->run))
		(void)json_object_set_new(obj, "inbound", json_string(pa_knock_came(t->knock) ? "came" : "lost"));
	(void)json_object_set_new(obj, "age-ms", json_integer((json_int_t)age));
	pa_request_reply(req, PA_RESULT_SUCCESS, "", obj);
}

/* SPDX-License-Identifier: MPL-2.0 */
/* The relay's local socket: who asks, and what is answered. */
#include "tunnel/relay_local_edge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "tunnel/relay_local_int.h"

#define BACKLOG 1024
#define ACCEPTS 64 /* requests taken in one turn */
#define PAUSE_MS 100 /* without descriptors, or we would only spin */
#define DENIED_LOG_MS 1000 /* one line a second: who is refused must not fill the log */

/* ---------------------------------------------------------------- one request */

static void on_asker_closed(uv_handle_t *h)
{
	free(h->data);
}

void pa_rasker_close(struct pa_rasker *a)
{
	struct pa_rlocald *d = a->d;

	if (a->fd < 0)
		return;
	if (a->prev != NULL)
		a->prev->next = a->next;
	else
		d->askers = a->next;
	if (a->next != NULL)
		a->next->prev = a->prev;
	d->n_askers--;
	if (a->allowed)
		pa_rshares_put(&d->shares, a->cred.uid, PA_RSHARE_REQUESTS);
	else
		d->n_strangers--;
	if (a->prog != NULL)
		a->prog->asker = NULL;
	a->prog = NULL;
	if (a->name != NULL)
		pa_turelay_end(d->cfg.relay, a->name, PA_RELAY_E_OK);
	a->name = NULL;
	pa_turelay_unwant(d->cfg.relay, &a->want);
	uv_close((uv_handle_t *)&a->poll, on_asker_closed);
	close(a->fd);
	a->fd = -1;
}

bool pa_rasker_tell(struct pa_rasker *a, const struct pa_rlocal *m, int fd)
{
	uint8_t buf[PA_RLOCAL_LEN_MAX];
	int len = pa_rlocal_encode(m, buf, sizeof(buf));

	return a->fd >= 0 && len > 0 && pa_rfd_send(a->fd, buf, (size_t)len, NULL, 0, fd) == len;
}

static void answer(struct pa_rasker *a, const struct pa_rlocal *m)
{
	(void)pa_rasker_tell(a, m, -1);
	pa_rasker_close(a);
}

static void tell_address(struct pa_rasker *a, enum pa_relay_error error)
{
	struct pa_rlocal m = {.type = PA_RLOCAL_ADDRESS_IS};

	/* An address by which nobody can call is none to who asks here. */
	if (error == PA_RELAY_E_OK && !pa_turelay_known(a->d->cfg.relay))
		error = PA_RELAY_E_NOT_FOUND;
	m.body.error = (uint8_t)error;
	if (error == PA_RELAY_E_OK)
		m.body.local.addr = pa_turelay_addr(a->d->cfg.relay);
	if (!pa_rasker_tell(a, &m, -1) || error != PA_RELAY_E_OK)
		pa_rasker_close(a);
}

static void on_address(void *ctx, enum pa_relay_error error)
{
	tell_address(ctx, error);
}

static void ask_address(struct pa_rasker *a)
{
	a->want = (struct pa_turelay_want){.need = PA_TURELAY_ADDRESS, .ready = on_address, .ctx = a};
	if (pa_turelay_want(a->d->cfg.relay, &a->want))
		tell_address(a, PA_RELAY_E_OK);
}

static void tell_info(struct pa_rasker *a)
{
	struct pa_rlocal m = {.type = PA_RLOCAL_INFO_IS, .id = a->request.id};
	const struct pa_rprog *p = pa_rprog_find(a->d, a->request.id);

	if (p != NULL) {
		m.state = p->state;
		m.body.kind = p->kind;
		m.body.error = p->error;
		m.body.local = p->local;
		m.body.remote = p->remote;
	}
	answer(a, &m);
}

/* Everybody can read the numbers of sessions (/proc/net/unix); whoever may use the relay may be told of each, and change his own. */
static void set(struct pa_rasker *a)
{
	struct pa_rprog *p = pa_rprog_find(a->d, a->request.id);

	if (p != NULL && (a->cred.uid == 0 || a->cred.uid == p->caller.uid))
		pa_rprog_set(p, a->request.abrupt, &a->request.body.remote);
	tell_info(a);
}

/* ---------------------------------------------------------------- names */

static void tell_name(struct pa_rasker *a, const struct pa_relay_body *b)
{
	struct pa_rlocal m = {.type = PA_RELAY_RESOLVED, .body = *b};

	answer(a, &m);
}

static void no_name(struct pa_rasker *a, enum pa_relay_error error)
{
	tell_name(a, &(struct pa_relay_body){.error = (uint8_t)error});
}

static void on_resolved(struct pa_relay_user *u, struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct pa_rasker *a = (struct pa_rasker *)u;

	a->name = NULL;
	pa_turelay_end(a->d->cfg.relay, s, PA_RELAY_E_OK);
	tell_name(a, b);
}

static void on_name_reset(struct pa_relay_user *u, struct pa_rsession *s, enum pa_relay_error error)
{
	struct pa_rasker *a = (struct pa_rasker *)u;

	(void)s;
	a->name = NULL;
	no_name(a, error);
}

static const struct pa_relay_user_ops name_ops = {.result = on_resolved, .reset = on_name_reset};

static void resolve(struct pa_rasker *a)
{
	a->user.ops = &name_ops;
	a->name = pa_turelay_resolve(a->d->cfg.relay, &a->request.body, &a->user, a->cred.uid);
	if (a->name == NULL)
		no_name(a, PA_RELAY_E_AGAIN);
}

static void on_link(void *ctx, enum pa_relay_error error)
{
	if (error != PA_RELAY_E_OK)
		no_name(ctx, error);
	else
		resolve(ctx);
}

static void ask_name(struct pa_rasker *a)
{
	a->want = (struct pa_turelay_want){.need = PA_TURELAY_LINK, .ready = on_link, .ctx = a};
	if (pa_turelay_want(a->d->cfg.relay, &a->want))
		resolve(a);
}

/* ---------------------------------------------------------------- who asks */

static void deny(struct pa_rasker *a)
{
	struct pa_rlocal m = {.type = PA_RELAY_RESULT, .body.error = PA_RELAY_E_DENIED};
	struct pa_rlocald *d = a->d;
	uint64_t now = pa_now_get().boot_ms;

	d->denied++;
	if (now >= d->denied_log_ms + DENIED_LOG_MS) {
		pa_log(PA_LOG_WARN, "relay.denied", "uid=%u pid=%d reason=\"neither root, nor named by relay-users or exec\" held-back=%u",
		       (unsigned)a->cred.uid, (int)a->cred.pid, d->denied_held);
		d->denied_log_ms = now;
		d->denied_held = 0;
	} else {
		d->denied_held++;
	}
	if (a->request.type == PA_RLOCAL_ADDRESS)
		m.type = PA_RLOCAL_ADDRESS_IS;
	else if (a->request.type == PA_RELAY_RESOLVE)
		m.type = PA_RELAY_RESOLVED;
	else if (a->request.type == PA_RLOCAL_INFO || a->request.type == PA_RLOCAL_SET)
		m.type = PA_RLOCAL_INFO_IS;
	answer(a, &m);
}

static void handle(struct pa_rasker *a)
{
	if (!a->allowed) {
		deny(a);
		return;
	}
	switch (a->request.type) {
	case PA_RLOCAL_ADDRESS:
		ask_address(a);
		break;
	case PA_RELAY_OPEN:
		pa_rprog_open(a);
		break;
	case PA_RLOCAL_INFO:
		tell_info(a);
		break;
	case PA_RLOCAL_SET:
		set(a);
		break;
	case PA_RELAY_RESOLVE:
		ask_name(a);
		break;
	default: /* an answer */
		pa_rasker_close(a);
		break;
	}
}

static void on_asker(uv_poll_t *poll, int status, int events)
{
	struct pa_rasker *a = poll->data;
	uint8_t buf[PA_RLOCAL_LEN_MAX + 1];
	ssize_t n = recv(a->fd, buf, sizeof(buf), MSG_DONTWAIT);

	(void)status;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || a->asked || pa_rlocal_decode(buf, (size_t)n, &a->request) < 0) {
		pa_rasker_close(a);
		return;
	}
	a->asked = true;
	handle(a);
}

/*
 * Who it is, and whether there is room. A connection may stay without a word, as one does that keeps the address: so no user can
 * have all of them, and those who may not use the relay have few.
 */
static bool admit(struct pa_rlocald *d, struct pa_rasker *a, int fd)
{
	socklen_t len = sizeof(struct ucred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &a->cred, &len) < 0)
		return false;
	a->allowed = pa_permit_allows_peer(d->cfg.users, fd);
	if (!a->allowed) {
		if (d->n_strangers >= PA_RLOCALD_STRANGERS_MAX)
			return false;
		d->n_strangers++;
		return true;
	}
	return d->n_askers < (a->cred.uid == 0 ? PA_RLOCALD_CONNS_MAX : PA_RLOCALD_OTHERS_MAX) &&
	       pa_rshares_take(&d->shares, a->cred.uid, PA_RSHARE_REQUESTS, PA_RLOCALD_CONNS_OF_UID);
}

/* Owns fd. */
static void take(struct pa_rlocald *d, int fd)
{
	struct pa_rasker *a = calloc(1, sizeof(*a));

	if (a == NULL || uv_poll_init(d->cfg.loop, &a->poll, fd) < 0) {
		close(fd);
		free(a);
		return;
	}
	a->poll.data = a;
	if (!admit(d, a, fd)) {
		uv_close((uv_handle_t *)&a->poll, on_asker_closed);
		close(fd);
		return;
	}
	a->d = d;
	a->fd = fd;
	a->next = d->askers;
	if (a->next != NULL)
		a->next->prev = a;
	d->askers = a;
	d->n_askers++;
	(void)uv_poll_start(&a->poll, UV_READABLE, on_asker);
	on_asker(&a->poll, 0, UV_READABLE); /* most have asked already */
}

static void on_connection(uv_poll_t *poll, int status, int events);

static void on_pause(uv_timer_t *timer)
{
	struct pa_rlocald *d = timer->data;

	(void)uv_poll_start(&d->poll, UV_READABLE, on_connection);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct pa_rlocald *d = poll->data;

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(d->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) { /* some are closed soon */
			(void)uv_poll_stop(&d->poll);
			(void)uv_timer_start(&d->pause, on_pause, PAUSE_MS, 0);
		}
		if (fd < 0)
			return;
		take(d, fd);
	}
}

/* ---------------------------------------------------------------- life */

static int open_socket(const char *path, int *ret_fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(name.sun_path, path, strlen(path) + 1);
	(void)unlink(path);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && chmod(path, 0666) == 0 && listen(fd, BACKLOG) == 0) {
		*ret_fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return PA_EIO;
}

int pa_rlocald_new(const struct pa_rlocald_config *cfg, struct pa_rlocald **ret, char err[PA_RLOCALD_ERRLEN])
{
	struct pa_rlocald *d = calloc(1, sizeof(*d));
	int rc = PA_ENOMEM;

	if (d == NULL)
		goto fail;
	d->cfg = *cfg;
	d->fd = -1;
	rc = PA_EINVAL;
	if (snprintf(d->path, sizeof(d->path), "%s/relay-%s.sock", cfg->run_dir, cfg->iface) >= (int)sizeof(d->path))
		goto fail;
	rc = open_socket(d->path, &d->fd);
	if (rc == 0 && uv_poll_init(cfg->loop, &d->poll, d->fd) < 0)
		rc = PA_ENOMEM;
	if (rc < 0)
		goto fail;
	(void)uv_timer_init(cfg->loop, &d->sweep);
	(void)uv_timer_init(cfg->loop, &d->pause);
	d->poll.data = d->sweep.data = d->pause.data = d;
	d->open = 3;
	(void)uv_poll_start(&d->poll, UV_READABLE, on_connection);
	*ret = d;
	return 0;
fail:
	(void)snprintf(err, PA_RLOCALD_ERRLEN, "%.100s/relay-%.15s.sock: cannot listen: %s", cfg->run_dir, cfg->iface,
		       rc == PA_EIO	 ? strerror(errno)
		       : rc == PA_EINVAL ? "the name is too long; choose a shorter folder"
					 : pa_strerror(rc));
	if (d != NULL && d->fd >= 0)
		close(d->fd);
	free(d);
	return rc;
}

static void on_closed(uv_handle_t *h)
{
	struct pa_rlocald *d = h->data;

	if (--d->open == 0)
		free(d);
}

void pa_rlocald_close(struct pa_rlocald *d)
{
	if (d == NULL || d->closing)
		return;
	d->closing = true;
	(void)unlink(d->path);
	while (d->askers != NULL)
		pa_rasker_close(d->askers);
	pa_rprog_close_all(d);
	uv_close((uv_handle_t *)&d->poll, on_closed);
	uv_close((uv_handle_t *)&d->sweep, on_closed);
	uv_close((uv_handle_t *)&d->pause, on_closed);
	close(d->fd);
	d->fd = -1;
}

void pa_rlocald_status(const struct pa_rlocald *d, json_t *obj)
{
	(void)json_object_set_new(obj, "programs", json_integer(d->n_progs - d->n_over));
	(void)json_object_set_new(obj, "denied", json_integer((json_int_t)d->denied));
	(void)json_object_set_new(obj, "dropped", json_integer((json_int_t)d->dropped));
}

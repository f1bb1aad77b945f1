/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/tunneld_sock_edge.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"

#define SOCKS PA_TUNSOCK_FERRY /* as many are ours */

struct pa_tunsock {
	struct pa_tunsock_config cfg;
	int fds[SOCKS]; /* -1: closed */
	uv_timer_t drain;
};

static int open_socket(struct pa_tunsock *s, unsigned local, uint16_t port, char err[PA_UDP_ERRLEN])
{
	struct pa_udp_config cfg = {.ipv6 = local == PA_TUNSOCK_V6, .device = s->cfg.iface, .mark = s->cfg.mark};
	int fd, rc;

	cfg.bind.port = port;
	rc = pa_udp_open(&cfg, &fd, err);
	if (rc == PA_EEXIST && port != 0) {
		cfg.bind.port = 0;
		rc = pa_udp_open(&cfg, &fd, err);
	}

	if (rc < 0)
		return rc;
	rc = pa_path_set_socket(s->cfg.path, local, fd);
	if (rc < 0) {
		(void)snprintf(err, PA_UDP_ERRLEN, "cannot watch the socket");
		close(fd);
		return rc;
	}
	s->fds[local] = fd;
	return 0;
}

static void close_socket(struct pa_tunsock *s, unsigned local)
{
	if (s->fds[local] < 0)
		return;
	(void)pa_path_set_socket(s->cfg.path, local, -1);
	close(s->fds[local]);
	s->fds[local] = -1;
}

static void on_drained(uv_timer_t *h)
{
	struct pa_tunsock *s = h->data;

	close_socket(s, PA_TUNSOCK_V4_OLD);
	close_socket(s, PA_TUNSOCK_V6_OLD);
}

/* Moves a socket to its drain place and opens a new one. */
static void renew_socket(struct pa_tunsock *s, unsigned local, unsigned old)
{
	char err[PA_UDP_ERRLEN];

	close_socket(s, old);
	if (s->fds[local] >= 0) {
		(void)pa_path_set_socket(s->cfg.path, local, -1);
		s->fds[old] = s->fds[local];
		s->fds[local] = -1;
		(void)pa_path_set_socket(s->cfg.path, old, s->fds[old]);
	}
	if (open_socket(s, local, 0, err) < 0 && local == PA_TUNSOCK_V4) /* IPv6 may be off on this host */
		pa_log(PA_LOG_WARN, "net.socket", "reason=\"%s\"", err);
}

void pa_tunsock_renew(struct pa_tunsock *s)
{
	renew_socket(s, PA_TUNSOCK_V4, PA_TUNSOCK_V4_OLD);
	renew_socket(s, PA_TUNSOCK_V6, PA_TUNSOCK_V6_OLD);
	(void)uv_timer_start(&s->drain, on_drained, PA_TUNSOCK_DRAIN_MS, 0);
}

unsigned pa_tunsock_local(const struct pa_endpoint *to)
{
	if (pa_addr_classify(&to->addr) == PA_ADDR_LOOPBACK)
		return PA_TUNSOCK_FERRY;
	return pa_addr_is_ipv4(&to->addr) ? PA_TUNSOCK_V4 : PA_TUNSOCK_V6;
}

int pa_tunsock_new(const struct pa_tunsock_config *cfg, struct pa_tunsock **ret, char err[PA_UDP_ERRLEN])
{
	struct pa_tunsock *s = calloc(1, sizeof(*s));
	char ignored[PA_UDP_ERRLEN];
	int rc;

	(void)snprintf(err, PA_UDP_ERRLEN, "%s", pa_strerror(PA_ENOMEM));
	if (s == NULL)
		return PA_ENOMEM;
	s->cfg = *cfg;
	for (unsigned i = 0; i < SOCKS; i++)
		s->fds[i] = -1;
	rc = open_socket(s, PA_TUNSOCK_V4, cfg->port, err);
	if (rc < 0) {
		free(s);
		return rc;
	}
	(void)open_socket(s, PA_TUNSOCK_V6, 0, ignored); /* IPv6 may be off on this host */
	(void)uv_timer_init(cfg->loop, &s->drain);
	s->drain.data = s;
	*ret = s;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void pa_tunsock_close(struct pa_tunsock *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < SOCKS; i++)
		close_socket(s, i);
	uv_close((uv_handle_t *)&s->drain, on_closed);
}

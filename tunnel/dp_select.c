/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "tunnel/dp_routes.h"
#include "tunnel/net_udp.h"

#define ALIVE_MS 5000 /* several times in the 60 seconds that the programs go on without us */

struct pa_path {
	struct pa_path_config cfg;
	struct pa_dp *user, *kern; /* kern NULL: not wanted, or not possible */
	bool attached;
	bool beside; /* client: the gateway is a socket on loopback, so the process carries what is to go on from there */
	uv_timer_t *alive;
	struct pa_routes *routes; /* gateway; NULL: each packet's next hop is looked up */
	int tun_fd; /* that user has */
	char why[PA_PATH_ERRLEN];
	char told[PA_PATH_ERRLEN]; /* what of it is in the log */
};

int pa_path_choice_parse(const char *s)
{
	static const char *const names[] = {"auto", "kernel", "user"};

	for (int i = 0; i < 3; i++)
		if (strcmp(s, names[i]) == 0)
			return i;
	return PA_EINVAL;
}

static void free_handle(uv_handle_t *h)
{
	free(h);
}

static void on_alive(uv_timer_t *t)
{
	struct pa_path *path = t->data;

	pa_dp_kern_alive(path->kern);
}

static int start_alive(struct pa_path *path)
{
	path->alive = calloc(1, sizeof(*path->alive));
	if (path->alive == NULL)
		return PA_ENOMEM;
	(void)uv_timer_init(path->cfg.dp.loop, path->alive);
	path->alive->data = path;
	(void)uv_timer_start(path->alive, on_alive, ALIVE_MS, ALIVE_MS);
	uv_unref((uv_handle_t *)path->alive);
	return 0;
}

static void on_routes(void *ctx, const struct pa_hops *hops)
{
	struct pa_path *path = ctx;

	pa_dp_kern_hops(path->kern, hops);
}

static void watch_routes(struct pa_path *path)
{
	int rc = pa_routes_new(path->cfg.dp.loop, on_routes, path, &path->routes);

	if (rc < 0)
		pa_log(PA_LOG_DEBUG, "datapath.routes", "next-hops=unknown reason=\"%s\"", pa_strerror(rc));
}

/*
 * Once for each reason: the client tries again with each change of its network. When there is a device, and not at the start,
 * which may fail for better reasons.
 */
static void tell_fallback(struct pa_path *path)
{
	if (path->attached || path->why[0] == '\0' || strcmp(path->why, path->told) == 0)
		return;
	memcpy(path->told, path->why, sizeof(path->told));
	pa_log(PA_LOG_WARN, "datapath.fallback", "device=%s using=user reason=\"%s\"", path->cfg.kern.device, path->why);
}

static int open_kern(struct pa_path *path, char err[PA_PATH_ERRLEN])
{
	char why[PA_DP_KERN_ERRLEN] = "";
	struct pa_dp_kern_config kern = path->cfg.kern;
	struct pa_dp_config cfg = path->cfg.dp;
	int rc;

	kern.err = why;
	cfg.kern = &kern;
	rc = pa_dp_kern.open(&cfg, &path->kern);
	if (rc == 0)
		rc = start_alive(path);
	if (rc == 0 && cfg.role == PA_DP_GATEWAY)
		pa_dp_set_others(path->user, &(struct pa_dp_others){pa_dp_kern_peer, pa_dp_kern_take, path->kern});
	if (rc == 0 && path->cfg.dp.role == PA_DP_GATEWAY)
		watch_routes(path);
	if (rc == 0)
		return 0;
	if (path->cfg.choice == PA_PATH_AUTO && rc != PA_ENOMEM) {
		(void)snprintf(path->why, sizeof(path->why), "%s", why);
		return 0;
	}
	(void)snprintf(err, PA_PATH_ERRLEN, "data path in the kernel: %s", why);
	return rc;
}

int pa_path_open(const struct pa_path_config *cfg, struct pa_path **ret, char err[PA_PATH_ERRLEN])
{
	struct pa_path *path = calloc(1, sizeof(*path));
	int rc = path != NULL ? 0 : PA_ENOMEM;

	(void)snprintf(err, PA_PATH_ERRLEN, "cannot start the data path");
	if (rc == 0) {
		path->cfg = *cfg;
		path->tun_fd = -1;
		path->cfg.dp.tun_fd = -1;
		rc = pa_dp_user.open(&path->cfg.dp, &path->user);
	}
	if (rc == 0 && cfg->choice != PA_PATH_USER)
		rc = open_kern(path, err);
	if (rc < 0) {
		pa_path_close(path);
		return rc;
	}
	*ret = path;
	return 0;
}

void pa_path_close(struct pa_path *path)
{
	static const struct pa_dp_others none;

	if (path == NULL)
		return;
	if (path->alive != NULL)
		uv_close((uv_handle_t *)path->alive, free_handle);
	pa_routes_close(path->routes);
	if (path->kern != NULL && path->user != NULL)
		pa_dp_set_others(path->user, &none);
	if (path->kern != NULL)
		pa_dp_kern.close(path->kern);
	if (path->user != NULL)
		pa_dp_user.close(path->user);
	free(path);
}

void pa_path_remove(const char *bpf_dir, const char *device)
{
	pa_dp_kern_remove(bpf_dir, device);
}

/* Says what carries packets from now on, whenever that changes. */
static void attached(struct pa_path *path)
{
	path->why[0] = path->told[0] = '\0';
	if (path->attached)
		return;
	path->attached = true;
	pa_dp_use_gro(path->user, false); /* the programs want each datagram by itself */
	pa_log(PA_LOG_INFO, "datapath.kernel", "device=%s pins=%s/%s", path->cfg.kern.device, path->cfg.kern.bpf_dir,
	       path->cfg.kern.device);
}

int pa_path_set_device(struct pa_path *path, int fd, int ifindex, uint16_t mtu, char err[PA_PATH_ERRLEN])
{
	char why[PA_DP_KERN_ERRLEN] = "";
	int rc = 0;

	if (fd != path->tun_fd && path->cfg.dp.n_queues == 0) {
		rc = pa_dp_set_tun(path->user, fd);
		path->tun_fd = rc == 0 ? fd : -1;
	}
	if (rc < 0)
		(void)snprintf(err, PA_PATH_ERRLEN, "cannot watch the device");
	if (path->kern == NULL && fd >= 0)
		tell_fallback(path);
	if (rc < 0 || path->kern == NULL)
		return rc;
	rc = pa_dp_kern_attach(path->kern, fd >= 0 ? ifindex : 0, mtu, why);
	if (rc == 0 && fd >= 0) {
		attached(path);
	} else if (path->attached) {
		path->attached = false;
		pa_dp_use_gro(path->user, true);
	}
	if (rc < 0 && path->cfg.choice == PA_PATH_AUTO) {
		(void)snprintf(path->why, sizeof(path->why), "%s", why);
		tell_fallback(path);
		return 0;
	}
	if (rc < 0)
		(void)snprintf(err, PA_PATH_ERRLEN, "data path in the kernel: %s", why);
	return rc;
}

int pa_path_set_socket(struct pa_path *path, unsigned local, int fd)
{
	int rc = pa_dp_set_socket(path->user, local, fd);

	if (rc == 0 && path->kern != NULL)
		pa_dp_kern_port(path->kern, local, fd >= 0 ? pa_udp_port(fd) : 0);
	return rc;
}

int pa_path_set_group(struct pa_path *path, unsigned local, const int *fds, unsigned n)
{
	int rc = pa_dp_set_group(path->user, local, fds, n);

	if (rc == 0 && path->kern != NULL)
		pa_dp_kern_port(path->kern, local, pa_udp_port(fds[0]));
	return rc;
}

int pa_path_start(struct pa_path *path)
{
	return pa_dp_start(path->user);
}

void pa_path_send_control(struct pa_path *path, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	pa_dp_send_control(path->user, local, to, buf, len);
}

void pa_path_send_probe(struct pa_path *path, unsigned local, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	pa_dp_send_probe(path->user, local, to, buf, len);
}

/* What the programs know in full the process asks them for, and does not keep by itself. */
static int update_gateway(struct pa_path *path, const struct pa_dp_peer *peer)
{
	struct pa_dp_peer gone = {.inner = peer->inner}, found;
	int rc = pa_dp_kern.update(path->kern, peer);

	if (rc < 0)
		return rc;
	return pa_dp_user.update(path->user, pa_dp_kern_peer(path->kern, &peer->inner, &found) ? &gone : peer);
}

/* The process's first when a peer comes, for what the programs leave; the kernel's first when one goes. */
int pa_path_update(struct pa_path *path, const struct pa_dp_peer *peer)
{
	int rc;

	if (path->cfg.dp.role == PA_DP_CLIENT)
		path->beside = peer->outer.port != 0 && pa_addr_classify(&peer->outer.addr) == PA_ADDR_LOOPBACK;
	if (path->kern == NULL)
		return pa_dp_user.update(path->user, peer);
	if (path->cfg.dp.role == PA_DP_GATEWAY)
		return update_gateway(path, peer);
	if (peer->outer.port == 0) {
		(void)pa_dp_kern.update(path->kern, peer);
		return pa_dp_user.update(path->user, peer);
	}
	rc = pa_dp_user.update(path->user, peer);
	return rc < 0 ? rc : pa_dp_kern.update(path->kern, peer);
}

static void add_stats(struct pa_dp_stats *sum, const struct pa_dp_stats *more)
{
	sum->tx_packets += more->tx_packets;
	sum->tx_bytes += more->tx_bytes;
	sum->rx_packets += more->rx_packets;
	sum->rx_bytes += more->rx_bytes;
	sum->tx_errors += more->tx_errors;
	sum->rx_errors += more->rx_errors;
	for (int i = 0; i < PA_VERDICTS; i++) {
		sum->tx_drops[i] += more->tx_drops[i];
		sum->rx_drops[i] += more->rx_drops[i];
	}
}

int pa_path_stats(struct pa_path *path, const struct pa_addr *inner, struct pa_dp_stats *total, struct pa_dp_peer_stats *peer)
{
	struct pa_dp_peer_stats own = {0}, more = {0};
	struct pa_dp_stats kern;
	int rc = inner != NULL ? pa_dp_user.stats(path->user, inner, NULL, &own) : 0, rc_kern = PA_ENOTFOUND;

	if (inner != NULL && path->kern != NULL)
		rc_kern = pa_dp_kern.stats(path->kern, inner, NULL, &more);
	if (rc < 0 && rc_kern < 0)
		return rc;
	if (inner != NULL)
		*peer = (struct pa_dp_peer_stats){.tx_packets = own.tx_packets + more.tx_packets,
						  .tx_bytes = own.tx_bytes + more.tx_bytes,
						  .rx_packets = own.rx_packets + more.rx_packets,
						  .rx_bytes = own.rx_bytes + more.rx_bytes,
						  .rx_seen_ms = own.rx_seen_ms > more.rx_seen_ms ? own.rx_seen_ms : more.rx_seen_ms};
	if (total == NULL)
		return 0;
	rc = pa_dp_user.stats(path->user, NULL, total, NULL);
	if (rc == 0 && path->kern != NULL && pa_dp_kern.stats(path->kern, NULL, &kern, NULL) == 0)
		add_stats(total, &kern);
	return rc;
}

void pa_path_settle(struct pa_path *path)
{
	if (path->kern != NULL)
		pa_dp_kern_settle(path->kern);
}

void pa_path_refresh(struct pa_path *path)
{
	if (path->cfg.dp.deny != NULL)
		pa_dp_set_deny(path->user, path->cfg.dp.deny);
	if (path->kern != NULL)
		pa_dp_kern_refresh(path->kern);
}

const char *pa_path_name(const struct pa_path *path, const char **why)
{
	*why = path->beside ? "what goes by the relay is carried by the process" : path->why;
	return path->attached && !path->beside ? pa_dp_kern.name : pa_dp_user.name;
}

void pa_path_relayed(struct pa_path *path, const struct pa_addr *inner)
{
	if (path->kern != NULL)
		pa_dp_kern_relayed(path->kern, inner);
}

bool pa_path_accelerated(const struct pa_path *path)
{
	return path->attached && pa_dp_kern_accelerated(path->kern);
}

bool pa_path_outlives(const struct pa_path *path)
{
	return path->attached && !path->beside;
}

uint16_t pa_path_former_port(const struct pa_path *path)
{
	return path->kern != NULL ? pa_dp_kern_former_port(path->kern) : 0;
}

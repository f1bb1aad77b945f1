/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/dp_steer.h"

/* Bytes each way: some milliseconds at 10 Gbit/s. */
#define BUFFER_BYTES (4 << 20)
/* Of messages from clients that are bound: room for a KEEPALIVE of each of 300,000, all at once, and for what we ask of them; used only then. */
#define SESSION_BYTES (128 << 20)
#define CONFIRM_BYTES (32 << 20)

socklen_t pa_sockaddr_to(const struct pa_endpoint *e, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (pa_addr_is_ipv4(&e->addr)) {
		struct sockaddr_in *sin = (struct sockaddr_in *)ret;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(e->port);
		memcpy(&sin->sin_addr, e->addr.b + 12, 4);
		return sizeof(*sin);
	} else {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ret;

		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(e->port);
		memcpy(&sin6->sin6_addr, e->addr.b, 16);
		return sizeof(*sin6);
	}
}

bool pa_sockaddr_from(const struct sockaddr_storage *ss, struct pa_endpoint *ret)
{
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)ss;

		ret->addr = pa_addr_from_ipv4(ntohl(sin->sin_addr.s_addr));
		ret->port = ntohs(sin->sin_port);
		return true;
	}
	if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)ss;

		memcpy(ret->addr.b, &sin6->sin6_addr, 16);
		ret->port = ntohs(sin6->sin6_port);
		return true;
	}
	return false;
}

/* The FORCE variants pass the system's limits; they need CAP_NET_ADMIN, which we hold outside of tests. */
static void set_buffers(int fd, int n)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n, sizeof(n)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &n, sizeof(n)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
}

/* Returns what failed, or NULL. */
static const char *set_options(int fd, const struct pa_udp_config *cfg, bool v6)
{
	int one = 1, dont = cfg->dont_fragment ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
	int dont6 = cfg->dont_fragment ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT;

	set_buffers(fd, BUFFER_BYTES);
	if (cfg->device != NULL &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, cfg->device, (socklen_t)strlen(cfg->device)) < 0)
		return "cannot bind to the interface";
	if (cfg->mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &cfg->mark, sizeof(cfg->mark)) < 0)
		return "cannot set the mark";
	if (v6) {
		if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0 ||
		    setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &dont6, sizeof(dont6)) < 0)
			return "cannot set IPv6 options";
	} else if (setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &dont, sizeof(dont)) < 0) {
		return "cannot set IPv4 options";
	}
	return NULL;
}

int pa_udp_open(const struct pa_udp_config *cfg, int *ret_fd, char err[PA_UDP_ERRLEN])
{
	bool none = pa_addr_is_none(&cfg->bind.addr);
	bool v6 = none ? cfg->ipv6 : !pa_addr_is_ipv4(&cfg->bind.addr);
	struct pa_endpoint local = cfg->bind;
	char text[PA_ENDPOINT_STRLEN];
	struct sockaddr_storage ss;
	const char *what = NULL;
	socklen_t len;
	int fd, e;

	if (none && !v6)
		local.addr = pa_addr_from_ipv4(0);
	len = pa_sockaddr_to(&local, &ss);
	fd = socket(v6 ? AF_INET6 : AF_INET, (cfg->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		what = "cannot make a socket";
	else
		what = set_options(fd, cfg, v6);
	if (what == NULL && !cfg->tcp && bind(fd, (struct sockaddr *)&ss, len) < 0)
		what = "cannot bind";
	if (what == NULL) {
		*ret_fd = fd;
		return 0;
	}
	e = errno;
	(void)snprintf(err, PA_UDP_ERRLEN, "UDP %s%s%s: %s: %s%s", pa_endpoint_format(&local, text),
		       cfg->device != NULL ? " on " : "", cfg->device != NULL ? cfg->device : "", what, strerror(e),
		       e == EPERM ? "; it needs CAP_NET_ADMIN, run as root" : "");
	if (fd >= 0)
		close(fd);
	errno = e;
	return e == EADDRINUSE ? PA_EEXIST : e == EPERM || e == EACCES ? PA_EDENIED : PA_EIO;
}

static bool set_shared(int fd, int on)
{
	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
}

/* Another socket at the address of first, which shares it already; -1. */
static int open_member(const struct pa_udp_config *cfg, int first)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	if (getsockname(first, (struct sockaddr *)&ss, &len) < 0)
		return -1;
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && set_options(fd, cfg, ss.ss_family == AF_INET6) == NULL && set_shared(fd, 1) &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int pa_udp_open_group(const struct pa_udp_config *cfg, unsigned n_data, int *ret_fds, unsigned *ret_n, char err[PA_UDP_ERRLEN])
{
	unsigned want = PA_STEER_DATA + n_data, n = 1;
	int rc = pa_udp_open(cfg, &ret_fds[0], err); /* alone at first: the address must be nobody else's */

	if (rc < 0)
		return rc;
	for (bool shared = set_shared(ret_fds[0], 1); shared && n < want; n++) {
		ret_fds[n] = open_member(cfg, ret_fds[0]);
		if (ret_fds[n] < 0)
			break;
	}
	if (n < want || pa_steer_sockets(ret_fds[0], n_data) < 0) {
		while (n > 1)
			close(ret_fds[--n]);
		(void)set_shared(ret_fds[0], 0);
	}
	if (n > 1) {
		set_buffers(ret_fds[PA_STEER_SESSION], SESSION_BYTES);
		set_buffers(ret_fds[PA_STEER_CONFIRM], CONFIRM_BYTES);
	}
	*ret_n = n;
	return 0;
}

static void set_whole(int fd, bool v6, bool whole)
{
	int v4 = whole ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT, six = whole ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT;

	(void)setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, v6 ? &six : &v4, sizeof(v4));
}

/* There is no ancillary data for DF over IPv4, so the socket is changed for a moment. */
bool pa_udp_send_whole(int fd, const struct pa_endpoint *to, const uint8_t *buf, size_t len)
{
	bool v6 = !pa_addr_is_ipv4(&to->addr);
	struct sockaddr_storage ss;
	socklen_t n = pa_sockaddr_to(to, &ss);
	ssize_t sent;

	set_whole(fd, v6, true);
	sent = sendto(fd, buf, len, MSG_DONTWAIT, (struct sockaddr *)&ss, n);
	set_whole(fd, v6, false);
	return sent >= 0;
}

uint16_t pa_udp_port(int fd)
{
	struct sockaddr_storage ss;
	struct pa_endpoint e;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 || !pa_sockaddr_from(&ss, &e))
		return 0;
	return e.port;
}

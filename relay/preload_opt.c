/* SPDX-License-Identifier: MPL-2.0 */
/* getsockopt and setsockopt: one of ours answers as the socket that the program made. What has no meaning here is accepted. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "relay/preload.h"

#define TCP_ULP_OPTION 31 /* TCP_ULP of linux/tcp.h, which cannot be included beside netinet/tcp.h */

static int fail(int error)
{
	errno = error;
	return -1;
}

/* ---- asked */

static int give(const void *v, size_t size, void *value, socklen_t *len)
{
	if (*len < (socklen_t)size)
		size = *len;
	memcpy(value, v, size);
	*len = (socklen_t)size;
	return 0;
}

static int give_int(int v, void *value, socklen_t *len)
{
	return give(&v, sizeof(v), value, len);
}

static int get_socket(int fd, struct pa_pre_tag *t, int name, void *value, socklen_t *len)
{
	switch (name) {
	case SO_ERROR:
		return give_int(t->kind == PA_PRE_UDP ? pa_pre_udp_error(fd, t) : pa_pre_tcp_error(fd, t), value, len);
	case SO_DOMAIN:
		return give_int(t->v6 ? AF_INET6 : AF_INET, value, len);
	case SO_TYPE:
		return give_int(t->kind == PA_PRE_UDP ? SOCK_DGRAM : SOCK_STREAM, value, len);
	case SO_PROTOCOL:
		return give_int(t->kind == PA_PRE_UDP ? IPPROTO_UDP : IPPROTO_TCP, value, len);
	case SO_ACCEPTCONN:
		return give_int(t->kind == PA_PRE_LISTEN, value, len);
	case SO_MAX_PACING_RATE:
		return give_int(-1, value, len);
	case SO_PEERCRED:
	case SO_PEERSEC:
	case SO_PEERGROUPS:
		return fail(ENOPROTOOPT);
	default:
		return pa_pre_real()->getsockopt(fd, SOL_SOCKET, name, value, len);
	}
}

static int get_tcp(const struct pa_pre_tag *t, int name, void *value, socklen_t *len)
{
	struct tcp_info info = {.tcpi_state = t->kind == PA_PRE_LISTEN ? TCP_LISTEN : TCP_ESTABLISHED};

	if (t->kind == PA_PRE_UDP)
		return fail(EOPNOTSUPP);
	switch (name) {
	case TCP_INFO:
		return give(&info, sizeof(info), value, len);
	case TCP_NODELAY: /* nothing here waits for more */
		return give_int(1, value, len);
	case TCP_CONGESTION:
	case TCP_ULP_OPTION:
		return fail(ENOPROTOOPT);
	default:
		return give_int(0, value, len);
	}
}

static int get_ip(const struct pa_pre_tag *t, int level, int name, void *value, socklen_t *len)
{
	if (level == IPPROTO_IP && name == IP_TTL)
		return give_int(64, value, len);
	if (level == IPPROTO_IP && name == IP_MTU)
		return give_int(1500, value, len);
	if (level == IPPROTO_IP && name == IP_PKTINFO)
		return give_int(t->packetinfo, value, len);
	/* Where a packet was sent to before a firewall translated it (netfilter's SO_ORIGINAL_DST): nobody did. */
	if (name == 80)
		return fail(ENOENT);
	return give_int(0, value, len);
}

PA_PRE_EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len)
{
	struct pa_pre_tag t;

	if (!pa_pre_active() || !pa_pre_tag(fd, &t))
		return pa_pre_real()->getsockopt(fd, level, name, value, len);
	switch (level) {
	case SOL_SOCKET:
		return get_socket(fd, &t, name, value, len);
	case IPPROTO_TCP:
		return get_tcp(&t, name, value, len);
	case IPPROTO_IP:
	case IPPROTO_IPV6:
		return get_ip(&t, level, name, value, len);
	default:
		return fail(ENOPROTOOPT);
	}
}

/* ---- set */

static int set_linger(int fd, const struct pa_pre_tag *t, const void *value, socklen_t len)
{
	bool was = pa_pre_is_abrupt(fd), is;
	int rc = pa_pre_real()->setsockopt(fd, SOL_SOCKET, SO_LINGER, value, len);

	is = pa_pre_is_abrupt(fd);
	if (t->kind == PA_PRE_TCP && is != was)
		pa_pre_set(fd, is, &(struct pa_endpoint){0});
	return rc;
}

static int set_socket(int fd, const struct pa_pre_tag *t, int name, const void *value, socklen_t len)
{
	switch (name) {
	case SO_RCVTIMEO:
	case SO_SNDTIMEO:
	case SO_REUSEADDR:
	case SO_REUSEPORT:
	case SO_KEEPALIVE:
		return pa_pre_real()->setsockopt(fd, SOL_SOCKET, name, value, len);
	case SO_LINGER:
		return set_linger(fd, t, value, len);
	case SO_ZEROCOPY:
	case SO_ATTACH_FILTER:
	case SO_ATTACH_BPF:
		return fail(ENOPROTOOPT);
	default: /* of buffers above all: the relay's own decide, and a call's state is in them */
		return 0;
	}
}

/* Groups of the LAN are for a socket of the kernel's. */
static bool joins(int level, int name)
{
	return level == IPPROTO_IP ? name == IP_ADD_MEMBERSHIP || name == MCAST_JOIN_GROUP || name == IP_MULTICAST_IF
				   : name == IPV6_JOIN_GROUP || name == MCAST_JOIN_GROUP || name == IPV6_MULTICAST_IF;
}

static int set_ip(int fd, struct pa_pre_tag *t, int level, int name, const void *value, socklen_t len)
{
	int on = 0, rc;

	if (t->kind == PA_PRE_UDP && joins(level, name)) {
		rc = pa_pre_udp_leave(fd, t);
		return rc != 0 ? fail(rc) : pa_pre_real()->setsockopt(fd, level, name, value, len);
	}
	if (t->kind == PA_PRE_UDP && level == IPPROTO_IP && name == IP_PKTINFO && len >= (socklen_t)sizeof(on)) {
		memcpy(&on, value, sizeof(on));
		t->packetinfo = on != 0;
		pa_pre_tag_set(fd, t);
	}
	return 0;
}

PA_PRE_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	struct pa_pre_tag t;

	if (!pa_pre_active() || !pa_pre_tag(fd, &t))
		return pa_pre_real()->setsockopt(fd, level, name, value, len);
	switch (level) {
	case SOL_SOCKET:
		return set_socket(fd, &t, name, value, len);
	case IPPROTO_TCP:
		return name == TCP_ULP_OPTION || name == TCP_CONGESTION || t.kind == PA_PRE_UDP ? fail(ENOPROTOOPT) : 0;
	case IPPROTO_IP:
	case IPPROTO_IPV6:
		return set_ip(fd, &t, level, name, value, len);
	default:
		return fail(ENOPROTOOPT);
	}
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * UDP through the relay: each packet of the descriptor is the other end's endpoint and the datagram. A socket whose port the
 * program did not choose goes back to the kernel when it turns to the LAN, as a resolver's does.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "relay/preload.h"

#define DATAGRAM_MAX 65507 /* octets that fit into one packet of IPv4 with its headers (RFC 768, RFC 791) */
#define IOV_MOST 1024	   /* as Linux: UIO_MAXIOV */

static ssize_t fail(int error)
{
	errno = error;
	return -1;
}

static bool is_nowhere(const struct sockaddr *sa, socklen_t len)
{
	return sa != NULL && len >= (socklen_t)sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC;
}

/* ---- which sockets */

int pa_pre_udp_open(int fd, const struct pa_pre_plain *p, uint16_t port, bool any_port, const struct pa_endpoint *peer)
{
	struct pa_pre_tag tag = {.kind = PA_PRE_UDP, .v6 = p->v6, .any_port = any_port};
	struct pa_endpoint local;
	int ours, rc = pa_pre_open(PA_PRE_UDP, port, 0, &ours, &local);

	/* The kernel chose that port here; it may be taken there. */
	if (rc == EADDRINUSE && any_port)
		rc = pa_pre_open(PA_PRE_UDP, 0, 0, &ours, &local);
	if (rc != 0)
		return rc;
	if (peer != NULL)
		tag.peer = *peer;
	rc = pa_pre_replace(fd, ours, &tag);
	if (rc == 0 && peer != NULL)
		pa_pre_set(fd, false, peer);
	return rc;
}

int pa_pre_udp_leave(int fd, const struct pa_pre_tag *t)
{
	struct pa_rlocal info;
	uint16_t port;

	/* Who asked to be called at a port is waited for there. */
	if (!t->any_port)
		return ENETUNREACH;
	port = pa_pre_info(fd, &info) == 0 ? info.body.local.port : 0;
	return pa_pre_give_back(fd, t, port) == 0 ? 0 : pa_pre_give_back(fd, t, 0);
}

int pa_pre_udp_connect(int fd, struct pa_pre_tag *t, const struct sockaddr *sa, socklen_t len)
{
	struct pa_endpoint remote;
	int rc;

	if (is_nowhere(sa, len)) {
		t->peer = (struct pa_endpoint){0};
	} else if (pa_pre_is_public(sa, len, &remote)) {
		t->peer = remote;
	} else {
		rc = pa_pre_udp_leave(fd, t);
		return rc != 0 ? (int)fail(rc) : pa_pre_real()->connect(fd, sa, len);
	}
	pa_pre_tag_set(fd, t);
	pa_pre_set(fd, false, &t->peer);
	return 0;
}

int pa_pre_udp_sends_to(int fd, const struct sockaddr *sa, socklen_t len, struct pa_pre_tag *ret)
{
	struct pa_endpoint remote;
	struct pa_pre_plain p;
	int rc;

	if (!pa_pre_is_public(sa, len, &remote) || !pa_pre_plain(fd, &p) || p.type != SOCK_DGRAM)
		return -1;
	rc = pa_pre_udp_open(fd, &p, p.port, true, NULL);
	if (rc == 0 && !pa_pre_tag(fd, ret))
		rc = EBADF;
	return rc;
}

/* ---- troubles */

/* The packet that was looked at is not for the program. */
static void drop(int fd)
{
	uint8_t octet;

	(void)pa_pre_real()->recv(fd, &octet, sizeof(octet), MSG_DONTWAIT);
}

/* Is a packet of n octets a trouble? *ret_errno is its errno if the program is connected to that peer, else 0. */
static bool is_trouble(const struct pa_pre_tag *t, const uint8_t head[PA_RELAY_DATAGRAM_LEN], ssize_t n, int *ret_errno)
{
	unsigned error;
	uint16_t port;

	if (n != PA_RELAY_DATAGRAM_LEN || !pa_rlocal_trouble_decode(head, &error, &port))
		return false;
	*ret_errno = !pa_addr_is_none(&t->peer.addr) && port == t->peer.port ? pa_relay_errno(error) : 0;
	return true;
}

int pa_pre_udp_error(int fd, const struct pa_pre_tag *t)
{
	uint8_t head[PA_RELAY_DATAGRAM_LEN];
	int saved = errno, error = 0;

	if (!pa_addr_is_none(&t->peer.addr) &&
	    is_trouble(t, head, pa_pre_real()->recv(fd, head, sizeof(head), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT), &error))
		drop(fd);
	errno = saved;
	return error;
}

/* ---- sending */

static int check_length(const struct msghdr *m)
{
	size_t total = 0;

	if (m->msg_iovlen > IOV_MOST)
		return EMSGSIZE;
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		if (m->msg_iov[i].iov_len > DATAGRAM_MAX - total)
			return EMSGSIZE;
		total += m->msg_iov[i].iov_len;
	}
	return 0;
}

static ssize_t send_one(int fd, const struct pa_endpoint *to, const struct msghdr *m, int flags)
{
	struct pa_relay_body b = {.remote = *to};
	uint8_t head[PA_RELAY_DATAGRAM_LEN];
	struct iovec iov[m->msg_iovlen + 1];
	struct msghdr ours = {.msg_iov = iov, .msg_iovlen = m->msg_iovlen + 1};
	ssize_t n;

	if (pa_relay_encode(PA_RELAY_DATAGRAM, &b, head, sizeof(head)) != sizeof(head))
		return fail(EINVAL);
	iov[0] = (struct iovec){head, sizeof(head)};
	if (m->msg_iovlen > 0)
		memcpy(iov + 1, m->msg_iov, m->msg_iovlen * sizeof(iov[0]));
	n = pa_pre_real()->sendmsg(fd, &ours, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN))
		errno = ENETUNREACH;
	return n < 0 ? -1 : n - (ssize_t)sizeof(head);
}

ssize_t pa_pre_udp_send(int fd, const struct pa_pre_tag *t, const struct msghdr *m, int flags)
{
	struct pa_endpoint to = t->peer;
	int rc = check_length(m);

	if (rc == 0)
		rc = pa_pre_udp_error(fd, t);
	if (rc == 0 && m->msg_name != NULL && m->msg_namelen > 0) {
		if (!pa_pre_is_public(m->msg_name, m->msg_namelen, &to)) {
			rc = pa_pre_udp_leave(fd, t);
			if (rc == 0)
				return pa_pre_real()->sendmsg(fd, m, flags);
		}
	} else if (rc == 0 && pa_addr_is_none(&to.addr)) {
		rc = EDESTADDRREQ;
	}
	return rc != 0 ? fail(rc) : send_one(fd, &to, m, flags);
}

/* ---- receiving */

/* IP_PKTINFO, for programs that answer from the address that was asked: there is but one. */
static void put_packetinfo(struct msghdr *m, size_t room)
{
	struct in_pktinfo info = {.ipi_ifindex = 0};
	struct cmsghdr *c = m->msg_control;
	struct pa_addr own;

	if (c == NULL || room < CMSG_SPACE(sizeof(info)) || pa_pre_address(&own) != 0)
		return;
	info.ipi_addr.s_addr = info.ipi_spec_dst.s_addr = htonl(pa_addr_to_ipv4(&own));
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(info)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	m->msg_controllen = CMSG_SPACE(sizeof(info));
}

/* Octets, or -1; *ret_from is who sent it. Strangers are left out. */
static ssize_t receive_one(int fd, const struct pa_pre_tag *t, struct msghdr *ours, int flags, struct pa_endpoint *ret_from)
{
	const uint8_t *head = ours->msg_iov[0].iov_base;
	struct pa_relay_body b;
	int error = 0;

	for (;;) {
		ssize_t n = pa_pre_real()->recvmsg(fd, ours, flags);

		if (n < 0)
			return n;
		if (n == 0)
			return fail(ENETDOWN); /* the daemon or the session has gone */
		if (is_trouble(t, head, n, &error)) {
			if ((flags & MSG_PEEK) != 0)
				drop(fd);
			if (error != 0)
				return fail(error);
			continue;
		}
		if (n >= PA_RELAY_DATAGRAM_LEN && pa_relay_decode(PA_RELAY_DATAGRAM, head, PA_RELAY_DATAGRAM_LEN, &b) == 0 &&
		    (pa_addr_is_none(&t->peer.addr) || pa_endpoint_eq(&t->peer, &b.remote))) {
			*ret_from = b.remote;
			return n - PA_RELAY_DATAGRAM_LEN;
		}
		if ((flags & MSG_PEEK) != 0)
			drop(fd);
	}
}

ssize_t pa_pre_udp_recv(int fd, const struct pa_pre_tag *t, struct msghdr *m, int flags)
{
	uint8_t head[PA_RELAY_DATAGRAM_LEN];
	size_t parts = m->msg_iovlen > IOV_MOST ? IOV_MOST : m->msg_iovlen, room = m->msg_controllen;
	struct iovec iov[parts + 1];
	struct msghdr ours = {.msg_iov = iov, .msg_iovlen = parts + 1};
	struct pa_endpoint from;
	ssize_t n;

	if ((flags & MSG_ERRQUEUE) != 0)
		return fail(EAGAIN);
	iov[0] = (struct iovec){head, sizeof(head)};
	if (parts > 0)
		memcpy(iov + 1, m->msg_iov, parts * sizeof(iov[0]));
	n = receive_one(fd, t, &ours, flags & (MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT), &from);
	if (n < 0)
		return n;
	m->msg_flags = ours.msg_flags & MSG_TRUNC;
	m->msg_controllen = 0;
	if (t->packetinfo)
		put_packetinfo(m, room);
	if (m->msg_name != NULL)
		pa_pre_to_sockaddr(&from, t->v6, m->msg_name, &m->msg_namelen);
	return n;
}

int pa_pre_udp_next(int fd)
{
	uint8_t head[PA_RELAY_DATAGRAM_LEN];
	int saved = errno;
	ssize_t n = pa_pre_real()->recv(fd, head, sizeof(head), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	errno = saved;
	return n > PA_RELAY_DATAGRAM_LEN ? (int)(n - PA_RELAY_DATAGRAM_LEN) : 0;
}

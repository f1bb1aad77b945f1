/* SPDX-License-Identifier: MPL-2.0 */
/* Datagrams to and from peers: each keeps its boundaries and its endpoint. */
#include <errno.h>
#include <time.h> /* which the next one needs */
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "relay/peer_int.h"
#include "tunnel/net_udp.h"

#define TURN 64 /* datagrams taken before others have their turn */

void pa_peer_udp(const struct pa_peer_owner *owner, struct pa_rsession *s, const struct pa_relay_body *b)
{
	enum pa_relay_error error = PA_RELAY_E_OK;
	struct pa_relay_body result = {0};
	struct pa_peer *p = NULL;
	int fd = -1, on = 1;

	if (!owner->may_listen && b->local.port != 0)
		error = PA_RELAY_E_DENIED;
	else if (owner->reserved(owner->ctx, SOCK_DGRAM, b->local.port))
		error = PA_RELAY_E_IN_USE;
	else if (pa_peer_socket(&owner->addr, b->local.port, SOCK_DGRAM, &fd) < 0)
		error = pa_peer_error(errno);
	else if ((p = pa_peer_new(owner, s, fd, PA_PEER_UDP)) == NULL)
		error = PA_RELAY_E_LIMIT;
	if (p == NULL) {
		if (fd >= 0)
			close(fd);
		pa_peer_refuse(owner, s, b, error);
		return;
	}
	(void)setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	pa_peer_names(fd, &p->local, NULL);
	result.local = p->local;
	pa_peer_tell(p, "relay.datagrams", PA_RELAY_E_OK);
	pa_rlink_result(s, &result);
	pa_peer_wait(p, UV_READABLE);
}

/* Those whom the client has sent to last. */
static bool has_talked(const struct pa_peer *p, const struct pa_endpoint *peer)
{
	for (unsigned i = 0; i < PA_PEER_TALKED && i < p->n_talked; i++)
		if (pa_endpoint_eq(&p->talked[i], peer))
			return true;
	return false;
}

/* ---------------------------------------------------------------- what does not arrive */

/* By which Linux tells a connected socket (icmp(7)): the others may pass by themselves. */
static bool is_hard(const struct sock_extended_err *e)
{
	switch (e->ee_origin == SO_EE_ORIGIN_ICMP && e->ee_type == ICMP_DEST_UNREACH ? e->ee_code : ICMP_HOST_UNREACH) {
	case ICMP_PORT_UNREACH:
	case ICMP_NET_UNKNOWN:
	case ICMP_HOST_UNKNOWN:
	case ICMP_NET_ANO:
	case ICMP_HOST_ANO:
	case ICMP_PKT_FILTERED:
	case ICMP_PREC_VIOLATION:
	case ICMP_PREC_CUTOFF:
		return true;
	default:
		return false;
	}
}

static void tell_undelivered(struct pa_peer *p, struct msghdr *m)
{
	struct sock_extended_err e;
	struct pa_endpoint peer = {0};

	(void)pa_sockaddr_from(m->msg_name, &peer);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR)
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		if (is_hard(&e) && has_talked(p, &peer))
			(void)pa_rlink_undelivered(p->s, &peer, pa_peer_error((int)e.ee_errno));
	}
}

/* Passes on what the network says of earlier datagrams, which would else be the result of a call about others. False: nothing. */
static bool hear_errors(struct pa_peer *p)
{
	bool any = false;

	for (int i = 0; i < TURN; i++) {
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6))];
		} control;
		struct sockaddr_storage to = {0};
		struct msghdr m = {.msg_name = &to,
				   .msg_namelen = sizeof(to),
				   .msg_control = &control,
				   .msg_controllen = sizeof(control)};

		if (recvmsg(p->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			break;
		any = true;
		tell_undelivered(p, &m);
	}
	return any;
}

/* ---------------------------------------------------------------- datagrams */

void pa_peer_datagram(struct pa_rsession *s, const struct pa_endpoint *to, const uint8_t *bytes, size_t len)
{
	struct pa_peer *p = pa_rsession_user(s);
	struct sockaddr_storage ss;
	socklen_t ss_len = pa_sockaddr_to(to, &ss);

	if (p == NULL || p->state != PA_PEER_UDP || !pa_peer_may_reach(p->owner, to, IPPROTO_UDP))
		return;
	p->talked[p->n_talked++ % PA_PEER_TALKED] = *to;
	/* What does not go at once is lost, as on any network; but not for what became of another one. */
	if (sendto(p->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&ss, ss_len) < 0 && hear_errors(p))
		(void)sendto(p->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&ss, ss_len);
}

void pa_peer_udp_event(struct pa_peer *p, int status, int events)
{
	uint8_t buf[PA_RELAY_BODY_MAX];

	(void)events;
	pa_peer_wait(p, UV_READABLE);
	if (status < 0)
		(void)hear_errors(p);
	for (int i = 0; i < TURN; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(p->fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		struct pa_endpoint peer = {0};

		if (n < 0 && errno != EAGAIN && hear_errors(p))
			continue;
		if (n < 0)
			return;
		(void)pa_sockaddr_from(&from, &peer);
		/* With the inbound policy "closed" only those answer who were asked. */
		if (!p->owner->may_listen && !has_talked(p, &peer))
			continue;
		(void)pa_rlink_datagram(p->s, &peer, buf, (size_t)n);
	}
}

/* SPDX-License-Identifier: MPL-2.0 */
/* Datagrams to and from peers: each keeps its boundaries and its endpoint. */
#include <errno.h>
#include <netinet/in.h>
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
	int fd = -1;

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
	pa_peer_names(fd, &p->local, NULL);
	result.local = p->local;
	pa_peer_tell(p, "relay.datagrams", PA_RELAY_E_OK);
	pa_rlink_result(s, &result);
	pa_peer_wait(p, UV_READABLE);
}

void pa_peer_datagram(struct pa_rsession *s, const struct pa_endpoint *to, const uint8_t *bytes, size_t len)
{
	struct pa_peer *p = pa_rsession_user(s);
	struct sockaddr_storage ss;

	if (p == NULL || p->state != PA_PEER_UDP || !pa_peer_may_reach(p->owner, to, IPPROTO_UDP))
		return;
	p->talked[p->n_talked++ % PA_PEER_TALKED] = *to;
	/* What does not go at once is lost, as on any network. */
	(void)sendto(p->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&ss, pa_sockaddr_to(to, &ss));
}

/* With the inbound policy "closed" only those answer who were asked. */
static bool has_talked(const struct pa_peer *p, const struct pa_endpoint *peer)
{
	for (unsigned i = 0; i < PA_PEER_TALKED && i < p->n_talked; i++)
		if (pa_endpoint_eq(&p->talked[i], peer))
			return true;
	return false;
}

void pa_peer_udp_event(struct pa_peer *p, int status, int events)
{
	uint8_t buf[PA_RELAY_BODY_MAX];

	(void)status; /* an ICMP error, which the next call tells */
	(void)events;
	pa_peer_wait(p, UV_READABLE);
	for (int i = 0; i < TURN; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(p->fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		struct pa_endpoint peer = {0};

		if (n < 0 && errno != ECONNREFUSED)
			return;
		if (n < 0)
			continue; /* an ICMP error of an earlier datagram */
		(void)pa_sockaddr_from(&from, &peer);
		if (!p->owner->may_listen && !has_talked(p, &peer))
			continue;
		(void)pa_rlink_datagram(p->s, &peer, buf, (size_t)n);
	}
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_owner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

#include "common/err.h"

/*
 * Of a connection that both ends hold. A socket that is closed while it still sends has lost its owner, and the kernel calls it
 * root's; it has no inode then, which is looked at as well.
 */
#define STATES ((1U << TCP_ESTABLISHED) | (1U << TCP_FIN_WAIT1) | (1U << TCP_FIN_WAIT2) | (1U << TCP_CLOSE_WAIT))

struct search {
	struct pa_endpoint own, peer; /* peer: none for UDP */
	unsigned found;
	bool several;
	uid_t uid;
};

/* Sockets of IPv6 speak IPv4 with mapped addresses, which pa_addr holds all of them as. */
static struct pa_endpoint endpoint_of(uint8_t family, const uint32_t words[4], uint16_t port)
{
	struct pa_endpoint e = {pa_addr_from_ipv4(0), ntohs(port)};

	if (family == AF_INET6)
		memcpy(e.addr.b, words, 16);
	else
		memcpy(e.addr.b + 12, words, 4);
	return e;
}

static bool is_any(const struct pa_addr *a)
{
	struct pa_addr v4 = pa_addr_from_ipv4(0);

	return pa_addr_is_none(a) || pa_addr_eq(a, &v4);
}

static int on_socket(const struct nlmsghdr *msg, void *arg)
{
	const struct inet_diag_msg *d = mnl_nlmsg_get_payload(msg);
	struct pa_endpoint own, peer;
	struct search *s = arg;

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*d) || d->idiag_inode == 0)
		return MNL_CB_OK;
	own = endpoint_of(d->idiag_family, d->id.idiag_src, d->id.idiag_sport);
	peer = endpoint_of(d->idiag_family, d->id.idiag_dst, d->id.idiag_dport);
	if (own.port != s->own.port)
		return MNL_CB_OK;
	if (s->peer.port != 0) {
		if ((STATES & 1U << d->idiag_state) == 0)
			return MNL_CB_OK;
		if (!pa_endpoint_eq(&own, &s->own) || !pa_endpoint_eq(&peer, &s->peer))
			return MNL_CB_OK;
	} else if (!is_any(&own.addr) && !pa_addr_eq(&own.addr, &s->own.addr)) {
		return MNL_CB_OK;
	}
	s->several = s->several || (s->found > 0 && s->uid != d->idiag_uid);
	s->uid = d->idiag_uid;
	s->found++;
	return MNL_CB_OK;
}

static struct nlmsghdr *request(char *buf, uint8_t family, uint8_t protocol, struct inet_diag_req_v2 **ret)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	*ret = mnl_nlmsg_put_extra_header(nlh, sizeof(**ret));
	(*ret)->sdiag_family = family;
	(*ret)->sdiag_protocol = protocol;
	(*ret)->idiag_states = ~0U;
	(*ret)->id.idiag_cookie[0] = (*ret)->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return nlh;
}

static void put_address(const struct pa_addr *a, uint32_t words[4])
{
	bool v4 = pa_addr_is_ipv4(a);

	memcpy(words, v4 ? a->b + 12 : a->b, v4 ? 4 : 16);
}

/* The one connection, found by its four numbers: as fast as the kernel finds it for a packet. */
static int ask_tcp(struct mnl_socket *sock, struct search *s)
{
	char buf[8192];
	struct inet_diag_req_v2 *req;
	struct nlmsghdr *nlh = request(buf, pa_addr_is_ipv4(&s->own.addr) ? AF_INET : AF_INET6, IPPROTO_TCP, &req);
	ssize_t n;

	req->id.idiag_sport = htons(s->own.port);
	req->id.idiag_dport = htons(s->peer.port);
	put_address(&s->own.addr, req->id.idiag_src);
	put_address(&s->peer.addr, req->id.idiag_dst);
	if (mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) < 0)
		return PA_EIO;
	n = mnl_socket_recvfrom(sock, buf, sizeof(buf));
	if (n < 0)
		return PA_EIO;
	if (mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(sock), on_socket, s) < 0)
		return errno == ENOENT ? PA_ENOTFOUND : PA_EIO;
	return 0;
}

/* UDP sockets have no peer to be found by; the kernel sorts out by port. */
static int dump_udp(struct mnl_socket *sock, struct search *s, uint8_t family, unsigned seq)
{
	char buf[8192];
	struct inet_diag_req_v2 *req;
	struct nlmsghdr *nlh = request(buf, family, IPPROTO_UDP, &req);
	int rc = MNL_CB_OK;

	nlh->nlmsg_flags |= NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	req->id.idiag_sport = htons(s->own.port);
	if (mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) < 0)
		return PA_EIO;
	while (rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(sock, buf, sizeof(buf));

		if (n < 0)
			return PA_EIO;
		rc = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(sock), on_socket, s);
	}
	return rc < 0 ? PA_EIO : 0;
}

static int look(struct search *s, uid_t *ret)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	int rc;

	if (sock == NULL)
		return PA_EIO;
	rc = mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ? PA_EIO : 0;
	if (rc == 0 && s->peer.port != 0) {
		rc = ask_tcp(sock, s);
	} else if (rc == 0) {
		rc = dump_udp(sock, s, AF_INET, 1);
		rc = rc == 0 ? dump_udp(sock, s, AF_INET6, 2) : rc;
	}
	(void)mnl_socket_close(sock);
	if (rc < 0)
		return rc;
	if (s->found == 0)
		return PA_ENOTFOUND;
	if (s->several)
		return PA_EDENIED;
	*ret = s->uid;
	return 0;
}

int pa_owner_tcp(const struct pa_endpoint *own, const struct pa_endpoint *peer, uid_t *ret)
{
	struct search s = {.own = *own, .peer = *peer};

	return own->port == 0 || peer->port == 0 ? PA_EINVAL : look(&s, ret);
}

int pa_owner_udp(const struct pa_endpoint *own, uid_t *ret)
{
	struct search s = {.own = *own};

	return own->port == 0 ? PA_EINVAL : look(&s, ret);
}

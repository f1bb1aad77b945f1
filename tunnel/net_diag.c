/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_diag.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

#define FLOWS_MAX 32768 /* what a table of this size can do without is the least that a host with more would lose */

struct scan {
	struct pa_addr addr;
	uint8_t protocol;
	struct pa_flow *list;
	size_t n, cap;
	int rc;
};

static int keep(struct scan *s, const struct pa_flow *f)
{
	if (s->n == s->cap) {
		size_t cap = s->cap > 0 ? 2 * s->cap : 64;
		struct pa_flow *list = reallocarray(s->list, cap, sizeof(*list));

		if (list == NULL)
			return PA_ENOMEM;
		s->list = list;
		s->cap = cap;
	}
	s->list[s->n++] = *f;
	return 0;
}

/* Sockets of IPv6 speak IPv4 with mapped addresses, which pa_addr holds all of them as. */
static struct pa_addr addr_of(uint8_t family, const uint32_t words[4])
{
	struct pa_addr a = pa_addr_from_ipv4(0);

	if (family == AF_INET6)
		memcpy(a.b, words, 16);
	else
		memcpy(a.b + 12, words, 4);
	return a;
}

static bool is_any(const struct pa_addr *a)
{
	struct pa_addr v4 = pa_addr_from_ipv4(0);

	return pa_addr_is_none(a) || pa_addr_eq(a, &v4);
}

static int on_socket(const struct nlmsghdr *msg, void *arg)
{
	const struct inet_diag_msg *d = mnl_nlmsg_get_payload(msg);
	struct scan *s = arg;
	struct pa_addr src, dst;
	struct pa_flow f;

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*d) || s->n == FLOWS_MAX)
		return MNL_CB_OK;
	src = addr_of(d->idiag_family, d->id.idiag_src);
	dst = addr_of(d->idiag_family, d->id.idiag_dst);
	memset(&f, 0, sizeof(f));
	f.protocol = s->protocol;
	f.way = PA_WAY_BEFORE;
	f.port = ntohs(d->id.idiag_sport);
	f.peer_port = ntohs(d->id.idiag_dport);
	if (f.port == 0 || !(pa_addr_eq(&src, &s->addr) || (s->protocol == IPPROTO_UDP && is_any(&src))))
		return MNL_CB_OK;
	if (!is_any(&dst) && pa_addr_is_ipv4(&dst))
		f.peer = dst;
	else if (s->protocol == IPPROTO_TCP || !is_any(&dst))
		return MNL_CB_OK;
	s->rc = keep(s, &f);
	return s->rc < 0 ? MNL_CB_STOP : MNL_CB_OK;
}

static int dump(struct mnl_socket *sock, struct scan *s, uint8_t family, unsigned seq)
{
	char buf[32768];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *req;
	int rc = MNL_CB_OK;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = s->protocol;
	/* No listeners, and nothing that is over. UDP has but two states, unconnected and established. */
	req->idiag_states = s->protocol == IPPROTO_TCP ? ~((1U << TCP_LISTEN) | (1U << TCP_CLOSE) | (1U << TCP_TIME_WAIT)) : ~0U;
	if (mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) < 0)
		return PA_EIO;
	while (rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(sock, buf, sizeof(buf));

		if (n < 0)
			return PA_EIO;
		rc = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(sock), on_socket, s);
	}
	return s->rc < 0 ? s->rc : rc < 0 ? PA_EIO : 0;
}

int pa_diag_flows(const struct pa_addr *addr, struct pa_flow **ret, size_t *ret_n)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP}, families[] = {AF_INET, AF_INET6};
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	struct scan s = {.addr = *addr};
	unsigned seq = 1;
	int rc = 0;

	if (sock == NULL)
		return PA_EIO;
	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0)
		rc = PA_EIO;
	for (size_t i = 0; rc == 0 && i < 2 * sizeof(protocols); i++) {
		s.protocol = protocols[i / 2];
		rc = dump(sock, &s, families[i % 2], seq++);
	}
	(void)mnl_socket_close(sock);
	if (rc < 0) {
		free(s.list);
		return rc;
	}
	*ret = s.list;
	*ret_n = s.n;
	return 0;
}

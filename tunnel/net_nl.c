/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_nl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"

#define ANSWER_LEN 32768

struct pa_nl {
	struct mnl_socket *sock;
	unsigned seq;
	char answer[ANSWER_LEN];
};

static int from_errno(int e)
{
	switch (e) {
	case EEXIST:
		return PA_EEXIST;
	case ENOENT:
	case ESRCH:
	case ENODEV:
	case EADDRNOTAVAIL:
		return PA_ENOTFOUND;
	case EPERM:
	case EACCES:
		return PA_EDENIED;
	case EOPNOTSUPP:
		return PA_ENOTSUP;
	default:
		return PA_EIO;
	}
}

int pa_nl_open(struct pa_nl **ret)
{
	struct pa_nl *nl = calloc(1, sizeof(*nl));
	int rc;

	if (nl == NULL)
		return PA_ENOMEM;
	nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (nl->sock == NULL || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		rc = from_errno(errno);
		pa_nl_close(nl);
		return rc;
	}
	*ret = nl;
	return 0;
}

void pa_nl_close(struct pa_nl *nl)
{
	if (nl == NULL)
		return;
	if (nl->sock != NULL)
		(void)mnl_socket_close(nl->sock);
	free(nl);
}

struct receiver {
	int (*fn)(const struct nlmsghdr *msg, void *arg);
	void *arg;
	int rc;
};

static int on_message(const struct nlmsghdr *msg, void *data)
{
	struct receiver *r = data;

	/* The whole answer is read even after fn has had enough: the next request must not find the rest of it. */
	if (r->fn != NULL && r->rc == 0)
		r->rc = r->fn(msg, r->arg);
	return MNL_CB_OK;
}

static int exchange(struct pa_nl *nl, struct nlmsghdr *msg, struct receiver *r)
{
	unsigned portid = mnl_socket_get_portid(nl->sock);
	int rc = MNL_CB_OK;

	msg->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->sock, msg, msg->nlmsg_len) < 0)
		return from_errno(errno);
	while (rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl->sock, nl->answer, sizeof(nl->answer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return from_errno(errno);
		rc = mnl_cb_run(nl->answer, (size_t)n, msg->nlmsg_seq, portid, on_message, r);
		if (rc < 0 && (errno == ESRCH || errno == EPROTO) &&
		    ((const struct nlmsghdr *)(const void *)nl->answer)->nlmsg_seq != msg->nlmsg_seq)
			rc = MNL_CB_OK; /* the late end of an earlier answer */
	}
	return rc < 0 ? from_errno(errno) : r->rc;
}

int pa_nl_request(struct pa_nl *nl, struct nlmsghdr *msg)
{
	struct receiver r = {NULL, NULL, 0};

	msg->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	return exchange(nl, msg, &r);
}

struct batch {
	unsigned first, last; /* sequence numbers */
	bool done;
	void (*refused)(void *arg, unsigned i, int error);
	void *arg;
};

/* What the kernel says of the requests of a batch, in n octets of an answer. */
static void take_answer(struct batch *b, const char *answer, int n)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)answer;

	for (; mnl_nlmsg_ok(nlh, n); nlh = mnl_nlmsg_next(nlh, &n)) {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

		if (nlh->nlmsg_type != NLMSG_ERROR || nlh->nlmsg_seq - b->first > b->last - b->first)
			continue;
		if (e->error != 0)
			b->refused(b->arg, nlh->nlmsg_seq - b->first, -e->error);
		b->done = b->done || nlh->nlmsg_seq == b->last;
	}
}

int pa_nl_batch(struct pa_nl *nl, char *msgs, size_t len, void (*refused)(void *arg, unsigned i, int error), void *arg)
{
	struct batch b = {.first = nl->seq + 1, .refused = refused, .arg = arg};
	struct nlmsghdr *nlh = NULL;

	for (size_t at = 0; at < len; at += NLMSG_ALIGN(nlh->nlmsg_len)) {
		nlh = (struct nlmsghdr *)(void *)(msgs + at);
		nlh->nlmsg_flags |= NLM_F_REQUEST;
		nlh->nlmsg_seq = ++nl->seq;
	}
	if (nlh == NULL)
		return 0;
	nlh->nlmsg_flags |= NLM_F_ACK; /* they are done in their order, so this tells the end */
	b.last = nl->seq;
	if (mnl_socket_sendto(nl->sock, msgs, len) < 0)
		return from_errno(errno);
	while (!b.done) {
		ssize_t n = mnl_socket_recvfrom(nl->sock, nl->answer, sizeof(nl->answer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return from_errno(errno);
		take_answer(&b, nl->answer, (int)n);
	}
	return 0;
}

int pa_nl_dump(struct pa_nl *nl, struct nlmsghdr *msg, int (*fn)(const struct nlmsghdr *msg, void *arg), void *arg)
{
	struct receiver r = {fn, arg, 0};

	msg->nlmsg_flags |= NLM_F_REQUEST;
	if ((msg->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		msg->nlmsg_flags |= NLM_F_ACK; /* a single answer: the acknowledgement is its end */
	return exchange(nl, msg, &r);
}

struct nlmsghdr *pa_nl_put_link(char *buf, uint16_t type, int ifindex, unsigned flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifm;

	nlh->nlmsg_type = type;
	ifm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifm));
	ifm->ifi_family = AF_UNSPEC;
	ifm->ifi_index = ifindex;
	ifm->ifi_flags = flags;
	ifm->ifi_change = flags;
	return nlh;
}

void pa_nl_put_no_ipv6(struct nlmsghdr *nlh)
{
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(nlh, AF_INET6);

	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
}

int pa_nl_dump_all(struct pa_nl *nl, uint16_t type, uint8_t family, size_t header,
		   int (*fn)(const struct nlmsghdr *msg, void *arg), void *arg)
{
	char buf[PA_NL_BUFLEN];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	uint8_t *body;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_DUMP;
	body = mnl_nlmsg_put_extra_header(nlh, header);
	body[0] = family;
	return pa_nl_dump(nl, nlh, fn, arg);
}

void pa_nl_filter_dumps(struct pa_nl *nl)
{
	int one = 1;

	(void)mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
}

const struct nlattr *pa_nl_attr_next(const struct nlmsghdr *msg, size_t header, const struct nlattr *attr)
{
	const char *end = mnl_nlmsg_get_payload_tail(msg);

	attr = attr == NULL ? mnl_nlmsg_get_payload_offset(msg, header) : mnl_attr_next(attr);
	return mnl_attr_ok(attr, (int)(end - (const char *)attr)) ? attr : NULL;
}

int pa_nl_monitor_open(bool paths, int *ret_fd)
{
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), rc;

	if (fd < 0)
		return from_errno(errno);
	if (paths)
		sa.nl_groups |= RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		rc = from_errno(errno);
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

bool pa_nl_monitor_drain(int fd)
{
	char buf[8192];
	bool any = false;

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			return any;
		any = true;
	}
}

int pa_nl_ifindex(const char *name)
{
	unsigned i = if_nametoindex(name);

	return i > 0 ? (int)i : PA_ENOTFOUND;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_nft.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/net_nl.h"

#define RECEIVE_LEN 65536

struct pa_nft {
	struct nft_ctx *ctx;
};

int pa_nft_open(struct pa_nft **ret, char err[PA_NFT_ERRLEN])
{
	struct pa_nft *nft = calloc(1, sizeof(*nft));

	if (nft == NULL) {
		(void)snprintf(err, PA_NFT_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	nft->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (nft->ctx == NULL || nft_ctx_buffer_error(nft->ctx) != 0 || nft_ctx_buffer_output(nft->ctx) != 0) {
		(void)snprintf(err, PA_NFT_ERRLEN, "cannot open the packet filter: %s; load the kernel module nf_tables", strerror(errno));
		pa_nft_close(nft);
		return PA_ENOTSUP;
	}
	*ret = nft;
	return 0;
}

void pa_nft_close(struct pa_nft *nft)
{
	if (nft == NULL)
		return;
	if (nft->ctx != NULL)
		nft_ctx_free(nft->ctx);
	free(nft);
}

/* The library's message has the text's line after it, with a line of marks; the first line says it. */
static int run(struct pa_nft *nft, const char *text, char err[PA_NFT_ERRLEN])
{
	const char *said;
	int rc = nft_run_cmd_from_buffer(nft->ctx, text);

	(void)nft_ctx_get_output_buffer(nft->ctx); /* asking empties it */
	said = nft_ctx_get_error_buffer(nft->ctx);
	if (rc == 0)
		return 0;
	if (err != NULL)
		(void)snprintf(err, PA_NFT_ERRLEN, "the packet filter refuses our table: %.*s", said != NULL ? (int)strcspn(said, "\n") : 0,
			       said != NULL ? said : "");
	return PA_EIO;
}

int pa_nft_load(struct pa_nft *nft, const char *text, char err[PA_NFT_ERRLEN])
{
	return run(nft, text, err);
}

int pa_nft_delete(struct pa_nft *nft, const char *table, char err[PA_NFT_ERRLEN])
{
	char text[256];

	(void)snprintf(text, sizeof(text), "add table ip %.100s\ndelete table ip %.100s\n", table, table);
	return run(nft, text, err);
}

bool pa_nft_has_set(struct pa_nft *nft, const char *table, const char *set)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "list set ip %.100s %.100s\n", table, set);
	return run(nft, text, NULL) == 0;
}

int pa_nft_watch_open(int *ret_fd)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER), group = NFNLGRP_NFTABLES, rc;
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK};

	if (fd < 0)
		return PA_EIO;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
		rc = errno == EPERM ? PA_EDENIED : PA_EIO;
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

/* In each of these messages attribute 1 is the table's name. */
static bool deletes_ours(const struct nlmsghdr *msg, const char *table)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(msg);
	const struct nlattr *attr;

	if (NFNL_SUBSYS_ID(msg->nlmsg_type) != NFNL_SUBSYS_NFTABLES || mnl_nlmsg_get_payload_len(msg) < sizeof(*nfg) ||
	    nfg->nfgen_family != AF_INET)
		return false;
	switch (NFNL_MSG_TYPE(msg->nlmsg_type)) {
	case NFT_MSG_DELTABLE:
	case NFT_MSG_DELCHAIN:
	case NFT_MSG_DELRULE:
	case NFT_MSG_DELSET:
		break;
	default:
		return false;
	}
	PA_NL_EACH_ATTR(attr, msg, sizeof(*nfg)) {
		if (mnl_attr_get_type(attr) == NFTA_TABLE_NAME)
			return mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 && strcmp(mnl_attr_get_str(attr), table) == 0;
	}
	return false;
}

bool pa_nft_watch_drain(int fd, const char *table)
{
	_Alignas(struct nlmsghdr) char buf[RECEIVE_LEN];
	bool ours = false;

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		const struct nlmsghdr *msg = (const struct nlmsghdr *)(const void *)buf;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ENOBUFS)
			return ours;
		if (n < 0) {
			ours = true;
			continue;
		}
		for (; mnl_nlmsg_ok(msg, left); msg = mnl_nlmsg_next(msg, &left))
			ours = ours || deletes_ours(msg, table);
	}
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_nft.h"

#include <errno.h>
#include <jansson.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
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

static json_t *list_set(struct pa_nft *nft, const char *table, const char *set)
{
	json_t *root = NULL;
	char text[256];

	(void)snprintf(text, sizeof(text), "list set ip %.100s %.100s\n", table, set);
	nft_ctx_output_set_flags(nft->ctx, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_NUMERIC_PROTO);
	if (nft_run_cmd_from_buffer(nft->ctx, text) == 0)
		root = json_loads(nft_ctx_get_output_buffer(nft->ctx), 0, NULL);
	(void)nft_ctx_get_error_buffer(nft->ctx);
	nft_ctx_output_set_flags(nft->ctx, 0);
	return root;
}

/* {"elem": {"val": {"concat": [5060, "192.0.2.1", 5060]}, ...}} */
static bool parse_element(const json_t *elem, struct pa_flow *ret)
{
	const json_t *key = json_object_get(json_object_get(json_object_get(elem, "elem"), "val"), "concat");
	size_t at = json_array_size(key) == 4 ? 1 : 0;
	const json_t *protocol = json_array_get(key, 0);
	const char *peer = json_string_value(json_array_get(key, at + 1));

	memset(ret, 0, sizeof(*ret));
	if (json_array_size(key) != at + 3 || peer == NULL || pa_addr_parse(peer, &ret->peer) < 0)
		return false;
	ret->protocol = IPPROTO_TCP;
	if (at == 1 && (json_is_string(protocol) ? strcmp(json_string_value(protocol), "udp") == 0 :
			json_integer_value(protocol) == IPPROTO_UDP))
		ret->protocol = IPPROTO_UDP;
	ret->port = (uint16_t)json_integer_value(json_array_get(key, at));
	ret->peer_port = (uint16_t)json_integer_value(json_array_get(key, at + 2));
	return true;
}

int pa_nft_flows(struct pa_nft *nft, const char *table, const char *set, struct pa_flow **ret, size_t *ret_n)
{
	json_t *root = list_set(nft, table, set), *item;
	const json_t *elems = NULL;
	struct pa_flow *list;
	size_t i, n = 0;

	json_array_foreach(json_object_get(root, "nftables"), i, item) {
		if (json_object_get(item, "set") != NULL)
			elems = json_object_get(json_object_get(item, "set"), "elem");
	}
	list = calloc(json_array_size(elems) + 1, sizeof(*list));
	if (root == NULL || list == NULL) {
		json_decref(root);
		free(list);
		return PA_EIO;
	}
	json_array_foreach(elems, i, item) {
		if (parse_element(item, &list[n]))
			n++;
	}
	json_decref(root);
	*ret = list;
	*ret_n = n;
	return 0;
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

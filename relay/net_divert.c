/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/net_divert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "tunnel/net_nft.h"
#include "tunnel/net_route.h"

/* "local default dev lo table N": whatever is looked up there is for this host. */
static struct pa_route route_of(const struct pa_divert_config *cfg)
{
	return (struct pa_route){.dst.addr = pa_addr_from_ipv4(0), .table = cfg->table, .ifindex = pa_nl_ifindex("lo"), .local = true};
}

static int add_routing(struct pa_nl *nl, const struct pa_divert_config *cfg)
{
	struct pa_route route = route_of(cfg);
	struct pa_rule rule = {.priority = cfg->priority, .table = cfg->table, .mark = cfg->mark};
	int rc = pa_net_clean(nl, cfg->priority, 1, cfg->table, 1);

	if (rc >= 0)
		rc = pa_net_route_add(nl, &route, true);
	return rc < 0 ? rc : pa_net_rule_add(nl, &rule);
}

/*
 * In front of routing, and of connection tracking too, for packets of a relay's session need none. "socket transparent"
 * finds connections, listening sockets and those of UDP that have IP_TRANSPARENT. It cannot know whose a fragment is that is not the
 * first. A rule with tproxy makes the kernel put packets together in front of all chains (nf_defrag_ipv4), as connection tracking would;
 * so there is one, in a chain that no packet comes to.
 */
static char *ruleset(const struct pa_divert_config *cfg, bool whole)
{
	size_t cap = 1024 + cfg->n_pools * (PA_PREFIX_STRLEN + 2), len;
	char *text = malloc(cap), prefix[PA_PREFIX_STRLEN];

	if (text == NULL)
		return NULL;
	len = (size_t)snprintf(text, cap,
			       "table ip " PA_DIVERT_TABLE " {}\ndelete table ip " PA_DIVERT_TABLE "\n"
			       "table ip " PA_DIVERT_TABLE
			       " {\n\tset pools {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { ");
	for (size_t i = 0; i < cfg->n_pools; i++)
		len += (size_t)snprintf(text + len, cap - len, "%s%s", i > 0 ? ", " : "",
					pa_prefix_format(&cfg->pools[i], prefix));
	(void)snprintf(
		text + len, cap - len,
		" }\n\t}\n\tchain divert {\n\t\ttype filter hook prerouting priority mangle\n"
		"\t\tip daddr @pools meta l4proto { icmp, tcp, udp } socket transparent 1 meta mark set %u\n\t}\n%s}\n",
		cfg->mark, whole ? "\tchain whole {\n\t\tmeta l4proto udp tproxy to :1\n\t}\n" : "");
	return text;
}

static int load_rules(const struct pa_divert_config *cfg, bool whole, char err[PA_DIVERT_ERRLEN])
{
	char *text = ruleset(cfg, whole), why[PA_NFT_ERRLEN];
	struct pa_nft *nft = NULL;
	int rc = text != NULL ? pa_nft_open(&nft, why) : PA_ENOMEM;

	if (text == NULL)
		(void)snprintf(why, sizeof(why), "out of memory");
	if (rc == 0)
		rc = pa_nft_load(nft, text, why);
	if (rc < 0)
		(void)snprintf(err, PA_DIVERT_ERRLEN, "cannot set up the packet filter: %s", why);
	pa_nft_close(nft);
	free(text);
	return rc;
}

static void remove_routing(const struct pa_divert_config *cfg)
{
	struct pa_route route = route_of(cfg);
	struct pa_nl *nl;

	if (pa_nl_open(&nl) < 0)
		return;
	(void)pa_net_clean(nl, cfg->priority, 1, cfg->table, 1);
	(void)pa_net_route_del(nl, &route);
	pa_nl_close(nl);
}

int pa_divert_open(const struct pa_divert_config *cfg, bool *ret_whole, char err[PA_DIVERT_ERRLEN])
{
	bool whole = true;
	struct pa_nl *nl;
	int rc = pa_nl_open(&nl);

	if (rc < 0) {
		(void)snprintf(err, PA_DIVERT_ERRLEN, "cannot open netlink: %s", pa_strerror(rc));
		return rc;
	}
	rc = add_routing(nl, cfg);
	if (rc < 0)
		(void)snprintf(err, PA_DIVERT_ERRLEN,
			       "cannot add a rule with priority %u and table %u: %s; it needs CAP_NET_ADMIN",
			       cfg->priority, cfg->table, strerror(errno));
	pa_nl_close(nl);
	if (rc < 0) { /* nothing of the packet filter's is there, and without privilege its library speaks up by itself */
		remove_routing(cfg);
		return rc;
	}
	rc = load_rules(cfg, true, err);
	if (rc < 0) {
		whole = false;
		rc = load_rules(cfg, false, err);
	}
	if (rc < 0)
		pa_divert_close(cfg);
	else
		*ret_whole = whole;
	return rc;
}

void pa_divert_close(const struct pa_divert_config *cfg)
{
	char why[PA_NFT_ERRLEN];
	struct pa_nft *nft;

	if (pa_nft_open(&nft, why) == 0) {
		(void)pa_nft_delete(nft, PA_DIVERT_TABLE, why);
		pa_nft_close(nft);
	}
	remove_routing(cfg);
}

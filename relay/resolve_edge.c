/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/resolve_edge.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"
#include "tunnel/net_udp.h"

struct pa_resolve_share {
	unsigned n, refs;
};

struct question { /* the user of its session */
	struct pa_resolve_share *share;
	const struct pa_deny *deny;
	struct pa_rsession *s; /* NULL: nobody waits */
	uv_getaddrinfo_t req;
};

struct pa_resolve_share *pa_resolve_share_new(void)
{
	struct pa_resolve_share *share = calloc(1, sizeof(*share));

	if (share != NULL)
		share->refs = 1;
	return share;
}

void pa_resolve_share_put(struct pa_resolve_share *share)
{
	if (share != NULL && --share->refs == 0)
		free(share);
}

bool pa_resolve_is(const struct pa_rsession *s)
{
	return pa_rsession_is_name(s);
}

static void answer(struct pa_rsession *s, const struct pa_relay_body *b)
{
	pa_rsession_set_user(s, NULL);
	pa_rlink_resolved(s, b);
	pa_rlink_close(s, PA_RELAY_E_OK);
}

static enum pa_relay_error error_of(int status)
{
	switch (status) {
	case 0:
		return PA_RELAY_E_OK;
	case UV_EAI_NONAME:
	case UV_EAI_NODATA:
	case UV_EAI_ADDRFAMILY:
		return PA_RELAY_E_NOT_FOUND;
	default:
		return PA_RELAY_E_AGAIN;
	}
}

/* What a name may stand for: nothing that is told apart only by who asks. */
static void put_addr(struct pa_relay_body *b, const struct pa_deny *deny, const struct pa_addr *addr)
{
	struct pa_inner to = {.dst = *addr};

	if (b->n_addrs < PA_RELAY_ADDRS_MAX && pa_deny_check(deny, &to) == PA_PASS)
		b->addrs[b->n_addrs++] = *addr;
}

static void on_addresses(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct question *q = req->data;
	struct pa_relay_body b = {.error = (uint8_t)error_of(status)};

	for (const struct addrinfo *a = status == 0 ? list : NULL; a != NULL; a = a->ai_next) {
		struct sockaddr_storage ss = {0};
		struct pa_endpoint e;

		memcpy(&ss, a->ai_addr, a->ai_addrlen < sizeof(ss) ? a->ai_addrlen : sizeof(ss));
		if (pa_sockaddr_from(&ss, &e))
			put_addr(&b, q->deny, &e.addr);
	}
	if (b.error == PA_RELAY_E_OK && b.n_addrs == 0)
		b.error = PA_RELAY_E_NOT_FOUND;
	uv_freeaddrinfo(list);
	q->share->n--;
	pa_resolve_share_put(q->share);
	if (q->s != NULL)
		answer(q->s, &b);
	free(q);
}

/* An address is its own answer. */
static bool is_address(const struct pa_relay_body *b, const struct pa_deny *deny, struct pa_relay_body *ret)
{
	struct pa_addr addr;

	if (pa_addr_parse(b->name, &addr) < 0)
		return false;
	put_addr(ret, deny, &addr);
	ret->error = ret->n_addrs > 0 ? PA_RELAY_E_OK : PA_RELAY_E_NOT_FOUND;
	return true;
}

void pa_resolve_start(uv_loop_t *loop, struct pa_resolve_share *share, const struct pa_deny *deny,
		      struct pa_rsession *s, const struct pa_relay_body *b)
{
	struct addrinfo hints = {.ai_family = b->family == 4   ? AF_INET
					      : b->family == 6 ? AF_INET6
							       : AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM};
	struct pa_relay_body now = {.error = PA_RELAY_E_AGAIN};
	char name[PA_RELAY_NAME_MAX + 2];
	struct question *q;

	q = is_address(b, deny, &now) || share->n >= PA_RELAY_NAMES_MAX ? NULL : calloc(1, sizeof(*q));
	if (q == NULL) {
		answer(s, &now);
		return;
	}
	/* With a point at its end it is nobody's short name. The others are as hosts(5) has them; see relayd_main.c for what is appended. */
	(void)snprintf(name, sizeof(name), "%s%s", b->name, strchr(b->name, '.') != NULL ? "" : ".");
	q->s = s;
	q->share = share;
	q->deny = deny;
	q->req.data = q;
	if (uv_getaddrinfo(loop, &q->req, on_addresses, name, NULL, &hints) < 0) {
		free(q);
		answer(s, &now);
		return;
	}
	share->n++;
	share->refs++;
	pa_rsession_set_user(s, q);
}

void pa_resolve_drop(struct pa_rsession *s)
{
	struct question *q = pa_rsession_user(s);

	if (q == NULL)
		return;
	q->s = NULL;
	(void)uv_cancel((uv_req_t *)&q->req); /* one that no worker has begun ends at once */
}

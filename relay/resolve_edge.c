/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/resolve_edge.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"

#define EACH_MAX 8 /* of one client at a time */

struct pa_resolve_share {
	unsigned n, refs;
};

struct question { /* the user of its session */
	struct pa_resolve_share *share;
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

static void on_addresses(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct question *q = req->data;
	struct pa_relay_body b = {.error = (uint8_t)error_of(status)};

	for (const struct addrinfo *a = status == 0 ? list : NULL; a != NULL && b.n_addrs < PA_RELAY_ADDRS_MAX;
	     a = a->ai_next) {
		if (a->ai_family == AF_INET)
			b.addrs[b.n_addrs++] =
				pa_addr_from_ipv4(ntohl(((struct sockaddr_in *)a->ai_addr)->sin_addr.s_addr));
		else if (a->ai_family == AF_INET6)
			memcpy(b.addrs[b.n_addrs++].b, &((struct sockaddr_in6 *)a->ai_addr)->sin6_addr,
			       sizeof(b.addrs[0].b));
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

void pa_resolve_start(uv_loop_t *loop, struct pa_resolve_share *share, struct pa_rsession *s,
		      const struct pa_relay_body *b)
{
	struct addrinfo hints = {.ai_family = b->family == 4   ? AF_INET
					      : b->family == 6 ? AF_INET6
							       : AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM};
	struct pa_relay_body no = {.error = PA_RELAY_E_AGAIN};
	struct question *q = share->n < EACH_MAX ? calloc(1, sizeof(*q)) : NULL;

	if (q == NULL) {
		answer(s, &no);
		return;
	}
	q->s = s;
	q->share = share;
	q->req.data = q;
	if (uv_getaddrinfo(loop, &q->req, on_addresses, b->name, NULL, &hints) < 0) {
		free(q);
		answer(s, &no);
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

/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/net_nl.h"

#define SENDERS 64
#define HEAD_LEN 64 /* an IPv4 header with options, and the ports */

struct pa_wire {
	int fd;
	unsigned n;
	struct pa_endpoint senders[SENDERS];
};

int pa_wire_open(const char *iface, struct pa_wire **ret)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = pa_nl_ifindex(iface)};
	struct pa_wire *w;

	if (sll.sll_ifindex <= 0)
		return PA_ENOTFOUND;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return PA_ENOMEM;
	w->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* nothing comes before it is bound */
	if (w->fd < 0 || bind(w->fd, (struct sockaddr *)&sll, sizeof(sll)) < 0) {
		int rc = errno == EPERM ? PA_EDENIED : PA_EIO;

		pa_wire_close(w);
		return rc;
	}
	*ret = w;
	return 0;
}

void pa_wire_close(struct pa_wire *w)
{
	if (w == NULL)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

bool pa_wire_sender(const uint8_t *p, size_t len, struct pa_endpoint *ret)
{
	size_t header = len > 0 ? (size_t)(p[0] & 0x0f) * 4 : 0;

	if (len < 20 || p[0] >> 4 != 4 || header < 20 || len < header + 4 || p[9] != IPPROTO_UDP || (p[6] & 0x1f) != 0 || p[7] != 0)
		return false;
	ret->addr = pa_addr_from_ipv4((uint32_t)p[12] << 24 | (uint32_t)p[13] << 16 | (uint32_t)p[14] << 8 | p[15]);
	ret->port = (uint16_t)(p[header] << 8 | p[header + 1]);
	return true;
}

void pa_wire_listen(struct pa_wire *w)
{
	struct sockaddr_ll from;
	uint8_t head[HEAD_LEN];
	ssize_t n;

	for (;;) {
		socklen_t len = sizeof(from);
		struct pa_endpoint e;

		n = recvfrom(w->fd, head, sizeof(head), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
		if (n < 0)
			return;
		if (from.sll_pkttype == PACKET_OUTGOING || !pa_wire_sender(head, (size_t)n, &e) || pa_wire_heard(w, &e))
			continue;
		if (w->n < SENDERS)
			w->senders[w->n++] = e;
	}
}

bool pa_wire_heard(const struct pa_wire *w, const struct pa_endpoint *from)
{
	for (unsigned i = 0; i < w->n; i++)
		if (pa_endpoint_eq(&w->senders[i], from))
			return true;
	return false;
}

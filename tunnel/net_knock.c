/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_knock.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/err.h"
#include "tunnel/dp_csum.h"
#include "tunnel/dp_cut.h"

#define WORD_LEN 16
#define DISCARD 9 /* source port, RFC 863: a rule for the tunnel's own packets is not to let it in */

struct pa_knock {
	int fd;
	bool came;
	uint8_t word[WORD_LEN]; /* so that nothing else is taken for it */
};

struct packet {
	struct iphdr ip;
	struct udphdr udp;
	uint8_t word[WORD_LEN];
};

static bool has_header(int tun_fd)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	return ioctl(tun_fd, TUNGETIFF, &ifr) == 0 && (ifr.ifr_flags & IFF_VNET_HDR) != 0;
}

static struct packet packet_of(const struct pa_knock *k, const struct sockaddr_in *to, const struct pa_addr *from)
{
	struct packet p;

	memset(&p, 0, sizeof(p));
	p.ip.version = 4;
	p.ip.ihl = 5;
	p.ip.tot_len = htons(sizeof(p));
	p.ip.ttl = 64;
	p.ip.protocol = IPPROTO_UDP;
	memcpy(&p.ip.saddr, from->b + 12, 4);
	p.ip.daddr = to->sin_addr.s_addr;
	p.ip.check = (uint16_t)~pa_csum_fold(pa_csum_add(0, &p.ip, sizeof(p.ip)));
	p.udp.source = htons(DISCARD);
	p.udp.dest = to->sin_port;
	p.udp.len = htons(sizeof(p.udp) + sizeof(p.word)); /* and no checksum: 0 says so (RFC 768) */
	memcpy(p.word, k->word, sizeof(p.word));
	return p;
}

static int knock(struct pa_knock *k, int tun_fd, const struct pa_addr *addr, const struct pa_addr *from)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	uint8_t buf[PA_VNET_LEN + sizeof(struct packet)];
	size_t head = has_header(tun_fd) ? PA_VNET_LEN : 0, len = head + sizeof(struct packet);
	socklen_t n = sizeof(sin);
	struct packet p;

	memcpy(&sin.sin_addr, addr->b + 12, 4);
	if (bind(k->fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || getsockname(k->fd, (struct sockaddr *)&sin, &n) < 0)
		return PA_EIO;
	p = packet_of(k, &sin, from);
	memset(buf, 0, head);
	memcpy(buf + head, &p, sizeof(p));
	return write(tun_fd, buf, len) == (ssize_t)len ? 0 : PA_EIO;
}

int pa_knock_open(int tun_fd, const struct pa_addr *addr, const struct pa_addr *from, struct pa_knock **ret)
{
	struct pa_knock *k = calloc(1, sizeof(*k));
	int rc;

	if (k == NULL)
		return PA_ENOMEM;
	pa_random(k->word, sizeof(k->word));
	k->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = k->fd >= 0 ? knock(k, tun_fd, addr, from) : PA_EIO;
	if (rc < 0) {
		int e = errno;

		pa_knock_close(k);
		errno = e;
		return rc;
	}
	*ret = k;
	return 0;
}

bool pa_knock_came(struct pa_knock *k)
{
	uint8_t buf[WORD_LEN + 1];
	ssize_t n;

	while (!k->came && (n = recv(k->fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 0)
		k->came = n == WORD_LEN && memcmp(buf, k->word, WORD_LEN) == 0;
	return k->came;
}

void pa_knock_close(struct pa_knock *k)
{
	if (k == NULL)
		return;
	if (k->fd >= 0)
		close(k->fd);
	free(k);
}

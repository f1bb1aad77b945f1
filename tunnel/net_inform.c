/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_inform.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "tunnel/net_udp.h"

#define UDP 17
#define STALE_MAX 1024 /* packets dropped before a question */
#define OFFSET 0x1fff /* of a fragment */

/* UDP, the first fragment, from the server's port to the client's: everything else costs us no wake-up. Offsets are of the IPv4 header. */
static const struct sock_filter answers[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UDP, 0, 8),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, OFFSET, 6, 0),
	BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* the header's length */
	BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PA_DHCP_SERVER_PORT, 0, 3),
	BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PA_DHCP_CLIENT_PORT, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 0xffff),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

int pa_inform_open(int *ret_fd, char err[PA_INFORM_ERRLEN])
{
	/* Protocol 0: it hears nothing before it is bound. */
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sock_fprog filter = {.len = sizeof(answers) / sizeof(answers[0]), .filter = (struct sock_filter *)(uintptr_t)answers};

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0) {
		int denied = errno == EPERM || errno == EACCES;

		(void)snprintf(err, PA_INFORM_ERRLEN, "cannot open a packet socket for the answers of the DHCP server: %s%s", strerror(errno),
			       denied ? "; it takes CAP_NET_RAW at the start" : "");
		if (fd >= 0)
			close(fd);
		return denied ? PA_EDENIED : PA_EIO;
	}
	*ret_fd = fd;
	return 0;
}

int pa_inform_listen(int fd, int ifindex)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = ifindex};
	uint8_t buf[16];

	if (bind(fd, (const struct sockaddr *)&ll, sizeof(ll)) < 0)
		return PA_EIO;
	/* What a flood leaves is no answer of a transaction that is new. */
	for (int i = 0; i < STALE_MAX && recv(fd, buf, sizeof(buf), 0) >= 0; i++)
		;
	return 0;
}

int pa_inform_read(int fd, uint8_t *buf, size_t cap)
{
	ssize_t n = recv(fd, buf, cap, 0);

	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EINTR ? PA_EAGAIN : PA_EIO;
}

int pa_inform_hardware(const char *iface, struct pa_dhcp_inform *ret)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;
	struct ifreq ifr;

	if (fd < 0)
		return PA_EIO;
	memset(&ifr, 0, sizeof(ifr));
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", iface);
	rc = ioctl(fd, SIOCGIFHWADDR, &ifr);
	close(fd);
	if (rc < 0)
		return PA_ENOTFOUND;
	/* Others have hardware addresses that do not fit in there, or none (RFC 4390). */
	if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return PA_ENOTSUP;
	ret->hw_type = ARPHRD_ETHER;
	ret->hw_len = ETH_ALEN;
	memcpy(ret->hw, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	return 0;
}

int pa_inform_send(const char *iface, uint32_t mark, const struct pa_addr *from, const struct pa_addr *to, const uint8_t *buf,
		   size_t len, char err[PA_INFORM_ERRLEN])
{
	struct pa_udp_config cfg = {.bind = {*from, 0}, .device = iface, .mark = mark};
	const struct pa_endpoint server = {*to, PA_DHCP_SERVER_PORT};
	struct sockaddr_storage ss;
	socklen_t ss_len = pa_sockaddr_to(&server, &ss);
	char text[PA_ADDR_STRLEN];
	int fd, one = 1, rc = pa_udp_open(&cfg, &fd, err);

	if (rc < 0)
		return rc;
	if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) < 0 ||
	    sendto(fd, buf, len, 0, (const struct sockaddr *)&ss, ss_len) < 0) {
		(void)snprintf(err, PA_INFORM_ERRLEN, "cannot send to the DHCP server at %s: %s", pa_addr_format(to, text), strerror(errno));
		rc = PA_EIO;
	}
	close(fd);
	return rc;
}

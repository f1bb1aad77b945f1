/* SPDX-License-Identifier: MPL-2.0 */
/* Sockets that have a client's public address, which is no address of this host: IP_TRANSPARENT (ip(7)) lets us bind to
 * it. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "relay/peer_int.h"
#include "tunnel/net_udp.h"

enum pa_relay_error pa_peer_error(int os)
{
	switch (os) {
	case 0:
		return PA_RELAY_E_OK;
	case ECONNREFUSED:
		return PA_RELAY_E_REFUSED;
	case EHOSTUNREACH:
	case EHOSTDOWN:
		return PA_RELAY_E_HOST;
	case ENETUNREACH:
	case ENETDOWN:
		return PA_RELAY_E_NET;
	case ETIMEDOUT:
		return PA_RELAY_E_TIMEOUT;
	case ECONNRESET:
	case EPIPE:
		return PA_RELAY_E_RESET;
	case EADDRINUSE:
	case EADDRNOTAVAIL:
		return PA_RELAY_E_IN_USE;
	case EACCES:
	case EPERM:
		return PA_RELAY_E_DENIED;
	default:
		return PA_RELAY_E_LIMIT;
	}
}

void pa_peer_names(int fd, struct pa_endpoint *local, struct pa_endpoint *remote)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		(void)pa_sockaddr_from(&ss, local);
	len = sizeof(ss);
	if (remote != NULL && getpeername(fd, (struct sockaddr *)&ss, &len) == 0)
		(void)pa_sockaddr_from(&ss, remote);
}

int pa_peer_socket(const struct pa_addr *addr, uint16_t port, int type, int *ret_fd)
{
	struct pa_endpoint at = {*addr, port};
	bool v4 = pa_addr_is_ipv4(addr);
	struct sockaddr_storage ss;
	socklen_t len = pa_sockaddr_to(&at, &ss);
	int on = 1, os;
	int fd = socket(v4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return PA_EIO;
	if ((v4 ? setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on))
		: setsockopt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof(on))) < 0)
		goto fail;
	/* A call's port is chosen with its peer in view, so that one P has 64,511 of them to each peer and not in all.
	 */
	if (type == SOCK_STREAM && port == 0)
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (type == SOCK_STREAM) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)); /* accepted ones inherit it */
	}
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		goto fail;
	*ret_fd = fd;
	return 0;
fail:
	os = errno;
	close(fd);
	errno = os;
	return PA_EIO;
}

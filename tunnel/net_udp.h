/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_UDP_H
#define PA_NET_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/addr.h"

/* The tunnel's outer sockets. Any thread. */
struct pa_udp_config {
	struct pa_endpoint bind; /* address none: the family's unspecified one; port 0: any */
	bool ipv6;		 /* family, when the address is none */
	const char *device;	 /* SO_BINDTODEVICE; NULL: not bound to an interface */
	uint32_t mark;		 /* SO_MARK; 0: none */
	bool tcp;		 /* a TCP socket instead, not bound to an address: to see whether somebody answers */
	bool dont_fragment;	 /* every packet has DF, whatever is known of the path: for probing it */
};

#define PA_UDP_ERRLEN 192

/*
 * Opens a bound, non-blocking, close-on-exec socket with large buffers. Outer packets may be fragmented on the way, if not
 * said otherwise (IP_PMTUDISC_DONT): an inner MTU of 1472 fills a path of 1500 exactly, and on a narrower path a fragment arrives where a
 * packet with DF would vanish, until the client has probed the path. PA_EDENIED, PA_EEXIST (port taken), PA_EIO with err.
 */
int pa_udp_open(const struct pa_udp_config *cfg, int *ret_fd, char err[PA_UDP_ERRLEN]);
/*
 * Opens the sockets of one local address: PA_STEER_DATA and n_data for data, parted by what comes (dp_steer.h). Where the
 * kernel cannot part it, one socket for all: *ret_n says how many there are. Another process that has the port is found out as
 * by pa_udp_open, whose errors these are.
 */
int pa_udp_open_group(const struct pa_udp_config *cfg, unsigned n_data, int *ret_fds, unsigned *ret_n, char err[PA_UDP_ERRLEN]);
/*
 * Sends one datagram from such a socket in one piece or not at all (DF), whatever is known of the path, larger than the interface's
 * MTU too, which fails. What others send by the socket meanwhile is, too. False: the system refused it.
 */
bool pa_udp_send_whole(int fd, const struct pa_endpoint *to, const uint8_t *buf, size_t len);
/* The local port, host byte order; 0 if the system does not tell. */
uint16_t pa_udp_port(int fd);

/* Endpoints as socket addresses. to: returns the length. from: false for a foreign family. */
socklen_t pa_sockaddr_to(const struct pa_endpoint *e, struct sockaddr_storage *ret);
bool pa_sockaddr_from(const struct sockaddr_storage *ss, struct pa_endpoint *ret);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_INFORM_H
#define PA_NET_INFORM_H

#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/dhcp_inform.h"

/*
 * How a DHCPINFORM leaves and its answer arrives beside a DHCP client that runs: the answer goes to port 68, which that client may hold, so a
 * packet socket takes a copy of it and nothing from anybody. Any thread.
 */
#define PA_INFORM_ERRLEN 192

/*
 * A packet socket that gives whole IPv4 packets from a DHCP server to a client, once it listens; non-blocking. Needs CAP_NET_RAW, and
 * nothing needs it afterwards. PA_EDENIED, PA_EIO with what and the remedy in err.
 */
int pa_inform_open(int *ret_fd, char err[PA_INFORM_ERRLEN]);
/* Those of this interface from now on; what came before is dropped. PA_EIO. */
int pa_inform_listen(int fd, int ifindex);
/* Reads one packet. Returns its length, PA_EAGAIN when there is none, PA_EIO. */
int pa_inform_read(int fd, uint8_t *buf, size_t cap);
/* The interface's hardware address and its kind, to hw_type, hw_len and hw of *ret. PA_ENOTFOUND, PA_ENOTSUP (it has none). */
int pa_inform_hardware(const char *iface, struct pa_dhcp_inform *ret);
/* Sends a UDP payload from an address of the interface to a DHCP server, or to all with 255.255.255.255. PA_EIO with err. */
int pa_inform_send(const char *iface, uint32_t mark, const struct pa_addr *from, const struct pa_addr *to, const uint8_t *buf,
		   size_t len, char err[PA_INFORM_ERRLEN]);

#endif

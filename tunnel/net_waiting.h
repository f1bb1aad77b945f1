/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_WAITING_H
#define PA_NET_WAITING_H

/*
 * Octets that wait to be read from fd, a stream socket: what has been looked at with MSG_PEEK counts too. Negative: the socket is
 * broken. Any thread.
 */
int pa_net_waiting(int fd);

#endif

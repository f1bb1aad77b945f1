/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_NET_WIRE_H
#define PA_NET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

/*
 * Listens on an interface below the host's firewall: what it hears and no socket gets, the firewall has thrown away. Needs
 * CAP_NET_RAW. One thread.
 */
struct pa_wire;

/* PA_EDENIED without the capability, PA_ENOTFOUND: no such interface, PA_ENOMEM, PA_EIO. */
int pa_wire_open(const char *iface, struct pa_wire **ret);
void pa_wire_close(struct pa_wire *w);
/* Takes note of the IPv4 UDP datagrams that have come in so far; remembers up to 64 senders. Never blocks. */
void pa_wire_listen(struct pa_wire *w);
/* The sender of a first or whole fragment of UDP over IPv4, of which p holds the beginning; false for anything else. Pure. */
bool pa_wire_sender(const uint8_t *p, size_t len, struct pa_endpoint *ret);
/* Has a datagram come from there? */
bool pa_wire_heard(const struct pa_wire *w, const struct pa_endpoint *from);

#endif

/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_AUTO_PORTS_H
#define PA_AUTO_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Destination ports that the mode auto sends through the tunnel: of protocols whose servers, or whose peers, compare the address in
 * the payload with the one that the packets come from, or answer to the latter from other ports. Which they are is measured:
 * pubaddr-modes(7). Pure; any thread.
 */
struct pa_auto_ports {
	uint8_t tcp[65536 / 8], udp[65536 / 8]; /* a bit for each port; a value type, comparable by memcmp */
};

/* One line of the table that the defaults are made of. */
struct pa_auto_entry {
	const char *name;
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t first, last;
	/*
	 * TCP only: the server expects a session's other connections and datagrams from the address that the first came from. While
	 * there is such a session, all that begins towards its server goes through the tunnel.
	 */
	bool session;
};
/* The table; *n entries. */
const struct pa_auto_entry *pa_auto_table(size_t *n);

/* Exactly the ports of the table. */
void pa_auto_defaults(struct pa_auto_ports *ret);
/*
 * "21/tcp", "6881-6889/udp": those ports are in from now on, or out. PA_EFORMAT for any other text, which changes nothing; ports are
 * from 1 to 65535.
 */
int pa_auto_set(struct pa_auto_ports *p, const char *text, bool in);
/* protocol other than the two: false. */
bool pa_auto_has(const struct pa_auto_ports *p, uint8_t protocol, uint16_t port);
/* The next range of ports from *first on; false: there is none. Start with *first 0; go on with *last + 1. */
bool pa_auto_next(const struct pa_auto_ports *p, uint8_t protocol, unsigned *first, unsigned *last);

#endif

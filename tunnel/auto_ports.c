/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/auto_ports.h"

#include <netinet/in.h>
#include <string.h>

#include "common/err.h"

/* A port that another program uses too costs it nothing but the way by the gateway. */
static const struct pa_auto_entry table[] = {
	{"ftp", IPPROTO_TCP, 21, 21, true},	 /* PORT must name the control connection's peer, PASV's data come from it */
	{"tftp", IPPROTO_UDP, 69, 69, false},	 /* the server answers from another port to the peer it saw */
	{"rtsp", IPPROTO_TCP, 554, 554, true},	 /* media goes to the peer of the RTSP connection */
	/* A rank refuses another one from an address that it was not told. Each takes the first free port from 1024 on. */
	{"open-mpi", IPPROTO_TCP, 1024, 1087, false},
	{"java-rmi", IPPROTO_TCP, 1099, 1099, true}, /* a host whose name does not resolve names the address that the server saw */
	{"bittorrent", IPPROTO_TCP, 6881, 6889, false}, /* others dial the peer that they saw */
	{"bittorrent", IPPROTO_UDP, 6881, 6889, false},
	{"bittorrent-tracker", IPPROTO_TCP, 6969, 6969, false}, /* hands out the peer that it saw */
	{"bittorrent-tracker", IPPROTO_UDP, 6969, 6969, false},
};

const struct pa_auto_entry *pa_auto_table(size_t *n)
{
	*n = sizeof(table) / sizeof(table[0]);
	return table;
}

static void set_range(uint8_t *bits, unsigned first, unsigned last, bool in)
{
	for (unsigned port = first; port <= last; port++) {
		uint8_t bit = (uint8_t)(1U << (port % 8));

		if (in)
			bits[port / 8] = (uint8_t)(bits[port / 8] | bit);
		else
			bits[port / 8] = (uint8_t)(bits[port / 8] & ~bit);
	}
}

static const uint8_t *bits_of(const struct pa_auto_ports *p, uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? p->tcp : protocol == IPPROTO_UDP ? p->udp : NULL;
}

void pa_auto_defaults(struct pa_auto_ports *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		set_range(table[i].protocol == IPPROTO_TCP ? ret->tcp : ret->udp, table[i].first, table[i].last, true);
}

/* Reads a port and moves past it; 0 if there is none. */
static unsigned take_port(const char **s)
{
	unsigned v = 0, digits = 0;

	for (; **s >= '0' && **s <= '9' && digits < 5; digits++, (*s)++)
		v = 10 * v + (unsigned)(**s - '0');
	return v <= UINT16_MAX ? v : 0;
}

int pa_auto_set(struct pa_auto_ports *p, const char *text, bool in)
{
	unsigned first = take_port(&text), last = first;

	if (*text == '-') {
		text++;
		last = take_port(&text);
	}
	if (first == 0 || last < first || (strcmp(text, "/tcp") != 0 && strcmp(text, "/udp") != 0))
		return PA_EFORMAT;
	set_range(strcmp(text, "/tcp") == 0 ? p->tcp : p->udp, first, last, in);
	return 0;
}

bool pa_auto_has(const struct pa_auto_ports *p, uint8_t protocol, uint16_t port)
{
	const uint8_t *bits = bits_of(p, protocol);

	return bits != NULL && (bits[port / 8] & (1U << (port % 8))) != 0;
}

bool pa_auto_next(const struct pa_auto_ports *p, uint8_t protocol, unsigned *first, unsigned *last)
{
	unsigned port = *first;

	while (port <= UINT16_MAX && !pa_auto_has(p, protocol, (uint16_t)port))
		port++;
	if (port > UINT16_MAX)
		return false;
	*first = port;
	while (port < UINT16_MAX && pa_auto_has(p, protocol, (uint16_t)(port + 1)))
		port++;
	*last = port;
	return true;
}

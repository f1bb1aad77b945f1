/* SPDX-License-Identifier: MPL-2.0 */
/*
 * winsock tcp|udp PEER PORT: asks Winsock for the host's own address in each of the ways that Windows programs do,
 * tells the peer each answer with a port where it listens, and waits to be called back there.
 *
 *   socket   connect() and getsockname()
 *   name     gethostname() and getaddrinfo()
 *   adapter  GetAdaptersAddresses(), the first address that is no private one: what a program takes that wants a public
 * one
 *
 * Says a line for each on its output. Exit status 0: called back at each, 1 otherwise, 2: it could not even ask.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WAYS = 3,
	PATIENCE_S = 20, /* for all that the peer shall do */
	LINE = 64,
	REPORT = WAYS * LINE,
};

struct way {
	const char *name;
	bool called;
	struct in_addr own;
};

struct caller {
	SOCKET listener;
	int type; /* SOCK_STREAM or SOCK_DGRAM */
	unsigned port;
	struct sockaddr_in peer;
	struct way ways[WAYS];
};

static int complain(const char *what)
{
	fprintf(stderr, "%s: error %d\n", what, WSAGetLastError());
	return -1;
}

static const char *text_of(struct in_addr a, char buf[INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &a, buf, INET_ADDRSTRLEN);
}

/* A socket connected to the peer; what its own end is called goes to *own. */
static SOCKET connect_peer(const struct caller *c, struct in_addr *own)
{
	struct sockaddr_in self;
	int len = sizeof(self);
	SOCKET s = socket(AF_INET, c->type, 0);

	if (s == INVALID_SOCKET || connect(s, (const struct sockaddr *)&c->peer, sizeof(c->peer)) != 0 ||
	    getsockname(s, (struct sockaddr *)&self, &len) != 0) {
		complain("connect");
		return INVALID_SOCKET;
	}
	*own = self.sin_addr;
	return s;
}

static int own_by_name(struct in_addr *own)
{
	char name[256];
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
	struct sockaddr_in self;

	if (gethostname(name, sizeof(name)) != 0 || getaddrinfo(name, NULL, &hints, &found) != 0)
		return complain("the host's name");
	memcpy(&self, found->ai_addr, sizeof(self));
	*own = self.sin_addr;
	freeaddrinfo(found);
	return 0;
}

/* RFC 1918, RFC 6598, loopback, link-local. */
static bool is_private(struct in_addr a)
{
	unsigned long v = ntohl(a.s_addr);

	return v >> 24 == 10 || v >> 20 == 0xac1 || v >> 16 == 0xc0a8 || v >> 22 == 0x191 || v >> 24 == 127 ||
	       v >> 16 == 0xa9fe;
}

static int own_by_adapter(struct in_addr *own)
{
	ULONG size = 65536;
	IP_ADAPTER_ADDRESSES *all = malloc(size);
	char buf[INET_ADDRSTRLEN];
	int found = -1;

	if (all == NULL || GetAdaptersAddresses(AF_INET, 0, NULL, all, &size) != NO_ERROR) {
		free(all);
		return complain("the adapters");
	}
	for (const IP_ADAPTER_ADDRESSES *a = all; a != NULL; a = a->Next) {
		for (const IP_ADAPTER_UNICAST_ADDRESS *u = a->FirstUnicastAddress; u != NULL; u = u->Next) {
			struct sockaddr_in self;

			memcpy(&self, u->Address.lpSockaddr, sizeof(self));
			printf("adapter %ls has %s\n", a->FriendlyName, text_of(self.sin_addr, buf));
			if (found != 0 && !is_private(self.sin_addr)) {
				*own = self.sin_addr;
				found = 0;
			}
		}
	}
	free(all);
	return found == 0 ? 0 : complain("the adapters");
}

static int listen_anywhere(struct caller *c)
{
	struct sockaddr_in self = {.sin_family = AF_INET};
	int len = sizeof(self);

	c->listener = socket(AF_INET, c->type, 0);
	if (c->listener == INVALID_SOCKET || bind(c->listener, (struct sockaddr *)&self, len) != 0 ||
	    getsockname(c->listener, (struct sockaddr *)&self, &len) != 0 ||
	    (c->type == SOCK_STREAM && listen(c->listener, WAYS) != 0))
		return complain("listen");
	c->port = ntohs(self.sin_port);
	return 0;
}

/* One line for each way: NAME ADDRESS PORT. */
static int tell_peer(const struct caller *c, SOCKET s)
{
	char report[REPORT], address[INET_ADDRSTRLEN];
	int used = 0;

	for (int i = 0; i < WAYS; i++) {
		used += snprintf(report + used, sizeof(report) - (size_t)used, "%s %s %u\n", c->ways[i].name,
				 text_of(c->ways[i].own, address), c->port);
		printf("own address by %s: %s\n", c->ways[i].name, address);
	}
	fflush(stdout);
	return send(s, report, used, 0) == used ? 0 : complain("send");
}

/* One call: the peer says which way's address it used, and hears the same. */
static void take_call(struct caller *c)
{
	struct sockaddr_in from;
	int from_len = sizeof(from), len;
	char said[LINE] = "", address[INET_ADDRSTRLEN];
	SOCKET s = c->listener;

	if (c->type == SOCK_STREAM)
		s = accept(c->listener, (struct sockaddr *)&from, &from_len);
	len = c->type == SOCK_STREAM ? recv(s, said, sizeof(said) - 1, 0)
				     : recvfrom(s, said, sizeof(said) - 1, 0, (struct sockaddr *)&from, &from_len);
	for (int i = 0; len > 0 && i < WAYS; i++) {
		if (strncmp(said, c->ways[i].name, strlen(c->ways[i].name)) == 0) {
			c->ways[i].called = true;
			printf("called back by %s at the address of %s\n", text_of(from.sin_addr, address),
			       c->ways[i].name);
			if (sendto(s, said, len, 0, (struct sockaddr *)&from, from_len) != len)
				complain("answer");
		}
	}
	if (c->type == SOCK_STREAM)
		closesocket(s);
}

static bool all_called(const struct caller *c)
{
	for (int i = 0; i < WAYS; i++)
		if (!c->ways[i].called)
			return false;
	return true;
}

static int wait_for_calls(struct caller *c)
{
	ULONGLONG end = GetTickCount64() + PATIENCE_S * 1000;

	while (!all_called(c) && GetTickCount64() < end) {
		WSAPOLLFD p = {.fd = c->listener, .events = POLLRDNORM};

		if (WSAPoll(&p, 1, 1000) > 0)
			take_call(c);
		fflush(stdout);
	}
	return all_called(c) ? 0 : 1;
}

static int run(struct caller *c)
{
	SOCKET s = connect_peer(c, &c->ways[0].own);
	int rc = 2;

	if (s != INVALID_SOCKET && own_by_name(&c->ways[1].own) == 0 && own_by_adapter(&c->ways[2].own) == 0 &&
	    listen_anywhere(c) == 0 && tell_peer(c, s) == 0)
		rc = wait_for_calls(c);
	closesocket(s);
	return rc;
}

int main(int argc, char **argv)
{
	WSADATA wsa;
	struct caller c = {
		.peer = {.sin_family = AF_INET},
		.ways = {{.name = "socket"}, {.name = "name"}, {.name = "adapter"}},
	};

	if (argc != 4 || inet_pton(AF_INET, argv[2], &c.peer.sin_addr) != 1 || WSAStartup(MAKEWORD(2, 2), &wsa) != 0) {
		fprintf(stderr, "usage: winsock tcp|udp PEER PORT\n");
		return 2;
	}
	c.type = strcmp(argv[1], "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
	c.peer.sin_port = htons((unsigned short)strtoul(argv[3], NULL, 10));
	return run(&c);
}

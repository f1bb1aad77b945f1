/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A call by H.323, made for the tests since Debian 12 has no program that speaks it: set-up by H.225.0, media by H.245,
 * RTP. Like any such program it takes the address of its socket for its own, and sends where the other one says.
 *   h323 wait
 *       takes one call on port 1720
 *   h323 call ADDRESS [early]
 *       calls; early: names in SETUP where it waits for the H.245 connection, else the called one names it in CONNECT
 * Each side tells what it was told, and exits 0 when it has heard the other's media and the call was released. Of H.245
 * it has no capability exchange, and nothing but one audio channel each way.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "test/apps/h323_msg.h"

enum {
	SIGNALLING_PORT = 1720,
	MEDIA_PORT = 17000, /* RTCP's is the next one */
	WAIT = 10,	    /* seconds for each step */
	PACKETS = 50,	    /* of RTP that are sent, one each 20 ms */
	ENOUGH = 10,	    /* that must come */
	RTP_SIZE = 12 + 160,
};

struct call {
	struct sockaddr_in own, other; /* of the call signalling connection */
	int signalling, listener, control, media;
	struct h323_message said; /* SETUP, whoever sent it */
};

static bool failed(const char *what)
{
	perror(what);
	return false;
}

static const char *text(const struct sockaddr_in *a, char dst[static 32])
{
	char address[INET_ADDRSTRLEN] = "?";

	inet_ntop(AF_INET, &a->sin_addr, address, sizeof(address));
	(void)snprintf(dst, 32, "%s:%u", address, ntohs(a->sin_port));
	return dst;
}

/* A socket whose steps end; bound to port (0: any). -1 with a message if there is none. */
static int open_socket(int type, uint16_t port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct timeval limit = {.tv_sec = WAIT};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || (type == SOCK_STREAM && listen(fd, 1) < 0)) {
		(void)failed("socket");
		return -1;
	}
	return fd;
}

static int connect_to(const struct sockaddr_in *a)
{
	struct timeval limit = {.tv_sec = WAIT};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0) {
		(void)failed("connect");
		return -1;
	}
	return fd;
}

static bool names_of(int fd, struct sockaddr_in *own, struct sockaddr_in *other)
{
	socklen_t a = sizeof(*own), b = sizeof(*other);

	return getsockname(fd, (struct sockaddr *)own, &a) == 0 && getpeername(fd, (struct sockaddr *)other, &b) == 0;
}

/* The program's own address, with the port of another of its sockets. */
static struct sockaddr_in own_with(const struct call *c, uint16_t port)
{
	struct sockaddr_in a = c->own;

	a.sin_port = htons(port);
	return a;
}

static bool send_message(int fd, const struct h323_message *m)
{
	uint8_t buf[H323_MAX];
	size_t len = h323_encode(m, buf, sizeof(buf));

	return len > 0 && send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len ? true : failed("send");
}

/* One TPKT, which must be what m->kind says. */
static bool receive(int fd, struct h323_message *m)
{
	uint8_t buf[H323_MAX];
	size_t len;

	if (recv(fd, buf, 4, MSG_WAITALL) != 4)
		return failed("no message");
	len = (size_t)buf[2] << 8 | buf[3];
	if (len < 4 || len > sizeof(buf) || recv(fd, buf + 4, len - 4, MSG_WAITALL) != (ssize_t)(len - 4) ||
	    !h323_decode(m, buf, len)) {
		(void)fprintf(stderr, "not the message of kind %d that was due\n", (int)m->kind);
		return false;
	}
	return true;
}

static int accept_control(const struct call *c)
{
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		(void)failed("nobody came for H.245");
	return fd;
}

/* The H.245 connection is made by whom the other one told an address. */
static bool connect_control(struct call *c, const struct h323_message *told)
{
	char buf[32];

	printf("H.245 is asked for at %s\n", text(&told->h245, buf));
	c->control = connect_to(&told->h245);
	return c->control >= 0;
}

static bool name_control(struct call *c, struct h323_message *m)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	c->listener = open_socket(SOCK_STREAM, 0);
	if (c->listener < 0 || getsockname(c->listener, (struct sockaddr *)&a, &len) < 0)
		return failed("H.245 listener");
	m->has_h245 = true;
	m->h245 = own_with(c, ntohs(a.sin_port));
	return true;
}

static bool call(struct call *c, const char *address, bool early)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(SIGNALLING_PORT)};
	struct h323_message connect = {.kind = H323_CONNECT};

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return failed(address);
	c->signalling = connect_to(&to);
	if (c->signalling < 0 || !names_of(c->signalling, &c->own, &c->other))
		return false;
	c->said = (struct h323_message){
		.kind = H323_SETUP, .reference = 1, .source = own_with(c, SIGNALLING_PORT), .destination = to};
	if (getrandom(c->said.call, sizeof(c->said.call), 0) < 0 ||
	    getrandom(c->said.conference, sizeof(c->said.conference), 0) < 0)
		return failed("getrandom");
	if ((early && !name_control(c, &c->said)) || !send_message(c->signalling, &c->said))
		return false;
	if (early)
		c->control = accept_control(c);
	if ((early && c->control < 0) || !receive(c->signalling, &connect))
		return false;
	if (memcmp(connect.call, c->said.call, sizeof(connect.call)) != 0 || connect.reference != 0x8001) {
		(void)fprintf(stderr, "CONNECT of another call\n");
		return false;
	}
	return early || (connect.has_h245 && connect_control(c, &connect));
}

static bool answer(struct call *c)
{
	struct h323_message connect = {.kind = H323_CONNECT, .reference = 0x8001};
	int listener = open_socket(SOCK_STREAM, SIGNALLING_PORT);
	char source[32], seen[32];

	if (listener < 0)
		return false;
	c->signalling = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	(void)close(listener);
	c->said.kind = H323_SETUP;
	if (c->signalling < 0 || !names_of(c->signalling, &c->own, &c->other) || !receive(c->signalling, &c->said))
		return failed("no call");
	printf("SETUP from %s, seen from %s\n", text(&c->said.source, source), text(&c->other, seen));
	memcpy(connect.call, c->said.call, sizeof(connect.call));
	memcpy(connect.conference, c->said.conference, sizeof(connect.conference));
	if (!c->said.has_h245 && !name_control(c, &connect))
		return false;
	if (c->said.has_h245 && !connect_control(c, &c->said))
		return false;
	if (!send_message(c->signalling, &connect))
		return false;
	if (!c->said.has_h245)
		c->control = accept_control(c);
	return c->control >= 0;
}

/* Opens a channel of its own and acknowledges the other's: *to is where the other one wants its media. */
static bool open_channels(struct call *c, struct sockaddr_in *to)
{
	struct h323_message open = {.kind = H323_OPEN, .control = own_with(c, MEDIA_PORT + 1)},
			    got = {.kind = H323_OPEN};
	struct h323_message ack = {
		.kind = H323_OPEN_ACK, .media = own_with(c, MEDIA_PORT), .control = own_with(c, MEDIA_PORT + 1)};

	if (!send_message(c->control, &open) || !receive(c->control, &got) || !send_message(c->control, &ack))
		return false;
	got.kind = H323_OPEN_ACK;
	if (!receive(c->control, &got))
		return false;
	*to = got.media;
	return true;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* RTP both ways: silence in A-law, from any source, as most do. */
static bool talk(const struct call *c, const struct sockaddr_in *to)
{
	uint8_t rtp[RTP_SIZE] = {0x80, 8}, got[2048];
	struct pollfd p = {.fd = c->media, .events = POLLIN};
	unsigned sent = 0, heard = 0;
	char buf[32];
	int64_t start = now_ms();

	memset(rtp + 12, 0xd5, sizeof(rtp) - 12);
	while ((sent < PACKETS || heard < ENOUGH) && now_ms() < start + WAIT * 1000) {
		if (now_ms() >= start + 20 * sent) {
			rtp[3] = (uint8_t)sent++;
			rtp[7] = (uint8_t)(sent * 160 & 0xff);
			rtp[6] = (uint8_t)(sent * 160 >> 8);
			(void)sendto(c->media, rtp, sizeof(rtp), 0, (const struct sockaddr *)to, sizeof(*to));
		}
		if (poll(&p, 1, 5) == 1 && recv(c->media, got, sizeof(got), 0) == RTP_SIZE)
			heard++;
	}
	printf("media to %s: %u sent, %u heard\n", text(to, buf), sent, heard);
	return heard >= ENOUGH;
}

/* The caller releases; the other one waits for that, so that both have heard enough. */
static bool release(const struct call *c, bool caller)
{
	struct h323_message m = {.kind = H323_RELEASE, .reference = c->said.reference};

	memcpy(m.call, c->said.call, sizeof(m.call));
	return caller ? send_message(c->signalling, &m) : receive(c->signalling, &m);
}

int main(int argc, char **argv)
{
	struct call c = {.signalling = -1, .listener = -1, .control = -1, .media = open_socket(SOCK_DGRAM, MEDIA_PORT)};
	bool caller = argc >= 3 && strcmp(argv[1], "call") == 0, early = argc == 4 && strcmp(argv[3], "early") == 0;
	struct sockaddr_in to;

	if (!caller && (argc != 2 || strcmp(argv[1], "wait") != 0)) {
		(void)fprintf(stderr, "usage: h323 wait | call ADDRESS [early]\n");
		return 2;
	}
	if (c.media < 0 || !(caller ? call(&c, argv[2], early) : answer(&c)) || !open_channels(&c, &to) ||
	    !talk(&c, &to) || !release(&c, caller))
		return 1;
	printf("released\n");
	return 0; /* the kernel closes what is open */
}

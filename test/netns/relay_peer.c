/* SPDX-License-Identifier: MPL-2.0 */
/*
 * relay_peer PORT: the other side of relay_probe, by TCP and UDP at that port. The first octet of a connection says what is to be done:
 * e: all that comes is sent back, then it ends;  h: it says "head" and no more, and sends back what came after the other's end to nobody
 * but the log;  r: reset at once;  R: "bytes", then reset when something comes;  cPORT\n: calls that port of the caller, says "called" and
 * reads what it is answered, which goes to the log;  l: it reads until the connection has ended;  CPORT\n: as c, and reads so from what it
 * called;  u: it says "unread" and reads so;  L: as l, and waits for 3 s whether a reset follows upon the end;  q: it says how the last one
 * that was read so has ended, "end", "reset" or "end and reset". UDP: everything comes back; what begins with "stranger" comes from
 * another port first.
 * What is seen is logged to standard output.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void echo(int fd)
{
	char buf[16384];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, m; at < n; at += m)
			if ((m = write(fd, buf + at, (size_t)(n - at))) <= 0)
				return;
}

static void head(int fd)
{
	char buf[256];
	ssize_t n, all = 0;

	(void)!write(fd, "head", 4);
	shutdown(fd, SHUT_WR);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		all += n;
	printf("after our half: %zd octets, then %s\n", all, n == 0 ? "the end" : "an error");
}

static volatile char *how; /* the last one has ended: e, r, b: both; shared by all; 0: it has not */

static void watch_end(int fd, int more_ms)
{
	struct pollfd p = {.fd = fd};
	char buf[16384];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	*how = n != 0 ? 'r' : more_ms > 0 && poll(&p, 1, more_ms) > 0 && (p.revents & POLLERR) != 0 ? 'b' : 'e';
}

static void tell_end(int fd)
{
	struct timespec moment = {.tv_nsec = 10000000};

	for (int i = 0; *how == 0 && i < 1000; i++)
		nanosleep(&moment, NULL);
	const char *word = *how == 'e' ? "end" : *how == 'r' ? "reset" : *how == 'b' ? "end and reset" : "nothing";

	(void)!write(fd, word, strlen(word));
	*how = 0;
}

static void call_back(int fd, struct sockaddr_in to, int to_end)
{
	char buf[64] = {0}, c;
	size_t n = 0;
	int out;

	while (n < 8 && read(fd, &c, 1) == 1 && c != '\n')
		buf[n++] = c;
	to.sin_port = htons((uint16_t)strtoul(buf, NULL, 10));
	out = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(out, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("call back");
		(void)!write(fd, "refused", 7);
		return;
	}
	(void)!write(out, "called", 6);
	if (to_end) {
		watch_end(out, 0);
		return;
	}
	shutdown(out, SHUT_WR);
	memset(buf, 0, sizeof(buf));
	n = 0;
	for (ssize_t m; n < sizeof(buf) - 1 && (m = read(out, buf + n, sizeof(buf) - 1 - n)) > 0;)
		n += (size_t)m;
	printf("answer to our call: %s\n", buf);
	(void)!write(fd, "done", 4);
}

static void serve(int fd, const struct sockaddr_in *from)
{
	char what = 0;

	if (read(fd, &what, 1) != 1)
		exit(0);
	if (what == 'e')
		echo(fd);
	else if (what == 'h')
		head(fd);
	else if (what == 'c' || what == 'C')
		call_back(fd, *from, what == 'C');
	else if (what == 'r')
		reset(fd);
	else if (what == 'q')
		tell_end(fd);
	if (what == 'u')
		(void)!write(fd, "unread", 6);
	if (what == 'u' || what == 'l' || what == 'L')
		watch_end(fd, what == 'L' ? 3000 : 0);
	if (what == 'R') {
		(void)!write(fd, "bytes", 5);
		(void)!read(fd, &what, 1);
		reset(fd);
	}
	exit(0);
}

static void datagram(int fd, int stranger)
{
	char buf[65536];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

	if (n < 0)
		return;
	if (n >= 8 && memcmp(buf, "stranger", 8) == 0)
		sendto(stranger, "who?", 4, 0, (struct sockaddr *)&from, len);
	sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
}

int main(int argc, char **argv)
{
	struct sockaddr_in in = {.sin_family = AF_INET}, from;
	int on = 1, tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), stranger = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p[2] = {{.fd = tcp, .events = POLLIN}, {.fd = udp, .events = POLLIN}};

	in.sin_port = htons(argc == 2 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	how = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (how == MAP_FAILED)
		return 1;
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(tcp, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(tcp, 64) < 0 || bind(udp, (struct sockaddr *)&in, sizeof(in)) < 0) {
		perror("relay_peer");
		return 1;
	}
	puts("ready");
	while (poll(p, 2, -1) >= 0) {
		socklen_t len = sizeof(from);
		int fd;

		if ((p[1].revents & POLLIN) != 0)
			datagram(udp, stranger);
		if ((p[0].revents & POLLIN) == 0)
			continue;
		fd = accept(tcp, (struct sockaddr *)&from, &len);
		if (fd >= 0 && fork() == 0)
			serve(fd, &from);
		close(fd);
	}
	return 0;
}

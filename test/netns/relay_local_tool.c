/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A program that has sessions of the relay by the client daemon's local socket (common/relay_local.h), for tests:
 *	relay_local_tool SOCKET address		the public address; then waits for the end of standard input, for it counts as used so long
 *	relay_local_tool SOCKET call PEER	standard input to the peer, what comes back to standard output
 *	relay_local_tool SOCKET later PEER	the same by a call that nobody waits for: poll, and INFO
 *	relay_local_tool SOCKET listen PORT N	answers N peers that call, each in a process of its own: "NAME of PEER: LINE"
 *	relay_local_tool SOCKET udp PORT PEER	lines of standard input as datagrams to the peer, those that come as lines
 *	relay_local_tool SOCKET resolve NAME	its addresses
 *	relay_local_tool SOCKET names NAME	asks for it, again and again, and does not wait for the answers, until the end of standard input:
 *						"asking" once there were 200, "asked a lot" once there were 3000
 *	relay_local_tool SOCKET addresses	the same for the address
 *	relay_local_tool SOCKET info ID		what became of a session
 *	relay_local_tool SOCKET abrupt ID	wants its end to be a reset, and tells what became of it
 *	relay_local_tool SOCKET squat N		N connections that ask nothing, until the end of standard input: "squatting N" that stand
 *	relay_local_tool SOCKET stuck N PEER	N calls that nobody waits for, until the end of standard input: "stuck N" that are under way
 *	relay_local_tool SOCKET many N PEER	N sessions at once, each with a line that has to come back
 *	relay_local_tool SOCKET push N PEER	N sessions that send all they may and read nothing, until the end of standard input: "open N",
 *						and "ended N" for each that has ended meanwhile
 *	relay_local_tool SOCKET hold N PEER	the same, but they send nothing
 * What happens is told on standard error. Exit code: 0, or 1 with "failed REASON".
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "common/relay_local.h"

#define LINE "this line has to come back\n"
#define CALL_MS 30000

static const char *path;

static int failed(const char *why)
{
	fprintf(stderr, "failed %s\n", why);
	return 1;
}

/* ---------------------------------------------------------------- one request */

static int ask(const struct pa_rlocal *m)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	uint8_t buf[PA_RLOCAL_LEN_MAX];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), len = pa_rlocal_encode(m, buf, sizeof(buf));

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	if (len < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || send(fd, buf, (size_t)len, MSG_NOSIGNAL) != len) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* The next packet of fd; false: there is none. *ret_fd: what came with it, or -1. */
static bool take(int fd, struct pa_rlocal *m, int *ret_fd)
{
	uint8_t buf[PA_RLOCAL_LEN_MAX];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	*ret_fd = -1;
	if (c != NULL && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n > 0 && pa_rlocal_decode(buf, (size_t)n, m) == 0;
}

/* The whole of a request with one answer; the type has to be that one. */
static int request(const struct pa_rlocal *m, uint8_t type, struct pa_rlocal *ret)
{
	int given, fd = ask(m);

	if (!take(fd, ret, &given) || ret->type != type) {
		fprintf(stderr, "no answer\n");
		exit(1);
	}
	close(fd);
	return given;
}

static uint64_t id_of(int fd)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	uint64_t id = 0;

	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0 || !pa_rlocal_name_parse(&name, len, &id))
		fprintf(stderr, "a descriptor without a name\n");
	return id;
}

static void info(uint64_t id, struct pa_rlocal *ret)
{
	(void)request(&(struct pa_rlocal){.type = PA_RLOCAL_INFO, .id = id}, PA_RLOCAL_INFO_IS, ret);
}

static void tell_info(const struct pa_rlocal *m)
{
	static const char *const states[] = {"unknown", "calling", "connected", "failed", "over"};
	char local[PA_ENDPOINT_STRLEN], remote[PA_ENDPOINT_STRLEN];

	fprintf(stderr, "info %s %s %s %s\n", states[m->state], pa_relay_error_name(m->body.error),
		pa_endpoint_format(&m->body.local, local), pa_endpoint_format(&m->body.remote, remote));
}

/* ---------------------------------------------------------------- streams */

static bool put_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n < 0 && errno == ENOTSOCK)
			n = write(fd, buf, len);
		if (n <= 0)
			return false;
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

/* Both ways until both have ended. */
static int pump(int fd)
{
	struct pollfd fds[2] = {{0, POLLIN, 0}, {fd, POLLIN, 0}};
	char buf[65536];

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		ssize_t n;

		if (poll(fds, 2, -1) < 0)
			return 1;
		if (fds[0].revents != 0) {
			n = read(0, buf, sizeof(buf));
			if (n > 0 && !put_all(fd, buf, (size_t)n))
				return failed(strerror(errno));
			if (n <= 0) {
				fds[0].fd = -1;
				(void)shutdown(fd, SHUT_WR);
			}
		}
		if (fds[1].revents != 0) {
			n = read(fd, buf, sizeof(buf));
			if (n < 0)
				return failed(strerror(errno));
			if (n > 0 && !put_all(1, buf, (size_t)n))
				return 1;
			if (n == 0) {
				fprintf(stderr, "end\n");
				fds[1].fd = -1;
			}
		}
	}
	return 0;
}

static struct pa_rlocal call_of(const char *peer, bool nonblock)
{
	struct pa_rlocal m = {.type = PA_RELAY_OPEN, .nonblock = nonblock, .body.kind = PA_RELAY_TCP};

	if (pa_endpoint_parse(peer, 0, &m.body.remote) < 0) {
		fprintf(stderr, "%s: no endpoint\n", peer);
		exit(2);
	}
	return m;
}

static int call(const char *peer)
{
	char local[PA_ENDPOINT_STRLEN], remote[PA_ENDPOINT_STRLEN];
	struct pa_rlocal m = call_of(peer, false), r;
	int none, fd, conn = ask(&m);

	if (!take(conn, &r, &fd))
		return failed("no answer");
	if (r.type == PA_RLOCAL_CALLED) {
		fprintf(stderr, "called %016" PRIx64 "%s\n", r.id, id_of(fd) == r.id ? "" : " but that is not its name");
		if (!take(conn, &r, &none))
			return failed("no result");
	}
	if (r.body.error != PA_RELAY_E_OK)
		return failed(pa_relay_error_name(r.body.error));
	fprintf(stderr, "connected %s %s\n", pa_endpoint_format(&r.body.local, local), pa_endpoint_format(&r.body.remote, remote));
	close(conn);
	return pump(fd);
}

static int later(const char *peer)
{
	struct pa_rlocal m = call_of(peer, true), r;
	struct pollfd p = {.events = POLLIN | POLLOUT};
	int os = 0, conn = ask(&m);
	socklen_t len = sizeof(os);

	if (!take(conn, &r, &p.fd) || r.type != PA_RLOCAL_CALLED)
		return failed("no answer");
	close(conn);
	info(r.id, &r);
	if (r.state == PA_RLOCAL_CALLING) {
		bool full = send(p.fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EAGAIN;

		fprintf(stderr, "%s\n", poll(&p, 1, 0) == 0 && full ? "neither readable nor writable" : "ready already");
	}
	if (poll(&p, 1, CALL_MS) != 1)
		return failed("it is never ready");
	(void)getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &os, &len);
	fprintf(stderr, "ready%s%s%s%s error=%d\n", p.revents & POLLIN ? " in" : "", p.revents & POLLOUT ? " out" : "",
		p.revents & POLLERR ? " err" : "", p.revents & POLLHUP ? " hup" : "", os);
	info(id_of(p.fd), &r);
	tell_info(&r);
	return r.state == PA_RLOCAL_CONNECTED ? pump(p.fd) : failed(pa_relay_error_name(r.body.error));
}

/* ---------------------------------------------------------------- being called */

/* In a process of its own, which knows of the session only what the descriptor says. */
static void serve(int fd)
{
	char line[256], reply[512], peer[PA_ENDPOINT_STRLEN], local[PA_ENDPOINT_STRLEN];
	ssize_t n = read(fd, line, sizeof(line) - 1);
	struct pa_rlocal m;

	info(id_of(fd), &m);
	line[n > 0 ? n : 0] = '\0';
	(void)snprintf(reply, sizeof(reply), "%s of %s: %s", pa_endpoint_format(&m.body.local, local),
		       pa_endpoint_format(&m.body.remote, peer), line);
	(void)put_all(fd, reply, strlen(reply));
	_exit(0);
}

static int begin(uint8_t kind, const char *port)
{
	struct pa_rlocal m = {.type = PA_RELAY_OPEN, .body = {.kind = kind, .local.port = (uint16_t)strtoul(port, NULL, 10)}}, r;
	int fd = request(&m, PA_RELAY_RESULT, &r);
	char local[PA_ENDPOINT_STRLEN];

	if (r.body.error != PA_RELAY_E_OK)
		exit(failed(pa_relay_error_name(r.body.error)));
	fprintf(stderr, "listening %s%s\n", pa_endpoint_format(&r.body.local, local), id_of(fd) == r.id ? "" : " but that is not its name");
	return fd;
}

static int listen_for(const char *port, unsigned n)
{
	int fd, listener = begin(PA_RELAY_TCP_LISTEN, port);
	char peer[PA_ENDPOINT_STRLEN];
	struct pa_rlocal m;

	for (unsigned i = 0; i < n; i++) {
		if (!take(listener, &m, &fd) || m.type != PA_RELAY_INCOMING || fd < 0)
			return failed("end");
		fprintf(stderr, "incoming %s\n", pa_endpoint_format(&m.body.remote, peer));
		if (fork() == 0)
			serve(fd);
		close(fd);
	}
	close(listener);
	while (wait(NULL) > 0)
		;
	return 0;
}

/* ---------------------------------------------------------------- datagrams */

static void send_lines(int fd, const struct pa_endpoint *peer)
{
	struct pa_relay_body b = {.remote = *peer};
	char buf[65536];
	size_t n = 0;

	do { /* whole lines, however they come */
		ssize_t more = read(0, buf + PA_RELAY_DATAGRAM_LEN + n, sizeof(buf) - PA_RELAY_DATAGRAM_LEN - n);

		if (more <= 0)
			exit(0);
		n += (size_t)more;
	} while (buf[PA_RELAY_DATAGRAM_LEN + n - 1] != '\n');
	for (char *line = buf + PA_RELAY_DATAGRAM_LEN, *end = line + n, *nl; line < end; line = nl + 1) {
		nl = memchr(line, '\n', (size_t)(end - line));
		if (nl == NULL)
			return;
		/* The place before the line has been sent. */
		(void)pa_relay_encode(PA_RELAY_DATAGRAM, &b, (uint8_t *)line - PA_RELAY_DATAGRAM_LEN, PA_RELAY_DATAGRAM_LEN);
		(void)send(fd, line - PA_RELAY_DATAGRAM_LEN, (size_t)(nl - line) + PA_RELAY_DATAGRAM_LEN, MSG_NOSIGNAL);
	}
}

static int udp(const char *port, const char *peer)
{
	int fd = begin(PA_RELAY_UDP, port);
	struct pollfd fds[2] = {{0, POLLIN, 0}, {fd, POLLIN, 0}};
	struct pa_endpoint to = call_of(peer, false).body.remote;
	char text[PA_ENDPOINT_STRLEN];
	uint8_t buf[PA_RELAY_BODY_MAX];

	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents != 0)
			send_lines(fd, &to);
		if (fds[1].revents != 0) {
			ssize_t n = recv(fd, buf, sizeof(buf), 0);
			struct pa_relay_body b;

			if (n <= 0 || pa_relay_decode(PA_RELAY_DATAGRAM, buf, (size_t)n, &b) < 0)
				return failed("end");
			printf("%s %zd %.*s\n", pa_endpoint_format(&b.remote, text), n - (ssize_t)b.payload, (int)(n - (ssize_t)b.payload),
			       (char *)buf + b.payload);
			(void)fflush(stdout);
		}
	}
	return 1;
}

/* ---------------------------------------------------------------- the rest */

static int address(void)
{
	char text[PA_ADDR_STRLEN], c;
	struct pa_rlocal m;
	int none, fd = ask(&(struct pa_rlocal){.type = PA_RLOCAL_ADDRESS});

	if (!take(fd, &m, &none) || m.type != PA_RLOCAL_ADDRESS_IS)
		return failed("no answer");
	if (m.body.error != PA_RELAY_E_OK)
		return failed(pa_relay_error_name(m.body.error));
	printf("%s\n", pa_addr_format(&m.body.local.addr, text));
	(void)fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}

static int resolve(const char *name)
{
	struct pa_rlocal m = {.type = PA_RELAY_RESOLVE}, r;
	char text[PA_ADDR_STRLEN];

	(void)snprintf(m.body.name, sizeof(m.body.name), "%s", name);
	(void)request(&m, PA_RELAY_RESOLVED, &r);
	for (unsigned i = 0; i < r.body.n_addrs; i++)
		printf("%s\n", pa_addr_format(&r.body.addrs[i], text));
	return r.body.error == PA_RELAY_E_OK ? 0 : failed(pa_relay_error_name(r.body.error));
}

static void wait_for_end(void)
{
	char buf[64];

	while (read(0, buf, sizeof(buf)) > 0)
		;
}

static int ask_on(uint8_t type, const char *name)
{
	struct pollfd in = {.events = POLLIN};
	struct pa_rlocal m = {.type = type};

	(void)snprintf(m.body.name, sizeof(m.body.name), "%s", name);
	for (unsigned n = 0; poll(&in, 1, 0) == 0; n++) {
		close(ask(&m));
		if (n == 200)
			fprintf(stderr, "asking\n");
		if (n == 3000)
			fprintf(stderr, "asked a lot\n");
		if (n % 10 == 0)
			(void)poll(NULL, 0, 1); /* others have their turn at the socket */
	}
	return 0;
}

static int squat(unsigned n)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct pollfd *fds = calloc(n, sizeof(*fds));
	unsigned stand = 0;

	if (fds == NULL)
		return failed("no memory");
	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	for (unsigned i = 0; i < n; i++) {
		fds[i].fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		if (fds[i].fd < 0 || connect(fds[i].fd, (struct sockaddr *)&name, sizeof(name)) < 0)
			return failed(strerror(errno));
	}
	/* Those that are not taken are closed, once the daemon has come to them. */
	(void)poll(fds, n, 1000);
	(void)poll(fds, n, 0);
	for (unsigned i = 0; i < n; i++)
		stand += fds[i].revents == 0;
	fprintf(stderr, "squatting %u\n", stand);
	wait_for_end();
	return 0;
}

static int stuck(unsigned n, const char *peer)
{
	struct pa_rlocal m = call_of(peer, true), r;
	unsigned under_way = 0;

	for (unsigned i = 0; i < n; i++) {
		int fd, conn = ask(&m);

		under_way += take(conn, &r, &fd) && r.type == PA_RLOCAL_CALLED;
		close(conn);
	}
	fprintf(stderr, "stuck %u\n", under_way);
	wait_for_end();
	return 0;
}

static int many(unsigned n, const char *peer)
{
	struct pa_rlocal m = call_of(peer, false), r;
	int *fds = calloc(n, sizeof(*fds)), *conns = calloc(n, sizeof(*conns)), none;
	char line[sizeof(LINE)];

	for (unsigned i = 0; i < n; i++) {
		conns[i] = ask(&m);
		if (!take(conns[i], &r, &fds[i]) || r.type != PA_RLOCAL_CALLED)
			return failed("no answer");
	}
	for (unsigned i = 0; i < n; i++) {
		if (!take(conns[i], &r, &none) || r.body.error != PA_RELAY_E_OK)
			return failed("a call");
		close(conns[i]);
		if (!put_all(fds[i], LINE, strlen(LINE)))
			return failed("a line");
	}
	for (unsigned i = 0; i < n; i++)
		if (recv(fds[i], line, strlen(LINE), MSG_WAITALL) != (ssize_t)strlen(LINE) || memcmp(line, LINE, strlen(LINE)) != 0)
			return failed("another line");
	printf("%u sessions at once\n", n);
	free(fds);
	free(conns);
	return 0;
}

/* False: it has ended. */
static bool may_go_on(struct pollfd *p)
{
	static const char buf[65536];

	if ((p->revents & (POLLERR | POLLHUP)) != 0) {
		close(p->fd);
		p->fd = -1;
		return false;
	}
	if ((p->revents & POLLOUT) != 0)
		(void)send(p->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
	return true;
}

static int hoard(unsigned n, const char *peer, short events)
{
	struct pa_rlocal m = call_of(peer, true), r;
	struct pollfd *fds = calloc(n + 1, sizeof(*fds));
	unsigned ended = 0;

	if (fds == NULL)
		return failed("no memory");
	for (unsigned i = 0; i < n; i++) {
		int conn = ask(&m);

		if (!take(conn, &r, &fds[i].fd) || r.type != PA_RLOCAL_CALLED)
			return failed("no answer");
		close(conn);
		fds[i].events = events;
	}
	fprintf(stderr, "open %u\n", n);
	fds[n] = (struct pollfd){0, POLLIN, 0};
	while (poll(fds, n + 1, -1) > 0 && fds[n].revents == 0)
		for (unsigned i = 0; i < n; i++)
			if (!may_go_on(&fds[i]))
				fprintf(stderr, "ended %u\n", ++ended);
	free(fds);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	struct pa_rlocal m;

	path = argc > 1 ? argv[1] : "";
	if (argc == 3 && strcmp(what, "address") == 0)
		return address();
	if (argc == 4 && strcmp(what, "call") == 0)
		return call(argv[3]);
	if (argc == 4 && strcmp(what, "later") == 0)
		return later(argv[3]);
	if (argc == 4 && strcmp(what, "resolve") == 0)
		return resolve(argv[3]);
	if (argc == 4 && strcmp(what, "names") == 0)
		return ask_on(PA_RELAY_RESOLVE, argv[3]);
	if (argc == 3 && strcmp(what, "addresses") == 0)
		return ask_on(PA_RLOCAL_ADDRESS, "");
	if (argc == 5 && strcmp(what, "listen") == 0)
		return listen_for(argv[3], (unsigned)strtoul(argv[4], NULL, 10));
	if (argc == 5 && strcmp(what, "udp") == 0)
		return udp(argv[3], argv[4]);
	if (argc == 4 && strcmp(what, "squat") == 0)
		return squat((unsigned)strtoul(argv[3], NULL, 10));
	if (argc == 5 && strcmp(what, "stuck") == 0)
		return stuck((unsigned)strtoul(argv[3], NULL, 10), argv[4]);
	if (argc == 5 && strcmp(what, "many") == 0)
		return many((unsigned)strtoul(argv[3], NULL, 10), argv[4]);
	if (argc == 5 && (strcmp(what, "push") == 0 || strcmp(what, "hold") == 0))
		return hoard((unsigned)strtoul(argv[3], NULL, 10), argv[4], strcmp(what, "push") == 0 ? POLLOUT : 0);
	if (argc == 4 && strcmp(what, "info") == 0) {
		info(strtoull(argv[3], NULL, 16), &m);
		tell_info(&m);
		return 0;
	}
	if (argc == 4 && strcmp(what, "abrupt") == 0) {
		(void)request(&(struct pa_rlocal){.type = PA_RLOCAL_SET, .id = strtoull(argv[3], NULL, 16), .abrupt = true}, PA_RLOCAL_INFO_IS, &m);
		tell_info(&m);
		return 0;
	}
	fprintf(stderr, "usage: relay_local_tool SOCKET address|call|later|listen|udp|resolve|names|many|push|hold|info ...\n");
	return 2;
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * relay_probe PEER PORT OWN REFUSED UNREACHABLE SILENT: what sockets do, in lines that are the same on a host with the public address OWN
 * of its own and for a program behind a NAT that has OWN by the session relay. PEER and PORT are relay_peer's; nothing listens at the port
 * REFUSED of PEER; there is no way to UNREACHABLE; SILENT never answers. Each line begins with its part's name; after "inherit" and "child"
 * it is started by itself with descriptors.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in peer, own, refused, unreachable, silent;
static char **self;
static volatile sig_atomic_t pipes, alarms;

static const char *name_of(int e)
{
	return e == 0 ? "-" : strerrorname_np(e);
}

/* RESULT ERRNO of a call. */
static void say(const char *part, const char *what, long rc)
{
	int e = errno;

	printf("%s: %s: %ld %s\n", part, what, rc < 0 ? -1 : rc, rc < 0 ? name_of(e) : "-");
}

static void say_addr(const char *part, const char *what, int rc, const struct sockaddr_in *a, bool with_port)
{
	const char *who = a->sin_addr.s_addr == own.sin_addr.s_addr ? "own" : a->sin_addr.s_addr == peer.sin_addr.s_addr ? "peer" : "other";

	if (rc < 0)
		say(part, what, rc);
	else
		printf("%s: %s: %s port %s\n", part, what, who, !with_port ? (a->sin_port != 0 ? "any" : "none") : "as given");
}

static int tcp(int flags)
{
	return socket(AF_INET, SOCK_STREAM | flags, 0);
}

static int udp(int flags)
{
	return socket(AF_INET, SOCK_DGRAM | flags, 0);
}

static int call(int fd, const struct sockaddr_in *to)
{
	return connect(fd, (const struct sockaddr *)to, sizeof(*to));
}

static int so_error(int fd)
{
	int e = -1;
	socklen_t len = sizeof(e);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0 ? -1 : e;
}

static int option(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, name, &v, &len) < 0 ? -1 : v;
}

static void say_names(const char *part, int fd)
{
	struct sockaddr_in a = {0}, b = {0};
	socklen_t alen = sizeof(a), blen = sizeof(b);
	int rc = getsockname(fd, (struct sockaddr *)&a, &alen);

	say_addr(part, "getsockname", rc, &a, false);
	rc = getpeername(fd, (struct sockaddr *)&b, &blen);
	say_addr(part, "getpeername", rc, &b, true);
	printf("%s: lengths %u %u, domain %d type %d protocol %d accepting %d\n", part, alen, blen, option(fd, SO_DOMAIN), option(fd, SO_TYPE),
	       option(fd, SO_PROTOCOL), option(fd, SO_ACCEPTCONN));
}

/* Asks the peer to send back what we say, and is told whether it does. */
static const char *echoes(int fd, bool first)
{
	char buf[16] = {0};
	size_t n = 0;

	if (write(fd, first ? "ehello" : "hello", first ? 6 : 5) < 0)
		return name_of(errno);
	for (ssize_t m; n < 5 && (m = read(fd, buf + n, 5 - n)) > 0;)
		n += (size_t)m;
	return strcmp(buf, "hello") == 0 ? "echo" : "no echo";
}

static const char *events_of(short r)
{
	static char text[32];

	snprintf(text, sizeof(text), "%s%s%s%s%s", r & POLLIN ? "I" : "", r & POLLOUT ? "O" : "", r & POLLERR ? "E" : "", r & POLLHUP ? "H" : "",
		 r & POLLRDHUP ? "R" : "");
	return text;
}

static short wait_for(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

static int blocking(int fd)
{
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

/* ---- calls */

static void waiting_calls(void)
{
	struct timeval limit = {.tv_usec = 300000};
	char c;
	int fd = tcp(SOCK_CLOEXEC);

	errno = 77;
	say("blocking", "connect", call(fd, &peer));
	printf("blocking: errno untouched: %s, close-on-exec: %d, flags: %d\n", errno == 77 ? "yes" : "no", fcntl(fd, F_GETFD),
	       fcntl(fd, F_GETFL) & O_NONBLOCK);
	say_names("blocking", fd);
	say("blocking", "connect again", call(fd, &peer));
	printf("blocking: %s\n", echoes(fd, true));
	close(fd);

	fd = tcp(0);
	say("refused", "connect", call(fd, &refused));
	printf("refused: SO_ERROR %s\n", name_of(so_error(fd)));
	say("refused", "read", read(fd, &c, 1));
	say("refused", "getpeername", getpeername(fd, (struct sockaddr *)&(struct sockaddr_in){0}, &(socklen_t){sizeof(peer)}));
	say("refused", "connect elsewhere", call(fd, &peer));
	printf("refused: %s\n", echoes(fd, true));
	close(fd);

	fd = tcp(0);
	say("unreachable", "connect", call(fd, &unreachable));
	close(fd);
	fd = tcp(0);
	say("silent", "connect", call(fd, &silent));
	close(fd);
	fd = tcp(0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	say("limit", "connect", call(fd, &silent));
	say("limit", "and again", call(fd, &silent) < 0 && (errno == EALREADY || errno == EINPROGRESS) ? 1 : 0);
	close(fd);
}

static void impatient_calls(void)
{
	char c;
	int fd = tcp(SOCK_NONBLOCK);

	say("nonblocking", "connect", call(fd, &peer));
	printf("nonblocking: poll %s\n", events_of(wait_for(fd, POLLOUT | POLLIN, 10000)));
	printf("nonblocking: SO_ERROR %s\n", name_of(so_error(fd)));
	say_names("nonblocking", fd);
	say("nonblocking", "read", read(fd, &c, 1));
	say("nonblocking", "connect again", call(fd, &peer));
	say("nonblocking", "and again", call(fd, &peer));
	blocking(fd);
	printf("nonblocking: %s\n", echoes(fd, true));
	close(fd);

	fd = tcp(SOCK_NONBLOCK);
	say("calling", "connect", call(fd, &silent));
	say("calling", "connect again", call(fd, &silent));
	say("calling", "read", read(fd, &c, 1));
	say("calling", "write", write(fd, "x", 1));
	say("calling", "getpeername", getpeername(fd, (struct sockaddr *)&(struct sockaddr_in){0}, &(socklen_t){sizeof(peer)}));
	printf("calling: poll '%s', SO_ERROR %s\n", events_of(wait_for(fd, POLLOUT | POLLIN, 200)), name_of(so_error(fd)));
	close(fd);
}

/* One that is refused, and how the program finds out: by SO_ERROR, reading, writing, or calling again. */
static void refusals(void)
{
	char c;

	for (int how = 0; how < 4; how++) {
		int fd = tcp(SOCK_NONBLOCK);
		char part[16];

		snprintf(part, sizeof(part), "refused-%d", how);
		say(part, "connect", call(fd, &refused));
		printf("%s: poll %s\n", part, events_of(wait_for(fd, POLLOUT, 10000)));
		if (how == 0)
			printf("%s: SO_ERROR %s\n", part, name_of(so_error(fd)));
		else if (how == 1)
			say(part, "read", read(fd, &c, 1));
		else if (how == 2)
			say(part, "write", write(fd, "x", 1));
		else
			say(part, "connect", call(fd, &refused));
		printf("%s: SO_ERROR %s\n", part, name_of(so_error(fd)));
		say(part, "write", send(fd, "x", 1, MSG_NOSIGNAL));
		close(fd);
	}
}

static void by_select(const char *part, const struct sockaddr_in *to)
{
	struct timeval limit = {.tv_sec = 10};
	int fd = tcp(SOCK_NONBLOCK), rc;
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	(void)call(fd, to);
	rc = select(fd + 1, &in, &out, NULL, &limit);
	printf("%s: %d, readable %d, writable %d, SO_ERROR %s\n", part, rc, FD_ISSET(fd, &in) != 0, FD_ISSET(fd, &out) != 0, name_of(so_error(fd)));
	close(fd);
}

static void by_epoll(const char *part, bool before, uint32_t how, const struct sockaddr_in *to)
{
	struct epoll_event e = {.events = EPOLLOUT | how, .data.u64 = 0x123456789abcdefu}, got = {0};
	int fd = tcp(SOCK_NONBLOCK), ep = epoll_create1(0), rc;

	if (before)
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	(void)call(fd, to);
	if (!before)
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	rc = epoll_wait(ep, &got, 1, 10000);
	printf("%s: %d %s data %s SO_ERROR %s\n", part, rc, events_of((short)got.events), got.data.u64 == e.data.u64 ? "same" : "other",
	       name_of(so_error(fd)));
	e.events = EPOLLIN;
	say(part, "modify", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e));
	say(part, "remove", epoll_ctl(ep, EPOLL_CTL_DEL, fd, &e));
	close(ep);
	close(fd);
}

static void on_pipe(int sig)
{
	(void)sig;
	pipes = pipes + 1;
}

static void on_alarm(int sig)
{
	(void)sig;
	alarms = alarms + 1;
}

static void interrupted(void)
{
	struct sigaction a = {.sa_handler = on_alarm};
	struct itimerval soon = {.it_value.tv_usec = 200000};
	int fd = tcp(0);

	sigaction(SIGALRM, &a, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	say("interrupted", "connect", call(fd, &silent));
	close(fd);
}

/* ---- ends */

static void halves(void)
{
	char buf[64] = {0};
	int fd = tcp(0);
	size_t n = 0;

	(void)call(fd, &peer);
	(void)!write(fd, "eour half", 9);
	say("half", "shutdown", shutdown(fd, SHUT_WR));
	for (ssize_t m; n < sizeof(buf) - 1 && (m = read(fd, buf + n, sizeof(buf) - 1 - n)) > 0;)
		n += (size_t)m;
	say("half", buf, read(fd, buf, 1));
	say("half", "write after", send(fd, "x", 1, MSG_NOSIGNAL));
	close(fd);

	fd = tcp(0);
	(void)call(fd, &peer);
	(void)!write(fd, "h", 1);
	memset(buf, 0, sizeof(buf));
	say("their half", "read", recv(fd, buf, 4, MSG_WAITALL));
	say("their half", buf, read(fd, buf, 1));
	printf("their half: poll %s\n", events_of(wait_for(fd, POLLIN | POLLOUT | POLLRDHUP, 1000)));
	say("their half", "write", write(fd, "still here", 10));
	close(fd);
}

static void resets(void)
{
	struct sigaction a = {.sa_handler = on_pipe};
	char buf[8];
	int fd = tcp(0);

	sigaction(SIGPIPE, &a, NULL);
	(void)call(fd, &peer);
	(void)!write(fd, "r", 1);
	(void)wait_for(fd, POLLIN, 10000);
	say("reset", "read", read(fd, buf, 1));
	say("reset", "read again", read(fd, buf, 1));
	say("reset", "write", write(fd, "x", 1));
	printf("reset: SIGPIPE %d, SO_ERROR %s\n", (int)pipes, name_of(so_error(fd)));
	close(fd);

	fd = tcp(0);
	(void)call(fd, &peer);
	(void)!write(fd, "R", 1);
	say("late reset", "read", recv(fd, buf, 5, MSG_WAITALL));
	(void)!write(fd, "x", 1);
	(void)wait_for(fd, POLLIN, 10000);
	printf("late reset: SO_ERROR %s\n", name_of(so_error(fd)));
	say("late reset", "write", send(fd, "x", 1, MSG_NOSIGNAL));
	say("late reset", "read", read(fd, buf, 1));
	close(fd);
}

/* How the peer has seen the end of the connection that it watches. */
static void say_end(const char *what)
{
	char buf[16] = {0};
	int fd = tcp(0);

	(void)call(fd, &peer);
	(void)!write(fd, "q", 1);
	(void)recv(fd, buf, sizeof(buf) - 1, MSG_WAITALL);
	printf("abort: %s: the peer sees %s\n", what, buf);
	close(fd);
}

static void set_linger(int fd, int on, int seconds)
{
	struct linger l = {.l_onoff = on, .l_linger = seconds};

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) < 0)
		say("abort", "SO_LINGER", -1);
}

static int watched_by(const char *order)
{
	int fd = tcp(0);

	(void)call(fd, &peer);
	(void)!write(fd, order, strlen(order));
	return fd;
}

static int watched(void)
{
	return watched_by("lsome octets");
}

/* SO_LINGER of 0 s: closing is a reset. */
static void aborts(void)
{
	struct linger l = {0};
	socklen_t len = sizeof(l);
	int fd = watched();

	close(fd);
	say_end("a good end");
	fd = watched();
	set_linger(fd, 1, 0);
	printf("abort: SO_LINGER %d %d %d\n", getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len), l.l_onoff, l.l_linger);
	close(fd);
	say_end("set after the call");
	fd = tcp(0);
	set_linger(fd, 1, 0);
	(void)call(fd, &peer);
	len = sizeof(l);
	printf("abort: SO_LINGER %d %d %d\n", getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len), l.l_onoff, l.l_linger);
	(void)!write(fd, "l", 1);
	close(fd);
	say_end("set before the call");
	fd = watched();
	set_linger(fd, 1, 5);
	close(fd);
	say_end("5 seconds");
	fd = watched();
	set_linger(fd, 1, 0);
	set_linger(fd, 0, 0);
	close(fd);
	say_end("unset again");
	fd = watched();
	set_linger(fd, 1, 0);
	shutdown(fd, SHUT_WR);
	say_end("shut down first");
	close(fd);
	fd = watched_by("Lsome octets");
	shutdown(fd, SHUT_WR);
	close(fd);
	say_end("shut down and closed");
	fd = watched_by("Lsome octets");
	set_linger(fd, 1, 0);
	shutdown(fd, SHUT_WR);
	close(fd);
	say_end("shut down and closed, 0 seconds");
	fd = watched();
	set_linger(fd, 1, 0);
	shutdown(fd, SHUT_RDWR);
	say_end("shut down both ways");
	close(fd);
}

/* The last one who has the socket decides, and need not close it. */
static void inherited_aborts(void)
{
	int fd = watched(), status;
	char buf[8];
	pid_t pid;

	set_linger(fd, 1, 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	(void)!write(fd, "more", 4);
	pid = fork();
	if (pid == 0) {
		struct timespec moment = {.tv_nsec = 100000000};

		nanosleep(&moment, NULL);
		_exit(0);
	}
	close(fd);
	waitpid(pid, &status, 0);
	say_end("the last one exits");

	fd = tcp(0);
	(void)call(fd, &peer);
	(void)!write(fd, "u", 1);
	(void)recv(fd, buf, 6, MSG_WAITALL | MSG_PEEK);
	close(fd);
	say_end("something unread");
}

static void *blocked_read(void *arg)
{
	char c;

	say("woken", "read", read(*(int *)arg, &c, 1));
	return NULL;
}

static void *blocked_accept(void *arg)
{
	say("woken", "accept", accept(*(int *)arg, NULL, NULL));
	return NULL;
}

/* shutdown wakes who waits in another thread. */
static void woken(void)
{
	struct timespec moment = {.tv_nsec = 200000000}; /* so that it does wait, as far as anybody can know */
	pthread_t thread;
	int fd = tcp(0);

	(void)call(fd, &peer);
	(void)!write(fd, "e", 1);
	pthread_create(&thread, NULL, blocked_read, &fd);
	nanosleep(&moment, NULL);
	shutdown(fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(fd);
	fd = tcp(0);
	listen(fd, 5);
	pthread_create(&thread, NULL, blocked_accept, &fd);
	nanosleep(&moment, NULL);
	shutdown(fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(fd);
}

/* ---- being called */

static uint16_t port_of(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &len) < 0 ? 0 : ntohs(a.sin_port);
}

static int ask_to_be_called(int port)
{
	char text[16];
	int fd = tcp(0);

	(void)call(fd, &peer);
	(void)!write(fd, text, (size_t)snprintf(text, sizeof(text), "c%d\n", port));
	return fd;
}

static void answer(const char *part, int fd, int control)
{
	char buf[16] = {0};

	say(part, "read", recv(fd, buf, 6, MSG_WAITALL));
	say(part, buf, read(fd, buf, 1));
	say(part, "answer", write(fd, "hello yourself", 14));
	close(fd);
	memset(buf, 0, sizeof(buf));
	say(part, "the peer's word", recv(control, buf, 4, MSG_WAITALL));
	printf("%s: %s\n", part, buf);
	close(control);
}

static void called(const char *part, bool at_own, int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}, from = {0};
	socklen_t len = sizeof(from);
	int fd = tcp(0), other = tcp(0), got, control, on = 1, rc;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at_own)
		at.sin_addr = own.sin_addr;
	say(part, "bind", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	say(part, "listen", listen(fd, 5));
	printf("%s: accepting %d, port %s\n", part, option(fd, SO_ACCEPTCONN),
	       port == 0 ? (port_of(fd) != 0 ? "any" : "none") : port_of(fd) == port ? "as given" : "another");
	at.sin_port = htons(port_of(fd));
	rc = bind(other, (struct sockaddr *)&at, sizeof(at));
	say(part, "the same port again", rc < 0 ? rc : listen(other, 5));
	close(other);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	say(part, "accept", accept(fd, NULL, NULL));
	control = ask_to_be_called(ntohs(at.sin_port));
	printf("%s: poll %s\n", part, events_of(wait_for(fd, POLLIN, 10000)));
	got = accept4(fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | (port == 0 ? SOCK_NONBLOCK : 0));
	say_addr(part, "accept4", got, &from, false);
	printf("%s: length %u, close-on-exec %d, nonblocking %d\n", part, len, fcntl(got, F_GETFD), (fcntl(got, F_GETFL) & O_NONBLOCK) != 0);
	blocking(got);
	rc = port_of(got) == ntohs(at.sin_port);
	printf("%s: its own port is the listener's: %s\n", part, rc ? "yes" : "no");
	answer(part, got, control);
	close(fd);
}

/* Of the listener the connection has it, too. */
static void called_and_aborted(void)
{
	char text[16], buf[8];
	int fd = tcp(0), got, control = tcp(0);

	set_linger(fd, 1, 0);
	listen(fd, 5);
	(void)call(control, &peer);
	(void)!write(control, text, (size_t)snprintf(text, sizeof(text), "C%d\n", port_of(fd)));
	got = accept(fd, NULL, NULL);
	(void)recv(got, buf, 6, MSG_WAITALL);
	close(got);
	say_end("called");
	close(control);
	close(fd);
}

/* ---- fork, exec, threads */

static int run_self(const char *mode, int fd)
{
	char number[16];
	pid_t pid;
	int status = -1;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		snprintf(number, sizeof(number), "%d", fd);
		execl("/proc/self/exe", self[0], mode, number, self[1], self[2], self[3], (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void families(void)
{
	int fd = tcp(0), listener = tcp(0), d = udp(0), control, status;
	pid_t pid;

	(void)call(fd, &peer);
	printf("fork: %s\n", echoes(fd, true));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		printf("fork: the child has an %s\n", echoes(fd, false));
		say_names("fork", fd);
		exit(0);
	}
	waitpid(pid, &status, 0);
	printf("fork: the parent has an %s\n", echoes(fd, false));
	printf("exec: %d\n", run_self("tcp", fd));
	printf("fork: and still an %s\n", echoes(fd, false));
	close(fd);
	listen(listener, 5);
	control = ask_to_be_called(port_of(listener));
	printf("exec: %d\n", run_self("listen", listener));
	close(listener);
	close(control);
	(void)call(d, &peer);
	printf("exec: %d\n", run_self("udp", d));
	close(d);
}

static int inherited(const char *mode, int fd)
{
	char buf[16] = {0};

	if (strcmp(mode, "tcp") == 0) {
		say_names("exec tcp", fd);
		printf("exec tcp: %s\n", echoes(fd, false));
	} else if (strcmp(mode, "listen") == 0) {
		int got = accept(fd, NULL, NULL);

		printf("exec listen: accepting %d, type %d\n", option(fd, SO_ACCEPTCONN), option(fd, SO_TYPE));
		say("exec listen", "read", recv(got, buf, 6, MSG_WAITALL));
		printf("exec listen: %s\n", buf);
	} else {
		say_names("exec udp", fd);
		say("exec udp", "write", write(fd, "datagram", 8));
		say("exec udp", "read", read(fd, buf, sizeof(buf)));
	}
	return 0;
}

static void *many_calls(void *arg)
{
	long bad = 0;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		int fd = tcp(0);

		bad += call(fd, &peer) < 0 || strcmp(echoes(fd, true), "echo") != 0;
		close(fd);
	}
	return (void *)bad;
}

static void threads(void)
{
	pthread_t t[8];
	long bad = 0;

	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, many_calls, NULL);
	for (int i = 0; i < 8; i++) {
		void *one;

		pthread_join(t[i], &one);
		bad += (long)one;
	}
	printf("threads: %ld of 160 calls failed\n", bad);
}

/* ---- datagrams */

static void boundaries(void)
{
	static const size_t sizes[] = {0, 1, 100, 1400, 0, 1200};
	static char out[70000], in[70000];
	struct sockaddr_in from = {0};
	socklen_t len = sizeof(from);
	int fd = udp(0), next = -1;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(out, (int)('a' + i), sizes[i]);
		say("udp", "sendto", sendto(fd, out, sizes[i], 0, (struct sockaddr *)&peer, sizeof(peer)));
		if (wait_for(fd, POLLIN, 10000) == 0)
			printf("udp: lost\n");
		ioctl(fd, FIONREAD, &next);
		printf("udp: FIONREAD %d\n", next);
		say("udp", "peek", recv(fd, in, 50, MSG_PEEK));
		say("udp", "peek for the length", recv(fd, in, 50, MSG_PEEK | MSG_TRUNC));
		len = sizeof(from);
		say("udp", "recvfrom", recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&from, &len));
		say_addr("udp", "from", 0, &from, from.sin_port == peer.sin_port);
		printf("udp: %s, length %u\n", memcmp(in, out, sizes[i]) == 0 ? "unchanged" : "changed", len);
	}
	say("udp", "nothing more", recv(fd, in, 1, MSG_DONTWAIT));
	say("udp", "too long", sendto(fd, out, 65508, 0, (struct sockaddr *)&peer, sizeof(peer)));
	say("udp", "to nobody", send(fd, out, 1, 0));
	say("udp", "getpeername", getpeername(fd, (struct sockaddr *)&from, &len));
	close(fd);
}

static void connected(void)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	char buf[64] = {0};
	int fd = udp(0), copy;

	say("connected", "connect", call(fd, &peer));
	say_names("connected", fd);
	say("connected", "send", send(fd, "one", 3, 0));
	say("connected", "read", read(fd, buf, sizeof(buf)));
	say("connected", "write", write(fd, "stranger?", 9));
	say("connected", "only the peer's", recv(fd, buf, sizeof(buf), 0));
	say("connected", "no stranger's", wait_for(fd, POLLIN, 100) != 0 ? recv(fd, buf, sizeof(buf), MSG_DONTWAIT) : (errno = EAGAIN, -1));
	copy = dup(fd);
	say("connected", "write by a copy", write(copy, "two", 3));
	say("connected", "readv", readv(fd, (struct iovec[]){{buf, 1}, {buf + 1, 10}}, 2));
	say("connected", "writev", writev(copy, (struct iovec[]){{"th", 2}, {"ree", 3}}, 2));
	say("connected", "read", read(copy, buf, sizeof(buf)));
	close(copy);
	say("connected", "connect to nobody", connect(fd, &nobody, sizeof(nobody)));
	say("connected", "send", send(fd, "x", 1, 0));
	close(fd);
}

/* select(2) tells of it as of something to read and of room to write. */
static void undelivered_by_select(int fd)
{
	struct timeval limit = {.tv_sec = 10};
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	printf("undelivered: select %d", select(fd + 1, &in, NULL, NULL, &limit));
	FD_SET(fd, &out);
	printf(" %d", select(fd + 1, &in, &out, NULL, &limit));
	printf(", readable %d, writable %d\n", FD_ISSET(fd, &in) != 0, FD_ISSET(fd, &out) != 0);
}

/* Nobody listens there, and the peer's host says so: a connected socket is told, once each time. */
static void undelivered(void)
{
	char buf[8];
	int fd = udp(0);

	(void)call(fd, &refused);
	say("undelivered", "send", send(fd, "one", 3, 0));
	printf("undelivered: told %d\n", wait_for(fd, POLLIN, 10000) != 0);
	say("undelivered", "read", read(fd, buf, sizeof(buf)));
	say("undelivered", "once", recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	say("undelivered", "send", send(fd, "two", 3, 0));
	printf("undelivered: told %d\n", wait_for(fd, POLLIN, 10000) != 0);
	say("undelivered", "send", send(fd, "three", 5, 0));
	say("undelivered", "and again", send(fd, "four", 4, 0));
	undelivered_by_select(fd);
	printf("undelivered: SO_ERROR %s\n", name_of(so_error(fd)));
	printf("undelivered: SO_ERROR %s\n", name_of(so_error(fd)));
	(void)call(fd, &peer);
	say("undelivered", "elsewhere", send(fd, "five", 4, 0));
	say("undelivered", "is answered", recv(fd, buf, sizeof(buf), 0));
	close(fd);

	/* One that is not connected sends to many, and is not told. */
	fd = udp(0);
	say("undelivered", "sendto", sendto(fd, "six", 3, 0, (struct sockaddr *)&refused, sizeof(refused)));
	printf("undelivered: told %d\n", wait_for(fd, POLLIN, 300) != 0);
	say("undelivered", "sendto elsewhere", sendto(fd, "seven", 5, 0, (struct sockaddr *)&peer, sizeof(peer)));
	say("undelivered", "is answered", recv(fd, buf, sizeof(buf), 0));
	close(fd);
}

static void messages(void)
{
	char a[8] = {0}, b[8] = {0};
	struct iovec out[2] = {{"one", 3}, {"three", 5}}, in[2] = {{a, sizeof(a)}, {b, 2}};
	struct mmsghdr tell[2] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1, .msg_name = &peer, .msg_namelen = sizeof(peer)}},
				  {.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1, .msg_name = &peer, .msg_namelen = sizeof(peer)}}};
	struct sockaddr_in from[2];
	struct mmsghdr hear[2] = {{.msg_hdr = {.msg_iov = &in[0], .msg_iovlen = 1, .msg_name = &from[0], .msg_namelen = sizeof(from[0])}},
				  {.msg_hdr = {.msg_iov = &in[1], .msg_iovlen = 1, .msg_name = &from[1], .msg_namelen = sizeof(from[1])}}};
	int fd = udp(0);

	say("messages", "sendmmsg", sendmmsg(fd, tell, 2, 0));
	say("messages", "recvmmsg", recvmmsg(fd, hear, 2, 0, NULL));
	printf("messages: %s %u %d, %.2s %u %d\n", a, hear[0].msg_len, hear[0].msg_hdr.msg_flags, b, hear[1].msg_len,
	       (hear[1].msg_hdr.msg_flags & MSG_TRUNC) != 0);
	say_addr("messages", "from", 0, &from[1], from[1].sin_port == peer.sin_port);
	say("messages", "no more", recvmmsg(fd, hear, 2, MSG_DONTWAIT, NULL));
	close(fd);
}

static void bound_datagrams(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7301)};
	char buf[16];
	int fd = udp(0), other = udp(0);

	say("bound", "bind", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	printf("bound: port %s\n", port_of(fd) == 7301 ? "as given" : "another");
	say("bound", "the same port again", bind(other, (struct sockaddr *)&at, sizeof(at)));
	say("bound", "bind again", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	say("bound", "sendto", sendto(fd, "x", 1, 0, (struct sockaddr *)&peer, sizeof(peer)));
	say("bound", "recv", recv(fd, buf, sizeof(buf), 0));
	close(other);
	close(fd);
}

static void read_addr(const char *addr, const char *port, struct sockaddr_in *ret)
{
	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	if (inet_pton(AF_INET, addr, &ret->sin_addr) != 1)
		exit(2);
}

int main(int argc, char **argv)
{
	self = argv;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 6) { /* by run_self: MODE FD PEER PORT OWN */
		read_addr(argv[3], argv[4], &peer);
		read_addr(argv[5], "0", &own);
		return inherited(argv[1], (int)strtol(argv[2], NULL, 10));
	}
	if (argc != 7)
		return 2;
	read_addr(argv[1], argv[2], &peer);
	read_addr(argv[3], "0", &own);
	read_addr(argv[1], argv[4], &refused);
	read_addr(argv[5], "7", &unreachable);
	read_addr(argv[6], "7", &silent);
	signal(SIGPIPE, on_pipe);
	waiting_calls();
	impatient_calls();
	refusals();
	by_select("select", &peer);
	by_select("select-refused", &refused);
	by_epoll("epoll-before", true, 0, &peer);
	by_epoll("epoll-after", false, 0, &peer);
	by_epoll("epoll-edge", true, EPOLLET, &peer);
	by_epoll("epoll-once", true, EPOLLONESHOT, &peer);
	by_epoll("epoll-refused", true, 0, &refused);
	interrupted();
	halves();
	resets();
	aborts();
	inherited_aborts();
	woken();
	called("called", false, 0);
	called("called at own", true, 7302);
	called_and_aborted();
	families();
	threads();
	boundaries();
	connected();
	undelivered();
	messages();
	bound_datagrams();
	return 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Both ends of what bench-relay measures, an ordinary program with blocking sockets that knows nothing of what is
 *between: calls serve PORT					the peer calls [-s SOCKS:PORT] up|down ADDRESS:PORT
 *SECONDS	bytes over one connection; prints Gbit/s, as the receiver saw them calls [-s SOCKS:PORT] calls
 *ADDRESS:PORT SECONDS N	connects, exchanges one byte and closes, N at a time; prints calls a second -s: by the
 *SOCKS5 server there (RFC 1928). All addresses are IPv4. The first byte of a connection says what it is for. Exit code:
 *0, 1 if something failed, 2 for wrong usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 131072u /* bytes of one write; its first one tells whether it is the last */
#define THREADS_MAX 512u
#define SERVERS 128u
#define STACK_LEN (512u << 10)
#define WARM_UP_NS 500000000u

enum { BYTE = 'b', UP = 'u', DOWN = 'd' };
enum { MORE = 'm', LAST = 'l' };

struct plan {
	struct sockaddr_in to, socks;
	bool by_socks;
	uint64_t begin_ns, end_ns;
};

struct worker {
	const struct plan *plan;
	pthread_t thread;
	uint64_t done, failed;
	int error; /* the first failure's errno */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool write_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool read_all(int fd, uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n == 0)
			errno = ECONNRESET;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* ---------------------------------------------------------------- the peer */

/* Counts until the end of a chunk that says that it is the last, then tells how many. */
static void take(int fd, uint8_t *buf)
{
	uint64_t total = 0;
	bool last = false;

	for (;;) {
		ssize_t n = read(fd, buf, CHUNK);
		size_t first = (size_t)(CHUNK - total % CHUNK) % CHUNK; /* where a chunk begins, if it does */

		if (n <= 0)
			return;
		if (first < (size_t)n)
			last = buf[first] == LAST;
		total += (uint64_t)n;
		if (last && total % CHUNK == 0)
			break;
	}
	(void)write_all(fd, (const uint8_t *)&total, sizeof(total));
}

static void serve_one(int fd, uint8_t *buf)
{
	uint8_t what;
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!read_all(fd, &what, 1))
		return;
	if (what == BYTE) {
		(void)write_all(fd, &what, 1);
	} else if (what == UP) {
		take(fd, buf);
	} else if (what == DOWN) {
		memset(buf, MORE, CHUNK);
		while (write_all(fd, buf, CHUNK))
			;
	}
}

static void *server(void *ctx)
{
	int listener = *(const int *)ctx;
	uint8_t *buf = malloc(CHUNK);

	if (buf == NULL)
		exit(1);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		serve_one(fd, buf);
		close(fd);
	}
	return NULL;
}

static bool start(pthread_t *thread, void *(*fn)(void *), void *ctx)
{
	pthread_attr_t attr;
	bool ok = pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, STACK_LEN) == 0 &&
		  pthread_create(thread, &attr, fn, ctx) == 0;

	(void)pthread_attr_destroy(&attr);
	return ok;
}

static int serve(const char *port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 4096) < 0) {
		perror("calls: cannot listen");
		return 1;
	}
	for (unsigned i = 1; i < SERVERS; i++) {
		pthread_t thread;

		if (!start(&thread, server, &fd))
			return 1;
	}
	(void)server(&fd);
	return 0;
}

/* ---------------------------------------------------------------- the client */

/* CONNECT without authentication. */
static bool ask_socks(int fd, const struct sockaddr_in *to)
{
	uint8_t greeting[] = {5, 1, 0}, request[10] = {5, 1, 0, 1}, answer[10];

	memcpy(request + 4, &to->sin_addr, 4);
	memcpy(request + 8, &to->sin_port, 2);
	if (!write_all(fd, greeting, sizeof(greeting)) || !read_all(fd, answer, 2))
		return false;
	errno = EACCES;
	if (answer[1] != 0 || !write_all(fd, request, sizeof(request)) || !read_all(fd, answer, sizeof(answer)))
		return false;
	errno = ECONNREFUSED;
	return answer[1] == 0;
}

static int call(const struct plan *p, uint8_t what)
{
	const struct sockaddr_in *at = p->by_socks ? &p->socks : &p->to;
	int on = 1, error, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 && (!p->by_socks || ask_socks(fd, &p->to)) &&
	    write_all(fd, &what, 1))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* The peer closes first, so that the port of whoever called it is free again at once. */
static bool one_call(const struct plan *p)
{
	uint8_t answer[2];
	int fd = call(p, BYTE);
	bool ok;

	if (fd < 0)
		return false;
	ok = read_all(fd, answer, 1) && read(fd, answer + 1, 1) == 0;
	close(fd);
	return ok;
}

static void *caller(void *ctx)
{
	struct worker *w = ctx;
	uint64_t now;

	while ((now = now_ns()) < w->plan->end_ns) {
		bool ok = one_call(w->plan), counts = now >= w->plan->begin_ns && now_ns() < w->plan->end_ns;

		if (!ok && w->failed++ == 0)
			w->error = errno;
		else if (ok && counts)
			w->done++;
	}
	return NULL;
}

static int many_calls(struct plan *p, unsigned threads, double seconds)
{
	uint64_t done = 0, failed = 0;
	struct worker *w = calloc(threads, sizeof(*w));
	int error = 0;

	if (w == NULL)
		return 1;
	p->begin_ns = now_ns() + WARM_UP_NS;
	p->end_ns = p->begin_ns + (uint64_t)(seconds * 1e9);
	for (unsigned i = 0; i < threads; i++) {
		w[i].plan = p;
		if (!start(&w[i].thread, caller, &w[i]))
			return 1;
	}
	for (unsigned i = 0; i < threads; i++) {
		(void)pthread_join(w[i].thread, NULL);
		done += w[i].done;
		failed += w[i].failed;
		error = error != 0 ? error : w[i].error;
	}
	free(w);
	if (failed > 0)
		fprintf(stderr, "calls: %llu failed, %llu did not; the first: %s\n", (unsigned long long)failed,
			(unsigned long long)done, strerror(error));
	printf("%.1f\n", (double)done / seconds);
	return failed > 0;
}

/* Returns the bytes that the peer has taken, 0 on failure. */
static uint64_t send_for(int fd, uint8_t *buf, uint64_t end_ns)
{
	uint64_t total = 0;

	memset(buf, MORE, CHUNK);
	while (now_ns() < end_ns)
		if (!write_all(fd, buf, CHUNK))
			return 0;
	buf[0] = LAST;
	return write_all(fd, buf, CHUNK) && read_all(fd, (uint8_t *)&total, sizeof(total)) ? total : 0;
}

static uint64_t receive_for(int fd, uint8_t *buf, uint64_t end_ns)
{
	uint64_t total = 0;

	while (now_ns() < end_ns) {
		ssize_t n = read(fd, buf, CHUNK);

		if (n <= 0)
			return 0;
		total += (uint64_t)n;
	}
	return total;
}

static int bytes(const struct plan *p, bool up, double seconds)
{
	uint8_t *buf = malloc(CHUNK);
	int fd = call(p, up ? UP : DOWN);
	uint64_t total = 0, begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9);

	if (buf == NULL || fd < 0) {
		perror("calls: cannot connect");
		free(buf);
		return 1;
	}
	/* The peer counts from the byte behind the one that told what this is for. */
	total = up ? send_for(fd, buf, end) : receive_for(fd, buf, end);
	if (total == 0)
		perror("calls: the connection broke");
	printf("%.3f\n", (double)total * 8 / (double)(now_ns() - begin));
	close(fd);
	free(buf);
	return total == 0;
}

static bool parse(const char *text, struct sockaddr_in *ret)
{
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN];

	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
	return inet_pton(AF_INET, host, &ret->sin_addr) == 1;
}

static int usage(void)
{
	fprintf(stderr, "usage: calls serve PORT | calls [-s SOCKS:PORT] up|down|calls ADDRESS:PORT SECONDS [N]\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct plan p = {0};
	double seconds;

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc > 3 && strcmp(argv[1], "-s") == 0) {
		p.by_socks = true;
		if (!parse(argv[2], &p.socks))
			return usage();
		argc -= 2;
		argv += 2;
	}
	if (argc < 4 || !parse(argv[2], &p.to) || (seconds = strtod(argv[3], NULL)) <= 0)
		return usage();
	if (argc == 5 && strcmp(argv[1], "calls") == 0) {
		unsigned long n = strtoul(argv[4], NULL, 10);

		return n > 0 && n <= THREADS_MAX ? many_calls(&p, (unsigned)n, seconds) : usage();
	}
	if (argc == 4 && (strcmp(argv[1], "up") == 0 || strcmp(argv[1], "down") == 0))
		return bytes(&p, argv[1][0] == 'u', seconds);
	return usage();
}

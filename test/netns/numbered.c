/* SPDX-License-Identifier: MPL-2.0 */
/*
 * numbered send FROM:PORT TO:PORT RATE: sends numbered UDP datagrams, RATE a second, until SIGTERM; prints how many.
 * numbered receive AT:PORT IDLE: takes them until none has come for IDLE ms; prints how many different ones came, and how many
 * came again. No claim about their order: paths may change.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LEN 64
#define BATCH 64
#define NUMBERS_MAX (64u << 20)
#define BUFFER (64 << 20)

static volatile sig_atomic_t ended;

static void on_term(int signum)
{
	(void)signum;
	ended = 1;
}

static int parse(const char *s, struct sockaddr_in *ret)
{
	const char *colon = strrchr(s, ':');
	char host[32] = "";

	memset(ret, 0, sizeof(*ret));
	if (colon == NULL || (size_t)(colon - s) >= sizeof(host))
		return -1;
	memcpy(host, s, (size_t)(colon - s));
	ret->sin_family = AF_INET;
	ret->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return inet_pton(AF_INET, host, &ret->sin_addr) == 1 ? 0 : -1;
}

static int open_at(const char *s)
{
	struct sockaddr_in at;
	int n = BUFFER, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n, sizeof(n));
	if (fd < 0 || parse(s, &at) < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror(s);
		exit(2);
	}
	return fd;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* What the system does not take is tried again: it must not look as if it were lost on the way. */
static bool send_all(int fd, struct mmsghdr *msgs, unsigned n)
{
	for (unsigned at = 0; at < n;) {
		int rc = sendmmsg(fd, msgs + at, n - at, 0);

		if (rc > 0)
			at += (unsigned)rc;
		else if (errno != EINTR && errno != ENOBUFS)
			return false;
	}
	return true;
}

static int send_numbers(const char *from, const char *to, uint64_t rate)
{
	static uint8_t data[BATCH][LEN];
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iovs[BATCH];
	uint64_t start = now_ns(), sent = 0;
	struct sockaddr_in dst;
	int fd = open_at(from);

	if (parse(to, &dst) < 0 || connect(fd, (struct sockaddr *)&dst, sizeof(dst)) < 0)
		return 2;
	while (!ended && sent < NUMBERS_MAX) {
		uint64_t due = (now_ns() - start) * rate / 1000000000;
		unsigned n = 0;

		for (; n < BATCH && sent + n < due; n++) {
			uint64_t number = sent + n;

			memcpy(data[n], &number, sizeof(number));
			iovs[n] = (struct iovec){data[n], LEN};
			msgs[n].msg_hdr = (struct msghdr){.msg_iov = &iovs[n], .msg_iovlen = 1};
		}
		if (n == 0)
			(void)usleep(200);
		if (!send_all(fd, msgs, n)) {
			perror("send");
			return 1;
		}
		sent += n;
	}
	printf("%llu\n", (unsigned long long)sent);
	return 0;
}

static int receive_numbers(const char *at, int idle)
{
	static uint8_t data[BATCH][LEN];
	uint8_t *seen = calloc(NUMBERS_MAX / 8, 1);
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iovs[BATCH];
	struct pollfd p = {.fd = open_at(at), .events = POLLIN};
	uint64_t count = 0, again = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){data[i], LEN};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iovs[i], .msg_iovlen = 1};
	}
	while (seen != NULL && poll(&p, 1, count == 0 ? -1 : idle) > 0) {
		int n = recvmmsg(p.fd, msgs, BATCH, MSG_DONTWAIT, NULL);

		for (int i = 0; i < n; i++) {
			uint64_t number;

			memcpy(&number, data[i], sizeof(number));
			if (number >= NUMBERS_MAX)
				continue;
			if ((seen[number / 8] >> (number % 8) & 1) != 0)
				again++;
			else
				count++;
			seen[number / 8] |= (uint8_t)(1u << (number % 8));
		}
	}
	printf("%llu %llu\n", (unsigned long long)count, (unsigned long long)again);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_term};

	(void)sigaction(SIGTERM, &sa, NULL);
	if (argc == 5 && strcmp(argv[1], "send") == 0)
		return send_numbers(argv[2], argv[3], strtoull(argv[4], NULL, 10));
	if (argc == 4 && strcmp(argv[1], "receive") == 0)
		return receive_numbers(argv[2], (int)strtol(argv[3], NULL, 10));
	fprintf(stderr, "usage: numbered send FROM:PORT TO:PORT RATE | numbered receive AT:PORT IDLE\n");
	return 2;
}

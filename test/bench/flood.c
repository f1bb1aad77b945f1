/* SPDX-License-Identifier: MPL-2.0 */
/*
 * flood TO SECONDS GRANT [RATE]: sends well-formed forged HELLO and CONFIRM messages, RATE a second or as many as it can, and
 * prints how many a second it made.
 * They carry GRANT's claims and a wrong secret, so the gateway has to do all of its arithmetic to refuse each; nonces, bind
 * numbers and source ports differ from one to the next.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hex.h"
#include "test/sim/peer.h"

#define BATCH 64
#define SOCKETS 16

struct flood {
	uint8_t data[BATCH][PA_CTL_MAX];
	struct iovec iovs[BATCH];
	struct mmsghdr msgs[BATCH];
	int fds[SOCKETS];
	struct sockaddr_in to;
};

static int take_arguments(struct flood *f, char **a, struct pa_grant *ret)
{
	uint8_t buf[PA_GRANT_MAX];
	struct pa_endpoint e;
	int n = pa_hex_decode(a[2], buf, sizeof(buf));

	if (pa_endpoint_parse(a[0], PA_GUE_PORT, &e) < 0 || n < 0 || pa_grant_decode(buf, (size_t)n, ret) < 0)
		return -1;
	f->to.sin_family = AF_INET;
	f->to.sin_port = htons(e.port);
	f->to.sin_addr.s_addr = htonl(pa_addr_to_ipv4(&e.addr));
	return 0;
}

/* Half HELLO, half CONFIRM. The fingerprint is taken out, or the gateway would refuse the key before it looks at the MAC. */
static void fill(struct flood *f, struct pa_grant *g)
{
	struct peer p;

	memset(g->claims.fingerprint, 0, sizeof(g->claims.fingerprint));
	for (unsigned i = 0; i < BATCH; i++) {
		pa_random(g->secret, sizeof(g->secret));
		peer_init(&p, g, i % 16, i);
		pa_random(p.nonce, sizeof(p.nonce));
		f->iovs[i].iov_base = f->data[i];
		f->iovs[i].iov_len = i % 2 == 0 ? peer_hello(&p, f->data[i]) : peer_confirm(&p, f->data[i]);
		f->msgs[i].msg_hdr.msg_iov = &f->iovs[i];
		f->msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

/* rate 0: no limit */
static uint64_t run(struct flood *f, uint64_t ms, uint64_t rate)
{
	const struct timespec pause = {0, 200000};
	uint64_t start = pa_now_get().boot_ms, now, sent = 0;

	for (unsigned i = 0; (now = pa_now_get().boot_ms) < start + ms; i++) {
		int n;

		if (rate > 0 && sent > (now - start + 1) * rate / 1000) {
			(void)nanosleep(&pause, NULL);
			continue;
		}
		n = sendmmsg(f->fds[i % SOCKETS], f->msgs, BATCH, 0);
		if (n > 0)
			sent += (unsigned)n;
	}
	return sent;
}

int main(int argc, char **argv)
{
	static struct flood f;
	struct pa_grant g;
	uint64_t ms, sent;

	if (argc < 4 || argc > 5 || pa_cred_init() < 0 || take_arguments(&f, argv + 1, &g) < 0) {
		fprintf(stderr, "usage: flood ADDRESS:PORT SECONDS GRANT [RATE]\n");
		return 2;
	}
	for (unsigned i = 0; i < SOCKETS; i++) {
		f.fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
		if (f.fds[i] < 0 || connect(f.fds[i], (struct sockaddr *)&f.to, sizeof(f.to)) < 0) {
			perror("flood");
			return 1;
		}
	}
	fill(&f, &g);
	ms = strtoul(argv[2], NULL, 10) * 1000;
	sent = run(&f, ms, argc == 5 ? strtoul(argv[4], NULL, 10) : 0);
	printf("%llu\n", ms > 0 ? (unsigned long long)(sent * 1000 / ms) : 0);
	return 0;
}

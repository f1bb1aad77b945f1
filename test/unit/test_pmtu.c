/* SPDX-License-Identifier: MPL-2.0 */
/* The search for the path's MTU (RFC 8899) on simulated paths, and what TCP announces. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/proto.h"
#include "tunnel/dp_csum.h"
#include "tunnel/mss.h"
#include "tunnel/pmtu.h"

TestSuite(pmtu, .timeout = 20);
TestSuite(mss, .timeout = 20);

#define DELAY_MS 40
#define MAX 1472

/* A path that carries packets of up to mtu, loses some of them, and takes its time. */
struct path {
	struct pa_pmtu m;
	struct pa_now now;
	uint16_t mtu; /* 0: it carries nothing */
	uint32_t loss, dice; /* percent */
	uint64_t octets, octets_each_ms;
	unsigned sent, largest_burst;
	uint16_t in_flight[256];
	uint64_t arrives[256];
	unsigned n;
};

static void advance(struct path *p, uint64_t to_ms)
{
	p->octets += (to_ms - p->now.boot_ms) * p->octets_each_ms;
	p->now.boot_ms = to_ms;
	pa_pmtu_carried(&p->m, p->octets);
}

static void send_all(struct path *p, uint64_t *next)
{
	uint16_t sizes[PA_MTU_ROUND];
	unsigned n;

	while ((n = pa_pmtu_due(&p->m, p->now, DELAY_MS * 1000, sizes, next)) > 0) {
		if (n > p->largest_burst)
			p->largest_burst = n;
		for (unsigned i = 0; i < n; i++) {
			cr_assert(sizes[i] >= PA_MTU_MIN && sizes[i] <= p->m.max, "%u", sizes[i]);
			p->sent++;
			p->dice = p->dice * 1664525u + 1013904223u; /* Numerical Recipes */
			if (sizes[i] > p->mtu || (p->dice >> 16) % 100 < p->loss)
				continue;
			cr_assert_lt(p->n, 256);
			p->in_flight[p->n] = sizes[i];
			p->arrives[p->n++] = p->now.boot_ms + DELAY_MS;
		}
	}
}

static uint64_t first_arrival(const struct path *p)
{
	return p->n > 0 ? p->arrives[0] : UINT64_MAX;
}

/* Lets time go on for ms. */
static void run(struct path *p, uint64_t ms)
{
	uint64_t end = p->now.boot_ms + ms, next;

	for (;;) {
		send_all(p, &next);
		if (first_arrival(p) < next)
			next = first_arrival(p);
		if (next > end)
			break;
		cr_assert(next > p->now.boot_ms || p->n > 0, "the time goes on");
		advance(p, next);
		while (p->n > 0 && p->arrives[0] <= p->now.boot_ms) {
			uint16_t size = p->in_flight[0];

			p->n--;
			memmove(p->in_flight, p->in_flight + 1, p->n * sizeof(p->in_flight[0]));
			memmove(p->arrives, p->arrives + 1, p->n * sizeof(p->arrives[0]));
			pa_pmtu_passed(&p->m, p->now, size);
		}
	}
	advance(p, end);
}

/* Until the size in force is that, at most limit; how long it took. */
static uint64_t run_until(struct path *p, uint16_t mtu, uint64_t limit)
{
	uint64_t start = p->now.boot_ms;

	while (p->m.mtu != mtu && p->now.boot_ms < start + limit)
		run(p, 10);
	return p->now.boot_ms - start;
}

static struct path begin(uint16_t mtu, uint16_t max)
{
	struct path p;

	memset(&p, 0, sizeof(p));
	p.now.boot_ms = 1000000;
	p.mtu = mtu;
	pa_pmtu_start(&p.m, p.now, 0, max);
	return p;
}

Test(pmtu, a_wide_path_takes_one_round_trip)
{
	struct path p = begin(MAX, MAX);

	cr_assert_eq(p.m.mtu, PA_MTU_MIN);
	run(&p, DELAY_MS);
	cr_expect_eq(p.m.mtu, MAX);
	cr_expect_eq(p.m.state, PA_PMTU_COMPLETE);
	cr_expect_eq(p.sent, 2);
	run(&p, 3600000);
	cr_expect_eq(p.sent, 2, "who carries nothing asks nothing");
}

Test(pmtu, every_size_is_found)
{
	for (uint16_t mtu = PA_MTU_MIN; mtu <= MAX; mtu++) {
		struct path p = begin(mtu, MAX);

		run(&p, 10000);
		cr_expect_eq(p.m.mtu, mtu, "%u, not %u", p.m.mtu, mtu);
		cr_expect_eq(p.m.state, PA_PMTU_COMPLETE);
		cr_expect_leq(p.largest_burst, PA_MTU_ROUND);
	}
	for (uint16_t mtu = PA_MTU_MIN; mtu <= 8900; mtu = (uint16_t)(mtu + 97)) {
		struct path p = begin(mtu, 8972);

		run(&p, 12000);
		cr_expect_eq(p.m.mtu, mtu, "%u, not %u", p.m.mtu, mtu);
	}
}

Test(pmtu, never_more_than_what_passed)
{
	unsigned good = 0, all = 0;

	for (unsigned seed = 1; seed < 30; seed++) {
		struct path p = begin(1400, MAX);

		p.loss = 20;
		p.dice = seed;
		p.octets_each_ms = 100;
		for (unsigned i = 0; i < 600; i++, all++) {
			run(&p, 100);
			cr_assert_leq(p.m.mtu, 1400);
			good += p.m.mtu >= 1390;
		}
	}
	cr_expect_geq(good, all * 8 / 10, "a fifth of the probes lost costs little: %u of %u", good, all);
}

Test(pmtu, too_narrow_is_an_error_that_heals)
{
	struct path p = begin(PA_MTU_MIN - 1, MAX);

	run(&p, 5000);
	cr_expect_eq(p.m.state, PA_PMTU_ERROR);
	cr_expect_eq(p.m.mtu, PA_MTU_MIN);
	p.mtu = 1450;
	cr_expect_leq(run_until(&p, 1450, 60000), 20000);
	cr_expect_eq(p.m.black_holes, 0);
}

Test(pmtu, a_black_hole_is_left_within_seconds)
{
	struct path p = begin(MAX, MAX);
	uint64_t took;

	p.octets_each_ms = 10;
	run(&p, 60000);
	cr_assert_eq(p.m.mtu, MAX);
	p.mtu = 1372;
	took = run_until(&p, PA_MTU_MIN, 60000);
	cr_expect_leq(took, PA_PMTU_CONFIRM_MS + PA_PMTU_TRIES * PA_PMTU_TRY_MS + 100, "%llu ms", (unsigned long long)took);
	cr_expect_eq(p.m.black_holes, 1);
	cr_expect_leq(run_until(&p, 1372, 60000), 5000);
	p.mtu = 1300;
	run(&p, 15000);
	cr_expect_eq(p.m.mtu, 1300);
	cr_expect_eq(p.m.black_holes, 2);
}

Test(pmtu, silence_is_no_black_hole)
{
	struct path p = begin(MAX, MAX);

	p.octets_each_ms = 10;
	run(&p, 10000);
	p.mtu = 0;
	run(&p, 600000);
	cr_expect_eq(p.m.mtu, MAX, "size is not the reason");
	cr_expect_eq(p.m.black_holes, 0);
	p.mtu = 1372;
	run(&p, 15000);
	cr_expect_eq(p.m.mtu, 1372);
}

Test(pmtu, grows_again)
{
	struct path p = begin(1372, MAX);
	unsigned sent;

	p.octets_each_ms = 10;
	run(&p, 10000);
	cr_assert_eq(p.m.mtu, 1372);
	p.mtu = MAX;
	cr_expect_leq(run_until(&p, MAX, 60000), 2 * PA_PMTU_RAISE_MS);
	p = begin(1372, MAX);
	p.octets_each_ms = 10;
	run(&p, 3600000);
	sent = p.sent;
	p.mtu = 1464;
	cr_expect_leq(run_until(&p, 1464, 3600000), PA_PMTU_RAISE_MAX_MS + 10000, "at the latest after ten minutes");
	cr_expect_leq(sent, 3600 / 3 + 150, "%u probes in an hour", sent);
}

Test(pmtu, known_sizes_stay_until_they_fail)
{
	struct path p = begin(1450, MAX);

	pa_pmtu_start(&p.m, p.now, 1450, MAX);
	cr_expect_eq(p.m.mtu, 1450);
	run(&p, 5000);
	cr_expect_eq(p.m.mtu, 1450);
	cr_expect_eq(p.sent, 1);
	p.mtu = 1300;
	pa_pmtu_suspect(&p.m, p.now);
	run(&p, 10000);
	cr_expect_eq(p.m.mtu, 1300, "%u", p.m.mtu);
	pa_pmtu_start(&p.m, p.now, 9000, MAX);
	cr_expect_eq(p.m.mtu, MAX);
}

Test(pmtu, limits_may_change)
{
	struct path p = begin(MAX, 1400);

	run(&p, 1000);
	cr_assert_eq(p.m.mtu, 1400);
	pa_pmtu_limit(&p.m, p.now, 1350);
	cr_expect_eq(p.m.mtu, 1350, "at once");
	pa_pmtu_limit(&p.m, p.now, MAX);
	run(&p, 1000);
	cr_expect_eq(p.m.mtu, MAX);
	pa_pmtu_limit(&p.m, p.now, PA_MTU_MIN - 1);
	cr_expect_eq(p.m.max, MAX, "never below the least");
	pa_pmtu_stop(&p.m);
	cr_expect_eq(p.m.state, PA_PMTU_DISABLED);
	cr_expect_str_eq(pa_pmtu_state_name(PA_PMTU_SEARCHING), "searching");
}

Test(pmtu, answers_that_nobody_asked_for_mean_nothing)
{
	struct path p = begin(1300, MAX);

	pa_pmtu_passed(&p.m, p.now, MAX);
	cr_expect_eq(p.m.mtu, PA_MTU_MIN, "not sent yet");
	run(&p, 10000);
	pa_pmtu_passed(&p.m, p.now, MAX);
	pa_pmtu_passed(&p.m, p.now, 1400);
	cr_expect_eq(p.m.mtu, 1300);
}

/* ---- what TCP announces ---- */

#define TCP_AT 20
#define OPTIONS_AT 40

/* A SYN from 203.0.113.7 with these options. Returns its length. */
static size_t make_syn(uint8_t *pkt, const uint8_t *options, size_t n, uint8_t flags)
{
	size_t header = 20 + (n + 3) / 4 * 4, len = 20 + header;
	uint16_t sum;

	memset(pkt, 0, len);
	pkt[0] = 0x45;
	pkt[3] = (uint8_t)len;
	pkt[8] = 64;
	pkt[9] = 6;
	memcpy(pkt + 12, "\xcb\x00\x71\x07\xc0\x00\x02\x0a", 8);
	pkt[TCP_AT + 12] = (uint8_t)(header / 4 << 4);
	pkt[TCP_AT + 13] = flags;
	memcpy(pkt + OPTIONS_AT, options, n);
	sum = (uint16_t)~pa_csum_fold(pa_csum_add(pa_csum_pseudo(pkt, 6, header), pkt + TCP_AT, header));
	memcpy(pkt + TCP_AT + 16, &sum, sizeof(sum));
	return len;
}

static bool sum_is_right(const uint8_t *pkt, size_t len)
{
	return pa_csum_fold(pa_csum_add(pa_csum_pseudo(pkt, 6, len - TCP_AT), pkt + TCP_AT, len - TCP_AT)) == 0xffff;
}

Test(mss, is_lowered_wherever_it_stands)
{
	static const struct {
		uint8_t options[12];
		size_t n, at;
	} cases[] = {
		{{2, 4, 5, 180}, 4, 0},
		{{1, 2, 4, 5, 180, 1, 1, 1}, 8, 1},
		{{1, 1, 2, 4, 5, 180}, 6, 2},
		{{4, 2, 3, 3, 7, 2, 4, 5, 180}, 9, 5},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t pkt[80];
		size_t len = make_syn(pkt, cases[i].options, cases[i].n, 2);
		const uint8_t *option = pkt + OPTIONS_AT + cases[i].at;

		cr_assert(sum_is_right(pkt, len), "%zu", i);
		cr_expect_not(pa_mss_clamp(pkt, len, 1500), "1460 fits");
		cr_expect_not(pa_mss_clamp(pkt, len, 0), "no limit");
		cr_expect(pa_mss_clamp(pkt, len, 1400));
		cr_expect(option[2] == 1360 >> 8 && option[3] == (1360 & 255), "%zu", i);
		cr_expect(sum_is_right(pkt, len), "%zu", i);
		cr_expect_not(pa_mss_clamp(pkt, len, 1400), "once");
	}
}

/* The header is 20 octets longer, so what fits is 20 octets less. An extension header before TCP is left alone. */
Test(mss, is_lowered_over_ipv6)
{
	static const uint8_t option[4] = {2, 4, 5, 160}; /* 1440 */
	uint8_t four[80], pkt[100];
	size_t n = make_syn(four, option, sizeof(option), 2) - TCP_AT, len = 40 + n;
	uint16_t sum;

	memset(pkt, 0, sizeof(pkt));
	pkt[0] = 0x60;
	pkt[5] = (uint8_t)n;
	pkt[6] = 6;
	memcpy(pkt + 8, "\x20\x01\x0d\xb8\0\x7", 6);
	memcpy(pkt + 24, "\x20\x01\x0d\xb8\0\x8", 6);
	memcpy(pkt + 40, four + TCP_AT, n);
	memset(pkt + 40 + 16, 0, 2);
	sum = (uint16_t)~pa_csum_fold(pa_csum_add(pa_csum_pseudo(pkt, 6, n), pkt + 40, n));
	memcpy(pkt + 40 + 16, &sum, sizeof(sum));
	cr_expect_not(pa_mss_clamp(pkt, len, 1500), "1440 fits");
	cr_expect(pa_mss_clamp(pkt, len, 1400));
	cr_expect(pkt[62] == 1340 >> 8 && pkt[63] == (1340 & 255));
	cr_expect_eq(pa_csum_fold(pa_csum_add(pa_csum_pseudo(pkt, 6, n), pkt + 40, n)), 0xffff);
	pkt[6] = 0; /* hop-by-hop options */
	cr_expect_not(pa_mss_clamp(pkt, len, 1300));
}

Test(mss, other_packets_stay_as_they_are)
{
	static const uint8_t good[4] = {2, 4, 5, 180}, none[4] = {1, 1, 1, 1}, endless[4] = {3, 0, 2, 4}, ended[8] = {0, 2, 4, 5, 180};
	uint8_t pkt[80];
	size_t len;

	len = make_syn(pkt, none, 4, 2);
	cr_expect_not(pa_mss_clamp(pkt, len, 1280));
	len = make_syn(pkt, endless, 4, 2);
	cr_expect_not(pa_mss_clamp(pkt, len, 1280));
	len = make_syn(pkt, ended, 8, 2);
	cr_expect_not(pa_mss_clamp(pkt, len, 1280));
	len = make_syn(pkt, good, 4, 0x10);
	cr_expect_not(pa_mss_clamp(pkt, len, 1280), "an acknowledgement");
	len = make_syn(pkt, good, 4, 0x12);
	for (size_t cut = 0; cut < len; cut++)
		cr_expect_not(pa_mss_clamp(pkt, cut, 1280), "%zu", cut);
	pkt[9] = 17;
	cr_expect_not(pa_mss_clamp(pkt, len, 1280), "UDP");
	pkt[9] = 6;
	pkt[7] = 1;
	cr_expect_not(pa_mss_clamp(pkt, len, 1280), "a later fragment");
	pkt[7] = 0;
	cr_expect(pa_mss_clamp(pkt, len, 1280));
}

/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A run is a row of stages. A stage asks questions, all at once, and ends when each is answered, or has failed after some
 * tries; what became of them is judged then, and decides the next stage.
 */
#include "tunnel/probe.h"

#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "common/err.h"
#include "common/msg.h"
#include "tunnel/probe_mtu.h"

#define TRIES 3
#define TRY_MS 500	/* and three round trips at least */
#define TRY_MAX_MS 3000
#define TCP_MS 3000
/*
 * A NAT keeps a flow for longer once it has seen more of it than a question and an answer: Linux after 2 s. The tunnel's
 * flow is such a one, so that is what is measured.
 */
#define WARM_MS 2500
#define LATE_MS 2000 /* a second answer may be late by so much */
#define LIFE_STEPS 8
#define QUESTIONS 8
#define HEADERS_V4 28
#define HEADERS_V6 48

/* Numbers of sockets. */
enum { SOCK_REACH = 0, SOCK_TCP = 4, SOCK_MAPPING = 8, SOCK_FILTER, SOCK_MTU_TO, SOCK_MTU_FROM, SOCK_LIFE };
_Static_assert(SOCK_LIFE + LIFE_STEPS == PA_PROBE_SOCKETS && PA_GATEWAYS_MAX == 4, "each socket has its number");

enum stage { STAGE_NONE, STAGE_REACH, STAGE_FIRST, STAGE_MAPPING, STAGE_CONTROL, STAGE_FILTERING, STAGE_MTU_TO, STAGE_MTU_FROM,
	     STAGE_WARM, STAGE_WARM_PAUSE, STAGE_WARM_AGAIN, STAGE_LIFE };

enum ask { ASK_HINT, ASK_TCP, ASK_PROBE };
enum outcome { WAITING, ANSWERED, FAILED };

struct question {
	enum ask ask;
	enum outcome outcome;
	int error; /* of a failure: what ops or the network said; 0: silence */
	unsigned socket, tries;
	struct pa_endpoint to;
	struct pa_msg m;		 /* ASK_PROBE: what is asked */
	uint8_t session[PA_SESSION_LEN]; /* ASK_HINT: random */
	uint64_t first_ms, sent_us, next_ms;
	bool promised; /* a second answer will come */
	struct pa_msg answer;
};

struct pa_probe {
	struct pa_client *client;
	const struct pa_probe_ops *ops;
	void *ctx;
	enum stage stage;
	uint64_t pause_until_ms, ended_ms; /* boot time; ended 0: no run yet */
	uint64_t echo; /* the first of this stage's */
	struct question questions[QUESTIONS];
	unsigned n;
	struct pa_mtu_search mtu;
	uint16_t link_mtu;
	unsigned life_steps;
	struct pa_endpoint gateway, other; /* of the session; none: it has no other address */
	struct pa_endpoint other_port;	   /* the gateway's address with another port, 0: it has none */
	struct pa_probe_result r;
};

static uint64_t micros(struct pa_now now)
{
	return now.boot_ms * 1000 + now.boot_us;
}

/* ---- questions ---- */

static struct question *ask(struct pa_probe *p, enum ask what, unsigned socket, const struct pa_endpoint *to)
{
	struct question *q = &p->questions[p->n++];

	PA_REQUIRE(p->n <= QUESTIONS);
	memset(q, 0, sizeof(*q));
	q->ask = what;
	q->socket = socket;
	q->to = *to;
	q->m.length = q->m.answer_length = PA_PROBE_MIN;
	return q;
}

/* A KEEPALIVE of a session that does not exist: the gateway says so, to whoever asks. */
static int make_hint(struct pa_probe *p, struct question *q, uint8_t *buf, size_t cap)
{
	struct pa_msg m = {.type = PA_MSG_KEEPALIVE, .seq = 1};
	uint8_t key[PA_KEY_LEN];

	if (q->tries == 0)
		p->ops->random(p->ctx, q->session, sizeof(q->session));
	memcpy(m.session, q->session, sizeof(m.session));
	p->ops->random(p->ctx, key, sizeof(key));
	return pa_msg_encode(&m, key, buf, cap);
}

static uint64_t try_ms(const struct pa_probe *p)
{
	uint64_t ms = 3 * (uint64_t)p->r.rtt_us / 1000;

	return ms < TRY_MS ? TRY_MS : ms > TRY_MAX_MS ? TRY_MAX_MS : ms;
}

static void fail(struct question *q, int error)
{
	q->outcome = FAILED;
	q->error = error;
}

static void send_question(struct pa_probe *p, struct pa_now now, struct question *q)
{
	uint8_t buf[PA_PROBE_MAX];
	int n, rc;

	if (q->ask == ASK_TCP) { /* it was sent by opening the socket */
		q->tries = TRIES;
		q->next_ms = now.boot_ms + TCP_MS;
		return;
	}
	q->m.echo = p->echo + (uint64_t)(q - p->questions);
	n = q->ask == ASK_HINT ? make_hint(p, q, buf, sizeof(buf)) : pa_client_probe(p->client, now, &q->m, buf, sizeof(buf));
	if (n < 0) { /* the session has ended meanwhile */
		fail(q, n);
		return;
	}
	q->tries++;
	q->sent_us = micros(now);
	if (q->tries == 1)
		q->first_ms = now.boot_ms;
	q->next_ms = now.boot_ms + try_ms(p);
	rc = p->ops->send(p->ctx, q->socket, &q->to, buf, (size_t)n);
	if (rc == PA_EDENIED || rc == PA_ETRUNC || rc == PA_ENOTFOUND || rc == PA_EEXIST)
		fail(q, rc);
}

static void open_for(struct pa_probe *p, enum ask what, unsigned socket, enum pa_probe_socket kind, const struct pa_endpoint *to)
{
	struct question *q = ask(p, what, socket, to);
	int rc = p->ops->open(p->ctx, socket, kind, to);

	if (rc < 0)
		fail(q, rc);
}

/* ---- stages: what each asks ---- */

static void begin_reach(struct pa_probe *p)
{
	for (unsigned i = 0; i < p->r.n_gateways; i++) {
		open_for(p, ASK_HINT, SOCK_REACH + i, PA_PROBE_UDP_CONNECTED, &p->r.gateways[i].at);
		open_for(p, ASK_TCP, SOCK_TCP + i, PA_PROBE_TCP, &p->r.gateways[i].at);
	}
}

static void begin_mapping(struct pa_probe *p)
{
	if (p->other_port.port != 0)
		(void)ask(p, ASK_PROBE, SOCK_MAPPING, &p->other_port);
	if (p->other.port != 0)
		(void)ask(p, ASK_PROBE, SOCK_MAPPING, &p->other);
}

/* From a socket that has sent to nobody but the gateway. */
static void begin_filtering(struct pa_probe *p)
{
	if (p->other_port.port != 0)
		ask(p, ASK_PROBE, SOCK_FILTER, &p->gateway)->m.from = PA_PROBE_PORT;
	if (p->other.port != 0)
		ask(p, ASK_PROBE, SOCK_FILTER, &p->gateway)->m.from = PA_PROBE_ADDRESS;
}

static uint16_t payload(const struct pa_probe *p, uint16_t packet)
{
	return (uint16_t)(packet - (pa_addr_is_ipv4(&p->gateway.addr) ? HEADERS_V4 : HEADERS_V6));
}

/* The answers to the second search must have DF, which those of the gateway's other port have. */
static void begin_mtu(struct pa_probe *p)
{
	bool from = p->stage == STAGE_MTU_FROM;
	uint16_t sizes[PA_MTU_ROUND];
	unsigned n = pa_mtu_next(&p->mtu, sizes);

	if (from && p->other_port.port == 0)
		return;
	for (unsigned i = 0; i < n; i++) {
		struct question *q = ask(p, ASK_PROBE, from ? SOCK_MTU_FROM : SOCK_MTU_TO, from ? &p->other_port : &p->gateway);

		q->m.length = payload(p, sizes[i]);
		if (from)
			q->m.answer_length = q->m.length;
	}
}

static uint16_t life_step(const struct pa_probe *p, unsigned i)
{
	return (uint16_t)(p->r.life_limit * (i + 1) / p->life_steps);
}

static void begin_life(struct pa_probe *p)
{
	for (unsigned i = 0; i < p->life_steps; i++) {
		if (p->stage == STAGE_WARM) {
			open_for(p, ASK_PROBE, SOCK_LIFE + i, PA_PROBE_UDP, &p->gateway);
		} else {
			struct question *q = ask(p, ASK_PROBE, SOCK_LIFE + i, &p->gateway);

			if (p->stage == STAGE_LIFE) {
				q->m.length = 2 * PA_PROBE_MIN;
				q->m.delay = life_step(p, i);
			}
		}
	}
}

static void begin(struct pa_probe *p, struct pa_now now, enum stage stage)
{
	p->stage = stage;
	p->n = 0;
	p->echo += QUESTIONS; /* late answers to an earlier stage fit no question */
	switch (stage) {
	case STAGE_REACH:
		begin_reach(p);
		break;
	case STAGE_FIRST:
		open_for(p, ASK_PROBE, SOCK_MAPPING, PA_PROBE_UDP, &p->gateway);
		break;
	case STAGE_MAPPING:
		begin_mapping(p);
		break;
	case STAGE_CONTROL:
		open_for(p, ASK_PROBE, SOCK_FILTER, PA_PROBE_UDP, &p->gateway);
		break;
	case STAGE_FILTERING:
		begin_filtering(p);
		break;
	case STAGE_MTU_TO:
	case STAGE_MTU_FROM:
		begin_mtu(p);
		break;
	case STAGE_WARM:
	case STAGE_WARM_AGAIN:
	case STAGE_LIFE:
		begin_life(p);
		break;
	case STAGE_WARM_PAUSE:
		p->pause_until_ms = now.boot_ms + WARM_MS;
		break;
	case STAGE_NONE:
		break;
	}
	for (unsigned i = 0; i < p->n; i++)
		if (p->questions[i].outcome == WAITING)
			send_question(p, now, &p->questions[i]);
}

/* ---- stages: what follows from the answers ---- */

static enum pa_reach reach_of(const struct question *q)
{
	if (q->outcome == ANSWERED)
		return PA_REACH_ANSWERED;
	switch (q->error) {
	case PA_EEXIST:
		return PA_REACH_REFUSED;
	case PA_EDENIED:
		return PA_REACH_BLOCKED;
	case PA_ENOTFOUND:
		return PA_REACH_NO_ROUTE;
	case 0:
		return PA_REACH_SILENT;
	default:
		return PA_REACH_UNKNOWN;
	}
}

static enum stage end_reach(struct pa_probe *p)
{
	struct pa_client_status s;

	for (unsigned i = 0; i < p->r.n_gateways; i++) {
		p->r.gateways[i].udp = reach_of(&p->questions[2 * i]);
		p->r.gateways[i].tcp = reach_of(&p->questions[2 * i + 1]);
	}
	pa_client_status_get(p->client, &s);
	if (s.state != PA_CLIENT_BOUND || s.binding.relayed)
		return STAGE_NONE; /* of a path by UDP nothing more is known */
	p->gateway = s.binding.gateway;
	return STAGE_FIRST;
}

static enum stage end_first(struct pa_probe *p, struct pa_now now)
{
	const struct question *q = &p->questions[0];
	uint64_t trip_us = micros(now) - q->sent_us;

	if (q->outcome != ANSWERED)
		return STAGE_NONE;
	p->r.probed = true;
	p->r.mapped = q->answer.mapped;
	if (q->answer.seq == q->m.seq) /* else it answers an earlier try */
		p->r.rtt_us = trip_us < UINT32_MAX ? (uint32_t)trip_us : UINT32_MAX;
	p->r.clock_ms = (int64_t)(q->answer.time_ms - now.unix_ms) + (int64_t)(p->r.rtt_us / 2000);
	p->other_port = p->gateway;
	p->other_port.port = q->answer.other_port;
	p->other = q->answer.other;
	if (p->other.port != 0 && pa_addr_eq(&p->other.addr, &p->gateway.addr)) {
		/* A gateway that listens on every address does not know by which one it is called. */
		if (p->other_port.port == 0)
			p->other_port.port = p->other.port;
		p->other.port = 0;
	}
	return STAGE_MAPPING;
}

static enum stage end_mapping(struct pa_probe *p)
{
	struct pa_nat_mapped m = {.first = p->r.mapped};

	for (unsigned i = 0; i < p->n; i++) {
		const struct question *q = &p->questions[i];

		if (q->outcome == ANSWERED)
			*(pa_endpoint_eq(&q->to, &p->other_port) ? &m.port : &m.address) = q->answer.mapped;
	}
	p->r.mapping = pa_nat_mapping(&m);
	return STAGE_CONTROL;
}

/* An answer that did not come counts only when the control, from the same socket, did. */
static enum stage end_filtering(struct pa_probe *p)
{
	struct pa_nat_filter f = {false, false, false, false};

	for (unsigned i = 0; i < p->n; i++) {
		const struct question *q = &p->questions[i];
		bool came = q->outcome == ANSWERED && q->answer.from == q->m.from;
		bool asked = came || (q->outcome == FAILED && q->error == 0);

		if (q->m.from == PA_PROBE_PORT) {
			f.port_asked = asked;
			f.port_came = came;
		} else {
			f.address_asked = asked;
			f.address_came = came;
		}
	}
	p->r.filtering = pa_nat_filtering(&f);
	return STAGE_MTU_TO;
}

static enum stage end_mtu(struct pa_probe *p)
{
	uint16_t sizes[PA_MTU_ROUND];
	bool passed[PA_MTU_ROUND];
	unsigned n = pa_mtu_next(&p->mtu, sizes);
	bool from = p->stage == STAGE_MTU_FROM;

	if (p->n > 0) {
		for (unsigned i = 0; i < n; i++)
			passed[i] = p->questions[i].outcome == ANSWERED;
		pa_mtu_learn(&p->mtu, sizes, passed, n);
		if (pa_mtu_next(&p->mtu, sizes) > 0)
			return p->stage;
		*(from ? &p->r.mtu_from : &p->r.mtu_to) = p->mtu.low;
	}
	pa_mtu_start(&p->mtu, p->link_mtu);
	return !from ? STAGE_MTU_FROM : p->r.life_limit > 0 ? STAGE_WARM : STAGE_NONE;
}

static enum stage end_life(struct pa_probe *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		const struct question *q = &p->questions[i];

		if (q->outcome == ANSWERED && p->r.life_lost == 0)
			p->r.life_kept = q->m.delay;
		if (q->outcome == FAILED && q->promised && p->r.life_lost == 0)
			p->r.life_lost = q->m.delay;
	}
	return STAGE_NONE;
}

static enum stage end(struct pa_probe *p, struct pa_now now)
{
	switch (p->stage) {
	case STAGE_REACH:
		return end_reach(p);
	case STAGE_FIRST:
		return end_first(p, now);
	case STAGE_MAPPING:
		return end_mapping(p);
	case STAGE_CONTROL:
		return p->questions[0].outcome == ANSWERED ? STAGE_FILTERING : STAGE_MTU_TO;
	case STAGE_FILTERING:
		return end_filtering(p);
	case STAGE_MTU_TO:
	case STAGE_MTU_FROM:
		return end_mtu(p);
	case STAGE_WARM:
		return STAGE_WARM_PAUSE;
	case STAGE_WARM_PAUSE:
		return STAGE_WARM_AGAIN;
	case STAGE_WARM_AGAIN:
		return STAGE_LIFE;
	case STAGE_LIFE:
		return end_life(p);
	case STAGE_NONE:
		break;
	}
	return STAGE_NONE;
}

static bool is_over(const struct pa_probe *p, struct pa_now now)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->questions[i].outcome == WAITING)
			return false;
	return p->stage != STAGE_WARM_PAUSE || now.boot_ms >= p->pause_until_ms;
}

static void finish(struct pa_probe *p, struct pa_now now)
{
	for (unsigned i = 0; i < PA_PROBE_SOCKETS; i++)
		p->ops->close(p->ctx, i);
	p->ended_ms = now.boot_ms;
}

static void advance(struct pa_probe *p, struct pa_now now)
{
	while (p->stage != STAGE_NONE && is_over(p, now)) {
		enum stage was = p->stage, next = end(p, now);

		/* The sockets with DF; the MTU's search goes in rounds by one. */
		if (next == STAGE_MTU_TO && was != STAGE_MTU_TO) {
			pa_mtu_start(&p->mtu, p->link_mtu);
			(void)p->ops->open(p->ctx, SOCK_MTU_TO, PA_PROBE_UDP_DF, &p->gateway);
			(void)p->ops->open(p->ctx, SOCK_MTU_FROM, PA_PROBE_UDP, &p->gateway);
		}
		begin(p, now, next);
		if (next == STAGE_NONE)
			finish(p, now);
	}
}

/* ---- what comes in ---- */

static bool is_hint(const struct question *q, const uint8_t *buf, size_t len)
{
	struct pa_msg m;

	return q->ask == ASK_HINT && pa_msg_decode(buf, len, &m) == 0 && m.type == PA_MSG_UNBOUND &&
	       m.reason == PA_REASON_UNKNOWN && memcmp(m.session, q->session, sizeof(m.session)) == 0;
}

static void take_answer(struct pa_now now, struct question *q, const struct pa_msg *m)
{
	/* The promise itself may be lost; then the second answer is known by its time. */
	if (m->delay > 0) {
		q->promised = true;
		q->next_ms = now.boot_ms + (uint64_t)m->delay * 1000 + LATE_MS;
		q->tries = TRIES;
		return;
	}
	if (q->m.delay > 0 && !q->promised && now.boot_ms + LATE_MS < q->first_ms + (uint64_t)q->m.delay * 1000) {
		fail(q, PA_EEXHAUSTED);
		return;
	}
	q->answer = *m;
	q->outcome = ANSWERED;
}

void pa_probe_receive(struct pa_probe *p, struct pa_now now, unsigned i, const struct pa_endpoint *from,
		      const uint8_t *buf, size_t len)
{
	struct pa_msg m;
	bool probed = pa_client_probed(p->client, buf, len, &m) == 0;

	(void)from; /* the answer itself, which is authentic, tells from where it was sent */
	for (unsigned k = 0; k < p->n; k++) {
		struct question *q = &p->questions[k];

		if (q->outcome != WAITING || q->socket != i)
			continue;
		if (is_hint(q, buf, len))
			q->outcome = ANSWERED;
		else if (probed && q->ask == ASK_PROBE && q->m.echo == m.echo)
			take_answer(now, q, &m);
	}
}

void pa_probe_told(struct pa_probe *p, struct pa_now now, unsigned i, int code)
{
	(void)now;
	for (unsigned k = 0; k < p->n; k++) {
		struct question *q = &p->questions[k];

		if (q->outcome != WAITING || q->socket != i || q->ask == ASK_PROBE)
			continue;
		if (code == 0)
			q->outcome = ANSWERED;
		else
			fail(q, code);
	}
}

static void question_due(struct pa_probe *p, struct pa_now now, struct question *q)
{
	if (q->tries < TRIES)
		send_question(p, now, q);
	else
		fail(q, 0);
}

uint64_t pa_probe_tick(struct pa_probe *p, struct pa_now now)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < p->n; i++)
		if (p->questions[i].outcome == WAITING && now.boot_ms >= p->questions[i].next_ms)
			question_due(p, now, &p->questions[i]);
	advance(p, now);
	for (unsigned i = 0; i < p->n; i++)
		if (p->questions[i].outcome == WAITING && p->questions[i].next_ms < next)
			next = p->questions[i].next_ms;
	if (p->stage == STAGE_WARM_PAUSE)
		next = p->pause_until_ms;
	return next;
}

/* ---- life and queries ---- */

int pa_probe_new(struct pa_client *client, const struct pa_probe_ops *ops, void *ctx, struct pa_probe **ret)
{
	struct pa_probe *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return PA_ENOMEM;
	p->client = client;
	p->ops = ops;
	p->ctx = ctx;
	*ret = p;
	return 0;
}

void pa_probe_free(struct pa_probe *p)
{
	free(p);
}

int pa_probe_start(struct pa_probe *p, struct pa_now now, uint16_t link_mtu, unsigned life)
{
	struct pa_endpoint gateways[PA_GATEWAYS_MAX];
	unsigned n = pa_client_gateways(p->client, gateways);

	if (p->stage != STAGE_NONE)
		return PA_EAGAIN;
	if (n == 0)
		return PA_ENOTFOUND;
	if (life > PA_PROBE_DELAY_MAX || (life > 0 && life < PA_PROBE_LIFE_MIN))
		return PA_EINVAL;
	memset(&p->r, 0, sizeof(p->r));
	p->r.n_gateways = n;
	for (unsigned i = 0; i < n; i++)
		p->r.gateways[i].at = gateways[i];
	p->link_mtu = link_mtu < PA_PROBE_MAX + HEADERS_V4 ? link_mtu : PA_PROBE_MAX + HEADERS_V4;
	p->r.mtu_tried = p->link_mtu;
	p->r.life_limit = (uint16_t)life;
	p->life_steps = LIFE_STEPS;
	p->ops->random(p->ctx, (uint8_t *)&p->echo, sizeof(p->echo));
	begin(p, now, STAGE_REACH);
	return 0;
}

int pa_probe_start_life(struct pa_probe *p, struct pa_now now, unsigned silence)
{
	struct pa_client_status s;

	pa_client_status_get(p->client, &s);
	if (p->stage != STAGE_NONE)
		return PA_EAGAIN;
	if (s.state != PA_CLIENT_BOUND || s.binding.relayed)
		return PA_ENOTFOUND;
	if (silence > PA_PROBE_DELAY_MAX || silence < PA_PROBE_LIFE_MIN)
		return PA_EINVAL;
	memset(&p->r, 0, sizeof(p->r));
	p->gateway = s.binding.gateway;
	p->r.life_limit = (uint16_t)silence;
	p->life_steps = 1;
	p->ops->random(p->ctx, (uint8_t *)&p->echo, sizeof(p->echo));
	begin(p, now, STAGE_WARM);
	return 0;
}

bool pa_probe_running(const struct pa_probe *p)
{
	return p->stage != STAGE_NONE;
}

void pa_probe_get(const struct pa_probe *p, struct pa_now now, struct pa_probe_result *ret, uint64_t *ret_age_ms)
{
	*ret = p->r;
	*ret_age_ms = p->ended_ms == 0 && p->stage == STAGE_NONE ? UINT64_MAX :
		      p->stage != STAGE_NONE			 ? 0 :
								   now.boot_ms - p->ended_ms;
}
